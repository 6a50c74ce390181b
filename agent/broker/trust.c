#include "trust.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

#include "accounts.h"
#include "keyring_store.h"
#include "log.h"
#include "store_trust.h"
#include "x509.h"

/* Keyinfos of issuers that are read for a signature by an own user key, in bytes, all together. */
#define CLAIMS_BYTES_MAX (1u << 20)

/* A key that was read. Its keyinfo stays where it is, for the graph borrows it. */
struct item {
	TAILQ_ENTRY(item) entry;
	struct sg_path_key key;
	struct sg_keyinfo keyinfo; /* owned */
	struct sg_known_key known; /* of the keyring; else empty */
	const char *seen_jids[SG_KNOWN_SIGHTINGS_MAX];
	const char *retracted_jids[SG_KNOWN_SIGHTINGS_MAX];
	char *account; /* of an own key: whose */
	int whole;     /* its signatures were read */
};
TAILQ_HEAD(items, item);

struct sg_trust {
	struct sg_agent *agent;
	const char *account; /* whose own keys count, or NULL: all */
	struct sg_path_graph *graph;
	struct items items;
	size_t claims_left;
};

static void item_free(struct item *item)
{
	sg_known_key_clear(&item->known);
	sg_layout_clear(&sg_layout_keyinfo, &item->keyinfo);
	free(item->account);
	free(item);
}

void sg_trust_free(struct sg_trust *trust)
{
	struct item *item;

	if (trust == NULL)
		return;
	sg_path_graph_free(trust->graph);
	while ((item = TAILQ_FIRST(&trust->items)) != NULL) {
		TAILQ_REMOVE(&trust->items, item, entry);
		item_free(item);
	}
	free(trust);
}

struct sg_path_graph *sg_trust_graph(const struct sg_trust *trust)
{
	return trust->graph;
}

static struct item *item_find(const struct sg_trust *trust, const char *name)
{
	struct item *item;

	TAILQ_FOREACH(item, &trust->items, entry) {
		if (item->key.keyinfo != NULL && item->key.keyinfo->name != NULL &&
		    strcmp(item->key.keyinfo->name, name) == 0)
			return item;
	}
	return NULL;
}

const struct sg_path_key *sg_trust_key(const struct sg_trust *trust, const char *name)
{
	const struct item *item = item_find(trust, name);

	return item != NULL ? &item->key : NULL;
}

int sg_trust_own(const struct sg_trust *trust, sg_trust_fn *fn, void *arg)
{
	const struct item *item;
	int err = 0;

	TAILQ_FOREACH(item, &trust->items, entry) {
		if (err == 0 && item->account != NULL)
			err = fn(arg, &item->key);
	}
	return err;
}

/* ---- laying out ---- */

/* Puts the item into the graph, which borrows of it; what is no key (K2) is left out, and what is
 * too much. The item is taken over. */
static int item_add(struct sg_trust *trust, struct item *item)
{
	int err;

	item->key.keyinfo = &item->keyinfo;
	TAILQ_INSERT_TAIL(&trust->items, item, entry);
	err = sg_path_graph_add(trust->graph, &item->key);
	if (err == SG_ERR_KEYINFO || err == SG_ERR_LIMIT) {
		sg_log(SG_LOG_WARN, "the key %s is not judged: %s", item->keyinfo.name,
		    sg_err_text(err));
		err = 0;
	}
	return err;
}

/* The signatures on this name that an account keeps: those of its user keys. */
static int mine_add(struct sg_trust *trust, const char *account, const char *name)
{
	struct sg_msg_signatures signatures;
	struct item *item;
	int err = sg_store_signatures_get(trust->agent->store, account, name, &signatures);

	if (err != 0 || signatures.signature_count == 0)
		return err;
	item = calloc(1, sizeof(*item));
	if (item == NULL) {
		sg_msg_clear(SG_MSG_SIGNATURES, &signatures);
		return SG_ERR_NOMEM;
	}
	item->keyinfo = (struct sg_keyinfo){
		.name = strdup(name),
		.signatures = signatures.signatures,
		.signature_count = signatures.signature_count,
	};
	item->key.flags = SG_PATH_SIGNED;
	if (item->keyinfo.name != NULL)
		return item_add(trust, item);
	item_free(item);
	return SG_ERR_NOMEM;
}

