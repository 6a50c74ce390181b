#include "proto/verdict.h"

#include "codecs.h"

#include <openssl/core_names.h>
#include <openssl/param_build.h>

#include "proto/keyinfo.h"

#define IN_2008 ((time_t)1225000000) /* when the document's certificates were valid */

static EVP_PKEY *rsa, *ec, *subject_key;
static struct sg_blob vector_issuer, vector_subject, vector_signature;

static int set_up(void **state)
{
	rsa = EVP_RSA_gen(2048);
	ec = EVP_EC_gen("P-256");
	subject_key = EVP_EC_gen("P-256");
	vector_issuer = read_vector(VECTOR_ISSUER);
	vector_subject = read_vector(VECTOR_SUBJECT);
	vector_signature = read_vector(VECTOR_SIGNATURE);
	return rsa != NULL && ec != NULL && subject_key != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
	EVP_PKEY_free(rsa);
	EVP_PKEY_free(ec);
	EVP_PKEY_free(subject_key);
	sg_blob_clear(&vector_issuer);
	sg_blob_clear(&vector_subject);
	sg_blob_clear(&vector_signature);
	return 0;
}

/* ---- one signature ---- */

static EVP_PKEY *key_of(const struct sg_blob *der)
{
	EVP_PKEY *key;
	X509 *cert;

	assert_int_equal(sg_x509_cert_parse(der, &cert), 0);
	key = X509_get_pubkey(cert);
	X509_free(cert);
	return key;
}

/* Raw PKCS#1 type 1 padding around these bytes. */
static struct sg_blob sign_raw(EVP_PKEY *key, const void *bytes, size_t len)
{
	struct sg_blob value = { malloc(2048), 2048 };
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);

	assert_int_equal(EVP_PKEY_sign_init(ctx), 1);
	assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING), 1);
	assert_int_equal(EVP_PKEY_sign(ctx, value.data, &value.len, bytes, len), 1);
	EVP_PKEY_CTX_free(ctx);
	return value;
}

static void the_documents_signature_is_good(void **state)
{
	EVP_PKEY *issuer = key_of(&vector_issuer), *other = key_of(&vector_subject);

	assert_int_equal(
	    sg_verdict_check(issuer, "RSA-SHA1", &vector_subject, &vector_signature), SG_SIG_GOOD);
	assert_int_equal(
	    sg_verdict_check(issuer, "RSA-SHA256", &vector_subject, &vector_signature), SG_SIG_BAD);
	assert_int_equal(
	    sg_verdict_check(other, "RSA-SHA1", &vector_subject, &vector_signature), SG_SIG_BAD);
	assert_int_equal(
	    sg_verdict_check(issuer, "RSA-SHA1", &vector_issuer, &vector_signature), SG_SIG_BAD);
	EVP_PKEY_free(issuer);
	EVP_PKEY_free(other);
}

static void no_flipped_bit_is_good(void **state)
{
	EVP_PKEY *issuer = key_of(&vector_issuer);
	struct sg_blob *const parts[] = { &vector_subject, &vector_signature };

	for (size_t p = 0; p < 2; p++) {
		for (size_t i = 0; i < parts[p]->len * 8; i++) {
			parts[p]->data[i / 8] ^= (unsigned char)(1 << i % 8);
			assert_int_equal(sg_verdict_check(issuer, "RSA-SHA1", &vector_subject,
					     &vector_signature),
			    SG_SIG_BAD);
			parts[p]->data[i / 8] ^= (unsigned char)(1 << i % 8);
		}
	}
	EVP_PKEY_free(issuer);
}

