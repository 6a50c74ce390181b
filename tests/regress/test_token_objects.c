/*
 * The right object on a token: keys that are pinned or were replaced, public halves and certificates, candidates of
 * a name, and nothing that is half-made.
 */
#include "token_ways.h"

/* ---- pins ---- */

static struct sg_msg_error *fresh_error(void)
{
	sg_layout_clear(&sg_layout_error, &error);
	return &error;
}

static struct sg_blob hash_of(char *name, unsigned char room[32])
{
	struct sg_key *key = NULL;

	assert_int_equal(sg_key_find(module, name, NULL, &key, &error), 0);
	memcpy(room, key->spki_sha256, 32);
	sg_key_unref(key);
	return (struct sg_blob){ room, 32 };
}

static void test_pinned_keys(void **state)
{
	char *ec = key_of(TEXT("w-ec"), TEXT("p256")),
	     *rsa = key_of(TEXT("w-rsa"), TEXT("rsa2048"));
	struct sg_msg_cross_sign cross = {
		.key = ec, .kind = SG_SUBJECT_PGP, .subject = { (unsigned char[20]){ 1 }, 20 }
	};
	struct sg_msg_csr_make csr = { .key = ec, .jid = TEXT(JID) };
	struct sg_msg_self_cert_make self = { .key = ec, .jid = TEXT(JID), .days = 3 };
	unsigned char tbs[64 + 34 + 32], right[32], wrong[32];
	struct sg_msg_tls_sign tls = { .key = ec, .scheme = 0x0403, .tbs = { tbs, sizeof(tbs) } };
	struct sg_msg_cert_store store = { .key = ec };
	struct sg_blob der = { 0 }, good = hash_of(ec, right), bad = hash_of(rsa, wrong);
	struct sg_msg_signatures signatures = { 0 };
	struct sg_msg_objects objects = { 0 };
	int cached;

	memset(tbs, 0x20, 64);
	memcpy(tbs + 64, "TLS 1.3, client CertificateVerify", 34);
	assert_int_equal(sg_self_cert_make(module, &self, &store.der, fresh_error()), 0);
	for (cached = 0; cached < 2; cached++) {
		cross.spki_sha256 = csr.spki_sha256 = self.spki_sha256 = tls.spki_sha256 =
		    store.spki_sha256 = bad;
		if (!cached)
			sg_key_cache_flush(module);
		assert_int_equal(
		    sg_csr_make(module, &csr, &der, fresh_error()), SG_ERR_KEY_CHANGED);
		assert_non_null(strstr(error.message, "pkcs11:"));
		assert_int_equal(
		    sg_self_cert_make(module, &self, &der, fresh_error()), SG_ERR_KEY_CHANGED);
		assert_int_equal(
		    sg_cross_sign(module, &cross, &signatures, fresh_error()), SG_ERR_KEY_CHANGED);
		assert_int_equal(
		    sg_tls_sign(module, &tls, &der, fresh_error()), SG_ERR_KEY_CHANGED);
		assert_int_equal(
		    sg_cert_store(module, &store, &objects, fresh_error()), SG_ERR_KEY_CHANGED);
		cross.spki_sha256 = csr.spki_sha256 = self.spki_sha256 = tls.spki_sha256 =
		    store.spki_sha256 = good;

		assert_int_equal(sg_csr_make(module, &csr, &der, fresh_error()), 0);
		sg_blob_clear(&der);
		assert_int_equal(sg_self_cert_make(module, &self, &der, fresh_error()), 0);
		sg_blob_clear(&der);
		assert_int_equal(sg_cross_sign(module, &cross, &signatures, fresh_error()), 0);
		sg_msg_clear(SG_MSG_SIGNATURES, &signatures);
		assert_int_equal(sg_tls_sign(module, &tls, &der, fresh_error()), 0);
		sg_blob_clear(&der);
		assert_int_equal(sg_cert_store(module, &store, &objects, fresh_error()), 0);
		sg_msg_clear(SG_MSG_OBJECTS, &objects);
	}
	bad.len = 31;
	csr.spki_sha256 = bad;
	assert_int_equal(sg_csr_make(module, &csr, &der, fresh_error()), SG_ERR_KEY_CHANGED);
	sg_blob_clear(&store.der);
}

