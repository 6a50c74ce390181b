"""Watching (K11): our presence and what it says, events, and fetching again; and that nobody else notices."""
import base64
import hashlib
import os
import signal
import sqlite3

import pytest

from agent_fixture import Agent
from key_node import Key, publish, retract
from key_people import NOBODY, as_it_stands, known, live, own_resource, sightings
from keyring_agent import add_account, connect, listed
from live_peer import error_of
from peer import NS_PUBKEY, NS_PUBSUB
from processes import suspend, until, wait_gone

pytest_plugins = ["server_fixtures"]
CAPS = "{http://jabber.org/protocol/caps}c"
DISCO = "{http://jabber.org/protocol/disco#info}"
EVENT = "http://jabber.org/protocol/pubsub#event"


def watching(watcher, owner):
    """The watcher is online, and the owner's server knows that it wants events."""
    watcher.online()
    with live(owner, "observer") as client:
        client.reach(watcher.jid)


def test_k11_presence_is_below_every_chat_and_names_our_capabilities(people):
    watcher, friend = people(2, friends=[(0, 1)])
    with live(friend) as client:
        watcher.online()
        resource = client.resource_of(watcher.jid)
        assert resource == own_resource(watcher)
        presence = next(p for p in client.stanzas("presence", resource) if p.get("type") is None)
        assert presence.findtext("{jabber:client}priority") == "-1"
        assert presence.find("{jabber:client}status") is None and presence.find("{jabber:client}show") is None
        caps = presence.find(CAPS)
        node = f"{caps.get('node')}#{caps.get('ver')}"
        for query in ("<query xmlns='http://jabber.org/protocol/disco#info'/>",
                      f"<query xmlns='http://jabber.org/protocol/disco#info' node='{node}'/>"):
            info = client.iq("get", query, resource).find(f"{DISCO}query")
            features = [f.get("var") for f in info.findall(f"{DISCO}feature")]
            assert f"{NS_PUBKEY}+notify" in features and features == sorted(features)
            identity, = info.findall(f"{DISCO}identity")
            text = f"{identity.get('category')}/{identity.get('type')}//<" + "".join(f + "<" for f in features)
            assert base64.b64encode(hashlib.sha1(text.encode()).digest()).decode() == caps.get("ver")
        other = "<query xmlns='http://jabber.org/protocol/disco#info' node='signet#other'/>"
        assert error_of(client.iq("get", other, resource)) == "service-unavailable"
        watcher.signet("account", "disconnect", watcher.jid)
        client.wait_for(lambda: any(p.get("type") == "unavailable" for p in client.stanzas("presence", resource)))


def test_k11_no_message_and_no_request_is_taken_from_the_person(people):
    watcher, friend, stranger = people(3, friends=[(0, 1)])
    watcher.online()
    with live(watcher, "phone", 0) as phone, live(friend) as client, live(stranger) as other:
        client.send(f"<message to='{watcher.jid}' type='chat'><body>hello</body></message>")
        phone.wait_for(lambda: any(m.findtext("{jabber:client}body") == "hello"
                                   for m in phone.stanzas("message", friend.jid)))
        other.send(f"<presence to='{watcher.jid}' type='subscribe'/>")
        phone.wait_for(lambda: any(p.get("type") == "subscribe" for p in phone.stanzas("presence", stranger.jid)))
        other.settle()
        assert {p.get("type") for p in other.stanzas("presence", watcher.jid)} <= {"unavailable"}
    assert own_resource(watcher).startswith(watcher.jid + "/")  # it is still there


def test_k11_events_come_into_the_keyring(served, people):
    watcher, owner = people(2, friends=[(0, 1)])
    watching(watcher, owner)
    key, other = Key(owner.jid), Key(owner.jid)
    publish(served, owner.name, key)
    until(lambda: known(watcher, key.name), "no event came")
    both = {(owner.jid, "event", None), (owner.jid, "node", None)}  # whose node was never read, is read then
    until(lambda: sightings(watcher, key.name) == both, "the node was not read")
    publish(served, owner.name, key, other)  # an event that comes twice is one
    until(lambda: known(watcher, other.name), "no second event came")
    assert sightings(watcher, other.name) == {(owner.jid, "event", None)}
    assert len(known(watcher, key.name)["sightings"]) == 2
    retract_with_notice(owner, key.name)
    if served.kind == "ejabberd":  # it tells of no retraction: the next fetch finds it
        watcher.signet("keyring", "fetch", owner.jid)
    until(lambda: known(watcher, key.name)["sightings"][0]["retracted"], "no retraction came")
    assert known(watcher, other.name)["sightings"][0]["retracted"] is None


