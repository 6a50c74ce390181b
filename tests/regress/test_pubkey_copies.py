"""OpenPGP keys of which several copies go round: what strangers push, and what the owner changes, harms neither the key,
its name, its revocation nor anybody else (K6, K10, K14, K15)."""
import base64
import hashlib
import json
import struct
import time

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cli_fixture import signet
from key_node import Key, publish
from key_people import known, live, own_resource
from peer import NS_PUBKEY
from pgp_packets import DAY, DIRECT, SUBKEY_BINDING, SUBKEY_REVOCATION, Rsa, keyinfo, number, packet, subpacket
from processes import until

pytest_plugins = ["server_fixtures"]


def path(person, name):
    shown = person.signet("keyring", "show", name, "--why")["path"]
    return shown["verdict"]


def signed_by(friend, *parts):
    """A certificate of the friend's that each key has signed: its name, and the keyinfo."""
    cert = Key(friend.jid)
    signed = "".join(f"<signature><issuer>{key.name}</issuer><value>{base64.b64encode(key.sign(cert.der)).decode()}</value>"
                     f"</signature>" for key in parts)
    return cert.name, f"<keyinfo xmlns='{NS_PUBKEY}'><name>{cert.name}</name>" \
                      f"<x509cert>{base64.b64encode(cert.der).decode()}</x509cert>{signed}</keyinfo>"


def push(taker, sender, *keyinfos, about):
    """Each in a message of its own; returns when all have come."""
    last, resource = Key(sender.jid), own_resource(taker)
    with live(sender) as client:
        for text in keyinfos:
            client.send(f"<message to='{resource}'><pubkeys xmlns='{NS_PUBKEY}' jid='{about}'>{text}</pubkeys></message>")
        client.send(f"<message to='{resource}'><pubkeys xmlns='{NS_PUBKEY}'>{last.keyinfo()}</pubkeys></message>")
        until(lambda: known(taker, last.name), "nothing was kept")


def mutants(key, count):
    return [keyinfo(key.name, key.whole() + packet(13, b"mutant %d" % n)) for n in range(count)]


def bogus(key, count):
    """The key with signatures that say to be its own."""
    made = bytearray(key.user_id("somebody"))
    made = made[made.index(b"somebody") + 8:]
    return key.whole() + b"".join(bytes(made[:-2]) + struct.pack(">H", n) for n in range(count))


class Huge(Rsa):
    """Nobody's key, with numbers of so many bits."""

    def __init__(self, bits):
        super().__init__()
        self.body = self.body[:6] + number((1 << bits) - 1) * 2
        self.framed = b"\x99" + struct.pack(">H", len(self.body)) + self.body
        self.fingerprint = hashlib.sha1(self.framed).digest()
        self.name = self.fingerprint.hex()


@pytest.fixture
def three(served, people):
    """Who knows and trusts a friend's key, by which a certificate of the friend's is known; and a stranger."""
    taker, friend, stranger = people(3, friends=[(0, 1)])
    taker.online()
    key = Rsa()
    cert, text = signed_by(friend, key)
    return taker, friend, stranger, key, cert, text


def fetch_and_trust(served, taker, friend, key, cert, text):
    publish(served, friend.name, (key.name, keyinfo(key.name, key.whole())), (cert, text))
    taker.signet("keyring", "fetch", friend.jid)
    taker.signet("keyring", "trust", friend.jid, key.name)
    assert (path(taker, key.name), path(taker, cert)) == ("trusted", "friend")


def assert_revoked(taker, key, cert):
    shown = taker.signet("keyring", "show", key.name)["key"]
    assert shown["revoked"] is True and shown["decision"] == "trusted"
    assert (path(taker, key.name), path(taker, cert)) == ("broken", "broken")
    signature = taker.signet("keyring", "show", cert)["signatures"][0]
    assert signature["verdict"] == "refused" and "revoked" in signature["reason"]
    assert {"jid": shown["decided_for"], "name": key.name, "kind": "revoked"} in [
        {k: c[k] for k in ("jid", "name", "kind")} for c in taker.signet("status")["changed"]]


