"""Direct requests and those about third parties (K12, K13): who is answered and with what, and how we ask."""
import contextlib
import json
import os
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from key_node import Key, publish, retract
from key_people import NOBODY, PUBKEYS, as_it_stands, configure, live, make_user_key, own_resource, refused, sightings
from live_peer import CLIENT, Q, error_of
from peer import NS_PUBKEY, NS_PUBSUB
from processes import until
from world import Failed

pytest_plugins = ["server_fixtures"]
UNKNOWN = "<query xmlns='urn:nobody:understands:this'/>"
DISCO_ITEMS = "http://jabber.org/protocol/disco#items"


def ask(inner="", about=None):
    return f"<pubkeys xmlns='{NS_PUBKEY}'{f' jid={about!r}' if about else ''}>{inner}</pubkeys>"


def names(answer):
    """The keys in a good answer."""
    assert answer.get("type") == "result"
    return [k.findtext(f"{Q}name") for k in answer.find(f"{Q}pubkeys")]


def processor_of(world, program):
    """Seconds of processor that the program took in this world, of all its processes."""
    taken = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            image = os.readlink(process / "exe")
            fields = (process / "stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if image.startswith(f"{world.dir}/") and image.endswith(f"/{program}"):
            taken += int(fields[11]) + int(fields[12])
    return taken / os.sysconf("SC_CLK_TCK")


def echoed(answer):
    """The request that an error shows again, before the error (K12)."""
    first, last = list(answer)
    assert last.tag == f"{CLIENT}error" and first.tag == f"{Q}pubkeys"
    return first


def test_k12_a_contact_gets_the_keys_whose_private_key_is_here(people):
    owner, friend = people(2, friends=[(0, 1)], tokens=[0])
    name = make_user_key(owner)
    owner.signet("publish", owner.jid)
    with live(friend) as client:
        resource = client.resource_of(owner.jid)
        answer = client.iq("get", PUBKEYS, resource)
        assert names(answer) == [name] and list(answer.find(f"{Q}pubkeys").attrib) == []
        assert names(client.iq("get", ask(f"<fprint>\n{name.upper()} </fprint><fprint>{'ab' * 20}</fprint>"),
                               resource)) == [name]
        answer = client.iq("get", ask(f"<fprint>{'ab' * 20}</fprint>"), resource)
        assert error_of(answer) == "item-not-found" and echoed(answer).findtext(f"{Q}fprint") == "ab" * 20
        for bad in ("<fprint>ab</fprint>", "<fprint/>", "<keyinfo/>", f"<fprint>{'g' * 40}</fprint>",
                    f"<fprint>{'ab' * 20}</fprint>" * 1001):
            answer = client.iq("get", ask(bad), resource)
            assert error_of(answer) == "bad-request" and echoed(answer) is not None
        assert as_it_stands(client.raw_iq(PUBKEYS, resource, "set")) == \
            as_it_stands(client.raw_iq(PUBKEYS, f"{owner.jid}/{NOBODY}", "set"))


@pytest.mark.parametrize("holds", [True, False])
def test_k12_a_stranger_gets_what_any_unknown_namespace_gets(people, holds):
    """The same bytes in the same order as for a namespace that nobody knows, and as the server gives for a client that
    is not there; whether keys are held or not, by name or not, of a third party that is known or not."""
    owner, friend, stranger = people(3, friends=[(0, 1)], tokens=[0])
    if holds:
        name = make_user_key(owner)
        owner.signet("publish", owner.jid)
    else:
        name = "ab" * 20
        owner.online()
    resource = own_resource(owner)
    with live(stranger) as client:
        for payload in (PUBKEYS, ask(f"<fprint>{name}</fprint>"), ask("<fprint>bad</fprint>"), ask(about=friend.jid),
                        ask(about=owner.jid), ask(about="nobody"), UNKNOWN):
            there = client.raw_iq(payload, resource)
            absent = client.raw_iq(payload, f"{owner.jid}/{NOBODY}")
            assert as_it_stands(there) == as_it_stands(absent)
            unknown = client.raw_iq(payload.replace(NS_PUBKEY, "urn:nobody:knows"), resource)
            assert as_it_stands(there.replace(NS_PUBKEY, "urn:nobody:knows")) == as_it_stands(unknown)
            assert error_of(client.iq("get", payload, resource)) == "service-unavailable"
    with live(friend) as client:  # of no use to the server either: no presence of a stranger's came of it
        client.settle()
        assert client.stanzas("presence", stranger.jid) == []


def test_k12_a_stranger_gets_all_of_an_odd_question_shown_again_as_by_the_server(people):
    owner, stranger = people(2, tokens=[0])
    owner.online()
    resource = own_resource(owner)
    with live(stranger) as client:
        for payload in (PUBKEYS + UNKNOWN, "<a xmlns=''/>", "<a xmlns='urn:x'><b xmlns=''/></a><c xmlns='urn:y'/>",
                        UNKNOWN + "<error type='cancel'/>", "<pubkeys xmlns='urn:xmpp:tmp:pubkey' xml:lang='fr'/>",
                        "<pubkeys xmlns='urn:xmpp:tmp:pubkey' xmlns:q='urn:q' q:z='1' z='2'><q:b/></pubkeys>",
                        f"<pubkeys xmlns='urn:xmpp:tmp:pubkey' {' '.join(f'b{i}=%s1%s' % (chr(39), chr(39)) for i in range(300))}/>",
                        f"<a xmlns='urn:x'>{'<b>' * 60}&lt;é&amp;&quot;&#9;{'</b>' * 60}</a>", f"<a xmlns='{'u' * 400}'/>",
                        f"<a xmlns='urn:x'>{'t' * 50000}</a>", f"<a xmlns='urn:x'>{'t<b/>' * 9000}</a>"):
            there = client.raw_iq(payload, resource)
            assert as_it_stands(there) == as_it_stands(client.raw_iq(payload, f"{owner.jid}/{NOBODY}")), payload


@pytest.mark.parametrize("kind, inner", [
    ("chat", "<body>Hello</body><a xmlns='urn:a'/>"), ("normal", "<body>Hello</body><a xmlns='urn:a'/>"),
    ("chat", "<encrypted xmlns='urn:xmpp:omemo:2'><header sid='1'/></encrypted><store xmlns='urn:xmpp:hints'/>"),
    ("normal", "<x xmlns='http://jabber.org/protocol/muc#user'><invite to='a@b.test'/></x>"),
    ("chat", "<propose xmlns='urn:xmpp:jingle-message:0' id='a'/>"), ("groupchat", "<a xmlns='urn:a'/>")])
def test_a_message_for_a_person_comes_back_as_from_an_absent_client(served, people, kind, inner):
    """Nothing is lost without a word. Prosody gives a message to an absent client to the others, or keeps it for them,
    and says nothing: there it is the error of a question."""
    owner, stranger = people(2, tokens=[0])
    owner.online()
    resource = own_resource(owner)
    with live(stranger) as client:
        def answered(to):
            mark = len(client.client.raw)
            client.send(f"<message type='{kind}' id='q' to='{to}'>{inner}</message>")
            pattern = re.compile(rb"<message [^>]*?id=['\"]q['\"].*?</message>", re.S)
            return client.wait_for(lambda: pattern.search(client.client.raw, mark))[0].decode()

        there = answered(resource)
        if served.kind == "prosody" and kind != "groupchat":
            absent = client.raw_iq("<a xmlns='urn:a'/>", f"{owner.jid}/{NOBODY}").replace("iq", "message")
        else:
            absent = answered(f"{owner.jid}/{NOBODY}")
        assert as_it_stands(there) == as_it_stands(absent)


@pytest.mark.parametrize("what", [f"<{{0}}><a {' '.join(f'b{i}=%si%s' % (chr(39), chr(39)) for i in range(257))}/></{{0}}>",
                                  f"<{{0}}>{'<b/>' * 20000}</{{0}}>"], ids=["attributes", "children"])
def test_a_stranger_does_not_take_the_agent_offline(people, what):
    owner, stranger = people(2, tokens=[0])
    owner.online()
    resource = own_resource(owner)
    with live(stranger) as client:
        for name, to in (("presence", owner.jid), ("presence", resource), ("message", resource)) * 2:
            client.send(what.format(name).replace(f"<{name}", f"<{name} to='{to}'", 1))
        large = what.format("q").replace("<q", "<q xmlns='urn:q'", 1)
        assert "service-unavailable" in client.raw_iq(large, resource)
        client.settle()
    account = owner.signet("status")["accounts"][0]
    assert account["state"] == "online" and own_resource(owner) == resource


@pytest.mark.parametrize("inner", ["<a q:b='1'/>", "<q:a/>", "<a xmlns='urn:x' q:b='1'><c/></a>"])
def test_a_prefix_that_the_server_leaves_undeclared_costs_its_stanza_only(people, inner):
    """ejabberd 23.01 takes what a stanza's own tag declares off, and passes on attributes that need it."""
    owner, stranger = people(2, tokens=[0])
    owner.online()
    resource = own_resource(owner)
    with live(stranger) as client:
        for name, to, more in (("presence", owner.jid, ""), ("message", resource, " type='chat'"), ("presence", resource, ""),
                               ("iq", resource, " type='get' id='q1'"), ("presence", owner.jid, " q:c='1'")):
            client.send(f"<{name} xmlns:q='urn:q' to='{to}'{more}>{inner}</{name}>")
        assert "service-unavailable" in client.raw_iq("<a xmlns='urn:x'/>", resource)
        client.settle()
    account = owner.signet("status")["accounts"][0]
    assert account["state"] == "online" and own_resource(owner) == resource


def test_a_stranger_does_not_keep_a_contact_waiting(people):
    """Presences to the account that cost their receiver far more than their sender would stall it."""
    owner, friend, stranger = people(3, friends=[(0, 1)], tokens=[0])
    name = make_user_key(owner)
    owner.signet("publish", owner.jid)
    resource = own_resource(owner)
    with live(friend) as contact, live(stranger) as other:
        assert names(contact.iq("get", PUBKEYS, resource)) == [name]
        before = processor_of(owner.world, "signet-xmpp")
        for _ in range(16):
            other.send(f"<presence to='{owner.jid}'><q>{'t<a/>' * 9000}</q></presence>")
        other.settle()
        assert names(contact.iq("get", PUBKEYS, resource)) == [name]
        assert processor_of(owner.world, "signet-xmpp") - before < 4


def test_the_address_of_the_agent_is_no_guess_and_no_stranger_sees_it(people):
    owner, friend, stranger = people(3, friends=[(0, 1)], tokens=[0])
    make_user_key(owner)
    seen = set()
    with live(stranger) as other:
        for _ in range(2):
            owner.online()
            owner.signet("publish", owner.jid, "--access", "open")
            resource = own_resource(owner).partition("/")[2]
            assert re.fullmatch("[0-9a-f]{32}", resource), resource
            seen.add(resource)
            other.send(f"<presence to='{owner.jid}'/><presence to='{owner.jid}' type='probe'/>"
                       f"<presence to='{owner.jid}' type='subscribe'/><message to='{owner.jid}'><body>x</body></message>")
            for payload in (PUBKEYS, UNKNOWN, "<ping xmlns='urn:xmpp:ping'/>", f"<query xmlns='{DISCO_ITEMS}'/>",
                            f"<pubsub xmlns='{NS_PUBSUB}'><items node='{NS_PUBKEY}'/></pubsub>"):
                other.iq("get", payload, owner.jid)
            owner.signet("account", "disconnect", owner.jid)
        other.settle()
        assert len(seen) == 2 and not any(resource.encode() in other.client.raw for resource in seen)


def test_k12_a_stranger_is_answered_as_fast_as_for_an_unknown_namespace(people):
    """The same road: the medians of both, measured in turn, are of one size."""
    owner, stranger = people(2, tokens=[0])
    make_user_key(owner)
    owner.signet("publish", owner.jid)
    resource, times = own_resource(owner), {PUBKEYS: [], UNKNOWN: [], ask(about=owner.jid): []}
    with live(stranger) as client:
        for _ in range(60):
            for payload, taken in times.items():
                begun = time.monotonic()
                client.iq("get", payload, resource)
                taken.append(time.monotonic() - begun)
    medians = sorted(sorted(taken)[30] for taken in times.values())
    assert medians[-1] < 2 * medians[0] + 0.005, medians


def test_k12_who_is_answered_is_what_the_person_said(people):
    owner, friend, stranger = people(3, friends=[(0, 1)], tokens=[0])
    name = make_user_key(owner)
    with live(owner, "laptop") as own, live(friend) as contact, live(stranger) as other:
        resource = own_resource(owner)

        def answered():
            return tuple(c.iq("get", PUBKEYS, resource).get("type") == "result" for c in (own, contact, other))

        assert answered() == (True, False, False)  # nothing was published yet
        assert names(own.iq("get", PUBKEYS, resource)) == [name]
        for direct, who in (("contacts", (1, 1, 0)), ("own", (1, 0, 0)), ("nobody", (0, 0, 0)),
                            (stranger.jid, (1, 0, 1)), (f"{friend.jid},{stranger.jid}/x", (1, 1, 1))):
            owner.signet("publish", owner.jid, "--direct", direct)
            assert answered() == who, direct
        owner.signet("publish", owner.jid, "--access", "open")  # it stays as it was said
        assert answered() == (1, 1, 1)
        assert owner.signet("publish", owner.jid, "--show")["direct"] == f"{friend.jid},{stranger.jid}"
        for bad in ("", "everybody", "a@b.test,,c@d.test", "nobody,a@b.test", ","):
            assert refused(owner, "publish", owner.jid, f"--direct={bad}")[0] == "ArgumentWrong"


def test_k12_without_a_word_the_access_model_says_it(people):
    owner, friend, guest = people(3, friends=[(0, 1)], tokens=[0])
    make_user_key(owner)
    resource = own_resource(owner)
    with live(friend) as contact, live(guest) as other:
        for args, who in ((("--access", "open"), (True, False)), (("--member", guest.jid), (False, True)),
                          (("--access", "presence"), (True, False))):
            owner.signet("publish", owner.jid, *args)
            assert tuple(c.iq("get", PUBKEYS, resource).get("type") == "result" for c in (contact, other)) == who


def test_k13_of_third_parties_only_the_own_resources_hear_and_only_what_is_open(served, people):
    owner, friend, third, private = people(4, friends=[(0, 1), (0, 2), (0, 3)], tokens=[0])
    make_user_key(owner)
    owner.signet("publish", owner.jid)
    resource, opened, closed = own_resource(owner), Key(third.jid), Key(private.jid)
    publish(served, third.name, opened, access="open")
    publish(served, private.name, closed)
    for person, key in ((third, opened), (private, closed)):
        until(lambda: sightings(owner, key.name), "no event came")
    with live(owner, "laptop") as own, live(friend) as contact:
        for about in (third.jid, private.jid, friend.jid, owner.jid):
            there = contact.raw_iq(ask(about=about), resource)
            assert as_it_stands(there) == as_it_stands(contact.raw_iq(ask(about=about), f"{owner.jid}/{NOBODY}"))
        answer = own.iq("get", ask(about=private.jid), resource)
        assert error_of(answer) == "item-not-found" and echoed(answer).get("jid") == private.jid
        assert error_of(own.iq("get", ask(about="a@nowhere.test"), resource)) == "item-not-found"
        assert len(names(own.iq("get", ask(about=owner.jid), resource))) == 1
        answer = own.iq("get", ask(about=third.jid), resource)
        if served.kind == "ejabberd":  # it tells nobody how open a node is, so none is taken for open
            assert error_of(answer) == "item-not-found"
            return
        assert names(answer) == [opened.name] and answer.find(f"{Q}pubkeys").get("jid") == third.jid
        assert error_of(own.iq("get", ask(f"<fprint>{closed.name}</fprint>", third.jid), resource)) == "item-not-found"
        configure(third, "whitelist")
        assert error_of(own.iq("get", ask(about=third.jid), resource)) == "item-not-found"


# ---- asking

def result(*keys, about=None):
    return f"<pubkeys xmlns='{NS_PUBKEY}'{f' jid={about!r}' if about else ''}>" + "".join(k.keyinfo() for k in keys) + \
        "</pubkeys>"


def test_k12_a_closed_node_is_followed_by_a_direct_request(served, people):
    asker, owner = people(2, friends=[(0, 1)])
    private, shown, other = Key(owner.jid), Key(owner.jid), Key(owner.jid)
    publish(served, owner.name, private, access="whitelist")
    with live(owner) as client, live(owner, "second") as second:
        asked = []
        client.answer(lambda request: (asked.append(request) or result(shown), "result"))
        second.answer(lambda request: (result(other, shown), "result"))
        asker.online()
        for each in (client, second):
            each.reach(asker.jid)
        got = asker.signet("keyring", "fetch", owner.jid)
        assert got["way"] == "direct" and {k["name"] for k in got["keys"]} == {shown.name, other.name}
        assert asked[0].attrib == {} and list(asked[0]) == []
        assert sightings(asker, shown.name) == {(owner.jid, "direct", None)}
        got = asker.signet("keyring", "fetch", owner.jid, shown.name)
        assert [k["name"] for k in got["keys"]] == [shown.name] and got["refused"] == 1  # what nobody asked for
        assert [e.text for e in asked[-1]] == [shown.name]
        assert [(t["way"], t["asked"], t["silent"]) for t in got["tried"]] == [("node", 0, 0), ("direct", 2, 0)]
        assert got["tried"][0]["said"] and got["tried"][1]["said"] is None
        got = asker.signet("keyring", "request", client.jid)
        assert {k["name"] for k in got["keys"]} == {shown.name}
        assert got["tried"] == [{"way": "direct", "asked": 1, "silent": 0, "said": None}]
    error, about = refused(asker, "keyring", "fetch", owner.jid)  # nobody is there any more: the node's own answer
    assert error == "PeerRefused" and "clients" not in about["message"]
    assert refused(asker, "keyring", "request", owner.jid)[0] == "KeyAbsent"


def test_k12_what_clients_answer_does_not_hide_that_the_node_is_empty(served, people):
    asker, owner = people(2, friends=[(0, 1)])
    old, new = Key(owner.jid), Key(owner.jid)
    publish(served, owner.name, old)
    with live(owner) as client:
        client.answer(lambda request: (result(new), "result"))
        asker.online()
        client.reach(asker.jid)
        asker.signet("keyring", "fetch", owner.jid)
        asker.signet("keyring", "trust", owner.jid, old.name)
        retract(served, owner.name, old.name)
        got = asker.signet("keyring", "fetch", owner.jid)
    assert (got["way"], [k["name"] for k in got["keys"]]) == ("direct", [new.name])
    path = asker.signet("keyring", "show", old.name, "--why")["path"]
    assert (path["verdict"], path["steps"][0]["breaks"]) == ("broken", "retracted")


def test_k12_that_clients_were_asked_and_kept_silent_is_told(served, people):
    asker, owner, closed = people(3, friends=[(0, 1), (0, 2)])
    publish(served, closed.name, Key(closed.jid), access="whitelist")
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(live(person, resource))
                   for person, resource in ((owner, "one"), (owner, "two"), (closed, "one"))]
        for client in clients:
            client.ignore()
        asker.online()
        for client in clients:
            client.reach(asker.jid)
        with ThreadPoolExecutor() as pool:  # each waits for as long as clients have to answer
            fetched = pool.submit(asker.signet, "keyring", "fetch", owner.jid)
            shown = pool.submit(asker.world.signet, asker.env, "keyring", "fetch", owner.jid)
            error, about = refused(asker, "keyring", "fetch", closed.jid)
        got = fetched.result()
        assert (got["keys"], got["way"]) == ([], "node")
        assert got["tried"][0] == {"way": "node", "asked": 0, "silent": 0, "said": None}
        assert (got["tried"][1]["asked"], got["tried"][1]["silent"]) == (2, 2) and got["tried"][1]["said"]
        assert error == "PeerRefused" and about["message"].endswith("; clients of it that were asked: 1, without an answer: 1")
        assert shown.result() == "No key was found: nothing is on its node; 2 of its clients were asked and did not answer.\n"
    until(lambda: asker.signet("keyring", "fetch", owner.jid)["tried"][1] == {"way": "direct", "asked": 0, "silent": 0, "said": None},
          "clients that are gone are asked")
    text = asker.world.signet(asker.env, "keyring", "fetch", owner.jid)
    assert text == "No key was found: nothing is on its node; none of its clients is there.\n"


