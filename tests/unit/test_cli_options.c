#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "options.h"

#define WORDS_MAX 16

/* getopt_long() reorders argv, so each call gets a copy. */
struct line {
	char *argv[WORDS_MAX + 1];
	int argc;
	struct sg_args args;
	char *why;
	int err;
};

static void parse(struct line *line, uint64_t allowed, int stop, const char *const *words)
{
	memset(line, 0, sizeof(*line));
	while (words[line->argc] != NULL) {
		assert_true(line->argc < WORDS_MAX);
		line->argv[line->argc] = strdup(words[line->argc]);
		line->argc++;
	}
	line->err = sg_args_parse(&line->args, line->argc, line->argv, allowed, stop, &line->why);
}

static void done(struct line *line)
{
	for (int i = 0; i < line->argc; i++)
		free(line->argv[i]);
	free(line->why);
	sg_args_clear(&line->args);
}

#define PARSE(line, allowed, stop, ...)                                                            \
	parse(line, allowed, stop, (const char *const[]){ "word", __VA_ARGS__, NULL })

#define SOME (SG_OPTS_GLOBAL | SG_OPTS_PIN | SG_OPT_BIT(SG_OPT_OUT) | SG_OPT_BIT(SG_OPT_ISSUER))

static void options_stand_before_and_after_operands(void **state)
{
	struct line line;

	PARSE(&line, SOME, 0, "one", "--out", "file", "two", "--json", "--pin-fd=7");
	assert_int_equal(line.err, 0);
	assert_int_equal(line.args.operand_count, 2);
	assert_string_equal(line.args.operands[0], "one");
	assert_string_equal(line.args.operands[1], "two");
	assert_string_equal(line.args.value[SG_OPT_OUT], "file");
	assert_string_equal(line.args.value[SG_OPT_PIN_FD], "7");
	assert_true(sg_args_has(&line.args, SG_OPT_JSON));
	assert_false(sg_args_has(&line.args, SG_OPT_BATCH));
	done(&line);
}

static void two_dashes_end_the_options(void **state)
{
	struct line line;

	PARSE(&line, SOME, 0, "--json", "--", "--out", "-x");
	assert_int_equal(line.err, 0);
	assert_int_equal(line.args.operand_count, 2);
	assert_string_equal(line.args.operands[0], "--out");
	done(&line);
}

static void stops_at_the_first_operand_when_told(void **state)
{
	struct line line;

	PARSE(&line, SG_OPTS_GLOBAL, 1, "--json", "token", "--nonsense");
	assert_int_equal(line.err, 0);
	assert_int_equal(line.args.operand_count, 2);
	assert_string_equal(line.args.operands[0], "token");
	done(&line);
}

static void a_second_call_keeps_what_the_first_found(void **state)
{
	const char *const words[] = { "command", "--out", "f", NULL };
	struct line line, more;

	PARSE(&line, SG_OPTS_GLOBAL, 1, "--json", "--socket", "/s");
	parse(&more, SOME, 0, words);
	free(more.why);
	assert_int_equal(sg_args_parse(&line.args, more.argc, more.argv, SOME, 0, &more.why), 0);
	assert_string_equal(line.args.value[SG_OPT_SOCKET], "/s");
	assert_string_equal(line.args.value[SG_OPT_OUT], "f");
	done(&more);
	done(&line);
}

static void repeated_issuers_are_kept_in_order(void **state)
{
	struct line line;

	PARSE(&line, SOME, 0, "--issuer", "a", "file", "--issuer=b", "--issuer", "c");
	assert_int_equal(line.err, 0);
	assert_int_equal(line.args.repeated_count, 3);
	assert_string_equal(line.args.repeated[0].value, "a");
	assert_string_equal(line.args.repeated[2].value, "c");
	assert_int_equal(line.args.repeated[2].option, SG_OPT_ISSUER);
	done(&line);
}

