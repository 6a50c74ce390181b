#include "ledger.h"

#include <errno.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "log.h"
#include "text.h"
#include "x509.h"

#define LEDGER_VERSION 1
#define BUSY_MS	       5000

struct sg_ledger {
	sqlite3 *db;
};

static const char schema[] =
    "BEGIN IMMEDIATE;"
    "CREATE TABLE certificate ("
    " id INTEGER PRIMARY KEY,"
    " serial BLOB NOT NULL UNIQUE CHECK (length(serial) = 20),"
    " sha256 TEXT NOT NULL UNIQUE CHECK (length(sha256) = 64),"
    " sha1 TEXT NOT NULL CHECK (length(sha1) = 40),"
    " sha512 TEXT NOT NULL CHECK (length(sha512) = 128),"
    " account TEXT NOT NULL,"
    " name TEXT NOT NULL,"
    " der BLOB NOT NULL,"
    " csr_sha256 BLOB NOT NULL CHECK (length(csr_sha256) = 32),"
    " issued_at INTEGER NOT NULL,"
    " not_after INTEGER NOT NULL,"
    " state TEXT NOT NULL CHECK (state IN ('valid', 'revoked')),"
    " revoked_at INTEGER,"
    " last_used TEXT,"
    " CHECK ((state = 'revoked') = (revoked_at IS NOT NULL))"
    ") STRICT;"
    "CREATE INDEX certificate_account ON certificate (account, state);"
    "CREATE INDEX certificate_revoked ON certificate (revoked_at) WHERE state = 'revoked';"
    "CREATE TABLE crl (id INTEGER PRIMARY KEY CHECK (id = 1), number INTEGER NOT NULL) STRICT;"
    "INSERT INTO crl VALUES (1, 0);"
    "PRAGMA user_version = 1;"
    "COMMIT;";

/* One place where a failure of SQLite is logged and translated. */
static int failed(struct sg_ledger *ledger, const char *what)
{
	sg_log(SG_LOG_ERROR, "ledger: %s: %s", what, sqlite3_errmsg(ledger->db));
	return SG_ERR_IO;
}

static int check_folder(const char *path)
{
	char *copy = strdup(path);
	struct stat st;
	const char *folder;
	int err = 0;

	if (copy == NULL)
		return SG_ERR_NOMEM;
	folder = dirname(copy);
	if (mkdir(folder, 0700) != 0 && errno != EEXIST) {
		sg_log(
		    SG_LOG_ERROR, "ledger: cannot make the folder %s: %s", folder, strerror(errno));
		err = SG_ERR_IO;
	} else if (stat(folder, &st) != 0) {
		sg_log(SG_LOG_ERROR, "ledger: folder %s: %s", folder, strerror(errno));
		err = SG_ERR_IO;
	} else if (st.st_uid != geteuid() || (st.st_mode & 077)) {
		sg_log(SG_LOG_ERROR,
		    "ledger: the folder %s must be our own and closed to others (chmod 700)",
		    folder);
		err = SG_ERR_CONFIG;
	}
	free(copy);
	return err;
}

static int user_version(struct sg_ledger *ledger, int *version)
{
	sqlite3_stmt *stmt = NULL;
	int err = SG_ERR_IO;

	*version = 0;
	if (sqlite3_prepare_v2(ledger->db, "PRAGMA user_version", -1, &stmt, NULL) == SQLITE_OK &&
	    sqlite3_step(stmt) == SQLITE_ROW) {
		*version = sqlite3_column_int(stmt, 0);
		err = 0;
	}
	sqlite3_finalize(stmt);
	return err != 0 ? failed(ledger, "version") : 0;
}

static int set_up(struct sg_ledger *ledger, const char *path)
{
	int version, err;

	sqlite3_busy_timeout(ledger->db, BUSY_MS);
	if (sqlite3_exec(ledger->db,
		"PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;",
		NULL, NULL, NULL) != SQLITE_OK)
		return failed(ledger, path);
	err = user_version(ledger, &version);
	if (err != 0)
		return err;
	if (version == 0 && sqlite3_exec(ledger->db, schema, NULL, NULL, NULL) != SQLITE_OK)
		return failed(ledger, "making the tables");
	if (version > LEDGER_VERSION) {
		sg_log(SG_LOG_ERROR, "ledger: %s is of version %d, this program knows %d", path,
		    version, LEDGER_VERSION);
		return SG_ERR_UNSUPPORTED;
	}
	return 0;
}

