/* Which certificates Sign knows without reading the store again. */
#include "signings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "codecs.h"
#include "store.h"

#define CERTS (SG_SIGNINGS_MAX + 1)

static char juliet[] = "juliet@example.test";

struct world {
	char dir[64];
	char path[96];
	struct sg_agent agent;
	struct sg_account account;
	struct sg_signings *signings;
	EVP_PKEY *key;
	char *fingerprints[CERTS];
};

/* An account with a user certificate, and so many others. */
static int set_up(void **state)
{
	struct world *world = calloc(1, sizeof(*world));
	struct sg_account_row *row = &world->account.row;

	snprintf(world->dir, sizeof(world->dir), "/tmp/signet-signings-XXXXXX");
	assert_non_null(mkdtemp(world->dir));
	snprintf(world->path, sizeof(world->path), "%s/agent.db", world->dir);
	assert_int_equal(sg_store_open(world->path, &world->agent.store), 0);
	assert_int_equal(sg_signings_new(&world->signings), 0);
	world->account.agent = &world->agent;
	row->jid = juliet;
	assert_int_equal(sg_store_account_put(world->agent.store, row), 0);
	world->key = EVP_EC_gen("P-256");
	for (long i = 0; i < CERTS; i++) {
		const struct recipe recipe = { .cn = juliet, .serial = i + 1 };
		struct sg_blob der = make_cert(&recipe, world->key);

		assert_int_equal(
		    sg_store_cert_put(world->agent.store, juliet, SG_CERT_USER, &der, NULL), 0);
		world->fingerprints[i] = sg_x509_fingerprint(&der, "sha256");
		sg_blob_clear(&der);
	}
	row->user_certificate = world->fingerprints[0];
	*state = world;
	return 0;
}

static int tear_down(void **state)
{
	static const char *const ends[] = { "", "-wal", "-shm" };
	struct world *world = *state;
	char path[128];

	sg_signings_free(world->signings);
	sg_store_close(world->agent.store);
	for (size_t i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s%s", world->path, ends[i]);
		unlink(path);
	}
	rmdir(world->dir);
	for (size_t i = 0; i < CERTS; i++)
		free(world->fingerprints[i]);
	EVP_PKEY_free(world->key);
	free(world);
	return 0;
}

static struct sg_signing *get(struct world *world, size_t i)
{
	struct sg_signing *signing;

	assert_int_equal(
	    sg_signing_get(world->signings, &world->account, world->fingerprints[i], &signing), 0);
	return signing;
}

/* Whether this one, which is held, is what is remembered still. */
static int is_remembered(struct world *world, size_t i, const struct sg_signing *held)
{
	struct sg_signing *now = get(world, i);
	int same = now == held;

	sg_signing_unref(now);
	return same;
}

static void test_unused_makes_room(void **state)
{
	struct world *world = *state;
	struct sg_signing *first = get(world, 0), *second = get(world, 1);

	for (size_t i = 2; i < SG_SIGNINGS_MAX; i++)
		sg_signing_unref(get(world, i));
	assert_true(is_remembered(world, 0, first));
	sg_signing_unref(get(world, SG_SIGNINGS_MAX));
	assert_true(is_remembered(world, 0, first));
	assert_false(is_remembered(world, 1, second));
	sg_signing_unref(first);
	sg_signing_unref(second);
}

static void test_store_has_changed(void **state)
{
	struct world *world = *state;
	struct sg_signing *held = get(world, 1);

	assert_true(is_remembered(world, 1, held));
	assert_int_equal(
	    sg_store_cert_set_revoked(world->agent.store, juliet, world->fingerprints[2], 1), 0);
	assert_false(is_remembered(world, 1, held));
	sg_signing_unref(held);
}

static void test_unknown(void **state)
{
	struct world *world = *state;
	struct sg_signing *signing;

	assert_int_equal(
	    sg_signing_get(world->signings, &world->account, "00", &signing), SG_ERR_KEY_ABSENT);
	assert_null(signing);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_unused_makes_room, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_store_has_changed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_unknown, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
