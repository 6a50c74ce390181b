"""Certificates that are due are renewed: by the agent itself, by hand, and when what was in the way has gone."""
import base64
import contextlib
import hashlib
import itertools
import json
import signal
import sqlite3

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from agent_fixture import Agent
from authority_client import Client
from cert_world import Holder
from peer import NS_PUBKEY, as_peer, fetch_items
from person import Person
from processes import until
from test_cert_diff import software_request
from test_lost_token import not_signed_yet
from world import BUILD, DOMAIN, PASSWORD, SERVERS, Failed, World, is_sanitized

DAY = 86400
PAST = -250  # days: of the authority's 365, two thirds and some are over
NUMBERS = itertools.count(1)


class RenewalWorld(World):
    """A world whose authority can live in the past, where it issues what is due now."""

    def shifted(self, env, program, days):
        """An environment in which the program lives so many days from now."""
        library = self.dir / "lib/shifted-clock.so"
        if not library.exists():  # what is loaded somewhere must not be written to
            self.install(BUILD / "lib/shifted-clock.so", "lib/shifted-clock.so", 0o755)
        return dict(env, LD_PRELOAD=str(library), CLOCK_OF=program, CLOCK_SHIFT=str(days * DAY))

    @contextlib.contextmanager
    def past(self):
        now = self.authority_env
        self.authority.stop()
        self.authority_env = self.shifted(now, "signet-authority", PAST)
        self.start_authority()
        yield
        self.authority.stop()
        self.authority_env = now
        self.start_authority()

    def revoked(self):
        return (self.dir / "authority/revoked.txt").read_text().split()


class Renewer(Person):
    """Somebody whose agent is to renew."""

    def restart(self, renew="yes", pin_source=True, days=0):
        """Starts the agent anew with other settings, or so many days from now."""
        self.stop()
        self.world.write(f"agent-{self.name}/config/signet/signet.conf", f"""\
[agent]
renew = {renew}
[module softhsm]
path = {self.world.module}
""" + (f"[token {self.name}]\npin-source = file:{self.world.dir}/pin\n" if pin_source else ""), 0o600)
        env = self.env
        self.env = self.world.shifted(env, "signetd", days) if days else env
        self.start()
        self.env = env

    @property
    def pin(self):
        return ("--pin-file", self.world.dir / "pin")

    def account(self):
        return self.signet("account", "show", self.jid)["account"]

    def job(self):
        """The renewal that is not done, or None."""
        return next((job for job in self.account()["jobs"] if job["kind"] == "renew"), None)

    def wait_waiting(self, error):
        """Until a renewal waits for what the error says."""
        until(lambda: (job := self.job()) and not job["running"] and job["waits_for"] == error,
              f"no renewal waits for {error}: {self.agent.last()}")
        return self.job()

    def wait_renewed(self, old):
        until(lambda: (account := self.account())["certificate"] != old and not account["jobs"],
              f"not renewed: {self.agent.last()}")
        return self.account()["certificate"]

    def pin_tries(self):
        """How many PINs the agent has tried on the token since the last good one."""
        with contextlib.closing(sqlite3.connect(self.world.dir / f"agent-{self.name}/state/signet/agent.db")) as store:
            return store.execute("SELECT sum(tries) FROM pin_ledgers WHERE whose = 0").fetchone()[0]

    def objects(self, kind):
        """How many objects of the kind are on the token, by pkcs11-tool."""
        text = self.world.run("pkcs11-tool", "--module", self.world.module, "--login", "--pin", self.world.pin,
                              "--list-objects", "--type", kind, env=self.env)
        return text.count("Object; ")


@pytest.fixture(scope="module", params=sorted(SERVERS))
def world(request):
    if is_sanitized():
        pytest.skip("a sanitizer wants to be preloaded first")
    with RenewalWorld(server=request.param, accounts=()) as world:
        world.up()
        yield world


