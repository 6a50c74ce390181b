#include "keygen.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/rand.h>

#include "ckr.h"
#include "key_find.h"
#include "log.h"
#include "login.h"
#include "made.h"
#include "object.h"
#include "session.h"
#include "text.h"
#include "token_find.h"

#define TEMPLATE_MAX 16

struct algorithm {
	const char *name;
	CK_KEY_TYPE type;
	CK_MECHANISM_TYPE mechanism;
	const char *mechanism_name;
	CK_ULONG bits;	       /* RSA */
	unsigned char oid[10]; /* EC: DER of the curve's name */
	size_t oid_len;
};

static const struct algorithm algorithms[] = {
	{ "rsa2048", CKK_RSA, CKM_RSA_PKCS_KEY_PAIR_GEN, "CKM_RSA_PKCS_KEY_PAIR_GEN", 2048, { 0 },
	    0 },
	{ "rsa3072", CKK_RSA, CKM_RSA_PKCS_KEY_PAIR_GEN, "CKM_RSA_PKCS_KEY_PAIR_GEN", 3072, { 0 },
	    0 },
	{ "rsa4096", CKK_RSA, CKM_RSA_PKCS_KEY_PAIR_GEN, "CKM_RSA_PKCS_KEY_PAIR_GEN", 4096, { 0 },
	    0 },
	{ "p256", CKK_EC, CKM_EC_KEY_PAIR_GEN, "CKM_EC_KEY_PAIR_GEN", 0,
	    { 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07 }, 10 },
	{ "p384", CKK_EC, CKM_EC_KEY_PAIR_GEN, "CKM_EC_KEY_PAIR_GEN", 0,
	    { 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22 }, 7 },
};

struct job {
	struct algorithm algorithm; /* a copy: PKCS#11 takes no const */
	const char *name;	    /* the label as it was asked for */
	struct sg_blob id;
	struct sg_blob label;
	CK_OBJECT_HANDLE public;
	CK_OBJECT_HANDLE private;
	int taken;     /* label or identifier are there already */
	int begun;     /* they were not: what has both now is ours */
	int given_out; /* it was there for others */
	int weak;      /* the token did not keep to the template */
	char *uri;     /* of the key, to find it again by */
};

struct template
{
	CK_ATTRIBUTE attributes[TEMPLATE_MAX];
	CK_ULONG count;
};

static CK_BBOOL yes = CK_TRUE, no = CK_FALSE;

static void put(struct template *template, CK_ATTRIBUTE_TYPE type, void *value, size_t len)
{
	template->attributes[template->count++] = (CK_ATTRIBUTE){ type, value, len };
}

static void put_bool(struct template *template, CK_ATTRIBUTE_TYPE type, CK_BBOOL *value)
{
	put(template, type, value, sizeof(*value));
}

static void public_template(struct template *template, struct job *job)
{
	static CK_BYTE exponent[] = { 0x01, 0x00, 0x01 };
	struct algorithm *algorithm = &job->algorithm;

	memset(template, 0, sizeof(*template));
	put_bool(template, CKA_TOKEN, &yes);
	put_bool(template, CKA_PRIVATE, &no);
	put_bool(template, CKA_VERIFY, &yes);
	put(template, CKA_ID, job->id.data, job->id.len);
	put(template, CKA_LABEL, job->label.data, job->label.len);
	if (algorithm->type == CKK_RSA) {
		put(template, CKA_MODULUS_BITS, &algorithm->bits, sizeof(algorithm->bits));
		put(template, CKA_PUBLIC_EXPONENT, exponent, sizeof(exponent));
	} else {
		put(template, CKA_EC_PARAMS, algorithm->oid, algorithm->oid_len);
	}
}

/*
 * The key signs and does nothing else. narrow: also say what it is not for, which modules allow by
 * default; some refuse to be told.
 */
