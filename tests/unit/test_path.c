#include "path_cast.h"

/* ---- what counts ---- */

static void nothing_is_trusted_by_itself(void **state)
{
	struct cast cast;
	struct sg_path path;

	cast_init(&cast);
	path = cast_judge(&cast, &cast.romeo);
	assert_int_equal(path.verdict, SG_PATH_IS_UNKNOWN);
	assert_int_equal(path.step_count, 0);
	assert_null(path.jid);
	cross_sign(&cast.romeo, &cast.romeos_client);
	path = cast_judge(&cast, &cast.romeos_client);
	assert_int_equal(path.verdict, SG_PATH_IS_UNKNOWN);
	assert_int_equal(path.step_count, 1);
	assert_step(&path.steps[0], SG_PATH_BY_SIGNATURE, &cast.romeo, &cast.romeos_client,
	    SG_PATH_BREAKS_ISSUER_UNKNOWN);
	assert_int_equal(sg_path_graph_checks(cast.graph), 0);
	assert_int_equal(sg_path_judge(cast.graph, "none", &path), SG_ERR_KEY_ABSENT);
	cast_clear(&cast);
}

static void own_keys_are_own(void **state)
{
	struct cast cast;
	struct sg_path path;

	cast_init(&cast);
	path = cast_judge(&cast, &cast.mine);
	assert_int_equal(path.verdict, SG_PATH_IS_OWN);
	assert_string_equal(path.jid, JULIET);
	assert_int_equal(path.step_count, 1);
	assert_step(&path.steps[0], SG_PATH_BY_OWN, NULL, &cast.mine, SG_PATH_HOLDS);
	assert_int_equal(cast_verdict(&cast, &cast.my_client), SG_PATH_IS_OWN);
	cast_clear(&cast);
}

static void the_persons_word_counts(void **state)
{
	struct cast cast;
	struct sg_path path;

	cast_init(&cast);
	cast.romeo.entry.flags = SG_PATH_TRUSTED;
	cast.romeo.entry.trusted_jid = ROMEO;
	cast.romeo.entry.decided = 77;
	cast.romeo.entry.first_seen = 7;
	path = cast_judge(&cast, &cast.romeo);
	assert_int_equal(path.verdict, SG_PATH_IS_TRUSTED);
	assert_int_equal(path.grade, SG_GRADE_NONE);
	assert_string_equal(path.jid, ROMEO);
	assert_int_equal(path.step_count, 1);
	assert_step(&path.steps[0], SG_PATH_BY_PERSON, NULL, &cast.romeo, SG_PATH_HOLDS);
	assert_int_equal(path.steps[0].since, 77);
	assert_int_equal(path.steps[0].not_before, NOW - DAY);
	assert_int_equal(path.steps[0].not_after, NOW + DAY);
	cast_clear(&cast);
}

/* own user key -> friend's user key -> friend's client key */
static void a_friends_client_key_is_reached(void **state)
{
	struct cast cast;
	struct sg_path path;

	cast_init(&cast);
	cross_sign(&cast.mine, &cast.romeo);
	cross_sign(&cast.romeo, &cast.romeos_client);
	cast.romeos_client.entry.first_seen = 5;
	path = cast_judge(&cast, &cast.romeo);
	assert_int_equal(path.verdict, SG_PATH_IS_TRUSTED);
	assert_int_equal(path.grade, SG_GRADE_SHA256);
	assert_string_equal(path.jid, ROMEO);
	path = judge(cast.graph, &cast.romeos_client);
	assert_int_equal(path.verdict, SG_PATH_IS_FRIEND);
	assert_int_equal(path.grade, SG_GRADE_SHA256);
	assert_string_equal(path.jid, ROMEO);
	assert_int_equal(path.step_count, 3);
	assert_step(&path.steps[0], SG_PATH_BY_OWN, NULL, &cast.mine, SG_PATH_HOLDS);
	assert_step(&path.steps[1], SG_PATH_BY_SIGNATURE, &cast.mine, &cast.romeo, SG_PATH_HOLDS);
	assert_step(
	    &path.steps[2], SG_PATH_BY_SIGNATURE, &cast.romeo, &cast.romeos_client, SG_PATH_HOLDS);
	assert_string_equal(path.steps[2].method, "ECDSA-SHA256");
	assert_int_equal(path.steps[2].grade, SG_GRADE_SHA256);
	assert_int_equal(path.steps[2].since, 5);
	assert_int_equal(sg_path_graph_checks(cast.graph), 2);
	cast_clear(&cast);
}

