"""Tokens and keys through the API: PINs and their sources, ambiguity, absence, death and delay of workers."""
import base64
import contextlib
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cryptography import x509

from agent_fixture import MODULE, PIN, Agent, wait_joined, wait_open
from fault_agent import FaultAgent
from processes import PATIENCE, suspend, until, wait_gone, wait_idle
from varlink_client import AgentError, secret


@pytest.fixture
def agent():
    with Agent() as agent:
        yield agent


def tokens_of(agent):
    return agent.call("ListTokens")["tokens"]


def uri(agent, label="one"):
    return next(t["uri"] for t in tokens_of(agent) if t["label"] == label)


def new_key(agent, label, **more):
    return agent.call("NewKey", {"token": "one", "label": label, **more})


# ---- looking ----

def test_list_and_show(agent):
    tokens = tokens_of(agent)
    assert [(t["label"], t["module"], t["unlocked"], t["pin"]) for t in tokens] == [("one", "softhsm", False, "ok")]
    for name in ("one", tokens[0]["uri"], f"pkcs11:serial={tokens[0]['serial']}", "pkcs11:token=%6f%6Ee"):
        shown = agent.call("ShowToken", {"token": name})
        assert shown["token"] == tokens[0]
        assert "CKM_RSA_PKCS" in shown["mechanisms"]
    until(lambda: agent.call("Status")["tokens"] == tokens, "Status waits for no module, but for this one")
    # SoftHSM's slot for the next token, which is in no list
    exact = "pkcs11:model=SoftHSM%20v2;manufacturer=SoftHSM%20project;serial=;token="
    empty = agent.call("ShowToken", {"token": exact})["token"]
    assert (empty["label"], empty["pin"]) == ("", "unset")
    assert agent.call("ShowToken", {"token": "pkcs11:manufacturer=SoftHSM%20project"})["token"] == tokens[0]
    for name in ("two", "pkcs11:token=two", "pkcs11:token=one;serial=0", "ONE"):
        error = agent.error("ShowToken", {"token": name})
        assert (error.name, error.parameters["subject"]) == ("TokenAbsent", name)


def test_two_tokens_of_one_label():
    with Agent(labels=("twin", "twin")) as agent:
        both = [t["uri"] for t in tokens_of(agent)]
        error = agent.error("ShowToken", {"token": "twin"})
        assert error.name == "TokenAmbiguous"
        assert sorted(c["uri"] for c in error.parameters["candidates"]) == sorted(both)
        assert {c["label"] for c in error.parameters["candidates"]} == {"twin"}
        with secret(PIN) as fd:
            assert agent.error("Unlock", {"token": "twin", "pin": {"fd": 0}}, [fd]).name == "TokenAmbiguous"
        assert not any(t["unlocked"] for t in agent.call("ListTokens")["tokens"])
        assert agent.call("ShowToken", {"token": both[0]})["token"]["uri"] == both[0]


def test_one_token_through_two_modules():
    """The same module twice is two ways to one token: which one is meant must be said."""
    with Agent(conf=f"[module again]\npath = {MODULE}\n") as agent:
        assert [t["module"] for t in tokens_of(agent)] == ["softhsm", "again"]
        assert agent.error("ShowToken", {"token": "one"}).name == "TokenAmbiguous"
        assert len(agent.call("Status")["workers"]) == 2


