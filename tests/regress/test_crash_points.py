"""kill -9 of every process at every step of each job: signetd, signet-token, signet-xmpp, the server, the authority and
its token's worker. Afterwards what died is started again, and a person makes the same call once more; then the account
has exactly one certificate, its key is on the token, nothing is left over on server or token, a login by EXTERNAL works,
and nobody was asked for a PIN or password but where the only process that had it was killed."""
import itertools

import pytest

from crash_world import JULIET, CrashWorld, Place
from processes import WorldError, until
from world import SERVERS, is_sanitized

PLACES = [Place(*names) for names in (
    ("agent/signetd", None), ("agent/signet-token", None), ("agent/signet-xmpp", None), ("agent/signet-xmpp", "server"),
    ("authority/signet-authority", None), ("authority/signet-authority", "server"), ("authority/signet-token", None),
    ("authority/signet-token", "authority"))]
# Of a renewal the authority sees what it sees of a replacement; for a new key, the server what it sees for the same.
SEEN_BEFORE = {("renew", "prosody"): ("authority/signet-authority", "authority/signet-token"),
               ("renew", "ejabberd"): ("authority/signet-authority", "authority/signet-token", "agent/signet-xmpp")}
# Who is started anew knows no PIN.
PIN_GOES_WITH = ("agent/signetd", "agent/signet-token")


pytestmark = pytest.mark.skipif(is_sanitized(), reason="a sanitizer takes too long for it")


@pytest.fixture(scope="module", params=sorted(SERVERS))
def crash(request):
    with CrashWorld(request.param) as world:
        world.up()
        yield world


def enrol(world):
    """Without a certificate before, by password."""
    if world.account()["certificate"] is not None:
        if world.issued():
            revoked(world)
        world.must("account", "remove", JULIET, "--yes")
        world.add_account()
    assert world.on_token() == []
    return ("enrol", JULIET, "--key", "client"), world.secret("password")


def replace(world):
    """The account's certificate by one for its other key."""
    enrolled(world)
    label = "other" if "object=client" in world.account()["key"] else "client"
    return ("enrol", JULIET, "--key", label, "--replace"), ()


def revoke(world):
    enrolled(world)
    return ("cert", "revoke", JULIET, world.account()["certificate"], "--yes"), ()


def enrolled(world):
    """Sees to it that the account has a certificate."""
    if not world.has_certificate():
        args, secrets = enrol(world)
        world.must(*args, *secrets, *world.pin_if_locked())


def revoked(world):
    world.must("cert", "revoke", JULIET, "current", "--yes", *world.pin_if_locked())


def renew(world):
    """The account's certificate by another one, published and signed as the former one; on one of the servers for a new
    key."""
    enrolled(world)
    if world.account()["published"] is None:
        world.must("sign", JULIET, *world.pin_if_locked())
        world.must("publish", JULIET)
    world.keys_before = world.keys()
    return ("cert", "renew", JULIET), (("--rekey",) if world.kind == "ejabberd" else ())


def check_certificate(world, key=None):
    """What must be so whatever was killed, when the account is to have a certificate (of this key)."""
    world.must("account", "disconnect", JULIET)
    account = world.must("account", "connect", JULIET, *world.pin_if_locked())["account"]
    assert account["mechanism"] == "EXTERNAL", account
    until(lambda: world.account()["jobs"] == [], "a job does not go on by itself")
    assert world.issued() == [account["certificate"]]
    shown = world.must("key", "show", account["key"])
    assert account["certificate"] in [c["sha256"] for c in shown["certificates"]]
    assert world.on_token() == [shown["key"]["label"]]
    assert key in (None, shown["key"]["label"])


def check_none(world):
    """... when its certificate was revoked."""
    status, error = world.call("account", "connect", JULIET, *world.pin_if_locked())
    assert status != 0 and error["error"] == "LoginRefused", error
    until(lambda: world.account()["jobs"] == [], "a job does not go on by itself")
    assert world.issued(*world.secret("password")) == []
    assert world.on_token() == []
    world.must("account", "disconnect", JULIET)


def check_renewed(world):
    """The node has the user key's and the new certificate, and nothing else; no key was made in vain."""
    check_certificate(world)
    label = world.must("key", "show", world.account()["key"])["key"]["label"]
    names = {c["name"] for key in ("user", label) for c in world.must("key", "show", key)["certificates"]}
    assert {key["name"] for key in world.must("publish", JULIET, "--show")["keys"]} == names
    assert {*world.keys()} - {*world.keys_before} <= {label}


# Renewals come first: to enrol anew, the account is removed, and its user key with it.
JOBS = {"renew": (renew, check_renewed), "enrol": (enrol, check_certificate), "replace": (replace, check_certificate),
        "revoke": (revoke, check_none)}


def point(world, job, place, at):
    """Kills at this step, and has everything made good. Whether there is such a step."""
    prepare, check = JOBS[job]
    args, secrets = prepare(world)
    fired, done = world.cut_short(place, at, *args, *secrets, *world.pin_if_locked())
    had_certificate = job != "enrol" or world.is_issued()
    world.asked.update(pin=0, password=0)
    if not done:
        world.persist(*args)
    assert world.asked["pin"] <= (place.victim is None and place.role in PIN_GOES_WITH), world.asked
    assert world.asked["password"] <= (not had_certificate), world.asked
    check(world)
    return fired


def steps(world, place):
    """The numbers of the steps to kill at. The agent's are the same on both servers: on ejabberd, which takes long to start,
    it is one in three of them."""
    return itertools.count(1, 3 if world.kind == "ejabberd" and place.role.startswith("agent/") else 1)


def try_every(world, kind, places, job, record_property):
    """All steps of all places, one after the other; conftest.py prints how many there were."""
    tried = 0
    try:
        for place in (place for place in places if place.role not in SEEN_BEFORE.get((job, kind), ())):
            for at in steps(world, place):
                where = f"{place.victim or place.role} killed at step {at} of {place.role}"
                if not point(world, job, place, at):
                    break
                tried += 1
    except (AssertionError, WorldError) as why:
        record_property("crash points", (kind, tried + 1, 1))
        raise AssertionError(f"{kind}, {job}, {where}: {why}\n{world.server.process.last()}") from why
    record_property("crash points", (kind, tried, 0))


@pytest.mark.parametrize("job", JOBS)
def test_every_crash_point(crash, job, record_property):
    try_every(crash, crash.kind, PLACES, job, record_property)
