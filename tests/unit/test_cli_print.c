#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "print.h"

static void check(const char *text, int keep, const char *expected)
{
	char *clean = sg_text_clean(text, keep);

	assert_string_equal(clean, expected);
	free(clean);
}

static void text_stays_text(void **state)
{
	check("", 0, "");
	check("Juliet's key, 100 %d", 0, "Juliet's key, 100 %d");
	check("Schl\xc3\xbcssel \xe9\x8d\xb5 \xf0\x9f\x94\x91", 0,
	    "Schl\xc3\xbcssel \xe9\x8d\xb5 \xf0\x9f\x94\x91");
}

/* What a terminal would obey: escapes, C1 (a CSI in one character), title and line tricks. */
static void controls_are_escaped(void **state)
{
	check("a\nb\tc\rd", 0, "a\\nb\\tc\\rd");
	check("\x1b]0;title\x07", 0, "\\x1b]0;title\\x07");
	check("\x7f", 0, "\\x7f");
	check("\xc2\x9b"
	      "31m",
	    0, "\\u009b31m");
	check("\xe2\x80\xae"
	      "moc.live",
	    0, "\\u202emoc.live");
	check("\xe2\x81\xa6\xe2\x80\xa8", 0, "\\u2066\\u2028");
	check("a\nb", 1, "a\nb");
}

/* Two names that look alike must not be: what cannot be seen is written out. */
static void hidden_characters_are_escaped(void **state)
{
	check("ro\xe2\x80\x8bmeo", 0, "ro\\u200bmeo");
	check("a\xc2\xad"
	      "b\xe2\x81\xa0\xe3\x85\xa4\xe1\x85\x9f",
	    0, "a\\u00adb\\u2060\\u3164\\u115f");
	check("a\xc2\xa0\xe2\x80\x87\xe3\x80\x80z", 0, "a\\u00a0\\u2007\\u3000z");
	check("\xf3\xa0\x81\x81", 0, "\\U000e0041");
	check("\xe2\x9d\xa4\xef\xb8\x8f", 0, "\xe2\x9d\xa4\\ufe0f");
}

/* Values stand in one column; a name that is as long as that, or longer, is still apart from its value. */
static void names_are_apart_from_values(void **state)
{
	static const struct {
		const char *name, *expected;
	} cases[] = {
		{ "a", "a:            value\n" },
		{ "twelve chars", "twelve chars: value\n" },
		{ "thirteen char", "thirteen char: value\n" },
		{ "longer than that", "longer than that: value\n" },
	};
	FILE *saved = stdout;
	char *text;
	size_t len;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		stdout = open_memstream(&text, &len);
		sg_print_field(cases[i].name, "value");
		fclose(stdout);
		stdout = saved;
		assert_string_equal(text, cases[i].expected);
		free(text);
	}
}

static void broken_utf8_is_replaced(void **state)
{
	check("\xff"
	      "a",
	    0,
	    "\xef\xbf\xbd"
	    "a");
	check("\xc3", 0, "\xef\xbf\xbd");				  /* cut */
	check("\xc0\x80", 0, "\xef\xbf\xbd\xef\xbf\xbd");		  /* NUL, too long */
	check("\xed\xa0\x80", 1, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"); /* a surrogate */
	check("\x9b"
	      "31m",
	    0,
	    "\xef\xbf\xbd"
	    "31m");
}

static void members_are_found_or_not(void **state)
{
	json_t *object = json_pack("{s:s, s:n, s:i, s:[ss], s:[]}", "text", "here", "none",
	    "number", 7, "list", "a", "b", "empty");
	char *list;

	assert_string_equal(sg_member(object, "text", "-"), "here");
	assert_string_equal(sg_member(object, "none", "-"), "-");
	assert_string_equal(sg_member(object, "number", "-"), "-");
	assert_string_equal(sg_member(object, "absent", "-"), "-");
	assert_null(sg_member(NULL, "absent", NULL));
	list = sg_member_list(object, "list");
	assert_string_equal(list, "a, b");
	free(list);
	list = sg_member_list(object, "empty");
	assert_string_equal(list, "-");
	free(list);
	list = sg_member_list(object, "text");
	assert_string_equal(list, "-");
	free(list);
	json_decref(object);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_stays_text),
		cmocka_unit_test(controls_are_escaped),
		cmocka_unit_test(hidden_characters_are_escaped),
		cmocka_unit_test(names_are_apart_from_values),
		cmocka_unit_test(broken_utf8_is_replaced),
		cmocka_unit_test(members_are_found_or_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
