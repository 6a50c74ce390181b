/*
 * What SoftHSM never does by itself: PINs that run out, tokens that are pulled, devices that fail, modules
 * that lack a mechanism. Between our code and a real SoftHSM, single functions are replaced.
 */
#include "token_module.h"

#include <pthread.h>

#include <openssl/evp.h>

#include "cert.h"
#include "cross.h"
#include "issue.h"
#include "key_find.h"
#include "keygen.h"
#include "list.h"
#include "login.h"
#include "tls.h"
#include "token.h"
#include "x509.h"

/* What the fake functions do, and what they saw; all zero: nothing. */
static struct {
	CK_FLAGS flags;		    /* added to the token's */
	CK_FLAGS flags_after_login; /* added once a login was tried */
	int gone;
	CK_RV sign_fault;
	int sign_faults; /* how many calls fail */
	int flip;	 /* a bit of each signature */
	CK_MECHANISM_TYPE missing[3];
	int weak;	   /* says that keys are extractable */
	int refuse_derive; /* in a template */
	int raw_points;
	CK_RV login_fault;
	size_t session_max;
	atomic_int logins, logouts, signs, sessions, destroyed, pinless, context_logins;
} faults;

static CK_RV fake_slots(CK_BBOOL present, CK_SLOT_ID *slots, CK_ULONG *count)
{
	if (!faults.gone)
		return real->C_GetSlotList(present, slots, count);
	*count = 0;
	return CKR_OK;
}

static CK_RV fake_token_info(CK_SLOT_ID slot, CK_TOKEN_INFO *info)
{
	CK_RV rv = faults.gone ? CKR_TOKEN_NOT_PRESENT : real->C_GetTokenInfo(slot, info);

	if (rv == CKR_OK)
		info->flags |= faults.flags | (faults.logins ? faults.flags_after_login : 0);
	return rv;
}

static CK_RV fake_login(
    CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR *pin, CK_ULONG len)
{
	if (user == CKU_CONTEXT_SPECIFIC)
		faults.context_logins++;
	else
		faults.logins++;
	if (pin == NULL) {
		faults.pinless++;
		return real->C_Login(
		    session, user, (CK_UTF8CHAR[]){ WORLD_PIN }, strlen(WORLD_PIN));
	}
	return faults.login_fault ? faults.login_fault : real->C_Login(session, user, pin, len);
}

static CK_RV fake_logout(CK_SESSION_HANDLE session)
{
	faults.logouts++;
	return real->C_Logout(session);
}

static CK_RV fake_sign(
    CK_SESSION_HANDLE session, CK_BYTE *data, CK_ULONG len, CK_BYTE *value, CK_ULONG *value_len)
{
	CK_RV rv;

	faults.signs++;
	if (faults.sign_faults > 0) {
		faults.sign_faults--;
		if (faults.sign_fault == CKR_USER_NOT_LOGGED_IN)
			real->C_Logout(session);
		return faults.sign_fault;
	}
	rv = real->C_Sign(session, data, len, value, value_len);
	if (rv == CKR_OK && faults.flip)
		value[*value_len / 2] ^= 1;
	return rv;
}

static CK_RV fake_mechanism(CK_SLOT_ID slot, CK_MECHANISM_TYPE type, CK_MECHANISM_INFO *info)
{
	if (type == faults.missing[0] || type == faults.missing[1] || type == faults.missing[2])
		return CKR_MECHANISM_INVALID;
	return real->C_GetMechanismInfo(slot, type, info);
}

static CK_RV fake_open(
    CK_SLOT_ID slot, CK_FLAGS flags, void *arg, CK_NOTIFY notify, CK_SESSION_HANDLE *session)
{
	CK_RV rv;

	if (faults.gone)
		return CKR_TOKEN_NOT_PRESENT;
	if (faults.session_max && (size_t)faults.sessions >= faults.session_max)
		return CKR_SESSION_COUNT;
	rv = real->C_OpenSession(slot, flags, arg, notify, session);
	if (rv == CKR_OK)
		faults.sessions++;
	return rv;
}

static CK_RV fake_close(CK_SESSION_HANDLE session)
{
	faults.sessions--;
	return real->C_CloseSession(session);
}

