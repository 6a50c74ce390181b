#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "secret.h"

/* The sanitizer's mlock does nothing: what the lock does is then not to be seen. */
#if defined(__SANITIZE_ADDRESS__)
#define MLOCK_IS_REAL 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MLOCK_IS_REAL 0
#endif
#endif
#ifndef MLOCK_IS_REAL
#define MLOCK_IS_REAL 1
#endif

static void appends_and_clears(void **state)
{
	struct sg_secret *secret;
	char block[SG_SECRET_MAX] = { 0 };

	memset(block, 'x', sizeof(block));
	assert_int_equal(sg_secret_new(&secret), 0);
	assert_int_equal(sg_secret_len(secret), 0);
	assert_string_equal(sg_secret_data(secret), "");
	assert_int_equal(sg_secret_append(secret, "12", 2), 0);
	assert_int_equal(sg_secret_append(secret, "34", 2), 0);
	assert_string_equal(sg_secret_data(secret), "1234");
	assert_int_equal(sg_secret_append(secret, block, SG_SECRET_MAX - 3), SG_ERR_LIMIT);
	assert_int_equal(sg_secret_append(secret, block, (size_t)-1), SG_ERR_LIMIT);
	assert_string_equal(sg_secret_data(secret), "1234");
	assert_int_equal(sg_secret_append(secret, block, SG_SECRET_MAX - 4), 0);
	assert_int_equal(sg_secret_len(secret), SG_SECRET_MAX);
	assert_int_equal(strlen(sg_secret_data(secret)), SG_SECRET_MAX);
	sg_secret_clear(secret);
	assert_int_equal(sg_secret_len(secret), 0);
	for (size_t i = 0; i <= SG_SECRET_MAX; i++)
		assert_int_equal(sg_secret_data(secret)[i], 0);
	sg_secret_free(secret);
	sg_secret_free(NULL);
}

/* The VmFlags line of the mapping that holds the address. */
static void vm_flags(const void *address, char *flags, int size)
{
	FILE *file = fopen("/proc/self/smaps", "r");
	char line[1024];
	int inside = 0;

	assert_non_null(file);
	flags[0] = '\0';
	while (fgets(line, sizeof(line), file) != NULL) {
		uintptr_t begin, end;

		if (sscanf(line, "%lx-%lx ", &begin, &end) == 2)
			inside = (uintptr_t)address >= begin && (uintptr_t)address < end;
		else if (inside && strncmp(line, "VmFlags:", 8) == 0)
			snprintf(flags, (size_t)size, "%s", line);
	}
	fclose(file);
}

static void memory_is_locked_and_left_out_of_dumps(void **state)
{
	struct sg_secret *secret;
	char flags[1024];

	assert_int_equal(sg_secret_new(&secret), 0);
	assert_int_equal(sg_secret_append(secret, "1234", 4), 0);
	vm_flags(secret, flags, sizeof(flags));
	assert_non_null(strstr(flags, " dd")); /* MADV_DONTDUMP */
	assert_non_null(strstr(flags, " wf")); /* MADV_WIPEONFORK */
	if (MLOCK_IS_REAL)
		assert_non_null(strstr(flags, " lo"));
	sg_secret_free(secret);
}

