"""What the authority's tests stand on: a real Prosody, signet-authority and SoftHSM, and clients by slixmpp."""
import asyncio
import base64
import datetime
import hashlib
import os
import re
import socket
import ssl
import threading
import time
from unittest import mock

import slixmpp
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from slixmpp.xmlstream import ET
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import MatcherId

import world
from world import DOMAIN, PASSWORD, World

NS_DISCO = "http://jabber.org/protocol/disco#info"
NS_ADD = "urn:xmpp:ccm2:add-cert:0"
NS_LIST = "urn:xmpp:ccm2:list-certs:0"
NS_REVOKE = "urn:xmpp:ccm2:revoke-cert:0"
NS_STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"
XMPP_ADDR = x509.ObjectIdentifier("1.3.6.1.5.5.7.8.5")
LIMIT = 4


class AuthorityWorld(World):
    """A server and an authority with few certificates per account; accounts are made as they are needed."""

    def __init__(self):
        with mock.patch.object(world, "PROGRAMS", ("signet-authority", "signet-token")):
            super().__init__(accounts=("juliet", "romeo"), certificates=LIMIT)
        self.numbers = 0

    def configure(self, old, new):
        """Replaces text in the authority's configuration."""
        text = self.authority_conf.read_text()
        assert old in text
        self.write("authority/authority.conf", text.replace(old, new))

    def account(self):
        """A new account's name; Prosody hashes its password at the first login."""
        self.numbers += 1
        name = f"user{self.numbers}"
        self.mkdir("server/data/xmpp%2etest/accounts")
        self.write(f"server/data/xmpp%2etest/accounts/{name}.dat", f'return {{ ["password"] = "{PASSWORD}" }};\n')
        return name

    def restart_authority(self, sig=None):
        """Ends the authority (SIGTERM, or this signal) and starts it again."""
        status = self.authority.stop(*([sig] if sig else []))
        assert sig or status == 0, "".join(self.authority.lines[-15:])
        self.start_authority()

    def openssl(self, *args, data=None, check=True):
        """Runs openssl on files of the world; data goes into the file that '@' stands for."""
        if data is not None:
            path = self.dir / "pki/judged"
            path.write_bytes(data)
            path.chmod(0o644)
            args = [path if a == "@" else a for a in args]
        return self.run("openssl", *args, check=check)


