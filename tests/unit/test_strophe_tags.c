/* What an XML parser is given of tags that are too long. */
#include "strophe/tags.h"

#include "codecs.h"

#include "buf.h"

/* What is given for the text, which comes in pieces of so many bytes. */
static char *given(const char *text, size_t step)
{
	struct sg_tags tags = { 0 };
	struct sg_buf out = { 0 };
	size_t left_at_all = strlen(text);

	while (left_at_all > 0) {
		size_t len = step < left_at_all ? step : left_at_all, size;
		const char *data = text, *piece;

		text += len;
		left_at_all -= len;
		while ((size = sg_tags_next(&tags, &data, &len, &piece)) > 0)
			sg_buf_put(&out, piece, size);
		assert_int_equal(len, 0);
	}
	sg_buf_put(&out, "", 1);
	assert_int_equal(out.err, 0);
	return (char *)out.data;
}

static char *repeated(const char *before, const char *what, size_t count, const char *after)
{
	struct sg_buf out = { 0 };

	sg_buf_put_str(&out, before);
	for (size_t i = 0; i < count; i++)
		sg_buf_put_str(&out, what);
	sg_buf_put(&out, after, strlen(after) + 1);
	assert_int_equal(out.err, 0);
	return (char *)out.data;
}

static void what_is_short_is_given_as_it_is(void **state)
{
	static const char *const texts[] = {
		"<?xml version='1.0'?><a b='>' c=\"'/>\"/>text &lt; > '\"<a><b  c = 'd' /></a >",
		"<!-- ' <a \" -- -><b/>-->\n<a/><![CDATA[<a b=' ]] ]>]]]><c d='&gt;'/>",
		"<!DOCTYPE a><?pi <b c=' ?><a/>",
		"<a",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		for (size_t step = 1; step < 9; step++) {
			char *seen = given(texts[i], step);

			assert_string_equal(seen, texts[i]);
			free(seen);
		}
}

/* What is no tag may be as long as it likes. */
static void texts_and_asides_are_given_as_they_are(void **state)
{
	static const char *const around[][2] = { { "<a>", "</a>" }, { "<!--", "--><b c='d'/>" },
		{ "<![CDATA[", "]]><b c='d' e=''/>" }, { "<?", "?><b c='d' e=''/>" } };

	for (size_t i = 0; i < sizeof(around) / sizeof(*around); i++) {
		char *text = repeated(around[i][0], "x'<\" /", SG_TAGS_MAX, around[i][1]);
		char *seen;

		if (i == 0)
			memset(text + 3, 'x', strlen(text) - 7);
		seen = given(text, 4096);
		assert_string_equal(seen, text);
		free(seen);
		free(text);
	}
}

static void attributes_past_the_limit_are_left_out(void **state)
{
	static const char *const ends[][2] = { { ">t<b c='d'/></a>", ">t<b c='d'/></a>" },
		{ "/>t<b c='d'/>", "/>t<b c='d'/>" }, { "  / >", ">" },
		{ " last = \"/>'\" />t", "/>t" } };

	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++)
		for (size_t step = 1; step < 10000; step *= 11) {
			char *text = repeated("<a", " x='1&gt;67' ", SG_TAGS_MAX / 10, ends[i][0]);
			char *seen = given(text, step);
			size_t len = strlen(seen), tail = strlen(ends[i][1]);

			assert_in_range(len, SG_TAGS_MAX, SG_TAGS_MAX + 40);
			assert_string_equal(seen + len - tail, ends[i][1]);
			assert_memory_equal(seen, text, len - tail);
			assert_int_equal(seen[len - tail - 1], '\'');
			free(seen);
			free(text);
		}
}

static void a_value_past_the_limit_ends_early(void **state)
{
	static const char *const whats[] = { "&apos;", "\xe2\x82\xac", "a\"b" };

	for (size_t i = 0; i < sizeof(whats) / sizeof(*whats); i++)
		for (size_t step = 1; step < 10000; step *= 11) {
			char *text =
			    repeated("<a b='", whats[i], SG_TAGS_MAX, "' c='d'/>t<e f='g'/>");
			char *seen = given(text, step);
			size_t len = strlen(seen), tail = strlen("'/>t<e f='g'/>"),
			       value = len - tail - 6;

			assert_in_range(len, 2 * SG_TAGS_MAX, 2 * SG_TAGS_MAX + 40);
			assert_string_equal(seen + len - tail, "'/>t<e f='g'/>");
			assert_memory_equal(seen, text, len - tail);
			if (i < 2) /* whole references, and whole characters */
				assert_int_equal(value % strlen(whats[i]), 0);
			free(seen);
			free(text);
		}
}

static void a_tag_that_is_not_whole_is_told(void **state)
{
	char *text = repeated("<a", " x=''", SG_TAGS_MAX, "/>");
	const char *data = text, *piece;
	size_t len = strlen(text);
	struct sg_tags tags = { 0 };

	assert_in_range(sg_tags_next(&tags, &data, &len, &piece), SG_TAGS_MAX, SG_TAGS_MAX + 9);
	assert_false(tags.is_short);
	assert_int_equal(sg_tags_next(&tags, &data, &len, &piece), 2);
	assert_memory_equal(piece, "/>", 2);
	assert_true(tags.is_short);
	assert_int_equal(sg_tags_next(&tags, &data, &len, &piece), 0);
	data = "<b/>";
	len = 4;
	assert_int_equal(sg_tags_next(&tags, &data, &len, &piece), 4);
	assert_false(tags.is_short);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_short_is_given_as_it_is),
		cmocka_unit_test(texts_and_asides_are_given_as_they_are),
		cmocka_unit_test(attributes_past_the_limit_are_left_out),
		cmocka_unit_test(a_value_past_the_limit_ends_early),
		cmocka_unit_test(a_tag_that_is_not_whole_is_told),
	};

	return cmocka_run_group_tests_name("strophe_tags", tests, NULL, NULL);
}
