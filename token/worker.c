#include "worker.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "answers.h"
#include "channel.h"
#include "cond.h"
#include "dispatch.h"
#include "guard.h"
#include "log.h"
#include "module.h"
#include "touch.h"
#include "turn.h"
#include "upcall.h"
#include "watch.h"

struct worker;

#define STAND_IN_MS  2
#define TOGETHER_MAX 8	 /* answers that wait for each other, */
#define QUICK_US     400 /* while each takes no longer, */
#define REFILL_AT    3	 /* and so many requests wait: the broker sends more when it has answers */
#define QUEUE_ROOM   (SG_WORKER_QUEUE_MAX + SG_WORKER_QUEUE_SPARE)

_Static_assert(SG_WORKER_THREADS <= SG_WORKER_LOGIN_THREADS, "one array for both pools");

/* A bounded queue and the threads that empty it. */
struct pool {
	struct worker *worker;
	pthread_mutex_t lock; /* protects all below */
	pthread_cond_t more, ended;
	struct sg_frame frames[QUEUE_ROOM];
	size_t first, count;
	pthread_t threads[SG_WORKER_LOGIN_THREADS];
	size_t thread_count;
	size_t running; /* threads that are not about to end */
	size_t busy;	/* requests that were taken and have no answer yet */
	int stop;
};

/*
 * The threads that work also read: one that has nothing to do waits at the socket, and does what it
 * read itself, so that no other thread need be woken for it. At most twice as many of them work at a
 * time as there are processors: those of one module wait for its locks, and one that was put aside
 * while it holds one would leave a processor idle if there were no third. The stand-in looks every
 * STAND_IN_MS, while there is work, whether that has gone on: if not, it lets one more thread work,
 * and reads while nobody does, for answers to what the threads ask and the end of the channel must
 * not wait for a token.
 */
struct reading {
	/* All are protected by the lock of the pool that works. */
	int reads;	     /* a thread is at the socket */
	int over;	     /* 1: the channel has ended, and is not read any more */
	int status;	     /* then: the exit status */
	size_t share, limit; /* threads that may work: as a rule, and now */
	unsigned taken;	     /* how often somebody took from the socket or the queue */
	int asleep;	     /* the stand-in must be woken when nobody reads */
	pthread_cond_t wake;
};

struct worker {
	struct sg_module *module; /* NULL when it could not be loaded */
	struct sg_msg_error why;
	int may_pass; /* ... here, and could be in another process */
	struct sg_channel *in;
	struct sg_answers answers; /* by the same socket: reading and writing share nothing */
	struct sg_host host;
	struct sg_upcalls upcalls;
	atomic_int asking; /* threads that wait for an answer of the broker */
	struct pool work, logins, ends;
	struct reading reading;
};

/* ---- what goes to the broker unasked ---- */

static int frame_send(void *arg, uint32_t id, uint16_t type, const void *msg)
{
	struct worker *worker = arg;

	return sg_answers_send(&worker->answers, id, type, msg);
}

static void host_tell(void *arg, uint16_t type, const void *msg)
{
	int err = frame_send(arg, 0, type, msg);

	if (err != 0)
		sg_log(SG_LOG_WARN, "the broker cannot be told: %s", sg_err_text(err));
}

static void host_fail(void *arg, uint32_t id, const struct sg_msg_error *error)
{
	if (frame_send(arg, id, SG_MSG_ERROR, error) != 0)
		sg_log(SG_LOG_WARN, "the broker cannot be told");
}

static int host_ask(void *arg, uint16_t type, const void *msg)
{
	struct worker *worker = arg;
	int err;

	worker->asking++;
	err = sg_upcall_ask(&worker->upcalls, frame_send, worker, type, msg, SG_UPCALL_TIMEOUT_MS);
	worker->asking--;
	return err;
}

/* ---- requests ---- */

/* The lock is held. */
static struct sg_frame queue_take(struct pool *pool)
{
	struct sg_frame frame = pool->frames[pool->first];

	pool->first = (pool->first + 1) % QUEUE_ROOM;
	pool->count--;
	pool->busy++;
	return frame;
}

