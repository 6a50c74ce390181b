#include "call.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "accounts.h"
#include "conn.h"
#include "cert_protocol.h"
#include "jobs.h"
#include "json.h"
#include "key_reply.h"
#include "log.h"
#include "online.h"
#include "pkcs11_uri.h"
#include "text.h"

#define API_PREFIX "org.signet.Agent."

void sg_call_free(struct sg_call *call)
{
	if (call == NULL)
		return;
	free(call->part);
	sg_key_reply_free(call->key_reply);
	if (call->state_free != NULL)
		call->state_free(call->state);
	for (size_t i = 0; i < call->fd_count; i++) {
		if (call->fds[i] >= 0)
			close(call->fds[i]);
	}
	if (call->password_fd >= 0)
		close(call->password_fd);
	sg_pin_clear(&call->pin);
	sg_token_ref_clear(&call->token);
	sg_key_ref_clear(&call->key);
	sg_attestation_clear(&call->attestation);
	free(call->key_use.selector);
	sg_account_unref(call->account);
	json_decref(call->parameters);
	sg_buf_clear(&call->out);
	free(call->name);
	free(call->caller.exe);
	free(call->caller.purpose);
	free(call);
}

/* What changes nothing but makes a signature ends when nobody wants it any more; other calls run to
 * their end. */
int sg_call_is_dropped(const struct sg_call *call)
{
	return call->pin.abandoned && call->account == NULL && call->undo == NULL &&
	    call->retract == NULL && call->rescue == NULL;
}

void sg_call_abandon(struct sg_call *call)
{
	if (call->doing != NULL) { /* which has the PIN */
		sg_call_abandon(call->doing);
		return;
	}
	if (!call->pin.abandoned)
		sg_login_abandon(call->agent, &call->pin);
	if (sg_call_is_dropped(call) && call->key_use.asked != NULL)
		sg_worker_abandon(call->key.module->worker, call->key_use.asked);
	if (call->gone != NULL)
		call->gone(call);
}

const char *sg_call_string(const struct sg_call *call, const char *name)
{
	return json_string_value(json_object_get(call->parameters, name));
}

char *sg_call_text(const struct sg_call *call, const char *name)
{
	union {
		const char *in;
		char *out;
	} text = { .in =
		       sg_call_string(call, name) }; /* messages are only read when they are sent */

	return text.out;
}

int sg_call_flag(const struct sg_call *call, const char *name)
{
	return json_is_true(json_object_get(call->parameters, name));
}

json_int_t sg_call_int(const struct sg_call *call, const char *name, json_int_t absent)
{
	const json_t *value = json_object_get(call->parameters, name);

	return json_is_integer(value) ? json_integer_value(value) : absent;
}

/* ---- replies ---- */

/* Puts a message with its NUL into the call's output; 0 when it cannot be one. */
static int put_message(struct sg_call *call, json_t *message)
{
	size_t len = json_dumpb(message, NULL, 0, JSON_COMPACT);
	char *room;

	if (message == NULL || len == 0 || len >= SG_API_MESSAGE_MAX)
		return 0;
	room = malloc(len + 1);
	if (room == NULL)
		return 0;
	json_dumpb(message, room, len, JSON_COMPACT);
	room[len] = '\0';
	sg_buf_put(&call->out, room, len + 1);
	free(room);
	return 1;
}

static void put_error(struct sg_call *call, const char *name, json_t *parameters)
{
	json_t *message = json_pack("{s:s, s:o}", "error", name, "parameters",
	    parameters != NULL ? parameters : json_object());

	if (!put_message(call, message))
		sg_log(SG_LOG_ERROR, "an error reply could not be made");
	json_decref(message);
}

/* Who waits for the end of a part, and why it failed. */
struct sg_call_part {
	struct sg_call *whole;
	sg_done_fn *fn;
	void *arg;
	struct sg_msg_error error;
};

static void part_finish(struct sg_call *call)
{
	struct sg_call_part *part = call->part;

	call->part = NULL;
	part->whole->doing = NULL;
	part->whole->pin = call->pin;
	sg_pin_init(&call->pin);
	sg_call_free(call);
	part->fn(part->arg, part->error.code != 0 ? &part->error : NULL);
	sg_failure_clear(&part->error);
	free(part);
}

static void finish(struct sg_call *call)
{
	call->done = 1;
	if (call->is_counted && --call->account->calls == 0)
		sg_jobs_account_unused(call->account);
	if (call->part != NULL)
		part_finish(call);
	else if (call->conn != NULL)
		sg_conn_call_done(call->conn, call);
	else
		sg_call_free(call);
}

/* In place of the general advice, or NULL. A token is denied for its PIN's sake alone: the next
 * try, or this one, is for a person to make. */
static const char *advice_of(const struct sg_call *call, const struct sg_msg_error *error)
{
	static const char by_person[] = "Unlock it as a person: `signet token unlock` at a "
					"terminal, or where a pinentry can be "
					"shown, without --batch, --pin-file and --pin-fd.";
	int code = sg_msg_error_code(error);

	if (code == call->advice_code)
		return call->advice;
	if (code == SG_ERR_DENIED && error->subject != NULL && sg_uri_is_uri(error->subject))
		return by_person;
	return NULL;
}

