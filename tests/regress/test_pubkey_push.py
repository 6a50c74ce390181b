"""Keys in messages (K14): what we send, and what becomes of what others send."""
import contextlib
import os

import pytest

from key_node import Key, publish
from key_people import known, live, make_user_key, own_resource, refused, sightings
from live_peer import Q
from peer import NS_PUBKEY
from processes import until
from world import Failed

pytest_plugins = ["server_fixtures"]


def pubkeys(*keys, about=None):
    return f"<pubkeys xmlns='{NS_PUBKEY}'{f' jid={about!r}' if about is not None else ''}>" + \
        "".join(k if isinstance(k, str) else k.keyinfo() for k in keys) + "</pubkeys>"


def push(client, to, inner, kind=None):
    client.send(f"<message to='{to}'{f' type={kind!r}' if kind else ''}>{inner}</message>")


@pytest.mark.parametrize("is_friend", [True, False])
def test_k14_pushed_keys_are_told_by_the_sender_and_trusted_by_nobody(people, is_friend):
    taker, sender, third = people(3, friends=[(0, 1)] if is_friend else [])
    taker.online()
    own, of_third, explicit = Key(sender.jid), Key(third.jid), Key(sender.jid)
    with live(sender) as client:
        push(client, own_resource(taker), pubkeys(own))
        push(client, own_resource(taker), pubkeys(of_third, about=third.jid.upper()))
        push(client, own_resource(taker), pubkeys(explicit, about=sender.jid), "normal")
        until(lambda: known(taker, explicit.name), "nothing was kept")
    assert sightings(taker, own.name) == {(sender.jid, "push", sender.jid)}
    assert sightings(taker, of_third.name) == {(third.jid, "push", sender.jid)}
    assert sightings(taker, explicit.name) == {(sender.jid, "push", sender.jid)}
    assert {k["decision"] for k in taker.signet("keyring", "list")["keys"]} == {"undecided"}


def test_k14_a_pushed_key_replaces_nothing(served, people):
    taker, sender = people(2, friends=[(0, 1)])
    real, other = Key(sender.jid), Key(sender.jid)
    publish(served, sender.name, real)
    taker.online()
    taker.signet("keyring", "fetch", sender.jid)
    taker.signet("keyring", "trust", sender.jid, real.name)
    with live(sender) as client:
        push(client, own_resource(taker), pubkeys(other))
        push(client, own_resource(taker), pubkeys(other.keyinfo(name=real.name)))  # the name of the one, the data of the other
        until(lambda: known(taker, other.name), "nothing was kept")
    assert known(taker, real.name)["decision"] == "trusted" and known(taker, other.name)["decision"] == "undecided"
    assert sightings(taker, real.name) == {(sender.jid, "node", None)}


def test_k1_k2_k6_k14_what_is_malformed_is_left_out_and_the_rest_kept(people):
    taker, sender = people(2, friends=[(0, 1)])
    taker.online()
    resource, good, last = own_resource(taker), Key(sender.jid), Key(sender.jid)
    good.signatures = [(last.name, "RSA-MD5", b"unknown method"), ("cd" * 20, "RSA-SHA256", b"by nobody we know")]
    bad = [
        "", "<keyinfo/>", "<keyinfo><name>zz</name></keyinfo>",
        Key().keyinfo(name="ab" * 20),
        Key().keyinfo().replace("</keyinfo>", "<x509cert>aaaa</x509cert></keyinfo>"),
        Key().keyinfo().replace("</keyinfo>", "<openpgp>aaaa</openpgp></keyinfo>"),
        Key().keyinfo().replace("<x509cert>", "<x509cert>*"),
        f"<keyinfo><name>{'ab' * 20}</name><pgpdata>bm8ga2V5</pgpdata></keyinfo>",
        f"<keyinfo><name>{'ab' * 20}</name><x509cert>bm8ga2V5</x509cert></keyinfo>",
        "<keyinfo xmlns='urn:xmpp:pubkey:2'/>",
    ]
    unsigned = good.keyinfo().replace("</keyinfo>", "<signature><issuer>zz</issuer><value>aaaa</value></signature>"
                                                    "<signature/></keyinfo>")
    ignored = Key(sender.jid)
    with live(sender) as client:
        push(client, resource, pubkeys(*bad, unsigned))
        for inner, kind in ((pubkeys(ignored) + "<body>look</body>", None), (pubkeys(ignored), "error"),
                            (pubkeys(ignored) + pubkeys(ignored), None), (pubkeys(ignored, about=""), None),
                            (pubkeys(ignored, about="nobody"), None), (pubkeys(ignored, about="@"), None),
                            (pubkeys(ignored).replace(NS_PUBKEY, "urn:xmpp:pubkey:0", 1), None),
                            (f"<x xmlns='urn:x'>{pubkeys(ignored)}</x>", None),
                            (pubkeys(*["<keyinfo/>"] * 1000, ignored), None)):
            push(client, resource, inner, kind)
        push(client, resource, pubkeys(last))
        until(lambda: known(taker, last.name), "nothing was kept")
    assert {k["name"] for k in taker.signet("keyring", "list")["keys"]} == {good.name, last.name}
    shown = taker.signet("keyring", "show", good.name)
    assert sorted(s["verdict"] for s in shown["signatures"]) == ["unknown_issuer", "unknown_method"]
    assert taker.signet("status")["accounts"][0]["state"] == "online"


