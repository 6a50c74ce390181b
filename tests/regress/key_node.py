"""Somebody's key node, written by slixmpp: keys of software, published, changed and retracted."""
import base64
import hashlib

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from certificates import certificate, make_key, to_der, xmpp_addr
from peer import NS_PUBKEY, NS_PUBSUB, as_peer


class Key:
    """A self-signed certificate with its private key, and the signatures on it."""

    def __init__(self, jid=None, kind="p256", subject="somebody", days=(-1, 30)):
        self.key = make_key(kind)
        self.der = to_der(certificate(self.key.public_key(), self.key, *([xmpp_addr(jid)] if jid else []),
                                      subject=subject, days=days))
        self.name = hashlib.sha1(self.der).hexdigest()
        self.sha256 = hashlib.sha256(self.der).hexdigest()
        self.signatures = []  # (issuer's name, method, value)

    def sign(self, subject, method=None, over=None):
        """This key signs the other; over: other bytes than the certificate, which is a bad signature."""
        data = subject.der if over is None else over
        if isinstance(self.key, rsa.RSAPrivateKey):
            method = method or "RSA-SHA256"
            digest = hashes.SHA1() if method == "RSA-SHA1" else hashes.SHA256()
            value = self.key.sign(data, padding.PKCS1v15(), digest)
        else:
            method, value = method or "ECDSA-SHA256", self.key.sign(data, ec.ECDSA(hashes.SHA256()))
        subject.signatures.append((self.name, method, value))
        return subject

    def keyinfo(self, name=None, data=None):
        """The element as text."""
        signed = "".join(f"<signature><issuer>{issuer}</issuer><value method='{method}'>"
                         f"{base64.b64encode(value).decode()}</value></signature>"
                         for issuer, method, value in self.signatures)
        return f"<keyinfo xmlns='{NS_PUBKEY}'><name>{name or self.name}</name>" \
               f"<x509cert>{base64.b64encode(data or self.der).decode()}</x509cert>{signed}</keyinfo>"


def good(signature, subject, issuer):
    """Verifies (method, value) by python3-cryptography; raises InvalidSignature."""
    method, value = signature
    public = x509.load_der_x509_certificate(issuer).public_key()
    if method == "ECDSA-SHA256":
        public.verify(value, subject, ec.ECDSA(hashes.SHA256()))
    else:
        public.verify(value, subject, padding.PKCS1v15(), hashes.SHA1() if method == "RSA-SHA1" else hashes.SHA256())


def _form(access):
    fields = {"access_model": access, "persist_items": "1", "max_items": "max", "send_last_published_item": "never"}
    return "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'>" \
           f"<value>{NS_PUBSUB}#node_config</value></field>" + \
           "".join(f"<field var='pubsub#{k}'><value>{v}</value></field>" for k, v in fields.items()) + "</x>"


def publish(world, name, *keyinfos, access="presence"):
    """Makes the account's node, if there is none, and publishes each (id, keyinfo) or Key."""
    items = [(k.name, k.keyinfo()) if isinstance(k, Key) else k for k in keyinfos]

    async def job(peer):
        made = await peer.iq("set", f"<pubsub xmlns='{NS_PUBSUB}'><create node='{NS_PUBKEY}'/><configure>{_form(access)}"
                             "</configure></pubsub>")
        if made.get("type") == "error":
            assert made.find(".//{urn:ietf:params:xml:ns:xmpp-stanzas}conflict") is not None
        for item_id, keyinfo in items:
            answer = await peer.iq("set", f"<pubsub xmlns='{NS_PUBSUB}'><publish node='{NS_PUBKEY}'>"
                                   f"<item id='{item_id}'>{keyinfo}</item></publish></pubsub>")
            assert answer.get("type") == "result", item_id
    as_peer(world, name, job)


def retract(world, name, *names):
    """Takes keys from the account's node."""
    async def job(peer):
        for item_id in names:
            answer = await peer.iq("set", f"<pubsub xmlns='{NS_PUBSUB}'><retract node='{NS_PUBKEY}'>"
                                   f"<item id='{item_id}'/></retract></pubsub>")
            assert answer.get("type") == "result", item_id
    as_peer(world, name, job)
