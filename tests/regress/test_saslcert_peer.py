"""XEP-0257 at a server that does what it should not, or that others have filled: signet-xmpp with the test as its
broker and its server."""
import base64
import hashlib
import re

import pytest

import xmpp_frames as f
from xmpp_world import connect, online, refused

pytest_plugins = ["xmpp_fixtures"]

SASLCERT, CCM2 = "urn:xmpp:saslcert:1", "urn:xmpp:ccm2:revoke-cert:0"
OURS, THEIRS = b"our certificate", b"their certificate"
BY_XEP = {"protocol": 2}


def item(name, der):
    return f"<item><name>{name}</name><x509cert>{base64.b64encode(der).decode()}</x509cert></item>"


def sha256(der):
    return hashlib.sha256(der).hexdigest()


class Listing:
    """A server's list; answers gives an error for each question of that kind until it is used up, text in its place."""

    def __init__(self, *items, **answers):
        self.items, self.answers, self.heard = list(items), answers, []

    def __call__(self, connection):
        connection.login()
        while True:
            number, text = connection.question()
            kind, inner = re.search(r"<(\w+) xmlns=.urn:xmpp:saslcert:1.(?:/>|>(.*)</\1>)", text).groups()
            name = re.search("<name>(.*)</name>", inner or "")
            self.heard.append((kind, name and name[1]))
            left = self.answers.get(kind, [])
            if left and (said := left.pop(0)):
                condition = (f"<error type='cancel'><{said} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
                             if said.islower() else said)
                connection.send(f"<iq id='{number}' type='{'error' if said.islower() else 'result'}'>{condition}</iq>")
            elif kind == "items":
                connection.send(f"<iq id='{number}' type='result'><items xmlns='{SASLCERT}'>{''.join(self.items)}</items></iq>")
            else:
                connection.send(f"<iq id='{number}' type='result'/>")


@pytest.fixture
def listing(pki, workers, rogue):
    """A worker that is online at a Listing, as one whose server was known to have XEP-0257."""
    def start(*items, **answers):
        script, worker = Listing(*items, **answers), workers()
        online(connect(worker, rogue(script), pki, **BY_XEP))
        return worker, script
    return start


def append(worker, name="pc", der=OURS):
    return worker.ask(f.SASLCERT_APPEND, {"name": name, "der": der})


def test_a_name_that_is_taken_gets_a_number(listing):
    worker, server = listing(item("pc", THEIRS), item("pc 2", THEIRS))
    assert append(worker)[0] == f.OK
    assert server.heard == [("items", None), ("append", "pc 3")]


def test_a_conflict_all_the_same(listing):
    """The server knows names that its list does not tell: the next one, but not for ever."""
    worker, server = listing(item("pc 2", THEIRS), append=["conflict", "conflict"])
    assert append(worker)[0] == f.OK
    assert server.heard == [("items", None), ("append", "pc"), ("append", "pc 3"), ("append", "pc 4")]
    server.answers["append"] = ["conflict"] * 100
    server.heard.clear()
    assert refused(append(worker), f.STANZA)["condition"] == "conflict"
    assert len(server.heard) == 1 + 20


def test_what_is_there_already_is_not_sent_again(listing):
    """A client that crashed before the answer came."""
    worker, server = listing(item("pc", THEIRS), item("other", OURS))
    assert append(worker)[0] == f.OK
    assert server.heard == [("items", None)]


@pytest.mark.parametrize("condition", ["bad-request", "not-acceptable", "forbidden"])
def test_a_refusal_is_told_as_it_is(listing, condition):
    worker, server = listing(append=[condition])
    assert refused(append(worker), f.STANZA)["condition"] == condition
    assert [kind for kind, _ in server.heard] == ["items", "append"]


def test_items_that_cannot_be_read_hide_no_others(listing):
    worker, _ = listing("<item><name>bad</name></item>", item("pc", OURS), item("n" * 65537, THEIRS),
                        "<item><x509cert>YQ==</x509cert></item>", "<item><name>b</name><x509cert>*</x509cert></item>")
    kind, message = worker.ask(f.CCM2_LIST)
    assert kind == f.CCM2_CERTS
    assert [(c["name"], c["der"]) for c in message["certs"]] == [("pc", OURS)] and message["unread"] == 4


