"""Workers that die: what they were really working on fails, and everything else is none the wiser."""
import contextlib
import json
import os
import signal

import pytest

from agent_fixture import Agent
from fault_agent import FaultAgent
from processes import suspend, until, wait_gone
from varlink_client import secret
from world import DOMAIN, PASSWORD, World

JULIET = f"juliet@{DOMAIN}"


def killed_before_a_call_is_read(agent, pid, client, method, parameters):
    """The agent finds the call, and the end of the worker, both at once, and the call first."""
    suspend(agent.popen.pid)
    client.send(method, parameters)
    os.kill(pid, signal.SIGKILL)
    wait_gone(pid)
    os.kill(agent.popen.pid, signal.SIGCONT)


@pytest.mark.parametrize("method", ["ListTokens", "ListKeys", "NewKey"])
def test_a_call_after_the_death_goes_to_the_next_worker(method):
    with Agent() as agent, agent.client() as running, agent.client() as new:
        parameters = {"token": "one", "label": "x"} if method == "NewKey" else {}
        agent.call("ListTokens")
        pid = agent.worker()["pid"]
        suspend(pid)
        running.send("ListKeys")  # which is answered by the worker alone; tokens may be told from memory
        agent.call("ListAccounts")  # that call has been sent on
        killed_before_a_call_is_read(agent, pid, new, method, parameters)
        assert running.error_of_next().name == "WorkerDied"
        if method == "NewKey":
            assert new.error_of_next().name == "PinNeeded"
        else:
            new.receive()
        assert agent.worker()["restarts"] == 1


def test_calls_that_were_never_written_go_to_the_next_worker():
    """More than is given to it at a time: what the dead worker could have seen fails, the rest is answered."""
    with Agent() as agent, contextlib.ExitStack() as stack:
        agent.call("ListTokens")
        pid = agent.worker()["pid"]
        suspend(pid)
        clients = [stack.enter_context(agent.client()) for _ in range(20)]
        for client in clients:
            for _ in range(40):
                client.send("ListKeys", {"selector": "x" * 1000})
        agent.call("ListAccounts")
        os.kill(pid, signal.SIGKILL)
        replies = [client.receive_raw() for client in clients for _ in range(40)]
        died = [r for r in replies if r.get("error", "").endswith(".WorkerDied")]
        answered = [r for r in replies if r.get("parameters") == {"keys": []}]
        assert died and len(answered) > len(died) and len(died) + len(answered) == len(replies)
        assert agent.worker()["restarts"] == 1


def test_a_secret_that_was_never_written_goes_to_the_next_worker():
    """With its descriptor."""
    with Agent() as agent, agent.client() as client, secret("1234") as fd:
        agent.call("ListTokens")
        pid = agent.worker()["pid"]
        with agent.client() as running:
            suspend(pid)
            running.send("ListKeys")
            agent.call("ListAccounts")
            suspend(agent.popen.pid)
            client.send("Unlock", {"token": "one", "pin": {"fd": 0}}, [fd])
            os.kill(pid, signal.SIGKILL)
            wait_gone(pid)
            os.kill(agent.popen.pid, signal.SIGCONT)
            assert running.error_of_next().name == "WorkerDied"
            assert client.receive()["token"]["unlocked"]


def test_a_program_that_is_missing_is_named():
    with World() as world:
        env = world.make_agent("juliet")
        (world.dir / "bin/signet-token").unlink()
        world.start_agent("juliet", env)
        status, out, _ = world.signet(env, "--json", "token", "unlock", "juliet", check=False)
        error = json.loads(out)
        assert status == 1 and error["error"] == "StorageFailed", error
        assert "signet-token for softhsm cannot be started" in error["parameters"]["message"]


def test_a_call_after_the_death_of_a_connection_connects_again():
    with World() as world:
        world.up()
        with Agent() as agent, agent.client() as running, agent.client() as new:
            agent.call("AddAccount", {"jid": JULIET, "host": "127.0.0.1", "port": world.c2s_port,
                                      "cafile": str(world.cafile)})
            agent.unlock("one")
            agent.call("NewKey", {"token": "one", "label": "client", "algorithm": "p256"})
            with secret(PASSWORD) as fd:
                agent.call("Enrol", {"jid": JULIET, "key": "client", "password": {"fd": 0}}, [fd])
            for _ in range(3):
                pid = agent.worker("xmpp")["pid"]
                suspend(pid)
                running.send("ListCertificates", {"jid": JULIET})
                agent.call("ListAccounts")
                killed_before_a_call_is_read(agent, pid, new, "ListCertificates", {"jid": JULIET})
                assert new.receive()["certificates"]
                assert running.error_of_next().name == "WorkerDied"


# ---- callers who leave ----

THREADS = 4  # of signet-token, that may be in a module at a time


@pytest.mark.parametrize(("kind", "begun"), [("removable\n", 1), ("", THREADS)], ids=["reader", "no reader"])
def test_who_leaves_costs_no_signature(kind, begun):
    """Of what signet-token was given, it drops at once what it has not begun; a token in a reader begins one at a
    time, for each may want to be touched."""
    csr = {"key": "x", "jid": "a@b.test"}
    agent = FaultAgent(kind)
    log = agent.dir / "calls"
    agent.env["SIGNET_FAULT_LOG"] = str(log)

    def signatures(how=""):
        return log.read_text().count(f" C_Sign {how}")
    with agent, contextlib.ExitStack() as stack, agent.client() as last:
        agent.unlock("one")
        agent.call("NewKey", {"token": "one", "label": "x", "algorithm": "p256"})
        agent.call("MakeCsr", csr)
        before = signatures("CKR_OK")
        first, *leaving = [stack.enter_context(agent.client()) for _ in range(9)]
        agent.script(f"{kind}on C_Sign hang\n")
        first.send("MakeCsr", csr)
        until(lambda: signatures("!") == 1, "the first does not sign")
        for client in leaving:
            client.send("MakeCsr", csr)
            agent.call("ListAccounts")
        until(lambda: signatures("!") == begun, f"not {begun} sign at a time")
        last.send("MakeCsr", csr)
        agent.call("ListAccounts")
        for client in leaving:
            client.sock.close()
        until(lambda: agent.count("MakeCsr: PinCancelled") == len(leaving) + 1 - begun, "what waits is not dropped")
        agent.script(kind)
        assert first.receive()["csr"] and last.receive()["csr"]
        until(lambda: signatures("CKR_OK") == before + begun + 1, "the token signed for those who had left")
