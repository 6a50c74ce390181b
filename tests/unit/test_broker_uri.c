/* Which selectors mean a token (RFC 7512 2.3), and which cannot be used. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/broker/uri.h"

static char label[] = "My key; 50%";
static char serial[] = "0123";
static char manufacturer[] = "Acme";
static char model[] = "X";
static char slot[] = "Reader 0";
static char slot_id[] = "17";
static char library[] = "Acme tokens";
static char version[] = "2.6";
static char uri[] = "pkcs11:model=X;manufacturer=Acme;serial=0123;token=My%20key%3b%2050%25";

static struct sg_token_info token = {
	.uri = uri,
	.label = label,
	.serial = serial,
	.manufacturer = manufacturer,
	.model = model,
	.slot = slot,
	.slot_manufacturer = manufacturer,
	.slot_id = slot_id,
	.library_manufacturer = manufacturer,
	.library_description = library,
	.library_version = version,
	.flags = SG_TOKEN_INITIALIZED,
};

static void matches(void **state)
{
	static const char *const good[] = {
		"My key; 50%",
		uri,
		"pkcs11:",
		"PKCS11:serial=0123",
		"pkcs11:token=My%20key%3B%2050%25",
		"pkcs11:token=%4dy key%3b 50%25",
		"pkcs11:serial=0123;object=anything;id=%01%02;type=private",
		"pkcs11:slot-description=Reader%200",
		"pkcs11:slot-id=17;slot-manufacturer=Acme",
		"pkcs11:library-manufacturer=Acme;library-description=Acme%20tokens;library-"
		"version=2.6",
	};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		if (!sg_uri_matches_token(good[i], &token))
			fail_msg("%s should match", good[i]);
	}
}

static void does_not_match(void **state)
{
	static const char *const bad[] = {
		"my key; 50%",
		"My key",
		"pkcs11:token=My%20key",
		"pkcs11:token=My%20key%3b%2050%25x",
		"pkcs11:token=My key; 50%",
		"pkcs11:serial=0123;model=Y",
		"pkcs11:serial=01%32%33%00",
		"pkcs11:serial=012%3",
		"pkcs11:serial=012%",
		"pkcs11:serial=012%zz",
		"pkcs11:serial",
		"pkcs11:;serial=0123",
		"pkcs11:object=only;type=private",
		"pkcs11:library-manufacturer=Acne",
		"pkcs11:library-version=2.5;serial=0123",
		"pkcs11:slot-id=1",
		"pkcs11:unheard-of=1;serial=0123",
		"pkcs11:serialx=0123",
		"pkcs11:seria=0123",
		"pkcs11:=0123",
		"pkcs11:serial=0123?pin-source=x",
		"pkcs11:?",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (sg_uri_matches_token(bad[i], &token))
			fail_msg("%s should not match", bad[i]);
	}
}

static void uninitialised_tokens_go_by_their_uri(void **state)
{
	struct sg_token_info empty = token;

	empty.flags = 0;
	assert_true(sg_uri_matches_token(uri, &empty));
	assert_false(sg_uri_matches_token("pkcs11:", &empty));
	assert_false(sg_uri_matches_token("pkcs11:serial=0123", &empty));
	assert_false(sg_uri_matches_token(label, &empty));
	empty.uri = NULL;
	assert_false(sg_uri_matches_token(uri, &empty));
}

static void absent_fields_are_empty(void **state)
{
	const struct sg_token_info bare = { .flags = SG_TOKEN_INITIALIZED };

	assert_true(sg_uri_matches_token("pkcs11:serial=", &bare));
	assert_false(sg_uri_matches_token("pkcs11:serial=1", &bare));
	assert_false(sg_uri_matches_token("label", &bare));
}

static void what_can_be_used(void **state)
{
	const char *why;
	char text[SG_URI_MAX + 2];

	assert_int_equal(sg_uri_check("label", &why), 0);
	assert_null(why);
	assert_int_equal(sg_uri_check("a label with a ?", &why), 0);
	assert_int_equal(sg_uri_check(uri, &why), 0);
	assert_int_equal(sg_uri_check("", &why), SG_ERR_ARG);
	assert_non_null(why);
	assert_int_equal(sg_uri_check("pkcs11:token=x?pin-source=file:/x", &why), SG_ERR_ARG);
	assert_int_equal(sg_uri_check("pkcs11:?module-path=/x", &why), SG_ERR_ARG);
	assert_int_equal(sg_uri_check("pkcs11:serial=012%3", &why), SG_ERR_ARG);
	assert_int_equal(sg_uri_check("pkcs11:serial=012%", &why), SG_ERR_ARG);
	assert_int_equal(sg_uri_check("pkcs11:serial=%zz;token=x", &why), SG_ERR_ARG);
	assert_int_equal(sg_uri_check("pkcs11:serial", &why), SG_ERR_ARG);
	assert_int_equal(sg_uri_check("pkcs11:;serial=1", &why), SG_ERR_ARG);
	assert_int_equal(sg_uri_check("pkcs11:serial=1;seria=1", &why), SG_ERR_ARG);
	assert_int_equal(sg_uri_check("pkcs11:serial=1;slot-id=1;library-version=2.6", &why), 0);
	assert_int_equal(sg_uri_check("50%", &why), 0);
	assert_int_equal(sg_uri_check("\xff\xfe", &why), SG_ERR_ARG);
	assert_int_equal(sg_uri_check("bell\a", &why), SG_ERR_ARG);
	memset(text, 'a', sizeof(text));
	text[SG_URI_MAX] = '\0';
	assert_int_equal(sg_uri_check(text, &why), 0);
	text[SG_URI_MAX] = 'a';
	text[SG_URI_MAX + 1] = '\0';
	assert_int_equal(sg_uri_check(text, &why), SG_ERR_ARG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(matches),
		cmocka_unit_test(does_not_match),
		cmocka_unit_test(uninitialised_tokens_go_by_their_uri),
		cmocka_unit_test(absent_fields_are_empty),
		cmocka_unit_test(what_can_be_used),
	};

	return cmocka_run_group_tests_name("broker_uri", tests, NULL, NULL);
}
