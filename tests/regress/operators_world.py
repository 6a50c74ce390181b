"""A machine for the operator's page: this one's files below an overlay, a network and processes of its own.

Run by test_operators_page.py in new namespaces, as root: operators_world.py PAGE SERVER. Every command of the page is run
as it stands there; between them, clients do what the page says that accounts do.
"""
import contextlib
import ctypes
import fcntl
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import serialization

TOP = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TOP / "tests/world"), str(TOP / "tests/regress")]

import authority_client  # noqa: E402
from certificates import certificate, make_csr, make_key, to_der, xmpp_addr  # noqa: E402
from page import blocks  # noqa: E402
from processes import LIBC, until  # noqa: E402
from world import BUILD  # noqa: E402

DOMAIN = "example.org"
MS_BIND, MS_REC, MS_PRIVATE, SIOCSIFFLAGS = 1 << 12, 1 << 14, 1 << 18, 0x8914
INSTALL = "make deps all\nmake install\n"
authority_client.DOMAIN = DOMAIN


def run(*command, **kwargs):
    return subprocess.run([str(c) for c in command], check=True, text=True, stdout=subprocess.PIPE, **kwargs).stdout


def mount(source, target, kind=None, flags=0, data=None):
    """mount(2); mount(8) wants /proc."""
    encode = [None if text is None else str(text).encode() for text in (source, target, kind, data)]
    if LIBC.mount(*encode[:3], flags, encode[3]) != 0:
        raise OSError(ctypes.get_errno(), f"mount {source} {target}: {os.strerror(ctypes.get_errno())}")


def leave_for_good():
    """A copy of all mounts that is private, so that nothing of ours is seen outside. /proc is where to make it: it is a
    mount point, which '/' need not be (in a chroot)."""
    mount(None, "/proc", flags=MS_PRIVATE)
    mount("none", "/proc", "tmpfs")
    os.mkdir("/proc/machine")
    mount("/", "/proc/machine", flags=MS_BIND | MS_REC)
    mount(None, "/proc/machine", flags=MS_PRIVATE | MS_REC)
    os.chroot("/proc/machine")
    os.chdir("/")
    mount("proc", "/proc", "proc")


def make_machine():
    """What is written goes into memory, and is gone with the namespaces."""
    leave_for_good()
    room = Path("/mnt")
    mount("none", room, "tmpfs")
    for folder in ("/etc", "/var", "/usr/local", "/root", "/tmp"):
        new, work = (room / (folder.replace("/", "-") + end) for end in ("-new", "-work"))
        work.mkdir()
        new.mkdir()
        new.chmod(os.stat(folder).st_mode & 0o7777)
        mount("overlay", folder, "overlay", data=f"lowerdir={folder},upperdir={new},workdir={work}")
    mount("none", "/run", "tmpfs", data="mode=755")
    for folder in ("/run/ejabberd", "/run/postgresql"):
        run("systemd-tmpfiles", "--create", f"--prefix={folder}", stderr=subprocess.DEVNULL)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:  # the loopback interface goes up
        fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sH14s", b"lo", 1, b""))
    os.environ.update(PATH="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", HOME="/root", LANG="C.UTF-8")
    write("/usr/local/sbin/systemctl", f'#!/bin/sh\nexec /usr/bin/python3 {TOP}/tests/regress/service_manager.py "$@"\n',
          0o755)


def write(path, text, mode=0o644, owner="root"):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    shutil.chown(path, owner, owner)


