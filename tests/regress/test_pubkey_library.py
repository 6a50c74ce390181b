"""The keyring: what becomes known of the keys of others, and what the person decides. Keys are published by slixmpp on a
real server."""
import base64
import sqlite3
import subprocess
import xml.etree.ElementTree as ET

import pytest

from agent_fixture import Agent, monitor, next_event
from key_node import Key, publish, retract
from key_people import live
from keyring_agent import NS, Q, add_account, keyring_xml, listed, run, show, text, told
from processes import PATIENCE

pytest_plugins = ["server_fixtures", "keyring_fixtures"]


# ---- what becomes known ----

def test_k15_a_changed_key_is_told_at_once(served, people, watcher):
    """Nobody asks: the node's owner publishes another key, and whoever watches hears of it once."""
    juliet, romeo = people(2, friends=[(0, 1)])
    add_account(watcher, served, juliet)
    with live(romeo, "observer") as client:
        client.reach(juliet.jid)
    first, second = Key(romeo.jid), Key(romeo.jid)
    with monitor(watcher) as events:
        publish(served, romeo.name, first)
        event = next_event(events, "key_seen", "key_new")
        assert (event["kind"], event["jid"], event["name"]) == ("key_seen", romeo.jid, first.name)
        publish(served, romeo.name, second)
        event = next_event(events, "key_seen", "key_new")
        assert (event["kind"], event["jid"], event["name"]) == ("key_new", romeo.jid, second.name)
        assert [c["name"] for c in watcher.call("Status")["changed"]] == [second.name]
        # the fetch shows what is known
        watcher.call("FetchKeys", {"jid": juliet.jid, "from": romeo.jid})
        third = Key(romeo.jid)
        publish(served, romeo.name, third)
        assert next_event(events, "key_seen", "key_new")["name"] == third.name
    known = listed(watcher)
    assert set(known) == {first.name, second.name, third.name}
    assert {s["source"] for s in known[second.name]["sightings"]} == {"node", "event"}


def test_k15_keys_of_a_node_are_known(pair):
    pair.publish(pair.user, pair.client)
    assert pair.fetch()["refused"] == 0
    known = listed(pair.agent)
    assert set(known) == {pair.user.name, pair.client.name}
    key = known[pair.client.name]
    assert (key["kind"], key["sha256"], key["jids"]) == ("x509", pair.client.sha256, [pair.romeo.jid])
    assert (key["decision"], key["decided"], key["expired"], key["retracted"]) == ("undecided", None, False, False)
    sighting, = key["sightings"]
    assert (sighting["jid"], sighting["source"], sighting["told_by"], sighting["retracted"]) == \
        (pair.romeo.jid, "node", None, None)
    assert key["first"] == sighting["first"] <= sighting["last"] == key["last"]
    shown = show(pair.agent, pair.client)
    assert shown["grade"] == "sha256" and [s["verdict"] for s in shown["signatures"]] == ["good"]
    assert shown["signatures"][0]["issuer"] == pair.user.name
    assert ET.fromstring(shown["keyinfo"]).findtext(f"{Q}name") == pair.client.name
    # seen again: nothing new
    pair.fetch()
    assert [len(k["sightings"]) for k in listed(pair.agent).values()] == [1, 1]
    # after a restart it is all there
    pair.agent.stop()
    pair.agent.start()
    assert set(listed(pair.agent)) == set(known)
    words = text(pair.agent, "keyring", "show", pair.client.name)
    assert pair.romeo.jid in words and "on its node" in words and "undecided" in words and "SHA-256" in words


def test_keys_are_found(pair):
    pair.publish(pair.user, pair.client)
    pair.fetch()
    both = {pair.user.name, pair.client.name}
    assert set(listed(pair.agent, pair.romeo.jid)) == both
    assert set(listed(pair.agent, pair.romeo.jid.upper() + "/phone")) == both
    assert set(listed(pair.agent, pair.romeo.name)) == both
    assert set(listed(pair.agent, pair.user.name[:6])) == {pair.user.name}
    assert set(listed(pair.agent, pair.user.sha256[:8].upper())) == {pair.user.name}
    assert listed(pair.agent, "nobody@nowhere.test") == {}
    assert "keyring fetch" in text(pair.agent, "keyring", "list", "nobody@nowhere.test")
    assert pair.user.name in text(pair.agent, "keyring", "list")
    by_sha256 = told(pair.agent, "keyring", "show", pair.user.sha256)
    assert by_sha256["key"]["name"] == pair.user.name


