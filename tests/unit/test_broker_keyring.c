/* The keyring in the store: what is kept of what was seen, and how it is found. */
#include "keyring_world.h"

/* ---- sightings ---- */

static void test_k15_sightings_are_kept_once(void **state)
{
	struct world *world = *state;
	struct found found;

	assert_int_equal(put_text(world, ROMEO, SG_SIGHT_NODE, NULL, NOW, "one"), SG_LEARNT_KEY);
	assert_int_equal(
	    put_text(world, ROMEO, SG_SIGHT_NODE, NULL, NOW + 100, "one"), SG_LEARNT_NOTHING);
	assert_int_equal(
	    put_text(world, ROMEO, SG_SIGHT_EVENT, NULL, NOW + 200, "one"), SG_LEARNT_SIGHTING);
	assert_int_equal(
	    put_text(world, ROMEO, SG_SIGHT_PUSH, MALLORY, NOW + 300, "one"), SG_LEARNT_SIGHTING);
	assert_int_equal(
	    put_text(world, JULIET, SG_SIGHT_PUSH, MALLORY, NOW + 400, "one"), SG_LEARNT_KEY);
	found = get_text(world, "one");
	assert_int_equal(found.count, 1);
	assert_int_equal(found.keys[0].sighting_count, 4);
	assert_int_equal(found.keys[0].sighting_total, 4);
	assert_int_equal(found.keys[0].first, NOW);
	assert_int_equal(found.keys[0].last, NOW + 400);
	/* what the JID itself showed comes first */
	assert_int_equal(found.keys[0].sightings[0].source, SG_SIGHT_EVENT);
	assert_int_equal(found.keys[0].sightings[1].source, SG_SIGHT_NODE);
	assert_int_equal(found.keys[0].sightings[1].first, NOW);
	assert_int_equal(found.keys[0].sightings[1].last, NOW + 100);
	assert_null(found.keys[0].sightings[1].told_by);
	assert_string_equal(found.keys[0].sightings[2].jid, JULIET);
	assert_string_equal(found.keys[0].sightings[2].told_by, MALLORY);
	found_clear(&found);
	assert_int_equal(one_number(world, "SELECT count(*) FROM keys"), 1);
}

/* Seen again within a minute: nothing is written. */
static void what_is_seen_again_at_once_is_not_written(void **state)
{
	struct world *world = *state;
	int64_t before;

	put_text(world, ROMEO, SG_SIGHT_NODE, NULL, NOW, "one");
	before = sg_store_rows_changed(world->store);
	put_text(world, ROMEO, SG_SIGHT_NODE, NULL, NOW + SG_KEYRING_STAMP_S - 1, "one");
	assert_int_equal(sg_store_rows_changed(world->store), before);
	put_text(world, ROMEO, SG_SIGHT_NODE, NULL, NOW + SG_KEYRING_STAMP_S, "one");
	assert_int_equal(sg_store_rows_changed(world->store), before + 1);
}

static void test_k2_a_name_that_is_not_the_datas_is_refused(void **state)
{
	struct world *world = *state;
	struct sg_keyinfo keyinfo = make_key("one");

	assert_int_equal(put(world, ROMEO, SG_SIGHT_NODE, NULL, NOW, &keyinfo), SG_LEARNT_KEY);
	keyinfo.kind = SG_KEYINFO_PGP;
	assert_int_equal(put(world, ROMEO, SG_SIGHT_NODE, NULL, NOW, &keyinfo), SG_LEARNT_REFUSED);
	keyinfo.kind = SG_KEYINFO_X509;
	keyinfo.data.data[0] ^= 1;
	assert_int_equal(put(world, ROMEO, SG_SIGHT_NODE, NULL, NOW, &keyinfo), SG_LEARNT_REFUSED);
	keyinfo.kind = SG_KEYINFO_REFERENCE; /* and yet with data */
	assert_int_equal(put(world, ROMEO, SG_SIGHT_NODE, NULL, NOW, &keyinfo), SG_LEARNT_REFUSED);
	free_key(&keyinfo);
	assert_int_equal(one_number(world, "SELECT count(*) FROM keys"), 1);
}