/* Whether another process is to load the module anew, or for the first time. */
static int is_spent(const struct worker *worker)
{
	return worker->module != NULL ? atomic_load(&worker->module->spent) : worker->may_pass;
}

/* Before the answer that says so, for whoever has that may ask again at once: nothing more is taken
 * from the broker, which starts the next process then; what it has sent already is answered. */
static void spent_end(struct worker *worker)
{
	if (is_spent(worker))
		shutdown(sg_channel_fd(worker->in), SHUT_RD);
}

/* Gives how many answers wait now. */
static unsigned answer_put(
    struct worker *worker, struct sg_frame *frame, uint16_t type, union sg_token_answer *answer)
{
	unsigned waiting = sg_answers_put(&worker->answers, frame, type, answer);

	sg_msg_clear(type, answer);
	sg_frame_clear(frame);
	return waiting;
}

static void frame_answer(
    struct worker *worker, struct sg_frame *frame, uint16_t type, union sg_token_answer *answer)
{
	(void)answer_put(worker, frame, type, answer);
	sg_answers_write(&worker->answers);
}

/* The lock is held, and let go. */
static void thread_over(struct pool *pool)
{
	pool->running--;
	pthread_cond_broadcast(&pool->ended);
	pthread_mutex_unlock(&pool->lock);
}

/* Of the pools that do not read. */
static void *serve_thread(void *arg)
{
	struct pool *pool = arg;
	union sg_token_answer answer;
	struct sg_frame frame;
	uint16_t type;

	pthread_mutex_lock(&pool->lock);
	while (!pool->stop) {
		if (pool->count == 0) {
			pthread_cond_wait(&pool->more, &pool->lock);
			continue;
		}
		frame = queue_take(pool);
		pthread_mutex_unlock(&pool->lock);
		type = sg_dispatch(pool->worker->module, &pool->worker->why, &frame, &answer);
		/* Before the answer: whoever has it finds a thread for the next request. */
		pthread_mutex_lock(&pool->lock);
		pool->busy--;
		pthread_mutex_unlock(&pool->lock);
		spent_end(pool->worker);
		frame_answer(pool->worker, &frame, type, &answer);
		pthread_mutex_lock(&pool->lock);
	}
	thread_over(pool);
	return NULL;
}

/* 0 when there would be more than so many of them. */
static int pool_offer(struct pool *pool, const struct sg_frame *frame, size_t most)
{
	int taken;

	pthread_mutex_lock(&pool->lock);
	taken = pool->count < QUEUE_ROOM && pool->busy + pool->count < most;
	if (taken) {
		pool->frames[(pool->first + pool->count++) % QUEUE_ROOM] = *frame;
		pthread_cond_signal(&pool->more);
	}
	pthread_mutex_unlock(&pool->lock);
	return taken;
}

static int pool_start(
    struct pool *pool, struct worker *worker, size_t threads, void *(*run)(void *))
{
	pool->worker = worker;
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->more, NULL);
	sg_cond_init(&pool->ended);
	pool->running = threads;
	for (; pool->thread_count < threads; pool->thread_count++) {
		if (pthread_create(&pool->threads[pool->thread_count], NULL, run, pool) != 0)
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
		if (pthread_cond_timedwait(&pool->ended, &pool->lock, deadline) != 0)
			break;
	}
	ended = pool->running == 0;
	for (; ended && pool->count > 0; pool->count--) {
		sg_frame_clear(&pool->frames[pool->first]);
		pool->first = (pool->first + 1) % QUEUE_ROOM;
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

	/* Without a free thread it could wait behind a person and another token. */
	if (pool_offer(&worker->logins, frame, SG_WORKER_LOGIN_THREADS))
		return;
	sg_msg_error_set(&answer.error, SG_ERR_LIMIT, NULL,
	    "%d logins wait for their PINs already: end one of them first",
	    SG_WORKER_LOGIN_THREADS);
	frame_answer(worker, frame, SG_MSG_ERROR, &answer);
}

