#include "key.h"

#include <stdlib.h>
#include <string.h>

#include "digest.h"
#include "object.h"
#include "pubkey.h"
#include "session.h"
#include "x509.h"

struct sg_key *sg_key_ref(struct sg_key *key)
{
	atomic_fetch_add(&key->refs, 1);
	return key;
}

void sg_key_unref(struct sg_key *key)
{
	if (key == NULL || atomic_fetch_sub(&key->refs, 1) != 1)
		return;
	EVP_PKEY_free(key->public);
	sg_blob_clear(&key->label);
	sg_layout_clear(&sg_layout_key_info, &key->info);
	free(key);
}

void sg_keys_free(struct sg_key **keys, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		sg_key_unref(keys[i]);
	free(keys);
}

static char *copy(const char *text, int *failed)
{
	char *made = text != NULL ? strdup(text) : NULL;

	if (text != NULL && made == NULL)
		*failed = 1;
	return made;
}

int sg_key_info_copy(const struct sg_key_info *from, struct sg_key_info *to)
{
	int failed = 0;

	memset(to, 0, sizeof(*to));
	to->uri = copy(from->uri, &failed);
	to->token_uri = copy(from->token_uri, &failed);
	to->label = copy(from->label, &failed);
	to->algorithm = copy(from->algorithm, &failed);
	to->abilities = from->abilities;
	if (sg_blob_set(&to->id, from->id.data, from->id.len) != 0 ||
	    sg_blob_set(&to->spki, from->spki.data, from->spki.len) != 0)
		failed = 1;
	return failed ? SG_ERR_NOMEM : 0;
}

/* ---- one key out of its attributes ---- */

enum {
	AT_TYPE,
	AT_ID,
	AT_LABEL,
	AT_MODULUS,
	AT_EXPONENT,
	AT_EC_PARAMS,
	AT_EC_POINT, /* of public keys */
	AT_SIGN,
	AT_SENSITIVE,
	AT_EXTRACTABLE,
	AT_ALWAYS_AUTH,
	AT_LOCAL,
	AT_TOKEN,
	AT_COUNT
};

static const CK_ATTRIBUTE_TYPE key_types[AT_COUNT] = {
	[AT_TYPE] = CKA_KEY_TYPE,
	[AT_ID] = CKA_ID,
	[AT_LABEL] = CKA_LABEL,
	[AT_MODULUS] = CKA_MODULUS,
	[AT_EXPONENT] = CKA_PUBLIC_EXPONENT,
	[AT_EC_PARAMS] = CKA_EC_PARAMS,
	[AT_EC_POINT] = CKA_EC_POINT,
	[AT_SIGN] = CKA_SIGN,
	[AT_SENSITIVE] = CKA_SENSITIVE,
	[AT_EXTRACTABLE] = CKA_EXTRACTABLE,
	[AT_ALWAYS_AUTH] = CKA_ALWAYS_AUTHENTICATE,
	[AT_LOCAL] = CKA_LOCAL,
	[AT_TOKEN] = CKA_TOKEN,
};

static struct sg_blob blob_of(const CK_ATTRIBUTE *attribute)
{
	return (struct sg_blob){ attribute->pValue, attribute->ulValueLen };
}

/* The public key as far as these attributes hold it. */
static EVP_PKEY *public_of(CK_KEY_TYPE type, const CK_ATTRIBUTE *at)
{
	struct sg_blob a, b;
	EVP_PKEY *key = NULL;

	if (type == CKK_RSA) {
		a = blob_of(&at[AT_MODULUS]);
		b = blob_of(&at[AT_EXPONENT]);
		if (sg_pubkey_rsa(&a, &b, &key) != 0)
			return NULL;
	} else if (type == CKK_EC) {
		a = blob_of(&at[AT_EC_PARAMS]);
		b = blob_of(&at[AT_EC_POINT]);
		if (a.len == 0 || b.len == 0 || sg_pubkey_ec(&a, &b, &key) != 0)
			return NULL;
	}
	return key;
}

#define SIGNS_EC (SG_KEY_ECDSA | SG_KEY_ECDSA_HASHED)

