#include "path_cast.h"

/* ---- bounds: how many checks, never how long ---- */

static void cycles_are_harmless(void **state)
{
	enum { RING = 100 };
	struct actor *ring = calloc(RING, sizeof(*ring)), mine;
	struct actor *actors[RING + 1];
	struct sg_path_graph *graph;
	struct sg_path path;

	actor_init(&mine, pool[4], JULIET, SG_PATH_OWN_USER);
	actors[RING] = &mine;
	for (int i = 0; i < RING; i++) {
		actor_init(&ring[i], pool[i % 4], ROMEO, 0);
		actors[i] = &ring[i];
	}
	for (int i = 0; i < RING; i++) {
		cross_sign(&ring[i], &ring[(i + 1) % RING]);
		cross_sign(&ring[(i + 1) % RING], &ring[i]);
		put_signature(&ring[i], ring[i].keyinfo.name, "ECDSA-SHA256", blob_of("x", 1));
	}
	graph = graph_of(actors, RING + 1, CHECKS);
	for (int i = 0; i < RING; i++)
		assert_int_equal(judge(graph, &ring[i]).verdict, SG_PATH_IS_UNKNOWN);
	assert_int_equal(sg_path_graph_checks(graph), 0);
	sg_path_graph_free(graph);
	cross_sign(&mine, &ring[0]);
	graph = graph_of(actors, RING + 1, CHECKS);
	assert_int_equal(judge(graph, &ring[0]).verdict, SG_PATH_IS_TRUSTED);
	assert_int_equal(judge(graph, &ring[1]).verdict, SG_PATH_IS_FRIEND);
	assert_int_equal(judge(graph, &ring[RING - 1]).verdict, SG_PATH_IS_FRIEND);
	path = judge(graph, &ring[2]);
	assert_int_equal(path.verdict, SG_PATH_IS_UNKNOWN);
	assert_int_equal(path.steps[3].breaks, SG_PATH_BREAKS_TOO_FAR);
	assert_int_equal(sg_path_graph_checks(graph), 3);
	sg_path_graph_free(graph);
	for (int i = 0; i <= RING; i++)
		actor_clear(actors[i]);
	free(ring);
}

static void a_chain_of_ten_thousand_ends_after_two_steps(void **state)
{
	struct actor *chain = calloc(MANY, sizeof(*chain));
	struct actor **actors = calloc(MANY, sizeof(struct actor *));
	struct sg_path_graph *graph;

	for (int i = 0; i < MANY; i++) {
		actor_init(
		    &chain[i], pool[i % 4], i == 0 ? JULIET : ROMEO, i == 0 ? SG_PATH_OWN_USER : 0);
		actors[i] = &chain[i];
		if (i > 0)
			cross_sign(&chain[i - 1], &chain[i]);
	}
	graph = graph_of(actors, MANY, CHECKS);
	assert_int_equal(judge(graph, &chain[MANY - 1]).verdict, SG_PATH_IS_UNKNOWN);
	assert_int_equal(sg_path_graph_checks(graph), 0);
	assert_int_equal(judge(graph, &chain[1]).verdict, SG_PATH_IS_TRUSTED);
	assert_int_equal(judge(graph, &chain[2]).verdict, SG_PATH_IS_FRIEND);
	/* each one of them: no signature is checked twice, and only those near the start */
	for (int i = 3; i < MANY; i++)
		assert_int_equal(judge(graph, &chain[i]).verdict, SG_PATH_IS_UNKNOWN);
	assert_int_equal(sg_path_graph_checks(graph), 2);
	sg_path_graph_free(graph);
	for (int i = 0; i < MANY; i++)
		actor_clear(&chain[i]);
	free(actors);
	free(chain);
}

