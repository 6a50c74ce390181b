#include "harden.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"

int sg_harden_process(void)
{
	const struct rlimit none = { 0, 0 };
	int fd;

	/* First, so that no socket or file of ours ever becomes descriptor 0, 1 or 2. */
	do {
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
		if (fd >= 0 && fd <= 2 && fcntl(fd, F_SETFD, 0) != 0)
			return SG_ERR_INTERNAL;
	} while (fd >= 0 && fd <= 2);
	if (fd < 0)
		return SG_ERR_INTERNAL;
	close(fd);

	/* Not dumpable: no core, no ptrace and no /proc/PID/mem for other processes of this user. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 || setrlimit(RLIMIT_CORE, &none) != 0 ||
	    signal(SIGPIPE, SIG_IGN) == SIG_ERR) {
		sg_log(SG_LOG_ERROR, "this process cannot be protected: %s", strerror(errno));
		return SG_ERR_INTERNAL;
	}
	umask(077);
	return 0;
}
