/* Jobs: which states follow each other, all pairs tried; and what the store keeps of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/broker/jobs.h"
#include "agent/broker/store.h"

/* kind, from, to: these and no others. */
static const struct {
	uint32_t kind, from, to;
} allowed[] = {
	{ SG_JOB_ENROL, SG_JOB_NEW, SG_JOB_ADD },
	{ SG_JOB_ENROL, SG_JOB_NEW, SG_JOB_END },
	{ SG_JOB_ENROL, SG_JOB_ADD, SG_JOB_STORE },
	{ SG_JOB_ENROL, SG_JOB_ADD, SG_JOB_UNDO },
	{ SG_JOB_ENROL, SG_JOB_ADD, SG_JOB_END },
	{ SG_JOB_ENROL, SG_JOB_STORE, SG_JOB_PROVE },
	{ SG_JOB_ENROL, SG_JOB_STORE, SG_JOB_UNDO },
	{ SG_JOB_ENROL, SG_JOB_STORE, SG_JOB_END },
	{ SG_JOB_ENROL, SG_JOB_PROVE, SG_JOB_UNDO },
	{ SG_JOB_ENROL, SG_JOB_PROVE, SG_JOB_END },
	{ SG_JOB_ENROL, SG_JOB_UNDO, SG_JOB_DISCARD },
	{ SG_JOB_ENROL, SG_JOB_UNDO, SG_JOB_END },
	{ SG_JOB_ENROL, SG_JOB_DISCARD, SG_JOB_END },
	{ SG_JOB_REPLACE, SG_JOB_NEW, SG_JOB_ADD },
	{ SG_JOB_REPLACE, SG_JOB_NEW, SG_JOB_END },
	{ SG_JOB_REPLACE, SG_JOB_ADD, SG_JOB_STORE },
	{ SG_JOB_REPLACE, SG_JOB_ADD, SG_JOB_UNDO },
	{ SG_JOB_REPLACE, SG_JOB_ADD, SG_JOB_END },
	{ SG_JOB_REPLACE, SG_JOB_STORE, SG_JOB_PROVE },
	{ SG_JOB_REPLACE, SG_JOB_STORE, SG_JOB_UNDO },
	{ SG_JOB_REPLACE, SG_JOB_STORE, SG_JOB_END },
	{ SG_JOB_REPLACE, SG_JOB_PROVE, SG_JOB_RETIRE },
	{ SG_JOB_REPLACE, SG_JOB_PROVE, SG_JOB_UNDO },
	{ SG_JOB_REPLACE, SG_JOB_PROVE, SG_JOB_END },
	{ SG_JOB_REPLACE, SG_JOB_RETIRE, SG_JOB_RETRACT },
	{ SG_JOB_REPLACE, SG_JOB_RETIRE, SG_JOB_UNDO },
	{ SG_JOB_REPLACE, SG_JOB_RETIRE, SG_JOB_END },
	{ SG_JOB_REPLACE, SG_JOB_RETRACT, SG_JOB_SWEEP },
	{ SG_JOB_REPLACE, SG_JOB_RETRACT, SG_JOB_END },
	{ SG_JOB_REPLACE, SG_JOB_SWEEP, SG_JOB_END },
	{ SG_JOB_REPLACE, SG_JOB_UNDO, SG_JOB_DISCARD },
	{ SG_JOB_REPLACE, SG_JOB_UNDO, SG_JOB_END },
	{ SG_JOB_REPLACE, SG_JOB_DISCARD, SG_JOB_END },
	{ SG_JOB_RENEW, SG_JOB_NEW, SG_JOB_ADD },
	{ SG_JOB_RENEW, SG_JOB_NEW, SG_JOB_GENERATE },
	{ SG_JOB_RENEW, SG_JOB_NEW, SG_JOB_REQUEST },
	{ SG_JOB_RENEW, SG_JOB_NEW, SG_JOB_END },
	{ SG_JOB_RENEW, SG_JOB_GENERATE, SG_JOB_REQUEST },
	{ SG_JOB_RENEW, SG_JOB_GENERATE, SG_JOB_UNDO },
	{ SG_JOB_RENEW, SG_JOB_GENERATE, SG_JOB_END },
	{ SG_JOB_RENEW, SG_JOB_REQUEST, SG_JOB_ADD },
	{ SG_JOB_RENEW, SG_JOB_REQUEST, SG_JOB_UNDO },
	{ SG_JOB_RENEW, SG_JOB_REQUEST, SG_JOB_END },
	{ SG_JOB_RENEW, SG_JOB_ADD, SG_JOB_STORE },
	{ SG_JOB_RENEW, SG_JOB_ADD, SG_JOB_REQUEST },
	{ SG_JOB_RENEW, SG_JOB_ADD, SG_JOB_UNDO },
	{ SG_JOB_RENEW, SG_JOB_ADD, SG_JOB_END },
	{ SG_JOB_RENEW, SG_JOB_STORE, SG_JOB_PROVE },
	{ SG_JOB_RENEW, SG_JOB_STORE, SG_JOB_UNDO },
	{ SG_JOB_RENEW, SG_JOB_STORE, SG_JOB_END },
	{ SG_JOB_RENEW, SG_JOB_PROVE, SG_JOB_SIGN },
	{ SG_JOB_RENEW, SG_JOB_PROVE, SG_JOB_RETIRE },
	{ SG_JOB_RENEW, SG_JOB_PROVE, SG_JOB_UNDO },
	{ SG_JOB_RENEW, SG_JOB_PROVE, SG_JOB_END },
	{ SG_JOB_RENEW, SG_JOB_SIGN, SG_JOB_PUBLISH },
	{ SG_JOB_RENEW, SG_JOB_SIGN, SG_JOB_UNDO },
	{ SG_JOB_RENEW, SG_JOB_SIGN, SG_JOB_END },
	{ SG_JOB_RENEW, SG_JOB_PUBLISH, SG_JOB_RETIRE },
	{ SG_JOB_RENEW, SG_JOB_PUBLISH, SG_JOB_UNDO },
	{ SG_JOB_RENEW, SG_JOB_PUBLISH, SG_JOB_END },
	{ SG_JOB_RENEW, SG_JOB_RETIRE, SG_JOB_RETRACT },
	{ SG_JOB_RENEW, SG_JOB_RETIRE, SG_JOB_UNDO },
	{ SG_JOB_RENEW, SG_JOB_RETIRE, SG_JOB_END },
	{ SG_JOB_RENEW, SG_JOB_RETRACT, SG_JOB_SWEEP },
	{ SG_JOB_RENEW, SG_JOB_RETRACT, SG_JOB_END },
	{ SG_JOB_RENEW, SG_JOB_SWEEP, SG_JOB_END },
	{ SG_JOB_RENEW, SG_JOB_UNDO, SG_JOB_DISCARD },
	{ SG_JOB_RENEW, SG_JOB_UNDO, SG_JOB_END },
	{ SG_JOB_RENEW, SG_JOB_DISCARD, SG_JOB_END },
	{ SG_JOB_REVOKE, SG_JOB_NEW, SG_JOB_REVOKE_IT },
	{ SG_JOB_REVOKE, SG_JOB_NEW, SG_JOB_END },
	{ SG_JOB_REVOKE, SG_JOB_REVOKE_IT, SG_JOB_RETRACT },
	{ SG_JOB_REVOKE, SG_JOB_REVOKE_IT, SG_JOB_SWEEP },
	{ SG_JOB_REVOKE, SG_JOB_REVOKE_IT, SG_JOB_END },
	{ SG_JOB_REVOKE, SG_JOB_RETRACT, SG_JOB_SWEEP },
	{ SG_JOB_REVOKE, SG_JOB_RETRACT, SG_JOB_END },
	{ SG_JOB_REVOKE, SG_JOB_SWEEP, SG_JOB_END },
	{ SG_JOB_SPARE, SG_JOB_NEW, SG_JOB_ADD },
	{ SG_JOB_SPARE, SG_JOB_NEW, SG_JOB_END },
	{ SG_JOB_SPARE, SG_JOB_ADD, SG_JOB_STORE },
	{ SG_JOB_SPARE, SG_JOB_ADD, SG_JOB_UNDO },
	{ SG_JOB_SPARE, SG_JOB_ADD, SG_JOB_END },
	{ SG_JOB_SPARE, SG_JOB_STORE, SG_JOB_PROVE },
	{ SG_JOB_SPARE, SG_JOB_STORE, SG_JOB_UNDO },
	{ SG_JOB_SPARE, SG_JOB_STORE, SG_JOB_END },
	{ SG_JOB_SPARE, SG_JOB_PROVE, SG_JOB_RETURN },
	{ SG_JOB_SPARE, SG_JOB_PROVE, SG_JOB_UNDO },
	{ SG_JOB_SPARE, SG_JOB_PROVE, SG_JOB_END },
	{ SG_JOB_SPARE, SG_JOB_RETURN, SG_JOB_END },
	{ SG_JOB_SPARE, SG_JOB_UNDO, SG_JOB_DISCARD },
	{ SG_JOB_SPARE, SG_JOB_UNDO, SG_JOB_END },
	{ SG_JOB_SPARE, SG_JOB_DISCARD, SG_JOB_END },
};