/* 10,000 signatures on one key, all of which say to be by one that counts. */
static void ten_thousand_forgeries_cost_a_few_checks(void **state)
{
	struct cast cast;
	struct sg_path path;

	cast_init(&cast);
	cross_sign(&cast.mine, &cast.romeo);
	for (int i = 0; i < MANY / 2; i++) {
		put_signature(&cast.romeos_client, cast.romeo.keyinfo.name, "ECDSA-SHA256",
		    blob_of(&i, sizeof(i)));
		put_signature(&cast.romeos_client, cast.mine.keyinfo.name, "ECDSA-SHA256",
		    blob_of(&i, sizeof(i)));
	}
	path = cast_judge(&cast, &cast.romeos_client);
	assert_int_equal(path.verdict, SG_PATH_IS_BROKEN);
	assert_in_range(sg_path_graph_checks(cast.graph), 1, 1 + 2 * SG_PATH_PAIR_CHECKS_MAX);
	cast_clear(&cast);
}

/* Each by a key of its own which says to be signed by the person: a check for each is what it takes. */
static void checks_end_with_their_number(void **state)
{
	enum { SOME = 2 * CHECKS };
	struct actor *issuers = calloc(SOME, sizeof(*issuers)), mine, subject, friend;
	struct sg_path_graph *graph;
	struct sg_path path;

	actor_init(&mine, pool[0], JULIET, SG_PATH_OWN_USER);
	actor_init(&subject, pool[1], ROMEO, 0);
	actor_init(&friend, pool[2], ROMEO, SG_PATH_TRUSTED);
	assert_int_equal(sg_path_graph_new(&graph, NOW, CHECKS), 0);
	for (int i = 0; i < SOME; i++) {
		actor_init(&issuers[i], pool[3 + i % 2], ROMEO, 0);
		put_signature(&issuers[i], mine.keyinfo.name, "ECDSA-SHA256", blob_of("x", 1));
		put_signature(&subject, issuers[i].keyinfo.name, "ECDSA-SHA256", blob_of("x", 1));
		assert_int_equal(sg_path_graph_add(graph, &issuers[i].entry), 0);
	}
	assert_int_equal(sg_path_graph_add(graph, &mine.entry), 0);
	assert_int_equal(sg_path_graph_add(graph, &friend.entry), 0);
	assert_int_equal(sg_path_graph_add(graph, &subject.entry), 0);
	path = judge(graph, &subject);
	assert_int_equal(path.verdict, SG_PATH_IS_BROKEN);
	assert_int_equal(sg_path_graph_checks(graph), CHECKS);
	/* what was not looked at is nearer than what is bad */
	assert_int_equal(path.steps[1].breaks, SG_PATH_BREAKS_UNCHECKED);
	sg_path_graph_free(graph);

	/* the path by the person's own word is looked at first, and found */
	cross_sign(&friend, &subject);
	assert_int_equal(sg_path_graph_new(&graph, NOW, 1), 0);
	for (int i = 0; i < SOME; i++)
		assert_int_equal(sg_path_graph_add(graph, &issuers[i].entry), 0);
	assert_int_equal(sg_path_graph_add(graph, &mine.entry), 0);
	assert_int_equal(sg_path_graph_add(graph, &friend.entry), 0);
	assert_int_equal(sg_path_graph_add(graph, &subject.entry), 0);
	assert_int_equal(judge(graph, &subject).verdict, SG_PATH_IS_FRIEND);
	assert_int_equal(sg_path_graph_checks(graph), 1);
	sg_path_graph_free(graph);
	for (int i = 0; i < SOME; i++)
		actor_clear(&issuers[i]);
	actor_clear(&mine);
	actor_clear(&subject);
	actor_clear(&friend);
	free(issuers);
}

