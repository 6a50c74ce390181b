/*
 * What the ledger needs of a database. An engine runs statements and knows nothing of certificates;
 * ledger.c has the statements, the same ones for every engine.
 */
#ifndef SG_AUTHORITY_LEDGER_ENGINE_H
#define SG_AUTHORITY_LEDGER_ENGINE_H

#include <poll.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

#define SG_SQL_COLUMNS_MAX 16 /* of a row */
#define SG_SQL_PARAMS_MAX  16

enum sg_sql_type { SG_SQL_NULL, SG_SQL_INT, SG_SQL_TEXT, SG_SQL_BLOB };

/* A parameter, or a column of a row. Texts are NUL-terminated, and valid during the call only. */
struct sg_sql_value {
	enum sg_sql_type type;
	int64_t number;
	const void *data;
	size_t len;
};

/* A statement: parameters are $1, $2, ...; types has a letter for each: i, t or b. */
struct sg_sql {
	const char *text;
	const char *types;
};

/* Gives 0 to go on; anything else ends the statement's rows and is returned by run(). */
typedef int sg_sql_row_fn(void *arg, const struct sg_sql_value *columns);

struct sg_sql_engine {
	/*
	 * Runs the statement of this index in the table that the engine was opened with. fn may be NULL.
	 * Outside begin() and commit() it is on the disk when this returns. SG_ERR_IO, logged; SG_ERR_NOMEM.
	 */
	int (*run)(void *self, unsigned int index, const struct sg_sql_value *params,
	    sg_sql_row_fn *fn, void *arg);
	/* One transaction at a time. What is in it is on the disk when commit() gives 0; after any failure
	 * rollback() must follow. SG_ERR_IO, logged. */
	int (*begin)(void *self);
	int (*commit)(void *self);
	void (*rollback)(void *self);
	/* Waits until nobody else adds for any of these accounts before the transaction ends. */
	int (*lock)(void *self, const int64_t *keys, size_t count);
	/* With the transaction's commit, the other users of the ledger hear that it revoked something. */
	int (*tell)(void *self);
	/* As sg_ledger_prepare(), sg_ledger_step() and sg_ledger_wait() have it. */
	int (*prepare)(void *self, struct pollfd *pfd);
	int (*step)(void *self);
	int (*wait)(void *self, int timeout_ms);
	void (*close)(void *self);
};

/* The statements and the table that an engine is opened with. */
struct sg_sql_table {
	const struct sg_sql *statements;
	size_t count;
};

/* SQLite: a path. As sg_ledger_open() has it. */
SG_MUST_USE int sg_ledger_sqlite_open(
    const char *path, const struct sg_sql_table *table, void **self);
extern const struct sg_sql_engine sg_ledger_sqlite;

/*
 * PostgreSQL: what libpq takes as a connection string or URI. Connects by its step(), not here; while
 * there is no connection everything fails with SG_ERR_IO at once, and nothing waits longer than some
 * seconds for an answer. SG_ERR_CONFIG, logged; SG_ERR_NOMEM.
 */
SG_MUST_USE int sg_ledger_pg_open(const char *where, const struct sg_sql_table *table, void **self);
extern const struct sg_sql_engine sg_ledger_pg;

#endif