int sg_ledger_open(const char *path, struct sg_ledger **ledger)
{
	struct sg_ledger *self;
	int err;

	*ledger = NULL;
	err = check_folder(path);
	if (err != 0)
		return err;
	self = calloc(1, sizeof(*self));
	if (self == NULL)
		return SG_ERR_NOMEM;
	/* umask 077 makes it 0600, and SQLite gives -wal and -shm the mode of the file */
	if (sqlite3_open_v2(path, &self->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) !=
	    SQLITE_OK) {
		err = failed(self, path);
		goto out;
	}
	err = set_up(self, path);
	if (err == 0 && chmod(path, 0600) != 0) {
		sg_log(SG_LOG_ERROR, "ledger: %s: %s", path, strerror(errno));
		err = SG_ERR_IO;
	}
out:
	if (err != 0)
		sg_ledger_close(self);
	else
		*ledger = self;
	return err;
}

void sg_ledger_close(struct sg_ledger *ledger)
{
	if (ledger == NULL)
		return;
	sqlite3_close(ledger->db);
	free(ledger);
}

/* Prepares a statement; on failure *stmt is NULL and the failure is logged. */
static int prepare(struct sg_ledger *ledger, const char *sql, sqlite3_stmt **stmt)
{
	*stmt = NULL;
	if (sqlite3_prepare_v2(ledger->db, sql, -1, stmt, NULL) != SQLITE_OK)
		return failed(ledger, "prepare");
	return 0;
}

static void bind_text(sqlite3_stmt *stmt, int index, const char *text)
{
	sqlite3_bind_text(stmt, index, text, -1, SQLITE_STATIC);
}

static void bind_blob(sqlite3_stmt *stmt, int index, const void *data, size_t len)
{
	sqlite3_bind_blob64(stmt, index, data, len, SQLITE_STATIC);
}

/* Runs a statement that gives no rows, and finalises it. */
static int finish(struct sg_ledger *ledger, sqlite3_stmt *stmt, const char *what)
{
	int err = sqlite3_step(stmt) == SQLITE_DONE ? 0 : failed(ledger, what);

	sqlite3_finalize(stmt);
	return err;
}

/* Runs a statement that gives one number at most, and finalises it. 1 with a row, 0 without. */
static int one_number(
    struct sg_ledger *ledger, sqlite3_stmt *stmt, const char *what, sqlite3_int64 *number)
{
	int step = sqlite3_step(stmt);
	int found = step == SQLITE_DONE ? 0 : 1;

	*number = 0;
	if (step == SQLITE_ROW)
		*number = sqlite3_column_int64(stmt, 0);
	else if (step != SQLITE_DONE)
		found = failed(ledger, what);
	sqlite3_finalize(stmt);
	return found;
}

static int insert(struct sg_ledger *ledger, const struct sg_ledger_entry *entry, const char *sha1,
    const char *sha256, const char *sha512)
{
	sqlite3_stmt *stmt;
	int err = prepare(ledger,
	    "INSERT INTO certificate (serial, sha256, sha1, sha512, account, name, der,"
	    " csr_sha256, issued_at, not_after, state)"
	    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'valid')",
	    &stmt);

	if (err != 0)
		return err;
	bind_blob(stmt, 1, entry->serial, SG_SERIAL_LEN);
	bind_text(stmt, 2, sha256);
	bind_text(stmt, 3, sha1);
	bind_text(stmt, 4, sha512);
	bind_text(stmt, 5, entry->account);
	bind_text(stmt, 6, entry->name);
	bind_blob(stmt, 7, entry->der->data, entry->der->len);
	bind_blob(stmt, 8, entry->csr_sha256, 32);
	sqlite3_bind_int64(stmt, 9, entry->issued_at);
	sqlite3_bind_int64(stmt, 10, entry->not_after);
	return finish(ledger, stmt, "add");
}

int sg_ledger_add(struct sg_ledger *ledger, const struct sg_ledger_entry *entry)
{
	char *sha1 = sg_x509_fingerprint(entry->der, "sha1");
	char *sha256 = sg_x509_fingerprint(entry->der, "sha256");
	char *sha512 = sg_x509_fingerprint(entry->der, "sha512");
	int err = SG_ERR_NOMEM;

	if (sha1 != NULL && sha256 != NULL && sha512 != NULL)
		err = insert(ledger, entry, sha1, sha256, sha512);
	free(sha1);
	free(sha256);
	free(sha512);
	return err;
}

