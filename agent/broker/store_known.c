/* What is known of the keys of others: looked up by name, fingerprint, JID and signer. */
#include "keyring_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "keyinfo.h"
#include "store_engine.h"
#include "text.h"
#include "x509.h"
#include "xml.h"

void sg_known_key_clear(struct sg_known_key *key)
{
	for (uint32_t i = 0; i < key->sighting_count; i++) {
		free(key->sightings[i].jid);
		free(key->sightings[i].told_by);
	}
	free(key->sightings);
	free(key->tellers);
	sg_layout_clear(&sg_layout_keyinfo, &key->keyinfo);
	free(key->sha256);
	free(key->decided_for);
	memset(key, 0, sizeof(*key));
}

int sg_known_key_is_on_node(const struct sg_known_key *key, const char *jid)
{
	for (uint32_t i = 0; i < key->sighting_count; i++) {
		const struct sg_sighting *sighting = &key->sightings[i];

		if (sighting->source <= SG_SIGHT_EVENT && sighting->retracted == 0 &&
		    strcmp(sighting->jid, jid) == 0)
			return 1;
	}
	return 0;
}

/* ---- one key ---- */

static int read_row(struct sg_store *store, struct sg_known_key *key)
{
	const struct sg_value values[] = { SG_INT(key->id), SG_END };
	sqlite3_stmt *statement;
	int rc = sg_store_step(store, SG_STMT_KEY_READ, values, &statement);
	int err = SG_ERR_KEY_ABSENT;

	if (rc == SQLITE_ROW) {
		key->keyinfo.name = sg_column_text(statement, 0);
		key->keyinfo.kind = (uint32_t)sqlite3_column_int64(statement, 1);
		key->sha256 = sg_column_text(statement, 2);
		err = sg_column_blob(statement, 3, &key->keyinfo.data);
		key->first = sqlite3_column_int64(statement, 4);
		key->decision = (uint32_t)sqlite3_column_int64(statement, 5);
		key->decided = sqlite3_column_int64(statement, 6);
		key->decided_for = sg_column_text(statement, 7);
		if (key->keyinfo.name == NULL)
			err = SG_ERR_NOMEM;
	}
	return sg_store_done(store, statement, rc, err);
}

static int add_sighting(struct sg_known_key *key, sqlite3_stmt *statement)
{
	struct sg_sighting *sighting = &key->sightings[key->sighting_count++];
	const unsigned char *told_by = sqlite3_column_text(statement, 2);

	*sighting = (struct sg_sighting){
		.jid = sg_column_text(statement, 0),
		.source = (uint32_t)sqlite3_column_int64(statement, 1),
		.first = sqlite3_column_int64(statement, 3),
		.last = sqlite3_column_int64(statement, 4),
		.retracted = sqlite3_column_int64(statement, 5),
	};
	if (told_by != NULL && told_by[0] != '\0') {
		sighting->told_by = sg_column_text(statement, 2);
		if (sighting->told_by == NULL)
			return SG_ERR_NOMEM;
	}
	return sighting->jid != NULL ? 0 : SG_ERR_NOMEM;
}

static int read_sightings(struct sg_store *store, struct sg_known_key *key)
{
	const struct sg_value all[] = { SG_INT(key->id), SG_END };
	const struct sg_value first[] = { SG_INT(key->id), SG_INT(SG_KNOWN_SIGHTINGS_MAX), SG_END };
	sqlite3_stmt *statement;
	int rc = sg_store_step(store, SG_STMT_SIGHTS_SUM, all, &statement);
	int err;

	if (rc == SQLITE_ROW) {
		key->sighting_total = (uint32_t)sqlite3_column_int64(statement, 0);
		key->last = sqlite3_column_int64(statement, 1);
		key->retracted = sqlite3_column_int(statement, 2);
	}
	err = sg_store_done(store, statement, rc, 0);
	if (err != 0)
		return err;
	key->sightings = calloc(SG_KNOWN_SIGHTINGS_MAX, sizeof(*key->sightings));
	if (key->sightings == NULL)
		return SG_ERR_NOMEM;
	rc = sg_store_step(store, SG_STMT_SIGHTS_READ, first, &statement);
	for (; rc == SQLITE_ROW && err == 0; rc = err == 0 ? sqlite3_step(statement) : rc)
		err = add_sighting(key, statement);
	return sg_store_done(store, statement, rc, err);
}

