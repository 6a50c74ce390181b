/*
 * Every return value that PKCS#11 names has a code and a sentence of ours.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "ckr.h"

#define HEADER "/usr/include/p11-kit-1/p11-kit/pkcs11.h"

static void check(const char *name, CK_RV rv)
{
	struct sg_msg_error error = { 0 };
	int err;

	assert_string_equal(sg_ckr_name(rv), name);
	assert_true((sg_ckr_code(rv) == 0) == (rv == CKR_OK));
	err = sg_ckr_fail(&error, rv, "C_Call", "my token");
	assert_int_equal(err, rv == CKR_OK ? SG_ERR_INTERNAL : sg_ckr_code(rv));
	assert_int_equal(error.code, -err);
	assert_non_null(strstr(error.message, "'my token'"));
	assert_non_null(strstr(error.message, "C_Call"));
	assert_non_null(strstr(error.message, name));
	assert_true(strlen(error.message) > strlen(name) + strlen("token 'my token': C_Call") + 20);
	sg_layout_clear(&sg_layout_error, &error);
}

static void test_all_of_the_header(void **state)
{
	FILE *file = fopen(HEADER, "r");
	char line[256], name[128];
	size_t count = 0;
	CK_RV rv;

	assert_non_null(file);
	while (fgets(line, sizeof(line), file) != NULL) {
		if (sscanf(line, "#define %127s (%li", name, (long *)&rv) != 2 ||
		    strncmp(name, "CKR_", 4) != 0)
			continue;
		check(name, rv);
		count++;
	}
	fclose(file);
	assert_true(count > 80);
}

static void test_values_of_vendors(void **state)
{
	struct sg_msg_error error = { 0 };

	assert_string_equal(sg_ckr_name(CKR_VENDOR_DEFINED + 7), "CKR_?");
	assert_int_equal(
	    sg_ckr_fail(&error, CKR_VENDOR_DEFINED + 7, "C_Sign", NULL), SG_ERR_TOKEN_FAILED);
	assert_non_null(strstr(error.message, "0x80000007"));
	sg_layout_clear(&sg_layout_error, &error);
	assert_int_equal(
	    sg_ckr_fail(&error, CKR_DEVICE_ERROR, "C_GetSlotList", NULL), SG_ERR_TOKEN_FAILED);
	assert_non_null(strstr(error.message, "pcscd"));
	sg_layout_clear(&sg_layout_error, &error);
}

static void test_codes_that_people_act_on(void **state)
{
	static const struct {
		CK_RV rv;
		int code;
	} table[] = {
		{ CKR_DEVICE_MEMORY, SG_ERR_TOKEN_FULL },
		{ CKR_TOKEN_WRITE_PROTECTED, SG_ERR_TOKEN_READ_ONLY },
		{ CKR_SESSION_READ_ONLY, SG_ERR_TOKEN_READ_ONLY },
		{ CKR_TOKEN_NOT_RECOGNIZED, SG_ERR_TOKEN_ABSENT },
		{ CKR_DEVICE_REMOVED, SG_ERR_TOKEN_ABSENT },
		{ CKR_PIN_EXPIRED, SG_ERR_PIN_LOCKED },
		{ CKR_PIN_LOCKED, SG_ERR_PIN_LOCKED },
		{ CKR_PIN_INCORRECT, SG_ERR_PIN_WRONG },
		{ CKR_MECHANISM_INVALID, SG_ERR_MECHANISM },
		{ CKR_USER_NOT_LOGGED_IN, SG_ERR_PIN_NEEDED },
		{ CKR_KEY_CHANGED, SG_ERR_KEY_CHANGED },
	};
	size_t i;

	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		assert_int_equal(sg_ckr_code(table[i].rv), table[i].code);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_of_the_header),
		cmocka_unit_test(test_values_of_vendors),
		cmocka_unit_test(test_codes_that_people_act_on),
	};

	return cmocka_run_group_tests_name("token return values", tests, NULL, NULL);
}
