"""What the operator does beside a running authority: list, show, revoke, crl, stats."""
import json
import os
import re
import subprocess

import pytest
from cryptography import x509

from authority_client import Client, bare, sha256
from authority_world import LIMIT, key_files, revoked_list
from certificates import make_csr, make_key
from processes import until, wait_idle
from world import DOMAIN, Failed

pytest_plugins = ["authority_fixtures"]


def operate(place, *args, env=None, **kwargs):
    """The operator's command, as the authority's user; without a token, so that none can be needed."""
    return place.run("signet-authority", "--config", place.authority_conf, *args, env=env or place.env(), **kwargs)


def told(place, *args, **kwargs):
    return json.loads(operate(place, *args, "--json", **kwargs))


def refused(place, *args, **kwargs):
    """(exit status, error's name, what it says)."""
    with pytest.raises(Failed) as failed:
        operate(place, *args, "--json", **kwargs)
    answer = json.loads(failed.value.out)
    return failed.value.status, answer["error"], answer["parameters"]["message"]


def crl_of(place):
    return x509.load_pem_x509_crl((place.dir / "authority/crl.pem").read_bytes())


def serial_of(der):
    return x509.load_der_x509_certificate(der).serial_number


def issue(client, count=1, name="phone"):
    return [client.added(make_csr(make_key(), bare(client)), name) for _ in range(count)]


def test_list_and_show_say_what_was_issued(place, client):
    first, second = issue(client, 2, "my &lt;phone&gt; \u202e")
    client.revoke(sha256(second))
    rows = told(place, "list", "--account", bare(client))["certificates"]
    assert [row["sha256"] for row in rows] == [sha256(first), sha256(second)]
    assert [row["state"] for row in rows] == ["valid", "revoked"]
    for row, der in zip(rows, (first, second)):
        cert = x509.load_der_x509_certificate(der)
        assert x509.load_pem_x509_certificate(row["certificate"].encode()) == cert
        assert int(row["serial"], 16) == cert.serial_number
        assert row["not_after"] == cert.not_valid_after.strftime("%Y-%m-%dT%H:%M:%SZ")
        assert (row["account"], row["name"], row["last_used"]) == (bare(client), "my <phone> \u202e", None)
        assert (row["revoked_at"] is None) == (der == first) and row["reason"] is None
    for state, der in (("valid", first), ("revoked", second)):
        rows = told(place, "list", "--account", bare(client).upper(), "--state", state)["certificates"]
        assert [row["sha256"] for row in rows] == [sha256(der)]
    assert told(place, "list", "--account", bare(client), "--state", "expired")["certificates"] == []
    # by the beginning of either number, and as openssl prints them
    serial = f"{serial_of(first):040x}"
    whole = told(place, "show", sha256(first))
    for which in (sha256(first)[:12], sha256(first).upper(), serial, serial[:12],
                  ":".join(re.findall("..", serial.upper()))):
        assert told(place, "show", which) == whole
    text = operate(place, "show", serial)
    assert "\u202e" not in text and "name:        my <phone> ?\n" in text
    assert place.openssl("x509", "-in", "@", "-noout", "-serial", data=text.encode()) == f"serial={serial.upper()}\n"
    lines = [line for line in operate(place, "list").splitlines() if bare(client) in line]
    assert [line.split()[0] for line in lines] == ["valid", "revoked"] and "\u202e" not in "".join(lines)


def test_revoke_bites_beside_a_running_authority(place):
    """List, CRL and the session: all without the operator's having a token or a PIN."""
    name = place.account()
    key, other = make_key(), make_key()
    with Client(place, name) as client:
        der, kept = (client.added(make_csr(k, bare(client))) for k in (key, other))
    number = crl_of(place).extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    with Client(place, name, key_files(place, key, der), "a") as gone, \
            Client(place, name, key_files(place, other, kept), "b") as stays:
        assert gone.logged_in and stays.logged_in
        mark = place.authority.mark()
        answer = told(place, "revoke", sha256(der)[:16], "--reason", "device \"lost\" = gone")
        assert answer == {"revoked": [sha256(der)], "revoked_before": [], "listed": True}
        assert sha256(der) in revoked_list(place)
        assert gone.down.wait(60), "the session is still there"
        place.authority.wait_line("crl number=", since=mark)
        until(lambda: crl_of(place).get_revoked_certificate_by_serial_number(serial_of(der)))
        assert crl_of(place).extensions.get_extension_for_class(x509.CRLNumber).value.crl_number > number
        assert stays.logged_in
    with Client(place, name, key_files(place, key, der), "a") as gone:
        assert gone.refused
    row = told(place, "show", sha256(der))
    assert (row["state"], row["reason"]) == ("revoked", "device \"lost\" = gone")
    # again: said, no error, and nothing of it changes
    assert told(place, "revoke", sha256(der), "--reason", "x")["revoked_before"] == [sha256(der)]
    assert told(place, "show", sha256(der)) == row
    with Client(place, name) as client:
        assert [entry[1] for entry in client.listed()] == [kept]


