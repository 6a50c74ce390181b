"""Callers that go away or keep others waiting while a token waits for their PIN."""
import contextlib
import os
import shutil
import select
import signal
import socket
import subprocess
import sys
import time

import pytest

from agent_fixture import PIN, Agent, wait_joined, wait_open
from processes import suspend, until, wait_gone
from varlink_client import secret
from world import World

# Writes its process id, and says the PIN that comes through a pipe beside it.
PINENTRY = """#!{python}
import os, signal, sys
if {stubborn}:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("OK ready", flush=True)
for line in iter(sys.stdin.readline, ""):
    if line.startswith("GETPIN"):
        open({folder!r} + "/asked.new", "w").write(str(os.getpid()))
        os.rename({folder!r} + "/asked.new", {folder!r} + "/asked")
        with open({folder!r} + "/answer") as answer:
            print("D " + answer.read(), flush=True)
    print("OK", flush=True)
"""


@contextlib.contextmanager
def agent_with_pinentry(stubborn=False):
    agent = Agent()
    program = agent.dir / "pinentry"
    program.write_text(PINENTRY.format(python=sys.executable, folder=str(agent.dir), stubborn=stubborn))
    program.chmod(0o700)
    agent.env["SIGNET_LOG"] = "debug"
    os.mkfifo(agent.dir / "answer")
    agent.conf.write_text(f"[agent]\npinentry = {program}\n" + agent.conf.read_text())
    with agent:
        yield agent


def wait_asked(agent):
    """Until the pinentry asks; gives its process."""
    until((agent.dir / "asked").exists, "no pinentry asks")
    return int((agent.dir / "asked").read_text())


ASK = {"token": "one", "pin": {"pinentry": {}}}


@pytest.mark.parametrize("how", ["closes", "ends sending first", "asks much first", "leaves replies", "stubborn"])
def test_a_pinentry_ends_with_its_caller(how):
    with agent_with_pinentry(stubborn=how == "stubborn") as agent:
        client = agent.client()
        if how == "leaves replies":
            client.send("ListAccounts")  # the close is a reset then
        client.send("Unlock", ASK)
        pid = wait_asked(agent)
        (agent.dir / "asked").unlink()
        if how == "ends sending first":
            client.sock.shutdown(socket.SHUT_WR)
            agent.call("ListTokens")
            os.kill(pid, 0)  # such a client still waits for its reply
            assert agent.worker()["state"] == "running"
        if how == "asks much first":  # more calls than are read at a time
            for _ in range(70):
                client.send("Unlock", ASK)
            agent.call("ListTokens")
        client.sock.close()
        assert agent.unlock("one")["unlocked"]
        wait_gone(pid)
        assert agent.worker()["restarts"] == 0
        assert not (agent.dir / "asked").exists()  # nobody was shown another


def test_a_pinentry_stays_for_another_caller():
    with agent_with_pinentry() as agent, agent.client() as second:
        first = agent.client()
        first.send("Unlock", ASK)
        pid = wait_asked(agent)
        second.send("Unlock", {"token": "one"})
        wait_joined(agent, 1)
        first.sock.close()
        agent.call("ListTokens")
        os.kill(pid, 0)
        (agent.dir / "answer").write_text(PIN)
        assert second.receive()["token"]["unlocked"]
        wait_gone(pid)


def test_a_pinentry_goes_with_the_last_caller():
    with agent_with_pinentry() as agent:
        clients = [agent.client() for _ in range(3)]
        for client in clients:
            client.send("Unlock", ASK)
        pid = wait_asked(agent)
        wait_joined(agent, 2)
        for client in clients:
            agent.call("ListTokens")
            os.kill(pid, 0)
            client.sock.close()
        wait_gone(pid)
        assert agent.unlock("one")["unlocked"]


def test_a_caller_that_waits_is_not_failed_by_one_that_goes():
    """The second comes when the first one's pinentry is being ended: it gets one of its own."""
    with agent_with_pinentry() as agent, agent.client() as second:
        first = agent.client()
        first.send("Unlock", ASK)
        pid = wait_asked(agent)
        (agent.dir / "asked").unlink()
        suspend(agent.popen.pid)
        first.sock.close()
        second.send("Unlock", ASK)
        os.kill(agent.popen.pid, signal.SIGCONT)
        assert wait_asked(agent) != pid
        (agent.dir / "answer").write_text(PIN)
        assert second.receive()["token"]["unlocked"]


PIN_READ_S = 10  # SG_PIN_READ_MS


def test_pins_that_never_come():
    """Descriptors without an end: neither other tokens nor other calls wait for them, and whoever has
    a PIN for the same token waits for a time only."""
    labels = [f"t{i}" for i in range(6)]
    with Agent(labels=labels) as agent, contextlib.ExitStack() as stack:
        agent.unlock("t5")
        agent.call("NewKey", {"token": "t5", "label": "x", "algorithm": "p256"})
        pipes = [os.pipe() for _ in range(4)]
        hanging = []
        begin = time.monotonic()
        for label, (read, _) in zip(labels, pipes):
            hanging.append(stack.enter_context(agent.client()))
            hanging[-1].send("Unlock", {"token": label, "pin": {"fd": 0}}, [read])
            wait_open(agent.worker()["pid"], read)
        waiting = stack.enter_context(agent.client())
        fd = stack.enter_context(secret(PIN))
        waiting.send("Unlock", {"token": "t0", "pin": {"fd": 0}}, [fd])
        assert agent.unlock("t4")["unlocked"]
        assert agent.call("MakeCsr", {"key": "x", "jid": "a@b.test"})["csr"]
        assert len(agent.call("ListTokens")["tokens"]) >= 6
        # A slow machine may need as long as they are waited for.
        assert not select.select([client.sock for client in hanging], [], [], 0)[0] or time.monotonic() - begin > PIN_READ_S
        for client in hanging:
            assert client.error_of_next().name == "TimedOut"
        assert waiting.receive()["token"]["unlocked"]
        for ends in pipes:
            for end in ends:
                os.close(end)
        assert agent.worker()["restarts"] == 0


def test_who_asks_is_named():
    """Also a program that the agent may not look into, as the command line is."""
    with World() as world:
        env = dict(world.make_agent("juliet"), SIGNET_LOG="debug")
        agent = world.start_agent("juliet", env)
        world.signet(env, "token", "unlock", "juliet", "--pin-file", world.dir / "pin")
        line = agent.wait_line("login 'pkcs11:")
        assert ", signet, Unlock" in line or line.rstrip().endswith("/bin/signet, Unlock"), line


def test_who_asks_by_a_name_that_is_no_text():
    """A process may call itself anything, and be in a folder of any name."""
    with Agent() as agent:
        folder = os.fsencode(agent.dir) + b"/\xff\n"
        os.mkdir(folder)
        shutil.copy(sys.executable, folder + b"/program")
        code = f"import sys; sys.path[:0] = {sys.path!r}\n" \
               "from varlink_client import Client, AgentError\n" \
               f"try: Client({str(agent.sock)!r}).call('ShowKey', {{'key': 'x'}})\n" \
               "except AgentError as error: print(error.name)\n"
        out = subprocess.run([folder + b"/program", "-c", code], env=dict(os.environ, PYTHONHOME=sys.prefix),
                             capture_output=True, text=True)
        assert out.stdout == "KeyAbsent\n", out