static void private_template(struct template *template, struct job *job, int narrow)
{
	static const CK_ATTRIBUTE_TYPE denied[] = { CKA_DECRYPT, CKA_UNWRAP, CKA_SIGN_RECOVER,
		CKA_DERIVE };
	size_t i;

	memset(template, 0, sizeof(*template));
	put_bool(template, CKA_TOKEN, &yes);
	put_bool(template, CKA_PRIVATE, &yes);
	put_bool(template, CKA_SENSITIVE, &yes);
	put_bool(template, CKA_EXTRACTABLE, &no);
	put_bool(template, CKA_SIGN, &yes);
	put(template, CKA_ID, job->id.data, job->id.len);
	put(template, CKA_LABEL, job->label.data, job->label.len);
	for (i = 0; narrow && i < sizeof(denied) / sizeof(denied[0]); i++)
		put_bool(template, denied[i], &no);
}

/* tpm2-pkcs11 says no more than CKR_GENERAL_ERROR to what a TPM's key is not for anyway. */
static int is_refusal(CK_RV rv)
{
	return rv == CKR_TEMPLATE_INCONSISTENT || rv == CKR_ATTRIBUTE_TYPE_INVALID ||
	    rv == CKR_ATTRIBUTE_VALUE_INVALID || rv == CKR_ATTRIBUTE_READ_ONLY ||
	    rv == CKR_GENERAL_ERROR;
}

static CK_RV generate(struct sg_token *token, CK_SESSION_HANDLE session, struct job *job)
{
	CK_MECHANISM mechanism = { job->algorithm.mechanism, NULL, 0 };
	struct template public, private;
	int narrow;
	CK_RV rv;

	public_template(&public, job);
	for (narrow = 1;; narrow--) {
		private_template(&private, job, narrow);
		rv = token->module->f->C_GenerateKeyPair(session, &mechanism, public.attributes,
		    public.count, private.attributes, private.count, &job->public, &job->private);
		if (rv == CKR_OK)
			return rv;
		job->public = job->private = CK_INVALID_HANDLE;
		if (!narrow || !is_refusal(rv))
			return rv;
	}
}

/* Whether an object of the class has the attribute already. The objects lock is held. */
static CK_RV look_for(struct sg_token *token, CK_SESSION_HANDLE session, CK_OBJECT_CLASS class,
    CK_ATTRIBUTE_TYPE type, const struct sg_blob *value, int *found)
{
	CK_ATTRIBUTE wanted[] = { { CKA_CLASS, &class, sizeof(class) },
		{ CKA_TOKEN, &yes, sizeof(yes) }, { type, value->data, value->len } };
	CK_OBJECT_HANDLE *handles = NULL;
	size_t count = 0;
	CK_RV rv;

	rv = sg_object_find_locked(token->module, session, wanted, 3, &handles, &count);
	free(handles);
	*found |= count > 0;
	return rv;
}

static CK_RV check_new(struct sg_token *token, CK_SESSION_HANDLE session, struct job *job)
{
	static const CK_OBJECT_CLASS classes[] = { CKO_PRIVATE_KEY, CKO_PUBLIC_KEY };
	CK_RV rv = CKR_OK;
	size_t i;

	for (i = 0; i < 2 && rv == CKR_OK; i++) {
		rv = look_for(token, session, classes[i], CKA_LABEL, &job->label, &job->taken);
		if (rv == CKR_OK)
			rv = look_for(token, session, classes[i], CKA_ID, &job->id, &job->taken);
	}
	return rv;
}

/* Whether the token kept to what was asked, as it says itself. */
static CK_RV read_back(struct sg_token *token, CK_SESSION_HANDLE session, struct job *job)
{
	CK_ATTRIBUTE at[] = { { CKA_SENSITIVE, NULL, 0 }, { CKA_EXTRACTABLE, NULL, 0 } };
	CK_RV rv;

	rv = sg_object_read(token->module, session, job->private, at, 2);
	if (rv == CKR_OK)
		job->weak = !sg_attribute_bool(&at[0]) || at[1].ulValueLen == 0 ||
		    sg_attribute_bool(&at[1]);
	sg_attributes_clear(at, 2);
	return rv;
}

/* What goes with a pair that was made: only of one that was given out can there be a certificate. */
static size_t classes_of(const struct job *job)
{
	return job->given_out ? 3 : 2;
}

/*
 * Removes what was made, found by its name: handles may be stale, a call that failed may have made
 * one half all the same, and neither label nor identifier was there before. The objects lock is
 * held.
 */