static void test_k2_a_reference_gets_its_data(void **state)
{
	struct world *world = *state;
	struct sg_keyinfo keyinfo = make_key("one");
	struct sg_keyinfo reference = { .name = strdup(keyinfo.name) };
	struct found found;

	assert_int_equal(put(world, ROMEO, SG_SIGHT_NODE, NULL, NOW, &reference), SG_LEARNT_KEY);
	found = get(world, keyinfo.name);
	assert_int_equal(found.count, 1);
	assert_null(found.keys[0].sha256);
	assert_int_equal(found.keys[0].keyinfo.kind, SG_KEYINFO_REFERENCE);
	found_clear(&found);
	assert_int_equal(put(world, ROMEO, SG_SIGHT_NODE, NULL, NOW, &keyinfo), SG_LEARNT_NOTHING);
	assert_int_equal(
	    put(world, ROMEO, SG_SIGHT_NODE, NULL, NOW, &reference), SG_LEARNT_NOTHING);
	found = get(world, keyinfo.name);
	assert_int_equal(found.count, 1);
	assert_int_equal(found.keys[0].keyinfo.kind, SG_KEYINFO_X509);
	assert_int_equal(strlen(found.keys[0].sha256), 64);
	assert_true(sg_blob_eq(&found.keys[0].keyinfo.data, &keyinfo.data));
	found_clear(&found);
	free_key(&keyinfo);
	free_key(&reference);
}

/* Both have that SHA-1: who could make such keys has put the second one there. */
static void two_keys_that_claim_one_name_are_two(void **state)
{
	struct world *world = *state;
	struct sg_keyinfo one = make_key("one");
	struct found found;
	char text[256];

	snprintf(text, sizeof(text),
	    "INSERT INTO keys (name, kind, sha256, data, first_seen) VALUES ('%s', 1,"
	    " '00ff', x'00', 1)",
	    one.name);
	execute(world->path, text);
	assert_int_equal(put(world, ROMEO, SG_SIGHT_NODE, NULL, NOW, &one), SG_LEARNT_KEY);
	found = get(world, one.name);
	assert_int_equal(found.count, 2);
	assert_true(sg_blob_eq(&found.keys[1].keyinfo.data, &one.data));
	found_clear(&found);
	found = get(world, "00ff");
	assert_int_equal(found.count, 1);
	assert_int_equal(found.keys[0].keyinfo.data.len, 1);
	assert_int_equal(found.keys[0].sighting_count, 0);
	found_clear(&found);
	free_key(&one);
}

static void own_certificates_are_no_part_of_it(void **state)
{
	struct world *world = *state;
	struct sg_account_row row = { .jid = strdup(JULIET) };
	struct sg_keyinfo keyinfo = make_key("one");
	char *own;

	assert_int_equal(sg_store_account_put(world->store, &row), 0);
	assert_int_equal(
	    sg_store_cert_put(world->store, JULIET, SG_CERT_USER, &keyinfo.data, NULL), 0);
	assert_int_equal(put(world, JULIET, SG_SIGHT_NODE, NULL, NOW, &keyinfo), SG_LEARNT_OWN);
	assert_int_equal(one_number(world, "SELECT count(*) FROM keys"), 0);
	assert_int_equal(sg_store_keyring_own(world->store, keyinfo.name, &own), 0);
	assert_string_equal(own, JULIET);
	free(own);
	assert_int_equal(sg_store_keyring_own(world->store, "aa", &own), SG_ERR_KEY_ABSENT);
	assert_null(own);
	assert_int_equal(sg_store_pgp_put(world->store, JULIET, "aa", &keyinfo.data), 0);
	assert_int_equal(sg_store_keyring_own(world->store, "aa", &own), 0);
	assert_string_equal(own, JULIET);
	free(own);
	assert_int_equal(sg_store_keyring_own(world->store, "bb", &own), SG_ERR_KEY_ABSENT);
	assert_null(own);
	sg_account_row_clear(&row);
	free_key(&keyinfo);
}

/* ---- changes ---- */

struct changes {
	char text[512];
};

static int note_change(void *arg, const struct sg_key_change *change)
{
	struct changes *changes = arg;
	size_t len = strlen(changes->text);

	snprintf(changes->text + len, sizeof(changes->text) - len, "%s %.4s %u;", change->jid,
	    change->name, change->kind);
	return 0;
}

static void are_changes(struct world *world, const char *expected)
{
	struct changes changes = { "" };

	assert_int_equal(sg_store_key_changes(world->store, NULL, 100, note_change, &changes), 0);
	assert_string_equal(changes.text, expected);
}