static int is_allowed(uint32_t kind, uint32_t from, uint32_t to)
{
	for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++) {
		if (allowed[i].kind == kind && allowed[i].from == from && allowed[i].to == to)
			return 1;
	}
	return 0;
}

static void every_pair_that_is_not_listed_is_an_error(void **state)
{
	for (uint32_t kind = 0; kind < SG_JOB_KINDS; kind++) {
		for (uint32_t from = 0; from <= SG_JOB_STATES; from++) {
			for (uint32_t to = 0; to <= SG_JOB_STATES; to++)
				assert_int_equal(
				    sg_job_may(kind, from, to), is_allowed(kind, from, to));
		}
	}
	assert_int_equal(sg_job_may(SG_JOB_KINDS, SG_JOB_NEW, SG_JOB_END), 0);
}

/* ---- the store ---- */

struct world {
	char folder[32];
	char path[64];
	struct sg_store *store;
};

static int setup(void **state)
{
	struct world *world = calloc(1, sizeof(*world));
	char jid[] = "juliet@example.org";
	struct sg_account_row row = { .jid = jid };

	snprintf(world->folder, sizeof(world->folder), "/tmp/signet-jobs-XXXXXX");
	assert_non_null(mkdtemp(world->folder));
	snprintf(world->path, sizeof(world->path), "%s/agent.db", world->folder);
	assert_int_equal(sg_store_open(world->path, &world->store), 0);
	assert_int_equal(sg_store_account_put(world->store, &row), 0);
	*state = world;
	return 0;
}

