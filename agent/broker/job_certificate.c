/*
 * The states that get a certificate: CSR, add-cert (C3 to C5), the token, the login that proves it, and
 * the end of the one before it. Where the server keeps a list of certificates of our own making (S2), one
 * of those stands in the place of the CSR.
 *
 * Nothing is changed before the certificate has been judged (C4). While it is being proven it is the
 * account's; when that fails, the account gets back the key and certificate it had.
 */
#include "jobs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <openssl/x509.h>

#include "attestation.h"
#include "call_key.h"
#include "ccm2.h"
#include "cert_protocol.h"
#include "log.h"
#include "online.h"
#include "reconcile.h"
#include "renewal.h"
#include "saslcert.h"
#include "text.h"
#include "worker.h"
#include "x509.h"

#define OWN_DAYS 365 /* that a certificate of our own making is valid (S2) */

static const struct sg_msg_empty nothing = { 0 };

/* ---- NEW ---- */

static void request_attested(struct sg_call *call)
{
	sg_attestation_keep(call);
	sg_job_go(call, SG_JOB_ADD);
}

void sg_job_add_attested(struct sg_call *call)
{
	sg_call_attest(call, request_attested);
}

static void request_made(struct sg_call *call)
{
	struct sg_job *job = call->state;
	const struct sg_account_row *account = &call->account->row;

	job->row.key = sg_text_copy(sg_key_ref_info(&call->key)->uri);
	job->row.old_key = sg_text_copy(account->key);
	job->row.old_certificate = sg_text_copy(account->certificate);
	if (job->row.key == NULL || (account->key != NULL && job->row.old_key == NULL) ||
	    (account->certificate != NULL && job->row.old_certificate == NULL))
		sg_call_fail_code(call, SG_ERR_NOMEM, NULL);
	else
		sg_job_add_attested(call);
}

static void csr_made(struct sg_call *call, void *answer)
{
	struct sg_job *job = call->state;
	struct sg_msg_der *der = answer;

	job->row.csr = der->der;
	memset(der, 0, sizeof(*der));
	request_made(call);
}

/*
 * Whoever enrols the key that the account has already may not have heard that it was done: the CSR of
 * then gets the certificate of then (C5), as long as that is good.
 */
static int take_former_request(struct sg_call *call)
{
	const struct sg_account_row *account = &call->account->row;
	const char *uri = sg_key_ref_info(&call->key)->uri;
	struct sg_job *job = call->state;

	return job->row.kind == SG_JOB_ENROL && uri != NULL && account->key != NULL &&
	    strcmp(uri, account->key) == 0 && account->certificate != NULL &&
	    sg_store_csr_get(
		call->agent->store, job->row.jid, account->certificate, &job->row.csr) == 0;
}

static int is_by_list(const struct sg_call *call)
{
	return call->account->row.protocol == SG_CERT_PROTOCOL_SASLCERT;
}

void sg_job_ask_request(struct sg_call *call, int nameless, sg_call_answer_fn *next)
{
	char *key = sg_key_ref_info(&call->key)->uri;
	const struct sg_blob spki_sha256 = sg_call_key_spki_sha256(call);
	const struct sg_msg_csr_make csr = {
		.caller = call->caller,
		.key = key,
		.jid = call->account->row.jid,
		.spki_sha256 = spki_sha256,
		.nameless = nameless != 0,
	};
	const struct sg_msg_self_cert_make own = {
		.caller = call->caller,
		.key = key,
		.jid = call->account->row.jid,
		.profile = SG_PROFILE_CLIENT,
		.days = OWN_DAYS,
		.spki_sha256 = spki_sha256,
	};

	if (is_by_list(call))
		sg_call_ask_key(call, SG_MSG_SELF_CERT_MAKE, &own, SG_TOKEN_SECONDS, next);
	else
		sg_call_ask_key(call, SG_MSG_CSR_MAKE, &csr, SG_TOKEN_SECONDS, next);
}

static void request_unlocked(struct sg_call *call)
{
	sg_job_ask_request(call, 0, csr_made);
}

