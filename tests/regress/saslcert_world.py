"""A Prosody with the mod_client_certs of Debian, which nobody here wrote: XEP-0257 and no ccm2, so no authority."""
from pathlib import Path

from processes import CCM2
from world import ACCOUNTS, DOMAIN, FRIENDS, PASSWORD, World

MODULE = Path("/usr/lib/prosody/modules/mod_client_certs/mod_client_certs.lua")
# The module is older than Debian's Prosody and Lua: one word for who may use an ad-hoc command was renamed since,
# and util.x509.der2pem of Prosody 0.12 fails in Lua 5.4 for most lengths. Nothing else of it is touched.
RENEWED = {
    'adhoc_handler, "user"': 'adhoc_handler, "any"',
    "\tx509cert = x509cert:gsub": "\tlocal util_x509 = { der2pem = function(data)\n"
    '\t\treturn "-----BEGIN CERTIFICATE-----\\n" .. base64.encode(data):gsub(("."):rep(64), "%0\\n")'
    ' .. "\\n-----END CERTIFICATE-----\\n";\n\tend };\n\tx509cert = x509cert:gsub',
}

# Beside it: a connection that breaks where the next answer to what the file names would come; and a server that is
# not able to do what another file names.
LOSING = """\
local path, refused = "{path}", "{refused}";
local st = require "util.stanza";
local function refuse(event, name)
	local file = io.open(refused);
	if not file then return; end
	local wanted = file:read("a");
	file:close();
	if wanted ~= name or event.stanza.attr.type ~= "set" then return; end
	event.origin.send(st.error_reply(event.stanza, "wait", "internal-server-error", "Not now."));
	return true;
end
module:hook("iq/bare/http://jabber.org/protocol/pubsub:pubsub", function (event)
	return refuse(event, "pubsub");
end, 10);
for _, name in ipairs {{ "append", "revoke" }} do
	module:hook("iq-set/self/urn:xmpp:saslcert:1:" .. name, function (event)
		local file = io.open(path);
		if not file then return; end
		local wanted = file:read("a");
		file:close();
		if wanted ~= name then return; end
		os.remove(path);
		event.origin.send = function () event.origin.conn:close(); end
	end, 10);
	module:hook("iq-set/self/urn:xmpp:saslcert:1:" .. name, function (event)
		return refuse(event, name);
	end, 10);
end
"""


def serve(world, accounts, friends=(), modules=("client_certs_renewed", "losing")):
    """The configuration of such a server."""
    text = MODULE.read_text()
    for old, new in RENEWED.items():
        assert text.count(old) == 1, f"{MODULE} has changed: look whether it loads as it is now"
        text = text.replace(old, new)
    world.mkdir("server/modules")
    world.write("server/modules/mod_client_certs_renewed.lua", text)
    world.write("server/modules/mod_losing.lua", LOSING.format(path=world.dir / "lose", refused=world.dir / "refuse"))
    world.write("server/modules/mod_announcing.lua", "".join(f'module:add_feature("{ns}");' for ns in CCM2))
    world.server.configure(f'VirtualHost "{DOMAIN}"\n', cafile=world.cafile,
                           modules=("smacks", *modules))
    world.server.add_accounts(DOMAIN, accounts, PASSWORD, friends)


class SaslCertWorld(World):
    """A world without authority, whose server keeps lists of the certificates that may log in."""

    def __init__(self):
        super().__init__(programs=("signet", "signetd", "signet-token", "signet-xmpp", "signet-pgp"), server="prosody")

    def up(self):
        self.make_pki()
        serve(self, ACCOUNTS, FRIENDS)
        self.server.start()
        return self

    def lose(self, name):
        """The next request of this name is done, and its answer lost."""
        self.write("lose", name)

    def refuse(self, name):
        """Requests of this name are refused for now; None: of no name."""
        self.write("refuse", name or "")
