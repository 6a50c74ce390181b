#include "worker.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "asked.h"
#include "channel.h"
#include "clock.h"
#include "contacts.h"
#include "iq.h"
#include "log.h"
#include "requests.h"
#include "secret.h"
#include "seen.h"
#include "self.h"
#include "stream.h"
#include "text.h"

#define PASSWORD_TIMEOUT_MS 10000
#define SIGN_TIMEOUT_MS	    30000	/* of the token, a touch included */
#define SIGN_ID_FIRST	    0x80000000u /* ours; the broker's are below */
#define PRESENCES_MS	    3000	/* after ours was sent, those of others come */

struct waiting {
	struct waiting *next;
	struct sg_frame frame;
};

struct worker {
	struct sg_channel *channel;
	struct sg_stream *stream;
	struct sg_iqs *iqs;
	struct sg_contacts *contacts;
	struct sg_asked *asked;
	struct sg_requests requests;
	enum sg_cert_protocol protocol; /* of this connection's server */
	int64_t settled_ms;		/* when it did */
	int settled;			/* the broker has given a policy since the login */
	int roster;			/* the roster has been read, or will not be */
	int available;			/* our presence was sent */

	struct waiting *first, **end; /* frames that came while a signature was awaited */
	struct waiting *held;	      /* requests to who may yet turn out to be there */
	int gone;		      /* the broker's end of the channel is closed */
	int failed;		      /* the channel cannot be read any more: SG_ERR_* */

	int connecting; /* a connect is to be answered, with this id */
	uint32_t connect_id;
	int closing; /* the same for a disconnect */
	uint32_t close_id;
	uint32_t next_id;		/* of the frames that we ask by */
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
	uint32_t id = SIGN_ID_FIRST | worker->next_id++;
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
	worker->settled = worker->roster = worker->available = 0;
	sg_asked_end(worker->asked);
	sg_iqs_fail(worker->iqs, why);
	sg_contacts_end(worker->contacts);
	if (was_online && !asked)
		answer(worker, 0, SG_MSG_XMPP_OFFLINE, why);
	if (worker->closing)
		answer(worker, worker->close_id, SG_MSG_OK, &empty);
	worker->closing = 0;
	sg_msg_clear(SG_MSG_ERROR, &worker->sign_error);
}

static void on_iq(void *arg, const struct sg_arrival *iq)
{
	struct worker *worker = arg;

	sg_iq_receive(worker->iqs, iq);
}

static void on_message(void *arg, const struct sg_arrival *message)
{
	struct worker *worker = arg;
	struct sg_msg_keys_seen seen = { 0 };

	if (message->tree == NULL || !worker->settled ||
	    !sg_seen_read(
		message->tree, sg_stream_bare_jid(worker->stream), worker->contacts, &seen)) {
		sg_iq_message(worker->iqs, message);
		return;
	}
	if (sg_channel_send(worker->channel, 0, SG_MSG_KEYS_SEEN, &seen, -1) != 0)
		sg_log(SG_LOG_WARN, "keys in a message are lost: the broker cannot be told");
	sg_msg_clear(SG_MSG_KEYS_SEEN, &seen);
}

static void on_presence(void *arg, const struct sg_arrival *presence)
{
	struct worker *worker = arg;

	sg_contacts_presence(worker->contacts, presence->from, presence->type);
}

/* ---- who may know that we are here, and what they ask ---- */

/* The account, by any of its resources, and its server. */
static int is_own(const struct worker *worker, const char *from)
{
	const char *own = sg_stream_bare_jid(worker->stream);
	char *bare;
	int same;

	if (from == NULL || strcmp(from, strchr(own, '@') + 1) == 0)
		return 1;
	bare = sg_jid_bare(from);
	same = bare != NULL && strcmp(bare, own) == 0;
	free(bare);
	return same;
}

