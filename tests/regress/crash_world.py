"""A world whose processes can be killed at each of their steps (tests/crash/crash.c), and a person who makes good what
was cut short."""
import collections
import json
import mmap
import re
import signal
import struct
import subprocess
import time

from processes import PATIENCE
from world import BUILD, DOMAIN, World

JULIET = f"juliet@{DOMAIN}"
CONTROL, AT = struct.Struct("48sIIiII"), 48
Place = collections.namedtuple("Place", "role victim")  # who is counted; who is killed, if it is another one
ENOUGH = 6  # calls of a person for one job, at most


class Control:
    """The file that the processes share: who is counted, who is killed, and when."""

    def __init__(self, path):
        self.path = path
        with open(path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), mmap.PAGESIZE)

    def set(self, role, at, victim=0, sent=False):
        self.map[:CONTROL.size] = CONTROL.pack(role.encode(), at, 0, victim, 0, sent)

    def clear(self):
        self.set("", 0)

    def disarm(self):
        """From now on nobody is killed. Whether somebody was."""
        struct.pack_into("I", self.map, AT, 0)
        return self.fired

    @property
    def fired(self):
        return CONTROL.unpack(self.map[:CONTROL.size])[4] != 0


class CrashWorld(World):
    """Server, authority and juliet's agent, with a key on a token whose PIN nothing but a person tells."""

    def __init__(self, server):
        super().__init__(accounts=("juliet",), certificates=1000, server=server)
        self.asked = {"pin": 0, "password": 0}
        self.preload = self.install(BUILD / "lib/libsignet-crash.so", "lib/libsignet-crash.so", 0o755)
        self.control = Control(self.write("crash", "\0" * mmap.PAGESIZE, 0o666))
        self.control.clear()

    def crashing(self, env, side):
        return dict(env, LD_PRELOAD=str(self.preload), SIGNET_CRASH_FILE=str(self.control.path), SIGNET_CRASH_SIDE=side)

    def up(self):
        self.make_pki()
        self.make_authority()
        self.authority_env = self.crashing(self.authority_env, "authority")
        self.make_server()
        self.start_server()
        self.start_authority()
        self.juliet_env = self.make_agent("juliet")
        self.write("agent-juliet/config/signet/signet.conf", f"[module softhsm]\npath = {self.module}\n", 0o600)
        self.agent_env = self.crashing(self.juliet_env, "agent")
        self.start_agent("juliet", self.agent_env)
        self.add_account()
        for label in ("client", "other"):
            self.must("key", "new", "--token", "juliet", "--label", label, "--algorithm", "p256", *self.secret("pin"))
        self.must("key", "new", "--token", "juliet", "--label", "user", "--user", "--account", JULIET, "--algorithm",
                  "p256")

    def add_account(self):
        self.must("account", "add", JULIET, "--host", "127.0.0.1", "--port", self.c2s_port, "--cafile", self.cafile)

    # ---- the person

    def secret(self, kind):
        return (f"--{kind}-file", self.dir / kind)

    def call(self, *args):
        """(status, reply or error)"""
        status, out, err = self.signet(self.juliet_env, "--json", *args, check=False)
        return status, json.loads(out) if out.strip() else {"error": None, "text": err}

    def must(self, *args):
        status, reply = self.call(*args)
        assert status == 0, (args, reply)
        return reply

    def persist(self, *args):
        """The same call until it works, each time with what the agent asks for and not with more."""
        given = []
        for _ in range(ENOUGH):
            status, reply = self.call(*args, *given)
            if status == 0:
                return reply
            kind = {"PinNeeded": "pin", "PasswordNeeded": "password"}.get(reply["error"])
            given = []
            if kind is not None:
                self.asked[kind] += 1
                given = self.secret(kind)
                given = (*given, *(self.pin_if_locked() if kind == "password" else ()))
        raise AssertionError(f"{args}: still {reply} after {ENOUGH} calls")

    def pin_if_locked(self):
        """What a call is given so that it finds the token unlocked."""
        return () if self.must("token", "show", "juliet")["token"]["unlocked"] else self.secret("pin")

    # ---- the points

    def victim(self, what):
        """The process to kill in the place of who is counted."""
        return {"server": self.server.process.popen.pid, "authority": self.authority.popen.pid}[what]

    def cut_short(self, place, at, *args):
        """Makes the call with a kill at this step. Whether the step was reached, and whether the call was answered well."""
        self.control.set(place.role, at, self.victim(place.victim) if place.victim else 0, sent=place.victim == "server")
        popen = self.popen(["signet", "--batch", "--json", *args], self.juliet_env, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE)
        deadline = time.monotonic() + PATIENCE
        while popen.poll() is None and not self.control.fired and time.monotonic() < deadline:
            time.sleep(0.002)
        fired = self.control.disarm()  # a step may come just after the answer
        self.control.clear()
        if fired:
            self.revive(place)
            self.let_go(popen)
        out, err = popen.communicate(timeout=PATIENCE)
        assert fired or popen.returncode == 0, (args, out, err)
        return fired, popen.returncode == 0

    def let_go(self, popen):
        """A request whose answer is lost would be waited for; a person has no patience for that."""
        deadline = time.monotonic() + 0.7
        while popen.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        if popen.poll() is None:
            self.call("account", "disconnect", JULIET)

    def revive(self, place):
        """Starts anew what was killed, but for the workers: that is for their brokers. The authority does not outlive
        its server."""
        agent, server = self.agents["juliet"], self.server.process
        killed = {"agent/signetd": agent, "authority/signet-authority": self.authority, "server": server,
                  "authority": self.authority}.get(place.victim or place.role)
        if killed is not None:
            killed.popen.wait(PATIENCE)
        if server.popen.poll() is not None:
            self.authority.stop(signal.SIGKILL)
            self.processes.remove(server)
            self.server.start()
        if self.authority.popen.poll() is not None:
            self.processes.remove(self.authority)
            self.start_authority()
        if agent.popen.poll() is not None:
            self.processes.remove(agent)
            self.start_agent("juliet", self.agent_env)

    # ---- what must be so

    def account(self):
        return self.must("account", "show", JULIET)["account"]

    def has_certificate(self):
        """Whether the account has one that is not revoked."""
        return self.account()["certificate"] is not None and self.issued(*self.secret("password")) != []

    def is_issued(self):
        """Whether the account has a certificate, or a job that has got one."""
        account = self.account()
        return account["certificate"] is not None or any(job["certificate"] for job in account["jobs"])

    def issued(self, *secrets):
        """The certificates (SHA-256) that the server lists for the account."""
        listed = self.must("cert", "list", JULIET, *secrets)["certificates"]
        return [entry["certificate"]["sha256"] for entry in listed]

    def on_token(self):
        """The certificate objects that are neither the user key's, by pkcs11-tool."""
        text = self.run("pkcs11-tool", "--module", self.module, "--list-objects", "--type", "cert",
                        env=self.juliet_env)
        return sorted(re.findall(r"label:\s+((?:client|other)(?: \d+)?)\s*$", text, re.MULTILINE))

    def keys(self):
        """The labels of the keys on the token."""
        return sorted(key["label"] for key in self.must("key", "list")["keys"])