static CK_RV fake_attributes(
    CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *at, CK_ULONG count)
{
	CK_RV rv = real->C_GetAttributeValue(session, object, at, count);
	CK_ULONG i;

	for (i = 0; i < count && rv == CKR_OK; i++) {
		if (at[i].type == CKA_EXTRACTABLE && faults.weak && at[i].pValue != NULL)
			*(CK_BBOOL *)at[i].pValue = CK_TRUE;
		if (at[i].type == CKA_EC_POINT && faults.raw_points && at[i].ulValueLen == 67) {
			if (at[i].pValue != NULL)
				memmove(at[i].pValue, (char *)at[i].pValue + 2, 65);
			at[i].ulValueLen = 65;
		}
	}
	return rv;
}

static CK_RV fake_generate(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_ATTRIBUTE *public,
    CK_ULONG public_count, CK_ATTRIBUTE *private, CK_ULONG private_count,
    CK_OBJECT_HANDLE *public_handle, CK_OBJECT_HANDLE *private_handle)
{
	CK_ULONG i;

	for (i = 0; faults.refuse_derive && i < private_count; i++) {
		if (private[i].type == CKA_DERIVE)
			return CKR_TEMPLATE_INCONSISTENT;
	}
	return real->C_GenerateKeyPair(session, mechanism, public, public_count, private,
	    private_count, public_handle, private_handle);
}

static CK_RV fake_destroy(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object)
{
	faults.destroyed++;
	return real->C_DestroyObject(session, object);
}

static int module_start(void **state)
{
	memset(&faults, 0, sizeof(faults));
	faults.missing[0] = faults.missing[1] = faults.missing[2] = CK_UNAVAILABLE_INFORMATION;
	module_open();
	fake.C_GetSlotList = fake_slots;
	fake.C_GetTokenInfo = fake_token_info;
	fake.C_Login = fake_login;
	fake.C_Logout = fake_logout;
	fake.C_Sign = fake_sign;
	fake.C_GetMechanismInfo = fake_mechanism;
	fake.C_OpenSession = fake_open;
	fake.C_CloseSession = fake_close;
	fake.C_GetAttributeValue = fake_attributes;
	fake.C_GenerateKeyPair = fake_generate;
	fake.C_DestroyObject = fake_destroy;
	return 0;
}

static int try_login(const char *pin, uint32_t source)
{
	struct sg_msg_token_login msg = { .token = TEXT("alpha"), .source = source };
	int fd = pin != NULL ? pipe_of(pin) : -1;
	int err;

	sg_layout_clear(&sg_layout_error, &error);
	err = sg_login(module, &msg, fd, &error);
	if (fd >= 0)
		close(fd);
	return err;
}

static void unlock(void)
{
	if (try_login(WORLD_PIN, SG_PIN_FD) < 0)
		fail_msg("%s", error.message);
}

static int try_csr(char *key)
{
	struct sg_msg_csr_make msg = { .key = key, .jid = TEXT("juliet@example.com") };
	struct sg_blob der = { 0 };
	int err;

	sg_layout_clear(&sg_layout_error, &error);
	err = sg_csr_make(module, &msg, &der, &error);
	assert_true((err == 0) == (der.len > 0));
	sg_blob_clear(&der);
	return err;
}

static int try_generate(char *label, char *algorithm)
{
	struct sg_msg_key_generate msg = {
		.token = TEXT("alpha"), .label = label, .algorithm = algorithm
	};
	struct sg_msg_objects objects = { 0 };
	int err;

	sg_layout_clear(&sg_layout_error, &error);
	err = sg_key_generate(module, &msg, &objects, &error);
	sg_layout_clear(&sg_layout_objects, &objects);
	return err;
}

/* The key is made once, and serves all tests. */
static char *key_of(char *label, char *algorithm)
{
	int err;

	unlock();
	err = try_generate(label, algorithm);
	assert_true(err == 0 || err == SG_ERR_ARG);
	sg_layout_clear(&sg_layout_error, &error);
	return label;
}

/* ---- PINs ---- */

