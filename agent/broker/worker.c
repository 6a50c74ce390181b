#include "worker_engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "clock.h"
#include "keyinfo.h"
#include "log.h"
#include "text.h"

#define DUE_SLACK_MS	      100 /* deadlines so near to each other are over together */
#define TOUCH_MS	      300 /* what takes longer may have waited for a touch */
#define QUICK_MS	      10  /* signatures that come so soon are made by no card */
#define QUICK_WINDOWS	      4	  /* ... and cost less than to be asked for one by one */
#define WORKER_FIRST_EVENT_ID (1u << 31)

/* The type of the answer that belongs to a request (msg.h). */
static const uint16_t answer_types[] = {
	[SG_MSG_TOKEN_LIST] = SG_MSG_TOKENS,
	[SG_MSG_TOKEN_LOGIN] = SG_MSG_OK,
	[SG_MSG_TOKEN_LOGOUT] = SG_MSG_OK,
	[SG_MSG_KEY_GENERATE] = SG_MSG_OBJECTS,
	[SG_MSG_OBJECT_LIST] = SG_MSG_OBJECTS,
	[SG_MSG_CERT_STORE] = SG_MSG_OBJECTS,
	[SG_MSG_CSR_MAKE] = SG_MSG_DER,
	[SG_MSG_SELF_CERT_MAKE] = SG_MSG_DER,
	[SG_MSG_CROSS_SIGN] = SG_MSG_SIGNATURES,
	[SG_MSG_TLS_SIGN] = SG_MSG_DER,
	[SG_MSG_TOKEN_RELEASE] = SG_MSG_OK,
	[SG_MSG_PIN_SET] = SG_MSG_OK,
	[SG_MSG_KEY_PROBE] = SG_MSG_OBJECTS,
	[SG_MSG_TOKEN_WATCH] = SG_MSG_OK,
	[SG_MSG_KEY_DISCARD] = SG_MSG_OK,
	[SG_MSG_CERT_DISCARD] = SG_MSG_OK,
	[SG_MSG_KEY_ATTEST] = SG_MSG_OBJECTS,
	[SG_MSG_XMPP_CONNECT] = SG_MSG_XMPP_ONLINE,
	[SG_MSG_XMPP_DISCONNECT] = SG_MSG_OK,
	[SG_MSG_XMPP_FEATURES] = SG_MSG_XMPP_FEATURE_SET,
	[SG_MSG_CCM2_ADD] = SG_MSG_DER,
	[SG_MSG_CCM2_LIST] = SG_MSG_CCM2_CERTS,
	[SG_MSG_CCM2_REVOKE] = SG_MSG_OK,
	[SG_MSG_PEP_PUBLISH] = SG_MSG_PEP_NODE,
	[SG_MSG_PEP_FETCH] = SG_MSG_KEYINFOS,
	[SG_MSG_PEP_CONFIGURE] = SG_MSG_PEP_NODE,
	[SG_MSG_PEP_SHOW] = SG_MSG_PEP_NODE,
	[SG_MSG_PEP_RETRACT] = SG_MSG_OK,
	[SG_MSG_KEYS_ASK] = SG_MSG_KEYINFOS,
	[SG_MSG_KEYS_SEND] = SG_MSG_KEYS_SENT,
	[SG_MSG_DIRECT_POLICY] = SG_MSG_OK,
	[SG_MSG_PEP_LOOK] = SG_MSG_PEP_NODE,
	[SG_MSG_SASLCERT_APPEND] = SG_MSG_OK,
};

static int makes_signature(uint16_t type)
{
	return type == SG_MSG_CSR_MAKE || type == SG_MSG_SELF_CERT_MAKE ||
	    type == SG_MSG_CROSS_SIGN || type == SG_MSG_TLS_SIGN;
}

/* Touches come one after the other and in no order: all have their time from when one was
 * touched. */
static void touches_allow(const struct request *request, int64_t *until, int64_t *last)
{
	const struct sg_worker *worker = request->worker;
	int64_t allowed = (int64_t)request->seconds * 1000;

	if (worker->touched_ms < request->sent_ms)
		return;
	*until = worker->touched_ms + allowed;
	if (*last < request->sent_ms + allowed * worker->spec.window)
		*last = request->sent_ms + allowed * worker->spec.window;
}

