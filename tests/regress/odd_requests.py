"""Certificate signing requests that no program makes, byte by byte (X.690, RFC 2986)."""
import secrets

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

from certificates import make_key

CN, MAIL = "2.5.4.3", "1.2.840.113549.1.9.1"
EXTENSIONS, MS_EXTENSIONS, CHALLENGE = "1.2.840.113549.1.9.14", "1.3.6.1.4.1.311.2.1.14", "1.2.840.113549.1.9.7"
SAN, BASIC, USAGE, PURPOSES = "2.5.29.17", "2.5.29.19", "2.5.29.15", "2.5.29.37"
XMPP_ADDR, SRV_NAME = "1.3.6.1.5.5.7.8.5", "1.3.6.1.5.5.7.8.7"
RSA, RSA_SHA256 = "1.2.840.113549.1.1.1", "1.2.840.113549.1.1.11"
EC, P256, ECDSA_SHA256 = "1.2.840.10045.2.1", "1.2.840.10045.3.1.7", "1.2.840.10045.4.3.2"
NULL = b"\x05\x00"
OCTETS, UTF8, PRINTABLE, IA5, BMP = 4, 12, 19, 22, 30


def tlv(tag, *parts):
    body = b"".join(parts)
    if len(body) < 128:
        return bytes([tag, len(body)]) + body
    size = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(size)]) + size + body


def indefinite(tag, *parts):
    """BER that is no DER: of no stated length."""
    return bytes([tag, 0x80]) + b"".join(parts) + b"\0\0"


def seq(*parts):
    return tlv(0x30, *parts)


def one_of(*parts):
    return tlv(0x31, *parts)


def integer(number):
    return tlv(2, number.to_bytes(number.bit_length() // 8 + 1, "big", signed=True))


def bits(data, unused=0):
    return tlv(3, bytes([unused]), data)


def octets(data):
    return tlv(4, data)


def oid(text):
    first, second, *rest = map(int, text.split("."))
    out = b""
    for number in (40 * first + second, *rest):
        part = [number & 127]
        while number := number >> 7:
            part.append(128 | number & 127)
        out += bytes(reversed(part))
    return tlv(6, out)


def text(string, tag=UTF8):
    return tlv(tag, string if isinstance(string, bytes) else
               string.encode("utf-16-be" if tag == BMP else "utf-8"))


def name(*attributes):
    """A subject; each is (type, text) or (type, text, tag)."""
    return seq(*(one_of(seq(oid(a[0]), text(*a[1:]))) for a in attributes))


def other_name(kind, value):
    return tlv(0xa0, oid(kind), tlv(0xa0, value))


def xmpp_addr(jid, tag=UTF8):
    return other_name(XMPP_ADDR, text(jid, tag))


def extension(kind, value, critical=False):
    return seq(oid(kind), b"\x01\x01\xff" if critical else b"", octets(value))


def san(*names, critical=False):
    return extension(SAN, seq(*names), critical)


def attribute(kind, *values):
    return seq(oid(kind), one_of(*values))


def asked(*extensions):
    """The attribute that asks for these."""
    return attribute(EXTENSIONS, seq(*extensions))


def rsa_key(modulus, exponent=65537):
    """SubjectPublicKeyInfo."""
    return seq(seq(oid(RSA), NULL), bits(seq(integer(modulus), integer(exponent))))


def ec_key(point, curve=None):
    return seq(seq(oid(EC), curve or oid(P256)), bits(point))


def spki_of(key):
    return key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def algorithm(kind=ECDSA_SHA256, parameters=b""):
    return seq(oid(kind), parameters)


def assemble(*attributes, subject=b"", spki=b"", version=0, key=None, signer=None, alg=None, signature=None, info=seq):
    """The request: of what is given, and otherwise as a program would make it for that key (P-256 unless given)."""
    key = key or make_key()
    told = info(integer(version), subject or name(), spki or spki_of(key), tlv(0xa0, *attributes))
    signer = signer or key
    if signature is None and isinstance(signer, rsa.RSAPrivateKey):
        signature, alg = signer.sign(told, PKCS1v15(), hashes.SHA256()), alg or algorithm(RSA_SHA256, NULL)
    elif signature is None and isinstance(signer, dsa.DSAPrivateKey):
        signature, alg = signer.sign(told, hashes.SHA256()), algorithm("2.16.840.1.101.3.4.3.2")
    elif signature is None and isinstance(signer, ed448.Ed448PrivateKey):
        signature, alg = signer.sign(told), algorithm("1.3.101.113")
    elif signature is None:
        signature = signer.sign(told, ec.ECDSA(hashes.SHA256()))
    return seq(told, alg or algorithm(), bits(signature))


def odd_modulus(size):
    return 1 << (size - 1) | secrets.randbits(size - 2) << 1 | 1


def rsa_of(size, exponent):
    """A key of this form that nobody has the private half of, so the signature is none."""
    modulus = odd_modulus(size)
    return assemble(spki=rsa_key(modulus, exponent), alg=algorithm(RSA_SHA256, NULL), signature=bytes(size // 8))


def rsa_exponent_one():
    """With an exponent of 1 everybody can sign: the signature is the padded hash itself."""
    modulus = odd_modulus(2048)
    told = seq(integer(0), name(), rsa_key(modulus, 1), tlv(0xa0))
    digest = hashes.Hash(hashes.SHA256())
    digest.update(told)
    info = bytes.fromhex("3031300d060960864801650304020105000420") + digest.finalize()
    padded = b"\0\1" + b"\xff" * (256 - 3 - len(info)) + b"\0" + info
    return seq(told, algorithm(RSA_SHA256, NULL), bits(padded))


def compressed():
    key = make_key()
    point = key.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint)
    return assemble(spki=ec_key(point), key=key)
