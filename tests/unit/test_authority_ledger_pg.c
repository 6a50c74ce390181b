#include "ledger_world.h"

static void a_newer_database_is_refused(void **state)
{
	struct world *world = *state;
	struct capture capture;
	int err;

	postgres_do(&postgres, "UPDATE ledger_version SET version = 2");
	sg_ledger_close(world->ledger);
	assert_int_equal(sg_ledger_open(world->where, &world->ledger), 0);
	capture_begin(&capture);
	err = sg_ledger_wait(world->ledger, PATIENCE_MS);
	assert_non_null(strstr(capture_end(&capture), "version 2"));
	assert_int_equal(err, SG_ERR_UNSUPPORTED);
}

static void a_password_has_no_place_in_it(void **state)
{
	static const char *const bad[] = {
		"postgresql://signet:hunter2@localhost/signet",
		"postgres://localhost/signet?password=hunter2",
		"host=localhost dbname=signet password=hunter2",
		"dbname=signet sslpassword=hunter2",
	};
	struct sg_ledger *ledger;
	struct capture capture;
	int err;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		capture_begin(&capture);
		err = sg_ledger_open(bad[i], &ledger);
		capture_end(&capture);
		assert_int_equal(err, SG_ERR_CONFIG);
		assert_null(ledger);
		assert_non_null(strstr(capture.text, "passfile="));
		assert_null(strstr(capture.text, "hunter2"));
	}
	capture_begin(&capture);
	err = sg_ledger_open("dbname=signet colour=blue", &ledger);
	assert_non_null(strstr(capture_end(&capture), "colour"));
	assert_int_equal(err, SG_ERR_CONFIG);
}

static void another_encoding_is_refused(void **state)
{
	struct capture capture;
	struct sg_ledger *ledger;
	char where[300];
	int err;

	postgres_do(&postgres, "CREATE DATABASE latin TEMPLATE template0 ENCODING LATIN1");
	snprintf(where, sizeof(where), "host=%s user=tester dbname=latin", postgres.folder);
	assert_int_equal(sg_ledger_open(where, &ledger), 0);
	capture_begin(&capture);
	err = sg_ledger_wait(ledger, PATIENCE_MS);
	assert_non_null(strstr(capture_end(&capture), "-E UTF8"));
	assert_int_equal(err, SG_ERR_CONFIG);
	sg_ledger_close(ledger);
	postgres_do(&postgres, "DROP DATABASE latin");
}

/* Said once, however much is asked of it; what it told us meanwhile must be looked up afterwards. */
static void a_database_goes_and_comes(void **state)
{
	struct world *world = *state;
	struct sg_ledger_stats stats;
	struct capture capture;
	const char *first;

	assert_int_equal(add(world, JULIET, 1, NOW + DAY), SG_LEDGER_ADDED);
	(void)sg_ledger_step(world->ledger);
	postgres_stop(&postgres, SIGQUIT);
	capture_begin(&capture);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(sg_ledger_stats(world->ledger, NOW, &stats), SG_ERR_IO);
		assert_int_equal(sg_ledger_step(world->ledger), 0);
	}
	assert_int_equal(sg_ledger_wait(world->ledger, 3000), SG_ERR_IO);
	capture_end(&capture);
	first = strstr(capture.text, "try again later");
	assert_non_null(first);
	assert_null(strstr(first + 1, "try again later"));
	postgres_run(&postgres);
	assert_int_equal(sg_ledger_wait(world->ledger, PATIENCE_MS), 0);
	assert_int_equal(sg_ledger_step(world->ledger), 2);
	assert_int_equal(sg_ledger_step(world->ledger), 0);
	assert_valid(world, JULIET, "1");
}

/* A database that stands still is given up in bounded time, and costs no row. */
static void a_database_that_stands_still(void **state)
{
	struct world *world = *state;
	struct sg_ledger_stats stats;

	assert_int_equal(add(world, JULIET, 1, NOW + DAY), SG_LEDGER_ADDED);
	postgres_do(&postgres,
	    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
	    " WHERE application_name = 'signet-authority'");
	assert_int_equal(sg_ledger_stats(world->ledger, NOW, &stats), SG_ERR_IO);
	assert_int_equal(sg_ledger_stats(world->ledger, NOW, &stats), SG_ERR_IO);
	assert_int_equal(sg_ledger_wait(world->ledger, PATIENCE_MS), 0);
	assert_int_equal(sg_ledger_stats(world->ledger, NOW, &stats), 0);
	assert_int_equal(stats.issued, 1);
	postgres_do(&postgres, "SELECT 1"); /* it runs */
	kill(postgres.pid, SIGSTOP);
	/* the server's process for us goes on: only what needs a new one stands still */
	sg_ledger_close(world->ledger);
	assert_int_equal(sg_ledger_open(world->where, &world->ledger), 0);
	assert_int_equal(sg_ledger_wait(world->ledger, 500), SG_ERR_IO);
	assert_int_equal(sg_ledger_stats(world->ledger, NOW, &stats), SG_ERR_IO);
	kill(postgres.pid, SIGCONT);
	assert_int_equal(sg_ledger_wait(world->ledger, PATIENCE_MS), 0);
	assert_valid(world, JULIET, "1");
}

/* Somebody who holds the table fast makes one request fail, after a while, and nothing worse. */
static void a_table_that_is_held_fast(void **state)
{
	struct world *world = *state;
	PGconn *holder = PQconnectdb(world->where);
	struct made made = { 0 };

	PQclear(PQexec(holder, "BEGIN; LOCK TABLE certificate"));
	assert_int_equal(PQtransactionStatus(holder), PQTRANS_INTRANS);
	make(&made, JULIET, 1, NOW + DAY);
	assert_int_equal(sg_ledger_add(world->ledger, made.entries, 1, ROOM), SG_ERR_IO);
	PQfinish(holder);
	assert_int_equal(add(world, JULIET, 1, NOW + DAY), SG_LEDGER_ADDED);
	assert_valid(world, JULIET, "1");
}

int main(void)
{
	const struct CMUnitTest pg[] = {
		ON(on_postgres, a_newer_database_is_refused),
		ON(on_postgres, a_password_has_no_place_in_it),
		ON(on_postgres, another_encoding_is_refused),
		ON(on_postgres, a_database_goes_and_comes),
		ON(on_postgres, a_database_that_stands_still),
		ON(on_postgres, a_table_that_is_held_fast),
	};

	return cmocka_run_group_tests_name(
	    "authority_ledger_pg", pg, postgres_begins, postgres_ends);
}
