"""Keys that were used before: they cost no search, and another key under the same name is not taken for them."""
import base64
import contextlib
import os
import signal
import subprocess
import time

import pytest
from cryptography import x509

from agent_fixture import MODULE, PIN, Agent
from certificates import cross_signatures
from fault_agent import FaultAgent
from processes import wait_gone
from varlink_client import secret

JULIET = "juliet@example.test"
SPY = "/usr/lib/x86_64-linux-gnu/pkcs11-spy.so"  # of OpenSC: writes down each call of the module that it wraps


@pytest.fixture
def agent():
    with Agent() as agent:
        agent.unlock("one")
        yield agent


def tool(agent, *args, login=True):
    """pkcs11-tool on the agent's token: another program that nobody told the agent of."""
    pin = ["--login", "--pin", PIN] if login else []
    subprocess.run(["pkcs11-tool", "--module", MODULE, "--token-label", "one", *pin, *args], check=True,
                   capture_output=True, env=agent.env)


def make_by_hand(agent, label="hsm", key_id="0a0b", kind="EC:prime256v1"):
    tool(agent, "--keypairgen", "--key-type", kind, "--label", label, "--id", key_id)


def rotate(agent, key_id="0a0b", **more):
    """Another key under the same label and id, so under the same URI."""
    for kind in ("privkey", "pubkey"):
        tool(agent, "--delete-object", "--type", kind, "--id", key_id)
    make_by_hand(agent, key_id=key_id, **more)


def csr(agent, key="hsm", jid=JULIET):
    return x509.load_der_x509_csr(base64.b64decode(agent.call("MakeCsr", {"key": key, "jid": jid})["csr"]))


def public(agent, key="hsm"):
    """Of which key a request is made."""
    return csr(agent, key).public_key().public_numbers()


# ---- searches ----

class Spied:
    """How often the agent has called a function of the module."""

    def __init__(self, agent):
        self.log = agent.dir / "spy.log"
        agent.conf.write_text(f"[module spy]\npath = {SPY}\n")
        agent.env.update(PKCS11SPY=str(MODULE), PKCS11SPY_OUTPUT=str(self.log))

    def count(self, function):
        return self.log.read_text(errors="replace").count(f": {function}\n")


def test_a_key_that_was_used_is_not_searched_for():
    agent = Agent()
    spied = Spied(agent)
    with agent:
        agent.unlock("one")
        for label in ("first", "second"):
            agent.call("NewKey", {"token": "one", "label": label, "algorithm": "p256"})
        uri = agent.call("ShowKey", {"key": "first"})["key"]["uri"]
        names = ["first", "second", uri]
        for name in names:
            csr(agent, name)
        before = {f: spied.count(f) for f in ("C_FindObjectsInit", "C_GetTokenInfo", "C_Sign")}
        assert before["C_FindObjectsInit"] > 0
        for name in names * 3:
            csr(agent, name)
        assert spied.count("C_FindObjectsInit") == before["C_FindObjectsInit"]
        assert spied.count("C_GetTokenInfo") == before["C_GetTokenInfo"]
        assert spied.count("C_Sign") == before["C_Sign"] + 9
        # what is made anew may stand in the way of a label: it is searched for once more
        agent.call("NewKey", {"token": "one", "label": "third", "algorithm": "p256"})
        csr(agent, "first")
        assert spied.count("C_FindObjectsInit") > before["C_FindObjectsInit"]


def test_a_key_is_found_again_after_a_lock_and_after_a_death(agent):
    agent.call("NewKey", {"token": "one", "label": "k", "algorithm": "p256"})
    before = public(agent, "k")
    agent.call("Lock", {"token": "one"})
    assert agent.error("MakeCsr", {"key": "k", "jid": JULIET}).name == "PinNeeded"
    agent.unlock("one")
    assert public(agent, "k") == before
    pid = agent.worker()["pid"]
    os.kill(pid, signal.SIGKILL)
    wait_gone(pid)
    assert agent.error("MakeCsr", {"key": "k", "jid": JULIET}).name == "PinNeeded"
    with secret(PIN) as fd:
        agent.call("MakeCsr", {"key": "k", "jid": JULIET, "pin": {"fd": 0}}, [fd])


def test_a_key_that_another_program_deletes_and_makes_elsewhere(agent):
    make_by_hand(agent)
    csr(agent)
    for kind in ("privkey", "pubkey"):
        tool(agent, "--delete-object", "--type", kind, "--id", "0a0b")
    assert agent.error("MakeCsr", {"key": "hsm", "jid": JULIET}).name == "KeyAbsent"
    make_by_hand(agent, key_id="0c")  # another id is another URI, which nobody has used yet
    assert csr(agent).is_signature_valid


def test_a_twin_is_seen_at_the_next_search(agent):
    make_by_hand(agent)
    csr(agent)
    make_by_hand(agent, key_id="0c")
    error = agent.error("ShowKey", {"key": "hsm"})
    assert error.name == "KeyAmbiguous" and len(error.parameters["candidates"]) == 2
    agent.call("Lock", {"token": "one"})
    agent.unlock("one")
    assert agent.error("MakeCsr", {"key": "hsm", "jid": JULIET}).name == "KeyAmbiguous"