class Client(slixmpp.ClientXMPP):
    """A client on a thread of its own, logged in by password, or by certificate (SASL EXTERNAL)."""

    def __init__(self, place, name, cert=None, resource="test", authzid=None):
        self.loop_thread = asyncio.new_event_loop()
        asyncio.set_event_loop(self.loop_thread)
        super().__init__(f"{name}@{DOMAIN}/{resource}", PASSWORD, sasl_mech="EXTERNAL" if cert else None)
        if cert:
            self.certfile, self.keyfile = cert
            self.credentials["authzid"] = f"{name}@{DOMAIN}" if authzid is None else authzid
        self.port = place.c2s_port
        self.ca_certs = str(place.cafile)
        self.ssl_context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.up, self.down = threading.Event(), threading.Event()
        self.refused, self.stream_condition = False, None
        self.add_event_handler("session_start", self._on_start)
        self.add_event_handler("failed_all_auth", self._on_refused)
        self.add_event_handler("stream_error", self._on_stream_error)
        self.add_event_handler("disconnected", self._on_down)
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        asyncio.set_event_loop(self.loop_thread)
        self.loop = self.loop_thread
        self.connect(("127.0.0.1", self.port), disable_starttls=False)
        self.loop_thread.run_forever()

    def _on_start(self, _):
        self.send_presence()
        self.up.set()

    def _on_refused(self, _):
        self.refused = True
        self.abort()
        self.up.set()

    def _on_stream_error(self, error):
        self.stream_condition = error["condition"]

    def _on_down(self, _):
        self.down.set()
        self.up.set()

    def __enter__(self):
        self.thread.start()
        assert self.up.wait(15), "no login in 15 s"
        return self

    def __exit__(self, *_):
        async def leave():
            if not self.down.is_set():
                self.disconnect(wait=0.5)
                await asyncio.wait_for(self.disconnected, 5)
        if not self.down.is_set():
            asyncio.run_coroutine_threadsafe(leave(), self.loop_thread).result(10)

        async def end():
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()
        asyncio.run_coroutine_threadsafe(end(), self.loop_thread).result(5)
        self.loop_thread.call_soon_threadsafe(self.loop_thread.stop)
        self.thread.join(5)
        self.loop_thread.close()

    @property
    def logged_in(self):
        """Whether the login worked and the stream is still there."""
        return not self.refused and not self.down.is_set()

    def raw(self, text, ident, timeout=15):
        """Sends this text and gives the iq with this id that comes back."""
        answered = []
        came = threading.Event()

        def on_answer(stanza):
            answered.append(stanza.xml)
            came.set()

        def send():
            self.register_handler(Callback(f"raw-{ident}", MatcherId(ident), on_answer, once=True))
            self.send_raw(text)
        self.loop_thread.call_soon_threadsafe(send)
        assert came.wait(timeout), "no answer"
        return answered[0]

    def iq(self, kind, payload, to=None, timeout=15):
        """Sends an iq with this payload (XML text); gives the answer as an element."""
        ident = self.new_id()
        address = f" to='{to}'" if to else ""
        return self.raw(f"<iq type='{kind}' id='{ident}'{address}>{payload}</iq>", ident, timeout)

    def add(self, der, name="phone", **kwargs):
        """C3; der may be bytes (then Base64 is made) or text as it is to stand there."""
        text = base64.b64encode(der).decode() if isinstance(der, bytes) else der
        return self.iq("set", f"<add-certificate-request xmlns='{NS_ADD}'><name>{name}</name>"
                       f"<x509certificate-signing-request>{text}</x509certificate-signing-request>"
                       "</add-certificate-request>", **kwargs)

    def added(self, der, name="phone", **kwargs):
        """Adds and gives the certificate's DER."""
        answer = self.add(der, name, **kwargs)
        assert answer.get("type") == "result", ET.tostring(answer)
        return base64.b64decode(answer.find(f"{{{NS_ADD}}}add-certificate-result/{{{NS_ADD}}}x509certificate").text)

    def listed(self):
        """C7, C8: the entries as (name, DER, last-used, resources)."""
        answer = self.iq("get", f"<list-certificates-request xmlns='{NS_LIST}'/>")
        assert answer.get("type") == "result", ET.tostring(answer)
        root = answer[0]
        assert root.tag == f"{{{NS_LIST}}}list-of-certificates"
        entries = []
        for entry in root:
            assert entry.tag == f"{{{NS_LIST}}}x509certificate"
            entries.append((entry.find(f"{{{NS_LIST}}}name").text or "",
                            base64.b64decode(entry.find(f"{{{NS_LIST}}}x509cert").text), entry.get("last-used"),
                            [r.text for r in entry.iter(f"{{{NS_LIST}}}resource")]))
        return entries

    def revoke(self, value, hash_name="sha-256"):
        """C9."""
        attr = f" hash='{hash_name}'" if hash_name else ""
        return self.iq("set", f"<revoke-certificate xmlns='{NS_REVOKE}'><fingerprint{attr}>{value}</fingerprint>"
                       "</revoke-certificate>")


