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
 * descriptor 3, standard input from /dev/null and no other descriptor above 2. The child dies
 * with the parent (PR_SET_PDEATHSIG). Gives the child's pid and the parent's end of the socket
 * (blocking, close-on-exec). SG_ERR_IO.
 */
SG_MUST_USE int sg_spawn_worker(const char *path, char *const argv[], pid_t *pid, int *sock);

/*
 * fork(2) for a child that is to exec: no handler of ours runs in it, signals are as they are by
 * default and none is blocked, and it dies with this process (PR_SET_PDEATHSIG), also when that
 * has ended already. Gives what fork() gives; in a child where it does not work, that ends with
 * status 127.
 */
pid_t sg_spawn_fork(void);

/*
 * The absolute path of one of our programs, in a new string: beside the running one, else in the
 * libexec folder set at build. SG_ERR_IO when it is in neither or may not be run, SG_ERR_ARG for
 * a name with a '/', SG_ERR_NOMEM.
 */
SG_MUST_USE int sg_spawn_program_path(const char *name, char **path);

#endif
