"""signet-authority against a real Prosody and SoftHSM, ruling by ruling; openssl judges what it makes."""
import base64
import datetime
import hashlib
import re
import threading
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from authority_client import (ET, NS_ADD, NS_DISCO, NS_LIST, NS_REVOKE, Client, Stream, add_text, bare, error_of,
                              sha256)
from authority_world import LIMIT, key_files, revoked_list
from certificates import make_csr, make_key
from processes import PATIENCE, until
from world import DOMAIN

pytest_plugins = ["authority_fixtures"]
SIGNATURES = {"rsa3072": "sha256WithRSAEncryption", "p256": "ecdsa-with-SHA256"}


# ---- C1, and who may ask

def test_c1_features_are_on_the_domain_and_on_the_own_account(place, client):
    for to in (DOMAIN, bare(client), None):
        answer = client.iq("get", f"<query xmlns='{NS_DISCO}'/>", to=to)
        features = {f.get("var") for f in answer.iter(f"{{{NS_DISCO}}}feature")}
        assert {NS_ADD, NS_LIST, NS_REVOKE} <= features, to


def test_c2_own_bare_jid_and_domain_are_as_good_as_no_address(client):
    for to in (None, bare(client), DOMAIN):
        assert client.iq("get", f"<list-certificates-request xmlns='{NS_LIST}'/>", to=to).get("type") == "result"


def test_c2_requests_to_somebody_elses_account_are_forbidden(place, client):
    with Client(place, "romeo") as romeo:
        der = client.added(make_csr(make_key(), bare(client)))
        asked = [
            romeo.iq("get", f"<list-certificates-request xmlns='{NS_LIST}'/>", to=bare(client)),
            romeo.add(make_csr(make_key(), bare(client)), to=bare(client)),
            romeo.add(make_csr(make_key(), "romeo@" + DOMAIN), to=bare(client)),
            romeo.iq("set", f"<revoke-certificate xmlns='{NS_REVOKE}'><fingerprint hash='sha-256'>{sha256(der)}"
                     "</fingerprint></revoke-certificate>", to=bare(client)),
        ]
        for answer in asked:
            assert error_of(answer) == ("auth", "forbidden")
            assert answer.get("from") == bare(client)
        assert romeo.listed() == []
    assert [entry[1] for entry in client.listed()] == [der]


def test_the_component_itself_answers_disco_and_nothing_else(client):
    answer = client.iq("get", f"<query xmlns='{NS_DISCO}'/>", to=f"ccm.{DOMAIN}")
    assert answer.get("type") == "result"
    assert answer.find(f"{{{NS_DISCO}}}query/{{{NS_DISCO}}}identity").get("category") == "component"
    # an account that talks to the component directly is not the server that delegates
    inner = (f"<iq xmlns='jabber:client' type='get' id='x' from='juliet@{DOMAIN}/x'>"
             f"<list-certificates-request xmlns='{NS_LIST}'/></iq>")
    answer = client.iq("set", "<delegation xmlns='urn:xmpp:delegation:2'><forwarded xmlns='urn:xmpp:forward:0'>"
                       f"{inner}</forwarded></delegation>", to=f"ccm.{DOMAIN}")
    assert answer.get("type") == "error"
    answer = client.iq("get", f"<list-certificates-request xmlns='{NS_LIST}'/>", to=f"ccm.{DOMAIN}")
    assert answer.get("type") == "error"


# ---- C3, C6: adding

def test_c3_add_gives_a_certificate_for_the_key(place, client):
    key = make_key()
    cert = x509.load_der_x509_certificate(client.added(make_csr(key, bare(client))))
    assert cert.public_key().public_numbers() == key.public_key().public_numbers()


def test_c3_names_are_kept_as_given(client):
    names = ["", "phone", "Üñï ☎ 𝒳", "a &lt;b&gt; &amp; 'c' \"d\""]
    for name in names:
        client.added(make_csr(make_key(), bare(client)), name)
    unescaped = ["", "phone", "Üñï ☎ 𝒳", "a <b> & 'c' \"d\""]
    assert [entry[0] for entry in reversed(client.listed())] == unescaped


def test_c3_white_space_in_base64_is_accepted(client):
    text = base64.b64encode(make_csr(make_key(), bare(client))).decode()
    broken = "\n\t " + "\r\n".join(text[i:i + 60] for i in range(0, len(text), 60)) + " \n"
    assert client.add(broken).get("type") == "result"


