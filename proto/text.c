#include "text.h"

#include <stdlib.h>
#include <string.h>

#define JID_PART_MAX 1023u /* bytes, RFC 7622 3.2 to 3.4 */

static const char base64_alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *sg_text_copy(const char *text)
{
	return text != NULL ? strdup(text) : NULL;
}

int sg_text_compare(const void *a, const void *b)
{
	const char *const *left = a, *const *right = b;

	return strcmp(*left, *right);
}

char *sg_base64_encode(const void *data, size_t len)
{
	const unsigned char *in = data;
	char *text, *out;

	if (len > SIZE_MAX / 2)
		return NULL;
	out = text = malloc((len + 2) / 3 * 4 + 1);
	if (text == NULL)
		return NULL;
	for (; len >= 3; len -= 3, in += 3) {
		*out++ = base64_alphabet[in[0] >> 2];
		*out++ = base64_alphabet[(in[0] & 3) << 4 | in[1] >> 4];
		*out++ = base64_alphabet[(in[1] & 15) << 2 | in[2] >> 6];
		*out++ = base64_alphabet[in[2] & 63];
	}
	if (len > 0) {
		unsigned second = len > 1 ? in[1] : 0;

		*out++ = base64_alphabet[in[0] >> 2];
		*out++ = base64_alphabet[(in[0] & 3) << 4 | second >> 4];
		*out++ = base64_alphabet[(second & 15) << 2];
		*out++ = '=';
		if (len == 1)
			out[-2] = '=';
	}
	*out = '\0';
	return text;
}

enum {
	BASE64_BAD = 0, /* what the table does not name */
	BASE64_SPACE = 128,
	BASE64_PAD,
};

/*
 * What a character stands for: its six bits and 1, or one of the above. A table, since what is decoded is random:
 * each branch by its characters would be guessed wrong every other time.
 */
#define B(c, bits) [(unsigned char)(c)] = ((bits) + 1)
static const unsigned char base64_values[256] = {
	B('A', 0),
	B('B', 1),
	B('C', 2),
	B('D', 3),
	B('E', 4),
	B('F', 5),
	B('G', 6),
	B('H', 7),
	B('I', 8),
	B('J', 9),
	B('K', 10),
	B('L', 11),
	B('M', 12),
	B('N', 13),
	B('O', 14),
	B('P', 15),
	B('Q', 16),
	B('R', 17),
	B('S', 18),
	B('T', 19),
	B('U', 20),
	B('V', 21),
	B('W', 22),
	B('X', 23),
	B('Y', 24),
	B('Z', 25),
	B('a', 26),
	B('b', 27),
	B('c', 28),
	B('d', 29),
	B('e', 30),
	B('f', 31),
	B('g', 32),
	B('h', 33),
	B('i', 34),
	B('j', 35),
	B('k', 36),
	B('l', 37),
	B('m', 38),
	B('n', 39),
	B('o', 40),
	B('p', 41),
	B('q', 42),
	B('r', 43),
	B('s', 44),
	B('t', 45),
	B('u', 46),
	B('v', 47),
	B('w', 48),
	B('x', 49),
	B('y', 50),
	B('z', 51),
	B('0', 52),
	B('1', 53),
	B('2', 54),
	B('3', 55),
	B('4', 56),
	B('5', 57),
	B('6', 58),
	B('7', 59),
	B('8', 60),
	B('9', 61),
	B('+', 62),
	B('/', 63),
	[' '] = BASE64_SPACE,
	['\t'] = BASE64_SPACE,
	['\r'] = BASE64_SPACE,
	['\n'] = BASE64_SPACE,
	['\v'] = BASE64_SPACE,
	['\f'] = BASE64_SPACE,
	['='] = BASE64_PAD,
};
#undef B

static unsigned base64_value(char c)
{
	return base64_values[(unsigned char)c];
}