static void make_request(struct sg_call *call)
{
	struct sg_job *job = call->state;

	sg_blob_clear(&job->row.csr);
	sg_job_tell(call, "request",
	    is_by_list(call) ? "making the certificate on the token"
			     : "making the request on the token");
	/* The server may have taken its time, and the token been locked meanwhile. */
	sg_call_use_key_again(call, request_unlocked);
}

/* The certificate of then stands in the place of its request: where the server still lists it, it is good (C5); one
 * that has left the list was revoked, and is not to come back. */
static void former_listed(struct sg_call *call, void *answer)
{
	const struct sg_msg_ccm2_certs *certs = answer;
	struct sg_job *job = call->state;
	struct sg_renewal renewal;
	int good = 0;

	if (sg_renewal_of(&job->row.csr, SG_RENEWAL_AT_DEFAULT, &renewal) == 0 &&
	    !sg_renewal_is_over(&renewal, time(NULL))) {
		for (uint32_t i = 0; i < certs->cert_count && !good; i++)
			good = sg_blob_eq(&certs->certs[i].der, &job->row.csr);
	}
	if (good)
		request_made(call);
	else
		make_request(call);
}

static int can_add(struct sg_call *call)
{
	const struct sg_job *job = call->state;

	if (!job->can_add)
		sg_call_fail_with(call, SG_ERR_FEATURE, SG_NS_CCM2_ADD,
		    "the server of %s does not have %s", call->account->row.jid, SG_NS_CCM2_ADD);
	return job->can_add;
}

/* Whether the request is one by the protocol that the server has now. */
static int is_of_protocol(const struct sg_call *call)
{
	return sg_job_is_own(call->state) == is_by_list(call);
}

static void new_online(struct sg_call *call)
{
	const struct sg_job *job = call->state;
	char text[96] = SG_NS_SASLCERT ": yes";

	if (!is_by_list(call))
		(void)snprintf(text, sizeof(text), "add-cert: %s, list-certs: %s, revoke-cert: %s",
		    job->can_add ? "yes" : "no", job->can_list ? "yes" : "no",
		    job->can_revoke ? "yes" : "no");
	sg_job_tell(call, "features", text);
	if (!can_add(call))
		return;
	if (!take_former_request(call) || !is_of_protocol(call))
		make_request(call);
	else if (is_by_list(call))
		sg_call_ask_account(call, SG_MSG_CCM2_LIST, &nothing, former_listed);
	else
		request_made(call);
}

static void new_key_found(struct sg_call *call)
{
	sg_job_tell(call, "login", "logging in");
	sg_job_go_online(call, new_online);
}

void sg_job_enter_new(struct sg_call *call)
{
	const struct sg_job *job = call->state;

	if (job->row.kind == SG_JOB_REVOKE) {
		sg_job_go(call, SG_JOB_REVOKE_IT);
		return;
	}
	if (job->row.kind == SG_JOB_RENEW) {
		sg_job_go(call, job->rekey ? SG_JOB_GENERATE : SG_JOB_REQUEST);
		return;
	}
	sg_call_use_key(call, job->selector, new_key_found);
}

/* ---- ADD ---- */

int sg_job_is_own(const struct sg_job *job)
{
	X509 *cert = NULL;
	int own = sg_x509_cert_parse(&job->row.csr, &cert) == 0;

	X509_free(cert);
	return own;
}

/* Takes the certificate over, when it is what was asked for (C4). Gives why it is not, or NULL. */
static const char *take_certificate(struct sg_job *job, struct sg_blob *der)
{
	const char *why = NULL;

	if (sg_job_is_own(job)) {
		if (!sg_blob_eq(der, &job->row.csr))
			return "it is not the one that was made here";
	} else if (sg_x509_check_issued(der, &job->row.csr, job->row.jid, time(NULL), &why) != 0)
		return why != NULL ? why : "it is no certificate";
	free(job->row.sha256);
	job->row.sha256 = sg_x509_fingerprint(der, "sha256");
	sg_blob_clear(&job->row.cert);
	job->row.cert = *der;
	*der = (struct sg_blob){ NULL, 0 };
	return job->row.sha256 != NULL ? NULL : sg_err_text(SG_ERR_NOMEM);
}

