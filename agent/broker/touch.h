/*
 * Telling a person to touch a token: the touch-command of signet.conf(5).
 */
#ifndef SG_BROKER_TOUCH_H
#define SG_BROKER_TOUCH_H

#include "agent.h"
#include "msg.h"

#define SG_TOUCH_COMMAND_MS 10000 /* then it is killed */

struct sg_touches;

/* SG_ERR_NOMEM. */
SG_MUST_USE int sg_touches_new(struct sg_agent *agent, struct sg_touches **touches);
void sg_touches_free(struct sg_touches *touches);

/* Runs the command, if there is one, as COMMAND LABEL PURPOSE, without a shell, and does not wait
 * for it. While one runs for this token, no other is started. One that cannot be run is logged. */
void sg_touch_wanted(struct sg_touches *touches, const struct sg_msg_token_event *event);

#endif
