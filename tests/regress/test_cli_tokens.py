"""signet and a real agent with real tokens: PINs, releases, adopted keys, events and doctor."""
import json
import os
import re
import signal
import subprocess

import pytest

from agent_fixture import PIN, Agent, monitor, next_event
from cli_fixture import SIGNET, Terminal
from fault_agent import FaultAgent
from processes import PATIENCE, until

SO_PIN = "12345678"


@pytest.fixture
def agent():
    with Agent() as agent:
        yield agent


def signet(agent, *args, **more):
    done = subprocess.run([SIGNET, *args], env=agent.env, capture_output=True, text=True, timeout=PATIENCE,
                          **({"stdin": subprocess.DEVNULL} if "input" not in more else {}), **more)
    assert "Sanitizer" not in done.stderr, done.stderr
    return done


def by_pin(agent, *args, pins=PIN):
    return signet(agent, *args, "--pin-fd", "0", "--batch", input=pins)


def test_a_pin_is_changed_and_unblocked(agent):
    done = by_pin(agent, "token", "pin", "change", "one", pins=f"{PIN}\n567890\n")
    assert done.returncode == 0 and done.stdout.startswith("Token 'one' has its new PIN.\n"), done.stderr
    done = by_pin(agent, "token", "unlock", "one")
    assert done.returncode == 4 and done.stdout == "" and done.stderr.startswith("signet: ")
    assert by_pin(agent, "token", "unlock", "one", pins="567890").returncode == 0
    done = by_pin(agent, "token", "pin", "unblock", "one", pins=f"{SO_PIN}\n{PIN}\n")
    assert done.returncode == 0 and done.stdout.startswith("Token 'one' is unblocked and has its new PIN.\n"), done.stderr
    assert by_pin(agent, "token", "unlock", "one").returncode == 0
    done = signet(agent, "token", "pin", "change", "one", "--batch", "--json")
    assert done.returncode == 4 and json.loads(done.stdout)["error"] == "PinNeeded"
    done = by_pin(agent, "token", "pin", "change", "one", pins=f"{PIN}\n")
    assert done.returncode != 0 and PIN not in done.stdout + done.stderr


def test_a_released_token_wants_its_pin_again(agent):
    assert by_pin(agent, "key", "new", "--token", "one", "--label", "k").returncode == 0
    for args in (["one"], [], ["--json"]):
        done = signet(agent, "token", "release", *args)
        assert done.returncode == 0, done.stderr
        assert signet(agent, "csr", "k", "a@b", "--batch").returncode == 4
        assert by_pin(agent, "csr", "k", "a@b").returncode == 0
    assert signet(agent, "token", "release", "none").returncode == 3


def test_a_key_is_adopted(agent):
    assert by_pin(agent, "key", "new", "--token", "one", "--label", "k").returncode == 0
    done = signet(agent, "key", "use", "k")
    assert done.returncode == 0 and re.search(r"^abilities: .*rsa-pkcs1", done.stdout, re.M), done.stderr
    assert json.loads(signet(agent, "key", "use", "k", "--json").stdout)["key"]["label"] == "k"
    assert signet(agent, "key", "use", "none").returncode == 3


def test_tries_and_memory_are_shown(agent):
    shown = signet(agent, "token", "show", "one").stdout
    assert re.search(r"^tries left:   \d+$", shown, re.M) and "\nremembered:   until removal\n" in shown


def test_what_happens_is_monitored(agent):
    monitor = subprocess.Popen([SIGNET, "monitor", "--json"], env=agent.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    agent.wait_line(f"process {monitor.pid} monitors")
    assert by_pin(agent, "token", "unlock", "one").returncode == 0
    assert signet(agent, "token", "lock", "one").returncode == 0
    kinds = []
    while kinds[-1:] != ["locked"]:
        event = json.loads(monitor.stdout.readline())
        kinds.append(event["kind"])
        assert event["label"] == "one" and event["time"].endswith("Z")
        assert event["kind"] != "unlocked" or event["exe"] == str(SIGNET)
    assert kinds == ["unlocked", "locked"]
    monitor.send_signal(signal.SIGTERM)
    assert monitor.wait(PATIENCE) == 0
    monitor.communicate()
    monitor = subprocess.Popen([SIGNET, "monitor"], env=agent.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    agent.wait_line(f"process {monitor.pid} monitors")
    assert agent.stop() == 0
    out, err = monitor.communicate(timeout=PATIENCE)
    assert monitor.returncode == 3 and out == "" and "the agent went away" in err
    agent.start()


def test_doctor_with_an_agent_and_without(agent):
    done = signet(agent, "doctor", "--json")
    found = json.loads(done.stdout)["findings"]
    assert any(f["level"] == "good" and f["subject"] == "one" for f in found)
    assert done.returncode == (5 if any(f["level"] == "problem" for f in found) else 0)
    assert agent.stop() == 0
    done = signet(agent, "doctor")
    assert done.returncode == 5 and f"There is no socket {agent.sock}: signetd does not run." in done.stdout
    agent.start()


def test_a_touch_is_asked_for_and_can_be_given_up():
    touch = 'Touch token "one" now: it waits for you (for `signet csr`)'
    with FaultAgent() as agent:
        assert by_pin(agent, "key", "new", "--token", "one", "--label", "k").returncode == 0
        command = ["csr", "k", "a@b", "--socket", str(agent.sock)]

        def is_quiet():
            status, text = Terminal(*command).end()
            assert status == 0
            return "Touch" not in text
        until(is_quiet, "a quick one wants a touch")  # on a machine with much to do, not each is quick
        agent.script("on C_Sign hang\n")
        shown = Terminal(*command)
        shown.wait(touch)
        agent.script("")
        status, text = shown.end()
        assert status == 0 and text.count(touch) == 1 and "BEGIN CERTIFICATE REQUEST" in text
        assert "waiting for" not in text.partition(touch)[2]
        agent.script("on C_Sign hang\n")
        shown = Terminal(*command)
        shown.wait(touch)
        shown.type("\x03")
        status, text = shown.end()
        assert status == -signal.SIGINT and "interrupted while waiting for the token" in text and "BEGIN" not in text
        agent.script("")
        assert signet(agent, "csr", "k", "a@b").returncode == 0


def test_a_touch_is_asked_for_by_one_that_was_held_up():
    """The touch is wanted before a program that a busy machine lets wait has asked for its events."""
    agent = FaultAgent()
    agent.env["SIGNET_LOG"] = "debug"
    with agent, monitor(agent) as client:
        assert by_pin(agent, "key", "new", "--token", "one", "--label", "k").returncode == 0
        agent.script("on C_Sign hang\n")
        shown = Terminal("csr", "k", "a@b", "--socket", str(agent.sock))
        agent.wait_line(f"request .* pid {shown.popen.pid},")
        os.kill(shown.popen.pid, signal.SIGSTOP)
        next_event(client, "touch_wanted")
        os.kill(shown.popen.pid, signal.SIGCONT)
        shown.wait('Touch token "one" now: it waits for you')
        agent.script("")
        assert shown.end()[0] == 0
