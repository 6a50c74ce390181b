#include "proto/pgp_key.h"

#include "codecs.h"
#include "pgp_vectors.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static struct sg_blob subject;

static int set_up(void **state)
{
	use_signet_pgp();
	subject = read_vector(VECTOR_SUBJECT);
	return 0;
}

static int tear_down(void **state)
{
	sg_blob_clear(&subject);
	return 0;
}

/* A key and its bytes, which it borrows. */
struct loaded {
	struct sg_blob data;
	struct sg_pgp_key *key;
	const struct sg_pgp_facts *facts;
};

static struct loaded load_bytes(struct sg_blob data, time_t at)
{
	struct loaded loaded = { .data = data };
	const char *why;

	if (sg_pgp_key_load(&data, 1, at, &loaded.key, &why) != 0)
		fail_msg("%s", why);
	assert_null(why);
	loaded.facts = sg_pgp_key_facts(loaded.key);
	return loaded;
}

static struct loaded load(const char *file, time_t at)
{
	return load_bytes(read_vector(file), at);
}

static void unload(struct loaded *loaded)
{
	sg_pgp_key_free(loaded->key);
	sg_blob_clear(&loaded->data);
}

/* What the key says to the signature in the file; reason NULL: nothing. */
static void assert_verdict(const char *key_file, const char *signature_file,
    enum sg_signature_verdict expected, const char *reason_expected)
{
	struct loaded issuer = load(key_file, PGP_AT);
	struct sg_blob value = read_vector(signature_file);
	const char *reason;

	assert_int_equal(sg_pgp_key_verify(issuer.key, &subject, &value, &reason), expected);
	if (reason_expected != NULL)
		assert_string_equal(reason, reason_expected);
	else
		assert_null(reason);
	sg_blob_clear(&value);
	unload(&issuer);
}

static void facts_are_gpgs(void **state)
{
	struct loaded key = load("pgp-rsa.pgp", PGP_AT);

	assert_string_equal(key.facts->name, PGP_RSA);
	assert_true(key.facts->valid && !key.facts->expired && !key.facts->revoked);
	assert_int_equal(key.facts->created, 1483228800); /* 2017-01-01 */
	assert_int_equal(key.facts->expires, 0);
	assert_int_equal(sg_strv_count(key.facts->user_ids), 2);
	assert_string_equal(key.facts->jids[0], "juliet@capulet.lit");
	assert_null(key.facts->jids[1]);
	unload(&key);
}

static void user_ids_are_those_that_stand(void **state)
{
	struct loaded key = load("pgp-many.pgp", PGP_AT);

	assert_int_equal(sg_strv_count(key.facts->user_ids), 21);
	for (size_t i = 0; key.facts->user_ids[i] != NULL; i++)
		assert_null(strstr(key.facts->user_ids[i], "Many 7 ")); /* revoked */
	assert_string_equal(key.facts->jids[0], "m\303\244ny@example.org");
	assert_null(key.facts->jids[1]);
	unload(&key);
}

/* The vector with more bytes behind it. */
static struct sg_blob with_more(const char *file, const void *more, size_t len)
{
	struct sg_blob data = read_vector(file);

	data.data = realloc(data.data, data.len + len);
	assert_non_null(data.data);
	memcpy(data.data + data.len, more, len);
	data.len += len;
	return data;
}

/* Anybody can put a user id beside a key: what it has not signed is not its own. */
static void user_ids_of_others_are_left_out(void **state)
{
	static const char forged[] = "\xb4\x18xmpp:romeo@montague.test";
	struct loaded key =
	    load_bytes(with_more("pgp-nistp256.pgp", forged, sizeof(forged) - 1), PGP_AT);

	assert_int_equal(sg_strv_count(key.facts->user_ids), 1);
	assert_string_equal(key.facts->user_ids[0], "Nurse");
	assert_null(key.facts->jids[0]);
	unload(&key);
}

static void signatures_of_all_kinds_of_keys_are_good(void **state)
{
	static const char *const keys[] = { "rsa", "ed25519", "nistp256", "brainpool" };

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		char *key = text_of("pgp-%s.pgp", keys[i]), *value = text_of("pgp-%s.sig", keys[i]);
		char *other = text_of("pgp-%s.sig", keys[(i + 1) % 4]);

		assert_verdict(key, value, SG_SIG_GOOD, NULL);
		assert_verdict(key, other, SG_SIG_BAD, NULL);
		free(key);
		free(value);
		free(other);
	}
}

