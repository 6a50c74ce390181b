/*
 * A new PIN for a token's user.
 */
#ifndef SG_TOKEN_PIN_SET_H
#define SG_TOKEN_PIN_SET_H

#include "error.h"
#include "module.h"
#include "msg.h"

/*
 * With the old PIN (C_SetPIN), or with the SO PIN or PUK (C_InitPIN). The token is locked then, and
 * from when something is tried. Before that: what sg_pin_check() and sg_pin_get_two() say, and
 * SG_ERR_ARG for a new PIN that is too short or too long for the token. SG_ERR_PIN_WRONG,
 * SG_ERR_PIN_LOCKED, SG_ERR_ARG for a new PIN that the token finds unfit, SG_ERR_UNSUPPORTED with
 * what to do when the module cannot do it.
 */
SG_MUST_USE int sg_pin_set(struct sg_module *module, const struct sg_msg_pin_set *request, int fd,
    struct sg_msg_error *error);

#endif
