"""Modules that hang, crash, are slow or lose their token, by libsignet-fault.so (signet-fault(7)): who asked for just
that gets a typed error, everybody else notices nothing, and the next call works."""
import contextlib
import os
import select
import shutil
import subprocess
import time

import pytest

import agent_fixture
from agent_fixture import MODULE, PIN, Agent
from processes import PATIENCE, until
from varlink_client import AgentError, secret
from world import BUILD, DOMAIN, PASSWORD, World

JULIET = "juliet@example.test"
ROMEO = f"romeo@{DOMAIN}"
FAULT = (BUILD / "lib/libsignet-fault.so").resolve()
TIMEOUT = 3
KILLED = "gave no answer in time: killed"

WRAPPER = """#!/bin/sh
case "$*" in *fault*) export SOFTHSM2_CONF={conf} ;; esac
exec {program} "$@"
"""


@contextlib.contextmanager
def faulty(monkeypatch, tmp_path, conf="", timeout=TIMEOUT):
    """An agent with the token "bad" on a module that fails by a script, and "good" on a sound one."""
    if not FAULT.exists():
        pytest.skip(f"{FAULT} is not built")
    for program in ("signetd", "signet-xmpp"):
        shutil.copy(agent_fixture.BIN / program, tmp_path)
    shutil.copy(agent_fixture.BIN / "signet-token", tmp_path / "signet-token.real")
    monkeypatch.setattr(agent_fixture, "BIN", tmp_path)
    agent = Agent(labels=("good",))
    wrapper = tmp_path / "signet-token"
    wrapper.write_text(WRAPPER.format(conf=agent.make_tokens("faulty", "bad"), program=tmp_path / "signet-token.real"))
    wrapper.chmod(0o755)
    agent.script, agent.calls = agent.dir / "script", agent.dir / "calls"
    agent.script.write_text("")
    agent.env.update(SIGNET_FAULT_MODULE=str(MODULE), SIGNET_FAULT_SCRIPT=str(agent.script),
                     SIGNET_FAULT_STATE=str(agent.dir / "fault-state"), SIGNET_FAULT_LOG=str(agent.calls))
    agent.conf.write_text(f"[agent]\nmodule-dirs = {FAULT.parent}:{os.path.dirname(MODULE)}:"
                          f"{os.path.dirname(os.path.realpath(MODULE))}\n"
                          f"[module fault]\npath = {FAULT}\ntimeout = {timeout}\n"
                          f"[module softhsm]\npath = {MODULE}\n{conf}")
    with agent:
        yield agent


@contextlib.contextmanager
def furnished(monkeypatch, tmp_path, timeout=TIMEOUT):
    """Both tokens are unlocked, and have a key."""
    with faulty(monkeypatch, tmp_path, timeout=timeout) as agent:
        for token in ("bad", "good"):
            agent.unlock(token)
            agent.call("NewKey", {"token": token, "label": f"{token} key", "algorithm": "p256"})
        yield agent


@pytest.fixture
def agent(monkeypatch, tmp_path):
    with furnished(monkeypatch, tmp_path) as agent:
        yield agent


def script(agent, *lines):
    """What happens from now on. The module may read it at any moment: it must find it whole."""
    new = agent.dir / "script.new"
    new.write_text("".join(line + "\n" for line in lines))
    os.rename(new, agent.script)


def uri(agent, key):
    return agent.call("ShowKey", {"key": key})["key"]["uri"]


def csr(client, key, **more):
    return client.call("MakeCsr", {"key": key, "jid": JULIET, **more})["csr"]


def fault_worker(agent):
    return next(w for w in agent.call("Status")["workers"] if w["subject"] == "fault")


