#include "survey.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "accounts.h"
#include "ccm2.h"
#include "cert_protocol.h"
#include "json.h"
#include "online.h"
#include "worker.h"

static const struct sg_msg_empty nothing = { 0 };

void sg_survey_clear(struct sg_survey *survey)
{
	sg_held_certs_clear(&survey->held);
	sg_object_answers_clear(&survey->objects);
	sg_failure_clear(&survey->unlisted);
	json_decref(survey->problems);
	memset(survey, 0, sizeof(*survey));
}

static void add_problem(struct sg_survey *survey, const char *what, const char *why)
{
	struct sg_buf text = { 0 };
	char *sentence;

	sg_buf_printf(&text, "%s: %s", what, why != NULL ? why : "no reason was given");
	sentence = sg_buf_steal(&text, NULL);
	json_array_append_new(survey->problems, sg_json_text_or_empty(sentence));
	free(sentence);
}

/* ---- the tokens ---- */

static void on_tokens(void *arg, struct sg_module_answer *tokens, size_t count)
{
	struct sg_survey *survey = arg;
	struct sg_call *call = survey->call;
	int err = sg_held_certs_add_tokens(&survey->held, call->account, tokens, count,
	    survey->objects.answers, survey->objects.count);

	sg_object_answers_clear(&survey->objects);
	if (err != 0) {
		sg_call_fail_code(call, err, NULL);
		return;
	}
	survey->now = (int64_t)time(NULL);
	survey->spare = sg_reconcile_spare(&survey->held, survey->list, survey->now);
	survey->next(call);
}

static void on_objects(void *arg, struct sg_module_answer *objects, size_t count)
{
	struct sg_survey *survey = arg;

	for (size_t i = 0; i < count; i++) {
		if (objects[i].error.code != 0)
			add_problem(
			    survey, objects[i].module->name, sg_failure_text(&objects[i].error));
	}
	if (sg_object_answers_take(&survey->objects, objects, count) != 0)
		sg_call_fail_code(survey->call, SG_ERR_NOMEM, NULL);
	else
		sg_ask_tokens(survey->call->agent->tokens, SG_THOROUGH, on_tokens, survey);
}

/* The objects first: each module is waited for then, so that what tokens it has is asked of those that
 * answer, and a token that was taken out is not taken for one that is there, as it was last seen. */
static void ask_tokens(struct sg_survey *survey)
{
	static char everything[] = "";
	struct sg_call *call = survey->call;
	const struct sg_msg_object_list msg = { .caller = call->caller, .selector = everything };

	sg_ask_objects(call->agent->tokens, &msg, on_objects, survey);
}

/* ---- the server ---- */

/* What the server has is not known; the rest is looked at all the same. */
static void without_list(struct sg_survey *survey, const struct sg_msg_error *error)
{
	sg_failure_copy(&survey->unlisted, error);
	add_problem(survey, "what the server lists is not known", sg_failure_text(error));
	ask_tokens(survey);
}

/* Whatever they are, they may log in. */
static void note_unread(struct sg_survey *survey, uint32_t count)
{
	struct sg_buf what = { 0 };
	char *text;

	sg_buf_printf(&what, "%u %s of the server's list cannot be read", (unsigned)count,
	    count == 1 ? "entry" : "entries");
	text = sg_buf_steal(&what, NULL);
	add_problem(survey, text != NULL ? text : "the server's list cannot be read",
	    "another client wrote it so, and it may log in all the same; that client, or the "
	    "server's operator, can revoke it");
	free(text);
	survey->list = SG_LIST_CUT;
}

static void on_listed(void *arg, const struct sg_msg_error *error, void *answer)
{
	struct sg_survey *survey = arg;
	const struct sg_msg_ccm2_certs *certs = answer;
	uint32_t unread;
	int err;

	if (error != NULL) {
		without_list(survey, error);
		return;
	}
	err = sg_held_certs_add_listed(&survey->held, survey->call->account, certs, &unread);
	if (err != 0) {
		sg_call_fail_code(survey->call, err, survey->call->account->row.jid);
		return;
	}
	survey->list = SG_LIST_WHOLE;
	if (sg_reconcile_is_cut(certs)) {
		survey->list = SG_LIST_CUT;
		add_problem(survey, "the server's list may be cut",
		    "it is so long that a server may have ended it early; what it does not show "
		    "may be valid all the same");
	}
	if (certs->unread + unread > 0)
		note_unread(survey, certs->unread + unread);
	ask_tokens(survey);
}

static void on_features(void *arg, const struct sg_msg_error *error, void *answer)
{
	struct sg_survey *survey = arg;
	struct sg_account *account = survey->call->account;
	struct sg_msg_error why = { 0 };

	if (error == NULL)
		sg_account_note_features(account, answer);
	if (error == NULL && !sg_cert_protocol_can(answer, SG_NS_CCM2_LIST))
		sg_msg_error_set(&why, SG_ERR_FEATURE, SG_NS_CCM2_LIST,
		    "the server of %s does not have %s", account->row.jid, SG_NS_CCM2_LIST);
	else if (error == NULL && account->state != SG_ACCOUNT_ONLINE)
		sg_msg_error_set(
		    &why, SG_ERR_OFFLINE, account->row.jid, "%s is offline", account->row.jid);
	if (error != NULL || why.code != 0)
		without_list(survey, error != NULL ? error : &why);
	else
		sg_worker_request(account->worker, SG_MSG_CCM2_LIST, &nothing, -1, SG_XMPP_SECONDS,
		    on_listed, survey);
	sg_failure_clear(&why);
}

/* Who has no certificate and gave no password can be asked for it. */
static void on_online(void *arg, const struct sg_msg_error *error)
{
	struct sg_survey *survey = arg;

	if (error == NULL)
		sg_worker_request(survey->call->account->worker, SG_MSG_XMPP_FEATURES, &nothing, -1,
		    SG_XMPP_SECONDS, on_features, survey);
	else if (sg_msg_error_code(error) == SG_ERR_PASSWORD_NEEDED)
		sg_call_fail(survey->call, error);
	else
		without_list(survey, error);
}

void sg_call_survey(
    struct sg_call *call, struct sg_survey *survey, int ask_server, sg_verb_fn *next)
{
	struct sg_msg_error why = { 0 };
	int err;

	sg_survey_clear(survey);
	survey->call = call;
	survey->next = next;
	survey->problems = json_array();
	err = survey->problems != NULL ? sg_held_certs_add_stored(&survey->held, call->account)
				       : SG_ERR_NOMEM;
	if (err != 0) {
		sg_call_fail_code(call, err, call->account->row.jid);
	} else if (ask_server) {
		sg_account_go_online(
		    call->account, &call->caller, call->password_fd, &call->pin, on_online, survey);
	} else {
		sg_msg_error_set(&why, SG_ERR_OFFLINE, call->account->row.jid, "it was not asked");
		without_list(survey, &why);
		sg_failure_clear(&why);
	}
}
