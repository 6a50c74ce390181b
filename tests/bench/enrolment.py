"""A whole enrolment over a link that takes its time, beside what its round trips alone take."""
import asyncio
import json
import threading
import time
from statistics import median

from processes import free_ports
from world import DOMAIN, World, say

DELAY = 0.05  # s, of a round trip: half of it each way
PROGRAMS = ("signet", "signetd", "signet-token", "signet-xmpp", "signet-pgp", "signet-authority")


class Link:
    """A way to a port of this machine that adds the delay, and knows what went over it when."""

    def __init__(self, port):
        self.port, self.way = free_ports(1)[0], port
        self.sent, self.came = [], []  # at the client's end: when it sent, when it got something
        self.connections = []
        self.loop = asyncio.new_event_loop()
        started = threading.Event()
        self.thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self.thread.start()
        started.wait()

    def _run(self, started):
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(asyncio.start_server(self._accept, "127.0.0.1", self.port))
        started.set()
        self.loop.run_forever()

    async def _accept(self, reader, writer):
        """The handshake of TCP is over already, at no delay: what the client sends first waits for it here."""
        self.connections.append(time.monotonic())
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.way)
        await asyncio.gather(self._carry(reader, far_writer, self.sent, None, self.connections[-1] + DELAY),
                             self._carry(far_reader, writer, None, self.came, 0), return_exceptions=True)

    async def _carry(self, reader, writer, at_start, at_end, not_before):
        queue = asyncio.Queue()

        async def deliver():
            while (item := await queue.get()) is not None:
                due, data = item
                await asyncio.sleep(max(0, due - time.monotonic()))
                writer.write(data)
                if at_end is not None:
                    at_end.append(time.monotonic())
            writer.close()
        delivery = asyncio.create_task(deliver())
        while data := await reader.read(1 << 16):
            now = time.monotonic()
            if at_start is not None:
                at_start.append(max(now, not_before))
            queue.put_nowait((max(now, not_before) + DELAY / 2, data))
        queue.put_nowait(None)
        await delivery

    def round_trips(self):
        """How many the client has waited for, one after another; those of TCP's handshakes included."""
        count, since = len(self.connections), None
        for sent in sorted(self.sent):
            if since is None or sent >= since + DELAY and any(since < came <= sent for came in self.came):
                count, since = count + 1, sent
        waited = since is not None and any(came > since for came in self.came)
        return count if waited else count - 1

    def forget(self):
        for what in (self.sent, self.came, self.connections):
            what.clear()

    def close(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()


def enrolment(options, out):
    """The median of some enrolments, each of another account with a key that is on the token already."""
    people = [f"person{number}" for number in range(options.rounds)]
    with World(accounts=people, programs=PROGRAMS, ca="rsa3072") as world:
        world.up()
        env = world.make_agent("person")
        world.start_agent("person", env)
        link = Link(world.c2s_port)
        found = []
        for name in people:
            jid = f"{name}@{DOMAIN}"
            world.signet(env, "account", "add", jid, "--host", "127.0.0.1", "--port", link.port, "--cafile", world.cafile)
            key = json.loads(world.signet(env, "--json", "key", "new", "--token", "person", "--label", name))["key"]["uri"]
            link.forget()
            started = time.monotonic()
            world.signet(env, "enrol", jid, "--key", key, "--password-file", world.dir / "password")
            took = time.monotonic() - started
            found.append((took, link.round_trips(), len(link.connections)))
            world.signet(env, "account", "disconnect", jid)
        link.close()
    took, trips, connections = (median(column) for column in zip(*found))
    out["enrolment_s"], out["enrolment_round_trips"] = round(took, 3), trips
    out["enrolment_ratio"] = round(median(t / (n * DELAY) for t, n, _ in found), 2)
    say(f"bench: an enrolment with {DELAY * 1000:.0f} ms a round trip takes {took:.2f} s; its {trips} round trips ({connections} "
        f"connections) take {trips * DELAY:.2f} s: {out['enrolment_ratio']}")
