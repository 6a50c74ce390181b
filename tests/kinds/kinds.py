"""The kinds of token: how each is made from nothing, what it can do, and signetd on it."""
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import control
from agent_fixture import MODULE as SOFTHSM
from agent_fixture import Agent
from processes import LIBC, PATIENCE, PR_SET_PDEATHSIG, Process, WorldError, free_ports
from varlink_client import secret
from world import TOP, capabilities

FIXTURES = TOP / "softhsm-fixtures"
LIBRARIES = Path("/usr/lib") / f"{os.uname().machine}-linux-gnu"
OTHER = "other"  # the label of a SoftHSM token that is always there, too
JID = "juliet@xmpp.test"


class Kind:
    """A kind of token; the classes below say what stands behind each."""

    name, module, pin, label, init, so_pin = "", "", "1234", None, None, "12345678"
    settings = ""  # more lines of [module]

    def __init__(self):
        # 'none' and 'no' are no values: what it lacks is false.
        self.can = {word: [] if values in (["no"], ["none"]) else values
                    for word, values in capabilities(self.name).items()}
        assert self.can["kind"] == [self.name]
        if not Path(self.module).exists():
            raise WorldError(f"{self.module} is missing: run 'make deps-token'")
        self.dir = Path(tempfile.mkdtemp(prefix=f"signet-{self.name}-"))
        self.dir.chmod(0o755)
        self.processes, self.env, self.signetd = [], {}, None

    def start(self):
        """What is there for all tests."""

    def renew(self):
        """What a test finds fresh."""

    def close(self):
        for process in reversed(self.processes):
            process.stop()
        shutil.rmtree(self.dir, ignore_errors=True)

    def run_part(self, name, argv, **env):
        """Starts a process that the kind needs; it ends with us."""
        popen = subprocess.Popen([str(a) for a in argv], env=dict(os.environ, **env), stdin=subprocess.DEVNULL,
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                 preexec_fn=lambda: LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))
        process = Process(name, popen, self.dir / f"{name}.log")
        self.processes.append(process)
        return process

    def run(self, *argv):
        """A program that ends; gives what it printed."""
        done = subprocess.run([str(a) for a in argv], env=dict(os.environ, **self.env), stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=PATIENCE)
        if done.returncode != 0:
            raise WorldError(f"{argv}: {done.stderr}{done.stdout}")
        return done.stdout

    def conf(self):
        """The module's section of signet.conf."""
        init = f"init = {self.init}\n" if self.init else ""
        return f"[module {self.name}]\npath = {self.module}\n{init}{self.settings}"

    def agent(self, conf=""):
        """signetd on the token and on another one, of SoftHSM; to be entered."""
        agent = Agent(labels=(OTHER,), conf=self.conf() + conf)
        agent.env.update(self.env)
        return agent

    def used_by(self, agent):
        """From here on, calls go to this agent."""
        self.signetd = agent

    # ---- the API, on this token

    def tokens(self):
        return [t for t in self.signetd.call("ListTokens")["tokens"] if self.is_mine(t)]

    def is_mine(self, token):
        return token["module"] == self.name and (self.label is None or token["label"] == self.label)

    @property
    def token(self):
        """The token's URI; there is one."""
        token, = self.tokens()
        return token["uri"]

    def call(self, method, **parameters):
        return self.signetd.call(method, parameters)

    def error(self, method, **parameters):
        return self.signetd.error(method, parameters)

    def unlock(self, pin=None, token=None):
        return self.signetd.unlock(token or self.token, pin or self.pin)

    def unlock_error(self, pin=None, token=None):
        with secret(pin or self.pin) as fd:
            return self.signetd.error("Unlock", {"token": token or self.token, "pin": {"fd": 0}}, [fd])

    def keys(self):
        """The keys on this token."""
        mine = {t["uri"] for t in self.tokens()}
        return [k for k in self.call("ListKeys")["keys"] if k["token"] in mine]

    def key_in(self, place):
        """A key that is there already, by its place on the card or by its label."""
        label = self.labels().get(place, place)
        return next(k for k in self.keys() if k["label"] == label)

    def labels(self):
        """place -> label of the private key there."""
        return {}

    def any_key(self, algorithm="p256", label="made"):
        """A key to sign with, the token being unlocked: one that is there, or a new one; gives its URI."""
        for place in self.can["keys"]:
            name, kind = place.split(":")
            if kind == algorithm and name not in ("9c", *self.can["derive-only"]):
                return self.key_in(name)["uri"]
        return self.call("NewKey", token=self.token, label=label, algorithm=algorithm)["key"]["uri"]

    # ---- another program

    def tool(self, *args):
        """pkcs11-tool on the module."""
        return self.run("pkcs11-tool", "--module", self.module, *args)

    def foreign_key(self, label):
        """A P-256 key that another program makes on the token."""
        self.tool("--token-label", self.label, "--login", "--pin", self.pin, "--keypairgen", "--key-type",
                  "EC:prime256v1", "--label", label, "--id", label.encode().hex(), "--sensitive")


class SoftHsm(Kind):
    """Two tokens of one module: this one is 'mine', the other is every agent's."""

    name, module, label = "softhsm", SOFTHSM, "mine"

    def conf(self):
        return ""

    def agent(self, conf=""):
        agent = Agent(labels=(OTHER, self.label), conf=self.settings + conf)
        self.env = {"SOFTHSM2_CONF": agent.env["SOFTHSM2_CONF"]}
        return agent