class Stream:
    """A client's stream byte for byte, logged in by PLAIN or, with a certificate, by EXTERNAL; not bound yet."""

    def __init__(self, place, name, cert=None):
        self.sock = socket.create_connection(("127.0.0.1", place.c2s_port), 15)
        self.buffer = ""
        self.open()
        self.send("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
        self.hear("<proceed[^>]*>")
        context = ssl.create_default_context(cafile=str(place.cafile))
        if cert:
            context.load_cert_chain(*cert)
        self.sock = context.wrap_socket(self.sock, server_hostname=DOMAIN)
        self.open()
        mechanism, text = ("EXTERNAL", "=") if cert else (
            "PLAIN", base64.b64encode(f"\0{name}\0{PASSWORD}".encode()).decode())
        self.send(f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='{mechanism}'>{text}</auth>")
        self.logged_in = self.hear("<success[^>]*>|</failure>").startswith("<success")
        if self.logged_in:
            self.open()

    def open(self):
        """A new stream, up to the server's features."""
        self.send(f"<?xml version='1.0'?><stream:stream to='{DOMAIN}' xmlns='jabber:client' "
                  "xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>")
        self.hear("</stream:features>")

    def send(self, text):
        self.sock.sendall(text.encode())

    def hear(self, pattern):
        """Waits for this and gives it; what came before it is then in 'before'."""
        self.sock.settimeout(15)
        while not (match := re.search(pattern, self.buffer, re.S)):
            data = self.sock.recv(1 << 16)
            assert data, f"the server left before it said {pattern}: {self.buffer}"
            self.buffer += data.decode()
        said, self.buffer = self.buffer[match.start():match.end()], self.buffer[match.end():]
        self.before = match.string[:match.start()]
        return said

    def bind(self, resource):
        self.send(bind_request(resource))
        return self.hear("<jid>[^<]*</jid>")

    def enable_resumption(self):
        """XEP-0198; gives the id to resume by."""
        self.send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
        return re.search("\\bid=['\"]([^'\"]+)", self.hear("<enabled[^>]*>")).group(1)

    def resume(self, previous):
        self.send(f"<resume xmlns='urn:xmpp:sm:3' h='0' previd='{previous}'/>")

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def bind_request(resource):
    """The iq that binds this resource."""
    return (f"<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>{resource}</resource>"
            "</bind></iq>")


def bare(client):
    return client.boundjid.bare


def sha256(der):
    return hashlib.sha256(der).hexdigest()


def revoked_list(place):
    return (place.dir / "authority/revoked.txt").read_text().split()


def wait_for(check, timeout=5):
    """Asks until there is something; for what has no event that we could see."""
    deadline = time.monotonic() + timeout
    while True:
        found = check()
        if found or time.monotonic() > deadline:
            assert found
            return found
        time.sleep(0.05)


def error_of(answer):
    """(type, condition) of an error answer; it must say why in English, too."""
    assert answer.get("type") == "error", ET.tostring(answer)
    error = answer.find("{jabber:client}error")
    conditions = [e.tag.partition("}")[2] for e in error if e.tag != f"{{{NS_STANZAS}}}text"]
    text = error.find(f"{{{NS_STANZAS}}}text")
    assert text is not None and len(text.text) > 10
    assert text.get("{http://www.w3.org/XML/1998/namespace}lang") == "en"
    assert len(conditions) == 1
    return error.get("type"), conditions[0]


def make_key(kind="p256"):
    """A private key in software."""
    if kind.startswith("rsa"):
        return rsa.generate_private_key(65537, int(kind[3:]))
    curves = {"p224": ec.SECP224R1, "p256": ec.SECP256R1, "p384": ec.SECP384R1, "p521": ec.SECP521R1,
              "k256": ec.SECP256K1}
    return ec.generate_private_key(curves[kind]())


def xmpp_addr(jid):
    """The SAN entry."""
    text = jid.encode()
    assert len(text) < 128
    return x509.OtherName(XMPP_ADDR, b"\x0c" + bytes([len(text)]) + text)


def common_name(text):
    """A subject of a CN alone, or an empty one."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)] if text else [])


def make_csr(key, *jids, cn=None, names=()):
    """A request's DER; jids are asked for as xmppAddr, and names of other types as they are."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(common_name(cn))
    if jids or names:
        builder = builder.add_extension(x509.SubjectAlternativeName([*map(xmpp_addr, jids), *names]), False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


class ClientCA:
    """A certificate authority whose key the tests hold, for certificates that ours would never issue."""

    def __init__(self, name="Test client CA"):
        self.key = make_key()
        self.cert = self.issue(self.key, [], cn=name, ca=True)

    def pem(self):
        """The CA's own certificate."""
        return self.cert.public_bytes(serialization.Encoding.PEM).decode()

    def issue(self, key, names, cn="somebody", days=(-1, 30), ca=False):
        """A certificate with these SAN entries, valid from and to so many days from now."""
        now = datetime.datetime.utcnow()
        issuer = common_name(cn) if ca else self.cert.subject
        builder = x509.CertificateBuilder().subject_name(common_name(cn)).issuer_name(issuer)
        builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now + datetime.timedelta(days[0]))
        builder = builder.not_valid_after(now + datetime.timedelta(days[1]))
        builder = builder.add_extension(x509.BasicConstraints(ca, None), True)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), False)
        return builder.sign(self.key, hashes.SHA256())


def key_files(place, key, der):
    """The files that a TLS client takes: (certificate, key)."""
    name = f"pki/client-{os.urandom(6).hex()}"
    cert = x509.load_der_x509_certificate(der)
    crt = place.write(name + ".pem", cert.public_bytes(serialization.Encoding.PEM).decode())
    pem = place.write(name + ".key", key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                                       serialization.NoEncryption()).decode(), 0o600)
    return str(crt), str(pem)
