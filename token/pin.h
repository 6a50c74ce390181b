/*
 * Getting a PIN: from a descriptor, or from a person, who is told what it is for.
 */
#ifndef SG_TOKEN_PIN_H
#define SG_TOKEN_PIN_H

#include "error.h"
#include "msg.h"
#include "pinentry.h"
#include "secret.h"
#include "token.h"

#define SG_PIN_READ_MS	 10000 /* for a PIN's descriptor to reach its end */
#define SG_PIN_QUESTIONS 3     /* that a person is asked for one PIN, at most */

/* Whose PIN is wanted, for whom, and where it comes from. Borrows all of it. */
struct sg_pin_wish {
	struct sg_token *token;
	const struct sg_caller *caller;
	uint32_t by;	 /* enum sg_pin_user */
	uint32_t source; /* enum sg_pin_source */
	int fd;
	char *const *options;
	uint32_t option_count;
	const struct sg_pin_ledger *ledger;
	struct sg_pinentry *pinentry; /* once a person was asked; sg_pin_wish_end() ends it */
	unsigned long changes;	      /* of the token's reader, at sg_pin_check() */
};

/* Ends the pinentry, if there is one; may be called again. */
void sg_pin_wish_end(struct sg_pin_wish *wish);

/*
 * Whether the PIN may be tried now, as the token and the ledger say; *flags are the token's, those
 * of this PIN in the place of the user's. SG_ERR_PIN_LOCKED; SG_ERR_DENIED when it may be the last
 * try and no person decides.
 */
SG_MUST_USE int sg_pin_check(struct sg_pin_wish *wish, CK_FLAGS *flags, struct sg_msg_error *error);

/* Once more right before the try, for typing takes its time: SG_ERR_TOKEN_ABSENT, too, when the
 * token was taken out, or another one is in its place. */
SG_MUST_USE int sg_pin_check_again(
    struct sg_pin_wish *wish, CK_FLAGS *flags, struct sg_msg_error *error);

/* A new empty secret; SG_ERR_NOMEM with the error filled. */
SG_MUST_USE int sg_pin_new(struct sg_secret **pin, struct sg_msg_error *error);

/*
 * Gets the PIN into the empty secret, and its mark. One that the token refused before is not given:
 * SG_ERR_PIN_WRONG, unless a person insists on it. flags: of sg_pin_check(). SG_ERR_PIN_NEEDED
 * without a descriptor, SG_ERR_PIN_CANCELLED, SG_ERR_ARG, SG_ERR_FORMAT, SG_ERR_LIMIT,
 * SG_ERR_TIMEOUT, SG_ERR_DENIED for one whose try had no answer.
 */
SG_MUST_USE int sg_pin_get(struct sg_pin_wish *wish, CK_FLAGS flags, struct sg_secret *pin,
    struct sg_pin_mark *mark, struct sg_msg_error *error);

/* The same for two: the PIN that is known, and the new one that the user shall have. From a
 * descriptor they are two lines, of SG_SECRET_MAX bytes together. Fails as sg_pin_get(). */
SG_MUST_USE int sg_pin_get_two(struct sg_pin_wish *wish, CK_FLAGS flags, struct sg_secret *pin,
    struct sg_pin_mark *mark, struct sg_secret *fresh, struct sg_msg_error *error);

/* The token refused the PIN: fills the error, with the tries that are left after this one, and
 * gives its SG_ERR_PIN_WRONG. */
int sg_pin_wrong(const struct sg_pin_wish *wish, CK_RV rv, struct sg_msg_error *error);

#endif
