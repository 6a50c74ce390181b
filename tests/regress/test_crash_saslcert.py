"""The crash points of the jobs where the server has XEP-0257: there is no authority that could be killed."""
import pytest

from crash_world import CrashWorld, Place
from processes import PATIENCE
from saslcert_world import serve
from test_crash_points import try_every
from world import is_sanitized

# What dies on the way to the server is the same for every server.
PLACES = [Place("agent/signetd", None), Place("agent/signet-xmpp", "server")]


class ListingCrashWorld(CrashWorld):
    """Its server keeps the certificates; so nothing of an authority is there."""

    def __init__(self):
        super().__init__("prosody")
        self.authority_env = {}

    def make_authority(self):
        """There is none."""

    def start_authority(self):
        """There is none."""

    def make_server(self):
        serve(self, self.accounts)

    def revive(self, place):
        server, agent = self.server.process, self.agents["juliet"]
        killed = {"agent/signetd": agent, "server": server}.get(place.victim or place.role)
        if killed is not None:
            killed.popen.wait(PATIENCE)
        if server.popen.poll() is not None:
            self.processes.remove(server)
            self.server.start()
        if agent.popen.poll() is not None:
            self.processes.remove(agent)
            self.start_agent("juliet", self.agent_env)

    def victim(self, what):
        return self.server.process.popen.pid


pytestmark = pytest.mark.skipif(is_sanitized(), reason="a sanitizer takes too long for it")


@pytest.fixture(scope="module")
def crash():
    with ListingCrashWorld() as world:
        world.up()
        yield world


@pytest.mark.parametrize("job", ["enrol", "replace", "revoke"])
def test_every_crash_point(crash, job, record_property):
    try_every(crash, "saslcert", PLACES, job, record_property)
