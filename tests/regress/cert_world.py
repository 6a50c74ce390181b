"""People with tokens that are lost and found, and what `signet` says of their certificates."""
import json
import os
import shutil
import subprocess
from pathlib import Path

from agent_fixture import BIN, PIN, Agent
from processes import PATIENCE
from varlink_client import secret
from world import DOMAIN, PASSWORD

CONF = "[token one]\npin-source = file:{0}\n[token two]\npin-source = file:{0}\n"


class Holder:
    """An account on the served world, and an agent of its own with two tokens, one and two, that open by themselves."""

    def __init__(self, world, name, agent=None):
        self.world, self.name, self.jid = world, name, f"{name}@{DOMAIN}"
        world.server.add_accounts(DOMAIN, [name], PASSWORD)
        self.agent = agent or Agent(("one", "two"))
        pin = self.agent.dir / "pin"
        pin.write_text(PIN)
        pin.chmod(0o600)
        self.agent.conf.write_text(self.agent.conf.read_text() + CONF.format(pin))
        self.env = dict(self.agent.env, PATH=f"{BIN}:{os.environ['PATH']}", LANG="C.UTF-8", TERM="dumb")

    def __enter__(self):
        self.agent.__enter__()
        self.agent.call("AddAccount", {"jid": self.jid, "host": "127.0.0.1", "port": self.world.c2s_port,
                                       "cafile": str(self.world.cafile)})
        return self

    def __exit__(self, *error):
        self.agent.__exit__(*error)

    def call(self, method, password=False, **parameters):
        """A call about the account; by password if told so."""
        parameters = {"jid": self.jid, **parameters}
        if not password:
            return self.agent.call(method, parameters)
        with secret(PASSWORD) as fd:
            return self.agent.call(method, {"password": {"fd": 0}, **parameters}, [fd])

    def account(self):
        return self.call("ShowAccount")["account"]

    def enrol(self, label, token="one", new=True, **parameters):
        """A certificate for a key of this label; gives the certificate."""
        if new:
            self.agent.call("NewKey", {"token": token, "label": label, "algorithm": "p256"})
        return self.call("Enrol", key=label, password=True, **parameters)["certificate"]

    def rows(self, **parameters):
        """SHA-256 -> row of Reconcile, which must be of one SHA-256 each."""
        got = self.call("Reconcile", **parameters)
        rows = {row["sha256"]: row for row in got["certificates"]}
        assert len(rows) == len(got["certificates"])
        self.list, self.problems = got["list"], got["problems"]
        return rows

    def run(self, *args):
        """The command line with nobody at it; gives how it ended."""
        return subprocess.run([BIN / "signet", "--batch", *map(str, args)], env=self.env, capture_output=True,
                              text=True, timeout=PATIENCE, stdin=subprocess.DEVNULL)

    def signet(self, *args, check=True):
        """The command line with --json; gives what it printed."""
        done = self.run("--json", *args)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    def type(self, command, *answers):
        """Types a command line into a shell on a terminal, as it stands, and these answers; gives what was shown."""
        done = subprocess.run(["script", "-qec", command, "/dev/null"], env=self.env, capture_output=True, text=True,
                              timeout=PATIENCE, input="".join(f"{answer}\n" for answer in answers))
        assert done.returncode == 0, done.stdout
        return done.stdout

    # ---- tokens

    def serial(self, label):
        return next(t["serial"] for t in self.agent.call("ListTokens")["tokens"] if t["label"] == label)

    def _folder(self, serial, parent):
        return next(d for d in parent.iterdir() if d.name.replace("-", "").endswith(serial))

    def lose(self, label):
        """The token is taken out; gives its serial."""
        serial = self.serial(label)
        self.agent.call("ReleaseToken", {})
        lost = self.agent.dir / "lost"
        lost.mkdir(exist_ok=True)
        shutil.move(self._folder(serial, Path(self.agent.dir / "tokens/tokens")), lost)
        return serial

    def find(self, serial):
        """... and is back."""
        self.agent.call("ReleaseToken", {})
        shutil.move(self._folder(serial, self.agent.dir / "lost"), self.agent.dir / "tokens/tokens")
