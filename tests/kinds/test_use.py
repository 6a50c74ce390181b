"""Keys that are there already are adopted; ambiguity; a key that was exchanged."""
import os
import signal

import pytest

from certificates import cross_signatures
from kinds import JID, OTHER
from processes import suspend, until
from test_sign import judged
from varlink_client import AgentError, secret

PLACES = ["9a", "9c", "9d", "9e", "82"]


@pytest.mark.parametrize("place", PLACES)
def test_a_key_of_a_card_is_adopted(kind, place):
    """What it can do is proven by signatures that are verified."""
    kind.unlock()
    if place not in kind.labels():
        assert kind.error("UseKey", key=place).name == "KeyAbsent"
        return
    key = kind.key_in(place)
    if place in kind.can["derive-only"]:
        error = kind.error("UseKey", key=key["uri"])
        assert error.name == "MechanismMissing" and error.parameters["advice"]
        return
    used = kind.call("UseKey", key=key["uri"])["key"]
    assert used["uri"] == key["uri"]
    wanted = {"rsa2048": {"rsa-pkcs1", "rsa-pkcs1-sha1", "rsa-pkcs1-sha256", "rsa-pss"}, "p256": {"ecdsa"},
              "p384": {"ecdsa"}}[key["algorithm"]]
    assert wanted <= set(used["abilities"])
    judged(kind, key["uri"])


def test_a_key_of_another_program_is_adopted(kind):
    """Where others can make one."""
    if kind.can["keys"]:
        assert "9a" in kind.labels()
        return
    kind.foreign_key("foreign")
    kind.unlock()
    key, = kind.keys()
    assert kind.call("UseKey", key=key["uri"])["key"]["uri"] == key["uri"]
    judged(kind, key["uri"])


@pytest.mark.parametrize("place", ["9a", "9c"])
def test_a_key_that_is_there_becomes_the_user_key(kind, place):
    """Its certificate is made on the card, which takes none: the agent keeps it, and the key cross-signs."""
    kind.unlock()
    kind.call("AddAccount", jid=JID)
    other = kind.signetd.unlock(OTHER)["uri"]
    subject = kind.call("NewKey", token=other, label="former", algorithm="p256", account=JID, user=True)["certificate"]
    key = kind.key_in(place)["uri"] if place in kind.labels() else kind.any_key("rsa2048", label=place)
    used = kind.call("UseKey", key=key, account=JID, user=True)
    certificate = used["certificate"]
    assert certificate["jids"] == [JID] and bool(certificate["uri"]) == bool(kind.can["store-certificates"])
    assert kind.call("ShowAccount", jid=JID)["account"]["user_key"] == key
    for _ in range(2):
        signed = kind.call("Sign", account=JID, subject=subject["sha256"])["key"]
        assert set(cross_signatures(signed, certificate)) == {"RSA-SHA1", "RSA-SHA256"}
    if place in kind.labels():
        tried = kind.pins()
        assert all(status == "9000" for _, _, status in tried) and (len(tried) > 5) == (place == "9c")


def test_ambiguity(kind):
    """Several keys fit a name: the error tells them apart."""
    kind.unlock()
    if not kind.can["keys"]:
        for label in ("first", "second"):
            kind.call("NewKey", token=kind.token, label=label, algorithm="p256")
    error = kind.error("ShowKey", key=kind.token)
    assert error.name == "KeyAmbiguous"
    candidates = error.parameters["candidates"]
    assert len(candidates) >= 2 and len({c["uri"] for c in candidates}) == len(candidates)
    assert all(c["label"] and c["id"] and c["serial"] for c in candidates)
    if kind.can["keys"]:
        subjects = {c["subject"] for c in candidates if c["subject"]}
        assert any("slot 9a" in s for s in subjects) and not any("Attestation 9" in s for s in subjects)


def test_a_rotated_key_is_noticed(kind):
    """Another key under the same URI is refused until the person says that it is meant."""
    kind.unlock()
    if not kind.can["removal"]:
        key = kind.any_key()
        assert kind.call("UseKey", key=key)["key"]["uri"] == key
        judged(kind, key)
        return
    kind.card("insert", "rotated")
    kind.unlock()
    key = kind.key_in("9a")
    kind.call("UseKey", key=key["uri"])
    judged(kind, key["uri"])
    kind.card("remove")
    kind.card("insert", "rotated")
    kind.card("replace", "9a", "rsa2048")
    kind.card("remove")
    kind.card("insert", "rotated")
    kind.unlock()
    error = kind.error("MakeCsr", key=key["uri"], jid=JID)
    assert error.name == "KeyChanged" and "signet key use" in error.parameters["advice"]
    kind.call("UseKey", key=key["uri"])
    judged(kind, key["uri"])


@pytest.mark.parametrize("place", ["9a", "9c"])
def test_a_key_exchanged_in_a_card_that_stays(kind, place):
    """By another program: said as it is where the module looks again; one that shows what it read once says so."""
    if not kind.can["removal"]:
        assert not hasattr(kind, "card")
        return
    kind.card("insert", f"exchanged-{place}")
    kind.unlock()
    key = kind.key_in(place)["uri"]
    kind.call("UseKey", key=key)
    judged(kind, key)
    kind.card("replace", place, "rsa2048")
    errors = []

    def noticed():
        """One signature in so often is verified."""
        try:
            kind.call("MakeCsr", key=key, jid=JID)
        except AgentError as error:
            errors.append(error)
        return errors
    until(noticed, "the exchange is not noticed")
    if kind.name == "ykcs11":
        assert errors[0].name == "KeyChanged", errors
    else:
        assert errors[0].name == "TokenFailed" and "lock and unlock" in errors[0].parameters["message"], errors
        kind.call("Lock", token=kind.token)
        kind.unlock()
    error = kind.error("MakeCsr", key=key, jid=JID)
    assert error.name == "KeyChanged" and "signet key use" in error.parameters["advice"], error
    kind.call("UseKey", key=key)
    judged(kind, key)
    assert {status for _, _, status in kind.pins()} == {"9000"}


def test_a_key_in_two_slots(kind):
    """Each is a key of its own, that signs; once one slot is empty, the other's goes on."""
    if not kind.can["removal"]:
        assert not hasattr(kind, "card")
        return
    kind.card("insert", "doubled")
    kind.card("duplicate", "9c", "9a")
    kind.card("remove")
    kind.card("insert", "doubled")
    kind.unlock()
    one, two = kind.key_in("9a"), kind.key_in("9c")
    assert one["public_key"] == two["public_key"] and one["uri"] != two["uri"]
    for key in (one, two):
        judged(kind, key["uri"])
    kind.card("forget", "9c")
    kind.card("remove")
    kind.card("insert", "doubled")
    kind.unlock()
    assert kind.error("MakeCsr", key=two["uri"], jid=JID).name == "KeyAbsent"
    judged(kind, one["uri"])


def test_a_key_is_there_although_its_process_has_just_died(kind):
    """While it was asked which token is meant: the next one is asked, and the PIN is for that one."""
    kind.signetd.unlock(OTHER)  # that module is not loaded anew, which would have all of them asked again
    kind.unlock()
    key = kind.any_key("rsa2048")
    pid = next(w for w in kind.call("Status")["workers"] if kind.name in w["subject"])["pid"]
    suspend(pid)
    with secret(kind.pin) as fd, kind.signetd.client() as client:
        client.send("MakeCsr", {"key": key, "jid": JID, "pin": {"fd": 0}}, [fd])
        kind.call("ListAccounts")
        os.kill(pid, signal.SIGKILL)
        assert client.receive()["csr"]
