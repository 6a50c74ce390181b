/* The ledger of a token that tells nothing of its PIN: tries are counted, and the last one is known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/broker/ledger.h"
#include "agent/broker/store.h"

struct world {
	char dir[64];
	struct sg_agent agent;
	char serial[8];
	char hash[8];
	struct sg_token_info token;
};

static void path_of(const struct world *world, const char *name, char path[96])
{
	snprintf(path, 96, "%s/%s", world->dir, name);
}

static int set_up(void **state)
{
	struct world *world = calloc(1, sizeof(*world));
	char path[96];

	snprintf(world->dir, sizeof(world->dir), "/tmp/signet-ledger-XXXXXX");
	if (mkdtemp(world->dir) == NULL)
		return -1;
	snprintf(world->serial, sizeof(world->serial), "s1");
	snprintf(world->hash, sizeof(world->hash), "hash");
	world->token = (struct sg_token_info){ .serial = world->serial,
		.flags = SG_TOKEN_INITIALIZED | SG_TOKEN_PIN_SET | SG_TOKEN_LOGIN_REQUIRED };
	*state = world;
	path_of(world, "agent.db", path);
	if (sg_store_open(path, &world->agent.store) != 0)
		return -1;
	path_of(world, "key", path);
	return sg_ledgers_new(path, &world->agent.ledgers);
}

static int tear_down(void **state)
{
	static const char *const names[] = { "agent.db", "agent.db-wal", "agent.db-shm", "key" };
	struct world *world = *state;
	char path[96];

	sg_ledgers_free(world->agent.ledgers);
	sg_store_close(world->agent.store);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		path_of(world, names[i], path);
		unlink(path);
	}
	rmdir(world->dir);
	free(world);
	return 0;
}

static void try_of(struct world *world, uint32_t by, uint32_t flags)
{
	const struct sg_msg_pin_try msg = { .token = world->token.uri,
		.serial = world->serial,
		.by = by,
		.hash = { (unsigned char *)world->hash, 4 },
		.flags = flags,
		.left = SG_TRIES_UNKNOWN };

	assert_int_equal(sg_ledger_try(&world->agent, &msg), 0);
}

static void try(struct world *world, uint32_t flags)
{
	try_of(world, SG_PIN_USER, flags);
}

static void outcome_of(
    struct world *world, uint32_t by, uint32_t verdict, uint32_t flags, int by_person)
{
	const struct sg_msg_pin_outcome msg = { .token = world->token.uri,
		.serial = world->serial,
		.by = by,
		.hash = { (unsigned char *)world->hash, 4 },
		.verdict = verdict,
		.flags = flags };

	sg_ledger_outcome(&world->agent, &msg, by_person);
}

static void outcome(struct world *world, uint32_t verdict, uint32_t flags)
{
	outcome_of(world, SG_PIN_USER, verdict, flags, 0);
}

static void is_ledger(struct world *world, uint32_t tries, uint32_t tries_max, uint32_t wrong)
{
	struct sg_pin_ledger ledger;

	assert_int_equal(sg_ledger_get(&world->agent, &world->token, SG_PIN_USER, &ledger), 0);
	assert_int_equal(ledger.tries, tries);
	assert_int_equal(ledger.tries_max, tries_max);
	assert_int_equal(ledger.wrong_count, wrong);
	assert_int_equal(ledger.key.len, SG_LEDGER_KEY_SIZE);
	assert_int_equal(ledger.salt.len, SG_LEDGER_SALT_SIZE);
	sg_ledger_clear(&ledger);
}

static void counted(void **state)
{
	struct world *world = *state;
	struct sg_ledger_state state_now;

	is_ledger(world, 0, 3, 0);
	assert_int_equal(sg_ledger_tries_left(&world->agent, &world->token), 3);
	try(world, world->token.flags);
	is_ledger(world, 1, 3, 1); /* nothing is known of this try: it counts, and is unsure */
	try(world, world->token.flags);
	outcome(world, SG_PIN_REFUSED, world->token.flags);
	is_ledger(world, 2, 3, 1);
	assert_int_equal(sg_ledger_tries_left(&world->agent, &world->token), 1);
	try(world, 0);
	outcome(world, SG_PIN_BLOCKED, 0); /* no try */
	is_ledger(world, 2, 3, 1);
	sg_ledger_look(&world->agent, &world->token, SG_PIN_USER, &state_now);
	assert_true(state_now.locked);
	try(world, 0);
	outcome(world, SG_PIN_TAKEN, 0);
	is_ledger(world, 2, 3, 0); /* the same PIN is right now; the token may count on */
	sg_ledger_look(&world->agent, &world->token, SG_PIN_USER, &state_now);
	assert_false(state_now.locked);
	try(world, 0);
	outcome_of(world, SG_PIN_USER, SG_PIN_TAKEN, 0, 1);
	is_ledger(world, 0, 3, 0);
	assert_int_equal(sg_ledger_tries_left(&world->agent, &world->token), 3);
	/* The first word that says nothing of the PIN that was right last does not make it unsure. */
	try(world, 0);
	outcome(world, SG_PIN_UNSAID, 0);
	is_ledger(world, 1, 3, 0);
	try(world, 0);
	outcome(world, SG_PIN_UNTRIED, 0);
	is_ledger(world, 1, 3, 0); /* it was none */
	try(world, world->token.flags);
	outcome(world, SG_PIN_UNSAID, world->token.flags);
	is_ledger(world, 2, 3, 1); /* the token is there, but it never tells of a failure */
	try(world, world->token.flags);
	outcome(world, SG_PIN_UNSAID, world->token.flags | SG_TOKEN_PIN_LOW);
	is_ledger(world, 3, 0, 1);
	try(world, world->token.flags);
	outcome(world, SG_PIN_UNSAID, world->token.flags);
	is_ledger(world, 3, 0, 0); /* it has told before, and tells of none now */
}

