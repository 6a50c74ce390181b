/*
 * signet-xmpp's life: frames of the broker on one side, the account's stream on the other.
 */
#ifndef SG_XMPP_WORKER_H
#define SG_XMPP_WORKER_H

#include "error.h"

/* Serves the channel on this socket (taken over) until its other end goes away: 0 then, or the error
 * that made going on impossible. */
SG_MUST_USE int sg_worker_run(int sock);

#endif