static void fail_refused(struct sg_call *call)
{
	const struct sg_job *job = call->state;

	sg_call_fail_with(call, SG_ERR_CERT_REFUSED, call->account->row.jid,
	    "the certificate from the server is refused: %s", job->refusal);
}

static void on_refused_revoked(void *arg, const struct sg_msg_error *error, void *answer)
{
	struct sg_call *call = arg;

	if (error == NULL || sg_job_is_final(error))
		fail_refused(call);
	else
		sg_call_fail(call, error);
}

/* Whether the account has it already: no new one that nobody would use. */
static int is_known(const struct sg_job *job, const char *sha256)
{
	struct sg_cert_row row;
	int err = sg_store_cert_get(job->account->agent->store, job->row.jid, sha256, &row);

	if (err == 0)
		sg_cert_row_clear(&row);
	return err != SG_ERR_KEY_ABSENT;
}

/* What was issued for our key and is not kept is not left on the server: it could log in, and counts to the limit. Cut
 * short, the same request gets it again (C5). */
static void refuse(struct sg_call *call, const struct sg_blob *der, const char *why)
{
	struct sg_job *job = call->state;
	char *sha256 = sg_x509_fingerprint(der, "sha256");

	job->refusal = why;
	if (sha256 == NULL || !job->can_revoke || !sg_x509_is_for(der, &job->row.csr) ||
	    is_known(job, sha256))
		fail_refused(call);
	else
		sg_job_ask_revoke(call, sha256, on_refused_revoked);
	free(sha256);
}

static void added(struct sg_call *call, void *answer)
{
	const struct sg_job *job = call->state;
	struct sg_msg_der *der = answer;
	const char *why = take_certificate(call->state, &der->der);

	if (why != NULL)
		refuse(call, &der->der, why);
	else if (job->row.kind != SG_JOB_RENEW || sg_job_renewal_is_newer(call))
		sg_job_go(call, SG_JOB_STORE);
}

static void appended(struct sg_call *call, void *answer)
{
	const struct sg_job *job = call->state;
	struct sg_msg_der own = { .der = { NULL, 0 } };

	if (sg_blob_set(&own.der, job->row.csr.data, job->row.csr.len) != 0)
		sg_call_fail_code(call, SG_ERR_NOMEM, NULL);
	else
		added(call, &own);
	sg_msg_clear(SG_MSG_DER, &own);
}

char *sg_job_default_name(void)
{
	char host[256] = "";
	char *name = NULL;

	if (gethostname(host, sizeof(host) - 1) != 0 || host[0] == '\0' ||
	    !sg_utf8_is_text(host, sizeof(host)))
		return strdup("signet");
	return asprintf(&name, "signet on %s", host) < 0 ? NULL : name;
}

static void add_send(struct sg_call *call)
{
	const struct sg_job *job = call->state;
	static char nameless[] = "";
	char *name = job->row.name != NULL ? job->row.name : nameless;
	const struct sg_msg_ccm2_add add = { .name = name, .csr = job->row.csr };
	const struct sg_msg_saslcert_append append = { .name = name, .der = job->row.csr };

	if (sg_job_is_own(job))
		sg_call_ask_account(call, SG_MSG_SASLCERT_APPEND, &append, appended);
	else
		sg_call_ask_account(call, SG_MSG_CCM2_ADD, &add, added);
}

int sg_job_take_issued(struct sg_job *job, struct sg_msg_ccm2_certs *certs)
{
	struct sg_store *store = job->account->agent->store;
	struct sg_cert_row known;

	for (uint32_t i = 0; i < certs->cert_count; i++) {
		char *sha256 = sg_x509_fingerprint(&certs->certs[i].der, "sha256");
		int err = sha256 != NULL ? sg_store_cert_get(store, job->row.jid, sha256, &known)
					 : SG_ERR_NOMEM;

		free(sha256);
		if (err == 0)
			sg_cert_row_clear(&known);
		if (err == SG_ERR_KEY_ABSENT && take_certificate(job, &certs->certs[i].der) == NULL)
			return 1;
	}
	return 0;
}

