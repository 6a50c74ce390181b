#include "verdict.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "cert_form.h"
#include "hash.h"
#include "keyinfo.h"
#include "pgp.h"
#include "pgp_key.h"
#include "verdict_index.h"
#include "x509.h"

/* RSA keys outside these are judged by no method: smaller ones are within reach of factoring, larger
 * ones only cost time, and 10,000 signatures may stand on one key. */
#define RSA_BITS_MIN	  1024
#define RSA_BITS_MAX	  8192
#define RSA_EXPONENT_BITS 64

#define SHA1_LEN   20
#define SHA256_LEN 32

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
    struct sg_issuer_key *issuer, const struct sg_blob *subject, const struct sg_blob *value)
{
	unsigned char expected[sizeof(sha1_prefix) + SHA1_LEN];
	unsigned char recovered[RSA_BITS_MAX / 8];
	size_t len = sizeof(recovered);

	if (value->len != (size_t)EVP_PKEY_get_size(issuer->key))
		return 0;
	memcpy(expected, sha1_prefix, sizeof(sha1_prefix));
	if (EVP_Digest(subject->data, subject->len, expected + sizeof(sha1_prefix), NULL,
		sg_hash_sha1(), NULL) != 1)
		return 0;
	if (issuer->sha1 == NULL) {
		issuer->sha1 = EVP_PKEY_CTX_new(issuer->key, NULL);
		if (issuer->sha1 == NULL || EVP_PKEY_verify_recover_init(issuer->sha1) != 1 ||
		    EVP_PKEY_CTX_set_rsa_padding(issuer->sha1, RSA_PKCS1_PADDING) != 1)
			return 0;
	}
	return EVP_PKEY_verify_recover(issuer->sha1, recovered, &len, value->data, value->len) ==
	    1 &&
	    len == sizeof(expected) && CRYPTO_memcmp(recovered, expected, len) == 0;
}

static int verify_sha256(
    struct sg_issuer_key *issuer, const struct sg_blob *subject, const struct sg_blob *value)
{
	unsigned char digest[SHA256_LEN];

	if (EVP_Digest(subject->data, subject->len, digest, NULL, sg_hash_sha256(), NULL) != 1)
		return 0;
	if (issuer->sha256 == NULL) {
		issuer->sha256 = EVP_PKEY_CTX_new(issuer->key, NULL);
		if (issuer->sha256 == NULL || EVP_PKEY_verify_init(issuer->sha256) != 1 ||
		    EVP_PKEY_CTX_set_signature_md(issuer->sha256, sg_hash_sha256()) != 1)
			return 0;
	}
	return EVP_PKEY_verify(issuer->sha256, value->data, value->len, digest, sizeof(digest)) ==
	    1;
}

