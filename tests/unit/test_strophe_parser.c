/*
 * The functions of expat that this part defines, called as libstrophe calls them: with an allocator of
 * its own, handlers after each reset, bytes as they come.
 */
#include "strophe/parser.h"

#include "codecs.h"

#include <expat.h>

static const XML_Memory_Handling_Suite memory = { malloc, realloc, free };

/* What libstrophe's handlers saw, one sign each; and what the filter was told. */
static char seen[256];
static unsigned streams, malformed;
static int refuse_bytes;
static size_t fed;

static void see(const char *what, size_t len)
{
	size_t had = strlen(seen);

	assert_true(had + len < sizeof(seen));
	memcpy(seen + had, what, len);
	seen[had + len] = '\0';
}

static void on_start(void *userdata, const XML_Char *name, const XML_Char **attrs)
{
	assert_ptr_equal(userdata, seen);
	see("<", 1);
	see(name, strlen(name));
	for (; *attrs != NULL; attrs += 2)
		see("@", 1);
}

static void on_end(void *userdata, const XML_Char *name)
{
	see(">", 1);
}

static void on_text(void *userdata, const XML_Char *text, int len)
{
	see(text, (size_t)len);
}

static void filter_stream(void)
{
	streams++;
}

/* Leaves out the text, and shows a child of its own in each element. */
static void filter_start(const char *name, const char **attrs)
{
	static const char *none[] = { NULL };

	sg_parser_show_start(name, attrs);
	sg_parser_show_start("own", none);
	sg_parser_show_text("!", 1);
	sg_parser_show_end("own");
}

static void filter_text(const char *text, size_t len)
{
	if (len == 4 && memcmp(text, "stop", 4) == 0)
		sg_parser_stop();
}

static int filter_bytes(size_t len)
{
	fed += len;
	return !refuse_bytes;
}

static void filter_malformed(void)
{
	malformed++;
}

static const struct sg_parser_filter whole = {
	.stream = filter_stream,
	.start = filter_start,
	.end = sg_parser_show_end,
	.text = filter_text,
	.doctype = sg_parser_stop,
	.bytes = filter_bytes,
	.malformed = filter_malformed,
};

static const struct sg_parser_filter least = {
	.stream = filter_stream,
	.start = sg_parser_show_start,
	.end = sg_parser_show_end,
	.text = sg_parser_show_text,
};

static void handlers(XML_Parser expat)
{
	XML_SetUserData(expat, seen);
	XML_SetElementHandler(expat, on_start, on_end);
	XML_SetCharacterDataHandler(expat, on_text);
}

static XML_Parser parser_new(const struct sg_parser_filter *filter)
{
	XML_Parser expat;

	seen[0] = '\0';
	streams = malformed = 0;
	fed = 0;
	refuse_bytes = 0;
	sg_parser_expect(filter);
	assert_false(sg_parser_is_attached());
	expat = XML_ParserCreate_MM(NULL, &memory, SG_PARSER_SEPARATOR);
	assert_non_null(expat);
	assert_false(sg_parser_is_attached()); /* not before it has libstrophe's handlers */
	handlers(expat);
	assert_true(sg_parser_is_attached());
	return expat;
}

static enum XML_Status parse(XML_Parser expat, const char *text)
{
	return XML_Parse(expat, text, (int)strlen(text), 0);
}

static void the_filter_decides_what_is_seen(void **state)
{
	XML_Parser expat = parser_new(&whole);

	assert_int_equal(parse(expat, "<a b='c'>text"), XML_STATUS_OK);
	assert_int_equal(parse(expat, "</a>"), XML_STATUS_OK);
	assert_string_equal(seen, "<a@<own!>>");
	assert_int_equal(fed, 17);
	assert_int_equal(streams, 1);
	XML_ParserFree(expat);
}

static void a_reset_parser_keeps_its_filter(void **state)
{
	XML_Parser expat = parser_new(&whole);

	assert_int_equal(parse(expat, "<a>"), XML_STATUS_OK);
	assert_int_equal(XML_ParserReset(expat, NULL), XML_TRUE);
	handlers(expat);
	assert_int_equal(streams, 2);
	assert_int_equal(parse(expat, "<b/>"), XML_STATUS_OK);
	assert_string_equal(seen, "<a<own!><b<own!>>");
	XML_ParserFree(expat);
}

