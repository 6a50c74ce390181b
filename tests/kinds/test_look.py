"""Looking at a token and its keys, with the PIN and without."""
import pytest

from kinds import OTHER
from processes import until


def test_list_and_show(kind):
    token, = kind.tokens()
    assert token["serial"] and token["label"]
    assert (token["unlocked"], token["pin"]) == (False, "ok")
    for name in (token["uri"], f"pkcs11:token={token['label'].replace(' ', '%20').replace('#', '%23')}"):
        shown = kind.call("ShowToken", token=name)
        assert shown["token"] == token
        for mechanism in kind.can["sign"]:
            assert mechanism in shown["mechanisms"]
    assert [t["label"] for t in kind.call("ListTokens")["tokens"]].count(OTHER) == 1
    until(lambda: token in kind.call("Status")["tokens"], "Status does not show the token")


def test_keys_that_are_there(kind):
    """Each slot of a card is one key, also where its certificate is there twice (attestation)."""
    kind.unlock()
    found = {k["label"]: k["algorithm"] for k in kind.keys()}
    for place in kind.can["keys"]:
        name, algorithm = place.split(":")
        assert found[kind.labels()[name]] == algorithm
        key = kind.key_in(name)
        assert kind.call("ShowKey", key=key["uri"])["key"]["uri"] == key["uri"]
    if not kind.can["keys"]:
        assert not found


def test_attestation_certificates_never_match(kind):
    """They hold the key's public key and have its id; they are no objects of the token."""
    kind.unlock()
    subjects = [c["subject"] for k in kind.keys() for c in kind.call("ShowKey", key=k["uri"])["certificates"]]
    if kind.can["attestation"]:
        assert "PIV Attestation 9a" in kind.tool("--list-objects", "--type", "cert")
    assert not any("Attestation 9" in subject or "Attestation 8" in subject for subject in subjects)
    for place in kind.can["keys"]:
        name = place.split(":")[0]
        shown = kind.call("ShowKey", key=kind.key_in(name)["uri"])["certificates"]
        assert [f"slot {name}" in c["subject"] for c in shown] == [True]


def test_always_authenticate_is_told(kind):
    kind.unlock()
    told = {k["label"]: k["always_authenticate"] for k in kind.keys()}
    for place in kind.can["keys"]:
        name = place.split(":")[0]
        assert told[kind.labels()[name]] == (name == "9c")


@pytest.mark.parametrize("algorithm", ["rsa2048", "p256", "p384"])
def test_a_new_key(kind, algorithm):
    """Where the kind makes keys, sensitive ones; else an error that says so."""
    kind.unlock()
    if algorithm in kind.can["generate"]:
        made = kind.call("NewKey", token=kind.token, label="made", algorithm=algorithm)["key"]
        assert (made["algorithm"], made["sensitive"], made["extractable"]) == (algorithm, True, False)
        assert kind.error("NewKey", token=kind.token, label="made", algorithm=algorithm).name == "ArgumentWrong"
    else:
        before = kind.keys()
        for _ in range(40):  # a key's identifier is random, and ykcs11 takes its first byte for a slot of the card
            error = kind.error("NewKey", token=kind.token, label="made", algorithm=algorithm)
            assert error.name in kind.can["refuses-generate"], error
            assert error.parameters["advice"]
        assert kind.keys() == before