def test_keys(agent):
    assert agent.error("ShowKey", {"key": "none"}).name == "KeyAbsent"
    agent.unlock("one")
    made = new_key(agent, "client")
    assert made["certificate"] is None
    key = made["key"]
    assert (key["algorithm"], key["label"], key["sensitive"], key["extractable"]) == ("rsa2048", "client", True, False)
    assert key["token"] == uri(agent)
    assert agent.call("ShowKey", {"key": "client"})["key"] == key
    assert agent.call("ShowKey", {"key": key["uri"]})["certificates"] == []
    new_key(agent, "other", algorithm="p384")
    taken = agent.error("NewKey", {"token": "one", "label": "client"})
    assert taken.name == "ArgumentWrong" and "label" in taken.parameters["message"]
    assert "another label" in taken.parameters["advice"]
    assert sorted(k["label"] for k in agent.call("ListKeys")["keys"]) == ["client", "other"]
    assert [k["label"] for k in agent.call("ListKeys", {"selector": "client"})["keys"]] == ["client"]
    assert agent.call("ListKeys", {"selector": "nothing"})["keys"] == []
    error = agent.error("ShowKey", {"key": uri(agent)})
    assert error.name == "KeyAmbiguous" and len(error.parameters["candidates"]) == 2
    csr = base64.b64decode(agent.call("MakeCsr", {"key": "client", "jid": "Juliet@Example.test"})["csr"])
    assert x509.load_der_x509_csr(csr).is_signature_valid


@pytest.mark.parametrize("algorithm", ["rsa2048", "rsa3072", "rsa4096", "p256", "p384"])
def test_user_keys(agent, algorithm):
    agent.unlock("one")
    agent.call("AddAccount", {"jid": "juliet@example.test"})
    error = agent.error("Sign", {"account": "juliet@example.test"})
    assert error.name == "KeyAbsent" and "no user key" in error.parameters["message"]
    assert "signet key new --user" in error.parameters["advice"]
    error = agent.error("RevokeCertificate", {"jid": "juliet@example.test", "fingerprint": "current"})
    assert error.name == "KeyAbsent" and "no certificate" in error.parameters["message"]
    assert "signet cert list" in error.parameters["advice"] and "signet enrol" in error.parameters["advice"]
    error = agent.error("Publish", {"jid": "juliet@example.test"})
    assert error.name == "KeyAbsent" and "signet enrol" in error.parameters["advice"]
    made = new_key(agent, "user", algorithm=algorithm, account="juliet@example.test", user=True)
    assert made["key"]["algorithm"] == algorithm
    assert made["key"]["certificates"] == [made["certificate"]["uri"]]
    assert made["certificate"]["jids"] == ["juliet@example.test"]
    assert agent.call("ShowAccount", {"jid": "juliet@example.test"})["account"]["user_key"] == made["key"]["uri"]
    shown = agent.call("ShowKey", {"key": "user"})
    assert [c["name"] for c in shown["certificates"]] == [made["certificate"]["name"]]
    error = agent.error("Sign", {"account": "juliet@example.test"})
    assert error.name == "KeyAbsent" and "no certificate to sign" in error.parameters["message"]
    assert "signet enrol" in error.parameters["advice"]
    own = made["certificate"]["name"]
    assert agent.error("Sign", {"account": "juliet@example.test", "subject": own}).name == "ArgumentWrong"
    assert agent.error("Sign", {"account": "juliet@example.test", "subject": "ab" * 20}).name == "KeyAbsent"
    assert agent.error("Sign", {"account": "juliet@example.test", "subject": "some"}).name == "ArgumentWrong"


@pytest.mark.parametrize("parameters, name", [
    ({"label": ""}, "ArgumentWrong"), ({"label": "x" * 65}, "ArgumentWrong"), ({"label": "a\nb\x01"}, "ArgumentWrong"),
    ({"label": "x", "algorithm": "rsa1024"}, "ArgumentWrong"), ({"label": "x", "user": True}, "ArgumentWrong"),
    ({"label": "x", "account": "nobody@example.test"}, "AccountAbsent"),
    ({"label": "x", "token": "two"}, "TokenAbsent"),
])
def test_keys_that_cannot_be_made(agent, parameters, name):
    assert agent.error("NewKey", {"token": "one", **parameters}).name == name
    assert agent.call("ListKeys")["keys"] == []


def test_a_request_for_no_account(agent):
    assert agent.error("MakeCsr", {"key": "x", "jid": "example.test"}).name == "ArgumentWrong"


