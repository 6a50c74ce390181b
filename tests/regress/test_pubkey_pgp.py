"""OpenPGP keys beside X.509 ones: gpg judges what we make and makes what we judge, on every server."""
import base64
import contextlib
import hashlib
import json
import os
import signal
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding

from gpg import PASSPHRASE, Gpg
from mainjob import MainJob, enrol, keys
from peer import NS_PUBKEY, as_peer, fetch_items
from processes import suspend, until
from world import DOMAIN, SERVERS, World

NS_PUBSUB = "http://jabber.org/protocol/pubsub"

# The kind of the user key, so that both are seen.
ALGORITHMS = {"prosody": "rsa2048", "ejabberd": "p256"}
METHODS = {"rsa2048": ("RSA-SHA1", "RSA-SHA256"), "p256": ("ECDSA-SHA256",)}

# A call of the API as the agent's user: it talks to nobody else.
CALL = """
import socket, sys
sock = socket.socket(socket.AF_UNIX)
sock.connect(sys.argv[1])
sock.sendall(open(sys.argv[2], "rb").read() + bytes(1))
data = b""
while not data.endswith(bytes(1)):
    data += sock.recv(65536)
sys.stdout.buffer.write(data[:-1])
"""


class Refused(Exception):
    """An error of the agent: its short name, its message."""


class Juliet:
    """An account that has been enrolled, a gpg, and two OpenPGP keys of the account."""

    def __init__(self, job, gpg):
        self.job, self.gpg, self.jid = job, gpg, job.juliet
        self.env = gpg.env(job.juliet_env)
        self.key = gpg.make_key(f"xmpp:{self.jid}", "ed25519", "ed25519")
        self.rsa = gpg.make_key("Juliet <juliet@example.org>", "rsa2048")
        for fingerprint, options in (self.key, []), (self.rsa, ["--armor"]):
            self.add(gpg.export(fingerprint, *options))
        self.certificate = base64.b64decode(job.certificate["der"])
        self.certificate_name = hashlib.sha1(self.certificate).hexdigest()

    def signet(self, *args, **kwargs):
        return json.loads(self.job.world.signet(self.env, "--json", *args, **kwargs))

    def fails(self, *args):
        """(status, error's name, message) of a command that must fail."""
        status, out, err = self.job.world.signet(self.env, "--json", *args, check=False)
        assert status != 0 and err == "", err
        reply = json.loads(out)
        return status, reply["error"], reply["parameters"]["message"]

    def add(self, data):
        return self.signet("key", "pgp", "add", self.gpg.put("key", data), "--account", self.jid)["key"]

    def own(self):
        """name -> PublicKey."""
        return {key["name"]: key for key in self.call("ListOwnKeys", account=self.jid)["keys"]}

    def call(self, method, **parameters):
        call = json.dumps({"method": f"org.signet.Agent.{method}", "parameters": parameters}).encode()
        reply = json.loads(self.job.world.run("/usr/bin/python3", "-c", CALL, self.env["SIGNET_SOCK"],
                                              self.gpg.put("call", call)))
        if "error" in reply:
            raise Refused(reply["error"].rpartition(".")[2], reply["parameters"]["message"])
        return reply["parameters"]

    def add_signature(self, issuer, value, **more):
        return self.call("AddSignature", account=self.jid, issuer=issuer, value=base64.b64encode(value).decode(), **more)

    def refused(self, issuer, value, **more):
        """The error's name and message of a signature that must not be kept; nothing changes by it."""
        before = self.own()
        with pytest.raises(Refused) as caught:
            self.add_signature(issuer, value, **more)
        assert self.own() == before
        return caught.value.args


@pytest.fixture(scope="module", params=sorted(SERVERS))
def juliet(request):
    with World(server=request.param) as world, Gpg(world) as gpg:
        world.up()
        job = MainJob(world, ALGORITHMS[request.param])
        job.start()
        assert judges(world) == []  # nobody pays for librnp who has no OpenPGP key
        job.start_romeo()
        keys(job)
        enrol(job)
        yield Juliet(job, gpg)