/* It may have been issued before the agent was killed. The same CSR would get it too (C5), from an
 * authority that keeps to that. */
static void add_listed(struct sg_call *call, void *answer)
{
	struct sg_job *job = call->state;

	if (job->row.kind == SG_JOB_RENEW && !sg_job_renewal_listed(call, answer))
		return;
	if (job->resumed && sg_job_take_issued(job, answer)) {
		sg_log(SG_LOG_INFO, "%s: the certificate %s, which was issued, is adopted",
		    job->row.jid, job->row.sha256);
		if (job->row.kind != SG_JOB_RENEW || sg_job_renewal_is_newer(call))
			sg_job_go(call, SG_JOB_STORE);
	} else if (can_add(call)) {
		add_send(call);
	}
}

static void add_online(struct sg_call *call)
{
	const struct sg_job *job = call->state;

	if (call->account->row.protocol != SG_CERT_PROTOCOL_UNKNOWN && !is_of_protocol(call))
		sg_call_fail_with(call, SG_ERR_CERT_REFUSED, job->row.jid,
		    "the server of %s has certificates managed by another protocol now than when "
		    "this was begun: begin again",
		    job->row.jid);
	else if ((job->resumed || job->row.kind == SG_JOB_RENEW) && job->can_list)
		sg_call_ask_account(call, SG_MSG_CCM2_LIST, &nothing, add_listed);
	else if (can_add(call))
		add_send(call);
}

void sg_job_enter_add(struct sg_call *call)
{
	sg_job_tell(call, "add", "sending the request to the server");
	sg_job_go_online(call, add_online);
}

/* Over a limit: of requests, or of certificates. What was sent before may have been issued, and is not given up for that:
 * the authority gives it again (C5). */
static int is_over_limit(const struct sg_msg_error *error)
{
	return sg_msg_error_is(error, SG_ERR_STANZA, "resource-constraint");
}

enum sg_job_state sg_job_add_failed(struct sg_job *job, const struct sg_msg_error *error)
{
	if (job->resumed && is_over_limit(error))
		return SG_JOB_ADD;
	return sg_job_is_final(error) ||
		(job->row.kind == SG_JOB_RENEW && sg_job_renewal_is_final(job, error))
	    ? SG_JOB_END
	    : SG_JOB_ADD;
}

/* ---- STORE ---- */

static void stored(
    struct sg_call *call, struct sg_cert_info *cert, const struct sg_msg_error *why_not)
{
	struct sg_job *job = call->state;

	if (cert != NULL) {
		free(job->row.cert_uri);
		job->row.cert_uri = cert->uri;
		cert->uri = NULL;
	}
	if (why_not != NULL) {
		sg_log(SG_LOG_INFO, "%s: the agent alone keeps the certificate: %s",
		    call->account->row.jid, sg_failure_text(why_not));
		sg_job_tell(call, "store", sg_failure_text(why_not));
	}
	sg_job_go(call, SG_JOB_PROVE);
}

static void store_unlocked(struct sg_call *call)
{
	const struct sg_job *job = call->state;

	sg_call_store_cert(call, &job->row.cert, stored);
}

void sg_job_enter_store(struct sg_call *call)
{
	const struct sg_job *job = call->state;

	sg_job_tell(call, "store", "storing the certificate on the token");
	sg_call_use_key(call, job->row.key, store_unlocked);
}

/* ---- PROVE ---- */