def test_k12_asking_right_after_a_login_waits_for_who_is_there(people):
    asker, owner, absent = people(3, friends=[(0, 1), (0, 2)])
    key = Key(owner.jid)
    with live(owner) as client:
        client.answer(lambda request: (result(key), "result"))
        got = asker.signet("keyring", "request", owner.jid, *asker.password)
        assert [k["name"] for k in got["keys"]] == [key.name]
        asker.signet("account", "disconnect", asker.jid)
        assert refused(asker, "keyring", "request", absent.jid, *asker.password)[0] == "KeyAbsent"
        def ask_anew():
            asker.signet("account", "disconnect", asker.jid)
            return refused(asker, "keyring", "request", asker.jid, *asker.password)[0]

        with live(asker, "late"):  # one's own other clients count as well, once the server tells of them
            until(lambda: ask_anew() == "PeerRefused", "one's own client is not there")


def test_k13_a_third_party_is_asked_last_and_only_when_it_is_named(people):
    asker, owner, third = people(3, friends=[(0, 1), (0, 2)])
    key = Key(owner.jid)
    with live(third) as client:
        asked = []
        client.answer(lambda request: (asked.append(request.get("jid")) or result(key, about=owner.jid), "result"))
        asker.online()
        client.reach(asker.jid)
        got = asker.signet("keyring", "fetch", owner.jid)
        assert (got["keys"], got["way"], asked) == ([], "node", [])
        assert [t["way"] for t in got["tried"]] == ["node", "direct"]
        got = asker.signet("keyring", "fetch", owner.jid, "--ask", third.jid)
        assert got["way"] == "third" and [k["name"] for k in got["keys"]] == [key.name] and asked == [owner.jid]
        assert [(t["way"], t["asked"], t["silent"]) for t in got["tried"]] == [("node", 0, 0), ("direct", 0, 0), ("third", 1, 0)]
        assert sightings(asker, key.name) == {(owner.jid, "third", third.jid)}
        shown = asker.signet("keyring", "show", key.name)
        assert shown["key"]["decision"] == "undecided"
        got = asker.signet("keyring", "request", third.jid, "--about", owner.jid)
        assert got["way"] == "third" and [k["name"] for k in got["keys"]] == [key.name]
    assert refused(asker, "keyring", "fetch", owner.jid, "--ask", "nobody")[0] == "ArgumentWrong"


