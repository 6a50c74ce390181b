/*
 * Tokens: found by scanning the slots, known again by label, maker, model and serial number,
 * with their sessions and what is kept of a login.
 */
#ifndef SG_TOKEN_TOKEN_H
#define SG_TOKEN_TOKEN_H

#include <pthread.h>
#include <stddef.h>

#include <p11-kit/pkcs11.h>

#include "error.h"
#include "module.h"
#include "msg.h"
#include "secret.h"
#include "uri.h"

#define SG_SESSIONS_IDLE_MAX 8 /* kept open for each token */

/* C_Sign may wait for a touch, and a login for a person at a pinentry or a PIN pad: of the locks
 * below, only login_lock and secret_lock are held in such a call, and they stop nobody but who
 * needs this very token's PIN. */
struct sg_token {
	struct sg_module *module;

	/* Never change. */
	CK_TOKEN_INFO identity; /* as first seen; its flags and counters are of that time */
	char *uri;
	char *label;

	pthread_mutex_t login_lock;  /* one login at a time; held while a person types */
	pthread_mutex_t secret_lock; /* protects secret; held while it is used */
	struct sg_secret
	    *secret; /* the PIN, while unlocked, if a key wants it for each signature */

	pthread_mutex_t lock; /* protects all below; never held in a call that waits for a person */
	pthread_cond_t session_back;
	CK_SLOT_ID slot;
	CK_SLOT_INFO slot_info;
	CK_TOKEN_INFO info; /* as last seen */
	int present;
	uint32_t abilities; /* SG_KEY_RSA_PKCS1 to SG_KEY_ECDSA: what the slot's mechanisms sign */
	int unlocked;	    /* by our own login */
	unsigned epoch;	    /* grows when sessions, handles and login are given up */
	CK_SESSION_HANDLE
	anchor; /* opened before a login and never worked with, so that it stays */
	CK_SESSION_HANDLE idle[SG_SESSIONS_IDLE_MAX];
	size_t idle_count;
	size_t busy_count;
};

/* Tokens that are there now, in a new array (to be freed; the tokens belong to the module).
 * Those that have gone lose login and PIN. SG_ERR_LIMIT over SG_TOKENS_MAX in the life of the
 * process or for too many slots, what the module says, SG_ERR_NOMEM. */
SG_MUST_USE int sg_token_scan(
    struct sg_module *module, struct sg_token ***tokens, size_t *count, struct sg_msg_error *error);

/* The one token that a URI or label names; it belongs to the module. SG_ERR_TOKEN_ABSENT,
 * SG_ERR_TOKEN_AMBIGUOUS with the candidates, what sg_selector_parse() and sg_token_scan() say. */
SG_MUST_USE int sg_token_find(struct sg_module *module, const char *text, struct sg_token **token,
    struct sg_msg_error *error);

/* Whether it is initialised, and may hold what the selector means. */
int sg_token_match(struct sg_token *token, const struct sg_selector *selector);

/* Whether private keys can be used: unlocked, or a token that asks for no login. */
int sg_token_is_open(struct sg_token *token);
unsigned sg_token_epoch(struct sg_token *token);
uint32_t sg_token_abilities(struct sg_token *token);

/* Fills a message's token, all but the mechanisms. SG_ERR_NOMEM leaves what has to be cleared. */
SG_MUST_USE int sg_token_describe(struct sg_token *token, struct sg_token_info *info);

/* Gives up sessions and login, if the epoch is still this one: whoever sees the failure first
 * does it. */
void sg_token_drop(struct sg_token *token, unsigned epoch);

/* Wipes the held PIN. */
void sg_token_wipe(struct sg_token *token);
void sg_token_free(struct sg_token *token);

#endif
