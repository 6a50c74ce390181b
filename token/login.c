#include "login.h"

#include <stdlib.h>
#include <string.h>

#include "ckr.h"
#include "find.h"
#include "log.h"
#include "object.h"
#include "pinentry.h"
#include "session.h"

/* C_Login does not change the PIN, but its type does not say so. */
static CK_RV login_call(struct sg_token *token, CK_SESSION_HANDLE session, CK_USER_TYPE user,
    const struct sg_secret *pin)
{
	union {
		const char *pin;
		CK_UTF8CHAR *arg;
	} text = { .pin = pin != NULL ? sg_secret_data(pin) : NULL };

	return token->module->f->C_Login(
	    session, user, text.arg, pin != NULL ? sg_secret_len(pin) : 0);
}

static int is_same(const CK_TOKEN_INFO *a, const CK_TOKEN_INFO *b)
{
	return memcmp(a->serialNumber, b->serialNumber, sizeof(a->serialNumber)) == 0 &&
	    memcmp(a->label, b->label, sizeof(a->label)) == 0;
}

/* Reads the token's flags afresh; CKR_TOKEN_NOT_PRESENT when another token is in the slot now. */
static CK_RV info_read(struct sg_token *token, CK_TOKEN_INFO *info)
{
	CK_RV rv = CKR_TOKEN_NOT_PRESENT;

	pthread_mutex_lock(&token->lock);
	if (token->present)
		rv = token->module->f->C_GetTokenInfo(token->slot, info);
	if (rv == CKR_OK && !is_same(info, &token->identity))
		rv = CKR_TOKEN_NOT_PRESENT;
	if (rv == CKR_OK)
		token->info = *info;
	pthread_mutex_unlock(&token->lock);
	return rv;
}

/* Whether a PIN may be tried now. */
static int pin_check(struct sg_token *token, const struct sg_msg_token_login *request,
    CK_TOKEN_INFO *info, struct sg_msg_error *error)
{
	CK_RV rv = info_read(token, info);

	if (rv != CKR_OK)
		return sg_ckr_fail(error, rv, "C_GetTokenInfo", token->label);
	if (info->flags & CKF_USER_PIN_LOCKED) {
		sg_msg_error_set(error, SG_ERR_PIN_LOCKED, token->uri,
		    "the PIN of token '%s' is locked", token->label);
		error->tries_left = 0;
		return SG_ERR_PIN_LOCKED;
	}
	if ((info->flags & CKF_USER_PIN_FINAL_TRY) && request->source != SG_PIN_PINENTRY) {
		sg_msg_error_set(error, SG_ERR_DENIED, token->uri,
		    "token '%s' has one try left: only a person at a pinentry decides to make it",
		    token->label);
		error->tries_left = 1;
		return SG_ERR_DENIED;
	}
	return 0;
}

static const char *tries_text(CK_FLAGS flags)
{
	if (flags & CKF_USER_PIN_FINAL_TRY)
		return "This is the LAST try: a wrong PIN locks the token.";
	if (flags & CKF_USER_PIN_COUNT_LOW)
		return "A wrong PIN was entered before.";
	return "";
}

/* The caller chose these bytes: they must not look like lines of ours. */
static void put_clean(struct sg_buf *text, const char *foreign)
{
	size_t i;

	for (i = 0; i < 200 && foreign[i]; i++) {
		unsigned char c = (unsigned char)foreign[i];

		sg_buf_put_u8(text, c < ' ' || c == 127 ? '?' : c);
	}
}

static char *description_new(
    const struct sg_token *token, const struct sg_msg_token_login *request, CK_FLAGS flags)
{
	const struct sg_caller *caller = &request->caller;
	struct sg_buf text = { 0 };
	char *serial;

	serial = sg_text_padded(token->identity.serialNumber, sizeof(token->identity.serialNumber));
	sg_buf_printf(&text, "Please enter the PIN of token '%s' (serial number %s).", token->label,
	    serial != NULL ? serial : "?");
	free(serial);
	sg_buf_put_str(&text, "\nAsked by ");
	put_clean(&text, caller->exe != NULL ? caller->exe : "a program");
	sg_buf_printf(
	    &text, " (process %u)%s", caller->pid, caller->purpose != NULL ? " for " : "");
	put_clean(&text, caller->purpose != NULL ? caller->purpose : "");
	sg_buf_put_str(&text, ".");
	if (*tries_text(flags))
		sg_buf_printf(&text, "\n%s", tries_text(flags));
	return sg_buf_steal(&text, NULL);
}

