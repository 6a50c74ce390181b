#include "verdict.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "keyinfo.h"
#include "x509.h"

/* RSA keys outside these are judged by no method: smaller ones are within reach of factoring, larger
 * ones only cost time, and 10,000 signatures may stand on one key. */
#define RSA_BITS_MIN	  1024
#define RSA_BITS_MAX	  8192
#define RSA_EXPONENT_BITS 64

#define SHA1_LEN 20

/* DER of DigestInfo up to the digest, RFC 8017 9.2 note 1. */
static const unsigned char sha1_prefix[] = { 0x30, 0x21, 0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e, 0x03,
	0x02, 0x1a, 0x05, 0x00, 0x04, 0x14 };

static int is_good_rsa(EVP_PKEY *key)
{
	BIGNUM *exponent = NULL;
	int bits, good;

	if (EVP_PKEY_get_base_id(key) != EVP_PKEY_RSA)
		return 0;
	bits = EVP_PKEY_get_bits(key);
	if (bits < RSA_BITS_MIN || bits > RSA_BITS_MAX)
		return 0;
	if (EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &exponent) != 1)
		return 0;
	/* with an exponent of 1 anybody makes signatures */
	good = BN_is_odd(exponent) && !BN_is_one(exponent) &&
	    BN_num_bits(exponent) <= RSA_EXPONENT_BITS;
	BN_free(exponent);
	return good;
}

static int is_good_ec(EVP_PKEY *key)
{
	char name[16];
	const char *algorithm = sg_x509_key_algorithm(key, name);

	return strcmp(algorithm, "p256") == 0 || strcmp(algorithm, "p384") == 0 ||
	    strcmp(algorithm, "p521") == 0;
}

/*
 * K5 without OpenSSL's own SHA-1 signature check, which a system policy may have switched off: the
 * padding is taken off with no digest named, and what is left must be our DigestInfo, all of it.
 */
static int verify_rsa_sha1(
    EVP_PKEY *key, const struct sg_blob *subject, const struct sg_blob *value)
{
	unsigned char expected[sizeof(sha1_prefix) + SHA1_LEN];
	unsigned char recovered[RSA_BITS_MAX / 8];
	size_t len = sizeof(recovered);
	EVP_PKEY_CTX *ctx;
	int good = 0;

	if (value->len != (size_t)EVP_PKEY_get_size(key))
		return 0;
	memcpy(expected, sha1_prefix, sizeof(sha1_prefix));
	if (EVP_Digest(subject->data, subject->len, expected + sizeof(sha1_prefix), NULL,
		EVP_sha1(), NULL) != 1)
		return 0;
	ctx = EVP_PKEY_CTX_new(key, NULL);
	if (ctx != NULL && EVP_PKEY_verify_recover_init(ctx) == 1 &&
	    EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1 &&
	    EVP_PKEY_verify_recover(ctx, recovered, &len, value->data, value->len) == 1)
		good = len == sizeof(expected) && CRYPTO_memcmp(recovered, expected, len) == 0;
	EVP_PKEY_CTX_free(ctx);
	return good;
}

static int verify_sha256(EVP_PKEY *key, const struct sg_blob *subject, const struct sg_blob *value)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	int good;

	good = ctx != NULL && EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
	    EVP_DigestVerify(ctx, value->data, value->len, subject->data, subject->len) == 1;
	EVP_MD_CTX_free(ctx);
	return good;
}

static const struct method {
	const char *name;
	int (*fits)(EVP_PKEY *key);
	int (*verify)(EVP_PKEY *key, const struct sg_blob *subject, const struct sg_blob *value);
	enum sg_grade grade;
} methods[] = {
	{ "RSA-SHA1", is_good_rsa, verify_rsa_sha1, SG_GRADE_SHA1 },
	{ "RSA-SHA256", is_good_rsa, verify_sha256, SG_GRADE_SHA256 },
	{ "ECDSA-SHA256", is_good_ec, verify_sha256, SG_GRADE_SHA256 },
};

static const struct method *find_method(const char *name)
{
	for (size_t i = 0; name != NULL && i < sizeof(methods) / sizeof(methods[0]); i++) {
		if (strcmp(methods[i].name, name) == 0)
			return &methods[i];
	}
	return NULL;
}

