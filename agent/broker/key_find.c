#include "key_find.h"

#include <stdlib.h>
#include <string.h>

#include "uri.h"

struct key_search {
	struct sg_agent *agent;
	const struct sg_caller *caller;
	char *selector;
	struct sg_pin *pin;
	struct sg_key_ref key;
	struct sg_msg_error absent; /* what the first look said */
	int second_look;
	sg_key_fn *fn;
	void *arg;
};

static void key_search_finish(struct key_search *search, const struct sg_msg_error *error)
{
	search->fn(search->arg, error, error == NULL ? &search->key : NULL);
	sg_key_ref_clear(&search->key);
	sg_failure_clear(&search->absent);
	free(search->selector);
	free(search);
}

static void on_key_unlocked(void *arg, const struct sg_msg_error *error)
{
	key_search_finish(arg, error);
}

static void on_key(void *arg, const struct sg_msg_error *error, struct sg_key_ref *key);

static void on_hiding_token_unlocked(void *arg, const struct sg_msg_error *error)
{
	struct key_search *search = arg;

	if (error != NULL) {
		key_search_finish(search, error);
		return;
	}
	search->second_look = 1;
	sg_tokens_find_key(search->agent->tokens, search->caller, search->selector, on_key, search);
}

static void on_hiding_token(void *arg, const struct sg_msg_error *error, struct sg_token_ref *token)
{
	struct key_search *search = arg;
	const struct sg_token_info *info = error == NULL ? sg_token_ref_info(token) : NULL;

	if (info == NULL || info->uri == NULL || (info->flags & SG_TOKEN_UNLOCKED) != 0 ||
	    (info->flags & SG_TOKEN_LOGIN_REQUIRED) == 0)
		key_search_finish(search, &search->absent);
	else
		sg_login_unlock(search->agent, search->caller, token->module, info->uri,
		    search->pin, 0, on_hiding_token_unlocked, search);
}

static void on_key(void *arg, const struct sg_msg_error *error, struct sg_key_ref *key)
{
	struct key_search *search = arg;
	const char *token_uri;

	if (error != NULL && sg_msg_error_code(error) == SG_ERR_KEY_ABSENT &&
	    !search->second_look && sg_uri_is_uri(search->selector)) {
		sg_failure_copy(&search->absent, error);
		sg_tokens_find(search->agent->tokens, search->selector, on_hiding_token, search);
		return;
	}
	if (error != NULL) {
		key_search_finish(search, error);
		return;
	}
	search->key = *key;
	memset(key, 0, sizeof(*key));
	token_uri = sg_key_ref_info(&search->key)->token_uri;
	sg_login_unlock(search->agent, search->caller, search->key.module,
	    token_uri != NULL ? token_uri : "", search->pin, 0, on_key_unlocked, search);
}

void sg_key_find_unlocked(struct sg_agent *agent, const struct sg_caller *caller,
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
	sg_tokens_find_key(agent->tokens, caller, search->selector, on_key, search);
}
