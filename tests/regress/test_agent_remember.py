"""For how long PINs are remembered, what ends it, and that nothing is left of them in any process."""
import contextlib
import os
import signal
import subprocess
import sys
import time

import pytest

from agent_fixture import BIN, PIN, Agent, wait_open
from cert_world import Holder
from fault_agent import FaultAgent
from processes import until
from varlink_client import secret
from world import is_sanitized

LONG = "a-PIN-that-is-nowhere-else-71"  # found in a memory by chance never

pytest_plugins = ["server_fixtures"]


@contextlib.contextmanager
def agent_that_remembers(how, more="", **kwargs):
    with Agent(conf=f"[token one]\nremember = {how}\n{more}", **kwargs) as agent:
        yield agent


def unlocked(agent):
    return agent.call("ShowToken", {"token": "one"})["token"]["unlocked"]


def csr(agent, fd=None):
    pin = {} if fd is None else {"pin": {"fd": 0}}
    return agent.call("MakeCsr", {"key": "x", "jid": "a@b.test", **pin}, [] if fd is None else [fd])["csr"]


def new_key(agent, label="x"):
    with secret(PIN) as fd:
        agent.call("NewKey", {"token": "one", "label": label, "algorithm": "p256", "pin": {"fd": 0}}, [fd])


# ---- the policies ----

def test_always():
    with agent_that_remembers("always") as agent:
        assert agent.call("ShowToken", {"token": "one"})["token"]["remember"] == "always"
        new_key(agent)
        until(lambda: not unlocked(agent), "the token was never locked")
        assert agent.error("MakeCsr", {"key": "x", "jid": "a@b.test"}).name == "PinNeeded"
        for _ in range(3):  # one right after the other: each asks, and none fails for the other's end
            with secret(PIN) as fd:
                assert csr(agent, fd)
        until(lambda: not unlocked(agent), "the token was never locked")


def test_always_after_a_login(served):
    """A login is signed for by the token, too, and over with its call."""
    holder = Holder(served, "forgetful")
    holder.agent.conf.write_text(holder.agent.conf.read_text() + "remember = always\n")

    def is_locked():
        return not holder.agent.call("ShowToken", {"token": "two"})["token"]["unlocked"]
    with holder:
        holder.enrol("client", token="two")
        until(is_locked, "the token was never locked after an enrolment")
        holder.call("Disconnect")
        holder.call("Connect")
        assert holder.account()["mechanism"] == "EXTERNAL"
        until(is_locked, "the token was never locked after a login")


def test_always_shared_by_calls_at_the_same_time():
    with agent_that_remembers("always") as agent, agent.client() as first, agent.client() as second:
        new_key(agent)
        until(lambda: not unlocked(agent), "the token was never locked")
        for _ in range(5):
            with secret(PIN) as one, secret(PIN) as two:
                for client, fd in ((first, one), (second, two)):
                    client.send("MakeCsr", {"key": "x", "jid": "a@b.test", "pin": {"fd": 0}}, [fd])
                assert first.receive()["csr"] and second.receive()["csr"]
        assert agent.count("refused a PIN") == 0


def test_always_while_another_call_looks_for_the_key():
    """One call's end locks the token while another looks for its key there, which hides for that time."""
    with FaultAgent(conf="[token one]\nremember = always\n") as agent, \
            agent.client() as first, agent.client() as second:
        def ask(client, label, fd):
            client.send("MakeCsr", {"key": label, "jid": "a@b.test", "pin": {"fd": 0}}, [fd])

        labels = [f"y{i}" for i in range(9)]
        for label in ["x", *labels]:
            new_key(agent, label)
        until(lambda: not unlocked(agent), "the token was never locked")
        agent.script("on C_FindObjectsInit slow 100\n")
        with secret(PIN) as fd:
            start = time.monotonic()
            assert csr(agent, fd)
            took = time.monotonic() - start
        for i, label in enumerate(labels):
            until(lambda: not unlocked(agent), "the token was never locked")
            with secret(PIN) as one, secret(PIN) as two:
                ask(first, "x", one)
                time.sleep(max(took - i * 0.025, 0))
                ask(second, label, two)
                assert first.receive()["csr"] and second.receive()["csr"]
        assert agent.count("refused a PIN") == 0