def test_k15_a_changed_key_is_told_until_somebody_has_looked(pair):
    pair.publish(pair.user)
    with monitor(pair.agent) as events:
        pair.fetch()
        event = next_event(events, "key_seen", "key_new", "key_retracted")
        assert (event["kind"], event["jid"], event["name"]) == ("key_seen", pair.romeo.jid, pair.user.name)
        assert pair.agent.call("Status")["changed"] == []
        assert "CHANGED" not in text(pair.agent, "status")
        other = Key(pair.romeo.jid)
        pair.publish(other)
        pair.fetch()
        event = next_event(events, "key_seen", "key_new", "key_retracted")
        assert (event["kind"], event["jid"], event["name"]) == ("key_new", pair.romeo.jid, other.name)
    pair.agent.stop()
    pair.agent.start()
    add = pair.agent.call("Status")
    change, = add["changed"]
    assert (change["jid"], change["name"], change["kind"], add["changed_count"]) == \
        (pair.romeo.jid, other.name, "new", 1)
    words = text(pair.agent, "status")
    assert "CHANGED KEYS" in words and other.name in words and "keyring trust" in words
    assert text(pair.agent, "keyring", "seen", "somebody@else.test").startswith("Nothing waited")
    assert other.name in text(pair.agent, "keyring", "seen", pair.romeo.jid)
    assert pair.agent.call("Status")["changed_count"] == 0


def test_a_decision_says_that_somebody_has_looked(pair):
    pair.publish(pair.user)
    pair.fetch()
    others = [Key(pair.romeo.jid) for _ in range(3)]
    pair.publish(*others)
    pair.fetch()
    assert pair.agent.call("Status")["changed_count"] == 3
    told(pair.agent, "keyring", "trust", pair.romeo.jid, others[0].name)
    told(pair.agent, "keyring", "distrust", others[1].name)
    told(pair.agent, "keyring", "forget", others[2].name, "--yes")
    assert pair.agent.call("Status")["changed_count"] == 0
    assert set(listed(pair.agent)) == {pair.user.name, others[0].name, others[1].name}


def test_k11_a_key_that_was_retracted(pair):
    pair.publish(pair.user, pair.client)
    pair.fetch()
    told(pair.agent, "keyring", "trust", pair.romeo.jid, pair.user.name)
    # some are asked for by name: what is not among them was not retracted
    pair.fetch(names=[pair.client.name])
    assert not listed(pair.agent)[pair.user.name]["retracted"]
    pair.retract(pair.user)
    with monitor(pair.agent) as events:
        pair.fetch()
        event = next_event(events, "key_retracted")
        assert (event["jid"], event["name"]) == (pair.romeo.jid, pair.user.name)
    known = listed(pair.agent)
    assert known[pair.user.name]["retracted"] and known[pair.user.name]["sightings"][0]["retracted"]
    assert not known[pair.client.name]["retracted"]
    # it was trusted, so it is missed
    assert [(c["name"], c["kind"]) for c in pair.agent.call("Status")["changed"]] == [(pair.user.name, "retracted")]
    assert "NOT SHOWN" in text(pair.agent, "keyring", "show", pair.user.name)
    assert "ask why" in text(pair.agent, "keyring", "trust", pair.romeo.jid, pair.user.name)
    pair.publish(pair.user)
    pair.fetch()
    assert not listed(pair.agent)[pair.user.name]["retracted"]
    assert pair.agent.call("Status")["changed_count"] == 0


