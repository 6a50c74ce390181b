/* RevokeToken. */
#include "verbs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accounts.h"
#include "call.h"
#include "ccm2.h"
#include "jobs.h"
#include "json.h"
#include "online.h"
#include "survey.h"
#include "switching.h"
#include "worker.h"

static const char advice_list[] =
    "`signet cert list --diff` shows the account's certificates, and the label and serial of the "
    "token of each.";

/* call->state */
struct loss {
	struct sg_survey survey;
	size_t *on_it; /* which of survey.held.certs are its */
	size_t count;
	size_t done;
	json_t *outcomes;
	int switched;
	int gave_up;		    /* a job whose key is on it */
	struct sg_held_cert *spare; /* of the survey: that is tried */
	sg_verb_fn *next;	    /* when no job stands in the way any more */
	char **names;		    /* borrowed: of all of them */
	uint32_t name_count;
};

static void loss_free(void *state)
{
	struct loss *loss = state;

	sg_survey_clear(&loss->survey);
	free(loss->on_it);
	free(loss->names);
	json_decref(loss->outcomes);
	free(loss);
}

static const struct sg_held_cert *cert_at(const struct loss *loss, size_t i)
{
	return loss->survey.held.certs[loss->on_it[i]];
}

/* ---- which they are ---- */

/* The one token among the places of a certificate that is meant; a new "serial;label". */
static char *token_meant(const struct sg_held_cert *cert, const char *token)
{
	struct sg_buf text = { 0 };

	for (size_t i = 0; cert->places[i] != NULL; i++) {
		char *serial, *label;

		if (!sg_place_is_on(cert->places[i], token))
			continue;
		serial = sg_place_serial(cert->places[i]);
		label = sg_place_label(cert->places[i]);
		sg_buf_printf(
		    &text, "%s;%s", serial != NULL ? serial : "", label != NULL ? label : "");
		free(serial);
		free(label);
		break;
	}
	return sg_buf_steal(&text, NULL);
}

static void add_candidate(
    struct sg_msg_error *error, const struct sg_held_cert *cert, const char *token)
{
	for (size_t i = 0; cert->places[i] != NULL; i++) {
		char *label, *serial;

		if (!sg_place_is_on(cert->places[i], token))
			continue;
		label = sg_place_label(cert->places[i]);
		serial = sg_place_serial(cert->places[i]);
		sg_failure_add_candidate(
		    error, &(struct sg_candidate){ cert->places[i], label, NULL, serial, NULL });
		free(label);
		free(serial);
		return;
	}
}

static void fail_ambiguous(struct sg_call *call, const struct sg_held_cert *one,
    const struct sg_held_cert *other, const char *token)
{
	struct sg_msg_error error = { 0 };

	sg_msg_error_set(&error, SG_ERR_TOKEN_AMBIGUOUS, token,
	    "\"%s\" means several tokens: name it by its serial", token);
	add_candidate(&error, one, token);
	add_candidate(&error, other, token);
	sg_call_fail(call, &error);
	sg_failure_clear(&error);
}

/* Those of the token; 0 when the call has failed. */
static int take_its_certs(struct sg_call *call)
{
	struct loss *loss = call->state;
	const struct sg_held_certs *held = &loss->survey.held;
	const char *token = sg_call_string(call, "token");
	const struct sg_held_cert *other = NULL; /* it is on another token of that name */
	char *meant = NULL;

	free(loss->on_it);
	loss->count = 0;
	loss->on_it = calloc(held->count + 1, sizeof(*loss->on_it));
	if (loss->on_it == NULL) {
		sg_call_fail_code(call, SG_ERR_NOMEM, NULL);
		return 0;
	}
	for (size_t i = 0; other == NULL && i < held->count; i++) {
		char *its;

		if (!sg_held_cert_is_on(held->certs[i], token))
			continue;
		its = token_meant(held->certs[i], token);
		if (meant != NULL && its != NULL && strcmp(its, meant) != 0)
			other = held->certs[i];
		loss->on_it[loss->count++] = i;
		if (meant == NULL)
			meant = its;
		else
			free(its);
	}
	free(meant);
	if (other != NULL) /* the call, and what it holds, may be freed by that */
		fail_ambiguous(call, cert_at(loss, 0), other, token);
	return other == NULL;
}