@pytest.mark.parametrize("told_by", ["events", "another call"])
def test_k11_what_changes_while_a_client_takes_its_time_is_not_undone(served, people, told_by):
    """A call that fetched the node is told its keys as slowly as it reads them: what it is told at last is older than
    what was learned meanwhile, and changes none of that."""
    watcher, owner = people(2, friends=[(0, 1)])
    old, new, long = Key(owner.jid), Key(owner.jid), [Key(owner.jid) for _ in range(10)]
    for key in long:
        key.signatures += [("ab" * 20, "FUTURE-METHOD", b"s" * 48000)] * 2
    publish(served, owner.name, old, *long)
    with Agent(softhsm=False) as agent:
        def retracted(*keys):
            known_now = listed(agent)
            return [known_now[k.name]["retracted"] if k.name in known_now else None for k in keys]

        add_account(agent, served, watcher)
        with live(owner, "observer") as client:
            client.reach(watcher.jid)
        wanted = {"jid": watcher.jid, "from": owner.jid}
        agent.call("FetchKeys", wanted)
        lazy = agent.client()
        lazy.send("FetchKeys", wanted, more=True)
        told = len(lazy.receive()["keys"])
        publish(served, owner.name, new)
        retract_with_notice(owner, old.name)
        if told_by == "another call" or served.kind == "ejabberd":  # which tells of no retraction
            agent.call("FetchKeys", wanted)
        until(lambda: retracted(old, new) == [True, False], "it was not learned")
        while lazy.asked:
            told += len(lazy.receive()["keys"])
        assert told == 11 and retracted(old, new) == [True, False]


def test_k11_a_process_that_died_is_not_asked_for_a_node(served, people):
    """It is dead when the agent reads the last that it had to tell: of a node that is to be fetched then."""
    watcher, owner = people(2, friends=[(0, 1)])
    with Agent(softhsm=False) as agent:
        add_account(agent, served, watcher)
        with live(owner, "observer") as client:
            resource = client.reach(watcher.jid)
        process, key = agent.worker("xmpp")["pid"], Key(owner.jid)
        suspend(agent.popen.pid)
        publish(served, owner.name, key)
        with live(watcher, "phone") as phone:  # what came before has been read when this is answered
            assert phone.iq("get", "<ping xmlns='urn:xmpp:ping'/>", resource).get("type") == "result"
        os.kill(process, signal.SIGKILL)
        wait_gone(process)
        os.kill(agent.popen.pid, signal.SIGCONT)
        until(lambda: agent.call("Status")["accounts"][0]["state"] == "offline", "its end was not noticed")
        assert {s["source"] for s in listed(agent)[key.name]["sightings"]} == {"event"}
        assert agent.count(f"signet-xmpp for {watcher.jid} started") == 1
        connect(agent, watcher)
        until(lambda: len(listed(agent)[key.name]["sightings"]) == 2, "the node was not fetched after the next login")


def retract_with_notice(owner, name):
    with live(owner, "editor", None) as client:
        answer = client.iq("set", f"<pubsub xmlns='{NS_PUBSUB}'><retract node='{NS_PUBKEY}' notify='true'>"
                                  f"<item id='{name}'/></retract></pubsub>")
        assert answer.get("type") == "result"


def test_k11_a_purged_node_is_read_again(served, people):
    watcher, owner = people(2, friends=[(0, 1)])
    watching(watcher, owner)
    key = Key(owner.jid)
    publish(served, owner.name, key)
    until(lambda: (owner.jid, "node", None) in sightings(watcher, key.name), "the node was not read")
    with live(owner, "editor", None) as client:
        answer = client.iq("set", f"<pubsub xmlns='{NS_PUBSUB}#owner'><delete node='{NS_PUBKEY}'/></pubsub>")
        assert answer.get("type") == "result"
    if served.kind == "ejabberd":  # nor does it tell of this
        assert watcher.signet("keyring", "fetch", owner.jid)["keys"] == []
    until(lambda: all(s["retracted"] for s in known(watcher, key.name)["sightings"]), "the end of the node is not known")


