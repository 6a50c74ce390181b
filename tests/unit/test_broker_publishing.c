/* What an account's keys are meant to be, as it is said and kept; and when a node is fetched again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "agent/broker/publishing.h"
#include "agent/broker/watching.h"
#include "pep_node.h"

#define JULIET "juliet@capulet.lit"
#define ROMEO  "romeo@montague.lit"

static int parse(const char *text, char **direct)
{
	int err = sg_direct_parse(text, direct);

	if (err != 0)
		assert_null(*direct);
	return err;
}

static void who_is_answered(void **state)
{
	static const char *const words[] = { "own", "contacts", "nobody" };
	static const char *const bad[] = { "", ",", "everybody", "a@b,,c@d", "a@b,", ",a@b",
		"own,a@b", "a@b c@d", "capulet.lit" };
	char *direct;

	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(parse(words[i], &direct), 0);
		assert_string_equal(direct, words[i]);
		free(direct);
	}
	assert_int_equal(parse("Romeo@Montague.lit/orchard,a@b,romeo@montague.lit", &direct), 0);
	assert_string_equal(direct, ROMEO "\na@b\n");
	free(direct);
	/* One that ends as another does is another. */
	assert_int_equal(parse("xa@b,a@b", &direct), 0);
	assert_string_equal(direct, "xa@b\na@b\n");
	free(direct);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(parse(bad[i], &direct), SG_ERR_ARG);
}

static json_t *many(size_t count)
{
	json_t *array = json_array();
	char jid[32];

	for (size_t i = 0; i < count; i++) {
		snprintf(jid, sizeof(jid), "a%zu@b", i);
		json_array_append_new(array, json_string(jid));
	}
	return array;
}

static void members_are_joined_and_split(void **state)
{
	json_t *jids = many(SG_MEMBERS_MAX);
	char *members, *copy, **list;
	uint32_t count;

	assert_int_equal(sg_members_join(jids, &members), 0);
	assert_int_equal(sg_lines_split(members, &copy, &list, &count), 0);
	assert_int_equal(count, SG_MEMBERS_MAX);
	assert_string_equal(list[0], "a0@b");
	assert_string_equal(list[999], "a999@b");
	free(list);
	free(copy);
	free(members);
	json_array_append_new(jids, json_string("one@more"));
	assert_int_equal(sg_members_join(jids, &members), SG_ERR_LIMIT);
	assert_null(members);
	json_decref(jids);
	jids = json_pack("[s, i]", "a@b", 1);
	assert_int_equal(sg_members_join(jids, &members), SG_ERR_ARG);
	json_decref(jids);
	/* Nobody has said, and nobody at all, are two things. */
	assert_int_equal(sg_lines_split(NULL, &copy, &list, &count), 0);
	assert_null(list);
	jids = json_array();
	assert_int_equal(sg_members_join(jids, &members), 0);
	assert_string_equal(members, "");
	assert_int_equal(sg_lines_split(members, &copy, &list, &count), 0);
	assert_non_null(list);
	assert_int_equal(count, 0);
	free(list);
	free(copy);
	free(members);
	json_decref(jids);
}

/* As they stand, and each once. */
static void k9_groups_are_joined(void **state)
{
	char longest[SG_PEP_GROUP_MAX + 2];
	const char *const bad[] = { "", "a\nb", "a\rb", "\x01", longest };
	json_t *names = json_pack("[s, s, s, s]", "Work", "a Work", " Work", "Work");
	char *groups;

	memset(longest, 'g', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(sg_groups_join(names, &groups), 0);
	assert_string_equal(groups, "Work\na Work\n Work\n");
	free(groups);
	json_decref(names);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		names = json_pack("[s]", bad[i]);
		assert_int_equal(sg_groups_join(names, &groups), SG_ERR_ARG);
		assert_null(groups);
		json_decref(names);
	}
	names = many(SG_PEP_GROUPS_MAX);
	assert_int_equal(sg_groups_join(names, &groups), 0);
	free(groups);
	json_array_append_new(names, json_string("more"));
	assert_int_equal(sg_groups_join(names, &groups), SG_ERR_LIMIT);
	assert_null(groups);
	json_decref(names);
}

