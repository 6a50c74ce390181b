/*
 * The names of keys that a call is about: its parameter "names".
 */
#ifndef SG_BROKER_KEY_NAMES_H
#define SG_BROKER_KEY_NAMES_H

#include "call.h"

struct sg_key_names {
	char **list; /* 40 digits of lower-case hex each */
	uint32_t count;
};
void sg_key_names_clear(struct sg_key_names *names);

/* Reads them. SG_ERR_ARG when one is no name, SG_ERR_NOMEM; *names is to be cleared then, too. */
SG_MUST_USE int sg_key_names_read(const struct sg_call *call, struct sg_key_names *names);

/* The failure of a call for that error. */
void sg_key_names_fail(struct sg_call *call, int err);

/* They become the call's state, at least this many; 0 when the call has failed for it. */
SG_MUST_USE int sg_call_take_key_names(struct sg_call *call, uint32_t min);

#endif