def test_k6_k14_copies_that_a_stranger_pushes_hide_no_revocation(served, three):
    taker, friend, stranger, key, cert, text = three
    fetch_and_trust(served, taker, friend, key, cert, text)
    push(taker, stranger, *mutants(key, 12), about=friend.jid)
    assert (path(taker, key.name), path(taker, cert)) == ("trusted", "friend")
    publish(served, friend.name, (key.name, keyinfo(key.name, key.public() + key.revocation() + key.user_id("somebody"))))
    taker.signet("keyring", "fetch", friend.jid)
    assert_revoked(taker, key, cert)
    push(taker, stranger, *mutants(key, 2), about=friend.jid)
    publish(served, friend.name, (key.name, keyinfo(key.name, key.whole() + packet(13, b"as if nothing were"))))
    taker.signet("keyring", "fetch", friend.jid)
    assert_revoked(taker, key, cert)


def test_k10_k15_a_key_that_its_owner_changes_stays_one_key(served, three):
    taker, friend, _, key, cert, text = three
    fetch_and_trust(served, taker, friend, key, cert, text)
    taker.signet("keyring", "seen")
    for count in range(9):
        data = key.whole() + b"".join(key.user_id(f"update {n}") for n in range(count + 1))
        publish(served, friend.name, (key.name, keyinfo(key.name, data)))
        taker.signet("keyring", "fetch", friend.jid)
        shown = taker.signet("keyring", "show", key.name)["key"]
        assert (shown["decision"], shown["sha256"]) == ("trusted", hashlib.sha256(data).hexdigest())
    assert [k["name"] for k in taker.signet("keyring", "list")["keys"]].count(key.name) == 1
    assert key.name not in {c["name"] for c in taker.signet("status")["changed"]}
    taker.signet("keyring", "distrust", key.name)
    assert path(taker, key.name) == "refused"
    taker.signet("keyring", "trust", friend.jid, key.name)
    assert (path(taker, key.name), path(taker, cert)) == ("trusted", "friend")
    publish(served, friend.name, (key.name, keyinfo(key.name, key.public() + key.revocation() + key.user_id("somebody"))))
    taker.signet("keyring", "fetch", friend.jid)
    assert_revoked(taker, key, cert)
    taker.signet("keyring", "forget", "--yes", key.name)
    assert known(taker, key.name) is None


def test_k14_copies_that_came_first_do_not_keep_the_real_one_out(served, three):
    taker, friend, stranger, key, cert, text = three
    push(taker, stranger, *mutants(key, 17), keyinfo(key.name, bogus(key, 200)), about=friend.jid)
    fetch_and_trust(served, taker, friend, key, cert, text)
    assert taker.signet("keyring", "show", key.name)["key"]["sha256"] == hashlib.sha256(key.whole()).hexdigest()
    taker.signet("keyring", "distrust", key.name)
    assert path(taker, key.name) == "refused"
    assert [k["path"]["verdict"] for k in taker.signet("graph")["keys"] if k["name"] == key.name] == ["refused"]


def test_k14_a_copy_that_nobody_can_read_or_that_is_dear_harms_no_other(served, three):
    taker, friend, stranger, key, cert, text = three
    fetch_and_trust(served, taker, friend, key, cert, text)
    forged = bytearray(key.revocation())
    forged[-1] ^= 1
    huge = Huge(16384)
    push(taker, stranger, *(keyinfo(key.name, data) for data in (
        key.whole() + packet(14, key.body),  # a subkey of itself
        bogus(key, 200), key.whole() + packet(13, b"") * 90, key.public() + bytes(forged) + key.user_id("somebody"),
        key.public() + key.revocation(subpacket(100, b"x", True))[:-1] + b"x" + key.user_id("somebody"),
        key.whole() + packet(14, huge.body))),
        keyinfo(huge.name, bogus(huge, 70)), about=friend.jid)
    for _ in range(2):
        assert (path(taker, key.name), path(taker, cert)) == ("trusted", "friend")
        taker.stop()
        taker.start()
    assert known(taker, huge.name) is None
    assert taker.signet("keyring", "show", key.name)["key"]["revoked"] is False