static void test_locked_pin_is_not_tried(void **state)
{
	faults.flags = CKF_USER_PIN_LOCKED;
	assert_int_equal(try_login(WORLD_PIN, SG_PIN_FD), SG_ERR_PIN_LOCKED);
	assert_int_equal(error.tries_left, 0);
	assert_int_equal(faults.logins, 0);
}

static void test_last_try_wants_a_person(void **state)
{
	faults.flags = CKF_USER_PIN_FINAL_TRY;
	assert_int_equal(try_login(WORLD_PIN, SG_PIN_FD), SG_ERR_DENIED);
	assert_int_equal(error.tries_left, 1);
	assert_int_equal(faults.logins, 0);
}

static void test_tries_left(void **state)
{
	faults.flags_after_login = CKF_USER_PIN_FINAL_TRY;
	assert_int_equal(try_login("wrong", SG_PIN_FD), SG_ERR_PIN_WRONG);
	assert_int_equal(error.tries_left, 1);
	assert_int_equal(faults.logins, 1);
	faults.logins = 0;
	faults.flags_after_login = CKF_USER_PIN_LOCKED;
	assert_int_equal(try_login("wrong", SG_PIN_FD), SG_ERR_PIN_WRONG);
	assert_int_equal(error.tries_left, 0);
	assert_int_equal(faults.logins, 1);
}

static void test_pin_errors(void **state)
{
	static const struct {
		CK_RV rv;
		int err;
	} table[] = {
		{ CKR_PIN_LEN_RANGE, SG_ERR_PIN_WRONG },
		{ CKR_PIN_INVALID, SG_ERR_PIN_WRONG },
		{ CKR_PIN_LOCKED, SG_ERR_PIN_LOCKED },
		{ CKR_DEVICE_REMOVED, SG_ERR_TOKEN_ABSENT },
		{ CKR_DEVICE_ERROR, SG_ERR_TOKEN_FAILED },
		{ CKR_VENDOR_DEFINED + 7, SG_ERR_TOKEN_FAILED },
	};
	size_t i;

	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		faults.login_fault = table[i].rv;
		faults.logins = 0;
		assert_int_equal(try_login(WORLD_PIN, SG_PIN_FD), table[i].err);
		assert_int_equal(faults.logins, 1); /* whatever it was: one try */
	}
	faults.login_fault = 0;
	unlock();
}

static void test_login_of_somebody_else(void **state)
{
	faults.login_fault = CKR_USER_ALREADY_LOGGED_IN;
	assert_int_equal(try_login(WORLD_PIN, SG_PIN_FD), SG_ERR_TOKEN_FAILED);
	assert_int_equal(faults.logouts, 1);
	faults.login_fault = 0;
	unlock();
}

static void test_pin_pad(void **state)
{
	faults.flags = CKF_PROTECTED_AUTHENTICATION_PATH;
	assert_int_equal(try_login(NULL, SG_PIN_FD), 0);
	assert_int_equal(faults.pinless, 1);
}

/* ---- failures of the device ---- */

static void test_one_failure_is_cured(void **state)
{
	static const CK_RV curable[] = { CKR_GENERAL_ERROR, CKR_DEVICE_ERROR, CKR_OPERATION_ACTIVE,
		CKR_SESSION_HANDLE_INVALID, CKR_KEY_HANDLE_INVALID };
	char *key = key_of(TEXT("cured"), TEXT("p256"));
	size_t i;

	for (i = 0; i < sizeof(curable) / sizeof(curable[0]); i++) {
		faults.sign_fault = curable[i];
		faults.sign_faults = 1;
		faults.signs = 0;
		if (try_csr(key) != 0)
			fail_msg("0x%lx: %s", curable[i], error.message);
		assert_int_equal(faults.signs, 2);
	}
	/* DEVICE_ERROR is all that some say after they were pulled out: it costs a login. */
	assert_int_equal(faults.logins, 2);
}

