/* Accounts, their certificates and signatures, and the keys of issuers. */
#include "store.h"

#include <stdlib.h>
#include <string.h>

#include "store_engine.h"
#include "x509.h"

#define NO_METHOD                                                                                  \
	"" /* of an OpenPGP signature packet (K6): a column of a primary key is not null */

/* ---- accounts ---- */

void sg_account_row_clear(struct sg_account_row *row)
{
	free(row->jid);
	free(row->host);
	free(row->cafile);
	free(row->key);
	free(row->certificate);
	free(row->user_key);
	free(row->user_certificate);
	memset(row, 0, sizeof(*row));
}

int sg_store_account_put(struct sg_store *store, const struct sg_account_row *row)
{
	const struct sg_value values[] = { SG_TEXT(row->jid), SG_TEXT(row->host), SG_INT(row->port),
		SG_INT(row->tls_mode), SG_TEXT(row->cafile), SG_TEXT(row->key),
		SG_TEXT(row->certificate), SG_TEXT(row->user_key), SG_TEXT(row->user_certificate),
		SG_INT(row->protocol), SG_END };

	return sg_store_run(store, SG_STMT_ACCOUNT_PUT, values);
}

int sg_store_account_delete(struct sg_store *store, const char *jid)
{
	const struct sg_value values[] = { SG_TEXT(jid), SG_END };

	return sg_store_run(store, SG_STMT_ACCOUNT_DELETE, values);
}

int sg_store_accounts(struct sg_store *store, sg_account_row_fn *fn, void *arg)
{
	sqlite3_stmt *statement;
	int rc = sg_store_step(store, SG_STMT_ACCOUNT_LIST, sg_no_values, &statement);
	int err = 0;

	for (; rc == SQLITE_ROW; rc = sqlite3_step(statement)) {
		struct sg_account_row row = {
			.jid = sg_column_text(statement, 0),
			.host = sg_column_text(statement, 1),
			.port = (uint32_t)sqlite3_column_int64(statement, 2),
			.tls_mode = (uint32_t)sqlite3_column_int64(statement, 3),
			.cafile = sg_column_text(statement, 4),
			.key = sg_column_text(statement, 5),
			.certificate = sg_column_text(statement, 6),
			.user_key = sg_column_text(statement, 7),
			.user_certificate = sg_column_text(statement, 8),
			.protocol = (uint32_t)sqlite3_column_int64(statement, 9),
		};

		err = row.jid != NULL ? fn(arg, &row) : SG_ERR_NOMEM;
		sg_account_row_clear(&row);
		if (err != 0)
			break;
	}
	return sg_store_done(store, statement, rc, err);
}

/* ---- certificates ---- */

void sg_cert_row_clear(struct sg_cert_row *row)
{
	free(row->jid);
	free(row->sha256);
	free(row->name);
	free(row->uri);
	sg_blob_clear(&row->der);
	memset(row, 0, sizeof(*row));
}

int sg_store_cert_put(struct sg_store *store, const char *jid, uint32_t role,
    const struct sg_blob *der, const char *uri)
{
	char *sha256 = sg_x509_fingerprint(der, "sha256");
	char *name = sg_x509_fingerprint(der, "sha1");
	const struct sg_value values[] = { SG_TEXT(jid), SG_TEXT(sha256), SG_TEXT(name),
		SG_BLOB(der), SG_TEXT(uri), SG_INT(role), SG_END };
	int err = sha256 != NULL && name != NULL ? sg_store_run(store, SG_STMT_CERT_PUT, values)
						 : SG_ERR_NOMEM;

	free(sha256);
	free(name);
	return err;
}

int sg_store_cert_get(
    struct sg_store *store, const char *jid, const char *fingerprint, struct sg_cert_row *row)
{
	const struct sg_value values[] = { SG_TEXT(jid), SG_TEXT(fingerprint), SG_END };
	sqlite3_stmt *statement;
	int rc = sg_store_step(store, SG_STMT_CERT_GET, values, &statement);
	int err = SG_ERR_KEY_ABSENT;

	memset(row, 0, sizeof(*row));
	if (rc == SQLITE_ROW) {
		row->jid = sg_column_text(statement, 0);
		row->sha256 = sg_column_text(statement, 1);
		row->name = sg_column_text(statement, 2);
		err = sg_column_blob(statement, 3, &row->der);
		row->uri = sg_column_text(statement, 4);
		row->role = (uint32_t)sqlite3_column_int64(statement, 5);
		row->revoked = (uint32_t)sqlite3_column_int64(statement, 6);
		if (row->jid == NULL || row->sha256 == NULL || row->name == NULL)
			err = SG_ERR_NOMEM;
	}
	err = sg_store_done(store, statement, rc, err);
	if (err != 0)
		sg_cert_row_clear(row);
	return err;
}

