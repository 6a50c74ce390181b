#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "conf.h"

struct taken {
	char text[16384];
	size_t len;
};

static int take(void *arg, const char *section, const char *name, const char *value, int line)
{
	struct taken *taken = arg;

	if (strcmp(name, "unknown") == 0)
		return 0;
	taken->len += (size_t)snprintf(taken->text + taken->len, sizeof(taken->text) - taken->len,
	    "%d[%s]%s=%s|", line, section, name, value);
	return 1;
}

/* Reads these bytes as a file; gives what was logged. */
static int read_text(const char *text, size_t len, struct taken *taken, struct capture *capture)
{
	char path[] = "/tmp/signet-conf-XXXXXX";
	int fd = mkstemp(path);
	int err;

	*taken = (struct taken){ 0 };
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), len);
	close(fd);
	capture_begin(capture);
	err = sg_conf_read(path, 0, take, taken);
	capture_end(capture);
	unlink(path);
	return err;
}

static void settings_come_in_order(void **state)
{
	static const char text[] = "# a comment\n"
				   "top = 1\n"
				   "\n"
				   "[modules]\r\n"
				   "  path = /usr/lib/a b.so  \n"
				   "uri=pkcs11:token=a;object=b ; a comment\n"
				   "[other]\n"
				   "last = \xc3\xbc";
	struct taken taken;
	struct capture capture;

	assert_int_equal(read_text(text, strlen(text), &taken, &capture), 0);
	assert_string_equal(taken.text,
	    "2[]top=1|5[modules]path=/usr/lib/a b.so|"
	    "6[modules]uri=pkcs11:token=a;object=b|8[other]last=\xc3\xbc|");
	assert_string_equal(capture.text, "");
}

static void missing_file(void **state)
{
	struct taken taken = { 0 };
	struct capture capture;

	assert_int_equal(sg_conf_read("/nonexistent/signet.conf", 1, take, &taken), 0);
	capture_begin(&capture);
	assert_int_equal(sg_conf_read("/nonexistent/signet.conf", 0, take, &taken), SG_ERR_IO);
	assert_int_equal(sg_conf_read("/", 1, take, &taken), SG_ERR_IO);
	capture_end(&capture);
	assert_non_null(strstr(capture.text, "/nonexistent/signet.conf: "));
	assert_int_equal(taken.len, 0);
}

static void first_error_is_named_and_ends_it(void **state)
{
	static const char text[] = "a = 1\n[s]\nunknown = 2\nb = 3\nunknown = 4\n";
	struct taken taken;
	struct capture capture;

	assert_int_equal(read_text(text, strlen(text), &taken, &capture), SG_ERR_CONFIG);
	assert_string_equal(taken.text, "1[]a=1|");
	assert_non_null(
	    strstr(capture.text, ":3: unknown setting, bad value, or set twice: [s] unknown\n"));
	assert_ptr_equal(strchr(capture.text, '\n'), capture.text + strlen(capture.text) - 1);
}

static void assert_refused(const char *text, size_t len, const char *where)
{
	struct taken taken;
	struct capture capture;

	assert_int_equal(read_text(text, len, &taken, &capture), SG_ERR_CONFIG);
	assert_non_null(strstr(capture.text, where));
}

static void malformed_lines(void **state)
{
	assert_refused("a = 1\njust words\n", 17, ":2: ");
	assert_refused("[section\na = 1\n", 15, ":1: ");
	assert_refused("a = 1\nb = \xff\n", 12, ":2: not UTF-8");
	assert_refused("a = 1\nb = \0c\n", 13, ":2: ");
	assert_refused("a = \x1b[31m\n", 10, ":1: ");
}

static void line_limit(void **state)
{
	char text[SG_CONF_LINE_MAX + 100];
	struct taken taken;
	struct capture capture;

	memset(text, 'x', sizeof(text));
	memcpy(text, "a = ", 4);
	text[SG_CONF_LINE_MAX] = '\n';
	assert_int_equal(read_text(text, SG_CONF_LINE_MAX + 1, &taken, &capture), 0);
	assert_int_equal(taken.len, strlen("1[]a=|") + SG_CONF_LINE_MAX - 4);
	memset(text + SG_CONF_LINE_MAX, 'x', 10);
	text[SG_CONF_LINE_MAX + 10] = '\n';
	assert_refused(text, SG_CONF_LINE_MAX + 11, ":1: line too long");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(settings_come_in_order),
		cmocka_unit_test(missing_file),
		cmocka_unit_test(first_error_is_named_and_ends_it),
		cmocka_unit_test(malformed_lines),
		cmocka_unit_test(line_limit),
	};

	return cmocka_run_group_tests_name("conf", tests, NULL, NULL);
}
