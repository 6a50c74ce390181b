"""A ledger that was restored from an older copy: nobody who was revoked comes back, no number is given twice."""
import secrets

import pytest
from cryptography import x509

from authority_client import Client, bare, error_of, sha256
from authority_world import key_files, revoked_list
from certificates import make_csr, make_key

pytest_plugins = ["authority_fixtures"]


def crl_of(place):
    return x509.load_pem_x509_crl((place.dir / "authority/crl.pem").read_bytes())


def number_of(crl):
    return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def restore(place, backup):
    """As AUTHORITY.md has it."""
    place.authority.stop()
    for path in (place.dir / "authority").glob("ledger.db*"):
        path.unlink()
    place.write("authority/ledger.db", "", 0o600).write_bytes(backup.read_bytes())
    mark = place.authority.mark()
    place.start_authority()
    return mark


@pytest.fixture
def backup(place):
    path = place.dir / "backup.db"
    path.unlink(missing_ok=True)

    def make():
        place.run("sqlite3", place.dir / "authority/ledger.db", f"VACUUM INTO '{path}'")
        return path
    return make


def test_the_revoked_stay_out_when_the_ledger_does_not_know(place, backup):
    name, key, late_key = place.account(), make_key(), make_key()
    with Client(place, name) as client:
        known, kept = (client.added(make_csr(k, bare(client))) for k in (key, make_key()))
        copy = backup()
        late, free = (client.added(make_csr(k, bare(client))) for k in (late_key, make_key()))
        client.revoke(sha256(known))
        client.revoke(sha256(late))
        number = number_of(crl_of(place))
    before = revoked_list(place)
    restore(place, copy)
    place.authority.wait_line("has more than the ledger: 1 certificates were revoked in the ledger, too; 1 it does not")
    assert set(revoked_list(place)) == set(before) and {sha256(known), sha256(late)} <= set(before)
    crl = crl_of(place)
    assert crl.get_revoked_certificate_by_serial_number(x509.load_der_x509_certificate(known).serial_number)
    assert number_of(crl) > number
    for der, secret in ((known, key), (late, late_key)):
        with Client(place, name, key_files(place, secret, der)) as gone:
            assert gone.refused
    with Client(place, name) as client:
        assert [entry[1] for entry in client.listed()] == [kept]
        # what was issued since is unknown, and what comes now has a number of its own
        assert error_of(client.revoke(sha256(free))) == ("cancel", "item-not-found")
        fresh = client.added(make_csr(make_key(), bare(client)))
        serials = {x509.load_der_x509_certificate(der).serial_number for der in (known, kept, late, free, fresh)}
        assert len(serials) == 5
        # what the ledger does not know stays on every list to come, also after the next start
        client.revoke(sha256(fresh))
        assert {*before, sha256(fresh)} == set(revoked_list(place))
    place.restart_authority()
    assert {*before, sha256(fresh)} == set(revoked_list(place))
    rows = place.run("sqlite3", place.dir / "authority/ledger.db",
                     f"SELECT state, reason FROM certificate WHERE sha256 = '{sha256(known)}'")
    assert rows == "revoked|on the list of the revoked, of which a restored ledger did not know\n"


def test_a_line_that_is_no_fingerprint_is_no_reason_to_stop(place, client):
    der = client.added(make_csr(make_key(), bare(client)))
    place.authority.stop()
    path = place.dir / "authority/revoked.txt"
    before, by_hand = revoked_list(place), "ab" * 32
    path.write_bytes(b"\n".join([b"# by hand", b"AB" * 32, b"ab" * 31, b"\0\xff", *map(str.encode, before),
                                by_hand.encode(), sha256(der).encode()]))
    place.start_authority()
    assert sorted(revoked_list(place)) == sorted([*before, by_hand, sha256(der)])
    assert client.listed() == []


def test_a_line_that_a_person_wrote_revokes_whom_it_names(place, client):
    """The emergency of AUTHORITY.md: in capitals, by an editor of another system, as openssl prints it."""
    place.authority.stop()
    path = place.dir / "authority/revoked.txt"
    before, forms = revoked_list(place), {}
    for write in (str.upper, "{}\r".format, "  {}\t".format, "{} # a phone".format,
                  lambda f: "sha256 Fingerprint=" + ":".join(f[i:i + 2] for i in range(0, 64, 2)).upper()):
        fingerprint = secrets.token_hex(32)
        forms[fingerprint] = write(fingerprint)
    path.write_text("\n".join([*before, "# found in the log", "", "cd" * 31, *forms.values(), "cd" * 33]))
    place.start_authority()
    assert sorted(revoked_list(place)) == sorted([*before, *forms])
    place.authority.wait_line(f"revoked.txt: 2 lines are no SHA-256 .*first is line {len(before) + 3}")
    der = client.added(make_csr(make_key(), bare(client)))
    place.authority.stop()
    path.write_text(path.read_text() + sha256(der).upper())
    place.start_authority()
    assert client.listed() == [] and sha256(der) in revoked_list(place)