def event(key, item_id=None, node=NS_PUBKEY):
    return f"<event xmlns='{EVENT}'><items node='{node}'><item id='{item_id or key.name}'>{key.keyinfo()}</item>" \
           "</items></event>"


def test_k11_events_count_only_from_the_owner_of_the_node(served, people):
    """A friend's client and a stranger's send what looks like an event; only a server can send from the bare JID."""
    watcher, friend, stranger = people(3, friends=[(0, 1)])
    watching(watcher, friend)
    resource, forged, real = own_resource(watcher), Key(friend.jid), Key(friend.jid)
    for person in (friend, stranger):
        with live(person, "forger", None) as client:
            for kind in ("headline", "normal"):
                client.send(f"<message to='{resource}' type='{kind}'>{event(forged)}</message>")
            client.settle()
    publish(served, friend.name, real)
    until(lambda: known(watcher, real.name), "no event came")
    assert known(watcher, forged.name) is None


def test_k1_k2_k10_what_is_malformed_in_an_event_is_left_out(served, people):
    watcher, owner = people(2, friends=[(0, 1)])
    watching(watcher, owner)
    keys = [Key(owner.jid) for _ in range(4)]
    two = keys[1].keyinfo().replace("</keyinfo>", "<pgpdata>aaaa</pgpdata></keyinfo>")
    publish(served, owner.name, ("ab" * 20, keys[0].keyinfo()), (keys[1].name, two),
            ("cd" * 20, keys[2].keyinfo(name="cd" * 20)),
            ("current", "<keyinfo xmlns='urn:xmpp:tmp:pubkey'/>"), (keys[3].name.upper(), keys[3].keyinfo()))
    until(lambda: known(watcher, keys[3].name), "the good one did not come")
    assert [k["name"] for k in watcher.signet("keyring", "list")["keys"]] == [keys[3].name]


@pytest.mark.parametrize("with_what", ["<x xmlns='urn:x'/>", f"<keyinfo xmlns='{NS_PUBKEY}'><name>{'ab' * 20}</name></keyinfo>"])
def test_k11_a_key_that_is_replaced_by_what_nobody_can_read_is_not_shown_any_more(served, people, with_what):
    watcher, owner = people(2, friends=[(0, 1)])
    watching(watcher, owner)
    key, other = Key(owner.jid), Key(owner.jid)
    publish(served, owner.name, key, other)
    until(lambda: (owner.jid, "node", None) in sightings(watcher, key.name) and known(watcher, other.name), "no event came")
    publish(served, owner.name, (key.name, with_what))
    until(lambda: known(watcher, key.name)["retracted"], "the node was not read")
    assert not known(watcher, other.name)["retracted"]


def age(person, seconds):
    """All that the person's agent watches was fetched so much earlier."""
    path = person.world.dir / f"agent-{person.name}/state/signet/agent.db"
    with sqlite3.connect(path) as db:
        changed = db.execute("UPDATE watched SET fetched = fetched - ?", (seconds,)).rowcount
    db.close()
    return changed


OVER_LIMITS = {
    "attributes": "<x " + " ".join(f"a{i}='{i}'" for i in range(400)) + "/>",
    "depth": "<b>" * 60 + "</b>" * 60,
    "namespace": f"<x xmlns='{'u' * 300}'/>",
    "namespaces": "<x " + " ".join(f"xmlns:n{i}='urn:{i}'" for i in range(400)) + "/>",
}


@pytest.mark.parametrize("what", OVER_LIMITS)
def test_k10_an_item_over_the_limits_costs_only_itself(served, people, what):
    """In an event and on the node: it is left out and counted, and what stands beside it is learned, gone or new."""
    watcher, owner = people(2, friends=[(0, 1)])
    watching(watcher, owner)
    before, gone, after = Key(owner.jid), Key(owner.jid), Key(owner.jid)
    publish(served, owner.name, before, gone)
    until(lambda: known(watcher, gone.name), "no event came")
    bad = f"<keyinfo xmlns='{NS_PUBKEY}'><name>{'ab' * 20}</name>{OVER_LIMITS[what]}</keyinfo>"
    publish(served, owner.name, ("ab" * 20, bad), after)
    until(lambda: known(watcher, after.name), "no event came")
    retract(served, owner.name, gone.name)
    got = watcher.signet("keyring", "fetch", owner.jid)
    assert {k["name"] for k in got["keys"]} >= {before.name, after.name} and got["way"] == "node"
    assert got["refused"] == (0 if what == "namespaces" else 1)  # prefixes that nothing has are no limit
    assert known(watcher, gone.name)["sightings"][0]["retracted"] is not None


