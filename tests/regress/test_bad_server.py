"""Servers that do not do what they should: what the agent makes of it. Of authorities: test_ccm2_agent.py."""
import json

import pytest

from mainjob import MainJob, keys
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
