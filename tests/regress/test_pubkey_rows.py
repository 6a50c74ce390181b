"""Rows of proto/PROTOCOL.xmpp over the wire, between two people on every server: how a key and its signatures look
(K1 to K6, K8), written and judged by slixmpp and python3-cryptography. The other rows have files of their own."""
import base64
import hashlib
import json
import xml.etree.ElementTree as ET

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from key_node import Key, good, publish
from key_people import known, make_user_key
from live_peer import Q
from peer import NS_PUBKEY, fetch_items
from world import TOP, Failed

pytest_plugins = ["server_fixtures"]
VECTORS = TOP / "tests/unit/vectors"
RSA = "3b723825a061f1876ef5aabcecdbc601976d1b57"


def fetched(person, jid):
    """name -> PublicKey; a bad signature fails the command, and is shown all the same."""
    try:
        reply = person.signet("keyring", "fetch", jid)
    except Failed as failed:
        reply = json.loads(failed.out)
        assert reply["error"] == "KeyinfoRefused" and any(k["grade"] == "bad" for k in reply["keys"])
    return {k["name"]: k for k in reply["keys"]}


def verdicts(key):
    return {(s["issuer"], s["method"]): s["verdict"] for s in key["signatures"]}


def issuers(keyinfo):
    """(name, jid) of each issuer in an element."""
    return {(i.text, i.get("jid")) for i in keyinfo.iter(f"{Q}issuer")}


def sign_over(issuer, data, digest):
    return issuer.key.sign(data, padding.PKCS1v15(), digest)


@pytest.fixture
def two(people):
    """Somebody with an agent that is online, and a contact."""
    asker, owner = people(2, friends=[(0, 1)])
    asker.online()
    return asker, owner


def test_k1_both_names_of_the_key_elements_are_read(served, two):
    asker, owner = two
    key, pgp = Key(owner.jid), base64.b64encode((VECTORS / "pgp-rsa.pgp").read_bytes()).decode()
    publish(served, owner.name, (key.name, key.keyinfo().replace("x509cert>", "x509>")),
            (RSA, f"<keyinfo xmlns='{NS_PUBKEY}'><name>{RSA}</name><openpgp>{pgp}</openpgp></keyinfo>"))
    assert {(k["name"], k["kind"]) for k in fetched(asker, owner.jid).values()} == {(key.name, "x509"), (RSA, "pgp")}


def test_k1_k2_k10_what_is_published_has_the_names_of_the_document(served, people):
    owner, friend = people(2, friends=[(0, 1)], tokens=[0])
    name = make_user_key(owner)
    pgp = served.install(VECTORS / "pgp-rsa.pgp", "pgp-rsa.pgp")
    owner.signet("key", "pgp", "add", pgp, "--account", owner.jid)
    owner.signet("publish", owner.jid)
    items = fetch_items(served, friend.name, owner.jid)
    assert set(items) == {name, RSA}
    for ident, element in ((name, "x509cert"), (RSA, "pgpdata")):
        assert [e.tag.removeprefix(Q) for e in items[ident]][:2] == ["name", element]
        assert items[ident].findtext(f"{Q}name") == ident
    assert hashlib.sha1(base64.b64decode(items[name].findtext(f"{Q}x509cert"))).hexdigest() == name


def test_k2_upper_case_is_lowered_and_another_name_refused(served, two):
    asker, owner = two
    upper, wrong = Key(owner.jid), Key(owner.jid)
    publish(served, owner.name, (upper.name.upper(), upper.keyinfo(name=upper.name.upper())),
            ("ab" * 20, wrong.keyinfo(name="ab" * 20)))
    reply = asker.signet("keyring", "fetch", owner.jid)
    assert ([k["name"] for k in reply["keys"]], reply["refused"]) == ([upper.name], 1)
    assert known(asker, "ab" * 20) is None and known(asker, wrong.name) is None