static int on_is_known(void *arg, const char *from)
{
	const struct worker *worker = arg;

	if (is_own(worker, from))
		return 1;
	return worker->settled &&
	    ((worker->available &&
		 (sg_contacts_sees_us(worker->contacts, from) ||
		     sg_contacts_serves_one(worker->contacts, from))) ||
		sg_asked_may_ask(worker->asked, from));
}

/* A change of the roster counts only when the own account sends it (RFC 6121 2.1.6). */
static int take_roster_push(struct worker *worker, const struct sg_iq_question *question)
{
	if (question->is_get || question->payload == NULL ||
	    (question->from != NULL &&
		strcmp(question->from, sg_stream_bare_jid(worker->stream)) != 0) ||
	    !worker->settled || sg_contacts_read(worker->contacts, question->payload) != 0)
		return 0;
	sg_iq_reply(worker->iqs, question, NULL);
	return 1;
}

static int on_asked(void *arg, const struct sg_iq_question *question)
{
	struct worker *worker = arg;

	return take_roster_push(worker, question) || sg_asked_question(worker->asked, question);
}

/* Makes our presence what the policy wants it to be. */
static void show_presence(struct worker *worker)
{
	int wanted = sg_asked_policy(worker->asked)->watch != 0;
	struct sg_xml *presence = NULL;

	if (!worker->roster || wanted == worker->available)
		return;
	if (sg_self_presence(wanted, &presence) == 0 &&
	    sg_stream_send(worker->stream, presence) == 0)
		worker->available = wanted;
	else
		sg_log(SG_LOG_WARN, "our presence cannot be sent: keys are not watched");
	sg_xml_free(presence);
}

