/*
 * The PIN that a token keeps for itself while it is unlocked.
 *
 * Nothing here waits: a PIN that is at work in a call that hangs is gone for everybody else once it
 * is wiped, and for the call when that returns.
 */
#ifndef SG_TOKEN_HELD_H
#define SG_TOKEN_HELD_H

#include "token.h"

/* Holds the PIN, in place of any other; *held is empty then. */
void sg_held_set(struct sg_token *token, struct sg_held *held);

/* Takes the PIN out for use: 1, or 0 and an empty *held. Who holds secret_lock does it, and gives
 * it back, or frees it (sg_held_clear()) after sg_held_wipe(). */
int sg_held_take(struct sg_token *token, struct sg_held *held);

/* Puts it back, or wipes it when it was to be wiped meanwhile; *held is empty then. */
void sg_held_give(struct sg_token *token, struct sg_held *held);

/* Gives 1 when there was one. */
int sg_held_wipe(struct sg_token *token);

/* Whether there is one, and whether it is held while the token is away, too. */
int sg_held_is(struct sg_token *token);
int sg_held_returns(struct sg_token *token);

/* Wipes and frees what was taken. */
void sg_held_clear(struct sg_held *held);

#endif
