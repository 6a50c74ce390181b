#include "store_copies.h"

#include <stdint.h>
#include <string.h>

#include <openssl/evp.h>

#include "pgp_key.h"
#include "store_engine.h"
#include "x509.h"

#define UNCHECKED                                                                                  \
	(SG_PGP_REVOKES_CRITICAL | SG_PGP_REVOKES_SUBKEY_CRITICAL | SG_PGP_REVOKES_DESIGNATED)
#define OF_KEY (SG_PGP_REVOKES | SG_PGP_REVOKES_DESIGNATED)

/* Who brings the copy. */
enum from {
	FROM_OWNER, /* the JID whose key it is shows it, or the person has it in a file: it is the newest */
	FROM_EQUAL, /* no more is known of who brings it than of who brought the one that is there */
	FROM_OTHER, /* the one that is there is of somebody of whom more is known */
	FROM_RIVAL, /* the JID says that it is its own, and so do others: the key itself may name one of them */
	FROM_RIVAL_OF_FILE, /* the same, and the person has it as another's in a file */
};

/* What is to be known of one copy. */
struct copy {
	struct sg_pgp_form form;
	int err; /* of judging it */
	int valid;
	enum sg_pgp_revoked revoked;
	int64_t expires; /* INT64_MAX: never */
	size_t user_ids;
	size_t subkeys;
	int names_jid; /* a user id that the key has signed is that of the JID, ... */
	int names_any; /* ... or of any */
};

static struct copy examine(const struct sg_blob *data, const struct sg_witness *witness)
{
	struct copy copy = { .err = 0 };
	const struct sg_pgp_facts *facts;
	struct sg_pgp_key *key;
	const char *why;

	copy.err = sg_pgp_key_check(data, &copy.form, &why);
	if (copy.err == 0)
		copy.err = sg_pgp_key_load(data, 1, witness->now, &key, &why);
	if (copy.err != 0)
		return copy;
	facts = sg_pgp_key_facts(key);
	copy.valid = facts->valid;
	copy.revoked = (enum sg_pgp_revoked)facts->revoked;
	copy.expires = facts->expires != 0 ? facts->expires : INT64_MAX;
	copy.subkeys = facts->subkeys;
	copy.user_ids = sg_strv_count(facts->user_ids);
	for (char **jid = facts->jids; *jid != NULL; jid++) {
		copy.names_any = 1;
		copy.names_jid |= strcmp(*jid, witness->jid) == 0;
	}
	sg_pgp_key_free(key);
	return copy;
}

/* Nobody was there to say so, or might be asked so often, which is not the copy's fault. */
static int is_unjudged(const struct copy *copy)
{
	return copy->err == SG_ERR_WORKER || copy->err == SG_ERR_NOMEM;
}

/* A revocation that is not the key's, or nobody can tell. */
static int claims_too_much(const struct copy *copy)
{
	return (copy->form.revocations & UNCHECKED) != 0 ||
	    ((copy->form.revocations & SG_PGP_REVOKES) != 0 &&
		(copy->err != 0 || copy->revoked != SG_PGP_REVOKED));
}

/* Many signatures that librnp has to check cost much, and anybody can make them. */
#define MANY_SIGNATURES 50

/* Whether it has all that the other has that counts, and more of it; or as much, where the other is blown up. */
static int is_better(const struct copy *copy, const struct copy *other)
{
	int more = copy->valid > other->valid || copy->expires > other->expires ||
	    copy->user_ids > other->user_ids || copy->subkeys > other->subkeys;
	int less = copy->valid < other->valid || copy->expires < other->expires ||
	    copy->user_ids < other->user_ids || copy->subkeys < other->subkeys;

	int blown_up =
	    other->form.checks > MANY_SIGNATURES && copy->form.checks < other->form.checks / 2;

	return !less && (more || blown_up);
}

/* ---- of two copies ---- */

/* What is there of the key, or NULL, and what came. */
struct pair {
	const struct sg_blob *there;
	const struct sg_blob *came;
	struct copy old, new;
	const struct sg_witness *witness;
	enum from from;
	struct sg_blob *united; /* to be kept in the place of either */
};

/* Whether the copy alone shows more than it does with the revocations that were put to it. */
static int hides(const struct copy *alone, const struct copy *united)
{
	if (united->err != 0)
		return is_unjudged(united);
	return united->subkeys < alone->subkeys || united->user_ids < alone->user_ids ||
	    united->valid < alone->valid || united->revoked != alone->revoked;
}