int sg_store_cert_set_revoked(
    struct sg_store *store, const char *jid, const char *sha256, int revoked)
{
	const struct sg_value values[] = { SG_TEXT(jid), SG_TEXT(sha256), SG_END };

	return sg_store_run(store, revoked ? SG_STMT_CERT_REVOKE : SG_STMT_CERT_RESTORE, values);
}

int sg_store_cert_delete(struct sg_store *store, const char *jid, const char *sha256)
{
	const struct sg_value values[] = { SG_TEXT(jid), SG_TEXT(sha256), SG_END };
	int err = sg_store_begin(store);

	if (err != 0)
		return err;
	err = sg_store_run(store, SG_STMT_CERT_SIGNATURES_DELETE, values);
	if (err == 0)
		err = sg_store_run(store, SG_STMT_CERT_DELETE, values);
	return sg_store_finish(store, err);
}

int sg_store_account_certify(struct sg_store *store, const struct sg_account_row *row,
    uint32_t role, const struct sg_blob *der, const char *uri)
{
	int err = sg_store_begin(store);

	if (err != 0)
		return err;
	err = sg_store_account_put(store, row);
	if (err == 0)
		err = sg_store_cert_put(store, row->jid, role, der, uri);
	return sg_store_finish(store, err);
}

int64_t sg_store_rows_changed(const struct sg_store *store)
{
	return sqlite3_total_changes64(store->db);
}

/* ---- signatures ---- */

int sg_store_signatures_put(struct sg_store *store, const char *jid, const char *subject,
    const struct sg_msg_signatures *signatures)
{
	int err = sg_store_begin(store);

	for (uint32_t i = 0; err == 0 && i < signatures->signature_count; i++) {
		const struct sg_signature *signature = &signatures->signatures[i];
		const struct sg_value values[] = { SG_TEXT(jid), SG_TEXT(subject),
			SG_TEXT(signature->issuer), SG_TEXT(signature->issuer_jid),
			SG_TEXT(signature->method != NULL ? signature->method : NO_METHOD),
			SG_BLOB(&signature->value), SG_END };

		err = sg_store_run(store, SG_STMT_SIGNATURE_PUT, values);
	}
	return sg_store_finish(store, err);
}

static int signature_add(struct sg_msg_signatures *list, sqlite3_stmt *statement)
{
	struct sg_signature *grown =
	    reallocarray(list->signatures, list->signature_count + 1, sizeof(*grown));
	struct sg_signature *signature;

	if (grown == NULL)
		return SG_ERR_NOMEM;
	list->signatures = grown;
	signature = &grown[list->signature_count++];
	*signature = (struct sg_signature){
		.issuer = sg_column_text(statement, 0),
		.issuer_jid = sg_column_text(statement, 1),
		.method = sg_column_text(statement, 2),
	};
	if (signature->issuer == NULL || signature->method == NULL)
		return SG_ERR_NOMEM;
	if (strcmp(signature->method, NO_METHOD) == 0) {
		free(signature->method);
		signature->method = NULL;
	}
	return sg_column_blob(statement, 3, &signature->value);
}

int sg_store_signatures_get(struct sg_store *store, const char *jid, const char *subject,
    struct sg_msg_signatures *signatures)
{
	const struct sg_value values[] = { SG_TEXT(jid), SG_TEXT(subject), SG_END };
	sqlite3_stmt *statement;
	int rc = sg_store_step(store, SG_STMT_SIGNATURE_LIST, values, &statement);
	int err = 0;

	memset(signatures, 0, sizeof(*signatures));
	while (rc == SQLITE_ROW && (err = signature_add(signatures, statement)) == 0)
		rc = sqlite3_step(statement);
	err = sg_store_done(store, statement, rc, err);
	if (err != 0)
		sg_msg_clear(SG_MSG_SIGNATURES, signatures);
	return err;
}

/* ---- keys of issuers ---- */

int sg_store_key_get(
    struct sg_store *store, const char *jid, const char *name, uint32_t *kind, struct sg_blob *data)
{
	const struct sg_value values[] = { SG_TEXT(jid), SG_TEXT(name), SG_INT(SG_KEYINFO_X509),
		SG_INT(SG_KEYINFO_PGP), SG_END };
	sqlite3_stmt *statement;
	int rc = sg_store_step(store, SG_STMT_KEY_GET, values, &statement);
	int err = SG_ERR_KEY_ABSENT;

	*kind = SG_KEYINFO_REFERENCE;
	*data = (struct sg_blob){ NULL, 0 };
	if (rc == SQLITE_ROW) {
		*kind = (uint32_t)sqlite3_column_int64(statement, 1);
		err = sg_column_blob(statement, 0, data);
	}
	err = sg_store_done(store, statement, rc, err);
	if (err != 0)
		sg_blob_clear(data);
	return err;
}
