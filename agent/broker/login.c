#include "login.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "jobs.h"
#include "ledger.h"
#include "log.h"
#include "pin_source.h"
#include "pinentry.h"
#include "reaper.h"
#include "rest.h"
#include "store.h"
#include "unlocked.h"

static const char caller_gone[] = "whoever asked for it has gone";

struct waiter {
	TAILQ_ENTRY(waiter) entry;
	const struct sg_caller *caller;
	struct sg_pin *pin;
	int by_hand;
	sg_done_fn *fn;
	void *arg;
};

/* One login that runs. The first waiter is the one whose PIN is used. */
struct login {
	TAILQ_ENTRY(login) entry;
	struct sg_agent *agent;
	struct sg_module *module;
	char *token_uri;
	char *name;
	pid_t pinentry;		      /* 0: none */
	int pinentry_sock;	      /* what the worker has of it too, to end their talk; or -1 */
	int from_config;	      /* the PIN came from the configuration's pin-source */
	struct timespec source_mtime; /* ... as it was then */
	int made;		      /* the token was locked, and took the PIN */
	int forgotten;		      /* all PINs were forgotten meanwhile: it is locked again */
	int announced;		      /* a PIN was about to be tried, or was */
	int by_person;		      /* ... which a person enters, or wants to be tried */
	int asked;		      /* it has begun; before, it waits for sg_login_resume() */
	struct sg_msg_tokens token;   /* as it was before, once it is known */
	TAILQ_HEAD(waiter_list, waiter) waiters;
};

/* A token that a person has locked, by its name (sg_ledger_name()). */
struct hand_lock {
	TAILQ_ENTRY(hand_lock) entry;
	char *name;
};

/* A token that is being locked, or gets a new PIN. */
struct pause {
	TAILQ_ENTRY(pause) entry;
	const struct sg_module *module;
	char *token_uri;
};

struct sg_logins {
	TAILQ_HEAD(pause_list, pause) paused;
	TAILQ_HEAD(login_list, login) running;
	TAILQ_HEAD(hand_lock_list, hand_lock) locked;
};

void sg_pin_init(struct sg_pin *pin)
{
	*pin = (struct sg_pin){ .fd = -1, .changing_sock = -1 };
}

void sg_pin_clear(struct sg_pin *pin)
{
	if (pin->fd >= 0)
		close(pin->fd);
	for (uint32_t i = 0; i < pin->option_count; i++)
		free(pin->options[i]);
	free(pin->display);
	sg_remember_let_go(&pin->uses);
	sg_pin_init(pin);
}

int sg_logins_new(struct sg_logins **logins)
{
	*logins = calloc(1, sizeof(**logins));
	if (*logins == NULL)
		return SG_ERR_NOMEM;
	TAILQ_INIT(&(*logins)->running);
	TAILQ_INIT(&(*logins)->locked);
	TAILQ_INIT(&(*logins)->paused);
	return 0;
}

static void login_free(struct login *login)
{
	struct waiter *waiter;

	if (login->pinentry_sock >= 0)
		close(login->pinentry_sock);
	while ((waiter = TAILQ_FIRST(&login->waiters)) != NULL) {
		TAILQ_REMOVE(&login->waiters, waiter, entry);
		free(waiter);
	}
	free(login->token_uri);
	free(login->name);
	sg_msg_clear(SG_MSG_TOKENS, &login->token);
	free(login);
}

static void hand_lock_remove(struct sg_logins *logins, struct hand_lock *lock)
{
	TAILQ_REMOVE(&logins->locked, lock, entry);
	free(lock->name);
	free(lock);
}

static void pause_remove(struct sg_logins *logins, struct pause *pause)
{
	TAILQ_REMOVE(&logins->paused, pause, entry);
	free(pause->token_uri);
	free(pause);
}