static void a_friend_vouches_for_others_and_makes_none_trusted(void **state)
{
	struct cast cast;
	struct sg_path path;

	cast_init(&cast);
	cross_sign(&cast.mine, &cast.romeo);
	cross_sign(&cast.romeo, &cast.mercutio);
	cross_sign(&cast.mercutio, &cast.mercutios_client);
	path = cast_judge(&cast, &cast.mercutio);
	assert_int_equal(path.verdict, SG_PATH_IS_VOUCHED);
	assert_null(path.jid);
	assert_int_equal(path.step_count, 3);
	path = judge(cast.graph, &cast.mercutios_client);
	assert_int_equal(path.verdict, SG_PATH_IS_UNKNOWN);
	assert_int_equal(path.step_count, 4);
	assert_step(&path.steps[3], SG_PATH_BY_SIGNATURE, &cast.mercutio, &cast.mercutios_client,
	    SG_PATH_BREAKS_TOO_FAR);
	assert_int_equal(path.grade, SG_GRADE_NONE);
	cast_clear(&cast);
}

static void client_keys_make_nothing_trusted(void **state)
{
	struct cast cast;
	struct sg_path path;

	cast_init(&cast);
	cross_sign(&cast.my_client, &cast.mercutio);
	path = cast_judge(&cast, &cast.mercutio);
	assert_int_equal(path.verdict, SG_PATH_IS_UNKNOWN);
	assert_int_equal(path.step_count, 2);
	assert_step(&path.steps[1], SG_PATH_BY_SIGNATURE, &cast.my_client, &cast.mercutio,
	    SG_PATH_BREAKS_TOO_FAR);
	cast_clear(&cast);

	cast_init(&cast);
	cross_sign(&cast.mine, &cast.romeo);
	cross_sign(&cast.romeo, &cast.romeos_client);
	cross_sign(&cast.romeos_client, &cast.mercutio);
	path = cast_judge(&cast, &cast.mercutio);
	assert_int_equal(path.verdict, SG_PATH_IS_UNKNOWN);
	assert_int_equal(path.steps[path.step_count - 1].breaks, SG_PATH_BREAKS_TOO_FAR);
	cast_clear(&cast);
}

/* A key with the names of two speaks for neither: else a friend's key with somebody else's name in it,
 * too, would make all keys of that name trusted. */
static void a_key_of_two_names_speaks_for_neither(void **state)
{
	struct cast cast;
	struct actor both;
	struct sg_path path;

	cast_init(&cast);
	actor_make(&both, pool[2], 0, (struct recipe){ .jids = { ROMEO, MERCUTIO } });
	cross_sign(&cast.mine, &both);
	cross_sign(&both, &cast.mercutio);
	cross_sign(&both, &cast.romeos_client);
	cast_graph(&cast);
	assert_int_equal(sg_path_graph_add(cast.graph, &both.entry), 0);
	path = judge(cast.graph, &both);
	assert_int_equal(path.verdict, SG_PATH_IS_TRUSTED);
	assert_null(path.jid);
	assert_int_equal(judge(cast.graph, &cast.mercutio).verdict, SG_PATH_IS_VOUCHED);
	assert_int_equal(judge(cast.graph, &cast.romeos_client).verdict, SG_PATH_IS_VOUCHED);
	/* the person says whose it is */
	cast_graph(&cast);
	both.entry.flags = SG_PATH_TRUSTED;
	both.entry.trusted_jid = ROMEO;
	assert_int_equal(sg_path_graph_add(cast.graph, &both.entry), 0);
	assert_int_equal(judge(cast.graph, &cast.mercutio).verdict, SG_PATH_IS_VOUCHED);
	assert_int_equal(judge(cast.graph, &cast.romeos_client).verdict, SG_PATH_IS_FRIEND);
	actor_clear(&both);
	cast_clear(&cast);
}

