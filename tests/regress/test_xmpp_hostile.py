"""signet-xmpp logging in to a server that means ill or is broken: it stays alive, sane and well-spoken."""
import base64
import os

import pytest

import xmpp_frames as f
from rogue_server import PROCEED, STREAM, mechanisms
from world import DOMAIN
from xmpp_world import PASSWORD, account, connect, online, refused

pytest_plugins = ["xmpp_fixtures"]


# ---- before and during the login

@pytest.mark.parametrize("offered", [("PLAIN",), ("PLAIN", "DIGEST-MD5", "ANONYMOUS", "EXTERNAL"), (),
                                     ("SCRAM-SHA-1-PLUS",), ("x" * 3000,)])
def test_no_allowed_mechanism(pki, workers, rogue, offered):
    def script(c):
        c.starttls()
        c.send(STREAM + mechanisms(*offered))
        return c.hear_all()

    server, worker = rogue(script), workers()
    got = refused(connect(worker, server, pki), f.AUTH)
    for name in offered:
        assert len(name) > 20 or name in got["message"]
    assert "<auth" not in server.close()[0]


def test_mechanisms_before_tls_do_not_count(pki, workers, rogue):
    def script(c):
        features = mechanisms("PLAIN").replace("</stream:features>", "") + \
            "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>"
        c.starttls(features)
        c.send(STREAM + "<stream:features/>")
        return c.hear_all()

    server, worker = rogue(script), workers()
    refused(connect(worker, server, pki), f.AUTH)
    assert "<auth" not in server.close()[0]


def test_no_tls(pki, workers, rogue):
    def script(c):
        c.hear("<stream:stream[^>]*>")
        c.send(STREAM + mechanisms("SCRAM-SHA-1", "PLAIN"))
        return c.hear_all()

    server, worker = rogue(script), workers()
    refused(connect(worker, server, pki), f.TLS)
    assert "<auth" not in server.close()[0]


def test_strongest_scram_and_one_try(pki, workers, rogue):
    def script(c):
        c.starttls()
        c.send(STREAM + mechanisms("PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-512", "SCRAM-SHA-256", "DIGEST-MD5"))
        chosen = c.challenge()
        c.hear("</response>")
        c.send("<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><account-disabled/>"
               "<text xml:lang='en'>Gone \u2603 fishing</text></failure>")
        return chosen, c.hear_all()

    server, worker = rogue(script), workers()
    got = refused(connect(worker, server, pki), f.AUTH)
    assert got["condition"] == "account-disabled" and "Gone \u2603 fishing" in got["message"]
    (chosen, heard), = server.close()
    assert chosen == "SCRAM-SHA-512"
    assert heard.count("<auth") == 1


@pytest.mark.parametrize("rounds, salt, word", [
    (1, "c2FsdHNhbHQ=", "too few"), (4095, "c2FsdHNhbHQ=", "too few"), (2000000000, "c2FsdHNhbHQ=", "too many"),
    (4096, "QUFB" * 60, "malformed"), ("junk", "c2FsdHNhbHQ=", "too few"), (4096, "", "malformed")])
def test_bad_challenges(pki, workers, rogue, rounds, salt, word):
    def script(c):
        c.starttls()
        c.send(STREAM + mechanisms("SCRAM-SHA-256"))
        c.challenge(rounds, salt)
        return c.hear_all()

    server, worker = rogue(script), workers()
    assert word in refused(connect(worker, server, pki), f.AUTH)["message"]
    assert "<response" not in server.close()[0]


def disguised(name, inside, ns):
    """libstrophe takes a stanza for one of a namespace when any child is in it: so must we, or refuse it."""
    return f"<{name} xmlns='urn:example:other'><a xmlns='{ns}'/>{inside}</{name}>"


@pytest.mark.parametrize("name, inside", [
    ("features", "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms>"),
    ("error", "")])
