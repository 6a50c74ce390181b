/*
 * Signing on the token: which mechanism, and the call itself.
 */
#ifndef SG_TOKEN_SIGN_H
#define SG_TOKEN_SIGN_H

#include "digest.h"
#include "error.h"
#include "key.h"
#include "msg.h"

enum sg_sign_kind {
	SG_SIGN_RSA_PKCS1,
	SG_SIGN_RSA_PSS, /* MGF1 with the same hash, salt as long as the hash */
	SG_SIGN_ECDSA,	 /* gives DER */
};

struct sg_sign_how {
	enum sg_sign_kind kind;
	enum sg_hash hash;
};

/* What X.509 objects are signed with: SHA-256 and the key's kind. SG_ERR_MECHANISM for other
 * keys. */
SG_MUST_USE int sg_sign_how_sha256(
    const struct sg_key *key, struct sg_sign_how *how, struct sg_msg_error *error);

/*
 * Hashes the data and signs, by the first way that the token has and does not refuse; what it
 * refuses is remembered, so that later signatures do not ask again while another way is left. The caller has judged what the
 * data are: nothing outside this process chooses bytes that get here unseen. SG_ERR_MECHANISM
 * naming the mechanisms that are missing, or saying that the key may not sign; SG_ERR_KEY_CHANGED
 * when another key stands in its place; what sg_sign_unverified() says of a signature that the
 * key's public half does not verify (the first of a key is looked at, and one in so often);
 * SG_ERR_PIN_NEEDED, or what the token says; the error is filled.
 */
SG_MUST_USE int sg_sign(struct sg_key *key, const struct sg_sign_how *how,
    const struct sg_blob *data, struct sg_blob *signature, struct sg_msg_error *error);

/* After a signature that the key's public half does not verify: SG_ERR_KEY_CHANGED when the module,
 * asked in a fresh session, shows another key in its place, else SG_ERR_TOKEN_FAILED; the error is
 * filled. The token's sessions are given up for it. */
SG_MUST_USE int sg_sign_unverified(struct sg_key *key, struct sg_msg_error *error);

/* As sg_sign(), with the mechanism of this one ability (SG_KEY_RSA_PKCS1 to SG_KEY_ECDSA_HASHED)
 * alone; nothing is verified. */
SG_MUST_USE int sg_sign_by(struct sg_key *key, uint32_t ability, const struct sg_sign_how *how,
    const struct sg_blob *data, struct sg_blob *signature, struct sg_msg_error *error);

#endif
