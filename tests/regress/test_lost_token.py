"""A spare token, and the day that the first one is lost."""
import base64
import contextlib
import hashlib
import itertools
import os
import re
import signal
import sqlite3
import subprocess

import pytest
from cryptography.hazmat.primitives import serialization

from authority_client import Client
from authority_world import key_files
from cert_world import Holder
from certificates import make_key
from fault_agent import FAULT, FaultAgent
from processes import PATIENCE, suspend, until
from test_cert_diff import software_request, tool
from varlink_client import secret
from world import PASSWORD

pytest_plugins = ["server_fixtures"]
NUMBERS = itertools.count(1)


@pytest.fixture
def holder(served):
    with Holder(served, f"loser{next(NUMBERS)}") as holder:
        yield holder


def import_key(holder, token, label):
    """A key that a slixmpp client has, too, on the token; gives it."""
    key, ident = make_key(), hashlib.sha1(label.encode()).hexdigest()
    path = holder.agent.dir / f"{label}.key"
    path.write_bytes(key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8,
                                       serialization.NoEncryption()))
    public = holder.agent.dir / f"{label}.pub"
    public.write_bytes(key.public_key().public_bytes(serialization.Encoding.DER,
                                                     serialization.PublicFormat.SubjectPublicKeyInfo))
    holder.agent.call("ReleaseToken", {})
    for kind, file in (("privkey", path), ("pubkey", public)):
        tool(holder, token, "--write-object", file, "--type", kind, "--id", ident, "--label", label)
    holder.agent.unlock(token)
    return key


def published(holder):
    return {key["name"] for key in holder.call("ShowPublished")["keys"]}


def test_a_lost_token(holder):
    """From the spare, one command: sessions end, nothing logs in again, keyinfos are gone, the spare goes on."""
    key = import_key(holder, "one", "first")
    first = holder.enrol("first", new=False)
    other = holder.enrol("second", token="one", spare=True)
    holder.agent.call("NewKey", {"token": "two", "label": "user", "user": True, "account": holder.jid})
    holder.agent.call("NewKey", {"token": "two", "label": "spare", "algorithm": "p256"})
    spare = holder.signet("enrol", holder.jid, "--key", "spare", "--spare", "--password-file", password(holder))
    assert spare["signed"] and spare["account"]["certificate"] == first["sha256"]
    spare = spare["certificate"]
    holder.call("Publish")
    assert first["name"] in published(holder)
    files = key_files(holder.world, key, base64.b64decode(first["der"]))
    with Client(holder.world, holder.name, files, resource="thief") as thief:
        assert thief.logged_in
        serial = holder.lose("one")
        done = holder.signet("cert", "revoke", holder.jid, "--token", serial, "--yes")
        assert {row["sha256"]: row["outcome"] for row in done["certificates"]} == {
            first["sha256"]: "revoked", other["sha256"]: "revoked"}
        assert done["switched"] and done["unretracted"] is None
        assert thief.down.wait(PATIENCE)
    with Client(holder.world, holder.name, files, resource="thief") as thief:
        assert not thief.logged_in
    account = holder.account()
    assert (account["state"], account["mechanism"], account["certificate"]) == ("online", "EXTERNAL", spare["sha256"])
    assert first["name"] not in published(holder)
    rows = holder.rows()
    assert {row["state"] for row in rows.values()} == {"revoked", "current"}
    assert all(row["step"] is None for row in rows.values())
    again = holder.signet("cert", "revoke", holder.jid, "--token", serial, "--yes")  # C10
    assert {row["outcome"] for row in again["certificates"]} == {"revoked"} and not again["switched"]


