"""Doctor: each thing that keeps a token from being used is found, and said with what to do about it."""
import base64
import contextlib
import os
import shutil
import signal
import socket
import sqlite3
import subprocess

import pytest

import agent_fixture
from agent_fixture import MODULE, PIN, Agent
from fault_agent import FaultAgent
from processes import until, wait_gone
from varlink_client import secret
from world import TOP


def findings(agent, level=None, subject=None):
    return [f for f in agent.call("Doctor")["findings"]
            if (level is None or f["level"] == level) and (subject is None or f["subject"] == subject)]


def problem(agent, subject, *words):
    """The one problem with the subject; it has these words, and advice."""
    found = [f for f in findings(agent, "problem", subject) if all(word in f["message"] for word in words)]
    assert len(found) == 1, findings(agent)
    assert found[0]["advice"] and found[0]["message"].endswith(".")
    return found[0]


@contextlib.contextmanager
def pcscd(tmp_path, monkeypatch, kind="listening"):
    """A socket in the place of pcscd's."""
    path = tmp_path / "pcscd.comm"
    monkeypatch.setenv("PCSCLITE_CSOCK_NAME", str(path))
    sock = socket.socket(socket.AF_UNIX)
    if kind != "absent":
        sock.bind(str(path))
    if kind == "listening":
        sock.listen()
    yield path
    sock.close()


def test_all_is_well(tmp_path, monkeypatch):
    with pcscd(tmp_path, monkeypatch), Agent() as agent:
        found = findings(agent)
        assert [f for f in found if f["level"] == "problem" and f["subject"] != "pinentry"] == []
        assert any(f["level"] == "good" and f["subject"] == "one" and "serial number" in f["message"] for f in found)
        assert any(f["level"] == "good" and f["subject"] == "pcscd" for f in found)
        agent.unlock("one")
        assert any("unlocked" in f["message"] for f in findings(agent, "good", "one"))


@pytest.mark.parametrize("kind", ["absent", "stale"])
def test_no_pcscd_and_no_token(tmp_path, monkeypatch, kind):
    """Without a token it is a problem; with one, no more than a note."""
    with pcscd(tmp_path, monkeypatch, kind):
        with FaultAgent("removable\nnow remove\n") as agent:
            found = problem(agent, "pcscd", "no card reader is seen")
            assert "nstall" in found["advice"] or "systemctl" in found["advice"]
            problem(agent, "tokens", "no token at all")
        with Agent() as agent:
            assert findings(agent, "note", "pcscd") and not findings(agent, "problem", "pcscd")


def test_pcscd_that_may_not_be_asked(tmp_path, monkeypatch):
    if os.geteuid() != 0:
        pytest.skip("only root can be another user")
    with pcscd(tmp_path, monkeypatch) as path:
        agent = Agent(prefix=["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"])
        try:
            path.chmod(0o600)
            for folder in (tmp_path, *list(tmp_path.parents)[:-2]):
                folder.chmod(folder.stat().st_mode | 0o011)
            subprocess.run(["chown", "-R", "65534:65534", agent.dir], check=True)
            agent.start()
            # the API serves the agent's own user alone
            done = subprocess.run(
                ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "/usr/bin/python3", "-c",
                 "import json, socket, sys\ns = socket.socket(socket.AF_UNIX)\ns.connect(sys.argv[1])\n"
                 "s.sendall(json.dumps({'method': 'org.signet.Agent.Doctor'}).encode() + b'\\0')\n"
                 "text = b''\nwhile not text.endswith(b'\\0'):\n    text += s.recv(65536)\nprint(text[:-1].decode())",
                 str(agent.sock)], check=True, capture_output=True, text=True)
            assert "pcscd may not be asked by this user" in done.stdout and "polkit" in done.stdout
            agent.stop()
        finally:
            agent.close()


