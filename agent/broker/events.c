#include "events.h"

#include <stdlib.h>
#include <sys/queue.h>
#include <time.h>

#include "api_json.h"
#include "call.h"
#include "jobs.h"
#include "json.h"
#include "ledger.h"
#include "log.h"
#include "remember.h"
#include "store.h"
#include "touch.h"
#include "unlocked.h"
#include "untouched.h"

#define WATCH_AGAIN_SECONDS 2  /* after a worker's end, doubled with each in a row, ... */
#define WATCH_AGAIN_MAX	    64 /* ... up to this */

struct monitor {
	TAILQ_ENTRY(monitor) entry;
	struct sg_events *events;
	struct sg_call *call;
	struct event *end; /* the client has gone: ends the call from the loop */
	int own;	   /* wants to know of touches for its own process's calls alone */
};

/* A module whose worker is to look for tokens that come and go. */
struct watch {
	struct sg_events *events;
	struct sg_module *module;
	struct event *again; /* its worker ended, and is to be told anew */
	int delay;
};

struct sg_events {
	struct sg_agent *agent;
	TAILQ_HEAD(monitor_list, monitor) monitors;
	struct watch *watches; /* one for each module, from the first Monitor on */
	size_t watch_count;
	struct sg_touches *touches;
};

int sg_events_new(struct sg_agent *agent, struct sg_events **events)
{
	struct sg_events *made = calloc(1, sizeof(*made));

	*events = NULL;
	if (made == NULL)
		return SG_ERR_NOMEM;
	made->agent = agent;
	TAILQ_INIT(&made->monitors);
	if (sg_touches_new(agent, &made->touches) != 0) {
		free(made);
		return SG_ERR_NOMEM;
	}
	*events = made;
	return 0;
}

void sg_events_free(struct sg_events *events)
{
	struct monitor *monitor;

	if (events == NULL)
		return;
	/* Their calls are not ended: the agent ends. */
	while ((monitor = TAILQ_FIRST(&events->monitors)) != NULL)
		sg_call_free(monitor->call);
	for (size_t i = 0; i < events->watch_count; i++)
		event_free(events->watches[i].again);
	free(events->watches);
	sg_touches_free(events->touches);
	free(events);
}

/* ---- telling ---- */

static const char *const news_names[] = {
	[SG_NEWS_TOKEN_IN] = "token_in",
	[SG_NEWS_TOKEN_OUT] = "token_out",
	[SG_NEWS_TOUCH_WANTED] = "touch_wanted",
	[SG_NEWS_TOUCH_OVER] = "touch_over",
	[SG_NEWS_UNLOCKED] = "unlocked",
	[SG_NEWS_LOCKED] = "locked",
	[SG_NEWS_KEY_CHANGED] = "key_changed",
	[SG_NEWS_KEY_SEEN] = "key_seen",
	[SG_NEWS_KEY_NEW] = "key_new",
	[SG_NEWS_KEY_RETRACTED] = "key_retracted",
	[SG_NEWS_KEY_REVOKED] = "key_revoked",
	[SG_NEWS_CERTIFICATE_DUE] = "certificate_due",
	[SG_NEWS_JOB_WAITS] = "job_waits",
	[SG_NEWS_JOB_DONE] = "job_done",
	[SG_NEWS_JOB_FAILED] = "job_failed",
};

/* About a token; all but the kind may be NULL. */
static json_t *token_event(enum sg_news news, time_t when, const char *token, const char *label,
    const struct sg_caller *caller, const char *text)
{
	return json_pack("{s:{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:n, s:n, s:o}}", "event", "kind",
	    news_names[news], "time", sg_json_when(when), "token", sg_json_text(token), "label",
	    sg_json_text(label), "pid",
	    caller != NULL && caller->pid > 0 ? json_integer(caller->pid) : json_null(), "exe",
	    sg_json_text(caller != NULL ? caller->exe : NULL), "purpose",
	    sg_json_text(caller != NULL ? caller->purpose : NULL), "jid", "name", "text",
	    sg_json_text(text));
}

