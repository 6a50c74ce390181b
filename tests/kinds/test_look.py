"""Looking at a token and its keys, with the PIN and without."""
import base64
import ssl
import subprocess

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


def test_attestation(kind, tmp_path):
    """What the token says of where a key was made; OpenSSL judges the chain."""
    kind.unlock()
    keys = [kind.key_in(place.split(":")[0]) for place in kind.can["keys"]] or [{"uri": kind.any_key()}]
    for key in keys:
        shown = kind.call("ShowKey", key=key["uri"], attestation=True)
        assert kind.call("ShowKey", key=key["uri"])["attestation"] is None
        if not kind.can["attestation"]:
            assert shown["attestation"] is None
            continue
        certificate, issuer = shown["attestation"]["certificate"], shown["attestation"]["issuer"]
        assert certificate["subject"].startswith("CN=PIV Attestation ") and not shown["attestation"]["kept"]
        assert certificate["issuer"] == issuer["subject"] == "CN=attestation"
        files = []
        for name, cert in (("key", certificate), ("issuer", issuer)):
            files.append(tmp_path / name)
            files[-1].write_bytes(ssl.DER_cert_to_PEM_cert(base64.b64decode(cert["der"])).encode())
        subprocess.run(["openssl", "verify", "-CAfile", files[1], files[0]], check=True)
        public = subprocess.run(["openssl", "x509", "-in", files[0], "-pubkey", "-noout"], check=True,
                                capture_output=True).stdout
        assert public == subprocess.run(["openssl", "pkey", "-pubin", "-inform", "DER"], check=True,
                                        input=base64.b64decode(shown["key"]["public_key"]), capture_output=True).stdout


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
