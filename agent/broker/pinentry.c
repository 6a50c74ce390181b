#include "pinentry.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"
#include "spawn.h"

/* In the child: only what may be called between fork and exec. */
static void __attribute__((noreturn))
pinentry_exec(const char *program, char *const argv[], int sock)
{
	if (dup2(sock, STDIN_FILENO) < 0 || dup2(sock, STDOUT_FILENO) < 0)
		_exit(126);
	close_range(STDERR_FILENO + 1, ~0U, 0);
	execv(program, argv);
	_exit(127);
}

int sg_pinentry_start(const char *program, const char *display, pid_t *pid, int *sock)
{
	char *display_arg = NULL;
	char *argv[] = { NULL, NULL, NULL };
	int pair[2] = { -1, -1 };
	int err = SG_ERR_IO;

	*pid = -1;
	*sock = -1;
	if (access(program, X_OK) != 0) {
		sg_log(SG_LOG_WARN, "%s cannot be started: %s", program, strerror(errno));
		return SG_ERR_UNSUPPORTED;
	}
	if (display != NULL && asprintf(&display_arg, "--display=%s", display) < 0)
		return SG_ERR_NOMEM;
	argv[0] = strdup(program);
	argv[1] = display_arg;
	if (argv[0] == NULL) {
		err = SG_ERR_NOMEM;
		goto out;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
		goto out;
	*pid = sg_spawn_fork();
	if (*pid == 0)
		pinentry_exec(program, argv, pair[1]);
	if (*pid < 0)
		goto out;
	*sock = pair[0];
	pair[0] = -1;
	err = 0;
out:
	if (err == SG_ERR_IO)
		sg_log(SG_LOG_ERROR, "no pinentry could be started: %s", strerror(errno));
	if (pair[0] >= 0)
		close(pair[0]);
	if (pair[1] >= 0)
		close(pair[1]);
	free(argv[0]);
	free(display_arg);
	return err;
}
