/*
 * The accounts: what is stored of each, and its connection: one signet-xmpp for each account, which
 * runs while the account is online. Nothing connects by itself but jobs (jobs.h).
 */
#ifndef SG_BROKER_ACCOUNTS_H
#define SG_BROKER_ACCOUNTS_H

#include <sys/queue.h>

#include "agent.h"
#include "failure.h"
#include "login.h"
#include "publishing_store.h"
#include "renewal.h"
#include "store.h"
#include "tokens.h"

#define SG_CONNECT_SECONDS 60
#define SG_XMPP_SECONDS	   40

enum sg_account_state {
	SG_ACCOUNT_OFFLINE,
	SG_ACCOUNT_CONNECTING,
	SG_ACCOUNT_ONLINE,
};

struct sg_leave;
struct sg_connect;
struct sg_job;
struct sg_watch;

struct sg_account {
	TAILQ_ENTRY(sg_account) entry;
	struct sg_agent *agent;
	unsigned refs;
	int removed;   /* no longer in the list, nor in the store */
	int switching; /* another certificate is being made its own (switching.h) */
	struct sg_account_row row;
	struct sg_publishing_row publishing;
	struct sg_renewal renewal; /* of its certificate; zero: none, or it is revoked */
	int due_told;		   /* that it is due */
	char *renew_problem;	   /* why its last renewal came to nothing, or NULL */
	int64_t renewed_at; /* when the last renewal was begun by itself, by the clock; 0: none */
	enum sg_account_state state;
	struct sg_msg_xmpp_online online; /* empty unless online */
	char *online_with;		  /* SHA-256 of the certificate of that login, or NULL */
	char *last_error;
	struct sg_worker *worker;
	struct sg_connect *connect; /* while connecting */
	struct sg_leave *leave;	    /* while an old connection is being ended */
	int is_wanted;		    /* while not offline: a call that is no job's wants it so */
	unsigned calls;		    /* of clients and of its jobs, that have it and are not over */
	struct sg_watch *watch;	    /* while online */
	int had_list, had_revoke;   /* whether its server has had these since the agent's start */
	TAILQ_HEAD(sg_job_list, sg_job) jobs;
};

struct sg_accounts;

/* Loads the accounts of the store. SG_ERR_IO, logged; SG_ERR_NOMEM. */
SG_MUST_USE int sg_accounts_new(struct sg_agent *agent, struct sg_accounts **accounts);
void sg_accounts_free(struct sg_accounts *accounts);

/* In the order of their JIDs; NULL at the end. */
struct sg_account *sg_accounts_first(struct sg_accounts *accounts);
struct sg_account *sg_accounts_next(struct sg_account *account);

/* The account of a normalised bare JID, or NULL. Not a new reference. */
struct sg_account *sg_accounts_get(struct sg_accounts *accounts, const char *jid);

/* Stores a new account; the row is taken over, also on failure. SG_ERR_ACCOUNT_EXISTS,
 * SG_ERR_IO. */
SG_MUST_USE int sg_accounts_add(
    struct sg_accounts *accounts, struct sg_account_row *row, struct sg_account **account);

/* Removes it from the store, goes offline, and drops the list's reference. SG_ERR_IO. */
SG_MUST_USE int sg_accounts_remove(struct sg_account *account);

struct sg_account *sg_account_ref(struct sg_account *account);
void sg_account_unref(struct sg_account *account); /* NULL is fine */

/*
 * Makes a certificate on a key the account's own, client or user one by role, in the store and
 * here. SG_ERR_IO with nothing changed.
 */
SG_MUST_USE int sg_account_certify(struct sg_account *account, uint32_t role, const char *key_uri,
    const struct sg_blob *der, const char *cert_uri);

/* Keeps by which protocol the server of these features has certificates managed, and that it has had what it has now
 * (had_list, had_revoke). A failure is logged: it is asked again each time. */
void sg_account_note_features(
    struct sg_account *account, const struct sg_msg_xmpp_feature_set *features);

/* Whether the connection that there is was made with this certificate (SHA-256), by SASL
 * EXTERNAL. */
int sg_account_is_logged_in_with(const struct sg_account *account, const char *sha256);

/* Whether its certificate of this fingerprint (SHA-256 or name) is noted as revoked. */
int sg_account_has_revoked(const struct sg_account *account, const char *fingerprint);

/* Whether a login failed for the server refused the very certificate (RFC 6120 6.5.10), and for no other reason. */
int sg_account_is_refused(const struct sg_msg_error *error);

/* Sets the client key and certificate back to what they were (SHA-256, or NULL). SG_ERR_IO. */
SG_MUST_USE int sg_account_set_client(
    struct sg_account *account, const char *key_uri, const char *sha256);

#endif