int sg_ledger_has_serial(struct sg_ledger *ledger, const unsigned char *serial)
{
	sqlite3_stmt *stmt;
	sqlite3_int64 number;
	int err = prepare(ledger, "SELECT 1 FROM certificate WHERE serial = ?", &stmt);

	if (err != 0)
		return err;
	bind_blob(stmt, 1, serial, SG_SERIAL_LEN);
	return one_number(ledger, stmt, "serial", &number);
}

int sg_ledger_count(struct sg_ledger *ledger, const char *account, time_t now, uint32_t *count)
{
	sqlite3_stmt *stmt;
	sqlite3_int64 number;
	int err, found;

	*count = 0;
	err = prepare(ledger,
	    "SELECT count(*) FROM certificate"
	    " WHERE account = ? AND state = 'valid' AND not_after >= ?",
	    &stmt);
	if (err != 0)
		return err;
	bind_text(stmt, 1, account);
	sqlite3_bind_int64(stmt, 2, now);
	found = one_number(ledger, stmt, "count", &number);
	if (found < 0)
		return found;
	*count = number > UINT32_MAX ? UINT32_MAX : (uint32_t)number;
	return 0;
}

int sg_ledger_find_csr(struct sg_ledger *ledger, const char *account,
    const unsigned char csr_sha256[32], time_t now, struct sg_blob *der)
{
	sqlite3_stmt *stmt;
	int err, step, found = 0;

	memset(der, 0, sizeof(*der));
	err = prepare(ledger,
	    "SELECT der FROM certificate WHERE account = ? AND state = 'valid'"
	    " AND not_after >= ? AND csr_sha256 = ? ORDER BY id DESC LIMIT 1",
	    &stmt);
	if (err != 0)
		return err;
	bind_text(stmt, 1, account);
	sqlite3_bind_int64(stmt, 2, now);
	bind_blob(stmt, 3, csr_sha256, 32);
	step = sqlite3_step(stmt);
	if (step == SQLITE_ROW) {
		const void *data = sqlite3_column_blob(stmt, 0);

		err = sg_blob_set(der, data, (size_t)sqlite3_column_bytes(stmt, 0));
		found = err == 0;
	} else if (step != SQLITE_DONE) {
		err = failed(ledger, "find");
	}
	sqlite3_finalize(stmt);
	return err != 0 ? err : found;
}

/* The columns that row_of() reads, in its order. */
#define ROW_COLUMNS "serial, sha256, name, last_used, der, not_after, ifnull(revoked_at, 0)"

/* Calls fn for each row and finalises the statement. */
static int walk(struct sg_ledger *ledger, sqlite3_stmt *stmt, sg_ledger_fn *fn, void *arg)
{
	struct sg_ledger_row row;
	unsigned char *der;
	int step, err = 0;

	while (err == 0 && (step = sqlite3_step(stmt)) == SQLITE_ROW) {
		size_t len = (size_t)sqlite3_column_bytes(stmt, 4);

		/* the callback's blob is of the type that codecs take, which may be written to */
		der = malloc(len ? len : 1);
		if (der == NULL) {
			err = SG_ERR_NOMEM;
			break;
		}
		memcpy(der, sqlite3_column_blob(stmt, 4), len);
		row.serial = sqlite3_column_blob(stmt, 0);
		row.sha256 = (const char *)sqlite3_column_text(stmt, 1);
		row.name = (const char *)sqlite3_column_text(stmt, 2);
		row.last_used = (const char *)sqlite3_column_text(stmt, 3);
		row.der.data = der;
		row.der.len = len;
		row.not_after = sqlite3_column_int64(stmt, 5);
		row.revoked_at = sqlite3_column_int64(stmt, 6);
		err = fn(arg, &row);
		free(der);
	}
	if (err == 0 && step != SQLITE_DONE)
		err = failed(ledger, "walk");
	sqlite3_finalize(stmt);
	return err;
}

int sg_ledger_each_valid(
    struct sg_ledger *ledger, const char *account, time_t now, sg_ledger_fn *fn, void *arg)
{
	sqlite3_stmt *stmt;
	int err = prepare(ledger,
	    "SELECT " ROW_COLUMNS " FROM certificate WHERE account = ? AND state = 'valid'"
	    " ORDER BY not_after >= ? DESC, id DESC",
	    &stmt);

	if (err != 0)
		return err;
	bind_text(stmt, 1, account);
	sqlite3_bind_int64(stmt, 2, now);
	return walk(ledger, stmt, fn, arg);
}

