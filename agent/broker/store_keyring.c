/* What was seen of the keys of others, within limits; and what became of it. */
#include "keyring_store.h"

#include <stdlib.h>
#include <string.h>

#include "pgp.h"
#include "store_copies.h"
#include "store_engine.h"
#include "x509.h"

#define DAY_S		  INT64_C(86400)
#define SIGNATURE_WEIGHTS 64 /* bytes that each costs beside the keyinfo's own */

/* The rows of one source, and what of them may still be added. */
struct room {
	int64_t rows;
	int64_t bytes;
	int64_t today;
};

/* One batch on its way into the store. */
struct batch {
	struct sg_store *store;
	const struct sg_witness *witness;
	const char *told_by; /* "": the JID itself, or the person */
	struct room room;
	struct room all; /* what all senders have told */
	int dropped;	 /* room was made: a key that was found may be gone */
};

int sg_witness_shows(const struct sg_witness *witness)
{
	return witness->source <= SG_SIGHT_DIRECT;
}

/* The numbers of the first row, as many as there are columns asked for; 0 in place of what is not
 * there. SG_ERR_KEY_ABSENT: no row. */
static int read_numbers(struct sg_store *store, enum sg_statement which,
    const struct sg_value *values, int64_t *numbers, int count)
{
	sqlite3_stmt *statement;
	int rc = sg_store_step(store, which, values, &statement);
	int err = rc == SQLITE_ROW ? 0 : SG_ERR_KEY_ABSENT;

	for (int i = 0; i < count; i++)
		numbers[i] = rc == SQLITE_ROW ? sqlite3_column_int64(statement, i) : 0;
	return sg_store_done(store, statement, rc, err);
}

int sg_store_keyring_is_known(struct sg_store *store, const char *jid, int *known)
{
	const struct sg_value values[] = { SG_TEXT(jid), SG_END };
	int64_t number;
	int err = read_numbers(store, SG_STMT_JID_IS_KNOWN, values, &number, 1);

	*known = number != 0;
	return err;
}

/* ---- limits ---- */

static int room_read(struct batch *batch)
{
	const struct sg_witness *witness = batch->witness;
	const struct sg_value of_jid[] = { SG_TEXT(witness->jid), SG_END };
	const struct sg_value of_sender[] = { SG_TEXT(batch->told_by), SG_INT(witness->now - DAY_S),
		SG_END };
	int64_t numbers[3] = { 0, 0, 0 }, all[2] = { 0, 0 };
	int err = 0;

	if (sg_witness_shows(witness)) {
		err = read_numbers(batch->store, SG_STMT_JID_USE, of_jid, numbers, 2);
	} else if (batch->told_by[0] != '\0') {
		err = read_numbers(batch->store, SG_STMT_TOLD_USE, of_sender, numbers, 3);
		if (err == 0)
			err = read_numbers(batch->store, SG_STMT_ALL_USE, sg_no_values, all, 2);
	}
	batch->room = (struct room){ numbers[0], numbers[1], numbers[2] };
	batch->all = (struct room){ all[0], all[1], 0 };
	return err;
}

static int sweep_key(struct sg_store *store, int64_t key)
{
	const struct sg_value values[] = { SG_INT(key), SG_END };

	return sg_store_run(store, SG_STMT_KEY_SWEEP, values);
}

/* The sighting that the statement finds goes, and its key when nothing else is known of it. *size
 * is what it took. SG_ERR_LIMIT: there is none. */
static int drop_sighting(
    struct batch *batch, enum sg_statement which, const struct sg_value *values, int64_t *size)
{
	int64_t found[3];
	int err = read_numbers(batch->store, which, values, found, 3);
	const struct sg_value sighting[] = { SG_INT(found[0]), SG_END };

	*size = found[2];
	if (err != 0)
		return err == SG_ERR_KEY_ABSENT ? SG_ERR_LIMIT : err;
	err = sg_store_run(batch->store, SG_STMT_SIGHT_REMOVE, sighting);
	if (err == 0)
		err = sweep_key(batch->store, found[1]);
	batch->dropped = 1;
	return err;
}

static int drop_of_sender(struct batch *batch, const char *sender)
{
	const struct sg_value values[] = { SG_TEXT(sender), SG_END };
	int64_t size;
	int err = drop_sighting(batch, SG_STMT_TOLD_OLDEST, values, &size);

	if (err != 0)
		return err;
	batch->all.rows--;
	batch->all.bytes -= size;
	if (strcmp(sender, batch->told_by) == 0) {
		batch->room.rows--;
		batch->room.bytes -= size;
	}
	return 0;
}