static void fail_none(struct sg_call *call)
{
	const char *token = sg_call_string(call, "token");

	sg_call_advise(call, SG_ERR_TOKEN_ABSENT, advice_list);
	sg_call_fail_with(call, SG_ERR_TOKEN_ABSENT, token,
	    "%s has no certificate whose key is or was on a token \"%s\"", call->account->row.jid,
	    token);
}

/* ---- the end: the node, and the reply ---- */

/* It may sign keys in the account's name, which the server knows nothing of. */
static int is_user_key_lost(const struct sg_call *call)
{
	const char *user_key = call->account->row.user_key;

	return user_key != NULL && sg_place_is_on(user_key, sg_call_string(call, "token"));
}

/* The server may have issued others for the token's keys, of which its list alone tells. */
static json_t *problems_of(const struct sg_survey *survey)
{
	return survey->list == SG_LIST_WHOLE ? json_array() : json_incref(survey->problems);
}

static void reply(struct sg_call *call, const struct sg_msg_error *unretracted)
{
	struct loss *loss = call->state;
	json_t *why = json_null();

	if (unretracted != NULL)
		why = sg_json_text_or_empty(sg_failure_text(unretracted));
	sg_call_reply(call,
	    json_pack("{s:s, s:s, s:O, s:b, s:o, s:o, s:b, s:o}", "step", "done", "text",
		"the token's certificates are dealt with", "certificates", loss->outcomes,
		"switched", loss->switched, "unretracted", why, "problems",
		problems_of(&loss->survey), "user_key_lost", is_user_key_lost(call), "account",
		sg_json_account(call->account)));
}

static void on_retracted(void *arg, const struct sg_msg_error *error, void *answer)
{
	const int is_fine = error == NULL || sg_job_is_gone(error);

	reply(arg, is_fine ? NULL : error);
}

static void retract(struct sg_call *call)
{
	const struct loss *loss = call->state;
	const struct sg_msg_pep_retract msg = { loss->names, loss->name_count };
	struct sg_msg_error offline = { 0 };

	if (loss->name_count == 0 ||
	    (call->account->state != SG_ACCOUNT_ONLINE &&
		call->account->publishing.access == NULL)) {
		reply(call, NULL);
	} else if (call->account->state != SG_ACCOUNT_ONLINE) {
		sg_msg_error_set(&offline, SG_ERR_OFFLINE, NULL, "the connection has ended");
		reply(call, &offline);
		sg_failure_clear(&offline);
	} else {
		sg_job_tell(call, "retract", "retracting the keyinfos");
		sg_worker_request(call->account->worker, SG_MSG_PEP_RETRACT, &msg, -1,
		    SG_XMPP_SECONDS, on_retracted, call);
	}
}

/* ---- one after the other ---- */

static void revoke_next(struct sg_call *call);

static void note_outcome(struct sg_call *call, const char *outcome, const char *text)
{
	struct loss *loss = call->state;
	const struct sg_held_cert *cert = cert_at(loss, loss->done++);

	json_array_append_new(loss->outcomes,
	    json_pack("{s:s, s:s, s:s, s:o}", "sha256", cert->sha256, "name", cert->name, "outcome",
		outcome, "text", sg_json_text(text)));
	loss->names[loss->name_count++] = cert->name; /* lost it is, whatever the server says */
	revoke_next(call);
}

/* The job does not run any more. */
static void job_ran(struct sg_call *call, struct sg_job *job)
{
	const struct loss *loss = call->state;
	const int is_ended = job->row.state == SG_JOB_END;
	const int is_answered = job->row.state == SG_JOB_RETRACT || job->row.state == SG_JOB_SWEEP;

	/* Noted: the server has answered; what the job then does on the token, which is lost, is nothing to wait for. */
	if (sg_account_has_revoked(call->account, cert_at(loss, loss->done)->sha256) ||
	    is_answered || (is_ended && job->outcome.code == 0))
		note_outcome(call, "revoked", NULL);
	else if (!is_ended)
		note_outcome(call, "pending", job->row.waits_text);
	else if (sg_job_is_gone(&job->outcome))
		note_outcome(call, "absent", NULL);
	else
		note_outcome(call, "refused", sg_failure_text(&job->outcome));
}

static void tell_revoking(struct sg_call *call, const struct sg_held_cert *cert)
{
	char text[96];

	(void)snprintf(text, sizeof(text), "revoking %s", cert->sha256);
	sg_job_tell(call, "revoke", text);
}

