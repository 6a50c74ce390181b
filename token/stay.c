#include "stay.h"

#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "event.h"
#include "gate.h"
#include "held.h"
#include "key_find.h"
#include "log.h"

#define OVER ULONG_MAX /* in the place of a service: no card has such a stay */

static struct sg_reader_stay stay_of(struct sg_token *token)
{
	struct sg_reader_stay stay;

	pthread_mutex_lock(&token->held_lock);
	stay = token->stay;
	pthread_mutex_unlock(&token->held_lock);
	return stay;
}

/* For good: a card that is its own reader takes the count of its changes away with it, and the next
 * one begins as it did. */
static void stay_end(struct sg_token *token, const struct sg_reader_stay *then)
{
	pthread_mutex_lock(&token->held_lock);
	if (sg_reader_stay_is_same(&token->stay, then))
		token->stay.service = OVER;
	pthread_mutex_unlock(&token->held_lock);
}

void sg_stay_forget(struct sg_token *token)
{
	pthread_mutex_lock(&token->held_lock);
	if (token->stay.service != 0)
		token->gone = 1;
	token->stay = (struct sg_reader_stay){ 0 };
	pthread_mutex_unlock(&token->held_lock);
}

/* Of one that was not seen to go. */
static int is_over(struct sg_token *token)
{
	struct sg_reader_stay then = stay_of(token), now;
	char *reader;

	if (then.service == 0 || then.service == OVER)
		return then.service == OVER;
	reader = sg_token_reader(token);
	sg_reader_stay(reader, &now);
	free(reader);
	if (sg_reader_stay_is_same(&then, &now))
		return 0;
	stay_end(token, &then);
	return 1;
}

int sg_stay_is_over(struct sg_token *token)
{
	int gone;

	pthread_mutex_lock(&token->held_lock);
	gone = token->gone;
	pthread_mutex_unlock(&token->held_lock);
	return gone || is_over(token);
}

int sg_stay_any_over(struct sg_module *module)
{
	size_t i;

	for (i = 0; i < module->token_count; i++) {
		if (is_over(module->tokens[i]))
			return 1;
	}
	return 0;
}

/* The remember policy has its say, once. */
static void token_end(struct sg_token *token)
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
		sg_stay_forget(token);
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
		if (is_over(module->tokens[i]))
			token_end(module->tokens[i]);
	}
	if (!is_stale(module, service) || !sg_gate_alone())
		return;
	/* Another thread may have done it. */
	if (is_stale(module, sg_reader_service()))
		restart(module);
	sg_gate_share();
}
