"""The process that judges OpenPGP keys: there when it is needed, and no longer; and what it may do."""
import base64
import contextlib
import os
import re
import shutil
import signal
from pathlib import Path

import pytest

import agent_fixture
from agent_fixture import Agent
from processes import until, wait_gone
from world import TOP

JID = "juliet@capulet.lit"
RSA = "3b723825a061f1876ef5aabcecdbc601976d1b57"


def vector(name):
    return base64.b64encode((TOP / "tests/unit/vectors" / name).read_bytes()).decode()


@pytest.fixture
def agent():
    with Agent(softhsm=False) as agent:
        agent.call("AddAccount", {"jid": JID})
        yield agent


def children(agent):
    pid = agent.popen.pid
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def add(agent, name="pgp-rsa.pgp"):
    return agent.call("AddPgpKey", {"account": JID, "key": vector(name)})["key"]


def own(agent):
    return agent.call("ListOwnKeys", {"account": JID})["keys"]


def test_it_is_there_with_the_first_key_alone(agent):
    """signetd itself never has librnp, which is some 6 MB."""
    assert own(agent) == [] and children(agent) == []
    key = add(agent)
    assert key["name"] == RSA and key["jids"] == [JID]
    judge, = children(agent)
    assert Path(f"/proc/{judge}/comm").read_text() == "signet-pgp\n"
    assert "librnp" not in Path(f"/proc/{agent.popen.pid}/maps").read_text()
    add(agent, "pgp-many.pgp")
    assert children(agent) == [judge]


def test_it_may_open_nothing_and_start_nothing(agent):
    add(agent)
    judge, = children(agent)
    limits = Path(f"/proc/{judge}/limits").read_text()
    most = int(re.search(r"^Max open files +(\d+)", limits, re.M).group(1))
    with contextlib.suppress(PermissionError):
        assert len(os.listdir(f"/proc/{judge}/fd")) == most <= 6
    assert re.search(r"^Max processes +0 +0", limits, re.M) and re.search(r"^Max file size +0 +0", limits, re.M)
    assert re.search(r"^Max core file size +0 +0", limits, re.M)


# Takes three seconds, with little work in them, before it is signet-pgp.
LATE = """#!/usr/bin/python3
import os, time
end = time.monotonic() + 3
while time.monotonic() < end:
    time.sleep(0.01)
os.execv("{}", ["signet-pgp"])
"""


# Says that 60,000 bytes are to come, gives one at a time, and works all the while.
TRICKLE = """#!/usr/bin/python3
import socket, struct, time
sock = socket.socket(fileno=3)
sock.send(struct.pack(">I", 60000))
while True:
    sock.send(b"x")
    end = time.monotonic() + 0.2
    while time.monotonic() < end:
        pass
"""


@contextlib.contextmanager
def played_by(program, folder, monkeypatch):
    """An agent whose signet-pgp is another program."""
    shutil.copytree(agent_fixture.BIN, folder, dirs_exist_ok=True)
    (folder / "signet-pgp").write_text(program)
    monkeypatch.setattr(agent_fixture, "BIN", folder)
    with Agent(softhsm=False) as agent:
        agent.call("AddAccount", {"jid": JID})
        yield agent


def test_on_a_busy_machine_it_is_waited_for(tmp_path, monkeypatch):
    """For longer than one that hangs, as long as it gets on at all."""
    with played_by(LATE.format(agent_fixture.BIN / "signet-pgp"), tmp_path, monkeypatch) as agent:
        assert add(agent)["jids"] == [JID]
        assert agent.count("signet-pgp") == 0


def test_one_whose_answer_never_ends_is_not_waited_for(tmp_path, monkeypatch):
    """A key may have taken it over: whatever it goes on saying, the agent has its callers to answer."""
    with played_by(TRICKLE, tmp_path, monkeypatch) as agent:
        assert add(agent)["jids"] == []
        assert agent.count("signet-pgp hangs") == 1 and children(agent) == []


def test_it_ends_with_its_agent(agent):
    add(agent)
    judge, = children(agent)
    agent.popen.send_signal(signal.SIGKILL)
    wait_gone(judge)
    agent.process.stop(signal.SIGKILL)
    agent.start()
    assert [key["name"] for key in own(agent)] == [RSA]


