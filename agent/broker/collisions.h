/*
 * Looking for collision attacks on SHA-1 in what came from others, before it is signed (K7): by
 * sha1cdsum, a child that gets the bytes on standard input. What it says is remembered by the
 * SHA-256 of the bytes, so that the same ones cost one run in an agent's life.
 */
#ifndef SG_BROKER_COLLISIONS_H
#define SG_BROKER_COLLISIONS_H

#include <event2/event.h>

#include "buf.h"
#include "error.h"

#define SG_COLLISIONS_MS	  5000 /* then it is killed */
#define SG_COLLISIONS_RUNNING_MAX 8    /* at a time; more are not looked at */
#define SG_COLLISIONS_KNOWN_MAX	  128  /* outcomes that are remembered */

struct sg_collisions;
struct sg_reaper;

enum sg_collision {
	SG_COLLISION_UNCHECKED, /* it could not be found out, or there is any doubt */
	SG_COLLISION_NONE,
	SG_COLLISION_FOUND,
};

/* program: the absolute path of sha1cdsum; borrowed. SG_ERR_NOMEM. */
SG_MUST_USE int sg_collisions_new(struct event_base *base, struct sg_reaper *reaper,
    const char *program, struct sg_collisions **collisions);
void sg_collisions_free(struct sg_collisions *collisions); /* NULL is fine */

/* All that runs is ended, with the outcome UNCHECKED; nothing is started any more. */
void sg_collisions_stop(struct sg_collisions *collisions);

/* why: of UNCHECKED, a part of a sentence; valid during the call. */
typedef void sg_collision_fn(void *arg, enum sg_collision outcome, const char *why);

/*
 * Looks at the bytes, which are not needed any more when this returns. fn is called once: at once,
 * or from the loop. Never waits. UNCHECKED is not remembered.
 */
void sg_collisions_look(struct sg_collisions *collisions, const struct sg_blob *bytes,
    const unsigned char sha256[32], sg_collision_fn *fn, void *arg);

/* How often the program was started. */
unsigned sg_collisions_runs(const struct sg_collisions *collisions);

#endif