@pytest.mark.parametrize("name", ["ro\u200bmeo", "romeo\u00ad", "ro\u2060meo", "romeo\u3164", "ro\u202emeo", "romeo\U000e0041"])
def test_k14_nobody_is_told_of_by_a_name_with_what_cannot_be_seen(people, name):
    """It would look like another's. What says so elsewhere is written out, to a person and in JSON."""
    taker, sender = people(2)
    taker.online()
    resource, evil, last = own_resource(taker), Key(subject=f"S{name}"), Key()
    with live(sender) as client:
        push(client, resource, pubkeys(evil, about="JID").replace("JID", f"{name}@xmpp.test"))
        push(client, resource, pubkeys(last))
        until(lambda: known(taker, last.name), "nothing was kept")
    assert known(taker, evil.name) is None
    taker.world.write("evil.xml", pubkeys(evil))
    taker.signet("keyring", "import", "--jid", "a@b.test", taker.world.dir / "evil.xml")
    for form in ((), ("--json",)):
        text = taker.world.run("signet", "--batch", *form, "keyring", "show", evil.name, env=taker.env)
        assert evil.name in text.replace(" ", "") and not any(ord(c) > 126 for c in text)


def test_k14_who_learns_the_address_of_the_agent_by_a_message_is_told(served, people):
    sender, friend, stranger = people(3, friends=[(0, 1)], tokens=[0])
    make_user_key(sender)
    assert [sender.signet("keyring", "send", to)["revealed"] for to in (friend.jid, sender.jid, stranger.jid)] == \
        [False, False, True]
    assert "address" in sender.world.run("signet", "--batch", "keyring", "send", stranger.jid, env=sender.env)


def verdict(person, name):
    return person.signet("keyring", "show", name, "--why")["path"]["verdict"]


@pytest.mark.parametrize("how", ["push", "import", "node"])
def test_k14_signatures_that_a_stranger_forges_crowd_none_out(served, people, how):
    """Told before the issuer is known, when nobody can see that they are none, and after it."""
    taker, friend, stranger = people(3, friends=[(0, 1)])
    taker.online()
    resource, user, client_key, last = own_resource(taker), Key(friend.jid, kind="rsa2048"), Key(friend.jid), Key()
    user.sign(client_key), user.sign(client_key, "RSA-SHA1")
    real = client_key.keyinfo()
    client_key.signatures = [(user.name, method, os.urandom(256)) for method in ("RSA-SHA256", "RSA-SHA1") for _ in range(30)]

    def told(who, *keys):
        with live(who) as client:
            push(client, resource, pubkeys(*keys, about=friend.jid))
            last.__init__()
            push(client, resource, pubkeys(last))
            until(lambda: known(taker, last.name), "nothing was kept")

    told(stranger, client_key)
    if how == "push":
        told(friend, user, real)
    elif how == "import":
        taker.world.write("keys.xml", pubkeys(user, real, about=friend.jid))
        taker.signet("keyring", "import", taker.world.dir / "keys.xml")
    else:
        publish(served, friend.name, user, (client_key.name, real))
        taker.signet("keyring", "fetch", friend.jid)
    taker.signet("keyring", "trust", friend.jid, user.name)
    assert verdict(taker, client_key.name) == "friend"
    told(stranger, client_key)
    assert verdict(taker, client_key.name) == "friend"
    # another one that is told by a stranger alone: what is none of the known issuer's does not come in
    other = Key(friend.jid)
    user.sign(other)
    other.signatures[:0] = [(user.name, "RSA-SHA256", os.urandom(256)) for _ in range(30)]
    told(stranger, other)
    assert verdict(taker, other.name) == "friend"
    assert [s["verdict"] for s in taker.signet("keyring", "show", other.name)["signatures"]] == ["good"]


