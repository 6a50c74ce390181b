"""Keys and certificates in software, with JIDs as the authority writes them, as no program of ours would issue them."""
import base64
import datetime
import hashlib
from xml.etree import ElementTree

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID

XMPP_ADDR = x509.ObjectIdentifier("1.3.6.1.5.5.7.8.5")
CURVES = {"p224": ec.SECP224R1, "p256": ec.SECP256R1, "p384": ec.SECP384R1, "p521": ec.SECP521R1, "k256": ec.SECP256K1}


def make_key(kind="p256"):
    """A private key."""
    if kind.startswith("rsa"):
        return rsa.generate_private_key(65537, int(kind[3:]))
    return ec.generate_private_key(CURVES[kind]())


def xmpp_addr(jid):
    """The SAN entry."""
    text = jid.encode()
    assert len(text) < 128
    return x509.OtherName(XMPP_ADDR, b"\x0c" + bytes([len(text)]) + text)


def common_name(text):
    """A subject of a CN alone, or an empty one."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)] if text else [])


def certificate(public_key, signer, *names, subject="somebody", issuer=None, days=(-1, 30), ca=False):
    """A certificate with these SAN entries, valid from and to so many days from now; issuer: its own subject."""
    now = datetime.datetime.utcnow()
    subject = common_name(subject) if isinstance(subject, str) else subject
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer or subject).public_key(public_key)
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now + datetime.timedelta(days[0]))
    builder = builder.not_valid_after(now + datetime.timedelta(days[1]))
    builder = builder.add_extension(x509.BasicConstraints(ca, None), True)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), False)
    return builder.sign(signer, hashes.SHA256())


def to_der(cert):
    return cert.public_bytes(serialization.Encoding.DER)


HASHES = {"RSA-SHA1": hashes.SHA1, "RSA-SHA256": hashes.SHA256, "ECDSA-SHA256": hashes.SHA256}


def cross_signatures(key, issuer):
    """method -> value of the signatures on a key (a PublicKey of the API), each verified by the issuer's certificate
    (one of the API, too)."""
    keyinfo = ElementTree.fromstring(key["keyinfo"])
    subject = next(base64.b64decode(e.text) for e in keyinfo.iter() if e.tag.endswith("}x509cert"))
    assert hashlib.sha1(subject).hexdigest() == key["name"]
    public = x509.load_der_x509_certificate(base64.b64decode(issuer["der"])).public_key()
    made = {e.get("method"): base64.b64decode(e.text) for e in keyinfo.iter() if e.tag.endswith("}value")}
    for method, value in made.items():
        how = [padding.PKCS1v15(), HASHES[method]()] if method.startswith("RSA") else [ec.ECDSA(HASHES[method]())]
        public.verify(value, subject, *how)
    return made


def make_csr(key, *jids, cn=None, names=()):
    """A request's DER; jids are asked for as xmppAddr, and names of other types as they are."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(common_name(cn))
    if jids or names:
        builder = builder.add_extension(x509.SubjectAlternativeName([*map(xmpp_addr, jids), *names]), False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


class ClientCA:
    """A certificate authority whose key the tests hold."""

    def __init__(self, name="Test client CA"):
        self.key = make_key()
        self.cert = certificate(self.key.public_key(), self.key, subject=name, ca=True)

    def pem(self):
        """The CA's own certificate."""
        return self.cert.public_bytes(serialization.Encoding.PEM).decode()

    def issue(self, key, names, **kwargs):
        """A certificate for this key with these SAN entries."""
        return certificate(key.public_key(), self.key, *names, issuer=self.cert.subject, **kwargs)
