#include "key_find.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/x509.h>

#include "cert.h"
#include "ckr.h"
#include "log.h"
#include "text.h"
#include "token_find.h"
#include "uri.h"
#include "x509.h"

#define CANDIDATES_MAX 100

/* ---- what is remembered ---- */

static void slot_clear(struct sg_key_slot *slot)
{
	sg_key_unref(slot->key);
	free(slot->selector);
	slot->key = NULL;
	slot->selector = NULL;
}

static struct sg_key *cache_get(struct sg_module *module, const char *text)
{
	struct sg_key *key = NULL;
	size_t i;

	pthread_mutex_lock(&module->cache_lock);
	for (i = 0; i < SG_KEY_CACHE_MAX && key == NULL; i++) {
		if (module->cache[i].key != NULL && strcmp(module->cache[i].selector, text) == 0)
			key = sg_key_ref(module->cache[i].key);
	}
	pthread_mutex_unlock(&module->cache_lock);
	if (key != NULL && key->epoch != sg_token_epoch(key->token)) {
		sg_key_cache_drop(key);
		sg_key_unref(key);
		key = NULL;
	}
	return key;
}

static void cache_put(struct sg_module *module, const char *text, struct sg_key *key)
{
	char *selector = strdup(text);
	struct sg_key_slot *slot;

	if (selector == NULL)
		return; /* it is found by searching then */
	pthread_mutex_lock(&module->cache_lock);
	slot = &module->cache[module->cache_next++ % SG_KEY_CACHE_MAX];
	slot_clear(slot);
	slot->selector = selector;
	slot->key = sg_key_ref(key);
	pthread_mutex_unlock(&module->cache_lock);
}

void sg_key_cache_drop(struct sg_key *key)
{
	struct sg_module *module = key->token->module;
	size_t i;

	pthread_mutex_lock(&module->cache_lock);
	for (i = 0; i < SG_KEY_CACHE_MAX; i++) {
		if (module->cache[i].key == key)
			slot_clear(&module->cache[i]);
	}
	pthread_mutex_unlock(&module->cache_lock);
}

void sg_key_cache_flush(struct sg_module *module)
{
	size_t i;

	pthread_mutex_lock(&module->cache_lock);
	for (i = 0; i < SG_KEY_CACHE_MAX; i++)
		slot_clear(&module->cache[i]);
	pthread_mutex_unlock(&module->cache_lock);
}

/* ---- finding one ---- */

struct hunt {
	struct sg_key **keys; /* the first CANDIDATES_MAX of them */
	size_t count;
	struct sg_token *locked; /* a locked token that was named and shows no keys at all */
	struct sg_token *failed;
	CK_RV failure;
};

static size_t kept(const struct hunt *hunt)
{
	return hunt->count < CANDIDATES_MAX ? hunt->count : CANDIDATES_MAX;
}

static int shows_nothing(struct sg_token *token)
{
	struct sg_selector *all = NULL;
	struct sg_msg_error error = { 0 };
	struct sg_key **keys = NULL;
	size_t count = 0;
	int nothing;

	if (sg_selector_parse("", &all, &error) != 0)
		return 0;
	nothing = sg_keys_of_token(token, all, &keys, &count) == CKR_OK && count == 0;
	sg_keys_free(keys, count);
	sg_selector_free(all);
	return nothing;
}

static void hunt_token(
    struct sg_token *token, const struct sg_selector *selector, struct hunt *hunt)
{
	struct sg_key **keys = NULL;
	size_t i, count = 0;
	CK_RV rv;

	rv = sg_keys_of_token(token, selector, &keys, &count);
	if (rv != CKR_OK) {
		/* The others may still hold what is meant. */
		sg_log(SG_LOG_WARN, "token '%s' cannot be searched: %s", token->label,
		    sg_ckr_name(rv));
		hunt->failed = token;
		hunt->failure = rv;
		return;
	}
	if (count == 0 && sg_selector_names_token(selector) && !sg_token_is_open(token) &&
	    shows_nothing(token))
		hunt->locked = token;
	for (i = 0; i < count; i++, hunt->count++) {
		if (hunt->count < CANDIDATES_MAX)
			hunt->keys[hunt->count] = sg_key_ref(keys[i]);
	}
	sg_keys_free(keys, count);
}