def test_a_renewal_that_waits_on_the_lost_token(holder):
    """What is not finished there stands in nobody's way: it ends with its token."""
    first = holder.enrol("first")
    holder.agent.call("NewKey", {"token": "two", "label": "spare", "algorithm": "p256"})
    spare = holder.call("Enrol", key="spare", spare=True)["certificate"]
    holder.agent.call("NewKey", {"token": "two", "label": "user", "user": True, "account": holder.jid})
    holder.agent.call("Lock", {"token": "two"})
    assert holder.agent.error("Renew", {"jid": holder.jid}).name == "PinNeeded"
    account = holder.account()
    assert account["jobs"][0]["state"] == "sign" and account["certificate"] not in (first["sha256"], spare["sha256"])
    serial = holder.lose("one")
    done = holder.signet("cert", "revoke", holder.jid, "--token", serial, "--yes", "--pin-file", holder.agent.dir / "pin")
    assert {row["sha256"]: row["outcome"] for row in done["certificates"]} == {
        first["sha256"]: "revoked", account["certificate"]: "revoked"}
    account = holder.account()
    assert (account["mechanism"], account["certificate"]) == ("EXTERNAL", spare["sha256"])
    assert not [job for job in account["jobs"] if job["kind"] != "revoke"]


def password(holder):
    path = holder.agent.dir / "password"
    path.write_text("secret")
    path.chmod(0o600)
    return path


def test_without_a_spare_the_password_logs_in(holder):
    """Never by a certificate that is to be revoked."""
    first = holder.enrol("first")
    serial = holder.serial("one")
    error = holder.agent.error("RevokeToken", {"jid": holder.jid, "token": serial})
    assert error.name == "PasswordNeeded"
    assert holder.rows()[first["sha256"]]["state"] == "current"
    uri = next(t["uri"] for t in holder.agent.call("ListTokens")["tokens"] if t["serial"] == serial)
    done = holder.call("RevokeToken", password=True, token=uri)
    assert [row["outcome"] for row in done["certificates"]] == ["revoked"] and not done["switched"]
    assert holder.account()["mechanism"] != "EXTERNAL"


def test_the_other_token_stays(holder):
    """The spare's token is lost: the account goes on as it was; by label, and another's certificate is left alone."""
    first = holder.enrol("first")
    spare = holder.enrol("spare", token="two", spare=True)
    with Client(holder.world, holder.name) as client:
        phone = hashlib.sha256(client.added(software_request(holder), "phone")).hexdigest()
    holder.lose("two")
    done = holder.call("RevokeToken", token="two")
    assert [row["sha256"] for row in done["certificates"]] == [spare["sha256"]] and not done["switched"]
    rows = holder.rows()
    assert (rows[first["sha256"]]["state"], rows[phone]["state"]) == ("current", "unknown")
    assert holder.account()["certificate"] == first["sha256"]


def test_what_is_meant_must_be_one_token(holder):
    holder.enrol("first")
    holder.enrol("spare", token="two", spare=True)
    assert holder.agent.error("RevokeToken", {"jid": holder.jid, "token": "three"}).name == "TokenAbsent"
    error = holder.agent.error("RevokeToken", {"jid": holder.jid, "token": "pkcs11:model=SoftHSM%20v2"})
    assert error.name == "TokenAmbiguous" and len(error.parameters["candidates"]) == 2


def test_a_spare_that_the_server_refuses_changes_nothing(holder):
    first = holder.enrol("first")
    spare = holder.enrol("spare", token="two", spare=True)
    with Client(holder.world, holder.name) as client:
        assert client.revoke(spare["sha256"]).get("type") == "result"
    assert holder.agent.error("Connect", {"jid": holder.jid, "key": "spare"}).name == "LoginRefused"
    assert holder.account()["certificate"] == first["sha256"]
    assert holder.agent.error("Connect", {"jid": holder.jid, "key": "nothing"}).name == "KeyAbsent"
    assert holder.call("Connect")["account"]["mechanism"] == "EXTERNAL"


def test_the_user_key_was_on_it_too(holder):
    """Whoever has it can sign keys in the account's name: that is said, and what to do."""
    holder.agent.call("NewKey", {"token": "one", "label": "user", "user": True, "account": holder.jid})
    holder.enrol("first")
    holder.enrol("spare", token="two", spare=True)
    serial = holder.lose("one")
    holder.agent.unlock("two")  # a terminal's pinentry would ask for it
    shown = holder.type(f"signet cert revoke {holder.jid} --token {serial} --yes")
    assert "user key" in shown and "signet key new" in shown
    assert holder.call("RevokeToken", token=serial)["user_key_lost"]
    holder.agent.call("NewKey", {"token": "two", "label": "user", "user": True, "account": holder.jid})
    assert not holder.call("RevokeToken", token=serial)["user_key_lost"]


