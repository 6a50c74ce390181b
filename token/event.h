/*
 * What the broker is told of tokens unasked.
 */
#ifndef SG_TOKEN_EVENT_H
#define SG_TOKEN_EVENT_H

#include "msg.h"
#include "token.h"

/* caller may be NULL. Nobody may be there to be told. */
void sg_event_tell(struct sg_token *token, uint32_t kind, const struct sg_caller *caller);

#endif
