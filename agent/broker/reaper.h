/*
 * Child processes that are no longer needed: waited for, and killed when they do not end.
 */
#ifndef SG_BROKER_REAPER_H
#define SG_BROKER_REAPER_H

#include <sys/types.h>

#include <event2/event.h>

#include "error.h"

struct sg_reaper;

/* Listens for SIGCHLD on this base. SG_ERR_NOMEM. */
SG_MUST_USE int sg_reaper_new(struct event_base *base, struct sg_reaper **reaper);
void sg_reaper_free(struct sg_reaper *reaper);

/*
 * Takes a child over: it is killed with SIGKILL after grace_ms (0: at once) unless it has ended
 * by itself, and waited for without blocking.
 */
void sg_reaper_add(struct sg_reaper *reaper, pid_t pid, int grace_ms);

/* Whether a child that was taken over has not ended yet. */
int sg_reaper_has(const struct sg_reaper *reaper, pid_t pid);

/*
 * Calls fn from the loop once the child, which was taken over, has ended. Gives 0, and never calls
 * it, when it has ended already.
 */
typedef void sg_reaped_fn(void *arg);
SG_MUST_USE int sg_reaper_wait(struct sg_reaper *reaper, pid_t pid, sg_reaped_fn *fn, void *arg);

/* Runs the loop until every child taken over has ended. */
void sg_reaper_drain(struct sg_reaper *reaper);

#endif
