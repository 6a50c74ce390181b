"""People of a world: each with an account, and with an agent as soon as it is needed."""
import itertools
import json

from world import DOMAIN, PASSWORD

NUMBERS = itertools.count(1)


class Person:
    """Somebody with an account, and with an agent from the first signet() on."""

    def __init__(self, world, name, token):
        self.world, self.name, self.token, self.agent = world, name, token, None
        self.jid = f"{name}@{DOMAIN}"
        self.password = ("--password-file", world.dir / "password")

    def signet(self, *args):
        """Runs signet --json against the person's agent; gives what it printed, or raises Failed."""
        if self.agent is None:
            self.start()
        return json.loads(self.world.signet(self.env, "--json", *args))

    def start(self):
        """The agent, which knows the account; what it knew before, if it had been stopped."""
        known = hasattr(self, "env")
        if not known:
            self.env = self.world.make_agent(self.name, token=self.token)
        self.agent = self.world.start_agent(self.name, self.env)
        if not known:
            self.signet("account", "add", self.jid, "--host", "127.0.0.1", "--port", self.world.c2s_port,
                        "--cafile", self.world.cafile)
        return self

    def online(self):
        """Logs in by password."""
        return self.signet("account", "connect", self.jid, *self.password)["account"]

    def stop(self):
        """Ends the agent."""
        if self.agent is not None:
            assert self.agent.stop() == 0, self.agent.last()
            self.agent = None


def new_people(served, count, friends=(), tokens=()):
    """People with fresh accounts: new_people(served, 3, friends=[(0, 1)]) are two that have each other in their rosters,
    and a stranger. tokens: which of them have one."""
    names = [f"person{next(NUMBERS)}" for _ in range(count)]
    served.server.add_accounts(DOMAIN, names, PASSWORD, [(names[a], names[b]) for a, b in friends])
    return [Person(served, name, number in tokens) for number, name in enumerate(names)]
