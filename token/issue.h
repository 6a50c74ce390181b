/*
 * Requests and self-signed certificates, built by OpenSSL and signed on the token.
 */
#ifndef SG_TOKEN_ISSUE_H
#define SG_TOKEN_ISSUE_H

#include "error.h"
#include "key.h"
#include "module.h"
#include "msg.h"

#define SG_DAYS_MAX 36525 /* that a certificate made here is valid: a hundred years */

/*
 * Both give DER in *der, empty on failure: SG_ERR_ARG for what is no JID or no number of days,
 * what sg_key_find() and sg_issue_sign() say, SG_ERR_UNSUPPORTED when the token does not show
 * the key's public half, SG_ERR_TOKEN_FAILED when that does not verify the signature.
 */

/* C12: CN and xmppAddr are the bare JID, SHA-256. A JID over the 64 bytes of a CN leaves the
 * subject empty. SG_PROFILE_CA, only in an authority's process (SG_ERR_DENIED), asks for an intermediate's
 * certificate: the extensions that a root of ours has. */
SG_MUST_USE int sg_csr_make(struct sg_module *module, const struct sg_msg_csr_make *request,
    struct sg_blob *der, struct sg_msg_error *error);

/* SG_PROFILE_CA only in an authority's process (SG_ERR_DENIED). SG_ERR_LIMIT for a JID that no
 * CN holds. */
SG_MUST_USE int sg_self_cert_make(struct sg_module *module,
    const struct sg_msg_self_cert_make *request, struct sg_blob *der, struct sg_msg_error *error);

/* Signs tbs with SHA-256 and puts the whole object together, new in *der. SG_ERR_FORMAT when tbs
 * is no SEQUENCE, what sg_sign() says. */
SG_MUST_USE int sg_issue_sign(
    struct sg_key *key, const struct sg_blob *tbs, struct sg_blob *der, struct sg_msg_error *error);

#endif
