#include "pubkey.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/objects.h>
#include <openssl/param_build.h>

static const struct curve {
	int nid;
	const char *name;
	size_t size;	       /* of a coordinate and of the order */
	unsigned char oid[10]; /* DER */
	size_t oid_len;
} curves[] = {
	{ NID_X9_62_prime256v1, "P-256", 32,
	    { 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07 }, 10 },
	{ NID_secp384r1, "P-384", 48, { 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22 }, 7 },
	{ NID_secp521r1, "P-521", 66, { 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23 }, 7 },
};

static int key_from_params(const char *type, OSSL_PARAM_BLD *build, EVP_PKEY **key)
{
	OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	int err = SG_ERR_NOMEM;

	if (params != NULL && ctx != NULL)
		err = EVP_PKEY_fromdata_init(ctx) == 1 &&
			EVP_PKEY_fromdata(ctx, key, EVP_PKEY_PUBLIC_KEY, params) == 1
		    ? 0
		    : SG_ERR_FORMAT;
	OSSL_PARAM_free(params);
	EVP_PKEY_CTX_free(ctx);
	return err;
}

int sg_pubkey_rsa(const struct sg_blob *modulus, const struct sg_blob *exponent, EVP_PKEY **key)
{
	OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	BIGNUM *n = NULL, *e = NULL;
	int err = SG_ERR_FORMAT;

	*key = NULL;
	if (modulus->len == 0 || modulus->len > 2048 || exponent->len == 0 || exponent->len > 2048)
		goto out;
	err = SG_ERR_NOMEM;
	n = BN_bin2bn(modulus->data, (int)modulus->len, NULL);
	e = BN_bin2bn(exponent->data, (int)exponent->len, NULL);
	if (build != NULL && n != NULL && e != NULL &&
	    OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n) &&
	    OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e))
		err = key_from_params("RSA", build, key);
out:
	OSSL_PARAM_BLD_free(build);
	BN_free(n);
	BN_free(e);
	return err;
}

static const struct curve *curve_find(const struct sg_blob *params)
{
	size_t i;

	for (i = 0; i < sizeof(curves) / sizeof(curves[0]); i++) {
		if (params->len == curves[i].oid_len &&
		    memcmp(params->data, curves[i].oid, params->len) == 0)
			return &curves[i];
	}
	return NULL;
}

int sg_pubkey_is_curve(const struct sg_blob *params)
{
	return curve_find(params) != NULL;
}

/* The raw point: 1 byte 0x04, two coordinates. Its length tells it from a wrapped one. */
static int point_unwrap(const struct sg_blob *point, size_t raw_len, const unsigned char **raw)
{
	const unsigned char *data = point->data;
	size_t head;

	if (point->len == raw_len) {
		*raw = data;
		return 0;
	}
	head = raw_len < 128 ? 2 : 3;
	if (point->len != head + raw_len || data[0] != 0x04 || data[head - 1] != raw_len ||
	    (head == 3 && data[1] != 0x81))
		return SG_ERR_FORMAT;
	*raw = data + head;
	return 0;
}

int sg_pubkey_ec(const struct sg_blob *params, const struct sg_blob *point, EVP_PKEY **key)
{
	const struct curve *curve = curve_find(params);
	const unsigned char *raw;
	OSSL_PARAM_BLD *build;
	int err;

	*key = NULL;
	if (curve == NULL)
		return SG_ERR_UNSUPPORTED;
	err = point_unwrap(point, 1 + 2 * curve->size, &raw);
	if (err != 0)
		return err;
	build = OSSL_PARAM_BLD_new();
	err = SG_ERR_NOMEM;
	if (build != NULL &&
	    OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, curve->name, 0) &&
	    OSSL_PARAM_BLD_push_octet_string(
		build, OSSL_PKEY_PARAM_PUB_KEY, raw, 1 + 2 * curve->size))
		err = key_from_params("EC", build, key);
	OSSL_PARAM_BLD_free(build);
	return err;
}

size_t sg_pubkey_order_size(EVP_PKEY *key)
{
	char name[64];
	size_t i;

	if (EVP_PKEY_get_base_id(key) != EVP_PKEY_EC ||
	    EVP_PKEY_get_group_name(key, name, sizeof(name), NULL) != 1)
		return 0;
	for (i = 0; i < sizeof(curves) / sizeof(curves[0]); i++) {
		if (OBJ_sn2nid(name) == curves[i].nid || strcmp(name, curves[i].name) == 0)
			return curves[i].size;
	}
	return 0;
}
