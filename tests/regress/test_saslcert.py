"""XEP-0257, where a server has no ccm2: the same verbs, on a server that nobody here wrote."""
import base64
import hashlib
import os
import signal
import socket

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from agent_fixture import monitor, next_event
from cert_world import Holder
from certificates import certificate, make_key, to_der, xmpp_addr
from peer import as_peer
from saslcert_world import SaslCertWorld, serve
from person import NUMBERS, Person
from processes import until
from varlink_client import AgentError, Client, secret
from world import DOMAIN, PASSWORD, Failed


@pytest.fixture(scope="module")
def listing():
    """The world with such a server."""
    with SaslCertWorld() as world:
        yield world.up()


@pytest.fixture
def someone(listing):
    """Makes people with a fresh account and a token."""
    made = []

    def make():
        name = f"listed{next(NUMBERS)}"
        listing.server.add_accounts(DOMAIN, [name], PASSWORD)
        made.append(Person(listing, name, True))
        return made[-1]

    yield make
    for person in made:
        person.stop()


def test_account_show_says_which_protocol(someone):
    person = someone()
    assert person.start().signet("account", "show", person.jid)["account"]["protocol"] is None
    assert person.signet("cert", "list", person.jid, *person.password)["certificates"] == []
    assert person.signet("account", "show", person.jid)["account"]["protocol"] == "saslcert"
    person.stop()
    assert person.start().signet("status")["accounts"][0]["protocol"] == "saslcert"


def enrol(person, *more, label="client"):
    """A certificate for the key of this label, which is made if need be."""
    keys = [key["label"] for key in person.signet("key", "list")["keys"]]
    if label not in keys:
        person.signet("key", "new", "--token", person.name, "--label", label, "--algorithm", "p256")
    return person.signet("enrol", person.jid, "--key", label, *more)


def listed(person):
    """What the server lists, by name."""
    return {c["name"]: c for c in person.signet("cert", "list", person.jid, *person.password)["certificates"]}


def test_the_whole_way(someone):
    """Made on the token, appended, proven by a login, listed, revoked: then no login."""
    person = someone()
    person.start()
    done = enrol(person, "--name", "laptop", *person.password)
    assert done["account"]["protocol"] == "saslcert"
    assert (done["account"]["state"], done["account"]["mechanism"]) == ("online", "EXTERNAL")
    certificate = x509.load_der_x509_certificate(base64.b64decode(done["certificate"]["der"]))
    pem = person.world.write("own.pem", certificate.public_bytes(serialization.Encoding.PEM).decode())
    person.world.run("openssl", "verify", "-check_ss_sig", "-partial_chain", "-CAfile", pem, pem)
    assert [a.value for a in certificate.subject] == [person.jid]
    found = {e.oid.dotted_string: e for e in certificate.extensions}
    assert set(found) == {"2.5.29.17", "2.5.29.19", "2.5.29.15", "2.5.29.37", "2.5.29.14"}
    assert [n.value for n in found["2.5.29.17"].value] == [b"\x0c" + bytes([len(person.jid)]) + person.jid.encode()]
    assert {o.dotted_string for o in found["2.5.29.37"].value} == {"1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"}
    assert not found["2.5.29.19"].value.ca
    assert 365 <= (certificate.not_valid_after - certificate.not_valid_before).days <= 366

    issued = person.signet("cert", "list", person.jid)["certificates"]
    assert [(c["name"], c["own"], c["used"], c["certificate"]["sha256"]) for c in issued] == [
        ("laptop", True, "untold", done["certificate"]["sha256"])]
    on_token = person.signet("key", "show", "client")["certificates"]
    assert [c["sha256"] for c in on_token] == [done["certificate"]["sha256"]]

    person.signet("cert", "revoke", person.jid, "current", "--yes")
    person.signet("account", "disconnect", person.jid)
    with pytest.raises(Failed, match="not-authorized|refused"):
        person.signet("account", "connect", person.jid)
    assert listed(person) == {}
    person.signet("cert", "revoke", person.jid, done["certificate"]["sha256"], "--yes", *person.password)


