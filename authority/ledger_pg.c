#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include <libpq-fe.h>

#include "buf.h"
#include "clock.h"
#include "ledger_engine.h"
#include "log.h"

#define LEDGER_VERSION 1
#define CONNECT_MS     10000
#define ANSWER_MS      8000 /* then the connection is given up; the server itself gives up after 5 s */
#define PAUSE_MIN_MS   500
#define PAUSE_MAX_MS   30000

/* Types of parameters and columns: pg_type.oid, the same in every version. */
#define OID_BYTEA 17
#define OID_INT8  20
#define OID_TEXT  25

enum pg_state { PG_AWAY, PG_CONNECTING, PG_READY };

struct pg_ledger {
	char *where;
	const struct sg_sql_table *table;
	char *prepared; /* which of the table's statements the server knows */
	PGconn *conn;	/* NULL: away */
	enum pg_state state;
	short wants;	  /* while connecting: poll events */
	int64_t deadline; /* of connecting, by sg_clock_ms() */
	int64_t retry_at; /* while away */
	int pause_ms;
	int error; /* why there is no connection; 0: none was tried */
	int news;  /* for step() to give */
};

static const char session[] =
    "SET statement_timeout = '5s';"
    "SET idle_in_transaction_session_timeout = '10s';" /* an instance that stands still holds up nobody */
    "SET client_min_messages = warning;"
    "SELECT set_config('synchronous_commit', 'on', false)"
    " WHERE current_setting('synchronous_commit') = 'off'";

/* COLLATE "C": DateTimes and digits sort as bytes, and accounts are the same only when their bytes are. */
static const char schema[] =
    "CREATE TABLE certificate ("
    " id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
    " serial bytea NOT NULL UNIQUE CHECK (octet_length(serial) = 20),"
    " sha256 text COLLATE \"C\" NOT NULL UNIQUE CHECK (length(sha256) = 64),"
    " sha1 text COLLATE \"C\" NOT NULL CHECK (length(sha1) = 40),"
    " sha512 text COLLATE \"C\" NOT NULL CHECK (length(sha512) = 128),"
    " account text COLLATE \"C\" NOT NULL,"
    " name text NOT NULL,"
    " der bytea NOT NULL,"
    " csr_sha256 bytea NOT NULL CHECK (octet_length(csr_sha256) = 32),"
    " issued_at bigint NOT NULL,"
    " not_after bigint NOT NULL,"
    " state text NOT NULL CHECK (state IN ('valid', 'revoked')),"
    " revoked_at bigint,"
    " last_used text COLLATE \"C\","
    " reason text,"
    " CHECK ((state = 'revoked') = (revoked_at IS NOT NULL))"
    ");"
    "CREATE INDEX certificate_account ON certificate (account, state, id, not_after);"
    "CREATE INDEX certificate_csr ON certificate (csr_sha256, account, state);"
    "CREATE INDEX certificate_revoked ON certificate (revoked_at, id) WHERE state = 'revoked';"
    "CREATE TABLE crl (id bigint PRIMARY KEY CHECK (id = 1), number bigint NOT NULL);"
    "INSERT INTO crl VALUES (1, 0);"
    "CREATE TABLE ledger_version (id bigint PRIMARY KEY CHECK (id = 1), version bigint NOT NULL);"
    "INSERT INTO ledger_version VALUES (1, 1)";

/* The first line of what libpq says, which may have several. */
static void log_failure(PGconn *conn, const char *what)
{
	const char *text = PQerrorMessage(conn);

	sg_log(SG_LOG_ERROR, "ledger: %s: %.*s", what, (int)strcspn(text, "\n"), text);
}

static void on_notice(void *arg, const char *text)
{
	sg_log(SG_LOG_WARN, "ledger: the database says: %.*s", (int)strcspn(text, "\n"), text);
}

/* Gives the connection up, to be made anew after a pause. Said once, until there is one again. */
static void drop(struct pg_ledger *self, int err, const char *what)
{
	if (self->error == 0 && err == SG_ERR_IO)
		log_failure(self->conn, what);
	if (self->error == 0)
		sg_log(SG_LOG_ERROR,
		    "ledger: without the database requests are answered with 'try again later'; "
		    "it is tried again by itself");
	PQfinish(self->conn);
	self->conn = NULL;
	self->state = PG_AWAY;
	self->error = err;
	self->retry_at = sg_clock_ms() + self->pause_ms;
	self->pause_ms *= 2;
	if (self->pause_ms > PAUSE_MAX_MS)
		self->pause_ms = PAUSE_MAX_MS;
	memset(self->prepared, 0, self->table->count);
}

