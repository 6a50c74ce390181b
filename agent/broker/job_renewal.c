/*
 * The states that a renewal has beside those of job_certificate.c: the key and its request before, and
 * afterwards the signature and the place on the node that make contacts trust the new certificate as they
 * did the former one, which is not revoked before.
 */
#include "jobs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "call_key.h"
#include "key_find.h"
#include "log.h"
#include "reconcile.h"
#include "renewal.h"
#include "renewing.h"
#include "text.h"
#include "uri.h"
#include "verbs.h"
#include "x509.h"

struct sg_job *sg_job_begin_renewal(struct sg_account *account, const char *key, const char *name)
{
	struct sg_job *job = sg_job_begin(account, SG_JOB_RENEW);

	if (job == NULL)
		return NULL;
	job->row.key = strdup(key);
	job->row.name = sg_text_copy(name);
	job->row.old_key = sg_text_copy(account->row.key);
	job->row.old_certificate = sg_text_copy(account->row.certificate);
	if (job->row.key != NULL && job->row.old_key != NULL && job->row.old_certificate != NULL &&
	    (name == NULL || job->row.name != NULL))
		return job;
	sg_job_drop(job);
	return NULL;
}

/* ---- the former certificate ---- */

/* When it ends; zero, which is long over, when it is not known. */
static struct sg_renewal former(const struct sg_job *job)
{
	struct sg_renewal renewal = { 0 };
	struct sg_cert_row row = { .jid = NULL };

	if (sg_store_cert_get(
		job->account->agent->store, job->row.jid, job->row.old_certificate, &row) == 0 &&
	    sg_renewal_of(&row.der, SG_RENEWAL_AT_DEFAULT, &renewal) != 0)
		renewal = (struct sg_renewal){ 0 };
	sg_cert_row_clear(&row);
	return renewal;
}

/* The key of the former certificate, as NewKey names it: "p256". 0 when the call has failed. */
static int former_algorithm(struct sg_call *call, char algorithm[16])
{
	const struct sg_job *job = call->state;
	struct sg_cert_row row = { .jid = NULL };
	X509 *cert = NULL;
	int err =
	    sg_store_cert_get(call->agent->store, job->row.jid, job->row.old_certificate, &row);

	if (err == 0)
		err = sg_x509_cert_parse(&row.der, &cert);
	if (err == 0)
		(void)snprintf(algorithm, 16, "%s",
		    sg_x509_key_algorithm(X509_get0_pubkey(cert), (char[16]){ "" }));
	X509_free(cert);
	sg_cert_row_clear(&row);
	if (err != 0)
		sg_call_fail_code(call, err, job->row.old_certificate);
	return err == 0;
}

/* Whether it is still what the account logs in with; 0 when the call has failed, for good. */
static int is_still_current(struct sg_call *call)
{
	const struct sg_job *job = call->state;
	const char *current = call->account->row.certificate;

	if (current != NULL && strcmp(current, job->row.old_certificate) == 0)
		return 1;
	sg_call_fail_with(call, SG_ERR_CERT_REFUSED, job->row.old_certificate,
	    "%s has got another certificate meanwhile: the one that was to be renewed is not its "
	    "own any more",
	    job->row.jid);
	return 0;
}

/* ---- GENERATE ---- */

static void generated(void *arg, const struct sg_msg_error *error)
{
	struct sg_call *call = arg;

	if (error != NULL)
		sg_call_fail(call, error);
	else
		sg_job_go(call, SG_JOB_REQUEST);
}

static void generate(struct sg_call *call)
{
	const struct sg_job *job = call->state;
	char *label = sg_uri_value(job->row.key, SG_URI_OBJECT);
	char algorithm[16];

	if (former_algorithm(call, algorithm))
		sg_call_do(call, "NewKey", sg_verb_new_key,
		    json_pack("{s:s, s:s, s:s}", "token", job->row.key, "label",
			label != NULL ? label : "", "algorithm", algorithm),
		    generated, call);
	free(label);
}

/* Nothing had this name before: what has it now was made before the agent was killed. */
static void on_generated_before(void *arg, const struct sg_msg_error *error, struct sg_key_ref *key)
{
	struct sg_call *call = arg;

	if (error == NULL)
		sg_job_go(call, SG_JOB_REQUEST);
	else if (sg_msg_error_code(error) == SG_ERR_KEY_ABSENT)
		generate(call);
	else
		sg_call_fail(call, error);
}

