/*
 * Waiting for the agent's answer: what a person is told meanwhile, and the signals that end it.
 */
#ifndef SG_CLI_WAITING_H
#define SG_CLI_WAITING_H

#include <signal.h>
#include <stdint.h>

#include <jansson.h>

#include "cli.h"
#include "error.h"

enum sg_waiting_flag {
	SG_WAITING_TOUCH = 1,  /* the token may want to be touched: that is told on a terminal */
	SG_WAITING_EVENTS = 2, /* for what may never come: quietly, as long as somebody reads our
				  output */
};

/* One wait; its fields are waiting.c's own. */
struct sg_waiting {
	struct sg_cli *cli;
	unsigned flags;
	sigset_t mask;	  /* as it was before */
	int signals;	  /* a signalfd */
	unsigned told;	  /* bits: what was said already */
	int64_t say_at;	  /* when the next sentence is due; 0: never */
	int64_t watch_at; /* when to ask for events of touch; 0: never, or it was done */
	struct sg_client *watch;
	char *touch; /* the label of the token that wants to be touched and was not told yet */
};

/*
 * Begins: from now on SIGINT, SIGTERM and SIGHUP end the waiting and nothing else (where they are
 * not ignored). SG_ERR_INTERNAL.
 */
SG_MUST_USE int sg_waiting_start(struct sg_waiting *waiting, struct sg_cli *cli, unsigned flags);

/*
 * The next reply, as sg_client_reply() gives it. SG_ERR_TIMEOUT when a signal came first: it is noted in
 * the cli with its failure. SG_ERR_DENIED, with nothing noted: nobody reads standard output any more
 * (SG_WAITING_EVENTS).
 */
SG_MUST_USE int sg_waiting_reply(
    struct sg_waiting *waiting, json_t **parameters, char **error, int *continues);

/* Signals do what they did before. */
void sg_waiting_end(struct sg_waiting *waiting);

#endif