static void on_roster(void *arg, struct sg_msg_error *error, const struct sg_xml *payload)
{
	struct worker *worker = arg;

	if (!sg_stream_is_online(worker->stream))
		return;
	if (error != NULL || payload == NULL || sg_contacts_read(worker->contacts, payload) != 0)
		sg_log(SG_LOG_WARN, "the server gives no roster: nobody is known as a contact");
	worker->roster = 1;
	show_presence(worker);
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
	worker->protocol = connect->protocol;
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

/* The first policy after a login is when we begin to be there for others. */
static void start_policy(struct worker *worker, struct sg_frame *frame)
{
	struct sg_msg_empty empty = { 0 };
	struct sg_xml *payload = NULL;
	int err = sg_stream_is_online(worker->stream) ? 0 : SG_ERR_OFFLINE;

	if (err == 0 && !worker->settled) {
		err = sg_contacts_begin(worker->contacts, sg_stream_bare_jid(worker->stream));
		if (err == 0)
			err = sg_contacts_ask_encode(&payload);
		if (err == 0)
			err = sg_iq_ask(worker->iqs, "get", NULL, payload, on_roster, worker);
		if (err == 0)
			sg_iqs_learn(worker->iqs);
	}
	if (err != 0) {
		refuse(worker, frame->id, err, NULL);
		return;
	}
	if (!worker->settled)
		worker->settled_ms = sg_clock_ms();
	worker->settled = 1;
	sg_asked_set_policy(worker->asked, frame->msg);
	show_presence(worker);
	answer(worker, frame->id, SG_MSG_OK, &empty);
}

/* ---- who is there is known only a moment after the login ---- */

/* The bare JID whose clients a request is for, or NULL. */
static const char *asks_clients_of(const struct sg_frame *frame)
{
	const char *to = NULL;

	if (frame->type == SG_MSG_KEYS_ASK)
		to = ((const struct sg_msg_keys_ask *)frame->msg)->to;
	else if (frame->type == SG_MSG_KEYS_SEND)
		to = ((const struct sg_msg_keys_send *)frame->msg)->to;
	return to != NULL && strchr(to, '/') == NULL ? to : NULL;
}

static int must_wait(const struct worker *worker, const struct sg_frame *frame)
{
	const char *to = asks_clients_of(frame);
	size_t count = 0;

	if (to == NULL || !sg_stream_is_online(worker->stream) || !worker->settled ||
	    sg_asked_policy(worker->asked)->watch == 0 ||
	    sg_clock_ms() >= worker->settled_ms + PRESENCES_MS)
		return 0;
	(void)sg_contacts_resources(worker->contacts, to, &count);
	return count == 0;
}

/* Takes the frame over; 0 when there is no memory to hold it. */
static int hold(struct worker *worker, struct sg_frame *frame)
{
	struct waiting *held = calloc(1, sizeof(*held));

	if (held == NULL)
		return 0;
	held->frame = *frame;
	held->next = worker->held;
	worker->held = held;
	return 1;
}

static int held_timeout(const struct worker *worker)
{
	int64_t left = worker->settled_ms + PRESENCES_MS - sg_clock_ms();

	if (worker->held == NULL)
		return -1;
	return left > 0 ? (int)left : 0;
}

static void serve(struct worker *worker, struct sg_frame *frame);

static void serve_held(struct worker *worker)
{
	struct waiting *held, **at = &worker->held;

	while ((held = *at) != NULL) {
		if (must_wait(worker, &held->frame)) {
			at = &held->next;
			continue;
		}
		*at = held->next;
		serve(worker, &held->frame);
		free(held);
	}
}

/* Serves one frame, and frees it. */
static void serve(struct worker *worker, struct sg_frame *frame)
{
	int err;

	if (frame->id >= SIGN_ID_FIRST) {
		if (!sg_asked_answer(worker->asked, frame))
			sg_log(SG_LOG_DEBUG, "an answer to nothing that was asked is ignored");
	} else if (frame->type == SG_MSG_XMPP_CONNECT) {
		start_connect(worker, frame);
	} else if (frame->type == SG_MSG_XMPP_DISCONNECT) {
		start_disconnect(worker, frame);
	} else if (frame->type == SG_MSG_DIRECT_POLICY) {
		start_policy(worker, frame);
	} else if (must_wait(worker, frame) && hold(worker, frame)) {
		return;
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
		timeout = earlier(timeout, sg_asked_timeout(worker->asked));
		timeout = earlier(timeout, held_timeout(worker));
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
		sg_asked_expire(worker->asked);
		serve_held(worker);
	}
}

static void waiting_clear(struct waiting *first)
{
	while (first != NULL) {
		struct waiting *next = first->next;

		sg_frame_clear(&first->frame);
		free(first);
		first = next;
	}
}

/* Requests under way own what they need: they end as those of a connection that is lost. */
static void requests_end(struct worker *worker)
{
	struct sg_msg_error why;

	sg_stream_close(worker->stream); /* nothing more is asked */
	sg_msg_error_set(&why, SG_ERR_OFFLINE, NULL, "the broker has gone");
	sg_iqs_fail(worker->iqs, &why);
	sg_msg_clear(SG_MSG_ERROR, &why);
}

static void worker_clear(struct worker *worker)
{
	waiting_clear(worker->first);
	waiting_clear(worker->held);
	sg_asked_free(worker->asked);
	sg_iqs_free(worker->iqs);
	sg_contacts_free(worker->contacts);
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
		.message = on_message,
		.presence = on_presence,
	};
	static const struct sg_iq_events iq_events = {
		.is_known = on_is_known,
		.asked = on_asked,
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
		err = sg_iqs_new(&worker.iqs, worker.stream, &iq_events, &worker);
	if (err == 0)
		err = sg_contacts_new(&worker.contacts);
	if (err == 0)
		err = sg_asked_new(
		    &worker.asked, worker.channel, worker.iqs, worker.contacts, &worker.next_id);
	if (err != 0)
		goto out;
	worker.requests = (struct sg_requests){ worker.channel, worker.stream, worker.iqs,
		worker.contacts, &worker.protocol };
	loop(&worker);
	requests_end(&worker);
	err = worker.failed;
out:
	worker_clear(&worker);
	return err;
}