def test_c3_a_certificate_instead_of_a_request_is_a_bad_request(client):
    der = client.added(make_csr(make_key(), bare(client)))
    answer = client.add(der)
    assert error_of(answer) == ("modify", "bad-request")
    assert b"That is a certificate" in ET.tostring(answer)


BAD_BASE64 = ["", "=", "!!!!", "MIIB", "AAAA AAA", "TWFu*TWFu", "TWF", "TWF=", base64.b64encode(b"hello").decode(),
              base64.b64encode(b"\x30\x82\xff\xff" + b"x" * 100).decode()]


@pytest.mark.parametrize("text", BAD_BASE64)
def test_c6_what_is_no_request_is_a_bad_request(client, text):
    assert error_of(client.add(text)) == ("modify", "bad-request")


def test_c6_bytes_after_the_request_are_a_bad_request(client):
    assert error_of(client.add(make_csr(make_key(), bare(client)) + b"\0")) == ("modify", "bad-request")


def test_c6_sizes_over_the_limits_are_a_bad_request(client):
    csr = make_csr(make_key(), bare(client))
    assert error_of(client.add(b"\x30" * (65 << 10))) == ("modify", "bad-request")
    assert error_of(client.add(csr, "x" * 1025)) == ("modify", "bad-request")
    assert client.add(csr, "x" * 1024).get("type") == "result"


def test_c6_other_elements_and_types_are_a_bad_request(client):
    csr = base64.b64encode(make_csr(make_key(), bare(client))).decode()
    good = f"<name>x</name><x509certificate-signing-request>{csr}</x509certificate-signing-request>"
    wrong = [
        ("set", f"<something xmlns='{NS_ADD}'>{good}</something>"),
        ("get", f"<add-certificate-request xmlns='{NS_ADD}'>{good}</add-certificate-request>"),
        ("set", f"<add-certificate-request xmlns='{NS_ADD}'><name>x</name></add-certificate-request>"),
        ("set", f"<add-certificate-request xmlns='{NS_ADD}'>{good}{good}</add-certificate-request>"),
        ("set", f"<list-certificates-request xmlns='{NS_LIST}'/>"),
        ("get", f"<list-certificates xmlns='{NS_LIST}'/>"),
        ("get", f"<revoke-certificate xmlns='{NS_REVOKE}'/>"),
        ("set", f"<revoke-certificate xmlns='{NS_REVOKE}'/>"),
    ]
    for kind, payload in wrong:
        assert error_of(client.iq(kind, payload)) == ("modify", "bad-request"), payload
    assert client.listed() == []


@pytest.mark.parametrize("kind", ["rsa1024", "p224", "k256"])
def test_c6_weak_keys_are_not_acceptable(client, kind):
    assert error_of(client.add(make_csr(make_key(kind), bare(client)))) == ("modify", "not-acceptable")


def test_c6_ed25519_is_not_acceptable_unless_configured(place, client):
    key = place.dir / "pki/ed.key"
    place.run("openssl", "genpkey", "-algorithm", "ed25519", "-out", key)
    place.run("openssl", "req", "-new", "-key", key, "-subj", "/", "-outform", "der", "-out", f"{key}.csr")
    csr = (place.dir / "pki/ed.key.csr").read_bytes()
    assert error_of(client.add(csr)) == ("modify", "not-acceptable")


def test_c6_a_wrong_signature_is_not_acceptable(client):
    csr = bytearray(make_csr(make_key("rsa2048"), bare(client)))
    csr[-1] ^= 1
    assert error_of(client.add(bytes(csr))) == ("modify", "not-acceptable")


@pytest.mark.parametrize("jids, cn", [(["romeo@" + DOMAIN], None), (["@own", "romeo@" + DOMAIN], None),
                                      (["@own/phone"], None), ([DOMAIN], None), ([], "romeo@" + DOMAIN),
                                      (["@own"], "romeo@" + DOMAIN), ([], "@own/phone")])
def test_c6_another_jid_is_forbidden(client, jids, cn):
    jids = [j.replace("@own", bare(client)) for j in jids]
    cn = cn and cn.replace("@own", bare(client))
    assert error_of(client.add(make_csr(make_key(), *jids, cn=cn))) == ("auth", "forbidden")
    assert client.listed() == []