@pytest.fixture
def renewer(world):
    """Somebody with an agent that renews nothing by itself yet."""
    name = f"renewer{next(NUMBERS)}"
    world.server.add_accounts(DOMAIN, [name], PASSWORD)
    made = Renewer(world, name, True)
    made.start()
    made.restart(renew="no")
    yield made
    made.stop()


def enrol(renewer, algorithm="p256", due=True):
    """A key and its certificate. Gives the certificate's SHA-256."""
    key = renewer.signet("key", "new", "--token", renewer.name, "--label", "client", "--algorithm", algorithm,
                         *renewer.pin)["key"]["uri"]
    with renewer.world.past() if due else contextlib.nullcontext():
        made = renewer.signet("enrol", renewer.jid, "--key", key, "--name", "by the window", *renewer.password)
    renewer.signet("account", "disconnect", renewer.jid)
    return made["certificate"]["sha256"]


def check_renewed(renewer, old):
    """Another certificate is in the place of the old one, which is nowhere any more. Gives the new one's SHA-256."""
    new = renewer.wait_renewed(old)
    assert renewer.account()["state"] == "offline"  # as it was
    listed = renewer.signet("cert", "list", renewer.jid)["certificates"]
    assert [(c["certificate"]["sha256"], c["name"], c["own"]) for c in listed] == [(new, "by the window", True)]
    assert renewer.account()["mechanism"] == "EXTERNAL"
    assert old in renewer.world.revoked() and new not in renewer.world.revoked()
    return new


def public_key(renewer, sha256):
    """SHA-256 of the public key in one of the certificates beside the renewer's keys."""
    for key in renewer.signet("key", "list")["keys"]:
        for found in renewer.signet("key", "show", key["uri"])["certificates"]:
            if found["sha256"] == sha256:
                cert = x509.load_der_x509_certificate(base64.b64decode(found["der"]))
                return x509.SubjectKeyIdentifier.from_public_key(cert.public_key()).digest
    raise AssertionError(f"{sha256} is on no token")


def error_of(renewer, *args):
    """The error of a command that fails: its name and its message."""
    with pytest.raises(Failed) as failed:
        renewer.signet(*args)
    reply = json.loads(failed.value.out)
    return reply["error"], reply["parameters"]["message"]


# ---- by itself ----

@pytest.mark.parametrize("algorithm", ["p256", "rsa2048"])
def test_a_due_one_is_renewed_for_the_same_key(renewer, algorithm):
    """By RSA the same request is the same bytes, for which the authority gives the former certificate (C5)."""
    old = enrol(renewer, algorithm)
    key = public_key(renewer, old)
    renewer.restart()
    new = check_renewed(renewer, old)
    assert public_key(renewer, new) == key
    assert renewer.objects("cert") == 1 and renewer.objects("privkey") == 1


def test_it_is_told_when_one_is_due(renewer):
    old = enrol(renewer)
    account = renewer.account()
    assert account["renew_due"] < account["not_after"]
    until(lambda: renewer.agent.count("is due to be renewed: `signet cert renew` renews it"), renewer.agent.last())
    assert renewer.job() is None and renewer.account()["certificate"] == old
    text = renewer.world.signet(renewer.env, "status")
    assert f"The certificate of {renewer.jid} is due to be renewed since {account['renew_due']}" in text
    assert f"`signet cert renew {renewer.jid}`" in text
    monitor = renewer.world.start("monitor", ["signet", "monitor", "--json"], renewer.env)
    until(lambda: renewer.agent.count("monitors"), "nobody monitors")
    renewer.signet("cert", "revoke", renewer.jid, "current", "--yes")
    account = renewer.account()
    assert (account["renew_due"], account["not_after"]) == (None, None)
    with renewer.world.past():
        made = renewer.signet("enrol", renewer.jid, "--key", "client", *renewer.password)["certificate"]["sha256"]
    event = json.loads(monitor.wait_line("certificate_due"))
    assert (event["kind"], event["jid"], event["name"]) == ("certificate_due", renewer.jid, made)
    monitor.stop()


