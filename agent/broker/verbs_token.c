/* ListTokens, ShowToken, Unlock, Lock. */
#include "verbs.h"

#include <stdlib.h>
#include <string.h>

#include "call.h"
#include "json.h"
#include "ledger.h"
#include "log.h"
#include "reaper.h"
#include "remember.h"
#include "rest.h"
#include "unlocked.h"

/* ---- ListTokens ---- */

static void on_tokens(void *arg, struct sg_module_answer *answers, size_t count)
{
	struct sg_call *call = arg;
	const struct sg_msg_error *failed = sg_module_answers_failed(answers, count);

	if (failed != NULL)
		sg_call_fail(call, failed);
	else
		sg_call_reply(call,
		    json_pack("{s:o}", "tokens", sg_json_tokens(call->agent, answers, count)));
}

void sg_verb_list_tokens(struct sg_call *call)
{
	struct sg_tokens *tokens = call->agent->tokens;

	for (size_t i = 0; i < sg_tokens_module_count(tokens); i++)
		sg_rest_reload(sg_tokens_module(tokens, i));
	sg_ask_tokens(tokens, SG_PATIENT, on_tokens, call);
}

/* ---- ShowToken ---- */

static void show_token_found(struct sg_call *call)
{
	const struct sg_token_info *token = sg_token_ref_info(&call->token);
	json_t *mechanisms = json_array();

	for (uint32_t i = 0; i < token->mechanism_count; i++)
		json_array_append_new(mechanisms, sg_json_text_or_empty(token->mechanisms[i]));
	sg_call_reply(call,
	    json_pack("{s:o, s:o}", "token",
		sg_json_token(call->agent, token, call->token.module->name), "mechanisms",
		mechanisms));
}

void sg_verb_show_token(struct sg_call *call)
{
	sg_call_find_token(call, sg_call_string(call, "token"), show_token_found);
}

/* ---- Unlock and Lock: both reply with the token as it is afterwards ---- */

static void token_looked_at_again(struct sg_call *call)
{
	sg_call_reply(call,
	    json_pack("{s:o}", "token",
		sg_json_token(
		    call->agent, sg_token_ref_info(&call->token), call->token.module->name)));
}

/* By its URI, which names exactly this one. */
static void look_at_token_again(struct sg_call *call)
{
	char *uri = strdup(sg_token_ref_info(&call->token)->uri);

	if (uri == NULL)
		sg_call_fail_code(call, SG_ERR_NOMEM, NULL);
	else
		sg_call_find_token(call, uri, token_looked_at_again);
	free(uri);
}

/* The token's URI, or NULL when the call has failed because its worker gave none. */
static char *found_uri(struct sg_call *call)
{
	char *uri = sg_token_ref_info(&call->token)->uri;

	if (uri == NULL)
		sg_call_fail_with(call, SG_ERR_INTERNAL, NULL, "the token has no URI");
	return uri;
}

static void unlock_found(struct sg_call *call)
{
	const char *uri = found_uri(call);

	if (uri == NULL)
		return;
	call->next = look_at_token_again;
	sg_login_unlock(call->agent, &call->caller, call->token.module, uri, &call->pin, 1,
	    sg_call_continue, call);
}

void sg_verb_unlock(struct sg_call *call)
{
	sg_call_find_token(call, sg_call_string(call, "token"), unlock_found);
}

/* What Lock finds on its way. */
struct lock {
	int is_away; /* the token, while its PIN waits for it */
};

static void on_lock_ended(void *arg)
{
	static const char away[] =
	    "the token is not there; its PIN had been waiting for it, and is forgotten now";
	struct sg_call *call = arg;
	const struct lock *lock = call->state;
	json_t *token =
	    sg_json_token(call->agent, sg_token_ref_info(&call->token), call->token.module->name);

	if (token != NULL && lock->is_away)
		json_object_set_new(token, "problem", json_string(away));
	sg_call_reply(call, json_pack("{s:o}", "token", token));
}

/*
 * The PIN was wiped first, whatever the token then did; one that is not logged out goes with its
 * process. The token is told of as it was seen, but for that: a look would start the process that
 * was just ended.
 */
static void on_logout(void *arg, const struct sg_msg_error *error, void *answer)
{
	struct sg_call *call = arg;
	struct sg_module *module = call->token.module;
	struct sg_token_info *token = &call->token.tokens.tokens[0];
	pid_t pid = sg_worker_pid(module->worker);

	if (error != NULL && sg_msg_error_code(error) != SG_ERR_TOKEN_ABSENT && pid > 0) {
		sg_log(SG_LOG_WARN, "%s could not be locked (%s): its worker is ended", token->uri,
		    sg_err_name(sg_msg_error_code(error)));
		sg_worker_stop(module->worker, SG_ERR_WORKER);
	}
	token->flags &= ~(uint32_t)SG_TOKEN_UNLOCKED;
	sg_unlocked_forget(call->agent, module, token->uri);
	sg_remember_locked(call->agent, module, token->uri, "by request");
	sg_rest_locked(module);
	if (!sg_reaper_wait(call->agent->reaper, pid, on_lock_ended, call))
		on_lock_ended(call);
}

static void lock_found(struct sg_call *call)
{
	const struct sg_token_info *token = sg_token_ref_info(&call->token);
	char *uri = found_uri(call);
	const struct sg_msg_token_ref msg = { .caller = call->caller, .token = uri };

	if (uri == NULL)
		return;
	sg_login_lock(call->agent, sg_ledger_name(token->serial, token->uri));
	sg_unlocked_forget(call->agent, call->token.module, uri);
	sg_worker_request(call->token.module->worker, SG_MSG_TOKEN_LOGOUT, &msg, -1,
	    SG_LOCK_SECONDS, on_logout, call);
}

static void lock_remembered(struct sg_call *call)
{
	const struct sg_token_info *token = sg_token_ref_info(&call->token);
	struct lock *lock = call->state;

	if (token->uri != NULL && sg_module_lacks(call->token.module, token->uri))
		lock->is_away = 1;
	lock_found(call);
}

/* A token that is known to be unlocked is not looked for: its module may hang, and the token may be
 * away. */
void sg_verb_lock(struct sg_call *call)
{
	const char *selector = sg_call_string(call, "token");
	struct lock *lock = calloc(1, sizeof(*lock));

	call->state = lock;
	call->state_free = free;
	if (lock == NULL)
		sg_call_fail_code(call, SG_ERR_NOMEM, NULL);
	else if (sg_remember_find(call->agent, selector, &call->token, &lock->is_away))
		lock_remembered(call);
	else
		sg_call_find_token(call, selector, lock_found);
}
