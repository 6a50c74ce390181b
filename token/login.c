#include "login.h"

#include <stdlib.h>

#include "ckr.h"
#include "event.h"
#include "gate.h"
#include "held.h"
#include "key_find.h"
#include "ledger.h"
#include "pin.h"
#include "renew.h"
#include "session.h"
#include "token_find.h"
#include "tries.h"
#include "watch.h"
#include "wipe.h"

CK_RV sg_login_call(struct sg_token *token, CK_SESSION_HANDLE session, CK_USER_TYPE user,
    const struct sg_secret *pin)
{
	union {
		const char *pin;
		CK_UTF8CHAR *arg;
	} text = { .pin = pin != NULL ? sg_secret_data(pin) : NULL };

	CK_RV rv;

	sg_wipe_begin();
	rv = token->module->f->C_Login(
	    session, user, text.arg, pin != NULL ? sg_secret_len(pin) : 0);
	sg_wipe_stack();
	sg_wipe_end();
	return rv;
}

/* ---- one try ---- */

struct attempt {
	struct sg_held *held; /* its PIN is NULL for a PIN pad */
	int again;	      /* after the login was lost: the PIN is already the token's */
	int made;	      /* C_Login was called */
	CK_RV rv;
};

/* The try itself, after it was written down. */
static int attempt_make(struct sg_token *token, struct attempt *attempt, CK_SESSION_HANDLE anchor,
    struct sg_msg_error *error)
{
	struct sg_held *held = attempt->held;
	int err;

	/* Sessions that were at work kept it up: there is nothing to try. */
	if (attempt->again && sg_session_is_user(token, anchor)) {
		attempt->rv = CKR_OK;
		return 0;
	}
	err = sg_ledger_try(token, SG_PIN_USER, &held->mark, error);
	if (err != 0)
		return err;
	held->tries++;
	attempt->made = 1;
	attempt->rv = sg_login_call(token, anchor, CKU_USER, held->pin);
	if (attempt->rv == CKR_OK)
		held->tries = 0;
	sg_ledger_outcome(token, SG_PIN_USER, &held->mark, attempt->rv);
	return 0;
}

/* The login is ours from now on. The token's lock is held. */
static void attempt_keep(
    struct sg_token *token, const struct attempt *attempt, CK_SESSION_HANDLE anchor)
{
	token->anchor = anchor;
	token->unlocked = 1;
	if (!attempt->again)
		sg_held_set(token, attempt->held);
}

/*
 * The one C_Login, in the session that keeps the login up. The token's lock is not held in the
 * call: a reader with a PIN pad waits for a person in it.
 */
static int login_try(struct sg_token *token, struct attempt *attempt, struct sg_msg_error *error)
{
	CK_FUNCTION_LIST *f = token->module->f;
	CK_SESSION_HANDLE anchor = CK_INVALID_HANDLE;
	unsigned epoch;
	int woken, err;

	/* ykcs11 reads a card with the first session: what it read of one that did not answer is
	 * nothing. */
	if (!attempt->again) {
		pthread_mutex_lock(&token->lock);
		epoch = token->epoch;
		woken = sg_token_wake(token);
		pthread_mutex_unlock(&token->lock);
		if (woken)
			sg_token_drop(token, epoch);
	}
	pthread_mutex_lock(&token->lock);
	epoch = token->epoch;
	attempt->rv = sg_session_open(token, &anchor);
	pthread_mutex_unlock(&token->lock);
	if (attempt->rv != CKR_OK)
		return sg_ckr_fail(error, attempt->rv, "C_OpenSession", token->label);
	err = attempt_make(token, attempt, anchor, error);
	/* A login that is not ours, as far as we know: this PIN has proven nothing. */
	if (err == 0 && attempt->rv == CKR_USER_ALREADY_LOGGED_IN)
		f->C_Logout(anchor);
	pthread_mutex_lock(&token->lock);
	if (err == 0 && attempt->rv == CKR_OK && token->epoch != epoch)
		attempt->rv = CKR_TOKEN_NOT_PRESENT;
	if (err == 0 && attempt->rv == CKR_OK)
		attempt_keep(token, attempt, anchor);
	else
		f->C_CloseSession(anchor);
	pthread_mutex_unlock(&token->lock);
	if (err != 0)
		return err;
	if (attempt->rv != CKR_OK)
		sg_renew_note(token, attempt->rv);
	if (sg_ckr_code(attempt->rv) == SG_ERR_PIN_WRONG)
		return SG_ERR_PIN_WRONG; /* login_fail() knows more */
	if (attempt->rv != CKR_OK)
		return sg_ckr_fail(error, attempt->rv, "C_Login", token->label);
	sg_watch_poke(token->module);
	return 0;
}

/* ---- login ---- */