static const struct method {
	const char *name;
	int (*fits)(EVP_PKEY *key);
	int (*verify)(struct sg_issuer_key *issuer, const struct sg_blob *subject,
	    const struct sg_blob *value);
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

static int method_fits(const struct method *method, struct sg_issuer_key *issuer)
{
	unsigned bit = 1u << (method - methods);

	if ((issuer->asked & bit) == 0 && method->fits(issuer->key))
		issuer->fits |= bit;
	issuer->asked |= bit;
	return (issuer->fits & bit) != 0;
}

static enum sg_signature_verdict check_one(struct sg_issuer_key *issuer, const char *method,
    const struct sg_blob *subject, const struct sg_blob *value)
{
	const struct method *found = find_method(method);
	enum sg_signature_verdict verdict = SG_SIG_UNKNOWN_METHOD;

	if (found == NULL)
		return verdict;
	ERR_set_mark();
	if (method_fits(found, issuer))
		verdict = found->verify(issuer, subject, value) ? SG_SIG_GOOD : SG_SIG_BAD;
	ERR_pop_to_mark();
	return verdict;
}

enum sg_signature_verdict sg_verdict_check(
    EVP_PKEY *key, const char *method, const struct sg_blob *subject, const struct sg_blob *value)
{
	struct sg_issuer_key issuer = { .key = key };
	enum sg_signature_verdict verdict = check_one(&issuer, method, subject, value);

	sg_issuer_key_clear(&issuer);
	return verdict;
}

enum sg_grade sg_method_grade(const char *method)
{
	const struct method *found = find_method(method);

	return found != NULL ? found->grade : SG_GRADE_NONE;
}

enum sg_grade sg_signature_grade(const struct sg_signature *signature)
{
	struct sg_pgp_signature form;
	const char *why;

	if (signature->method != NULL)
		return sg_method_grade(signature->method);
	if (sg_pgp_signature_check(&signature->value, &form, &why) != 0)
		return SG_GRADE_NONE;
	return sg_pgp_hash_grade(form.hash);
}

/* ---- SHA-1 ---- */

static enum sg_sha1 sha1_now = SG_SHA1_ON;

int sg_sha1_parse(const char *text, enum sg_sha1 *sha1)
{
	static const char *const words[] = {
		[SG_SHA1_ON] = "on",
		[SG_SHA1_VERIFY] = "verify",
		[SG_SHA1_OFF] = "off",
	};

	*sha1 = SG_SHA1_OFF;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(text, words[i]) == 0) {
			*sha1 = (enum sg_sha1)i;
			return 0;
		}
	}
	return SG_ERR_ARG;
}

void sg_verdict_set_sha1(enum sg_sha1 sha1)
{
	sha1_now = sha1;
}

int sg_signature_counts(const struct sg_signature *signature, const char **reason)
{
	int counts = sha1_now != SG_SHA1_OFF || sg_signature_grade(signature) != SG_GRADE_SHA1;

	if (reason != NULL)
		*reason = counts ? NULL : "SHA-1 does not count here (sha1 = off)";
	return counts;
}

/* ---- judging ---- */

/* The key that is judged, as far as its data has its name. */
struct subject {
	const struct sg_keyinfo *keyinfo;
	int has_form; /* it is a certificate of the usual form; else it is cert, if it is one */
	struct sg_cert_form cert_form;
	X509 *cert; /* of the usual form: once its key is wanted */
	struct sg_pgp_form form;
	struct sg_blob signed_bytes[2]; /* what is signed of it: one of these (K3, K4) */
	size_t signed_count;
};

static int is_cert(const struct subject *subject)
{
	return subject->has_form || subject->cert != NULL;
}

static void subject_load(const struct sg_keyinfo *keyinfo, struct subject *subject)
{
	*subject = (struct subject){ .keyinfo = keyinfo };
	if (sg_cert_form_read(&keyinfo->data, &subject->cert_form))
		subject->has_form = sg_verdict_is_x509(keyinfo);
	else
		subject->cert = sg_verdict_load_cert(keyinfo);
	if (is_cert(subject)) {
		subject->signed_bytes[subject->signed_count++] = keyinfo->data;
	} else if (sg_verdict_is_pgp(keyinfo, &subject->form)) {
		subject->signed_bytes[subject->signed_count++] =
		    (struct sg_blob){ subject->form.fingerprint,
			    sizeof(subject->form.fingerprint) };
		subject->signed_bytes[subject->signed_count++] = keyinfo->data;
	}
}

/* Whether the certificate holds the issuer's own key. To read a key is dear, and seldom worth it. */
static int holds_key(struct subject *subject, const struct sg_issuer_key *issuer)
{
	const struct sg_blob *spki = &subject->cert_form.spki;

	if (subject->has_form && issuer->mark.len > 0 &&
	    memmem(spki->data, spki->len, issuer->mark.data, issuer->mark.len) == NULL)
		return 0;
	if (subject->cert == NULL && subject->has_form &&
	    sg_x509_cert_parse(&subject->keyinfo->data, &subject->cert) != 0)
		subject->cert = NULL;
	return subject->cert != NULL && X509_get0_pubkey(subject->cert) != NULL &&
	    EVP_PKEY_eq(issuer->key, X509_get0_pubkey(subject->cert)) == 1;
}

