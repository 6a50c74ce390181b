"""The real pcscd, as a private process of an ordinary user, with vpcd's driver for our reader.

It gets its socket as systemd hands one over, so that it needs no folder of the system's; clients find it by
PCSCLITE_CSOCK_NAME.
"""
import contextlib
import os
import signal
import socket
import subprocess
from pathlib import Path

from processes import LIBC, PR_SET_PDEATHSIG, Process, WorldError

DRIVER = "/usr/lib/pcsc/drivers/serial/libifdvpcd.so"
# ykcs11 takes no reader that is not called so.
NAME = "Yubico YubiKey OTP+FIDO+CCID"


class Pcscd:
    """At the path of its socket."""

    def __init__(self, folder, port):
        self.path, self.config, self.process = folder / "pcscd.comm", folder / "readers", None
        for needed in ("/usr/sbin/pcscd", DRIVER):
            if not Path(needed).exists():
                raise WorldError(f"{needed} is missing: run 'make deps-token'")
        self.config.mkdir(exist_ok=True)
        (self.config / "virtual").write_text(f'FRIENDLYNAME "{NAME}"\nDEVICENAME /dev/null:0x{port:X}\n'
                                             f"LIBPATH {DRIVER}\nCHANNELID 0x{port:X}\n")

    @contextlib.contextmanager
    def notices(self, text, expected=True):
        """Waits until pcscd has told by this text of what is done inside; if it runs, and that is expected."""
        mark = self.process.mark() if self.process is not None else 0
        yield
        if expected and self.process is not None:
            self.process.wait_line(text, since=mark)

    def start(self, with_card=False):
        """Waits until clients are served, and until a card that is there has been seen."""
        if self.process is not None:
            return
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(self.path))
            listener.listen(64)
            self.path.chmod(0o777)

            def hand_over():
                LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
                os.dup2(listener.fileno(), 3)
                os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
                os.execv("/usr/sbin/pcscd", ["pcscd", "-f", "-i", "-c", str(self.config)])
            popen = subprocess.Popen(["pcscd"], preexec_fn=hand_over, close_fds=False, stdin=subprocess.DEVNULL,
                                     stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.process = Process("pcscd", popen, self.config.parent / "pcscd.log")
        self.process.wait_line("daemon ready")
        if with_card:  # it is there at pcscd's first look, or comes after it
            self.process.wait_line("Card inserted into|Card ATR:")

    def stop(self):
        if self.process is not None:
            self.path.unlink()
            self.process.stop()
            self.process = None
