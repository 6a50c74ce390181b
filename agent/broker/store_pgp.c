/* Own OpenPGP keys of the accounts. */
#include "store.h"

#include <stdlib.h>

#include "store_engine.h"
#include "x509.h"

int sg_store_pgp_put(
    struct sg_store *store, const char *jid, const char *name, const struct sg_blob *data)
{
	const struct sg_value values[] = { SG_TEXT(jid), SG_TEXT(name), SG_BLOB(data), SG_END };

	return sg_store_run(store, SG_STMT_PGP_PUT, values);
}

int sg_store_pgp_get(
    struct sg_store *store, const char *jid, const char *name, struct sg_blob *data)
{
	const struct sg_value values[] = { SG_TEXT(jid), SG_TEXT(name), SG_END };
	sqlite3_stmt *statement;
	int rc = sg_store_step(store, SG_STMT_PGP_GET, values, &statement);
	int err = SG_ERR_KEY_ABSENT;

	*data = (struct sg_blob){ NULL, 0 };
	if (rc == SQLITE_ROW)
		err = sg_column_blob(statement, 0, data);
	err = sg_store_done(store, statement, rc, err);
	if (err != 0)
		sg_blob_clear(data);
	return err;
}

/* Appends the row's name; *names stays NULL-terminated. */
static int name_add(char ***names, size_t count, sqlite3_stmt *statement)
{
	char **grown = reallocarray(*names, count + 2, sizeof(*grown));

	if (grown == NULL)
		return SG_ERR_NOMEM;
	*names = grown;
	grown[count] = sg_column_text(statement, 0);
	grown[count + 1] = NULL;
	return grown[count] != NULL ? 0 : SG_ERR_NOMEM;
}

int sg_store_pgp_names(struct sg_store *store, const char *jid, char ***names)
{
	const struct sg_value values[] = { SG_TEXT(jid), SG_END };
	sqlite3_stmt *statement;
	size_t count = 0;
	int err = 0;
	int rc;

	*names = calloc(1, sizeof(**names));
	if (*names == NULL)
		return SG_ERR_NOMEM;
	rc = sg_store_step(store, SG_STMT_PGP_LIST, values, &statement);
	while (rc == SQLITE_ROW && (err = name_add(names, count++, statement)) == 0)
		rc = sqlite3_step(statement);
	err = sg_store_done(store, statement, rc, err);
	if (err != 0) {
		sg_strv_free(*names);
		*names = NULL;
	}
	return err;
}

int sg_store_pgp_delete(struct sg_store *store, const char *jid, const char *name)
{
	const struct sg_value values[] = { SG_TEXT(jid), SG_TEXT(name), SG_END };
	int err = sg_store_begin(store);

	if (err == 0)
		err = sg_store_run(store, SG_STMT_PGP_DELETE, values);
	if (err == 0)
		err = sg_store_run(store, SG_STMT_PGP_SIGNATURES_DELETE, values);
	return sg_store_finish(store, err);
}
