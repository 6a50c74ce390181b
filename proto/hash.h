/*
 * OpenSSL's hash functions, looked up once: EVP_sha256() and its like have that done for each use, which
 * takes as long as to hash some hundred bytes.
 */
#ifndef SG_HASH_H
#define SG_HASH_H

#include <openssl/evp.h>

/* NULL where OpenSSL has none (a FIPS provider without SHA-1), which its functions take for a failure. From
 * any thread; never to be freed. */
const EVP_MD *sg_hash_sha1(void);
const EVP_MD *sg_hash_sha256(void);

#endif