static void proven(struct sg_call *call)
{
	const struct sg_job *job = call->state;
	const char *old = job->row.old_certificate;
	int err;

	/* Another call may have been quicker to connect, and with a password. */
	if (!sg_account_is_logged_in_with(call->account, job->row.sha256))
		sg_call_fail_with(call, SG_ERR_AUTH, call->account->row.jid,
		    "the login that was to prove the certificate was not made with it");
	else if ((err = sg_store_csr_put(
		      call->agent->store, job->row.jid, job->row.sha256, &job->row.csr)) != 0)
		sg_call_fail_code(call, err, job->row.jid);
	else if (job->row.kind == SG_JOB_SPARE && old != NULL && strcmp(old, job->row.sha256) != 0)
		sg_job_go(call, SG_JOB_RETURN);
	else if (job->row.kind == SG_JOB_ENROL || job->row.kind == SG_JOB_SPARE || old == NULL ||
	    strcmp(old, job->row.sha256) == 0)
		sg_job_go(call, SG_JOB_END);
	else
		sg_job_go(call, job->row.kind == SG_JOB_RENEW ? SG_JOB_SIGN : SG_JOB_RETIRE);
}

static void prove_offline(struct sg_call *call)
{
	sg_job_tell(call, "prove", "logging in with the certificate");
	call->next = proven;
	sg_account_go_online(call->account, &call->caller, -1, &call->pin, sg_call_continue, call);
}

void sg_job_enter_prove(struct sg_call *call)
{
	struct sg_job *job = call->state;
	struct sg_account *account = call->account;
	int err;

	if (sg_account_is_logged_in_with(account, job->row.sha256)) {
		proven(call);
		return;
	}
	if (!sg_job_may_go_offline(call))
		return;
	err = sg_account_certify(
	    account, SG_CERT_CLIENT, job->row.key, &job->row.cert, job->row.cert_uri);
	if (err != 0) {
		sg_call_fail_with(call, err, account->row.jid,
		    "the account does not have the new certificate: %s",
		    sg_store_failure(call->agent->store, err));
		return;
	}
	sg_job_go_offline(call, prove_offline);
}

/* The account is as it was; refused by the server, the certificate is not to be used at all. */
enum sg_job_state sg_job_prove_failed(struct sg_job *job, const struct sg_msg_error *error)
{
	struct sg_account *account = job->account;

	if (sg_account_set_client(account, job->row.old_key, job->row.old_certificate) != 0)
		sg_log(SG_LOG_ERROR, "%s: its former certificate could not be set again",
		    account->row.jid);
	return sg_account_is_refused(error) ? SG_JOB_UNDO : SG_JOB_PROVE;
}

/* ---- RETURN: a spare is proven ---- */

static void returned(void *arg, const struct sg_msg_error *error)
{
	sg_job_go(arg, SG_JOB_END);
}

/* Online as it was before the job, where its token lets it. */
static void return_offline(struct sg_call *call)
{
	const struct sg_job *job = call->state;

	if (job->was_online)
		sg_account_go_online(call->account, &call->caller, -1, &call->pin, returned, call);
	else
		sg_job_go(call, SG_JOB_END);
}

void sg_job_enter_return(struct sg_call *call)
{
	const struct sg_job *job = call->state;
	int err;

	if (!sg_job_may_go_offline(call))
		return;
	err = sg_account_set_client(call->account, job->row.old_key, job->row.old_certificate);
	if (err != 0) {
		sg_call_fail_code(call, err, job->row.jid);
		return;
	}
	sg_job_go_offline(call, return_offline);
}

/* ---- RETIRE, RETRACT: the former certificate ---- */

static void retired(struct sg_call *call)
{
	const struct sg_job *job = call->state;
	int err = sg_store_cert_set_revoked(
	    call->agent->store, job->row.jid, job->row.old_certificate, 1);

	if (err != 0)
		sg_call_fail_code(call, err, job->row.jid);
	else
		sg_job_go(call, SG_JOB_RETRACT);
}

/* It is not noted as revoked, and who is there is told. */
static void leave_former(struct sg_call *call, const char *why)
{
	const struct sg_job *job = call->state;
	char *text = NULL;

	if (asprintf(&text, "the former certificate, %s, is NOT REVOKED, and may log in: %s",
		job->row.old_certificate, why) < 0)
		text = NULL;
	sg_log(SG_LOG_WARN, "%s: %s", job->row.jid, text != NULL ? text : why);
	sg_job_tell(call, "retire", text != NULL ? text : why);
	free(text);
	sg_job_go(call, SG_JOB_RETRACT);
}

