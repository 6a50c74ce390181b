/* signetd, the broker: arguments only. */
#include <getopt.h>
#include <stdio.h>

#include "agent.h"
#include "harden.h"
#include "log.h"
#include "output.h"

static const char usage[] =
    "usage: signetd [--config FILE] [--socket PATH] [--foreground]\n"
    "       signetd --help | --version\n"
    "\n"
    "The signet agent. It stays in the foreground and logs to standard error; see signetd(8).\n";

int main(int argc, char *argv[])
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "socket", required_argument, NULL, 's' },
		{ "foreground", no_argument, NULL, 'f' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	const char *config_path = NULL;
	const char *socket_path = NULL;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'c':
			config_path = optarg;
			break;
		case 's':
			socket_path = optarg;
			break;
		case 'f':
			break;
		case 'h':
			fputs(usage, stdout);
			return sg_err_exit_status(sg_stdout_finish("signetd"));
		case 'V':
			puts("signetd " SG_VERSION);
			return sg_err_exit_status(sg_stdout_finish("signetd"));
		default:
			fputs(usage, stderr);
			return 2;
		}
	}
	if (optind != argc) {
		fputs(usage, stderr);
		return 2;
	}
	sg_log_init("signetd", SG_LOG_INFO);
	if (sg_harden_process() != 0)
		return 1;
	return sg_err_exit_status(sg_agent_run(config_path, socket_path));
}
