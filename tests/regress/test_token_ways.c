/*
 * Tokens that lack mechanisms or refuse them, and keys that are probed. Signatures are verified by OpenSSL.
 */
#include "token_ways.h"

#include "touch.h"

/* ---- ways ---- */

static const struct {
	enum sg_sign_kind kind;
	enum sg_hash hash;
	CK_MECHANISM_TYPE first, second;
	const char *names[2];
} ladder[] = {
	{ SG_SIGN_RSA_PKCS1, SG_HASH_SHA1, CKM_RSA_PKCS, CKM_SHA1_RSA_PKCS,
	    { "CKM_RSA_PKCS", "CKM_SHA1_RSA_PKCS" } },
	{ SG_SIGN_RSA_PKCS1, SG_HASH_SHA256, CKM_RSA_PKCS, CKM_SHA256_RSA_PKCS,
	    { "CKM_RSA_PKCS", "CKM_SHA256_RSA_PKCS" } },
	{ SG_SIGN_RSA_PKCS1, SG_HASH_SHA384, CKM_RSA_PKCS, CKM_SHA384_RSA_PKCS,
	    { "CKM_RSA_PKCS", "CKM_SHA384_RSA_PKCS" } },
	{ SG_SIGN_RSA_PKCS1, SG_HASH_SHA512, CKM_RSA_PKCS, CKM_SHA512_RSA_PKCS,
	    { "CKM_RSA_PKCS", "CKM_SHA512_RSA_PKCS" } },
	{ SG_SIGN_RSA_PSS, SG_HASH_SHA256, CKM_RSA_PKCS_PSS, CKM_SHA256_RSA_PKCS_PSS,
	    { "CKM_RSA_PKCS_PSS", "CKM_SHA256_RSA_PKCS_PSS" } },
	{ SG_SIGN_RSA_PSS, SG_HASH_SHA384, CKM_RSA_PKCS_PSS, CKM_SHA384_RSA_PKCS_PSS,
	    { "CKM_RSA_PKCS_PSS", "CKM_SHA384_RSA_PKCS_PSS" } },
	{ SG_SIGN_RSA_PSS, SG_HASH_SHA512, CKM_RSA_PKCS_PSS, CKM_SHA512_RSA_PKCS_PSS,
	    { "CKM_RSA_PKCS_PSS", "CKM_SHA512_RSA_PKCS_PSS" } },
	{ SG_SIGN_ECDSA, SG_HASH_SHA256, CKM_ECDSA, CKM_ECDSA_SHA256,
	    { "CKM_ECDSA", "CKM_ECDSA_SHA256" } },
};

#define LADDER (sizeof(ladder) / sizeof(ladder[0]))

static char *ladder_key(size_t i)
{
	static char rsa[] = "w-rsa", ec[] = "w-ec", rsa2048[] = "rsa2048", p256[] = "p256";

	return ladder[i].kind == SG_SIGN_ECDSA ? key_of(ec, p256) : key_of(rsa, rsa2048);
}

static void expect_tried(size_t count, CK_MECHANISM_TYPE first, CK_MECHANISM_TYPE second)
{
	assert_int_equal(faults.tried_count, count);
	assert_int_equal(faults.tried[0], first);
	if (count > 1)
		assert_int_equal(faults.tried[1], second);
	faults.tried_count = 0;
}

/* Refused by C_SignInit or C_Sign: the second way, and from then on that one at once. */
static void test_refused_mechanisms_lead_to_the_next(void **state)
{
	static const CK_RV refusals[] = { CKR_MECHANISM_INVALID, CKR_MECHANISM_PARAM_INVALID,
		CKR_KEY_FUNCTION_NOT_PERMITTED, CKR_KEY_TYPE_INCONSISTENT, CKR_KEY_SIZE_RANGE,
		CKR_FUNCTION_NOT_SUPPORTED, CKR_DATA_LEN_RANGE };
	size_t i, j;

	for (i = 0; i < LADDER; i++) {
		for (j = 0; j < 2 * sizeof(refusals) / sizeof(refusals[0]); j++) {
			char *key = ladder_key(i);

			sg_key_cache_flush(module);
			faults.refusal = refusals[j / 2];
			(j % 2 ? faults.refused_sign : faults.refused_init)[0] = ladder[i].first;
			if (try_sign(key, ladder[i].kind, ladder[i].hash) != 0)
				fail_msg("%s", error.message);
			expect_tried(2, ladder[i].first, ladder[i].second);
			assert_int_equal(try_sign(key, ladder[i].kind, ladder[i].hash), 0);
			expect_tried(1, ladder[i].second, 0);
			faults.refused_sign[0] = faults.refused_init[0] =
			    CK_UNAVAILABLE_INFORMATION;
		}
	}
}

