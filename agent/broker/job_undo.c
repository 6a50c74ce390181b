/*
 * The states that take away what is not to be used: a certificate that was issued and not proven, or was revoked
 * before the former one was, and objects on the token.
 */
#include "jobs.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "call_key.h"
#include "ccm2.h"
#include "key_cache.h"
#include "log.h"
#include "online.h"
#include "reconcile.h"
#include "renewal.h"
#include "text.h"
#include "worker.h"

/* ---- a certificate that was revoked before it took the former one's place ---- */

int sg_job_is_taken_back(const struct sg_job *job)
{
	return job->row.sha256 != NULL && sg_account_has_revoked(job->account, job->row.sha256) &&
	    (job->row.old_certificate == NULL ||
		!sg_account_has_revoked(job->account, job->row.old_certificate));
}

void sg_job_fail_taken_back(struct sg_call *call)
{
	const struct sg_job *job = call->state;

	sg_call_advise(
	    call, SG_ERR_CERT_REFUSED, "Ask the server's operator why, if it was not you.");
	sg_call_fail_with(call, SG_ERR_CERT_REFUSED, job->row.sha256,
	    "the new certificate was revoked before it took the former one's place: %s goes on "
	    "with the former one",
	    job->row.jid);
}

void sg_job_take_back(struct sg_call *call)
{
	const struct sg_job *job = call->state;
	int err = sg_store_cert_set_revoked(call->agent->store, job->row.jid, job->row.sha256, 1);

	if (err != 0)
		sg_call_fail_code(call, err, job->row.jid);
	else
		sg_job_fail_taken_back(call);
}

/* Where both are revoked there is nothing to go back to. */
enum sg_job_state sg_job_proven_failed(struct sg_job *job, const struct sg_msg_error *error)
{
	return sg_msg_error_code(error) == SG_ERR_CERT_REFUSED && sg_job_is_taken_back(job)
	    ? SG_JOB_UNDO
	    : job->row.state;
}

/* ---- UNDO ---- */

static void on_retracted(void *arg, const struct sg_msg_error *error, void *answer)
{
	struct sg_call *call = arg;

	if (error == NULL || sg_job_is_final(error))
		sg_job_go(call, SG_JOB_DISCARD);
	else
		sg_call_fail(call, error);
}

/* A renewal may have published it already. */
static void retract(struct sg_call *call, struct sg_cert_row *cert)
{
	const struct sg_msg_pep_retract msg = { &cert->name, 1 };

	if (call->account->publishing.access == NULL)
		sg_job_go(call, SG_JOB_DISCARD);
	else if (sg_call_is_online(call))
		sg_worker_request(call->account->worker, SG_MSG_PEP_RETRACT, &msg, -1,
		    SG_XMPP_SECONDS, on_retracted, call);
}

/* What contacts may know of it goes, too. */
static void retract_and_discard(struct sg_call *call)
{
	const struct sg_job *job = call->state;
	struct sg_cert_row cert;
	int err = sg_store_cert_get(call->agent->store, job->row.jid, job->row.sha256, &cert);

	if (err == SG_ERR_KEY_ABSENT) {
		sg_job_go(call, SG_JOB_DISCARD); /* it was never the account's */
	} else if (err != 0) {
		sg_call_fail_code(call, err, job->row.jid);
	} else {
		retract(call, &cert);
		sg_cert_row_clear(&cert);
	}
}

static void undone(struct sg_call *call)
{
	const struct sg_job *job = call->state;
	int err = sg_store_cert_set_revoked(call->agent->store, job->row.jid, job->row.sha256, 1);

	if (err != 0)
		sg_call_fail_code(call, err, job->row.jid);
	else
		retract_and_discard(call);
}

/* It is said in the log, and to who has it undone. */
static void note_unrevoked(struct sg_job *job, const char *why)
{
	sg_log(SG_LOG_WARN, "%s: %s, which is not used, may stay valid: %s", job->row.jid,
	    job->row.sha256, why);
	free(job->unrevoked);
	job->unrevoked = sg_text_copy(why);
}

/* One that the server does not revoke may log in, and is not noted as revoked. */
static void on_undone(void *arg, const struct sg_msg_error *error, void *answer)
{
	struct sg_call *call = arg;

	if (error == NULL || sg_job_is_gone(error)) {
		undone(call);
	} else if (sg_job_is_final(error)) {
		note_unrevoked(call->state, sg_failure_text(error));
		retract_and_discard(call);
	} else {
		sg_call_fail(call, error);
	}
}

