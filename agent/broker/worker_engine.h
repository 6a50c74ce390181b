/*
 * What the two halves of a worker share: worker.c, which asks, and worker_process.c, which starts
 * the process and sees to its end.
 */
#ifndef SG_BROKER_WORKER_ENGINE_H
#define SG_BROKER_WORKER_ENGINE_H

#include <sys/queue.h>

#include "queue.h"
#include "worker.h"

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
	int abandoned;	     /* the worker was told that nobody wants it any more */
	struct sg_worker_use use;     /* its strings are its own */
	struct sg_msg_keyinfos parts; /* of an answer in several frames: those that came */
	size_t part_bytes;
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
	int64_t touched_ms;  /* ... and a signature that took as long as a touch does; 0: never */
	int is_quick;	     /* the last signature took no longer than one in software does */
	unsigned starts;
	unsigned deaths;
	unsigned answered_in; /* the last process that answered anything */
	unsigned early;	      /* deaths in a row of processes that had not */
	int looked;	      /* in this turn of the loop the process was looked at */
	unsigned in_callback; /* a callback may free the worker: it is then freed after it */
	int freed;
};

/* ---- worker_process.c ---- */

/* A callback may free the worker: it is then freed when the last of them is left. Leaving tells
 * whether the worker is still there. */
void sg_worker_enter(struct sg_worker *worker);
int sg_worker_leave(struct sg_worker *worker);

/* Starts the process, where none runs. What sg_spawn_program_path() and sg_spawn_worker() say, SG_ERR_NOMEM. */
SG_MUST_USE int sg_worker_start(struct sg_worker *worker);

/*
 * Lets the process go and answers what runs: what is over time by then (0: nothing) with
 * SG_ERR_TIMEOUT, the others with code, unless what it has not seen, queued or not, is kept for the
 * next process. A grace of 0 kills at once.
 */
void sg_worker_end(
    struct sg_worker *worker, int code, int64_t by_ms, int grace_ms, int keep_unseen);

/* It died by itself: what it was not given yet goes to the next one. */
void sg_worker_died(struct sg_worker *worker, const char *why);

/* Fails one request, which is in no list any more, and frees it. */
void sg_worker_request_fail(struct request *request, int code);
void sg_worker_request_free(struct request *request);

/* ---- worker.c ---- */

void sg_worker_on_readable(evutil_socket_t fd, short what, void *worker);
void sg_worker_on_writable(evutil_socket_t fd, short what, void *worker);
void sg_worker_flush(struct sg_worker *worker);

/* Hands over what waits, as far as the window allows. */
void sg_worker_serve(struct sg_worker *worker);

/* Starts a request's time. SG_ERR_NOMEM. */
SG_MUST_USE int sg_worker_deadline_set(struct sg_worker *worker, struct request *request);

/* The request cannot be sent: says so from the loop. */
void sg_worker_fail_at_once(struct request *request, int code);

#endif
