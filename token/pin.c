#include "pin.h"

#include <stdlib.h>
#include <string.h>

#include "ckr.h"
#include "ledger.h"
#include "log.h"
#include "reader.h"
#include "session.h"
#include "tries.h"

void sg_pin_wish_end(struct sg_pin_wish *wish)
{
	sg_pinentry_free(wish->pinentry);
	wish->pinentry = NULL;
}

static const char *name_of(const struct sg_pin_wish *wish)
{
	return wish->by == SG_PIN_SO ? "PUK or SO PIN" : "PIN";
}

int sg_pin_new(struct sg_secret **pin, struct sg_msg_error *error)
{
	int err = sg_secret_new(pin);

	if (err == SG_ERR_NOMEM)
		sg_msg_error_set(error, err, NULL,
		    "no memory can be locked for the PIN: raise the limit of locked memory (ulimit "
		    "-l, or LimitMEMLOCK= of the service)");
	return err;
}

/* As the token's flags and the ledger say. */
static int flags_check(const struct sg_pin_wish *wish, CK_RV rv, const CK_TOKEN_INFO *info,
    CK_FLAGS *flags, struct sg_msg_error *error)
{
	const struct sg_pin_ledger *ledger = wish->ledger;
	struct sg_token *token = wish->token;

	*flags = 0;
	if (rv != CKR_OK)
		return sg_ckr_fail(error, rv, "C_GetTokenInfo", token->label);
	*flags = sg_ledger_flags(info->flags, wish->by);
	if (*flags & CKF_USER_PIN_LOCKED) {
		sg_msg_error_set(error, SG_ERR_PIN_LOCKED, token->uri,
		    "the %s of token '%s' is locked", name_of(wish), token->label);
		error->tries_left = 0;
		return SG_ERR_PIN_LOCKED;
	}
	/* A person is told, and decides. */
	if (wish->source == SG_PIN_PINENTRY ||
	    !sg_ledger_is_last(*flags, ledger->tries, ledger->tries_max))
		return 0;
	sg_msg_error_set(error, SG_ERR_DENIED, token->uri,
	    "token '%s' has one try left%s: only a person at a pinentry decides to make it",
	    token->label, *flags & CKF_USER_PIN_FINAL_TRY ? "" : ", as counted");
	error->tries_left = sg_ledger_left(*flags, ledger->tries, ledger->tries_max);
	return SG_ERR_DENIED;
}

/* How often cards came and went in its reader; 0 for what is in none, or when nobody can tell. */
static unsigned long changes_of(struct sg_token *token)
{
	unsigned long changes = 0;
	char *reader = sg_token_reader(token);

	(void)sg_reader_state(reader, &changes);
	free(reader);
	return changes;
}

int sg_pin_check(struct sg_pin_wish *wish, CK_FLAGS *flags, struct sg_msg_error *error)
{
	CK_TOKEN_INFO info = { 0 };
	CK_RV rv;

	wish->changes = changes_of(wish->token);
	rv = sg_tries_read(wish->token, &info);
	return flags_check(wish, rv, &info, flags, error);
}

/*
 * ykcs11 answers for a card that was pulled, or for the one in its place, as if nothing had
 * happened, or with DEVICE_ERROR: then it is asked from scratch what there is.
 */
int sg_pin_check_again(struct sg_pin_wish *wish, CK_FLAGS *flags, struct sg_msg_error *error)
{
	struct sg_token *token = wish->token;
	unsigned long changes = changes_of(token);
	CK_TOKEN_INFO info = { 0 };
	CK_RV rv = CKR_DEVICE_ERROR;

	if (changes == wish->changes)
		rv = sg_tries_read(token, &info);
	if (rv == CKR_DEVICE_ERROR) {
		wish->changes = changes;
		rv = sg_session_from_scratch(token) ? sg_tries_read(token, &info)
						    : CKR_TOKEN_NOT_PRESENT;
	}
	if (sg_ckr_code(rv) != SG_ERR_TOKEN_ABSENT)
		return flags_check(wish, rv, &info, flags, error);
	sg_msg_error_set(error, SG_ERR_TOKEN_ABSENT, token->uri,
	    "token '%s' was taken out while its %s was entered: nothing was tried, on it or on "
	    "another "
	    "in its place",
	    token->label, name_of(wish));
	return SG_ERR_TOKEN_ABSENT;
}

