/*
 * Certificates on a token.
 */
#ifndef SG_TOKEN_CERT_H
#define SG_TOKEN_CERT_H

#include "error.h"
#include "module.h"
#include "msg.h"
#include "token.h"

/* Bytes of a certificate's label: it may be that of a key made elsewhere. */
#define SG_CERT_LABEL_MAX 255

/*
 * Puts the certificate beside its key; see SG_MSG_CERT_STORE. Gives the certificate object, to
 * be cleared by the caller also on failure. SG_ERR_FORMAT, SG_ERR_LIMIT, SG_ERR_ARG for a label
 * that is no text, SG_ERR_CERT_MISMATCH, SG_ERR_UNSUPPORTED when the token shows no public key
 * to compare, what sg_key_find() says, SG_ERR_TOKEN_FAILED; the error is filled, but for
 * SG_ERR_NOMEM.
 */
SG_MUST_USE int sg_cert_store(struct sg_module *module, const struct sg_msg_cert_store *request,
    struct sg_msg_objects *answer, struct sg_msg_error *error);

/* See SG_MSG_CERT_DISCARD. SG_ERR_FORMAT, SG_ERR_LIMIT, SG_ERR_CERT_MISMATCH, SG_ERR_UNSUPPORTED where the token
 * lets its user remove none or shows no public key to compare, what sg_key_find() says,
 * SG_ERR_TOKEN_FAILED; the error is filled, but for SG_ERR_NOMEM. */
SG_MUST_USE int sg_cert_discard(struct sg_module *module, const struct sg_msg_cert_discard *request,
    struct sg_msg_error *error);

/* All X.509 certificate objects of the token, as a new array (sg_certs_free()). */
CK_RV sg_certs_of_token(struct sg_token *token, struct sg_cert_info **certs, size_t *count);
void sg_certs_free(struct sg_cert_info *certs, size_t count);

/* The public key that it holds, by which alone it belongs to a key (label and identifier say
 * nothing); empty when there is none that can be read. To be cleared. */
void sg_cert_spki(const struct sg_cert_info *cert, struct sg_blob *spki);

#endif
