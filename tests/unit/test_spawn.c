#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "capture.h"
#include "spawn.h"

static char self[4096];

/* ---- what the worker does: this program again, with an argument ---- */

static int only_standard_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;
	int good = dir != NULL;

	while (good && (entry = readdir(dir)) != NULL) {
		int fd = atoi(entry->d_name);

		if (entry->d_name[0] != '.' && fd > SG_WORKER_FD && fd != dirfd(dir))
			good = 0;
	}
	if (dir != NULL)
		closedir(dir);
	return good;
}

static int stdin_is_null(void)
{
	struct stat in, null;

	return fstat(0, &in) == 0 && stat("/dev/null", &null) == 0 && in.st_rdev == null.st_rdev;
}

static int signals_are_plain(void)
{
	struct sigaction action;
	sigset_t mask;

	sigprocmask(SIG_SETMASK, NULL, &mask);
	for (int sig = 1; sig < NSIG; sig++) {
		if (sigismember(&mask, sig) == 1)
			return 0;
	}
	return sigaction(SIGUSR1, NULL, &action) == 0 && action.sa_handler == SIG_DFL &&
	    sigaction(SIGPIPE, NULL, &action) == 0 && action.sa_handler == SIG_DFL;
}

/* Answers on its channel, with one letter for each thing that is as it should be. */
static int worker_report(void)
{
	char report[8] = "";
	char request;
	int death = 0;

	if (read(SG_WORKER_FD, &request, 1) != 1)
		return 1;
	prctl(PR_GET_PDEATHSIG, &death);
	snprintf(report, sizeof(report), "%c%c%c%c%c", request,
	    only_standard_descriptors() ? 'd' : '-', stdin_is_null() ? 'n' : '-',
	    signals_are_plain() ? 's' : '-', death == SIGKILL ? 'k' : '-');
	return write(SG_WORKER_FD, report, 5) == 5 ? 0 : 1;
}

static int worker_main(const char *role)
{
	if (strcmp(role, "report") == 0)
		return worker_report();
	for (;;)
		pause(); /* "hang": only a signal ends it */
}

/* ---- tests ---- */

static void ignore_signal(int sig)
{
}

static int spawn(const char *role, pid_t *pid, int *sock)
{
	char name[] = "worker", copy[16];
	char *argv[] = { name, copy, NULL };

	snprintf(copy, sizeof(copy), "%s", role);
	return sg_spawn_worker(self, argv, pid, sock);
}

static void assert_reports_well(void)
{
	char report[8] = "";
	int sock, status;
	pid_t pid;

	assert_int_equal(spawn("report", &pid, &sock), 0);
	assert_true((fcntl(sock, F_GETFD) & FD_CLOEXEC) != 0);
	assert_true((fcntl(sock, F_GETFL) & O_NONBLOCK) == 0);
	assert_int_equal(write(sock, "?", 1), 1);
	assert_int_equal(read(sock, report, 5), 5);
	assert_string_equal(report, "?dnsk");
	assert_int_equal(read(sock, report, 1), 0); /* its end closes with it */
	close(sock);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void worker_starts_clean(void **state)
{
	struct sigaction handler = { .sa_handler = ignore_signal }, old;
	sigset_t blocked, mask;
	int stray[20];

	for (size_t i = 0; i < 19; i++)
		stray[i] = open("/dev/null", O_RDONLY); /* not close-on-exec */
	stray[19] = fcntl(stray[0], F_DUPFD, 500);
	assert_true(stray[19] >= 500);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGTERM);
	sigprocmask(SIG_BLOCK, &blocked, &mask);
	sigaction(SIGUSR1, &handler, &old);
	signal(SIGPIPE, SIG_IGN);
	assert_reports_well();
	signal(SIGPIPE, SIG_DFL);
	sigaction(SIGUSR1, &old, NULL);
	sigprocmask(SIG_SETMASK, NULL, &blocked);
	assert_int_equal(sigismember(&blocked, SIGTERM), 1); /* ours is as it was */
	assert_int_equal(sigismember(&blocked, SIGINT), 0);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	for (size_t i = 0; i < 20; i++)
		close(stray[i]);
}

static void no_program_is_an_error(void **state)
{
	struct capture capture;
	char name[] = "none";
	char *argv[] = { name, NULL };
	pid_t pid = 5;
	int sock = 5;

	capture_begin(&capture);
	assert_int_equal(sg_spawn_worker("/nonexistent/program", argv, &pid, &sock), SG_ERR_IO);
	assert_int_equal(pid, -1);
	assert_int_equal(sock, -1);
	assert_int_equal(sg_spawn_worker("/dev/null", argv, &pid, &sock), SG_ERR_IO);
	capture_end(&capture);
	assert_non_null(strstr(capture.text, "cannot start /nonexistent/program: No such file"));
	assert_non_null(strstr(capture.text, "cannot start /dev/null: Permission denied"));
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* and no child is left behind */
}

static void worker_dies_with_its_parent(void **state)
{
	pid_t parent, worker = -1;
	int fds[2], status;

	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
	assert_int_equal(pipe(fds), 0);
	parent = fork();
	if (parent == 0) {
		int sock;

		if (spawn("hang", &worker, &sock) != 0 ||
		    write(fds[1], &worker, sizeof(worker)) != sizeof(worker))
			_exit(1);
		for (;;)
			pause();
	}
	assert_int_equal(read(fds[0], &worker, sizeof(worker)), sizeof(worker));
	assert_int_equal(kill(worker, 0), 0);
	assert_int_equal(kill(parent, SIGKILL), 0);
	assert_int_equal(waitpid(parent, &status, 0), parent);
	assert_int_equal(waitpid(worker, &status, 0), worker);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	close(fds[0]);
	close(fds[1]);
}

/* With descriptors 0 to 3 free in the parent, the child's ends would fall on them. */
static void low_descriptors_may_be_free(void **state)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		char report[8] = "";
		pid_t worker;
		int sock;

		for (int fd = 0; fd < 10; fd++)
			close(fd);
		if (spawn("report", &worker, &sock) != 0 || write(sock, "?", 1) != 1 ||
		    read(sock, report, 5) != 5)
			_exit(1);
		_exit(strcmp(report, "?dnsk") == 0 ? 0 : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void program_paths(void **state)
{
	char *path;

	assert_int_equal(sg_spawn_program_path(strrchr(self, '/') + 1, &path), 0);
	assert_string_equal(path, self);
	free(path);
	assert_int_equal(sg_spawn_program_path("signet-nonexistent", &path), SG_ERR_IO);
	assert_null(path);
	assert_int_equal(sg_spawn_program_path("../bin/sh", &path), SG_ERR_ARG);
	assert_null(path);
	assert_int_equal(sg_spawn_program_path("/bin/sh", &path), SG_ERR_ARG);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(worker_starts_clean),
		cmocka_unit_test(no_program_is_an_error),
		cmocka_unit_test(worker_dies_with_its_parent),
		cmocka_unit_test(low_descriptors_may_be_free),
		cmocka_unit_test(program_paths),
	};

	if (argc > 1)
		return worker_main(argv[1]);
	if (readlink("/proc/self/exe", self, sizeof(self) - 1) <= 0)
		return 1;
	return cmocka_run_group_tests_name("spawn", tests, NULL, NULL);
}
