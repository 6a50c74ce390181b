/*
 * The requests that threads work on: which of them nobody wants any more, and whose turn it is at a
 * token that makes one signature at a time. A card may want to be touched for each: who waits in
 * the module for its turn could not be called off.
 *
 * One of these in a process.
 */
#ifndef SG_TOKEN_TURN_H
#define SG_TOKEN_TURN_H

#include "error.h"
#include "token.h"

/* This thread works on the request with this id, until the end. */
void sg_turn_begin(uint32_t id);
void sg_turn_end(void);

/* Nobody wants that request any more: it makes no further signature. Nothing for one that no thread
 * works on. */
void sg_turn_cancel(uint32_t id);

/*
 * Before a signature: waits, on a token in a reader, until no other thread signs with it; first
 * come, first served. SG_ERR_PIN_CANCELLED when nobody wants the request any more; else the turn is
 * to be given back.
 */
SG_MUST_USE int sg_turn_take(struct sg_token *token);
void sg_turn_give(struct sg_token *token);

#endif