static void test_k15_a_changed_key_waits_to_be_looked_at(void **state)
{
	struct world *world = *state;
	struct sg_keyinfo two = make_key("two");
	char expected[128];
	int64_t dropped, count;

	put_text(world, ROMEO, SG_SIGHT_NODE, NULL, NOW, "one");
	are_changes(world, "");
	/* whatever others say of him is none */
	assert_int_equal(put(world, ROMEO, SG_SIGHT_PUSH, MALLORY, NOW, &two), SG_LEARNT_KEY);
	assert_int_equal(put(world, ROMEO, SG_SIGHT_THIRD, MALLORY, NOW, &two), SG_LEARNT_SIGHTING);
	assert_int_equal(put(world, ROMEO, SG_SIGHT_IMPORT, NULL, NOW, &two), SG_LEARNT_SIGHTING);
	are_changes(world, "");
	/* until he shows it himself, although it was told before */
	assert_int_equal(put(world, ROMEO, SG_SIGHT_DIRECT, NULL, NOW, &two), SG_LEARNT_CHANGE);
	assert_int_equal(put(world, ROMEO, SG_SIGHT_NODE, NULL, NOW, &two), SG_LEARNT_SIGHTING);
	snprintf(expected, sizeof(expected), "%s %.4s 0;", ROMEO, two.name);
	are_changes(world, expected);
	sg_store_close(world->store);
	assert_int_equal(sg_store_open(world->path, &world->store), 0);
	are_changes(world, expected);
	assert_int_equal(sg_store_key_changes_drop(world->store, JULIET, NULL, &dropped), 0);
	assert_int_equal(dropped, 0);
	assert_int_equal(sg_store_key_changes_drop(world->store, ROMEO, "aa", &dropped), 0);
	assert_int_equal(dropped, 0);
	assert_int_equal(sg_store_key_changes_count(world->store, &count), 0);
	assert_int_equal(count, 1);
	assert_int_equal(sg_store_key_changes_drop(world->store, ROMEO, NULL, &dropped), 0);
	assert_int_equal(dropped, 1);
	are_changes(world, "");
	free_key(&two);
}

/* ---- keys that are no longer shown ---- */

static int is_it(void *arg, const char *name)
{
	return strcmp(arg, name) == 0;
}

static int refuse(void *arg, const char *name)
{
	return SG_ERR_DENIED;
}

static int retract(struct world *world, int64_t now, sg_retract_fn *fn, void *arg)
{
	int64_t after = 0;

	return sg_store_keyring_retract(world->store, ROMEO, now, &after, fn, arg);
}

static void test_k11_keys_are_retracted_and_shown_again(void **state)
{
	struct world *world = *state;
	struct sg_keyinfo one = make_key("one"), two = make_key("two");
	char expected[128];
	struct found found;

	put(world, ROMEO, SG_SIGHT_NODE, NULL, NOW, &one);
	put(world, ROMEO, SG_SIGHT_EVENT, NULL, NOW, &one);
	put(world, ROMEO, SG_SIGHT_NODE, NULL, NOW, &two);
	put(world, JULIET, SG_SIGHT_NODE, NULL, NOW, &two);
	found = get(world, two.name);
	assert_int_equal(sg_store_keyring_decide(
			     world->store, found.keys[0].id, SG_DECISION_TRUSTED, ROMEO, NOW),
	    0);
	found_clear(&found);
	execute(world->path, "DELETE FROM key_changes");
	assert_int_equal(retract(world, NOW + 5, refuse, NULL), SG_ERR_DENIED);
	assert_int_equal(retract(world, NOW + 5, is_it, one.name), 0);
	found = get(world, one.name);
	assert_int_equal(found.keys[0].retracted, 1);
	assert_int_equal(found.keys[0].sightings[0].retracted, NOW + 5);
	assert_int_equal(found.keys[0].sightings[1].retracted, NOW + 5);
	found_clear(&found);
	are_changes(world, "");
	/* a trusted one is missed; another node still shows it */
	assert_int_equal(retract(world, NOW + 6, is_it, two.name), 0);
	found = get(world, two.name);
	assert_int_equal(found.keys[0].retracted, 0);
	found_clear(&found);
	snprintf(expected, sizeof(expected), "%s %.4s 1;", ROMEO, two.name);
	are_changes(world, expected);
	/* by an event: the node shows it */
	assert_int_equal(put(world, ROMEO, SG_SIGHT_EVENT, NULL, NOW + 7, &one), SG_LEARNT_NOTHING);
	found = get(world, one.name);
	assert_int_equal(found.keys[0].retracted, 0);
	assert_int_equal(found.keys[0].sightings[1].retracted, 0);
	found_clear(&found);
	free_key(&one);
	free_key(&two);
}

