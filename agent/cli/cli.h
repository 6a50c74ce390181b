/*
 * One run of the program: what was asked, with what, and what went wrong.
 */
#ifndef SG_CLI_CLI_H
#define SG_CLI_CLI_H

#include <jansson.h>

#include "client.h"
#include "options.h"
#include "secret_args.h"

struct sg_command;

struct sg_cli {
	const struct sg_command *command;
	struct sg_args args;
	char *socket_path;	  /* found with the first call */
	struct sg_client *client; /* connected with it */
	/* While a call runs that is answered in several replies: what those before the last one brought
	 * (SG_CALL_KEYS, SG_CALL_CERTS), and the name of that member. */
	json_t *gathered;
	const char *gathers;
	struct sg_secret_args secrets;
	int status; /* of a success that is to be told from a good one */
	int signal; /* that ended the waiting for an answer, or 0 */

	/* The failure that will be told at the end: the first one set stays. */
	char *error_name; /* as in the API, "PinWrong" */
	json_t *error;	  /* its parameters */
};

/* Releases all that the run holds. */
void sg_cli_clear(struct sg_cli *cli);

/*
 * Notes a failure of our own: a sentence (printf), and advice (NULL: the code's). Returns the code.
 */
int sg_cli_fail(struct sg_cli *cli, int code, const char *advice, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Notes that a signature on the public key of this name is bad. SG_ERR_KEYINFO. */
int sg_cli_fail_bad_key(struct sg_cli *cli, const char *name);

/* Notes an error reply of the agent (both are taken over) and returns the code of its name. */
int sg_cli_fail_reply(struct sg_cli *cli, char *name, json_t *parameters);

/* Drops the failure noted so far: it was mended. */
void sg_cli_forget(struct sg_cli *cli);

/*
 * Tells the failure and gives the exit status. For people: sentence, advice and candidates on
 * stderr. With --json: one object on stdout, to which the members of result (NULL: none) are added.
 */
int sg_cli_report(struct sg_cli *cli, int code, json_t *result);

/* Whether a person may be asked: a terminal is there and --batch was not given. */
int sg_cli_interactive(const struct sg_cli *cli);

#endif
