#include "sign.h"

#include <stdlib.h>
#include <string.h>

#include "ckr.h"
#include "clock.h"
#include "key_find.h"
#include "log.h"
#include "login.h"
#include "made.h"
#include "renew.h"
#include "session.h"
#include "stay.h"
#include "touch.h"
#include "turn.h"
#include "verify.h"

#define VALUE_MAX 2048 /* bytes of a signature: RSA of 16,384 bits */
#define ANY_HASH  (-1)

#define NAME_MAX_SIZE 256 /* of a label or identifier that is looked at again */

#define HANDLE_TRUSTED_MS 1000
#define VERIFY_EVERY_MS	  1000

enum input {
	INPUT_DIGESTINFO,
	INPUT_DIGEST,
	INPUT_DATA, /* the token hashes itself */
};

/*
 * The ways to one and the same signature, the best first. Never raw RSA with our own padding: many
 * HSMs have no CKM_RSA_X_509. One ability stands for all hashes of a mechanism that hashes; a hash
 * that the token does not know is refused, and remembered, like anything else.
 */
static const struct way {
	enum sg_sign_kind kind;
	int hash;
	enum input input;
	uint32_t ability;
	CK_MECHANISM_TYPE mechanism;
	const char *name;
} ways[] = {
#define WAY(kind, hash, input, ability, mechanism)                                                 \
	{                                                                                          \
		SG_SIGN_##kind, hash, INPUT_##input, SG_KEY_##ability, mechanism, #mechanism       \
	}
	WAY(RSA_PKCS1, ANY_HASH, DIGESTINFO, RSA_PKCS1, CKM_RSA_PKCS),
	WAY(RSA_PKCS1, SG_HASH_SHA1, DATA, RSA_PKCS1_SHA1, CKM_SHA1_RSA_PKCS),
	WAY(RSA_PKCS1, SG_HASH_SHA256, DATA, RSA_PKCS1_SHA256, CKM_SHA256_RSA_PKCS),
	WAY(RSA_PKCS1, SG_HASH_SHA384, DATA, RSA_PKCS1_SHA256, CKM_SHA384_RSA_PKCS),
	WAY(RSA_PKCS1, SG_HASH_SHA512, DATA, RSA_PKCS1_SHA256, CKM_SHA512_RSA_PKCS),
	WAY(RSA_PSS, ANY_HASH, DIGEST, RSA_PSS, CKM_RSA_PKCS_PSS),
	WAY(RSA_PSS, SG_HASH_SHA256, DATA, RSA_PSS_HASHED, CKM_SHA256_RSA_PKCS_PSS),
	WAY(RSA_PSS, SG_HASH_SHA384, DATA, RSA_PSS_HASHED, CKM_SHA384_RSA_PKCS_PSS),
	WAY(RSA_PSS, SG_HASH_SHA512, DATA, RSA_PSS_HASHED, CKM_SHA512_RSA_PKCS_PSS),
	WAY(ECDSA, ANY_HASH, DIGEST, ECDSA, CKM_ECDSA),
	WAY(ECDSA, SG_HASH_SHA1, DATA, ECDSA_HASHED, CKM_ECDSA_SHA1),
	WAY(ECDSA, SG_HASH_SHA256, DATA, ECDSA_HASHED, CKM_ECDSA_SHA256),
	WAY(ECDSA, SG_HASH_SHA384, DATA, ECDSA_HASHED, CKM_ECDSA_SHA384),
	WAY(ECDSA, SG_HASH_SHA512, DATA, ECDSA_HASHED, CKM_ECDSA_SHA512),
#undef WAY
};

#define WAY_COUNT (sizeof(ways) / sizeof(ways[0]))
_Static_assert(WAY_COUNT <= 32, "key->refused has a bit for each");

