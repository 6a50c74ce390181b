#include "worker.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "channel.h"
#include "clock.h"
#include "iq.h"
#include "log.h"
#include "requests.h"
#include "secret.h"
#include "stream.h"

#define PASSWORD_TIMEOUT_MS 10000
#define SIGN_TIMEOUT_MS	    30000	/* of the token, a touch included */
#define SIGN_ID_FIRST	    0x80000000u /* ours; the broker's are below */

struct waiting {
	struct waiting *next;
	struct sg_frame frame;
};

struct worker {
	struct sg_channel *channel;
	struct sg_stream *stream;
	struct sg_iqs *iqs;
	struct sg_requests requests;

	struct waiting *first, **end; /* frames that came while a signature was awaited */
	int gone;		      /* the broker's end of the channel is closed */
	int failed;		      /* the channel cannot be read any more: SG_ERR_* */

	int connecting; /* a connect is to be answered, with this id */
	uint32_t connect_id;
	int closing; /* the same for a disconnect */
	uint32_t close_id;
	uint32_t sign_id;
	struct sg_msg_error sign_error; /* why the token did not sign, in this connection */
};

static void answer(struct worker *worker, uint32_t id, uint16_t type, const void *msg)
{
	struct sg_msg_error error = { 0 };
	int err = sg_channel_send(worker->channel, id, type, msg, -1);

	/* Too large for a frame, or text that is no UTF-8: then that is the answer, or why it is offline (id 0). */
	if (err != 0 && err != SG_ERR_IO) {
		sg_msg_error_set(&error, err, NULL, "the answer cannot be put into a frame");
		err = sg_channel_send(
		    worker->channel, id, id != 0 ? SG_MSG_ERROR : SG_MSG_XMPP_OFFLINE, &error, -1);
		sg_msg_clear(SG_MSG_ERROR, &error);
	}
	if (err != 0)
		sg_log(SG_LOG_ERROR, "an answer could not be given to the broker");
}

static void refuse(struct worker *worker, uint32_t id, int code, const char *text)
{
	struct sg_msg_error error;

	sg_msg_error_set(&error, code, NULL, text != NULL ? "%s" : NULL, text);
	answer(worker, id, SG_MSG_ERROR, &error);
	sg_msg_clear(SG_MSG_ERROR, &error);
}

/* Reads once what the broker sent; blocks when there is nothing. */
static void channel_read(struct worker *worker)
{
	int got = sg_channel_fill(worker->channel);

	if (got == 0)
		worker->gone = 1;
	else if (got < 0)
		worker->failed = got;
}

/* The next frame that was read: 1, or 0 when there is none. */
static int channel_next(struct worker *worker, struct sg_frame *frame)
{
	int got = sg_channel_next(worker->channel, frame);

	if (got < 0) {
		sg_log(SG_LOG_ERROR, "the broker sent a malformed frame");
		worker->failed = got;
	}
	return got == 1;
}

/* ---- the TLS client's signature, asked back of the broker ---- */

/* Keeps a frame for later. */
static void frame_wait(struct worker *worker, struct sg_frame *frame)
{
	struct waiting *waiting = calloc(1, sizeof(*waiting));

	if (waiting == NULL) {
		refuse(worker, frame->id, SG_ERR_NOMEM, NULL);
		sg_frame_clear(frame);
		return;
	}
	waiting->frame = *frame;
	*worker->end = waiting;
	worker->end = &waiting->next;
}

/* Waits for the frame with this id; others wait. 0, SG_ERR_TIMEOUT, or the channel's end. */
static int frame_await(struct worker *worker, uint32_t id, int64_t deadline, struct sg_frame *frame)
{
	struct pollfd pfd = { .fd = sg_channel_fd(worker->channel), .events = POLLIN };
	int64_t left;
	int n;

	while (!worker->gone && worker->failed == 0) {
		while (channel_next(worker, frame)) {
			if (frame->id == id)
				return 0;
			frame_wait(worker, frame);
		}
		left = deadline - sg_clock_ms();
		if (left <= 0)
			return SG_ERR_TIMEOUT;
		n = poll(&pfd, 1, (int)left);
		if (n > 0)
			channel_read(worker);
		else if (n < 0 && errno != EINTR)
			worker->failed = SG_ERR_IO;
	}
	return SG_ERR_IO;
}

static int signature_take(
    struct worker *worker, struct sg_frame *frame, unsigned char *sig, size_t *sig_len)
{
	struct sg_msg_der *der = frame->msg;