/* ---- signatures ---- */

static void signatures_are_kept_as_they_came(void **state)
{
	struct world *world = *state;
	struct sg_keyinfo keyinfo = make_cert("one"), told = copy_key(&keyinfo);
	char issuer[41], other[41];
	struct found found;

	memset(issuer, 'a', 40);
	memset(other, 'b', 40);
	issuer[40] = other[40] = '\0';
	sign_key(&keyinfo, issuer, "first");
	write_xml(&keyinfo);
	sign_key(&told, other, "told");
	sign_key(&told, issuer, "first"); /* the same as his own */
	sign_key(&told, issuer, "forged");
	write_xml(&told);
	put(world, ROMEO, SG_SIGHT_PUSH, MALLORY, NOW, &told);
	put(world, ROMEO, SG_SIGHT_NODE, NULL, NOW, &keyinfo);
	found = get(world, keyinfo.name);
	assert_int_equal(found.keys[0].keyinfo.signature_count, 3);
	assert_int_equal(found.keys[0].shown_signatures, 1);
	assert_memory_equal(found.keys[0].keyinfo.signatures[0].value.data, "first", 5);
	assert_memory_equal(found.keys[0].keyinfo.signatures[1].value.data, "told", 4);
	assert_memory_equal(found.keys[0].keyinfo.signatures[2].value.data, "forged", 6);
	assert_string_equal(found.keys[0].keyinfo.xml, keyinfo.xml);
	found_clear(&found);
	/* his own update takes the place of what he showed, at once */
	sign_key(&keyinfo, other, "second");
	write_xml(&keyinfo);
	put(world, ROMEO, SG_SIGHT_NODE, NULL, NOW + 1, &keyinfo);
	/* a sender's not more than once a minute */
	sign_key(&told, issuer, "again");
	write_xml(&told);
	put(world, ROMEO, SG_SIGHT_PUSH, MALLORY, NOW + 1, &told);
	found = get(world, keyinfo.name);
	assert_int_equal(found.keys[0].shown_signatures, 2);
	assert_int_equal(found.keys[0].keyinfo.signature_count, 4);
	found_clear(&found);
	put(world, ROMEO, SG_SIGHT_PUSH, MALLORY, NOW + SG_KEYRING_STAMP_S, &told);
	found = get(world, keyinfo.name);
	assert_int_equal(found.keys[0].keyinfo.signature_count, 5);
	found_clear(&found);
	assert_int_equal(one_number(world, "SELECT count(*) FROM signers"), 4);
	free_key(&keyinfo);
	free_key(&told);
}

