#include "verdict_index.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include "keyinfo.h"
#include "x509.h"

/* A possible issuer; it is parsed when a signature first names it. */
struct issuer {
	struct issuer *next; /* of the same name, in the order in which they were added */
	const struct sg_keyinfo *keyinfo;
	X509 *cert;
	struct sg_issuer_key key; /* the certificate's */
	struct sg_pgp_key *pgp;	  /* of all the copies, at the first of them */
	int tried;
};

/* A name, and those that have it; none when it was only looked for. */
struct named {
	const char *name; /* borrowed */
	struct issuer *first, **end;
	int was_wanted;
};

/* A tree, not a table or a sorted list: keys come in small portions, and who chooses the names must not be able to
 * make it slow. */
struct sg_verdict_index {
	void *entries; /* tsearch(3) */
	size_t checks_left;
};

static int compare_entries(const void *a, const void *b)
{
	const struct named *left = a, *right = b;

	return strcmp(left->name, right->name);
}

static void entry_free(void *arg)
{
	struct named *entry = arg;

	while (entry->first != NULL) {
		struct issuer *issuer = entry->first;

		entry->first = issuer->next;
		sg_issuer_key_clear(&issuer->key);
		X509_free(issuer->cert);
		sg_pgp_key_free(issuer->pgp);
		free(issuer);
	}
	free(entry);
}

int sg_verdict_index_new(struct sg_verdict_index **index, size_t checks_max)
{
	*index = calloc(1, sizeof(**index));
	if (*index == NULL)
		return SG_ERR_NOMEM;
	(*index)->checks_left = checks_max;
	return 0;
}

void sg_verdict_index_free(struct sg_verdict_index *index)
{
	if (index == NULL)
		return;
	tdestroy(index->entries, entry_free);
	free(index);
}

static struct named *entry_find(const struct sg_verdict_index *index, const char *name)
{
	const struct named wanted = { .name = name };
	struct named **found =
	    name != NULL ? tfind(&wanted, &index->entries, compare_entries) : NULL;

	return found != NULL ? *found : NULL;
}

/* The entry of this name, a new one when there is none; NULL without memory. */
static struct named *entry_get(struct sg_verdict_index *index, const char *name)
{
	struct named *entry = entry_find(index, name);

	if (entry != NULL)
		return entry;
	entry = calloc(1, sizeof(*entry));
	if (entry == NULL)
		return NULL;
	entry->name = name;
	entry->end = &entry->first;
	if (tsearch(entry, &index->entries, compare_entries) != NULL)
		return entry;
	free(entry);
	return NULL;
}

static int index_add(struct sg_verdict_index *index, const struct sg_keyinfo *key)
{
	struct named *entry = entry_get(index, key->name);
	struct issuer *issuer = entry != NULL ? calloc(1, sizeof(*issuer)) : NULL;

	if (issuer == NULL)
		return SG_ERR_NOMEM;
	issuer->keyinfo = key;
	*entry->end = issuer;
	entry->end = &issuer->next;
	return 0;
}

int sg_verdict_index_add(
    struct sg_verdict_index *index, const struct sg_keyinfo *keys, size_t count)
{
	int err = 0;

	for (size_t i = 0; err == 0 && i < count; i++) {
		if (keys[i].kind != SG_KEYINFO_REFERENCE && keys[i].name != NULL)
			err = index_add(index, &keys[i]);
	}
	return err;
}

int sg_verdict_index_has(struct sg_verdict_index *index, const char *name)
{
	const struct named *entry = entry_find(index, name);

	return entry != NULL && entry->first != NULL;
}

static struct issuer *find_kind(
    const struct sg_verdict_index *index, const char *name, enum sg_key_kind kind)
{
	const struct named *entry = entry_find(index, name);
	struct issuer *issuer = entry != NULL ? entry->first : NULL;

	while (issuer != NULL && issuer->keyinfo->kind != kind)
		issuer = issuer->next;
	return issuer;
}

int sg_verdict_index_wants(struct sg_verdict_index *index, const char *name)
{
	struct named *entry = entry_get(index, name);

	if (entry == NULL)
		return SG_ERR_NOMEM;
	if (entry->was_wanted || find_kind(index, name, SG_KEYINFO_X509) != NULL)
		return 0;
	entry->was_wanted = 1;
	return 1;
}

int sg_verdict_index_has_kind(
    const struct sg_verdict_index *index, const char *name, enum sg_key_kind kind)
{
	return find_kind(index, name, kind) != NULL;
}

int sg_verdict_is_x509(const struct sg_keyinfo *keyinfo)
{
	char *name;
	int is;

	if (keyinfo->kind != SG_KEYINFO_X509 || keyinfo->name == NULL)
		return 0;
	name = sg_keyinfo_name_x509(&keyinfo->data);
	is = name != NULL && strcmp(name, keyinfo->name) == 0;
	free(name);
	return is;
}

