"""signet while it waits: events for people and programs, touches, and what ends it."""
import json
import os
import select
import signal
import socket
import subprocess
import termios
import threading
import time

import pytest

from cli_fixture import error, Scripted, send, SIGNET, signet, SMALL_ENV, Terminal
from processes import PATIENCE, until

TIME = "2026-01-31T12:00:00Z"


def event(kind, label="t", pid=None, text=None):
    return {"continues": True, "parameters": {"event": {
        "kind": kind, "time": TIME, "token": "pkcs11:token=t", "label": label, "pid": pid, "exe": None, "purpose": None,
        "text": text}}}


class Monitor:
    """signet monitor, and the agent's end of its connection."""

    def __init__(self, tmp_path, *args, ignore=False, **more):
        ready = threading.Event()
        self.agent = Scripted(tmp_path, lambda conn, call: (setattr(self, "conn", conn), setattr(self, "call", call),
                                                            ready.set()))
        self.popen = subprocess.Popen(
            [SIGNET, "monitor", "--socket", self.agent.path, *args], env=SMALL_ENV, stdin=subprocess.DEVNULL,
            **({"stdout": subprocess.PIPE} | more), stderr=subprocess.PIPE, text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN if ignore else signal.SIG_DFL))
        assert ready.wait(PATIENCE)
        assert self.call == {"method": "org.signet.Agent.Monitor", "parameters": {}, "more": True}

    def end(self):
        out, err = self.popen.communicate(timeout=PATIENCE)
        return self.popen.returncode, out, err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_events_are_there_when_they_happen(tmp_path, number):
    monitor = Monitor(tmp_path)
    send(monitor.conn, event("locked", text="no use\x1b[2J"))
    assert monitor.popen.stdout.readline() == f"{TIME}  token 't' is locked: no use\\x1b[2J\n"
    send(monitor.conn, event("touch_wanted", label="a\u202eb", pid=7))
    assert monitor.popen.stdout.readline() == f"{TIME}  token 'a\\u202eb' waits to be touched for a program (process 7)\n"
    monitor.popen.send_signal(number)
    assert monitor.end() == (0, "", "")
    monitor.agent.wait(None)


def test_events_for_programs_are_a_line_each(tmp_path):
    monitor = Monitor(tmp_path, "--json")
    for kind in ("token_in", "token_out"):
        send(monitor.conn, event(kind))
    assert [json.loads(monitor.popen.stdout.readline())["kind"] for _ in range(2)] == ["token_in", "token_out"]
    monitor.conn.shutdown(socket.SHUT_RDWR)
    status, out, err = monitor.end()
    assert status == 3 and err == "" and out.count("\n") == 1
    assert json.loads(out)["error"] == "AgentAbsent"


def test_the_loss_of_the_agent_is_told(tmp_path):
    monitor = Monitor(tmp_path)
    monitor.conn.shutdown(socket.SHUT_RDWR)
    status, out, err = monitor.end()
    assert status == 3 and out == "" and err.startswith("signet: the agent went away during the call\n")


@pytest.mark.parametrize("reply, status, says", [
    (error("Denied"), 8, "it is so"), ({"parameters": {}}, 3, "tells no more events"), (event("x") | {"parameters": {}}, 7, "no event"),
    ({"error": "org.varlink.service.MethodNotFound", "parameters": {"method": "x"}}, 1, "does not understand this call")])
def test_an_agent_without_events_is_a_failure(tmp_path, reply, status, says):
    monitor = Monitor(tmp_path)
    send(monitor.conn, reply)
    got, out, err = monitor.end()
    assert got == status and out == "" and says in err


def test_who_stops_reading_ends_it_at_once(tmp_path):
    """Without another event: the pipe's end is noticed while nothing happens."""
    monitor = Monitor(tmp_path)
    monitor.popen.stdout.close()
    assert monitor.popen.wait(PATIENCE) == 0 and monitor.popen.stderr.read() == ""
    monitor.agent.wait(None)


def test_an_event_that_cannot_be_written_is_no_success(tmp_path):
    with open("/dev/full", "w", encoding="ascii") as full:
        monitor = Monitor(tmp_path, stdout=full)
        send(monitor.conn, event("token_in"))
        status, _, err = monitor.end()
    assert status == 1 and "No space left on device" in err


def test_a_signal_that_is_ignored_stays_ignored(tmp_path):
    monitor = Monitor(tmp_path, ignore=True)
    monitor.popen.send_signal(signal.SIGINT)
    send(monitor.conn, event("token_in"))
    assert monitor.popen.stdout.readline() == f"{TIME}  token 't' is there\n"
    monitor.popen.terminate()
    assert monitor.end()[0] == 0


class Signing:
    """`signet sign` on a terminal, with an agent whose answer comes when it is told to."""

    def __init__(self, tmp_path, *args, answer=None, echo=True):
        self.asked, self.ready, self.go = threading.Event(), threading.Event(), threading.Event()
        self.agent = Scripted(tmp_path, answer or self._answer)
        self.shown = Terminal("sign", "a@b", "--socket", self.agent.path, *args, echo=echo)
        self.pid = self.shown.popen.pid

    def _answer(self, conn, call):
        if call["method"].endswith(".Monitor"):
            self.conn = conn
            conn.settimeout(PATIENCE)
            self.ready.set()
            self.go.wait(PATIENCE)
        else:
            self.signed = conn
            conn.settimeout(PATIENCE)
            self.asked.set()
            self.go.wait(PATIENCE)
            send(conn, {"parameters": {"key": {"name": "n"}}})

    def watch(self):
        assert self.asked.wait(PATIENCE) and self.ready.wait(PATIENCE)
        return self

    def end(self):
        self.go.set()
        return self.shown.end()


