/*
 * Starting a worker process with its channel.
 */
#ifndef SG_PROTO_SPAWN_H
#define SG_PROTO_SPAWN_H

#include <sys/types.h>

#include "error.h"

#define SG_WORKER_FD 3 /* where a worker finds its end of the socketpair */

/*
 * Starts the program (an absolute path; argv[0] is by custom its name) with the socket as
 * descriptor 3, standard input from /dev/null and no other descriptor above 2. The child dies with
 * the parent (PR_SET_PDEATHSIG). Gives the child's pid and the parent's end of the socket (blocking,
 * close-on-exec). SG_ERR_IO.
 */
SG_MUST_USE int sg_spawn_worker(const char *path, char *const argv[], pid_t *pid, int *sock);

/*
 * The absolute path of one of our programs: beside the running one, else in the libexec folder set at
 * build. A new string, or NULL.
 */
char *sg_spawn_program_path(const char *name);

#endif