def test_names_are_made_unique(someone):
    """A name that the list has would be replaced without a word."""
    person = someone()
    person.start()
    made = [enrol(person, "--name", "laptop", *person.password, label=f"k{n}")["certificate"]["sha256"] for n in range(3)]
    assert {name: c["certificate"]["sha256"] for name, c in listed(person).items()} == dict(
        zip(("laptop", "laptop 2", "laptop 3"), made))


def test_disabled_it_logs_in_no_more(someone):
    """Whoever is logged in stays so."""
    person = someone()
    person.start()
    done = enrol(person, *person.password)
    person.signet("cert", "revoke", person.jid, "current", "--disable", "--yes")
    shown = person.signet("account", "show", person.jid)["account"]
    assert (shown["state"], shown["bound_jid"]) == ("online", done["account"]["bound_jid"])
    assert (shown["not_after"], shown["renew_due"]) == (None, None)
    assert person.signet("cert", "list", person.jid)["certificates"] == []
    person.signet("account", "disconnect", person.jid)
    with pytest.raises(Failed, match="not-authorized|refused"):
        person.signet("account", "connect", person.jid)


def test_a_replaced_certificate_is_revoked(someone):
    person = someone()
    person.start()
    old = enrol(person, *person.password)["certificate"]["sha256"]
    new = enrol(person, "--replace", label="other")["certificate"]["sha256"]
    issued = person.signet("cert", "list", person.jid)["certificates"]
    assert [(c["certificate"]["sha256"], c["own"]) for c in issued] == [(new, True)] and new != old
    assert person.signet("key", "show", "client")["certificates"] == []


def kill(person):
    """The agent dies, and its workers with it."""
    os.kill(person.agent.popen.pid, signal.SIGKILL)
    person.agent.popen.wait()
    person.agent = None


def assert_one(person, sha256, label="client"):
    """Exactly this certificate is on the server and beside its key, and it logs in."""
    person.signet("account", "disconnect", person.jid)
    assert person.signet("account", "connect", person.jid)["account"]["mechanism"] == "EXTERNAL"
    issued = person.signet("cert", "list", person.jid)["certificates"]
    assert [(c["certificate"]["sha256"], c["own"]) for c in issued] == [(sha256, True)]
    assert [c["sha256"] for c in person.signet("key", "show", label)["certificates"]] == [sha256]


@pytest.mark.parametrize("killed", [True, False])
def test_an_answer_to_append_that_is_lost(someone, killed):
    """The certificate that was appended is found in the list, and used: there is no second one."""
    person = someone()
    person.start()
    person.world.lose("append")
    with pytest.raises(Failed):
        enrol(person, *person.password)
    (sha256,) = [c["certificate"]["sha256"] for c in listed(person).values()]
    if killed:
        kill(person)
    assert enrol(person, *person.password)["certificate"]["sha256"] == sha256
    assert_one(person, sha256)


@pytest.mark.parametrize("killed", [True, False])
def test_an_answer_to_revoke_that_is_lost(someone, killed):
    """What the server has forgotten is revoked: to say so again is fine."""
    person = someone()
    person.start()
    sha256 = enrol(person, *person.password)["certificate"]["sha256"]
    other = enrol(person, *person.password, label="other")["certificate"]["sha256"]
    person.world.lose("revoke")
    with pytest.raises(Failed):
        person.signet("cert", "revoke", person.jid, sha256, "--yes")
    if killed:
        kill(person)
    person.signet("cert", "revoke", person.jid, sha256, "--yes")
    assert [c["certificate"]["sha256"] for c in listed(person).values()] == [other]
    with pytest.raises(Failed, match="item-not-found|StanzaError"):
        person.signet("cert", "revoke", person.jid, "ab" * 32, "--yes")


