/*
 * The agent as a whole: what its parts share, its start and its end.
 */
#ifndef SG_BROKER_AGENT_H
#define SG_BROKER_AGENT_H

#include <event2/event.h>

#include "config.h"
#include "error.h"

struct sg_accounts;
struct sg_collisions;
struct sg_events;
struct sg_key_cache;
struct sg_keyring;
struct sg_ledgers;
struct sg_logind;
struct sg_logins;
struct sg_reaper;
struct sg_remembering;
struct sg_renewing;
struct sg_server;
struct sg_signings;
struct sg_store;
struct sg_tokens;

struct sg_agent {
	struct event_base *base;
	struct sg_config config;
	struct sg_reaper *reaper;
	struct sg_store *store;
	struct sg_ledgers *ledgers;
	struct sg_tokens *tokens;
	struct sg_key_cache *key_cache;
	struct sg_signings *signings;
	struct sg_collisions *collisions;
	struct sg_logins *logins;
	struct sg_remembering *remember;
	struct sg_events *events;
	struct sg_keyring *keyring;
	struct sg_logind *logind;
	struct sg_accounts *accounts;
	struct sg_renewing *renewing;
	struct sg_server *server;
	int stopping; /* no worker is started any more */
};

/*
 * Out of memory: what can fail its call does so with SG_ERR_NOMEM. Where a callback is owed and the
 * memory is that for remembering it, the agent ends by abort(): its caller would wait for ever. The
 * store is safe against that at any moment, and no token or server is left with anything half done
 * that a kill would not leave it with.
 */

/*
 * Runs the agent until SIGTERM or SIGINT. config_path and socket_path may be NULL for the usual
 * places. Gives 0 after a clean stop, or the error that kept it from starting, already logged.
 */
SG_MUST_USE int sg_agent_run(const char *config_path, const char *socket_path);

#endif
