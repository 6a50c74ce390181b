/*
 * Requests and self-signed certificates, built by OpenSSL and signed on the token.
 */
#ifndef SG_TOKEN_ISSUE_H
#define SG_TOKEN_ISSUE_H

#include "error.h"
#include "key.h"
#include "module.h"
#include "msg.h"

#define SG_DAYS_MAX 36525

/* C12: CN and xmppAddr are the bare JID, SHA-256. A JID over the 64 bytes of a CN leaves the subject empty. */
SG_MUST_USE int sg_csr_make(struct sg_module *module, const struct sg_msg_csr_make *request,
    struct sg_blob *der, struct sg_msg_error *error);

/* SG_PROFILE_CA only in an authority's process. */
SG_MUST_USE int sg_self_cert_make(struct sg_module *module,
    const struct sg_msg_self_cert_make *request, struct sg_blob *der, struct sg_msg_error *error);

/* Signs tbs with SHA-256 and puts the whole object together. */
SG_MUST_USE int sg_issue_sign(
    struct sg_key *key, const struct sg_blob *tbs, struct sg_blob *der, struct sg_msg_error *error);

#endif
