/*
 * A pool of read/write sessions for each token, and the one second try that a failure may earn.
 */
#ifndef SG_TOKEN_SESSION_H
#define SG_TOKEN_SESSION_H

#include <p11-kit/pkcs11.h>

#include "token.h"

struct sg_session {
	CK_SESSION_HANDLE handle;
	unsigned epoch;
};

/*
 * Takes an idle session or opens one; read-only on a write-protected token. Where the token has
 * no more sessions to give, waits for one that is in use.
 */
CK_RV sg_session_get(struct sg_token *token, struct sg_session *session);

/* Gives it back; it is closed when the last call in it failed, or its time is over. */
void sg_session_put(struct sg_token *token, struct sg_session *session, CK_RV last);

/* Opens a session as sg_session_get() does, past the pool. The token's lock is held. */
CK_RV sg_session_open(struct sg_token *token, CK_SESSION_HANDLE *handle);

/* Whether our own login stands still, as the module says. The token's lock is held. */
int sg_session_login_stands(struct sg_token *token);

/* Work in a session. again is 1 on the second try: every handle known from before is stale then. */
typedef CK_RV sg_session_fn(
    struct sg_token *token, CK_SESSION_HANDLE session, int again, void *arg);

/*
 * Runs fn in a session of the token. When it fails in a way that a new session, a new search, or
 * a token that came back may cure (see sg_ckr_cure()), sessions are opened again, the login is
 * made once more if the PIN is still held for this very token, and fn runs a second and last
 * time.
 */
CK_RV sg_token_run(struct sg_token *token, sg_session_fn *fn, void *arg);

#endif
