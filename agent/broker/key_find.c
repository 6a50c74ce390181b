#include "key_find.h"

#include <stdlib.h>
#include <string.h>

#include "key_cache.h"
#include "key_known.h"
#include "unlocked.h"
#include "uri.h"

struct key_search {
	struct sg_agent *agent;
	const struct sg_caller *caller;
	char *selector;
	struct sg_pin *pin;
	int any_key; /* also one that another stood for before */
	struct sg_key_ref key;
	int second_look;
	sg_key_fn *fn;
	void *arg;
};

static void on_key(void *arg, const struct sg_msg_error *error, struct sg_key_ref *key);

static void search_finish(struct key_search *search, const struct sg_msg_error *error)
{
	search->fn(search->arg, error, error == NULL ? &search->key : NULL);
	sg_key_ref_clear(&search->key);
	free(search->selector);
	free(search);
}

static void look(struct key_search *search)
{
	sg_tokens_find_key(search->agent->tokens, search->caller, search->selector, on_key, search);
}

static const char *token_of(const struct sg_key_ref *key)
{
	const char *uri = sg_key_ref_info(key)->token_uri;

	return uri != NULL ? uri : "";
}

/* The key is found and its token unlocked. */
static void settle(struct key_search *search)
{
	struct sg_msg_error error = { 0 };

	if (search->any_key) {
		search_finish(search, NULL);
		return;
	}
	if (sg_key_known_check(search->agent, &search->key, &error) == 0) {
		sg_key_cache_put(search->agent->key_cache, search->selector, &search->key);
		search_finish(search, NULL);
	} else {
		search_finish(search, &error);
	}
	sg_failure_clear(&error);
}

static void on_key_unlocked(void *arg, const struct sg_msg_error *error)
{
	struct key_search *search = arg;

	if (error != NULL) {
		search_finish(search, error);
	} else if ((sg_key_ref_info(&search->key)->abilities & SG_KEY_PRIVATE_SEEN) == 0 &&
	    !search->second_look) {
		/* It was locked: another key of this name may have been hidden. */
		search->second_look = 1;
		sg_key_ref_clear(&search->key);
		look(search);
	} else {
		settle(search);
	}
}

static void on_key(void *arg, const struct sg_msg_error *error, struct sg_key_ref *key)
{
	struct key_search *search = arg;

	if (error != NULL) {
		search_finish(search, error);
		return;
	}
	search->key = *key;
	memset(key, 0, sizeof(*key));
	if (sg_unlocked_has(search->key.module, token_of(&search->key)))
		on_key_unlocked(search, NULL);
	else
		sg_login_unlock(search->agent, search->caller, search->key.module,
		    token_of(&search->key), search->pin, 0, on_key_unlocked, search);
}

static void on_token_unlocked(void *arg, const struct sg_msg_error *error)
{
	struct key_search *search = arg;

	if (error != NULL)
		search_finish(search, error);
	else
		look(search);
}

/* The token that the selector names is unlocked before its keys are looked for, once. */
static void on_token(void *arg, const struct sg_msg_error *error, struct sg_token_ref *token)
{
	struct key_search *search = arg;
	const struct sg_token_info *info = error == NULL ? sg_token_ref_info(token) : NULL;

	/* It was waited for, and so would it be in the next look. */
	if (error != NULL && sg_msg_error_code(error) == SG_ERR_TIMEOUT)
		search_finish(search, error);
	else if (info == NULL || info->uri == NULL || (info->flags & SG_TOKEN_UNLOCKED) != 0 ||
	    (info->flags & SG_TOKEN_LOGIN_REQUIRED) == 0)
		look(search);
	else
		sg_login_unlock(search->agent, search->caller, token->module, info->uri,
		    search->pin, 0, on_token_unlocked, search);
}

static void on_remembered_unlocked(void *arg, const struct sg_msg_error *error)
{
	search_finish(arg, error);
}

static struct key_search *search_new(struct sg_agent *agent, const struct sg_caller *caller,
    const char *selector, struct sg_pin *pin, sg_key_fn *fn, void *arg)
{
	struct key_search *search = calloc(1, sizeof(*search));

	if (search == NULL || (search->selector = strdup(selector)) == NULL)
		abort(); /* the caller would wait for ever */
	search->agent = agent;
	search->caller = caller;
	search->pin = pin;
	search->fn = fn;
	search->arg = arg;
	return search;
}

static void search_begin(struct key_search *search)
{
	if (sg_uri_is_uri(search->selector))
		sg_tokens_find(search->agent->tokens, search->selector, on_token, search);
	else
		look(search);
}

void sg_key_find_unlocked(struct sg_agent *agent, const struct sg_caller *caller,
    const char *selector, struct sg_pin *pin, sg_key_fn *fn, void *arg)
{
	struct sg_key_ref key;
	struct key_search *search;

	if (!sg_key_cache_get(agent->key_cache, selector, &key)) {
		search_begin(search_new(agent, caller, selector, pin, fn, arg));
	} else if (sg_unlocked_has(key.module, token_of(&key))) {
		fn(arg, NULL, &key);
		sg_key_ref_clear(&key);
	} else {
		search = search_new(agent, caller, selector, pin, fn, arg);
		search->key = key;
		sg_login_unlock(agent, caller, key.module, token_of(&key), pin, 0,
		    on_remembered_unlocked, search);
	}
}

void sg_key_find_any(struct sg_agent *agent, const struct sg_caller *caller, const char *selector,
    struct sg_pin *pin, sg_key_fn *fn, void *arg)
{
	struct key_search *search = search_new(agent, caller, selector, pin, fn, arg);

	search->any_key = 1;
	search_begin(search);
}