static int is_meant(const struct sg_trust *trust, const struct sg_account *account)
{
	return trust->account == NULL || strcmp(trust->account, account->row.jid) == 0;
}

static int mine_add_all(struct sg_trust *trust, const char *name)
{
	struct sg_account *account;
	int err = 0;

	for (account = sg_accounts_first(trust->agent->accounts); err == 0 && account != NULL;
	     account = sg_accounts_next(account)) {
		if (is_meant(trust, account))
			err = mine_add(trust, account->row.jid, name);
	}
	return err;
}

static int own_add(void *arg, struct sg_cert_row *row)
{
	struct sg_trust *trust = arg;
	struct item *item = calloc(1, sizeof(*item));

	if (item == NULL)
		return SG_ERR_NOMEM;
	item->keyinfo = (struct sg_keyinfo){
		.name = row->name,
		.kind = SG_KEYINFO_X509,
		.data = row->der,
	};
	item->account = row->jid;
	item->seen_jids[0] = item->account;
	item->key = (struct sg_path_key){
		.seen_jids = item->seen_jids,
		.seen_count = 1,
		.flags = (row->role == SG_CERT_USER ? SG_PATH_OWN_USER : SG_PATH_OWN_CLIENT) |
		    (row->revoked ? SG_PATH_REVOKED : 0),
	};
	item->whole = 1;
	row->name = NULL;
	row->jid = NULL;
	row->der = (struct sg_blob){ NULL, 0 };
	return item_add(trust, item);
}

/* An own OpenPGP key: what it signs is signed by the person, as with a user key. */
static int own_pgp_add(struct sg_trust *trust, const char *jid, const char *name)
{
	struct item *item = calloc(1, sizeof(*item));
	int err;

	if (item == NULL)
		return SG_ERR_NOMEM;
	item->keyinfo.kind = SG_KEYINFO_PGP;
	item->keyinfo.name = strdup(name);
	item->account = strdup(jid);
	item->seen_jids[0] = item->account;
	item->key.seen_jids = item->seen_jids;
	item->key.seen_count = 1;
	item->key.flags = SG_PATH_OWN_USER;
	item->whole = 1;
	err = item->keyinfo.name != NULL && item->account != NULL
	    ? sg_store_pgp_get(trust->agent->store, jid, name, &item->keyinfo.data)
	    : SG_ERR_NOMEM;
	if (err == 0)
		return item_add(trust, item);
	item_free(item);
	return err;
}

static int own_pgp_add_all(struct sg_trust *trust, const char *jid)
{
	char **names = NULL;
	int err = sg_store_pgp_names(trust->agent->store, jid, &names);

	for (size_t i = 0; err == 0 && names[i] != NULL; i++)
		err = own_pgp_add(trust, jid, names[i]);
	sg_strv_free(names);
	return err;
}

static int own_add_all(struct sg_trust *trust)
{
	struct sg_account *account;
	const struct item *item;
	int err = 0;

	for (account = sg_accounts_first(trust->agent->accounts); err == 0 && account != NULL;
	     account = sg_accounts_next(account)) {
		if (!is_meant(trust, account))
			continue;
		err = sg_store_certs(trust->agent->store, account->row.jid, own_add, trust);
		if (err == 0)
			err = own_pgp_add_all(trust, account->row.jid);
	}
	/* the list grows at its end meanwhile, by what has no account */
	TAILQ_FOREACH(item, &trust->items, entry) {
		if (err == 0 && item->account != NULL)
			err = mine_add(trust, item->account, item->keyinfo.name);
	}
	return err;
}