class Machine:
    """The operator's, with a server that has the domain."""

    def __init__(self, server):
        self.server, self.cafile, self.c2s_port = server, Path("/root/server-ca.pem"), 5222
        make_machine()
        run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", f"/CN={DOMAIN}", "-addext",
            f"subjectAltName=DNS:{DOMAIN}", "-keyout", "/root/server.key", "-out", self.cafile, stderr=subprocess.DEVNULL)
        certificate, key = self.cafile.read_text(), Path("/root/server.key").read_text()
        if server == "prosody":
            write(f"/etc/prosody/certs/{DOMAIN}.crt", certificate)
            write(f"/etc/prosody/certs/{DOMAIN}.key", key, 0o600, "prosody")
        else:
            write("/etc/ejabberd/ejabberd.pem", certificate + key, 0o600, "ejabberd")
            path = Path("/etc/ejabberd/ejabberd.yml")
            path.write_text(path.read_text().replace("hosts:\n  - localhost\n", f"hosts:\n  - {DOMAIN}\n"))

    def edit(self, text):
        """ejabberd.yml, by hand: what the page has stands beside what is there."""
        path = Path("/etc/ejabberd/ejabberd.yml")
        secret = Path("/etc/signet/component.secret").read_text().strip()
        more, config = yaml.safe_load(text.replace("SECRET", secret)), yaml.safe_load(path.read_text())
        ports = {listener["port"]: listener for listener in config["listen"]}
        for listener in more.pop("listen"):
            ports.setdefault(listener["port"], {}).update(listener)
        config["listen"] = list(ports.values())
        for section, settings in more.items():
            assert not set(config[section]) & set(settings)
            config[section].update(settings)
        path.write_text(yaml.safe_dump(config))

    def add_account(self, name):
        if self.server == "prosody":
            folder = f"/var/lib/prosody/{DOMAIN.replace('.', '%2e')}/accounts"
            write(f"{folder}/{name}.dat", f'return {{ ["password"] = "{authority_client.PASSWORD}" }};\n', 0o640, "prosody")
            for path in (folder, os.path.dirname(folder)):
                shutil.chown(path, "prosody", "prosody")
        else:
            run("ejabberdctl", "register", name, DOMAIN, authority_client.PASSWORD)

    def client(self, name, certificate=None, resource="test"):
        return authority_client.Client(self, name, certificate, resource)

    def operate(self, *args):
        return run("runuser", "-u", "signet-authority", "--", "signet-authority", *args)

    def rows(self, *args):
        return json.loads(self.operate("list", "--json", *args))["certificates"]

    def ready(self):
        """Until the authority answers through the server. A request that comes while the authority is not connected, yet is
        still delegated, has no answer: ejabberd returns its error with an id of its own."""
        def answers():
            try:
                answer = juliet.iq("get", f"<list-certificates-request xmlns='{authority_client.NS_LIST}'/>", timeout=5)
            except TimeoutError:
                return False
            return answer.get("type") == "result"
        with self.client("juliet") as juliet:
            until(answers, "the authority never answers")


def key_files(number, key, der):
    """The files that a TLS client takes."""
    cert = x509.load_der_x509_certificate(der).public_bytes(serialization.Encoding.PEM)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    write(f"/root/client{number}.pem", cert.decode())
    write(f"/root/client{number}.key", pem.decode(), 0o600)
    return f"/root/client{number}.pem", f"/root/client{number}.key"


def enrol(machine, number):
    key = make_key()
    with machine.client("juliet") as juliet:
        return key_files(number, key, juliet.added(make_csr(key, f"juliet@{DOMAIN}"), f"device {number}"))


def check_what_else_the_root_issued(machine):
    """Another child of the root than the authority says that it is juliet's."""
    root = x509.load_pem_x509_certificate(Path("/root/root.pem").read_bytes())
    signer = serialization.load_pem_private_key(Path("/root/root.key").read_bytes(), None)
    key = make_key()
    cert = certificate(key.public_key(), signer, xmpp_addr(f"juliet@{DOMAIN}"), issuer=root.subject)
    with machine.client("juliet", key_files("sibling", key, to_der(cert))) as sibling:
        assert sibling.refused


