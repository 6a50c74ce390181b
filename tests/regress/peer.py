"""Another client on the same server, by slixmpp: what our stanzas look like to somebody else."""
import asyncio
import ssl

import slixmpp
from slixmpp.xmlstream import ET

from processes import PATIENCE
from world import DOMAIN, PASSWORD

NS_PUBKEY = "urn:xmpp:tmp:pubkey"
NS_STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"
NS_PUBSUB = "http://jabber.org/protocol/pubsub"


class Peer(slixmpp.ClientXMPP):
    """A client that logs in by password, runs one coroutine and leaves."""

    def __init__(self, world, name, job, resource):
        super().__init__(f"{name}@{DOMAIN}/{resource}", PASSWORD)
        self.ca_certs = str(world.cafile)
        self.ssl_context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.job, self.result = job, None
        self.add_event_handler("session_start", self._run)
        self.add_event_handler("failed_all_auth", lambda _: self._fail("login refused"))

    async def _run(self, _):
        try:
            self.send_presence()
            self.result = await self.job(self)
        except Exception as why:  # handed to the caller's thread
            self.result = why
        finally:
            self.disconnect()

    def _fail(self, why):
        self.result = RuntimeError(why)
        self.disconnect()

    async def iq(self, kind, payload, to=None, timeout=PATIENCE):
        """Sends an iq with this payload (XML text) and gives the whole answer as an element."""
        iq = self.make_iq(id=self.new_id(), ito=to, ifrom=None)
        iq["type"] = kind
        iq.append(ET.fromstring(payload))
        try:
            answer = await iq.send(timeout=timeout)
        except slixmpp.exceptions.IqError as error:
            answer = error.iq
        return answer.xml


def finish(loop):
    """Ends what slixmpp leaves running in a loop, and closes it."""
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
    loop.close()


def as_peer(world, name, job, timeout=PATIENCE, resource="peer"):
    """Runs the coroutine function job(peer) as that account; gives its result."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    peer = Peer(world, name, job, resource)
    peer.loop = loop
    peer.connect(("127.0.0.1", world.c2s_port), disable_starttls=False)
    try:
        loop.run_until_complete(asyncio.wait_for(peer.disconnected, timeout))
    finally:
        finish(loop)
    if isinstance(peer.result, Exception):
        raise peer.result
    return peer.result


def fetch_items(world, name, owner):
    """The items of the owner's key node as another account gets them: id -> keyinfo element, or the error."""
    async def job(peer):
        answer = await peer.iq("get", f"<pubsub xmlns='{NS_PUBSUB}'><items node='{NS_PUBKEY}'/></pubsub>", to=owner)
        if answer.get("type") == "error":
            return next(e.tag.partition("}")[2] for e in answer.find("{jabber:client}error")
                        if e.tag.startswith(f"{{{NS_STANZAS}}}") and not e.tag.endswith("}text"))
        return {item.get("id"): item.find(f"{{{NS_PUBKEY}}}keyinfo")
                for item in answer.iter(f"{{{NS_PUBSUB}}}item")}
    return as_peer(world, name, job)