/* ---- a person ---- */

static const char *tries_text(const struct sg_pin_wish *wish, CK_FLAGS flags)
{
	if (sg_ledger_is_last(flags, wish->ledger->tries, wish->ledger->tries_max))
		return flags & CKF_USER_PIN_FINAL_TRY
		    ? "This is the LAST try: a wrong one locks the token."
		    : "This may be the LAST try, as counted here: a wrong one locks the token.";
	if ((flags & CKF_USER_PIN_COUNT_LOW) || wish->ledger->tries > 0)
		return "A try before this one did not succeed.";
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
    const struct sg_pin_wish *wish, const char *what, const char *notice, const char *warning)
{
	const struct sg_caller *caller = wish->caller;
	struct sg_buf text = { 0 };

	if (*notice)
		sg_buf_printf(&text, "%s\n", notice);
	sg_buf_printf(&text, "Please enter %s of token '%s' (serial number %s).", what,
	    wish->token->label, wish->token->serial);
	sg_buf_put_str(&text, "\nAsked by ");
	put_clean(&text, caller->exe != NULL ? caller->exe : "a program");
	sg_buf_printf(
	    &text, " (process %u)%s", caller->pid, caller->purpose != NULL ? " for " : "");
	put_clean(&text, caller->purpose != NULL ? caller->purpose : "");
	sg_buf_put_str(&text, ".");
	if (*warning)
		sg_buf_printf(&text, "\n%s", warning);
	return sg_buf_steal(&text, NULL);
}

static int question(struct sg_pin_wish *wish, const char *what, const char *prompt,
    const char *notice, const char *warning, struct sg_secret *pin, struct sg_msg_error *error)
{
	char *description;
	int err = 0;

	if (wish->pinentry == NULL)
		err = sg_pinentry_new(
		    &wish->pinentry, wish->fd, wish->options, wish->option_count, error);
	if (err != 0)
		return err;
	description = description_new(wish, what, notice, warning);
	if (description == NULL)
		return SG_ERR_NOMEM;
	err = sg_pinentry_ask(wish->pinentry, description, prompt, pin, error);
	free(description);
	return err;
}

/* Whoever enters a PIN that was refused twice in a row means it: it may have been set anew. */
static int person_get(struct sg_pin_wish *wish, CK_FLAGS flags, struct sg_secret *pin,
    struct sg_pin_mark *mark, struct sg_msg_error *error)
{
	static const char refused[] = "The token refused this one before. If it is right all the "
				      "same, enter it again.";
	int is_so = wish->by == SG_PIN_SO, i, err;
	struct sg_pin_mark last = { 0 };

	for (i = 0; i < SG_PIN_QUESTIONS; i++) {
		sg_secret_clear(pin);
		err = question(wish, is_so ? "the PUK or SO PIN" : "the PIN",
		    is_so ? "PUK or SO PIN:" : "PIN:", i > 0 ? refused : "",
		    tries_text(wish, flags), pin, error);
		if (err == 0)
			err = sg_ledger_mark(wish->ledger, pin, mark, error);
		if (err != 0)
			return err;
		if (sg_ledger_known(wish->ledger, mark, SG_TRIES_UNKNOWN) != SG_PIN_IS_WRONG ||
		    (last.len > 0 && memcmp(last.hash, mark->hash, sizeof(last.hash)) == 0))
			return 0;
		last = *mark;
	}
	return SG_ERR_PIN_WRONG;
}

/* ---- either ---- */