# ---- PINs ----

def test_unlock_and_lock(agent):
    assert agent.error("Unlock", {"token": "one"}).name == "PinNeeded"
    assert agent.error("NewKey", {"token": "one", "label": "x"}).name == "PinNeeded"
    assert agent.unlock("one")["unlocked"]
    assert agent.unlock("one", "not needed")["unlocked"]
    new_key(agent, "x")
    assert not agent.call("Lock", {"token": "one"})["token"]["unlocked"]
    assert not agent.call("Lock", {"token": "one"})["token"]["unlocked"]
    assert agent.error("MakeCsr", {"key": "x", "jid": "a@b.test"}).name == "PinNeeded"
    with secret(PIN) as fd:
        agent.call("MakeCsr", {"key": "x", "jid": "a@b.test", "pin": {"fd": 0}}, [fd])


def test_a_wrong_pin_is_tried_once(agent):
    with secret("0000") as fd:
        error = agent.error("Unlock", {"token": "one", "pin": {"fd": 0}}, [fd])
    assert error.name == "PinWrong" and error.parameters["subject"] == uri(agent)
    assert agent.count("failed: PinWrong") == 1
    assert agent.error("NewKey", {"token": "one", "label": "x"}).name == "PinNeeded"
    assert agent.count("failed: PinWrong") == 1
    assert agent.unlock("one")["unlocked"]


@pytest.mark.parametrize("pin, name", [("", "Malformed"), ("1" * 300, "LimitExceeded")])
def test_pins_that_are_none(agent, pin, name):
    with secret(pin) as fd:
        assert agent.error("Unlock", {"token": "one", "pin": {"fd": 0}}, [fd]).name == name
    assert agent.unlock("one")["unlocked"]


def test_one_login_for_two_calls():
    """While one login waits for its PIN, a second call waits for it, and does not try a PIN of its own."""
    agent = Agent()
    agent.env["SIGNET_LOG"] = "debug"
    with agent:
        agent.unlock("one")
        new_key(agent, "x")
        agent.call("Lock", {"token": "one"})
        read, write = os.pipe()
        with agent.client() as first, agent.client() as second, secret("0000") as wrong:
            first.send("Unlock", {"token": "one", "pin": {"fd": 0}}, [read])
            wait_open(agent.worker()["pid"], read)
            second.send("MakeCsr", {"key": "x", "jid": "a@b.test", "pin": {"fd": 0}}, [wrong])
            wait_joined(agent, 1)
            os.write(write, PIN.encode())
            os.close(write)
            os.close(read)
            assert first.receive()["token"]["unlocked"]
            assert second.receive()["csr"]
        assert agent.count("failed: PinWrong") == 0


def test_a_pin_is_not_held_up_by_a_call_without_one(agent):
    agent.unlock("one")
    new_key(agent, "x")
    agent.call("Lock", {"token": "one"})
    with agent.client() as without, agent.client() as having, secret(PIN) as fd:
        without.send("MakeCsr", {"key": "x", "jid": "a@b.test"})
        having.send("MakeCsr", {"key": "x", "jid": "a@b.test", "pin": {"fd": 0}}, [fd])
        assert having.receive()["csr"]
        with contextlib.suppress(AgentError):  # it may have been quicker, or have waited for the other
            without.receive()


@contextlib.contextmanager
def agent_with_pin_file(pin, section="[token one]"):
    agent = Agent()
    agent.pin_file = agent.dir / "pin"
    agent.pin_file.write_text(pin)
    agent.pin_file.chmod(0o600)
    agent.conf.write_text(agent.conf.read_text() + f"{section}\npin-source = file:{agent.pin_file}\n")
    with agent:
        yield agent


def test_pin_source():
    with agent_with_pin_file(PIN + "\n") as agent:
        new_key(agent, "x")
        kill_worker(agent)  # nobody's word: the new one is logged in again by itself
        agent.call("MakeCsr", {"key": "x", "jid": "a@b.test"})
        assert agent.count("login to") == 0