static int drop_of_jid(struct batch *batch)
{
	const struct sg_witness *witness = batch->witness;
	const struct sg_value values[] = { SG_TEXT(witness->jid),
		SG_INT(witness->now - SG_KEYRING_STAMP_S), SG_END };
	int64_t size;
	int err = drop_sighting(batch, SG_STMT_JID_OLDEST, values, &size);

	if (err == 0) {
		batch->room.rows--;
		batch->room.bytes -= size;
	}
	return err;
}

static int is_over(const struct room *room, int64_t size, int64_t rows, int64_t bytes)
{
	return room->rows >= rows || room->bytes + size > bytes;
}

/* The sender who takes the most room, a new string. */
static int greatest_sender(struct sg_store *store, char **sender)
{
	sqlite3_stmt *statement;
	int rc = sg_store_step(store, SG_STMT_TOLD_GREATEST, sg_no_values, &statement);
	int err = SG_ERR_LIMIT;

	*sender = NULL;
	if (rc == SQLITE_ROW) {
		*sender = sg_column_text(statement, 0);
		err = *sender != NULL ? 0 : SG_ERR_NOMEM;
	}
	return sg_store_done(store, statement, rc, err);
}

/* Of all senders together: whoever floods, by however many names, loses his own. */
static int make_room_of_all(struct batch *batch, int64_t size)
{
	int err = 0;

	while (err == 0 && is_over(&batch->all, size, SG_KEYRING_ALL_ROWS, SG_KEYRING_ALL_BYTES)) {
		char *sender;

		err = greatest_sender(batch->store, &sender);
		if (err == 0 && sender != NULL)
			err = drop_of_sender(batch, sender);
		free(sender);
	}
	return err;
}

/* A sender who has told as many new ones as he may in a day. */
static int is_over_day(const struct batch *batch)
{
	return batch->told_by[0] != '\0' && batch->room.today >= SG_KEYRING_TOLD_DAY;
}

/* Makes room for one more of this size. SG_ERR_LIMIT: there is none. */
static int make_room(struct batch *batch, int64_t size)
{
	int err = 0;

	if (sg_witness_shows(batch->witness)) {
		while (err == 0 &&
		    is_over(&batch->room, size, SG_KEYRING_JID_ROWS, SG_KEYRING_JID_BYTES))
			err = drop_of_jid(batch);
		return err;
	}
	if (batch->told_by[0] == '\0') /* the person's own doing */
		return 0;
	while (err == 0 && is_over(&batch->room, size, SG_KEYRING_TOLD_ROWS, SG_KEYRING_TOLD_BYTES))
		err = drop_of_sender(batch, batch->told_by);
	return err == 0 ? make_room_of_all(batch, size) : err;
}

/* ---- keys ---- */

static int own_key(struct sg_store *store, const char *fingerprint, char **jid)
{
	const struct sg_value values[] = { SG_TEXT(fingerprint), SG_END };
	sqlite3_stmt *statement;
	int rc = sg_store_step(store, SG_STMT_OWN_KEY, values, &statement);
	int err = SG_ERR_KEY_ABSENT;

	*jid = NULL;
	if (rc == SQLITE_ROW) {
		*jid = sg_column_text(statement, 0);
		err = *jid != NULL ? 0 : SG_ERR_NOMEM;
	}
	return sg_store_done(store, statement, rc, err);
}

int sg_store_keyring_own(struct sg_store *store, const char *fingerprint, char **jid)
{
	int err = own_key(store, fingerprint, jid);

	if (err != 0) {
		free(*jid);
		*jid = NULL;
	}
	return err;
}

struct place {
	int64_t key;   /* 0: it is not known */
	int reference; /* only its name is known yet */
	int differs;   /* an OpenPGP key of which another copy is there */
};

/* One that is in the store is the same: of OpenPGP keys, any with its name; of certificates, the one with
 * its data, for who can make two of one name has two keys. A reference is any key of its name. */
static int is_same_key(const struct sg_keyinfo *keyinfo, const char *sha256, int64_t kind,
    const char *other, struct place *place)
{
	int same_data = sha256 != NULL && other != NULL && strcmp(other, sha256) == 0;
	int copy = keyinfo->kind == SG_KEYINFO_PGP && kind == SG_KEYINFO_PGP;

	place->differs = copy && !same_data;
	return sha256 == NULL || same_data || copy;
}

