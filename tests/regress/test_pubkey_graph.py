"""Why a key is trusted or not (ExplainKey, verify --why, keyring show --why), and the picture of all of them (graph)."""
import collections
import contextlib
import hashlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from agent_fixture import PIN, Agent, secret
from certificates import make_key
from cli_fixture import SMALL_ENV, Scripted, send, signet
from gpg import Gpg
from pgp_packets import Rsa, keyinfo, packet
from processes import PATIENCE
from trust_web import DISTRUSTED, PUSH, TRUSTED, Key, PgpKey, Web, realistic

ROMEO, MERCUTIO = "romeo@montague.example", "mercutio@verona.example"
HIDDEN = "\u202e\u200b\u00ad\u2060\u3164\U000e0041"
HOSTILE = ['"]; evil [label="x"', "</B></TD></TR></TABLE>>]; evil [", "<IMG SRC=\"/etc/passwd\"/>", "a\\\"b\\", "]]>&amp;&#0;",
           "\x1b[2J\x1b]0;owned\x07", "\u202ereversed", "ro\u200bm\u00ade\u2060o\u3164\U000e0041", "-->", "%s%n", "x" * 3000, "\\N\\G\\l", "{a|b}", "<!--"]


@contextlib.contextmanager
def agent_of(web, **more):
    """An agent without tokens whose store holds the web."""
    agent = Agent(softhsm=False, **more)
    try:
        agent.start()
        assert agent.stop() == 0
        web.write(agent.dir / "state/signet/agent.db")
        with agent:
            yield agent
    finally:
        agent.close()


def env_of(agent, **more):
    return SMALL_ENV | {"SIGNET_SOCK": str(agent.sock), "LC_ALL": "C.UTF-8"} | more


def explain(agent, key, **more):
    return agent.call("ExplainKey", {"name": key.name, **more})["path"]


def graph(agent, **parameters):
    """All pages of Graph: (keys by name, edges, how many pages)."""
    keys, edges, after, pages = {}, [], None, 0
    while pages == 0 or after is not None:
        reply = agent.call("Graph", parameters | ({} if after is None else {"after": after}))
        assert not keys.keys() & {k["name"] for k in reply["keys"]}
        keys |= {k["name"]: k for k in reply["keys"]}
        edges += reply["edges"]
        after, pages = reply["next"], pages + 1
    return keys, edges, pages


def breaks(path):
    return [step["breaks"] for step in path["steps"]]


# ---- paths ----

def test_own_key_to_friend_to_his_client_key():
    web = Web()
    romeo = web.cross_sign(web.add(ROMEO))
    phone = romeo.sign(web.add(ROMEO))
    with agent_of(web) as agent:
        path = explain(agent, phone)
        assert (path["verdict"], path["jid"], path["grade"], path["claims"]) == ("friend", ROMEO, "sha256", [ROMEO])
        assert [(s["way"], s["issuer"], s["subject"], s["method"], s["grade"], s["breaks"]) for s in path["steps"]] == [
            ("own", None, web.user.name, None, "none", None),
            ("signature", web.user.name, romeo.name, "RSA-SHA256", "sha256", None),
            ("signature", romeo.name, phone.name, "ECDSA-SHA256", "sha256", None)]
        assert all(s["not_before"] < s["not_after"] for s in path["steps"])
        assert path["steps"][0]["since"] is None and path["steps"][2]["since"]
        assert [s["issuer_jid"] for s in path["steps"]] == [None, web.jid, ROMEO]
        # by SHA-256 and as people write it, too; and the own keys
        for name in (phone.sha256, phone.name.upper(), ":".join(re.findall("....", phone.name))):
            assert agent.call("ExplainKey", {"name": name})["path"] == path
        assert explain(agent, web.user)["verdict"] == explain(agent, web.clients[0])["verdict"] == "own"
        assert agent.call("ExplainKey", {"name": web.clients[0].sha256})["path"]["verdict"] == "own"
        # what another account has signed does not count for this one
        agent.call("AddAccount", {"jid": "nurse@capulet.example"})
        assert explain(agent, phone, account=web.jid)["verdict"] == "friend"
        other = explain(agent, phone, account="nurse@capulet.example")
        assert (other["verdict"], breaks(other)) == ("unknown", ["issuer_unknown"])
        for wrong, error in (({"name": "0" * 40}, "KeyAbsent"), ({"name": "0" * 64}, "KeyAbsent"),
                             ({"name": "romeo"}, "ArgumentWrong"), ({"name": phone.name, "account": "x@y"}, "AccountAbsent")):
            assert agent.error("ExplainKey", wrong).name == error
        assert agent.error("Graph", {"account": "x@y"}).name == "AccountAbsent"
        for after in ("x", "", "0", "0.", "0.0", "3.1", "-1.1", "0.1x", "0.-1", "00.1", "0." + "9" * 30):
            assert agent.error("Graph", {"after": after}).name == "ArgumentWrong", after