static uint32_t abilities_of(const struct sg_key *key, const CK_ATTRIBUTE *at)
{
	const uint32_t rsa = SG_KEY_RSA_PKCS1 | SG_KEY_RSA_PKCS1_SHA1 | SG_KEY_RSA_PKCS1_SHA256 |
	    SG_KEY_RSA_PSS | SG_KEY_RSA_PSS_HASHED;
	uint32_t abilities = 0;

	if (key->type == CKK_RSA)
		abilities = sg_token_abilities(key->token) & rsa;
	else if (key->type == CKK_EC)
		abilities = sg_token_abilities(key->token) & SIGNS_EC;
	if (key->handle == CK_INVALID_HANDLE)
		return abilities; /* the rest is said by the private key alone */
	if (!key->may_sign)
		abilities = 0;
	abilities |= SG_KEY_PRIVATE_SEEN;
	if (sg_attribute_bool(&at[AT_SENSITIVE]))
		abilities |= SG_KEY_SENSITIVE;
	if (sg_attribute_bool(&at[AT_EXTRACTABLE]))
		abilities |= SG_KEY_EXTRACTABLE;
	if (sg_attribute_bool(&at[AT_ALWAYS_AUTH]))
		abilities |= SG_KEY_ALWAYS_AUTH;
	if (sg_attribute_bool(&at[AT_LOCAL]))
		abilities |= SG_KEY_LOCAL;
	return abilities;
}

static int fill(struct sg_key *key, const CK_ATTRIBUTE *at)
{
	struct sg_blob id = blob_of(&at[AT_ID]), label = blob_of(&at[AT_LABEL]),
		       params = blob_of(&at[AT_EC_PARAMS]);

	key->type = sg_attribute_ulong(&at[AT_TYPE], CK_UNAVAILABLE_INFORMATION);
	key->public = public_of(key->type, at);
	key->odd_curve = key->type == CKK_EC && params.len > 0 && !sg_pubkey_is_curve(&params);
	key->may_sign = at[AT_SIGN].ulValueLen == 0 || sg_attribute_bool(&at[AT_SIGN]);
	key->info.abilities = abilities_of(key, at);
	key->info.uri = sg_uri_object(&key->token->identity, CKO_PRIVATE_KEY, &id, &label);
	key->info.token_uri = strdup(key->token->uri);
	key->info.label =
	    sg_text_padded(label.data != NULL ? label.data : (const unsigned char *)"", label.len);
	if (key->info.uri == NULL || key->info.token_uri == NULL || key->info.label == NULL ||
	    sg_blob_set(&key->info.id, id.data, id.len) != 0 ||
	    sg_blob_set(&key->label, label.data, label.len) != 0)
		return SG_ERR_NOMEM;
	return 0;
}

static CK_RV key_read(struct sg_token *token, CK_SESSION_HANDLE session, unsigned epoch,
    CK_OBJECT_HANDLE handle, int is_private, struct sg_key **made)
{
	CK_ATTRIBUTE at[AT_COUNT] = { 0 };
	struct sg_key *key;
	size_t i;
	CK_RV rv;

	*made = NULL;
	for (i = 0; i < AT_COUNT; i++)
		at[i].type = key_types[i];
	rv = sg_object_read(token->module, session, handle, at, AT_COUNT);
	/* Some modules show what is not on the token to a search for what is: it was never
	 * there. */
	if (rv == CKR_OK && at[AT_TOKEN].ulValueLen > 0 && !sg_attribute_bool(&at[AT_TOKEN]))
		rv = CKR_OBJECT_HANDLE_INVALID;
	if (rv != CKR_OK)
		goto out;
	rv = CKR_HOST_MEMORY;
	key = calloc(1, sizeof(*key));
	if (key == NULL)
		goto out;
	atomic_init(&key->refs, 1);
	atomic_init(&key->refused, 0);
	atomic_init(&key->verified_ms, 0);
	key->token = token;
	key->epoch = epoch;
	key->handle = is_private ? handle : CK_INVALID_HANDLE;
	if (fill(key, at) != 0) {
		sg_key_unref(key);
		goto out;
	}
	*made = key;
	rv = CKR_OK;
out:
	sg_attributes_clear(at, AT_COUNT);
	return rv;
}

