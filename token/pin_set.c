#include "pin_set.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "ckr.h"
#include "gate.h"
#include "ledger.h"
#include "log.h"
#include "login.h"
#include "pin.h"
#include "session.h"
#include "token_find.h"
#include "watch.h"
#include "wipe.h"

/* The two PINs of one change; both NULL for a PIN pad. */
struct change {
	struct sg_pin_wish *wish;
	struct sg_secret *pin, *fresh;
	struct sg_pin_mark mark;
	CK_RV rv;	  /* of the call that failed */
	const char *call; /* that call */
	int is_of_fresh;  /* it was the new PIN that the token judged */
};

static CK_UTF8CHAR *text_of(const struct sg_secret *pin)
{
	union {
		const char *pin;
		CK_UTF8CHAR *arg;
	} text = { .pin = pin != NULL ? sg_secret_data(pin) : NULL };

	return text.arg;
}

static CK_ULONG len_of(const struct sg_secret *pin)
{
	return pin != NULL ? sg_secret_len(pin) : 0;
}

/* What the token says of a PIN's form is said of the new one: the other one was not given its form
 * here. */
static int is_of_form(CK_RV rv)
{
	return rv == CKR_PIN_LEN_RANGE || rv == CKR_PIN_INVALID || rv == CKR_PIN_TOO_WEAK;
}

/*
 * The old PIN is proven by a login: C_SetPIN of tpm2-pkcs11 says that all went well when it was
 * wrong, and NSS wants its user logged in. On a PIN pad, C_SetPIN asks for it. Without a login it
 * is about the user's PIN.
 */
static int set_by_pin(struct change *change, CK_SESSION_HANDLE session, struct sg_msg_error *error)
{
	struct sg_token *token = change->wish->token;
	CK_FUNCTION_LIST *f = token->module->f;
	int err = sg_ledger_try(token, SG_PIN_USER, &change->mark, error);

	if (err != 0)
		return err;
	if (change->pin != NULL) {
		change->call = "C_Login";
		change->rv = sg_login_call(token, session, CKU_USER, change->pin);
		sg_ledger_outcome(token, SG_PIN_USER, &change->mark, change->rv);
		if (change->rv != CKR_OK && change->rv != CKR_PIN_EXPIRED)
			return 0;
	}
	change->call = "C_SetPIN";
	change->rv = f->C_SetPIN(session, text_of(change->pin), len_of(change->pin),
	    text_of(change->fresh), len_of(change->fresh));
	change->is_of_fresh = is_of_form(change->rv);
	if (change->pin == NULL && !change->is_of_fresh)
		sg_ledger_outcome(token, SG_PIN_USER, &change->mark, change->rv);
	f->C_Logout(session);
	return 0;
}

/* Both in the form that ykcs11 wants them in for the PUK. */
static int tagged(const struct change *change, struct sg_secret **puk, struct sg_secret **fresh)
{
	int err = sg_secret_new(puk);

	if (err == 0)
		err = sg_secret_append(*puk, "puk:", 4);
	if (err == 0)
		err = sg_secret_append(*puk, sg_secret_data(change->pin), len_of(change->pin));
	if (err == 0)
		err = sg_secret_new(fresh);
	if (err == 0)
		err = sg_secret_append(*fresh, "pin:", 4);
	if (err == 0)
		err =
		    sg_secret_append(*fresh, sg_secret_data(change->fresh), len_of(change->fresh));
	return err;
}

/* With ykcs11, a C_Login as SO with the PUK would cost a try of the user's PIN. */
static int set_by_puk(struct change *change, CK_SESSION_HANDLE session, struct sg_msg_error *error)
{
	struct sg_token *token = change->wish->token;
	struct sg_secret *puk = NULL, *fresh = NULL;
	int err = tagged(change, &puk, &fresh);

	if (err != 0)
		sg_msg_error_set(error, err, token->uri, "these PINs cannot be held");
	else
		err = sg_ledger_try(token, SG_PIN_SO, &change->mark, error);
	if (err == 0) {
		change->call = "C_SetPIN";
		change->rv = token->module->f->C_SetPIN(
		    session, text_of(puk), len_of(puk), text_of(fresh), len_of(fresh));
		change->is_of_fresh = is_of_form(change->rv);
		if (change->is_of_fresh)
			sg_ledger_untried(token, SG_PIN_SO, &change->mark);
		else
			sg_ledger_outcome(token, SG_PIN_SO, &change->mark, change->rv);
	}
	sg_secret_free(puk);
	sg_secret_free(fresh);
	return err;
}