struct job {
	struct sg_key *key;
	const struct sg_sign_how *how;
	const struct sg_blob *data;
	uint32_t abilities; /* ways that may be gone */
	unsigned char digest[SG_DIGEST_MAX];
	int hashed;
	CK_RV refusal; /* the last */
	unsigned char value[VALUE_MAX];
	CK_ULONG value_len;
	int found_again;
	CK_RV login;	 /* of the login that the key wants each time */
	int pin_missing; /* that login cannot be made: the PIN is not held, or has one try left */
	int cancelled;	 /* nobody wants it any more */
	struct sg_msg_error
	    unwritten; /* that login was not made, for it could not be written down */
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

/* ---- one way ---- */

struct prepared {
	CK_MECHANISM mechanism;
	CK_RSA_PKCS_PSS_PARAMS pss;
	unsigned char room[SG_DIGESTINFO_MAX];
	union {
		const unsigned char *data;
		CK_BYTE *arg; /* C_Sign does not change it, but its type does not say so */
	} input;
	CK_ULONG input_len;
};

/* The salt is as long as the hash: tpm2-pkcs11 takes no other length, and TLS 1.3 wants this
 * one. */
static void pss_set(struct prepared *prepared, enum sg_hash hash)
{
	static const struct {
		CK_MECHANISM_TYPE hash;
		CK_ULONG mgf;
	} table[] = {
		[SG_HASH_SHA1] = { CKM_SHA_1, CKG_MGF1_SHA1 },
		[SG_HASH_SHA256] = { CKM_SHA256, CKG_MGF1_SHA256 },
		[SG_HASH_SHA384] = { CKM_SHA384, CKG_MGF1_SHA384 },
		[SG_HASH_SHA512] = { CKM_SHA512, CKG_MGF1_SHA512 },
	};

	prepared->pss.hashAlg = table[hash].hash;
	prepared->pss.mgf = table[hash].mgf;
	prepared->pss.sLen = sg_hash_size(hash);
	prepared->mechanism.pParameter = &prepared->pss;
	prepared->mechanism.ulParameterLen = sizeof(prepared->pss);
}

static CK_RV prepare(struct job *job, const struct way *way, struct prepared *prepared)
{
	enum sg_hash hash = job->how->hash;

	memset(prepared, 0, sizeof(*prepared));
	prepared->mechanism.mechanism = way->mechanism;
	if (way->kind == SG_SIGN_RSA_PSS)
		pss_set(prepared, hash);
	if (way->input == INPUT_DATA) {
		prepared->input.data = job->data->data;
		prepared->input_len = job->data->len;
		return CKR_OK;
	}
	if (!job->hashed && sg_hash_data(hash, job->data, job->digest) != 0)
		return CKR_HOST_MEMORY;
	job->hashed = 1;
	if (way->input == INPUT_DIGESTINFO) {
		prepared->input_len = sg_digestinfo(hash, job->digest, prepared->room);
		prepared->input.data = prepared->room;
		return CKR_OK;
	}
	prepared->input.data = job->digest;
	prepared->input_len = sg_hash_size(hash);
	/* ykcs11 takes no more than the curve's order, though FIPS 186-4 6.4 has it cut. */
	if (way->kind == SG_SIGN_ECDSA)
		prepared->input_len =
		    sg_ecdsa_digest_size(prepared->input_len, job->key->order_size);
	return CKR_OK;
}

static CK_RV sign_operation(
    struct job *job, struct prepared *prepared, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE handle)
{
	struct sg_token *token = job->key->token;
	CK_FUNCTION_LIST *f = token->module->f;
	CK_RV rv;

	rv = f->C_SignInit(session, &prepared->mechanism, handle);
	if (rv == CKR_OK && (job->key->info.abilities & SG_KEY_ALWAYS_AUTH))
		rv = job->login = sg_login_context(token, session, &job->unwritten);
	job->value_len = sizeof(job->value);
	if (rv != CKR_OK)
		return rv;
	sg_touch_begin(token);
	rv = f->C_Sign(
	    session, prepared->input.arg, prepared->input_len, job->value, &job->value_len);
	sg_touch_end();
	return rv;
}

/*
 * tpm2-pkcs11 gives CKR_OPERATION_ACTIVE, in sessions of their own, to threads that sign at once. A
 * token that was seen to say so makes one signature at a time from then on, the second try of this
 * one among them.
 */
static CK_RV sign_call(
    struct job *job, struct prepared *prepared, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE handle)
{
	struct sg_token *token = job->key->token;
	CK_RV rv;

