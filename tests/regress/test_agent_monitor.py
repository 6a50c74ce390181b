"""Monitor: what happens to tokens is told, to everybody who listens; and the command that asks for a touch."""
import contextlib
import os
import signal
import socket
import subprocess

import pytest

from agent_fixture import BIN, PIN, Agent, monitor, next_event
from fault_agent import FaultAgent
from processes import PATIENCE, until, wait_gone
from test_agent_remember import holders
from varlink_client import secret

KEY = {"token": "one", "label": "x", "algorithm": "p256"}
CSR = {"key": "x", "jid": "a@b.test"}


def told(client, seconds=0.3):
    """The kinds of what is told until nothing is for so long."""
    kinds = []
    client.sock.settimeout(seconds)
    with contextlib.suppress(socket.timeout):
        while True:
            kinds.append(client.receive()["event"]["kind"])
    client.sock.settimeout(PATIENCE)
    return kinds


@pytest.fixture
def agent():
    with Agent() as agent:
        yield agent


# ---- unlocked and locked ----

def test_unlocked_and_locked(agent):
    with monitor(agent) as one, monitor(agent) as two:
        token = agent.unlock("one")
        for client in (one, two):
            event = next_event(client, "unlocked")
            assert (event["token"], event["label"], event["pid"]) == (token["uri"], "one", os.getpid())
            assert event["purpose"] == "Unlock" and event["exe"] and event["time"].endswith("Z")
        agent.call("Lock", {"token": "one"})
        agent.unlock("one")
        pid = agent.worker()["pid"]
        os.kill(pid, signal.SIGKILL)
        wait_gone(pid)
        agent.call("ListTokens")
        for client in (one, two):
            event = next_event(client, "locked")
            assert (event["token"], event["text"]) == (token["uri"], "by request")
            assert next_event(client, "unlocked")["text"] is None
            assert "process ended" in next_event(client, "locked")["text"]


def test_only_with_more(agent):
    assert agent.error("Monitor", {}).name == "ArgumentWrong"


def test_monitors_that_go(agent):
    """Each way of going ends the call; nothing is kept of it."""
    agent.call("ListTokens")
    before = agent.open_files()
    for way in ("close", "shutdown", "reset"):
        client = monitor(agent)
        if way == "shutdown":
            client.sock.shutdown(socket.SHUT_RDWR)
        elif way == "reset":
            agent.unlock("one")  # bytes that nobody reads
            agent.call("Lock", {"token": "one"})
        client.sock.close()
        until(lambda: agent.open_files() <= before, f"a monitor that went by {way} is still there")
    assert agent.unlock("one")["unlocked"]


@pytest.mark.long
def test_a_monitor_that_does_not_read_is_dropped(agent):
    """By the rule for every client, SG_CONN_SLOW_SECONDS; meanwhile it holds up nobody."""
    client = agent.client()
    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    client.send("Monitor", {}, more=True)
    until(lambda: agent.count("monitors"), "nobody monitors")
    with monitor(agent) as reader, agent.client() as caller:
        for _ in range(250):  # two events each time: more than the sockets hold
            with secret(PIN) as fd:
                caller.call("Unlock", {"token": "one", "pin": {"fd": 0}}, [fd])
            caller.call("Lock", {"token": "one"})
            assert next_event(reader, "unlocked") and next_event(reader, "locked")
    until(lambda: agent.count("does not fetch its replies"), "it was not dropped")
    client.sock.close()


# ---- tokens that come and go ----

def test_tokens_that_come_and_go():
    with FaultAgent("removable\n") as agent, monitor(agent) as client:
        token = agent.unlock("one")
        assert next_event(client, "unlocked")["token"] == token["uri"]
        agent.script("removable\nnow remove\n")
        event = next_event(client, "token_out")
        assert (event["token"], event["label"]) == (token["uri"], "one")
        agent.script("removable\nnow insert\n")
        assert next_event(client, "token_in")["token"] == token["uri"]
        assert not agent.call("ShowToken", {"token": "one"})["token"]["unlocked"]
        assert agent.error("NewKey", KEY).name == "PinNeeded"


