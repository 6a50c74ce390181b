/* Sign. */
#include "verbs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "call.h"
#include "call_key.h"
#include "collisions.h"
#include "keyring_store.h"
#include "log.h"
#include "signings.h"
#include "text.h"
#include "x509.h"

#define FINGERPRINT_MAX 64 /* bytes */

static const char advice_user_key[] =
    "Make one with `signet key new --user --account JID --token TOKEN --label LABEL`.";
static const char advice_enrol[] = "Get one with `signet enrol JID --key KEY`.";

struct sign {
	struct sg_signing *signing;
	uint32_t sha1; /* RSA-SHA1 is made, too */
	char *note;    /* for the reply, or NULL */
};

static struct sg_signing *signing_of(const struct sg_call *call)
{
	return ((const struct sign *)call->state)->signing;
}

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
	const struct sign *sign = call->state;
	struct sg_buf text = { NULL, 0, 0, 0 };

	sg_signing_reply(signing, signatures, all_checked, sign->note, &text);
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
	struct sg_signing *signing = signing_of(call);
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
	const struct sg_signing *signing = signing_of(call);
	const struct sg_msg_cross_sign msg = {
		.caller = call->caller,
		.key = sg_key_ref_info(&call->key)->uri,
		.kind = sg_signing_subject(signing)->kind == SG_KEYINFO_PGP ? SG_SUBJECT_PGP
									    : SG_SUBJECT_X509,
		.subject = sg_signing_bytes(signing),
		.sha1 = ((const struct sign *)call->state)->sha1,
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

/* ---- collisions (K7) ---- */

static void sign_refused(struct sg_call *call)
{
	const struct sg_keyinfo *subject = sg_signing_subject(signing_of(call));
	const char *what = subject->kind == SG_KEYINFO_PGP ? "OpenPGP key" : "certificate";
	const char *exe = call->caller.exe != NULL ? call->caller.exe : "unknown";

	sg_log(SG_LOG_WARN,
	    "audit: process %u (%s) asked to sign the %s %s of %s, which carries a SHA-1 collision "
	    "attack: refused",
	    call->caller.pid, exe, what, subject->name, call->account->row.jid);
	sg_call_fail_with(call, SG_ERR_COLLISION, subject->name,
	    "the %s %s carries a SHA-1 collision attack: it is not signed", what, subject->name);
}

/* Beside what is in the note already. The sentence is taken over; NULL: there was no memory for it. */
static int add_note(struct sign *sign, char *sentence)
{
	char *before = sign->note;
	int len = 0;

	sign->note = sentence;
	if (before != NULL && sentence != NULL) {
		len = asprintf(&sign->note, "%s %s", before, sentence);
		free(sentence);
	}
	free(before);
	if (len < 0)
		sign->note = NULL;
	return sign->note != NULL ? 0 : SG_ERR_NOMEM;
}

/* The stronger signature is made all the same. */
static int sign_doubted(struct sg_call *call, const char *why)
{
	struct sign *sign = call->state;
	const char *subject = sg_signing_subject(sign->signing)->name;
	char *doubt;
	int len;

	if (sign->sha1)
		len = asprintf(&doubt,
		    "No RSA-SHA1 signature was made, for it could not be found out whether the "
		    "subject carries a SHA-1 collision attack: %s. Install the package sha1cdsum, "
		    "or "
		    "set sha1 = verify in signet.conf.",
		    why);
	else
		len = asprintf(&doubt,
		    "It could not be found out whether the fingerprint of the OpenPGP key, a "
		    "SHA-1, "
		    "is that of another key, too: %s. Install the package sha1cdsum.",
		    why);
	if (add_note(sign, len >= 0 ? doubt : NULL) != 0)
		return SG_ERR_NOMEM;
	sg_log(SG_LOG_WARN, "Sign: %s was not looked at for SHA-1 collisions: %s", subject, why);
	sign->sha1 = 0;
	return 0;
}

static void sign_looked(void *arg, enum sg_collision outcome, const char *why)
{
	struct sg_call *call = arg;

	if (outcome == SG_COLLISION_FOUND)
		sign_refused(call);
	else if (outcome == SG_COLLISION_UNCHECKED && sign_doubted(call, why) != 0)
		sg_call_fail_code(call, SG_ERR_NOMEM, NULL);
	else
		sg_call_use_key(call, call->account->row.user_key, sign_key_unlocked);
}

/*
 * What others have made is looked at before SHA-1 of it is signed; that is so of an OpenPGP key
 * by every method, for what is signed of it is a SHA-1 (K4).
 */
static void sign_look(struct sg_call *call)
{
	struct sign *sign = call->state;
	const unsigned char *sha256;
	const struct sg_blob *foreign = sg_signing_foreign(sign->signing, &sha256);

	sign->sha1 = call->agent->config.sha1 == SG_SHA1_ON && sg_signing_is_rsa(sign->signing);
	if (foreign != NULL &&
	    (sign->sha1 || sg_signing_subject(sign->signing)->kind == SG_KEYINFO_PGP))
		sg_collisions_look(call->agent->collisions, foreign, sha256, sign_looked, call);
	else
		sg_call_use_key(call, call->account->row.user_key, sign_key_unlocked);
}

/* ---- the verb ---- */

static void sign_free(void *state)
{
	struct sign *sign = state;

	sg_signing_unref(sign->signing);
	free(sign->note);
	free(sign);
}

static int trusted_pgp_find(void *arg, struct sg_known_key *known)
{
	int *found = arg;

	*found |= known->decision == SG_DECISION_TRUSTED && known->keyinfo.kind == SG_KEYINFO_PGP;
	return 0;
}

/* None that may be signed has this name. */
static void fail_absent(struct sg_call *call, const char *subject)
{
	int trusted_pgp = 0;
	int err =
	    sg_store_keyring_get(call->agent->store, subject, 0, trusted_pgp_find, &trusted_pgp);

	if (err != 0) {
		sg_call_fail_code(call, err, subject);
	} else if (trusted_pgp) {
		sg_call_fail_with(call, SG_ERR_UNSUPPORTED, subject,
		    "%s is an OpenPGP key of somebody else: it is trusted, but of the keys of "
		    "others certificates alone are signed",
		    subject);
	} else {
		sg_call_advise(call, SG_ERR_KEY_ABSENT,
		    "Name one that this agent holds, or of the keyring one that you trust (`signet "
		    "keyring trust`), or leave the subject out to sign the account's own.");
		sg_call_fail_with(call, SG_ERR_KEY_ABSENT, subject,
		    "%s holds no certificate or OpenPGP key %s, and none of this name is trusted",
		    call->account->row.jid, subject);
	}
}

/* That a certificate is not valid now keeps nobody from signing it, but who signs is to know. */
static int note_validity(struct sign *sign)
{
	const char *invalid = sg_signing_invalid(sign->signing);
	char *sentence;

	if (invalid == NULL || sg_signing_subject(sign->signing)->kind != SG_KEYINFO_X509)
		return 0;
	if (asprintf(&sentence, "%s %s: a signature on it counts for nothing.",
		sg_signing_subject(sign->signing)->name, invalid) < 0)
		return SG_ERR_NOMEM;
	return add_note(sign, sentence);
}

/* The call's state with what is known of the subject; 0 when the call has failed. */
static int sign_begin(struct sg_call *call, const char *subject)
{
	struct sign *sign = calloc(1, sizeof(*sign));
	int err = SG_ERR_NOMEM;

	if (sign != NULL) {
		call->state = sign;
		call->state_free = sign_free;
		err = sg_signing_get(call->agent->signings, call->account, subject, &sign->signing);
	}
	if (err == 0)
		err = note_validity(sign);
	if (err == 0)
		return 1;
	if (err == SG_ERR_KEY_ABSENT)
		fail_absent(call, subject);
	else
		sg_call_fail_code(call, err, subject);
	return 0;
}

void sg_verb_sign(struct sg_call *call)
{
	const struct sg_signing *signing;
	char *subject;

	if (!sg_call_take_account(call, "account") || (subject = sign_subject(call)) == NULL)
		return;
	if (sign_begin(call, subject)) {
		signing = signing_of(call);
		if (strcmp(sg_signing_subject(signing)->name, sg_signing_issuer(signing)->name) ==
		    0)
			sg_call_fail_with(call, SG_ERR_ARG, subject,
			    "the user key does not sign its own certificate: that would count for "
			    "nothing");
		else
			sign_look(call);
	}
	free(subject);
}
