#include "proto/x509.h"

#include "codecs.h"

#include <openssl/asn1.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#define JULIET "juliet@capulet.example"

static EVP_PKEY *key, *other_key;

static int make_keys(void **state)
{
	key = EVP_EC_gen("P-256");
	other_key = EVP_EC_gen("P-256");
	return key != NULL && other_key != NULL ? 0 : -1;
}

static int free_keys(void **state)
{
	EVP_PKEY_free(key);
	EVP_PKEY_free(other_key);
	return 0;
}

static int parse_cert(const struct sg_blob *der)
{
	X509 *cert;
	int err = sg_x509_cert_parse(der, &cert);

	assert_true((err == 0) == (cert != NULL));
	X509_free(cert);
	return err;
}

static void a_certificate_parses_whole_or_not_at_all(void **state)
{
	struct sg_blob der = read_vector(VECTOR_ISSUER);
	struct sg_blob longer = { malloc(der.len + 1), der.len + 1 };
	struct sg_blob empty = { 0 };

	memcpy(longer.data, der.data, der.len);
	longer.data[der.len] = 0;
	assert_int_equal(parse_cert(&der), 0);
	assert_int_equal(parse_cert(&longer), SG_ERR_FORMAT);
	assert_int_equal(parse_cert(&empty), SG_ERR_FORMAT);
	for (longer.len = 0; longer.len < der.len; longer.len++)
		assert_int_equal(parse_cert(&longer), SG_ERR_FORMAT);
	sg_blob_clear(&longer);
	sg_blob_clear(&der);
}

/* The same certificate in BER would have another fingerprint. */
static void ber_is_refused(void **state)
{
	struct sg_blob der = read_vector(VECTOR_ISSUER);
	struct sg_blob ber = { calloc(1, der.len + 2), der.len + 2 };

	assert_int_equal(der.data[1], 0x82);
	memcpy(ber.data, der.data, der.len);
	ber.data[1] = 0x80; /* indefinite length, ended by two zeros */
	memmove(ber.data + 2, der.data + 4, der.len - 4);
	memset(ber.data + der.len - 2, 0, 2);
	ber.len = der.len;
	assert_int_equal(parse_cert(&ber), SG_ERR_FORMAT);
	sg_blob_clear(&ber);
	sg_blob_clear(&der);
}

/* OpenSSL keeps the signed part as it came, and gives it back so. */
static void ber_in_the_signed_part_is_refused(void **state)
{
	struct sg_blob der = read_vector(VECTOR_ISSUER);
	struct sg_blob ber = { calloc(1, der.len), der.len };
	unsigned char *tbs = ber.data + 4;
	const unsigned char *pos = ber.data;
	size_t len = (size_t)der.data[6] << 8 | der.data[7];
	X509 *cert;

	assert_int_equal(der.data[5], 0x82);
	memcpy(ber.data, der.data, der.len);
	tbs[1] = 0x80;
	memmove(tbs + 2, tbs + 4, len);
	memset(tbs + 2 + len, 0, 2);
	/* It is a certificate, but for the rule that there is one encoding. */
	cert = d2i_X509(NULL, &pos, (long)ber.len);
	assert_non_null(cert);
	X509_free(cert);
	assert_int_equal(parse_cert(&ber), SG_ERR_FORMAT);
	sg_blob_clear(&ber);
	sg_blob_clear(&der);
}

static void size_is_limited(void **state)
{
	struct sg_blob big = { calloc(1, SG_X509_DER_MAX + 1), SG_X509_DER_MAX + 1 };
	X509_REQ *csr;

	assert_int_equal(parse_cert(&big), SG_ERR_LIMIT);
	assert_int_equal(sg_x509_csr_parse(&big, &csr), SG_ERR_LIMIT);
	assert_null(csr);
	big.len--;
	assert_int_equal(parse_cert(&big), SG_ERR_FORMAT);
	assert_int_equal(sg_x509_csr_parse(&big, &csr), SG_ERR_FORMAT);
	sg_blob_clear(&big);
}

