"""The limits of the API, and that nobody else notices when somebody runs into one (PROTOCOL.api 6)."""
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from agent_fixture import Agent
from processes import PATIENCE, suspend, until, wait_idle
from varlink_client import AGENT, SERVICE, secret

MESSAGE_MAX = 1 << 20
DEPTH_MAX = 32
CLIENTS_MAX = 2048
CALLS_MAX = 64


@pytest.fixture(scope="module")
def agent():
    with Agent(labels=("one", "two")) as agent:
        yield agent


@pytest.fixture
def healthy(agent):
    """A client that was there before, and is well served afterwards."""
    with agent.client() as client:
        client.call("ListAccounts")
        yield client
        assert client.call("Status")["pid"] == agent.popen.pid


def refused(client, error):
    """The last words of the agent to a client whose stream makes no sense."""
    assert client.receive_raw()["error"] == AGENT + error
    assert client.closed()


@pytest.mark.parametrize("data", [b"nonsense\0", b"[]\0", b"\0", b'"text"\0', b'{"method":\0', b'{"a":1,"a":2}\0',
                                  b'{"method":"\xff\xfe"}\0', b"{}}\0", b"\x80" * 5000 + b"\0"])
def test_what_is_no_json_object(agent, healthy, data):
    with agent.client() as client:
        client.send_raw(data)
        refused(client, "Malformed")


@pytest.mark.parametrize("value", [b'"a\\u0000b"', b"99999999999999999999", b"1e999"])
def test_values_that_nothing_can_have(agent, healthy, value):
    """The message is answered, and the next one as if nothing had been; unless descriptors may get mixed up."""
    message = b'{"method":"org.signet.Agent.ShowAccount","parameters":{"jid":' + value + b"}}\0"
    with agent.client() as client:
        client.send_raw(message)
        assert client.receive_raw()["error"] == AGENT + "Malformed"
        assert client.call("ListAccounts")["accounts"] == []
        with secret("x") as fd:
            client.send_raw(message, [fd])
            refused(client, "Malformed")


def test_a_name_that_nothing_can_have(agent, healthy):
    with agent.client() as client:
        for message in (b'{"method":"org.signet.Agent.ShowAccount","parameters":{"j\\u0000id":"x"}}\0', b'{"\\u0000":1}\0'):
            client.send_raw(message)
            assert client.receive_raw()["error"] == AGENT + "Malformed"
            assert client.call("ListAccounts")["accounts"] == []


@pytest.mark.parametrize("method, parameters, subject", [
    ("Unlock", {"token": "one", "pin": {"fd": 0}}, "pin"),
    ("Connect", {"jid": "a@b.test", "password": {"fd": 0}}, "password"),
])
def test_a_descriptor_that_cannot_be_read(agent, healthy, method, parameters, subject):
    """It is refused at once: a wait for what never comes would end as TimedOut."""
    read, write = os.pipe()
    try:
        error = agent.error(method, parameters, [write])
        assert (error.name, error.parameters["subject"]) == ("ArgumentWrong", subject)
        assert "not open for reading" in error.parameters["message"]
    finally:
        os.close(read)
        os.close(write)


def test_replies_before_the_nonsense_still_come(agent, healthy):
    with agent.client() as client:
        client.send("Status")
        client.send("ListAccounts")
        client.send_raw(b"nonsense\0"  # in one piece: the agent may have closed before another
                        b'{"method":"org.signet.Agent.AddAccount","parameters":{"jid":"after@example.test"}}\0')
        client.receive()
        client.receive()
        refused(client, "Malformed")
    assert agent.call("ListAccounts")["accounts"] == []


