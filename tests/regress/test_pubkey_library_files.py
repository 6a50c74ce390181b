"""The keyring's files: what goes out and comes in, judged by openssl and python3-cryptography, and what is no such file."""
import base64
import re
import subprocess
import xml.etree.ElementTree as ET

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from agent_fixture import Agent
from key_node import Key, good
from keyring_agent import NS, Q, keyring_xml, listed, show, text, told

pytest_plugins = ["server_fixtures", "keyring_fixtures"]


# ---- files ----

def jids_of(key):
    return sorted({s["jid"] for s in key["sightings"]})


def test_export_and_import_round_trip(pair, tmp_path):
    """Out of one agent into another: the same keys, JIDs and signatures; no decision; every signature good by
    python3-cryptography."""
    friend = Key("benvolio@example.test", kind="rsa2048")
    friend.sign(pair.user, method="RSA-SHA1")
    friend.sign(pair.user)
    pair.publish(pair.user, pair.client)
    pair.fetch()
    told(pair.agent, "keyring", "import", "-", input=friend.keyinfo())
    told(pair.agent, "keyring", "import", "-", "--jid", "other@example.test", input=pair.user.keyinfo())
    told(pair.agent, "keyring", "trust", pair.romeo.jid, pair.user.name)
    before = listed(pair.agent)
    out = tmp_path / "keyring.xml"
    text(pair.agent, "keyring", "export", "--out", out)
    assert text(pair.agent, "keyring", "export") == out.read_text()

    root = ET.fromstring(out.read_text())
    assert root.tag == "{urn:signet:keyring}keyring"
    ders = {k.name: k.der for k in (friend, pair.user, pair.client)}
    seen, checked = set(), 0
    for pubkeys in root.findall(f"{Q}pubkeys"):
        for keyinfo in pubkeys.findall(f"{Q}keyinfo"):
            name = keyinfo.findtext(f"{Q}name")
            seen.add((pubkeys.get("jid"), name))
            assert base64.b64decode(keyinfo.findtext(f"{Q}x509cert")) == ders[name]
            for signature in keyinfo.findall(f"{Q}signature"):
                value = signature.find(f"{Q}value")
                good((value.get("method"), base64.b64decode(value.text)), ders[name],
                     ders[signature.findtext(f"{Q}issuer")])
                checked += 1
    assert seen == {(pair.romeo.jid, pair.user.name), (pair.romeo.jid, pair.client.name),
                    ("other@example.test", pair.user.name), ("benvolio@example.test", friend.name)}
    assert checked == 2 + 2 + 1

    with Agent(softhsm=False) as other:
        done = told(other, "keyring", "import", out)
        assert (done["added"], done["known"], done["own"], done["refused"]) == (4, 0, 0, [])
        after = listed(other)
        assert set(after) == set(before)
        for name, key in after.items():
            assert key["sha256"] == before[name]["sha256"] and jids_of(key) == jids_of(before[name])
            assert {s["source"] for s in key["sightings"]} == {"import"} and key["decision"] == "undecided"
        assert {s["verdict"] for s in show(other, pair.user)["signatures"]} == {"good"}
        assert show(other, pair.client)["grade"] == "sha256"
        assert other.call("Status")["changed_count"] == 0
        # the same once more: nothing new; and out again, the same
        assert told(other, "keyring", "import", out)["known"] == 4
        again = ET.fromstring(text(other, "keyring", "export"))
        assert {(p.get("jid"), k.findtext(f"{Q}name")) for p in again for k in p} == seen
    # `signet verify` reads it, too
    assert told(pair.agent, "verify", out)["refused"] == []


def test_export_of_some(pair, tmp_path):
    pair.publish(pair.user, pair.client)
    pair.fetch()
    told(pair.agent, "keyring", "import", "-", input=Key("benvolio@example.test").keyinfo())
    root = ET.fromstring(text(pair.agent, "keyring", "export", pair.client.name))
    assert root.tag == f"{Q}pubkeys" and root.get("jid") == pair.romeo.jid
    assert [k.findtext(f"{Q}name") for k in root] == [pair.client.name]
    root = ET.fromstring(text(pair.agent, "keyring", "export", pair.romeo.jid))
    assert {k.findtext(f"{Q}name") for p in root for k in p} == {pair.user.name, pair.client.name}


