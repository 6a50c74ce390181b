/*
 * Which tokens a URI or label means.
 */
#ifndef SG_TOKEN_TOKEN_FIND_H
#define SG_TOKEN_TOKEN_FIND_H

#include "error.h"
#include "module.h"
#include "msg.h"
#include "token.h"
#include "uri.h"

/* The one token that a URI or label names; it belongs to the module. SG_ERR_TOKEN_ABSENT,
 * SG_ERR_TOKEN_AMBIGUOUS with the candidates, what sg_selector_parse() and sg_token_scan() say. */
SG_MUST_USE int sg_token_find(struct sg_module *module, const char *text, struct sg_token **token,
    struct sg_msg_error *error);

/* For who finds no token: SG_ERR_BUSY when another program has a card for itself alone, in which
 * case modules show an empty slot or none. */
SG_MUST_USE int sg_token_taken_check(struct sg_msg_error *error);

/* Whether it is initialised, and may hold what the selector means. */
int sg_token_match(struct sg_token *token, const struct sg_selector *selector);

/* Wipes the PINs of all tokens that the text may mean, as last seen: no module is asked, and no
 * lock is waited for that a call may hold which does not come back. Whether there are any. */
int sg_token_known_wipe(struct sg_module *module, const char *text);

#endif
