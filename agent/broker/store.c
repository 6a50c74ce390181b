#include "store.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "log.h"
#include "x509.h"

#define STORE_APPLICATION_ID 0x53674167 /* "SgAg" */
#define STORE_OPEN_BUSY_MS   2000
#define STORE_BUSY_MS	     100 /* the whole agent waits that long for another process's lock */

static const char schema[] =
    "CREATE TABLE accounts ("
    " jid TEXT PRIMARY KEY, host TEXT, port INTEGER NOT NULL, tls_mode INTEGER NOT NULL,"
    " cafile TEXT, key TEXT, certificate TEXT, user_key TEXT, user_certificate TEXT) STRICT;"
    "CREATE TABLE certificates ("
    " jid TEXT NOT NULL REFERENCES accounts ON DELETE CASCADE, sha256 TEXT NOT NULL,"
    " name TEXT NOT NULL, der BLOB NOT NULL, uri TEXT, role INTEGER NOT NULL,"
    " revoked INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (jid, sha256)) STRICT;"
    "CREATE TABLE signatures ("
    " jid TEXT NOT NULL REFERENCES accounts ON DELETE CASCADE, subject TEXT NOT NULL,"
    " issuer TEXT NOT NULL, issuer_jid TEXT, method TEXT NOT NULL, value BLOB NOT NULL,"
    " PRIMARY KEY (jid, subject, issuer, method)) STRICT;"
    "CREATE TABLE pin_sources ("
    " serial TEXT PRIMARY KEY, path TEXT NOT NULL, inode INTEGER NOT NULL,"
    " mtime_ns INTEGER NOT NULL) STRICT;"
    "CREATE TABLE keyring ("
    " name TEXT NOT NULL, jid TEXT NOT NULL, source TEXT NOT NULL, kind INTEGER NOT NULL,"
    " data BLOB NOT NULL, first_seen INTEGER NOT NULL, last_seen INTEGER NOT NULL,"
    " PRIMARY KEY (name, jid, source)) STRICT;";

enum statement {
	BEGIN,
	COMMIT,
	ROLLBACK,
	ACCOUNT_PUT,
	ACCOUNT_DELETE,
	ACCOUNT_LIST,
	CERT_PUT,
	CERT_GET,
	CERT_REVOKE,
	CERT_RESTORE,
	SIGNATURE_PUT,
	SIGNATURE_LIST,
	PIN_TRIED,
	PIN_PUT,
	PIN_CLEAR,
	KEYRING_SEEN,
	KEY_GET,
	STATEMENT_COUNT,
};

static const char *const statement_texts[STATEMENT_COUNT] = {
	[BEGIN] = "BEGIN IMMEDIATE",
	[COMMIT] = "COMMIT",
	[ROLLBACK] = "ROLLBACK",
	[ACCOUNT_PUT] =
	    "INSERT INTO accounts (jid, host, port, tls_mode, cafile, key, certificate, user_key,"
	    " user_certificate) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"
	    " ON CONFLICT (jid) DO UPDATE SET host = ?2, port = ?3, tls_mode = ?4, cafile = ?5,"
	    " key = ?6, certificate = ?7, user_key = ?8, user_certificate = ?9",
	[ACCOUNT_DELETE] = "DELETE FROM accounts WHERE jid = ?1",
	[ACCOUNT_LIST] = "SELECT jid, host, port, tls_mode, cafile, key, certificate, user_key,"
			 " user_certificate FROM accounts ORDER BY jid",
	[CERT_PUT] = "INSERT INTO certificates (jid, sha256, name, der, uri, role)"
		     " VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
		     " ON CONFLICT (jid, sha256) DO UPDATE SET uri = ?5, role = ?6",
	[CERT_GET] = "SELECT jid, sha256, name, der, uri, role, revoked FROM certificates"
		     " WHERE jid = ?1 AND (sha256 = ?2 OR name = ?2)",
	[CERT_REVOKE] = "UPDATE certificates SET revoked = 1 WHERE jid = ?1 AND sha256 = ?2",
	[CERT_RESTORE] = "UPDATE certificates SET revoked = 0 WHERE jid = ?1 AND sha256 = ?2"
			 " AND revoked <> 0",
	[SIGNATURE_PUT] =
	    "INSERT OR REPLACE INTO signatures (jid, subject, issuer, issuer_jid, method, value)"
	    " VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
	[SIGNATURE_LIST] = "SELECT issuer, issuer_jid, method, value FROM signatures"
			   " WHERE jid = ?1 AND subject = ?2 ORDER BY issuer, method",
	[PIN_TRIED] = "SELECT 1 FROM pin_sources WHERE serial = ?1 AND path = ?2 AND inode = ?3"
		      " AND mtime_ns = ?4",
	[PIN_PUT] = "INSERT OR REPLACE INTO pin_sources (serial, path, inode, mtime_ns)"
		    " VALUES (?1, ?2, ?3, ?4)",
	[PIN_CLEAR] = "DELETE FROM pin_sources WHERE serial = ?1",
	[KEYRING_SEEN] =
	    "INSERT INTO keyring (name, jid, source, kind, data, first_seen, last_seen)"
	    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)"
	    " ON CONFLICT (name, jid, source) DO UPDATE SET last_seen = ?6",
	[KEY_GET] =
	    "SELECT der, 0 AS place FROM certificates WHERE jid = ?1 AND name = ?2 UNION ALL"
	    " SELECT data, 1 FROM keyring WHERE name = ?2 AND kind = ?3 ORDER BY place LIMIT 1",
};

