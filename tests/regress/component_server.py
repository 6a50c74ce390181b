"""A server that says what the test tells it, byte for byte, and the authority as its component."""
import concurrent.futures
import socket
import time

import pytest

from authority_client import NS_DISCO
from authority_world import AuthorityWorld
from processes import PATIENCE
from wire import Wire
from world import DOMAIN

OPEN = (f"<?xml version='1.0'?><stream:stream xmlns:stream='http://etherx.jabber.org/streams' "
        f"xmlns='jabber:component:accept' id='s' from='ccm.{DOMAIN}'>")


class Server(Wire):
    """Takes one component, whatever its secret; again() takes it once more."""

    def __init__(self, listener, world):
        self.listener, self.world = listener, world
        super().__init__(listener.accept()[0])
        self.shake_hands()

    def shake_hands(self):
        self.hear("<stream:stream[^>]*>")
        self.send(OPEN)
        self.hear("</handshake>")
        self.send("<handshake/>")

    def accept(self):
        """The next connection; nothing is said yet."""
        self.close()
        self.buffer = ""
        self.use(self.listener.accept()[0])

    def again(self):
        self.accept()
        self.shake_hands()

    def ask(self, ident, inside="", cuts=(), attrs=""):
        """A disco request with more inside, cut into pieces that are read alone; gives its answer's start tag."""
        text = (f"<iq type='get' id='{ident}' from='{DOMAIN}' to='ccm.{DOMAIN}'{attrs}><query xmlns='{NS_DISCO}'/>"
                f"{inside}</iq>")
        for start, end in zip((0, *cuts), (*cuts, None)):
            self.send(text[start:end])
            time.sleep(0.2 if end else 0)
        return self.hear(f"<iq[^>]*id=['\"]{ident}['\"][^>]*>")[0]


@pytest.fixture(scope="module")
def server():
    """The authority, connected to the test, which plays the server."""
    with AuthorityWorld() as world, concurrent.futures.ThreadPoolExecutor() as pool, \
            socket.create_server(("127.0.0.1", world.component_port)) as listener:
        listener.settimeout(PATIENCE)
        world.make_authority()
        connected = pool.submit(Server, listener, world)
        world.start_authority()
        with connected.result() as server:
            yield server
