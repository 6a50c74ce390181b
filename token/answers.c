#include "answers.h"

#include "layout.h"
#include "log.h"
#include "msg.h"

int sg_answers_init(struct sg_answers *answers, int sock)
{
	pthread_mutex_init(&answers->lock, NULL);
	answers->waiting = 0;
	return sg_channel_new(&answers->out, sock);
}

void sg_answers_clear(struct sg_answers *answers)
{
	sg_channel_free(answers->out);
	pthread_mutex_destroy(&answers->lock);
	answers->out = NULL;
}

unsigned sg_answers_put(struct sg_answers *answers, const struct sg_frame *frame, uint16_t type,
    union sg_token_answer *answer)
{
	struct sg_msg_error error = { 0 };
	unsigned waiting;
	int err;

	pthread_mutex_lock(&answers->lock);
	err = sg_channel_put(answers->out, frame->id, type, answer, -1);
	/* Not fit for a frame: too large, or a token's text that is no UTF-8. Nobody waits for it
	 * in vain. */
	if (err != 0) {
		sg_msg_error_set(&error, err, NULL,
		    err == SG_ERR_LIMIT ? "the answer is larger than a frame may be"
					: "the answer cannot be put into a frame");
		err = sg_channel_put(answers->out, frame->id, SG_MSG_ERROR, &error, -1);
	}
	waiting = ++answers->waiting;
	pthread_mutex_unlock(&answers->lock);
	if (err != 0)
		sg_log(SG_LOG_WARN, "an answer cannot be sent: %s", sg_err_text(err));
	sg_layout_clear(&sg_layout_error, &error);
	return waiting;
}

/* The lock is held. */
static int flush(struct sg_answers *answers)
{
	int err = sg_channel_flush(answers->out);

	answers->waiting = 0;
	return err > 0 ? SG_ERR_TIMEOUT : err; /* the socket blocks: only for SO_SNDTIMEO */
}

void sg_answers_write(struct sg_answers *answers)
{
	int err = 0;

	pthread_mutex_lock(&answers->lock);
	if (answers->waiting > 0)
		err = flush(answers);
	pthread_mutex_unlock(&answers->lock);
	if (err != 0)
		sg_log(SG_LOG_WARN, "answers cannot be sent: %s", sg_err_text(err));
}

int sg_answers_send(struct sg_answers *answers, uint32_t id, uint16_t type, const void *msg)
{
	int err;

	pthread_mutex_lock(&answers->lock);
	err = sg_channel_put(answers->out, id, type, msg, -1);
	if (err == 0)
		err = flush(answers);
	pthread_mutex_unlock(&answers->lock);
	return err;
}
