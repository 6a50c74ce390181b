/*
 * The tokens: one signet-token for each module of the configuration.
 */
#ifndef SG_BROKER_TOKENS_H
#define SG_BROKER_TOKENS_H

#include "agent.h"
#include "failure.h"
#include "msg.h"
#include "worker.h"

/* For sg_worker_request(): the module's timeout, and what key generation may take. */
#define SG_TOKEN_SECONDS    (-1)
#define SG_GENERATE_SECONDS (-3)

/* What a logout that somebody waits for may take: a module that works for another call, waiting for
 * a touch, may not let it in, and still have the PIN. Its process is ended then. */
#define SG_LOCK_SECONDS 2

struct sg_tokens;

/* rest.h: whether the worker's process is to end when nothing needs it. */
enum sg_rest_state { SG_REST_NOT = 0, SG_REST_WANTED, SG_REST_BEGUN };

struct sg_module {
	struct sg_agent *agent;
	const char *name;
	struct sg_worker *worker;
	unsigned answered_by; /* the last process of the worker that answered; 0: none did */
	int64_t hangs_until;  /* of sg_clock_ms; 0: it does not hang */
	int64_t probed;	      /* ask_all.h: when it was tried again, by sg_clock_ms */
	int is_probed;	      /* ... and that is not answered yet */
	struct sg_buf tokens; /* ask_all.h: SG_MSG_TOKENS as in a frame; empty: not known */
	int removable;	      /* ... of which one can be taken out */
	unsigned lists_asked; /* questions for them that are not answered yet */
	int64_t restarted;    /* rest.h: when it last was, to list its slots anew; by sg_clock_ms */
	char **unlocked;      /* unlocked.h: URIs of tokens, ... */
	size_t unlocked_count;
	unsigned unlocked_in;		/* in this process of the worker */
	struct sg_untouched *untouched; /* untouched.h */
	size_t untouched_count;
	enum sg_rest_state rest;
	int stays;	      /* not ended for the token that is just being locked */
	struct event *unused; /* rest.h: nothing has used the process for a while */
	unsigned rested_in;   /* ... the process that ended for that, or locked; 0: none */
	unsigned released_in; /* rest.h: the process that was ended for other programs; 0: none */
	/* URI of the one that had no room left when it last was to store something. */
	char *full_token;
};

/* Starts no process yet. SG_ERR_NOMEM. */
SG_MUST_USE int sg_tokens_new(struct sg_agent *agent, struct sg_tokens **tokens);
void sg_tokens_free(struct sg_tokens *tokens);

/* A token of the module was to store something, and had the room for it or not. */
void sg_module_note_room(struct sg_module *module, const char *token_uri, int had_room);

size_t sg_tokens_module_count(const struct sg_tokens *tokens);
struct sg_module *sg_tokens_module(struct sg_tokens *tokens, size_t i);
struct sg_agent *sg_tokens_agent(const struct sg_tokens *tokens);

#endif