static void child_sees_nothing(void **state)
{
	struct sg_secret *secret;
	int status;
	pid_t pid;

	assert_int_equal(sg_secret_new(&secret), 0);
	assert_int_equal(sg_secret_append(secret, "1234", 4), 0);
	pid = fork();
	if (pid == 0)
		_exit(sg_secret_len(secret) == 0 && sg_secret_data(secret)[0] == 0 ? 0 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_string_equal(sg_secret_data(secret), "1234");
	sg_secret_free(secret);
}

static void without_lockable_memory_there_is_no_secret(void **state)
{
	const struct rlimit none = { 0, 0 };
	int status;
	pid_t pid;

	if (!MLOCK_IS_REAL)
		skip();
	pid = fork();
	if (pid == 0) {
		struct sg_secret *secret = (void *)1;
		int null = open("/dev/null", O_WRONLY);

		dup2(null, STDERR_FILENO);
		if (setrlimit(RLIMIT_MEMLOCK, &none) != 0 || (geteuid() == 0 && setuid(65534) != 0))
			_exit(2);
		_exit(sg_secret_new(&secret) == SG_ERR_NOMEM && secret == NULL ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* Reads bytes that wait in a pipe, its other end closed or left open. */
static int read_bytes(struct sg_secret *secret, const char *bytes, size_t len, int close_end)
{
	int fds[2], err;

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write(fds[1], bytes, len), len);
	if (close_end)
		close(fds[1]);
	err = sg_secret_read_fd(secret, fds[0], 50);
	close(fds[0]);
	if (!close_end)
		close(fds[1]);
	return err;
}

static void reads_and_drops_one_line_end(void **state)
{
	static const char *const rows[][2] = { { "1234", "1234" }, { "1234\n", "1234" },
		{ "1234\r\n", "1234" }, { "1234\n\n", "1234\n" }, { "12\n34\n", "12\n34" },
		{ "1234\r", "1234\r" }, { " 1234 ", " 1234 " } };
	struct sg_secret *secret;

	assert_int_equal(sg_secret_new(&secret), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(read_bytes(secret, rows[i][0], strlen(rows[i][0]), 1), 0);
		assert_string_equal(sg_secret_data(secret), rows[i][1]);
		assert_int_equal(sg_secret_len(secret), strlen(rows[i][1]));
	}
	sg_secret_free(secret);
}

static void read_keeps_the_limit(void **state)
{
	struct sg_secret *secret;
	char block[1000];

	memset(block, 'x', sizeof(block));
	assert_int_equal(sg_secret_new(&secret), 0);
	assert_int_equal(read_bytes(secret, block, SG_SECRET_MAX, 1), 0);
	assert_int_equal(sg_secret_len(secret), SG_SECRET_MAX);
	for (size_t len = SG_SECRET_MAX + 1; len < SG_SECRET_MAX + 5; len++) {
		assert_int_equal(read_bytes(secret, block, len, 1), SG_ERR_LIMIT);
		assert_int_equal(sg_secret_len(secret), 0);
	}
	assert_int_equal(read_bytes(secret, block, sizeof(block), 1), SG_ERR_LIMIT);
	assert_int_equal(sg_secret_data(secret)[0], 0);
	memcpy(block + SG_SECRET_MAX, "\r\n", 2);
	assert_int_equal(read_bytes(secret, block, SG_SECRET_MAX + 2, 1), 0);
	assert_int_equal(sg_secret_len(secret), SG_SECRET_MAX);
	memcpy(block + SG_SECRET_MAX, "\n\n", 2);
	assert_int_equal(read_bytes(secret, block, SG_SECRET_MAX + 2, 1), SG_ERR_LIMIT);
	sg_secret_free(secret);
}

static void read_refuses_the_rest(void **state)
{
	struct sg_secret *secret;
	int fd;

	assert_int_equal(sg_secret_new(&secret), 0);
	assert_int_equal(read_bytes(secret, "", 0, 1), SG_ERR_FORMAT);
	assert_int_equal(read_bytes(secret, "\n", 1, 1), SG_ERR_FORMAT);
	assert_int_equal(read_bytes(secret, "\r\n", 2, 1), SG_ERR_FORMAT);
	assert_int_equal(read_bytes(secret, "12\0004", 4, 1), SG_ERR_FORMAT);
	assert_int_equal(sg_secret_data(secret)[0], 0);
	assert_int_equal(read_bytes(secret, "1234\n", 5, 0), SG_ERR_TIMEOUT);
	assert_int_equal(sg_secret_len(secret), 0);
	assert_int_equal(sg_secret_data(secret)[0], 0);
	fd = open("/", O_RDONLY);
	assert_int_equal(sg_secret_read_fd(secret, fd, 50), SG_ERR_IO);
	close(fd);
	sg_secret_free(secret);
}

/* poll() says nothing of the end of a pipe that is for writing: there would be a wait for nothing. */
static void what_cannot_be_read_is_not_waited_for(void **state)
{
	struct sg_secret *secret;
	int fds[2];

	assert_int_equal(sg_secret_new(&secret), 0);
	assert_int_equal(pipe(fds), 0);
	assert_true(sg_secret_fd_is_readable(fds[0]));
	assert_false(sg_secret_fd_is_readable(fds[1]));
	assert_int_equal(sg_secret_read_fd(secret, fds[1], 50), SG_ERR_ARG);
	close(fds[0]);
	close(fds[1]);
	assert_false(sg_secret_fd_is_readable(fds[1]));
	assert_int_equal(sg_secret_read_fd(secret, fds[1], 50), SG_ERR_ARG);
	fds[0] = open("/etc/passwd", O_PATH);
	assert_false(sg_secret_fd_is_readable(fds[0]));
	close(fds[0]);
	sg_secret_free(secret);
}

static void reads_a_file_and_leaves_it_open(void **state)
{
	struct sg_secret *secret;
	int fd = memfd_create("pin", 0);

	assert_int_equal(write(fd, "4321\n", 5), 5);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(sg_secret_new(&secret), 0);
	assert_int_equal(sg_secret_append(secret, "before", 6), 0);
	assert_int_equal(sg_secret_read_fd(secret, fd, 50), 0);
	assert_string_equal(sg_secret_data(secret), "4321");
	assert_int_equal(fcntl(fd, F_GETFD) >= 0, 1);
	close(fd);
	sg_secret_free(secret);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(appends_and_clears),
		cmocka_unit_test(memory_is_locked_and_left_out_of_dumps),
		cmocka_unit_test(child_sees_nothing),
		cmocka_unit_test(without_lockable_memory_there_is_no_secret),
		cmocka_unit_test(reads_and_drops_one_line_end),
		cmocka_unit_test(read_keeps_the_limit),
		cmocka_unit_test(read_refuses_the_rest),
		cmocka_unit_test(what_cannot_be_read_is_not_waited_for),
		cmocka_unit_test(reads_a_file_and_leaves_it_open),
	};

	return cmocka_run_group_tests_name("secret", tests, NULL, NULL);
}
