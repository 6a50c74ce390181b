"""A private world of real parts: an XMPP server, the authority, SoftHSM tokens and agents.

Everything lives in one temporary folder, listens on free loopback ports, runs as an ordinary
user (root is dropped for each process) and is stopped and removed by World.close(), which also
sweeps up processes that lost their parent. Only the standard library is used.
"""
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from ejabberd import Ejabberd
from pki import Pki
from processes import (LIBC, PATIENCE, PR_SET_CHILD_SUBREAPER, PR_SET_PDEATHSIG, Process, WorldError, descendants, ordinary_user)
from prosody import Prosody

TOP = Path(__file__).resolve().parents[2]
BUILD = TOP / os.environ.get("BUILD", "build")
DOMAIN = "xmpp.test"
PASSWORD = "secret"
ACCOUNTS = ("juliet", "romeo", "benvolio")
FRIENDS = (("juliet", "romeo"),)
PROGRAMS = ("signet", "signetd", "signet-token", "signet-xmpp", "signet-pgp", "signet-authority")
SOFTHSM_MODULES = ("/usr/lib/softhsm/libsofthsm2.so",
                   "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
                   "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so")
SERVERS = {kind.kind: kind for kind in (Prosody, Ejabberd)}
SANITIZER = re.compile(r"(Address|Leak|UndefinedBehavior)Sanitizer|runtime error:")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def is_sanitized():
    """Whether the programs are built with a sanitizer, which has its own ways with memory, time and what is preloaded."""
    return b"__asan_init" in (BUILD / "bin/signetd").read_bytes()


def sanitized(process):
    """What a sanitizer said of the process, with all that follows: a report's lines bear no mark."""
    first = next((i for i, line in enumerate(process.lines) if SANITIZER.search(line)), None)
    return "" if first is None else f"{process.name}:\n{''.join(process.lines[first:])}"


class Failed(Exception):
    """A command of the world failed; holds its exit status and output."""

    def __init__(self, argv, status, out, err):
        super().__init__(f"{' '.join(map(str, argv))}: exit {status}\n{err.strip() or out.strip()}")
        self.status, self.out, self.err = status, out, err


def chosen_server():
    """The kind of server that the caller's environment asks for."""
    kind = os.environ.get("SERVER") or "prosody"
    if kind not in SERVERS:
        raise WorldError(f"SERVER={kind}: it is one of {', '.join(sorted(SERVERS))}")
    return kind


def softhsm_module():
    """The path of the SoftHSM module on this system."""
    for path in SOFTHSM_MODULES:
        if os.path.exists(path):
            return path
    raise WorldError("SoftHSM is not installed: run 'make deps'")


def temporary_folder(uid):
    """Where the world's folder goes: TMPDIR, or /tmp when the ordinary user cannot enter that, or when its
    name has characters that the configuration files of Prosody and SoftHSM cannot quote."""
    chosen = Path(tempfile.gettempdir())
    entered = uid == os.geteuid() or all(p.stat().st_mode & 1 for p in (chosen, *chosen.parents))
    return str(chosen) if entered and re.fullmatch(r"[\w/.+@~ %-]+", str(chosen)) else "/tmp"


def capabilities(kind="softhsm"):
    """What a kind of token can do and what it lacks: word -> values."""
    lines = (TOP / f"softhsm-fixtures/{kind}.capabilities").read_text().splitlines()
    return {word: values for word, *values in (line.split() for line in lines if not line.startswith("#"))}