def test_always_with_a_pin_source():
    with agent_that_remembers("always") as agent:
        agent.stop()
        pin = agent.dir / "pin"
        pin.write_text(PIN)
        pin.chmod(0o600)
        agent.conf.write_text(agent.conf.read_text() + f"pin-source = file:{pin}\n")
        agent.start()
        agent.call("NewKey", {"token": "one", "label": "x", "algorithm": "p256"})
        for _ in range(5):
            assert csr(agent)


def test_hangup_forgets():
    with agent_that_remembers("lock") as agent:
        new_key(agent)
        assert unlocked(agent)
        agent.popen.send_signal(signal.SIGHUP)
        until(lambda: agent.count("is locked: SIGHUP"), "the token was never locked")
        assert not unlocked(agent)
        agent.popen.send_signal(signal.SIGHUP)  # nothing to forget
        assert agent.unlock("one")["unlocked"]
        assert csr(agent)


def test_hangup_during_a_login():
    """The PIN that was on its way is forgotten, too."""
    with agent_that_remembers("removal") as agent, agent.client() as client:
        read, write = os.pipe()
        client.send("Unlock", {"token": "one", "pin": {"fd": 0}}, [read])
        wait_open(agent.worker()["pid"], read)
        agent.popen.send_signal(signal.SIGHUP)
        agent.wait_line("all PINs are forgotten")
        os.write(write, PIN.encode())
        os.close(write)
        os.close(read)
        error = client.error_of_next()
        assert error.name == "PinNeeded" and "locked meanwhile" in error.parameters["message"]
        assert not unlocked(agent)


# ---- logind, on a bus of our own ----

@pytest.fixture
def logind():
    """A private bus with a mock of systemd-logind; gives its address and the mock."""
    daemon = subprocess.Popen(["dbus-daemon", "--session", "--nofork", "--print-address"], stdout=subprocess.PIPE,
                              text=True)
    mock = None
    try:
        address = daemon.stdout.readline().strip()
        env = dict(os.environ, DBUS_SYSTEM_BUS_ADDRESS=address, DBUS_SESSION_BUS_ADDRESS=address)
        mock = subprocess.Popen(["/usr/bin/python3", "-m", "dbusmock", "--system", "--template", "logind"], env=env,
                                stdout=subprocess.DEVNULL)

        logind = Logind(address, daemon)
        until(logind.is_there, "logind's mock never came")
        yield address, logind
    finally:
        for process in (mock, daemon):
            if process is not None:
                process.terminate()
                process.wait()


class Logind:
    """What the mock is told, through a process with python3-dbus of its own."""

    def __init__(self, address, daemon):
        self.daemon = daemon
        self.env = dict(os.environ, DBUS_SYSTEM_BUS_ADDRESS=address)

    def run(self, code):
        done = subprocess.run(["/usr/bin/python3", "-c", "import dbus\nbus = dbus.SystemBus()\n"
                               "def mock(path):\n    return bus.get_object('org.freedesktop.login1', path)\n"
                               "MOCK = 'org.freedesktop.DBus.Mock'\nPROPS = 'org.freedesktop.DBus.Properties'\n"
                               "MANAGER = 'org.freedesktop.login1.Manager'\nSESSION = 'org.freedesktop.login1.Session'\n"
                               "root = mock('/org/freedesktop/login1')\n" + code], env=self.env, check=True,
                              capture_output=True, text=True)
        return done.stdout

    def is_there(self):
        with contextlib.suppress(subprocess.CalledProcessError):
            return self.run("print(bus.name_has_owner('org.freedesktop.login1'))").strip() == "True"
        return False

    def is_heard(self):
        """Whether somebody has told the bus to pass on all that the agent wants: that is done without an answer."""
        rules = self.run("print(*bus.get_object('org.freedesktop.DBus', '/org/freedesktop/DBus').GetAllMatchRules("
                         "dbus_interface='org.freedesktop.DBus.Debug.Stats').values(), sep='\\n')").splitlines()
        return any(all(word in line for word in ("PrepareForSleep", "'Lock'", "PropertiesChanged")) for line in rules)

    def session(self, name, uid):
        self.run(f"root.AddSession('{name}', 'seat0', dbus.UInt32({uid}), 'user', True, dbus_interface=MOCK)")

    def sleep(self, begins):
        self.run(f"root.EmitSignal(MANAGER, 'PrepareForSleep', 'b', [{begins}], dbus_interface=MOCK)")

    def lock(self, name):
        self.run(f"mock('/org/freedesktop/login1/session/{name}').EmitSignal(SESSION, 'Lock', '', [],"
                 " dbus_interface=MOCK)")

    def hint(self, name, locked):
        self.run(f"mock('/org/freedesktop/login1/session/{name}').EmitSignal(PROPS, 'PropertiesChanged', 'sa{{sv}}as',"
                 f" [SESSION, {{'LockedHint': dbus.Boolean({locked}, variant_level=1)}}, dbus.Array([], signature='s')],"
                 " dbus_interface=MOCK)")