/* ---- one command, with a deadline */

/* Waits for the socket; 0, or -1 at the deadline. */
static int wait_socket(PGconn *conn, short events, int64_t deadline)
{
	struct pollfd pfd = { .fd = PQsocket(conn), .events = events };
	int64_t left = deadline - sg_clock_ms();

	return left > 0 && poll(&pfd, 1, (int)left) >= 0 ? 0 : -1;
}

/* Until everything is sent and a result is there. 0, or -1: the connection is of no use any more. */
static int wait_result(PGconn *conn, int64_t deadline)
{
	int unsent;

	while ((unsent = PQflush(conn)) == 1) {
		if (wait_socket(conn, POLLIN | POLLOUT, deadline) != 0 || !PQconsumeInput(conn))
			return -1;
	}
	if (unsent < 0)
		return -1;
	while (PQisBusy(conn)) {
		if (wait_socket(conn, POLLIN, deadline) != 0 || !PQconsumeInput(conn))
			return -1;
	}
	return 0;
}

static int is_good(const PGresult *result)
{
	ExecStatusType status = PQresultStatus(result);

	return status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK;
}

/*
 * What was sent is answered: the last good result in *result, to be freed by PQclear(). SG_ERR_IO when there
 * was a bad one among them, or no answer in time; then the connection may be gone.
 */
static int take_result(struct pg_ledger *self, const char *what, PGresult **result)
{
	int64_t deadline = sg_clock_ms() + ANSWER_MS;
	PGresult *next;
	int err = 0;

	*result = NULL;
	for (;;) {
		if (wait_result(self->conn, deadline) != 0) {
			drop(self, SG_ERR_IO, "the database does not answer");
			err = SG_ERR_IO;
			break;
		}
		next = PQgetResult(self->conn);
		if (next == NULL)
			break;
		if (err == 0 && !is_good(next)) {
			sg_log(SG_LOG_ERROR, "ledger: %.40s: %s", what,
			    PQresultErrorField(next, PG_DIAG_MESSAGE_PRIMARY) != NULL
				? PQresultErrorField(next, PG_DIAG_MESSAGE_PRIMARY)
				: "the connection ended");
			err = SG_ERR_IO;
		}
		PQclear(*result);
		*result = next;
	}
	if (err == 0 && *result == NULL)
		err = SG_ERR_IO;
	if (self->conn != NULL && PQstatus(self->conn) == CONNECTION_BAD) {
		drop(self, SG_ERR_IO, "lost the database");
		err = SG_ERR_IO;
	}
	if (err != 0) {
		PQclear(*result);
		*result = NULL;
	}
	return err;
}

/* One or several commands without parameters. */
static int exec_for(struct pg_ledger *self, const char *sql, PGresult **result)
{
	*result = NULL;
	if (self->conn == NULL)
		return SG_ERR_IO;
	if (!PQsendQuery(self->conn, sql)) {
		drop(self, SG_ERR_IO, "lost the database");
		return SG_ERR_IO;
	}
	return take_result(self, "command", result);
}

static int exec(struct pg_ledger *self, const char *sql)
{
	PGresult *result;
	int err = exec_for(self, sql, &result);

	PQclear(result);
	return err;
}

/* ---- connecting */

/* The version of the tables in *version; 0: there are none. */
static int read_version(struct pg_ledger *self, int *version)
{
	PGresult *result;
	int err = exec_for(self, "SELECT to_regclass('ledger_version') IS NOT NULL", &result);
	int exists = err == 0 && strcmp(PQgetvalue(result, 0, 0), "t") == 0;

	*version = 0;
	PQclear(result);
	if (err != 0 || !exists)
		return err;
	err = exec_for(self, "SELECT version FROM ledger_version", &result);
	if (err == 0 && PQntuples(result) == 1)
		*version = atoi(PQgetvalue(result, 0, 0));
	PQclear(result);
	return err;
}

