"""The command line on every kind, as a person uses it; the openssl program judges the signature."""
import base64
import json
import subprocess

from agent_fixture import BIN
from kinds import JID
from processes import PATIENCE

PIN_WANTED = 4


def signet(kind, *args, status=0):
    done = subprocess.run([BIN / "signet", "--batch", "--json", *map(str, args)], env=kind.signetd.env,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == status, done.stderr
    return json.loads(done.stdout)


def test_unlock_request_and_lock(kind):
    pin = kind.signetd.dir / "pin"
    pin.write_text(kind.pin + "\n")
    pin.chmod(0o600)
    token, = [t for t in signet(kind, "token", "list")["tokens"] if kind.is_mine(t)]
    assert signet(kind, "token", "unlock", token["uri"], "--pin-file", pin)["token"]["unlocked"]
    key = kind.any_key()
    csr = base64.b64decode(signet(kind, "csr", key, JID)["csr"])
    verified = subprocess.run(["openssl", "req", "-inform", "DER", "-verify", "-noout"], input=csr, check=True,
                              capture_output=True)
    assert b"verify OK" in verified.stderr + verified.stdout
    signet(kind, "token", "release", token["uri"])
    signet(kind, "token", "lock", token["uri"])
    assert signet(kind, "csr", key, JID, status=PIN_WANTED)["error"] == "PinNeeded"


def test_doctor(kind):
    """Where all is well it finds no problem with the token; where no pcscd runs it says so."""
    kind.unlock()
    label = kind.tokens()[0]["label"]
    found = signet(kind, "doctor")["findings"]
    assert not [f for f in found if f["level"] == "problem" and label in f["subject"] + f["message"]]
    if kind.can["removal"]:
        kind.card("pcscd", "stop")
        found = kind.call("Doctor")["findings"]
        assert any("pcscd" in f["message"] + (f["advice"] or "") for f in found if f["level"] != "good"), found
