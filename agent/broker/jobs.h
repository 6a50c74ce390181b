/*
 * Durable jobs: what gets, replaces and revokes an account's certificates, state by state.
 *
 * A job runs on a call: that of a client, or one of its own, without PIN, password or pinentry, at
 * the agent's start and whenever what it waits for may have come. Each state is in the store before
 * its effect begins, and each effect can be repeated: killed at any point, the job goes on with the
 * state that it was in. A job whose call fails waits, unless the failure says that it can never
 * succeed.
 */
#ifndef SG_BROKER_JOBS_H
#define SG_BROKER_JOBS_H

#include <sys/queue.h>

#include <event2/event.h>

#include "accounts.h"
#include "call.h"
#include "jobs_store.h"
#include "worker.h"

#define SG_JOB_DELAY_MIN 60   /* seconds until a job that waits is tried again, doubled ... */
#define SG_JOB_DELAY_MAX 3600 /* ... up to this */

struct sg_job;
struct sg_job_waiter;

struct sg_job {
	TAILQ_ENTRY(sg_job) entry;
	struct sg_account *account;
	struct sg_job_row row;
	struct sg_call *call; /* that it runs on, or NULL */
	/* Of this run: */
	int is_alone;	/* the call is the job's own */
	int resumed;	/* it began with a state that was in the store */
	int is_held;	/* it is over, for what was at work with the account's connection */
	int was_online; /* the account was before it, or a call that is no job's wanted it so since */
	int features_known; /* and these are they: */
	int can_add, can_list, can_revoke;
	sg_verb_fn *next;    /* what follows when they are */
	const char *refusal; /* why what the server gave is not kept: static text */
	int rekey;	     /* of a renewal in state NEW: its key is to be made */
	/* Of all runs, and not stored: */
	char *selector;	 /* of the key, in state NEW; as the call gave it */
	int undone;	 /* what it got is not to be used */
	char *unrevoked; /* ... and may stay valid, for this reason; or NULL */
	/* State END: why it came to nothing; code 0: it is done, or undone by hand. */
	struct sg_msg_error outcome;
	struct event *timer;
	int delay;	  /* seconds, the next time that it waits */
	int64_t again_ms; /* when it goes on by itself at the latest (clock.h), while it waits */
	TAILQ_HEAD(sg_job_waiters, sg_job_waiter) waiters;
};

const char *sg_job_kind_name(uint32_t kind);
const char *sg_job_state_name(uint32_t state);

/* Whether a job of this kind may go from one state to the other. */
int sg_job_may(uint32_t kind, uint32_t from, uint32_t to);

/* Loads the jobs of all accounts; they run as soon as the loop does. SG_ERR_IO, SG_ERR_NOMEM. */
SG_MUST_USE int sg_jobs_load(struct sg_agent *agent);

/* When the account is freed. A call that a job runs on, or that waits for one, holds the account: so there is none then,
 * unless the agent ends. What is stored stays. */
void sg_jobs_free(struct sg_account *account);

/* The account's job that gets a certificate, or that revokes this one (SHA-256); or NULL. */
struct sg_job *sg_job_of_certificate(const struct sg_account *account);
struct sg_job *sg_job_of_revocation(const struct sg_account *account, const char *sha256);

/* A new job in state NEW, of which nothing is stored. NULL without memory. */
struct sg_job *sg_job_begin(struct sg_account *account, enum sg_job_kind kind);

/* A renewal of the account's certificate for the key of this URI; name: NULL for the one that it has at
 * the server. As above. */
struct sg_job *sg_job_begin_renewal(struct sg_account *account, const char *key, const char *name);

/* A job that never ran goes. */
void sg_job_drop(struct sg_job *job);

/* Calls fn when the job does not run, at once or later, once for each call. Its state may be END then: see outcome. */
typedef void sg_job_turn_fn(struct sg_call *call, struct sg_job *job);
void sg_job_when_idle(struct sg_job *job, struct sg_call *call, sg_job_turn_fn *fn);

/*
 * The job goes on with its state, on this call, which has call->account and is finished by it; its
 * state is the job's from now on. A job of state END is over: the call gets its outcome.
 */
void sg_job_run(struct sg_job *job, struct sg_call *call);

/* A job that does not run comes to nothing, for good: what it got already stays where it is. SG_ERR_IO, ...: then it
 * is as it was. */
SG_MUST_USE int sg_job_give_up(struct sg_job *job, int code, const char *why);

/* As sg_job_run(), without a person, as by itself. */
void sg_job_run_alone(struct sg_job *job);

/* As sg_job_run(), but what is not to be used is undone; its state must allow that, or be one of undoing. */
void sg_job_cancel(struct sg_job *job, struct sg_call *call);

/* Stores what a job of kind revoke is to do, now or other than before; nothing is sent before somebody has it run.
 * SG_ERR_IO, SG_ERR_ACCOUNT_ABSENT: the store is as it was, and a job that is new is to be dropped. */
SG_MUST_USE int sg_job_intend(struct sg_job *job);

/* Whether this very struct is the caller of a call that one of the account's jobs runs on, or of a part of such a
 * call. */
int sg_jobs_have_caller(const struct sg_account *account, const struct sg_caller *caller);

/* A person's call has put the account online, or unlocked a token, or one was put in: jobs that wait for
 * the like go on. */
void sg_jobs_account_ready(struct sg_account *account);
void sg_jobs_token_ready(struct sg_agent *agent);

