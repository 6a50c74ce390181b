/*
 * The state that revokes a certificate (C9, C10): the intention is in the store before it is sent, and
 * sent again until the server has answered; then its keyinfo is retracted, where that is wanted.
 */
#include "jobs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ccm2.h"
#include "cert_protocol.h"
#include "online.h"
#include "renewing.h"

static const char advice_again[] =
    "The agent sends it again by itself, and as soon as you revoke it again.";
static const char advice_unknown[] = "Whether it is revoked is not known: `signet cert list` shows "
				     "what is not. The agent sends it again by itself, and "
				     "as soon as you revoke it again.";

static const char *fingerprint(const struct sg_call *call)
{
	const struct sg_job *job = call->state;

	return job->row.sha256;
}

/*
 * The key beside which the certificate is on a token: the URI of its object with another type; or NULL.
 * Both have the same label and identifier, for it was stored so.
 */
static char *key_beside(const struct sg_job *job)
{
	static const char type[] = ";type=cert";
	struct sg_cert_row cert;
	char *uri = NULL;
	size_t len;

	if (sg_store_cert_get(job->account->agent->store, job->row.jid, job->row.sha256, &cert) !=
	    0)
		return NULL;
	len = cert.uri != NULL ? strlen(cert.uri) : 0;
	if (cert.role == SG_CERT_CLIENT && len >= sizeof(type) &&
	    strcmp(cert.uri + len - (sizeof(type) - 1), type) == 0 &&
	    asprintf(&uri, "%.*s;type=private", (int)(len - (sizeof(type) - 1)), cert.uri) < 0)
		uri = NULL;
	sg_cert_row_clear(&cert);
	return uri;
}

static void revoked_and_left(struct sg_call *call)
{
	struct sg_job *job = call->state;

	free(job->row.key);
	job->row.key = key_beside(job);
	if (job->row.name != NULL)
		sg_job_go(call, SG_JOB_RETRACT);
	else
		sg_job_go(call, job->row.key != NULL ? SG_JOB_SWEEP : SG_JOB_END);
}

static void revoked(struct sg_call *call)
{
	struct sg_account *account = call->account;
	int err =
	    sg_store_cert_set_revoked(call->agent->store, account->row.jid, fingerprint(call), 1);

	if (err == 0) {
		sg_renewing_note(account);
		sg_jobs_account_ready(account); /* one that got it may wait */
	}
	if (err != 0) {
		sg_call_fail_code(call, err, account->row.jid);
	} else if (!sg_account_is_logged_in_with(account, fingerprint(call))) {
		revoked_and_left(call);
	} else {
		/* The server closes it too (C10), in its own time: who connects next is to learn
		 * the truth. */
		call->next = revoked_and_left;
		sg_account_go_offline(account, sg_call_continue, call);
	}
}

/* Whether a login by EXTERNAL is one with the certificate in question. */
static int is_own(const struct sg_call *call)
{
	const char *current = call->account->row.certificate;

	return current != NULL && strcmp(current, fingerprint(call)) == 0;
}

static void still_logs_in(struct sg_call *call)
{
	sg_call_advise(call, SG_ERR_OFFLINE, advice_again);
	sg_call_fail_with(call, SG_ERR_OFFLINE, call->account->row.jid,
	    "the connection ended before the server answered, and the certificate still logs in");
}

static void fail_unknown(struct sg_call *call, const struct sg_msg_error *error)
{
	sg_call_advise(call, sg_msg_error_code(error), advice_unknown);
	sg_call_fail(call, error);
}

/* A login with the certificate has been tried. */
static void on_proof(void *arg, const struct sg_msg_error *error)
{
	struct sg_call *call = arg;

	if (error == NULL) {
		call->next = still_logs_in; /* offline, as the server had left us */
		sg_account_go_offline(call->account, sg_call_continue, call);
	} else if (sg_account_is_refused(error)) {
		revoked(call);
	} else {
		fail_unknown(call, error);
	}
}

static void try_login(struct sg_call *call)
{
	sg_account_go_online(call->account, &call->caller, -1, &call->pin, on_proof, call);
}

/* Whether the server has ended the connection that was to bring the answer: not if another call
 * did. */
static int is_ended_by_server(const struct sg_account *account, const struct sg_msg_error *error)
{
	return sg_msg_error_code(error) == SG_ERR_OFFLINE && account->leave == NULL &&
	    account->connect == NULL;
}

/* S4: XEP-0257 forgets what it revokes; one of the account's own that is in its list no more is revoked. */
static int is_forgotten(const struct sg_call *call, const struct sg_msg_error *error)
{
	const struct sg_account *account = call->account;
	struct sg_cert_row row;

	if (account->row.protocol != SG_CERT_PROTOCOL_SASLCERT || !sg_job_is_gone(error) ||
	    sg_store_cert_get(call->agent->store, account->row.jid, fingerprint(call), &row) != 0)
		return 0;
	sg_cert_row_clear(&row);
	return 1;
}

/*
 * The server closes what was logged in with the certificate (C10), and may do so before its answer
 * is read: then whether the certificate still logs in is the answer.
 */
static void on_revoked(void *arg, const struct sg_msg_error *error, void *answer)
{
	struct sg_call *call = arg;
	struct sg_account *account = call->account;

	if (error == NULL || is_forgotten(call, error)) {
		revoked(call);
	} else if (is_ended_by_server(account, error) && is_own(call)) {
		call->next = try_login; /* once it is offline, as the worker is about to tell */
		sg_account_go_offline(account, sg_call_continue, call);
	} else if (sg_msg_error_code(error) == SG_ERR_STANZA) {
		sg_call_fail(call, error);
	} else {
		fail_unknown(call, error);
	}
}

/* C1: nothing is sent to a server that does not have it; what issued the certificate may be away. */
static void revoke_online(struct sg_call *call)
{
	const struct sg_job *job = call->state;

	if (job->can_revoke)
		sg_job_ask_revoke(call, job->row.sha256, on_revoked);
	else
		sg_call_fail_with(call, SG_ERR_FEATURE, SG_NS_CCM2_REVOKE,
		    "the server of %s does not have %s now", job->row.jid, SG_NS_CCM2_REVOKE);
}

/* After a restart: a certificate that the server does not take for a login is one that it has revoked. */
static void on_revoke_online(void *arg, const struct sg_msg_error *error)
{
	struct sg_call *call = arg;

	if (error == NULL)
		sg_job_go_online(call, revoke_online);
	else if (sg_account_is_refused(error) && call->password_fd < 0 && is_own(call))
		revoked(call);
	else
		sg_call_fail(call, error);
}

void sg_job_enter_revoke(struct sg_call *call)
{
	sg_call_advise(call, SG_ERR_FORMAT,
	    "Look at `signet cert list`. Entries that cannot be read were made by another client: "
	    "have it, or the server's operator, take them away, and revoke the certificate again.");
	sg_account_go_online(
	    call->account, &call->caller, call->password_fd, &call->pin, on_revoke_online, call);
}

enum sg_job_state sg_job_revoke_failed(struct sg_job *job, const struct sg_msg_error *error)
{
	return sg_job_is_final(error) ? SG_JOB_END : SG_JOB_REVOKE_IT;
}
