"""Nodes with very many keys: asked for in pages, passed on in parts, told in several replies; and servers and workers
whose pages or parts never end, or are not what they say."""
import re

import pytest

import xmpp_frames as f
from agent_fixture import Agent
from key_node import Key, publish
from keyring_agent import QUIET, add_account, told
from peer import NS_PUBSUB
from person import new_people
from stand_in import stand_in
from varlink_client import secret
from world import DOMAIN
from xmpp_world import PASSWORD, account, online, refused

pytest_plugins = ["xmpp_fixtures", "server_fixtures"]
NODE, ROMEO = "urn:xmpp:tmp:pubkey", f"romeo@{DOMAIN}"
PAGE, ITEMS_MAX, PART = 250, 20000, 128


# ---- servers: what signet-xmpp makes of their pages

def items(numbers):
    """References with these numbers as their names."""
    return "".join(f"<item id='{n:040x}'><keyinfo xmlns='{NODE}'><name>{n:040x}</name></keyinfo></item>" for n in numbers)


def page(numbers, last=None, count=None):
    """The payload of a result with a page; last None: without a set, so it is the whole."""
    told_set = "" if last is None else "<set xmlns='http://jabber.org/protocol/rsm'>" + (f"<last>{last}</last>" if last else "") + \
        (f"<count>{count}</count>" if count is not None else "") + "</set>"
    return f"<pubsub xmlns='{NS_PUBSUB}'><items node='{NODE}'>{items(numbers)}</items>{told_set}</pubsub>"


class Pages:
    """A server whose answer(number of the question, where it is to begin) gives a page's payload, or an error's condition."""

    def __init__(self, answer):
        self.answer, self.asked = answer, []

    def __call__(self, c):
        c.login()
        while True:
            question, text = c.question()
            if f"to='{ROMEO}'" not in text:
                continue
            after = re.search("<after>([^<]*)</after>", text)
            self.asked.append((after[1] if after else None) if "/rsm'" in text else "all")
            payload = self.answer(len(self.asked), self.asked[-1])
            if payload.startswith("<"):
                c.send(f"<iq type='result' from='{ROMEO}' id='{question}'>{payload}</iq>")
            else:
                c.send(f"<iq type='error' from='{ROMEO}' id='{question}'><error type='cancel'><{payload} "
                       "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>")


def fetch(worker, **more):
    """The whole answer, put together: (type, message, how many keys each frame had)."""
    frame_id, keys, parts = worker.send(f.PEP_FETCH, {"jid": ROMEO, **more}), [], []
    while True:
        kind, message = worker.wait(frame_id)
        if kind != f.KEYINFOS:
            return kind, message, parts
        keys += message["keyinfos"]
        parts.append(len(message["keyinfos"]))
        if not message["more"]:
            return kind, {**message, "keyinfos": keys}, parts


def numbers_of(message):
    return [int(k["name"], 16) for k in message["keyinfos"]]


@pytest.fixture
def paged(pki, workers, rogue):
    """paged(answer) gives the server's script, which notes what was asked, and a worker that is online with it."""
    def start(answer):
        pages = Pages(answer)
        server, worker = rogue(pages), workers()
        online(worker.connect(account(server, pki), PASSWORD))
        return pages, worker
    return start


def test_pages_are_asked_for_one_after_the_other(paged):
    def answer(number, after):
        begin = int(after or 0)
        return page(range(begin, min(begin + PAGE, 600)), min(begin + PAGE, 600), 600)

    pages, worker = paged(answer)
    kind, message, _ = fetch(worker)
    assert (kind, numbers_of(message)) == (f.KEYINFOS, list(range(600)))
    assert pages.asked == [None, "250", "500"]


def test_a_server_without_pages_gives_all_at_once_and_it_goes_on_in_parts(paged):
    pages, worker = paged(lambda number, after: page(range(1000)))
    kind, message, parts = fetch(worker)
    assert (kind, numbers_of(message), pages.asked) == (f.KEYINFOS, list(range(1000)), [None])
    assert len(parts) >= 1000 / PART and max(parts) <= PART


@pytest.mark.parametrize("condition", ["bad-request", "feature-not-implemented"])
def test_a_server_that_refuses_pages_is_asked_for_all(paged, condition):
    pages, worker = paged(lambda number, after: condition if number == 1 else page(range(3)))
    assert numbers_of(fetch(worker)[1]) == [0, 1, 2]
    assert pages.asked == [None, "all"]


