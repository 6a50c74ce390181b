#include "find.h"

#include <stdlib.h>
#include <string.h>

#include "ckr.h"
#include "log.h"
#include "text.h"
#include "uri.h"

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
	struct sg_key *key; /* the first */
	struct sg_candidate *candidates; /* all, up to CANDIDATES_MAX */
	size_t count;
	struct sg_token *locked; /* a locked token that was named and shows no keys at all */
	struct sg_token *failed;
	CK_RV failure;
};

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

static int candidate_fill(struct sg_candidate *candidate, const struct sg_key *key)
{
	const CK_TOKEN_INFO *token = &key->token->identity;

	*candidate = (struct sg_candidate){
		.uri = strdup(key->info.uri),
		.label = key->info.label != NULL ? strdup(key->info.label) : NULL,
		.id = sg_hex_encode(key->info.id.data, key->info.id.len),
		.serial = sg_text_padded(token->serialNumber, sizeof(token->serialNumber)),
	};
	return candidate->uri != NULL ? 0 : SG_ERR_NOMEM;
}

static int hunt_token(struct sg_token *token, const struct sg_selector *selector, struct hunt *hunt)
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
		return 0;
	}
	if (count == 0 && sg_selector_names_token(selector) && !sg_token_is_open(token) &&
	    shows_nothing(token))
		hunt->locked = token;
	for (i = 0; i < count; i++, hunt->count++) {
		if (hunt->key == NULL)
			hunt->key = sg_key_ref(keys[i]);
		if (hunt->count < CANDIDATES_MAX &&
		    candidate_fill(&hunt->candidates[hunt->count], keys[i]) != 0)
			break;
	}
	sg_keys_free(keys, count);
	return i == count ? 0 : SG_ERR_NOMEM;
}

static int pin_needed(struct sg_token *token, struct sg_msg_error *error)
{
	sg_msg_error_set(
	    error, SG_ERR_PIN_NEEDED, token->uri, "token '%s' is locked", token->label);
	return SG_ERR_PIN_NEEDED;
}

/* Whether two of what was found have one URI, so that none can be named. */
static int two_alike(const struct hunt *hunt)
{
	size_t i, j;

	for (i = 0; i < hunt->count && i < CANDIDATES_MAX; i++) {
		for (j = 0; j < i; j++) {
			if (strcmp(hunt->candidates[i].uri, hunt->candidates[j].uri) == 0)
				return 1;
		}
	}
	return 0;
}

/* Judges what was found. */
static int hunt_end(struct hunt *hunt, const char *text, struct sg_msg_error *error)
{
	if (hunt->count > 1) {
		if (two_alike(hunt))
			sg_msg_error_set(error, SG_ERR_KEY_AMBIGUOUS, text,
			    "%zu keys match '%s', and two of them cannot be told apart, for their "
			    "labels and identifiers are equal: remove or relabel one of the two "
			    "with the token's own tool",
			    hunt->count, text);
		else
			sg_msg_error_set(error, SG_ERR_KEY_AMBIGUOUS, text, "%zu keys match '%s'",
			    hunt->count, text);
		error->candidates = hunt->candidates;
		error->candidate_count =
		    (uint32_t)(hunt->count < CANDIDATES_MAX ? hunt->count : CANDIDATES_MAX);
		hunt->candidates = NULL;
		return SG_ERR_KEY_AMBIGUOUS;
	}
	if (hunt->count == 1 && hunt->key->handle == CK_INVALID_HANDLE)
		return pin_needed(hunt->key->token, error);
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

int sg_key_find(
    struct sg_module *module, const char *text, struct sg_key **key, struct sg_msg_error *error)
{
	struct sg_selector *selector = NULL;
	struct sg_token **tokens = NULL;
	struct hunt hunt = { 0 };
	size_t i, count = 0;
	int err;

	*key = NULL;
	if (text == NULL || !*text) {
		sg_msg_error_set(error, SG_ERR_ARG, NULL, "no key was named");
		return SG_ERR_ARG;
	}
	*key = cache_get(module, text);
	if (*key != NULL)
		return 0;
	err = sg_selector_parse(text, &selector, error);
	if (err == 0)
		err = sg_token_scan(module, &tokens, &count, error);
	if (err == 0) {
		hunt.candidates = calloc(CANDIDATES_MAX, sizeof(*hunt.candidates));
		err = hunt.candidates != NULL ? 0 : SG_ERR_NOMEM;
	}
	for (i = 0; i < count && err == 0; i++) {
		if (sg_token_match(tokens[i], selector))
			err = hunt_token(tokens[i], selector, &hunt);
	}
	if (err == 0)
		err = hunt_end(&hunt, text, error);
	if (err == 0) {
		cache_put(module, text, hunt.key);
		*key = hunt.key;
		hunt.key = NULL;
	}
	sg_key_unref(hunt.key);
	for (i = 0; hunt.candidates != NULL && i < CANDIDATES_MAX; i++)
		sg_layout_clear(&sg_layout_candidate, &hunt.candidates[i]);
	free(hunt.candidates);
	free(tokens);
	sg_selector_free(selector);
	return err;
}