/* Who tells what: by rank, then those of people of whom a key is trusted. */
static void signatures_are_ranked_by_who_tells_them(void **state)
{
	static const struct {
		const char *jid, *told_by;
		enum sg_sight source;
		const char *value;
		uint8_t rank;
	} rows[] = {
		/* in the order in which they are to stand; they come the other way round */
		{ ROMEO, NULL, SG_SIGHT_NODE, "node", SG_KNOWN_SHOWN },
		{ ROMEO, NULL, SG_SIGHT_DIRECT, "direct", SG_KNOWN_SHOWN },
		{ MALLORY, NULL, SG_SIGHT_IMPORT, "file", SG_KNOWN_IMPORTED },
		{ JULIET, ROMEO, SG_SIGHT_PUSH, "of himself", SG_KNOWN_TOLD },
		{ ROMEO, JULIET, SG_SIGHT_THIRD, "answer", SG_KNOWN_ANSWERED },
		{ ROMEO, "x@example.test", SG_SIGHT_THIRD, "another", SG_KNOWN_ANSWERED },
		{ MALLORY, NULL, SG_SIGHT_NODE, "elsewhere", SG_KNOWN_ELSEWHERE },
		{ MALLORY, MALLORY, SG_SIGHT_PUSH, "as his own", SG_KNOWN_PUSHED },
	};
	const size_t count = sizeof(rows) / sizeof(rows[0]);
	struct world *world = *state;
	struct sg_keyinfo of_juliet = make_cert("hers"), keyinfo = make_cert("one");
	struct found found;
	char issuer[41];

	memset(issuer, 'a', 40);
	issuer[40] = '\0';
	put(world, JULIET, SG_SIGHT_NODE, NULL, NOW, &of_juliet);
	put(world, ROMEO, SG_SIGHT_NODE, NULL, NOW, &keyinfo);
	execute(world->path,
	    "UPDATE keys SET decision = 1, decided_for = 'juliet@example.test' WHERE id = 1;"
	    "UPDATE keys SET decision = 1, decided_for = 'romeo@example.test' WHERE id = 2");
	for (size_t i = count; i > 0; i--) {
		struct sg_keyinfo told = copy_key(&keyinfo);

		sign_key(&told, issuer, rows[i - 1].value);
		write_xml(&told);
		put(world, rows[i - 1].jid, rows[i - 1].source, rows[i - 1].told_by,
		    NOW + (int64_t)(count - i), &told);
		free_key(&told);
	}
	found = get(world, keyinfo.name);
	assert_int_equal(found.keys[0].keyinfo.signature_count, count);
	for (size_t i = 0; i < count; i++) {
		const struct sg_signature *signature = &found.keys[0].keyinfo.signatures[i];

		assert_int_equal(signature->value.len, strlen(rows[i].value));
		assert_memory_equal(signature->value.data, rows[i].value, strlen(rows[i].value));
		assert_int_equal(found.keys[0].tellers[i].rank, rows[i].rank);
	}
	assert_int_equal(found.keys[0].shown_signatures, 2);
	assert_int_equal(found.keys[0].tellers[0].who, found.keys[0].tellers[1].who);
	assert_int_not_equal(found.keys[0].tellers[4].who, found.keys[0].tellers[5].who);
	found_clear(&found);
	free_key(&of_juliet);
	free_key(&keyinfo);
}

/* Who repeats a signature behind noise of his does not hide it: it stays where it is looked at first. And however long
 * what one tells is, what others of his rank tell is read. */
static void nobody_hides_a_signature(void **state)
{
	struct world *world = *state;
	struct sg_keyinfo keyinfo = make_cert("one"), noise = copy_key(&keyinfo);
	struct found found;
	char issuer[41], value[600];
	size_t at = 0;

	memset(issuer, 'a', 40);
	issuer[40] = '\0';
	put(world, JULIET, SG_SIGHT_NODE, NULL, NOW, &keyinfo);
	execute(world->path, "UPDATE keys SET decision = 1, decided_for = 'juliet@example.test'");
	for (int i = 0; i < 200; i++) {
		memset(value, 'x', sizeof(value));
		snprintf(value, sizeof(value), "noise %d", i);
		value[strlen(value)] = 'x';
		value[sizeof(value) - 1] = '\0';
		sign_key(&noise, issuer, value);
	}
	sign_key(&noise, issuer, "good");
	write_xml(&noise);
	assert_true(strlen(noise.xml) > SG_KNOWN_TOLD_BYTES);
	put(world, ROMEO, SG_SIGHT_PUSH, MALLORY, NOW, &noise);
	sign_key(&keyinfo, issuer, "good");
	write_xml(&keyinfo);
	put(world, ROMEO, SG_SIGHT_PUSH, ROMEO, NOW + 1, &keyinfo);
	found = get(world, keyinfo.name);
	assert_int_equal(found.keys[0].keyinfo.signature_count, 201);
	while (found.keys[0].keyinfo.signatures[at].value.len != 4)
		at++;
	assert_int_equal(at, 200); /* it is of the second of them, of whom it is the first */
	assert_int_not_equal(found.keys[0].tellers[200].who, found.keys[0].tellers[0].who);
	found_clear(&found);
	free_key(&keyinfo);
	free_key(&noise);
}

/* ---- looking for keys ---- */