def verify(cert, signatures, issuer):
    """Signatures on a certificate, by python3-cryptography. Gives the methods."""
    public = x509.load_der_x509_certificate(issuer).public_key()
    for signature in signatures:
        assert signature.findtext(f"{{{NS_PUBKEY}}}issuer") == hashlib.sha1(issuer).hexdigest()
        value = signature.find(f"{{{NS_PUBKEY}}}value")
        public.verify(base64.b64decode(value.text), cert, ec.ECDSA(hashes.SHA256()))
    return [s.find(f"{{{NS_PUBKEY}}}value").get("method") for s in signatures]


def publish(renewer, signed=True):
    """A user key, its signature on the certificate, and both on the node. Gives the user certificate's DER."""
    made = renewer.signet("key", "new", "--token", renewer.name, "--label", "user", "--user", "--account", renewer.jid,
                          "--algorithm", "p256", *renewer.pin)["certificate"]
    renewer.signet("sign", renewer.jid)
    renewer.signet("publish", renewer.jid)
    renewer.signet("account", "disconnect", renewer.jid)
    return base64.b64decode(made["der"])


def client_keys(renewer, user):
    """What another client finds on the node beside the user key: SHA-256 of a certificate -> methods of signatures
    that are good."""
    found = {}
    for keyinfo in fetch_items(renewer.world, renewer.name, renewer.jid).values():
        cert = base64.b64decode(keyinfo.findtext(f"{{{NS_PUBKEY}}}x509cert"))
        if cert != user:
            found[hashlib.sha256(cert).hexdigest()] = verify(cert, keyinfo.findall(f"{{{NS_PUBKEY}}}signature"), user)
    return found


def test_what_was_published_is_so_again(renewer):
    old = enrol(renewer)
    user = publish(renewer)
    assert client_keys(renewer, user) == {old: ["ECDSA-SHA256"]}
    renewer.restart()
    new = check_renewed(renewer, old)
    assert client_keys(renewer, user) == {new: ["ECDSA-SHA256"]}


# ---- by hand ----

def test_by_hand_before_it_is_due(renewer):
    old = enrol(renewer, due=False)
    assert renewer.account()["renew_due"] > renewer.signet("key", "show", "client")["certificates"][0]["not_before"]
    made = renewer.signet("cert", "renew", renewer.jid)
    new = check_renewed(renewer, old)
    assert made["certificate"]["sha256"] == new and made["account"]["jid"] == renewer.jid
    assert error_of(renewer, "cert", "renew", "nobody@xmpp.test")[0] == "AccountAbsent"


def test_for_a_new_key(renewer):
    """The old key stays; each new one has the next number."""
    old = enrol(renewer, due=False)
    keys = {public_key(renewer, old)}
    for number in (2, 3):
        renewer.signet("cert", "renew", renewer.jid, "--rekey", "--name", "by the door")
        assert f"object=client%20{number};" in renewer.account()["key"]
        renewer.signet("account", "connect", renewer.jid)
        listed = renewer.signet("cert", "list", renewer.jid)["certificates"]
        assert [c["name"] for c in listed] == ["by the door"]
        assert old in renewer.world.revoked()
        old = listed[0]["certificate"]["sha256"]
        keys.add(public_key(renewer, old))
    assert len(keys) == 3 and renewer.objects("privkey") == 3 and renewer.objects("cert") == 1


def test_for_a_key_that_is_there(renewer):
    old = enrol(renewer)
    renewer.signet("key", "new", "--token", renewer.name, "--label", "other", "--algorithm", "p256")
    assert error_of(renewer, "cert", "renew", renewer.jid, "--key", "none")[0] == "KeyAbsent"
    assert error_of(renewer, "cert", "renew", renewer.jid, "--key", "other", "--rekey")[0] == "ArgumentWrong"
    assert renewer.job() is None
    renewer.signet("cert", "renew", renewer.jid, "--key", "other")
    check_renewed(renewer, old)
    assert "object=other" in renewer.account()["key"] and renewer.objects("cert") == 1