static void wrong_options_are_named(void **state)
{
	struct line line;

	PARSE(&line, SOME, 0, "--jsn");
	assert_int_equal(line.err, SG_ERR_ARG);
	assert_string_equal(line.why, "there is no option '--jsn' here; did you mean '--json'?");
	done(&line);
	PARSE(&line, SOME, 0, "--completely-else");
	assert_int_equal(line.err, SG_ERR_ARG);
	assert_string_equal(line.why, "there is no option '--completely-else' here");
	done(&line);
	/* Another command's option is none of this one's. */
	PARSE(&line, SOME, 0, "--cafile", "x");
	assert_int_equal(line.err, SG_ERR_ARG);
	done(&line);
	PARSE(&line, SOME, 0, "-x");
	assert_int_equal(line.err, SG_ERR_ARG);
	assert_string_equal(line.why, "there is no option '-x'");
	done(&line);
	PARSE(&line, SOME, 0, "--json=yes");
	assert_int_equal(line.err, SG_ERR_ARG);
	assert_string_equal(line.why, "the option '--json' takes no argument");
	done(&line);
	PARSE(&line, SOME, 0, "--out");
	assert_int_equal(line.err, SG_ERR_ARG);
	assert_string_equal(line.why, "the option '--out' needs an argument");
	done(&line);
	PARSE(&line, SOME, 0, "--out", "a", "--out", "b");
	assert_int_equal(line.err, SG_ERR_ARG);
	assert_string_equal(line.why, "the option '--out' is given twice");
	done(&line);
	/* A name as long as one likes is cut, not trusted. */
	{
		char longest[5000];

		memset(longest, 'a', sizeof(longest));
		memcpy(longest, "--", 2);
		longest[sizeof(longest) - 1] = '\0';
		PARSE(&line, SOME, 0, longest);
		assert_int_equal(line.err, SG_ERR_ARG);
		assert_true(strlen(line.why) < 200);
		done(&line);
	}
}

static void numbers_are_decimal_and_in_range(void **state)
{
	static const char *const wrong[] = { "", "-1", "+1", " 1", "1 ", "0x10", "1e3", "65536",
		"99999999999999999999", "one" };
	long number;

	assert_int_equal(sg_number_parse("0", 0, 65535, &number), 0);
	assert_int_equal(number, 0);
	assert_int_equal(sg_number_parse("65535", 0, 65535, &number), 0);
	assert_int_equal(number, 65535);
	assert_int_equal(sg_number_parse("0", 1, 65535, &number), SG_ERR_ARG);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		number = 7;
		assert_int_equal(sg_number_parse(wrong[i], 0, 65535, &number), SG_ERR_ARG);
		assert_int_equal(number, 0);
	}
}

static void the_nearest_word_is_near(void **state)
{
	static const char *const words[] = { "token", "key", "keyring", "account", "status" };

	assert_string_equal(sg_word_nearest("toke", words, 5), "token");
	assert_string_equal(sg_word_nearest("tokne", words, 5), "token");
	assert_string_equal(sg_word_nearest("keyrin", words, 5), "keyring");
	assert_string_equal(sg_word_nearest("acount", words, 5), "account");
	assert_string_equal(sg_word_nearest("token", words, 5), "token");
	assert_null(sg_word_nearest("xyz", words, 5));
	assert_null(sg_word_nearest("completely", words, 5));
	assert_null(sg_word_nearest("token", words, 0));
}

/* The table against itself: what dispatch and help rely on. */
static void the_table_is_whole(void **state)
{
	for (size_t i = 0; i < sg_command_count; i++) {
		const struct sg_command *command = &sg_commands[i];
		size_t len = command->name != NULL ? strlen(command->name) : 0;

		assert_non_null(command->run);
		assert_true(len > 0 && len < 32); /* command.c's room for a name */
		assert_non_null(command->operands);
		assert_non_null(command->summary);
		assert_int_equal(command->required & ~command->options, 0);
		assert_int_equal(command->options & SG_OPTS_GLOBAL, 0);
		assert_true(
		    command->operands_max == -1 || command->operands_max >= command->operands_min);
		assert_int_equal(command->operands_max == 0, command->operands[0] == '\0');
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(sg_commands[j].name, command->name);
		/* No command is a group of others: its operand would be taken for their word. */
		for (size_t j = 0; j < sg_command_count; j++)
			assert_false(strncmp(sg_commands[j].name, command->name, len) == 0 &&
			    sg_commands[j].name[len] == ' ');
	}
	for (int i = 0; i < SG_OPT_COUNT; i++) {
		assert_non_null(sg_opt_info((enum sg_opt)i)->name);
		assert_non_null(sg_opt_info((enum sg_opt)i)->help);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_stand_before_and_after_operands),
		cmocka_unit_test(two_dashes_end_the_options),
		cmocka_unit_test(stops_at_the_first_operand_when_told),
		cmocka_unit_test(a_second_call_keeps_what_the_first_found),
		cmocka_unit_test(repeated_issuers_are_kept_in_order),
		cmocka_unit_test(wrong_options_are_named),
		cmocka_unit_test(numbers_are_decimal_and_in_range),
		cmocka_unit_test(the_nearest_word_is_near),
		cmocka_unit_test(the_table_is_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