	if (atomic_load(&token->alone))
		pthread_rwlock_wrlock(&token->signing);
	else
		pthread_rwlock_rdlock(&token->signing);
	rv = sign_operation(job, prepared, session, handle);
	pthread_rwlock_unlock(&token->signing);
	if (rv == CKR_OPERATION_ACTIVE)
		atomic_store(&token->alone, 1);
	return rv;
}

/* Whether it says that this way cannot be gone, rather than that something went wrong. */
static int is_refusal(CK_RV rv)
{
	switch (rv) {
	case CKR_MECHANISM_INVALID:
	case CKR_MECHANISM_PARAM_INVALID:
	case CKR_KEY_FUNCTION_NOT_PERMITTED:
	case CKR_KEY_TYPE_INCONSISTENT:
	case CKR_KEY_SIZE_RANGE:
	case CKR_FUNCTION_NOT_SUPPORTED:
	case CKR_DATA_INVALID:
	case CKR_DATA_LEN_RANGE:
		return 1;
	default:
		return 0;
	}
}

/* ---- all ways ---- */

static int is_way(const struct job *job, size_t i)
{
	return ways[i].kind == job->how->kind &&
	    (ways[i].hash == ANY_HASH || ways[i].hash == (int)job->how->hash);
}

static int is_open(const struct job *job, size_t i)
{
	return is_way(job, i) && (job->abilities & ways[i].ability) &&
	    !(atomic_load(&job->key->refused) & 1u << i);
}

/* Goes one way; gives 0 when it is refused. */
static int sign_way(
    struct job *job, size_t i, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE handle, CK_RV *rv)
{
	struct prepared prepared;

	*rv = prepare(job, &ways[i], &prepared);
	if (*rv == CKR_OK)
		*rv = sign_call(job, &prepared, session, handle);
	if (!is_refusal(*rv))
		return 1;
	sg_log(SG_LOG_INFO, "key '%s' on token '%s': %s is refused (%s)", job->key->info.label,
	    job->key->token->label, ways[i].name, sg_ckr_name(*rv));
	job->refusal = *rv;
	atomic_fetch_or(&job->key->refused, 1u << i);
	return 0;
}

/* When none is left, those that were refused before may be free again. */
static CK_RV sign_ways(struct job *job, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE handle)
{
	unsigned before = atomic_load(&job->key->refused);
	size_t i;
	CK_RV rv;

	for (i = 0; i < WAY_COUNT; i++) {
		if (is_open(job, i) && sign_way(job, i, session, handle, &rv))
			return rv;
	}
	for (i = 0; i < WAY_COUNT; i++) {
		if (!is_way(job, i) || !(job->abilities & ways[i].ability) || !(before & 1u << i) ||
		    !sign_way(job, i, session, handle, &rv))
			continue;
		if (rv == CKR_OK)
			atomic_fetch_and(&job->key->refused, ~(1u << i));
		return rv;
	}
	return CKR_MECHANISM_INVALID;
}

/* Whether the object still has what it was found by. */
static int is_still(const CK_ATTRIBUTE *attribute, const struct sg_blob *was)
{
	return attribute->ulValueLen == was->len &&
	    memcmp(attribute->pValue, was->data, was->len) == 0;
}

/* A handle may have come to mean another object since, or its object may be called otherwise, so
 * that another one has its name: cheaper to ask than to sign with a wrong key, but as dear as a
 * third of a signature with P-256, so not more often than need be. */
static CK_RV handle_check(struct sg_key *key, CK_SESSION_HANDLE session)
{
	const struct sg_blob *was[2];
	unsigned char room[2][NAME_MAX_SIZE];
	CK_ATTRIBUTE now[2];
	CK_ULONG i, count = 0;
	int64_t time = sg_clock_ms();
	CK_RV rv;

	if (time - atomic_load(&key->checked_ms) < HANDLE_TRUSTED_MS)
		return CKR_OK;
	if (key->info.id.len > 0 && key->info.id.len <= NAME_MAX_SIZE) {
		now[count] = (CK_ATTRIBUTE){ CKA_ID, room[count], NAME_MAX_SIZE };
		was[count++] = &key->info.id;
	}
	if (key->label.len > 0 && key->label.len <= NAME_MAX_SIZE) {
		now[count] = (CK_ATTRIBUTE){ CKA_LABEL, room[count], NAME_MAX_SIZE };
		was[count++] = &key->label;
	}
	if (count == 0)
		return CKR_OK;
	rv = key->token->module->f->C_GetAttributeValue(session, key->handle, now, count);
	if (rv == CKR_BUFFER_TOO_SMALL || rv == CKR_ATTRIBUTE_TYPE_INVALID)
		return CKR_KEY_HANDLE_INVALID;
	for (i = 0; i < count && rv == CKR_OK; i++) {
		if (!is_still(&now[i], was[i]))
			rv = CKR_KEY_HANDLE_INVALID;
	}
	if (rv == CKR_OK)
		atomic_store(&key->checked_ms, time);
	return rv;
}

static CK_RV sign_in_turn(
    struct sg_token *token, CK_SESSION_HANDLE session, int again, struct job *job)
{
	CK_OBJECT_HANDLE handle = job->key->handle;
	CK_RV rv;

