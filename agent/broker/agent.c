#include "agent.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "accounts.h"
#include "collisions.h"
#include "events.h"
#include "jobs.h"
#include "key_cache.h"
#include "keyring.h"
#include "ledger.h"
#include "log.h"
#include "logind.h"
#include "login.h"
#include "notify.h"
#include "reaper.h"
#include "remember.h"
#include "renewing.h"
#include "server.h"
#include "signings.h"
#include "store.h"
#include "tokens.h"
#include "verdict.h"
#include "worker.h"

static void on_stop(evutil_socket_t signal_number, short what, void *arg)
{
	struct sg_agent *agent = arg;

	sg_log(SG_LOG_INFO, "stopping");
	event_base_loopbreak(agent->base);
}

static void on_hangup(evutil_socket_t signal_number, short what, void *arg)
{
	sg_remember_forget_all(arg, "SIGHUP", NULL, NULL);
}

/* What has to be there again after a restart. */
static int open_state(struct sg_agent *agent)
{
	char *folder = sg_config_user_path("XDG_STATE_HOME", ".local/state", "signet");
	char *file = NULL;
	char *key = NULL;
	int err = SG_ERR_NOMEM;

	if (folder == NULL)
		return SG_ERR_NOMEM;
	err = sg_config_private_folder(folder);
	if (err == 0 && asprintf(&file, "%s/agent.db", folder) < 0) {
		file = NULL;
		err = SG_ERR_NOMEM;
	}
	if (err == 0 && asprintf(&key, "%s/pin-ledger.key", folder) < 0) {
		key = NULL;
		err = SG_ERR_NOMEM;
	}
	if (err == 0)
		err = sg_store_open(file, &agent->store);
	if (err == 0)
		err = sg_ledgers_new(key, &agent->ledgers);
	free(key);
	free(file);
	free(folder);
	return err;
}

/* Ends all workers, which ends all calls, and waits for their processes. */
static void stop_workers(struct sg_agent *agent)
{
	agent->stopping = 1;
	if (agent->accounts != NULL) {
		for (struct sg_account *account = sg_accounts_first(agent->accounts);
		     account != NULL; account = sg_accounts_next(account))
			sg_worker_stop(account->worker, SG_ERR_WORKER);
	}
	if (agent->tokens != NULL) {
		for (size_t i = 0; i < sg_tokens_module_count(agent->tokens); i++)
			sg_worker_stop(sg_tokens_module(agent->tokens, i)->worker, SG_ERR_WORKER);
	}
	sg_collisions_stop(agent->collisions);
	if (agent->reaper != NULL)
		sg_reaper_drain(agent->reaper);
	/* What fails at once because we are stopping is told from the loop, and may ask once
	 * more. */
	if (agent->base != NULL) {
		for (int i = 0; i < 16; i++)
			(void)event_base_loop(agent->base, EVLOOP_NONBLOCK);
	}
}

static void agent_clear(struct sg_agent *agent)
{
	sg_server_free(agent->server);
	stop_workers(agent);
	sg_renewing_free(agent->renewing);
	agent->renewing = NULL;
	sg_keyring_free(agent->keyring);
	sg_accounts_free(agent->accounts);
	sg_logind_free(agent->logind);
	sg_events_free(agent->events);
	sg_logins_free(agent->logins);
	sg_remember_free(agent->remember);
	sg_key_cache_free(agent->key_cache);
	sg_signings_free(agent->signings);
	sg_collisions_free(agent->collisions);
	sg_tokens_free(agent->tokens);
	sg_ledgers_free(agent->ledgers);
	sg_store_close(agent->store);
	sg_reaper_free(agent->reaper);
	sg_config_clear(&agent->config);
}

static int agent_init(struct sg_agent *agent, const char *config_path, const char *socket_path)
{
	int err = sg_config_read(&agent->config, config_path);

	if (err != 0)
		return err;
	sg_verdict_set_sha1(agent->config.sha1);
	err = open_state(agent);
	if (err == 0)
		err = sg_reaper_new(agent->base, &agent->reaper);
	if (err == 0)
		err = sg_collisions_new(
		    agent->base, agent->reaper, agent->config.sha1cdsum, &agent->collisions);
	if (err == 0)
		err = sg_logins_new(&agent->logins);
	if (err == 0)
		err = sg_remember_new(&agent->remember);
	if (err == 0)
		err = sg_events_new(agent, &agent->events);
	if (err == 0)
		err = sg_keyring_new(agent, &agent->keyring);
	if (err == 0)
		err = sg_logind_new(agent, &agent->logind);
	if (err == 0)
		err = sg_key_cache_new(&agent->key_cache);
	if (err == 0)
		err = sg_signings_new(&agent->signings);
	if (err == 0)
		err = sg_tokens_new(agent, &agent->tokens);
	if (err == 0)
		err = sg_accounts_new(agent, &agent->accounts);
	if (err == 0)
		err = sg_jobs_load(agent);
	if (err == 0)
		err = sg_renewing_new(agent, &agent->renewing);
	if (err == 0)
		err = sg_server_new(agent, socket_path, &agent->server);
	return err;
}

int sg_agent_run(const char *config_path, const char *socket_path)
{
	static const struct {
		int number;
		event_callback_fn fn;
	} signals[] = { { SIGTERM, on_stop }, { SIGINT, on_stop }, { SIGHUP, on_hangup } };
	const size_t count = sizeof(signals) / sizeof(signals[0]);
	struct sg_agent agent = { .base = event_base_new() };
	struct event *events[3] = { NULL, NULL, NULL };
	int err = SG_ERR_NOMEM;

	if (agent.base == NULL)
		return SG_ERR_NOMEM;
	/* Before anybody can see that it listens, and stop it. */
	err = 0;
	for (size_t i = 0; err == 0 && i < count; i++) {
		events[i] = evsignal_new(agent.base, signals[i].number, signals[i].fn, &agent);
		if (events[i] == NULL || evsignal_add(events[i], NULL) != 0)
			err = SG_ERR_NOMEM;
	}
	if (err == 0)
		err = agent_init(&agent, config_path, socket_path);
	if (err == 0) {
		sg_notify_ready();
		if (event_base_dispatch(agent.base) < 0)
			err = SG_ERR_INTERNAL;
	}
	agent_clear(&agent);
	for (size_t i = 0; i < count; i++) {
		if (events[i] != NULL)
			event_free(events[i]);
	}
	event_base_free(agent.base);
	if (err != 0)
		sg_log(SG_LOG_ERROR, "not started: %s", sg_err_text(err));
	return err;
}
