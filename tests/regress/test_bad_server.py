"""Servers and authorities that do not do what they should: what the agent makes of it (C1, C4)."""
import json

import pytest

from certificates import make_key
from mainjob import MainJob, keys
from processes import PATIENCE
from rogue_authority import Rogue, issued, result
from world import DOMAIN, World

JULIET = f"juliet@{DOMAIN}"


@pytest.fixture(scope="module")
def job():
    """The world without its authority, and juliet with her keys."""
    with World() as world:
        world.make_pki()
        world.make_authority()
        world.make_server()
        world.start_server()
        job = MainJob(world)
        job.start()
        keys(job)
        yield job


@pytest.fixture(scope="module")
def rogue(job):
    """The component in the authority's place, from the first test that wants it."""
    rogue = Rogue(job.world)
    rogue.start()
    assert rogue.ready.wait(PATIENCE)
    yield rogue
    rogue.stop()


def enrol(job):
    """Tries to enrol; gives the error, after checking that nothing was kept."""
    status, out, err = job.world.signet(job.juliet_env, "--json", "enrol", JULIET, "--key", job.client_key,
                                        "--password-file", job.world.dir / "password", check=False)
    assert status != 0
    assert job.signet(job.juliet_env, "key", "show", job.client_key)["certificates"] == []
    assert job.signet(job.juliet_env, "account", "show", JULIET)["account"]["certificate"] is None
    return json.loads(out.strip().splitlines()[-1] if not out.lstrip().startswith("{\n") else out), err


def test_ccm2_missing_is_named_before_anything_is_sent(job):
    error, _ = enrol(job)
    assert error["error"] == "FeatureMissing"
    assert "urn:xmpp:ccm2:add-cert:0" in json.dumps(error)


BAD = {
    "another key": lambda csr: result(issued(make_key("rsa2048").public_key(), [JULIET])),
    "another JID": lambda csr: result(issued(csr.public_key(), [f"romeo@{DOMAIN}"])),
    "two JIDs": lambda csr: result(issued(csr.public_key(), [JULIET, f"romeo@{DOMAIN}"])),
    "no JID": lambda csr: result(issued(csr.public_key(), [])),
    "expired": lambda csr: result(issued(csr.public_key(), [JULIET], days=(-10, -1))),
    "not yet valid": lambda csr: result(issued(csr.public_key(), [JULIET], days=(1, 30))),
    "not Base64": lambda csr: result("%%%%"),
    "not a certificate": lambda csr: result("AAAA"),
    "another element": lambda csr: "<surprise xmlns='urn:example:0'/>",
    "100 KB of it": lambda csr: result("A" * 100000),
}


@pytest.mark.parametrize("what", BAD)
def test_a_wrong_certificate_is_refused_and_nothing_kept(job, rogue, what):
    rogue.answer, rogue.asked = BAD[what], 0
    error, _ = enrol(job)
    assert rogue.asked == 1
    assert error["error"] in ("CertificateRefused", "Malformed", "LimitExceeded"), error
    assert error["parameters"]["message"]


def test_an_untrusted_server_is_refused_and_says_why(job):
    env = job.world.make_agent("distrust", token=False)
    job.world.start_agent("distrust", env)
    job.world.signet(env, "account", "add", JULIET, "--host", "127.0.0.1", "--port", job.world.c2s_port,
                     "--cafile", job.world.dir / "authority/ca.pem")
    status, out, _ = job.world.signet(env, "--json", "account", "connect", JULIET, "--password-file",
                                      job.world.dir / "password", check=False)
    error = json.loads(out)
    assert status == 6 and error["error"] == "TlsFailed", error
    assert "certificate" in error["parameters"]["message"]


def test_a_wrong_password_is_refused(job):
    wrong = job.world.write("wrong-password", "not-it", 0o600)
    job.signet(job.juliet_env, "account", "disconnect", JULIET)
    status, out, _ = job.world.signet(job.juliet_env, "--json", "account", "connect", JULIET, "--password-file",
                                      wrong, check=False)
    assert status == 4 and json.loads(out)["error"] == "LoginRefused", out


def test_no_server_is_a_connect_error(job):
    env = job.world.make_agent("nowhere", token=False)
    job.world.start_agent("nowhere", env)
    job.world.signet(env, "account", "add", JULIET, "--host", "127.0.0.1", "--port", "1")
    status, out, _ = job.world.signet(env, "--json", "account", "connect", JULIET, "--password-file",
                                      job.world.dir / "password", check=False)
    assert status == 6 and json.loads(out)["error"] == "ConnectFailed", out