def test_removal_wipes_the_pin():
    """Also when nobody calls and nobody monitors."""
    with FaultAgent("removable\n") as agent:
        pin = "a-PIN-that-goes-with-its-token-71"
        with secret(f"{PIN}\n{pin}\n") as fd:
            agent.call("ChangePin", {"token": "one", "pin": {"fd": 0}}, [fd])
        agent.stop()
        agent.start()
        agent.unlock("one", pin)
        assert holders(agent, pin) == [agent.worker()["pid"]]
        agent.script("removable\nnow remove\n")
        until(lambda: agent.count("is locked:"), "the removal was not noticed")
        until(lambda: holders(agent, pin) == [], "the PIN is in the memory of a process")
        agent.script("removable\nnow insert\n")
        until(lambda: agent.call("ListTokens")["tokens"], "the token never came back")
        assert agent.error("NewKey", KEY).name == "PinNeeded"


def test_remembered_until_lock():
    """The same token back: no PIN is asked for. Another one in its place never gets it."""
    with FaultAgent("removable\n", conf="[token one]\nremember = lock\n") as agent:
        agent.unlock("one")
        agent.call("NewKey", KEY)
        for _ in range(2):
            agent.script("removable\nnow remove\n")
            until(lambda: not agent.call("ListTokens")["tokens"], "the removal was not noticed")
            agent.script("removable\nnow insert\n")
            until(lambda: agent.call("ListTokens")["tokens"], "the token never came back")
            assert agent.call("MakeCsr", CSR)["csr"]
        agent.script("removable\nnow insert 4711\n")
        until(lambda: [t["serial"] for t in agent.call("ListTokens")["tokens"]] == ["4711"], "the token was not replaced")
        assert agent.error("MakeCsr", CSR).name == "PinNeeded"
        agent.script("removable\nnow insert\n")
        until(lambda: [t["serial"] for t in agent.call("ListTokens")["tokens"]] != ["4711"], "the token was not replaced")
        agent.call("Lock", {"token": "one"})
        assert agent.error("MakeCsr", CSR).name == "PinNeeded"


def test_the_last_try_is_a_persons():
    """A token that never tells: as counted here, its last try is not made by a descriptor or a file."""
    with FaultAgent("pin 3 silent\n") as agent:
        for pin in ("0000", "1111"):
            with secret(pin) as fd:
                assert agent.error("Unlock", {"token": "one", "pin": {"fd": 0}}, [fd]).name == "PinWrong"
        token = agent.call("ShowToken", {"token": "one"})["token"]
        assert (token["pin"], token["tries_left"]) == ("ok", 1)
        for restart in (False, True):
            if restart:
                agent.stop()
                agent.start()
            with secret(PIN) as fd:
                error = agent.error("Unlock", {"token": "one", "pin": {"fd": 0}}, [fd])
            assert error.name == "Denied" and "as counted" in error.parameters["message"]
        findings = agent.call("Doctor")["findings"]
        assert any(f["level"] == "problem" and "may lock" in f["message"] for f in findings)


# ---- touches ----

def touch_agent(tmp_path):
    """An agent with a touch-command that writes its arguments down."""
    command = tmp_path / "touch-command"
    command.write_text(f'#!/bin/sh\nprintf "%s|" "$#" "$@" >>{tmp_path}/touched\necho >>{tmp_path}/touched\n'
                       f'[ ! -e {tmp_path}/linger ] || exec sleep 60\n')
    command.chmod(0o755)
    agent = FaultAgent(conf=f"[agent]\ntouch-command = {command}\n")
    agent.touched = lambda: (tmp_path / "touched").read_text().splitlines() if (tmp_path / "touched").exists() else []
    return agent


@contextlib.contextmanager
def waits_for_touch(agent, caller):
    """A signature that the token makes at the end of this."""
    agent.script("on C_Sign hang\n")
    caller.send("MakeCsr", CSR)
    yield
    agent.script("")
    assert caller.receive()["csr"]