/* The flags that are listed are the user PIN's: they do not speak for the PUK. */
static void the_puk_is_counted(void **state)
{
	struct world *world = *state;
	struct sg_pin_ledger ledger;

	world->token.flags |= SG_TOKEN_PIN_LOW | SG_TOKEN_PIN_LOCKED;
	try_of(world, SG_PIN_SO, 0);
	outcome_of(world, SG_PIN_SO, SG_PIN_REFUSED, 0, 1);
	assert_int_equal(sg_ledger_get(&world->agent, &world->token, SG_PIN_SO, &ledger), 0);
	assert_int_equal(ledger.tries, 1);
	assert_int_equal(ledger.tries_max, 3);
	assert_int_equal(ledger.wrong_count, 1);
	sg_ledger_clear(&ledger);
	/* Its own flags do. */
	try_of(world, SG_PIN_SO, SG_TOKEN_PIN_LOW);
	outcome_of(world, SG_PIN_SO, SG_PIN_REFUSED, SG_TOKEN_PIN_LOW, 1);
	assert_int_equal(sg_ledger_get(&world->agent, &world->token, SG_PIN_SO, &ledger), 0);
	assert_int_equal(ledger.tries_max, 0);
	sg_ledger_clear(&ledger);
}

static void told_by_flags(void **state)
{
	struct world *world = *state;

	try(world, world->token.flags);
	outcome(world, SG_PIN_REFUSED, world->token.flags | SG_TOKEN_PIN_LOW);
	is_ledger(world, 1, 0, 1); /* it tells: nothing is to be counted */
	assert_int_equal(sg_ledger_tries_left(&world->agent, &world->token), SG_TRIES_UNKNOWN);
	world->token.flags |= SG_TOKEN_PIN_FINAL;
	assert_int_equal(sg_ledger_tries_left(&world->agent, &world->token), 1);
	world->token.flags |= SG_TOKEN_PIN_LOCKED;
	assert_int_equal(sg_ledger_tries_left(&world->agent, &world->token), 0);
}

static void a_new_pin(void **state)
{
	struct world *world = *state;

	try(world, 0);
	outcome(world, SG_PIN_REFUSED, 0);
	sg_ledger_renew(&world->agent, &world->token, SG_PIN_SO);
	is_ledger(world, 0, 3, 0);
	try(world, 0);
	outcome(world, SG_PIN_TAKEN, 0);
	sg_ledger_renew(&world->agent, &world->token, SG_PIN_USER);
	is_ledger(world, 0, 3, 1); /* the old one, that was taken last */
}

static void the_key_stays(void **state)
{
	struct world *world = *state;
	struct sg_pin_ledger before, after;
	char path[96];

	assert_int_equal(sg_ledger_get(&world->agent, &world->token, SG_PIN_SO, &before), 0);
	sg_ledgers_free(world->agent.ledgers);
	path_of(world, "key", path);
	assert_int_equal(sg_ledgers_new(path, &world->agent.ledgers), 0);
	assert_int_equal(sg_ledger_get(&world->agent, &world->token, SG_PIN_SO, &after), 0);
	assert_memory_equal(before.key.data, after.key.data, SG_LEDGER_KEY_SIZE);
	assert_memory_equal(before.salt.data, after.salt.data, SG_LEDGER_SALT_SIZE);
	sg_ledger_clear(&before);
	sg_ledger_clear(&after);
}

/* TPMs and NSS give each token the same one: what is wrong for one token may be right for another. */
static void a_serial_of_zeros(void **state)
{
	static char one[] = "pkcs11:token=one", two[] = "pkcs11:token=two";
	struct world *world = *state;

	assert_string_equal(sg_ledger_name("s1", one), "s1");
	assert_string_equal(sg_ledger_name(NULL, one), one);
	assert_string_equal(sg_ledger_name("", NULL), "");
	snprintf(world->serial, sizeof(world->serial), "0000");
	world->token.uri = one;
	try(world, 0);
	outcome(world, SG_PIN_REFUSED, 0);
	is_ledger(world, 1, 3, 1);
	world->token.uri = two;
	is_ledger(world, 0, 3, 0);
	assert_int_equal(sg_ledger_tries_left(&world->agent, &world->token), 3);
	world->token.uri = one;
	assert_int_equal(sg_ledger_tries_left(&world->agent, &world->token), 2);
	sg_ledger_renew(&world->agent, &world->token, SG_PIN_USER);
	is_ledger(world, 0, 3, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(counted, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_puk_is_counted, set_up, tear_down),
		cmocka_unit_test_setup_teardown(told_by_flags, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_new_pin, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_key_stays, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_serial_of_zeros, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