static CK_RV sweep(struct sg_token *token, CK_SESSION_HANDLE session, struct job *job)
{
	static const CK_OBJECT_CLASS classes[] = { CKO_PRIVATE_KEY, CKO_PUBLIC_KEY,
		CKO_CERTIFICATE };
	CK_RV rv, worst = CKR_OK;
	size_t i;

	for (i = 0; i < classes_of(job); i++) {
		CK_OBJECT_CLASS class = classes[i];
		CK_ATTRIBUTE wanted[] = { { CKA_CLASS, &class, sizeof(class) },
			{ CKA_TOKEN, &yes, sizeof(yes) }, { CKA_ID, job->id.data, job->id.len },
			{ CKA_LABEL, job->label.data, job->label.len } };

		rv = sg_object_sweep_locked(token->module, session, wanted, 4, NULL);
		if (rv != CKR_OK)
			worst = rv;
	}
	job->begun = worst != CKR_OK;
	return worst;
}

/* Private objects do not show without a login, and so cannot be swept; that it was lost, the
 * session knows. */
static CK_RV login_check(struct sg_token *token, CK_SESSION_HANDLE session)
{
	CK_SESSION_INFO info;
	CK_RV rv;

	if (!(token->identity.flags & CKF_LOGIN_REQUIRED))
		return CKR_OK;
	rv = token->module->f->C_GetSessionInfo(session, &info);
	if (rv == CKR_OK && info.state != CKS_RW_USER_FUNCTIONS)
		rv = CKR_USER_NOT_LOGGED_IN;
	return rv;
}

static CK_RV generate_in_session(
    struct sg_token *token, CK_SESSION_HANDLE session, int again, void *arg)
{
	struct job *job = arg;
	CK_RV rv = CKR_OK;

	pthread_rwlock_wrlock(&token->module->objects);
	/* On the second try: what the first one left. */
	if (job->begun) {
		rv = login_check(token, session);
		if (rv == CKR_OK)
			rv = sweep(token, session, job);
	}
	if (rv == CKR_OK)
		rv = check_new(token, session, job);
	if (rv == CKR_OK && !job->taken) {
		job->begun = 1;
		rv = generate(token, session, job);
		if (rv == CKR_OK)
			rv = read_back(token, session, job);
		/* At once: this may be the last session with a login. */
		if (rv != CKR_OK && login_check(token, session) == CKR_OK)
			(void)sweep(token, session, job);
	}
	pthread_rwlock_unlock(&token->module->objects);
	return rv;
}

static CK_RV sweep_in_session(
    struct sg_token *token, CK_SESSION_HANDLE session, int again, void *arg)
{
	CK_RV rv;

	rv = login_check(token, session);
	if (rv != CKR_OK)
		return rv;
	pthread_rwlock_wrlock(&token->module->objects);
	rv = sweep(token, session, arg);
	pthread_rwlock_unlock(&token->module->objects);
	return rv;
}

/* After a failure: nothing half-made stays, or a person is told. */
static void undo(struct sg_token *token, struct job *job, int err, struct sg_msg_error *error)
{
	char *text = NULL;
	CK_RV rv;

	if (!job->begun)
		return;
	rv = sg_token_run(token, sweep_in_session, job);
	if (rv == CKR_OK)
		return;
	sg_log(SG_LOG_ERROR,
	    "token '%s': what was made of key '%s' could not be removed (%s): remove it "
	    "with the token's own tool",
	    token->label, job->name, sg_ckr_name(rv));
	if (err == SG_ERR_TOKEN_ABSENT)
		text = strdup("the token was taken out while it made the key: put it back in");
	else if (error->message != NULL)
		text = strdup(error->message);
	sg_layout_clear(&sg_layout_error, error);
	sg_msg_error_set(error, err, token->uri,
	    "%s. The key '%s', or half of it, may be on it: adopt it with `signet key use`, or "
	    "remove it with the token's own tool",
	    text != NULL ? text : "the key was not made", job->name);
	free(text);
}

