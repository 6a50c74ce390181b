/* What the person decided of the keys of others, and what of them waits to be looked at. */
#include "keyring_store.h"

#include "store_engine.h"

/* ---- decisions ---- */

int sg_store_keyring_decide(
    struct sg_store *store, int64_t id, enum sg_decision decision, const char *jid, int64_t now)
{
	const struct sg_value values[] = { SG_INT(id), SG_INT(decision), SG_TEXT(jid), SG_INT(now),
		SG_END };

	return sg_store_run(store, SG_STMT_KEY_DECIDE, values);
}

int sg_store_keyring_forget(struct sg_store *store, int64_t id)
{
	const struct sg_value values[] = { SG_INT(id), SG_END };

	return sg_store_run(store, SG_STMT_KEY_FORGET, values);
}

/* ---- changes ---- */

int sg_store_key_changes(
    struct sg_store *store, const char *jid, size_t max, sg_key_change_fn *fn, void *arg)
{
	const struct sg_value values[] = { SG_INT((int64_t)max), SG_TEXT(jid), SG_END };
	sqlite3_stmt *statement;
	int rc = sg_store_step(store, SG_STMT_CHANGES_LIST, values, &statement);
	int err = 0;

	for (; rc == SQLITE_ROW && err == 0; rc = err == 0 ? sqlite3_step(statement) : rc) {
		const struct sg_key_change change = {
			.jid = (const char *)sqlite3_column_text(statement, 0),
			.name = (const char *)sqlite3_column_text(statement, 1),
			.kind = (uint32_t)sqlite3_column_int64(statement, 2),
			.at = sqlite3_column_int64(statement, 3),
		};

		err = change.jid != NULL && change.name != NULL ? fn(arg, &change) : SG_ERR_NOMEM;
	}
	return sg_store_done(store, statement, rc, err);
}

int sg_store_key_changes_count(struct sg_store *store, int64_t *count)
{
	sqlite3_stmt *statement;
	int rc = sg_store_step(store, SG_STMT_CHANGES_COUNT, sg_no_values, &statement);

	*count = rc == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
	return sg_store_done(store, statement, rc, 0);
}

int sg_store_key_changes_drop(
    struct sg_store *store, const char *jid, const char *name, int64_t *dropped)
{
	const struct sg_value values[] = { SG_TEXT(jid), SG_TEXT(name), SG_END };
	int64_t before = sg_store_rows_changed(store);
	int err = sg_store_run(store, SG_STMT_CHANGES_DROP, values);

	*dropped = sg_store_rows_changed(store) - before;
	return err;
}
