/*
 * Verdicts where a key is of OpenPGP: both directions of K4 and K6.
 */
#include "proto/verdict.h"

#include "codecs.h"
#include "pgp_vectors.h"

#include "proto/keyinfo.h"

static EVP_PKEY *rsa, *ec;

static int set_up(void **state)
{
	use_signet_pgp();
	rsa = EVP_RSA_gen(2048);
	ec = EVP_EC_gen("P-256");
	return rsa != NULL && ec != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
	EVP_PKEY_free(rsa);
	EVP_PKEY_free(ec);
	return 0;
}

static struct sg_keyinfo x509_of(struct sg_blob der)
{
	return (
	    struct sg_keyinfo){ sg_keyinfo_name_x509(&der), SG_KEYINFO_X509, der, NULL, 0, NULL };
}

static struct sg_keyinfo pgp_of(const char *file, const char *name)
{
	return (
	    struct sg_keyinfo){ strdup(name), SG_KEYINFO_PGP, read_vector(file), NULL, 0, NULL };
}

static struct sg_keyinfo made_x509(EVP_PKEY *key)
{
	return x509_of(make_cert(
	    &(struct recipe){ .cn = "x", .from = PGP_AT - DAY, .to = PGP_AT + DAY }, key));
}

static void clear(struct sg_keyinfo *keyinfo)
{
	sg_layout_clear(&sg_layout_keyinfo, keyinfo);
}

static void add(
    struct sg_keyinfo *subject, const char *issuer, const char *method, struct sg_blob value)
{
	struct sg_signature *list =
	    realloc(subject->signatures, (subject->signature_count + 1) * sizeof(*list));

	assert_non_null(list);
	subject->signatures = list;
	list[subject->signature_count++] = (struct sg_signature){ strdup(issuer), NULL,
		method != NULL ? strdup(method) : NULL, value };
}

static struct sg_verdict judge(const struct sg_keyinfo *subject, const struct sg_keyinfo *issuers,
    size_t count, size_t checks_max)
{
	struct sg_verdict_index *index;
	struct sg_verdict verdict;

	assert_int_equal(sg_verdict_index_new(&index, checks_max), 0);
	assert_int_equal(sg_verdict_index_add(index, issuers, count), 0);
	assert_int_equal(sg_verdict_judge(subject, index, PGP_AT, &verdict), 0);
	sg_verdict_index_free(index);
	return verdict;
}

/* The first signature of the subject and its grade; both ways to ask agree. */
static void assert_first(const struct sg_keyinfo *subject, const struct sg_keyinfo *issuer,
    enum sg_signature_verdict expected, enum sg_grade grade)
{
	struct sg_verdict verdict = judge(subject, issuer, 1, 100);

	assert_int_equal(verdict.signatures[0], expected);
	assert_int_equal(verdict.grade, grade);
	sg_verdict_clear(&verdict);
	assert_int_equal(
	    sg_verdict_check_keys(issuer, subject, &subject->signatures[0], PGP_AT, NULL),
	    expected);
}

/* K4: an X.509 key signs the fingerprint, or, as others may read the document, the whole key. */
static void test_k4_x509_signs_openpgp(void **state)
{
	struct sg_keyinfo issuer = made_x509(rsa), ec_issuer = made_x509(ec);
	const struct {
		EVP_PKEY *key;
		const struct sg_keyinfo *issuer;
		const char *method;
		const EVP_MD *md;
		enum sg_grade grade;
	} rows[] = {
		{ rsa, &issuer, "RSA-SHA1", EVP_sha1(), SG_GRADE_SHA1 },
		{ rsa, &issuer, "RSA-SHA256", EVP_sha256(), SG_GRADE_SHA256 },
		{ ec, &ec_issuer, "ECDSA-SHA256", EVP_sha256(), SG_GRADE_SHA256 },
	};
	struct sg_blob fingerprint;

	assert_int_equal(sg_hex_decode(PGP_ED25519, 20, &fingerprint), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (int whole = 0; whole < 2; whole++) {
			struct sg_keyinfo subject = pgp_of("pgp-ed25519.pgp", PGP_ED25519);
			const struct sg_blob *bytes = whole ? &subject.data : &fingerprint;

			add(&subject, rows[i].issuer->name, rows[i].method,
			    sign(rows[i].key, rows[i].md, bytes));
			assert_first(&subject, rows[i].issuer, SG_SIG_GOOD, rows[i].grade);
			subject.signatures[0].value.data[20] ^= 1;
			assert_first(&subject, rows[i].issuer, SG_SIG_BAD, SG_GRADE_BAD);
			clear(&subject);
		}
	}
	sg_blob_clear(&fingerprint);
	clear(&issuer);
	clear(&ec_issuer);
}