@pytest.mark.parametrize("names", [[x509.UniformResourceIdentifier(f"xmpp:romeo@{DOMAIN}")],
                                   [x509.RFC822Name(f"romeo@{DOMAIN}")]])
def test_c6_another_jid_under_another_type_of_name_is_forbidden(client, names):
    answer = client.add(make_csr(make_key(), bare(client), names=names))
    assert error_of(answer) == ("auth", "forbidden")


def test_c12_a_signature_by_sha1_is_not_acceptable(place, client):
    key = place.dir / "pki/sha1.key"
    place.run("openssl", "genpkey", "-algorithm", "rsa", "-out", key)
    place.run("openssl", "req", "-new", "-sha1", "-key", key, "-subj", "/", "-outform", "der", "-out", f"{key}.csr")
    answer = client.add((place.dir / "pki/sha1.key.csr").read_bytes())
    assert error_of(answer) == ("modify", "not-acceptable")
    assert b"SHA-256 or better" in ET.tostring(answer)


def test_c6_over_the_limit_is_a_resource_constraint_until_one_is_revoked(client):
    ders = [client.added(make_csr(make_key(), bare(client))) for _ in range(LIMIT)]
    csr = make_csr(make_key(), bare(client))
    assert error_of(client.add(csr)) == ("wait", "resource-constraint")
    assert len(client.listed()) == LIMIT
    assert client.revoke(sha256(ders[0])).get("type") == "result"
    assert client.add(csr).get("type") == "result"


# ---- C5

def test_c5_the_same_request_gives_the_same_certificate(place, client):
    csr, other = (make_csr(make_key(), bare(client)) for _ in range(2))
    der = client.added(csr, "first")
    assert client.added(csr, "second") == der
    assert client.added(other) != der
    assert len(client.listed()) == 2
    place.restart_authority()
    assert client.added(csr) == der
    client.revoke(sha256(der))
    again = client.added(csr)
    assert again != der
    assert client.added(csr) == again


def test_c5_another_accounts_request_gives_another_certificate(place, client):
    csr = make_csr(make_key())  # names nobody
    der = client.added(csr)
    with Client(place, place.account()) as other:
        assert other.added(csr) != der


# ---- C7, C8

def test_c7_c8_the_list_has_what_is_unrevoked(client):
    assert client.listed() == []
    first = client.added(make_csr(make_key(), bare(client)), "one")
    second = client.added(make_csr(make_key(), bare(client)), "two")
    assert client.listed() == [("two", second, None, []), ("one", first, None, [])]
    client.revoke(sha256(first))
    assert client.listed() == [("two", second, None, [])]


def test_c8_the_list_says_who_uses_it_and_when(place, client):
    key = make_key()
    der = client.added(make_csr(key, bare(client)))
    files = key_files(place, key, der)
    before = datetime.datetime.utcnow().replace(microsecond=0)
    with Client(place, client.boundjid.user, files, resource="Phone & <co>"):
        with Client(place, client.boundjid.user, files, resource="tablet"):
            _, _, last_used, users = client.listed()[0]
            assert sorted(users) == ["Phone & <co>", "tablet"]
        until(lambda: client.listed()[0][3] == ["Phone & <co>"])
    until(lambda: client.listed()[0][3] == [])
    last_used = client.listed()[0][2]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", last_used)
    assert before <= datetime.datetime.strptime(last_used, "%Y-%m-%dT%H:%M:%SZ") <= datetime.datetime.utcnow()
    # the list does not fail for a file that is too long
    with open(place.dir / "authority/logins.txt", "ab") as file:
        file.truncate(1 << 26)
    assert client.listed()[0][2:] == (last_used, [])
    # nor for one that the authority may not read
    (place.dir / "authority/logins.txt").chmod(0)
    assert client.listed()[0][2:] == (last_used, [])
    place.authority.wait_line("logins.txt: Permission denied")
    # the ledger remembers what the module's file loses
    place.write("authority/logins.txt", "", 0o600)
    assert client.listed()[0][2] == last_used


# ---- C9, C10

