#include "ledger_world.h"

static int on_sqlite(void **state)
{
	struct world *world = calloc(1, sizeof(*world));

	snprintf(world->folder, sizeof(world->folder), "/tmp/signet-ledger-XXXXXX");
	assert_non_null(mkdtemp(world->folder));
	snprintf(world->path, sizeof(world->path), "%s/sub/ledger.db", world->folder);
	world->where = world->path;
	assert_int_equal(sg_ledger_open(world->where, &world->ledger), 0);
	*state = world;
	return 0;
}

static void reopen(struct world *world)
{
	sg_ledger_close(world->ledger);
	assert_int_equal(sg_ledger_open(world->where, &world->ledger), 0);
	assert_int_equal(sg_ledger_wait(world->ledger, PATIENCE_MS), 0);
}

static void assert_revoked(struct world *world, time_t from, const char *expected)
{
	char out[512] = "";

	assert_int_equal(sg_ledger_each_revoked(world->ledger, from, collect, out), 0);
	assert_string_equal(out, expected);
}

static int take_back(struct world *world, const char *account, const char *hash, const EVP_MD *md,
    unsigned char number, int *changed)
{
	unsigned char value[64];
	unsigned int len;
	char sha256[65];
	int found;

	assert_int_equal(EVP_Digest(&number, 1, value, &len, md, NULL), 1);
	found = sg_ledger_revoke(world->ledger, account, hash, value, len, NOW, sha256, changed);
	assert_int_equal(strlen(sha256), found == 1 ? 64 : 0);
	return found;
}

