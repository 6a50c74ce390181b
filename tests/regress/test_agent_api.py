"""The API's own rules: the interface, its errors, order of replies, who is let in, start and end."""
import contextlib
import json
import os
import shutil
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from agent_fixture import BIN, Agent, start_fails
from processes import PATIENCE
from varlink_client import AGENT, IDL, INTERFACE, SERVICE, Client
from world import TOP

WRONG = {"string": 7, "int": "seven", "bool": "yes", "Secret": "1234"}


@pytest.fixture(scope="module")
def agent():
    with Agent(softhsm=False) as agent:
        yield agent


def inner(shape):
    return inner(shape[1]) if isinstance(shape, tuple) and shape[0] == "maybe" else shape


def is_optional(shape):
    return isinstance(shape, tuple) and shape[0] == "maybe"


def fitting(shape):
    """A value of the right type."""
    shape = inner(shape)
    return {"string": "x", "int": 1, "bool": True}.get(shape) if isinstance(shape, str) else []


def test_info_and_interface(agent):
    info = agent.call(SERVICE + "GetInfo")
    assert info["interfaces"] == ["org.varlink.service", "org.signet.Agent"]
    assert info["product"] == "signetd" and info["version"]
    text = agent.call(SERVICE + "GetInterfaceDescription", {"interface": "org.signet.Agent"})["description"]
    assert text == INTERFACE.read_text()
    text = agent.call(SERVICE + "GetInterfaceDescription", {"interface": "org.varlink.service"})["description"]
    assert "method GetInfo()" in text
    error = agent.error(SERVICE + "GetInterfaceDescription", {"interface": "org.example.None"})
    assert (error.error, error.parameters) == (SERVICE + "InterfaceNotFound", {"interface": "org.example.None"})


@pytest.mark.parametrize("method, error, parameters", [
    ("org.signet.Agent.Nonsense", "MethodNotFound", {"method": "org.signet.Agent.Nonsense"}),
    ("org.example.Other.Status", "InterfaceNotFound", {"interface": "org.example.Other"}),
    ("org.signet.Agent.", "MethodNotFound", {"method": "org.signet.Agent."}),
])
def test_no_such_method(agent, method, error, parameters):
    got = agent.error(method)
    assert (got.error, got.parameters) == (SERVICE + error, parameters)


@pytest.mark.parametrize("message, parameter", [
    ({}, "method"), ({"method": 7}, "method"), ({"method": None}, "method"), ({"method": "Status"}, "method"),
    ({"method": AGENT + "Status", "parameters": []}, "parameters"),
    ({"method": AGENT + "Status", "more": 1}, "more"), ({"method": AGENT + "Status", "upgrade": True}, "upgrade"),
    ({"method": AGENT + "Status", "extra": 1}, "extra"),
])
def test_members_of_a_message(agent, message, parameter):
    with agent.client() as client:
        client.send_raw(json.dumps(message).encode() + b"\0")
        assert client.receive_raw() == {"error": SERVICE + "InvalidParameter", "parameters": {"parameter": parameter}}
        assert client.call("Status")["pid"] == agent.popen.pid


@pytest.mark.parametrize("method", IDL.methods)
def test_parameters_are_checked(agent, method):
    """No parameter more, none less, none of another type: each is named."""
    takes = IDL.methods[method][0]
    good = {name: fitting(shape) for name, shape in takes.items() if not is_optional(shape)}
    cases = [({**good, "surprise": 1}, "surprise")]
    cases += [({k: v for k, v in good.items() if k != name}, name) for name in good]
    cases += [({**good, name: None}, name) for name in good]
    for name, shape in takes.items():
        shape = inner(shape)
        wrong = WRONG[shape] if isinstance(shape, str) else [7]
        cases.append(({**good, name: wrong}, name))
    with agent.client() as client:
        for parameters, name in cases:
            error = client.error(method, parameters)
            assert (error.error, error.parameters) == (SERVICE + "InvalidParameter", {"parameter": name}), parameters


