#include "touch.h"

#include <stdatomic.h>

#include "clock.h"
#include "cond.h"
#include "event.h"
#include "guard.h"

/*
 * One for each thread that signs. The thread writes token and caller while since is 0, and the
 * watcher reads them only while told is 1: sg_touch_end() waits then.
 */
struct place {
	atomic_llong since; /* sg_clock_ms() when the call began; 0: none runs */
	atomic_int told;    /* 1: the broker was told, or is being told */
	_Atomic(struct sg_token *) token;
	const struct sg_caller *caller;

	/* For the guard, which compares begun and id before and after it reads the token. */
	atomic_llong begun; /* when the request's first signature began; 0: it is over */
	atomic_uint id;	    /* the request's */
};

static struct {
	struct place places[SG_TOUCH_THREADS];
	atomic_int used; /* places that were given out */
	atomic_int running;
	atomic_int asleep; /* the watcher must be woken when a call begins */

	pthread_t thread;
	pthread_mutex_t lock; /* held while the broker is told, and protects stop */
	pthread_cond_t wake;
	int stop;
} touch;

static _Thread_local int own_place = -1;
static _Thread_local const struct sg_caller *own_caller;
static _Thread_local uint32_t own_id;

void sg_touch_request(uint32_t id)
{
	own_id = id;
	if (own_place >= 0 && own_place < SG_TOUCH_THREADS)
		atomic_store(&touch.places[own_place].begun, 0);
}

void sg_touch_caller(const struct sg_caller *caller)
{
	own_caller = caller;
}

const struct sg_caller *sg_touch_caller_now(void)
{
	return own_caller;
}

static struct place *place_get(void)
{
	if (own_place < 0)
		own_place = atomic_fetch_add(&touch.used, 1);
	return own_place < SG_TOUCH_THREADS ? &touch.places[own_place] : NULL;
}

void sg_touch_begin(struct sg_token *token)
{
	struct place *place;

	if (!atomic_load_explicit(&touch.running, memory_order_relaxed))
		return;
	place = place_get();
	if (place == NULL)
		return;
	atomic_store(&place->token, token);
	place->caller = own_caller;
	atomic_store(&place->id, own_id);
	if (atomic_load(&place->begun) == 0)
		atomic_store(&place->begun, sg_clock_ms());
	atomic_store(&place->since, sg_clock_ms());
	/* Awake, it looks again by itself: under load nobody is woken. */
	if (atomic_load(&touch.asleep) && atomic_exchange(&touch.asleep, 0)) {
		pthread_mutex_lock(&touch.lock);
		pthread_cond_signal(&touch.wake);
		pthread_mutex_unlock(&touch.lock);
	}
}

void sg_touch_end(void)
{
	struct place *place;

	if (own_place < 0 || own_place >= SG_TOUCH_THREADS)
		return;
	place = &touch.places[own_place];
	atomic_store(&place->since, 0);
	/* Either this is seen here, or the watcher sees that the call is over (see tell()). */
	if (!atomic_load(&place->told))
		return;
	pthread_mutex_lock(&touch.lock);
	if (atomic_exchange(&place->told, 0))
		sg_event_tell(place->token, SG_EVENT_TOUCH_OVER, place->caller);
	pthread_mutex_unlock(&touch.lock);
}

/* The lock is held. */
static void tell(struct place *place, long long since)
{
	atomic_store(&place->told, 1);
	if (atomic_load(&place->since) != since)
		atomic_store(&place->told, 0);
	else
		sg_event_tell(place->token, SG_EVENT_TOUCH_WANTED, place->caller);
}

size_t sg_touch_waits(struct sg_touch_wait waits[SG_TOUCH_THREADS])
{
	int i, used = atomic_load(&touch.used);
	int64_t now = sg_clock_ms();
	size_t count = 0;

	for (i = 0; i < used && i < SG_TOUCH_THREADS; i++) {
		const struct place *place = &touch.places[i];
		struct sg_touch_wait wait = { .begun = atomic_load(&place->begun) };

		wait.id = atomic_load(&place->id);
		wait.token = atomic_load(&place->token);
		if (wait.begun != 0 && now - wait.begun >= SG_TOUCH_MS &&
		    atomic_load(&place->id) == wait.id && atomic_load(&place->begun) == wait.begun)
			waits[count++] = wait;
	}
	return count;
}

/* What is left of the time after which something takes long; *next is when to look again. */
static int64_t left_of(long long since, int64_t now, int64_t *next)
{
	int64_t left = since + SG_TOUCH_MS - now, wait = left > 0 ? left : SG_TOUCH_MS;

	if (*next == 0 || wait < *next)
		*next = wait;
	return left;
}

/* Tells of those whose time has come. Gives when to look again, in ms; 0: nothing runs. The lock is
 * held. */
static int64_t look(void)
{
	int64_t now = sg_clock_ms(), next = 0;
	int i, used = atomic_load(&touch.used);

	for (i = 0; i < used && i < SG_TOUCH_THREADS; i++) {
		struct place *place = &touch.places[i];
		long long since = atomic_load(&place->since), begun = atomic_load(&place->begun);

		if (since != 0 && left_of(since, now, &next) <= 0 && !atomic_load(&place->told))
			tell(place, since);
		/* Also one that does not sign any more: it may hang where it opens a session
		 * anew. */
		if (begun != 0 && left_of(begun, now, &next) <= 0)
			sg_guard_poke();
	}
	return next;
}

static void *watcher(void *arg)
{
	int64_t next;

	pthread_mutex_lock(&touch.lock);
	while (!touch.stop) {
		next = look();
		if (next == 0) {
			atomic_store(&touch.asleep, 1);
			next = look(); /* one may have begun just before */
			if (next != 0)
				atomic_store(&touch.asleep, 0);
		}
		if (next == 0) {
			while (atomic_load(&touch.asleep) && !touch.stop)
				pthread_cond_wait(&touch.wake, &touch.lock);
			next = SG_TOUCH_MS;
		}
		if (!touch.stop) {
			struct timespec deadline = sg_cond_deadline(next);

			pthread_cond_timedwait(&touch.wake, &touch.lock, &deadline);
		}
	}
	pthread_mutex_unlock(&touch.lock);
	return NULL;
}

int sg_touch_start(void)
{
	pthread_mutex_init(&touch.lock, NULL);
	sg_cond_init(&touch.wake);
	touch.stop = 0;
	if (pthread_create(&touch.thread, NULL, watcher, NULL) != 0)
		return SG_ERR_INTERNAL;
	atomic_store(&touch.running, 1);
	return 0;
}

void sg_touch_stop(void)
{
	if (!atomic_exchange(&touch.running, 0))
		return;
	pthread_mutex_lock(&touch.lock);
	touch.stop = 1;
	pthread_cond_signal(&touch.wake);
	pthread_mutex_unlock(&touch.lock);
	pthread_join(touch.thread, NULL);
}
