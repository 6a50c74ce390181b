/* Certificates of the usual form: nothing is taken for one that OpenSSL does not take. */
#include "cert_form.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "x509.h"

#define DAY 86400

/* Of this type, with a name and an extension. */
static struct sg_blob certificate(EVP_PKEY *key, const char *name, time_t from, time_t to)
{
	X509 *cert = X509_new();
	X509_EXTENSION *usage =
	    X509V3_EXT_conf_nid(NULL, NULL, NID_key_usage, "critical,digitalSignature");
	struct sg_blob der = { NULL, 0 };

	assert_int_equal(X509_set_version(cert, 2), 1);
	assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(cert), 12345), 1);
	assert_int_equal(X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN",
			     MBSTRING_UTF8, (const unsigned char *)name, -1, -1, 0),
	    1);
	assert_int_equal(X509_set_issuer_name(cert, X509_get_subject_name(cert)), 1);
	assert_non_null(ASN1_TIME_adj(X509_getm_notBefore(cert), from, 0, 0));
	assert_non_null(ASN1_TIME_adj(X509_getm_notAfter(cert), to, 0, 0));
	assert_int_equal(X509_set_pubkey(cert, key), 1);
	assert_int_equal(X509_add_ext(cert, usage, -1), 1);
	assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
	assert_int_equal(sg_x509_cert_der(cert, &der), 0);
	X509_EXTENSION_free(usage);
	X509_free(cert);
	return der;
}

static int is_taken(const struct sg_blob *der)
{
	X509 *cert = NULL;
	int err = sg_x509_cert_parse(der, &cert);

	X509_free(cert);
	return err == 0;
}

static void usual_certificates_are_known(void **state)
{
	EVP_PKEY *keys[] = { EVP_RSA_gen(2048), EVP_EC_gen("P-256"), EVP_EC_gen("P-384") };
	struct sg_cert_form form;

	for (size_t i = 0; i < 3; i++) {
		struct sg_blob der = certificate(keys[i], "somebody", 1000 * DAY, 2000 * DAY), spki;
		X509 *cert;

		assert_true(sg_cert_form_read(&der, &form));
		assert_int_equal(sg_x509_cert_parse(&der, &cert), 0);
		assert_int_equal(sg_x509_spki(X509_get0_pubkey(cert), &spki), 0);
		assert_true(sg_blob_eq(&spki, &form.spki));
		sg_blob_clear(&spki);
		X509_free(cert);
		sg_blob_clear(&der);
		EVP_PKEY_free(keys[i]);
	}
}

/* Every byte of one, with each of many values in its place; and every length of it. */
static void what_is_taken_openssl_takes(void **state)
{
	static const unsigned char values[] = { 0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x0c,
		0x13, 0x16, 0x17, 0x18, 0x30, 0x31, 0x7f, 0x80, 0x81, 0x82, 0x84, 0xa0, 0xa1, 0xa3,
		0xff };
	EVP_PKEY *key = EVP_EC_gen("P-256");
	struct sg_blob der = certificate(key, "somebody", 1000 * DAY, 2000 * DAY);
	size_t len = der.len, taken = 0;
	struct sg_cert_form form;

	for (size_t at = 0; at < len; at++) {
		unsigned char was = der.data[at];

		for (size_t i = 0; i < sizeof(values) + 8; i++) {
			der.data[at] =
			    i < sizeof(values) ? values[i] : was ^ (1u << (i - sizeof(values)));
			if (!sg_cert_form_read(&der, &form))
				continue;
			taken++;
			assert_true(is_taken(&der));
		}
		der.data[at] = was;
	}
	assert_true(
	    taken > len); /* the insides of names, times, keys and signatures may be anything */
	for (der.len = 0; der.len < len; der.len++)
		assert_false(sg_cert_form_read(&der, &form));
	der.len = len;
	assert_true(sg_cert_form_read(&der, &form));
	sg_blob_clear(&der);
	EVP_PKEY_free(key);
}

/* Two bytes at once, wherever: by chance, but the same each time. */
static void what_is_taken_by_chance_openssl_takes(void **state)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	struct sg_blob der = certificate(key, "somebody", 1000 * DAY, 2000 * DAY);
	struct sg_cert_form form;
	uint32_t chance = 1;

	for (int i = 0; i < 10000; i++) {
		unsigned char old[2];
		size_t at[2];

		for (int k = 0; k < 2; k++) {
			chance = chance * 1664525u + 1013904223u;
			at[k] = (chance >> 8) % der.len;
			old[k] = der.data[at[k]];
			der.data[at[k]] = (unsigned char)(chance >> 24);
		}
		if (sg_cert_form_read(&der, &form))
			assert_true(is_taken(&der));
		der.data[at[1]] = old[1];
		der.data[at[0]] = old[0];
	}
	sg_blob_clear(&der);
	EVP_PKEY_free(key);
}

/* Names beyond ASCII are for OpenSSL to judge. */
static void unusual_certificates_are_left_to_openssl(void **state)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	struct sg_blob der = certificate(key, "j\xc3\xbcrgen", 1000 * DAY, 2000 * DAY);
	struct sg_cert_form form;

	assert_false(sg_cert_form_read(&der, &form));
	assert_true(is_taken(&der));
	sg_blob_clear(&der);
	EVP_PKEY_free(key);
}

static void both_ends_belong_to_the_validity(void **state)
{
	/* Of UTCTime, of both centuries, and of GeneralizedTime. */
	static const time_t from[] = { 1000 * (time_t)DAY, -1000 * (time_t)DAY,
		40000 * (time_t)DAY };
	EVP_PKEY *key = EVP_EC_gen("P-256");

	for (size_t i = 0; i < 3; i++) {
		time_t to = from[i] + 10 * (time_t)DAY + 7;
		struct sg_blob der = certificate(key, "somebody", from[i], to);
		struct sg_cert_form form;

		assert_true(sg_cert_form_read(&der, &form));
		assert_true(sg_cert_form_expired(&form, from[i] - 1));
		assert_false(sg_cert_form_expired(&form, from[i]));
		assert_false(sg_cert_form_expired(&form, to));
		assert_true(sg_cert_form_expired(&form, to + 1));
		/* what is no time has never begun */
		form.not_before.data[4] = 'x';
		assert_true(sg_cert_form_expired(&form, from[i]));
		sg_blob_clear(&der);
	}
	EVP_PKEY_free(key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(usual_certificates_are_known),
		cmocka_unit_test(what_is_taken_openssl_takes),
		cmocka_unit_test(what_is_taken_by_chance_openssl_takes),
		cmocka_unit_test(unusual_certificates_are_left_to_openssl),
		cmocka_unit_test(both_ends_belong_to_the_validity),
	};

	return cmocka_run_group_tests_name("cert_form", tests, NULL, NULL);
}