static int known_fail(const struct sg_pin_wish *wish, CK_FLAGS flags, enum sg_pin_known known,
    struct sg_msg_error *error)
{
	if (known == SG_PIN_IS_UNSURE) {
		sg_msg_error_set(error, SG_ERR_DENIED, wish->token->uri,
		    "this %s was tried on token '%s' before, and no answer came that says whether "
		    "it "
		    "is right: only a person at a pinentry tries it again",
		    name_of(wish), wish->token->label);
		error->tries_left =
		    sg_ledger_left(flags, wish->ledger->tries, wish->ledger->tries_max);
		return SG_ERR_DENIED;
	}
	sg_msg_error_set(error, SG_ERR_PIN_WRONG, wish->token->uri,
	    "token '%s' refused this %s before: it is not tried again", wish->token->label,
	    name_of(wish));
	error->tries_left = sg_ledger_left(flags, wish->ledger->tries, wish->ledger->tries_max);
	return SG_ERR_PIN_WRONG;
}

/* Of a PIN that no person has entered just now. */
static int known_check(const struct sg_pin_wish *wish, CK_FLAGS flags,
    const struct sg_pin_mark *mark, struct sg_msg_error *error)
{
	uint32_t left = wish->by == SG_PIN_USER ? sg_tries_left(wish->token) : SG_TRIES_UNKNOWN;
	enum sg_pin_known known = sg_ledger_known(wish->ledger, mark, left);

	return known == SG_PIN_IS_NEW ? 0 : known_fail(wish, flags, known, error);
}

static int source_check(const struct sg_pin_wish *wish, struct sg_msg_error *error)
{
	if (wish->fd < 0) {
		sg_msg_error_set(error, SG_ERR_PIN_NEEDED, wish->token->uri,
		    wish->by == SG_PIN_SO ? "the PUK or SO PIN of token '%s' is needed"
					  : "token '%s' is locked",
		    wish->token->label);
		return SG_ERR_PIN_NEEDED;
	}
	if (wish->source != SG_PIN_FD && wish->source != SG_PIN_PINENTRY) {
		sg_msg_error_set(error, SG_ERR_ARG, NULL, "there is no such source of a PIN");
		return SG_ERR_ARG;
	}
	return 0;
}

static int descriptor_read(
    const struct sg_pin_wish *wish, struct sg_secret *pin, struct sg_msg_error *error)
{
	int err = sg_secret_read_fd(pin, wish->fd, SG_PIN_READ_MS);

	if (err != 0)
		sg_msg_error_set(error, err, wish->token->uri,
		    "the PIN cannot be read from its descriptor: %s", sg_err_text(err));
	return err;
}

/* No PIN has several lines: one that has is not worth a try. */
static int line_check(
    const struct sg_pin_wish *wish, const struct sg_secret *pin, struct sg_msg_error *error)
{
	if (strchr(sg_secret_data(pin), '\n') == NULL)
		return 0;
	sg_msg_error_set(error, SG_ERR_FORMAT, wish->token->uri,
	    "what is given as the PIN of token '%s' has more than one line: nothing was tried",
	    wish->token->label);
	return SG_ERR_FORMAT;
}

int sg_pin_get(struct sg_pin_wish *wish, CK_FLAGS flags, struct sg_secret *pin,
    struct sg_pin_mark *mark, struct sg_msg_error *error)
{
	int err = source_check(wish, error);

	memset(mark, 0, sizeof(*mark));
	if (err != 0)
		return err;
	if (wish->source == SG_PIN_PINENTRY) {
		err = person_get(wish, flags, pin, mark, error);
		return err == SG_ERR_PIN_WRONG ? known_fail(wish, flags, SG_PIN_IS_WRONG, error)
					       : err;
	}
	err = descriptor_read(wish, pin, error);
	if (err == 0)
		err = line_check(wish, pin, error);
	if (err == 0)
		err = sg_ledger_mark(wish->ledger, pin, mark, error);
	return err == 0 ? known_check(wish, flags, mark, error) : err;
}

/* ---- two ---- */

