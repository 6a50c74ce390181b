"""signet-xmpp by itself: this test is its broker and its token, the server is a real Prosody."""
import os
import re
import shutil
import subprocess
import time
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
def pki(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pki")
    for path in (folder, *folder.parents[:2]):
        path.chmod(0o755)
    return Pki(folder)


@pytest.fixture(scope="session")
def server(pki, tmp_path_factory):
    made = Server(tmp_path_factory.mktemp("server"), pki)
    yield made.start()
    made.stop()


@pytest.fixture(scope="session")
def program(pki):
    """A copy that the ordinary user can run, wherever the tree is."""
    return shutil.copy(PROGRAM, pki.dir / "signet-xmpp")


@pytest.fixture
def workers(program, tmp_path):
    """Makes workers; at the end each must leave quietly when its broker goes."""
    made = []

    def make(**env):
        log = open(tmp_path / f"worker{len(made)}.log", "ab")
        uid, gid = ordinary_user()
        who = {"user": uid, "group": gid, "extra_groups": []} if os.geteuid() == 0 else {}
        path = {"PATH": "/usr/bin:/bin", "SIGNET_LOG": "debug", **env}
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS"):
            if name in os.environ:
                path[name] = os.environ[name]
        worker = f.Worker(program, path, log, **who)
        worker.log = tmp_path / f"worker{len(made)}.log"
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


# ---- logging in

@pytest.mark.parametrize("mode", ["starttls", "direct"])
@pytest.mark.parametrize("max_tls", [0, 12])
def test_password(server, pki, workers, mode, max_tls):
    port = server.port if mode == "starttls" else server.direct_port
    got = online(workers().connect(account(server, pki, port=port, tls_mode=mode == "direct", max_tls=max_tls), PASSWORD))
    assert got["jid"].startswith(f"juliet@{DOMAIN}/")
    assert got["mechanism"].startswith("SCRAM-SHA-")
    assert got["tls_version"] == ("TLSv1.2" if max_tls else "TLSv1.3")
    assert got["tls_cipher"]


@pytest.mark.parametrize("kind", ["rsa", "ec"])
@pytest.mark.parametrize("max_tls", [0, 12])
@pytest.mark.parametrize("mode", ["starttls", "direct"])
def test_certificate(server, pki, workers, kind, max_tls, mode):
    worker = workers()
    port = server.port if mode == "starttls" else server.direct_port
    values, worker.sign = certified(server, pki, kind, max_tls=max_tls, port=port, tls_mode=mode == "direct")
    for _ in range(2):  # and again, in the same worker
        got = online(worker.connect(values))
        assert got["mechanism"] == "EXTERNAL"
        assert got["tls_version"] == ("TLSv1.2" if max_tls else "TLSv1.3")
        assert worker.ask(f.DISCONNECT)[0] == f.OK
    assert len(worker.signed) == 2
    for _, tbs in worker.signed:
        if max_tls:  # the handshake so far, from the ClientHello on
            assert tbs[0] == 1 and tbs[4:6] == b"\3\3"
        else:
            assert tbs.startswith(b" " * 64 + b"TLS 1.3, client CertificateVerify\0")
