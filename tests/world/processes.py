"""Processes: what they say is kept and waited for; they are found, watched and ended. Only the standard library."""
import collections
import contextlib
import ctypes
import os
import pwd
import random
import re
import select
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

# What is sure to come may take this long (s): a slow machine only makes a test longer, not fail.
PATIENCE = 120
# What a server delegates to the authority.
CCM2 = tuple(f"urn:xmpp:ccm2:{name}:0" for name in ("add-cert", "list-certs", "revoke-cert"))
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
LIBC = ctypes.CDLL(None, use_errno=True)


class WorldError(Exception):
    """Something of the world did not come up; the message names the log to read."""


def until(check, never="never so", patience=PATIENCE):
    """Asks again and again until there is something, and gives it; for what has no event that we could see. It asks for a
    third of the time at most: others have work to do."""
    asked = time.monotonic()
    deadline = asked + patience
    while not (found := check()):
        now = time.monotonic()
        if now > deadline:
            raise WorldError(never)
        time.sleep(max(0.02, 2 * (now - asked)))
        asked = time.monotonic()
    return found


class Process:
    """A long-running process whose output is kept, by line, and can be waited on.

    popen has one pipe, for what is kept. lines: where to go on, for a process in the place of one that ended.
    log_path: a file to keep the output in as well.
    """

    def __init__(self, name, popen, log_path=os.devnull, lines=None):
        self.name, self.popen, self.stop_signal = name, popen, signal.SIGTERM
        self.lines, self.rest, self.ended = [] if lines is None else lines, b"", False
        self.pipe, self.log = popen.stdout or popen.stderr, open(log_path, "ab")
        self.news = threading.Condition()  # protects lines, rest and ended
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        poll = select.poll()
        poll.register(self.pipe, select.POLLIN)
        while not self.ended:
            poll.poll()
            with self.news:
                self._take()
        self.pipe.close()
        self.log.close()

    def _take(self):
        """Keeps what can be read at once; only for who holds the lock."""
        poll = select.poll()
        if not self.ended:
            poll.register(self.pipe, select.POLLIN)
        while not self.ended and poll.poll(0):
            data = os.read(self.pipe.fileno(), 1 << 16)
            self.log.write(data)
            self.log.flush()
            *lines, self.rest = (self.rest + data).split(b"\n")
            if not data:
                lines, self.rest, self.ended = [self.rest], b"", True
            self.lines += [line.decode(errors="replace") + "\n" for line in lines]
            self.news.notify_all()

    def said(self, since=0):
        """All lines from this mark on that have been written by now."""
        with self.news:
            self._take()
            return self.lines[since:]

    def mark(self):
        """A position in the output: wait_line(since=mark) sees only what comes later."""
        return len(self.said())

    def count(self, text):
        """How many lines hold the text."""
        return sum(text in line for line in self.said())

    def last(self):
        """The last lines, to tell a person."""
        return "".join(self.said()[-15:])

    def wait_line(self, pattern, since=0, patience=PATIENCE):
        """Waits until a line matches; WorldError when the process ends or takes too long."""
        deadline, regex = time.monotonic() + patience, re.compile(pattern)
        with self.news:
            while True:
                while since < len(self.lines):
                    if regex.search(self.lines[since]):
                        return self.lines[since]
                    since += 1
                if self.ended or not self.news.wait(deadline - time.monotonic()):
                    break
        raise WorldError(f"{self.name} never said {pattern!r}:\n{self.last()}")

    def wait_port(self, port):
        """Waits until something listens there; there is no event for that, so it asks."""
        def listens():
            if self.popen.poll() is not None:
                raise WorldError(f"{self.name} ended:\n{self.last()}")
            try:
                socket.create_connection(("127.0.0.1", port), PATIENCE).close()
            except OSError:
                return False
            return True
        until(listens, f"{self.name} does not listen on {port}:\n{self.last()}")

    def stop(self, sig=None):
        """Ends the process, by force when it does not go; returns its exit status."""
        if self.popen.poll() is None:
            self.popen.send_signal(sig or self.stop_signal)
            try:
                self.popen.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()
        self.reader.join(PATIENCE)
        return self.popen.returncode


