-- SASL EXTERNAL with certificates of a signet authority, beside the host's passwords.
--
-- A certificate logs in the one account that its one xmppAddr names, if Prosody's own TLS checks
-- (the CA in ssl.cafile, validity) passed and its SHA-256 fingerprint is not on the authority's list
-- of the revoked. While the list is missing or cannot be read, no certificate logs in. Sessions of a
-- certificate that gets revoked are closed. Who uses which certificate is written to a file that the
-- authority reads: a login counts from SASL on, whether or not it binds a resource.
--
--   signet_ccm2_revoked   the authority's list: a lower-case SHA-256 in hex per line
--   signet_ccm2_logins    the file to write (the authority's setting 'logins')
--   signet_ccm2_ca        the authority's certificate (PEM): only what it issued logs in. Below a root that is
--                         kept elsewhere, the certificates of its chain follow it, up to the root's. Without it,
--                         whatever CA Prosody trusts may name an account
--   signet_ccm2_poll      seconds between looks at the list (0.5); a revoked session ends at the second look
--
-- luacheck: std lua54
-- luacheck: globals module prosody

local io, os = io, os;
local jid = require "util.jid";
local new_sasl = require "util.sasl".new;
local x509 = require "ssl.x509";
local usermanager = require "core.usermanager";
local revoked = module:require "signet_revoked";
local read_file = revoked.read_file;
local xmpp_addresses = module:require "signet_xmppaddr".xmpp_addresses;

local NS_ADD = "urn:xmpp:ccm2:add-cert:0";
local DATETIME = "!%Y-%m-%dT%H:%M:%SZ";

local logins_file = module:get_option_string("signet_ccm2_logins");
local ca_file = module:get_option_string("signet_ccm2_ca");
local poll_seconds = module:get_option_number("signet_ccm2_poll", 0.5);

---- certificates

local function peer_certificate(session)
	local conn = session.conn;
	local sock = session.secure and conn and conn.socket and conn:socket();
	if not sock or not sock.getpeercertificate then
		return nil;
	end
	return sock:getpeercertificate(), sock;
end

local function fingerprint(cert)
	return (cert:digest("sha256"):lower():gsub("[^0-9a-f]", ""));
end

local ca, chain, root; -- the authority's certificate, if it is configured, those between, and its root's

local function read_ca()
	local pem, err = read_file(ca_file);
	local whole = true;
	ca, chain, root = nil, {}, nil;
	for block in (pem or ""):gmatch("%-%-BEGIN CERTIFICATE%-%-.-%-%-END CERTIFICATE%-%-") do
		local cert = x509.load("---" .. block .. "---");
		whole = whole and cert ~= nil; -- one that cannot be read makes no other the first
		chain[#chain + 1] = cert;
	end
	ca = whole and table.remove(chain, 1);
	if ca and not ca:issued(ca) then
		root = table.remove(chain);
		if not root or not root:issued(ca, table.unpack(chain)) then
			ca, err = nil, "an intermediate's certificate, which its root's does not follow";
		end
	end
	if not ca then
		module:log("error", "No login with certificates: signet_ccm2_ca: %s", err or "not a certificate");
	end
end

-- LuaSec ends a chain at a root alone. What leads there by the authority's certificate, and not without it, was
-- issued by the authority.
local function is_issued_by_ca(cert)
	if not ca_file or not ca then
		return not ca_file;
	end
	if not root then
		return ca:issued(cert);
	end
	return root:issued(cert, ca, table.unpack(chain)) and not root:issued(cert, table.unpack(chain));
end

-- The account of this host that the certificate is for: exactly one xmppAddr, which is a bare JID.
local function account_of(cert)
	local addresses, err = xmpp_addresses(cert:pem());
	if not addresses then
		return nil, "its alternative names cannot be read: " .. err;
	end
	if #addresses ~= 1 then
		return nil, "it has not exactly one xmppAddr";
	end
	local user, host, resource = jid.prepped_split(addresses[1]);
	if not user or resource or host ~= module.host then
		return nil, "its xmppAddr is no account of this host";
	end
	-- The provider itself: for usermanager, who has a session exists, also one that 'prosodyctl deluser' has deleted.
	if not usermanager.get_provider(host).user_exists(user) then
		return nil, "there is no such account";
	end
	return user;
end

local REVOKED = "it is revoked";

-- Why the certificate is no good at this moment, or nil.
local function why_not_now(cert, sha256)
	if not cert:validat(os.time()) then
		return "it is expired or not valid yet";
	end
	revoked.refresh();
	if not revoked.is_known() then
		return "revocations are not known";
	end
	return revoked.is_revoked(sha256) and REVOKED or nil;
end

-- The account that may log in with the session's certificate, or nil and why not.
local function authenticate(session, authzid)
	local cert, sock = peer_certificate(session);
	if not cert then
		return nil, "there is none";
	end
	if not sock:getpeerverification() or not is_issued_by_ca(cert) then
		return nil, "it is not of a trusted authority";
	end
	local sha256 = fingerprint(cert);
	local why = why_not_now(cert, sha256);
	if why then
		return nil, why;
	end
	local user;
	user, why = account_of(cert);
	if not user then
		return nil, why;
	end
	if authzid ~= "" and jid.prep(authzid) ~= user .. "@" .. module.host then
		return nil, "another identity was asked for";
	end
	return user, sha256;
end

---- SASL

-- The sessions that logged in with a certificate, bound or not, and its fingerprint: of one that has ended, nothing
-- else is known. The table outlives a reload of the module, and keeps no session that nobody else holds.
local logged_in = setmetatable(module:shared("logged_in"), { __mode = "k" });

local watched = {}; -- their fingerprints, and perhaps those of sessions that have ended since the last look
local listed = {}; -- those that have come onto the list since then

local function attach(session, sha256)
	session.signet_sha256 = sha256;
	logged_in[session] = sha256;
	if sha256 then
		watched[sha256] = true;
	end
end

local function watch()
	watched = {};
	for _, sha256 in pairs(logged_in) do
		watched[sha256] = true;
	end
end

watch();
revoked.on_line(function (sha256)
	if watched[sha256] then
		listed[sha256] = true;
	end
end);

-- No identity is an empty text; one that is no text (XML's or UTF-8's) comes as nil, and is no identity of anybody.
local function external(session)
	return function (authzid)
		local user, detail;
		if authzid then
			user, detail = authenticate(session, authzid);
		else
			detail = "the identity that was asked for is no text";
		end
		if not user then
			module:log("info", "Certificate refused: %s", detail);
			return nil, nil;
		end
		attach(session, detail);
		return user, true;
	end;
end

-- The host's own handler, with EXTERNAL added for who came with a certificate that may log in, or that is
-- revoked: so that a refusal (not-authorized) tells its owner just that.
local host = prosody.hosts[module.host];
local users = host.users;
local own_handler = users.get_sasl_handler;

local function with_external(session)
	local handler = own_handler(session);
	if not peer_certificate(session) then
		return handler;
	end
	local user, why = authenticate(session, "");
	if not user and why ~= REVOKED then
		module:log("info", "Certificate refused: %s", why);
		return handler;
	end
	local profile = {};
	for name, value in pairs(handler.profile) do
		profile[name] = value;
	end
	profile.mechanisms = nil; -- worked out anew from what the profile has
	profile.external = external(session);
	return new_sasl(module.host, profile);
end

users.get_sasl_handler = with_external;

---- who uses which certificate

-- The hosts that write the same file, which holds what is known of all of them: their sessions by host, and the last
-- uses: fingerprint -> DateTime.
local files = module:shared("/*/signet_ccm2/logins");
files[logins_file or ""] = files[logins_file or ""] or { hosts = {}, last_used = {} };
local hosts, last_used = files[logins_file or ""].hosts, files[logins_file or ""].last_used;
hosts[module.host] = logged_in;

local function read_logins()
	local text = logins_file and read_file(logins_file) or "";
	for line in text:gmatch("[^\n]+") do
		local sha256, time = line:match("^(%x+)\t(%d+%-%d+%-%d+T%d+:%d+:%d+Z)");
		if sha256 and #sha256 == 64 then
			last_used[sha256] = last_used[sha256] or time;
		end
	end
end

local function logins_text()
	local resources = {};
	for _, sessions in pairs(hosts) do
		for session in pairs(sessions) do
			local sha256, resource = session.signet_sha256, session.resource;
			if sha256 and resource and not session.destroyed and not resource:find("%c") then
				resources[sha256] = (resources[sha256] or "") .. "\t" .. resource;
			end
		end
	end
	local lines = {};
	for sha256, time in pairs(last_used) do
		lines[#lines + 1] = sha256 .. "\t" .. time .. (resources[sha256] or "") .. "\n";
	end
	return table.concat(lines);
end

-- Written beside and renamed over it, so that a reader finds a whole file.
local function write_logins()
	if not logins_file then
		return;
	end
	local temporary = logins_file .. ".new";
	local file, err = io.open(temporary, "w");
	if file then
		local ok;
		ok, err = file:write(logins_text());
		ok = file:close() and ok;
		if ok then
			ok, err = os.rename(temporary, logins_file);
		end
		if ok then
			return;
		end
	end
	module:log("error", "The file of logins could not be written: %s", err);
end

local function note_use(session)
	if session.signet_sha256 then
		last_used[session.signet_sha256] = os.date(DATETIME);
		write_logins();
	end
end

-- The certificate counts for a login by EXTERNAL alone: not if SASL failed after all, nor if a password
-- was given after that.
module:hook("authentication-success", function (event)
	local session = event.session;
	local handler = session.sasl_handler;
	if handler and handler.selected ~= "EXTERNAL" then
		attach(session, nil);
	end
	note_use(session);
end);

module:hook("authentication-failure", function (event)
	attach(event.session, nil);
end);

module:hook("resource-bind", function (event)
	note_use(event.session);
end);

module:hook("resource-unbind", function (event)
	note_use(event.session);
end);

-- A session that is resumed (XEP-0198) goes on with the login of the connection that resumed it, whose use was
-- noted when it logged in; what it had logged in with before was in use until now.
module:hook("smacks-hibernation-end", function (event)
	local was = event.resumed.signet_sha256;
	if was then
		last_used[was] = os.date(DATETIME);
	end
	attach(event.resumed, event.origin.signet_sha256);
	attach(event.origin, nil);
	write_logins();
end);

---- closing what is revoked

-- An error in one close must end neither the walk nor the timer.
local function close(session, why)
	module:log("info", "Closing %s: its certificate: %s", session.full_jid or session.username, why);
	local ok, err = pcall(session.close, session,
		{ condition = "not-authorized", text = "Your certificate is no longer accepted" });
	if not ok then
		module:log("error", "A session could not be closed: %s", err);
	end
end

-- The sessions to be closed now: those that the look before this one found already. Who revokes the certificate of
-- its own session gets the answer in between: the authority sends it only after it has written the list.
local function overdue_sessions()
	local overdue = {};
	for session, sha256 in pairs(logged_in) do
		if session.signet_revoked_seen and not session.destroyed then
			overdue[#overdue + 1] = session;
		end
		session.signet_revoked_seen = listed[sha256];
	end
	listed = {};
	return overdue;
end

local function look()
	watch();
	revoked.refresh();
	if revoked.is_known() then
		for _, session in ipairs(overdue_sessions()) do -- closing changes the table that was walked over
			close(session, REVOKED);
		end
	end
end

-- Again and again, whatever happens: an error would end the timer.
local function on_timer()
	local ok, err = pcall(look);
	if not ok then
		module:log("error", "The sessions could not be looked through: %s", err);
	end
	return poll_seconds;
end

-- Between login and binding (or resuming), the certificate may have gone bad: nothing is served then, not even
-- for as long as the timer takes. True when the session was closed.
local function close_if_bad(session)
	local sha256 = session.signet_sha256;
	local cert = sha256 and peer_certificate(session);
	local why = sha256 and (not cert and "it is gone" or why_not_now(cert, sha256));
	if not why then
		return false;
	end
	close(session, why);
	return true;
end

module:hook("pre-resource-bind", function (event)
	if close_if_bad(event.session) then
		event.error = { type = "auth", condition = "not-authorized" };
		return false;
	end
end, 100);

local function before_resume(session)
	return close_if_bad(session) or nil;
end

module:hook_tag("urn:xmpp:sm:2", "resume", before_resume, 100);
module:hook_tag("urn:xmpp:sm:3", "resume", before_resume, 100);

-- Until the second look, a revoked session is still there, for the answer to its own revocation. It gets no new
-- certificate meanwhile: whoever stole the old one would keep the account by that.
local function before_iq(event)
	local session, stanza = event.origin, event.stanza;
	if not session.signet_sha256 or not stanza:get_child(nil, NS_ADD) then
		return nil;
	end
	revoked.refresh();
	if not revoked.is_known() or not revoked.is_revoked(session.signet_sha256) then
		return nil;
	end
	close(session, REVOKED);
	return true;
end

module:hook("pre-iq/bare", before_iq, 1000); -- its own account, too
module:hook("pre-iq/host", before_iq, 1000);

if ca_file then
	read_ca();
end
read_logins();
write_logins();
module:add_timer(0, on_timer);

function module.unload()
	hosts[module.host] = nil;
	if users.get_sasl_handler == with_external then
		users.get_sasl_handler = own_handler;
	end
end