/* What follows from the public key, once that is known. */
static CK_RV finish(struct sg_key *key)
{
	unsigned char hash[SG_DIGEST_MAX];
	const char *name = "other";
	char room[16];

	if (key->public_doubt) {
		EVP_PKEY_free(key->public);
		key->public = NULL;
	}
	if (key->public != NULL) {
		name = sg_x509_key_algorithm(key->public, room);
		key->order_size = sg_pubkey_order_size(key->public);
		if (sg_x509_spki(key->public, &key->info.spki) != 0 ||
		    sg_hash_data(SG_HASH_SHA256, &key->info.spki, hash) != 0)
			return CKR_HOST_MEMORY;
		memcpy(key->spki_sha256, hash, sizeof(key->spki_sha256));
	}
	/* Nothing can be signed for a curve that is not known here. */
	if (key->type == CKK_EC && key->order_size == 0)
		key->info.abilities &= ~(uint32_t)SIGNS_EC;
	key->info.algorithm = strdup(name);
	return key->info.algorithm != NULL ? CKR_OK : CKR_HOST_MEMORY;
}

/* ---- all keys of a token ---- */

#define WANTED_MAX   3
#define SEARCHES_MAX 4 /* of one token that is locked meanwhile, each time */

struct search {
	CK_ATTRIBUTE wanted[WANTED_MAX]; /* beside the class */
	size_t wanted_count;
	unsigned epoch;
	struct sg_key **keys;
	size_t count;
	size_t room;
};

static CK_RV search_add(struct search *search, struct sg_key *key)
{
	struct sg_key **grown;

	if (search->count == search->room) {
		size_t room = search->room ? search->room * 2 : 16;

		grown = reallocarray(search->keys, room, sizeof(struct sg_key *));
		if (grown == NULL) {
			sg_key_unref(key);
			return CKR_HOST_MEMORY;
		}
		search->keys = grown;
		search->room = room;
	}
	search->keys[search->count++] = key;
	return CKR_OK;
}

static int same_pair(const struct sg_key *a, const struct sg_key *b)
{
	return a->type == b->type && a->info.id.len > 0 && sg_blob_eq(&a->info.id, &b->info.id);
}

static int has_pair(const struct search *search, size_t count, const struct sg_key *key)
{
	size_t i;

	for (i = 0; i < count; i++) {
		if (same_pair(search->keys[i], key))
			return 1;
	}
	return 0;
}

static CK_RV find_class(struct sg_token *token, CK_SESSION_HANDLE session, CK_OBJECT_CLASS class,
    const CK_ATTRIBUTE *more, size_t more_count, CK_OBJECT_HANDLE **handles, size_t *count)
{
	CK_BBOOL yes = CK_TRUE;
	CK_ATTRIBUTE wanted[2 + WANTED_MAX] = { { CKA_CLASS, &class, sizeof(class) },
		{ CKA_TOKEN, &yes, sizeof(yes) } };
	size_t i;

	for (i = 0; i < more_count && i < WANTED_MAX; i++)
		wanted[2 + i] = more[i];
	return sg_object_find(token->module, session, wanted, 2 + i, handles, count);
}

/* Adds the private keys, or those public ones whose private key does not show. */
static CK_RV search_class(
    struct sg_token *token, CK_SESSION_HANDLE session, CK_OBJECT_CLASS class, struct search *search)
{
	CK_OBJECT_HANDLE *handles = NULL;
	size_t i, count = 0, before = search->count;
	CK_RV rv;

	rv = find_class(
	    token, session, class, search->wanted, search->wanted_count, &handles, &count);
	for (i = 0; i < count && rv == CKR_OK; i++) {
		struct sg_key *key;

		rv = key_read(
		    token, session, search->epoch, handles[i], class == CKO_PRIVATE_KEY, &key);
		/* Another program destroyed it just now: then it is not there. */
		if (rv == CKR_OBJECT_HANDLE_INVALID) {
			rv = CKR_OK;
			continue;
		}
		if (rv != CKR_OK)
			break;
		if (class == CKO_PUBLIC_KEY && has_pair(search, before, key))
			sg_key_unref(key);
		else
			rv = search_add(search, key);
	}
	free(handles);
	return rv;
}

/*
 * An EC private key does not hold its public half: CKA_ID is all that leads to it, or CKA_ID and
 * the label, which is the better sign. Two that are equally likely and differ leave the key without
 * one. Nothing made with it is given out before a signature has proven it (issue.c, probe.c).
 */
enum { RANK_ID = 1, RANK_ID_AND_LABEL = 2 };