/* ---- its signatures ---- */

/* One of the signatures that were put together. */
struct slot {
	struct sg_signature *signature;
	struct sg_path_teller teller;
	uint32_t number; /* among those by its issuer and method that this teller has */
};

static const char *method_of(const struct slot *slot)
{
	return slot->signature->method != NULL ? slot->signature->method : "";
}

static int compare_makers(const struct slot *left, const struct slot *right)
{
	int order = strcmp(left->signature->issuer, right->signature->issuer);

	return order != 0 ? order : strcmp(method_of(left), method_of(right));
}

static int compare_places(const struct slot *left, const struct slot *right)
{
	return (left->signature > right->signature) - (left->signature < right->signature);
}

static int compare_groups(const struct slot *left, const struct slot *right)
{
	int order = left->teller.rank - right->teller.rank;

	if (order == 0)
		order = left->teller.who - right->teller.who;
	return order != 0 ? order : compare_makers(left, right);
}

static int group_order(const void *a, const void *b)
{
	int order = compare_groups(a, b);

	return order != 0 ? order : compare_places(a, b);
}

static int compare_signatures(const struct slot *left, const struct slot *right)
{
	const struct sg_blob *one = &left->signature->value, *other = &right->signature->value;
	int order = compare_makers(left, right);

	if (order == 0 && one->len != other->len)
		order = one->len < other->len ? -1 : 1;
	if (order == 0 && one->len > 0)
		order = memcmp(one->data, other->data, one->len);
	return order;
}

/* Of twins that one goes first which is looked at first: nobody hides a signature by repeating it behind noise. */
static int twin_order(const void *a, const void *b)
{
	const struct slot *left = a, *right = b;
	int order = compare_signatures(left, right);

	if (order == 0)
		order = left->teller.rank - right->teller.rank;
	if (order == 0)
		order = (left->number > right->number) - (left->number < right->number);
	return order != 0 ? order : compare_places(left, right);
}

/* Clears each signature that is there twice. */
static int clear_twins(struct sg_known_key *key)
{
	uint32_t count = key->keyinfo.signature_count;
	struct slot *slots = calloc((size_t)count + 1, sizeof(*slots));

	if (slots == NULL)
		return SG_ERR_NOMEM;
	for (uint32_t i = 0; i < count; i++)
		slots[i] = (struct slot){ &key->keyinfo.signatures[i], key->tellers[i], 0 };
	qsort(slots, count, sizeof(*slots), group_order);
	for (uint32_t i = 1; i < count; i++) {
		if (compare_groups(&slots[i - 1], &slots[i]) == 0)
			slots[i].number = slots[i - 1].number + 1;
	}
	qsort(slots, count, sizeof(*slots), twin_order);
	for (uint32_t i = count; i > 1; i--) {
		if (compare_signatures(&slots[i - 2], &slots[i - 1]) == 0)
			sg_layout_clear(&sg_layout_signature, slots[i - 1].signature);
	}
	free(slots);
	return 0;
}

/* Drops each signature that is there twice, and what is over SG_KEYINFO_SIGNATURES_MAX. */
static int drop_twins(struct sg_known_key *key)
{
	struct sg_keyinfo *keyinfo = &key->keyinfo;
	uint32_t count = keyinfo->signature_count, kept = 0;
	int err = clear_twins(key);

	if (err != 0)
		return err;
	key->shown_signatures = 0;
	for (uint32_t i = 0; i < count; i++) {
		struct sg_signature *signature = &keyinfo->signatures[i];

		if (signature->issuer == NULL)
			continue;
		if (kept == SG_KEYINFO_SIGNATURES_MAX) {
			sg_layout_clear(&sg_layout_signature, signature);
			continue;
		}
		if (kept != i) {
			keyinfo->signatures[kept] = *signature;
			key->tellers[kept] = key->tellers[i];
			memset(signature, 0, sizeof(*signature));
		}
		if (key->tellers[kept++].rank == SG_KNOWN_SHOWN)
			key->shown_signatures = kept;
	}
	keyinfo->signature_count = kept;
	return 0;
}

/* Another copy of the same OpenPGP key: what is signed is its fingerprint (K4). */
static int is_copy(const struct sg_keyinfo *one, const struct sg_keyinfo *other)
{
	return one->kind == SG_KEYINFO_PGP && other->kind == SG_KEYINFO_PGP;
}