class World:
    """See the module's text. Use as a context manager.

    alone: whatever else this process has started, directly or not, ends with the world too.
    programs: those of ours that are needed.
    server: which one of SERVERS.
    certificates, requests: the authority's limits for an account; tests ask more often than people.
    ca: the kind of the authority's key; one of RSA takes a second to make.
    """

    def __init__(self, pin="1234", accounts=ACCOUNTS, max_tls="1.3", alone=False, certificates=20, programs=PROGRAMS,
                 server="prosody", requests=6000, ca="p256"):
        self.pin = pin
        self.kind = server
        self.programs = programs
        self.max_tls = max_tls
        self.accounts = accounts
        self.alone = alone
        self.certificates = certificates
        self.requests = requests
        self.ca = ca
        self.uid, self.gid = ordinary_user()
        self.processes = []
        self.sessions = set()
        self.agents = {}
        self.module = softhsm_module()
        if not Path("/proc/self/exe").exists():
            raise WorldError("/proc is not mounted: mount -t proc proc /proc")
        for name in programs:
            if not (BUILD / "bin" / name).exists():
                raise WorldError(f"{BUILD}/bin/{name} is missing: run 'make'")
        LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self.dir = Path(tempfile.mkdtemp(prefix="signet-", dir=temporary_folder(self.uid)))
        try:
            self._furnish()
        except BaseException:
            self.close()
            raise

    def _furnish(self):
        """The folders, the programs, the ports and the files with secrets."""
        self._chown(self.dir)
        for name in ("log", "home", "bin", "authority"):
            self.mkdir(name)
        for name in self.programs:
            self.install(BUILD / "bin" / name, f"bin/{name}", 0o755)
        self.pki, self.server = Pki(self), SERVERS[self.kind](self)
        self.c2s_port, self.direct_port = self.server.port, self.server.direct_port
        self.component_port = self.server.component_port
        self.write("pin", self.pin, 0o600)
        self.write("password", PASSWORD, 0o600)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # ---- files and processes as the ordinary user

    def _chown(self, path):
        if os.geteuid() == 0:
            os.chown(path, self.uid, self.gid)

    def mkdir(self, name, mode=0o700):
        """Makes a folder of the ordinary user's below the world's folder."""
        path = self.dir / name
        for folder in (*reversed(path.relative_to(self.dir).parents[:-1]), name):
            if not (self.dir / folder).exists():
                (self.dir / folder).mkdir(mode=mode)
                self._chown(self.dir / folder)
        return path

    def write(self, name, text, mode=0o644):
        """Writes a file of the ordinary user's below the world's folder."""
        path = self.dir / name
        path.write_text(text)
        path.chmod(mode)
        self._chown(path)
        return path

    def install(self, source, name, mode=0o644):
        """Copies a file in, so that nothing outside need be readable for the ordinary user."""
        path = self.dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, path)
        path.chmod(mode)
        self._chown(path)
        return path

    def env(self, **more):
        """A small environment of the world's own; nothing of the caller's but its terminal."""
        env = {
            "PATH": f"{self.dir}/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "HOME": str(self.dir / "home"), "LANG": "C.UTF-8", "TMPDIR": str(self.dir),
            "TERM": os.environ.get("TERM", "dumb"),
        }
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "SIGNET_LOG"):
            if name in os.environ:
                env[name] = os.environ[name]
        env.update({k: str(v) for k, v in more.items()})
        return env

    def popen(self, argv, env=None, **kwargs):
        """Popen as the ordinary user, dying with us, in a session of its own unless told otherwise."""
        drop = [f"--reuid={self.uid}", f"--regid={self.gid}", "--clear-groups"] if os.geteuid() == 0 else []
        kwargs.setdefault("cwd", self.dir)
        kwargs.setdefault("stdin", subprocess.DEVNULL)
        kwargs.setdefault("start_new_session", True)
        # Not by Popen's user= and preexec_fn=: with those all of our memory's tables are copied for each program.
        popen = subprocess.Popen(["setpriv", "--pdeathsig=KILL", *drop, "--", *(str(a) for a in argv)],
                                 env=env or self.env(), umask=0o077, **kwargs)
        if kwargs["start_new_session"]:
            self._forget_sessions()
            self.sessions.add(popen.pid)
        return popen

    def _forget_sessions(self):
        """Those of which nobody is left: the number may be somebody else's any time, and _sweep() must not end him."""
        for session in list(self.sessions):
            try:
                os.killpg(session, 0)
            except ProcessLookupError:
                self.sessions.discard(session)
            except PermissionError:
                pass

    def run(self, *argv, env=None, timeout=PATIENCE, check=True, **kwargs):
        """Runs a command as the ordinary user; gives its standard output, or raises Failed."""
        proc = self.popen(argv, env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **kwargs)
        try:
            out, err = proc.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            proc.kill()
            out, err = proc.communicate()
            raise Failed(argv, "timeout", out, err) from None
        if check and proc.returncode != 0:
            raise Failed(argv, proc.returncode, out, err)
        return out if check else (proc.returncode, out, err)

    def start(self, name, argv, env=None, **popen):
        """Starts a long-running process."""
        popen = self.popen(argv, env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **popen)
        process = Process(name, popen, self.dir / "log" / f"{name}.log")
        self.processes.append(process)
        return process

    # ---- parts

    def make_token(self, folder, label):
        """A SoftHSM token from nothing; gives the path of its configuration."""
        path = self.mkdir(folder)
        scripts = self.mkdir("fixtures")
        for script in sorted((TOP / "softhsm-fixtures").glob("*.sh")):
            self.install(script, f"fixtures/{script.name}", 0o755)
        self.run("bash", scripts / "softhsm.sh", path, label, env=self.env(SOFTHSM_PIN_FILE=self.dir / "pin"))
        return path / "softhsm2.conf"

    def make_pki(self):
        """The server's own CA and its certificate for the domain."""
        self.cafile = self.pki.make_ca("ca")
        self.pki.issue("server", "ca", f"DNS:{DOMAIN}")

    def make_authority(self):
        """The authority's token, key, certificate and configuration."""
        self.authority_softhsm = self.make_token("authority/token", "authority")
        self.write("authority/component.secret", "component-" + os.urandom(12).hex(), 0o600)
        folder = self.dir / "authority"
        self.authority_conf = self.write("authority/authority.conf", f"""\
[component]
jid = ccm.{DOMAIN}
host = 127.0.0.1
port = {self.component_port}
secret-file = {folder}/component.secret
[authority]
domains = {DOMAIN}
certificates-per-account = {self.certificates}
requests-per-minute = {self.requests}
[token]
module = {self.module}
token = authority
key = ca
pin-file = {self.dir}/pin
[files]
ledger = {folder}/ledger.db
crl = {folder}/crl.pem
revoked = {folder}/revoked.txt
logins = {folder}/logins.txt
""")
        self.authority_env = self.env(SOFTHSM2_CONF=self.authority_softhsm)
        self.make_ca()

    def make_ca(self):
        """The authority's key and certificate, by itself."""
        self.run("signet-authority", "--config", self.authority_conf, "init", "--name", "signet demo CA",
                 "--algorithm", self.ca, "--out", self.dir / "authority/ca.pem", env=self.authority_env)

    def start_authority(self):
        """Starts the authority and waits until the server took it as its component."""
        served = self.server.process  # but for a test that plays the server itself
        mark = served.mark() if served else 0
        self.authority = self.start("authority", ["signet-authority", "--config", self.authority_conf, "run"],
                                    self.authority_env)
        self.authority.wait_line("^signet-authority: info: component .* connected to")
        if served:
            self.server.wait_delegated(mark)

    def make_server(self):
        """The server's configuration, accounts and rosters; needs the authority's CA certificate."""
        folder = self.dir / "authority"
        self.server.serve(DOMAIN, folder, (folder / "component.secret").read_text(), self.max_tls)
        self.server.add_accounts(DOMAIN, self.accounts, PASSWORD, FRIENDS)

    def start_server(self):
        """Starts the server and waits until it listens for clients and for the component."""
        self.server.start()

    def make_agent(self, name, token=True):
        """An agent's folders and configuration, with a token of its own. Gives its environment."""
        folder = self.mkdir(f"agent-{name}")
        for sub in ("config/signet", "state", "run/signet"):
            self.mkdir(f"agent-{name}/{sub}")
        env = self.env(SIGNET_SOCK=folder / "run/signet/agent.sock", XDG_CONFIG_HOME=folder / "config",
                       XDG_STATE_HOME=folder / "state", XDG_RUNTIME_DIR=folder / "run")
        conf = f"[module softhsm]\npath = {self.module}\n"
        if token:
            env["SOFTHSM2_CONF"] = str(self.make_token(f"agent-{name}/token", name))
            conf += f"[token {name}]\npin-source = file:{self.dir}/pin\n"
        else:
            env["SOFTHSM2_CONF"] = str(self.write(f"agent-{name}/softhsm2.conf",
                                                  f"directories.tokendir = {self.mkdir(f'agent-{name}/tokens')}\n"))
        self.write(f"agent-{name}/config/signet/signet.conf", conf, 0o600)
        return env

    def start_agent(self, name, env):
        """Starts an agent and waits until it listens."""
        agent = self.start(f"signetd-{name}", ["signetd"], env)
        agent.wait_line("listening")
        self.agents[name] = agent
        return agent

    def up(self):
        """Server and authority, in the order that they need each other's files."""
        self.make_pki()
        self.make_authority()
        self.make_server()
        self.start_server()
        self.start_authority()

    def signet(self, env, *args, **kwargs):
        """The command line, in batch, against the agent of this environment."""
        return self.run("signet", "--batch", *args, env=env, **kwargs)

    def playground_env(self, env):
        """What a command in the playground finds in its environment."""
        return dict(env, PLAYGROUND_HOST="127.0.0.1", PLAYGROUND_PORT=str(self.c2s_port),
                    PLAYGROUND_DIRECT_PORT=str(self.direct_port), PLAYGROUND_DOMAIN=DOMAIN,
                    PLAYGROUND_CAFILE=str(self.cafile), PLAYGROUND_PIN=self.pin,
                    PLAYGROUND_PASSWORD=PASSWORD, PLAYGROUND_SERVER=self.kind, PLAYGROUND_DIR=str(self.dir))

    # ---- the end

    def close(self):
        """Stops everything, also what lost its parent, and removes the folder; no signal cuts it short."""
        main_thread = threading.current_thread() is threading.main_thread()
        before = {s: signal.signal(s, signal.SIG_IGN) for s in SIGNALS} if main_thread else {}
        for process in reversed(self.processes):
            process.stop()
        self._sweep()
        shutil.rmtree(self.dir, ignore_errors=True)
        for number, handler in before.items():
            signal.signal(number, handler)
        if self.dir.exists():
            raise WorldError(f"{self.dir} could not be removed")
        found = "".join(sanitized(p) for p in self.processes)
        if found:
            raise WorldError("a sanitizer found something:\n" + found)

    def _sweep(self):
        """Ends what is left of what we started, until nothing is; orphans come to us as children. The number of a session
        that has ended may be one of somebody else's by now, who is none of ours."""
        while left := [pid for pid, parent, session in descendants()
                       if session in self.sessions or self.alone and parent == os.getpid()]:
            for pid in left:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            for pid in left:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, 0)


def interruptible():
    """Lets the signals that mean 'stop' raise KeyboardInterrupt, also where SIGINT came in ignored, and sends
    us one when our parent ends."""
    def interrupted(*_):
        raise KeyboardInterrupt
    for number in SIGNALS:
        signal.signal(number, interrupted)
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def say(text):
    """A line for the person, past any buffering."""
    print(text, file=sys.stderr, flush=True)
