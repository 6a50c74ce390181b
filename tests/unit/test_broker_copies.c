/* Which copy of an OpenPGP key is kept: what others tell of it harms nobody's key (K6, K14). */
#include "keyring_world.h"

#include "agent/broker/store_copies.h"
#include "pgp_vectors.h"

#define AT ((int64_t)PGP_AT)

/* Of the first test, before signet-pgp runs. */
static int set_up_nobody(void **state)
{
	sg_pgp_set_program("/nonexistent/signet-pgp");
	return set_up(state);
}

static int set_up_judge(void **state)
{
	use_signet_pgp();
	return set_up(state);
}

static struct sg_blob read_vector(const char *file)
{
	unsigned char bytes[4096];
	struct sg_blob data = { NULL, 0 };
	char path[128];
	FILE *stream;

	snprintf(path, sizeof(path), "tests/unit/vectors/%s", file);
	stream = fopen(path, "rb");
	assert_non_null(stream);
	assert_int_equal(sg_blob_set(&data, bytes, fread(bytes, 1, sizeof(bytes), stream)), 0);
	fclose(stream);
	return data;
}

/* The vector, with one more user id that nobody has signed. */
static struct sg_blob with_user_id(const char *file, const char *text)
{
	struct sg_blob data = read_vector(file);
	size_t len = strlen(text);

	data.data = realloc(data.data, data.len + 2 + len);
	assert_non_null(data.data);
	data.data[data.len] = 0xb4;
	data.data[data.len + 1] = (unsigned char)len;
	memcpy(data.data + data.len + 2, text, len);
	data.len += 2 + len;
	return data;
}

static enum sg_learnt learn(struct world *world, const char *jid, enum sg_sight source,
    const char *told_by, struct sg_blob data)
{
	struct sg_pgp_form form;
	const char *why;
	struct sg_keyinfo keyinfo = { .kind = SG_KEYINFO_PGP, .data = data };
	enum sg_learnt learnt;

	assert_int_equal(sg_pgp_key_check(&data, &form, &why), 0);
	keyinfo.name = form.name;
	learnt = put(world, jid, source, told_by, AT, &keyinfo);
	sg_blob_clear(&data);
	return learnt;
}

static enum sg_learnt learn_file(struct world *world, const char *jid, enum sg_sight source,
    const char *told_by, const char *file)
{
	return learn(world, jid, source, told_by, read_vector(file));
}

/* There is one key, and its data is this file's. */
static void assert_kept(struct world *world, const char *name, struct sg_blob data)
{
	struct found found = get(world, name);

	assert_int_equal(found.count, 1);
	assert_true(sg_blob_eq(&found.keys[0].keyinfo.data, &data));
	found_clear(&found);
	sg_blob_clear(&data);
	assert_int_equal(one_number(world, "SELECT count(*) FROM keys"), 1);
}

static void test_k14_what_others_tell_does_not_take_the_place_of_what_the_owner_shows(void **state)
{
	struct world *world = *state;

	learn_file(world, ROMEO, SG_SIGHT_NODE, NULL, "pgp-ed25519.pgp");
	for (char i = 'a'; i < 'a' + 20; i++) {
		char text[] = { 'm', i, '\0' };

		learn(world, ROMEO, SG_SIGHT_PUSH, MALLORY, with_user_id("pgp-ed25519.pgp", text));
		learn(world, ROMEO, SG_SIGHT_THIRD, MALLORY, with_user_id("pgp-ed25519.pgp", text));
		learn(world, JULIET, SG_SIGHT_IMPORT, NULL, with_user_id("pgp-ed25519.pgp", text));
		learn(world, ROMEO, SG_SIGHT_PUSH, ROMEO, with_user_id("pgp-ed25519.pgp", text));
		learn(world, ROMEO, SG_SIGHT_DIRECT, NULL, with_user_id("pgp-ed25519.pgp", text));
	}
	assert_kept(world, PGP_ED25519, read_vector("pgp-ed25519.pgp"));
}

static void test_k10_the_newest_of_the_owner_takes_the_place(void **state)
{
	struct world *world = *state;

	learn(world, ROMEO, SG_SIGHT_PUSH, MALLORY, with_user_id("pgp-ed25519.pgp", "first"));
	learn(world, ROMEO, SG_SIGHT_PUSH, JULIET, with_user_id("pgp-ed25519.pgp", "longer"));
	assert_kept(world, PGP_ED25519, with_user_id("pgp-ed25519.pgp", "first"));
	learn_file(world, ROMEO, SG_SIGHT_NODE, NULL, "pgp-ed25519.pgp");
	assert_kept(world, PGP_ED25519, read_vector("pgp-ed25519.pgp"));
	assert_int_equal(
	    learn(world, ROMEO, SG_SIGHT_EVENT, NULL, with_user_id("pgp-ed25519.pgp", "update")),
	    SG_LEARNT_SIGHTING);
	assert_kept(world, PGP_ED25519, with_user_id("pgp-ed25519.pgp", "update"));
	assert_int_equal(one_number(world, "SELECT count(*) FROM key_changes"), 0);
}

