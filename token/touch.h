/*
 * A signature that takes so long that the token seems to wait for somebody's touch is told to the
 * broker, and told again when it is over.
 *
 * One of these in a process. Without sg_touch_start() nothing is watched, at no cost.
 */
#ifndef SG_TOKEN_TOUCH_H
#define SG_TOKEN_TOUCH_H

#include "msg.h"
#include "token.h"

#define SG_TOUCH_MS	 300 /* a signature that takes longer may wait for a touch */
#define SG_TOUCH_THREADS 64  /* whose signatures are watched */

/* Once in a process. SG_ERR_INTERNAL without a thread. */
SG_MUST_USE int sg_touch_start(void);

/* Ends the thread. */
void sg_touch_stop(void);

/* The id of the request that this thread works on from now on; 0: none. */
void sg_touch_request(uint32_t id);

/* Whose request this thread works on from now on; NULL: nobody's. Valid until it is set anew. */
void sg_touch_caller(const struct sg_caller *caller);

const struct sg_caller *sg_touch_caller_now(void);

/* Around a call that signs. */
void sg_touch_begin(struct sg_token *token);
void sg_touch_end(void);

/* A request that takes long since it began to sign. */
struct sg_touch_wait {
	struct sg_token *token; /* the module's */
	uint32_t id;		/* of the request */
	int64_t begun;		/* when its first signature began, by sg_clock_ms() */
};

/* Gives how many there are. */
size_t sg_touch_waits(struct sg_touch_wait waits[SG_TOUCH_THREADS]);

#endif
