"""OpenPGP keys packet by packet (RFC 4880), with what gpg does not make: for the tests of what strangers may send."""
import base64
import hashlib
import struct
import time

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from peer import NS_PUBKEY

DAY = 86400
HASHES = {1: hashes.MD5, 2: hashes.SHA1, 8: hashes.SHA256}
KEY_REVOCATION, SUBKEY_BINDING, SUBKEY_REVOCATION, DIRECT, CERTIFICATION = 0x20, 0x18, 0x28, 0x1f, 0x13


def number(value):
    bits = value.bit_length()
    return struct.pack(">H", bits) + value.to_bytes((bits + 7) // 8, "big")


def length(n):
    if n < 192:
        return bytes([n])
    return bytes([((n - 192) >> 8) + 192, (n - 192) & 255]) if n < 8384 else b"\xff" + struct.pack(">I", n)


def packet(tag, body):
    return bytes([0xc0 | tag]) + length(len(body)) + body


def subpacket(kind, body, critical=False):
    return length(len(body) + 1) + bytes([kind | (0x80 if critical else 0)]) + body


class Rsa:
    """A key of 2,048 bits, and the packets that it makes."""

    def __init__(self):
        self.key = rsa.generate_private_key(65537, 2048)
        self.created = int(time.time()) - 100 * DAY
        public = self.key.public_key().public_numbers()
        self.body = b"\x04" + struct.pack(">I", self.created) + b"\x01" + number(public.n) + number(public.e)
        self.framed = b"\x99" + struct.pack(">H", len(self.body)) + self.body
        self.fingerprint = hashlib.sha1(self.framed).digest()
        self.name = self.fingerprint.hex()

    def signature(self, kind, data, hashed=b"", at=None, algorithm=8, issuer=True):
        hashed = subpacket(2, struct.pack(">I", int(at or self.created + 10))) + hashed
        if issuer:
            hashed += subpacket(33, b"\x04" + self.fingerprint)
        head = bytes([4, kind, 1, algorithm]) + struct.pack(">H", len(hashed)) + hashed
        hasher = HASHES[algorithm]()
        digest = hashlib.new(hasher.name, data + head + b"\x04\xff" + struct.pack(">I", len(head))).digest()
        value = self.key.sign(digest, padding.PKCS1v15(), Prehashed(hasher))
        beside = subpacket(16, self.fingerprint[-8:]) if issuer else b""
        return packet(2, head + struct.pack(">H", len(beside)) + beside + digest[:2] + number(int.from_bytes(value, "big")))

    def public(self):
        return packet(6, self.body)

    def user_id(self, text, more=b""):
        data = text.encode()
        return packet(13, data) + self.signature(
            CERTIFICATION, self.framed + b"\xb4" + struct.pack(">I", len(data)) + data, subpacket(27, b"\x03") + more)

    def whole(self):
        return self.public() + self.user_id("somebody")

    def revocation(self, more=b"", **how):
        return self.signature(KEY_REVOCATION, self.framed, subpacket(29, b"\0") + more, **how)

    def sign(self, data, more=b""):
        return self.signature(0, data, more, at=time.time() - 3600)


def keyinfo(name, data, *signatures):
    """Signatures: (issuer's name, packet) each."""
    signed = "".join(f"<signature><issuer>{issuer}</issuer><value>{base64.b64encode(value).decode()}</value></signature>"
                     for issuer, value in signatures)
    return f"<keyinfo xmlns='{NS_PUBKEY}'><name>{name}</name><pgpdata>{base64.b64encode(data).decode()}</pgpdata>{signed}</keyinfo>"