static int concerns(
    const struct monitor *monitor, enum sg_news news, const struct sg_caller *caller)
{
	if (!monitor->own)
		return 1;
	return (news == SG_NEWS_TOUCH_WANTED || news == SG_NEWS_TOUCH_OVER) && caller != NULL &&
	    caller->pid == monitor->call->caller.pid;
}

/* Takes the event over. */
static void tell_all(
    struct sg_events *events, enum sg_news news, const struct sg_caller *caller, json_t *event)
{
	struct monitor *monitor, *next;

	for (monitor = TAILQ_FIRST(&events->monitors); event != NULL && monitor != NULL;
	     monitor = next) {
		next = TAILQ_NEXT(monitor, entry);
		if (concerns(monitor, news, caller))
			sg_call_progress(monitor->call, json_incref(event));
	}
	json_decref(event);
}

void sg_events_tell(struct sg_agent *agent, enum sg_news news, const char *token, const char *label,
    const struct sg_caller *caller, const char *text)
{
	struct sg_events *events = agent->events;

	if (TAILQ_EMPTY(&events->monitors))
		return;
	tell_all(events, news, caller, token_event(news, time(NULL), token, label, caller, text));
}

void sg_events_tell_key(
    struct sg_agent *agent, enum sg_news news, const char *jid, const char *name, const char *text)
{
	struct sg_events *events = agent->events;

	if (TAILQ_EMPTY(&events->monitors))
		return;
	tell_all(events, news, NULL,
	    json_pack("{s:{s:s, s:o, s:n, s:n, s:n, s:n, s:n, s:o, s:o, s:o}}", "event", "kind",
		news_names[news], "time", sg_json_when(time(NULL)), "token", "label", "pid", "exe",
		"purpose", "jid", sg_json_text(jid), "name", sg_json_text(name), "text",
		sg_json_text(text)));
}

/* ---- touches ---- */

static void tell_touch(
    struct sg_agent *agent, enum sg_news news, const struct sg_msg_token_event *event)
{
	sg_events_tell(agent, news, event->token != NULL ? event->token : "", event->label,
	    &event->caller, NULL);
}

/* Tells one monitor those that are wanted already. */
static void tell_touches_now(const struct monitor *monitor)
{
	struct sg_tokens *tokens = monitor->events->agent->tokens;

	for (size_t i = 0; i < sg_tokens_module_count(tokens); i++) {
		const struct sg_module *module = sg_tokens_module(tokens, i);

		for (size_t k = 0; k < module->untouched_count; k++) {
			const struct sg_msg_token_event *event = &module->untouched[k].event;

			if (concerns(monitor, SG_NEWS_TOUCH_WANTED, &event->caller))
				sg_call_progress(monitor->call,
				    token_event(SG_NEWS_TOUCH_WANTED, module->untouched[k].since,
					event->token != NULL ? event->token : "", event->label,
					&event->caller, NULL));
		}
	}
}

/* The process is gone that waited: no touch is of any use to it. */
static void touches_end(struct sg_module *module)
{
	for (size_t i = 0; i < module->untouched_count; i++)
		tell_touch(module->agent, SG_NEWS_TOUCH_OVER, &module->untouched[i].event);
	sg_untouched_clear(module);
}

/* ---- watching for tokens ---- */

static int is_watching(const struct sg_events *events)
{
	const struct monitor *monitor;

	TAILQ_FOREACH(monitor, &events->monitors, entry) {
		if (!monitor->own)
			return 1;
	}
	return 0;
}

int sg_events_are_watched(const struct sg_agent *agent)
{
	return is_watching(agent->events);
}

static void on_watching(void *arg, const struct sg_msg_error *error, void *answer)
{
	struct watch *watch = arg;

	if (error == NULL)
		watch->delay = WATCH_AGAIN_SECONDS;
	else
		sg_log(SG_LOG_DEBUG, "the tokens of %s are not watched: %s", watch->module->name,
		    sg_err_name(sg_msg_error_code(error)));
}

