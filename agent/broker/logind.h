/*
 * systemd-logind, where there is one: all PINs are forgotten before the machine sleeps, and when a
 * session of this user is locked. Without a system bus nothing of this happens, and nothing is said
 * of it.
 */
#ifndef SG_BROKER_LOGIND_H
#define SG_BROKER_LOGIND_H

#include "agent.h"

struct sg_logind;

/* Connects to nothing yet. SG_ERR_NOMEM. */
SG_MUST_USE int sg_logind_new(struct sg_agent *agent, struct sg_logind **logind);
void sg_logind_free(struct sg_logind *logind);

/* There is something to be forgotten: connects to the bus unless it is connected. A connection that
 * ended is made anew by this only. */
void sg_logind_want(struct sg_logind *logind);

#endif
