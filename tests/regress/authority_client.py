"""Clients of the authority: by slixmpp, and byte for byte."""
import asyncio
import base64
import hashlib
import re
import socket
import ssl
import threading

import slixmpp
from slixmpp.xmlstream import ET
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import MatcherId

from processes import PATIENCE
from wire import Wire
from world import DOMAIN, PASSWORD

NS_DISCO = "http://jabber.org/protocol/disco#info"
NS_ADD = "urn:xmpp:ccm2:add-cert:0"
NS_LIST = "urn:xmpp:ccm2:list-certs:0"
NS_REVOKE = "urn:xmpp:ccm2:revoke-cert:0"
NS_STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"


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
        assert self.up.wait(PATIENCE), "no login"
        return self

    def __exit__(self, *_):
        async def leave():
            if not self.down.is_set():
                self.disconnect(wait=0.5)
                await asyncio.wait_for(self.disconnected, PATIENCE)
        if not self.down.is_set():
            asyncio.run_coroutine_threadsafe(leave(), self.loop_thread).result(PATIENCE)

        async def end():
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()
        asyncio.run_coroutine_threadsafe(end(), self.loop_thread).result(PATIENCE)
        self.loop_thread.call_soon_threadsafe(self.loop_thread.stop)
        self.thread.join(PATIENCE)
        self.loop_thread.close()

    @property
    def logged_in(self):
        """Whether the login worked and the stream is still there."""
        return not self.refused and not self.down.is_set()

    def raw(self, text, ident, timeout=PATIENCE):
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
        if not came.wait(timeout):
            raise TimeoutError("no answer")
        return answered[0]

    def iq(self, kind, payload, to=None, timeout=PATIENCE):
        """Sends an iq with this payload (XML text); gives the answer as an element."""
        ident = self.new_id()
        address = f" to='{to}'" if to else ""
        return self.raw(f"<iq type='{kind}' id='{ident}'{address}>{payload}</iq>", ident, timeout)

    def add(self, der, name="phone", **kwargs):
        """C3; der may be bytes (then Base64 is made) or text as it is to stand there."""
        return self.iq("set", add_text(der, name), **kwargs)

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

    def revoke(self, value, hash_name="sha-256", **kwargs):
        """C9."""
        attr = f" hash='{hash_name}'" if hash_name else ""
        return self.iq("set", f"<revoke-certificate xmlns='{NS_REVOKE}'><fingerprint{attr}>{value}</fingerprint>"
                       "</revoke-certificate>", **kwargs)


def tls_context(place, cert=None, version=None):
    """For a client with this certificate and, if one is given, this version of TLS alone."""
    context = ssl.create_default_context(cafile=str(place.cafile))
    if version:
        context.minimum_version = context.maximum_version = version
    if cert:
        context.load_cert_chain(*cert)
    return context


class Stream(Wire):
    """A client's stream byte for byte, logged in by PLAIN or, with a certificate, by EXTERNAL with this response; not
    bound yet, unless it is told to bind a resource. direct: TLS from the first byte on. context, session: of ssl, to go
    on with a TLS session of before. domain: of the account."""

    def __init__(self, place, name, cert=None, response="=", direct=False, context=None, session=None,
                 domain=DOMAIN, bind=None):
        self.domain = domain
        port = place.direct_port if direct else place.c2s_port
        super().__init__(socket.create_connection(("127.0.0.1", port), PATIENCE))
        if not direct:
            self.open()
            self.send("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
            self.hear("<proceed[^>]*>")
        context = context or tls_context(place, cert)
        self.use(context.wrap_socket(self.sock, server_hostname=DOMAIN, session=session))
        self.open()
        self.offered = re.findall("<mechanism>([^<]*)", self.before)
        mechanism, text = ("EXTERNAL", response) if cert else (
            "PLAIN", base64.b64encode(f"\0{name}\0{PASSWORD}".encode()).decode())
        self.send(f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='{mechanism}'>{text}</auth>")
        self.logged_in = self.hear("<success[^>]*>|</failure>")[0].startswith("<success")
        if self.logged_in:
            self.open()
        if bind:
            self.bind(bind)

    def open(self):
        """A new stream, up to the server's features."""
        self.send(f"<?xml version='1.0'?><stream:stream to='{self.domain}' xmlns='jabber:client' "
                  "xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>")
        self.hear("</stream:features>")

    def bind(self, resource):
        self.send(bind_request(resource))
        self.hear("<jid>[^<]*</jid>")

    def enable_resumption(self):
        """XEP-0198; gives the id to resume by."""
        self.send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
        return self.hear("<enabled[^>]*\\bid=['\"]([^'\"]+)[^>]*>")[1]

    def resume(self, previous):
        self.send(f"<resume xmlns='urn:xmpp:sm:3' h='0' previd='{previous}'/>")


def add_text(der, name="phone"):
    """The element that asks for a certificate; of DER, or of text as it is to stand there."""
    text = base64.b64encode(der).decode() if isinstance(der, bytes) else der
    return (f"<add-certificate-request xmlns='{NS_ADD}'><name>{name}</name><x509certificate-signing-request>{text}"
            "</x509certificate-signing-request></add-certificate-request>")


def bind_request(resource):
    """The iq that binds this resource."""
    return (f"<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>{resource}</resource>"
            "</bind></iq>")


def bare(client):
    return client.boundjid.bare


def sha256(der):
    return hashlib.sha256(der).hexdigest()


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