static int join(
    struct sg_known_key *key, struct sg_keyinfo *came, const struct sg_path_teller *teller)
{
	struct sg_keyinfo *known = &key->keyinfo;
	size_t count = (size_t)known->signature_count + came->signature_count;
	struct sg_signature *signatures;
	struct sg_path_teller *tellers;

	if (came->signature_count == 0)
		return 0;
	tellers = reallocarray(key->tellers, count, sizeof(*tellers));
	if (tellers == NULL)
		return SG_ERR_NOMEM;
	key->tellers = tellers;
	signatures = reallocarray(known->signatures, count, sizeof(*signatures));
	if (signatures == NULL)
		return SG_ERR_NOMEM;
	known->signatures = signatures;
	memcpy(signatures + known->signature_count, came->signatures,
	    came->signature_count * sizeof(*signatures));
	for (size_t i = known->signature_count; i < count; i++)
		tellers[i] = *teller;
	known->signature_count = (uint32_t)count;
	came->signature_count = 0;
	return 0;
}

/* Puts the signatures of a keyinfo to those of the key; what is none of this very key is passed
 * over. */
static int add_keyinfo(
    struct sg_known_key *key, const char *text, const struct sg_path_teller *teller)
{
	struct sg_keyinfo *known = &key->keyinfo, came = { 0 };
	struct sg_xml *element = NULL;
	const char *why;
	int same, err = sg_xml_parse(text, strlen(text), &element);

	if (err == 0)
		err = sg_keyinfo_decode(element, &came, &why);
	sg_xml_free(element);
	same = came.kind == known->kind && sg_blob_eq(&came.data, &known->data);
	if (err == 0 &&
	    (came.name == NULL || known->name == NULL || strcmp(came.name, known->name) != 0 ||
		(came.kind != SG_KEYINFO_REFERENCE && !same && !is_copy(&came, known))))
		err = SG_ERR_KEYINFO;
	if (err == 0 && known->xml == NULL && same) {
		known->xml = came.xml;
		came.xml = NULL;
	}
	if (err == 0)
		err = join(key, &came, teller);
	sg_layout_clear(&sg_layout_keyinfo, &came);
	return err == SG_ERR_NOMEM ? err : 0;
}

/* Appends "jid\n" to the list, which begins with "\n"; what is no JID names nobody. */
static int list_jid(char **list, const char *jid)
{
	char *bare = sg_jid_bare(jid), *longer = NULL;

	if (bare == NULL)
		return 0;
	if (asprintf(&longer, "%s%s\n", *list != NULL ? *list : "\n", bare) < 0)
		longer = NULL;
	free(bare);
	if (longer == NULL)
		return SG_ERR_NOMEM;
	free(*list);
	*list = longer;
	return 0;
}

/* Whose key it is: "\njid\n...", or NULL when nobody can tell. */
static int list_owners(const struct sg_known_key *key, char **list)
{
	X509 *cert = NULL;
	char **jids = NULL;
	int err = 0;

	*list = NULL;
	if (key->keyinfo.kind == SG_KEYINFO_X509 &&
	    sg_x509_cert_parse(&key->keyinfo.data, &cert) == 0 &&
	    sg_x509_cert_jids(cert, &jids, NULL) != 0)
		jids = NULL;
	for (size_t i = 0; err == 0 && jids != NULL && jids[i] != NULL; i++)
		err = list_jid(list, jids[i]);
	if (err == 0 && key->decided_for != NULL)
		err = list_jid(list, key->decided_for);
	sg_strv_free(jids);
	X509_free(cert);
	if (err != 0) {
		free(*list);
		*list = NULL;
	}
	return err;
}

/* What is being read of a key. */
struct reading {
	struct sg_known_key *key;
	int any[SG_KNOWN_RANKS];
	size_t bytes[SG_KNOWN_RANKS];	  /* that were read of each rank, but for its first */
	char *who[SG_KNOWN_KEYINFOS_MAX]; /* each teller once */
	size_t count;
};

static int find_teller(struct reading *reading, const char *name, uint8_t *who)
{
	size_t i = 0;

	while (i < reading->count && strcmp(reading->who[i], name) != 0)
		i++;
	*who = (uint8_t)i;
	if (i < reading->count)
		return 0;
	reading->who[i] = strdup(name);
	if (reading->who[i] == NULL)
		return SG_ERR_NOMEM;
	reading->count++;
	return 0;
}

