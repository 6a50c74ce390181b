"""An agent's keyring from outside: by the command line, and beside a contact whose node slixmpp writes."""
import json
import os
import subprocess

from cli_fixture import SIGNET
from key_node import Key, publish, retract
from processes import PATIENCE
from varlink_client import secret
from world import PASSWORD

NS = "urn:xmpp:tmp:pubkey"
Q = f"{{{NS}}}"
QUIET = "[agent]\nwatch = no\n"


def run(agent, *args, **more):
    """Runs signet against this agent."""
    env = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "SIGNET_SOCK": str(agent.sock)}
    env |= {k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")}
    more.setdefault("stdin", subprocess.DEVNULL) if "input" not in more else None
    return subprocess.run([SIGNET, *map(str, args)], env=env, capture_output=True, text=True, timeout=PATIENCE,
                          start_new_session=True, **more)


def told(agent, *args, status=0, **more):
    """What signet --json prints."""
    done = run(agent, "--json", *args, **more)
    assert done.returncode == status, done.stdout + done.stderr
    return json.loads(done.stdout)


def text(agent, *args, status=0, **more):
    """What signet prints for people: standard output and standard error."""
    done = run(agent, *args, **more)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def listed(agent, *args):
    """name -> KnownKey of a list."""
    return {k["name"]: k for k in told(agent, "keyring", "list", *args)["keys"]}


def show(agent, key):
    return told(agent, "keyring", "show", key.name)


def keyring_xml(*entries):
    """An XML file: (jid, keyinfo) each."""
    return "<keyring xmlns='urn:signet:keyring'>" + "".join(
        f"<pubkeys xmlns='{NS}'{f' jid={jid!r}' if jid else ''}>{keyinfo}</pubkeys>" for jid, keyinfo in entries) + "</keyring>"


def add_account(agent, world, person):
    agent.call("AddAccount", {"jid": person.jid, "host": "127.0.0.1", "port": world.c2s_port, "cafile": str(world.cafile)})
    connect(agent, person)


def connect(agent, person):
    with secret(PASSWORD) as fd:
        agent.call("Connect", {"jid": person.jid, "password": {"fd": 0}}, [fd])


class Pair:
    """Somebody whose agent is online, and a contact whose node slixmpp writes."""

    def __init__(self, agent, world, juliet, romeo):
        self.agent, self.world, self.juliet, self.romeo = agent, world, juliet, romeo
        self.user = Key(romeo.jid, subject="user")
        self.client = self.user.sign(Key(romeo.jid, kind="rsa2048", subject="client"))

    def publish(self, *keys):
        publish(self.world, self.romeo.name, *keys)

    def retract(self, *keys):
        retract(self.world, self.romeo.name, *(k.name for k in keys))

    def fetch(self, **more):
        """What FetchKeys gives."""
        return self.agent.call("FetchKeys", {"jid": self.juliet.jid, "from": self.romeo.jid, **more})
