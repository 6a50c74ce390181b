"""systemctl where no systemd runs: starts services from their unit files, with what those say of users, folders,
credentials and readiness. The sandbox is left out: test_authority_unit.py has systemd's own tools judge that.

Run as 'systemctl COMMAND [--now] [UNIT]', as root.
"""
import glob
import grp
import os
import pwd
import select
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

STATE = Path("/run/service-manager")
PATIENCE = 120


class Unit:
    """What a unit file and its drop-ins say."""

    def __init__(self, name):
        self.name = name.removesuffix(".service")
        self.settings = {}
        folders = ("/etc/systemd/system", "/usr/local/lib/systemd/system", "/lib/systemd/system")
        paths = [p for p in (Path(f) / f"{self.name}.service" for f in folders) if p.exists()][:1]
        if not paths:
            sys.exit(f"Unit {self.name}.service not found.")
        for path in (*paths, *sorted(glob.glob(f"/etc/systemd/system/{self.name}.service.d/*.conf"))):
            self._read(Path(path).read_text())
        self.user = self.one("User", "root")
        self.entry = pwd.getpwnam(self.user)
        self.pid_file, self.log = STATE / f"{self.name}.pid", Path(f"/var/log/{self.name}.unit.log")

    def _read(self, text):
        for line in text.splitlines():
            name, equals, value = line.partition("=")
            if not equals or line.startswith(("#", ";")):
                continue
            if value:
                self.settings.setdefault(name, []).append(value)
            else:  # what was said before is taken back
                self.settings.pop(name, None)

    def one(self, name, default=""):
        return self.settings.get(name, [default])[-1]

    def all(self, name):
        return " ".join(self.settings.get(name, [])).split()

    def pid(self):
        """The main process, or None."""
        try:
            pid = int(self.pid_file.read_text())
            letter = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (OSError, ValueError):
            return None
        return None if letter == "Z" else pid

    def _folders(self, base, names, mode):
        for name in names:
            path = Path(base) / name
            path.mkdir(parents=True, exist_ok=True)
            path.chmod(int(mode, 8))
            os.chown(path, self.entry.pw_uid, self.entry.pw_gid)

    def _credentials(self):
        folder = Path(f"/run/credentials/{self.name}.service")
        shutil.rmtree(folder, ignore_errors=True)
        if not self.settings.get("LoadCredential"):
            return {}
        folder.mkdir(parents=True)
        for credential in self.settings["LoadCredential"]:
            name, _, source = credential.partition(":")
            shutil.copyfile(source, folder / name)
            (folder / name).chmod(0o400)
            os.chown(folder / name, self.entry.pw_uid, self.entry.pw_gid)
        folder.chmod(0o500)
        os.chown(folder, self.entry.pw_uid, self.entry.pw_gid)
        return {"CREDENTIALS_DIRECTORY": str(folder)}

    def _run(self, command, env, wait):
        groups = {grp.getgrnam(name).gr_gid for name in self.all("SupplementaryGroups")}
        groups |= set(os.getgrouplist(self.user, self.entry.pw_gid))
        with open(self.log, "ab") as log:
            process = subprocess.Popen(
                shlex.split(command), env=env, cwd=self.one("WorkingDirectory", "/"), stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, user=self.entry.pw_uid, group=self.entry.pw_gid, extra_groups=sorted(groups),
                umask=int(self.one("UMask", "0022"), 8), start_new_session=True)
        if wait and process.wait():
            sys.exit(f"{self.name}: {command}: status {process.returncode}")
        return process

    def start(self):
        if self.pid():
            return
        STATE.mkdir(exist_ok=True)
        self._folders("/var/lib", self.all("StateDirectory"), self.one("StateDirectoryMode", "0755"))
        self._folders("/run", self.all("RuntimeDirectory"), self.one("RuntimeDirectoryMode", "0755"))
        env = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": self.entry.pw_dir, "USER": self.user,
               **self._credentials()}
        for command in self.settings.get("ExecStartPre", []):
            self._run(command, env, wait=True)
        path = STATE / f"{self.name}.notify"
        path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.bind(str(path))
            path.chmod(0o666)
            process = self._run(self.one("ExecStart"), dict(env, NOTIFY_SOCKET=str(path)), wait=False)
            self.pid_file.write_text(str(process.pid))
            if self.one("Type") == "notify":
                self._wait_ready(sock, process)

    def _wait_ready(self, sock, process):
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and process.poll() is None:
            if select.select([sock], [], [], 0.1)[0] and b"READY=1" in sock.recv(4096).split(b"\n"):
                return
        sys.exit(f"{self.name} did not become ready:\n{self.log.read_text()[-4000:]}")

    def stop(self):
        pid = self.pid()
        if pid:
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + PATIENCE
        while self.pid():
            if time.monotonic() > deadline:
                sys.exit(f"{self.name} does not end")
            time.sleep(0.02)

    def reload(self):
        pid = self.pid()
        if not pid:
            sys.exit(f"{self.name} is not active")
        self._run(self.one("ExecReload").replace("$MAINPID", str(pid)), {"PATH": os.environ["PATH"]}, wait=True)


def main():
    words = [word for word in sys.argv[1:] if word != "--now"]
    if words == ["daemon-reload"]:
        return
    command, name = words
    unit = Unit(name)
    if command in ("stop", "restart"):
        unit.stop()
    if command in ("start", "restart") or command == "enable" and "--now" in sys.argv:
        unit.start()
    elif command == "reload":
        unit.reload()
    elif command == "is-active":
        print("active" if unit.pid() else "inactive")
        sys.exit(0 if unit.pid() else 3)
    elif command != "stop":
        sys.exit(f"unknown command {command}")


if __name__ == "__main__":
    main()