def p99(client, method, parameters=None, count=200):
    """The time within which all calls but the slowest hundredth are answered, in milliseconds."""
    took = []
    for _ in range(count):
        begin = time.monotonic()
        client.call(method, parameters or {})
        took.append((time.monotonic() - begin) * 1000)
    return sorted(took)[count - 1 - count // 100]


@pytest.mark.alone
@pytest.mark.parametrize("where", ["C_Sign", "any"])
def test_a_module_that_hangs_holds_up_nobody_else(agent, where):
    """Where only C_Sign hangs, the module still tells of its token; else it is shown as it was."""
    bad, good = uri(agent, "bad key"), uri(agent, "good key")
    csr(agent, bad), csr(agent, good)
    before = fault_worker(agent)
    with agent.client() as hung, agent.client() as healthy:
        script(agent, f"on {where} hang")
        begin = time.monotonic()
        hung.send("MakeCsr", {"key": bad, "jid": JULIET})
        for method, parameters in (("ListAccounts", {}), ("Status", {}), ("ListTokens", {}),
                                   ("ShowToken", {"token": "good"}), ("MakeCsr", {"key": good, "jid": JULIET})):
            assert p99(healthy, method, parameters) < 50, method
        assert time.monotonic() - begin < TIMEOUT, "the hang was over before it was measured"
        tokens = {t["label"]: t for t in healthy.call("ListTokens")["tokens"]}
        assert set(tokens) == {"bad", "good"}, (tokens, agent.lines, time.monotonic() - begin)
        assert tokens["good"]["problem"] is None
        if where == "any":
            assert "fault" in tokens["bad"]["problem"] and "fault" in fault_worker(agent)["problem"]
        error = hung.error_of_next()
        assert (error.name, error.parameters["subject"]) == ("TimedOut", "fault")
        assert TIMEOUT - 1 < time.monotonic() - begin < TIMEOUT + 3
        script(agent)
        assert healthy.error("MakeCsr", {"key": bad, "jid": JULIET}).name == "PinNeeded"
        agent.unlock("bad")
        csr(healthy, bad)
    after = fault_worker(agent)
    assert after["pid"] != before["pid"] and after["restarts"] == before["restarts"] + 1
    assert all(t["problem"] is None for t in agent.call("ListTokens")["tokens"])


def test_calls_that_wait_for_a_hanging_module_all_get_an_error(agent):
    bad = uri(agent, "bad key")
    script(agent, "on C_Sign hang")
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(agent.client()) for _ in range(12)]
        for client in clients:
            client.send("MakeCsr", {"key": bad, "jid": JULIET})
        begin = time.monotonic()
        names = {client.error_of_next().name for client in clients}
        assert names <= {"TimedOut", "WorkerDied"} and "TimedOut" in names
        assert time.monotonic() - begin < 6 * TIMEOUT  # one after the other they would take twice that


@pytest.mark.parametrize("call", ["C_Sign", "C_SignInit"])
def test_a_module_that_crashes(agent, call):
    bad = uri(agent, "bad key")
    csr(agent, bad)
    script(agent, f"on {call} crash")
    assert agent.error("MakeCsr", {"key": bad, "jid": JULIET}).name == "WorkerDied"
    script(agent)
    assert agent.error("MakeCsr", {"key": bad, "jid": JULIET}).name == "PinNeeded"
    with secret(PIN) as fd, agent.client() as client:
        client.call("MakeCsr", {"key": bad, "jid": JULIET, "pin": {"fd": 0}}, [fd])


def test_a_pin_source_is_read_again_after_a_crash(monkeypatch, tmp_path):
    pin_file = tmp_path / "pin"
    pin_file.write_text(PIN)
    pin_file.chmod(0o600)
    with faulty(monkeypatch, tmp_path, f"[token bad]\npin-source = file:{pin_file}\n") as agent:
        agent.call("NewKey", {"token": "bad", "label": "k", "algorithm": "p256"})
        csr(agent, "k")
        for how in ("crash", "hang"):
            script(agent, f"on C_Sign {how}")
            assert agent.error("MakeCsr", {"key": "k", "jid": JULIET}).name in ("WorkerDied", "TimedOut")
            script(agent)
            csr(agent, "k")


