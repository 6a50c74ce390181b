/*
 * signet-pgp: judges OpenPGP keys and signatures by librnp, started by who needs it with its
 * channel as descriptor 3.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harden.h"
#include "log.h"
#include "serve.h"
#include "spawn.h"

int main(int argc, char **argv)
{
	struct stat st;
	int null;

	if (argc == 2 && strcmp(argv[1], "--version") == 0) {
		printf("signet-pgp %s\n", SG_VERSION);
		return 0;
	}
	if (argc != 1 || fstat(SG_WORKER_FD, &st) != 0 || !S_ISSOCK(st.st_mode)) {
		fprintf(stderr,
		    "signet-pgp is started by signetd and signet, not by hand: see "
		    "signet-pgp(8)\n");
		return 2;
	}
	sg_log_init("signet-pgp", SG_LOG_WARN);
	if (sg_harden_process() != 0)
		return 1;
	/* librnp tells it of each oddity in what anybody sends, and cannot be kept from it. */
	null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	if (null < 0 || dup2(null, STDERR_FILENO) < 0)
		return 1;
	close(null);
	return sg_pgp_serve(SG_WORKER_FD) == 0 ? 0 : 1;
}
