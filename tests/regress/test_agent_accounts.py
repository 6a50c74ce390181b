"""Accounts on a real server through the API: connections that come, go and break; enrolment that fails
on its way; certificates named in all ways."""
import contextlib
import os
import signal
from pathlib import Path

import pytest

from agent_fixture import PIN, Agent
from peer import NS_PUBKEY, NS_PUBSUB, as_peer
from processes import suspend, until, wait_gone, wait_idle
from varlink_client import AgentError, secret
from world import DOMAIN, PASSWORD, SERVERS, World

JULIET = f"juliet@{DOMAIN}"
ROMEO = f"romeo@{DOMAIN}"
STEPS = ["key", "login", "features", "request", "add", "store", "prove"]


@pytest.fixture(scope="module", params=sorted(SERVERS))
def world(request):
    with World(certificates=200, server=request.param) as world:  # these tests enrol one account again and again
        world.up()
        yield world


def add_account(agent, world, jid=JULIET):
    agent.call("AddAccount", {"jid": jid, "host": "127.0.0.1", "port": world.c2s_port, "cafile": str(world.cafile)})


def with_password(agent, method, password=PASSWORD, **parameters):
    with secret(password) as fd:
        return agent.call(method, {"password": {"fd": 0}, **parameters}, [fd])


@pytest.fixture
def agent(world):
    """An agent with juliet's account, an unlocked token and a key."""
    with Agent() as agent:
        add_account(agent, world)
        agent.unlock("one")
        agent.call("NewKey", {"token": "one", "label": "client", "algorithm": "p256"})
        yield agent


@pytest.fixture
def enrolled(agent):
    """... and enrolled."""
    with_password(agent, "Enrol", jid=JULIET, key="client")
    return agent


def account(agent, jid=JULIET):
    return agent.call("ShowAccount", {"jid": jid})["account"]


def start_server(world):
    """The server again, and the authority connected to it."""
    mark = world.authority.mark()
    world.start_server()
    world.authority.wait_line("connected", since=mark)
    world.server.wait_delegated(0)


def wait_state(agent, state):
    """Until the account is in the state; nothing tells a raw client so."""
    until(lambda: account(agent)["state"] == state, f"never {state}")


@contextlib.contextmanager
def stopped(pid):
    """The process stands still while the block runs."""
    suspend(pid)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


# ---- enrolment ----

def test_enrolment_tells_its_steps(agent):
    with agent.client() as client, secret(PASSWORD) as fd:
        client.send("Enrol", {"jid": JULIET, "key": "client", "password": {"fd": 0}}, [fd], more=True)
        steps = []
        while (reply := client.receive_raw()).get("continues"):
            steps.append(reply["parameters"]["step"])
            assert reply["parameters"]["text"]
        assert steps == STEPS
        assert reply["parameters"]["step"] == "done"
    certificate, got = reply["parameters"]["certificate"], reply["parameters"]["account"]
    assert (got["state"], got["mechanism"], got["certificate"]) == ("online", "EXTERNAL", certificate["sha256"])
    assert got["key"] == agent.call("ShowKey", {"key": "client"})["key"]["uri"]
    assert [c["sha256"] for c in agent.call("ShowKey", {"key": "client"})["certificates"]] == [certificate["sha256"]]
    listed = agent.call("ListCertificates", {"jid": JULIET})["certificates"]
    own = [c for c in listed if c["own"]]
    assert [c["certificate"]["sha256"] for c in own] == [certificate["sha256"]]
    assert own[0]["name"] == f"signet on {os.uname().nodename}"


def test_a_second_enrolment_with_the_first_certificate(enrolled):
    """No password: the current certificate logs in, the new one takes its place."""
    first = account(enrolled)
    enrolled.call("Disconnect", {"jid": JULIET})
    enrolled.call("NewKey", {"token": "one", "label": "next"})
    done = enrolled.call("Enrol", {"jid": JULIET, "key": "next", "name": ""})
    assert done["account"]["certificate"] not in (None, first["certificate"])
    assert done["account"]["key"] != first["key"]
    listed = enrolled.call("ListCertificates", {"jid": JULIET})["certificates"]
    assert [c["certificate"]["sha256"] for c in listed if c["own"]] == [done["certificate"]["sha256"]]
    assert first["certificate"] in [c["certificate"]["sha256"] for c in listed]