/* One instance makes the tables, and others that come at the same time wait for it. */
static int set_up_tables(struct pg_ledger *self)
{
	int version = 0, err;

	err = exec(self, "BEGIN; SELECT pg_advisory_xact_lock(hashtext('signet ledger'))");
	if (err == 0)
		err = read_version(self, &version);
	if (err == 0 && version == 0)
		err = exec(self, schema);
	if (err == 0)
		err = exec(self, "COMMIT");
	if (err == 0 && version > LEDGER_VERSION) {
		if (self->error != SG_ERR_UNSUPPORTED)
			sg_log(SG_LOG_ERROR,
			    "ledger: the database is of version %d, this program knows %d: a newer "
			    "signet-authority made it, and is needed to use it",
			    version, LEDGER_VERSION);
		err = SG_ERR_UNSUPPORTED;
	}
	return err;
}

static int set_up(struct pg_ledger *self)
{
	const char *encoding = PQparameterStatus(self->conn, "server_encoding");
	int err;

	if (encoding == NULL || strcmp(encoding, "UTF8") != 0) {
		if (self->error != SG_ERR_CONFIG)
			sg_log(SG_LOG_ERROR,
			    "ledger: the database must have the encoding UTF8, not %s: make it "
			    "with "
			    "createdb -T template0 -E UTF8",
			    encoding != NULL ? encoding : "none");
		return SG_ERR_CONFIG;
	}
	err = exec(self, session);
	if (err == 0)
		err = set_up_tables(self);
	/* before anything is read: nothing that comes later is missed */
	if (err == 0)
		err = exec(self, "LISTEN signet_revoked");
	return err;
}

static void on_connected(struct pg_ledger *self)
{
	int err;

	if (PQsetnonblocking(self->conn, 1) != 0) {
		drop(self, SG_ERR_IO, "connection");
		return;
	}
	err = set_up(self);
	if (self->conn == NULL)
		return;
	if (err != 0) {
		drop(self, err, "the tables cannot be used");
		return;
	}
	self->state = PG_READY;
	self->error = 0;
	self->pause_ms = PAUSE_MIN_MS;
	self->news = 2; /* what was told while we were away; a replica may have taken over */
	sg_log(SG_LOG_INFO, "ledger: connected to the database %s", PQdb(self->conn));
}

static void start_connecting(struct pg_ledger *self)
{
	static const char *const keys[] = { "dbname", "client_encoding",
		"fallback_application_name", NULL };
	const char *const values[] = { self->where, "UTF8", "signet-authority", NULL };

	self->conn = PQconnectStartParams(keys, values, 1);
	self->state = PG_CONNECTING;
	self->wants = POLLOUT;
	self->deadline = sg_clock_ms() + CONNECT_MS;
	if (self->conn == NULL || PQstatus(self->conn) == CONNECTION_BAD)
		drop(self, self->conn == NULL ? SG_ERR_NOMEM : SG_ERR_IO, "cannot connect");
	else
		PQsetNoticeProcessor(self->conn, on_notice, self);
}

static void go_on_connecting(struct pg_ledger *self)
{
	struct pollfd pfd = { .fd = PQsocket(self->conn), .events = self->wants };

	if (poll(&pfd, 1, 0) <= 0) {
		if (sg_clock_ms() >= self->deadline)
			drop(self, SG_ERR_IO, "the database does not answer");
		return;
	}
	switch (PQconnectPoll(self->conn)) {
	case PGRES_POLLING_OK:
		on_connected(self);
		break;
	case PGRES_POLLING_READING:
		self->wants = POLLIN;
		break;
	case PGRES_POLLING_WRITING:
		self->wants = POLLOUT;
		break;
	default:
		drop(self, SG_ERR_IO, "cannot connect");
	}
}

static void take_notifications(struct pg_ledger *self)
{
	PGnotify *notify;

	while ((notify = PQnotifies(self->conn)) != NULL) {
		if (notify->be_pid != PQbackendPID(self->conn) && !self->news)
			self->news = 1;
		PQfreemem(notify);
	}
}

static void go_on(struct pg_ledger *self)
{
	if (self->state == PG_AWAY && sg_clock_ms() >= self->retry_at)
		start_connecting(self);
	if (self->state == PG_CONNECTING)
		go_on_connecting(self);
	else if (self->state == PG_READY && !PQconsumeInput(self->conn))
		drop(self, SG_ERR_IO, "lost the database");
	else if (self->state == PG_READY)
		take_notifications(self);
}

/* ---- the engine */

static void ledger_close(void *arg)
{
	struct pg_ledger *self = arg;

	PQfinish(self->conn);
	free(self->prepared);
	free(self->where);
	free(self);
}