/*
 * Puts to the copy what the key has revoked in the other, if that counts; 1, and it is what united is of. Gives 0
 * where nothing is lost, SG_ERR_LIMIT where that cannot be told, SG_ERR_NOMEM.
 */
static int unite(
    struct pair *pair, const struct sg_blob *base, const struct sg_blob *other, struct copy *copy)
{
	int blind = copy->err != 0;
	struct copy both = *copy;
	int err = sg_pgp_carry_revocations(base, other, pair->united);

	if (err != 0 || pair->united->len == 0)
		return err == 0 || err == SG_ERR_NOMEM ? err : SG_ERR_LIMIT;
	if (!blind)
		both = examine(pair->united, pair->witness);
	if (!blind && !hides(copy, &both)) {
		sg_blob_clear(pair->united);
		return 0;
	}
	*copy = both;
	return 1;
}

/* Without a judge. */
static int choose_blindly(struct pair *pair, enum sg_copy_choice *choice)
{
	unsigned old = pair->old.form.revocations & OF_KEY;
	unsigned new = pair->new.form.revocations &OF_KEY;
	int err;

	if (pair->from != FROM_OWNER || (old != 0 && new == 0))
		return 0;
	*choice = old == 0 && new != 0 ? SG_COPY_REVOKED : SG_COPY_TAKE;
	err = unite(pair, pair->came, pair->there, &pair->new);
	return err == SG_ERR_NOMEM ? err : 0;
}

/* The key is revoked now: what is there of it stays, if it can be put to that. */
static int take_revocation(struct pair *pair, enum sg_copy_choice *choice)
{
	struct copy united = pair->old;
	int err = 0;

	*choice = SG_COPY_REVOKED;
	if (pair->from == FROM_OWNER)
		return 0;
	err = unite(pair, pair->there, pair->came, &united);
	if (err == 1 && united.revoked != SG_PGP_REVOKED)
		sg_blob_clear(pair->united);
	return err == SG_ERR_NOMEM ? err : 0;
}

/* What came is taken, but for what it lacks. */
static int take_new(struct pair *pair, enum sg_copy_choice *choice)
{
	int err;

	if (pair->from != FROM_OWNER && !is_better(&pair->new, &pair->old))
		return 0;
	err = unite(pair, pair->came, pair->there, &pair->new);
	if (err == SG_ERR_NOMEM)
		return err;
	if (pair->from == FROM_OWNER || (err >= 0 && is_better(&pair->new, &pair->old)))
		*choice = pair->new.revoked > pair->old.revoked ? SG_COPY_REVOKED : SG_COPY_TAKE;
	else
		sg_blob_clear(pair->united);
	return 0;
}

static int choose(struct pair *pair, enum sg_copy_choice *choice)
{
	struct copy *old = &pair->old, *new = &pair->new;
	int err = 0;

	if (old->revoked == SG_PGP_REVOKED && new->revoked != SG_PGP_REVOKED)
		return 0;
	if (new->revoked == SG_PGP_REVOKED && old->revoked != SG_PGP_REVOKED)
		return take_revocation(pair, choice);
	if (pair->from != FROM_OTHER)
		err = take_new(pair, choice);
	if (err == 0 && *choice == SG_COPY_KEEP)
		err = unite(pair, pair->there, pair->came, old);
	if (err == 1)
		*choice = SG_COPY_TAKE;
	return err == SG_ERR_NOMEM ? err : 0;
}

/* Of several who say that it is their own, the one whom the key names by what it has signed. */
static enum from settle(const struct pair *pair)
{
	if (pair->from != FROM_RIVAL && pair->from != FROM_RIVAL_OF_FILE)
		return pair->from;
	if (pair->old.names_jid || pair->new.names_jid)
		return FROM_OWNER;
	if (pair->from == FROM_RIVAL_OF_FILE || pair->old.names_any || pair->new.names_any)
		return FROM_OTHER;
	return FROM_EQUAL;
}

