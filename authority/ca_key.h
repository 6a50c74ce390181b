/*
 * The CA's key on its token, for who sets it up.
 */
#ifndef SG_AUTHORITY_CA_KEY_H
#define SG_AUTHORITY_CA_KEY_H

#include <stdint.h>

#include "buf.h"
#include "config.h"
#include "error.h"
#include "signer.h"

/* How many keys of the configured name the token has; of a single one its SubjectPublicKeyInfo in *spki, owned
 * (empty when the token does not show it). What sg_signer_call() gives. */
SG_MUST_USE int sg_ca_key_look(struct sg_signer *signer, uint32_t *count, struct sg_blob *spki);

/* Makes it. SG_ERR_CONFIG, logged, when the configuration has no label for it, and what sg_signer_call() gives. */
SG_MUST_USE int sg_ca_key_make(
    struct sg_signer *signer, const struct sg_authority_config *config, const char *algorithm);

/* Puts a certificate for it beside it; the same one again is no error. Likewise. */
SG_MUST_USE int sg_ca_key_store(struct sg_signer *signer, const struct sg_blob *der);

#endif