STEPS = ["key", "login", "features", "request", "add", "store", "prove"]


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_each_step(someone, step):
    """However far it came: one certificate, on the server, on the token and in use."""
    person = someone()
    person.start()
    person.signet("key", "new", "--token", person.name, "--label", "client", "--algorithm", "p256")
    os.seteuid(person.world.uid)  # whose agent it is: another is not listened to
    try:
        client = Client(person.env["SIGNET_SOCK"])
    finally:
        os.seteuid(os.getuid())
    with client, secret(PASSWORD) as fd:
        client.send("Enrol", {"jid": person.jid, "key": "client", "password": {"fd": 0}}, [fd], more=True)
        while client.receive()["step"] != step:
            pass
        kill(person)
    assert_one(person, enrol(person, *person.password)["certificate"]["sha256"])


def test_a_cancelled_enrolment_leaves_nothing(someone):
    """Also where nobody told that the certificate was appended."""
    person = someone()
    person.start()
    person.world.lose("append")
    with pytest.raises(Failed):
        enrol(person, *person.password)
    assert not (person.world.dir / "lose").exists()
    person.signet("enrol", person.jid, "--cancel", *person.password)
    assert listed(person) == {} and person.signet("key", "show", "client")["certificates"] == []
    sha256 = enrol(person, *person.password)["certificate"]["sha256"]
    assert_one(person, sha256)


def test_enrolling_the_same_key_again(someone):
    """The same certificate while it stands; one that left the list was revoked, and does not come back."""
    person = someone()
    person.start()
    sha256 = enrol(person, *person.password)["certificate"]["sha256"]
    assert enrol(person)["certificate"]["sha256"] == sha256
    assert_one(person, sha256)
    name, = (c["name"] for c in person.signet("cert", "list", person.jid)["certificates"])
    person.signet("account", "disconnect", person.jid)
    revoke = f"<revoke xmlns='urn:xmpp:saslcert:1'><name>{name}</name></revoke>"
    assert as_peer(person.world, person.name, lambda peer: peer.iq("set", revoke)).get("type") == "result"
    again = enrol(person, *person.password)["certificate"]["sha256"]
    assert again != sha256
    assert [c["certificate"]["sha256"] for c in person.signet("cert", "list", person.jid)["certificates"]] == [again]


@pytest.mark.parametrize("rekey", [False, True])
def test_renewal(someone, rekey):
    """A new one takes the place of the former, which is revoked; names count on."""
    person = someone()
    person.start()
    old = enrol(person, "--name", "laptop", *person.password)["certificate"]
    for name in ("laptop 2", "laptop 3"):
        person.signet("cert", "renew", person.jid, *["--rekey"] * rekey)
        account = person.signet("account", "show", person.jid)["account"]
        assert account["certificate"] != old["sha256"] and account["jobs"] == []
        issued = person.signet("cert", "list", person.jid)["certificates"]
        assert [(c["name"], c["certificate"]["sha256"], c["own"]) for c in issued] == [(name, account["certificate"], True)]
        shown = person.signet("key", "show", account["key"])
        assert [c["sha256"] for c in shown["certificates"]] == [account["certificate"]]
        old = issued[0]["certificate"]
    assert len(person.signet("key", "list")["keys"]) == (3 if rekey else 1)


def test_a_server_that_has_ccm2_meanwhile(someone, listing):
    """What was begun by the one protocol does not go on by the other; a new one is by ccm2."""
    person = someone()
    person.start()
    listing.lose("append")
    with pytest.raises(Failed):
        enrol(person, *person.password)
    listing.server.stop()
    serve(listing, [person.name], modules=("announcing",))
    listing.server.start()
    try:
        with pytest.raises(Failed, match="CertificateRefused"):
            enrol(person, *person.password)
        account = person.signet("account", "show", person.jid)["account"]
        assert (account["protocol"], account["jobs"], account["certificate"]) == ("ccm2", [], None)
        with pytest.raises(Failed, match="service-unavailable"):  # for it only says that it has it
            enrol(person, *person.password)
        with pytest.raises(Failed, match="FeatureMissing"):
            person.signet("cert", "revoke", person.jid, "ab" * 32, "--disable", "--yes", *person.password)
    finally:
        person.stop()
        listing.server.stop()
        serve(listing, [person.name])
        listing.server.start()


