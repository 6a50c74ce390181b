#include "worker.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "channel.h"
#include "dispatch.h"
#include "log.h"
#include "module.h"

struct worker;

_Static_assert(SG_WORKER_THREADS <= SG_WORKER_LOGIN_THREADS, "one array for both pools");

/* A bounded queue and the threads that empty it. */
struct pool {
	struct worker *worker;
	pthread_mutex_t lock; /* protects all below */
	pthread_cond_t more, less;
	struct sg_frame frames[SG_WORKER_QUEUE_MAX];
	size_t first, count;
	pthread_t threads[SG_WORKER_LOGIN_THREADS];
	size_t thread_count;
	size_t running; /* threads that are not about to end */
	size_t busy;	/* requests that were taken and have no answer yet */
	int stop;
};

struct worker {
	struct sg_module *module; /* NULL when it could not be loaded */
	struct sg_msg_error why;
	struct sg_channel *in;
	pthread_mutex_t out_lock; /* protects out */
	struct sg_channel *out;	  /* the same socket: reading and writing share nothing */
	struct pool work, logins;
};

static void answer_send(struct worker *worker, const struct sg_frame *frame, uint16_t type,
    union sg_token_answer *answer)
{
	struct sg_msg_error error = { 0 };
	int err;

	pthread_mutex_lock(&worker->out_lock);
	err = sg_channel_send(worker->out, frame->id, type, answer, -1);
	/* Not fit for a frame: too large, or a token's text that is no UTF-8. Nobody waits for it in vain. */
	if (err != 0 && err != SG_ERR_IO) {
		sg_msg_error_set(&error, err, NULL,
		    err == SG_ERR_LIMIT ? "the answer is larger than a frame may be"
					: "the answer cannot be put into a frame");
		err = sg_channel_send(worker->out, frame->id, SG_MSG_ERROR, &error, -1);
	}
	pthread_mutex_unlock(&worker->out_lock);
	/* The reading thread sees the end of the channel by itself. */
	if (err != 0)
		sg_log(SG_LOG_WARN, "an answer cannot be sent: %s", sg_err_text(err));
	sg_layout_clear(&sg_layout_error, &error);
}

static int pool_take(struct pool *pool, struct sg_frame *frame)
{
	int taken = 0;

	pthread_mutex_lock(&pool->lock);
	while (pool->count == 0 && !pool->stop)
		pthread_cond_wait(&pool->more, &pool->lock);
	if (!pool->stop) {
		*frame = pool->frames[pool->first];
		pool->first = (pool->first + 1) % SG_WORKER_QUEUE_MAX;
		pool->count--;
		pool->busy++;
		pthread_cond_signal(&pool->less);
		taken = 1;
	}
	pthread_mutex_unlock(&pool->lock);
	return taken;
}

static void pool_done(struct pool *pool)
{
	pthread_mutex_lock(&pool->lock);
	pool->busy--;
	pthread_mutex_unlock(&pool->lock);
}

static void *pool_thread(void *arg)
{
	struct pool *pool = arg;
	union sg_token_answer answer;
	struct sg_frame frame;
	uint16_t type;

	while (pool_take(pool, &frame)) {
		type = sg_dispatch(pool->worker->module, &pool->worker->why, &frame, &answer);
		/* Before the answer: whoever has it finds room for the next request. */
		pool_done(pool);
		answer_send(pool->worker, &frame, type, &answer);
		sg_msg_clear(type, &answer);
		sg_frame_clear(&frame);
	}
	pthread_mutex_lock(&pool->lock);
	pool->running--;
	pthread_cond_broadcast(&pool->less);
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

/*
 * For requests that may wait for a person: 0 when no thread is free for it, for then it could wait behind
 * one for another token.
 */
static int pool_offer(struct pool *pool, const struct sg_frame *frame)
{
	int taken;

	pthread_mutex_lock(&pool->lock);
	taken = pool->busy + pool->count < pool->thread_count;
	if (taken) {
		pool->frames[(pool->first + pool->count++) % SG_WORKER_QUEUE_MAX] = *frame;
		pthread_cond_signal(&pool->more);
	}
	pthread_mutex_unlock(&pool->lock);
	return taken;
}

/* Waits for room: a broker that asks faster than tokens answer is held back by its own socket. */
static void pool_give(struct pool *pool, const struct sg_frame *frame)
{
	pthread_mutex_lock(&pool->lock);
	while (pool->count == SG_WORKER_QUEUE_MAX)
		pthread_cond_wait(&pool->less, &pool->lock);
	pool->frames[(pool->first + pool->count++) % SG_WORKER_QUEUE_MAX] = *frame;
	pthread_cond_signal(&pool->more);
	pthread_mutex_unlock(&pool->lock);
}

static int pool_start(struct pool *pool, struct worker *worker, size_t threads)
{
	pthread_condattr_t clock;

	pool->worker = worker;
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->more, NULL);
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&pool->less, &clock);
	pthread_condattr_destroy(&clock);
	pool->running = threads;
	for (; pool->thread_count < threads; pool->thread_count++) {
		if (pthread_create(&pool->threads[pool->thread_count], NULL, pool_thread, pool) !=
		    0)
			return SG_ERR_INTERNAL;
	}
	return 0;
}

