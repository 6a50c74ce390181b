"""Whose account a certificate claims, and from whom it must be, asked of the login modules of both servers with
certificates that no authority of ours would issue."""
import base64
import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtensionOID

import login_world
from authority_client import Stream
from authority_world import key_files
from certificates import XMPP_ADDR, ClientCA, certificate, common_name, make_key, xmpp_addr
from login_world import JULIET, login
from world import DOMAIN

place = login_world.place

ROMEO = f"romeo@{DOMAIN}"
SRV_NAME = x509.ObjectIdentifier("1.3.6.1.5.5.7.8.7")
UTF8, IA5, BMP, PRINTABLE, T61, OCTETS, BITS, SEQUENCE, SET = 12, 22, 30, 19, 20, 4, 3, 0x30, 0x31


def tlv(tag, value):
    """An ASN.1 value by DER."""
    value = value.encode() if isinstance(value, str) else value
    size = len(value)
    if size < 128:
        return bytes([tag, size]) + value
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + value


def addr(value):
    """An xmppAddr of any ASN.1 value."""
    return x509.OtherName(XMPP_ADDR, value)


def san_der(*names):
    """The value of the extension, of entries that are DER already."""
    return tlv(SEQUENCE, b"".join(names))


def other_name(oid, value):
    """An otherName with what its [0] holds, as DER: for what no library puts together."""
    return tlv(0xa0, tlv(6, oid) + tlv(0xa0, value))


XMPP_ADDR_DER = bytes.fromhex("2b06010505070805")
GOOD_ENTRY = other_name(XMPP_ADDR_DER, tlv(UTF8, JULIET))


def files_of(place, key, cert, *chain):
    """The files to log in with; what else the client sends follows its certificate."""
    crt, pem = key_files(place, key, cert.public_bytes(serialization.Encoding.DER))
    with open(crt, "ab") as file:
        for more in chain:
            file.write(more.public_bytes(serialization.Encoding.PEM))
    return crt, pem


def gets_in(place, files, *asked):
    """Whether a certificate gets in, whatever identity is asked for beside none and those given."""
    for authzid in ("", JULIET, ROMEO, *asked):
        try:
            with Stream(place, "juliet", files, base64.b64encode(authzid.encode()).decode() or "=") as stream:
                if stream.logged_in:
                    return True
        except (EOFError, OSError):
            continue  # not even TLS, or no word at all
    return False


def assert_alive(place):
    """The server still lets in who may."""
    with Stream(place, "juliet", login(place)[1]) as stream:
        assert stream.logged_in


NAMES = {
    "none": [],
    "two accounts": [xmpp_addr(JULIET), xmpp_addr(ROMEO)],
    "the same twice": [xmpp_addr(JULIET), xmpp_addr(JULIET)],
    "twice, one of them nothing": [xmpp_addr(JULIET), addr(b"\x05\x00")],
    "a full JID": [xmpp_addr(JULIET + "/phone")],
    "a full JID without a resource": [xmpp_addr(JULIET + "/")],
    "a domain": [xmpp_addr(DOMAIN)],
    "no account before the @": [xmpp_addr("@" + DOMAIN)],
    "an empty text": [xmpp_addr("")],
    "another domain": [xmpp_addr("juliet@other.test")],
    "a domain below": [xmpp_addr("juliet@sub." + DOMAIN)],
    "an account that is not there": [xmpp_addr("nobody@" + DOMAIN)],
    "no JID": [xmpp_addr("a b@" + DOMAIN)],
    "two @": [xmpp_addr(f"juliet@{DOMAIN}@{DOMAIN}")],
    "a NUL after it": [xmpp_addr(JULIET + "\0")],
    "a NUL and more after it": [xmpp_addr(JULIET + "\0.evil.test")],
    "a NUL in the account": [xmpp_addr(f"juliet\0x@{DOMAIN}")],
    "a line after it": [xmpp_addr(JULIET + "\n")],
    "a space after it": [xmpp_addr(JULIET + " ")],
    "a URI": [xmpp_addr("xmpp:" + JULIET)],
    "what is no UTF-8": [addr(tlv(UTF8, JULIET.encode() + b"\xff"))],
    "what is UTF-8 the long way": [addr(tlv(UTF8, b"juliet\xc1\x80" + DOMAIN.encode()))],
    "only e-mail": [x509.RFC822Name(JULIET)],
    "only DNS": [x509.DNSName(DOMAIN), x509.DNSName("juliet." + DOMAIN)],
    "only a URI name": [x509.UniformResourceIdentifier("xmpp:" + JULIET)],
    "only a directory name": [x509.DirectoryName(common_name(JULIET))],
    "only an SRVName": [x509.OtherName(SRV_NAME, tlv(IA5, "_xmpp-client." + DOMAIN))],
    "only an SRVName with the JID": [x509.OtherName(SRV_NAME, tlv(UTF8, JULIET))],
    "only a registered ID": [x509.RegisteredID(XMPP_ADDR)],
    "IA5String": [addr(tlv(IA5, JULIET))],
    "PrintableString": [addr(tlv(PRINTABLE, JULIET))],
    "T61String": [addr(tlv(T61, JULIET))],
    "BMPString": [addr(tlv(BMP, JULIET.encode("utf-16-be")))],
    "OCTET STRING": [addr(tlv(OCTETS, JULIET))],
    "BIT STRING": [addr(tlv(BITS, "\0" + JULIET))],
    "BOOLEAN": [addr(b"\x01\x01\xff")],
    "NULL": [addr(b"\x05\x00")],
    "INTEGER": [addr(b"\x02\x01\x05")],
    "OBJECT IDENTIFIER": [addr(tlv(6, b"\x2a\x03\x04"))],
    "in a SEQUENCE": [addr(tlv(SEQUENCE, tlv(UTF8, JULIET)))],
    "in a SET": [addr(tlv(SET, tlv(UTF8, JULIET)))],
    "in an OCTET STRING": [addr(tlv(OCTETS, tlv(UTF8, JULIET)))],
    "tagged once more": [addr(tlv(0xa0, tlv(UTF8, JULIET)))],
    "in pieces": [addr(tlv(0x2c, tlv(UTF8, "juliet@") + tlv(UTF8, DOMAIN)))],
    "in another otherName": [x509.OtherName(x509.ObjectIdentifier("1.2.3.4"), san_der(GOOD_ENTRY))],
    "as the text of another otherName": [x509.OtherName(x509.ObjectIdentifier("1.2.3.4"), tlv(UTF8, GOOD_ENTRY))],
    "with an OID that goes on": [x509.OtherName(x509.ObjectIdentifier("1.3.6.1.5.5.7.8.5.1"), tlv(UTF8, JULIET))],
    "with an OID that ends before": [x509.OtherName(x509.ObjectIdentifier("1.3.6.1.5.5.7.8"), tlv(UTF8, JULIET))],
}


