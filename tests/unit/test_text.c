#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "text.h"

static void base64_follows_rfc4648(void **state)
{
	static const char *const vectors[][2] = {
		/* RFC 4648 section 10 */
		{ "f", "Zg==" },
		{ "fo", "Zm8=" },
		{ "foo", "Zm9v" },
		{ "foob", "Zm9vYg==" },
		{ "fooba", "Zm9vYmE=" },
		{ "foobar", "Zm9vYmFy" },
	};

	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		struct sg_blob blob;
		char *text = sg_base64_encode(vectors[i][0], strlen(vectors[i][0]));

		assert_string_equal(text, vectors[i][1]);
		free(text);
		assert_int_equal(sg_base64_decode(vectors[i][1], 100, &blob), 0);
		assert_int_equal(blob.len, strlen(vectors[i][0]));
		assert_memory_equal(blob.data, vectors[i][0], blob.len);
		sg_blob_clear(&blob);
	}
}

static void base64_round_trip(void **state)
{
	unsigned char data[300];

	for (size_t len = 1; len <= sizeof(data); len++) {
		struct sg_blob blob;
		char *text;

		for (size_t i = 0; i < len; i++)
			data[i] = (unsigned char)(i * 167 + len);
		text = sg_base64_encode(data, len);
		assert_int_equal(sg_base64_decode(text, len, &blob), 0);
		assert_int_equal(blob.len, len);
		assert_memory_equal(blob.data, data, len);
		sg_blob_clear(&blob);
		assert_int_equal(sg_base64_decode(text, len - 1, &blob), SG_ERR_LIMIT);
		assert_null(blob.data);
		free(text);
	}
	{
		char *empty = sg_base64_encode("", 0);

		assert_string_equal(empty, "");
		free(empty);
	}
}

static void base64_takes_white_space(void **state) /* C3 */
{
	struct sg_blob blob;

	assert_int_equal(sg_base64_decode("\n  Zm9v\r\n\tY mE\v=\f \n", 5, &blob), 0);
	assert_int_equal(blob.len, 5);
	assert_memory_equal(blob.data, "fooba", 5);
	sg_blob_clear(&blob);
	assert_int_equal(sg_base64_decode("Zg= =", 5, &blob), 0);
	assert_int_equal(blob.len, 1);
	sg_blob_clear(&blob);
}

static void base64_refuses_the_rest(void **state)
{
	static const char *const bad[] = { "", " \n", "Z", "Zg", "Zg=", "Zg===", "=",
		"====", "Zg==Zg==", "Zm9v=", "Zm9vY", "Z=g=", "Zm-v", "Zm_v", "Zm9v!", "Zm9v\x80",
		"Zh==", "Zm9=", "Zg==\x01", "Zm8=A" };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct sg_blob blob = { (unsigned char *)1, 1 };

		assert_int_equal(sg_base64_decode(bad[i], 100, &blob), SG_ERR_FORMAT);
		assert_null(blob.data);
		assert_int_equal(blob.len, 0);
	}
}

/* Characters are taken four at a time while nothing else comes: any place may be the one where something does. */
static void base64_is_the_same_at_every_place(void **state)
{
	static const char whole[] = "Zm9vYmFyYmF6Zg==";

	for (size_t at = 0; at < sizeof(whole) - 1; at++) {
		struct sg_blob blob;
		char text[sizeof(whole) + 1];

		memcpy(text, whole, at);
		text[at] = '\n';
		memcpy(text + at + 1, whole + at, sizeof(whole) - at);
		assert_int_equal(sg_base64_decode(text, 10, &blob), 0);
		assert_int_equal(blob.len, 10);
		assert_memory_equal(blob.data, "foobarbazf", 10);
		sg_blob_clear(&blob);
		text[at] = '-';
		assert_int_equal(sg_base64_decode(text, 10, &blob), SG_ERR_FORMAT);
		memcpy(text, whole, sizeof(whole));
		text[at] = '\0';
		assert_int_equal(
		    sg_base64_decode(text, 10, &blob), at > 0 && at % 4 == 0 ? 0 : SG_ERR_FORMAT);
		sg_blob_clear(&blob);
	}
}

static void hex_both_ways(void **state)
{
	struct sg_blob blob;
	char *text = sg_hex_encode("\x00\x7f\xab\xff", 4);

	assert_string_equal(text, "007fabff");
	free(text);
	text = sg_hex_encode("", 0);
	assert_string_equal(text, "");
	free(text);
	assert_int_equal(sg_hex_decode("007FaBff", 4, &blob), 0);
	assert_int_equal(blob.len, 4);
	assert_memory_equal(blob.data, "\x00\x7f\xab\xff", 4);
	sg_blob_clear(&blob);
	assert_int_equal(sg_hex_decode("00:7f:AB:ff", 4, &blob), 0); /* C9 */
	assert_memory_equal(blob.data, "\x00\x7f\xab\xff", 4);
	sg_blob_clear(&blob);
	assert_int_equal(sg_hex_decode("00:7f:AB:ff", 3, &blob), SG_ERR_LIMIT);
	assert_null(blob.data);
}