def test_named_keys_are_asked_for_without_pages(paged):
    pages, worker = paged(lambda number, after: page([7]))
    assert numbers_of(fetch(worker, names=[f"{7:040x}"])[1]) == [7]
    assert pages.asked == ["all"]


def test_pages_that_never_end_are_cut(paged):
    pages, worker = paged(lambda number, after: page(range(number * PAGE, (number + 1) * PAGE), number))
    kind, message, _ = fetch(worker)
    assert (kind, message["code"]) == (f.ERROR, f.LIMIT)
    assert len(pages.asked) == ITEMS_MAX / PAGE + 1
    assert fetch(worker, names=[f"{PAGE:040x}"])[0] == f.KEYINFOS  # nothing of it is left behind


@pytest.mark.parametrize("what, answer", [
    ("the same page", lambda number, after: page(range(PAGE), 9)),
    ("the same page under new marks", lambda number, after: page(range(PAGE), number)),
    ("the same mark", lambda number, after: page([number], "mark")),
])
def test_pages_that_come_again_end_it(paged, what, answer):
    pages, worker = paged(answer)
    kind, message, _ = fetch(worker)
    assert (kind, message["code"], len(pages.asked)) == (f.ERROR, f.FORMAT, 2)


def test_items_that_come_again_count_once(paged):
    def answer(number, after):
        return page([*range(number * 10), number, number], number) if number < 5 else page([], "")

    pages, worker = paged(answer)
    kind, message, _ = fetch(worker)
    assert (kind, sorted(numbers_of(message))) == (f.KEYINFOS, list(range(40)))
    assert len(pages.asked) == 5


@pytest.mark.parametrize("count", [0, 1, 400, 401, 100000, 99999999999, "-1", "junk", "", None])
def test_wrong_counts_are_not_believed(paged, count):
    """400 items, with a full page first: however many there are said to be, all come and it ends."""
    def answer(number, after):
        begin = int(after or 0)
        return page(range(begin, min(begin + PAGE, 400)), min(begin + PAGE, 400), count)

    pages, worker = paged(answer)
    kind, message, _ = fetch(worker)
    assert (kind, numbers_of(message)) == (f.KEYINFOS, list(range(400))), message
    assert len(pages.asked) == (2 if count in (0, 1, 400) else 3)


def test_an_error_between_pages_makes_the_answer_an_error(paged):
    _, worker = paged(lambda number, after: page(range(PAGE), 1) if number == 1 else "forbidden")
    kind, message, parts = fetch(worker)
    assert (kind, message["condition"]) == (f.ERROR, "forbidden")
    assert sum(parts) == PAGE  # the broker drops them


@pytest.mark.parametrize("last, code", [("x" * 2000, f.LIMIT), ("a</last><last>b", f.FORMAT)])
def test_marks_that_are_none(paged, last, code):
    _, worker = paged(lambda number, after: page([1], last))
    assert refused(fetch(worker)[:2], code)


# ---- a worker that was taken over: what signetd takes of parts

ENDLESS = """
class Endless(rogue_worker.Plain):
    def answer(self, frame_id, kind, message):
        if kind == f.PEP_FETCH:
            for part in range({parts}):
                keys = [{{"name": "%040x" % (part * 100 + i), "xml": "x" * {xml}}} for i in range({keys})]
                self.send(frame_id, f.KEYINFOS, {{"keyinfos": keys, "more": 1}})
            self.send(frame_id, *{end})
        else:
            self.send(frame_id, f.OK)

Endless().run()
"""


@pytest.fixture
def taken_over(tmp_path, monkeypatch):
    """Makes an agent whose signet-xmpp answers with so many parts, of so many keys of this length."""
    def make(parts, keys, xml, end="(f.KEYINFOS,)"):
        stand_in(tmp_path, monkeypatch, ENDLESS.format(parts=parts, keys=keys, xml=xml, end=end), programs=["signetd"])
        return Agent(softhsm=False, conf=QUIET)
    return make


WANTED = {"jid": "juliet@example.test", "from": "romeo@example.test", "password": {"fd": 0}}