def test_a_renewal_that_waits_goes_with_its_token(holder):
    """The lost token's certificate was being renewed: that keeps nothing up, and nothing of it stays."""
    first = holder.enrol("first")
    spare = holder.enrol("spare", token="two", spare=True)
    holder.world.authority.stop()
    try:
        holder.agent.error("Renew", {"jid": holder.jid, "rekey": True})
    finally:
        holder.world.start_authority()
    serial = holder.lose("one")
    assert [job["kind"] for job in holder.account()["jobs"]] == ["renew"]
    done = holder.signet("cert", "revoke", holder.jid, "--token", serial, "--yes")
    assert {row["sha256"]: row["outcome"] for row in done["certificates"]} == {first["sha256"]: "revoked"}
    account = holder.account()
    assert (account["certificate"], account["jobs"]) == (spare["sha256"], [])
    assert {row["state"] for row in holder.rows().values()} == {"revoked", "current"}


def test_the_next_spare_where_one_is_refused(holder):
    """The spare that is valid longest was revoked elsewhere: another one does."""
    first = holder.enrol("first")
    good = holder.enrol("good", token="two", spare=True)
    bad = holder.enrol("bad", token="two", spare=True)
    with Client(holder.world, holder.name) as client:
        assert client.revoke(bad["sha256"]).get("type") == "result"
    serial = holder.lose("one")
    done = holder.call("RevokeToken", token=serial)
    assert [(row["sha256"], row["outcome"]) for row in done["certificates"]] == [(first["sha256"], "revoked")]
    assert done["switched"] and holder.account()["certificate"] == good["sha256"]


def test_when_all_spares_are_refused_the_password_is_asked_for(holder):
    first = holder.enrol("first")
    spare = holder.enrol("spare", token="two", spare=True)
    with Client(holder.world, holder.name) as client:
        assert client.revoke(spare["sha256"]).get("type") == "result"
    serial = holder.lose("one")
    error = holder.agent.error("RevokeToken", {"jid": holder.jid, "token": serial})
    assert error.name == "PasswordNeeded" and "--password-file" in error.parameters["advice"]
    assert holder.account()["certificate"] == first["sha256"]
    done = holder.call("RevokeToken", password=True, token=serial)
    assert [row["outcome"] for row in done["certificates"]] == ["revoked"]


def hide(holder, token, label):
    """The public half, too, is seen with the PIN alone, as it is on many an HSM."""
    ident = hashlib.sha1(label.encode()).hexdigest()
    holder.agent.call("ReleaseToken", {})
    tool(holder, token, "--delete-object", "--type", "pubkey", "--id", ident)
    tool(holder, token, "--write-object", holder.agent.dir / f"{label}.pub", "--type", "pubkey", "--id", ident,
         "--label", label, "--private")


def test_a_spare_that_its_locked_token_hides(holder):
    """It is in reach: the PIN opens it."""
    import_key(holder, "two", "spare")
    hide(holder, "two", "spare")
    first = holder.enrol("first")
    holder.agent.unlock("two")
    spare = holder.enrol("spare", new=False, spare=True)
    serial = holder.lose("one")
    assert holder.rows()[spare["sha256"]]["key"] == "hidden"
    done = holder.signet("cert", "revoke", holder.jid, "--token", serial, "--yes")
    assert [(row["sha256"], row["outcome"]) for row in done["certificates"]] == [(first["sha256"], "revoked")]
    assert done["switched"] and holder.account()["certificate"] == spare["sha256"]


def test_a_token_is_not_merely_disabled(holder):
    """--disable leaves sessions open, which is not what is done to a lost token."""
    first = holder.enrol("first")
    done = holder.signet("cert", "revoke", holder.jid, "--token", "one", "--disable", "--yes", check=False)
    assert done["error"] == "ArgumentWrong"
    assert holder.rows()[first["sha256"]]["state"] == "current"


@contextlib.contextmanager
def asking_too_often(holder):
    """The authority gives the account no list, for as long as this lasts."""
    world = holder.world
    before = world.authority_conf.read_text()

    def restart(text):
        world.write("authority/authority.conf", text)
        world.authority.stop()
        world.start_authority()
    restart(before.replace(f"minute = {world.requests}", "minute = 1"))
    try:
        with Client(world, holder.name) as client:
            client.listed()
        yield
    finally:
        restart(before)


