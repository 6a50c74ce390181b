/*
 * Calls of the agent, and what a person is told meanwhile.
 */
#ifndef SG_CLI_AGENT_CALL_H
#define SG_CLI_AGENT_CALL_H

#include <jansson.h>

#include "cli.h"
#include "error.h"

enum sg_call_flag {
	SG_CALL_PIN = 1,      /* the method takes a PIN's source */
	SG_CALL_PASSWORD = 2, /* ... a password, which is asked for when the agent wants it */
	SG_CALL_MORE = 4,     /* progress replies are wanted, and are shown on stderr */
	SG_CALL_KEYS = 8,     /* keys come in several replies; the reply has all of them */
	SG_CALL_CERTS = 16,   /* the same of certificates */
};

/* The path of the agent's socket: --socket's, else where it is by default. NULL without memory. */
const char *sg_agent_path(struct sg_cli *cli);

/*
 * Calls a method (its short name) and waits for the end of it. The parameters are taken over; NULL is
 * SG_ERR_ARG (an argument was no UTF-8). flags are those of enum sg_call_flag. account, or NULL, is whose
 * password may be asked for. *reply is the last reply's parameters, new, or NULL after a failure: the
 * agent's error, by its name, or SG_ERR_AGENT_ABSENT and others of the way there. It is noted in cli.
 */
SG_MUST_USE int sg_agent_call(struct sg_cli *cli, const char *method, json_t *parameters,
    unsigned flags, const char *account, json_t **reply);

/*
 * The same for a method whose parameter `member` names a token or key as the person wrote it: a query
 * is cut off a URI, and may name the PIN's source (sg_secret_args_name()).
 */
SG_MUST_USE int sg_agent_call_named(struct sg_cli *cli, const char *method, const char *member,
    const char *text, unsigned flags, json_t **reply);

/*
 * Calls a method that gives a list page by page. The arrays of `all` grow by those of the same names in the reply;
 * 1: there are more, and parameters (which stay the caller's) ask for the next page; 0: this was the last. Failures
 * are as of sg_agent_call().
 */
SG_MUST_USE int sg_agent_page(
    struct sg_cli *cli, const char *method, json_t *parameters, json_t *all);

/* Takes a reply that is not the last one: 0, or an error that ends the call. */
typedef int sg_reply_fn(struct sg_cli *cli, const json_t *reply);

/*
 * Calls a method that never ends by itself, and gives each of its replies to the function. 0 when a
 * signal ended it or nobody reads standard output any more (SG_ERR_DENIED of the function says so,
 * too); else the failure, noted in cli.
 */
SG_MUST_USE int sg_agent_events(struct sg_cli *cli, const char *method, sg_reply_fn *each);

#endif
