/*
 * When a certificate is to be renewed: at a share of its lifetime, a few per cent of that earlier by
 * a jitter of its own, so that many that were issued together are not all renewed together. It is a
 * function of the certificate alone: neither a restart nor a clock that is set moves it.
 */
#ifndef SG_BROKER_RENEWAL_H
#define SG_BROKER_RENEWAL_H

#include <stdint.h>

#include "buf.h"
#include "error.h"

#define SG_RENEWAL_AT_DEFAULT 66 /* per cent of the lifetime: 2/3 */
#define SG_RENEWAL_AT_MAX     99
#define SG_RENEWAL_JITTER     3 /* per cent of the lifetime; never more than half the way there */

/* Seconds since 1970. */
struct sg_renewal {
	int64_t not_before, not_after;
	int64_t due; /* between them */
};

/* By its validity, the per cent (1 to SG_RENEWAL_AT_MAX), and the certificate's SHA-256 in hex, which
 * the jitter is taken from. A validity that ends before it begins is due when it begins. */
void sg_renewal_set(struct sg_renewal *renewal, unsigned at, const char *sha256);

/* The same out of a certificate. SG_ERR_FORMAT, SG_ERR_LIMIT, SG_ERR_NOMEM: *renewal is zero. */
SG_MUST_USE int sg_renewal_of(
    const struct sg_blob *certificate, unsigned at, struct sg_renewal *renewal);

/* Whether it is due at that time: also when it has expired, not while it is not valid yet. */
int sg_renewal_is_due(const struct sg_renewal *renewal, int64_t now);

/* Whether nobody logs in with it any more at that time. */
int sg_renewal_is_over(const struct sg_renewal *renewal, int64_t now);

#endif