def test_what_the_list_may_hide_is_told(holder):
    """The server does not tell its list now: that all of the lost token's certificates are dealt with is not said."""
    key = import_key(holder, "one", "first")
    first = holder.enrol("first", new=False)
    holder.enrol("spare", token="two", spare=True)
    with Client(holder.world, holder.name) as client:
        client.added(software_request(holder, key), "late")  # for the key on the token; nobody here knows of it
    serial = holder.lose("one")
    with asking_too_often(holder):
        shown = holder.run("cert", "revoke", holder.jid, "--token", serial, "--yes")
        assert shown.returncode == 5 and "Not known" in shown.stdout and "same command again" in shown.stdout
        done = holder.call("RevokeToken", token=serial)
    assert [(row["sha256"], row["outcome"]) for row in done["certificates"]] == [(first["sha256"], "revoked")]
    assert any("too often" in problem for problem in done["problems"])
    done = holder.signet("cert", "revoke", holder.jid, "--token", serial, "--yes")
    assert len(done["certificates"]) == 2 and done["problems"] == []


def test_while_the_authority_is_away(holder):
    """It is revoked as soon as that is possible, with nobody asking again."""
    first = holder.enrol("first")
    spare = holder.enrol("spare", token="two", spare=True)
    serial = holder.lose("one")
    holder.world.authority.stop()
    try:
        done = holder.call("RevokeToken", token=serial)
        assert [(row["sha256"], row["outcome"]) for row in done["certificates"]] == [(first["sha256"], "pending")]
        assert done["switched"] and done["problems"]
        until(lambda: 5_000 < (holder.agent.wakes_in() or 0) <= 60_000, "nothing tries it again")
    finally:
        holder.world.start_authority()
    holder.call("Disconnect")
    holder.call("Connect")
    until(lambda: not holder.account()["jobs"], "the revocation does not go on")
    rows = holder.rows()
    assert {sha256: row["state"] for sha256, row in rows.items()} == {first["sha256"]: "revoked", spare["sha256"]: "current"}


def test_where_the_store_fails_midway(holder):
    """What was intended before that is revoked, though the call fails."""
    lost = {holder.enrol("first")["sha256"], holder.enrol("second", spare=True)["sha256"]}
    holder.enrol("spare", token="two", spare=True)
    with contextlib.closing(sqlite3.connect(holder.agent.dir / "state/signet/agent.db", isolation_level=None)) as store:
        store.execute("CREATE TRIGGER full BEFORE INSERT ON jobs WHEN EXISTS (SELECT * FROM jobs WHERE sha256 <> NEW.sha256)"
                      " BEGIN SELECT RAISE(ABORT, 'it is full'); END")
        error = holder.agent.error("RevokeToken", {"jid": holder.jid, "token": "one"})
        store.execute("DROP TRIGGER full")
    assert error.name == "StorageFailed"
    until(lambda: not holder.account()["jobs"], "nobody revokes what was intended")
    rows = holder.rows()
    assert sorted(rows[sha256]["state"] == "revoked" for sha256 in lost) == [False, True]


def not_signed_yet(holder, old=None):
    """A renewal for a key on the other token, of an account whose user key is nowhere any more. old: the certificate that it
    has, or it gets one. Gives the SHA-256 of both certificates."""
    old = old or holder.enrol("client")["sha256"]
    holder.agent.call("NewKey", {"token": "one", "label": "user", "user": True, "account": holder.jid})
    holder.agent.call("NewKey", {"token": "two", "label": "other", "algorithm": "p256"})
    tool(holder, "one", "--delete-object", "--type", "privkey", "--label", "user")
    holder.agent.call("ReleaseToken", {})
    holder.agent.error("Renew", {"jid": holder.jid, "key": "other"})
    new = holder.account()["certificate"]
    holder.call("Disconnect")
    assert new != old and holder.account()["jobs"][0]["state"] == "sign"
    return old, new


def operator_revokes(world, sha256):
    world.run("signet-authority", "--config", world.authority_conf, "revoke", sha256, env=world.authority_env)