def test_every_verdict_of_a_stored_key():
    web = Web()
    met = web.add(ROMEO, decision=TRUSTED)
    expired = met.sign(web.add(ROMEO, days=(-9, -1)))
    early = met.sign(web.add(ROMEO, days=(1, 9)))
    gone = met.sign(web.add(ROMEO, retracted=True))
    vouched = met.sign(web.add(MERCUTIO))
    far = vouched.sign(web.add(MERCUTIO))
    forged = met.forge(web.add(ROMEO))
    odd = met.forge(web.add(ROMEO), method="ROT-13")
    refused = met.sign(web.add(ROMEO, decision=DISTRUSTED))
    stranger = web.add("tybalt@capulet.example")
    his = stranger.sign(web.add("tybalt@capulet.example"))
    lost = Key(ROMEO, make_key()).sign(web.add(ROMEO))
    mixed = met.sign(web.add(MERCUTIO, shown_by=[ROMEO]))
    pushed = met.sign(web.add(ROMEO, source=PUSH, shown_by=[ROMEO]))
    expected = [
        (met, "trusted", [None]), (expired, "broken", [None, "expired"]), (early, "broken", [None, "not_yet_valid"]),
        (gone, "broken", [None, "retracted"]), (vouched, "vouched", [None, None]),
        (far, "unknown", [None, None, "too_far"]), (forged, "broken", [None, "bad_signature"]),
        (odd, "broken", [None, "unknown_method"]), (refused, "refused", [None, "refused"]), (stranger, "unknown", []),
        (his, "unknown", ["issuer_unknown"]), (lost, "unknown", ["issuer_missing"]), (mixed, "vouched", [None, None]),
        # how a key came does not matter when it is signed (K14)
        (pushed, "friend", [None, None])]
    with agent_of(web) as agent:
        for key, verdict, broken in expected:
            path = explain(agent, key)
            assert (path["verdict"], breaks(path)) == (verdict, broken)
        # two claim one key: both are told, and the certificate's name is the one that counts
        assert explain(agent, mixed)["claims"] == [MERCUTIO, ROMEO]
        # a decision counts at once
        agent.call("DistrustKey", {"fingerprint": met.name})
        assert explain(agent, met)["verdict"] == "refused"
        assert (explain(agent, pushed)["verdict"], breaks(explain(agent, pushed))) == ("unknown", ["issuer_unknown"])
        agent.call("TrustKey", {"jid": ROMEO, "fingerprint": met.name})
        assert explain(agent, pushed)["verdict"] == "friend"
        assert explain(agent, met)["steps"][0]["since"] > "2026"


def test_a_revoked_own_user_key_breaks_what_it_signed():
    web = Web()
    romeo = web.cross_sign(web.add(ROMEO))
    with agent_of(web) as agent:
        assert explain(agent, romeo)["verdict"] == "trusted"
        with contextlib.closing(sqlite3.connect(agent.dir / "state/signet/agent.db")) as db, db:
            db.execute("UPDATE certificates SET revoked = 1 WHERE sha256 = ?", (web.user.sha256,))
        path = explain(agent, romeo)
        assert (path["verdict"], breaks(path)) == ("broken", ["revoked", None])


def test_k7_sha1_alone_is_weaker():
    web = Web()
    romeo = web.cross_sign(web.add(ROMEO), sha1=True)
    phone = romeo.sign(web.add(ROMEO))
    with agent_of(web) as agent:
        assert (explain(agent, phone)["verdict"], explain(agent, phone)["grade"]) == ("friend", "sha1")
        done = signet("keyring", "show", phone.name, "--why", env=env_of(agent))
        assert "by SHA-1 only, which is weaker" in done.stdout and "RSA-SHA1 (SHA-1: weaker)" in done.stdout


def test_k7_sha1_that_is_off_counts_for_nothing():
    web = Web()
    romeo = web.cross_sign(web.add(ROMEO), sha1=True)
    with agent_of(web, conf="[agent]\nsha1 = off\n") as agent:
        path = explain(agent, romeo)
        assert (path["verdict"], breaks(path)) == ("broken", [None, "signature_refused"])


