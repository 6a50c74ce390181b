#include "watching.h"

#include <stdlib.h>
#include <time.h>

#include <event2/event.h>

#include "keyring.h"
#include "log.h"
#include "worker.h"

struct sg_watch {
	struct sg_account *account;
	struct event *timer; /* to the next node that is due */
	int64_t since;	     /* when the account went online */
	char *fetching;	     /* the JID whose node is being fetched, or NULL */
};

int64_t sg_watch_due(int64_t fetched, int64_t online_since)
{
	int64_t again = fetched + SG_WATCH_AGE_S;

	if (fetched >= online_since)
		return fetched + SG_WATCH_PERIOD_S;
	return again < online_since ? online_since : again;
}

static void fetch_next(struct sg_watch *watch);

static void on_learnt(void *arg, int err, const struct sg_lesson_sum *sum)
{
	if (err != 0)
		sg_log(SG_LOG_WARN, "fetched keys could not be kept");
}

/* One after the other: many nodes are no hurry. */
static void on_fetched(void *arg, const struct sg_msg_error *error, void *answer)
{
	struct sg_account *account = arg;
	struct sg_watch *watch = account->watch;
	struct sg_lesson lesson = { .source = SG_SIGHT_NODE, .whole = 1 };

	if (watch == NULL || watch->fetching == NULL)
		return; /* offline meanwhile */
	lesson.jid = watch->fetching;
	if (error == NULL)
		sg_keyring_learn(account->agent, &lesson, answer, on_learnt, NULL);
	else
		sg_log(SG_LOG_INFO, "%s: the keys of %s cannot be fetched again: %s",
		    account->row.jid, watch->fetching, sg_failure_text(error));
	free(watch->fetching);
	watch->fetching = NULL;
	fetch_next(watch);
}

/* Noted as fetched before it is: what fails is not tried again at once. */
static void fetch(struct sg_watch *watch, char *jid, int64_t now)
{
	struct sg_account *account = watch->account;
	const struct sg_msg_pep_fetch msg = { .jid = jid };

	/* A process that has ended unnoticed ends the watch, too, and is noticed by who asks it. */
	sg_worker_look(account->worker);
	if (account->watch == NULL ||
	    sg_store_watched_put(account->agent->store, account->row.jid, jid, now) != 0) {
		free(jid);
		return;
	}
	watch->fetching = jid;
	sg_worker_request(
	    account->worker, SG_MSG_PEP_FETCH, &msg, -1, SG_XMPP_SECONDS, on_fetched, account);
}

static void fetch_next(struct sg_watch *watch)
{
	struct sg_account *account = watch->account;
	struct timeval wait = { 0, 0 };
	int64_t fetched, due, now = time(NULL);
	char *jid;

	if (watch->fetching != NULL || account->removed || account->state != SG_ACCOUNT_ONLINE ||
	    sg_store_watched_oldest(account->agent->store, account->row.jid, &jid, &fetched) != 0)
		return;
	/* A clock that was set back must not keep it from ever being fetched again. */
	due = fetched <= now ? sg_watch_due(fetched, watch->since) : now;
	if (due <= now) {
		fetch(watch, jid, now);
		return;
	}
	free(jid);
	wait.tv_sec = due - now;
	if (evtimer_add(watch->timer, &wait) != 0)
		sg_log(SG_LOG_WARN, "%s: no timer: keys are not fetched daily", account->row.jid);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	fetch_next(arg);
}

void sg_watching_end(struct sg_account *account)
{
	struct sg_watch *watch = account->watch;

	account->watch = NULL;
	if (watch == NULL)
		return;
	if (watch->timer != NULL)
		event_free(watch->timer);
	free(watch->fetching);
	free(watch);
}

void sg_watching_begin(struct sg_account *account)
{
	struct sg_watch *watch = calloc(1, sizeof(*watch));

	sg_watching_end(account);
	if (watch != NULL)
		watch->timer = evtimer_new(account->agent->base, on_timer, watch);
	if (watch == NULL || watch->timer == NULL) {
		free(watch);
		sg_log(SG_LOG_WARN, "%s: no memory: keys are not fetched daily", account->row.jid);
		return;
	}
	watch->account = account;
	watch->since = time(NULL);
	account->watch = watch;
	fetch_next(watch);
}

void sg_watching_add(struct sg_account *account, const char *jid, int fetched)
{
	int64_t now = fetched ? (int64_t)time(NULL) : 0;

	if (account->removed)
		return;
	if (sg_store_watched_put(account->agent->store, account->row.jid, jid, now) != 0)
		sg_log(SG_LOG_WARN, "%s: the keys of %s will not be fetched daily",
		    account->row.jid, jid);
	else if (account->watch != NULL)
		fetch_next(account->watch);
}

/* ---- what the worker hears ---- */

/* As if it had not been fetched for longer than any other. */
static void fetch_soon(struct sg_account *account, const char *jid)
{
	if (sg_store_watched_put(account->agent->store, account->row.jid, jid, 1) == 0 &&
	    account->watch != NULL)
		fetch_next(account->watch);
}

void sg_watching_seen(struct sg_account *account, struct sg_msg_keys_seen *seen)
{
	struct sg_msg_keyinfos keyinfos = {
		.keyinfos = seen->keyinfos,
		.keyinfo_count = seen->keyinfo_count,
		.refused = seen->refused,
	};
	int is_push = seen->source == SG_SEEN_PUSH;
	int any = seen->keyinfo_count + seen->retracted_count > 0;
	struct sg_lesson lesson = {
		.jid = is_push && seen->about != NULL ? seen->about : seen->from,
		.source = is_push ? SG_SIGHT_PUSH : SG_SIGHT_EVENT,
		.told_by = is_push ? seen->from : NULL,
		.retracted = seen->retracted,
		.retracted_count = is_push ? 0 : seen->retracted_count,
	};

	if (account->state != SG_ACCOUNT_ONLINE || lesson.jid == NULL || seen->from == NULL)
		return;
	seen->keyinfos = NULL;
	seen->keyinfo_count = 0;
	if (is_push || any)
		sg_keyring_learn(account->agent, &lesson, &keyinfos, on_learnt, NULL);
	sg_msg_clear(SG_MSG_KEYINFOS, &keyinfos);
	/* Purged or deleted, or what nobody can read took the place of a key: the fetch tells what is there. */
	if (!is_push && (!any || seen->refused > 0))
		fetch_soon(account, seen->from);
	else if (!is_push)
		sg_watching_add(account, seen->from, 0);
}
