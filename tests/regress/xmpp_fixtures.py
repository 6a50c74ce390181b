"""The fixtures that the tests of signet-xmpp share: folders, keys, a server, workers."""
import itertools
import os
import shutil
import tempfile
from pathlib import Path

import pytest

import xmpp_frames as f
from world import ordinary_user
from xmpp_helpers import PROGRAM
from xmpp_server import PASSWORD, Pki, Server


@pytest.fixture(scope="session")
def room():
    """Makes folders that the ordinary user can look into, as pytest's own are not; removed at the end."""
    top = Path(tempfile.mkdtemp(prefix="signet-xmpp-"))
    top.chmod(0o755)
    count = itertools.count()

    def make():
        folder = top / str(next(count))
        folder.mkdir(mode=0o755)
        return folder

    yield make
    shutil.rmtree(top)


@pytest.fixture(scope="session")
def pki(room):
    return Pki(room())


@pytest.fixture(scope="session")
def server(pki, room):
    made = Server(room(), pki)
    yield made.start()
    made.stop()


@pytest.fixture(scope="session")
def old_server(pki, room):
    """One that has no TLS 1.3."""
    made = Server(room(), pki, protocol="tlsv1_2")
    yield made.start()
    made.stop()


@pytest.fixture(params=["TLSv1.3", "TLSv1.2"])
def tls(request, server, old_server):
    """A server, and the newest version of TLS that it speaks."""
    return (server if request.param == "TLSv1.3" else old_server), request.param


@pytest.fixture(scope="session")
def program(pki):
    """A copy that the ordinary user can run, wherever the tree is."""
    return shutil.copy(PROGRAM, pki.dir / "signet-xmpp")


@pytest.fixture
def workers(program, room):
    """Makes workers; at the end each must leave quietly when its broker goes."""
    made, folder = [], room()

    def make(**env):
        log = open(folder / f"worker{len(made)}.log", "ab")
        uid, gid = ordinary_user()
        who = {"user": uid, "group": gid, "extra_groups": []} if os.geteuid() == 0 else {}
        path = {"PATH": "/usr/bin:/bin", "SIGNET_LOG": "debug", **env}
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS"):
            if name in os.environ:
                path[name] = os.environ[name]
        worker = f.Worker(program, path, log, **who)
        worker.log = folder / f"worker{len(made)}.log"
        made.append(worker)
        return worker

    yield make
    for worker in made:
        status = worker.close()
        text = worker.log.read_text(errors="replace")
        assert status == 0, text
        assert PASSWORD not in text
