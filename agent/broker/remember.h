/*
 * For how long a token stays unlocked (signet.conf(5), "remember"), and everything that ends it:
 * time, no call that needs it, removal, a screen that is locked, a machine that goes to sleep,
 * SIGHUP. The PIN itself is with signet-token, which wipes it when it is told to lock the token.
 */
#ifndef SG_BROKER_REMEMBER_H
#define SG_BROKER_REMEMBER_H

#include "tokens.h"

#define SG_USES_MAX 4 /* tokens that one call needs */

struct sg_remembering;
struct sg_remembered; /* a token that is unlocked */

/* The tokens that a call uses: with "always" and "idle" it counts until when. */
struct sg_uses {
	struct sg_remembered *tokens[SG_USES_MAX];
	size_t count;
};

/* SG_ERR_NOMEM. Freeing locks no token: the processes end with the agent. */
SG_MUST_USE int sg_remember_new(struct sg_remembering **remember);
void sg_remember_free(struct sg_remembering *remember);

/* The token was locked and took a PIN. */
void sg_remember_unlocked(struct sg_agent *agent, struct sg_module *module,
    const struct sg_token_info *token, const struct sg_caller *caller);

/* A call uses this unlocked token from now on, until sg_remember_let_go(). */
void sg_remember_use(
    struct sg_agent *agent, struct sg_module *module, const char *token_uri, struct sg_uses *uses);
void sg_remember_let_go(struct sg_uses *uses);

/* Whether each call that uses the token has to say so: then it may not take for granted that it is
 * unlocked. */
int sg_remember_wants_use(struct sg_agent *agent, struct sg_module *module, const char *token_uri);

/* Whether this token is, as far as is known, unlocked, or its PIN waits for it. */
int sg_remember_has(struct sg_agent *agent, struct sg_module *module, const char *token_uri);

/* Whether a token of the module is unlocked, or away while its PIN waits for it. */
int sg_remember_any(struct sg_agent *agent, const struct sg_module *module);

/* The same of another token than this one. */
int sg_remember_any_but(
    struct sg_agent *agent, const struct sg_module *module, const char *token_uri);

/*
 * The one token that is unlocked, or whose PIN is held while it is away, and that the selector
 * means: a copy of what it was when it was unlocked, without asking its module. 0: there is none,
 * or more than one.
 */
struct sg_token_ref;
int sg_remember_find(
    const struct sg_agent *agent, const char *selector, struct sg_token_ref *found, int *is_away);

/* It is locked, or gone (token_uri NULL: all of the module); reason is for people, "by hand". */
void sg_remember_locked(
    struct sg_agent *agent, struct sg_module *module, const char *token_uri, const char *reason);

/* The token was taken out. With "lock" its PIN waits for it, until it is back. */
void sg_remember_removed(struct sg_agent *agent, struct sg_module *module, const char *token_uri);
void sg_remember_returned(struct sg_agent *agent, struct sg_module *module, const char *token_uri);

/*
 * Forgets all PINs at once, also those that are on their way; the reason is static. done, which may
 * be NULL, is called when nothing is remembered any more and the processes have ended that could
 * end, maybe before this returns.
 */
typedef void sg_forgotten_fn(void *arg);
void sg_remember_forget_all(
    struct sg_agent *agent, const char *reason, sg_forgotten_fn *done, void *arg);

#endif
