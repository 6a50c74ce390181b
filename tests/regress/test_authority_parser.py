"""What the authority makes of a server's bytes: a server that says what the test tells it, byte for byte."""
import concurrent.futures
import socket
import time

import pytest

from authority_client import NS_DISCO
from authority_world import AuthorityWorld
from processes import PATIENCE
from wire import Wire
from world import DOMAIN


class Server(Wire):
    """Takes one component, whatever its secret."""

    def __init__(self, listener):
        super().__init__(listener.accept()[0])
        self.hear("<stream:stream[^>]*>")
        self.send(f"<?xml version='1.0'?><stream:stream xmlns:stream='http://etherx.jabber.org/streams' "
                  f"xmlns='jabber:component:accept' id='s' from='ccm.{DOMAIN}'>")
        self.hear("</handshake>")
        self.send("<handshake/>")

    def ask(self, ident, inside="", cuts=()):
        """A disco request with more inside, cut into pieces that are read alone; its answer must come."""
        text = f"<iq type='get' id='{ident}' from='{DOMAIN}' to='ccm.{DOMAIN}'><query xmlns='{NS_DISCO}'/>{inside}</iq>"
        for start, end in zip((0, *cuts), (*cuts, None)):
            self.send(text[start:end])
            time.sleep(0.2 if end else 0)
        self.hear(f"<iq[^>]*id=['\"]{ident}['\"]")


@pytest.fixture(scope="module")
def server():
    """The authority, connected to the test."""
    with AuthorityWorld() as world, concurrent.futures.ThreadPoolExecutor() as pool, \
            socket.create_server(("127.0.0.1", world.component_port)) as listener:
        listener.settimeout(PATIENCE)
        world.make_authority()
        connected = pool.submit(Server, listener)
        world.start_authority()
        with connected.result() as server:
            yield server


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