@pytest.fixture
def holder(listing):
    with Holder(listing, f"listed{next(NUMBERS)}") as holder:
        yield holder


def append(holder, *entries):
    """Another client of the account puts certificates on the list: names and DERs."""
    async def job(peer):
        for name, der in entries:
            answer = await peer.iq("set", f"<append xmlns='urn:xmpp:saslcert:1'><name>{name}</name>"
                                   f"<x509cert>{base64.b64encode(der).decode()}</x509cert></append>")
            assert answer.get("type") == "result"
    as_peer(holder.world, holder.name, job)


def remove(holder, name):
    """Another client of the account takes a name off the list."""
    async def job(peer):
        return await peer.iq("set", f"<revoke xmlns='urn:xmpp:saslcert:1'><name>{name}</name></revoke>")
    assert as_peer(holder.world, holder.name, job).get("type") == "result"


def test_an_entry_that_cannot_be_read_is_told(holder):
    """It can log in all the same: the list is not the whole one, and nothing is said to be revoked for that."""
    holder.enrol("client")
    key = make_key()
    append(holder, ("x" * 70000, to_der(certificate(key.public_key(), key, xmpp_addr(holder.jid)))))
    rows = holder.rows()
    assert [row["state"] for row in rows.values()] == ["current"]
    assert holder.list == "cut" and "1 entry" in holder.problems[0]
    assert "1 entry" in holder.type(f"signet cert list {holder.jid} --diff")
    assert holder.call("ListCertificates")["unread"] == 1
    assert "1 entry" in holder.type(f"signet cert list {holder.jid}")


def test_a_certificate_that_another_client_hides(holder):
    """It is on the list under a name that is too long alone: nobody says that it is revoked, and it goes on being used."""
    certificate = holder.enrol("client", name="laptop")
    append(holder, ("x" * 70000, base64.b64decode(certificate["der"])))
    holder.call("Disconnect")
    remove(holder, "laptop")
    assert holder.call("Connect")["account"]["mechanism"] == "EXTERNAL"
    assert holder.call("ListCertificates") == {"certificates": [], "unread": 1}

    with pytest.raises(AgentError) as refused:
        holder.call("RevokeCertificate", fingerprint=certificate["sha256"])
    assert "it may be one of them" in refused.value.parameters["message"]
    holder.call("Disconnect")
    assert len(holder.call("Publish", password=True)["keys"]) == 1
    done = holder.run("cert", "renew", holder.jid)
    assert done.returncode == 0 and holder.account()["certificate"] != certificate["sha256"]
    assert f"the former certificate, {certificate['sha256']}, is NOT REVOKED" in done.stderr
    assert holder.rows()[certificate["sha256"]]["state"] == "spare"  # not revoked, for all that anybody knows
    assert [c["name"] for c in holder.call("ListCertificates")["certificates"]] == ["signet on " + socket.gethostname()]


def test_a_name_that_is_long_hides_nothing(holder):
    """Longer than any that we give: it is listed, on lines that can be read, and revoked."""
    holder.enrol("client")
    key = make_key()
    der = to_der(certificate(key.public_key(), key, xmpp_addr(holder.jid)))
    append(holder, ("\u00e4" * 5000, der))
    row = holder.rows()[hashlib.sha256(der).hexdigest()]
    assert (holder.list, row["state"], row["label"]) == ("whole", "unknown", "\u00e4" * 5000)
    shown = holder.type(f"signet cert list {holder.jid} --diff")
    assert "\u00e4" * 30 in shown and max(map(len, shown.splitlines())) < 200
    holder.type(row["step"], "yes")
    assert [row["state"] for row in holder.rows().values()] == ["current"]


def test_renewal_of_one_that_has_a_long_name(holder):
    """Longer than any that we give: the new certificate has another one."""
    old = holder.enrol("client", name="laptop")
    append(holder, ("x" * 5000, base64.b64decode(old["der"])))
    holder.call("Disconnect")
    remove(holder, "laptop")
    new = holder.call("Renew")["certificate"]["sha256"]
    assert [c["certificate"]["sha256"] for c in holder.call("ListCertificates")["certificates"]] == [new]
    assert holder.account()["certificate"] == new != old["sha256"]


