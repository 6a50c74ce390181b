/*
 * The server's side of SCRAM: the signatures of RFC 5802 section 5 and RFC 7677 section 3, and every
 * challenge and success that must not count.
 */
#include "scram.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <strophe.h>

#include "buf.h"
#include "text.h"

#define MECHANISM "SCRAM-SHA-256"
#define SALT	  "W22ZaJ0SNY7soEsUEjb6gQ=="

static void test_vectors(void **state)
{
	static const struct {
		const char *mechanism, *salt, *nonce, *more, *signature;
	} vectors[] = {
		{ "SCRAM-SHA-1", "QSXCR+Q6sek8bf92", "fyko+d2lbbFgONRv9qkxdawL",
		    "3rfcNHYJY1ZVvWVs7j", "rmF9pqV8S7suAoZWja4dJRkFsKQ=" },
		{ "SCRAM-SHA-256", SALT, "rOprNGfwEbeRWgbNEkqO", "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
		    "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=" },
	};
	unsigned char signature[SG_SCRAM_SIGNATURE_MAX];
	struct sg_blob salt;
	char message[512], *base64;
	size_t len;

	for (size_t i = 0; i < sizeof(vectors) / sizeof(*vectors); i++) {
		snprintf(message, sizeof(message), "n=user,r=%s,r=%s%s,s=%s,i=4096,c=biws,r=%s%s",
		    vectors[i].nonce, vectors[i].nonce, vectors[i].more, vectors[i].salt,
		    vectors[i].nonce, vectors[i].more);
		assert_int_equal(sg_base64_decode(vectors[i].salt, 100, &salt), 0);
		assert_int_equal(sg_scram_signature(vectors[i].mechanism, "pencil", salt.data,
				     salt.len, 4096, message, signature, &len),
		    0);
		base64 = sg_base64_encode(signature, len);
		assert_string_equal(base64, vectors[i].signature);
		free(base64);
		sg_blob_clear(&salt);
	}
	assert_int_equal(sg_scram_signature("SCRAM-MD5", "pencil", (const unsigned char *)"salt", 4,
			     4096, "", signature, &len),
	    SG_ERR_ARG);
}

static void begin(void)
{
	char nonce[32];

	sg_scram_begin("user@example.org", "pencil");
	assert_string_equal(sg_scram_nonce(), "");
	xmpp_rand_nonce(NULL, nonce, sizeof(nonce));
	assert_string_equal(sg_scram_nonce(), nonce);
}

/* The challenge's text, with our nonce in place of %s. */
static const char *challenge(const char *format)
{
	struct sg_buf text = { 0 };
	const char *slot = strstr(format, "%s"), *why;
	char *base64;

	sg_buf_put(&text, format, slot != NULL ? (size_t)(slot - format) : strlen(format));
	if (slot != NULL) {
		sg_buf_put_str(&text, sg_scram_nonce());
		sg_buf_put_str(&text, slot + 2);
	}
	base64 = sg_base64_encode(text.data, text.len);
	why = sg_scram_challenge(MECHANISM, base64);
	free(base64);
	sg_buf_clear(&text);
	return why;
}

static void test_challenges(void **state)
{
	static const char *const good[] = {
		"r=%sx,s=" SALT ",i=4096",
		"r=%sx,s=" SALT ",i=1000000",
		"r=%sx,s=QQ==,i=4096,d=later,x",
	};
	static const struct {
		const char *text, *word;
	} bad[] = {
		{ "", "malformed" },
		{ "r=%sx", "malformed" },
		{ "r=%sx,s=" SALT, "malformed" },
		{ "s=" SALT ",r=%sx,i=4096", "malformed" },
		{ "m=x,r=%sx,s=" SALT ",i=4096", "malformed" },
		{ "r=%sx,s=" SALT ",i=4096,m=x", "malformed" },
		{ "r=%sx,s=" SALT ",i=4096,r=y", "malformed" },
		{ "r=%sx,s=" SALT ",i=4096x", "malformed" },
		{ "r=%sx,s=,i=4096", "malformed" },
		{ "r=%sx,s=!,i=4096", "malformed" },
		{ "r=%sx,s=" SALT ",i=4095", "too few" },
		{ "r=%sx,s=" SALT ",i=-4096", "too few" },
		{ "r=%sx,s=" SALT ",i=1000001", "too many" },
		{ "r=%sx,s=" SALT ",i=99999999999999999999", "too many" },
		{ "r=%s,s=" SALT ",i=4096", "does not answer" },
		{ "r=x%s,s=" SALT ",i=4096", "does not answer" },
		{ "r=,s=" SALT ",i=4096", "does not answer" },
	};

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		begin();
		assert_null(challenge(good[i]));
		assert_non_null(strstr(challenge(good[i]), "not asked for"));
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		begin();
		assert_non_null(strstr(challenge(bad[i].text), bad[i].word));
		assert_non_null(sg_scram_success("dj0="));
	}
	sg_scram_begin("user@example.org", "pencil"); /* nobody asked for a nonce */
	assert_non_null(strstr(challenge("r=%sx,s=" SALT ",i=4096"), "does not answer"));
	sg_scram_end();
	assert_non_null(strstr(challenge("r=%sx,s=" SALT ",i=4096"), "not asked for"));
	begin();
	assert_non_null(strstr(sg_scram_challenge(MECHANISM, "cgA="), "malformed")); /* a NUL */
	assert_non_null(strstr(sg_scram_challenge(NULL, "cj14"), "not asked for"));
	sg_scram_end();
}

