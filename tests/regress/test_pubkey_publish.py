"""Publishing whole (K9, K10): what the server holds is what was promised, as another client sees it."""
import contextlib

import pytest

import xmpp_frames as f
from key_node import Key
from key_people import configure, live, make_user_key, refused
from peer import NS_PUBKEY, fetch_items
from processes import until
from rogue_server import Rogue
from xmpp_world import PASSWORD, account, online

pytest_plugins = ["server_fixtures", "xmpp_fixtures"]


def reads(served, reader, owner):
    """Whether the reader's client gets the keys from the node."""
    found = fetch_items(served, reader.name, owner.jid)
    assert isinstance(found, (dict, str))
    return isinstance(found, dict) and len(found) > 0


def test_k9_the_node_is_what_was_promised(served, people):
    owner, friend, stranger = people(3, friends=[(0, 1)], tokens=[0])
    name = make_user_key(owner)
    node = owner.signet("publish", owner.jid, "--show")["node"]
    assert (node["exists"], node["asked"], node["more_open"]) == (False, None, False)
    reply = owner.signet("publish", owner.jid)
    node = reply["node"]
    assert [k["name"] for k in reply["keys"]] == [name]
    assert (node["node"], node["access"], node["asked"], node["more_open"]) == (NS_PUBKEY, "presence", "presence", False)
    assert node["persist_items"] and node["send_last"] == "never" and node["members"] == []
    assert node["max_items"] == "max" or int(node["max_items"]) > 1  # ejabberd tells the number that it stands for
    assert {"open", "presence", "whitelist"} <= set(node["offered"])
    assert reads(served, friend, owner) and not reads(served, stranger, owner)
    shown = owner.signet("publish", owner.jid, "--show")
    assert shown["node"] == node and [k["name"] for k in shown["keys"]] == [name]
    assert shown["direct"] == "contacts" and shown["refused"] == 0


def test_k9_every_access_model_that_both_servers_have(served, people):
    owner, friend, stranger, guest = people(4, friends=[(0, 1)], tokens=[0])
    make_user_key(owner)
    for access, who in (("open", (1, 1, 1)), ("whitelist", (0, 0, 0)), ("presence", (1, 0, 0))):
        node = owner.signet("publish", owner.jid, "--access", access)["node"]
        assert (node["access"], node["more_open"]) == (access, False)
        assert tuple(reads(served, p, owner) for p in (friend, stranger, guest)) == who, access
    node = owner.signet("publish", owner.jid, "--member", guest.jid.upper(), "--member", friend.jid)["node"]
    assert (node["access"], node["members"]) == ("whitelist", sorted([guest.jid, friend.jid]))
    assert [reads(served, p, owner) for p in (friend, stranger, guest)] == [True, False, True]
    node = owner.signet("publish", owner.jid, "--member", guest.jid)["node"]
    assert node["members"] == [guest.jid]
    assert [reads(served, p, owner) for p in (friend, stranger, guest)] == [False, False, True]
    # Without a word, nothing is opened: it stays as it was asked for the last time, also by another process.
    owner.stop()
    owner.start().online()
    shown = owner.signet("publish", owner.jid)["node"]
    assert (shown["access"], shown["members"]) == ("whitelist", [guest.jid])
    assert owner.signet("publish", owner.jid, "--show")["direct"] == guest.jid
    error, about = refused(owner, "publish", owner.jid, "--access", "open", "--member", guest.jid)
    assert (error, about["subject"]) == ("ArgumentWrong", "members")
    for bad in (owner.jid, "nobody", "@"):
        assert refused(owner, "publish", owner.jid, "--member", bad)[0] == "ArgumentWrong"
    assert refused(owner, "publish", owner.jid, "--show", "--access", "open")[0] == "ArgumentWrong"


@pytest.mark.parametrize("access", ["roster", "authorize"])
def test_k9_a_model_that_a_server_lacks_is_told_with_those_it_has(served, people, access):
    owner, friend = people(2, friends=[(0, 1)], tokens=[0])
    make_user_key(owner)
    owner.signet("publish", owner.jid)
    if served.kind == "ejabberd":
        node = owner.signet("publish", owner.jid, "--access", access)["node"]
        assert (node["access"], node["more_open"]) == (access, False)
        assert not reads(served, friend, owner)
        return
    error, about = refused(owner, "publish", owner.jid, "--access", access)
    assert (error, about["subject"]) == ("FeatureMissing", access)
    assert about["message"].endswith("it has open, presence, whitelist")
    assert owner.signet("publish", owner.jid, "--show")["node"]["access"] == "presence"  # as it was
    with live(owner, "other", None) as client:  # and nothing is left of the trial
        items = client.iq("get", "<query xmlns='http://jabber.org/protocol/disco#items'/>", owner.jid)
    assert {i.get("node") for i in items.iter("{http://jabber.org/protocol/disco#items}item")} == {NS_PUBKEY}


def test_k10_publishing_again_updates_and_retracting_takes_away(served, people):
    owner, friend = people(2, friends=[(0, 1)], tokens=[0])
    name = make_user_key(owner)
    owner.signet("publish", owner.jid)
    owner.signet("publish", owner.jid)
    assert list(fetch_items(served, friend.name, owner.jid)) == [name]
    for _ in range(2):  # what is not there is no error
        assert owner.signet("retract", owner.jid, ":".join(name[i:i + 2] for i in range(0, 40, 2)).upper()) == {}
        assert fetch_items(served, friend.name, owner.jid) == {}
    assert refused(owner, "retract", owner.jid, "abcd")[0] == "ArgumentWrong"
    owner.signet("publish", owner.jid)
    assert list(fetch_items(served, friend.name, owner.jid)) == [name]