def test_k14_forged_signatures_by_the_own_user_key_crowd_none_out(served, people):
    taker, friend, stranger = people(3, friends=[(0, 1)], tokens=[0])
    mine, user, last = make_user_key(taker), Key(friend.jid), Key()
    publish(served, friend.name, user)
    taker.signet("keyring", "fetch", friend.jid)
    taker.signet("keyring", "trust", friend.jid, user.name)
    taker.signet("sign", taker.jid, user.name)
    taker.signet("keyring", "forget", "--yes", user.name)
    taker.signet("keyring", "fetch", friend.jid)
    assert verdict(taker, user.name) == "trusted"
    user.signatures = [(mine, "ECDSA-SHA256", os.urandom(70)) for _ in range(30)]
    with live(stranger) as client:
        push(client, own_resource(taker), pubkeys(user, last, about=friend.jid))
        until(lambda: known(taker, last.name), "nothing was kept")
    assert verdict(taker, user.name) == "trusted"


@pytest.mark.parametrize("how", ["node", "push as his own", "reference"])
def test_k15_forged_signatures_of_another_node_or_sender_crowd_none_out(served, people, how):
    """A contact shows a friend's key, or a stranger tells of it, with signatures that the friend's user key never made."""
    taker, friend, other = people(3, friends=[(0, 1), (0, 2)])
    taker.online()
    resource, user, client_key, last = own_resource(taker), Key(friend.jid, kind="rsa2048"), Key(friend.jid), Key()
    user.sign(client_key)
    real = client_key.keyinfo()
    client_key.signatures = [(user.name, "RSA-SHA256", os.urandom(256)) for _ in range(20)]
    forged = client_key.keyinfo()
    if how == "reference":
        forged = forged[:forged.index("<x509cert>")] + forged[forged.index("</x509cert>") + len("</x509cert>"):]

    def told(who, *keys):
        with live(who) as client:
            push(client, resource, pubkeys(*keys))
            last.__init__()
            push(client, resource, pubkeys(last))
            until(lambda: known(taker, last.name), "nothing was kept")

    def harm():
        if how == "node":
            publish(served, other.name, (client_key.name, forged))
            with contextlib.suppress(Failed):  # a fetch of bad signatures says so, and keeps what it was shown
                taker.signet("keyring", "fetch", other.jid)
        else:
            told(other, forged)

    harm()
    told(friend, user, real)
    taker.signet("keyring", "trust", friend.jid, user.name)
    assert verdict(taker, client_key.name) == "friend"
    harm()
    assert verdict(taker, client_key.name) == "friend"
    assert taker.signet("keyring", "show", client_key.name)["grade"] == "sha256"