def flipped(data, at=-1):
    """The bytes with one bit turned."""
    changed = bytearray(data)
    changed[at] ^= 1
    return bytes(changed)


def judges(world):
    """The processes of signet-pgp in this world."""
    found = []
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if folder.name.isdigit() and os.readlink(folder / "exe").startswith(f"{world.dir}/bin/signet-pgp"):
                found.append(int(folder.name))
    return found


def parts(key):
    """(method or None, issuer, value) of each signature of a PublicKey or keyinfo element."""
    element = ET.fromstring(key["keyinfo"]) if isinstance(key, dict) else key
    return [(s.find(f"{{{NS_PUBKEY}}}value").get("method"), s.find(f"{{{NS_PUBKEY}}}issuer").text,
             base64.b64decode(s.find(f"{{{NS_PUBKEY}}}value").text)) for s in element.iter(f"{{{NS_PUBKEY}}}signature")]


def test_an_openpgp_key_is_shown_as_gpg_has_it(juliet):
    own = juliet.own()
    assert own[juliet.key]["kind"] == own[juliet.rsa]["kind"] == "pgp"
    assert own[juliet.key]["user_ids"] == [f"xmpp:{juliet.jid}"] and own[juliet.key]["jids"] == [juliet.jid]
    assert own[juliet.rsa]["user_ids"] == ["Juliet <juliet@example.org>"] and own[juliet.rsa]["jids"] == []
    listed = juliet.signet("key", "pgp", "list", "--account", juliet.jid)["keys"]
    assert {key["name"] for key in listed} == {juliet.key, juliet.rsa}
    assert len(own) == 4


def test_gpg_may_be_piped_into_it(juliet):
    """As README has it, the fingerprint as gpg writes it."""
    fingerprint = juliet.gpg.make_key("piped")
    juliet.job.world.run("sh", "-c", f"gpg --export {fingerprint.upper()} | signet key pgp add - --account {juliet.jid}",
                         env=juliet.env)
    assert juliet.own()[fingerprint]["user_ids"] == ["piped"]
    juliet.signet("key", "pgp", "remove", fingerprint.upper(), "--account", juliet.jid)


def test_k4_the_token_signs_the_fingerprint(juliet):
    key = juliet.signet("sign", juliet.jid, juliet.key)["key"]
    assert key["name"] == juliet.key and key["grade"] == "sha256" and key["kind"] == "pgp"
    user = juliet.job.user_certificate
    public = x509.load_der_x509_certificate(base64.b64decode(user["der"])).public_key()
    made = {method: value for method, issuer, value in parts(key) if issuer == user["name"]}
    assert tuple(sorted(made)) == METHODS[juliet.job.algorithm]
    for method, value in made.items():
        hash_algorithm = hashes.SHA1() if method.endswith("SHA1") else hashes.SHA256()
        how = [padding.PKCS1v15(), hash_algorithm] if method.startswith("RSA") else [ec.ECDSA(hash_algorithm)]
        public.verify(value, bytes.fromhex(juliet.key), *how)
    again = juliet.signet("sign", juliet.jid, juliet.key.upper())["key"]
    assert [s[:2] for s in parts(again)] == [s[:2] for s in parts(key)]


@pytest.mark.parametrize("which", ["key", "rsa"])
def test_k6_gpg_signs_the_certificate_and_gpg_verifies_it(juliet, which):
    fingerprint = getattr(juliet, which)
    key = juliet.signet("sign", juliet.jid, "--pgp", fingerprint)["key"]
    assert key["name"] == juliet.certificate_name and key["grade"] == "sha256"
    value = next(value for method, issuer, value in parts(key) if issuer == fingerprint)
    assert [s for s in key["signatures"] if s["issuer"] == fingerprint] == [
        {"issuer": fingerprint, "issuer_jid": None, "method": None, "verdict": "good", "reason": None}]
    with Gpg(juliet.job.world) as other:
        assert other.learn(juliet.gpg.export(fingerprint)) == fingerprint
        assert other.verify(value, juliet.certificate) == fingerprint
        assert other.verify(value, flipped(juliet.certificate)) is None


