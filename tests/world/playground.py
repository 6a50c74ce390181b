#!/usr/bin/env python3
"""make playground: the whole world in the foreground until interrupted, or around one command (RUN)."""
import os
import signal
import sys
import threading

from mainjob import MainJob, enrol, keys, publish, sign
from world import ACCOUNTS, DOMAIN, PASSWORD, Failed, World, WorldError, say

TALK = """
playground: ready. juliet is enrolled and online through her agent; her keys are published and cross-signed.

  export SIGNET_SOCK={sock}
  export SOFTHSM2_CONF={softhsm}
  {dir}/bin/signet status                    # run it as the user '{user}'

  server    {host}:{port} (STARTTLS), {direct} (direct TLS), domain {domain}, trust {cafile}
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


def interrupted(*_):
    raise KeyboardInterrupt


def main():
    signal.signal(signal.SIGTERM, interrupted)
    signal.signal(signal.SIGHUP, interrupted)
    command = os.environ.get("RUN", "")
    try:
        with World() as world:
            env = prepare(world)
            if command:
                return run(world, env, command)
            say(TALK.format(sock=env["SIGNET_SOCK"], softhsm=env["SOFTHSM2_CONF"], dir=world.dir,
                            user=world.uid, host="127.0.0.1", port=world.c2s_port, direct=world.direct_port,
                            domain=DOMAIN, cafile=world.cafile, accounts=", ".join(ACCOUNTS),
                            password=PASSWORD, pin=world.pin))
            threading.Event().wait()
    except KeyboardInterrupt:
        say("playground: stopped")
        return 0 if not command else 130
    except (WorldError, Failed, AssertionError) as why:
        say(f"playground: {why}")
        return 1


if __name__ == "__main__":
    sys.exit(main())
