/*
 * The state of a running authority as text for Prometheus (exposition format 0.0.4).
 */
#ifndef SG_AUTHORITY_METRICS_H
#define SG_AUTHORITY_METRICS_H

#include "buf.h"
#include "component.h"
#include "service.h"

/* Where the numbers come from; borrowed. Zero but for these two at first. */
struct sg_metrics {
	struct sg_service *service;
	const struct sg_component *component;
	struct sg_ledger_stats stats; /* as they were last counted */
	int stats_error;
	int64_t count_at; /* not to be counted again before that, by sg_clock_ms() */
};

/*
 * Writes all of it; an sg_exporter_fn, with a struct sg_metrics. Certificates are counted at most for a
 * hundredth of the time, however often somebody asks: in a large ledger the numbers are a little older.
 */
void sg_metrics_write(void *arg, struct sg_buf *text);

#endif
