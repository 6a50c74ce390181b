#include "jobs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ccm2.h"
#include "cert_protocol.h"
#include "clock.h"
#include "events.h"
#include "json.h"
#include "log.h"
#include "online.h"
#include "renewing.h"
#include "text.h"

/* A call that waits until the job does not run. */
struct sg_job_waiter {
	TAILQ_ENTRY(sg_job_waiter) entry;
	struct sg_call *call;
	sg_job_turn_fn *fn;
};

/* ---- the states ---- */

#define TO(state) (1u << SG_JOB_##state)

/* Every pair that is not here is an error. */
static const struct {
	const char *name;
	unsigned next;
	sg_verb_fn *enter;
	sg_job_failed_fn *failed; /* NULL: it waits */
} states[SG_JOB_STATES] = {
	[SG_JOB_NEW] = { "new", TO(ADD) | TO(GENERATE) | TO(REQUEST) | TO(REVOKE_IT) | TO(END),
	    sg_job_enter_new, NULL },
	[SG_JOB_GENERATE] = { "generate", TO(REQUEST) | TO(UNDO) | TO(END), sg_job_enter_generate,
	    sg_job_generate_failed },
	[SG_JOB_REQUEST] = { "request", TO(ADD) | TO(UNDO) | TO(END), sg_job_enter_request,
	    sg_job_request_failed },
	[SG_JOB_ADD] = { "add", TO(STORE) | TO(REQUEST) | TO(UNDO) | TO(END), sg_job_enter_add,
	    sg_job_add_failed },
	[SG_JOB_STORE] = { "store", TO(PROVE) | TO(UNDO) | TO(END), sg_job_enter_store, NULL },
	[SG_JOB_PROVE] = { "prove", TO(SIGN) | TO(RETIRE) | TO(RETURN) | TO(UNDO) | TO(END),
	    sg_job_enter_prove, sg_job_prove_failed },
	[SG_JOB_SIGN] = { "sign", TO(PUBLISH) | TO(UNDO) | TO(END), sg_job_enter_sign,
	    sg_job_proven_failed },
	[SG_JOB_PUBLISH] = { "publish", TO(RETIRE) | TO(UNDO) | TO(END), sg_job_enter_publish,
	    sg_job_proven_failed },
	[SG_JOB_RETIRE] = { "retire", TO(RETRACT) | TO(UNDO) | TO(END), sg_job_enter_retire,
	    sg_job_proven_failed },
	[SG_JOB_RETRACT] = { "retract", TO(SWEEP) | TO(END), sg_job_enter_retract, NULL },
	[SG_JOB_SWEEP] = { "sweep", TO(END), sg_job_enter_sweep, sg_job_sweep_failed },
	[SG_JOB_REVOKE_IT] = { "revoke", TO(RETRACT) | TO(SWEEP) | TO(END), sg_job_enter_revoke,
	    sg_job_revoke_failed },
	[SG_JOB_UNDO] = { "undo", TO(DISCARD) | TO(END), sg_job_enter_undo, sg_job_undo_failed },
	[SG_JOB_DISCARD] = { "discard", TO(END), sg_job_enter_discard, sg_job_sweep_failed },
	[SG_JOB_END] = { "end", 0, NULL, NULL },
	[SG_JOB_RETURN] = { "return", TO(END), sg_job_enter_return, NULL },
};

/* Which states a kind has at all. */
static const struct {
	const char *name;
	unsigned states;
} kinds[SG_JOB_KINDS] = {
	[SG_JOB_ENROL] = { "enrol",
	    TO(NEW) | TO(ADD) | TO(STORE) | TO(PROVE) | TO(UNDO) | TO(DISCARD) | TO(END) },
	[SG_JOB_REPLACE] = { "replace",
	    TO(NEW) | TO(ADD) | TO(STORE) | TO(PROVE) | TO(RETIRE) | TO(RETRACT) | TO(SWEEP) |
		TO(UNDO) | TO(DISCARD) | TO(END) },
	[SG_JOB_RENEW] = { "renew",
	    TO(NEW) | TO(GENERATE) | TO(REQUEST) | TO(SIGN) | TO(PUBLISH) | TO(ADD) | TO(STORE) |
		TO(PROVE) | TO(RETIRE) | TO(RETRACT) | TO(SWEEP) | TO(UNDO) | TO(DISCARD) |
		TO(END) },
	[SG_JOB_REVOKE] = { "revoke", TO(NEW) | TO(REVOKE_IT) | TO(RETRACT) | TO(SWEEP) | TO(END) },
	[SG_JOB_SPARE] = { "spare",
	    TO(NEW) | TO(ADD) | TO(STORE) | TO(PROVE) | TO(RETURN) | TO(UNDO) | TO(DISCARD) |
		TO(END) },
};