static int login_fail(const struct sg_pin_wish *wish, CK_RV rv, struct sg_msg_error *error)
{
	int err = sg_ckr_code(rv);

	if (err == SG_ERR_PIN_WRONG)
		return sg_pin_wrong(wish, rv, error);
	if (err == SG_ERR_PIN_LOCKED)
		error->tries_left = 0;
	return err;
}

/* Without a serial number, another token could pass for the one that returns. */
static int may_return(const struct sg_token *token, const struct sg_msg_token_login *request)
{
	return request->returns && token->identity.serialNumber[0] > ' ';
}

static int pin_wait(
    struct sg_pin_wish *wish, CK_FLAGS flags, struct sg_held *held, struct sg_msg_error *error)
{
	unsigned depth = sg_watch_asked(wish->token);
	int err = sg_pin_get(wish, flags, held->pin, &held->mark, error);

	sg_watch_answered(wish->token, depth);
	return err;
}

static int login_locked(struct sg_token *token, const struct sg_msg_token_login *request, int fd,
    struct sg_msg_error *error)
{
	struct sg_pin_wish wish = { .token = token,
		.caller = &request->caller,
		.source = request->source,
		.fd = fd,
		.options = request->options,
		.option_count = request->option_count,
		.ledger = &request->ledger };
	struct sg_held held = { .tries = request->ledger.tries,
		.tries_max = request->ledger.tries_max,
		.returns = may_return(token, request) };
	struct attempt attempt = { .held = &held };
	CK_FLAGS flags;
	int err;

	err = sg_pin_check(&wish, &flags, error);
	if (err == 0 && !(flags & CKF_PROTECTED_AUTHENTICATION_PATH)) {
		err = sg_pin_new(&held.pin, error);
		if (err == 0)
			err = pin_wait(&wish, flags, &held, error);
		/* Typing takes its time: look again, right before the try. */
		if (err == 0)
			err = sg_pin_check_again(&wish, &flags, error);
	}
	if (err == 0) {
		err = login_try(token, &attempt, error);
		if (err != 0 && attempt.made)
			err = login_fail(&wish, attempt.rv, error);
	}
	sg_pin_wish_end(&wish);
	sg_held_clear(&held);
	return err;
}

/* Whether our login still stands; one that was lost is given up. */
static int is_unlocked(struct sg_token *token)
{
	unsigned epoch;
	int unlocked, stands;

	pthread_mutex_lock(&token->lock);
	epoch = token->epoch;
	unlocked = token->unlocked;
	stands = sg_session_login_stands(token);
	pthread_mutex_unlock(&token->lock);
	if (unlocked && !stands)
		sg_token_drop(token, epoch);
	return stands;
}

int sg_login(struct sg_module *module, const struct sg_msg_token_login *request, int fd,
    struct sg_msg_error *error)
{
	struct sg_token *token;
	int err;

	err = sg_token_find(module, request->token, &token, error);
	if (err != 0)
		return err;
	sg_gate_lock(&token->login_lock);
	if (!is_unlocked(token))
		sg_login_again(token);
	if (!sg_token_is_open(token)) {
		sg_held_wipe(token);
		err = login_locked(token, request, fd, error);
	}
	pthread_mutex_unlock(&token->login_lock);
	return err;
}

/* ---- logout ---- */

CK_RV sg_login_end(struct sg_token *token)
{
	CK_RV rv;

	sg_held_wipe(token);
	sg_wipe_begin();
	rv = sg_token_logout(token);
	sg_wipe_end();
	sg_key_cache_flush(token->module);
	return rv;
}

int sg_logout(
    struct sg_module *module, const struct sg_msg_token_ref *request, struct sg_msg_error *error)
{
	struct sg_token *token;
	int err, known;
	CK_RV rv;

	/* Before anything that a module could hang in. */
	known = sg_token_known_wipe(module, request->token);
	err = sg_token_find(module, request->token, &token, error);
	/* A token that is away has no login to lose, and its PIN was all that there was of it. */
	if (err == SG_ERR_TOKEN_ABSENT && known) {
		sg_layout_clear(&sg_layout_error, error);
		return 0;
	}
	if (err != 0)
		return err;
	rv = sg_login_end(token);
	if (rv != CKR_OK && rv != CKR_USER_NOT_LOGGED_IN && sg_ckr_code(rv) != SG_ERR_TOKEN_ABSENT)
		return sg_ckr_fail(error, rv, "C_Logout", token->label);
	return 0;
}

int sg_release(
    struct sg_module *module, const struct sg_msg_token_ref *request, struct sg_msg_error *error)
{
	struct sg_token *token;
	size_t i;
	int err;

	if (request->token != NULL && *request->token) {
		err = sg_token_find(module, request->token, &token, error);
		if (err == 0)
			sg_token_drop(token, sg_token_epoch(token));
		return err;
	}
	for (i = 0; i < module->token_count; i++)
		sg_token_drop(module->tokens[i], sg_token_epoch(module->tokens[i]));
	return 0;
}