static int set_by_so(struct change *change, CK_SESSION_HANDLE session, struct sg_msg_error *error)
{
	struct sg_token *token = change->wish->token;
	CK_FUNCTION_LIST *f = token->module->f;
	int err = sg_ledger_try(token, SG_PIN_SO, &change->mark, error);

	if (err != 0)
		return err;
	change->call = "C_Login";
	change->rv = sg_login_call(token, session, CKU_SO, change->pin);
	sg_ledger_outcome(token, SG_PIN_SO, &change->mark, change->rv);
	if (change->rv != CKR_OK)
		return 0;
	change->call = "C_InitPIN";
	change->rv = f->C_InitPIN(session, text_of(change->fresh), len_of(change->fresh));
	change->is_of_fresh = is_of_form(change->rv);
	f->C_Logout(session);
	return 0;
}

static int set_in_session(struct change *change, struct sg_msg_error *error)
{
	struct sg_token *token = change->wish->token;
	CK_SESSION_HANDLE session = CK_INVALID_HANDLE;
	int err;

	pthread_mutex_lock(&token->lock);
	change->rv = sg_session_open(token, &session);
	pthread_mutex_unlock(&token->lock);
	change->call = "C_OpenSession";
	if (change->rv != CKR_OK)
		return 0;
	sg_wipe_begin();
	if (change->wish->by == SG_PIN_SO && sg_token_is_of_ykcs11(&token->identity) &&
	    change->pin != NULL)
		err = set_by_puk(change, session, error);
	else if (change->wish->by == SG_PIN_SO)
		err = set_by_so(change, session, error);
	else
		err = set_by_pin(change, session, error);
	token->module->f->C_CloseSession(session);
	sg_wipe_stack();
	sg_wipe_end();
	return err;
}

/* Which tool does it where the module cannot. */
static const char *tool_for(const struct sg_token *token, uint32_t by)
{
	const CK_TOKEN_INFO *info = &token->identity;
	static const struct {
		const char *part; /* of the maker's name, or of the model's */
		const char *tools[2];
	} table[] = {
		{ "Yubi",
		    { "ykman piv access change-pin, or yubico-piv-tool -a change-pin",
			"ykman piv access unblock-pin, or yubico-piv-tool -a unblock-pin" } },
		{ "piv",
		    { "pkcs15-tool --change-pin",
			"pkcs15-tool --unblock-pin, or ykman piv access unblock-pin" } },
		{ "PIV",
		    { "pkcs15-tool --change-pin",
			"pkcs15-tool --unblock-pin, or ykman piv access unblock-pin" } },
		{ "PKCS#15", { "pkcs15-tool --change-pin", "pkcs15-tool --unblock-pin" } },
		{ "OpenSC", { "pkcs15-tool --change-pin", "pkcs15-tool --unblock-pin" } },
		{ "TPM", { "tpm2_ptool changepin --user user", "tpm2_ptool initpin" } },
	};
	size_t i;

	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		const char *part = table[i].part;

		if (memmem(
			info->manufacturerID, sizeof(info->manufacturerID), part, strlen(part)) ||
		    memmem(info->model, sizeof(info->model), part, strlen(part)))
			return table[i].tools[by == SG_PIN_SO];
	}
	return "the token's own tool";
}

/* OpenSC asks a card for an SO PIN that it does not have, and says GENERAL_ERROR. */
static int is_beyond_module(const struct change *change)
{
	return change->rv == CKR_FUNCTION_NOT_SUPPORTED || change->rv == CKR_USER_TYPE_INVALID ||
	    (change->rv == CKR_GENERAL_ERROR && change->wish->by == SG_PIN_SO &&
		strcmp(change->call, "C_Login") == 0);
}

static int beyond_fail(const struct sg_pin_wish *wish, struct sg_msg_error *error)
{
	sg_msg_error_set(error, SG_ERR_UNSUPPORTED, wish->token->uri,
	    "the module of token '%s' cannot %s: use %s", wish->token->label,
	    wish->by == SG_PIN_SO ? "unblock a PIN" : "change a PIN",
	    tool_for(wish->token, wish->by));
	return SG_ERR_UNSUPPORTED;
}

/* OpenSC knows no PUK of a PIV card: nobody is asked for what would be tried in vain. */
static int is_known_beyond(const struct sg_pin_wish *wish)
{
	static const char maker[] = "piv_II ";

	return wish->by == SG_PIN_SO &&
	    memcmp(wish->token->identity.manufacturerID, maker, sizeof(maker) - 1) == 0;
}

