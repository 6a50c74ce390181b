/*
 * Login and logout. A PIN is tried once, only on the token it was given for.
 */
#ifndef SG_TOKEN_LOGIN_H
#define SG_TOKEN_LOGIN_H

#include "token.h"

#define SG_PIN_READ_MS 10000 /* for a PIN's descriptor to reach its end */

/*
 * Logs in with the PIN from the descriptor (not closed; -1: none was given, SG_ERR_PIN_NEEDED).
 * A token that is unlocked already is 0, and nothing is read. SG_ERR_PIN_WRONG with the tries
 * that are left, SG_ERR_PIN_LOCKED, SG_ERR_PIN_CANCELLED; SG_ERR_DENIED when it would be the
 * last try and no person is there to decide on it.
 */
SG_MUST_USE int sg_login(struct sg_module *module, const struct sg_msg_token_login *request, int fd,
    struct sg_msg_error *error);

/* Logs out, wipes the PIN, forgets sessions and handles. A locked token is 0. */
SG_MUST_USE int sg_logout(
    struct sg_module *module, const struct sg_msg_token_ref *request, struct sg_msg_error *error);

/* Whether the PIN is held, so that sg_login_again() can help. */
int sg_login_is_held(struct sg_token *token);

/* After sessions were lost: logs in with the PIN that is held, if any, at most once. */
void sg_login_again(struct sg_token *token);

/*
 * Logs in for the one operation that is prepared in the session (CKA_ALWAYS_AUTHENTICATE).
 * secret_lock is held. A PIN that fails here is wiped.
 */
CK_RV sg_login_context(struct sg_token *token, CK_SESSION_HANDLE session);

/* Before an operation is prepared: CKR_OK, CKR_FUNCTION_CANCELED when there is no PIN to try or
 * only one try left, or another reason. secret_lock is held. */
CK_RV sg_login_context_check(struct sg_token *token);

#endif