static void no_flipped_byte_is_fatal(void **state)
{
	struct sg_blob der = read_vector(VECTOR_SUBJECT);
	char **jids;
	X509 *cert;

	for (size_t i = 0; i < der.len; i++) {
		for (int bit = 0; bit < 8; bit++) {
			der.data[i] ^= (unsigned char)(1 << bit);
			if (sg_x509_cert_parse(&der, &cert) == 0) {
				if (sg_x509_cert_jids(cert, &jids, NULL) == 0)
					sg_strv_free(jids);
				X509_free(cert);
			}
			der.data[i] ^= (unsigned char)(1 << bit);
		}
	}
	assert_int_equal(parse_cert(&der), 0);
	sg_blob_clear(&der);
}

static void der_comes_out_as_it_went_in(void **state)
{
	struct sg_blob der = read_vector(VECTOR_SUBJECT), again, csr_der, csr_again;
	X509_REQ *csr;
	X509 *cert;

	assert_int_equal(sg_x509_cert_parse(&der, &cert), 0);
	assert_int_equal(sg_x509_cert_der(cert, &again), 0);
	assert_true(sg_blob_eq(&der, &again));
	X509_free(cert);
	csr_der = make_csr(&(struct recipe){ .cn = "x" }, key);
	assert_int_equal(sg_x509_csr_parse(&csr_der, &csr), 0);
	csr_again = request_der(csr);
	assert_true(sg_blob_eq(&csr_der, &csr_again));
	X509_REQ_free(csr);
	/* one is not the other */
	assert_int_equal(sg_x509_csr_parse(&der, &csr), SG_ERR_FORMAT);
	assert_int_equal(parse_cert(&csr_der), SG_ERR_FORMAT);
	sg_blob_clear(&der);
	sg_blob_clear(&again);
	sg_blob_clear(&csr_der);
	sg_blob_clear(&csr_again);
}

static void what_openssl_allocated_is_taken(void **state)
{
	struct sg_blob der = read_vector(VECTOR_ISSUER), out = { 0 };
	unsigned char *bytes = NULL;
	X509 *cert;

	assert_int_equal(sg_x509_cert_parse(&der, &cert), 0);
	assert_int_equal(sg_x509_take_der(i2d_X509(cert, &bytes), &bytes, &out), 0);
	assert_null(bytes);
	assert_true(sg_blob_eq(&out, &der));
	assert_true(sg_x509_is_der(i2d_X509(cert, &bytes), &bytes, &der));
	assert_null(bytes);
	out.data[out.len - 1] ^= 1;
	assert_false(sg_x509_is_der(i2d_X509(cert, &bytes), &bytes, &out));
	out.len--;
	assert_false(sg_x509_is_der(i2d_X509(cert, &bytes), &bytes, &out));
	sg_blob_clear(&out);
	assert_int_equal(sg_x509_take_der(-1, &bytes, &out), SG_ERR_INTERNAL);
	assert_int_equal(sg_x509_take_der(0, &bytes, &out), SG_ERR_INTERNAL);
	assert_null(out.data);
	assert_false(sg_x509_is_der(-1, &bytes, &der));
	X509_free(cert);
	sg_blob_clear(&der);
}

static void assert_fingerprint(const struct sg_blob *der, const char *hash, const char *expected)
{
	char *text = sg_x509_fingerprint(der, hash);

	assert_non_null(text);
	assert_string_equal(text, expected);
	free(text);
}

