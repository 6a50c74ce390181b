/*
 * What a key that is there already can do: proven by signatures, not believed.
 */
#ifndef SG_TOKEN_PROBE_H
#define SG_TOKEN_PROBE_H

#include "error.h"
#include "module.h"
#include "msg.h"

/*
 * Signs a content made here with each mechanism that the token names for this key, and verifies it
 * with the key's public half. The one key in the answer has the abilities of those that were good,
 * as it is on the token now, whatever was remembered. Once one took longer than SG_TOUCH_MS, no
 * more are made than needed. The answer starts empty, and is the caller's to clear, also on
 * failure.
 *
 * SG_ERR_UNSUPPORTED for a key that is neither RSA of 2,048 to 4,096 bits nor P-256 or P-384, or
 * whose public half does not show; SG_ERR_MECHANISM when it may not sign, or all mechanisms are
 * missing or refused; SG_ERR_CERT_MISMATCH when signatures are made and none verifies; what
 * sg_key_find() says.
 */
SG_MUST_USE int sg_key_probe(struct sg_module *module, const struct sg_msg_key_probe *request,
    struct sg_msg_objects *answer, struct sg_msg_error *error);

#endif
