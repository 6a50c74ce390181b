#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "ledger_engine.h"
#include "log.h"

#define LEDGER_VERSION 2
#define BUSY_MS	       5000

struct sqlite_ledger {
	sqlite3 *db;
	const struct sg_sql_table *table;
	sqlite3_stmt **prepared;    /* of the table's count, each when it is first run */
	sqlite3_stmt *data_version; /* changes when another process has committed */
	int64_t seen_version;
	int watch;	/* inotify on the folder */
	char *wal_name; /* in that folder */
};

#define INDEXES                                                                                    \
	"CREATE INDEX certificate_account ON certificate (account, state, id, not_after);"         \
	"CREATE INDEX certificate_csr ON certificate (csr_sha256, account, state);"                \
	"CREATE INDEX certificate_revoked ON certificate (revoked_at, id) WHERE state = "          \
	"'revoked';"

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
    " reason TEXT,"
    " CHECK ((state = 'revoked') = (revoked_at IS NOT NULL))"
    ") STRICT;" INDEXES
    "CREATE TABLE crl (id INTEGER PRIMARY KEY CHECK (id = 1), number INTEGER NOT NULL) STRICT;"
    "INSERT INTO crl VALUES (1, 0);"
    "PRAGMA user_version = 2;"
    "COMMIT;";

static const char from_version_1[] =
    "BEGIN IMMEDIATE;"
    "ALTER TABLE certificate ADD COLUMN reason TEXT;"
    "DROP INDEX certificate_account;"
    "DROP INDEX certificate_revoked;" INDEXES "PRAGMA user_version = 2;"
    "COMMIT;";

/* One place where a failure of SQLite is logged and translated. */
static int failed(struct sqlite_ledger *self, const char *what)
{
	sg_log(SG_LOG_ERROR, "ledger: %.60s: %s", what, sqlite3_errmsg(self->db));
	return SG_ERR_IO;
}

static int check_folder(const char *folder)
{
	struct stat st;

	if (mkdir(folder, 0700) != 0 && errno != EEXIST) {
		sg_log(
		    SG_LOG_ERROR, "ledger: cannot make the folder %s: %s", folder, strerror(errno));
		return SG_ERR_IO;
	}
	if (stat(folder, &st) != 0) {
		sg_log(SG_LOG_ERROR, "ledger: folder %s: %s", folder, strerror(errno));
		return SG_ERR_IO;
	}
	if (st.st_uid != geteuid() || (st.st_mode & 077)) {
		sg_log(SG_LOG_ERROR,
		    "ledger: the folder %s must be our own and closed to others (chmod 700)",
		    folder);
		return SG_ERR_CONFIG;
	}
	return 0;
}

static int user_version(struct sqlite_ledger *self, int *version)
{
	sqlite3_stmt *stmt = NULL;
	int err = SG_ERR_IO;

	*version = 0;
	if (sqlite3_prepare_v2(self->db, "PRAGMA user_version", -1, &stmt, NULL) == SQLITE_OK &&
	    sqlite3_step(stmt) == SQLITE_ROW) {
		*version = sqlite3_column_int(stmt, 0);
		err = 0;
	}
	sqlite3_finalize(stmt);
	return err != 0 ? failed(self, "version") : 0;
}

static int set_up(struct sqlite_ledger *self, const char *path)
{
	const char *sql = NULL;
	int version, err;

	sqlite3_busy_timeout(self->db, BUSY_MS);
	if (sqlite3_exec(self->db,
		"PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;",
		NULL, NULL, NULL) != SQLITE_OK)
		return failed(self, path);
	err = user_version(self, &version);
	if (err != 0)
		return err;
	if (version > LEDGER_VERSION) {
		sg_log(SG_LOG_ERROR,
		    "ledger: %s is of version %d, this program knows %d: a newer signet-authority "
		    "made it, and is needed to use it",
		    path, version, LEDGER_VERSION);
		return SG_ERR_UNSUPPORTED;
	}
	if (version < LEDGER_VERSION)
		sql = version == 0 ? schema : from_version_1;
	if (sql != NULL && sqlite3_exec(self->db, sql, NULL, NULL, NULL) != SQLITE_OK)
		return failed(self, "making the tables");
	if (sqlite3_prepare_v2(self->db, "PRAGMA data_version", -1, &self->data_version, NULL) !=
	    SQLITE_OK)
		return failed(self, "version of the data");
	return 0;
}