static void fingerprints_are_lower_case_hex(void **state)
{
	struct sg_blob issuer = read_vector(VECTOR_ISSUER), abc = blob_of("abc", 3);

	assert_fingerprint(&issuer, "sha1", ISSUER_NAME);
	assert_fingerprint(
	    &abc, "sha256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	assert_fingerprint(&abc, "sha512",
	    "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
	    "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
	assert_null(sg_x509_fingerprint(&abc, "md5"));
	sg_blob_clear(&issuer);
	sg_blob_clear(&abc);
}

/* ---- names ---- */

static int cert_jids(const struct sg_blob *der, char ***jids, size_t *others)
{
	X509 *cert;
	int err;

	assert_int_equal(sg_x509_cert_parse(der, &cert), 0);
	err = sg_x509_cert_jids(cert, jids, others);
	X509_free(cert);
	assert_true((err == 0) == (*jids != NULL));
	return err;
}

static void names_come_from_the_san_only(void **state)
{
	struct sg_blob der = make_cert(&(struct recipe){ .cn = JULIET }, key);
	char **jids;
	size_t others;

	assert_int_equal(cert_jids(&der, &jids, &others), 0);
	assert_null(jids[0]);
	assert_int_equal(others, 0);
	sg_strv_free(jids);
	sg_blob_clear(&der);
}

static void every_name_is_given_or_counted(void **state)
{
	struct recipe recipe = { .jids = { JULIET, "Nurse@capulet.example/x" },
		.dns = "a.example" };
	struct sg_blob der = make_cert(&recipe, key);
	char **jids;
	size_t others;

	assert_int_equal(cert_jids(&der, &jids, &others), 0);
	assert_string_equal(jids[0], JULIET);
	assert_string_equal(jids[1], "Nurse@capulet.example/x");
	assert_null(jids[2]);
	assert_int_equal(others, 1);
	sg_strv_free(jids);
	sg_blob_clear(&der);
}

static void malformed_names_are_refused(void **state)
{
	const struct recipe bad[] = {
		{ .jids = { JULIET }, .string_type = V_ASN1_IA5STRING },
		{ .jids = { JULIET "\0@evil.example" }, .jid_len = sizeof(JULIET) + 13 },
		{ .jids = { "" } },
		{ .jids = { "juliet\xff@capulet.example" } },
		{ .jids = { "juliet\n\x01@capulet.example" } },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct sg_blob der = make_cert(&bad[i], key);
		char **jids;
		size_t others;

		assert_int_equal(cert_jids(&der, &jids, &others), SG_ERR_FORMAT);
		sg_blob_clear(&der);
	}
}

static void two_sans_are_refused(void **state)
{
	struct recipe recipe = { .jids = { JULIET } };
	X509 *cert = new_cert(&recipe, key);
	X509_EXTENSION *again = make_san(&recipe);
	struct sg_blob der;
	char **jids;

	assert_int_equal(X509_add_ext(cert, again, -1), 1);
	X509_EXTENSION_free(again);
	der = sign_cert(cert, key);
	assert_int_equal(cert_jids(&der, &jids, NULL), SG_ERR_FORMAT);
	sg_blob_clear(&der);
}

/* A SAN made of these bytes. */
static struct sg_blob raw_san_cert(const void *bytes, int len)
{
	ASN1_OCTET_STRING *octets = ASN1_OCTET_STRING_new();
	X509 *cert = new_cert(&(struct recipe){ .cn = "x" }, key);
	X509_EXTENSION *extension;

	ASN1_OCTET_STRING_set(octets, bytes, len);
	extension = X509_EXTENSION_create_by_NID(NULL, NID_subject_alt_name, 0, octets);
	assert_int_equal(X509_add_ext(cert, extension, -1), 1);
	X509_EXTENSION_free(extension);
	ASN1_OCTET_STRING_free(octets);
	return sign_cert(cert, key);
}

static void a_san_that_does_not_parse_is_refused(void **state)
{
	static const unsigned char good[] = { 0x30, 3, 0x82, 1, 'a' };
	static const unsigned char trailing[] = { 0x30, 3, 0x82, 1, 'a', 0 };
	static const unsigned char broken[] = { 0x30, 5, 0x82, 1, 'a' };
	struct sg_blob der = raw_san_cert(good, sizeof(good));
	size_t others;
	char **jids;

	assert_int_equal(cert_jids(&der, &jids, &others), 0);
	assert_int_equal(others, 1);
	sg_strv_free(jids);
	sg_blob_clear(&der);
	der = raw_san_cert(trailing, sizeof(trailing));
	assert_int_equal(cert_jids(&der, &jids, &others), SG_ERR_FORMAT);
	sg_blob_clear(&der);
	der = raw_san_cert(broken, sizeof(broken));
	assert_int_equal(cert_jids(&der, &jids, &others), SG_ERR_FORMAT);
	sg_blob_clear(&der);
}

static void a_request_shows_what_it_asks_for(void **state)
{
	struct recipe plain = { .cn = JULIET };
	struct recipe asking = { .jids = { JULIET }, .dns = "a.example" };
	struct sg_blob der = make_csr(&plain, key);
	X509_REQ *csr;
	size_t others;
	char **jids;

	assert_int_equal(sg_x509_csr_parse(&der, &csr), 0);
	assert_int_equal(sg_x509_csr_jids(csr, &jids, &others), 0);
	assert_null(jids[0]);
	sg_strv_free(jids);
	X509_REQ_free(csr);
	sg_blob_clear(&der);

	der = make_csr(&asking, key);
	assert_int_equal(sg_x509_csr_parse(&der, &csr), 0);
	assert_int_equal(sg_x509_csr_jids(csr, &jids, &others), 0);
	assert_string_equal(jids[0], JULIET);
	assert_null(jids[1]);
	assert_int_equal(others, 1);
	sg_strv_free(jids);
	X509_REQ_free(csr);
	sg_blob_clear(&der);
}

/* OpenSSL would show the first one only, and another reader perhaps the second. */
static void a_second_extension_request_is_refused(void **state)
{
	struct recipe recipe = { .jids = { JULIET } };
	STACK_OF(X509_EXTENSION) *extensions = sk_X509_EXTENSION_new_null();
	X509_REQ *csr = X509_REQ_new();
	char **jids;

	sk_X509_EXTENSION_push(extensions, make_san(&recipe));
	assert_int_equal(X509_REQ_add_extensions(csr, extensions), 1);
	assert_int_equal(sg_x509_csr_jids(csr, &jids, NULL), 0);
	sg_strv_free(jids);
	assert_int_equal(X509_REQ_add_extensions_nid(csr, extensions, NID_ms_ext_req), 1);
	assert_int_equal(sg_x509_csr_jids(csr, &jids, NULL), SG_ERR_FORMAT);
	assert_null(jids);
	sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
	X509_REQ_free(csr);
}

static void add_jid_sets_exactly_one_name(void **state)
{
	STACK_OF(X509_EXTENSION) *extensions = NULL;
	X509 *cert = new_cert(&(struct recipe){ .cn = "x" }, key);
	struct sg_blob der;
	size_t others;
	char **jids;

	assert_int_equal(sg_x509_add_jid(&extensions, "nurse@capulet.example"), 0);
	assert_int_equal(sg_x509_add_jid(&extensions, JULIET), 0);
	assert_int_equal(sk_X509_EXTENSION_num(extensions), 1);
	assert_int_equal(X509_add_ext(cert, sk_X509_EXTENSION_value(extensions, 0), -1), 1);
	sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
	der = sign_cert(cert, key);
	assert_int_equal(cert_jids(&der, &jids, &others), 0);
	assert_string_equal(jids[0], JULIET);
	assert_null(jids[1]);
	assert_int_equal(others, 0);
	sg_strv_free(jids);
	sg_blob_clear(&der);
}

/* ---- keys ---- */

static void assert_algorithm(EVP_PKEY *made, const char *expected)
{
	char name[16];

	assert_non_null(made);
	assert_string_equal(sg_x509_key_algorithm(made, name), expected);
	EVP_PKEY_free(made);
}

static void key_algorithms_have_names(void **state)
{
	assert_algorithm(EVP_RSA_gen(2048), "rsa2048");
	assert_algorithm(EVP_RSA_gen(1024), "rsa1024");
	assert_algorithm(EVP_EC_gen("P-256"), "p256");
	assert_algorithm(EVP_EC_gen("P-384"), "p384");
	assert_algorithm(EVP_EC_gen("P-521"), "p521");
	assert_algorithm(EVP_EC_gen("secp256k1"), "other");
	assert_algorithm(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), "ed25519");
	assert_algorithm(EVP_PKEY_Q_keygen(NULL, NULL, "X25519"), "other");
}