/* The vector with its last signature, which is by the key itself, so often again. */
static struct sg_blob blown_up(const char *file, size_t count)
{
	struct sg_blob data = read_vector(file);
	size_t at = 0, len = 0;

	for (size_t next = 0; next < data.len; next += len) {
		assert_true(next + 2 <= data.len && (data.data[next] & 0xc3) == 0x80);
		at = next;
		len = 2 + (size_t)data.data[next + 1];
	}
	data.data = realloc(data.data, data.len + count * len);
	assert_non_null(data.data);
	for (size_t i = 0; i < count; i++, data.len += len)
		memcpy(data.data + data.len, data.data + at, len);
	return data;
}

static void one_with_many_signatures_goes_behind_one_with_few(void **state)
{
	struct world *world = *state;

	learn(world, ROMEO, SG_SIGHT_PUSH, MALLORY, blown_up("pgp-ed25519.pgp", 60));
	assert_kept(world, PGP_ED25519, blown_up("pgp-ed25519.pgp", 60));
	learn_file(world, ROMEO, SG_SIGHT_PUSH, JULIET, "pgp-ed25519.pgp");
	assert_kept(world, PGP_ED25519, read_vector("pgp-ed25519.pgp"));
	learn(world, ROMEO, SG_SIGHT_PUSH, MALLORY, blown_up("pgp-ed25519.pgp", 60));
	assert_kept(world, PGP_ED25519, read_vector("pgp-ed25519.pgp"));
}

/* Where no node shows it. */
static void test_k14_what_a_jid_tells_of_itself_goes_before_what_others_tell(void **state)
{
	struct world *world = *state;

	learn(world, ROMEO, SG_SIGHT_PUSH, MALLORY, with_user_id("pgp-ed25519.pgp", "first"));
	learn(world, ROMEO, SG_SIGHT_PUSH, ROMEO, with_user_id("pgp-ed25519.pgp", "romeo"));
	assert_kept(world, PGP_ED25519, with_user_id("pgp-ed25519.pgp", "romeo"));
	learn(world, ROMEO, SG_SIGHT_PUSH, MALLORY, read_vector("pgp-ed25519.pgp"));
	learn(world, MALLORY, SG_SIGHT_PUSH, MALLORY, with_user_id("pgp-ed25519.pgp", "mine"));
	assert_kept(world, PGP_ED25519, with_user_id("pgp-ed25519.pgp", "romeo"));
	learn(world, ROMEO, SG_SIGHT_IMPORT, NULL, with_user_id("pgp-ed25519.pgp", "file"));
	assert_kept(world, PGP_ED25519, with_user_id("pgp-ed25519.pgp", "file"));
	learn(world, ROMEO, SG_SIGHT_THIRD, MALLORY, read_vector("pgp-ed25519.pgp"));
	assert_kept(world, PGP_ED25519, with_user_id("pgp-ed25519.pgp", "file"));
	learn(world, ROMEO, SG_SIGHT_DIRECT, NULL, with_user_id("pgp-ed25519.pgp", "direct"));
	assert_kept(world, PGP_ED25519, with_user_id("pgp-ed25519.pgp", "direct"));
}

/* The primary key alone, as anybody can cut it. */
static struct sg_blob bare(const char *file)
{
	struct sg_blob data = read_vector(file);

	assert_int_equal(data.data[0], 0x98);
	data.len = 2 + (size_t)data.data[1];
	return data;
}

static void forget(struct world *world, const char *name)
{
	struct found found = get(world, name);

	assert_int_equal(found.count, 1);
	assert_int_equal(sg_store_keyring_forget(world->store, found.keys[0].id), 0);
	found_clear(&found);
}