/* Nothing secret may stand in the configuration, where anybody could come to read it. */
static int check_where(const char *where)
{
	char *why = NULL;
	PQconninfoOption *options = PQconninfoParse(where, &why);
	int err = 0;

	if (options == NULL) {
		sg_log(SG_LOG_ERROR, "ledger: this is no connection to PostgreSQL: %.*s",
		    why != NULL ? (int)strcspn(why, "\n") : 0, why != NULL ? why : "");
		PQfreemem(why);
		return SG_ERR_CONFIG;
	}
	for (const PQconninfoOption *option = options; option->keyword != NULL; option++)
		if (option->val != NULL &&
		    (strcmp(option->keyword, "password") == 0 ||
			strcmp(option->keyword, "sslpassword") == 0))
			err = SG_ERR_CONFIG;
	if (err != 0)
		sg_log(SG_LOG_ERROR,
		    "ledger: a password does not belong into the configuration: put it into a "
		    "password file that only this user can read, and name that by passfile=, or "
		    "use peer authentication");
	PQconninfoFree(options);
	return err;
}

int sg_ledger_pg_open(const char *where, const struct sg_sql_table *table, void **ledger)
{
	struct pg_ledger *self;
	int err = check_where(where);

	*ledger = NULL;
	if (err != 0)
		return err;
	self = calloc(1, sizeof(*self));
	if (self == NULL)
		return SG_ERR_NOMEM;
	self->table = table;
	self->pause_ms = PAUSE_MIN_MS;
	self->where = strdup(where);
	self->prepared = calloc(table->count, 1);
	if (self->where == NULL || self->prepared == NULL) {
		ledger_close(self);
		return SG_ERR_NOMEM;
	}
	*ledger = self;
	return 0;
}

static int prepare_statement(struct pg_ledger *self, unsigned int index, const char *name)
{
	const struct sg_sql *sql = &self->table->statements[index];
	Oid oids[SG_SQL_PARAMS_MAX];
	PGresult *result;
	int count = 0, err;

	for (; sql->types[count]; count++)
		oids[count] = sql->types[count] == 'i' ? OID_INT8
		    : sql->types[count] == 't'	       ? OID_TEXT
						       : OID_BYTEA;
	if (!PQsendPrepare(self->conn, name, sql->text, count, oids)) {
		drop(self, SG_ERR_IO, "lost the database");
		return SG_ERR_IO;
	}
	err = take_result(self, sql->text, &result);
	PQclear(result);
	if (err == 0)
		self->prepared[index] = 1;
	return err;
}

/* Everything goes in binary form. */
static int send_statement(
    struct pg_ledger *self, const char *name, const char *types, const struct sg_sql_value *params)
{
	const char *values[SG_SQL_PARAMS_MAX];
	int lengths[SG_SQL_PARAMS_MAX], formats[SG_SQL_PARAMS_MAX], count = 0;
	uint64_t numbers[SG_SQL_PARAMS_MAX];

	for (; types[count]; count++) {
		const struct sg_sql_value *value = &params[count];

		numbers[count] = htobe64((uint64_t)value->number);
		formats[count] = 1;
		if (types[count] == 'i') {
			values[count] = (const char *)&numbers[count];
			lengths[count] = sizeof(numbers[count]);
		} else {
			/* NULL would be SQL's */
			values[count] =
			    value->data == NULL && value->type != SG_SQL_NULL ? "" : value->data;
			lengths[count] = (int)value->len;
		}
	}
	return PQsendQueryPrepared(self->conn, name, count, values, lengths, formats, 1);
}

static void read_columns(const PGresult *result, int row, struct sg_sql_value *columns, int count)
{
	for (int i = 0; i < count; i++) {
		uint64_t number;

		columns[i] = (struct sg_sql_value){ .type = SG_SQL_NULL };
		if (PQgetisnull(result, row, i))
			continue;
		columns[i].data = PQgetvalue(result, row, i);
		columns[i].len = (size_t)PQgetlength(result, row, i);
		columns[i].type = PQftype(result, i) == OID_BYTEA ? SG_SQL_BLOB : SG_SQL_TEXT;
		if (PQftype(result, i) == OID_INT8) {
			memcpy(&number, columns[i].data, sizeof(number));
			columns[i] = (struct sg_sql_value){ .type = SG_SQL_INT };
			columns[i].number = (int64_t)be64toh(number);
		}
	}
}