def test_without_a_certificate_there_is_nothing_to_renew(renewer):
    assert error_of(renewer, "cert", "renew", renewer.jid)[0] == "KeyAbsent"


# ---- what is in the way ----

def test_a_locked_token(renewer):
    """Nobody is asked for a PIN; what a person does about it is enough."""
    old = enrol(renewer)
    renewer.restart(pin_source=False)
    assert renewer.wait_waiting("PinNeeded")["state"] == "request"
    assert renewer.account()["certificate"] == old and renewer.account()["state"] == "offline"
    text = renewer.world.signet(renewer.env, "status")
    assert f"WAITS: the renewal of the certificate of {renewer.jid} (state request" in text and "unlock" in text
    assert f"At once: `signet cert renew {renewer.jid}`" in text
    monitor = renewer.world.start("monitor", ["signet", "monitor", "--json"], renewer.env)
    until(lambda: renewer.agent.count("monitors"), "nobody monitors")
    renewer.signet("token", "unlock", renewer.name, *renewer.pin)
    event = json.loads(monitor.wait_line("job_done"))
    monitor.stop()
    assert (event["jid"], event["name"]) == (renewer.jid, check_renewed(renewer, old))


def test_a_wrong_pin_is_tried_once(renewer):
    """By a pin-source that is wrong: neither the renewal's second run nor its third tries it again."""
    old = enrol(renewer)
    renewer.stop()
    wrong = renewer.world.write(f"agent-{renewer.name}/wrong", "4321", 0o600)
    conf = renewer.world.dir / f"agent-{renewer.name}/config/signet/signet.conf"
    renewer.world.write(str(conf.relative_to(renewer.world.dir)),
                        conf.read_text().replace("renew = no", "renew = yes").replace(f"{renewer.world.dir}/pin", str(wrong)), 0o600)
    renewer.start()
    renewer.wait_waiting("PinWrong")
    for _ in range(2):
        assert error_of(renewer, "cert", "renew", renewer.jid)[0] in ("PinWrong", "PinNeeded")
    assert renewer.pin_tries() == 1
    renewer.signet("cert", "renew", renewer.jid, *renewer.pin)
    check_renewed(renewer, old)


def test_a_token_that_is_away(renewer):
    old = enrol(renewer)
    renewer.stop()
    tokens = renewer.world.dir / f"agent-{renewer.name}/token/tokens"
    away = tokens.rename(tokens.with_name("away"))
    renewer.world.mkdir(str(tokens.relative_to(renewer.world.dir)))
    renewer.restart()
    until(lambda: (job := renewer.job()) and job["waits_for"] in ("TokenAbsent", "KeyAbsent"), renewer.agent.last())
    assert renewer.account()["certificate"] == old
    renewer.stop()
    tokens.rmdir()
    away.rename(tokens)
    renewer.start()
    check_renewed(renewer, old)


def test_a_server_without_its_authority(renewer):
    old = enrol(renewer)
    renewer.world.authority.stop()
    try:
        renewer.restart()
        until(lambda: (job := renewer.job()) and job["waits_for"], renewer.agent.last())
        assert renewer.job()["state"] == "add" and renewer.account()["certificate"] == old
    finally:
        renewer.world.start_authority()
    renewer.signet("account", "connect", renewer.jid)
    renewer.wait_renewed(old)
    renewer.signet("account", "disconnect", renewer.jid)
    check_renewed(renewer, old)


def test_killed_while_it_waits(renewer):
    old = enrol(renewer)
    renewer.restart(pin_source=False)
    renewer.wait_waiting("PinNeeded")
    renewer.agent.stop(signal.SIGKILL)
    renewer.agent = None
    renewer.start()
    renewer.wait_waiting("PinNeeded")
    renewer.signet("cert", "renew", renewer.jid, *renewer.pin)
    check_renewed(renewer, old)


