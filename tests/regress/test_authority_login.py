"""mod_signet_ccm2 in a real Prosody and mod_signet_login in a real ejabberd, with certificates that no authority of
ours would issue."""
import base64
import datetime
import re
import signal
import time

import pytest
from cryptography.hazmat.primitives import serialization

import login_world
from authority_client import NS_ADD, NS_LIST, Client, Stream, bind_request
from authority_world import key_files
from certificates import make_key, xmpp_addr
from login_world import JULIET, hex_of, login
from processes import PATIENCE, until
from world import DOMAIN

place, seldom = login_world.place, login_world.seldom


@pytest.fixture
def key():
    return make_key()


def good(place, key, jid=JULIET):
    """A certificate that logs in."""
    return place.client_ca.issue(key, [xmpp_addr(jid)])


def test_a_good_certificate_logs_in(place, key):
    assert place.logs_in(good(place, key), key)
    assert place.logs_in(good(place, key), key, authzid="")
    for authzid in (None, ""):
        assert place.logs_in(good(place, key, "Juliet@XMPP.test"), key, authzid=authzid)


def test_a_password_works_with_and_without_a_certificate(place, key):
    with Client(place, "romeo") as romeo:
        assert romeo.logged_in
    cert = good(place, key)
    files = key_files(place, key, cert.public_bytes(serialization.Encoding.DER))
    romeo = Client(place, "romeo")
    romeo.certfile, romeo.keyfile = files
    romeo.plugin["feature_mechanisms"].use_mech = "SCRAM-SHA-1"
    with romeo:
        assert romeo.logged_in
        # a session by password has nothing to do with the certificate of its TLS
        place.list_revoked(cert)
        assert not romeo.down.wait(2.5)
    place.list_revoked()
    assert hex_of(cert) not in place.logins()


def test_the_revoked_are_refused_at_once_and_their_sessions_closed(place, key):
    cert, other_key = good(place, key), make_key()
    other = good(place, other_key)
    files = [key_files(place, k, c.public_bytes(serialization.Encoding.DER)) for k, c in
             ((key, cert), (other_key, other))]
    with Client(place, "juliet", files[0], resource="one") as one, \
            Client(place, "juliet", files[0], resource="two") as two, \
            Client(place, "juliet", files[1], resource="three") as three:
        assert one.logged_in and two.logged_in and three.logged_in
        place.list_revoked(cert)
        assert not place.logs_in(cert, key)
        for client in (one, two):
            assert client.down.wait(PATIENCE)
            assert client.stream_condition == "not-authorized"
        assert not three.down.wait(1.5)
    place.list_revoked()
    assert place.logs_in(cert, key)


def test_an_account_that_was_deleted_is_gone_though_a_session_is_left(place, key):
    name = place.account()
    cert = good(place, key, f"{name}@{DOMAIN}")
    files = key_files(place, key, cert.public_bytes(serialization.Encoding.DER))
    with Stream(place, name, files, bind="phone") as stream:
        assert stream.logged_in and place.logs_in(cert, key, name)
        place.server.remove_account(DOMAIN, name)
        assert not place.logs_in(cert, key, name)


def test_without_a_list_nobody_logs_in_by_certificate(place, key):
    path = place.dir / "authority/revoked.txt"
    cert = good(place, key)
    mark = place.server.process.mark()
    path.unlink()
    assert not place.logs_in(cert, key)
    place.server.process.wait_line("No login with certificates: .*revoked.txt'?: [Nn]o such file", since=mark)
    place.write("authority/revoked.txt", "x" * 64 + "\n")
    assert not place.logs_in(cert, key)
    place.server.process.wait_line("is not a list of fingerprints", since=mark)
    path.unlink()
    path.mkdir()
    assert not place.logs_in(cert, key)
    path.rmdir()
    with Client(place, "juliet") as juliet:
        assert juliet.logged_in  # by password
    place.list_revoked()
    assert place.logs_in(cert, key)


def test_a_list_that_goes_does_not_close_sessions(place, key):
    cert = good(place, key)
    files = key_files(place, key, cert.public_bytes(serialization.Encoding.DER))
    with Client(place, "juliet", files) as juliet:
        (place.dir / "authority/revoked.txt").unlink()
        assert not juliet.down.wait(2.5)
        place.list_revoked(cert)
        assert juliet.down.wait(PATIENCE)
    place.list_revoked()


def test_logins_are_written_and_outlive_a_restart(place, key):
    cert = good(place, key)
    files = key_files(place, key, cert.public_bytes(serialization.Encoding.DER))
    before = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    assert hex_of(cert) not in place.logins()
    with Client(place, "juliet", files, resource="Ü ber"):
        used, resources = place.logins()[hex_of(cert)]
        assert resources == ["Ü ber"]
        assert before <= used <= time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    place.restart_server()
    used_again, resources = place.logins()[hex_of(cert)]
    assert resources == [] and used_again >= used
    text = (place.dir / "authority/logins.txt").read_text()
    assert re.fullmatch(r"([0-9a-f]{64}\t\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ(\t[^\t\n]+)*\n)+", text)
    assert not (place.dir / "authority/logins.txt.new").exists()


