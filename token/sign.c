#include "sign.h"

#include <string.h>

#include "ckr.h"
#include "find.h"
#include "login.h"
#include "object.h"
#include "session.h"

#define VALUE_MAX 2048 /* bytes of a signature: RSA of 16,384 bits */

struct job {
	const struct sg_key *key;
	CK_MECHANISM mechanism;
	CK_RSA_PKCS_PSS_PARAMS pss;
	const unsigned char *input;
	size_t input_len;
	unsigned char prepared[SG_DIGESTINFO_MAX];
	unsigned char value[VALUE_MAX];
	CK_ULONG value_len;
	int found_again;
	int pin_missing; /* the key wants the PIN each time, and it is not held */
};

int sg_sign_how_sha256(
    const struct sg_key *key, struct sg_sign_how *how, struct sg_msg_error *error)
{
	how->hash = SG_HASH_SHA256;
	if (key->type == CKK_RSA) {
		how->kind = SG_SIGN_RSA_PKCS1;
		return 0;
	}
	if (key->type == CKK_EC && key->order_size > 0) {
		how->kind = SG_SIGN_ECDSA;
		return 0;
	}
	sg_msg_error_set(error, SG_ERR_MECHANISM, key->info.uri,
	    "this type of key signs nothing here (RSA and EC keys do)");
	return SG_ERR_MECHANISM;
}

static int missing(const struct sg_key *key, const char *mechanism, struct sg_msg_error *error)
{
	sg_msg_error_set(error, SG_ERR_MECHANISM, key->info.uri,
	    "token '%s' has no %s for this key", key->token->label, mechanism);
	return SG_ERR_MECHANISM;
}

/* The token hashes itself: it gets the data. */
static int prepare_whole(struct job *job, CK_MECHANISM_TYPE mechanism, const struct sg_blob *data)
{
	job->mechanism.mechanism = mechanism;
	job->input = data->data;
	job->input_len = data->len;
	return 0;
}

static int prepare_pkcs1(
    struct job *job, enum sg_hash hash, const struct sg_blob *data, struct sg_msg_error *error)
{
	uint32_t abilities = job->key->info.abilities;
	unsigned char digest[SG_DIGEST_MAX];
	int err;

	if (abilities & SG_KEY_RSA_PKCS1) {
		err = sg_hash_data(hash, data, digest);
		job->mechanism.mechanism = CKM_RSA_PKCS;
		job->input_len = sg_digestinfo(hash, digest, job->prepared);
		job->input = job->prepared;
		return err;
	}
	if (hash == SG_HASH_SHA1 && (abilities & SG_KEY_RSA_PKCS1_SHA1))
		return prepare_whole(job, CKM_SHA1_RSA_PKCS, data);
	if (hash == SG_HASH_SHA256 && (abilities & SG_KEY_RSA_PKCS1_SHA256))
		return prepare_whole(job, CKM_SHA256_RSA_PKCS, data);
	return missing(job->key, "CKM_RSA_PKCS", error);
}

static int prepare_pss(
    struct job *job, enum sg_hash hash, const struct sg_blob *data, struct sg_msg_error *error)
{
	static const struct {
		CK_MECHANISM_TYPE hash;
		CK_ULONG mgf;
	} table[] = {
		[SG_HASH_SHA256] = { CKM_SHA256, CKG_MGF1_SHA256 },
		[SG_HASH_SHA384] = { CKM_SHA384, CKG_MGF1_SHA384 },
		[SG_HASH_SHA512] = { CKM_SHA512, CKG_MGF1_SHA512 },
	};

	if (hash == SG_HASH_SHA1)
		return SG_ERR_ARG;
	/* Never as raw RSA with our own padding: many HSMs have no CKM_RSA_X_509. */
	if (!(job->key->info.abilities & SG_KEY_RSA_PSS))
		return missing(job->key, "CKM_RSA_PKCS_PSS", error);
	job->pss.hashAlg = table[hash].hash;
	job->pss.mgf = table[hash].mgf;
	job->pss.sLen = sg_hash_size(hash);
	job->mechanism.mechanism = CKM_RSA_PKCS_PSS;
	job->mechanism.pParameter = &job->pss;
	job->mechanism.ulParameterLen = sizeof(job->pss);
	job->input = job->prepared;
	job->input_len = sg_hash_size(hash);
	return sg_hash_data(hash, data, job->prepared);
}

static int prepare_ecdsa(
    struct job *job, enum sg_hash hash, const struct sg_blob *data, struct sg_msg_error *error)
{
	if (!(job->key->info.abilities & SG_KEY_ECDSA))
		return missing(job->key, "CKM_ECDSA", error);
	job->mechanism.mechanism = CKM_ECDSA;
	job->input = job->prepared;
	job->input_len = sg_ecdsa_digest_size(sg_hash_size(hash), job->key->order_size);
	return sg_hash_data(hash, data, job->prepared);
}

static int prepare(struct job *job, const struct sg_sign_how *how, const struct sg_blob *data,
    struct sg_msg_error *error)
{
	int is_rsa = how->kind != SG_SIGN_ECDSA;