def kill_worker(agent):
    pid = agent.worker()["pid"]
    os.kill(pid, signal.SIGKILL)
    wait_gone(pid)


@pytest.mark.parametrize("how", ["unlock", "unlock with a pin", "call with a pin"])
def test_locked_by_hand_is_a_persons_word(how):
    """The pin-source is not used by itself any more, not even after the worker's death, until a person
    has unlocked the token."""
    with agent_with_pin_file(PIN) as agent, secret(PIN) as fd, secret("0000") as wrong:
        new_key(agent, "x")
        csr = {"key": "x", "jid": "a@b.test"}
        assert not agent.call("Lock", {"token": "one"})["token"]["unlocked"]
        for _ in range(2):
            error = agent.error("MakeCsr", csr)
            assert error.name == "PinNeeded" and "locked by hand" in error.parameters["message"]
            assert agent.error("NewKey", {"token": "one", "label": "y"}).name == "PinNeeded"
            kill_worker(agent)
        assert agent.error("MakeCsr", {**csr, "pin": {"fd": 0}}, [wrong]).name == "PinWrong"
        assert agent.error("MakeCsr", csr).name == "PinNeeded"  # it did not succeed
        if how == "unlock":
            assert agent.call("Unlock", {"token": "one"})["token"]["unlocked"]
        elif how == "unlock with a pin":
            assert agent.call("Unlock", {"token": "one", "pin": {"fd": 0}}, [fd])["token"]["unlocked"]
        else:
            agent.call("MakeCsr", {**csr, "pin": {"fd": 0}}, [fd])
        kill_worker(agent)
        agent.call("MakeCsr", csr)
        agent.call("Lock", {"token": "one"})
        agent.stop()
        agent.start()
        agent.call("MakeCsr", csr)  # a new agent has forgotten it


def test_locked_by_hand_while_the_pin_source_is_used():
    """Whichever the token does first: in the end it is locked."""
    with agent_with_pin_file(PIN) as agent:
        new_key(agent, "x")
        for _ in range(5):
            kill_worker(agent)
            agent.call("ListTokens")
            pid = agent.worker()["pid"]
            with agent.client() as using, agent.client() as locking:
                suspend(pid)
                using.send("NewKey", {"token": "one", "label": "y"})
                locking.send("Lock", {"token": "one"})
                os.kill(pid, signal.SIGCONT)
                locking.receive()
                with contextlib.suppress(AgentError):
                    using.receive()
            assert agent.error("NewKey", {"token": "one", "label": "z"}).name == "PinNeeded"
            assert not agent.call("ShowToken", {"token": "one"})["token"]["unlocked"]
            agent.call("Unlock", {"token": "one"})


def test_pin_source_by_serial():
    with Agent() as agent:
        serial = agent.call("ListTokens")["tokens"][0]["serial"]
        agent.stop()
        pin = agent.dir / "pin"
        pin.write_text(PIN)
        pin.chmod(0o600)
        agent.conf.write_text(agent.conf.read_text() + f"[token serial:{serial}]\npin-source = file:{pin}\n"
                              "[token one]\npin-source = file:/nonexistent\n")
        agent.start()
        new_key(agent, "x")


def test_a_wrong_pin_source_is_tried_once_ever():
    with agent_with_pin_file("0000") as agent:
        assert agent.error("NewKey", {"token": "one", "label": "x"}).name == "PinWrong"
        for _ in range(3):
            error = agent.error("NewKey", {"token": "one", "label": "x"})
            assert error.name == "PinNeeded" and "not tried again" in error.parameters["message"]
        agent.stop()
        agent.start()
        assert agent.error("NewKey", {"token": "one", "label": "x"}).name == "PinNeeded"
        assert agent.error("Unlock", {"token": "one"}).name == "PinNeeded"
        assert agent.count("failed: PinWrong") == 1
        agent.pin_file.write_text(PIN)  # it has changed: one more try
        new_key(agent, "x")
        kill_worker(agent)
        new_key(agent, "y")
        assert agent.count("failed: PinWrong") == 1