def test_sessions_and_logins_that_were_lost_are_made_again_at_once(monkeypatch, tmp_path):
    """The broker takes for granted that the token is unlocked; the call notices nothing of it."""
    pin_file = tmp_path / "pin"
    pin_file.write_text(PIN)
    pin_file.chmod(0o600)
    with faulty(monkeypatch, tmp_path, f"[token bad]\npin-source = file:{pin_file}\n") as agent:
        agent.call("NewKey", {"token": "bad", "label": "k", "algorithm": "p256"})
        csr(agent, "k")
        for logins, what in enumerate(("sessions", "login"), 2):
            script(agent, f"now lose {what}")
            csr(agent, "k")
            assert agent.calls.read_text().count(" C_Login CKR_OK") == logins, f"the {what} was not lost"


def test_a_token_that_is_pulled_and_comes_back(agent):
    bad = uri(agent, "bad key")
    csr(agent, bad)
    script(agent, "removable", "now remove")
    error = agent.error("MakeCsr", {"key": bad, "jid": JULIET})
    assert error.name in ("TokenAbsent", "KeyAbsent"), error
    script(agent, "removable", "now insert")
    assert agent.error("MakeCsr", {"key": bad, "jid": JULIET}).name == "PinNeeded"  # remember = removal
    agent.unlock("bad")
    csr(agent, bad)


def test_a_token_that_is_pulled_under_a_signature_that_never_ends(monkeypatch, tmp_path):
    """OpenSC's module never comes back then: its process ends long before the deadline."""
    with faulty(monkeypatch, tmp_path, timeout=60) as agent:
        agent.unlock("bad")
        agent.call("NewKey", {"token": "bad", "label": "k", "algorithm": "p256"})
        bad = uri(agent, "k")
        script(agent, "removable", "now lose sessions")
        csr(agent, bad)
        before = fault_worker(agent)
        script(agent, "removable", "on C_Sign remove", "on C_Sign hang")
        begin = time.monotonic()
        error = agent.error("MakeCsr", {"key": bad, "jid": JULIET})
        assert error.name in ("TokenAbsent", "KeyAbsent"), error  # at the deadline it would be TimedOut
        back(agent)
        csr(agent, bad)
        assert fault_worker(agent)["pid"] != before["pid"]
        assert time.monotonic() - begin < 60


def test_a_module_that_hung_at_its_start_works_as_soon_as_it_is_well(monkeypatch, tmp_path):
    """It is tried again by calls that do not wait for it, and by one that wants just its token."""
    with faulty(monkeypatch, tmp_path) as agent:
        script(agent, "on any hang")
        assert agent.error("ShowToken", {"token": "bad"}).name == "TimedOut"
        assert agent.count("the module fault hangs") == 1
        begin = time.monotonic()
        for _ in range(5):
            assert [t["label"] for t in agent.call("ListTokens")["tokens"]] == ["good"]
            assert agent.call("ShowToken", {"token": "good"})["token"]["label"] == "good"
        assert time.monotonic() - begin < 4 * TIMEOUT  # as if none of them had waited for it
        assert agent.error("ShowToken", {"token": "bad"}).name == "TimedOut"  # it is being tried already
        script(agent)
        begin = time.monotonic()
        until(lambda: "bad" in [t["label"] for t in agent.call("ListTokens")["tokens"]], "it never works again")
        assert agent.call("ShowToken", {"token": "bad"})["token"]["label"] == "bad"
        assert time.monotonic() - begin < 40


def test_a_token_that_is_made_while_the_agent_runs(agent):
    """SoftHSM lists its slots once: its worker is loaded anew, but not when a PIN would be lost by that."""
    make = ["softhsm2-util", "--init-token", "--free", "--label", "new", "--pin", PIN, "--so-pin", "12345678"]
    subprocess.run(make, check=True, capture_output=True, env=agent.env)
    assert agent.error("ShowToken", {"token": "new"}).name == "TokenAbsent"
    assert agent.call("ShowToken", {"token": "good"})["token"]["unlocked"]
    agent.call("Lock", {"token": "good"})
    assert agent.call("ShowToken", {"token": "new"})["token"]["label"] == "new"
    worker = next(w for w in agent.call("Status")["workers"] if w["subject"] == "softhsm")
    assert worker["restarts"] == 0
    begin, before = time.monotonic(), agent.count("is loaded anew")
    for _ in range(20):  # what is not there is not looked for by processes without end
        assert agent.error("ShowToken", {"token": "never"}).name == "TokenAbsent"
    assert agent.count("is loaded anew") - before <= 2 * loads_since(begin)  # two modules


