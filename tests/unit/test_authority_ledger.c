#include "authority/ledger.h"

#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "capture.h"
#include "codecs.h"

#define JULIET "juliet@xmpp.test"
#define ROMEO  "romeo@xmpp.test"

struct world {
	char folder[64];
	char path[96];
	struct sg_ledger *ledger;
};

static int setup(void **state)
{
	struct world *world = calloc(1, sizeof(*world));

	snprintf(world->folder, sizeof(world->folder), "/tmp/signet-ledger-XXXXXX");
	assert_non_null(mkdtemp(world->folder));
	snprintf(world->path, sizeof(world->path), "%s/sub/ledger.db", world->folder);
	assert_int_equal(sg_ledger_open(world->path, &world->ledger), 0);
	*state = world;
	return 0;
}

static int teardown(void **state)
{
	static const char *const names[] = { "/sub/ledger.db", "/sub/ledger.db-wal",
		"/sub/ledger.db-shm", "/sub", "" };
	struct world *world = *state;
	char path[128];

	sg_ledger_close(world->ledger);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s%s", world->folder, names[i]);
		remove(path);
	}
	free(world);
	return 0;
}

/* A certificate of which only the bytes matter here. */
static int add(struct world *world, const char *account, unsigned char number, time_t not_after)
{
	unsigned char serial[SG_SERIAL_LEN] = { 1, number }, csr[32] = { number };
	struct sg_blob der = { &number, 1 };
	struct sg_ledger_entry entry = {
		.serial = serial,
		.account = account,
		.name = number == 2 ? "" : "Phone \xc3\xa4",
		.der = &der,
		.csr_sha256 = csr,
		.issued_at = NOW,
		.not_after = not_after,
	};

	return sg_ledger_add(world->ledger, &entry);
}

static int collect(void *arg, const struct sg_ledger_row *row)
{
	char *out = arg;

	snprintf(out + strlen(out), 64, "%u", row->der.data[0]);
	if (row->last_used != NULL)
		snprintf(out + strlen(out), 64, "%s", row->last_used);
	assert_int_equal(row->serial[1], row->der.data[0]);
	assert_int_equal(strlen(row->sha256), 64);
	return 0;
}

