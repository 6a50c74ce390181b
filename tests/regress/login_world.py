"""A server whose login module judges certificates that the tests make, and a list of the revoked that they write."""
import os

import pytest
from cryptography.hazmat.primitives import hashes, serialization

from authority_client import Client
from authority_world import AuthorityWorld, key_files
from certificates import ClientCA, make_key, xmpp_addr
from world import DOMAIN, PASSWORD, SERVERS

JULIET = f"juliet@{DOMAIN}"


class LoginWorld(AuthorityWorld):
    """A server alone, with a client CA whose key the tests hold and a list of the revoked that they write."""

    def up(self):
        self.client_ca, self.other_ca = ClientCA(), ClientCA("Other client CA")
        self.make_pki()
        self.write("authority/ca.pem", self.client_ca.pem() + self.other_ca.pem())
        self.write("authority/only.pem", self.client_ca.pem())
        self.configure_login()
        self.server.add_accounts(DOMAIN, self.accounts, PASSWORD)
        self.list_revoked()
        self.start_server()

    def configure_login(self, **login):
        """Whatever CA the server trusts counts, unless told otherwise: mod_signet_login must be told which do."""
        login = {"ca": "ca.pem" if self.kind == "ejabberd" else None, **login}
        self.server.serve(DOMAIN, self.dir / "authority", "not used", **login)

    def list_revoked(self, *certs):
        """Replaces the list of the revoked."""
        self.write_list([hex_of(cert) for cert in certs])

    def write_list(self, lines):
        """Replaces the list as the authority does."""
        self.write("authority/revoked.new", "".join(line + "\n" for line in lines))
        os.rename(self.dir / "authority/revoked.new", self.dir / "authority/revoked.txt")

    def reload_login(self):
        """Has the login module take its configuration anew."""
        if self.kind == "ejabberd":
            self.server.command(("reload_config", {}))
        else:
            self.restart_server()

    def restart_server(self):
        self.server.stop()
        self.server.start()

    def logs_in(self, cert, key, name="juliet", **kwargs):
        """Whether this certificate gets in."""
        der = cert.public_bytes(serialization.Encoding.DER)
        with Client(self, name, key_files(self, key, der), **kwargs) as client:
            return client.logged_in and client.boundjid.bare == f"{name}@{DOMAIN}"

    def logins(self):
        """The module's file: fingerprint -> (last used, resources)."""
        lines = (self.dir / "authority/logins.txt").read_text().splitlines()
        return {f[0]: (f[1], sorted(f[2:])) for f in (line.split("\t") for line in lines)}


@pytest.fixture(scope="module", params=sorted(SERVERS))
def place(request):
    with LoginWorld(request.param) as world:
        world.up()
        yield world


@pytest.fixture
def seldom(place):
    """A server that looks at the list of the revoked by itself once an hour."""
    place.configure_login(poll=3600)
    place.reload_login()
    yield place
    place.list_revoked()
    place.configure_login()
    place.reload_login()


def hex_of(cert):
    return cert.fingerprint(hashes.SHA256()).hex()


def login(place, jid=JULIET, days=(-1, 30)):
    """A certificate and the files to log in with."""
    key = make_key()
    cert = place.client_ca.issue(key, [xmpp_addr(jid)], days=days)
    return cert, key_files(place, key, cert.public_bytes(serialization.Encoding.DER))