struct sg_store {
	sqlite3 *db;
	sqlite3_stmt *statements[STATEMENT_COUNT];
	int failure; /* SQLite's code of the last one */
};

/* ---- opening ---- */

static int db_number(sqlite3 *db, const char *pragma, int *number)
{
	sqlite3_stmt *statement = NULL;
	int rc = sqlite3_prepare_v2(db, pragma, -1, &statement, NULL);

	*number = 0;
	if (rc == SQLITE_OK)
		rc = sqlite3_step(statement);
	if (rc == SQLITE_ROW)
		*number = sqlite3_column_int(statement, 0);
	sqlite3_finalize(statement);
	return rc == SQLITE_ROW ? 0 : SG_ERR_IO;
}

static int db_exec(sqlite3 *db, const char *text)
{
	return sqlite3_exec(db, text, NULL, NULL, NULL) == SQLITE_OK ? 0 : SG_ERR_IO;
}

static int db_is_whole(sqlite3 *db)
{
	sqlite3_stmt *statement = NULL;
	int whole = 0;

	if (sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &statement, NULL) == SQLITE_OK &&
	    sqlite3_step(statement) == SQLITE_ROW) {
		const unsigned char *said = sqlite3_column_text(statement, 0);

		whole = said != NULL && strcmp((const char *)said, "ok") == 0;
	}
	sqlite3_finalize(statement);
	return whole;
}

static int store_create(sqlite3 *db)
{
	char *versions = NULL;
	int err = SG_ERR_NOMEM;

	if (asprintf(&versions, "PRAGMA application_id = %d; PRAGMA user_version = %d",
		STORE_APPLICATION_ID, SG_STORE_VERSION) < 0)
		return SG_ERR_NOMEM;
	err = db_exec(db, "BEGIN IMMEDIATE");
	if (err == 0)
		err = db_exec(db, schema);
	if (err == 0)
		err = db_exec(db, versions);
	if (err == 0)
		err = db_exec(db, "COMMIT");
	free(versions);
	return err;
}

/* Whose file it is, before anything in it is changed. Gives what is wrong with it, or NULL. */
static const char *store_examine(sqlite3 *db, int *empty)
{
	int application;
	int version;
	int tables;

	*empty = 0;
	if (db_number(db, "PRAGMA application_id", &application) != 0 ||
	    db_number(db, "PRAGMA user_version", &version) != 0 ||
	    db_number(db, "SELECT count(*) FROM sqlite_master", &tables) != 0)
		return "it is damaged or no database";
	if (tables == 0 && version == 0) {
		*empty = 1;
		return NULL;
	}
	if (application != STORE_APPLICATION_ID)
		return "it is another program's database";
	if (version > SG_STORE_VERSION)
		return "a newer version of signet wrote it";
	if (version != SG_STORE_VERSION)
		return "no version of signet wrote it";
	if (!db_is_whole(db))
		return "it is damaged";
	return NULL;
}

static int store_prepare(struct sg_store *store)
{
	for (size_t i = 0; i < STATEMENT_COUNT; i++) {
		if (sqlite3_prepare_v3(store->db, statement_texts[i], -1, SQLITE_PREPARE_PERSISTENT,
			&store->statements[i], NULL) != SQLITE_OK)
			return SG_ERR_IO;
	}
	return 0;
}

