"""signet-xmpp against a server that means ill or is broken: it stays alive, sane and well-spoken."""
import base64
import os
import re
import threading
from pathlib import Path

import pytest

import xmpp_frames as f
from processes import PATIENCE
from rogue_server import PROCEED, STREAM, mechanisms
from world import DOMAIN
from xmpp_world import PASSWORD, PROGRAM, account, online, refused

pytest_plugins = ["xmpp_fixtures"]


def connect(worker, server, pki, **more):
    return worker.connect(account(server, pki, **more), PASSWORD)


def offline(worker, code):
    """The stream's end, told unasked."""
    frame_id, kind, message = worker.receive()
    assert (frame_id, kind) == (0, f.OFFLINE)
    assert message["code"] == code, message
    return message


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


# ---- online: what is too much

def peak(worker):
    """The most memory the worker ever had, in MiB."""
    if b"__asan_init" in PROGRAM.read_bytes():  # it keeps what was freed
        return 0
    return int(re.search(r"VmHWM:\s*(\d+)", Path(f"/proc/{worker.popen.pid}/status").read_text())[1]) // 1024


def nested(depth, name="a"):
    return f"<{name}>" * depth + f"</{name}>" * depth


# What anybody may have a server send us: one stanza, and it costs no more than that.
TOO_MUCH = {
    "attributes": lambda: "<message " + " ".join(f"a{i}='b'" for i in range(257)) + "/>",
    "many attributes": lambda: "<message " + " ".join(f"a{i}='b'" for i in range(20000)) + "/>",
    "attributes within": lambda: "<message><a>" + "<b " + " ".join(f"a{i}=''" for i in range(257)) + "/></a></message>",
    "attributes in all": lambda: "<message>" + ("<a>" + "<b " + " ".join(f"a{i}=''" for i in range(200)) + "/></a>") * 9000
                                 + "</message>",
    "long attribute": lambda: "<message a='" + "&apos;" * 600000 + "'/>",
    "children": lambda: "<message>" + "<b/>" * 20000 + "</message>",
    "in turns": lambda: "<message>" + ("<a>" + "<b/>" * 12000 + "</a>") * 15 + "</message>",
    "parts": lambda: "<message>" + ("<a>" + "<b/>" * 1000 + "</a>") * 500 + "</message>",
    "depth": lambda: "<message>" + nested(75000) + "</message>",
    "size": lambda: "<message>" + "<body>" + ("x" * 10000 + "<b/>") * 2000 + "</body></message>",
    "text": lambda: "<message><body>" + "x" * (20 << 20) + "</body></message>",
    "broken lines": lambda: "<message><body>" + "\n" * (3 << 20) + "</body></message>",
}
# What no server sends that is in its right mind.
FLOODS = {
    "deep, never closed": lambda: "<message>" + "<a>" * 200000,
    "endless": lambda: "<message><body>" + "x" * (70 << 20),
    "long tag": lambda: "<message a='" + "x" * (30 << 20),
    "comment": lambda: "<!--" + "x" * (30 << 20),
}


@pytest.mark.parametrize("what", TOO_MUCH)
def test_a_stanza_over_the_limits_costs_itself_only(pki, workers, rogue, what):
    """As a presence, a message and a question to us, twice each: the question gets the answer of one that nobody
    understands, and so does a small one that follows."""
    answered = threading.Event()

    def script(c):
        c.login()
        got = []
        stanza = TOO_MUCH[what]()
        iq = stanza.replace("<message", "<iq", 1).replace("</message>", "</iq>")
        presence = stanza.replace("<message", "<presence", 1).replace("</message>", "</presence>")
        for kind, text in (("presence", presence), ("message", stanza), ("iq", iq)) * 2:
            head = f"<{kind} from='mallory@evil.test/x'" + (" type='get' id='large'" if kind == "iq" else "")
            c.send(text.replace(f"<{kind}", head, 1))
            c.send("<iq type='get' from='mallory@evil.test/x' id='small'><a/></iq>")
            got += [c.hear("<iq .*?</iq> ")[0]] if kind == "iq" else []
            assert "id='small'" in c.hear("<iq .*?</iq> ")[0]
        answered.set()
        return got, c.hear_all()

    server, worker = rogue(script), workers()
    online(connect(worker, server, pki))
    assert answered.wait(PATIENCE)
    assert peak(worker) < 300
    worker.ask(f.DISCONNECT)
    (got, _), = server.close()
    for answer in got:
        assert re.fullmatch("<iq [^>]*><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:"
                            "xmpp-stanzas'/></error></iq> ", answer), answer
        assert "id='large'" in answer and "to='mallory@evil.test/x'" in answer