def test_revoke_takes_all_of_an_account_and_of_no_other(place, client):
    mine = issue(client, LIMIT)
    client.revoke(sha256(mine[0]))
    with Client(place, place.account()) as other:
        (hers,) = issue(other)
        answer = told(place, "revoke", "--account", bare(client))
        assert answer == {"revoked": [sha256(der) for der in mine[1:]], "revoked_before": [], "listed": True}
        assert {sha256(der) for der in mine} <= set(revoked_list(place)) and sha256(hers) not in revoked_list(place)
        assert client.listed() == [] and [entry[1] for entry in other.listed()] == [hers]
        assert told(place, "revoke", "--account", bare(client))["revoked"] == []
        until(lambda: all(crl_of(place).get_revoked_certificate_by_serial_number(serial_of(der)) for der in mine))


def test_revoke_without_a_running_authority_keeps_out_all_the_same(place):
    name, key = place.account(), make_key()
    with Client(place, name) as client:
        der = client.added(make_csr(key, bare(client)))
    with Client(place, name, key_files(place, key, der), "a") as gone:
        assert gone.logged_in
        place.authority.stop()
        try:
            operate(place, "revoke", sha256(der))
            assert gone.down.wait(60)
            assert crl_of(place).get_revoked_certificate_by_serial_number(serial_of(der)) is None
            answer = told(place, "crl", env=place.authority_env)
            assert answer["path"] == str(place.dir / "authority/crl.pem")
            crl = crl_of(place)
            assert crl.get_revoked_certificate_by_serial_number(serial_of(der))
            assert crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == answer["number"]
            assert "verify OK" in place.openssl("crl", "-in", place.dir / "authority/crl.pem", "-noout", "-CAfile",
                                                place.dir / "authority/ca.pem", check=False)[2]
        finally:
            place.start_authority()


def test_crl_needs_the_token_and_says_so(place):
    tokens = place.mkdir("no-tokens")
    env = place.env(SOFTHSM2_CONF=place.write("no-tokens.conf", f"directories.tokendir = {tokens}\n"))
    status, name, said = refused(place, "crl", env=env)
    assert status == 3 and name == "TokenAbsent" and said.startswith("crl: ")


def test_stats_count(place, client):
    before = told(place, "stats")
    der, _ = issue(client, 2)
    client.revoke(sha256(der))
    after = told(place, "stats")
    more = {key: after[key] - before[key] for key in before}
    assert more == {"issued": 2, "valid": 1, "expired": 0, "revoked": 1, "accounts": 1, "crl_number": 1}
    assert f"revoked:     {after['revoked']}\n" in operate(place, "stats")


@pytest.mark.parametrize("args, status, name, said", [
    (("show", "0" * 64), 3, "KeyAbsent", "there is no certificate whose"),
    (("revoke", "0" * 40), 3, "KeyAbsent", "there is no certificate whose"),
    (("show", "0123456"), 2, "ArgumentWrong", "at least 8"),
    (("show", "0123456g"), 2, "ArgumentWrong", "hexadecimal digits"),
    (("revoke", "%" * 16), 2, "ArgumentWrong", "hexadecimal digits"),
    (("revoke", "--account", f"nobody@{DOMAIN}"), 3, "AccountAbsent", "never had a certificate"),
    (("revoke", "--account", DOMAIN), 2, "ArgumentWrong", "is no account"),
    (("list", "--account", f"juliet@{DOMAIN}/x"), 2, "ArgumentWrong", "is no account"),
    (("list", "--state", "good"), 2, "ArgumentWrong", "valid, expired or revoked"),
    (("revoke", "0" * 64, "--reason", "x" * 201), 2, "ArgumentWrong", "at most 200 bytes"),
    (("revoke", "0" * 64, "--reason", "a\x1bb"), 2, "ArgumentWrong", "is text"),
])
def test_what_cannot_be_done_is_said(place, args, status, name, said):
    answer = refused(place, *args)
    assert answer[:2] == (status, name) and said in answer[2]