def unsigned(renewer):
    """A renewal by itself that waits for the user key's token: both certificates are valid. Gives the old one, the new
    one, and the user key's."""
    renewer.stop()
    renewer.world.run("bash", renewer.world.dir / "fixtures/softhsm.sh", renewer.world.dir / f"agent-{renewer.name}/token",
                      renewer.name, "vault", env=renewer.world.env(SOFTHSM_PIN_FILE=renewer.world.dir / "pin"))
    renewer.start()
    old = enrol(renewer)
    made = renewer.signet("key", "new", "--token", "vault", "--label", "user", "--user", "--account", renewer.jid,
                          "--algorithm", "p256", *renewer.pin)["certificate"]
    renewer.signet("sign", renewer.jid)
    renewer.signet("publish", renewer.jid)
    renewer.signet("account", "disconnect", renewer.jid)
    renewer.restart()
    job = renewer.wait_waiting("PinNeeded")
    assert job["state"] == "sign" and "not signed by the user key yet" in job["text"]
    new = renewer.account()["certificate"]
    assert new != old and old not in renewer.world.revoked()
    return old, new, base64.b64decode(made["der"])


def test_the_user_keys_token_is_locked(renewer):
    """The new certificate is in use, and the old one is not revoked before contacts can trust the new one."""
    old, new, user = unsigned(renewer)
    assert client_keys(renewer, user) == {old: ["ECDSA-SHA256"]}
    renewer.signet("token", "unlock", "vault", *renewer.pin)
    until(lambda: not renewer.account()["jobs"], renewer.agent.last())
    assert client_keys(renewer, user) == {new: ["ECDSA-SHA256"]}
    assert old in renewer.world.revoked()


def check_old_again(renewer, old, new, user):
    """The renewal came to nothing, and the account has what it had before."""
    until(lambda: not renewer.account()["jobs"], renewer.agent.last())
    assert renewer.account()["certificate"] == old
    renewer.signet("account", "disconnect", renewer.jid)
    renewer.signet("account", "connect", renewer.jid)
    assert renewer.account()["mechanism"] == "EXTERNAL"
    assert [c["certificate"]["sha256"] for c in renewer.signet("cert", "list", renewer.jid)["certificates"]] == [old]
    assert new in renewer.world.revoked() and old not in renewer.world.revoked()
    assert client_keys(renewer, user) == {old: ["ECDSA-SHA256"]}
    assert renewer.objects("cert") == 1


def operator_revokes(renewer, sha256):
    renewer.world.run("signet-authority", "--config", renewer.world.authority_conf, "revoke", sha256,
                      env=renewer.world.authority_env)
    until(lambda: sha256 in renewer.world.revoked())


@pytest.mark.parametrize("secret", ("none", "password"))
def test_the_new_one_is_revoked_before_it_is_signed(renewer, secret):
    """The operator takes back what was issued: the account is not left without any certificate."""
    old, new, user = unsigned(renewer)
    operator_revokes(renewer, new)
    if secret == "password":  # then no login tells of it
        renewer.signet("account", "disconnect", renewer.jid)
        renewer.signet("account", "connect", renewer.jid, *renewer.password)
    renewer.signet("token", "unlock", "vault", *renewer.pin)
    check_old_again(renewer, old, new, user)
    assert "The last renewal came to nothing: the new certificate was revoked" in \
        renewer.world.signet(renewer.env, "status")


@pytest.mark.parametrize("secret", ("none", "password"))
def test_the_new_one_is_revoked_when_it_is_published(renewer, secret):
    """... and nobody is shown it any more. Without a password, the former certificate logs in and tells."""
    old, new, user = unsigned(renewer)
    renewer.world.authority.stop()
    try:
        renewer.signet("token", "unlock", "vault", *renewer.pin)
        until(lambda: (job := renewer.job()) and job["state"] == "retire" and job["waits_for"], renewer.agent.last())
        assert new in client_keys(renewer, user)
        operator_revokes(renewer, new)
    finally:
        renewer.world.start_authority()
    if secret == "password":
        error, message = error_of(renewer, "cert", "renew", renewer.jid, *renewer.password)
        assert error == "CertificateRefused" and "goes on with the former one" in message
    else:  # the server ends the session some time
        until(lambda: renewer.account()["state"] == "offline", "revoked, it is online")
        renewer.world.signet(renewer.env, "account", "connect", renewer.jid, check=False)  # which the renewal waits for
    until(lambda: not renewer.account()["jobs"], renewer.agent.last())
    assert new not in client_keys(renewer, user)
    renewer.signet("publish", renewer.jid)
    check_old_again(renewer, old, new, user)