def test_unlocked_by_hand_a_wrong_pin_source_stays_wrong():
    with agent_with_pin_file("0000") as agent:
        assert agent.error("NewKey", {"token": "one", "label": "x"}).name == "PinWrong"
        agent.unlock("one")
        kill_worker(agent)
        assert agent.error("NewKey", {"token": "one", "label": "x"}).name == "PinNeeded"
        assert agent.count("failed: PinWrong") == 1


def test_a_pin_source_that_was_being_tried_when_all_died_is_not_tried_again():
    with agent_with_pin_file(PIN) as agent:
        agent.call("ListTokens")
        pid = agent.worker()["pid"]
        with agent.client() as client:
            suspend(pid)
            client.send("NewKey", {"token": "one", "label": "x"})
            agent.call("ListAccounts")
            agent.stop(signal.SIGKILL)
        wait_gone(pid)
        agent.start()
        assert new_key(agent, "x")["key"]["label"] == "x"  # it stood still before the login: nothing was tried


def test_pin_sources_that_others_may_read_are_not_used():
    with agent_with_pin_file(PIN) as agent:
        agent.pin_file.chmod(0o644)
        assert "cannot be used" in agent.error("NewKey", {"token": "one", "label": "x"}).parameters["message"]
        agent.pin_file.unlink()
        assert agent.error("NewKey", {"token": "one", "label": "x"}).name == "PinNeeded"
        os.mkfifo(agent.pin_file, 0o600)
        assert agent.error("NewKey", {"token": "one", "label": "x"}).name == "PinNeeded"


# ---- pinentry: a program of ours that speaks Assuan from the other side ----

PINENTRY = """#!{python}
import os, sys
log = open({log!r}, "a")
print("start", *sys.argv[1:], file=log, flush=True)
print("OK ready", flush=True)
for line in sys.stdin:
    print(line.rstrip("\\n"), file=log, flush=True)
    if line.startswith("GETPIN"):
        if {pin!r} == "cancel":
            print("ERR 83886179 cancelled", flush=True)
            continue
        print("D " + {pin!r}, flush=True)
    print("OK", flush=True)
    if line.startswith("BYE"):
        break
"""


def agent_with_pinentry(pin):
    agent = Agent()
    program = agent.dir / "pinentry"
    agent.log = agent.dir / "pinentry.log"
    program.write_text(PINENTRY.format(python=sys.executable, log=str(agent.log), pin=pin))
    program.chmod(0o700)
    agent.conf.write_text(f"[agent]\npinentry = {program}\n" + agent.conf.read_text())
    return agent


def test_pinentry():
    with agent_with_pinentry(PIN) as agent:
        asked = {"ttyname": "/dev/pts/99", "display": ":7", "lc_ctype": "C.UTF-8"}
        assert agent.call("Unlock", {"token": "one", "pin": {"pinentry": asked}})["token"]["unlocked"]
        said = agent.log.read_text()
        assert "start --display=:7\n" in said
        assert "OPTION ttyname=/dev/pts/99\n" in said and "OPTION lc-ctype=C.UTF-8\n" in said
        assert said.count("GETPIN") == 1
        assert agent.call("Unlock", {"token": "one", "pin": {"pinentry": {}}})["token"]["unlocked"]
        said = agent.log.read_text()
        assert said.count("start") == said.count("GETPIN") == 1, "an unlocked token needs no PIN"


@pytest.mark.parametrize("pin, name", [("0000", "PinWrong"), ("cancel", "PinCancelled")])
def test_pinentry_without_success(pin, name):
    with agent_with_pinentry(pin) as agent:
        assert agent.error("Unlock", {"token": "one", "pin": {"pinentry": {}}}).name == name
        assert agent.log.read_text().count("GETPIN") == 1


