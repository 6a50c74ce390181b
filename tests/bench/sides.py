"""The sides of the benchmark: ways to have a token sign. Each gives signatures a second for the same keys."""
import base64
import contextlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
import xml.etree.ElementTree as ET
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding

from processes import PATIENCE, running, until
from world import BUILD, DOMAIN, WorldError

DEPTH = 8  # calls that a connection keeps under way
P11_KIT_CLIENT = ("/usr/lib/x86_64-linux-gnu/pkcs11/p11-kit-client.so",
                  "/usr/lib/aarch64-linux-gnu/pkcs11/p11-kit-client.so")
HASHES = {"SHA1": hashes.SHA1, "SHA256": hashes.SHA256}
SSH_SIGN, SSH_RSA_SHA256 = 13, 2


def begin(world, commands, env):
    """Starts the commands, one after the other until each is ready to begin: SoftHSM processes that start
    at the same time may fail each other's logins."""
    popens = []
    for command in commands:
        popen = world.popen(command, env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if popen.stdout.readline() != "ready\n":
            raise WorldError(f"{' '.join(map(str, command))} did not start")
        popens.append(popen)
    return popens


def measure(world, commands, env):
    """Runs the commands side by side, from one moment on; gives what each printed."""
    popens = begin(world, commands, env)
    for popen in popens:
        popen.stdin.write("\n")
        popen.stdin.flush()
    outs = [popen.communicate(timeout=PATIENCE)[0] for popen in popens]
    if any(popen.returncode for popen in popens):
        raise WorldError(f"{' '.join(map(str, commands[0]))} failed")
    return [json.loads(out) for out in outs]


def frame(*parts):
    """An SSH agent's message, or a string in one."""
    data = b"".join(parts)
    return len(data).to_bytes(4, "big") + data


class Agent:
    """signet: its API over the socket. An account for each algorithm, enrolled and offline."""

    name = "signet"

    def __init__(self, world):
        self.world = world
        self.token = self._token_folder()
        self.env = world.make_agent("juliet")
        self.process = world.start_agent("juliet", self.env)
        self.load = world.install(BUILD / "bench/load", "bin/bench-load", 0o755)
        self.jids = {"rsa2048": f"juliet@{DOMAIN}", "p256": f"romeo@{DOMAIN}"}
        self.user_certificates = {}
        for algorithm, jid in self.jids.items():
            self._enrol(algorithm, jid)

    def _token_folder(self):
        """The token lives in memory where it can: SoftHSM writes some 60 times for a key pair. None: it does not."""
        if not os.access("/dev/shm", os.W_OK):
            return None
        for left in Path("/dev/shm").glob("signet-bench-*"):  # by a run that was killed
            if not Path("/proc", left.name.split("-")[2]).exists():
                shutil.rmtree(left, ignore_errors=True)
        folder = Path(tempfile.mkdtemp(prefix=f"signet-bench-{os.getpid()}-", dir="/dev/shm"))
        os.chown(folder, self.world.uid, self.world.gid)
        (self.world.mkdir("agent-juliet") / "token").symlink_to(folder)
        return folder

    def stop(self):
        """Ends the agent and removes its token."""
        self.process.stop()
        if self.token is not None:
            shutil.rmtree(self.token)

    def _signet(self, *args):
        return json.loads(self.world.signet(self.env, "--json", *args))

    def _enrol(self, algorithm, jid):
        world = self.world
        self._signet("account", "add", jid, "--host", "127.0.0.1", "--port", world.c2s_port, "--cafile", world.cafile)
        key = ("key", "new", "--token", "juliet", "--algorithm", algorithm, "--label")
        client = self._signet(*key, f"client-{algorithm}")["key"]["uri"]
        made = self._signet(*key, self.label(algorithm), "--user", "--account", jid)
        self.user_certificates[algorithm] = x509.load_der_x509_certificate(base64.b64decode(made["certificate"]["der"]))
        self._signet("enrol", jid, "--key", client, "--password-file", world.dir / "password")
        self._signet("account", "disconnect", jid)
        call = {"method": "org.signet.Agent.Sign", "parameters": {"account": jid}}
        world.write(self.request(algorithm).name, json.dumps(call) + "\0")

    def label(self, algorithm):
        """Of the key that signs."""
        return f"user-{algorithm}"

    def request(self, algorithm):
        """A file with a whole call."""
        return self.world.dir / f"sign-{algorithm}.call"

    @staticmethod
    def per_call(algorithm):
        """How many signatures a call makes: RSA-SHA1 and RSA-SHA256, or ECDSA-SHA256."""
        return 2 if algorithm == "rsa2048" else 1

    def _command(self, algorithm, clients, seconds, depth, extra):
        return [self.load, self.env["SIGNET_SOCK"], "varlink", self.request(algorithm), clients, depth, seconds, *extra]

    def run(self, algorithm, clients, seconds, depth=DEPTH, extra=()):
        """Signatures a second, and how long a call took."""
        before = self.cpu()
        found, = measure(self.world, [self._command(algorithm, clients, seconds, depth, extra)], self.env)
        if found["errors"]:
            raise WorldError(f"{found['errors']} calls failed: {self._reply(algorithm)[:300]}")
        self.verify(algorithm)
        found["rate"] = found["count"] * self.per_call(algorithm) / found["seconds"]
        found["cpu_us"] = (self.cpu() - before + found["cpu"]) / (found["all"] * self.per_call(algorithm)) * 1e6
        return found

    @contextlib.contextmanager
    def busy(self, algorithm, clients, seconds):
        """While the block runs, so do the clients."""
        popen, = begin(self.world, [self._command(algorithm, clients, seconds, DEPTH, ())], self.env)
        popen.stdin.write("\n")
        popen.stdin.flush()
        yield
        popen.communicate(timeout=PATIENCE)

    def _reply(self, algorithm):
        return Path(f"{self.request(algorithm)}.reply").read_bytes().rstrip(b"\0").decode()

    def verify(self, algorithm):
        """What the last run got is what was asked for: good signatures over the account's certificate."""
        keyinfo = ET.fromstring(json.loads(self._reply(algorithm))["parameters"]["key"]["keyinfo"])
        text = {element.tag.rpartition("}")[2]: element.text for element in keyinfo.iter()}
        subject, count = base64.b64decode(text["x509cert"]), 0
        issuer = self.user_certificates[algorithm].public_key()
        for element in (e for e in keyinfo.iter() if e.tag.endswith("}value")):
            value, digest = base64.b64decode(element.text), HASHES[element.get("method").rpartition("-")[2]]()
            if algorithm == "p256":
                issuer.verify(value, subject, ec.ECDSA(digest))
            else:
                issuer.verify(value, subject, padding.PKCS1v15(), digest)
            count += 1
        if count != self.per_call(algorithm):
            raise WorldError(f"{count} signatures in the reply: {ET.tostring(keyinfo)}")

    def check(self, algorithm):
        """One call, as a client makes it."""
        self._signet("sign", self.jids[algorithm])

    @contextlib.contextmanager
    def online(self, algorithm):
        """While the block runs, so is the account."""
        self._signet("account", "connect", self.jids[algorithm])
        yield
        self._signet("account", "disconnect", self.jids[algorithm])

    def pids(self):
        """The processes of the agent."""
        agent = self.process.popen.pid
        return [pid for pid, parent, _ in running() if agent in (pid, parent)]

    def cpu(self):
        """Seconds of processor time that the agent's processes have used."""
        ticks = 0
        for pid in self.pids():
            ticks += sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]))
        return ticks / os.sysconf("SC_CLK_TCK")

    def usage_each(self):
        """Name, PSS in kB, threads and descriptors of each process."""
        for pid in self.pids():
            proc = Path(f"/proc/{pid}")
            yield ((proc / "comm").read_text().strip(),
                   int(re.search(r"^Pss:\s+(\d+)", (proc / "smaps_rollup").read_text(), re.M)[1]),
                   len(os.listdir(proc / "task")), len(os.listdir(proc / "fd")))

    def usage(self):
        """PSS, threads and descriptors of all."""
        return [sum(column) for column in list(zip(*self.usage_each()))[1:]]

    def start_to_first(self, algorithm):
        """Seconds from the start of an agent to its first signature."""
        self.process.stop()
        started = time.monotonic()
        self.process = self.world.start_agent("juliet", self.env)
        found, = measure(self.world, [self._command(algorithm, 1, 0, 1, ())], self.env)
        took = time.monotonic() - started
        if found["errors"]:
            raise WorldError(f"the first call failed: {self._reply(algorithm)[:300]}")
        self.verify(algorithm)
        return took