/* The names in a certificate are under the friend's signature; who shows it on his node is not. */
static void whose_node_shows_a_key_does_not_make_it_his(void **state)
{
	static const char *const mercutio[] = { MERCUTIO };
	static const char *const romeo[] = { ROMEO };
	struct cast cast;
	struct actor nameless;
	const char *const *claims;

	cast_init(&cast);
	actor_make(&nameless, pool[5], 0, (struct recipe){ 0 });
	cross_sign(&cast.mine, &cast.romeo);
	cross_sign(&cast.romeo, &cast.mercutio);
	cross_sign(&cast.romeo, &nameless);
	cast.mercutio.entry.seen_jids = romeo;
	cast.mercutio.entry.seen_count = 1;
	assert_int_equal(cast_verdict(&cast, &cast.mercutio), SG_PATH_IS_VOUCHED);
	/* two claim one key: both are told */
	claims = sg_path_claims(cast.graph, cast.mercutio.keyinfo.name);
	assert_string_equal(claims[0], MERCUTIO);
	assert_string_equal(claims[1], ROMEO);
	assert_null(claims[2]);
	assert_null(sg_path_claims(cast.graph, "none"));
	/* only a key without names is of who shows it */
	nameless.entry.seen_jids = mercutio;
	nameless.entry.seen_count = 1;
	assert_int_equal(sg_path_graph_add(cast.graph, &nameless.entry), 0);
	assert_int_equal(judge(cast.graph, &nameless).verdict, SG_PATH_IS_VOUCHED);
	cast_graph(&cast);
	nameless.entry.seen_jids = romeo;
	assert_int_equal(sg_path_graph_add(cast.graph, &nameless.entry), 0);
	assert_int_equal(judge(cast.graph, &nameless).verdict, SG_PATH_IS_FRIEND);
	actor_clear(&nameless);
	cast_clear(&cast);
}

/* ---- what breaks ---- */

/* What happens to the middle of own -> Romeo -> his client key, or to its end. */
static void every_break_is_named(void **state)
{
	static const char *const romeo[] = { ROMEO };
	static const struct {
		unsigned flag;
		time_t from, to;
		enum sg_path_break breaks;
	} cases[] = {
		{ SG_PATH_REFUSED, 0, 0, SG_PATH_BREAKS_REFUSED },
		{ SG_PATH_REVOKED, 0, 0, SG_PATH_BREAKS_REVOKED },
		{ 0, 0, 0, SG_PATH_BREAKS_RETRACTED },
		{ 0, NOW - 2 * DAY, NOW - 1, SG_PATH_BREAKS_EXPIRED },
		{ 0, NOW + 1, NOW + DAY, SG_PATH_BREAKS_NOT_YET_VALID },
		{ 0, NOW, NOW, SG_PATH_HOLDS },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct recipe recipe = {
			.jids = { ROMEO }, .from = cases[i].from, .to = cases[i].to
		};

		for (int at = 1; at <= 2; at++) {
			struct cast cast;
			struct actor *broken;
			struct sg_path path;
			enum sg_path_verdict expected = SG_PATH_IS_BROKEN;

			cast_init(&cast);
			broken = at == 1 ? &cast.romeo : &cast.romeos_client;
			actor_clear(broken);
			actor_make(broken, pool[1 + at], cases[i].flag, recipe);
			if (cases[i].breaks == SG_PATH_BREAKS_RETRACTED) {
				broken->entry.retracted_jids = romeo;
				broken->entry.retracted_count = 1;
			}
			cross_sign(&cast.mine, &cast.romeo);
			cross_sign(&cast.romeo, &cast.romeos_client);
			path = cast_judge(&cast, &cast.romeos_client);
			if (cases[i].breaks == SG_PATH_HOLDS)
				expected = SG_PATH_IS_FRIEND;
			else if (at == 2 && cases[i].flag == SG_PATH_REFUSED)
				expected = SG_PATH_IS_REFUSED;
			assert_int_equal(path.verdict, expected);
			assert_int_equal(path.step_count, 3);
			for (int k = 0; k < 3; k++)
				assert_int_equal(path.steps[k].breaks,
				    k == at ? cases[i].breaks : SG_PATH_HOLDS);
			assert_int_equal(path.jid == NULL, cases[i].breaks != SG_PATH_HOLDS);
			cast_clear(&cast);
		}
	}
}