static int read_keyinfo(struct reading *reading, sqlite3_stmt *statement)
{
	struct sg_path_teller teller = { .rank = (uint8_t)sqlite3_column_int(statement, 0) };
	const char *text = (const char *)sqlite3_column_text(statement, 1);
	const char *name = (const char *)sqlite3_column_text(statement, 2);
	size_t max = teller.rank <= SG_KNOWN_IMPORTED ? SG_KNOWN_SHOWN_BYTES : SG_KNOWN_TOLD_BYTES;
	size_t *bytes = &reading->bytes[teller.rank], size;
	int err;

	if (text == NULL || name == NULL)
		return SG_ERR_NOMEM;
	size = reading->any[teller.rank] ? strlen(text) : 0; /* the first leaves room for others */
	if (reading->key->keyinfo.signature_count > SG_KEYINFO_SIGNATURES_MAX ||
	    *bytes + size > max)
		return 0;
	reading->any[teller.rank] = 1;
	*bytes += size;
	err = find_teller(reading, name, &teller.who);
	return err == 0 ? add_keyinfo(reading->key, text, &teller) : err;
}

static int read_signatures(struct sg_store *store, struct sg_known_key *key)
{
	struct reading reading = { .key = key };
	char *owners;
	int err = list_owners(key, &owners);
	const struct sg_value values[] = { SG_INT(key->id), SG_INT(SG_KNOWN_KEYINFOS_MAX),
		SG_TEXT(owners), SG_END };
	sqlite3_stmt *statement;
	int rc;

	if (err != 0)
		return err;
	rc = sg_store_step(store, SG_STMT_KEYINFOS_READ, values, &statement);
	for (; rc == SQLITE_ROW && err == 0; rc = err == 0 ? sqlite3_step(statement) : rc)
		err = read_keyinfo(&reading, statement);
	err = sg_store_done(store, statement, rc, err);
	for (size_t i = 0; i < reading.count; i++)
		free(reading.who[i]);
	free(owners);
	return err == 0 ? drop_twins(key) : err;
}

/* ---- several keys ---- */

struct ids {
	int64_t *list;
	size_t count;
};

static int read_ids(struct sg_store *store, enum sg_statement which, const struct sg_value *values,
    size_t max, struct ids *ids)
{
	sqlite3_stmt *statement;
	int rc;

	*ids = (struct ids){ calloc(max + 1, sizeof(*ids->list)), 0 };
	if (ids->list == NULL)
		return SG_ERR_NOMEM;
	rc = sg_store_step(store, which, values, &statement);
	for (; rc == SQLITE_ROW && ids->count < max; rc = sqlite3_step(statement))
		ids->list[ids->count++] = sqlite3_column_int64(statement, 0);
	return sg_store_done(store, statement, rc, 0);
}

static int read_key(struct sg_store *store, int64_t id, unsigned flags, struct sg_known_key *key)
{
	int err;

	*key = (struct sg_known_key){ .id = id };
	err = read_row(store, key);
	if (err == 0)
		err = read_sightings(store, key);
	if (err == 0 && (flags & SG_KNOWN_SIGNATURES) != 0)
		err = read_signatures(store, key);
	if (err != 0)
		sg_known_key_clear(key);
	return err;
}

/* Gives each key to fn. One that fn has removed meanwhile is passed over. */
static int each_key(
    struct sg_store *store, const struct ids *ids, unsigned flags, sg_known_key_fn *fn, void *arg)
{
	int err = 0;

	for (size_t i = 0; err == 0 && i < ids->count; i++) {
		struct sg_known_key key;

		err = read_key(store, ids->list[i], flags, &key);
		if (err == SG_ERR_KEY_ABSENT) {
			err = 0;
			continue;
		}
		if (err == 0)
			err = fn(arg, &key);
		sg_known_key_clear(&key);
	}
	return err;
}

#define NAMED_MAX 16 /* keys that claim one name */

int sg_store_keyring_get(
    struct sg_store *store, const char *fingerprint, unsigned flags, sg_known_key_fn *fn, void *arg)
{
	const struct sg_value values[] = { SG_TEXT(fingerprint), SG_INT(NAMED_MAX), SG_END };
	struct ids ids;
	int err = read_ids(store, SG_STMT_IDS_NAMED, values, NAMED_MAX, &ids);

