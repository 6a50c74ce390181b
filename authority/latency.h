/*
 * How long something took: a histogram of seconds, as monitoring wants it.
 */
#ifndef SG_AUTHORITY_LATENCY_H
#define SG_AUTHORITY_LATENCY_H

#include <stdint.h>

#include "buf.h"

#define SG_LATENCY_BUCKETS 12

/* Zero-initialise it. */
struct sg_latency {
	/* Of each bucket alone; the last has no upper bound. */
	uint64_t counts[SG_LATENCY_BUCKETS + 1];
	double sum;
};

/* Seconds since some moment before the start, for differences. */
double sg_latency_now(void);

void sg_latency_add(struct sg_latency *latency, double seconds);

/* The lines of a histogram of this name, without HELP and TYPE. */
void sg_latency_write(const struct sg_latency *latency, const char *name, struct sg_buf *text);

#endif
