"""signet-xmpp online at a server that means ill or is broken, and peers that do: what is too much, and odd answers."""
import os
import re
import threading
from pathlib import Path

import pytest

import xmpp_frames as f
from processes import PATIENCE
from rogue_server import STREAM
from world import DOMAIN, is_sanitized
from xmpp_world import connect, offline, online, refused

pytest_plugins = ["xmpp_fixtures"]


# ---- what is too much

def peak(worker):
    """The most memory the worker ever had, in MiB."""
    if is_sanitized():  # it keeps what was freed
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
    "long tag": lambda: "<message " + " ".join(f"a{i}='{'x' * 1000}'" for i in range(6000)) + "/>",
    "long tag within": lambda: "<message><b " + " ".join(f"xmlns:a{i}='{'x' * 1000}'" for i in range(6000)) + "><a0:c/></b></message>",
    "long value within": lambda: "<message><b c='" + "&quot;" * (1 << 20) + "'/></message>",
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
    "name": lambda: "<message><" + "x" * (5 << 20),
    "long tag in an error": lambda: "<stream:error><a " + " ".join(f"a{i}='{'x' * 1000}'" for i in range(2000)) + "/>",
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


@pytest.mark.parametrize("piece", ["<b c='d'/>" * 100, f"<b xmlns='{'x' * 50000}'/>", f" {{}}='{'x' * 50000}'", "&lt;" * 10000])
def test_a_stanza_without_end_is_read_past(pki, workers, rogue, piece):
    """A server that writes a long namespace out again and again makes a few kilobytes as long as this."""
    answered = threading.Event()

    def script(c):
        c.login()
        in_tag = piece.startswith(" ")
        c.send("<presence from='mallory@evil.test/x'" + ("" if in_tag else ">"))
        for number in range((80 << 20) // len(piece)):
            c.send(piece.format(f"a{number}"))
        c.send("/>" if in_tag else "</presence>")
        c.send("<iq type='get' from='mallory@evil.test/x' id='small'><a/></iq>")
        assert "id='small'" in c.hear("<iq .*?</iq> ")[0]
        answered.set()
        return c.hear_all()

    server, worker = rogue(script), workers()
    online(connect(worker, server, pki))
    assert answered.wait(PATIENCE)
    assert peak(worker) < 100
    worker.ask(f.DISCONNECT)
    server.close()


def test_a_head_that_lacks_its_sender_is_shown_to_nobody(pki, workers, rogue):
    """Else a stranger's question would be one of the server."""
    answered = threading.Event()

    def script(c):
        c.login()
        c.send("<iq type='get' id='large' " + " ".join(f"a{i}='{'x' * 1000}'" for i in range(2000)) +
               " from='mallory@evil.test/x'><ping xmlns='urn:xmpp:ping'/></iq>")
        c.send("<iq type='get' from='mallory@evil.test/x' id='small'><a/></iq>")
        answer = c.hear("<iq .*?</iq> ")[0]
        answered.set()
        return answer, c.hear_all()

    server, worker = rogue(script), workers()
    online(connect(worker, server, pki))
    assert answered.wait(PATIENCE)
    worker.ask(f.DISCONNECT)
    (answer, _), = server.close()
    assert "id='small'" in answer


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
        for attributes, sender, body in (("type='error'", "/x", "<body/>"), ("type='headline'", "/x", "<body/>"), ("", "", event)):
            c.send(f"<message {attributes} to='{own}/r' from='romeo@{DOMAIN}{sender}' id='no'>{body}</message>")
        c.send(f"<message type='chat' to='{own}' from='romeo@{DOMAIN}/x' id='no'><body>x</body></message>")
        got = []
        large = "<a " + " ".join(f"b{i}=''" for i in range(400)) + "/>" + nested(400)
        for attributes, inner in (("type='chat'", "<body>x</body><a/>"), ("", "<body>x</body>"), ("type='normal'", "<subject/>"),
                                  ("type='odd'", "<body/>"), ("type='groupchat'", "<body>x</body>"), ("type='chat'", large),
                                  ("type='chat'", "<encrypted xmlns='urn:xmpp:omemo:2'/><store xmlns='urn:xmpp:hints'/>"),
                                  ("", "<x xmlns='http://jabber.org/protocol/muc#user'><invite/></x>"), ("", event)):
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


# ---- answers

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
    assert worker.ask(f.CCM2_LIST) == (f.CCM2_CERTS, {"certs": [], "unread": 0})


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


def settle(c, roster=""):
    """Answers what an agent asks after its login: the roster, and how absent clients are answered for."""
    c.send(f"<iq type='result' id='{c.question()[0]}'><query xmlns='jabber:iq:roster'>{roster}</query></iq>")
    name, asked = c.question()
    jid = re.search("to=[\"']([^\"']+)", asked)[1]
    c.send(f"<iq type='error' id='{name}' from='{jid}'><query xmlns='urn:xmpp:signet:nobody'/><error type='cancel'>"
           "<service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>")


def test_refusals_fit_into_a_stanza(pki, workers, rogue):
    """Servers end the stream of who sends more than they take, 64 KiB at the least: neither what is shown again nor an id
    that is six times as long when it is written can make an answer longer."""
    learned, answered = threading.Event(), threading.Event()

    def script(c):
        c.login()
        settle(c)
        learned.wait(PATIENCE)
        got = {}
        for quotes in (0, 1000, 9000, 12000):
            for size in (1000, 50000, 59000, 61000):
                for sender in (f"romeo@{DOMAIN}/x", f"juliet@{DOMAIN}/other"):
                    head = f"from='{sender}' to='juliet@{DOMAIN}/r' id='{'&apos;' * quotes}'"
                    c.send(f"<message {head}><a>{'x' * size}</a></message><iq type='get' {head}><a>{'x' * size}</a></iq>"
                           f"<iq type='get' id='end' from='{sender}'><a/></iq>")
                    c.hear("<iq [^>]*id=.end.*?</iq> ")
                    got[quotes, size, sender] = re.findall("<message .*?</message>|<iq .*?</iq>", c.before)
        answered.set()
        return got, c.hear_all()

    server, worker = rogue(script), workers()
    online(connect(worker, server, pki))
    assert worker.ask(f.DIRECT_POLICY, {"mode": 1, "watch": 1})[0] == f.OK
    learned.set()
    assert answered.wait(PATIENCE)
    worker.ask(f.DISCONNECT)
    (got, _), = server.close()
    for (quotes, size, _), answers in got.items():
        assert len(answers) == (2 if quotes < 12000 else 0)
        for answer in answers:
            assert len(answer) <= 65536 and "service-unavailable" in answer
            assert ("x" * size in answer) == (quotes == 0 and size < 60000 or quotes < 2000 and size < 55000 or size == 1000)


def test_many_contacts_in_many_groups(pki, workers, rogue):
    """More groups than a tree has room for: nobody asks for them. And one contact who asks without an end keeps no other
    from asking."""
    def script(c):
        c.login()
        settle(c, "".join(f"<item jid='c{n}@{DOMAIN}' subscription='both'>" + "".join(f"<group>g{g}</group>" for g in range(12)) +
                          "</item>" for n in range(15000)))
        for sender in ["c14999"] * 20 + ["c0"]:
            c.send(f"<iq type='get' id='{sender}' from='{sender}@{DOMAIN}/x'><pubkeys xmlns='urn:xmpp:tmp:pubkey'/></iq>")
        c.hear("<presence")
        got = [c.hear("<iq .*?</iq>")[0] for _ in range(4)]
        answered.set()
        return got, c.hear_all()

    answered = threading.Event()
    server, worker = rogue(script), workers()
    online(connect(worker, server, pki))
    assert worker.ask(f.DIRECT_POLICY, {"mode": 1, "watch": 1})[0] == f.OK
    assert answered.wait(PATIENCE)
    worker.ask(f.DISCONNECT)
    wanted = [message["from"] for _, kind, message in worker.unasked if kind == f.KEYS_WANTED]
    assert wanted == [f"c14999@{DOMAIN}/x"] * 16 + [f"c0@{DOMAIN}/x"]
    (got, _), = server.close()
    for answer in got:
        assert "resource-constraint" in answer and "type='wait'" in answer and "id='c14999'" in answer, answer


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