@pytest.mark.parametrize("bracket", ["[]", "{}"])
def test_depth(agent, healthy, bracket):
    def nested(levels):
        inner = "1"
        for _ in range(levels - 1):
            inner = f"[{inner}]" if bracket == "[]" else f'{{"a":{inner}}}'
        return f'{{"method":"org.signet.Agent.Status","extra":{inner}}}'.encode() + b"\0"
    with agent.client() as client:
        client.send_raw(nested(DEPTH_MAX))
        assert client.receive_raw()["error"] == SERVICE + "InvalidParameter"
        client.send_raw(nested(DEPTH_MAX + 1))
        refused(client, "LimitExceeded")
    with agent.client() as client:  # a million of them, in less than a message
        client.send_raw(b"[" * (MESSAGE_MAX - 1) + b"\0")
        refused(client, "LimitExceeded")
    with agent.client() as client:  # brackets in a text are none
        client.send_raw(json.dumps({"method": "[" * 1000 + '\\"{{'}).encode() + b"\0")
        assert client.receive_raw()["error"] == SERVICE + "InvalidParameter"


def test_length(agent, healthy):
    def long_message(size):
        head = b'{"method":"org.signet.Agent.ShowAccount","parameters":{"jid":"'
        tail = b'"}}\0'
        return head + b"a" * (size - len(head) - len(tail)) + tail
    with agent.client() as client:
        client.send_raw(long_message(MESSAGE_MAX))
        assert client.receive_raw()["parameters"] == {"parameter": "jid"}  # a text of 8 KiB at most
        try:
            client.send_raw(long_message(MESSAGE_MAX + 1))
        except (BrokenPipeError, ConnectionResetError):
            pass
        refused(client, "LimitExceeded")
    with agent.client() as client:  # without an end
        try:
            client.send_raw(b"a" * (3 * MESSAGE_MAX))
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert client.receive_raw()["error"] == AGENT + "LimitExceeded"


def test_texts_and_lists(agent, healthy):
    for parameters, error in (({"jid": "a" * 8192 + "@b"}, SERVICE + "InvalidParameter"),
                              ({"jid": "a" * 8000 + "@b"}, AGENT + "ArgumentWrong")):
        assert agent.error("ShowAccount", parameters).error == error
    names = ["ab" * 20] * 1001
    assert agent.error("FetchKeys", {"jid": "a@b", "from": "a@b", "names": names}).parameters == {"parameter": "names"}
    assert agent.error("FetchKeys", {"jid": "a@b", "from": "a@b", "names": names[1:]}).name == "AccountAbsent"


def test_half_messages(agent, healthy):
    """They wait, and when they are given up nothing is left of them."""
    before = agent.open_files()
    halves = [agent.client() for _ in range(50)]
    for client in halves:
        client.send_raw(b'{"method":"org.signet.Agent.AddAccount","parameters":{"jid":"half@example.test"')
    assert healthy.call("ListAccounts")["accounts"] == []
    halves[0].send_raw(b"}}\0")
    halves[0].receive_raw()
    for client in halves:
        client.sock.close()
    assert [a["jid"] for a in healthy.call("ListAccounts")["accounts"]] == ["half@example.test"]
    healthy.call("RemoveAccount", {"jid": "half@example.test"})
    wait_files(agent, before)


def wait_files(agent, count):
    """Until signetd has no more descriptors than that; it closes in its own time."""
    until(lambda: agent.open_files() <= count, f"more than {count} descriptors are left")


MANY = """
import resource, socket, sys
path, count, patience = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
resource.setrlimit(resource.RLIMIT_NOFILE, (count + 100,) * 2)
clients = []
for _ in range(count):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(patience)
    s.connect(path)
    clients.append(s)
print("connected", flush=True)
sys.stdin.readline()
for s in clients:
    s.sendall(b'{"method":"org.signet.Agent.ListAccounts"}\\0')
served = 0
for s in clients:
    served += s.recv(4096) == b'{"parameters":{"accounts":[]}}\\0'
print(served, flush=True)
sys.stdin.readline()
"""