/* Gets the PIN; nothing is read for a reader with a PIN pad of its own. */
static int pin_read(struct sg_token *token, const struct sg_msg_token_login *request, int fd,
    CK_FLAGS flags, struct sg_secret *pin, struct sg_msg_error *error)
{
	char *description;
	int err;

	if (fd < 0) {
		sg_msg_error_set(
		    error, SG_ERR_PIN_NEEDED, token->uri, "token '%s' is locked", token->label);
		return SG_ERR_PIN_NEEDED;
	}
	if (request->source == SG_PIN_FD) {
		err = sg_secret_read_fd(pin, fd, SG_PIN_READ_MS);
		if (err != 0)
			sg_msg_error_set(error, err, token->uri,
			    "the PIN cannot be read from its descriptor: %s", sg_err_text(err));
		return err;
	}
	if (request->source != SG_PIN_PINENTRY) {
		sg_msg_error_set(error, SG_ERR_ARG, NULL, "there is no such source of a PIN");
		return SG_ERR_ARG;
	}
	description = description_new(token, request, flags);
	if (description == NULL)
		return SG_ERR_NOMEM;
	err = sg_pinentry_ask(fd, description, request->options, request->option_count, pin, error);
	free(description);
	return err;
}

static void tries_set(struct sg_token *token, struct sg_msg_error *error)
{
	CK_TOKEN_INFO info;

	error->tries_left = SG_TRIES_UNKNOWN;
	if (info_read(token, &info) != CKR_OK)
		return;
	if (info.flags & CKF_USER_PIN_LOCKED)
		error->tries_left = 0;
	else if (info.flags & CKF_USER_PIN_FINAL_TRY)
		error->tries_left = 1;
}

static int login_fail(struct sg_token *token, CK_RV rv, struct sg_msg_error *error)
{
	int err = sg_ckr_code(rv);

	if (err == SG_ERR_PIN_WRONG) {
		sg_log(SG_LOG_WARN, "C_Login on token '%s': %s", token->label, sg_ckr_name(rv));
		sg_msg_error_set(error, err, token->uri, "token '%s' does not take this PIN (%s)",
		    token->label, sg_ckr_name(rv));
		tries_set(token, error);
		return err;
	}
	err = sg_ckr_fail(error, rv, "C_Login", token->label);
	if (err == SG_ERR_PIN_LOCKED)
		error->tries_left = 0;
	return err;
}

/* Whether a private key on the token wants the PIN again for each signature. */
static CK_RV find_always_auth(
    struct sg_token *token, CK_SESSION_HANDLE session, int again, void *arg)
{
	CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
	CK_BBOOL yes = CK_TRUE;
	CK_ATTRIBUTE wanted[] = { { CKA_CLASS, &class, sizeof(class) },
		{ CKA_ALWAYS_AUTHENTICATE, &yes, sizeof(yes) } };
	CK_OBJECT_HANDLE *handles = NULL;
	size_t *count = arg;
	CK_RV rv;

	rv = sg_object_find(token->module, session, wanted, 2, &handles, count);
	free(handles);
	return rv;
}

/*
 * The one C_Login, in the session that keeps the login up. No lock is held in the call: a reader with
 * a PIN pad waits for a person in it.
 */
static int login_try(
    struct sg_token *token, const struct sg_secret *pin, struct sg_msg_error *error)
{
	CK_FUNCTION_LIST *f = token->module->f;
	CK_SESSION_HANDLE anchor = CK_INVALID_HANDLE;
	unsigned epoch;
	CK_RV rv;

	pthread_mutex_lock(&token->lock);
	epoch = token->epoch;
	rv = sg_session_open(token, &anchor);
	pthread_mutex_unlock(&token->lock);
	if (rv != CKR_OK)
		return sg_ckr_fail(error, rv, "C_OpenSession", token->label);
	rv = login_call(token, anchor, CKU_USER, pin);
	/* A login that is not ours, as far as we know: this PIN has proven nothing. */
	if (rv == CKR_USER_ALREADY_LOGGED_IN)
		f->C_Logout(anchor);
	pthread_mutex_lock(&token->lock);
	if (rv == CKR_OK && token->epoch != epoch)
		rv = CKR_TOKEN_NOT_PRESENT;
	if (rv == CKR_OK) {
		token->anchor = anchor;
		token->unlocked = 1;
	} else {
		f->C_CloseSession(anchor);
	}
	pthread_mutex_unlock(&token->lock);
	return rv == CKR_OK ? 0 : login_fail(token, rv, error);
}

static int secret_new(struct sg_secret **pin, struct sg_msg_error *error)
{
	int err = sg_secret_new(pin);

	if (err == SG_ERR_NOMEM)
		sg_msg_error_set(error, err, NULL,
		    "no memory can be locked for the PIN: raise the limit of locked memory (ulimit "
		    "-l, or LimitMEMLOCK= of the service)");
	return err;
}