def test_disguised_features(pki, workers, rogue, name, inside):
    def script(c):
        c.starttls()
        c.send(STREAM + disguised(name, inside, "http://etherx.jabber.org/streams"))
        return c.hear_all()

    server, worker = rogue(script), workers()
    assert "namespace" in refused(connect(worker, server, pki), f.FORMAT)["message"]
    assert "<auth" not in server.close()[0]


def test_disguised_proceed(pki, workers, rogue):
    def script(c):
        c.starttls(proceed=disguised("proceed", "", "urn:ietf:params:xml:ns:xmpp-tls"))

    server, worker = rogue(script), workers()
    assert "namespace" in refused(connect(worker, server, pki), f.FORMAT)["message"]


@pytest.mark.parametrize("name", ["challenge", "success", "failure"])
def test_disguised_answers_to_auth(pki, workers, rogue, name):
    text = base64.b64encode(b"r=x,s=c2FsdHNhbHQ=,i=1").decode()

    def script(c):
        c.starttls()
        c.send(STREAM + mechanisms("SCRAM-SHA-256"))
        c.hear("</auth>")
        c.send(disguised(name, text, "urn:ietf:params:xml:ns:xmpp-sasl"))
        return c.hear_all()

    server, worker = rogue(script), workers()
    assert "namespace" in refused(connect(worker, server, pki), f.FORMAT)["message"]


@pytest.mark.parametrize("answer", ["<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>!!</challenge>",
                                    "<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
                                    "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"])
def test_odd_answers_to_auth(pki, workers, rogue, answer):
    def script(c):
        c.starttls()
        c.send(STREAM + mechanisms("SCRAM-SHA-256"))
        c.hear("</auth>")
        c.send(answer)
        return c.hear_all()

    server, worker = rogue(script), workers()
    refused(connect(worker, server, pki), f.AUTH)


# ---- SCRAM's other half: does the server know the password?

SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
UNPROVEN = "without proof that it knows the password"


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512"])
@pytest.mark.parametrize("more", ["", ",d=extension,x"])
def test_server_that_knows_the_password(pki, workers, rogue, mechanism, more):
    def script(c):
        c.authenticate(mechanism, rounds=5000, salt="MTIzNDU2Nzg5MDEyMw==", more=more)
        c.bind(f"juliet@{DOMAIN}/r")
        return c.hear_all()

    server, worker = rogue(script), workers()
    assert online(connect(worker, server, pki))["mechanism"] == mechanism
    assert worker.ask(f.DISCONNECT)[0] == f.OK


def impostor(answer):
    """A server with a trusted certificate, and no password; answer(connection) sends its <success/>."""
    def script(c):
        c.starttls()
        c.send(STREAM + mechanisms("SCRAM-SHA-1", "SCRAM-SHA-256"))
        c.challenge()
        c.hear("</response>")
        answer(c)
        return c.hear_all()
    return script


def element_inside(c):
    proof = base64.b64encode(c.verifier().encode()).decode()
    c.send(f"<success xmlns='{SASL}'>{proof[:8]}<a/>{proof}</success>")


UNPROVEN_ANSWERS = {
    "another password's": lambda c: c.sasl("success", c.verifier("another password")),
    "nothing": lambda c: c.send(f"<success xmlns='{SASL}'/>"),
    "an empty text": lambda c: c.send(f"<success xmlns='{SASL}'></success>"),
    "no verifier": lambda c: c.sasl("success", c.verifier()[2:]),
    "an empty verifier": lambda c: c.sasl("success", "v="),
    "a short verifier": lambda c: c.sasl("success", "v=" + base64.b64encode(base64.b64decode(c.verifier()[2:])[:-1]).decode()),
    "more than a verifier": lambda c: c.sasl("success", c.verifier() + "\0"),
    "an error": lambda c: c.sasl("success", "e=other-error"),
    "no Base64": lambda c: c.send(f"<success xmlns='{SASL}'>!!</success>"),
    "a long text": lambda c: c.send(f"<success xmlns='{SASL}'>{'QUFB' * 900}</success>"),
}


