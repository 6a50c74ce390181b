"""What the authority makes of a server's bytes: a server that says what the test tells it, byte for byte."""
import base64
import concurrent.futures
import contextlib
import os

import pytest

from authority_client import NS_ADD, NS_DISCO
from certificates import make_csr, make_key
from component_server import OPEN
from processes import PATIENCE
from world import DOMAIN

pytest_plugins = ["component_server"]


def add_request(ident, name="phone", more="", attrs=""):
    """An account's request for a certificate, as the server hands it over."""
    csr = base64.b64encode(make_csr(make_key(), f"juliet@{DOMAIN}")).decode()
    return (f"<iq type='set' id='{ident}' from='{DOMAIN}' to='ccm.{DOMAIN}'><delegation xmlns='urn:xmpp:delegation:2'>"
            f"<forwarded xmlns='urn:xmpp:forward:0'><iq xmlns='jabber:client' type='set' id='inner' "
            f"from='juliet@{DOMAIN}/x'><add-certificate-request xmlns='{NS_ADD}'{attrs}><name>{name}</name>"
            f"<x509certificate-signing-request>{csr}</x509certificate-signing-request>{more}</add-certificate-request>"
            "</iq></forwarded></delegation></iq>")


def attributes(count):
    return "".join(f" a{i}=''" for i in range(count))


def test_a_tag_in_two_pieces_waits_for_nothing(server):
    """expat's reparse deferral would keep the end of a stanza, once half of its tag came alone, until more came."""
    server.ask("cut", cuts=(-5, -2))


@pytest.mark.parametrize("inside", ["<a/>" * 50000, "<a>" * 20000 + "</a>" * 20000, "x" * 200000,
                                    "<a>" * 30 + "<b/>" * 50000 + "</a>" * 30],
                         ids=["wide", "deep", "long", "wide and deep"])
def test_a_strange_stanza_is_answered_and_the_next_one_too(server, inside):
    server.ask("strange", inside)
    server.ask("next")


def test_a_strangers_long_attribute_holds_up_nobody(server):
    """A message nobody asked for, then the blanks of a keep-alive, then another account's request."""
    server.send(f"<message from='benvolio@{DOMAIN}/x' to='ccm.{DOMAIN}'><q a='{'u' * 140000}'/></message>")
    for _ in range(60):
        server.send(" " * 4000)
    server.ask("next")


def test_what_was_left_out_is_not_granted(server):
    """A request in which too much stands is refused as a whole, not answered for the part that was looked at."""
    for ident, wrong in (("children", {"more": "<x/>" * 60000}), ("attributes", {"attrs": attributes(100)})):
        server.send(add_request(ident, **wrong))
        server.hear(f"<iq[^>]*id=['\"]{ident}['\"][^>]*>")
        server.hear("</iq>")  # the inner one's end
        assert "type='error'" in server.before.replace('"', "'") and "<bad-request" in server.before
        assert "x509certificate" not in server.before
    assert "error" in server.ask("own", attrs=attributes(100))
    assert "error" not in server.ask("next")


@pytest.mark.parametrize("wrong", [{"attrs": " q:a='1'"}, {"more": "<q:a/>"}, {"more": "<a q:b='1'/>"}], ids=str)
def test_a_prefix_that_is_not_declared_costs_its_request_only(server, wrong):
    server.send(add_request("undeclared", **wrong))
    server.hear("<iq[^>]*id=['\"]undeclared['\"][^>]*>")
    server.hear("</iq>")  # the inner one's end
    assert "type='error'" in server.before.replace('"', "'") and "<bad-request" in server.before
    assert "error" not in server.ask("next")


def test_many_attributes_cost_the_others_nothing(server):
    """Measured by the authority's own time: a machine that is busy makes no difference."""
    def used():
        with open(f"/proc/{server.world.authority.popen.pid}/stat", encoding="ascii") as stat:
            fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    many = attributes(28000)
    before = used()
    for number in range(5):
        server.send(add_request(f"many{number}", attrs=many))
    server.ask("next")
    assert used() - before < 1.5


def test_a_stream_that_is_lost_within_a_text_leaves_nothing_to_the_next(server):
    """libstrophe keeps the length of that text; what stood in memory would come before the next stream's first."""
    server.send(add_request("cut").partition("phone")[0] + "n" * 40)
    server.again()
    server.send(add_request("whole"))
    server.hear("<iq[^>]*id=['\"]whole['\"][^>]*>")
    server.hear("</delegation>")
    assert "add-certificate-result" in server.before


NO_XML = {
    "a wrong end": b"<iq></b>",
    "a document type": b"<!DOCTYPE x><x>",
    "NUL": b"<iq>\0</iq>",
    "no UTF-8": b"<iq>\xff\xfe</iq>",
    "an entity": b"<iq>&nbsp;</iq>",
    "much": b"<iq></b>" + b"x" * 300000,
}


@pytest.mark.parametrize("when", ["in the stream", "before it", "before the handshake"])
@pytest.mark.parametrize("wrong", NO_XML)
def test_what_is_no_xml_ends_the_stream_and_the_next_one_works(server, wrong, when):
    if when != "in the stream":
        server.accept()
        server.hear("<stream:stream[^>]*>")
    if when == "before the handshake":
        server.send(OPEN)
    mark = server.world.authority.mark()
    try:
        server.send(NO_XML[wrong])
    except OSError:
        pass  # it left before it read all
    server.hear_all()
    server.world.authority.wait_line("sent is no XMPP stream: closed the connection", since=mark)
    server.again()
    server.ask("next")
    assert len([line for line in server.world.authority.said(mark) if "no XMPP stream" in line]) == 1


def test_what_is_no_stream_is_left(server):
    server.accept()
    server.hear("<stream:stream[^>]*>")
    mark = server.world.authority.mark()
    server.send("<x></x>")
    server.hear_all()
    server.world.authority.wait_line("no XMPP stream", since=mark)
    server.again()
    server.ask("next")


@pytest.mark.parametrize("inside", ["", "text", "<x/>"])
def test_a_stream_error_without_a_condition_is_no_end(server, inside):
    server.send(f"<stream:error>{inside}</stream:error></stream:stream>")
    server.hear_all()
    server.again()
    server.ask("next")


def test_of_a_server_that_reads_no_answers_nothing_more_is_taken(server):
    """Its requests wait with it, not in the authority's memory; and all are answered once it reads."""
    count, pad = 20000, "p" * 2000
    data = "".join(f"<iq type='get' id='{pad}{i}' from='{DOMAIN}' to='ccm.{DOMAIN}'><query xmlns='{NS_DISCO}'/></iq>"
                   for i in range(count)).encode()
    sent = 0
    server.sock.settimeout(2)
    with contextlib.suppress(TimeoutError):
        while sent < len(data):
            sent += server.sock.send(data[sent:sent + 65536])
    assert sent < len(data)
    server.sock.settimeout(PATIENCE)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        rest = pool.submit(server.sock.sendall, data[sent:])
        heard, answers = b"", 0
        while answers < count:
            *whole, heard = (heard + server.sock.recv(1 << 20)).split(b"</iq>")
            answers += len(whole)
        rest.result()
    assert answers == count
    server.ask("afterwards")