/* SQLite would make the file by the umask; ours is 0600 whatever that is. */
static int make_file(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return SG_ERR_IO;
	close(fd);
	return 0;
}

int sg_store_open(const char *path, struct sg_store **store)
{
	struct sg_store *made = calloc(1, sizeof(*made));
	const char *wrong = "it cannot be opened";
	int empty = 0;

	*store = NULL;
	if (made == NULL)
		return SG_ERR_NOMEM;
	if (make_file(path) != 0 ||
	    sqlite3_open_v2(path, &made->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOFOLLOW, NULL) !=
		SQLITE_OK)
		goto fail;
	sqlite3_busy_timeout(made->db, STORE_OPEN_BUSY_MS);
	sqlite3_db_config(made->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	wrong = store_examine(made->db, &empty);
	if (wrong != NULL)
		goto fail;
	wrong = "it cannot be written";
	if (db_exec(made->db,
		"PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
		"PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF") != 0 ||
	    (empty && store_create(made->db) != 0))
		goto fail;
	wrong = "its tables are not those of this version";
	if (store_prepare(made) != 0)
		goto fail;
	sqlite3_busy_timeout(made->db, STORE_BUSY_MS);
	*store = made;
	return 0;
fail:
	sg_log(SG_LOG_ERROR,
	    "the store %s is not used: %s. Nothing in it was changed; move it away to "
	    "start with an empty one",
	    path, wrong);
	sg_store_close(made);
	return SG_ERR_IO;
}

void sg_store_close(struct sg_store *store)
{
	if (store == NULL)
		return;
	for (size_t i = 0; i < STATEMENT_COUNT; i++)
		sqlite3_finalize(store->statements[i]);
	sqlite3_close(store->db);
	free(store);
}

/* ---- statements ---- */

/* A bound value; a list of them ends with the one of kind 0. */
struct value {
	enum { VALUE_END, VALUE_TEXT, VALUE_INT, VALUE_BLOB } kind;
	const char *text;
	int64_t number;
	const struct sg_blob *blob;
};
#define TEXT(t)                                                                                    \
	{                                                                                          \
		.kind = VALUE_TEXT, .text = (t)                                                    \
	}
#define INT(n)                                                                                     \
	{                                                                                          \
		.kind = VALUE_INT, .number = (n)                                                   \
	}
#define BLOB(b)                                                                                    \
	{                                                                                          \
		.kind = VALUE_BLOB, .blob = (b)                                                    \
	}
#define END                                                                                        \
	{                                                                                          \
		.kind = VALUE_END                                                                  \
	}

/*
 * Binds the values, which must stay until the statement is reset, and takes the first step. Gives SQLite's
 * code, for done(); a value that cannot be bound is not left out.
 */
static int step(struct sg_store *store, enum statement which, const struct value *values,
    sqlite3_stmt **stepped)
{
	sqlite3_stmt *statement = *stepped = store->statements[which];

	for (int i = 0; values[i].kind != VALUE_END; i++) {
		int rc = SQLITE_OK;

		switch (values[i].kind) {
		case VALUE_TEXT:
			rc = sqlite3_bind_text(statement, i + 1, values[i].text, -1, SQLITE_STATIC);
			break;
		case VALUE_INT:
			rc = sqlite3_bind_int64(statement, i + 1, values[i].number);
			break;
		case VALUE_BLOB:
			rc = values[i].blob->len == 0
			    ? sqlite3_bind_zeroblob(statement, i + 1, 0)
			    : sqlite3_bind_blob64(statement, i + 1, values[i].blob->data,
				  values[i].blob->len, SQLITE_STATIC);
			break;
		case VALUE_END:
			break;
		}
		if (rc != SQLITE_OK)
			return rc;
	}
	return sqlite3_step(statement);
}

/* Ends a statement whose last step gave rc. Gives err, what came of its rows; SG_ERR_IO when SQLite
 * failed. */
static int done(struct sg_store *store, sqlite3_stmt *statement, int rc, int err)
{
	if (rc != SQLITE_DONE && rc != SQLITE_ROW) {
		sg_log(SG_LOG_ERROR, "the store: %s", sqlite3_errmsg(store->db));
		store->failure = rc;
		err = SG_ERR_IO;
	}
	sqlite3_reset(statement);
	sqlite3_clear_bindings(statement);
	return err;
}

static int run(struct sg_store *store, enum statement which, const struct value *values)
{
	sqlite3_stmt *statement;
	int rc = step(store, which, values, &statement);

	return done(store, statement, rc, 0);
}

const char *sg_store_failure(const struct sg_store *store, int err)
{
	if (err != SG_ERR_IO)
		return sg_err_text(err);
	switch (store->failure & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return "another process keeps the agent's store locked";
	case SQLITE_FULL:
		return "the disk of the agent's store is full";
	case SQLITE_NOMEM:
		return "there is no memory for the agent's store";
	default:
		return "the agent's store could not be read or written";
	}
}

static const struct value no_values[] = { END };

static int begin(struct sg_store *store)
{
	return run(store, BEGIN, no_values);
}

/* Commits when err is 0, else rolls back; gives err or what the commit said. */
static int finish(struct sg_store *store, int err)
{
	if (err == 0)
		err = run(store, COMMIT, no_values);
	if (err != 0 && !sqlite3_get_autocommit(store->db) && run(store, ROLLBACK, no_values) != 0)
		sg_log(SG_LOG_ERROR, "the store: a transaction could not be taken back");
	return err;
}

static char *column_text(sqlite3_stmt *statement, int column)
{
	const unsigned char *text = sqlite3_column_text(statement, column);

	return text != NULL ? strdup((const char *)text) : NULL;
}

static int column_blob(sqlite3_stmt *statement, int column, struct sg_blob *blob)
{
	return sg_blob_set(blob, sqlite3_column_blob(statement, column),
	    (size_t)sqlite3_column_bytes(statement, column));
}

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
	const struct value values[] = { TEXT(row->jid), TEXT(row->host), INT(row->port),
		INT(row->tls_mode), TEXT(row->cafile), TEXT(row->key), TEXT(row->certificate),
		TEXT(row->user_key), TEXT(row->user_certificate), END };

	return run(store, ACCOUNT_PUT, values);
}