def test_pem_bundles_by_openssl_and_cryptography(pair, tmp_path):
    pair.publish(pair.user, pair.client)
    pair.fetch()
    told(pair.agent, "keyring", "import", "-", "--jid", "other@example.test", input=pair.user.keyinfo())
    bundle = tmp_path / "keys.pem"
    text(pair.agent, "keyring", "export", "--pem", "--out", bundle)
    loaded = [x509.load_pem_x509_certificate(pem) for pem in re.findall(b"-----BEGIN.*?-----END[^\n]*\n", bundle.read_bytes(), re.S)]
    assert sorted(c.public_bytes(Encoding.DER) for c in loaded) == sorted([pair.user.der, pair.client.der])
    printed = subprocess.run(["openssl", "storeutl", "-noout", "-text", "-certs", bundle], check=True, capture_output=True,
                             text=True).stdout
    assert printed.count("Certificate:") == 2
    # one that openssl writes comes in, in both forms
    foreign = Key("tybalt@example.test")
    der = tmp_path / "foreign.der"
    der.write_bytes(foreign.der)
    pem = subprocess.run(["openssl", "x509", "-inform", "DER", "-in", der, "-text"], check=True, capture_output=True,
                         text=True).stdout  # with text before it
    nameless = Key()
    with Agent(softhsm=False) as other:
        bundle.write_text(bundle.read_text() + pem)
        assert told(other, "keyring", "import", bundle)["added"] == 3
        assert jids_of(listed(other)[foreign.name]) == ["tybalt@example.test"]  # as the certificate says
        assert told(other, "keyring", "import", der)["known"] == 1
        (tmp_path / "nameless.der").write_bytes(nameless.der)
        done = told(other, "keyring", "import", tmp_path / "nameless.der", status=7)
        assert done["refused"][0]["name"] == nameless.name and "whose" in done["refused"][0]["reason"]
        assert told(other, "keyring", "import", tmp_path / "nameless.der", "--jid", "mercutio@example.test")["added"] == 1
        assert jids_of(listed(other)[nameless.name]) == ["mercutio@example.test"]


def test_many_keys_go_out_and_come_in(tmp_path):
    """More than one message carries, both ways; the order is that in which they became known."""
    private = Key("a@example.test")
    names = [f"{i:040x}" for i in range(1, 1301)]
    entries = [(f"user{i % 7}@example.test", f"<keyinfo xmlns='{NS}'><name>{n}</name></keyinfo>") for i, n in enumerate(names)]
    entries.append(("a@example.test", private.keyinfo()))
    with Agent(softhsm=False) as agent, Agent(softhsm=False) as other:
        path = tmp_path / "many.xml"
        path.write_text(keyring_xml(*entries))
        assert told(agent, "keyring", "import", path)["added"] == 1301
        assert [k["name"] for k in told(agent, "keyring", "list")["keys"]] == names + [private.name]
        assert len(listed(agent, "user3@example.test")) == len(names) // 7 + 1
        out = tmp_path / "out.xml"
        text(agent, "keyring", "export", "--out", out)
        assert told(other, "keyring", "import", out)["added"] == 1301
        assert set(listed(other)) == set(listed(agent))


def test_k2_a_reference_is_known_by_name_until_its_data_comes(agent):
    key = Key("romeo@example.test")
    reference = f"<keyinfo xmlns='{NS}'><name>{key.name}</name></keyinfo>"
    told(agent, "keyring", "import", "-", "--jid", "romeo@example.test", input=reference)
    known = listed(agent)[key.name]
    assert (known["kind"], known["sha256"], known["jids"]) == ("reference", None, [])
    error = told(agent, "keyring", "trust", "romeo@example.test", key.name, status=3)
    assert error["error"] == "KeyAbsent" and "only the name" in error["parameters"]["message"]
    told(agent, "keyring", "import", "-", input=key.keyinfo())
    known, = listed(agent).values()
    assert (known["kind"], known["sha256"]) == ("x509", key.sha256)
    told(agent, "keyring", "trust", "romeo@example.test", key.name)


# ---- hostile files ----

BOMB = "<!DOCTYPE x [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;'>]><x>&b;</x>"
GOOD = Key("good@example.test")
OTHER = Key("other@example.test")

