"""SHA-1 contained (K7): looked for collisions before it is signed, never alone, and off where a person wants that."""
import base64
import contextlib
import hashlib
import re
import subprocess
import threading
import time
from xml.etree import ElementTree

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding

from agent_fixture import Agent, start_fails
from certificates import cross_signatures
from cli_fixture import BY_RSA, CLIENT, ISSUER, SIGNED, SUBJECT, USER, keyinfo, signet, verdicts, verify
from key_node import Key, publish
from key_people import refused
from peer import NS_PUBKEY, fetch_items
from processes import until
from world import TOP, softhsm_module

pytest_plugins = ["server_fixtures"]

SHA1CDSUM = "/usr/bin/sha1cdsum"
VECTORS = TOP / "tests/unit/vectors"
JULIET = "juliet@example.org"
METHODS = {"rsa2048": {"RSA-SHA1", "RSA-SHA256"}, "p256": {"ECDSA-SHA256"}}

# The published collisions: two files of one SHA-1 each. Those of 2020 begin as OpenPGP keys of 8,192 and 6,144 bits.
COLLISIONS = {
    "shattered": ("f92d74e3874587aaf443d1db961d4e26dde13e9c",
                  "cac8644dba1a9aef70cc268f3794036a2be5b5107109ad742247858fd1a36990",
                  "842a2c7d2f85b25998d5e43fcced0ba3ca570ee0d36bedb23a815d79e614f646"),
    "shambles": ("8ac60ba76f1999a1ab70223f225aefdc78d4ddc0",
                 "3ead211681cec93d265c8ac123dd062e105408cebf82fa6e2b126f4f40bcb88c",
                 "208feafe1c6a95c73f662514ac48761f25e1f3b74922521a98d9ce287f4a2197"),
}


def pgp_key(number=None):
    """An OpenPGP public key of 8,192 bits or, as the second one, 6,144: with number it begins with that one of the
    colliding files, so what its fingerprint is made of carries the attack."""
    head = (VECTORS / f"shambles-{number or 1}.bin").read_bytes()
    if number is None:
        head = head[:-1] + bytes([head[-1] ^ 1])
    size = int.from_bytes(head[1:3], "big")
    modulus = head + b"\x55" * (3 + size - len(head) - 5)
    return modulus + b"\x00\x11\x01\x00\x01"


def fingerprint(key):
    return hashlib.sha1(key).hexdigest()


