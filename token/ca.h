/*
 * What an authority signs: certificates for accounts, and its revocation list.
 */
#ifndef SG_TOKEN_CA_H
#define SG_TOKEN_CA_H

#include "error.h"
#include "module.h"
#include "msg.h"

/*
 * Signs a TBSCertificate that is an account's (version 3, CA:FALSE critical, no keyCertSign,
 * exactly one xmppAddr: ruling C11), or a TBSCertList; either names SHA-256 with the key's type
 * and is in DER. Gives the whole signed object. It is new in *der. SG_ERR_DENIED outside an
 * authority's process, SG_ERR_FORMAT for any other, what sg_key_find() and sg_sign() say.
 */
SG_MUST_USE int sg_ca_sign(struct sg_module *module, const struct sg_msg_ca_sign *request,
    struct sg_blob *der, struct sg_msg_error *error);

#endif
