/*
 * Requests that wait for a worker. The processes for which they are made are served in turn, so one
 * that asks much does not hold up the others.
 */
#ifndef SG_BROKER_QUEUE_H
#define SG_BROKER_QUEUE_H

#include <stdint.h>
#include <sys/queue.h>

#include "buf.h"
#include "error.h"

#define SG_QUEUE_MAX 1024

/* A place in a queue; part of what waits. */
struct sg_waiting {
	TAILQ_ENTRY(sg_waiting) entry;
	void *owner;
	uint16_t type;
	uint32_t whose; /* the process it is made for; 0: anybody's */
	uint64_t turn;
	struct sg_buf message; /* encoded; to be cleared with the owner */
};
TAILQ_HEAD(sg_waiting_list, sg_waiting);

struct sg_queue {
	struct sg_waiting_list list; /* by their turns */
	unsigned count;
	uint64_t turn; /* of the one that was taken last */
};

void sg_queue_init(struct sg_queue *queue);

/* Puts the owner, of which waiting is a part, with a copy of its message in the queue. SG_ERR_LIMIT
 * when SG_QUEUE_MAX wait, SG_ERR_NOMEM, SG_ERR_FORMAT (text that is not UTF-8). */
SG_MUST_USE int sg_queue_put(struct sg_queue *queue, struct sg_waiting *waiting, void *owner,
    uint16_t type, const void *msg);

/* Takes the owner whose turn it is out of a queue that is not empty; *msg is its message, to be
 * cleared and freed, or NULL when there is no memory. */
void *sg_queue_take(struct sg_queue *queue, void **msg);

/* Takes one out that is in it. */
void sg_queue_remove(struct sg_queue *queue, struct sg_waiting *waiting);

/* Takes the next owner without its message; NULL when there is none. */
void *sg_queue_drop(struct sg_queue *queue);

#endif
