"""Publishing whole (K9, K10): what the server holds is what was promised, as another client sees it."""
import asyncio
import contextlib
import re

import pytest

import xmpp_frames as f
from key_node import Key
from key_people import OWNER, configure, live, make_user_key, refused
from peer import NS_PUBKEY, NS_PUBSUB, fetch_items
from processes import PATIENCE, until
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
    more = ["--group", "nobody's"] if access == "roster" else []
    if served.kind == "ejabberd":
        node = owner.signet("publish", owner.jid, "--access", access, *more)["node"]
        assert (node["access"], node["more_open"]) == (access, False)
        assert not reads(served, friend, owner)
        return
    error, about = refused(owner, "publish", owner.jid, "--access", access, *more)
    assert (error, about["subject"]) == ("FeatureMissing", access)
    assert about["message"].endswith("it has open, presence, whitelist")
    assert owner.signet("publish", owner.jid, "--show")["node"]["access"] == "presence"  # as it was
    with live(owner, "other", None) as client:  # and nothing is left of the trial
        items = client.iq("get", "<query xmlns='http://jabber.org/protocol/disco#items'/>", owner.jid)
    assert {i.get("node") for i in items.iter("{http://jabber.org/protocol/disco#items}item")} == {NS_PUBKEY}


def group(owner, friend, *names):
    """Another client of the owner puts the contact into these groups of the roster, and into no others."""
    with live(owner, "roster", None) as client:
        async def put():
            await client.client.update_roster(friend.jid, groups=list(names))
        asyncio.run_coroutine_threadsafe(put(), client.loop).result(PATIENCE)


def test_k9_by_roster_the_groups_that_are_named_may_read(served, people):
    owner, friend, other = people(3, friends=[(0, 1), (0, 2)], tokens=[0])
    name = make_user_key(owner)
    group(owner, friend, "Close friends", "Everybody")
    group(owner, other, "Work & <play>", "Everybody")
    ask = ("publish", owner.jid, "--access", "roster")
    if served.kind != "ejabberd":
        error, about = refused(owner, *ask, "--group", "Close friends")
        assert (error, about["subject"]) == ("FeatureMissing", "roster")
        assert owner.signet("publish", owner.jid)["node"]["groups"] is None
        return
    reply = owner.signet(*ask, "--group", "Close friends", "--group", "Close friends")
    node = reply["node"]
    assert [k["name"] for k in reply["keys"]] == [name]
    assert (node["access"], node["asked"], node["groups"], node["more_open"]) == ("roster", "roster", ["Close friends"], False)
    assert reads(served, friend, owner) and not reads(served, other, owner)
    # The owner himself is refused what is on his node; how it is configured is told all the same.
    shown = owner.signet("publish", owner.jid, "--show")
    assert shown["node"] == node and (shown["keys"], shown["others"]) == (None, None)
    assert "not-authorized" in shown["unread"] and shown["direct"] == "own"
    text = owner.world.signet(owner.env, "publish", owner.jid, "--show", *owner.password)
    assert re.search(r"^ *groups:? +Close friends$", text, re.M) and "the server tells others and not you" in text
    # Nothing said: it stays as it was asked for, also by another process; and others read by other groups.
    owner.stop()
    owner.start().online()
    assert owner.signet("publish", owner.jid)["node"]["groups"] == ["Close friends"]
    node = owner.signet("publish", owner.jid, "--group", "Work & <play>")["node"]
    assert (node["access"], node["groups"], node["made_anew"]) == ("roster", ["Work & <play>"], True)
    assert not reads(served, friend, owner) and reads(served, other, owner)
    node = owner.signet("publish", owner.jid, "--group", "Everybody", "--group", "Work & <play>")["node"]
    assert node["groups"] == ["Everybody", "Work & <play>"] and reads(served, friend, owner) and reads(served, other, owner)
    node = owner.signet("publish", owner.jid, "--access", "presence")["node"]
    assert (node["access"], node["more_open"]) == ("presence", False)
    assert owner.signet("publish", owner.jid, "--show")["unread"] is None
    node = owner.signet(*ask)["node"]  # the groups of the last time
    assert node["groups"] == ["Everybody", "Work & <play>"]
    assert owner.signet("retract", owner.jid, name) == {} and not reads(served, friend, owner)