def test_no_pinentry():
    with Agent(conf="[agent]\npinentry = /nonexistent/pinentry\n") as agent:
        assert agent.error("Unlock", {"token": "one", "pin": {"pinentry": {}}}).name == "Unsupported"
        assert agent.unlock("one")["unlocked"]


# ---- workers that die ----

def test_killed_in_the_middle_of_a_call():
    """Which the module would not end by itself."""
    agent = FaultAgent()
    log = agent.dir / "fault.log"
    agent.env["SIGNET_FAULT_LOG"] = str(log)
    with agent:
        agent.unlock("one")
        agent.call("NewKey", {"token": "one", "label": "x", "algorithm": "p256"})
        agent.script("on C_GenerateKeyPair hang\n")
        pid = agent.worker()["pid"]
        with agent.client() as client, agent.client() as other:
            client.send("NewKey", {"token": "one", "label": "slow", "algorithm": "p256"})
            client.send("ListAccounts")
            until(lambda: "! hang" in log.read_text(), "no key is being made")
            suspend(pid)
            other.send("MakeCsr", {"key": "x", "jid": "a@b.test"})
            wait_idle(agent.popen.pid, seconds=0.5)
            os.kill(pid, signal.SIGKILL)
            for waiting in (client, other):
                error = waiting.error_of_next()
                assert error.name == "WorkerDied"
                assert "signet-token" in error.parameters["message"] and "fault" in error.parameters["message"]
            client.receive()
            assert [t["label"] for t in tokens_of(other)] == ["one"]
        worker = agent.worker()
        assert worker["pid"] != pid and worker["restarts"] == 1


def test_killed_with_more_calls_than_it_takes_at_a_time(agent):
    """What the worker had been given dies with it; what waited in the broker goes to the next one."""
    agent.unlock("one")
    agent.call("NewKey", {"token": "one", "label": "x", "algorithm": "p256"})
    pid = agent.worker()["pid"]
    suspend(pid)
    with agent.client() as client:
        for _ in range(14):
            client.send("MakeCsr", {"key": "x", "jid": "a@b.test"})
        wait_idle(agent.popen.pid, seconds=0.5)  # it has read them all, and given the worker its share
        os.kill(pid, signal.SIGKILL)
        names = [client.error_of_next().name for _ in range(14)]
    assert names == ["WorkerDied"] * 8 + ["PinNeeded"] * 6
    assert agent.worker()["restarts"] == 1


HANGING = "#include <unistd.h>\nunsigned long C_GetFunctionList(void **l) { for (;;) pause(); return l == 0; }\n"


def test_a_module_that_hangs_on_load():
    """The others are as good as before: only the first call waits, and only for a moment."""
    agent = Agent()
    if stat.S_IMODE(agent.dir.stat().st_mode) & 0o022 != 0:
        pytest.skip("modules in this folder are refused")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", agent.dir / "hanging.so", "-xc", "-"], input=HANGING, text=True,
                   check=True)
    agent.conf.write_text(f"[agent]\nmodule-dirs = {agent.dir}:{Path(MODULE).parent}:{Path(MODULE).resolve().parent}\n"
                          f"[module hanging]\npath = {agent.dir}/hanging.so\n[module softhsm]\npath = {MODULE}\n")
    with agent:
        assert [t["label"] for t in tokens_of(agent)] == ["one"]
        assert agent.count("the module hanging hangs: for") == 1
        with agent.client() as client:  # no call is near the deadline of 60 s
            begin = time.monotonic()
            with secret(PIN) as fd:
                assert client.call("Unlock", {"token": "one", "pin": {"fd": 0}}, [fd])["token"]["unlocked"]
            client.call("NewKey", {"token": "one", "label": "x", "algorithm": "p256"})
            assert client.call("MakeCsr", {"key": "x", "jid": "a@b.test"})["csr"]
            assert [k["label"] for k in client.call("ListKeys")["keys"]] == ["x"]
            assert time.monotonic() - begin < 50

            def is_told():
                problems = {w["subject"]: w["problem"] for w in client.call("Status")["workers"]}
                return "hanging" in problems["hanging"] and problems["softhsm"] is None
            until(is_told, "Status shows what hangs, and else nothing")
            status = client.call("Status")
        assert [t["label"] for t in status["tokens"]] == ["one"]
        error = agent.error("ShowToken", {"token": "two"})  # it may be there
        assert error.name == "TimedOut" and error.parameters["subject"] == "hanging"
        assert agent.count("the module hanging hangs: for") == 1