def test_scdaemon(tmp_path, monkeypatch):
    """gpg's, which may hold the card; found by its name, and only when it is this user's."""
    daemon = tmp_path / "scdaemon"
    shutil.copy("/bin/sleep", daemon)
    process = subprocess.Popen([daemon, "600"])
    try:
        with pcscd(tmp_path, monkeypatch), Agent() as agent:
            until(lambda: open(f"/proc/{process.pid}/comm").read() == "scdaemon\n", "it never ran")
            found, = [f for f in findings(agent, "note", "scdaemon") if f"process {process.pid}" in f["message"]]
            assert "gpgconf --kill scdaemon" in found["advice"]
    finally:
        process.kill()
        process.wait()
    with Agent() as agent:
        assert not any(f"process {process.pid})" in f["message"] for f in findings(agent))


# ---- modules ----

def test_modules_that_cannot_be_used(tmp_path):
    folder = tmp_path / "dir"
    folder.mkdir()
    shutil.copy(MODULE, tmp_path / "elsewhere.so")
    with Agent(conf=f"[module missing]\npath = {MODULE}.not\n"
               f"[module refused]\npath = {tmp_path}/elsewhere.so\n") as agent:
        found, = findings(agent, "problem", "missing")  # one thing is wrong with it
        assert "cannot be read" in found["message"], found
        assert any("cannot be used" in f["message"] for f in findings(agent, "problem", "refused"))
        assert findings(agent, "good", "one")


def test_one_problem_when_pcscd_is_not_there(tmp_path, monkeypatch):
    """It is pcscd's, where a module cannot list its readers."""
    with pcscd(tmp_path, monkeypatch, "absent"), FaultAgent("on C_GetSlotList fail CKR_DEVICE_ERROR\n") as agent:
        problems = [f["subject"] for f in findings(agent, "problem") if f["subject"] not in ("pinentry", "memory")]
        assert problems == ["pcscd"], findings(agent)
        note, = findings(agent, "note", "fault")
        assert "See pcscd." in note["message"]


def test_a_module_that_is_missing_is_not_pcscds_fault(tmp_path, monkeypatch):
    with pcscd(tmp_path, monkeypatch, "absent"), \
            Agent(softhsm=False, conf=f"[module missing]\npath = {MODULE}.not\n") as agent:
        problems = [f["subject"] for f in findings(agent, "problem") if f["subject"] not in ("pinentry", "memory")]
        assert problems == ["missing"], findings(agent)


def test_a_module_that_crashes_when_it_is_loaded():
    """It is said after the second time, with no advice to try again."""
    with FaultAgent("on C_Initialize crash\n") as agent:
        until(lambda: "times in a row" in agent.error("ListTokens").parameters["message"], "it was never said")
        error = agent.error("ListTokens")
        assert error.name == "WorkerDied" and "before its first answer" in error.parameters["message"]
        assert "It will do so again" in error.parameters["advice"] and "nlock" not in error.parameters["advice"]
        problem(agent, "fault", "before its first answer")
        agent.script("")
        assert agent.call("ListTokens")["tokens"]


def test_two_keys_of_one_name():
    """Neither can be named: that is said, and not that one of them was changed."""
    make = ["pkcs11-tool", "--module", MODULE, "--token-label", "one", "--login", "--pin", PIN, "--keypairgen",
            "--key-type", "EC:prime256v1", "--label", "k", "--id", "55"]
    with Agent() as agent:
        subprocess.run(make, env=agent.env, check=True, capture_output=True)
        agent.unlock("one")
        agent.call("MakeCsr", {"key": "k", "jid": "a@b.test"})
        subprocess.run(make, env=agent.env, check=True, capture_output=True)
        found, = [f for f in findings(agent, "problem") if f["subject"].startswith("pkcs11:")]
        assert "2 keys" in found["message"] and "elabel" in found["advice"] and "key use" not in found["advice"]