def test_k2_a_reference_is_resolved_by_what_is_known(served, people):
    """The signatures that come with the name alone are judged over the key that is known by it."""
    asker, owner, friend = people(3, friends=[(0, 1), (0, 2)])
    asker.online()
    user = Key(owner.jid, subject="user")
    client, unknown = user.sign(Key(owner.jid)), user.sign(Key(owner.jid))
    publish(served, friend.name, client)  # its data are known from elsewhere
    fetched(asker, friend.jid)
    references = [(k.name, k.keyinfo().replace(f"<x509cert>{base64.b64encode(k.der).decode()}</x509cert>", ""))
                  for k in (client, unknown)]
    publish(served, owner.name, user, *references)
    keys = fetched(asker, owner.jid)
    assert {k["name"]: k["kind"] for k in keys.values()} == {user.name: "x509", client.name: "x509",
                                                             unknown.name: "reference"}
    assert keys[client.name]["jids"] == [owner.jid] and keys[client.name]["grade"] == "sha256"
    assert set(verdicts(keys[client.name]).values()) == {"good"}
    assert keys[unknown.name]["grade"] == "none" and "<x509cert>" not in keys[client.name]["keyinfo"]
    publish(served, owner.name, unknown)  # its data come: it is a key like any other
    assert fetched(asker, owner.jid)[unknown.name]["grade"] == "sha256"
    assert known(asker, unknown.name)["kind"] == "x509"


def test_k3_k5_a_signature_is_over_the_whole_certificate(served, two):
    """By RSA-SHA1 with its DigestInfo, as the document has it; over anything less it is bad."""
    asker, owner = two
    user = Key(owner.jid, kind="rsa2048", subject="user")
    whole, part, bare = (Key(owner.jid) for _ in range(3))
    user.sign(whole, "RSA-SHA1")
    user.sign(part, "RSA-SHA1", over=x509.load_der_x509_certificate(part.der).tbs_certificate_bytes)
    number = int.from_bytes(b"\x00\x01" + b"\xff" * 233 + b"\x00" + hashlib.sha1(bare.der).digest())
    numbers = user.key.private_numbers()
    value = pow(number, numbers.d, numbers.public_numbers.n).to_bytes(256)  # no DigestInfo
    bare.signatures.append((user.name, "RSA-SHA1", value))
    publish(served, owner.name, user, whole, part, bare)
    keys = fetched(asker, owner.jid)
    assert [(verdicts(keys[k.name]), keys[k.name]["grade"]) for k in (whole, part, bare)] == [
        ({(user.name, "RSA-SHA1"): "good"}, "sha1"), ({(user.name, "RSA-SHA1"): "bad"}, "bad"),
        ({(user.name, "RSA-SHA1"): "bad"}, "bad")]


def test_k5_k8_the_documents_own_example(served, people):
    """Example 3 as it stands: the certificate that example 1 signed, of whom its issuer's jid names."""
    asker, juliet, romeo = people(3, friends=[(0, 1), (0, 2)])
    asker.online()
    issuer, subject = Key(), Key()
    issuer.der, subject.der = ((VECTORS / f"xep0189-{name}.der").read_bytes()
                               for name in ("example1-issuer", "example3-subject"))
    issuer.name, subject.name = "428b1358a286430f628da23fb33ddaf6e474f5c5", "571b23d99892f4566017426e92c377288ed6c983"
    subject.signatures = [(issuer.name, "RSA-SHA1", (VECTORS / "xep0189-example3-rsa-sha1.sig").read_bytes())]
    publish(served, juliet.name, (subject.name, subject.keyinfo().replace("<issuer>", f"<issuer jid='{romeo.jid}'>")))
    signature, = fetched(asker, juliet.jid)[subject.name]["signatures"]
    assert (signature["issuer_jid"], signature["verdict"]) == (romeo.jid, "unknown_issuer")
    publish(served, romeo.name, issuer)
    assert set(fetched(asker, signature["issuer_jid"])) == {issuer.name}  # the jid is where the issuer is found
    key = fetched(asker, juliet.jid)[subject.name]
    assert verdicts(key) == {(issuer.name, "RSA-SHA1"): "good"} and key["grade"] == "sha1"


