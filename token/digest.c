#include "digest.h"

#include <pthread.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>

static const struct {
	const char *name;
	size_t size;
	size_t prefix_len;
	unsigned char prefix[19]; /* RFC 8017 9.2 note 1 */
} hashes[] = {
	[SG_HASH_SHA1] = { "SHA1", 20, 15,
	    { 0x30, 0x21, 0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a, 0x05, 0x00, 0x04,
		0x14 } },
	[SG_HASH_SHA256] = { "SHA256", 32, 19,
	    { 0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02,
		0x01, 0x05, 0x00, 0x04, 0x20 } },
	[SG_HASH_SHA384] = { "SHA384", 48, 19,
	    { 0x30, 0x41, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02,
		0x02, 0x05, 0x00, 0x04, 0x30 } },
	[SG_HASH_SHA512] = { "SHA512", 64, 19,
	    { 0x30, 0x51, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02,
		0x03, 0x05, 0x00, 0x04, 0x40 } },
};

/* Fetched once: to look one up by its name takes longer than to hash a certificate with it. */
static pthread_once_t fetched = PTHREAD_ONCE_INIT;
static EVP_MD *mds[sizeof(hashes) / sizeof(hashes[0])];

static void fetch(void)
{
	for (size_t i = 0; i < sizeof(hashes) / sizeof(hashes[0]); i++)
		mds[i] = EVP_MD_fetch(NULL, hashes[i].name, NULL);
}

size_t sg_hash_size(enum sg_hash hash)
{
	return hashes[hash].size;
}

int sg_hash_data(enum sg_hash hash, const struct sg_blob *data, unsigned char out[SG_DIGEST_MAX])
{
	unsigned int len = 0;

	pthread_once(&fetched, fetch);
	if (mds[hash] == NULL ||
	    EVP_Digest(data->data, data->len, out, &len, mds[hash], NULL) != 1 ||
	    len != hashes[hash].size)
		return SG_ERR_INTERNAL;
	return 0;
}

size_t sg_digestinfo(
    enum sg_hash hash, const unsigned char *digest, unsigned char out[SG_DIGESTINFO_MAX])
{
	memcpy(out, hashes[hash].prefix, hashes[hash].prefix_len);
	memcpy(out + hashes[hash].prefix_len, digest, hashes[hash].size);
	return hashes[hash].prefix_len + hashes[hash].size;
}

size_t sg_ecdsa_digest_size(size_t digest_size, size_t order_size)
{
	return digest_size < order_size ? digest_size : order_size;
}

int sg_ecdsa_value(const unsigned char *raw, size_t len, size_t order_size, struct sg_blob *der)
{
	unsigned char *bytes = NULL;
	BIGNUM *r = NULL, *s = NULL;
	ECDSA_SIG *value = NULL;
	int err = SG_ERR_NOMEM, n;

	memset(der, 0, sizeof(*der));
	if (order_size == 0 || order_size > 66 || len != 2 * order_size)
		return SG_ERR_FORMAT;
	value = ECDSA_SIG_new();
	r = BN_bin2bn(raw, (int)order_size, NULL);
	s = BN_bin2bn(raw + order_size, (int)order_size, NULL);
	if (value == NULL || r == NULL || s == NULL)
		goto out;
	if (BN_is_zero(r) || BN_is_zero(s)) {
		err = SG_ERR_FORMAT;
		goto out;
	}
	ECDSA_SIG_set0(value, r, s);
	r = s = NULL;
	n = i2d_ECDSA_SIG(value, &bytes);
	if (n > 0)
		err = sg_blob_set(der, bytes, (size_t)n);
out:
	BN_free(r);
	BN_free(s);
	ECDSA_SIG_free(value);
	OPENSSL_free(bytes);
	return err;
}