void sg_job_enter_generate(struct sg_call *call)
{
	const struct sg_job *job = call->state;
	char *label = sg_uri_value(job->row.key, SG_URI_OBJECT);
	char *text = NULL;

	/* It stays on the token where the renewal comes to nothing: its name is wanted then. */
	if (asprintf(&text, "making a new key on the token, \"%s\"", label != NULL ? label : "") <
	    0)
		text = NULL;
	sg_job_tell(call, "key", text != NULL ? text : "making a new key on the token");
	free(text);
	free(label);
	sg_key_find_unlocked(
	    call->agent, &call->caller, job->row.key, &call->pin, on_generated_before, call);
}

/* The person is there, and sees why no key was made. */
enum sg_job_state sg_job_generate_failed(struct sg_job *job, const struct sg_msg_error *error)
{
	int code = sg_msg_error_code(error);

	if (code == SG_ERR_ARG) /* half a key has the name: not one that could be used */
		return SG_JOB_END;
	/* Where the agent or the token's process ended meanwhile, the key may be there. */
	return job->resumed || code == SG_ERR_WORKER || code == SG_ERR_TIMEOUT ? SG_JOB_GENERATE
									       : SG_JOB_END;
}

/* ---- REQUEST ---- */

/* Whether the request that there is has a name as its subject. */
static int is_named(const struct sg_blob *csr)
{
	X509_REQ *request = NULL;
	int named = 1;

	if (sg_x509_csr_parse(csr, &request) == 0)
		named = X509_NAME_entry_count(X509_REQ_get_subject_name(request)) > 0;
	X509_REQ_free(request);
	return named;
}

static void request_made(struct sg_call *call, void *answer)
{
	struct sg_job *job = call->state;
	struct sg_msg_der *der = answer;
	char *key = sg_text_copy(sg_key_ref_info(&call->key)->uri);

	if (key == NULL) {
		sg_call_fail_code(call, SG_ERR_NOMEM, NULL);
		return;
	}
	free(job->row.key);
	job->row.key = key;
	sg_blob_clear(&job->row.csr);
	job->row.csr = der->der;
	memset(der, 0, sizeof(*der));
	sg_job_add_attested(call);
}

/* By the first request the server gave the former certificate again (C5): the other form of C12 gets
 * another. */
static void request_unlocked(struct sg_call *call)
{
	const struct sg_job *job = call->state;

	sg_job_ask_request(call, job->row.csr.len > 0, request_made);
}

void sg_job_enter_request(struct sg_call *call)
{
	const struct sg_job *job = call->state;

	if (!is_still_current(call))
		return;
	sg_job_tell(call, "request", "making the request on the token");
	sg_call_use_key(call, job->row.key, request_unlocked);
}

enum sg_job_state sg_job_request_failed(struct sg_job *job, const struct sg_msg_error *error)
{
	const char *old = job->row.old_key;
	int has_old_key = old != NULL && strcmp(old, job->row.key) == 0;

	if (sg_msg_error_code(error) == SG_ERR_KEY_CHANGED || sg_job_is_final(error))
		return SG_JOB_END;
	/* A person who renews before it is due sees why not, and tries again; but not with one more new
	 * key. */
	return has_old_key && !sg_renewing_is_due(job->account) ? SG_JOB_END : SG_JOB_REQUEST;
}

/* ---- ADD: what job_certificate.c asks of a renewal ---- */

int sg_job_renewal_listed(struct sg_call *call, const struct sg_msg_ccm2_certs *certs)
{
	struct sg_job *job = call->state;
	const struct sg_renewal old = former(job);
	const struct sg_ccm2_cert *entry = sg_reconcile_entry(certs, job->row.old_certificate);

	if (job->row.name == NULL)
		job->row.name = entry != NULL ? sg_text_copy(entry->name) : sg_job_default_name();
	/* One that has expired need not be listed. */
	if (sg_reconcile_may_list(certs, job->row.old_certificate) ||
	    sg_renewal_is_over(&old, time(NULL)))
		return 1;
	sg_call_fail_with(call, SG_ERR_CERT_REFUSED, job->row.old_certificate,
	    "the server does not list the certificate that was to be renewed any more: it was "
	    "revoked elsewhere");
	return 0;
}