@pytest.mark.parametrize("told", ["push", "file"])
def test_k14_a_revocation_is_taken_from_whoever_tells_it(served, three, told):
    """Whoever monitors hears of it, once."""
    taker, friend, stranger, key, cert, text = three
    fetch_and_trust(served, taker, friend, key, cert, text)
    revoked = keyinfo(key.name, key.public() + key.revocation() + key.user_id("somebody"))
    taker.world.write("revoked.xml", f"<pubkeys xmlns='{NS_PUBKEY}' jid='{friend.jid}'>{revoked}</pubkeys>")
    mark = taker.agent.mark()
    watching = taker.world.start("monitor", ["signet", "--batch", "--json", "monitor"], taker.env)
    taker.agent.wait_line("monitors", mark)
    for _ in range(2):
        if told == "push":
            push(taker, stranger, revoked, about=friend.jid)
        else:
            taker.signet("keyring", "import", taker.world.dir / "revoked.xml")
    end = Key(stranger.jid)
    push(taker, stranger, end.keyinfo(), about=stranger.jid)
    watching.wait_line(end.name)
    watching.stop()
    events = [json.loads(line) for line in watching.said() if "key_revoked" in line]
    assert [(e["jid"], e["name"]) for e in events] == [(friend.jid, key.name)]
    assert_revoked(taker, key, cert)


def bound(key, subkey, *signatures):
    """The subkey as a signing one of the key's."""
    both = key.framed + subkey.framed
    back = subkey.signature(0x19, both)
    return packet(14, subkey.body) + b"".join(signatures) + key.signature(
        SUBKEY_BINDING, both, subpacket(27, b"\x02") + subpacket(32, back[3:] if back[1] >= 192 else back[2:]))


@pytest.mark.parametrize("algorithm", [8, 2], ids=["sha256", "sha1"])
def test_k6_an_older_copy_hides_no_revocation_of_a_subkey(served, people, algorithm):
    taker, friend, third, stranger = people(4, friends=[(0, 1), (0, 2)])
    taker.online()
    key, subkey = Rsa(), Rsa()
    revoked = key.signature(SUBKEY_REVOCATION, key.framed + subkey.framed, subpacket(29, b"\2"), at=time.time() - 5 * DAY,
                            algorithm=algorithm)
    before, after = key.whole() + bound(key, subkey), key.whole() + bound(key, subkey, revoked)
    cert, text = signed_by(friend, key, subkey)
    text = text.replace(subkey.name, key.name)
    only, by_subkey = signed_by(friend, subkey)
    by_subkey = by_subkey.replace(subkey.name, key.name)
    push(taker, third, keyinfo(key.name, after), text, by_subkey, about=friend.jid)
    taker.signet("keyring", "trust", friend.jid, key.name)
    assert (path(taker, cert), path(taker, only)) == ("friend", "broken")
    push(taker, stranger, keyinfo(key.name, before), keyinfo(key.name, before + key.user_id("more")), about=friend.jid)
    assert (path(taker, cert), path(taker, only)) == ("friend", "broken")
    publish(served, friend.name, (key.name, keyinfo(key.name, before + packet(13, b"newest"))))  # an update with the old part
    taker.signet("keyring", "fetch", friend.jid)
    assert (path(taker, cert), path(taker, only)) == ("friend", "broken")


def test_k6_a_revocation_of_a_subkey_is_taken_from_whoever_tells_it(served, three):
    taker, friend, stranger, key, cert, text = three
    subkey = Rsa()
    revoked = key.signature(SUBKEY_REVOCATION, key.framed + subkey.framed, subpacket(29, b"\2"), at=time.time() - 5 * DAY)
    only, by_subkey = signed_by(friend, subkey)
    by_subkey = by_subkey.replace(subkey.name, key.name)
    publish(served, friend.name, (key.name, keyinfo(key.name, key.whole() + bound(key, subkey))), (cert, text),
            (only, by_subkey))
    taker.signet("keyring", "fetch", friend.jid)
    taker.signet("keyring", "trust", friend.jid, key.name)
    assert (path(taker, cert), path(taker, only)) == ("friend", "friend")
    push(taker, stranger, keyinfo(key.name, key.public() + bound(key, subkey, revoked)), about=friend.jid)
    assert (path(taker, key.name), path(taker, cert), path(taker, only)) == ("trusted", "friend", "broken")