enum sg_signature_verdict sg_verdict_check(EVP_PKEY *issuer, const char *method,
    const struct sg_blob *subject, const struct sg_blob *value)
{
	const struct method *found = find_method(method);
	enum sg_signature_verdict verdict = SG_SIG_UNKNOWN_METHOD;

	if (found == NULL)
		return verdict;
	ERR_set_mark();
	if (found->fits(issuer))
		verdict = found->verify(issuer, subject, value) ? SG_SIG_GOOD : SG_SIG_BAD;
	ERR_pop_to_mark();
	return verdict;
}

/* ---- issuers ---- */

/* A possible issuer; its certificate is parsed when a signature first names it. */
struct issuer {
	const struct sg_keyinfo *keyinfo;
	X509 *cert;
	int tried;
};

struct sg_verdict_index {
	struct issuer *list; /* by name, once sorted */
	size_t count;
	int sorted;
	size_t checks_left;
};

static int compare_issuers(const void *a, const void *b)
{
	const struct issuer *left = a, *right = b;

	return strcmp(left->keyinfo->name, right->keyinfo->name);
}

static int compare_name(const void *name, const void *issuer)
{
	return strcmp(name, ((const struct issuer *)issuer)->keyinfo->name);
}

int sg_verdict_index_new(struct sg_verdict_index **index, size_t checks_max)
{
	*index = calloc(1, sizeof(**index));
	if (*index == NULL)
		return SG_ERR_NOMEM;
	(*index)->checks_left = checks_max;
	return 0;
}

void sg_verdict_index_free(struct sg_verdict_index *index)
{
	if (index == NULL)
		return;
	for (size_t i = 0; i < index->count; i++)
		X509_free(index->list[i].cert);
	free(index->list);
	free(index);
}

int sg_verdict_index_add(
    struct sg_verdict_index *index, const struct sg_keyinfo *keys, size_t count)
{
	struct issuer *list;

	if (count == 0)
		return 0;
	list = reallocarray(index->list, index->count + count, sizeof(*list));
	if (list == NULL)
		return SG_ERR_NOMEM;
	index->list = list;
	for (size_t i = 0; i < count; i++) {
		if (keys[i].kind == SG_KEYINFO_X509 && keys[i].name != NULL)
			list[index->count++] = (struct issuer){ .keyinfo = &keys[i] };
	}
	index->sorted = 0;
	return 0;
}

static struct issuer *find_issuer(struct sg_verdict_index *index, const char *name)
{
	if (name == NULL || index->count == 0)
		return NULL;
	if (!index->sorted)
		qsort(index->list, index->count, sizeof(*index->list), compare_issuers);
	index->sorted = 1;
	return bsearch(name, index->list, index->count, sizeof(*index->list), compare_name);
}

int sg_verdict_index_has(struct sg_verdict_index *index, const char *name)
{
	return find_issuer(index, name) != NULL;
}

/* The certificate, if it has the keyinfo's name: who fills the struct is not believed (K2). */
static X509 *load_cert(const struct sg_keyinfo *keyinfo)
{
	X509 *cert = NULL;
	char *name;

	if (keyinfo->kind != SG_KEYINFO_X509 || keyinfo->name == NULL)
		return NULL;
	name = sg_keyinfo_name_x509(&keyinfo->data);
	if (name != NULL && strcmp(name, keyinfo->name) == 0 &&
	    sg_x509_cert_parse(&keyinfo->data, &cert) != 0)
		cert = NULL;
	free(name);
	return cert;
}

static EVP_PKEY *find_issuer_key(struct sg_verdict_index *index, const char *name)
{
	struct issuer *issuer = find_issuer(index, name);

	if (issuer == NULL)
		return NULL;
	if (!issuer->tried)
		issuer->cert = load_cert(issuer->keyinfo);
	issuer->tried = 1;
	return issuer->cert != NULL ? X509_get0_pubkey(issuer->cert) : NULL;
}

/* ---- judging ---- */

