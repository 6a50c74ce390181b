/*
 * signet-token: the process that holds a PKCS#11 module and, alone of all, a PIN.
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "harden.h"
#include "log.h"
#include "spawn.h"
#include "worker.h"

static int usage(void)
{
	fprintf(stderr,
	    "usage: signet-token --role agent|authority --module system|PATH [--module-dirs "
	    "DIR:DIR] "
	    "[--init TEXT]\n"
	    "It is started by signetd and signet-authority, with its channel on descriptor %d.\n",
	    SG_WORKER_FD);
	return 2;
}

int main(int argc, char **argv)
{
	static const struct option known[] = {
		{ "role", required_argument, NULL, 'r' },
		{ "module", required_argument, NULL, 'm' },
		{ "module-dirs", required_argument, NULL, 'd' },
		{ "init", required_argument, NULL, 'i' },
		{ NULL, 0, NULL, 0 },
	};
	struct sg_worker_options options = { .module_dirs = SG_MODULE_DIRS };
	const char *role = NULL;
	int c;

	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		switch (c) {
		case 'r':
			role = optarg;
			break;
		case 'm':
			options.module = optarg;
			break;
		case 'd':
			options.module_dirs = optarg;
			break;
		case 'i':
			options.init = optarg;
			break;
		default:
			return usage();
		}
	}
	if (optind != argc || options.module == NULL || role == NULL ||
	    (strcmp(role, "agent") != 0 && strcmp(role, "authority") != 0))
		return usage();
	options.authority = strcmp(role, "authority") == 0;
	sg_log_init("signet-token", SG_LOG_INFO);
	if (sg_harden_process() != 0)
		return 1;
	return sg_worker_run(&options, SG_WORKER_FD);
}
