#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harden.h"

/* Runs the check in a child, whose process may be changed; its exit status says what is wrong. */
static int in_child(int (*check)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(check());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int protected(void)
{
	struct rlimit core;
	struct sigaction action;

	if (sg_harden_process() != 0)
		return 1;
	if (prctl(PR_GET_DUMPABLE) != 0)
		return 2;
	if (getrlimit(RLIMIT_CORE, &core) != 0 || core.rlim_cur != 0 || core.rlim_max != 0)
		return 3;
	if (umask(0) != 077)
		return 4;
	if (sigaction(SIGPIPE, NULL, &action) != 0 || action.sa_handler != SIG_IGN)
		return 5;
	return 0;
}

static int descriptors_open(void)
{
	int fd;

	close(0);
	close(1);
	close(2);
	if (sg_harden_process() != 0)
		return 1;
	for (fd = 0; fd <= 2; fd++) {
		if (fcntl(fd, F_GETFD) != 0) /* open, and kept over an exec */
			return 2 + fd;
	}
	fd = open("/dev/null", O_RDONLY);
	return fd > 2 ? 0 : 9;
}

/* Descriptors that are open already stay what they are. */
static int descriptors_kept(void)
{
	struct stat before, after;

	if (fstat(1, &before) != 0 || sg_harden_process() != 0 || fstat(1, &after) != 0)
		return 1;
	return before.st_ino == after.st_ino && before.st_dev == after.st_dev ? 0 : 2;
}

static void process_is_protected(void **state)
{
	assert_int_equal(in_child(protected), 0);
}

static void descriptors_0_to_2(void **state)
{
	assert_int_equal(in_child(descriptors_open), 0);
	assert_int_equal(in_child(descriptors_kept), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(process_is_protected),
		cmocka_unit_test(descriptors_0_to_2),
	};

	return cmocka_run_group_tests_name("harden", tests, NULL, NULL);
}