/* Somebody else's node can neither retract a key nor keep one. */
static void only_its_owner_retracts_a_key(void **state)
{
	static const char *const both[] = { ROMEO, MERCUTIO };
	struct cast cast;
	struct actor nameless;
	struct sg_path_key *entry = &cast.romeo.entry;

	cast_init(&cast);
	cross_sign(&cast.mine, &cast.romeo);
	entry->retracted_jids = both + 1;
	entry->retracted_count = 1;
	assert_int_equal(cast_verdict(&cast, &cast.romeo), SG_PATH_IS_TRUSTED);
	entry->retracted_jids = both;
	entry->seen_jids = both + 1;
	entry->seen_count = 1;
	assert_int_equal(cast_verdict(&cast, &cast.romeo), SG_PATH_IS_BROKEN);
	/* by the person's decision it is Mercutio's */
	entry->flags = SG_PATH_TRUSTED;
	entry->trusted_jid = MERCUTIO;
	assert_int_equal(cast_verdict(&cast, &cast.romeo), SG_PATH_IS_TRUSTED);
	entry->retracted_count = 2;
	assert_int_equal(cast_verdict(&cast, &cast.romeo), SG_PATH_IS_BROKEN);
	/* of one without a name: all who showed it */
	actor_make(&nameless, pool[5], SG_PATH_TRUSTED, (struct recipe){ 0 });
	nameless.entry.retracted_jids = both;
	nameless.entry.retracted_count = 1;
	nameless.entry.seen_jids = both + 1;
	for (size_t seen = 0; seen < 2; seen++) {
		nameless.entry.seen_count = seen;
		cast_graph(&cast);
		assert_int_equal(sg_path_graph_add(cast.graph, &nameless.entry), 0);
		assert_int_equal(judge(cast.graph, &nameless).verdict,
		    seen ? SG_PATH_IS_TRUSTED : SG_PATH_IS_BROKEN);
	}
	actor_clear(&nameless);
	cast_clear(&cast);
}

/* What others told uses up none of the checks of what the key's JID showed, or the account keeps, wherever it stands. */
static void what_others_tell_crowds_nothing_out(void **state)
{
	static const struct sg_path_teller shown = { 0, 0 };

	for (int own = 0; own < 2; own++) {
		struct cast cast;
		struct actor *issuer = own ? &cast.mine : &cast.romeo;
		struct actor *subject = own ? &cast.romeo : &cast.romeos_client;
		struct actor good;

		cast_init(&cast);
		cast.romeo.entry.flags = own ? 0 : SG_PATH_TRUSTED;
		for (int i = 0; i < 2 * SG_PATH_PAIR_CHECKS_MAX; i++)
			forge(issuer, subject);
		good = (struct actor){ .keyinfo = { .kind = SG_KEYINFO_X509 } };
		good.keyinfo.name = strdup(subject->keyinfo.name);
		assert_int_equal(sg_blob_set(&good.keyinfo.data, subject->keyinfo.data.data,
				     subject->keyinfo.data.len),
		    0);
		cross_sign(issuer, &good);
		good.entry.keyinfo = &good.keyinfo;
		good.entry.tellers = own ? NULL : &shown;
		good.entry.flags = own ? SG_PATH_SIGNED : 0;
		assert_int_equal(cast_verdict(&cast, subject), SG_PATH_IS_BROKEN);
		assert_int_equal(sg_path_graph_add(cast.graph, &good.entry), 0);
		assert_int_equal(judge(cast.graph, subject).verdict,
		    own ? SG_PATH_IS_TRUSTED : SG_PATH_IS_FRIEND);
		cast_clear(&cast);
		actor_clear(&good);
	}
}

/* What the owner's node showed stands first: noise that others told behind it hides nothing. */
static void the_first_of_a_pair_are_checked(void **state)
{
	struct cast cast;

	for (int late = 0; late < 2; late++) {
		cast_init(&cast);
		cast.romeo.entry.flags = SG_PATH_TRUSTED;
		if (!late)
			cross_sign(&cast.romeo, &cast.romeos_client);
		for (int i = 0; i < 2 * SG_PATH_PAIR_CHECKS_MAX; i++)
			forge(&cast.romeo, &cast.romeos_client);
		if (late)
			cross_sign(&cast.romeo, &cast.romeos_client);
		assert_int_equal(cast_verdict(&cast, &cast.romeos_client),
		    late ? SG_PATH_IS_BROKEN : SG_PATH_IS_FRIEND);
		assert_int_equal(
		    sg_path_graph_checks(cast.graph), late ? SG_PATH_PAIR_CHECKS_MAX : 1);
		cast_clear(&cast);
	}
}