static void watch_set(struct watch *watch, uint32_t on)
{
	const struct sg_msg_token_watch msg = { on };

	/* A worker that does not run watches nothing. The analyzer does not see that each has its
	 * module. */
	if (!watch->module->agent->stopping && /* NOLINT(clang-analyzer-core.NullDereference) */
	    (on || sg_worker_pid(watch->module->worker) > 0))
		sg_worker_request(watch->module->worker, SG_MSG_TOKEN_WATCH, &msg, -1,
		    SG_TOKEN_SECONDS, on_watching, watch);
}

/* Whether its tokens were left to other programs, and no call has wanted them since. */
static int is_released(const struct sg_module *module)
{
	return module->released_in != 0 && module->released_in == sg_worker_starts(module->worker);
}

static void on_again(evutil_socket_t fd, short what, void *arg)
{
	const struct timeval later = { WATCH_AGAIN_SECONDS, 0 };
	struct watch *watch = arg;

	if (!is_watching(watch->events))
		return;
	if (is_released(watch->module))
		evtimer_add(watch->again, &later);
	else
		watch_set(watch, 1);
}

static int watches_make(struct sg_events *events)
{
	struct sg_tokens *tokens = events->agent->tokens;
	size_t count = sg_tokens_module_count(tokens);

	if (events->watches != NULL)
		return 0;
	events->watches = calloc(count, sizeof(*events->watches));
	if (events->watches == NULL)
		return SG_ERR_NOMEM;
	for (; events->watch_count < count; events->watch_count++) {
		struct watch *watch = &events->watches[events->watch_count];

		watch->events = events;
		watch->module = sg_tokens_module(tokens, events->watch_count);
		watch->delay = WATCH_AGAIN_SECONDS;
		watch->again = evtimer_new(events->agent->base, on_again, watch);
		if (watch->again == NULL)
			return SG_ERR_NOMEM;
	}
	return 0;
}

static void watch_all(struct sg_events *events, uint32_t on)
{
	for (size_t i = 0; i < events->watch_count; i++)
		watch_set(&events->watches[i], on);
}

/* ---- those who monitor ---- */

static void monitor_free(void *arg)
{
	struct monitor *monitor = arg;
	struct sg_events *events = monitor->events;

	TAILQ_REMOVE(&events->monitors, monitor, entry);
	if (!monitor->own && !is_watching(events))
		watch_all(events, 0);
	event_free(monitor->end);
	free(monitor);
}

static void on_end(evutil_socket_t fd, short what, void *arg)
{
	const struct monitor *monitor = arg;

	sg_call_reply(monitor->call, json_object()); /* nobody reads it */
}

/* A connection is going through its calls: this one cannot be ended now. */
static void on_gone(struct sg_call *call)
{
	struct monitor *monitor = call->state;

	event_active(monitor->end, EV_TIMEOUT, 0);
}

void sg_events_monitor(struct sg_call *call)
{
	struct sg_events *events = call->agent->events;
	struct monitor *monitor = calloc(1, sizeof(*monitor));
	int own = sg_call_flag(call, "own");
	int first = !own && !is_watching(events);

	if (monitor == NULL || watches_make(events) != 0 ||
	    (monitor->end = evtimer_new(call->agent->base, on_end, monitor)) == NULL) {
		free(monitor);
		sg_call_fail_code(call, SG_ERR_NOMEM, NULL);
		return;
	}
	monitor->events = events;
	monitor->call = call;
	monitor->own = own;
	TAILQ_INSERT_TAIL(&events->monitors, monitor, entry);
	call->state = monitor;
	call->state_free = monitor_free;
	call->gone = on_gone;
	sg_log(SG_LOG_INFO, "process %u monitors", call->caller.pid);
	tell_touches_now(monitor);
	if (first)
		watch_all(events, 1);
	if (call->pin.abandoned) /* it went before it was heard */
		on_gone(call);
}

