/*
 * The interface: which methods there are, what their parameters are, who does them.
 */
#ifndef SG_BROKER_VARLINK_H
#define SG_BROKER_VARLINK_H

#include <stddef.h>

#include <jansson.h>

struct sg_call;

/* How many descriptors the parameters of a message name: the highest index and one. */
size_t sg_varlink_fds_wanted(const json_t *message);

/* Takes the message into the call, checks it, and starts the verb or fails the call. */
void sg_varlink_dispatch(struct sg_call *call, json_t *message);

#endif