const char *sg_job_kind_name(uint32_t kind)
{
	return kinds[kind].name;
}

const char *sg_job_state_name(uint32_t state)
{
	return states[state].name;
}

int sg_job_may(uint32_t kind, uint32_t from, uint32_t to)
{
	return kind < SG_JOB_KINDS && from < SG_JOB_STATES && to < SG_JOB_STATES &&
	    (kinds[kind].states & (1u << from)) != 0 && (kinds[kind].states & (1u << to)) != 0 &&
	    (states[from].next & (1u << to)) != 0;
}

/* ---- making and finding them ---- */

static void on_timer(evutil_socket_t fd, short what, void *arg);

static struct sg_job *job_new(struct sg_account *account)
{
	struct sg_job *job = calloc(1, sizeof(*job));

	if (job == NULL)
		return NULL;
	job->account = account;
	job->delay = SG_JOB_DELAY_MIN;
	TAILQ_INIT(&job->waiters);
	job->timer = evtimer_new(account->agent->base, on_timer, job);
	if (job->timer == NULL) {
		free(job);
		return NULL;
	}
	TAILQ_INSERT_TAIL(&account->jobs, job, entry);
	return job;
}

static void job_free(struct sg_job *job)
{
	struct sg_job_waiter *waiter;

	/* Their calls are not ended: the agent ends. */
	while ((waiter = TAILQ_FIRST(&job->waiters)) != NULL) {
		TAILQ_REMOVE(&job->waiters, waiter, entry);
		sg_call_free(waiter->call);
		free(waiter);
	}
	TAILQ_REMOVE(&job->account->jobs, job, entry);
	event_free(job->timer);
	free(job->selector);
	free(job->unrevoked);
	sg_job_row_clear(&job->row);
	sg_failure_clear(&job->outcome);
	free(job);
}

static void wake(struct sg_job *job)
{
	static const struct timeval now = { 0, 0 };

	if (!job->account->agent->stopping && job->call == NULL)
		evtimer_add(job->timer, &now); /* without memory the next start finds it */
}

/* Until the job's next try by itself; somebody's turn takes the timer meanwhile. */
static void wait_on(struct sg_job *job)
{
	int64_t left = job->again_ms - sg_clock_ms();
	struct timeval delay = { 0, 0 };

	if (left > 0)
		delay = (struct timeval){ left / 1000, left % 1000 * 1000 };
	evtimer_add(job->timer, &delay);
}

static int on_row(void *arg, struct sg_job_row *row)
{
	struct sg_job *job = job_new(arg);

	if (job == NULL)
		return SG_ERR_NOMEM;
	job->row = *row;
	memset(row, 0, sizeof(*row));
	job->undone = job->row.state == SG_JOB_UNDO || job->row.state == SG_JOB_DISCARD;
	sg_log(SG_LOG_INFO, "%s: a job (%s) goes on with the state %s", job->row.jid,
	    kinds[job->row.kind].name, states[job->row.state].name);
	wake(job);
	return 0;
}

int sg_jobs_load(struct sg_agent *agent)
{
	struct sg_account *account;
	int err = 0;

	for (account = sg_accounts_first(agent->accounts); err == 0 && account != NULL;
	     account = sg_accounts_next(account))
		err = sg_store_jobs(agent->store, account->row.jid, on_row, account);
	return err;
}

void sg_jobs_free(struct sg_account *account)
{
	struct sg_job *job, *next;

	for (job = TAILQ_FIRST(&account->jobs); job != NULL; job = next) {
		next = TAILQ_NEXT(job, entry);
		if (job->call != NULL)
			job->call->state_free = NULL;
		job_free(job);
	}
}

struct sg_job *sg_job_of_certificate(const struct sg_account *account)
{
	struct sg_job *job;

	TAILQ_FOREACH(job, &account->jobs, entry) {
		if (job->row.kind != SG_JOB_REVOKE && job->row.state != SG_JOB_END)
			return job;
	}
	return NULL;
}

struct sg_job *sg_job_of_revocation(const struct sg_account *account, const char *sha256)
{
	struct sg_job *job;

	TAILQ_FOREACH(job, &account->jobs, entry) {
		if (job->row.kind == SG_JOB_REVOKE && job->row.state != SG_JOB_END &&
		    strcmp(job->row.sha256, sha256) == 0)
			return job;
	}
	return NULL;
}