static void no_flipped_bit_is_good(void **state)
{
	struct loaded key = load("pgp-ed25519.pgp", PGP_AT);
	struct sg_blob value = read_vector("pgp-ed25519.sig");
	size_t key_id = value.len - 80, r_bits = value.len - 67, bad = 0;

	for (size_t bit = 0; bit < value.len * 8; bit++) {
		enum sg_signature_verdict verdict;
		const char *reason;
		size_t at = bit / 8;

		value.data[at] ^= (unsigned char)(1 << bit % 8);
		verdict = sg_pgp_key_verify(key.key, &subject, &value, &reason);
		/* the key id outside the signed part only says where to look for the key, and the
		 * fingerprint inside says it, too; and of how many bits a number is, is not looked at
		 * as long as it is of as many bytes */
		if (verdict == SG_SIG_GOOD)
			assert_true((at >= key_id && at < key_id + 10) || at == r_bits ||
			    at == r_bits + 34);
		bad += verdict == SG_SIG_BAD;
		value.data[at] ^= (unsigned char)(1 << bit % 8);
	}
	assert_true(bad > value.len * 4);
	subject.data[100] ^= 1;
	sg_blob_clear(&value);
	unload(&key);
	assert_verdict("pgp-ed25519.pgp", "pgp-ed25519.sig", SG_SIG_BAD, NULL);
	subject.data[100] ^= 1;
}

/* K6: the grade is that of the hash; librnp, as GnuPG, takes SHA-1 of old times alone. */
static void test_k6_grades_are_the_hashs(void **state)
{
	assert_verdict("pgp-rsa.pgp", "pgp-rsa-sha224.sig", SG_SIG_GOOD, NULL);
	assert_verdict("pgp-rsa.pgp", "pgp-rsa-sha1-2018.sig", SG_SIG_GOOD, NULL);
	assert_verdict("pgp-rsa.pgp", "pgp-rsa-sha1-2024.sig", SG_SIG_REFUSED,
	    "librnp takes no OpenPGP signature with SHA-1 that was made after January 19, 2019");
	assert_int_equal(sg_pgp_hash_grade(SG_PGP_SHA512), SG_GRADE_SHA256);
	assert_int_equal(sg_pgp_hash_grade(SG_PGP_SHA224), SG_GRADE_SHA1);
	assert_int_equal(sg_pgp_hash_grade(SG_PGP_SHA1), SG_GRADE_SHA1);
	assert_int_equal(sg_pgp_hash_grade(SG_PGP_MD5), SG_GRADE_NONE);
	assert_int_equal(sg_pgp_hash_grade(200), SG_GRADE_NONE);
}

static void what_may_not_count_is_refused(void **state)
{
	assert_verdict("pgp-rsa.pgp", "pgp-rsa-text.sig", SG_SIG_REFUSED,
	    "an OpenPGP signature over something else than a binary document");
	assert_verdict("pgp-rsa.pgp", "pgp-rsa-short-lived.sig", SG_SIG_REFUSED,
	    "the OpenPGP signature has expired, or is of a time to come");
	assert_verdict("pgp-revoked.pgp", "pgp-revoked.sig", SG_SIG_REFUSED,
	    "the OpenPGP key of its issuer is revoked");
	assert_verdict("pgp-revoked-before.pgp", "pgp-revoked.sig", SG_SIG_GOOD, NULL);
	/* made while the key was valid */
	assert_verdict("pgp-expired.pgp", "pgp-expired.sig", SG_SIG_GOOD, NULL);
}

static void assert_facts(const char *file, time_t at, int valid, int expired, int revoked)
{
	struct loaded key = load(file, at);

	assert_int_equal(key.facts->valid, valid);
	assert_int_equal(key.facts->expired, expired);
	assert_int_equal(key.facts->revoked, revoked);
	unload(&key);
}

static void expiry_and_revocation_are_told(void **state)
{
	struct loaded key = load("pgp-expired.pgp", PGP_AT);

	assert_int_equal(key.facts->expires, 1609459200); /* 2021-01-01 */
	unload(&key);
	assert_facts("pgp-expired.pgp", PGP_AT, 0, 1, 0);
	assert_facts("pgp-expired.pgp", 1600000000, 1, 0, 0); /* September 2020 */
	assert_facts("pgp-expired.pgp", 1500000000, 0, 1, 0); /* 2017, before it was made */
	assert_facts("pgp-expired.pgp", -1, 0, 1, 0);
	assert_facts("pgp-revoked.pgp", PGP_AT, 0, 0, 1);
	assert_facts("pgp-revoked-before.pgp", PGP_AT, 1, 0, 0);
}

