"""Signatures by every kind of key; OpenSSL judges each."""
import base64

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding

from certificates import cross_signatures
from kinds import JID, OTHER

KEYS = ["9a", "9c", "9d", "9e", "82", "rsa2048", "p256", "p384"]


def judged(kind, key):
    """A request made with the key is good, and is this key's."""
    csr = x509.load_der_x509_csr(base64.b64decode(kind.call("MakeCsr", key=key, jid=JID)["csr"]))
    assert csr.is_signature_valid
    spki = csr.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    assert base64.b64decode(kind.call("ShowKey", key=key)["key"]["public_key"]) == spki
    return csr


def here(kind, name):
    """The URI of a key of the kind that stands for the name, or None where it has none such."""
    if name in kind.labels():
        return kind.key_in(name)["uri"]
    if name in kind.can["generate"]:
        return kind.call("NewKey", token=kind.token, label=name, algorithm=name)["key"]["uri"]
    return None


@pytest.mark.parametrize("name", KEYS)
def test_request(kind, name):
    kind.unlock()
    key = here(kind, name)
    if key is None:
        assert kind.error("MakeCsr", key=name, jid=JID).name == "KeyAbsent"
        return
    if name in kind.can["derive-only"]:
        error = kind.error("MakeCsr", key=key, jid=JID)
        assert error.name == "MechanismMissing" and error.parameters["advice"]
        return
    for _ in range(2):  # an always-authenticate key asks for the PIN each time
        judged(kind, key)
    if name in kind.labels():
        tried = kind.pins()
        assert all(status == "9000" for _, _, status in tried)
        assert len(tried) == (3 if name == "9c" else 1)
    kind.call("Lock", token=kind.token)
    assert kind.error("MakeCsr", key=key, jid=JID).name == "PinNeeded"


@pytest.mark.parametrize("algorithm", ["rsa2048", "p256"])
def test_cross_signatures(kind, algorithm):
    """A new user key signs itself and another key's certificate, where the kind makes keys."""
    kind.unlock()
    kind.call("AddAccount", jid=JID)
    if algorithm not in kind.can["generate"]:
        error = kind.error("NewKey", token=kind.token, label="user", algorithm=algorithm, account=JID, user=True)
        assert error.name in kind.can["refuses-generate"]
        assert kind.error("Sign", account=JID).name == "KeyAbsent"
        return
    other = kind.signetd.unlock(OTHER)["uri"]
    subject = kind.call("NewKey", token=other, label="former", algorithm="p256", account=JID, user=True)["certificate"]
    made = kind.call("NewKey", token=kind.token, label="user", algorithm=algorithm, account=JID, user=True)
    own = x509.load_der_x509_certificate(base64.b64decode(made["certificate"]["der"]))
    public = own.public_key()
    if isinstance(public, ec.EllipticCurvePublicKey):
        public.verify(own.signature, own.tbs_certificate_bytes, ec.ECDSA(own.signature_hash_algorithm))
    else:
        public.verify(own.signature, own.tbs_certificate_bytes, padding.PKCS1v15(), own.signature_hash_algorithm)
    shown = kind.call("ShowKey", key=made["key"]["uri"])["certificates"]
    assert [c["name"] for c in shown] == [made["certificate"]["name"]]
    signed = kind.call("Sign", account=JID, subject=subject["sha256"])["key"]
    wanted = {"RSA-SHA1", "RSA-SHA256"} if algorithm == "rsa2048" else {"ECDSA-SHA256"}
    assert set(cross_signatures(signed, made["certificate"])) == wanted
