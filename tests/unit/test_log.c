#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "log.h"

static void one_line_per_event(void **state)
{
	struct capture capture;

	sg_log_init("test", SG_LOG_INFO);
	capture_begin(&capture);
	sg_log(SG_LOG_ERROR, "a %d", 1);
	sg_log(SG_LOG_WARN, "b");
	sg_log(SG_LOG_INFO, "c");
	sg_log(SG_LOG_DEBUG, "d");
	assert_string_equal(
	    capture_end(&capture), "test: error: a 1\ntest: warn: b\ntest: info: c\n");
}

static void environment_sets_the_level(void **state)
{
	struct capture capture;

	setenv("SIGNET_LOG", "error", 1);
	sg_log_init("test", SG_LOG_DEBUG);
	capture_begin(&capture);
	sg_log(SG_LOG_ERROR, "a");
	sg_log(SG_LOG_WARN, "b");
	setenv("SIGNET_LOG", "debug", 1);
	sg_log_init("test", SG_LOG_ERROR);
	sg_log(SG_LOG_DEBUG, "c");
	setenv("SIGNET_LOG", "nonsense", 1);
	sg_log_init("test", SG_LOG_WARN);
	sg_log(SG_LOG_INFO, "d");
	sg_log(SG_LOG_WARN, "e");
	unsetenv("SIGNET_LOG");
	assert_string_equal(
	    capture_end(&capture), "test: error: a\ntest: debug: c\ntest: warn: e\n");
}

static void a_text_cannot_forge_a_line(void **state)
{
	struct capture capture;

	sg_log_init("test", SG_LOG_INFO);
	capture_begin(&capture);
	sg_log(SG_LOG_INFO, "%s", "a\nroot: error: b\x1b[31m\x7f\xff\xc2\x9b\xc3\xbc");
	assert_string_equal(capture_end(&capture),
	    "test: info: a\\x0aroot: error: b\\x1b[31m\\x7f\\xff\\xc2\\x9b\xc3\xbc\n");
}

/* Whatever the text, a line is at most 1 KiB with its line end, and says that it was cut. */
static void lines_are_cut(void **state)
{
	static const char *const fillers[] = { "x", "\x01", "\xc3\xbc", "\xff" };
	char text[5001];

	sg_log_init("test", SG_LOG_INFO);
	for (size_t i = 0; i < sizeof(fillers) / sizeof(fillers[0]); i++) {
		for (size_t len = 900; len < 1100; len += i == 0 ? 1 : 37) {
			struct capture capture;
			const char *line;

			text[0] = '\0';
			for (size_t n = 0; n < len; n++)
				memcpy(text + n * strlen(fillers[i]), fillers[i],
				    strlen(fillers[i]) + 1);
			capture_begin(&capture);
			/* wherever in the line what is escaped begins */
			sg_log(SG_LOG_INFO, "%.*s%s", i > 0 ? (int)(len % 5) : 0, "....", text);
			line = capture_end(&capture);
			assert_true(strlen(line) <= 1024);
			assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
			if (i == 0 && len <= 1024 - strlen("test: info: ...\n"))
				assert_int_equal(strlen(line), len + strlen("test: info: \n"));
			else
				assert_string_equal(line + strlen(line) - 4, "...\n");
		}
	}
}

static void errno_is_kept(void **state)
{
	struct capture capture;

	capture_begin(&capture);
	errno = ENOENT;
	sg_log(SG_LOG_ERROR, "x");
	assert_int_equal(errno, ENOENT);
	capture_end(&capture);
}

static int clean_environment(void **state)
{
	return unsetenv("SIGNET_LOG");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_line_per_event),
		cmocka_unit_test(environment_sets_the_level),
		cmocka_unit_test(a_text_cannot_forge_a_line),
		cmocka_unit_test(lines_are_cut),
		cmocka_unit_test(errno_is_kept),
	};

	return cmocka_run_group_tests_name("log", tests, clean_environment, NULL);
}