@pytest.mark.parametrize("order", ["before", "after"])
@pytest.mark.parametrize("mutant", ["bare", "critical"])
@pytest.mark.parametrize("told", ["push", "import"])
def test_k14_a_contacts_node_spoils_no_key_that_its_person_told(served, people, told, mutant, order):
    taker, friend, contact = people(3, friends=[(0, 1), (0, 2)])
    taker.online()
    key = Rsa()
    cert, text = signed_by(friend, key)
    good = key.whole() + key.user_id(f"xmpp:{friend.jid}")
    forged = key.revocation(subpacket(100, b"x", True))[:-1] + b"x"
    bad = key.public() if mutant == "bare" else key.public() + forged + good[len(key.public()):]

    def give():
        if told == "push":
            push(taker, friend, keyinfo(key.name, good), text, about=friend.jid)
        else:
            taker.world.write("keys.xml", f"<pubkeys xmlns='{NS_PUBKEY}' jid='{friend.jid}'>{keyinfo(key.name, good)}{text}"
                                          f"</pubkeys>")
            taker.signet("keyring", "import", taker.world.dir / "keys.xml")

    def show():
        publish(served, contact.name, (key.name, keyinfo(key.name, bad)))
        taker.signet("keyring", "fetch", contact.jid)

    for step in (show, give) if order == "before" else (give, show):
        step()
    taker.signet("keyring", "trust", friend.jid, key.name)
    assert taker.signet("keyring", "show", key.name)["key"]["revoked"] is False
    assert (path(taker, key.name), path(taker, cert)) == ("trusted", "friend")
    show()
    assert (path(taker, key.name), path(taker, cert)) == ("trusted", "friend")


class Curve(Rsa):
    """Nobody's key on the curve that takes longest."""

    def __init__(self):
        super().__init__()
        point = ec.generate_private_key(ec.BrainpoolP512R1()).public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
        self.body = self.body[:5] + bytes.fromhex("13092b240303020801010d") + number(int.from_bytes(point, "big"))
        self.framed = b"\x99" + struct.pack(">H", len(self.body)) + self.body
        self.fingerprint = hashlib.sha1(self.framed).digest()
        self.name = self.fingerprint.hex()

    def own(self, n):
        """One that librnp has to check, and finds bad."""
        data = self.framed + b"\xb4\0\0\0\2me"
        hashed = subpacket(2, struct.pack(">I", self.created + n)) + subpacket(33, b"\x04" + self.fingerprint)
        head = bytes([4, 0x13, 19, 10]) + struct.pack(">H", len(hashed)) + hashed
        digest = hashlib.sha512(data + head + b"\x04\xff" + struct.pack(">I", len(head))).digest()
        value = number(int.from_bytes(digest, "big") >> 3 | 1)
        beside = subpacket(16, self.fingerprint[-8:])
        return packet(2, head + struct.pack(">H", len(beside)) + beside + digest[:2] + value * 2)

    def many(self, first, count):
        return self.public() + packet(13, b"me") + b"".join(self.own(first + n) for n in range(count))


def test_k14_what_strangers_may_have_judged_is_limited(served, three):
    taker, friend, stranger, key, cert, text = three
    fetch_and_trust(served, taker, friend, key, cert, text)
    dear, dearer = Curve(), Curve()
    push(taker, stranger, keyinfo(dearer.name, dearer.many(0, 249)),
         *(keyinfo(dear.name, dear.many(1000 * n, 120)) for n in range(20)), about=stranger.jid)
    assert known(taker, dearer.name) is None and known(taker, dear.name) is not None
    assert not [line for line in taker.agent.lines if "signet-pgp" in line]  # it was not too much for it
    assert (path(taker, key.name), path(taker, cert)) == ("trusted", "friend")
    push(taker, friend, keyinfo(key.name, key.public() + key.revocation() + key.user_id("somebody")), about=friend.jid)
    assert_revoked(taker, key, cert)


def test_k6_what_cannot_be_told_is_not_called_no(served, three):
    taker, friend, stranger, key, cert, text = three
    fetch_and_trust(served, taker, friend, key, cert, text)
    shown = taker.signet("keyring", "show", key.name)["key"]
    assert (shown["revoked"], shown["expired"]) == (False, False)
    listed = [k for k in taker.signet("keyring", "list")["keys"] if k["name"] == key.name]
    assert [(k["revoked"], k["expired"]) for k in listed] == [(None, None)]  # nothing is looked into there
    push(taker, stranger, keyinfo(key.name, key.public() + key.revocation() + bogus(key, 240)[len(key.public()):]),
         about=friend.jid)
    assert_revoked(taker, key, cert)


# ---- revocations as they may be made ----

ISSUER, OTHER, SUBKEY = Rsa(), Rsa(), Rsa()
CERT = Key("friend@example.test")
UNCHECKED, REVOKED = "a revocation that cannot be checked", "is revoked"


def verified(tmp_path, text, *args):
    """The first key, whether its signatures are good or not."""
    file = tmp_path / "keyinfo.xml"
    file.write_text(text)
    return json.loads(signet("verify", file, "--json", *args).stdout)["keys"][0]