static enum sg_signature_verdict judge_signature(const struct sg_keyinfo *subject,
    EVP_PKEY *subject_key, struct sg_verdict_index *index, const struct sg_signature *signature)
{
	EVP_PKEY *issuer;

	if (signature->issuer != NULL && subject->name != NULL &&
	    strcmp(signature->issuer, subject->name) == 0)
		return SG_SIG_SELF;
	issuer = find_issuer_key(index, signature->issuer);
	if (issuer == NULL)
		return SG_SIG_UNKNOWN_ISSUER;
	if (subject_key == NULL) /* nothing that these methods sign */
		return SG_SIG_UNKNOWN_METHOD;
	if (EVP_PKEY_eq(issuer, subject_key) == 1) /* the same key in another certificate */
		return SG_SIG_SELF;
	if (find_method(signature->method) == NULL)
		return SG_SIG_UNKNOWN_METHOD;
	if (index->checks_left == 0)
		return SG_SIG_UNCHECKED;
	index->checks_left--;
	return sg_verdict_check(issuer, signature->method, &subject->data, &signature->value);
}

/* BAD is the greatest, so that nothing outweighs it. */
static void raise_grade(
    struct sg_verdict *verdict, enum sg_signature_verdict signature, const char *method)
{
	enum sg_grade grade = SG_GRADE_NONE;

	if (signature == SG_SIG_BAD)
		grade = SG_GRADE_BAD;
	else if (signature == SG_SIG_GOOD)
		grade = find_method(method)->grade;
	if (grade > verdict->grade)
		verdict->grade = grade;
}

static int is_expired(const X509 *cert, time_t now)
{
	time_t before = now - 1; /* X509_cmp_time() counts equal as before */

	return X509_cmp_time(X509_get0_notBefore(cert), &now) != -1 ||
	    X509_cmp_time(X509_get0_notAfter(cert), &before) != 1;
}

int sg_verdict_judge(const struct sg_keyinfo *subject, struct sg_verdict_index *index, time_t now,
    struct sg_verdict *verdict)
{
	size_t count = subject->signature_count;
	EVP_PKEY *key;
	X509 *cert;

	*verdict = (struct sg_verdict){ 0 };
	if (count > 0) {
		verdict->signatures = calloc(count, sizeof(*verdict->signatures));
		if (verdict->signatures == NULL)
			return SG_ERR_NOMEM;
	}
	verdict->signature_count = count;
	ERR_set_mark();
	cert = load_cert(subject);
	key = cert != NULL ? X509_get0_pubkey(cert) : NULL;
	if (cert != NULL)
		verdict->expired = is_expired(cert, now);
	for (size_t i = 0; i < count; i++) {
		verdict->signatures[i] =
		    judge_signature(subject, key, index, &subject->signatures[i]);
		raise_grade(verdict, verdict->signatures[i], subject->signatures[i].method);
	}
	X509_free(cert);
	ERR_pop_to_mark();
	return 0;
}

void sg_verdict_clear(struct sg_verdict *verdict)
{
	free(verdict->signatures);
	*verdict = (struct sg_verdict){ 0 };
}

/* ---- the words of the API ---- */

static const char *const verdict_names[] = {
	[SG_SIG_GOOD] = "good",
	[SG_SIG_BAD] = "bad",
	[SG_SIG_UNKNOWN_METHOD] = "unknown_method",
	[SG_SIG_UNKNOWN_ISSUER] = "unknown_issuer",
	[SG_SIG_SELF] = "self",
	[SG_SIG_UNCHECKED] = "unchecked",
};

static const char *const grade_names[] = {
	[SG_GRADE_NONE] = "none",
	[SG_GRADE_SHA1] = "sha1",
	[SG_GRADE_SHA256] = "sha256",
	[SG_GRADE_BAD] = "bad",
};

static const char *const kind_names[] = {
	[SG_KEYINFO_REFERENCE] = "reference",
	[SG_KEYINFO_X509] = "x509",
	[SG_KEYINFO_PGP] = "pgp",
};

const char *sg_signature_verdict_name(enum sg_signature_verdict verdict)
{
	return verdict_names[verdict];
}

const char *sg_grade_name(enum sg_grade grade)
{
	return grade_names[grade];
}

const char *sg_key_kind_name(uint32_t kind)
{
	return kind < sizeof(kind_names) / sizeof(kind_names[0]) ? kind_names[kind] : NULL;
}