static void a_copy_without_the_revocation_hides_nothing(void **state)
{
	struct sg_blob copies[] = { read_vector("pgp-revoked-before.pgp"),
		read_vector("pgp-revoked.pgp"), read_vector("pgp-rsa.pgp") };
	struct sg_pgp_key *key;
	const char *why;

	assert_int_equal(sg_pgp_key_load(copies, 2, PGP_AT, &key, &why), 0);
	assert_true(sg_pgp_key_facts(key)->revoked);
	sg_pgp_key_free(key);
	assert_int_equal(sg_pgp_key_load(copies, 3, PGP_AT, &key, &why), SG_ERR_FORMAT);
	assert_null(key);
	assert_string_equal(why, "different OpenPGP keys");
	assert_int_equal(sg_pgp_key_load(copies, 0, PGP_AT, &key, &why), SG_ERR_LIMIT);
	assert_int_equal(
	    sg_pgp_key_load(copies, SG_PGP_COPIES_MAX + 1, PGP_AT, &key, &why), SG_ERR_LIMIT);
	for (size_t i = 0; i < 3; i++)
		sg_blob_clear(&copies[i]);
}

/* Mallory's key with Romeo's signing subkey: Romeo has not bound himself to it. */
static void a_subkey_of_somebody_else_does_not_sign(void **state)
{
	struct sg_blob romeo = read_vector("pgp-ed25519.pgp");
	struct sg_blob value = read_vector("pgp-ed25519.sig");
	struct loaded mallory;
	const char *why;
	size_t at = 0;

	/* the first subkey's packet, its binding and all behind */
	while (romeo.data[at] != 0xb8 || romeo.data[at + 2] != 4)
		at++;
	mallory =
	    load_bytes(with_more("pgp-nistp256.pgp", romeo.data + at, romeo.len - at), PGP_AT);
	assert_string_equal(mallory.facts->name, PGP_NISTP256);
	assert_int_equal(sg_pgp_key_verify(mallory.key, &subject, &value, &why), SG_SIG_REFUSED);
	assert_string_equal(why, "the OpenPGP key that made it was not valid then");
	unload(&mallory);
	sg_blob_clear(&romeo);
	sg_blob_clear(&value);
}

static void what_has_no_form_is_not_loaded(void **state)
{
	struct sg_blob data = read_vector("pgp-rsa.pgp");
	struct sg_pgp_key *key;
	const char *why;

	data.data[0] = 0x95; /* a secret key's */
	assert_int_equal(sg_pgp_key_load(&data, 1, PGP_AT, &key, &why), SG_ERR_DENIED);
	assert_null(key);
	sg_blob_clear(&data);
}

/* The primary key's packet alone says nothing of itself. */
static void a_key_without_signatures_is_not_valid(void **state)
{
	struct sg_blob data = read_vector("pgp-nistp256.pgp");
	struct sg_blob value = read_vector("pgp-nistp256.sig");
	struct loaded key;
	const char *why;

	data.len = 2u + data.data[1];
	key = load_bytes(data, PGP_AT);
	assert_string_equal(key.facts->name, PGP_NISTP256);
	assert_false(key.facts->valid);
	assert_int_equal(sg_pgp_key_verify(key.key, &subject, &value, &why), SG_SIG_REFUSED);
	unload(&key);
	sg_blob_clear(&value);
}

/* ---- signet-pgp ---- */

/* Our only child. */
static pid_t child(void)
{
	char path[64];
	FILE *file;
	int pid = -1;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	file = fopen(path, "r");
	assert_non_null(file);
	if (fscanf(file, "%d", &pid) != 1)
		pid = -1;
	fclose(file);
	return pid;
}

/* Never with a pid that is none: kill(-1) is for everybody. */
static void signal_child(pid_t pid, int number)
{
	if (pid <= 1)
		fail_msg("signet-pgp does not run");
	else
		assert_int_equal(kill(pid, number), 0);
}

static void one_that_died_is_started_anew(void **state)
{
	struct loaded key = load("pgp-rsa.pgp", PGP_AT);
	pid_t first = child(), second;

	assert_true(first > 0);
	signal_child(first, SIGKILL);
	assert_int_equal(waitid(P_PID, (id_t)first, NULL, WEXITED | WNOWAIT), 0);
	assert_verdict("pgp-rsa.pgp", "pgp-rsa.sig", SG_SIG_GOOD, NULL);
	second = child();
	assert_true(second > 0 && second != first);
	/* its status is taken when a handler of SIGCHLD says so, and nobody else's */
	signal_child(second, SIGKILL);
	assert_int_equal(waitid(P_PID, (id_t)second, NULL, WEXITED | WNOWAIT), 0);
	sg_pgp_reap();
	assert_int_equal(child(), -1);
	unload(&key);
}