/* Makes the error's reply without ending the call. */
static void fail_quietly(struct sg_call *call, const struct sg_msg_error *error)
{
	int code = sg_msg_error_code(error);
	char name[64];

	sg_log(SG_LOG_INFO, "%s: %s: %s", call->name != NULL ? call->name : "a call",
	    sg_err_name(code), sg_failure_text(error));
	if (call->part != NULL)
		sg_failure_copy(&call->part->error, error);
	if (call->oneway)
		return;
	snprintf(name, sizeof(name), API_PREFIX "%s", sg_err_name(code));
	put_error(call, name, sg_json_error(error, advice_of(call, error)));
}

void sg_call_reply(struct sg_call *call, json_t *parameters)
{
	json_t *message = NULL;
	struct sg_msg_error error = { 0 };

	if (call->oneway) {
		json_decref(parameters);
		finish(call);
		return;
	}
	if (parameters != NULL)
		message = json_pack("{s:o}", "parameters", parameters);
	if (message == NULL)
		sg_msg_error_set(&error, SG_ERR_INTERNAL, NULL, "the reply could not be made");
	else if (!put_message(call, message))
		sg_msg_error_set(
		    &error, SG_ERR_LIMIT, NULL, "the reply is longer than a message may be");
	if (error.code != 0)
		fail_quietly(call, &error);
	sg_failure_clear(&error);
	json_decref(message);
	finish(call);
}

void sg_call_reply_text(struct sg_call *call, struct sg_buf *text)
{
	if (text->err != 0 || text->len > SG_API_MESSAGE_MAX) {
		sg_call_fail_code(call, text->err != 0 ? text->err : SG_ERR_LIMIT, NULL);
		return;
	}
	if (!call->oneway)
		sg_buf_put(&call->out, text->data, text->len);
	finish(call);
}

void sg_call_note_stored(struct sg_call *call, const struct sg_msg_error *error)
{
	struct sg_module *module = call->key.module;
	const char *uri = NULL;

	if (error != NULL && sg_msg_error_code(error) != SG_ERR_TOKEN_FULL)
		return;
	if (module != NULL) {
		uri = sg_key_ref_info(&call->key)->token_uri;
	} else if (call->token.module != NULL) {
		module = call->token.module;
		uri = sg_token_ref_info(&call->token)->uri;
	}
	if (uri != NULL)
		sg_module_note_room(module, uri, error == NULL);
}

void sg_call_fail(struct sg_call *call, const struct sg_msg_error *error)
{
	json_t *reply = call->rescue != NULL ? call->rescue(call, error) : NULL;
	void (*retract)(struct sg_call *, const struct sg_msg_error *) = call->retract;

	if (reply != NULL) {
		sg_call_reply(call, reply);
		return;
	}
	call->retract = NULL;
	if (retract != NULL) {
		retract(call, error);
		return;
	}
	if (call->undo != NULL)
		call->undo(call, error);
	sg_call_note_stored(call, error);
	fail_quietly(call, error);
	finish(call);
}

void sg_call_fail_with(struct sg_call *call, int code, const char *subject, const char *format, ...)
{
	struct sg_msg_error error = { 0 };
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	sg_msg_error_set(&error, code, subject, "%s", text);
	sg_call_fail(call, &error);
	sg_failure_clear(&error);
}

void sg_call_fail_code(struct sg_call *call, int err, const char *subject)
{
	sg_call_fail_with(call, err, subject, "%s", sg_store_failure(call->agent->store, err));
}

void sg_call_advise(struct sg_call *call, int code, const char *advice)
{
	call->advice_code = code;
	call->advice = advice;
}

void sg_call_fail_varlink(
    struct sg_call *call, const char *error, const char *field, const char *value)
{
	char name[64];

	snprintf(name, sizeof(name), "org.varlink.service.%s", error);
	sg_log(SG_LOG_INFO, "%s: %s: %s", call->name != NULL ? call->name : "a call", error, value);
	if (!call->oneway)
		put_error(call, name, json_pack("{s:o}", field, sg_json_text(value)));
	finish(call);
}

void sg_call_progress(struct sg_call *call, json_t *parameters)
{
	json_t *message = json_pack("{s:o, s:b}", "parameters", parameters, "continues", 1);

	if (call->more && !call->oneway && message != NULL && put_message(call, message) &&
	    call->conn != NULL)
		sg_conn_call_progress(call->conn);
	json_decref(message);
}

int sg_call_is_clogged(const struct sg_call *call)
{
	return call->conn != NULL &&
	    (call->out.len > 0 || sg_conn_unsent(call->conn) > SG_CONN_CLOGGED);
}

/* ---- steps ---- */

void sg_call_continue(void *arg, const struct sg_msg_error *error)
{
	struct sg_call *call = arg;

	if (error != NULL)
		sg_call_fail(call, error);
	else
		call->next(call);
}