@pytest.mark.parametrize("secret", [
    {}, {"fd": None}, {"fd": "0"}, {"fd": 0, "pinentry": {}}, {"text": "1234"}, {"pinentry": "x"},
    {"pinentry": {"ttyname": 1}}, {"pinentry": {"unknown": "x"}}, {"pinentry": {"ttyname": "/dev/tty\nOPTION x"}},
    {"pinentry": {"display": "a" * 256}},
])
def test_what_a_secret_may_be(agent, secret):
    error = agent.error("Unlock", {"token": "x", "pin": secret})
    assert error.error == SERVICE + "InvalidParameter"


def test_a_password_has_no_pinentry(agent):
    error = agent.error("Connect", {"jid": "a@b.test", "password": {"pinentry": {}}})
    assert error.name == "Unsupported"


@pytest.mark.parametrize("selector", ["", "a" * 5000, "pkcs11:token=x?pin-source=file:/etc/passwd", "a\x07b"])
def test_selectors_that_cannot_be(agent, selector):
    assert agent.error("ShowToken", {"token": selector}).name == "ArgumentWrong"


def test_status_with_nothing(agent):
    status = agent.call("Status")
    assert status["pid"] == agent.popen.pid
    assert status["accounts"] == []
    assert [(w["kind"], w["subject"]) for w in status["workers"]] == [("token", "system")]


def test_replies_keep_the_order_of_the_calls(agent):
    """Some of these need a worker and some none; their replies must not overtake each other."""
    methods = ["Status", SERVICE + "GetInfo", "ListTokens", "ListAccounts", "Status", "Nonsense"] * 10
    with agent.client() as client:
        for method in methods:
            client.send(method)
        for method in methods:
            if method == "Nonsense":
                with pytest.raises(Exception, match="MethodNotFound"):
                    client.receive()
            else:
                client.receive()  # checks the reply's shape, which differs for each


def test_oneway_is_not_answered(agent):
    with agent.client() as client:
        client.send("AddAccount", {"jid": "oneway@example.test"}, oneway=True)
        client.send("Nonsense", oneway=True)
        client.asked.clear()
        jids = [a["jid"] for a in client.call("ListAccounts")["accounts"]]
        assert "oneway@example.test" in jids
    agent.call("RemoveAccount", {"jid": "oneway@example.test"})


def test_a_client_that_ends_its_sending_still_gets_replies(agent):
    with agent.client() as client:
        client.send("Status")
        client.send("ListAccounts")
        client.sock.shutdown(socket.SHUT_WR)
        client.receive()
        client.receive()
        assert client.closed()


def test_bytes_one_by_one(agent):
    with agent.client() as client:
        client.asked.append(AGENT + "ListAccounts")
        for byte in b'{"method":"org.signet.Agent.ListAccounts"}\0':
            client.send_raw(bytes([byte]))
        client.receive()


# ---- accounts, as far as no server is needed ----

def test_accounts(agent):
    added = agent.call("AddAccount", {"jid": "Juliet@Example.TEST/phone", "host": "127.0.0.1", "port": 5222,
                                      "tls": "direct"})["account"]
    assert (added["jid"], added["tls"], added["port"], added["state"]) == \
        ("juliet@example.test", "direct", 5222, "offline")
    assert agent.error("AddAccount", {"jid": "juliet@example.test"}).name == "AccountExists"
    agent.call("AddAccount", {"jid": "benvolio@example.test"})
    assert [a["jid"] for a in agent.call("ListAccounts")["accounts"]] == \
        ["benvolio@example.test", "juliet@example.test"]
    assert agent.error("Connect", {"jid": "juliet@example.test"}).name == "PasswordNeeded"
    assert agent.call("Disconnect", {"jid": "juliet@example.test"})["account"]["state"] == "offline"
    assert agent.error("Sign", {"account": "juliet@example.test"}).name == "KeyAbsent"
    assert agent.error("Publish", {"jid": "juliet@example.test"}).name == "KeyAbsent"
    assert agent.error("RevokeCertificate", {"jid": "juliet@example.test", "fingerprint": "current"}).name == \
        "KeyAbsent"
    for jid in ("juliet@example.test", "benvolio@example.test"):
        agent.call("RemoveAccount", {"jid": jid})
        assert agent.error("ShowAccount", {"jid": jid}).name == "AccountAbsent"