static void replace_key(const char *label, const char *id)
{
	static const char *const kinds[] = { "privkey", "pubkey" };
	size_t i;

	for (i = 0; i < 2; i++)
		RUN("pkcs11-tool", "--module", world_module, "--token-label", "alpha", "--login",
		    "--pin", "env:SIGNET_TEST_PIN", "--delete-object", "--type", kinds[i], "--id",
		    id);
	assert_int_equal(RUN("pkcs11-tool", "--module", world_module, "--token-label", "alpha",
			     "--login", "--pin", "env:SIGNET_TEST_PIN", "--keypairgen",
			     "--key-type", "EC:prime256v1", "--label", label, "--id", id),
	    0);
}

/* Somebody makes another key of the same name: what has a handle already signs with it no more, pinned or
 * not; who names it anew is told by the pin alone. */
static void test_rotated_key(void **state)
{
	struct sg_blob data = { (unsigned char[]){ "some data" }, 9 }, value = { 0 }, pin;
	const struct sg_sign_how how = { SG_SIGN_ECDSA, SG_HASH_SHA256 };
	struct sg_key *key = NULL, *other = NULL;
	unsigned char room[32];

	replace_key("w-rotated", "77");
	unlock(TEXT("alpha"));
	pin = hash_of(TEXT("w-rotated"), room);
	assert_int_equal(sg_key_find(module, "w-rotated", &pin, &key, fresh_error()), 0);
	replace_key("w-rotated", "77");
	assert_int_equal(sg_sign(key, &how, &data, &value, fresh_error()), SG_ERR_KEY_CHANGED);
	assert_non_null(strstr(error.message, key->info.uri));
	assert_int_equal(
	    sg_key_find(module, "w-rotated", &pin, &other, fresh_error()), SG_ERR_KEY_CHANGED);
	assert_null(other);
	assert_int_equal(sg_key_find(module, "w-rotated", NULL, &other, fresh_error()), 0);
	assert_int_equal(sg_sign(other, &how, &data, &value, fresh_error()), 0);
	sg_blob_clear(&value);
	sg_key_unref(key);
	sg_key_unref(other);
}

/* ---- the right object ---- */

static size_t count_keys(char *name)
{
	struct sg_msg_object_list msg = { .selector = name };
	struct sg_msg_objects objects = { 0 };
	size_t count;

	assert_int_equal(sg_object_list(module, &msg, &objects, &error), 0);
	count = objects.key_count;
	sg_layout_clear(&sg_layout_objects, &objects);
	return count;
}

static size_t count_certs(void)
{
	struct sg_cert_info *certs = NULL;
	struct sg_token *token;
	size_t count = 0;

	assert_int_equal(sg_token_find(module, "alpha", &token, &error), 0);
	assert_int_equal(sg_certs_of_token(token, &certs, &count), CKR_OK);
	sg_certs_free(certs, count);
	return count;
}

static struct sg_blob self_cert(char *key)
{
	struct sg_msg_self_cert_make msg = { .key = key, .jid = TEXT(JID), .days = 3 };
	struct sg_blob der = { 0 };

	if (sg_self_cert_make(module, &msg, &der, &error) != 0)
		fail_msg("%s", error.message);
	return der;
}

static void store_cert(char *key, char *label)
{
	struct sg_msg_cert_store msg = { .key = key, .label = label, .der = self_cert(key) };
	struct sg_msg_objects objects = { 0 };

	assert_int_equal(sg_cert_store(module, &msg, &objects, &error), 0);
	assert_int_equal(objects.cert_count, 1);
	sg_layout_clear(&sg_layout_objects, &objects);
	sg_blob_clear(&msg.der);
}