def test_a_token_that_only_a_busy_module_may_have_is_waited_for(monkeypatch, tmp_path):
    """Although the module has not answered the same question of somebody else yet, who did without it."""
    with furnished(monkeypatch, tmp_path, timeout=60) as agent, agent.client() as client:
        script(agent, "on C_GetSlotList hang")
        assert len(agent.call("ListTokens")["tokens"]) == 2
        client.send("ShowToken", {"token": "never"})
        assert agent.call("ShowToken", {"token": "good"})["token"]["unlocked"]
        script(agent)
        assert client.error_of_next().name == "TokenAbsent"


def loads_since(begin):
    """How often one module may have been loaded anew since then: once in 2 s."""
    return 1 + (time.monotonic() - begin) / 2


def test_a_token_that_is_made_while_the_agent_runs_is_listed(agent):
    """Without being named, once no PIN would be lost by that; a process that is young has seen it."""
    def labels():
        return [t["label"] for t in agent.call("ListTokens")["tokens"]]
    make = ["softhsm2-util", "--init-token", "--free", "--label", "new", "--pin", PIN, "--so-pin", "12345678"]
    assert labels() == ["bad", "good"]
    subprocess.run(make, check=True, capture_output=True, env=agent.env)
    assert labels() == ["bad", "good"]
    begin = time.monotonic()
    agent.call("Lock", {"token": "good"})
    # a process that takes long to start is not waited for: it is known what tokens the one before had
    until(lambda: sorted(labels()) == ["bad", "good", "new"], "it is not listed")
    make[make.index("new")] = "newer"
    subprocess.run(make, check=True, capture_output=True, env=agent.env)
    until(lambda: "newer" in labels(), "it is never listed")
    for _ in range(20):
        labels()
    assert agent.count("signet-token for softhsm is ended") <= 1 + loads_since(begin)  # the first one is Lock's
    assert agent.call("ShowToken", {"token": "bad"})["token"]["unlocked"]


# ---- modules that are not meant ----

def test_the_keys_of_one_token_wait_for_no_other_module(monkeypatch, tmp_path):
    """Known not to have it, or not known at all."""
    with furnished(monkeypatch, tmp_path, timeout=60) as agent:
        agent.call("ListTokens")
        good, bad = uri(agent, "good key"), uri(agent, "bad key")
        token = agent.call("ShowToken", {"token": "good"})["token"]["uri"]
        with agent.client() as hung, agent.client() as healthy:
            script(agent, "on any hang")
            begin = time.monotonic()
            hung.send("MakeCsr", {"key": bad, "jid": JULIET})
            for _ in range(50):
                keys = healthy.call("ListKeys", {"selector": token})["keys"]
                assert [k["label"] for k in keys] == ["good key"]
            assert healthy.call("ListKeys", {"selector": good})["keys"] == keys
            assert time.monotonic() - begin < 50 and not select.select([hung.sock], [], [], 0)[0]
            script(agent)
            assert hung.receive()["csr"]
        agent.stop()
        script(agent, "on any hang")
        agent.start()
        begin = time.monotonic()
        agent.call("ListKeys", {"selector": token})
        assert agent.call("Status")["workers"]
        assert time.monotonic() - begin < 50


def test_the_deadline_counts_once(agent):
    """A key that is named by its URI is looked for in a token that hangs, and not once more."""
    bad = uri(agent, "bad key")
    agent.call("Lock", {"token": "bad"})
    killed = agent.count(KILLED)
    script(agent, "on any hang")
    with secret(PIN) as fd, agent.client() as client:
        client.send("MakeCsr", {"key": bad, "jid": JULIET, "pin": {"fd": 0}}, [fd])
        assert client.error_of_next().name == "TimedOut"
    assert agent.count(KILLED) == killed + 1