static void every_method_is_checked(void **state)
{
	static const struct {
		const char *name;
		EVP_PKEY **key;
		const EVP_MD *(*md)(void);
	} methods[] = { { "RSA-SHA1", &rsa, EVP_sha1 }, { "RSA-SHA256", &rsa, EVP_sha256 },
		{ "ECDSA-SHA256", &ec, EVP_sha256 } };

	for (size_t i = 0; i < 3; i++) {
		EVP_PKEY *key = *methods[i].key;
		struct sg_blob value = sign(key, methods[i].md(), &vector_subject);

		assert_int_equal(
		    sg_verdict_check(key, methods[i].name, &vector_subject, &value), SG_SIG_GOOD);
		assert_int_equal(
		    sg_verdict_check(key, methods[i].name, &vector_issuer, &value), SG_SIG_BAD);
		value.len--;
		assert_int_equal(
		    sg_verdict_check(key, methods[i].name, &vector_subject, &value), SG_SIG_BAD);
		value.len = 0;
		assert_int_equal(
		    sg_verdict_check(key, methods[i].name, &vector_subject, &value), SG_SIG_BAD);
		value.len = 1024;
		assert_int_equal(
		    sg_verdict_check(key, methods[i].name, &vector_subject, &value), SG_SIG_BAD);
		sg_blob_clear(&value);
	}
}

static void what_does_not_fit_is_an_unknown_method(void **state)
{
	static const char *const names[] = { "ECDSA-SHA256", "RSA-SHA512", "rsa-sha1", "RSA-SHA1 ",
		"", "DSA-SHA1" };
	EVP_PKEY *ed = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	EVP_PKEY *curve = EVP_EC_gen("secp256k1");
	struct sg_blob value = sign(curve, EVP_sha256(), &vector_subject);

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_int_equal(
		    sg_verdict_check(rsa, names[i], &vector_subject, &vector_signature),
		    SG_SIG_UNKNOWN_METHOD);
	assert_int_equal(
	    sg_verdict_check(rsa, NULL, &vector_subject, &vector_signature), SG_SIG_UNKNOWN_METHOD);
	assert_int_equal(sg_verdict_check(ec, "RSA-SHA1", &vector_subject, &vector_signature),
	    SG_SIG_UNKNOWN_METHOD);
	assert_int_equal(sg_verdict_check(ed, "RSA-SHA256", &vector_subject, &vector_signature),
	    SG_SIG_UNKNOWN_METHOD);
	assert_int_equal(sg_verdict_check(curve, "ECDSA-SHA256", &vector_subject, &value),
	    SG_SIG_UNKNOWN_METHOD);
	sg_blob_clear(&value);
	EVP_PKEY_free(ed);
	EVP_PKEY_free(curve);
}

/* Only the whole DigestInfo with nothing beside it counts. */
static void other_digest_infos_are_bad(void **state)
{
	static const unsigned char prefix[] = { 0x30, 0x21, 0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e,
		0x03, 0x02, 0x1a, 0x05, 0x00, 0x04, 0x14 };
	unsigned char info[64] = { 0 };
	struct sg_blob value;

	memcpy(info, prefix, sizeof(prefix));
	assert_int_equal(EVP_Digest(vector_subject.data, vector_subject.len, info + sizeof(prefix),
			     NULL, EVP_sha1(), NULL),
	    1);
	value = sign_raw(rsa, info, 35);
	assert_int_equal(sg_verdict_check(rsa, "RSA-SHA1", &vector_subject, &value), SG_SIG_GOOD);
	sg_blob_clear(&value);
	value = sign_raw(rsa, info, 36); /* something trailing */
	assert_int_equal(sg_verdict_check(rsa, "RSA-SHA1", &vector_subject, &value), SG_SIG_BAD);
	sg_blob_clear(&value);
	value = sign_raw(rsa, info + sizeof(prefix), 20); /* the digest alone */
	assert_int_equal(sg_verdict_check(rsa, "RSA-SHA1", &vector_subject, &value), SG_SIG_BAD);
	sg_blob_clear(&value);
	/* without the NULL parameter, that other verifiers take as well: one form only */
	memmove(info + 11, info + 13, 22);
	info[1] -= 2;
	info[3] -= 2;
	value = sign_raw(rsa, info, 33);
	assert_int_equal(sg_verdict_check(rsa, "RSA-SHA1", &vector_subject, &value), SG_SIG_BAD);
	sg_blob_clear(&value);
}