/* A way that was refused once is gone again when the others are refused, in the same call. */
static void test_refused_mechanisms_that_are_free_again(void **state)
{
	size_t i;

	for (i = 0; i < LADDER; i++) {
		char *key = ladder_key(i);

		sg_key_cache_flush(module);
		faults.refusal = CKR_MECHANISM_INVALID;
		faults.refused_init[0] = ladder[i].first;
		assert_int_equal(try_sign(key, ladder[i].kind, ladder[i].hash), 0);
		expect_tried(2, ladder[i].first, ladder[i].second);
		faults.refused_init[0] = ladder[i].second;
		assert_int_equal(try_sign(key, ladder[i].kind, ladder[i].hash), 0);
		expect_tried(2, ladder[i].second, ladder[i].first);
		assert_int_equal(try_sign(key, ladder[i].kind, ladder[i].hash), 0);
		expect_tried(1, ladder[i].first, 0);
		faults.refused_init[0] = CK_UNAVAILABLE_INFORMATION;
	}
}

static void rescan(void)
{
	module_stop(NULL);
	module_open();
	fake.C_GetMechanismInfo = fake_mechanism;
	fake.C_SignInit = fake_sign_init;
	fake.C_Sign = fake_sign;
}

/* Not in the token's list: never asked for. */
static void test_missing_mechanisms_are_not_tried(void **state)
{
	size_t i;

	for (i = 0; i < LADDER; i++) {
		char *key;

		faults.missing[0] = ladder[i].first;
		rescan();
		key = ladder_key(i);
		if (try_sign(key, ladder[i].kind, ladder[i].hash) != 0)
			fail_msg("%s", error.message);
		expect_tried(1, ladder[i].second, 0);
	}
}

/* What the token does not say is found out by signing. */
static void test_list_of_mechanisms_that_fails(void **state)
{
	char *key = key_of(TEXT("w-ec"), TEXT("p256"));

	faults.info_fault = CKR_DEVICE_ERROR;
	rescan();
	unlock(TEXT("alpha"));
	faults.refused_init[0] = CKM_ECDSA;
	assert_int_equal(try_sign(key, SG_SIGN_ECDSA, SG_HASH_SHA256), 0);
	expect_tried(2, CKM_ECDSA, CKM_ECDSA_SHA256);
}

static void test_nothing_left_names_what_is_missing(void **state)
{
	char text[64];
	size_t i;

	for (i = 0; i < LADDER; i++) {
		char *key = ladder_key(i);

		sg_key_cache_flush(module);
		faults.refused_init[0] = ladder[i].first;
		faults.refused_sign[0] = ladder[i].second;
		assert_int_equal(try_sign(key, ladder[i].kind, ladder[i].hash), SG_ERR_MECHANISM);
		expect_tried(2, ladder[i].first, ladder[i].second);
		snprintf(text, sizeof(text), "refuses %s and", ladder[i].names[0]);
		assert_non_null(strstr(error.message, text));
		snprintf(text, sizeof(text), "refuses %s for", ladder[i].names[1]);
		assert_non_null(strstr(error.message, text));
		assert_non_null(strstr(error.message, "'alpha'"));
		faults.refused_init[0] = faults.refused_sign[0] = CK_UNAVAILABLE_INFORMATION;
		/* A mood of the token is not held against it. */
		assert_int_equal(try_sign(key, ladder[i].kind, ladder[i].hash), 0);
		faults.tried_count = 0;
	}
}

static void test_a_failure_is_no_refusal(void **state)
{
	char *key = key_of(TEXT("w-rsa"), TEXT("rsa2048"));

	faults.sign_fault = CKR_FUNCTION_FAILED;
	assert_int_equal(try_sign(key, SG_SIGN_RSA_PKCS1, SG_HASH_SHA256), SG_ERR_TOKEN_FAILED);
	expect_tried(1, CKM_RSA_PKCS, 0);
	assert_int_equal(try_sign(key, SG_SIGN_RSA_PKCS1, SG_HASH_SHA256), 0);
	expect_tried(1, CKM_RSA_PKCS, 0);
}

static void *sign_often(void *arg)
{
	intptr_t failed = 0;
	int i;

	for (i = 0; i < 20; i++) {
		struct sg_msg_csr_make msg = { .key = arg, .jid = TEXT(JID) };
		struct sg_msg_error own = { 0 };
		struct sg_blob der = { 0 };

		failed += sg_csr_make(module, &msg, &der, &own) != 0;
		sg_blob_clear(&der);
		sg_layout_clear(&sg_layout_error, &own);
	}
	return (void *)failed;
}