static void test_what_is_not_on_the_token_is_not_there(void **state)
{
	char *ec = key_of(TEXT("w-ec"), TEXT("p256"));
	size_t certs;

	store_cert(ec, TEXT("w-ec"));
	certs = count_certs();
	assert_true(certs > 0);
	assert_int_equal(count_keys(ec), 1);
	faults.not_on_token = 1;
	assert_int_equal(count_certs(), 0);
	assert_int_equal(count_keys(ec), 0);
}

/* Where no public key object shows its point, the certificate has it. */
static void test_public_half_from_a_certificate(void **state)
{
	char *ec = key_of(TEXT("w-cert"), TEXT("p256"));
	unsigned char before[32], after_hiding[32];
	uint32_t abilities;

	store_cert(ec, TEXT("w-cert"));
	hash_of(ec, before);
	faults.hide_points = 1;
	sg_key_cache_flush(module);
	hash_of(ec, after_hiding);
	assert_memory_equal(before, after_hiding, 32);
	assert_int_equal(try_probe(ec, &abilities), 0);
}

/* A certificate of another key that has this one's identifier: found out by the probe. */
static void test_wrong_certificate_beside_a_key(void **state)
{
	struct sg_blob der;
	uint32_t abilities;

	replace_key("w-mixed", "7a");
	key_of(TEXT("w-cert"), TEXT("p256"));
	der = self_cert(TEXT("w-cert"));
	file_write("wrong.der", der.data, der.len);
	sg_blob_clear(&der);
	assert_int_equal(
	    RUN("pkcs11-tool", "--module", world_module, "--token-label", "alpha", "--login",
		"--pin", "env:SIGNET_TEST_PIN", "--write-object", path_of("wrong.der"), "--type",
		"cert", "--label", "w-mixed", "--id", "7a"),
	    0);
	assert_int_equal(try_probe(TEXT("w-mixed"), &abilities), 0);
	faults.hide_points = 1;
	assert_int_equal(try_probe(TEXT("w-mixed"), &abilities), SG_ERR_CERT_MISMATCH);
}

/* Two keys with one identifier: the label tells whose public half it is. */
static void test_two_keys_with_one_identifier(void **state)
{
	static const char *const labels[] = { "w-twin-a", "w-twin-b" };
	unsigned char a[32], b[32];
	uint32_t abilities;
	size_t i;

	for (i = 0; i < 2; i++)
		assert_int_equal(
		    RUN("pkcs11-tool", "--module", world_module, "--token-label", "alpha",
			"--login", "--pin", "env:SIGNET_TEST_PIN", "--keypairgen", "--key-type",
			"EC:prime256v1", "--label", labels[i], "--id", "7b"),
		    0);
	unlock(TEXT("alpha"));
	hash_of(TEXT("w-twin-a"), a);
	hash_of(TEXT("w-twin-b"), b);
	assert_memory_not_equal(a, b, 32);
	assert_int_equal(try_probe(TEXT("w-twin-a"), &abilities), 0);
	assert_int_equal(try_probe(TEXT("w-twin-b"), &abilities), 0);
}

static void test_candidates(void **state)
{
	struct sg_key *key = NULL;
	size_t i, with_subject = 0;

	store_cert(key_of(TEXT("w-ec"), TEXT("p256")), TEXT("w-ec"));
	key_of(TEXT("w-rsa"), TEXT("rsa2048"));
	assert_int_equal(
	    sg_key_find(module, "pkcs11:token=alpha", NULL, &key, &error), SG_ERR_KEY_AMBIGUOUS);
	assert_true(error.candidate_count > 1);
	for (i = 0; i < error.candidate_count; i++) {
		const struct sg_candidate *one = &error.candidates[i];

		assert_non_null(strstr(one->uri, "type=private"));
		assert_true(one->id != NULL && one->label != NULL && *one->serial);
		if (strcmp(one->label, "w-ec") == 0)
			assert_string_equal(one->subject, "CN=" JID);
		if (strcmp(one->label, "w-rsa") == 0)
			assert_null(one->subject);
		with_subject += one->subject != NULL;
	}
	assert_true(with_subject > 0);
}