REFUSED = {  # each beside a good one, which is kept
    "k2 another name": OTHER.keyinfo(name=GOOD.name),
    "k2 no name": f"<keyinfo xmlns='{NS}'><x509cert>{base64.b64encode(OTHER.der).decode()}</x509cert></keyinfo>",
    "k2 a name that is none": OTHER.keyinfo(name="xyz"),
    "k1 two keys": OTHER.keyinfo().replace("</keyinfo>", f"<x509>{base64.b64encode(GOOD.der).decode()}</x509></keyinfo>"),
    "no Base64": re.sub("<x509cert>.", "<x509cert>!", OTHER.keyinfo()),
    "no certificate": OTHER.keyinfo(data=b"no certificate"),
    "a certificate and more": OTHER.keyinfo(data=OTHER.der + b"x"),
    "no OpenPGP key": f"<keyinfo xmlns='{NS}'><name>{'ab' * 20}</name><pgpdata>AAAA</pgpdata></keyinfo>",
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_keyinfo_is_refused_and_the_rest_kept(agent, what):
    xml = keyring_xml(("bad@example.test", REFUSED[what]), ("good@example.test", GOOD.keyinfo()))
    done = told(agent, "keyring", "import", "-", input=xml, status=7)
    assert done["error"] == "KeyinfoRefused" and (done["added"], done["refused_count"]) == (1, 1)
    assert done["refused"][0]["reason"]
    assert set(listed(agent)) == {GOOD.name}


@pytest.mark.parametrize("xml", [
    "", "no xml", "<x", "<x></y>", BOMB, "<?xml version='1.0' encoding='utf-16'?><x/>", "<x>" * 40 + "</x>" * 40,
    "<x>" + "<y/>" * 250000 + "</x>", "\x00", "<x>\x01</x>", "<keyinfo/>", f"<pubkeys xmlns='{NS}'/>",
    "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nAAAA\n",
], ids=lambda xml: repr(xml[:24]))
def test_what_cannot_be_imported(agent, tmp_path, xml):
    """Neither the program nor the agent takes it, and both say why."""
    path = tmp_path / "file"
    path.write_text(xml)
    done = told(agent, "keyring", "import", path, status=7)
    assert done["error"] == "KeyinfoRefused"
    if "\x00" not in xml and not xml.startswith("-----"):
        with agent.client() as client:
            client.send("ImportKeyring", {"keyinfos": xml})
            reply = client.receive_raw()
        if "error" in reply:
            assert reply["error"].endswith(".KeyinfoRefused")
        else:  # XML without a key
            assert reply["parameters"]["added"] == reply["parameters"]["known"] == 0
    assert listed(agent) == {}
    assert agent.call("Status")["pid"] == agent.popen.pid


def test_limits_of_one_call(agent):
    references = [("a@example.test", f"<keyinfo xmlns='{NS}'><name>{i:040x}</name></keyinfo>") for i in range(251)]
    error = agent.error("ImportKeyring", {"keyinfos": keyring_xml(*references)})
    assert error.name == "LimitExceeded" and listed(agent) == {}
    assert agent.call("ImportKeyring", {"keyinfos": keyring_xml(*references[:250])})["added"] == 250
    # what names no JID, or one that is none
    done = agent.call("ImportKeyring", {"keyinfos": keyring_xml(("@", GOOD.keyinfo()), (None, Key().keyinfo()))})
    assert (done["added"], done["refused_count"]) == (0, 2)
    # so many refused ones are counted, and some are named
    bad = [("a@example.test", f"<keyinfo xmlns='{NS}'><name>x{i}</name></keyinfo>") for i in range(150)]
    done = agent.call("ImportKeyring", {"keyinfos": keyring_xml(*bad)})
    assert done["refused_count"] == 150 and len(done["refused"]) == 100


def test_a_keyinfo_longer_than_a_message(agent, tmp_path):
    """It is refused by name, and what stands around it is kept."""
    long = Key("long@example.test")
    long.signatures = [("ab" * 20, "RSA-SHA256", b"x" * 60000)] * 14
    path = tmp_path / "long.xml"
    path.write_text(keyring_xml(("long@example.test", long.keyinfo()), ("good@example.test", GOOD.keyinfo())))
    done = told(agent, "keyring", "import", path, status=7)
    assert done["refused"] == [{"name": long.name, "reason": "it is longer than a message may be"}]
    assert set(listed(agent)) == {GOOD.name}


def test_a_key_with_very_many_signatures_is_shown_in_part(agent):
    """10,000 would not fit into a message, nor be judged at once."""
    key = Key("many@example.test")
    key.signatures = [(f"{i:040x}", "RSA-SHA256", b"value") for i in range(3000)]
    agent.call("ImportKeyring", {"keyinfos": keyring_xml(("many@example.test", key.keyinfo()))})
    shown = show(agent, key)
    assert shown["signature_count"] == 3000 and len(shown["signatures"]) == 1000
    assert shown["keyinfo"] is None or len(shown["keyinfo"]) <= 512 << 10
    assert len(ET.fromstring(text(agent, "keyring", "export", key.name)).findall(f".//{Q}signature")) == 3000
