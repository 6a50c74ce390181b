/* Sign. */
#include "verbs.h"

#include <stdlib.h>
#include <string.h>

#include "call.h"
#include "call_key.h"
#include "signings.h"
#include "text.h"
#include "x509.h"

#define FINGERPRINT_MAX 64 /* bytes */

static const char advice_user_key[] =
    "Make one with `signet key new --user --account JID --token TOKEN --label LABEL`.";
static const char advice_enrol[] = "Get one with `signet enrol JID --key KEY`.";

/* ---- what was signed ---- */

/* K8: the issuer's JID, when it is not the subject's. An OpenPGP key that is signed is the
 * account's own. */
static int is_of_account(const struct sg_keyinfo *subject, const char *jid)
{
	X509 *cert = NULL;
	char **jids = NULL;
	int same = subject->kind == SG_KEYINFO_PGP;

	if (!same && sg_x509_cert_parse(&subject->data, &cert) == 0 &&
	    sg_x509_cert_jids(cert, &jids, NULL) == 0) {
		for (size_t i = 0; jids != NULL && jids[i] != NULL; i++)
			same = same || strcmp(jids[i], jid) == 0;
	}
	sg_strv_free(jids);
	X509_free(cert);
	return same;
}

/* A worker's answer is not believed to be whole. */
static int check_methods(const struct sg_msg_signatures *signatures)
{
	for (uint32_t i = 0; i < signatures->signature_count; i++) {
		if (signatures->signatures[i].method == NULL)
			return SG_ERR_INTERNAL;
	}
	return signatures->signature_count > 0 ? 0 : SG_ERR_INTERNAL;
}

static int name_issuer(struct sg_msg_signatures *signatures, const struct sg_keyinfo *subject,
    const struct sg_keyinfo *issuer, const char *jid)
{
	int foreign = !is_of_account(subject, jid);

	for (uint32_t i = 0; i < signatures->signature_count; i++) {
		struct sg_signature *signature = &signatures->signatures[i];

		free(signature->issuer);
		free(signature->issuer_jid);
		signature->issuer = strdup(issuer->name);
		signature->issuer_jid = foreign ? strdup(jid) : NULL;
		if (signature->issuer == NULL || signature->method == NULL ||
		    (foreign && signature->issuer_jid == NULL))
			return SG_ERR_INTERNAL;
	}
	return signatures->signature_count > 0 ? 0 : SG_ERR_INTERNAL;
}

static void sign_reply(struct sg_call *call, const struct sg_signing *signing,
    const struct sg_msg_signatures *signatures, int all_checked)
{
	struct sg_buf text = { NULL, 0, 0, 0 };

	sg_signing_reply(signing, signatures, all_checked, &text);
	sg_call_reply_text(call, &text);
	sg_buf_clear(&text);
}

/* They are in the store, and so in what is known after it. */
static void sign_kept(
    struct sg_call *call, const char *fingerprint, const struct sg_msg_signatures *signatures)
{
	struct sg_signing *now = NULL;
	int err = sg_signing_get(call->agent->signings, call->account, fingerprint, &now);

	if (err == 0 && !sg_signing_has_kept(now, signatures))
		err = SG_ERR_INTERNAL;
	if (err != 0)
		sg_call_fail_code(call, err, fingerprint);
	else
		sign_reply(call, now, signatures, 1);
	sg_signing_unref(now);
}

/*
 * What is kept stays when it is as good: a second signature of the same key by the same method says
 * nothing new to whom it is published to, and the disk would make the token wait.
 */
static void sign_signed(struct sg_call *call, void *answer)
{
	struct sg_signing *signing = call->state;
	const struct sg_keyinfo *subject = sg_signing_subject(signing);
	const char *jid = call->account->row.jid;
	struct sg_msg_signatures *signatures = answer;
	int err = check_methods(signatures);
	int all_checked = 0;

	if (err == 0 && sg_signing_check(signing, signatures, &all_checked) != 0) {
		sg_call_fail_with(call, SG_ERR_TOKEN_FAILED, sg_key_ref_info(&call->key)->uri,
		    "the token gave a signature that its public key does not verify: it was not "
		    "kept");
		return;
	}
	if (err == 0 && sg_signing_has_kept(signing, signatures)) {
		sign_reply(call, signing, signatures, all_checked);
		return;
	}
	if (err == 0)
		err = name_issuer(signatures, subject, sg_signing_issuer(signing), jid);
	if (err == 0)
		err = sg_store_signatures_put(call->agent->store, jid, subject->name, signatures);
	if (err != 0)
		sg_call_fail_with(call, err, subject->name, "the signatures could not be kept");
	else
		sign_kept(call, sg_signing_fingerprint(signing), signatures);
}