static void spki_is_the_public_key(void **state)
{
	struct sg_blob spki;
	const unsigned char *pos;
	EVP_PKEY *again;

	assert_int_equal(sg_x509_spki(key, &spki), 0);
	pos = spki.data;
	again = d2i_PUBKEY(NULL, &pos, (long)spki.len);
	assert_non_null(again);
	assert_int_equal(EVP_PKEY_eq(key, again), 1);
	EVP_PKEY_free(again);
	sg_blob_clear(&spki);
}

static void a_certificate_holds_one_key(void **state)
{
	struct sg_blob der = make_cert(&(struct recipe){ .jids = { JULIET } }, key);
	struct sg_blob own, others, none = { NULL, 0 };
	X509 *cert;

	assert_int_equal(sg_x509_cert_parse(&der, &cert), 0);
	assert_int_equal(sg_x509_spki(key, &own), 0);
	assert_int_equal(sg_x509_spki(other_key, &others), 0);
	assert_int_equal(sg_x509_holds(cert, &own), 1);
	assert_int_equal(sg_x509_holds(cert, &others), 0);
	assert_int_equal(sg_x509_holds(cert, &none), 0);
	X509_free(cert);
	sg_blob_clear(&own);
	sg_blob_clear(&others);
	sg_blob_clear(&der);
}

