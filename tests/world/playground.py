#!/usr/bin/env python3
"""make playground: the whole world in the foreground until interrupted, or around one command (RUN)."""
import os
import select
import sys

from mainjob import MainJob, enrol, keys, publish, sign
from processes import WorldError, running
from world import ACCOUNTS, DOMAIN, PASSWORD, Failed, World, chosen_server, interruptible, say

TALK = """
playground: ready. juliet is enrolled and online through her agent; her keys are published and cross-signed.

  export SIGNET_SOCK={sock}
  export SOFTHSM2_CONF={softhsm}
  {run}{dir}/bin/signet status

  server    {kind}, {host}:{port} (STARTTLS), {direct} (direct TLS), domain {domain}, trust {cafile}
  accounts  {accounts}; password '{password}'; juliet and romeo are contacts, benvolio is a stranger
  token     'juliet', user PIN {pin}
  logs      {dir}/log/

Ctrl-C stops and removes everything."""


def prepare(world):
    """Everything up to juliet online with her keys published."""
    say("playground: server, authority, token and agent are being started …")
    world.up()
    job = MainJob(world)
    job.start()
    for step in (keys, enrol, sign, publish):
        step(job)
    return world.playground_env(job.juliet_env)


def run(world, env, command):
    """Runs the command as the ordinary user with our standard streams; gives its exit status."""
    here = os.getcwd()
    probe = world.popen(["test", "-x", here], env)
    cwd = here if probe.wait() == 0 else world.dir
    popen = world.popen(["sh", "-c", command], env, cwd=cwd, stdin=None, start_new_session=False)
    while True:
        try:
            status = popen.wait()
            return status if status >= 0 else 128 - status
        except KeyboardInterrupt:
            continue  # the command got it too; it decides


def as_user(world):
    """What a command must begin with to run as the agent's user; the agent talks to nobody else."""
    if os.geteuid() == world.uid:
        return ""
    return f"setpriv --reuid={world.uid} --regid={world.gid} --clear-groups "


def ancestry():
    """Our parent and its parent: make, and who called it."""
    parents = {pid: parent for pid, parent, _ in running()}
    return os.getppid(), parents.get(os.getppid())


def wait():
    """Until interrupted, our terminal is closed, or who called us is gone."""
    terminal = select.poll()
    for fd in (0, 1, 2):
        if os.isatty(fd):
            terminal.register(fd, 0)  # a hang-up is always reported
    callers = ancestry()
    while not terminal.poll(1000) and ancestry() == callers:
        pass


def play(world, command):
    """The world comes up, and the command runs or the person is told how to talk to it."""
    env = prepare(world)
    if command:
        return run(world, env, command)
    say(TALK.format(sock=env["SIGNET_SOCK"], softhsm=env["SOFTHSM2_CONF"], dir=world.dir, run=as_user(world),
                    kind=world.kind, host="127.0.0.1", port=world.c2s_port, direct=world.direct_port, domain=DOMAIN,
                    cafile=world.cafile, accounts=", ".join(ACCOUNTS), password=PASSWORD, pin=world.pin))
    wait()
    return 0


def main():
    interruptible()
    command = os.environ.get("RUN", "")
    try:
        with World(alone=True, server=chosen_server(), ca="rsa3072") as world:
            return play(world, command)
    except KeyboardInterrupt:
        say("playground: stopped")
        return 0 if not command else 130
    except (WorldError, Failed, AssertionError) as why:
        say(f"playground: {why}")
        return 1


if __name__ == "__main__":
    sys.exit(main())