def judged(tmp_path, *parts, value=None):
    """What is said of the key's signature, and whether the key is revoked."""
    file = tmp_path / "issuer.pgp"
    file.write_bytes(b"".join(parts))
    value = value or ISSUER.sign(CERT.der)
    text = f"<pubkeys xmlns='{NS_PUBKEY}'><keyinfo><name>{CERT.name}</name>" \
           f"<x509cert>{base64.b64encode(CERT.der).decode()}</x509cert><signature><issuer>{ISSUER.name}</issuer>" \
           f"<value>{base64.b64encode(value).decode()}</value></signature></keyinfo></pubkeys>"
    signature = verified(tmp_path, text, "--issuer", file)["signatures"][0]
    revoked = verified(tmp_path, keyinfo(ISSUER.name, b"".join(parts)))["revoked"]
    return signature["verdict"], signature["reason"], revoked


REVOKER = subpacket(12, b"\x80\x01" + OTHER.fingerprint)
BY_OTHER = OTHER.signature(0x20, ISSUER.framed, subpacket(29, b"\0"))


@pytest.mark.parametrize("packets, reason", [
    ([ISSUER.revocation()], REVOKED),
    ([ISSUER.revocation(algorithm=2)], REVOKED),
    ([ISSUER.revocation(algorithm=1)], REVOKED),
    ([ISSUER.revocation(issuer=False)], REVOKED),
    ([ISSUER.revocation(subpacket(100, b"x", True))], UNCHECKED),
    ([ISSUER.revocation(subpacket(20, bytes(8), True))], UNCHECKED),
    ([ISSUER.signature(DIRECT, ISSUER.framed, REVOKER), BY_OTHER], UNCHECKED),
], ids=["sha256", "sha1", "md5", "nameless", "critical", "critical-notation", "designated"])
def test_k6_a_revocation_is_not_passed_over_for_how_it_is_made(tmp_path, packets, reason):
    verdict, said, revoked = judged(tmp_path, ISSUER.public(), *packets, ISSUER.user_id("somebody"))
    assert (verdict, revoked) == ("refused", True) and reason in said


@pytest.mark.parametrize("packets", [
    [BY_OTHER], [ISSUER.revocation()[:-1] + bytes([ISSUER.revocation()[-1] ^ 1])],
    [ISSUER.revocation(algorithm=2)[:-1] + b"\0"], [ISSUER.signature(DIRECT, ISSUER.framed, REVOKER)],
], ids=["foreign", "flipped", "flipped-sha1", "may-be-revoked"])
def test_k6_what_the_key_did_not_sign_revokes_nothing(tmp_path, packets):
    assert judged(tmp_path, ISSUER.public(), *packets, ISSUER.user_id("somebody")) == ("good", None, False)


@pytest.mark.parametrize("algorithm, more, reason", [
    (8, b"", "not valid then"), (2, b"", REVOKED), (8, subpacket(100, b"x", True), UNCHECKED)], ids=["sha256", "sha1", "critical"])
def test_k6_so_it_is_with_a_subkeys(tmp_path, algorithm, more, reason):
    both = ISSUER.framed + SUBKEY.framed
    back = SUBKEY.signature(0x19, both)
    bound = packet(14, SUBKEY.body) + ISSUER.signature(
        SUBKEY_BINDING, both, subpacket(27, b"\x02") + subpacket(32, back[3:] if back[1] >= 192 else back[2:]))
    value = SUBKEY.sign(CERT.der)
    assert judged(tmp_path, ISSUER.whole(), bound, value=value)[0] == "good"
    revoked = ISSUER.signature(SUBKEY_REVOCATION, both, subpacket(29, b"\2") + more, at=time.time() - 5 * DAY,
                               algorithm=algorithm)
    verdict, said, _ = judged(tmp_path, ISSUER.whole(), bound, revoked, value=value)
    assert verdict == "refused" and reason in said
    assert judged(tmp_path, ISSUER.whole(), bound, revoked)[0] == "good"  # the primary key's own


@pytest.mark.parametrize("more", [subpacket(100, b"x", True), subpacket(20, bytes(8), True)], ids=["unknown", "notation"])
def test_k6_a_signature_with_a_critical_part_is_refused_and_not_called_bad(tmp_path, more):
    verdict, said, _ = judged(tmp_path, ISSUER.whole(), value=ISSUER.sign(CERT.der, more))
    assert verdict == "refused" and "critical" in said
