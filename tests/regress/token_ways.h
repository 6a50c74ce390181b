/*
 * A real SoftHSM of which single functions are replaced: it lacks mechanisms or refuses them, hides what it has,
 * and fails after its work is done.
 */
#ifndef SG_TESTS_TOKEN_WAYS_H
#define SG_TESTS_TOKEN_WAYS_H

#include "token_module.h"

#include <pthread.h>

#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "cert.h"
#include "cross.h"
#include "issue.h"
#include "key.h"
#include "key_find.h"
#include "keygen.h"
#include "list.h"
#include "login.h"
#include "probe.h"
#include "sign.h"
#include "tls.h"
#include "token_find.h"

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
	CK_RV no_objects;  /* of all C_CreateObject, and all C_DestroyObject */
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

static CK_RV fake_destroy(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object)
{
	return faults.no_objects != CKR_OK ? faults.no_objects
					   : real->C_DestroyObject(session, object);
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

static MAYBE int module_start(void **state)
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
	fake.C_DestroyObject = fake_destroy;
	fake.C_GenerateKeyPair = fake_generate;
	return 0;
}

static MAYBE void unlock(char *token)
{
	struct sg_msg_token_login msg = { .token = token, .source = SG_PIN_FD };
	int fd = pipe_of(WORLD_PIN);

	sg_layout_clear(&sg_layout_error, &error);
	if (sg_login(module, &msg, fd, &error) != 0)
		fail_msg("%s", error.message);
	close(fd);
}

static MAYBE int try_generate(char *label, char *algorithm, struct sg_msg_objects *objects)
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
static MAYBE char *key_of(char *label, char *algorithm)
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

static MAYBE int verifies(
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
static MAYBE int try_sign(char *name, enum sg_sign_kind kind, enum sg_hash hash)
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

static MAYBE int try_probe(char *name, uint32_t *abilities)
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

#endif
