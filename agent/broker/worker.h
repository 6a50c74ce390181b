/*
 * One worker process: started when it is first needed, asked over its channel, killed when an
 * answer is overdue, started again with the next request. Never started by itself.
 */
#ifndef SG_BROKER_WORKER_H
#define SG_BROKER_WORKER_H

#include <sys/types.h>

#include "agent.h"
#include "channel.h"
#include "failure.h"

struct sg_worker;

/* What a request uses, and for whom; all of it may be unset. */
struct sg_worker_use {
	char *target; /* URI or label */
	char *purpose;
	uint32_t pid;
};

struct sg_worker_spec {
	const char *program; /* "signet-token" */
	const char *kind;    /* "token", "xmpp" */
	const char *subject; /* the module's name, the account; copied */
	char *const *argv;   /* with its NULL; valid as long as the worker */
	/* Requests that it is given at a time, beside logins; 0: all. Four times as many while
	 * signatures come back at once. */
	unsigned window;
	int seconds; /* what requests refer to */
	/* A request means the same to the next process, so that it goes there when a process died
	 * that cannot have seen it. Otherwise it is bound to what has gone with the process, and
	 * fails. */
	int resends;
	/* What a request of this type uses, borrowed from msg. May be NULL. */
	struct sg_worker_use (*use)(uint16_t type, const void *msg);
	/* A frame that no request of ours asked for; valid during the call. May be NULL. */
	void (*event)(void *arg, const struct sg_frame *frame);
	/* The process is gone; what ran has been answered, or will be from the loop. May come from
	 * sg_worker_request() and sg_worker_look(), and may not free the worker then. May be
	 * NULL. */
	void (*ended)(void *arg);
	/* Its last request was answered. May stop the worker, but not free it. May be NULL. */
	void (*idle)(void *arg);
	void *arg;
};

/*
 * Called once for each request, from the event loop and never from sg_worker_request() itself.
 * Either error is not NULL, or answer is the struct of the type that belongs to the request. Both
 * are freed after the call; what the answer owns may be taken over by zeroing it.
 */
typedef void sg_answer_fn(void *arg, const struct sg_msg_error *error, void *answer);

/* Starts no process yet. SG_ERR_NOMEM. */
SG_MUST_USE int sg_worker_new(
    struct sg_agent *agent, const struct sg_worker_spec *spec, struct sg_worker **worker);

/* Stops the process; requests that still run are never answered. Also from one of its callbacks. */
void sg_worker_free(struct sg_worker *worker);

/*
 * Asks, and starts the process if it does not run. fd is -1 or a descriptor that is duplicated.
 * What goes beyond the worker's window waits here, and the processes that ask are served in turn;
 * SG_ERR_LIMIT when SG_QUEUE_MAX wait. The seconds (below zero: so many times those of the spec)
 * count from when the worker is given the request; while it answers others that it had before, it
 * has theirs, too, and more while signatures are answered that take as long as touches do. When the
 * answer is not there then, the process is killed: what has had its seconds fails with
 * SG_ERR_TIMEOUT, all else with SG_ERR_WORKER. When the process ends by itself, what waits goes to
 * the next one.
 */
void sg_worker_request(struct sg_worker *worker, uint16_t type, const void *msg, int fd,
    int seconds, sg_answer_fn *fn, void *arg);

/* Nobody wants the answer any more for which fn gets this arg: when the request still waits here it
 * fails with SG_ERR_PIN_CANCELLED, from the loop. A worker that has it (a signet-token) is told,
 * and answers likewise what it has not begun; what is being signed runs to its end. */
void sg_worker_abandon(struct sg_worker *worker, const void *arg);

/* Answers a frame that the worker sent unasked. A worker that cannot take it is killed. */
void sg_worker_answer(struct sg_worker *worker, uint32_t id, uint16_t type, const void *msg);

/* Notices that the process has ended, before the loop comes to it; not while requests run that
 * resends takes care of. */
void sg_worker_look(struct sg_worker *worker);

/* Ends the process in good order; requests that run fail with this code. The second one gives what
 * is in the middle of something SG_WORKER_BREAK_MS for that, not SG_WORKER_GRACE_MS. */
#define SG_WORKER_GRACE_MS 2000
#define SG_WORKER_BREAK_MS 500
void sg_worker_stop(struct sg_worker *worker, int code);
void sg_worker_break(struct sg_worker *worker, int code);

/* The process's id, or 0 when none runs. */
pid_t sg_worker_pid(const struct sg_worker *worker);

/* How many processes were started, and how many ended that were not told to. */
unsigned sg_worker_starts(const struct sg_worker *worker);
unsigned sg_worker_deaths(const struct sg_worker *worker);

/* Whether nothing is asked of it; since when (sg_clock_ms()) it has the oldest request that is no
 * login, or 0. */
int sg_worker_is_idle(const struct sg_worker *worker);
int64_t sg_worker_busy_since(const struct sg_worker *worker);

/* The first thing that is asked of it, waiting requests included, and that uses something for which
 * is_other says 1; NULL: there is none. Borrowed. */
const struct sg_worker_use *sg_worker_use_of(const struct sg_worker *worker,
    int (*is_other)(const void *arg, const char *target), const void *arg);

const char *sg_worker_kind(const struct sg_worker *worker);
const char *sg_worker_subject(const struct sg_worker *worker);

#endif
