#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "capture.h"
#include "output.h"

#define MANY (1u << 20) /* more than a pipe takes at once */

static void all_is_written(void **state)
{
	static unsigned char sent[MANY], part[65536];
	size_t got = 0;
	int fds[2], status;
	pid_t pid;

	for (size_t i = 0; i < MANY; i++)
		sent[i] = (unsigned char)(i % 251);
	assert_int_equal(pipe(fds), 0);
	pid = fork();
	if (pid == 0)
		_exit(sg_write_all(fds[1], sent, MANY) == 0 ? 0 : 1);
	close(fds[1]);
	for (;;) {
		ssize_t n = read(fds[0], part, sizeof(part));

		assert_true(n >= 0);
		if (n == 0)
			break;
		assert_true(got + (size_t)n <= MANY);
		assert_memory_equal(part, sent + got, (size_t)n);
		got += (size_t)n;
	}
	assert_int_equal(got, MANY);
	close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void what_cannot_be_written_is_told(void **state)
{
	int full = open("/dev/full", O_WRONLY);

	assert_int_equal(sg_write_all(full, "", 0), 0);
	assert_int_equal(sg_write_all(full, "x", 1), SG_ERR_IO);
	assert_int_equal(errno, ENOSPC);
	close(full);
}

/* Standard output is another file's for one look at it. */
static int finish(const char *path, struct capture *capture)
{
	int kept = dup(STDOUT_FILENO), err;
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	fflush(stdout);
	assert_true(kept >= 0 && dup2(fd, STDOUT_FILENO) >= 0);
	printf("text");
	capture_begin(capture);
	err = sg_stdout_finish("program");
	capture_end(capture);
	dup2(kept, STDOUT_FILENO);
	fflush(stdout);
	clearerr(stdout);
	close(kept);
	close(fd);
	return err;
}

static void standard_output_is_checked(void **state)
{
	struct capture capture;

	assert_int_equal(finish("/dev/null", &capture), 0);
	assert_string_equal(capture.text, "");
	assert_int_equal(finish("/dev/full", &capture), SG_ERR_IO);
	assert_string_equal(
	    capture.text, "program: standard output cannot be written: No space left on device\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_is_written),
		cmocka_unit_test(what_cannot_be_written_is_told),
		cmocka_unit_test(standard_output_is_checked),
	};

	return cmocka_run_group_tests_name("output", tests, NULL, NULL);
}
