#include "watch.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "cond.h"
#include "gate.h"
#include "stay.h"
#include "token.h"

/*
 * No lock of ours is held while the thread is in the module: when that hangs, this thread hangs
 * with it, and nobody waits for it.
 */
struct sg_watch {
	struct sg_module *module;
	pthread_t thread;
	pthread_mutex_t lock; /* protects what follows */
	pthread_cond_t changed;
	int poked;
	int stop;
	int ended;

	/* The thread's own. */
	CK_SLOT_ID *slots; /* that had a token at the last look */
	CK_ULONG count;
	int looked;
	int64_t looked_ms;
	int was_over; /* the stay of a card, at the last look (stay.h) */
};

static int is_needed(struct sg_module *module)
{
	size_t i;

	if (module->watch_on)
		return 1;
	for (i = 0; i < module->token_count; i++) {
		if (sg_token_wants_watch(module->tokens[i]))
			return 1;
	}
	return 0;
}

static int is_asked(struct sg_module *module)
{
	size_t i;

	for (i = 0; i < module->token_count; i++) {
		if (atomic_load(&module->tokens[i]->asked) > 0)
			return 1;
	}
	return 0;
}

/*
 * The list of slots costs a card nothing, while a token's information may be read from it in a
 * transaction: that is asked for only when the list has changed.
 */
static void look(struct sg_watch *watch)
{
	struct sg_token **tokens = NULL;
	struct sg_msg_error error = { 0 };
	CK_SLOT_ID *slots = NULL;
	int over = sg_stay_any_over(watch->module);
	CK_ULONG count = 0;
	size_t n;

	/* OpenSC may not come back when a card is pulled while it is asked: as little as may be. */
	if (!over && !is_needed(watch->module))
		return;
	/* A stay that is over stays so until pcscd is back, and nobody else in the module. */
	if (over <= watch->was_over && sg_clock_ms() - watch->looked_ms < SG_WATCH_MS)
		return;
	watch->was_over = over;
	watch->looked_ms = sg_clock_ms();
	if (sg_slots_list(watch->module, &slots, &count) != CKR_OK)
		count = 0; /* no pcscd: nothing is there */
	if (!watch->looked || over || count != watch->count ||
	    (count > 0 && memcmp(slots, watch->slots, count * sizeof(*slots)) != 0)) {
		if (sg_token_scan(watch->module, &tokens, &n, &error) != 0)
			sg_layout_clear(&sg_layout_error, &error);
		free(tokens);
	}
	watch->looked = 1;
	free(watch->slots);
	watch->slots = slots;
	watch->count = count;
}

/* Waits until there is something to look after, then until it is time to look; 0: to end. */
static int wait_for_time(struct sg_watch *watch)
{
	struct timespec deadline;
	int go;

	if (!is_needed(watch->module))
		watch->looked = 0; /* what was seen is old by the time somebody needs it */
	if (!is_needed(watch->module) && !is_asked(watch->module)) {
		pthread_mutex_lock(&watch->lock);
		while (!watch->poked && !watch->stop)
			pthread_cond_wait(&watch->changed, &watch->lock);
		watch->poked = 0;
		pthread_mutex_unlock(&watch->lock);
		watch->looked_ms = sg_clock_ms();
		watch->was_over = 0;
	}
	deadline = sg_cond_deadline(SG_WATCH_STAY_MS);
	pthread_mutex_lock(&watch->lock);
	while (!watch->stop) {
		if (pthread_cond_timedwait(&watch->changed, &watch->lock, &deadline) != 0)
			break;
	}
	go = !watch->stop;
	pthread_mutex_unlock(&watch->lock);
	return go;
}

static void *watch_thread(void *arg)
{
	struct sg_watch *watch = arg;

	while (wait_for_time(watch)) {
		sg_gate_enter();
		look(watch);
		sg_gate_leave();
	}
	pthread_mutex_lock(&watch->lock);
	watch->ended = 1;
	pthread_cond_broadcast(&watch->changed);
	pthread_mutex_unlock(&watch->lock);
	return NULL;
}

int sg_watch_start(struct sg_module *module)
{
	struct sg_watch *watch = calloc(1, sizeof(*watch));
	if (watch == NULL)
		return SG_ERR_NOMEM;
	watch->module = module;
	pthread_mutex_init(&watch->lock, NULL);
	sg_cond_init(&watch->changed);
	if (pthread_create(&watch->thread, NULL, watch_thread, watch) != 0) {
		free(watch);
		return SG_ERR_INTERNAL;
	}
	module->watch = watch;
	return 0;
}

void sg_watch_poke(struct sg_module *module)
{
	struct sg_watch *watch = module->watch;

	if (watch == NULL)
		return;
	pthread_mutex_lock(&watch->lock);
	watch->poked = 1;
	pthread_cond_broadcast(&watch->changed);
	pthread_mutex_unlock(&watch->lock);
}

unsigned sg_watch_asked(struct sg_token *token)
{
	atomic_fetch_add(&token->asked, 1);
	sg_watch_poke(token->module);
	return sg_gate_pause();
}

void sg_watch_answered(struct sg_token *token, unsigned depth)
{
	sg_gate_resume(depth);
	atomic_fetch_sub(&token->asked, 1);
}

int sg_watch_set(struct sg_module *module, int on, struct sg_msg_error *error)
{
	struct sg_token **tokens = NULL;
	size_t count;
	int err = 0;

	/* What is there already does not come. */
	if (on && !module->watch_on)
		err = sg_token_scan(module, &tokens, &count, error);
	free(tokens);
	if (err != 0)
		return err;
	module->watch_on = on != 0;
	sg_watch_poke(module);
	return 0;
}

int sg_watch_stop(struct sg_module *module, const struct timespec *deadline)
{
	struct sg_watch *watch = module->watch;
	int ended;

	if (watch == NULL)
		return 1;
	pthread_mutex_lock(&watch->lock);
	watch->stop = 1;
	pthread_cond_broadcast(&watch->changed);
	while (!watch->ended) {
		if (pthread_cond_timedwait(&watch->changed, &watch->lock, deadline) != 0)
			break;
	}
	ended = watch->ended;
	pthread_mutex_unlock(&watch->lock);
	if (!ended)
		return 0;
	pthread_join(watch->thread, NULL);
	module->watch = NULL;
	free(watch->slots);
	pthread_mutex_destroy(&watch->lock);
	pthread_cond_destroy(&watch->changed);
	free(watch);
	return 1;
}