def test_k11_a_key_that_is_asked_for_by_name_and_is_gone(pair):
    """What it was asked for and does not give, the node does not show; also where it gives others."""
    other = Key(pair.romeo.jid)
    pair.publish(pair.user, pair.client, other)
    pair.fetch()
    told(pair.agent, "keyring", "trust", pair.romeo.jid, pair.user.name)
    pair.retract(pair.user, pair.client)
    assert [k["name"] for k in pair.fetch(names=[pair.user.name.upper(), other.name, "ab" * 20])["keys"]] == [other.name]
    assert told(pair.agent, "keyring", "show", pair.user.name, "--why")["path"]["steps"][0]["breaks"] == "retracted"
    assert {k.name: listed(pair.agent)[k.name]["retracted"] for k in (pair.user, pair.client, other)} == \
        {pair.user.name: True, pair.client.name: False, other.name: False}
    assert pair.fetch(names=[pair.client.name])["keys"] == []
    assert listed(pair.agent)[pair.client.name]["retracted"]


def test_k10_a_key_that_stands_under_its_name_in_capitals(pair):
    """Asked for by name it is found, and not taken for one that the node does not show any more."""
    pair.publish((pair.user.name.upper(), pair.user.keyinfo()), pair.client)
    pair.fetch()
    told(pair.agent, "keyring", "trust", pair.romeo.jid, pair.user.name)
    assert [k["name"] for k in pair.fetch(names=[pair.user.name])["keys"]] == [pair.user.name]
    assert not listed(pair.agent)[pair.user.name]["retracted"]


def test_many_keys_of_one_node_are_kept_in_slices(pair):
    """More than one slice, and more than are told one by one."""
    names = [f"{i:040x}" for i in range(1, 151)]
    publish(pair.world, pair.romeo.name, *((n, f"<keyinfo xmlns='{NS}'><name>{n}</name></keyinfo>") for n in names))
    with monitor(pair.agent) as events:
        assert len(pair.fetch()["keys"]) == len(names)
        assert set(listed(pair.agent)) == set(names)  # all of them, when the reply has come
        heard = [next_event(events, "key_seen") for _ in range(17)]
        assert {e["name"] for e in heard[:16]} < set(names) and {e["jid"] for e in heard} == {pair.romeo.jid}
        assert heard[16]["name"] is None and "more" in heard[16]["text"]
        pair.publish(pair.user)
        retract(pair.world, pair.romeo.name, *names[:20])
        pair.fetch()
        gone = [next_event(events, "key_new", "key_retracted") for _ in range(18)]
        assert [e["kind"] for e in gone] == ["key_new"] + ["key_retracted"] * 17
        assert {e["name"] for e in gone[1:17]} < set(names[:20]) and gone[17]["name"] is None
    assert sum(k["retracted"] for k in listed(pair.agent).values()) == 20


