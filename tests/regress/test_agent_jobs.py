"""Jobs as a person sees them: what was cut short waits, says for what, goes on by itself or with the next call, and can be
undone; on real servers, through the API."""
import contextlib
import os
import signal
import subprocess

import pytest

from agent_fixture import BIN, PIN, Agent, monitor, next_event
from fault_agent import FaultAgent
from peer import as_peer
from processes import PATIENCE, suspend, until
from rogue_authority import Rogue
from test_agent_accounts import JULIET, account, add_account, start_server, stopped, wait_state, with_password
from varlink_client import secret
from world import DOMAIN, PASSWORD, SERVERS, World


@pytest.fixture(scope="module", params=sorted(SERVERS))
def world(request):
    with World(certificates=200, server=request.param) as world:
        world.up()
        yield world


@contextlib.contextmanager
def at_home(world, agent):
    """The agent with juliet's account and two keys; at the end the server has no certificate of hers."""
    with agent:
        add_account(agent, world)
        agent.unlock("one")
        for label in ("client", "other"):
            agent.call("NewKey", {"token": "one", "label": label, "algorithm": "p256"})
        yield agent
        for sha256 in issued(agent):
            with_password(agent, "RevokeCertificate", jid=JULIET, fingerprint=sha256)


@pytest.fixture
def agent(world):
    with at_home(world, Agent()) as agent:
        yield agent


@pytest.fixture
def faulty(world):
    with at_home(world, FaultAgent()) as agent:
        yield agent


def issued(agent):
    """The certificates that the server lists for juliet, by password or whatever connects."""
    listed = with_password(agent, "ListCertificates", jid=JULIET)["certificates"]
    return [c["certificate"]["sha256"] for c in listed]


def listed_by_pin(agent):
    """As many as issued() gives, without the password: the call brings the token's PIN."""
    with secret(PIN) as fd:
        return len(agent.call("ListCertificates", {"jid": JULIET, "pin": {"fd": 0}}, [fd])["certificates"])


def on_token(agent, label):
    return [c["sha256"] for c in agent.call("ShowKey", {"key": label})["certificates"]]


@contextlib.contextmanager
def before_the_token_has_it(world, agent, method="Enrol", key="client", **asked):
    """In the middle of an enrolment, or a Renew, whose certificate has been issued; the token's worker stands, and does
    not store it."""
    token, authority = agent.worker()["pid"], world.authority.popen.pid
    suspend(authority)
    with agent.client() as client, secret(PASSWORD) as fd:
        try:
            client.send(method, {"jid": JULIET, "key": key, "password": {"fd": 0}, **asked}, [fd], more=True)
            until(lambda: client.receive()["step"] == "add")
            suspend(token)
        finally:
            os.kill(authority, signal.SIGCONT)
        assert client.receive()["step"] == "store"
        yield client, token


def killed(world, agent, **asked):
    """... and the agent is killed then, and started again."""
    with before_the_token_has_it(world, agent, **asked):
        agent.stop(signal.SIGKILL)
    agent.start()


def waiting(agent):
    """The account's job, when it has run and waits."""
    def idle():
        jobs = account(agent)["jobs"]
        assert len(jobs) == 1
        return jobs[0]["waits_for"] and not jobs[0]["running"] and jobs[0]
    return until(idle, "the job never waits")


def done(agent):
    until(lambda: account(agent)["jobs"] == [], "the job does not go on by itself")


def certificates(agent):
    """The one that the account has, which must be the only one on the server, and beside its key."""
    got = account(agent)
    assert issued(agent) == [got["certificate"]]
    assert on_token(agent, got["key"]) == [got["certificate"]]
    return got


def test_it_waits_for_the_token_and_goes_on_when_a_person_unlocks_it(world, agent):
    killed(world, agent)
    job = waiting(agent)
    assert (job["kind"], job["state"], job["waits_for"]) == ("enrol", "store", "PinNeeded"), job
    assert job["text"] and job["key"] and len(job["certificate"]) == 64
    with monitor(agent) as client:
        agent.unlock("one")
        event = next_event(client, "job_done", "job_failed")
        assert (event["kind"], event["jid"], event["name"]) == ("job_done", JULIET, job["certificate"])
    got = account(agent)
    assert (got["jobs"], got["certificate"], got["mechanism"]) == ([], job["certificate"], "EXTERNAL")
    certificates(agent)