class Story:
    """What happens beside the commands, by the section they stand in."""

    def __init__(self, machine):
        self.machine, self.sessions = machine, contextlib.ExitStack()

    @staticmethod
    def error_of_add(client):
        """Of what is no request: an account that is refused hears of that first."""
        return authority_client.error_of(client.add(b"nothing"))

    def before(self, section):
        if section == "Looking and revoking":
            files = [enrol(self.machine, number) for number in range(3)]
            self.live = [self.sessions.enter_context(self.machine.client("juliet", cert, f"r{i}"))
                         for i, cert in enumerate(files[:2])]
            self.files = files
            assert all(session.logged_in for session in self.live)
        elif section == "PostgreSQL":
            if "main" not in run("pg_lsclusters", "--no-header"):
                run("pg_createcluster", "15", "main", stderr=subprocess.DEVNULL)
            run("pg_ctlcluster", "15", "main", "start")
        elif section == "Backup and restore":
            enrol(self.machine, 3)

    def after_block(self, section, text, said):
        if "phone sold" in text:
            assert self.live[0].down.wait(60) and self.live[1].logged_in
            assert "BEGIN CERTIFICATE" in said
        elif "laptop stolen" in text:
            assert self.live[1].down.wait(60)
            with self.machine.client("juliet", self.files[2], "r2") as thief:
                assert thief.refused
            reasons = [(row["state"], row["reason"]) for row in self.machine.rows()]
            assert reasons == [("revoked", "phone sold")] + [("revoked", "laptop stolen")] * 2, reasons
        elif "echo juliet@example.org" in text:
            with self.machine.client("juliet") as juliet:
                until(lambda: self.error_of_add(juliet) == ("auth", "forbidden"), "a refused account is served")
        elif "/^juliet@example" in text:
            with self.machine.client("juliet") as juliet:
                until(lambda: self.error_of_add(juliet) != ("auth", "forbidden"), "an allowed account is refused")
        elif section == "Backup and restore" and "VACUUM" in text:
            enrol(self.machine, 6)
            perform(section, text)  # the next day's
            self.kept = self.machine.rows()
        elif section == "PostgreSQL" and "createuser" in text:
            self.machine.ready()
            for number in (4, 5):
                enrol(self.machine, number)
            _, gone = self.machine.rows()
            self.machine.operate("revoke", gone["sha256"])
            # by the database alone: the running authority, which has the token, hears of it
            crl = Path("/var/lib/signet-authority/public/crl.pem")
            until(lambda: x509.load_pem_x509_crl(crl.read_bytes()).get_revoked_certificate_by_serial_number(
                int(gone["serial"], 16)), "the revocation is never in the CRL")
            self.kept = self.machine.rows()
        elif section == "Does it work?":
            assert said.startswith("active\n") and "issued:      0\n" in said
        elif section == "Monitoring":
            assert said.startswith("signet_authority_component_connected ")

    def after(self, section):
        if section in (f"On {'Prosody' if self.machine.server == 'prosody' else 'ejabberd'}",):
            self.machine.add_account("juliet")
            self.machine.ready()
            if self.machine.server == "ejabberd":
                check_what_else_the_root_issued(self.machine)
                log = Path("/var/log/ejabberd/ejabberd.log").read_text()
                assert "/usr/local/lib" not in log, "ejabberd takes our folder for its own"
        elif section == "Looking and revoking":
            self.sessions.close()
            assert len(json.loads(Path("/root/valid.json").read_text())["certificates"]) == 3
        elif section in ("Monitoring", "Secrets that only root can read", "Upgrading"):
            self.machine.ready()
        elif section in ("Backup and restore", "PostgreSQL"):
            self.machine.ready()
            assert self.machine.rows() == self.kept and self.kept
            if section == "Backup and restore":
                enrol(self.machine, 5)


def perform(section, text):
    """Runs a block as a person would type it; gives its output."""
    if INSTALL in text:  # both have been done by whoever runs the tests; here the files go to their places
        run("make", "-s", "-C", TOP, "-o", "all", "install", f"BUILD={BUILD}")
        text = text.replace(INSTALL, "")
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", text], cwd="/root", stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 0, f"{section}:\n{text}\n{done.stdout}{done.stderr}"
    return done.stdout


def main():
    page, server = Path(sys.argv[1]), sys.argv[2]
    machine = Machine(server)
    story, last, count = Story(machine), None, 0
    try:
        for block in blocks(page.read_text()):
            if block.only not in (None, server) or block.language not in ("sh", "yaml"):
                continue
            if block.section != last:
                if last:
                    story.after(last)
                print(f"== {block.section}", flush=True)
                story.before(block.section)
                last = block.section
            if block.language == "yaml":
                machine.edit(block.text)
            else:
                story.after_block(block.section, block.text, perform(block.section, block.text))
            count += 1
        story.after(last)
    except BaseException:
        for log in sorted(Path("/var/log").glob("*.unit.log")):
            print(f"---- {log}\n{log.read_text(errors='replace')[-3000:]}")
        for log in ("/var/log/prosody/prosody.log", "/var/log/prosody/prosody.err", "/var/log/ejabberd/error.log"):
            if re.search(server, log) and Path(log).exists():
                print(f"---- {log}\n{Path(log).read_text(errors='replace')[-3000:]}")
        raise
    print(f"{count} blocks of commands")


if __name__ == "__main__":
    main()