@pytest.mark.long
def test_it_ends_when_it_is_idle_and_leaves_nothing(agent):
    add(agent)
    judge, = children(agent)
    until(lambda: children(agent) == [], "it does not end by itself")
    assert not Path(f"/proc/{judge}").exists(), "nobody has waited for it"
    assert own(agent)[0]["jids"] == [JID]
    assert children(agent) != [judge] and len(children(agent)) == 1


def test_a_key_is_renewed_by_another_copy(agent):
    assert not add(agent, "pgp-revoked-before.pgp")["revoked"]
    assert add(agent, "pgp-revoked.pgp")["revoked"]
    assert [key["revoked"] for key in own(agent)] == [True]
    agent.call("RemovePgpKey", {"account": JID, "name": own(agent)[0]["name"].upper()})
    assert own(agent) == []


def test_an_expired_key_is_said_to_be(agent):
    key = add(agent, "pgp-expired.pgp")
    assert key["expired"] and not key["revoked"] and key["user_ids"] == ["Expired"]


def test_keys_are_the_accounts_and_go_with_it(agent):
    add(agent)
    agent.call("AddAccount", {"jid": "romeo@montague.lit"})
    assert agent.call("ListOwnKeys", {"account": "romeo@montague.lit"})["keys"] == []
    name = agent.error("RemovePgpKey", {"account": "romeo@montague.lit", "name": RSA}).error
    assert name.endswith("KeyAbsent")
    name = agent.error("AddSignature", {"account": "romeo@montague.lit", "issuer": RSA, "value": vector("pgp-rsa.sig")}).error
    assert name.endswith("KeyAbsent")
    agent.call("RemoveAccount", {"jid": JID})
    agent.call("AddAccount", {"jid": JID})
    assert own(agent) == []


@pytest.mark.parametrize("parameters, error", [
    ({"account": JID, "key": "x"}, "ArgumentWrong"),
    ({"account": JID, "key": ""}, "ArgumentWrong"),
    ({"account": "nobody@capulet.lit", "key": ""}, "AccountAbsent"),
    ({"account": JID, "key": vector("pgp-rsa.sig")}, "KeyinfoRefused"),
    ({"account": JID, "key": base64.b64encode(b"-----BEGIN PGP PUBLIC KEY BLOCK-----").decode()}, "KeyinfoRefused"),
    ({"account": JID, "key": base64.b64encode(b"-----BEGIN PGP PRIVATE KEY BLOCK-----").decode()}, "ArgumentWrong"),
    ({"account": JID, "key": base64.b64encode(bytes((512 << 10) + 1)).decode()}, "LimitExceeded"),
    ({"account": JID, "key": 1}, "InvalidParameter"),
    ({"account": JID}, "InvalidParameter"),
])
def test_what_is_no_key_is_an_error(agent, parameters, error):
    name = agent.error("AddPgpKey", parameters).error
    assert name.endswith(f".{error}")
    assert own(agent) == []


@pytest.mark.parametrize("parameters, error", [
    ({"issuer": RSA, "value": "x"}, "ArgumentWrong"),
    ({"issuer": RSA, "value": vector("pgp-rsa.pgp")}, "KeyinfoRefused"),
    ({"issuer": RSA, "value": vector("pgp-rsa.sig")}, "KeyAbsent"),  # no certificate
    ({"issuer": "xyz", "value": vector("pgp-rsa.sig")}, "ArgumentWrong"),
    ({"issuer": "00" * 20, "value": vector("pgp-rsa.sig")}, "KeyAbsent"),
    ({"issuer": RSA, "value": vector("pgp-rsa.sig"), "subject": "00" * 20}, "KeyAbsent"),
    ({"issuer": RSA, "value": vector("pgp-rsa.sig"), "subject": RSA}, "ArgumentWrong"),
    ({"issuer": RSA, "value": vector("pgp-rsa.sig"), "subject": "zz"}, "ArgumentWrong"),
])
def test_what_is_no_signature_is_an_error(agent, parameters, error):
    add(agent)
    name = agent.error("AddSignature", {"account": JID, **parameters}).error
    assert name.endswith(f".{error}"), name
    assert own(agent)[0]["signatures"] == []