static void test_two_failures_are_reported(void **state)
{
	char *key = key_of(TEXT("cured"), TEXT("p256"));

	faults.sign_fault = CKR_DEVICE_ERROR;
	faults.sign_faults = 100;
	assert_int_equal(try_csr(key), SG_ERR_TOKEN_FAILED);
	assert_int_equal(faults.signs, 2);
	assert_non_null(strstr(error.message, "CKR_DEVICE_ERROR"));
	assert_non_null(strstr(error.message, "alpha"));
	/* Then from scratch: locked, and nobody logs in behind the person's back. */
	faults.sign_faults = 0;
	assert_int_equal(try_csr(key), SG_ERR_PIN_NEEDED);
	assert_int_equal(faults.logins, 2);
	unlock();
	assert_int_equal(try_csr(key), 0);
}

static void test_other_failures_are_not_tried_again(void **state)
{
	char *key = key_of(TEXT("cured"), TEXT("p256"));

	faults.sign_fault = CKR_FUNCTION_FAILED;
	faults.sign_faults = 1;
	assert_int_equal(try_csr(key), SG_ERR_TOKEN_FAILED);
	assert_int_equal(faults.signs, 1);
	assert_int_equal(try_csr(key), 0);
}

/* Somebody logs us out: the PIN that is held serves once, and is not tried again when it is refused. */
static void test_lost_login_is_made_again(void **state)
{
	char *key = key_of(TEXT("cured"), TEXT("p256"));

	faults.sign_fault = CKR_USER_NOT_LOGGED_IN;
	faults.sign_faults = 1;
	assert_int_equal(try_csr(key), 0);
	assert_int_equal(faults.logins, 2);
	faults.sign_faults = 1;
	faults.login_fault = CKR_PIN_INCORRECT;
	assert_int_equal(try_csr(key), SG_ERR_PIN_NEEDED);
	assert_int_equal(faults.logins, 3);
	faults.login_fault = 0;
	assert_int_equal(try_csr(key), SG_ERR_PIN_NEEDED);
	assert_int_equal(faults.logins, 3);
	unlock();
	assert_int_equal(try_csr(key), 0);
}

/* Without a person, the last try is not made. */
static void test_lost_login_spares_the_last_try(void **state)
{
	char *key = key_of(TEXT("cured"), TEXT("p256"));

	faults.flags = CKF_USER_PIN_FINAL_TRY;
	faults.sign_fault = CKR_USER_NOT_LOGGED_IN;
	faults.sign_faults = 1;
	assert_int_equal(try_csr(key), SG_ERR_PIN_NEEDED);
	assert_int_equal(faults.logins, 1);
	faults.flags = 0;
	assert_int_equal(try_csr(key), SG_ERR_PIN_NEEDED);
	assert_int_equal(faults.logins, 1);
}

static void test_lost_login_is_made_again_with_a_held_pin(void **state)
{
	assert_int_equal(
	    RUN("pkcs11-tool", "--module", world_module, "--token-label", "alpha", "--login",
		"--pin", "env:SIGNET_TEST_PIN", "--keypairgen", "--key-type", "EC:prime256v1",
		"--label", "careful", "--id", "99", "--always-auth"),
	    0);
	/* The module of this process has its own view of the files: seen at the next search. */
	unlock();
	assert_int_equal(try_csr(TEXT("careful")), 0);
	assert_int_equal(faults.context_logins, 1);
	faults.sign_fault = CKR_DEVICE_REMOVED;
	faults.sign_faults = 1;
	assert_int_equal(try_csr(TEXT("careful")), 0);
	assert_int_equal(faults.logins, 2);
	assert_int_equal(faults.context_logins, 3);
	/* A PIN that fails is never played again. */
	faults.login_fault = CKR_PIN_INCORRECT;
	faults.logins = faults.context_logins = 0;
	assert_int_equal(try_csr(TEXT("careful")), SG_ERR_PIN_WRONG);
	assert_non_null(strstr(error.message, "C_Login gave CKR_PIN_INCORRECT"));
	assert_true(faults.logouts > 0); /* locked, for all keys */
	assert_int_equal(try_csr(TEXT("careful")), SG_ERR_PIN_NEEDED);
	assert_non_null(strstr(error.message, "is locked"));
	assert_int_equal(faults.logins + faults.context_logins, 1);
	faults.login_fault = CKR_OK;
	unlock();
	assert_int_equal(try_csr(TEXT("careful")), 0);
	/* One try is left: it is not made, and the token is locked, too. */
	faults.flags = CKF_USER_PIN_FINAL_TRY;
	faults.logins = faults.context_logins = faults.logouts = 0;
	assert_int_equal(try_csr(TEXT("careful")), SG_ERR_PIN_NEEDED);
	assert_int_equal(faults.logins + faults.context_logins, 0);
	assert_int_equal(faults.logouts, 1);
	faults.flags = 0;
	assert_int_equal(try_csr(TEXT("careful")), SG_ERR_PIN_NEEDED);
	assert_int_equal(RUN("pkcs11-tool", "--module", world_module, "--token-label", "alpha",
			     "--login", "--pin", "env:SIGNET_TEST_PIN", "--delete-object", "--type",
			     "privkey", "--label", "careful"),
	    0);
}