/* The hex of the fingerprint, and another key's, are not what is signed. */
static void other_bytes_of_an_openpgp_key_are_not_signed(void **state)
{
	struct sg_keyinfo issuer = made_x509(ec), subject = pgp_of("pgp-rsa.pgp", PGP_RSA);
	struct sg_keyinfo other = pgp_of("pgp-nistp256.pgp", PGP_NISTP256);
	struct sg_blob hex = { (unsigned char[]){ PGP_RSA }, 40 };

	add(&subject, issuer.name, "ECDSA-SHA256", sign(ec, EVP_sha256(), &hex));
	assert_first(&subject, &issuer, SG_SIG_BAD, SG_GRADE_BAD);
	clear(&subject);
	subject = pgp_of("pgp-rsa.pgp", PGP_RSA);
	add(&subject, issuer.name, "ECDSA-SHA256", sign(ec, EVP_sha256(), &other.data));
	assert_first(&subject, &issuer, SG_SIG_BAD, SG_GRADE_BAD);
	/* K2: a subject whose data is another key's is no subject */
	free(subject.name);
	subject.name = strdup(PGP_NISTP256);
	assert_first(&subject, &issuer, SG_SIG_UNKNOWN_METHOD, SG_GRADE_NONE);
	clear(&subject);
	clear(&other);
	clear(&issuer);
}

/* K6: without method, the value is an OpenPGP signature over the DER. */
static void test_k6_openpgp_signs_x509(void **state)
{
	static const struct {
		const char *key, *name, *value;
		enum sg_signature_verdict verdict;
		enum sg_grade grade;
	} rows[] = {
		{ "pgp-rsa.pgp", PGP_RSA, "pgp-rsa.sig", SG_SIG_GOOD, SG_GRADE_SHA256 },
		{ "pgp-ed25519.pgp", PGP_ED25519, "pgp-ed25519.sig", SG_SIG_GOOD, SG_GRADE_SHA256 },
		{ "pgp-rsa.pgp", PGP_RSA, "pgp-rsa-sha1-2018.sig", SG_SIG_GOOD, SG_GRADE_SHA1 },
		{ "pgp-rsa.pgp", PGP_RSA, "pgp-rsa-sha1-2024.sig", SG_SIG_REFUSED, SG_GRADE_NONE },
		{ "pgp-rsa.pgp", PGP_RSA, "pgp-ed25519.sig", SG_SIG_BAD, SG_GRADE_BAD },
		{ "pgp-rsa.pgp", PGP_RSA, "pgp-rsa.pgp", SG_SIG_UNKNOWN_METHOD, SG_GRADE_NONE },
		{ "pgp-revoked.pgp", PGP_REVOKED, "pgp-revoked.sig", SG_SIG_REFUSED,
		    SG_GRADE_NONE },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sg_keyinfo issuer = pgp_of(rows[i].key, rows[i].name);
		struct sg_keyinfo subject = x509_of(read_vector(VECTOR_SUBJECT));

		add(&subject, issuer.name, NULL, read_vector(rows[i].value));
		assert_first(&subject, &issuer, rows[i].verdict, rows[i].grade);
		clear(&subject);
		clear(&issuer);
	}
}

