#include "command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "options.h"
#include "print.h"

#define COMMANDS_MAX   64
#define SUMMARY_COLUMN 30
#define OPTION_COLUMN  24

static void pad_to(int column, int used)
{
	printf("%*s", column > used ? column - used : 1, "");
}

static int command_name(const struct sg_command *command)
{
	return printf("%s%s%s", command->group != NULL ? command->group : "",
	    command->group != NULL ? " " : "", command->name);
}

static void help_line(const struct sg_command *command)
{
	int used = printf("  ");

	used += command_name(command);
	if (command->operands[0] != '\0')
		used += printf(" %s", command->operands);
	if (used + 2 > SUMMARY_COLUMN) {
		putchar('\n');
		used = 0;
	}
	pad_to(SUMMARY_COLUMN, used);
	puts(command->summary);
}

static void help_options(uint64_t options)
{
	for (int i = 0; i < SG_OPT_COUNT; i++) {
		const struct sg_opt_info *info = sg_opt_info((enum sg_opt)i);
		int used;

		if ((options & SG_OPT_BIT(i)) == 0)
			continue;
		used = printf("  --%s", info->name);
		if (info->argument != NULL)
			used += printf(" %s", info->argument);
		pad_to(OPTION_COLUMN, used);
		puts(info->help);
	}
}

void sg_command_help(void)
{
	puts("Usage: signet [OPTION]... COMMAND [ARGUMENT]...\n\n"
	     "Keys on tokens, certificates for XMPP accounts, and the public keys of others.\n\n"
	     "Commands:");
	for (size_t i = 0; i < sg_command_count; i++)
		help_line(&sg_commands[i]);
	puts("\nOptions of every command:");
	help_options(SG_OPTS_GLOBAL);
	puts("\nOptions of the program alone:");
	help_options(SG_OPT_BIT(SG_OPT_VERSION));
	puts("\n'signet COMMAND --help' tells more of one command; signet(1) tells all.");
}

static void group_help(const char *group)
{
	printf("Usage: signet %s COMMAND [ARGUMENT]...\n\nCommands:\n", group);
	for (size_t i = 0; i < sg_command_count; i++)
		if (sg_commands[i].group != NULL && strcmp(sg_commands[i].group, group) == 0)
			help_line(&sg_commands[i]);
}

static void usage_line(const struct sg_command *command)
{
	fputs("Usage: signet ", stdout);
	(void)command_name(command);
	for (int i = 0; i < SG_OPT_COUNT; i++)
		if ((command->required & SG_OPT_BIT(i)) != 0)
			printf(" --%s %s", sg_opt_info((enum sg_opt)i)->name,
			    sg_opt_info((enum sg_opt)i)->argument);
	fputs(" [OPTION]...", stdout);
	if (command->operands[0] != '\0')
		printf(" %s", command->operands);
	putchar('\n');
}

static void command_help(const struct sg_command *command)
{
	usage_line(command);
	putchar('\n');
	puts(command->summary);
	if (command->help != NULL)
		printf("\n%s\n", command->help);
	if (command->offline)
		puts("\nNeeds no agent.");
	puts("\nOptions:");
	help_options(command->options | SG_OPTS_GLOBAL);
}

static int is_group(const char *word)
{
	for (size_t i = 0; i < sg_command_count; i++)
		if (sg_commands[i].group != NULL && strcmp(sg_commands[i].group, word) == 0)
			return 1;
	return 0;
}

static const struct sg_command *find(const char *group, const char *name)
{
	for (size_t i = 0; i < sg_command_count; i++) {
		const struct sg_command *command = &sg_commands[i];

		if (strcmp(command->name, name) != 0)
			continue;
		if (group == NULL ? command->group == NULL
				  : command->group != NULL && strcmp(command->group, group) == 0)
			return command;
	}
	return NULL;
}