def script(folder, text, name="program"):
    """An executable in the place of sha1cdsum."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


class Juliet:
    """An agent with an account and its user key."""

    def __init__(self, agent, algorithm="rsa2048"):
        self.agent = agent
        agent.call("AddAccount", {"jid": JULIET})
        agent.unlock("one")
        self.user = self.new_user_key(algorithm)

    def new_user_key(self, algorithm="rsa2048"):
        made = self.agent.call("NewKey", {"token": "one", "label": f"user-{time.monotonic_ns()}", "algorithm": algorithm,
                                          "account": JULIET, "user": True})
        return made["certificate"]

    def add(self, key):
        self.agent.call("AddPgpKey", {"account": JULIET, "key": base64.b64encode(key).decode()})
        return fingerprint(key)

    def sign(self, subject):
        """method -> value, each verified as one by the user key; and the note."""
        reply = self.agent.call("Sign", {"account": JULIET, "subject": subject})
        made = {s["method"]: s for s in reply["key"]["signatures"]}
        assert all(s["verdict"] == "good" and s["issuer"] == self.user["name"] for s in made.values())
        check_over(reply["key"], self.user, bytes.fromhex(subject))
        return set(made), reply["note"]

    def own(self):
        return {k["name"]: k for k in self.agent.call("ListOwnKeys", {"account": JULIET})["keys"]}


def check_over(key, issuer, subject):
    """The signatures of a PublicKey are good ones over these bytes."""
    public = x509.load_der_x509_certificate(base64.b64decode(issuer["der"])).public_key()
    for element in ElementTree.fromstring(key["keyinfo"]).iter(f"{{{NS_PUBKEY}}}value"):
        method, value = element.get("method"), base64.b64decode(element.text)
        digest = hashes.SHA1() if method.endswith("-SHA1") else hashes.SHA256()
        public.verify(value, subject, *([ec.ECDSA(digest)] if method.startswith("EC") else [padding.PKCS1v15(), digest]))


@contextlib.contextmanager
def juliet(program=SHA1CDSUM, sha1="on", algorithm="rsa2048"):
    with Agent(conf=f"[agent]\nsha1 = {sha1}\nsha1cdsum = {program}\n") as agent:
        yield Juliet(agent, algorithm)


@pytest.mark.parametrize("name", COLLISIONS)
def test_k7_the_published_collisions_are_what_they_are(name):
    """... and the program that we ask finds them, where one bit is another it does not."""
    sha1, *sha256 = COLLISIONS[name]
    for number, expected in enumerate(sha256, 1):
        data = (VECTORS / f"{name}-{number}.bin").read_bytes()
        assert hashlib.sha1(data).hexdigest() == sha1 and hashlib.sha256(data).hexdigest() == expected
        for text, hit in ((data, True), (data + b"more", True), (data[:-1] + bytes([data[-1] ^ 1]), False)):
            said = subprocess.run([SHA1CDSUM], input=text, capture_output=True, check=True).stdout.decode()
            assert said == f"{said[:40]} *coll* -\n" if hit else said == f"{fingerprint(text)}  -\n"


# ---- OpenPGP keys: what is signed of one is a SHA-1 by any method


@pytest.mark.parametrize("sha1", ["on", "verify", "off"])
@pytest.mark.parametrize("algorithm", METHODS)
def test_k7_a_key_that_carries_a_collision_is_not_signed(algorithm, sha1):
    with juliet(sha1=sha1, algorithm=algorithm) as her:
        good = her.add(pgp_key())
        for number in 1, 2, 1:
            bad = her.add(pgp_key(number))
            refused = her.agent.error("Sign", {"account": JULIET, "subject": bad})
            assert refused.error == "org.signet.Agent.CollisionFound" and refused.parameters["subject"] == bad
            assert refused.parameters["message"] == f"the OpenPGP key {bad} carries a SHA-1 collision attack: it is not signed"
            assert "Nothing was signed" in refused.parameters["advice"]
            assert her.own()[bad]["signatures"] == []
        until(lambda: her.agent.count("SHA-1 collision attack: refused") == 3, "not three lines for the audit")
        assert all(JULIET in line and "python3" in line for line in her.agent.lines if "audit:" in line)
        assert her.sign(good) == (METHODS[algorithm] - ({"RSA-SHA1"} if sha1 != "on" else set()), None)


def test_k7_what_was_looked_at_costs_nothing_more(tmp_path):
    runs = tmp_path / "runs"
    program = script(tmp_path, f"echo >> {runs}\nexec {SHA1CDSUM}")
    with juliet(program) as her:
        first, second = her.add(pgp_key()), her.add(pgp_key()[:-20] + b"\x33" * 15 + pgp_key()[-5:])
        for _ in range(20):
            assert her.sign(first) == (METHODS["rsa2048"], None)
        assert runs.read_text() == "\n"
        assert her.sign(second) == (METHODS["rsa2048"], None)
        bad = her.add(pgp_key(1))
        for _ in range(5):
            assert her.agent.error("Sign", {"account": JULIET, "subject": bad}).error.endswith("CollisionFound")
        assert her.sign(first) == (METHODS["rsa2048"], None)
        assert runs.read_text() == "\n\n\n"


def test_k7_a_friends_certificate_is_foreign(tmp_path):
    runs = tmp_path / "runs"
    with juliet(script(tmp_path, f"echo >> {runs}\nexec {SHA1CDSUM}")) as her:
        friend = Key("romeo@example.org")
        her.agent.call("ImportKeyring", {"keyinfos": friend.keyinfo()})
        her.agent.call("TrustKey", {"jid": "romeo@example.org", "fingerprint": friend.sha256})
        for _ in range(5):
            reply = her.agent.call("Sign", {"account": JULIET, "subject": friend.name})
            assert set(cross_signatures(reply["key"], her.user)) == METHODS["rsa2048"] and reply["note"] is None
        assert runs.read_text() == "\n"
        script(tmp_path, f"exec {SHA1CDSUM} < {VECTORS}/shattered-1.bin")
        other = Key("romeo@example.org")
        her.agent.call("ImportKeyring", {"keyinfos": other.keyinfo()})
        her.agent.call("TrustKey", {"jid": "romeo@example.org", "fingerprint": other.sha256})
        refused = her.agent.error("Sign", {"account": JULIET, "subject": other.name})
        assert refused.error == "org.signet.Agent.CollisionFound" and refused.parameters["subject"] == other.name


def test_k7_what_the_agent_made_itself_is_not_foreign():
    """The certificate of an earlier user key."""
    with juliet("/nonexistent/sha1cdsum") as her:
        earlier, her.user = her.user, her.new_user_key()
        reply = her.agent.call("Sign", {"account": JULIET, "subject": earlier["name"]})
        assert set(cross_signatures(reply["key"], her.user)) == METHODS["rsa2048"] and reply["note"] is None


# ---- doubt


DOUBTS = {
    "missing": (None, "cannot be run: No such file or directory"),
    "nonsense": ("echo it is fine", "does not answer as sha1cdsum does"),
    "silent": ("exit 0", "does not answer as sha1cdsum does"),
    "other bytes": (f"echo other | {SHA1CDSUM}", "does not answer as sha1cdsum does"),
    "too much": ("head -c 1000 /dev/zero", "does not answer as sha1cdsum does"),
    "killed": (f"{SHA1CDSUM}; kill -KILL $$", "was ended by signal 9"),
    "failing": (f"{SHA1CDSUM}; exit 3", "failed with status 3"),
    "no program": ("exec /nonexistent", "failed with status 127"),
}


@pytest.mark.parametrize("kind", DOUBTS)
def test_k7_in_doubt_only_the_stronger_signature_is_made(tmp_path, kind):
    text, why = DOUBTS[kind]
    program = tmp_path / "program" if text is None else script(tmp_path, text)
    with juliet(program) as her:
        subject = her.add(pgp_key())
        for _ in range(2):
            methods, note = her.sign(subject)
            assert methods == {"RSA-SHA256"} and re.search(why, note) and str(program) in note, note
            assert note.startswith("No RSA-SHA1 signature was made") and "Install the package sha1cdsum" in note
        assert set(s["method"] for s in her.own()[subject]["signatures"]) == {"RSA-SHA256"}
        assert her.agent.count("was not looked at for SHA-1 collisions") == 2
        script(tmp_path, f"exec {SHA1CDSUM}")  # no doubt is remembered
        assert her.sign(subject) == (METHODS["rsa2048"], None)


@pytest.mark.parametrize("sha1, algorithm", [("on", "p256"), ("verify", "rsa2048")])
def test_k7_in_doubt_a_key_is_signed_with_a_note(sha1, algorithm):
    """No RSA-SHA1 would be made, but the fingerprint that is signed is a SHA-1 all the same."""
    with juliet("/nonexistent/sha1cdsum", sha1, algorithm) as her:
        methods, note = her.sign(her.add(pgp_key()))
        assert methods == METHODS[algorithm] - {"RSA-SHA1"}
        assert note.startswith("It could not be found out") and "/nonexistent/sha1cdsum cannot be run" in note


def test_k7_one_that_hangs_holds_nobody_up(tmp_path):
    program = script(tmp_path, f"echo $$ > {tmp_path}/pid\nexec sleep 600")
    with juliet(program) as her:
        subject, took = her.add(pgp_key()), []

        def sign():
            began = time.monotonic()
            took.append((her.sign(subject), time.monotonic() - began))
        callers = [threading.Thread(target=sign) for _ in range(3)]
        for caller in callers:
            caller.start()
        until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip(), "it never ran")
        her.agent.call("Status")
        her.own()
        assert not took
        for caller in callers:
            caller.join()
        assert len(took) == 3
        for (methods, note), _ in took:
            assert methods == {"RSA-SHA256"} and "gave no answer within 5 s" in note
        assert max(seconds for _, seconds in took) > 4  # who came later shares the end of the first one's
        pid = (tmp_path / "pid").read_text().strip()
        until(lambda: subprocess.run(["kill", "-0", pid], capture_output=True, check=False).returncode, "it still runs")


def test_k7_the_agent_ends_while_one_hangs(tmp_path):
    program = script(tmp_path, f"echo $$ > {tmp_path}/pid\nexec sleep 600")
    with juliet(program) as her, her.agent.client() as client:
        client.send("Sign", {"account": JULIET, "subject": her.add(pgp_key())})
        until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip(), "it never ran")
        assert her.agent.stop() == 0
        assert her.agent.count("signetd ends") == 1 and her.agent.count("gave no answer within") == 0
        pid = (tmp_path / "pid").read_text().strip()
        assert subprocess.run(["kill", "-0", pid], capture_output=True, check=False).returncode


# ---- certificates that an authority has issued


def set_agent(person, **settings):
    """Starts the person's agent anew with these settings in [agent]."""
    person.stop()
    text = "".join(f"{name} = {value}\n" for name, value in settings.items())
    folder = f"agent-{person.name}/config/signet"
    conf = f"[module softhsm]\npath = {softhsm_module()}\n[agent]\n{text}" \
           f"[token {person.name}]\npin-source = file:{person.world.dir}/pin\n"
    person.world.write(f"{folder}/signet.conf", conf, 0o600)
    person.start()