static void an_own_user_key_that_is_over_breaks_what_it_signed(void **state)
{
	struct cast cast;
	struct sg_path path;

	cast_init(&cast);
	cast.mine.entry.flags |= SG_PATH_REVOKED;
	cross_sign(&cast.mine, &cast.romeo);
	path = cast_judge(&cast, &cast.romeo);
	assert_int_equal(path.verdict, SG_PATH_IS_BROKEN);
	assert_step(&path.steps[0], SG_PATH_BY_OWN, NULL, &cast.mine, SG_PATH_BREAKS_REVOKED);
	assert_int_equal(cast_verdict(&cast, &cast.mine), SG_PATH_IS_BROKEN);
	/* the person's own word stands beside it */
	cast.romeo.entry.flags = SG_PATH_TRUSTED;
	assert_int_equal(cast_verdict(&cast, &cast.romeo), SG_PATH_IS_TRUSTED);
	cast_clear(&cast);
}

static void signatures_that_do_not_hold_break(void **state)
{
	struct cast cast;
	struct sg_path path;

	cast_init(&cast);
	cross_sign(&cast.mine, &cast.romeo);
	forge(&cast.romeo, &cast.romeos_client);
	path = cast_judge(&cast, &cast.romeos_client);
	assert_int_equal(path.verdict, SG_PATH_IS_BROKEN);
	assert_int_equal(path.steps[2].breaks, SG_PATH_BREAKS_BAD_SIGNATURE);
	/* an unknown method is nearer to holding than a bad signature (K6) */
	put_signature(&cast.romeos_client, cast.romeo.keyinfo.name, "ROT-13", blob_of("x", 1));
	path = cast_judge(&cast, &cast.romeos_client);
	assert_int_equal(path.steps[2].breaks, SG_PATH_BREAKS_UNKNOWN_METHOD);
	assert_string_equal(path.steps[2].method, "ROT-13");
	cross_sign(&cast.romeo, &cast.romeos_client);
	assert_int_equal(cast_verdict(&cast, &cast.romeos_client), SG_PATH_IS_FRIEND);
	/* who signed is not at hand */
	put_signature(&cast.mercutio, SUBJECT_NAME, "RSA-SHA256", blob_of("x", 1));
	put_signature(&cast.mercutio, ISSUER_NAME, "RSA-SHA256", blob_of("x", 1));
	path = cast_judge(&cast, &cast.mercutio);
	assert_int_equal(path.verdict, SG_PATH_IS_UNKNOWN);
	assert_int_equal(path.step_count, 1);
	assert_int_equal(path.steps[0].breaks, SG_PATH_BREAKS_ISSUER_MISSING);
	assert_string_equal(path.steps[0].issuer, ISSUER_NAME);
	cast_clear(&cast);
}

static void what_the_person_refused_is_refused(void **state)
{
	struct cast cast;
	struct sg_path path;

	cast_init(&cast);
	cast.mercutio.entry.flags = SG_PATH_REFUSED;
	path = cast_judge(&cast, &cast.mercutio);
	assert_int_equal(path.verdict, SG_PATH_IS_REFUSED);
	assert_int_equal(path.step_count, 1);
	assert_step(
	    &path.steps[0], SG_PATH_BY_PERSON, NULL, &cast.mercutio, SG_PATH_BREAKS_REFUSED);
	cross_sign(&cast.mine, &cast.mercutio);
	path = cast_judge(&cast, &cast.mercutio);
	assert_int_equal(path.verdict, SG_PATH_IS_REFUSED);
	assert_int_equal(path.step_count, 2);
	cast_clear(&cast);
}

/* ---- the best of several ---- */