/* Gives 1 when all threads have ended before the deadline. */
static int pool_stop(struct pool *pool, const struct timespec *deadline)
{
	int ended;

	pthread_mutex_lock(&pool->lock);
	pool->stop = 1;
	pthread_cond_broadcast(&pool->more);
	while (pool->running > 0) {
		if (pthread_cond_timedwait(&pool->less, &pool->lock, deadline) != 0)
			break;
	}
	ended = pool->running == 0;
	for (; ended && pool->count > 0; pool->count--) {
		sg_frame_clear(&pool->frames[pool->first]);
		pool->first = (pool->first + 1) % SG_WORKER_QUEUE_MAX;
	}
	pthread_mutex_unlock(&pool->lock);
	/* Wholly gone, with what libraries keep for each thread, before anything is torn down. */
	while (ended && pool->thread_count > 0)
		pthread_join(pool->threads[--pool->thread_count], NULL);
	return ended;
}

static void login_give(struct worker *worker, struct sg_frame *frame)
{
	union sg_token_answer answer = { 0 };

	if (pool_offer(&worker->logins, frame))
		return;
	sg_msg_error_set(&answer.error, SG_ERR_LIMIT, NULL,
	    "%d logins wait for their PINs already: end one of them first",
	    SG_WORKER_LOGIN_THREADS);
	answer_send(worker, frame, SG_MSG_ERROR, &answer);
	sg_msg_clear(SG_MSG_ERROR, &answer);
	sg_frame_clear(frame);
}

/* Gives the exit status: 0 when the peer closed. */
static int read_all(struct worker *worker)
{
	struct sg_frame frame;
	int got;

	for (;;) {
		got = sg_channel_recv(worker->in, &frame);
		if (got <= 0)
			break;
		if (sg_dispatch_waits(frame.type))
			login_give(worker, &frame);
		else
			pool_give(&worker->work, &frame);
	}
	if (got < 0)
		sg_log(SG_LOG_ERROR, "the channel broke: %s", sg_err_text(got));
	return got < 0 ? 1 : 0;
}

/* In C_Finalize of a module that hangs, or with a thread left in one. */
static void give_up(int signal_number)
{
	_exit(0);
}

/*
 * The module is finalised only when no thread is in it any more, and even that may hang: the alarm
 * ends the process then.
 */
static void finish(struct worker *worker)
{
	struct timespec deadline;
	int ended;

	signal(SIGALRM, give_up);
	alarm(2 * SG_WORKER_STOP_S);
	clock_gettime(CLOCK_MONOTONIC, &deadline);
	deadline.tv_sec += SG_WORKER_STOP_S;
	ended = pool_stop(&worker->work, &deadline);
	ended &= pool_stop(&worker->logins, &deadline);
	if (!ended) {
		sg_log(SG_LOG_WARN, "a request is still in the module: ending without it");
		if (worker->module != NULL)
			sg_module_wipe(worker->module);
		_exit(0);
	}
	sg_module_close(worker->module);
	sg_layout_clear(&sg_layout_error, &worker->why);
	sg_channel_free(worker->in);
	sg_channel_free(worker->out);
}

static int channels_open(struct worker *worker, int sock)
{
	int other = dup(sock);
	int err;

	if (other < 0) {
		close(sock);
		return SG_ERR_IO;
	}
	err = sg_channel_new(&worker->in, sock);
	if (err != 0)
		return err;
	return sg_channel_new(&worker->out, other);
}

int sg_worker_run(const struct sg_worker_options *options, int sock)
{
	static struct worker worker;
	int err, status;

	err = channels_open(&worker, sock);
	if (err != 0) {
		sg_log(SG_LOG_ERROR, "no channel on descriptor %d: %s", sock, sg_err_text(err));
		return 1;
	}
	pthread_mutex_init(&worker.out_lock, NULL);
	err = sg_module_open(options->module, options->module_dirs, &worker.module, &worker.why);
	if (err != 0)
		sg_log(SG_LOG_ERROR, "%s",
		    worker.why.message != NULL ? worker.why.message : sg_err_text(err));
	else
		worker.module->authority = options->authority;
	if (pool_start(&worker.work, &worker, SG_WORKER_THREADS) != 0 ||
	    pool_start(&worker.logins, &worker, SG_WORKER_LOGIN_THREADS) != 0) {
		sg_log(SG_LOG_ERROR, "no threads");
		return 1;
	}
	status = read_all(&worker);
	finish(&worker);
	return status;
}