/* libstrophe keeps the length of a text that it collects over a reset: a start makes it forget that. */
static void a_text_that_a_reset_cuts_is_ended(void **state)
{
	static const char *const cut[] = { "<s><a>te", "<s><a><b/>te", "<s><a/>te", "<s>te" };
	static const char *const ends[] = { "<s<ate<end-of-text", "<s<a<b>te<end-of-text",
		"<s<a>te", "<ste" };

	for (size_t i = 0; i < sizeof(cut) / sizeof(*cut); i++) {
		XML_Parser expat = parser_new(&least);

		assert_int_equal(parse(expat, cut[i]), XML_STATUS_OK);
		assert_int_equal(XML_ParserReset(expat, NULL), XML_TRUE);
		assert_string_equal(seen, ends[i]);
		handlers(expat);
		seen[0] = '\0';
		assert_int_equal(XML_ParserReset(expat, NULL), XML_TRUE);
		assert_string_equal(seen, ""); /* nothing is open */
		XML_ParserFree(expat);
	}
}

static void failures_are_the_filters(void **state)
{
	static const char *const wrong[] = { "<a></b>", "<a>stop</a>", "<!DOCTYPE a><a/>" };

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		XML_Parser expat = parser_new(&whole);

		assert_int_equal(parse(expat, wrong[i]), XML_STATUS_OK);
		assert_int_equal(malformed, 1);
		XML_ParserFree(expat);
	}
}

static void refused_bytes_are_not_parsed(void **state)
{
	XML_Parser expat = parser_new(&whole);

	refuse_bytes = 1;
	assert_int_equal(parse(expat, "<a></b>"), XML_STATUS_OK);
	assert_int_equal(malformed, 0);
	assert_string_equal(seen, "");
	XML_ParserFree(expat);
}

static void a_filter_may_leave_failures_to_libstrophe(void **state)
{
	XML_Parser expat = parser_new(&least);

	assert_int_equal(parse(expat, "<!DOCTYPE a><a>t"), XML_STATUS_OK);
	assert_string_equal(seen, "<at");
	assert_int_equal(parse(expat, "</b>"), XML_STATUS_ERROR);
	XML_ParserFree(expat);
}

/* expat with its deferral would keep a long tag that came in pieces until twice as much is there. */
static void a_tag_in_pieces_is_seen_at_its_end(void **state)
{
	XML_Parser expat = parser_new(&least);
	char *value = calloc(1, 5000);

	memset(value, 'v', 4999);
	assert_int_equal(parse(expat, "<a b='"), XML_STATUS_OK);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(parse(expat, value), XML_STATUS_OK);
	assert_int_equal(parse(expat, "'"), XML_STATUS_OK);
	assert_int_equal(parse(expat, ">"), XML_STATUS_OK);
	assert_string_equal(seen, "<a@");
	free(value);
	XML_ParserFree(expat);
}

/* Ours, without an allocator, and one that was there before the filter was set. */
static void other_parsers_pass_through(void **state)
{
	XML_Parser before, own, expat;

	sg_parser_expect(&whole);
	before = XML_ParserCreate_MM(NULL, &memory, NULL);
	expat = parser_new(&whole);
	own = XML_ParserCreateNS(NULL, ' ');
	handlers(before);
	handlers(own);
	assert_int_equal(streams, 1);
	assert_int_equal(parse(before, "<a>t"), XML_STATUS_OK);
	assert_int_equal(parse(own, "<b>t"), XML_STATUS_OK);
	assert_string_equal(seen, "<at<bt");
	assert_int_equal(parse(own, "</c>"), XML_STATUS_ERROR);
	assert_int_equal(fed, 0);
	assert_int_equal(malformed, 0);
	XML_ParserFree(before);
	XML_ParserFree(own);
	XML_ParserFree(expat);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_filter_decides_what_is_seen),
		cmocka_unit_test(a_reset_parser_keeps_its_filter),
		cmocka_unit_test(a_text_that_a_reset_cuts_is_ended),
		cmocka_unit_test(failures_are_the_filters),
		cmocka_unit_test(refused_bytes_are_not_parsed),
		cmocka_unit_test(a_filter_may_leave_failures_to_libstrophe),
		cmocka_unit_test(a_tag_in_pieces_is_seen_at_its_end),
		cmocka_unit_test(other_parsers_pass_through),
	};

	return cmocka_run_group_tests_name("strophe_parser", tests, NULL, NULL);
}