static void revoke_next(struct sg_call *call)
{
	const struct loss *loss = call->state;
	const struct sg_held_cert *cert;
	struct sg_job *job;

	if (loss->done == loss->count) {
		retract(call);
		return;
	}
	cert = cert_at(loss, loss->done);
	job = sg_job_of_revocation(call->account, cert->sha256);
	if (job == NULL) {
		/* What is known to be revoked was not intended; else another call has just ended it. */
		note_outcome(call, "revoked", NULL);
		return;
	}
	tell_revoking(call, cert);
	if (job->call == NULL)
		sg_job_run_alone(job);
	sg_job_when_idle(job, call, job_ran);
}

/* Its revocation, and that its keyinfo goes with it: by a job that may be there already. */
static int intend_one(struct sg_call *call, const struct sg_held_cert *cert)
{
	struct sg_job *job = sg_job_of_revocation(call->account, cert->sha256);
	int is_new = job == NULL;
	int err;

	if (is_new) {
		job = sg_job_begin(call->account, SG_JOB_REVOKE);
		if (job == NULL)
			return SG_ERR_NOMEM;
		job->row.sha256 = strdup(cert->sha256);
	}
	if (job->row.name == NULL)
		job->row.name = strdup(cert->name);
	err = job->row.sha256 != NULL && job->row.name != NULL ? sg_job_intend(job) : SG_ERR_NOMEM;
	if (err != 0 && is_new)
		sg_job_drop(job);
	return err;
}

/* Those that are intended, without the call. */
static void revoke_intended(struct sg_call *call)
{
	const struct loss *loss = call->state;

	for (size_t i = 0; i < loss->count; i++) {
		struct sg_job *job = sg_job_of_revocation(call->account, cert_at(loss, i)->sha256);

		if (job != NULL && job->call == NULL)
			sg_job_run_alone(job);
	}
}

/* All of them are intended before the first is sent: what is cut short goes on by itself. Where one cannot be, the others
 * are revoked all the same. */
static int intend(struct sg_call *call)
{
	const struct loss *loss = call->state;
	int err = 0;

	for (size_t i = 0; err == 0 && i < loss->count; i++) {
		const struct sg_held_cert *cert = cert_at(loss, i);

		if (!cert->is_revoked || cert->is_listed)
			err = intend_one(call, cert);
	}
	if (err != 0)
		revoke_intended(call);
	return err;
}

/* Online, and not by any of them. */
static void surveyed(struct sg_call *call)
{
	struct loss *loss = call->state;
	int err;

	if (call->account->state != SG_ACCOUNT_ONLINE && loss->survey.unlisted.code != 0) {
		sg_call_fail(call, &loss->survey.unlisted);
		return;
	}
	if (!take_its_certs(call))
		return;
	if (loss->count == 0 && !loss->gave_up) {
		fail_none(call);
		return;
	}
	loss->outcomes = json_array();
	loss->names = calloc(loss->count + 1, sizeof(*loss->names));
	err = loss->outcomes != NULL && loss->names != NULL ? intend(call) : SG_ERR_NOMEM;
	if (err != 0)
		sg_call_fail_code(call, err, call->account->row.jid);
	else
		revoke_next(call);
}

static void revoke_able(struct sg_call *call)
{
	struct loss *loss = call->state;

	sg_call_survey(call, &loss->survey, 1, surveyed);
}

/* What is known to be on it is revoked when that is possible again, where what issued it is away. */
static void unhindered(struct sg_call *call)
{
	const struct loss *loss = call->state;

	if (loss->count > 0)
		revoke_able(call);
	else
		sg_call_need_feature(call, SG_NS_CCM2_REVOKE, revoke_able);
}

/* ---- the job that gets a certificate ---- */

static int is_for_lost_key(const struct sg_call *call, const struct sg_job *job)
{
	return job->row.key != NULL && sg_place_is_on(job->row.key, sg_call_string(call, "token"));
}

/* It does not run. What it got stays on the server's list, and so is revoked with the rest. */
static void give_up(struct sg_call *call, struct sg_job *job)
{
	struct loss *loss = call->state;
	int err = 0;

	if (job->row.state != SG_JOB_END) {
		loss->gave_up |= is_for_lost_key(call, job);
		err = sg_job_give_up(job, SG_ERR_TOKEN_ABSENT, "a token of the account was lost");
	}
	if (err != 0)
		sg_call_fail_code(call, err, call->account->row.jid);
	else
		loss->next(call);
}

