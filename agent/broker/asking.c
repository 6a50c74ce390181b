#include "asking.h"

#include <stdlib.h>
#include <string.h>

#include "keyring_store.h"
#include "log.h"
#include "pubkeys.h"
#include "stored_keys.h"
#include "worker.h"

#define COLLECTED_MAX                                                                              \
	(4u << 20) /* bytes: more is no answer, and what no frame can hold ends the worker */

static size_t size_of(const struct sg_keyinfo *keyinfo)
{
	size_t size = keyinfo->data.len + (keyinfo->xml != NULL ? strlen(keyinfo->xml) : 0) + 128;

	for (uint32_t i = 0; i < keyinfo->signature_count; i++)
		size += keyinfo->signatures[i].value.len + 256;
	return size;
}

static int is_wanted(const char *name, char *const *names, uint32_t name_count)
{
	for (uint32_t i = 0; i < name_count; i++) {
		if (strcmp(names[i], name) == 0)
			return 1;
	}
	return name_count == 0;
}

/* ---- own keys ---- */

static int add_own(struct sg_msg_keyinfos *set, const struct sg_account *account,
    const char *sha256, char *const *names, uint32_t name_count)
{
	struct sg_cert_row cert;
	int err;

	if (sha256 == NULL)
		return 0;
	err = sg_store_cert_get(account->agent->store, account->row.jid, sha256, &cert);
	if (err != 0)
		return err == SG_ERR_KEY_ABSENT ? 0 : err;
	if (!cert.revoked && cert.name != NULL && is_wanted(cert.name, names, name_count))
		err = sg_stored_keys_add(set, account, sha256);
	sg_cert_row_clear(&cert);
	return err;
}

int sg_asking_own_keys(struct sg_msg_keyinfos *set, const struct sg_account *account,
    char *const *names, uint32_t name_count)
{
	int err = add_own(set, account, account->row.user_certificate, names, name_count);

	if (err == 0)
		err = add_own(set, account, account->row.certificate, names, name_count);
	return err;
}

/* ---- what is known of others ---- */

struct known {
	struct sg_msg_keyinfos *set;
	const char *jid;
	size_t size;
	int by_itself;
	char *const *names;
	uint32_t name_count;
};

static int on_known(void *arg, struct sg_known_key *key)
{
	struct known *known = arg;
	struct sg_msg_keyinfos *set = known->set;
	struct sg_keyinfo *grown;

	if (key->keyinfo.kind == SG_KEYINFO_REFERENCE ||
	    !is_wanted(key->keyinfo.name, known->names, known->name_count) ||
	    (known->by_itself && !sg_known_key_is_on_node(key, known->jid)))
		return 0;
	known->size += size_of(&key->keyinfo);
	if (set->keyinfo_count == SG_PUBKEYS_KEYS_MAX || known->size > COLLECTED_MAX)
		return SG_ERR_LIMIT;
	grown = reallocarray(set->keyinfos, set->keyinfo_count + 1u, sizeof(*grown));
	if (grown == NULL)
		return SG_ERR_NOMEM;
	set->keyinfos = grown;
	grown[set->keyinfo_count++] = key->keyinfo;
	key->keyinfo = (struct sg_keyinfo){ 0 };
	return 0;
}

int sg_asking_known_keys(struct sg_msg_keyinfos *set, struct sg_store *store, const char *jid,
    int by_itself, char *const *names, uint32_t name_count)
{
	struct known known = { .set = set,
		.jid = jid,
		.by_itself = by_itself,
		.names = names,
		.name_count = name_count };
	const struct sg_keyring_query query = { .jid = jid, .max = SG_KEYRING_JID_ROWS };

	return sg_store_keyring_list(store, &query, SG_KNOWN_SIGNATURES, on_known, &known);
}

/* ---- answering ---- */

static void answer(struct sg_account *account, uint32_t id, int err, struct sg_msg_keyinfos *set)
{
	struct sg_msg_error error = { 0 };
	size_t size = 0;

	for (uint32_t i = 0; i < set->keyinfo_count; i++)
		size += size_of(&set->keyinfos[i]);
	if (err == 0 && size > COLLECTED_MAX)
		err = SG_ERR_LIMIT;
	if (err == 0 && set->keyinfo_count == 0)
		err = SG_ERR_KEY_ABSENT;
	if (err == 0) {
		sg_worker_answer(account->worker, id, SG_MSG_KEYINFOS, set);
	} else {
		sg_msg_error_set(&error, err, NULL, NULL);
		sg_worker_answer(account->worker, id, SG_MSG_ERROR, &error);
		sg_msg_clear(SG_MSG_ERROR, &error);
	}
	sg_msg_clear(SG_MSG_KEYINFOS, set);
}

/* A question about a third party, while its node is looked at. */
struct third {
	struct sg_account *account;
	unsigned process; /* of the worker that asked: another one did not */
	uint32_t id;
	char *about;
	struct sg_msg_keyinfos keys; /* what we know of it */
};

/*
 * Only what its node shows to everybody now: one that shows it to us because we are a contact is private
 * (K13). A server that does not tell how open the node is has it closed.
 */
static void on_looked(void *arg, const struct sg_msg_error *error, void *node)
{
	struct third *third = arg;
	const struct sg_msg_pep_node *shown = node;
	struct sg_account *account = third->account;
	int is_open = error == NULL && shown->exists && shown->access_model != NULL &&
	    strcmp(shown->access_model, "open") == 0;

	if (account->worker != NULL && sg_worker_starts(account->worker) == third->process)
		answer(account, third->id, is_open ? 0 : SG_ERR_KEY_ABSENT, &third->keys);
	sg_msg_clear(SG_MSG_KEYINFOS, &third->keys);
	free(third->about);
	free(third);
	sg_account_unref(account);
}

static void answer_third(struct sg_account *account, uint32_t id, struct sg_msg_keys_wanted *wanted,
    struct sg_msg_keyinfos *set)
{
	struct third *third = calloc(1, sizeof(*third));
	struct sg_msg_pep_fetch look = { .jid = wanted->about };

	if (third == NULL) {
		answer(account, id, SG_ERR_NOMEM, set);
		return;
	}
	*third = (struct third){ sg_account_ref(account), sg_worker_starts(account->worker), id,
		wanted->about, *set };
	wanted->about = NULL;
	*set = (struct sg_msg_keyinfos){ 0 };
	sg_worker_request(
	    account->worker, SG_MSG_PEP_LOOK, &look, -1, SG_XMPP_SECONDS, on_looked, third);
}

void sg_asking_wanted(struct sg_account *account, uint32_t id, struct sg_msg_keys_wanted *wanted)
{
	struct sg_msg_keyinfos set = { 0 };
	int is_own = wanted->about == NULL || strcmp(wanted->about, account->row.jid) == 0;
	int err;

	sg_log(SG_LOG_INFO, "%s: %s asks for the keys of %s", account->row.jid,
	    wanted->from != NULL ? wanted->from : "?",
	    wanted->about != NULL ? wanted->about : "this account");
	if (is_own)
		err = sg_asking_own_keys(&set, account, wanted->names, wanted->name_count);
	else
		err = sg_asking_known_keys(&set, account->agent->store, wanted->about, 1,
		    wanted->names, wanted->name_count);
	if (err == 0 && !is_own && set.keyinfo_count > 0)
		answer_third(account, id, wanted, &set);
	else
		answer(account, id, err, &set);
}
