"""A real server, signet-authority and SoftHSM, and accounts as they are needed."""
import os

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from world import DOMAIN, PASSWORD, World

LIMIT = 4
CAS = {"prosody": "rsa3072", "ejabberd": "p256"}  # the kinds that authorities have mostly


def serve_domain_too(world, other):
    """The server of the world has another domain, configured as its own one."""
    text = world.server.conf.read_text()
    if world.kind == "ejabberd":
        text = text.replace(f"hosts: [{DOMAIN}]", f"hosts: [{DOMAIN}, {other}]")
    else:
        host = text[text.index("VirtualHost"):text.index("Component")]
        text += host.replace(f'VirtualHost "{DOMAIN}"', f'VirtualHost "{other}"')
    world.write(f"server/{world.server.conf.name}", text, 0o600)


class AuthorityWorld(World):
    """A server and an authority with few certificates per account; accounts are made as they are needed."""

    def __init__(self, server="prosody"):
        super().__init__(accounts=("juliet", "romeo"), certificates=LIMIT,
                         programs=("signet-authority", "signet-token"), server=server, ca=CAS[server])
        self.numbers = 0

    def configure(self, old, new):
        """Replaces text in the authority's configuration."""
        text = self.authority_conf.read_text()
        assert old in text
        self.write("authority/authority.conf", text.replace(old, new))

    def account(self):
        """A new account's name."""
        self.numbers += 1
        name = f"user{self.numbers}"
        self.server.add_accounts(DOMAIN, [name], PASSWORD)
        return name

    def restart_authority(self, sig=None):
        """Ends the authority (SIGTERM, or this signal) and starts it again."""
        status = self.authority.stop(*([sig] if sig else []))
        assert sig or status == 0, self.authority.last()
        self.start_authority()

    def openssl(self, *args, data=None, check=True):
        """Runs openssl on files of the world; data goes into the file that '@' stands for."""
        if data is not None:
            path = self.dir / "pki/judged"
            path.write_bytes(data)
            path.chmod(0o644)
            args = [path if a == "@" else a for a in args]
        return self.run("openssl", *args, check=check)


def revoked_list(place):
    return (place.dir / "authority/revoked.txt").read_text().split()


def key_files(place, key, der):
    """The files that a TLS client takes: (certificate, key)."""
    name = f"pki/client-{os.urandom(6).hex()}"
    cert = x509.load_der_x509_certificate(der)
    crt = place.write(name + ".pem", cert.public_bytes(serialization.Encoding.PEM).decode())
    pem = place.write(name + ".key", key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                                       serialization.NoEncryption()).decode(), 0o600)
    return str(crt), str(pem)