void sg_logins_free(struct sg_logins *logins)
{
	struct login *login;

	if (logins == NULL)
		return;
	while (!TAILQ_EMPTY(&logins->locked))
		/* The analyzer does not see that TAILQ_REMOVE gives the list another first. */
		hand_lock_remove(/* NOLINT(clang-analyzer-unix.Malloc) */
		    logins, TAILQ_FIRST(&logins->locked));
	while (!TAILQ_EMPTY(&logins->paused))
		pause_remove(/* NOLINT(clang-analyzer-unix.Malloc) */
		    logins, TAILQ_FIRST(&logins->paused));
	while ((login = TAILQ_FIRST(&logins->running)) != NULL) {
		TAILQ_REMOVE(&logins->running, login, entry);
		login_free(login);
	}
	free(logins);
}

/* ---- tokens that a person has locked ---- */

static struct hand_lock *hand_lock_find(const struct sg_logins *logins, const char *name)
{
	struct hand_lock *lock;

	TAILQ_FOREACH(lock, &logins->locked, entry) {
		if (strcmp(lock->name, name) == 0)
			return lock;
	}
	return NULL;
}

void sg_login_lock(struct sg_agent *agent, const char *name)
{
	struct sg_logins *logins = agent->logins;
	struct hand_lock *lock;

	if (hand_lock_find(logins, name) != NULL)
		return;
	lock = calloc(1, sizeof(*lock));
	if (lock == NULL || (lock->name = strdup(name)) == NULL)
		abort(); /* the token would be unlocked against a person's word */
	TAILQ_INSERT_TAIL(&logins->locked, lock, entry);
}

/* The token is unlocked: because a person wants it, or by the PIN file alone. */
static void hand_lock_end(const struct login *login)
{
	struct hand_lock *lock = hand_lock_find(login->agent->logins, login->name);
	int wanted = login->made && !login->from_config;
	const struct waiter *waiter;

	TAILQ_FOREACH(waiter, &login->waiters, entry) {
		wanted = wanted || waiter->by_hand;
	}
	if (lock != NULL && wanted)
		hand_lock_remove(login->agent->logins, lock);
}

/* ---- its end ---- */

static int has_pin(const struct waiter *waiter)
{
	return waiter->pin->fd >= 0 || waiter->pin->pinentry;
}

/* Whether the login failed before a PIN was there to be tried, for reasons of who was to bring
 * it. */
static int had_no_pin(const struct sg_msg_error *error)
{
	static const int codes[] = { SG_ERR_PIN_NEEDED, SG_ERR_TIMEOUT, SG_ERR_FORMAT, SG_ERR_LIMIT,
		SG_ERR_IO, SG_ERR_UNSUPPORTED };

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		if (sg_msg_error_code(error) == codes[i])
			return 1;
	}
	return 0;
}

/* A waiter that brought a PIN, or a person's word, is not answered by another's lack of one, nor
 * anybody by another's going away: it makes its own login. */
static int wants_own_login(const struct login *login, const struct waiter *waiter,
    int first_has_gone, const struct sg_msg_error *error)
{
	return error != NULL && !login->announced && had_no_pin(error) &&
	    (has_pin(waiter) || waiter->by_hand || first_has_gone);
}

/* The token is unlocked. */
static void login_good(struct login *login)
{
	struct sg_agent *agent = login->agent;
	const struct waiter *waiter;

	hand_lock_end(login);
	if (login->made && TAILQ_FIRST(&login->waiters)->caller->pid != (uint32_t)getpid())
		sg_jobs_token_ready(agent);
	if (login->made)
		sg_remember_unlocked(agent, login->module, &login->token.tokens[0],
		    TAILQ_FIRST(&login->waiters)->caller);
	TAILQ_FOREACH(waiter, &login->waiters, entry) {
		sg_remember_use(agent, login->module, login->token_uri, &waiter->pin->uses);
	}
	if (!sg_remember_wants_use(agent, login->module, login->token_uri))
		sg_unlocked_note(login->module, login->token_uri);
}

