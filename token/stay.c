#include "stay.h"

#include <stdlib.h>
#include <unistd.h>

#include "event.h"
#include "gate.h"
#include "held.h"
#include "key_find.h"
#include "log.h"

int sg_stay_is_over(struct sg_token *token)
{
	struct sg_reader_stay then, now;
	char *reader;

	pthread_mutex_lock(&token->held_lock);
	then = token->stay;
	pthread_mutex_unlock(&token->held_lock);
	if (then.service == 0)
		return 0;
	reader = sg_token_reader(token);
	sg_reader_stay(reader, &now);
	free(reader);
	return !sg_reader_stay_is_same(&then, &now);
}

int sg_stay_any_over(struct sg_module *module)
{
	size_t i;

	for (i = 0; i < module->token_count; i++) {
		if (sg_stay_is_over(module->tokens[i]))
			return 1;
	}
	return 0;
}

/* The remember policy has its say, once. */
static void end(struct sg_token *token)
{
	int was_present, was_unlocked;

	pthread_mutex_lock(&token->lock);
	was_present = token->present;
	was_unlocked = token->unlocked;
	pthread_mutex_unlock(&token->lock);
	if (!was_present && !was_unlocked && (!sg_held_is(token) || sg_held_returns(token)))
		return;
	sg_log(SG_LOG_INFO, "token '%s': its card was out, or pcscd was", token->label);
	sg_token_unsure(token);
	if (was_present && token->module->watch_on)
		sg_event_tell(token, SG_EVENT_TOKEN_OUT, NULL);
	sg_token_lost(token, was_unlocked);
}

static void restart(struct sg_module *module)
{
	size_t i;

	for (i = 0; i < module->token_count; i++) {
		struct sg_token *token = module->tokens[i];
		int was_open = (sg_token_flags(token, SG_PIN_USER) & SG_TOKEN_UNLOCKED) != 0;

		sg_token_drop(token, sg_token_epoch(token));
		pthread_mutex_lock(&token->held_lock);
		token->stay = (struct sg_reader_stay){ 0 };
		pthread_mutex_unlock(&token->held_lock);
		/* At a PIN pad: nothing logs it in again. */
		if (was_open && !sg_held_is(token))
			sg_event_tell(token, SG_EVENT_TOKEN_LOCKED, NULL);
	}
	sg_key_cache_flush(module);
	module->service = sg_reader_service();
	if (sg_module_restart(module) == 0)
		return;
	sg_log(SG_LOG_ERROR, "the module does not start again: ending");
	sg_module_wipe(module);
	_exit(0);
}

static int is_stale(struct sg_module *module, unsigned long service)
{
	return service != 0 && (service != module->service || sg_stay_any_over(module));
}

void sg_stay_renew(struct sg_module *module)
{
	unsigned long service = sg_reader_service();
	size_t i;

	if (module->service == 0)
		module->service = service; /* it knows no card of an older one */
	for (i = 0; i < module->token_count; i++) {
		if (sg_stay_is_over(module->tokens[i]))
			end(module->tokens[i]);
	}
	if (!is_stale(module, service) || !sg_gate_alone())
		return;
	/* Another thread may have done it. */
	if (is_stale(module, sg_reader_service()))
		restart(module);
	sg_gate_share();
}