static enum sg_signature_verdict check_x509(struct sg_issuer_key *issuer,
    const struct subject *subject, const struct sg_signature *signature)
{
	enum sg_signature_verdict verdict = SG_SIG_UNKNOWN_METHOD;

	for (size_t i = 0; i < subject->signed_count && verdict != SG_SIG_GOOD; i++)
		verdict = check_one(
		    issuer, signature->method, &subject->signed_bytes[i], &signature->value);
	return verdict;
}

static enum sg_signature_verdict check_pgp(struct sg_pgp_key *issuer, const struct subject *subject,
    const struct sg_signature *signature, const char **reason)
{
	enum sg_signature_verdict verdict = SG_SIG_UNKNOWN_METHOD;

	for (size_t i = 0; i < subject->signed_count && verdict != SG_SIG_GOOD; i++)
		verdict =
		    sg_pgp_key_verify(issuer, &subject->signed_bytes[i], &signature->value, reason);
	return verdict;
}

/* One by an OpenPGP key (K6). */
static enum sg_signature_verdict judge_packet(const struct subject *subject,
    struct sg_verdict_index *index, const struct sg_signature *signature, time_t now,
    const char **reason)
{
	struct sg_pgp_key *issuer;
	enum sg_signature_verdict verdict;

	if (!sg_verdict_index_has_kind(index, signature->issuer, SG_KEYINFO_PGP) &&
	    sg_verdict_index_x509(index, signature->issuer) != NULL)
		return SG_SIG_UNKNOWN_METHOD;
	verdict = sg_verdict_index_pgp(index, signature->issuer, now, &issuer, reason);
	if (verdict != SG_SIG_GOOD)
		return verdict;
	if (subject->signed_count == 0)
		return SG_SIG_UNKNOWN_METHOD;
	if (!sg_verdict_index_spend(index, subject->signed_count))
		return SG_SIG_UNCHECKED;
	return check_pgp(issuer, subject, signature, reason);
}

static enum sg_signature_verdict judge_signature(struct subject *subject,
    struct sg_verdict_index *index, const struct sg_signature *signature, time_t now,
    const char **reason)
{
	struct sg_issuer_key *issuer;

	if (signature->issuer != NULL && subject->keyinfo->name != NULL &&
	    strcmp(signature->issuer, subject->keyinfo->name) == 0)
		return SG_SIG_SELF;
	if (!sg_signature_counts(signature, reason))
		return SG_SIG_REFUSED;
	if (signature->method == NULL)
		return judge_packet(subject, index, signature, now, reason);
	issuer = sg_verdict_index_x509(index, signature->issuer);
	if (issuer == NULL)
		return sg_verdict_index_has_kind(index, signature->issuer, SG_KEYINFO_PGP)
		    ? SG_SIG_UNKNOWN_METHOD
		    : SG_SIG_UNKNOWN_ISSUER;
	if (subject->signed_count == 0) /* nothing that these methods sign */
		return SG_SIG_UNKNOWN_METHOD;
	if (holds_key(subject, issuer)) /* the same key in another certificate */
		return SG_SIG_SELF;
	if (find_method(signature->method) == NULL)
		return SG_SIG_UNKNOWN_METHOD;
	if (!sg_verdict_index_spend(index, subject->signed_count))
		return SG_SIG_UNCHECKED;
	return check_x509(issuer, subject, signature);
}

/* BAD is the greatest, so that nothing outweighs it. */
static void raise_grade(struct sg_verdict *verdict, enum sg_signature_verdict judged,
    const struct sg_signature *signature)
{
	enum sg_grade grade = SG_GRADE_NONE;

	if (judged == SG_SIG_BAD)
		grade = SG_GRADE_BAD;
	else if (judged == SG_SIG_GOOD)
		grade = sg_signature_grade(signature);
	if (grade > verdict->grade)
		verdict->grade = grade;
}