/* ---- with the PIN that is held ---- */

/* Whether it may be tried without a person: 0, SG_ERR_DENIED when it may not, or what the token
 * says. */
static int again_check(struct sg_token *token, const struct sg_held *held)
{
	CK_TOKEN_INFO info;
	CK_RV rv = sg_tries_read(token, &info);

	if (rv != CKR_OK)
		return sg_ckr_code(rv);
	if ((info.flags & CKF_USER_PIN_LOCKED) ||
	    sg_ledger_is_last(info.flags, held->tries, held->tries_max))
		return SG_ERR_DENIED;
	return 0;
}

/* Whether it is held no more. One that is to wait for the token's return may be tried once more,
 * for that may not be ready yet; any other was tried in vain, and is asked for again. */
static int costs_the_pin(const struct attempt *attempt, int err)
{
	return err == SG_ERR_DENIED || err == SG_ERR_PIN_WRONG || err == SG_ERR_PIN_LOCKED ||
	    (err != 0 && attempt->made && !attempt->held->returns);
}

int sg_login_again(struct sg_token *token)
{
	struct sg_msg_error error = { 0 };
	struct sg_held held;
	struct attempt attempt = { .held = &held, .again = 1 };
	int err;

	if (!sg_held_is(token) || sg_token_is_open(token))
		return 0;
	pthread_mutex_lock(&token->secret_lock);
	if (!sg_token_is_open(token) && sg_held_take(token, &held)) {
		err = again_check(token, &held);
		if (err == 0)
			err = login_try(token, &attempt, &error);
		if (costs_the_pin(&attempt, err)) {
			held.returns = 0;
			sg_held_clear(&held);
			sg_held_wipe(token);
			sg_event_tell(token, SG_EVENT_TOKEN_LOCKED, NULL);
		} else {
			if (err != 0 && attempt.made)
				atomic_store(&token->again_epoch, sg_token_epoch(token));
			sg_held_give(token, &held);
		}
	}
	pthread_mutex_unlock(&token->secret_lock);
	sg_layout_clear(&sg_layout_error, &error);
	return attempt.made;
}

/* The token is as one that was never unlocked: the next request asks for the PIN. secret_lock is
 * held. */
static void context_over(struct sg_token *token)
{
	sg_login_end(token);
	sg_event_tell(token, SG_EVENT_TOKEN_LOCKED, NULL);
}

/* Whether the PIN that is held may be the last try: by the token's flags, or as counted once one
 * was in vain. */
static int context_is_last(struct sg_token *token, CK_FLAGS flags)
{
	struct sg_held held;
	uint32_t tries, tries_max;

	sg_held_take(token, &held);
	tries = held.tries;
	tries_max = tries > 0 ? held.tries_max : 0;
	sg_held_give(token, &held);
	return sg_ledger_is_last(flags, tries, tries_max);
}

CK_RV sg_login_context_check(struct sg_token *token)
{
	CK_TOKEN_INFO info;
	CK_RV rv;

	rv = sg_tries_read(token, &info);
	if (rv != CKR_OK)
		return rv;
	if (info.flags & CKF_USER_PIN_LOCKED) {
		context_over(token);
		return CKR_PIN_LOCKED;
	}
	if (info.flags & CKF_PROTECTED_AUTHENTICATION_PATH)
		return CKR_OK;
	if (!sg_held_is(token) || context_is_last(token, info.flags)) {
		context_over(token);
		return CKR_FUNCTION_CANCELED;
	}
	return CKR_OK;
}

CK_RV sg_login_context(
    struct sg_token *token, CK_SESSION_HANDLE session, struct sg_msg_error *error)
{
	struct sg_held held;
	CK_RV rv;
	int err;

	sg_held_take(token, &held);
	err = sg_ledger_try(token, SG_PIN_USER, &held.mark, error);
	if (err != 0)
		sg_held_give(token, &held);
	if (err == SG_ERR_TOKEN_ABSENT) {
		sg_layout_clear(
		    &sg_layout_error, error); /* it is tried again when the card is back */
		return CKR_DEVICE_REMOVED;
	}
	if (err != 0)
		return CKR_FUNCTION_CANCELED;
	rv = sg_login_call(token, session, CKU_CONTEXT_SPECIFIC, held.pin);
	if (rv == CKR_OK) {
		sg_ledger_taken(token, &held.mark);
		held.tries = 0;
		sg_held_give(token, &held);
		return rv;
	}
	held.tries++;
	sg_ledger_outcome(token, SG_PIN_USER, &held.mark, rv);
	if (sg_ckr_code(rv) == SG_ERR_PIN_WRONG || rv == CKR_PIN_LOCKED) {
		sg_held_clear(&held);
		context_over(token);
	} else {
		sg_held_give(token, &held);
	}
	return rv;
}