def test_the_call_that_unlocks_the_token_is_answered_first(world, agent):
    """The job that it wakes is to log in anew: not from under the call, but as soon as that is over."""
    with_password(agent, "Enrol", jid=JULIET, key="client")
    killed(world, agent, method="Renew", key="other")
    job = waiting(agent)
    assert (job["kind"], job["state"], job["waits_for"]) == ("renew", "store", "PinNeeded"), job
    assert listed_by_pin(agent) == 2
    done(agent)
    assert certificates(agent)["certificate"] == job["certificate"]


def test_an_account_that_somebody_connects_meanwhile_stays_online(world, faulty):
    """The job that goes on beside the call, and longer, found it offline, and logs in anew."""
    with_password(faulty, "Enrol", jid=JULIET, key="client")
    killed(world, faulty, method="Renew", key="other")
    waiting(faulty)
    faulty.script("on C_CreateObject hang\n")
    password, write = os.pipe()
    with faulty.client() as client:
        client.send("Connect", {"jid": JULIET, "password": {"fd": 0}}, [password])
        os.close(password)
        wait_state(faulty, "connecting")
        faulty.unlock("one")
        until(lambda: account(faulty)["jobs"][0]["running"], "the job does not go on")
        os.write(write, PASSWORD.encode())
        os.close(write)
        assert client.receive()["account"]["state"] == "online"
    faulty.script("")
    done(faulty)
    assert account(faulty)["state"] == "online"


def test_a_call_beside_the_proof_of_a_spare(faulty):
    """The account goes back to its own certificate: who waited for the connection waits for the next one."""
    mine = with_password(faulty, "Enrol", jid=JULIET, key="client")["certificate"]["sha256"]
    with faulty.client() as client, faulty.client() as other:
        faulty.script("on C_SignInit 2 hang\n")  # the first makes the request, this one the login
        client.send("Enrol", {"jid": JULIET, "key": "other", "spare": True}, more=True)
        until(lambda: client.receive()["step"] == "prove")
        wait_state(faulty, "connecting")
        other.send("ListCertificates", {"jid": JULIET})
        until(lambda: not other.unread())
        faulty.script("")
        spare = client.receive()["certificate"]["sha256"]
        assert {c["certificate"]["sha256"] for c in other.receive()["certificates"]} == {mine, spare}
    got = account(faulty)
    assert (got["certificate"], got["state"]) == (mine, "online")


def pin_source(agent):
    """The token opens by itself from the agent's next start on."""
    (agent.dir / "pin").write_text(PIN)
    (agent.dir / "pin").chmod(0o600)
    with agent.conf.open("a") as conf:
        conf.write(f"[token one]\npin-source = file:{agent.dir}/pin\n")


def test_a_job_that_logs_in_anew_leaves_another_its_connection(world, agent):
    """A revocation that was cut short goes on at the agent's start, and not a minute later."""
    pin_source(agent)
    first = with_password(agent, "Enrol", jid=JULIET, key="client")["certificate"]["sha256"]
    agent.call("Enrol", {"jid": JULIET, "key": "other"})
    agent.call("NewKey", {"token": "one", "label": "third", "algorithm": "p256"})
    with before_the_token_has_it(world, agent, method="Renew", key="third"):
        with stopped(world.authority.popen.pid), agent.client() as client:
            client.send("RevokeCertificate", {"jid": JULIET, "fingerprint": first})
            until(lambda: [job["kind"] for job in account(agent)["jobs"]] == ["renew", "revoke"])
            agent.stop(signal.SIGKILL)
    agent.start()
    done(agent)
    assert agent.count("a job (revoke) waits") == 0
    assert issued(agent) == [account(agent)["certificate"]]


def test_with_a_pin_source_nobody_is_needed(world, agent):
    pin_source(agent)
    killed(world, agent)
    done(agent)
    assert account(agent)["mechanism"] == "EXTERNAL"
    certificates(agent)


def test_a_wrong_pin_source_is_tried_once(world, agent):
    (agent.dir / "pin").write_text("0000")
    (agent.dir / "pin").chmod(0o600)
    with agent.conf.open("a") as conf:
        conf.write(f"[token one]\npin-source = file:{agent.dir}/pin\n")
    killed(world, agent)
    assert waiting(agent)["waits_for"] == "PinWrong"
    for _ in range(2):
        with_password(agent, "Connect", jid=JULIET)  # each time the job goes on, as far as it can
        until(lambda: waiting(agent)["waits_for"] == "PinNeeded")
        agent.call("Disconnect", {"jid": JULIET})
    assert agent.count("login to pkcs11:") == 1
    agent.unlock("one")
    done(agent)
    certificates(agent)


