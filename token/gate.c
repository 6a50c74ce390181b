#include "gate.h"

#include "cond.h"

static struct {
	pthread_mutex_t lock; /* protects what follows */
	pthread_cond_t changed;
	unsigned inside;
	unsigned wanting; /* to be alone */
	int alone;
} gate = { .lock = PTHREAD_MUTEX_INITIALIZER };

static pthread_once_t once = PTHREAD_ONCE_INIT;

static _Thread_local unsigned own_depth;

static void start(void)
{
	sg_cond_init(&gate.changed);
}

static void gate_take(void)
{
	pthread_once(&once, start);
	pthread_mutex_lock(&gate.lock);
}

/* The lock is held. */
static void step_out(void)
{
	gate.inside--;
	if (gate.inside == 0 && gate.wanting > 0)
		pthread_cond_broadcast(&gate.changed);
}

void sg_gate_resume(unsigned depth)
{
	own_depth = depth;
	if (depth == 0)
		return;
	gate_take();
	while (gate.alone || gate.wanting > 0)
		pthread_cond_wait(&gate.changed, &gate.lock);
	gate.inside++;
	pthread_mutex_unlock(&gate.lock);
}

unsigned sg_gate_pause(void)
{
	unsigned depth = own_depth;

	own_depth = 0;
	if (depth == 0)
		return 0;
	gate_take();
	step_out();
	pthread_mutex_unlock(&gate.lock);
	return depth;
}

void sg_gate_enter(void)
{
	if (own_depth > 0)
		own_depth++;
	else
		sg_gate_resume(1);
}

void sg_gate_leave(void)
{
	if (own_depth > 1)
		own_depth--;
	else
		sg_gate_pause();
}

void sg_gate_lock(pthread_mutex_t *lock)
{
	unsigned depth;

	if (pthread_mutex_trylock(lock) == 0)
		return;
	depth = sg_gate_pause();
	pthread_mutex_lock(lock);
	sg_gate_resume(depth);
}

int sg_gate_alone(void)
{
	struct timespec deadline = sg_cond_deadline(SG_GATE_MS);
	int timed_out = 0;

	gate_take();
	if (own_depth > 0)
		step_out();
	gate.wanting++;
	while ((gate.alone || gate.inside > 0) && !timed_out)
		timed_out = pthread_cond_timedwait(&gate.changed, &gate.lock, &deadline) != 0;
	gate.wanting--;
	if (!gate.alone && gate.inside == 0) {
		gate.alone = 1;
		pthread_mutex_unlock(&gate.lock);
		return 1;
	}
	while (own_depth > 0 && gate.alone)
		pthread_cond_wait(&gate.changed, &gate.lock);
	if (own_depth > 0)
		gate.inside++;
	pthread_cond_broadcast(&gate.changed);
	pthread_mutex_unlock(&gate.lock);
	return 0;
}

void sg_gate_share(void)
{
	gate_take();
	gate.alone = 0;
	if (own_depth > 0)
		gate.inside++;
	pthread_cond_broadcast(&gate.changed);
	pthread_mutex_unlock(&gate.lock);
}
