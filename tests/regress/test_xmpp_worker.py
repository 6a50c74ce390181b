"""signet-xmpp by itself: this test is its broker and its token, the server is a real Prosody."""
import os
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

import xmpp_frames as f
from processes import PATIENCE, wait_idle
from world import DOMAIN
from xmpp_world import PASSWORD, account, certified, connect, online, refused

pytest_plugins = ["xmpp_fixtures"]


# ---- logging in

@pytest.mark.parametrize("mode", ["starttls", "direct"])
def test_password(tls, pki, workers, mode):
    server, version = tls
    port = server.port if mode == "starttls" else server.direct_port
    got = online(workers().connect(account(server, pki, port=port, tls_mode=mode == "direct"), PASSWORD))
    assert got["jid"].startswith(f"juliet@{DOMAIN}/")
    assert got["mechanism"].startswith("SCRAM-SHA-")
    assert got["tls_version"] == version
    assert got["tls_cipher"]


@pytest.mark.parametrize("kind", ["rsa", "ec"])
@pytest.mark.parametrize("mode", ["starttls", "direct"])
def test_certificate(tls, pki, workers, kind, mode):
    (server, version), worker = tls, workers()
    port = server.port if mode == "starttls" else server.direct_port
    values, worker.sign = certified(server, pki, kind, port=port, tls_mode=mode == "direct")
    for _ in range(2):  # and again, in the same worker
        got = online(worker.connect(values))
        assert got["mechanism"] == "EXTERNAL"
        assert got["tls_version"] == version
        assert worker.ask(f.DISCONNECT)[0] == f.OK
    assert len(worker.signed) == 2
    for _, tbs in worker.signed:
        if version == "TLSv1.2":  # the handshake so far, from the ClientHello on
            assert tbs[0] == 1 and tbs[4:6] == b"\3\3"
        else:
            assert tbs.startswith(b" " * 64 + b"TLS 1.3, client CertificateVerify\0")


def test_token_without_pss_stays_at_pkcs1(server, pki, workers):
    worker = workers()
    values, worker.sign = certified(server, pki, "rsa", key_abilities=f.RSA_PKCS1)
    got = online(worker.connect(values))
    assert (got["tls_version"], got["mechanism"]) == ("TLSv1.2", "EXTERNAL")
    assert [scheme & 0xff for scheme, _ in worker.signed] == [1]


def test_token_that_hashes_for_pss_itself(server, pki, workers):
    worker = workers()
    values, worker.sign = certified(server, pki, "rsa", key_abilities=f.RSA_PKCS1 | f.RSA_PSS_HASHED)
    got = online(worker.connect(values))
    assert (got["tls_version"], got["mechanism"]) == ("TLSv1.3", "EXTERNAL")
    assert [scheme >> 8 for scheme, _ in worker.signed] == [8]


def test_system_roots_or_the_cafile_alone(server, pki, workers):
    trusted, other = str(pki.dir / "ca.pem"), str(pki.dir / "other-ca.pem")
    worker = workers(SSL_CERT_FILE=trusted)
    online(worker.connect(account(server, pki, cafile=None), PASSWORD))
    worker.ask(f.DISCONNECT)
    refused(worker.connect(account(server, pki, cafile=other), PASSWORD), f.TLS)
    online(worker.connect(account(server, pki, cafile=None), PASSWORD))


# ---- what is refused, and how it is said

def test_untrusted_server(server, pki, workers):
    worker = workers()
    got = refused(worker.connect(account(server, pki, cafile=str(pki.dir / "other-ca.pem")), PASSWORD), f.TLS)
    assert got["subject"] == DOMAIN and "certificate" in got["message"], got
    direct = account(server, pki, cafile=None, port=server.direct_port, tls_mode=1)
    refused(worker.connect(direct, PASSWORD), f.TLS)
    got = refused(worker.connect(account(server, pki, cafile="/nowhere/ca.pem"), PASSWORD), f.TLS)
    assert got["subject"] == "/nowhere/ca.pem"
    online(worker.connect(account(server, pki), PASSWORD))  # and is none the worse for it


@pytest.mark.parametrize("certificate, word", [("stranger", "hostname mismatch"), ("expired", "expired")])
def test_server_with_another_certificate(xmpp, pki, workers, certificate, word):
    server = xmpp.new_server(certificate)
    try:
        got = refused(workers().connect(account(server, pki), PASSWORD), f.TLS)
        assert word in got["message"].lower(), got
        direct = account(server, pki, port=server.direct_port, tls_mode=1)
        assert word in refused(workers().connect(direct, PASSWORD), f.TLS)["message"].lower()
    finally:
        server.stop()


