/* The limits of the keyring: nobody fills it, and nobody drives out what others have shown or told. */
#include "keyring_world.h"

static void test_k14_a_sender_over_its_limit_loses_its_oldest(void **state)
{
	struct world *world = *state;
	char text[32];
	struct found found;
	int64_t now = NOW;

	put_text(world, ROMEO, SG_SIGHT_NODE, NULL, NOW, "shown");
	put_text(world, ROMEO, SG_SIGHT_PUSH, JULIET, NOW, "of another sender");
	put_text(world, ROMEO, SG_SIGHT_PUSH, MALLORY, NOW, "shown");
	for (int i = 0; i < SG_KEYRING_TOLD_ROWS; i++) {
		if (i % (SG_KEYRING_TOLD_DAY - 1) == 0)
			now += 24 * 60 * 60 + 1;
		snprintf(text, sizeof(text), "flood %d", i);
		assert_int_equal(
		    put_text(world, JULIET, SG_SIGHT_PUSH, MALLORY, now, text), SG_LEARNT_KEY);
	}
	assert_int_equal(one_number(world,
			     "SELECT count(*) FROM sightings WHERE told_by ="
			     " 'mallory@example.test'"),
	    SG_KEYRING_TOLD_ROWS);
	/* what he said first is gone; what the JID showed is not */
	found = get_text(world, "shown");
	assert_int_equal(found.count, 1);
	assert_int_equal(found.keys[0].sighting_count, 1);
	assert_int_equal(found.keys[0].sightings[0].source, SG_SIGHT_NODE);
	assert_int_equal(sg_store_keyring_decide(
			     world->store, found.keys[0].id, SG_DECISION_TRUSTED, ROMEO, now),
	    0);
	found_clear(&found);
	now += 24 * 60 * 60 + 1;
	found = get_text(world, "flood 1");
	assert_int_equal(sg_store_keyring_decide(
			     world->store, found.keys[0].id, SG_DECISION_DISTRUSTED, NULL, now),
	    0);
	found_clear(&found);
	put_text(world, JULIET, SG_SIGHT_PUSH, MALLORY, now, "last");
	put_text(world, JULIET, SG_SIGHT_THIRD, MALLORY, now, "the very last");
	found = get_text(world, "flood 0"); /* with nothing else known of it, it is forgotten */
	assert_int_equal(found.count, 0);
	found = get_text(world, "flood 1"); /* the person has decided */
	assert_int_equal(found.count, 1);
	assert_int_equal(found.keys[0].decision, SG_DECISION_DISTRUSTED);
	assert_int_equal(found.keys[0].sighting_count, 0);
	found_clear(&found);
	found = get_text(world, "of another sender");
	assert_int_equal(found.count, 1);
	found_clear(&found);
}

static void test_k14_a_sender_has_so_many_a_day(void **state)
{
	struct world *world = *state;
	char text[32];

	for (int i = 0; i < SG_KEYRING_TOLD_DAY; i++) {
		snprintf(text, sizeof(text), "flood %d", i);
		assert_int_equal(
		    put_text(world, JULIET, SG_SIGHT_PUSH, MALLORY, NOW + i, text), SG_LEARNT_KEY);
	}
	assert_int_equal(
	    put_text(world, JULIET, SG_SIGHT_PUSH, MALLORY, NOW, "more"), SG_LEARNT_REFUSED);
	/* what is told again is no new one */
	assert_int_equal(put_text(world, JULIET, SG_SIGHT_PUSH, MALLORY, NOW + 300, "flood 3"),
	    SG_LEARNT_NOTHING);
	assert_int_equal(put_text(world, JULIET, SG_SIGHT_PUSH, ROMEO, NOW, "more"), SG_LEARNT_KEY);
	assert_int_equal(put_text(world, MALLORY, SG_SIGHT_NODE, NULL, NOW, "more"), SG_LEARNT_KEY);
	assert_int_equal(
	    put_text(world, JULIET, SG_SIGHT_PUSH, MALLORY, NOW + 25 * 60 * 60, "more"),
	    SG_LEARNT_SIGHTING);
}