struct sg_job *sg_job_begin(struct sg_account *account, enum sg_job_kind kind)
{
	struct sg_job *job = job_new(account);

	if (job == NULL)
		return NULL;
	job->row.kind = kind;
	job->row.begun = time(NULL);
	job->row.jid = strdup(account->row.jid);
	if (job->row.jid == NULL) {
		job_free(job);
		return NULL;
	}
	return job;
}

void sg_job_drop(struct sg_job *job)
{
	job_free(job);
}

/* ---- the end of a run ---- */

/* The call is no longer the job's. */
static void release(struct sg_job *job)
{
	struct sg_call *call = job->call;

	call->state = NULL;
	call->state_free = NULL;
	call->undo = NULL;
	job->call = NULL;
	job->is_alone = 0;
	job->features_known = 0;
	if (job->row.state == SG_JOB_END || job->row.state == SG_JOB_NEW ||
	    !TAILQ_EMPTY(&job->waiters))
		wake(job);
}

static void on_left(void *arg, const struct sg_msg_error *error)
{
	sg_account_unref(arg);
}

static struct sg_job *other_that_runs(const struct sg_job *job)
{
	struct sg_job *other;

	TAILQ_FOREACH(other, &job->account->jobs, entry) {
		if (other != job && other->call != NULL)
			return other;
	}
	return NULL;
}

/* Offline again, where it was the job that put the account online; not where a call wants it online by now, and of
 * several jobs the last one does it. */
static void leave_as_it_was(struct sg_job *job)
{
	struct sg_account *account = job->account;
	struct sg_job *other = other_that_runs(job);

	if (job->was_online || account->is_wanted || account->state != SG_ACCOUNT_ONLINE)
		return;
	if (other != NULL)
		other->was_online = 0;
	else
		sg_account_go_offline(account, on_left, sg_account_ref(account));
}

static void tell(const struct sg_job *job, enum sg_news news, const char *why)
{
	char *text = NULL;

	if (asprintf(&text, "%s%s%s", kinds[job->row.kind].name, why != NULL ? ": " : "",
		why != NULL ? why : "") < 0)
		text = NULL;
	sg_events_tell_key(job->account->agent, news, job->row.jid, job->row.sha256, text);
	free(text);
}

/* Into the store, then here. */
static int change(struct sg_job *job, enum sg_job_state next)
{
	struct sg_store *store = job->account->agent->store;
	uint32_t before = job->row.state;
	int err = 0;

	if (!sg_job_may(job->row.kind, before, next)) {
		sg_log(SG_LOG_ERROR, "%s: a job (%s) may not go from %s to %s", job->row.jid,
		    kinds[job->row.kind].name, states[before].name, states[next].name);
		return SG_ERR_INTERNAL;
	}
	if (job->account->removed)
		return SG_ERR_ACCOUNT_ABSENT;
	job->row.state = next;
	if (next != SG_JOB_END)
		err = sg_store_job_put(store, &job->row);
	else if (job->row.id != 0)
		err = sg_store_job_delete(store, job->row.id);
	if (err != 0)
		job->row.state = before;
	else if (next == SG_JOB_UNDO)
		job->undone = 1;
	return err;
}

static void wait_for(struct sg_job *job, const struct sg_msg_error *error)
{
	uint32_t code = (uint32_t)-sg_msg_error_code(error);
	int is_news = code != job->row.waits;

	free(job->row.waits_text);
	job->row.waits_text = sg_text_copy(sg_failure_text(error));
	job->row.waits = code;
	job->row.tries++;
	if (!job->account->removed && sg_store_job_put(job->account->agent->store, &job->row) != 0)
		sg_log(SG_LOG_WARN, "%s: what a job waits for could not be stored", job->row.jid);
	sg_log(SG_LOG_INFO, "%s: a job (%s) waits in its state %s: %s", job->row.jid,
	    kinds[job->row.kind].name, states[job->row.state].name, sg_failure_text(error));
	if (job->account->agent->stopping)
		return;
	if (is_news)
		tell(job, SG_NEWS_JOB_WAITS, sg_failure_text(error));
	job->again_ms = sg_clock_ms() + job->delay * INT64_C(1000);
	wait_on(job);
	job->delay = 2 * job->delay < SG_JOB_DELAY_MAX ? 2 * job->delay : SG_JOB_DELAY_MAX;
}