@pytest.fixture
def couple(served, people):
    """Somebody with a user key and a certificate of the authority, and a friend; the user certificate."""
    owner, friend = people(2, friends=[(0, 1)], tokens=[0])
    pin = ("--pin-file", served.dir / "pin")
    made = [owner.signet("key", "new", "--token", owner.name, "--label", label, *more, *pin)
            for label, more in (("client", ()), ("user", ("--user", "--account", owner.jid)))]
    owner.signet("enrol", owner.jid, "--key", made[0]["key"]["uri"], *owner.password)
    friend.start()
    return owner, friend, made[1]["certificate"]


def fetched(friend, owner):
    """method -> verdict and grade of the owner's client key."""
    keys = friend.signet("keyring", "fetch", owner.jid, *friend.password)["keys"]
    key = next(k for k in keys if k["signatures"])
    return {s["method"]: s["verdict"] for s in key["signatures"]}, key["grade"]


def on_node(served, friend, owner, name):
    """The methods of the signatures on a key on the owner's node, as another client sees it."""
    element = fetch_items(served, friend.name, owner.jid)[name]
    return {value.get("method") for value in element.iter(f"{{{NS_PUBKEY}}}value")}


def test_k7_on_verify_and_off_through_publish_and_fetch(served, couple):
    owner, friend, user = couple
    good = {"RSA-SHA1": "good", "RSA-SHA256": "good"}
    key = owner.signet("sign", owner.jid)
    assert key["note"] is None and set(cross_signatures(key["key"], user)) == set(good)
    owner.signet("publish", owner.jid)
    name = key["key"]["name"]
    assert on_node(served, friend, owner, name) == set(good)
    assert fetched(friend, owner) == (good, "sha256")
    for sha1 in "off", "verify", "on":  # what the friend does with it
        set_agent(friend, sha1=sha1)
        seen = dict(good, **{"RSA-SHA1": "refused"}) if sha1 == "off" else good
        assert fetched(friend, owner) == (seen, "sha256"), sha1
    for sha1 in "verify", "off":  # what was made is shown no more, and none is made
        set_agent(owner, sha1=sha1)
        for _ in range(2):
            made = owner.signet("sign", owner.jid)
            assert set(cross_signatures(made["key"], user)) == {"RSA-SHA256"} and made["note"] is None
        owner.signet("publish", owner.jid)
        assert on_node(served, friend, owner, name) == {"RSA-SHA256"}
        assert fetched(friend, owner) == ({"RSA-SHA256": "good"}, "sha256")
    set_agent(owner, sha1="on")  # it was kept
    owner.signet("publish", owner.jid, *owner.password)
    assert on_node(served, friend, owner, name) == set(good)