def test_a_person_revokes_the_new_one_before_it_is_signed(renewer):
    old, new, user = unsigned(renewer)
    renewer.signet("cert", "revoke", renewer.jid, "current", "--yes")
    check_old_again(renewer, old, new, user)


def test_undone_before_it_is_signed(renewer):
    """As long as the former certificate is not revoked, a person may go back to it."""
    old, new, user = unsigned(renewer)
    assert f"back to the former certificate: `signet enrol --cancel {renewer.jid}`" in \
        renewer.world.signet(renewer.env, "status")
    renewer.signet("enrol", renewer.jid, "--cancel")
    check_old_again(renewer, old, new, user)


@pytest.mark.parametrize("who", ("operator", "person"))
def test_not_undone_when_the_old_one_is_revoked(renewer, who):
    """There is nothing to go back to: the account keeps the new one."""
    old, new, user = unsigned(renewer)
    if who == "operator":
        operator_revokes(renewer, old)
    else:
        renewer.signet("cert", "revoke", renewer.jid, old, "--yes")
    error, message = error_of(renewer, "enrol", renewer.jid, "--cancel")
    assert error == "ArgumentWrong" and "revoked" in message
    assert renewer.account()["certificate"] == new and renewer.job()["state"] == "sign"
    renewer.signet("account", "disconnect", renewer.jid)
    assert renewer.signet("account", "connect", renewer.jid)["account"]["mechanism"] == "EXTERNAL"
    renewer.signet("token", "unlock", "vault", *renewer.pin)
    until(lambda: not renewer.account()["jobs"], renewer.agent.last())
    assert renewer.account()["certificate"] == new and new not in renewer.world.revoked()
    assert client_keys(renewer, user) == {new: ["ECDSA-SHA256"]}


def test_the_old_one_is_removed_before_the_new_one_is_signed(renewer):
    """By hand, as it is of no use any more: that keeps nothing up."""
    old, new, _ = unsigned(renewer)
    renewer.signet("cert", "revoke", renewer.jid, old, "--yes")
    renewer.signet("cert", "remove", renewer.jid, old)
    renewer.signet("token", "unlock", "vault", *renewer.pin)
    until(lambda: (job := renewer.job()) is None or job["state"] == "retract" and job["waits_for"], renewer.agent.last())
    assert renewer.account()["jobs"] == [] and renewer.account()["certificate"] == new


def test_revoked_elsewhere(renewer):
    """Another client has revoked it meanwhile: the renewal ends, and says so."""
    old = enrol(renewer)
    renewer.restart(pin_source=False)
    renewer.wait_waiting("PinNeeded")

    async def revoke(peer):
        return await peer.iq("set", "<revoke-certificate xmlns='urn:xmpp:ccm2:revoke-cert:0'>"
                             f"<fingerprint hash='sha-256'>{old}</fingerprint></revoke-certificate>")
    assert as_peer(renewer.world, renewer.name, revoke).get("type") == "result"
    error, _ = error_of(renewer, "cert", "renew", renewer.jid, *renewer.pin)
    assert error == "LoginRefused"
    until(lambda: not renewer.account()["jobs"], renewer.agent.last())
    assert error_of(renewer, "cert", "renew", renewer.jid, *renewer.password)[0] == "CertificateRefused"
    until(lambda: not renewer.account()["jobs"], renewer.agent.last())