	if (job->key->type != (is_rsa ? CKK_RSA : CKK_EC)) {
		sg_msg_error_set(error, SG_ERR_MECHANISM, job->key->info.uri,
		    "the key is no %s key", is_rsa ? "RSA" : "EC");
		return SG_ERR_MECHANISM;
	}
	switch (how->kind) {
	case SG_SIGN_RSA_PKCS1:
		return prepare_pkcs1(job, how->hash, data, error);
	case SG_SIGN_RSA_PSS:
		return prepare_pss(job, how->hash, data, error);
	case SG_SIGN_ECDSA:
		return prepare_ecdsa(job, how->hash, data, error);
	}
	return SG_ERR_ARG;
}

/* A handle may have come to mean another object since: cheaper to ask than to sign with a wrong key. */
static CK_RV handle_check(const struct sg_key *key, CK_SESSION_HANDLE session)
{
	unsigned char id[256];
	CK_ATTRIBUTE attribute = { CKA_ID, id, sizeof(id) };
	CK_RV rv;

	if (key->info.id.len == 0 || key->info.id.len > sizeof(id))
		return CKR_OK;
	rv = key->token->module->f->C_GetAttributeValue(session, key->handle, &attribute, 1);
	if (rv == CKR_BUFFER_TOO_SMALL)
		return CKR_KEY_HANDLE_INVALID;
	if (rv == CKR_OK &&
	    (attribute.ulValueLen != key->info.id.len ||
		memcmp(id, key->info.id.data, key->info.id.len) != 0))
		rv = CKR_KEY_HANDLE_INVALID;
	return rv;
}

static CK_RV sign_call(
    struct job *job, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE handle, int with_login)
{
	struct sg_token *token = job->key->token;
	union {
		const unsigned char *data;
		CK_BYTE *arg;
	} input = { .data = job->input };
	CK_RV rv;

	rv = token->module->f->C_SignInit(session, &job->mechanism, handle);
	if (rv == CKR_OK && with_login)
		rv = sg_login_context(token, session);
	job->value_len = sizeof(job->value);
	if (rv == CKR_OK)
		rv = token->module->f->C_Sign(
		    session, input.arg, job->input_len, job->value, &job->value_len);
	return rv;
}

static CK_RV sign_in_session(
    struct sg_token *token, CK_SESSION_HANDLE session, int again, void *arg)
{
	struct job *job = arg;
	CK_OBJECT_HANDLE handle = job->key->handle;
	CK_RV rv;

	job->found_again = again;
	rv = again ? sg_key_handle(job->key, session, &handle) : handle_check(job->key, session);
	if (rv != CKR_OK)
		return rv;
	if (!(job->key->info.abilities & SG_KEY_ALWAYS_AUTH))
		return sign_call(job, session, handle, 0);
	pthread_mutex_lock(&token->secret_lock);
	rv = sg_login_context_check(token);
	job->pin_missing = rv == CKR_FUNCTION_CANCELED;
	if (rv == CKR_OK)
		rv = sign_call(job, session, handle, 1);
	pthread_mutex_unlock(&token->secret_lock);
	return rv;
}

static int sign_fail(const struct job *job, CK_RV rv, struct sg_msg_error *error)
{
	const struct sg_key *key = job->key;
	int err = sg_ckr_code(rv);

	if (job->pin_missing) {
		sg_msg_error_set(error, SG_ERR_PIN_NEEDED, key->token->uri,
		    "the key wants the PIN for each signature, and it is not held: lock and unlock "
		    "token '%s'",
		    key->token->label);
		return SG_ERR_PIN_NEEDED;
	}
	if (err == SG_ERR_PIN_NEEDED) {
		sg_msg_error_set(
		    error, err, key->token->uri, "token '%s' is locked", key->token->label);
		return err;
	}
	if (err == SG_ERR_KEY_ABSENT) {
		sg_msg_error_set(error, err, key->info.uri, "the key is no longer on token '%s'",
		    key->token->label);
		return err;
	}
	return sg_ckr_fail(error, rv, "C_Sign", key->token->label);
}

static int take_value(const struct job *job, const struct sg_sign_how *how,
    struct sg_blob *signature, struct sg_msg_error *error)
{
	const struct sg_key *key = job->key;
	int err;

	if (how->kind == SG_SIGN_ECDSA)
		err = sg_ecdsa_value(job->value, job->value_len, key->order_size, signature);
	else if (key->public != NULL && job->value_len != (CK_ULONG)EVP_PKEY_get_size(key->public))
		err = SG_ERR_FORMAT;
	else
		err = sg_blob_set(signature, job->value, job->value_len);
	if (err == SG_ERR_FORMAT) {
		err = SG_ERR_TOKEN_FAILED;
		sg_msg_error_set(error, err, key->info.uri,
		    "token '%s' gave a signature of the wrong size", key->token->label);
	}
	return err;
}

int sg_sign(struct sg_key *key, const struct sg_sign_how *how, const struct sg_blob *data,
    struct sg_blob *signature, struct sg_msg_error *error)
{
	struct job job = { .key = key };
	int err;
	CK_RV rv;

	memset(signature, 0, sizeof(*signature));
	err = prepare(&job, how, data, error);
	if (err != 0)
		return err;
	rv = sg_token_run(key->token, sign_in_session, &job);
	if (job.found_again || rv != CKR_OK)
		sg_key_cache_drop(key);
	if (rv != CKR_OK)
		return sign_fail(&job, rv, error);
	return take_value(&job, how, signature, error);
}