@pytest.mark.parametrize("answer", UNPROVEN_ANSWERS)
def test_server_that_does_not_know_the_password(pki, workers, rogue, answer):
    server, worker = rogue(impostor(UNPROVEN_ANSWERS[answer])), workers()
    assert UNPROVEN in refused(connect(worker, server, pki), f.AUTH)["message"]
    assert server.close()[0].count("<stream:stream") == 2


@pytest.mark.parametrize("answer, word", [
    (element_inside, "element"),
    (lambda c: c.send(f"<success xmlns='{SASL}'>{'QUFB' * 2000}</success>"), "too long"),
    (lambda c: c.sasl("challenge", c.verifier()), "second")])
def test_odd_ends_of_scram(pki, workers, rogue, answer, word):
    server, worker = rogue(impostor(answer)), workers()
    assert word in refused(connect(worker, server, pki), f.AUTH)["message"]
    assert server.close()[0].count("<stream:stream") == 2


@pytest.mark.parametrize("proof", ["", "v=AAAAAAAAAAAAAAAAAAAAAAAAAAA="])
def test_success_without_challenge(pki, workers, rogue, proof):
    def script(c):
        c.starttls()
        c.send(STREAM + mechanisms("SCRAM-SHA-1"))
        c.hear("</auth>")
        c.sasl("success", proof)
        return c.hear_all()

    server, worker = rogue(script), workers()
    assert UNPROVEN in refused(connect(worker, server, pki), f.AUTH)["message"]
    assert server.close()[0].count("<stream:stream") == 2


@pytest.mark.parametrize("nonce", ["{}", "", "rogue", "x{}", "rogue{}rogue"])
def test_challenge_of_another_nonce(pki, workers, rogue, nonce):
    def script(c):
        c.starttls()
        c.send(STREAM + mechanisms("SCRAM-SHA-256"))
        c.challenge(nonce=nonce)
        return c.hear_all()

    server, worker = rogue(script), workers()
    assert "does not answer ours" in refused(connect(worker, server, pki), f.AUTH)["message"]
    assert "<response" not in server.close()[0]


@pytest.mark.parametrize("more", [",r=rogue", ",i=1", ",s=QUFB", ",m=must-know", ",i=4096,s=QUFB"])
def test_challenge_that_says_it_twice(pki, workers, rogue, more):
    """libstrophe would take the last of each; the checks must have seen the same."""
    def script(c):
        c.starttls()
        c.send(STREAM + mechanisms("SCRAM-SHA-256"))
        c.challenge(more=more)
        return c.hear_all()

    server, worker = rogue(script), workers()
    assert "malformed" in refused(connect(worker, server, pki), f.AUTH)["message"]
    assert "<response" not in server.close()[0]


def test_challenge_with_an_element_inside(pki, workers, rogue):
    """libstrophe skips the element: one text could be judged, and another be answered."""
    def script(c):
        c.starttls()
        c.send(STREAM + mechanisms("SCRAM-SHA-256"))
        match = c.hear("<auth [^>]*>([^<]*)</auth>")
        nonce = base64.b64decode(match[1]).decode().split("r=")[1]
        weak, strong = (base64.b64encode(f"r={nonce}x,s=QUFBQUFB,i={i}".encode()).decode() for i in (1, 4096))
        c.send(f"<challenge xmlns='{SASL}'>{weak}<a>{strong}</a></challenge>")
        return c.hear_all()

    server, worker = rogue(script), workers()
    assert "element" in refused(connect(worker, server, pki), f.AUTH)["message"]
    assert "<response" not in server.close()[0]


@pytest.mark.parametrize("name", ["ju=liet", "ju,liet", "=3d"])
def test_user_name_that_scram_would_escape(pki, workers, rogue, name):
    """libstrophe does not escape it (RFC 5802 5.1): another name might be meant by it."""
    server, worker = rogue(lambda c: c.hear_all()), workers()
    got = refused(connect(worker, server, pki, jid=f"{name}@{DOMAIN}"), f.UNSUPPORTED)
    assert "user name" in got["message"]
    assert server.close() == []