/* Whether others that the worker had to answer before may be why it took so long: it goes on
 * answering. Nor is it over before its time: the loop counts a timer from when its turn began, before a
 * process that had to be started for the request was there. */
static int gets_more_time(struct request *request)
{
	const struct sg_worker *worker = request->worker;
	int64_t now = sg_clock_ms();
	int64_t from =
	    worker->answered_ms > request->sent_ms ? worker->answered_ms : request->sent_ms;
	int64_t until = from + (int64_t)request->seconds * 1000;
	int64_t last = request->last_ms;
	struct timeval more;

	touches_allow(request, &until, &last);
	if (until > last)
		until = last;
	if (until <= now + DUE_SLACK_MS)
		return 0;
	more = (struct timeval){ (until - now) / 1000, (until - now) % 1000 * 1000 };
	return evtimer_add(request->timer, &more) == 0;
}

/* It hangs: the next one may too, so nothing is kept waiting for that. */
static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct request *request = arg;
	struct sg_worker *worker = request->worker;

	if (gets_more_time(request))
		return;
	sg_log(SG_LOG_WARN, "%s for %s (process %d) gave no answer in time: killed",
	    worker->spec.program, worker->subject, (int)worker->pid);
	worker->deaths++;
	sg_worker_end(worker, SG_ERR_WORKER, sg_clock_ms() + DUE_SLACK_MS, 0, 0);
}

/* ---- frames ---- */

static struct request *request_find(struct sg_worker *worker, uint32_t id)
{
	struct request *request;

	TAILQ_FOREACH(request, &worker->requests, entry) {
		if (request->id == id)
			return request;
	}
	return NULL;
}

static void signature_timed(struct sg_worker *worker, const struct request *request, int made)
{
	int64_t took_ms = worker->answered_ms - request->sent_ms;

	worker->is_quick = made && took_ms < QUICK_MS;
	if (took_ms >= TOUCH_MS && (made || !request->abandoned))
		worker->touched_ms = worker->answered_ms;
}

/* More of the answer follows: it has as long to come as the answer itself. */
static void part_allow(struct request *request)
{
	const struct timeval deadline = { request->seconds, 0 };

	request->worker->answered_ms = sg_clock_ms();
	request->last_ms = request->worker->answered_ms + (int64_t)request->seconds * 1000;
	(void)evtimer_add(request->timer, &deadline);
}

/* One frame of an answer in several. 1: it is whole, and in the frame; 0: more follow; below 0: it is
 * more than an answer may be. */
static int take_part(struct request *request, struct sg_frame *frame)
{
	struct sg_msg_keyinfos *part = frame->msg;
	int is_last = part->more == 0;
	int err;

	if (is_last && request->parts.keyinfo_count == 0 && request->parts.refused == 0)
		return 1;
	err = sg_keyinfos_append(&request->parts, part, &request->part_bytes);
	if (err != 0)
		return err;
	if (!is_last) {
		part_allow(request);
		return 0;
	}
	sg_msg_clear(SG_MSG_KEYINFOS, part);
	*part = request->parts;
	request->parts = (struct sg_msg_keyinfos){ 0 };
	return 1;
}

/* An answer; gives 0 when it belongs to no request, is of the wrong type, or too long. */
static int take_answer(struct sg_worker *worker, struct sg_frame *frame)
{
	struct request *request = request_find(worker, frame->id);

	if (request == NULL || request->code != 0 ||
	    (frame->type != SG_MSG_ERROR && frame->type != answer_types[request->type]))
		return 0;
	if (frame->type == SG_MSG_KEYINFOS) {
		int is_whole = take_part(request, frame);

		if (is_whole <= 0)
			return is_whole == 0;
	}
	TAILQ_REMOVE(&worker->requests, request, entry);
	worker->answered_ms = sg_clock_ms();
	worker->answered_in = worker->starts;
	worker->early = 0;
	if (makes_signature(request->type))
		signature_timed(worker, request, frame->type != SG_MSG_ERROR);
	if (frame->type == SG_MSG_ERROR)
		request->fn(request->arg, frame->msg, NULL);
	else
		request->fn(request->arg, NULL, frame->msg);
	sg_worker_request_free(request);
	return 1;
}