/* Who else shows it, though he is a contact and nobody has trusted the key yet. */
static void test_k14_what_another_shows_takes_no_place_of_what_its_person_told(void **state)
{
	static const enum sg_sight sources[] = { SG_SIGHT_PUSH, SG_SIGHT_IMPORT };
	struct world *world = *state;

	for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
		const char *by = sources[i] == SG_SIGHT_PUSH ? ROMEO : NULL;

		learn_file(world, ROMEO, sources[i], by, "pgp-ed25519.pgp");
		learn(world, MALLORY, SG_SIGHT_NODE, NULL, bare("pgp-ed25519.pgp"));
		learn(world, MALLORY, SG_SIGHT_EVENT, NULL, bare("pgp-ed25519.pgp"));
		assert_kept(world, PGP_ED25519, read_vector("pgp-ed25519.pgp"));
		forget(world, PGP_ED25519);
		learn(world, MALLORY, SG_SIGHT_EVENT, NULL, bare("pgp-ed25519.pgp"));
		assert_kept(world, PGP_ED25519, bare("pgp-ed25519.pgp"));
		learn_file(world, ROMEO, sources[i], by, "pgp-ed25519.pgp");
		assert_kept(world, PGP_ED25519, read_vector("pgp-ed25519.pgp"));
		forget(world, PGP_ED25519);
	}
}

/* Somebody else's node is no better than what is told. */
static void test_k11_what_is_shown_by_another_jid_counts_as_told(void **state)
{
	struct world *world = *state;
	struct found found;

	learn_file(world, ROMEO, SG_SIGHT_NODE, NULL, "pgp-ed25519.pgp");
	learn(world, MALLORY, SG_SIGHT_NODE, NULL, with_user_id("pgp-ed25519.pgp", "mutant"));
	assert_kept(world, PGP_ED25519, read_vector("pgp-ed25519.pgp"));
	found = get(world, PGP_ED25519);
	assert_int_equal(
	    sg_store_keyring_decide(world->store, found.keys[0].id, SG_DECISION_TRUSTED, ROMEO, AT),
	    0);
	found_clear(&found);
	learn(world, ROMEO, SG_SIGHT_NODE, NULL, with_user_id("pgp-ed25519.pgp", "update"));
	assert_kept(world, PGP_ED25519, with_user_id("pgp-ed25519.pgp", "update"));
	learn(world, MALLORY, SG_SIGHT_EVENT, NULL, with_user_id("pgp-ed25519.pgp", "mutant"));
	assert_kept(world, PGP_ED25519, with_user_id("pgp-ed25519.pgp", "update"));
}

/* Whoever tells it: the key has signed it. It waits to be looked at, and nothing takes it back. */
static void test_k6_a_revocation_is_taken_from_anybody_and_kept(void **state)
{
	struct world *world = *state;

	learn_file(world, ROMEO, SG_SIGHT_NODE, NULL, "pgp-revoked-before.pgp");
	assert_int_equal(one_number(world, "SELECT count(*) FROM key_changes"), 0);
	learn_file(world, ROMEO, SG_SIGHT_PUSH, MALLORY, "pgp-revoked.pgp");
	assert_kept(world, PGP_REVOKED, read_vector("pgp-revoked.pgp"));
	assert_int_equal(one_number(world, "SELECT count(*) FROM key_changes WHERE kind = 2"), 1);
	learn_file(world, ROMEO, SG_SIGHT_NODE, NULL, "pgp-revoked-before.pgp");
	learn_file(world, ROMEO, SG_SIGHT_EVENT, NULL, "pgp-revoked-before.pgp");
	assert_kept(world, PGP_REVOKED, read_vector("pgp-revoked.pgp"));
}

/* The vector with the last byte of its first signature changed: a revocation that the key did not make. */
static struct sg_blob forged_revocation(void)
{
	struct sg_blob before = read_vector("pgp-revoked-before.pgp");
	struct sg_blob data = read_vector("pgp-revoked.pgp");
	size_t added = data.len - before.len, at = 0;

	while (at < before.len && before.data[at] == data.data[at])
		at++;
	data.data[at + added - 1] ^= 1;
	sg_blob_clear(&before);
	return data;
}

static void a_forged_revocation_is_refused(void **state)
{
	struct world *world = *state;

	assert_int_equal(
	    learn(world, ROMEO, SG_SIGHT_PUSH, MALLORY, forged_revocation()), SG_LEARNT_REFUSED);
	assert_int_equal(one_number(world, "SELECT count(*) FROM keys"), 0);
	learn_file(world, ROMEO, SG_SIGHT_NODE, NULL, "pgp-revoked-before.pgp");
	assert_int_equal(
	    learn(world, ROMEO, SG_SIGHT_PUSH, MALLORY, forged_revocation()), SG_LEARNT_REFUSED);
	assert_kept(world, PGP_REVOKED, read_vector("pgp-revoked-before.pgp"));
}