/* A public key with any modulus size and exponent: only its size is looked at. */
static EVP_PKEY *rsa_public(int modulus_bits, int exponent_bits)
{
	BIGNUM *n = BN_new(), *e = BN_new();
	OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
	EVP_PKEY *key = NULL;
	OSSL_PARAM *params;

	assert_int_equal(BN_rand(n, modulus_bits, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ODD), 1);
	assert_int_equal(BN_rand(e, exponent_bits, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ODD), 1);
	OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n);
	OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e);
	params = OSSL_PARAM_BLD_to_param(build);
	assert_int_equal(EVP_PKEY_fromdata_init(ctx), 1);
	assert_int_equal(EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params), 1);
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(build);
	EVP_PKEY_CTX_free(ctx);
	BN_free(n);
	BN_free(e);
	return key;
}

/* With an exponent of 1 the padded DigestInfo is its own signature. */
static void an_exponent_of_one_judges_nothing(void **state)
{
	EVP_PKEY *key = rsa_public(1024, 1);
	unsigned char padded[128];
	struct sg_blob value = { padded, sizeof(padded) };
	static const unsigned char prefix[] = { 0x00, 0x30, 0x21, 0x30, 0x09, 0x06, 0x05, 0x2b,
		0x0e, 0x03, 0x02, 0x1a, 0x05, 0x00, 0x04, 0x14 };

	memset(padded, 0xff, sizeof(padded));
	padded[0] = 0;
	padded[1] = 1;
	memcpy(padded + 128 - 36, prefix, sizeof(prefix));
	assert_int_equal(EVP_Digest(vector_subject.data, vector_subject.len, padded + 108, NULL,
			     EVP_sha1(), NULL),
	    1);
	assert_int_equal(
	    sg_verdict_check(key, "RSA-SHA1", &vector_subject, &value), SG_SIG_UNKNOWN_METHOD);
	EVP_PKEY_free(key);
}

static void rsa_keys_outside_the_limits_judge_nothing(void **state)
{
	static const struct {
		int modulus, exponent;
		enum sg_signature_verdict verdict;
	} keys[] = {
		{ 1016, 17, SG_SIG_UNKNOWN_METHOD },
		{ 1024, 17, SG_SIG_BAD },
		{ 8192, 64, SG_SIG_BAD },
		{ 8192, 65, SG_SIG_UNKNOWN_METHOD },
		{ 2048, 65, SG_SIG_UNKNOWN_METHOD },
		{ 2048, 2000, SG_SIG_UNKNOWN_METHOD },
		{ 8200, 17, SG_SIG_UNKNOWN_METHOD },
		{ 16384, 17, SG_SIG_UNKNOWN_METHOD },
		{ 65536, 17, SG_SIG_UNKNOWN_METHOD },
	};

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		EVP_PKEY *key = rsa_public(keys[i].modulus, keys[i].exponent);
		struct sg_blob value = { calloc(1, 8192), (size_t)(keys[i].modulus + 7) / 8 };

		value.data[value.len - 1] = 3;
		assert_int_equal(
		    sg_verdict_check(key, "RSA-SHA1", &vector_subject, &value), keys[i].verdict);
		assert_int_equal(
		    sg_verdict_check(key, "RSA-SHA256", &vector_subject, &value), keys[i].verdict);
		sg_blob_clear(&value);
		EVP_PKEY_free(key);
	}
}

/* ---- a key ---- */

/* The keyinfo of a certificate, which it takes over. */
static struct sg_keyinfo keyinfo_of(struct sg_blob der)
{
	struct sg_keyinfo keyinfo = { 0 };

	keyinfo.kind = SG_KEYINFO_X509;
	keyinfo.name = sg_keyinfo_name_x509(&der);
	keyinfo.data = der;
	return keyinfo;
}

