/*
 * Cross-signatures of XEP-0189 (rulings K3 to K5, K7).
 */
#ifndef SG_TOKEN_CROSS_H
#define SG_TOKEN_CROSS_H

#include "error.h"
#include "module.h"
#include "msg.h"

/*
 * Signs another key with ours: a whole DER certificate, which is parsed first, or the 20 bytes
 * of an OpenPGP v4 fingerprint. RSA: RSA-SHA1, then RSA-SHA256. EC: ECDSA-SHA256. SG_ERR_FORMAT
 * for any other subject, SG_ERR_LIMIT for a certificate that is too large, what sg_key_find()
 * and sg_sign() say. The answer starts empty and is the caller's to clear, also on failure.
 */
SG_MUST_USE int sg_cross_sign(struct sg_module *module, const struct sg_msg_cross_sign *request,
    struct sg_msg_signatures *answer, struct sg_msg_error *error);

#endif