@pytest.mark.parametrize("told_by", ["login", "list"])
def test_a_renewal_is_not_undone_for_a_token_that_is_away(holder, told_by):
    """Its certificate is the only one that is valid: the former one is revoked, before that is asked for or afterwards."""
    old, new = not_signed_yet(holder)
    two = holder.lose("two")
    if told_by == "list":  # the undoing waits for the authority
        holder.world.authority.stop()
        try:
            holder.agent.error("CancelEnrolment", {"jid": holder.jid})
            assert holder.account()["jobs"][0]["state"] == "undo"
            operator_revokes(holder.world, old)
        finally:
            holder.world.start_authority()
        holder.call("Disconnect")
    else:
        operator_revokes(holder.world, old)
    with secret(PASSWORD) as fd:
        asked = ({"jid": holder.jid}, []) if told_by == "login" else ({"jid": holder.jid, "password": {"fd": 0}}, [fd])
        error = holder.agent.error("CancelEnrolment", *asked)
    assert error.name == "CertificateRefused" and "keeps the new one" in error.parameters["message"]
    assert (holder.account()["certificate"], holder.account()["jobs"]) == (new, [])
    holder.find(two)
    holder.call("Disconnect")
    assert holder.call("Connect")["account"]["mechanism"] == "EXTERNAL"


def lock_for_good(holder, token):
    """By wrong PINs in another program, which is none of ours: a sanitizer that the module has must be loaded before."""
    env = dict(holder.env)
    linked = subprocess.run(["ldd", FAULT], check=True, capture_output=True, text=True).stdout
    if found := re.search(r"libasan\S* => (\S+)", linked):
        env |= {"LD_PRELOAD": found[1], "ASAN_OPTIONS": "detect_leaks=0"}
    for pin, said in (("1111", "CKR_PIN_INCORRECT"), ("2222", "CKR_PIN_INCORRECT"), ("3333", "CKR_PIN_LOCKED")):
        done = subprocess.run(["pkcs11-tool", "--module", FAULT, "--token-label", token, "--login", "--pin", pin,
                               "--list-objects"], env=env, capture_output=True, text=True, timeout=PATIENCE)
        assert said in done.stderr, done.stderr


def test_a_renewal_whose_token_is_locked_for_good_is_undone(served):
    """Nor can the new certificate log in then; the former one can."""
    agent = FaultAgent("pin 3\n", labels=("one", "two"))
    with Holder(served, f"loser{next(NUMBERS)}", agent) as holder:
        old, _ = not_signed_yet(holder)
        holder.agent.call("ReleaseToken", {})
        lock_for_good(holder, "two")
        holder.call("CancelEnrolment")
        assert holder.agent.count("the PIN of token 'two' is locked") > 0
        assert holder.account()["certificate"] == old
        assert [c["certificate"]["sha256"] for c in holder.call("ListCertificates")["certificates"]] == [old]
        assert holder.account()["jobs"] == []  # what is left lies on that token, and keeps nothing up


def test_a_job_that_fails_leaves_a_call_its_connection(served):
    """The call's login unlocks a token, and a job that waited for that goes on beside it: before the account is online."""
    authority = served.authority.popen.pid
    with Holder(served, f"loser{next(NUMBERS)}", FaultAgent(labels=("one", "two"))) as holder:
        not_signed_yet(holder)
        holder.agent.call("ReleaseToken", {})
        waits, online = (holder.agent.count(text) for text in ("waits in its state sign", " is online: EXTERNAL"))
        holder.agent.script("on C_Login 2 hang\n")  # the job's, to the token of the user key
        suspend(authority)
        try:
            with holder.agent.client() as client:
                client.send("ListCertificates", {"jid": holder.jid})
                until(lambda: holder.agent.count(" is online: EXTERNAL") > online, "the call does not connect")
                holder.agent.script("")
                until(lambda: holder.agent.count("waits in its state sign") > waits, "the job does not go on")
                os.kill(authority, signal.SIGCONT)
                assert len(client.receive()["certificates"]) == 2
        finally:
            os.kill(authority, signal.SIGCONT)
        assert holder.account()["state"] == "online"