/* Another process that closes the ledger has done what it came for. Our own writing closes nothing. */
static int start_watch(struct sqlite_ledger *self, const char *folder, const char *name)
{
	self->watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (self->watch < 0 || inotify_add_watch(self->watch, folder, IN_CLOSE_WRITE) < 0) {
		sg_log(SG_LOG_ERROR, "ledger: the folder %s cannot be watched: %s", folder,
		    strerror(errno));
		return SG_ERR_IO;
	}
	return asprintf(&self->wal_name, "%s-wal", name) < 0 ? SG_ERR_NOMEM : 0;
}

/* 1 when another process has committed since the last look. */
static int has_changed(struct sqlite_ledger *self)
{
	int64_t version = self->seen_version;

	if (sqlite3_step(self->data_version) == SQLITE_ROW)
		version = sqlite3_column_int64(self->data_version, 0);
	sqlite3_reset(self->data_version);
	if (version == self->seen_version)
		return 0;
	self->seen_version = version;
	return 1;
}

static void ledger_close(void *arg)
{
	struct sqlite_ledger *self = arg;

	if (self->watch >= 0)
		close(self->watch);
	for (size_t i = 0; self->prepared != NULL && i < self->table->count; i++)
		sqlite3_finalize(self->prepared[i]);
	sqlite3_finalize(self->data_version);
	sqlite3_close(self->db);
	free(self->prepared);
	free(self->wal_name);
	free(self);
}

static int open_file(struct sqlite_ledger *self, const char *path)
{
	char *for_folder = strdup(path), *for_name = strdup(path);
	const char *folder = for_folder != NULL ? dirname(for_folder) : NULL;
	int err = for_folder != NULL && for_name != NULL ? 0 : SG_ERR_NOMEM;

	if (err == 0)
		err = check_folder(folder);
	/* umask 077 makes it 0600, and SQLite gives -wal and -shm the mode of the file */
	if (err == 0 &&
	    sqlite3_open_v2(path, &self->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) !=
		SQLITE_OK)
		err = failed(self, path);
	if (err == 0)
		err = set_up(self, path);
	if (err == 0 && chmod(path, 0600) != 0) {
		sg_log(SG_LOG_ERROR, "ledger: %s: %s", path, strerror(errno));
		err = SG_ERR_IO;
	}
	if (err == 0)
		err = start_watch(self, folder, basename(for_name));
	if (err == 0)
		(void)has_changed(self); /* what there is now has not changed */
	free(for_folder);
	free(for_name);
	return err;
}

int sg_ledger_sqlite_open(const char *path, const struct sg_sql_table *table, void **ledger)
{
	struct sqlite_ledger *self = calloc(1, sizeof(*self));
	int err = SG_ERR_NOMEM;

	*ledger = NULL;
	if (self == NULL)
		return err;
	self->watch = -1;
	self->table = table;
	self->prepared = calloc(table->count, sizeof(sqlite3_stmt *));
	if (self->prepared != NULL)
		err = open_file(self, path);
	if (err != 0)
		ledger_close(self);
	else
		*ledger = self;
	return err;
}

/* SQLite numbers parameters in this form: ?1 */
static int prepare_statement(struct sqlite_ledger *self, unsigned int index)
{
	char *text = strdup(self->table->statements[index].text);
	int err = 0;

	if (text == NULL)
		return SG_ERR_NOMEM;
	for (char *p = text; (p = strchr(p, '$')) != NULL;)
		*p = '?';
	if (sqlite3_prepare_v3(self->db, text, -1, SQLITE_PREPARE_PERSISTENT,
		&self->prepared[index], NULL) != SQLITE_OK)
		err = failed(self, "prepare");
	free(text);
	return err;
}

static void bind(sqlite3_stmt *stmt, const char *types, const struct sg_sql_value *params)
{
	for (int i = 0; types[i]; i++) {
		const struct sg_sql_value *value = &params[i];

		if (value->type == SG_SQL_NULL)
			sqlite3_bind_null(stmt, i + 1);
		else if (types[i] == 'i')
			sqlite3_bind_int64(stmt, i + 1, value->number);
		else if (types[i] == 't')
			sqlite3_bind_text64(
			    stmt, i + 1, value->data, value->len, SQLITE_STATIC, SQLITE_UTF8);
		else
			sqlite3_bind_blob64(stmt, i + 1, value->data, value->len, SQLITE_STATIC);
	}
}