@pytest.mark.parametrize("parameters, subject", [
    ({"jid": "example.test"}, "jid"), ({"jid": "a b@c"}, "jid"), ({"jid": "a@b", "port": 65536}, "port"),
    ({"jid": "a@b", "port": -1}, "port"), ({"jid": "a@b", "port": 0}, "port"),
    ({"jid": "a@b", "tls": "none"}, "tls"), ({"jid": "a@b", "host": ""}, "host"),
    ({"jid": "a@b", "host": "a b"}, "host"), ({"jid": "a@b", "host": "a/b"}, "host"), ({"jid": "a@b", "host": "a\n"}, "host"),
    ({"jid": "a@b", "host": "x" * 254}, "host"),
    ({"jid": "a@b", "cafile": "relative.pem"}, "cafile"), ({"jid": "a@b", "cafile": "/nonexistent.pem"}, "cafile"),
])
def test_accounts_that_make_no_sense(agent, parameters, subject):
    error = agent.error("AddAccount", parameters)
    assert (error.name, error.parameters["subject"]) == ("ArgumentWrong", subject)


def test_a_store_that_another_process_has_locked(agent):
    """It is told as that, and soon: the agent can do nothing else meanwhile."""
    agent.call("AddAccount", {"jid": "a@b.test"})
    other = sqlite3.connect(agent.dir / "state/signet/agent.db", isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        for method, parameters in (("AddAccount", {"jid": "c@d.test"}), ("RemoveAccount", {"jid": "a@b.test"})):
            error = agent.error(method, parameters)
            assert error.name == "StorageFailed" and "locked" in error.parameters["message"]
        other.execute("ROLLBACK")
    finally:
        other.close()
    assert [a["jid"] for a in agent.call("ListAccounts")["accounts"]] == ["a@b.test"]
    agent.call("RemoveAccount", {"jid": "a@b.test"})


@pytest.mark.parametrize("method, parameters", [
    ("RevokeCertificate", {"fingerprint": "zz"}), ("RevokeCertificate", {"fingerprint": "aabb"}),
    ("Publish", {"access": "everybody"}), ("FetchKeys", {"from": "nobody"}),
    ("FetchKeys", {"from": "a@b.test", "names": ["zz"]}), ("FetchKeys", {"from": "a@b.test", "names": ["aabb"]}),
])
def test_arguments_that_make_no_sense(agent, method, parameters):
    agent.call("AddAccount", {"jid": "sense@example.test"})
    try:
        assert agent.error(method, {"jid": "sense@example.test", **parameters}).name == "ArgumentWrong"
    finally:
        agent.call("RemoveAccount", {"jid": "sense@example.test"})


# ---- who is let in ----

CONNECT = """
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.settimeout(float(sys.argv[2]))
try:
    s.sendall(b'{"method":"org.signet.Agent.Status"}\\0')
except BrokenPipeError:
    pass
got = b""
try:
    while data := s.recv(4096):
        got += data
except ConnectionResetError:
    pass
print(got.decode())
"""


@pytest.fixture
def listener(tmp_path):
    """A listening socket that everybody may connect to, as socket activation might make it."""
    folder = tmp_path / "open"
    folder.mkdir()
    path = folder / "agent.sock"
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(path))
    sock.listen(64)
    for part in (path, folder, *[p for p in folder.parents if p != p.parent and "pytest" in str(p)]):
        part.chmod(0o777)
    yield sock, path
    sock.close()


def start_activated(agent, sock, prefix=(), programs=BIN):
    """Starts signetd as a service manager does, with the socket as descriptor 3."""
    script = f"import os; os.environ['LISTEN_PID'] = str(os.getpid()); os.dup2({sock.fileno()}, 3); " \
             f"os.execv('{programs}/signetd', ['signetd'])"
    agent.prefix = [*prefix, sys.executable, "-c", script]
    return agent.start(env={"LISTEN_FDS": "1"}, pass_fds=(sock.fileno(), 3))


