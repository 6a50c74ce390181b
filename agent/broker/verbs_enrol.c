/* Enrol, CancelEnrolment. */
#include "verbs.h"

#include <stdlib.h>
#include <string.h>

#include "call_key.h"
#include "ccm2.h"
#include "cert_protocol.h"
#include "jobs.h"
#include "online.h"
#include "reconcile.h"
#include "text.h"

static const char advice_busy[] =
    "`signet status` shows it. `signet enrol` with its key goes on with it, `signet "
    "enrol --cancel` undoes it.";
static const char advice_undone[] =
    "`signet status` shows what that waits for; `signet enrol --cancel` goes on with it.";

static void fail_busy(struct sg_call *call, const struct sg_job *job)
{
	sg_call_advise(call, SG_ERR_BUSY, job->undone ? advice_undone : advice_busy);
	sg_call_fail_with(call, SG_ERR_BUSY, call->account->row.jid,
	    job->undone ? "a former enrolment of %s is still being undone, with the key %s"
			: "another enrolment of %s is not finished, with the key %s",
	    call->account->row.jid, job->row.key);
}

/* ---- Enrol ---- */

static void go_on(struct sg_call *call);

static void begin(struct sg_call *call)
{
	const char *name = sg_call_string(call, "name");
	enum sg_job_kind kind = sg_call_flag(call, "spare") ? SG_JOB_SPARE
	    : sg_call_flag(call, "replace")		    ? SG_JOB_REPLACE
							    : SG_JOB_ENROL;
	struct sg_job *job;

	if (call->account->switching) {
		sg_call_fail_with(call, SG_ERR_BUSY, call->account->row.jid,
		    "the certificate of %s is just being changed", call->account->row.jid);
		return;
	}
	job = sg_job_begin(call->account, kind);
	if (job != NULL) {
		job->selector = strdup(sg_call_string(call, "key"));
		job->row.name = name != NULL ? strdup(name) : sg_job_default_name();
	}
	if (job != NULL && job->row.name != NULL && job->selector != NULL) {
		sg_job_run(job, call);
		return;
	}
	if (job != NULL)
		sg_job_drop(job);
	sg_call_fail_code(call, SG_ERR_NOMEM, NULL);
}

/* The account's job does not run: with the same key this call goes on with it, or takes its outcome. */
static void take_turn(struct sg_call *call, struct sg_job *job)
{
	const char *uri = sg_key_ref_info(&call->key)->uri;

	if (job->row.key == NULL || (job->undone && job->row.state == SG_JOB_END))
		go_on(call); /* it came to nothing */
	else if (job->undone || uri == NULL || strcmp(uri, job->row.key) != 0)
		fail_busy(call, job);
	else
		sg_job_run(job, call);
}

static void key_found(struct sg_call *call)
{
	struct sg_job *job = sg_job_of_certificate(call->account);

	if (job == NULL || (job->call != NULL && !job->is_alone))
		go_on(call); /* it was another's turn meanwhile */
	else
		sg_job_when_idle(job, call, take_turn);
}

/* Persons' enrolments come one at a time; one that the agent goes on with by itself is waited for. */
static void go_on(struct sg_call *call)
{
	const struct sg_job *job = sg_job_of_certificate(call->account);

	if (call->account->switching)
		sg_call_fail_with(call, SG_ERR_BUSY, call->account->row.jid,
		    "%s is just going over to another certificate", call->account->row.jid);
	else if (job == NULL)
		begin(call);
	else if (job->call != NULL && !job->is_alone)
		sg_call_fail_with(call, SG_ERR_BUSY, call->account->row.jid,
		    "another enrolment of %s is going on", call->account->row.jid);
	else
		sg_call_use_key(call, sg_call_string(call, "key"), key_found);
}

void sg_verb_enrol(struct sg_call *call)
{
	const char *name = sg_call_string(call, "name");

	if (name != NULL && !sg_utf8_is_text(name, SG_CCM2_NAME_MAX)) {
		sg_call_fail_with(call, SG_ERR_ARG, "name", "a name is a text of at most %d bytes",
		    SG_CCM2_NAME_MAX);
		return;
	}
	if (sg_call_flag(call, "spare") && sg_call_flag(call, "replace")) {
		sg_call_fail_with(call, SG_ERR_ARG, "spare",
		    "a spare takes no other certificate's place: spare or replace, not both");
		return;
	}
	if (!sg_call_take_account(call, "jid"))
		return;
	sg_job_tell(call, "key", "looking for the key");
	go_on(call);
}