/* As tpm2-pkcs11 does: nobody is told of it, and it happens at the start alone. */
static void test_module_that_signs_one_at_a_time(void **state)
{
	char *key = key_of(TEXT("w-ec"), TEXT("p256"));
	pthread_t threads[8];
	void *failed;
	size_t i;

	faults.one_at_a_time = 1;
	faults.slow_ms = 1;
	for (i = 0; i < 8; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, sign_often, key), 0);
	for (i = 0; i < 8; i++) {
		assert_int_equal(pthread_join(threads[i], &failed), 0);
		assert_null(failed);
	}
	assert_true(faults.refused_busy > 0);
	assert_true(faults.refused_busy <= 8);
}

/* For all that is signed: the first signature is looked at, and again when a second has gone by. */
static void test_wrong_signature_is_not_given_out(void **state)
{
	struct timespec nap = { 1, 50000000 };
	size_t i;

	for (i = 0; i < LADDER; i++) {
		char *key = ladder_key(i);

		sg_key_cache_flush(module);
		faults.flip = 1;
		assert_int_equal(
		    try_sign(key, ladder[i].kind, ladder[i].hash), SG_ERR_TOKEN_FAILED);
		assert_non_null(strstr(error.message, "does not verify"));
		assert_int_equal(
		    try_sign(key, ladder[i].kind, ladder[i].hash), SG_ERR_TOKEN_FAILED);
		faults.flip = 0;
		assert_int_equal(try_sign(key, ladder[i].kind, ladder[i].hash), 0);
		faults.tried_count = 0;
	}
	faults.flip = 1;
	nanosleep(&nap, NULL);
	assert_int_equal(
	    try_sign(TEXT("w-ec"), SG_SIGN_ECDSA, SG_HASH_SHA256), SG_ERR_TOKEN_FAILED);
}

static void test_key_that_may_not_sign(void **state)
{
	char *key = key_of(TEXT("w-ec"), TEXT("p256"));

	sg_key_cache_flush(module);
	faults.may_not_sign = 1;
	assert_int_equal(try_sign(key, SG_SIGN_ECDSA, SG_HASH_SHA256), SG_ERR_MECHANISM);
	assert_non_null(strstr(error.message, "may not sign (CKA_SIGN is false)"));
	assert_null(strstr(error.message, "CKM_"));
	assert_int_equal(faults.tried_count, 0);
	sg_key_cache_flush(module);
	faults.may_not_sign = 0;
	faults.refusal = CKR_KEY_FUNCTION_NOT_PERMITTED;
	faults.refused_init[0] = CKM_ECDSA;
	faults.refused_init[1] = CKM_ECDSA_SHA256;
	assert_int_equal(try_sign(key, SG_SIGN_ECDSA, SG_HASH_SHA256), SG_ERR_MECHANISM);
	assert_non_null(strstr(error.message, "may not sign (CKR_KEY_FUNCTION_NOT_PERMITTED)"));
}

/* The login for one operation stands right between C_SignInit and C_Sign on the second way, too. */
static void test_always_authenticate_on_the_second_way(void **state)
{
	assert_int_equal(
	    RUN("pkcs11-tool", "--module", world_module, "--token-label", "alpha", "--login",
		"--pin", "env:SIGNET_TEST_PIN", "--keypairgen", "--key-type", "rsa:2048", "--label",
		"w-careful", "--id", "99", "--always-auth"),
	    0);
	unlock(TEXT("alpha"));
	faults.refused_init[0] = CKM_RSA_PKCS;
	assert_int_equal(try_sign(TEXT("w-careful"), SG_SIGN_RSA_PKCS1, SG_HASH_SHA256), 0);
	expect_tried(2, CKM_RSA_PKCS, CKM_SHA256_RSA_PKCS);
	sg_key_cache_flush(module);
	faults.refused_init[0] = CK_UNAVAILABLE_INFORMATION;
	faults.refused_sign[0] = CKM_RSA_PKCS;
	assert_int_equal(try_sign(TEXT("w-careful"), SG_SIGN_RSA_PKCS1, SG_HASH_SHA256), 0);
	expect_tried(2, CKM_RSA_PKCS, CKM_SHA256_RSA_PKCS);
	assert_int_equal(RUN("pkcs11-tool", "--module", world_module, "--token-label", "alpha",
			     "--login", "--pin", "env:SIGNET_TEST_PIN", "--delete-object", "--type",
			     "privkey", "--label", "w-careful"),
	    0);
}

/* ---- probes ---- */

static const uint32_t all_rsa = SG_KEY_RSA_PKCS1 | SG_KEY_RSA_PKCS1_SHA1 | SG_KEY_RSA_PKCS1_SHA256 |
    SG_KEY_RSA_PSS | SG_KEY_RSA_PSS_HASHED;