static int is_expired(const X509 *cert, time_t now)
{
	time_t before = now - 1; /* X509_cmp_time() counts equal as before */

	return X509_cmp_time(X509_get0_notBefore(cert), &now) != -1 ||
	    X509_cmp_time(X509_get0_notAfter(cert), &before) != 1;
}

/* What an OpenPGP key says of itself, with what other copies of it say. SG_ERR_NOMEM; that it
 * cannot be told is no failure. */
static int judge_pgp(const struct subject *subject, struct sg_verdict_index *index, time_t now,
    struct sg_verdict *verdict)
{
	struct sg_copies copies = { .count = 0 };
	struct sg_pgp_key *key;
	const struct sg_pgp_facts *facts;
	const char *why;
	int err;

	/* what is known goes before what came */
	sg_copies_find(&copies, index, subject->keyinfo->name);
	sg_copies_add(&copies, subject->keyinfo);
	verdict->untold = 1;
	if (!sg_verdict_index_spend(index, sg_pgp_load_cost(&copies.load)))
		return 0;
	err = sg_pgp_key_load(copies.list, copies.count, now, &key, &why);
	if (err != 0)
		return err == SG_ERR_NOMEM ? err : 0;
	facts = sg_pgp_key_facts(key);
	verdict->untold = copies.left_out && !facts->revoked;
	verdict->expired = facts->expired;
	verdict->revoked = facts->revoked;
	verdict->user_ids = sg_strv_copy(facts->user_ids, sg_strv_count(facts->user_ids));
	verdict->jids = sg_strv_copy(facts->jids, sg_strv_count(facts->jids));
	sg_pgp_key_free(key);
	return verdict->user_ids != NULL && verdict->jids != NULL ? 0 : SG_ERR_NOMEM;
}

struct sg_judgement {
	struct subject subject;
	struct sg_verdict_index *index;
	time_t now;
	size_t next; /* signature */
	int over;
	struct sg_verdict verdict;
};

int sg_judgement_new(const struct sg_keyinfo *subject, struct sg_verdict_index *index, time_t now,
    struct sg_judgement **made)
{
	struct sg_judgement *judgement = *made = calloc(1, sizeof(*judgement));
	size_t count = subject->signature_count;

	if (judgement == NULL)
		return SG_ERR_NOMEM;
	judgement->index = index;
	judgement->now = now;
	if (count > 0) {
		judgement->verdict.signatures =
		    calloc(count, sizeof(*judgement->verdict.signatures));
		judgement->verdict.reasons = calloc(count, sizeof(*judgement->verdict.reasons));
		if (judgement->verdict.signatures == NULL || judgement->verdict.reasons == NULL) {
			sg_judgement_free(judgement);
			*made = NULL;
			return SG_ERR_NOMEM;
		}
	}
	judgement->verdict.signature_count = count;
	ERR_set_mark();
	subject_load(subject, &judgement->subject);
	ERR_pop_to_mark();
	if (judgement->subject.has_form)
		judgement->verdict.expired =
		    sg_cert_form_expired(&judgement->subject.cert_form, now);
	else if (judgement->subject.cert != NULL)
		judgement->verdict.expired = is_expired(judgement->subject.cert, now);
	return 0;
}

void sg_judgement_free(struct sg_judgement *judgement)
{
	if (judgement == NULL)
		return;
	X509_free(judgement->subject.cert);
	sg_verdict_clear(&judgement->verdict);
	free(judgement);
}

