#include "turn.h"

#include <sys/queue.h>

#include "gate.h"

/* A thread and its request. */
struct worker {
	TAILQ_ENTRY(worker) working;
	TAILQ_ENTRY(worker) waiting;
	uint32_t id;
	int cancelled;
	struct sg_token *wants; /* while it waits for its turn there */
	int has;		/* the turn */
	pthread_cond_t mine;	/* it has the turn, or is cancelled */
};
TAILQ_HEAD(worker_list, worker);

static struct {
	pthread_mutex_t lock; /* protects all here, and turn_taken of each token */
	struct worker_list working, waiting;
} turns = { .lock = PTHREAD_MUTEX_INITIALIZER,
	.working = TAILQ_HEAD_INITIALIZER(turns.working),
	.waiting = TAILQ_HEAD_INITIALIZER(turns.waiting) };

static _Thread_local struct worker own = { .mine = PTHREAD_COND_INITIALIZER };

void sg_turn_begin(uint32_t id)
{
	pthread_mutex_lock(&turns.lock);
	own.id = id;
	own.cancelled = 0;
	TAILQ_INSERT_TAIL(&turns.working, &own, working);
	pthread_mutex_unlock(&turns.lock);
}

void sg_turn_end(void)
{
	pthread_mutex_lock(&turns.lock);
	TAILQ_REMOVE(&turns.working, &own, working);
	own.cancelled = 0;
	pthread_mutex_unlock(&turns.lock);
}

void sg_turn_cancel(uint32_t id)
{
	struct worker *worker;

	pthread_mutex_lock(&turns.lock);
	TAILQ_FOREACH(worker, &turns.working, working) {
		if (worker->id != id)
			continue;
		worker->cancelled = 1;
		pthread_cond_signal(&worker->mine);
	}
	pthread_mutex_unlock(&turns.lock);
}

/* Gives the turn to who waits longest. The lock is held. */
static void pass_on(struct sg_token *token)
{
	struct worker *worker;

	TAILQ_FOREACH(worker, &turns.waiting, waiting) {
		if (worker->wants == token)
			break;
	}
	token->turn_taken = worker != NULL;
	if (worker == NULL)
		return;
	TAILQ_REMOVE(&turns.waiting, worker, waiting);
	worker->has = 1;
	pthread_cond_signal(&worker->mine);
}

/* The lock is held, but for the time of the wait. */
static void turn_wait(struct sg_token *token)
{
	unsigned depth;

	own.wants = token;
	TAILQ_INSERT_TAIL(&turns.waiting, &own, waiting);
	depth = sg_gate_pause();
	while (!own.has && !own.cancelled)
		pthread_cond_wait(&own.mine, &turns.lock);
	if (!own.has)
		TAILQ_REMOVE(&turns.waiting, &own, waiting);
	own.wants = NULL;
	pthread_mutex_unlock(&turns.lock);
	sg_gate_resume(depth);
	pthread_mutex_lock(&turns.lock);
}

int sg_turn_take(struct sg_token *token)
{
	int in_turn = sg_token_is_in_reader(token);
	int cancelled;

	pthread_mutex_lock(&turns.lock);
	if (in_turn && !own.cancelled) {
		if (token->turn_taken)
			turn_wait(token);
		else
			own.has = token->turn_taken = 1;
	}
	cancelled = own.cancelled;
	if (cancelled && own.has) {
		own.has = 0;
		pass_on(token);
	}
	pthread_mutex_unlock(&turns.lock);
	return cancelled ? SG_ERR_PIN_CANCELLED : 0;
}

void sg_turn_give(struct sg_token *token)
{
	pthread_mutex_lock(&turns.lock);
	if (own.has) {
		own.has = 0;
		pass_on(token);
	}
	pthread_mutex_unlock(&turns.lock);
}