static void login_finish(struct login *login, const struct sg_msg_error *error)
{
	struct sg_agent *agent = login->agent;
	int first_has_gone = TAILQ_FIRST(&login->waiters)->pin->abandoned;
	struct waiter *waiter;
	int first = 1;

	TAILQ_REMOVE(&agent->logins->running, login, entry);
	if (error == NULL)
		login_good(login);
	if (login->pinentry > 0)
		sg_reaper_add(agent->reaper, login->pinentry, SG_PINENTRY_GRACE_MS);
	if (login->pinentry_sock >= 0)
		close(login->pinentry_sock);
	login->pinentry_sock = -1;
	while ((waiter = TAILQ_FIRST(&login->waiters)) != NULL) {
		TAILQ_REMOVE(&login->waiters, waiter, entry);
		if (!first && wants_own_login(login, waiter, first_has_gone, error))
			sg_login_unlock(agent, waiter->caller, login->module, login->token_uri,
			    waiter->pin, waiter->by_hand, waiter->fn, waiter->arg);
		else
			waiter->fn(waiter->arg, error);
		free(waiter);
		first = 0;
	}
	login_free(login);
}

/* With a sentence, and what is to stand at its end. */
static void login_fail(struct login *login, int code, const char *sentence, const char *detail)
{
	struct sg_msg_error error = { 0 };

	sg_msg_error_set(&error, code, login->token_uri, "%s%s", sentence, detail);
	login_finish(login, &error);
	sg_failure_clear(&error);
}

/* ---- the PIN that the configuration names ---- */

/* Whether a person has locked the token and nobody asked for just this unlocking. */
static int is_locked_by_hand(const struct login *login)
{
	return hand_lock_find(login->agent->logins, login->name) != NULL &&
	    !TAILQ_FIRST(&login->waiters)->by_hand;
}

/* Gives a descriptor, or -1 when the login has failed with the reason. */
static int pin_from_config(struct login *login, const struct sg_pin_ledger *ledger)
{
	const struct sg_token_info *token = &login->token.tokens[0];
	const char *path = sg_config_pin_file(&login->agent->config, token->label, token->serial);
	const char *refusal;
	int fd;

	if (path == NULL) {
		login_fail(login, SG_ERR_PIN_NEEDED, sg_err_text(SG_ERR_PIN_NEEDED), "");
		return -1;
	}
	if (is_locked_by_hand(login)) {
		login_fail(login, SG_ERR_PIN_NEEDED,
		    "the token was locked by hand, so a person must unlock it; not used: "
		    "pin-source ",
		    path);
		return -1;
	}
	refusal = sg_pin_source_refusal(token, ledger);
	if (refusal != NULL) {
		login_fail(login, SG_ERR_PIN_NEEDED, refusal, path);
		return -1;
	}
	fd = sg_pin_source_open(path, &login->source_mtime);
	if (fd < 0)
		login_fail(
		    login, SG_ERR_PIN_NEEDED, "the configured pin-source cannot be used: ", path);
	return fd;
}

/* ---- the login ---- */

static void on_locked_again(void *arg, const struct sg_msg_error *error, void *answer)
{
	struct login *login = arg;

	login->made = 0;
	sg_rest_locked(login->module);
	if (error != NULL)
		login_finish(login, error);
	else
		login_fail(login, SG_ERR_PIN_NEEDED, "the token was locked meanwhile", "");
}

/* The word came while the login ran, and may have been done before that. */
static void lock_again(struct login *login)
{
	const struct sg_msg_token_ref msg = {
		.caller = *TAILQ_FIRST(&login->waiters)->caller,
		.token = login->token_uri,
	};

	sg_worker_request(login->module->worker, SG_MSG_TOKEN_LOGOUT, &msg, -1, SG_TOKEN_SECONDS,
	    on_locked_again, login);
}

/* What is wrong with the file, when signet-token did not try what it has; else NULL. */
static const char *no_use(const struct login *login, const struct sg_msg_error *error)
{
	if (error == NULL || !login->from_config || login->announced)
		return NULL;
	return sg_pin_source_no_use(sg_msg_error_code(error));
}

