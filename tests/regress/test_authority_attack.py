"""What people may try against the authority: requests as no program makes them, other people's names in every place,
wrappers that only a server may send, the same again and again. On both servers, and as a server that is not honest."""
import concurrent.futures
import itertools

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ed448, rsa

import odd_requests as odd
from authority_client import ET, NS_LIST, NS_REVOKE, Client, Stream, add_text, bare, error_of, sha256
from authority_world import AuthorityWorld, serve_domain_too
from certificates import make_csr, make_key
from odd_requests import (BMP, CHALLENGE, CN, EXTENSIONS, IA5, MAIL, MS_EXTENSIONS, NULL, RSA_SHA256, SRV_NAME, XMPP_ADDR,
                          asked, assemble, attribute, extension, name, san, tlv, xmpp_addr)
from world import DOMAIN, SERVERS

pytest_plugins = ["component_server"]

OTHER = "other.test"
BAD, NOT, FORBIDDEN = ("modify", "bad-request"), ("modify", "not-acceptable"), ("auth", "forbidden")
# Accounts of this length, so that one of the tables below can be for all of them.
OWN, ROMEO = f"attacker00@{DOMAIN}", f"romeo@{DOMAIN}"
NUMBERS = itertools.count(1)


class AttackedWorld(AuthorityWorld):
    """The server has a second domain, which is none of the authority's."""

    def __init__(self, server):
        super().__init__(server)
        self.certificates = 1000

    def make_server(self):
        super().make_server()
        serve_domain_too(self, OTHER)
        self.server.add_accounts(OTHER, ["juliet", "romeo"], "secret")
        self.server.add_accounts(DOMAIN, [OWN.partition("@")[0]], "secret")


@pytest.fixture(scope="module", params=sorted(SERVERS))
def place(request):
    with AttackedWorld(request.param) as world:
        world.up()
        yield world


@pytest.fixture(scope="module")
def attacker(place):
    """One client for the tables of requests."""
    with Client(place, OWN.partition("@")[0]) as client:
        yield client


@pytest.fixture
def client(place):
    with Client(place, place.account()) as client:
        yield client


def own(*more, **how):
    """A request for the attacker's own JID."""
    return assemble(asked(san(xmpp_addr(OWN))), *more, **how)


def names(*alternative):
    return assemble(asked(san(*alternative)))


KEYS = {
    "an RSA exponent of 1": odd.rsa_exponent_one,
    "an RSA exponent of 0": lambda: odd.rsa_of(2048, 0),
    "an even RSA exponent": lambda: odd.rsa_of(2048, 65536),
    "a negative RSA exponent": lambda: odd.rsa_of(2048, -3),
    "an RSA exponent of 2047 bits": lambda: odd.rsa_of(2048, odd.odd_modulus(2047)),
    "an RSA modulus of 16384 bits": lambda: odd.rsa_of(16384, 65537),
    "an RSA modulus of 8200 bits": lambda: odd.rsa_of(8200, 65537),
    "an RSA modulus of 512 bits": lambda: odd.rsa_of(512, 65537),
    "an RSA modulus of 0": lambda: own(spki=odd.rsa_key(0), alg=odd.algorithm(RSA_SHA256, NULL), signature=b"\1"),
    "an RSA modulus of 1": lambda: own(spki=odd.rsa_key(1), alg=odd.algorithm(RSA_SHA256, NULL), signature=b"\1"),
    "a negative RSA modulus": lambda: own(spki=odd.rsa_key(-(1 << 2047)), alg=odd.algorithm(RSA_SHA256, NULL),
                                          signature=b"\1" * 256),
    "the point at infinity": lambda: own(spki=odd.ec_key(b"\0")),
    "no point": lambda: own(spki=odd.ec_key(b"")),
    "a point that is not on the curve": lambda: own(spki=odd.ec_key(b"\4" + b"\1" * 64)),
    "an unknown curve": lambda: own(spki=odd.ec_key(b"\4" + b"\1" * 64, odd.oid("1.2.3.4"))),
    "an implicit curve": lambda: own(spki=odd.ec_key(b"\4" + b"\1" * 64, NULL)),
    "an unknown algorithm": lambda: own(spki=odd.seq(odd.seq(odd.oid("1.2.3.4")), odd.bits(b"\1" * 65))),
    "DSA": lambda: own(key=dsa.generate_private_key(2048)),
    "Ed448": lambda: own(key=ed448.Ed448PrivateKey.generate()),
    "X25519": lambda: own(spki=odd.seq(odd.seq(odd.oid("1.3.101.110")), odd.bits(b"\1" * 32))),
    "a signature by another key": lambda: own(signer=make_key()),
    "an empty signature": lambda: own(signature=b""),
    "a signature of another algorithm": lambda: own(alg=odd.algorithm(RSA_SHA256, NULL), signature=b"\1" * 256),
    "an unknown signature algorithm": lambda: own(alg=odd.algorithm("1.2.3.4"), signature=b"\1" * 64),
}
OPENSSL_KEYS = {
    "a curve that is spelled out": ("EC", "ec_paramgen_curve:P-256", "ec_param_enc:explicit"),
    "a brainpool curve": ("EC", "ec_paramgen_curve:brainpoolP256r1"),
    "RSA-PSS": ("RSA-PSS", "rsa_keygen_bits:2048"),
    "Ed25519": ("ED25519",),
}


