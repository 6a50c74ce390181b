/*
 * The process: a few threads, each of which reads a request and answers it.
 */
#ifndef SG_TOKEN_WORKER_H
#define SG_TOKEN_WORKER_H

#include "error.h"

#define SG_WORKER_THREADS	4  /* that sign, search, generate */
#define SG_WORKER_LOGIN_THREADS 16 /* logins at a time: each may wait for a person */
#define SG_WORKER_END_THREADS	2  /* that log out and release: they wait behind no other request */
#define SG_WORKER_QUEUE_MAX	64 /* requests read and not begun; then reading stops */
#define SG_WORKER_QUEUE_SPARE                                                                      \
	64		   /* more of them, while a thread waits for an answer of the broker */
#define SG_WORKER_STOP_S 2 /* for requests in the module to end, when the channel has closed */

struct sg_worker_options {
	int authority;
	const char *module; /* "system" or a path */
	const char *module_dirs;
	const char *init; /* NULL, or what C_Initialize() gets in pReserved */
};

/*
 * Serves the channel until the peer closes it, or the module is to be loaded anew (renew.h, or its
 * C_Initialize failed) and a request was told so. A module that does not load is no reason to end
 * otherwise: every request is told. Does not return on a hanging module, but ends the process. Gives the
 * exit status.
 */
int sg_worker_run(const struct sg_worker_options *options, int sock);

#endif