/* Over 100 keys fit: 100 are told of, and all are counted. */
static void test_many_candidates(void **state)
{
	CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
	CK_SESSION_HANDLE session;
	struct sg_token *token;
	struct sg_key *key = NULL;
	CK_BBOOL yes = CK_TRUE;
	CK_KEY_TYPE type = CKK_EC;
	unsigned char id[2] = { 0xee, 0 }, value[32] = { 1 };
	char label[] = "w-many";
	CK_ATTRIBUTE template[] = { { CKA_CLASS, &class, sizeof(class) },
		{ CKA_TOKEN, &yes, sizeof(yes) }, { CKA_KEY_TYPE, &type, sizeof(type) },
		{ CKA_PRIVATE, &yes, sizeof(yes) }, { CKA_SIGN, &yes, sizeof(yes) },
		{ CKA_LABEL, label, sizeof(label) - 1 }, { CKA_ID, id, sizeof(id) },
		{ CKA_EC_PARAMS, (unsigned char[]){ 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7 },
		    10 },
		{ CKA_VALUE, value, sizeof(value) } };
	CK_OBJECT_HANDLE handle;

	unlock(TEXT("alpha"));
	assert_int_equal(sg_token_find(module, "alpha", &token, &error), 0);
	assert_int_equal(real->C_OpenSession(token->slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL,
			     NULL, &session),
	    CKR_OK);
	for (id[1] = 0; id[1] < 101; id[1]++)
		assert_int_equal(real->C_CreateObject(session, template,
				     sizeof(template) / sizeof(template[0]), &handle),
		    CKR_OK);
	assert_int_equal(sg_key_find(module, "w-many", NULL, &key, &error), SG_ERR_KEY_AMBIGUOUS);
	assert_int_equal(error.candidate_count, 100);
	assert_non_null(strstr(error.message, "101 keys"));
	for (id[1] = 0; id[1] < 101; id[1]++) {
		CK_ATTRIBUTE wanted = { CKA_ID, id, sizeof(id) };
		CK_ULONG count = 0;

		assert_int_equal(real->C_FindObjectsInit(session, &wanted, 1), CKR_OK);
		assert_int_equal(real->C_FindObjects(session, &handle, 1, &count), CKR_OK);
		real->C_FindObjectsFinal(session);
		assert_int_equal(count, 1);
		assert_int_equal(real->C_DestroyObject(session, handle), CKR_OK);
	}
	real->C_CloseSession(session);
}

/* ---- nothing half-made ---- */

static const CK_RV breaks[] = { CKR_DEVICE_ERROR, CKR_SESSION_HANDLE_INVALID, CKR_GENERAL_ERROR,
	CKR_DEVICE_MEMORY, CKR_FUNCTION_FAILED, CKR_DEVICE_REMOVED };

