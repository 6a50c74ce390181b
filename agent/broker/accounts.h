/*
 * The accounts: what is stored of each, and its connection: one signet-xmpp for each account, which
 * runs while the account is online. Nothing connects by itself.
 */
#ifndef SG_BROKER_ACCOUNTS_H
#define SG_BROKER_ACCOUNTS_H

#include <sys/queue.h>

#include "agent.h"
#include "failure.h"
#include "login.h"
#include "store.h"
#include "tokens.h"

#define SG_CONNECT_SECONDS 60
#define SG_XMPP_SECONDS	   40

enum sg_account_state {
	SG_ACCOUNT_OFFLINE,
	SG_ACCOUNT_CONNECTING,
	SG_ACCOUNT_ONLINE,
};

struct leave;
struct sg_connect;

struct sg_account {
	TAILQ_ENTRY(sg_account) entry;
	struct sg_agent *agent;
	unsigned refs;
	int removed;   /* no longer in the list, nor in the store */
	int enrolling; /* an enrolment runs: they come one at a time */
	struct sg_account_row row;
	enum sg_account_state state;
	struct sg_msg_xmpp_online online; /* empty unless online */
	char *last_error;
	struct sg_worker *worker;
	struct sg_connect *connect; /* while connecting */
	struct leave *leave;	    /* while an old connection is being ended */
};

struct sg_accounts;

/* Loads the accounts of the store. */
SG_MUST_USE int sg_accounts_new(struct sg_agent *agent, struct sg_accounts **accounts);
void sg_accounts_free(struct sg_accounts *accounts);

/* In the order of their JIDs; NULL at the end. */
struct sg_account *sg_accounts_first(struct sg_accounts *accounts);
struct sg_account *sg_accounts_next(struct sg_account *account);

/* The account of a normalised bare JID, or NULL. Not a new reference. */
struct sg_account *sg_accounts_get(struct sg_accounts *accounts, const char *jid);

/* Stores a new account; the row is taken over, also on failure. SG_ERR_ACCOUNT_EXISTS, SG_ERR_IO. */
SG_MUST_USE int sg_accounts_add(
    struct sg_accounts *accounts, struct sg_account_row *row, struct sg_account **account);

/* Removes it from the store, goes offline, and drops the list's reference. SG_ERR_IO. */
SG_MUST_USE int sg_accounts_remove(struct sg_account *account);

struct sg_account *sg_account_ref(struct sg_account *account);
void sg_account_unref(struct sg_account *account); /* NULL is fine */

/*
 * Makes a certificate on a key the account's own, client or user one by role, in the store and here.
 * SG_ERR_IO with nothing changed.
 */
SG_MUST_USE int sg_account_certify(struct sg_account *account, uint32_t role, const char *key_uri,
    const struct sg_blob *der, const char *cert_uri);

/* Sets the client key and certificate back to what they were (SHA-256, or NULL). SG_ERR_IO. */
SG_MUST_USE int sg_account_set_client(
    struct sg_account *account, const char *key_uri, const char *sha256);

/*
 * Sees to it that the account is online: it is already, or a connection is being made that is waited
 * for, or one is made: with the password (a descriptor, or -1), else by SASL EXTERNAL with the account's
 * certificate. A call that waited for another's login, and brought a password or PIN that the failed one
 * did not have, makes its own. caller, pin and password_fd must stay valid until fn is called.
 * SG_ERR_PASSWORD_NEEDED, errors of the token, SG_ERR_CONNECT, SG_ERR_TLS, SG_ERR_AUTH, ...
 */
void sg_account_go_online(struct sg_account *account, const struct sg_caller *caller,
    int password_fd, struct sg_pin *pin, sg_done_fn *fn, void *arg);

/* Ends the connection in good order; fine when there is none. */
void sg_account_go_offline(struct sg_account *account, sg_done_fn *fn, void *arg);

/* Steps for verbs (call.h). */
struct sg_call;
typedef void sg_verb_step_fn(struct sg_call *call);

/* Sets call->account from the parameter; 0 when the call has failed for it. */
SG_MUST_USE int sg_call_take_account(struct sg_call *call, const char *parameter);

/* call->account is online with the call's password or PIN. */
void sg_call_go_online(struct sg_call *call, sg_verb_step_fn *next);

/* ... and the server has this feature, or SG_ERR_FEATURE names it. */
void sg_call_need_feature(struct sg_call *call, const char *feature, sg_verb_step_fn *next);

/* Whether call->account still is; 0 when it is not, and the call has failed for it. */
SG_MUST_USE int sg_call_is_online(struct sg_call *call);

/* Asks call->account's worker. SG_ERR_OFFLINE when the connection has ended meanwhile. */
typedef void sg_verb_answer_fn(struct sg_call *call, void *answer);
void sg_call_ask_account(
    struct sg_call *call, uint16_t type, const void *msg, sg_verb_answer_fn *next);

#endif