def test_enrolments_that_cannot_begin(agent):
    assert agent.error("Enrol", {"jid": JULIET, "key": "client"}).name == "PasswordNeeded"
    assert agent.error("Enrol", {"jid": JULIET, "key": "none"}).name == "KeyAbsent"
    assert agent.error("Enrol", {"jid": ROMEO, "key": "client"}).name == "AccountAbsent"
    assert agent.error("Enrol", {"jid": JULIET, "key": "client", "name": "x" * 1025}).name == "ArgumentWrong"
    with secret("wrong") as fd:
        parameters = {"jid": JULIET, "key": "client", "password": {"fd": 0}}
        assert agent.error("Enrol", parameters, [fd]).name == "LoginRefused"
    got = account(agent)
    assert (got["state"], got["certificate"]) == ("offline", None)
    assert got["last_error"]


def test_enrolments_come_one_at_a_time(agent):
    parameters = {"jid": JULIET, "key": "client", "password": {"fd": 0}}
    with agent.client() as first, agent.client() as second, secret(PASSWORD) as fd:
        with stopped(agent.worker()["pid"]):  # which is to find the key
            first.send("Enrol", parameters, [fd], more=True)
            assert first.receive()["step"] == "key"
            assert second.error("Enrol", parameters, [fd]).name == "Busy"
        while first.receive()["step"] != "done":
            pass
        with secret(PASSWORD) as again:
            assert second.call("Enrol", parameters, [again])["step"] == "done"


@pytest.mark.parametrize("before", ["nothing", "certificate"])
def test_a_certificate_that_no_login_proves_is_not_used(world, agent, before):
    """The server goes away between the certificate and the login with it."""
    if before == "certificate":
        with_password(agent, "Enrol", jid=JULIET, key="client")
    agent.call("NewKey", {"token": "one", "label": "new"})
    was = account(agent)
    token = agent.worker()["pid"]
    with agent.client() as client, secret(PASSWORD) as fd:
        with stopped(world.authority.popen.pid):  # until nobody can store what it issues
            client.send("Enrol", {"jid": JULIET, "key": "new", "password": {"fd": 0}}, [fd], more=True)
            while client.receive()["step"] != "add":
                pass
            suspend(token)
        assert client.receive()["step"] == "store"
        world.server.process.stop()
        os.kill(token, signal.SIGCONT)
        try:
            assert client.receive()["step"] == "prove"
            assert client.error_of_next().name == "ConnectFailed"
            now = account(agent)
            assert (now["state"], now["key"], now["certificate"]) == ("offline", was["key"], was["certificate"])
            assert len(agent.call("ShowKey", {"key": "new"})["certificates"]) == 1  # it stays on the token
        finally:
            start_server(world)
    done = with_password(agent, "Enrol", jid=JULIET, key="new")
    assert done["account"]["mechanism"] == "EXTERNAL"
    # RSA PKCS#1 signatures are the same each time, so the request was, and so is the certificate (C5)
    assert len(agent.call("ShowKey", {"key": "new"})["certificates"]) == 1


@pytest.mark.parametrize("source", ["pin-source", "descriptor"])
def test_the_tokens_worker_killed_while_the_server_is_asked(world, agent, source):
    """The next one is unlocked by the rules, or the death is told; never that the token is locked."""
    with_password(agent, "Connect", jid=JULIET)
    agent.call("Lock", {"token": "one"})
    if source == "pin-source":
        (agent.dir / "pin").write_text(PIN)
        (agent.dir / "pin").chmod(0o600)
        agent.stop()
        agent.conf.write_text(agent.conf.read_text() + f"[token one]\npin-source = file:{agent.dir}/pin\n")
        agent.start()
        with_password(agent, "Connect", jid=JULIET)
        agent.call("ListTokens")
    token, xmpp = agent.worker()["pid"], agent.worker("xmpp")["pid"]
    suspend(xmpp)
    with agent.client() as client, secret(PIN) as fd:
        more = {"pin": {"fd": 0}} if source == "descriptor" else {}
        client.send("Enrol", {"jid": JULIET, "key": "client", **more}, [fd] if more else [], more=True)
        while client.receive()["step"] != "login":
            pass
        os.kill(token, signal.SIGKILL)
        wait_gone(token)
        agent.call("ListAccounts")
        os.kill(xmpp, signal.SIGCONT)
        assert client.receive()["step"] == "features"
        assert client.receive()["step"] == "request"
        if source == "descriptor":
            error = client.error_of_next()
            assert error.name == "WorkerDied" and "signet-token" in error.parameters["message"]
            assert "softhsm" in error.parameters["message"]
        else:
            while (reply := client.receive())["step"] != "done":
                pass
            assert reply["account"]["mechanism"] == "EXTERNAL"


