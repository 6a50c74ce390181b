"""signetd on a token that goes wrong in every way that signet-fault(7) knows: what its callers get, and what the
token sees."""
import base64
import contextlib
import threading
import time

import pytest
from cryptography import x509

from agent_fixture import PIN
from fault_agent import FaultAgent
from processes import until
from varlink_client import AgentError, Client

JULIET = "juliet@example.test"


class FaultyAgent(FaultAgent):
    """An agent whose one token, 'one', is behind libsignet-fault.so, which logs what it is asked."""

    def __init__(self, conf="", labels=("one",)):
        super().__init__(conf=f"timeout = 3\n{conf}", labels=labels)
        self.log_path = self.dir / "calls"
        self.log_path.write_text("")
        self.env["SIGNET_FAULT_LOG"] = str(self.log_path)

    def calls(self, function, rv=""):
        """How many calls of a function the token has seen, with this result."""
        lines = [line.split() for line in self.log_path.read_text().splitlines()]
        return sum(words[2] == function and words[3] != "!" and rv in words[3:] + [""] for words in lines)

    def calls_spoilt(self, how):
        """How many calls the script has made go wrong in this way."""
        return self.log_path.read_text().count(f" ! {how}")

    def sign(self, key="client"):
        """A signature that is good, as somebody else judges it."""
        csr = base64.b64decode(self.call("MakeCsr", {"key": key, "jid": JULIET})["csr"])
        assert x509.load_der_x509_csr(csr).is_signature_valid

    def sign_error(self, key="client"):
        return self.error("MakeCsr", {"key": key, "jid": JULIET})

    def try_pin(self, pin):
        """The name of the error, or None."""
        try:
            self.unlock("one", pin)
        except AgentError as error:
            assert error.parameters["message"]
            return error.name
        return None

    def new_key(self, label, algorithm="p256"):
        return self.call("NewKey", {"token": "one", "label": label, "algorithm": algorithm})["key"]

    def token(self):
        return self.call("ShowToken", {"token": "one"})["token"]

    @contextlib.contextmanager
    def signing(self, key="client"):
        """A signature that is under way; gives a list into which its outcome comes: None or an error's name."""
        outcome = []

        def work():
            try:
                self.sign(key)
                outcome.append(None)
            except AgentError as error:
                outcome.append(error.name)
        thread = threading.Thread(target=work)
        thread.start()
        try:
            until(lambda: "C_Sign !" in self.log_path.read_text(), patience=20)
            yield outcome
        finally:
            thread.join(60)


def ready(conf="", algorithm="p256"):
    """Started, unlocked, with the key 'client'."""
    agent = FaultyAgent(conf).__enter__()
    try:
        agent.unlock("one")
        agent.new_key("client", algorithm)
    except BaseException:
        agent.close()
        raise
    return contextlib.closing(agent)


@pytest.fixture
def agent():
    with ready() as agent:
        yield agent
        agent.script("")
        assert agent.stop() == 0, "".join(agent.lines)


# ---- pulled and put back ----

def test_pulled_and_put_back(agent):
    agent.sign()
    agent.script("now remove")
    assert agent.sign_error().name in ("TokenAbsent", "KeyAbsent", "PinNeeded")
    assert agent.sign_error().name in ("TokenAbsent", "KeyAbsent", "PinNeeded")
    agent.script("now insert")
    assert agent.sign_error().name == "PinNeeded"
    agent.unlock("one")
    agent.sign()


def test_pulled_in_a_signature(agent):
    agent.script("on C_Sign slow 60000")
    with agent.signing() as outcome:
        agent.script("now remove")
    assert outcome[0] in ("TokenAbsent", "KeyAbsent", "PinNeeded")
    agent.script("now insert")
    agent.unlock("one")
    agent.sign()


def test_pulled_in_key_generation(agent):
    agent.script("on C_GenerateKeyPair remove")
    error = agent.error("NewKey", {"token": "one", "label": "other"})
    assert error.name in ("TokenAbsent", "PinNeeded", "TokenFailed")
    agent.script("now insert")
    agent.unlock("one")
    assert [k["label"] for k in agent.call("ListKeys")["keys"]] == ["client"]
    agent.new_key("other")
    agent.sign("other")


def test_removal_after_a_key_was_made(agent):
    """What may be on the token, and what to do about it, is said at once and when the label is found taken."""
    agent.script("removable\nafter C_GenerateKeyPair 1 remove")
    error = agent.error("NewKey", {"token": "one", "label": "left", "algorithm": "p256"})
    assert error.name == "TokenAbsent", error
    assert "'left'" in error.parameters["message"] and "key use" in error.parameters["message"]
    agent.script("removable\nnow insert")
    agent.unlock("one")
    error = agent.error("NewKey", {"token": "one", "label": "left", "algorithm": "p256"})
    assert error.name == "ArgumentWrong" and "key use" in error.parameters["message"]
    agent.call("UseKey", {"key": "left"})
    agent.sign("left")
    agent.script("")


