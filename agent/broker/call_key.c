#include "call_key.h"

#include <stdlib.h>
#include <string.h>

#include "ask_all.h"
#include "key_cache.h"
#include "key_find.h"
#include "key_known.h"
#include "unlocked.h"
#include "worker.h"

static void on_key(void *arg, const struct sg_msg_error *error, struct sg_key_ref *key)
{
	struct sg_call *call = arg;

	if (error == NULL) {
		sg_key_ref_clear(&call->key);
		call->key = *key;
		memset(key, 0, sizeof(*key));
	}
	sg_call_continue(call, error);
}

void sg_call_find_key(struct sg_call *call, const char *selector, sg_verb_fn *next)
{
	call->next = next;
	sg_tokens_find_key(call->agent->tokens, &call->caller, selector, on_key, call);
}

/* Whether the token of the key that was asked for was pulled during the call: its module may have
 * said so, or that the key has gone, or that it is locked. */
static int token_has_gone(const struct sg_call *call)
{
	const char *token_uri;

	if (call->key_use.token_gone || !call->key_use.asked_again)
		return call->key_use.token_gone;
	token_uri = sg_key_ref_info(&call->key)->token_uri;
	return token_uri != NULL && sg_module_lacks(call->key.module, token_uri);
}

static void on_unlocked(void *arg, const struct sg_msg_error *error, struct sg_key_ref *key)
{
	struct sg_msg_error gone = { 0 };
	struct sg_call *call = arg;

	if (error != NULL && sg_msg_error_code(error) == SG_ERR_KEY_ABSENT &&
	    token_has_gone(call)) {
		sg_msg_error_set(&gone, SG_ERR_TOKEN_ABSENT, error->subject,
		    "the token that has the key was taken out during the call");
		error = &gone;
	}
	on_key(call, error, key);
	sg_failure_clear(&gone);
}

static void find_unlocked(struct sg_call *call)
{
	call->next = call->key_use.step;
	if (call->key_use.any)
		sg_key_find_any(call->agent, &call->caller, call->key_use.selector, &call->pin,
		    on_unlocked, call);
	else
		sg_key_find_unlocked(call->agent, &call->caller, call->key_use.selector, &call->pin,
		    on_unlocked, call);
}

/* The selector may be a text of the key that is found anew. */
static void use_key(struct sg_call *call, const char *selector, int any, sg_verb_fn *step)
{
	char *copy = strdup(selector);

	if (copy == NULL) {
		sg_call_fail_code(call, SG_ERR_NOMEM, NULL);
		return;
	}
	free(call->key_use.selector);
	call->key_use.selector = copy;
	call->key_use.step = step;
	call->key_use.asked_again = call->key_use.token_gone = 0;
	call->key_use.any = any;
	find_unlocked(call);
}

void sg_call_use_key(struct sg_call *call, const char *selector, sg_verb_fn *step)
{
	use_key(call, selector, 0, step);
}

void sg_call_use_key_anew(struct sg_call *call, const char *selector, sg_verb_fn *step)
{
	use_key(call, selector, 1, step);
}

void sg_call_use_key_again(struct sg_call *call, sg_verb_fn *step)
{
	sg_call_use_key(call, sg_key_ref_info(&call->key)->uri, step);
}

struct sg_blob sg_call_key_spki_sha256(struct sg_call *call)
{
	return (struct sg_blob){ call->key.spki_sha256, call->key.spki_sha256_len };
}

int sg_call_key_fits(struct sg_call *call, const struct sg_blob *certificate)
{
	struct sg_msg_error error = { 0 };

	if (sg_key_known_fits(&call->key, certificate))
		return 1;
	sg_key_known_set_changed(call->agent, &call->key, &error);
	sg_call_fail(call, &error);
	sg_failure_clear(&error);
	return 0;
}

/* Whether the key was asked for in vain, for what was remembered of it or of its token stands no
 * more. */
static int is_outdated(int code)
{
	return code == SG_ERR_KEY_ABSENT || code == SG_ERR_PIN_NEEDED ||
	    code == SG_ERR_TOKEN_ABSENT;
}

static int takes_no_cert(int code)
{
	return code == SG_ERR_UNSUPPORTED || code == SG_ERR_TOKEN_READ_ONLY ||
	    code == SG_ERR_TOKEN_FULL;
}

static void not_stored(struct sg_call *call, const struct sg_msg_error *error)
{
	sg_call_stored_fn *next = call->key_use.stored;

	call->key_use.stored = NULL;
	sg_call_note_stored(call, error);
	next(call, NULL, error);
}

struct ask {
	struct sg_call *call;
	sg_call_answer_fn *next;
};

static void on_answer(void *arg, const struct sg_msg_error *error, void *answer)
{
	struct ask ask = *(struct ask *)arg;
	struct sg_call *call = ask.call;
	int code = error != NULL ? sg_msg_error_code(error) : 0;

	free(arg);
	call->key_use.asked = NULL;
	if (code == 0) {
		ask.next(call, answer);
		return;
	}
	if (is_outdated(code) || code == SG_ERR_KEY_CHANGED)
		sg_unlocked_forget(
		    call->agent, call->key.module, sg_key_ref_info(&call->key)->token_uri);
	if (!is_outdated(code) || call->key_use.asked_again) {
		if (call->key_use.stored != NULL && takes_no_cert(code))
			not_stored(call, error);
		else
			sg_call_fail(call, error);
	} else {
		call->key_use.asked_again = 1;
		call->key_use.token_gone = code == SG_ERR_TOKEN_ABSENT;
		find_unlocked(call);
	}
}

void sg_call_ask_key(
    struct sg_call *call, uint16_t type, const void *msg, int seconds, sg_call_answer_fn *next)
{
	struct ask *ask;

	if (type != SG_MSG_CERT_STORE && sg_call_is_dropped(call)) {
		sg_call_fail_with(
		    call, SG_ERR_PIN_CANCELLED, NULL, "whoever asked for it has gone");
		return;
	}
	ask = malloc(sizeof(*ask));
	if (ask == NULL) {
		sg_call_fail_code(call, SG_ERR_NOMEM, NULL);
		return;
	}
	*ask = (struct ask){ call, next };
	call->key_use.asked = type != SG_MSG_CERT_STORE ? ask : NULL;
	sg_worker_request(call->key.module->worker, type, msg, -1, seconds, on_answer, ask);
}

static void on_stored(struct sg_call *call, void *answer)
{
	struct sg_msg_objects *objects = answer;
	sg_call_stored_fn *next = call->key_use.stored;

	call->key_use.stored = NULL;
	sg_call_note_stored(call, NULL);
	sg_key_cache_flush(call->agent->key_cache, call->key.module);
	next(call, objects->cert_count == 1 ? &objects->certs[0] : NULL, NULL);
}

void sg_call_store_cert(struct sg_call *call, const struct sg_blob *der, sg_call_stored_fn *next)
{
	const struct sg_msg_cert_store msg = {
		.caller = call->caller,
		.key = sg_key_ref_info(&call->key)->uri,
		.label = sg_key_ref_info(&call->key)->label,
		.der = *der,
		.spki_sha256 = sg_call_key_spki_sha256(call),
	};

	call->key_use.stored = next;
	sg_call_ask_key(call, SG_MSG_CERT_STORE, &msg, SG_TOKEN_SECONDS, on_stored);
}
