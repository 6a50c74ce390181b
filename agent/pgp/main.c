/*
 * signet-pgp: judges OpenPGP keys and signatures by librnp, started by who needs it with its
 * channel as descriptor 3.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "harden.h"
#include "log.h"
#include "rnp_key.h"
#include "serve.h"
#include "spawn.h"

/* What reads the bytes of anybody has no more than it needs: it starts nothing, writes no file, and
 * opens nothing beside what is open. */
static int confine(void)
{
	const struct rlimit none = { 0, 0 };
	struct rlimit open_now;
	/* librnp tells it of each oddity in a key, and cannot be kept from it. */
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	if (null < 0 || dup2(null, STDERR_FILENO) < 0)
		return SG_ERR_INTERNAL;
	close(null);
	if (OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG, NULL) != 1 || sg_rnp_begin() != 0)
		return SG_ERR_INTERNAL;
	null = open("/dev/null", O_WRONLY | O_CLOEXEC); /* the next number */
	if (null < 0)
		return SG_ERR_INTERNAL;
	close(null);
	open_now = (struct rlimit){ (rlim_t)null, (rlim_t)null };
	return setrlimit(RLIMIT_NOFILE, &open_now) == 0 && setrlimit(RLIMIT_FSIZE, &none) == 0 &&
		setrlimit(RLIMIT_NPROC, &none) == 0
	    ? 0
	    : SG_ERR_INTERNAL;
}

int main(int argc, char **argv)
{
	struct stat st;

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
	if (sg_harden_process() != 0 || confine() != 0)
		return 1;
	return sg_pgp_serve(SG_WORKER_FD) == 0 ? 0 : 1;
}