def test_touch(tmp_path):
    with touch_agent(tmp_path) as agent, monitor(agent) as client, agent.client() as caller:
        agent.unlock("one")
        agent.call("NewKey", KEY)
        next_event(client, "unlocked")

        def is_quiet():
            before = agent.touched()
            assert agent.call("MakeCsr", CSR)["csr"]
            return told(client) == [] and agent.touched() == before
        until(is_quiet, "a quick one wants a touch")  # on a machine with much to do, not each is quick
        before = agent.touched()
        with waits_for_touch(agent, caller):
            event = next_event(client, "touch_wanted")
            assert (event["label"], event["pid"], event["purpose"]) == ("one", os.getpid(), "MakeCsr")
            assert agent.call("ListAccounts") == {"accounts": []}  # nobody else is held up
        assert next_event(client, "touch_over")["pid"] == os.getpid()
        until(lambda: agent.touched() == [*before, "2|one|MakeCsr|"], "the touch-command was not run as it should")


def hung_call_of_another(agent):
    """A process that wants a signature, which hangs until there is another script."""
    agent.script("on C_Sign hang\n")
    return subprocess.Popen([BIN / "signet", "csr", "x", "a@b.test", "--socket", agent.sock], env=agent.env,
                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def own_monitor(agent):
    client = agent.client()
    client.send("Monitor", {"own": True}, more=True)
    until(lambda: agent.count("monitors"), "nobody monitors")
    return client


def test_a_monitor_of_own_touches(tmp_path):
    """It is told of those alone, and of no other process's."""
    with touch_agent(tmp_path) as agent, own_monitor(agent) as client, agent.client() as caller:
        agent.unlock("one")
        agent.call("NewKey", KEY)
        other = hung_call_of_another(agent)
        until(lambda: len(agent.touched()) == 1, "no touch was wanted for another process")
        agent.script("")
        assert other.wait(PATIENCE) == 0
        with waits_for_touch(agent, caller):
            event = client.receive()["event"]
            assert (event["kind"], event["pid"]) == ("touch_wanted", os.getpid())
        assert client.receive()["event"]["kind"] == "touch_over"


def test_a_touch_that_is_wanted_already_is_told_at_once(tmp_path):
    """To whoever comes late, and as long as it is wanted; of own touches only the own."""
    def hears(*pids, **parameters):
        with agent.client() as late:
            late.send("Monitor", parameters, more=True)
            events = [late.receive()["event"] for _ in pids]
            assert {(event["kind"], event["label"], event["purpose"]) for event in events} <= {("touch_wanted", "one", "MakeCsr")}
            return [event["pid"] for event in events] == [*pids] and told(late) == []

    with touch_agent(tmp_path) as agent, monitor(agent) as client, agent.client() as caller:
        agent.unlock("one")
        agent.call("NewKey", KEY)
        other = hung_call_of_another(agent)
        assert next_event(client, "touch_wanted")["pid"] == other.pid
        assert hears(other.pid) and hears(own=True)
        caller.send("MakeCsr", CSR)
        assert next_event(client, "touch_wanted")["pid"] == os.getpid()
        assert hears(other.pid, os.getpid()) and hears(os.getpid(), own=True)
        agent.script("")
        assert caller.receive()["csr"] and other.wait(PATIENCE) == 0
        assert next_event(client, "touch_over") and next_event(client, "touch_over")
        assert hears() and hears(own=True)


def test_a_touch_is_over_when_the_process_ends(tmp_path):
    with touch_agent(tmp_path) as agent, monitor(agent) as client, agent.client() as caller:
        agent.unlock("one")
        agent.call("NewKey", KEY)
        agent.script("on C_Sign hang\n")
        caller.send("MakeCsr", CSR)
        wanted = next_event(client, "touch_wanted")
        os.kill(agent.worker()["pid"], signal.SIGKILL)
        over = next_event(client, "touch_over")
        assert all(over[part] == wanted[part] for part in ("token", "label", "pid", "exe", "purpose"))
        assert caller.error_of_next().name == "WorkerDied"
        agent.script("")
        with agent.client() as late:
            late.send("Monitor", {}, more=True)
            assert told(late) == []


def test_a_monitor_of_own_touches_starts_nothing(agent):
    with own_monitor(agent), monitor(agent):
        until(lambda: agent.count("signet-token for softhsm started"), "a whole monitor did not start the module")
    with Agent() as agent:
        with own_monitor(agent) as client:
            agent.call("ListAccounts")
            assert told(client) == []
        assert agent.call("ListAccounts") and not agent.count("signet-token for softhsm started")


def test_a_monitor_goes_on_after_the_process(agent):
    """Its tokens are watched again at once; after a release not, so that others can have them."""
    with monitor(agent) as client:
        agent.unlock("one")
        agent.call("Lock", {"token": "one"})
        until(lambda: agent.count("signet-token for softhsm started") == 2, "nothing is watched any more")
        agent.unlock("one")
        agent.call("ReleaseToken")
        assert next_event(client, "locked") and next_event(client, "locked")["text"] == "it was released"
        assert told(client, seconds=3) == []
        assert agent.count("signet-token for softhsm started") == 2
        agent.call("ListTokens")
        assert agent.count("signet-token for softhsm started") == 3


def test_one_touch_command_at_a_time(tmp_path):
    (tmp_path / "linger").write_text("")
    with touch_agent(tmp_path) as agent, monitor(agent) as client, agent.client() as caller:
        agent.unlock("one")
        agent.call("NewKey", KEY)
        for _ in range(2):
            with waits_for_touch(agent, caller):
                next_event(client, "touch_wanted")
                until(agent.touched, "the touch-command was not run")
        assert len(agent.touched()) == 1


def test_a_touch_command_that_is_missing():
    with FaultAgent(conf="[agent]\ntouch-command = /nonexistent\n") as agent, monitor(agent) as client, \
            agent.client() as caller:
        agent.unlock("one")
        agent.call("NewKey", KEY)
        with waits_for_touch(agent, caller):
            next_event(client, "touch_wanted")
        assert any(f["subject"] == "touch-command" for f in agent.call("Doctor")["findings"])


# ---- keys ----

def test_a_changed_key():
    with FaultAgent() as agent, monitor(agent) as client:
        agent.unlock("one")
        uri = agent.call("NewKey", KEY)["key"]["uri"]
        agent.call("NewKey", {**KEY, "label": "y"})
        for label in ("x", "y"):
            agent.call("MakeCsr", {"key": label, "jid": "a@b.test"})
        agent.script("swap x y\n")
        pid = agent.worker()["pid"]
        os.kill(pid, signal.SIGKILL)
        wait_gone(pid)
        agent.unlock("one")
        assert agent.error("MakeCsr", {"key": uri, "jid": "a@b.test"}).name == "KeyChanged"
        event = next_event(client, "key_changed")
        assert event["text"]
        until(lambda: any(f["level"] == "problem" and "not the one" in f["message"]
                          for f in agent.call("Doctor")["findings"]), "the doctor says nothing of it")


def test_forgotten_while_the_token_is_away():
    """A PIN that waits for its token is wiped like any other."""
    pin = "a-PIN-that-waits-for-its-token-71"
    with FaultAgent("removable\n", conf="[token one]\nremember = lock\n") as agent:
        with secret(f"{PIN}\n{pin}\n") as fd:
            agent.call("ChangePin", {"token": "one", "pin": {"fd": 0}}, [fd])
        agent.stop()
        agent.start()
        agent.unlock("one", pin)
        agent.call("NewKey", KEY)
        agent.script("removable\nnow remove\n")
        until(lambda: not agent.call("ListTokens")["tokens"], "the removal was not noticed")
        assert holders(agent, pin) == [agent.worker()["pid"]]
        agent.popen.send_signal(signal.SIGHUP)
        until(lambda: holders(agent, pin) == [], "the PIN is in the memory of a process")
        agent.script("removable\nnow insert\n")
        until(lambda: agent.call("ListTokens")["tokens"], "the token never came back")
        assert agent.error("MakeCsr", CSR).name == "PinNeeded"
