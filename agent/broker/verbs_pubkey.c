/* Publish, FetchKeys. */
#include "verbs.h"

#include <stdlib.h>
#include <string.h>

#include "accounts.h"
#include "call.h"
#include "ccm2.h"
#include "client.h"
#include "disco.h"
#include "json.h"
#include "keyinfo.h"
#include "keyring.h"
#include "log.h"
#include "pep.h"
#include "public_keys.h"
#include "stored_keys.h"
#include "text.h"
#include "verdict.h"
#include "x509.h"

#define NAME_LEN 40 /* hex of a SHA-1 */

/* call->state: what is published. */
static void keys_free(void *state)
{
	sg_msg_clear(SG_MSG_KEYINFOS, state);
	free(state);
}

/* Gives the call an empty set; NULL when it has failed. */
static struct sg_msg_keyinfos *keys_new(struct sg_call *call)
{
	struct sg_msg_keyinfos *set = calloc(1, sizeof(*set));

	if (set == NULL) {
		sg_call_fail_code(call, SG_ERR_NOMEM, NULL);
		return NULL;
	}
	call->state = set;
	call->state_free = keys_free;
	return set;
}

/* ---- Publish ---- */

static char *publish_access(const struct sg_call *call)
{
	static char presence[] = "presence";
	char *access = sg_call_text(call, "access");

	return access != NULL ? access : presence; /* K9 */
}

static void published(struct sg_call *call, void *answer)
{
	sg_call_reply(call,
	    json_pack("{s:s, s:s, s:o}", "node", SG_NS_PUBKEY, "access", publish_access(call),
		"keys", sg_public_keys(call->account, call->state)));
}

static void publish_send(struct sg_call *call)
{
	const struct sg_msg_keyinfos *set = call->state;
	const struct sg_msg_pep_publish msg = {
		.access_model = publish_access(call),
		.keyinfos = set->keyinfos,
		.keyinfo_count = set->keyinfo_count,
	};

	sg_call_ask_account(call, SG_MSG_PEP_PUBLISH, &msg, published);
}

/* Adds one of the account's certificates; one that was revoked is left out, and told by
 * *revoked. */
static int publish_add(
    struct sg_call *call, struct sg_msg_keyinfos *set, const char *sha256, const char **revoked)
{
	struct sg_cert_row cert;
	int err;

	if (sha256 == NULL)
		return 0;
	err = sg_store_cert_get(call->agent->store, call->account->row.jid, sha256, &cert);
	if (err != 0)
		return err;
	if (cert.revoked)
		*revoked = sha256;
	else
		err = sg_stored_keys_add(set, call->account, sha256);
	sg_cert_row_clear(&cert);
	return err;
}

static void publish_nothing(struct sg_call *call, const char *revoked)
{
	const char *jid = call->account->row.jid;

	sg_call_advise(call, SG_ERR_KEY_ABSENT,
	    "Get a certificate with `signet enrol`, or make a user key with `signet key new "
	    "--user`.");
	if (revoked != NULL)
		sg_call_fail_with(call, SG_ERR_KEY_ABSENT, revoked,
		    "%s has no key to publish: its certificate %s is revoked", jid, revoked);
	else
		sg_call_fail_with(call, SG_ERR_KEY_ABSENT, jid, "%s has no key to publish", jid);
}

/* The server lists what it has issued and not revoked (C7), by whomever: another key is not
 * published. */
static void publish_listed(struct sg_call *call, void *answer)
{
	const struct sg_msg_ccm2_certs *certs = answer;
	const struct sg_account_row *row = &call->account->row;
	struct sg_msg_keyinfos *set = call->state;
	const char *revoked = NULL;
	int is_listed = 0, err;

	sg_call_advise(call, SG_ERR_STANZA, NULL);
	for (uint32_t i = 0; i < certs->cert_count && !is_listed; i++) {
		char *sha256 = sg_x509_fingerprint(&certs->certs[i].der, "sha256");

		is_listed = sha256 != NULL && row->certificate != NULL &&
		    strcmp(sha256, row->certificate) == 0;
		free(sha256);
	}
	if (is_listed) {
		publish_send(call);
		return;
	}
	sg_log(SG_LOG_WARN, "%s: the server does not list the certificate %s any more", row->jid,
	    row->certificate != NULL ? row->certificate : "");
	sg_msg_clear(SG_MSG_KEYINFOS, set);
	err = publish_add(call, set, row->user_certificate, &revoked);
	if (err == 0)
		err = sg_stored_keys_add_pgp(set, call->account);
	if (err != 0)
		sg_call_fail_code(call, err, row->jid);
	else if (set->keyinfo_count == 0)
		publish_nothing(call, row->certificate);
	else
		publish_send(call);
}

static void publish_featured(struct sg_call *call, void *answer)
{
	static const struct sg_msg_empty nothing = { 0 };

	if (sg_disco_has(answer, SG_NS_CCM2_LIST)) {
		sg_call_advise(call, SG_ERR_STANZA,
		    "The server was asked whether the certificate still stands. When the account "
		    "is logged in by that certificate, it is not asked: `signet account "
		    "disconnect`, then publish again without a password.");
		sg_call_ask_account(call, SG_MSG_CCM2_LIST, &nothing, publish_listed);
	} else {
		publish_send(call);
	}
}

static void publish_online(struct sg_call *call)
{
	static const struct sg_msg_empty nothing = { 0 };
	const char *current = call->account->row.certificate;

	if (current != NULL && !sg_account_is_logged_in_with(call->account, current))
		sg_call_ask_account(call, SG_MSG_XMPP_FEATURES, &nothing, publish_featured);
	else
		publish_send(call);
}

