#include "ckr.h"

#include <ctype.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "log.h"

/* What each says to a person: what is the matter, and behind a colon what to do, where that is more
 * than the code's own advice. The token is named before it. */
#define ODD	"the module did not expect this: report it with the module's name"
#define BROKEN	"the device failed: try again, and put the token in anew if that does not help"
#define LOST	"the session was lost: try again"
#define GONE	"it was taken out: put it back in"
#define REFUSED "it refuses this mechanism for this key: choose another key or token"
#define TEMPLATE                                                                                   \
	"it refuses objects with these attributes: make the key with the token's own tool, and "   \
	"adopt it with `signet key use`"
#define NOT_THERE "the key is not there any more: look with `signet key list`"
#define PIN_FORM  "it takes no PIN of this length or with these characters"

#define NO_READERS                                                                                 \
	"the module cannot list its tokens, which is so for cards when pcscd does not run or may " \
	"not be used: see what `signet doctor` finds"
#define NO_MEMORY                                                                                  \
	"it has no memory left for this operation: try again, and put it in anew if that does "    \
	"not help"

#define ROW(rv, code, cure, text)                                                                  \
	{                                                                                          \
		rv, #rv, code, SG_CURE_##cure, text                                                \
	}

static const struct row {
	CK_RV rv;
	const char *name;
	int code;
	enum sg_ckr_cure cure;
	const char *text;
} rows[] = {
	ROW(CKR_OK, SG_OK, NONE, "nothing failed"),
	ROW(CKR_CANCEL, SG_ERR_PIN_CANCELLED, NONE, "it was cancelled: try again"),
	ROW(CKR_HOST_MEMORY, SG_ERR_NOMEM, NONE, "this computer has no memory left"),
	ROW(CKR_SLOT_ID_INVALID, SG_ERR_TOKEN_ABSENT, TOKEN, GONE),
	ROW(CKR_GENERAL_ERROR, SG_ERR_TOKEN_FAILED, SESSION, BROKEN),
	ROW(CKR_FUNCTION_FAILED, SG_ERR_TOKEN_FAILED, NONE, BROKEN),
	ROW(CKR_ARGUMENTS_BAD, SG_ERR_TOKEN_FAILED, NONE, ODD),
	ROW(CKR_NO_EVENT, SG_ERR_TOKEN_FAILED, NONE, ODD),
	ROW(CKR_NEED_TO_CREATE_THREADS, SG_ERR_MODULE, NONE, ODD),
	ROW(CKR_CANT_LOCK, SG_ERR_MODULE, NONE, ODD),
	ROW(CKR_ATTRIBUTE_READ_ONLY, SG_ERR_TOKEN_FAILED, NONE, TEMPLATE),
	ROW(CKR_ATTRIBUTE_SENSITIVE, SG_ERR_TOKEN_FAILED, NONE, ODD),
	ROW(CKR_ATTRIBUTE_TYPE_INVALID, SG_ERR_TOKEN_FAILED, NONE, TEMPLATE),
	ROW(CKR_ATTRIBUTE_VALUE_INVALID, SG_ERR_TOKEN_FAILED, NONE, TEMPLATE),
	ROW(CKR_ACTION_PROHIBITED, SG_ERR_DENIED, NONE,
	    "it forbids this: its owner decides with the token's own tool"),
	ROW(CKR_DATA_INVALID, SG_ERR_TOKEN_FAILED, NONE, REFUSED),
	ROW(CKR_DATA_LEN_RANGE, SG_ERR_TOKEN_FAILED, NONE, REFUSED),
	ROW(CKR_DEVICE_ERROR, SG_ERR_TOKEN_FAILED, SESSION, BROKEN),
	ROW(CKR_DEVICE_MEMORY, SG_ERR_TOKEN_FULL, NONE,
	    "it has no room left: remove objects that nobody needs with the token's own tool"),
	ROW(CKR_DEVICE_REMOVED, SG_ERR_TOKEN_ABSENT, TOKEN, GONE),
	ROW(CKR_ENCRYPTED_DATA_INVALID, SG_ERR_TOKEN_FAILED, NONE, ODD),
	ROW(CKR_ENCRYPTED_DATA_LEN_RANGE, SG_ERR_TOKEN_FAILED, NONE, ODD),
	ROW(CKR_FUNCTION_CANCELED, SG_ERR_PIN_CANCELLED, NONE, "it was cancelled: try again"),
	ROW(CKR_FUNCTION_NOT_PARALLEL, SG_ERR_TOKEN_FAILED, NONE, ODD),
	ROW(CKR_FUNCTION_NOT_SUPPORTED, SG_ERR_UNSUPPORTED, NONE,
	    "its module cannot do this: use the token's own tool, or another module for it"),
	ROW(CKR_FUNCTION_REJECTED, SG_ERR_DENIED, NONE, "it was rejected on the token itself"),
	ROW(CKR_KEY_HANDLE_INVALID, SG_ERR_KEY_ABSENT, OBJECT, NOT_THERE),
	ROW(CKR_KEY_SIZE_RANGE, SG_ERR_MECHANISM, NONE,
	    "it does not work with keys of this size: choose another size"),
	ROW(CKR_KEY_TYPE_INCONSISTENT, SG_ERR_MECHANISM, NONE, REFUSED),
	ROW(CKR_KEY_NOT_NEEDED, SG_ERR_TOKEN_FAILED, NONE, ODD),
	/* No module gives it for a signature: it is how key.c says that another key stands
	 * there. */
	ROW(CKR_KEY_CHANGED, SG_ERR_KEY_CHANGED, NONE, "another key stands under this name now"),
	ROW(CKR_KEY_NEEDED, SG_ERR_TOKEN_FAILED, NONE, ODD),
	ROW(CKR_KEY_INDIGESTIBLE, SG_ERR_TOKEN_FAILED, NONE, ODD),
	ROW(CKR_KEY_FUNCTION_NOT_PERMITTED, SG_ERR_MECHANISM, NONE,
	    "the key may not do this: choose a key that was made for signing"),
	ROW(CKR_KEY_NOT_WRAPPABLE, SG_ERR_TOKEN_FAILED, NONE, ODD),
	ROW(CKR_KEY_UNEXTRACTABLE, SG_ERR_TOKEN_FAILED, NONE, ODD),
	ROW(CKR_MECHANISM_INVALID, SG_ERR_MECHANISM, NONE, REFUSED),
	ROW(CKR_MECHANISM_PARAM_INVALID, SG_ERR_MECHANISM, NONE, REFUSED),
	ROW(CKR_OBJECT_HANDLE_INVALID, SG_ERR_KEY_ABSENT, OBJECT, NOT_THERE),
	ROW(CKR_OPERATION_ACTIVE, SG_ERR_TOKEN_FAILED, SESSION,
	    "it is busy with another operation: try again"),
	ROW(CKR_OPERATION_NOT_INITIALIZED, SG_ERR_TOKEN_FAILED, SESSION, LOST),
	ROW(CKR_PIN_EXPIRED, SG_ERR_PIN_LOCKED, NONE,
	    "its PIN has expired: set a new one with `signet token pin change`"),
	ROW(CKR_PIN_INCORRECT, SG_ERR_PIN_WRONG, NONE, "it does not take this PIN"),
	ROW(CKR_PIN_INVALID, SG_ERR_PIN_WRONG, NONE, PIN_FORM),
	ROW(CKR_PIN_LEN_RANGE, SG_ERR_PIN_WRONG, NONE, PIN_FORM),
	ROW(CKR_PIN_LOCKED, SG_ERR_PIN_LOCKED, NONE,
	    "its PIN is locked: set a new one with the PUK or SO PIN (`signet token pin unblock`); "
	    "a TPM takes PINs again after a while, or after `tpm2_dictionarylockout "
	    "--clear-lockout`"),
	ROW(CKR_PIN_TOO_WEAK, SG_ERR_ARG, NONE, "it finds the new PIN too weak: choose another"),
	ROW(CKR_PUBLIC_KEY_INVALID, SG_ERR_TOKEN_FAILED, NONE, TEMPLATE),
	ROW(CKR_SESSION_CLOSED, SG_ERR_TOKEN_FAILED, SESSION, LOST),
	ROW(CKR_SESSION_COUNT, SG_ERR_TOKEN_FAILED, NONE,
	    "all of its sessions are in use: end another program that uses it"),
	ROW(CKR_SESSION_HANDLE_INVALID, SG_ERR_TOKEN_FAILED, SESSION, LOST),
	ROW(CKR_SESSION_PARALLEL_NOT_SUPPORTED, SG_ERR_TOKEN_FAILED, NONE, ODD),
	ROW(CKR_SESSION_READ_ONLY, SG_ERR_TOKEN_READ_ONLY, NONE,
	    "it can only be read: use another token, or take the write protection off"),
	ROW(CKR_SESSION_EXISTS, SG_ERR_TOKEN_FAILED, NONE,
	    "another program works with it: end that program first"),
	ROW(CKR_SESSION_READ_ONLY_EXISTS, SG_ERR_TOKEN_FAILED, NONE,
	    "another program works with it: end that program first"),
	ROW(CKR_SESSION_READ_WRITE_SO_EXISTS, SG_ERR_TOKEN_FAILED, NONE,
	    "its security officer is logged in: log out in the other program first"),
	ROW(CKR_SIGNATURE_INVALID, SG_ERR_TOKEN_FAILED, NONE, ODD),
	ROW(CKR_SIGNATURE_LEN_RANGE, SG_ERR_TOKEN_FAILED, NONE, ODD),
	ROW(CKR_TEMPLATE_INCOMPLETE, SG_ERR_TOKEN_FAILED, NONE, TEMPLATE),
	ROW(CKR_TEMPLATE_INCONSISTENT, SG_ERR_TOKEN_FAILED, NONE, TEMPLATE),
	ROW(CKR_TOKEN_NOT_PRESENT, SG_ERR_TOKEN_ABSENT, TOKEN, GONE),
	ROW(CKR_TOKEN_NOT_RECOGNIZED, SG_ERR_TOKEN_ABSENT, TOKEN,
	    "the reader holds something that this module does not know: configure the module that "
	    "belongs to it"),
	ROW(CKR_TOKEN_WRITE_PROTECTED, SG_ERR_TOKEN_READ_ONLY, NONE,
	    "it is write-protected: use another token, or take the protection off with the token's "
	    "own tool"),
	ROW(CKR_UNWRAPPING_KEY_HANDLE_INVALID, SG_ERR_TOKEN_FAILED, NONE, ODD),
	ROW(CKR_UNWRAPPING_KEY_SIZE_RANGE, SG_ERR_TOKEN_FAILED, NONE, ODD),
	ROW(CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT, SG_ERR_TOKEN_FAILED, NONE, ODD),
	ROW(CKR_USER_ALREADY_LOGGED_IN, SG_ERR_TOKEN_FAILED, NONE,
	    "it is unlocked by somebody else: log out there first"),
	ROW(CKR_USER_ANOTHER_ALREADY_LOGGED_IN, SG_ERR_TOKEN_FAILED, NONE,
	    "it is unlocked by somebody else: log out there first"),
	ROW(CKR_USER_NOT_LOGGED_IN, SG_ERR_PIN_NEEDED, LOGIN, "it is locked"),
	ROW(CKR_USER_PIN_NOT_INITIALIZED, SG_ERR_TOKEN_FAILED, NONE,
	    "it has no user PIN yet: set one with `signet token pin unblock` or its own tool"),
	ROW(CKR_USER_TYPE_INVALID, SG_ERR_UNSUPPORTED, NONE, "it knows no such user"),
	ROW(CKR_USER_TOO_MANY_TYPES, SG_ERR_TOKEN_FAILED, NONE,
	    "other users are logged in: log out there first"),
	ROW(CKR_WRAPPED_KEY_INVALID, SG_ERR_TOKEN_FAILED, NONE, ODD),
	ROW(CKR_WRAPPED_KEY_LEN_RANGE, SG_ERR_TOKEN_FAILED, NONE, ODD),
	ROW(CKR_WRAPPING_KEY_HANDLE_INVALID, SG_ERR_TOKEN_FAILED, NONE, ODD),
	ROW(CKR_WRAPPING_KEY_SIZE_RANGE, SG_ERR_TOKEN_FAILED, NONE, ODD),
	ROW(CKR_WRAPPING_KEY_TYPE_INCONSISTENT, SG_ERR_TOKEN_FAILED, NONE, ODD),
	ROW(CKR_RANDOM_SEED_NOT_SUPPORTED, SG_ERR_TOKEN_FAILED, NONE, ODD),
	ROW(CKR_RANDOM_NO_RNG, SG_ERR_TOKEN_FAILED, NONE, BROKEN),
	ROW(CKR_DOMAIN_PARAMS_INVALID, SG_ERR_MECHANISM, NONE,
	    "it does not know this curve: choose another algorithm"),
	ROW(CKR_CURVE_NOT_SUPPORTED, SG_ERR_MECHANISM, NONE,
	    "it does not know this curve: choose another algorithm"),
	ROW(CKR_BUFFER_TOO_SMALL, SG_ERR_LIMIT, NONE,
	    "it has more, or larger, things than are taken from it"),
	ROW(CKR_SAVED_STATE_INVALID, SG_ERR_TOKEN_FAILED, NONE, ODD),
	ROW(CKR_INFORMATION_SENSITIVE, SG_ERR_TOKEN_FAILED, NONE, ODD),
	ROW(CKR_STATE_UNSAVEABLE, SG_ERR_TOKEN_FAILED, NONE, ODD),
	ROW(CKR_CRYPTOKI_NOT_INITIALIZED, SG_ERR_MODULE, NONE,
	    "its module has stopped: try again, and look into the log if that does not help"),
	ROW(CKR_CRYPTOKI_ALREADY_INITIALIZED, SG_ERR_MODULE, NONE, ODD),
	ROW(CKR_MUTEX_BAD, SG_ERR_MODULE, NONE, ODD),
	ROW(CKR_MUTEX_NOT_LOCKED, SG_ERR_MODULE, NONE, ODD),
	ROW(CKR_NEW_PIN_MODE, SG_ERR_PIN_LOCKED, NONE,
	    "it wants a new PIN: set one with the token's own tool"),
	ROW(CKR_NEXT_OTP, SG_ERR_UNSUPPORTED, NONE, "it wants a one-time password"),
	ROW(CKR_EXCEEDED_MAX_ITERATIONS, SG_ERR_TOKEN_FAILED, NONE, BROKEN),
	ROW(CKR_FIPS_SELF_TEST_FAILED, SG_ERR_TOKEN_FAILED, NONE, BROKEN),
	ROW(CKR_LIBRARY_LOAD_FAILED, SG_ERR_MODULE, NONE,
	    "its module lacks a library: install the module's package anew"),
};