static int teardown(void **state)
{
	struct world *world = *state;
	char name[80];

	sg_store_close(world->store);
	unlink(world->path);
	snprintf(name, sizeof(name), "%s-wal", world->path);
	unlink(name);
	snprintf(name, sizeof(name), "%s-shm", world->path);
	unlink(name);
	rmdir(world->folder);
	free(world);
	return 0;
}

static struct sg_job_row job(uint32_t kind, uint32_t state, const char *sha256)
{
	struct sg_job_row row = { .kind = kind, .state = state, .begun = 17, .tries = 3 };

	row.jid = strdup("juliet@example.org");
	row.key = strdup("pkcs11:object=client;type=private");
	row.name = strdup("signet on laptop");
	row.sha256 = sha256 != NULL ? strdup(sha256) : NULL;
	row.old_key = strdup("pkcs11:object=old");
	row.waits = 43;
	row.waits_text = strdup("no connection");
	assert_int_equal(sg_blob_set(&row.csr, "request", 7), 0);
	return row;
}

struct seen {
	size_t count;
	struct sg_job_row last;
};

static int keep(void *arg, struct sg_job_row *row)
{
	struct seen *seen = arg;

	seen->count++;
	sg_job_row_clear(&seen->last);
	seen->last = *row;
	memset(row, 0, sizeof(*row));
	return 0;
}

static struct seen all(struct world *world)
{
	struct seen seen = { 0 };

	assert_int_equal(sg_store_jobs(world->store, "juliet@example.org", keep, &seen), 0);
	return seen;
}