static int find_key(struct sg_store *store, const struct sg_keyinfo *keyinfo, const char *sha256,
    struct place *place)
{
	const struct sg_value values[] = { SG_TEXT(keyinfo->name), SG_END };
	sqlite3_stmt *statement;
	int rc = sg_store_step(store, SG_STMT_NAMED_KEYS, values, &statement);

	*place = (struct place){ 0 };
	for (; rc == SQLITE_ROW; rc = sqlite3_step(statement)) {
		const char *other = (const char *)sqlite3_column_text(statement, 2);

		if (is_same_key(
			keyinfo, sha256, sqlite3_column_int64(statement, 1), other, place)) {
			place->key = sqlite3_column_int64(statement, 0);
			place->reference = 0;
			break;
		}
		if (other == NULL) {
			place->key = sqlite3_column_int64(statement, 0);
			place->reference = 1;
		}
	}
	return sg_store_done(store, statement, rc, 0);
}

/* What is to be kept of one keyinfo. */
struct chosen {
	enum sg_copy_choice choice;
	struct sg_blob data; /* in the place of the keyinfo's; empty: those */
};

/* Makes the key, or gives the one that is there this data. */
static int keep_key(const struct batch *batch, const struct sg_keyinfo *keyinfo, const char *sha256,
    const struct sg_blob *data, int fill, int64_t *key)
{
	const struct sg_value filled[] = { SG_INT(*key), SG_INT(keyinfo->kind), SG_TEXT(sha256),
		SG_BLOB(data), SG_END };
	const struct sg_value add[] = { SG_TEXT(keyinfo->name), SG_INT(keyinfo->kind),
		SG_TEXT(sha256), SG_BLOB(data), SG_INT(batch->witness->now), SG_END };

	if (fill)
		return sg_store_run(batch->store, SG_STMT_KEY_FILL, filled);
	return *key == 0 ? read_numbers(batch->store, SG_STMT_KEY_ADD, add, key, 1) : 0;
}

/* Of an OpenPGP key: which copy of it is the one. SG_ERR_LIMIT: there is nothing in this one. */
static int choose_copy(struct batch *batch, const struct sg_keyinfo *keyinfo,
    const struct place *place, struct chosen *chosen)
{
	int same = place->key != 0 && !place->differs && !place->reference;
	int err = 0;

	if (keyinfo->kind == SG_KEYINFO_PGP && !same)
		err = sg_store_copy_choose(batch->store, batch->witness,
		    place->differs ? place->key : 0, &keyinfo->data, &chosen->choice,
		    &chosen->data);
	return err == 0 && chosen->choice == SG_COPY_REFUSE ? SG_ERR_LIMIT : err;
}

/* ---- sightings ---- */

static int keep_signers(
    const struct batch *batch, int64_t sighting, const struct sg_keyinfo *keyinfo, int anew)
{
	const struct sg_value old[] = { SG_INT(sighting), SG_END };
	int err = anew ? 0 : sg_store_run(batch->store, SG_STMT_SIGNERS_REMOVE, old);

	for (uint32_t i = 0; err == 0 && i < keyinfo->signature_count; i++) {
		const struct sg_value values[] = { SG_TEXT(keyinfo->signatures[i].issuer),
			SG_INT(sighting), SG_END };

		if (keyinfo->signatures[i].issuer != NULL)
			err = sg_store_run(batch->store, SG_STMT_SIGNER_ADD, values);
	}
	return err;
}

static int add_sighting(
    struct batch *batch, int64_t key, const struct sg_keyinfo *keyinfo, int64_t size)
{
	const struct sg_witness *witness = batch->witness;
	const struct sg_value values[] = { SG_INT(key), SG_TEXT(witness->jid),
		SG_INT(witness->source), SG_TEXT(batch->told_by), SG_INT(witness->now),
		SG_INT(size), SG_TEXT(keyinfo->xml), SG_END };
	int64_t sighting;
	int err = read_numbers(batch->store, SG_STMT_SIGHT_ADD, values, &sighting, 1);

	if (err == 0)
		err = keep_signers(batch, sighting, keyinfo, 1);
	batch->room.rows++;
	batch->room.today++;
	batch->room.bytes += size;
	batch->all.rows++;
	batch->all.bytes += size;
	return err;
}

struct old_sighting {
	int64_t id;
	int64_t last;
	int64_t same; /* its keyinfo is the one that came now */
	int64_t size;
};