def test_over_the_accounts_limit(renewer):
    """A person must do something first: the renewal has ended, and status tells why."""
    old = enrol(renewer)
    conf = renewer.world.authority_conf
    before = conf.read_text()
    renewer.world.write("authority/authority.conf", before.replace("per-account = 20", "per-account = 1"))
    renewer.world.authority.stop()
    renewer.world.start_authority()
    try:
        renewer.restart()
        until(lambda: renewer.account()["renew_problem"], renewer.agent.last())
        assert renewer.account()["jobs"] == [] and renewer.account()["certificate"] == old
        text = renewer.world.signet(renewer.env, "status")
        assert "is due to be renewed since" in text and "The last renewal came to nothing: " in text
        assert error_of(renewer, "cert", "renew", renewer.jid)[0] == "PeerRefused"
        _, _, said = renewer.world.signet(renewer.env, "cert", "renew", renewer.jid, "--rekey", check=False)
        assert 'making a new key on the token, "client 2"' in said
    finally:
        renewer.world.write("authority/authority.conf", before)
        renewer.world.authority.stop()
        renewer.world.start_authority()
    renewer.signet("cert", "renew", renewer.jid, "--key", "client 2")
    check_renewed(renewer, old)
    assert renewer.account()["renew_problem"] is None


@contextlib.contextmanager
def configured(world, old, new):
    """The authority has another configuration for a while."""
    before = world.authority_conf.read_text()
    assert old in before

    def restart(text):
        world.write("authority/authority.conf", text)
        world.authority.stop()
        world.start_authority()
    restart(before.replace(old, new))
    try:
        yield
    finally:
        restart(before)


def test_beside_more_than_a_list_holds(renewer):
    """What the list does not show may be valid all the same: it is not said to be revoked, and is renewed."""
    old = enrol(renewer, due=False)
    with configured(renewer.world, "per-account = 20", "per-account = 200"):
        with Client(renewer.world, renewer.name) as client:
            for _ in range(64):
                client.added(software_request(renewer), '"' * 1000)
        listed = renewer.signet("cert", "list", renewer.jid)["certificates"]
        assert len(listed) > 40 and old not in [c["certificate"]["sha256"] for c in listed]
        renewer.signet("cert", "renew", renewer.jid, *renewer.pin)
        assert renewer.account()["certificate"] != old and old in renewer.world.revoked()


def test_what_was_sent_is_not_forgotten_when_the_account_asks_too_often(renewer):
    """It may have been issued: the authority that says no for now is asked again."""
    old = enrol(renewer, due=False)
    conf = renewer.world.authority_conf
    before = conf.read_text()
    renewer.world.authority.stop()
    try:
        error_of(renewer, "cert", "renew", renewer.jid, *renewer.pin)
        assert renewer.job()["state"] == "add"
        renewer.world.write("authority/authority.conf", before.replace("minute = 6000", "minute = 1"))
    finally:
        renewer.world.start_authority()
    try:
        _, message = error_of(renewer, "cert", "renew", renewer.jid)
        assert "asks too often" in message
        assert renewer.job()["state"] == "add"
    finally:
        renewer.world.write("authority/authority.conf", before)
        renewer.world.authority.stop()
        renewer.world.start_authority()
    renewer.signet("cert", "renew", renewer.jid)
    check_renewed(renewer, old)


def test_what_was_sent_is_not_forgotten_for_a_wrong_password(renewer):
    """It says nothing of the certificate."""
    old = enrol(renewer, due=False)
    renewer.world.authority.stop()
    try:
        error_of(renewer, "cert", "renew", renewer.jid, *renewer.pin)
        assert renewer.job()["state"] == "add"
        wrong = renewer.world.write(f"agent-{renewer.name}/wrong", "wrong", 0o600)
        assert error_of(renewer, "cert", "renew", renewer.jid, "--password-file", wrong)[0] == "LoginRefused"
        assert renewer.job()["state"] == "add"
    finally:
        renewer.world.start_authority()
    renewer.signet("cert", "renew", renewer.jid)
    check_renewed(renewer, old)