static void a_refusal_says_why(void **state)
{
	struct sg_keyinfo issuer = pgp_of("pgp-rsa.pgp", PGP_RSA);
	struct sg_keyinfo subject = x509_of(read_vector(VECTOR_SUBJECT));
	struct sg_verdict verdict;

	add(&subject, issuer.name, NULL, read_vector("pgp-rsa-sha1-2024.sig"));
	add(&subject, issuer.name, NULL, read_vector("pgp-rsa.sig"));
	verdict = judge(&subject, &issuer, 1, 100);
	assert_string_equal(verdict.reasons[0],
	    "librnp takes no OpenPGP signature with SHA-1 that was made after January 19, 2019");
	assert_null(verdict.reasons[1]);
	assert_int_equal(verdict.grade, SG_GRADE_SHA256);
	sg_verdict_clear(&verdict);
	clear(&subject);
	clear(&issuer);
}

/* A method is of X.509 issuers, none of OpenPGP's (K6). */
static void methods_and_kinds_must_fit(void **state)
{
	struct sg_keyinfo issuer = pgp_of("pgp-rsa.pgp", PGP_RSA), cert = made_x509(ec);
	struct sg_keyinfo subject = x509_of(read_vector(VECTOR_SUBJECT));
	struct sg_verdict verdict;

	add(&subject, issuer.name, "RSA-SHA256", read_vector("pgp-rsa.sig"));
	add(&subject, cert.name, NULL, read_vector("pgp-rsa.sig"));
	add(&subject, PGP_MANY, NULL, read_vector("pgp-rsa.sig"));
	verdict = judge(&subject, &issuer, 1, 100);
	assert_int_equal(verdict.signatures[0], SG_SIG_UNKNOWN_METHOD);
	assert_int_equal(verdict.signatures[1], SG_SIG_UNKNOWN_ISSUER);
	assert_int_equal(verdict.signatures[2], SG_SIG_UNKNOWN_ISSUER);
	sg_verdict_clear(&verdict);
	verdict = judge(&subject, &cert, 1, 100);
	assert_int_equal(verdict.signatures[0], SG_SIG_UNKNOWN_ISSUER);
	assert_int_equal(verdict.signatures[1], SG_SIG_UNKNOWN_METHOD);
	assert_int_equal(verdict.grade, SG_GRADE_NONE);
	sg_verdict_clear(&verdict);
	clear(&subject);
	clear(&issuer);
	clear(&cert);
}

static void a_key_says_of_itself(void **state)
{
	struct sg_keyinfo subject = pgp_of("pgp-rsa.pgp", PGP_RSA);
	struct sg_verdict verdict = judge(&subject, NULL, 0, 100);

	assert_false(verdict.expired || verdict.revoked);
	assert_string_equal(verdict.jids[0], "juliet@capulet.lit");
	assert_null(verdict.jids[1]);
	assert_null(verdict.user_ids[2]);
	sg_verdict_clear(&verdict);
	/* without checks left nothing is said */
	verdict = judge(&subject, NULL, 0, 2);
	assert_null(verdict.user_ids);
	assert_null(verdict.jids);
	sg_verdict_clear(&verdict);
	clear(&subject);
	subject = pgp_of("pgp-expired.pgp", PGP_EXPIRED);
	verdict = judge(&subject, NULL, 0, 100);
	assert_true(verdict.expired);
	sg_verdict_clear(&verdict);
	clear(&subject);
}