@pytest.mark.parametrize("names", NAMES)
def test_names_that_do_not_log_in(place, names):
    """The JID in the subject, where it is in all of these, makes nothing better."""
    key = make_key()
    cert = place.client_ca.issue(key, NAMES[names], subject=JULIET)
    assert not gets_in(place, files_of(place, key, cert), "nobody@" + DOMAIN, "juliet@other.test")
    assert_alive(place)


SANS = {
    "empty": b"",
    "an empty list": san_der(),
    "no list": tlv(UTF8, JULIET),
    "the entry without its list": GOOD_ENTRY,
    "more after the list": san_der(GOOD_ENTRY) + b"\x05\x00",
    "cut in the entry": san_der(GOOD_ENTRY[:-1]),
    "cut before its end": san_der(GOOD_ENTRY)[:-1],
    "longer than it is": san_der(GOOD_ENTRY)[:1] + b"\x7f" + san_der(GOOD_ENTRY)[2:],
    "of no definite length": b"\x30\x80" + GOOD_ENTRY + b"\0\0",
    "a length of 2^32": b"\x30\x84\xff\xff\xff\xff" + GOOD_ENTRY,
    "a length of many bytes": b"\x30\x89" + b"\1" * 9 + GOOD_ENTRY,
    "the text longer than its entry": san_der(tlv(0xa0, tlv(6, XMPP_ADDR_DER) + tlv(0xa0, b"\x0c\x7f" + JULIET.encode()))),
    "an entry without a value": san_der(tlv(0xa0, tlv(6, XMPP_ADDR_DER))),
    "an entry with an empty value": san_der(other_name(XMPP_ADDR_DER, b"")),
    "an entry with two values": san_der(other_name(XMPP_ADDR_DER, tlv(UTF8, JULIET) + tlv(UTF8, JULIET))),
    "a good one and a broken one": san_der(GOOD_ENTRY, tlv(0xa0, b"\x06")),
    "a good one and one of [31]": san_der(GOOD_ENTRY, b"\xbf\x1f\x02\x05\x00"),
}


def issue(place, key, *extensions):
    """A certificate with these extensions: pairs of identifier and value."""
    now = datetime.datetime.utcnow()
    builder = x509.CertificateBuilder().subject_name(common_name(JULIET)).issuer_name(place.client_ca.cert.subject)
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(1)).not_valid_after(now + datetime.timedelta(1))
    builder = builder.add_extension(x509.BasicConstraints(False, None), True)
    for oid, value in extensions:
        builder = builder.add_extension(x509.UnrecognizedExtension(oid, value), False)
    return builder.sign(place.client_ca.key, hashes.SHA256())