	if (err == 0)
		err = each_key(store, &ids, flags, fn, arg);
	free(ids.list);
	return err;
}

#define HEX_MAX 64

/* The search as the beginning of a fingerprint: lower-case hex without blanks and colons. 0 when
 * it is none. */
static int hex_prefix(const char *search, char prefix[HEX_MAX + 2])
{
	size_t len = 0;

	for (; *search != '\0'; search++) {
		char c = *search;

		if (c == ' ' || c == ':')
			continue;
		if (c >= 'A' && c <= 'F')
			c = (char)(c - 'A' + 'a');
		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')) || len == HEX_MAX)
			return 0;
		prefix[len++] = c;
	}
	prefix[len] = '\0';
	return len >= 4;
}

/* Keys whose name or SHA-256 begins so. */
static int ids_begin(
    struct sg_store *store, const char *prefix, int64_t after, size_t max, struct ids *ids)
{
	char end[HEX_MAX + 2];
	const struct sg_value values[] = { SG_INT(after), SG_INT((int64_t)max), SG_TEXT(prefix),
		SG_TEXT(end), SG_END };

	(void)snprintf(end, sizeof(end), "%sg", prefix); /* after every hex digit */
	return read_ids(store, SG_STMT_IDS_BEGIN, values, max, ids);
}

/* A part of the keys is looked through, so that nobody waits: *reached is its end, or 0 at the
 * last. */
static int ids_found(
    struct sg_store *store, const struct sg_keyring_query *query, struct ids *ids, int64_t *reached)
{
	int64_t end = query->after + SG_KEYRING_SEARCH_MAX, last = 0;
	const struct sg_value values[] = { SG_INT(query->after), SG_INT((int64_t)query->max),
		SG_TEXT(query->search), SG_INT(end), SG_END };
	struct ids all;
	int err = read_ids(store, SG_STMT_IDS_LAST, sg_no_values, 1, &all);

	if (err == 0 && all.count > 0)
		last = all.list[0];
	free(all.list);
	*reached = end < last ? end : 0;
	return err == 0 ? read_ids(store, SG_STMT_IDS_FOUND, values, query->max, ids) : err;
}

static int search_ids(
    struct sg_store *store, const struct sg_keyring_query *query, struct ids *ids, int64_t *reached)
{
	char prefix[HEX_MAX + 2];
	size_t any = 0;
	int err = 0;

	if (hex_prefix(query->search, prefix)) {
		err = ids_begin(store, prefix, 0, 1, ids);
		any = ids->count;
		free(ids->list);
		ids->list = NULL;
	}
	if (err == 0 && any > 0)
		return ids_begin(store, prefix, query->after, query->max, ids);
	return err == 0 ? ids_found(store, query, ids, reached) : err;
}

static int list_ids(
    struct sg_store *store, const struct sg_keyring_query *query, struct ids *ids, int64_t *reached)
{
	const struct sg_value of_jid[] = { SG_INT(query->after), SG_INT((int64_t)query->max),
		SG_TEXT(query->jid), SG_END };
	const struct sg_value all[] = { SG_INT(query->after), SG_INT((int64_t)query->max), SG_END };

	*ids = (struct ids){ NULL, 0 };
	if (query->jid != NULL)
		return read_ids(store, SG_STMT_IDS_OF_JID, of_jid, query->max, ids);
	if (query->search != NULL)
		return search_ids(store, query, ids, reached);
	return read_ids(store, SG_STMT_IDS_ALL, all, query->max, ids);
}

int sg_store_keyring_search(struct sg_store *store, const struct sg_keyring_query *query,
    unsigned flags, sg_known_key_fn *fn, void *arg, int64_t *reached)
{
	struct ids ids;
	int err;

	*reached = 0;
	err = list_ids(store, query, &ids, reached);
	if (err == 0)
		err = each_key(store, &ids, flags, fn, arg);
	free(ids.list);
	return err;
}

int sg_store_keyring_list(struct sg_store *store, const struct sg_keyring_query *query,
    unsigned flags, sg_known_key_fn *fn, void *arg)
{
	int64_t reached;

	return sg_store_keyring_search(store, query, flags, fn, arg, &reached);
}
