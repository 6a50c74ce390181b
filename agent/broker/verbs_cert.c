/* ListCertificates, RevokeCertificate. */
#include "verbs.h"

#include <stdlib.h>
#include <string.h>

#include "accounts.h"
#include "call.h"
#include "ccm2.h"
#include "cert_protocol.h"
#include "fingerprint.h"
#include "jobs.h"
#include "json.h"
#include "renewing.h"
#include "saslcert.h"
#include "text.h"
#include "x509.h"

#define SHA256_HEX_LEN 64

static const struct sg_msg_empty nothing = { 0 };
static const char advice_list[] = "`signet cert list` shows the certificates that the server has "
				  "issued; `signet enrol` gets one.";

/* ---- ListCertificates ---- */

/* Whether it is the one that the account logs in with here. */
static int is_own(const struct sg_call *call, const struct sg_ccm2_cert *cert)
{
	const char *current = call->account->row.certificate;
	char *sha256 = sg_x509_fingerprint(&cert->der, "sha256");
	int own = current != NULL && sha256 != NULL && strcmp(sha256, current) == 0;

	free(sha256);
	return own;
}

static void certs_listed(struct sg_call *call, void *answer)
{
	const struct sg_msg_ccm2_certs *certs = answer;
	json_t *array = json_array();
	json_int_t unread = certs->unread;

	for (uint32_t i = 0; i < certs->cert_count; i++) {
		json_t *issued = sg_json_issued(&certs->certs[i], is_own(call, &certs->certs[i]));

		/* XEP-0257 knows no last use. */
		if (call->account->row.protocol == SG_CERT_PROTOCOL_SASLCERT)
			json_object_set_new(issued, "used", json_string("untold"));
		if (json_is_object(json_object_get(issued, "certificate")))
			json_array_append(array, issued);
		else
			unread++; /* no certificate */
		json_decref(issued);
	}
	/* With long names they may be more than a reply holds. */
	sg_call_advise(call, SG_ERR_LIMIT, "`signet cert list --diff` shows them all.");
	sg_call_reply(call, json_pack("{s:o, s:I}", "certificates", array, "unread", unread));
}

static void list_certs(struct sg_call *call)
{
	sg_call_ask_account(call, SG_MSG_CCM2_LIST, &nothing, certs_listed);
}

static void list_online(struct sg_call *call)
{
	sg_call_need_feature(call, SG_NS_CCM2_LIST, list_certs);
}

void sg_verb_list_certificates(struct sg_call *call)
{
	if (sg_call_take_account(call, "jid"))
		sg_call_go_online(call, list_online);
}

/* ---- RevokeCertificate ---- */

/* Its call->state is the fingerprint in hex, a SHA-1 or at last a SHA-256, until the job has it. */

/* Another call has revoked it while this one was under way: revoking again is fine (C10). */
static json_t *revoked_meanwhile(const struct sg_call *call, const struct sg_msg_error *error)
{
	return sg_account_has_revoked(call->account, call->state) ? json_object() : NULL;
}

/* It was revoked before, and the server refuses it still: it, not a password or another
 * certificate. */
static json_t *revoked_before(const struct sg_call *call, const struct sg_msg_error *error)
{
	const char *current = call->account->row.certificate;
	int is_tried =
	    call->password_fd < 0 && current != NULL && strcmp(current, call->state) == 0;

	return is_tried && sg_account_is_refused(error) ? json_object() : NULL;
}

/* The job does not run: this call goes on with it, or takes its outcome. */
static void revoke_turn(struct sg_call *call, struct sg_job *job)
{
	sg_job_run(job, call);
}

static void revoke(struct sg_call *call)
{
	struct sg_job *job = sg_job_of_revocation(call->account, call->state);

	if (job == NULL) {
		job = sg_job_begin(call->account, SG_JOB_REVOKE);
		if (job == NULL) {
			sg_call_fail_code(call, SG_ERR_NOMEM, NULL);
			return;
		}
		job->row.sha256 = call->state;
	} else {
		free(call->state);
	}
	call->state = NULL;
	call->rescue = NULL;
	sg_job_when_idle(job, call, revoke_turn);
}

static void disabled(struct sg_call *call, void *answer)
{
	int err =
	    sg_store_cert_set_revoked(call->agent->store, call->account->row.jid, call->state, 1);

	if (err != 0) {
		sg_call_fail_code(call, err, call->account->row.jid);
		return;
	}
	sg_renewing_note(call->account);
	sg_call_reply(call, json_object());
}