def test_the_person_signs_a_friends_user_key():
    """Whom he trusts; from then on the signature carries the path, whatever becomes of the decision."""
    romeo = Key(ROMEO, make_key())
    phone = romeo.sign(Key(ROMEO, make_key()))
    document = f"<pubkeys jid='{ROMEO}'>{romeo.keyinfo()}{phone.keyinfo()}</pubkeys>"
    with Agent() as agent:
        agent.unlock("one")
        agent.call("AddAccount", {"jid": "juliet@capulet.example"})
        with secret(PIN) as fd:
            user = agent.call("NewKey", {"token": "one", "label": "me", "account": "juliet@capulet.example", "user": True,
                                         "pin": {"fd": 0}}, [fd])["certificate"]
        sign = {"account": "juliet@capulet.example", "subject": romeo.name}
        assert agent.error("Sign", sign).name == "KeyAbsent"
        agent.call("ImportKeyring", {"keyinfos": document})
        assert agent.error("Sign", sign).name == "KeyAbsent"  # known, and not looked at
        agent.call("TrustKey", {"jid": ROMEO, "fingerprint": romeo.name})
        signed = agent.call("Sign", sign)["key"]
        assert signed["name"] == romeo.name and {s["verdict"] for s in signed["signatures"]} == {"good"}
        assert {s["method"] for s in signed["signatures"]} >= {"RSA-SHA256"}
        assert f"<issuer jid='juliet@capulet.example'>{user['name']}</issuer>" in signed["keyinfo"].replace('"', "'")  # K8
        agent.call("ForgetKey", {"fingerprint": romeo.name})
        assert agent.error("Sign", sign).name == "KeyAbsent"
        agent.call("ImportKeyring", {"keyinfos": document})
        path = explain(agent, phone)
        assert (path["verdict"], path["jid"]) == ("friend", ROMEO)
        assert [(s["way"], s["issuer"], s["subject"]) for s in path["steps"]] == [
            ("own", None, user["name"]), ("signature", user["name"], romeo.name), ("signature", romeo.name, phone.name)]
        # what he refuses later is refused, and is not signed again
        agent.call("DistrustKey", {"fingerprint": romeo.name})
        assert agent.error("Sign", sign).name == "KeyAbsent"
        assert explain(agent, phone)["verdict"] == "broken"


def test_who_signs_is_told_what_that_is_worth():
    """Of a trusted certificate that is over, and of a trusted OpenPGP key, which is not signed."""
    over, early, now = (Key(ROMEO, make_key(), days=days) for days in ((-20, -1), (2, 9), (-1, 9)))
    pgp = Rsa()
    document = f"<pubkeys jid='{ROMEO}'>{over.keyinfo()}{early.keyinfo()}{now.keyinfo()}{keyinfo(pgp.name, pgp.whole())}</pubkeys>"
    with Agent() as agent:
        agent.unlock("one")
        agent.call("AddAccount", {"jid": "juliet@capulet.example"})
        with secret(PIN) as fd:
            agent.call("NewKey", {"token": "one", "label": "me", "account": "juliet@capulet.example", "user": True,
                                  "pin": {"fd": 0}}, [fd])
        assert agent.call("ImportKeyring", {"keyinfos": document, "jid": ROMEO})["added"] == 4
        for key, note in (over, "has expired"), (early, "is not valid yet"), (now, None):
            agent.call("TrustKey", {"jid": ROMEO, "fingerprint": key.name})
            sign = {"account": "juliet@capulet.example", "subject": key.name}
            for _ in range(2):
                told = agent.call("Sign", sign)["note"]
                assert f"{key.name} {note}: a signature on it counts for nothing." in told if note else told is None
        sign = {"account": "juliet@capulet.example", "subject": pgp.name}
        assert agent.error("Sign", sign).name == "KeyAbsent"
        agent.call("TrustKey", {"jid": ROMEO, "fingerprint": pgp.name})
        error = agent.error("Sign", sign)
        assert error.name == "Unsupported" and "it is trusted" in error.parameters["message"]


def test_k2_a_key_that_is_not_its_names_is_not_judged():
    """The store is not believed: two keys under one name, one of them not of that name."""
    web = Web()
    romeo = web.add(ROMEO, decision=TRUSTED)
    phone = romeo.sign(web.add(ROMEO))
    mallory = Key(ROMEO, make_key(), decision=TRUSTED)
    mallory.name = phone.name
    web.keys.append(mallory)
    with agent_of(web) as agent:
        assert explain(agent, phone)["verdict"] == "friend"
        agent.wait_line("is not judged")


