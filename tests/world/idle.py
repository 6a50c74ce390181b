#!/usr/bin/env python3
"""make idle: an agent with one account online and nobody calling, watched by strace for 30 s.

Counts the system calls of signetd, signet-token and signet-xmpp. What the server sends wakes
signet-xmpp; anything else is a defect and fails.
"""
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

from playground import prepare
from processes import running, wait_idle
from world import World

SECONDS = int(os.environ.get("IDLE_SECONDS", "30"))


def agent_processes(world):
    """pid -> name of the agent's processes, by the first word of their command line."""
    agent = world.agents["juliet"].popen.pid
    found = {}
    for pid, parent, _ in running():
        if agent in (pid, parent):
            found[pid] = os.path.basename(Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode())
    return found


def count(world, env, processes):
    """The system calls of the processes during the quiet time, as strace's lines, and how many one call
    of ours makes afterwards: none then would mean that the watch is blind."""
    wait_idle(*processes, seconds=1)  # what the last call of ours left behind
    args = [a for pid in processes for a in ("-p", str(pid))]
    strace = subprocess.Popen(["strace", "-f", "-qq", "-e", "signal=none", *args], stderr=subprocess.PIPE, text=True)
    lines = []
    reader = threading.Thread(target=lambda: lines.extend(strace.stderr), daemon=True)
    reader.start()
    time.sleep(SECONDS)
    quiet = list(lines)
    world.signet(env, "status")
    strace.terminate()
    strace.wait()
    reader.join()
    return calls_of(quiet), len(lines) - len(quiet)


def calls_of(lines):
    """The lines that are calls made: the first of each thread is the one it sat in when strace came."""
    seen, calls = set(), []
    for line in lines:
        pid = re.match(r"\[pid\s+(\d+)\]", line)
        key = pid[1] if pid else "only"
        if key in seen and "strace: Process" not in line:
            calls.append(line.rstrip())
        seen.add(key)
    return calls


def main():
    if os.geteuid() != 0:
        print("idle: strace may look at our processes only as root: run 'sudo make idle'", file=sys.stderr)
        return 1
    with World(alone=True, ca="rsa3072") as world:
        env = prepare(world)
        processes = agent_processes(world)
        expected = {"signetd", "signet-token", "signet-xmpp"}
        if not expected <= set(processes.values()):
            print(f"idle: processes found: {processes}")
            return 1
        calls, awake = count(world, env, processes)
        for line in calls[:40]:
            print(f"idle: {line}")
        print(f"idle: {len(calls)} system calls in {SECONDS} s by {', '.join(sorted(processes.values()))}")
        print(f"idle: {awake} calls for one 'signet status' after that")
        return 1 if calls or not awake else 0


if __name__ == "__main__":
    sys.exit(main())
