/*
 * Whether a signature that a token made is its key's.
 */
#ifndef SG_TOKEN_VERIFY_H
#define SG_TOKEN_VERIFY_H

#include "buf.h"
#include "key.h"
#include "sign.h"

/* Over these data, by the key's public half, which it has. Gives 0 also when OpenSSL fails. */
int sg_signature_is_good(const struct sg_key *key, const struct sg_sign_how *how,
    const struct sg_blob *data, const struct sg_blob *signature);

#endif