static void adopt_public(struct search *search, CK_KEY_TYPE type, const struct sg_blob *id,
    const struct sg_blob *label, EVP_PKEY *public)
{
	size_t i;

	for (i = 0; i < search->count; i++) {
		struct sg_key *key = search->keys[i];
		int rank = RANK_ID;

		if (key->type != type || !sg_blob_eq(&key->info.id, id))
			continue;
		if (key->label.len > 0 && sg_blob_eq(&key->label, label))
			rank = RANK_ID_AND_LABEL;
		if (key->public != NULL && rank == key->public_rank) {
			key->public_doubt |= EVP_PKEY_eq(key->public, public) != 1;
		} else if ((key->public == NULL ||
			       (key->public_rank > 0 && rank > key->public_rank)) &&
		    EVP_PKEY_up_ref(public) == 1) {
			EVP_PKEY_free(key->public);
			key->public = public;
			key->public_rank = rank;
			key->public_doubt = 0;
		}
	}
}

static CK_RV adopt_from_public(struct sg_token *token, CK_SESSION_HANDLE session,
    CK_OBJECT_HANDLE handle, struct search *search)
{
	struct sg_key *half = NULL;
	CK_RV rv;

	rv = key_read(token, session, search->epoch, handle, 0, &half);
	if (rv == CKR_OK && half->public != NULL)
		adopt_public(search, half->type, &half->info.id, &half->label, half->public);
	sg_key_unref(half);
	return rv;
}

static CK_RV adopt_from_cert(struct sg_token *token, CK_SESSION_HANDLE session,
    CK_OBJECT_HANDLE handle, struct search *search)
{
	CK_ATTRIBUTE at[] = { { CKA_ID, NULL, 0 }, { CKA_LABEL, NULL, 0 }, { CKA_VALUE, NULL, 0 },
		{ CKA_TOKEN, NULL, 0 } };
	const size_t count = sizeof(at) / sizeof(at[0]);
	struct sg_blob id, label;
	EVP_PKEY *key = NULL;
	const unsigned char *der;
	X509 *cert = NULL;
	CK_RV rv;
	int type;

	rv = sg_object_read(token->module, session, handle, at, count);
	/* Attestation certificates of ykcs11 share the key's identifier, and are not on the
	 * token. */
	if (rv == CKR_OK && at[0].ulValueLen > 0 && at[2].ulValueLen > 0 &&
	    (at[3].ulValueLen == 0 || sg_attribute_bool(&at[3]))) {
		der = at[2].pValue;
		cert = d2i_X509(NULL, &der, (long)at[2].ulValueLen);
	}
	if (cert != NULL)
		key = X509_get0_pubkey(cert);
	if (key != NULL) {
		id = blob_of(&at[0]);
		label = blob_of(&at[1]);
		type = EVP_PKEY_get_base_id(key);
		if (type == EVP_PKEY_RSA || type == EVP_PKEY_EC)
			adopt_public(
			    search, type == EVP_PKEY_RSA ? CKK_RSA : CKK_EC, &id, &label, key);
	}
	X509_free(cert);
	sg_attributes_clear(at, count);
	return rv;
}

static size_t count_bare(const struct search *search, struct sg_blob *id)
{
	size_t i, n = 0;

	for (i = 0; i < search->count; i++) {
		const struct sg_key *key = search->keys[i];

		if (key->public != NULL || key->info.id.len == 0)
			continue;
		if (key->type != CKK_RSA && key->type != CKK_EC)
			continue;
		*id = key->info.id;
		n++;
	}
	return n;
}

/* Private EC keys do not hold their public half: it stands in a public key object or a
 * certificate. */
static CK_RV find_publics(
    struct sg_token *token, CK_SESSION_HANDLE session, CK_OBJECT_CLASS class, struct search *search)
{
	CK_OBJECT_HANDLE *handles = NULL;
	size_t i, bare, count = 0;
	CK_ATTRIBUTE more[1];
	struct sg_blob id;
	CK_RV rv;

	bare = count_bare(search, &id);
	if (bare == 0)
		return CKR_OK;
	more[0] = (CK_ATTRIBUTE){ CKA_ID, id.data, id.len };
	rv = find_class(token, session, class, more, bare == 1 ? 1 : 0, &handles, &count);
	for (i = 0; i < count && rv == CKR_OK; i++) {
		rv = class == CKO_CERTIFICATE
		    ? adopt_from_cert(token, session, handles[i], search)
		    : adopt_from_public(token, session, handles[i], search);
		if (rv == CKR_OBJECT_HANDLE_INVALID)
			rv = CKR_OK;
	}
	free(handles);
	return rv;
}

