/*
 * A pool of read/write sessions for each token, and the one second try that a failure may earn.
 */
#ifndef SG_TOKEN_SESSION_H
#define SG_TOKEN_SESSION_H

#include <p11-kit/pkcs11.h>

#include "token.h"

/* Opens a session past the pool; read-only on a write-protected token. The token's lock is held. */
CK_RV sg_session_open(struct sg_token *token, CK_SESSION_HANDLE *handle);

/* Whether somebody is logged in, as the module says of this session. */
int sg_session_is_user(struct sg_token *token, CK_SESSION_HANDLE session);

/* Whether our own login stands still, as the module says. The token's lock is held. */
int sg_session_login_stands(struct sg_token *token);

/* Work in a session. again is 1 on the second try: every handle known from before is stale then. */
typedef CK_RV sg_session_fn(
    struct sg_token *token, CK_SESSION_HANDLE session, int again, void *arg);

/* Gives up sessions and login, resets the card of a ykcs11, and lists the slots anew; whether the
 * token may be there. */
int sg_session_from_scratch(struct sg_token *token);

/*
 * Runs fn in a session of the token. When it fails in a way that a new session, a new search, or a
 * token that came back may cure (see sg_ckr_cure()), sessions are opened again, and fn runs a
 * second and last time. A login that is missing is made with the PIN that is held for this very
 * token, if any, at most once.
 */
CK_RV sg_token_run(struct sg_token *token, sg_session_fn *fn, void *arg);

#endif
