#include "rest.h"

#include "ask_all.h"
#include "clock.h"
#include "log.h"
#include "remember.h"

#define RELOAD_MS 2000 /* a process is not ended more often to see what tokens there are */

static void process_end(struct sg_module *module)
{
	sg_log(
	    SG_LOG_INFO, "signet-token for %s is ended: nothing is unlocked there", module->name);
	module->rest = SG_REST_BEGUN;
	sg_worker_stop(module->worker, SG_ERR_WORKER);
	module->rest = SG_REST_NOT;
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

int sg_rest_released(struct sg_module *module, const char *uri)
{
	struct sg_agent *agent = module->agent;

	if (sg_worker_pid(module->worker) != 0) {
		if (!sg_worker_is_idle(module->worker) ||
		    (uri != NULL && sg_remember_any_but(agent, module, uri)))
			return 0;
		module->rest = SG_REST_BEGUN; /* locking them does not end it before its time */
		sg_remember_locked(agent, module, NULL, "it was released");
		module->released_in = sg_worker_starts(module->worker);
		process_end(module);
	}
	return 1;
}

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

void sg_rest_idle(void *arg)
{
	struct sg_module *module = arg;

	if (module->rest == SG_REST_WANTED)
		sg_rest_locked(module);
}