def test_k6_an_openpgp_key_signs_another(juliet):
    key = juliet.signet("sign", juliet.jid, juliet.rsa, "--pgp", juliet.key)["key"]
    assert key["name"] == juliet.rsa and key["grade"] == "sha256"
    value = next(value for _, issuer, value in parts(key) if issuer == juliet.key)
    assert juliet.gpg.verify(value, bytes.fromhex(juliet.rsa)) == juliet.key


def test_a_signature_of_gpg_is_taken_binary_and_armoured(juliet):
    for options in [], ["--armor"]:
        value = juliet.gpg.sign(juliet.rsa, juliet.certificate, *options)
        key = juliet.add_signature(juliet.rsa, value)["key"]
        assert key["name"] == juliet.certificate_name
        assert sum(issuer == juliet.rsa for _, issuer, _ in parts(key)) == 1


def test_what_does_not_verify_is_not_kept(juliet):
    good = juliet.gpg.sign(juliet.rsa, juliet.certificate)
    name, message = juliet.refused(juliet.rsa, juliet.gpg.sign(juliet.rsa, b"something else"))
    assert name == "KeyinfoRefused" and f"not one of {juliet.rsa} over {juliet.certificate_name}" in message
    assert juliet.refused(juliet.key, good)[0] == "KeyinfoRefused"
    assert juliet.refused(juliet.rsa, good, subject=juliet.key)[0] == "KeyinfoRefused"
    assert juliet.refused(juliet.rsa, good, subject=juliet.rsa)[0] == "ArgumentWrong"
    assert juliet.refused(juliet.rsa, flipped(good, -9))[0] == "KeyinfoRefused"
    for value in b"", b"signet", good[:-1], good + good, juliet.gpg.export(juliet.rsa):
        assert juliet.refused(juliet.rsa, value)[0] in ("KeyinfoRefused", "ArgumentWrong")


def test_sha1_and_text_mode_are_refused_and_it_says_why(juliet):
    name, message = juliet.refused(juliet.rsa, juliet.gpg.sign(juliet.rsa, juliet.certificate, "--digest-algo", "SHA1"))
    assert name == "KeyinfoRefused" and "librnp takes no OpenPGP signature with SHA-1" in message
    name, message = juliet.refused(juliet.rsa, juliet.gpg.sign(juliet.rsa, juliet.certificate, "--textmode"))
    assert name == "KeyinfoRefused" and "something else than a binary document" in message


def test_a_key_that_is_not_the_accounts_signs_nothing(juliet):
    other = juliet.gpg.make_key("Mallory")
    name, message = juliet.refused(other, juliet.gpg.sign(other, juliet.certificate))
    assert name == "KeyAbsent" and other in message
    assert juliet.fails("sign", juliet.jid, "--pgp", other)[:2] == (3, "KeyAbsent")
    # it cannot be passed off as one that is
    assert juliet.refused(juliet.rsa, juliet.gpg.sign(other, juliet.certificate))[0] == "KeyinfoRefused"
    # a certificate of the account is no OpenPGP key
    assert juliet.refused(juliet.certificate_name, juliet.gpg.sign(juliet.rsa, juliet.certificate))[0] == "KeyAbsent"


def test_a_key_that_gpg_has_not_is_said(juliet):
    with Gpg(juliet.job.world) as other:
        fingerprint = other.make_key("elsewhere")
        juliet.add(other.export(fingerprint))
        status, name, message = juliet.fails("sign", juliet.jid, "--pgp", fingerprint)
        assert (status, name) == (3, "KeyAbsent") and "gpg has no secret key" in message
    juliet.signet("key", "pgp", "remove", fingerprint, "--account", juliet.jid)


