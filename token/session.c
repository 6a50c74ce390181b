#include "session.h"

#include <stdlib.h>

#include "ckr.h"
#include "gate.h"
#include "held.h"
#include "log.h"
#include "login.h"
#include "renew.h"
#include "stay.h"

struct session {
	CK_SESSION_HANDLE handle;
	unsigned epoch;
	unsigned start; /* of the module */
};

CK_RV sg_session_open(struct sg_token *token, CK_SESSION_HANDLE *handle)
{
	CK_FUNCTION_LIST *f = token->module->f;
	CK_RV rv;

	if (token->busy_count == 0 && token->idle_count == 0 && token->anchor == CK_INVALID_HANDLE)
		(void)sg_token_wake(token);
	rv = f->C_OpenSession(token->slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, handle);
	if (rv == CKR_TOKEN_WRITE_PROTECTED)
		rv = f->C_OpenSession(token->slot, CKF_SERIAL_SESSION, NULL, NULL, handle);
	return rv;
}

/* Takes an idle session or opens one. Where the token has no more to give, waits for one that is in
 * use. */
static CK_RV session_get(struct sg_token *token, struct session *session)
{
	CK_RV rv = CKR_OK;

	session->handle = CK_INVALID_HANDLE;
	pthread_mutex_lock(&token->lock);
	for (;;) {
		if (!token->present)
			rv = CKR_TOKEN_NOT_PRESENT;
		else if (token->idle_count > 0)
			session->handle = token->idle[--token->idle_count];
		else
			rv = sg_session_open(token, &session->handle);
		if (rv != CKR_SESSION_COUNT || token->busy_count == 0)
			break;
		pthread_cond_wait(&token->session_back, &token->lock);
		rv = CKR_OK;
	}
	if (rv == CKR_OK) {
		token->busy_count++;
		session->epoch = token->epoch;
		session->start = token->module->starts;
	}
	pthread_mutex_unlock(&token->lock);
	return rv;
}

/* Gives it back; it is closed when the last call in it failed, or its time is over. */
static void session_put(struct sg_token *token, struct session *session, CK_RV last)
{
	pthread_mutex_lock(&token->lock);
	token->busy_count--;
	if (last == CKR_OK && session->epoch == token->epoch &&
	    token->idle_count < SG_SESSIONS_IDLE_MAX)
		token->idle[token->idle_count++] = session->handle;
	else if (session->start == token->module->starts)
		token->module->f->C_CloseSession(session->handle);
	pthread_cond_signal(&token->session_back);
	pthread_mutex_unlock(&token->lock);
	session->handle = CK_INVALID_HANDLE;
}

int sg_session_is_user(struct sg_token *token, CK_SESSION_HANDLE session)
{
	CK_SESSION_INFO info;

	return token->module->f->C_GetSessionInfo(session, &info) == CKR_OK &&
	    (info.state == CKS_RW_USER_FUNCTIONS || info.state == CKS_RO_USER_FUNCTIONS);
}

int sg_session_login_stands(struct sg_token *token)
{
	return token->unlocked && sg_session_is_user(token, token->anchor);
}

/* Whether nothing is lost by starting over: no login of ours stands, or it is gone already. */
static int login_is_lost(struct sg_token *token)
{
	int lost;

	pthread_mutex_lock(&token->lock);
	lost = !sg_session_login_stands(token);
	pthread_mutex_unlock(&token->lock);
	return lost;
}

/*
 * ykcs11 says DEVICE_ERROR alone after the key was pulled, OpenSC GENERAL_ERROR after pcscd was
 * started anew, and both say that the login stands: they recover only from scratch.
 */
static int wants_scratch(struct sg_token *token, CK_RV rv)
{
	return rv == CKR_DEVICE_ERROR || (rv == CKR_GENERAL_ERROR && sg_token_is_in_reader(token));
}

/* From scratch: what it had is given up, and looked for again. Whether it may be there. */
static int find_again(struct sg_token *token, unsigned epoch, int was_open, CK_RV rv)
{
	struct sg_token **tokens = NULL;
	struct sg_msg_error error = { 0 };
	size_t count = 0;
	int gone, unsure, present;

	sg_token_drop(token, epoch);
	gone = rv == CKR_DEVICE_ERROR && sg_token_reset(token) != 0;
	unsure = sg_token_scan(token->module, &tokens, &count, &error) != 0;
	sg_layout_clear(&sg_layout_error, &error);
	free(tokens);
	/* No pcscd, for one: a PIN would be tried on nothing. */
	if (gone || unsure)
		sg_token_unsure(token);
	if (gone)
		sg_token_lost(token, was_open);
	pthread_mutex_lock(&token->lock);
	present = token->present;
	pthread_mutex_unlock(&token->lock);
	return present || unsure;
}

