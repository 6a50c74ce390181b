"""A server that does what a test tells it, byte for byte: TCP and TLS are real, the XMPP is the test's."""
import base64
import contextlib
import hashlib
import hmac
import re
import socket
import ssl
import threading

from processes import PATIENCE
from wire import Wire
from world import DOMAIN
from xmpp_world import PASSWORD

STREAM = (f"<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'"
          f" id='rogue' from='{DOMAIN}' version='1.0'>")
STARTTLS = "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls></stream:features>"
PROCEED = "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
BIND = "<stream:features><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></stream:features>"


def mechanisms(*names):
    inner = "".join(f"<mechanism>{name}</mechanism>" for name in names)
    return f"<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{inner}</mechanisms></stream:features>"


class Connection(Wire):
    """One client's connection, seen from the server."""

    def __init__(self, sock, context):
        super().__init__(sock)
        self.context = context

    def hear_bytes(self):
        """Waits until the client is gone, whatever it says."""
        while self.sock.recv(1 << 16):
            pass

    def starttls(self, features=STARTTLS, proceed=PROCEED):
        self.hear("<stream:stream[^>]*>")
        self.send(STREAM + features)
        self.hear("<starttls[^>]*>")
        self.send(proceed)
        self.use(self.context.wrap_socket(self.sock, server_side=True))
        self.hear("<stream:stream[^>]*>")

    def challenge(self, rounds=4096, salt="c2FsdHNhbHQ=", nonce="{}rogue", more=""):
        """Reads the client's first SCRAM message, sends a challenge; gives the mechanism."""
        match = self.hear("<auth [^>]*mechanism=[\"']([^\"']+)[\"'][^>]*>([^<]*)</auth>")
        header, first = base64.b64decode(match[2]).decode().split(",,")
        assert header == "n"
        nonce = nonce.format(first.split("r=")[1])
        text = f"r={nonce},s={salt},i={rounds}{more}"
        self.scram = match[1], salt, rounds, f"{first},{text},c=biws,r={nonce}"
        self.sasl("challenge", text)
        return match[1]

    def sasl(self, name, text):
        self.send(f"<{name} xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{base64.b64encode(text.encode()).decode()}</{name}>")

    def verifier(self, password=PASSWORD):
        """What proves to the client that we know the password (RFC 5802 3)."""
        mechanism, salt, rounds, message = self.scram
        name = mechanism.replace("SCRAM-SHA-", "sha")
        salted = hashlib.pbkdf2_hmac(name, password.encode(), base64.b64decode(salt), rounds)
        key = hmac.digest(salted, b"Server Key", name)
        return "v=" + base64.b64encode(hmac.digest(key, message.encode(), name)).decode()

    def authenticate(self, *offered, **challenge):
        """Up to the stream after the login."""
        self.starttls()
        self.send(STREAM + mechanisms(*offered))
        self.challenge(**challenge)
        self.hear("</response>")
        self.sasl("success", self.verifier())
        self.hear("<stream:stream[^>]*>")

    def bind(self, jid):
        """Gives the client this address, whatever it asks for."""
        self.send(STREAM + BIND)
        match = self.hear("<iq [^>]*id=[\"']([^\"']+)[\"'].*?</iq>")
        self.send(f"<iq type='result' id='{match[1]}'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>"
                  f"<jid>{jid}</jid></bind></iq>")

    def login(self, resource="r"):
        """All the way until the client is online."""
        self.authenticate("SCRAM-SHA-1", "SCRAM-SHA-256", "PLAIN")
        self.bind(f"juliet@{DOMAIN}/{resource}")

    def question(self):
        """The client's next iq: its id and its text."""
        match = self.hear("<iq [^>]*>.*?</iq>")
        return re.search("id=[\"']([^\"']+)", match[0])[1], match[0]


class Rogue:
    """Listens, and runs script(connection) in a thread for each client; keeps what the scripts gave."""

    def __init__(self, pki, script):
        self.script, self.results, self.connections = script, [], []
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(pki.dir / "server.pem", pki.dir / "server.key")
        self.sock = socket.create_server(("127.0.0.1", 0))
        self.port = self.sock.getsockname()[1]
        self.threads = [threading.Thread(target=self._listen, daemon=True)]
        self.threads[0].start()

    def _listen(self):
        while True:
            try:
                sock, _ = self.sock.accept()
            except OSError:
                return
            self.threads.append(threading.Thread(target=self._serve, args=(sock,), daemon=True))
            self.threads[-1].start()

    def _serve(self, sock):
        connection = Connection(sock, self.context)
        self.connections.append(connection)
        try:
            self.results.append(self.script(connection))
        except (AssertionError, EOFError, OSError, ValueError) as what:
            self.results.append(what)
        finally:
            connection.close()

    def close(self, cut=False):
        """No more clients; waits until every script is done (cut: by ending their connections) and gives results."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()
        for connection in self.connections if cut else ():
            with contextlib.suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()
        for result in self.results:
            if isinstance(result, AssertionError):
                raise result
        return self.results
