#include "store_copies.h"

#include <stdint.h>
#include <string.h>

#include "pgp_key.h"
#include "store_engine.h"

#define UNCHECKED                                                                                  \
	(SG_PGP_REVOKES_CRITICAL | SG_PGP_REVOKES_SUBKEY_CRITICAL | SG_PGP_REVOKES_DESIGNATED)
#define OF_KEY (SG_PGP_REVOKES | SG_PGP_REVOKES_DESIGNATED)

/* Who brings the copy. */
enum from {
	FROM_OWNER, /* the JID whose key it is shows it, or the person has it in a file: it is the newest */
	FROM_EQUAL, /* no more is known of who brings it than of who brought the one that is there */
	FROM_OTHER, /* the owner shows the one that is there */
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
};

static struct copy examine(const struct sg_blob *data, time_t now)
{
	struct copy copy = { .err = 0 };
	const struct sg_pgp_facts *facts;
	struct sg_pgp_key *key;
	const char *why;

	copy.err = sg_pgp_key_check(data, &copy.form, &why);
	if (copy.err == 0)
		copy.err = sg_pgp_key_load(data, 1, now, &key, &why);
	if (copy.err != 0)
		return copy;
	facts = sg_pgp_key_facts(key);
	copy.valid = facts->valid;
	copy.revoked = (enum sg_pgp_revoked)facts->revoked;
	copy.expires = facts->expires != 0 ? facts->expires : INT64_MAX;
	copy.subkeys = facts->subkeys;
	while (facts->user_ids[copy.user_ids] != NULL)
		copy.user_ids++;
	sg_pgp_key_free(key);
	return copy;
}

/* Nobody was there to say so, which is not the copy's fault. */
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

/* Many signatures that say to be the key's own cost much, and anybody can make them. */
#define MANY_SIGNATURES 50

/* Whether it has all that the other has that counts, and more of it; or as much, where the other is blown up. */
static int is_better(const struct copy *copy, const struct copy *other)
{
	int more = copy->valid > other->valid || copy->expires > other->expires ||
	    copy->user_ids > other->user_ids || copy->subkeys > other->subkeys;
	int less = copy->valid < other->valid || copy->expires < other->expires ||
	    copy->user_ids < other->user_ids || copy->subkeys < other->subkeys;

	int blown_up = other->form.own_signatures > MANY_SIGNATURES &&
	    copy->form.own_signatures < other->form.own_signatures / 2;

	return !less && (more || blown_up);
}

/* Without a judge. */
static enum sg_copy_choice choose_blindly(
    const struct copy *old, const struct copy *new, enum from from)
{
	int loses = (old->form.revocations & OF_KEY) != 0 && (new->form.revocations &OF_KEY) == 0;

	return from == FROM_OWNER && !loses ? SG_COPY_TAKE : SG_COPY_KEEP;
}

static enum sg_copy_choice choose(const struct copy *old, const struct copy *new, enum from from)
{
	if (new->revoked == SG_PGP_REVOKED && old->revoked != SG_PGP_REVOKED)
		return SG_COPY_REVOKED;
	if (old->revoked == SG_PGP_REVOKED && new->revoked != SG_PGP_REVOKED)
		return SG_COPY_KEEP;
	if (from == FROM_OWNER)
		return new->revoked > old->revoked ? SG_COPY_REVOKED : SG_COPY_TAKE;
	if (from == FROM_OTHER)
		return SG_COPY_KEEP;
	return is_better(new, old) ? SG_COPY_TAKE : SG_COPY_KEEP;
}

/* there: NULL when none is known yet. */
static enum sg_copy_choice choose_copy(
    const struct sg_blob *there, const struct sg_blob *came, enum from from, time_t now)
{
	struct copy old, new;

	/* nodes may show thousands, each for the first time */
	if (there == NULL && from == FROM_OWNER)
		return SG_COPY_TAKE;
	new = examine(came, now);
	if ((new.err != 0 && !is_unjudged(&new)) || (from != FROM_OWNER && claims_too_much(&new)))
		return SG_COPY_REFUSE;
	if (there == NULL)
		return SG_COPY_TAKE;
	old = examine(there, now);
	if (old.err != 0 && !is_unjudged(&old))
		return SG_COPY_TAKE;
	if (old.err != 0 || new.err != 0)
		return choose_blindly(&old, &new, from);
	return choose(&old, &new, from);
}

/* ---- in the store ---- */

enum claim {
	OTHERS_SHOW,
	ANYBODY_SHOWS,
	NODE_SHOWS,
	TRUSTED_HERE,
	TRUSTED_ELSEWHERE,
	OTHERS_SAY, /* each of himself; or a file */
	ANYBODY_SAYS,
	CLAIM_COUNT,
};

/* Of one that the JID does not show: a file that the person gave, and what the JID says of itself, go before
 * what others say. */
static enum from told_from(const struct sg_witness *witness, const int *claims)
{
	int by_itself = witness->source == SG_SIGHT_PUSH && witness->told_by != NULL &&
	    strcmp(witness->told_by, witness->jid) == 0;

	if (claims[ANYBODY_SHOWS])
		return FROM_OTHER;
	if (witness->source == SG_SIGHT_IMPORT)
		return FROM_OWNER;
	if (!by_itself)
		return claims[ANYBODY_SAYS] ? FROM_OTHER : FROM_EQUAL;
	if (claims[TRUSTED_ELSEWHERE])
		return FROM_OTHER;
	return claims[OTHERS_SAY] && !claims[TRUSTED_HERE] ? FROM_EQUAL : FROM_OWNER;
}

static enum from shown_from(const struct sg_witness *witness, const int *claims)
{
	if (claims[TRUSTED_ELSEWHERE] || (witness->source == SG_SIGHT_DIRECT && claims[NODE_SHOWS]))
		return FROM_OTHER;
	return claims[OTHERS_SHOW] && !claims[TRUSTED_HERE] ? FROM_EQUAL : FROM_OWNER;
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

int sg_store_copy_choose(struct sg_store *store, const struct sg_witness *witness, int64_t key,
    const struct sg_blob *came, enum sg_copy_choice *choice)
{
	const struct sg_value older[] = { SG_INT(key), SG_TEXT(witness->jid),
		SG_INT(witness->source), SG_END };
	enum from from = sg_witness_shows(witness) || witness->source == SG_SIGHT_IMPORT
	    ? FROM_OWNER
	    : FROM_EQUAL;
	struct sg_blob there = { NULL, 0 };
	int err = 0;

	*choice = SG_COPY_KEEP;
	if (key != 0)
		err = find_from(store, witness, key, &from);
	if (err == 0 && key != 0)
		err = read_data(store, key, &there);
	if (err == 0)
		*choice = choose_copy(key != 0 ? &there : NULL, came, from, witness->now);
	sg_blob_clear(&there);
	if (err == 0 && key != 0 && from == FROM_OWNER && sg_witness_shows(witness) &&
	    (*choice == SG_COPY_TAKE || *choice == SG_COPY_REVOKED))
		err = sg_store_run(store, SG_STMT_COPY_OLD, older);
	return err;
}
