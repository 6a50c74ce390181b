#include "verify.h"

#include <string.h>

#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "digest.h"

/* By comparing what the signature holds: a system's policy against SHA-1 has no say in it. */
static int pkcs1_is_good(EVP_PKEY_CTX *ctx, enum sg_hash hash, const unsigned char *digest,
    const struct sg_blob *signature)
{
	unsigned char wanted[SG_DIGESTINFO_MAX], got[2048];
	size_t wanted_len = sg_digestinfo(hash, digest, wanted), got_len = sizeof(got);

	return EVP_PKEY_verify_recover_init(ctx) == 1 &&
	    EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1 &&
	    EVP_PKEY_verify_recover(ctx, got, &got_len, signature->data, signature->len) == 1 &&
	    got_len == wanted_len && memcmp(got, wanted, wanted_len) == 0;
}

static int pss_set(EVP_PKEY_CTX *ctx, enum sg_hash hash)
{
	static const char *const names[] = {
		[SG_HASH_SHA1] = "SHA1",
		[SG_HASH_SHA256] = "SHA256",
		[SG_HASH_SHA384] = "SHA384",
		[SG_HASH_SHA512] = "SHA512",
	};

	return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
	    EVP_PKEY_CTX_set_signature_md(ctx, EVP_get_digestbyname(names[hash])) == 1 &&
	    EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) == 1;
}

int sg_signature_is_good(const struct sg_key *key, const struct sg_sign_how *how,
    const struct sg_blob *data, const struct sg_blob *signature)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key->public, NULL);
	unsigned char digest[SG_DIGEST_MAX];
	int good = 0;

	if (ctx == NULL || sg_hash_data(how->hash, data, digest) != 0)
		goto out;
	if (how->kind == SG_SIGN_RSA_PKCS1) {
		good = pkcs1_is_good(ctx, how->hash, digest, signature);
		goto out;
	}
	good = EVP_PKEY_verify_init(ctx) == 1 &&
	    (how->kind == SG_SIGN_ECDSA || pss_set(ctx, how->hash)) &&
	    EVP_PKEY_verify(
		ctx, signature->data, signature->len, digest, sg_hash_size(how->hash)) == 1;
out:
	EVP_PKEY_CTX_free(ctx);
	return good;
}
