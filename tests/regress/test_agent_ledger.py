"""The ledger of PINs: a wrong one is never tried again by itself, and nobody but a person makes a last try."""
import contextlib
import os
import signal
import sqlite3
import stat

import pytest

from agent_fixture import PIN, Agent, start_fails, wait_joined, wait_open
from fault_agent import FaultAgent
from processes import until, wait_gone
from varlink_client import secret

WRONG = "0000"
SO_PIN = "12345678"  # of softhsm-fixtures


@pytest.fixture
def agent():
    with Agent() as agent:
        yield agent


def pin_file(agent, pin):
    path = agent.dir / "pin"
    path.write_text(pin)
    path.chmod(0o600)
    agent.conf.write_text(agent.conf.read_text() + f"[token one]\npin-source = file:{path}\n")
    return path


def try_pin(agent, pin=WRONG):
    with secret(pin) as fd:
        return agent.error("Unlock", {"token": "one", "pin": {"fd": 0}}, [fd])


def ledger(agent):
    """Tries since the last success, whether the token's flags told, and the number of PINs known to be wrong."""
    with sqlite3.connect(f"file:{agent.dir}/state/signet/agent.db?mode=ro", uri=True) as db:
        rows = db.execute("SELECT tries, told FROM pin_ledgers WHERE whose = 0").fetchall()
        wrong = db.execute("SELECT count(*) FROM pin_wrong WHERE whose = 0").fetchone()[0]
    assert len(rows) <= 1
    return (*rows[0], wrong) if rows else None


def tries_by_softhsm(agent):
    """How many PINs the worker says the token has refused."""
    return agent.count("refused a PIN")


# ---- wrong PINs ----

def test_a_wrong_pin_is_known_again(agent):
    """Not by another client, nor after the worker's or the agent's end, is it tried a second time."""
    assert try_pin(agent).name == "PinWrong"
    assert ledger(agent) == (1, 1, 1)  # SoftHSM's flags tell
    for end in ("nothing", "worker", "agent", "agent, killed"):
        if end == "worker":
            pid = agent.worker()["pid"]
            os.kill(pid, signal.SIGKILL)
            wait_gone(pid)
        elif end != "nothing":
            agent.stop(signal.SIGKILL if "killed" in end else signal.SIGTERM)
            agent.start()
        error = try_pin(agent)
        assert error.name == "PinWrong" and "before" in error.parameters["message"], end
        assert ledger(agent) == (1, 1, 1)
        assert tries_by_softhsm(agent) == 1
    assert try_pin(agent, "1111").name == "PinWrong"
    assert ledger(agent) == (2, 1, 2)
    assert agent.unlock("one")["unlocked"]
    assert ledger(agent) == (0, 1, 2)  # what was wrong stays wrong
    agent.call("Lock", {"token": "one"})
    assert "before" in try_pin(agent).parameters["message"]
    assert tries_by_softhsm(agent) == 2


def test_the_pin_is_nowhere_in_the_state(agent):
    secrets = ["a-wrong-PIN-of-mine", PIN + "-and-more-of-it"]
    for pin in secrets:
        assert try_pin(agent, pin).name == "PinWrong"
    state = agent.dir / "state/signet"
    key = state / "pin-ledger.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600 and key.stat().st_size == 32
    for path in state.iterdir():
        content = path.read_bytes()
        assert not any(pin.encode() in content for pin in secrets), path
    assert not any(pin in line for pin in secrets for line in agent.lines)


def test_two_salts_for_two_tokens():
    with Agent(labels=("one", "two")) as agent:
        for label in ("one", "two"):
            with secret(WRONG) as fd:
                assert agent.error("Unlock", {"token": label, "pin": {"fd": 0}}, [fd]).name == "PinWrong"
        with sqlite3.connect(f"file:{agent.dir}/state/signet/agent.db?mode=ro", uri=True) as db:
            hashes = db.execute("SELECT DISTINCT hash FROM pin_wrong").fetchall()
            salts = db.execute("SELECT DISTINCT salt FROM pin_ledgers").fetchall()
        assert len(hashes) == 2 and len(salts) == 2


def test_a_wrong_pin_source_is_known_by_its_pin(agent):
    path = pin_file(agent, WRONG)
    agent.stop()
    agent.start()
    new_key = {"token": "one", "label": "x"}
    assert agent.error("NewKey", new_key).name == "PinWrong"
    for _ in range(2):
        error = agent.error("NewKey", new_key)
        assert error.name == "PinNeeded" and "not tried again" in error.parameters["message"]
        assert str(path) in error.parameters["message"]
    path.unlink()
    path.write_text(WRONG + "\n")  # another file, the same PIN
    path.chmod(0o600)
    assert agent.error("NewKey", new_key).name == "PinNeeded"
    assert tries_by_softhsm(agent) == 1
    path.write_text(PIN)
    agent.call("NewKey", new_key)


