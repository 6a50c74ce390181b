#!/usr/bin/env python3
"""make demo: the main job on real parts, one line a step, its artifacts below build/demo/."""
import os
import shutil
import sys
import time

from mainjob import STEPS, MainJob
from world import TOP, Failed, World, WorldError, say


def prepare(job):
    """The parts come up, each with its line."""
    world = job.world
    world.make_pki()
    world.make_authority()
    print("demo: authority's CA key and certificate made on a SoftHSM token of its own")
    world.make_prosody()
    world.start_prosody()
    print(f"demo: private Prosody on 127.0.0.1:{world.c2s_port} with TLS, accounts {', '.join(world.accounts)}")
    world.start_authority()
    print("demo: authority connected as component, ccm2 delegated to it")
    job.start()
    print("demo: juliet's SoftHSM token made, her agent started", flush=True)


def keep(job, folder):
    """Copies the artifacts to where the person looks for them."""
    for path in job.out.iterdir():
        shutil.copyfile(path, folder / path.name)
    source = job.world.dir / "agent-juliet/token"
    shutil.copytree(source / "tokens", folder / "tokens")
    text = (source / "softhsm2.conf").read_text()
    (folder / "softhsm2.conf").write_text(text.replace(str(source), str(folder)))


def main():
    folder = TOP / "build/demo"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    started = time.monotonic()
    passed = failed = 0
    try:
        with World() as world:
            job = MainJob(world)
            prepare(job)
            for number, step in enumerate(STEPS, 1):
                if step.__name__ == "fetch":
                    job.start_romeo()
                try:
                    print(f"demo: {number} {step.__name__}: {step(job)}", flush=True)
                    passed += 1
                except (AssertionError, Failed, KeyError) as why:
                    print(f"demo: {number} {step.__name__}: FAILED: {why}", flush=True)
                    failed += 1
                    break
            for process in world.agents.values():
                process.stop()
            keep(job, folder)
    except WorldError as why:
        say(f"demo: {why}")
        failed += 1
    failed = max(failed, len(STEPS) - passed)
    print(f"demo: {time.monotonic() - started:.1f} s; csr.der, certificate.der, ca.der, user-certificate.der, "
          f"keyinfo.xml and softhsm2.conf (user PIN 1234) are in {os.path.relpath(folder)}/")
    print(f"demo: {passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
