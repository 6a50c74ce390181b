"""kill -9 of every process of the agent, between calls and in the middle of one."""
import json
import os
import signal
import subprocess

import pytest

from mainjob import MainJob, enrol, keys, publish, sign
from processes import PATIENCE, running, state, suspend, until, wait_gone, wakeups
from world import World


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
    suspend(pid)
    call = job.world.popen(["signet", "--batch", "--json", *args], job.juliet_env, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, text=True)
    wait_for_worker(job, call.pid)
    os.kill(pid, signal.SIGKILL)
    out, err = call.communicate(timeout=PATIENCE)
    return call.returncode, json.loads(out) if out else err


def wait_for_worker(job, pid):
    """Until the agent has given the call of the process to a worker: all that it can answer without one it has
    answered before it answers us, and the process sleeps on."""
    def waits():
        before = wakeups(pid)
        job.signet(job.juliet_env, "account", "list")
        return state(pid)[0] == "S" and wakeups(pid) == before > 0
    until(waits, "the call never waited")


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
    pid = pid_of(job, program)
    os.kill(pid, signal.SIGKILL)
    wait_gone(pid)
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