	job->found_again = again;
	/* Handles of an older epoch may mean other keys by now. */
	again |= job->key->epoch != sg_token_epoch(token);
	rv = again ? sg_key_handle(job->key, session, &handle) : handle_check(job->key, session);
	if (rv != CKR_OK)
		return rv;
	if (!(job->key->info.abilities & SG_KEY_ALWAYS_AUTH))
		return sign_ways(job, session, handle);
	pthread_mutex_lock(&token->secret_lock);
	rv = sg_login_context_check(token);
	job->pin_missing = rv == CKR_FUNCTION_CANCELED;
	job->login = rv;
	if (rv == CKR_OK)
		rv = sign_ways(job, session, handle);
	pthread_mutex_unlock(&token->secret_lock);
	return rv;
}

/* The session is none the worse for a request that is called off. */
static CK_RV sign_in_session(
    struct sg_token *token, CK_SESSION_HANDLE session, int again, void *arg)
{
	unsigned start = token->module->starts;
	struct job *job = arg;
	CK_RV rv;

	job->cancelled = sg_turn_take(token) != 0;
	if (job->cancelled)
		return CKR_OK;
	/* While it waited for its turn, the card may have been out, and the module begun anew. */
	if (token->module->starts != start)
		rv = CKR_SESSION_HANDLE_INVALID;
	else if (sg_stay_is_over(token))
		rv = CKR_DEVICE_REMOVED;
	else
		rv = sign_in_turn(token, session, again, job);
	sg_turn_give(token);
	return rv;
}

static int may_not_sign(const struct sg_key *key, const char *why, struct sg_msg_error *error)
{
	sg_msg_error_set(error, SG_ERR_MECHANISM, key->info.uri,
	    "key '%s' on token '%s' may not sign (%s): choose a key that was made for signing",
	    key->info.label, key->token->label, why);
	return SG_ERR_MECHANISM;
}

/* Nothing is left: says of each mechanism whether it is missing or refused. */
static int no_way(const struct job *job, struct sg_msg_error *error)
{
	const struct sg_key *key = job->key;
	struct sg_buf text = { 0 };
	const char *sep = "";
	char *list;
	size_t i;

	if (job->refusal == CKR_KEY_FUNCTION_NOT_PERMITTED)
		return may_not_sign(key, "CKR_KEY_FUNCTION_NOT_PERMITTED", error);
	for (i = 0; i < WAY_COUNT; i++) {
		if (!is_way(job, i))
			continue;
		sg_buf_printf(&text, "%s%s %s", sep,
		    atomic_load(&key->refused) & 1u << i ? "refuses" : "has no", ways[i].name);
		sep = " and ";
	}
	list = sg_buf_steal(&text, NULL);
	sg_msg_error_set(error, SG_ERR_MECHANISM, key->info.uri, "token '%s' %s for key '%s'",
	    key->token->label, list != NULL ? list : "has no mechanism", key->info.label);
	free(list);
	return SG_ERR_MECHANISM;
}

static int key_changed(const struct sg_key *key, struct sg_msg_error *error)
{
	sg_msg_error_set(error, SG_ERR_KEY_CHANGED, key->info.uri,
	    "another key stands under the name %s on token '%s' than before", key->info.uri,
	    key->token->label);
	return SG_ERR_KEY_CHANGED;
}

static int sign_fail(struct job *job, CK_RV rv, struct sg_msg_error *error)
{
	const struct sg_key *key = job->key;
	int err = sg_ckr_code(rv);

	if (job->pin_missing) {
		sg_msg_error_set(error, SG_ERR_PIN_NEEDED, key->token->uri,
		    "key '%s' wants the PIN for each signature, and it is not held, or has one try "
		    "left: token '%s' is locked",
		    key->info.label, key->token->label);
		return SG_ERR_PIN_NEEDED;
	}
	if (job->unwritten.code != 0) {
		sg_layout_clear(&sg_layout_error, error);
		*error = job->unwritten;
		memset(&job->unwritten, 0, sizeof(job->unwritten));
		return -(int)error->code;
	}
	switch (err) {
	case SG_ERR_PIN_NEEDED:
		sg_msg_error_set(
		    error, err, key->token->uri, "token '%s' is locked", key->token->label);
		return err;
	case SG_ERR_KEY_ABSENT:
		sg_msg_error_set(error, err, key->info.uri, "the key is no longer on token '%s'",
		    key->token->label);
		return err;
	case SG_ERR_KEY_CHANGED:
		return key_changed(key, error);
	case SG_ERR_MECHANISM:
		return no_way(job, error);
	default:
		return sg_ckr_fail(
		    error, rv, rv == job->login ? "C_Login" : "C_Sign", key->token->label);
	}
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

static int key_check(
    const struct sg_key *key, const struct sg_sign_how *how, struct sg_msg_error *error)
{
	int is_rsa = how->kind != SG_SIGN_ECDSA;

	if (!key->may_sign)
		return may_not_sign(key, "CKA_SIGN is false", error);
	if (key->type != (is_rsa ? CKK_RSA : CKK_EC)) {
		sg_msg_error_set(error, SG_ERR_MECHANISM, key->info.uri, "the key is no %s key",
		    is_rsa ? "RSA" : "EC");
		return SG_ERR_MECHANISM;
	}
	return 0;
}

int sg_sign_by(struct sg_key *key, uint32_t ability, const struct sg_sign_how *how,
    const struct sg_blob *data, struct sg_blob *signature, struct sg_msg_error *error)
{
	struct job job = {
		.key = key, .how = how, .data = data, .abilities = key->info.abilities & ability
	};
	int err;
	CK_RV rv;

	memset(signature, 0, sizeof(*signature));
	err = key_check(key, how, error);
	if (err != 0)
		return err;
	rv = sg_token_run(key->token, sign_in_session, &job);
	if (job.found_again || rv != CKR_OK)
		sg_key_cache_drop(key);
	if (rv != CKR_OK)
		return sign_fail(&job, rv, error);
	sg_renew_note(key->token, CKR_OK);
	sg_made_use(key, sg_touch_caller_now());
	if (job.cancelled) {
		sg_msg_error_set(
		    error, SG_ERR_PIN_CANCELLED, key->info.uri, "whoever asked for it has gone");
		return SG_ERR_PIN_CANCELLED;
	}
	return take_value(&job, how, signature, error);
}

static CK_RV look_in_session(
    struct sg_token *token, CK_SESSION_HANDLE session, int again, void *arg)
{
	CK_OBJECT_HANDLE handle;

	return sg_key_handle(arg, session, &handle);
}

/* ykcs11 reads a card with its first session, so all are given up for this look; OpenSC reads it
 * once in a process, and goes on showing what was there. */
static int is_another_now(struct sg_key *key)
{
	struct sg_token *token = key->token;

	sg_token_drop(token, sg_token_epoch(token));
	return sg_token_run(token, look_in_session, key) == CKR_KEY_CHANGED;
}

int sg_sign_unverified(struct sg_key *key, struct sg_msg_error *error)
{
	atomic_store(&key->verified_ms, 0);
	sg_key_cache_drop(key);
	if (is_another_now(key))
		return key_changed(key, error);
	sg_msg_error_set(error, SG_ERR_TOKEN_FAILED, key->info.uri,
	    "token '%s' made a signature that the public half of key '%s' does not verify, and its "
	    "module shows no other: it may show what it read once, so if the key was replaced, "
	    "lock and unlock the token, and say so with `signet key use`",
	    key->token->label, key->info.label);
	return SG_ERR_TOKEN_FAILED;
}

/*
 * The key may have been replaced behind a module that remembers it (PIV modules do), or a
 * certificate beside it may be another's. The first signature of a key is verified, and then one in
 * so often.
 */
static int verify(struct sg_key *key, const struct sg_sign_how *how, const struct sg_blob *data,
    struct sg_blob *signature, struct sg_msg_error *error)
{
	int64_t now = sg_clock_ms();

	if (key->public == NULL || now - atomic_load(&key->verified_ms) < VERIFY_EVERY_MS)
		return 0;
	if (sg_signature_is_good(key, how, data, signature)) {
		atomic_store(&key->verified_ms, now);
		return 0;
	}
	sg_blob_clear(signature);
	return sg_sign_unverified(key, error);
}

int sg_sign(struct sg_key *key, const struct sg_sign_how *how, const struct sg_blob *data,
    struct sg_blob *signature, struct sg_msg_error *error)
{
	int err = sg_sign_by(key, UINT32_MAX, how, data, signature, error);

	return err != 0 ? err : verify(key, how, data, signature, error);
}