static void on_retired(void *arg, const struct sg_msg_error *error, void *answer)
{
	struct sg_call *call = arg;

	if (error == NULL || sg_job_is_gone(error)) {
		retired(call);
	} else if (sg_msg_error_code(error) == SG_ERR_FORMAT) {
		leave_former(call, "its server's list cannot be read");
	} else {
		sg_call_fail(call, error);
	}
}

static void retire(struct sg_call *call)
{
	const struct sg_job *job = call->state;

	sg_job_ask_revoke(call, job->row.old_certificate, on_retired);
}

/* The new one may have been revoked since it was proven: without the former one the account would have none. */
static void retire_listed(struct sg_call *call, void *answer)
{
	const struct sg_job *job = call->state;
	const struct sg_msg_ccm2_certs *certs = answer;

	if (!sg_reconcile_may_list(certs, job->row.sha256) &&
	    sg_reconcile_entry(certs, job->row.old_certificate) != NULL)
		sg_job_take_back(call);
	else
		retire(call);
}

static void retire_online(struct sg_call *call)
{
	const struct sg_job *job = call->state;

	if (!sg_job_is_managed(call))
		return;
	if (!job->can_revoke) {
		leave_former(call, "its server does not revoke certificates");
	} else if (job->can_list) {
		sg_call_ask_account(call, SG_MSG_CCM2_LIST, &nothing, retire_listed);
	} else {
		retire(call);
	}
}

/* Nor does it log in then. */
static void on_retire_login(void *arg, const struct sg_msg_error *error)
{
	struct sg_call *call = arg;

	if (error == NULL)
		sg_job_go_online(call, retire_online);
	else if (sg_account_is_refused(error) && call->password_fd < 0)
		sg_job_take_back(call);
	else
		sg_call_fail(call, error);
}

void sg_job_enter_retire(struct sg_call *call)
{
	if (sg_job_is_taken_back(call->state)) {
		sg_job_fail_taken_back(call);
		return;
	}
	sg_job_tell(call, "retire", "revoking the former certificate");
	sg_account_go_online(
	    call->account, &call->caller, call->password_fd, &call->pin, on_retire_login, call);
}

static void retracted(struct sg_call *call)
{
	const struct sg_job *job = call->state;
	int is_off_token = job->row.kind == SG_JOB_REVOKE && job->row.key == NULL;

	sg_job_go(call, is_off_token ? SG_JOB_END : SG_JOB_SWEEP);
}

static void on_retracted(void *arg, const struct sg_msg_error *error, void *answer)
{
	struct sg_call *call = arg;

	if (error == NULL || sg_job_is_gone(error))
		retracted(call);
	else
		sg_call_fail(call, error);
}

static void retract_online(struct sg_call *call)
{
	struct sg_job *job = call->state;
	struct sg_cert_row old = { 0 };
	struct sg_msg_pep_retract msg = { &job->row.name, 1 };
	int err = 0;

	if (job->row.kind != SG_JOB_REVOKE) {
		err = sg_store_cert_get(
		    call->agent->store, job->row.jid, job->row.old_certificate, &old);
		msg.names = &old.name;
	}
	if (err == SG_ERR_KEY_ABSENT) /* removed by hand, and with it what its keyinfo is called */
		retracted(call);
	else if (err != 0)
		sg_call_fail_code(call, err, job->row.jid);
	else if (sg_call_is_online(call))
		sg_worker_request(call->account->worker, SG_MSG_PEP_RETRACT, &msg, -1,
		    SG_XMPP_SECONDS, on_retracted, call);
	sg_cert_row_clear(&old);
}

void sg_job_enter_retract(struct sg_call *call)
{
	if (call->account->publishing.access == NULL) {
		retracted(call);
		return;
	}
	sg_job_tell(call, "retract", "retracting the certificate's keyinfo");
	sg_job_go_online(call, retract_online);
}