static void times_are_seconds(void **state)
{
	ASN1_TIME *time = ASN1_TIME_set(NULL, NOW);

	assert_int_equal(sg_x509_seconds(time), NOW);
	assert_int_equal(ASN1_STRING_set(time, "yesterday", -1), 1);
	assert_int_equal(sg_x509_seconds(time), 0);
	assert_int_equal(sg_x509_seconds(NULL), 0);
	ASN1_TIME_free(time);
}

static void pem_leads_back(void **state)
{
	struct sg_blob der = make_cert(&(struct recipe){ .jids = { JULIET } }, key), again;
	char *pem = sg_x509_pem(PEM_STRING_X509, &der);
	BIO *bio = BIO_new_mem_buf(pem, -1);
	X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);

	assert_non_null(cert);
	assert_int_equal(sg_x509_cert_der(cert, &again), 0);
	assert_int_equal(sg_blob_eq(&der, &again), 1);
	X509_free(cert);
	BIO_free(bio);
	free(pem);
	sg_blob_clear(&again);
	sg_blob_clear(&der);
}

/* ---- C4 ---- */

static int issued(const struct recipe *recipe, EVP_PKEY *cert_key, const char **why)
{
	struct sg_blob csr = make_csr(&(struct recipe){ .jids = { JULIET } }, key);
	struct sg_blob cert = make_cert(recipe, cert_key);
	int err = sg_x509_check_issued(&cert, &csr, JULIET, NOW, why);

	sg_blob_clear(&csr);
	sg_blob_clear(&cert);
	return err;
}

static void assert_refused(const struct recipe *recipe, const char *expected)
{
	const char *why = NULL;

	assert_int_equal(issued(recipe, key, &why), SG_ERR_CERT_REFUSED);
	assert_string_equal(why, expected);
}

static void the_certificate_asked_for_is_kept(void **state)
{
	const char *why;

	assert_int_equal(issued(&(struct recipe){ .jids = { JULIET } }, key, &why), 0);
	assert_int_equal(
	    issued(&(struct recipe){ .jids = { "Juliet@Capulet.EXAMPLE" } }, key, &why), 0);
}

static void another_key_is_refused(void **state)
{
	const char *why = NULL;

	assert_int_equal(
	    issued(&(struct recipe){ .jids = { JULIET } }, other_key, &why), SG_ERR_CERT_REFUSED);
	assert_string_equal(why, "its public key is not the request's");
}