/* ---- CancelEnrolment ---- */

/* Not once the former certificate may be revoked: the account would be left without any. */
static int may_be_undone(const struct sg_job *job)
{
	return job->row.state == SG_JOB_UNDO || job->row.state == SG_JOB_DISCARD ||
	    (job->row.state != SG_JOB_RETIRE &&
		sg_job_may(job->row.kind, job->row.state, SG_JOB_UNDO));
}

/* The new certificate is in use, but not in the former one's place yet. */
static int is_proven(const struct sg_job *job)
{
	return job->row.state == SG_JOB_SIGN || job->row.state == SG_JOB_PUBLISH;
}

static void fail_no_way_back(struct sg_call *call)
{
	sg_call_advise(call, SG_ERR_ARG, "`signet cert renew` goes on with it.");
	sg_call_fail_with(call, SG_ERR_ARG, call->account->row.jid,
	    "the former certificate of %s has expired or was revoked: there is nothing to go back "
	    "to",
	    call->account->row.jid);
}

static void cancel(struct sg_call *call, struct sg_job *job)
{
	if (job->row.state == SG_JOB_END)
		sg_call_fail_with(call, SG_ERR_ARG, call->account->row.jid,
		    "the enrolment of %s has just ended", call->account->row.jid);
	else if (!may_be_undone(job))
		sg_call_fail_with(call, SG_ERR_ARG, call->account->row.jid,
		    "the new certificate of %s is proven and in use: there is nothing to undo",
		    call->account->row.jid);
	else if (is_proven(job) && sg_job_is_former_over(job))
		fail_no_way_back(call);
	else
		sg_job_cancel(job, call);
}

static void cancel_job(struct sg_call *call)
{
	struct sg_job *job = sg_job_of_certificate(call->account);

	if (job == NULL)
		sg_call_fail_with(call, SG_ERR_ARG, call->account->row.jid,
		    "no enrolment of %s is under way", call->account->row.jid);
	else
		sg_job_when_idle(job, call, cancel);
}

/* ---- ... of a renewal whose new certificate is in use: the server knows whether the former one is valid ---- */

static void former_listed(struct sg_call *call, void *answer)
{
	const struct sg_job *job = sg_job_of_certificate(call->account);

	if (job != NULL && is_proven(job) &&
	    !sg_reconcile_may_list(answer, job->row.old_certificate))
		fail_no_way_back(call);
	else
		cancel_job(call);
}

static void on_features(struct sg_call *call, void *answer)
{
	static const struct sg_msg_empty nothing = { 0 };

	sg_account_note_features(call->account, answer);
	if (sg_cert_protocol_can(answer, SG_NS_CCM2_LIST))
		sg_call_ask_account(call, SG_MSG_CCM2_LIST, &nothing, former_listed);
	else if (sg_cert_protocol_can(answer, SG_NS_CCM2_REVOKE))
		cancel_job(call);
	else /* what issued them may be away, and nothing can be undone meanwhile */
		sg_call_fail_with(call, SG_ERR_FEATURE, SG_NS_CCM2_REVOKE,
		    "the server of %s does not manage certificates now", call->account->row.jid);
}

/* Where the new one is refused, for it was revoked, or its token is away or locks itself, there is no other way than back. */
static int is_of_no_use(const struct sg_call *call, const struct sg_msg_error *error)
{
	int code = sg_msg_error_code(error);

	return call->password_fd < 0 &&
	    (sg_account_is_refused(error) || code == SG_ERR_TOKEN_ABSENT ||
		code == SG_ERR_KEY_ABSENT || code == SG_ERR_PIN_LOCKED);
}

static void on_online(void *arg, const struct sg_msg_error *error)
{
	static const struct sg_msg_empty nothing = { 0 };
	struct sg_call *call = arg;

	if (error == NULL)
		sg_call_ask_account(call, SG_MSG_XMPP_FEATURES, &nothing, on_features);
	else if (is_of_no_use(call, error))
		cancel_job(call);
	else
		sg_call_fail(call, error);
}

void sg_verb_cancel_enrolment(struct sg_call *call)
{
	struct sg_job *job;

	if (!sg_call_take_account(call, "jid"))
		return;
	job = sg_job_of_certificate(call->account);
	if (job != NULL && is_proven(job) && !sg_job_is_former_over(job))
		sg_account_go_online(
		    call->account, &call->caller, call->password_fd, &call->pin, on_online, call);
	else
		cancel_job(call);
}