static int request_check(
    const struct sg_msg_key_generate *request, struct job *job, struct sg_msg_error *error)
{
	const char *label = request->label != NULL ? request->label : "";
	const char *name = request->algorithm != NULL ? request->algorithm : "";
	unsigned char random[20];
	size_t i;

	for (i = 0; i < sizeof(algorithms) / sizeof(algorithms[0]); i++) {
		if (strcmp(name, algorithms[i].name) == 0)
			break;
	}
	if (i == sizeof(algorithms) / sizeof(algorithms[0])) {
		sg_msg_error_set(error, SG_ERR_UNSUPPORTED, name,
		    "'%s' is none of rsa2048, rsa3072, rsa4096, p256, p384", name);
		return SG_ERR_UNSUPPORTED;
	}
	job->algorithm = algorithms[i];
	if (!*label || !sg_utf8_is_text(label, SG_KEY_LABEL_MAX) ||
	    strpbrk(label, "\t\r\n") != NULL || sg_uri_is_uri(label) ||
	    request->id.len > SG_KEY_ID_MAX) {
		sg_msg_error_set(error, SG_ERR_ARG, label,
		    "a key's label is a text of 1 to %d bytes that does not begin with 'pkcs11:'",
		    SG_KEY_LABEL_MAX);
		return SG_ERR_ARG;
	}
	job->name = label;
	if (sg_blob_set(&job->label, label, strlen(label)) != 0)
		return SG_ERR_NOMEM;
	if (request->id.len > 0)
		return sg_blob_set(&job->id, request->id.data, request->id.len);
	if (RAND_bytes(random, sizeof(random)) != 1)
		return SG_ERR_INTERNAL;
	return sg_blob_set(&job->id, random, sizeof(random));
}

/* PIV tokens make keys with their management key alone, which ykcs11 takes as the SO PIN. */
static int no_user_keygen(struct sg_token *token, const char *why, struct sg_msg_error *error)
{
	sg_msg_error_set(error, SG_ERR_UNSUPPORTED, token->uri,
	    "token '%s' does not make keys for its user (%s): make the key with the "
	    "token's own tool (a YubiKey's are ykman and yubico-piv-tool), and adopt it with "
	    "`signet key use`",
	    token->label, why);
	return SG_ERR_UNSUPPORTED;
}

static CK_RV has_mechanism(struct sg_token *token, CK_MECHANISM_TYPE mechanism)
{
	CK_MECHANISM_INFO info;
	CK_SLOT_ID slot;
	CK_RV rv;

	pthread_mutex_lock(&token->lock);
	slot = token->slot;
	pthread_mutex_unlock(&token->lock);
	rv = token->module->f->C_GetMechanismInfo(slot, mechanism, &info);
	return rv == CKR_OK && !(info.flags & CKF_GENERATE_KEY_PAIR) ? CKR_MECHANISM_INVALID : rv;
}

static int token_check(
    struct sg_token *token, const struct algorithm *algorithm, struct sg_msg_error *error)
{
	CK_RV rv;

	sg_login_again(token);
	if (!sg_token_is_open(token)) {
		sg_msg_error_set(
		    error, SG_ERR_PIN_NEEDED, token->uri, "token '%s' is locked", token->label);
		return SG_ERR_PIN_NEEDED;
	}
	/* It is never asked: it takes the first byte of any CKA_ID for a slot of the card, and makes
	 * the new key there in place of the one that the slot has. */
	if (sg_token_is_of_ykcs11(&token->identity))
		return no_user_keygen(token, "that needs the card's management key", error);
	rv = has_mechanism(token, algorithm->mechanism);
	if (rv == CKR_OK)
		return 0;
	/* OpenSC says so of all cards that are made with their own tools. */
	if (rv == CKR_MECHANISM_INVALID && has_mechanism(token, CKM_RSA_PKCS_KEY_PAIR_GEN) == rv &&
	    has_mechanism(token, CKM_EC_KEY_PAIR_GEN) == rv)
		return no_user_keygen(token, sg_ckr_name(rv), error);
	if (rv != CKR_MECHANISM_INVALID)
		return sg_ckr_fail(error, rv, "C_GetMechanismInfo", token->label);
	sg_msg_error_set(error, SG_ERR_MECHANISM, token->uri, "token '%s' has no %s", token->label,
	    algorithm->mechanism_name);
	return SG_ERR_MECHANISM;
}

/* The key as anybody finds it by its URI. Only its own token is searched: whatever the others do, a
 * key that was made is answered for. */
static int answer_fill(struct sg_token *token, const char *uri, struct sg_msg_objects *answer,
    struct sg_msg_error *error)
{
	struct sg_selector *selector = NULL;
	struct sg_key **keys = NULL;
	size_t count = 0;
	CK_RV rv;
	int err;