int sg_store_account_delete(struct sg_store *store, const char *jid)
{
	const struct value values[] = { TEXT(jid), END };

	return run(store, ACCOUNT_DELETE, values);
}

int sg_store_accounts(struct sg_store *store, sg_account_row_fn *fn, void *arg)
{
	sqlite3_stmt *statement;
	int rc = step(store, ACCOUNT_LIST, no_values, &statement);
	int err = 0;

	for (; rc == SQLITE_ROW; rc = sqlite3_step(statement)) {
		struct sg_account_row row = {
			.jid = column_text(statement, 0),
			.host = column_text(statement, 1),
			.port = (uint32_t)sqlite3_column_int64(statement, 2),
			.tls_mode = (uint32_t)sqlite3_column_int64(statement, 3),
			.cafile = column_text(statement, 4),
			.key = column_text(statement, 5),
			.certificate = column_text(statement, 6),
			.user_key = column_text(statement, 7),
			.user_certificate = column_text(statement, 8),
		};

		err = row.jid != NULL ? fn(arg, &row) : SG_ERR_NOMEM;
		sg_account_row_clear(&row);
		if (err != 0)
			break;
	}
	return done(store, statement, rc, err);
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
	const struct value values[] = { TEXT(jid), TEXT(sha256), TEXT(name), BLOB(der), TEXT(uri),
		INT(role), END };
	int err = sha256 != NULL && name != NULL ? run(store, CERT_PUT, values) : SG_ERR_NOMEM;

	free(sha256);
	free(name);
	return err;
}

int sg_store_cert_get(
    struct sg_store *store, const char *jid, const char *fingerprint, struct sg_cert_row *row)
{
	const struct value values[] = { TEXT(jid), TEXT(fingerprint), END };
	sqlite3_stmt *statement;
	int rc = step(store, CERT_GET, values, &statement);
	int err = SG_ERR_KEY_ABSENT;

	memset(row, 0, sizeof(*row));
	if (rc == SQLITE_ROW) {
		row->jid = column_text(statement, 0);
		row->sha256 = column_text(statement, 1);
		row->name = column_text(statement, 2);
		err = column_blob(statement, 3, &row->der);
		row->uri = column_text(statement, 4);
		row->role = (uint32_t)sqlite3_column_int64(statement, 5);
		row->revoked = (uint32_t)sqlite3_column_int64(statement, 6);
		if (row->jid == NULL || row->sha256 == NULL || row->name == NULL)
			err = SG_ERR_NOMEM;
	}
	err = done(store, statement, rc, err);
	if (err != 0)
		sg_cert_row_clear(row);
	return err;
}

int sg_store_cert_set_revoked(
    struct sg_store *store, const char *jid, const char *sha256, int revoked)
{
	const struct value values[] = { TEXT(jid), TEXT(sha256), END };