def test_ten_thousand_signatures_end_in_a_defined_verdict():
    """On one key: by a known friend, forged; by as many strangers; and a good one among them."""
    web = Web()
    romeo = web.add(ROMEO, decision=TRUSTED)
    target, saved = web.add(ROMEO), web.add(ROMEO)
    forged = make_key().sign(target.der, ec.ECDSA(hashes.SHA256()))
    for key in (target, saved):
        key.signatures = [(romeo.name if i % 2 else f"{i:040x}", "ECDSA-SHA256", forged + bytes([i % 256, i // 256]))
                          for i in range(9990)]
    romeo.sign(saved)
    saved.signatures.insert(0, saved.signatures.pop())
    with agent_of(web) as agent:
        path = explain(agent, target)
        assert path["verdict"] == "broken" and breaks(path)[-1] in ("bad_signature", "unchecked")
        assert explain(agent, saved)["verdict"] == "friend"
        keys, edges, _ = graph(agent)
        assert len(edges) <= 300 and len(keys) == 6
        assert keys[target.name]["signature_count"] == 9990  # also those of which no edge is told


def forgeries(key, count=20):
    return [(key.name, "ECDSA-SHA256", os.urandom(70)) for _ in range(count)]


NODES, THIRD, TOLD, IMPORT = 0, 3, 4, 5
STRANGER = "stranger@mantua.example"


@pytest.mark.parametrize("source", ["node", "import", "told by himself", "a third party's answer"])
@pytest.mark.parametrize("noise", ["another's node", "a push as the stranger's own", "a push about the friend", "many strangers"])
def test_k15_what_others_show_or_tell_crowds_nothing_out(source, noise):
    """Forged signatures, with the data and without it, of a key of which a friend, or the person, knows a good one."""
    web = Web()
    romeo = web.add(ROMEO, decision=TRUSTED)
    client = web.add(ROMEO, shown_by=[])
    tellers = [f"s{i}@mantua.example" for i in range(30)] if noise == "many strangers" else [STRANGER]
    for i, who in enumerate(tellers):
        about = ROMEO if noise == "a push about the friend" else who
        client.tell(about, NODES if noise == "another's node" else TOLD, "" if noise == "another's node" else who,
                    forgeries(romeo), reference=i % 2 == 1)
    client.tell(ROMEO, TOLD, "other@mantua.example", forgeries(romeo), reference=True)
    good = romeo.sign(client).signatures
    client.tell(ROMEO, *{"node": (NODES,), "import": (IMPORT,), "told by himself": (TOLD, ROMEO)}.get(source, (THIRD, MERCUTIO)),
                signatures=good)
    with agent_of(web) as agent:
        assert explain(agent, client)["verdict"] == "friend"
        assert graph(agent)[0][client.name]["path"]["verdict"] == "friend"
        shown = agent.call("ShowKeyring", {"name": client.name})
        assert shown["grade"] == "sha256"


def test_what_is_long_is_judged_by_graph_as_by_why():
    """What others show of it does not decide whether the signatures of a key are read."""
    web = Web()
    romeo = web.add(ROMEO, decision=TRUSTED)
    client, long = romeo.sign(web.add(ROMEO)), web.add(ROMEO)
    client.tell(STRANGER, NODES, "", [(f"{i:040x}", "ECDSA-SHA256", os.urandom(300)) for i in range(1100)])
    long.signatures = [(f"{i:040x}", "ECDSA-SHA256", os.urandom(70)) for i in range(3000)]
    romeo.sign(long)
    with agent_of(web) as agent:
        keys, _, _ = graph(agent)
        for key in (client, long):
            path = explain(agent, key)
            assert path["verdict"] == "friend" and keys[key.name]["path"] == path


class Alone:
    """What gpg needs of the world, without one."""

    @staticmethod
    def env():
        return dict(os.environ)

    @staticmethod
    def _chown(_):
        pass

    @staticmethod
    def run(*args, env, check=True, **more):
        return subprocess.run(args, env=env, check=check, capture_output=True, text=True, timeout=PATIENCE, **more).stdout


def test_k4_k6_paths_over_openpgp_keys(tmp_path):
    """An OpenPGP key that was compared, or signed by the person, makes the client keys of its JID trusted."""
    web = Web()
    with Gpg(Alone) as gpg:
        met, signed, gone, nameless = (
            PgpKey(ROMEO, gpg, gpg.make_key(user_id), **known) for user_id, known in (
                (f"xmpp:{ROMEO}", {"decision": TRUSTED}), (f"xmpp:{ROMEO}?message", {}), ("Gone", {"decision": TRUSTED}),
                ("Romeo <romeo@example.org>", {"decision": TRUSTED, "decided_for": MERCUTIO})))
        web.keys += [met, web.cross_sign(signed), gone, nameless]
        revocation = gpg.put("rev", Path(f"{gpg.home}/openpgp-revocs.d/{gone.name.upper()}.rev").read_bytes().replace(b":-----", b"-----"))
        by = [issuer.sign(web.add(ROMEO)) for issuer in (met, signed, gone, nameless)]
        gpg("--import", revocation)
        gone.der = gpg.export(gone.name)
        gone.sha256 = hashlib.sha256(gone.der).hexdigest()
        forged = web.add(ROMEO)
        forged.signatures = [(met.name, None, by[0].signatures[0][2])]
        foreign = met.sign(web.add(MERCUTIO))
        other = met.sign(PgpKey(ROMEO, gpg, gpg.make_key("xmpp:romeo@montague.example?x")))
        web.keys.append(other)
        # a user id can be made at any time: it is not what was signed (K4)
        renamed = met.sign(PgpKey(ROMEO, gpg, gpg.make_key("xmpp:romeo@montague.example?y"), shown_by=[MERCUTIO]))
        mine = web.cross_sign(PgpKey(ROMEO, gpg, gpg.make_key("xmpp:romeo@montague.example?z"), shown_by=[MERCUTIO]))
        web.keys += [renamed, mine]
        his = mine.sign(web.add(ROMEO))
    with agent_of(web) as agent:
        for key, verdict, broken in (
                (met, "trusted", [None]), (signed, "trusted", [None, None]), (gone, "broken", ["revoked"]),
                (by[0], "friend", [None, None]), (by[1], "friend", [None, None, None]),
                (by[3], "vouched", [None, None]), (forged, "broken", [None, "bad_signature"]),
                (foreign, "vouched", [None, None]), (other, "friend", [None, None]), (renamed, "vouched", [None, None]),
                (his, "vouched", [None, None, None])):
            path = explain(agent, key)
            assert (path["verdict"], breaks(path)) == (verdict, broken), key.name
        assert explain(agent, renamed)["claims"] == [ROMEO, MERCUTIO]
        path = explain(agent, by[0])
        assert (path["steps"][1]["method"], path["grade"], path["jid"]) == (None, "sha256", ROMEO)
        assert explain(agent, by[2])["verdict"] == "broken" and "revoked" in breaks(explain(agent, by[2]))
        assert ", an OpenPGP signature" in signet("keyring", "show", by[0].name, "--why", env=env_of(agent)).stdout
        _, texts = drawn(agent, tmp_path)
        assert any("OpenPGP" in t for t in texts)


class Blown(PgpKey):
    """An OpenPGP key that costs many checks, of somebody who can make nothing of it."""

    def __init__(self, jid, signatures, **known):
        key, self.jid = Rsa(), jid
        self.name, text = key.name, b"me"
        bogus = packet(13, text) + b"".join(
            key.signature(0x13, os.urandom(9), at=key.created + i) for i in range(signatures))
        self.der = key.public() + bogus
        self.sha256 = hashlib.sha256(self.der).hexdigest()
        self._known(**known)


def test_the_checks_of_one_key_are_not_used_up_by_others():
    """OpenPGP keys that cost much, and say to be signed by whoever counts: by a friend's key, or by the own user key."""
    web = Web()
    with Gpg(Alone) as gpg:
        met = PgpKey(ROMEO, gpg, gpg.make_key(f"xmpp:{ROMEO}"), decision=TRUSTED)
        other = web.add(MERCUTIO, decision=TRUSTED)
        web.keys.append(met)
        bogus = gpg.sign(met.name, b"other")
        for i in range(8):  # before the friend's: in the order in which they came
            web.keys.append(Blown(STRANGER, 60, source=TOLD))
            web.keys[-1].signatures = [(met.name, None, bogus)]
        blown = [Blown(STRANGER, 60) for _ in range(10)]
        client = met.sign(web.add(ROMEO))
    for key in blown:
        key.signatures = [(web.user.name, "RSA-SHA256", os.urandom(256))]
    web.keys += blown
    client.tell(ROMEO, TOLD, STRANGER, [(key.name, None, bogus) for key in blown])
    vouched = web.add(STRANGER)  # of the same rank as what makes it dear
    vouched.signatures = [(key.name, None, bogus) for key in blown]
    other.sign(vouched)
    with agent_of(web) as agent:
        keys, edges, _ = graph(agent)
        for key, verdict in (client, "friend"), (met, "trusted"), (vouched, "vouched"):
            assert (explain(agent, key)["verdict"], keys[key.name]["path"]["verdict"]) == (verdict, verdict)
        assert [e["verdict"] for e in edges if (e["issuer"], e["subject"]) == (met.name, client.name)] == ["good"]
        for key in web.keys:
            assert explain(agent, key)["verdict"] == keys[key.name]["path"]["verdict"]


# ---- the graph ----

def test_graph_tells_keys_and_signatures():
    web = realistic()
    with agent_of(web) as agent:
        keys, edges, pages = graph(agent)
        assert pages == -(-len(web.keys) // 8) and len(keys) == len(web.keys) + 3
        assert {k["role"] for n, k in keys.items() if n in (web.user.name, web.clients[0].name)} == {"own_user", "own_client"}
        # each says the same as ExplainKey, but for how far away a stranger is
        for name, key in keys.items():
            path = agent.call("ExplainKey", {"name": name})["path"]
            assert key["path"]["verdict"] == path["verdict"]
            assert key["path"] == path or path["verdict"] == "unknown"
        verdicts = collections.Counter(k["path"]["verdict"] for k in keys.values())
        assert verdicts["own"] == 3 and verdicts["trusted"] == 11 and verdicts["refused"] == 1
        assert min(verdicts[v] for v in ("friend", "vouched", "broken", "unknown")) >= 3
        known = {(i, s.name, m) for s in web.keys for i, m, _ in s.signatures} | {
            (web.user.name, s, m) for s, m, _ in web.mine} | {(web.user.name, c.name, "RSA-SHA256") for c in web.clients}
        told = {(e["issuer"], e["subject"], e["method"]) for e in edges}
        assert told == {edge for edge in known if edge[0] in keys}
        assert {e["verdict"] for e in edges} == {"good", "bad"}


def test_graph_goes_from_near_to_far():
    """Strangers who came first, and many of them, hide nobody."""
    web = Web()
    strangers = [web.add(f"s{i}@example.org", number=i % 3) for i in range(30)]
    romeo, nurse = Key(ROMEO, make_key()), Key("nurse@capulet.example", make_key(), decision=TRUSTED)
    signed = [romeo.sign(web.add(ROMEO)), nurse.sign(web.add(MERCUTIO)), web.user.forge(web.add(MERCUTIO), "RSA-SHA256")]
    refused = web.add(ROMEO, decision=DISTRUSTED)
    web.keys += [web.cross_sign(romeo), nurse]
    with agent_of(web) as agent:
        keys, _, _ = graph(agent)
        names = [web.user.name, *(c.name for c in web.clients)]
        assert set(list(keys)[:3]) == set(names)
        assert list(keys)[3:] == [k.name for k in (refused, romeo, nurse, *signed, *strangers)]


@pytest.mark.long
def test_graph_of_many_keys_is_paged_and_its_picture_bounded(tmp_path):
    """More keys than are drawn, all of which sign a friend's."""
    web = Web()
    romeo = web.add(ROMEO, decision=TRUSTED)
    for i in range(3010):
        web.add(f"s{i}@example.org", number=i % 3).sign(romeo)
    with agent_of(web) as agent:
        first = agent.call("Graph")
        assert len(first["keys"]) == 8 + 3 and len(first["edges"]) <= 100 + 2
        path = tmp_path / "many.dot"
        done = signet("graph", "--output", path, env=env_of(agent))
        assert done.returncode == 0 and "only the first" in done.stderr, done.stderr
        assert "more accounts" in path.read_text() and path.stat().st_size < 1 << 17
        assert signet("graph", "--output", tmp_path / "many.svg", env=env_of(agent)).returncode == 0


def drawn(agent, tmp_path):
    """The SVG as an element, and the texts in it."""
    svg = tmp_path / "web.svg"
    done = signet("graph", "--output", svg, env=env_of(agent))
    assert done.returncode == 0, done.stderr
    assert done.stderr == "" and "written:" in done.stdout
    root = ElementTree.parse(svg).getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    return root, [e.text or "" for e in root.iter("{http://www.w3.org/2000/svg}text")]


def test_graph_draws_svg(tmp_path):
    web = realistic()
    with agent_of(web) as agent:
        root, texts = drawn(agent, tmp_path)
        text = "\n".join(texts).replace("\xa0", " ")
        for words in ("You", "Trusted", "Not trusted: friends vouch for them", "Not trusted: broken or refused",
                      "Not trusted: nothing leads to them", "Legend", "compared by you", "signed by you",
                      "SHA-1 only: weaker", "FORGED signature of juliet@capulet.example", "refused by you",
                      "taken back by its owner", "which you refused", "ALSO CLAIMED by mallory@inn.example"):
            assert words in text, words
        for key in web.keys:
            assert key.jid in text
            assert key.name[:8] in text
        colours = {e.get("stroke") for e in root.iter("{http://www.w3.org/2000/svg}path")}
        assert {"#1e7b34", "#e08e0b", "#b3261e", "#d0d0d0"} <= colours
        # on standard output it is DOT, and with --json what the API gives
        dot = signet("graph", env=env_of(agent))
        assert dot.returncode == 0 and dot.stdout.startswith("digraph signet {") and dot.stdout.endswith("}\n")
        assert subprocess.run(["dot", "-Tcanon"], input=dot.stdout, capture_output=True, text=True, check=True).stderr == ""
        told = json.loads(signet("graph", "--json", env=env_of(agent)).stdout)
        assert told["complete"] and len(told["keys"]) == len(web.keys) + 3


def test_hostile_names_break_neither_dot_nor_svg_nor_the_terminal(tmp_path):
    web = Web(clients=0)
    friend = web.add(ROMEO, decision=TRUSTED)
    for at, text in enumerate(HOSTILE):
        key = web.add("", number=at % 3, names=[])
        key.jid, key.shown_by = text, [text]
        friend.sign(key)
    with agent_of(web) as agent:
        root, texts = drawn(agent, tmp_path)
        assert {e.tag.rpartition("}")[2] for e in root.iter()} <= {"svg", "g", "title", "polygon", "path", "text",
                                                                   "polyline", "ellipse"}
        assert not [e for e in root.iter() if any("href" in name for name in e.attrib)]
        assert not any(c < " " or c in HIDDEN for t in texts for c in t)
        assert any("reversed" in t for t in texts) and any("IMG SRC" in t for t in texts)
        assert len([e for e in root.iter("{http://www.w3.org/2000/svg}g") if e.get("class") == "node"]) \
            == len(HOSTILE) + 4  # romeo, juliet, YOU, the legend
        dot = signet("graph", env=env_of(agent)).stdout
        listed = signet("keyring", "show", web.keys[6].name, "--why", env=env_of(agent)).stdout
        for text in (dot, listed):
            assert not set("\x1b\x07" + HIDDEN) & set(text)


def test_graph_of_nobody(tmp_path):
    with Agent(softhsm=False) as agent:
        _, texts = drawn(agent, tmp_path)
        assert "YOU" in texts
        assert agent.call("Graph") == {"keys": [], "edges": [], "next": None}


def test_graph_without_dot_and_with_a_broken_one(tmp_path):
    with Agent(softhsm=False) as agent:
        svg, bare = tmp_path / "web.svg", tmp_path / "bin"
        bare.mkdir()
        done = signet("graph", "--output", svg, "--json", env=env_of(agent, PATH=str(bare)))
        assert done.returncode != 0 and json.loads(done.stdout)["error"] == "Unsupported" and not svg.exists()
        assert signet("graph", "--output", tmp_path / "web.dot", env=env_of(agent, PATH=str(bare))).returncode == 0
        for script in ("exit 3", "kill -9 $$", "exec <&- >&-", "cat >/dev/null"):
            (bare / "dot").write_text(f"#!/bin/sh\n{script}\n")
            (bare / "dot").chmod(0o755)
            done = signet("graph", "--output", svg, env=env_of(agent, PATH=f"{bare}:{os.environ['PATH']}"))
            assert done.returncode != 0 and "dot could not draw it" in done.stderr and not svg.exists()
        done = signet("graph", "--output", tmp_path / "web.png", env=env_of(agent))
        assert done.returncode == 2 and "neither DOT nor SVG" in done.stderr
        assert signet("graph", "--output", "/nonexistent/web.svg", env=env_of(agent)).returncode != 0


@pytest.mark.long
def test_a_dot_that_hangs_is_ended(tmp_path):
    with Agent(softhsm=False) as agent:
        (tmp_path / "dot").write_text("#!/bin/sh\nexec sleep 1000\n")
        (tmp_path / "dot").chmod(0o755)
        start = time.monotonic()
        done = signet("graph", "--output", tmp_path / "web.svg", env=env_of(agent, PATH=f"{tmp_path}:/usr/bin:/bin"))
        assert done.returncode != 0 and "did not draw it within" in done.stderr
        assert time.monotonic() - start < 50


def test_an_agent_that_never_ends_the_graph(tmp_path):
    """Pages without end, or without keys: the command ends all the same."""
    key = {"name": "a" * 40, "kind": "x509", "role": "other", "signature_count": 0, "path": {
        "name": "a" * 40, "verdict": "unknown", "jid": None, "grade": "none", "claims": [], "steps": []}}
    scripted = Scripted(tmp_path, lambda conn, call: send(conn, {"parameters": {"keys": [key] * 1000, "edges": [], "next": "1"}}))
    done = signet("graph", "--socket", scripted.path)
    assert done.returncode == 0 and scripted.methods.count("Graph") == 3


# ---- the command line ----

def test_keyring_show_why():
    web = Web()
    romeo = web.cross_sign(web.add(ROMEO))
    phone = romeo.sign(web.add(ROMEO, days=(-9, -1)))
    with agent_of(web) as agent:
        done = signet("keyring", "show", romeo.name, "--why", env=env_of(agent))
        assert done.returncode == 0, done.stderr
        assert f"verdict:      TRUSTED by you, as {ROMEO}\n" in done.stdout
        assert f"why:          your own key {web.user.name} of {web.jid}\n" in done.stdout
        assert f"\n              -> signed {romeo.name} of {ROMEO}, RSA-SHA256\n" in done.stdout
        done = signet("keyring", "show", *re.findall("....", phone.name), "--why", env=env_of(agent))
        assert "verdict:      NOT TRUSTED, the way to it is broken\n" in done.stdout
        assert done.stdout.endswith(">>> BREAKS HERE: this key has expired\n")
        told = json.loads(signet("keyring", "show", phone.name, "--why", "--json", env=env_of(agent)).stdout)
        assert told["path"] == explain(agent, phone)
        assert "path" not in json.loads(signet("keyring", "show", phone.name, "--json", env=env_of(agent)).stdout)


def test_verify_why(tmp_path):
    romeo = Key(ROMEO, make_key())
    keys = {"friend": romeo.sign(Key(ROMEO, make_key())), "vouched": romeo.sign(Key(MERCUTIO, make_key())),
            "broken": romeo.sign(Key(ROMEO, make_key(), days=(-9, -1))), "unknown": Key(ROMEO, make_key())}
    keys["unknown"] = keys["friend"].sign(keys["unknown"])
    path, issuer = tmp_path / "keys.xml", tmp_path / "romeo.der"
    path.write_text(f"<pubkeys>{''.join(k.keyinfo() for k in keys.values())}</pubkeys>")
    issuer.write_bytes(romeo.der)
    told = json.loads(signet("verify", path, "--issuer", issuer, "--why", "--json").stdout)
    assert [k["path"]["verdict"] for k in told["keys"]] == list(keys)
    assert told["keys"][0]["path"]["steps"][0]["way"] == "person"
    text = signet("verify", path, "--issuer", issuer, "--why").stdout
    for words in (f"TRUSTED through a key that you trust, as {ROMEO}", f"you trust {romeo.name} of {ROMEO}",
                  f"-> signed {keys['vouched'].name} of {MERCUTIO}, ECDSA-SHA256", "BREAKS HERE: this key has expired",
                  "BREAKS HERE: the key that signed makes no other key trusted"):
        assert words in text, words
    # as of a time when the key was valid
    told = json.loads(signet("verify", path, "--issuer", issuer, "--why", "--json", "--at",
                             time.strftime("%Y-%m-%d", time.gmtime(time.time() - 5 * 86400))).stdout)
    assert [k["path"]["verdict"] for k in told["keys"]] == ["friend", "vouched", "friend", "unknown"]
    # an issuer that came with the file is nobody whom the person trusts
    path.write_text(f"<pubkeys>{romeo.keyinfo()}{keys['friend'].keyinfo()}</pubkeys>")
    told = json.loads(signet("verify", path, "--why", "--json").stdout)
    assert [k["path"]["verdict"] for k in told["keys"]] == ["unknown", "unknown"]
    assert "path" not in json.loads(signet("verify", path, "--json").stdout)["keys"][0]


# ---- comparing in person ----

def modules(text):
    """The dark modules of a QR code as it was drawn: rows of booleans."""
    lines = text.splitlines()
    if any(c in text for c in "█▀▄"):
        upper = {"█": (0, 0), "▀": (0, 1), "▄": (1, 0), " ": (1, 1)}
        return [[upper[c][half] for c in line] for line in lines for half in (0, 1)]
    return [[line[i:i + 2] == "##" for i in range(0, len(line), 2)] for line in lines]


def decoded(text, tmp_path):
    """What another program reads in it."""
    rows, scale = modules(text), 4
    image = tmp_path / "qr.pgm"
    pixels = b"".join(bytes(0 if dark else 255 for dark in row for _ in range(scale)) * scale for row in rows)
    image.write_bytes(b"P5 %d %d 255\n" % (len(rows[0]) * scale, len(rows) * scale) + pixels)
    return subprocess.run(["zbarimg", "--quiet", "--raw", "-Sdisable", "-Sqrcode.enable", image], check=True,
                          capture_output=True, text=True).stdout.rstrip("\n")


@pytest.fixture(scope="module")
def own():
    """An agent with a user key, and its certificate."""
    with Agent() as agent:
        agent.unlock("one")
        for jid in ("juliet@capulet.example", "o;p?%@capulet.example"):
            agent.call("AddAccount", {"jid": jid})
            with secret(PIN) as fd:
                agent.call("NewKey", {"token": "one", "label": jid, "account": jid, "user": True, "algorithm": "p256",
                                      "pin": {"fd": 0}}, [fd])
        agent.call("NewKey", {"token": "one", "label": "bare", "algorithm": "p256"})
        yield agent


def shown(agent, label, *args, **env):
    done = signet("key", "show", label, *args, env=env_of(agent, **env))
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_fingerprint_in_groups(own):
    certificate = own.call("ShowKey", {"key": "juliet@capulet.example"})["certificates"][0]
    text = shown(own, "juliet@capulet.example", "--fingerprint")
    assert text.startswith("JID:          juliet@capulet.example\nname:         ")
    groups = re.findall(r"\b[0-9a-f]{4}\b", text)
    assert "".join(groups[:10]) == certificate["name"] and "".join(groups[10:]) == certificate["sha256"]
    assert len(groups) == 26 and [len(line.split()) for line in text.splitlines()[1:]] == [6, 5, 5, 4, 4, 4]
    # what is printed can be given to `keyring trust` as it is
    assert not re.search("[^0-9a-f \n]", text.partition("SHA-256:")[2])


@pytest.mark.parametrize("locale", ["C.UTF-8", "C"])
def test_qr_code_is_read_by_another_program(own, tmp_path, locale):
    for label, jid in (("juliet@capulet.example", "juliet@capulet.example"), ("o;p?%@capulet.example", "o%3Bp%3F%25@capulet.example")):
        certificate = own.call("ShowKey", {"key": label})["certificates"][0]
        uri = f"xmpp:{jid}?pubkey;name={certificate['name']};sha-256={certificate['sha256']}"
        text = shown(own, label, "--qr", LC_ALL=locale)
        assert f"URI:          {uri}\n\n" in text
        code = text.partition(f"{uri}\n\n")[2]
        assert decoded(code, tmp_path) == uri
        assert "\x1b" not in text
        assert json.loads(shown(own, label, "--qr", "--json"))["certificates"][0]["xmpp_uri"] == uri


def test_a_key_without_certificate_has_nothing_to_compare(own):
    for option in ("--fingerprint", "--qr"):
        done = signet("key", "show", "bare", option, env=env_of(own))
        assert done.returncode != 0 and "has no certificate" in done.stderr and done.stdout == ""


def test_the_tools_are_there():
    """A picture that is never drawn is never looked at."""
    assert shutil.which("dot") and shutil.which("zbarimg")
