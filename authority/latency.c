#include "latency.h"

#include <inttypes.h>
#include <time.h>

/* From a quick key in software to a token that is about to be given up. As text, too: no locale has a say. */
static const struct {
	double seconds;
	const char *text;
} bounds[SG_LATENCY_BUCKETS] = {
	{ 0.001, "0.001" },
	{ 0.0025, "0.0025" },
	{ 0.005, "0.005" },
	{ 0.01, "0.01" },
	{ 0.025, "0.025" },
	{ 0.05, "0.05" },
	{ 0.1, "0.1" },
	{ 0.25, "0.25" },
	{ 0.5, "0.5" },
	{ 1, "1" },
	{ 5, "5" },
	{ 30, "30" },
};

double sg_latency_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

void sg_latency_add(struct sg_latency *latency, double seconds)
{
	int i = 0;

	while (i < SG_LATENCY_BUCKETS && seconds > bounds[i].seconds)
		i++;
	latency->counts[i]++;
	latency->sum += seconds;
}

void sg_latency_write(const struct sg_latency *latency, const char *name, struct sg_buf *text)
{
	uint64_t below = 0;

	for (int i = 0; i <= SG_LATENCY_BUCKETS; i++) {
		below += latency->counts[i];
		sg_buf_printf(text, "%s_bucket{le=\"%s\"} %" PRIu64 "\n", name,
		    i < SG_LATENCY_BUCKETS ? bounds[i].text : "+Inf", below);
	}
	sg_buf_printf(text, "%s_sum %.6f\n%s_count %" PRIu64 "\n", name, latency->sum, name, below);
}