def test_k7_an_issued_certificate_is_foreign(served, couple):
    """No certificate begins as a colliding file: what the program says of one takes its place."""
    owner, _, user = couple
    folder = served.mkdir(f"sha1-{owner.name}")
    for name in "shattered-1", "shattered-2":
        data = (VECTORS / f"{name}.bin").read_bytes()
        path = served.write(f"{folder.name}/{name}", "")
        path.write_bytes(data)
        program = served.write(f"{folder.name}/{name}.sh", f"#!/bin/sh\nexec {SHA1CDSUM} < {path}\n", 0o755)
        set_agent(owner, sha1cdsum=program)
        for _ in range(2):
            error, about = refused(owner, "sign", owner.jid)
            assert error == "CollisionFound" and "the certificate" in about["message"]
        until(lambda: owner.agent.count("SHA-1 collision attack: refused") == 2, "no lines for the audit")
        assert owner.signet("publish", owner.jid)["keys"][1]["signatures"] == []
    set_agent(owner, sha1cdsum="/nonexistent/sha1cdsum")
    made = owner.signet("sign", owner.jid)
    assert set(cross_signatures(made["key"], user)) == {"RSA-SHA256"}
    assert "/nonexistent/sha1cdsum cannot be run" in made["note"]
    said = served.signet(owner.env, "sign", owner.jid)
    assert "No RSA-SHA1 signature was made" in " ".join(said.split())


