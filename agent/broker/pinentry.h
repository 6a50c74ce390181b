/*
 * Starting a pinentry for signet-token to talk to. What it says never passes through this process.
 */
#ifndef SG_BROKER_PINENTRY_H
#define SG_BROKER_PINENTRY_H

#include <sys/types.h>

#include "error.h"

#define SG_PINENTRY_GRACE_MS 500 /* for one that is no longer needed to end by itself */

/*
 * Starts the program with one end of a socketpair as its standard input and output. Gives its pid
 * and the other end, to be passed on and closed. display may be NULL. SG_ERR_UNSUPPORTED when there
 * is no such program, SG_ERR_IO.
 */
SG_MUST_USE int sg_pinentry_start(const char *program, const char *display, pid_t *pid, int *sock);

#endif
