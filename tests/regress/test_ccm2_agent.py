"""The agent's side of ccm2 (C1 to C12), behind each server, with an authority that the test plays."""
import base64
import hashlib
import json
import re

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from certificates import ClientCA, make_key, to_der, xmpp_addr
from processes import PATIENCE
from rogue_authority import NS_ADD, Rogue, issued, result
from world import DOMAIN, PASSWORD, SERVERS, World

NS_LIST, NS_REVOKE = "urn:xmpp:ccm2:list-certs:0", "urn:xmpp:ccm2:revoke-cert:0"
NS_STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"
JULIET = f"juliet@{DOMAIN}"


class PlayedWorld(World):
    """A server whose authority is the test's, with a CA whose key the test holds; and juliet's agent with a key."""

    def up(self):
        self.client_ca = ClientCA()
        self.by_password = ("--password-file", self.dir / "password")
        self.make_pki()
        self.write("authority/ca.pem", self.client_ca.pem())
        self.write("authority/component.secret", "component secret", 0o600)
        self.write("authority/revoked.txt", "")
        self.make_server()
        self.start_server()
        self.env_juliet = self.make_agent("juliet")
        self.start_agent("juliet", self.env_juliet)
        self.run_signet("account", "add", JULIET, "--host", "127.0.0.1", "--port", self.c2s_port, "--cafile", self.cafile)
        self.key = self.run_signet("key", "new", "--token", "juliet", "--label", "client", "--algorithm", "p256")["key"]

    def run_signet(self, *args):
        return json.loads(self.signet(self.env_juliet, "--json", *args))

    def enrol(self):
        """Enrols by password; gives the exit status, what it printed and what it said."""
        return self.signet(self.env_juliet, "--json", "enrol", JULIET, "--key", self.key["uri"], "--name", "Juliet\u2019s phone",
                           *self.by_password, check=False)

    def kept(self):
        """The certificates on the token and in the store."""
        stored = self.run_signet("account", "show", JULIET)["account"]["certificate"]
        return self.run_signet("key", "show", self.key["uri"])["certificates"], stored

    def certificate(self, public_key, *jids, **kwargs):
        """One by the test's CA, in Base64."""
        cert = self.client_ca.issue(Public(public_key), [xmpp_addr(jid) for jid in jids or [JULIET]], **kwargs)
        return base64.b64encode(to_der(cert)).decode()


class Public:
    """What ClientCA.issue() wants of a key."""

    def __init__(self, key):
        self.public_key = lambda: key


@pytest.fixture(scope="module", params=sorted(SERVERS))
def place(request):
    with PlayedWorld(server=request.param) as world:
        world.up()
        yield world


@pytest.fixture(scope="module")
def rogue(place):
    """The component, from the first test that wants it."""
    mark = place.server.process.mark()
    rogue = Rogue(place)
    rogue.start()
    assert rogue.ready.wait(PATIENCE)
    place.server.wait_delegated(mark)
    yield rogue
    rogue.stop()


def error_xml(kind, condition, text):
    return (f"<error xmlns='jabber:client' type='{kind}'><{condition} xmlns='{NS_STANZAS}'/><text xmlns='{NS_STANZAS}'>{text}"
            "</text></error>")


@pytest.fixture
def authority(rogue):
    """The same, with nothing asked yet; what is not expected (an enrolment that is tried again, say) is refused."""
    rogue.requests.clear()
    rogue.answer = rogue.other = lambda _: error_xml("auth", "forbidden", "Not now.")
    return rogue


def asked_in(authority, namespace):
    """The requests of this namespace that came."""
    return [request for request in authority.requests if request.tag.startswith(f"{{{namespace}}}")]


def failed(place):
    """Tries to enrol; gives the error, after checking that nothing was kept."""
    status, out, _ = place.enrol()
    assert status != 0
    assert place.kept() == ([], None)
    return json.loads(out.strip().splitlines()[-1] if not out.lstrip().startswith("{\n") else out)


def test_c1_a_feature_that_is_missing_is_named(place):
    """Before any other: the component is not there yet."""
    error = failed(place)
    assert error["error"] == "FeatureMissing" and "urn:xmpp:ccm2:add-cert:0" in json.dumps(error)


BAD = {
    "another key": lambda place, csr: result(place.certificate(make_key().public_key())),
    "another JID": lambda place, csr: result(place.certificate(csr.public_key(), f"romeo@{DOMAIN}")),
    "two JIDs": lambda place, csr: result(place.certificate(csr.public_key(), JULIET, f"romeo@{DOMAIN}")),
    "a resource": lambda place, csr: result(place.certificate(csr.public_key(), f"{JULIET}/x")),
    "no JID": lambda place, csr: result(issued(csr.public_key(), [])),
    "expired": lambda place, csr: result(place.certificate(csr.public_key(), days=(-10, -0.005))),
    "not yet valid": lambda place, csr: result(place.certificate(csr.public_key(), days=(0.005, 30))),
    "not Base64": lambda place, csr: result("%%%%"),
    "bytes after it": lambda place, csr: result(base64.b64encode(
        base64.b64decode(place.certificate(csr.public_key())) + b"x").decode()),
    "not a certificate": lambda place, csr: result("AAAA"),
    "100 KB of it": lambda place, csr: result("A" * 100000),
    "another element": lambda place, csr: "<surprise xmlns='urn:example:0'/>",
}


@pytest.mark.parametrize("what", BAD)
def test_c4_a_wrong_certificate_is_refused_and_nothing_kept(place, authority, what):
    authority.answer = lambda csr: BAD[what](place, csr)
    error = failed(place)
    assert error["error"] in ("CertificateRefused", "Malformed", "LimitExceeded"), error
    assert error["parameters"]["message"]