static const struct row *row_of(CK_RV rv)
{
	static const struct row unknown = { 0, "CKR_?", SG_ERR_TOKEN_FAILED, SG_CURE_NONE,
		"the module gave a value of its own: look into the module's manual" };
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (rows[i].rv == rv)
			return &rows[i];
	}
	return &unknown;
}

const char *sg_ckr_name(CK_RV rv)
{
	return row_of(rv)->name;
}

int sg_ckr_code(CK_RV rv)
{
	return row_of(rv)->code;
}

enum sg_ckr_cure sg_ckr_cure(CK_RV rv)
{
	return row_of(rv)->cure;
}

/* What is before the colon is the message's; what is behind it is to be done. */
static void advice_split(const char *text, int *message_len, char *advice, size_t room)
{
	const char *colon = strstr(text, ": ");

	*message_len = (int)(colon != NULL ? (size_t)(colon - text) : strlen(text));
	advice[0] = '\0';
	if (colon == NULL)
		return;
	snprintf(advice, room, "%s.", colon + 2);
	advice[0] = (char)toupper((unsigned char)advice[0]);
}

int sg_ckr_fail(struct sg_msg_error *error, CK_RV rv, const char *call, const char *label)
{
	const struct row *row = row_of(rv);
	const char *text = row->text;
	int err = row->code;
	char advice[512];
	int len;

	if (err == 0)
		err = SG_ERR_INTERNAL; /* CKR_OK is no failure to report */
	/* Without a token to blame: modules for cards say so when pcscd is not there. */
	if (label == NULL && row->code == SG_ERR_TOKEN_FAILED)
		text = NO_READERS;
	if (err == SG_ERR_TOKEN_FULL && strncmp(call, "C_Sign", strlen("C_Sign")) == 0) {
		err = SG_ERR_TOKEN_FAILED; /* nothing was to be stored */
		text = NO_MEMORY;
	}
	sg_log(SG_LOG_WARN, "%s on token '%s': %s (0x%lx)", call, label != NULL ? label : "",
	    row->name, rv);
	advice_split(text, &len, advice, sizeof(advice));
	if (label != NULL)
		sg_msg_error_set(error, err, label, "token '%s': %.*s (%s gave %s, 0x%lx)", label,
		    len, text, call, row->name, rv);
	else
		sg_msg_error_set(
		    error, err, NULL, "%.*s (%s gave %s, 0x%lx)", len, text, call, row->name, rv);
	if (advice[0] != '\0')
		error->condition = strdup(advice);
	return err;
}