# Another process, which asks for many keys at once and tells of each that it gets.
GREEDY = """
import sys, time
from varlink_client import Client
with Client(sys.argv[1]) as client, Client(sys.argv[1]) as other:
    for i in range(12):
        client.send("NewKey", {"token": "one", "label": f"g{i}", "algorithm": "rsa3072"})
    other.call("ListAccounts")
    print("asked", flush=True)
    for i in range(12):
        assert "key" in client.receive()
        print(time.monotonic(), flush=True)
"""


def test_a_greedy_client_does_not_hold_up_another(agent):
    """Its calls wait in the broker, and the next process that asks has its turn before most of them."""
    agent.unlock("one")
    new_key(agent, "mine", algorithm="p256")
    greedy = subprocess.Popen([sys.executable, "-c", GREEDY, agent.sock], stdout=subprocess.PIPE, text=True,
                              env=dict(os.environ, PYTHONPATH=":".join(sys.path)))
    try:
        assert greedy.stdout.readline() == "asked\n"
        with agent.client() as client:
            client.send("MakeCsr", {"key": "mine", "jid": "a@b.test"})
            assert client.receive()["csr"]
            answered = time.monotonic()
        times = [float(line) for line in greedy.communicate(timeout=5 * PATIENCE)[0].split()]
        assert greedy.returncode == 0 and len(times) == 12
        assert answered < times[-1]
    finally:
        greedy.kill()
        greedy.wait()


def test_killed_between_calls(agent):
    for _ in range(5):
        agent.call("ListTokens")
        pid = agent.worker()["pid"]
        os.kill(pid, signal.SIGKILL)
        wait_gone(pid)
        assert [t["label"] for t in tokens_of(agent)] == ["one"]
    assert agent.worker()["restarts"] == 5


def test_no_worker_runs_before_it_is_needed(agent):
    agent.call("ListAccounts")
    children = Path(f"/proc/{agent.popen.pid}/task/{agent.popen.pid}/children")
    if not children.exists():
        pytest.skip("this kernel does not list children")
    assert children.read_text().split() == []
    agent.call("ListTokens")
    assert len(children.read_text().split()) == 1


def test_a_module_that_is_not_allowed():
    agent = Agent()
    try:
        copy = agent.dir / "module.so"
        shutil.copy(MODULE, copy)
        agent.conf.write_text(f"[module mine]\npath = {copy}\n")
        agent.start()
        assert agent.error("ListTokens").name == "ModuleRefused"
        assert agent.call("Status")["tokens"] == []
        agent.stop()
        if stat.S_IMODE(agent.dir.stat().st_mode) & 0o022 == 0:
            agent.conf.write_text(f"[agent]\nmodule-dirs = {agent.dir}\n[module mine]\npath = {copy}\n")
            agent.start()
            assert [t["label"] for t in tokens_of(agent)] == ["one"]
    finally:
        agent.close()


def test_idle_makes_no_system_call(agent):
    """With a worker running and clients connected, nothing moves while nobody asks."""
    agent.unlock("one")
    with agent.client() as client:
        client.call("Status")
        wait_idle(agent.popen.pid, agent.worker()["pid"], seconds=5)
        client.call("ListAccounts")