class Direct:
    """C_Sign in one process, with as many threads as there are clients."""

    name = "direct"

    def __init__(self, world, agent):
        self.world, self.agent = world, agent
        self.program = world.install(BUILD / "bench/direct", "bin/bench-direct", 0o755)
        self.env = dict(agent.env)

    def tool(self, *args):
        """Runs the program for something else; gives what it printed."""
        return self.world.run(self.program, *args, env=self.env, timeout=600)

    def _command(self, module, algorithm, threads, seconds):
        return [self.program, "sign", module, "juliet", self.world.dir / "pin", self.agent.label(algorithm), threads,
                seconds]

    def run(self, algorithm, clients, seconds):
        """Signatures a second, and how long one took."""
        found, = measure(self.world, [self._command(self.world.module, algorithm, clients, seconds)], self.env)
        return found


class P11Kit(Direct):
    """p11-kit server with p11-kit-client.so in as many processes as there are clients."""

    name = "p11kit"

    def __init__(self, world, agent):
        super().__init__(world, agent)
        self.module = next((p for p in P11_KIT_CLIENT if os.path.exists(p)), None)
        if self.module is None:
            raise WorldError("p11-kit-client.so is not installed (Debian: p11-kit-modules)")
        folder = world.mkdir("p11kit/p11-kit")
        self.env["XDG_RUNTIME_DIR"] = str(folder.parent)
        self.server = world.start("p11-kit", ["p11-kit", "server", "-f", "-n", folder / "sock", "--provider",
                                              world.module, "pkcs11:token=juliet"], self.env)
        until((folder / "sock").exists, "p11-kit server does not listen")
        self.env["P11_KIT_SERVER_ADDRESS"] = f"unix:path={folder}/sock"

    def run(self, algorithm, clients, seconds):
        found = measure(self.world, [self._command(self.module, algorithm, 1, seconds)] * clients, self.env)
        return {"rate": sum(f["rate"] for f in found)}

    def stop(self):
        """Ends the server."""
        self.server.stop()