@pytest.mark.parametrize("what", TOO_MUCH)
def test_an_answer_over_the_limits_fails_its_question(pki, workers, rogue, what):
    def script(c):
        c.login()
        question, _ = c.question()
        inner = TOO_MUCH[what]().replace("<message", "<items", 1).replace("</message>", "</items>")
        c.send(f"<iq type='result' from='romeo@{DOMAIN}' id='{question}'>"
               f"<pubsub xmlns='http://jabber.org/protocol/pubsub'>{inner}</pubsub></iq>")
        question, _ = c.question()
        c.send(f"<iq type='result' from='romeo@{DOMAIN}' id='{question}'>{ITEMS % ''}</iq>")
        return c.hear_all()

    server, worker = rogue(script), workers()
    online(connect(worker, server, pki))
    fits = what in ("children", "in turns")  # many, but no more than a list of keys may have
    refused(worker.ask(f.PEP_FETCH, {"jid": f"romeo@{DOMAIN}"}), f.FORMAT if fits else f.LIMIT)
    assert worker.ask(f.PEP_FETCH, {"jid": f"romeo@{DOMAIN}"})[0] == f.KEYINFOS


@pytest.mark.parametrize("kind", ["presence", "message", "iq"])
def test_a_stanza_costs_what_its_bytes_do(pki, workers, rogue, kind):
    """Text and elements in turns, of which a tree that walks all siblings for each would cost the square."""
    answered = threading.Event()

    def script(c):
        c.login()
        head = f"<{kind} from='mallory@evil.test/x'" + (" type='get' id='x'" if kind == "iq" else "")
        for _ in range(20):
            c.send(f"{head}><q>{'t<a/>' * 9000}</q></{kind}>")
        c.send("<iq type='get' from='mallory@evil.test/x' id='last'><a/></iq>")
        c.hear("id='last'.*?</iq> ")
        answered.set()
        return c.hear_all()

    server, worker = rogue(script), workers()
    online(connect(worker, server, pki))
    assert answered.wait(PATIENCE)
    fields = Path(f"/proc/{worker.popen.pid}/stat").read_text().rsplit(")", 1)[1].split()
    assert (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") < 4  # of processor


@pytest.mark.parametrize("what", ["attributes", "children", "text"])
def test_limits_before_the_login_end_the_stream(pki, workers, rogue, what):
    def script(c):
        c.authenticate("SCRAM-SHA-256")
        c.send(STREAM + TOO_MUCH[what]())
        return c.hear_all()

    server, worker = rogue(script), workers()
    refused(connect(worker, server, pki), f.LIMIT)


@pytest.mark.parametrize("flood", FLOODS)
def test_floods(pki, workers, rogue, flood):
    def script(c):
        c.login()
        try:
            c.send(FLOODS[flood]())
        finally:
            c.hear_all()

    server, worker = rogue(script), workers()
    online(connect(worker, server, pki))
    offline(worker, f.LIMIT)
    assert peak(worker) < 300
    refused(worker.ask(f.FEATURES), f.OFFLINE_ERROR)  # alive


def test_a_message_for_a_person_is_refused(pki, workers, rogue):
    """Sent to this very resource, where nobody reads it, with a body or without. Never an error, a headline, an event of a
    node, nor one that was sent to the account."""
    def script(c):
        c.login()
        own = f"juliet@{DOMAIN}"
        event = "<event xmlns='http://jabber.org/protocol/pubsub#event'><items node='n'/></event>"
        for attributes, body in (("type='error'", "<body/>"), ("type='headline'", "<body/>"), ("", event)):
            c.send(f"<message {attributes} to='{own}/r' from='romeo@{DOMAIN}/x' id='no'>{body}</message>")
        c.send(f"<message type='chat' to='{own}' from='romeo@{DOMAIN}/x' id='no'><body>x</body></message>")
        got = []
        large = "<a " + " ".join(f"b{i}=''" for i in range(400)) + "/>" + nested(400)
        for attributes, inner in (("type='chat'", "<body>x</body><a/>"), ("", "<body>x</body>"), ("type='normal'", "<subject/>"),
                                  ("type='odd'", "<body/>"), ("type='groupchat'", "<body>x</body>"), ("type='chat'", large),
                                  ("type='chat'", "<encrypted xmlns='urn:xmpp:omemo:2'/><store xmlns='urn:xmpp:hints'/>"),
                                  ("", "<x xmlns='http://jabber.org/protocol/muc#user'><invite/></x>")):
            c.send(f"<message {attributes} to='{own}/r' from='romeo@{DOMAIN}/x' id='yes'>{inner}</message>")
            got.append(c.hear("<(message|iq) .*?</(message|iq)> ")[0])
        answered.set()
        return got, c.hear_all()

    answered = threading.Event()
    server, worker = rogue(script), workers()
    online(connect(worker, server, pki))
    assert answered.wait(PATIENCE)
    worker.ask(f.DISCONNECT)
    (got, heard), = server.close()
    assert "id='no'" not in heard
    for answer in got:
        assert re.fullmatch("<message [^>]*><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:"
                            "xmpp-stanzas'/></error></message> ", answer), answer
        assert "id='yes'" in answer and f"to='romeo@{DOMAIN}/x'" in answer and "type='error'" in answer


@pytest.mark.parametrize("junk, code", [
    ("<stream:error/>", f.OFFLINE_ERROR), ("<stream:error>text</stream:error>", f.OFFLINE_ERROR),
    ("<stream:error><text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>x</text></stream:error>", f.OFFLINE_ERROR),
    ("<a></b>", f.FORMAT), ("\x01", f.FORMAT), ("<a b='1' b='2'/>", f.FORMAT), ("<x:y/>", f.OFFLINE_ERROR),
    ("<iq x:y='1' type='get' id='1'/><message><x:y/></message><presence><a x:y='1'/></presence>", f.OFFLINE_ERROR),
    ("</stream:stream>", f.OFFLINE_ERROR), ("<iq/><iq type='result'/><iq type='error'/><iq type='get'/>", f.OFFLINE_ERROR),
    ("<message/><presence/><iq type='result' id=''/>" * 100, f.OFFLINE_ERROR)])
def test_junk(pki, workers, rogue, junk, code):
    def script(c):
        c.login()
        c.send(junk)

    server, worker = rogue(script), workers()
    online(connect(worker, server, pki))
    offline(worker, code)
    online(connect(worker, server, pki))


@pytest.mark.parametrize("undeclared", ["<x:y/>", "<stream:features><a x:y='1'/></stream:features>"])
def test_an_undeclared_prefix_in_the_login_ends_it(pki, workers, rogue, undeclared):
    def script(c):
        c.starttls()
        c.send(STREAM + undeclared)
        return c.hear_all()

    server, worker = rogue(script), workers()
    got = refused(connect(worker, server, pki), f.FORMAT)
    assert "prefix" in got["message"]
    assert "<auth" not in server.close()[0]


def test_stream_error_is_told(pki, workers, rogue):
    def script(c):
        c.login()
        c.send("<stream:error><not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>"
               "<text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>certificate revoked</text></stream:error></stream:stream>")
        return c.hear_all()

    server, worker = rogue(script), workers()
    online(connect(worker, server, pki))
    got = offline(worker, f.OFFLINE_ERROR)
    assert got["condition"] == "not-authorized" and "certificate revoked" in got["message"]


# ---- online: answers

def answers(text):
    """A script that answers the first question by this text, with %s for its id, and stays."""
    def script(c):
        c.login()
        question, _ = c.question()
        c.send(text.replace("%s", question))
        return c.hear_all()
    return script


ITEMS = ("<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:xmpp:tmp:pubkey'>%s</items></pubsub>")


@pytest.mark.parametrize("payload, code", [
    (nested(40), f.LIMIT), (nested(900), f.LIMIT),
    ("<pubsub xmlns='http://jabber.org/protocol/pubsub'>" + "<a/>" * 14000 + "</pubsub>", None),
    ("", f.FORMAT), ("<junk/>", f.FORMAT), ("text", f.FORMAT),
    ("<a " + " ".join(f"b{i}='c'" for i in range(100)) + "/>", f.LIMIT)])
def test_answers_over_our_limits_cost_only_themselves(pki, workers, rogue, payload, code):
    def script(c):
        c.login()
        for body in (payload, ITEMS % ""):
            question, _ = c.question()
            c.send(f"<iq type='result' from='romeo@{DOMAIN}' id='{question}'>{body}</iq>")
        return c.hear_all()

    server, worker = rogue(script), workers()
    online(connect(worker, server, pki))
    kind, message = worker.ask(f.PEP_FETCH, {"jid": f"romeo@{DOMAIN}"})
    assert kind == f.ERROR
    assert code is None or message["code"] == code, message
    kind, message = worker.ask(f.PEP_FETCH, {"jid": f"romeo@{DOMAIN}"})
    assert (kind, message["keyinfos"]) == (f.KEYINFOS, [])


def test_only_who_was_asked_may_answer(pki, workers, rogue):
    def script(c):
        c.login()
        question, text = c.question()
        assert f"to='romeo@{DOMAIN}'" in text
        for liar in ("mallory@evil.test", f"romeo@{DOMAIN}/r", DOMAIN, f"juliet@{DOMAIN}", ""):
            c.send(f"<iq type='error' from='{liar}' id='{question}'><error type='cancel'><gone "
                   "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>".replace(" from=''", ""))
        c.send(f"<iq type='result' from='Romeo@{DOMAIN.upper()}' id='wrong'/>")
        c.send(f"<iq type='result' from='Romeo@{DOMAIN.upper()}' id='{question}'>{ITEMS % ''}</iq>")
        question, text = c.question()
        assert " to=" not in text
        for liar in ("mallory@evil.test", f"juliet@{DOMAIN}/other", f"romeo@{DOMAIN}"):
            c.send(f"<iq type='result' from='{liar}' id='{question}'><list-of-certificates "
                   "xmlns='urn:xmpp:ccm2:list-certs:0'><x509certificate/></list-of-certificates></iq>")
        c.send(f"<iq type='result' from='juliet@{DOMAIN}/r' id='{question}'><list-of-certficiates "
               "xmlns='urn:xmpp:ccm2:list-certs:0'/></iq>")
        return c.hear_all()

    server, worker = rogue(script), workers()
    online(connect(worker, server, pki))
    kind, message = worker.ask(f.PEP_FETCH, {"jid": f"romeo@{DOMAIN}"})
    assert (kind, message.get("keyinfos")) == (f.KEYINFOS, []), message
    assert worker.ask(f.CCM2_LIST) == (f.CCM2_CERTS, {"certs": []})


def test_feature_questions_tolerate_one_error(pki, workers, rogue):
    def script(c):
        c.login()
        for _ in range(2):
            question, text = c.question()
            if f"to='{DOMAIN}'" in text:
                c.send(f"<iq type='error' from='{DOMAIN}' id='{question}'><error type='cancel'><forbidden "
                       "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>")
            else:
                assert f"to='juliet@{DOMAIN}'" in text
                c.send(f"<iq type='result' from='juliet@{DOMAIN}' id='{question}'><query "
                       "xmlns='http://jabber.org/protocol/disco#info'><feature var='x'/><feature var='x'/></query></iq>")
        return c.hear_all()

    server, worker = rogue(script), workers()
    online(connect(worker, server, pki))
    assert worker.ask(f.FEATURES) == (f.FEATURE_SET, {"features": ["x"]})


def test_errors_are_passed_on_cleanly(pki, workers, rogue):
    text = ("<iq type='error' id='%s'><error type='modify'><not-acceptable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>"
            "<text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>RSA below 2048</text></error></iq>")
    server, worker = rogue(answers(text)), workers()
    online(connect(worker, server, pki))
    got = refused(worker.ask(f.CCM2_ADD, {"name": "x", "csr": b"csr"}), f.STANZA)
    assert got["condition"] == "not-acceptable" and "RSA below 2048" in got["message"]


@pytest.mark.parametrize("error", [
    "", "<error/>", "<error><BAD-NAME xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>",
    "<error><a xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>" + "<b/>" * 10 + "</a></error>", "<error>" + nested(50) + "</error>",
    "<error><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>" + "x" * 100000 + "</text></error>"])
def test_odd_errors(pki, workers, rogue, error):
    server, worker = rogue(answers(f"<iq type='error' id='%s'>{error}</iq>")), workers()
    online(connect(worker, server, pki))
    kind, message = worker.ask(f.CCM2_LIST)
    assert kind == f.ERROR and message["code"] in (f.STANZA, f.LIMIT)
    assert len(message["message"]) < 1000


def test_stream_ends_during_a_request(pki, workers, rogue):
    def script(c):
        c.login()
        c.question()

    server, worker = rogue(script), workers()
    online(connect(worker, server, pki))
    refused(worker.ask(f.CCM2_LIST), f.OFFLINE_ERROR)
    offline(worker, f.OFFLINE_ERROR)


def test_stanza_in_single_bytes_and_in_large_records(pki, workers, rogue):
    def script(c):
        c.login()
        question, _ = c.question()
        for byte in f"<iq type='result' from='romeo@{DOMAIN}' id='{question}'>{ITEMS % ''}</iq>":
            c.send(byte)
        question, _ = c.question()
        c.send(f"<iq type='result' from='romeo@{DOMAIN}' id='{question}'>{ITEMS % ('<x>' + 'y' * 15000 + '</x>')}</iq>")
        c.send("   " * 100)
        return c.hear_all()

    server, worker = rogue(script), workers()
    online(connect(worker, server, pki))
    for _ in range(2):
        assert worker.ask(f.PEP_FETCH, {"jid": f"romeo@{DOMAIN}"})[0] == f.KEYINFOS


def test_white_space_keeps_alive(pki, workers, rogue):
    def script(c):
        c.login()
        for _ in range(300):
            c.send(" " * 4000)
        question, _ = c.question()
        c.send(f"<iq type='result' from='romeo@{DOMAIN}' id='{question}'>{ITEMS % ''}</iq>")
        return c.hear_all()

    server, worker = rogue(script), workers()
    online(connect(worker, server, pki))
    assert worker.ask(f.PEP_FETCH, {"jid": f"romeo@{DOMAIN}"})[0] == f.KEYINFOS


QUESTIONS = [("get", "<ping xmlns='urn:xmpp:ping'/>"),
             ("get", "<query xmlns='http://jabber.org/protocol/disco#info'/>"),
             ("get", "<query xmlns='http://jabber.org/protocol/disco#info' node='x'/>"),
             ("set", "<ping xmlns='urn:xmpp:ping'/>"), ("get", ""),
             ("set", "<query xmlns='jabber:iq:roster'/>"), ("get", nested(900))]


@pytest.mark.parametrize("asker, known", [(f"juliet@{DOMAIN}/other", True), (DOMAIN, True), (None, True),
                                          (f"romeo@{DOMAIN}/x", False), ("mallory@evil.test/x", False)])
def test_questions_to_us(pki, workers, rogue, asker, known):
    """Only the account itself and its server are told that there is anybody; without a policy no contact is."""
    answered = threading.Event()

    def script(c):
        c.login()
        got = []
        for kind, payload in QUESTIONS:
            c.send(f"<iq type='{kind}' {f'from={asker!r} ' if asker else ''}id='q'>{payload}</iq>")
            got.append(c.hear("<iq .*?(/>|</iq>) ")[0])
        answered.set()
        return got, c.hear_all()

    server, worker = rogue(script), workers()
    online(connect(worker, server, pki))
    assert answered.wait(PATIENCE)
    worker.ask(f.DISCONNECT)
    (got, heard), = server.close()
    for answer in got:
        assert "id='q'" in answer and (asker is None or f"to='{asker}'" in answer)
    assert ["type='result'" in answer for answer in got] == [known, known, False, False, False, False, False]
    if known:
        assert "ccm2" not in got[1] and "disco#info" in got[1]
    for answer in got[2 if known else 0:]:
        assert re.fullmatch("<iq [^>]*><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:"
                            "xmpp-stanzas'/></error></iq> ", answer), answer
    assert "<presence" not in heard


def test_flood_of_questions(pki, workers, rogue):
    """A server that asks and never reads: what waits for it is bounded."""
    def script(c):
        c.login()
        for _ in range(400):
            c.send(f"<iq type='get' from='a@b.test/{'x' * 500}' id='{'y' * 500}'><ping xmlns='urn:xmpp:ping'/></iq>" * 100)

    server, worker = rogue(script), workers()
    online(connect(worker, server, pki))
    offline(worker, f.OFFLINE_ERROR)
    assert peak(worker) < 60