/* Its own node shows a copy that lacks the revocation; another that is known has it. */
static void copies_are_put_together(void **state)
{
	struct sg_keyinfo copies[] = { pgp_of("pgp-revoked-before.pgp", PGP_REVOKED),
		pgp_of("pgp-revoked.pgp", PGP_REVOKED) };
	struct sg_keyinfo subject = x509_of(read_vector(VECTOR_SUBJECT));
	struct sg_verdict verdict = judge(&copies[0], copies, 1, 100);

	assert_false(verdict.revoked);
	sg_verdict_clear(&verdict);
	verdict = judge(&copies[0], copies, 2, 100);
	assert_true(verdict.revoked);
	sg_verdict_clear(&verdict);
	add(&subject, PGP_REVOKED, NULL, read_vector("pgp-revoked.sig"));
	assert_first(&subject, &copies[0], SG_SIG_GOOD, SG_GRADE_SHA256);
	verdict = judge(&subject, copies, 2, 100);
	assert_int_equal(verdict.signatures[0], SG_SIG_REFUSED);
	sg_verdict_clear(&verdict);
	clear(&subject);
	clear(&copies[0]);
	clear(&copies[1]);
}

/* To load the issuer costs one and its own signatures, each check one. */
static void the_work_is_bounded(void **state)
{
	struct sg_keyinfo issuer = pgp_of("pgp-rsa.pgp", PGP_RSA);
	struct sg_keyinfo subject = x509_of(read_vector(VECTOR_SUBJECT));

	for (int i = 0; i < 3; i++)
		add(&subject, issuer.name, NULL, read_vector("pgp-rsa.sig"));
	for (size_t checks = 0; checks < 8; checks++) {
		struct sg_verdict verdict = judge(&subject, &issuer, 1, checks);

		for (size_t i = 0; i < 3; i++)
			assert_int_equal(verdict.signatures[i],
			    checks >= 4 + i ? SG_SIG_GOOD : SG_SIG_UNCHECKED);
		sg_verdict_clear(&verdict);
	}
	clear(&subject);
	clear(&issuer);
}

static void own_signatures_count_for_nothing(void **state)
{
	struct sg_keyinfo subject = pgp_of("pgp-rsa.pgp", PGP_RSA);
	struct sg_verdict verdict;

	add(&subject, PGP_RSA, NULL, read_vector("pgp-rsa.sig"));
	verdict = judge(&subject, &subject, 1, 100);
	assert_int_equal(verdict.signatures[0], SG_SIG_SELF);
	assert_int_equal(verdict.grade, SG_GRADE_NONE);
	sg_verdict_clear(&verdict);
	clear(&subject);
}

/* That there were no checks left is not that it is not revoked. */
static void what_cannot_be_told_is_not_no(void **state)
{
	struct sg_keyinfo subject = pgp_of("pgp-revoked.pgp", PGP_REVOKED);
	struct sg_pgp_load load = { 0 };
	struct sg_verdict verdict;
	struct sg_pgp_form form;
	const char *why;
	size_t cost;

	assert_int_equal(sg_pgp_key_check(&subject.data, &form, &why), 0);
	assert_int_equal(sg_pgp_load_add(&load, &form), 0);
	cost = sg_pgp_load_cost(&load);
	verdict = judge(&subject, NULL, 0, cost - 1);
	assert_true(verdict.untold && !verdict.revoked && verdict.user_ids == NULL);
	sg_verdict_clear(&verdict);
	verdict = judge(&subject, NULL, 0, cost);
	assert_true(!verdict.untold && verdict.revoked);
	sg_verdict_clear(&verdict);
	clear(&subject);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_k4_x509_signs_openpgp),
		cmocka_unit_test(other_bytes_of_an_openpgp_key_are_not_signed),
		cmocka_unit_test(test_k6_openpgp_signs_x509),
		cmocka_unit_test(a_refusal_says_why),
		cmocka_unit_test(methods_and_kinds_must_fit),
		cmocka_unit_test(a_key_says_of_itself),
		cmocka_unit_test(copies_are_put_together),
		cmocka_unit_test(the_work_is_bounded),
		cmocka_unit_test(own_signatures_count_for_nothing),
		cmocka_unit_test(what_cannot_be_told_is_not_no),
	};

	return cmocka_run_group_tests_name("verdict_pgp", tests, set_up, tear_down);
}
