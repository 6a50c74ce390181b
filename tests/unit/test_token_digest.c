/* DigestInfo against OpenSSL's own, ECDSA values, public keys out of attributes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "digest.h"
#include "pubkey.h"

static void test_digestinfo(void **state)
{
	static const int nids[] = { NID_sha1, NID_sha256, NID_sha384, NID_sha512 };
	unsigned char digest[SG_DIGEST_MAX], info[SG_DIGESTINFO_MAX], *wanted;
	struct sg_blob data = { (unsigned char *)(char[]){ "juliet" }, 6 };
	unsigned hash;

	for (hash = SG_HASH_SHA1; hash <= SG_HASH_SHA512; hash++) {
		X509_SIG *sig = X509_SIG_new();
		ASN1_OCTET_STRING *value;
		X509_ALGOR *algorithm;
		size_t len;

		assert_int_equal(sg_hash_data(hash, &data, digest), 0);
		len = sg_digestinfo(hash, digest, info);
		X509_SIG_getm(sig, &algorithm, &value);
		X509_ALGOR_set0(algorithm, OBJ_nid2obj(nids[hash]), V_ASN1_NULL, NULL);
		ASN1_OCTET_STRING_set(value, digest, (int)sg_hash_size(hash));
		wanted = NULL;
		assert_int_equal(i2d_X509_SIG(sig, &wanted), len);
		assert_memory_equal(info, wanted, len);
		OPENSSL_free(wanted);
		X509_SIG_free(sig);
	}
}

static void test_ecdsa_digest_size(void **state)
{
	assert_int_equal(sg_ecdsa_digest_size(32, 32), 32);
	assert_int_equal(sg_ecdsa_digest_size(48, 32), 32);
	assert_int_equal(sg_ecdsa_digest_size(64, 48), 48);
	assert_int_equal(sg_ecdsa_digest_size(32, 48), 32);
	assert_int_equal(sg_ecdsa_digest_size(64, 66), 64);
}

static void test_ecdsa_value(void **state)
{
	/* r has its top bit set, s has leading zeros: both ways that DER differs from raw. */
	static const unsigned char wanted[] = { 0x30, 0x26, 0x02, 0x21, 0x00, 0x80, 0, 0, 0, 0, 0,
		0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0x02,
		0x01, 5 };
	unsigned char raw[64] = { 0x80 };
	struct sg_blob der;

	raw[31] = 1;
	raw[63] = 5;
	assert_int_equal(sg_ecdsa_value(raw, 64, 32, &der), 0);
	assert_int_equal(der.len, sizeof(wanted));
	assert_memory_equal(der.data, wanted, sizeof(wanted));
	sg_blob_clear(&der);
	assert_int_equal(sg_ecdsa_value(raw, 63, 32, &der), SG_ERR_FORMAT);
	assert_int_equal(sg_ecdsa_value(raw, 64, 48, &der), SG_ERR_FORMAT);
	assert_int_equal(sg_ecdsa_value(raw, 0, 0, &der), SG_ERR_FORMAT);
	raw[63] = 0;
	assert_int_equal(sg_ecdsa_value(raw, 64, 32, &der), SG_ERR_FORMAT);
	assert_null(der.data);
}

static const unsigned char p256[] = { 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07 };
static const unsigned char p384[] = { 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22 };
static const unsigned char p521[] = { 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23 };

static struct sg_blob blob_of(const unsigned char *data, size_t len)
{
	struct sg_blob blob = { 0 };

	assert_int_equal(sg_blob_set(&blob, data, len), 0);
	return blob;
}

static void curve(const char *name, const unsigned char *oid, size_t oid_len, size_t order)
{
	EVP_PKEY *made = EVP_EC_gen(name), *read = NULL;
	struct sg_blob params = blob_of(oid, oid_len), point;
	unsigned char wrapped[200] = { 0x04 };
	unsigned char *raw = NULL;
	size_t len, head;

	len = EVP_PKEY_get1_encoded_public_key(made, &raw);
	assert_int_equal(len, 1 + 2 * order);
	point = blob_of(raw, len);
	assert_int_equal(sg_pubkey_ec(&params, &point, &read), 0);
	assert_int_equal(EVP_PKEY_eq(made, read), 1);
	assert_int_equal(sg_pubkey_order_size(read), order);
	EVP_PKEY_free(read);
	head = len < 128 ? 2 : 3;
	wrapped[1] = head == 2 ? (unsigned char)len : 0x81;
	wrapped[head - 1] = (unsigned char)len;
	memcpy(wrapped + head, raw, len);
	sg_blob_clear(&point);
	point = blob_of(wrapped, head + len);
	assert_int_equal(sg_pubkey_ec(&params, &point, &read), 0);
	assert_int_equal(EVP_PKEY_eq(made, read), 1);
	EVP_PKEY_free(read);
	point.data[head + 5] ^= 1; /* off the curve */
	assert_int_equal(sg_pubkey_ec(&params, &point, &read), SG_ERR_FORMAT);
	assert_null(read);
	point.len--;
	assert_int_equal(sg_pubkey_ec(&params, &point, &read), SG_ERR_FORMAT);
	point.len = 0;
	assert_int_equal(sg_pubkey_ec(&params, &point, &read), SG_ERR_FORMAT);
	params.data[params.len - 1]++;
	assert_true(sg_pubkey_ec(&params, &point, &read) < 0);
	sg_blob_clear(&params);
	sg_blob_clear(&point);
	OPENSSL_free(raw);
	EVP_PKEY_free(made);
}

static void test_ec_keys(void **state)
{
	curve("P-256", p256, sizeof(p256), 32);
	curve("P-384", p384, sizeof(p384), 48);
	curve("P-521", p521, sizeof(p521), 66);
}

static void test_rsa_keys(void **state)
{
	unsigned char bytes[3000] = { 0xff, 1, 1 };
	struct sg_blob modulus = { bytes, 256 }, exponent = { (unsigned char[]){ 1, 0, 1 }, 3 };
	EVP_PKEY *key = NULL;

	assert_int_equal(sg_pubkey_rsa(&modulus, &exponent, &key), 0);
	assert_int_equal(EVP_PKEY_get_bits(key), 2048);
	assert_int_equal(sg_pubkey_order_size(key), 0);
	EVP_PKEY_free(key);
	modulus.len = 2049;
	assert_int_equal(sg_pubkey_rsa(&modulus, &exponent, &key), SG_ERR_FORMAT);
	assert_null(key);
	modulus.len = 0;
	assert_int_equal(sg_pubkey_rsa(&modulus, &exponent, &key), SG_ERR_FORMAT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_digestinfo),
		cmocka_unit_test(test_ecdsa_digest_size),
		cmocka_unit_test(test_ecdsa_value),
		cmocka_unit_test(test_ec_keys),
		cmocka_unit_test(test_rsa_keys),
	};

	return cmocka_run_group_tests_name("token digest", tests, NULL, NULL);
}