static void keys_are_found(void **state)
{
	struct world *world = *state;
	struct sg_keyinfo one = make_key("one");
	struct found found;
	char prefix[16];

	put(world, ROMEO, SG_SIGHT_NODE, NULL, NOW, &one);
	put(world, ROMEO, SG_SIGHT_PUSH, MALLORY, NOW, &one);
	put_text(world, ROMEO, SG_SIGHT_NODE, NULL, NOW, "two");
	put_text(world, JULIET, SG_SIGHT_NODE, NULL, NOW, "three");
	assert_int_equal(count_list(world, NULL, NULL), 3);
	assert_int_equal(count_list(world, ROMEO, NULL), 2);
	assert_int_equal(count_list(world, "nobody@example.test", NULL), 0);
	assert_int_equal(count_list(world, NULL, "example"), 3);
	assert_int_equal(count_list(world, NULL, "romeo@"), 2);
	assert_int_equal(count_list(world, NULL, "%"), 0);
	assert_int_equal(count_list(world, NULL, "juliet@example.test' OR 1"), 0);
	snprintf(prefix, sizeof(prefix), "%.2s:%.3s", one.name, one.name + 2);
	assert_int_equal(count_list(world, NULL, prefix), 1);
	prefix[4] = '\0'; /* three digits are part of too many */
	assert_int_equal(count_list(world, NULL, prefix), 0);
	found = get(world, one.name);
	snprintf(prefix, sizeof(prefix), "%.8s", found.keys[0].sha256);
	found_clear(&found);
	assert_int_equal(count_list(world, NULL, prefix), 1);
	/* page by page */
	found = list(world, NULL, NULL, 0, 2);
	assert_int_equal(found.count, 2);
	assert_true(found.keys[0].id < found.keys[1].id);
	{
		struct found rest = list(world, NULL, NULL, found.keys[1].id, 2);

		assert_int_equal(rest.count, 1);
		found_clear(&rest);
	}
	found_clear(&found);
	free_key(&one);
}

/* A search that finds nothing looks through a part of the keys, and says how far it came. */
static void a_search_goes_step_by_step(void **state)
{
	struct world *world = *state;
	struct sg_keyring_query query = { .search = "romeo", .max = 10 };
	struct found found = { .count = 0 };
	int64_t reached;

	put_text(world, JULIET, SG_SIGHT_NODE, NULL, NOW, "one");
	put_text(world, ROMEO, SG_SIGHT_NODE, NULL, NOW, "two");
	execute(world->path,
	    "UPDATE keys SET id = 20001 WHERE id = 2;"
	    "UPDATE sightings SET key = 20001 WHERE key = 2");
	assert_int_equal(
	    sg_store_keyring_search(world->store, &query, 0, keep, &found, &reached), 0);
	assert_int_equal(found.count, 0);
	assert_int_equal(reached, SG_KEYRING_SEARCH_MAX);
	query.after = reached;
	assert_int_equal(
	    sg_store_keyring_search(world->store, &query, 0, keep, &found, &reached), 0);
	assert_int_equal(found.count, 1);
	assert_int_equal(reached, 0);
	found_clear(&found);
}

static void decisions_and_forgetting(void **state)
{
	struct world *world = *state;
	struct found found;
	int is_of;

	put_text(world, ROMEO, SG_SIGHT_NODE, NULL, NOW, "one");
	found = get_text(world, "one");
	assert_int_equal(found.keys[0].decision, SG_DECISION_NONE);
	assert_int_equal(found.keys[0].decided, 0);
	assert_int_equal(sg_store_keyring_is_of(world->store, found.keys[0].id, ROMEO, &is_of), 0);
	assert_int_equal(is_of, 1);
	assert_int_equal(sg_store_keyring_is_of(world->store, found.keys[0].id, JULIET, &is_of), 0);
	assert_int_equal(is_of, 0);
	assert_int_equal(sg_store_keyring_decide(
			     world->store, found.keys[0].id, SG_DECISION_TRUSTED, ROMEO, NOW + 9),
	    0);
	found_clear(&found);
	found = get_text(world, "one");
	assert_int_equal(found.keys[0].decision, SG_DECISION_TRUSTED);
	assert_int_equal(found.keys[0].decided, NOW + 9);
	assert_string_equal(found.keys[0].decided_for, ROMEO);
	assert_int_equal(sg_store_keyring_decide(
			     world->store, found.keys[0].id, SG_DECISION_DISTRUSTED, NULL, NOW),
	    0);
	assert_int_equal(sg_store_keyring_forget(world->store, found.keys[0].id), 0);
	found_clear(&found);
	found = get_text(world, "one");
	assert_int_equal(found.count, 0);
	assert_int_equal(one_number(world, "SELECT count(*) FROM sightings"), 0);
}

