"""What the tests of signet-xmpp share: keys, a server, workers, and how answers are judged."""
import itertools
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

import xmpp_frames as f
from world import TOP, ordinary_user
from xmpp_server import CERT_DOMAIN, DOMAIN, PASSWORD, Pki, Server

BUILD = Path(os.environ.get("BUILD", TOP / "build"))
PROGRAM = (BUILD if BUILD.is_absolute() else TOP / BUILD) / "bin/signet-xmpp"
HASHES = {4: hashes.SHA256(), 5: hashes.SHA384(), 6: hashes.SHA512()}


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


def account(server, pki, name="juliet", **more):
    values = {"jid": f"{name}@{DOMAIN}", "host": "127.0.0.1", "port": server.port, "cafile": str(pki.dir / "ca.pem")}
    values.update(more)
    return values


def certified(server, pki, kind, **more):
    """The connect message for a login by certificate, and what signs for it."""
    cert = x509.load_pem_x509_certificate((pki.dir / f"juliet-{kind}.pem").read_bytes())
    key = serialization.load_pem_private_key((pki.dir / f"juliet-{kind}.key").read_bytes(), None)
    abilities = f.RSA_PKCS1 | f.RSA_PSS if isinstance(key, rsa.RSAPrivateKey) else f.ECDSA
    values = account(server, pki, jid=f"juliet@{CERT_DOMAIN}", key_abilities=abilities,
                     certificate=cert.public_bytes(serialization.Encoding.DER))
    values.update(more)
    return values, lambda scheme, tbs: sign(key, scheme, tbs)


def sign(key, scheme, tbs):
    """What a token does for a TLS client: RFC 8446 4.2.3."""
    if isinstance(key, ec.EllipticCurvePrivateKey):
        assert scheme & 0xff == 3
        return key.sign(tbs, ec.ECDSA(HASHES[scheme >> 8]))
    if scheme >> 8 == 8:
        digest = HASHES[scheme & 0xff]
        return key.sign(tbs, padding.PSS(padding.MGF1(digest), digest.digest_size), digest)
    assert scheme & 0xff == 1
    return key.sign(tbs, padding.PKCS1v15(), HASHES[scheme >> 8])


def online(answer):
    kind, message = answer
    assert kind == f.ONLINE, message
    return message


def refused(answer, code):
    kind, message = answer
    assert kind == f.ERROR, message
    assert message["code"] == code, message
    return message
