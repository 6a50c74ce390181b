/*
 * What the verbs of the keyring share.
 */
#ifndef SG_BROKER_VERBS_KEYRING_H
#define SG_BROKER_VERBS_KEYRING_H

#include <stdint.h>

#include <jansson.h>

#include "error.h"

struct sg_call;

/* The parameter "after"; 0 when the call has failed. */
SG_MUST_USE int sg_call_take_after(struct sg_call *call, int64_t *after);

/* What the next call gives as "after", or null. */
json_t *sg_json_next(int more, int64_t last);

#endif