@pytest.mark.parametrize("parts, keys, xml, end, error", [
    (201, 100, 10, "(f.KEYINFOS,)", "WorkerDied"),  # 20,100 keys
    (100, 100, 10000, "(f.KEYINFOS,)", "WorkerDied"),  # 100 MB
    (3, 100, 10, "(f.ERROR, {'code': f.STANZA, 'message': 'no', 'condition': 'forbidden'})", "PeerRefused"),
    (3, 100, 10, "(f.PEP_NODE, {})", "WorkerDied"),
], ids=["keys", "bytes", "error", "type"])
def test_parts_of_a_rogue_worker_are_limited(taken_over, parts, keys, xml, end, error):
    with taken_over(parts, keys, xml, end) as agent, secret("password") as fd:
        agent.call("AddAccount", {"jid": "juliet@example.test"})
        assert agent.error("FetchKeys", WANTED, [fd]).name == error
        assert agent.call("ListKeyring")["keys"] == []


def test_keys_too_long_for_a_reply_are_counted_and_kept(taken_over):
    with taken_over(3, 1, 600000) as agent, secret("password") as fd:
        agent.call("AddAccount", {"jid": "juliet@example.test"})
        got = agent.call("FetchKeys", WANTED, [fd])
        assert (got["count"], got["keys"]) == (3, [])
        assert len(agent.call("ListKeyring", {"jid": "romeo@example.test"})["keys"]) == 3


# ---- all the way, on real servers

COUNT = PAGE + 10


@pytest.fixture(scope="module")
def many():
    """More keys than a page holds, longer together than a reply may be; the last ones are long, and signed by the first."""
    keys = [Key() for _ in range(COUNT)]
    for key in keys[PAGE:]:
        key.signatures += [("ab" * 20, "FUTURE-METHOD", b"s" * 48000)] * 2
        keys[0].sign(key)
    return keys


@pytest.fixture(scope="module")
def friends(served, many):
    """Two people, one of whom has all these keys on the node: made once, for servers take long to be given so many."""
    juliet, romeo = new_people(served, 2, friends=[(0, 1)])
    publish(served, romeo.name, *many)
    return juliet, romeo


def test_all_keys_of_a_large_node(served, friends, many):
    """ejabberd gives them in pages, Prosody at once. Whoever wants several replies gets all; one reply has the first."""
    juliet, romeo = friends
    names = {k.name for k in many}
    with Agent(softhsm=False, conf=QUIET) as agent:
        add_account(agent, served, juliet)
        wanted = {"jid": juliet.jid, "from": romeo.jid}
        client = agent.client()
        client.send("FetchKeys", wanted, more=True)
        replies = [client.receive()]
        while len(keys := [k for r in replies for k in r["keys"]]) < COUNT:
            replies.append(client.receive())
        assert len(replies) > 10 and {(r["count"], r["refused"], r["way"]) for r in replies} == {(COUNT, 0, "node")}
        assert len(keys) == COUNT and {k["name"] for k in keys} == names
        assert {k["name"]: k["grade"] for k in keys} == \
            {k.name: "none" if i < PAGE else "sha256" for i, k in enumerate(many)}
        one = agent.call("FetchKeys", wanted)
        assert one["count"] == COUNT and 100 < len(one["keys"]) < COUNT
        assert [k["name"] for k in one["keys"]] == [k["name"] for k in keys][:len(one["keys"])]
        printed = told(agent, "keyring", "fetch", romeo.jid)
        assert [k["name"] for k in printed["keys"]] == [k["name"] for k in keys]
        assert {k["name"] for k in told(agent, "keyring", "list", romeo.jid)["keys"]} == names


def test_a_client_that_does_not_read_is_waited_for_by_nobody(served, friends, many):
    """It has asked for all keys and reads nothing: others are answered, and the keys come as soon as it reads."""
    juliet, romeo = friends
    with Agent(softhsm=False, conf=QUIET) as agent:
        add_account(agent, served, juliet)
        lazy = agent.client()
        for _ in range(4):  # together more than a connection may leave unread
            lazy.send("FetchKeys", {"jid": juliet.jid, "from": romeo.jid}, more=True)
        for _ in range(5):  # in much less than the half minute for which a client need not read
            assert agent.call("FetchKeys", {"jid": juliet.jid, "from": romeo.jid, "names": [many[0].name]})["count"] == 1
        keys = 0
        while keys < 4 * COUNT:
            keys += len(lazy.receive()["keys"])
        assert keys == 4 * COUNT
