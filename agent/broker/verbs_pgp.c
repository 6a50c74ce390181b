/* AddPgpKey, RemovePgpKey, ListOwnKeys, AddSignature. */
#include "verbs.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "accounts.h"
#include "call.h"
#include "keyinfo.h"
#include "pgp.h"
#include "public_keys.h"
#include "stored_keys.h"
#include "text.h"
#include "verdict.h"

#define FINGERPRINT_MAX 64 /* bytes: of a certificate, a SHA-256 as well */

static const char advice_own[] = "`signet key pgp list --account JID` shows those that the account "
				 "has, `signet key pgp add FILE "
				 "--account JID` adds one.";

/* Replies with the key, the one of the set, as `key`. */
static void reply_key(struct sg_call *call, const struct sg_msg_keyinfos *set)
{
	json_t *keys = sg_public_keys(call->account, set);
	json_t *key = json_incref(json_array_get(keys, 0));

	json_decref(keys);
	sg_call_reply(call, json_pack("{s:o}", "key", key));
}

/* The parameter as a fingerprint in the store's form: a new string; NULL when the call has failed
 * for it. */
static char *take_fingerprint(struct sg_call *call, const char *parameter)
{
	struct sg_blob bytes = { NULL, 0 };
	char *hex = NULL;

	if (sg_hex_decode(sg_call_string(call, parameter), FINGERPRINT_MAX, &bytes) != 0)
		sg_call_fail_with(
		    call, SG_ERR_ARG, parameter, "%s is no fingerprint in hex", parameter);
	else if ((hex = sg_hex_encode(bytes.data, bytes.len)) == NULL)
		sg_call_fail_code(call, SG_ERR_NOMEM, NULL);
	sg_blob_clear(&bytes);
	return hex;
}

/* ---- own keys ---- */

/* The account's key of this name, with its signatures, in an empty set; 0 when the call has failed
 * for it. */
static int take_key(struct sg_call *call, const char *name, struct sg_msg_keyinfos *set)
{
	int err = sg_stored_keys_add(set, call->account, name);

	if (err == 0)
		return 1;
	if (err == SG_ERR_KEY_ABSENT)
		sg_call_fail_with(call, err, name, "%s holds no certificate or OpenPGP key %s",
		    call->account->row.jid, name);
	else
		sg_call_fail_code(call, err, name);
	return 0;
}

void sg_verb_list_own_keys(struct sg_call *call)
{
	struct sg_msg_keyinfos set = { 0 };
	const struct sg_account_row *row;
	int err;

	if (!sg_call_take_account(call, "account"))
		return;
	row = &call->account->row;
	err = sg_stored_keys_add(&set, call->account, row->user_certificate);
	if (err == 0)
		err = sg_stored_keys_add(&set, call->account, row->certificate);
	if (err == 0)
		err = sg_stored_keys_add_pgp(&set, call->account);
	if (err != 0)
		sg_call_fail_code(call, err, row->jid);
	else
		sg_call_reply(
		    call, json_pack("{s:o}", "keys", sg_public_keys(call->account, &set)));
	sg_msg_clear(SG_MSG_KEYINFOS, &set);
}

/* Base64 of a file: its bytes; 0 when the call has failed for it. */
static int take_file(struct sg_call *call, const char *parameter, size_t max, struct sg_blob *file)
{
	int err = sg_base64_decode(sg_call_string(call, parameter), max, file);

	if (err == 0)
		return 1;
	if (err == SG_ERR_LIMIT)
		sg_call_fail_with(
		    call, err, parameter, "%s is more than %zu bytes", parameter, max);
	else if (err == SG_ERR_FORMAT)
		sg_call_fail_with(call, SG_ERR_ARG, parameter, "%s is no Base64", parameter);
	else
		sg_call_fail_code(call, err, parameter);
	return 0;
}

static void add_key(struct sg_call *call, const struct sg_blob *key)
{
	const char *jid = call->account->row.jid;
	struct sg_msg_keyinfos set = { 0 };
	struct sg_pgp_form form;
	const char *why;
	int err = sg_pgp_key_check(key, &form, &why);

	if (err == 0)
		err = sg_store_pgp_put(call->agent->store, jid, form.name, key);
	if (err != 0)
		sg_call_fail_code(call, err, form.name);
	else if (take_key(call, form.name, &set))
		reply_key(call, &set);
	sg_msg_clear(SG_MSG_KEYINFOS, &set);
}

void sg_verb_add_pgp_key(struct sg_call *call)
{
	struct sg_blob file = { NULL, 0 }, key = { NULL, 0 };
	const char *why = NULL;
	int err;

	if (!sg_call_take_account(call, "account") ||
	    !take_file(call, "key", SG_PGP_FILE_MAX, &file))
		return;
	err = sg_pgp_key_read(&file, &key, &why);
	if (err == SG_ERR_NOMEM)
		sg_call_fail_code(call, err, NULL);
	else if (err == SG_ERR_DENIED)
		sg_call_fail_with(call, SG_ERR_ARG, "key", "%s", why);
	else if (err != 0)
		sg_call_fail_with(call, SG_ERR_KEYINFO, "key", "the key is refused: %s", why);
	else
		add_key(call, &key);
	/* a secret key may have come by mistake */
	if (file.data != NULL)
		explicit_bzero(file.data, file.len);
	sg_blob_clear(&file);
	sg_blob_clear(&key);
}

