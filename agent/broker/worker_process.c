#include "worker_engine.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "reaper.h"
#include "spawn.h"

#define EARLY_DEATHS 2 /* after so many it is no accident */

/* ---- callbacks that may free the worker ---- */

static void worker_destroy(struct sg_worker *worker)
{
	free(worker->subject);
	free(worker);
}

void sg_worker_enter(struct sg_worker *worker)
{
	worker->in_callback++;
}

int sg_worker_leave(struct sg_worker *worker)
{
	worker->in_callback--;
	if (!worker->freed)
		return 1;
	if (worker->in_callback == 0)
		worker_destroy(worker);
	return 0;
}

void sg_worker_request_free(struct request *request)
{
	if (request->timer != NULL)
		event_free(request->timer);
	sg_buf_clear(&request->waiting.message);
	sg_msg_clear(SG_MSG_KEYINFOS, &request->parts);
	free(request->use.target);
	free(request->use.purpose);
	free(request);
}

/* To try again does not help here. */
static void crash_set(struct sg_msg_error *error, const struct sg_worker *worker, const char *who)
{
	sg_msg_error_set(error, SG_ERR_WORKER, worker->subject,
	    "%s crashed before its first answer, %u times in a row", who != NULL ? who : "a worker",
	    worker->early);
	error->condition = strdup("It will do so again: look into the log of signetd, then update "
				  "what it loads, or take that out of signet.conf.");
}

void sg_worker_request_fail(struct request *request, int code)
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
		if (worker->early >= EARLY_DEATHS) {
			crash_set(&error, worker, who);
			break;
		}
		sg_msg_error_set(&error, code, worker->subject, "%s ended during the call",
		    who != NULL ? who : "a worker");
		break;
	case SG_ERR_RELEASED:
		sg_msg_error_set(&error, code, worker->subject,
		    "the token was released while %s was at work for the call",
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
	sg_worker_request_free(request);
}

/* ---- the end of a process ---- */

/* One that ends before its first answer may do that each time. */
static void death_note(struct sg_worker *worker)
{
	worker->deaths++;
	if (worker->answered_in != worker->starts)
		worker->early++;
}

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
		if (request->code != 0 || request->abandoned ||
		    sg_worker_deadline_set(legacy->worker, request) != 0)
			return 0;
		TAILQ_REMOVE(legacy->requests, request, entry);
		TAILQ_INSERT_TAIL(&legacy->worker->requests, request, entry);
		return 1;
	}
	return 0;
}

/* Of what was handed over, that which the dead process cannot have seen is asked of the next
 * one. */
static void resend(struct sg_worker *worker, struct sg_channel *from, struct request_list *requests)
{
	struct legacy legacy = { worker, requests };

	if (!worker->spec.resends || worker->freed || worker->agent->stopping ||
	    !sg_channel_has_unsent(from) || sg_worker_start(worker) != 0)
		return;
	/* Without memory its deadline answers what is lost here. */
	if (sg_channel_move_unsent(from, worker->channel, legacy_keep, &legacy) != 0)
		sg_log(SG_LOG_ERROR, "no memory for requests to %s", worker->spec.program);
	sg_worker_flush(worker);
}

/* Lets the process go; a grace of 0 kills at once. Gives its channel. */
static struct sg_channel *process_end(struct sg_worker *worker, int grace_ms)
{
	struct sg_channel *channel = worker->channel;

	event_free(worker->read_event);
	event_free(worker->write_event);
	worker->read_event = worker->write_event = NULL;
	worker->channel = NULL;
	worker->looked = 0;
	sg_reaper_add(worker->agent->reaper, worker->pid, grace_ms);
	worker->pid = 0;
	return channel;
}

void sg_worker_end(struct sg_worker *worker, int code, int64_t by_ms, int grace_ms, int keep_unseen)
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
	sg_worker_enter(worker);
	/* A callback may ask anew, which starts the next process: what follows is of the old
	 * one. */
	while ((request = TAILQ_FIRST(&running)) != NULL) {
		TAILQ_REMOVE(&running, request, entry);
		if (worker->freed)
			sg_worker_request_free(request);
		else if (request->code != 0)
			sg_worker_request_fail(request, request->code);
		else
			sg_worker_request_fail(
			    request, is_overdue(request, by_ms) ? SG_ERR_TIMEOUT : code);
	}
	if (worker->spec.ended != NULL && !worker->freed)
		worker->spec.ended(worker->spec.arg);
	if (sg_worker_leave(worker))
		sg_worker_serve(worker);
}

void sg_worker_died(struct sg_worker *worker, const char *why)
{
	sg_log(SG_LOG_WARN, "%s for %s (process %d) %s", worker->spec.program, worker->subject,
	    (int)worker->pid, why);
	death_note(worker);
	sg_worker_end(worker, SG_ERR_WORKER, 0, 0, 1);
}

/* ---- its start ---- */

int sg_worker_start(struct sg_worker *worker)
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
	worker->read_event = event_new(
	    worker->agent->base, sock, EV_READ | EV_PERSIST, sg_worker_on_readable, worker);
	worker->write_event =
	    event_new(worker->agent->base, sock, EV_WRITE, sg_worker_on_writable, worker);
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
	death_note(worker);
	sg_channel_free(process_end(worker, 0));
	TAILQ_FOREACH(request, &worker->requests, entry) {
		if (request->code == 0)
			sg_worker_fail_at_once(request, SG_ERR_WORKER);
	}
	if (worker->spec.ended != NULL)
		worker->spec.ended(worker->spec.arg);
}

/* A process that ended: its end may not have been read yet. Calls of one turn of the loop are taken
 * for having been read together: one look is enough for them. The turn is known by the event that
 * runs at its end, not by the loop's time, which is as coarse as the kernel's tick and may be the
 * same for several turns. */
void sg_worker_look(struct sg_worker *worker)
{
	struct pollfd pfd;

	/* While requests run, the loop is to read their answers first; it sends again what must
	 * be. */
	if (worker->channel == NULL || (worker->spec.resends && !TAILQ_EMPTY(&worker->requests)))
		return;
	if (worker->looked)
		return;
	pfd = (struct pollfd){ .fd = sg_channel_fd(worker->channel), .events = POLLRDHUP };
	if (poll(&pfd, 1, 0) > 0 && (pfd.revents & (POLLHUP | POLLRDHUP | POLLERR)) != 0) {
		worker_lost(worker);
	} else {
		worker->looked = 1;
		event_active(worker->write_event, EV_WRITE, 0);
	}
}