/* As long a salt as may be, and one byte more. */
static void test_salt_limit(void **state)
{
	static const unsigned char salt[SG_SCRAM_SALT_MAX + 1];
	char text[512], *base64;

	for (size_t len = SG_SCRAM_SALT_MAX; len <= sizeof(salt); len++) {
		base64 = sg_base64_encode(salt, len);
		snprintf(text, sizeof(text), "r=%%sx,s=%s,i=4096", base64);
		free(base64);
		begin();
		if (len <= SG_SCRAM_SALT_MAX)
			assert_null(challenge(text));
		else
			assert_non_null(strstr(challenge(text), "malformed"));
	}
	sg_scram_end();
}

/* The right end of the login that begin() began, to a nonce of "x" more; to be freed. */
static char *right_end(const char *password)
{
	unsigned char signature[SG_SCRAM_SIGNATURE_MAX];
	const char *nonce = sg_scram_nonce();
	char message[512], text[128], *base64;
	struct sg_blob salt;
	size_t len;

	assert_null(challenge("r=%sx,s=" SALT ",i=4096"));
	snprintf(message, sizeof(message), "n=user,r=%s,r=%sx,s=" SALT ",i=4096,c=biws,r=%sx",
	    nonce, nonce, nonce);
	assert_int_equal(sg_base64_decode(SALT, 100, &salt), 0);
	assert_int_equal(sg_scram_signature(MECHANISM, password, salt.data, salt.len, 4096, message,
			     signature, &len),
	    0);
	sg_blob_clear(&salt);
	base64 = sg_base64_encode(signature, len);
	snprintf(text, sizeof(text), "v=%s", base64);
	free(base64);
	return sg_base64_encode(text, strlen(text));
}

static void test_ends(void **state)
{
	static const char *const bad[] = { "", "!", "dj0=", "dg==", "ZT1vdGhlci1lcnJvcg==" };
	char *end;

	begin();
	end = right_end("pencil");
	assert_null(sg_scram_success(end));
	assert_non_null(sg_scram_success(end)); /* once */
	begin();
	assert_non_null(sg_scram_success(end)); /* no challenge */
	free(end);
	begin();
	end = right_end("pencil");
	sg_scram_end();
	assert_non_null(sg_scram_success(end));
	free(end);
	begin();
	end = right_end("Pencil");
	assert_non_null(sg_scram_success(end));
	free(end);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		begin();
		end = right_end("pencil");
		assert_non_null(strstr(sg_scram_success(bad[i]), "without proof"));
		assert_non_null(sg_scram_success(end)); /* nor a second try */
		free(end);
	}
}

/* The nonce fills what room there is, is never the same, and holds no comma. */
static void test_nonce(void **state)
{
	char nonce[32], other[32], small[2] = { 'x', 'x' }, large[200];

	xmpp_rand_nonce(NULL, nonce, sizeof(nonce));
	xmpp_rand_nonce(NULL, other, sizeof(other));
	assert_int_equal(strlen(nonce), sizeof(nonce) - 1);
	assert_int_equal(strspn(nonce, "0123456789abcdef"), sizeof(nonce) - 1);
	assert_string_not_equal(nonce, other);
	xmpp_rand_nonce(NULL, small, 0);
	assert_int_equal(small[0], 'x');
	xmpp_rand_nonce(NULL, small, 1);
	assert_int_equal(small[0], '\0');
	assert_int_equal(small[1], 'x');
	xmpp_rand_nonce(NULL, large, sizeof(large));
	assert_string_equal(large, sg_scram_nonce());
	assert_in_range(strlen(large), 32, sizeof(large) - 1);
}

static void test_users(void **state)
{
	assert_true(sg_scram_takes_user("juliet@example.org"));
	assert_true(sg_scram_takes_user("j@a=b,c"));
	assert_false(sg_scram_takes_user("ju=liet@example.org"));
	assert_false(sg_scram_takes_user("ju,liet@example.org"));
	assert_false(sg_scram_takes_user("example.org"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_challenges),
		cmocka_unit_test(test_salt_limit),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_nonce),
		cmocka_unit_test(test_users),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