static int take_frame(struct sg_worker *worker, struct sg_frame *frame)
{
	if (frame->id != 0 && frame->id < WORKER_FIRST_EVENT_ID)
		return take_answer(worker, frame);
	if (worker->spec.event == NULL)
		return 0;
	worker->spec.event(worker->spec.arg, frame);
	return 1;
}

static void tell_idle(struct sg_worker *worker)
{
	if (worker->spec.idle != NULL && sg_worker_is_idle(worker))
		worker->spec.idle(worker->spec.arg);
}

/* Takes all whole frames; stops when a callback ended or freed the worker. */
static void take_frames(struct sg_worker *worker)
{
	const struct sg_channel *channel = worker->channel;
	struct sg_frame frame;
	int got;

	while (worker->channel != NULL && worker->channel == channel) {
		int good;

		got = sg_channel_next(worker->channel, &frame);
		if (got == 0)
			return;
		if (got < 0) {
			sg_worker_died(worker, "sent a malformed frame: killed");
			return;
		}
		sg_worker_enter(worker);
		good = take_frame(worker, &frame);
		sg_frame_clear(&frame);
		if (!sg_worker_leave(worker))
			return;
		if (!good && worker->channel == channel) {
			sg_worker_died(worker, "sent a frame out of turn: killed");
			return;
		}
		sg_worker_serve(worker);
		tell_idle(worker);
	}
}

void sg_worker_on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct sg_worker *worker = arg;
	int got = sg_channel_fill(worker->channel);

	if (got > 0)
		take_frames(worker);
	else
		sg_worker_died(worker, "ended");
}

void sg_worker_flush(struct sg_worker *worker)
{
	int left = sg_channel_flush(worker->channel);

	/* When it is gone, the end of the channel tells so, from the loop. */
	if (left > 0)
		event_add(worker->write_event, NULL);
	else if (left < 0)
		event_active(worker->read_event, EV_READ, 0);
}

void sg_worker_on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct sg_worker *worker = arg;

	worker->looked = 0;
	sg_worker_flush(worker);
}

/* One write for all that this turn of the loop has for the process. */
static void worker_flush_soon(struct sg_worker *worker)
{
	event_active(worker->write_event, EV_WRITE, 0);
}

/* ---- requests ---- */

static void on_failed_at_once(evutil_socket_t fd, short what, void *arg)
{
	struct request *request = arg;
	struct sg_worker *worker = request->worker;

	TAILQ_REMOVE(&worker->requests, request, entry);
	sg_worker_enter(worker);
	sg_worker_request_fail(request, request->code);
	if (sg_worker_leave(worker))
		tell_idle(worker);
}

void sg_worker_fail_at_once(struct request *request, int code)
{
	static const struct timeval now = { 0, 0 };

	request->code = code;
	if (request->timer != NULL)
		event_free(request->timer);
	request->timer = evtimer_new(request->worker->agent->base, on_failed_at_once, request);
	if (request->timer == NULL || evtimer_add(request->timer, &now) != 0) {
		sg_log(SG_LOG_ERROR, "no memory for an event");
		abort(); /* a request that is never answered would hang its caller for ever */
	}
}

/* Whether it is one of those of which the worker has only so many at a time: all but logins, which
 * may wait for a person and have threads of their own there, and the end of a login, which waits
 * for nothing. */
static int is_bounded(const struct sg_worker *worker, uint16_t type)
{
	return worker->spec.window > 0 && type != SG_MSG_TOKEN_LOGIN && type != SG_MSG_TOKEN_LOGOUT;
}

/* How many bounded requests the worker has; and the time that they may take one after the other. */
static unsigned outstanding(const struct sg_worker *worker, int *seconds)
{
	const struct request *request;
	unsigned count = 0;

	*seconds = 0;
	TAILQ_FOREACH(request, &worker->requests, entry) {
		if (request->sent_ms == 0 || request->code != 0 ||
		    !is_bounded(worker, request->type))
			continue;
		*seconds += request->seconds;
		count++;
	}
	return count;
}