def text_of(answer):
    return answer.find("{jabber:client}error/{urn:ietf:params:xml:ns:xmpp-stanzas}text").text


@pytest.mark.parametrize("what", KEYS)
def test_c6_odd_keys_are_not_acceptable(attacker, what):
    answer = attacker.add(KEYS[what]())
    assert error_of(answer) == NOT
    assert any(word in text_of(answer) for word in ("RSA", "rsa, p256", "signature", "signed"))


@pytest.mark.parametrize("what", OPENSSL_KEYS)
def test_c6_odd_keys_of_openssl_are_not_acceptable(place, attacker, what):
    kind, *options = OPENSSL_KEYS[what]
    path = place.pki.dir / "odd.key"
    place.run("openssl", "genpkey", "-algorithm", kind, *(o for option in options for o in ("-pkeyopt", option)), "-out",
              path)
    place.run("openssl", "req", "-new", "-key", path, "-subj", "/", "-outform", "der", "-out", f"{path}.csr")
    assert error_of(attacker.add((place.pki.dir / "odd.key.csr").read_bytes())) == NOT


FORMS = {
    "version 2": lambda: own(version=1),
    "a huge version": lambda: own(version=1 << 70),
    "bytes after it": lambda: own() + b"\0",
    "BER outside": lambda: odd.indefinite(0x30, own()[3 if own()[1] == 0x81 else 4:]),
    "BER inside": lambda: own(info=lambda *parts: odd.indefinite(0x30, *parts)),
    "an attribute in BER": lambda: assemble(odd.indefinite(0x30, odd.oid(EXTENSIONS),
                                                           odd.one_of(odd.seq(san(xmpp_addr(OWN)))))),
    "attributes that are not in order": lambda: own(attribute(CHALLENGE, odd.text("secret"))),
    "extensions asked for twice": lambda: assemble(asked(san(xmpp_addr(OWN))), asked(san(xmpp_addr(ROMEO)))),
    "two values of that": lambda: assemble(attribute(EXTENSIONS, odd.seq(san(xmpp_addr(OWN))),
                                                     odd.seq(san(xmpp_addr(ROMEO))))),
    "Microsoft's attribute, too": lambda: own(attribute(MS_EXTENSIONS, odd.seq(san(xmpp_addr(ROMEO))))),
    "Microsoft's attribute before": lambda: assemble(attribute(MS_EXTENSIONS, odd.seq(san(xmpp_addr(ROMEO)))),
                                                     asked(san(xmpp_addr(OWN)))),
    "no value": lambda: assemble(attribute(EXTENSIONS)),
    "a value that is no list": lambda: assemble(attribute(EXTENSIONS, odd.octets(b"x"))),
    "two SANs": lambda: assemble(asked(san(xmpp_addr(OWN)), san(xmpp_addr(ROMEO)))),
    "the same SAN twice": lambda: assemble(asked(san(xmpp_addr(OWN)), san(xmpp_addr(OWN)))),
    "a byte after the SAN": lambda: assemble(asked(extension(odd.SAN, odd.seq(xmpp_addr(OWN)) + b"\0"))),
    "a SAN that is none": lambda: assemble(asked(extension(odd.SAN, b"\0\1"))),
    "an IA5String": lambda: names(xmpp_addr(OWN, IA5)),
    "a BMPString": lambda: names(xmpp_addr(OWN, BMP)),
    "an OCTET STRING": lambda: names(odd.other_name(XMPP_ADDR, odd.octets(OWN.encode()))),
    "one within another": lambda: names(odd.other_name(XMPP_ADDR, odd.seq(odd.text(OWN)))),
    "a NUL at the end": lambda: names(xmpp_addr(OWN + "\0")),
    "a NUL inside": lambda: names(xmpp_addr(ROMEO + "\0" + OWN)),
    "no text": lambda: names(xmpp_addr("")),
    "no UTF-8": lambda: names(xmpp_addr(OWN.encode().replace(b"@", b"\xc3@"))),
}