/*
 * The key was told by this source before. Its keyinfo as it came now takes the place of that one;
 * from a sender, not more often than it is written down that it came at all.
 */
static int renew_sighting(struct batch *batch, const struct old_sighting *old,
    const struct sg_keyinfo *keyinfo, int64_t size)
{
	const struct sg_witness *witness = batch->witness;
	const struct sg_value stamp[] = { SG_INT(old->id), SG_INT(witness->now), SG_END };
	const struct sg_value renew[] = { SG_INT(old->id), SG_INT(witness->now), SG_INT(size),
		SG_TEXT(keyinfo->xml), SG_END };
	int due = witness->now - old->last >= SG_KEYRING_STAMP_S || witness->now < old->last;
	int err;

	if (old->same || keyinfo->xml == NULL)
		return due ? sg_store_run(batch->store, SG_STMT_SIGHT_STAMP, stamp) : 0;
	if (!due && batch->told_by[0] != '\0')
		return 0;
	batch->room.bytes += size - old->size;
	batch->all.bytes += size - old->size;
	err = sg_store_run(batch->store, SG_STMT_SIGHT_RENEW, renew);
	return err == 0 ? keep_signers(batch, old->id, keyinfo, 0) : err;
}

static int find_sighting(const struct batch *batch, int64_t key, const struct sg_keyinfo *keyinfo,
    struct old_sighting *old)
{
	const struct sg_witness *witness = batch->witness;
	const struct sg_value values[] = { SG_TEXT(witness->jid), SG_INT(key),
		SG_INT(witness->source), SG_TEXT(batch->told_by), SG_TEXT(keyinfo->xml), SG_END };
	int64_t numbers[4];
	int err = read_numbers(batch->store, SG_STMT_SIGHT_FIND, values, numbers, 4);

	*old = (struct old_sighting){ numbers[0], numbers[1], numbers[2], numbers[3] };
	return err == SG_ERR_KEY_ABSENT ? 0 : err;
}

static int add_change(
    struct sg_store *store, const char *jid, const char *name, enum sg_change_kind kind, int64_t at)
{
	const struct sg_value values[] = { SG_TEXT(jid), SG_TEXT(name), SG_INT(kind), SG_INT(at),
		SG_INT(SG_KEYRING_CHANGES_JID), SG_END };

	return sg_store_run(store, SG_STMT_CHANGE_ADD, values);
}

/* What it is to the JID that this key is told of it now: before the sighting is kept. */
static int weigh(const struct batch *batch, int64_t key, enum sg_learnt *learnt)
{
	const struct sg_witness *witness = batch->witness;
	const struct sg_value values[] = { SG_TEXT(witness->jid), SG_INT(key),
		SG_INT(witness->source), SG_END };
	int64_t of_jid = 0;
	int err =
	    key != 0 ? read_numbers(batch->store, SG_STMT_SIGHT_OF_JID, values, &of_jid, 1) : 0;

	*learnt = SG_LEARNT_KEY;
	if (of_jid)
		*learnt = SG_LEARNT_SIGHTING;
	else if (sg_witness_shows(witness) && witness->known)
		*learnt = SG_LEARNT_CHANGE;
	return err;
}

static int shown_again(const struct batch *batch, int64_t key)
{
	const struct sg_value values[] = { SG_TEXT(batch->witness->jid), SG_INT(key), SG_END };

	return batch->witness->source <= SG_SIGHT_EVENT
	    ? sg_store_run(batch->store, SG_STMT_SIGHT_SHOWN, values)
	    : 0;
}

/* Puts the keyinfo's data and sighting where they belong. */
static int keep_at(struct batch *batch, const struct sg_keyinfo *keyinfo, const char *sha256,
    struct place *place, const struct chosen *chosen, const struct old_sighting *old, int64_t size)
{
	int takes = chosen->choice == SG_COPY_TAKE || chosen->choice == SG_COPY_REVOKED;
	int fill = place->reference || (place->differs && takes);
	int err;

	if (chosen->data.len > 0) {
		char *other = sg_x509_fingerprint(&chosen->data, "sha256");

		err = other != NULL
		    ? keep_key(batch, keyinfo, other, &chosen->data, fill, &place->key)
		    : SG_ERR_NOMEM;
		free(other);
	} else {
		err = keep_key(batch, keyinfo, sha256, &keyinfo->data, fill, &place->key);
	}
	if (err == 0)
		err = old->id != 0 ? renew_sighting(batch, old, keyinfo, size)
				   : add_sighting(batch, place->key, keyinfo, size);
	return err == 0 ? shown_again(batch, place->key) : err;
}