def test_in_batch_nobody_is_asked_for_a_passphrase(juliet):
    fingerprint = juliet.gpg.make_key("locked", passphrase=PASSPHRASE)
    juliet.add(juliet.gpg.export(fingerprint))
    juliet.job.world.run("gpgconf", "--kill", "gpg-agent", env=juliet.gpg.env())
    status, name, message = juliet.fails("sign", juliet.jid, "--pgp", fingerprint)
    assert (status, name) == (4, "PinNeeded") and "may not ask" in message
    juliet.signet("key", "pgp", "remove", fingerprint, "--account", juliet.jid)


def test_no_secret_key_is_taken(juliet):
    before = juliet.own()
    for options in [], ["--armor"]:
        secret = juliet.gpg.export_secret(juliet.key, *options)
        path = juliet.gpg.put("secret", secret)
        status, name, message = juliet.fails("key", "pgp", "add", path, "--account", juliet.jid)
        assert (status, name) == (2, "ArgumentWrong") and "SECRET key" in message
        with pytest.raises(Refused, match="SECRET key"):
            juliet.call("AddPgpKey", account=juliet.jid, key=base64.b64encode(secret).decode())
    assert juliet.own() == before


def test_what_is_no_key_is_refused(juliet):
    two = juliet.gpg.export(juliet.key) + juliet.gpg.export(juliet.rsa)
    for data in b"signet", juliet.gpg.export(juliet.key)[:-1], two, b"\x99" * 300, b"":
        status, name, _ = juliet.fails("key", "pgp", "add", juliet.gpg.put("key", data), "--account", juliet.jid)
        assert (status, name) == (7, "KeyinfoRefused")
    for text in "", "*", "c2lnbmV0":
        with pytest.raises(Refused):
            juliet.call("AddPgpKey", account=juliet.jid, key=text)
    with pytest.raises(Refused, match="LimitExceeded"):
        juliet.call("AddPgpKey", account=juliet.jid, key=base64.b64encode(bytes(513 << 10)).decode())


def test_a_key_that_is_removed_takes_its_signatures_along(juliet):
    fingerprint = juliet.gpg.make_key("for a while")
    juliet.add(juliet.gpg.export(fingerprint))
    juliet.signet("sign", juliet.jid, "--pgp", fingerprint)
    juliet.signet("sign", juliet.jid, fingerprint)
    assert any(issuer == fingerprint for _, issuer, _ in parts(juliet.own()[juliet.certificate_name]))
    juliet.signet("key", "pgp", "remove", fingerprint, "--account", juliet.jid)
    own = juliet.own()
    assert fingerprint not in own
    assert all(issuer != fingerprint for key in own.values() for _, issuer, _ in parts(key))
    assert juliet.fails("key", "pgp", "remove", fingerprint, "--account", juliet.jid)[:2] == (3, "KeyAbsent")
    assert not parts(juliet.add(juliet.gpg.export(fingerprint)))
    juliet.signet("key", "pgp", "remove", fingerprint, "--account", juliet.jid)


def test_a_revoked_key_signs_no_more(juliet):
    fingerprint = juliet.gpg.make_key("to be revoked")
    juliet.add(juliet.gpg.export(fingerprint))
    juliet.signet("sign", juliet.jid, "--pgp", fingerprint)
    path = Path(juliet.gpg.home) / f"openpgp-revocs.d/{fingerprint.upper()}.rev"
    juliet.gpg("--import", juliet.gpg.put("revoke", path.read_bytes().replace(b":-----BEGIN", b"-----BEGIN")))
    assert juliet.add(juliet.gpg.export(fingerprint))["revoked"]
    certificate = juliet.own()[juliet.certificate_name]
    verdict = next(s for s in certificate["signatures"] if s["issuer"] == fingerprint)
    assert verdict["verdict"] == "refused" and "revoked" in verdict["reason"]
    juliet.signet("key", "pgp", "remove", fingerprint, "--account", juliet.jid)