@pytest.mark.parametrize("damage", ["short", "long", "open", "folder"])
def test_a_key_that_is_damaged_is_refused(damage):
    agent = Agent()
    try:
        key = agent.dir / "state/signet/pin-ledger.key"
        key.parent.mkdir(parents=True, mode=0o700)
        if damage == "folder":
            key.mkdir()
        else:
            key.write_bytes(bytes({"short": 31, "long": 33, "open": 32}[damage]))
            key.chmod(0o644 if damage == "open" else 0o600)
        _, said = start_fails(agent)
        assert "pin-ledger.key" in said
    finally:
        agent.close()


def test_no_ledger_no_try(agent):
    """When a try cannot be written down, it is not made."""
    agent.call("ListTokens")
    other = sqlite3.connect(agent.dir / "state/signet/agent.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    error = try_pin(agent, PIN)
    assert error.name == "StorageFailed", error
    other.execute("ROLLBACK")
    other.close()
    assert agent.unlock("one")["unlocked"]


# ---- tries left ----

def token(agent):
    return agent.call("ShowToken", {"token": "one"})["token"]


def test_tries_left(agent):
    assert token(agent)["tries_left"] == 3  # as counted: nobody knows better
    assert try_pin(agent).name == "PinWrong"
    assert token(agent)["pin"] == "low" and token(agent)["tries_left"] is None  # the token tells: not the last
    agent.unlock("one")
    assert token(agent)["tries_left"] is None


# ---- new PINs ----

def set_pin(agent, method, lines, label="one"):
    with secret(lines) as fd:
        return agent.call(method, {"token": label, "pin": {"fd": 0}}, [fd])


def set_pin_fails(agent, method, lines):
    with secret(lines) as fd:
        return agent.error(method, {"token": "one", "pin": {"fd": 0}}, [fd])


def test_change_pin(agent):
    agent.unlock("one")
    changed = set_pin(agent, "ChangePin", f"{PIN}\n5678\n")
    assert not changed["token"]["unlocked"] and changed["note"] is None
    assert ledger(agent)[0] == 0 and ledger(agent)[2] == 1  # the old one is wrong now
    assert "before" in try_pin(agent, PIN).parameters["message"]
    assert tries_by_softhsm(agent) == 0
    assert agent.unlock("one", "5678")["unlocked"]


def test_change_pin_by_a_wrong_one(agent):
    assert set_pin_fails(agent, "ChangePin", f"{WRONG}\n5678\n").name == "PinWrong"
    error = set_pin_fails(agent, "ChangePin", f"{WRONG}\n5678\n")
    assert error.name == "PinWrong" and "before" in error.parameters["message"]
    assert try_pin(agent).name == "PinWrong"  # it is the same PIN, and the same ledger
    assert tries_by_softhsm(agent) == 1
    assert set_pin_fails(agent, "ChangePin", f"{PIN}\n{PIN}\n").name == "ArgumentWrong"
    assert agent.error("ChangePin", {"token": "one"}).name == "PinNeeded"
    assert agent.unlock("one")["unlocked"]


def test_unblock_pin(agent):
    assert try_pin(agent).name == "PinWrong"
    assert set_pin_fails(agent, "UnblockPin", "99999999\n5678\n").name == "PinWrong"
    assert not set_pin(agent, "UnblockPin", f"{SO_PIN}\n{WRONG}\n")["token"]["unlocked"]
    assert ledger(agent)[0] == 0 and ledger(agent)[2] == 0
    assert agent.unlock("one", WRONG)["unlocked"]  # it was wrong, and is right now


PINENTRY = """#!/usr/bin/python3
import time
print("OK ready", flush=True)
answers = {answers!r}
for line in __import__("sys").stdin:
    open({log!r}, "a").write(line)
    if line.startswith("GETPIN"):
        if not answers:
            time.sleep(600)
        print("D " + answers.pop(0), flush=True)
    print("OK", flush=True)
    if line.startswith("BYE"):
        break
"""


def with_pinentry(agent, *answers):
    """A person who enters these, one after the other, and then nothing more."""
    log = agent.dir / "asked"
    path = agent.dir / "pinentry"
    path.write_text(PINENTRY.format(answers=list(answers), log=str(log)))
    path.chmod(0o700)
    agent.conf.write_text(agent.conf.read_text() + f"[agent]\npinentry = {path}\n")
    agent.stop()
    agent.start()
    return log


def test_change_pin_by_a_person(agent):
    with_pinentry(agent, PIN, "5678", "5678")
    by_pinentry = {"token": "one", "pin": {"pinentry": {}}}
    assert not agent.call("ChangePin", by_pinentry)["token"]["unlocked"]
    assert agent.unlock("one", "5678")["unlocked"]
    assert ledger(agent)[2] == 1


def test_whoever_wants_a_new_pin_goes(agent):
    """The pinentry goes with its caller, and the token can be unlocked again."""
    log = with_pinentry(agent)
    with agent.client() as client:
        client.send("ChangePin", {"token": "one", "pin": {"pinentry": {}}})
        until(lambda: log.exists() and "GETPIN" in log.read_text(), "nobody was asked")
        assert agent.error("ChangePin", {"token": "one", "pin": {"pinentry": {}}}).name == "Busy"
    agent.wait_line("a pinentry is ended")
    assert agent.unlock("one")["unlocked"]
    assert ledger(agent) == (0, 0, 0)


def test_a_call_waits_for_the_new_pin(agent):
    agent.call("ListTokens")
    read, write = os.pipe()
    with agent.client() as changing, agent.client() as waiting, secret("5678") as fd:
        changing.send("ChangePin", {"token": "one", "pin": {"fd": 0}}, [read])
        wait_open(agent.worker()["pid"], read)
        waiting.send("Unlock", {"token": "one", "pin": {"fd": 0}}, [fd])
        agent.call("ListAccounts")
        os.write(write, f"{PIN}\n5678\n".encode())
        os.close(write)
        os.close(read)
        changing.receive()
        assert waiting.receive()["token"]["unlocked"]


def test_a_changed_pin_and_its_pin_source(agent):
    path = pin_file(agent, PIN)
    agent.stop()
    agent.start()
    changed = set_pin(agent, "ChangePin", f"{PIN}\n5678\n")
    assert "pin-source" in changed["note"]
    error = agent.error("NewKey", {"token": "one", "label": "x"})
    assert error.name == "PinNeeded" and str(path) in error.parameters["message"]
    assert tries_by_softhsm(agent) == 0  # the old PIN is known to be wrong
    path.write_text("5678")
    agent.call("NewKey", {"token": "one", "label": "x"})


def test_what_is_said_of_two_pins(agent):
    """The advice is about this call: not to unlock the token, and not about data from elsewhere."""
    for method in ("ChangePin", "UnblockPin"):
        error = agent.error(method, {"token": "one"})
        assert error.name == "PinNeeded" and "two lines" in error.parameters["advice"]
        assert "token unlock" not in error.parameters["advice"]
        with secret(PIN) as fd:
            error = agent.error(method, {"token": "one", "pin": {"fd": 0}}, [fd])
        assert error.name == "Malformed" and "two lines" in error.parameters["advice"]
        assert "the new PIN" in error.parameters["advice"]
    assert tries_by_softhsm(agent) == 0


def test_release(agent):
    agent.call("ReleaseToken", {})
    agent.unlock("one")
    agent.call("NewKey", {"token": "one", "label": "x"})
    for named in ({"token": "one"}, {}):
        agent.call("ReleaseToken", named)
        assert agent.error("MakeCsr", {"key": "x", "jid": "a@b.test"}).name == "PinNeeded"
        agent.unlock("one")
        agent.call("MakeCsr", {"key": "x", "jid": "a@b.test"})
    assert agent.error("ReleaseToken", {"token": "two"}).name == "TokenAbsent"


# ---- tries whose answer never came, or said nothing ----

def is_left_to_a_person(error):
    return error.name == "Denied" and "no answer came" in error.parameters["message"] and \
        "person" in error.parameters["advice"]


def test_a_try_that_was_never_answered(agent):
    """The worker, or the agent, is killed while the module has the PIN: a person enters it the next time."""
    for who in ("worker", "agent"):
        with FaultAgent("on C_Login hang\n") as agent, agent.client() as client, secret(PIN) as fd:
            client.send("Unlock", {"token": "one", "pin": {"fd": 0}}, [fd])
            until(lambda: (ledger(agent) or (0,))[0] == 1, "no try was written down")
            pids = [agent.worker()["pid"]] + ([agent.popen.pid] if who == "agent" else [])
            if who == "worker":
                os.kill(pids[0], signal.SIGKILL)
                assert client.error_of_next().name == "WorkerDied"
            else:
                agent.stop(signal.SIGKILL)
            for pid in pids:
                wait_gone(pid)
            agent.script("")
            if who == "agent":
                agent.start()
            error = try_pin(agent, PIN)
            assert is_left_to_a_person(error), error
            assert "person" in error.parameters["advice"]
            assert ledger(agent) == (1, 0, 1)
            with_pinentry(agent, PIN)
            assert agent.call("Unlock", {"token": "one", "pin": {"pinentry": {}}})["token"]["unlocked"]
            assert ledger(agent) == (0, 0, 0)


def test_a_try_that_said_nothing_of_the_pin():
    """It may have been refused: a person tries it again. Of one that the token took, no more is said than that once."""
    with FaultAgent("on C_Login 1 fail CKR_DEVICE_ERROR\n") as agent:
        assert try_pin(agent, PIN).name == "TokenFailed"
        assert ledger(agent) == (1, 0, 1)
        for _ in range(2):
            assert is_left_to_a_person(try_pin(agent, PIN))
            agent.stop()
            agent.start()
        with_pinentry(agent, PIN)
        assert agent.call("Unlock", {"token": "one", "pin": {"pinentry": {}}})["token"]["unlocked"]
        assert ledger(agent) == (0, 0, 0)
        for times in (1, 2):
            agent.call("Lock", {"token": "one"})
            agent.script("on C_Login 1 fail CKR_DEVICE_ERROR\n")
            assert try_pin(agent, PIN).name == "TokenFailed"
            assert ledger(agent) == (times, 0, times - 1)


@pytest.mark.parametrize("answer", ["CKR_DEVICE_ERROR", "CKR_DEVICE_REMOVED", "CKR_GENERAL_ERROR", "CKR_FUNCTION_FAILED",
                                    "CKR_TOKEN_NOT_PRESENT", "CKR_HOST_MEMORY", "CKR_SESSION_HANDLE_INVALID",
                                    "CKR_FUNCTION_CANCELED"])
def test_a_wrong_pin_whose_answer_is_lost(answer):
    """The token has counted it, and says something else: it is not tried again, also from a file and after a restart."""
    with FaultAgent(f"pin 5 silent\nafter C_Login fail {answer}\n", conf="[token one]\npin-tries = 5\n") as agent:
        assert try_pin(agent, "777777").name not in ("PinWrong", "PinLocked")
        agent.script("pin 5 silent\n")
        assert is_left_to_a_person(try_pin(agent, "777777"))
        agent.stop()
        agent.start()
        assert is_left_to_a_person(try_pin(agent, "777777"))
        assert ledger(agent) == (1, 0, 1)
        assert agent.unlock("one")["unlocked"]


def test_a_token_that_never_locks():
    """As its owner says by pin-tries: a PIN of which nobody knows the answer is tried again, one that was refused is not."""
    with FaultAgent("on C_Login fail CKR_DEVICE_ERROR\n", conf="[token one]\npin-tries = 0\n") as agent:
        for _ in range(3):
            assert try_pin(agent, PIN).name == "TokenFailed"
        agent.script("")
        assert agent.unlock("one")["unlocked"]
        agent.call("Lock", {"token": "one"})
        assert try_pin(agent).name == "PinWrong"
        refused = tries_by_softhsm(agent)
        assert try_pin(agent).name == "PinWrong"
        assert tries_by_softhsm(agent) == refused


@pytest.mark.parametrize("answer", ["CKR_USER_PIN_NOT_INITIALIZED", "CKR_PIN_EXPIRED",
                                    "CKR_USER_ANOTHER_ALREADY_LOGGED_IN"])
def test_a_pin_that_was_not_tried(answer):
    with FaultAgent(f"on C_Login fail {answer}\n") as agent:
        for _ in range(3):
            try_pin(agent, PIN)
            assert ledger(agent) == (0, 0, 0)
        agent.script("")
        assert agent.unlock("one")["unlocked"]


def test_a_try_that_said_nothing_on_a_silent_token():
    """Whose flags show nothing in any case: it may have been a failure, and the last one is a person's."""
    with FaultAgent("pin 3 silent\non C_Login fail CKR_GENERAL_ERROR\n") as agent:
        for tries, pin in enumerate(("one PIN", "another PIN"), 1):
            assert try_pin(agent, pin).name == "TokenFailed"
            assert ledger(agent) == (tries, 0, tries)
        agent.script("pin 3 silent\n")
        error = try_pin(agent, PIN)
        assert error.name == "Denied" and "as counted" in error.parameters["message"], error
        assert ledger(agent) == (2, 0, 2)


CONTEXT = "always-authenticate careful\n"
SECONDS = 10  # until what hangs is ended: what comes before it on a busy machine takes less


def careful_agent():
    """Unlocked, with a key that wants the PIN for each signature."""
    agent = FaultAgent(CONTEXT, conf=f"timeout = {SECONDS}\n")
    agent.__enter__()
    agent.unlock("one")
    agent.call("NewKey", {"token": "one", "label": "careful", "algorithm": "p256"})
    return contextlib.closing(agent)


CSR = {"key": "careful", "jid": "a@b.test"}


def test_a_login_for_one_signature_is_counted():
    """Taken, refused, or never answered, like any other."""
    with careful_agent() as agent:
        for _ in range(2):
            agent.call("MakeCsr", CSR)
            assert ledger(agent) == (0, 0, 0)
        agent.script(CONTEXT + "on C_Login 1 fail CKR_PIN_INCORRECT\n")
        assert agent.error("MakeCsr", CSR).name == "PinWrong"
        assert ledger(agent)[::2] == (1, 1)
        assert try_pin(agent, PIN).name == "PinWrong"


@pytest.mark.parametrize("how,name", [("hang", "TimedOut"), ("crash", "WorkerDied")])
def test_a_login_for_one_signature_that_never_ends(how, name):
    with careful_agent() as agent:
        agent.script(CONTEXT + f"on C_Login {how}\n")
        assert agent.error("MakeCsr", CSR).name == name
        assert ledger(agent)[::2] == (1, 1)
        agent.script(CONTEXT)
        error = try_pin(agent, PIN)
        assert is_left_to_a_person(error), error


def test_who_waits_for_a_login_that_never_ends():
    """It shares its end: its own PIN would be a second try that nobody wants."""
    agent = FaultAgent("on C_Login hang\n", conf=f"[module fault]\ntimeout = {SECONDS}\n")
    agent.env["SIGNET_LOG"] = "debug"
    with agent:
        with agent.client() as first, agent.client() as second, secret(PIN) as one, secret(PIN) as two:
            first.send("Unlock", {"token": "one", "pin": {"fd": 0}}, [one])
            until(lambda: (ledger(agent) or (0,))[0] == 1, "no try was written down")
            second.send("Unlock", {"token": "one", "pin": {"fd": 0}}, [two])
            wait_joined(agent, 1)
            assert first.error_of_next().name == "TimedOut"
            assert second.error_of_next().name == "TimedOut"
        assert ledger(agent) == (1, 0, 1)


def test_a_pin_source_whose_try_was_never_answered(agent):
    with FaultAgent("on C_Login hang\n", conf=f"[module fault]\ntimeout = {SECONDS}\n") as agent:
        path = pin_file(agent, PIN)
        agent.stop()
        agent.start()
        assert agent.error("NewKey", {"token": "one", "label": "x"}).name == "TimedOut"
        agent.script("")
        error = agent.error("NewKey", {"token": "one", "label": "x"})
        assert error.name == "PinNeeded" and "no answer came" in error.parameters["message"], error
        assert str(path) in error.parameters["message"]
        assert ledger(agent) == (1, 0, 1)


def test_a_pin_source_that_is_empty(agent):
    path = pin_file(agent, "")
    agent.stop()
    agent.start()
    error = agent.error("NewKey", {"token": "one", "label": "x"})
    assert str(path) in error.parameters["message"], error
    assert ledger(agent) == (0, 0, 0)


def test_what_is_said_of_a_last_try():
    with FaultAgent("pin 3 silent\n", conf="[token one]\npin-tries = 1\n") as agent:
        error = try_pin(agent, PIN)
        assert error.name == "Denied" and "as a person" in error.parameters["advice"], error


def test_a_token_that_may_count_on_after_a_success():
    """Its flags never tell: a success by itself leaves the count as it was, one that a person wants sets it back."""
    agent = FaultAgent("pin 3 silent\n", conf="[token one]\nremember = always\n")
    path = pin_file(agent, PIN)
    with agent:
        assert try_pin(agent).name == "PinWrong"
        assert ledger(agent) == (1, 0, 1)
        agent.call("NewKey", {"token": "one", "label": "x", "algorithm": "p256"})
        assert ledger(agent) == (1, 0, 1)
        assert try_pin(agent, "1111").name == "PinWrong"
        error = agent.error("MakeCsr", {"key": "x", "jid": "a@b.test"})
        assert error.name == "PinNeeded" and str(path) in error.parameters["message"], error
        assert ledger(agent) == (2, 0, 2)
        agent.stop()
        with_pinentry(agent, PIN)
        assert agent.call("Unlock", {"token": "one", "pin": {"pinentry": {}}})["token"]
        assert ledger(agent) == (0, 0, 2)
        agent.call("MakeCsr", {"key": "x", "jid": "a@b.test"})
