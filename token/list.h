/*
 * What is there: tokens, keys, certificates.
 */
#ifndef SG_TOKEN_LIST_H
#define SG_TOKEN_LIST_H

#include "error.h"
#include "module.h"
#include "msg.h"

/*
 * The answers start empty and are the caller's to clear, also on failure: what sg_token_scan() and
 * sg_selector_parse() say, and without any token sg_token_taken_check(); SG_ERR_NOMEM.
 */

/* Also tokens that are not initialised, told by their flags. */
SG_MUST_USE int sg_token_list(
    struct sg_module *module, struct sg_msg_tokens *answer, struct sg_msg_error *error);

/* See struct sg_msg_object_list. Nothing that matches is no error, but an empty list; a token
 * that cannot be searched is left out, and logged. */
SG_MUST_USE int sg_object_list(struct sg_module *module, const struct sg_msg_object_list *request,
    struct sg_msg_objects *answer, struct sg_msg_error *error);

#endif
