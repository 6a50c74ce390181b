"""Server, tokens and agent side by side, and every step that is offered, typed as it is printed."""
import base64
import itertools
import re
import shutil
import sqlite3
import subprocess

import pytest

import agent_fixture
from agent_fixture import PIN
from authority_client import Client
from cert_world import Holder
from certificates import ClientCA, make_key, to_der, xmpp_addr
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID
from processes import PATIENCE

pytest_plugins = ["server_fixtures"]
NUMBERS = itertools.count(1)
ENDS = re.compile("^    (signet .*)$", re.M)


@pytest.fixture
def holder(served):
    with Holder(served, f"holder{next(NUMBERS)}") as holder:
        yield holder


def server_client(holder):
    """The account by slixmpp, with its password."""
    return Client(holder.world, holder.name)


def printed_steps(holder):
    """The command lines that `signet cert list --diff` prints."""
    return [line.strip() for line in ENDS.findall(holder.type(f"signet cert list {holder.jid} --diff").replace("\r", ""))]


def software_request(holder, key=None):
    """A request for this key, or for one that no token has."""
    key = key or make_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, holder.jid)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(name)
    builder = builder.add_extension(x509.SubjectAlternativeName([xmpp_addr(holder.jid)]), False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def mend(holder, sha256, state, command, *answers):
    """The row is in this state and offers this command, which is printed, typed, and mends it: gives the rows then."""
    row = holder.rows()[sha256]
    assert row["state"] == state and row["step"].startswith(f"signet {command} {holder.jid}"), row
    assert row["step"] in printed_steps(holder)
    for token in ("one", "two"):
        holder.agent.unlock(token)  # a terminal's pinentry would ask for it
    holder.type(row["step"], *answers)
    return holder.rows()


def test_what_is_in_order(holder):
    current = holder.enrol("key")
    row = holder.rows()[current["sha256"]]
    assert (row["state"], row["server"], row["stored"], row["on_token"], row["key"], row["step"]) == (
        "current", "listed", True, True, "here", None)
    assert (row["token"], row["serial"]) == ("one", holder.serial("one"))
    assert (row["name"], row["not_after"]) == (current["name"], current["not_after"])
    assert (holder.list, holder.problems) == ("whole", [])
    shown = holder.type(f"signet cert list {holder.jid} --diff")
    assert "All is in order." in shown and "current" in shown and "one" in shown
    assert len(holder.signet("cert", "list", holder.jid, "--diff")["certificates"]) == 1


def test_unknown_to_us(holder):
    """Another client's: this agent cannot know whether it is wanted."""
    holder.enrol("key")
    with server_client(holder) as client:
        der = client.added(software_request(holder), "phone")
    sha256 = x509.load_der_x509_certificate(der).fingerprint(hashes.SHA256()).hex()
    row = holder.rows()[sha256]
    assert (row["label"], row["token"], row["key"], row["stored"]) == ("phone", None, "unknown", False)
    assert sha256 not in mend(holder, sha256, "unknown", "cert revoke", "yes")


@pytest.mark.parametrize("first", [False, True], ids=["beside another", "as the first"])
def test_a_lost_answer(holder, first):
    """The server has issued it for a key of ours, and the answer never came."""
    current = None if first else holder.enrol("key")
    holder.agent.call("NewKey", {"token": "two", "label": "late", "algorithm": "p256"})
    csr = base64.b64decode(holder.agent.call("MakeCsr", {"key": "late", "jid": holder.jid})["csr"])
    with server_client(holder) as client:
        der = client.added(csr, "late")
    sha256 = x509.load_der_x509_certificate(der).fingerprint(hashes.SHA256()).hex()
    if first:
        holder.call("Connect", password=True)
    rows = mend(holder, sha256, "unclaimed", "cert adopt")
    assert (rows[sha256]["state"], rows[sha256]["on_token"], rows[sha256]["step"]) == (
        "current" if first else "spare", True, None)
    assert holder.account()["certificate"] == (sha256 if first else current["sha256"])
    holder.call("Disconnect")
    account = holder.call("Connect", **({} if first else {"key": "late"}))["account"]
    assert (account["mechanism"], account["certificate"]) == ("EXTERNAL", sha256)


def test_only_a_key_of_ours_is_adopted(holder):
    holder.enrol("key")
    with server_client(holder) as client:
        der = client.added(software_request(holder), "phone")
    sha256 = x509.load_der_x509_certificate(der).fingerprint(hashes.SHA256()).hex()
    for wrong, error in ((sha256, "KeyAbsent"), ("ab" * 32, "KeyAbsent"), ("x", "ArgumentWrong")):
        assert holder.agent.error("AdoptCertificate", {"jid": holder.jid, "fingerprint": wrong}).name == error


def revoke_elsewhere(holder, sha256):
    with server_client(holder) as client:
        assert client.revoke(sha256).get("type") == "result"


def test_revoked_elsewhere_a_spare(holder):
    holder.enrol("key")
    spare = holder.enrol("other", token="two", spare=True)
    assert holder.rows()[spare["sha256"]]["state"] == "spare"
    revoke_elsewhere(holder, spare["sha256"])
    assert spare["sha256"] not in mend(holder, spare["sha256"], "revoked_elsewhere", "cert remove")


def test_revoked_elsewhere_the_current_with_a_spare(holder):
    """The spare logs in; then what the first left behind can go."""
    current = holder.enrol("key")
    spare = holder.enrol("other", token="two", spare=True)
    assert holder.account()["certificate"] == current["sha256"]
    revoke_elsewhere(holder, current["sha256"])
    holder.call("Disconnect")
    holder.call("Connect", password=True)
    rows = mend(holder, current["sha256"], "revoked_elsewhere", "account connect")
    assert rows[spare["sha256"]]["state"] == "current"
    assert current["sha256"] not in mend(holder, current["sha256"], "revoked_elsewhere", "cert remove")


def test_revoked_elsewhere_the_only_one(holder):
    current = holder.enrol("key")
    revoke_elsewhere(holder, current["sha256"])
    holder.call("Disconnect")
    holder.call("Connect", password=True)
    rows = mend(holder, current["sha256"], "revoked_elsewhere", "enrol")
    assert holder.account()["certificate"] != current["sha256"]
    assert rows[holder.account()["certificate"]]["state"] == "current"
    assert current["sha256"] not in mend(holder, current["sha256"], "revoked_elsewhere", "cert remove")


def test_revoked_here_and_left_on_the_token(holder):
    """What another tool put there again, say."""
    holder.enrol("key")
    spare = holder.enrol("other", token="two", spare=True)
    der = holder.agent.dir / "spare.der"
    der.write_bytes(base64.b64decode(spare["der"]))
    holder.call("RevokeCertificate", fingerprint=spare["sha256"])
    key = holder.agent.call("ShowKey", {"key": "other"})["key"]
    if not holder.rows()[spare["sha256"]]["on_token"]:
        tool(holder, "two", "--write-object", der, "--type", "cert", "--id", key["id"], "--label", "other")
        holder.agent.call("ReleaseToken", {})
    assert holder.rows()[spare["sha256"]]["on_token"]
    assert spare["sha256"] not in mend(holder, spare["sha256"], "revoked", "cert remove")


def tool(holder, token, *args):
    subprocess.run(["pkcs11-tool", "--module", holder.world.module, "--token-label", token, "--login", "--pin", PIN,
                    *map(str, args)], env=holder.env, check=True, capture_output=True, timeout=PATIENCE,
                   stdin=subprocess.DEVNULL)


def issued_by_nobody(holder, label, days):
    """A certificate for the key with this label that the server knows nothing of, put beside it."""
    shown = holder.agent.call("ShowKey", {"key": label})["key"]
    csr = x509.load_der_x509_csr(base64.b64decode(holder.agent.call("MakeCsr", {"key": label, "jid": holder.jid})["csr"]))
    cert = ClientCA().issue(csr, [xmpp_addr(holder.jid)], subject=holder.jid, days=days)
    der = holder.agent.dir / "orphan.der"
    der.write_bytes(to_der(cert))
    tool(holder, "two", "--write-object", der, "--type", "cert", "--id", shown["id"], "--label", label)
    holder.agent.call("ReleaseToken", {})
    return cert.fingerprint(hashes.SHA256()).hex()


@pytest.mark.parametrize("days, state", [((-1, 30), "orphan"), ((-30, -1), "expired")], ids=["valid", "expired"])
def test_without_use_on_the_token(holder, days, state):
    holder.enrol("key")
    holder.agent.call("NewKey", {"token": "two", "label": "bare", "algorithm": "p256"})
    sha256 = issued_by_nobody(holder, "bare", days)
    offline = holder.rows(offline=True)[sha256]
    assert (offline["state"], offline["step"] is None) == (("unsure", True) if state == "orphan" else (state, False))
    assert sha256 not in mend(holder, sha256, state, "cert remove")


def test_the_key_is_gone(holder):
    holder.enrol("key")
    spare = holder.enrol("other", token="two", spare=True)
    shown = holder.agent.call("ShowKey", {"key": "other"})["key"]
    holder.agent.call("ReleaseToken", {})
    for kind in ("privkey", "pubkey", "cert"):
        tool(holder, "two", "--delete-object", "--type", kind, "--id", shown["id"])
    holder.agent.unlock("two")
    rows = mend(holder, spare["sha256"], "keyless", "cert revoke", "yes")
    assert (rows[spare["sha256"]]["state"], rows[spare["sha256"]]["step"]) == ("revoked", None)


def test_revoked_and_listed_again(holder):
    """The authority's ledger was restored from before."""
    holder.enrol("key")
    spare = holder.enrol("other", token="two", spare=True)
    holder.call("Disconnect")
    holder.agent.stop()
    with sqlite3.connect(holder.agent.dir / "state/signet/agent.db") as store:
        assert store.execute("UPDATE certificates SET revoked = 1 WHERE sha256 = ?", [spare["sha256"]]).rowcount == 1
    store.close()
    holder.agent.start()
    rows = mend(holder, spare["sha256"], "unrevoked", "cert revoke", "yes")
    assert rows[spare["sha256"]]["server"] == "absent"


def test_out_of_reach(holder):
    """Neither the server nor a token: what is not known is said."""
    current = holder.enrol("key")
    spare = holder.enrol("other", token="two", spare=True)
    holder.call("Disconnect")
    serial = holder.lose("two")
    rows = holder.rows(offline=True)
    assert holder.list == "unknown" and "not known" in holder.problems[0]
    assert (rows[current["sha256"]]["state"], rows[current["sha256"]]["server"]) == ("current", "unknown")
    lost = rows[spare["sha256"]]
    assert (lost["state"], lost["key"], lost["token"], lost["serial"]) == ("spare", "away", "two", serial)
    holder.lose("one")
    rows = holder.rows()  # no token, no login
    assert holder.list == "unknown" and rows[current["sha256"]]["key"] == "away"
    shown = holder.type(f"signet cert list {holder.jid} --diff")
    assert "Not known:" in shown and "token absent" in shown


@pytest.mark.parametrize("served", ["prosody"], indirect=True)  # it is not asked
def test_out_of_reach_by_a_module_that_takes_its_time(served, tmp_path, monkeypatch):
    """Its process is started anew: what is not there is not said to be locked, as it was last seen, and is no spare."""
    for program in ("signetd", "signet-xmpp"):
        shutil.copy(agent_fixture.BIN / program, tmp_path)
    slow = tmp_path / "signet-token"
    slow.write_text(f'#!/bin/sh\nsleep 0.5\nexec {agent_fixture.BIN.resolve()}/signet-token "$@"\n')
    slow.chmod(0o755)
    monkeypatch.setattr(agent_fixture, "BIN", tmp_path)
    with Holder(served, f"holder{next(NUMBERS)}") as holder:
        holder.enrol("key")
        spare = holder.enrol("other", token="two", spare=True)
        holder.lose("two")
        row = holder.rows(offline=True)[spare["sha256"]]
        assert (row["state"], row["key"], row["token"]) == ("spare", "away", "two")


def test_what_logs_in_is_not_removed(holder):
    current = holder.enrol("key")
    error = holder.agent.error("RemoveCertificate", {"jid": holder.jid, "fingerprint": current["sha256"]})
    assert error.name == "Denied"
    assert holder.rows()[current["sha256"]]["state"] == "current"