/* It can never succeed. */
static void come_to_nothing(
    struct sg_job *job, enum sg_job_state before, const struct sg_msg_error *error)
{
	sg_log(SG_LOG_WARN, "%s: a job (%s) came to nothing in its state %s: %s", job->row.jid,
	    kinds[job->row.kind].name, states[before].name, sg_failure_text(error));
	tell(job, SG_NEWS_JOB_FAILED, sg_failure_text(error));
}

/* The call's answer when the job is done. */
static json_t *reply_of(const struct sg_job *job)
{
	if (job->undone)
		return json_pack("{s:o}", "unrevoked", sg_json_text(job->unrevoked));
	if (job->row.kind == SG_JOB_REVOKE)
		return json_object();
	return json_pack("{s:s, s:s, s:o, s:o}", "step", "done", "text",
	    "the certificate is proven by a login", "certificate",
	    sg_json_certificate(&job->row.cert, job->row.cert_uri), "account",
	    sg_json_account(job->account));
}

/* What becomes of the job when its call fails. */
static void run_failed(struct sg_job *job, const struct sg_msg_error *error)
{
	enum sg_job_state before = job->row.state;
	enum sg_job_state next = before;
	int was_undone = job->undone;

	leave_as_it_was(job);
	if (before == SG_JOB_NEW)
		next = SG_JOB_END;
	else if (states[before].failed != NULL)
		next = states[before].failed(job, error);
	if (next != before && change(job, next) != 0)
		next = before;
	if (next == before)
		wait_for(job, error);
	else if (before == SG_JOB_SWEEP) /* all is done but for what lies on a token that is gone */
		tell(job, SG_NEWS_JOB_DONE, NULL);
	else if (before != SG_JOB_NEW)
		come_to_nothing(job, before, error);
	/* Of what is undone, the reason why it is; not what then is in the way of that. */
	if ((next == SG_JOB_END || next == SG_JOB_UNDO) && before != SG_JOB_SWEEP && !was_undone)
		sg_failure_copy(&job->outcome, error);
	release(job);
	if (next != before)
		wake(job);
}

static void on_failed(struct sg_call *call, const struct sg_msg_error *error)
{
	run_failed(call->state, error);
}

json_t *sg_job_clean_up_later(const struct sg_call *call, const struct sg_msg_error *error)
{
	struct sg_job *job = call->state;
	json_t *reply = reply_of(job);

	run_failed(job, error);
	return reply;
}

/* The call is freed without an end: the agent ends. */
static void on_call_freed(void *state)
{
	struct sg_job *job = state;

	job->call = NULL;
}

/* ---- a run ---- */

void sg_job_go(struct sg_call *call, enum sg_job_state next)
{
	struct sg_job *job = call->state;
	json_t *reply;
	int err;

	job->row.waits = 0;
	free(job->row.waits_text);
	job->row.waits_text = NULL;
	err = change(job, next);
	if (err != 0) {
		sg_call_fail_code(call, err, job->row.jid);
	} else if (next != SG_JOB_END) {
		states[next].enter(call);
	} else {
		if (job->row.kind == SG_JOB_RENEW) /* which the agent may have begun by itself */
			leave_as_it_was(job);
		if (!job->undone)
			tell(job, SG_NEWS_JOB_DONE, NULL);
		reply = reply_of(job);
		call->rescue = NULL;
		release(job);
		sg_call_reply(call, reply);
	}
}

void sg_job_run(struct sg_job *job, struct sg_call *call)
{
	if (job->row.state == SG_JOB_END) {
		if (job->outcome.code != 0)
			sg_call_fail(call, &job->outcome);
		else
			sg_call_reply(call, reply_of(job));
		return;
	}
	evtimer_del(job->timer);
	job->call = call;
	job->is_held = 0;
	job->resumed = job->row.state != SG_JOB_NEW;
	job->was_online = call->account->state == SG_ACCOUNT_ONLINE;
	call->state = job;
	call->state_free = on_call_freed;
	call->undo = on_failed;
	states[job->row.state].enter(call);
}

void sg_job_cancel(struct sg_job *job, struct sg_call *call)
{
	int err = job->row.state != SG_JOB_UNDO && job->row.state != SG_JOB_DISCARD
	    ? change(job, SG_JOB_UNDO)
	    : 0;

	if (err != 0)
		sg_call_fail_code(call, err, job->row.jid);
	else
		sg_job_run(job, call);
}

/* A call of nobody, with nothing to unlock a token or to log in with but what is there. */
static struct sg_call *own_call(struct sg_job *job)
{
	struct sg_call *call = calloc(1, sizeof(*call));

