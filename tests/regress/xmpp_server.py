"""A private Prosody with keys of its own, for signet-xmpp alone: password and certificate logins, direct TLS."""
import os
import socket
import subprocess
import time

from world import free_ports, ordinary_user

DOMAIN, CERT_DOMAIN, PASSWORD = "xmpp.test", "cert.test", "pencil sharpener"
XMPP_ADDR = "1.3.6.1.5.5.7.8.5"


def run(*argv, **more):
    subprocess.run([str(a) for a in argv], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **more)


class Pki:
    """CAs and certificates in a folder, by the openssl command."""

    def __init__(self, folder):
        self.dir = folder
        for ca in ("ca", "client-ca", "other-ca"):
            run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", 2,
                "-keyout", folder / f"{ca}.key", "-out", folder / f"{ca}.pem", "-subj", f"/CN={ca}",
                "-addext", "keyUsage=critical,keyCertSign,cRLSign")
        self.issue("server", "ca", f"DNS:{DOMAIN},DNS:{CERT_DOMAIN}")
        self.issue("stranger", "ca", "DNS:elsewhere.test")
        self.issue("expired", "ca", f"DNS:{DOMAIN}", days=-1)
        jid = f"otherName:{XMPP_ADDR};UTF8:juliet@{CERT_DOMAIN}"
        self.issue("juliet-rsa", "client-ca", jid, "rsa:2048")
        self.issue("juliet-ec", "client-ca", jid)
        self.issue("juliet-untrusted", "other-ca", jid)

    def issue(self, name, ca, san, key="ec:P-256", days=2):
        folder = self.dir
        kind = ["rsa:2048"] if key.startswith("rsa") else ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        run("openssl", "req", "-newkey", *kind, "-nodes", "-keyout", folder / f"{name}.key",
            "-out", folder / f"{name}.csr", "-subj", f"/CN={name}")
        (folder / f"{name}.ext").write_text(
            "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n"
            f"extendedKeyUsage=clientAuth,serverAuth\nsubjectAltName={san}\n")
        run("openssl", "x509", "-req", "-in", folder / f"{name}.csr", "-CA", folder / f"{ca}.pem",
            "-CAkey", folder / f"{ca}.key", "-CAcreateserial", "-days", days, "-out", folder / f"{name}.pem",
            "-extfile", folder / f"{name}.ext")


class Server:
    """Prosody in a folder, run as an ordinary user, on free loopback ports."""

    def __init__(self, folder, pki, certificate="server", protocol="tlsv1_2+"):
        self.dir, self.popen = folder, None
        self.port, self.direct_port = free_ports(2)
        self.uid, self.gid = ordinary_user()
        self.conf = folder / f"{certificate}.cfg.lua"
        self.conf.write_text(f"""\
pidfile = "{folder}/prosody.pid"
data_path = "{folder}/data"
plugin_paths = {{ "/usr/lib/prosody/modules" }}
log = {{ {{ levels = {{ min = "info" }}, to = "console" }} }}
interfaces = {{ "127.0.0.1" }}; local_interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {self.port} }}; c2s_direct_tls_ports = {{ {self.direct_port} }}
s2s_ports = {{}}; http_ports = {{}}; https_ports = {{}}; component_ports = {{}}
modules_enabled = {{ "roster", "saslauth", "tls", "disco", "ping", "pep", "smacks" }}
modules_disabled = {{ "s2s" }}
c2s_require_encryption = true
storage = "internal"
certificate_match = "xmppaddr"
ssl = {{
  key = "{pki.dir}/{certificate}.key"; certificate = "{pki.dir}/{certificate}.pem";
  protocol = "{protocol}"; cafile = "{pki.dir}/client-ca.pem"; verify = {{ "peer", "client_once" }};
}}
VirtualHost "{DOMAIN}"
  authentication = "internal_hashed"
VirtualHost "{CERT_DOMAIN}"
  authentication = "ccert"
""")
        (folder / "data").mkdir(exist_ok=True)
        self._roster("juliet", "romeo")
        self._roster("romeo", "juliet")
        if os.geteuid() == 0:
            run("chown", "-R", f"{self.uid}:{self.gid}", folder, pki.dir)
        for name in ("juliet", "romeo", "benvolio"):
            run("prosodyctl", "--config", self.conf, "register", name, DOMAIN, PASSWORD, **self._who())

    def _who(self):
        who = {"env": {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(self.dir), "LANG": "C.UTF-8"},
               "cwd": self.dir}
        if os.geteuid() == 0:
            who.update(user=self.uid, group=self.gid, extra_groups=[])
        return who

    def _roster(self, name, friend):
        folder = self.dir / "data" / DOMAIN.replace(".", "%2e") / "roster"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.dat").write_text(
            "return { [false] = { version = 1; pending = {} };"
            f' ["{friend}@{DOMAIN}"] = {{ subscription = "both"; groups = {{}} }}; }};\n')

    def start(self):
        with open(self.dir / "prosody.log", "ab") as log:
            self.popen = subprocess.Popen(["prosody", "-F", "--config", str(self.conf)], stdin=subprocess.DEVNULL,
                                          stdout=log, stderr=log, **self._who())
        deadline = time.monotonic() + 20
        while True:  # there is no event for a port that opens
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return self
            except OSError:
                assert self.popen.poll() is None and time.monotonic() < deadline, "Prosody did not start"
                time.sleep(0.02)

    def stop(self):
        if self.popen is not None:
            self.popen.terminate()
            self.popen.wait(20)
            self.popen = None