/* The call did its work and failed all the same; the sessions may be gone with it. */
static void test_key_generation_leaves_nothing(void **state)
{
	struct sg_token *token;
	int reading, err, lost;
	size_t i;

	unlock(TEXT("alpha"));
	assert_int_equal(sg_token_find(module, "alpha", &token, &error), 0);
	for (i = 0; i < 2 * sizeof(breaks) / sizeof(breaks[0]); i++) {
		for (reading = 0; reading < 2; reading++) {
			unlock(TEXT("alpha"));
			if (reading)
				faults.read_fault = breaks[i / 2];
			else
				faults.generate_fault = breaks[i / 2];
			faults.lose_sessions = i % 2 && !reading;
			err = try_generate(TEXT("w-broken"), TEXT("p256"), NULL);
			assert_int_not_equal(err, SG_ERR_ARG);
			lost = !sg_token_is_open(token);
			unlock(TEXT("alpha"));
			/* Without a login nothing can be removed: then the log says so. */
			if (!lost)
				assert_int_equal(count_keys(TEXT("w-broken")), err == 0 ? 1 : 0);
			RUN("pkcs11-tool", "--module", world_module, "--token-label", "alpha",
			    "--login", "--pin", "env:SIGNET_TEST_PIN", "--delete-object", "--type",
			    "privkey", "--label", "w-broken");
			RUN("pkcs11-tool", "--module", world_module, "--token-label", "alpha",
			    "--login", "--pin", "env:SIGNET_TEST_PIN", "--delete-object", "--type",
			    "pubkey", "--label", "w-broken");
			sg_key_cache_flush(module);
			count_keys(TEXT("w-broken"));
		}
	}
}

static void test_certificate_storing_leaves_nothing(void **state)
{
	char *ec = key_of(TEXT("w-ec"), TEXT("p256"));
	size_t i, before, after_it;
	int err;

	for (i = 0; i < sizeof(breaks) / sizeof(breaks[0]); i++) {
		struct sg_msg_cert_store msg = { .key = ec, .label = TEXT("half") };
		struct sg_msg_objects objects = { 0 };

		unlock(TEXT("alpha"));
		msg.der = self_cert(ec);
		before = count_certs();
		faults.create_fault = breaks[i];
		sg_layout_clear(&sg_layout_error, &error);
		err = sg_cert_store(module, &msg, &objects, &error);
		after_it = count_certs();
		assert_int_equal(after_it, before + (err == 0));
		sg_layout_clear(&sg_layout_objects, &objects);
		sg_blob_clear(&msg.der);
	}
}

static void test_keys_that_the_user_cannot_make(void **state)
{
	static const CK_RV values[] = { CKR_ATTRIBUTE_VALUE_INVALID, CKR_FUNCTION_NOT_SUPPORTED };
	size_t i;

	unlock(TEXT("alpha"));
	for (i = 0; i < 2; i++) {
		faults.no_keygen = values[i];
		assert_int_equal(
		    try_generate(TEXT("w-user"), TEXT("p256"), NULL), SG_ERR_UNSUPPORTED);
		assert_non_null(strstr(error.message, "signet key use"));
		assert_non_null(strstr(error.message, "'alpha'"));
	}
	/* OpenSC names no mechanism for it. */
	faults.no_keygen = CKR_OK;
	faults.missing[0] = CKM_EC_KEY_PAIR_GEN;
	assert_int_equal(try_generate(TEXT("w-user"), TEXT("p256"), NULL), SG_ERR_MECHANISM);
	assert_non_null(strstr(error.message, "CKM_EC_KEY_PAIR_GEN"));
	faults.missing[1] = CKM_RSA_PKCS_KEY_PAIR_GEN;
	assert_int_equal(try_generate(TEXT("w-user"), TEXT("p256"), NULL), SG_ERR_UNSUPPORTED);
	assert_non_null(strstr(error.message, "signet key use"));
}

static void test_certificates_that_the_user_cannot_store(void **state)
{
	static const CK_RV values[] = { CKR_USER_TYPE_INVALID, CKR_FUNCTION_NOT_SUPPORTED };
	struct sg_msg_cert_store msg = { .key = key_of(TEXT("w-ec"), TEXT("p256")) };
	struct sg_msg_objects objects = { 0 };
	size_t i;

	msg.der = self_cert(msg.key);
	for (i = 0; i < 2; i++) {
		sg_layout_clear(&sg_layout_error, &error);
		faults.no_objects = values[i];
		assert_int_equal(sg_cert_store(module, &msg, &objects, &error), SG_ERR_UNSUPPORTED);
		assert_non_null(strstr(error.message, "takes no certificate from its user"));
	}
	sg_blob_clear(&msg.der);
}