def test_undone_by_hand(renewer):
    old = enrol(renewer)
    renewer.restart(pin_source=False)
    renewer.wait_waiting("PinNeeded")
    assert error_of(renewer, "cert", "renew", renewer.jid, "--rekey")[0] == "Busy"
    renewer.signet("enrol", renewer.jid, "--cancel")
    until(lambda: not renewer.account()["jobs"], renewer.agent.last())
    assert renewer.account()["certificate"] == old


def test_undone_by_hand_when_that_is_possible_again(renewer):
    """What was in the way of that is no reason that the renewal came to nothing."""
    old = enrol(renewer, due=False)
    renewer.world.authority.stop()
    try:
        error_of(renewer, "cert", "renew", renewer.jid, *renewer.pin)
        error_of(renewer, "enrol", renewer.jid, "--cancel")
        assert renewer.job()["state"] == "undo" and renewer.job()["waits_for"]
    finally:
        renewer.world.start_authority()
    renewer.signet("enrol", renewer.jid, "--cancel")
    assert renewer.account()["certificate"] == old and renewer.account()["renew_problem"] is None


def test_an_undoing_waits_until_the_old_one_has_expired(world):
    """There is nothing to go back to: the new one is not revoked, though the server still lists the old one."""
    agent = Agent(("one", "two"), conf="[agent]\nrenew = no\n")
    with Holder(world, f"renewer{next(NUMBERS)}", agent) as holder:
        with world.past():
            old = holder.enrol("client")["sha256"]
        _, new = not_signed_yet(holder, old)
        two = holder.lose("two")
        world.authority.stop()
        try:
            agent.error("CancelEnrolment", {"jid": holder.jid})
            assert holder.account()["jobs"][0]["state"] == "undo" and holder.account()["certificate"] == old
        finally:
            world.start_authority()
        assert agent.stop() == 0
        agent.start(env=world.shifted(agent.env, "signetd", 200))
        until(lambda: not holder.account()["jobs"], agent.lines)
        assert holder.account()["certificate"] == new and new not in world.revoked()
        holder.find(two)
        holder.call("Disconnect")
        assert holder.call("Connect")["account"]["mechanism"] == "EXTERNAL"


def test_a_clock_that_is_far_ahead(renewer):
    """What is due as soon as it was issued is not renewed again and again."""
    old = enrol(renewer, due=False)
    renewer.restart(days=-PAST)
    new = renewer.wait_renewed(old)
    until(lambda: renewer.agent.count(f"{new} is due to be renewed"), renewer.agent.last())
    renewer.signet("account", "connect", renewer.jid)
    assert renewer.account()["certificate"] == new and renewer.account()["jobs"] == []


def test_a_clock_that_is_behind(renewer):
    """What is refused for it is not left on the server, however often it is tried."""
    renewer.restart(renew="no", days=-30)
    renewer.signet("key", "new", "--token", renewer.name, "--label", "client", "--algorithm", "p256", *renewer.pin)
    error, message = error_of(renewer, "enrol", renewer.jid, "--key", "client", *renewer.password)
    assert error == "CertificateRefused" and message.endswith("it is not valid yet by the clock of this machine")
    assert renewer.signet("cert", "list", renewer.jid, *renewer.password)["certificates"] == []
    renewer.restart(renew="no")
    renewer.signet("enrol", renewer.jid, "--key", "client", *renewer.password)
    assert len(renewer.signet("cert", "list", renewer.jid)["certificates"]) == 1


def test_an_expired_one(renewer):
    """Nobody logs in with it any more: a person has to bring the password."""
    old = enrol(renewer)
    renewer.restart(days=200)
    until(lambda: renewer.agent.count("it has expired"), renewer.agent.last())
    assert renewer.job() is None
    assert "has expired" in renewer.world.signet(renewer.world.shifted(renewer.env, "signet", 200), "status")
    assert renewer.account()["certificate"] == old
