#include "store_trust.h"

#include "store_engine.h"

static int read_cert(sqlite3_stmt *statement, struct sg_cert_row *row)
{
	*row = (struct sg_cert_row){
		.jid = sg_column_text(statement, 0),
		.sha256 = sg_column_text(statement, 1),
		.name = sg_column_text(statement, 2),
		.uri = sg_column_text(statement, 4),
		.role = (uint32_t)sqlite3_column_int64(statement, 5),
		.revoked = (uint32_t)sqlite3_column_int64(statement, 6),
	};
	if (row->jid == NULL || row->sha256 == NULL || row->name == NULL)
		return SG_ERR_NOMEM;
	return sg_column_blob(statement, 3, &row->der);
}

int sg_store_certs(struct sg_store *store, const char *jid, sg_cert_row_fn *fn, void *arg)
{
	const struct sg_value values[] = { SG_TEXT(jid), SG_END };
	sqlite3_stmt *statement;
	int rc = sg_store_step(store, SG_STMT_CERT_LIST, values, &statement);
	int err = 0;

	while (rc == SQLITE_ROW && err == 0) {
		struct sg_cert_row row;

		err = read_cert(statement, &row);
		if (err == 0)
			err = fn(arg, &row);
		sg_cert_row_clear(&row);
		if (err == 0)
			rc = sqlite3_step(statement);
	}
	return sg_store_done(store, statement, rc, err);
}

int sg_store_trusted_issuers(
    struct sg_store *store, const char *name, size_t max, sg_name_fn *fn, void *arg)
{
	const struct sg_value values[] = { SG_TEXT(name), SG_INT((int64_t)max), SG_END };
	sqlite3_stmt *statement;
	int rc = sg_store_step(store, SG_STMT_TRUSTED_ISSUERS, values, &statement);
	int err = 0;

	while (rc == SQLITE_ROW && err == 0) {
		err = fn(arg, (const char *)sqlite3_column_text(statement, 0));
		if (err == 0)
			rc = sqlite3_step(statement);
	}
	return sg_store_done(store, statement, rc, err);
}

int sg_store_shown_size(struct sg_store *store, const char *name, const char *issuer, int64_t *size)
{
	const struct sg_value values[] = { SG_TEXT(name), SG_TEXT(issuer), SG_END };
	sqlite3_stmt *statement;
	int rc = sg_store_step(store, SG_STMT_SHOWN_SIZE, values, &statement);

	*size = rc == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
	return sg_store_done(store, statement, rc, 0);
}

int sg_store_web(struct sg_store *store, enum sg_web_part part, int64_t after, size_t max,
    sg_web_fn *fn, void *arg)
{
	static const enum sg_statement parts[SG_WEB_PARTS] = {
		[SG_WEB_NEAR] = SG_STMT_WEB_NEAR,
		[SG_WEB_SIGNED] = SG_STMT_WEB_SIGNED,
		[SG_WEB_FAR] = SG_STMT_WEB_FAR,
	};
	const struct sg_value values[] = { SG_INT(after), SG_INT((int64_t)max), SG_END };
	sqlite3_stmt *statement;
	int rc = sg_store_step(store, parts[part], values, &statement);
	int err = 0;

	while (rc == SQLITE_ROW && err == 0) {
		err = fn(arg, sqlite3_column_int64(statement, 0),
		    (const char *)sqlite3_column_text(statement, 1));
		if (err == 0)
			rc = sqlite3_step(statement);
	}
	return sg_store_done(store, statement, rc, err);
}