static void add_signature(
    struct sg_keyinfo *keyinfo, const char *issuer, const char *method, struct sg_blob value)
{
	struct sg_signature *list =
	    realloc(keyinfo->signatures, (keyinfo->signature_count + 1) * sizeof(*list));

	assert_non_null(list);
	keyinfo->signatures = list;
	list[keyinfo->signature_count++] = (struct sg_signature){ strdup(issuer), NULL,
		method != NULL ? strdup(method) : NULL, value };
}

static void clear(struct sg_keyinfo *keyinfo)
{
	sg_layout_clear(&sg_layout_keyinfo, keyinfo);
}

static struct sg_keyinfo vector_keyinfo(void)
{
	struct sg_keyinfo keyinfo = keyinfo_of(blob_of(vector_subject.data, vector_subject.len));

	add_signature(&keyinfo, ISSUER_NAME, "RSA-SHA1",
	    blob_of(vector_signature.data, vector_signature.len));
	return keyinfo;
}

static int judge(const struct sg_keyinfo *subject, const struct sg_keyinfo *issuers, size_t count,
    size_t checks_max, time_t now, struct sg_verdict *verdict)
{
	struct sg_verdict_index *index;
	int err;

	assert_int_equal(sg_verdict_index_new(&index, checks_max), 0);
	assert_int_equal(sg_verdict_index_add(index, issuers, count), 0);
	err = sg_verdict_judge(subject, index, now, verdict);
	sg_verdict_index_free(index);
	return err;
}

static void assert_judged(const struct sg_keyinfo *subject, const struct sg_keyinfo *issuers,
    size_t count, enum sg_signature_verdict first, enum sg_grade grade)
{
	struct sg_verdict verdict;

	assert_int_equal(judge(subject, issuers, count, 10, IN_2008, &verdict), 0);
	assert_int_equal(verdict.signature_count, subject->signature_count);
	assert_int_equal(verdict.signatures[0], first);
	assert_int_equal(verdict.grade, grade);
	sg_verdict_clear(&verdict);
	assert_null(verdict.signatures);
}

static void the_documents_key_is_judged(void **state)
{
	struct sg_keyinfo both[] = { vector_keyinfo(),
		keyinfo_of(blob_of(vector_issuer.data, vector_issuer.len)) };
	struct sg_keyinfo *subject = &both[0], *issuer = &both[1];

	assert_judged(subject, both, 2, SG_SIG_GOOD, SG_GRADE_SHA1);
	assert_judged(subject, issuer, 1, SG_SIG_GOOD, SG_GRADE_SHA1);
	assert_judged(subject, subject, 1, SG_SIG_UNKNOWN_ISSUER, SG_GRADE_NONE);
	assert_judged(subject, NULL, 0, SG_SIG_UNKNOWN_ISSUER, SG_GRADE_NONE);

	subject->signatures[0].value.data[77] ^= 1;
	assert_judged(subject, issuer, 1, SG_SIG_BAD, SG_GRADE_BAD);
	subject->signatures[0].value.data[77] ^= 1;
	/* who fills the struct is not believed: name and data must agree */
	subject->data.data[300] ^= 1;
	assert_judged(subject, issuer, 1, SG_SIG_UNKNOWN_METHOD, SG_GRADE_NONE);
	subject->data.data[300] ^= 1;
	subject->name[39] ^= 1;
	assert_judged(subject, issuer, 1, SG_SIG_UNKNOWN_METHOD, SG_GRADE_NONE);
	subject->name[39] ^= 1;
	issuer->data.data[300] ^= 1;
	assert_judged(subject, issuer, 1, SG_SIG_UNKNOWN_ISSUER, SG_GRADE_NONE);
	issuer->data.data[300] ^= 1;
	issuer->name[0] ^= 1;
	assert_judged(subject, issuer, 1, SG_SIG_UNKNOWN_ISSUER, SG_GRADE_NONE);
	issuer->name[0] ^= 1;
	assert_judged(subject, issuer, 1, SG_SIG_GOOD, SG_GRADE_SHA1);
	clear(subject);
	clear(issuer);
}

