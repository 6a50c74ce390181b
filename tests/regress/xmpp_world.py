"""What signet-xmpp's tests stand on: a private Prosody for password and certificate logins, keys, and how the
tests connect, sign for a client key and judge the answers."""
import itertools

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

import xmpp_frames as f
from certificates import XMPP_ADDR
from prosody import Prosody
from world import BUILD, DOMAIN, FRIENDS, World

CERT_DOMAIN, PASSWORD = "cert.test", "pencil sharpener"
PROGRAM = BUILD / "bin/signet-xmpp"
HASHES = {4: hashes.SHA256(), 5: hashes.SHA384(), 6: hashes.SHA512()}


class XmppWorld(World):
    """The keys of servers and clients, and as many servers as are needed."""

    def __init__(self):
        super().__init__(programs=("signet-xmpp",))
        self.numbers = itertools.count()
        for ca in ("ca", "client-ca", "other-ca"):
            self.pki.make_ca(ca)
        self.pki.issue("server", "ca", f"DNS:{DOMAIN},DNS:{CERT_DOMAIN}")
        self.pki.issue("stranger", "ca", "DNS:elsewhere.test")
        self.pki.issue("expired", "ca", f"DNS:{DOMAIN}", days=-1)
        jid = f"otherName:{XMPP_ADDR.dotted_string};UTF8:juliet@{CERT_DOMAIN}"
        self.pki.issue("juliet-rsa", "client-ca", jid, ["rsa:2048"])
        self.pki.issue("juliet-ec", "client-ca", jid)
        self.pki.issue("juliet-untrusted", "other-ca", jid)

    def new_server(self, certificate="server", tls=""):
        """A running Prosody with that certificate."""
        server = Prosody(self, f"server-{next(self.numbers)}")
        server.configure(f"""\
VirtualHost "{DOMAIN}"
VirtualHost "{CERT_DOMAIN}"
  authentication = "ccert"
""", certificate, self.pki.dir / "client-ca.pem", ("smacks",), 'certificate_match = "xmppaddr"', tls)
        server.add_accounts(DOMAIN, self.accounts, PASSWORD, FRIENDS)
        return server.start()

    def start_worker(self, env):
        """signet-xmpp with the test as its broker."""
        return f.Worker(self, f"worker-{next(self.numbers)}", env)


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


def connect(worker, server, pki, **more):
    """Logs in by password."""
    return worker.connect(account(server, pki, **more), PASSWORD)


def offline(worker, code):
    """The stream's end, told unasked."""
    frame_id, kind, message = worker.receive()
    assert (frame_id, kind) == (0, f.OFFLINE)
    assert message["code"] == code, message
    return message
