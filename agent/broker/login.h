/*
 * Unlocking tokens: where the PIN comes from, one login at a time for each token, and never a
 * second automatic try of a PIN that failed. No PIN is ever read here: descriptors are handed on.
 */
#ifndef SG_BROKER_LOGIN_H
#define SG_BROKER_LOGIN_H

#include "remember.h"
#include "tokens.h"

#define SG_PIN_OPTIONS_MAX  8
#define SG_PINENTRY_SECONDS 600

/* Where a PIN may come from: a descriptor, or a pinentry, or (neither) what the configuration
 * says. */
struct sg_pin {
	int fd;				   /* -1: none */
	int pinentry;			   /* whether one is to be started */
	char *options[SG_PIN_OPTIONS_MAX]; /* for it: "ttyname=/dev/pts/1" */
	uint32_t option_count;
	char *display;	     /* for its start, or NULL */
	int abandoned;	     /* whoever brought it has gone: no pinentry is shown to nobody */
	int spent;	     /* the descriptor was given to a worker, which reads it to its end: */
	unsigned spent_on;   /* to this process of it (sg_worker_starts()) */
	struct sg_uses uses; /* tokens that are kept unlocked for whoever brought it */
	pid_t changing;	     /* a pinentry that asks for a new PIN (verbs_pin.c), or 0 ... */
	int changing_sock;   /* ... and its socket */
};
void sg_pin_init(struct sg_pin *pin);
/* Closes the descriptor, and lets go the tokens that it keeps unlocked. */
void sg_pin_clear(struct sg_pin *pin);

struct sg_logins;
/* SG_ERR_NOMEM. */
SG_MUST_USE int sg_logins_new(struct sg_logins **logins);
void sg_logins_free(struct sg_logins *logins);

/*
 * Sees to it that the token is unlocked, and logs in only when it is not. A login that runs is
 * waited for and its outcome shared, unless it failed for want of the other's PIN, and this one has
 * means of its own. A descriptor serves one login only; when a second is needed, the call fails:
 * with SG_ERR_WORKER when the worker that had read the PIN has died, else with SG_ERR_PIN_NEEDED.
 * by_hand: a person asked for just this. While sg_login_pause() holds for the token, it waits. When
 * it succeeds, the token is in use (remember.h) until the pin is cleared. The pin must stay valid
 * until fn is called, which is never before this returns.
 */
void sg_login_unlock(struct sg_agent *agent, const struct sg_caller *caller,
    struct sg_module *module, const char *token_uri, struct sg_pin *pin, int by_hand,
    sg_done_fn *fn, void *arg);

/*
 * Whoever brought this PIN has gone. A pinentry that it waits at is ended at once, unless somebody
 * else waits for the same login.
 */
void sg_login_abandon(struct sg_agent *agent, struct sg_pin *pin);

/*
 * A person has locked the token of this name (sg_ledger_name()): from now on the configuration's
 * pin-source is not used for it, but by a call of sg_login_unlock() that is by_hand, until one of
 * these or a login with a caller's PIN succeeds. Forgotten when the agent ends.
 */
void sg_login_lock(struct sg_agent *agent, const char *name);

/* Logins to this token that begin from now on wait. */
void sg_login_pause(struct sg_agent *agent, struct sg_module *module, const char *token_uri);
void sg_login_resume(struct sg_agent *agent, struct sg_module *module, const char *token_uri);

/* Whether one runs, or they wait. */
int sg_login_is_busy(
    const struct sg_agent *agent, const struct sg_module *module, const char *token_uri);

/* A PIN is about to be tried: who waits for that login shares its outcome. */
void sg_login_announce(
    struct sg_agent *agent, const struct sg_module *module, const char *token_uri);

/* Whether the PIN that is tried there is one that a person enters, or wants to be tried. */
int sg_login_is_by_person(
    const struct sg_agent *agent, const struct sg_module *module, const char *token_uri);

/* The PINs of the logins that run are not remembered: the tokens are locked again. */
void sg_logins_forget(struct sg_agent *agent);

#endif
