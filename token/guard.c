#include "guard.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "cond.h"
#include "event.h"
#include "log.h"
#include "reader.h"
#include "token.h"
#include "touch.h"

/* A request that takes long, as the looks at its token found it. */
struct wait {
	struct sg_touch_wait call;
	unsigned long changes;
	int64_t gone_ms; /* when its token was first seen to be gone; 0: it is there */
	int is_out;	 /* ... and is not back */
	int known;	 /* pcscd has told of its reader before */
};

static struct {
	struct sg_module *module;
	pthread_t thread;
	pthread_mutex_t lock; /* protects what follows */
	pthread_cond_t changed;
	int runs, poked, stop, ended;

	/* The thread's own. */
	struct wait waits[SG_TOUCH_THREADS];
	size_t count;
} guard = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* What the module said last; the lock may be held by the thread that hangs, and then nothing is
 * known. */
static int is_present(struct sg_token *token)
{
	int present;

	if (pthread_mutex_trylock(&token->lock) != 0)
		return 1;
	present = token->present;
	pthread_mutex_unlock(&token->lock);
	return present;
}

/* One that went and came back meanwhile has gone for the call, too. */
static void look_at(struct wait *wait)
{
	unsigned long changes = 0;
	enum sg_reader_state state;
	int is_empty, present = is_present(wait->call.token);
	char *name = sg_token_reader(wait->call.token);

	state = sg_reader_state(name, &changes);
	free(name);
	is_empty = state == SG_READER_EMPTY || (state == SG_READER_NONE && wait->known);
	wait->is_out = is_empty && present;
	if (wait->gone_ms == 0 &&
	    (!present || is_empty ||
		(state == SG_READER_CARD && wait->known && changes != wait->changes)))
		wait->gone_ms = sg_clock_ms();
	if (state == SG_READER_CARD) {
		wait->known = 1;
		wait->changes = changes;
	}
}

/* Answers what hangs and ends the process: no thread gets out of such a module any more. */
static void give_up(const struct wait *lost)
{
	const struct sg_host *host = guard.module->host;
	struct sg_token *token = lost->call.token;
	struct sg_msg_error error = { 0 };
	size_t i;

	sg_log(SG_LOG_WARN, "token '%s' was taken out, and its module does not come back: ending",
	    token->label);
	sg_module_wipe(guard.module);
	sg_msg_error_set(&error, SG_ERR_TOKEN_ABSENT, token->label,
	    "token '%s': it was taken out while it signed: put it back in", token->label);
	for (i = 0; i < guard.count; i++) {
		if (guard.waits[i].call.token == token)
			host->fail(host->arg, guard.waits[i].call.id, &error);
	}
	if (lost->is_out)
		sg_event_tell(token, SG_EVENT_TOKEN_OUT, NULL);
	_exit(0);
}

/* The waits of now, with what was seen of them before. */
static void waits_renew(void)
{
	struct sg_touch_wait calls[SG_TOUCH_THREADS];
	struct wait waits[SG_TOUCH_THREADS] = { 0 };
	size_t i, k, count = sg_touch_waits(calls);

	for (i = 0; i < count; i++) {
		waits[i].call = calls[i];
		for (k = 0; k < guard.count; k++) {
			if (guard.waits[k].call.id == calls[i].id &&
			    guard.waits[k].call.begun == calls[i].begun)
				waits[i] = guard.waits[k];
		}
	}
	memcpy(guard.waits, waits, sizeof(waits));
	guard.count = count;
}

static void look(void)
{
	size_t i;

	for (i = 0; i < guard.count; i++) {
		look_at(&guard.waits[i]);
		if (guard.waits[i].gone_ms != 0 &&
		    sg_clock_ms() - guard.waits[i].gone_ms >= SG_GUARD_GONE_MS) {
			/* It may have ended just now. */
			waits_renew();
			if (i < guard.count && guard.waits[i].gone_ms != 0)
				give_up(&guard.waits[i]);
		}
	}
}

static void *guard_thread(void *arg)
{
	struct timespec deadline;

	pthread_mutex_lock(&guard.lock);
	while (!guard.stop) {
		if (guard.count == 0) {
			while (!guard.poked && !guard.stop)
				pthread_cond_wait(&guard.changed, &guard.lock);
		} else {
			deadline = sg_cond_deadline(SG_GUARD_MS);
			pthread_cond_timedwait(&guard.changed, &guard.lock, &deadline);
		}
		guard.poked = 0;
		pthread_mutex_unlock(&guard.lock);
		waits_renew();
		look();
		pthread_mutex_lock(&guard.lock);
	}
	guard.ended = 1;
	pthread_cond_broadcast(&guard.changed);
	pthread_mutex_unlock(&guard.lock);
	return NULL;
}

int sg_guard_start(struct sg_module *module)
{
	guard.module = module;
	sg_cond_init(&guard.changed);
	if (pthread_create(&guard.thread, NULL, guard_thread, NULL) != 0)
		return SG_ERR_INTERNAL;
	guard.runs = 1;
	return 0;
}

void sg_guard_poke(void)
{
	if (!guard.runs)
		return;
	pthread_mutex_lock(&guard.lock);
	guard.poked = 1;
	pthread_cond_broadcast(&guard.changed);
	pthread_mutex_unlock(&guard.lock);
}

int sg_guard_stop(const struct timespec *deadline)
{
	int ended;

	if (!guard.runs)
		return 1;
	pthread_mutex_lock(&guard.lock);
	guard.stop = 1;
	pthread_cond_broadcast(&guard.changed);
	while (!guard.ended) {
		if (pthread_cond_timedwait(&guard.changed, &guard.lock, deadline) != 0)
			break;
	}
	ended = guard.ended;
	pthread_mutex_unlock(&guard.lock);
	if (!ended)
		return 0;
	pthread_join(guard.thread, NULL);
	guard.runs = 0;
	return 1;
}