/* 100 senders fill what there is for all; then one with little has his word kept, and they lose. */
static void test_k14_many_senders_do_not_drive_out_a_few_words(void **state)
{
	struct world *world = *state;
	struct sg_keyinfo *keys = calloc(SG_KEYRING_TOLD_DAY, sizeof(*keys));
	enum sg_learnt *learnt = calloc(SG_KEYRING_TOLD_DAY, sizeof(*learnt));
	char sender[48], text[48];
	struct found found;

	assert_int_equal(
	    put_text(world, JULIET, SG_SIGHT_PUSH, ROMEO, NOW - 9, "of a friend"), SG_LEARNT_KEY);
	for (int i = 0; i < SG_KEYRING_ALL_ROWS / SG_KEYRING_TOLD_DAY + 1; i++) {
		struct sg_witness witness = {
			.jid = JULIET, .source = SG_SIGHT_PUSH, .told_by = sender, .now = NOW
		};

		snprintf(sender, sizeof(sender), "flood%d@example.test", i);
		for (int k = 0; k < SG_KEYRING_TOLD_DAY; k++) {
			snprintf(text, sizeof(text), "key %d of %d", k, i);
			keys[k] = make_key(text);
		}
		assert_int_equal(
		    sg_store_keyring_put(world->store, &witness, keys, SG_KEYRING_TOLD_DAY, learnt),
		    0);
		for (int k = 0; k < SG_KEYRING_TOLD_DAY; k++)
			free_key(&keys[k]);
	}
	assert_int_equal(one_number(world, "SELECT count(*) FROM sightings"), SG_KEYRING_ALL_ROWS);
	assert_int_equal(
	    put_text(world, JULIET, SG_SIGHT_PUSH, MALLORY, NOW, "one more"), SG_LEARNT_KEY);
	assert_int_equal(one_number(world, "SELECT count(*) FROM sightings"), SG_KEYRING_ALL_ROWS);
	found = get_text(world, "of a friend"); /* the oldest of all */
	assert_int_equal(found.count, 1);
	found_clear(&found);
	assert_true(one_number(world,
			"SELECT max(n) - min(n) FROM (SELECT count(*) AS n FROM"
			" sightings WHERE told_by LIKE 'flood%' GROUP BY told_by)") <= 3);
	free(keys);
	free(learnt);
}

static void test_k14_a_sender_has_so_many_bytes(void **state)
{
	struct world *world = *state;
	const size_t each = SG_KEYRING_TOLD_BYTES / 4;
	char *text = calloc(each + 1, 1);

	assert_non_null(text);
	memset(text, 'x', each);
	for (char c = 'a'; c < 'a' + 8; c++) {
		text[0] = c;
		put_text(world, JULIET, SG_SIGHT_PUSH, MALLORY, NOW + c, text);
	}
	assert_int_equal(one_number(world, "SELECT count(*) FROM keys"), 4);
	assert_int_equal(one_number(world, "SELECT min(unicode(data)) FROM keys"), 'e');
	free(text);
}

/* As if the sightings that the condition means had taken so many bytes. */
static void weigh(struct world *world, int64_t size, const char *condition)
{
	char text[256];

	snprintf(text, sizeof(text), "UPDATE sightings SET size = %lld WHERE %s", (long long)size,
	    condition);
	execute(world->path, text);
}