	if (frame->type == SG_MSG_ERROR) {
		sg_msg_clear(SG_MSG_ERROR, &worker->sign_error);
		worker->sign_error = *(struct sg_msg_error *)frame->msg;
		*(struct sg_msg_error *)frame->msg = (struct sg_msg_error){ 0 };
		return SG_ERR_DENIED;
	}
	if (frame->type != SG_MSG_DER || der->der.len > *sig_len)
		return SG_ERR_FORMAT;
	memcpy(sig, der->der.data, der->der.len);
	*sig_len = der->der.len;
	return 0;
}

/* Called inside libssl, in the midst of a handshake. */
static int on_sign(void *arg, uint16_t scheme, const unsigned char *tbs, size_t tbs_len,
    unsigned char *sig, size_t *sig_len)
{
	struct worker *worker = arg;
	struct sg_msg_tls_sign sign = { .scheme = scheme };
	struct sg_frame frame = { .fd = -1 };
	uint32_t id = SIGN_ID_FIRST | worker->sign_id++;
	int err;

	err = sg_blob_set(&sign.tbs, tbs, tbs_len);
	if (err == 0)
		err = sg_channel_send(worker->channel, id, SG_MSG_XMPP_TLS_SIGN, &sign, -1);
	if (err == 0)
		err = frame_await(worker, id, sg_clock_ms() + SIGN_TIMEOUT_MS, &frame);
	if (err == 0)
		err = signature_take(worker, &frame, sig, sig_len);
	if (err != 0 && worker->sign_error.code == 0)
		sg_msg_error_set(&worker->sign_error, err, NULL, "the token gave no signature");
	sg_frame_clear(&frame);
	sg_msg_clear(SG_MSG_XMPP_TLS_SIGN, &sign);
	return err;
}

/* ---- what the stream tells ---- */

static void on_online(void *arg, const struct sg_msg_xmpp_online *online)
{
	struct worker *worker = arg;

	sg_log(SG_LOG_INFO, "online as %s by %s over %s", online->jid, online->mechanism,
	    online->tls_version);
	if (worker->connecting)
		answer(worker, worker->connect_id, SG_MSG_XMPP_ONLINE, online);
	worker->connecting = 0;
}

/* Who waits for something is answered; an end that nobody waits for is told unasked. */
static void on_offline(void *arg, int was_online, struct sg_msg_error *why)
{
	struct worker *worker = arg;
	struct sg_msg_empty empty = { 0 };
	int asked = why->code == 0;

	if (asked)
		sg_msg_error_set(why, SG_ERR_OFFLINE, NULL, "disconnected");
	else
		sg_log(SG_LOG_WARN, "offline: %s",
		    why->message != NULL ? why->message : sg_err_text(-(int)why->code));
	if (worker->connecting)
		answer(worker, worker->connect_id, SG_MSG_ERROR,
		    worker->sign_error.code != 0 ? &worker->sign_error : why);
	worker->connecting = 0;
	sg_iqs_fail(worker->iqs, why);
	if (was_online && !asked)
		answer(worker, 0, SG_MSG_XMPP_OFFLINE, why);
	if (worker->closing)
		answer(worker, worker->close_id, SG_MSG_OK, &empty);
	worker->closing = 0;
	sg_msg_clear(SG_MSG_ERROR, &worker->sign_error);
}

static void on_iq(void *arg, xmpp_stanza_t *iq)
{
	struct worker *worker = arg;

	sg_iq_receive(worker->iqs, iq);
}

/* ---- what the broker asks ---- */

/* The password that came with the frame, if one did. */
static int password_read(const struct sg_frame *frame, struct sg_secret **password)
{
	int err;

	*password = NULL;
	if (frame->fd < 0)
		return 0;
	err = sg_secret_new(password);
	if (err == 0)
		err = sg_secret_read_fd(*password, frame->fd, PASSWORD_TIMEOUT_MS);
	if (err != 0) {
		sg_secret_free(*password);
		*password = NULL;
	}
	return err;
}