static int choose_copy(struct pair *pair, int may_judge, enum sg_copy_choice *choice)
{
	const struct copy nobody = { .err = SG_ERR_WORKER };
	const char *why;

	pair->old = pair->new = nobody;
	*choice = SG_COPY_TAKE;
	/* nodes may show thousands, each for the first time */
	if (pair->there == NULL && pair->from == FROM_OWNER)
		return 0;
	if (may_judge)
		pair->new = examine(pair->came, pair->witness);
	else if (sg_pgp_key_check(pair->came, &pair->new.form, &why) != 0)
		pair->new.err = SG_ERR_FORMAT;
	*choice = SG_COPY_REFUSE;
	if (pair->new.err != 0 && !is_unjudged(&pair->new))
		return 0;
	if (pair->there != NULL && may_judge)
		pair->old = examine(pair->there, pair->witness);
	else if (pair->there != NULL && sg_pgp_key_check(pair->there, &pair->old.form, &why) != 0)
		pair->old.err = SG_ERR_FORMAT;
	pair->from = settle(pair);
	if (pair->from != FROM_OWNER && claims_too_much(&pair->new)) {
		/* that the JID shows the key is true all the same */
		if (pair->there != NULL && sg_witness_shows(pair->witness))
			*choice = SG_COPY_KEEP;
		return 0;
	}
	*choice = SG_COPY_TAKE;
	if (pair->there == NULL || (pair->old.err != 0 && !is_unjudged(&pair->old)))
		return 0;
	*choice = SG_COPY_KEEP;
	return pair->old.err != 0 || pair->new.err != 0 ? choose_blindly(pair, choice)
							: choose(pair, choice);
}

/* ---- in the store ---- */

/* The columns of SG_STMT_COPY_CLAIMS, in its order. */
enum claim {
	OTHERS_SHOW,
	JID_SHOWS,
	NODE_SHOWS,
	TRUSTED_HERE,
	TRUSTED_ELSEWHERE,
	OTHERS_SAY, /* each of himself; or a file of them */
	ANYBODY_SAYS,
	FILE_OF_OTHERS,
	FILE_OF_JID,
	CLAIM_COUNT,
};

/* Of one that says of itself that the key is its own. */
static enum from own_from(const int *claims)
{
	if (claims[TRUSTED_ELSEWHERE])
		return FROM_OTHER;
	if (claims[TRUSTED_HERE] || !(claims[OTHERS_SHOW] || claims[OTHERS_SAY]) ||
	    (claims[FILE_OF_JID] && !claims[FILE_OF_OTHERS]))
		return FROM_OWNER;
	return claims[FILE_OF_OTHERS] ? FROM_RIVAL_OF_FILE : FROM_RIVAL;
}

/* What the JID shows goes before what it tells; a file that the person gave, and what the JID says of itself,
 * before what others say. */
static enum from told_from(const struct sg_witness *witness, const int *claims)
{
	int by_itself = witness->source == SG_SIGHT_PUSH && witness->told_by != NULL &&
	    strcmp(witness->told_by, witness->jid) == 0;

	if (claims[JID_SHOWS])
		return FROM_OTHER;
	if (witness->source == SG_SIGHT_IMPORT)
		return claims[OTHERS_SHOW] && !claims[TRUSTED_HERE] ? FROM_EQUAL : FROM_OWNER;
	if (by_itself)
		return own_from(claims);
	return claims[ANYBODY_SAYS] || claims[TRUSTED_ELSEWHERE] ? FROM_OTHER : FROM_EQUAL;
}

static enum from shown_from(const struct sg_witness *witness, const int *claims)
{
	if (witness->source == SG_SIGHT_DIRECT && claims[NODE_SHOWS])
		return FROM_OTHER;
	return own_from(claims);
}

static int find_from(
    struct sg_store *store, const struct sg_witness *witness, int64_t key, enum from *from)
{
	const struct sg_value values[] = { SG_INT(key), SG_TEXT(witness->jid), SG_END };
	sqlite3_stmt *statement;
	int rc = sg_store_step(store, SG_STMT_COPY_CLAIMS, values, &statement);
	int claims[CLAIM_COUNT] = { 0 };

	for (int i = 0; rc == SQLITE_ROW && i < CLAIM_COUNT; i++)
		claims[i] = sqlite3_column_int(statement, i);
	*from =
	    sg_witness_shows(witness) ? shown_from(witness, claims) : told_from(witness, claims);
	return sg_store_done(store, statement, rc, 0);
}

static int read_data(struct sg_store *store, int64_t key, struct sg_blob *data)
{
	const struct sg_value values[] = { SG_INT(key), SG_END };
	sqlite3_stmt *statement;
	int rc = sg_store_step(store, SG_STMT_KEY_READ, values, &statement);
	int err = rc == SQLITE_ROW ? sg_column_blob(statement, 3, data) : SG_ERR_IO;

	return sg_store_done(store, statement, rc, err);
}

/* ---- how much is judged ---- */