def test_connections(agent):
    before = agent.open_files()
    with agent.client() as healthy:
        healthy.call("ListAccounts")
        many = subprocess.Popen([sys.executable, "-c", MANY, agent.sock, str(CLIENTS_MAX - 1), str(PATIENCE)], text=True,
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            assert many.stdout.readline() == "connected\n"
            healthy.call("ListAccounts")  # all that came before are let in
            with agent.client() as client:
                refused(client, "LimitExceeded")
            print(file=many.stdin, flush=True)
            assert many.stdout.readline() == f"{CLIENTS_MAX - 1}\n"
            healthy.call("Status")
        finally:
            many.kill()
            many.wait()
    wait_files(agent, before)
    agent.call("Status")


def test_no_descriptor_left():
    with Agent(softhsm=False, prefix=("prlimit", "--nofile=60:60")) as agent:
        with agent.client() as healthy:
            healthy.call("ListAccounts")
            clients = [agent.client() for _ in range(80)]
            said = [c.receive_raw() for c in clients[-5:]]
            assert all(s["error"] == AGENT + "LimitExceeded" for s in said)
            healthy.call("ListAccounts")
            for client in clients:
                client.sock.close()
            healthy.call("ListAccounts")
            agent.call("ListAccounts")


# ---- descriptors ----

def test_a_descriptor_that_did_not_come(agent, healthy):
    with agent.client() as client, secret("1234") as fd:
        parameters = {"token": "one", "pin": {"fd": 0}}
        assert client.error("Unlock", parameters).parameters == {"parameter": "fd"}
        assert client.error("Unlock", {"token": "one", "pin": {"fd": 1}}, [fd]).parameters == {"parameter": "fd"}
        assert client.error("Unlock", {"token": "one", "pin": {"fd": -1}}, [fd]).parameters == {"parameter": "fd"}
        assert client.error("Unlock", {"token": "one", "pin": {"fd": 2 ** 40}}, [fd]).parameters == {"parameter": "fd"}
        assert client.call("Unlock", parameters, [fd])["token"]["unlocked"]
        assert not client.call("Lock", {"token": "one"})["token"]["unlocked"]


def test_one_descriptor_for_two_secrets(agent, healthy):
    with secret("1234") as fd:
        error = agent.error("Connect", {"jid": "a@b", "password": {"fd": 0}, "pin": {"fd": 0}}, [fd])
        assert error.error == SERVICE + "InvalidParameter"


def test_descriptors_nobody_claims_are_closed(agent, healthy):
    with agent.client() as client, secret("1234") as fd:
        client.call("ListAccounts", fds=[fd])
        before = agent.open_files()
        for _ in range(100):
            client.call("ListAccounts", fds=[fd] * 4)
        wait_files(agent, before)


def test_too_many_descriptors(agent, healthy):
    before = agent.open_files()
    with agent.client() as client, secret("1234") as fd:
        client.send("ListAccounts", fds=[fd] * 5)
        assert client.closed()
    with agent.client() as client, secret("1234") as fd:  # the same, bit by bit
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            while True:
                client.send_raw(b" ", fds=[fd])
        assert client.closed()
    wait_files(agent, before)


def test_each_call_gets_its_own_descriptors(agent):
    """Pipelined: the second call's PIN is wrong, and it is the second call that is told."""
    with agent.client() as client, secret("1234") as right, secret("9999") as wrong:
        client.send("ListAccounts")
        client.send("Unlock", {"token": "one", "pin": {"fd": 0}}, [right])
        client.send("Unlock", {"token": "two", "pin": {"fd": 0}}, [wrong])
        client.receive()
        assert client.receive()["token"]["unlocked"]
        assert client.error_of_next().name == "PinWrong"


# ---- clients that do not read, workers that do not answer ----

def test_calls_in_flight(agent, healthy):
    """With a worker that stands still, no more than 64 calls of a connection are taken on."""
    agent.call("ListTokens")
    pid = agent.worker()["pid"]
    suspend(pid)
    try:
        with agent.client() as client:
            for _ in range(CALLS_MAX):
                client.send("ShowToken", {"token": "one"})  # ListTokens would soon answer with what it remembers
            client.send("AddAccount", {"jid": "late@example.test"})
            assert healthy.call("ListAccounts")["accounts"] == []
            os.kill(pid, signal.SIGCONT)
            for _ in range(CALLS_MAX + 1):
                client.receive()
        healthy.call("RemoveAccount", {"jid": "late@example.test"})
    finally:
        os.kill(pid, signal.SIGCONT)


def test_requests_that_wait_for_a_worker(agent, healthy):
    """Eight are at the worker, 1024 wait in the agent, and more are refused; they are all answered."""
    agent.call("ListKeys")
    pid = agent.worker()["pid"]
    wait_idle(agent.popen.pid, pid)  # tokens may have been told from memory while the worker was still asked for them
    suspend(pid)
    clients = [agent.client() for _ in range(17)]
    try:
        for client in clients:
            for _ in range(CALLS_MAX):
                client.send("ListKeys", {"selector": "nothing"})  # with short replies, for most wait long to be fetched
        until(lambda: not any(client.unread() for client in clients), "the agent does not read what it is sent")
        healthy.call("ListAccounts")  # what was read last is taken on, too
    finally:
        os.kill(pid, signal.SIGCONT)
    replies = [client.receive_raw() for client in clients for _ in range(CALLS_MAX)]
    for client in clients:
        client.sock.close()
    refused = [r["error"] for r in replies if "error" in r]
    assert set(refused) == {AGENT + "LimitExceeded"} and len(refused) == 17 * CALLS_MAX - 8 - 1024


def test_replies_that_are_not_fetched(agent, healthy):
    """64 calls at once whose replies are more than 4 MiB together: the client is dropped."""
    agent.unlock("one")
    with agent.client() as client:
        for i in range(96):  # with labels that take much room in a reply
            client.call("NewKey", {"token": "one", "label": '"' * 60 + f"{i:04}", "algorithm": "p256"})
    assert len(json.dumps(agent.call("ListKeys"))) * CALLS_MAX > 5 << 20
    with agent.client() as client:
        for _ in range(CALLS_MAX):
            client.send("ListKeys")
        # where they take more than 30 s to make, it is too long before it is too much
        agent.wait_line("leaves too many replies unread|does not fetch its replies: dropped")
        healthy.call("ListAccounts")
        got = 0
        while data := client.sock.recv(1 << 20):
            got += len(data)
        assert got < 4 << 20
    with agent.client() as client:  # the same replies, fetched, are no trouble; few at a time, for we may read slowly
        for asked in range(CALLS_MAX):
            client.send("ListKeys")
            if asked >= CALLS_MAX // 4:
                client.receive()
        while client.asked:
            client.receive()


@pytest.mark.long
def test_slow_readers_and_hung_workers():
    """Both in one test, for each takes its time: a client that fetches nothing is dropped after 30 s, a
    worker that answers nothing is killed after 60 s; a status is there at once all the while."""
    with Agent() as agent, agent.client() as hung, agent.client() as slow, agent.client() as healthy:
        agent.call("ListTokens")
        pid = agent.worker()["pid"]
        begin = time.monotonic()
        slow.sock.setblocking(False)
        with pytest.raises(BlockingIOError):  # it is not read from either: that would go on for ever
            for _ in range(100000):
                slow.send(SERVICE + "GetInterfaceDescription", {"interface": "org.signet.Agent"})
        suspend(pid)
        hung.send("ListKeys")
        hung.send("ListAccounts")
        until(lambda: not hung.unread(), "the agent does not read what it is sent")  # before it asks for the status itself
        status = healthy.call("Status")
        assert agent.count("does not fetch its replies: dropped") == 0  # long before anybody is given up
        assert status["workers"][0]["pid"] == pid
        assert [t["label"] for t in status["tokens"]] == ["one"] and "softhsm" in status["tokens"][0]["problem"]
        assert "softhsm" in status["workers"][0]["problem"]
        agent.wait_line("does not fetch its replies: dropped")
        assert time.monotonic() - begin > 25
        error = hung.error_of_next()
        assert error.name == "TimedOut" and "softhsm" in error.parameters["message"]
        assert time.monotonic() - begin > 55
        hung.receive()
        assert "one" in [t["label"] for t in healthy.call("ListTokens")["tokens"]]
        worker = agent.worker()
        assert worker["pid"] != pid and worker["restarts"] == 1
