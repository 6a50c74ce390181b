"""make playground as a person calls it: its environment, its exit status, and that nothing stays."""
import os
import signal
import subprocess
import sys
from pathlib import Path

from processes import PATIENCE, running, until
from world import TOP

PLAYGROUND = [sys.executable, TOP / "tests/world/playground.py"]


def play(command):
    """Runs the playground around the command."""
    return subprocess.run(PLAYGROUND, env=dict(os.environ, RUN=command), capture_output=True, text=True,
                          timeout=5 * PATIENCE)


def left(folder):
    """Processes whose program lies in the folder."""
    found = []
    for pid, _, _ in running():
        try:
            if os.readlink(f"/proc/{pid}/exe").startswith(folder):
                found.append(pid)
        except OSError:
            continue
    return found


def test_run_sees_the_world_and_its_status_is_ours():
    done = play('signet status --json && id -u && env && exit 7')
    assert done.returncode == 7, done.stderr
    assert '"state": "online"' in done.stdout and '"mechanism": "EXTERNAL"' in done.stdout
    if os.geteuid() == 0:
        assert "\n0\n" not in done.stdout
    found = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    for name in ("SIGNET_SOCK", "PLAYGROUND_HOST", "PLAYGROUND_PORT", "PLAYGROUND_DOMAIN", "PLAYGROUND_CAFILE",
                 "PLAYGROUND_PIN", "PLAYGROUND_DIR"):
        assert found.get(name), name
    assert not Path(found["PLAYGROUND_DIR"]).exists()
    assert left(found["PLAYGROUND_DIR"]) == []


def test_interrupt_stops_and_removes_everything():
    env = {k: v for k, v in os.environ.items() if k != "RUN"}
    proc = subprocess.Popen(PLAYGROUND, env=env, stderr=subprocess.PIPE, text=True, start_new_session=True)
    folder = None
    for line in proc.stderr:
        if "export SIGNET_SOCK=" in line:
            folder = line.partition("=")[2].partition("/agent-")[0]
        if "Ctrl-C stops" in line:
            break
    assert folder and Path(folder).exists()
    os.killpg(proc.pid, signal.SIGINT)
    assert proc.wait(PATIENCE) == 0
    proc.stderr.close()
    until(lambda: left(folder) == [], "something still runs")
    assert not Path(folder).exists()
