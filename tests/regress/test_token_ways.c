/*
 * Tokens that lack mechanisms, refuse them, or hold other keys than before: on a real SoftHSM of which single
 * functions are replaced. Signatures are verified by OpenSSL.
 */
#include "token_module.h"

#include <pthread.h>

#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "cross.h"
#include "find.h"
#include "issue.h"
#include "key.h"
#include "keygen.h"
#include "list.h"
#include "login.h"
#include "probe.h"
#include "sign.h"
#include "store.h"
#include "tls.h"

#define JID "juliet@example.com"

/* What the fake functions do, and what they saw; all zero: nothing. */
static struct {
	CK_MECHANISM_TYPE missing[8];	   /* not in the token's list */
	CK_MECHANISM_TYPE refused_init[8]; /* by C_SignInit */
	CK_MECHANISM_TYPE refused_sign[8]; /* by C_Sign */
	CK_RV refusal;
	CK_MECHANISM_TYPE tried[16]; /* by C_SignInit */
	size_t tried_count;
	CK_MECHANISM_TYPE current;
	int may_not_sign;				/* says CKA_SIGN is false */
	int not_on_token;				/* says CKA_TOKEN is false */
	int hide_points;				/* public EC keys do not show their point */
	int slow_ms;					/* of each signature */
	int flip;					/* a bit of each signature */
	CK_RV sign_fault;				/* of the next C_Sign */
	CK_RV create_fault, generate_fault, read_fault; /* after it was done */
	int lose_sessions;				/* with them */
	CK_RV no_keygen;   /* of all C_GenerateKeyPair, which do nothing */
	CK_RV info_fault;  /* of all C_GetMechanismInfo */
	CK_RV no_objects;  /* of all C_CreateObject */
	int one_at_a_time; /* a second operation at once is refused */
	atomic_int working, refused_busy;
	size_t signs;
} faults;

static int is_in(const CK_MECHANISM_TYPE *list, CK_MECHANISM_TYPE type)
{
	size_t i;

	for (i = 0; i < 8; i++) {
		if (list[i] == type)
			return 1;
	}
	return 0;
}

static CK_RV fake_mechanism(CK_SLOT_ID slot, CK_MECHANISM_TYPE type, CK_MECHANISM_INFO *info)
{
	if (is_in(faults.missing, type))
		return CKR_MECHANISM_INVALID;
	if (faults.info_fault != CKR_OK)
		return faults.info_fault;
	/* SoftHSM has no ECDSA that hashes: it is said to, and its C_SignInit made to. */
	if (type == CKM_ECDSA_SHA256)
		type = CKM_ECDSA;
	return real->C_GetMechanismInfo(slot, type, info);
}

static CK_RV fake_sign_init(
    CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
	CK_MECHANISM raw = { CKM_ECDSA, NULL, 0 };

	if (faults.one_at_a_time) {
		if (atomic_exchange(&faults.working, 1)) {
			faults.refused_busy++;
			return CKR_OPERATION_ACTIVE;
		}
		return real->C_SignInit(session, mechanism, key);
	}
	assert_true(faults.tried_count < 16);
	faults.tried[faults.tried_count++] = mechanism->mechanism;
	faults.current = mechanism->mechanism;
	if (is_in(faults.missing, mechanism->mechanism) ||
	    is_in(faults.refused_init, mechanism->mechanism))
		return faults.refusal;
	return real->C_SignInit(
	    session, mechanism->mechanism == CKM_ECDSA_SHA256 ? &raw : mechanism, key);
}

