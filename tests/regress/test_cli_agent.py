"""signet with an agent that is absent, lies or dies. What it does with a real one stands in the other files."""
import itertools
import json
import os
import re
import signal
import subprocess
import threading

import pytest

from cli_fixture import (
    b64, BY_RSA, CLIENT, error, keyinfo, MIB, name_of, Rogue, SIGNET, signet, SMALL_ENV, USER)
from processes import PATIENCE


@pytest.mark.parametrize("name, status", [
    ("Internal", 1), ("ArgumentWrong", 2), ("TokenAbsent", 3), ("PinWrong", 4), ("TokenFailed", 5), ("WorkerDied", 5),
    ("TlsFailed", 6), ("CertificateRefused", 7), ("Denied", 8), ("NeverHeardOf", 1)])
def test_errors_become_statuses(tmp_path, name, status):
    done = Rogue(tmp_path, error(name)).signet("status")
    assert done.returncode == status and done.stdout == ""
    assert done.stderr == "signet: it is so\nDo that.\n"


def test_candidates_and_tries_are_shown(tmp_path):
    reply = error("KeyAmbiguous", candidates=[
        {"uri": "pkcs11:object=a", "label": "a", "id": "01", "serial": "77", "subject": "CN=a"},
        {"uri": "pkcs11:object=b", "label": "", "id": None, "serial": "77", "subject": "CN=\x1b[2J"},
        {"uri": "pkcs11:object=\x1b[31m"}, {}, 7], subject="x")
    done = Rogue(tmp_path, reply).signet("key", "show", "x")
    assert done.returncode == 3
    assert done.stderr.splitlines()[2:] == [
        "  pkcs11:object=a", '      "a", id 01, token serial 77, certificate of CN=a',
        "  pkcs11:object=b", "      token serial 77, certificate of CN=\\x1b[2J", "  pkcs11:object=\\x1b[31m", "  -", "  -"]
    (tmp_path / "rogue.sock").unlink()
    done = Rogue(tmp_path, error("PinWrong", tries_left=2)).signet("token", "unlock", "x")
    assert "Tries left: 2" in done.stderr
    (tmp_path / "rogue.sock").unlink()
    done = Rogue(tmp_path, reply).signet("key", "show", "x", "--json")
    assert json.loads(done.stdout) == {"error": "KeyAmbiguous", "parameters": reply["parameters"]} and done.stderr == ""


@pytest.mark.parametrize("reply, status", [
    (None, 3), (b"", 3), (b"{\"parameters\":", 3), (b"nonsense\0", 7), (b"[]\0", 7), (b"\xff\0", 7), (b"{" * 40 + b"\0", 7),
    (b"x" * (2 * MIB), 7), (b"{\"parameters\":[]}\0", 7), ({"parameters": {}}, 0), ({}, 0),
    ({"parameters": {"tokens": 7, "accounts": [7, None], "workers": [{"pid": "x"}]}}, 0),
    ({"error": "org.varlink.service.MethodNotFound", "parameters": {"method": "x"}}, 1)],
    ids=itertools.count())
def test_nonsense_from_the_agent_is_survived(tmp_path, reply, status):
    done = Rogue(tmp_path, reply).signet("status")
    assert done.returncode == status, done.stderr
    assert (status == 0) == (done.stderr == "")


def test_the_agents_text_cannot_move_the_terminal(tmp_path):
    evil = "\x1b]0;owned\x07\u009b31m\u202e"
    token = {"label": evil, "serial": evil, "uri": evil, "pin": evil, "unlocked": False}
    done = Rogue(tmp_path, {"parameters": {"tokens": [token]}}).signet("token", "list")
    assert done.returncode == 0 and not set("\x1b\x07\u009b\u202e") & set(done.stdout)


