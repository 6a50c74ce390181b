"""The whole main job on real parts, for each kind of server, key, TLS version and way to TLS, judged by tools
that nobody here wrote."""
import base64
import hashlib
import xml.etree.ElementTree as ET

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding

from mainjob import STEPS, MainJob
from peer import NS_PUBKEY, fetch_items
from world import SERVERS, World, capabilities

KINDS = [(server, *kind) for server in sorted(SERVERS) for kind in (
    ("rsa2048", "1.3", "starttls"), ("p256", "1.3", "direct"), ("rsa2048", "1.2", "direct"), ("p256", "1.2", "starttls"))]
BEFORE_REVOKE = STEPS[:-1]


@pytest.fixture(scope="module", params=KINDS, ids=["-".join(k) for k in KINDS])
def job(request):
    """The world after the seventh step."""
    server, algorithm, max_tls, tls = request.param
    if algorithm not in capabilities()["generate"]:
        pytest.skip(f"the token has no {algorithm}")
    with World(max_tls=max_tls, server=server, ca="rsa3072" if algorithm == "rsa2048" else algorithm) as world:
        world.up()
        job = MainJob(world, algorithm, tls)
        job.start()
        job.start_romeo()
        job.said = [step(job) for step in BEFORE_REVOKE]
        job.kind = request.param
        yield job


def test_login_used_external_and_tls_version(job):
    assert "SASL EXTERNAL" in job.said[3]
    assert f"TLSv{job.kind[2]}" in job.said[3]


def test_c12_what_the_token_signs_as_a_request(job):
    csr = x509.load_der_x509_csr((job.out / "csr.der").read_bytes())
    assert csr.is_signature_valid
    assert isinstance(csr.signature_hash_algorithm, hashes.SHA256)
    assert [a.value for a in csr.subject] in ([], [job.juliet])
    assert len(csr.extensions) == 1
    names = list(csr.extensions[0].value)
    assert [n.type_id.dotted_string for n in names] == ["1.3.6.1.5.5.7.8.5"]
    assert names[0].value == b"\x0c" + bytes([len(job.juliet)]) + job.juliet.encode()


def test_c11_what_is_issued_for_that(job):
    certificate = x509.load_der_x509_certificate((job.out / "certificate.der").read_bytes())
    assert [a.value for a in certificate.subject] == [job.juliet]
    found = {e.oid.dotted_string: e for e in certificate.extensions}
    assert set(found) == {"2.5.29.17", "2.5.29.19", "2.5.29.15", "2.5.29.37", "2.5.29.14", "2.5.29.35"}
    assert [n.value for n in found["2.5.29.17"].value] == [b"\x0c" + bytes([len(job.juliet)]) + job.juliet.encode()]
    assert found["2.5.29.19"].critical and not found["2.5.29.19"].value.ca
    assert found["2.5.29.15"].critical and found["2.5.29.15"].value.digital_signature
    assert {o.dotted_string for o in found["2.5.29.37"].value} == {"1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"}
    assert certificate.serial_number.bit_length() > 100


def test_user_certificate_is_self_signed_with_sha256(job):
    certificate = x509.load_der_x509_certificate((job.out / "user-certificate.der").read_bytes())
    assert isinstance(certificate.signature_hash_algorithm, hashes.SHA256)
    pem = job.world.run("openssl", "x509", "-inform", "DER", "-in", job.out / "user-certificate.der")
    path = job.world.write("out/user.pem", pem)
    job.world.run("openssl", "verify", "-check_ss_sig", "-CAfile", path, path)


def test_keys_on_the_token_by_pkcs11_tool(job):
    text = job.world.run("pkcs11-tool", "--module", job.world.module, "--login", "--pin", job.world.pin,
                         "--list-objects", "--type", "privkey", env=job.juliet_env)
    assert text.count("Private Key Object") == 2
    assert text.count("sensitive") >= 2 and "extractable" not in text.replace("never extractable", "")
    certs = job.world.run("pkcs11-tool", "--module", job.world.module, "--list-objects", "--type", "cert",
                          env=job.juliet_env)
    assert certs.count("Certificate Object") == 2


def check_value(issuer, method, value, subject):
    """Verifies with python3-cryptography; raises InvalidSignature."""
    key = issuer.public_key()
    if method == "ECDSA-SHA256":
        key.verify(value, subject, ec.ECDSA(hashes.SHA256()))
    else:
        digest = {"RSA-SHA1": hashes.SHA1(), "RSA-SHA256": hashes.SHA256()}[method]
        key.verify(value, subject, padding.PKCS1v15(), digest)


def test_romeo_sees_good_signatures_by_slixmpp(job):
    items = fetch_items(job.world, "romeo", job.juliet)
    user = (job.out / "user-certificate.der").read_bytes()
    client = (job.out / "certificate.der").read_bytes()
    names = {hashlib.sha1(der).hexdigest(): der for der in (user, client)}
    assert set(items) == set(names)
    for name, keyinfo in items.items():
        assert keyinfo.findtext(f"{{{NS_PUBKEY}}}name") == name
        assert base64.b64decode(keyinfo.findtext(f"{{{NS_PUBKEY}}}x509cert")) == names[name]
    signatures = items[hashlib.sha1(client).hexdigest()].findall(f"{{{NS_PUBKEY}}}signature")
    methods = []
    for signature in signatures:
        assert signature.findtext(f"{{{NS_PUBKEY}}}issuer") == hashlib.sha1(user).hexdigest()
        value = signature.find(f"{{{NS_PUBKEY}}}value")
        check_value(x509.load_der_x509_certificate(user), value.get("method"), base64.b64decode(value.text), client)
        methods.append(value.get("method"))
    assert sorted(methods) == (["RSA-SHA1", "RSA-SHA256"] if job.algorithm == "rsa2048" else ["ECDSA-SHA256"])


def test_benvolio_a_stranger_sees_nothing(job):
    assert fetch_items(job.world, "benvolio", job.juliet) in ({}, "not-authorized", "forbidden", "item-not-found",
                                                              "service-unavailable")


def test_one_flipped_bit_is_found(job):
    """signet verify on what romeo fetched, whole and with one bit of the signature turned."""
    text = (job.out / "keyinfo.xml").read_text()
    issuer = ("--issuer", job.out / "user-certificate.der")
    status, out, _ = job.world.signet(job.romeo_env, "verify", job.out / "keyinfo.xml", *issuer, check=False)
    assert status == 0, out
    root = ET.fromstring(text)
    value = root.find(f"{{{NS_PUBKEY}}}signature/{{{NS_PUBKEY}}}value")
    raw = bytearray(base64.b64decode(value.text))
    raw[20] ^= 1
    value.text = base64.b64encode(bytes(raw)).decode()
    bad = job.world.write("out/bad.xml", ET.tostring(root, encoding="unicode"))
    status, out, err = job.world.signet(job.romeo_env, "verify", bad, *issuer, check=False)
    assert status == 7, out + err


def test_c10_revocation_comes_last_and_bites(job):
    assert "LoginRefused" in STEPS[-1](job)
    crl = job.world.dir / "authority/crl.pem"
    text = job.world.run("openssl", "crl", "-in", crl, "-inform", guess(crl), "-noout", "-text")
    certificate = x509.load_der_x509_certificate((job.out / "certificate.der").read_bytes())
    assert f"{certificate.serial_number:X}" in text.upper().replace(":", "")


def guess(path):
    """The form a CRL file has."""
    return "PEM" if path.read_bytes().startswith(b"-----") else "DER"
