#!/usr/bin/env python3
"""make demo: the main job on real parts, one line a step, its artifacts below build/demo/."""
import os
import shutil
import sys
import time

from mainjob import STEPS, MainJob
from processes import WorldError
from world import TOP, Failed, World, chosen_server, interruptible, say


def prepare(job):
    """The parts come up, each with its line."""
    world = job.world
    world.make_pki()
    world.make_authority()
    print("demo: authority's CA key and certificate made on a SoftHSM token of its own")
    world.make_server()
    world.start_server()
    print(f"demo: private {world.kind} on 127.0.0.1:{world.c2s_port} with TLS, accounts {', '.join(world.accounts)}")
    world.start_authority()
    print("demo: authority connected as component, ccm2 delegated to it")
    job.start()
    print("demo: juliet's SoftHSM token made, her agent started", flush=True)


def keep(job, folder):
    """Copies the artifacts to where the person looks for them."""
    for path in job.out.iterdir():
        shutil.copyfile(path, folder / path.name)
    source = job.world.dir / "agent-juliet/token"
    if not source.exists():
        return
    shutil.copytree(source / "tokens", folder / "tokens")
    text = (source / "softhsm2.conf").read_text()
    (folder / "softhsm2.conf").write_text(text.replace(str(source), str(folder)))


def show(job):
    """All steps; gives how many passed."""
    for number, step in enumerate(STEPS, 1):
        try:
            if step.__name__ == "fetch":
                job.start_romeo()
            print(f"demo: {number} {step.__name__}: {step(job)}", flush=True)
        except (AssertionError, Failed, LookupError, ValueError) as why:
            print(f"demo: {number} {step.__name__}: FAILED: {why}", flush=True)
            return number - 1
    return len(STEPS)


def run(folder):
    """The world, the steps, and what is kept of them; gives how many passed."""
    with World(alone=True, server=chosen_server(), ca="rsa3072") as world:
        job = MainJob(world)
        prepare(job)
        try:
            return show(job)
        finally:
            for process in world.agents.values():
                process.stop()
            keep(job, folder)


def main():
    interruptible()
    folder = TOP / "build/demo"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    started = time.monotonic()
    passed = 0
    try:
        passed = run(folder)
    except KeyboardInterrupt:
        say("demo: interrupted")
    except (WorldError, Failed, OSError) as why:
        say(f"demo: {why}")
    print(f"demo: {time.monotonic() - started:.1f} s; in {os.path.relpath(folder)}/ (user PIN 1234): "
          f"{', '.join(sorted(p.name for p in folder.iterdir())) or 'nothing'}")
    print(f"demo: {passed} passed, {len(STEPS) - passed} failed")
    return 0 if passed == len(STEPS) else 1


if __name__ == "__main__":
    sys.exit(main())
