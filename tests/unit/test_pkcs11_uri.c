/* The walk through the attributes of an RFC 7512 URI. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proto/pkcs11_uri.h"

static void the_scheme_is_of_either_case(void **state)
{
	assert_true(sg_uri_is_uri("pkcs11:"));
	assert_true(sg_uri_is_uri("PKcs11:token=a"));
	assert_false(sg_uri_is_uri("pkcs11"));
	assert_false(sg_uri_is_uri(""));
	assert_false(sg_uri_is_uri(" pkcs11:"));
	assert_string_equal(sg_uri_path("pkcs11:token=a"), "token=a");
	assert_string_equal(sg_uri_path("pkcs11:"), "");
}

/* Takes one attribute; its value is NULL, or as it should be. */
static void assert_next(
    const char **pos, enum sg_uri_name which, const char *name, const char *value)
{
	struct sg_uri_attribute attribute;

	assert_int_equal(sg_uri_next(pos, &attribute), 1);
	assert_int_equal(attribute.which, which);
	assert_int_equal(attribute.name_len, strlen(name));
	assert_memory_equal(attribute.name, name, strlen(name));
	assert_int_equal(attribute.value == NULL, value == NULL);
	assert_int_equal(attribute.value_len, value != NULL ? strlen(value) : 0);
	if (value != NULL)
		assert_memory_equal(attribute.value, value, strlen(value));
}

static void assert_end(const char *pos, const char *rest)
{
	struct sg_uri_attribute attribute;

	assert_int_equal(sg_uri_next(&pos, &attribute), 0);
	assert_string_equal(pos, rest);
}

static void attributes_come_in_their_order(void **state)
{
	const char *pos = "token=a%3bb;id=%01;serial=;x-y=z;seria=1;Token=a;type=private";

	assert_next(&pos, SG_URI_TOKEN, "token", "a%3bb");
	assert_next(&pos, SG_URI_ID, "id", "%01");
	assert_next(&pos, SG_URI_SERIAL, "serial", "");
	assert_next(&pos, SG_URI_UNKNOWN, "x-y", "z");
	assert_next(&pos, SG_URI_UNKNOWN, "seria", "1");
	assert_next(&pos, SG_URI_UNKNOWN, "Token", "a");
	assert_next(&pos, SG_URI_TYPE, "type", "private");
	assert_end(pos, "");
}

static void every_name_is_known(void **state)
{
	const char *pos = "token=;serial=;manufacturer=;model=;slot-id=;slot-description=;"
			  "slot-manufacturer=;library-manufacturer=;library-description=;"
			  "library-version=;object=;id=;type=";
	struct sg_uri_attribute attribute;

	for (int which = 0; which < SG_URI_UNKNOWN; which++) {
		assert_int_equal(sg_uri_next(&pos, &attribute), 1);
		assert_int_equal(attribute.which, which);
	}
	assert_end(pos, "");
}

static void what_is_empty_is_given_too(void **state)
{
	const char *pos = ";model;=1;object=a=b;";

	assert_next(&pos, SG_URI_UNKNOWN, "", NULL);
	assert_next(&pos, SG_URI_MODEL, "model", NULL);
	assert_next(&pos, SG_URI_UNKNOWN, "", "1");
	assert_next(&pos, SG_URI_OBJECT, "object", "a=b");
	assert_end(pos, "");
}

static void the_path_ends_at_the_query(void **state)
{
	const char *pos = "token=a;serial=1?pin-source=x;model=b";

	assert_next(&pos, SG_URI_TOKEN, "token", "a");
	assert_next(&pos, SG_URI_SERIAL, "serial", "1");
	assert_end(pos, "?pin-source=x;model=b");
	assert_end("?token=a", "?token=a");
	assert_end("", "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_scheme_is_of_either_case),
		cmocka_unit_test(attributes_come_in_their_order),
		cmocka_unit_test(every_name_is_known),
		cmocka_unit_test(what_is_empty_is_given_too),
		cmocka_unit_test(the_path_ends_at_the_query),
	};

	return cmocka_run_group_tests_name("pkcs11_uri", tests, NULL, NULL);
}