/* Whether the next four are characters of data, as nearly all are; then the bits of the four. */
static int base64_quartet(const char *text, uint32_t *bits)
{
	unsigned a, b, c, d;

	if ((a = base64_value(text[0]) - 1) > 63 || (b = base64_value(text[1]) - 1) > 63 ||
	    (c = base64_value(text[2]) - 1) > 63 || (d = base64_value(text[3]) - 1) > 63)
		return 0; /* the end is none, so nothing is read past it */
	*bits = a << 18 | b << 12 | c << 6 | d;
	return 1;
}

/* Checks the form and counts: characters of data, then '=' only at the end. */
static int base64_measure(const char *text, size_t *data_chars)
{
	size_t chars = 0, pads = 0;
	uint32_t bits;

	*data_chars = 0;
	for (; base64_quartet(text, &bits); text += 4)
		chars += 4;
	for (; *text != '\0'; text++) {
		unsigned value = base64_value(*text);

		if (value == BASE64_SPACE)
			continue;
		if (value == BASE64_PAD)
			pads++;
		else if (pads > 0 || value == BASE64_BAD)
			return SG_ERR_FORMAT;
		else
			chars++;
	}
	if (chars == 0 || pads > 2 || (chars + pads) % 4 != 0)
		return SG_ERR_FORMAT;
	*data_chars = chars;
	return 0;
}

int sg_base64_decode(const char *text, size_t max, struct sg_blob *out)
{
	unsigned char *data;
	uint32_t bits;
	unsigned bit_count = 0;
	size_t chars, len, pos = 0;

	*out = (struct sg_blob){ 0 };
	if (base64_measure(text, &chars) != 0)
		return SG_ERR_FORMAT;
	len = chars / 4 * 3 + (chars % 4 > 0 ? chars % 4 - 1 : 0);
	if (len > max)
		return SG_ERR_LIMIT;
	data = malloc(len);
	if (data == NULL)
		return SG_ERR_NOMEM;
	for (; base64_quartet(text, &bits); text += 4) {
		data[pos++] = (unsigned char)(bits >> 16);
		data[pos++] = (unsigned char)(bits >> 8);
		data[pos++] = (unsigned char)bits;
	}
	bits = 0;
	for (; *text != '\0' && *text != '='; text++) {
		unsigned value = base64_value(*text);

		if (value == BASE64_SPACE)
			continue;
		bits = bits << 6 | (value - 1);
		bit_count += 6;
		if (bit_count >= 8) {
			bit_count -= 8;
			data[pos++] = (unsigned char)(bits >> bit_count);
			bits &= (1u << bit_count) - 1;
		}
	}
	if (bits != 0) { /* set past the end: the same bytes could be written in two ways */
		free(data);
		return SG_ERR_FORMAT;
	}
	out->data = data;
	out->len = len;
	return 0;
}