FORMS = {
    "sha-256": lambda der: (sha256(der), "sha-256"),
    "sha-1": lambda der: (hashlib.sha1(der).hexdigest(), "sha-1"),
    "sha-512": lambda der: (hashlib.sha512(der).hexdigest(), "sha-512"),
    "upper case": lambda der: (sha256(der).upper(), "sha-256"),
    "colons": lambda der: (":".join(sha256(der)[i:i + 2] for i in range(0, 64, 2)), "sha-256"),
    "colons, upper case, sha-1": lambda der: (":".join(re.findall("..", hashlib.sha1(der).hexdigest().upper())),
                                              "sha-1"),
    "no hash, 40": lambda der: (hashlib.sha1(der).hexdigest(), None),
    "no hash, 64": lambda der: (sha256(der), None),
    "no hash, 128": lambda der: (hashlib.sha512(der).hexdigest(), None),
}


@pytest.mark.parametrize("form", FORMS)
def test_c9_forms_of_fingerprints(place, client, form):
    der = client.added(make_csr(make_key(), bare(client)))
    answer = client.revoke(*FORMS[form](der))
    assert answer.get("type") == "result" and len(answer) == 0
    assert client.listed() == []
    assert sha256(der) in revoked_list(place)


@pytest.mark.parametrize("value, name", [("", "sha-256"), ("zz" * 32, "sha-256"), ("00" * 31, "sha-256"),
                                         ("00" * 32, "sha-1"), ("00" * 16, "md5"), ("00" * 33, None),
                                         ("00" * 32 + "0", None)])
def test_c9_what_is_no_fingerprint_is_a_bad_request(client, value, name):
    assert error_of(client.revoke(value, name)) == ("modify", "bad-request")


def test_c10_revoking_again_is_no_error(place, client):
    der = client.added(make_csr(make_key(), bare(client)))
    for _ in range(3):
        assert client.revoke(sha256(der)).get("type") == "result"
    assert revoked_list(place).count(sha256(der)) == 1


def test_c10_unknown_and_another_accounts_are_the_same_to_the_asker(place, client):
    der = client.added(make_csr(make_key(), bare(client)))
    with Client(place, place.account()) as other:
        theirs, unknown = other.revoke(sha256(der)), other.revoke("00" * 32)
    assert error_of(theirs) == error_of(unknown) == ("cancel", "item-not-found")
    strip = [re.sub(rb'(id|to)="[^"]*"', b"", ET.tostring(a)) for a in (theirs, unknown)]
    assert strip[0] == strip[1]
    assert len(client.listed()) == 1
    assert sha256(der) not in revoked_list(place)


def test_c10_the_session_is_closed_and_the_certificate_never_logs_in_again(place, client):
    key = make_key()
    der = client.added(make_csr(key, bare(client)))
    files = key_files(place, key, der)
    with Client(place, client.boundjid.user, files, resource="live") as live:
        assert live.logged_in
        assert client.revoke(sha256(der)).get("type") == "result"
        # the list was written before the answer: a login is refused from that moment on
        with Client(place, client.boundjid.user, files) as again:
            assert again.refused
        assert live.down.wait(PATIENCE)
        assert live.stream_condition == "not-authorized"
    assert client.logged_in  # the password session of the same account stays
    place.restart_authority()
    with Client(place, client.boundjid.user, files) as again:
        assert again.refused


@pytest.mark.alone
def test_c10_a_burst_ends_all_sessions_within_two_seconds(place):
    """Many accounts revoke all that they have at once, each certificate with a session."""
    owners = [Stream(place, place.account(), bind="owner") for _ in range(15)]
    sessions, fingerprints = [], []
    for owner in owners:
        for _ in range(LIMIT):
            key = make_key()
            owner.send(f"<iq type='set' id='add'>{add_text(make_csr(key), 'phone')}</iq>")
            der = base64.b64decode(owner.hear("<x509certificate>([^<]*)</x509certificate>.*?</iq>")[1])
            sessions.append(Stream(place, None, key_files(place, key, der), bind=f"phone{len(sessions)}"))
            fingerprints.append((owner, sha256(der)))
    try:
        for number, (owner, fingerprint) in enumerate(fingerprints):
            owner.send(f"<iq type='set' id='r{number}'><revoke-certificate xmlns='{NS_REVOKE}'>"
                       f"<fingerprint hash='sha-256'>{fingerprint}</fingerprint></revoke-certificate></iq>")
        for owner, _ in fingerprints:  # whatever the order of the answers
            assert "result" in owner.hear("<iq[^>]*id=['\"]r[0-9]+['\"][^>]*>")[0]
        answered = time.monotonic()
        for session in sessions:
            session.hear("</stream:stream>")
            assert "<not-authorized" in session.before
        assert time.monotonic() - answered < 2
    finally:
        for stream in owners + sessions:
            stream.close()