static void on_login(void *arg, const struct sg_msg_error *error, void *answer)
{
	struct login *login = arg;

	login->made = error == NULL;
	if (login->from_config)
		sg_config_pin_note(&login->agent->config, login->token.tokens[0].label,
		    login->token.tokens[0].serial, error != NULL ? sg_msg_error_code(error) : 0,
		    &login->source_mtime);
	if (no_use(login, error) != NULL) {
		login_fail(login, SG_ERR_PIN_NEEDED, no_use(login, error),
		    sg_config_pin_file(&login->agent->config, login->token.tokens[0].label,
			login->token.tokens[0].serial));
		return;
	}
	if (error != NULL)
		sg_log(SG_LOG_INFO, "login to %s failed: %s", login->token_uri,
		    sg_err_name(sg_msg_error_code(error)));
	if (login->made && (login->forgotten || (login->from_config && is_locked_by_hand(login))))
		lock_again(login);
	else
		login_finish(login, error);
}

/* The PIN that the caller brought cannot be read a second time. */
static void login_fail_spent(struct login *login, const struct sg_pin *pin)
{
	if (sg_worker_starts(login->module->worker) != pin->spent_on)
		login_fail(login, SG_ERR_WORKER,
		    "signet-token ended during the call, after it had read the PIN; it ran for ",
		    login->module->name);
	else
		login_fail(login, SG_ERR_PIN_NEEDED,
		    "the token was locked during the call, after its PIN had been read", "");
}

/* Gives the descriptor for the request, or -1 when the login has failed with the reason. */
static int login_pin(struct login *login, struct sg_msg_token_login *msg)
{
	struct sg_pin *pin = TAILQ_FIRST(&login->waiters)->pin;
	int err;

	if (pin->pinentry && pin->abandoned) {
		login_fail(login, SG_ERR_PIN_NEEDED, caller_gone, "");
		return -1;
	}
	if (pin->pinentry) {
		err = sg_pinentry_start(login->agent->config.pinentry, pin->display,
		    &login->pinentry, &login->pinentry_sock);
		if (err != 0) {
			login_fail(login, err,
			    "no pinentry could be started: ", login->agent->config.pinentry);
			return -1;
		}
		msg->source = SG_PIN_PINENTRY;
		msg->options = pin->options;
		msg->option_count = pin->option_count;
		return login->pinentry_sock;
	}
	if (pin->fd >= 0 && pin->spent) {
		login_fail_spent(login, pin);
		return -1;
	}
	if (pin->fd >= 0)
		return pin->fd;
	login->from_config = 1;
	return pin_from_config(login, &msg->ledger);
}

static void login_send(struct login *login);

static void on_held(void *arg, const struct sg_msg_error *error, void *answer)
{
	struct login *login = arg;

	if (error != NULL && sg_msg_error_code(error) == SG_ERR_PIN_NEEDED)
		login_send(login);
	else if (error == NULL && login->forgotten)
		lock_again(login);
	else
		login_finish(login, error);
}

/* A token that is back may have waited with its PIN: nobody is asked for that. */
static void login_by_held(struct login *login)
{
	const struct waiter *first = TAILQ_FIRST(&login->waiters);
	struct sg_msg_token_login msg = { .caller = *first->caller, .token = login->token_uri };

	sg_worker_request(
	    login->module->worker, SG_MSG_TOKEN_LOGIN, &msg, -1, SG_TOKEN_SECONDS, on_held, login);
}