int sg_job_renewal_is_newer(struct sg_call *call)
{
	struct sg_job *job = call->state;
	const struct sg_renewal old = former(job);
	struct sg_renewal renewal;

	/* Of a second each, two may end together. One that was made here is as long as can be. */
	if (job->row.sha256 != NULL && strcmp(job->row.sha256, job->row.old_certificate) != 0 &&
	    sg_renewal_of(&job->row.cert, SG_RENEWAL_AT_DEFAULT, &renewal) == 0 &&
	    (renewal.not_after >= old.not_after || sg_job_is_own(job)))
		return 1;
	sg_blob_clear(&job->row.cert);
	free(job->row.sha256);
	job->row.sha256 = NULL;
	if (is_named(&job->row.csr))
		sg_job_go(call, SG_JOB_REQUEST);
	else
		sg_call_fail_with(call, SG_ERR_CERT_REFUSED, job->row.jid,
		    "the server gives a certificate again that it has issued before for this key, "
		    "and none that is valid for longer: renew it with --rekey");
	return 0;
}

int sg_job_renewal_is_final(const struct sg_job *job, const struct sg_msg_error *error)
{
	const struct sg_renewal old = former(job);

	/* A password that is refused says nothing of the certificate. Without one, and nobody brings that, the
	 * certificate does not log in any more. */
	if (job->call != NULL && job->call->password_fd >= 0)
		return 0;
	return sg_account_is_refused(error) ||
	    (sg_msg_error_code(error) == SG_ERR_AUTH && sg_renewal_is_over(&old, time(NULL)));
}

int sg_job_is_former_over(const struct sg_job *job)
{
	const struct sg_renewal old = former(job);

	return sg_account_has_revoked(job->account, job->row.old_certificate) ||
	    sg_renewal_is_over(&old, time(NULL));
}

/* ---- SIGN, PUBLISH ---- */

/* While the former certificate is valid it stands on the node, signed: there is time. Once it is not,
 * the new one is better than none. */
static void on_made_known(struct sg_call *call, const struct sg_msg_error *error, const char *what,
    enum sg_job_state next)
{
	const struct sg_job *job = call->state;
	const struct sg_renewal old = former(job);

	if (error == NULL) {
		sg_job_go(call, next);
		return;
	}
	if (sg_account_is_refused(error) && call->password_fd < 0) {
		sg_job_take_back(call);
		return;
	}
	if (!sg_renewal_is_over(&old, time(NULL))) {
		sg_call_fail_with(call, sg_msg_error_code(error), error->subject,
		    "the new certificate is in use, but not %s yet: %s", what,
		    sg_failure_text(error));
		return;
	}
	sg_log(SG_LOG_WARN, "%s: the new certificate is not %s, and the former one has expired: %s",
	    job->row.jid, what, sg_failure_text(error));
	sg_job_go(call, next);
}

static void on_signed(void *arg, const struct sg_msg_error *error)
{
	on_made_known(arg, error, "signed by the user key", SG_JOB_PUBLISH);
}

void sg_job_enter_sign(struct sg_call *call)
{
	const struct sg_job *job = call->state;
	const struct sg_account_row *account = &call->account->row;

	if (sg_job_is_taken_back(job)) {
		sg_job_fail_taken_back(call);
		return;
	}
	if (account->user_key == NULL || account->user_certificate == NULL) {
		sg_job_go(call, SG_JOB_PUBLISH);
		return;
	}
	sg_job_tell(call, "sign", "signing the certificate with the user key");
	sg_call_do(call, "Sign", sg_verb_sign,
	    json_pack("{s:s, s:s}", "account", job->row.jid, "subject", job->row.sha256), on_signed,
	    call);
}

static void on_published(void *arg, const struct sg_msg_error *error)
{
	on_made_known(arg, error, "published", SG_JOB_RETIRE);
}

void sg_job_enter_publish(struct sg_call *call)
{
	const struct sg_job *job = call->state;

	if (sg_job_is_taken_back(job)) {
		sg_job_fail_taken_back(call);
		return;
	}
	if (call->account->publishing.access == NULL) {
		sg_job_go(call, SG_JOB_RETIRE);
		return;
	}
	sg_job_tell(call, "publish", "publishing the certificate");
	sg_call_do(call, "Publish", sg_verb_publish, json_pack("{s:s}", "jid", job->row.jid),
	    on_published, call);
}