/* K7: what is off counts for nothing, good or bad, and costs no check. */
static void sha1_may_be_off(void **state)
{
	struct sg_keyinfo subject = vector_keyinfo();
	struct sg_keyinfo issuer = keyinfo_of(blob_of(vector_issuer.data, vector_issuer.len));
	struct sg_signature sha256 = { .method = (char[]){ "RSA-SHA256" } };
	struct sg_verdict verdict;
	const char *reason;

	sg_verdict_set_sha1(SG_SHA1_OFF);
	assert_int_equal(judge(&subject, &issuer, 1, 0, IN_2008, &verdict), 0);
	assert_int_equal(verdict.signatures[0], SG_SIG_REFUSED);
	assert_string_equal(verdict.reasons[0], "SHA-1 does not count here (sha1 = off)");
	assert_int_equal(verdict.grade, SG_GRADE_NONE);
	sg_verdict_clear(&verdict);
	assert_int_equal(
	    sg_verdict_check_keys(&issuer, &subject, &subject.signatures[0], IN_2008, &reason),
	    SG_SIG_REFUSED);
	assert_non_null(reason);
	assert_false(sg_signature_counts(&subject.signatures[0], NULL));
	assert_true(sg_signature_counts(&sha256, &reason));
	assert_null(reason);
	subject.signatures[0].value.data[77] ^= 1;
	assert_judged(&subject, &issuer, 1, SG_SIG_REFUSED, SG_GRADE_NONE);
	sg_verdict_set_sha1(SG_SHA1_VERIFY);
	assert_judged(&subject, &issuer, 1, SG_SIG_BAD, SG_GRADE_BAD);
	subject.signatures[0].value.data[77] ^= 1;
	assert_judged(&subject, &issuer, 1, SG_SIG_GOOD, SG_GRADE_SHA1);
	sg_verdict_set_sha1(SG_SHA1_ON);
	assert_judged(&subject, &issuer, 1, SG_SIG_GOOD, SG_GRADE_SHA1);
	clear(&subject);
	clear(&issuer);
}

static void the_words_for_sha1(void **state)
{
	static const char *const bad[] = { "", "On", "no", "yes", "off ", "verified" };
	enum sg_sha1 sha1;

	assert_int_equal(sg_sha1_parse("on", &sha1), 0);
	assert_int_equal(sha1, SG_SHA1_ON);
	assert_int_equal(sg_sha1_parse("verify", &sha1), 0);
	assert_int_equal(sha1, SG_SHA1_VERIFY);
	assert_int_equal(sg_sha1_parse("off", &sha1), 0);
	assert_int_equal(sha1, SG_SHA1_OFF);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(sg_sha1_parse(bad[i], &sha1), SG_ERR_ARG);
}

static struct sg_keyinfo made_keyinfo(EVP_PKEY *key, long serial)
{
	return keyinfo_of(make_cert(&(struct recipe){ .cn = "x", .serial = serial }, key));
}

