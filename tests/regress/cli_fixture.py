"""What the tests of the command line share: signet without a terminal, keys to judge, an agent that a test scripts."""
import array
import base64
import codecs
import contextlib
import fcntl
import hashlib
import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import termios
import threading
import time

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding

from certificates import certificate, make_key, to_der, xmpp_addr
from processes import PATIENCE
from world import BUILD, TOP

SIGNET = BUILD / "bin/signet"
VECTORS = TOP / "tests/unit/vectors"
NS = "urn:xmpp:tmp:pubkey"
MIB = 1 << 20
SMALL_ENV = {k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")} | {
    "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "SIGNET_SOCK": "/nonexistent/agent.sock"}


def signet(*args, env=None, **more):
    """Runs signet without a terminal."""
    more.setdefault("stdin", subprocess.DEVNULL) if "input" not in more else None
    more.setdefault("stdout", subprocess.PIPE)
    return subprocess.run([SIGNET, *args], env=env or SMALL_ENV, stderr=subprocess.PIPE, text=True, timeout=PATIENCE,
                          start_new_session=True, **more)


def commands():
    """Every command, out of the program's own help."""
    text = signet("--help").stdout.split("Commands:\n")[1].split("\n\n")[0]
    return [re.match(r"  ([a-z]+( [a-z]+)*)", line).group(1).split() for line in text.splitlines()
            if re.match(r"  [a-z]", line)]


COMMANDS = commands()


def name_of(der):
    return hashlib.sha1(der).hexdigest()


def b64(data):
    return base64.b64encode(data).decode()


def keyinfo(der, *signatures, name=None, data=None):
    """A keyinfo with signatures of (issuer's DER, method, value)."""
    signed = "".join(f"<signature><issuer>{name_of(i)}</issuer><value method='{m}'>{b64(v)}</value></signature>"
                     for i, m, v in signatures)
    return f"<keyinfo xmlns='{NS}'><name>{name or name_of(der)}</name>" \
           f"<x509cert>{b64(der) if data is None else data}</x509cert>{signed}</keyinfo>"


def self_signed(key, common_name, jid=None, days=30):
    """A self-signed certificate as DER."""
    return to_der(certificate(key.public_key(), key, *([xmpp_addr(jid)] if jid else []), subject=common_name,
                              days=(-60, days)))


ISSUER = (VECTORS / "xep0189-example1-issuer.der").read_bytes()
SUBJECT = (VECTORS / "xep0189-example3-subject.der").read_bytes()
SIGNED = (ISSUER, "RSA-SHA1", (VECTORS / "xep0189-example3-rsa-sha1.sig").read_bytes())
USER_KEY = make_key("rsa2048")
USER = self_signed(USER_KEY, "user", "juliet@example.org")
EC_KEY = make_key()
EC_USER = self_signed(EC_KEY, "ec user", "romeo@example.org")
CLIENT = self_signed(make_key("rsa2048"), "client", "juliet@example.org")
BY_RSA = (USER, "RSA-SHA256", USER_KEY.sign(CLIENT, padding.PKCS1v15(), hashes.SHA256()))
BY_EC = (EC_USER, "ECDSA-SHA256", EC_KEY.sign(CLIENT, ec.ECDSA(hashes.SHA256())))


def verify(tmp_path, text, *args):
    """The outcome of verifying this text: (status, object)."""
    path = tmp_path / "keyinfo.xml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    done = signet("verify", path, "--json", *args)
    assert done.stderr == "", done.stderr
    reply = json.loads(done.stdout)
    assert (done.returncode == 0) == ("error" not in reply)
    if done.returncode:
        assert done.returncode == 7 and reply["error"] == "KeyinfoRefused"
        people = signet("verify", path, *args)
        assert people.returncode == 7 and people.stderr.startswith(f"signet: {reply['parameters']['message']}\n")
    return done.returncode, reply


def verdicts(reply):
    return [[s["verdict"] for s in key["signatures"]] for key in reply["keys"]]


def flipped(data, at):
    """The bytes with one bit turned."""
    changed = bytearray(data)
    changed[at] ^= 1
    return bytes(changed)


class Rogue(threading.Thread):
    """Listens as an agent would, and answers each call by the next of the scripted replies."""

    def __init__(self, tmp_path, *replies):
        super().__init__(daemon=True)
        self.path = str(tmp_path / "rogue.sock")
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(self.path)
        self.server.listen()
        self.replies, self.calls, self.secrets = replies, [], []
        self.start()

    def run(self):
        conn, _ = self.server.accept()
        for reply in self.replies:
            data, fds = b"", array.array("i")
            while not data.endswith(b"\0"):
                part, control, _, _ = conn.recvmsg(65536, socket.CMSG_SPACE(16))
                if not part:
                    return
                data += part
                for _, _, cdata in control:
                    fds.frombytes(cdata)
            self.calls.append(json.loads(data[:-1]))
            self.secrets.append([os.fdopen(fd, "rb").read() for fd in fds])
            if callable(reply):
                reply(conn)
            elif reply is not None:
                with contextlib.suppress(BrokenPipeError):
                    conn.sendall(reply if isinstance(reply, bytes) else json.dumps(reply).encode() + b"\0")
        conn.close()

    def signet(self, *args, **more):
        done = signet(*args, "--socket", self.path, **more)
        self.join(PATIENCE)
        return done


def error(name, **parameters):
    return {"error": f"org.signet.Agent.{name}", "parameters": {"message": "it is so", "advice": "Do that."} | parameters}


class Scripted:
    """Listens as an agent would, for any number of connections: answer(conn, call) answers each call."""

    def __init__(self, tmp_path, answer):
        self.path = str(tmp_path / "scripted.sock")
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(self.path)
        self.server.listen()
        self.answer, self.methods, self.changed = answer, [], threading.Condition()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._serve, args=self.server.accept()[:1], daemon=True).start()

    def _serve(self, conn):
        data = b""
        with contextlib.suppress(OSError), conn:
            while part := conn.recv(65536):
                data += part
                while b"\0" in data:
                    text, data = data.split(b"\0", 1)
                    call = json.loads(text)
                    with self.changed:
                        self.methods.append(call["method"].rpartition(".")[2])
                        self.changed.notify_all()
                    self.answer(conn, call)
        with self.changed:
            self.methods.append(None)  # a connection has ended
            self.changed.notify_all()

    def wait(self, method):
        """Until this was called, or (None) a connection has ended."""
        with self.changed:
            assert self.changed.wait_for(lambda: method in self.methods, PATIENCE), self.methods