static void a_job_is_what_it_was_after_a_restart(void **state)
{
	struct world *world = *state;
	struct sg_job_row row = job(SG_JOB_ENROL, SG_JOB_ADD, NULL);
	struct seen seen;
	int64_t id;

	assert_int_equal(sg_store_job_put(world->store, &row), 0);
	id = row.id;
	assert_true(id > 0);
	row.state = SG_JOB_STORE;
	assert_int_equal(sg_blob_set(&row.cert, "certificate", 11), 0);
	assert_int_equal(sg_store_job_put(world->store, &row), 0);
	assert_int_equal(row.id, id);
	sg_store_close(world->store);
	assert_int_equal(sg_store_open(world->path, &world->store), 0);
	seen = all(world);
	assert_int_equal(seen.count, 1);
	assert_int_equal(seen.last.state, SG_JOB_STORE);
	assert_int_equal(seen.last.begun, 17);
	assert_int_equal(seen.last.tries, 3);
	assert_int_equal(seen.last.waits, 43);
	assert_string_equal(seen.last.waits_text, "no connection");
	assert_string_equal(seen.last.key, row.key);
	assert_string_equal(seen.last.name, row.name);
	assert_string_equal(seen.last.old_key, row.old_key);
	assert_null(seen.last.old_certificate);
	assert_null(seen.last.sha256);
	assert_true(sg_blob_eq(&seen.last.csr, &row.csr));
	assert_true(sg_blob_eq(&seen.last.cert, &row.cert));
	assert_int_equal(sg_store_job_delete(world->store, id), 0);
	sg_job_row_clear(&seen.last);
	assert_int_equal(all(world).count, 0);
	sg_job_row_clear(&row);
}

/* One for a certificate, and one for each revocation. */
static void an_account_has_one_of_a_kind(void **state)
{
	struct world *world = *state;
	struct sg_job_row rows[] = {
		job(SG_JOB_ENROL, SG_JOB_ADD, NULL),
		job(SG_JOB_REVOKE, SG_JOB_REVOKE_IT, "aa"),
		job(SG_JOB_REVOKE, SG_JOB_REVOKE_IT, "bb"),
		job(SG_JOB_REPLACE, SG_JOB_ADD, NULL),
		job(SG_JOB_REVOKE, SG_JOB_REVOKE_IT, "bb"),
	};
	struct seen seen;

	for (size_t i = 0; i < 5; i++) {
		assert_int_equal(sg_store_job_put(world->store, &rows[i]), i < 3 ? 0 : SG_ERR_IO);
		sg_job_row_clear(&rows[i]);
	}
	seen = all(world);
	assert_int_equal(seen.count, 3);
	sg_job_row_clear(&seen.last);
	assert_int_equal(sg_store_account_delete(world->store, "juliet@example.org"), 0);
	assert_int_equal(all(world).count, 0);
}

static void what_makes_no_sense_is_left_alone(void **state)
{
	struct world *world = *state;
	struct sg_job_row rows[] = {
		job(SG_JOB_REVOKE, SG_JOB_REVOKE_IT, NULL), /* of what? */
		job(SG_JOB_REVOKE, SG_JOB_RETIRE, "dd"), job(SG_JOB_REVOKE, SG_JOB_ADD, "aa"),
		job(SG_JOB_REVOKE, SG_JOB_END, "bb"), job(SG_JOB_REVOKE, SG_JOB_STATES, "cc"),
		job(SG_JOB_ENROL, SG_JOB_STORE, NULL), /* without a certificate */
	};
	struct seen seen;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(sg_store_job_put(world->store, &rows[i]), 0);
		sg_job_row_clear(&rows[i]);
	}
	seen = all(world);
	assert_int_equal(seen.count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_pair_that_is_not_listed_is_an_error),
		cmocka_unit_test_setup_teardown(
		    a_job_is_what_it_was_after_a_restart, setup, teardown),
		cmocka_unit_test_setup_teardown(an_account_has_one_of_a_kind, setup, teardown),
		cmocka_unit_test_setup_teardown(what_makes_no_sense_is_left_alone, setup, teardown),
	};

	return cmocka_run_group_tests_name("jobs", tests, NULL, NULL);
}
