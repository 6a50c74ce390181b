/*
 * What goes to the broker: answers, and what it is told or asked. Each write wakes the broker, and
 * its reply the client, which takes as long as half a P-256 signature: so answers may wait for each
 * other.
 */
#ifndef SG_TOKEN_ANSWERS_H
#define SG_TOKEN_ANSWERS_H

#include <pthread.h>
#include <stdint.h>

#include "channel.h"
#include "dispatch.h"
#include "error.h"

struct sg_answers {
	pthread_mutex_t lock; /* protects all below */
	struct sg_channel *out;
	unsigned waiting; /* answers that are not written */
};

/* Takes the socket over as sg_channel_new() does, and fails as it does. */
SG_MUST_USE int sg_answers_init(struct sg_answers *answers, int sock);
void sg_answers_clear(struct sg_answers *answers);

/* Has the answer to a frame wait until sg_answers_write(), or any other frame is sent. One that
 * does not fit into a frame is an error in its place. The answer stays the caller's. Gives how many
 * wait now. */
unsigned sg_answers_put(struct sg_answers *answers, const struct sg_frame *frame, uint16_t type,
    union sg_token_answer *answer);

/* Writes all that wait; those that cannot be written are told in the log: who reads the channel
 * sees its end. */
void sg_answers_write(struct sg_answers *answers);

/* Writes a frame that answers none, behind all that wait. Fails as sg_channel_send() does. */
SG_MUST_USE int sg_answers_send(
    struct sg_answers *answers, uint32_t id, uint16_t type, const void *msg);

#endif