class SshAgent:
    """ssh-agent with a PKCS#11 provider; SSH signatures, pipelined like calls."""

    name = "sshagent"

    def __init__(self, world, agent):
        self.world, self.agent = world, agent
        self.sock = world.dir / "ssh.sock"
        self.process = world.start("ssh-agent", ["ssh-agent", "-D", "-a", self.sock, "-P", "/usr/lib/*"], agent.env)
        until(self.sock.exists, "ssh-agent does not listen")
        ask = world.write("ask.sh", f"#!/bin/sh\ncat {world.dir}/pin\n", 0o700)
        env = dict(agent.env, SSH_AUTH_SOCK=str(self.sock), SSH_ASKPASS=str(ask), SSH_ASKPASS_REQUIRE="force")
        world.run("ssh-add", "-s", world.module, env=env)
        keys = world.run("ssh-add", "-L", env=env).splitlines()
        self.requests = {}
        for algorithm, kind, flags in (("rsa2048", "ssh-rsa", SSH_RSA_SHA256), ("p256", "ecdsa-sha2-nistp256", 0)):
            blob = next(base64.b64decode(k.split()[1]) for k in keys
                        if k.split()[0] == kind and k.split()[-1] == agent.label(algorithm))
            path = self.requests[algorithm] = world.dir / f"ssh-{algorithm}.call"
            path.write_bytes(frame(bytes([SSH_SIGN]), frame(blob), frame(os.urandom(32)), flags.to_bytes(4, "big")))
            path.chmod(0o644)

    def run(self, algorithm, clients, seconds):
        """Signatures a second."""
        found, = measure(self.world, [[self.agent.load, self.sock, "ssh", self.requests[algorithm], clients, DEPTH,
                                       seconds]], self.agent.env)
        if found["errors"] or not found["count"]:
            raise WorldError(f"ssh-agent: {found}")
        return {"rate": found["count"] / found["seconds"]}

    def stop(self):
        """Ends the agent."""
        self.process.stop()