static void end_give(struct worker *worker, struct sg_frame *frame)
{
	union sg_token_answer answer = { 0 };

	if (pool_offer(&worker->ends, frame, QUEUE_ROOM))
		return;
	sg_msg_error_set(&answer.error, SG_ERR_LIMIT, NULL,
	    "%d requests to lock or release tokens wait for their module already", QUEUE_ROOM);
	frame_answer(worker, frame, SG_MSG_ERROR, &answer);
}

/* Takes the frame with this id out of the queue; 0 when it is not there. The lock is held. */
static int queue_pull(struct pool *pool, uint32_t id, struct sg_frame *frame)
{
	size_t i = 0;

	while (i < pool->count && pool->frames[(pool->first + i) % QUEUE_ROOM].id != id)
		i++;
	if (i == pool->count)
		return 0;
	*frame = pool->frames[(pool->first + i) % QUEUE_ROOM];
	for (pool->count--; i < pool->count; i++)
		pool->frames[(pool->first + i) % QUEUE_ROOM] =
		    pool->frames[(pool->first + i + 1) % QUEUE_ROOM];
	return 1;
}

/* Nobody wants its answer any more. What has begun already ends before its next signature. */
static void request_cancel(struct worker *worker, const struct sg_msg_cancel *cancel)
{
	struct pool *pool = &worker->work;
	union sg_token_answer answer = { 0 };
	struct sg_frame frame;
	int waited;

	pthread_mutex_lock(&pool->lock);
	waited = queue_pull(pool, cancel->request, &frame);
	pthread_mutex_unlock(&pool->lock);
	if (!waited) {
		sg_turn_cancel(cancel->request);
		return;
	}
	sg_msg_error_set(
	    &answer.error, SG_ERR_PIN_CANCELLED, NULL, "whoever asked for it has gone");
	frame_answer(worker, &frame, SG_MSG_ERROR, &answer);
}

/* ---- the threads that work ---- */

/* A broker that asks faster than tokens answer is held back by its own socket. There is more room
 * while a thread waits for an answer that stands behind these frames. The lock is held. */
static int has_room(struct worker *worker)
{
	return worker->work.count < (worker->asking ? QUEUE_ROOM : SG_WORKER_QUEUE_MAX);
}

/* Hands on a frame that is no work, or puts it into the queue. Gives 0 when there is no room for
 * more. */
static int frame_give(struct worker *worker, struct sg_frame *frame)
{
	struct pool *pool = &worker->work;
	int is_work = 0, more;

	if (frame->id >= SG_UPCALL_FIRST_ID) {
		sg_upcall_answer(&worker->upcalls, frame);
		sg_frame_clear(frame);
	} else if (frame->type == SG_MSG_CANCEL) {
		request_cancel(worker, frame->msg);
		sg_frame_clear(frame);
	} else if (sg_dispatch_waits(frame->type)) {
		login_give(worker, frame);
	} else if (sg_dispatch_ends(worker->module, frame)) {
		end_give(worker, frame);
	} else {
		is_work = 1;
	}
	pthread_mutex_lock(&pool->lock);
	if (is_work)
		pool->frames[(pool->first + pool->count++) % QUEUE_ROOM] = *frame;
	more = has_room(worker);
	pthread_mutex_unlock(&pool->lock);
	return more;
}

/* Waits at the socket and takes the frames that have come. The lock is held, but for the time of
 * the wait; nobody else reads, and there is room. */
static void socket_read(struct worker *worker)
{
	struct reading *reading = &worker->reading;
	struct sg_frame frame;
	int got, over;

	reading->reads = 1;
	pthread_mutex_unlock(&worker->work.lock);
	got = sg_channel_recv(worker->in, &frame);
	over = got == 0;
	while (got > 0)
		got = frame_give(worker, &frame) ? sg_channel_next(worker->in, &frame) : 0;
	if (got < 0)
		sg_log(SG_LOG_ERROR, "the channel broke: %s", sg_err_text(got));
	pthread_mutex_lock(&worker->work.lock);
	reading->reads = 0;
	reading->taken++;
	if (!over && got == 0)
		return;
	reading->over = 1;
	reading->status = got < 0 ? 1 : 0;
	pthread_cond_signal(&reading->wake);
}