# ---- after it

def test_features_without_bind(pki, workers, rogue):
    def script(c):
        c.authenticate("SCRAM-SHA-256")
        c.send(STREAM + "<stream:features/>")
        return c.hear_all()

    server, worker = rogue(script), workers()
    assert "binding" in refused(connect(worker, server, pki), f.AUTH)["message"]


@pytest.mark.parametrize("jid", [f"romeo@{DOMAIN}/r", f"juliet@{DOMAIN}", "", "juliet@elsewhere.test/r"])
def test_foreign_jid_bound(pki, workers, rogue, jid):
    def script(c):
        c.authenticate("SCRAM-SHA-256")
        c.bind(jid)
        return c.hear_all()

    server, worker = rogue(script), workers()
    refused(connect(worker, server, pki), f.AUTH)


def test_bytes_before_tls_do_not_count_after_it(pki, workers, rogue):
    """What somebody on the way puts behind <proceed/> must not be taken for the server's."""
    injected = PROCEED + "<stream:error><host-gone xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"

    def script(c):
        c.starttls(proceed=injected)
        c.send(STREAM + mechanisms("PLAIN"))
        return c.hear_all()

    server, worker = rogue(script), workers()
    got = refused(connect(worker, server, pki), f.AUTH)
    assert got["condition"] is None and "host-gone" not in got["message"]


@pytest.mark.parametrize("opening", [
    b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b 'bbbb'>]><a>&b;</a>",
    b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0" * 5000, b"<stream", b"", b"<a/>", b"</stream:stream>",
    STREAM.encode() + b"<stream:error/>", STREAM.encode() + b"<stream:features><starttls/></stream:features>",
    STREAM.encode() + b"</stream:stream>", STREAM.encode() + b"<x>&b;</x>", STREAM.encode() + b"<x></y>"])
def test_odd_openings(pki, workers, rogue, opening):
    def script(c):
        c.hear("<stream:stream[^>]*>")
        c.send(opening)

    server, worker = rogue(script), workers()
    kind, message = connect(worker, server, pki)
    assert kind == f.ERROR and message["code"] in (f.NO_CONNECTION, f.FORMAT, f.TLS), message


def test_billion_laughs(pki, workers, rogue):
    def script(c):
        c.hear("<stream:stream[^>]*>")
        entities = "".join(f"<!ENTITY e{i} '{f'&e{i - 1};' * 10}'>" for i in range(1, 10))
        c.send(f"<?xml version='1.0'?><!DOCTYPE s [<!ENTITY e0 '<a/>'>{entities}]>" + STREAM[21:] + "<x>&e9;</x>")
        return c.hear_all()

    server, worker = rogue(script), workers()
    assert "document type" in refused(connect(worker, server, pki), f.FORMAT)["message"]


@pytest.mark.long
def test_silent_servers(pki, workers, rogue):
    """At every step of the login: silence ends in a timeout, also where libstrophe would wait for ever."""
    def tcp_only(c):
        return c.hear_all()

    def no_handshake(c):
        c.hear("<stream:stream[^>]*>")
        c.send(STREAM + "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>")
        c.hear("<starttls[^>]*>")
        c.send(PROCEED)
        return c.hear_bytes()

    def no_binding(c):
        c.starttls()
        c.send(STREAM + mechanisms("SCRAM-SHA-256"))
        return c.hear_all()

    waiting = []
    for script in (tcp_only, no_handshake, no_binding):
        server, worker = rogue(script), workers()
        values = account(server, pki)
        waiting.append((worker, worker.send(f.CONNECT, values, password_fd())))
    codes = [worker.wait(frame_id)[1]["code"] for worker, frame_id in waiting]
    assert codes[1] == codes[2] == f.TIMEOUT and codes[0] in (f.TIMEOUT, f.NO_CONNECTION, f.TLS), codes


def password_fd():
    end, other = os.pipe()
    os.write(other, PASSWORD.encode())
    os.close(other)
    return end
