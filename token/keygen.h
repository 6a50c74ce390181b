/*
 * Making key pairs on a token.
 */
#ifndef SG_TOKEN_KEYGEN_H
#define SG_TOKEN_KEYGEN_H

#include "error.h"
#include "module.h"
#include "msg.h"

#define SG_KEY_ID_MAX 255 /* bytes of an identifier that is asked for */

/*
 * Makes a pair that is sensitive and never extractable, says so in its template, and reads back
 * that the token took it at its word; otherwise, and on any failure after it was made, it is
 * destroyed again. The label and the identifier must be new on the token. Gives the key; the
 * answer is the caller's to clear, also on failure. SG_ERR_ARG, SG_ERR_UNSUPPORTED for another
 * algorithm, SG_ERR_MECHANISM, SG_ERR_PIN_NEEDED, SG_ERR_TOKEN_FAILED, what sg_token_find()
 * says, SG_ERR_NOMEM.
 */
SG_MUST_USE int sg_key_generate(struct sg_module *module, const struct sg_msg_key_generate *request,
    struct sg_msg_objects *answer, struct sg_msg_error *error);

/* Destroys a pair that is this process's own still (made.h). SG_ERR_DENIED for any other, what the
 * token says; the error is filled. */
SG_MUST_USE int sg_key_discard(
    struct sg_module *module, const struct sg_msg_key_discard *request, struct sg_msg_error *error);

#endif