static void test_token_pulled_and_back(void **state)
{
	char *key = key_of(TEXT("cured"), TEXT("p256"));
	struct sg_msg_tokens tokens = { 0 };

	assert_int_equal(try_csr(key), 0);
	faults.gone = 1;
	faults.sign_fault = CKR_DEVICE_REMOVED;
	faults.sign_faults = 100;
	assert_int_equal(try_csr(key), SG_ERR_TOKEN_ABSENT);
	assert_int_equal(try_csr(key), SG_ERR_KEY_ABSENT);
	assert_int_equal(try_login(WORLD_PIN, SG_PIN_FD), SG_ERR_TOKEN_ABSENT);
	assert_int_equal(sg_token_list(module, &tokens, &error), 0);
	assert_int_equal(tokens.token_count, 0);
	sg_layout_clear(&sg_layout_tokens, &tokens);
	faults.gone = 0;
	faults.sign_faults = 0;
	assert_int_equal(try_csr(key), SG_ERR_PIN_NEEDED);
	unlock();
	assert_int_equal(try_csr(key), 0);
}

static void test_wrong_signature_is_not_given_out(void **state)
{
	char *key = key_of(TEXT("wrong"), TEXT("rsa2048"));

	faults.flip = 1;
	assert_int_equal(try_csr(key), SG_ERR_TOKEN_FAILED);
	assert_non_null(strstr(error.message, "does not verify"));
}

/* ---- what a module lacks ---- */

static void test_sha1_and_sha256_mechanisms_alone(void **state)
{
	struct sg_msg_cross_sign msg = {
		.kind = SG_SUBJECT_PGP, .sha1 = 1, .subject = { (unsigned char[20]){ 1, 2, 3 }, 20 }
	};
	static const char *const hashes[] = { "SHA1", "SHA256" };
	struct sg_msg_signatures answer = { 0 };
	struct sg_key *key;
	EVP_MD_CTX *ctx;
	uint32_t i;

	faults.missing[0] = CKM_RSA_PKCS;
	msg.key = key_of(TEXT("wrong"), TEXT("rsa2048"));
	assert_int_equal(sg_cross_sign(module, &msg, &answer, &error), 0);
	assert_int_equal(answer.signature_count, 2);
	assert_int_equal(sg_key_find(module, msg.key, NULL, &key, &error), 0);
	for (i = 0; i < 2; i++) {
		ctx = EVP_MD_CTX_new();
		assert_int_equal(
		    EVP_DigestVerifyInit_ex(ctx, NULL, hashes[i], NULL, NULL, key->public, NULL),
		    1);
		assert_int_equal(EVP_DigestVerify(ctx, answer.signatures[i].value.data,
				     answer.signatures[i].value.len, msg.subject.data, 20),
		    1);
		EVP_MD_CTX_free(ctx);
		free(answer.signatures[i].method);
		sg_blob_clear(&answer.signatures[i].value);
	}
	free(answer.signatures);
	sg_key_unref(key);
}

