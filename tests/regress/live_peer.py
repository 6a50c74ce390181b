"""A client by slixmpp that stays online while a test goes on: it hears, asks, answers, and pushes."""
import asyncio
import re
import threading

from slixmpp.xmlstream import ET
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import MatchXPath

from peer import NS_PUBKEY, Peer, finish
from processes import PATIENCE

CLIENT = "{jabber:client}"
STANZAS = "{urn:ietf:params:xml:ns:xmpp-stanzas}"
Q = f"{{{NS_PUBKEY}}}"


class _Client(Peer):
    """Keeps what came, as elements and as the bytes of the stream."""

    def __init__(self, world, name, resource, priority, ready):
        super().__init__(world, name, None, resource)
        self.priority, self.ready, self.seen, self.raw, self.result = priority, ready, [], b"", None
        self.add_filter("in", self._keep)
        self.roster.auto_authorize = self.roster.auto_subscribe = None  # who may subscribe, a test says

    def _keep(self, stanza):
        if hasattr(stanza, "xml"):
            self.seen.append(ET.fromstring(ET.tostring(stanza.xml)))
        return stanza

    def data_received(self, data):
        self.raw += data
        super().data_received(data)

    async def _run(self, _):
        if self.priority is not None:
            self.send_presence(ppriority=self.priority)
        self.ready.set()


class LivePeer:
    """Use as a context manager. priority None: no presence is sent."""

    def __init__(self, world, name, resource="live", priority=0):
        self.loop, self.ready = asyncio.new_event_loop(), threading.Event()
        self.thread = threading.Thread(target=self._main, args=(world, name, resource, priority), daemon=True)
        self.thread.start()
        assert self.ready.wait(PATIENCE)
        assert self.client.result is None, self.client.result
        self.jid = str(self.client.boundjid)
        if priority is not None:
            self.settle()  # the server has our presence before anybody else does anything

    def _main(self, world, name, resource, priority):
        asyncio.set_event_loop(self.loop)
        self.client = _Client(world, name, resource, priority, self.ready)
        self.client.loop = self.loop
        self.client.add_event_handler("failed_all_auth", lambda _: self.ready.set())
        self.client.connect(("127.0.0.1", world.c2s_port), disable_starttls=False)
        self.loop.run_until_complete(self.client.disconnected)
        finish(self.loop)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.loop.call_soon_threadsafe(self.client.disconnect)
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()

    def iq(self, kind, payload, to=None):
        """Asks; gives the whole answer as an element."""
        job = asyncio.run_coroutine_threadsafe(self.client.iq(kind, payload, to), self.loop)
        return job.result(PATIENCE)

    def raw_iq(self, payload, to, kind="get"):
        """Asks with an iq whose id is q, and gives the bytes of the answer."""
        mark = len(self.client.raw)
        self.send(f"<iq type='{kind}' id='q' to='{to}'>{payload}</iq>")
        pattern = re.compile(rb"<iq [^>]*id=['\"]q['\"][^>]*?(/>|>.*?</iq>)", re.S)
        return self.wait_for(lambda: pattern.search(self.client.raw, mark))[0].decode()

    def send(self, text):
        """Sends XML as it stands."""
        self.loop.call_soon_threadsafe(self.client.send_raw, text)

    def wait_for(self, check, patience=PATIENCE):
        """Until check() gives something; gives that."""
        async def watch():
            while not (found := check()):
                await asyncio.sleep(0.02)
            return found
        return asyncio.run_coroutine_threadsafe(asyncio.wait_for(watch(), patience), self.loop).result()

    def stanzas(self, name, sender=None):
        """What came: the stanzas of that name, from that (bare or full) JID."""
        return [s for s in list(self.client.seen) if s.tag == CLIENT + name and
                (sender is None or (s.get("from") or "").startswith(sender))]

    def resource_of(self, jid):
        """The full JID of whom we have a presence."""
        return self.wait_for(lambda: next((s.get("from") for s in self.stanzas("presence", jid + "/")
                                           if s.get("type") is None), None))

    def reach(self, jid):
        """Like resource_of(); until whoever is there has been told of us, and has told the server what it wants to hear of: its
        answer comes after that."""
        resource = self.resource_of(jid)
        self.iq("get", "<ping xmlns='urn:xmpp:ping'/>", resource)
        return resource

    def settle(self):
        """Everything that was sent to us before has come: the server answers in order."""
        self.iq("get", "<ping xmlns='urn:xmpp:ping'/>", self.client.boundjid.domain)

    def ignore(self):
        """Requests for keys get no answer at all, not even that nobody understands them."""
        self.loop.call_soon_threadsafe(self.client.register_handler, Callback(
            "pubkeys", MatchXPath(f"{CLIENT}iq/{Q}pubkeys"), lambda iq: None))

    def answer(self, reply):
        """Requests for keys get what reply(request element) gives: the XML of what is in the iq, and its type."""
        def handle(iq):
            text, kind = reply(iq.xml.find(f"{Q}pubkeys"))
            out = self.client.make_iq(id=iq["id"], ito=iq["from"])
            out["type"] = kind
            for child in ET.fromstring(f"<x xmlns='jabber:client'>{text}</x>"):
                out.append(child)
            out.send()
        self.loop.call_soon_threadsafe(self.client.register_handler, Callback(
            "pubkeys", MatchXPath(f"{CLIENT}iq/{Q}pubkeys"), handle))


def error_of(answer):
    """The defined condition of an error."""
    assert answer.get("type") == "error", ET.tostring(answer)
    error = answer.find(f"{CLIENT}error")
    return next(e.tag.removeprefix(STANZAS) for e in error if e.tag.startswith(STANZAS) and e.tag != STANZAS + "text")