int sg_session_from_scratch(struct sg_token *token)
{
	int there;

	sg_gate_lock(&token->cure_lock);
	there = find_again(token, sg_token_epoch(token), sg_token_is_open(token), CKR_DEVICE_ERROR);
	pthread_mutex_unlock(&token->cure_lock);
	return there;
}

/*
 * Gives CKR_OK when a second try makes sense, else what to report. tried: a login was made already.
 * One does it for all whose calls failed in the same epoch: each would pull the rug from under the
 * other's login.
 */
static CK_RV cure(struct sg_token *token, unsigned epoch, int tried, CK_RV rv)
{
	int was_open = sg_token_is_open(token);
	enum sg_ckr_cure kind = sg_ckr_cure(rv);
	int there = 1;

	if (kind == SG_CURE_NONE)
		return rv;
	sg_log(SG_LOG_INFO, "token '%s': %s, trying once more", token->label, sg_ckr_name(rv));
	/* SoftHSM takes the handles of private keys away with the login. */
	if ((kind == SG_CURE_OBJECT && !(was_open && login_is_lost(token))) ||
	    (kind == SG_CURE_SESSION && !(wants_scratch(token, rv) && sg_held_is(token)) &&
		!login_is_lost(token)))
		return CKR_OK;
	sg_gate_lock(&token->cure_lock);
	if (epoch == sg_token_epoch(token))
		there = find_again(token, epoch, was_open, rv);
	if (there && !tried && atomic_load(&token->again_epoch) != sg_token_epoch(token))
		sg_login_again(token);
	pthread_mutex_unlock(&token->cure_lock);
	if (!there)
		return CKR_TOKEN_NOT_PRESENT;
	return was_open && !sg_token_is_open(token) ? CKR_USER_NOT_LOGGED_IN : CKR_OK;
}

static CK_RV run_once(
    struct sg_token *token, sg_session_fn *fn, void *arg, int again, unsigned *epoch)
{
	struct session session;
	CK_RV rv;

	*epoch = sg_token_epoch(token);
	rv = session_get(token, &session);
	if (rv != CKR_OK)
		return rv;
	*epoch = session.epoch;
	rv = fn(token, session.handle, again, arg);
	session_put(token, &session, rv);
	return rv;
}

/* Whether the card has been out: the module is asked again then what there is. */
static int look_again(struct sg_token *token)
{
	struct sg_token **tokens = NULL;
	struct sg_msg_error error = { 0 };
	size_t count = 0;

	if (!sg_stay_is_over(token))
		return 0;
	if (sg_token_scan(token->module, &tokens, &count, &error) != 0)
		sg_layout_clear(&sg_layout_error, &error);
	free(tokens);
	return 1;
}

static CK_RV run_cured(struct sg_token *token, sg_session_fn *fn, void *arg)
{
	int anew = look_again(token), tried = sg_login_again(token);
	unsigned epoch;
	CK_RV rv;

	rv = run_once(token, fn, arg, anew, &epoch);
	if (rv == CKR_OK)
		return rv;
	rv = cure(token, epoch, tried, rv);
	if (rv != CKR_OK)
		return rv;
	rv = run_once(token, fn, arg, 1, &epoch);
	if (rv == CKR_DEVICE_ERROR || sg_ckr_cure(rv) == SG_CURE_TOKEN) {
		/* The next request starts from scratch, and says so when a PIN is needed again. */
		uint32_t was = sg_token_flags(token, SG_PIN_USER);

		sg_token_drop(token, epoch);
		sg_token_lost(token, (was & SG_TOKEN_UNLOCKED) != 0);
	}
	return rv;
}

CK_RV sg_token_run(struct sg_token *token, sg_session_fn *fn, void *arg)
{
	CK_RV rv = run_cured(token, fn, arg);

	if (rv != CKR_OK)
		sg_renew_note(token, rv);
	return rv;
}