def test_the_next_call_goes_on_with_it(world, agent):
    killed(world, agent)
    certificate = waiting(agent)["certificate"]
    with secret(PIN) as fd:
        reply = agent.call("Enrol", {"jid": JULIET, "key": account(agent)["jobs"][0]["key"], "pin": {"fd": 0}}, [fd])
    assert reply["certificate"]["sha256"] == certificate and reply["account"]["jobs"] == []
    certificates(agent)


def test_another_key_is_refused_until_it_is_undone(world, agent):
    killed(world, agent)
    job = waiting(agent)
    agent.call("Disconnect", {"jid": JULIET})
    with secret(PIN) as fd:
        error = agent.error("Enrol", {"jid": JULIET, "key": job["key"].replace("client", "other").split(";id=")[0] +
                                      ";object=other;type=private", "pin": {"fd": 0}}, [fd])
    assert error.name == "Busy" and job["key"] in error.parameters["message"], error
    assert "--cancel" in error.parameters["advice"]
    until(lambda: not any(job["running"] for job in account(agent)["jobs"]))
    if account(agent)["jobs"]:  # unlocking the token may have been what it waited for
        with_password(agent, "CancelEnrolment", jid=JULIET)
        assert issued(agent) == [] and on_token(agent, "client") == []
        assert account(agent)["certificate"] is None
    with_password(agent, "Enrol", jid=JULIET, key="other", replace=True)
    certificates(agent)


def test_undone_it_leaves_nothing(world, agent):
    killed(world, agent)
    waiting(agent)
    with secret(PASSWORD) as password, secret(PIN) as pin:
        agent.call("CancelEnrolment", {"jid": JULIET, "password": {"fd": 0}, "pin": {"fd": 1}}, [password, pin])
    got = account(agent)
    assert (got["jobs"], got["certificate"], got["key"]) == ([], None, None)
    assert issued(agent) == [] and on_token(agent, "client") == []
    assert agent.error("CancelEnrolment", {"jid": JULIET}).name == "ArgumentWrong"


def has(world, *names):
    """Whether the server says that it has these."""
    async def job(peer):
        return await peer.iq("get", "<query xmlns='http://jabber.org/protocol/disco#info'/>", to=DOMAIN)
    return {f"urn:xmpp:ccm2:{name}:0" for name in names} <= {e.get("var") for e in as_peer(world, "juliet", job).iter()}


@pytest.mark.parametrize("world", ["prosody"], indirect=True)  # ejabberd says that it has all that is delegated
def test_undone_it_waits_for_all_that_the_server_had(world, agent):
    """A server that was started anew has an authority's protocols one by one: what cannot be revoked for a moment is not
    left as it is."""
    killed(world, agent)
    job = waiting(agent)
    assert issued(agent) == [job["certificate"]]
    agent.call("Disconnect", {"jid": JULIET})

    def cancel(call):
        with secret(PASSWORD) as password, secret(PIN) as pin:
            return call("CancelEnrolment", {"jid": JULIET, "password": {"fd": 0}, "pin": {"fd": 1}}, [password, pin])
    world.authority.stop()
    world.server.stop()
    world.server.start()
    rogue = Rogue(world, features=("add-cert",))
    rogue.start()
    try:
        assert rogue.ready.wait(PATIENCE)
        until(lambda: has(world, "add-cert"), "nothing is delegated")
        error = cancel(agent.error)
        assert error.name == "FeatureMissing" and "does not list certificates now" in error.parameters["message"]
        assert "start signetd anew" in error.parameters["advice"]
        assert account(agent)["jobs"][0]["state"] == "undo"
    finally:
        rogue.stop()
        world.server.stop()  # it has only what its first component had
        world.server.start()
        world.start_authority()
        until(lambda: has(world, "add-cert", "list-certs", "revoke-cert"), "not all is delegated")
    agent.call("Disconnect", {"jid": JULIET})
    assert cancel(agent.call) == {"unrevoked": None}
    assert issued(agent) == [] and on_token(agent, "client") == []


def test_replace_leaves_the_new_one_alone(agent):
    first = with_password(agent, "Enrol", jid=JULIET, key="client")["certificate"]["sha256"]
    second = agent.call("Enrol", {"jid": JULIET, "key": "other", "replace": True})["certificate"]["sha256"]
    assert first != second == certificates(agent)["certificate"]
    assert on_token(agent, "client") == []