# ---- connections ----

def test_connections_are_shared(enrolled):
    enrolled.call("Disconnect", {"jid": JULIET})
    with enrolled.client() as client:
        for _ in range(5):
            client.send("Connect", {"jid": JULIET})
        assert len({client.receive()["account"]["bound_jid"] for _ in range(5)}) == 1
        first = account(enrolled)["bound_jid"]
        client.send("Disconnect", {"jid": JULIET})
        client.send("Connect", {"jid": JULIET})
        client.send("ListCertificates", {"jid": JULIET})
        client.receive()
        again = client.receive()["account"]
        client.receive()
        assert again["state"] == "online" and again["bound_jid"] != first
        client.send("Disconnect", {"jid": JULIET})
        client.send("Disconnect", {"jid": JULIET})
        assert [client.receive()["account"]["state"] for _ in range(2)] == ["offline", "offline"]
    offline = account(enrolled)
    assert (offline["bound_jid"], offline["mechanism"], offline["last_error"]) == (None, None, None)
    assert enrolled.worker("xmpp")["state"] == "stopped"


def test_disconnected_while_connecting(world, enrolled):
    """Whoever waits for the connection is told; nothing of it stays behind."""
    enrolled.call("Disconnect", {"jid": JULIET})
    token = enrolled.worker()["pid"]
    with enrolled.client() as client:
        suspend(token)
        client.send("Connect", {"jid": JULIET})
        wait_state(enrolled, "connecting")
        enrolled.call("Disconnect", {"jid": JULIET})
        os.kill(token, signal.SIGCONT)
        assert client.error_of_next().name == "Offline"
    assert account(enrolled)["state"] == "offline"
    assert enrolled.call("Connect", {"jid": JULIET})["account"]["state"] == "online"


def test_connected_again_while_a_connection_is_given_up(world, enrolled):
    """Who comes after whoever ended it gets another."""
    enrolled.call("Disconnect", {"jid": JULIET})
    enrolled.call("Lock", {"token": "one"})
    token = enrolled.worker()["pid"]
    with enrolled.client() as first, enrolled.client() as second, secret(PIN) as pin, secret(PIN) as again:
        suspend(token)
        first.send("Connect", {"jid": JULIET, "pin": {"fd": 0}}, [pin])
        wait_state(enrolled, "connecting")
        enrolled.call("Disconnect", {"jid": JULIET})
        second.send("Connect", {"jid": JULIET, "pin": {"fd": 0}}, [again])
        until(lambda: not second.unread())
        enrolled.call("ListAccounts")  # it has been begun, too
        os.kill(token, signal.SIGCONT)
        assert first.error_of_next().name == "Offline"
        assert second.receive()["account"]["state"] == "online"


def test_removed_while_online(enrolled):
    pid = enrolled.worker("xmpp")["pid"]
    enrolled.call("RemoveAccount", {"jid": JULIET})
    wait_gone(pid)
    assert enrolled.call("Status")["accounts"] == []
    assert [w["kind"] for w in enrolled.call("Status")["workers"]] == ["token"]


def test_the_connections_worker_killed(enrolled):
    pid = enrolled.worker("xmpp")["pid"]
    os.kill(pid, signal.SIGKILL)
    wait_gone(pid)
    wait_state(enrolled, "offline")
    assert "signet-xmpp" in account(enrolled)["last_error"]
    assert enrolled.worker("xmpp")["restarts"] == 1
    assert enrolled.call("ListCertificates", {"jid": JULIET})["certificates"]
    assert account(enrolled)["mechanism"] == "EXTERNAL"


def test_the_tokens_worker_killed_while_online(enrolled):
    """The connection needs no token; the next login does, and says that it is locked."""
    pid = enrolled.worker()["pid"]
    os.kill(pid, signal.SIGKILL)
    wait_gone(pid)
    assert enrolled.call("ListCertificates", {"jid": JULIET})["certificates"]
    enrolled.call("Disconnect", {"jid": JULIET})
    assert enrolled.error("Connect", {"jid": JULIET}).name == "PinNeeded"
    with secret(PIN) as fd:
        got = enrolled.call("Connect", {"jid": JULIET, "pin": {"fd": 0}}, [fd])["account"]
    assert got["mechanism"] == "EXTERNAL"