@pytest.mark.parametrize("where, result, said, unsaid", [
    ("C_Login", "CKR_PIN_EXPIRED", "pin change", "PUK"),
    ("C_Login", "CKR_USER_PIN_NOT_INITIALIZED", "pin unblock", "plug"),
    ("C_OpenSession", "CKR_SESSION_COUNT", "nother program", "plug"),
    ("C_GetSlotList", "CKR_DEVICE_ERROR", "signet doctor", "plug"),
    ("C_Initialize", "CKR_GENERAL_ERROR", "what the module itself needs", "plug"),
])
def test_the_advice_is_for_what_is_said(where, result, said, unsaid):
    """A sentence about a failure, and advice for another one that has the same name, is none."""
    with FaultAgent(f"on {where} fail {result}\n") as agent, secret(PIN) as fd:
        error = agent.error("Unlock", {"token": "one", "pin": {"fd": 0}}, [fd])
        assert result in error.parameters["message"], error
        assert said in error.parameters["advice"] and unsaid not in error.parameters["advice"], error


def test_no_memory_for_a_signature_is_no_full_token():
    with FaultAgent() as agent:
        agent.unlock("one")
        agent.call("NewKey", {"token": "one", "label": "k", "algorithm": "p256"})
        agent.script("on C_Sign fail CKR_DEVICE_MEMORY\n")
        assert agent.error("MakeCsr", {"key": "k", "jid": "a@b.test"}).name == "TokenFailed"
        assert [f for f in findings(agent) if "room" in f["message"]] == []


def test_a_module_that_crashes():
    with FaultAgent() as agent:
        agent.call("ListTokens")
        pid = agent.worker()["pid"]
        os.kill(pid, signal.SIGSEGV)
        wait_gone(pid)
        agent.call("ListTokens")
        found, = until(lambda: findings(agent, "note", "fault"), "nothing was said")  # while the next one starts
        assert "died or hung 1 times" in found["message"]


def test_a_module_that_takes_its_time_is_waited_for():
    """It is not told of as it was, nor to be of no use."""
    with FaultAgent() as agent:
        agent.call("ListTokens")
        agent.script("on C_GetSlotList slow 300\n")  # more than calls that have others to ask wait for
        levels = {(f["level"], f["subject"]) for f in findings(agent)}
        assert ("good", "one") in levels and ("problem", "fault") not in levels


def test_a_module_that_hangs():
    with FaultAgent("on C_GetSlotList hang\n", conf="[module fault]\ntimeout = 2\n") as agent:
        found = problem(agent, "fault", "cannot be used")
        assert found["advice"]
        assert not any("no token at all" in f["message"] for f in findings(agent))
        agent.script("")


# ---- tokens ----

def test_pins():
    with FaultAgent("pin 3\n") as agent:
        for i, (words, level) in enumerate([("wrong or never judged", "note"), ("next wrong PIN locks", "problem"),
                                            ("is locked", "problem")]):
            with secret(f"000{i}") as fd:
                if i < 2:
                    agent.error("Unlock", {"token": "one", "pin": {"fd": 0}}, [fd])
            if i == 2:
                agent.script("pin 2\n")  # as if it had taken the last one, too
            assert any(words in f["message"] for f in findings(agent, level, "one")), (words, findings(agent))


def test_tokens_that_lack_something():
    with FaultAgent("read-only\nrefuse CKM_RSA_PKCS_PSS\nrefuse CKM_SHA256_RSA_PKCS_PSS\n") as agent:
        notes = " ".join(f["message"] for f in findings(agent, "note", "one"))
        assert "write-protected" in notes and "TLS 1.3" in notes
        agent.script("refuse CKM_RSA_PKCS\nrefuse CKM_ECDSA\nrefuse CKM_ECDSA_SHA256\n")
        until(lambda: any("neither" in f["message"] for f in findings(agent, "problem", "one")), "nothing was said")


# ---- the configuration ----

def test_pin_sources_and_pinentry(tmp_path):
    loose = tmp_path / "loose"
    loose.write_text(PIN)
    loose.chmod(0o644)
    conf = (f"[agent]\npinentry = /nonexistent/pinentry\n[token one]\npin-source = file:{loose}\n"
            f"[token serial:77]\npin-source = file:{tmp_path}/missing\n[token dir]\npin-source = file:{tmp_path}\n")
    with Agent(conf=conf) as agent:
        problem(agent, "one", str(loose), "not used")
        problem(agent, "77", "cannot be opened")
        assert findings(agent, "problem", "dir")
        problem(agent, "pinentry", "/nonexistent/pinentry")
        loose.chmod(0o600)
        assert findings(agent, "problem", "one") == []


