"""Who may touch what, seen from outside through /proc while the main job runs."""
import os
import re
import secrets
import subprocess
import threading
from pathlib import Path

import pytest

from mainjob import STEPS, MainJob
from processes import PATIENCE, running
from world import World

MAPPING_MAX = 1 << 28  # only the shadow memory of a sanitizer is larger
WORKERS = ("signetd", "signet-token", "signet-xmpp")


class Watch(threading.Thread):
    """Looks at every process of the agents, again and again, until told to stop."""

    def __init__(self, world):
        super().__init__(daemon=True)
        self.world, self.enough = world, threading.Event()
        self.round, self.rounds = threading.Condition(), 0
        self.seen, self.maps, self.internet, self.pin_in = set(), {}, set(), set()
        self.starting, self.guarded, self.dumpable = set(), set(), set()

    def run(self):
        while not self.enough.is_set():
            with self.round:
                self.rounds += 1
                self.round.notify_all()
            for pid, _, _ in running():
                try:
                    self.look(pid)
                except (OSError, ValueError):
                    continue  # it ended while we looked

    def whole_round(self):
        """Waits until every process that is there now has been looked at."""
        with self.round:
            last = self.rounds + 2
            assert self.round.wait_for(lambda: self.rounds >= last, PATIENCE)

    def look(self, pid):
        exe = os.readlink(f"/proc/{pid}/exe")
        if not exe.startswith(f"{self.world.dir}/bin/"):
            return
        name = os.path.basename(exe)
        maps = Path(f"/proc/{pid}/maps").read_text()
        self.seen.add(name)
        self.maps.setdefault(name, set()).update(re.findall(r"/\S+\.so\S*", maps))
        if self.has_internet_socket(pid):
            self.internet.add(name)
        self.see_dumpable(name, pid)
        if self.has_pin(pid, maps):
            self.pin_in.add(name)

    def see_dumpable(self, name, pid):
        """Until a program has come to its first lines it is dumpable: later it must not be, nor once more."""
        if os.stat(f"/proc/{pid}/environ").st_uid == 0:
            self.starting.discard((name, pid))
            self.guarded.add((name, pid))
        elif name in WORKERS:
            (self.dumpable if (name, pid) in self.guarded else self.starting).add((name, pid))

    @staticmethod
    def has_internet_socket(pid):
        """Whether one of the process's sockets stands in the tables of TCP and UDP."""
        inodes = {m[1] for fd in os.listdir(f"/proc/{pid}/fd")
                  if (m := re.match(r"socket:\[(\d+)\]", os.readlink(f"/proc/{pid}/fd/{fd}")))}
        for table in ("tcp", "tcp6", "udp", "udp6"):
            path = Path(f"/proc/{pid}/net/{table}")
            if path.exists() and inodes & {line.split()[9] for line in path.read_text().splitlines()[1:]}:
                return True
        return False

    def has_pin(self, pid, maps):
        """Whether the PIN stands anywhere in the process's writable memory."""
        with open(f"/proc/{pid}/mem", "rb", buffering=0) as mem:
            for start, end in re.findall(r"^([0-9a-f]+)-([0-9a-f]+) rw", maps, re.M):
                start, end = int(start, 16), int(end, 16)
                if end - start > MAPPING_MAX:
                    continue
                try:
                    mem.seek(start)
                    if self.world.pin.encode() in mem.read(end - start):
                        return True
                except OSError:
                    continue
        return False


@pytest.fixture(scope="module")
def watched():
    """The main job, watched from its first step to its last."""
    if os.geteuid() != 0:
        pytest.skip("only root sees into our processes")
    with World(pin=secrets.token_hex(12)) as world:
        world.up()
        job = MainJob(world)
        job.start()
        job.start_romeo()
        watch = Watch(world)
        watch.start()
        job.watch = watch
        for step in STEPS[:-1]:
            step(job)
        watch.whole_round()
        yield job
        watch.enough.set()
        watch.join()


def pids(world, name):
    """The processes of that program in this world."""
    for pid, _, _ in running():
        try:
            if os.readlink(f"/proc/{pid}/exe") == f"{world.dir}/bin/{name}":
                yield pid
        except OSError:
            continue


def test_all_programs_were_seen(watched):
    assert set(WORKERS) <= watched.watch.seen


def test_only_the_token_worker_maps_a_pkcs11_module(watched):
    """libpq brings libp11-kit by way of GnuTLS, which loads no module by itself."""
    for name, libraries in watched.watch.maps.items():
        modules = [x for x in libraries if re.search(r"softhsm|pkcs11|p11-kit|libp11", x)
                   and not (name == "signet-authority" and "/libp11-kit.so" in x)]
        assert bool(modules) == (name == "signet-token"), (name, modules)


def test_only_the_xmpp_worker_maps_libstrophe(watched):
    for name in ("signetd", "signet-token", "signet"):
        assert not [x for x in watched.watch.maps.get(name, ()) if "strophe" in x]


def test_broker_and_token_worker_hold_no_internet_socket(watched):
    assert "signet-xmpp" in watched.watch.internet, "the look itself must be able to see one"
    assert not {"signetd", "signet-token"} & watched.watch.internet


def test_no_process_is_dumpable(watched):
    """/proc/PID/environ belongs to root just when the process is not dumpable (proc(5))."""
    watched.watch.whole_round()
    assert not watched.watch.dumpable and not watched.watch.starting
    assert {name for name, _ in watched.watch.guarded} >= set(WORKERS)


def test_no_process_can_be_traced_by_its_own_user(watched):
    world = watched.world
    for name in WORKERS:
        pid = next(pids(world, name))
        proc = world.popen(["strace", "-p", str(pid)], stderr=subprocess.PIPE, text=True)
        err = proc.communicate(timeout=PATIENCE)[1]
        assert "Operation not permitted" in err, (name, err)


def test_no_process_dumps_core(watched):
    for name in WORKERS:
        limits = Path(f"/proc/{next(pids(watched.world, name))}/limits").read_text()
        assert re.search(r"Max core file size\s+0\s+0\s", limits), (name, limits)


def test_the_pin_is_in_no_process_but_the_token_worker(watched):
    assert not watched.watch.pin_in - {"signet-token"}


def test_the_search_for_the_pin_can_find_one(watched):
    """A process that holds it is found, so that finding none says something."""
    text = watched.world.pin
    proc = watched.world.popen(["python3", "-c", "import sys; x = sys.stdin.read(); print(flush=True); "
                                "sys.stdin = open('/dev/null'); import time; time.sleep(60)"],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    proc.stdin.write(text)
    proc.stdin.close()
    proc.stdout.readline()
    maps = Path(f"/proc/{proc.pid}/maps").read_text()
    assert watched.watch.has_pin(proc.pid, maps)
    proc.kill()
    proc.wait()


def test_the_pin_is_in_no_log_and_no_state(watched):
    world = watched.world
    for path in list(world.dir.glob("log/*")) + list(world.dir.glob("agent-*/state/**/*")):
        if path.is_file():
            assert world.pin.encode() not in path.read_bytes(), path
