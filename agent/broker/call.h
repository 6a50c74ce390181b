/*
 * One API call, from its parameters to its reply.
 */
#ifndef SG_BROKER_CALL_H
#define SG_BROKER_CALL_H

#include <sys/queue.h>

#include <jansson.h>

#include "agent.h"
#include "ask_all.h"
#include "client.h"
#include "failure.h"
#include "find.h"
#include "login.h"
#include "store.h"

#define SG_CALL_STRING_MAX 8192 /* bytes of a string parameter */
#define SG_CALL_NAMES_MAX  1000 /* strings in a list parameter */

struct sg_account;
struct sg_conn;
struct sg_call;
struct sg_method;

/* A step of a verb; the verb itself is the first. */
typedef void sg_verb_fn(struct sg_call *call);

/* Follows when a certificate was stored: cert says where, and may be taken from; NULL where its token does not say,
 * or takes none, which why_not then tells. */
typedef void sg_call_stored_fn(
    struct sg_call *call, struct sg_cert_info *cert, const struct sg_msg_error *why_not);

/* How a call finds and asks its key: the state of call_key.c. */
struct sg_call_key_use {
	char *selector;		   /* what the key was found by, ... */
	sg_verb_fn *step;	   /* for which step, ... */
	int asked_again;	   /* and whether that step was taken twice, ... */
	int token_gone;		   /* for the token had gone the first time */
	const void *asked;	   /* what waits for the answer of the key's worker, or NULL */
	int any;		   /* whatever public key stood there before */
	sg_call_stored_fn *stored; /* while a certificate is being stored */
};

struct sg_call {
	TAILQ_ENTRY(sg_call) entry;
	struct sg_agent *agent;
	struct sg_conn *conn; /* NULL when the client has gone; the call still runs to its end */
	const struct sg_method *method; /* NULL when there is none: only fails */
	char *name;			/* as the client wrote it */
	json_t *parameters;
	int more;
	int oneway;

	struct sg_buf out; /* replies that wait for their turn */
	int done;

	struct sg_caller caller; /* purpose is the method's name */
	int fds[SG_API_FDS_MAX]; /* claimed from the connection */
	size_t fd_count;
	struct sg_pin pin;
	int password_fd; /* -1: none */

	/* What the steps of a verb hand on to each other; freed with the call. */
	struct sg_account *account;
	int is_counted; /* in account->calls, until the call is over */
	struct sg_token_ref token;
	struct sg_key_ref key;
	struct sg_call_key_use key_use;
	struct sg_attestation attestation; /* of call->key (attestation.h); empty: none */
	const char *feature;		   /* of the server, that is being looked for */
	void *state;
	void (*state_free)(void *state);
	int advice_code;    /* an error of this code ... */
	const char *advice; /* ... gets this advice in place of the general one; or NULL */
	sg_verb_fn *next;   /* the step that follows what the call waits for */
	/* Asked before the call fails, or NULL: the reply in place of the error, or NULL. */
	json_t *(*rescue)(const struct sg_call *call, const struct sg_msg_error *error);
	/* The client has gone, or NULL. The call may not be finished by it, but from the loop. */
	void (*gone)(struct sg_call *call);
	/* The client has fetched all replies that there are, or NULL. As gone. */
	void (*drained)(struct sg_call *call);
	struct sg_key_reply *key_reply; /* see key_reply.h; or NULL */
	/* What to do before the call fails, or NULL. It may not finish the call. */
	void (*undo)(struct sg_call *call, const struct sg_msg_error *error);
	/* Takes something back before the call fails, or NULL. Is asked once, and fails the call when it
	 * has. */
	void (*retract)(struct sg_call *call, const struct sg_msg_error *error);
	struct sg_call *doing;	   /* a part of it that runs, or NULL */
	struct sg_call_part *part; /* it is such a part; or NULL */
};

/* Answers nobody: for a call that is done, for Monitor when its client has gone, and at the agent's end. NULL is fine. */
void sg_call_free(struct sg_call *call);

/* The client has gone. The call runs to its end all the same, but asks nobody for a PIN any more;
 * what only makes a signature ends where that has not begun. */
void sg_call_abandon(struct sg_call *call);

/* Whether it is one that ends so. */
int sg_call_is_dropped(const struct sg_call *call);

