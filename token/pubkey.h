/*
 * The public key of a key pair, out of PKCS#11 attributes.
 */
#ifndef SG_TOKEN_PUBKEY_H
#define SG_TOKEN_PUBKEY_H

#include <openssl/evp.h>

#include "buf.h"
#include "error.h"

/* SG_ERR_FORMAT for numbers that are no RSA key or over 2,048 bytes, SG_ERR_NOMEM. The key is
 * new. */
SG_MUST_USE int sg_pubkey_rsa(
    const struct sg_blob *modulus, const struct sg_blob *exponent, EVP_PKEY **key);

/*
 * params: the DER OID of a named curve. point: the uncompressed point, in an OCTET STRING as the
 * standard has it, or raw as some modules give it. SG_ERR_FORMAT when they do not fit or the
 * point is not on the curve, SG_ERR_UNSUPPORTED for a curve that is not P-256, P-384 or P-521.
 */
SG_MUST_USE int sg_pubkey_ec(
    const struct sg_blob *params, const struct sg_blob *point, EVP_PKEY **key);

/* Whether it is one of these curves. */
int sg_pubkey_is_curve(const struct sg_blob *params);

/* Bytes of the curve's order, the size of one half of an ECDSA signature; 0 when it is no such
 * key. */
size_t sg_pubkey_order_size(EVP_PKEY *key);

#endif
