#include "remember.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "events.h"
#include "find.h"
#include "log.h"
#include "logind.h"
#include "login.h"
#include "reaper.h"
#include "rest.h"
#include "text.h"
#include "unlocked.h"
#include "uri.h"

struct sg_remembered {
	TAILQ_ENTRY(sg_remembered) entry;
	struct sg_agent *agent;
	struct sg_module *module;
	char *uri;
	char *label;
	struct sg_buf info; /* SG_MSG_TOKENS of it alone; empty without memory */
	int is_away;
	struct sg_pin_policy policy;
	struct event *timer; /* of "minutes" and "idle"; or NULL */
	unsigned holds;	     /* calls that use it, with "always" and "idle" */
	const char *locking; /* it is being locked, for this reason; or NULL */
	int listed;	     /* in the list: else it is locked, and goes with its last hold */
};

TAILQ_HEAD(remembered_list, sg_remembered);

struct sg_remembering {
	struct remembered_list tokens;
	unsigned ending;       /* processes that are waited for */
	sg_forgotten_fn *done; /* of the one that waits for all to be forgotten */
	void *arg;
};

int sg_remember_new(struct sg_remembering **remember)
{
	*remember = calloc(1, sizeof(**remember));
	if (*remember == NULL)
		return SG_ERR_NOMEM;
	TAILQ_INIT(&(*remember)->tokens);
	return 0;
}

static void token_free(struct sg_remembered *token)
{
	if (token->timer != NULL)
		event_free(token->timer);
	free(token->uri);
	free(token->label);
	sg_buf_clear(&token->info);
	free(token);
}

/* It is unlocked no more; those who hold it do not notice. */
static void token_drop(struct sg_remembering *remember, struct sg_remembered *token)
{
	TAILQ_REMOVE(&remember->tokens, token, entry);
	token->listed = 0;
	if (token->timer != NULL)
		event_del(token->timer);
	if (token->holds == 0)
		token_free(token);
}

void sg_remember_free(struct sg_remembering *remember)
{
	struct sg_remembered *token;

	if (remember == NULL)
		return;
	while ((token = TAILQ_FIRST(&remember->tokens)) != NULL)
		/* The analyzer does not see that TAILQ_REMOVE gives the list another first. */
		token_drop(remember, token); /* NOLINT(clang-analyzer-unix.Malloc) */
	free(remember);
}

static struct sg_remembered *token_find(
    const struct sg_remembering *remember, const struct sg_module *module, const char *uri)
{
	struct sg_remembered *token;

	TAILQ_FOREACH(token, &remember->tokens, entry) {
		if (token->module == module && strcmp(token->uri, uri) == 0)
			return token;
	}
	return NULL;
}

/* ---- locking ---- */

static void tell_forgotten(struct sg_remembering *remember)
{
	sg_forgotten_fn *done = remember->done;

	if (done == NULL || !TAILQ_EMPTY(&remember->tokens) || remember->ending > 0)
		return;
	remember->done = NULL;
	done(remember->arg);
}

static void on_ended(void *arg)
{
	struct sg_remembering *remember = arg;

	remember->ending--;
	tell_forgotten(remember);
}

/* A module may keep more of a PIN than C_Logout wipes. */
static void module_rest(struct sg_module *module)
{
	struct sg_agent *agent = module->agent;
	pid_t pid = sg_worker_pid(module->worker);

	sg_rest_locked(module);
	if (pid > 0 && sg_reaper_wait(agent->reaper, pid, on_ended, agent->remember))
		agent->remember->ending++;
}

static void token_is_locked(struct sg_remembered *token, const char *reason)
{
	struct sg_agent *agent = token->agent;
	struct sg_module *module = token->module;
	int resume = token->locking != NULL;
	char *uri = sg_text_copy(token->uri);

	sg_log(SG_LOG_INFO, "%s is locked: %s", token->uri, reason);
	sg_unlocked_forget(agent, module, token->uri);
	sg_events_tell(agent, SG_NEWS_LOCKED, token->uri, token->label, NULL, reason);
	token_drop(agent->remember, token);
	if (resume && uri != NULL)
		sg_login_resume(agent, module, uri);
	free(uri);
	module_rest(module);
	tell_forgotten(agent->remember);
}

struct locking {
	struct sg_agent *agent;
	struct sg_module *module;
	char *uri;
};

/* A PIN is wiped first, whatever the token then does. One that is not logged out goes with its
 * process. */