def test_the_agent_killed(enrolled):
    enrolled.stop(signal.SIGKILL)
    enrolled.start()
    assert account(enrolled)["state"] == "offline"
    with secret(PIN) as fd:
        got = enrolled.call("Connect", {"jid": JULIET, "pin": {"fd": 0}}, [fd])["account"]
    assert got["mechanism"] == "EXTERNAL"


def test_the_server_goes_and_comes(world, enrolled):
    world.server.process.stop()
    try:
        wait_state(enrolled, "offline")
        assert account(enrolled)["last_error"]
        assert enrolled.error("ListCertificates", {"jid": JULIET}).name == "ConnectFailed"
    finally:
        start_server(world)
    assert account(enrolled)["state"] == "offline"  # it does not come back by itself
    assert enrolled.call("ListCertificates", {"jid": JULIET})["certificates"]
    assert account(enrolled)["last_error"] is None


def test_a_password_beside_others(agent):
    """Three calls at once; that another's password is wrong, or that another has none, is no reason to
    refuse the call that has the right one."""
    with agent.client() as client, secret("wrong") as wrong, secret(PASSWORD) as right:
        with stopped(agent.popen.pid):  # it finds all three
            client.send("Connect", {"jid": JULIET, "password": {"fd": 0}}, [wrong])
            client.send("Connect", {"jid": JULIET, "password": {"fd": 0}}, [right])
            client.send("Connect", {"jid": JULIET})
        assert client.error_of_next().name == "LoginRefused"
        assert client.receive()["account"]["mechanism"].startswith("SCRAM-")
        assert client.error_of_next().name == "LoginRefused"


# ---- certificates ----

def colons(text):
    return ":".join(text[i:i + 2] for i in range(0, len(text), 2)).upper()


@pytest.mark.parametrize("how", ["name", "sha256", "current", "name with colons"])
def test_revoked_by(enrolled, how):
    current = account(enrolled)["certificate"]
    listed = enrolled.call("ListCertificates", {"jid": JULIET})["certificates"]
    certificate = next(c["certificate"] for c in listed if c["own"])
    fingerprint = {"name": certificate["name"], "sha256": colons(certificate["sha256"]), "current": "current",
                   "name with colons": colons(certificate["name"])}[how]
    with enrolled.client() as client:  # one after the other, with no time between
        client.send("RevokeCertificate", {"jid": JULIET, "fingerprint": fingerprint})
        client.receive()
        client.send("ShowAccount", {"jid": JULIET})
        client.send("Connect", {"jid": JULIET})
        assert client.receive()["account"]["state"] == "offline"
        assert client.error_of_next().name == "LoginRefused"
    assert account(enrolled)["certificate"] == current
    rest = with_password(enrolled, "ListCertificates", jid=JULIET)["certificates"]
    assert current not in [c["certificate"]["sha256"] for c in rest]
    enrolled.call("RevokeCertificate", {"jid": JULIET, "fingerprint": current})  # once more is fine (C10)


def test_revoked_from_elsewhere(world, enrolled):
    """Another agent of the account knows the certificate only from the server's list."""
    listed = enrolled.call("ListCertificates", {"jid": JULIET})["certificates"]
    certificate = next(c["certificate"] for c in listed if c["own"])
    with Agent(softhsm=False) as other:
        add_account(other, world)
        with_password(other, "Connect", jid=JULIET)
        assert not any(c["own"] for c in other.call("ListCertificates", {"jid": JULIET})["certificates"])
        assert other.error("RevokeCertificate", {"jid": JULIET, "fingerprint": "current"}).name == "KeyAbsent"
        assert other.error("RevokeCertificate", {"jid": JULIET, "fingerprint": "ab" * 20}).name == "KeyAbsent"
        error = other.error("RevokeCertificate", {"jid": JULIET, "fingerprint": "ab" * 32})
        assert (error.name, error.parameters["condition"]) == ("PeerRefused", "item-not-found")
        other.call("RevokeCertificate", {"jid": JULIET, "fingerprint": certificate["name"]})
    wait_state(enrolled, "offline")
    assert enrolled.error("Connect", {"jid": JULIET}).name == "LoginRefused"