def test_sleep_and_locked_screens(logind):
    address, mock = logind
    mock.session("own", os.getuid())
    mock.session("other", os.getuid() + 1)
    with Agent() as agent:
        agent.stop()
        agent.start(env={"DBUS_SYSTEM_BUS_ADDRESS": address})
        forgets = {
            "the machine goes to sleep": lambda: mock.sleep(True),
            "the screen was locked": lambda: mock.lock("own"),
        }
        for _ in range(2):
            for reason, act in forgets.items():
                agent.unlock("one")
                before = agent.count("is locked:")
                until(mock.is_heard, "the agent does not listen")
                act()
                until(lambda: agent.count("is locked:") > before, f"the token was not locked: {reason}")
                assert reason in "".join(agent.lines)
                assert not unlocked(agent)
        agent.unlock("one")
        mock.sleep(False)
        mock.lock("other")
        mock.hint("other", True)
        mock.hint("own", False)
        assert unlocked(agent)
        before = agent.count("is locked: the screen")
        mock.hint("own", True)
        until(lambda: agent.count("is locked: the screen") > before, "LockedHint did not lock")
        assert not unlocked(agent)


def test_without_a_bus():
    with Agent() as agent:
        agent.stop()
        agent.start(env={"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nonexistent"})
        assert agent.unlock("one")["unlocked"]
        agent.call("Lock", {"token": "one"})
        assert agent.unlock("one")["unlocked"]
        assert not any("bus" in line for line in agent.lines)


def test_a_bus_that_ends(logind):
    address, mock = logind
    with Agent() as agent:
        agent.stop()
        agent.start(env={"DBUS_SYSTEM_BUS_ADDRESS": address})
        agent.unlock("one")
        mock.daemon.terminate()
        mock.daemon.wait()
        agent.call("Lock", {"token": "one"})
        assert agent.unlock("one")["unlocked"]


# ---- memory ----

def children(pid):
    """The process and all below it; one that ends meanwhile has none."""
    found = [pid]
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for child in open(f"/proc/{pid}/task/{pid}/children").read().split():
            found += children(int(child))
    return found


def memory_holds(pid, needle):
    """Whether the bytes are anywhere in the process's memory that can be read."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb") as memory:
        for line in maps:
            area, rights = line.split()[:2]
            if "r" not in rights or "[v" in line:
                continue
            begin, end = (int(x, 16) for x in area.split("-"))
            with contextlib.suppress(OSError, ValueError, OverflowError):
                memory.seek(begin)
                if needle in memory.read(end - begin):
                    return True
    return False


def holders(agent, pin=LONG):
    if os.geteuid() != 0:
        pytest.skip("only root reads the memory of the agent's processes")
    if is_sanitized():
        pytest.skip("a sanitizer keeps what was freed")
    found = []
    for pid in children(agent.popen.pid):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if memory_holds(pid, pin.encode()):
                found.append(pid)
    return found


PINENTRY = """#!{python}
import os, sys
print("OK ready", flush=True)
for line in sys.stdin:
    if line.startswith("GETPIN"):
        print("D " + open({path!r}).read().strip(), flush=True)
    print("OK", flush=True)
    if line.startswith("BYE"):
        break
