"""Certificates that are due are renewed: by the agent itself, by hand, and when what was in the way has gone."""
import base64
import contextlib
import hashlib
import itertools
import json
import os
import signal

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from peer import NS_PUBKEY, as_peer, fetch_items
from processes import until
from server_fixtures import Person
from world import BUILD, DOMAIN, PASSWORD, SERVERS, Failed, World

DAY = 86400
PAST = -250  # days: of the authority's 365, two thirds and some are over
NUMBERS = itertools.count(1)


class RenewalWorld(World):
    """A world whose authority can live in the past, where it issues what is due now."""

    def shifted(self, env, program, days):
        """An environment in which the program lives so many days from now."""
        library = self.install(BUILD / "lib/shifted-clock.so", "lib/shifted-clock.so", 0o755)
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

    def objects(self, kind):
        """How many objects of the kind are on the token, by pkcs11-tool."""
        text = self.world.run("pkcs11-tool", "--module", self.world.module, "--login", "--pin", self.world.pin,
                              "--list-objects", "--type", kind, env=self.env)
        return text.count("Object; ")


@pytest.fixture(scope="module", params=sorted(SERVERS))
def world(request):
    if os.environ.get("SANITIZER"):
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