static void files_are_closed_to_others(void **state)
{
	struct world *world = *state;
	struct sg_ledger *other;
	struct capture capture;
	char folder[128];
	struct stat st;
	int err;

	assert_int_equal(add(world, JULIET, 1, NOW + DAY), SG_LEDGER_ADDED);
	assert_int_equal(stat(world->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	snprintf(folder, sizeof(folder), "%s-wal", world->path);
	assert_int_equal(stat(folder, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	snprintf(folder, sizeof(folder), "%s/sub", world->folder);
	assert_int_equal(stat(folder, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_int_equal(chmod(folder, 0755), 0);
	capture_begin(&capture);
	err = sg_ledger_open(world->path, &other);
	assert_non_null(strstr(capture_end(&capture), "chmod 700"));
	assert_int_equal(err, SG_ERR_CONFIG);
	assert_null(other);
	chmod(folder, 0700);
}

static void rows_outlive_the_process(void **state)
{
	struct world *world = *state;

	assert_int_equal(add(world, JULIET, 1, NOW + DAY), SG_LEDGER_ADDED);
	reopen(world);
	assert_valid(world, JULIET, "1");
}

static void a_newer_ledger_is_refused(void **state)
{
	struct world *world = *state;
	struct capture capture;
	sqlite3 *db;
	int err;

	sg_ledger_close(world->ledger);
	world->ledger = NULL;
	assert_int_equal(sqlite3_open(world->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "PRAGMA user_version = 3", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	capture_begin(&capture);
	err = sg_ledger_open(world->path, &world->ledger);
	assert_non_null(strstr(capture_end(&capture), "version 3"));
	assert_int_equal(err, SG_ERR_UNSUPPORTED);
	assert_null(world->ledger);
}

static void a_serial_is_used_once(void **state)
{
	struct world *world = *state;
	struct made made = { 0 };

	assert_int_equal(add(world, JULIET, 7, NOW + DAY), SG_LEDGER_ADDED);
	make(&made, ROMEO, 7, NOW + DAY);
	make(&made, ROMEO, 8, NOW + DAY);
	made.csr[0][0] = 9;
	assert_int_equal(sg_ledger_add(world->ledger, made.entries, 2, ROOM), 0);
	assert_int_equal(made.entries[0].outcome, SG_LEDGER_SERIAL_USED);
	assert_int_equal(made.entries[1].outcome, SG_LEDGER_ADDED);
	assert_valid(world, ROMEO, "8");
}

/* C6 */
static void only_usable_ones_count(void **state)
{
	struct world *world = *state;
	struct made made = { 0 };
	int changed;

	assert_int_equal(add(world, JULIET, 1, NOW), SG_LEDGER_ADDED);
	assert_int_equal(add(world, JULIET, 2, NOW - 1), SG_LEDGER_ADDED);
	assert_int_equal(add(world, JULIET, 3, NOW + DAY), SG_LEDGER_ADDED);
	assert_int_equal(add(world, ROMEO, 4, NOW + DAY), SG_LEDGER_ADDED);
	make(&made, JULIET, 5, NOW + DAY);
	assert_int_equal(sg_ledger_add(world->ledger, made.entries, 1, 2), 0);
	assert_int_equal(made.entries[0].outcome, SG_LEDGER_FULL);
	assert_int_equal(take_back(world, JULIET, "sha-256", EVP_sha256(), 3, &changed), 1);
	assert_int_equal(sg_ledger_add(world->ledger, made.entries, 1, 2), 0);
	assert_int_equal(made.entries[0].outcome, SG_LEDGER_ADDED);
	assert_valid(world, JULIET, "512");
}

/* C5, C6: what is added before in the same commit counts as well. */
static void many_are_added_at_once(void **state)
{
	static const enum sg_ledger_outcome expected[ADD_COUNT] = { SG_LEDGER_ADDED,
		SG_LEDGER_ADDED, SG_LEDGER_REPEATED, SG_LEDGER_ADDED, SG_LEDGER_FULL,
		SG_LEDGER_REPEATED, SG_LEDGER_ADDED };
	struct world *world = *state;
	struct made made = { 0 };

	make(&made, JULIET, 1, NOW + DAY);
	make(&made, ROMEO, 2, NOW + DAY);
	make(&made, JULIET, 3, NOW + DAY);
	made.csr[2][0] = 1;
	make(&made, JULIET, 4, NOW + DAY);
	make(&made, JULIET, 5, NOW + DAY);
	make(&made, JULIET, 6, NOW + DAY); /* full, but it is there */
	made.csr[5][0] = 4;
	make(&made, ROMEO, 7, NOW + DAY);
	assert_int_equal(sg_ledger_add(world->ledger, made.entries, made.count, 2), 0);
	for (size_t i = 0; i < made.count; i++) {
		struct sg_blob *before = &made.entries[i].der_before;

		assert_int_equal(made.entries[i].outcome, expected[i]);
		if (expected[i] == SG_LEDGER_REPEATED) {
			assert_int_equal(before->len, 1);
			assert_int_equal(before->data[0], made.csr[i][0]);
		}
		sg_blob_clear(before);
	}
	assert_valid(world, JULIET, "41");
	assert_valid(world, ROMEO, "72");
	assert_int_equal(sg_ledger_add(world->ledger, made.entries, 0, 2), 0); /* no failure */
}

static void a_request_is_looked_up(void **state)
{
	struct world *world = *state;
	unsigned char csr[32] = { 1 };
	struct sg_blob der;
	uint32_t count = 77;
	int changed;

	assert_int_equal(sg_ledger_look(world->ledger, JULIET, csr, NOW, &der, &count), 0);
	assert_int_equal(count, 0);
	assert_int_equal(add(world, JULIET, 1, NOW + DAY), SG_LEDGER_ADDED);
	assert_int_equal(sg_ledger_look(world->ledger, JULIET, csr, NOW, &der, &count), 1);
	assert_int_equal(der.len, 1);
	assert_int_equal(der.data[0], 1);
	sg_blob_clear(&der);
	assert_int_equal(sg_ledger_look(world->ledger, ROMEO, csr, NOW, &der, &count), 0);
	assert_int_equal(
	    sg_ledger_look(world->ledger, JULIET, csr, NOW + 2 * DAY, &der, &count), 0);
	assert_int_equal(count, 0);
	csr[31] = 1;
	assert_int_equal(sg_ledger_look(world->ledger, JULIET, csr, NOW, &der, &count), 0);
	assert_int_equal(count, 1);
	csr[31] = 0;
	assert_int_equal(take_back(world, JULIET, "sha-1", EVP_sha1(), 1, &changed), 1);
	assert_int_equal(sg_ledger_look(world->ledger, JULIET, csr, NOW, &der, &count), 0);
	assert_null(der.data);
}

static void a_request_that_is_forgotten_gets_another(void **state)
{
	struct world *world = *state;
	unsigned char csr[32] = { 1 };
	struct sg_blob der;
	uint32_t count;

	assert_int_equal(add(world, JULIET, 1, NOW + DAY), SG_LEDGER_ADDED);
	assert_int_equal(sg_ledger_look(world->ledger, JULIET, csr, NOW, &der, &count), 1);
	assert_int_equal(sg_ledger_forget_request(world->ledger, &der), 0);
	sg_blob_clear(&der);
	assert_int_equal(sg_ledger_look(world->ledger, JULIET, csr, NOW, &der, &count), 0);
	assert_int_equal(count, 1);
	assert_valid(world, JULIET, "1");
}

static void the_list_begins_with_the_usable(void **state)
{
	struct world *world = *state;
	int changed;

	assert_int_equal(add(world, JULIET, 1, NOW + DAY), SG_LEDGER_ADDED);
	assert_int_equal(add(world, JULIET, 2, NOW + DAY), SG_LEDGER_ADDED);
	assert_int_equal(add(world, JULIET, 3, NOW - DAY), SG_LEDGER_ADDED);
	assert_int_equal(add(world, JULIET, 4, NOW + DAY), SG_LEDGER_ADDED);
	assert_int_equal(add(world, ROMEO, 5, NOW + DAY), SG_LEDGER_ADDED);
	assert_int_equal(take_back(world, JULIET, "sha-512", EVP_sha512(), 4, &changed), 1);
	assert_valid(world, JULIET, "213");
	assert_valid(world, "nobody@xmpp.test", "");
}

static void revoking_is_the_owners_and_idempotent(void **state)
{
	struct world *world = *state;
	int changed;

	assert_int_equal(add(world, JULIET, 1, NOW + DAY), SG_LEDGER_ADDED);
	assert_int_equal(add(world, JULIET, 2, NOW + 3 * DAY), SG_LEDGER_ADDED);
	assert_int_equal(take_back(world, ROMEO, "sha-256", EVP_sha256(), 1, &changed), 0);
	assert_int_equal(changed, 0);
	assert_int_equal(take_back(world, JULIET, "sha-256", EVP_sha256(), 9, &changed), 0);
	assert_int_equal(take_back(world, JULIET, "sha-1", EVP_sha256(), 1, &changed), 0);
	assert_int_equal(take_back(world, JULIET, "md5", EVP_md5(), 1, &changed), SG_ERR_ARG);
	assert_revoked(world, 0, "");
	assert_int_equal(take_back(world, JULIET, "sha-256", EVP_sha256(), 1, &changed), 1);
	assert_int_equal(changed, 1);
	assert_int_equal(take_back(world, JULIET, "sha-256", EVP_sha256(), 1, &changed), 1);
	assert_int_equal(changed, 0);
	assert_int_equal(take_back(world, JULIET, "sha-512", EVP_sha512(), 2, &changed), 1);
	assert_revoked(world, 0, "12");
	assert_revoked(world, NOW + 2 * DAY, "2");
	assert_valid(world, JULIET, "");
}

static void last_use_only_grows(void **state)
{
	struct world *world = *state;
	unsigned char one = 1, hash[32];
	char *sha256;

	assert_int_equal(add(world, JULIET, 1, NOW + DAY), SG_LEDGER_ADDED);
	EVP_Digest(&one, 1, hash, NULL, EVP_sha256(), NULL);
	sha256 = sg_hex_encode(hash, sizeof(hash));
	assert_int_equal(sg_ledger_touch(world->ledger,
			     (struct sg_ledger_use[]){ { sha256, "2026-02-01T00:00:00Z" },
				 { sha256, "2026-01-01T00:00:00Z" } },
			     2),
	    0);
	assert_valid(world, JULIET, "12026-02-01T00:00:00Z");
	free(sha256);
}

static void crl_numbers_grow_over_restarts(void **state)
{
	struct world *world = *state;
	uint32_t number;

	for (uint32_t i = 1; i <= 3; i++) {
		assert_int_equal(sg_ledger_next_crl(world->ledger, 0, &number), 0);
		assert_int_equal(number, i);
	}
	reopen(world);
	assert_int_equal(sg_ledger_next_crl(world->ledger, 2, &number), 0);
	assert_int_equal(number, 4);
	assert_int_equal(sg_ledger_next_crl(world->ledger, 100, &number), 0);
	assert_int_equal(number, 101);
	assert_int_equal(sg_ledger_next_crl(world->ledger, 0, &number), 0);
	assert_int_equal(number, 102);
}

static int stop(void *arg, const struct sg_ledger_row *row)
{
	++*(int *)arg;
	return 1;
}

static int count_row(void *arg, const struct sg_ledger_row *row)
{
	++*(int *)arg;
	return 0;
}

static void a_walk_can_be_ended(void **state)
{
	struct world *world = *state;
	int calls = 0;

	assert_int_equal(add(world, JULIET, 1, NOW + DAY), SG_LEDGER_ADDED);
	assert_int_equal(add(world, JULIET, 2, NOW + DAY), SG_LEDGER_ADDED);
	assert_int_equal(sg_ledger_each_unrevoked(world->ledger, JULIET, NOW, stop, &calls), 1);
	assert_int_equal(calls, 1);
}

static void assert_each(struct world *world, const char *account, enum sg_ledger_state of,
    int64_t after, uint32_t limit, const char *expected)
{
	const struct sg_ledger_filter filter = {
		.account = account,
		.state = of,
		.now = NOW,
		.after_id = after,
		.limit = limit,
	};
	char out[512] = "";

	assert_int_equal(sg_ledger_each(world->ledger, &filter, collect, out), 0);
	assert_string_equal(out, expected);
}

static int take_id(void *arg, const struct sg_ledger_row *row)
{
	*(int64_t *)arg = row->id;
	return 0;
}

static void the_operator_pages_through_it(void **state)
{
	const struct sg_ledger_filter two = { .limit = 2 };
	struct world *world = *state;
	int64_t id = 0;
	int changed;

	for (unsigned char i = 1; i <= 6; i++)
		assert_int_equal(
		    add(world, i % 2 ? JULIET : ROMEO, i, i < 5 ? NOW : NOW - 1), SG_LEDGER_ADDED);
	assert_int_equal(take_back(world, JULIET, "sha-256", EVP_sha256(), 3, &changed), 1);
	assert_each(world, NULL, SG_LEDGER_ANY, 0, 100, "123456");
	assert_each(world, NULL, SG_LEDGER_USABLE, 0, 100, "124");
	assert_each(world, NULL, SG_LEDGER_EXPIRED, 0, 100, "56");
	assert_each(world, NULL, SG_LEDGER_REVOKED, 0, 100, "3");
	assert_each(world, JULIET, SG_LEDGER_ANY, 0, 100, "135");
	assert_each(world, ROMEO, SG_LEDGER_USABLE, 0, 100, "24");
	assert_each(world, NULL, SG_LEDGER_ANY, 0, 2, "12");
	assert_int_equal(sg_ledger_each(world->ledger, &two, take_id, &id), 0);
	assert_each(world, NULL, SG_LEDGER_ANY, id, 100, "3456");
}

static void assert_find(struct world *world, const char *prefix, const char *expected)
{
	char out[512] = "";

	assert_int_equal(sg_ledger_find(world->ledger, prefix, collect, out), 0);
	assert_string_equal(out, expected);
}

static void the_operator_finds_by_digits(void **state)
{
	static const char *const bad[] = { "", "0102030", "0102030G", "0102 304",
		"\xc3\xa4\xc3\xa4", "ABCDEF01" };
	struct world *world = *state;
	unsigned char one = 1, hash[32];
	char *sha256, out[8];

	assert_int_equal(add(world, JULIET, 1, NOW), SG_LEDGER_ADDED);
	assert_int_equal(add(world, ROMEO, 2, NOW), SG_LEDGER_ADDED);
	EVP_Digest(&one, 1, hash, NULL, EVP_sha256(), NULL);
	sha256 = sg_hex_encode(hash, sizeof(hash));
	assert_find(world, sha256, "1");
	sha256[SG_LEDGER_PREFIX_MIN] = '\0';
	assert_find(world, sha256, "1");
	assert_find(world, "0101000000000000000000000000000000000000", "1");
	assert_find(world, "010200000", "2");
	assert_find(world, "010300000", "");
	assert_find(
	    world, "01010000000000000000000000000000000000001", ""); /* no serial is so long */
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(sg_ledger_find(world->ledger, bad[i], collect, out), SG_ERR_ARG);
	free(sha256);
}

static void the_operator_revokes_with_a_reason(void **state)
{
	const struct sg_ledger_filter all = { .limit = 1 };
	struct world *world = *state;
	char *long_reason = many('x', SG_LEDGER_REASON_MAX + 1);
	int64_t id = 0;
	int changed;

	assert_int_equal(add(world, JULIET, 1, NOW + DAY), SG_LEDGER_ADDED);
	assert_int_equal(sg_ledger_each(world->ledger, &all, take_id, &id), 0);
	assert_int_equal(
	    sg_ledger_revoke_id(world->ledger, id, long_reason, NOW, &changed), SG_ERR_ARG);
	assert_revoked(world, 0, "");
	assert_int_equal(sg_ledger_revoke_id(world->ledger, id + 1, "lost", NOW, &changed), 0);
	assert_int_equal(changed, 0);
	assert_int_equal(sg_ledger_revoke_id(world->ledger, id, long_reason + 1, NOW, &changed), 0);
	assert_int_equal(changed, 1);
	assert_int_equal(sg_ledger_revoke_id(world->ledger, id, "again", NOW + 1, &changed), 0);
	assert_int_equal(changed, 0);
	assert_int_equal(take_back(world, JULIET, "sha-256", EVP_sha256(), 1, &changed), 1);
	assert_int_equal(changed, 0);
	free(long_reason);
}

static void it_is_counted(void **state)
{
	struct world *world = *state;
	struct sg_ledger_stats stats;
	uint32_t number;
	int changed;

	assert_int_equal(add(world, JULIET, 1, NOW), SG_LEDGER_ADDED);
	assert_int_equal(add(world, JULIET, 2, NOW), SG_LEDGER_ADDED);
	assert_int_equal(add(world, ROMEO, 3, NOW), SG_LEDGER_ADDED);
	assert_int_equal(add(world, ROMEO, 4, NOW - 1), SG_LEDGER_ADDED);
	assert_int_equal(add(world, ROMEO, 5, NOW), SG_LEDGER_ADDED);
	assert_int_equal(take_back(world, ROMEO, "sha-256", EVP_sha256(), 3, &changed), 1);
	assert_int_equal(sg_ledger_next_crl(world->ledger, 0, &number), 0);
	assert_int_equal(sg_ledger_stats(world->ledger, NOW, &stats), 0);
	assert_int_equal(stats.issued, 5);
	assert_int_equal(stats.usable, 3);
	assert_int_equal(stats.expired, 1);
	assert_int_equal(stats.revoked, 1);
	assert_int_equal(stats.accounts, 2);
	assert_int_equal(stats.crl_number, number);
}

/* What an operator's command does is seen without looking for it all the time. */
static void others_are_heard(void **state)
{
	struct world *world = *state;
	struct sg_ledger *other;
	struct pollfd pfd;
	int changed;

	assert_int_equal(add(world, JULIET, 1, NOW + DAY), SG_LEDGER_ADDED);
	(void)sg_ledger_step(world->ledger);
	assert_int_equal(sg_ledger_step(world->ledger), 0); /* what we did ourselves is no news */
	assert_int_equal(sg_ledger_open(world->where, &other), 0);
	assert_int_equal(sg_ledger_wait(other, PATIENCE_MS), 0);
	assert_int_equal(sg_ledger_revoke_id(other, 1, NULL, NOW, &changed), 0);
	assert_int_equal(changed, 1);
	sg_ledger_close(other);
	(void)sg_ledger_prepare(world->ledger, &pfd);
	assert_int_equal(poll(&pfd, 1, PATIENCE_MS), 1);
	assert_int_equal(sg_ledger_step(world->ledger), 1);
	assert_int_equal(sg_ledger_step(world->ledger), 0);
	(void)sg_ledger_prepare(world->ledger, &pfd);
	assert_int_equal(poll(&pfd, 1, 0), 0);
}

/* News that came with the answer to a statement make nothing readable any more. */
static void others_are_heard_beside_other_work(void **state)
{
	struct world *world = *state;
	struct sg_ledger_stats stats;
	struct sg_ledger *other;
	struct pollfd pfd;
	int changed, wait_ms;

	assert_int_equal(add(world, JULIET, 1, NOW + DAY), SG_LEDGER_ADDED);
	while (sg_ledger_step(world->ledger))
		;
	assert_int_equal(sg_ledger_open(world->where, &other), 0);
	assert_int_equal(sg_ledger_wait(other, PATIENCE_MS), 0);
	assert_int_equal(sg_ledger_revoke_id(other, 1, NULL, NOW, &changed), 0);
	sg_ledger_close(other);
	for (int i = 0; i < 10; i++)
		assert_int_equal(sg_ledger_stats(world->ledger, NOW, &stats), 0);
	wait_ms = sg_ledger_prepare(world->ledger, &pfd);
	assert_true(wait_ms == 0 || poll(&pfd, 1, PATIENCE_MS) == 1);
	assert_int_equal(sg_ledger_step(world->ledger), 1);
}

/* A ledger of version 1 goes on as it is. */
static void an_older_ledger_is_taken_over(void **state)
{
	struct world *world = *state;
	sqlite3 *db;

	assert_int_equal(add(world, JULIET, 1, NOW + DAY), SG_LEDGER_ADDED);
	sg_ledger_close(world->ledger);
	assert_int_equal(sqlite3_open(world->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db,
			     "ALTER TABLE certificate DROP COLUMN reason;"
			     "DROP INDEX certificate_csr;"
			     "PRAGMA user_version = 1",
			     NULL, NULL, NULL),
	    SQLITE_OK);
	sqlite3_close(db);
	assert_int_equal(sg_ledger_open(world->path, &world->ledger), 0);
	assert_valid(world, JULIET, "1");
	assert_int_equal(add(world, JULIET, 2, NOW + DAY), SG_LEDGER_ADDED);
}

/* ---- several instances */

static int add_on(
    struct sg_ledger *ledger, const char *account, unsigned char number, uint32_t limit)
{
	struct made made = { 0 };

	make(&made, account, number, NOW + DAY);
	if (sg_ledger_add(ledger, made.entries, 1, limit) != 0)
		return -1;
	sg_blob_clear(&made.entries[0].der_before);
	return (int)made.entries[0].outcome;
}

/* Eight processes that add for two accounts at once: never one more than there may be. */
static void no_instance_goes_beyond_the_limit(void **state)
{
	struct world *world = *state;
	pid_t pids[8];
	int status;

	for (unsigned char i = 0; i < 8; i++) {
		pids[i] = fork();
		assert_true(pids[i] >= 0);
		if (pids[i] == 0) {
			struct sg_ledger *ledger;
			int bad = sg_ledger_open(world->where, &ledger) != 0 ||
			    sg_ledger_wait(ledger, PATIENCE_MS) != 0;

			for (unsigned char j = 0; !bad && j < 10; j++)
				bad = add_on(ledger, j % 2 ? JULIET : ROMEO,
					  (unsigned char)(10 * i + j), 7) < 0;
			_exit(bad);
		}
	}
	for (int i = 0; i < 8; i++) {
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
	for (int i = 0; i < 2; i++) {
		int calls = 0;

		assert_int_equal(sg_ledger_each_unrevoked(
				     world->ledger, i ? JULIET : ROMEO, NOW, count_row, &calls),
		    0);
		assert_int_equal(calls, 7);
	}
}

/* C5: and one certificate for a request, whoever was asked. */
static void no_two_instances_answer_one_request_twice(void **state)
{
	struct world *world = *state;
	int added = 0, status;
	pid_t pids[8];

	for (unsigned char i = 0; i < 8; i++) {
		pids[i] = fork();
		assert_true(pids[i] >= 0);
		if (pids[i] == 0) {
			struct made made = { 0 };
			struct sg_ledger *ledger;

			make(&made, JULIET, (unsigned char)(i + 1), NOW + DAY);
			memset(made.csr, 7, sizeof(made.csr));
			if (sg_ledger_open(world->where, &ledger) != 0 ||
			    sg_ledger_wait(ledger, PATIENCE_MS) != 0 ||
			    sg_ledger_add(ledger, made.entries, 1, ROOM) != 0)
				_exit(99);
			_exit((int)made.entries[0].outcome);
		}
	}
	for (int i = 0; i < 8; i++) {
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_true(WIFEXITED(status));
		if (WEXITSTATUS(status) == SG_LEDGER_ADDED)
			added++;
		else
			assert_int_equal(WEXITSTATUS(status), SG_LEDGER_REPEATED);
	}
	assert_int_equal(added, 1);
}

/* What holds for every engine. */
#define ON_EVERY(setup)                                                                            \
	ON(setup, rows_outlive_the_process), ON(setup, a_serial_is_used_once),                     \
	    ON(setup, only_usable_ones_count), ON(setup, many_are_added_at_once),                  \
	    ON(setup, a_request_is_looked_up),                                                     \
	    ON(setup, a_request_that_is_forgotten_gets_another),                                   \
	    ON(setup, the_list_begins_with_the_usable),                                            \
	    ON(setup, revoking_is_the_owners_and_idempotent), ON(setup, last_use_only_grows),      \
	    ON(setup, crl_numbers_grow_over_restarts), ON(setup, a_walk_can_be_ended),             \
	    ON(setup, the_operator_pages_through_it), ON(setup, the_operator_finds_by_digits),     \
	    ON(setup, the_operator_revokes_with_a_reason), ON(setup, it_is_counted),               \
	    ON(setup, others_are_heard), ON(setup, others_are_heard_beside_other_work),            \
	    ON(setup, no_instance_goes_beyond_the_limit),                                          \
	    ON(setup, no_two_instances_answer_one_request_twice)

int main(void)
{
	const struct CMUnitTest sqlite[] = {
		ON_EVERY(on_sqlite),
		ON(on_sqlite, files_are_closed_to_others),
		ON(on_sqlite, a_newer_ledger_is_refused),
		ON(on_sqlite, an_older_ledger_is_taken_over),
	};
	const struct CMUnitTest pg[] = {
		ON_EVERY(on_postgres),
	};
	int failed;

	umask(077); /* as sg_harden_process() sets it */
	failed = cmocka_run_group_tests_name("authority_ledger: sqlite", sqlite, NULL, NULL);
	return failed +
	    cmocka_run_group_tests_name(
		"authority_ledger: postgresql", pg, postgres_begins, postgres_ends);
}
