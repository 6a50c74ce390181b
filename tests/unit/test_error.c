#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "error.h"

#define CODE_MIN   (-60)
#define ERRORS_MAX 100

/* The names of the `error` lines of the interface. */
static size_t interface_errors(char names[ERRORS_MAX][64])
{
	FILE *file = fopen("proto/org.signet.Agent.varlink", "r");
	char line[1024];
	size_t count = 0;

	assert_non_null(file);
	while (fgets(line, sizeof(line), file) != NULL) {
		if (sscanf(line, "error %63[A-Za-z] (", names[count]) == 1) {
			count++;
			assert_true(count < ERRORS_MAX);
		}
	}
	fclose(file);
	assert_true(count > 30);
	return count;
}

static int is_code(int code)
{
	return code == SG_ERR_INTERNAL ||
	    strcmp(sg_err_text(code), sg_err_text(SG_ERR_INTERNAL)) != 0;
}

static void every_interface_error_is_a_code(void **state)
{
	char names[ERRORS_MAX][64];
	size_t count = interface_errors(names);

	for (size_t i = 0; i < count; i++) {
		int code = sg_err_from_name(names[i]);

		assert_string_equal(sg_err_name(code), names[i]);
		assert_true(code != SG_ERR_INTERNAL || strcmp(names[i], "Internal") == 0);
	}
}

static void every_code_is_an_interface_error(void **state)
{
	char names[ERRORS_MAX][64];
	size_t count = interface_errors(names), codes = 0;

	for (int code = CODE_MIN; code < 0; code++) {
		int found = 0;

		if (!is_code(code))
			continue;
		for (size_t i = 0; i < count; i++)
			found += strcmp(sg_err_name(code), names[i]) == 0;
		assert_int_equal(found, 1);
		if (code != SG_ERR_NOMEM) { /* shares its name with SG_ERR_INTERNAL */
			assert_int_equal(sg_err_from_name(sg_err_name(code)), code);
			codes++;
		}
	}
	assert_int_equal(codes, count);
}

static void every_code_has_words_for_a_person(void **state)
{
	for (int code = CODE_MIN; code < 0; code++) {
		const char *text = sg_err_text(code);
		const char *advice = sg_err_advice(code);

		assert_true(strlen(text) > 0 && islower((unsigned char)text[0]));
		assert_true(text[strlen(text) - 1] != '.');
		assert_true(strlen(advice) > 0 && advice[strlen(advice) - 1] == '.');
	}
	assert_string_equal(sg_err_advice(SG_OK), "");
	assert_non_null(strstr(sg_err_advice(SG_ERR_PIN_WRONG), "tried once"));
	assert_non_null(strstr(sg_err_advice(SG_ERR_PIN_WRONG), "not tried again"));
	assert_non_null(strstr(sg_err_advice(SG_ERR_PIN_LOCKED), "PUK"));
	assert_non_null(strstr(sg_err_advice(SG_ERR_PIN_NEEDED), "signet token unlock"));
	assert_non_null(strstr(sg_err_advice(SG_ERR_PIN_NEEDED), "--pin-file"));
}

static void exit_status_tells_the_kind(void **state)
{
	assert_int_equal(sg_err_exit_status(SG_OK), 0);
	assert_int_equal(sg_err_exit_status(SG_ERR_INTERNAL), 1);
	assert_int_equal(sg_err_exit_status(SG_ERR_ARG), 2);
	assert_int_equal(sg_err_exit_status(SG_ERR_KEY_AMBIGUOUS), 3);
	assert_int_equal(sg_err_exit_status(SG_ERR_PIN_WRONG), 4);
	assert_int_equal(sg_err_exit_status(SG_ERR_AUTH), 4);
	assert_int_equal(sg_err_exit_status(SG_ERR_WORKER), 5);
	assert_int_equal(sg_err_exit_status(SG_ERR_BUSY), 5);
	assert_int_equal(sg_err_exit_status(SG_ERR_TLS), 6);
	assert_int_equal(sg_err_exit_status(SG_ERR_CERT_REFUSED), 7);
	assert_int_equal(sg_err_exit_status(SG_ERR_DENIED), 8);
	for (int code = CODE_MIN; code < 0; code++)
		assert_in_range(sg_err_exit_status(code), 1, 8);
}

static void unknown_codes_and_names_are_internal(void **state)
{
	assert_string_equal(sg_err_name(-999), "Internal");
	assert_string_equal(sg_err_name(7), "Internal");
	assert_int_equal(sg_err_exit_status(-999), 1);
	assert_int_equal(sg_err_from_name("NoSuchError"), SG_ERR_INTERNAL);
	assert_int_equal(sg_err_from_name(""), SG_ERR_INTERNAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_interface_error_is_a_code),
		cmocka_unit_test(every_code_is_an_interface_error),
		cmocka_unit_test(every_code_has_words_for_a_person),
		cmocka_unit_test(exit_status_tells_the_kind),
		cmocka_unit_test(unknown_codes_and_names_are_internal),
	};

	return cmocka_run_group_tests_name("error", tests, NULL, NULL);
}
