/*
 * signet: the command line. Here only the arguments before the command.
 */
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "command.h"
#include "harden.h"
#include "log.h"
#include "output.h"

/* A wrong argument may stand before --json: whoever asked for JSON gets it also then. */
static void look_for_json(struct sg_cli *cli, char **argv)
{
	for (; *argv != NULL && strcmp(*argv, "--") != 0; argv++)
		if (strcmp(*argv, "--json") == 0)
			cli->args.value[SG_OPT_JSON] = "";
}

static int run(struct sg_cli *cli, int argc, char **argv)
{
	char *why = NULL;
	int err = sg_args_parse(
	    &cli->args, argc, argv, SG_OPTS_GLOBAL | SG_OPT_BIT(SG_OPT_VERSION), 1, &why);

	if (err != 0) {
		(void)sg_cli_fail(cli, err, "`signet --help` lists the options.", "%s",
		    why != NULL ? why : sg_err_text(err));
		free(why);
		return sg_cli_report(cli, err, NULL);
	}
	if (sg_args_has(&cli->args, SG_OPT_VERSION)) {
		if (cli->args.operand_count > 0)
			return sg_cli_report(cli,
			    sg_cli_fail(cli, SG_ERR_ARG, "`signet --help` lists the commands.",
				"this argument is one too many: %s", cli->args.operands[0]),
			    NULL);
		puts("signet " SG_VERSION);
		return 0;
	}
	if (sg_args_has(&cli->args, SG_OPT_HELP) && cli->args.operand_count == 0) {
		sg_command_help();
		return 0;
	}
	return sg_command_dispatch(cli, cli->args.operand_count, cli->args.operands);
}

int main(int argc, char **argv)
{
	struct sg_cli cli = { 0 };
	int status, number;

	/* Before /dev/null takes its place: a result that nobody can have is no success. */
	if (fcntl(STDOUT_FILENO, F_GETFD) < 0) {
		fputs("signet: standard output is closed\nSend it to /dev/null when it is not "
		      "wanted.\n",
		    stderr);
		return sg_err_exit_status(SG_ERR_IO);
	}
	(void)setlocale(LC_CTYPE, "");
	/* Failures reach the person as sentences; SIGNET_LOG shows the libraries' own lines too. */
	sg_log_init("signet", SG_LOG_ERROR);
	if (sg_harden_process() != 0)
		return 1;
	sg_secret_args_init(&cli.secrets);
	look_for_json(&cli, argv);
	status = run(&cli, argc, argv);
	/* Output that was cut is no success. */
	if (sg_stdout_finish("signet") != 0 && status == 0)
		status = sg_err_exit_status(SG_ERR_IO);
	number = cli.signal;
	sg_cli_clear(&cli);
	/* All is tidied up; the caller, a shell's loop say, is to see what ended us. */
	if (number != 0 && signal(number, SIG_DFL) != SIG_ERR)
		(void)raise(number);
	return status;
}