/* Parameters that the method table has checked; NULL or the default when absent. */
const char *sg_call_string(const struct sg_call *call, const char *name);
/* The same for a message's field, which is not const. Valid as long as the call. */
char *sg_call_text(const struct sg_call *call, const char *name);
int sg_call_flag(const struct sg_call *call, const char *name);
json_int_t sg_call_int(const struct sg_call *call, const char *name, json_int_t absent);

/*
 * The ends of a call; it may be freed when they return. parameters is taken over; NULL (no memory,
 * or a text that is not UTF-8) and a reply over SG_API_MESSAGE_MAX become an error.
 */
void sg_call_reply(struct sg_call *call, json_t *parameters);
/* The same by a message that is ready, with its NUL. */
void sg_call_reply_text(struct sg_call *call, struct sg_buf *text);
void sg_call_fail(struct sg_call *call, const struct sg_msg_error *error);
void sg_call_fail_with(struct sg_call *call, int code, const char *subject, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The same with the general sentence of the code; of SG_ERR_IO, with why the store failed. */
void sg_call_fail_code(struct sg_call *call, int err, const char *subject);

/*
 * From now on an error of this code gets this advice (static text), where the general one of the
 * code would mislead; NULL: no longer.
 */
void sg_call_advise(struct sg_call *call, int code, const char *advice);

/* An error of org.varlink.service, with its one field. */
void sg_call_fail_varlink(
    struct sg_call *call, const char *error, const char *field, const char *value);

/* The call's token, or that of its key, was to store something; error: why it could not, or NULL.
 * The doctor tells of one that is full. */
void sg_call_note_stored(struct sg_call *call, const struct sg_msg_error *error);

/* A reply before the last one, when the client asked for more; parameters is taken over. */
void sg_call_progress(struct sg_call *call, json_t *parameters);

/* Whether replies wait for the client to fetch them, or for their turn: then drained, or gone, will be
 * called. */
int sg_call_is_clogged(const struct sg_call *call);

/*
 * Steps: each of these does its part, then calls the next step; on failure the call fails and no
 * further step is taken.
 */
void sg_call_find_token(struct sg_call *call, const char *selector, sg_verb_fn *next);
void sg_call_unlock_token(struct sg_call *call, sg_verb_fn *next); /* call->token */

/* Asks a worker; the answer is given to a step of its own kind. */
typedef void sg_call_answer_fn(struct sg_call *call, void *answer);
void sg_call_ask(struct sg_call *call, struct sg_worker *worker, uint16_t type, const void *msg,
    int seconds, sg_call_answer_fn *next);

/* Sets call->account from the parameter, once for a call, which account->calls counts until it is over. 0 when the call
 * has failed for it. */
SG_MUST_USE int sg_call_take_account(struct sg_call *call, const char *parameter);

/* Sets call->account: until its end the call is one of that account's. */
void sg_call_enter_account(struct sg_call *call, struct sg_account *account);

/* call->account is online with the call's password or PIN. */
void sg_call_go_online(struct sg_call *call, sg_verb_fn *next);

/* ... and the server has this feature, or XEP-0257 in the place of one of ccm2's; or SG_ERR_FEATURE names
 * it. */
void sg_call_need_feature(struct sg_call *call, const char *feature, sg_verb_fn *next);

/* Whether call->account still is; 0 when it is not, and the call has failed for it. */
SG_MUST_USE int sg_call_is_online(struct sg_call *call);

/* Asks call->account's worker. SG_ERR_OFFLINE when the connection has ended meanwhile. */
void sg_call_ask_account(
    struct sg_call *call, uint16_t type, const void *msg, sg_call_answer_fn *next);

/*
 * Another verb as a part of this call, for the same caller: with these parameters (taken over), which
 * must fit the method, and what this call has brought of a PIN, which it has back when fn is called:
 * when that has ended, with why it failed; the reply goes to nobody.
 */
void sg_call_do(struct sg_call *call, const char *method, sg_verb_fn *verb, json_t *parameters,
    sg_done_fn *fn, void *arg);

/* For callbacks of others whose arg is the call: fails it when there is an error, else goes on with
 * call->next. */
void sg_call_continue(void *call, const struct sg_msg_error *error);

#endif