static void on_token(void *arg, const struct sg_msg_error *error, struct sg_token_ref *token)
{
	struct sg_call *call = arg;

	if (error == NULL) {
		sg_token_ref_clear(&call->token);
		call->token = *token;
		memset(token, 0, sizeof(*token));
	}
	sg_call_continue(call, error);
}

void sg_call_find_token(struct sg_call *call, const char *selector, sg_verb_fn *next)
{
	call->next = next;
	sg_tokens_find(call->agent->tokens, selector, on_token, call);
}

void sg_call_unlock_token(struct sg_call *call, sg_verb_fn *next)
{
	const char *uri = sg_token_ref_info(&call->token)->uri;

	call->next = next;
	sg_login_unlock(call->agent, &call->caller, call->token.module, uri != NULL ? uri : "",
	    &call->pin, 0, sg_call_continue, call);
}

struct ask {
	struct sg_call *call;
	sg_call_answer_fn *next;
};

static void on_answer(void *arg, const struct sg_msg_error *error, void *answer)
{
	struct ask ask = *(struct ask *)arg;

	free(arg);
	if (error != NULL)
		sg_call_fail(ask.call, error);
	else
		ask.next(ask.call, answer);
}

void sg_call_ask(struct sg_call *call, struct sg_worker *worker, uint16_t type, const void *msg,
    int seconds, sg_call_answer_fn *next)
{
	struct ask *ask = malloc(sizeof(*ask));

	if (ask == NULL) {
		sg_call_fail_code(call, SG_ERR_NOMEM, NULL);
		return;
	}
	*ask = (struct ask){ call, next };
	sg_worker_request(worker, type, msg, -1, seconds, on_answer, ask);
}

/* ---- a verb as a part of another ---- */

void sg_call_do(struct sg_call *call, const char *method, sg_verb_fn *verb, json_t *parameters,
    sg_done_fn *fn, void *arg)
{
	struct sg_call *part = calloc(1, sizeof(*part));

	if (part == NULL || (part->part = calloc(1, sizeof(*part->part))) == NULL)
		abort(); /* the caller would wait for ever */
	part->part->whole = call;
	part->part->fn = fn;
	part->part->arg = arg;
	part->agent = call->agent;
	part->oneway = 1;
	part->password_fd = -1;
	part->parameters = parameters;
	part->name = sg_text_copy(method);
	part->caller.uid = call->caller.uid;
	part->caller.pid = call->caller.pid;
	part->caller.exe = sg_text_copy(call->caller.exe);
	part->caller.purpose = sg_text_copy(method);
	part->pin = call->pin;
	sg_pin_init(&call->pin);
	call->doing = part;
	if (parameters == NULL || part->name == NULL)
		sg_call_fail_code(part, SG_ERR_NOMEM, NULL);
	else
		verb(part);
}

/* ---- steps with an account ---- */

void sg_call_enter_account(struct sg_call *call, struct sg_account *account)
{
	call->account = sg_account_ref(account);
	call->is_counted = 1;
	account->calls++;
}

int sg_call_take_account(struct sg_call *call, const char *parameter)
{
	const char *jid = sg_call_string(call, parameter);
	char *bare = sg_jid_bare(jid);
	struct sg_account *account = NULL;

	if (bare == NULL || !sg_jid_is_account(bare)) {
		sg_call_fail_with(
		    call, SG_ERR_ARG, parameter, "\"%s\" is no JID of an account", jid);
	} else {
		account = sg_accounts_get(call->agent->accounts, bare);
		if (account == NULL)
			sg_call_fail_with(
			    call, SG_ERR_ACCOUNT_ABSENT, bare, "there is no account %s", bare);
		else
			sg_call_enter_account(call, account);
	}
	free(bare);
	return account != NULL;
}

void sg_call_go_online(struct sg_call *call, sg_verb_fn *next)
{
	call->next = next;
	sg_account_go_online(
	    call->account, &call->caller, call->password_fd, &call->pin, sg_call_continue, call);
}

int sg_call_is_online(struct sg_call *call)
{
	const struct sg_account *account = call->account;

	if (account->state == SG_ACCOUNT_ONLINE)
		return 1;
	sg_call_fail_with(
	    call, SG_ERR_OFFLINE, account->row.jid, "%s is offline", account->row.jid);
	return 0;
}

void sg_call_ask_account(
    struct sg_call *call, uint16_t type, const void *msg, sg_call_answer_fn *next)
{
	if (sg_call_is_online(call))
		sg_call_ask(call, call->account->worker, type, msg, SG_XMPP_SECONDS, next);
}

static void on_features(struct sg_call *call, void *answer)
{
	sg_account_note_features(call->account, answer);
	if (!sg_cert_protocol_can(answer, call->feature))
		sg_call_fail_with(call, SG_ERR_FEATURE, call->feature,
		    "the server of %s does not have %s", call->account->row.jid, call->feature);
	else
		call->next(call);
}

void sg_call_need_feature(struct sg_call *call, const char *feature, sg_verb_fn *next)
{
	static const struct sg_msg_empty nothing = { 0 };

	call->feature = feature;
	call->next = next;
	sg_call_ask_account(call, SG_MSG_XMPP_FEATURES, &nothing, on_features);
}