def test_socket_activation(listener):
    sock, path = listener
    with socket.socket(socket.AF_UNIX) as early:
        early.connect(str(path))
        early.sendall(b'{"method":"org.signet.Agent.ListAccounts"}\0')
        agent = Agent(softhsm=False)
        try:
            start_activated(agent, sock)
            early.settimeout(PATIENCE)
            assert json.loads(early.recv(4096).rstrip(b"\0")) == {"parameters": {"accounts": []}}
            assert agent.stop() == 0
            assert path.exists(), "the socket belongs to the service manager"
        finally:
            agent.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_another_user_is_refused(listener):
    sock, path = listener
    agent = Agent(softhsm=False)
    try:
        start_activated(agent, sock)
        got = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", sys.executable, "-c",
                              CONNECT, path, str(PATIENCE)], capture_output=True, text=True, check=True).stdout
        assert AGENT + "Denied" in got and "parameters\":{\"version" not in got
        assert got.count("\0") == 1
        with Client(path) as client:
            client.call("Status")
    finally:
        agent.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_root_is_refused_by_an_ordinary_user(listener):
    sock, path = listener
    agent = Agent(softhsm=False)
    try:
        programs = shutil.copytree(BIN, Path(agent.dir) / "bin")  # ours may lie where nobody else may go
        subprocess.run(["chown", "-R", "65534:65534", agent.dir], check=True)
        start_activated(agent, sock, ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"], programs)
        got = subprocess.run([sys.executable, "-c", CONNECT, path, str(PATIENCE)], capture_output=True, text=True, check=True).stdout
        assert AGENT + "Denied" in got
        assert got.count("\0") == 1
    finally:
        agent.close()


# ---- start and end ----

def test_modes_and_a_clean_end():
    with Agent() as agent:
        assert stat.S_IMODE(agent.sock.stat().st_mode) == 0o600
        assert stat.S_IMODE(agent.sock.parent.stat().st_mode) == 0o700
        state = agent.dir / "state/signet"
        assert stat.S_IMODE(state.stat().st_mode) == 0o700
        assert {stat.S_IMODE(f.stat().st_mode) for f in state.iterdir()} == {0o600}
        agent.call("ListTokens")
        pid = agent.worker()["pid"]
        with agent.client() as client:
            assert agent.stop() == 0
            assert client.closed()
        assert not agent.sock.exists()
        assert not os.path.exists(f"/proc/{pid}"), "the worker outlived the agent"


def test_an_end_in_the_middle_of_a_call():
    with Agent() as agent, agent.client() as client:
        agent.unlock("one")
        client.send("NewKey", {"token": "one", "label": "slow", "algorithm": "rsa4096"})
        agent.call("Status")
        assert agent.stop(signal.SIGINT) == 0


def test_a_second_agent_says_so_and_goes(agent):
    status, said = start_fails(agent)
    assert status != 0 and "another agent listens" in said
    agent.call("Status")


def test_a_stale_socket_is_replaced():
    with Agent(softhsm=False) as agent:
        agent.stop(signal.SIGKILL)
        assert agent.sock.exists()
        agent.start()
        agent.call("Status")


def test_a_file_in_the_way_is_left_alone():
    agent = Agent(softhsm=False)
    try:
        agent.sock.parent.mkdir(mode=0o700)
        agent.sock.write_text("mine")
        _, said = start_fails(agent)
        assert "in the way" in said
        assert agent.sock.read_text() == "mine"
    finally:
        agent.close()


@pytest.mark.parametrize("what", ["open", "link", "file"])
def test_a_folder_that_is_not_ours_alone_is_refused(what):
    agent = Agent(softhsm=False)
    try:
        folder = agent.sock.parent
        if what == "open":
            folder.mkdir(mode=0o700)
            folder.chmod(0o710)
        elif what == "link":
            (agent.dir / "elsewhere").mkdir(mode=0o700)
            folder.symlink_to(agent.dir / "elsewhere")
        else:
            folder.write_text("")
        status, said = start_fails(agent)
        assert status == 8 and "closed to others" in said
    finally:
        agent.close()


def test_sockets_named_otherwise(tmp_path):
    agent = Agent(softhsm=False)
    try:
        agent.sock = tmp_path / "here/sock"
        agent.start(env={"SIGNET_SOCK": str(agent.sock)})
        agent.call("Status")
        agent.stop()
        agent.sock = tmp_path / "there/sock"
        agent.start("--foreground", "--socket", str(agent.sock))
        agent.call("Status")
    finally:
        agent.close()


def spoil(path, how):
    if how == "garbage":
        path.write_bytes(b"this is no database" * 100)
    elif how == "newer":
        with contextlib.closing(sqlite3.connect(path)) as db:
            db.execute("PRAGMA user_version = 99")
    elif how == "foreign":
        path.unlink()
        with contextlib.closing(sqlite3.connect(path)) as db:
            db.execute("CREATE TABLE songs (title TEXT)")
    else:
        data = bytearray(path.read_bytes())
        data[4096:8192] = bytes(4096)
        path.write_bytes(data)


@pytest.mark.parametrize("how, word", [("garbage", "damaged"), ("newer", "newer version"), ("damaged", "damaged"),
                                       ("foreign", "another program")])
def test_a_store_that_cannot_be_used_is_refused_and_kept(how, word):
    with Agent(softhsm=False) as agent:
        agent.call("AddAccount", {"jid": "kept@example.test"})
        agent.stop()
        path = agent.dir / "state/signet/agent.db"
        spoil(path, how)
        before = path.read_bytes()
        status, said = start_fails(agent)
        assert status == 1 and word in said and str(path) in said
        assert path.read_bytes() == before


def test_accounts_survive_kill_9():
    with Agent(softhsm=False) as agent:
        agent.call("AddAccount", {"jid": "kept@example.test", "host": "h.example.test"})
        agent.stop(signal.SIGKILL)
        agent.start()
        assert agent.call("ShowAccount", {"jid": "kept@example.test"})["account"]["host"] == "h.example.test"


@pytest.mark.parametrize("conf", ["[agent]\nsurprise = 1\n", "[module]\npath = /x\n", "[module a]\npath = x\n",
                                  "[token t]\npin-source = 1234\n", "[token t]\npin-source = file:relative\n",
                                  "[agent]\npinentry = pinentry\n", "[other]\na = b\n"])
def test_a_wrong_configuration_is_refused_and_named(conf):
    agent = Agent(softhsm=False, conf=conf)
    try:
        status, said = start_fails(agent)
        assert status == 2 and "signet.conf" in said
    finally:
        agent.close()


def test_a_named_configuration_must_be_there(agent):
    status, said = start_fails(agent, "--config", "/nonexistent/signet.conf")
    assert status == 1 and "/nonexistent/signet.conf" in said and "listens" not in said


def test_the_service_manager_is_told(tmp_path):
    agent = Agent(softhsm=False)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(str(tmp_path / "notify"))
            notify.settimeout(PATIENCE)
            agent.start(env={"NOTIFY_SOCKET": str(tmp_path / "notify")})
            assert notify.recv(100) == b"READY=1"
    finally:
        agent.close()


def test_the_units_start_what_is_installed():
    service = (TOP / "agent/systemd/signet.service").read_text()
    unit = (TOP / "agent/systemd/signet.socket").read_text()
    assert "ExecStart=" in service and "signetd" in service and "Type=notify" in service
    assert "ListenStream=%t/signet/agent.sock" in unit and "SocketMode=0600" in unit and "DirectoryMode=0700" in unit


def test_arguments():
    for args, status in ((["--help"], 0), (["--version"], 0), (["--nonsense"], 2), (["extra"], 2)):
        assert subprocess.run([BIN / "signetd", *args], capture_output=True).returncode == status