/* ---- signing ---- */

static void sign_key_unlocked(struct sg_call *call)
{
	const struct sg_signing *signing = call->state;
	const struct sg_msg_cross_sign msg = {
		.caller = call->caller,
		.key = sg_key_ref_info(&call->key)->uri,
		.kind = sg_signing_subject(signing)->kind == SG_KEYINFO_PGP ? SG_SUBJECT_PGP
									    : SG_SUBJECT_X509,
		.subject = sg_signing_bytes(signing),
		.spki_sha256 = sg_call_key_spki_sha256(call),
	};

	if (sg_call_key_fits(call, &sg_signing_issuer(signing)->data))
		sg_call_ask_key(call, SG_MSG_CROSS_SIGN, &msg, SG_TOKEN_SECONDS, sign_signed);
}

/* The subject's fingerprint in the store's form: a new string, or NULL when the call has failed. */
static char *sign_subject(struct sg_call *call)
{
	const char *subject = sg_call_string(call, "subject");
	const struct sg_account_row *row = &call->account->row;
	struct sg_blob bytes = { NULL, 0 };
	char *hex = NULL;

	if (row->user_key == NULL || row->user_certificate == NULL) {
		sg_call_advise(call, SG_ERR_KEY_ABSENT, advice_user_key);
		sg_call_fail_with(
		    call, SG_ERR_KEY_ABSENT, row->jid, "%s has no user key to sign with", row->jid);
	} else if (subject == NULL && row->certificate == NULL) {
		sg_call_advise(call, SG_ERR_KEY_ABSENT, advice_enrol);
		sg_call_fail_with(
		    call, SG_ERR_KEY_ABSENT, row->jid, "%s has no certificate to sign", row->jid);
	} else if (subject != NULL && sg_hex_decode(subject, FINGERPRINT_MAX, &bytes) != 0)
		sg_call_fail_with(call, SG_ERR_ARG, "subject",
		    "a subject is the name (SHA-1) or SHA-256 of a certificate, or the fingerprint "
		    "of an OpenPGP key, in hex");
	else if ((hex = subject != NULL ? sg_hex_encode(bytes.data, bytes.len)
					: strdup(row->certificate)) == NULL)
		sg_call_fail_code(call, SG_ERR_NOMEM, NULL);
	sg_blob_clear(&bytes);
	return hex;
}

static void signing_free(void *state)
{
	sg_signing_unref(state);
}

void sg_verb_sign(struct sg_call *call)
{
	struct sg_signing *signing = NULL;
	char *subject;
	int err;

	if (!sg_call_take_account(call, "account") || (subject = sign_subject(call)) == NULL)
		return;
	err = sg_signing_get(call->agent->signings, call->account, subject, &signing);
	if (err == SG_ERR_KEY_ABSENT) {
		sg_call_advise(call, err,
		    "Name one that this agent holds, or leave the subject out to sign the "
		    "account's own.");
		sg_call_fail_with(call, err, subject, "%s holds no certificate or OpenPGP key %s",
		    call->account->row.jid, subject);
		free(subject);
		return;
	}
	if (err != 0) {
		sg_call_fail_code(call, err, subject);
		free(subject);
		return;
	}
	call->state = signing;
	call->state_free = signing_free;
	if (strcmp(sg_signing_subject(signing)->name, sg_signing_issuer(signing)->name) == 0)
		sg_call_fail_with(call, SG_ERR_ARG, subject,
		    "the user key does not sign its own certificate: that would count for nothing");
	else
		sg_call_use_key(call, call->account->row.user_key, sign_key_unlocked);
	free(subject);
}