static void the_best_path_is_taken_in_any_order(void **state)
{
	struct actor mine, by_word, by_key, strong, weak, subject;
	struct actor *actors[] = { &mine, &by_word, &by_key, &strong, &weak, &subject };
	struct sg_path path;

	actor_init(&mine, pool[0], JULIET, SG_PATH_OWN_USER);
	actor_init(&by_word, pool[1], ROMEO, SG_PATH_TRUSTED);
	actor_init(&by_key, pool[2], ROMEO, 0);
	actor_init(&strong, rsa, ROMEO, 0);
	actor_init(&weak, rsa, ROMEO, 0);
	actor_init(&subject, pool[3], ROMEO, 0);
	cross_sign(&mine, &by_key);
	cross_sign(&mine, &strong);
	cross_sign(&mine, &weak);
	cross_sign_with(&weak, &subject, 1);
	for (int round = 0; round < 4; round++) {
		static const enum sg_grade grades[] = { SG_GRADE_SHA1, SG_GRADE_SHA256,
			SG_GRADE_SHA256, SG_GRADE_SHA256 };
		const struct actor *best = &weak;

		if (round == 1)
			cross_sign(&strong, &subject);
		if (round == 2)
			cross_sign(&by_key, &subject);
		if (round == 3)
			cross_sign(&by_word, &subject);
		if (round == 1)
			best = &strong;
		else if (round == 2)
			best = strcmp(strong.keyinfo.name, by_key.keyinfo.name) < 0 ? &strong
										    : &by_key;
		else if (round == 3)
			best = &by_word;
		for (int turn = 0; turn < 6; turn++) {
			struct actor *first = actors[0];
			struct sg_signature *list = subject.keyinfo.signatures, head = list[0];
			size_t last = subject.keyinfo.signature_count - 1;
			struct sg_path_graph *graph;

			memmove(actors, actors + 1, 5 * sizeof(actors[0]));
			actors[5] = first;
			memmove(list, list + 1, last * sizeof(*list));
			list[last] = head;
			graph = graph_of(actors, 6, CHECKS);
			path = judge(graph, &subject);
			assert_int_equal(path.verdict, SG_PATH_IS_FRIEND);
			assert_int_equal(path.grade, grades[round]);
			assert_string_equal(
			    path.steps[path.step_count - 1].issuer, best->keyinfo.name);
			assert_int_equal(path.step_count, round == 3 ? 2 : 3);
			assert_in_range(sg_path_graph_checks(graph), 1, 4);
			sg_path_graph_free(graph);
		}
	}
	/* and the person's own signature is before all of them, his word before that */
	cross_sign(&mine, &subject);
	for (int round = 0; round < 2; round++) {
		struct sg_path_graph *graph;

		if (round == 1)
			subject.entry.flags = SG_PATH_TRUSTED;
		graph = graph_of(actors, 6, CHECKS);
		path = judge(graph, &subject);
		assert_int_equal(path.verdict, SG_PATH_IS_TRUSTED);
		assert_int_equal(path.step_count, 2 - round);
		sg_path_graph_free(graph);
	}
	for (int i = 0; i < 6; i++)
		actor_clear(actors[i]);
}

/* SHA-1 anywhere on the way makes it weaker (K7). */
static void the_weakest_signature_is_the_grade(void **state)
{
	struct actor mine, romeo, client;
	struct actor *actors[] = { &mine, &romeo, &client };
	struct sg_path_graph *graph;
	struct sg_path path;

	actor_init(&mine, rsa, JULIET, SG_PATH_OWN_USER);
	actor_init(&romeo, pool[1], ROMEO, 0);
	actor_init(&client, pool[2], ROMEO, 0);
	cross_sign_with(&mine, &romeo, 1);
	cross_sign(&romeo, &client);
	graph = graph_of(actors, 3, CHECKS);
	path = judge(graph, &client);
	assert_int_equal(path.verdict, SG_PATH_IS_FRIEND);
	assert_int_equal(path.grade, SG_GRADE_SHA1);
	assert_int_equal(path.steps[1].grade, SG_GRADE_SHA1);
	assert_int_equal(path.steps[2].grade, SG_GRADE_SHA256);
	sg_path_graph_free(graph);
	cross_sign(&mine, &romeo);
	graph = graph_of(actors, 3, CHECKS);
	assert_int_equal(judge(graph, &client).grade, SG_GRADE_SHA256);
	sg_path_graph_free(graph);
	for (int i = 0; i < 3; i++)
		actor_clear(actors[i]);
}

/* ---- one signature at a time ---- */