static void grades_say_what_carried(void **state)
{
	struct sg_keyinfo subject = made_keyinfo(subject_key, 1);
	struct sg_keyinfo issuers[] = { made_keyinfo(rsa, 2), made_keyinfo(ec, 3) };
	struct sg_verdict verdict;

	assert_int_equal(judge(&subject, issuers, 2, 0, NOW, &verdict), 0);
	assert_int_equal(verdict.grade, SG_GRADE_NONE);
	assert_int_equal(verdict.signature_count, 0);
	sg_verdict_clear(&verdict);

	add_signature(&subject, issuers[0].name, "ROT-13", blob_of("x", 1));
	assert_judged(&subject, issuers, 2, SG_SIG_UNKNOWN_METHOD, SG_GRADE_NONE);
	add_signature(&subject, issuers[0].name, NULL, blob_of("x", 1)); /* K6 */
	assert_judged(&subject, issuers, 2, SG_SIG_UNKNOWN_METHOD, SG_GRADE_NONE);
	add_signature(&subject, issuers[0].name, "RSA-SHA1", sign(rsa, EVP_sha1(), &subject.data));
	assert_judged(&subject, issuers, 2, SG_SIG_UNKNOWN_METHOD, SG_GRADE_SHA1);
	add_signature(
	    &subject, issuers[0].name, "RSA-SHA256", sign(rsa, EVP_sha256(), &subject.data));
	assert_judged(&subject, issuers, 2, SG_SIG_UNKNOWN_METHOD, SG_GRADE_SHA256);
	subject.signature_count--;
	assert_judged(&subject, issuers, 2, SG_SIG_UNKNOWN_METHOD, SG_GRADE_SHA1);
	subject.signature_count++;
	add_signature(
	    &subject, issuers[1].name, "ECDSA-SHA256", sign(ec, EVP_sha256(), &subject.data));
	assert_judged(&subject, issuers, 2, SG_SIG_UNKNOWN_METHOD, SG_GRADE_SHA256);
	assert_judged(&subject, &issuers[1], 1, SG_SIG_UNKNOWN_ISSUER, SG_GRADE_SHA256);
	/* one bad one is said, whatever else is good */
	add_signature(
	    &subject, issuers[1].name, "ECDSA-SHA256", sign(ec, EVP_sha256(), &issuers[1].data));
	assert_judged(&subject, issuers, 2, SG_SIG_UNKNOWN_METHOD, SG_GRADE_BAD);
	assert_judged(&subject, issuers, 1, SG_SIG_UNKNOWN_METHOD, SG_GRADE_SHA256);
	clear(&subject);
	clear(&issuers[0]);
	clear(&issuers[1]);
}

static void a_keys_own_signature_counts_for_nothing(void **state)
{
	struct sg_keyinfo both[] = { made_keyinfo(ec, 1), made_keyinfo(ec, 2) };

	add_signature(
	    &both[0], both[0].name, "ECDSA-SHA256", sign(ec, EVP_sha256(), &both[0].data));
	assert_judged(&both[0], both, 2, SG_SIG_SELF, SG_GRADE_NONE);
	assert_judged(&both[0], NULL, 0, SG_SIG_SELF, SG_GRADE_NONE);
	/* neither does that of another certificate of the same key */
	free(both[0].signatures[0].issuer);
	both[0].signatures[0].issuer = strdup(both[1].name);
	assert_judged(&both[0], both, 2, SG_SIG_SELF, SG_GRADE_NONE);
	clear(&both[0]);
	clear(&both[1]);
}

/* Of the kind that it says to be, but not of the form. */
static void references_and_wrong_kinds_count_for_nothing(void **state)
{
	struct sg_keyinfo subject = vector_keyinfo();
	struct sg_keyinfo issuer = keyinfo_of(blob_of(vector_issuer.data, vector_issuer.len));

	subject.kind = SG_KEYINFO_PGP;
	assert_judged(&subject, &issuer, 1, SG_SIG_UNKNOWN_METHOD, SG_GRADE_NONE);
	subject.kind = SG_KEYINFO_REFERENCE;
	assert_judged(&subject, &issuer, 1, SG_SIG_UNKNOWN_METHOD, SG_GRADE_NONE);
	subject.kind = SG_KEYINFO_X509;
	issuer.kind = SG_KEYINFO_PGP;
	assert_judged(&subject, &issuer, 1, SG_SIG_UNKNOWN_METHOD, SG_GRADE_NONE);
	clear(&subject);
	clear(&issuer);
}

static int expired_at(const struct sg_keyinfo *subject, time_t now)
{
	struct sg_verdict verdict;
	int expired;

	assert_int_equal(judge(subject, NULL, 0, 0, now, &verdict), 0);
	expired = verdict.expired;
	sg_verdict_clear(&verdict);
	return expired;
}