@pytest.mark.parametrize("served", ["ejabberd"], indirect=True)  # Prosody has no access model roster
def test_k9_a_group_that_was_not_asked_for_is_an_alarm(served, people):
    owner, friend, other = people(3, friends=[(0, 1), (0, 2)], tokens=[0])
    make_user_key(owner)
    group(owner, friend, "Friends")
    group(owner, other, "Work")
    owner.signet("publish", owner.jid)
    set_config(owner, "access_model", "roster")  # of no group: nobody reads
    node = owner.signet("publish", owner.jid, "--show")["node"]
    assert (node["access"], node["groups"], node["more_open"]) == ("roster", [], False)
    owner.signet("publish", owner.jid, "--access", "roster", "--group", "Friends")
    set_config(owner, "roster_groups_allowed", "Friends", "Work")
    assert reads(served, other, owner)
    error, about = refused(owner, "publish", owner.jid, "--show")
    assert error == "FeatureMissing" and "the group Work of the roster" in about["message"]
    assert owner.signet("status")["accounts"][0]["more_open"]
    node = owner.signet("publish", owner.jid)["node"]
    assert (node["groups"], node["more_open"]) == (["Friends"], False)
    assert reads(served, friend, owner) and not reads(served, other, owner)
    # Who is in a group need not see the presence: where that was asked for, it is an alarm, too.
    owner.signet("publish", owner.jid, "--access", "presence")
    set_config(owner, "access_model", "roster")
    set_config(owner, "roster_groups_allowed", "Work")
    assert refused(owner, "publish", owner.jid, "--show")[0] == "FeatureMissing"


def test_k9_groups_and_roster_belong_together(served, people):
    owner, = people(1, tokens=[0])
    make_user_key(owner)
    for args, words in ((["--access", "roster"], "none is"), (["--group", "a"], "the access is presence"),
                        (["--access", "open", "--group", "a"], "the access is open"),
                        (["--access", "roster", "--group", ""], "names of groups"),
                        (["--access", "roster", "--group", "a\nb"], "names of groups"),
                        (["--access", "roster", "--group", "g" * 1024], "names of groups"),
                        (["--access", "roster", *(w for i in range(100) for w in ("--group", f"{i:01000}"))], "60 KiB")):
        error, about = refused(owner, "publish", owner.jid, *args)
        assert (error, about["subject"]) == ("LimitExceeded" if "KiB" in words else "ArgumentWrong", "groups"), args[:4]
        assert words in about["message"] and len(about["message"]) < 300
    many = [w for i in range(1001) for w in ("--group", f"g{i}")]
    assert "groups" in refused(owner, "publish", owner.jid, "--access", "roster", *many)[1]["message"]
    assert "--group" in refused(owner, "publish", owner.jid, "--access", "roster")[1]["advice"]
    assert "--access roster" in refused(owner, "publish", owner.jid, "--group", "a")[1]["advice"]
    assert refused(owner, "publish", owner.jid, "--access", "roster", "--group", "a", "--member", "a@b")[1]["subject"] == "members"
    assert refused(owner, "publish", owner.jid, "--show", "--group", "a")[0] == "ArgumentWrong"
    assert not owner.signet("publish", owner.jid, "--show")["node"]["exists"]  # nothing of it went to the server


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


# ---- who was let in

def owner_iq(owner, inner):
    """Another client of the owner changes the node behind the agent's back."""
    with live(owner, "other", None) as client:
        answer = client.iq("set", f"<pubsub xmlns='{OWNER}'>{inner}</pubsub>")
        assert answer.get("type") == "result"


def give(owner, person, affiliation):
    owner_iq(owner, f"<affiliations node='{NS_PUBKEY}'><affiliation jid='{person.jid}' affiliation='{affiliation}'/>"
                    "</affiliations>")


def set_config(owner, field, *values):
    inner = "".join(f"<value>{value}</value>" for value in values)
    owner_iq(owner, f"<configure node='{NS_PUBKEY}'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'>"
                    f"<value>{NS_PUBSUB}#node_config</value></field><field var='pubsub#{field}'>{inner}"
                    "</field></x></configure>")


