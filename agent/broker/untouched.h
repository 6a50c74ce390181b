/*
 * Signatures of a module that wait for a touch now: for programs that monitor the agent only after
 * the others were told. What a worker tells is a claim: more of it than can be true is not kept.
 */
#ifndef SG_BROKER_UNTOUCHED_H
#define SG_BROKER_UNTOUCHED_H

#include <time.h>

#include "msg.h"
#include "tokens.h"

#define SG_UNTOUCHED_MAX 64 /* of a module: it makes so many signatures at a time */

struct sg_untouched {
	struct sg_msg_token_event event; /* SG_EVENT_TOUCH_WANTED */
	time_t since;
};

/* Keeps a copy of the event. Without memory or room it is not kept. */
void sg_untouched_note(struct sg_module *module, const struct sg_msg_token_event *event);

/* Of this token, for this process's call, one waits less. */
void sg_untouched_over(struct sg_module *module, const struct sg_msg_token_event *event);

/* None waits any more. */
void sg_untouched_clear(struct sg_module *module);

#endif
