/*
 * The commands: one table drives dispatch, usage and help.
 */
#ifndef SG_CLI_COMMAND_H
#define SG_CLI_COMMAND_H

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "cli.h"

/*
 * Does the work. *result is what --json prints; it may be given beside a failure (a verdict that is
 * not good). A failure is noted in cli, or told by its code.
 */
typedef int sg_command_run_fn(struct sg_cli *cli, json_t **result);

/* Prints the result for people. */
typedef void sg_command_show_fn(const struct sg_cli *cli, const json_t *result);

struct sg_command {
	const char *group; /* "token" of "token list", or NULL */
	const char *name;
	sg_command_run_fn *run;
	sg_command_show_fn *show;
	const char *operands; /* as usage shows them, "" for none */
	int operands_min;
	int operands_max; /* -1: any number */
	uint64_t options; /* beside the global ones */
	uint64_t required;
	int offline;	   /* needs no agent */
	const char *waits; /* what a long call waits for */
	const char *summary;
	const char *help; /* paragraphs below the summary, or NULL */
};

/* The table (commands.c). */
extern const struct sg_command sg_commands[];
extern const size_t sg_command_count;

/* The help of the whole program. */
void sg_command_help(void);

/*
 * Finds and runs the command that argv[0] (and argv[1]) name, with its options and operands; prints
 * its result or failure. The exit status.
 */
int sg_command_dispatch(struct sg_cli *cli, int argc, char **argv);

#endif
