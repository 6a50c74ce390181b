"""OpenPGP keys and signatures on the command line, without an agent: the vectors that gpg made."""
import base64
import json
import re

import pytest

from cli_fixture import NS, SUBJECT, VECTORS, b64, keyinfo, name_of, signet, verdicts, verify

AT = ("--at", "2025-01-01")
RSA = "3b723825a061f1876ef5aabcecdbc601976d1b57"
KEYS = {"rsa": RSA, "ed25519": "fdb0e740bd571c34513cb2d3f18475af1c81da36",
        "nistp256": "57cb2cfd4cfcdb8be2374382a70d474d1205c7cf", "brainpool": "b054591815de5a46c9a950f4aab3f6d6fc5ec170",
        "revoked": "6279aab28ed25ad9f2464043de51c5c5d0137070"}


def vector(name):
    return (VECTORS / f"pgp-{name}").read_bytes()


def signed_by(issuer, signature):
    """The document's subject with an OpenPGP signature."""
    return keyinfo(SUBJECT).replace("</keyinfo>", f"<signature><issuer>{issuer}</issuer><value>{b64(vector(signature))}"
                                                  "</value></signature></keyinfo>")


@pytest.mark.parametrize("kind", ["rsa", "ed25519", "nistp256", "brainpool"])
def test_k6_openpgp_signatures_are_judged(tmp_path, kind):
    status, reply = verify(tmp_path, signed_by(KEYS[kind], f"{kind}.sig"), *AT, "--issuer", VECTORS / f"pgp-{kind}.pgp")
    assert status == 0 and verdicts(reply) == [["good"]] and reply["keys"][0]["grade"] == "sha256"
    assert not reply["issuer_from_file"]


def test_an_issuer_may_be_in_armour_or_in_the_file(tmp_path):
    text = signed_by(RSA, "rsa.sig")
    status, reply = verify(tmp_path, text, *AT, "--issuer", VECTORS / "pgp-rsa.asc")
    assert status == 0 and verdicts(reply) == [["good"]]
    both = f"<pubkeys xmlns='{NS}'>{text}<keyinfo><name>{RSA}</name><pgpdata>{b64(vector('rsa.pgp'))}</pgpdata></keyinfo></pubkeys>"
    status, reply = verify(tmp_path, both, *AT)
    assert status == 0 and verdicts(reply) == [["good"], []] and reply["issuer_from_file"]
    assert reply["keys"][1]["user_ids"] == ["xmpp:juliet@capulet.lit", "Juliet <juliet@capulet.lit>"] or \
        sorted(reply["keys"][1]["user_ids"]) == ["Juliet <juliet@capulet.lit>", "xmpp:juliet@capulet.lit"]
    assert reply["keys"][1]["jids"] == ["juliet@capulet.lit"]


@pytest.mark.parametrize("signature, verdict, says", [
    ("rsa-sha1-2018.sig", "good", None),
    ("rsa-sha1-2024.sig", "refused", "no signature counts: librnp takes no OpenPGP signature with SHA-1"),
    ("rsa-text.sig", "refused", "something else than a binary document"),
    ("rsa-short-lived.sig", "refused", "has expired"),
    ("ed25519.sig", "bad", f"a signature on {name_of(SUBJECT)} is bad"),
    ("rsa.pgp", "unknown_method", "its method is unknown"),
])
def test_what_is_wrong_with_a_signature_is_said(tmp_path, signature, verdict, says):
    status, reply = verify(tmp_path, signed_by(RSA, signature), *AT, "--issuer", VECTORS / "pgp-rsa.pgp")
    assert verdicts(reply) == [[verdict]]
    assert status == (0 if says is None else 7)
    if says is None:
        assert reply["keys"][0]["grade"] == "sha1" and reply["sha1_only"]
    elif verdict != "bad":
        assert says in reply["parameters"]["message"]


def test_a_revoked_issuer_signs_nothing(tmp_path):
    status, reply = verify(tmp_path, signed_by(KEYS["revoked"], "revoked.sig"), *AT, "--issuer", VECTORS / "pgp-revoked.pgp")
    assert status == 7 and verdicts(reply) == [["refused"]] and "revoked" in reply["parameters"]["message"]


@pytest.mark.parametrize("name, data, reason", [
    (RSA, vector("ed25519.pgp"), "the name is not the OpenPGP key's fingerprint"),
    (RSA, b"\x95" + vector("rsa.pgp")[1:], "SECRET key"),
    (RSA, vector("rsa.pgp")[:-1], "cut or malformed"),
    (RSA, vector("rsa.pgp") * 2, "more than one OpenPGP key"),
])
def test_k2_keys_that_are_none_are_refused(tmp_path, name, data, reason):
    text = f"<keyinfo xmlns='{NS}'><name>{name}</name><pgpdata>{b64(data)}</pgpdata></keyinfo>"
    status, reply = verify(tmp_path, text)
    assert status == 7 and reply["keys"] == [] and reason in reply["refused"][0]["reason"]


def test_a_secret_key_goes_nowhere(tmp_path):
    """Refused before an agent is looked for."""
    path = tmp_path / "secret"
    armoured = b"-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n" + base64.b64encode(vector("rsa.pgp")) + \
               b"\n-----END PGP PRIVATE KEY BLOCK-----\n"
    for data in b"\x95" + vector("rsa.pgp")[1:], armoured:
        path.write_bytes(data)
        for args in ["key", "pgp", "add", path, "--account", "a@b"], ["verify", path, "--issuer", path]:
            done = signet(*args)
            assert done.returncode in (2, 7) and "SECRET key" in done.stderr and "no agent" not in done.stderr


def test_people_are_shown_an_openpgp_key(tmp_path):
    path = tmp_path / "keyinfo.xml"
    path.write_text(f"<keyinfo xmlns='{NS}'><name>{KEYS['revoked']}</name><pgpdata>{b64(vector('revoked.pgp'))}</pgpdata></keyinfo>")
    out = signet("verify", path, *AT).stdout
    assert re.search(r"^kind: +OpenPGP key$", out, re.M) and re.search(r"^user ids: +Revoked$", out, re.M)
    assert re.search(r"^revoked: +YES", out, re.M)
    path.write_text(signed_by(RSA, "rsa-sha1-2024.sig"))
    out = signet("verify", path, *AT, "--issuer", VECTORS / "pgp-rsa.pgp").stdout
    assert re.search(rf"^signature: +does not count; OpenPGP packet by {RSA} \(librnp takes no", out, re.M)


def test_sign_needs_a_fingerprint():
    for text in "juliet", "00", RSA + "00":
        done = json.loads(signet("sign", "a@b", "--pgp", text, "--json").stdout)
        assert done["error"] in ("ArgumentWrong", "AgentAbsent")