/* A job that waits for the lost token would wait for ever, and keep the account from its spare. */
static void without_job(struct sg_call *call, int also_others, sg_verb_fn *next)
{
	struct loss *loss = call->state;
	struct sg_job *job = sg_job_of_certificate(call->account);

	loss->next = next;
	if (job != NULL && (also_others || is_for_lost_key(call, job)))
		sg_job_when_idle(job, call, give_up);
	else
		next(call);
}

static void online(struct sg_call *call)
{
	without_job(call, 0, unhindered);
}

/* ---- how the account logs in for it ---- */

static int is_current_lost(const struct sg_call *call)
{
	const struct loss *loss = call->state;

	for (size_t i = 0; i < loss->count; i++) {
		if (cert_at(loss, i)->is_current)
			return 1;
	}
	return 0;
}

static int is_online_by_lost(const struct sg_call *call)
{
	const struct loss *loss = call->state;

	for (size_t i = 0; i < loss->count; i++) {
		if (sg_account_is_logged_in_with(call->account, cert_at(loss, i)->sha256))
			return 1;
	}
	return 0;
}

/* Valid longest of those that are on another token. */
static struct sg_held_cert *spare_elsewhere(struct sg_call *call)
{
	struct loss *loss = call->state;
	const struct sg_held_cert *spare;

	for (size_t i = 0; i < loss->count; i++)
		loss->survey.held.certs[loss->on_it[i]]->key = SG_KEY_AWAY;
	spare = sg_reconcile_spare(&loss->survey.held, SG_LIST_UNKNOWN, loss->survey.now);
	return spare != NULL ? sg_held_certs_find(&loss->survey.held, spare->sha256) : NULL;
}

static void choose_login(struct sg_call *call);

/* One that the server refuses is none, and the password does without: the next one is tried. */
static void on_switched(void *arg, const struct sg_msg_error *error)
{
	struct sg_call *call = arg;
	struct loss *loss = call->state;

	if (error == NULL) {
		loss->switched = 1;
		online(call);
	} else if (sg_account_is_refused(error) || call->password_fd >= 0) {
		loss->spare->key = SG_KEY_AWAY;
		choose_login(call);
	} else {
		sg_call_fail(call, error);
	}
}

static void switch_to_spare(struct sg_call *call)
{
	const struct sg_held_cert *spare = ((const struct loss *)call->state)->spare;

	sg_job_tell(call, "switch", "logging in with the spare");
	sg_account_switch(call->account, &call->caller, &call->pin, spare->places[0], spare->sha256,
	    on_switched, call);
}

static void go_online(struct sg_call *call)
{
	sg_call_go_online(call, online);
}

/* By what is not lost. */
static void choose_login(struct sg_call *call)
{
	struct loss *loss = call->state;

	loss->spare = is_current_lost(call) ? spare_elsewhere(call) : NULL;
	if (loss->spare != NULL) {
		without_job(call, 1, switch_to_spare);
	} else if (is_online_by_lost(call) && call->password_fd >= 0) {
		call->next = go_online;
		sg_account_go_offline(call->account, sg_call_continue, call);
	} else if (is_current_lost(call) && call->password_fd < 0 &&
	    (is_online_by_lost(call) || call->account->state != SG_ACCOUNT_ONLINE)) {
		sg_call_advise(call, SG_ERR_PASSWORD_NEEDED,
		    "Give the password with --password-file or --password-fd, or put a spare "
		    "token in. `signet cert revoke` revokes the certificate that the account logs "
		    "in with.");
		sg_call_fail_with(call, SG_ERR_PASSWORD_NEEDED, call->account->row.jid,
		    "no certificate of another token is in reach to log in with, and the password "
		    "is needed");
	} else {
		go_online(call);
	}
}

/* The store and the tokens. */
static void looked_at(struct sg_call *call)
{
	if (take_its_certs(call))
		choose_login(call);
}

void sg_verb_revoke_token(struct sg_call *call)
{
	struct loss *loss;

	if (!sg_call_take_account(call, "jid"))
		return;
	loss = calloc(1, sizeof(*loss));
	if (loss == NULL) {
		sg_call_fail_code(call, SG_ERR_NOMEM, NULL);
		return;
	}
	call->state = loss;
	call->state_free = loss_free;
	sg_call_survey(call, &loss->survey, 0, looked_at);
}