static void on_locked(void *arg, const struct sg_msg_error *error, void *answer)
{
	struct locking *locking = arg;
	struct sg_remembered *token =
	    token_find(locking->agent->remember, locking->module, locking->uri);

	if (error != NULL && sg_msg_error_code(error) != SG_ERR_TOKEN_ABSENT &&
	    sg_worker_pid(locking->module->worker) > 0 && token != NULL) {
		sg_log(SG_LOG_WARN, "%s could not be locked (%s): its worker is ended",
		    locking->uri, sg_err_name(sg_msg_error_code(error)));
		sg_worker_stop(locking->module->worker, SG_ERR_WORKER);
		token = token_find(locking->agent->remember, locking->module, locking->uri);
	}
	if (token != NULL && token->locking != NULL)
		token_is_locked(token, token->locking);
	free(locking->uri);
	free(locking);
}

/* Calls that need it from now on wait until it is locked, and then unlock it anew. */
static void token_lock(struct sg_remembered *token, const char *reason, int seconds)
{
	struct sg_agent *agent = token->agent;
	char purpose[] = "remember";
	struct sg_msg_token_ref msg = {
		.caller = { .uid = geteuid(), .pid = (uint32_t)getpid(), .purpose = purpose },
		.token = token->uri
	};
	struct locking *locking;

	if (agent->stopping || token->locking != NULL)
		return;
	locking = malloc(sizeof(*locking));
	if (locking == NULL || (locking->uri = strdup(token->uri)) == NULL)
		abort(); /* the token would stay unlocked */
	locking->agent = agent;
	locking->module = token->module;
	token->locking = reason;
	sg_unlocked_forget(agent, token->module, token->uri);
	sg_login_pause(agent, token->module, token->uri);
	sg_worker_request(
	    token->module->worker, SG_MSG_TOKEN_LOGOUT, &msg, -1, seconds, on_locked, locking);
}

void sg_remember_locked(
    struct sg_agent *agent, struct sg_module *module, const char *token_uri, const char *reason)
{
	struct sg_remembered *token, *next;

	for (token = TAILQ_FIRST(&agent->remember->tokens); token != NULL; token = next) {
		next = TAILQ_NEXT(token, entry);
		if (token->module == module &&
		    (token_uri == NULL || strcmp(token->uri, token_uri) == 0))
			token_is_locked(token, token->locking != NULL ? token->locking : reason);
	}
}

void sg_remember_removed(struct sg_agent *agent, struct sg_module *module, const char *token_uri)
{
	struct sg_remembered *token = token_find(agent->remember, module, token_uri);

	sg_unlocked_forget(agent, module, token_uri);
	if (token != NULL && token->policy.remember != SG_REMEMBER_LOCK)
		sg_remember_locked(agent, module, token_uri, "it was removed");
	else if (token != NULL)
		token->is_away = 1;
}

void sg_remember_returned(struct sg_agent *agent, struct sg_module *module, const char *token_uri)
{
	struct sg_remembered *token = token_find(agent->remember, module, token_uri);

	if (token != NULL)
		token->is_away = 0;
}

void sg_remember_forget_all(
    struct sg_agent *agent, const char *reason, sg_forgotten_fn *done, void *arg)
{
	struct sg_remembered *token, *next;

	sg_log(SG_LOG_INFO, "all PINs are forgotten: %s", reason);
	agent->remember->done = done;
	agent->remember->arg = arg;
	sg_logins_forget(agent);
	for (token = TAILQ_FIRST(&agent->remember->tokens); token != NULL; token = next) {
		next = TAILQ_NEXT(token, entry);
		token_lock(token, reason, SG_LOCK_SECONDS);
	}
	tell_forgotten(agent->remember);
}

/* ---- unlocking and use ---- */

static void on_time(evutil_socket_t fd, short what, void *arg)
{
	struct sg_remembered *token = arg;

	token_lock(token,
	    token->policy.remember == SG_REMEMBER_IDLE ? "it was not used for a while"
						       : "its time is over",
	    SG_TOKEN_SECONDS);
}

static void timer_start(struct sg_remembered *token)
{
	const struct timeval time = { (time_t)token->policy.minutes * 60, 0 };

	if (token->timer == NULL)
		token->timer = evtimer_new(token->agent->base, on_time, token);
	if (token->timer == NULL || evtimer_add(token->timer, &time) != 0)
		abort(); /* the token would stay unlocked */
}

/* A token that took a PIN has no wrong one to tell of. */
static void info_keep(struct sg_remembered *token, const struct sg_token_info *info)
{
	struct sg_token_info now = *info;
	const struct sg_msg_tokens tokens = { .tokens = &now, .token_count = 1 };

	now.flags &= ~(uint32_t)(SG_TOKEN_PIN_LOW | SG_TOKEN_PIN_FINAL | SG_TOKEN_PIN_LOCKED);
	sg_buf_clear(&token->info);
	if (sg_layout_encode(sg_msg_layout(SG_MSG_TOKENS), &tokens, &token->info) != 0)
		sg_buf_clear(&token->info);
}