/* ---- failures ---- */

static void a_failure_keeps_nothing(void **state)
{
	struct world *world = *state;
	struct sg_keyinfo keys[2] = { make_key("one"), make_key("two") };
	struct sg_witness witness = { .jid = ROMEO, .source = SG_SIGHT_NODE, .now = NOW };
	enum sg_learnt learnt[2];

	execute(world->path,
	    "CREATE TRIGGER t BEFORE INSERT ON keys WHEN NEW.data = CAST('two' AS BLOB) BEGIN"
	    " SELECT RAISE(ABORT, 'disk full'); END");
	assert_int_equal(sg_store_keyring_put(world->store, &witness, keys, 2, learnt), SG_ERR_IO);
	assert_int_equal(one_number(world, "SELECT count(*) FROM keys"), 0);
	free_key(&keys[0]);
	free_key(&keys[1]);
}

/* ---- an older store ---- */

/* As version 2 wrote it. */
static const char schema_2[] =
    "CREATE TABLE accounts ("
    " jid TEXT PRIMARY KEY, host TEXT, port INTEGER NOT NULL, tls_mode INTEGER NOT NULL,"
    " cafile TEXT, key TEXT, certificate TEXT, user_key TEXT, user_certificate TEXT) STRICT;"
    "CREATE TABLE certificates ("
    " jid TEXT NOT NULL REFERENCES accounts ON DELETE CASCADE, sha256 TEXT NOT NULL,"
    " name TEXT NOT NULL, der BLOB NOT NULL, uri TEXT, role INTEGER NOT NULL,"
    " revoked INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (jid, sha256)) STRICT;"
    "CREATE TABLE signatures ("
    " jid TEXT NOT NULL REFERENCES accounts ON DELETE CASCADE, subject TEXT NOT NULL,"
    " issuer TEXT NOT NULL, issuer_jid TEXT, method TEXT NOT NULL, value BLOB NOT NULL,"
    " PRIMARY KEY (jid, subject, issuer, method)) STRICT;"
    "CREATE TABLE keyring ("
    " name TEXT NOT NULL, jid TEXT NOT NULL, source TEXT NOT NULL, kind INTEGER NOT NULL,"
    " data BLOB NOT NULL, first_seen INTEGER NOT NULL, last_seen INTEGER NOT NULL,"
    " PRIMARY KEY (name, jid, source)) STRICT;"
    "CREATE TABLE pin_ledgers ("
    " token TEXT NOT NULL, whose INTEGER NOT NULL, salt BLOB NOT NULL, tries INTEGER NOT NULL,"
    " told INTEGER NOT NULL, locked INTEGER NOT NULL, PRIMARY KEY (token, whose)) STRICT;"
    "CREATE TABLE pin_wrong ("
    " number INTEGER PRIMARY KEY, token TEXT NOT NULL, whose INTEGER NOT NULL, hash BLOB NOT NULL,"
    " unsure INTEGER NOT NULL, UNIQUE (token, whose, hash)) STRICT;"
    "CREATE TABLE key_uses ("
    " uri TEXT PRIMARY KEY, spki_sha256 TEXT NOT NULL, abilities INTEGER NOT NULL,"
    " adopted INTEGER NOT NULL) STRICT;"
    "PRAGMA application_id = 1399275879; PRAGMA user_version = 2;"
    "INSERT INTO keyring VALUES ('fe05bcdcdc4928012781a5f1a2a77cbb5398e106',"
    " 'romeo@example.test', 'node', 1, CAST('one' AS BLOB), 100, 200);"
    "INSERT INTO keyring VALUES ('fe05bcdcdc4928012781a5f1a2a77cbb5398e106',"
    " 'juliet@example.test', 'node', 1, CAST('one' AS BLOB), 50, 60);"
    "INSERT INTO keyring VALUES ('fe05bcdcdc4928012781a5f1a2a77cbb5398e106',"
    " 'mallory@example.test', 'node', 0, x'', 70, 80);"
    "INSERT INTO keyring VALUES ('aa', 'romeo@example.test', 'node', 0, x'', 1, 2);"
    "INSERT INTO keyring VALUES ('bb', 'romeo@example.test', 'node', 2, x'00', 1, 2);";