def test_k7_a_key_with_sha1_alone_counts_for_nothing_when_that_is_off(served, people):
    owner, friend = people(2, friends=[(0, 1)])
    user, client = Key(owner.jid, "rsa2048"), Key(owner.jid)
    publish(served, owner.name, user, user.sign(client, "RSA-SHA1"))
    friend.start()
    assert fetched(friend, owner) == ({"RSA-SHA1": "good"}, "sha1")
    friend.signet("keyring", "trust", owner.jid, user.sha256)
    why = friend.signet("keyring", "show", client.name, "--why")["path"]
    assert why["verdict"] == "friend" and why["grade"] == "sha1"
    set_agent(friend, sha1="off")
    assert fetched(friend, owner) == ({"RSA-SHA1": "refused"}, "none")
    shown = friend.signet("keyring", "show", client.name, "--why")
    assert shown["grade"] == "none" and shown["signatures"][0]["verdict"] == "refused"
    assert shown["signatures"][0]["reason"] == "SHA-1 does not count here (sha1 = off)"
    assert shown["path"]["verdict"] == "broken" and shown["path"]["steps"][-1]["breaks"] == "signature_refused"


# ---- offline, and the doctor


def test_k7_signet_verify_has_the_switch(tmp_path):
    text = f"<x>{keyinfo(SUBJECT, SIGNED)}{keyinfo(ISSUER)}</x>"
    at = ("--at", "2008-06-01")
    for args in (), ("--sha1", "on"), ("--sha1", "verify"):
        status, reply = verify(tmp_path, text, *at, *args)
        assert status == 0 and verdicts(reply) == [["good"], []] and reply["sha1_only"]
        assert reply["keys"][0]["grade"] == "sha1"
    status, reply = verify(tmp_path, text, *at, "--sha1", "off")
    assert status == 7 and verdicts(reply) == [["refused"], []]
    assert reply["parameters"]["message"] == "no signature counts: SHA-1 does not count here (sha1 = off)"
    status, reply = verify(tmp_path, f"<x>{keyinfo(CLIENT, BY_RSA)}{keyinfo(USER)}</x>", "--sha1", "off")
    assert status == 0 and verdicts(reply) == [["good"], []] and not reply["sha1_only"]
    for bad in "never", "", "ON":
        done = signet("verify", tmp_path / "keyinfo.xml", "--sha1", bad)
        assert done.returncode == 2 and "says nothing about SHA-1" in done.stderr


def test_k7_the_path_breaks_at_sha1_that_is_off(tmp_path):
    user, client = Key(JULIET, "rsa2048"), Key(JULIET)
    text = user.sign(client, "RSA-SHA1").keyinfo()
    issuer = tmp_path / "issuer.der"
    issuer.write_bytes(user.der)
    for sha1, verdict, breaks in (("on", "friend", None), ("verify", "friend", None),
                                  ("off", "broken", "signature_refused")):
        _, reply = verify(tmp_path, text, "--issuer", issuer, "--why", "--sha1", sha1)
        path = reply["keys"][0]["path"]
        assert (path["verdict"], path["steps"][-1]["breaks"]) == (verdict, breaks)


@pytest.mark.parametrize("value", ["no", "", "yes", "ON"])
def test_k7_the_switch_has_three_words(value):
    agent = Agent(conf=f"[agent]\nsha1 = {value}\n", softhsm=False)
    with contextlib.closing(agent):
        assert "sha1" in start_fails(agent)[1]


def test_k7_the_doctor_says_that_sha1cdsum_is_missing():
    for sha1, program, expected in (("on", "/nonexistent", 1), ("on", SHA1CDSUM, 0), ("verify", "/nonexistent", 0),
                                    ("off", "/nonexistent", 0)):
        with Agent(conf=f"[agent]\nsha1 = {sha1}\nsha1cdsum = {program}\n") as agent:
            found = [f for f in agent.call("Doctor")["findings"] if f["subject"] == "sha1cdsum"]
            assert len(found) == expected
            if found:
                assert found[0]["level"] == "note" and "/nonexistent" in found[0]["message"]
                assert "Install the package sha1cdsum" in found[0]["advice"]