char *sg_hex_encode(const void *data, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *in = data;
	char *text;

	if (len > SIZE_MAX / 4)
		return NULL;
	text = malloc(2 * len + 1);
	if (text == NULL)
		return NULL;
	for (size_t i = 0; i < len; i++) {
		text[2 * i] = digits[in[i] >> 4];
		text[2 * i + 1] = digits[in[i] & 15];
	}
	text[2 * len] = '\0';
	return text;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Counts the bytes, and checks the form. */
static int hex_measure(const char *text, size_t *len)
{
	size_t count = 0;

	*len = 0;
	for (;;) {
		if (hex_value(text[0]) < 0 || hex_value(text[1]) < 0)
			return SG_ERR_FORMAT;
		count++;
		text += 2;
		if (*text == '\0')
			break;
		if (*text == ':')
			text++; /* another byte must follow */
	}
	*len = count;
	return 0;
}

int sg_hex_decode(const char *text, size_t max, struct sg_blob *out)
{
	unsigned char *data;
	size_t len;

	*out = (struct sg_blob){ 0 };
	if (hex_measure(text, &len) != 0)
		return SG_ERR_FORMAT;
	if (len > max)
		return SG_ERR_LIMIT;
	data = malloc(len);
	if (data == NULL)
		return SG_ERR_NOMEM;
	for (size_t i = 0; i < len; i++) {
		if (*text == ':')
			text++;
		data[i] = (unsigned char)(hex_value(text[0]) << 4 | hex_value(text[1]));
		text += 2;
	}
	out->data = data;
	out->len = len;
	return 0;
}

char *sg_percent_decode(const char *text, size_t len)
{
	char *decoded = len < SIZE_MAX ? malloc(len + 1) : NULL;
	char *out = decoded;

	if (decoded == NULL)
		return NULL;
	for (size_t i = 0; i < len; i++) {
		int high = len - i > 2 ? hex_value(text[i + 1]) : -1;
		int low = len - i > 2 ? hex_value(text[i + 2]) : -1;

		if (text[i] != '%') {
			*out++ = text[i];
			continue;
		}
		if (high < 0 || low < 0 || high + low == 0) {
			free(decoded);
			return NULL;
		}
		*out++ = (char)(high << 4 | low);
		i += 2;
	}
	*out = '\0';
	return decoded;
}

void sg_percent_put(struct sg_buf *buf, const char *text, const char *more)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				    "0123456789-._~";

	for (; *text != '\0'; text++) {
		if (strchr(plain, *text) != NULL || strchr(more, *text) != NULL)
			sg_buf_put(buf, text, 1);
		else
			sg_buf_printf(buf, "%%%02X", (unsigned char)*text);
	}
}

size_t sg_utf8_char(const char *text, size_t len, uint32_t *code)
{
	static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	unsigned char first;
	size_t size;
	uint32_t value;

	*code = 0;
	if (len == 0)
		return 0;
	first = (unsigned char)text[0];
	if (first < 0x80) {
		*code = first;
		return 1;
	}
	size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
	if (first < 0xc2 || first > 0xf4 || size > len)
		return 0;
	value = first & (0x7fu >> size);
	for (size_t i = 1; i < size; i++) {
		if (((unsigned char)text[i] & 0xc0) != 0x80)
			return 0;
		value = value << 6 | ((unsigned char)text[i] & 0x3f);
	}
	if (value < smallest[size] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
		return 0;
	*code = value;
	return size;
}

/* Whether it is a control character (Unicode category Cc). */
static int is_control(uint32_t code)
{
	return code < 0x20 || (code >= 0x7f && code < 0xa0);
}

/* General category Cf, Zl, Zp, or Zs, Default_Ignorable_Code_Point, and the blank of Braille. Sorted. */
static const uint32_t hidden[][2] = {
	{ 0xa0, 0xa0 },
	{ 0xad, 0xad },
	{ 0x34f, 0x34f },
	{ 0x600, 0x605 },
	{ 0x61c, 0x61c },
	{ 0x6dd, 0x6dd },
	{ 0x70f, 0x70f },
	{ 0x890, 0x891 },
	{ 0x8e2, 0x8e2 },
	{ 0x115f, 0x1160 },
	{ 0x1680, 0x1680 },
	{ 0x17b4, 0x17b5 },
	{ 0x180b, 0x180f },
	{ 0x2000, 0x200f },
	{ 0x2028, 0x202f },
	{ 0x205f, 0x206f },
	{ 0x2800, 0x2800 },
	{ 0x3000, 0x3000 },
	{ 0x3164, 0x3164 },
	{ 0xfe00, 0xfe0f },
	{ 0xfeff, 0xfeff },
	{ 0xffa0, 0xffa0 },
	{ 0xfff0, 0xfffb },
	{ 0x110bd, 0x110bd },
	{ 0x110cd, 0x110cd },
	{ 0x13430, 0x1343f },
	{ 0x1bca0, 0x1bca3 },
	{ 0x1d173, 0x1d17a },
	{ 0xe0000, 0xe0fff },
};

int sg_utf8_is_hidden(uint32_t code)
{
	for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++) {
		if (code <= hidden[i][1])
			return code >= hidden[i][0] || is_control(code);
	}
	return is_control(code);
}

