#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "secret_file.h"

/* A file of this mode, and of this owner when we are root. */
static int checked(mode_t mode, uid_t owner, const char **why)
{
	int fd = memfd_create("pin", 0);
	int err;

	assert_true(fd >= 0);
	assert_int_equal(fchmod(fd, mode), 0);
	if (owner != geteuid())
		assert_int_equal(fchown(fd, owner, (gid_t)-1), 0);
	err = sg_secret_file_check(fd, why);
	assert_int_equal(err == 0, *why == NULL);
	close(fd);
	return err;
}

static void ours_is_for_us_alone(void **state)
{
	const char *why;

	assert_int_equal(checked(0600, geteuid(), &why), 0);
	assert_int_equal(checked(0400, geteuid(), &why), 0);
	assert_int_equal(checked(0604, geteuid(), &why), SG_ERR_DENIED);
	assert_string_equal(why, "is open to others");
	assert_int_equal(checked(0602, geteuid(), &why), SG_ERR_DENIED);
	assert_int_equal(checked(0666, geteuid(), &why), SG_ERR_DENIED);
	assert_int_equal(checked(0640, geteuid(), &why), SG_ERR_DENIED);
	assert_non_null(strstr(why, "group"));
}

/* Root's may be open to a group, so the check is made as somebody who is not root (which root alone can be). */
static void groups_and_owners(void **state)
{
	const char *why;
	int ours, roots, strangers, fd;

	if (geteuid() != 0)
		return;
	assert_int_equal(checked(0600, 1234, &why), SG_ERR_DENIED);
	assert_non_null(strstr(why, "somebody else's"));
	ours = memfd_create("ours", 0);
	roots = memfd_create("roots", 0);
	strangers = memfd_create("strangers", 0);
	assert_int_equal(fchmod(ours, 0640) | fchmod(roots, 0440) | fchmod(strangers, 0600), 0);
	assert_int_equal(fchown(ours, 1234, (gid_t)-1) | fchown(strangers, 1235, (gid_t)-1), 0);
	assert_int_equal(seteuid(1234), 0);
	assert_int_equal(sg_secret_file_check(ours, &why), SG_ERR_DENIED);
	assert_non_null(strstr(why, "group"));
	assert_int_equal(sg_secret_file_check(roots, &why), 0);
	assert_int_equal(sg_secret_file_check(strangers, &why), SG_ERR_DENIED);
	assert_int_equal(seteuid(0), 0);
	assert_int_equal(fchmod(ours, 0600), 0);
	assert_int_equal(seteuid(1234), 0);
	assert_int_equal(sg_secret_file_check(ours, &why), 0);
	assert_int_equal(seteuid(0), 0);
	for (fd = 0; fd < 3; fd++)
		close((int[]){ ours, roots, strangers }[fd]);
}

static void kinds(void **state)
{
	const char *why;
	int pipes[2], socks[2], fd;

	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(sg_secret_file_check(pipes[0], &why), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, socks), 0);
	assert_int_equal(sg_secret_file_check(socks[0], &why), SG_ERR_ARG);
	fd = open("/dev/null", O_RDONLY);
	assert_int_equal(sg_secret_file_check(fd, &why), SG_ERR_ARG);
	close(fd);
	fd = open("/", O_RDONLY);
	assert_int_equal(sg_secret_file_check(fd, &why), SG_ERR_ARG);
	assert_string_equal(why, "is neither a file nor a pipe");
	close(fd);
	assert_int_equal(sg_secret_file_check(-1, &why), SG_ERR_IO);
	assert_non_null(why);
	for (int i = 0; i < 2; i++) {
		close(pipes[i]);
		close(socks[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ours_is_for_us_alone),
		cmocka_unit_test(groups_and_owners),
		cmocka_unit_test(kinds),
	};

	return cmocka_run_group_tests_name("secret_file", tests, NULL, NULL);
}
