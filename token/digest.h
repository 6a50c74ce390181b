/*
 * What stands between a hash and a token: DigestInfo, the cut for ECDSA, the form of an ECDSA
 * value.
 *
 * The DigestInfo is built here, not by OpenSSL, so that a system policy against SHA-1 does not
 * break the document's own method (ruling K5), and so that no caller's DigestInfo is ever signed.
 */
#ifndef SG_TOKEN_DIGEST_H
#define SG_TOKEN_DIGEST_H

#include <stddef.h>

#include "buf.h"
#include "error.h"

enum sg_hash {
	SG_HASH_SHA1,
	SG_HASH_SHA256,
	SG_HASH_SHA384,
	SG_HASH_SHA512,
};

#define SG_DIGEST_MAX	  64 /* bytes of the longest: SHA-512 */
#define SG_DIGESTINFO_MAX (19 + SG_DIGEST_MAX)

/* Bytes of a digest of this hash. */
size_t sg_hash_size(enum sg_hash hash);

/* Hashes; out holds sg_hash_size() bytes. SG_ERR_INTERNAL. */
SG_MUST_USE int sg_hash_data(
    enum sg_hash hash, const struct sg_blob *data, unsigned char out[SG_DIGEST_MAX]);

/* RFC 8017 9.2: the DER of DigestInfo for a digest of this hash; gives its length. */
size_t sg_digestinfo(
    enum sg_hash hash, const unsigned char *digest, unsigned char out[SG_DIGESTINFO_MAX]);

/* Bytes of a digest that go into ECDSA with an order of that many bytes: the leftmost (FIPS
 * 186-4 6.4). */
size_t sg_ecdsa_digest_size(size_t digest_size, size_t order_size);

/* r || s, each order_size bytes, to the DER that X.509 and TLS want. SG_ERR_FORMAT,
 * SG_ERR_NOMEM. */
SG_MUST_USE int sg_ecdsa_value(
    const unsigned char *raw, size_t len, size_t order_size, struct sg_blob *der);

#endif