class Card(Kind):
    """The virtual PIV card behind the real pcscd."""

    pin, so_pin = "123456", "12345678"  # of the second, the PUK stands in the place
    settings = "timeout = 3\n"
    places = {}

    def start(self):
        card = self.run_part("card", [sys.executable, TOP / "tests/card/control.py", self.dir / "card"])
        card.wait_line("card: ready")
        self.env = {"PCSCLITE_CSOCK_NAME": str(self.dir / "card/pcscd.comm")}

    def renew(self):
        self.card("ok")
        self.card("pcscd", "start")
        self.card("insert")
        self.card("pin-reset")
        self.card("log")

    def card(self, *words):
        """A command to the card."""
        return control.ask(self.dir / "card", *words)

    def pins(self):
        """The PINs that cards were given since the log was last read: (serial, PIN, status)."""
        return [(c["card"], c["pin"], c["status"]) for c in self.card("log")["log"]
                if c["command"] == "VERIFY" and c["pin"]]

    def labels(self):
        return self.places


class Ykcs11(Card):
    name, module, maker = "ykcs11", LIBRARIES / "libykcs11.so", "Yubico%20%28www.yubico.com%29"
    places = {"9a": "Private key for PIV Authentication", "9c": "Private key for Digital Signature",
              "9d": "Private key for Key Management", "9e": "Private key for Card Authentication",
              "82": "Private key for Retired Key 1"}


class OpenSc(Card):
    name, module, maker = "opensc", LIBRARIES / "pkcs11/opensc-pkcs11.so", "piv_II"
    places = {"9a": "PIV AUTH key", "9c": "SIGN key", "9d": "KEY MAN key", "9e": "CARD AUTH key",
              "82": "Retired KEY MAN 1"}


class Tpm2(Kind):
    """tpm2-pkcs11 on swtpm, by way of tpm2-abrmd on a bus of our own."""

    name, module, label = "tpm2", LIBRARIES / "pkcs11/libtpm2_pkcs11.so", "mine"

    def start(self):
        (self.dir / "tpm").mkdir()
        port = self._start_tpm()
        config = self.dir / "bus.conf"
        config.write_text(f"<busconfig><type>session</type><listen>unix:path={self.dir}/bus</listen>"
                          '<policy context="default"><allow send_destination="*" eavesdrop="true"/>'
                          '<allow eavesdrop="true"/><allow own="*"/></policy></busconfig>')
        bus = self.run_part("bus", ["dbus-daemon", f"--config-file={config}", "--nofork", "--nopidfile",
                                    "--print-address"])
        self.env = {"DBUS_SESSION_BUS_ADDRESS": bus.wait_line("unix:").strip(), "TPM2_PKCS11_LOG_LEVEL": "0",
                    "TSS2_LOG": "all+NONE", "TPM2_PKCS11_BACKEND": "esysdb", "TPM2_PKCS11_STORE": f"{self.dir}/store",
                    "TPM2_PKCS11_TCTI": "tabrmd:bus_type=session", "TPM2TOOLS_TCTI": "tabrmd:bus_type=session"}
        self.port = port
        self.start_manager()
        self._make_token()

    def start_manager(self):
        """The resource manager, which may have been stopped."""
        self.manager = self.run_part("abrmd", ["tpm2-abrmd", "--session", "--allow-root",
                                               f"--tcti=swtpm:host=127.0.0.1,port={self.port}"],
                                     **self.env, G_MESSAGES_DEBUG="all")
        self.manager.wait_line("on_name_acquired|name acquired|acquired")

    def _make_token(self):
        self.run("bash", FIXTURES / "tpm2.sh", self.dir / "store", self.label)

    def _start_tpm(self):
        """swtpm on a port, its control on the next one."""
        while True:
            port, = free_ports(1)
            with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port + 1)):
                break
        tpm = self.run_part("swtpm", ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={self.dir}/tpm", "--server",
                                      f"type=tcp,port={port},bindaddr=127.0.0.1", "--ctrl",
                                      f"type=tcp,port={port + 1},bindaddr=127.0.0.1", "--flags", "startup-clear"])
        tpm.wait_port(port + 1)
        return port

    def renew(self):
        """A new token on the same TPM, which forgets that PINs were wrong, and the old token's primary key: it has
        room for a few dozen."""
        self.run("tpm2_dictionarylockout", "--clear-lockout")
        for handle in re.findall("0x[0-9A-Fa-f]+", self.run("tpm2_getcap", "handles-persistent")):
            self.run("tpm2_evictcontrol", "--object-context", handle)
        shutil.rmtree(self.dir / "store")
        self._make_token()


class Nss(Kind):
    name, module, label = "nss", LIBRARIES / "libsoftokn3.so", "NSS Certificate DB"

    def renew(self):
        self.init = self.run("bash", FIXTURES / "nss.sh", self.dir / "db").strip()

    def foreign_key(self, label):
        noise = self.dir / "noise"
        noise.write_bytes(os.urandom(256))
        self.run("certutil", "-S", "-x", "-d", f"sql:{self.dir}/db", "-f", self.dir / "db/pin", "-n", label, "-s",
                 f"CN={label}", "-t", ",,", "-k", "ec", "-q", "nistp256", "-z", noise)


KINDS = {kind.name: kind for kind in (SoftHsm, Ykcs11, OpenSc, Tpm2, Nss)}