/* Each of them another copy. */
static enum sg_learnt learn_dear(
    struct world *world, const char *jid, const char *told_by, unsigned number)
{
	struct sg_blob data = blown_up("pgp-ed25519.pgp", 60);
	char text[16];

	snprintf(text, sizeof(text), "%u", number);
	data.data = realloc(data.data, data.len + 2 + strlen(text));
	assert_non_null(data.data);
	data.data[data.len++] = 0xb4;
	data.data[data.len++] = (unsigned char)strlen(text);
	memcpy(data.data + data.len, text, strlen(text));
	data.len += strlen(text);
	return learn(world, jid, SG_SIGHT_PUSH, told_by, data);
}

/* What strangers tell is judged so much and no more, and takes nothing from who is known. */
static void what_a_sender_may_have_judged_is_limited(void **state)
{
	struct world *world = *state;
	unsigned judged = 0;

	learn_file(world, ROMEO, SG_SIGHT_NODE, NULL, "pgp-revoked-before.pgp");
	while (judged < 100 && learn_dear(world, ROMEO, MALLORY, judged) != SG_LEARNT_REFUSED)
		judged++;
	assert_in_range(judged, 5, 20);
	assert_int_equal(learn_dear(world, ROMEO, JULIET, 100), SG_LEARNT_REFUSED);
	assert_int_not_equal(learn_dear(world, ROMEO, ROMEO, 101), SG_LEARNT_REFUSED);
	learn_file(world, ROMEO, SG_SIGHT_PUSH, ROMEO, "pgp-revoked.pgp");
	assert_int_equal(one_number(world, "SELECT count(*) FROM key_changes WHERE kind = 2"), 1);
}

static void decisions_and_names_are_of_all_copies(void **state)
{
	struct world *world = *state;
	struct found found;

	learn(world, ROMEO, SG_SIGHT_PUSH, MALLORY, with_user_id("pgp-ed25519.pgp", "first"));
	found = get(world, PGP_ED25519);
	assert_int_equal(sg_store_keyring_decide(
			     world->store, found.keys[0].id, SG_DECISION_DISTRUSTED, NULL, AT),
	    0);
	found_clear(&found);
	learn_file(world, ROMEO, SG_SIGHT_NODE, NULL, "pgp-ed25519.pgp");
	found = get(world, PGP_ED25519);
	assert_int_equal(found.count, 1);
	assert_int_equal(found.keys[0].decision, SG_DECISION_DISTRUSTED);
	found_clear(&found);
}

/* Without a judge, the owner's is taken, but for one that lacks the revocation; of others none. */
static void without_a_judge_nothing_is_lost(void **state)
{
	struct world *world = *state;

	learn_file(world, ROMEO, SG_SIGHT_NODE, NULL, "pgp-revoked.pgp");
	learn_file(world, ROMEO, SG_SIGHT_NODE, NULL, "pgp-ed25519.pgp");
	learn_file(world, ROMEO, SG_SIGHT_NODE, NULL, "pgp-revoked-before.pgp");
	learn(world, ROMEO, SG_SIGHT_EVENT, NULL, with_user_id("pgp-ed25519.pgp", "update"));
	learn(world, ROMEO, SG_SIGHT_PUSH, MALLORY, with_user_id("pgp-ed25519.pgp", "mutant"));
	assert_int_equal(
	    learn(world, ROMEO, SG_SIGHT_PUSH, MALLORY, forged_revocation()), SG_LEARNT_REFUSED);
	execute(world->path, "DELETE FROM keys WHERE name <> '" PGP_REVOKED "'");
	assert_kept(world, PGP_REVOKED, read_vector("pgp-revoked.pgp"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_judge, tear_down)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    without_a_judge_nothing_is_lost, set_up_nobody, tear_down),
		TEST(test_k14_what_others_tell_does_not_take_the_place_of_what_the_owner_shows),
		TEST(test_k10_the_newest_of_the_owner_takes_the_place),
		TEST(test_k14_what_a_jid_tells_of_itself_goes_before_what_others_tell),
		TEST(one_with_many_signatures_goes_behind_one_with_few),
		TEST(test_k11_what_is_shown_by_another_jid_counts_as_told),
		TEST(test_k6_a_revocation_is_taken_from_anybody_and_kept),
		TEST(a_forged_revocation_is_refused),
		TEST(test_k14_what_another_shows_takes_no_place_of_what_its_person_told),
		TEST(what_a_sender_may_have_judged_is_limited),
		TEST(decisions_and_names_are_of_all_copies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