def test_k3_k5_k7_k8_what_the_token_signs(served, people):
    """A friend's key and the own: each value is judged by python3-cryptography; the jid stands where it differs."""
    owner, friend = people(2, friends=[(0, 1)], tokens=[0])
    user = owner.signet("key", "new", "--token", owner.name, "--label", "user", "--user", "--account", owner.jid,
                        "--pin-file", owner.world.dir / "pin")["certificate"]
    owner.signet("key", "new", "--token", owner.name, "--label", "client", "--pin-file", owner.world.dir / "pin")
    owner.signet("enrol", owner.jid, "--key", "client", *owner.password)
    theirs = Key(friend.jid)
    publish(served, friend.name, theirs)
    owner.signet("keyring", "fetch", friend.jid)
    owner.signet("keyring", "trust", friend.jid, theirs.name)
    own = owner.signet("sign", owner.jid)["key"]["name"]
    sent = ET.fromstring(owner.signet("sign", owner.jid, theirs.name)["key"]["keyinfo"])
    owner.signet("publish", owner.jid)
    items = fetch_items(served, friend.name, owner.jid)
    der = base64.b64decode(items[user["name"]].findtext(f"{Q}x509cert"))
    keyinfo = items[own]
    for element, signed in ((keyinfo, base64.b64decode(keyinfo.findtext(f"{Q}x509cert"))), (sent, theirs.der)):
        values = {v.get("method"): base64.b64decode(v.text) for v in element.iter(f"{Q}value")}
        assert set(values) == {"RSA-SHA1", "RSA-SHA256"}
        for made in values.items():
            good(made, signed, der)
    assert issuers(keyinfo) == {(user["name"], None)} and issuers(sent) == {(user["name"], owner.jid)}


def test_k4_both_readings_of_what_is_signed_of_an_openpgp_key(served, two):
    asker, owner = two
    user, pgp = Key(owner.jid, kind="rsa2048"), (VECTORS / "pgp-rsa.pgp").read_bytes()
    signed = {"fingerprint": bytes.fromhex(RSA), "whole": pgp, "text": RSA.encode()}
    for reading, verdict in (("fingerprint", "good"), ("whole", "good"), ("text", "bad")):
        value = base64.b64encode(sign_over(user, signed[reading], hashes.SHA256())).decode()
        publish(served, owner.name, user, (RSA, f"<keyinfo xmlns='{NS_PUBKEY}'><name>{RSA}</name><pgpdata>"
                f"{base64.b64encode(pgp).decode()}</pgpdata><signature><issuer>{user.name}</issuer>"
                f"<value method='RSA-SHA256'>{value}</value></signature></keyinfo>"))
        assert verdicts(fetched(asker, owner.jid)[RSA]) == {(user.name, "RSA-SHA256"): verdict}


def test_k6_methods_that_count_and_those_that_do_not(served, two):
    asker, owner = two
    user, key = Key(owner.jid, kind="rsa2048"), Key(owner.jid)
    user.sign(key, "RSA-SHA256")
    value = key.signatures[0][2]
    key.signatures += [(user.name, "RSA-SHA512", value), (user.name, "", value), (user.name, "ECDSA-SHA256", value)]
    missing = key.keyinfo().replace(" method=''", "")
    publish(served, owner.name, user, (key.name, missing))
    shown = fetched(asker, owner.jid)[key.name]
    assert [(s["method"], s["verdict"]) for s in shown["signatures"]] == [
        ("RSA-SHA256", "good"), ("RSA-SHA512", "unknown_method"), (None, "unknown_method"),
        ("ECDSA-SHA256", "unknown_method")]
    assert shown["grade"] == "sha256"