def set_publish_model(owner, model):
    set_config(owner, "publish_model", model)


def subscribe(client, owner):
    bare = client.jid.partition("/")[0]
    answer = client.iq("set", f"<pubsub xmlns='{NS_PUBSUB}'><subscribe node='{NS_PUBKEY}' jid='{bare}'/></pubsub>", owner.jid)
    assert answer.get("type") == "result"


def events(client, owner):
    """The keyinfos that came in messages of the owner."""
    client.settle()
    return sum(len(list(m.iter(f"{{{NS_PUBKEY}}}keyinfo"))) for m in client.stanzas("message", owner.jid))


def test_k9_who_was_a_member_is_none_under_another_access(served, people):
    owner, friend, stranger = people(3, friends=[(0, 1)], tokens=[0])
    make_user_key(owner)
    node = owner.signet("publish", owner.jid, "--member", stranger.jid)["node"]
    assert node["affiliations"] == [{"jid": stranger.jid, "affiliation": "member"}] and reads(served, stranger, owner)
    node = owner.signet("publish", owner.jid, "--access", "presence")["node"]
    assert (node["access"], node["affiliations"], node["members"], node["more_open"]) == ("presence", [], [], False)
    assert not reads(served, stranger, owner) and reads(served, friend, owner)


@pytest.mark.parametrize("access, affiliation", [
    ("presence", "member"), ("presence", "publisher"), ("whitelist", "owner"), ("whitelist", "publisher"), ("open", "owner")])
def test_k9_an_affiliation_that_was_not_asked_for_is_an_alarm_and_is_removed(served, people, access, affiliation):
    owner, stranger = people(2, tokens=[0])
    make_user_key(owner)
    owner.signet("publish", owner.jid, "--access", access)
    give(owner, stranger, affiliation)
    for _ in range(2):  # to look changes nothing
        error, about = refused(owner, "publish", owner.jid, "--show")
        assert error == "FeatureMissing" and f"{stranger.jid} is {affiliation}" in about["message"]
        assert owner.signet("status")["accounts"][0]["more_open"]
    node = owner.signet("publish", owner.jid)["node"]
    assert (node["access"], node["affiliations"], node["more_open"]) == (access, [], False)
    assert reads(served, stranger, owner) == (access == "open")
    assert not owner.signet("status")["accounts"][0]["more_open"]


def test_k9_who_is_shut_out_stays_shut_out_and_is_shown(served, people):
    owner, friend = people(2, friends=[(0, 1)], tokens=[0])
    make_user_key(owner)
    owner.signet("publish", owner.jid)
    give(owner, friend, "outcast")
    node = owner.signet("publish", owner.jid)["node"]
    assert (node["affiliations"], node["members"]) == ([{"jid": friend.jid, "affiliation": "outcast"}], [])
    assert not node["more_open"] and not node["made_anew"] and not reads(served, friend, owner)


def test_k9_who_is_shut_out_stays_shut_out_of_a_node_that_is_made_anew(served, people):
    """On ejabberd, where subscriptions are not listed and so the node is made anew; Prosody has no need to."""
    owner, friend, other = people(3, friends=[(0, 1), (0, 2)], tokens=[0])
    make_user_key(owner)
    owner.signet("publish", owner.jid, "--access", "open")
    give(owner, friend, "outcast")
    node = owner.signet("publish", owner.jid, "--access", "presence")["node"]
    assert bool(node["made_anew"]) == (served.kind == "ejabberd")
    assert node["affiliations"] == [{"jid": friend.jid, "affiliation": "outcast"}] and not node["more_open"]
    assert not reads(served, friend, owner) and reads(served, other, owner)
    give(owner, other, "member")  # as somebody else's client may: that makes it anew, too
    node = owner.signet("publish", owner.jid, "--access", "presence")["node"]
    assert node["affiliations"] == [{"jid": friend.jid, "affiliation": "outcast"}] and not reads(served, friend, owner)
    node = owner.signet("publish", owner.jid, "--member", friend.jid)["node"]  # the person says otherwise
    assert node["members"] == [friend.jid] and reads(served, friend, owner)