/* How many of the first bytes are ASCII and not NUL, eight at a time: a JID or a URI mostly is that throughout. */
static size_t ascii_len(const char *text, size_t len)
{
	const uint64_t highs = 0x8080808080808080u, ones = 0x0101010101010101u;
	size_t done = 0;
	uint64_t word;

	for (; len - done >= sizeof(word); done += sizeof(word)) {
		memcpy(&word, text + done, sizeof(word));
		if (((word | (word - ones)) & highs) != 0)
			break;
	}
	return done;
}

int sg_utf8_is_valid(const char *text, size_t len)
{
	size_t at = ascii_len(text, len);

	while (at < len) {
		uint32_t code;
		size_t n = sg_utf8_char(text + at, len - at, &code);

		if (n == 0 || code == 0)
			return 0;
		at += n;
	}
	return 1;
}

int sg_utf8_is_text(const char *text, size_t max)
{
	size_t left = strnlen(text, max + 1);

	if (left > max)
		return 0;
	while (left > 0) {
		uint32_t code;
		size_t n = sg_utf8_char(text, left, &code);

		if (n == 0)
			return 0;
		if (is_control(code) && code != '\t' && code != '\n' && code != '\r')
			return 0;
		text += n;
		left -= n;
	}
	return 1;
}

void sg_utf8_clean(char *text)
{
	size_t left = strlen(text);

	while (left > 0) {
		uint32_t code;
		size_t n = sg_utf8_char(text, left, &code);
		size_t taken = n > 0 ? n : 1;

		if (n == 0 || is_control(code))
			memset(text, '?', taken);
		text += taken;
		left -= taken;
	}
}

/* One part of a JID: not empty, within the limit, none of the banned ASCII characters, and no hidden ones (RFC
 * 8264 8 and 9); NULL banned: spaces are fine (the resource). A joiner that RFC 5892 lets stand between some
 * letters is refused like the others: it cannot be seen. */
static int jid_part_is_good(const char *part, size_t len, const char *banned)
{
	if (len == 0 || len > JID_PART_MAX)
		return 0;
	while (len > 0) {
		uint32_t code;
		size_t n = sg_utf8_char(part, len, &code);

		if (n == 0 || sg_utf8_is_hidden(code))
			return 0;
		if (banned != NULL &&
		    (code == ' ' || (n == 1 && strchr(banned, (int)code) != NULL)))
			return 0;
		part += n;
		len -= n;
	}
	return 1;
}

char *sg_jid_bare(const char *jid)
{
	const char *slash = strchr(jid, '/');
	size_t len = slash != NULL ? (size_t)(slash - jid) : strlen(jid);
	const char *at = memchr(jid, '@', len);
	const char *domain = at != NULL ? at + 1 : jid;
	size_t domain_len = len - (size_t)(domain - jid);
	char *bare;

	if (slash != NULL && !jid_part_is_good(slash + 1, strlen(slash + 1), NULL))
		return NULL;
	if (at != NULL && !jid_part_is_good(jid, (size_t)(at - jid), "\"&'/:<>@"))
		return NULL;
	if (domain_len > 0 && domain[domain_len - 1] == '.') {
		domain_len--; /* RFC 7622 3.2: a final dot is stripped */
		len--;
	}
	if (domain_len > 0 && domain[domain_len - 1] == '.')
		return NULL; /* an empty label; so a bare JID is its own bare JID */
	/* ':' may stand in the domain, in an IPv6 address */
	if (!jid_part_is_good(domain, domain_len, "\"&'<>@"))
		return NULL;
	bare = strndup(jid, len);
	for (char *p = bare; p != NULL && *p != '\0'; p++) {
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p - 'A' + 'a');
	}
	return bare;
}

int sg_jid_is_account(const char *jid)
{
	char *bare = sg_jid_bare(jid);
	int is = bare != NULL && strcmp(bare, jid) == 0 && strchr(jid, '@') != NULL;

	free(bare);
	return is;
}
