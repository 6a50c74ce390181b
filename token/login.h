/*
 * Login and logout. A PIN is tried once, only on the token it was given for.
 *
 * A PIN that the token took is held while the token is unlocked (held.h): for keys that want it for
 * each signature, and for logins that are lost without anybody's wish.
 */
#ifndef SG_TOKEN_LOGIN_H
#define SG_TOKEN_LOGIN_H

#include "token.h"

/*
 * Logs in with the PIN from the descriptor (not closed; -1: none was given, SG_ERR_PIN_NEEDED).
 * A token that is unlocked already, or that takes the PIN that is held, is 0, and nothing is read.
 * What sg_pin_get() and sg_ledger_try() say, SG_ERR_PIN_WRONG with the tries that are left,
 * SG_ERR_PIN_LOCKED, SG_ERR_DENIED when it may be the last try and no person is there to decide.
 */
SG_MUST_USE int sg_login(struct sg_module *module, const struct sg_msg_token_login *request, int fd,
    struct sg_msg_error *error);

/* Wipes the PIN, logs out, forgets sessions and handles. A locked token is 0, and so is one that
 * was seen before and is away. */
SG_MUST_USE int sg_logout(
    struct sg_module *module, const struct sg_msg_token_ref *request, struct sg_msg_error *error);

/* Closes the sessions of the token, or of all when none is named; those that are at work, when they
 * are done. A PIN that is held stays, and makes the next call log in again. */
SG_MUST_USE int sg_release(
    struct sg_module *module, const struct sg_msg_token_ref *request, struct sg_msg_error *error);

/* Logs out, and wipes the PIN. */
CK_RV sg_login_end(struct sg_token *token);

/*
 * On a token that is locked: logs in with the PIN that is held, if any. Gives whether it was tried.
 * A PIN that is refused, or could lock the token, is wiped; nothing else costs it.
 */
int sg_login_again(struct sg_token *token);

/*
 * Logs in for the one operation that is prepared in the session (CKA_ALWAYS_AUTHENTICATE).
 * secret_lock is held. It is a try like any other, and written down first: CKR_FUNCTION_CANCELED
 * and the error filled when that cannot be done; CKR_DEVICE_REMOVED, and no error, when the card is
 * not the one that was found any more. A PIN that is refused here is wiped, and the token is locked.
 */
CK_RV sg_login_context(
    struct sg_token *token, CK_SESSION_HANDLE session, struct sg_msg_error *error);

/* Before an operation is prepared: CKR_OK, CKR_FUNCTION_CANCELED when there is no PIN to try or
 * only one try left, in which cases the token is locked, or another reason. secret_lock is held. */
CK_RV sg_login_context_check(struct sg_token *token);

/* C_Login as it should have been declared: it does not change the PIN. NULL: by a PIN pad. */
CK_RV sg_login_call(struct sg_token *token, CK_SESSION_HANDLE session, CK_USER_TYPE user,
    const struct sg_secret *pin);

#endif
