/* ListCertificates, RevokeCertificate. */
#include "verbs.h"

#include <stdlib.h>
#include <string.h>

#include "accounts.h"
#include "call.h"
#include "ccm2.h"
#include "json.h"
#include "log.h"
#include "online.h"
#include "renewing.h"
#include "text.h"
#include "worker.h"
#include "x509.h"

#define SHA1_LEN       20
#define SHA256_LEN     32
#define SHA256_HEX_LEN 64

static const struct sg_msg_empty nothing = { 0 };
static const char advice_list[] = "`signet cert list` shows the certificates that the server has "
				  "issued; `signet enrol` gets one.";
static const char advice_again[] = "Revoke it again.";
static const char advice_unknown[] =
    "Whether it is revoked is not known: `signet cert list` shows what is not. Revoke it again.";

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

	for (uint32_t i = 0; i < certs->cert_count; i++) {
		json_t *issued = sg_json_issued(&certs->certs[i], is_own(call, &certs->certs[i]));

		if (json_is_object(json_object_get(issued, "certificate")))
			json_array_append_new(array, issued);
		else
			json_decref(issued); /* no certificate: the worker has said so */
	}
	sg_call_reply(call, json_pack("{s:o}", "certificates", array));
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

/* Its call->state is the fingerprint in hex, a SHA-1 or at last a SHA-256. */

static void revoked_and_left(struct sg_call *call)
{
	sg_call_reply(call, json_object());
}

static void revoked(struct sg_call *call)
{
	struct sg_account *account = call->account;
	int err = sg_store_cert_set_revoked(call->agent->store, account->row.jid, call->state, 1);

	if (err != 0)
		sg_log(SG_LOG_WARN, "%s: the revocation of %s could not be noted", account->row.jid,
		    (const char *)call->state);
	else
		sg_renewing_note(account);
	if (!sg_account_is_logged_in_with(account, call->state)) {
		revoked_and_left(call);
		return;
	}
	/* The server closes it too (C10), in its own time: who connects next is to learn the
	 * truth. */
	call->next = revoked_and_left;
	sg_account_go_offline(account, sg_call_continue, call);
}

static int is_noted_as_revoked(const struct sg_call *call)
{
	struct sg_cert_row row;
	int is_revoked = 0;

	if (sg_store_cert_get(call->agent->store, call->account->row.jid, call->state, &row) == 0) {
		is_revoked = row.revoked != 0;
		sg_cert_row_clear(&row);
	}
	return is_revoked;
}

/* Whether the server refused the very certificate: RFC 6120 6.5.10, and no other failure of a
 * login. */
static int is_refusal(const struct sg_msg_error *error)
{
	return sg_msg_error_code(error) == SG_ERR_AUTH && error->condition != NULL &&
	    strcmp(error->condition, "not-authorized") == 0;
}

/* Another call has revoked it while this one was under way: revoking again is fine (C10). */
static json_t *revoked_meanwhile(const struct sg_call *call, const struct sg_msg_error *error)
{
	return is_noted_as_revoked(call) ? json_object() : NULL;
}

/* It was revoked before, and the server refuses it still: it, not a password or another
 * certificate. */
static json_t *revoked_before(const struct sg_call *call, const struct sg_msg_error *error)
{
	const char *current = call->account->row.certificate;
	int is_tried =
	    call->password_fd < 0 && current != NULL && strcmp(current, call->state) == 0;

	return is_tried && is_refusal(error) ? json_object() : NULL;
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
	} else if (is_refusal(error)) {
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

/*
 * The server closes what was logged in with the certificate (C10), and may do so before its answer
 * is read: then whether the certificate still logs in is the answer.
 */
static void on_revoked(void *arg, const struct sg_msg_error *error, void *answer)
{
	struct sg_call *call = arg;
	struct sg_account *account = call->account;
	const char *current = account->row.certificate;

	if (error == NULL) {
		revoked(call);
	} else if (is_ended_by_server(account, error) && current != NULL &&
	    strcmp(current, call->state) == 0) {
		call->next = try_login; /* once it is offline, as the worker is about to tell */
		sg_account_go_offline(account, sg_call_continue, call);
	} else if (sg_msg_error_code(error) == SG_ERR_STANZA) {
		sg_call_fail(call, error);
	} else {
		fail_unknown(call, error);
	}
}

static void revoke(struct sg_call *call)
{
	const struct sg_msg_ccm2_revoke msg = { .sha256 = call->state };

	if (sg_call_is_online(call))
		sg_worker_request(call->account->worker, SG_MSG_CCM2_REVOKE, &msg, -1,
		    SG_XMPP_SECONDS, on_revoked, call);
}

/* Puts the SHA-256 in the place of the name. */
static void revoke_by_sha256(struct sg_call *call, char *sha256)
{
	free(call->state);
	call->state = sha256;
	revoke(call);
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
		revoke(call);
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
	struct sg_blob bytes = { NULL, 0 };
	char *hex = NULL;

	if (strcmp(text, "current") == 0)
		return sg_text_copy(current);
	if (sg_hex_decode(text, SHA256_LEN, &bytes) == 0 &&
	    (bytes.len == SHA1_LEN || bytes.len == SHA256_LEN))
		hex = sg_hex_encode(bytes.data, bytes.len);
	sg_blob_clear(&bytes);
	return hex;
}

void sg_verb_revoke_certificate(struct sg_call *call)
{
	int is_current;

	if (!sg_call_take_account(call, "jid"))
		return;
	is_current = strcmp(sg_call_string(call, "fingerprint"), "current") == 0;
	if (is_current && call->account->enrolling) {
		sg_call_fail_with(call, SG_ERR_BUSY, call->account->row.jid,
		    "%s is being enrolled: its current certificate may be another one in a moment",
		    call->account->row.jid);
		return;
	}
	call->state = take_fingerprint(call);
	call->state_free = free;
	if (call->state != NULL) {
		call->rescue = is_noted_as_revoked(call) ? revoked_before : revoked_meanwhile;
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