@contextlib.contextmanager
def slow_to_start_processes(agent):
    """A machine on which each fork takes signetd half a second."""
    if os.geteuid() != 0:
        pytest.skip("only root may slow the agent down")
    strace = subprocess.Popen(["strace", "-p", str(agent.popen.pid), "-o", "/dev/null", "-e", "trace=clone",
                               "-e", "inject=clone:delay_exit=500000"], stderr=subprocess.PIPE, text=True)
    try:
        assert "attached" in strace.stderr.readline()
        yield
    finally:
        strace.terminate()
        strace.communicate(timeout=PATIENCE)


def test_the_deadline_counts_once_where_processes_start_slowly(agent):
    """A request has its time from when there is a process that has it, and is over then."""
    bad = uri(agent, "bad key")
    agent.call("Lock", {"token": "bad"})
    killed = agent.count(KILLED)
    script(agent, "on any hang")
    with slow_to_start_processes(agent), secret(PIN) as fd, agent.client() as client:
        client.send("MakeCsr", {"key": bad, "jid": JULIET, "pin": {"fd": 0}}, [fd])
        assert client.error_of_next().name == "TimedOut"
    assert agent.count(KILLED) == killed + 1


# ---- a token that is pulled in the middle of things ----

PULLED = {"TokenAbsent", "KeyAbsent", "TokenFailed", "PinNeeded", "WorkerDied"}


@pytest.fixture(scope="module")
def world():
    with World() as world:
        world.up()
        yield world


@pytest.fixture
def enrolling(monkeypatch, tmp_path, world):
    """Nothing hangs, so a busy machine has its time."""
    with furnished(monkeypatch, tmp_path, timeout=60) as agent:
        agent.call("AddAccount", {"jid": ROMEO, "host": "127.0.0.1", "port": world.c2s_port, "cafile": str(world.cafile)})
        script(agent, "removable")
        yield agent


def back(agent):
    script(agent, "removable", "now insert")
    until(lambda: "bad" in [t["label"] for t in agent.call("ListTokens")["tokens"]], "the token never came back")
    agent.unlock("bad")


def enrol(agent):
    with secret(PASSWORD) as fd, agent.client() as client:
        return client.call("Enrol", {"jid": ROMEO, "key": "bad key", "password": {"fd": 0}}, [fd])


def certificates_of(agent, key):
    return agent.call("ShowKey", {"key": key})["certificates"]


@pytest.mark.parametrize("where", ["C_SignInit", "C_Sign", "C_CreateObject", "C_Sign 2", "C_Sign 3"])
def test_an_enrolment_whose_token_is_pulled(enrolling, where):
    """Before the certificate is stored nothing has changed; after it, the account has its former one, which is none.
    The next enrolment works."""
    agent = enrolling
    script(agent, "removable", f"on {where} remove")
    try:
        enrol(agent)
    except AgentError as error:
        assert error.name in PULLED, error
        account = agent.call("ShowAccount", {"jid": ROMEO})["account"]
        assert account["key"] is None and account["certificate"] is None and account["state"] == "offline", account
    else:
        assert where == "C_Sign 3"  # there is no third signature when the first login is good
    back(agent)
    done = enrol(agent)
    assert done["account"]["mechanism"] == "EXTERNAL"
    assert done["certificate"]["sha256"] in [c["sha256"] for c in certificates_of(agent, "bad key")]


def test_a_login_whose_token_is_pulled(enrolling):
    agent = enrolling
    enrol(agent)
    for where in ("C_SignInit", "C_Sign"):
        agent.call("Disconnect", {"jid": ROMEO})
        script(agent, "removable", f"on {where} remove")
        assert agent.error("Connect", {"jid": ROMEO}).name in PULLED | {"TlsFailed"}
        assert agent.call("ShowAccount", {"jid": ROMEO})["account"]["state"] == "offline"
        back(agent)
        assert agent.call("Connect", {"jid": ROMEO})["account"]["state"] == "online"
