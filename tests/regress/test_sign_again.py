"""One certificate signed again and again: each call has its own signature made, and the disk is written once."""
import json
import os
import shutil
import sqlite3
import sys
import time
import xml.etree.ElementTree as ET

import pytest

from certificates import cross_signatures
from mainjob import MainJob, enrol, keys
from world import BUILD, Failed, World

# As the agent's user: it talks to nobody else.
PIPELINED = """
import socket, sys
sock = socket.socket(socket.AF_UNIX)
sock.connect(sys.argv[1])
sock.sendall((sys.argv[2] + chr(0)).encode() * 40)
data = b""
while data.count(0) < 40:
    data += sock.recv(65536)
print(data.decode(), end="")
"""


@pytest.fixture(scope="module", params=["p256", "rsa2048"])
def job(request):
    """An account that has been enrolled."""
    with World() as world:
        world.up()
        job = MainJob(world, request.param)
        job.start()
        keys(job)
        enrol(job)
        job.signet(job.juliet_env, "account", "disconnect", job.juliet)
        yield job


CHECK_S = 0.02  # SG_SIGNING_CHECK_MS


def may_be(job):
    """Verdicts of what was just made: what is not equal to the kept one is not verified each time under load."""
    return {"good"} if job.algorithm == "rsa2048" else {"good", "unchecked"}


def sign(job):
    """method -> value of the signatures in the reply, each verified."""
    key = job.signet(job.juliet_env, "sign", job.juliet)["key"]
    assert {s["verdict"] for s in key["signatures"]} <= may_be(job)
    assert key["grade"] == "sha256" and not key["expired"] and key["jids"] == [job.juliet]
    made = cross_signatures(key, job.user_certificate)
    assert len(made) == len(key["signatures"]) == (2 if job.algorithm == "rsa2048" else 1)
    return made


def store(job):
    """The store's file."""
    return next((job.world.dir / "agent-juliet/state").rglob("*.db"))


def kept(job):
    """method -> value of what the store holds."""
    with sqlite3.connect(f"file:{store(job)}?mode=ro", uri=True) as db:
        return dict(db.execute("SELECT method, value FROM signatures"))


def written(job):
    """What changes whenever the store is written."""
    return [(p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in sorted(store(job).parent.glob("*.db*"))
            if not p.name.endswith("-shm")]


def test_each_call_signs_and_the_first_is_kept(job):
    first = sign(job)
    assert kept(job) == first
    before = written(job)
    again = [sign(job) for _ in range(3)]
    assert written(job) == before
    assert kept(job) == first
    for made in again:
        assert (made == first) == (job.algorithm == "rsa2048"), "ECDSA never gives one value twice"


def test_what_is_kept_and_bad_is_replaced(job):
    first = sign(job)
    job.world.agents["juliet"].stop()
    with sqlite3.connect(store(job)) as db:
        db.execute("UPDATE signatures SET value = ?", (bytes(len(next(iter(first.values())))),))
    job.world.start_agent("juliet", job.juliet_env)
    made = sign(job)
    assert kept(job) == made


def test_pipelined_calls_have_each_their_own_reply(job):
    call = json.dumps({"method": "org.signet.Agent.Sign", "parameters": {"account": job.juliet}})
    started = time.monotonic()
    out = job.world.run(sys.executable, "-c", PIPELINED, job.juliet_env["SIGNET_SOCK"], call)
    took = time.monotonic() - started
    replies = [json.loads(reply) for reply in out.split("\0")[:-1]]
    assert len(replies) == 40
    values = [e.text for r in replies for e in ET.fromstring(r["parameters"]["key"]["keyinfo"]).iter()
              if e.tag.endswith("}value")]
    assert len(values) == 40 * (2 if job.algorithm == "rsa2048" else 1)
    assert len(set(values)) == (2 if job.algorithm == "rsa2048" else 40)
    verdicts = [s["verdict"] for r in replies for s in r["parameters"]["key"]["signatures"]]
    assert set(verdicts) <= may_be(job)
    # No more were verified than there was time for, and of the others the reply does not say that they are good.
    assert job.algorithm == "rsa2048" or verdicts.count("good") <= took / CHECK_S + 2
    for reply in replies:
        cross_signatures(reply["parameters"]["key"], job.user_certificate)


# ---- a token that signs wrongly ----

class Spoiling:
    """The agent's module is wrapped by libsignet-fault.so while the block runs."""

    def __init__(self, job):
        self.job, self.folder = job, job.world.mkdir("spoiling")
        self.conf = job.world.dir / "agent-juliet/config/signet/signet.conf"
        self.env = dict(job.juliet_env, SIGNET_FAULT_MODULE=str(job.world.module),
                        SIGNET_FAULT_SCRIPT=str(self.folder / "script"))

    def __enter__(self):
        wrapper = self.folder / "libsignet-fault.so"
        shutil.copy(BUILD / "lib/libsignet-fault.so", wrapper)
        wrapper.chmod(0o755)
        self.plain = self.conf.read_text()
        self.script("")
        self._start(f"[agent]\nmodule-dirs = {self.folder}\n{self.plain}".replace(str(self.job.world.module), str(wrapper)),
                    self.env)
        return self

    def __exit__(self, *_):
        self._start(self.plain, self.job.juliet_env)

    def _start(self, conf, env):
        world = self.job.world
        world.agents["juliet"].stop()
        world.write(self.conf.relative_to(world.dir), conf, 0o600)
        world.start_agent("juliet", env)

    def script(self, text):
        """What the token does from now on."""
        new = self.job.world.write("spoiling/script.new", text)
        os.rename(new, self.folder / "script")


@pytest.mark.parametrize("is_first", [True, False], ids=["first", "later"])
def test_a_bad_signature_is_an_error_and_not_kept(job, is_first):
    with Spoiling(job) as token:
        if is_first:
            with sqlite3.connect(store(job)) as db:
                db.execute("DELETE FROM signatures")
        else:
            sign(job)
        before = kept(job)
        assert is_first == (before == {})
        token.script("on C_Sign corrupt")
        with pytest.raises(Failed) as failed:
            sign(job)
        error = json.loads(failed.value.out)
        assert error["error"] == "TokenFailed", error
        assert kept(job) == before
        token.script("")
        made = sign(job)
        assert kept(job) == (before or made)