static void one_that_hangs_is_killed(void **state)
{
	struct loaded key = load("pgp-rsa.pgp", PGP_AT);
	struct sg_blob value = read_vector("pgp-rsa.sig");
	const char *reason;

	signal_child(child(), SIGSTOP);
	assert_int_equal(sg_pgp_key_verify(key.key, &subject, &value, &reason), SG_SIG_UNCHECKED);
	assert_string_equal(reason, "OpenPGP keys cannot be judged: signet-pgp gives no answer");
	assert_int_equal(child(), -1);
	assert_int_equal(sg_pgp_key_verify(key.key, &subject, &value, &reason), SG_SIG_GOOD);
	sg_blob_clear(&value);
	unload(&key);
}

static int64_t ms_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Keys that it hangs at or dies of, one after another: then it is left alone for a while, and nobody
 * waits. */
static void too_much_trouble_ends_it(void **state)
{
	struct sg_blob data = read_vector("pgp-rsa.pgp");
	struct sg_pgp_key *key;
	const char *why;
	int64_t before;

	use_signet_pgp();
	for (size_t i = 0; i < SG_PGP_TROUBLE_MAX / SG_PGP_TROUBLE_HANG; i++) {
		struct loaded good = load("pgp-rsa.pgp", PGP_AT);

		unload(&good);
		signal_child(child(), SIGSTOP);
		assert_int_equal(sg_pgp_key_load(&data, 1, PGP_AT, &key, &why), SG_ERR_WORKER);
	}
	before = ms_now();
	for (size_t i = 0; i < 1000; i++)
		assert_int_equal(sg_pgp_key_load(&data, 1, PGP_AT, &key, &why), SG_ERR_WORKER);
	assert_true(ms_now() - before < 100 * SG_PGP_ANSWER_MS); /* not for each of the 1,000 */
	assert_int_equal(child(), -1);
	/* what dies at once */
	sg_pgp_set_program("/bin/true");
	for (size_t i = 0; i < SG_PGP_TROUBLE_MAX; i++)
		assert_int_equal(sg_pgp_key_load(&data, 1, PGP_AT, &key, &why), SG_ERR_WORKER);
	sg_blob_clear(&data);
	use_signet_pgp();
	assert_verdict("pgp-rsa.pgp", "pgp-rsa.sig", SG_SIG_GOOD, NULL);
}

static void without_it_nothing_is_judged(void **state)
{
	struct sg_blob data = read_vector("pgp-rsa.pgp");
	struct sg_pgp_key *key;
	const char *why;

	signal_child(child(), SIGKILL);
	for (size_t i = 0; i < 2; i++) {
		sg_pgp_set_program(i == 0 ? "/nonexistent/signet-pgp" : "/bin/true");
		assert_int_equal(sg_pgp_key_load(&data, 1, PGP_AT, &key, &why), SG_ERR_WORKER);
		assert_null(key);
		assert_string_equal(
		    why, "OpenPGP keys cannot be judged: signet-pgp gives no answer");
	}
	sg_blob_clear(&data);
	use_signet_pgp();
	assert_verdict("pgp-rsa.pgp", "pgp-rsa.sig", SG_SIG_GOOD, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(facts_are_gpgs),
		cmocka_unit_test(user_ids_are_those_that_stand),
		cmocka_unit_test(user_ids_of_others_are_left_out),
		cmocka_unit_test(signatures_of_all_kinds_of_keys_are_good),
		cmocka_unit_test(no_flipped_bit_is_good),
		cmocka_unit_test(test_k6_grades_are_the_hashs),
		cmocka_unit_test(what_may_not_count_is_refused),
		cmocka_unit_test(expiry_and_revocation_are_told),
		cmocka_unit_test(a_copy_without_the_revocation_hides_nothing),
		cmocka_unit_test(a_subkey_of_somebody_else_does_not_sign),
		cmocka_unit_test(what_has_no_form_is_not_loaded),
		cmocka_unit_test(a_key_without_signatures_is_not_valid),
		cmocka_unit_test(one_that_died_is_started_anew),
		cmocka_unit_test(one_that_hangs_is_killed),
		cmocka_unit_test(too_much_trouble_ends_it),
		cmocka_unit_test(without_it_nothing_is_judged),
	};

	return cmocka_run_group_tests_name("pgp_key", tests, set_up, tear_down);
}
