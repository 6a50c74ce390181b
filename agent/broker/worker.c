#include "worker.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "queue.h"
#include "reaper.h"
#include "spawn.h"

#define WORKER_GRACE_MS	      2000
#define DUE_SLACK_MS	      100 /* deadlines so near to each other are over together */
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
	[SG_MSG_XMPP_CONNECT] = SG_MSG_XMPP_ONLINE,
	[SG_MSG_XMPP_DISCONNECT] = SG_MSG_OK,
	[SG_MSG_XMPP_FEATURES] = SG_MSG_XMPP_FEATURE_SET,
	[SG_MSG_CCM2_ADD] = SG_MSG_DER,
	[SG_MSG_CCM2_LIST] = SG_MSG_CCM2_CERTS,
	[SG_MSG_CCM2_REVOKE] = SG_MSG_OK,
	[SG_MSG_PEP_PUBLISH] = SG_MSG_OK,
	[SG_MSG_PEP_FETCH] = SG_MSG_KEYINFOS,
};

struct request {
	TAILQ_ENTRY(request) entry;
	struct sg_worker *worker;
	uint32_t id;
	uint16_t type;
	int seconds;
	struct sg_waiting waiting; /* its place in the queue */
	struct event *timer; /* the deadline; or, for a request that failed at once, its answer */
	int64_t sent_ms;     /* when it was handed over, by the monotonic clock; 0: not yet */
	int64_t last_ms;     /* by when it must be answered, whatever else is */
	int code;	     /* of a request that failed at once */
	sg_answer_fn *fn;
	void *arg;
};

TAILQ_HEAD(request_list, request);

struct sg_worker {
	struct sg_agent *agent;
	struct sg_worker_spec spec;
	char *subject;
	pid_t pid;
	struct sg_channel *channel;
	struct event *read_event;
	struct event *write_event;
	struct request_list requests; /* handed over, and failed at once */
	struct sg_queue queue;	      /* for when the worker has answered some */
	uint32_t next_id;
	int64_t answered_ms; /* when it last answered anything */
	unsigned starts;
	unsigned deaths;
	struct timeval looked; /* in which turn of the loop the process was last looked at */
	unsigned in_callback;  /* a callback may free the worker: it is then freed after it */
	int freed;
};

static void on_readable(evutil_socket_t fd, short what, void *arg);
static void on_writable(evutil_socket_t fd, short what, void *arg);
static void queue_serve(struct sg_worker *worker);
static int worker_start(struct sg_worker *worker);
static void worker_flush(struct sg_worker *worker);
static int deadline_set(struct sg_worker *worker, struct request *request);
static void fail_at_once(struct request *request, int code);

/* ---- callbacks that may free the worker ---- */

static void worker_destroy(struct sg_worker *worker)
{
	free(worker->subject);
	free(worker);
}

static void callback_enter(struct sg_worker *worker)
{
	worker->in_callback++;
}

/* Whether the worker is still there. */
static int callback_leave(struct sg_worker *worker)
{
	worker->in_callback--;
	if (!worker->freed)
		return 1;
	if (worker->in_callback == 0)
		worker_destroy(worker);
	return 0;
}

static void request_free(struct request *request)
{
	if (request->timer != NULL)
		event_free(request->timer);
	sg_buf_clear(&request->waiting.message);
	free(request);
}

/* Fails one request; it is in no list any more. */
static void request_fail(struct request *request, int code)
{
	const struct sg_worker *worker = request->worker;
	struct sg_msg_error error = { 0 };
	char *who = NULL;

	if (asprintf(&who, "%s for %s", worker->spec.program, worker->subject) < 0)
		who = NULL;
	switch (code) {
	case SG_ERR_TIMEOUT:
		sg_msg_error_set(&error, code, worker->subject,
		    "%s gave no answer in time and was killed", who != NULL ? who : "a worker");
		break;
	case SG_ERR_WORKER:
		sg_msg_error_set(&error, code, worker->subject, "%s ended during the call",
		    who != NULL ? who : "a worker");
		break;
	case SG_ERR_IO:
		sg_msg_error_set(&error, code, worker->subject,
		    "%s cannot be started: the program is missing or may not be run",
		    who != NULL ? who : "a worker");
		break;
	default:
		sg_msg_error_set(&error, code, worker->subject, "%s: %s",
		    who != NULL ? who : "a worker", sg_err_text(code));
	}
	request->fn(request->arg, &error, NULL);
	sg_failure_clear(&error);
	free(who);
	request_free(request);
}

