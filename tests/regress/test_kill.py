"""kill -9 of every process of the agent, between calls and in the middle of one."""
import json
import os
import signal
import subprocess
import time

import pytest

from mainjob import MainJob, enrol, keys, publish, sign
from world import World, running


@pytest.fixture(scope="module")
def job():
    """Juliet enrolled, online and published."""
    if os.geteuid() != 0:
        pytest.skip("only root finds the processes of the agent")
    with World() as world:
        world.up()
        job = MainJob(world)
        job.start()
        for step in (keys, enrol, sign, publish):
            step(job)
        yield job


def pid_of(job, program):
    """The process of juliet's agent that runs the program."""
    for pid, parent, _ in running():
        try:
            if os.readlink(f"/proc/{pid}/exe") == f"{job.world.dir}/bin/{program}" and \
                    parent == job.world.agents["juliet"].popen.pid:
                return pid
        except OSError:
            continue
    raise AssertionError(f"no {program} runs")


def call_and_kill(job, program, *args):
    """Stops the worker, makes the call, kills the worker in the middle of it; gives status and error."""
    pid = pid_of(job, program)
    os.kill(pid, signal.SIGSTOP)
    call = job.world.popen(["signet", "--batch", "--json", *args], job.juliet_env, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, text=True)
    wait_asleep(call.pid)
    os.kill(pid, signal.SIGKILL)
    out, err = call.communicate(timeout=30)
    return call.returncode, json.loads(out) if out else err


def wait_asleep(pid):
    """Until the process waits in recvmsg or poll for the agent's answer."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
            state = stat.read().rpartition(")")[2].split()[0]
        if state == "S":
            time.sleep(0.2)  # asleep twice in a row: not just on its way
            with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
                if stat.read().rpartition(")")[2].split()[0] == "S":
                    return
        time.sleep(0.02)
    raise AssertionError("the call never waited")


@pytest.mark.parametrize("program, args", [
    ("signet-token", ("csr", "client", "juliet@xmpp.test")),
    ("signet-token", ("key", "list")),
    ("signet-xmpp", ("cert", "list", "juliet@xmpp.test")),
    ("signet-xmpp", ("keyring", "fetch", "juliet@xmpp.test")),
])
def test_the_running_call_says_so_and_the_next_one_works(job, program, args):
    job.signet(job.juliet_env, "cert", "list", job.juliet)  # both workers run, the account is online
    status, error = call_and_kill(job, program, *args)
    assert status == 5 and error["error"] == "WorkerDied", error
    assert program in error["parameters"]["message"]
    job.signet(job.juliet_env, *args)


@pytest.mark.parametrize("program", ["signet-token", "signet-xmpp"])
def test_killed_between_calls_nobody_notices(job, program):
    job.signet(job.juliet_env, "cert", "list", job.juliet)
    os.kill(pid_of(job, program), signal.SIGKILL)
    listed = job.signet(job.juliet_env, "cert", "list", job.juliet)["certificates"]
    assert [c["own"] for c in listed] == [True]
    job.signet(job.juliet_env, "csr", "client", job.juliet)


def test_the_agent_killed_keeps_its_accounts(job):
    agent = job.world.agents["juliet"]
    agent.stop(signal.SIGKILL)
    job.world.start_agent("juliet", job.juliet_env)
    account = job.signet(job.juliet_env, "account", "connect", job.juliet)["account"]
    assert account["mechanism"] == "EXTERNAL"
    key = job.signet(job.juliet_env, "publish", job.juliet)["keys"]
    assert len(key) == 2
