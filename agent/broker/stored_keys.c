#include "stored_keys.h"

#include <stdlib.h>
#include <string.h>

#include "keyring_store.h"
#include "store.h"
#include "text.h"
#include "verdict.h"
#include "x509.h"

static struct sg_keyinfo *keys_grow(struct sg_msg_keyinfos *set)
{
	struct sg_keyinfo *grown =
	    reallocarray(set->keyinfos, set->keyinfo_count + 1, sizeof(*grown));

	if (grown == NULL)
		return NULL;
	set->keyinfos = grown;
	return memset(&grown[set->keyinfo_count++], 0, sizeof(*grown));
}

/* The account's certificate of this fingerprint, or its OpenPGP key of this name, without
 * signatures. */
static int load_own(
    struct sg_store *store, const char *jid, const char *fingerprint, struct sg_keyinfo *key)
{
	struct sg_cert_row cert;
	int err = sg_store_cert_get(store, jid, fingerprint, &cert);

	*key = (struct sg_keyinfo){ 0 };
	if (err == 0) {
		*key = (struct sg_keyinfo){
			.name = cert.name, .kind = SG_KEYINFO_X509, .data = cert.der
		};
		cert.name = NULL;
		cert.der = (struct sg_blob){ NULL, 0 };
		sg_cert_row_clear(&cert);
		return 0;
	}
	if (err != SG_ERR_KEY_ABSENT)
		return err;
	err = sg_store_pgp_get(store, jid, fingerprint, &key->data);
	if (err != 0)
		return err;
	key->kind = SG_KEYINFO_PGP;
	key->name = strdup(fingerprint);
	if (key->name == NULL) {
		sg_blob_clear(&key->data);
		return SG_ERR_NOMEM;
	}
	return 0;
}

/* K7: what was made before is kept, but not shown to anybody while none are made. */
static void leave_out_sha1(struct sg_msg_signatures *signatures)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < signatures->signature_count; i++) {
		struct sg_signature *signature = &signatures->signatures[i];

		if (signature->method != NULL && sg_signature_grade(signature) == SG_GRADE_SHA1) {
			sg_layout_clear(&sg_layout_signature, signature);
			continue;
		}
		signatures->signatures[kept++] = *signature;
	}
	signatures->signature_count = kept;
}

/* Adds the key, which it takes over, with the signatures that the account keeps for it. */
static int add_signed(
    struct sg_msg_keyinfos *set, const struct sg_account *account, struct sg_keyinfo *key)
{
	struct sg_msg_signatures signatures = { 0 };
	struct sg_keyinfo *added = NULL;
	int err = sg_store_signatures_get(
	    account->agent->store, account->row.jid, key->name, &signatures);

	if (err == 0 && account->agent->config.sha1 != SG_SHA1_ON)
		leave_out_sha1(&signatures);
	if (err == 0) {
		key->signatures = signatures.signatures;
		key->signature_count = signatures.signature_count;
		added = keys_grow(set);
		err = added != NULL ? 0 : SG_ERR_NOMEM;
	}
	if (err != 0)
		sg_layout_clear(&sg_layout_keyinfo, key);
	else
		*added = *key;
	return err;
}

int sg_stored_keys_add(
    struct sg_msg_keyinfos *set, const struct sg_account *account, const char *fingerprint)
{
	struct sg_keyinfo key;
	int err;

	if (fingerprint == NULL)
		return 0;
	err = load_own(account->agent->store, account->row.jid, fingerprint, &key);
	return err == 0 ? add_signed(set, account, &key) : err;
}

/* The first that the person trusts. */
static int trusted_take(void *arg, struct sg_known_key *known)
{
	struct sg_keyinfo *key = arg;

	if (key->name != NULL || known->decision != SG_DECISION_TRUSTED ||
	    known->keyinfo.kind != SG_KEYINFO_X509)
		return 0;
	key->name = known->keyinfo.name;
	key->kind = known->keyinfo.kind;
	key->data = known->keyinfo.data;
	known->keyinfo.name = NULL;
	known->keyinfo.data = (struct sg_blob){ NULL, 0 };
	return 0;
}

int sg_stored_keys_add_trusted(
    struct sg_msg_keyinfos *set, const struct sg_account *account, const char *fingerprint)
{
	struct sg_keyinfo key = { 0 };
	int err = sg_stored_keys_add(set, account, fingerprint);