static void undo_revoke(struct sg_call *call)
{
	struct sg_job *job = call->state;

	free(job->unrevoked); /* of a run before */
	job->unrevoked = NULL;
	if (!job->can_revoke) {
		note_unrevoked(job, "its server does not revoke certificates");
		retract_and_discard(call);
	} else {
		sg_job_ask_revoke(call, job->row.sha256, on_undone);
	}
}

/* What was issued for the CSR and never came, or nothing. */
static void undo_listed(struct sg_call *call, void *answer)
{
	struct sg_msg_ccm2_certs *certs = answer;
	struct sg_job *job = call->state;

	if (sg_job_take_issued(job, certs))
		undo_revoke(call);
	else
		sg_job_go(call, SG_JOB_END);
}

/* Whether the certificate that is to be undone has logged in (its request is kept then), and is not known to be revoked. */
static int is_good(const struct sg_job *job)
{
	struct sg_blob csr = { NULL, 0 };
	int good = job->row.sha256 != NULL && job->row.old_certificate != NULL &&
	    !sg_account_has_revoked(job->account, job->row.sha256) &&
	    sg_store_csr_get(job->account->agent->store, job->row.jid, job->row.sha256, &csr) == 0;

	sg_blob_clear(&csr);
	return good;
}

/* Whether the former certificate has expired meanwhile, or is known to be revoked, and the one that is to be undone is
 * good and has not expired. Where both have, it is rather the clock that is wrong. */
static int is_all_there_is(const struct sg_job *job)
{
	struct sg_renewal renewal;

	return is_good(job) && sg_job_is_former_over(job) &&
	    sg_renewal_of(&job->row.cert, SG_RENEWAL_AT_DEFAULT, &renewal) == 0 &&
	    !sg_renewal_is_over(&renewal, time(NULL));
}

/* The former certificate may have expired meanwhile, or have been revoked without anybody here knowing. */
static void fail_no_way_back(struct sg_call *call)
{
	const struct sg_job *job = call->state;

	sg_call_advise(call, SG_ERR_CERT_REFUSED,
	    "`signet sign` and `signet publish` do what the renewal had left to do.");
	sg_call_fail_with(call, SG_ERR_CERT_REFUSED, job->row.old_certificate,
	    "the former certificate of %s does not log in any more: the account keeps the new one",
	    job->row.jid);
}

static void undo_judged(struct sg_call *call, void *answer)
{
	const struct sg_job *job = call->state;

	if (sg_reconcile_may_list(answer, job->row.old_certificate))
		undo_revoke(call);
	else
		fail_no_way_back(call);
}

static void undo_online(struct sg_call *call)
{
	static const struct sg_msg_empty nothing = { 0 };
	const struct sg_job *job = call->state;

	if (!sg_job_is_managed(call))
		return;
	if (job->row.cert.len > 0 && job->can_list && is_good(job))
		sg_call_ask_account(call, SG_MSG_CCM2_LIST, &nothing, undo_judged);
	else if (job->row.cert.len > 0)
		undo_revoke(call);
	else if (job->can_list)
		sg_call_ask_account(call, SG_MSG_CCM2_LIST, &nothing, undo_listed);
	else
		sg_job_go(call, SG_JOB_END);
}

static void on_undo_login(void *arg, const struct sg_msg_error *error)
{
	struct sg_call *call = arg;

	if (error == NULL)
		sg_job_go_online(call, undo_online);
	else if (sg_account_is_refused(error) && call->password_fd < 0 && is_good(call->state))
		fail_no_way_back(call);
	else
		sg_call_fail(call, error);
}

static void undo_offline(struct sg_call *call)
{
	sg_account_go_online(
	    call->account, &call->caller, call->password_fd, &call->pin, on_undo_login, call);
}

enum sg_job_state sg_job_undo_failed(struct sg_job *job, const struct sg_msg_error *error)
{
	return sg_msg_error_code(error) == SG_ERR_CERT_REFUSED && is_good(job) &&
		sg_account_set_client(job->account, job->row.key, job->row.sha256) == 0
	    ? SG_JOB_END
	    : SG_JOB_UNDO;
}

/* What the account had: the agent may have been killed between the change of its certificate and that of the job's
 * state. */
static int give_back(struct sg_job *job)
{
	const char *current = job->account->row.certificate;

	if (current == NULL || job->row.sha256 == NULL || strcmp(current, job->row.sha256) != 0)
		return 0;
	return sg_account_set_client(job->account, job->row.old_key, job->row.old_certificate);
}