def test_candidates_are_told_apart():
    """On two tokens, by serial number, identifier, and the subject of a certificate that holds the key."""
    with Agent(labels=("one", "two")) as agent:
        keys = {}
        for token, jid in (("one", JULIET), ("two", "romeo@example.test")):
            agent.unlock(token)
            agent.call("AddAccount", {"jid": jid})
            key = agent.call("NewKey", {"token": token, "label": "same", "algorithm": "p256", "account": jid,
                                        "user": True})["key"]
            serial = agent.call("ShowToken", {"token": token})["token"]["serial"]
            keys[key["uri"]] = (key["id"], serial, f"CN={jid}")
        for method in ("ShowKey", "MakeCsr"):
            error = agent.error(method, {"key": "same", **({"jid": JULIET} if method == "MakeCsr" else {})})
            assert error.name == "KeyAmbiguous"
            assert {c["uri"]: (c["id"], c["serial"], c["subject"]) for c in error.parameters["candidates"]} == keys
        for uri in keys:
            agent.call("MakeCsr", {"key": uri, "jid": JULIET})


# ---- another key under the same name ----

def test_a_rotated_key_is_refused_until_a_person_says_so(agent):
    make_by_hand(agent)
    uri = agent.call("ShowKey", {"key": "hsm"})["key"]["uri"]
    old = public(agent)
    rotate(agent)
    assert agent.call("ShowKey", {"key": "hsm"})["key"]["uri"] == uri
    for _ in range(2):
        for name in ("hsm", uri):
            error = agent.error("MakeCsr", {"key": name, "jid": JULIET})
            assert (error.name, error.parameters["subject"]) == ("KeyChanged", uri)
            assert f"signet key use '{uri}'" in error.parameters["advice"]
    used = agent.call("UseKey", {"key": "hsm"})["key"]
    assert used["uri"] == uri and "ecdsa" in str(used["abilities"]).lower()
    assert public(agent) != old


def change_is_seen(agent, uri):
    """Under the name of a key that was used stands another: refused until a person says so."""
    old = public(agent, uri)
    yield
    time.sleep(1)  # so long a handle is trusted
    error = agent.error("MakeCsr", {"key": uri, "jid": JULIET})
    assert (error.name, error.parameters["subject"]) == ("KeyChanged", uri)
    agent.call("UseKey", {"key": uri})
    assert public(agent, uri) != old


@pytest.mark.parametrize("kind", ("EC:prime256v1", "rsa:2048"))
def test_a_rotated_key_whose_old_one_gets_another_id(agent, kind):
    """Its handle still signs."""
    make_by_hand(agent, key_id="01", kind=kind)
    uri = agent.call("UseKey", {"key": "hsm"})["key"]["uri"]
    assert "id=%01;" in uri
    with contextlib.contextmanager(change_is_seen)(agent, uri):
        for half in ("privkey", "pubkey"):
            tool(agent, "--type", half, "--id", "01", "--set-id", "99")
        make_by_hand(agent, key_id="01", kind=kind)


@pytest.mark.parametrize("rules", ("attribute x CKA_LABEL old\nattribute y CKA_LABEL x\nattribute y CKA_ID 0x01\n",
                                   "swap x y\n"), ids=("label", "swap"))
def test_a_rotated_key_whose_old_one_gets_another_label(rules):
    with FaultAgent() as agent:
        for label, key_id in (("x", "01"), ("y", "02")):
            make_by_hand(agent, label=label, key_id=key_id)
        agent.unlock("one")
        uri = agent.call("UseKey", {"key": "x"})["key"]["uri"]
        with contextlib.contextmanager(change_is_seen)(agent, uri):
            agent.script(rules)


def test_a_rotated_key_is_refused_after_a_restart(agent):
    make_by_hand(agent)
    csr(agent)
    assert agent.stop() == 0
    rotate(agent)
    agent.start()
    with secret(PIN) as fd:
        error = agent.error("MakeCsr", {"key": "hsm", "jid": JULIET, "pin": {"fd": 0}}, [fd])
    assert error.name == "KeyChanged"


def test_a_rotated_user_key_signs_nothing(agent):
    """Neither under the note of its first use, nor, adopted, for a certificate of the old one."""
    agent.call("AddAccount", {"jid": JULIET})
    user = {"token": "one", "algorithm": "p256", "account": JULIET, "user": True}
    subject = agent.call("NewKey", {**user, "label": "former"})["certificate"]["sha256"]
    made = agent.call("NewKey", {**user, "label": "user"})["key"]
    sign = {"account": JULIET, "subject": subject}
    assert agent.call("Sign", sign)["key"]["grade"] == "sha256"
    rotate(agent, key_id=made["id"], label="user")
    assert agent.call("ShowKey", {"key": made["uri"]})["key"]["public_key"] != made["public_key"]
    assert agent.error("Sign", sign).name == "KeyChanged"
    agent.call("UseKey", {"key": made["uri"]})
    agent.call("MakeCsr", {"key": made["uri"], "jid": JULIET})
    assert agent.error("Sign", sign).name == "KeyChanged"


