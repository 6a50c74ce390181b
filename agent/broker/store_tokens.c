/* What is remembered of tokens: tries of their PINs, and the keys that were used. */
#include "store.h"

#include <stdlib.h>
#include <string.h>

#include "store_engine.h"

/* ---- ledgers of PIN tries ---- */

int sg_store_ledger_make(
    struct sg_store *store, const char *token, uint32_t by, const struct sg_blob *salt)
{
	const struct sg_value values[] = { SG_TEXT(token), SG_INT(by), SG_BLOB(salt), SG_END };

	return sg_store_run(store, SG_STMT_LEDGER_MAKE, values);
}

void sg_ledger_row_clear(struct sg_ledger_row *row)
{
	for (uint32_t i = 0; i < row->wrong_count; i++)
		sg_blob_clear(&row->wrong[i].hash);
	free(row->wrong);
	sg_blob_clear(&row->salt);
	memset(row, 0, sizeof(*row));
}

static int wrong_add(struct sg_ledger_row *row, sqlite3_stmt *statement)
{
	struct sg_pin_hash *grown = reallocarray(row->wrong, row->wrong_count + 1, sizeof(*grown));

	if (grown == NULL)
		return SG_ERR_NOMEM;
	row->wrong = grown;
	grown[row->wrong_count] =
	    (struct sg_pin_hash){ .unsure = (uint32_t)sqlite3_column_int64(statement, 1) };
	return sg_column_blob(statement, 0, &grown[row->wrong_count++].hash);
}

static int wrong_list(
    struct sg_store *store, const char *token, uint32_t by, struct sg_ledger_row *row)
{
	const struct sg_value values[] = { SG_TEXT(token), SG_INT(by), SG_END };
	sqlite3_stmt *statement;
	int rc = sg_store_step(store, SG_STMT_WRONG_LIST, values, &statement);
	int err = 0;

	while (rc == SQLITE_ROW && (err = wrong_add(row, statement)) == 0)
		rc = sqlite3_step(statement);
	return sg_store_done(store, statement, rc, err);
}

int sg_store_ledger_get(
    struct sg_store *store, const char *token, uint32_t by, struct sg_ledger_row *row)
{
	const struct sg_value values[] = { SG_TEXT(token), SG_INT(by), SG_END };
	sqlite3_stmt *statement;
	int rc = sg_store_step(store, SG_STMT_LEDGER_GET, values, &statement);
	int err = SG_ERR_KEY_ABSENT;

	memset(row, 0, sizeof(*row));
	if (rc == SQLITE_ROW) {
		err = sg_column_blob(statement, 0, &row->salt);
		row->tries = (uint32_t)sqlite3_column_int64(statement, 1);
		row->told = (uint32_t)sqlite3_column_int64(statement, 2);
		row->locked = (uint32_t)sqlite3_column_int64(statement, 3);
	}
	err = sg_store_done(store, statement, rc, err);
	if (err == 0)
		err = wrong_list(store, token, by, row);
	if (err != 0)
		sg_ledger_row_clear(row);
	return err;
}

/* Two statements in one transaction: of the hash, and (unless it is SG_STMT_COUNT) of the
 * ledger. */
static int hash_run(struct sg_store *store, enum sg_statement of_hash, enum sg_statement of_ledger,
    const struct sg_value *hash, const struct sg_value *ledger)
{
	const struct sg_value trim[] = { hash[0], hash[1], SG_INT(SG_LEDGER_WRONG_MAX), SG_END };
	int err = sg_store_begin(store);

	if (err != 0)
		return err;
	if (of_ledger != SG_STMT_COUNT)
		err = sg_store_run(store, of_ledger, ledger);
	if (err == 0 && of_ledger != SG_STMT_COUNT && sqlite3_changes(store->db) != 1)
		err = SG_ERR_KEY_ABSENT;
	if (err == 0)
		err = sg_store_run(store, of_hash, hash);
	if (err == 0)
		err = sg_store_run(store, SG_STMT_WRONG_TRIM, trim);
	return sg_store_finish(store, err);
}

int sg_store_ledger_try(struct sg_store *store, const char *token, uint32_t by,
    const struct sg_blob *hash, uint32_t unsure, uint32_t told)
{
	const struct sg_value values[] = { SG_TEXT(token), SG_INT(by), SG_BLOB(hash),
		SG_INT(unsure), SG_END };
	const struct sg_value ledger[] = { SG_TEXT(token), SG_INT(by), SG_INT(told), SG_END };

	return hash_run(store, SG_STMT_UNSURE_PUT, SG_STMT_LEDGER_TRY, values, ledger);
}

int sg_store_ledger_told(struct sg_store *store, const char *token, uint32_t by)
{
	const struct sg_value values[] = { SG_TEXT(token), SG_INT(by), SG_END };

	return sg_store_run(store, SG_STMT_LEDGER_TOLD, values);
}

