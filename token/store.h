/*
 * Certificates on a token.
 */
#ifndef SG_TOKEN_STORE_H
#define SG_TOKEN_STORE_H

#include "error.h"
#include "module.h"
#include "msg.h"
#include "token.h"

/* Puts the certificate beside its key; see SG_MSG_CERT_STORE. Gives the certificate object. */
SG_MUST_USE int sg_cert_store(struct sg_module *module, const struct sg_msg_cert_store *request,
    struct sg_msg_objects *answer, struct sg_msg_error *error);

/* All X.509 certificate objects of the token that match (selector NULL: any), as a new array. */
CK_RV sg_certs_of_token(struct sg_token *token, const struct sg_selector *selector,
    struct sg_cert_info **certs, size_t *count);
void sg_cert_info_clear(struct sg_cert_info *cert);

#endif