/* Calls the next thread when there is more work, and the stand-in when nobody reads. The lock is
 * held. */
static void others_call(struct worker *worker)
{
	struct reading *reading = &worker->reading;
	struct pool *pool = &worker->work;

	if (pool->count > 0 && pool->busy < reading->limit)
		pthread_cond_signal(&pool->more);
	if (reading->asleep && !reading->reads) {
		reading->asleep = 0;
		pthread_cond_signal(&reading->wake);
	}
}

static int64_t clock_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* The answer may wait for others: whoever takes the last request of the queue writes it before, and
 * the stand-in when none is taken. Ends with the lock held. */
static void work_do(struct worker *worker, struct sg_frame *frame, int is_last)
{
	struct pool *pool = &worker->work;
	union sg_token_answer answer;
	int64_t begun = clock_us();
	uint16_t type;
	int may_wait;

	if (is_last)
		sg_answers_write(&worker->answers);
	type = sg_dispatch(worker->module, &worker->why, frame, &answer);
	sg_turn_end();
	spent_end(worker);
	may_wait = clock_us() - begun < QUICK_US;
	may_wait &= answer_put(worker, frame, type, &answer) < TOGETHER_MAX;
	pthread_mutex_lock(&pool->lock);
	if (!may_wait || pool->count < REFILL_AT || is_spent(worker)) {
		pthread_mutex_unlock(&pool->lock);
		sg_answers_write(&worker->answers);
		pthread_mutex_lock(&pool->lock);
	}
	if (--pool->busy < worker->reading.share)
		worker->reading.limit = worker->reading.share;
	if (pool->busy + pool->count == 0 && worker->reading.over)
		pthread_cond_broadcast(&pool->ended);
}

static void *work_thread(void *arg)
{
	struct pool *pool = arg;
	struct worker *worker = pool->worker;
	struct reading *reading = &worker->reading;
	struct sg_frame frame;
	int is_last;

	pthread_mutex_lock(&pool->lock);
	while (!pool->stop) {
		if (pool->count > 0 && pool->busy < reading->limit) {
			frame = queue_take(pool);
			is_last = pool->count == 0;
			reading->taken++;
			sg_turn_begin(frame.id); /* at any time it is here or in the queue */
			others_call(worker);
			pthread_mutex_unlock(&pool->lock);
			work_do(worker, &frame, is_last);
		} else if (pool->count == 0 && !reading->reads && !reading->over) {
			socket_read(worker);
		} else {
			pthread_cond_wait(&pool->more, &pool->lock);
		}
	}
	thread_over(pool);
	return NULL;
}

/* Nothing has gone on. What waits comes first: at the socket it would not be looked after. The lock
 * is held. */
static void step_in(struct worker *worker)
{
	struct reading *reading = &worker->reading;
	struct pool *pool = &worker->work;

	if (pool->count > 0 && reading->limit < SG_WORKER_THREADS) {
		reading->limit++;
		pthread_cond_signal(&pool->more);
	} else if (!reading->reads && has_room(worker)) {
		socket_read(worker);
		others_call(worker);
	}
}

/* Gives the exit status when the channel has ended: 0 when the peer closed. */
static int stand_in(struct worker *worker)
{
	struct reading *reading = &worker->reading;
	struct pool *pool = &worker->work;
	struct timespec deadline;
	unsigned taken;

	pthread_mutex_lock(&pool->lock);
	while (!reading->over) {
		if (reading->reads && pool->count == 0) {
			reading->asleep = 1;
			while (reading->asleep && !reading->over)
				pthread_cond_wait(&reading->wake, &pool->lock);
			continue;
		}
		taken = reading->taken;
		deadline = sg_cond_deadline(STAND_IN_MS);
		pthread_cond_timedwait(&reading->wake, &pool->lock, &deadline);
		if (taken == reading->taken) {
			pthread_mutex_unlock(&pool->lock);
			sg_answers_write(&worker->answers);
			pthread_mutex_lock(&pool->lock);
		}
		if (taken == reading->taken && !reading->over)
			step_in(worker);
	}
	pthread_mutex_unlock(&pool->lock);
	return reading->status;
}

