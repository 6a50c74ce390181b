/* Reconcile. */
#include "verbs.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <event2/event.h>

#include "accounts.h"
#include "call.h"
#include "ccm2.h"
#include "disco.h"
#include "held_certs.h"
#include "json.h"
#include "online.h"
#include "reconcile.h"
#include "token_answers.h"
#include "worker.h"

#define PART_BYTES (64u << 10) /* of the rows in one of several replies */

static const struct sg_msg_empty nothing = { 0 };

/* call->state */
struct diff {
	struct sg_held_certs held;
	struct sg_token_answers tokens;
	enum sg_list_state list;
	json_t *problems; /* what is not known, and why: sentences */
	const struct sg_held_cert *spare;
	int64_t now;
	size_t next;	     /* row that is to be told */
	struct event *later; /* goes on telling */
	int waits;	     /* for the client to fetch what there is */
};

static void diff_free(void *state)
{
	struct diff *diff = state;

	sg_held_certs_clear(&diff->held);
	sg_token_answers_clear(&diff->tokens);
	json_decref(diff->problems);
	if (diff->later != NULL)
		event_free(diff->later);
	free(diff);
}

static void add_problem(struct diff *diff, const char *what, const char *why)
{
	struct sg_buf text = { 0 };
	char *sentence;

	sg_buf_printf(&text, "%s: %s", what, why != NULL ? why : "no reason was given");
	sentence = sg_buf_steal(&text, NULL);
	json_array_append_new(diff->problems, sg_json_text_or_empty(sentence));
	free(sentence);
}

/* ---- the rows ---- */

static const char *key_word(enum sg_key_place place)
{
	static const char *const words[] = {
		[SG_KEY_UNKNOWN] = "unknown",
		[SG_KEY_GONE] = "gone",
		[SG_KEY_AWAY] = "away",
		[SG_KEY_HIDDEN] = "hidden",
		[SG_KEY_HERE] = "here",
	};

	return words[place];
}

static const char *server_word(const struct diff *diff, const struct sg_held_cert *cert)
{
	if (cert->is_listed)
		return "listed";
	return diff->list == SG_LIST_WHOLE ? "absent" : "unknown";
}

static json_t *row_of(const struct sg_call *call, const struct sg_held_cert *cert)
{
	const struct diff *diff = call->state;
	struct sg_reconciled is = sg_reconcile(cert, diff->list, diff->now, diff->spare);
	const char *place = cert->places[0];
	char *label = sg_place_label(place), *serial = sg_place_serial(place);
	char *step = sg_reconcile_command(is.step, call->account->row.jid, cert, diff->spare);
	json_t *row = json_pack("{s:s, s:s, s:o, s:o, s:s, s:s, s:s, s:b, s:b, s:s, s:o, s:o, s:o, "
				"s:o}",
	    "sha256", cert->sha256, "name", cert->name, "label", sg_json_text(cert->label),
	    "not_after", sg_json_when(cert->not_after), "state", sg_cert_state_name(is.state),
	    "text", sg_cert_state_text(is.state), "server", server_word(diff, cert), "stored",
	    cert->is_stored, "on_token", cert->is_object, "key", key_word(cert->key), "place",
	    sg_json_text(place), "token", sg_json_text(label), "serial", sg_json_text(serial),
	    "step", sg_json_text(step));

	free(label);
	free(serial);
	free(step);
	return row;
}

static json_t *reply_of(const struct diff *diff, json_t *rows, int is_last)
{
	static const char *const words[] = {
		[SG_LIST_UNKNOWN] = "unknown",
		[SG_LIST_CUT] = "cut",
		[SG_LIST_WHOLE] = "whole",
	};

	return json_pack("{s:o, s:s, s:o}", "certificates", rows, "list", words[diff->list],
	    "problems", is_last ? json_incref(diff->problems) : json_array());
}

/* As many rows as the client has room for; the last ones end the call. */
static void tell_rows(struct sg_call *call)
{
	struct diff *diff = call->state;
	json_t *rows = json_array();
	size_t bytes = 0;

	while (diff->next < diff->held.count) {
		json_t *row = row_of(call, diff->held.certs[diff->next]);

		diff->next++;
		bytes += row != NULL ? json_dumpb(row, NULL, 0, JSON_COMPACT) + 1 : 0;
		json_array_append_new(rows, row);
		if (!call->more || bytes < PART_BYTES || diff->next == diff->held.count)
			continue;
		sg_call_progress(call, reply_of(diff, rows, 0));
		if (sg_call_is_clogged(call)) {
			diff->waits = 1;
			return;
		}
		rows = json_array();
		bytes = 0;
	}
	call->drained = NULL;
	call->gone = NULL;
	sg_call_reply(call, reply_of(diff, rows, 1));
}

static void on_later(evutil_socket_t fd, short what, void *arg)
{
	tell_rows(arg);
}