@pytest.mark.parametrize("what", FORMS)
def test_c6_what_is_malformed_is_a_bad_request(attacker, what):
    assert error_of(attacker.add(FORMS[what]())) == BAD


OTHERS = {
    "Microsoft's attribute alone": lambda: assemble(attribute(MS_EXTENSIONS, odd.seq(san(xmpp_addr(ROMEO))))),
    "the last of many": lambda: names(*[xmpp_addr(OWN)] * 1500, xmpp_addr(ROMEO)),
    "a homograph": lambda: names(xmpp_addr(OWN.replace("a", "\u0430"))),
    "a joiner that cannot be seen": lambda: names(xmpp_addr(OWN.replace("@", "\u200d@"))),
    "an @ of full width": lambda: names(xmpp_addr(ROMEO.replace("@", "\uff20"))),
    "a resource": lambda: names(xmpp_addr(OWN + "/x")),
    "a blank before": lambda: names(xmpp_addr(" " + OWN)),
    "a longer domain": lambda: names(xmpp_addr(OWN + ".evil")),
    "the domain": lambda: names(xmpp_addr(DOMAIN)),
    "a directory name": lambda: names(xmpp_addr(OWN), tlv(0xa4, name((CN, ROMEO)))),
    "an internationalised e-mail address": lambda: names(odd.other_name("1.3.6.1.5.5.7.8.9", odd.text(ROMEO))),
    "an e-mail address in the subject": lambda: own(subject=name((MAIL, ROMEO, IA5))),
    "a user id in the subject": lambda: own(subject=name(("0.9.2342.19200300.100.1.1", ROMEO))),
    "a second common name": lambda: own(subject=name((CN, OWN), (CN, ROMEO))),
    "a common name in UTF-16": lambda: own(subject=name((CN, ROMEO, BMP))),
    "a common name with a NUL": lambda: own(subject=name((CN, OWN + "\0"))),
}


@pytest.mark.parametrize("what", OTHERS)
def test_c6_who_is_not_the_sender_is_forbidden(attacker, what):
    assert error_of(attacker.add(OTHERS[what]())) == FORBIDDEN


def test_nothing_of_that_was_issued(attacker):
    """Runs after the tables above, as pytest keeps their order."""
    assert attacker.listed() == []


