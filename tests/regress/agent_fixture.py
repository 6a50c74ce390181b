"""signetd with a SoftHSM of its own in a temporary folder, a raw client of its API, and the interface
file read as a judge of every reply."""
import array
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
BIN = TOP / os.environ.get("BUILD", "build") / "bin"
INTERFACE = TOP / "proto/org.signet.Agent.varlink"
AGENT = "org.signet.Agent."
SERVICE = "org.varlink.service."
PIN = "1234"
MODULES = [p for p in ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so")
           if os.path.exists(p)]


class Interface:
    """The types, methods and errors of the interface file."""

    def __init__(self, text):
        self.types, self.methods, self.errors = {}, {}, {}
        text = re.sub(r"#.*", "", text)
        self.tokens = re.findall(r"\w+(?:\.\w+)*|->|\[\]|[(),:?]", text)
        assert self.take() == "interface" and self.take() + "." == AGENT
        while self.tokens:
            kind, name = self.take(), self.take()
            if kind == "method":
                takes = self.struct()
                assert self.take() == "->"
                self.methods[name] = (takes, self.struct())
            else:
                {"type": self.types, "error": self.errors}[kind][name] = self.struct()

    def take(self):
        return self.tokens.pop(0)

    def struct(self):
        """A struct as a dict, or an enum as a list of words."""
        assert self.take() == "("
        fields, words = {}, []
        while self.tokens[0] != ")":
            name = self.take()
            if self.tokens[0] == ":":
                self.take()
                fields[name] = self.type()
            else:
                words.append(name)
            if self.tokens[0] == ",":
                self.take()
        self.take()
        return words if words else fields

    def type(self):
        if self.tokens[0] == "?":
            self.take()
            return ("maybe", self.type())
        if self.tokens[0] == "[]":
            self.take()
            return ("list", self.type())
        if self.tokens[0] == "(":
            return self.struct()
        return self.take()

    def check(self, value, shape, where="reply"):
        """Asserts that the value has the shape, with no member more and none less."""
        if isinstance(shape, tuple) and shape[0] == "maybe":
            if value is not None:
                self.check(value, shape[1], where)
        elif isinstance(shape, tuple):
            assert isinstance(value, list), (where, value)
            for i, item in enumerate(value):
                self.check(item, shape[1], f"{where}[{i}]")
        elif isinstance(shape, list):
            assert value in shape, (where, value)
        elif isinstance(shape, dict):
            assert isinstance(value, dict), (where, value)
            assert not set(value) - set(shape), (where, set(value) - set(shape))
            for name, inner in shape.items():
                optional = isinstance(inner, tuple) and inner[0] == "maybe"
                assert optional or name in value, (where, name)
                self.check(value.get(name), inner, f"{where}.{name}")
        elif shape in self.types:
            self.check(value, self.types[shape], where)
        else:
            wanted = {"string": str, "int": int, "bool": bool}[shape]
            assert isinstance(value, wanted) and (wanted is bool or not isinstance(value, bool)), (where, value)


IDL = Interface(INTERFACE.read_text())


class AgentError(Exception):
    """An error reply."""

    def __init__(self, error, parameters):
        super().__init__(error, parameters)
        self.name = error.rsplit(".", 1)[1]
        self.error = error
        self.parameters = parameters


class Client:
    """One connection, with no library between."""

    def __init__(self, path, timeout=30):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(timeout)
        self.sock.connect(str(path))
        self.buffer = b""
        self.asked = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def send_raw(self, data, fds=()):
        if fds:
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
            sent = self.sock.sendmsg([data], rights)
            data = data[sent:]
        if data:
            self.sock.sendall(data)

    def send(self, method, parameters=None, fds=(), **flags):
        """Sends a call; a method without an interface is one of the agent's."""
        if "." not in method:
            method = AGENT + method
        self.asked.append(method)
        message = {"method": method, **({} if parameters is None else {"parameters": parameters}), **flags}
        self.send_raw(json.dumps(message).encode() + b"\0", fds)

    def receive_raw(self):
        """The next message, or None when the agent has closed."""
        while b"\0" not in self.buffer:
            try:
                data = self.sock.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                assert not self.buffer, self.buffer
                return None
            self.buffer += data
        message, _, self.buffer = self.buffer.partition(b"\0")
        return json.loads(message)

    def receive(self):
        """The next reply's parameters, checked against the interface; an error is raised."""
        reply = self.receive_raw()
        assert reply is not None, "the agent closed the connection"
        method = self.asked[0] if self.asked else ""
        if not reply.get("continues"):
            self.asked = self.asked[1:]
        if "error" in reply:
            name = reply["error"].rsplit(".", 1)[1]
            if reply["error"].startswith(AGENT):
                IDL.check(reply["parameters"], IDL.errors[name], name)
                assert reply["parameters"]["message"]
            raise AgentError(reply["error"], reply["parameters"])
        if method.startswith(AGENT):
            IDL.check(reply["parameters"], IDL.methods[method[len(AGENT):]][1], method)
        return reply["parameters"]

    def call(self, method, parameters=None, fds=(), **flags):
        self.send(method, parameters, fds, **flags)
        return self.receive()

    def error(self, method, parameters=None, fds=(), **flags):
        """Makes a call that must fail, and gives its error."""
        self.send(method, parameters, fds, **flags)
        return self.error_of_next()

    def error_of_next(self):
        """The next reply, which must be an error."""
        try:
            reply = self.receive()
        except AgentError as error:
            return error
        raise AssertionError(f"this should have failed: {reply}")

    def closed(self):
        """Whether the agent has closed, with nothing more said."""
        return self.receive_raw() is None


