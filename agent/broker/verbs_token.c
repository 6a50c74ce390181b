/* ListTokens, ShowToken, Unlock, Lock. */
#include "verbs.h"

#include <stdlib.h>
#include <string.h>

#include "call.h"
#include "json.h"
#include "unlocked.h"

static const struct sg_msg_empty nothing = { 0 };

/* ---- ListTokens ---- */

static void on_tokens(void *arg, struct sg_module_answer *answers, size_t count)
{
	struct sg_call *call = arg;
	const struct sg_msg_error *failed = sg_tokens_all_failed(answers, count);

	if (failed != NULL)
		sg_call_fail(call, failed);
	else
		sg_call_reply(call, json_pack("{s:o}", "tokens", sg_json_tokens(answers, count)));
}

void sg_verb_list_tokens(struct sg_call *call)
{
	sg_tokens_ask_all(call->agent->tokens, SG_MSG_TOKEN_LIST, &nothing, 0, on_tokens, call);
}

/* ---- ShowToken ---- */

static void show_token_found(struct sg_call *call)
{
	const struct sg_token_info *token = sg_token_ref_info(&call->token);
	json_t *mechanisms = json_array();

	for (uint32_t i = 0; i < token->mechanism_count; i++)
		json_array_append_new(mechanisms, sg_json_text_or_empty(token->mechanisms[i]));
	sg_call_reply(call,
	    json_pack("{s:o, s:o}", "token", sg_json_token(token, call->token.module->name),
		"mechanisms", mechanisms));
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
		sg_json_token(sg_token_ref_info(&call->token), call->token.module->name)));
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

static void locked(struct sg_call *call, void *answer)
{
	sg_unlocked_forget(
	    call->agent, call->token.module, sg_token_ref_info(&call->token)->uri);
	look_at_token_again(call);
}

static void lock_found(struct sg_call *call)
{
	const char *serial = sg_token_ref_info(&call->token)->serial;
	char *uri = found_uri(call);
	const struct sg_msg_token_ref msg = { .caller = call->caller, .token = uri };

	if (uri == NULL)
		return;
	sg_login_lock(call->agent, serial != NULL ? serial : "");
	sg_unlocked_forget(call->agent, call->token.module, uri);
	sg_call_ask(
	    call, call->token.module->worker, SG_MSG_TOKEN_LOGOUT, &msg, SG_TOKEN_SECONDS, locked);
}

void sg_verb_lock(struct sg_call *call)
{
	sg_call_find_token(call, sg_call_string(call, "token"), lock_found);
}