def test_remembered_while_away():
    with ready("[token one]\nremember = lock\n") as agent:
        agent.script("now remove")
        assert agent.sign_error().name in ("TokenAbsent", "KeyAbsent", "PinNeeded")
        agent.script("now insert")
        start = time.monotonic()
        agent.sign()
        assert time.monotonic() - start < 2


def test_another_token_never_gets_the_pin():
    with ready("[token one]\nremember = lock\n") as agent:
        logins = agent.calls("C_Login")
        agent.script("now remove")
        agent.sign_error()
        agent.script("now insert OTHER1")
        # The key's URI says the serial number; its label alone is found on the other token as well.
        assert agent.sign_error().name in ("PinNeeded", "KeyAbsent", "TokenAbsent", "KeyChanged")
        assert agent.token()["serial"] == "OTHER1" and not agent.token()["unlocked"]
        assert agent.calls("C_Login") == logins


def test_lost_sessions(agent):
    """Everything is found again; the PIN that is held serves once more."""
    agent.script("now lose sessions")
    agent.sign()
    agent.script("on C_Sign 1 lose sessions")
    agent.sign()


def test_lost_login(agent):
    agent.script("now lose login")
    agent.sign()
    agent.script("on C_SignInit 1 lose login")
    agent.sign()


# ---- PINs ----

@pytest.mark.parametrize("rule", ["pin 3", "pin 3 silent"])
def test_last_try_is_a_persons(rule):
    """Also after a restart; and a PIN that was refused is not tried again."""
    with FaultyAgent() as agent:
        agent.script(rule)
        assert agent.try_pin("0001") == "PinWrong"
        assert agent.try_pin("0001") == "PinWrong"
        assert agent.calls("C_Login", "CKR_PIN_INCORRECT") == 1
        assert agent.stop() == 0
        agent.start()
        assert agent.try_pin("0001") == "PinWrong"
        assert agent.calls("C_Login", "CKR_PIN_INCORRECT") == 1
        assert agent.try_pin("0002") == "PinWrong"
        assert agent.calls("C_Login", "CKR_PIN_INCORRECT") == 2
        # One is left, whether the token says so or it was counted.
        for _ in range(2):
            assert agent.try_pin("0003") == "Denied"
            assert agent.try_pin(PIN) == "Denied"
            assert agent.stop() == 0
            agent.start()
        assert agent.calls("C_Login", "CKR_PIN_INCORRECT") == 2
        assert agent.calls("C_Login", "CKR_PIN_LOCKED") == agent.calls("C_Login", "CKR_OK") == 0
        agent.script("")


def test_wrong_pins_in_a_row_are_forgotten(agent):
    agent.script("pin 3 silent")
    for wrong in ("0001", "0002"):
        agent.call("Lock", {"token": "one"})
        assert agent.try_pin(wrong) == "PinWrong"
        assert agent.try_pin(PIN) is None
    assert agent.try_pin(PIN) is None


def test_locked_pin(agent):
    agent.call("Lock", {"token": "one"})
    agent.script("pin 1")
    assert agent.try_pin("0001") in ("PinLocked", "Denied")
    agent.script("on C_Login fail CKR_PIN_LOCKED")
    assert agent.try_pin(PIN) == "PinLocked"
    agent.script("")


def test_always_authenticate(agent):
    agent.script("always-authenticate client")
    logins = agent.calls("C_Login", "CKR_OK")
    for _ in range(3):
        agent.sign()
    assert agent.calls("C_Login", "CKR_OK") >= logins + 3
    lines = [line.split()[2] for line in agent.log_path.read_text().splitlines()]
    assert all(lines[i + 1:i + 3] == ["C_Login", "C_Sign"] for i, f in enumerate(lines[-200:], len(lines) - 200)
               if i > len(lines) - 60 and f == "C_SignInit")


# ---- calls that take long, hang or crash ----

def test_touch(agent):
    with Client(agent.sock) as monitor:
        monitor.send("Monitor", {}, more=True)
        agent.script("on C_Sign slow 1500")
        with agent.signing() as outcome:
            event = monitor.receive()["event"]
            while event["kind"] != "touch_wanted":
                event = monitor.receive()["event"]
            assert not outcome and event["label"] == "one"
            while event["kind"] != "touch_over":
                event = monitor.receive()["event"]
        assert outcome == [None]


