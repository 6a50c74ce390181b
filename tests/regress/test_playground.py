"""make playground as a person calls it: its environment, its exit status, and that nothing stays."""
import contextlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from processes import PATIENCE, running, until
from world import SERVERS, TOP

PLAYGROUND = [sys.executable, TOP / "tests/world/playground.py"]
pytestmark = pytest.mark.parametrize("kind", sorted(SERVERS))


def play(command, kind):
    """Runs the playground around the command."""
    return subprocess.run(PLAYGROUND, env=dict(os.environ, RUN=command, SERVER=kind), capture_output=True, text=True,
                          timeout=5 * PATIENCE)


def left(folder):
    """Processes whose program lies in the folder, or that stand in it."""
    found = []
    for pid, _, _ in running():
        with contextlib.suppress(OSError):
            if any(os.readlink(f"/proc/{pid}/{link}").startswith(folder) for link in ("exe", "cwd")):
                found.append(pid)
    return found


def test_run_sees_the_world_and_its_status_is_ours(kind):
    done = play('signet status --json && id -u && env && exit 7', kind)
    assert done.returncode == 7, done.stderr
    assert '"state": "online"' in done.stdout and '"mechanism": "EXTERNAL"' in done.stdout
    if os.geteuid() == 0:
        assert "\n0\n" not in done.stdout
    found = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    for name in ("SIGNET_SOCK", "PLAYGROUND_HOST", "PLAYGROUND_PORT", "PLAYGROUND_DOMAIN", "PLAYGROUND_CAFILE",
                 "PLAYGROUND_PIN", "PLAYGROUND_PASSWORD", "PLAYGROUND_DIR"):
        assert found.get(name), name
    assert found["PLAYGROUND_SERVER"] == kind
    assert not Path(found["PLAYGROUND_DIR"]).exists()
    assert left(found["PLAYGROUND_DIR"]) == []


@contextlib.contextmanager
def played(kind):
    """The playground in the foreground, ready, and its folder."""
    env = {k: v for k, v in os.environ.items() if k != "RUN"} | {"SERVER": kind}
    proc = subprocess.Popen(PLAYGROUND, env=env, stderr=subprocess.PIPE, text=True, start_new_session=True)
    folder = None
    for line in proc.stderr:
        if "export SIGNET_SOCK=" in line:
            folder = line.partition("=")[2].partition("/agent-")[0]
        if "Ctrl-C stops" in line:
            break
    assert folder and Path(folder).exists()
    assert len(left(folder)) >= 5  # server, authority and its worker, agent and its workers
    yield proc, folder
    proc.stderr.close()
    until(lambda: left(folder) == [], "something still runs")


def test_interrupt_stops_and_removes_everything(kind):
    with played(kind) as (proc, folder):
        os.killpg(proc.pid, signal.SIGINT)
        assert proc.wait(PATIENCE) == 0
    assert not Path(folder).exists()


def test_killed_it_leaves_no_process(kind):
    with played(kind) as (proc, folder):
        proc.kill()
        proc.wait(PATIENCE)
    shutil.rmtree(folder)
