"""An authority below a root that is kept elsewhere: openssl is the root's owner, and judges what is issued."""
import datetime
import os
import re

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from authority_client import Client, Stream, bare, sha256
from authority_world import AuthorityWorld, key_files
from certificates import make_csr, make_key
from world import DOMAIN, SERVERS, Failed

pytest_plugins = ["authority_fixtures"]

ROOT_KEYS = {"prosody": ("rsa:3072",), "ejabberd": ("ec", "-pkeyopt", "ec_paramgen_curve:P-384")}
ALGORITHMS = {"prosody": "p384", "ejabberd": "rsa3072"}
WANTED = "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid:always\n"
CA = ("basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\n")
DAYS = 90  # of the intermediate; what it issues would be valid for a year


class CompanyWorld(AuthorityWorld):
    """An authority under a company's root, as its man page tells to set it up."""

    def make_ca(self):
        """Root, key, request and certificate."""
        self.folder = self.dir / "authority"
        self.run("openssl", "req", "-x509", "-newkey", *ROOT_KEYS[self.kind], "-nodes", "-days", 3650, "-keyout",
                 self.pki.dir / "root.key", "-out", self.pki.dir / "root.pem", "-subj", "/O=Company/CN=Offline root",
                 "-addext", "keyUsage=critical,keyCertSign,cRLSign")
        self.init("--request", self.folder / "request.pem", "--name", "Company XMPP", "--algorithm",
                              ALGORITHMS[self.kind])
        self.sign("intermediate")
        self.init("--certificate", self.pki.dir / "intermediate.pem", "--out", self.folder / "intermediate.pem")
        chain = [(path / name).read_text() for path, name in ((self.folder, "intermediate.pem"),
                                                              (self.pki.dir, "root.pem"))]
        self.write("authority/ca.pem", "".join(chain))

    def make_server(self):
        self.write("authority/chain.pem", (self.folder / "ca.pem").read_text())
        ca = "chain.pem" if self.kind == "prosody" else "intermediate.pem"
        self.server.serve(DOMAIN, self.folder, (self.folder / "component.secret").read_text(), ca=ca)
        self.server.add_accounts(DOMAIN, self.accounts, "secret")

    def init(self, *args):
        """Runs init; gives what it wrote and said."""
        status, out, err = self.run("signet-authority", "--config", self.authority_conf, "init", *args,
                                    env=self.authority_env, check=False)
        if status != 0:
            raise Failed(args, status, out, err)
        return out + err

    def sign(self, name, extensions=None, *options, request=None, days=DAYS):
        """A certificate by the root for that request, with what the request asks for unless told otherwise."""
        copied = () if extensions else ("-copy_extensions", "copyall")
        more = self.write(f"pki/{name}.ext", extensions or WANTED)
        self.run("openssl", "x509", "-req", "-in", request or self.folder / "request.pem", "-CA", self.pki.dir /
                 "root.pem", "-CAkey", self.pki.dir / "root.key", "-CAcreateserial", "-days", days, *copied,
                 "-extfile", more, *options, "-out", self.pki.dir / f"{name}.pem")
        return self.pki.dir / f"{name}.pem"


@pytest.fixture(scope="module", params=sorted(SERVERS))
def place(request):
    with CompanyWorld(request.param) as world:
        world.up()
        yield world


def pem_of(der):
    return x509.load_der_x509_certificate(der).public_bytes(serialization.Encoding.PEM)


def test_the_request_is_what_a_root_signs(place):
    text = place.run("openssl", "req", "-in", place.folder / "request.pem", "-verify", "-noout", "-text", check=False)
    assert text[0] == 0 and "verify OK" in text[1] + text[2]
    assert "Subject: CN = Company XMPP\n" in text[1]
    assert re.search("X509v3 Basic Constraints: critical\n +CA:TRUE, pathlen:0\n", text[1])
    assert re.search("X509v3 Key Usage: critical\n +Certificate Sign, CRL Sign\n", text[1])
    assert "Alternative" not in text[1]
    assert "-----BEGIN CERTIFICATE REQUEST-----" in (place.folder / "request.pem").read_text()


def test_the_request_can_be_written_again_for_the_same_key(place):
    said = place.init("--request", place.folder / "again.pem", "--name", "Company XMPP 2")
    assert "is there: the request is for it" in said
    keys = [place.run("openssl", "req", "-in", place.folder / name, "-noout", "-pubkey")
            for name in ("request.pem", "again.pem")]
    assert keys[0] == keys[1]


