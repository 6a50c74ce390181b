"""Revocation in the login modules of both servers: ways around it, very many at once, very long lists."""
import contextlib
import secrets
import ssl
import time

import pytest
from cryptography.hazmat.primitives import serialization

import login_world
from authority_client import Stream, tls_context
from authority_world import key_files
from certificates import ClientCA, make_key, xmpp_addr
from login_world import JULIET, hex_of, login
from processes import until
from world import DOMAIN

place = login_world.place

TLS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
LONG = 20000


def lines(count):
    """So many lines of a list, of nobody."""
    return [secrets.token_hex(32) for _ in range(count)]


def ends(stream):
    """Waits for the end of a session whose certificate was revoked."""
    stream.hear("</stream:stream>")
    return "<not-authorized" in stream.before


def lets_in(place, files, **kwargs):
    with Stream(place, "juliet", files, **kwargs) as stream:
        return stream.logged_in


@pytest.mark.parametrize("direct", [False, True], ids=["starttls", "direct"])
@pytest.mark.parametrize("version", TLS)
def test_every_way_in_knows_of_it(place, version, direct):
    cert, files = login(place)
    context = tls_context(place, files, version)
    with Stream(place, "juliet", files, direct=direct, context=context) as stream:
        assert stream.logged_in and stream.sock.version() == version.name.replace("_", ".")
        stream.bind("phone")
        place.list_revoked(cert)
        assert not lets_in(place, files, direct=direct, context=context)
        assert ends(stream)
    place.list_revoked()
    assert lets_in(place, files, direct=direct, context=context)


def resume(place, files, context, session):
    """Whether a TLS session that goes on logs in; False also where the server takes it up no more."""
    try:
        with Stream(place, "juliet", files, context=context, session=session) as stream:
            return stream.logged_in
    except (EOFError, OSError):
        return False


@pytest.mark.parametrize("version", TLS)
def test_a_tls_session_that_goes_on_is_no_way_around_it(place, version):
    """Neither after the revocation, nor with a certificate that its first handshake did not find good."""
    cert, files = login(place)
    context = tls_context(place, files, version)
    with Stream(place, "juliet", files, context=context) as stream:
        assert stream.logged_in
        stream.bind("phone")
        session = stream.sock.session
    place.list_revoked(cert)
    assert not resume(place, files, context, session)
    place.list_revoked()
    key = make_key()
    strange = ClientCA().issue(key, [xmpp_addr(JULIET)])
    files = key_files(place, key, strange.public_bytes(serialization.Encoding.DER))
    context = tls_context(place, files, version)
    with Stream(place, "juliet", files, context=context) as stream:
        assert not stream.logged_in
        session = stream.sock.session
    assert not resume(place, files, context, session)
    assert lets_in(place, login(place)[1])


def test_a_certificate_that_expired_in_its_tls_session_is_refused(place):
    for seconds in (2, 4, 8, 16, 32):  # until one is long enough for the login
        cert, files = login(place, days=(-1, seconds / 86400))
        context = tls_context(place, files)
        with contextlib.suppress(EOFError), Stream(place, "juliet", files, context=context) as stream:
            if stream.logged_in:
                stream.bind("phone")  # or it is over just now
                session = stream.sock.session
                break
    until(lambda: time.time() > cert.not_valid_after.timestamp() - time.timezone + 1.5)
    assert not resume(place, files, context, session)


def test_an_account_that_is_gone_takes_its_certificates_with_it(place):
    place.server.add_accounts(DOMAIN, ["mercutio"], "secret")
    cert, files = login(place, f"mercutio@{DOMAIN}")
    assert lets_in(place, files)
    place.server.remove_account(DOMAIN, "mercutio")
    assert not lets_in(place, files)
    place.server.add_accounts(DOMAIN, ["mercutio"], "secret")
    place.list_revoked(cert)
    assert not lets_in(place, files)
    place.list_revoked()


def test_what_stands_anywhere_in_the_list_is_revoked(place):
    """Lines may come at the end, in between and twice, and go again."""
    (cert, files), (other, other_files) = login(place), login(place)
    many, one, two = lines(5000), hex_of(cert), hex_of(other)
    for listed in ([one], many + [one], many, [one] + many, many[:2500] + [one] + many[2500:], many[:10], [two], [],
                   [one, two, one], [one, two], [two, one, two], [two], lines(5000) + [one], lines(4990) + [one, two], []):
        place.write_list(listed)
        assert lets_in(place, files) == (one not in listed), listed[:3]
        assert lets_in(place, other_files) == (two not in listed), listed[:3]


def test_a_list_that_is_broken_anywhere_is_none(place):
    _, files = login(place)
    many = lines(5000)
    for bad in ("x" * 64, "0" * 63, "0" * 65, "A" * 64):
        place.write_list(many[:4000] + [bad] + many[4000:])
        until(lambda: not lets_in(place, files))
        place.write_list(many)
        assert lets_in(place, files)
    place.list_revoked()


@pytest.mark.alone
def test_a_hundred_at_once_end_within_two_seconds(place):
    """Each with a session of its own, the list written a hundred times, and long before."""
    base, logins = lines(LONG), [login(place) for _ in range(100)]
    place.write_list(base)
    streams = [Stream(place, "juliet", files) for _, files in logins]
    try:
        for number, stream in enumerate(streams):
            stream.bind(f"r{number}")
        revoked = []
        for cert, _ in logins:
            place.write_list(base + revoked + [hex_of(cert)])
            revoked.append(hex_of(cert))
        last = time.monotonic()
        for stream in streams:
            assert ends(stream)
        assert time.monotonic() - last < 2
    finally:
        for stream in streams:
            stream.close()
    place.list_revoked()