"""


@contextlib.contextmanager
def agent_with_long_pin(how):
    with agent_that_remembers(how) as agent:
        with secret(f"{PIN}\n{LONG}\n") as fd:
            agent.call("ChangePin", {"token": "one", "pin": {"fd": 0}}, [fd])
        agent.stop()
        path = agent.dir / "pin-of-the-person"
        path.write_text(LONG)
        pinentry = agent.dir / "pinentry"
        pinentry.write_text(PINENTRY.format(python=sys.executable, path=str(path)))
        pinentry.chmod(0o700)
        agent.conf.write_text(agent.conf.read_text() + f"[agent]\npinentry = {pinentry}\n")
        agent.start()
        yield agent


def unlock_by(agent, way):
    if way == "fd":
        agent.unlock("one", LONG)
    else:
        agent.call("Unlock", {"token": "one", "pin": {"pinentry": {}}})


@pytest.mark.parametrize("way", ["fd", "pinentry"])
@pytest.mark.parametrize("end", ["lock", "hangup", "always"])
def test_nothing_is_left_of_a_pin(way, end):
    with agent_with_long_pin("always" if end == "always" else "lock") as agent:
        unlock_by(agent, way)
        if end == "always":
            until(lambda: agent.count("is locked:"), "the token was never locked")
        else:
            worker = agent.worker()["pid"]
            until(lambda: holders(agent) == [worker], "the worker alone is to hold the PIN")
            if end == "lock":
                agent.call("Lock", {"token": "one"})
            else:
                agent.popen.send_signal(signal.SIGHUP)
                until(lambda: agent.count("is locked:"), "the token was never locked")
        until(lambda: holders(agent) == [], "the PIN is in the memory of a process")
        assert not unlocked(agent)


@pytest.mark.long
@pytest.mark.parametrize("how", ["minutes 1", "idle 1"])
def test_time(how):
    """Locked by its timer, once, and not before; that of "idle" begins anew with each use."""
    with agent_with_long_pin(how) as agent:
        began = time.monotonic()
        agent.unlock("one", LONG)
        agent.call("NewKey", {"token": "one", "label": "x", "algorithm": "p256"})
        time.sleep(20)  # a minute is the shortest there is
        used = time.monotonic()
        assert unlocked(agent) and csr(agent)
        until(lambda: agent.count("is locked:"), "the token was never locked")
        took = time.monotonic() - (began if how == "minutes 1" else used)
        assert took > 59
        assert how != "minutes 1" or took < 80  # had the use counted, it would have taken longer
        assert not unlocked(agent)
        until(lambda: holders(agent) == [], "the PIN is in the memory of a process")
        assert agent.error("MakeCsr", {"key": "x", "jid": "a@b.test"}).name == "PinNeeded"


# ---- the process, which may hold more of a PIN than the token's logout wipes ----

@contextlib.contextmanager
def agent_with_two():
    with Agent(("one", "two")) as agent:
        yield agent


def runs(pid):
    return os.path.exists(f"/proc/{pid}")


def test_lock_ends_the_process():
    """It is gone when Lock replies; the next call starts another one."""
    with agent_that_remembers("removal") as agent:
        new_key(agent)
        pid = agent.worker()["pid"]
        token = agent.call("Lock", {"token": "one"})["token"]
        assert not runs(pid) and not token["unlocked"]
        assert agent.worker()["restarts"] == 0
        assert agent.unlock("one")["unlocked"] and csr(agent)


@pytest.mark.parametrize("how", ["hangup", "always"])
def test_the_process_ends_with_the_memory(how):
    with agent_that_remembers("always" if how == "always" else "lock") as agent:
        pid = agent.worker()["pid"]
        new_key(agent)
        if how == "hangup":
            agent.popen.send_signal(signal.SIGHUP)
        until(lambda: not runs(pid), "the process that had the PIN goes on")


def test_the_process_goes_on_for_another_token():
    with agent_with_two() as agent:
        agent.unlock("one")
        agent.unlock("two")
        pid = agent.worker()["pid"]
        agent.call("Lock", {"token": "one"})
        assert runs(pid) and agent.worker()["pid"] == pid
        assert agent.call("ShowToken", {"token": "two"})["token"]["unlocked"]
        agent.call("Lock", {"token": "two"})
        assert not runs(pid)


def test_the_process_goes_on_for_a_call():
    """Until it is over, without anybody's asking again."""
    with agent_with_two() as agent, agent.client() as client:
        read, write = os.pipe()
        agent.unlock("one")
        pid = agent.worker()["pid"]
        client.send("Unlock", {"token": "two", "pin": {"fd": 0}}, [read])
        wait_open(pid, read)
        agent.call("Lock", {"token": "one"})
        assert runs(pid)
        os.close(write)
        os.close(read)
        assert client.error_of_next().name != "WorkerDied"
        until(lambda: not runs(pid), "the process goes on without need")