static void validity_is_judged(void **state)
{
	struct sg_keyinfo subject = made_keyinfo(ec, 1);

	assert_false(expired_at(&subject, NOW));
	assert_false(expired_at(&subject, NOW - DAY));
	assert_true(expired_at(&subject, NOW - DAY - 1));
	assert_false(expired_at(&subject, NOW + DAY));
	assert_true(expired_at(&subject, NOW + DAY + 1));
	subject.kind = SG_KEYINFO_REFERENCE;
	assert_false(expired_at(&subject, NOW + 2 * DAY));
	clear(&subject);
}

/* What a peer can send at most: 10,000 signatures, each by an issuer of its own. */
static void ten_thousand_signatures_and_issuers_are_judged(void **state)
{
	enum { COUNT = 10000 };
	struct sg_keyinfo subject = made_keyinfo(subject_key, 1);
	struct sg_keyinfo *issuers = calloc(COUNT, sizeof(*issuers));
	struct sg_blob value = sign(ec, EVP_sha256(), &subject.data);
	struct sg_verdict verdict;

	subject.signatures = calloc(COUNT, sizeof(*subject.signatures));
	subject.signature_count = COUNT;
	for (long i = 0; i < COUNT; i++) {
		issuers[i] = made_keyinfo(ec, 2 + i);
		subject.signatures[i] = (struct sg_signature){ strdup(issuers[i].name), NULL,
			strdup("ECDSA-SHA256"), blob_of(value.data, value.len) };
	}
	subject.signatures[COUNT - 1].value.data[value.len - 1] ^= 1;
	assert_int_equal(judge(&subject, issuers, COUNT, COUNT, NOW, &verdict), 0);
	for (int i = 0; i < COUNT - 1; i++)
		assert_int_equal(verdict.signatures[i], SG_SIG_GOOD);
	assert_int_equal(verdict.signatures[COUNT - 1], SG_SIG_BAD);
	assert_int_equal(verdict.grade, SG_GRADE_BAD);
	sg_verdict_clear(&verdict);
	for (int i = 0; i < COUNT; i++)
		clear(&issuers[i]);
	free(issuers);
	sg_blob_clear(&value);
	clear(&subject);
}

/* One index for many keys: it finds issuers that were added in parts, and makes no check too many. */
static void checks_are_bounded_over_all_keys(void **state)
{
	struct sg_keyinfo subjects[] = { made_keyinfo(subject_key, 1),
		made_keyinfo(subject_key, 2) };
	struct sg_keyinfo issuers[] = { made_keyinfo(ec, 3), made_keyinfo(rsa, 4) };
	struct sg_verdict_index *index;
	struct sg_verdict verdict;

	for (int i = 0; i < 2; i++) {
		add_signature(&subjects[i], subjects[i].name, "ECDSA-SHA256", blob_of("x", 1));
		add_signature(&subjects[i], issuers[0].name, "ROT-13", blob_of("x", 1));
		add_signature(&subjects[i], ISSUER_NAME, "RSA-SHA256", blob_of("x", 1));
		add_signature(&subjects[i], issuers[0].name, "ECDSA-SHA256",
		    sign(ec, EVP_sha256(), &subjects[i].data));
		add_signature(&subjects[i], issuers[1].name, "RSA-SHA256",
		    sign(rsa, EVP_sha256(), &subjects[i].data));
	}
	assert_int_equal(sg_verdict_index_new(&index, 3), 0);
	assert_int_equal(sg_verdict_index_add(index, &issuers[1], 1), 0);
	assert_false(sg_verdict_index_has(index, issuers[0].name));
	assert_int_equal(sg_verdict_index_add(index, issuers, 1), 0);
	assert_true(sg_verdict_index_has(index, issuers[0].name));
	assert_true(sg_verdict_index_has(index, issuers[1].name));
	assert_int_equal(sg_verdict_judge(&subjects[0], index, NOW, &verdict), 0);
	assert_int_equal(verdict.signatures[3], SG_SIG_GOOD);
	assert_int_equal(verdict.signatures[4], SG_SIG_GOOD);
	sg_verdict_clear(&verdict);
	assert_int_equal(sg_verdict_judge(&subjects[1], index, NOW, &verdict), 0);
	/* what needs no check is said all the same */
	assert_int_equal(verdict.signatures[0], SG_SIG_SELF);
	assert_int_equal(verdict.signatures[1], SG_SIG_UNKNOWN_METHOD);
	assert_int_equal(verdict.signatures[2], SG_SIG_UNKNOWN_ISSUER);
	assert_int_equal(verdict.signatures[3], SG_SIG_GOOD);
	assert_int_equal(verdict.signatures[4], SG_SIG_UNCHECKED);
	sg_verdict_clear(&verdict);
	assert_int_equal(sg_verdict_judge(&subjects[1], index, NOW, &verdict), 0);
	assert_int_equal(verdict.signatures[3], SG_SIG_UNCHECKED);
	assert_int_equal(verdict.grade, SG_GRADE_NONE);
	sg_verdict_clear(&verdict);
	sg_verdict_index_free(index);
	for (int i = 0; i < 2; i++) {
		clear(&subjects[i]);
		clear(&issuers[i]);
	}
}

