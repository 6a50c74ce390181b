/*
 * signet-xmpp: one account's connection, started by a broker with its channel as descriptor 3.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "harden.h"
#include "log.h"
#include "spawn.h"
#include "worker.h"

int main(int argc, char **argv)
{
	struct stat st;

	if (argc == 2 && strcmp(argv[1], "--version") == 0) {
		printf("signet-xmpp %s\n", SG_VERSION);
		return 0;
	}
	if (argc != 1 || fstat(SG_WORKER_FD, &st) != 0 || !S_ISSOCK(st.st_mode)) {
		fprintf(
		    stderr, "signet-xmpp is started by signetd, not by hand: see signet-xmpp(8)\n");
		return 2;
	}
	sg_log_init("signet-xmpp", SG_LOG_INFO);
	if (sg_harden_process() != 0)
		return 1;
	return sg_worker_run(SG_WORKER_FD) == 0 ? 0 : 1;
}