static int threads_start(struct worker *worker)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	size_t share = cpus < 1 ? 1 : 2 * (size_t)cpus;

	if (share > SG_WORKER_THREADS)
		share = SG_WORKER_THREADS;
	worker->reading.share = worker->reading.limit = share;
	sg_cond_init(&worker->reading.wake);
	/* Those that work read, and so may need the others at once. */
	if (pool_start(&worker->logins, worker, SG_WORKER_LOGIN_THREADS, serve_thread) != 0)
		return SG_ERR_INTERNAL;
	if (pool_start(&worker->ends, worker, SG_WORKER_END_THREADS, serve_thread) != 0)
		return SG_ERR_INTERNAL;
	return pool_start(&worker->work, worker, SG_WORKER_THREADS, work_thread);
}

/* In C_Finalize of a module that hangs, or with a thread left in one. */
static void give_up(int signal_number)
{
	_exit(0);
}

/* What the broker has sent before it knew that this process ends is answered. */
static void work_drain(struct worker *worker, const struct timespec *deadline)
{
	struct pool *pool = &worker->work;

	pthread_mutex_lock(&pool->lock);
	pthread_cond_broadcast(&pool->more);
	while (pool->busy + pool->count > 0) {
		if (pthread_cond_timedwait(&pool->ended, &pool->lock, deadline) != 0)
			break;
	}
	pthread_mutex_unlock(&pool->lock);
}

/*
 * The module is finalised only when no thread is in it any more, and even that may hang: the alarm
 * ends the process then.
 */
static void finish(struct worker *worker)
{
	struct timespec deadline = sg_cond_deadline(SG_WORKER_STOP_S * INT64_C(1000));
	int ended;

	signal(SIGALRM, give_up);
	alarm(2 * SG_WORKER_STOP_S);
	sg_upcalls_stop(&worker->upcalls);
	if (is_spent(worker))
		work_drain(worker, &deadline);
	ended = pool_stop(&worker->work, &deadline);
	ended &= pool_stop(&worker->logins, &deadline);
	ended &= pool_stop(&worker->ends, &deadline);
	ended &= worker->module == NULL || sg_watch_stop(worker->module, &deadline);
	ended &= sg_guard_stop(&deadline);
	if (!ended) {
		sg_log(SG_LOG_WARN, "a request is still in the module: ending without it");
		if (worker->module != NULL)
			sg_module_wipe(worker->module);
		_exit(0);
	}
	sg_touch_stop();
	sg_module_close(worker->module);
	sg_layout_clear(&sg_layout_error, &worker->why);
	sg_channel_free(worker->in);
	sg_answers_clear(&worker->answers);
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
	return sg_answers_init(&worker->answers, other);
}

/* An authority has a broker that speaks first and last, and is told nothing unasked but what becomes of a PIN, on the way
 * to an answer. */
static int watchers_start(struct worker *worker)
{
	int err;

	if (worker->module == NULL)
		return 0;
	worker->host = (struct sg_host){ worker, host_ask, host_tell, host_fail };
	worker->module->host = &worker->host;
	if (worker->module->authority)
		return 0;
	err = sg_touch_start();
	if (err == 0)
		err = sg_guard_start(worker->module);
	return err == 0 ? sg_watch_start(worker->module) : err;
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
	sg_upcalls_init(&worker.upcalls);
	err = sg_module_open(options->module, options->module_dirs, options->init, &worker.module,
	    &worker.may_pass, &worker.why);
	if (err != 0)
		sg_log(SG_LOG_ERROR, "%s",
		    worker.why.message != NULL ? worker.why.message : sg_err_text(err));
	else
		worker.module->authority = options->authority;
	if (watchers_start(&worker) != 0 || threads_start(&worker) != 0) {
		sg_log(SG_LOG_ERROR, "no threads");
		return 1;
	}
	status = stand_in(&worker);
	finish(&worker);
	return status;
}