int sg_ledger_each_revoked(
    struct sg_ledger *ledger, time_t expires_from, sg_ledger_fn *fn, void *arg)
{
	sqlite3_stmt *stmt;
	int err = prepare(ledger,
	    "SELECT " ROW_COLUMNS " FROM certificate WHERE state = 'revoked' AND not_after >= ?"
	    " ORDER BY revoked_at, id",
	    &stmt);

	if (err != 0)
		return err;
	sqlite3_bind_int64(stmt, 1, expires_from);
	return walk(ledger, stmt, fn, arg);
}

/* The columns of the fingerprints; the text of SQL is never made from what a peer sent. */
static const char *find_by_hash(const char *hash)
{
	if (strcmp(hash, "sha-1") == 0)
		return "SELECT id, sha256 FROM certificate WHERE account = ? AND sha1 = ?";
	if (strcmp(hash, "sha-256") == 0)
		return "SELECT id, sha256 FROM certificate WHERE account = ? AND sha256 = ?";
	if (strcmp(hash, "sha-512") == 0)
		return "SELECT id, sha256 FROM certificate WHERE account = ? AND sha512 = ?";
	return NULL;
}

static int revoke_id(struct sg_ledger *ledger, sqlite3_int64 id, time_t now, int *changed)
{
	sqlite3_stmt *stmt;
	int err = prepare(ledger,
	    "UPDATE certificate SET state = 'revoked', revoked_at = ?"
	    " WHERE id = ? AND state = 'valid'",
	    &stmt);

	if (err != 0)
		return err;
	sqlite3_bind_int64(stmt, 1, now);
	sqlite3_bind_int64(stmt, 2, id);
	err = finish(ledger, stmt, "revoke");
	*changed = err == 0 && sqlite3_changes(ledger->db) > 0;
	return err;
}

int sg_ledger_revoke(struct sg_ledger *ledger, const char *account, const char *hash,
    const unsigned char *value, size_t len, time_t now, char sha256[65], int *changed)
{
	const char *sql = find_by_hash(hash);
	sqlite3_stmt *stmt = NULL;
	sqlite3_int64 id = 0;
	char *hex = NULL;
	int err, step, found = 0;

	sha256[0] = '\0';
	*changed = 0;
	if (sql == NULL)
		return SG_ERR_ARG;
	hex = sg_hex_encode(value, len);
	if (hex == NULL)
		return SG_ERR_NOMEM;
	err = prepare(ledger, sql, &stmt);
	if (err != 0)
		goto out;
	bind_text(stmt, 1, account);
	bind_text(stmt, 2, hex);
	step = sqlite3_step(stmt);
	if (step == SQLITE_ROW) {
		id = sqlite3_column_int64(stmt, 0);
		memcpy(sha256, sqlite3_column_text(stmt, 1), 65);
	} else if (step != SQLITE_DONE) {
		err = failed(ledger, "find");
	}
	sqlite3_finalize(stmt);
	if (err == 0 && id != 0) {
		err = revoke_id(ledger, id, now, changed);
		found = err == 0;
	}
out:
	free(hex);
	return err != 0 ? err : found;
}

int sg_ledger_touch(struct sg_ledger *ledger, const char *sha256, const char *last_used)
{
	sqlite3_stmt *stmt;
	/* DateTimes of one form and zone sort as text */
	int err = prepare(ledger,
	    "UPDATE certificate SET last_used = ?1"
	    " WHERE sha256 = ?2 AND (last_used IS NULL OR last_used < ?1)",
	    &stmt);

	if (err != 0)
		return err;
	bind_text(stmt, 1, last_used);
	bind_text(stmt, 2, sha256);
	return finish(ledger, stmt, "touch");
}

int sg_ledger_next_crl(struct sg_ledger *ledger, uint32_t *number)
{
	sqlite3_stmt *stmt;
	sqlite3_int64 value;
	int err;

	*number = 0;
	err = prepare(ledger, "UPDATE crl SET number = number + 1 RETURNING number", &stmt);
	if (err != 0)
		return err;
	if (sqlite3_step(stmt) != SQLITE_ROW) {
		err = failed(ledger, "crl number");
		sqlite3_finalize(stmt);
		return err;
	}
	value = sqlite3_column_int64(stmt, 0);
	err = finish(ledger, stmt, "crl number"); /* the step to its end is what commits it */
	if (err == 0)
		*number = (uint32_t)value;
	return err;
}
