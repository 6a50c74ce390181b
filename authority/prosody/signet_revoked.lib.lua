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

-- What is known of it: its text, and how many bytes of that are in the set (fingerprint -> how often) by now; nil while
-- there is no list to trust.
local list;
local list_stamp; -- what the list's file looked like when it was read
local complained; -- the last complaint about the list, so that each is logged once

local function complain(text)
	if complained ~= text then
		module:log("error", "No login with certificates: %s", text);
		complained = text;
	end
end

-- A long list is taken in by parts of so many bytes (some milliseconds), between which the server goes on.
local PART = 65 * 2048;

-- How many bytes of the list are as they were: whole lines.
local function unchanged(old, new)
	local at = 1;
	while at <= #old and old:sub(at, at + PART - 1) == new:sub(at, at + PART - 1) do
		at = at + PART;
	end
	at = math.min(at - 1, #old, #new);
	while at > 0 and new:byte(at) ~= 10 do
		at = at - 1;
	end
	return at;
end

-- The list of this text, made of the last one if only its end is another one: it grows there.
local function next_list(text)
	local same = list and unchanged(list.text, text) or 0;
	if not list or list.at < #list.text or #list.text - same > PART then
		return { text = text, at = 0, set = {} };
	end
	for line in list.text:sub(same + 1):gmatch("[^\n]+") do
		list.set[line] = list.set[line] > 1 and list.set[line] - 1 or nil;
	end
	return { text = text, at = same, set = list.set };
end

-- Takes in the next part; false if it is none of a list.
local function take_part()
	local stop = list.text:find("\n", list.at + PART, true) or #list.text;
	for line in list.text:sub(list.at + 1, stop):gmatch("[^\n]+") do
		if #line ~= 64 or line:find("[^0-9a-f]") then
			return false;
		end
		list.set[line] = (list.set[line] or 0) + 1;
	end
	list.at = stop;
	return true;
end

local function is_complete()
	return list and list.at == #list.text;
end

-- True also of what has not been taken in yet.
local function is_revoked(sha256)
	return list.set[sha256] ~= nil or list.text:find(sha256, list.at + 1, true) ~= nil;
end

local function load_parts()
	if list and not is_complete() and not take_part() then
		list = nil; -- until the file is another one
		complain(revoked_file .. " is not a list of fingerprints");
	end
	return list and not is_complete() and 0.005 or nil;
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
		list, list_stamp = nil, nil;
		complain(err or revoked_file .. " is missing");
		return;
	end
	local stamp = ("%s %s %s %s"):format(attr.ino, attr.size, attr.modification, attr.change);
	if stamp == list_stamp then
		return;
	end
	local text;
	text, err = read_file(revoked_file);
	if not text then
		list, list_stamp = nil, nil;
		complain(err);
		return;
	end
	list, list_stamp = next_list(text), stamp;
	local again = load_parts();
	if again then
		module:add_timer(again, load_parts);
	end
	if list and complained then
		module:log("info", "The list of revoked certificates can be read again");
		complained = nil;
	end
end

return {
	read_file = read_file;
	refresh = refresh; -- to be called before any of the next three
	is_known = function () return list ~= nil; end; -- the others may be called only then
	is_complete = is_complete; -- whether all of the list has been taken in: is_revoked() is quick then
	is_revoked = is_revoked;
};
