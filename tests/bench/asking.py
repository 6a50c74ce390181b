"""Clients of the authority that keep many requests under way: over TLS as accounts of a real server, and as that server
itself (XEP-0114), where only the authority is to be measured."""
import base64
import contextlib
import re
import selectors
import socket
import ssl
import time

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography import x509

from processes import PATIENCE, WorldError
from world import DOMAIN, PASSWORD

NS_ADD = "urn:xmpp:ccm2:add-cert:0"
NS_LIST = "urn:xmpp:ccm2:list-certs:0"


def requests():
    """Certificate signing requests for one key in Base64, each another one: an ECDSA signature never comes twice."""
    key = ec.generate_private_key(ec.SECP256R1())
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    tbs, der = csr.tbs_certrequest_bytes, csr.public_bytes(serialization.Encoding.DER)
    head = der[4 if der[1] == 0x82 else 3 if der[1] == 0x81 else 2:]
    algorithm = head[len(tbs):len(tbs) + 2 + head[len(tbs) + 1]]
    while True:
        signature = key.sign(tbs, ec.ECDSA(hashes.SHA256()))
        body = tbs + algorithm + b"\x03" + bytes([len(signature) + 1]) + b"\0" + signature
        length = bytes([len(body)]) if len(body) < 128 else bytes([0x81, len(body)]) if len(body) < 256 else \
            b"\x82" + len(body).to_bytes(2, "big")
        yield base64.b64encode(b"\x30" + length + body).decode()


def add(ident, csr):
    """The client's request for a certificate."""
    return (f"<iq type='set' id='{ident}'><add-certificate-request xmlns='{NS_ADD}'><name>bench</name>"
            f"<x509certificate-signing-request>{csr}</x509certificate-signing-request></add-certificate-request></iq>")


class Peer:
    """A stream of which the answers are counted, by what each ends with."""

    END = b"</iq>"

    def __init__(self, sock):
        self.sock, self.rest = sock, b""
        self.sock.settimeout(PATIENCE)

    def wrap(self, number, text):
        """A client's iq as this stream carries it."""
        return text

    def hear(self, pattern):
        """Waits for this, at the start of the stream."""
        while not re.search(pattern, self.rest, re.S):
            data = self.sock.recv(1 << 16)
            if not data:
                raise WorldError(f"the stream ended before {pattern.decode()}: {self.rest.decode(errors='replace')}")
            self.rest += data
        self.rest = b""

    def send(self, text):
        self.sock.sendall(text.encode())

    def answers(self):
        """How many answers have come; waits for none. An error is none, and ends the measurement."""
        data = self.rest
        with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError):
            while more := self.sock.recv(1 << 18):
                data += more
        if b"<error" in data:
            raise WorldError(f"refused: {data[data.index(b'<error'):][:300].decode(errors='replace')}")
        count = data.count(self.END)
        self.rest = data[data.rindex(self.END) + len(self.END):] if count else data
        return count


class Account(Peer):
    """An account's stream, logged in by password and bound."""

    def __init__(self, world, name):
        context = ssl.create_default_context(cafile=str(world.cafile))
        sock = socket.create_connection(("127.0.0.1", world.direct_port), PATIENCE)
        super().__init__(context.wrap_socket(sock, server_hostname=DOMAIN))
        self.open()
        text = base64.b64encode(f"\0{name}\0{PASSWORD}".encode()).decode()
        self.send(f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{text}</auth>")
        self.hear(b"<success")
        self.open()
        self.send("<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>")
        self.hear(b"</iq>")

    def open(self):
        self.send(f"<?xml version='1.0'?><stream:stream to='{DOMAIN}' xmlns='jabber:client' "
                  "xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>")
        self.hear(b"</stream:features>")


class Server(Peer):
    """The server that the authority connects to, with a new account for so many requests each."""

    END = b"</delegation></iq>"

    def __init__(self, listener, per_account):
        super().__init__(listener.accept()[0])
        self.per_account = per_account
        self.hear(b"<stream:stream[^>]*>")
        self.send(f"<?xml version='1.0'?><stream:stream xmlns:stream='http://etherx.jabber.org/streams' "
                  f"xmlns='jabber:component:accept' id='s' from='ccm.{DOMAIN}'>")
        self.hear(b"</handshake>")
        self.send("<handshake/>")

    def wrap(self, number, text, account=None):
        account = account or f"somebody{number // self.per_account}"
        inner = text.replace("<iq ", f"<iq xmlns='jabber:client' from='{account}@{DOMAIN}/x' ", 1)
        return (f"<iq type='set' id='{number}' from='{DOMAIN}' to='ccm.{DOMAIN}'>"
                "<delegation xmlns='urn:xmpp:delegation:2'><forwarded xmlns='urn:xmpp:forward:0'>"
                f"{inner}</forwarded></delegation></iq>")

    def ask(self, account, text):
        """Asks for an account; gives the seconds until all of the answer is there, and the answer."""
        started, data = time.perf_counter(), b""
        self.send(self.wrap(0, text, account))
        while not data[-64:].rstrip().endswith(self.END):
            data += self.sock.recv(1 << 18)
        return time.perf_counter() - started, data


def ask_many(peers, count, depth, on_answer=lambda total: None):
    """Has each of the peers add certificates, so many under way at once, until 'count' were issued together."""
    csrs, selector, sent, got = requests(), selectors.DefaultSelector(), 0, 0
    for peer in peers:
        peer.sock.settimeout(0)
        selector.register(peer.sock, selectors.EVENT_READ, peer)
    wanting = {peer: depth for peer in peers}
    while got < count:
        for peer, room in wanting.items():
            room = min(room, count - sent)
            if room:
                peer.sock.settimeout(PATIENCE)
                peer.send("".join(peer.wrap(i, add(i, next(csrs))) for i in range(sent, sent + room)))
                peer.sock.settimeout(0)
                sent += room
        wanting = {}
        ready = selector.select(PATIENCE)
        if not ready:
            raise WorldError("no answers")
        for key, _ in ready:
            answered = key.data.answers()
            got += answered
            wanting[key.data] = answered
        on_answer(got)
    for peer in peers:
        peer.sock.settimeout(PATIENCE)
