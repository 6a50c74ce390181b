/*
 * How often each account may ask: so many requests at once, and from then on as many a minute. It is a
 * table of a fixed size, whoever asks and however many.
 */
#ifndef SG_AUTHORITY_RATE_H
#define SG_AUTHORITY_RATE_H

#include <stdint.h>

#include "error.h"

/*
 * Accounts that are remembered. One that was silent for a minute is forgotten at no loss; when
 * others crowd it out before, it may ask anew: the limit is there against one account, not against many.
 */
#define SG_RATE_ACCOUNTS 16384

struct sg_rate;

/* per_minute is at least 1. SG_ERR_NOMEM, SG_ERR_INTERNAL. */
SG_MUST_USE int sg_rate_new(unsigned int per_minute, struct sg_rate **rate);
void sg_rate_free(struct sg_rate *rate); /* NULL is fine */

/* Counts a request of the account at this time (sg_clock_ms()). 0 when it is one too many: that does not count. */
int sg_rate_take(struct sg_rate *rate, const char *account, int64_t now_ms);

#endif
