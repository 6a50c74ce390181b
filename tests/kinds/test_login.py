"""Enrolment and TLS logins with keys of every kind, on a real Prosody and a real authority."""
import pytest

from kinds import KINDS
from test_removal import GONE, Call
from varlink_client import AgentError, secret
from world import DOMAIN, PASSWORD, World


@pytest.fixture(scope="session")
def world():
    """One server for all; an account for each kind."""
    with World(accounts=tuple(KINDS)) as world:
        world.up()
        yield world


@pytest.fixture
def jid(kind, world):
    jid = f"{kind.name}@{DOMAIN}"
    kind.call("AddAccount", jid=jid, host="127.0.0.1", port=world.c2s_port, cafile=str(world.cafile))
    return jid


def enrol(kind, jid, key):
    with secret(PASSWORD) as fd:
        return kind.signetd.call("Enrol", {"jid": jid, "key": key, "password": {"fd": 0}}, [fd])


@pytest.mark.parametrize("algorithm", ["rsa2048", "p256"])
def test_enrol_and_log_in(kind, jid, algorithm):
    """The TLS client's signature is made on the token; so is the cross-signature where it makes user keys."""
    kind.unlock()
    place = "9a" if algorithm == "rsa2048" else "9d"
    if place in kind.can["derive-only"]:
        with pytest.raises(AgentError) as refused:
            enrol(kind, jid, kind.key_in(place)["uri"])
        assert refused.value.name == "MechanismMissing"
        return
    key = kind.any_key(algorithm)
    done = enrol(kind, jid, key)
    assert done["certificate"]["jids"] == [jid]
    beside = [c["sha256"] for c in kind.call("ShowKey", key=key)["certificates"]]
    assert (done["certificate"]["sha256"] in beside) == bool(kind.can["store-certificates"])
    attestation = kind.call("ShowKey", key=key, attestation=True)["attestation"]
    assert (attestation["kept"] if attestation else False) == bool(kind.can["attestation"])
    kind.call("Disconnect", jid=jid)
    account = kind.call("Connect", jid=jid)["account"]
    assert (account["state"], account["mechanism"]) == ("online", "EXTERNAL")
    assert account["certificate"] == done["certificate"]["sha256"]
    if algorithm in kind.can["generate"]:
        kind.call("NewKey", token=kind.token, label="user", algorithm=algorithm, account=jid, user=True)
        signed = kind.call("Sign", account=jid)["key"]["signatures"]
        assert signed and {s["verdict"] for s in signed} == {"good"}
    kind.call("RevokeCertificate", jid=jid, fingerprint="current")


def test_removal_during_a_tls_login(kind, jid):
    """The card is pulled while the TLS handshake waits for its signature."""
    kind.unlock()
    enrol(kind, jid, kind.any_key("rsa2048"))
    kind.call("Disconnect", jid=jid)
    if kind.can["removal"]:
        kind.card("touch", 60)
        call = Call(kind, "Connect", {"jid": jid})
        kind.card("held")
        kind.card("remove")
        assert call.outcome().name in (*GONE, "TlsFailed", "ConnectFailed", "Offline", "LoginRefused")
        kind.card("ok")
        kind.card("insert")
        kind.unlock()
    assert kind.call("Connect", jid=jid)["account"]["mechanism"] == "EXTERNAL"
    kind.call("RevokeCertificate", jid=jid, fingerprint="current")


def test_removal_during_an_enrolment(kind, jid):
    """Nothing half-done: afterwards the enrolment goes well."""
    kind.unlock()
    key = kind.any_key("rsa2048")
    if kind.can["removal"]:
        kind.card("touch", 60)
        call = Call(kind, "Enrol", {"jid": jid, "key": key, "password": {"fd": 0}}, PASSWORD)
        kind.card("held")
        kind.card("remove")
        assert call.outcome().name in GONE
        kind.card("ok")
        kind.card("insert")
        kind.unlock()
        assert kind.call("ShowAccount", jid=jid)["account"]["certificate"] is None
    assert enrol(kind, jid, key)["certificate"]["jids"] == [jid]
    kind.call("RevokeCertificate", jid=jid, fingerprint="current")