/* Each is within his own; over what there is for all, the one who takes the most loses his oldest. */
static void test_k14_all_senders_together_have_so_many_bytes(void **state)
{
	struct world *world = *state;
	const int senders = SG_KEYRING_ALL_BYTES / SG_KEYRING_TOLD_BYTES;
	char sender[48], text[48];
	struct found found;

	put_text(world, JULIET, SG_SIGHT_PUSH, ROMEO, NOW - 9, "of a friend");
	for (int i = 0; i < senders; i++) {
		snprintf(sender, sizeof(sender), "flood%d@example.test", i);
		for (int k = 0; k < 2; k++) {
			snprintf(text, sizeof(text), "key %d of %d", k, i);
			put_text(world, JULIET, SG_SIGHT_PUSH, sender, NOW + k, text);
		}
	}
	/* All but one byte of it is taken, the most by the first. */
	weigh(world, SG_KEYRING_TOLD_BYTES / 2 - 100, "told_by LIKE 'flood%'");
	weigh(world, SG_KEYRING_TOLD_BYTES / 2, "told_by = 'flood0@example.test'");
	snprintf(text, sizeof(text), "told_by = '%s'", ROMEO);
	weigh(world,
	    SG_KEYRING_ALL_BYTES - 1 -
		one_number(world, "SELECT sum(size) FROM sightings WHERE told_by LIKE 'flood%'"),
	    text);
	assert_int_equal(
	    put_text(world, JULIET, SG_SIGHT_PUSH, MALLORY, NOW + 9, "one more"), SG_LEARNT_KEY);
	assert_true(one_number(world, "SELECT sum(size) FROM sightings") <= SG_KEYRING_ALL_BYTES);
	assert_int_equal(one_number(world, "SELECT count(*) FROM sightings"), 2 * senders + 1);
	found = get_text(world, "key 0 of 0");
	assert_int_equal(found.count, 0);
	found = get_text(world, "of a friend");
	assert_int_equal(found.count, 1);
	found_clear(&found);
	/* what a node shows is no sender's */
	weigh(world, SG_KEYRING_TOLD_BYTES / 2, "told_by LIKE 'flood%'");
	assert_int_equal(put_text(world, ROMEO, SG_SIGHT_NODE, NULL, NOW, "own"), SG_LEARNT_KEY);
	assert_int_equal(one_number(world, "SELECT count(*) FROM sightings"), 2 * senders + 2);
}

static void test_a_jid_has_so_many_bytes(void **state)
{
	struct world *world = *state;
	struct found found;
	char text[48];

	put_text(world, ROMEO, SG_SIGHT_NODE, NULL, NOW - 3000, "oldest");
	put_text(world, ROMEO, SG_SIGHT_NODE, NULL, NOW - 2000, "old");
	put_text(world, ROMEO, SG_SIGHT_PUSH, MALLORY, NOW - 4000, "told of him");
	put_text(world, JULIET, SG_SIGHT_NODE, NULL, NOW - 4000, "another's");
	weigh(world, SG_KEYRING_JID_BYTES / 2, "source = 0");
	assert_int_equal(
	    put_text(world, ROMEO, SG_SIGHT_NODE, NULL, NOW, "one more"), SG_LEARNT_CHANGE);
	found = get_text(world, "oldest");
	assert_int_equal(found.count, 0);
	assert_int_equal(one_number(world, "SELECT count(*) FROM sightings"), 4);
	/* what was shown just now makes no room */
	snprintf(text, sizeof(text), "last_seen = %d", NOW);
	weigh(world, SG_KEYRING_JID_BYTES, text);
	assert_int_equal(
	    put_text(world, ROMEO, SG_SIGHT_NODE, NULL, NOW, "too much"), SG_LEARNT_REFUSED);
	assert_int_equal(
	    put_text(world, JULIET, SG_SIGHT_NODE, NULL, NOW, "hers"), SG_LEARNT_CHANGE);
}