	if (call == NULL)
		return NULL;
	call->agent = job->account->agent;
	sg_call_enter_account(call, job->account);
	call->oneway = 1;
	call->password_fd = -1;
	sg_pin_init(&call->pin);
	call->caller.uid = getuid();
	call->caller.pid = (uint32_t)getpid();
	if (asprintf(&call->name, "job %s %s", kinds[job->row.kind].name, job->row.jid) < 0)
		call->name = NULL;
	call->caller.purpose = sg_text_copy(call->name);
	return call;
}

int sg_job_intend(struct sg_job *job)
{
	if (job->row.state == SG_JOB_NEW)
		return change(job, SG_JOB_REVOKE_IT);
	return sg_store_job_put(job->account->agent->store, &job->row);
}

int sg_job_give_up(struct sg_job *job, int code, const char *why)
{
	int err = change(job, SG_JOB_END);

	if (err != 0)
		return err;
	sg_log(SG_LOG_WARN, "%s: a job (%s) is given up: %s", job->row.jid,
	    kinds[job->row.kind].name, why);
	sg_failure_clear(&job->outcome);
	sg_msg_error_set(&job->outcome, code, job->row.jid, "%s", why);
	tell(job, SG_NEWS_JOB_FAILED, why);
	wake(job);
	return 0;
}

void sg_job_run_alone(struct sg_job *job)
{
	struct sg_call *call = own_call(job);

	if (call == NULL && job->row.state == SG_JOB_NEW)
		job_free(job);
	if (call == NULL)
		return;
	job->is_alone = 1;
	sg_job_run(job, call);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct sg_job *job = arg;
	struct sg_job_waiter *waiter = TAILQ_FIRST(&job->waiters);

	if (job->call != NULL || job->account->agent->stopping)
		return;
	if (waiter != NULL) {
		TAILQ_REMOVE(&job->waiters, waiter, entry);
		if (!TAILQ_EMPTY(&job->waiters) || job->row.state == SG_JOB_END)
			wake(job);
		else
			wait_on(job);
		waiter->fn(waiter->call, job);
		free(waiter);
	} else if (job->row.state == SG_JOB_END || job->row.state == SG_JOB_NEW) {
		sg_renewing_ended(job->account,
		    job->row.kind == SG_JOB_RENEW && job->outcome.code != 0 ? &job->outcome : NULL);
		job_free(job);
	} else {
		sg_job_run_alone(job);
	}
}

void sg_job_when_idle(struct sg_job *job, struct sg_call *call, sg_job_turn_fn *fn)
{
	struct sg_job_waiter *waiter;

	if (job->call == NULL) {
		fn(call, job);
		return;
	}
	waiter = malloc(sizeof(*waiter));
	if (waiter == NULL) {
		sg_call_fail_code(call, SG_ERR_NOMEM, NULL);
		return;
	}
	*waiter = (struct sg_job_waiter){ .call = call, .fn = fn };
	TAILQ_INSERT_TAIL(&job->waiters, waiter, entry);
}

int sg_jobs_have_caller(const struct sg_account *account, const struct sg_caller *caller)
{
	const struct sg_job *job;
	const struct sg_call *call;

	TAILQ_FOREACH(job, &account->jobs, entry) {
		for (call = job->call; call != NULL; call = call->doing) {
			if (&call->caller == caller)
				return 1;
		}
	}
	return 0;
}

/* ---- what they wait for ---- */

static void go_on(struct sg_job *job)
{
	job->delay = SG_JOB_DELAY_MIN;
	job->again_ms = 0;
	wake(job);
}

void sg_jobs_account_ready(struct sg_account *account)
{
	struct sg_job *job;

	TAILQ_FOREACH(job, &account->jobs, entry) {
		if (job->row.waits != 0)
			go_on(job);
	}
}

void sg_jobs_token_ready(struct sg_agent *agent)
{
	struct sg_account *account;
	struct sg_job *job;

	for (account = sg_accounts_first(agent->accounts); account != NULL;
	     account = sg_accounts_next(account)) {
		TAILQ_FOREACH(job, &account->jobs, entry) {
			/* What is an account's or its server's doing has nothing to do with a
			 * token: error.h numbers that from here on. */
			if (job->row.waits != 0 && job->row.waits < -SG_ERR_ACCOUNT_ABSENT)
				go_on(job);
		}
	}
}

void sg_jobs_account_unused(struct sg_account *account)
{
	struct sg_job *job;

	TAILQ_FOREACH(job, &account->jobs, entry) {
		if (job->is_held)
			go_on(job);
	}
}