def test_wrong_password(server, pki, workers):
    worker = workers()
    got = refused(worker.connect(account(server, pki), "wrong"), f.AUTH)
    assert got["condition"] == "not-authorized" and got["subject"] == f"juliet@{DOMAIN}", got
    refused(worker.connect(account(server, pki, name="nobody"), PASSWORD), f.AUTH)
    refused(worker.connect(account(server, pki)), f.PASSWORD_NEEDED)
    online(worker.connect(account(server, pki), PASSWORD))


def test_no_server(server, pki, workers):
    worker = workers()
    got = refused(worker.connect(account(server, pki, port=1), PASSWORD), f.NO_CONNECTION)
    assert "refused" in got["message"], got
    got = refused(worker.connect(account(server, pki, host="no.such.host.invalid"), PASSWORD), f.NO_CONNECTION)
    assert "no.such.host.invalid" in got["message"], got
    for bad in ("", "juliet", f"juliet@{DOMAIN}/x", f"a b@{DOMAIN}"):
        refused(worker.connect(account(server, pki, jid=bad), PASSWORD), f.ARG)
    refused(worker.connect(account(server, pki, port=70000), PASSWORD), f.ARG)


def test_token_does_not_sign(server, old_server, pki, workers):
    worker = workers()
    for one in (server, old_server):
        values, signer = certified(one, pki, "rsa")
        worker.sign = lambda scheme, tbs: (24, "the token is locked")
        got = refused(worker.connect(values), 24)
        assert got["message"] == "the token is locked"
        worker.sign = lambda scheme, tbs: b"x" * 256  # no signature of this key
        refused(worker.connect(values), f.AUTH)
        worker.sign = lambda scheme, tbs: b"x" * 100
        refused(worker.connect(values), f.TLS)
        worker.sign = signer
        online(worker.connect(values))
        worker.ask(f.DISCONNECT)


def test_untrusted_client_certificate(server, pki, workers):
    worker = workers()
    values, worker.sign = certified(server, pki, "untrusted")
    refused(worker.connect(values), f.AUTH)
    assert len(worker.signed) == 1


def test_certificate_that_is_none(server, pki, workers):
    worker = workers()
    values, _ = certified(server, pki, "rsa", certificate=b"junk")
    refused(worker.connect(values), f.FORMAT)


# ---- requests

def keyinfo(pki, name):
    der = x509.load_pem_x509_certificate((pki.dir / f"{name}.pem").read_bytes()).public_bytes(
        serialization.Encoding.DER)
    digest = hashes.Hash(hashes.SHA1())
    digest.update(der)
    return {"name": digest.finalize().hex(), "kind": 1, "data": der,
            "signatures": [{"issuer": "ab" * 20, "method": "RSA-SHA256", "value": b"s" * 3000}]}


def fetch(worker, name="juliet", **more):
    kind, message = worker.ask(f.PEP_FETCH, {"jid": f"{name}@{DOMAIN}", **more})
    assert kind == f.KEYINFOS, message
    assert message["refused"] == 0
    return {k["name"]: k for k in message["keyinfos"]}


def test_publish_and_fetch(server, pki, workers):
    juliet, romeo, benvolio = workers(), workers(), workers()
    for worker, name in ((juliet, "juliet"), (romeo, "romeo"), (benvolio, "benvolio")):
        online(worker.connect(account(server, pki, name), PASSWORD))
    assert fetch(romeo) == {} and fetch(juliet) == {}  # no node yet
    keys = [keyinfo(pki, "juliet-rsa"), keyinfo(pki, "juliet-ec")]
    for _ in range(2):  # created, then configured again
        assert juliet.ask(f.PEP_PUBLISH, {"access_model": "presence", "keyinfos": keys})[0] == f.PEP_NODE
    for worker in (romeo, juliet):
        got = fetch(worker)
        assert {k: v["data"] for k, v in got.items()} == {k["name"]: k["data"] for k in keys}
        assert got[keys[0]["name"]]["signatures"][0]["value"] == b"s" * 3000
    assert list(fetch(romeo, names=[keys[1]["name"]])) == [keys[1]["name"]]
    assert fetch(romeo, names=["00" * 20]) == {}
    got = refused(benvolio.ask(f.PEP_FETCH, {"jid": f"juliet@{DOMAIN}"}), f.STANZA)
    assert got["condition"] in ("not-authorized", "forbidden"), got
    assert juliet.ask(f.PEP_PUBLISH, {"access_model": "open", "keyinfos": keys[:1]})[0] == f.PEP_NODE
    assert len(fetch(benvolio)) == 2
    assert juliet.ask(f.PEP_PUBLISH, {"access_model": "presence", "keyinfos": []})[0] == f.PEP_NODE
    refused(benvolio.ask(f.PEP_FETCH, {"jid": f"juliet@{DOMAIN}"}), f.STANZA)
    got = refused(romeo.ask(f.PEP_FETCH, {"jid": "romeo"}), f.ARG)
    refused(juliet.ask(f.PEP_PUBLISH, {"keyinfos": keys}), f.ARG)


