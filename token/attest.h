/*
 * Attestation: certificates by which a token says of a key that it was made on it, as ykcs11 offers
 * them for the keys of a YubiKey.
 */
#ifndef SG_TOKEN_ATTEST_H
#define SG_TOKEN_ATTEST_H

#include "error.h"
#include "module.h"
#include "msg.h"

/*
 * See SG_MSG_KEY_ATTEST. Works on a locked token, too: what is shown is public. The answer starts
 * empty, and is the caller's to clear, also on failure: what sg_token_find() says,
 * SG_ERR_TOKEN_FAILED, SG_ERR_NOMEM.
 */
SG_MUST_USE int sg_key_attest(struct sg_module *module, const struct sg_msg_key_attest *request,
    struct sg_msg_objects *answer, struct sg_msg_error *error);

#endif