static void hex_refuses_the_rest(void **state)
{
	static const char *const bad[] = { "", "0", "0g", "g0", "00 11", ":00", "00:", "00::11",
		"0:01", "001", "0x00", "00\n", "00:1" };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct sg_blob blob;

		assert_int_equal(sg_hex_decode(bad[i], 100, &blob), SG_ERR_FORMAT);
		assert_null(blob.data);
	}
}

static void assert_bare(const char *jid, const char *want)
{
	char *bare = sg_jid_bare(jid);

	if (want == NULL) {
		assert_null(bare);
		return;
	}
	assert_non_null(bare);
	assert_string_equal(bare, want);
	free(bare);
}

static void percent_decoding(void **state)
{
	static const char *const good[][2] = {
		{ "", "" },
		{ "plain/text:1", "plain/text:1" },
		{ "a%20b", "a b" },
		{ "%C3%b6%25", "\xc3\xb6%" },
		{ "%2541", "%41" },
	};
	static const char *const bad[] = { "%", "a%", "%a", "%4", "%4g", "% 1", "%-1", "%+1", "%0x",
		"%00", "a%00b", "%%41", "ok%2" };

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		char *text = sg_percent_decode(good[i][0], strlen(good[i][0]));

		assert_string_equal(text, good[i][1]);
		free(text);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		/* no byte past the end may be looked at */
		char *exact = malloc(strlen(bad[i]));

		memcpy(exact, bad[i], strlen(bad[i]));
		assert_null(sg_percent_decode(exact, strlen(bad[i])));
		free(exact);
	}
	assert_null(sg_percent_decode("%41", 2));
}

static void percent_encoding(void **state)
{
	struct sg_buf buf = { 0 };
	char *text, *again;

	sg_percent_put(&buf, "aZ09-._~", "");
	sg_percent_put(&buf, "%@/ \xc3\xa9", "@");
	text = sg_buf_steal(&buf, NULL);
	assert_string_equal(text, "aZ09-._~%25@%2F%20%C3%A9");
	again = sg_percent_decode(text, strlen(text));
	assert_string_equal(again, "aZ09-._~%@/ \xc3\xa9");
	free(again);
	free(text);
}

static void bare_jids(void **state)
{
	assert_bare("juliet@capulet.example", "juliet@capulet.example");
	assert_bare("Juliet@Capulet.EXAMPLE/Balcony", "juliet@capulet.example");
	assert_bare("capulet.example", "capulet.example");
	assert_bare("capulet.example/a@b/c", "capulet.example");
	assert_bare("a@b/res source", "a@b");
	assert_bare("a@b.", "a@b"); /* RFC 7622 3.2 */
	assert_bare("a@[::1]/x", "a@[::1]");
	assert_bare("J\xc3\xbcliet@X.example", "j\xc3\xbcliet@x.example");
	assert_bare("J\xc3\x9cLIET@x", "j\xc3\x9cliet@x"); /* only ASCII is lowered */
}

static void no_jids(void **state)
{
	static const char *const bad[] = { "", "@", "@b", "a@", "a@/r", "/r", "a@b/", "a b@c",
		"a@b c", "a@b@c", "a\"b@c", "a&b@c", "a'b@c", "a:b@c", "a<b@c", "a>b@c", "a@b<c",
		"a\tb@c", "a@b\x7f", "a\x01@b", "a@b/\x01", "a@b\xc2\x85", "a\xc2\xa0@b",
		"a\xe3\x80\x80@b", "\xff@b", "a@\xc3", "a@.", "a@b..", "a@b/\xed\xa0\x80" };
	static const char *const hidden[] = { "ro\xe2\x80\x8bmeo@b.test", "a\xc2\xad@b.test",
		"a@b\xe2\x81\xa0.test", "a\xe3\x85\xa4@b.test", "\xe2\x80\xae@b.test",
		"a\xc2\xa0z@b.test", "a@b.test/x\xf3\xa0\x81\x81", "a\xef\xb8\x8f@b.test" };
	char long_jid[3000];

	for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++)
		assert_bare(hidden[i], NULL);

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_bare(bad[i], NULL);

	memset(long_jid, 'a', sizeof(long_jid));
	memcpy(long_jid + 1023, "@b", 3);
	assert_true(sg_jid_is_account(long_jid));
	memcpy(long_jid + 1023, "aa@b", 5);
	assert_bare(long_jid, NULL);
	memset(long_jid, 'a', sizeof(long_jid));
	memcpy(long_jid, "a@", 2);
	long_jid[2 + 1023] = '\0';
	assert_true(sg_jid_is_account(long_jid));
	long_jid[2 + 1023] = 'a';
	long_jid[2 + 1024] = '\0';
	assert_bare(long_jid, NULL);
	memset(long_jid, 'a', sizeof(long_jid));
	memcpy(long_jid, "a@b/", 4);
	long_jid[4 + 1023] = '\0';
	assert_bare(long_jid, "a@b");
	long_jid[4 + 1023] = 'a';
	long_jid[4 + 1024] = '\0';
	assert_bare(long_jid, NULL);
}