TOUCH = 'Touch token "t" now: it waits for you (for `signet sign`)'


def test_a_touch_is_asked_for_once_and_then_there_is_silence(tmp_path):
    signing = Signing(tmp_path).watch()
    for wanted in (event("touch_wanted", pid=1), event("touch_over", pid=1), event("token_in"),
                   event("touch_wanted", pid=signing.pid)):
        send(signing.conn, wanted)
    signing.shown.wait(TOUCH)
    assert not select.select([signing.shown.fd], [], [], 1.5)[0] or signing.shown.text.endswith(TOUCH)
    send(signing.conn, event("touch_over", pid=signing.pid))
    send(signing.conn, event("touch_wanted", "second\x1b[2J", pid=signing.pid))
    signing.shown.wait('Touch token "second\\x1b[2J" now')
    status, text = signing.end()
    assert status == 0 and text.count("Touch") == 2 and "waiting for the token" not in text.partition(TOUCH)[2]
    assert sorted(signing.agent.methods[:2]) == ["Monitor", "Sign"]


def test_a_touch_is_not_asked_for_in_a_prompt(tmp_path):
    """Nor afterwards, if it is over by then."""
    signing = Signing(tmp_path, echo=False).watch()
    send(signing.conn, event("touch_wanted", "first", pid=signing.pid))
    send(signing.conn, event("touch_over", "first", pid=signing.pid))
    send(signing.conn, event("touch_wanted", pid=signing.pid))
    assert not select.select([signing.shown.fd], [], [], 1.5)[0]
    settings = termios.tcgetattr(signing.shown.other)
    settings[3] |= termios.ECHO
    termios.tcsetattr(signing.shown.other, termios.TCSANOW, settings)
    signing.shown.wait(TOUCH)
    status, text = signing.end()
    assert status == 0 and "first" not in text


@pytest.mark.parametrize("reply", [error("Internal"), {"parameters": {}}, {"continues": True, "parameters": {"event": 7}},
                                   "nonsense", None])
def test_an_agent_that_tells_of_no_touch_is_used_all_the_same(tmp_path, reply):
    told, go = threading.Event(), threading.Event()

    def answer(conn, call):
        if call["method"].endswith(".Monitor"):
            send(conn, reply) if reply else conn.shutdown(socket.SHUT_RDWR)
            told.set()
        else:
            go.wait(PATIENCE)
            send(conn, {"parameters": {"key": {"name": "n"}}})
    signing = Signing(tmp_path, answer=answer)
    assert told.wait(PATIENCE)
    signing.shown.wait("signet: waiting for the token...")
    go.set()
    status, text = signing.shown.end()
    assert status == 0 and "Touch" not in text and "name:" in text


def test_a_fast_call_opens_one_connection(tmp_path):
    """What a busy machine has made slow is no such call, and made again."""
    def is_fast():
        answered = []
        agent = Scripted(tmp_path, lambda conn, call: (send(conn, {"parameters": {"key": {"name": "n"}}}),
                                                       answered.append(time.monotonic())))
        begin = time.monotonic()
        status, _ = Terminal("sign", "a@b", "--socket", agent.path).end()
        agent.wait(None)
        os.unlink(agent.path)
        assert status == 0
        return answered[0] - begin < 0.2 and (agent.methods,)  # it looks for a touch after that
    assert until(is_fast, "no call is fast") == (["Sign", None],)


@pytest.mark.parametrize("args, terminal", [(["--json"], True), ([], False)])
def test_nobody_who_reads_is_nobody_to_ask_for_a_touch(tmp_path, args, terminal):
    """Answers late, but waits for no Monitor."""
    def answer(conn, call):
        select.select([conn], [], [], 0.7)
        send(conn, {"parameters": {"key": {"name": "n"}}})
    agent = Scripted(tmp_path, answer)
    command = ["sign", "a@b", "--socket", agent.path, *args]
    status = Terminal(*command).end()[0] if terminal else signet(*command).returncode
    agent.wait(None)
    assert status == 0 and agent.methods == ["Sign", None]


def test_ctrl_c_ends_the_call(tmp_path):
    signing = Signing(tmp_path).watch()
    send(signing.conn, event("touch_wanted", pid=signing.pid))
    signing.shown.wait(TOUCH)
    signing.shown.type("\x03")
    assert signing.shown.popen.wait(PATIENCE) == -signal.SIGINT
    assert signing.signed.recv(1) == b"" and signing.conn.recv(1) == b""
    status, text = signing.end()
    assert "signet: interrupted while waiting for the token" in text and status == -signal.SIGINT


def test_ctrl_c_waits_for_the_prompt_to_go(tmp_path):
    """The agent's pinentry leaves the terminal when the connection is closed; nothing is written before."""
    signing = Signing(tmp_path, echo=False).watch()
    signing.shown.type("\x03")
    assert signing.signed.recv(1) == b""
    assert not select.select([signing.shown.fd], [], [], 0.3)[0]
    settings = termios.tcgetattr(signing.shown.other)
    settings[3] |= termios.ECHO
    termios.tcsetattr(signing.shown.other, termios.TCSANOW, settings)
    status, text = signing.end()
    assert "signet: interrupted while waiting for the token" in text and status == -signal.SIGINT