def test_what_is_sent(tmp_path):
    ca = tmp_path / "ca.pem"
    ca.write_bytes(subprocess.run(["openssl", "x509", "-inform", "DER"], input=USER, capture_output=True, check=True).stdout)
    rogue = Rogue(tmp_path, {"parameters": {}})
    done = rogue.signet("account", "add", "--port", "5222", "juliet@example.org", "--cafile", "ca.pem", "--tls", "direct",
                        cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert rogue.calls == [{"method": "org.signet.Agent.AddAccount", "parameters": {
        "jid": "juliet@example.org", "port": 5222, "tls": "direct", "cafile": str(ca)}}]


def test_pins_travel_as_descriptors_only(tmp_path):
    pin = tmp_path / "my pin"
    pin.write_text("1234\n")
    pin.chmod(0o600)
    uri = f"pkcs11:token=t?module-path=/evil.so&pin-source=file:{tmp_path}/my%20pin"
    for args, more in ((("t", "--pin-file", pin), {}), (("t", "--pin-fd", "0"), {"input": "1234\n"}), ((uri,), {})):
        rogue = Rogue(tmp_path, {"parameters": {"token": {"label": "t", "unlocked": True}}})
        done = rogue.signet("token", "unlock", *args, **more)
        assert done.returncode == 0, done.stderr
        assert rogue.calls[0]["parameters"] == {"token": uri.split("?")[0] if args[0] == uri else "t", "pin": {"fd": 0}}
        assert rogue.secrets == [[b"1234\n"]]
        (tmp_path / "rogue.sock").unlink()
    pin.chmod(0o644)
    done = signet("token", "unlock", "t", "--pin-file", pin)
    assert done.returncode == 8 and "open to others" in done.stderr


TOKEN = {"label": "t\x1b[2J", "uri": "pkcs11:token=t", "serial": "1", "unlocked": True, "pin": "ok"}


@pytest.mark.parametrize("command, method, says", [
    (("token", "pin", "change"), "ChangePin", "Token 't\\x1b[2J' has its new PIN.\nAlso\\x1b tell it.\n"),
    (("token", "pin", "unblock"), "UnblockPin", "Token 't\\x1b[2J' is unblocked and has its new PIN.\nAlso\\x1b tell it.\n"),
    (("key", "use"), "UseKey", "abilities:    rsa-pkcs1, rsa-pss\n")])
def test_commands_that_bring_a_pin(tmp_path, command, method, says):
    """Both PINs are lines of one descriptor, which goes to the agent unread."""
    member = "key" if command[0] == "key" else "token"
    reply = {"parameters": {"token": TOKEN, "note": "Also\x1b tell it."} if member == "token" else {
        "key": {"label": "k", "abilities": ["rsa-pkcs1", "rsa-pss"]}}}
    pins = tmp_path / "pins"
    pins.write_text("1234\n5678\n")
    pins.chmod(0o600)
    for args, more in ((("--pin-fd", "0"), {"input": "1234\n5678\n"}), (("--pin-file", pins), {})):
        rogue = Rogue(tmp_path, reply)
        done = rogue.signet(*command, "pkcs11:token=t?module-name=x", *args, **more)
        assert done.returncode == 0 and says in done.stdout, done.stderr
        assert rogue.calls == [{"method": f"org.signet.Agent.{method}", "parameters": {member: "pkcs11:token=t", "pin": {"fd": 0}}}]
        assert rogue.secrets == [[b"1234\n5678\n"]]
        (tmp_path / "rogue.sock").unlink()
    rogue = Rogue(tmp_path, error("PinNeeded"))
    done = rogue.signet(*command, "t", "--batch", env=SMALL_ENV | {"DISPLAY": ":9"})
    assert done.returncode == 4 and rogue.calls[0]["parameters"] == {member: "t"}
    (tmp_path / "rogue.sock").unlink()
    done = Rogue(tmp_path, reply).signet(*command, "t", "--json")
    assert json.loads(done.stdout) == reply["parameters"]


def test_a_key_is_used_as_a_user_key(tmp_path):
    rogue = Rogue(tmp_path, {"parameters": {"key": {"label": "k"}, "certificate": {"name": "5ca1", "jids": ["j@x.test"]}}})
    done = rogue.signet("key", "use", "k", "--user", "--account", "j@x.test")
    assert done.returncode == 0 and "5ca1" in done.stdout, done.stderr
    assert rogue.calls == [{"method": "org.signet.Agent.UseKey", "parameters": {"key": "k", "account": "j@x.test",
                                                                                "user": True}}]
    for alone in (("--user",), ("--account", "j@x.test")):
        done = signet("key", "use", "k", *alone)
        assert done.returncode == 2 and "belong together" in done.stderr


@pytest.mark.parametrize("args, sent, says", [
    ((), {}, "Released: no token is held by the agent.\n"),
    (("t",), {"token": "t"}, "Released: the agent does not hold this token.\n"),
    (("t",), {"token": "t"}, "held\\x1b by another\n"),
    (("t", "--json"), {"token": "t"}, '{\n  "note": null\n}\n')])
def test_release(tmp_path, args, sent, says):
    rogue = Rogue(tmp_path, {"parameters": {"note": "held\x1b by another" if "another" in says else None}})
    done = rogue.signet("token", "release", *args)
    assert done.returncode == 0 and done.stdout == says
    assert rogue.calls == [{"method": "org.signet.Agent.ReleaseToken", "parameters": sent}]


def test_tries_and_how_long_a_pin_is_kept(tmp_path):
    tokens = [TOKEN | {"tries_left": 2, "remember": "lock", "pin": "low"}, TOKEN | {
        "tries_left": None, "remember": "always", "problem": "it hangs\x1b"}]
    done = Rogue(tmp_path, {"parameters": {"tokens": tokens}}).signet("token", "list")
    rows = [re.split("  +", line) for line in done.stdout.splitlines()]
    assert rows[0][3:5] == ["TRIES", "REMEMBERED"]
    assert [row[2:5] for row in rows[1:3]] == [["a wrong one was tried", "2", "until lock"], ["fine", "-", "no, ask always"]]
    assert done.stdout.splitlines()[3:] == ["Token 't\\x1b[2J' is shown as it was before: it hangs\\x1b"]
    (tmp_path / "rogue.sock").unlink()
    done = Rogue(tmp_path, {"parameters": {"token": tokens[0], "mechanisms": []}}).signet("token", "show", "t")
    assert "tries left:   2\nremembered:   until lock\n" in done.stdout
    (tmp_path / "rogue.sock").unlink()
    done = Rogue(tmp_path, {"parameters": {"token": TOKEN, "mechanisms": []}}).signet("token", "show", "t")
    assert "tries left" not in done.stdout and "remembered" not in done.stdout


def test_a_pipe_that_nobody_writes_to_is_the_agents_to_wait_for(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo, 0o600)
    rogue = Rogue(tmp_path, error("TimedOut"))
    done = rogue.signet("token", "unlock", "t", "--pin-file", fifo)
    assert done.returncode == 5 and rogue.calls[0]["parameters"]["pin"] == {"fd": 0}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_silent_agent_is_told_of(tmp_path, number):
    """Who waits without a terminal hears of it once; an interrupt ends the waiting, and leaves nothing behind."""
    ready = threading.Event()
    rogue = Rogue(tmp_path, lambda conn: ready.wait(PATIENCE))
    asking = subprocess.Popen([SIGNET, "csr", "k", "a@b", "--out", tmp_path / "csr", "--socket", rogue.path], env=SMALL_ENV,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    assert asking.stderr.readline() == "signet: the agent has not answered yet; still waiting for the token\n"
    assert len(list(tmp_path.iterdir())) == 2  # the socket, and the file that will be the request
    asking.send_signal(number)
    assert asking.wait(PATIENCE) == -number
    assert asking.communicate() == ("", "signet: interrupted while waiting for the token\nThe call was given up. What the "
                                    "agent has begun by then it may still end: `signet status` shows what goes on.\n")
    assert [p.name for p in tmp_path.iterdir()] == ["rogue.sock"]
    ready.set()


def test_an_interrupt_reaches_who_asked_in_json_too(tmp_path):
    asked, ready = threading.Event(), threading.Event()
    rogue = Rogue(tmp_path, lambda conn: (conn.sendall(b'{"param'), asked.set(), ready.wait(PATIENCE)))  # half an answer
    asking = subprocess.Popen([SIGNET, "token", "list", "--json", "--socket", rogue.path], env=SMALL_ENV,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert asked.wait(PATIENCE)
    asking.terminate()
    out, err = asking.communicate(timeout=PATIENCE)
    assert err == "" and asking.returncode == -signal.SIGTERM
    assert out == "" or json.loads(out)["error"] == "TimedOut"  # "": it had not begun to wait
    ready.set()


def test_pin_and_password_together(tmp_path):
    for name in ("pin", "password"):
        (tmp_path / name).write_text(name)
        (tmp_path / name).chmod(0o400)
    rogue = Rogue(tmp_path, {"parameters": {}})
    done = rogue.signet("account", "connect", "a@b", "--password-file", tmp_path / "password", "--pin-file", tmp_path / "pin")
    assert done.returncode == 0, done.stderr
    sent = rogue.calls[0]["parameters"]
    assert rogue.secrets[0][sent["pin"]["fd"]] == b"pin" and rogue.secrets[0][sent["password"]["fd"]] == b"password"


def test_pinentry_is_offered_only_where_a_person_may_be(tmp_path):
    display = SMALL_ENV | {"DISPLAY": ":9"}
    for env, args, offered in ((SMALL_ENV, [], False), (display, [], True), (display, ["--batch"], False)):
        rogue = Rogue(tmp_path, {"parameters": {}})
        rogue.signet("csr", "key", "a@b", *args, env=env)
        assert ("pin" in rogue.calls[0]["parameters"]) == offered
        assert not offered or rogue.calls[0]["parameters"]["pin"]["pinentry"]["display"] == ":9"
        (tmp_path / "rogue.sock").unlink()


def test_a_request_is_written_whole_or_not_at_all(tmp_path):
    out = tmp_path / "csr.der"
    done = Rogue(tmp_path, {"parameters": {"csr": b64(b"request")}}).signet("csr", "key", "a@b", "--out", out)
    assert done.returncode == 0 and out.read_bytes() == b"request" and out.stat().st_mode & 0o777 == 0o644
    (tmp_path / "rogue.sock").unlink()
    done = Rogue(tmp_path, {"parameters": {"csr": b64(b"request")}}).signet("csr", "key", "a@b")
    assert done.stdout == f"-----BEGIN CERTIFICATE REQUEST-----\n{b64(b'request')}\n-----END CERTIFICATE REQUEST-----\n"
    (tmp_path / "rogue.sock").unlink()
    out.write_bytes(b"old")
    done = Rogue(tmp_path, error("TokenFailed")).signet("csr", "key", "a@b", "--out", out)
    assert done.returncode == 5 and out.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []
    # Found before anything is asked of the agent.
    done = signet("csr", "key", "a@b", "--out", tmp_path / "no/such/folder")
    assert done.returncode == 1 and "cannot be written" in done.stderr


def test_progress_is_told_and_the_result_is_alone_on_stdout(tmp_path):
    def enrol(conn):
        for text in ("one", "two"):
            conn.sendall(json.dumps({"continues": True, "parameters": {"step": text, "text": text}}).encode() + b"\0")
        conn.sendall(json.dumps({"parameters": {"step": "done", "text": "three", "certificate": {
            "name": "n", "der": b64(b"der")}}}).encode() + b"\0")
    out = tmp_path / "c.der"
    rogue = Rogue(tmp_path, enrol)
    done = rogue.signet("enrol", "a@b", "--key", "k", "--out", out)
    assert done.returncode == 0 and done.stderr == "signet: one\nsignet: two\n" and out.read_bytes() == b"der"
    assert rogue.calls[0]["more"] is True
    (tmp_path / "rogue.sock").unlink()
    done = Rogue(tmp_path, enrol).signet("enrol", "a@b", "--key", "k", "--json")
    assert json.loads(done.stdout)["certificate"]["name"] == "n" and done.stderr == ""


def test_fetched_keys_are_written_and_judged(tmp_path):
    account = {"parameters": {"accounts": [{"jid": "me@example.org"}]}}
    def key(text, grade):
        return {"name": name_of(CLIENT), "kind": "x509", "jids": [], "keyinfo": text, "grade": grade, "expired": False,
                "signatures": []}
    good, bad = key(keyinfo(CLIENT, BY_RSA), "sha256"), key(keyinfo(USER), "bad")
    out = tmp_path / "out.xml"
    for keys, status in (([good], 0), ([good, good], 0), ([good, bad], 7)):
        rogue = Rogue(tmp_path, account, {"parameters": {"keys": keys, "refused": 0}})
        done = rogue.signet("keyring", "fetch", "juliet@example.org", "--out", out)
        assert done.returncode == status, done.stderr
        assert rogue.calls[1]["parameters"] == {"jid": "me@example.org", "from": "juliet@example.org"}
        assert out.read_text().startswith("<keyinfo" if len(keys) == 1 else "<pubkeys")
        read = json.loads(signet("verify", out, "--json").stdout)
        assert len(read["keys"]) == len(keys) and read["refused"] == []
        (tmp_path / "rogue.sock").unlink()
    done = Rogue(tmp_path, {"parameters": {"accounts": [{"jid": "a@b"}, {"jid": "c@d"}]}}).signet("keyring", "fetch", "x@y")
    assert done.returncode == 2 and "--account" in done.stderr