static void test_missing_mechanism_is_named(void **state)
{
	unsigned char tbs[64 + 34 + 32];
	struct sg_msg_tls_sign msg = { .scheme = 0x0804, .tbs = { tbs, sizeof(tbs) } };
	struct sg_blob value = { 0 };

	memset(tbs, 0x20, 64);
	memcpy(tbs + 64, "TLS 1.3, client CertificateVerify", 34);
	faults.missing[0] = CKM_RSA_PKCS_PSS;
	faults.missing[1] = CKM_EC_KEY_PAIR_GEN;
	faults.missing[2] = CKM_SHA256_RSA_PKCS_PSS;
	msg.key = key_of(TEXT("wrong"), TEXT("rsa2048"));
	assert_int_equal(sg_tls_sign(module, &msg, &value, &error), SG_ERR_MECHANISM);
	assert_non_null(strstr(error.message, "has no CKM_RSA_PKCS_PSS"));
	assert_non_null(strstr(error.message, "has no CKM_SHA256_RSA_PKCS_PSS"));
	assert_int_equal(try_generate(TEXT("none"), TEXT("p256")), SG_ERR_MECHANISM);
	assert_non_null(strstr(error.message, "CKM_EC_KEY_PAIR_GEN"));
}

static size_t keys_with(char *label)
{
	struct sg_msg_object_list msg = { .selector = label };
	struct sg_msg_objects objects = { 0 };
	size_t count;

	assert_int_equal(sg_object_list(module, &msg, &objects, &error), 0);
	count = objects.key_count;
	sg_layout_clear(&sg_layout_objects, &objects);
	return count;
}

static void test_extractable_key_is_removed(void **state)
{
	unlock();
	faults.weak = 1;
	assert_int_equal(try_generate(TEXT("weak"), TEXT("p256")), SG_ERR_TOKEN_FAILED);
	assert_non_null(strstr(error.message, "extractable"));
	assert_int_equal(faults.destroyed, 2);
	faults.weak = 0;
	assert_int_equal(keys_with(TEXT("weak")), 0);
	assert_int_equal(try_generate(TEXT("weak"), TEXT("p256")), 0);
	assert_int_equal(keys_with(TEXT("weak")), 1);
}

static void test_narrow_template_is_given_up(void **state)
{
	unlock();
	faults.refuse_derive = 1;
	assert_int_equal(try_generate(TEXT("plain"), TEXT("p384")), 0);
}

static void test_raw_points(void **state)
{
	char *key = key_of(TEXT("cured"), TEXT("p256"));

	faults.raw_points = 1;
	assert_int_equal(try_csr(key), 0);
}

/* ---- few sessions ---- */

static void *sign_often(void *arg)
{
	struct sg_msg_csr_make msg = { .key = arg, .jid = TEXT("juliet@example.com") };
	struct sg_msg_error own = { 0 };
	struct sg_blob der = { 0 };
	intptr_t failed = 0;
	int i;

	for (i = 0; i < 20; i++) {
		failed += sg_csr_make(module, &msg, &der, &own) != 0;
		sg_blob_clear(&der);
		sg_layout_clear(&sg_layout_error, &own);
	}
	return (void *)failed;
}

static void test_few_sessions(void **state)
{
	char *key = key_of(TEXT("cured"), TEXT("p256"));
	pthread_t threads[4];
	void *failed;
	size_t i;

	faults.session_max = 2; /* one keeps the login, one works */
	for (i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, sign_often, key), 0);
	for (i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(threads[i], &failed), 0);
		assert_null(failed);
	}
	assert_true(faults.sessions <= 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, module_start, module_stop)
	const struct CMUnitTest tests[] = {
		TEST(test_locked_pin_is_not_tried),
		TEST(test_last_try_wants_a_person),
		TEST(test_tries_left),
		TEST(test_pin_errors),
		TEST(test_login_of_somebody_else),
		TEST(test_pin_pad),
		TEST(test_one_failure_is_cured),
		TEST(test_two_failures_are_reported),
		TEST(test_other_failures_are_not_tried_again),
		TEST(test_lost_login_is_made_again),
		TEST(test_lost_login_spares_the_last_try),
		TEST(test_lost_login_is_made_again_with_a_held_pin),
		TEST(test_token_pulled_and_back),
		TEST(test_wrong_signature_is_not_given_out),
		TEST(test_sha1_and_sha256_mechanisms_alone),
		TEST(test_missing_mechanism_is_named),
		TEST(test_extractable_key_is_removed),
		TEST(test_narrow_template_is_given_up),
		TEST(test_raw_points),
		TEST(test_few_sessions),
	};

	return cmocka_run_group_tests_name("token faults", tests, world_start, world_stop);
}