def test_k9_a_key_too_long_for_a_server_is_named_and_nothing_is_published(juliet):
    """Instead of the end of the stream: each server takes so many bytes of a stanza."""
    fingerprint = juliet.gpg.make_key("with a picture")
    picture = b"\x01" * (180 << 10)
    juliet.add(juliet.gpg.export(fingerprint) + b"\xd1\xff" + len(picture).to_bytes(4) + picture)
    before = juliet.signet("account", "connect", juliet.jid)["account"]
    status, name, message = juliet.fails("publish", juliet.jid)
    assert (status, name) == (7, "LimitExceeded") and fingerprint in message and "nothing was published" in message
    shown = juliet.signet("publish", juliet.jid, "--show")
    assert not shown["node"]["exists"] and shown["keys"] == []
    assert juliet.signet("account", "show", juliet.jid)["account"]["bound_jid"] == before["bound_jid"]
    juliet.signet("key", "pgp", "remove", fingerprint, "--account", juliet.jid)


# ---- published and fetched


@pytest.fixture(scope="module")
def published(juliet):
    """What romeo, another client, gets from juliet's node."""
    juliet.signet("sign", juliet.jid)
    juliet.signet("sign", juliet.jid, juliet.key)
    juliet.signet("sign", juliet.jid, "--pgp", juliet.key)
    juliet.signet("publish", juliet.jid, "--access", "open")
    return fetch_items(juliet.job.world, "romeo", juliet.jid)


def test_openpgp_keys_are_published_as_the_document_has_them(juliet, published):
    assert {juliet.key, juliet.rsa, juliet.certificate_name, juliet.job.user_certificate["name"]} == set(published)
    for fingerprint in juliet.key, juliet.rsa:
        element = published[fingerprint]
        assert element.find(f"{{{NS_PUBKEY}}}name").text == fingerprint
        assert element.find(f"{{{NS_PUBKEY}}}x509cert") is None
        data = base64.b64decode(element.find(f"{{{NS_PUBKEY}}}pgpdata").text)
        assert data == juliet.gpg.export(fingerprint)
        with Gpg(juliet.job.world) as other:
            assert other.learn(data) == fingerprint


def test_both_directions_verify_for_who_fetches(juliet, published):
    job = juliet.job
    fetched = job.signet(job.romeo_env, "keyring", "fetch", juliet.jid, "--password-file",
                         job.world.dir / "password")["keys"]
    key = next(k for k in fetched if k["name"] == juliet.key)
    assert key["grade"] == "sha256" and key["jids"] == [juliet.jid]
    assert {(s["method"], s["issuer"], s["verdict"]) for s in key["signatures"]} == {
        (method, job.user_certificate["name"], "good") for method in METHODS[job.algorithm]}
    certificate = next(k for k in fetched if k["name"] == juliet.certificate_name)
    assert (None, juliet.key, "good") in {(s["method"], s["issuer"], s["verdict"]) for s in certificate["signatures"]}


def test_both_directions_verify_offline(juliet, published):
    world, gpg = juliet.job.world, juliet.gpg
    user = gpg.put("user.der", base64.b64decode(juliet.job.user_certificate["der"]))
    pgp = gpg.put("pgp.asc", gpg.export(juliet.key, "--armor"))
    for name, issuer in (juliet.key, user), (juliet.certificate_name, pgp):
        path = gpg.put("keyinfo.xml", ET.tostring(published[name]))
        reply = json.loads(world.run("signet", "--json", "verify", path, "--issuer", issuer))
        assert [key["grade"] for key in reply["keys"]] == ["sha256"]
        assert not reply["issuer_from_file"]
        shown = world.run("signet", "verify", path, "--issuer", issuer)
        assert "signature:    good; " in shown
    # the OpenPGP key alone is no issuer of what the user key alone has signed
    path = gpg.put("keyinfo.xml", ET.tostring(published[juliet.key]))
    assert world.run("signet", "verify", path, "--issuer", pgp, check=False)[0] == 7
    # one bit of the certificate, or of the signature
    text = ET.tostring(published[juliet.certificate_name]).decode()
    value = next(value for _, issuer, value in parts(published[juliet.certificate_name]) if issuer == juliet.key)
    bad = base64.b64encode(flipped(value, -5)).decode()
    path = gpg.put("keyinfo.xml", text.replace(base64.b64encode(value).decode(), bad).encode())
    assert world.run("signet", "verify", path, "--issuer", pgp, check=False)[0] == 7