	return run(store, revoked ? CERT_REVOKE : CERT_RESTORE, values);
}

int sg_store_account_certify(struct sg_store *store, const struct sg_account_row *row,
    uint32_t role, const struct sg_blob *der, const char *uri)
{
	int err = begin(store);

	if (err != 0)
		return err;
	err = sg_store_account_put(store, row);
	if (err == 0)
		err = sg_store_cert_put(store, row->jid, role, der, uri);
	return finish(store, err);
}

/* ---- signatures ---- */

int sg_store_signatures_put(struct sg_store *store, const char *jid, const char *subject,
    const struct sg_msg_signatures *signatures)
{
	int err = begin(store);

	for (uint32_t i = 0; err == 0 && i < signatures->signature_count; i++) {
		const struct sg_signature *signature = &signatures->signatures[i];
		const struct value values[] = { TEXT(jid), TEXT(subject), TEXT(signature->issuer),
			TEXT(signature->issuer_jid), TEXT(signature->method),
			BLOB(&signature->value), END };

		err = run(store, SIGNATURE_PUT, values);
	}
	return finish(store, err);
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
		.issuer = column_text(statement, 0),
		.issuer_jid = column_text(statement, 1),
		.method = column_text(statement, 2),
	};
	if (signature->issuer == NULL || signature->method == NULL)
		return SG_ERR_NOMEM;
	return column_blob(statement, 3, &signature->value);
}

int sg_store_signatures_get(struct sg_store *store, const char *jid, const char *subject,
    struct sg_msg_signatures *signatures)
{
	const struct value values[] = { TEXT(jid), TEXT(subject), END };
	sqlite3_stmt *statement;
	int rc = step(store, SIGNATURE_LIST, values, &statement);
	int err = 0;

	memset(signatures, 0, sizeof(*signatures));
	while (rc == SQLITE_ROW && (err = signature_add(signatures, statement)) == 0)
		rc = sqlite3_step(statement);
	err = done(store, statement, rc, err);
	if (err != 0)
		sg_msg_clear(SG_MSG_SIGNATURES, signatures);
	return err;
}

/* ---- pin-sources ---- */

int sg_store_pin_tried(
    struct sg_store *store, const char *serial, const struct sg_pin_note *note, int *tried)
{
	const struct value values[] = { TEXT(serial), TEXT(note->path), INT(note->inode),
		INT(note->mtime_ns), END };
	sqlite3_stmt *statement;
	int rc = step(store, PIN_TRIED, values, &statement);

	*tried = rc == SQLITE_ROW;
	return done(store, statement, rc, 0);
}

int sg_store_pin_put(struct sg_store *store, const char *serial, const struct sg_pin_note *note)
{
	const struct value values[] = { TEXT(serial), TEXT(note->path), INT(note->inode),
		INT(note->mtime_ns), END };

	return run(store, PIN_PUT, values);
}

int sg_store_pin_clear(struct sg_store *store, const char *serial)
{
	const struct value values[] = { TEXT(serial), END };

	return run(store, PIN_CLEAR, values);
}

/* ---- keyring ---- */

int sg_store_keyring_seen(struct sg_store *store, const char *jid, const char *source,
    const struct sg_msg_keyinfos *keyinfos, int64_t now)
{
	int err = begin(store);

	for (uint32_t i = 0; err == 0 && i < keyinfos->keyinfo_count; i++) {
		const struct sg_keyinfo *keyinfo = &keyinfos->keyinfos[i];
		const struct value values[] = { TEXT(keyinfo->name), TEXT(jid), TEXT(source),
			INT(keyinfo->kind), BLOB(&keyinfo->data), INT(now), END };

		if (keyinfo->name != NULL)
			err = run(store, KEYRING_SEEN, values);
	}
	return finish(store, err);
}

int sg_store_key_get(struct sg_store *store, const char *jid, const char *name, struct sg_blob *der)
{
	const struct value values[] = { TEXT(jid), TEXT(name), INT(SG_KEYINFO_X509), END };
	sqlite3_stmt *statement;
	int rc = step(store, KEY_GET, values, &statement);
	int err = SG_ERR_KEY_ABSENT;

	*der = (struct sg_blob){ NULL, 0 };
	if (rc == SQLITE_ROW)
		err = column_blob(statement, 0, der);
	err = done(store, statement, rc, err);
	if (err != 0)
		sg_blob_clear(der);
	return err;
}