/* ---- the end of a process ---- */

static void queue_empty(struct sg_worker *worker, struct request_list *list)
{
	struct request *request;

	while ((request = sg_queue_drop(&worker->queue)) != NULL)
		TAILQ_INSERT_TAIL(list, request, entry);
}

/* Whether a request was handed over so long ago that it is over time by then. */
static int is_overdue(const struct request *request, int64_t by_ms)
{
	return request->sent_ms != 0 &&
	    request->sent_ms + (int64_t)request->seconds * 1000 <= by_ms;
}

/* What was handed over to a process that has died. */
struct legacy {
	struct sg_worker *worker;
	struct request_list *requests;
};

/* Takes a request over to the next process, with all the time that it was given. */
static int legacy_keep(void *arg, uint32_t id)
{
	const struct legacy *legacy = arg;
	struct request *request;

	TAILQ_FOREACH(request, legacy->requests, entry) {
		if (request->id != id)
			continue;
		if (request->code != 0 || deadline_set(legacy->worker, request) != 0)
			return 0;
		TAILQ_REMOVE(legacy->requests, request, entry);
		TAILQ_INSERT_TAIL(&legacy->worker->requests, request, entry);
		return 1;
	}
	return 0;
}

/* Of what was handed over, that which the dead process cannot have seen is asked of the next one. */
static void resend(struct sg_worker *worker, struct sg_channel *from, struct request_list *requests)
{
	struct legacy legacy = { worker, requests };

	if (!worker->spec.resends || worker->freed || worker->agent->stopping ||
	    !sg_channel_has_unsent(from) || worker_start(worker) != 0)
		return;
	/* Without memory its deadline answers what is lost here. */
	if (sg_channel_move_unsent(from, worker->channel, legacy_keep, &legacy) != 0)
		sg_log(SG_LOG_ERROR, "no memory for requests to %s", worker->spec.program);
	worker_flush(worker);
}

/* Lets the process go; a grace of 0 kills at once. Gives its channel. */
static struct sg_channel *process_end(struct sg_worker *worker, int grace_ms)
{
	struct sg_channel *channel = worker->channel;

	event_free(worker->read_event);
	event_free(worker->write_event);
	worker->read_event = worker->write_event = NULL;
	worker->channel = NULL;
	sg_reaper_add(worker->agent->reaper, worker->pid, grace_ms);
	worker->pid = 0;
	return channel;
}

/*
 * Lets the process go and answers what runs: what is over time by then (0: nothing) with SG_ERR_TIMEOUT,
 * the others with code, unless what it has not seen, queued or not, is kept for the next process. A grace
 * of 0 kills at once.
 */
static void worker_end(
    struct sg_worker *worker, int code, int64_t by_ms, int grace_ms, int keep_unseen)
{
	struct request_list running = TAILQ_HEAD_INITIALIZER(running);
	struct sg_channel *channel;
	struct request *request;

	if (worker->channel == NULL)
		return;
	channel = process_end(worker, grace_ms);
	TAILQ_CONCAT(&running, &worker->requests, entry);
	if (keep_unseen) {
		resend(worker, channel, &running);
	} else {
		queue_empty(worker, &running);
	}
	sg_channel_free(channel);
	callback_enter(worker);
	/* A callback may ask anew, which starts the next process: what follows is of the old one. */
	while ((request = TAILQ_FIRST(&running)) != NULL) {
		TAILQ_REMOVE(&running, request, entry);
		if (worker->freed)
			request_free(request);
		else if (request->code != 0)
			request_fail(request, request->code);
		else
			request_fail(request, is_overdue(request, by_ms) ? SG_ERR_TIMEOUT : code);
	}
	if (worker->spec.ended != NULL && !worker->freed)
		worker->spec.ended(worker->spec.arg);
	if (callback_leave(worker))
		queue_serve(worker);
}