@pytest.mark.parametrize("before, after", [
    (("--member", None), ("--access", "whitelist", "--member", "other")),
    (("--member", None), ("--access", "presence")),
    (("--access", "open"), ("--access", "presence")),
    (("--access", "open"), ("--access", "whitelist")),
])
def test_k9_who_may_read_no_more_gets_no_events_either(served, people, before, after):
    owner, stranger, other = people(3, friends=[(0, 2)], tokens=[0])
    make_user_key(owner)
    owner.signet("publish", owner.jid, *(stranger.jid if a is None else a for a in before))
    with live(stranger) as client, live(owner, "mine") as mine:
        subscribe(client, owner)
        subscribe(mine, owner)
        owner.signet("publish", owner.jid)
        heard = client.wait_for(lambda: len([m for m in client.stanzas("message", owner.jid)]))
        assert heard
        heard = events(client, owner)
        reply = owner.signet("publish", owner.jid, *(other.jid if a == "other" else a for a in after))
        assert reply["keys"] and not reply["node"]["more_open"]
        assert reply["node"]["made_anew"] == (served.kind == "ejabberd")
        assert reply["node"]["subscribers"] == (None if served.kind == "ejabberd" else [])
        assert not owner.signet("publish", owner.jid)["node"]["made_anew"]  # once
        assert events(client, owner) == heard
        assert not reads(served, stranger, owner)


def test_k9_who_subscribed_while_it_was_too_open_is_found_and_removed(served, people):
    owner, stranger = people(2, tokens=[0])
    make_user_key(owner)
    owner.signet("publish", owner.jid)
    configure(owner, "open")
    assert refused(owner, "publish", owner.jid, "--show")[0] == "FeatureMissing"
    with live(stranger) as client:
        subscribe(client, owner)
        configure(owner, "presence")
        for _ in range(2):
            if served.kind == "prosody":  # it ends subscriptions when the access changes
                assert owner.signet("publish", owner.jid, "--show")["node"]["subscribers"] == []
                continue
            error, about = refused(owner, "publish", owner.jid, "--show")
            assert error == "FeatureMissing" and "subscribed" in about["message"]
        assert not owner.signet("publish", owner.jid)["node"]["more_open"]
        assert not owner.signet("publish", owner.jid, "--show")["node"]["more_open"]
        heard = events(client, owner)
        owner.signet("publish", owner.jid)
        assert events(client, owner) == heard and not reads(served, stranger, owner)


@pytest.mark.parametrize("access", ["presence", "open"])
def test_k9_a_node_that_others_may_write_is_an_alarm_and_is_set_back(served, people, access):
    owner, stranger = people(2, tokens=[0])
    name = make_user_key(owner)
    assert owner.signet("publish", owner.jid, "--access", access)["node"]["publish_model"] == "publishers"
    set_publish_model(owner, "open")
    key = Key(stranger.jid)
    item = f"<pubsub xmlns='{NS_PUBSUB}'><publish node='{NS_PUBKEY}'><item id='{key.name}'>{key.keyinfo()}</item></publish>" \
           "</pubsub>"
    with live(stranger) as client:
        assert client.iq("set", item, owner.jid).get("type") == "result"
        error, about = refused(owner, "publish", owner.jid, "--show")
        assert error == "FeatureMissing" and "publish model is open" in about["message"]
        assert owner.signet("status")["accounts"][0]["more_open"]
        node = owner.signet("publish", owner.jid)["node"]
        assert (node["publish_model"], node["access"], node["more_open"]) == ("publishers", access, False)
        assert client.iq("set", item, owner.jid).get("type") == "error"
    shown = owner.signet("publish", owner.jid, "--show")
    assert name in {k["name"] for k in shown["keys"]}
    assert shown["others"] == [k["name"] for k in shown["keys"] if k["name"] != name]
    if not node["made_anew"]:
        assert shown["others"] == [key.name]


# ---- a server that says one thing and does another

FORM = "<pubsub xmlns='http://jabber.org/protocol/pubsub#owner'><configure node='urn:xmpp:tmp:pubkey'>" \
       "<x xmlns='jabber:x:data' type='form'>{}</x></configure></pubsub>"
