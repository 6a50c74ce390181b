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

#define SG_TOUCH_MS	 300
#define SG_TOUCH_THREADS 64 /* whose signatures are watched */

/* SG_ERR_INTERNAL without a thread. */
SG_MUST_USE int sg_touch_start(void);

/* Ends the thread. */
void sg_touch_stop(void);

/* Whose request this thread works on from now on; NULL: nobody's. Valid until it is set anew. */
void sg_touch_caller(const struct sg_caller *caller);

/* Around a call that signs. */
void sg_touch_begin(struct sg_token *token);
void sg_touch_end(void);

#endif