static void login_send(struct login *login)
{
	const struct sg_token_info *token = &login->token.tokens[0];
	struct sg_agent *agent = login->agent;
	const struct waiter *first = TAILQ_FIRST(&login->waiters);
	struct sg_pin *pin = first->pin;
	struct sg_msg_token_login msg = { .caller = *first->caller, .token = login->token_uri };
	int err = sg_ledger_get(agent, token, SG_PIN_USER, &msg.ledger);
	int fd = -1;

	if (err != 0) {
		login_fail(login, err, "no PIN is tried without the record of tries: ",
		    sg_store_failure(agent->store, err));
		return;
	}
	msg.returns = sg_config_pin_policy(&agent->config, token->label, token->serial).remember ==
	    SG_REMEMBER_LOCK;
	login->by_person = first->by_hand || pin->pinentry;
	fd = login_pin(login, &msg);
	if (fd < 0)
		goto out;
	sg_worker_request(login->module->worker, SG_MSG_TOKEN_LOGIN, &msg, fd,
	    msg.source == SG_PIN_PINENTRY ? SG_PINENTRY_SECONDS : SG_TOKEN_SECONDS, on_login,
	    login);
	if (fd == pin->fd) {
		pin->spent = 1;
		pin->spent_on = sg_worker_starts(login->module->worker);
	}
	if (login->from_config)
		close(fd);
out:
	sg_ledger_clear(&msg.ledger);
}

static struct sg_token_info *token_by_uri(const struct sg_msg_tokens *tokens, const char *uri)
{
	for (uint32_t i = 0; i < tokens->token_count; i++) {
		if (tokens->tokens[i].uri != NULL && strcmp(tokens->tokens[i].uri, uri) == 0)
			return &tokens->tokens[i];
	}
	return NULL;
}

static void on_tokens(void *arg, const struct sg_msg_error *error, void *answer)
{
	struct login *login = arg;
	struct sg_token_info *token;

	if (error != NULL) {
		login_finish(login, error);
		return;
	}
	token = token_by_uri(answer, login->token_uri);
	if (token == NULL) {
		login_fail(login, SG_ERR_TOKEN_ABSENT, "the token is gone: ", login->token_uri);
		return;
	}
	login->name = strdup(sg_ledger_name(token->serial, token->uri));
	login->token.tokens = malloc(sizeof(*token));
	if (login->name == NULL || login->token.tokens == NULL) {
		login_fail(login, SG_ERR_NOMEM, sg_err_text(SG_ERR_NOMEM), "");
		return;
	}
	login->token.tokens[0] = *token;
	login->token.token_count = 1;
	memset(token, 0, sizeof(*token));
	token = &login->token.tokens[0];
	if ((token->flags & SG_TOKEN_UNLOCKED) != 0 ||
	    (token->flags & SG_TOKEN_LOGIN_REQUIRED) == 0)
		login_finish(login, NULL);
	else if (sg_remember_has(login->agent, login->module, login->token_uri))
		login_by_held(login);
	else
		login_send(login);
}

static struct login *login_running(
    const struct sg_logins *logins, const struct sg_module *module, const char *token_uri)
{
	struct login *login;

	TAILQ_FOREACH(login, &logins->running, entry) {
		if (login->module == module && strcmp(login->token_uri, token_uri) == 0)
			return login;
	}
	return NULL;
}

static struct pause *pause_find(
    const struct sg_logins *logins, const struct sg_module *module, const char *token_uri)
{
	struct pause *pause;

	TAILQ_FOREACH(pause, &logins->paused, entry) {
		if (pause->module == module && strcmp(pause->token_uri, token_uri) == 0)
			return pause;
	}
	return NULL;
}

static void login_ask(struct login *login)
{
	static const struct sg_msg_empty nothing = { 0 };

	login->asked = 1;
	sg_worker_request(login->module->worker, SG_MSG_TOKEN_LIST, &nothing, -1, SG_TOKEN_SECONDS,
	    on_tokens, login);
}