ERRORS = {
    "bad-request": ("modify", "That is not a certificate signing request."),
    "not-acceptable": ("modify", "This kind of key is not accepted here."),
    "forbidden": ("auth", "Your account may not have certificates here."),
    "resource-constraint": ("wait", "You have as many certificates as an account may have."),
    "internal-server-error": ("wait", "The authority cannot do this at the moment."),
}


@pytest.mark.parametrize("condition", ERRORS)
def test_c6_a_refusal_reaches_the_person_with_its_text(place, authority, condition):
    kind, text = ERRORS[condition]
    authority.answer = lambda csr: error_xml(kind, condition, text)
    error = failed(place)
    assert condition in json.dumps(error) and text in json.dumps(error), error


def cell(last_used="", name="phone", users=(), der=None):
    """An entry of a list."""
    who = "".join(f"<resource>{user}</resource>" for user in users)
    return (f"<x509certificate{last_used}><name>{name}</name><x509cert>{der}</x509cert>"
            f"{f'<users>{who}</users>' if users else ''}</x509certificate>")


@pytest.mark.parametrize("root", ["list-of-certificates", "list-of-certficiates"])
def test_c7_c8_both_roots_and_every_form_of_last_use_are_read(place, authority, root):
    ders = [place.certificate(make_key().public_key()) for _ in range(5)]
    cells = [cell(" last-used='2026-01-02T03:04:05Z'", "one", ("Phone", "T\u00e4blet"), ders[0]),
             cell(" last-used='2026-01-02T05:04:05.250+02:00'", "two", (), ders[1]), cell(" last-used=''", "three", (), ders[2]),
             cell("", "", (), ders[3]), cell(" last-used='yesterday'", "five", (), ders[4])]
    authority.other = lambda _: f"<{root} xmlns='{NS_LIST}'>{''.join(cells)}</{root}>"
    listed = place.run_signet("cert", "list", JULIET, *place.by_password)["certificates"]
    assert [entry["certificate"]["sha256"] for entry in listed] == \
        [hashlib.sha256(base64.b64decode(der)).hexdigest() for der in ders]
    assert [entry["name"] for entry in listed] == ["one", "two", "three", "", "five"]
    times = [entry["last_used"] for entry in listed]
    assert times[0] == times[1] == "2026-01-02T03:04:05Z" and times[2:] == [None] * 3
    assert [entry["used"] for entry in listed] == ["at", "at", "unknown", "never", "unknown"]
    assert [entry["users"] for entry in listed] == [["Phone", "T\u00e4blet"], [], [], [], []]
    requests = asked_in(authority, NS_LIST)  # an enrolment that waits asks, too
    assert requests
    assert all(r.tag == f"{{{NS_LIST}}}list-certificates-request" and len(r) == 0 for r in requests)


@pytest.mark.parametrize("root", ["certificates", "list-of-certificates-x"])
def test_c7_another_root_is_refused(place, authority, root):
    authority.other = lambda _: f"<{root} xmlns='{NS_LIST}'/>"
    status, out, _ = place.signet(place.env_juliet, "--json", "cert", "list", JULIET, *place.by_password, check=False)
    assert status != 0 and json.loads(out)["error"] == "Malformed"


def test_c9_c10_what_is_asked_to_be_revoked(place, authority):
    der = place.certificate(make_key().public_key())
    sha256 = hashlib.sha256(base64.b64decode(der)).hexdigest()
    entries = [cell(der=der)]

    def answer(payload):
        if payload.tag.endswith("}list-certificates-request"):
            return f"<list-of-certificates xmlns='{NS_LIST}'>{''.join(entries)}</list-of-certificates>"
        entries.clear()
        return ""
    authority.other = answer
    place.run_signet("cert", "revoke", JULIET, sha256, "--yes", *place.by_password)
    (asked,) = asked_in(authority, NS_REVOKE)
    (fingerprint,) = asked
    assert asked.tag == f"{{{NS_REVOKE}}}revoke-certificate"
    assert fingerprint.tag == f"{{{NS_REVOKE}}}fingerprint"
    assert fingerprint.attrib == {"hash": "sha-256"} and fingerprint.text == sha256


def test_c3_c4_c12_what_is_asked_and_what_is_kept(place, authority):
    """After the refusals above: a good answer is kept, and proven by a login."""
    csrs = []

    def answer(csr):
        csrs.append(csr)
        return result(place.certificate(csr.public_key()))
    authority.answer = answer
    authority.other = lambda _: f"<list-of-certificates xmlns='{NS_LIST}'/>"
    status, out, err = place.enrol()
    assert status == 0, out + err
    asked = asked_in(authority, NS_ADD)[-1]
    assert asked.tag == f"{{{NS_ADD}}}add-certificate-request"
    assert asked.findtext(f"{{{NS_ADD}}}name") == "Juliet\u2019s phone"
    assert re.fullmatch("[A-Za-z0-9+/]+={0,2}", asked.findtext(f"{{{NS_ADD}}}x509certificate-signing-request"))
    csr = csrs[-1]
    assert csr.is_signature_valid and isinstance(csr.signature_hash_algorithm, hashes.SHA256)
    assert [a.value for a in csr.subject] in ([], [JULIET])
    assert len(csr.extensions) == 1
    (name,) = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert name == xmpp_addr(JULIET)
    (on_token,), stored = place.kept()
    spki = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    kept = x509.load_der_x509_certificate(base64.b64decode(on_token["der"]))
    assert kept.public_key().public_bytes(*spki) == csr.public_key().public_bytes(*spki)
    assert stored == on_token["sha256"]
    account = place.run_signet("account", "show", JULIET)["account"]
    assert account["mechanism"] == "EXTERNAL"
    assert PASSWORD not in err