static void assert_valid(struct world *world, const char *account, const char *expected)
{
	char out[512] = "";

	assert_int_equal(sg_ledger_each_valid(world->ledger, account, NOW, collect, out), 0);
	assert_string_equal(out, expected);
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

	assert_int_equal(add(world, JULIET, 1, NOW + DAY), 0);
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

	assert_int_equal(add(world, JULIET, 1, NOW + DAY), 0);
	sg_ledger_close(world->ledger);
	assert_int_equal(sg_ledger_open(world->path, &world->ledger), 0);
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
	assert_int_equal(sqlite3_exec(db, "PRAGMA user_version = 2", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	capture_begin(&capture);
	err = sg_ledger_open(world->path, &world->ledger);
	assert_non_null(strstr(capture_end(&capture), "version 2"));
	assert_int_equal(err, SG_ERR_UNSUPPORTED);
	assert_null(world->ledger);
}

static void a_serial_is_used_once(void **state)
{
	struct world *world = *state;
	unsigned char serial[SG_SERIAL_LEN] = { 1, 7 };
	struct capture capture;
	int err;

	assert_int_equal(sg_ledger_has_serial(world->ledger, serial), 0);
	assert_int_equal(add(world, JULIET, 7, NOW + DAY), 0);
	assert_int_equal(sg_ledger_has_serial(world->ledger, serial), 1);
	capture_begin(&capture);
	err = add(world, ROMEO, 7, NOW + DAY);
	assert_non_null(strstr(capture_end(&capture), "ledger: add"));
	assert_int_equal(err, SG_ERR_IO);
	assert_valid(world, ROMEO, "");
}

static void only_usable_ones_count(void **state)
{
	struct world *world = *state;
	uint32_t count = 77;
	int changed;

	assert_int_equal(sg_ledger_count(world->ledger, JULIET, NOW, &count), 0);
	assert_int_equal(count, 0);
	assert_int_equal(add(world, JULIET, 1, NOW), 0);
	assert_int_equal(add(world, JULIET, 2, NOW - 1), 0);
	assert_int_equal(add(world, JULIET, 3, NOW + DAY), 0);
	assert_int_equal(add(world, ROMEO, 4, NOW + DAY), 0);
	assert_int_equal(take_back(world, JULIET, "sha-256", EVP_sha256(), 3, &changed), 1);
	assert_int_equal(sg_ledger_count(world->ledger, JULIET, NOW, &count), 0);
	assert_int_equal(count, 1);
}

static void the_same_request_is_found(void **state)
{
	struct world *world = *state;
	unsigned char csr[32] = { 1 };
	struct sg_blob der;
	int changed;

	assert_int_equal(sg_ledger_find_csr(world->ledger, JULIET, csr, NOW, &der), 0);
	assert_int_equal(add(world, JULIET, 1, NOW + DAY), 0);
	assert_int_equal(sg_ledger_find_csr(world->ledger, JULIET, csr, NOW, &der), 1);
	assert_int_equal(der.len, 1);
	assert_int_equal(der.data[0], 1);
	sg_blob_clear(&der);
	assert_int_equal(sg_ledger_find_csr(world->ledger, ROMEO, csr, NOW, &der), 0);
	assert_int_equal(sg_ledger_find_csr(world->ledger, JULIET, csr, NOW + 2 * DAY, &der), 0);
	csr[31] = 1;
	assert_int_equal(sg_ledger_find_csr(world->ledger, JULIET, csr, NOW, &der), 0);
	csr[31] = 0;
	assert_int_equal(take_back(world, JULIET, "sha-1", EVP_sha1(), 1, &changed), 1);
	assert_int_equal(sg_ledger_find_csr(world->ledger, JULIET, csr, NOW, &der), 0);
	assert_null(der.data);
}

static void the_list_begins_with_the_usable(void **state)
{
	struct world *world = *state;
	int changed;

	assert_int_equal(add(world, JULIET, 1, NOW + DAY), 0);
	assert_int_equal(add(world, JULIET, 2, NOW + DAY), 0);
	assert_int_equal(add(world, JULIET, 3, NOW - DAY), 0);
	assert_int_equal(add(world, JULIET, 4, NOW + DAY), 0);
	assert_int_equal(add(world, ROMEO, 5, NOW + DAY), 0);
	assert_int_equal(take_back(world, JULIET, "sha-512", EVP_sha512(), 4, &changed), 1);
	assert_valid(world, JULIET, "213");
	assert_valid(world, "nobody@xmpp.test", "");
}

static void revoking_is_the_owners_and_idempotent(void **state)
{
	struct world *world = *state;
	int changed;

	assert_int_equal(add(world, JULIET, 1, NOW + DAY), 0);
	assert_int_equal(add(world, JULIET, 2, NOW + 3 * DAY), 0);
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

	assert_int_equal(add(world, JULIET, 1, NOW + DAY), 0);
	EVP_Digest(&one, 1, hash, NULL, EVP_sha256(), NULL);
	sha256 = sg_hex_encode(hash, sizeof(hash));
	assert_int_equal(sg_ledger_touch(world->ledger, sha256, "2026-02-01T00:00:00Z"), 0);
	assert_int_equal(sg_ledger_touch(world->ledger, sha256, "2026-01-01T00:00:00Z"), 0);
	assert_valid(world, JULIET, "12026-02-01T00:00:00Z");
	free(sha256);
}

static void crl_numbers_grow_over_restarts(void **state)
{
	struct world *world = *state;
	uint32_t number;

	for (uint32_t i = 1; i <= 3; i++) {
		assert_int_equal(sg_ledger_next_crl(world->ledger, &number), 0);
		assert_int_equal(number, i);
	}
	sg_ledger_close(world->ledger);
	assert_int_equal(sg_ledger_open(world->path, &world->ledger), 0);
	assert_int_equal(sg_ledger_next_crl(world->ledger, &number), 0);
	assert_int_equal(number, 4);
}

static int stop(void *arg, const struct sg_ledger_row *row)
{
	++*(int *)arg;
	return 1;
}

static void a_walk_can_be_ended(void **state)
{
	struct world *world = *state;
	int calls = 0;

	assert_int_equal(add(world, JULIET, 1, NOW + DAY), 0);
	assert_int_equal(add(world, JULIET, 2, NOW + DAY), 0);
	assert_int_equal(sg_ledger_each_valid(world->ledger, JULIET, NOW, stop, &calls), 1);
	assert_int_equal(calls, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(files_are_closed_to_others, setup, teardown),
		cmocka_unit_test_setup_teardown(rows_outlive_the_process, setup, teardown),
		cmocka_unit_test_setup_teardown(a_newer_ledger_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(a_serial_is_used_once, setup, teardown),
		cmocka_unit_test_setup_teardown(only_usable_ones_count, setup, teardown),
		cmocka_unit_test_setup_teardown(the_same_request_is_found, setup, teardown),
		cmocka_unit_test_setup_teardown(the_list_begins_with_the_usable, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    revoking_is_the_owners_and_idempotent, setup, teardown),
		cmocka_unit_test_setup_teardown(last_use_only_grows, setup, teardown),
		cmocka_unit_test_setup_teardown(crl_numbers_grow_over_restarts, setup, teardown),
		cmocka_unit_test_setup_teardown(a_walk_can_be_ended, setup, teardown),
	};

	umask(077); /* as sg_harden_process() sets it */
	return cmocka_run_group_tests_name("authority_ledger", tests, NULL, NULL);
}