def test_k14_what_a_friend_sends_is_kept_however_much_it_is(people):
    """More signatures than are looked at when they come: on many keys, and on one."""
    taker, friend = people(2, friends=[(0, 1)])
    taker.online()
    resource, user, last = own_resource(taker), Key(friend.jid, kind="rsa2048"), Key(friend.jid)
    keys, signers, one = [Key(friend.jid) for _ in range(60)], [Key(friend.jid) for _ in range(70)], Key(friend.jid)
    for key in keys:
        user.sign(key), user.sign(key, "RSA-SHA1")
    for signer in [*signers, user]:
        signer.sign(one)
    with live(friend) as client:
        push(client, resource, pubkeys(user, *signers))
        until(lambda: known(taker, signers[-1].name), "nothing was kept")
        taker.signet("keyring", "trust", friend.jid, user.name)
        push(client, resource, pubkeys(*keys))
        push(client, resource, pubkeys(one))
        push(client, resource, pubkeys(last))
        until(lambda: known(taker, last.name), "nothing was kept")
    assert {verdict(taker, key.name) for key in [*keys, one]} == {"friend"}
    assert len(taker.signet("keyring", "show", one.name)["signatures"]) == 71


def test_k14_nobody_fills_the_keyring(people):
    """Above the limit of a day what is new is refused, and what another sender told stays."""
    taker, flooder, friend = people(3, friends=[(0, 1), (0, 2)])
    taker.online()
    resource, first, after = own_resource(taker), Key(friend.jid), Key(friend.jid)
    with live(flooder) as client, live(friend) as other:
        push(other, resource, pubkeys(first))
        until(lambda: known(taker, first.name), "nothing was kept")
        references = [f"<keyinfo><name>{i:040x}</name></keyinfo>" for i in range(600)]
        for at in range(0, 600, 100):
            push(client, resource, pubkeys(*references[at:at + 100], about=friend.jid))
        client.settle()
        push(other, resource, pubkeys(after))
        until(lambda: known(taker, after.name), "another sender's keys are refused, too")
    kept = taker.signet("keyring", "list", flooder.jid)["keys"] + taker.signet("keyring", "list", friend.jid)["keys"]
    assert len({k["name"] for k in kept}) <= 200 + 2
    assert known(taker, first.name)


def test_k14_own_keys_are_sent_as_the_document_has_it(people):
    sender, friend, stranger = people(3, friends=[(0, 1)], tokens=[0])
    name = make_user_key(sender)
    sender.signet("publish", sender.jid)
    with live(friend) as client, live(stranger) as other:
        client.resource_of(sender.jid)
        assert sender.signet("keyring", "send", friend.jid) == {"sent": 1, "revealed": False}
        client.wait_for(lambda: client.stanzas("message", sender.jid))
        message, = client.stanzas("message", sender.jid)
        assert message.get("from") == own_resource(sender) and message.get("type") in (None, "normal")
        element, = [e for e in message if e.tag == f"{Q}pubkeys"]
        assert element.attrib == {} and [k.findtext(f"{Q}name") for k in element] == [name]
        assert message.find("{jabber:client}body") is None
        assert sender.signet("keyring", "send", other.jid, name) == {"sent": 1, "revealed": True}  # a full JID, by name
        other.wait_for(lambda: other.stanzas("message", sender.jid))
    assert refused(sender, "keyring", "send", friend.jid, "ab" * 20)[0] == "KeyAbsent"
    assert refused(sender, "keyring", "send", "nobody")[0] == "ArgumentWrong"
    assert refused(sender, "keyring", "send", friend.jid, "--about", stranger.jid)[0] == "KeyAbsent"


def test_k14_keys_of_another_are_sent_with_whose_they_are(served, people):
    """From one agent to another: the first has read a node, the second is told."""
    teller, hearer, owner = people(3, friends=[(0, 1), (0, 2)])
    key, signer = Key(owner.jid), Key(owner.jid)
    signer.sign(key)
    publish(served, owner.name, key, signer)
    hearer.online()
    teller.online()
    assert len(teller.signet("keyring", "fetch", owner.jid)["keys"]) == 2

    def told():
        assert teller.signet("keyring", "send", hearer.jid, "--about", owner.jid) == {"sent": 2, "revealed": False}
        return known(hearer, key.name)
    until(told, "nothing came")  # the first may be sent before the one knows that the other is there
    assert sightings(hearer, key.name) == {(owner.jid, "push", teller.jid)}
    shown = hearer.signet("keyring", "show", key.name)
    assert [s["verdict"] for s in shown["signatures"]] == ["good"]  # the signatures came along
