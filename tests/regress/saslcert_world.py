"""A Prosody with the mod_client_certs of Debian, which nobody here wrote: XEP-0257 and no ccm2, so no authority."""
from pathlib import Path

from prosody import Prosody
from world import ACCOUNTS, DOMAIN, FRIENDS, PASSWORD, World

MODULE = Path("/usr/lib/prosody/modules/mod_client_certs/mod_client_certs.lua")


class SaslCertWorld(World):
    """A world without authority, whose server keeps lists of the certificates that may log in."""

    def __init__(self):
        super().__init__(programs=("signet", "signetd", "signet-token", "signet-xmpp", "signet-pgp"), server="prosody")

    def up(self):
        self.make_pki()
        # Prosody 0.12 does not load it as it stands, and says by which word: of its ad-hoc command, nothing of XEP-0257.
        text = MODULE.read_text()
        assert text.count('adhoc_handler, "user"') == 1
        self.mkdir("server/modules")
        self.write("server/modules/mod_client_certs_loaded.lua", text.replace('adhoc_handler, "user"', 'adhoc_handler, "any"'))
        self.server.configure(f'VirtualHost "{DOMAIN}"\n', cafile=self.cafile,
                              modules=("smacks", "client_certs_loaded"))
        self.server.add_accounts(DOMAIN, ACCOUNTS, PASSWORD, FRIENDS)
        self.server.start()
        return self