@pytest.mark.parametrize("args", [("show",), ("revoke",), ("revoke", "0" * 64, "--account", f"juliet@{DOMAIN}"),
                                  ("stats", "--reason", "x"), ("list", "x"), ("crl", "--name", "x"),
                                  ("run", "--json"), ("show", "0" * 64, "1" * 64), ("list", "--reason", "x")])
def test_wrong_options_are_usage(place, args):
    with pytest.raises(Failed) as failed:
        operate(place, *args)
    assert failed.value.status == 2 and "usage:" in failed.value.err


def test_what_begins_two_is_refused_with_both(place):
    """Fingerprints cannot be chosen, so two rows are made alike in a copy of the ledger."""
    folder = place.mkdir("copy")
    source = place.dir / "authority/ledger.db"
    place.run("python3", "-c", "import sqlite3, sys; a = sqlite3.connect(sys.argv[1]); b = sqlite3.connect(sys.argv[2]); "
              "a.backup(b); b.execute(\"UPDATE certificate SET sha256 = 'abcdef0123' || substr(sha256, 11)\"); b.commit()",
              source, folder / "ledger.db")
    conf = place.write("copy/authority.conf", place.authority_conf.read_text().replace(str(source),
                                                                                      str(folder / "ledger.db")))
    for verb in ("show", "revoke"):
        with pytest.raises(Failed) as failed:
            place.run("signet-authority", "--config", conf, verb, "abcdef0123")
        assert failed.value.status == 3 and "give more digits" in failed.value.err
        assert len(re.findall("^  abcdef0123[0-9a-f]{54}  ", failed.value.err, re.M)) > 1


def test_another_user_is_told_whose_the_ledger_is(place):
    command = [place.dir / "bin/signet-authority", "--config", place.authority_conf, "stats"]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)  # as root, as make check is run
    if place.dir.stat().st_uid != os.geteuid():
        assert done.returncode == 2 and "must be our own" in done.stderr
    else:
        assert done.returncode == 0


def test_the_authority_is_idle_again_after_an_operator(place, client):
    (der,) = issue(client)
    operate(place, "list")
    operate(place, "revoke", sha256(der))
    wait_idle(place.authority.popen.pid)
    mark = place.authority.mark()
    operate(place, "stats")  # who only reads wakes nobody for long, and has nothing written
    wait_idle(place.authority.popen.pid, seconds=1)
    assert not any("crl number" in line for line in place.authority.said(since=mark))


def test_each_request_is_one_line(place, client):
    mark = place.authority.mark()
    csr = make_csr(make_key(), bare(client))
    der = client.added(csr)
    client.added(csr)
    client.add(b"x")
    client.add(make_csr(make_key(), f"other@{DOMAIN}"))
    client.listed()
    client.revoke(sha256(der))
    client.revoke(sha256(der))
    client.revoke("ff" * 32)
    client.revoke("zz")
    client.iq("get", "<add-certificate-request xmlns='urn:xmpp:ccm2:add-cert:0'/>")
    client.iq("get", "<list-certificates-request xmlns='urn:xmpp:ccm2:list-certs:0'/>", to=f"juliet@{DOMAIN}")
    wait_idle(place.authority.popen.pid, seconds=1)
    lines = [line for line in place.authority.said(since=mark) if "outcome=" in line]
    assert [re.findall(r" (\S+) outcome=(\S+)", line)[0] for line in lines] == [
        ("add", "issued"), ("add", "repeated"), ("add", "bad-request"), ("add", "forbidden"), ("list", "listed"),
        ("revoke", "revoked"), ("revoke", "revoked-before"), ("revoke", "item-not-found"), ("revoke", "bad-request"),
        ("request", "bad-request"), ("request", "forbidden")]
    assert all(f"account={bare(client)}" in line for line in lines[:-1])
    assert f"account=juliet@{DOMAIN} who={bare(client)}/" in lines[-1]
    assert [sha256(der) in line for line in lines] == [True] * 2 + [False] * 3 + [True] * 2 + [False] * 4