/* Private keys; those public ones, too, whose private key a locked token hides. */
static CK_RV search_in_session(
    struct sg_token *token, CK_SESSION_HANDLE session, int with_public, struct search *search)
{
	CK_RV rv;
	size_t i;

	rv = search_class(token, session, CKO_PRIVATE_KEY, search);
	if (rv == CKR_OK && with_public)
		rv = search_class(token, session, CKO_PUBLIC_KEY, search);
	if (rv == CKR_OK)
		rv = find_publics(token, session, CKO_PUBLIC_KEY, search);
	if (rv == CKR_OK)
		rv = find_publics(token, session, CKO_CERTIFICATE, search);
	for (i = 0; i < search->count && rv == CKR_OK; i++)
		rv = finish(search->keys[i]);
	return rv;
}

static CK_RV search_run(struct sg_token *token, CK_SESSION_HANDLE session, int again, void *arg)
{
	struct search *search = arg;
	int is_unlocked, tries = SEARCHES_MAX;
	CK_RV rv;

	/* Private keys hide while another thread locks the token: what it shows then is neither what an
	 * open token has nor what a locked one shows. */
	do {
		sg_keys_free(search->keys, search->count);
		search->keys = NULL;
		search->count = search->room = 0;
		search->epoch = sg_token_epoch(token);
		rv = search_in_session(token, session, !sg_token_is_open(token), search);
	} while (rv == CKR_OK && search->epoch != sg_token_epoch(token) && --tries > 0);
	/* A token that lost our login hides the private keys, and gives no error that says so. */
	pthread_mutex_lock(&token->lock);
	is_unlocked = token->unlocked;
	pthread_mutex_unlock(&token->lock);
	if (rv == CKR_OK && search->count == 0 && is_unlocked &&
	    !sg_session_is_user(token, session))
		return CKR_USER_NOT_LOGGED_IN;
	return rv;
}

CK_RV sg_keys_of_token(struct sg_token *token, const struct sg_selector *selector,
    struct sg_key ***keys, size_t *count)
{
	struct search search = { 0 };
	CK_RV rv = CKR_OK;

	*keys = NULL;
	*count = 0;
	search.wanted_count = sg_selector_template(selector, search.wanted);
	if (sg_selector_means_keys(selector))
		rv = sg_token_run(token, search_run, &search);
	if (rv != CKR_OK) {
		sg_keys_free(search.keys, search.count);
		return rv;
	}
	*keys = search.keys;
	*count = search.count;
	return CKR_OK;
}

/* One of those that were found, by its public key. */
static CK_RV pick(const struct search *search, const struct sg_key *key, CK_OBJECT_HANDLE *handle)
{
	size_t i;

	if (search->count == 0 || (search->count > 1 && key->info.spki.len == 0))
		return CKR_KEY_HANDLE_INVALID;
	for (i = 0; i < search->count; i++) {
		if (key->info.spki.len == 0 ||
		    sg_blob_eq(&search->keys[i]->info.spki, &key->info.spki)) {
			*handle = search->keys[i]->handle;
			return CKR_OK;
		}
	}
	return CKR_KEY_CHANGED;
}

CK_RV sg_key_handle(const struct sg_key *key, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE *handle)
{
	struct sg_token *token = key->token;
	CK_KEY_TYPE type = key->type;
	struct search search = { .wanted = { { CKA_KEY_TYPE, &type, sizeof(type) } },
		.wanted_count = 1,
		.epoch = sg_token_epoch(token) };
	CK_RV rv;

	if (key->info.id.len > 0)
		search.wanted[search.wanted_count++] =
		    (CK_ATTRIBUTE){ CKA_ID, key->info.id.data, key->info.id.len };
	if (key->label.len > 0)
		search.wanted[search.wanted_count++] =
		    (CK_ATTRIBUTE){ CKA_LABEL, key->label.data, key->label.len };
	rv = search_in_session(token, session, 0, &search);
	if (rv == CKR_OK)
		rv = pick(&search, key, handle);
	sg_keys_free(search.keys, search.count);
	return rv;
}
