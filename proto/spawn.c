#include "spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "log.h"

#define FD_HIGH 10 /* the child's ends are kept from here up, clear of 0 to SG_WORKER_FD */

static int signals_reset(void)
{
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL); /* fails for a few, which have no other disposition */
	sigemptyset(&none);
	return sigprocmask(SIG_SETMASK, &none, NULL);
}

static int descriptors_set(int sock, int report)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (null < 0 || dup2(null, STDIN_FILENO) < 0)
		return -1;
	if (null == STDIN_FILENO && fcntl(null, F_SETFD, 0) != 0)
		return -1;
	if (dup2(sock, SG_WORKER_FD) < 0)
		return -1;
	if (close_range(SG_WORKER_FD + 1, (unsigned)report - 1, 0) != 0)
		return -1;
	return close_range((unsigned)report + 1, ~0u, 0);
}

pid_t sg_spawn_fork(void)
{
	pid_t parent = getpid();
	sigset_t all, old;
	pid_t child;
	int error;

	/* No handler of ours may run in the child before its dispositions are reset. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	child = fork();
	if (child == 0) {
		/* Its parent is another when ours died before the first call. */
		if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 || getppid() != parent ||
		    signals_reset() != 0)
			_exit(127);
		return 0;
	}
	error = errno;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	errno = error;
	return child;
}

/* In the child: only what is safe after a fork in a process with threads. */
static void child_exec(const char *path, char *const argv[], int sock, int report)
{
	int error;

	if (descriptors_set(sock, report) == 0)
		execv(path, argv);
	error = errno;
	if (write(report, &error, sizeof(error)) < 0)
		_exit(126);
	_exit(127);
}

/* What the child says before its exec: nothing (0), or the errno that stopped it. */
static int report_read(int fd)
{
	int error = 0;
	ssize_t n;

	do
		n = read(fd, &error, sizeof(error));
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno;
	return n == sizeof(error) ? error : 0;
}

static int fd_move_up(int *fd)
{
	int high = fcntl(*fd, F_DUPFD_CLOEXEC, FD_HIGH);

	if (high < 0)
		return -1;
	close(*fd);
	*fd = high;
	return 0;
}

static void fds_close(const int *fds, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
	}
}

int sg_spawn_worker(const char *path, char *const argv[], pid_t *pid, int *sock)
{
	int fds[4] = { -1, -1, -1, -1 }; /* socket: ours, the child's; report: ours, the child's */
	pid_t child = -1;
	int error = 0;

	*pid = -1;
	*sock = -1;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0 ||
	    pipe2(fds + 2, O_CLOEXEC) != 0 || fd_move_up(&fds[1]) != 0 ||
	    fd_move_up(&fds[3]) != 0) {
		error = errno;
		goto out;
	}
	child = sg_spawn_fork();
	if (child == 0)
		child_exec(path, argv, fds[1], fds[3]);
	if (child < 0) {
		error = errno;
		goto out;
	}
	close(fds[3]);
	fds[3] = -1;
	error = report_read(fds[2]);
	if (error != 0) {
		while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
			continue;
		goto out;
	}
	*pid = child;
	*sock = fds[0];
	fds[0] = -1;
out:
	fds_close(fds, 4);
	if (error != 0)
		sg_log(SG_LOG_ERROR, "cannot start %s: %s", path, strerror(error));
	return error != 0 ? SG_ERR_IO : 0;
}

/* Takes the path if it is that of a program that may be run. */
static int take_program(char *candidate, char **path)
{
	if (access(candidate, X_OK) != 0) {
		free(candidate);
		return 0;
	}
	*path = candidate;
	return 1;
}

int sg_spawn_program_path(const char *name, char **path)
{
	char self[4096];
	char *candidate;
	char *slash = NULL;
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	*path = NULL;
	if (strchr(name, '/') != NULL)
		return SG_ERR_ARG;
	if (n > 0) {
		self[n] = '\0';
		slash = strrchr(self, '/');
	}
	if (slash != NULL) {
		if (asprintf(&candidate, "%.*s/%s", (int)(slash - self), self, name) < 0)
			return SG_ERR_NOMEM;
		if (take_program(candidate, path))
			return 0;
	}
	if (asprintf(&candidate, "%s/%s", SG_LIBEXECDIR, name) < 0)
		return SG_ERR_NOMEM;
	return take_program(candidate, path) ? 0 : SG_ERR_IO;
}