def test_c10_openssl_sees_the_revocation_in_the_crl(place, client):
    ders = [client.added(make_csr(make_key(), bare(client))) for _ in range(2)]
    client.revoke(sha256(ders[0]))
    folder = place.dir / "authority"
    _, out, err = place.run("openssl", "crl", "-in", folder / "crl.pem", "-noout", "-CAfile", folder / "ca.pem",
                            check=False)
    assert "verify OK" in out + err
    text = place.run("openssl", "crl", "-in", folder / "crl.pem", "-noout", "-text")
    serials = [f"{x509.load_der_x509_certificate(d).serial_number:040X}" for d in ders]
    assert serials[0] in text and serials[1] not in text
    assert "Reason" not in text
    for der, good in zip(ders, (False, True)):
        status, out, err = place.openssl(
            "verify", "-crl_check", "-CRLfile", folder / "crl.pem", "-CAfile", folder / "ca.pem", "@", check=False,
            data=x509.load_der_x509_certificate(der).public_bytes(serialization.Encoding.PEM))
        assert (status == 0) == good
        assert good or "certificate revoked" in out + err


def test_c10_crl_numbers_grow_and_it_is_good_for_seven_days(place):
    def read():
        crl = x509.load_pem_x509_crl((place.dir / "authority/crl.pem").read_bytes())
        return crl, crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    crl, number = read()
    assert crl.next_update - crl.last_update == datetime.timedelta(7)
    place.restart_authority()
    assert read()[1] > number


def test_c10_lists_are_replaced_whole_and_others_can_read_them(place, client):
    folder = place.dir / "authority"
    before = {name: (folder / name).stat().st_ino for name in ("crl.pem", "revoked.txt")}
    der = client.added(make_csr(make_key(), bare(client)))
    client.revoke(sha256(der))
    for name, inode in before.items():
        stat = (folder / name).stat()
        assert stat.st_ino != inode and stat.st_mode & 0o777 == 0o644
    assert sorted(p.name for p in folder.iterdir() if p.name.startswith(("crl", "revoked"))) == \
        ["crl.pem", "revoked.txt"]
    assert all(re.fullmatch("[0-9a-f]{64}", line) for line in revoked_list(place))


def test_c10_whoever_reads_list_and_crl_finds_them_whole(place, client):
    """A reader that never rests, while they are written again and again."""
    folder, seen, done = place.dir / "authority", [], threading.Event()

    def read():
        while not done.is_set():
            seen.append(((folder / "revoked.txt").read_text(), (folder / "crl.pem").read_bytes()))
    reader = threading.Thread(target=read)
    ders = [client.added(make_csr(make_key())) for _ in range(LIMIT)]
    reader.start()
    try:
        for der in ders:
            assert client.revoke(sha256(der)).get("type") == "result"
    finally:
        done.set()
        reader.join()
    lists, crls = ([*dict.fromkeys(column)] for column in zip(*seen))
    assert all(re.fullmatch("([0-9a-f]{64}\n)*", text) for text in lists)
    assert all(later.startswith(before) for before, later in zip(lists, lists[1:]))
    numbers = [x509.load_pem_x509_crl(pem).extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
               for pem in crls]
    assert numbers == sorted(numbers)
    assert revoked_list(place)[-LIMIT:] == [sha256(der) for der in ders]


def test_c10_a_list_that_cannot_be_written_is_an_error_and_a_repeat_works(place, client):
    der = client.added(make_csr(make_key(), bare(client)))
    path = place.dir / "authority/crl.pem"
    path.unlink()
    place.mkdir("authority/crl.pem/in-the-way")
    try:
        assert error_of(client.revoke(sha256(der))) == ("wait", "internal-server-error")
        assert sha256(der) in revoked_list(place)  # the list needs no token and comes first
        assert client.listed() == []
    finally:
        (path / "in-the-way").rmdir()
        path.rmdir()
    assert client.revoke(sha256(der)).get("type") == "result"
    serial = f"{x509.load_der_x509_certificate(der).serial_number:040X}"
    assert serial in place.run("openssl", "crl", "-in", path, "-noout", "-text")