@pytest.mark.parametrize("reply, refusals", [
    ("", None), ("<x xmlns='urn:x'/>", None), ("<pubkeys xmlns='urn:xmpp:pubkey:2'/>", None),
    ("<pubkeys xmlns='urn:xmpp:tmp:pubkey' jid='somebody@else.test'/>", None), ("{good:somebody@else.test}", None),
    ("<pubkeys xmlns='urn:xmpp:tmp:pubkey'><keyinfo/></pubkeys>", 1),
    ("<pubkeys xmlns='urn:xmpp:tmp:pubkey'><keyinfo><name>zz</name></keyinfo></pubkeys>", 1),
    ("<pubkeys xmlns='urn:xmpp:tmp:pubkey'>" + "<keyinfo/>" * 1001 + "</pubkeys>", None),
    ("{named}", 1), ("{twice}", 1), ("{mixed}", 1),
])
def test_k1_k2_k12_malformed_answers_are_refused(people, reply, refusals):
    asker, owner = people(2, friends=[(0, 1)])
    key = Key(owner.jid)
    two = key.keyinfo().replace("</keyinfo>", "<openpgp>aaaa</openpgp></keyinfo>")
    text = {"{named}": f"<pubkeys xmlns='{NS_PUBKEY}'>{key.keyinfo(name='ab' * 20)}</pubkeys>",
            "{twice}": f"<pubkeys xmlns='{NS_PUBKEY}'>{two}</pubkeys>",
            "{mixed}": f"<pubkeys xmlns='{NS_PUBKEY}'>{key.keyinfo()}<keyinfo/></pubkeys>",
            "{good:somebody@else.test}": result(key, about="somebody@else.test")}.get(reply, reply)
    with live(owner) as client:
        client.answer(lambda request: (text, "result"))
        asker.online()
        client.reach(asker.jid)
        try:
            got = asker.signet("keyring", "request", client.jid)
        except Failed as failed:
            error = json.loads(failed.out)["error"]
            assert refusals is None and error in ("Malformed", "LimitExceeded"), failed.out
            got = {"keys": []}
        else:
            assert got["refused"] == refusals
        assert [k["name"] for k in got["keys"]] == ([key.name] if reply == "{mixed}" else [])
        assert asker.signet("status")["accounts"][0]["state"] == "online"