def test_release_ends_the_process():
    """It is gone when ReleaseToken replies, and the PIN with it, whatever the policy is."""
    for token in ({"token": "one"}, {}):
        with agent_that_remembers("lock") as agent:
            new_key(agent)
            pid = agent.worker()["pid"]
            assert agent.call("ReleaseToken", token) == {"note": None}
            assert not runs(pid)
            assert agent.error("MakeCsr", {"key": "x", "jid": "a@b.test"}).name == "PinNeeded"
            assert agent.count("is locked: it was released") == 1
            assert agent.call("ReleaseToken") == {"note": None}


def test_release_beside_another_token():
    with agent_with_two() as agent:
        agent.unlock("two")
        new_key(agent)
        pid = agent.worker()["pid"]
        note = agent.call("ReleaseToken", {"token": "one"})["note"]
        assert "another of its tokens is unlocked" in note and runs(pid)
        assert csr(agent)  # the PIN is kept
        assert agent.call("ReleaseToken") == {"note": None} and not runs(pid)
        assert not unlocked(agent)


def hung_call(agent, stack, log):
    """A signature that does not come back; its client."""
    agent.script("removable\non C_Sign hang\n")
    client = stack.enter_context(agent.client())
    client.send("MakeCsr", {"key": "x", "jid": "a@b.test"})
    until(lambda: "! " in log.read_text(), "no signature hangs")
    return client


@pytest.mark.parametrize("token", [{"token": "one"}, {}])
def test_release_ends_a_call_that_hangs(token):
    """The token is free at once; who was at work is told why it ended."""
    agent = FaultAgent("removable\n")
    log = agent.dir / "calls"
    agent.env["SIGNET_FAULT_LOG"] = str(log)
    with agent, contextlib.ExitStack() as stack:
        new_key(agent)
        pid = agent.worker()["pid"]
        client = hung_call(agent, stack, log)
        begin = time.monotonic()
        assert agent.call("ReleaseToken", token) == {"note": None}
        assert not runs(pid)
        assert time.monotonic() - begin < 20  # of the 60 seconds that the module has
        error = client.error_of_next()
        assert error.name == "TokenReleased" and "was released" in error.parameters["message"], error
        agent.script("removable\n")
        agent.unlock("one")
        assert csr(agent)


def test_release_beside_a_call_with_another_token():
    """It does not wait for that one, and says whose it is."""
    agent = FaultAgent("removable\n", labels=("one", "two"), conf="[token two]\nremember = always\n")
    log = agent.dir / "calls"
    agent.env["SIGNET_FAULT_LOG"] = str(log)
    with agent, contextlib.ExitStack() as stack:
        read, write = os.pipe()
        login = stack.enter_context(agent.client())
        login.send("Unlock", {"token": "two", "pin": {"fd": 0}}, [read])
        pid = agent.worker()["pid"]  # of that call: without one, it may end any time
        wait_open(pid, read)
        note = agent.call("ReleaseToken", {"token": "one"})["note"]
        assert f"Unlock of process {os.getpid()}" in note and runs(pid), note
        os.close(write)
        os.close(read)
        login.error_of_next()


# ---- a token that can be taken out, and that nobody uses ----