static void keep_cert(char *key, const struct sg_blob *der)
{
	struct sg_msg_cert_store msg = { .key = key, .label = TEXT("kept"), .der = *der };
	struct sg_msg_objects objects = { 0 };

	assert_int_equal(sg_cert_store(module, &msg, &objects, &error), 0);
	sg_layout_clear(&sg_layout_objects, &objects);
}

/* The very certificate goes, and no other; of another key it is not touched. */
static void test_a_certificate_leaves_the_token(void **state)
{
	char *ec = key_of(TEXT("w-ec"), TEXT("p256"));
	struct sg_msg_cert_discard msg = { .key = ec, .der = self_cert(ec) };
	struct sg_blob other = self_cert(ec);
	unsigned char nonsense[] = { 0x30, 0x03, 0x02, 0x01, 0x05 };
	size_t before = count_certs();

	keep_cert(ec, &msg.der);
	keep_cert(ec, &other);
	msg.key = key_of(TEXT("w-rsa"), TEXT("rsa2048"));
	assert_int_equal(sg_cert_discard(module, &msg, fresh_error()), SG_ERR_CERT_MISMATCH);
	msg.key = TEXT("no such key");
	assert_int_equal(sg_cert_discard(module, &msg, fresh_error()), SG_ERR_KEY_ABSENT);
	assert_int_equal(count_certs(), before + 2);
	msg.key = ec;
	assert_int_equal(sg_cert_discard(module, &msg, fresh_error()), 0);
	assert_int_equal(count_certs(), before + 1);
	assert_int_equal(sg_cert_discard(module, &msg, fresh_error()), 0);
	sg_blob_clear(&msg.der);
	msg.der = other;
	assert_int_equal(sg_cert_discard(module, &msg, fresh_error()), 0);
	assert_int_equal(count_certs(), before);
	msg.der = (struct sg_blob){ nonsense, sizeof(nonsense) };
	assert_int_equal(sg_cert_discard(module, &msg, fresh_error()), SG_ERR_FORMAT);
	sg_blob_clear(&other);
}

static void test_certificates_that_the_user_cannot_remove(void **state)
{
	static const CK_RV values[] = { CKR_USER_TYPE_INVALID, CKR_FUNCTION_NOT_SUPPORTED,
		CKR_ACTION_PROHIBITED };
	char *ec = key_of(TEXT("w-ec"), TEXT("p256"));
	struct sg_msg_cert_discard msg = { .key = ec, .der = self_cert(ec) };

	keep_cert(ec, &msg.der);
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		faults.no_objects = values[i];
		assert_int_equal(sg_cert_discard(module, &msg, fresh_error()), SG_ERR_UNSUPPORTED);
		assert_non_null(strstr(error.message, "lets its user remove no certificate"));
	}
	faults.no_objects = CKR_OK;
	assert_int_equal(sg_cert_discard(module, &msg, fresh_error()), 0);
	sg_blob_clear(&msg.der);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, module_start, module_stop)
	const struct CMUnitTest tests[] = {
		TEST(test_pinned_keys),
		TEST(test_rotated_key),
		TEST(test_what_is_not_on_the_token_is_not_there),
		TEST(test_public_half_from_a_certificate),
		TEST(test_wrong_certificate_beside_a_key),
		TEST(test_two_keys_with_one_identifier),
		TEST(test_candidates),
		TEST(test_many_candidates),
		TEST(test_key_generation_leaves_nothing),
		TEST(test_certificate_storing_leaves_nothing),
		TEST(test_keys_that_the_user_cannot_make),
		TEST(test_certificates_that_the_user_cannot_store),
		TEST(test_a_certificate_leaves_the_token),
		TEST(test_certificates_that_the_user_cannot_remove),
	};

	return cmocka_run_group_tests_name("token objects", tests, world_start, world_stop);
}