@contextlib.contextmanager
def secret(text):
    """A descriptor to read the text from."""
    read, write = os.pipe()
    os.write(write, text.encode())
    os.close(write)
    try:
        yield read
    finally:
        os.close(read)


class Agent:
    """A folder with configuration, state and tokens, and the agent that runs on it."""

    def __init__(self, labels=("one",), conf="", softhsm=True, prefix=()):
        self.dir = Path(tempfile.mkdtemp(prefix="signet-agent-"))
        self.sock = self.dir / "run/signet/agent.sock"
        self.prefix = list(prefix)
        self.popen = None
        self.reader = None
        self.lines = []
        self.news = threading.Condition()
        self.env = dict(os.environ, HOME=str(self.dir), XDG_CONFIG_HOME=str(self.dir / "config"),
                        XDG_STATE_HOME=str(self.dir / "state"), XDG_RUNTIME_DIR=str(self.dir / "run"))
        for name in ("SIGNET_SOCK", "LISTEN_PID", "LISTEN_FDS", "NOTIFY_SOCKET", "SIGNET_LOG"):
            self.env.pop(name, None)
        (self.dir / "config/signet").mkdir(parents=True)
        (self.dir / "run").mkdir()
        if softhsm:
            self.env["SOFTHSM2_CONF"] = self.make_tokens("tokens", *labels)
            conf = f"[module softhsm]\npath = {MODULES[0]}\n{conf}"
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
        mark = len(self.lines)
        env = dict(self.env, **popen.pop("env", {}))
        self.popen = subprocess.Popen([*self.prefix, BIN / "signetd", *args], env=env, stdin=subprocess.DEVNULL,
                                      stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **popen)
        self.reader = threading.Thread(target=self._read, args=(self.popen,), daemon=True)
        self.reader.start()
        self.wait_line("listening on", since=mark)
        return self

    def _read(self, popen):
        for line in popen.stderr:
            with self.news:
                self.lines.append(line)
                self.news.notify_all()
        with self.news:
            self.lines.append("(end)\n")
            self.news.notify_all()

    def wait_line(self, text, since=0, timeout=30):
        """Waits for a line of the log that holds the text."""
        deadline = time.monotonic() + timeout
        with self.news:
            while True:
                for line in self.lines[since:]:
                    if text in line:
                        return line
                    assert line != "(end)\n", "".join(self.lines)
                assert self.news.wait(deadline - time.monotonic()), "".join(self.lines)

    def count(self, text):
        """How many lines of the log hold the text."""
        with self.news:
            return sum(text in line for line in self.lines)

    def client(self, **kwargs):
        return Client(self.sock, **kwargs)

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

    def stop(self, sig=signal.SIGTERM):
        """Ends signetd; gives its exit status."""
        if self.popen.poll() is None:
            self.popen.send_signal(sig)
        status = self.popen.wait(15)
        self.reader.join(15)
        return status

    def close(self):
        if self.popen is not None and self.popen.poll() is None:
            self.popen.kill()
            self.popen.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


def start_fails(agent, *args, **env):
    """Starts signetd where it must refuse; gives its exit status and what it said."""
    done = subprocess.run([BIN / "signetd", *args], env=dict(agent.env, **env), stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=20)
    assert done.returncode != 0
    return done.returncode, done.stderr


def wait_gone(pid, timeout=10):
    """Until all threads of a process have ended: what is left may be a zombie."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        try:
            tasks = os.listdir(f"/proc/{pid}/task")
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return
        if len(tasks) == 1 and state == "Z":
            return
        time.sleep(0.01)
    raise AssertionError(f"process {pid} is still there")


def wait_open(pid, fd, timeout=10):
    """Until a process has the same file open as our descriptor."""
    if os.geteuid() != 0:
        pytest.skip("only root sees what the agent's processes have open")
    deadline, wanted = time.monotonic() + timeout, os.readlink(f"/proc/self/fd/{fd}")
    while time.monotonic() < deadline:
        for name in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(FileNotFoundError):
                if os.readlink(f"/proc/{pid}/fd/{name}") == wanted:
                    return
        time.sleep(0.01)
    raise AssertionError(f"process {pid} never opened {wanted}")