int sg_trust_new(struct sg_agent *agent, const char *account, struct sg_trust **made)
{
	struct sg_trust *trust = calloc(1, sizeof(*trust));
	int err;

	*made = NULL;
	if (trust == NULL)
		return SG_ERR_NOMEM;
	trust->agent = agent;
	trust->account = account;
	trust->claims_left = CLAIMS_BYTES_MAX;
	TAILQ_INIT(&trust->items);
	err = sg_path_graph_new(&trust->graph, time(NULL), SG_TRUST_CHECKS_MAX);
	if (err == 0)
		err = own_add_all(trust);
	if (err == 0)
		*made = trust;
	else
		sg_trust_free(trust);
	return err;
}

/* ---- keys of the keyring ---- */

/* Who showed it himself, and who has taken it back. */
static void take_sightings(struct item *item)
{
	const struct sg_known_key *known = &item->known;
	struct sg_path_key *key = &item->key;

	for (uint32_t i = 0; i < known->sighting_count; i++) {
		const struct sg_sighting *sighting = &known->sightings[i];

		if (sighting->source > SG_SIGHT_DIRECT)
			continue;
		if (sighting->retracted == 0)
			item->seen_jids[key->seen_count++] = sighting->jid;
		else if (!sg_known_key_is_on_node(known, sighting->jid))
			item->retracted_jids[key->retracted_count++] = sighting->jid;
	}
	key->seen_jids = item->seen_jids;
	key->retracted_jids = item->retracted_jids;
}

struct reading {
	struct sg_trust *trust;
	int whole;
	int found;
};

static int known_add(void *arg, struct sg_known_key *known)
{
	struct reading *reading = arg;
	struct item *item = calloc(1, sizeof(*item));

	if (item == NULL)
		return SG_ERR_NOMEM;
	reading->found = 1;
	item->whole = reading->whole;
	item->known = *known;
	memset(known, 0, sizeof(*known));
	item->keyinfo = item->known.keyinfo;
	memset(&item->known.keyinfo, 0, sizeof(item->known.keyinfo));
	item->key.first_seen = item->known.first;
	item->key.tellers = item->known.tellers;
	take_sightings(item);
	if (item->known.decision == SG_DECISION_TRUSTED)
		item->key.flags |= SG_PATH_TRUSTED;
	if (item->known.decision == SG_DECISION_DISTRUSTED)
		item->key.flags |= SG_PATH_REFUSED;
	item->key.trusted_jid = item->known.decided_for;
	item->key.decided = item->known.decided;
	return item_add(reading->trust, item);
}

/* Reads the keys of this name, unless they are there. */
static int known_read(struct sg_trust *trust, const char *name, int whole)
{
	struct reading reading = { .trust = trust, .whole = whole };
	struct item *there = item_find(trust, name);
	int err;

	if (there != NULL && (there->whole || !whole))
		return 0;
	if (there != NULL)
		there->whole = 1; /* what is added now is put together with it */
	err = sg_store_keyring_get(
	    trust->agent->store, name, whole ? SG_KNOWN_SIGNATURES : 0, known_add, &reading);
	return err == 0 && there == NULL && reading.found ? mine_add_all(trust, name) : err;
}

/* Whether the key says that an own user key has signed it, in keyinfos that are not too long. */
static int says_mine(struct sg_trust *trust, const char *name, int *whole)
{
	const struct item *item;
	int err = 0;

	*whole = 0;
	TAILQ_FOREACH(item, &trust->items, entry) {
		int64_t size;

		if (err != 0 || !(item->key.flags & SG_PATH_OWN_USER))
			continue;
		err = sg_store_shown_size(trust->agent->store, name, item->keyinfo.name, &size);
		if (err == 0 && size > 0 && (size_t)size <= trust->claims_left && !*whole) {
			trust->claims_left -= (size_t)size;
			*whole = 1;
		}
	}
	return err;
}