static int pin_needed(struct sg_token *token, struct sg_msg_error *error)
{
	sg_msg_error_set(
	    error, SG_ERR_PIN_NEEDED, token->uri, "token '%s' is locked", token->label);
	return SG_ERR_PIN_NEEDED;
}

/* ---- more than one ---- */

/* Whether two of what was found have one URI, so that none can be named. */
static int two_alike(const struct hunt *hunt)
{
	size_t i, j;

	for (i = 0; i < kept(hunt); i++) {
		for (j = 0; j < i; j++) {
			if (strcmp(hunt->keys[i]->info.uri, hunt->keys[j]->info.uri) == 0)
				return 1;
		}
	}
	return 0;
}

/* For people: RFC 4514, but with letters of all languages as they are. */
static char *subject_text(const struct sg_cert_info *info)
{
	const unsigned long flags = XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB;
	BIO *out = BIO_new(BIO_s_mem());
	char *subject = NULL, *text;
	X509 *cert = NULL;
	long len;

	if (out != NULL && sg_x509_cert_parse(&info->der, &cert) == 0 &&
	    X509_NAME_print_ex(out, X509_get_subject_name(cert), 0, flags) >= 0) {
		len = BIO_get_mem_data(out, &text);
		subject = sg_text_padded((unsigned char *)text, (size_t)len);
	}
	BIO_free(out);
	X509_free(cert);
	return subject;
}

/* Of the first certificate that holds the key; NULL when there is none. */
static char *subject_of(
    const struct sg_key *key, const struct sg_cert_info *certs, size_t cert_count)
{
	struct sg_blob spki;
	size_t i;
	int found;

	for (i = 0; i < cert_count; i++) {
		sg_cert_spki(&certs[i], &spki);
		found = spki.len > 0 && sg_blob_eq(&spki, &key->info.spki);
		sg_blob_clear(&spki);
		if (found)
			return subject_text(&certs[i]);
	}
	return NULL;
}

static int candidate_fill(struct sg_candidate *candidate, const struct sg_key *key,
    const struct sg_cert_info *certs, size_t cert_count)
{
	const CK_TOKEN_INFO *token = &key->token->identity;

	*candidate = (struct sg_candidate){
		.uri = strdup(key->info.uri),
		.label = strdup(key->info.label),
		.id = sg_hex_encode(key->info.id.data, key->info.id.len),
		.serial = sg_text_padded(token->serialNumber, sizeof(token->serialNumber)),
		.subject = subject_of(key, certs, cert_count),
	};
	return candidate->uri != NULL ? 0 : SG_ERR_NOMEM;
}

/* What matches, for a person to choose from; keys of one token stand together. */
static int candidates_fill(const struct hunt *hunt, struct sg_msg_error *error)
{
	struct sg_cert_info *certs = NULL;
	size_t i, cert_count = 0;
	int err = 0;

	error->candidates = calloc(kept(hunt), sizeof(*error->candidates));
	if (error->candidates == NULL)
		return SG_ERR_NOMEM;
	for (i = 0; i < kept(hunt) && err == 0; i++) {
		if (i == 0 || hunt->keys[i]->token != hunt->keys[i - 1]->token) {
			sg_certs_free(certs, cert_count);
			/* Without certificates the rest still tells them apart. */
			if (sg_certs_of_token(hunt->keys[i]->token, &certs, &cert_count) != CKR_OK)
				cert_count = 0;
		}
		error->candidate_count++;
		err = candidate_fill(&error->candidates[i], hunt->keys[i], certs, cert_count);
	}
	sg_certs_free(certs, cert_count);
	return err;
}

static int ambiguous(const struct hunt *hunt, const char *text, struct sg_msg_error *error)
{
	int err;

	if (two_alike(hunt))
		sg_msg_error_set(error, SG_ERR_KEY_AMBIGUOUS, text,
		    "%zu keys match '%s', and two of them cannot be told apart, for their "
		    "labels and identifiers are equal: remove or relabel one of the two "
		    "with the token's own tool",
		    hunt->count, text);
	else
		sg_msg_error_set(
		    error, SG_ERR_KEY_AMBIGUOUS, text, "%zu keys match '%s'", hunt->count, text);
	err = candidates_fill(hunt, error);
	return err != 0 ? err : SG_ERR_KEY_AMBIGUOUS;
}

