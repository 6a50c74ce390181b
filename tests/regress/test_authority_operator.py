"""What the operator does beside a running authority: list, show, revoke, crl, stats."""
import concurrent.futures
import contextlib
import fcntl
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


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_a_list_that_nobody_reads_says_just_that(place, client, form):
    issue(client, LIMIT)  # more than is kept back for the end
    read, write = os.pipe()
    os.close(read)
    try:
        listing = place.popen(["signet-authority", "--config", place.authority_conf, "list", *form], place.env(),
                              stdout=write, stderr=subprocess.PIPE, text=True)
    finally:
        os.close(write)
    assert listing.communicate()[1] == "signet-authority: standard output cannot be written: Broken pipe\n"
    assert listing.returncode == 1


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
        until(lambda: told(place, "show", sha256(der))["last_used"], "no login is known")
        rows = told(place, "list", "--account", bare(gone))["certificates"]
        assert all(re.fullmatch(r"[-\d]{10}T[:\d]{8}Z", row["last_used"]) for row in rows)
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
    del row["last_used"]  # the server tells of that when it likes
    assert row.items() < told(place, "show", sha256(der)).items()
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


def test_an_empty_pin_file_is_said_to_be_that(place):
    pin = place.write("authority/empty.pin", "", 0o600)
    conf = place.write("authority/empty.conf", place.authority_conf.read_text()
                       .replace(f"pin-file = {place.dir}/pin\n", f"pin-file = {pin}\n"))
    with pytest.raises(Failed) as failed:
        place.run("signet-authority", "--config", conf, "crl", env=place.authority_env)
    assert failed.value.status == 4 and f"PIN file {pin}: is empty" in failed.value.err


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


def copy_of_ledger(place, name):
    """A configuration with files of its own, and what runs SQL on its ledger."""
    folder, source = place.mkdir(name), place.dir / "authority"

    def run_sql(text):
        place.run("sqlite3", folder / "ledger.db", text)
    place.run("sqlite3", source / "ledger.db", f"VACUUM INTO '{folder}/ledger.db'")
    text = place.authority_conf.read_text()
    for file in ("ledger.db", "revoked.txt", "crl.pem"):
        text = text.replace(f"{source}/{file}", f"{folder}/{file}")
    return place.write(f"{name}/authority.conf", text), run_sql


def test_what_begins_two_is_refused_with_both(place, client):
    """Fingerprints cannot be chosen, so rows are made alike in a copy of the ledger."""
    issue(client, 2)
    conf, run_sql = copy_of_ledger(place, "alike")
    run_sql("UPDATE certificate SET sha256 = 'abcdef0123' || substr(sha256, 11)")
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


def test_a_long_ledger_is_listed_to_its_end(place):
    """Page by page: in a copy of the ledger, with rows of an account that are made alike."""
    conf, run_sql = copy_of_ledger(place, "long")
    account = f"many@{DOMAIN}"
    run_sql(f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1203) INSERT INTO certificate "
            f"(serial, sha256, sha1, sha512, account, name, der, csr_sha256, issued_at, not_after, state) "
            f"SELECT randomblob(20), lower(hex(randomblob(32))), lower(hex(randomblob(20))), lower(hex(randomblob(64))), "
            f"'{account}', 'n' || i, x'30', randomblob(32), i, CASE i % 3 WHEN 0 THEN 1 ELSE 4000000000 END, 'valid' FROM n")
    operator = ("signet-authority", "--config", conf)
    rows = json.loads(place.run(*operator, "list", "--account", account, "--json"))["certificates"]
    assert [row["name"] for row in rows] == [f"n{i}" for i in range(1, 1204)]
    assert len(place.run(*operator, "list", "--account", account, "--state", "expired").splitlines()) == 401
    answer = json.loads(place.run(*operator, "revoke", "--account", account, "--json"))
    assert answer["revoked"] == [row["sha256"] for row in rows if row["state"] == "valid"] and len(answer["revoked"]) == 802
    assert json.loads(place.run(*operator, "stats", "--json"))["expired"] >= 401


def test_who_writes_at_the_same_time_leaves_nothing_out(place):
    """Operators' commands and accounts' requests side by side: list and CRL have all of them in the end."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Client(place, place.account())) for _ in range(3)]
        ders = [(client, der) for client in clients for der in issue(client, LIMIT)]
        def revoke(number):
            client, der = ders[number]
            if number % 2:
                assert told(place, "revoke", sha256(der))["listed"]
            else:
                assert client.revoke(sha256(der)).get("type") == "result"
            assert sha256(der) in revoked_list(place)
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(revoke, range(len(ders))))
        assert {sha256(der) for _, der in ders} <= set(revoked_list(place))
        until(lambda: all(crl_of(place).get_revoked_certificate_by_serial_number(serial_of(der)) for _, der in ders))


def test_a_list_that_somebody_holds_is_said_and_written_when_it_is_free(place, client):
    """The revocation itself stands, and whoever asks again gets the rest."""
    first, second = issue(client, 2)
    folder = os.open(place.dir / "authority", os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    with pytest.raises(Failed) as failed:
        operate(place, "revoke", sha256(first), "--json")
    assert failed.value.status == 5 and "is locked by another process" in failed.value.err
    assert json.loads(failed.value.out) == {"revoked": [sha256(first)], "revoked_before": [], "listed": False}
    os.close(folder)
    assert told(place, "revoke", sha256(first)) == {"revoked": [], "revoked_before": [sha256(first)], "listed": True}
    assert sha256(first) in revoked_list(place)
    assert client.revoke(sha256(second)).get("type") == "result"
    assert {sha256(first), sha256(second)} <= set(revoked_list(place))
