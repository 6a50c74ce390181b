#include "authority/logins.h"

#include <sys/stat.h>
#include <unistd.h>

#include "authority/file.h"
#include "capture.h"
#include "codecs.h"

#define A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define C "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
#define T "\t2026-01-31T23:59:59Z"

static struct sg_logins *read_text(const char *text, size_t len, int err, const char *logged)
{
	char path[] = "/tmp/signet-logins-XXXXXX";
	struct sg_logins *logins;
	struct capture capture;
	int fd = mkstemp(path), got;

	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(sg_file_replace(path, text, len, 0644), 0);
	capture_begin(&capture);
	got = sg_logins_read(path, &logins);
	assert_non_null(strstr(capture_end(&capture), logged));
	assert_int_equal(got, err);
	assert_true((logins != NULL) == (err == 0));
	unlink(path);
	return logins;
}

static void lines_are_found(void **state)
{
	static const char text[] = B T "\tphone\t\xc3\xa4\n" A T "\n";
	struct sg_logins *logins = read_text(text, sizeof(text) - 1, 0, "");
	const struct sg_login *login = sg_logins_find(logins, A);

	assert_string_equal(login->last_used, "2026-01-31T23:59:59Z");
	assert_int_equal(login->resource_count, 0);
	login = sg_logins_find(logins, B);
	assert_int_equal(login->resource_count, 2);
	assert_string_equal(login->resources[0], "phone");
	assert_string_equal(login->resources[1], "\xc3\xa4");
	assert_null(sg_logins_find(logins, C));
	sg_logins_free(logins);
}

static void other_forms_are_passed_over(void **state)
{
	static const char text[] = "\n" A "\n" A "a" T "\n" B "\t2026-01-31T23:59:59\n" B
				   "\t2026-01-31 23:59:59Z\n" B "\t\n"
				   "x\ty\tz\n" C T "\t\ta\t\xff\tb\x01\n" A;
	struct sg_logins *logins = read_text(text, sizeof(text) - 1, 0, "7 lines");
	const struct sg_login *login = sg_logins_find(logins, C);

	assert_null(sg_logins_find(logins, A));
	assert_null(sg_logins_find(logins, B));
	assert_int_equal(login->resource_count, 1);
	assert_string_equal(login->resources[0], "a");
	sg_logins_free(logins);
}

static void resources_are_bounded(void **state)
{
	struct sg_buf text = { 0 };
	struct sg_logins *logins;
	char *fits = many('x', SG_LOGINS_RESOURCE_MAX),
	     *large = many('y', SG_LOGINS_RESOURCE_MAX + 1);

	sg_buf_put_str(&text, A T "\t");
	sg_buf_put_str(&text, large);
	for (int i = 0; i < SG_LOGINS_RESOURCES_MAX + 1; i++) {
		sg_buf_put_str(&text, "\t");
		sg_buf_put_str(&text, fits);
	}
	logins = read_text((char *)text.data, text.len, 0, "");
	assert_int_equal(sg_logins_find(logins, A)->resource_count, SG_LOGINS_RESOURCES_MAX);
	assert_string_equal(sg_logins_find(logins, A)->resources[0], fits);
	sg_logins_free(logins);
	sg_buf_clear(&text);
	free(fits);
	free(large);
}

static void the_file_is_bounded(void **state)
{
	struct sg_logins *logins;
	char *text = many('\n', SG_LOGINS_BYTES_MAX + 1);

	logins = read_text("", 0, 0, "");
	assert_null(sg_logins_find(logins, A));
	sg_logins_free(logins);

	logins = read_text(text, SG_LOGINS_BYTES_MAX, 0, "");
	assert_null(sg_logins_find(logins, A));
	sg_logins_free(logins);
	logins = read_text(text, SG_LOGINS_BYTES_MAX + 1, SG_ERR_LIMIT, "logins: /tmp/");
	assert_null(sg_logins_find(logins, A));
	free(text);
}

static void a_missing_file_is_empty(void **state)
{
	struct sg_logins *logins;
	struct capture capture;
	int err;

	assert_int_equal(sg_logins_read("/nonexistent/logins", &logins), 0);
	assert_null(sg_logins_find(logins, A));
	sg_logins_free(logins);
	capture_begin(&capture);
	err = sg_logins_read("/tmp", &logins); /* a folder */
	assert_non_null(strstr(capture_end(&capture), ": Is a directory"));
	assert_int_equal(err, SG_ERR_IO);
}

static void a_file_is_replaced_whole(void **state)
{
	char folder[] = "/tmp/signet-file-XXXXXX", path[64];
	struct capture capture;
	struct stat before, after;
	int err;

	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/list", folder);
	assert_int_equal(sg_file_replace(path, "one", 3, 0644), 0);
	assert_int_equal(stat(path, &before), 0);
	assert_int_equal(before.st_mode & 0777, 0644);
	assert_int_equal(sg_file_replace(path, NULL, 0, 0600), 0);
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(after.st_size, 0);
	assert_int_equal(after.st_mode & 0777, 0600);
	assert_int_not_equal(before.st_ino, after.st_ino);
	assert_int_equal(remove(path), 0);
	assert_int_equal(rmdir(folder), 0); /* no temporary file was left */
	capture_begin(&capture);
	err = sg_file_replace(path, "x", 1, 0644);
	assert_non_null(strstr(capture_end(&capture), path));
	assert_int_equal(err, SG_ERR_IO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_found),
		cmocka_unit_test(other_forms_are_passed_over),
		cmocka_unit_test(resources_are_bounded),
		cmocka_unit_test(the_file_is_bounded),
		cmocka_unit_test(a_missing_file_is_empty),
		cmocka_unit_test(a_file_is_replaced_whole),
	};

	return cmocka_run_group_tests_name("authority_logins", tests, NULL, NULL);
}