static void test_a_jid_over_its_limit_loses_what_was_not_seen_for_longest(void **state)
{
	struct world *world = *state;
	struct sg_keyinfo *keyinfos = calloc(SG_KEYRING_JID_ROWS + 2, sizeof(*keyinfos));
	enum sg_learnt *learnt = calloc(SG_KEYRING_JID_ROWS + 2, sizeof(*learnt));
	struct sg_witness witness = { .jid = ROMEO, .source = SG_SIGHT_NODE, .now = NOW };
	struct found found;
	char text[32];

	put_text(world, ROMEO, SG_SIGHT_PUSH, MALLORY, NOW, "told of him");
	put_text(world, ROMEO, SG_SIGHT_NODE, NULL, NOW - 3000, "trusted");
	found = get_text(world, "trusted");
	assert_int_equal(sg_store_keyring_decide(
			     world->store, found.keys[0].id, SG_DECISION_TRUSTED, ROMEO, NOW),
	    0);
	found_clear(&found);
	put_text(world, ROMEO, SG_SIGHT_NODE, NULL, NOW - 2000, "old");
	for (int i = 0; i < SG_KEYRING_JID_ROWS + 2; i++) {
		snprintf(text, sizeof(text), "key %d", i);
		keyinfos[i] = make_key(text);
	}
	assert_int_equal(
	    sg_store_keyring_put(world->store, &witness, keyinfos, SG_KEYRING_JID_ROWS + 2, learnt),
	    0);
	assert_int_equal(one_number(world, "SELECT count(*) FROM sightings WHERE source = 0"),
	    SG_KEYRING_JID_ROWS);
	found = get_text(world, "old");
	assert_int_equal(found.count, 0);
	/* those that are shown at once do not drive each other out */
	assert_int_equal(learnt[0], SG_LEARNT_KEY);
	assert_int_equal(learnt[SG_KEYRING_JID_ROWS - 2], SG_LEARNT_KEY);
	assert_int_equal(learnt[SG_KEYRING_JID_ROWS - 1], SG_LEARNT_REFUSED);
	found = get_text(world, "trusted");
	assert_int_equal(found.count, 1);
	found_clear(&found);
	found = get_text(world, "told of him");
	assert_int_equal(found.count, 1);
	found_clear(&found);
	/* another time they make room */
	assert_int_equal(
	    put_text(world, ROMEO, SG_SIGHT_NODE, NULL, NOW + 100, "new"), SG_LEARNT_CHANGE);
	assert_int_equal(put_text(world, JULIET, SG_SIGHT_NODE, NULL, NOW, "new"), SG_LEARNT_KEY);
	for (int i = 0; i < SG_KEYRING_JID_ROWS + 2; i++)
		free_key(&keyinfos[i]);
	free(keyinfos);
	free(learnt);
}

static void a_keyinfo_that_is_too_long_is_refused(void **state)
{
	struct world *world = *state;
	struct sg_keyinfo keyinfo = make_key("one");

	keyinfo.xml = malloc(SG_KEYRING_KEYINFO_MAX + 2);
	assert_non_null(keyinfo.xml);
	memset(keyinfo.xml, 'x', SG_KEYRING_KEYINFO_MAX + 1);
	keyinfo.xml[SG_KEYRING_KEYINFO_MAX + 1] = '\0';
	assert_int_equal(put(world, ROMEO, SG_SIGHT_NODE, NULL, NOW, &keyinfo), SG_LEARNT_REFUSED);
	keyinfo.xml[SG_KEYRING_KEYINFO_MAX] = '\0';
	assert_int_equal(put(world, ROMEO, SG_SIGHT_NODE, NULL, NOW, &keyinfo), SG_LEARNT_KEY);
	free_key(&keyinfo);
}

/* 10,000 signatures on one key: kept, and put together with those of a sender within a limit. */
static void many_signatures_on_one_key(void **state)
{
	struct world *world = *state;
	struct sg_keyinfo keyinfo = make_cert("one"), told = copy_key(&keyinfo);
	char issuer[41], value[32];
	struct found found;

	for (int i = 0; i < SG_KEYINFO_SIGNATURES_MAX; i++) {
		snprintf(issuer, sizeof(issuer), "%040x", i);
		snprintf(value, sizeof(value), "value %d", i);
		sign_key(&keyinfo, issuer, value);
		sign_key(&told, issuer, "another");
	}
	write_xml(&keyinfo);
	write_xml(&told);
	assert_int_equal(put(world, ROMEO, SG_SIGHT_NODE, NULL, NOW, &keyinfo), SG_LEARNT_KEY);
	assert_int_equal(put(world, ROMEO, SG_SIGHT_PUSH, MALLORY, NOW, &told), SG_LEARNT_SIGHTING);
	found = get(world, keyinfo.name);
	assert_int_equal(found.keys[0].keyinfo.signature_count, SG_KEYINFO_SIGNATURES_MAX);
	assert_int_equal(found.keys[0].shown_signatures, SG_KEYINFO_SIGNATURES_MAX);
	found_clear(&found);
	free_key(&keyinfo);
	free_key(&told);
}