def test_an_unused_card_is_let_go():
    """Status tells of it as it was, and does not take it again; a list does."""
    with FaultAgent("removable\n") as agent:
        for _ in range(2):
            # as long as the process starts, it is said that they are what they were
            tokens = until(lambda: [t for t in agent.call("ListTokens")["tokens"] if t["problem"] is None])
            starts = agent.count("signet-token for fault started")
            until(lambda: agent.worker()["pid"] is None, "the process keeps the card")
            status = agent.call("Status")
            assert [t["label"] for t in status["tokens"]] == ["one"] and status["tokens"] == tokens
            assert status["workers"][0]["restarts"] == 0 and status["workers"][0]["problem"] is None
            assert agent.count("signet-token for fault started") == starts
        assert agent.unlock("one")["unlocked"]
        pid = agent.worker()["pid"]
        agent.call("ReleaseToken", {"token": "one"})
        assert not runs(pid) and agent.worker()["pid"] is None
        assert not agent.call("Status")["tokens"][0]["unlocked"]
        assert agent.call("ReleaseToken", {"token": "one"}) == {"note": None}
        assert agent.worker()["pid"] is None  # to release it does not take it either


@pytest.mark.parametrize("why", ["unlocked", "monitored", "not removable"])
def test_a_process_that_is_needed_stays(why):
    with FaultAgent("" if why == "not removable" else "removable\n") as agent, contextlib.ExitStack() as stack:
        if why == "unlocked":
            agent.unlock("one")
        if why == "monitored":
            stack.enter_context(agent.client()).send("Monitor", more=True)
            agent.wait_line("monitors")
        agent.call("ListTokens")
        pid = agent.worker()["pid"]
        time.sleep(4)  # twice as long as an unused card is kept
        assert runs(pid) and agent.worker()["pid"] == pid
        stack.close()
        if why == "monitored":
            until(lambda: not runs(pid), "the process keeps the card when nobody monitors any more")


@pytest.mark.parametrize("how, minutes", [("minutes 7", 7), ("idle 9", 9), ("removal", None)])
def test_the_minutes_are_told(how, minutes):
    with agent_that_remembers(how) as agent:
        token = agent.call("ShowToken", {"token": "one"})["token"]
        assert (token["remember"], token["remember_minutes"]) == (how.split()[0], minutes)
        shown = subprocess.run([BIN / "signet", "token", "show", "one", "--socket", agent.sock], env=agent.env,
                               capture_output=True, text=True, check=True).stdout
        assert minutes is None or f"{minutes} min" in shown


# ---- tokens that hang, or are away ----

def test_lock_goes_ahead_of_all_that_hangs():
    """More signatures hang than the module's process is given at a time: it is locked at once, by hand and by SIGHUP."""
    for how in ("Lock", "SIGHUP"):
        agent = FaultAgent()
        log = agent.dir / "calls"
        agent.env["SIGNET_FAULT_LOG"] = str(log)
        with agent, contextlib.ExitStack() as stack:
            new_key(agent)
            agent.script("on C_Sign hang\n")
            for _ in range(12):
                stack.enter_context(agent.client()).send("MakeCsr", {"key": "x", "jid": "a@b.test"})
            until(lambda: "!" in log.read_text(), "no signature hangs")
            agent.call("ListAccounts")
            begin = time.monotonic()
            if how == "Lock":
                assert not agent.call("Lock", {"token": "one"})["token"]["unlocked"]
            else:
                agent.popen.send_signal(signal.SIGHUP)
            until(lambda: agent.count("is locked: "), "the token was never locked")
            assert time.monotonic() - begin < 30  # of the 60 seconds that the module has


def test_lock_of_a_token_that_is_away():
    """Its PIN waits for it, and does so no more."""
    with FaultAgent("removable\n", conf="[token one]\nremember = lock\n") as agent:
        new_key(agent)
        agent.script("removable\nnow remove\n")
        until(lambda: agent.call("ListTokens")["tokens"] == [], "the token was never away")
        token = agent.call("Lock", {"token": "one"})["token"]
        assert not token["unlocked"] and "not there" in token["problem"], token
        agent.wait_line("is locked: by request")
        assert agent.error("Lock", {"token": "one"}).name == "TokenAbsent"  # nothing is known of it any more
        agent.script("removable\nnow insert\n")
        until(lambda: agent.call("ListTokens")["tokens"], "the token never came back")
        assert agent.error("MakeCsr", {"key": "x", "jid": "a@b.test"}).name == "PinNeeded"
