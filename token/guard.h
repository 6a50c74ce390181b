/*
 * A token that is pulled while it signs: OpenSC's module never comes back from such a call, and
 * holds its lock, so that it cannot even list slots. A thread looks after requests that sign and
 * take long (touch.h). When the token of one has gone, by pcscd's word or by the module's, and it
 * does not end soon, the process does: whoever waits is told, secrets are wiped, and the broker
 * starts another.
 *
 * One of these in a process. The thread sleeps unless such a request takes long.
 */
#ifndef SG_TOKEN_GUARD_H
#define SG_TOKEN_GUARD_H

#include <time.h>

#include "module.h"

#define SG_GUARD_MS	 250  /* between two looks */
#define SG_GUARD_GONE_MS 1000 /* in which a request may end by itself when its token has gone */

/* Once in a process; module->host must be set. SG_ERR_INTERNAL without a thread. */
SG_MUST_USE int sg_guard_start(struct sg_module *module);

/* A request takes long, as touch.c has seen. Nothing happens without sg_guard_start(). */
void sg_guard_poke(void);

/* Ends the thread: 1 when it has ended before the deadline (sg_cond_deadline()), 0 when it waits
 * for pcscd. */
int sg_guard_stop(const struct timespec *deadline);

#endif
