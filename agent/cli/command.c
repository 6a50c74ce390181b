#include "command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "options.h"
#include "print.h"

#define COMMANDS_MAX   64
#define NAME_MAX_LEN   32
#define SUMMARY_COLUMN 30
#define OPTION_COLUMN  24

static void pad_to(int column, int used)
{
	printf("%*s", column > used ? column - used : 1, "");
}

static void help_line(const struct sg_command *command)
{
	int used = printf("  %s", command->name);

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

/* What follows the words of a group ("": all commands) in the command's name; NULL outside of it. */
static const char *within(const struct sg_command *command, const char *group)
{
	size_t len = strlen(group);

	if (len == 0)
		return command->name;
	if (strncmp(command->name, group, len) != 0 || command->name[len] != ' ')
		return NULL;
	return command->name + len + 1;
}

static void group_help(const char *group)
{
	printf("Usage: signet %s COMMAND [ARGUMENT]...\n\nCommands:\n", group);
	for (size_t i = 0; i < sg_command_count; i++)
		if (within(&sg_commands[i], group) != NULL)
			help_line(&sg_commands[i]);
}

static void usage_line(const struct sg_command *command)
{
	printf("Usage: signet %s", command->name);
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

static int is_group(const char *words)
{
	for (size_t i = 0; i < sg_command_count; i++)
		if (within(&sg_commands[i], words) != NULL)
			return 1;
	return 0;
}

static const struct sg_command *find(const char *name)
{
	for (size_t i = 0; i < sg_command_count; i++)
		if (strcmp(sg_commands[i].name, name) == 0)
			return &sg_commands[i];
	return NULL;
}

/* Names the command that was probably meant, by the words that may stand where this one does. */
static int fail_unknown(struct sg_cli *cli, const char *group, const char *word)
{
	const char *space = group[0] != '\0' ? " " : "";
	char words[COMMANDS_MAX][NAME_MAX_LEN];
	const char *pointers[COMMANDS_MAX], *nearest;
	size_t count = 0;

	for (size_t i = 0; i < sg_command_count && count < COMMANDS_MAX; i++) {
		const char *rest = within(&sg_commands[i], group);

		if (rest == NULL)
			continue;
		(void)snprintf(
		    words[count], sizeof(words[count]), "%.*s", (int)strcspn(rest, " "), rest);
		pointers[count] = words[count];
		count++;
	}
	nearest = sg_word_nearest(word, pointers, count);
	if (nearest == NULL)
		return sg_cli_fail(cli, SG_ERR_ARG, "`signet --help` lists the commands.",
		    "there is no command '%s%s%s'", group, space, word);
	return sg_cli_fail(cli, SG_ERR_ARG, "`signet --help` lists the commands.",
	    "there is no command '%s%s%s'; did you mean '%s%s%s'?", group, space, word, group,
	    space, nearest);
}

static int fail_usage(struct sg_cli *cli, const char *what, const char *which)
{
	const struct sg_command *command = cli->command;
	struct sg_buf advice = { 0 };
	char *text;
	int err;

	sg_buf_printf(&advice, "`signet %s --help` tells what it takes.", command->name);
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
	int err = check_usage(cli), status;

	if (err == 0)
		err = sg_secret_args_take(cli);
	if (err == 0)
		err = cli->command->run(cli, &result);
	if (err == 0 && result != NULL && json)
		sg_print_json(result);
	if (result != NULL && !json && cli->command->show != NULL)
		cli->command->show(cli, result);
	(void)fflush(stdout); /* comes before the sentence; its failure is told at the end */
	status = err != 0 ? sg_cli_report(cli, err, result) : cli->status;
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
	char group[NAME_MAX_LEN] = "", name[NAME_MAX_LEN];

	/* Word by word, as long as more must follow; options may stand between. */
	for (;;) {
		if (argc == 0 && sg_args_has(&cli->args, SG_OPT_HELP)) {
			group_help(group);
			return 0;
		}
		if (argc == 0) {
			(void)sg_cli_fail(cli, SG_ERR_ARG, "`signet --help` lists the commands.",
			    "which command%s%s?", group[0] != '\0' ? " of " : "", group);
			return sg_cli_report(cli, SG_ERR_ARG, NULL);
		}
		if (argv[0][0] == '\0' || strchr(argv[0], ' ') != NULL ||
		    snprintf(name, sizeof(name), "%s%s%s", group, group[0] != '\0' ? " " : "",
			argv[0]) >= (int)sizeof(name))
			return sg_cli_report(cli, fail_unknown(cli, group, argv[0]), NULL);
		cli->command = find(name);
		if (cli->command != NULL)
			break;
		if (!is_group(name))
			return sg_cli_report(cli, fail_unknown(cli, group, argv[0]), NULL);
		memcpy(group, name, sizeof(group));
		if (parse(cli, argc, argv, SG_OPTS_GLOBAL, 1) != 0)
			return sg_cli_report(cli, SG_ERR_ARG, NULL);
		argc = cli->args.operand_count;
		argv = cli->args.operands;
	}
	if (parse(cli, argc, argv, SG_OPTS_GLOBAL | cli->command->options, 0) != 0)
		return sg_cli_report(cli, SG_ERR_ARG, NULL);
	if (sg_args_has(&cli->args, SG_OPT_HELP)) {
		command_help(cli->command);
		return 0;
	}
	return run(cli);
}