SAN = ExtensionOID.SUBJECT_ALTERNATIVE_NAME


def test_the_extension_put_together_here_is_good_by_itself(place):
    key = make_key()
    assert gets_in(place, files_of(place, key, issue(place, key, (SAN, san_der(GOOD_ENTRY)))))


@pytest.mark.parametrize("san", SANS)
def test_alternative_names_that_are_broken(place, san):
    key = make_key()
    assert not gets_in(place, files_of(place, key, issue(place, key, (SAN, SANS[san]))))
    assert_alive(place)


def test_two_extensions_with_a_name_each_are_one_too_many(place):
    """No library writes that: the second one is another extension's, until it is signed."""
    key = make_key()
    for second in (GOOD_ENTRY, other_name(XMPP_ADDR_DER, tlv(UTF8, ROMEO))):
        cert = issue(place, key, (SAN, san_der(GOOD_ENTRY)), (ExtensionOID.ISSUER_ALTERNATIVE_NAME, san_der(second)))
        tbs = cert.tbs_certificate_bytes.replace(b"\x55\x1d\x12", b"\x55\x1d\x11")
        signature = place.client_ca.key.sign(tbs, ec.ECDSA(hashes.SHA256()))
        algorithm = tlv(SEQUENCE, tlv(6, bytes.fromhex("2a8648ce3d040302")))
        der = tlv(SEQUENCE, tbs + algorithm + tlv(BITS, b"\0" + signature))
        assert not gets_in(place, files_of(place, key, x509.load_der_x509_certificate(der)))
    assert_alive(place)


def test_names_of_another_extension_do_not_count(place):
    key = make_key()
    for oid in (ExtensionOID.ISSUER_ALTERNATIVE_NAME, x509.ObjectIdentifier("1.2.3.4"), x509.ObjectIdentifier("2.5.29.17.1")):
        assert not gets_in(place, files_of(place, key, issue(place, key, (oid, san_der(GOOD_ENTRY)))))


def test_a_list_with_very_many_names_has_the_one_that_counts(place):
    key = make_key()
    names = [x509.DNSName(f"host{number}.{DOMAIN}") for number in range(1000)]
    cert = place.client_ca.issue(key, [*names, xmpp_addr(JULIET), *names])
    assert gets_in(place, files_of(place, key, cert))
    cert = place.client_ca.issue(key, [xmpp_addr(JULIET), *names, xmpp_addr(ROMEO)])
    assert not gets_in(place, files_of(place, key, cert))
    assert not gets_in(place, files_of(place, key, place.client_ca.issue(key, [xmpp_addr(JULIET)] * 200)))
    assert_alive(place)


def test_another_name_beside_the_xmppaddr_is_no_harm(place):
    key = make_key()
    cert = place.client_ca.issue(key, [x509.DNSName(DOMAIN), xmpp_addr(JULIET), x509.RFC822Name(ROMEO),
                                       x509.OtherName(SRV_NAME, tlv(IA5, "_xmpp-client." + DOMAIN))], subject=ROMEO)
    with Stream(place, "juliet", files_of(place, key, cert)) as stream:
        assert stream.logged_in
        stream.bind("x")
        assert f"<jid>{JULIET}/x" in stream.heard


@pytest.mark.parametrize("authzid", [ROMEO, JULIET + "/x", "juliet", DOMAIN, "@", f"juliet@other.{DOMAIN}"])
def test_another_identity_than_the_certificates_is_refused(place, authzid):
    with Stream(place, "juliet", login(place)[1], base64.b64encode(authzid.encode()).decode()) as stream:
        assert not stream.logged_in


@pytest.mark.parametrize("days", [(-10, -1), (1, 10)])
def test_outside_its_time_it_is_refused(place, days):
    assert not gets_in(place, login(place, days=days)[1])


def test_who_must_have_issued_it(place):
    """Not: a CA that nobody knows (also one of the same name), the owner itself, the owner of a good certificate."""
    key, owner = make_key(), make_key()
    good = place.client_ca.issue(owner, [xmpp_addr(JULIET)])
    stranger = ClientCA()
    assert not gets_in(place, files_of(place, key, stranger.issue(key, [xmpp_addr(JULIET)])))
    assert not gets_in(place, files_of(place, key, stranger.issue(key, [xmpp_addr(JULIET)]), stranger.cert))
    assert not gets_in(place, files_of(place, key, certificate(key.public_key(), key, xmpp_addr(JULIET))))
    by_owner = certificate(key.public_key(), owner, xmpp_addr(ROMEO), issuer=good.subject)
    assert not gets_in(place, files_of(place, key, by_owner, good))
    assert gets_in(place, files_of(place, owner, good))