/* A token does one thing after the other: the deadline allows for what it was given before. */
int sg_worker_deadline_set(struct sg_worker *worker, struct request *request)
{
	struct timeval deadline = { request->seconds, 0 };
	int before;

	(void)outstanding(worker, &before);
	if (request->timer == NULL)
		request->timer = evtimer_new(worker->agent->base, on_deadline, request);
	if (request->timer == NULL || evtimer_add(request->timer, &deadline) != 0)
		return SG_ERR_NOMEM;
	request->sent_ms = sg_clock_ms();
	request->last_ms = request->sent_ms +
	    (int64_t)(request->seconds + (is_bounded(worker, request->type) ? before : 0)) * 1000;
	return 0;
}

static int request_send(struct sg_worker *worker, struct request *request, const void *msg, int fd)
{
	int err;

	if (worker->agent->stopping)
		return SG_ERR_WORKER;
	if (worker->channel == NULL && (err = sg_worker_start(worker)) != 0)
		return err;
	err = sg_worker_deadline_set(worker, request);
	if (err == 0)
		err = sg_channel_put(worker->channel, request->id, request->type, msg, fd);
	if (err == 0)
		worker_flush_soon(worker);
	return err;
}

static void request_start(
    struct sg_worker *worker, struct request *request, const void *msg, int fd)
{
	int err;

	worker->next_id = worker->next_id % (WORKER_FIRST_EVENT_ID - 1) + 1;
	request->id = worker->next_id;
	TAILQ_INSERT_TAIL(&worker->requests, request, entry);
	err = request_send(worker, request, msg, fd);
	if (err != 0)
		sg_worker_fail_at_once(request, err);
}

/* ---- requests that wait in the broker ---- */

/* Hands over the request whose turn it is. */
static void queue_take(struct sg_worker *worker)
{
	void *msg;
	struct request *request = sg_queue_take(&worker->queue, &msg);

	if (msg != NULL) {
		request_start(worker, request, msg, -1);
		sg_msg_clear(request->type, msg);
		free(msg);
	} else {
		TAILQ_INSERT_TAIL(&worker->requests, request, entry);
		sg_worker_fail_at_once(request, SG_ERR_NOMEM);
	}
}

static int has_window(const struct sg_worker *worker)
{
	int seconds;

	return outstanding(worker, &seconds) <
	    worker->spec.window * (worker->is_quick ? QUICK_WINDOWS : 1);
}

void sg_worker_serve(struct sg_worker *worker)
{
	while (worker->queue.count > 0 && has_window(worker))
		queue_take(worker);
}

void sg_worker_request(struct sg_worker *worker, uint16_t type, const void *msg, int fd,
    int seconds, sg_answer_fn *fn, void *arg)
{
	struct request *request = calloc(1, sizeof(*request));
	int err;

	if (request == NULL)
		abort(); /* see sg_worker_fail_at_once() */
	sg_worker_look(worker);
	*request = (struct request){ .worker = worker,
		.type = type,
		.seconds = seconds < 0 ? -seconds * worker->spec.seconds : seconds,
		.fn = fn,
		.arg = arg };
	if (worker->spec.use != NULL) {
		const struct sg_worker_use use = worker->spec.use(type, msg);

		request->use = (struct sg_worker_use){ .target = sg_text_copy(use.target),
			.purpose = sg_text_copy(use.purpose),
			.pid = use.pid };
	}
	if (!is_bounded(worker, type) || (worker->queue.count == 0 && has_window(worker))) {
		request_start(worker, request, msg, fd);
		return;
	}
	err = sg_queue_put(&worker->queue, &request->waiting, request, type, msg);
	if (err != 0) {
		TAILQ_INSERT_TAIL(&worker->requests, request, entry);
		sg_worker_fail_at_once(request, err);
	}
}

/* What the worker has and has not begun is dropped there. */
static void request_cancel(struct sg_worker *worker, const void *arg)
{
	struct sg_msg_cancel msg;
	struct request *request;

	TAILQ_FOREACH(request, &worker->requests, entry) {
		if (request->arg == arg)
			break;
	}
	if (request == NULL || request->code != 0 || request->abandoned || worker->channel == NULL)
		return;
	request->abandoned = 1;
	msg.request = request->id;
	/* Without memory it is answered in vain. */
	if (sg_channel_put(worker->channel, 0, SG_MSG_CANCEL, &msg, -1) == 0)
		worker_flush_soon(worker);
}

