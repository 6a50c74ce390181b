/*
 * A thread that looks at the slots once a second, so that a token's removal is noticed while nobody
 * asks for anything, and asks pcscd more often: a card that is its own reader leaves no trace when
 * the next one has taken its place. It sleeps for good unless a token on a removable reader has a
 * login to lose or a PIN is entered for it, or the broker wants to know of tokens that come and go.
 */
#ifndef SG_TOKEN_WATCH_H
#define SG_TOKEN_WATCH_H

#include <time.h>

#include "module.h"
#include "token.h"

#define SG_WATCH_MS	 1000
#define SG_WATCH_STAY_MS 200

/* SG_ERR_NOMEM, SG_ERR_INTERNAL. */
SG_MUST_USE int sg_watch_start(struct sg_module *module);

/* Something is to be watched, maybe. Without a thread, nothing happens. */
void sg_watch_poke(struct sg_module *module);

/* Around the time in which a PIN is entered for the token: its reader is watched, and the thread is
 * outside of the module (gate.h). What the first gives is for the second. */
unsigned sg_watch_asked(struct sg_token *token);
void sg_watch_answered(struct sg_token *token, unsigned depth);

/* Events for tokens that come and go from now on, or no longer. What sg_token_scan() says. */
SG_MUST_USE int sg_watch_set(struct sg_module *module, int on, struct sg_msg_error *error);

/* Ends the thread: 1 when it has ended before the deadline (sg_cond_deadline()), 0 when it is in
 * the module still. */
int sg_watch_stop(struct sg_module *module, const struct timespec *deadline);

#endif
