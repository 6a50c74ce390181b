/*
 * Waiting for another thread, with a clock that nobody sets.
 */
#ifndef SG_TOKEN_COND_H
#define SG_TOKEN_COND_H

#include <pthread.h>
#include <stdint.h>
#include <time.h>

/* A condition whose waits end by the monotonic clock. */
void sg_cond_init(pthread_cond_t *cond);

/* The moment in so many milliseconds, for pthread_cond_timedwait(). */
struct timespec sg_cond_deadline(int64_t ms);

#endif