/* ---- the one ---- */

/* Judges what was found. */
static int hunt_end(const struct hunt *hunt, const char *text, struct sg_msg_error *error)
{
	if (hunt->count > 1)
		return ambiguous(hunt, text, error);
	if (hunt->count == 1 && hunt->keys[0]->handle == CK_INVALID_HANDLE)
		return pin_needed(hunt->keys[0]->token, error);
	if (hunt->count == 1)
		return 0;
	if (hunt->failed != NULL)
		return sg_ckr_fail(error, hunt->failure, "searching", hunt->failed->label);
	if (hunt->locked != NULL)
		return pin_needed(hunt->locked, error);
	sg_msg_error_set(
	    error, SG_ERR_KEY_ABSENT, text, "no key '%s' is on any token that is there", text);
	return SG_ERR_KEY_ABSENT;
}

static int search(
    struct sg_module *module, const char *text, struct sg_key **key, struct sg_msg_error *error)
{
	struct sg_selector *selector = NULL;
	struct sg_token **tokens = NULL;
	struct hunt hunt = { 0 };
	size_t i, count = 0;
	int err;

	err = sg_selector_parse(text, &selector, error);
	if (err == 0)
		err = sg_token_scan(module, &tokens, &count, error);
	if (err == 0) {
		hunt.keys = calloc(CANDIDATES_MAX, sizeof(struct sg_key *));
		err = hunt.keys != NULL ? 0 : SG_ERR_NOMEM;
	}
	for (i = 0; i < count && err == 0; i++) {
		if (sg_token_match(tokens[i], selector))
			hunt_token(tokens[i], selector, &hunt);
	}
	if (err == 0)
		err = hunt_end(&hunt, text, error);
	if (err == 0) {
		cache_put(module, text, hunt.keys[0]);
		*key = sg_key_ref(hunt.keys[0]);
	}
	sg_keys_free(hunt.keys, kept(&hunt));
	free(tokens);
	sg_selector_free(selector);
	return err;
}

/* Whether the key is the one that was used under its name before. */
static int is_pinned(const struct sg_key *key, const struct sg_blob *spki_sha256)
{
	const struct sg_blob *spki = &key->info.spki;

	return spki_sha256 == NULL || spki_sha256->len == 0 ||
	    (spki->len > 0 && spki_sha256->len == sizeof(key->spki_sha256) &&
		memcmp(spki_sha256->data, key->spki_sha256, sizeof(key->spki_sha256)) == 0);
}

static int changed(const struct sg_key *key, struct sg_msg_error *error)
{
	if (key->info.spki.len == 0)
		sg_msg_error_set(error, SG_ERR_KEY_CHANGED, key->info.uri,
		    "token '%s' no longer shows the public half of the key %s, which was known "
		    "when it was used before: put its certificate back, or say so with `signet key "
		    "use`",
		    key->token->label, key->info.uri);
	else
		sg_msg_error_set(error, SG_ERR_KEY_CHANGED, key->info.uri,
		    "another key stands under the name %s on token '%s' than when it was used "
		    "before",
		    key->info.uri, key->token->label);
	return SG_ERR_KEY_CHANGED;
}

int sg_key_find(struct sg_module *module, const char *text, const struct sg_blob *spki_sha256,
    struct sg_key **key, struct sg_msg_error *error)
{
	int err;

	*key = NULL;
	if (text == NULL || !*text) {
		sg_msg_error_set(error, SG_ERR_ARG, NULL, "no key was named");
		return SG_ERR_ARG;
	}
	*key = cache_get(module, text);
	if (*key != NULL && is_pinned(*key, spki_sha256))
		return 0;
	if (*key != NULL) {
		/* What is remembered may be what changed: the token decides. */
		sg_key_cache_drop(*key);
		sg_key_unref(*key);
		*key = NULL;
	}
	err = search(module, text, key, error);
	if (err != 0 || is_pinned(*key, spki_sha256))
		return err;
	err = changed(*key, error);
	sg_key_unref(*key);
	*key = NULL;
	return err;
}