GOOD = {
    "a critical SAN": lambda: assemble(asked(san(xmpp_addr(OWN), critical=True))),
    "upper case": lambda: names(xmpp_addr(OWN.upper())),
    "a CA": lambda: assemble(asked(san(xmpp_addr(OWN)), extension(odd.BASIC, odd.seq(b"\1\1\xff"), True),
                                   extension(odd.USAGE, odd.bits(b"\6", 1), True),
                                   extension(odd.PURPOSES, odd.seq(odd.oid("1.3.6.1.5.5.7.3.3"))))),
    "other names beside": lambda: names(xmpp_addr(OWN), odd.other_name(SRV_NAME, odd.text("_x." + DOMAIN, IA5)),
                                        tlv(0x82, b"evil.test"), tlv(0x87, b"\1\2\3\4")),
    "2,500 extensions": lambda: assemble(asked(san(xmpp_addr(OWN)), *(extension(f"1.2.3.{i}", odd.octets(b"x"))
                                                                      for i in range(2500)))),
    "a password": lambda: assemble(attribute(CHALLENGE, odd.text("secret")), asked(san(xmpp_addr(OWN)))),
    "a name that is no JID": lambda: own(subject=name((CN, "romeo"), ("2.5.4.10", "evil.test"))),
    "an RSA exponent of 3": lambda: own(key=rsa.generate_private_key(3, 2048)),
    "a compressed point": odd.compressed,
}


@pytest.mark.parametrize("what", GOOD)
def test_c11_whatever_is_asked_the_profile_stays(place, attacker, what):
    csr = GOOD[what]()
    der = attacker.added(csr)
    cert = x509.load_der_x509_certificate(der)
    assert cert.public_key().public_numbers() == x509.load_der_x509_csr(csr).public_key().public_numbers()
    assert [a.value for a in cert.subject] == [OWN]
    alternative = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [(n.type_id.dotted_string, n.value) for n in alternative] == [(XMPP_ADDR, odd.text(OWN))]
    assert len(cert.extensions) == 6
    assert not cert.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert "OK" in place.openssl("verify", "-x509_strict", "-purpose", "sslclient", "-CAfile",
                                 place.dir / "authority/ca.pem", "@",
                                 data=cert.public_bytes(serialization.Encoding.PEM))
    attacker.revoke(sha256(der))


# ---- the same again

def test_c5_the_same_request_from_many_at_once_gives_one_certificate(place, client):
    csr = make_csr(make_key(), bare(client))
    user = client.boundjid.user
    with Client(place, user, resource="two") as two, concurrent.futures.ThreadPoolExecutor(8) as pool:
        ders = list(pool.map(lambda who: who.added(csr), [client, two] * 8))
    assert len(set(ders)) == 1
    assert [entry[1] for entry in client.listed()] == [ders[0]]


def test_c5_an_id_that_comes_again_is_another_request(place):
    """The same id for other requests, from two accounts, in one breath: each gets what is its own."""
    accounts = [place.account() for _ in range(2)]
    streams = [Stream(place, account) for account in accounts]
    try:
        for stream, account in zip(streams, accounts):
            stream.bind("x")
            csrs = [make_csr(make_key(), f"{account}@{DOMAIN}") for _ in range(2)]
            stream.send("".join(f"<iq type='set' id='same'>{add_text(csr)}</iq>" for csr in csrs))
        for stream, account in zip(streams, accounts):
            got = [stream.hear("<x509certificate>([^<]*)</x509certificate>")[1] for _ in range(2)]
            assert len(set(got)) == 2
            stream.send(f"<iq type='get' id='list'><list-certificates-request xmlns='{NS_LIST}'/></iq>")
            stream.hear("</list-of-certificates>")
            assert all(stream.before.count(text) == 1 for text in got) and stream.before.count("<x509cert>") == 2
    finally:
        for stream in streams:
            stream.close()


# ---- wrappers that only a server may send

def wrapped(inner, version=2):
    return (f"<delegation xmlns='urn:xmpp:delegation:{version}'><forwarded xmlns='urn:xmpp:forward:0'>{inner}</forwarded>"
            "</delegation>")


def inner_iq(payload, attrs):
    return f"<iq xmlns='jabber:client' type='set' id='inner' {attrs}>{payload}</iq>"