void sg_login_unlock(struct sg_agent *agent, const struct sg_caller *caller,
    struct sg_module *module, const char *token_uri, struct sg_pin *pin, int by_hand,
    sg_done_fn *fn, void *arg)
{
	struct login *login = login_running(agent->logins, module, token_uri);
	struct waiter *waiter = calloc(1, sizeof(*waiter));
	int joins = login != NULL;

	if (waiter == NULL)
		abort(); /* the caller would wait for ever */
	*waiter = (struct waiter){
		.caller = caller, .pin = pin, .by_hand = by_hand, .fn = fn, .arg = arg
	};
	if (!joins) {
		login = calloc(1, sizeof(*login));
		if (login == NULL || (login->token_uri = strdup(token_uri)) == NULL)
			abort();
		login->agent = agent;
		login->module = module;
		login->pinentry_sock = -1;
		TAILQ_INIT(&login->waiters);
		TAILQ_INSERT_TAIL(&agent->logins->running, login, entry);
	}
	TAILQ_INSERT_TAIL(&login->waiters, waiter, entry);
	if (joins)
		sg_log(SG_LOG_DEBUG, "one more call waits for the login to %s", token_uri);
	if (!joins && pause_find(agent->logins, module, token_uri) == NULL)
		login_ask(login);
}

/* ---- tokens that are being locked, or get a new PIN ---- */

void sg_login_pause(struct sg_agent *agent, struct sg_module *module, const char *token_uri)
{
	struct pause *pause = calloc(1, sizeof(*pause));

	if (pause == NULL || (pause->token_uri = strdup(token_uri)) == NULL)
		abort(); /* a login would meet what it must not */
	pause->module = module;
	TAILQ_INSERT_TAIL(&agent->logins->paused, pause, entry);
}

void sg_login_resume(struct sg_agent *agent, struct sg_module *module, const char *token_uri)
{
	struct pause *pause = pause_find(agent->logins, module, token_uri);
	struct login *login;

	if (pause == NULL)
		return;
	pause_remove(agent->logins, pause);
	login = login_running(agent->logins, module, token_uri);
	if (login != NULL && !login->asked && pause_find(agent->logins, module, token_uri) == NULL)
		login_ask(login);
}

int sg_login_is_busy(
    const struct sg_agent *agent, const struct sg_module *module, const char *token_uri)
{
	return login_running(agent->logins, module, token_uri) != NULL ||
	    pause_find(agent->logins, module, token_uri) != NULL;
}

void sg_login_announce(
    struct sg_agent *agent, const struct sg_module *module, const char *token_uri)
{
	struct login *login = login_running(agent->logins, module, token_uri);

	if (login != NULL)
		login->announced = 1;
}

int sg_login_is_by_person(
    const struct sg_agent *agent, const struct sg_module *module, const char *token_uri)
{
	const struct login *login = login_running(agent->logins, module, token_uri);

	/* A login that waits for a new PIN tries none. */
	if (login != NULL && login->announced)
		return login->by_person;
	return pause_find(agent->logins, module, token_uri) != NULL;
}

void sg_logins_forget(struct sg_agent *agent)
{
	struct login *login;

	TAILQ_FOREACH(login, &agent->logins->running, entry) {
		login->forgotten = login->asked;
	}
}

/* ---- callers that go away ---- */

static int is_waited_for(const struct login *login)
{
	const struct waiter *waiter;

	TAILQ_FOREACH(waiter, &login->waiters, entry) {
		if (!waiter->pin->abandoned)
			return 1;
	}
	return 0;
}

/* The worker's talk with the pinentry ends at once, whatever becomes of the process. */
static void pinentry_end(struct login *login)
{
	sg_log(SG_LOG_INFO, "a pinentry is ended: %s", caller_gone);
	shutdown(login->pinentry_sock, SHUT_RDWR);
	kill(login->pinentry, SIGTERM);
	sg_reaper_add(login->agent->reaper, login->pinentry, SG_PINENTRY_GRACE_MS);
	login->pinentry = 0;
}

void sg_login_abandon(struct sg_agent *agent, struct sg_pin *pin)
{
	struct login *login;

	pin->abandoned = 1;
	if (pin->changing > 0) {
		sg_log(SG_LOG_INFO, "a pinentry is ended: %s", caller_gone);
		shutdown(pin->changing_sock, SHUT_RDWR);
		kill(pin->changing, SIGTERM);
	}
	TAILQ_FOREACH(login, &agent->logins->running, entry) {
		if (login->pinentry > 0 && !is_waited_for(login))
			pinentry_end(login);
	}
}