def test_what_is_undone_and_cannot_be_read_is_not_said_to_be_revoked(holder):
    """As with a revocation: the new certificate logs in all the same."""
    old = holder.enrol("client", name="laptop")
    holder.agent.call("NewKey", {"token": "two", "label": "user", "algorithm": "p256", "user": True, "account": holder.jid})
    holder.lose("two")
    holder.agent.error("Renew", {"jid": holder.jid, "name": "new"})
    new = base64.b64decode(next(c["certificate"]["der"] for c in holder.call("ListCertificates")["certificates"] if c["name"] == "new"))
    append(holder, ("x" * 70000, new))
    holder.call("Disconnect")
    remove(holder, "new")
    done = holder.run("enrol", holder.jid, "--cancel")
    assert done.returncode == 5 and "NOT REVOKED" in done.stdout and "cannot be read" in done.stdout
    assert holder.account()["jobs"] == [] and holder.account()["certificate"] == old["sha256"]
    assert holder.rows()[hashlib.sha256(new).hexdigest()]["state"] == "spare"


def test_only_what_may_be_adopted_is_to_be_adopted(holder):
    """For a key of ours, and with a name too many, or not valid yet: what is offered is to revoke it."""
    holder.enrol("client")
    holder.agent.call("NewKey", {"token": "two", "label": "other", "algorithm": "p256"})
    public = serialization.load_der_public_key(
        base64.b64decode(holder.agent.call("ShowKey", {"key": "other"})["key"]["public_key"]))
    signer, own = make_key(), xmpp_addr(holder.jid)
    append(holder, ("two names", to_der(certificate(public, signer, own, xmpp_addr(f"romeo@{DOMAIN}")))))
    append(holder, ("not yet", to_der(certificate(public, signer, own, days=(3, 9)))))
    append(holder, ("good", to_der(certificate(public, signer, own))))
    steps = {row["label"]: (row["state"], row["step"].split()[2], row["text"]) for row in holder.rows().values()
             if row["step"]}
    assert [(steps[name][:2]) for name in ("two names", "not yet", "good")] == [
        ("unclaimed", "revoke"), ("unclaimed", "revoke"), ("unclaimed", "adopt")]
    assert "other names" in steps["two names"][2] and "not valid yet" in steps["not yet"][2]


def test_what_is_on_the_list_alone_is_not_removed(holder):
    holder.enrol("client")
    key = make_key()
    der = to_der(certificate(key.public_key(), key, xmpp_addr(holder.jid), days=(-9, -1)))
    append(holder, ("old", der))
    error = holder.agent.error("RemoveCertificate", {"jid": holder.jid, "fingerprint": hashlib.sha256(der).hexdigest()})
    assert error.name == "KeyAbsent" and "cert revoke" in error.parameters["advice"]


def test_a_lost_token_whose_revocation_waits(listing, holder):
    """What waits is said to, offered as a step and no spare; and its keyinfo goes with it, with nobody asking."""
    first = holder.enrol("first")
    holder.agent.call("NewKey", {"token": "two", "label": "user", "user": True, "account": holder.jid})
    spare = holder.enrol("spare", token="two", spare=True)
    holder.agent.call("Sign", {"account": holder.jid})
    holder.call("Publish")
    serial = holder.lose("one")
    listing.refuse("revoke")
    done = holder.call("RevokeToken", token=serial)
    assert [row["outcome"] for row in done["certificates"]] == ["pending"] and done["switched"]
    assert holder.account()["certificate"] == spare["sha256"]
    row = holder.rows()[first["sha256"]]
    assert row["state"] == "spare" and row["step"] == f"signet cert revoke {holder.jid} {first['sha256']}"
    assert "being revoked" in row["text"]
    listing.refuse(None)
    holder.call("Disconnect")
    holder.call("Connect")
    until(lambda: not holder.account()["jobs"], "the revocation does not go on")
    assert holder.rows()[first["sha256"]]["state"] == "revoked"
    assert first["name"] not in {key["name"] for key in holder.call("ShowPublished")["keys"]}