/* S4. No job: who is logged in stays so, and it can be said again. */
static void disable(struct sg_call *call)
{
	const struct sg_msg_ccm2_revoke msg = { .sha256 = call->state, .only_disable = 1 };

	if (call->account->row.protocol == SG_CERT_PROTOCOL_SASLCERT)
		sg_call_ask_account(call, SG_MSG_CCM2_REVOKE, &msg, disabled);
	else
		sg_call_fail_with(call, SG_ERR_FEATURE, SG_NS_SASLCERT,
		    "the server of %s has ccm2, which revokes certificates and disables none",
		    call->account->row.jid);
}

static void end_it(struct sg_call *call)
{
	if (sg_call_flag(call, "disable"))
		disable(call);
	else
		revoke(call);
}

/* Puts the SHA-256 in the place of the name. */
static void revoke_by_sha256(struct sg_call *call, char *sha256)
{
	free(call->state);
	call->state = sha256;
	end_it(call);
}

static void named_cert_listed(struct sg_call *call, void *answer)
{
	const struct sg_msg_ccm2_certs *certs = answer;

	for (uint32_t i = 0; i < certs->cert_count; i++) {
		char *name = sg_x509_fingerprint(&certs->certs[i].der, "sha1");
		int same = name != NULL && strcmp(name, call->state) == 0;

		free(name);
		if (same) {
			char *sha256 = sg_x509_fingerprint(&certs->certs[i].der, "sha256");

			if (sha256 != NULL) {
				revoke_by_sha256(call, sha256);
				return;
			}
		}
	}
	sg_call_advise(call, SG_ERR_KEY_ABSENT, advice_list);
	sg_call_fail_with(call, SG_ERR_KEY_ABSENT, call->state, "%s has no certificate %s",
	    call->account->row.jid, (const char *)call->state);
}

static void list_to_find_name(struct sg_call *call)
{
	sg_call_ask_account(call, SG_MSG_CCM2_LIST, &nothing, named_cert_listed);
}

static void revoke_able(struct sg_call *call)
{
	struct sg_cert_row row = { .jid = NULL };
	int err;

	if (strlen(call->state) == SHA256_HEX_LEN) {
		end_it(call);
		return;
	}
	err = sg_store_cert_get(call->agent->store, call->account->row.jid, call->state, &row);
	if (err == SG_ERR_KEY_ABSENT) {
		sg_call_need_feature(call, SG_NS_CCM2_LIST, list_to_find_name);
	} else if (err != 0) {
		sg_call_fail_code(call, err, call->account->row.jid);
	} else {
		char *sha256 = row.sha256;

		row.sha256 = NULL;
		revoke_by_sha256(call, sha256);
	}
	sg_cert_row_clear(&row);
}

static void revoke_online(struct sg_call *call)
{
	sg_call_need_feature(call, SG_NS_CCM2_REVOKE, revoke_able);
}

/* The fingerprint in lower-case hex, or NULL. */
static char *take_fingerprint(const struct sg_call *call)
{
	const char *text = sg_call_string(call, "fingerprint");
	const char *current = call->account->row.certificate;
	char *hex;

	if (strcmp(text, "current") == 0)
		return sg_text_copy(current);
	hex = sg_fingerprint_take(text);
	if (hex != NULL && hex[0] != '\0')
		return hex;
	free(hex);
	return NULL;
}

/* Whether the account's certificate may be another one in a moment. */
static int is_changing(const struct sg_account *account)
{
	const struct sg_job *job = sg_job_of_certificate(account);

	return account->switching || (job != NULL && job->call != NULL);
}

void sg_verb_revoke_certificate(struct sg_call *call)
{
	int is_current;

	if (!sg_call_take_account(call, "jid"))
		return;
	is_current = strcmp(sg_call_string(call, "fingerprint"), "current") == 0;
	if (is_current && is_changing(call->account)) {
		sg_call_fail_with(call, SG_ERR_BUSY, call->account->row.jid,
		    "%s is being enrolled: its current certificate may be another one in a moment",
		    call->account->row.jid);
		return;
	}
	call->state = take_fingerprint(call);
	call->state_free = free;
	if (call->state != NULL && sg_job_of_revocation(call->account, call->state) != NULL) {
		revoke(call);
	} else if (call->state != NULL) {
		call->rescue = sg_account_has_revoked(call->account, call->state)
		    ? revoked_before
		    : revoked_meanwhile;
		sg_call_go_online(call, revoke_online);
	} else if (is_current) {
		sg_call_advise(call, SG_ERR_KEY_ABSENT, advice_list);
		sg_call_fail_with(call, SG_ERR_KEY_ABSENT, call->account->row.jid,
		    "%s has no certificate that it logs in with here", call->account->row.jid);
	} else {
		sg_call_fail_with(call, SG_ERR_ARG, "fingerprint",
		    "a fingerprint is a SHA-256 or SHA-1 in hex, or the word current");
	}
}
