/* What is learned of the keys of others: in slices, one after the other, and told. */
#include "keyring.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "events.h"

static const char romeo[] = "romeo@example.test";

struct world {
	char dir[64];
	char path[96];
	struct sg_agent agent;
};

static int set_up(void **state)
{
	struct world *world = calloc(1, sizeof(*world));

	snprintf(world->dir, sizeof(world->dir), "/tmp/signet-lessons-XXXXXX");
	if (mkdtemp(world->dir) == NULL)
		return -1;
	snprintf(world->path, sizeof(world->path), "%s/agent.db", world->dir);
	world->agent.base = event_base_new();
	*state = world;
	if (sg_store_open(world->path, &world->agent.store) != 0 ||
	    sg_events_new(&world->agent, &world->agent.events) != 0)
		return -1;
	return sg_keyring_new(&world->agent, &world->agent.keyring);
}

static int tear_down(void **state)
{
	static const char *const ends[] = { "", "-wal", "-shm" };
	struct world *world = *state;
	char path[128];

	sg_keyring_free(world->agent.keyring);
	sg_events_free(world->agent.events);
	sg_store_close(world->agent.store);
	event_base_free(world->agent.base);
	for (size_t i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s%s", world->path, ends[i]);
		unlink(path);
	}
	rmdir(world->dir);
	free(world);
	return 0;
}

/* References with the numbers from first on. */
static struct sg_msg_keyinfos references(unsigned first, uint32_t count)
{
	struct sg_msg_keyinfos set = { .keyinfos = calloc(count, sizeof(*set.keyinfos)),
		.keyinfo_count = count };

	for (uint32_t i = 0; i < count; i++) {
		char name[41];

		snprintf(name, sizeof(name), "%040x", first + i);
		set.keyinfos[i].name = strdup(name);
	}
	return set;
}

struct outcome {
	int calls;
	int err;
	struct sg_lesson_sum sum;
};

static void note(void *arg, int err, const struct sg_lesson_sum *sum)
{
	struct outcome *outcome = arg;

	outcome->calls++;
	outcome->err = err;
	outcome->sum = *sum;
}

static void learn(struct world *world, enum sg_sight source, int whole, unsigned first,
    uint32_t count, struct outcome *outcome)
{
	const struct sg_lesson lesson = { .jid = romeo, .source = source, .whole = whole };
	struct sg_msg_keyinfos set = references(first, count);

	*outcome = (struct outcome){ 0 };
	sg_keyring_learn(&world->agent, &lesson, &set, note, outcome);
	assert_null(set.keyinfos);
	assert_int_equal(set.keyinfo_count, 0);
}

static void run(struct world *world)
{
	assert_true(event_base_loop(world->agent.base, 0) >= 0);
}

static int count_retracted(void *arg, struct sg_known_key *key)
{
	*(int *)arg += key->retracted != 0;
	return 0;
}

static int retracted(struct world *world)
{
	const struct sg_keyring_query query = { .jid = romeo, .max = 1000 };
	int count = 0;

	assert_int_equal(
	    sg_store_keyring_list(world->agent.store, &query, 0, count_retracted, &count), 0);
	return count;
}

static int64_t changes(struct world *world)
{
	int64_t count;

	assert_int_equal(sg_store_key_changes_count(world->agent.store, &count), 0);
	return count;
}

static void a_few_keys_are_learned_at_once(void **state)
{
	struct world *world = *state;
	struct outcome outcome;

	learn(world, SG_SIGHT_NODE, 1, 1, 3, &outcome);
	assert_int_equal(outcome.calls, 1);
	assert_int_equal(outcome.sum.added, 3);
	learn(world, SG_SIGHT_NODE, 1, 2, 3, &outcome); /* the first is gone, a fourth has come */
	assert_int_equal(outcome.sum.added, 1);
	assert_int_equal(outcome.sum.known, 2);
	assert_int_equal(retracted(world), 1);
	assert_int_equal(changes(world), 1);
}

/* What comes while a large set is being learned is learned after it: it is no part of that set, which
 * would retract it, and a change of what that set has shown. */
static void lessons_keep_their_order(void **state)
{
	struct world *world = *state;
	struct outcome large, later, last;

	learn(world, SG_SIGHT_NODE, 1, 1, 300, &large);
	assert_int_equal(large.calls, 0);
	learn(world, SG_SIGHT_EVENT, 0, 1000, 1, &later);
	learn(world, SG_SIGHT_DIRECT, 0, 1000, 1, &last);
	assert_int_equal(later.calls, 0);
	run(world);
	assert_int_equal(large.calls, 1);
	assert_int_equal(large.err, 0);
	assert_int_equal(large.sum.added, 300);
	assert_int_equal(later.calls, 1);
	assert_int_equal(later.sum.added, 1);
	assert_int_equal(last.sum.known, 1);
	assert_int_equal(retracted(world), 0);
	assert_int_equal(changes(world), 1);
}

static void an_empty_node_retracts_all(void **state)
{
	struct world *world = *state;
	struct outcome outcome;

	learn(world, SG_SIGHT_NODE, 1, 1, 5, &outcome);
	learn(world, SG_SIGHT_DIRECT, 0, 6, 1, &outcome);
	learn(world, SG_SIGHT_NODE, 1, 0, 0, &outcome);
	assert_int_equal(outcome.calls, 1);
	assert_int_equal(retracted(world), 5); /* the node never showed the sixth */
}

/* In slices, too, and so is one key among many that are still there. */
static void a_large_node_retracts_in_slices(void **state)
{
	struct world *world = *state;
	struct outcome outcome;

	learn(world, SG_SIGHT_NODE, 1, 1, 300, &outcome);
	run(world);
	learn(world, SG_SIGHT_NODE, 1, 1, 299, &outcome);
	run(world);
	assert_int_equal(outcome.calls, 1);
	assert_int_equal(retracted(world), 1);
	learn(world, SG_SIGHT_NODE, 1, 0, 0, &outcome);
	assert_int_equal(outcome.calls, 0);
	run(world);
	assert_int_equal(outcome.calls, 1);
	assert_int_equal(outcome.err, 0);
	assert_int_equal(retracted(world), 300);
}

static void who_waits_at_the_end_is_told(void **state)
{
	struct world *world = *state;
	struct outcome large, later;

	learn(world, SG_SIGHT_NODE, 1, 1, 300, &large);
	learn(world, SG_SIGHT_EVENT, 0, 1000, 1, &later);
	sg_keyring_free(world->agent.keyring);
	world->agent.keyring = NULL;
	assert_int_equal(large.calls, 1);
	assert_int_equal(large.err, SG_ERR_WORKER);
	assert_int_equal(later.calls, 1);
	assert_int_equal(later.err, SG_ERR_WORKER);
}

int main(void)
{
#define LESSON_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		LESSON_TEST(a_few_keys_are_learned_at_once),
		LESSON_TEST(lessons_keep_their_order),
		LESSON_TEST(an_empty_node_retracts_all),
		LESSON_TEST(a_large_node_retracts_in_slices),
		LESSON_TEST(who_waits_at_the_end_is_told),
	};

	return cmocka_run_group_tests_name("broker_lessons", tests, NULL, NULL);
}