@contextlib.contextmanager
def unread_by_the_authority(world, client):
    """Asks for a revocation that the authority has got, but reads only at the end."""
    with stopped(world.authority.popen.pid):
        client.send("RevokeCertificate", {"jid": JULIET, "fingerprint": "current"})
        until(lambda: unread_bytes(world.component_port), "the authority was not asked")
        yield


def unread_bytes(port):
    """What waits in connections to the port of 127.0.0.1."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(int(row[4].partition(":")[2], 16) for row in rows if row[2] == f"0100007F:{port:04X}")


def test_revoked_and_the_connection_closed_before_the_answer(world, enrolled):
    """The server closes what logged in with the certificate: it may do so before it passes the answer on."""
    current = account(enrolled)["certificate"]
    revoked, mark = world.dir / "authority/revoked.txt", world.server.process.mark()
    with enrolled.client() as client:
        with unread_by_the_authority(world, client):
            world.write("authority/revoked.txt", revoked.read_text() + current + "\n")
            world.server.process.wait_line("Closing .* revoked", since=mark)
            client.receive()
    assert enrolled.error("Connect", {"jid": JULIET}).name == "LoginRefused"


def kick(world, agent):
    """The server ends the session of the agent for another one of the same name."""
    async def nothing(_):
        pass
    as_peer(world, "juliet", nothing, resource=account(agent)["bound_jid"].partition("/")[2])


def test_not_revoked_when_the_connection_ends_and_the_certificate_still_logs_in(world, enrolled):
    with enrolled.client() as client:
        with unread_by_the_authority(world, client):
            kick(world, enrolled)
            error = client.error_of_next()
    assert error.name == "Offline" and "still logs in" in error.parameters["message"]
    assert account(enrolled)["state"] == "offline"


def test_a_login_that_fails_for_another_reason_proves_no_revocation(world, enrolled):
    """A server without its list of the revoked takes no certificate at all."""
    revoked = world.dir / "authority/revoked.txt"
    text = revoked.read_text()
    with enrolled.client() as client:
        with unread_by_the_authority(world, client):
            revoked.unlink()
            kick(world, enrolled)
            error = client.error_of_next()
            world.write("authority/revoked.txt", text)
            assert error.name == "LoginRefused" and "not known" in error.parameters["advice"]
            assert enrolled.call("Connect", {"jid": JULIET})["account"]["mechanism"] == "EXTERNAL"


def test_a_disconnect_during_a_revocation_stays(world, enrolled):
    with enrolled.client() as client:
        with unread_by_the_authority(world, client):
            enrolled.call("Disconnect", {"jid": JULIET})
            assert client.error_of_next().name == "Offline"
            assert account(enrolled)["state"] == "offline"


def test_revoked_by_many_at_once(enrolled):
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(enrolled.client()) for _ in range(12)]
        for client in clients:
            client.send("RevokeCertificate", {"jid": JULIET, "fingerprint": "current"})
        for client in clients:
            client.receive()
    enrolled.call("RevokeCertificate", {"jid": JULIET, "fingerprint": "current"})  # and when it logs in no more
    with pytest.raises(AgentError, match="LoginRefused"):  # but a wrong password says nothing of the certificate
        with_password(enrolled, "RevokeCertificate", password="wrong", jid=JULIET, fingerprint="current")
    assert enrolled.error("Connect", {"jid": JULIET}).name == "LoginRefused"


def test_what_was_revoked_and_logs_in_again_can_be_revoked_again(world, enrolled):
    """An authority that was restored from before the revocation, with its list, knows nothing of it."""
    current = account(enrolled)["certificate"]
    folder, saved = world.dir / "authority", world.mkdir("saved")

    def restart(source, target):
        world.authority.stop()
        for name in ("ledger.db", "revoked.txt"):
            (target / name).write_bytes((source / name).read_bytes())
        world.start_authority()

    restart(folder, saved)
    enrolled.call("RevokeCertificate", {"jid": JULIET, "fingerprint": "current"})
    assert enrolled.error("Connect", {"jid": JULIET}).name == "LoginRefused"
    restart(saved, folder)
    assert enrolled.call("Connect", {"jid": JULIET})["account"]["mechanism"] == "EXTERNAL"
    assert len(enrolled.call("Publish", {"jid": JULIET})["keys"]) == 1
    enrolled.call("RevokeCertificate", {"jid": JULIET, "fingerprint": "current"})
    world.authority.wait_line(f"revoke .*outcome=revoked .*{current}")
    assert enrolled.error("Connect", {"jid": JULIET}).name == "LoginRefused"


def test_current_is_not_revoked_while_it_changes(enrolled):
    with enrolled.client() as client:
        enrolled.call("NewKey", {"token": "one", "label": "other", "algorithm": "p256"})
        with stopped(enrolled.worker()["pid"]):
            client.send("Enrol", {"jid": JULIET, "key": "other"}, more=True)
            client.receive()  # its first step
            assert enrolled.error("RevokeCertificate", {"jid": JULIET, "fingerprint": "current"}).name == "Busy"


def test_revoked_while_online_by_password(enrolled):
    """That login has nothing to do with the certificate: it stays."""
    enrolled.call("Disconnect", {"jid": JULIET})
    with_password(enrolled, "RevokeCertificate", jid=JULIET, fingerprint="current")
    got = account(enrolled)
    assert got["state"] == "online" and got["mechanism"].startswith("SCRAM-")
    enrolled.call("Disconnect", {"jid": JULIET})
    assert enrolled.error("Connect", {"jid": JULIET}).name == "LoginRefused"


# ---- public keys ----

def test_a_certificate_that_another_agent_revoked_is_not_published(world, enrolled):
    user = enrolled.call("NewKey", {"token": "one", "label": "user", "account": JULIET, "user": True})["certificate"]
    assert len(enrolled.call("Publish", {"jid": JULIET})["keys"]) == 2
    with Agent(softhsm=False) as other:
        add_account(other, world)
        with_password(other, "RevokeCertificate", jid=JULIET, fingerprint=account(enrolled)["certificate"])
    wait_state(enrolled, "offline")
    assert [k["name"] for k in with_password(enrolled, "Publish", jid=JULIET)["keys"]] == [user["name"]]


def test_a_revoked_certificate_is_not_published(enrolled):
    current = account(enrolled)["certificate"]
    enrolled.call("RevokeCertificate", {"jid": JULIET, "fingerprint": "current"})
    with_password(enrolled, "Connect", jid=JULIET)
    error = enrolled.error("Publish", {"jid": JULIET})
    assert (error.name, error.parameters["subject"]) == ("KeyAbsent", current)
    assert "revoked" in error.parameters["message"]
    user = enrolled.call("NewKey", {"token": "one", "label": "user", "account": JULIET, "user": True})["certificate"]
    assert [k["name"] for k in enrolled.call("Publish", {"jid": JULIET})["keys"]] == [user["name"]]
    published = [k["name"] for k in enrolled.call("FetchKeys", {"jid": JULIET, "from": JULIET})["keys"]]
    assert user["name"] in published
    assert enrolled.call("Enrol", {"jid": JULIET, "key": "client"})["certificate"]["sha256"] != current
    assert len(enrolled.call("Publish", {"jid": JULIET})["keys"]) == 2


def test_sign_publish_fetch(world, enrolled):
    enrolled.call("NewKey", {"token": "one", "label": "user", "account": JULIET, "user": True})
    certificate = account(enrolled)["certificate"]
    keys = [enrolled.call("Sign", {"account": JULIET, **more})["key"] for more in ({}, {"subject": certificate})]
    keys.append(enrolled.call("Sign", {"account": JULIET, "subject": colons(keys[0]["name"])})["key"])
    assert {k["name"] for k in keys} == {keys[0]["name"]}
    assert [(s["method"], s["verdict"], s["issuer_jid"]) for s in keys[2]["signatures"]] == \
        [("RSA-SHA1", "good", None), ("RSA-SHA256", "good", None)]  # each in place of the one before
    for access in ("open", "whitelist", "presence"):
        assert enrolled.call("Publish", {"jid": JULIET, "access": access})["node"]["access"] == access
    published = enrolled.call("Publish", {"jid": JULIET})
    assert published["node"]["access"] == "presence" and published["node"]["node"] == "urn:xmpp:tmp:pubkey"
    names = [k["name"] for k in published["keys"]]
    with Agent(softhsm=False) as other:
        add_account(other, world, ROMEO)
        with_password(other, "Connect", jid=ROMEO)
        got = other.call("FetchKeys", {"jid": ROMEO, "from": f"{JULIET}/phone"})
        assert set(names) <= {k["name"] for k in got["keys"]} and got["refused"] == 0
        assert next(k for k in got["keys"] if k["name"] == keys[0]["name"])["grade"] == "sha256"
        one = other.call("FetchKeys", {"jid": ROMEO, "from": JULIET, "names": [names[1].upper()]})["keys"]
        assert [k["name"] for k in one] == [names[1]]
        # its issuer was seen before
        assert {s["verdict"] for s in one[0]["signatures"]} == {"good"} and one[0]["grade"] == "sha256"
        assert other.call("FetchKeys", {"jid": ROMEO, "from": JULIET, "names": ["ab" * 20]})["keys"] == []


def test_keys_that_no_reply_can_carry_come_in_several(world, enrolled):
    """More than a message of the API holds: one reply has the first of them and says how many there are."""
    enrolled.call("Publish", {"jid": JULIET})
    names = [f"{i:040x}" for i in range(6)]
    signature = f"<signature><issuer>{'ab' * 20}</issuer><value method='RSA-SHA256'>{'A' * 65536}</value></signature>"

    async def publish(peer):
        answers = []
        for name in names:
            answer = await peer.iq("set", f"<pubsub xmlns='{NS_PUBSUB}'><publish node='{NS_PUBKEY}'><item id='{name}'>"
                                   f"<keyinfo xmlns='{NS_PUBKEY}'><name>{name}</name>{signature * 3}</keyinfo></item></publish></pubsub>")
            answers.append(answer.get("type"))
        return answers

    async def forget(peer):
        await peer.iq("set", f"<pubsub xmlns='{NS_PUBSUB}#owner'><delete node='{NS_PUBKEY}'/></pubsub>")

    try:
        assert as_peer(world, "juliet", publish) == ["result"] * len(names)
        wanted = {"jid": JULIET, "from": JULIET}
        one, replies = enrolled.call("FetchKeys", wanted), []
        with enrolled.client() as client:
            client.send("FetchKeys", wanted, more=True)
            while not replies or client.asked:
                replies.append(client.receive())
        together = [key["name"] for reply in replies for key in reply["keys"]]
        assert set(names) < set(together) and {reply["count"] for reply in replies} == {len(together)} == {one["count"]}
        first = [key["name"] for key in one["keys"]]
        assert 0 < len(first) < len(together) and first == together[:len(first)]
        key, = enrolled.call("FetchKeys", {"jid": JULIET, "from": JULIET, "names": names[:1]})["keys"]
        assert key["name"] == names[0] and [s["verdict"] for s in key["signatures"]] == ["unknown_issuer"] * 3
    finally:
        as_peer(world, "juliet", forget)


def test_signatures_by_keys_that_are_not_fetched(world, enrolled):
    """Judged by what is known: the account's own certificates, and keys that were seen before. The other agent does not watch,
    or an event may tell it of the issuer first."""
    user = enrolled.call("NewKey", {"token": "one", "label": "user", "account": JULIET, "user": True})["certificate"]
    client = enrolled.call("Sign", {"account": JULIET})["key"]["name"]
    enrolled.call("Publish", {"jid": JULIET})
    wanted = {"jid": JULIET, "from": JULIET, "names": [client]}
    key, = enrolled.call("FetchKeys", wanted)["keys"]
    assert (key["grade"], {s["verdict"] for s in key["signatures"]}) == ("sha256", {"good"})
    with Agent(softhsm=False, conf="[agent]\nwatch = no\n") as other:
        add_account(other, world, ROMEO)
        with_password(other, "Connect", jid=ROMEO)
        wanted["jid"] = ROMEO
        key, = other.call("FetchKeys", wanted)["keys"]
        assert (key["grade"], {s["verdict"] for s in key["signatures"]}) == ("none", {"unknown_issuer"})
        other.call("FetchKeys", {**wanted, "names": [user["name"]]})
        key, = other.call("FetchKeys", wanted)["keys"]
        assert (key["grade"], {s["verdict"] for s in key["signatures"]}) == ("sha256", {"good"})


def test_idle_while_online(enrolled):
    """Nobody calls: neither the agent's own process nor its workers do anything at all."""
    wait_idle(enrolled.popen.pid, enrolled.worker()["pid"], enrolled.worker("xmpp")["pid"])