/* It died by itself: what it was not given yet goes to the next one. */
static void worker_died(struct sg_worker *worker, const char *why)
{
	sg_log(SG_LOG_WARN, "%s for %s (process %d) %s", worker->spec.program, worker->subject,
	    (int)worker->pid, why);
	worker->deaths++;
	worker_end(worker, SG_ERR_WORKER, 0, 0, 1);
}

/* Whether others that the worker had to answer before may be why it took so long: it goes on answering. */
static int gets_more_time(struct request *request)
{
	int64_t now = sg_clock_ms();
	int64_t until = request->worker->answered_ms + (int64_t)request->seconds * 1000;
	struct timeval more;

	if (until > request->last_ms)
		until = request->last_ms;
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
	worker_end(worker, SG_ERR_WORKER, sg_clock_ms() + DUE_SLACK_MS, 0, 0);
}

/* ---- its start ---- */

static int worker_start(struct sg_worker *worker)
{
	char *path;
	int sock = -1;
	int err = sg_spawn_program_path(worker->spec.program, &path);

	if (err != 0)
		return err;
	err = sg_spawn_worker(path, worker->spec.argv, &worker->pid, &sock);
	free(path);
	if (err != 0)
		return err;
	if (fcntl(sock, F_SETFL, O_NONBLOCK) != 0 || sg_channel_new(&worker->channel, sock) != 0) {
		close(sock);
		goto fail;
	}
	worker->read_event =
	    event_new(worker->agent->base, sock, EV_READ | EV_PERSIST, on_readable, worker);
	worker->write_event = event_new(worker->agent->base, sock, EV_WRITE, on_writable, worker);
	if (worker->read_event == NULL || worker->write_event == NULL ||
	    event_add(worker->read_event, NULL) != 0)
		goto fail;
	worker->starts++;
	sg_log(SG_LOG_INFO, "%s for %s started (process %d)", worker->spec.program, worker->subject,
	    (int)worker->pid);
	return 0;
fail:
	if (worker->read_event != NULL)
		event_free(worker->read_event);
	if (worker->write_event != NULL)
		event_free(worker->write_event);
	worker->read_event = worker->write_event = NULL;
	sg_channel_free(worker->channel);
	worker->channel = NULL;
	sg_reaper_add(worker->agent->reaper, worker->pid, 0);
	worker->pid = 0;
	return SG_ERR_NOMEM;
}

/* The process has ended. Callbacks may not be called from here: what runs is told from the loop. */
static void worker_lost(struct sg_worker *worker)
{
	struct request *request;

	sg_log(SG_LOG_WARN, "%s for %s (process %d) had ended", worker->spec.program,
	    worker->subject, (int)worker->pid);
	worker->deaths++;
	sg_channel_free(process_end(worker, 0));
	TAILQ_FOREACH(request, &worker->requests, entry) {
		if (request->code == 0)
			fail_at_once(request, SG_ERR_WORKER);
	}
	if (worker->spec.ended != NULL)
		worker->spec.ended(worker->spec.arg);
}

/* A process that ended: its end may not have been read yet. */
void sg_worker_look(struct sg_worker *worker)
{
	struct pollfd pfd;
	struct timeval turn;

	/* While requests run, the loop is to read their answers first; it sends again what must be. */
	if (worker->channel == NULL || (worker->spec.resends && !TAILQ_EMPTY(&worker->requests)))
		return;
	/* The loop has one time for all of a turn. */
	if (event_base_gettimeofday_cached(worker->agent->base, &turn) == 0) {
		if (evutil_timercmp(&turn, &worker->looked, ==))
			return;
		worker->looked = turn;
	}
	pfd = (struct pollfd){ .fd = sg_channel_fd(worker->channel), .events = POLLRDHUP };
	if (poll(&pfd, 1, 0) > 0 && (pfd.revents & (POLLHUP | POLLRDHUP | POLLERR)) != 0)
		worker_lost(worker);
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

/* An answer; gives 0 when it belongs to no request, or is of the wrong type. */
static int take_answer(struct sg_worker *worker, struct sg_frame *frame)
{
	struct request *request = request_find(worker, frame->id);

	if (request == NULL || request->code != 0 ||
	    (frame->type != SG_MSG_ERROR && frame->type != answer_types[request->type]))
		return 0;
	TAILQ_REMOVE(&worker->requests, request, entry);
	worker->answered_ms = sg_clock_ms();
	if (frame->type == SG_MSG_ERROR)
		request->fn(request->arg, frame->msg, NULL);
	else
		request->fn(request->arg, NULL, frame->msg);
	request_free(request);
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
			worker_died(worker, "sent a malformed frame: killed");
			return;
		}
		callback_enter(worker);
		good = take_frame(worker, &frame);
		sg_frame_clear(&frame);
		if (!callback_leave(worker))
			return;
		if (!good && worker->channel == channel) {
			worker_died(worker, "sent a frame out of turn: killed");
			return;
		}
		queue_serve(worker);
	}
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct sg_worker *worker = arg;
	int got = sg_channel_fill(worker->channel);

	if (got > 0)
		take_frames(worker);
	else
		worker_died(worker, "ended");
}

