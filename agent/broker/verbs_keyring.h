/*
 * What the verbs of the keyring share, and fingerprints as people write them for all verbs.
 */
#ifndef SG_BROKER_VERBS_KEYRING_H
#define SG_BROKER_VERBS_KEYRING_H

#include <stdint.h>

#include <jansson.h>

#include "error.h"

struct sg_call;

/*
 * A fingerprint as people write it (of either case, blanks, colons and hyphens between the digits)
 * as lower-case hex: the 40 digits of a name, or the 64 of a SHA-256. "" when it is neither. A new
 * string; NULL without memory.
 */
char *sg_fingerprint_take(const char *text);

/* The parameter as such a fingerprint, a new string; NULL when the call has failed. */
char *sg_call_take_fingerprint(struct sg_call *call, const char *parameter);

/* The parameter "after"; 0 when the call has failed. */
SG_MUST_USE int sg_call_take_after(struct sg_call *call, int64_t *after);

/* What the next call gives as "after", or null. */
json_t *sg_json_next(int more, int64_t last);

#endif