int sg_judgement_go_on(struct sg_judgement *judgement)
{
	struct subject *subject = &judgement->subject;
	struct sg_verdict *verdict = &judgement->verdict;
	size_t i = judgement->next;
	int err = 0;

	if (judgement->over)
		return 0;
	ERR_set_mark();
	if (i < verdict->signature_count) {
		const struct sg_signature *signature = &subject->keyinfo->signatures[i];

		verdict->signatures[i] = judge_signature(
		    subject, judgement->index, signature, judgement->now, &verdict->reasons[i]);
		raise_grade(verdict, verdict->signatures[i], signature);
		judgement->next++;
		err = 1;
	} else {
		judgement->over = 1;
		if (!is_cert(subject) && subject->signed_count > 0)
			err = judge_pgp(subject, judgement->index, judgement->now, verdict);
	}
	ERR_pop_to_mark();
	return err;
}

const struct sg_verdict *sg_judgement_verdict(const struct sg_judgement *judgement)
{
	return &judgement->verdict;
}

int sg_verdict_judge(const struct sg_keyinfo *keyinfo, struct sg_verdict_index *index, time_t now,
    struct sg_verdict *verdict)
{
	struct sg_judgement *judgement;
	int err;

	*verdict = (struct sg_verdict){ 0 };
	err = sg_judgement_new(keyinfo, index, now, &judgement);
	if (err != 0)
		return err;
	do
		err = sg_judgement_go_on(judgement);
	while (err == 1);
	if (err == 0) {
		*verdict = judgement->verdict;
		judgement->verdict = (struct sg_verdict){ 0 };
	}
	sg_judgement_free(judgement);
	return err;
}

void sg_verdict_clear(struct sg_verdict *verdict)
{
	free(verdict->signatures);
	free(verdict->reasons);
	sg_strv_free(verdict->user_ids);
	sg_strv_free(verdict->jids);
	*verdict = (struct sg_verdict){ 0 };
}

/* By an X.509 key, or by one of OpenPGP. */
static enum sg_signature_verdict check_keys(const struct sg_keyinfo *issuer,
    const struct subject *subject, const struct sg_signature *signature, time_t now,
    const char **reason)
{
	enum sg_signature_verdict verdict = SG_SIG_UNKNOWN_ISSUER;
	struct sg_copies copies = { .count = 0 };
	struct sg_pgp_key *pgp;
	struct sg_issuer_key key = { .key = NULL };
	X509 *cert;

	if (!sg_signature_counts(signature, reason))
		return SG_SIG_REFUSED;
	if (signature->method != NULL) {
		cert = sg_verdict_load_cert(issuer);
		if (cert != NULL && X509_get0_pubkey(cert) != NULL) {
			key.key = X509_get0_pubkey(cert);
			verdict = check_x509(&key, subject, signature);
		}
		sg_issuer_key_clear(&key);
		X509_free(cert);
		return verdict;
	}
	sg_copies_add(&copies, issuer);
	if (copies.count == 0)
		return verdict;
	if (sg_pgp_key_load(copies.list, copies.count, now, &pgp, reason) != 0)
		return SG_SIG_UNCHECKED;
	verdict = check_pgp(pgp, subject, signature, reason);
	sg_pgp_key_free(pgp);
	return verdict;
}

enum sg_signature_verdict sg_verdict_check_keys(const struct sg_keyinfo *issuer,
    const struct sg_keyinfo *keyinfo, const struct sg_signature *signature, time_t now,
    const char **reason)
{
	struct subject subject;
	enum sg_signature_verdict verdict;
	const char *unasked;

	if (reason == NULL)
		reason = &unasked;
	*reason = NULL;
	ERR_set_mark();
	subject_load(keyinfo, &subject);
	verdict = check_keys(issuer, &subject, signature, now, reason);
	X509_free(subject.cert);
	ERR_pop_to_mark();
	return verdict;
}

/* ---- the words of the API ---- */

static const char *const verdict_names[] = {
	[SG_SIG_GOOD] = "good",
	[SG_SIG_BAD] = "bad",
	[SG_SIG_UNKNOWN_METHOD] = "unknown_method",
	[SG_SIG_UNKNOWN_ISSUER] = "unknown_issuer",
	[SG_SIG_SELF] = "self",
	[SG_SIG_UNCHECKED] = "unchecked",
	[SG_SIG_REFUSED] = "refused",
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