def test_a_server_that_was_killed_uses_no_certificate(place):
    """What its file said at that moment is not said for ever; the time of the last use stays."""
    cert, files = login(place)
    with Stream(place, "juliet", files) as stream:
        stream.bind("phone")
        used, resources = place.logins()[hex_of(cert)]
        assert resources == ["phone"]
        place.server.process.stop(signal.SIGKILL)
    place.server.start()
    assert until(lambda: place.logins()[hex_of(cert)][1] == [])
    assert place.logins()[hex_of(cert)][0] == used
    with Stream(place, "juliet", files) as stream:
        stream.bind("tablet")
        assert place.logins()[hex_of(cert)][1] == ["tablet"]


def test_each_session_of_a_certificate_is_told(place):
    """From the login on, as long as it lasts."""
    cert, files = login(place)
    with Stream(place, "juliet", files) as one, Stream(place, "juliet", files) as two:
        one.bind("one")
        assert place.logins()[hex_of(cert)][1] == ["one"]
        two.bind("two")
        assert place.logins()[hex_of(cert)][1] == ["one", "two"]
        one.send("</stream:stream>")
        one.hear("</stream:stream>")
        until(lambda: place.logins()[hex_of(cert)][1] == ["two"])
    until(lambda: place.logins()[hex_of(cert)][1] == [])


def test_a_refusal_means_revoked(place):
    """EXTERNAL is offered to what may log in, and to what is revoked: nothing else is refused by it."""
    def offers(files):
        with Stream(place, "juliet", files) as stream:
            return "EXTERNAL" in stream.offered

    cert, files = login(place)
    assert offers(files)
    place.list_revoked(cert)
    assert offers(files)
    place.list_revoked()
    assert not offers(login(place, days=(-10, -1))[1])
    assert not offers(login(place, jid=f"nobody@{DOMAIN}")[1])
    assert not offers(login(place, jid="juliet@other.test")[1])
    (place.dir / "authority/revoked.txt").unlink()
    assert not offers(files)
    place.list_revoked()
    assert offers(files)


def assert_nothing_is_served(place, stream):
    """Binds, and more in the same breath: the stream ends, and nobody gets the message."""
    with Stream(place, "romeo") as romeo, Stream(place, "juliet") as juliet:
        romeo.bind("witness")
        juliet.bind("honest")
        message = f"<message to='romeo@{DOMAIN}/witness' type='chat'><body>%s</body></message>"
        stream.send(bind_request("ghost") + message % "revoked"
                    + "<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>")
        stream.hear("</stream:stream>")
        assert "<not-authorized" in stream.before
        assert "<jid>" not in stream.before and "jabber:iq:roster" not in stream.before
        juliet.send(message % "honest")
        romeo.hear("<body>honest</body>")
        assert "revoked" not in romeo.before


def test_a_login_counts_before_it_binds(place):
    cert, files = login(place)
    before = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    with Stream(place, "juliet", files) as stream:
        assert stream.logged_in
        used, resources = place.logins()[hex_of(cert)]
        assert resources == []
        assert before <= used <= time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def test_a_session_that_never_bound_is_closed_when_its_certificate_is_revoked(place):
    cert, files = login(place)
    with Stream(place, "juliet", files) as stream:
        place.list_revoked(cert)
        stream.hear("</stream:stream>")
        assert "<not-authorized" in stream.before
    place.list_revoked()


def test_nothing_is_bound_for_a_certificate_that_was_revoked_after_the_login(seldom):
    cert, files = login(seldom)
    with Stream(seldom, "juliet", files) as stream:
        seldom.list_revoked(cert)
        assert_nothing_is_served(seldom, stream)


@pytest.mark.parametrize("to", ["", f" to='{JULIET}'", f" to='{DOMAIN}'"], ids=["none", "account", "server"])
def test_nothing_is_added_by_a_certificate_that_was_revoked(seldom, to):
    """The session lives on until the next look, but gets no new certificate by the one that it lost."""
    def add(ident):
        return f"<iq type='set' id='{ident}'{to}><add-certificate-request xmlns='{NS_ADD}'/></iq>"
    cert, files = login(seldom)
    with Stream(seldom, "juliet", files) as stream:
        stream.bind("phone")
        stream.send(add("before"))
        stream.hear("id=['\"]before['\"]")
        seldom.list_revoked(cert)
        stream.send(f"<iq type='get' id='list'{to}><list-certificates-request xmlns='{NS_LIST}'/></iq>")
        stream.hear("id=['\"]list['\"]")
        stream.send(add("after") + "<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>")
        stream.hear("</stream:stream>")
        assert "<not-authorized" in stream.before
        assert "after" not in stream.before and "jabber:iq:roster" not in stream.before


@pytest.mark.parametrize("text, status", [
    (b"", True), (JULIET.encode(), True), (JULIET.encode() + b"\0x", False), (b"\0", False), (b"\xff\xfe", False),
    (JULIET.encode() + b"\xc3", False)])