def test_k9_a_node_more_open_than_asked_is_an_alarm(served, people):
    owner, stranger = people(2, tokens=[0])
    make_user_key(owner)
    owner.signet("publish", owner.jid)
    configure(owner, "open")
    assert reads(served, stranger, owner)
    error, about = refused(owner, "publish", owner.jid, "--show")
    assert error == "FeatureMissing" and "open" in about["message"]
    assert owner.signet("status")["accounts"][0]["more_open"]
    assert owner.agent.count("error: .*more open than asked") or owner.agent.count("more open than asked")
    # It is known after a restart, and found at the next login, too.
    owner.stop()
    owner.start()
    assert owner.signet("status")["accounts"][0]["more_open"]
    assert "MORE OPEN THAN ASKED" in owner.world.signet(owner.env, "status")
    node = owner.signet("account", "connect", owner.jid, *owner.password)
    assert node["account"]["published"] == "presence"
    node = owner.signet("publish", owner.jid)["node"]  # publishing sets it right
    assert (node["access"], node["more_open"]) == ("presence", False)
    assert not owner.signet("status")["accounts"][0]["more_open"]
    configure(owner, "whitelist")  # tighter is no alarm
    assert not owner.signet("publish", owner.jid, "--show")["node"]["more_open"]
    configure(owner, "open")
    owner.signet("account", "disconnect", owner.jid)
    owner.online()
    until(lambda: owner.signet("status")["accounts"][0]["more_open"], "the login did not find it")


# ---- a server that says one thing and does another

FORM = "<pubsub xmlns='http://jabber.org/protocol/pubsub#owner'><configure node='urn:xmpp:tmp:pubkey'>" \
       "<x xmlns='jabber:x:data' type='form'>{}</x></configure></pubsub>"
FIELD = "<field var='pubsub#{}'><value>{}</value></field>"
MEMBERS = "<pubsub xmlns='http://jabber.org/protocol/pubsub#owner'><affiliations node='urn:xmpp:tmp:pubkey'>{}" \
          "</affiliations></pubsub>"
ROMEO = "<affiliation jid='romeo@xmpp.test' affiliation='member'/>"


def lying(pki, form, members=""):
    """Takes all that is asked for and shows something else; gives the questions it has heard."""
    def script(c):
        c.login()
        heard = []
        with contextlib.suppress(EOFError, OSError):
            while True:
                question, text = c.question()
                heard.append(text)
                inner = "" if "type='set'" in text else MEMBERS.format(members) if "affiliations" in text else form
                c.send(f"<iq type='result' id='{question}'>{inner}</iq>")
        return heard
    return Rogue(pki, script)


@pytest.mark.parametrize("form, members, is_private", [
    (FORM.format(FIELD.format("access_model", "whitelist")), ROMEO, True),
    (FORM.format(FIELD.format("access_model", "whitelist")), "", True),
    (FORM.format(FIELD.format("access_model", "open")), ROMEO, False),
    (FORM.format(FIELD.format("access_model", "presence")), ROMEO, False),
    (FORM.format(FIELD.format("access_model", "anything")), ROMEO, False),
    (FORM.format(""), ROMEO, False),
    (FORM.format(FIELD.format("access_model", "whitelist")), ROMEO + ROMEO.replace("romeo", "tybalt"), False),
    (FORM.format(FIELD.format("access_model", "whitelist")), ROMEO.replace("member", "publisher").replace("romeo", "tybalt"),
     False),
])
def test_k9_no_key_goes_to_a_node_that_is_more_open_than_asked(pki, workers, form, members, is_private):
    server, worker = lying(pki, form, members), workers()
    online(worker.connect(account(server, pki), PASSWORD))
    key = Key()
    kind, node = worker.ask(f.PEP_PUBLISH, {"access_model": "whitelist", "members": ["romeo@xmpp.test"], "set_members": 1,
                                            "keyinfos": [{"name": key.name, "kind": 1, "data": key.der}]})
    assert kind == f.PEP_NODE and node["exists"] and node["published"] == is_private
    worker.ask(f.DISCONNECT)
    (heard,) = server.close()
    assert any("<publish " in text for text in heard) == is_private


@pytest.mark.parametrize("form, members", [
    ("", ""), ("<x/>", ""), (FORM.format("").replace("tmp:pubkey", "tmp:other"), ""), (FORM.format("") * 2, None),
    (FORM.format(FIELD.format("access_model", "open") * 2), ""), (FORM.format(""), "<affiliation jid='@' affiliation='member'/>"),
    (FORM.format(""), "<affiliation jid='romeo@xmpp.test'/>"), (FORM.format(""), ROMEO * 10001),
])
def test_k9_a_server_that_does_not_tell_gets_no_key(pki, workers, form, members):
    server, worker = lying(pki, form, members or ""), workers()
    online(worker.connect(account(server, pki), PASSWORD))
    key = Key()
    kind, answer = worker.ask(f.PEP_PUBLISH, {"access_model": "presence",
                                              "keyinfos": [{"name": key.name, "kind": 1, "data": key.der}]})
    if members is None:  # a second form behind the first is not looked at: what is not told is open
        assert kind == f.PEP_NODE and node_is_untold(answer)
    else:
        assert kind == f.ERROR and answer["code"] in (f.FORMAT, f.LIMIT), answer
    assert worker.ask(f.DISCONNECT)[0] == f.OK
    (heard,) = server.close()
    assert not any("<publish " in text for text in heard)


def node_is_untold(node):
    return node["access_model"] is None and node["published"] == 0
