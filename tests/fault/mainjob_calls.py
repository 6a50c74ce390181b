#!/usr/bin/env python3
"""make fault-mainjob: the whole main job through signetd, with every PKCS#11 call failed once.

    mainjob_calls.py [FIRST [STEP]]

One server and one authority; for each number N from FIRST, in steps of STEP, an agent and a token of their own, and
the N-th call of the token's module fails. Each step of the job then succeeds, or fails with an error that has a name
and succeeds when it is done again; nothing half-done is on the token in between; nothing crashes or hangs. It ends
with the first N that is more calls than the job makes.
"""
import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "world"))

from world import BUILD, DOMAIN, Failed, World, interruptible, say

RESULTS = ("CKR_DEVICE_ERROR", "CKR_GENERAL_ERROR", "CKR_SESSION_HANDLE_INVALID")
JULIET = f"juliet@{DOMAIN}"
# Errors that say more than that something failed; an answer that comes too late or from a dead worker does not count.
UNNAMED = ("InternalError", "WorkerDied", "TimedOut")


class Complaint(Exception):
    """Something did not hold."""


class Job:
    """One run of the main job with an agent of its own."""

    def __init__(self, world, number, result):
        self.world, self.name = world, f"n{number}"
        self.env = world.make_agent(self.name, token=False)
        self.dir = world.dir / f"agent-{self.name}"
        for part in (world.dir / "prepared/tokens").rglob("*"):
            if part.is_file():
                world.install(part, Path(f"agent-{self.name}/tokens") / part.relative_to(world.dir / "prepared/tokens"),
                              0o600)
        for folder in (self.dir / "tokens").iterdir():
            shutil.chown(folder, world.uid, world.gid)
        world.write(f"agent-{self.name}/config/signet/signet.conf", f"""\
[agent]
module-dirs = {world.dir}/lib
[module fault]
path = {world.dir}/lib/libsignet-fault.so
[token juliet]
pin-source = file:{world.dir}/pin
""", 0o600)
        world.write(f"agent-{self.name}/script", f"on any {number} fail {result}\n")
        self.log = self.dir / "calls"
        self.env.update(SIGNET_FAULT_MODULE=world.module, SIGNET_FAULT_SCRIPT=str(self.dir / "script"),
                        SIGNET_FAULT_LOG=str(self.log), SIGNET_FAULT_STATE=str(self.dir / "fault.state"))
        self.agent = world.start_agent(self.name, self.env)
        self.again = []
        self.signet("account", "add", JULIET, "--host", "127.0.0.1", "--port", world.c2s_port, "--cafile", world.cafile)

    def signet(self, *args):
        return json.loads(self.world.signet(self.env, "--json", *args, timeout=60))

    def reached(self):
        return self.log.exists() and "! fail" in self.log.read_text()

    def step(self, work):
        """Does it, and once more when the token failed."""
        try:
            return work()
        except Failed as failed:
            try:
                error = json.loads(failed.out)["error"]
            except (ValueError, KeyError, TypeError):
                raise Complaint(f"{work.__name__}: {failed}") from None
            if error in UNNAMED or not self.reached():
                raise Complaint(f"{work.__name__}: {error}: {failed}") from None
            self.again.append(f"{work.__name__}: {error}")
        self.objects()
        try:
            return work()
        except Failed as failed:
            raise Complaint(f"{work.__name__} fails again after {self.again[-1]}: {failed}") from None

    def objects(self):
        """Whole key pairs, with no certificate that belongs to none; gives how many there are of each."""
        text = self.world.run("pkcs11-tool", "--module", self.world.module, "--login", "--pin", self.world.pin, "-O",
                              env=self.world.env(SOFTHSM2_CONF=self.env["SOFTHSM2_CONF"]))
        found = {"Private Key": [], "Public Key": [], "Certificate": []}
        for kind, rest in re.findall(r"^(Private Key|Public Key|Certificate) Object(.*?)(?=^\S|\Z)", text, re.M | re.S):
            found[kind].append(re.search(r"ID:\s+(\w+)", rest).group(1))
        keys = sorted(found["Private Key"])
        if keys != sorted(found["Public Key"]) or len(set(keys)) != len(keys) or set(found["Certificate"]) - set(keys):
            raise Complaint(f"something half-done is on the token: {found}; {self.again}")
        return len(keys), len(found["Certificate"])

    # ---- the steps

    def made(self, label):
        """The key that a first try has made, or None."""
        keys = [k for k in self.signet("key", "list")["keys"] if k["label"] == label]
        return keys[0] if keys and self.again else None

    def client_key(self):
        self.client = self.made("client") or self.signet(
            "key", "new", "--token", "juliet", "--label", "client", "--algorithm", "p256")["key"]

    def user_key(self):
        made = self.made("user")
        if made is not None and len(made["certificates"]) != 1:
            raise Complaint(f"a user key without a certificate is there: {self.again}")
        if made is None:
            self.signet("key", "new", "--token", "juliet", "--label", "user", "--user", "--account", JULIET,
                        "--algorithm", "p256")

    def csr(self):
        self.signet("csr", self.client["uri"], JULIET)

    def enrol(self):
        self.signet("enrol", JULIET, "--key", self.client["uri"], "--name", f"{self.name}.{len(self.again)}",
                    "--password-file", self.world.dir / "password")

    def login(self):
        self.signet("account", "disconnect", JULIET)
        account = self.signet("account", "connect", JULIET)["account"]
        if account["mechanism"] != "EXTERNAL":
            raise Complaint(f"logged in by {account['mechanism']}")

    def sign(self):
        key = self.signet("sign", JULIET)["key"]
        if [s["verdict"] for s in key["signatures"]] != ["good"]:
            raise Complaint(f"signatures: {key['signatures']}")

    def publish(self):
        if len(self.signet("publish", JULIET)["keys"]) != 2:
            raise Complaint("not both keys are published")

    def revoke(self):
        self.signet("cert", "list", JULIET)
        self.signet("cert", "revoke", JULIET, "current", "--yes")

    def run(self):
        for work in (self.client_key, self.user_key, self.csr, self.enrol, self.login, self.sign, self.publish,
                     self.revoke):
            self.step(work)
        keys, certificates = self.objects()
        if keys != 2 or certificates not in (1, 2):
            raise Complaint(f"{keys} keys and {certificates} certificates are on the token; {self.again}")
        if self.agent.stop() != 0:
            raise Complaint("signetd did not end well")

    def close(self):
        self.agent.stop()
        self.world.processes.remove(self.agent)
        lines = [line for line in self.agent.said() if re.search(r"Sanitizer|runtime error:|killed by signal", line)]
        shutil.rmtree(self.dir, ignore_errors=True)
        if lines:
            raise Complaint("".join(lines))


def one(world, number):
    """Whether there was such a call; raises Complaint."""
    job = Job(world, number, RESULTS[number % len(RESULTS)])
    try:
        job.run()
        return job.reached()
    finally:
        job.close()


def main():
    first = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    step = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    interruptible()
    failed, complaints, start = 0, 0, time.monotonic()
    with World(alone=True, certificates=1000) as world:
        world.up()
        world.install(BUILD / "lib/libsignet-fault.so", "lib/libsignet-fault.so")
        world.make_token("prepared", "juliet")
        number = first
        while True:
            try:
                if not one(world, number):
                    break
            except (Complaint, Failed, subprocess.TimeoutExpired) as why:
                complaints += 1
                say(f"fault-mainjob: call {number}, {RESULTS[number % len(RESULTS)]}: {why}")
            failed += 1
            number += step
    took = time.monotonic() - start
    print(f"fault-mainjob: {number - 1 if step == 1 else f'up to {number - 1}'} calls, {failed} failed once each: "
          f"{'all held' if not complaints else f'{complaints} did not hold'} ({took:.0f} s)")
    return 1 if complaints or failed == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
