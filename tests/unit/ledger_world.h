/*
 * What the tests of the ledger share: a ledger of their own, in a file or in a database of a server of their own, and
 * certificates of which only the bytes matter.
 */
#ifndef SG_TESTS_LEDGER_WORLD_H
#define SG_TESTS_LEDGER_WORLD_H

#include "authority/ledger.h"

#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "capture.h"
#include "codecs.h"
#include "postgres.h"

#define JULIET "juliet@xmpp.test"
#define ROMEO  "romeo@xmpp.test"

#define PATIENCE_MS 60000

struct world {
	char folder[64];
	char path[96];
	const char *where; /* the ledger's: the path, or a database */
	struct sg_ledger *ledger;
};

static struct postgres postgres;

/* An empty database, in the server of the whole group. */
static inline int on_postgres(void **state)
{
	struct world *world = calloc(1, sizeof(*world));

	postgres_do(&postgres, "DROP SCHEMA public CASCADE; CREATE SCHEMA public");
	world->where = postgres.where;
	assert_int_equal(sg_ledger_open(world->where, &world->ledger), 0);
	assert_int_equal(sg_ledger_wait(world->ledger, PATIENCE_MS), 0);
	*state = world;
	return 0;
}

static inline int teardown(void **state)
{
	static const char *const names[] = { "/sub/ledger.db", "/sub/ledger.db-wal",
		"/sub/ledger.db-shm", "/sub", "" };
	struct world *world = *state;
	char path[128];

	sg_ledger_close(world->ledger);
	for (size_t i = 0; *world->folder && i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s%s", world->folder, names[i]);
		remove(path);
	}
	free(world);
	return 0;
}

#define ROOM	  1000u /* for an account's certificates */
#define ADD_COUNT 8

/* Certificates of which only the bytes matter here; other numbers are other requests and serials. */
struct made {
	unsigned char number[ADD_COUNT];
	unsigned char serial[ADD_COUNT][SG_SERIAL_LEN];
	unsigned char csr[ADD_COUNT][32];
	struct sg_blob der[ADD_COUNT];
	struct sg_ledger_entry entries[ADD_COUNT];
	size_t count;
};

static inline void make(
    struct made *made, const char *account, unsigned char number, time_t not_after)
{
	size_t i = made->count++;

	made->number[i] = number;
	made->serial[i][0] = 1;
	made->serial[i][1] = number;
	made->csr[i][0] = number;
	made->der[i] = (struct sg_blob){ &made->number[i], 1 };
	made->entries[i] = (struct sg_ledger_entry){
		.serial = made->serial[i],
		.account = account,
		.name = number == 2 ? "" : "Phone \xc3\xa4",
		.der = &made->der[i],
		.csr_sha256 = made->csr[i],
		.issued_at = NOW,
		.not_after = not_after,
	};
}

/* Adds one, and gives what became of it. */
static inline enum sg_ledger_outcome add(
    struct world *world, const char *account, unsigned char number, time_t not_after)
{
	struct made made = { 0 };

	make(&made, account, number, not_after);
	assert_int_equal(sg_ledger_add(world->ledger, made.entries, 1, ROOM), 0);
	sg_blob_clear(&made.entries[0].der_before);
	return made.entries[0].outcome;
}

static inline int collect(void *arg, const struct sg_ledger_row *row)
{
	char *out = arg;

	snprintf(out + strlen(out), 64, "%u", row->serial[1]);
	if (row->last_used != NULL)
		snprintf(out + strlen(out), 64, "%s", row->last_used);
	if (row->reason != NULL)
		snprintf(out + strlen(out), 64, "(%s)", row->reason);
	assert_int_equal(strlen(row->sha256), 64);
	assert_true(row->id > 0);
	assert_int_equal(row->issued_at, NOW);
	assert_string_equal(row->name, row->serial[1] == 2 ? "" : "Phone \xc3\xa4");
	if (row->der.len != 0)
		assert_int_equal(row->serial[1], row->der.data[0]);
	return 0;
}

static inline void assert_valid(struct world *world, const char *account, const char *expected)
{
	char out[512] = "";

	assert_int_equal(sg_ledger_each_unrevoked(world->ledger, account, NOW, collect, out), 0);
	assert_string_equal(out, expected);
}

static inline int postgres_begins(void **state)
{
	postgres_start(&postgres);
	return 0;
}

static inline int postgres_ends(void **state)
{
	postgres_end(&postgres);
	return 0;
}

#define ON(setup, test) cmocka_unit_test_setup_teardown(test, setup, teardown)

#endif