def keyinfo(name, data):
    return f"<keyinfo xmlns='{NS_PUBKEY}'><name>{name}</name><pgpdata>{base64.b64encode(data).decode()}</pgpdata></keyinfo>"


def test_k2_openpgp_keys_of_others_must_have_their_name(juliet):
    """Romeo publishes one good key, and what is none: only the good one is kept and judged."""
    job, gpg = juliet.job, juliet.gpg
    good = gpg.make_key(f"xmpp:romeo@{DOMAIN}")
    data = gpg.export(good)
    items = {"00" * 20: data, "11" * 20: gpg.export_secret(good), "22" * 20: b"signet",
             juliet.key: data, "33" * 20: data[:-1], good: data}  # a node that makes itself may hold one item alone

    async def publish(peer):
        for name, content in items.items():
            answer = await peer.iq("set", f"<pubsub xmlns='{NS_PUBSUB}'><publish node='{NS_PUBKEY}'><item id='{name}'>"
                                   f"{keyinfo(name, content)}</item></publish><publish-options>"
                                   "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'>"
                                   "<value>http://jabber.org/protocol/pubsub#publish-options</value></field>"
                                   "<field var='pubsub#access_model'><value>open</value></field>"
                                   "<field var='pubsub#persist_items'><value>1</value></field></x></publish-options></pubsub>")
            assert answer.get("type") == "result", ET.tostring(answer)
            fetched = job.signet(job.juliet_env, "keyring", "fetch", f"romeo@{DOMAIN}", name) if name != good else None
            assert fetched is None or (fetched["keys"] == [] and fetched["refused"] == 1), fetched
        return job.signet(job.juliet_env, "keyring", "fetch", f"romeo@{DOMAIN}", good)

    fetched = as_peer(job.world, "romeo", publish)
    assert [k["name"] for k in fetched["keys"]] == [good]
    assert fetched["keys"][0]["jids"] == [f"romeo@{DOMAIN}"] and fetched["refused"] == 0


# ---- the process that judges


def test_who_judges_ends_with_its_agent_and_may_die(juliet):
    world = juliet.job.world
    juliet.own()
    before = judges(world)
    assert before
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    until(lambda: not set(before) & set(judges(world)), "signet-pgp was not waited for")
    assert juliet.own()[juliet.key]["jids"] == [juliet.jid]
    assert juliet.own()[juliet.certificate_name]["grade"] == "sha256"


def test_one_that_hangs_holds_nobody_up_for_long(juliet):
    world = juliet.job.world
    juliet.own()
    for pid in judges(world):
        suspend(pid)
    key = juliet.own()[juliet.key]
    assert key["user_ids"] == [] or key["jids"] == [juliet.jid]
    assert juliet.own()[juliet.key]["jids"] == [juliet.jid]


def test_without_it_the_rest_goes_on(juliet):
    world = juliet.job.world
    program = world.dir / "bin/signet-pgp"
    juliet.own()
    for pid in judges(world):
        os.kill(pid, signal.SIGKILL)
    program.rename(world.dir / "away")
    try:
        own = juliet.own()
        assert own[juliet.key]["user_ids"] == []
        certificate = own[juliet.certificate_name]
        assert {s["verdict"] for s in certificate["signatures"] if s["method"] is None} == {"unchecked"}
        assert {s["verdict"] for s in certificate["signatures"] if s["method"]} == {"good"}
        name, message = juliet.refused(juliet.rsa, juliet.gpg.sign(juliet.rsa, juliet.certificate))
        assert name == "WorkerDied" and "signet-pgp gives no answer" in message
    finally:
        (world.dir / "away").rename(program)
    assert juliet.own()[juliet.key]["jids"] == [juliet.jid]
