#include "rest.h"

#include "ask_all.h"
#include "clock.h"
#include "log.h"
#include "remember.h"

#define RELOAD_MS 2000

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

void sg_rest_reload(struct sg_module *module)
{
	int64_t now = sg_clock_ms();

	if (sg_worker_pid(module->worker) == 0)
		module->restarted = now;
	if ((module->restarted != 0 && now - module->restarted < RELOAD_MS) ||
	    !sg_worker_is_idle(module->worker) || sg_remember_any(module->agent, module) ||
	    !sg_module_has_blank(module))
		return;
	module->restarted = now;
	process_end(module);
}

void sg_rest_idle(void *arg)
{
	struct sg_module *module = arg;

	if (module->rest == SG_REST_WANTED)
		sg_rest_locked(module);
}