def test_use_key_by_what_cannot_be_used(agent):
    assert agent.error("UseKey", {"key": "none"}).name == "KeyAbsent"
    make_by_hand(agent, label="bitcoin", key_id="0f0f", kind="EC:secp256k1")
    error = agent.error("UseKey", {"key": "bitcoin"})
    assert error.name == "Unsupported" and "curve" in error.parameters["message"]
    make_by_hand(agent)
    make_by_hand(agent, key_id="0c")
    assert agent.error("UseKey", {"key": "hsm"}).name == "KeyAmbiguous"
    agent.call("Lock", {"token": "one"})
    one = agent.call("ListTokens")["tokens"][0]["serial"]
    assert agent.error("UseKey", {"key": f"pkcs11:serial={one};id=%0a%0b"}).name == "PinNeeded"
    with secret(PIN) as fd, agent.client() as client:
        key = client.call("UseKey", {"key": f"pkcs11:serial={one};id=%0a%0b", "pin": {"fd": 0}}, [fd])["key"]
    assert key["algorithm"] == "p256"


# ---- a key that was there before as a user key ----

def use(agent, key="hsm", **more):
    return agent.call("UseKey", {"key": key, "account": JULIET, "user": True, **more})


@pytest.mark.parametrize("kind", ["EC:prime256v1", "rsa:2048"])
def test_a_key_of_another_program_becomes_the_user_key(agent, kind):
    agent.call("AddAccount", {"jid": JULIET})
    subject = agent.call("NewKey", {"token": "one", "label": "made", "algorithm": "p256", "account": JULIET,
                                    "user": True})["certificate"]["sha256"]
    make_by_hand(agent, kind=kind)
    plain = agent.call("UseKey", {"key": "hsm"})
    assert plain["certificate"] is None and plain["key"]["certificates"] == []
    used = use(agent)
    key, certificate = used["key"], used["certificate"]
    assert certificate["jids"] == [JULIET] and key["certificates"] == [certificate["uri"]] != [None]
    shown = agent.call("ShowKey", {"key": "hsm"})
    assert [c["sha256"] for c in shown["certificates"]] == [certificate["sha256"]]
    assert shown["key"]["public_key"] == key["public_key"]
    assert agent.call("ShowAccount", {"jid": JULIET})["account"]["user_key"] == key["uri"]
    signed = agent.call("Sign", {"account": JULIET, "subject": subject})["key"]
    made = cross_signatures(signed, certificate)
    assert set(made) == ({"ECDSA-SHA256"} if kind.startswith("EC") else {"RSA-SHA1", "RSA-SHA256"})
    again = use(agent)["certificate"]
    assert again["sha256"] != certificate["sha256"] and again["uri"]
    assert len(agent.call("ShowKey", {"key": key["uri"]})["certificates"]) == 2


def test_the_user_key_of_no_account(agent):
    make_by_hand(agent)
    assert agent.error("UseKey", {"key": "hsm", "user": True}).parameters["subject"] == "account"
    assert agent.error("UseKey", {"key": "hsm", "user": True, "account": JULIET}).name == "AccountAbsent"
    agent.call("AddAccount", {"jid": JULIET})
    assert agent.error("UseKey", {"key": "none", "user": True, "account": JULIET}).name == "KeyAbsent"
    assert agent.call("ShowAccount", {"jid": JULIET})["account"]["user_key"] is None


@pytest.mark.parametrize("method", ["UseKey", "NewKey"])
@pytest.mark.parametrize("given, kept", [("CKR_TOKEN_WRITE_PROTECTED", True), ("CKR_DEVICE_MEMORY", True),
                                         ("CKR_USER_TYPE_INVALID", True), ("CKR_DEVICE_ERROR", False)])
def test_a_token_that_takes_no_certificate(method, given, kept):
    """The agent alone keeps it, and signs; after another failure the account is without."""
    with FaultAgent() as agent:
        agent.unlock("one")
        agent.call("AddAccount", {"jid": JULIET})
        make = {"token": "one", "label": "hsm", "algorithm": "p256", "account": JULIET, "user": True}
        subject = agent.call("NewKey", {**make, "label": "former"})
        if method == "UseKey":
            make_by_hand(agent)
            make = {"key": "hsm", "account": JULIET, "user": True}
        agent.script(f"on C_CreateObject fail {given}\n")
        if not kept:
            assert agent.error(method, make).name == "TokenFailed"
            assert agent.call("ShowAccount", {"jid": JULIET})["account"]["user_key"] == subject["key"]["uri"]
            return
        made = agent.call(method, make)
        certificate = made["certificate"]
        assert certificate["uri"] is None and made["key"]["certificates"] == []
        assert agent.call("ShowAccount", {"jid": JULIET})["account"]["user_key"] == made["key"]["uri"]
        signed = agent.call("Sign", {"account": JULIET, "subject": subject["certificate"]["sha256"]})["key"]
        assert set(cross_signatures(signed, certificate)) == {"ECDSA-SHA256"}