static void worker_flush(struct sg_worker *worker)
{
	int left = sg_channel_flush(worker->channel);

	/* When it is gone, the end of the channel tells so, from the loop. */
	if (left > 0)
		event_add(worker->write_event, NULL);
	else if (left < 0)
		event_active(worker->read_event, EV_READ, 0);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	worker_flush(arg);
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
	callback_enter(worker);
	request_fail(request, request->code);
	(void)callback_leave(worker);
}

/* The request cannot be sent: says so from the loop. */
static void fail_at_once(struct request *request, int code)
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

/* Whether it is one of those of which the worker has only so many at a time: all but logins, which may
 * wait for a person and have threads of their own there. */
static int is_bounded(const struct sg_worker *worker, uint16_t type)
{
	return worker->spec.window > 0 && type != SG_MSG_TOKEN_LOGIN;
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
static int deadline_set(struct sg_worker *worker, struct request *request)
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
	if (worker->channel == NULL && (err = worker_start(worker)) != 0)
		return err;
	err = deadline_set(worker, request);
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
		fail_at_once(request, err);
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
		fail_at_once(request, SG_ERR_NOMEM);
	}
}

static void queue_serve(struct sg_worker *worker)
{
	int seconds;

	while (worker->queue.count > 0 && outstanding(worker, &seconds) < worker->spec.window)
		queue_take(worker);
}

void sg_worker_request(struct sg_worker *worker, uint16_t type, const void *msg, int fd,
    int seconds, sg_answer_fn *fn, void *arg)
{
	struct request *request = calloc(1, sizeof(*request));
	int running;
	int err;

	if (request == NULL)
		abort(); /* see fail_at_once() */
	sg_worker_look(worker);
	*request = (struct request){ .worker = worker,
		.type = type,
		.seconds = seconds < 0 ? -seconds * worker->spec.seconds : seconds,
		.fn = fn,
		.arg = arg };
	if (!is_bounded(worker, type) ||
	    (worker->queue.count == 0 && outstanding(worker, &running) < worker->spec.window)) {
		request_start(worker, request, msg, fd);
		return;
	}
	err = sg_queue_put(&worker->queue, &request->waiting, request, type, msg);
	if (err != 0) {
		TAILQ_INSERT_TAIL(&worker->requests, request, entry);
		fail_at_once(request, err);
	}
}

void sg_worker_answer(struct sg_worker *worker, uint32_t id, uint16_t type, const void *msg)
{
	if (worker->channel == NULL)
		return;
	if (sg_channel_put(worker->channel, id, type, msg, -1) != 0) {
		worker_died(worker, "cannot take an answer: killed");
		return;
	}
	worker_flush(worker);
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
	callback_enter(worker);
	worker_end(worker, SG_ERR_WORKER, 0, WORKER_GRACE_MS, 0);
	/* Without a process none waited in the queue, and now none does. */
	while ((request = TAILQ_FIRST(&worker->requests)) != NULL) {
		TAILQ_REMOVE(&worker->requests, request, entry);
		request_free(request);
	}
	(void)callback_leave(worker);
}

void sg_worker_stop(struct sg_worker *worker, int code)
{
	worker_end(worker, code, 0, WORKER_GRACE_MS, 0);
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

const char *sg_worker_kind(const struct sg_worker *worker)
{
	return worker->spec.kind;
}

const char *sg_worker_subject(const struct sg_worker *worker)
{
	return worker->subject;
}