def test_a_store_that_is_locked(pair):
    """What was fetched is shown all the same, and kept the next time; a decision is not made in secret."""
    pair.publish(pair.user)
    other = sqlite3.connect(pair.agent.dir / "state/signet/agent.db", isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        assert [k["name"] for k in pair.fetch()["keys"]] == [pair.user.name]
        pair.agent.wait_line("could not be kept")
        error = told(pair.agent, "keyring", "import", "-", input=pair.client.keyinfo(), status=1)
        assert error["error"] == "StorageFailed" and "locked" in error["parameters"]["message"]
        other.execute("ROLLBACK")
        assert listed(pair.agent) == {}
        pair.fetch()
        other.execute("BEGIN IMMEDIATE")
        for args in (("trust", pair.romeo.jid, pair.user.name), ("distrust", pair.user.name), ("forget", "--yes", pair.user.name)):
            assert told(pair.agent, "keyring", *args, status=1)["error"] == "StorageFailed"
        other.execute("ROLLBACK")
    finally:
        other.close()
    assert [k["decision"] for k in listed(pair.agent).values()] == ["undecided"]


def test_k10_an_update_takes_the_place_of_what_was_shown(pair):
    key = Key(pair.romeo.jid)
    pair.publish(pair.user, key)
    pair.fetch()
    assert show(pair.agent, key)["grade"] == "none"
    pair.user.sign(key)
    pair.publish(key)
    pair.fetch()
    assert show(pair.agent, key)["grade"] == "sha256"
    pair.user.sign(key, over=b"something else")
    pair.publish(key)
    pair.fetch()
    assert show(pair.agent, key)["grade"] == "bad"
    assert sorted(s["verdict"] for s in show(pair.agent, key)["signatures"]) == ["bad", "good"]


def test_own_certificates_are_no_part_of_it(served, people):
    me, = people(1)
    with Agent() as agent:
        add_account(agent, served, me)
        agent.unlock("one")
        own = agent.call("NewKey", {"token": "one", "label": "user", "algorithm": "p256", "account": me.jid,
                                    "user": True})["certificate"]
        agent.call("Publish", {"jid": me.jid})
        other = Key(me.jid)
        publish(served, me.name, other)  # another client of the same account
        assert len(agent.call("FetchKeys", {"jid": me.jid, "from": me.jid})["keys"]) == 2
        assert set(listed(agent)) == {other.name}
        for name in (own["name"], own["sha256"]):
            for args in (("show", name), ("trust", me.jid, name), ("distrust", name), ("forget", "--yes", name)):
                error = told(agent, "keyring", *args, status=2)
                assert me.jid in error["parameters"]["message"] and "your own" in error["parameters"]["message"]
        # and no file brings them in
        done = told(agent, "keyring", "import", "-", input=keyring_xml((me.jid, own_keyinfo(own))))
        assert (done["added"], done["own"]) == (0, 1)
        assert set(listed(agent)) == {other.name}


def own_keyinfo(certificate):
    return f"<keyinfo xmlns='{NS}'><name>{certificate['name']}</name><x509cert>{certificate['der']}</x509cert></keyinfo>"


# ---- decisions ----

def ways_to_write(name):
    return [name, name.upper(), ":".join(name[i:i + 2] for i in range(0, len(name), 2)),
            " ".join(name[i:i + 4] for i in range(0, len(name), 4)).upper(), f" {name}\n"]


def test_trust_by_fingerprint(pair):
    pair.publish(pair.user, pair.client)
    pair.fetch()
    for fingerprint in ways_to_write(pair.user.name) + ways_to_write(pair.user.sha256):
        key = told(pair.agent, "keyring", "trust", pair.romeo.jid, fingerprint)["key"]
        assert (key["name"], key["decision"], key["decided_for"]) == (pair.user.name, "trusted", pair.romeo.jid)
    groups = [pair.client.name[i:i + 4] for i in range(0, 40, 4)]
    assert told(pair.agent, "keyring", "trust", pair.romeo.jid, *groups)["key"]["name"] == pair.client.name
    words = text(pair.agent, "keyring", "trust", pair.romeo.jid, pair.user.name)
    assert pair.romeo.jid in words and pair.user.name in words.replace(" ", "")
    pair.agent.stop()
    pair.agent.start()
    assert {k["decision"] for k in listed(pair.agent).values()} == {"trusted"}
    assert told(pair.agent, "keyring", "distrust", *groups)["key"]["decision"] == "distrusted"
    key = listed(pair.agent)[pair.client.name]
    assert (key["decision"], key["decided_for"]) == ("distrusted", None) and key["decided"]
    assert "DISTRUSTED" in text(pair.agent, "keyring", "list")


@pytest.mark.parametrize("number, size", [(0, 40), (1, 64)], ids=["name", "sha256"])
def test_a_mismatch_is_refused_loudly(pair, number, size):
    pair.publish(pair.user, pair.client)
    pair.fetch()
    right = (pair.user.name, pair.user.sha256)[number]
    wrong = right[:-1] + ("0" if right[-1] != "0" else "1")
    error = told(pair.agent, "keyring", "trust", pair.romeo.jid, wrong.upper(), status=7)
    assert error["error"] == "KeyMismatch"
    assert error["parameters"]["given"] == wrong and error["parameters"]["subject"] == pair.romeo.jid
    known = [(pair.user.name, pair.client.name), (pair.user.sha256, pair.client.sha256)][number]
    assert set(error["parameters"]["known"]) == set(known)
    done = run(pair.agent, "keyring", "trust", pair.romeo.jid, wrong)
    assert done.returncode == 7 and done.stdout == "" and "MISMATCH" in done.stderr
    assert f"given{wrong}" in done.stderr.replace(" ", "") and f"known{known[0]}" in done.stderr.replace(" ", "")
    assert {k["decision"] for k in listed(pair.agent).values()} == {"undecided"}


def test_a_key_of_somebody_else_is_a_mismatch(pair):
    pair.publish(pair.user)
    pair.fetch()
    other = Key()
    told(pair.agent, "keyring", "import", "-", "--jid", "mallory@evil.test", input=other.keyinfo())
    error = told(pair.agent, "keyring", "trust", pair.romeo.jid, other.name, status=7)
    assert error["error"] == "KeyMismatch" and "mallory@evil.test" in error["parameters"]["message"]
    error = told(pair.agent, "keyring", "trust", "nobody@evil.test", other.name, status=7)
    assert error["error"] == "KeyMismatch" and error["parameters"]["known"] == []
    error = told(pair.agent, "keyring", "trust", "nobody@evil.test", "ab" * 20, status=3)
    assert error["error"] == "KeyAbsent" and "keyring fetch" in error["parameters"]["advice"]
    assert {k["decision"] for k in listed(pair.agent).values()} == {"undecided"}


@pytest.mark.parametrize("fingerprint", ["", "ab", "zz" * 20, "ab" * 21, "ab" * 33, "0x" + "ab" * 20, "ab" * 19 + "a",
                                         "ab" * 4000, "é" * 40, "ab" * 20 + "\x1b[31m"])
def test_what_is_no_fingerprint(agent, fingerprint):
    for method, parameters in (("TrustKey", {"jid": "a@b.test", "fingerprint": fingerprint}),
                               ("DistrustKey", {"fingerprint": fingerprint}), ("ForgetKey", {"fingerprint": fingerprint}),
                               ("ShowKeyring", {"name": fingerprint})):
        assert agent.error(method, parameters).name == "ArgumentWrong"


@pytest.mark.parametrize("method, parameters", [
    ("TrustKey", {"jid": "@", "fingerprint": "ab" * 20}), ("ListKeyring", {"jid": "a b@c"}),
    ("ListKeyring", {"jid": "a@b", "search": "x"}), ("ListKeyring", {"after": "x"}), ("ListKeyring", {"after": "-1"}),
    ("ListKeyring", {"after": "99999999999999999999"}), ("AcknowledgeKeys", {"jid": "a\nb@c"}),
    ("ExportKeyring", {"jid": "@"}), ("ExportKeyring", {"after": "1x"}), ("ImportKeyring", {"keyinfos": "<x/>", "jid": "@"}),
])
def test_parameters_that_make_no_sense(agent, method, parameters):
    assert agent.error(method, parameters).name == "ArgumentWrong"


def test_what_a_person_who_trusts_a_key_is_told(agent):
    """It is trusted all the same: he has compared it."""
    for key, says in ((Key("romeo@example.test"), None), (Key(), None), (Key("mallory@evil.test"), "mallory@evil.test"),
                      (Key("romeo@example.test", days=(-9, -2)), "expired"), (Key("romeo@example.test", days=(2, 9)), "not valid")):
        told(agent, "keyring", "import", "-", "--jid", "romeo@example.test", input=key.keyinfo())
        words = text(agent, "keyring", "trust", "romeo@example.test", key.name)
        assert words.startswith("Trusted from now on, as a key of romeo@example.test") and ("But it " in words) == bool(says)
        assert says is None or says in words


def test_what_is_not_known(agent):
    name = "ab" * 20
    for args in (("show", name), ("distrust", name), ("forget", "--yes", name), ("export", name),
                 ("export", "a@b.test"), ("export",)):
        error = told(agent, "keyring", *args, status=3)
        assert error["error"] == "KeyAbsent" and "keyring" in error["parameters"]["advice"]
    assert told(agent, "keyring", "list") == {"keys": []}
    assert agent.call("ListKeyring", {"search": "%' OR 1=1 --"})["keys"] == []


def test_forget_asks_first(agent):
    key = Key("romeo@example.test")
    told(agent, "keyring", "import", "-", input=key.keyinfo())
    assert told(agent, "keyring", "forget", key.name, status=2)["error"]  # nobody can be asked
    assert set(listed(agent)) == {key.name}
    told(agent, "keyring", "forget", "--yes", *(key.name[i:i + 8] for i in range(0, 40, 8)))
    assert listed(agent) == {}


def test_two_keys_that_claim_one_name(agent):
    """Both have that SHA-1, as only a forger can make them: each is shown by its SHA-256, and none by the name."""
    one, other = Key("romeo@example.test"), Key("romeo@example.test")
    for key in (one, other):
        told(agent, "keyring", "import", "-", input=key.keyinfo())
    agent.stop()
    with sqlite3.connect(agent.dir / "state/signet/agent.db") as db:
        db.execute("UPDATE keys SET name = ? WHERE name = ?", (one.name, other.name))
    agent.start()
    for args in (("show", one.name), ("trust", "romeo@example.test", one.name), ("distrust", one.name)):
        error = told(agent, "keyring", *args, status=3)
        assert error["error"] == "KeyAmbiguous" and "SHA-256" in error["parameters"]["advice"]
        assert {c["uri"] for c in error["parameters"]["candidates"]} == {one.sha256, other.sha256}
    key = told(agent, "keyring", "trust", "romeo@example.test", one.sha256)["key"]
    assert (key["sha256"], key["decision"]) == (one.sha256, "trusted")
    assert told(agent, "keyring", "show", other.sha256)["key"]["decision"] == "undecided"


def openpgp_key(home, user_id):
    """A new OpenPGP key: its name and its bytes."""
    def gpg(*args):
        return subprocess.run(["gpg", "--homedir", home, "--batch", "--quiet", "--passphrase", "", "--pinentry-mode", "loopback",
                               *args], check=True, capture_output=True, timeout=PATIENCE).stdout
    home.mkdir(mode=0o700)
    try:
        gpg("--quick-gen-key", user_id, "ed25519", "cert,sign", "never")
        listed = gpg("--with-colons", "--list-keys").decode()
        name = next(line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr:")).lower()
        return name, gpg("--export", name)
    finally:
        subprocess.run(["gpgconf", "--homedir", home, "--kill", "all"], check=False, timeout=PATIENCE)


def test_k14_a_changed_openpgp_key_that_others_tell_of_does_not_stand_in_the_way(pair, tmp_path_factory):
    """The name is of the primary key alone: who adds a user id has another copy of the same key."""
    name, data = openpgp_key(tmp_path_factory.mktemp("g") / "h", f"xmpp:{pair.romeo.jid}")

    def keyinfo(blob):
        return f"<keyinfo xmlns='{NS}'><name>{name}</name><pgpdata>{base64.b64encode(blob).decode()}</pgpdata></keyinfo>"

    publish(pair.world, pair.romeo.name, (name, keyinfo(data)))
    assert [k["name"] for k in pair.fetch()["keys"]] == [name]
    sha256 = told(pair.agent, "keyring", "show", name)["key"]["sha256"]
    for count in range(3):
        user_id = b"forged %d" % count
        mutant = data + bytes([0xb4, len(user_id)]) + user_id
        told(pair.agent, "keyring", "import", "-", input=keyring_xml((pair.romeo.jid, keyinfo(mutant))))
    assert len([k for k in told(pair.agent, "keyring", "list")["keys"] if k["name"] == name]) == 1
    assert told(pair.agent, "keyring", "show", name)["key"]["sha256"] == sha256
    key = told(pair.agent, "keyring", "trust", pair.romeo.jid, name)["key"]
    assert (key["sha256"], key["decision"]) == (sha256, "trusted")
    assert told(pair.agent, "keyring", "distrust", name)["key"]["sha256"] == sha256


def test_k15_what_others_tell_spoils_nothing(pair):
    """A forged signature out of a file: it is shown, and the key of whom it is about is as good as before."""
    pair.publish(pair.user, pair.client)
    pair.fetch()
    shown_by_romeo = list(pair.client.signatures)
    Key().sign(pair.client)
    pair.client.signatures = [(pair.user.name, *pair.client.signatures[-1][1:])]
    told(pair.agent, "keyring", "import", "-", "--jid", pair.romeo.jid, input=pair.client.keyinfo())
    pair.client.signatures = shown_by_romeo
    shown = show(pair.agent, pair.client)
    assert shown["grade"] == "sha256" and sorted(s["verdict"] for s in shown["signatures"]) == ["bad", "good"]
    assert {s["source"] for s in shown["key"]["sightings"]} == {"node", "import"}
    assert shown["key"]["sightings"][0]["source"] == "node"
    assert pair.agent.call("Status")["changed_count"] == 0