static void start_connect(struct worker *worker, const struct sg_frame *frame)
{
	const struct sg_msg_xmpp_connect *connect = frame->msg;
	struct sg_msg_error error = { 0 };
	struct sg_secret *password = NULL;
	int err;

	if (!sg_stream_is_idle(worker->stream)) {
		refuse(worker, frame->id, SG_ERR_ARG, "there is a connection already");
		return;
	}
	err = password_read(frame, &password);
	if (err != 0) {
		refuse(worker, frame->id, err, "the password could not be read");
		return;
	}
	err = sg_stream_connect(worker->stream, connect, password, &error);
	sg_secret_free(password);
	if (err != 0) {
		answer(worker, frame->id, SG_MSG_ERROR, &error);
		sg_msg_clear(SG_MSG_ERROR, &error);
		return;
	}
	worker->connecting = 1;
	worker->connect_id = frame->id;
}

static void start_disconnect(struct worker *worker, const struct sg_frame *frame)
{
	struct sg_msg_empty empty = { 0 };

	if (sg_stream_is_idle(worker->stream)) {
		answer(worker, frame->id, SG_MSG_OK, &empty);
		return;
	}
	if (worker->closing) {
		refuse(worker, frame->id, SG_ERR_ARG, "the connection is being closed already");
		return;
	}
	worker->closing = 1;
	worker->close_id = frame->id;
	sg_stream_close(worker->stream);
}

/* Serves one frame, and frees it. */
static void serve(struct worker *worker, struct sg_frame *frame)
{
	int err;

	if (frame->id >= SIGN_ID_FIRST) {
		sg_log(SG_LOG_DEBUG, "an answer to nothing that was asked is ignored");
	} else if (frame->type == SG_MSG_XMPP_CONNECT) {
		start_connect(worker, frame);
	} else if (frame->type == SG_MSG_XMPP_DISCONNECT) {
		start_disconnect(worker, frame);
	} else {
		err = sg_request_start(&worker->requests, frame);
		if (err != 0)
			refuse(worker, frame->id, err, NULL);
	}
	sg_frame_clear(frame);
}

/* Frames that waited come first, in their order. */
static void serve_all(struct worker *worker)
{
	struct sg_frame frame;

	while (worker->first != NULL) {
		struct waiting *waiting = worker->first;

		worker->first = waiting->next;
		if (worker->first == NULL)
			worker->end = &worker->first;
		serve(worker, &waiting->frame);
		free(waiting);
	}
	while (worker->failed == 0 && channel_next(worker, &frame))
		serve(worker, &frame);
}

/* ---- the loop ---- */

/* The earlier of two timeouts, where -1 is none. */
static int earlier(int one, int other)
{
	if (one < 0 || other < 0)
		return one < 0 ? other : one;
	return one < other ? one : other;
}

static void loop(struct worker *worker)
{
	struct pollfd pfds[2] = { { .fd = sg_channel_fd(worker->channel), .events = POLLIN } };
	int timeout, n;

	while (!worker->gone && worker->failed == 0) {
		sg_stream_poll(worker->stream, &pfds[1], &timeout);
		timeout = earlier(timeout, sg_iqs_timeout(worker->iqs));
		if (worker->first != NULL)
			timeout = 0;
		n = poll(pfds, 2, timeout);
		if (n < 0 && errno != EINTR) {
			worker->failed = SG_ERR_IO;
			return;
		}
		if (n > 0 && pfds[0].revents != 0)
			channel_read(worker);
		serve_all(worker);
		sg_stream_run(worker->stream);
		sg_iqs_expire(worker->iqs);
	}
}

static void worker_clear(struct worker *worker)
{
	while (worker->first != NULL) {
		struct waiting *next = worker->first->next;

		sg_frame_clear(&worker->first->frame);
		free(worker->first);
		worker->first = next;
	}
	sg_iqs_free(worker->iqs);
	sg_stream_free(worker->stream);
	sg_channel_free(worker->channel);
	sg_msg_clear(SG_MSG_ERROR, &worker->sign_error);
}

int sg_worker_run(int sock)
{
	static const struct sg_stream_events events = {
		.online = on_online,
		.offline = on_offline,
		.iq = on_iq,
	};
	struct worker worker = { 0 };
	int err;

	worker.end = &worker.first;
	err = sg_channel_new(&worker.channel, sock);
	if (err != 0) {
		close(sock);
		return err;
	}
	err = sg_stream_new(&worker.stream, &events, on_sign, &worker);
	if (err == 0)
		err = sg_iqs_new(&worker.iqs, worker.stream);
	if (err != 0)
		goto out;
	worker.requests = (struct sg_requests){ worker.channel, worker.stream, worker.iqs };
	loop(&worker);
	err = worker.failed;
out:
	worker_clear(&worker);
	return err;
}