/* The first line stays, the second goes into fresh. */
static int lines_split(struct sg_secret *pin, struct sg_secret *fresh)
{
	const char *text = sg_secret_data(pin), *end = strchr(text, '\n');
	struct sg_secret *first = NULL;
	size_t len;
	int err;

	if (end == NULL || strchr(end + 1, '\n') != NULL || !end[1])
		return SG_ERR_FORMAT;
	len = (size_t)(end - text);
	if (len > 0 && text[len - 1] == '\r')
		len--;
	if (len == 0)
		return SG_ERR_FORMAT;
	err = sg_secret_new(&first);
	if (err == 0)
		err = sg_secret_append(first, text, len);
	if (err == 0)
		err = sg_secret_append(fresh, end + 1, strlen(end + 1));
	if (err != 0) {
		sg_secret_free(first);
		return err;
	}
	sg_secret_clear(pin);
	err = sg_secret_append(pin, sg_secret_data(first), sg_secret_len(first));
	sg_secret_free(first);
	return err;
}

static int same_text(const struct sg_secret *a, const struct sg_secret *b)
{
	return sg_secret_len(a) == sg_secret_len(b) &&
	    memcmp(sg_secret_data(a), sg_secret_data(b), sg_secret_len(a)) == 0;
}

static int fresh_ask(struct sg_pin_wish *wish, struct sg_secret *fresh, struct sg_msg_error *error)
{
	struct sg_secret *again = NULL;
	int i, err;

	err = sg_pin_new(&again, error);
	for (i = 0; i < SG_PIN_QUESTIONS && err == 0; i++) {
		sg_secret_clear(fresh);
		sg_secret_clear(again);
		err = question(wish, "the NEW PIN",
		    "New PIN:", i > 0 ? "The two were not the same." : "", "", fresh, error);
		if (err == 0)
			err = question(
			    wish, "the new PIN once more", "Repeat:", "", "", again, error);
		if (err == 0 && same_text(fresh, again))
			break;
	}
	sg_secret_free(again);
	if (err == 0 && i == SG_PIN_QUESTIONS) {
		sg_msg_error_set(error, SG_ERR_PIN_CANCELLED, wish->token->uri,
		    "the new PIN was not entered the same twice: nothing was changed");
		err = SG_ERR_PIN_CANCELLED;
	}
	return err;
}

int sg_pin_get_two(struct sg_pin_wish *wish, CK_FLAGS flags, struct sg_secret *pin,
    struct sg_pin_mark *mark, struct sg_secret *fresh, struct sg_msg_error *error)
{
	int err;

	if (wish->source == SG_PIN_PINENTRY || wish->fd < 0) {
		err = sg_pin_get(wish, flags, pin, mark, error);
		return err == 0 ? fresh_ask(wish, fresh, error) : err;
	}
	memset(mark, 0, sizeof(*mark));
	err = source_check(wish, error);
	if (err == 0)
		err = descriptor_read(wish, pin, error);
	if (err != 0)
		return err;
	err = lines_split(pin, fresh);
	if (err == SG_ERR_FORMAT)
		sg_msg_error_set(error, err, wish->token->uri,
		    "two lines are wanted of the descriptor: the %s, and the new PIN",
		    name_of(wish));
	if (err == 0)
		err = sg_ledger_mark(wish->ledger, pin, mark, error);
	return err == 0 ? known_check(wish, flags, mark, error) : err;
}

int sg_pin_wrong(const struct sg_pin_wish *wish, CK_RV rv, struct sg_msg_error *error)
{
	const struct sg_pin_ledger *ledger = wish->ledger;
	struct sg_token *token = wish->token;
	CK_TOKEN_INFO info = { 0 };

	sg_log(SG_LOG_WARN, "token '%s' refused a PIN: %s", token->label, sg_ckr_name(rv));
	sg_msg_error_set(error, SG_ERR_PIN_WRONG, token->uri,
	    "token '%s' does not take this %s (%s)", token->label, name_of(wish), sg_ckr_name(rv));
	if (sg_tries_read(token, &info) != CKR_OK)
		info.flags = 0;
	error->tries_left = sg_ledger_left(
	    sg_ledger_flags(info.flags, wish->by), ledger->tries + 1, ledger->tries_max);
	return SG_ERR_PIN_WRONG;
}