def test_an_identity_that_is_no_text_is_not_taken_for_none(place, text, status):
    _, files = login(place)
    with Stream(place, "juliet", files, base64.b64encode(text).decode() or "=") as stream:
        assert stream.logged_in == status
        # ejabberd finds what is no UTF-8 before the module is asked
        assert status or "<not-authorized" in stream.heard or \
            place.kind == "ejabberd" and "<invalid-authzid" in stream.heard


def test_nothing_is_bound_for_a_certificate_that_expired_after_the_login(seldom):
    for seconds in (2, 4, 8, 16, 32):  # until one is long enough for the login
        cert, files = login(seldom, days=(-1, seconds / 86400))
        with Stream(seldom, "juliet", files) as stream:
            if stream.logged_in:
                time.sleep(max(0, cert.not_valid_after.replace(tzinfo=datetime.timezone.utc).timestamp() + 1.5
                               - time.time()))
                assert_nothing_is_served(seldom, stream)
                return
    raise AssertionError("no login in 32 s")


def test_nothing_is_resumed_by_a_certificate_that_was_revoked_after_the_login(seldom):
    cert, files = login(seldom)
    with Stream(seldom, "juliet") as first, Stream(seldom, "juliet", files) as stream:
        first.bind("first")
        previous = first.enable_resumption()
        seldom.list_revoked(cert)
        stream.resume(previous)
        stream.hear("</stream:stream>")
        assert "<resumed" not in stream.before
        first.send("<iq type='get' id='still'><query xmlns='jabber:iq:roster'/></iq>")
        first.hear("id=['\"]still['\"]")


def test_a_session_goes_on_with_the_login_that_resumed_it(place):
    """Password, then one certificate, then another, then the password again."""
    def used_by(cert, resources):
        until(lambda: place.logins()[hex_of(cert)][1] == resources)
    (cert, files), (other, other_files) = login(place), login(place)
    with Stream(place, "juliet") as stream:
        stream.bind("phone")
        previous = stream.enable_resumption()
        with Stream(place, "juliet", files) as second:
            second.resume(previous)
            second.hear("<resumed")
            used_by(cert, ["phone"])
            with Stream(place, "juliet", other_files) as third:
                third.resume(previous)
                third.hear("<resumed")
                used_by(cert, [])
                used_by(other, ["phone"])
                with Stream(place, "juliet") as fourth:
                    fourth.resume(previous)
                    fourth.hear("<resumed")
                    used_by(other, [])
    place.list_revoked()


def test_a_resumed_session_is_closed_when_its_certificate_is_revoked(place):
    cert, files = login(place)
    with Stream(place, "juliet") as first, Stream(place, "juliet", files) as stream:
        first.bind("phone")
        stream.resume(first.enable_resumption())
        stream.hear("<resumed")
        place.list_revoked(cert)
        stream.hear("</stream:stream>")
        assert "<not-authorized" in stream.before
    place.list_revoked()


@pytest.mark.alone
def test_a_revoked_session_ends_within_two_seconds(place):
    for _ in range(3):
        cert, files = login(place)
        with Stream(place, "juliet", files) as stream:
            stream.bind("phone")
            start = time.monotonic()
            place.list_revoked(cert)
            stream.hear("</stream:stream>")
            assert time.monotonic() - start < 2
    place.list_revoked()


@pytest.mark.parametrize("place", ["ejabberd"], indirect=True)
def test_ejabberds_module_started_again_knows_the_sessions_and_reloaded_the_options(place):
    """Prosody's keeps them the same way, but is not told to reload from here."""
    cert, files = login(place)
    with Stream(place, "juliet", files) as stream:
        stream.bind("phone")
        place.server.command(("restart_module", {"host": DOMAIN, "module": "mod_signet_login"}))
        other = make_key()
        assert place.logs_in(good(place, other), other)
        assert place.logins()[hex_of(cert)][1] == ["phone"]
        place.list_revoked(cert)
        stream.hear("</stream:stream>")
        assert "<not-authorized" in stream.before
    place.list_revoked()
    other = make_key()
    trusted = place.other_ca.issue(other, [xmpp_addr(JULIET)])
    for ca, is_taken in (("only.pem", False), ("ca.pem", True)):
        place.configure_login(ca=ca)
        place.reload_login()
        assert place.logs_in(trusted, other) == is_taken


def test_only_the_configured_cas_certificates_count(place, key):
    trusted = place.other_ca.issue(key, [xmpp_addr(JULIET)])
    assert place.logs_in(trusted, key)  # by a CA that the server trusts, while no other is configured
    place.configure_login(ca="only.pem")
    place.restart_server()
    assert not place.logs_in(trusted, key)
    assert place.logs_in(good(place, key), key)
    place.write("authority/only.pem", "no certificate")
    place.restart_server()
    place.server.process.wait_line("No login with certificates: .*: not a certificate")
    assert not place.logs_in(good(place, key), key)
