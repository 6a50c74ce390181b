-- The authority's list of revoked certificates, as the module mod_signet_ccm2 keeps it: read again when its file is
-- another one than before, never so much at a time that the server is kept waiting.
--
-- luacheck: std lua54
-- luacheck: globals module prosody

local io = io;
local lfs = require "lfs";

local revoked_file = module:get_option_string("signet_ccm2_revoked");

-- The whole text, or nil and why not. (Iterating over lines would raise an error for a folder.)
local function read_file(path)
	local file, err = io.open(path, "r");
	if not file then
		return nil, err;
	end
	local text;
	text, err = file:read("*a");
	file:close();
	return text, err;
end

-- The list as it is in the file, in parts of whole lines; nil while there is no list to trust. It is searched as it is:
-- a table of 100,000 fingerprints takes long to make, and keeps the collector of garbage busy from then on.
local PART = 65 * 2048;
local parts;
local good = {}; -- what was searched in these parts and is not there
local unchecked = {}; -- numbers of the parts that have changed, which are yet to be looked through
local list_stamp; -- what the list's file looked like when it was read
local complained; -- the last complaint about the list, so that each is logged once

local function complain(text)
	if complained ~= text then
		module:log("error", "No login with certificates: %s", text);
		complained = text;
	end
end

-- The parts of the file, or nil and why not. Nothing of this is garbage before it has been compared, so none is
-- looked for.
local function read_parts()
	local file, err = io.open(revoked_file, "r");
	if not file then
		return nil, err;
	end
	local new = {};
	local part;
	collectgarbage("stop");
	repeat
		part, err = file:read(PART);
		new[#new + 1] = part;
	until not part;
	collectgarbage("restart");
	file:close();
	if err then
		return nil, err;
	end
	return new;
end

local function not_a_list()
	parts, unchecked = nil, {}; -- until the file is another one
	complain(revoked_file .. " is not a list of fingerprints");
end

local on_line = function () end;

-- Looks through one part, some milliseconds: true if it is of a list.
local function check(part)
	if not part:find("^[0-9a-f\n]*$") or part:byte(-1) ~= 10 then
		return false;
	end
	for line in part:gmatch("[^\n]*\n") do
		if #line ~= 65 then
			return false;
		end
		on_line(line:sub(1, 64));
	end
	return true;
end

-- One part at a time, so that the server goes on in between.
local function check_next()
	local number = table.remove(unchecked);
	if number and not check(parts[number]) then
		not_a_list();
	end
	return #unchecked > 0 and 0.005 or nil;
end

local function is_revoked(sha256)
	if good[sha256] then
		return false;
	end
	for _, part in ipairs(parts) do
		if part:find(sha256, 1, true) then
			return true;
		end
	end
	good[sha256] = true;
	return false;
end

-- Reads the list if its file is another one than before. The authority replaces the file as a whole, so
-- that inode, size or time tell; a second within which it changes twice brings another inode.
local function refresh()
	if not revoked_file then
		complain("signet_ccm2_revoked is not set");
		return;
	end
	local attr, err = lfs.attributes(revoked_file);
	if not attr then
		parts, unchecked, list_stamp = nil, {}, nil;
		complain(err or revoked_file .. " is missing");
		return;
	end
	local stamp = ("%s %s %s %s"):format(attr.ino, attr.size, attr.modification, attr.change);
	if stamp == list_stamp then
		return;
	end
	local old, was_busy = parts or {}, #unchecked > 0;
	parts, err = read_parts();
	if not parts then
		unchecked, list_stamp = {}, nil;
		complain(err);
		return;
	end
	list_stamp, unchecked, good = stamp, {}, {};
	for number, part in ipairs(parts) do
		if part ~= old[number] or was_busy then
			unchecked[#unchecked + 1] = number;
		end
	end
	local again = check_next();
	if again and not was_busy then
		module:add_timer(again, check_next);
	end
	if parts and complained then
		module:log("info", "The list of revoked certificates can be read again");
		complained = nil;
	end
end

return {
	read_file = read_file;
	refresh = refresh; -- to be called before the next two
	is_known = function () return parts ~= nil; end;
	is_revoked = is_revoked; -- only if it is known
	on_line = function (fn) on_line = fn; end; -- gets each line of what has changed, soon after that was read
};