static int tell_changes(
    struct batch *batch, const struct sg_keyinfo *keyinfo, int is_new, int is_revoked)
{
	const struct sg_witness *witness = batch->witness;
	int err = 0;

	if (is_new)
		err = add_change(
		    batch->store, witness->jid, keyinfo->name, SG_CHANGE_NEW, witness->now);
	if (err == 0 && is_revoked)
		err = add_change(
		    batch->store, witness->jid, keyinfo->name, SG_CHANGE_REVOKED, witness->now);
	return err;
}

/* What the limits refuse, is refused before anything of it is judged. */
static int keep_one(struct batch *batch, const struct sg_keyinfo *keyinfo, const char *sha256,
    enum sg_learnt *learnt)
{
	int64_t size = (int64_t)keyinfo->data.len +
	    (keyinfo->xml != NULL ? (int64_t)strlen(keyinfo->xml) : 0) +
	    (int64_t)keyinfo->signature_count * SIGNATURE_WEIGHTS;
	struct old_sighting old = { 0 };
	struct chosen chosen = { .choice = SG_COPY_KEEP };
	struct place place;
	int err = find_key(batch->store, keyinfo, sha256, &place);

	*learnt = SG_LEARNT_NOTHING;
	if (err == 0 && place.key != 0)
		err = find_sighting(batch, place.key, keyinfo, &old);
	if (err == 0 && old.id == 0 && is_over_day(batch))
		err = SG_ERR_LIMIT;
	if (err == 0)
		err = choose_copy(batch, keyinfo, &place, &chosen);
	batch->dropped = 0;
	if (err == 0 && old.id == 0)
		err = make_room(batch, size);
	if (err == 0 && batch->dropped)
		err = find_key(batch->store, keyinfo, sha256, &place);
	if (err == 0 && old.id == 0)
		err = weigh(batch, place.key, learnt);
	if (err == 0)
		err = keep_at(batch, keyinfo, sha256, &place, &chosen, &old, size);
	if (err == 0)
		err = tell_changes(
		    batch, keyinfo, *learnt == SG_LEARNT_CHANGE, chosen.choice == SG_COPY_REVOKED);
	if (chosen.choice == SG_COPY_REVOKED)
		*learnt |= SG_LEARNT_REVOKED;
	sg_blob_clear(&chosen.data);
	return err;
}

static int has_sha1(const struct sg_keyinfo *keyinfo)
{
	char *name = sg_x509_fingerprint(&keyinfo->data, "sha1");
	int same = name != NULL && strcmp(name, keyinfo->name) == 0;

	free(name);
	return same;
}

/* Who says so is not believed: a worker that reads what peers send may be in their hands (K2). */
static int has_its_name(const struct sg_keyinfo *keyinfo)
{
	struct sg_pgp_form form;
	const char *why;

	if (keyinfo->name == NULL)
		return 0;
	switch (keyinfo->kind) {
	case SG_KEYINFO_REFERENCE:
		return keyinfo->data.len == 0;
	case SG_KEYINFO_X509:
		return has_sha1(keyinfo);
	case SG_KEYINFO_PGP:
		return sg_pgp_key_check(&keyinfo->data, &form, &why) == 0 &&
		    strcmp(form.name, keyinfo->name) == 0;
	default:
		return 0;
	}
}

static int put_one(struct batch *batch, const struct sg_keyinfo *keyinfo, enum sg_learnt *learnt)
{
	char *sha256 = NULL, *own = NULL;
	int err;

	*learnt = SG_LEARNT_REFUSED;
	if (!has_its_name(keyinfo) ||
	    (keyinfo->xml != NULL && strlen(keyinfo->xml) > SG_KEYRING_KEYINFO_MAX))
		return 0;
	err = own_key(batch->store, keyinfo->name, &own);
	free(own);
	if (err == 0)
		*learnt = SG_LEARNT_OWN;
	if (err != SG_ERR_KEY_ABSENT)
		return err;
	if (keyinfo->kind != SG_KEYINFO_REFERENCE) {
		sha256 = sg_x509_fingerprint(&keyinfo->data, "sha256");
		if (sha256 == NULL)
			return SG_ERR_NOMEM;
	}
	err = keep_one(batch, keyinfo, sha256, learnt);
	if (err == SG_ERR_LIMIT) {
		*learnt = SG_LEARNT_REFUSED;
		err = 0;
	}
	free(sha256);
	return err;
}