/* Who may have subscribed by the old and may not read by the new: then a node is made anew. */
static void k9_who_read_before_is_found_by_access_and_groups(void **state)
{
	char roster[] = "roster", presence[] = "presence", open[] = "open";
	char both[] = "a\nb\n", one[] = "b\n";
	const struct sg_publishing_row first = { 0 };
	const struct sg_publishing_row ab = { .access = roster, .groups = both };
	const struct sg_publishing_row b = { .access = roster, .groups = one };
	const struct sg_publishing_row contacts = { .access = presence, .groups = both };
	const struct sg_publishing_row all = { .access = open, .groups = one };

	assert_int_equal(sg_publishing_is_narrower(&ab, &first), 0);
	assert_int_equal(sg_publishing_is_narrower(&ab, &b), 0);
	assert_int_equal(sg_publishing_is_narrower(&ab, &ab), 0);
	assert_int_equal(sg_publishing_is_narrower(&b, &ab), 1);
	assert_int_equal(sg_publishing_is_narrower(&contacts, &b), 1);
	assert_int_equal(sg_publishing_is_narrower(&ab, &contacts), 1);
	assert_int_equal(sg_publishing_is_narrower(&contacts, &contacts), 0);
	assert_int_equal(sg_publishing_is_narrower(&all, &ab), 0);
}

static void k11_when_a_node_is_fetched_again(void **state)
{
	const int64_t login = 1700000000;

	/* Daily. */
	assert_int_equal(sg_watch_due(login, login), login + 86400);
	assert_int_equal(sg_watch_due(login + 5000, login), login + 5000 + 86400);
	/* After a login; a while later, when it was fetched just before. */
	assert_int_equal(sg_watch_due(login - 601, login), login);
	assert_int_equal(sg_watch_due(login - 600, login), login);
	assert_int_equal(sg_watch_due(login - 1, login), login + 599);
	assert_int_equal(sg_watch_due(0, login), login);
}

/* ---- the store ---- */

struct world {
	char path[64];
	struct sg_store *store;
};

static int set_up(void **state)
{
	struct world *world = calloc(1, sizeof(*world));
	char jid[] = JULIET;
	const struct sg_account_row row = { .jid = jid };
	int fd;

	snprintf(world->path, sizeof(world->path), "/tmp/signet-publishing-XXXXXX");
	fd = mkstemp(world->path);
	if (fd < 0)
		return -1;
	close(fd);
	*state = world;
	return sg_store_open(world->path, &world->store) == 0 &&
		sg_store_account_put(world->store, &row) == 0
	    ? 0
	    : -1;
}

static int tear_down(void **state)
{
	struct world *world = *state;
	char path[80];

	sg_store_close(world->store);
	unlink(world->path);
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s%s", world->path, i == 0 ? "-wal" : "-shm");
		unlink(path);
	}
	free(world);
	return 0;
}