def test_what_a_pin_source_is_worth(tmp_path):
    path = tmp_path / "pin"
    path.write_text("")
    path.chmod(0o600)
    with Agent(conf=f"[token one]\npin-source = file:{path}\n") as agent:
        problem(agent, "one", str(path), "is empty")
        path.write_text("0000")
        assert findings(agent, "problem", "one") == []  # it was not tried yet
        for _ in range(2):
            agent.error("NewKey", {"token": "one", "label": "x"})
            problem(agent, "one", str(path), "refused")
        path.write_text(PIN)
        agent.call("NewKey", {"token": "one", "label": "x"})
        assert findings(agent, "problem", "one") == []


def test_openpgp_keys_that_nobody_can_judge(tmp_path, monkeypatch):
    """It is tried out where the person has such keys, and nowhere else."""
    for path in agent_fixture.BIN.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
        (tmp_path / path.name).chmod(0o755)
    judge = tmp_path / "signet-pgp"
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\nexit 127\n")
    broken.chmod(0o755)
    monkeypatch.setattr(agent_fixture, "BIN", tmp_path)
    with Agent(softhsm=False) as agent:
        agent.call("AddAccount", {"jid": "juliet@capulet.example"})
        key = base64.b64encode((TOP / "tests/unit/vectors/pgp-rsa.pgp").read_bytes()).decode()
        agent.call("AddPgpKey", {"account": "juliet@capulet.example", "key": key})
        assert findings(agent, subject="signet-pgp") == []
        assert agent.stop() == 0
        broken.rename(judge)
        agent.start()
        assert "librnp0" in problem(agent, "signet-pgp", "juliet@capulet.example", "cannot be judged")["advice"]
        agent.call("RemovePgpKey", {"account": "juliet@capulet.example", "name": "3b723825a061f1876ef5aabcecdbc601976d1b57"})
        assert findings(agent, subject="signet-pgp") == []


def test_a_store_that_cannot_be_written():
    with Agent() as agent:
        assert findings(agent, subject="store") == []
        other = sqlite3.connect(agent.dir / "state/signet/agent.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        problem(agent, "store", "cannot be written")
        other.execute("ROLLBACK")
        other.close()
        assert findings(agent, subject="store") == []


def test_a_puk_that_is_locked():
    with Agent() as agent:
        agent.unlock("one")
        with sqlite3.connect(agent.dir / "state/signet/agent.db") as db:
            db.execute("INSERT INTO pin_ledgers SELECT token, 1, salt, 0, 0, 1 FROM pin_ledgers WHERE whose = 0")
        assert any("PUK" in f["message"] for f in findings(agent, "note", "one"))


def test_accounts():
    with Agent() as agent:
        agent.call("AddAccount", {"jid": "juliet@example.test", "host": "127.0.0.1", "port": 1})
        with secret("password") as fd:
            agent.error("Connect", {"jid": "juliet@example.test", "password": {"fd": 0}}, [fd])
        found, = findings(agent, "note", "juliet@example.test")
        assert "connection" in found["message"] and found["advice"]


def test_a_token_that_is_full():
    """Seen when it was to store something; until it has stored something again."""
    with FaultAgent() as agent:
        agent.unlock("one")
        assert [f for f in findings(agent) if "room" in f["message"]] == []
        agent.script("memory-full\n")
        new = {"token": "one", "label": "k", "algorithm": "p256"}
        assert agent.error("NewKey", new).name == "TokenFull"
        assert "own tool" in problem(agent, "one", "no room left")["advice"]
        agent.script("")
        problem(agent, "one", "no room left")  # nobody has tried since
        agent.call("NewKey", new)
        assert [f for f in findings(agent) if "room" in f["message"]] == []