GIVEN = collections.deque(maxlen=500)  # the last ports: a server of this process may have one, or be about to


def free_ports(count):
    """Loopback ports that are free now, all different, and of those that nobody gets without asking for them.

    None of the last ones is given again: whose it is may not listen yet, or just now not. Tests that run side by side
    have ports of their own to choose from: nobody takes one before its server does.
    """
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    low = 10000 if first > 12000 else 1024
    sides = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    side = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % sides
    share = (max(first, low + 10000) - low) // sides
    socks = []
    while len(socks) < count:
        port = low + side * share + random.randrange(share)
        if port in GIVEN:
            continue
        try:
            socks.append(socket.create_server(("127.0.0.1", port)))
        except OSError:
            continue
        GIVEN.append(port)
    ports = [s.getsockname()[1] for s in socks]
    for sock in socks:
        sock.close()
    return ports


def unignore_signals():
    """What a shell's background or nohup has us ignore is the default for the programs that we start; we go on
    as if we ignored it."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


def ordinary_user():
    """(uid, gid) to run things as: ourselves, or when we are root whoever called sudo, or nobody."""
    if os.geteuid() != 0:
        return os.geteuid(), os.getegid()
    if os.environ.get("SUDO_UID", "0") != "0":
        return int(os.environ["SUDO_UID"]), int(os.environ["SUDO_GID"])
    nobody = pwd.getpwnam("nobody")
    return nobody.pw_uid, nobody.pw_gid


def state(pid):
    """(state, parent, session) of a process as proc(5) has them, or None when there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    letter, parent, _, session = stat.rpartition(")")[2].split()[:4]
    return letter, int(parent), int(session)


def running():
    """(pid, parent, session) of every process that is no zombie; also of those whose other files in /proc
    are closed to us."""
    for folder in Path("/proc").glob("[0-9]*"):
        found = state(folder.name)
        if found is not None and found[0] != "Z":
            yield int(folder.name), *found[1:]


def descendants():
    """Those of running() that we, or those that we started, have started; also whose parent has ended meanwhile."""
    found = {pid: (parent, session) for pid, parent, session in running()}

    def is_foreign(pid):
        while pid in found and pid not in (1, os.getpid()):
            pid = found[pid][0]
        return pid in (0, 1)
    return [(pid, parent, session) for pid, (parent, session) in found.items() if not is_foreign(parent)]


def wait_gone(pid):
    """Until all threads of a process have ended: what is left may be a zombie."""
    def gone():
        try:
            return len(os.listdir(f"/proc/{pid}/task")) == 1 and state(pid)[0] == "Z"
        except (FileNotFoundError, ProcessLookupError, TypeError):
            return True
    until(gone, f"process {pid} is still there")


def suspend(pid):
    """Stops a process, and waits until all its threads stand."""
    os.kill(pid, signal.SIGSTOP)
    until(lambda: set(thread_states(pid)) <= {"T"}, f"process {pid} goes on")


def thread_states(pid):
    """The letters of all threads of a process that have not ended while we looked."""
    return [found[0] for thread in os.listdir(f"/proc/{pid}/task") if (found := state(f"{pid}/task/{thread}"))]


def wakeups(*pids):
    """How often the threads of the processes have been woken up. While that stays the same they make no call."""
    text = ""
    for path in (path for pid in pids for path in Path(f"/proc/{pid}/task").glob("*/status")):
        with contextlib.suppress(OSError):  # of a thread that has just ended
            text += path.read_text()
    return sum(int(n) for n in re.findall(r"voluntary_ctxt_switches:\s*(\d+)", text))


def wait_idle(*pids, seconds=3):
    """Waits until the processes have done nothing at all for so long, whatever they had to do before; and have nothing to
    do: one that only waits for a processor is not idle."""
    def idle():
        before = wakeups(*pids)
        time.sleep(seconds)
        return wakeups(*pids) == before and not any({"R", "D"} & set(thread_states(pid)) for pid in pids)
    until(idle, f"processes {pids} are never idle for {seconds} s")
