/*
 * Answers requests over a channel, one after another.
 */
#ifndef SG_PGP_SERVE_H
#define SG_PGP_SERVE_H

#include "error.h"

/* Serves the socket until its other end is closed or nothing was asked for SG_PGP_IDLE_MS: 0; or
 * until a frame is malformed or there is no memory: the error. */
SG_MUST_USE int sg_pgp_serve(int sock);

#endif
