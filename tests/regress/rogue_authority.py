"""An authority that answers wrongly: a component in the place of ours, by slixmpp."""
import asyncio
import base64
import threading

import slixmpp
from cryptography import x509
from slixmpp.xmlstream import ET
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import MatchXPath

from certificates import certificate, make_key, to_der, xmpp_addr
from peer import finish
from processes import PATIENCE
from world import DOMAIN

NS_ADD = "urn:xmpp:ccm2:add-cert:0"
NS_DISCO = "http://jabber.org/protocol/disco#info"
NS_FORWARD = "urn:xmpp:forward:0"


def issued(public_key, jids, **kwargs):
    """A certificate by a CA of nobody's for this key and these JIDs, in Base64."""
    return base64.b64encode(to_der(certificate(public_key, make_key(), *map(xmpp_addr, jids), **kwargs))).decode()


class Rogue(threading.Thread):
    """Connects as the authority's component and answers add requests by answer(csr) -> payload XML, and others by
    other(payload); an error element makes it an error, '' an empty result. requests: those that came."""

    def __init__(self, world, features=("add-cert", "list-certs", "revoke-cert")):
        super().__init__(daemon=True)
        self.world, self.features = world, features
        self.answer = self.other = None
        self.asked, self.requests = 0, []
        self.ready, self.loop = threading.Event(), asyncio.new_event_loop()

    def run(self):
        asyncio.set_event_loop(self.loop)
        secret = (self.world.dir / "authority/component.secret").read_text()
        self.component = slixmpp.ComponentXMPP(f"ccm.{DOMAIN}", secret, "127.0.0.1", self.world.component_port)
        self.component.loop = self.loop
        self.component.register_handler(Callback("any iq", MatchXPath("{jabber:component:accept}iq"), self.on_iq))
        self.component.add_event_handler("session_start", lambda _: self.ready.set())
        self.component.connect()
        self.loop.run_forever()
        finish(self.loop)

    def stop(self):
        """Ends the connection and the thread."""
        self.component.add_event_handler("disconnected", lambda _: self.loop.stop())
        self.loop.call_soon_threadsafe(self.component.abort)
        self.join(PATIENCE)

    def on_iq(self, iq):
        query = iq.xml.find(f"{{{NS_DISCO}}}query")
        if iq["type"] not in ("get", "set"):
            return
        answer = ET.Element("{jabber:component:accept}iq", {"type": "result", "id": iq["id"], "from": str(iq["to"]),
                                                           "to": str(iq["from"])})
        if query is not None:
            node = query.get("node")
            out = ET.SubElement(answer, f"{{{NS_DISCO}}}query", {"node": node} if node else {})
            if node and node.rpartition(":ccm2:")[2].partition(":")[0] in self.features:
                ET.SubElement(out, f"{{{NS_DISCO}}}feature", {"var": node[node.index("urn:xmpp:ccm2"):]})
        else:
            answer.append(self.delegated(iq.xml))
        self.component.send_raw(ET.tostring(answer, encoding="unicode"))

    def delegated(self, xml):
        """The delegation that answers the forwarded request."""
        delegation = next(e for e in xml if e.tag.endswith("}delegation"))
        inner = delegation.find(f"{{{NS_FORWARD}}}forwarded/{{jabber:client}}iq")
        csr = inner.findtext(f".//{{{NS_ADD}}}x509certificate-signing-request")
        self.asked += 1
        reply = ET.Element("{jabber:client}iq", {"type": "result", "id": inner.get("id"), "to": inner.get("from")})
        if inner.get("to"):
            reply.set("from", inner.get("to"))
        self.requests.append(inner[0])
        text = self.answer(x509.load_der_x509_csr(base64.b64decode(csr))) if csr else self.other(inner[0])
        if text:
            reply.append(ET.fromstring(text))
            reply.set("type", "error" if reply[0].tag.endswith("}error") else "result")
        out = ET.Element(delegation.tag)
        ET.SubElement(out, f"{{{NS_FORWARD}}}forwarded").append(reply)
        return out


def result(der):
    """An add-cert result with this certificate."""
    return f"<add-certificate-result xmlns='{NS_ADD}'><x509certificate>{der}</x509certificate>" \
           "</add-certificate-result>"
