"""A private Prosody: its configuration, accounts and rosters, and the process."""
from pathlib import Path

from processes import CCM2, free_ports


class Prosody:
    """Lives in a folder of the world, as the ordinary user, on free loopback ports."""

    kind = "prosody"

    def __init__(self, world, name="server"):
        self.world, self.name, self.process = world, name, None
        self.dir = world.mkdir(name)
        self.port, self.direct_port, self.component_port = free_ports(3)

    def serve(self, domain, authority, secret, max_tls="1.3", poll=0.5, ca="ca.pem"):
        """Writes the configuration for one domain that has its authority as a component.

        authority: the folder with its files. secret: the component's. max_tls: the newest version. poll: seconds
        between looks at the list of the revoked. ca: the file whose certificates count alone, or None.
        """
        for lua in (Path(__file__).parents[2] / "authority/prosody").glob("*.lua"):
            self.world.install(lua, f"{self.name}/modules/{lua.name}")
        delegations = "".join(f'["{ns}"] = {{ jid = "ccm.{domain}" }};\n' for ns in CCM2)
        self.configure(f"""\
VirtualHost "{domain}"
  delegations = {{ {delegations} }}
Component "ccm.{domain}"
  component_secret = "{secret}"
  modules_enabled = {{ "delegation" }}
""", cafile=authority / "ca.pem", modules=("smacks", "delegation", "signet_ccm2"), settings=f"""\
signet_ccm2_revoked = "{authority}/revoked.txt"
signet_ccm2_logins = "{authority}/logins.txt"
signet_ccm2_poll = {poll}
{f'signet_ccm2_ca = "{authority}/{ca}"' if ca else ""}
""", tls='protocol = "tlsv1_2";' if max_tls == "1.2" else "")

    def configure(self, hosts, certificate="server", cafile="", modules=(), settings="", tls=""):
        """Writes the configuration.

        hosts: Prosody's own text for them. certificate: the server's, in the world's pki. cafile: of the
        clients' certificates. settings, tls: more of the general settings, and of those for TLS.
        """
        self.ports = [self.port, self.direct_port] + ([self.component_port] if "Component " in hosts else [])
        pki, data = self.world.pki.dir, self.world.mkdir(f"{self.name}/data")
        more = self.world.mkdir(f"{self.name}/modules")
        names = ", ".join(f'"{name}"' for name in ("roster", "saslauth", "tls", "disco", "ping", "pep", *modules))
        self.conf = self.world.write(f"{self.name}/prosody.cfg.lua", f"""\
pidfile = "{self.dir}/prosody.pid"
data_path = "{data}"
plugin_paths = {{ "/usr/lib/prosody/modules", "{more}" }}
log = {{ {{ levels = {{ min = "info" }}, to = "console" }} }}
interfaces = {{ "127.0.0.1" }}; local_interfaces = {{ "127.0.0.1" }}; component_interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {self.port} }}; c2s_direct_tls_ports = {{ {self.direct_port} }}
component_ports = {{ {self.component_port} }}; s2s_ports = {{}}; http_ports = {{}}; https_ports = {{}}
modules_enabled = {{ {names} }}
modules_disabled = {{ "s2s" }}
c2s_require_encryption = true
authentication = "internal_hashed"
storage = "internal"
pep_max_items = 20000
{settings}
ssl = {{
  key = "{pki}/{certificate}.key"; certificate = "{pki}/{certificate}.pem"; cafile = "{cafile}";
  verify = {{ "peer", "client_once" }}; {tls}
}}
{hosts}
""", 0o600)

    def add_accounts(self, domain, names, password, friends=()):
        """Makes accounts, also while it runs; friends are pairs of these that have each other in their rosters.
        It hashes a password at the first login."""
        for name in names:
            self._store(domain, "accounts", name, f'["password"] = "{password}"')
            others = [b if a == name else a for a, b in friends if name in (a, b)]
            items = "".join(f'["{other}@{domain}"] = {{ subscription = "both"; groups = {{}} }};' for other in others)
            self._store(domain, "roster", name, f"[false] = {{ version = 1; pending = {{}} }}; {items}")

    def remove_account(self, domain, name):
        """Takes an account away, also while it runs."""
        (self.dir / f"data/{domain.replace('.', '%2e')}/accounts/{name}.dat").unlink()

    def _store(self, domain, kind, name, text):
        folder = f"{self.name}/data/{domain.replace('.', '%2e')}/{kind}"
        self.world.mkdir(folder)
        self.world.write(f"{folder}/{name}.dat", f"return {{ {text} }};\n")

    def start(self):
        """Starts it and waits until it listens for clients, and for the component that hosts tell of."""
        self.process = self.world.start(self.name, ["prosody", "-F", "--config", self.conf])
        for port in self.ports:
            self.process.wait_port(port)
        return self

    def wait_delegated(self, mark):
        """Until the component serves what is delegated to it: as soon as it is connected."""

    def stop(self):
        """Ends it as its administrator does."""
        self.process.stop()
