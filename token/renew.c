#include "renew.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "session.h"

static int is_of_device(CK_RV rv)
{
	return rv == CKR_GENERAL_ERROR || rv == CKR_DEVICE_ERROR;
}

/* A module that makes random numbers without its device says nothing of that. */
static int gives_random(struct sg_token *token)
{
	CK_SESSION_HANDLE session;
	unsigned char random[8];
	CK_RV rv;

	pthread_mutex_lock(&token->lock);
	rv = token->present ? sg_session_open(token, &session) : CKR_TOKEN_NOT_PRESENT;
	pthread_mutex_unlock(&token->lock);
	if (rv != CKR_OK)
		return 0;
	rv = token->module->f->C_GenerateRandom(session, random, sizeof(random));
	token->module->f->C_CloseSession(session);
	return !is_of_device(rv);
}

/* Whether another one has a login to lose, and works. */
static int is_needed_by_others(struct sg_token *token)
{
	struct sg_module *module = token->module;
	size_t i;

	for (i = 0; i < module->token_count; i++) {
		struct sg_token *other = module->tokens[i];

		if (other != token && (sg_token_flags(other, SG_PIN_USER) & SG_TOKEN_UNLOCKED) &&
		    atomic_load(&other->failures) == 0 && gives_random(other))
			return 1;
	}
	return 0;
}

void sg_renew_note(struct sg_token *token, CK_RV rv)
{
	if (!is_of_device(rv)) {
		if (rv == CKR_OK && atomic_load(&token->failures) > 0)
			atomic_store(&token->failures, 0);
		return;
	}
	if (token->module->authority || sg_token_is_in_reader(token))
		return;
	if (atomic_fetch_add(&token->failures, 1) + 1 < SG_FAILURES_MAX && gives_random(token))
		return;
	if (!is_needed_by_others(token))
		atomic_store(&token->module->spent, 1);
}

void sg_renew_tell(const struct sg_module *module, struct sg_msg_error *error)
{
	char *message;

	if (!atomic_load(&module->spent) || error->message == NULL)
		return;
	message = strdup(error->message);
	if (message == NULL)
		return;
	sg_log(
	    SG_LOG_WARN, "the module fails for good: this process ends, for it to be loaded anew");
	free(error->message);
	error->message = NULL;
	if (asprintf(&error->message,
		"%s. Its module is loaded anew for the next call, and its PIN forgotten: unlock "
		"the "
		"token again",
		message) < 0)
		error->message = message;
	else
		free(message);
}