@pytest.mark.parametrize("to", [f"ccm.{DOMAIN}", f"ccm.{DOMAIN}/x", f"x@ccm.{DOMAIN}", DOMAIN, f"juliet@{DOMAIN}", None])
@pytest.mark.parametrize("version", [1, 2])
def test_c6_a_wrapper_of_a_clients_own_making_gets_nothing(place, client, to, version):
    juliet = f"juliet@{DOMAIN}"
    for attrs in (f"from='{juliet}/x'", f"from='{juliet}/x' to='{juliet}'", f"from='{juliet}' to='{DOMAIN}'"):
        answer = client.iq("set", wrapped(inner_iq(add_text(make_csr(make_key(), juliet)), attrs), version), to=to)
        assert answer.get("type") == "error", ET.tostring(answer)
        assert b"x509certificate>" not in ET.tostring(answer).partition(b"<ns1:error")[2]
    with Client(place, "juliet") as real:
        assert real.listed() == []


@pytest.mark.parametrize("claimed", [DOMAIN, f"juliet@{DOMAIN}", f"juliet@{DOMAIN}/x", f"ccm.{DOMAIN}"])
def test_c6_a_sender_that_is_claimed_does_not_count(place, claimed):
    """The server puts the true one in its place, or ends the stream: nobody gets anything in another's name."""
    with Stream(place, "romeo") as stream:
        stream.bind("x")
        csr = make_csr(make_key(), f"juliet@{DOMAIN}")
        inner = inner_iq(add_text(csr), f"from='juliet@{DOMAIN}/x'")
        stream.send(f"<iq type='set' id='1' from='{claimed}' to='ccm.{DOMAIN}'>{wrapped(inner)}</iq>"
                    f"<iq type='set' id='2' from='{claimed}'>{add_text(csr)}</iq></stream:stream>")
        stream.hear_all()
        assert "add-certificate-result" not in stream.heard
    with Client(place, "juliet") as real:
        assert real.listed() == []


@pytest.mark.parametrize("to", [None, OTHER, f"juliet@{OTHER}", f"juliet@{DOMAIN}", DOMAIN])
def test_c6_accounts_of_another_domain_get_nothing(place, to):
    """To their own server, which hands over what it should not; and to the accounts and the server of ours."""
    address = f" to='{to}'" if to else ""
    mark = place.authority.mark()
    with Stream(place, "juliet", domain=OTHER) as stream:
        stream.bind("x")
        asked_for = [add_text(make_csr(make_key(), f"juliet@{domain}")) for domain in (DOMAIN, OTHER)]
        revoke = f"<revoke-certificate xmlns='{NS_REVOKE}'><fingerprint>{'0' * 64}</fingerprint></revoke-certificate>"
        for number, payload in enumerate((*asked_for, revoke)):
            stream.send(f"<iq type='set' id='{number}'{address}>{payload}</iq>")
            assert "error" in stream.hear(f"<iq[^>]*id=['\"]{number}['\"][^>]*>")[0]
        stream.send(f"<iq type='get' id='list'{address}><list-certificates-request xmlns='{NS_LIST}'/></iq>")
        assert "error" in stream.hear("<iq[^>]*id=['\"]list['\"][^>]*>")[0]
    assert not any("outcome=issued" in line or "outcome=listed" in line for line in place.authority.said(since=mark))


# ---- a server that is not honest

def hand_over(server, payload, outer=DOMAIN, kind="set", **attrs):
    """Hands over an iq with these attributes; gives the answer's text."""
    number = f"n{next(NUMBERS)}"
    inner = "".join(f" {key.strip('_')}='{value}'" for key, value in attrs.items())
    server.send(f"<iq type='{kind}' id='{number}' from='{outer}' to='ccm.{DOMAIN}'>"
                + wrapped(f"<iq xmlns='jabber:client' type='set' id='inner'{inner}>{payload}</iq>") + "</iq>")
    start = server.hear(f"<iq[^>]*id=['\"]{number}['\"][^>]*>")[0]
    server.send(f"<iq type='get' id='end-{number}' from='{DOMAIN}' to='ccm.{DOMAIN}'>"
                "<query xmlns='http://jabber.org/protocol/disco#info'/></iq>")
    server.hear(f"<iq[^>]*id=['\"]end-{number}['\"][^>]*>")
    return start + server.before