int sg_remember_find(
    const struct sg_agent *agent, const char *selector, struct sg_token_ref *found, int *is_away)
{
	const struct sg_remembered *token;

	*is_away = 0;
	*found = (struct sg_token_ref){ .module = NULL };
	TAILQ_FOREACH(token, &agent->remember->tokens, entry) {
		struct sg_cursor cursor = { token->info.data, token->info.data + token->info.len };
		struct sg_msg_tokens one;

		if (token->info.len == 0 ||
		    sg_layout_decode(sg_msg_layout(SG_MSG_TOKENS), &cursor, &one) != 0)
			continue;
		if (!sg_uri_matches_token(selector, &one.tokens[0])) {
			sg_msg_clear(SG_MSG_TOKENS, &one);
			continue;
		}
		if (found->module != NULL) {
			sg_msg_clear(SG_MSG_TOKENS, &one);
			sg_token_ref_clear(found);
			return 0;
		}
		*found = (struct sg_token_ref){ .module = token->module, .tokens = one };
		*is_away = token->is_away;
	}
	return found->module != NULL;
}

static struct sg_remembered *token_add(
    struct sg_agent *agent, struct sg_module *module, const struct sg_token_info *info)
{
	struct sg_remembered *token = calloc(1, sizeof(*token));

	if (token == NULL || (token->uri = strdup(info->uri)) == NULL)
		abort(); /* the token would stay unlocked */
	token->agent = agent;
	token->module = module;
	token->label = sg_text_copy(info->label);
	token->policy = sg_config_pin_policy(&agent->config, info->label, info->serial);
	token->listed = 1;
	TAILQ_INSERT_TAIL(&agent->remember->tokens, token, entry);
	return token;
}

void sg_remember_unlocked(struct sg_agent *agent, struct sg_module *module,
    const struct sg_token_info *info, const struct sg_caller *caller)
{
	struct sg_remembered *token = token_find(agent->remember, module, info->uri);

	if (token == NULL)
		token = token_add(agent, module, info);
	info_keep(token, info);
	token->is_away = 0;
	if (token->policy.remember == SG_REMEMBER_MINUTES ||
	    (token->policy.remember == SG_REMEMBER_IDLE && token->holds == 0))
		timer_start(token);
	sg_logind_want(agent->logind);
	sg_events_tell(agent, SG_NEWS_UNLOCKED, token->uri, token->label, caller, NULL);
}

static int is_counted(const struct sg_remembered *token)
{
	return token->policy.remember == SG_REMEMBER_ALWAYS ||
	    token->policy.remember == SG_REMEMBER_IDLE;
}

int sg_remember_has(struct sg_agent *agent, struct sg_module *module, const char *token_uri)
{
	return token_find(agent->remember, module, token_uri) != NULL;
}

int sg_remember_any(struct sg_agent *agent, const struct sg_module *module)
{
	const struct sg_remembered *token;

	TAILQ_FOREACH(token, &agent->remember->tokens, entry) {
		if (token->module == module)
			return 1;
	}
	return 0;
}

int sg_remember_any_but(
    struct sg_agent *agent, const struct sg_module *module, const char *token_uri)
{
	const struct sg_remembered *token;

	TAILQ_FOREACH(token, &agent->remember->tokens, entry) {
		if (token->module == module && strcmp(token->uri, token_uri) != 0)
			return 1;
	}
	return 0;
}

int sg_remember_wants_use(struct sg_agent *agent, struct sg_module *module, const char *token_uri)
{
	const struct sg_remembered *token = token_find(agent->remember, module, token_uri);

	return token != NULL && is_counted(token);
}

void sg_remember_use(
    struct sg_agent *agent, struct sg_module *module, const char *token_uri, struct sg_uses *uses)
{
	struct sg_remembered *token = token_find(agent->remember, module, token_uri);

	if (token == NULL || !is_counted(token))
		return;
	for (size_t i = 0; i < uses->count; i++) {
		if (uses->tokens[i] == token)
			return;
	}
	if (uses->count == SG_USES_MAX)
		return;
	uses->tokens[uses->count++] = token;
	token->holds++;
	if (token->timer != NULL)
		event_del(token->timer);
}

void sg_remember_let_go(struct sg_uses *uses)
{
	while (uses->count > 0) {
		struct sg_remembered *token = uses->tokens[--uses->count];

		if (--token->holds > 0)
			continue;
		if (!token->listed)
			token_free(token);
		else if (token->policy.remember == SG_REMEMBER_ALWAYS)
			token_lock(token, "its call is over", SG_TOKEN_SECONDS);
		else
			timer_start(token);
	}
}