def test_killed_before_the_keyinfo_of_a_lost_key_is_retracted(listing, holder):
    """It is revoked, which is said; the rest goes on after the restart, and is no failure."""
    first = holder.enrol("first")
    holder.agent.call("NewKey", {"token": "two", "label": "user", "user": True, "account": holder.jid})
    holder.enrol("spare", token="two", spare=True)
    holder.agent.call("Sign", {"account": holder.jid})
    holder.call("Publish")
    serial = holder.lose("one")
    listing.refuse("pubsub")
    done = holder.call("RevokeToken", token=serial)
    assert [row["outcome"] for row in done["certificates"]] == ["revoked"] and "Not now" in done["unretracted"]
    row = holder.rows()[first["sha256"]]
    assert (row["state"], row["text"], row["step"]) == ("revoked", "it is revoked", None)
    assert [job["state"] for job in holder.account()["jobs"]] == ["retract"]
    holder.agent.stop(signal.SIGKILL)
    holder.agent.start()
    listing.refuse(None)
    with monitor(holder.agent) as events:
        holder.call("Connect")
        assert next_event(events, "job_done", "job_failed")["kind"] == "job_done"
    assert holder.account()["jobs"] == []
    assert first["name"] not in {key["name"] for key in holder.call("ShowPublished")["keys"]}


def test_a_lost_token_and_a_lost_answer(listing, holder):
    """A new certificate of the lost token was appended, and the answer never came: it is revoked, too."""
    first = holder.enrol("first")
    spare = holder.enrol("spare", token="two", spare=True)
    listing.lose("append")
    holder.agent.error("Renew", {"jid": holder.jid, "rekey": True})
    serial = holder.lose("one")
    done = holder.call("RevokeToken", token=serial)
    assert [row["outcome"] for row in done["certificates"]] == ["revoked", "revoked"]
    assert first["sha256"] in {row["sha256"] for row in done["certificates"]}
    assert holder.account()["jobs"] == []
    rows = holder.rows()
    assert [row["sha256"] for row in rows.values() if row["server"] == "listed"] == [spare["sha256"]]


def test_an_enrolment_that_waits_for_the_lost_token(listing, holder):
    """It got nothing yet, and is given up; the other token's certificate is left alone."""
    first = holder.enrol("first")
    holder.agent.call("NewKey", {"token": "two", "label": "spare", "algorithm": "p256"})
    listing.refuse("append")
    holder.agent.error("Enrol", {"jid": holder.jid, "key": "spare", "spare": True})
    listing.refuse(None)
    serial = holder.lose("two")
    assert [job["kind"] for job in holder.account()["jobs"]] == ["spare"]
    assert holder.call("RevokeToken", token=serial)["certificates"] == []
    assert holder.account()["jobs"] == [] and holder.rows()[first["sha256"]]["state"] == "current"
    assert holder.agent.error("RevokeToken", {"jid": holder.jid, "token": serial}).name == "TokenAbsent"