# ---- C11

@pytest.mark.parametrize("kind", ["rsa2048", "rsa3072", "rsa4096", "p256", "p384", "p521"])
def test_c11_the_certificate_is_exactly_the_profile(place, client, kind):
    key = make_key(kind)
    start = datetime.datetime.utcnow()
    csr = make_csr(key, bare(client), cn="whatever I like")
    cert = x509.load_der_x509_certificate(client.added(csr))
    assert cert.public_key().public_numbers() == key.public_key().public_numbers()
    for purpose in ("sslclient", "sslserver"):
        assert "OK" in place.openssl("verify", "-x509_strict", "-purpose", purpose, "-CAfile",
                                     place.dir / "authority/ca.pem", "@",
                                     data=cert.public_bytes(serialization.Encoding.PEM))
    parsed = place.openssl("asn1parse", "-in", "@", "-inform", "der",
                           data=cert.public_bytes(serialization.Encoding.DER))
    assert re.search(f"UTF8STRING +:{bare(client)}\n", parsed)
    assert re.search(r"d=2 .*INTEGER +:[0-7][0-9A-F]{39}\n", parsed)
    assert parsed.count("UTCTIME") == parsed.count("BOOLEAN           :255") == 2
    text = place.openssl("x509", "-in", "@", "-inform", "der", "-noout", "-text",
                         data=cert.public_bytes(serialization.Encoding.DER))
    ca = x509.load_pem_x509_certificate((place.dir / "authority/ca.pem").read_bytes())
    assert f"Subject: CN = {bare(client)}\n" in text
    assert cert.issuer == ca.subject
    assert f"othername: XmppAddr::{bare(client)}\n" in text
    assert "X509v3 Basic Constraints: critical\n                CA:FALSE\n" in text
    assert "X509v3 Key Usage: critical\n                Digital Signature\n" in text
    assert "TLS Web Client Authentication, TLS Web Server Authentication\n" in text
    assert len(cert.extensions) == 6
    ski = ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    aki = cert.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    assert aki.key_identifier == ski
    own = cert.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    assert own.digest == x509.SubjectKeyIdentifier.from_public_key(cert.public_key()).digest
    assert cert.serial_number.bit_length() in range(153, 160)  # 20 bytes, positive
    assert f"Signature Algorithm: {SIGNATURES[place.ca]}" in text
    assert abs(cert.not_valid_before - (start - datetime.timedelta(minutes=5))) < datetime.timedelta(seconds=PATIENCE)
    assert abs(cert.not_valid_after - (start + datetime.timedelta(365))) < datetime.timedelta(seconds=PATIENCE)


def test_c11_xmppaddr_is_the_senders_whatever_was_asked(client):
    for csr in (make_csr(make_key()), make_csr(make_key(), bare(client), bare(client).upper())):
        cert = x509.load_der_x509_certificate(client.added(csr))
        names = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert [(n.type_id.dotted_string, n.value[2:]) for n in names] == \
            [("1.3.6.1.5.5.7.8.5", bare(client).encode())]


# ---- hostile stanzas

@pytest.mark.parametrize("depth", [31, 40, 1000, 15000])
def test_a_deep_stanza_is_refused_and_the_next_is_answered(place, client, depth):
    inside = "<a>" * depth + "</a>" * depth
    answer = client.iq("set", f"<add-certificate-request xmlns='{NS_ADD}'>{inside}</add-certificate-request>")
    assert answer.get("type") == "error"
    assert client.listed() == []
    assert place.authority.popen.poll() is None


def test_a_stanza_of_many_elements_is_refused_and_the_next_is_answered(client):
    inside = "<a/>" * 50000
    answer = client.iq("set", f"<add-certificate-request xmlns='{NS_ADD}'>{inside}</add-certificate-request>")
    assert answer.get("type") == "error"
    assert client.listed() == []


def test_control_characters_do_not_reach_the_log_raw(place, client):
    mark = place.authority.mark()
    client.add(make_csr(make_key(), bare(client)), "a&#10;signet-authority: info: add account=forged")
    client.listed()
    lines = place.authority.said(since=mark)
    assert any("outcome=issued" in line for line in lines)
    assert not any("forged" in line for line in lines)