void sg_job_enter_undo(struct sg_call *call)
{
	struct sg_job *job = call->state;
	int err = give_back(job);

	if (err != 0) {
		sg_call_fail_code(call, err, job->row.jid);
		return;
	}
	/* The same as before: an authority gives it again for the same CSR (C5). */
	if (job->row.sha256 != NULL && job->row.old_certificate != NULL &&
	    strcmp(job->row.sha256, job->row.old_certificate) == 0) {
		sg_job_go(call, SG_JOB_END);
		return;
	}
	/* Neither list nor login would tell: servers go on listing one that has expired, and refuse it in many ways. */
	if (is_all_there_is(job)) {
		fail_no_way_back(call);
		return;
	}
	if (job->row.csr.len == 0) { /* nothing was asked for */
		sg_job_go(call, SG_JOB_END);
		return;
	}
	sg_job_tell(call, "undo", "revoking the certificate that is not used");
	/* The server ends what was logged in with it (C10), perhaps before its answer is read. */
	if (job->row.sha256 != NULL && sg_account_is_logged_in_with(call->account, job->row.sha256))
		sg_job_go_offline(call, undo_offline);
	else
		undo_offline(call);
}

/* ---- SWEEP, DISCARD ---- */

static void swept(struct sg_call *call, void *answer)
{
	sg_key_cache_flush(call->agent->key_cache, call->key.module);
	sg_job_go(call, SG_JOB_END);
}

static void discard(struct sg_call *call, const struct sg_blob *der)
{
	const struct sg_msg_cert_discard msg = {
		.caller = call->caller,
		.key = sg_key_ref_info(&call->key)->uri,
		.der = *der,
	};

	sg_call_ask_key(call, SG_MSG_CERT_DISCARD, &msg, SG_TOKEN_SECONDS, swept);
}

static void discard_unlocked(struct sg_call *call)
{
	const struct sg_job *job = call->state;

	discard(call, &job->row.cert);
}

void sg_job_enter_discard(struct sg_call *call)
{
	const struct sg_job *job = call->state;

	call->rescue = sg_job_clean_up_later;
	sg_call_use_key(call, job->row.key, discard_unlocked);
}

/* The certificate that the job has revoked: SHA-256. */
static const char *revoked(const struct sg_job *job)
{
	return job->row.kind == SG_JOB_REVOKE ? job->row.sha256 : job->row.old_certificate;
}

static void sweep_unlocked(struct sg_call *call)
{
	const struct sg_job *job = call->state;
	struct sg_cert_row cert;
	int err = sg_store_cert_get(call->agent->store, job->row.jid, revoked(job), &cert);

	if (err == SG_ERR_KEY_ABSENT) {
		sg_job_go(call, SG_JOB_END);
	} else if (err != 0) {
		sg_call_fail_code(call, err, job->row.jid);
	} else {
		discard(call, &cert.der);
		sg_cert_row_clear(&cert);
	}
}

void sg_job_enter_sweep(struct sg_call *call)
{
	const struct sg_job *job = call->state;
	const char *key = job->row.kind == SG_JOB_REVOKE ? job->row.key : job->row.old_key;

	call->rescue = sg_job_clean_up_later;
	if (key != NULL)
		sg_call_use_key(call, key, sweep_unlocked);
	else
		sg_job_go(call, SG_JOB_END);
}

/* A token that is gone, is locked for good, or takes no orders about certificates, keeps nothing up: what it holds is
 * revoked. */
enum sg_job_state sg_job_sweep_failed(struct sg_job *job, const struct sg_msg_error *error)
{
	switch (sg_msg_error_code(error)) {
	case SG_ERR_TOKEN_ABSENT:
	case SG_ERR_TOKEN_AMBIGUOUS:
	case SG_ERR_TOKEN_READ_ONLY:
	case SG_ERR_PIN_LOCKED:
	case SG_ERR_KEY_ABSENT:
	case SG_ERR_KEY_AMBIGUOUS:
	case SG_ERR_KEY_CHANGED:
	case SG_ERR_CERT_MISMATCH:
	case SG_ERR_UNSUPPORTED:
		sg_log(SG_LOG_WARN, "%s: a revoked certificate stays on its token: %s",
		    job->row.jid, sg_failure_text(error));
		return SG_JOB_END;
	default:
		return job->row.state;
	}
}