X509 *sg_verdict_load_cert(const struct sg_keyinfo *keyinfo)
{
	X509 *cert = NULL;

	if (!sg_verdict_is_x509(keyinfo) || sg_x509_cert_parse(&keyinfo->data, &cert) != 0)
		cert = NULL;
	return cert;
}

/* Of RSA the modulus, of EC the x of the point: they stand in any encoding. */
static void mark_take(struct sg_issuer_key *issuer)
{
	int is_rsa = EVP_PKEY_get_base_id(issuer->key) == EVP_PKEY_RSA;
	BIGNUM *number = NULL;

	if (EVP_PKEY_get_bn_param(issuer->key,
		is_rsa ? OSSL_PKEY_PARAM_RSA_N : OSSL_PKEY_PARAM_EC_PUB_X, &number) != 1)
		return;
	issuer->mark.data = malloc((size_t)BN_num_bytes(number) + 1);
	if (issuer->mark.data != NULL)
		issuer->mark.len = (size_t)BN_bn2bin(number, issuer->mark.data);
	BN_free(number);
}

static void issuer_key_init(struct sg_issuer_key *issuer, EVP_PKEY *key)
{
	*issuer = (struct sg_issuer_key){ .key = key };
	ERR_set_mark();
	mark_take(issuer);
	ERR_pop_to_mark();
}

void sg_issuer_key_clear(struct sg_issuer_key *issuer)
{
	sg_blob_clear(&issuer->mark);
	EVP_PKEY_CTX_free(issuer->sha1);
	EVP_PKEY_CTX_free(issuer->sha256);
	*issuer = (struct sg_issuer_key){ .key = NULL };
}

struct sg_issuer_key *sg_verdict_index_x509(struct sg_verdict_index *index, const char *name)
{
	struct issuer *issuer = find_kind(index, name, SG_KEYINFO_X509);

	if (issuer == NULL)
		return NULL;
	if (!issuer->tried)
		issuer->cert = sg_verdict_load_cert(issuer->keyinfo);
	if (!issuer->tried && issuer->cert != NULL && X509_get0_pubkey(issuer->cert) != NULL)
		issuer_key_init(&issuer->key, X509_get0_pubkey(issuer->cert));
	issuer->tried = 1;
	return issuer->key.key != NULL ? &issuer->key : NULL;
}

int sg_verdict_index_spend(struct sg_verdict_index *index, size_t count)
{
	if (index->checks_left < count)
		return 0;
	index->checks_left -= count;
	return 1;
}

/* ---- OpenPGP ---- */

int sg_verdict_is_pgp(const struct sg_keyinfo *keyinfo, struct sg_pgp_form *form)
{
	const char *why;

	return keyinfo->kind == SG_KEYINFO_PGP && keyinfo->name != NULL &&
	    sg_pgp_key_check(&keyinfo->data, form, &why) == 0 &&
	    strcmp(form->name, keyinfo->name) == 0;
}

void sg_copies_add(struct sg_copies *copies, const struct sg_keyinfo *keyinfo)
{
	struct sg_pgp_form form;

	if (!sg_verdict_is_pgp(keyinfo, &form))
		return;
	for (size_t i = 0; i < copies->count; i++) {
		if (sg_blob_eq(&copies->list[i], &keyinfo->data))
			return;
	}
	if (copies->count == SG_PGP_COPIES_MAX || sg_pgp_load_add(&copies->load, &form) != 0)
		copies->left_out = 1;
	else
		copies->list[copies->count++] = keyinfo->data;
}

void sg_copies_find(
    struct sg_copies *copies, const struct sg_verdict_index *index, const char *name)
{
	const struct issuer *issuer = find_kind(index, name, SG_KEYINFO_PGP);

	for (; issuer != NULL && !copies->left_out; issuer = issuer->next)
		sg_copies_add(copies, issuer->keyinfo);
}

enum sg_signature_verdict sg_verdict_index_pgp(struct sg_verdict_index *index, const char *name,
    time_t now, struct sg_pgp_key **key, const char **reason)
{
	struct issuer *issuer = find_kind(index, name, SG_KEYINFO_PGP);
	struct sg_copies copies = { .count = 0 };
	int err;

	*key = NULL;
	if (issuer == NULL)
		return SG_SIG_UNKNOWN_ISSUER;
	*key = issuer->pgp;
	if (*key != NULL)
		return SG_SIG_GOOD;
	sg_copies_find(&copies, index, name);
	if (copies.count == 0)
		return SG_SIG_UNKNOWN_ISSUER;
	if (issuer->tried || !sg_verdict_index_spend(index, sg_pgp_load_cost(&copies.load)))
		return SG_SIG_UNCHECKED;
	issuer->tried = 1;
	err = sg_pgp_key_load(copies.list, copies.count, now, &issuer->pgp, reason);
	*key = issuer->pgp;
	return err == 0 ? SG_SIG_GOOD : SG_SIG_UNCHECKED;
}