/* ---- what workers say ---- */

static void on_pin_try(
    struct sg_module *module, const struct sg_frame *frame, const struct sg_msg_pin_try *try)
{
	static const struct sg_msg_empty nothing = { 0 };
	struct sg_agent *agent = module->agent;
	struct sg_msg_error error = { 0 };
	int err = sg_ledger_try(agent, try);

	if (err == 0) {
		sg_login_announce(agent, module, try->token != NULL ? try->token : "");
		sg_worker_answer(module->worker, frame->id, SG_MSG_OK, &nothing);
		return;
	}
	sg_msg_error_set(&error, err, try->token,
	    "no PIN is tried, for it could not be written "
	    "down: %s",
	    sg_store_failure(agent->store, err));
	sg_worker_answer(module->worker, frame->id, SG_MSG_ERROR, &error);
	sg_failure_clear(&error);
}

static void on_pin_outcome(const struct sg_module *module, const struct sg_msg_pin_outcome *outcome)
{
	const char *uri = outcome->token != NULL ? outcome->token : "";

	sg_ledger_outcome(
	    module->agent, outcome, sg_login_is_by_person(module->agent, module, uri));
}

static void on_token_event(struct sg_module *module, const struct sg_msg_token_event *event)
{
	struct sg_agent *agent = module->agent;
	const char *uri = event->token != NULL ? event->token : "";

	switch (event->kind) {
	case SG_EVENT_TOKEN_IN:
		sg_remember_returned(agent, module, uri);
		sg_events_tell(agent, SG_NEWS_TOKEN_IN, uri, event->label, NULL, NULL);
		sg_jobs_token_ready(agent);
		break;
	case SG_EVENT_TOKEN_OUT:
		sg_events_tell(agent, SG_NEWS_TOKEN_OUT, uri, event->label, NULL, NULL);
		/* Another process would not know that the token is away, and not tell of its
		 * return. */
		module->stays = is_watching(agent->events);
		sg_remember_removed(agent, module, uri);
		module->stays = 0;
		break;
	case SG_EVENT_TOUCH_WANTED:
		sg_untouched_note(module, event);
		sg_touch_wanted(agent->events->touches, event);
		tell_touch(agent, SG_NEWS_TOUCH_WANTED, event);
		break;
	case SG_EVENT_TOUCH_OVER:
		sg_untouched_over(module, event);
		tell_touch(agent, SG_NEWS_TOUCH_OVER, event);
		break;
	case SG_EVENT_TOKEN_LOCKED:
		sg_unlocked_forget(agent, module, uri);
		sg_remember_locked(agent, module, uri, "its login is gone");
		break;
	default:
		break;
	}
}

void sg_events_frame(void *arg, const struct sg_frame *frame)
{
	struct sg_module *module = arg;

	if (frame->type == SG_MSG_PIN_TRY && frame->id != 0)
		on_pin_try(module, frame, frame->msg);
	else if (frame->type == SG_MSG_PIN_OUTCOME)
		on_pin_outcome(module, frame->msg);
	else if (frame->type == SG_MSG_TOKEN_EVENT)
		on_token_event(module, frame->msg);
	else
		sg_log(SG_LOG_WARN, "signet-token for %s said something unknown", module->name);
}

void sg_events_ended(void *arg)
{
	struct sg_module *module = arg;
	struct sg_events *events = module->agent->events;
	int rests = module->rest == SG_REST_BEGUN;

	module->rest = SG_REST_NOT;
	touches_end(module);
	sg_remember_locked(module->agent, module, NULL, "its process ended");
	for (size_t i = 0; i < events->watch_count; i++) {
		struct watch *watch = &events->watches[i];
		const struct timeval delay = { rests ? 0 : watch->delay, 0 };

		if (watch->module != module || !is_watching(events) || module->agent->stopping)
			continue;
		evtimer_add(watch->again, &delay);
		if (!rests && watch->delay < WATCH_AGAIN_MAX)
			watch->delay *= 2;
	}
}
