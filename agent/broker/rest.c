#include "rest.h"

#include <stdio.h>
#include <stdlib.h>

#include "ask_all.h"
#include "clock.h"
#include "events.h"
#include "log.h"
#include "remember.h"
#include "uri.h"

#define RELOAD_MS 2000 /* a process is not ended more often to see what tokens there are */
#define UNUSED_S  2    /* it has a card for so long after its last use */

static void process_end(struct sg_module *module)
{
	sg_log(
	    SG_LOG_INFO, "signet-token for %s is ended: nothing is unlocked there", module->name);
	module->rest = SG_REST_BEGUN;
	module->rested_in = sg_worker_starts(module->worker);
	if (sg_worker_is_idle(module->worker))
		sg_worker_stop(module->worker, SG_ERR_WORKER);
	else
		sg_worker_break(module->worker, SG_ERR_RELEASED);
	module->rest = SG_REST_NOT;
}

static int is_unused(const struct sg_module *module)
{
	return module->removable && sg_worker_pid(module->worker) != 0 &&
	    sg_worker_is_idle(module->worker) && !sg_remember_any(module->agent, module) &&
	    !sg_events_are_watched(module->agent);
}

int sg_rest_is_on(const struct sg_module *module)
{
	if (sg_worker_pid(module->worker) != 0)
		return is_unused(module) && evtimer_pending(module->unused, NULL);
	return module->removable && module->rested_in != 0 &&
	    module->rested_in == sg_worker_starts(module->worker);
}

void sg_rest_locked(struct sg_module *module)
{
	if (module->stays || module->rest == SG_REST_BEGUN || sg_worker_pid(module->worker) == 0)
		return;
	if (!sg_worker_is_idle(module->worker) || sg_remember_any(module->agent, module))
		module->rest = SG_REST_WANTED;
	else
		process_end(module);
}

/* ---- release ---- */

static int is_of_other(const void *token, const char *target)
{
	return !sg_uri_matches_token(target, token);
}

/* Why the process is not to be ended for this token: a new string, or NULL when nothing is in the
 * way. */
static char *others_in_the_way(const struct sg_module *module, const struct sg_token_info *token)
{
	const struct sg_worker_use *use;
	char *why = NULL;
	int length;

	if (sg_remember_any_but(module->agent, module, token->uri)) {
		length = asprintf(&why, "another of its tokens is unlocked");
	} else {
		use = sg_worker_use_of(module->worker, is_of_other, token);
		if (use == NULL)
			return NULL;
		length = asprintf(&why, "a call uses another of its tokens (%s of process %u)",
		    use->purpose != NULL ? use->purpose : "?", use->pid);
	}
	if (length < 0)
		abort(); /* the token would be taken for free */
	return why;
}

char *sg_rest_released(struct sg_module *module, const struct sg_token_info *token)
{
	char *why;

	if (sg_worker_pid(module->worker) == 0)
		return NULL;
	why = token != NULL ? others_in_the_way(module, token) : NULL;
	if (why != NULL)
		return why;
	module->rest = SG_REST_BEGUN; /* locking them does not end it before its time */
	sg_remember_locked(module->agent, module, NULL, "it was released");
	module->released_in = sg_worker_starts(module->worker);
	process_end(module);
	return NULL;
}

/* ---- others ---- */

int sg_rest_may_reload(const struct sg_module *module)
{
	return sg_worker_pid(module->worker) != 0 && sg_worker_is_idle(module->worker) &&
	    !sg_remember_any(module->agent, module) &&
	    (module->restarted == 0 || sg_clock_ms() - module->restarted >= RELOAD_MS);
}

void sg_rest_reload(struct sg_module *module)
{
	int may = sg_rest_may_reload(module) && sg_module_has_blank(module);

	/* Without a process, the call that follows starts one. */
	if (may || sg_worker_pid(module->worker) == 0)
		module->restarted = sg_clock_ms();
	if (may)
		process_end(module);
}

void sg_rest_unused(evutil_socket_t fd, short what, void *arg)
{
	struct sg_module *module = arg;

	if (is_unused(module))
		process_end(module);
}

void sg_rest_idle(void *arg)
{
	static const struct timeval later = { UNUSED_S, 0 };
	struct sg_module *module = arg;

	if (module->rest == SG_REST_WANTED)
		sg_rest_locked(module);
	if (is_unused(module))
		evtimer_add(module->unused, &later); /* without memory it stays */
}