/* Of whom nothing is known but what he tells has none of his own. */
static int find_purse(
    struct sg_store *store, const struct sg_witness *witness, struct sg_purse **found)
{
	const char *sender = witness->told_by != NULL ? witness->told_by : witness->jid;
	const struct sg_value values[] = { SG_TEXT(sender), SG_END };
	struct sg_purse *purse = &store->purses[0];
	unsigned char name[sizeof(purse->sender)];
	sqlite3_stmt *statement;
	int rc = sg_store_step(store, SG_STMT_SENDER_IS_KNOWN, values, &statement);
	int known = rc == SQLITE_ROW && sqlite3_column_int(statement, 0) != 0;
	int err = sg_store_done(store, statement, rc, 0);

	*found = purse; /* that of all strangers together */
	if (err != 0 || !(known || sg_witness_shows(witness)))
		return err;
	if (EVP_Digest(sender, strlen(sender), name, NULL, EVP_sha256(), NULL) != 1)
		return SG_ERR_NOMEM;
	*found = purse = &store->purses[1];
	for (size_t i = 1; i < SG_PURSES; i++) {
		if (memcmp(store->purses[i].sender, name, sizeof(name)) == 0) {
			*found = &store->purses[i];
			return 0;
		}
		if (store->purses[i].since < purse->since)
			purse = &store->purses[i];
	}
	*purse = (struct sg_purse){ .since = 0 };
	memcpy(purse->sender, name, sizeof(name));
	*found = purse;
	return 0;
}

static size_t cost_of(const struct sg_blob *copy)
{
	struct sg_pgp_load load = { 0 };
	struct sg_pgp_form form;
	const char *why;

	return sg_pgp_key_check(copy, &form, &why) == 0 && sg_pgp_load_add(&load, &form) == 0
	    ? sg_pgp_load_cost(&load)
	    : 0;
}

/* Whether the sender may have so much judged now. The person may. */
static int take_cost(struct sg_store *store, const struct pair *pair, int *may_judge)
{
	int64_t now = pair->witness->now;
	struct sg_purse *purse;
	size_t cost, max;
	int err;

	*may_judge = 1;
	if (pair->witness->source == SG_SIGHT_IMPORT ||
	    (pair->there == NULL && pair->from == FROM_OWNER))
		return 0;
	err = find_purse(store, pair->witness, &purse);
	if (err != 0)
		return err;
	if (now - purse->since >= SG_PURSE_S || now < purse->since) {
		purse->since = now;
		purse->spent = 0;
	}
	cost = cost_of(pair->came) + (pair->there != NULL ? cost_of(pair->there) : 0);
	max = purse == &store->purses[0] ? SG_PURSE_STRANGERS : SG_PURSE_SENDER;
	*may_judge = purse->spent + cost <= max;
	if (*may_judge)
		purse->spent += cost;
	return 0;
}

int sg_store_copy_choose(struct sg_store *store, const struct sg_witness *witness, int64_t key,
    const struct sg_blob *came, enum sg_copy_choice *choice, struct sg_blob *united)
{
	const struct sg_value older[] = { SG_INT(key), SG_TEXT(witness->jid),
		SG_INT(witness->source), SG_END };
	struct sg_blob there = { NULL, 0 };
	struct pair pair = { .there = key != 0 ? &there : NULL,
		.came = came,
		.witness = witness,
		.from = FROM_EQUAL,
		.united = united };
	int err = 0, may_judge;

	*choice = SG_COPY_KEEP;
	*united = (struct sg_blob){ NULL, 0 };
	if (key != 0)
		err = find_from(store, witness, key, &pair.from);
	else if (sg_witness_shows(witness) || witness->source == SG_SIGHT_IMPORT)
		pair.from = FROM_OWNER;
	if (err == 0 && key != 0)
		err = read_data(store, key, &there);
	if (err == 0)
		err = take_cost(store, &pair, &may_judge);
	if (err == 0 && !may_judge && !sg_witness_shows(witness))
		*choice = SG_COPY_REFUSE;
	else if (err == 0)
		err = choose_copy(&pair, may_judge, choice);
	sg_blob_clear(&there);
	if (err == 0 && key != 0 && pair.from == FROM_OWNER && sg_witness_shows(witness) &&
	    (*choice == SG_COPY_TAKE || *choice == SG_COPY_REVOKED))
		err = sg_store_run(store, SG_STMT_COPY_OLD, older);
	if (err != 0)
		sg_blob_clear(united);
	return err;
}