SENDERS = {
    "a remote account": {"from_": "juliet@evil.test/x"},
    "a remote account to an own one": {"from_": "juliet@evil.test/x", "to": f"juliet@{DOMAIN}"},
    "a remote account to the domain": {"from_": "juliet@evil.test/x", "to": DOMAIN},
    "a longer domain": {"from_": f"juliet@{DOMAIN}.evil.test/x"},
    "a subdomain": {"from_": f"juliet@sub.{DOMAIN}/x"},
    "an account in a resource": {"from_": f"evil.test/juliet@{DOMAIN}"},
    "two @": {"from_": f"juliet@evil.test@{DOMAIN}"},
    "the domain": {"from_": DOMAIN},
    "nobody": {},
    "an empty name": {"from_": f"@{DOMAIN}"},
    "an empty sender": {"from_": ""},
    "romeo to juliet": {"from_": f"romeo@{DOMAIN}/x", "to": f"juliet@{DOMAIN}"},
    "romeo to juliet's client": {"from_": f"romeo@{DOMAIN}/x", "to": f"juliet@{DOMAIN}/x"},
    "juliet to her client": {"from_": f"juliet@{DOMAIN}/x", "to": f"juliet@{DOMAIN}/x"},
    "juliet to another domain": {"from_": f"juliet@{DOMAIN}/x", "to": OTHER},
    "juliet to the component": {"from_": f"juliet@{DOMAIN}/x", "to": f"ccm.{DOMAIN}"},
    "a joiner that cannot be seen": {"from_": f"juliet\u200d@{DOMAIN}/x"},
}
OUTERS = ["evil.test", f"juliet@{DOMAIN}", f"{DOMAIN}/x", f"juliet@{DOMAIN}/x", f"ccm.{DOMAIN}", f"{DOMAIN}.evil.test", OTHER]


@pytest.mark.parametrize("who", SENDERS)
def test_c6_who_is_no_account_of_the_domain_is_forbidden(server, who):
    said = hand_over(server, add_text(make_csr(make_key())), **SENDERS[who])
    assert "<forbidden" in said and "x509certificate" not in said
    assert "outcome=issued" not in "".join(server.world.authority.said(0))


@pytest.mark.parametrize("outer", OUTERS)
def test_c6_who_is_not_the_domains_server_hands_over_nothing(server, outer):
    said = hand_over(server, add_text(make_csr(make_key())), outer, from_=f"juliet@{DOMAIN}/x")
    assert "<forbidden" in said and "x509certificate" not in said
    assert ("<delegation" in said) == ("@" not in outer and "/" not in outer)
    assert "outcome=issued" not in "".join(server.world.authority.said(0))


def test_c6_wrappers_of_another_form_hand_over_nothing(server):
    good = inner_iq(add_text(make_csr(make_key())), f"from='juliet@{DOMAIN}/x'")
    forms = [wrapped(good + good), wrapped(wrapped(good)), wrapped(f"<message xmlns='jabber:client'>{good}</message>"),
             wrapped(good) + wrapped(good), wrapped(good, 3), wrapped(good.replace("jabber:client", "jabber:server")),
             wrapped(good.replace(" id='inner'", "")), wrapped(good.replace("type='set'", "type='result'", 1)),
             f"<forwarded xmlns='urn:xmpp:forward:0'>{good}</forwarded>", good,
             f"<delegation xmlns='urn:xmpp:delegation:2'>{good}</delegation>"]
    for number, form in enumerate(forms):
        server.send(f"<iq type='set' id='f{number}' from='{DOMAIN}' to='ccm.{DOMAIN}'>{form}</iq>")
        assert "error" in server.hear(f"<iq[^>]*id=['\"]f{number}['\"][^>]*>")[0], form
    server.send(f"<iq type='get' id='get' from='{DOMAIN}' to='ccm.{DOMAIN}'>{wrapped(good)}</iq>")
    assert "error" in server.hear("<iq[^>]*id=['\"]get['\"][^>]*>")[0]
    assert "outcome=issued" not in "".join(server.world.authority.said(0))


def test_c11_the_honest_one_is_served_after_all_that(server):
    said = hand_over(server, add_text(make_csr(make_key())), from_=f"Juliet@{DOMAIN.upper()}/x", to=f"juliet@{DOMAIN}")
    assert "x509certificate" in said and "<error" not in said
