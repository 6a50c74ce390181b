#include "stored_keys.h"

#include <stdlib.h>
#include <string.h>

#include "store.h"

static struct sg_keyinfo *keys_grow(struct sg_msg_keyinfos *set)
{
	struct sg_keyinfo *grown =
	    reallocarray(set->keyinfos, set->keyinfo_count + 1, sizeof(*grown));

	if (grown == NULL)
		return NULL;
	set->keyinfos = grown;
	return memset(&grown[set->keyinfo_count++], 0, sizeof(*grown));
}

int sg_stored_keys_add(
    struct sg_msg_keyinfos *set, const struct sg_account *account, const char *fingerprint)
{
	struct sg_store *store = account->agent->store;
	struct sg_msg_signatures signatures = { 0 };
	struct sg_keyinfo *added;
	struct sg_cert_row cert;
	int err;

	if (fingerprint == NULL)
		return 0;
	err = sg_store_cert_get(store, account->row.jid, fingerprint, &cert);
	if (err != 0)
		return err;
	err = sg_store_signatures_get(store, account->row.jid, cert.name, &signatures);
	if (err != 0)
		goto out;
	added = keys_grow(set);
	if (added == NULL) {
		sg_msg_clear(SG_MSG_SIGNATURES, &signatures);
		err = SG_ERR_NOMEM;
		goto out;
	}
	*added = (struct sg_keyinfo){
		.name = cert.name,
		.kind = SG_KEYINFO_X509,
		.data = cert.der,
		.signatures = signatures.signatures,
		.signature_count = signatures.signature_count,
	};
	cert.name = NULL;
	cert.der = (struct sg_blob){ NULL, 0 };
out:
	sg_cert_row_clear(&cert);
	return err;
}

/* ---- issuers ---- */

struct names {
	const char **list;
	size_t count;
};

static int compare_names(const void *a, const void *b)
{
	const char *const *left = a;
	const char *const *right = b;

	return strcmp(*left, *right);
}

static int names_alloc(struct names *names, size_t room)
{
	*names = (struct names){ .list = calloc(room + 1, sizeof(*names->list)) };
	return names->list != NULL ? 0 : SG_ERR_NOMEM;
}

static void names_sort(struct names *names)
{
	qsort(names->list, names->count, sizeof(*names->list), compare_names);
}

/* The names of the keys themselves, and of the issuers of all their signatures; both sorted. */
static int names_of(const struct sg_msg_keyinfos *keys, struct names *own, struct names *issuers)
{
	size_t signatures = 0;

	for (uint32_t i = 0; i < keys->keyinfo_count; i++)
		signatures += keys->keyinfos[i].signature_count;
	if (names_alloc(own, keys->keyinfo_count) != 0 || names_alloc(issuers, signatures) != 0)
		return SG_ERR_NOMEM;
	for (uint32_t i = 0; i < keys->keyinfo_count; i++) {
		const struct sg_keyinfo *key = &keys->keyinfos[i];

		if (key->name != NULL && key->kind == SG_KEYINFO_X509)
			own->list[own->count++] = key->name;
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

	*issuers = (struct sg_msg_keyinfos){ NULL, 0, 0 };
	for (size_t i = 0; err == 0 && i < wanted.count; i++) {
		const char *name = wanted.list[i];

		if ((i > 0 && strcmp(name, wanted.list[i - 1]) == 0) ||
		    bsearch(&name, own.list, own.count, sizeof(*own.list), compare_names) != NULL)
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