@pytest.mark.parametrize("by", ["password", "key"])
def test_what_another_call_is_refused_for_says_nothing_of_a_certificate(listing, holder, by):
    """Two calls at once wait for one login: that its password is refused, or the spare that it goes over to, does not mean
    that what is to be revoked is."""
    cert = holder.enrol("client", name="laptop")
    spare = holder.enrol("spare", token="two", spare=True, name="spare")
    remove(holder, "spare")
    listing.refuse("revoke")
    holder.agent.error("RevokeCertificate", {"jid": holder.jid, "fingerprint": cert["sha256"]})
    holder.call("Disconnect")
    server = listing.server.process.popen
    server.send_signal(signal.SIGSTOP)
    try:
        with holder.agent.client() as first, holder.agent.client() as second, secret("wrong") as fd:
            if by == "password":
                first.send("Connect", {"jid": holder.jid, "password": {"fd": 0}}, [fd])
            else:
                first.send("Connect", {"jid": holder.jid, "key": "spare"})
            until(lambda: holder.account()["state"] == "connecting", "nobody connects")
            second.send("RevokeCertificate", {"jid": holder.jid, "fingerprint": cert["sha256"]})
            until(lambda: holder.account()["jobs"][0]["running"], "nobody revokes")
            server.send_signal(signal.SIGCONT)
            assert first.error_of_next().name == "LoginRefused"
            assert "Not now" in second.error_of_next().parameters["message"]
    finally:
        server.send_signal(signal.SIGCONT)
        listing.refuse(None)
    account = holder.account()
    assert account["jobs"][0]["kind"] == "revoke" and account["certificate"] == cert["sha256"] != spare["sha256"]
    holder.call("RevokeCertificate", fingerprint=cert["sha256"])
    assert holder.call("ListCertificates", password=True)["certificates"] == []


def test_more_long_names_than_a_reply_holds(holder):
    """What the one command cannot show, another does, and that is said."""
    holder.enrol("client")
    key = make_key()
    der = to_der(certificate(key.public_key(), key, xmpp_addr(holder.jid)))
    append(holder, *((str(number) + "x" * 65000, der) for number in range(17)))
    shown = holder.run("cert", "list", holder.jid)
    assert shown.returncode == 7 and "cert list --diff" in shown.stderr
    assert len(holder.signet("cert", "list", holder.jid, "--diff")["certificates"]) == 2


def test_a_renewal_that_is_being_undone_is_not_gone_on_with(listing, holder):
    """It is no renewal any more: what is said then is how it comes to its end."""
    old = holder.enrol("client", name="laptop")
    holder.agent.call("NewKey", {"token": "two", "label": "other", "algorithm": "p256"})
    listing.refuse("revoke")
    holder.agent.error("Renew", {"jid": holder.jid, "key": "other", "name": "new"})
    holder.call("Disconnect")
    listing.refuse(None)
    remove(holder, "new")
    holder.lose("one")
    assert holder.agent.error("Renew", {"jid": holder.jid}).name == "CertificateRefused"
    until(lambda: (job := holder.account()["jobs"][0])["state"] == "undo" and not job["running"], "it is not undone")
    assert f"At once: `signet enrol --cancel {holder.jid}`" in holder.run("status").stdout
    with secret(PASSWORD) as fd:
        error = holder.agent.error("Renew", {"jid": holder.jid, "password": {"fd": 0}}, [fd])
    assert error.name == "Busy" and "--cancel" in error.parameters["advice"]
    error = holder.agent.error("Enrol", {"jid": holder.jid, "key": "other"})
    assert error.name == "Busy" and "goes on with it" in error.parameters["advice"] and "its key" not in error.parameters["advice"]
    holder.call("CancelEnrolment", password=True)
    assert holder.account()["jobs"] == [] and holder.account()["certificate"] == old["sha256"]


def test_a_renewal_whose_token_is_away_is_undone(listing, holder):
    """The new certificate cannot log in to ask whether the former one is valid: that one does."""
    old = holder.enrol("client")
    holder.agent.call("NewKey", {"token": "one", "label": "user", "user": True, "account": holder.jid})
    holder.agent.call("Sign", {"account": holder.jid})
    holder.call("Publish")
    holder.agent.call("NewKey", {"token": "two", "label": "other", "algorithm": "p256"})
    listing.refuse("pubsub")
    holder.agent.error("Renew", {"jid": holder.jid, "key": "other"})
    listing.refuse(None)
    assert holder.account()["jobs"][0]["state"] == "publish"
    holder.lose("two")
    holder.call("Disconnect")
    holder.call("CancelEnrolment")
    account = holder.account()
    assert (account["certificate"], account["jobs"]) == (old["sha256"], [])
    assert [c["certificate"]["sha256"] for c in holder.call("ListCertificates")["certificates"]] == [old["sha256"]]