static void another_name_is_refused(void **state)
{
	static const char not_ours[] = "its xmppAddr is not the account's JID";
	static const char more[] = "it holds other names beside the account's JID";

	assert_refused(&(struct recipe){ .jids = { "nurse@capulet.example" } }, not_ours);
	assert_refused(&(struct recipe){ .jids = { JULIET "/balcony" } }, not_ours);
	assert_refused(&(struct recipe){ .jids = { "capulet.example" } }, not_ours);
	assert_refused(&(struct recipe){ .jids = { "@" } }, not_ours);
	assert_refused(&(struct recipe){ .jids = { JULIET, "nurse@capulet.example" } }, more);
	assert_refused(&(struct recipe){ .jids = { JULIET, JULIET } }, more);
	assert_refused(&(struct recipe){ .jids = { JULIET }, .dns = "capulet.example" }, more);
	assert_refused(&(struct recipe){ .cn = JULIET }, "it holds no xmppAddr");
	assert_refused(&(struct recipe){ .dns = JULIET }, "it holds no xmppAddr");
	assert_refused(&(struct recipe){ .jids = { JULIET }, .string_type = V_ASN1_IA5STRING },
	    "its subjectAltName is malformed");
}

static void five_minutes_of_skew_are_allowed(void **state)
{
	const char *why;
	struct recipe recipe = { .jids = { JULIET } };

	recipe.from = NOW + 300;
	assert_int_equal(issued(&recipe, key, &why), 0);
	recipe.from = NOW + 301;
	assert_refused(&recipe, "it is not valid yet by the clock of this machine");
	recipe.from = NOW - DAY;
	recipe.to = NOW - 300;
	assert_int_equal(issued(&recipe, key, &why), 0);
	recipe.to = NOW - 301;
	assert_refused(&recipe, "it has expired by the clock of this machine");
}

static void what_is_no_certificate_is_malformed(void **state)
{
	struct sg_blob csr = make_csr(&(struct recipe){ .jids = { JULIET } }, key);
	struct sg_blob cert = make_cert(&(struct recipe){ .jids = { JULIET } }, key);
	const char *why;

	assert_int_equal(sg_x509_check_issued(&csr, &csr, JULIET, NOW, &why), SG_ERR_FORMAT);
	assert_string_equal(why, "it is no certificate");
	assert_int_equal(sg_x509_check_issued(&cert, &cert, JULIET, NOW, &why), SG_ERR_FORMAT);
	assert_string_equal(why, "the request is no certificate request");
	sg_blob_clear(&csr);
	sg_blob_clear(&cert);
}

/* ---- assembling ---- */

static void the_parts_of_a_certificate_make_it_again(void **state)
{
	struct sg_blob der = read_vector(VECTOR_SUBJECT), tbs = { 0 }, alg = { 0 }, sig, again;
	const ASN1_BIT_STRING *signature;
	const X509_ALGOR *algorithm;
	X509 *cert;

	assert_int_equal(sg_x509_cert_parse(&der, &cert), 0);
	X509_get0_signature(&signature, &algorithm, cert);
	tbs.len = (size_t)i2d_re_X509_tbs(cert, &tbs.data);
	alg.len = (size_t)i2d_X509_ALGOR(algorithm, &alg.data);
	sig = (struct sg_blob){ signature->data, (size_t)signature->length };
	assert_int_equal(sg_x509_assemble(&tbs, &alg, &sig, &again), 0);
	assert_true(sg_blob_eq(&der, &again));
	sg_blob_clear(&again);

	tbs.len--;
	assert_int_equal(sg_x509_assemble(&tbs, &alg, &sig, &again), SG_ERR_FORMAT);
	tbs.len++;
	alg.data[0] = 0x31;
	assert_int_equal(sg_x509_assemble(&tbs, &alg, &sig, &again), SG_ERR_FORMAT);
	alg.data[0] = 0x30;
	sig.len = 0;
	assert_int_equal(sg_x509_assemble(&tbs, &alg, &sig, &again), SG_ERR_FORMAT);
	assert_null(again.data);
	OPENSSL_free(tbs.data);
	OPENSSL_free(alg.data);
	X509_free(cert);
	sg_blob_clear(&der);
}