static CK_RV fake_sign(
    CK_SESSION_HANDLE session, CK_BYTE *data, CK_ULONG len, CK_BYTE *value, CK_ULONG *value_len)
{
	struct timespec nap = { faults.slow_ms / 1000, faults.slow_ms % 1000 * 1000000L };
	unsigned char digest[32];
	CK_RV rv;

	nanosleep(&nap, NULL);
	if (faults.one_at_a_time) {
		rv = real->C_Sign(session, data, len, value, value_len);
		faults.working = 0;
		return rv;
	}
	faults.signs++;
	if (faults.current == CKM_ECDSA_SHA256) {
		assert_int_equal(EVP_Q_digest(NULL, "SHA256", NULL, data, len, digest, NULL), 1);
		data = digest;
		len = sizeof(digest);
	}
	rv = real->C_Sign(session, data, len, value, value_len);
	if (faults.sign_fault != CKR_OK) {
		rv = faults.sign_fault;
		faults.sign_fault = CKR_OK;
		return rv;
	}
	if (is_in(faults.refused_sign, faults.current))
		return faults.refusal;
	if (rv == CKR_OK && faults.flip)
		value[*value_len / 2] ^= 1;
	return rv;
}

static CK_RV fake_attributes(
    CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *at, CK_ULONG count)
{
	CK_RV rv = real->C_GetAttributeValue(session, object, at, count);
	CK_ULONG i;

	for (i = 0; i < count && (rv == CKR_OK || rv == CKR_ATTRIBUTE_TYPE_INVALID); i++) {
		if (at[i].type == CKA_SIGN && faults.may_not_sign && at[i].pValue != NULL)
			*(CK_BBOOL *)at[i].pValue = CK_FALSE;
		if (at[i].type == CKA_TOKEN && faults.not_on_token && at[i].pValue != NULL)
			*(CK_BBOOL *)at[i].pValue = CK_FALSE;
		if (at[i].type == CKA_EC_POINT && faults.hide_points)
			at[i].ulValueLen = CK_UNAVAILABLE_INFORMATION;
	}
	if (rv == CKR_OK && count == 2 && faults.read_fault != CKR_OK && at[0].pValue == NULL &&
	    at[0].type == CKA_SENSITIVE) {
		rv = faults.read_fault;
		faults.read_fault = CKR_OK;
	}
	return rv;
}

static CK_RV after(CK_RV rv, CK_RV *fault)
{
	CK_RV given = *fault;
	struct sg_token *token = module->tokens[0];

	if (rv != CKR_OK || given == CKR_OK)
		return rv;
	*fault = CKR_OK;
	if (faults.lose_sessions)
		real->C_CloseAllSessions(token->slot);
	return given;
}

static CK_RV fake_create(
    CK_SESSION_HANDLE session, CK_ATTRIBUTE *template, CK_ULONG count, CK_OBJECT_HANDLE *object)
{
	if (faults.no_objects != CKR_OK)
		return faults.no_objects;
	return after(real->C_CreateObject(session, template, count, object), &faults.create_fault);
}

static CK_RV fake_generate(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_ATTRIBUTE *public,
    CK_ULONG public_count, CK_ATTRIBUTE *private, CK_ULONG private_count,
    CK_OBJECT_HANDLE *public_handle, CK_OBJECT_HANDLE *private_handle)
{
	if (faults.no_keygen != CKR_OK)
		return faults.no_keygen;
	return after(real->C_GenerateKeyPair(session, mechanism, public, public_count, private,
			 private_count, public_handle, private_handle),
	    &faults.generate_fault);
}

static int module_start(void **state)
{
	size_t i;

	memset(&faults, 0, sizeof(faults));
	faults.refusal = CKR_MECHANISM_INVALID;
	for (i = 0; i < 8; i++)
		faults.missing[i] = faults.refused_init[i] = faults.refused_sign[i] =
		    CK_UNAVAILABLE_INFORMATION;
	module_open();
	fake.C_GetMechanismInfo = fake_mechanism;
	fake.C_SignInit = fake_sign_init;
	fake.C_Sign = fake_sign;
	fake.C_GetAttributeValue = fake_attributes;
	fake.C_CreateObject = fake_create;
	fake.C_GenerateKeyPair = fake_generate;
	return 0;
}

static void unlock(char *token)
{
	struct sg_msg_token_login msg = { .token = token, .source = SG_PIN_FD };
	int fd = pipe_of(WORLD_PIN);

	sg_layout_clear(&sg_layout_error, &error);
	if (sg_login(module, &msg, fd, &error) != 0)
		fail_msg("%s", error.message);
	close(fd);
}