static void what_was_asked_is_kept(void **state)
{
	struct world *world = *state;
	char access[] = "whitelist", members[] = "a@b\n", direct[] = "own", groups[] = "A b\n";
	const struct sg_publishing_row put = { access, members, direct, 1, groups };
	const struct sg_publishing_row less = { .access = access };
	struct sg_publishing_row got;

	assert_int_equal(sg_store_publishing_get(world->store, JULIET, &got), 0);
	assert_true(!got.access && !got.members && !got.direct && !got.more_open);
	assert_int_equal(sg_store_publishing_put(world->store, JULIET, &put), 0);
	assert_int_equal(sg_store_publishing_get(world->store, JULIET, &got), 0);
	assert_string_equal(got.access, access);
	assert_string_equal(got.members, members);
	assert_string_equal(got.direct, direct);
	assert_string_equal(got.groups, groups);
	assert_int_equal(got.more_open, 1);
	sg_publishing_row_clear(&got);
	assert_int_equal(sg_store_publishing_put(world->store, JULIET, &less), 0);
	assert_int_equal(sg_store_publishing_get(world->store, JULIET, &got), 0);
	assert_true(got.access && !got.members && !got.direct && !got.more_open && !got.groups);
	sg_publishing_row_clear(&got);
	/* It goes with its account, and is nobody else's. */
	assert_int_equal(sg_store_publishing_put(world->store, ROMEO, &less), SG_ERR_IO);
	assert_int_equal(sg_store_account_delete(world->store, JULIET), 0);
	assert_int_equal(sg_store_publishing_get(world->store, JULIET, &got), 0);
	assert_null(got.access);
}

static void the_oldest_is_fetched_first_and_watching_is_limited(void **state)
{
	struct world *world = *state;
	int64_t fetched;
	sqlite3 *db;
	char *jid;

	assert_int_equal(
	    sg_store_watched_oldest(world->store, JULIET, &jid, &fetched), SG_ERR_KEY_ABSENT);
	assert_null(jid);
	assert_int_equal(sg_store_watched_put(world->store, JULIET, "a@b", 5), 0);
	assert_int_equal(sg_store_watched_put(world->store, JULIET, "c@d", 4), 0);
	assert_int_equal(sg_store_watched_oldest(world->store, JULIET, &jid, &fetched), 0);
	assert_string_equal(jid, "c@d");
	assert_int_equal(fetched, 4);
	free(jid);
	assert_int_equal(sg_store_watched_put(world->store, JULIET, "c@d", 6), 0);
	assert_int_equal(sg_store_watched_oldest(world->store, JULIET, &jid, &fetched), 0);
	assert_string_equal(jid, "a@b");
	free(jid);
	/* An event says nothing of when the node was fetched; a node that is new was never. */
	assert_int_equal(sg_store_watched_put(world->store, JULIET, "a@b", 0), 0);
	assert_int_equal(sg_store_watched_oldest(world->store, JULIET, &jid, &fetched), 0);
	assert_int_equal(fetched, 5);
	free(jid);
	assert_int_equal(sg_store_watched_put(world->store, JULIET, "e@f", 0), 0);
	assert_int_equal(sg_store_watched_oldest(world->store, JULIET, &jid, &fetched), 0);
	assert_string_equal(jid, "e@f");
	assert_int_equal(fetched, 0);
	free(jid);
	/* In one transaction: each of its own would wait for the disk. */
	assert_int_equal(sqlite3_open(world->path, &db), SQLITE_OK);
	assert_int_equal(
	    sqlite3_exec(db,
		"WITH RECURSIVE n (i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM n LIMIT 5100)"
		" INSERT INTO watched SELECT '" JULIET "', 'w' || i || '@b', i FROM n",
		NULL, NULL, NULL),
	    SQLITE_OK);
	sqlite3_close(db);
	assert_int_equal(sg_store_watched_put(world->store, JULIET, "last@b", 9000), 0);
	assert_int_equal(sg_store_watched_oldest(world->store, JULIET, &jid, &fetched), 0);
	assert_int_equal(fetched, 10 + 5100 - SG_WATCHED_MAX + 1);
	free(jid);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_is_answered),
		cmocka_unit_test(members_are_joined_and_split),
		cmocka_unit_test(k9_groups_are_joined),
		cmocka_unit_test(k9_who_read_before_is_found_by_access_and_groups),
		cmocka_unit_test(k11_when_a_node_is_fetched_again),
		cmocka_unit_test_setup_teardown(what_was_asked_is_kept, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    the_oldest_is_fetched_first_and_watching_is_limited, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