void sg_verb_remove_pgp_key(struct sg_call *call)
{
	const char *jid;
	struct sg_blob data;
	char *name;
	int err;

	if (!sg_call_take_account(call, "account") ||
	    (name = take_fingerprint(call, "name")) == NULL)
		return;
	jid = call->account->row.jid;
	err = sg_store_pgp_get(call->agent->store, jid, name, &data);
	sg_blob_clear(&data);
	if (err == 0)
		err = sg_store_pgp_delete(call->agent->store, jid, name);
	if (err == SG_ERR_KEY_ABSENT) {
		sg_call_advise(call, err, advice_own);
		sg_call_fail_with(call, err, name, "%s has no OpenPGP key %s", jid, name);
	} else if (err != 0)
		sg_call_fail_code(call, err, name);
	else
		sg_call_reply(call, json_object());
	free(name);
}

/* ---- AddSignature ---- */

/* Why a signature that was handed over is not kept: the call fails for it. */
static void refuse_signature(struct sg_call *call, enum sg_signature_verdict verdict,
    const char *reason, const struct sg_keyinfo *issuer, const struct sg_keyinfo *subject)
{
	if (verdict == SG_SIG_UNCHECKED)
		sg_call_fail_with(call, SG_ERR_WORKER, issuer->name,
		    "the signature could not be checked, and was not kept: %s",
		    reason != NULL ? reason : "signet-pgp gives no answer");
	else if (reason != NULL)
		sg_call_fail_with(call, SG_ERR_KEYINFO, issuer->name,
		    "the signature does not count, and was not kept: %s", reason);
	else
		sg_call_fail_with(call, SG_ERR_KEYINFO, issuer->name,
		    "the signature is not one of %s over %s, and was not kept", issuer->name,
		    subject->name);
}

/* Verifies, then keeps: whatever the caller is, only a good one of the account's own key counts. */
static void keep_signature(struct sg_call *call, const struct sg_keyinfo *issuer,
    const struct sg_keyinfo *subject, const struct sg_blob *value)
{
	const struct sg_signature signature = { .issuer = issuer->name, .value = *value };
	struct sg_signature kept = signature;
	const struct sg_msg_signatures list = { &kept, 1 };
	struct sg_msg_keyinfos set = { 0 };
	const char *reason;
	enum sg_signature_verdict verdict =
	    sg_verdict_check_keys(issuer, subject, &signature, time(NULL), &reason);
	int err;

	if (verdict != SG_SIG_GOOD) {
		refuse_signature(call, verdict, reason, issuer, subject);
		return;
	}
	err = sg_store_signatures_put(
	    call->agent->store, call->account->row.jid, subject->name, &list);
	if (err != 0)
		sg_call_fail_with(call, err, subject->name, "the signature could not be kept");
	else if (take_key(call, subject->name, &set))
		reply_key(call, &set);
	sg_msg_clear(SG_MSG_KEYINFOS, &set);
}

/* The subject's fingerprint: of the account's certificate when none is named; NULL when the call has
 * failed for it. */
static char *take_subject(struct sg_call *call)
{
	const struct sg_account_row *row = &call->account->row;
	char *own;

	if (sg_call_string(call, "subject") != NULL)
		return take_fingerprint(call, "subject");
	if (row->certificate == NULL) {
		sg_call_advise(
		    call, SG_ERR_KEY_ABSENT, "Get one with `signet enrol JID --key KEY`.");
		sg_call_fail_with(
		    call, SG_ERR_KEY_ABSENT, row->jid, "%s has no certificate to sign", row->jid);
		return NULL;
	}
	own = strdup(row->certificate);
	if (own == NULL)
		sg_call_fail_code(call, SG_ERR_NOMEM, NULL);
	return own;
}

/* The issuer is one of the account's OpenPGP keys. */
static int take_issuer(struct sg_call *call, const char *name, struct sg_msg_keyinfos *set)
{
	if (sg_stored_keys_add(set, call->account, name) == 0 &&
	    set->keyinfos[0].kind == SG_KEYINFO_PGP)
		return 1;
	sg_call_advise(call, SG_ERR_KEY_ABSENT, advice_own);
	sg_call_fail_with(call, SG_ERR_KEY_ABSENT, name,
	    "%s has no OpenPGP key %s: signatures of other keys are not kept here",
	    call->account->row.jid, name);
	return 0;
}

static void add_signature(
    struct sg_call *call, const char *issuer_name, const struct sg_blob *value)
{
	struct sg_msg_keyinfos issuer = { 0 }, subject = { 0 };
	char *subject_name = NULL;

	if (take_issuer(call, issuer_name, &issuer) &&
	    (subject_name = take_subject(call)) != NULL && take_key(call, subject_name, &subject)) {
		if (strcmp(subject.keyinfos[0].name, issuer.keyinfos[0].name) == 0)
			sg_call_fail_with(call, SG_ERR_ARG, "subject",
			    "a key's own signature would count for nothing");
		else
			keep_signature(call, &issuer.keyinfos[0], &subject.keyinfos[0], value);
	}
	free(subject_name);
	sg_msg_clear(SG_MSG_KEYINFOS, &issuer);
	sg_msg_clear(SG_MSG_KEYINFOS, &subject);
}

void sg_verb_add_signature(struct sg_call *call)
{
	struct sg_blob file = { NULL, 0 }, value = { NULL, 0 };
	char *issuer = NULL;
	const char *why;
	int err;

	if (!sg_call_take_account(call, "account") ||
	    !take_file(call, "value", SG_PGP_FILE_MAX, &file))
		return;
	err = sg_pgp_signature_read(&file, &value, &why);
	if (err == SG_ERR_NOMEM)
		sg_call_fail_code(call, err, NULL);
	else if (err != 0)
		sg_call_fail_with(
		    call, SG_ERR_KEYINFO, "value", "the signature is refused: %s", why);
	else if ((issuer = take_fingerprint(call, "issuer")) != NULL)
		add_signature(call, issuer, &value);
	free(issuer);
	sg_blob_clear(&file);
	sg_blob_clear(&value);
}