static void accounts(void **state)
{
	assert_true(sg_jid_is_account("juliet@capulet.example"));
	assert_false(sg_jid_is_account("Juliet@capulet.example"));
	assert_false(sg_jid_is_account("juliet@capulet.example/x"));
	assert_false(sg_jid_is_account("capulet.example"));
	assert_false(sg_jid_is_account("juliet@capulet.example."));
	assert_false(sg_jid_is_account(""));
}

static void utf8_characters(void **state)
{
	static const struct {
		const char *text;
		size_t len, size;
		uint32_t code;
	} rows[] = {
		{ "a", 1, 1, 'a' },
		{ "\xc2\x80", 2, 2, 0x80 },
		{ "\xdf\xbf", 2, 2, 0x7ff },
		{ "\xe0\xa0\x80", 3, 3, 0x800 },
		{ "\xed\x9f\xbf", 3, 3, 0xd7ff },
		{ "\xee\x80\x80", 3, 3, 0xe000 },
		{ "\xef\xbf\xbf", 3, 3, 0xffff },
		{ "\xf0\x90\x80\x80", 4, 4, 0x10000 },
		{ "\xf4\x8f\xbf\xbf", 4, 4, 0x10ffff },
		{ "", 0, 0, 0 },
		{ "\x80", 1, 0, 0 },
		{ "\xc0\x80", 2, 0, 0 }, /* overlong */
		{ "\xc1\xbf", 2, 0, 0 },
		{ "\xe0\x9f\xbf", 3, 0, 0 },
		{ "\xf0\x8f\xbf\xbf", 4, 0, 0 },
		{ "\xed\xa0\x80", 3, 0, 0 }, /* surrogate */
		{ "\xed\xbf\xbf", 3, 0, 0 },
		{ "\xf4\x90\x80\x80", 4, 0, 0 }, /* past the last */
		{ "\xf5\x80\x80\x80", 4, 0, 0 },
		{ "\xff", 1, 0, 0 },
		{ "\xc3", 1, 0, 0 }, /* cut */
		{ "\xe2\x82", 2, 0, 0 },
		{ "\xe2\x82\xac", 2, 0, 0 },
		{ "\xc3(", 2, 0, 0 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint32_t code = 1;

		assert_int_equal(sg_utf8_char(rows[i].text, rows[i].len, &code), rows[i].size);
		assert_int_equal(code, rows[i].code);
	}
}

static void texts(void **state)
{
	assert_true(sg_utf8_is_text("", 0));
	assert_true(sg_utf8_is_text("a\tb\r\n\xe2\x82\xac", 8));
	assert_false(sg_utf8_is_text("a\tb\r\n\xe2\x82\xac", 7));
	assert_false(sg_utf8_is_text("a\x01", 10));
	assert_false(sg_utf8_is_text("a\x1b[31m", 10));
	assert_false(sg_utf8_is_text("a\x7f", 10));
	assert_false(sg_utf8_is_text("a\xc2\x9b", 10));
	assert_true(sg_utf8_is_text("a\xc2\xa0", 10));
	assert_false(sg_utf8_is_text("a\xff", 10));

	assert_true(sg_utf8_is_valid("a\x01\xc2\x9b", 4));
	assert_false(sg_utf8_is_valid("a\0b", 3));
	assert_false(sg_utf8_is_valid("a\xff", 2));
	assert_true(sg_utf8_is_valid(NULL, 0));
	/* Each place of a bad byte among good ones. */
	for (size_t i = 0; i < 20; i++) {
		char text[] = "pkcs11:token=juliet!";

		assert_true(sg_utf8_is_valid(text, 20));
		text[i] = '\0';
		assert_false(sg_utf8_is_valid(text, 20));
		assert_true(sg_utf8_is_valid(text, i));
		text[i] = (char)0x80;
		assert_false(sg_utf8_is_valid(text, 20));
	}
}

static void clean_makes_text(void **state)
{
	char text[] = "a\x01\xc3\xbc\xff\xc2\x9b\n\xe2\x82";

	sg_utf8_clean(text);
	assert_string_equal(text,
	    "a?\xc3\xbc????"
	    "??");
	assert_true(sg_utf8_is_text(text, 100));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(base64_follows_rfc4648),
		cmocka_unit_test(base64_round_trip),
		cmocka_unit_test(base64_takes_white_space),
		cmocka_unit_test(base64_refuses_the_rest),
		cmocka_unit_test(base64_is_the_same_at_every_place),
		cmocka_unit_test(hex_both_ways),
		cmocka_unit_test(hex_refuses_the_rest),
		cmocka_unit_test(percent_decoding),
		cmocka_unit_test(percent_encoding),
		cmocka_unit_test(bare_jids),
		cmocka_unit_test(no_jids),
		cmocka_unit_test(accounts),
		cmocka_unit_test(utf8_characters),
		cmocka_unit_test(texts),
		cmocka_unit_test(clean_makes_text),
	};

	return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