	err = sg_selector_parse(uri, &selector, error);
	if (err != 0)
		return err;
	rv = sg_keys_of_token(token, selector, &keys, &count);
	if (rv != CKR_OK) {
		err = sg_ckr_fail(error, rv, "searching the new key", token->label);
	} else if (count != 1 || keys[0]->handle == CK_INVALID_HANDLE) {
		err = SG_ERR_TOKEN_FAILED;
		sg_msg_error_set(error, err, token->uri,
		    "token '%s' made the key but does not show it", token->label);
	} else {
		answer->keys = calloc(1, sizeof(*answer->keys));
		answer->key_count = answer->keys != NULL;
		err = answer->keys != NULL ? sg_key_info_copy(&keys[0]->info, &answer->keys[0])
					   : SG_ERR_NOMEM;
	}
	sg_keys_free(keys, count);
	sg_selector_free(selector);
	return err;
}

static int generate_on(struct sg_token *token, struct job *job, struct sg_msg_error *error)
{
	CK_RV rv;

	rv = sg_token_run(token, generate_in_session, job);
	if (rv == CKR_ATTRIBUTE_VALUE_INVALID || rv == CKR_FUNCTION_NOT_SUPPORTED)
		return no_user_keygen(token, sg_ckr_name(rv), error);
	if (rv != CKR_OK)
		return sg_ckr_fail(error, rv, "C_GenerateKeyPair", token->label);
	if (job->taken) {
		sg_msg_error_set(error, SG_ERR_ARG, job->name,
		    "a key with this label or identifier is on token '%s' already: adopt it with "
		    "`signet key use`, remove it with the token's own tool, or choose another "
		    "label",
		    token->label);
		return SG_ERR_ARG;
	}
	if (job->weak) {
		sg_msg_error_set(error, SG_ERR_TOKEN_FAILED, token->uri,
		    "token '%s' made a key that is not sensitive or is extractable; it was removed",
		    token->label);
		return SG_ERR_TOKEN_FAILED;
	}
	return 0;
}

int sg_key_generate(struct sg_module *module, const struct sg_msg_key_generate *request,
    struct sg_msg_objects *answer, struct sg_msg_error *error)
{
	struct job job = { .public = CK_INVALID_HANDLE, .private = CK_INVALID_HANDLE };
	struct sg_token *token = NULL;
	int err;

	err = request_check(request, &job, error);
	if (err == 0)
		err = sg_token_find(module, request->token, &token, error);
	if (err == 0)
		err = token_check(token, &job.algorithm, error);
	if (err == 0)
		err = generate_on(token, &job, error);
	/* A label that named one key may now name two. */
	sg_key_cache_flush(module);
	if (err == 0) {
		job.uri = sg_uri_object(&token->identity, CKO_PRIVATE_KEY, &job.id, &job.label);
		err = job.uri != NULL ? answer_fill(token, job.uri, answer, error) : SG_ERR_NOMEM;
	}
	/* Whose identifier was chosen by others may stand beside something of theirs. */
	if (err == 0 && request->id.len == 0)
		sg_made_note(token, job.uri, &job.id, &job.label, &request->caller);
	if (err != 0 && token != NULL)
		undo(token, &job, err, error);
	sg_blob_clear(&job.id);
	sg_blob_clear(&job.label);
	free(job.uri);
	return err;
}

int sg_key_discard(
    struct sg_module *module, const struct sg_msg_key_discard *request, struct sg_msg_error *error)
{
	struct job job = { .given_out = 1 };
	const char *uri = request->key != NULL ? request->key : "";
	struct sg_token *token;
	CK_RV rv;

	if (!sg_made_take(uri, &request->caller, &token, &job.id, &job.label)) {
		sg_msg_error_set(error, SG_ERR_DENIED, uri,
		    "this process has not made the key %s, or another call has used it since", uri);
		return SG_ERR_DENIED;
	}
	sg_key_cache_flush(module);
	rv = sg_token_run(token, sweep_in_session, &job);
	sg_blob_clear(&job.id);
	sg_blob_clear(&job.label);
	return rv == CKR_OK ? 0 : sg_ckr_fail(error, rv, "C_DestroyObject", token->label);
}