static int change_fail(const struct change *change, struct sg_msg_error *error)
{
	const struct sg_pin_wish *wish = change->wish;
	const struct sg_token *token = wish->token;
	int err = sg_ckr_code(change->rv);

	if (change->is_of_fresh) {
		sg_msg_error_set(error, SG_ERR_ARG, token->uri,
		    "token '%s' does not take the new PIN: it wants another length or other "
		    "characters (%s)",
		    token->label, sg_ckr_name(change->rv));
		return SG_ERR_ARG;
	}
	if (err == SG_ERR_PIN_WRONG)
		return sg_pin_wrong(wish, change->rv, error);
	if (is_beyond_module(change)) {
		sg_log(SG_LOG_WARN, "%s on token '%s': %s", change->call, token->label,
		    sg_ckr_name(change->rv));
		return beyond_fail(wish, error);
	}
	err = sg_ckr_fail(error, change->rv, change->call, token->label);
	if (err == SG_ERR_PIN_LOCKED)
		error->tries_left = 0;
	return err;
}

/* By what the token tells of the lengths of its PINs, before anything is tried. */
static int fresh_check(const struct change *change, struct sg_msg_error *error)
{
	const struct sg_token *token = change->wish->token;
	CK_ULONG len = len_of(change->fresh), min = token->identity.ulMinPinLen,
		 max = token->identity.ulMaxPinLen;

	/* Who asks for another one means another one: the old PIN counts as wrong afterwards. */
	if (change->wish->by == SG_PIN_USER && len == len_of(change->pin) &&
	    CRYPTO_memcmp(sg_secret_data(change->pin), sg_secret_data(change->fresh), len) == 0) {
		sg_msg_error_set(error, SG_ERR_ARG, token->uri,
		    "the new PIN for token '%s' is the old one: nothing was tried", token->label);
		return SG_ERR_ARG;
	}
	if (len >= min && (max == 0 || max < min || len <= max))
		return 0;
	if (max == 0 || max < min)
		sg_msg_error_set(error, SG_ERR_ARG, token->uri,
		    "the new PIN is too short for token '%s', which wants %lu characters or more: "
		    "nothing was tried",
		    token->label, min);
	else
		sg_msg_error_set(error, SG_ERR_ARG, token->uri,
		    "the new PIN is too %s for token '%s', which wants %lu to %lu characters: "
		    "nothing was tried",
		    len < min ? "short" : "long", token->label, min, max);
	return SG_ERR_ARG;
}

static int pins_get(struct change *change, CK_FLAGS *flags, struct sg_msg_error *error)
{
	struct sg_pin_wish *wish = change->wish;
	int err;

	err = sg_pin_check(wish, flags, error);
	if (err != 0 || (*flags & CKF_PROTECTED_AUTHENTICATION_PATH))
		return err;
	err = sg_pin_new(&change->pin, error);
	if (err == 0)
		err = sg_pin_new(&change->fresh, error);
	if (err == 0) {
		unsigned depth = sg_watch_asked(wish->token);

		err =
		    sg_pin_get_two(wish, *flags, change->pin, &change->mark, change->fresh, error);
		sg_watch_answered(wish->token, depth);
	}
	if (err == 0)
		err = fresh_check(change, error);
	/* Typing takes its time. */
	if (err == 0)
		err = sg_pin_check_again(wish, flags, error);
	return err;
}

int sg_pin_set(struct sg_module *module, const struct sg_msg_pin_set *request, int fd,
    struct sg_msg_error *error)
{
	struct sg_pin_wish wish = { .caller = &request->caller,
		.by = request->by,
		.source = request->source,
		.fd = fd,
		.options = request->options,
		.option_count = request->option_count,
		.ledger = &request->ledger };
	struct change change = { .wish = &wish };
	CK_FLAGS flags;
	int err;

	if (request->by != SG_PIN_USER && request->by != SG_PIN_SO) {
		sg_msg_error_set(error, SG_ERR_ARG, NULL, "there is no such PIN");
		return SG_ERR_ARG;
	}
	err = sg_token_find(module, request->token, &wish.token, error);
	if (err != 0)
		return err;
	sg_gate_lock(&wish.token->login_lock);
	err = is_known_beyond(&wish) ? beyond_fail(&wish, error) : pins_get(&change, &flags, error);
	if (err == 0) {
		sg_login_end(wish.token);
		err = set_in_session(&change, error);
		if (err == 0 && change.rv != CKR_OK)
			err = change_fail(&change, error);
	}
	pthread_mutex_unlock(&wish.token->login_lock);
	sg_pin_wish_end(&wish);
	sg_secret_free(change.pin);
	sg_secret_free(change.fresh);
	return err;
}