/* The last call about the account is over: a job that waited for that goes on. */
void sg_jobs_account_unused(struct sg_account *account);

/* ---- for the states (job_certificate.c, job_renewal.c, job_revocation.c, job_undo.c; job_steps.c has what they share),
 * whose call->state is the job ---- */

/*
 * The one place where the state changes: into the store, then the state's effect begins. The call
 * fails when it may not be, or cannot be stored: then the state is what it was. END answers the call.
 */
void sg_job_go(struct sg_call *call, enum sg_job_state next);

/* Tells the client a step, when it wants to know. */
void sg_job_tell(struct sg_call *call, const char *step, const char *text);

/* For call->rescue in states whose failure is none of the call's: the job waits or ends, the call is answered. */
json_t *sg_job_clean_up_later(const struct sg_call *call, const struct sg_msg_error *error);

/*
 * Whether the job may take the account offline to log in anew. One that runs by itself may not while a call about the
 * account, or another job of it, is at work (account->calls): then the job's call has failed with SG_ERR_BUSY, and the job
 * goes on when none is left. One that runs on a person's call, or that a call waits for, may.
 */
SG_MUST_USE int sg_job_may_go_offline(struct sg_call *call);

/* Ends the account's connection, to log in anew: who wanted the account online still does. */
void sg_job_go_offline(struct sg_call *call, sg_verb_fn *next);

/* Goes online, and knows the server's features. */
void sg_job_go_online(struct sg_call *call, sg_verb_fn *next);

/* Takes over, of a list of the server, the certificate that was issued for the job's CSR and that the
 * store does not have. Whether there is one. */
int sg_job_take_issued(struct sg_job *job, struct sg_msg_ccm2_certs *certs);

/* Has the server revoke a certificate (SHA-256; C9). fn's arg is the call, which it goes on with or fails; offline, the call
 * has failed without it. */
void sg_job_ask_revoke(struct sg_call *call, char *sha256, sg_answer_fn *fn);

/* Whether the server says that it does not have it: a certificate that it does not know lets nobody in. */
int sg_job_is_gone(const struct sg_msg_error *error);

/* Whether the server manages certificates at all now, and has what it had before (account->had_list, had_revoke); else
 * the call has failed, and the job waits: what issued one may be away. */
SG_MUST_USE int sg_job_is_managed(struct sg_call *call);

/* Whether the certificate that the job got is known to be revoked, and the former one is not. */
int sg_job_is_taken_back(const struct sg_job *job);

/* Both fail the call, and by sg_job_proven_failed() the job is undone then. The first notes in the store that the job's
 * certificate is revoked, the second is for one that is noted. */
void sg_job_take_back(struct sg_call *call);
void sg_job_fail_taken_back(struct sg_call *call);

/* The name of a certificate that nobody named: that of this machine. A new string, or NULL without memory. */
SG_MUST_USE char *sg_job_default_name(void);

/*
 * Of a renewal: keeps the name of the former certificate in a list of the server, and sees to it that it
 * stands there, or may do so unread; 0 when the call has failed.
 */
SG_MUST_USE int sg_job_renewal_listed(struct sg_call *call, const struct sg_msg_ccm2_certs *certs);

/* Of a renewal: whether the job's certificate is another than the former one, and valid for as long; else another
 * request is made, or the call has failed, and 0 is given. */
SG_MUST_USE int sg_job_renewal_is_newer(struct sg_call *call);

/* Whether a renewal that failed before it had a certificate can never succeed. */
int sg_job_renewal_is_final(const struct sg_job *job, const struct sg_msg_error *error);

/* Of a renewal: whether the former certificate does not log in any more: it has expired, is noted as revoked, or is not
 * kept here any more. */
int sg_job_is_former_over(const struct sg_job *job);

/* Asks call->key's token for what the server is to get: a CSR (nameless: in the other form of C12), or a
 * certificate of our own making where it keeps a list of those (S2). As sg_call_ask_key(); a struct sg_msg_der. */
void sg_job_ask_request(struct sg_call *call, int nameless, sg_call_answer_fn *next);

/* Whether the job has such a certificate in the place of a CSR. */
int sg_job_is_own(const struct sg_job *job);

/* What the token attests of call->key is kept with the request, and that goes to the server: state ADD. */
void sg_job_add_attested(struct sg_call *call);

/* Whether the server's refusal stays one, however often it is asked. */
int sg_job_is_final(const struct sg_msg_error *error);

/* A state: what begins with it; and what a failure makes of the job: the state itself (it waits), or another. */
sg_verb_fn sg_job_enter_new, sg_job_enter_generate, sg_job_enter_request, sg_job_enter_add,
    sg_job_enter_store, sg_job_enter_prove, sg_job_enter_sign, sg_job_enter_publish,
    sg_job_enter_retire, sg_job_enter_retract, sg_job_enter_sweep, sg_job_enter_revoke,
    sg_job_enter_undo, sg_job_enter_discard, sg_job_enter_return;
typedef enum sg_job_state sg_job_failed_fn(struct sg_job *job, const struct sg_msg_error *error);
sg_job_failed_fn sg_job_generate_failed, sg_job_request_failed, sg_job_add_failed,
    sg_job_prove_failed, sg_job_proven_failed, sg_job_undo_failed, sg_job_sweep_failed,
    sg_job_revoke_failed;

#endif