int sg_store_keyring_put(struct sg_store *store, const struct sg_witness *witness,
    const struct sg_keyinfo *keyinfos, size_t count, enum sg_learnt *learnt)
{
	struct batch batch = {
		.store = store,
		.witness = witness,
		.told_by = witness->told_by != NULL ? witness->told_by : "",
	};
	int err = sg_store_begin(store);

	if (err == 0)
		err = room_read(&batch);
	for (size_t i = 0; err == 0 && i < count; i++)
		err = put_one(&batch, &keyinfos[i], &learnt[i]);
	return sg_store_finish(store, err);
}

int sg_store_keyring_import(struct sg_store *store, const struct sg_import *imports, size_t count,
    int64_t now, enum sg_learnt *learnt)
{
	struct sg_witness witness = { .source = SG_SIGHT_IMPORT, .now = now };
	struct batch batch = { .store = store, .witness = &witness, .told_by = "" };
	int err = sg_store_begin(store);

	for (size_t i = 0; err == 0 && i < count; i++) {
		witness.jid = imports[i].jid;
		err = put_one(&batch, imports[i].keyinfo, &learnt[i]);
	}
	return sg_store_finish(store, err);
}

/* ---- keys that are no longer shown ---- */

struct shown {
	int64_t key;
	char *name;
	int trusted;
};

struct shown_list {
	struct shown list[SG_RETRACT_SLICE];
	size_t count;
};

static void shown_clear(struct shown_list *shown)
{
	for (size_t i = 0; i < shown->count; i++)
		free(shown->list[i].name);
}

static int shown_add(struct shown_list *shown, sqlite3_stmt *statement)
{
	shown->list[shown->count] = (struct shown){
		.key = sqlite3_column_int64(statement, 0),
		.name = sg_column_text(statement, 1),
		.trusted = sqlite3_column_int64(statement, 2) == SG_DECISION_TRUSTED,
	};
	return shown->list[shown->count++].name != NULL ? 0 : SG_ERR_NOMEM;
}

static int shown_read(
    struct sg_store *store, const char *jid, int64_t after, struct shown_list *shown)
{
	const struct sg_value values[] = { SG_TEXT(jid), SG_INT(after), SG_INT(SG_RETRACT_SLICE),
		SG_END };
	sqlite3_stmt *statement;
	int rc = sg_store_step(store, SG_STMT_SHOWN_LIST, values, &statement);
	int err = 0;

	for (; rc == SQLITE_ROW && err == 0; rc = err == 0 ? sqlite3_step(statement) : rc)
		err = shown_add(shown, statement);
	return sg_store_done(store, statement, rc, err);
}

static int retract_one(
    struct sg_store *store, const char *jid, int64_t now, const struct shown *shown)
{
	const struct sg_value values[] = { SG_TEXT(jid), SG_INT(shown->key), SG_INT(now), SG_END };
	int err = sg_store_run(store, SG_STMT_SIGHT_RETRACT, values);

	if (err == 0 && shown->trusted)
		err = add_change(store, jid, shown->name, SG_CHANGE_RETRACTED, now);
	return err;
}

int sg_store_keyring_retract(struct sg_store *store, const char *jid, int64_t now, int64_t *after,
    sg_retract_fn *fn, void *arg)
{
	struct shown_list shown = { .count = 0 };
	int err = sg_store_begin(store);

	if (err != 0)
		return err;
	err = shown_read(store, jid, *after, &shown);
	for (size_t i = 0; err == 0 && i < shown.count; i++) {
		err = fn(arg, shown.list[i].name);
		if (err == 1)
			err = retract_one(store, jid, now, &shown.list[i]);
	}
	err = sg_store_finish(store, err);
	if (err == 0 && shown.count == SG_RETRACT_SLICE) {
		*after = shown.list[shown.count - 1].key;
		err = 1;
	}
	shown_clear(&shown);
	return err;
}

int sg_store_keyring_is_of(struct sg_store *store, int64_t id, const char *jid, int *is_of)
{
	const struct sg_value values[] = { SG_TEXT(jid), SG_INT(id), SG_END };
	int64_t number;
	int err = read_numbers(store, SG_STMT_SIGHT_ANY, values, &number, 1);

	*is_of = number != 0;
	return err;
}