def send(conn, reply):
    with contextlib.suppress(OSError):
        conn.sendall(json.dumps(reply).encode() + b"\0")


class Terminal:
    """A program on a terminal of its own. The other end stays open here too, so that nothing shown is lost."""
    END = "-- end --"

    def __init__(self, *args, echo=True):
        try:
            self.fd, self.other = pty.openpty()
        except OSError as why:
            pytest.skip(f"no terminal can be made ({why}): is /dev/pts mounted?")
        self.text, self.decoder = "", codecs.getincrementaldecoder("utf-8")()
        if not echo:
            settings = termios.tcgetattr(self.other)
            settings[3] &= ~termios.ECHO
            termios.tcsetattr(self.other, termios.TCSANOW, settings)
        self.popen = subprocess.Popen([SIGNET, *args], env=SMALL_ENV | {"TERM": "dumb"}, stdin=self.other,
                                      stdout=self.other, stderr=self.other, preexec_fn=self._take)

    @staticmethod
    def _take():
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a job in the background passes it on ignored
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def wait(self, text, timeout=PATIENCE):
        deadline = time.monotonic() + timeout
        while text not in self.text:
            assert select.select([self.fd], [], [], max(0, deadline - time.monotonic()))[0], self.text
            self.text += self.decoder.decode(os.read(self.fd, 4096))

    def type(self, text):
        os.write(self.fd, text.encode())

    def end(self):
        """The exit status, and all that was shown."""
        status = self.popen.wait(PATIENCE)
        self.echo = bool(termios.tcgetattr(self.other)[3] & termios.ECHO)
        os.write(self.other, self.END.encode())
        self.wait(self.END)
        os.close(self.other)
        os.close(self.fd)
        return status, self.text.replace(self.END, "")
