"""signetd with a SoftHSM of its own in a temporary folder."""
import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest

from processes import PATIENCE, Process, until
from varlink_client import Client, secret
from world import BUILD, TOP, softhsm_module

BIN = BUILD / "bin"
MODULE = softhsm_module()
PIN = "1234"


class Agent:
    """A folder with configuration, state and tokens, and the agent that runs on it."""

    def __init__(self, labels=("one",), conf="", softhsm=True, prefix=()):
        self.dir = Path(tempfile.mkdtemp(prefix="signet-agent-"))
        self.sock = self.dir / "run/signet/agent.sock"
        self.prefix = list(prefix)
        self.process = None
        self.lines = []
        self.env = dict(os.environ, HOME=str(self.dir), XDG_CONFIG_HOME=str(self.dir / "config"),
                        XDG_STATE_HOME=str(self.dir / "state"), XDG_RUNTIME_DIR=str(self.dir / "run"))
        for name in ("SIGNET_SOCK", "LISTEN_PID", "LISTEN_FDS", "NOTIFY_SOCKET", "SIGNET_LOG"):
            self.env.pop(name, None)
        (self.dir / "config/signet").mkdir(parents=True)
        (self.dir / "run").mkdir()
        if softhsm:
            self.env["SOFTHSM2_CONF"] = self.make_tokens("tokens", *labels)
            conf = f"[module softhsm]\npath = {MODULE}\n{conf}"
        self.conf = self.dir / "config/signet/signet.conf"
        if conf:
            self.conf.write_text(conf)

    def make_tokens(self, folder, *labels):
        out = subprocess.run(["bash", TOP / "softhsm-fixtures/softhsm.sh", self.dir / folder, *labels], check=True,
                             capture_output=True, text=True, env=self.env).stdout
        return out.split()[-1]

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, kind, *_):
        """Every test that went well ends with a clean stop, which a sanitizer would spoil."""
        try:
            if kind is None:
                assert self.stop() == 0, "".join(self.lines)
        finally:
            self.close()

    def start(self, *args, **popen):
        """Starts signetd and waits until it listens."""
        mark, env = len(self.lines), dict(self.env, **popen.pop("env", {}))
        started = subprocess.Popen([*self.prefix, BIN / "signetd", *args], env=env, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **popen)
        self.process = Process("signetd", started, lines=self.lines)
        self.process.wait_line("listening on", since=mark)
        return self

    @property
    def popen(self):
        return self.process.popen

    def wait_line(self, pattern):
        """Waits for a line of the log."""
        return self.process.wait_line(pattern)

    def count(self, text):
        """How many lines of the log hold the text, those of earlier runs too."""
        return self.process.count(text)

    def client(self):
        return Client(self.sock)

    def call(self, method, parameters=None, fds=(), **flags):
        with self.client() as client:
            return client.call(method, parameters, fds, **flags)

    def error(self, method, parameters=None, fds=(), **flags):
        with self.client() as client:
            return client.error(method, parameters, fds, **flags)

    def unlock(self, token, pin=PIN):
        with secret(pin) as fd:
            return self.call("Unlock", {"token": token, "pin": {"fd": 0}}, [fd])["token"]

    def worker(self, kind="token"):
        """The first worker of the kind that Status shows."""
        return next(w for w in self.call("Status")["workers"] if w["kind"] == kind)

    def open_files(self):
        """How many descriptors signetd has."""
        if os.geteuid() != 0:
            pytest.skip("only root sees what the agent's processes have open")
        return len(os.listdir(f"/proc/{self.popen.pid}/fd"))

    def wakes_in(self):
        """The milliseconds after which signetd, which has nothing to do now, does something by itself; or None."""
        if os.geteuid() != 0:
            pytest.skip("only root sees what the agent waits for")
        fields = Path(f"/proc/{self.popen.pid}/syscall").read_text().split()
        number = int(fields[4], 16) & 0xffffffff if len(fields) > 4 else 0  # epoll_wait: descriptor, events, how many, time
        return number if 0 < number < 0xffffffff else None

    def stop(self, sig=signal.SIGTERM):
        """Ends signetd; gives its exit status."""
        return self.process.stop(sig)

    def close(self):
        if self.process is not None:
            self.process.stop(signal.SIGKILL)
        shutil.rmtree(self.dir, ignore_errors=True)


def start_fails(agent, *args, **env):
    """Starts signetd where it must refuse; gives its exit status and what it said."""
    done = subprocess.run([BIN / "signetd", *args], env=dict(agent.env, **env), stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode != 0
    return done.returncode, done.stderr


def wait_open(pid, fd):
    """Until a process has the same file open as our descriptor."""
    if os.geteuid() != 0:
        pytest.skip("only root sees what the agent's processes have open")
    wanted = os.readlink(f"/proc/self/fd/{fd}")

    def is_open():
        for name in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(FileNotFoundError):
                if os.readlink(f"/proc/{pid}/fd/{name}") == wanted:
                    return True
        return False
    until(is_open, f"process {pid} never opened {wanted}")


def wait_joined(agent, calls):
    """Until so many calls wait for logins that others have begun, of an agent that logs for debugging."""
    until(lambda: agent.count("one more call waits for the login") >= calls, "no call waits for another's login")


def monitor(agent):
    """A connection that monitors."""
    client = agent.client()
    before = agent.count("monitors")
    client.send("Monitor", {}, more=True)
    until(lambda: agent.count("monitors") > before, "nobody monitors")
    return client


def next_event(client, *kinds):
    """The next event of these kinds; the others are passed over."""
    while True:
        event = client.receive()["event"]
        if event["kind"] in kinds:
            return event