def test_c11_openssl_verifies_the_chain_and_the_list(place, client):
    ders = [client.added(make_csr(make_key(), bare(client))) for _ in range(2)]
    chain = ("-CAfile", place.pki.dir / "root.pem", "-untrusted", place.folder / "intermediate.pem")
    for purpose in ("sslclient", "sslserver"):
        assert "OK" in place.openssl("verify", "-x509_strict", "-purpose", purpose, *chain, "@", data=pem_of(ders[0]))
    assert place.openssl("verify", *chain[:2], "@", data=pem_of(ders[0]), check=False)[0] != 0
    cert = x509.load_der_x509_certificate(ders[0])
    ca = x509.load_pem_x509_certificate((place.folder / "intermediate.pem").read_bytes())
    assert cert.issuer == ca.subject
    assert cert.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier == \
        ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    assert cert.signature_hash_algorithm.name == "sha256"
    client.revoke(sha256(ders[0]))
    assert "verify OK" in "".join(place.run("openssl", "crl", "-in", place.folder / "crl.pem", "-noout", "-CAfile",
                                            place.folder / "intermediate.pem", check=False)[1:])
    for der, good in zip(ders, (False, True)):
        status, out, err = place.openssl("verify", "-crl_check", "-CRLfile", place.folder / "crl.pem", *chain, "@",
                                         data=pem_of(der), check=False)
        assert (status == 0) == good, out + err
        assert good or "certificate revoked" in out + err


def test_the_leaf_alone_logs_in_until_it_is_revoked(place, client):
    key = make_key()
    der = client.added(make_csr(key, bare(client)))
    files = key_files(place, key, der)
    with Client(place, client.boundjid.user, files, resource="live") as mine:
        assert mine.logged_in and mine.boundjid.bare == bare(client)
    client.revoke(sha256(der))
    with Client(place, client.boundjid.user, files) as again:
        assert again.refused