@pytest.mark.parametrize("how", ["hang", "crash", "crash segv"])
def test_hung_and_crashing_calls(agent, how):
    pid = agent.worker()["pid"]
    agent.script(f"on C_Sign 1 {how}")
    start = time.monotonic()
    error = agent.sign_error()
    assert error.name in ("TimedOut", "WorkerDied") and time.monotonic() - start < 20
    # Its PIN is gone with it.
    assert agent.sign_error().name == "PinNeeded"
    agent.unlock("one")
    agent.sign()
    assert agent.worker()["pid"] != pid


def test_hung_call_holds_up_nobody(agent):
    agent.script("on C_Sign 1 hang")
    with agent.signing() as outcome:
        took = []
        while not outcome and len(took) < 200:
            start = time.monotonic()
            agent.call("ListAccounts")
            took.append(time.monotonic() - start)
            time.sleep(0.005)
    assert sorted(took)[len(took) * 99 // 100] < 0.05, max(took)
    assert outcome[0] in ("TimedOut", "WorkerDied")


@pytest.mark.parametrize("function", ["C_Initialize", "C_GetSlotList", "C_OpenSession", "C_FindObjects"])
def test_crash_anywhere(function):
    """The next call of a caller works, with whatever it has to bring again."""
    with FaultyAgent() as agent:
        agent.script(f"on {function} 1 crash")
        with contextlib.suppress(AgentError):
            agent.unlock("one")
            agent.new_key("client")
        agent.unlock("one")
        if function in ("C_FindObjects",):
            with contextlib.suppress(AgentError):
                agent.new_key("other")
            agent.unlock("one")
        with contextlib.suppress(AgentError):
            agent.new_key("client")
        agent.sign()
        assert agent.calls_spoilt("crash") == 1


def test_crash_in_a_login():
    """Nobody knows whether the token counted that try: the PIN is not tried again without a person."""
    with FaultyAgent() as agent:
        agent.script("on C_Login 1 crash")
        assert agent.try_pin(PIN) == "WorkerDied"
        agent.script("")
        logins = agent.calls("C_Login")
        for _ in range(2):
            assert agent.try_pin(PIN) == "Denied"
        assert agent.calls("C_Login") == logins


# ---- what a token lacks ----

@pytest.mark.parametrize("late", ["", " late"])
def test_refused_mechanisms(late):
    with ready(algorithm="rsa2048") as agent:
        agent.script(f"refuse CKM_RSA_PKCS{late}")
        agent.sign()
        agent.script(f"refuse CKM_RSA_PKCS{late}\nrefuse CKM_SHA256_RSA_PKCS{late}")
        error = agent.sign_error()
        assert error.name == "MechanismMissing" and "CKM_" in error.parameters["message"]
        agent.script(f"refuse CKM_EC_KEY_PAIR_GEN{late}")
        error = agent.error("NewKey", {"token": "one", "label": "none", "algorithm": "p256"})
        assert error.name == "MechanismMissing"
        agent.script("")
        agent.sign()


def test_read_only(agent):
    agent.call("Lock", {"token": "one"})
    agent.script("read-only")
    assert agent.token()["read_only"]
    agent.unlock("one")
    agent.sign()
    assert agent.error("NewKey", {"token": "one", "label": "none"}).name == "TokenReadOnly"


def test_memory_full(agent):
    agent.script("memory-full")
    error = agent.error("NewKey", {"token": "one", "label": "none"})
    assert error.name == "TokenFull" and error.parameters["advice"]
    agent.sign()


# ---- the right object ----

@pytest.mark.parametrize("what", ["label", "id"])
def test_duplicates(what):
    with FaultyAgent() as agent:
        agent.unlock("one")
        first, second = agent.new_key("client"), agent.new_key("other")
        agent.call("Lock", {"token": "one"})
        agent.script(f"duplicate {what} client other\nnow lose sessions")
        agent.unlock("one")
        selector = "client" if what == "label" else "pkcs11:id=" + "".join(
            f"%{first['id'][i:i + 2]}" for i in range(0, len(first["id"]), 2))
        error = agent.sign_error(selector)
        assert error.name == "KeyAmbiguous" and len(error.parameters["candidates"]) == 2
        assert first["id"] != second["id"]
        agent.script("")


def test_another_key_under_the_same_name():
    """Noticed, refused until the person says so, and then taken."""
    with FaultyAgent() as agent:
        agent.unlock("one")
        uri = agent.new_key("client")["uri"]
        agent.new_key("other")
        agent.sign(uri)
        signs = agent.calls("C_Sign", "CKR_OK")
        agent.script("swap client other\nnow lose sessions")
        for _ in range(2):
            error = agent.sign_error(uri)
            if error.name == "PinNeeded":
                agent.unlock("one")
                error = agent.sign_error(uri)
            assert error.name == "KeyChanged" and error.parameters["advice"]
        assert agent.calls("C_Sign", "CKR_OK") == signs
        agent.call("UseKey", {"key": uri})
        agent.sign(uri)
        agent.script("")