static int login_locked(struct sg_token *token, const struct sg_msg_token_login *request, int fd,
    struct sg_msg_error *error)
{
	struct sg_secret *pin = NULL;
	size_t always_auth = 0;
	CK_TOKEN_INFO info = { 0 };
	int err, pinpad;

	/* From here on sg_login_again() has no PIN, and does not race with the login below. */
	sg_token_wipe(token);
	if (sg_token_is_open(token))
		return 0;
	err = pin_check(token, request, &info, error);
	if (err != 0)
		return err;
	pinpad = (info.flags & CKF_PROTECTED_AUTHENTICATION_PATH) != 0;
	if (!pinpad) {
		err = secret_new(&pin, error);
		if (err == 0)
			err = pin_read(token, request, fd, info.flags, pin, error);
		/* Typing takes its time: look again, right before the try. */
		if (err == 0)
			err = pin_check(token, request, &info, error);
	}
	if (err == 0)
		err = login_try(token, pin, error);
	if (err == 0 && sg_token_run(token, find_always_auth, &always_auth) == CKR_OK &&
	    always_auth > 0 && !pinpad) {
		pthread_mutex_lock(&token->secret_lock);
		sg_secret_free(token->secret);
		token->secret = pin;
		pthread_mutex_unlock(&token->secret_lock);
		pin = NULL;
	}
	sg_secret_free(pin);
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
	if (unlocked && !stands) {
		sg_token_drop(token, epoch);
		sg_token_wipe(token);
	}
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
	pthread_mutex_lock(&token->login_lock);
	if (!is_unlocked(token) && !sg_token_is_open(token))
		err = login_locked(token, request, fd, error);
	pthread_mutex_unlock(&token->login_lock);
	return err;
}

int sg_logout(
    struct sg_module *module, const struct sg_msg_token_ref *request, struct sg_msg_error *error)
{
	struct sg_token *token;
	CK_RV rv = CKR_OK;
	unsigned epoch;
	int err;

	err = sg_token_find(module, request->token, &token, error);
	if (err != 0)
		return err;
	sg_token_wipe(token);
	pthread_mutex_lock(&token->lock);
	epoch = token->epoch;
	if (token->unlocked)
		rv = module->f->C_Logout(token->anchor);
	pthread_mutex_unlock(&token->lock);
	sg_token_drop(token, epoch);
	sg_key_cache_flush(module);
	if (rv != CKR_OK && rv != CKR_USER_NOT_LOGGED_IN)
		return sg_ckr_fail(error, rv, "C_Logout", token->label);
	return 0;
}

int sg_login_is_held(struct sg_token *token)
{
	int held;

	pthread_mutex_lock(&token->secret_lock);
	held = token->secret != NULL;
	pthread_mutex_unlock(&token->secret_lock);
	return held;
}

void sg_login_again(struct sg_token *token)
{
	struct sg_msg_error error = { 0 };
	CK_TOKEN_INFO info;
	int err = 0;

	pthread_mutex_lock(&token->secret_lock);
	if (token->secret != NULL && !sg_token_is_open(token)) {
		err = SG_ERR_PIN_NEEDED;
		if (info_read(token, &info) == CKR_OK &&
		    !(info.flags & (CKF_USER_PIN_LOCKED | CKF_USER_PIN_FINAL_TRY)))
			err = login_try(token, token->secret, &error);
	}
	if (err != 0) {
		sg_secret_free(token->secret);
		token->secret = NULL;
	}
	pthread_mutex_unlock(&token->secret_lock);
	sg_layout_clear(&sg_layout_error, &error);
}

CK_RV sg_login_context_check(struct sg_token *token)
{
	CK_TOKEN_INFO info;
	CK_RV rv;

	rv = info_read(token, &info);
	if (rv != CKR_OK)
		return rv;
	if (info.flags & CKF_USER_PIN_LOCKED)
		return CKR_PIN_LOCKED;
	if (info.flags & CKF_PROTECTED_AUTHENTICATION_PATH)
		return CKR_OK;
	if (token->secret == NULL || (info.flags & CKF_USER_PIN_FINAL_TRY))
		return CKR_FUNCTION_CANCELED;
	return CKR_OK;
}

CK_RV sg_login_context(struct sg_token *token, CK_SESSION_HANDLE session)
{
	CK_RV rv = login_call(token, session, CKU_CONTEXT_SPECIFIC, token->secret);

	if (sg_ckr_code(rv) == SG_ERR_PIN_WRONG || rv == CKR_PIN_LOCKED) {
		sg_secret_free(token->secret);
		token->secret = NULL;
	}
	return rv;
}