void sg_worker_abandon(struct sg_worker *worker, const void *arg)
{
	struct sg_waiting *waiting;
	struct request *request;

	TAILQ_FOREACH(waiting, &worker->queue.list, entry) {
		request = waiting->owner;
		if (request->arg == arg)
			break;
	}
	if (waiting == NULL) {
		request_cancel(worker, arg);
		return;
	}
	request = waiting->owner;
	sg_queue_remove(&worker->queue, waiting);
	TAILQ_INSERT_TAIL(&worker->requests, request, entry);
	sg_worker_fail_at_once(request, SG_ERR_PIN_CANCELLED);
}

void sg_worker_answer(struct sg_worker *worker, uint32_t id, uint16_t type, const void *msg)
{
	if (worker->channel == NULL)
		return;
	if (sg_channel_put(worker->channel, id, type, msg, -1) != 0) {
		sg_worker_died(worker, "cannot take an answer: killed");
		return;
	}
	sg_worker_flush(worker);
}

/* ---- as a whole ---- */

int sg_worker_new(
    struct sg_agent *agent, const struct sg_worker_spec *spec, struct sg_worker **worker)
{
	struct sg_worker *made = calloc(1, sizeof(*made));

	*worker = NULL;
	if (made == NULL)
		return SG_ERR_NOMEM;
	made->agent = agent;
	made->spec = *spec;
	made->subject = strdup(spec->subject);
	made->spec.subject = made->subject;
	TAILQ_INIT(&made->requests);
	sg_queue_init(&made->queue);
	if (made->subject == NULL) {
		free(made);
		return SG_ERR_NOMEM;
	}
	*worker = made;
	return 0;
}

void sg_worker_free(struct sg_worker *worker)
{
	struct request *request;

	if (worker == NULL || worker->freed)
		return;
	worker->freed = 1;
	sg_worker_enter(worker);
	sg_worker_end(worker, SG_ERR_WORKER, 0, SG_WORKER_GRACE_MS, 0);
	/* Without a process none waited in the queue, and now none does. */
	while ((request = TAILQ_FIRST(&worker->requests)) != NULL) {
		TAILQ_REMOVE(&worker->requests, request, entry);
		sg_worker_request_free(request);
	}
	(void)sg_worker_leave(worker);
}

void sg_worker_stop(struct sg_worker *worker, int code)
{
	sg_worker_end(worker, code, 0, SG_WORKER_GRACE_MS, 0);
}

void sg_worker_break(struct sg_worker *worker, int code)
{
	sg_worker_end(worker, code, 0, SG_WORKER_BREAK_MS, 0);
}

pid_t sg_worker_pid(const struct sg_worker *worker)
{
	return worker->pid;
}

unsigned sg_worker_starts(const struct sg_worker *worker)
{
	return worker->starts;
}

unsigned sg_worker_deaths(const struct sg_worker *worker)
{
	return worker->deaths;
}

int sg_worker_is_idle(const struct sg_worker *worker)
{
	return TAILQ_EMPTY(&worker->requests) && worker->queue.count == 0;
}

int64_t sg_worker_busy_since(const struct sg_worker *worker)
{
	const struct request *request;
	int64_t since = 0;

	TAILQ_FOREACH(request, &worker->requests, entry) {
		if (request->sent_ms != 0 && is_bounded(worker, request->type) &&
		    (since == 0 || request->sent_ms < since))
			since = request->sent_ms;
	}
	return since;
}

const struct sg_worker_use *sg_worker_use_of(const struct sg_worker *worker,
    int (*is_other)(const void *arg, const char *target), const void *arg)
{
	const struct sg_waiting *waiting;
	const struct request *request;

	TAILQ_FOREACH(request, &worker->requests, entry) {
		if (request->use.target != NULL && is_other(arg, request->use.target))
			return &request->use;
	}
	TAILQ_FOREACH(waiting, &worker->queue.list, entry) {
		request = waiting->owner;
		if (request->use.target != NULL && is_other(arg, request->use.target))
			return &request->use;
	}
	return NULL;
}

const char *sg_worker_kind(const struct sg_worker *worker)
{
	return worker->spec.kind;
}

const char *sg_worker_subject(const struct sg_worker *worker)
{
	return worker->subject;
}
