#include "queue.h"

#include <stddef.h>
#include <stdlib.h>

#include "msg.h"

void sg_queue_init(struct sg_queue *queue)
{
	TAILQ_INIT(&queue->list);
	queue->count = 0;
	queue->turn = 0;
}

/* For which process a request is made. Those to a token begin with their caller, all but the list
 * of tokens. */
static uint32_t whose(uint16_t type, const void *msg)
{
	_Static_assert(offsetof(struct sg_msg_token_ref, caller) == 0 &&
		offsetof(struct sg_msg_key_generate, caller) == 0 &&
		offsetof(struct sg_msg_object_list, caller) == 0 &&
		offsetof(struct sg_msg_cert_store, caller) == 0 &&
		offsetof(struct sg_msg_csr_make, caller) == 0 &&
		offsetof(struct sg_msg_self_cert_make, caller) == 0 &&
		offsetof(struct sg_msg_cross_sign, caller) == 0 &&
		offsetof(struct sg_msg_tls_sign, caller) == 0,
	    "the caller comes first");
	const struct sg_caller *caller = msg;

	return type >= SG_MSG_TOKEN_LOGOUT && type <= SG_MSG_TLS_SIGN ? caller->pid : 0;
}

/*
 * After all that have its turn or an earlier one. A process's requests get turns one after the
 * other, from that which is being served now, so each process is served once in a turn.
 */
int sg_queue_put(
    struct sg_queue *queue, struct sg_waiting *waiting, void *owner, uint16_t type, const void *msg)
{
	struct sg_waiting *other;
	int err;

	if (queue->count >= SG_QUEUE_MAX)
		return SG_ERR_LIMIT;
	err = sg_layout_encode(sg_msg_layout(type), msg, &waiting->message);
	if (err != 0)
		return err;
	waiting->owner = owner;
	waiting->type = type;
	waiting->whose = whose(type, msg);
	waiting->turn = queue->turn;
	TAILQ_FOREACH(other, &queue->list, entry) {
		if (other->whose == waiting->whose && other->turn >= waiting->turn)
			waiting->turn = other->turn + 1;
	}
	TAILQ_FOREACH(other, &queue->list, entry) {
		if (other->turn > waiting->turn)
			break;
	}
	if (other != NULL)
		TAILQ_INSERT_BEFORE(other, waiting, entry);
	else
		TAILQ_INSERT_TAIL(&queue->list, waiting, entry);
	queue->count++;
	return 0;
}

void sg_queue_remove(struct sg_queue *queue, struct sg_waiting *waiting)
{
	TAILQ_REMOVE(&queue->list, waiting, entry);
	queue->count--;
}

void *sg_queue_drop(struct sg_queue *queue)
{
	struct sg_waiting *waiting = TAILQ_FIRST(&queue->list);

	if (waiting == NULL)
		return NULL;
	sg_queue_remove(queue, waiting);
	queue->turn = waiting->turn;
	return waiting->owner;
}

void *sg_queue_take(struct sg_queue *queue, void **msg)
{
	struct sg_waiting *waiting = TAILQ_FIRST(&queue->list);
	const struct sg_layout *layout = sg_msg_layout(waiting->type);
	struct sg_cursor cursor = { waiting->message.data, waiting->message.data };

	if (waiting->message.len > 0) /* else there may be no data at all */
		cursor.end += waiting->message.len;
	*msg = calloc(1, layout->size);
	if (*msg != NULL && sg_layout_decode(layout, &cursor, *msg) != 0) {
		free(*msg);
		*msg = NULL;
	}
	sg_buf_clear(&waiting->message);
	return sg_queue_drop(queue);
}
