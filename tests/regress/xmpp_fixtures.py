"""The fixtures that the tests of signet-xmpp share: servers, keys, workers."""
import pytest

from rogue_server import Rogue
from xmpp_world import PASSWORD, XmppWorld


@pytest.fixture(scope="session")
def xmpp():
    """Keys of servers and clients, and where servers and workers run."""
    with XmppWorld() as world:
        yield world


@pytest.fixture(scope="session")
def pki(xmpp):
    return xmpp.pki


@pytest.fixture(scope="session")
def server(xmpp):
    return xmpp.new_server()


@pytest.fixture(scope="session")
def old_server(xmpp):
    """One that has no TLS 1.3."""
    return xmpp.new_server(tls='protocol = "tlsv1_2";')


@pytest.fixture(params=["TLSv1.3", "TLSv1.2"])
def tls(request, server, old_server):
    """A server, and the newest version of TLS that it speaks."""
    return (server if request.param == "TLSv1.3" else old_server), request.param


@pytest.fixture
def workers(xmpp):
    """Makes workers; at the end each must leave quietly when its broker goes."""
    made = []

    def make(**env):
        made.append(xmpp.start_worker(dict(xmpp.env(SIGNET_LOG="debug"), **env)))
        return made[-1]

    yield make
    for worker in made:
        status = worker.close()
        text = "".join(worker.process.said())
        assert status == 0, text
        assert PASSWORD not in text


@pytest.fixture
def rogue(pki):
    """Starts a rogue server with a script; all are stopped at the end."""
    made = []

    def start(script):
        made.append(Rogue(pki, script))
        return made[-1]

    yield start
    for server in made:
        server.close(cut=True)
