/*
 * One request and its answer.
 */
#ifndef SG_TOKEN_DISPATCH_H
#define SG_TOKEN_DISPATCH_H

#include "channel.h"
#include "error.h"
#include "module.h"
#include "msg.h"

union sg_token_answer {
	struct sg_msg_empty empty;
	struct sg_msg_error error;
	struct sg_msg_tokens tokens;
	struct sg_msg_objects objects;
	struct sg_msg_der der;
	struct sg_msg_signatures signatures;
};

/*
 * Does what the frame asks. Gives the type of the answer, and fills it: to be freed by
 * sg_msg_clear(). With no module (it could not be loaded), every answer is the error that says
 * why.
 */
uint16_t sg_dispatch(struct sg_module *module, const struct sg_msg_error *why,
    const struct sg_frame *frame, union sg_token_answer *answer);

/* Whether it may wait for a person, and so must not hold up the others. */
int sg_dispatch_waits(uint16_t type);

/* Whether it ends what is there, and so must not wait behind others. PINs are wiped by then. module
 * may be NULL. */
int sg_dispatch_ends(struct sg_module *module, const struct sg_frame *frame);

#endif