static void the_list_of_an_older_store_moves_in(void **state)
{
	struct world *world = *state;
	struct found found;

	sg_store_close(world->store);
	unlink(world->path);
	execute(world->path, schema_2);
	assert_int_equal(sg_store_open(world->path, &world->store), 0);
	found = get_text(world, "one");
	assert_int_equal(found.count, 1);
	assert_int_equal(found.keys[0].keyinfo.kind, SG_KEYINFO_X509);
	assert_string_equal(found.keys[0].sha256,
	    "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed");
	assert_int_equal(found.keys[0].first, 50);
	assert_int_equal(found.keys[0].last, 200);
	assert_int_equal(found.keys[0].sighting_count, 3);
	assert_string_equal(found.keys[0].sightings[0].jid, ROMEO);
	assert_int_equal(found.keys[0].sightings[0].first, 100);
	assert_string_equal(found.keys[0].sightings[1].jid, MALLORY);
	found_clear(&found);
	found = get(world, "aa");
	assert_int_equal(found.count, 1);
	assert_null(found.keys[0].sha256);
	found_clear(&found);
	found = get(world, "bb"); /* whose name nobody had compared with its data */
	assert_int_equal(found.count, 0);
	/* They are known: no change, but for another key. */
	assert_int_equal(put_text(world, ROMEO, SG_SIGHT_NODE, NULL, NOW, "two"), SG_LEARNT_CHANGE);
}

/* ---- speed ---- */

static double now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now); /* others may hold us up */
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* 5,000 keys of 500 JIDs: what is looked up by JID or fingerprint reads some pages, not the tables. */
static void lookups_use_the_indexes(void **state)
{
	struct world *world = *state;
	struct sg_keyinfo keys[10];
	enum sg_learnt learnt[10];
	char jid[48], text[32], last[41] = "";
	struct found found;
	double start;

	for (int i = 0; i < 500; i++) {
		struct sg_witness witness = { .jid = jid, .now = NOW };

		snprintf(jid, sizeof(jid), "friend%d@example.test", i);
		for (int k = 0; k < 10; k++) {
			snprintf(text, sizeof(text), "key %d of %d", k, i);
			keys[k] = make_key(text);
		}
		assert_int_equal(sg_store_keyring_put(world->store, &witness, keys, 10, learnt), 0);
		snprintf(last, sizeof(last), "%s", keys[9].name);
		for (int k = 0; k < 10; k++)
			free_key(&keys[k]);
	}
	start = now_s();
	for (int i = 0; i < 100; i++) {
		found = get(world, last);
		assert_int_equal(found.count, 1);
		found_clear(&found);
		snprintf(jid, sizeof(jid), "friend%d@example.test", i);
		found = list(world, jid, NULL, 0, 1);
		assert_int_equal(found.count, 1);
		found_clear(&found);
	}
	/* 200 look-ups; a scan of the tables takes longer for a few of them alone. */
	assert_true(now_s() - start < 1.0);
}

int main(void)
{
#define KEYRING_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		KEYRING_TEST(test_k15_sightings_are_kept_once),
		KEYRING_TEST(what_is_seen_again_at_once_is_not_written),
		KEYRING_TEST(test_k2_a_name_that_is_not_the_datas_is_refused),
		KEYRING_TEST(test_k2_a_reference_gets_its_data),
		KEYRING_TEST(two_keys_that_claim_one_name_are_two),
		KEYRING_TEST(own_certificates_are_no_part_of_it),
		KEYRING_TEST(test_k15_a_changed_key_waits_to_be_looked_at),
		KEYRING_TEST(test_k11_keys_are_retracted_and_shown_again),
		KEYRING_TEST(signatures_are_kept_as_they_came),
		KEYRING_TEST(signatures_are_ranked_by_who_tells_them),
		KEYRING_TEST(nobody_hides_a_signature),
		KEYRING_TEST(keys_are_found),
		KEYRING_TEST(a_search_goes_step_by_step),
		KEYRING_TEST(decisions_and_forgetting),
		KEYRING_TEST(a_failure_keeps_nothing),
		KEYRING_TEST(the_list_of_an_older_store_moves_in),
		KEYRING_TEST(lookups_use_the_indexes),
	};

	return cmocka_run_group_tests_name("broker_keyring", tests, NULL, NULL);
}