static void signatures_are_told_one_by_one(void **state)
{
	static const enum sg_signature_verdict verdicts[] = { SG_SIG_GOOD, SG_SIG_BAD,
		SG_SIG_UNKNOWN_ISSUER, SG_SIG_SELF, SG_SIG_UNKNOWN_METHOD };
	const struct sg_signature *signature;
	enum sg_signature_verdict verdict;
	struct cast cast;
	const char *name;

	cast_init(&cast);
	name = cast.romeo.keyinfo.name;
	cross_sign(&cast.mine, &cast.romeo);
	forge(&cast.mercutio, &cast.romeo);
	put_signature(&cast.romeo, ISSUER_NAME, "RSA-SHA1", blob_of("x", 1));
	put_signature(&cast.romeo, name, "ECDSA-SHA256", blob_of("x", 1));
	put_signature(&cast.romeo, cast.mine.keyinfo.name, "ROT-13", blob_of("x", 1));
	cast_graph(&cast);
	for (int turn = 0; turn < 2; turn++) {
		for (size_t i = 0; i < 5; i++) {
			assert_int_equal(
			    sg_path_signature(cast.graph, name, i, &signature, &verdict), 0);
			assert_ptr_equal(signature, &cast.romeo.keyinfo.signatures[i]);
			assert_int_equal(verdict, verdicts[i]);
		}
	}
	assert_int_equal(sg_path_graph_checks(cast.graph), 2);
	assert_int_equal(sg_path_signature_count(cast.graph, name), 5);
	assert_int_equal(sg_path_signature_count(cast.graph, "none"), 0);
	assert_int_equal(
	    sg_path_signature(cast.graph, name, 5, &signature, &verdict), SG_ERR_KEY_ABSENT);
	assert_null(signature);
	assert_int_equal(
	    sg_path_signature(cast.graph, "none", 0, &signature, &verdict), SG_ERR_KEY_ABSENT);
	cast_clear(&cast);
}

static void words_are_told(void **state)
{
	static const char *const verdicts[] = { "own", "trusted", "friend", "vouched", "broken",
		"refused", "unknown" };
	static const char *const breaks[] = { NULL, "refused", "revoked", "retracted", "expired",
		"not_yet_valid", "bad_signature", "unknown_method", "signature_refused",
		"unchecked", "issuer_missing", "issuer_unknown", "too_far" };

	for (int i = 0; i <= SG_PATH_IS_UNKNOWN; i++)
		assert_string_equal(sg_path_verdict_name((enum sg_path_verdict)i), verdicts[i]);
	assert_null(sg_path_break_name(SG_PATH_HOLDS));
	for (int i = 1; i <= SG_PATH_BREAKS_TOO_FAR; i++)
		assert_string_equal(sg_path_break_name((enum sg_path_break)i), breaks[i]);
	assert_string_equal(sg_path_way_name(SG_PATH_BY_OWN), "own");
	assert_string_equal(sg_path_way_name(SG_PATH_BY_PERSON), "person");
	assert_string_equal(sg_path_way_name(SG_PATH_BY_SIGNATURE), "signature");
}
int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_trusted_by_itself),
		cmocka_unit_test(own_keys_are_own),
		cmocka_unit_test(the_persons_word_counts),
		cmocka_unit_test(a_friends_client_key_is_reached),
		cmocka_unit_test(a_friend_vouches_for_others_and_makes_none_trusted),
		cmocka_unit_test(client_keys_make_nothing_trusted),
		cmocka_unit_test(a_key_of_two_names_speaks_for_neither),
		cmocka_unit_test(whose_node_shows_a_key_does_not_make_it_his),
		cmocka_unit_test(every_break_is_named),
		cmocka_unit_test(only_its_owner_retracts_a_key),
		cmocka_unit_test(the_first_of_a_pair_are_checked),
		cmocka_unit_test(what_others_tell_crowds_nothing_out),
		cmocka_unit_test(an_own_user_key_that_is_over_breaks_what_it_signed),
		cmocka_unit_test(signatures_that_do_not_hold_break),
		cmocka_unit_test(what_the_person_refused_is_refused),
		cmocka_unit_test(the_best_path_is_taken_in_any_order),
		cmocka_unit_test(the_weakest_signature_is_the_grade),
		cmocka_unit_test(signatures_are_told_one_by_one),
		cmocka_unit_test(words_are_told),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