int sg_store_ledger_good(struct sg_store *store, const char *token, uint32_t by,
    const struct sg_blob *hash, int starts_anew)
{
	const struct sg_value values[] = { SG_TEXT(token), SG_INT(by), SG_BLOB(hash), SG_END };
	const struct sg_value ledger[] = { SG_TEXT(token), SG_INT(by), SG_INT(starts_anew != 0),
		SG_END };
	const struct sg_value all[] = { SG_TEXT(token), SG_INT(by), SG_END };
	int err = sg_store_begin(store);

	if (err != 0)
		return err;
	err = sg_store_run(store, SG_STMT_LEDGER_GOOD, ledger);
	if (err == 0 && sqlite3_changes(store->db) != 1)
		err = SG_ERR_KEY_ABSENT;
	if (err == 0)
		err = sg_store_run(store, SG_STMT_WRONG_REMOVE, values);
	if (err == 0)
		err = sg_store_run(store, SG_STMT_UNSURE_RESET, all);
	return sg_store_finish(store, err);
}

int sg_store_ledger_wrong(
    struct sg_store *store, const char *token, uint32_t by, const struct sg_blob *hash)
{
	const struct sg_value values[] = { SG_TEXT(token), SG_INT(by), SG_BLOB(hash), SG_END };

	return hash_run(store, SG_STMT_WRONG_PUT, SG_STMT_COUNT, values, NULL);
}

int sg_store_ledger_untried(
    struct sg_store *store, const char *token, uint32_t by, const struct sg_blob *hash)
{
	const struct sg_value values[] = { SG_TEXT(token), SG_INT(by), SG_BLOB(hash), SG_END };
	const struct sg_value ledger[] = { SG_TEXT(token), SG_INT(by), SG_END };

	return hash_run(store, SG_STMT_UNSURE_REMOVE, SG_STMT_LEDGER_BACK, values, ledger);
}

int sg_store_ledger_forgive(
    struct sg_store *store, const char *token, uint32_t by, const struct sg_blob *hash)
{
	const struct sg_value values[] = { SG_TEXT(token), SG_INT(by), SG_BLOB(hash), SG_END };

	return hash_run(store, SG_STMT_UNSURE_FORGIVE, SG_STMT_COUNT, values, NULL);
}

int sg_store_ledger_locked(
    struct sg_store *store, const char *token, uint32_t by, const struct sg_blob *hash)
{
	const struct sg_value values[] = { SG_TEXT(token), SG_INT(by), SG_BLOB(hash), SG_END };
	const struct sg_value ledger[] = { SG_TEXT(token), SG_INT(by), SG_END };

	return hash_run(store, SG_STMT_UNSURE_REMOVE, SG_STMT_LEDGER_LOCKED, values, ledger);
}

int sg_store_ledger_clear(struct sg_store *store, const char *token, uint32_t by)
{
	const struct sg_value values[] = { SG_TEXT(token), SG_INT(by), SG_END };
	const struct sg_value ledger[] = { SG_TEXT(token), SG_INT(by), SG_INT(1), SG_END };
	int err = sg_store_begin(store);

	if (err != 0)
		return err;
	err = sg_store_run(store, SG_STMT_WRONG_CLEAR, values);
	if (err == 0)
		err = sg_store_run(store, SG_STMT_LEDGER_GOOD, ledger);
	return sg_store_finish(store, err);
}

/* ---- keys that were used ---- */

void sg_key_use_clear(struct sg_key_use *use)
{
	free(use->uri);
	free(use->spki_sha256);
	memset(use, 0, sizeof(*use));
}

int sg_store_key_use_get(struct sg_store *store, const char *uri, struct sg_key_use *use)
{
	const struct sg_value values[] = { SG_TEXT(uri), SG_END };
	sqlite3_stmt *statement;
	int rc = sg_store_step(store, SG_STMT_KEY_USE_GET, values, &statement);
	int err = SG_ERR_KEY_ABSENT;

	memset(use, 0, sizeof(*use));
	if (rc == SQLITE_ROW) {
		use->uri = sg_column_text(statement, 0);
		use->spki_sha256 = sg_column_text(statement, 1);
		use->abilities = (uint32_t)sqlite3_column_int64(statement, 2);
		use->adopted = (uint32_t)sqlite3_column_int64(statement, 3);
		err = use->uri != NULL && use->spki_sha256 != NULL ? 0 : SG_ERR_NOMEM;
	}
	err = sg_store_done(store, statement, rc, err);
	if (err != 0)
		sg_key_use_clear(use);
	return err;
}

int sg_store_key_uses_of(
    struct sg_store *store, const char *spki_sha256, sg_key_uri_fn *fn, void *arg)
{
	const struct sg_value values[] = { SG_TEXT(spki_sha256), SG_END };
	sqlite3_stmt *statement;
	int rc = sg_store_step(store, SG_STMT_KEY_USES_OF, values, &statement);
	int err = 0;

	while (rc == SQLITE_ROW && err == 0) {
		const unsigned char *uri = sqlite3_column_text(statement, 0);

		err = uri != NULL ? fn(arg, (const char *)uri) : SG_ERR_NOMEM;
		if (err == 0)
			rc = sqlite3_step(statement);
	}
	return sg_store_done(store, statement, rc, err);
}

int sg_store_key_use_put(struct sg_store *store, const struct sg_key_use *use)
{
	const struct sg_value values[] = { SG_TEXT(use->uri), SG_TEXT(use->spki_sha256),
		SG_INT(use->abilities), SG_INT(use->adopted), SG_END };

	return sg_store_run(store, SG_STMT_KEY_USE_PUT, values);
}