@pytest.mark.parametrize("gone_by", [3600, 595])  # seconds: the second is over in some more
def test_k11_nodes_are_fetched_again_after_a_login(served, people, gone_by):
    """What changed while nobody listened, a retraction that no server tells of among it."""
    watcher, owner = people(2, friends=[(0, 1)])
    old, new = Key(owner.jid), Key(owner.jid)
    publish(served, owner.name, old)
    watcher.online()
    assert [k["name"] for k in watcher.signet("keyring", "fetch", owner.jid)["keys"]] == [old.name]
    watcher.stop()
    publish(served, owner.name, new)
    retract(served, owner.name, old.name)
    watcher.start().online()
    assert known(watcher, new.name) is None  # it was fetched just now: this can wait, for some minutes
    watcher.stop()
    assert age(watcher, gone_by) == 1
    watcher.start().online()
    until(lambda: known(watcher, new.name), "it was not fetched again")
    until(lambda: known(watcher, old.name)["sightings"][0]["retracted"], "the retraction was not found")
    assert sightings(watcher, new.name) == {(owner.jid, "node", None)}


def test_a_stranger_learns_nothing_of_a_watcher(served, people):
    """Not from presence, service discovery, a ping or PEP: all is as if nobody were there."""
    watcher, friend, stranger = people(3, friends=[(0, 1)])
    watcher.online()
    resource = own_resource(watcher)
    with live(friend) as client:
        assert client.resource_of(watcher.jid) == resource
        assert client.iq("get", "<ping xmlns='urn:xmpp:ping'/>", resource).get("type") == "result"
    with live(stranger) as client:
        client.send(f"<presence to='{watcher.jid}' type='probe'/>")
        for payload in ("<ping xmlns='urn:xmpp:ping'/>", "<query xmlns='http://jabber.org/protocol/disco#info'/>",
                        "<query xmlns='http://jabber.org/protocol/disco#items'/>", "<query xmlns='jabber:iq:version'/>"):
            for kind in ("get", "set"):
                there = client.raw_iq(payload, resource, kind)
                absent = client.raw_iq(payload, f"{watcher.jid}/{NOBODY}", kind)
                assert as_it_stands(there) == as_it_stands(absent)
        client.settle()
        assert [p for p in client.stanzas("presence", watcher.jid) if p.get("type") in (None, "unavailable")] == []




def test_watch_no_sends_no_presence(served, people):
    watcher, owner = people(2, friends=[(0, 1)])
    watcher.start()
    watcher.stop()
    conf = served.dir / f"agent-{watcher.name}/config/signet/signet.conf"
    conf.write_text(conf.read_text() + "[agent]\nwatch = no\n")
    key = Key(owner.jid)
    watcher.start()
    with live(owner) as client:
        watcher.online()
        client.settle()
        ping = client.iq("get", "<ping xmlns='urn:xmpp:ping'/>", own_resource(watcher))
        assert error_of(ping) == "service-unavailable"
        assert [p for p in client.stanzas("presence", watcher.jid) if p.get("type") is None] == []
    publish(served, owner.name, key)
    assert known(watcher, key.name) is None
    assert len(watcher.signet("keyring", "fetch", owner.jid)["keys"]) == 1  # when asked for


@pytest.mark.parametrize("value", ["maybe", "", "1"])
def test_watch_is_yes_or_no(people, value):
    watcher, = people(1)
    watcher.start()
    watcher.stop()
    conf = watcher.world.dir / f"agent-{watcher.name}/config/signet/signet.conf"
    conf.write_text(conf.read_text() + f"[agent]\nwatch = {value}\n")
    status, _, said = watcher.world.run("signetd", env=watcher.env, check=False)
    assert status != 0 and "watch" in said, said