static int ledger_run(void *arg, unsigned int index, const struct sg_sql_value *params,
    sg_sql_row_fn *fn, void *fn_arg)
{
	struct pg_ledger *self = arg;
	const struct sg_sql *sql = &self->table->statements[index];
	struct sg_sql_value columns[SG_SQL_COLUMNS_MAX];
	PGresult *result;
	char name[16];
	int err = 0;

	if (self->state != PG_READY)
		return SG_ERR_IO;
	snprintf(name, sizeof(name), "s%u", index);
	if (!self->prepared[index])
		err = prepare_statement(self, index, name);
	if (err != 0)
		return err;
	if (!send_statement(self, name, sql->types, params)) {
		drop(self, SG_ERR_IO, "lost the database");
		return SG_ERR_IO;
	}
	err = take_result(self, sql->text, &result);
	for (int row = 0; err == 0 && fn != NULL && row < PQntuples(result); row++) {
		read_columns(result, row, columns, PQnfields(result));
		err = fn(fn_arg, columns);
	}
	PQclear(result);
	return err;
}

static int ledger_begin(void *arg)
{
	struct pg_ledger *self = arg;

	if (self->state != PG_READY)
		return SG_ERR_IO;
	/* each statement sees what was committed before it: also before the locks were had */
	return exec(self, "BEGIN ISOLATION LEVEL READ COMMITTED");
}

static int ledger_commit(void *arg)
{
	struct pg_ledger *self = arg;
	PGresult *result;
	int err = exec_for(self, "COMMIT", &result);

	/* that is how a transaction ends in which something failed */
	if (err == 0 && strcmp(PQcmdStatus(result), "COMMIT") != 0)
		err = SG_ERR_IO;
	PQclear(result);
	return err;
}

static void ledger_rollback(void *arg)
{
	struct pg_ledger *self = arg;

	if (self->conn != NULL && PQtransactionStatus(self->conn) != PQTRANS_IDLE &&
	    exec(self, "ROLLBACK") != 0 && self->conn != NULL)
		drop(self, SG_ERR_IO, "rolling back");
}

static int ledger_lock(void *arg, const int64_t *keys, size_t count)
{
	struct sg_buf sql = { 0 };
	int err;

	sg_buf_put_str(&sql, "SELECT pg_advisory_xact_lock(key) FROM unnest('{");
	for (size_t i = 0; i < count; i++)
		sg_buf_printf(&sql, "%s%lld", i ? "," : "", (long long)keys[i]);
	sg_buf_put_str(&sql, "}'::bigint[]) AS key");
	sg_buf_put(&sql, "", 1);
	err = sql.err != 0 ? sql.err : exec(arg, (const char *)sql.data);
	sg_buf_clear(&sql);
	return err;
}

static int ledger_tell(void *arg)
{
	return exec(arg, "NOTIFY signet_revoked");
}

static int time_until(int64_t when)
{
	int64_t left = when - sg_clock_ms();

	return left > 0 ? (int)left : 0;
}

static int ledger_prepare(void *arg, struct pollfd *pfd)
{
	struct pg_ledger *self = arg;

	*pfd = (struct pollfd){ .fd = self->conn != NULL ? PQsocket(self->conn) : -1,
		.events = POLLIN };
	if (self->state == PG_CONNECTING)
		pfd->events = self->wants;
	if (self->state == PG_READY) {
		/* what came with the answer to a statement makes the socket readable no more */
		take_notifications(self);
		return self->news ? 0 : -1;
	}
	return time_until(self->state == PG_AWAY ? self->retry_at : self->deadline);
}

static int ledger_step(void *arg)
{
	struct pg_ledger *self = arg;
	int news = 0;

	go_on(self);
	if (self->state == PG_READY) {
		news = self->news;
		self->news = 0;
	}
	return news;
}

static int ledger_wait(void *arg, int timeout_ms)
{
	struct pg_ledger *self = arg;
	int64_t deadline = sg_clock_ms() + timeout_ms;
	struct pollfd pfd;

	for (;;) {
		go_on(self);
		if (self->state == PG_READY)
			return 0;
		/* nothing that waiting would change */
		if (self->error == SG_ERR_UNSUPPORTED || self->error == SG_ERR_CONFIG)
			return self->error;
		if (time_until(deadline) == 0)
			return SG_ERR_IO;
		int ms = ledger_prepare(self, &pfd);
		if (poll(&pfd, 1, ms < time_until(deadline) ? ms : time_until(deadline)) < 0)
			return SG_ERR_IO;
	}
}

const struct sg_sql_engine sg_ledger_pg = {
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