/* A better rank goes first, and those of one rank take turns: whoever tells forgeries uses up his own checks. */
static void tellers_take_turns(void **state)
{
	enum { NOISE = 3 * SG_PATH_PAIR_CHECKS_MAX };
	static const struct {
		struct sg_path_teller noise, good;
		int holds;
	} rows[] = {
		{ { 5, 0 }, { 2, 0 }, 1 },
		{ { 4, 0 }, { 4, 1 }, 1 },
		{ { 4, 1 }, { 4, 0 }, 1 },
		{ { 4, 0 }, { 4, 0 }, 0 },
		{ { 2, 0 }, { 4, 1 }, 1 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sg_path_teller tellers[NOISE + 1];
		struct cast cast;

		cast_init(&cast);
		cast.romeo.entry.flags = SG_PATH_TRUSTED;
		for (int k = 0; k < NOISE; k++) {
			forge(&cast.romeo, &cast.romeos_client);
			tellers[k] = rows[i].noise;
		}
		cross_sign(&cast.romeo, &cast.romeos_client);
		tellers[NOISE] = rows[i].good;
		cast.romeos_client.entry.tellers = tellers;
		assert_int_equal(cast_verdict(&cast, &cast.romeos_client),
		    rows[i].holds ? SG_PATH_IS_FRIEND : SG_PATH_IS_BROKEN);
		assert_in_range(sg_path_graph_checks(cast.graph), 1, 1 + SG_PATH_PAIR_CHECKS_MAX);
		cast_clear(&cast);
	}
}

/* Keys that only say to be signed by the person use up nothing of one of which he keeps the signature. */
static void whom_the_person_has_signed_goes_before_who_says_so(void **state)
{
	enum { SOME = 20 };
	struct actor claims[SOME], kept = { .keyinfo = { .kind = SG_KEYINFO_REFERENCE } };
	struct cast cast;

	cast_init(&cast);
	for (int i = 0; i < SOME; i++) {
		actor_init(&claims[i], pool[5], ROMEO, 0);
		forge(&cast.mine, &claims[i]);
		forge(&claims[i], &cast.romeos_client);
	}
	cross_sign(&cast.romeo, &cast.romeos_client);
	kept.keyinfo.name = strdup(cast.romeo.keyinfo.name);
	kept.entry = (struct sg_path_key){ .keyinfo = &kept.keyinfo, .flags = SG_PATH_SIGNED };
	put_signature(&kept, cast.mine.keyinfo.name, "ECDSA-SHA256",
	    sign(cast.mine.key, EVP_sha256(), &cast.romeo.keyinfo.data));
	cast_graph(&cast);
	assert_int_equal(sg_path_graph_add(cast.graph, &kept.entry), 0);
	for (int i = 0; i < SOME; i++)
		assert_int_equal(sg_path_graph_add(cast.graph, &claims[i].entry), 0);
	assert_int_equal(judge(cast.graph, &cast.romeos_client).verdict, SG_PATH_IS_FRIEND);
	assert_int_equal(sg_path_graph_checks(cast.graph), 2);
	for (int i = 0; i < SOME; i++)
		actor_clear(&claims[i]);
	cast_clear(&cast);
	actor_clear(&kept);
}

/* Thirty friends who all sign each other's user keys, and their own client keys. */
static void a_web_is_checked_once(void **state)
{
	enum { FRIENDS = 30 };
	struct actor mine, *users = calloc(FRIENDS, sizeof(*users));
	struct actor *clients = calloc(FRIENDS, sizeof(*clients));
	struct sg_path_graph *graph;
	char jid[FRIENDS][32];

	actor_init(&mine, pool[0], JULIET, SG_PATH_OWN_USER);
	for (int i = 0; i < FRIENDS; i++) {
		snprintf(jid[i], sizeof(jid[i]), "friend%d@example.org", i);
		actor_init(&users[i], pool[1 + i % 3], jid[i], 0);
		actor_init(&clients[i], pool[4], jid[i], 0);
		cross_sign(&users[i], &clients[i]);
		if (i % 2 == 0)
			cross_sign(&mine, &users[i]);
	}
	for (int i = 0; i < FRIENDS; i++) {
		for (int k = 0; k < FRIENDS; k++) {
			if (i % 3 != k % 3)
				cross_sign(&users[i], &users[k]);
		}
	}
	assert_int_equal(sg_path_graph_new(&graph, NOW, CHECKS), 0);
	assert_int_equal(sg_path_graph_add(graph, &mine.entry), 0);
	for (int i = 0; i < FRIENDS; i++) {
		assert_int_equal(sg_path_graph_add(graph, &users[i].entry), 0);
		assert_int_equal(sg_path_graph_add(graph, &clients[i].entry), 0);
	}
	for (int turn = 0; turn < 2; turn++) {
		for (int i = 0; i < FRIENDS; i++) {
			assert_int_equal(judge(graph, &users[i]).verdict,
			    i % 2 == 0 ? SG_PATH_IS_TRUSTED : SG_PATH_IS_VOUCHED);
			assert_int_equal(judge(graph, &clients[i]).verdict,
			    i % 2 == 0 ? SG_PATH_IS_FRIEND : SG_PATH_IS_UNKNOWN);
		}
		assert_in_range(sg_path_graph_checks(graph), 1, 3 * FRIENDS);
	}
	sg_path_graph_free(graph);
	for (int i = 0; i < FRIENDS; i++) {
		actor_clear(&users[i]);
		actor_clear(&clients[i]);
	}
	actor_clear(&mine);
	free(users);
	free(clients);
}

/* ---- what is let in ---- */

static void test_k2_a_key_that_is_not_its_names_is_refused(void **state)
{
	struct cast cast;
	struct sg_path_graph *graph;
	char *name;

	cast_init(&cast);
	assert_int_equal(sg_path_graph_new(&graph, NOW, CHECKS), 0);
	assert_int_equal(sg_path_graph_add(graph, &cast.romeo.entry), 0);
	/* Mercutio's data under Romeo's name, while that is there and while it is not */
	name = cast.mercutio.keyinfo.name;
	cast.mercutio.keyinfo.name = cast.romeo.keyinfo.name;
	assert_int_equal(sg_path_graph_add(graph, &cast.mercutio.entry), SG_ERR_KEYINFO);
	assert_int_equal(judge(graph, &cast.romeo).verdict, SG_PATH_IS_UNKNOWN);
	sg_path_graph_free(graph);
	assert_int_equal(sg_path_graph_new(&graph, NOW, CHECKS), 0);
	assert_int_equal(sg_path_graph_add(graph, &cast.mercutio.entry), SG_ERR_KEYINFO);
	cast.mercutio.keyinfo.name = NULL;
	assert_int_equal(sg_path_graph_add(graph, &cast.mercutio.entry), SG_ERR_KEYINFO);
	cast.mercutio.keyinfo.name = name;
	sg_path_graph_free(graph);
	cast_clear(&cast);
}

/* The same key from two places: what either says counts. */
static void a_key_that_comes_twice_is_one(void **state)
{
	struct cast cast;
	struct actor again = { 0 }, reference = { 0 };
	static const char *const seen[] = { ROMEO };

	cast_init(&cast);
	cross_sign(&cast.romeo, &cast.romeos_client);
	cast_graph(&cast);
	assert_int_equal(judge(cast.graph, &cast.romeos_client).verdict, SG_PATH_IS_UNKNOWN);
	again.keyinfo.kind = SG_KEYINFO_X509;
	again.keyinfo.name = strdup(cast.romeo.keyinfo.name);
	again.keyinfo.data = blob_of(cast.romeo.keyinfo.data.data, cast.romeo.keyinfo.data.len);
	again.entry = (struct sg_path_key){ .keyinfo = &again.keyinfo,
		.seen_jids = seen,
		.seen_count = 1,
		.flags = SG_PATH_TRUSTED,
		.trusted_jid = ROMEO,
		.first_seen = 9 };
	cross_sign(&cast.mine, &again);
	assert_int_equal(sg_path_graph_add(cast.graph, &again.entry), 0);
	assert_int_equal(judge(cast.graph, &cast.romeo).verdict, SG_PATH_IS_TRUSTED);
	assert_int_equal(judge(cast.graph, &cast.romeo).steps[0].since, 9);
	assert_int_equal(judge(cast.graph, &cast.romeos_client).verdict, SG_PATH_IS_FRIEND);
	sg_path_graph_free(cast.graph);

	/* a reference is no key yet: it signs nothing, and becomes one by its data */
	reference.keyinfo.name = strdup(cast.romeo.keyinfo.name);
	reference.entry =
	    (struct sg_path_key){ .keyinfo = &reference.keyinfo, .flags = SG_PATH_TRUSTED };
	assert_int_equal(sg_path_graph_new(&cast.graph, NOW, CHECKS), 0);
	assert_int_equal(sg_path_graph_add(cast.graph, &reference.entry), 0);
	assert_int_equal(sg_path_graph_add(cast.graph, &cast.romeos_client.entry), 0);
	assert_int_equal(judge(cast.graph, &cast.romeos_client).verdict, SG_PATH_IS_BROKEN);
	assert_int_equal(sg_path_graph_checks(cast.graph), 0);
	again.entry.flags = 0;
	assert_int_equal(sg_path_graph_add(cast.graph, &again.entry), 0);
	assert_int_equal(judge(cast.graph, &cast.romeos_client).verdict, SG_PATH_IS_FRIEND);
	actor_clear(&reference);
	actor_clear(&again);
	cast_clear(&cast);
}

static void the_same_key_in_another_certificate_counts_for_nothing(void **state)
{
	struct cast cast;
	struct actor renewed;

	cast_init(&cast);
	cast.romeo.entry.flags = SG_PATH_TRUSTED;
	actor_init(&renewed, pool[2], ROMEO, 0);
	cross_sign(&cast.romeo, &renewed);
	cast_graph(&cast);
	assert_int_equal(sg_path_graph_add(cast.graph, &renewed.entry), 0);
	assert_int_equal(judge(cast.graph, &renewed).verdict, SG_PATH_IS_UNKNOWN);
	assert_int_equal(judge(cast.graph, &renewed).step_count, 0);
	assert_int_equal(sg_path_graph_checks(cast.graph), 0);
	actor_clear(&renewed);
	cast_clear(&cast);
}

static void keys_and_signatures_have_limits(void **state)
{
	struct sg_keyinfo *keys = calloc(SG_PATH_KEYS_MAX + 1, sizeof(*keys));
	struct sg_path_graph *graph;
	struct sg_signature *list = calloc(MANY, sizeof(*list));
	struct sg_path_key entry = { 0 };
	char name[SG_PATH_KEYS_MAX + 1][12];
	static char missing[] = ISSUER_NAME;

	assert_int_equal(sg_path_graph_new(&graph, NOW, CHECKS), 0);
	for (int i = 0; i <= SG_PATH_KEYS_MAX; i++) {
		snprintf(name[i], sizeof(name[i]), "%d", i);
		keys[i].name = name[i];
		entry.keyinfo = &keys[i];
		assert_int_equal(
		    sg_path_graph_add(graph, &entry), i < SG_PATH_KEYS_MAX ? 0 : SG_ERR_LIMIT);
	}
	for (int i = 0; i < MANY; i++)
		list[i].issuer = missing;
	keys[0].signatures = list;
	keys[0].signature_count = MANY;
	entry.keyinfo = &keys[0];
	for (int i = 0; i < SG_PATH_SIGNATURES_MAX / MANY; i++)
		assert_int_equal(sg_path_graph_add(graph, &entry), 0);
	keys[0].signature_count = 1;
	assert_int_equal(sg_path_graph_add(graph, &entry), SG_ERR_LIMIT);
	sg_path_graph_free(graph);
	sg_path_graph_free(NULL);
	free(list);
	free(keys);
}
int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cycles_are_harmless),
		cmocka_unit_test(a_chain_of_ten_thousand_ends_after_two_steps),
		cmocka_unit_test(ten_thousand_forgeries_cost_a_few_checks),
		cmocka_unit_test(checks_end_with_their_number),
		cmocka_unit_test(tellers_take_turns),
		cmocka_unit_test(whom_the_person_has_signed_goes_before_who_says_so),
		cmocka_unit_test(a_web_is_checked_once),
		cmocka_unit_test(test_k2_a_key_that_is_not_its_names_is_refused),
		cmocka_unit_test(a_key_that_comes_twice_is_one),
		cmocka_unit_test(the_same_key_in_another_certificate_counts_for_nothing),
		cmocka_unit_test(keys_and_signatures_have_limits),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