def test_without_replace_both_stay(agent):
    first = with_password(agent, "Enrol", jid=JULIET, key="client")["certificate"]["sha256"]
    second = agent.call("Enrol", {"jid": JULIET, "key": "other"})["certificate"]["sha256"]
    assert sorted(issued(agent)) == sorted([first, second])
    assert on_token(agent, "client") == [first]


def test_a_call_that_comes_while_a_spare_is_proven_is_answered_first(world, agent):
    """It shares the connection that proves the spare, and only then does the job go back to the former certificate."""
    first = with_password(agent, "Enrol", jid=JULIET, key="client")["certificate"]["sha256"]
    killed(world, agent, key="other", spare=True)
    job = waiting(agent)
    assert (job["kind"], job["state"]) == ("spare", "store"), job
    server = world.server.process.popen.pid
    suspend(server)
    try:
        agent.unlock("one")
        until(lambda: account(agent)["state"] == "connecting", "the job does not log in")
        with agent.client() as client:
            client.send("ListCertificates", {"jid": JULIET})
            until(lambda: not client.unread(), "the agent does not read what it is sent")
            agent.call("ListAccounts")  # what was read is taken on, too
            os.kill(server, signal.SIGCONT)
            assert len(client.receive()["certificates"]) == 2
    finally:
        os.kill(server, signal.SIGCONT)
    done(agent)
    assert account(agent)["certificate"] == first


def test_replaced_it_leaves_the_node(agent):
    """Published, the former one's keyinfo is retracted."""
    with_password(agent, "Enrol", jid=JULIET, key="client")
    agent.call("NewKey", {"token": "one", "label": "user", "account": JULIET, "user": True, "algorithm": "p256"})
    before = {key["name"] for key in agent.call("Publish", {"jid": JULIET})["keys"]}
    first = agent.call("ShowKey", {"key": "client"})["certificates"][0]["name"]
    assert first in before
    agent.call("Enrol", {"jid": JULIET, "key": "other", "replace": True})
    assert {key["name"] for key in agent.call("ShowPublished", {"jid": JULIET})["keys"]} == before - {first}


def test_enrolled_again_with_the_same_key_nothing_is_issued(agent):
    """Whoever did not hear that it was done asks again: no second certificate, also for an EC key."""
    first = with_password(agent, "Enrol", jid=JULIET, key="client")["certificate"]["sha256"]
    again = agent.call("Enrol", {"jid": JULIET, "key": "client"})["certificate"]["sha256"]
    assert first == again == certificates(agent)["certificate"]
    agent.call("RevokeCertificate", {"jid": JULIET, "fingerprint": first})
    third = with_password(agent, "Enrol", jid=JULIET, key="client")["certificate"]["sha256"]
    assert third != first and certificates(agent)["certificate"] == third


def test_the_server_away_and_back(world, agent):
    """It waits for the server, and goes on when somebody connects."""
    with before_the_token_has_it(world, agent) as (client, token):
        world.server.process.stop()
        os.kill(token, signal.SIGCONT)
        until(lambda: client.receive_raw().get("error"), "it does not fail")
    try:
        job = waiting(agent)
        assert (job["state"], job["waits_for"]) == ("prove", "ConnectFailed"), job
        assert account(agent)["certificate"] is None
    finally:
        start_server(world)
    with_password(agent, "Connect", jid=JULIET)
    done(agent)
    assert account(agent)["mechanism"] == "EXTERNAL"
    certificates(agent)


def test_status_says_what_to_do(world, agent):
    killed(world, agent)
    waiting(agent)
    said = subprocess.run([BIN / "signet", "--socket", agent.sock, "status"], env=agent.env, check=True, text=True,
                          capture_output=True).stdout
    assert f"WAITS: the enrolment of {JULIET} (state store" in said
    assert f"At once: `signet enrol {JULIET} --key 'pkcs11:" in said and "undone by `--cancel`" in said
    agent.unlock("one")
    done(agent)


def test_an_account_that_goes_takes_its_job_along(world, agent):
    killed(world, agent)
    waiting(agent)
    agent.call("RemoveAccount", {"jid": JULIET})
    agent.unlock("one")  # what it had waited for
    assert agent.call("Status")["accounts"] == []
    add_account(agent, world)
    assert account(agent)["jobs"] == []