static void read_columns(sqlite3_stmt *stmt, struct sg_sql_value *columns, int count)
{
	for (int i = 0; i < count; i++) {
		int type = sqlite3_column_type(stmt, i);

		columns[i] = (struct sg_sql_value){ .type = SG_SQL_NULL };
		if (type == SQLITE_INTEGER) {
			columns[i].type = SG_SQL_INT;
			columns[i].number = sqlite3_column_int64(stmt, i);
		} else if (type == SQLITE_TEXT || type == SQLITE_BLOB) {
			columns[i].type = type == SQLITE_TEXT ? SG_SQL_TEXT : SG_SQL_BLOB;
			columns[i].data = type == SQLITE_TEXT
			    ? (const void *)sqlite3_column_text(stmt, i)
			    : sqlite3_column_blob(stmt, i);
			columns[i].len = (size_t)sqlite3_column_bytes(stmt, i);
		}
	}
}

/* The rows may be walked while others of the same statement are: each walk has a statement of its own. */
static int ledger_run(void *arg, unsigned int index, const struct sg_sql_value *params,
    sg_sql_row_fn *fn, void *fn_arg)
{
	struct sqlite_ledger *self = arg;
	struct sg_sql_value columns[SG_SQL_COLUMNS_MAX];
	sqlite3_stmt *stmt;
	int step = SQLITE_DONE, err = 0;

	if (self->prepared[index] == NULL)
		err = prepare_statement(self, index);
	if (err != 0)
		return err;
	stmt = self->prepared[index];
	self->prepared[index] = NULL;
	bind(stmt, self->table->statements[index].types, params);
	while (err == 0 && (step = sqlite3_step(stmt)) == SQLITE_ROW) {
		if (fn == NULL)
			continue;
		read_columns(stmt, columns, sqlite3_column_count(stmt));
		err = fn(fn_arg, columns);
	}
	if (err == 0 && step != SQLITE_DONE)
		err = failed(self, self->table->statements[index].text);
	sqlite3_reset(stmt);
	sqlite3_clear_bindings(stmt);
	if (self->prepared[index] == NULL)
		self->prepared[index] = stmt;
	else
		sqlite3_finalize(stmt);
	return err;
}

static int ledger_exec(struct sqlite_ledger *self, const char *sql)
{
	return sqlite3_exec(self->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : failed(self, sql);
}

static int ledger_begin(void *arg)
{
	return ledger_exec(arg, "BEGIN IMMEDIATE");
}

static int ledger_commit(void *arg)
{
	return ledger_exec(arg, "COMMIT");
}

static void ledger_rollback(void *arg)
{
	struct sqlite_ledger *self = arg;

	/* a failure may have ended the transaction already */
	if (!sqlite3_get_autocommit(self->db))
		sqlite3_exec(self->db, "ROLLBACK", NULL, NULL, NULL);
}

/* BEGIN IMMEDIATE has locked out every other writer. */
static int ledger_lock(void *arg, const int64_t *keys, size_t count)
{
	return 0;
}

/* Whoever watches the folder sees it. */
static int ledger_tell(void *arg)
{
	return 0;
}

static int ledger_prepare(void *arg, struct pollfd *pfd)
{
	const struct sqlite_ledger *self = arg;

	pfd->fd = self->watch;
	pfd->events = POLLIN;
	pfd->revents = 0;
	return -1;
}

static int ledger_step(void *arg)
{
	struct sqlite_ledger *self = arg;
	union {
		char bytes[4096];
		struct inotify_event align;
	} room;
	const struct inotify_event *event;
	int closed = 0;
	ssize_t n;

	while ((n = read(self->watch, room.bytes, sizeof(room.bytes))) > 0)
		for (ssize_t pos = 0; pos < n; pos += (ssize_t)(sizeof(*event) + event->len)) {
			event = (const void *)(room.bytes + pos);
			closed |= (event->mask & IN_Q_OVERFLOW) != 0 ||
			    (event->len && strcmp(event->name, self->wal_name) == 0);
		}
	return closed && has_changed(self);
}

static int ledger_wait(void *arg, int timeout_ms)
{
	return 0;
}

const struct sg_sql_engine sg_ledger_sqlite = {
	.run = ledger_run,
	.begin = ledger_begin,
	.commit = ledger_commit,
	.rollback = ledger_rollback,
	.lock = ledger_lock,
	.tell = ledger_tell,
	.prepare = ledger_prepare,
	.step = ledger_step,
	.wait = ledger_wait,
	.close = ledger_close,
};
