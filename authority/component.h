/*
 * The connection to the XMPP server as an external component (XEP-0114), through libstrophe: kept up
 * by itself, with growing pauses while the server is away or refuses the secret.
 */
#ifndef SG_AUTHORITY_COMPONENT_H
#define SG_AUTHORITY_COMPONENT_H

#include <poll.h>
#include <stdint.h>

#include "config.h"
#include "delegation.h"
#include "error.h"

struct sg_component;

/* One per process. What it is given must outlive it. Connects at the first step. SG_ERR_NOMEM,
 * SG_ERR_INTERNAL. */
SG_MUST_USE int sg_component_new(const struct sg_authority_config *config,
    const struct sg_delegation *delegation, struct sg_component **component);

/* Ends the stream; NULL is fine. */
void sg_component_free(struct sg_component *component);

/*
 * What to wait for before the next step: fills pfd (fd -1: nothing to wait for) and gives the longest
 * time to wait in milliseconds, -1 for any time: online and idle there is no wake-up.
 */
int sg_component_prepare(struct sg_component *component, struct pollfd *pfd);

/* Whether the server has taken us, and how many connections were begun so far. */
int sg_component_is_online(const struct sg_component *component);
uint64_t sg_component_tries(const struct sg_component *component);

/* Reads, answers, writes, connects again when that is due. Takes nothing from a server that leaves its answers
 * unread. */
void sg_component_step(struct sg_component *component);

#endif