static void go_on(struct sg_call *call)
{
	static const struct timeval at_once = { 0, 0 };
	struct diff *diff = call->state;

	if (!diff->waits)
		return;
	diff->waits = 0;
	if (evtimer_add(diff->later, &at_once) != 0)
		abort(); /* the call would wait for ever */
}

/* ---- the tokens ---- */

static void on_objects(void *arg, struct sg_module_answer *objects, size_t count)
{
	struct sg_call *call = arg;
	struct diff *diff = call->state;
	int err = sg_held_certs_add_tokens(
	    &diff->held, call->account, diff->tokens.answers, diff->tokens.count, objects, count);

	for (size_t i = 0; i < count; i++) {
		if (objects[i].error.code != 0)
			add_problem(diff, objects[i].module->name, objects[i].error.message);
	}
	if (err != 0) {
		sg_call_fail_code(call, err, NULL);
		return;
	}
	diff->now = (int64_t)time(NULL);
	diff->spare = sg_reconcile_spare(&diff->held, diff->list, diff->now);
	call->drained = go_on;
	call->gone = go_on;
	tell_rows(call);
}

static void on_tokens(void *arg, struct sg_module_answer *tokens, size_t count)
{
	static char everything[] = "";
	struct sg_call *call = arg;
	struct diff *diff = call->state;
	const struct sg_msg_object_list msg = { .caller = call->caller, .selector = everything };

	if (sg_token_answers_take(&diff->tokens, tokens, count) != 0)
		sg_call_fail_code(call, SG_ERR_NOMEM, NULL);
	else
		sg_ask_objects(call->agent->tokens, &msg, on_objects, call);
}

/* ---- the server ---- */

static void ask_tokens(struct sg_call *call)
{
	sg_ask_tokens(call->agent->tokens, SG_IMPATIENT, on_tokens, call);
}

/* What the server has is not known; the rest is shown all the same. */
static void without_list(struct sg_call *call, const char *why)
{
	add_problem(call->state, "what the server lists is not known", why);
	ask_tokens(call);
}

static void on_listed(void *arg, const struct sg_msg_error *error, void *answer)
{
	struct sg_call *call = arg;
	const struct sg_msg_ccm2_certs *certs = answer;
	struct diff *diff = call->state;
	int err;

	if (error != NULL) {
		without_list(call, error->message);
		return;
	}
	err = sg_held_certs_add_listed(&diff->held, call->account, certs);
	if (err != 0) {
		sg_call_fail_code(call, err, call->account->row.jid);
		return;
	}
	diff->list = sg_reconcile_is_cut(certs) ? SG_LIST_CUT : SG_LIST_WHOLE;
	if (diff->list == SG_LIST_CUT)
		add_problem(diff, "the server's list may be cut",
		    "it is so long that a server may have ended it early; what it does not show "
		    "may be valid all the same");
	ask_tokens(call);
}

static void on_features(void *arg, const struct sg_msg_error *error, void *answer)
{
	struct sg_call *call = arg;

	if (error != NULL)
		without_list(call, error->message);
	else if (!sg_disco_has(answer, SG_NS_CCM2_LIST))
		without_list(call, "it does not have " SG_NS_CCM2_LIST);
	else if (call->account->state != SG_ACCOUNT_ONLINE)
		without_list(call, "the connection has ended");
	else
		sg_worker_request(call->account->worker, SG_MSG_CCM2_LIST, &nothing, -1,
		    SG_XMPP_SECONDS, on_listed, call);
}

/* Who has no certificate and gave no password can be asked for it. */
static void on_online(void *arg, const struct sg_msg_error *error)
{
	struct sg_call *call = arg;

	if (error == NULL)
		sg_worker_request(call->account->worker, SG_MSG_XMPP_FEATURES, &nothing, -1,
		    SG_XMPP_SECONDS, on_features, call);
	else if (sg_msg_error_code(error) == SG_ERR_PASSWORD_NEEDED)
		sg_call_fail(call, error);
	else
		without_list(call, error->message);
}

void sg_verb_reconcile(struct sg_call *call)
{
	struct diff *diff;
	int err;

	if (!sg_call_take_account(call, "jid"))
		return;
	diff = calloc(1, sizeof(*diff));
	if (diff == NULL) {
		sg_call_fail_code(call, SG_ERR_NOMEM, NULL);
		return;
	}
	call->state = diff;
	call->state_free = diff_free;
	diff->problems = json_array();
	diff->later = evtimer_new(call->agent->base, on_later, call);
	err = diff->problems != NULL && diff->later != NULL
	    ? sg_held_certs_add_stored(&diff->held, call->account)
	    : SG_ERR_NOMEM;
	if (err != 0)
		sg_call_fail_code(call, err, call->account->row.jid);
	else if (sg_call_flag(call, "offline"))
		without_list(call, "it was not asked");
	else
		sg_account_go_online(
		    call->account, &call->caller, call->password_fd, &call->pin, on_online, call);
}