static int issuer_read(struct sg_trust *trust, const char *name)
{
	int whole;
	int err;

	if (item_find(trust, name) != NULL)
		return 0;
	err = says_mine(trust, name, &whole);
	return err == 0 ? known_read(trust, name, whole) : err;
}

/* ---- the issuers of a key ---- */

struct names {
	char **list;
	size_t count;
};

static int names_take(void *arg, const char *name)
{
	struct names *names = arg;

	names->list[names->count] = name != NULL ? strdup(name) : NULL;
	return names->list[names->count++] != NULL ? 0 : SG_ERR_NOMEM;
}

/* Those by which the key may be trusted. */
static int counting_read(struct sg_trust *trust, const char *name)
{
	struct names names = { calloc(SG_TRUST_COUNTING_MAX, sizeof(char *)), 0 };
	int err = names.list != NULL ? sg_store_trusted_issuers(trust->agent->store, name,
					   SG_TRUST_COUNTING_MAX, names_take, &names)
				     : SG_ERR_NOMEM;

	for (size_t i = 0; i < names.count; i++) {
		if (err == 0)
			err = issuer_read(trust, names.list[i]);
		free(names.list[i]);
	}
	free(names.list);
	return err;
}

/* Some of the others: so that it is told who signed. */
static int others_read(struct sg_trust *trust, const struct sg_keyinfo *keyinfo)
{
	size_t looked = 0;
	int err = 0;

	for (uint32_t i = 0; err == 0 && i < keyinfo->signature_count; i++) {
		const char *issuer = keyinfo->signatures[i].issuer;

		if (sg_path_graph_has(trust->graph, issuer))
			continue;
		if (looked++ >= SG_TRUST_ISSUERS_MAX)
			break;
		err = issuer_read(trust, issuer);
	}
	return err;
}

int sg_trust_add(struct sg_trust *trust, const char *name, size_t bytes_max)
{
	const struct item *item;
	int64_t size = 0;
	int err = 0;

	if (bytes_max != SG_TRUST_ALL)
		err = sg_store_shown_size(trust->agent->store, name, NULL, &size);
	if (err == 0)
		err = known_read(trust, name, (size_t)size <= bytes_max);
	if (err == 0 && item_find(trust, name) == NULL)
		err = SG_ERR_KEY_ABSENT;
	if (err == 0)
		err = counting_read(trust, name);
	/* the list grows at its end meanwhile */
	TAILQ_FOREACH(item, &trust->items, entry) {
		if (err != 0)
			break;
		if (item->keyinfo.name != NULL && strcmp(item->keyinfo.name, name) == 0)
			err = others_read(trust, &item->keyinfo);
	}
	return err;
}

/* ---- names ---- */

static int name_take(void *arg, struct sg_known_key *known)
{
	char **name = arg;

	if (*name == NULL) {
		*name = known->keyinfo.name;
		known->keyinfo.name = NULL;
	}
	return 0;
}

int sg_trust_resolve(const struct sg_trust *trust, const char *fingerprint, char **name)
{
	const struct item *item;
	int err;

	*name = NULL;
	TAILQ_FOREACH(item, &trust->items, entry) {
		char *sha256 = sg_x509_fingerprint(&item->keyinfo.data, "sha256");
		int is_it = strcmp(item->keyinfo.name, fingerprint) == 0 ||
		    (sha256 != NULL && strcmp(sha256, fingerprint) == 0);

		free(sha256);
		if (is_it) {
			*name = strdup(item->keyinfo.name);
			return *name != NULL ? 0 : SG_ERR_NOMEM;
		}
	}
	err = sg_store_keyring_get(trust->agent->store, fingerprint, 0, name_take, name);
	if (err != 0) {
		free(*name);
		*name = NULL;
	}
	return err == 0 && *name == NULL ? SG_ERR_KEY_ABSENT : err;
}
