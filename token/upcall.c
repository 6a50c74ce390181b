#include "upcall.h"

#include <string.h>

#include "cond.h"

void sg_upcalls_init(struct sg_upcalls *calls)
{
	memset(calls, 0, sizeof(*calls));
	pthread_mutex_init(&calls->lock, NULL);
	sg_cond_init(&calls->answered);
}

/* Takes a free place; NULL when there is none. The lock is held. */
static struct sg_upcall *call_begin(struct sg_upcalls *calls)
{
	size_t i;

	for (i = 0; i < SG_UPCALL_MAX; i++) {
		if (calls->calls[i].id == 0) {
			calls->last_id = SG_UPCALL_FIRST_ID | (calls->last_id + 1);
			calls->calls[i] = (struct sg_upcall){ .id = calls->last_id };
			return &calls->calls[i];
		}
	}
	return NULL;
}

int sg_upcall_ask(struct sg_upcalls *calls, sg_upcall_send_fn *send, void *arg, uint16_t type,
    const void *msg, int timeout_ms)
{
	struct sg_upcall *call = NULL;
	struct timespec deadline;
	int err = SG_ERR_IO;

	deadline = sg_cond_deadline(timeout_ms);
	pthread_mutex_lock(&calls->lock);
	if (calls->stopped)
		goto out;
	call = call_begin(calls);
	err = SG_ERR_LIMIT;
	if (call == NULL)
		goto out;
	/* Not under the lock: the reading thread takes it, and must go on reading meanwhile. */
	pthread_mutex_unlock(&calls->lock);
	err = send(arg, call->id, type, msg);
	pthread_mutex_lock(&calls->lock);
	while (err == 0 && !call->done && !calls->stopped) {
		if (pthread_cond_timedwait(&calls->answered, &calls->lock, &deadline) != 0)
			break;
	}
	if (err == 0 && call->done)
		err = call->code;
	else if (err == 0)
		err = calls->stopped ? SG_ERR_IO : SG_ERR_TIMEOUT;
	call->id = 0;
out:
	pthread_mutex_unlock(&calls->lock);
	return err;
}

static int code_of(const struct sg_frame *frame)
{
	const struct sg_msg_error *error = frame->msg;

	if (frame->type == SG_MSG_OK)
		return 0;
	return frame->type == SG_MSG_ERROR && sg_msg_error_code(error) != 0
	    ? sg_msg_error_code(error)
	    : SG_ERR_INTERNAL;
}

void sg_upcall_answer(struct sg_upcalls *calls, const struct sg_frame *frame)
{
	size_t i;

	pthread_mutex_lock(&calls->lock);
	for (i = 0; i < SG_UPCALL_MAX; i++) {
		if (calls->calls[i].id != frame->id)
			continue;
		calls->calls[i].code = code_of(frame);
		calls->calls[i].done = 1;
		pthread_cond_broadcast(&calls->answered);
	}
	pthread_mutex_unlock(&calls->lock);
}

void sg_upcalls_stop(struct sg_upcalls *calls)
{
	pthread_mutex_lock(&calls->lock);
	calls->stopped = 1;
	pthread_cond_broadcast(&calls->answered);
	pthread_mutex_unlock(&calls->lock);
}