void sg_verb_publish(struct sg_call *call)
{
	struct sg_msg_keyinfos *set;
	const struct sg_account_row *row;
	const char *revoked = NULL;
	int err;

	if (!sg_call_take_account(call, "jid"))
		return;
	if (!sg_pep_is_access_model(publish_access(call))) {
		sg_call_fail_with(call, SG_ERR_ARG, "access",
		    "access is one of open, presence, whitelist, roster, authorize");
		return;
	}
	set = keys_new(call);
	if (set == NULL)
		return;
	row = &call->account->row;
	err = publish_add(call, set, row->user_certificate, &revoked);
	if (err == 0)
		err = publish_add(call, set, row->certificate, &revoked);
	if (err == 0)
		err = sg_stored_keys_add_pgp(set, call->account);
	if (err == 0 && set->keyinfo_count == 0)
		publish_nothing(call, revoked);
	else if (err != 0)
		sg_call_fail_code(call, err, row->jid);
	else
		sg_call_go_online(call, publish_online);
}

/* ---- FetchKeys ---- */

struct fetch {
	char *from;
	char **names;
	uint32_t name_count;
	uint32_t refused;
	json_t *judged; /* the reply's keys, until they are kept */
};

static void fetch_free(void *state)
{
	struct fetch *fetch = state;

	for (uint32_t i = 0; i < fetch->name_count; i++)
		free(fetch->names[i]);
	free(fetch->names);
	free(fetch->from);
	json_decref(fetch->judged);
	free(fetch);
}

/* Whether the keys alone are longer than the reply may be: then nothing is done with them, since
 * all else of the agent would wait for it. */
static int are_too_long(const struct sg_msg_keyinfos *keys)
{
	size_t len = 0;

	for (uint32_t i = 0; i < keys->keyinfo_count && len < SG_API_MESSAGE_MAX; i++)
		len += keys->keyinfos[i].xml != NULL ? strlen(keys->keyinfos[i].xml) : 0;
	return len >= SG_API_MESSAGE_MAX;
}

/* What could not be kept is in the log, and comes again. */
static void fetch_learnt(void *arg, int err, const struct sg_lesson_sum *sum)
{
	struct sg_call *call = arg;
	struct fetch *fetch = call->state;
	json_t *judged = fetch->judged;

	fetch->judged = NULL;
	sg_call_reply(
	    call, json_pack("{s:o, s:I}", "keys", judged, "refused", (json_int_t)fetch->refused));
}

static void fetched(struct sg_call *call, void *answer)
{
	struct sg_lesson lesson = { .source = SG_SIGHT_NODE };
	struct fetch *fetch = call->state;
	struct sg_msg_keyinfos *keys = answer;

	if (are_too_long(keys)) {
		sg_call_fail_with(call, SG_ERR_LIMIT, fetch->from,
		    "the keys of %s are longer than a message may be; ask for some by name",
		    fetch->from);
		return;
	}
	fetch->refused = keys->refused;
	fetch->judged = sg_public_keys(call->account, keys);
	lesson.jid = fetch->from;
	lesson.whole = fetch->name_count == 0;
	sg_keyring_learn(call->agent, &lesson, keys, fetch_learnt, call);
}

static void fetch_online(struct sg_call *call)
{
	const struct fetch *fetch = call->state;
	const struct sg_msg_pep_fetch msg = {
		.jid = fetch->from,
		.names = fetch->names,
		.name_count = fetch->name_count,
	};

	sg_call_ask_account(call, SG_MSG_PEP_FETCH, &msg, fetched);
}

/* The names in lower case. SG_ERR_ARG when one is no name, SG_ERR_NOMEM. */
static int fetch_names(struct sg_call *call, struct fetch *fetch)
{
	const json_t *names = json_object_get(call->parameters, "names");
	size_t count = json_array_size(names);

	fetch->names = calloc(count + 1, sizeof(*fetch->names));
	if (fetch->names == NULL)
		return SG_ERR_NOMEM;
	for (size_t i = 0; i < count; i++) {
		const char *name = json_string_value(json_array_get(names, i));
		struct sg_blob bytes = { NULL, 0 };
		int err = sg_hex_decode(name, NAME_LEN / 2, &bytes);

		if (err == 0 && bytes.len != NAME_LEN / 2)
			err = SG_ERR_ARG;
		if (err == 0)
			fetch->names[i] = sg_hex_encode(bytes.data, bytes.len);
		sg_blob_clear(&bytes);
		if (err != 0)
			return err == SG_ERR_NOMEM ? err : SG_ERR_ARG;
		if (fetch->names[i] == NULL)
			return SG_ERR_NOMEM;
		fetch->name_count++;
	}
	return 0;
}

void sg_verb_fetch_keys(struct sg_call *call)
{
	const char *from = sg_call_string(call, "from");
	struct fetch *fetch = calloc(1, sizeof(*fetch));
	int err;

	if (fetch == NULL) {
		sg_call_fail_code(call, SG_ERR_NOMEM, NULL);
		return;
	}
	call->state = fetch;
	call->state_free = fetch_free;
	fetch->from = sg_jid_bare(from);
	err = fetch_names(call, fetch);
	if (fetch->from == NULL || !sg_jid_is_account(fetch->from))
		sg_call_fail_with(call, SG_ERR_ARG, "from", "\"%s\" is no JID of an account", from);
	else if (err == SG_ERR_NOMEM)
		sg_call_fail_code(call, err, NULL);
	else if (err != 0)
		sg_call_fail_with(call, SG_ERR_ARG, "names",
		    "a key's name is a SHA-1 in hex: %d digits", NAME_LEN);
	else if (sg_call_take_account(call, "jid"))
		sg_call_go_online(call, fetch_online);
}
