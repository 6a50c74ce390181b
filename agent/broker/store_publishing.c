#include "publishing_store.h"

#include <stdlib.h>
#include <string.h>

#include "store_engine.h"

void sg_publishing_row_clear(struct sg_publishing_row *row)
{
	free(row->access);
	free(row->members);
	free(row->direct);
	free(row->groups);
	memset(row, 0, sizeof(*row));
}

int sg_store_publishing_get(
    struct sg_store *store, const char *account, struct sg_publishing_row *row)
{
	const struct sg_value values[] = { SG_TEXT(account), SG_END };
	sqlite3_stmt *statement;
	int rc = sg_store_step(store, SG_STMT_PUBLISHING_GET, values, &statement);

	*row = (struct sg_publishing_row){ 0 };
	if (rc == SQLITE_ROW) {
		row->access = sg_column_text(statement, 0);
		row->members = sg_column_text(statement, 1);
		row->direct = sg_column_text(statement, 2);
		row->more_open = (uint32_t)sqlite3_column_int64(statement, 3);
		row->groups = sg_column_text(statement, 4);
	}
	return sg_store_done(store, statement, rc, 0);
}

int sg_store_publishing_put(
    struct sg_store *store, const char *account, const struct sg_publishing_row *row)
{
	const struct sg_value values[] = { SG_TEXT(account), SG_TEXT(row->access),
		SG_TEXT(row->members), SG_TEXT(row->direct), SG_INT(row->more_open),
		SG_TEXT(row->groups), SG_END };

	return sg_store_run(store, SG_STMT_PUBLISHING_PUT, values);
}

int sg_store_watched_put(
    struct sg_store *store, const char *account, const char *jid, int64_t fetched)
{
	const struct sg_value values[] = { SG_TEXT(account), SG_TEXT(jid), SG_INT(fetched),
		SG_END };
	const struct sg_value limit[] = { SG_TEXT(account), SG_INT(SG_WATCHED_MAX), SG_END };
	int err = sg_store_begin(store);

	if (err != 0)
		return err;
	err = sg_store_run(store, SG_STMT_WATCHED_PUT, values);
	if (err == 0)
		err = sg_store_run(store, SG_STMT_WATCHED_TRIM, limit);
	return sg_store_finish(store, err);
}

int sg_store_watched_oldest(
    struct sg_store *store, const char *account, char **jid, int64_t *fetched)
{
	const struct sg_value values[] = { SG_TEXT(account), SG_END };
	sqlite3_stmt *statement;
	int rc = sg_store_step(store, SG_STMT_WATCHED_OLDEST, values, &statement);
	int err = SG_ERR_KEY_ABSENT;

	*jid = NULL;
	*fetched = 0;
	if (rc == SQLITE_ROW) {
		*jid = sg_column_text(statement, 0);
		*fetched = sqlite3_column_int64(statement, 1);
		err = *jid != NULL ? 0 : SG_ERR_NOMEM;
	}
	return sg_store_done(store, statement, rc, err);
}