@pytest.mark.parametrize("said", ["<Other/>", f"<items xmlns='{SASLCERT}:2' A=''/>",
                                  f"<items xmlns='{SASLCERT}' A=''>" + "<item/>" * 10001 + "</items>"])
def test_what_is_no_list_is_refused(listing, said):
    for kind, values in ((f.CCM2_LIST, {}), (f.SASLCERT_APPEND, {"name": "x", "der": OURS}),
                         (f.CCM2_REVOKE, {"sha256": sha256(OURS)})):
        worker, server = listing(items=[said])
        refused(worker.ask(kind, values), f.LIMIT if "<item/>" in said else f.FORMAT)
        assert [kind for kind, _ in server.heard] == ["items"]


@pytest.mark.parametrize("only_disable", [0, 1])
def test_each_name_of_a_certificate_is_revoked(listing, only_disable):
    """Under any other it would still log in."""
    worker, server = listing(item("a", OURS), item("b", THEIRS), item("c &amp; d", OURS))
    assert worker.ask(f.CCM2_REVOKE, {"sha256": sha256(OURS), "only_disable": only_disable})[0] == f.OK
    verb = "disable" if only_disable else "revoke"
    assert server.heard == [("items", None), (verb, "a"), (verb, "c &amp; d")]


def test_what_is_not_there_cannot_be_revoked(listing):
    worker, server = listing(item("b", THEIRS))
    assert refused(worker.ask(f.CCM2_REVOKE, {"sha256": sha256(OURS)}), f.STANZA)["condition"] == "item-not-found"
    assert server.heard == [("items", None)]


def test_what_may_be_there_unread_is_not_told_to_be_absent(listing):
    worker, _ = listing(item("b", THEIRS), item("n" * 65537, OURS))
    error = refused(worker.ask(f.CCM2_REVOKE, {"sha256": sha256(OURS)}), f.FORMAT)
    assert error["condition"] is None and "it may be one of them" in error["message"]


def test_an_error_between_two_names_is_told(listing):
    worker, server = listing(item("a", OURS), item("b", OURS), revoke=["", "internal-server-error"])
    got = refused(worker.ask(f.CCM2_REVOKE, {"sha256": sha256(OURS)}), f.STANZA)
    assert got["condition"] == "internal-server-error" and len(server.heard) == 3


def test_ccm2_disables_nothing(pki, workers, rogue):
    """Nothing is sent."""
    def script(connection):
        connection.login()
        return connection.hear_all()

    server, worker = rogue(script), workers()
    online(connect(worker, server, pki, protocol=1))
    refused(worker.ask(f.CCM2_REVOKE, {"sha256": sha256(OURS), "only_disable": 1}), f.UNSUPPORTED)
    assert worker.ask(f.DISCONNECT)[0] == f.OK
    assert "revoke" not in server.close()[0]


@pytest.mark.parametrize("known", [0, 1, 2])
@pytest.mark.parametrize("domain, account, asked", [
    ([SASLCERT], [], "items"), ([], [SASLCERT], "items"), ([SASLCERT, CCM2], [], "list-certificates-request"),
    ([SASLCERT], [CCM2], "list-certificates-request"), ([CCM2], [SASLCERT], "list-certificates-request"),
    (["urn:xmpp:ping"], [], "list-certificates-request")])
def test_the_features_decide(pki, workers, rogue, known, domain, account, asked):
    """Whatever the server had before: ccm2 where any part of it is told, by the domain or the own account."""
    def script(connection):
        connection.login()
        for _ in range(2):
            number, text = connection.question()
            assert "disco#info" in text
            whom = re.search("to=[\"']([^\"']+)", text)[1]
            features = account if "@" in whom else domain
            connection.send(f"<iq id='{number}' type='result' from='{whom}'>"
                            "<query xmlns='http://jabber.org/protocol/disco#info'>"
                            + "".join(f"<feature var='{feature}'/>" for feature in features) + "</query></iq>")
        return connection.question()[1]

    server, worker = rogue(script), workers()
    online(connect(worker, server, pki, protocol=known))
    assert worker.ask(f.FEATURES)[0] == f.FEATURE_SET
    worker.send(f.CCM2_LIST)
    assert f"<{asked} " in server.close()[0]