FIELD = "<field var='pubsub#{}'><value>{}</value></field>"
MEMBERS = "<pubsub xmlns='http://jabber.org/protocol/pubsub#owner'><affiliations node='urn:xmpp:tmp:pubkey'>{}" \
          "</affiliations></pubsub>"
SUBSCRIBERS = "<pubsub xmlns='http://jabber.org/protocol/pubsub#owner'><subscriptions node='urn:xmpp:tmp:pubkey'>{}" \
              "</subscriptions></pubsub>"
TYBALT = "<subscription jid='tybalt@xmpp.test/r' subscription='subscribed'/>"
MISSING = "<error type='cancel'><feature-not-implemented xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
ROMEO = "<affiliation jid='romeo@xmpp.test' affiliation='member'/>"


def lying(pki, form, members="", subscribers=None, fails=None):
    """Takes all that is asked for and shows something else; gives the questions it has heard."""
    def script(c):
        c.login()
        heard = []
        with contextlib.suppress(EOFError, OSError):
            while True:
                question, text = c.question()
                heard.append(text)
                if "<subscriptions" in text and subscribers is None or fails is not None and fails in text:
                    c.send(f"<iq type='error' id='{question}'>{MISSING}</iq>")
                    continue
                inner = "" if "type='set'" in text else MEMBERS.format(members) if "affiliations" in text \
                    else subscribers if "<subscriptions" in text else form
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
    kind, node = worker.ask(f.PEP_PUBLISH, {"access_model": "whitelist", "members": ["romeo@xmpp.test"], 
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


WHITELIST = FORM.format(FIELD.format("access_model", "whitelist"))


@pytest.mark.parametrize("form, members, subscribers, fails, is_private", [
    (WHITELIST, ROMEO, SUBSCRIBERS.format(TYBALT.replace("tybalt", "romeo")), None, True),
    (WHITELIST, ROMEO, SUBSCRIBERS.format(TYBALT.replace("subscribed", "none")), None, True),
    (WHITELIST, ROMEO, SUBSCRIBERS.format(TYBALT), None, False),
    (WHITELIST, ROMEO, SUBSCRIBERS.format(TYBALT), "<delete ", False),
    (WHITELIST, ROMEO.replace("member", "publish-only"), None, None, False),
    (WHITELIST, ROMEO + ROMEO.replace("romeo", "tybalt").replace("member", "outcast"), None, None, True),
    (FORM.format(FIELD.format("access_model", "whitelist") + FIELD.format("publish_model", "publishers")), ROMEO, None, None,
     True),
    (FORM.format(FIELD.format("access_model", "whitelist") + FIELD.format("publish_model", "open")), ROMEO, None, None, False),
])
def test_k9_no_key_goes_out_while_others_are_subscribed_or_may_write(pki, workers, form, members, subscribers, fails, is_private):
    server, worker = lying(pki, form, members, subscribers, fails), workers()
    online(worker.connect(account(server, pki), PASSWORD))
    key = Key()
    kind, node = worker.ask(f.PEP_PUBLISH, {"access_model": "whitelist", "members": ["romeo@xmpp.test"],
                                            "keyinfos": [{"name": key.name, "kind": 1, "data": key.der}]})
    assert kind == f.PEP_NODE and node["exists"] and node["published"] == is_private
    assert node["subscribers_told"] == (subscribers is not None)
    assert node["uncertain"] == (fails is not None)
    worker.ask(f.DISCONNECT)
    (heard,) = server.close()
    assert any("<publish " in text for text in heard) == is_private
    assert any("<delete " in text for text in heard) == (not is_private)
    # To look changes nothing.
    server, worker = lying(pki, form, members, subscribers, fails), workers()
    online(worker.connect(account(server, pki), PASSWORD))
    assert worker.ask(f.PEP_SHOW)[0] == f.PEP_NODE
    worker.ask(f.DISCONNECT)
    (heard,) = server.close()
    assert not any("type='set'" in text and "pubsub" in text for text in heard)


def node_is_untold(node):
    return node["access_model"] is None and node["published"] == 0
