-- The xmppAddrs of a certificate, read from its DER (X.690 10, RFC 5280 4.2.1.6, RFC 6120 13.7.1.4).
--
-- LuaSec has them too, but without the type of their text, leaves out what it cannot show, and ends the whole server
-- at some values. Here, what is not as it must be is an error, which the caller gets as nil and why.
--
-- luacheck: std lua54
-- luacheck: globals module prosody

local base64 = require "util.encodings".base64;

local OID, UTF8, SEQUENCE, OTHER_NAME, VALUE, EXTENSIONS = 0x06, 0x0c, 0x30, 0xa0, 0xa0, 0xa3;
local SAN, XMPP_ADDR = "\x55\x1d\x11", "\x2b\x06\x01\x05\x05\x07\x08\x05";

-- The length that begins at this byte, and where the content begins: the shortest form, and no more than a TLS
-- message can hold.
local function length(der, at)
	local size = der:byte(at);
	if size < 0x80 then
		return size, at + 1;
	end
	local count = size - 0x80;
	assert(count >= 1 and count <= 3, "a length is not of DER");
	size = 0;
	for i = at + 1, at + count do
		size = size * 256 + der:byte(i);
	end
	assert(size >= 0x80 and size >= 256 ^ (count - 1), "a length is not of DER");
	return size, at + 1 + count;
end

-- The elements that the text is made of, to its last byte.
local function elements(der)
	local list, at = {}, 1;
	while at <= #der do
		local tag = der:byte(at);
		assert(tag % 32 ~= 31, "a tag is of many bytes");
		local size, first = length(der, at + 1);
		at = first + size;
		assert(at <= #der + 1, "an element is cut");
		list[#list + 1] = { tag = tag, content = der:sub(first, at - 1) };
	end
	return list;
end

-- The content of the one element that the text is.
local function only(tag, der)
	local list = elements(der);
	assert(#list == 1 and list[1].tag == tag, "an element is missing, too many or of another kind");
	return list[1].content;
end

local function add_other_name(addresses, der)
	local parts = elements(der);
	assert(#parts == 2 and parts[1].tag == OID and parts[2].tag == VALUE, "an otherName is broken");
	if parts[1].content == XMPP_ADDR then
		addresses[#addresses + 1] = only(UTF8, parts[2].content);
	end
end

local function add_names(addresses, der)
	for _, name in ipairs(elements(only(SEQUENCE, der))) do
		if name.tag == OTHER_NAME then
			add_other_name(addresses, name.content);
		end
	end
end

local function read(pem)
	local der = base64.decode((pem:match("^%-[^\n]*\n(.-)\n%-"):gsub("%s", "")));
	local addresses = {};
	local tbs = elements(only(SEQUENCE, der))[1];
	for _, field in ipairs(elements(tbs.content)) do
		local extensions = field.tag == EXTENSIONS and elements(only(SEQUENCE, field.content)) or {};
		for _, extension in ipairs(extensions) do
			local parts = elements(extension.content); -- the identifier, perhaps whether it is critical, the value
			if parts[1].content == SAN then
				add_names(addresses, parts[#parts].content);
			end
		end
	end
	return addresses;
end

-- The texts of all xmppAddrs of a certificate (PEM), in order; nil and why not.
local function xmpp_addresses(pem)
	local ok, found = pcall(read, pem);
	if not ok then
		return nil, found;
	end
	return found;
end

return { xmpp_addresses = xmpp_addresses };
