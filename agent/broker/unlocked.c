#include "unlocked.h"

#include <stdlib.h>
#include <string.h>

#include "key_cache.h"

void sg_unlocked_clear(struct sg_module *module)
{
	for (size_t i = 0; i < module->unlocked_count; i++)
		free(module->unlocked[i]);
	free(module->unlocked);
	module->unlocked = NULL;
	module->unlocked_count = 0;
}

/* What another process of the worker had unlocked is locked in this one. */
static void outdated_clear(struct sg_module *module)
{
	sg_worker_look(module->worker);
	if (sg_worker_pid(module->worker) == 0 ||
	    sg_worker_starts(module->worker) != module->unlocked_in)
		sg_unlocked_clear(module);
}

int sg_unlocked_has(struct sg_module *module, const char *token_uri)
{
	outdated_clear(module);
	for (size_t i = 0; i < module->unlocked_count; i++) {
		if (strcmp(module->unlocked[i], token_uri) == 0)
			return 1;
	}
	return 0;
}

void sg_unlocked_note(struct sg_module *module, const char *token_uri)
{
	char **list;
	char *copy;

	if (sg_unlocked_has(module, token_uri))
		return;
	list = reallocarray(module->unlocked, module->unlocked_count + 1, sizeof(*list));
	if (list == NULL)
		return;
	module->unlocked = list;
	copy = strdup(token_uri);
	if (copy == NULL)
		return;
	list[module->unlocked_count++] = copy;
	module->unlocked_in = sg_worker_starts(module->worker);
}

void sg_unlocked_forget(struct sg_agent *agent, struct sg_module *module, const char *token_uri)
{
	size_t kept = 0;

	for (size_t i = 0; i < module->unlocked_count; i++) {
		if (token_uri == NULL || strcmp(module->unlocked[i], token_uri) == 0)
			free(module->unlocked[i]);
		else
			module->unlocked[kept++] = module->unlocked[i];
	}
	module->unlocked_count = kept;
	sg_key_cache_flush(agent->key_cache, module);
}