static int try_generate(char *label, char *algorithm, struct sg_msg_objects *objects)
{
	struct sg_msg_key_generate msg = {
		.token = TEXT("alpha"), .label = label, .algorithm = algorithm
	};
	struct sg_msg_objects own = { 0 };
	int err;

	sg_layout_clear(&sg_layout_error, &error);
	err = sg_key_generate(module, &msg, &own, &error);
	if (objects != NULL)
		*objects = own;
	else
		sg_layout_clear(&sg_layout_objects, &own);
	return err;
}

/* The key is made once, and serves all tests. */
static char *key_of(char *label, char *algorithm)
{
	int err;

	unlock(TEXT("alpha"));
	err = try_generate(label, algorithm, NULL);
	if (err != 0 && err != SG_ERR_ARG)
		fail_msg("%s", error.message);
	sg_layout_clear(&sg_layout_error, &error);
	faults.tried_count = faults.signs = 0;
	return label;
}

static int verifies(
    struct sg_key *key, const struct sg_sign_how *how, struct sg_blob *data, struct sg_blob *value)
{
	static const char *const names[] = { "SHA1", "SHA256", "SHA384", "SHA512" };
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *pctx;
	int good;

	good = EVP_DigestVerifyInit_ex(ctx, &pctx, names[how->hash], NULL, NULL, key->public, NULL);
	if (how->kind == SG_SIGN_RSA_PSS)
		good = good == 1 &&
		    EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING) == 1 &&
		    EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, RSA_PSS_SALTLEN_DIGEST) == 1;
	good =
	    good == 1 && EVP_DigestVerify(ctx, value->data, value->len, data->data, data->len) == 1;
	EVP_MD_CTX_free(ctx);
	return good;
}

/* Signs, and verifies what comes. */
static int try_sign(char *name, enum sg_sign_kind kind, enum sg_hash hash)
{
	const struct sg_sign_how how = { kind, hash };
	struct sg_blob data = { (unsigned char[]){ "some data" }, 9 }, value = { 0 };
	struct sg_key *key = NULL;
	int err;

	sg_layout_clear(&sg_layout_error, &error);
	assert_int_equal(sg_key_find(module, name, NULL, &key, &error), 0);
	err = sg_sign(key, &how, &data, &value, &error);
	if (err == 0)
		assert_true(verifies(key, &how, &data, &value));
	sg_blob_clear(&value);
	sg_key_unref(key);
	return err;
}

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

/* ---- probes ---- */

static int try_probe(char *name, uint32_t *abilities)
{
	struct sg_msg_key_probe msg = { .key = name };
	struct sg_msg_objects objects = { 0 };
	int err;

	sg_layout_clear(&sg_layout_error, &error);
	faults.signs = faults.tried_count = 0;
	err = sg_key_probe(module, &msg, &objects, &error);
	*abilities = err == 0 ? objects.keys[0].abilities & 0xff : 0;
	if (err == 0)
		assert_int_equal(objects.key_count, 1);
	sg_layout_clear(&sg_layout_objects, &objects);
	return err;
}

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

	faults.slow_ms = SG_PROBE_SLOW_MS + 20;
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

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, module_start, module_stop)
	const struct CMUnitTest tests[] = {
		TEST(test_refused_mechanisms_lead_to_the_next),
		TEST(test_missing_mechanisms_are_not_tried),
		TEST(test_list_of_mechanisms_that_fails),
		TEST(test_nothing_left_names_what_is_missing),
		TEST(test_a_failure_is_no_refusal),
		TEST(test_module_that_signs_one_at_a_time),
		TEST(test_key_that_may_not_sign),
		TEST(test_always_authenticate_on_the_second_way),
		TEST(test_pinned_keys),
		TEST(test_rotated_key),
		TEST(test_probe),
		TEST(test_probe_of_a_slow_token),
		TEST(test_probes_that_fail),
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
	};

	return cmocka_run_group_tests_name("token ways", tests, world_start, world_stop);
}