static void names_are_told(void **state)
{
	assert_string_equal(sg_signature_verdict_name(SG_SIG_GOOD), "good");
	assert_string_equal(sg_signature_verdict_name(SG_SIG_BAD), "bad");
	assert_string_equal(sg_signature_verdict_name(SG_SIG_UNKNOWN_METHOD), "unknown_method");
	assert_string_equal(sg_signature_verdict_name(SG_SIG_UNKNOWN_ISSUER), "unknown_issuer");
	assert_string_equal(sg_signature_verdict_name(SG_SIG_SELF), "self");
	assert_string_equal(sg_signature_verdict_name(SG_SIG_UNCHECKED), "unchecked");
	assert_string_equal(sg_grade_name(SG_GRADE_NONE), "none");
	assert_string_equal(sg_grade_name(SG_GRADE_SHA1), "sha1");
	assert_string_equal(sg_grade_name(SG_GRADE_SHA256), "sha256");
	assert_string_equal(sg_grade_name(SG_GRADE_BAD), "bad");
	assert_string_equal(sg_key_kind_name(SG_KEYINFO_REFERENCE), "reference");
	assert_string_equal(sg_key_kind_name(SG_KEYINFO_X509), "x509");
	assert_string_equal(sg_key_kind_name(SG_KEYINFO_PGP), "pgp");
	assert_null(sg_key_kind_name(SG_KEYINFO_PGP + 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_documents_signature_is_good),
		cmocka_unit_test(no_flipped_bit_is_good),
		cmocka_unit_test(every_method_is_checked),
		cmocka_unit_test(what_does_not_fit_is_an_unknown_method),
		cmocka_unit_test(other_digest_infos_are_bad),
		cmocka_unit_test(an_exponent_of_one_judges_nothing),
		cmocka_unit_test(rsa_keys_outside_the_limits_judge_nothing),
		cmocka_unit_test(the_documents_key_is_judged),
		cmocka_unit_test(sha1_may_be_off),
		cmocka_unit_test(the_words_for_sha1),
		cmocka_unit_test(grades_say_what_carried),
		cmocka_unit_test(a_keys_own_signature_counts_for_nothing),
		cmocka_unit_test(references_and_wrong_kinds_count_for_nothing),
		cmocka_unit_test(validity_is_judged),
		cmocka_unit_test(ten_thousand_signatures_and_issuers_are_judged),
		cmocka_unit_test(checks_are_bounded_over_all_keys),
		cmocka_unit_test(names_are_told),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