def test_what_else_the_root_has_certified_does_not_log_in(place):
    """Such a chain is good for the server's TLS, but is not the authority's: by the root itself, and by an
    intermediate of somebody else, which the client sends along."""
    jid = f"juliet@{DOMAIN}"
    leaf = f"basicConstraints=CA:FALSE\nextendedKeyUsage=clientAuth,serverAuth\n" \
           f"subjectAltName=otherName:1.3.6.1.5.5.7.8.5;UTF8:{jid}\n"
    keys = {}
    for name in ("by-root", "other-ca", "by-other"):
        place.run("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                  place.pki.dir / f"{name}.key", "-out", place.pki.dir / f"{name}.csr", "-subj", f"/CN={name}")
        keys[name] = place.pki.dir / f"{name}.key"
    direct = place.sign("by-root", leaf, request=place.pki.dir / "by-root.csr")
    place.sign("other-ca", CA + WANTED, request=place.pki.dir / "other-ca.csr")
    other = place.pki.dir / "by-other.pem"
    place.run("openssl", "x509", "-req", "-in", place.pki.dir / "by-other.csr", "-CA", place.pki.dir / "other-ca.pem",
              "-CAkey", keys["other-ca"], "-CAcreateserial", "-days", 5, "-extfile", place.write("pki/leaf.ext", leaf),
              "-out", other)
    chain = place.write("pki/by-other-chain.pem", other.read_text() + (place.pki.dir / "other-ca.pem").read_text())
    for cert, name in ((direct, "by-root"), (chain, "by-other")):
        with Stream(place, "juliet", (str(cert), str(keys[name]))) as stream:
            assert not stream.logged_in and "EXTERNAL" not in stream.offered


def test_c11_nothing_is_valid_longer_than_its_ca(place, client):
    cert = x509.load_der_x509_certificate(client.added(make_csr(make_key(), bare(client))))
    ca = x509.load_pem_x509_certificate((place.folder / "intermediate.pem").read_bytes())
    assert cert.not_valid_after == ca.not_valid_after
    assert ca.not_valid_after < datetime.datetime.utcnow() + datetime.timedelta(DAYS + 1)
    assert place.authority.count("they end with it") == 1
    client.added(make_csr(make_key(), bare(client)))
    assert place.authority.count("they end with it") == 1


@pytest.mark.parametrize("place", ["prosody"], indirect=True)
def test_prosody_says_that_an_intermediate_needs_its_root(place, client):
    """Its TLS library ends a chain at a root alone; ejabberd's module counts each certificate of its file."""
    key = make_key()
    files = key_files(place, key, client.added(make_csr(key, bare(client))))
    text = (place.folder / "chain.pem").read_text()
    try:
        # alone; and no other takes the place of a first one that cannot be read
        for wrong, said in (((place.folder / "intermediate.pem").read_text(), "an intermediate's certificate, which its "
                             "root's does not follow"), (text.replace("MII", "MIX", 1), "not a certificate")):
            place.server.stop()
            place.write("authority/chain.pem", wrong)
            place.server.start()
            place.server.process.wait_line(f"signet_ccm2_ca: {said}")
            with Stream(place, client.boundjid.user, files) as stream:
                assert not stream.logged_in
    finally:
        place.server.stop()
        place.write("authority/chain.pem", text)
        place.server.start()
        place.server.process.wait_line("component successfully authenticated")


@pytest.fixture(scope="module")
def bench():
    """Token, key and request alone, for what comes back."""
    with CompanyWorld("prosody") as world:
        world.make_pki()
        world.make_authority()
        yield world


BAD = {
    "no CA": ("basicConstraints=CA:FALSE\nkeyUsage=keyCertSign,cRLSign\n" + WANTED, (), "CA:TRUE"),
    "no keyUsage": ("basicConstraints=critical,CA:TRUE\n" + WANTED, (), "keyCertSign and cRLSign"),
    "no cRLSign": ("basicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign\n" + WANTED, (), "keyCertSign and cRLSign"),
    "for e-mail": (CA + "extendedKeyUsage=emailProtection\n" + WANTED, (), "clientAuth and serverAuth"),
    "for clients": (CA + "extendedKeyUsage=clientAuth\n" + WANTED, (), "clientAuth and serverAuth"),
    "no identifier": (CA + "subjectKeyIdentifier=none\n", (), "subjectKeyIdentifier"),
    "a critical extension": (CA + WANTED + "1.2.3.4=critical,ASN1:NULL\n", (), "critical and not known"),
    "SHA-1": (CA + WANTED, ("-sha1",), "SHA-256 or better"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_certificate_that_cannot_issue_is_refused(bench, what):
    extensions, options, said = BAD[what]
    path = bench.sign("bad", extensions, *options)
    assert_refused(bench, path, said, 7)


def assert_refused(bench, path, said, status):
    before = objects(bench)
    with pytest.raises(Failed) as failed:
        bench.run("signet-authority", "--config", bench.authority_conf, "init", "--certificate", path,
                  env=bench.authority_env)
    assert said in failed.value.err and str(path) in failed.value.err
    assert failed.value.status == status
    assert objects(bench) == before


def objects(bench):
    return bench.run("pkcs11-tool", "--module", bench.module, "--token-label", "authority", "--list-objects", "--type",
                     "cert", env=bench.authority_env).count("Certificate Object")


def test_a_signature_that_is_not_the_issuers_is_refused(bench):
    """Where the issuer stands beside it, perhaps with an older one of its name."""
    good = bench.sign("sound")
    der = bytearray(x509.load_pem_x509_certificate(good.read_bytes()).public_bytes(serialization.Encoding.DER))
    der[-1] ^= 1
    damaged = x509.load_der_x509_certificate(bytes(der)).public_bytes(serialization.Encoding.PEM).decode()
    root, older = bench.pki.dir / "root.pem", bench.pki.dir / "older.pem"
    bench.run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
              bench.pki.dir / "older.key", "-out", older, "-subj", "/O=Company/CN=Offline root")
    beside = older.read_text() + root.read_text()
    assert_refused(bench, bench.write("pki/damaged.pem", damaged + beside), "its signature is not by the issuer", 7)
    bench.init("--certificate", bench.write("pki/sound-chain.pem", beside + good.read_text()))


@pytest.mark.parametrize("start, end, said", [("20200101000000Z", "20210101000000Z", "it has expired"),
                                              ("20400101000000Z", "20410101000000Z", "it is not valid yet")])
def test_a_certificate_outside_its_time_is_refused(bench, start, end, said):
    """openssl ca is the command that sets both."""
    bench.write("pki/ca.cnf", f"""\
[ca]
default_ca = own
[own]
database = {bench.pki.dir}/index
serial = {bench.pki.dir}/serial
new_certs_dir = {bench.pki.dir}
policy = any
default_md = sha256
copy_extensions = copyall
x509_extensions = wanted
[any]
commonName = supplied
[wanted]
{WANTED}""")
    bench.write("pki/index", "")
    bench.write("pki/serial", "05\n")
    path = bench.pki.dir / "timed.pem"
    bench.run("openssl", "ca", "-batch", "-config", bench.pki.dir / "ca.cnf", "-in", bench.folder / "request.pem",
              "-cert", bench.pki.dir / "root.pem", "-keyfile", bench.pki.dir / "root.key", "-startdate", start,
              "-enddate", end, "-out", path)
    assert_refused(bench, path, said, 7)


def test_a_certificate_for_another_key_is_refused(bench):
    bench.run("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
              bench.pki.dir / "o.key", "-out", bench.pki.dir / "o.csr", "-subj", "/CN=Company XMPP")
    assert_refused(bench, bench.sign("other", CA + WANTED, request=bench.pki.dir / "o.csr"),
                   "no certificate for the key on the token: have the request certified", 7)


@pytest.mark.parametrize("text", ["", "hello", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
                                  "x" * 300000])
def test_what_is_no_certificate_is_refused(bench, text):
    before = objects(bench)
    path = bench.write("pki/none.pem", text)
    with pytest.raises(Failed) as failed:
        bench.init("--certificate", path)
    assert re.search("no certificate, in PEM or DER|larger than a limit", failed.value.err), failed.value.err
    assert objects(bench) == before


def test_a_file_that_is_not_there_is_named(bench):
    assert_refused(bench, bench.dir / "nowhere.pem", "No such file", 1)


def test_der_and_a_chain_around_it_are_taken_and_one_that_ends_later_follows(bench):
    first, later = bench.sign("first"), bench.sign("later", days=2 * DAYS)
    bench.run("openssl", "x509", "-in", later, "-outform", "der", "-out", bench.pki.dir / "later.der")
    before = objects(bench)
    assert bench.init("--certificate", bench.pki.dir / "later.der").startswith(later.read_text())
    assert objects(bench) == before + 1
    # again, among others
    chain = bench.write("pki/chain.pem", (bench.pki.dir / "root.pem").read_text() + later.read_text())
    bench.init("--certificate", chain)
    assert objects(bench) == before + 1
    bench.init("--certificate", first)
    assert bench.init().startswith(later.read_text())


def test_no_pathlen_is_said(bench):
    said = bench.init("--certificate", bench.sign("long", CA.replace(",pathlen:0", "") + WANTED))
    assert "it has no pathlen:0" in said


def test_a_certificate_before_its_key_is_told_what_comes_first(bench):
    bench.mkdir("empty")
    env = bench.env(SOFTHSM2_CONF=bench.make_token("empty/token", "authority"))
    with pytest.raises(Failed) as failed:
        bench.run("signet-authority", "--config", bench.authority_conf, "init", "--certificate",
                  bench.pki.dir / "root.pem", env=env)
    assert failed.value.status == 3 and "begin with --request" in failed.value.err


def test_a_name_that_cannot_be_leaves_no_key_behind(bench):
    bench.mkdir("named")
    env = bench.env(SOFTHSM2_CONF=bench.make_token("named/token", "authority"))
    init = ("signet-authority", "--config", bench.authority_conf, "init", "--algorithm", "p256")
    for name in ("", "x" * 65, b"\xff"):
        for more in ((), ("--request", bench.dir / "never.pem")):
            with pytest.raises(Failed) as failed:
                bench.run(*init, "--name", os.fsdecode(name), *more, env=env)
            assert failed.value.status == 2 and "--name" in failed.value.err
    assert "BEGIN CERTIFICATE" in bench.run(*init, "--name", "x" * 64, env=env)


@pytest.mark.parametrize("args", [("--request", "a", "--certificate", "b"), ("--request", "a", "--out", "b")])
def test_options_that_exclude_each_other(bench, args):
    with pytest.raises(Failed) as failed:
        bench.run("signet-authority", "--config", bench.authority_conf, "init", *args, env=bench.authority_env)
    assert failed.value.status == 2 and "usage:" in failed.value.err