	if (err != SG_ERR_KEY_ABSENT)
		return err;
	err = sg_store_keyring_get(account->agent->store, fingerprint, 0, trusted_take, &key);
	if (err == 0 && key.name != NULL)
		return add_signed(set, account, &key);
	sg_layout_clear(&sg_layout_keyinfo, &key);
	return err == 0 ? SG_ERR_KEY_ABSENT : err;
}

int sg_stored_keys_add_pgp(struct sg_msg_keyinfos *set, const struct sg_account *account)
{
	char **names;
	int err = sg_store_pgp_names(account->agent->store, account->row.jid, &names);

	for (size_t i = 0; err == 0 && names[i] != NULL; i++)
		err = sg_stored_keys_add(set, account, names[i]);
	sg_strv_free(names);
	return err;
}

/* ---- issuers ---- */

struct names {
	const char **list;
	size_t count;
};

static int names_alloc(struct names *names, size_t room)
{
	*names = (struct names){ .list = calloc(room + 1, sizeof(*names->list)) };
	return names->list != NULL ? 0 : SG_ERR_NOMEM;
}

static void names_sort(struct names *names)
{
	qsort(names->list, names->count, sizeof(*names->list), sg_text_compare);
}

/* The names of the keys themselves, and of the issuers of all their signatures; both sorted. An
 * OpenPGP key is looked up even so: another copy of it may tell of a revocation. */
static int names_of(const struct sg_msg_keyinfos *keys, struct names *own, struct names *issuers)
{
	size_t signatures = 0;

	for (uint32_t i = 0; i < keys->keyinfo_count; i++)
		signatures += keys->keyinfos[i].signature_count;
	if (names_alloc(own, keys->keyinfo_count) != 0 ||
	    names_alloc(issuers, keys->keyinfo_count + signatures) != 0)
		return SG_ERR_NOMEM;
	for (uint32_t i = 0; i < keys->keyinfo_count; i++) {
		const struct sg_keyinfo *key = &keys->keyinfos[i];

		if (key->name != NULL && key->kind == SG_KEYINFO_X509)
			own->list[own->count++] = key->name;
		else if (key->name != NULL && key->kind == SG_KEYINFO_PGP)
			issuers->list[issuers->count++] = key->name;
		for (uint32_t k = 0; k < key->signature_count; k++) {
			if (key->signatures[k].issuer != NULL)
				issuers->list[issuers->count++] = key->signatures[k].issuer;
		}
	}
	names_sort(own);
	names_sort(issuers);
	return 0;
}

/* Adds the key of this name, when it is known. */
static int issuer_add(
    struct sg_msg_keyinfos *issuers, struct sg_store *store, const char *jid, const char *name)
{
	struct sg_keyinfo *added;
	struct sg_blob der;
	uint32_t kind;
	int err = sg_store_key_get(store, jid, name, &kind, &der);

	if (err != 0)
		return err == SG_ERR_KEY_ABSENT ? 0 : err;
	added = keys_grow(issuers);
	if (added == NULL) {
		sg_blob_clear(&der);
		return SG_ERR_NOMEM;
	}
	*added = (struct sg_keyinfo){ .name = strdup(name), .kind = kind, .data = der };
	return added->name != NULL ? 0 : SG_ERR_NOMEM;
}

int sg_stored_keys_known_issuers(struct sg_msg_keyinfos *issuers, struct sg_store *store,
    const char *jid, const struct sg_msg_keyinfos *keys)
{
	struct names own = { NULL, 0 };
	struct names wanted = { NULL, 0 };
	int err = names_of(keys, &own, &wanted);

	*issuers = (struct sg_msg_keyinfos){ 0 };
	for (size_t i = 0; err == 0 && i < wanted.count; i++) {
		const char *name = wanted.list[i];

		if ((i > 0 && strcmp(name, wanted.list[i - 1]) == 0) ||
		    bsearch(&name, own.list, own.count, sizeof(*own.list), sg_text_compare) != NULL)
			continue;
		err = issuer_add(issuers, store, jid, name);
	}
	if (err != 0)
		sg_msg_clear(SG_MSG_KEYINFOS, issuers);
	free(own.list);
	free(wanted.list);
	return err;
}

int sg_stored_keys_issuers(struct sg_msg_keyinfos *issuers, const struct sg_account *account,
    const struct sg_msg_keyinfos *keys)
{
	return sg_stored_keys_known_issuers(issuers, account->agent->store, account->row.jid, keys);
}