static void test_probe(void **state)
{
	char *ec = key_of(TEXT("w-ec"), TEXT("p256")),
	     *rsa = key_of(TEXT("w-rsa"), TEXT("rsa2048"));
	char *p384 = key_of(TEXT("w-p384"), TEXT("p384"));
	uint32_t abilities;

	assert_int_equal(try_probe(rsa, &abilities), 0);
	assert_int_equal(abilities, all_rsa);
	assert_int_equal(faults.signs, 5);
	assert_int_equal(try_probe(ec, &abilities), 0);
	assert_int_equal(abilities, SG_KEY_ECDSA | SG_KEY_ECDSA_HASHED);
	assert_int_equal(try_probe(p384, &abilities), 0);
	assert_int_equal(abilities, SG_KEY_ECDSA | SG_KEY_ECDSA_HASHED);
	faults.refused_init[0] = CKM_RSA_PKCS;
	faults.refused_sign[0] = CKM_RSA_PKCS_PSS;
	assert_int_equal(try_probe(rsa, &abilities), 0);
	assert_int_equal(abilities, all_rsa & ~(SG_KEY_RSA_PKCS1 | SG_KEY_RSA_PSS));
}

/* A token that waits for a touch is asked for one signature of each kind. */
static void test_probe_of_a_slow_token(void **state)
{
	char *rsa = key_of(TEXT("w-rsa"), TEXT("rsa2048"));
	uint32_t abilities;

	faults.slow_ms = SG_TOUCH_MS + 20;
	assert_int_equal(try_probe(rsa, &abilities), 0);
	assert_int_equal(abilities, SG_KEY_RSA_PKCS1 | SG_KEY_RSA_PSS);
	assert_int_equal(faults.signs, 2);
	faults.refused_init[0] = CKM_RSA_PKCS;
	assert_int_equal(try_probe(rsa, &abilities), 0);
	assert_int_equal(
	    abilities, SG_KEY_RSA_PKCS1_SHA256 | SG_KEY_RSA_PKCS1_SHA1 | SG_KEY_RSA_PSS);
	assert_int_equal(faults.signs, 3);
}

static void test_probes_that_fail(void **state)
{
	char *ec = key_of(TEXT("w-bare"), TEXT("p256"));
	uint32_t abilities;

	faults.flip = 1;
	assert_int_equal(try_probe(ec, &abilities), SG_ERR_CERT_MISMATCH);
	assert_non_null(strstr(error.message, "another key's"));
	faults.flip = 0;
	faults.may_not_sign = 1;
	assert_int_equal(try_probe(ec, &abilities), SG_ERR_MECHANISM);
	assert_non_null(strstr(error.message, "may not sign (CKA_SIGN is false)"));
	faults.may_not_sign = 0;
	faults.refused_init[0] = CKM_ECDSA;
	faults.refused_init[1] = CKM_ECDSA_SHA256;
	assert_int_equal(try_probe(ec, &abilities), SG_ERR_MECHANISM);
	assert_non_null(strstr(error.message, "CKM_ECDSA"));
	faults.hide_points = 1;
	assert_int_equal(try_probe(ec, &abilities), SG_ERR_UNSUPPORTED);
	assert_non_null(strstr(error.message, "public half"));
	faults.hide_points = 0;
	assert_int_equal(try_probe(TEXT("nobody"), &abilities), SG_ERR_KEY_ABSENT);
	assert_int_equal(RUN("pkcs11-tool", "--module", world_module, "--token-label", "alpha",
			     "--login", "--pin", "env:SIGNET_TEST_PIN", "--keypairgen",
			     "--key-type", "EC:secp521r1", "--label", "w-p521", "--id", "52"),
	    0);
	assert_int_equal(try_probe(TEXT("w-p521"), &abilities), SG_ERR_UNSUPPORTED);
	assert_non_null(strstr(error.message, "none of rsa2048"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, module_start, module_stop)
	const struct CMUnitTest tests[] = {
		TEST(test_refused_mechanisms_lead_to_the_next),
		TEST(test_missing_mechanisms_are_not_tried),
		TEST(test_list_of_mechanisms_that_fails),
		TEST(test_refused_mechanisms_that_are_free_again),
		TEST(test_nothing_left_names_what_is_missing),
		TEST(test_a_failure_is_no_refusal),
		TEST(test_module_that_signs_one_at_a_time),
		TEST(test_wrong_signature_is_not_given_out),
		TEST(test_key_that_may_not_sign),
		TEST(test_always_authenticate_on_the_second_way),
		TEST(test_probe),
		TEST(test_probe_of_a_slow_token),
		TEST(test_probes_that_fail),
	};

	return cmocka_run_group_tests_name("token ways", tests, world_start, world_stop);
}