static void changes_of_one_jid_are_limited(void **state)
{
	struct world *world = *state;
	char text[32];
	int64_t count;

	put_text(world, ROMEO, SG_SIGHT_NODE, NULL, NOW, "one");
	put_text(world, JULIET, SG_SIGHT_NODE, NULL, NOW, "one");
	for (int i = 0; i < SG_KEYRING_CHANGES_JID + 5; i++) {
		snprintf(text, sizeof(text), "key %d", i);
		assert_int_equal(
		    put_text(world, ROMEO, SG_SIGHT_NODE, NULL, NOW, text), SG_LEARNT_CHANGE);
	}
	assert_int_equal(sg_store_key_changes_count(world->store, &count), 0);
	assert_int_equal(count, SG_KEYRING_CHANGES_JID);
	put_text(world, JULIET, SG_SIGHT_NODE, NULL, NOW, "two"); /* another's is not kept out */
	assert_int_equal(sg_store_key_changes_count(world->store, &count), 0);
	assert_int_equal(count, SG_KEYRING_CHANGES_JID + 1);
}

/* However many others are worth more, the first of each rank is read. */
static void the_first_of_each_rank_is_read(void **state)
{
	struct world *world = *state;
	struct sg_keyinfo keyinfo = make_cert("one");
	size_t ranks[SG_KNOWN_RANKS] = { 0 };
	struct found found;
	char issuer[41], text[32];

	memset(issuer, 'a', 40);
	issuer[40] = '\0';
	for (int i = 0; i < SG_KNOWN_KEYINFOS_MAX + 7; i++) {
		static const struct {
			const char *told_by;
			enum sg_sight source;
		} others[] = { { NULL, SG_SIGHT_IMPORT }, { MALLORY, SG_SIGHT_THIRD } };
		const int shown = i < SG_KNOWN_KEYINFOS_MAX + 5;
		struct sg_keyinfo told = copy_key(&keyinfo);

		snprintf(text, sizeof(text), "n%d@example.test", i);
		sign_key(&told, issuer, text);
		write_xml(&told);
		put(world, shown ? text : ROMEO, shown ? SG_SIGHT_NODE : others[i % 2].source,
		    shown ? NULL : others[i % 2].told_by, NOW, &told);
		free_key(&told);
	}
	found = get(world, keyinfo.name);
	assert_int_equal(found.keys[0].keyinfo.signature_count, SG_KNOWN_KEYINFOS_MAX);
	for (size_t i = 0; i < SG_KNOWN_KEYINFOS_MAX; i++)
		ranks[found.keys[0].tellers[i].rank]++;
	assert_int_equal(ranks[SG_KNOWN_SHOWN], SG_KNOWN_KEYINFOS_MAX - 2);
	assert_int_equal(found.keys[0].shown_signatures, SG_KNOWN_KEYINFOS_MAX - 2);
	assert_int_equal(ranks[SG_KNOWN_IMPORTED], 1);
	assert_int_equal(ranks[SG_KNOWN_ANSWERED], 1);
	assert_int_equal(found.keys[0].tellers[SG_KNOWN_KEYINFOS_MAX - 1].rank, SG_KNOWN_ANSWERED);
	found_clear(&found);
	free_key(&keyinfo);
}

int main(void)
{
#define KEYRING_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		KEYRING_TEST(changes_of_one_jid_are_limited),
		KEYRING_TEST(test_k14_a_sender_over_its_limit_loses_its_oldest),
		KEYRING_TEST(test_k14_a_sender_has_so_many_a_day),
		KEYRING_TEST(test_k14_many_senders_do_not_drive_out_a_few_words),
		KEYRING_TEST(test_k14_a_sender_has_so_many_bytes),
		KEYRING_TEST(test_k14_all_senders_together_have_so_many_bytes),
		KEYRING_TEST(test_a_jid_has_so_many_bytes),
		KEYRING_TEST(test_a_jid_over_its_limit_loses_what_was_not_seen_for_longest),
		KEYRING_TEST(a_keyinfo_that_is_too_long_is_refused),
		KEYRING_TEST(many_signatures_on_one_key),
		KEYRING_TEST(the_first_of_each_rank_is_read),
	};

	return cmocka_run_group_tests_name("broker_keyring_limits", tests, NULL, NULL);
}
