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
 * not good), and is NULL where the command has printed all itself. A failure is noted in cli, or told
 * by its code.
 */
typedef int sg_command_run_fn(struct sg_cli *cli, json_t **result);

/* Prints the result for people. */
typedef void sg_command_show_fn(const struct sg_cli *cli, const json_t *result);

struct sg_command {
	const char *name; /* its words: "status", "token list", "token pin change" */
	sg_command_run_fn *run;
	sg_command_show_fn *show; /* NULL: it prints by itself, a line for each event */
	const char *operands;	  /* as usage shows them, "" for none */
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
 * Finds and runs the command that the first words of argv name, with its options and operands; prints
 * its result or failure. The exit status.
 */
int sg_command_dispatch(struct sg_cli *cli, int argc, char **argv);

#endif