/* Names the command that was probably meant: within the group, or among all first words. */
static int fail_unknown(struct sg_cli *cli, const char *group, const char *word)
{
	const char *words[COMMANDS_MAX], *nearest;
	size_t count = 0;

	for (size_t i = 0; i < sg_command_count && count < COMMANDS_MAX; i++) {
		const struct sg_command *command = &sg_commands[i];

		if (group == NULL)
			words[count++] = command->group != NULL ? command->group : command->name;
		else if (command->group != NULL && strcmp(command->group, group) == 0)
			words[count++] = command->name;
	}
	nearest = sg_word_nearest(word, words, count);
	return sg_cli_fail(cli, SG_ERR_ARG, "`signet --help` lists the commands.",
	    "there is no command '%s%s%s'%s%s%s%s%s", group != NULL ? group : "",
	    group != NULL ? " " : "", word, nearest != NULL ? "; did you mean '" : "",
	    nearest != NULL && group != NULL ? group : "",
	    nearest != NULL && group != NULL ? " " : "", nearest != NULL ? nearest : "",
	    nearest != NULL ? "'?" : "");
}

static int fail_usage(struct sg_cli *cli, const char *what, const char *which)
{
	const struct sg_command *command = cli->command;
	struct sg_buf advice = { 0 };
	char *text;
	int err;

	sg_buf_printf(&advice, "`signet %s%s%s --help` tells what it takes.",
	    command->group != NULL ? command->group : "", command->group != NULL ? " " : "",
	    command->name);
	text = sg_buf_steal(&advice, NULL);
	err = sg_cli_fail(cli, SG_ERR_ARG, text, "%s%s", what, which);
	free(text);
	return err;
}

static int check_usage(struct sg_cli *cli)
{
	const struct sg_command *command = cli->command;
	const struct sg_args *args = &cli->args;

	for (int i = 0; i < SG_OPT_COUNT; i++)
		if ((command->required & SG_OPT_BIT(i)) != 0 && args->value[i] == NULL)
			return fail_usage(cli, "this command needs the option --",
			    sg_opt_info((enum sg_opt)i)->name);
	if (args->operand_count < command->operands_min)
		return fail_usage(cli, "arguments are missing; it takes ", command->operands);
	if (command->operands_max >= 0 && args->operand_count > command->operands_max)
		return fail_usage(
		    cli, "this argument is one too many: ", args->operands[command->operands_max]);
	return 0;
}

static int run(struct sg_cli *cli)
{
	json_t *result = NULL;
	int json = sg_args_has(&cli->args, SG_OPT_JSON);
	int err = check_usage(cli), status = 0;

	if (err == 0)
		err = sg_secret_args_take(cli);
	if (err == 0)
		err = cli->command->run(cli, &result);
	if (err == 0 && json)
		sg_print_json(result);
	if (result != NULL && !json && cli->command->show != NULL)
		cli->command->show(cli, result);
	(void)fflush(stdout); /* comes before the sentence; its failure is told at the end */
	if (err != 0)
		status = sg_cli_report(cli, err, result);
	json_decref(result);
	return status;
}

static int parse(struct sg_cli *cli, int argc, char **argv, uint64_t options, int stop)
{
	char *why = NULL;
	int err = sg_args_parse(&cli->args, argc, argv, options, stop, &why);

	if (err != 0)
		err = sg_cli_fail(cli, err,
		    "`signet --help` and `signet COMMAND --help` list the options.", "%s",
		    why != NULL ? why : sg_err_text(err));
	free(why);
	return err;
}

int sg_command_dispatch(struct sg_cli *cli, int argc, char **argv)
{
	const char *group = NULL;
	uint64_t options = SG_OPTS_GLOBAL;

	if (argc > 0 && is_group(argv[0])) {
		group = argv[0];
		if (parse(cli, argc, argv, options, 1) != 0)
			return sg_cli_report(cli, SG_ERR_ARG, NULL);
		argc = cli->args.operand_count;
		argv = cli->args.operands;
	}
	if (argc == 0 && group != NULL && sg_args_has(&cli->args, SG_OPT_HELP)) {
		group_help(group);
		return 0;
	}
	if (argc == 0) {
		(void)sg_cli_fail(cli, SG_ERR_ARG, "`signet --help` lists the commands.",
		    "which command%s%s?", group != NULL ? " of " : "", group != NULL ? group : "");
		return sg_cli_report(cli, SG_ERR_ARG, NULL);
	}
	cli->command = find(group, argv[0]);
	if (cli->command == NULL)
		return sg_cli_report(cli, fail_unknown(cli, group, argv[0]), NULL);
	if (parse(cli, argc, argv, options | cli->command->options, 0) != 0)
		return sg_cli_report(cli, SG_ERR_ARG, NULL);
	if (sg_args_has(&cli->args, SG_OPT_HELP)) {
		command_help(cli->command);
		return 0;
	}
	return run(cli);
}
