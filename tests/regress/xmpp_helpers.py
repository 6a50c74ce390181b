"""How the tests of signet-xmpp connect, sign for it and judge its answers."""
import os
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

import xmpp_frames as f
from world import TOP
from xmpp_server import CERT_DOMAIN, DOMAIN

BUILD = Path(os.environ.get("BUILD", TOP / "build"))
PROGRAM = (BUILD if BUILD.is_absolute() else TOP / BUILD) / "bin/signet-xmpp"
HASHES = {4: hashes.SHA256(), 5: hashes.SHA384(), 6: hashes.SHA512()}


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
