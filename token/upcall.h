/*
 * Requests of this process to its broker, which go the other way than all others.
 */
#ifndef SG_TOKEN_UPCALL_H
#define SG_TOKEN_UPCALL_H

#include <pthread.h>
#include <stdint.h>

#include "channel.h"
#include "error.h"
#include "msg.h"

#define SG_UPCALL_FIRST_ID   (1u << 31) /* of our own requests; the broker's are below */
#define SG_UPCALL_MAX	     32		/* that wait at a time: more than there are threads */
#define SG_UPCALL_TIMEOUT_MS 10000	/* for who has no reason to wait longer or shorter */

struct sg_upcall {
	uint32_t id; /* 0: a free place */
	int done;
	int code; /* once done */
};

struct sg_upcalls {
	pthread_mutex_t lock; /* protects all below */
	pthread_cond_t answered;
	struct sg_upcall calls[SG_UPCALL_MAX];
	uint32_t last_id;
	int stopped;
};

/* Sends one frame: 0 or a negative SG_ERR_*. Any thread may call it. */
typedef int sg_upcall_send_fn(void *arg, uint32_t id, uint16_t type, const void *msg);

/* They live as long as the process: nothing clears them. */
void sg_upcalls_init(struct sg_upcalls *calls);

/* Sends a request whose answer is SG_MSG_OK, and waits for it: 0, what the broker's error says,
 * SG_ERR_TIMEOUT, SG_ERR_IO when there is no broker any more, SG_ERR_LIMIT over SG_UPCALL_MAX. */
SG_MUST_USE int sg_upcall_ask(struct sg_upcalls *calls, sg_upcall_send_fn *send, void *arg,
    uint16_t type, const void *msg, int timeout_ms);

/* Gives an answer to who waits for it; one that comes too late is dropped. The frame stays the
 * caller's. */
void sg_upcall_answer(struct sg_upcalls *calls, const struct sg_frame *frame);

/* The broker has gone: whoever waits, or will, is told. */
void sg_upcalls_stop(struct sg_upcalls *calls);

#endif