static void lengths_of_every_size_are_der(void **state)
{
	static const size_t sizes[] = { 1, 0x70, 0x7e, 0x7f, 0x80, 0xfe, 0xff, 0x100, 0xfff0,
		0xffff, 0x10000, 0x20000 };
	static const unsigned char empty[] = { 0x30, 0 };
	struct sg_blob part = { (unsigned char *)(uintptr_t)empty, 2 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct sg_blob sig = { calloc(1, sizes[i]), sizes[i] }, der;
		unsigned char *again = NULL;
		const unsigned char *pos;
		ASN1_TYPE *type;

		assert_int_equal(sg_x509_assemble(&part, &part, &sig, &der), 0);
		pos = der.data;
		type = d2i_ASN1_TYPE(NULL, &pos, (long)der.len);
		assert_non_null(type);
		assert_ptr_equal(pos, der.data + der.len);
		assert_int_equal(i2d_ASN1_TYPE(type, &again), der.len);
		assert_memory_equal(again, der.data, der.len);
		OPENSSL_free(again);
		ASN1_TYPE_free(type);
		sg_blob_clear(&sig);
		sg_blob_clear(&der);
	}
}

static void sha256_algorithms_are_as_the_rfcs_write_them(void **state)
{
	static const unsigned char rsa[] = { 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7,
		0x0d, 0x01, 0x01, 0x0b, 0x05, 0x00 };
	static const unsigned char ec[] = { 0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d,
		0x04, 0x03, 0x02 };
	struct sg_blob der;

	assert_int_equal(sg_x509_algorithm_sha256(EVP_PKEY_RSA, &der), 0);
	assert_int_equal(der.len, sizeof(rsa));
	assert_memory_equal(der.data, rsa, sizeof(rsa));
	sg_blob_clear(&der);
	assert_int_equal(sg_x509_algorithm_sha256(EVP_PKEY_EC, &der), 0);
	assert_int_equal(der.len, sizeof(ec));
	assert_memory_equal(der.data, ec, sizeof(ec));
	sg_blob_clear(&der);
	assert_int_equal(sg_x509_algorithm_sha256(EVP_PKEY_ED25519, &der), SG_ERR_UNSUPPORTED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_certificate_parses_whole_or_not_at_all),
		cmocka_unit_test(ber_is_refused),
		cmocka_unit_test(ber_in_the_signed_part_is_refused),
		cmocka_unit_test(size_is_limited),
		cmocka_unit_test(no_flipped_byte_is_fatal),
		cmocka_unit_test(der_comes_out_as_it_went_in),
		cmocka_unit_test(what_openssl_allocated_is_taken),
		cmocka_unit_test(fingerprints_are_lower_case_hex),
		cmocka_unit_test(names_come_from_the_san_only),
		cmocka_unit_test(every_name_is_given_or_counted),
		cmocka_unit_test(malformed_names_are_refused),
		cmocka_unit_test(two_sans_are_refused),
		cmocka_unit_test(a_san_that_does_not_parse_is_refused),
		cmocka_unit_test(a_request_shows_what_it_asks_for),
		cmocka_unit_test(a_second_extension_request_is_refused),
		cmocka_unit_test(add_jid_sets_exactly_one_name),
		cmocka_unit_test(key_algorithms_have_names),
		cmocka_unit_test(spki_is_the_public_key),
		cmocka_unit_test(a_certificate_holds_one_key),
		cmocka_unit_test(times_are_seconds),
		cmocka_unit_test(pem_leads_back),
		cmocka_unit_test(the_certificate_asked_for_is_kept),
		cmocka_unit_test(another_key_is_refused),
		cmocka_unit_test(another_name_is_refused),
		cmocka_unit_test(five_minutes_of_skew_are_allowed),
		cmocka_unit_test(what_is_no_certificate_is_malformed),
		cmocka_unit_test(the_parts_of_a_certificate_make_it_again),
		cmocka_unit_test(lengths_of_every_size_are_der),
		cmocka_unit_test(sha256_algorithms_are_as_the_rfcs_write_them),
	};

	return cmocka_run_group_tests(tests, make_keys, free_keys);
}