def test_many_keys_at_once(server, pki, workers):
    worker = workers()
    online(worker.connect(account(server, pki, "benvolio"), PASSWORD))
    keys = [dict(keyinfo(pki, "juliet-rsa"), signatures=[{"issuer": "ab" * 20, "method": "RSA-SHA256",
                                                          "value": os.urandom(60000)}])]
    assert worker.ask(f.PEP_PUBLISH, {"access_model": "presence", "keyinfos": keys})[0] == f.PEP_NODE
    got = fetch(worker, "benvolio")  # an answer of many TLS records
    assert got[keys[0]["name"]]["signatures"][0]["value"] == keys[0]["signatures"][0]["value"]


def test_features_and_a_server_without_ccm2(server, pki, workers):
    worker = workers()
    online(worker.connect(account(server, pki), PASSWORD))
    kind, message = worker.ask(f.FEATURES)
    assert kind == f.FEATURE_SET
    assert "urn:xmpp:ping" in message["features"]  # of the domain
    assert "http://jabber.org/protocol/pubsub#publish-options" in message["features"]  # of the account
    assert len(set(message["features"])) == len(message["features"])
    for kind, values in ((f.CCM2_ADD, {"name": "x", "csr": b"csr"}), (f.CCM2_LIST, {}),
                         (f.CCM2_REVOKE, {"sha256": "ab" * 32})):
        got = refused(worker.ask(kind, values), f.STANZA)
        assert got["condition"] == "service-unavailable"


def test_requests_at_the_wrong_time(server, pki, workers):
    worker = workers()
    for kind in (f.FEATURES, f.CCM2_LIST):
        refused(worker.ask(kind), f.OFFLINE_ERROR)
    assert worker.ask(f.DISCONNECT)[0] == f.OK
    online(worker.connect(account(server, pki), PASSWORD))
    refused(worker.connect(account(server, pki), PASSWORD), f.ARG)
    pending = worker.send(f.FEATURES)
    assert worker.ask(f.DISCONNECT)[0] == f.OK
    answers = [(kind, message) for got, kind, message in worker.unasked if got == pending]
    assert answers[0][0] == f.FEATURE_SET or answers[0][1]["code"] == f.OFFLINE_ERROR
    refused(worker.ask(f.FEATURES), f.OFFLINE_ERROR)


def test_server_goes_away(xmpp, pki, workers):
    server = xmpp.new_server()
    worker = workers()
    online(worker.connect(account(server, pki), PASSWORD))
    server.stop()
    frame_id, kind, message = worker.receive()
    assert (frame_id, kind, message["code"]) == (0, f.OFFLINE, f.OFFLINE_ERROR)
    # A busy server may cut the connection before its last words are through.
    assert message["condition"] in ("system-shutdown", None), message
    refused(worker.connect(account(server, pki), PASSWORD), f.NO_CONNECTION)


def test_broker_goes_with_requests_under_way(pki, workers, rogue):
    """Nothing of them is left; a sanitizer would tell."""
    asked = threading.Event()

    def script(c):
        c.login()
        c.question()
        asked.set()
        return c.hear_all()

    server, worker = rogue(script), workers()
    online(connect(worker, server, pki))
    for _ in range(20):
        worker.send(f.PEP_FETCH, {"jid": f"romeo@{DOMAIN}"})
    assert asked.wait(PATIENCE)
    assert worker.close() == 0


def test_idle_means_idle(server, pki, workers):
    worker = workers()
    online(worker.connect(account(server, pki), PASSWORD))
    assert worker.ask(f.FEATURES)[0] == f.FEATURE_SET
    wait_idle(worker.popen.pid, seconds=6)
