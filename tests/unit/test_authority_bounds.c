#include "authority/bounds.h"

#include "codecs.h"

#include <expat.h>

static const XML_Memory_Handling_Suite memory = { malloc, realloc, free };

#define STREAM "<s:stream xmlns:s='http://etherx.jabber.org/streams'>"

/* What libstrophe would see. */
static struct {
	unsigned depth, deepest, starts, attributes;
	size_t text;
	int cut; /* at the end of the last stanza */
} seen;

static void on_start(void *userdata, const XML_Char *name, const XML_Char **attrs)
{
	seen.starts++;
	if (++seen.depth > seen.deepest)
		seen.deepest = seen.depth;
	for (; *attrs != NULL; attrs += 2)
		seen.attributes++;
}

static void on_end(void *userdata, const XML_Char *name)
{
	assert_true(seen.depth > 0);
	if (seen.depth-- == 2)
		seen.cut = sg_bounds_cut();
}

static void on_text(void *userdata, const XML_Char *text, int len)
{
	seen.text += (size_t)len;
}

static XML_Parser parser_new(void)
{
	XML_Parser expat;

	memset(&seen, 0, sizeof(seen));
	sg_parser_expect(&sg_bounds);
	expat = XML_ParserCreate_MM(NULL, &memory, SG_PARSER_SEPARATOR);
	XML_SetElementHandler(expat, on_start, on_end);
	XML_SetCharacterDataHandler(expat, on_text);
	assert_true(sg_parser_is_attached());
	return expat;
}

static void parse(XML_Parser expat, const char *text, unsigned times)
{
	while (times-- > 0)
		assert_int_equal(XML_Parse(expat, text, (int)strlen(text), 0), XML_STATUS_OK);
}

static void what_is_too_deep_is_left_out(void **state)
{
	XML_Parser expat = parser_new();

	parse(expat, STREAM, 1);
	parse(expat, "<a>", SG_BOUNDS_DEPTH_MAX - 1);
	assert_int_equal(seen.deepest, SG_BOUNDS_DEPTH_MAX);
	parse(expat, "<a>t", 1000);
	assert_int_equal(seen.deepest, SG_BOUNDS_DEPTH_MAX);
	assert_int_equal(seen.text, 0);
	parse(expat, "</a>", 1000);
	parse(expat, "t", 1); /* seen again, where it stands */
	assert_int_equal(seen.text, 1);
	parse(expat, "</a>", SG_BOUNDS_DEPTH_MAX - 1);
	assert_int_equal(seen.depth, 1);
	assert_true(seen.cut);
	parse(expat, "<a/>", 1);
	assert_false(seen.cut);
	XML_ParserFree(expat);
}

/* Of one element; the next has as many again, and a stream any number of stanzas. */
static void children_beyond_the_bound_are_left_out(void **state)
{
	XML_Parser expat = parser_new();

	parse(expat, STREAM "<a>", 1);
	parse(expat, "<b>t</b>", SG_BOUNDS_CHILDREN_MAX);
	assert_int_equal(seen.text, SG_BOUNDS_CHILDREN_MAX);
	assert_false(sg_bounds_cut());
	parse(expat, "<b>t</b>", 10);
	assert_int_equal(seen.starts, 2 + SG_BOUNDS_CHILDREN_MAX);
	assert_int_equal(seen.text, SG_BOUNDS_CHILDREN_MAX);
	parse(expat, "</a>", 1);
	assert_true(seen.cut);
	parse(expat, "<a>", 1);
	parse(expat, "<b/>", SG_BOUNDS_CHILDREN_MAX + 1);
	assert_int_equal(seen.starts, 3 + 2 * SG_BOUNDS_CHILDREN_MAX);
	parse(expat, "</a>", 1);
	parse(expat, "<a/>", 1000);
	assert_int_equal(seen.starts, 1003 + 2 * SG_BOUNDS_CHILDREN_MAX);
	assert_int_equal(seen.depth, 1);
	XML_ParserFree(expat);
}

/* An element with this many attributes, which the caller frees. */
static char *element_with(unsigned attributes)
{
	size_t room = attributes * 16 + 8, len = 2;
	char *text = malloc(room);

	memcpy(text, "<b", 3);
	for (unsigned i = 0; i < attributes; i++)
		len += (size_t)snprintf(text + len, room - len, " a%u=''", i);
	snprintf(text + len, room - len, "/>");
	return text;
}

static void attributes_beyond_the_bounds_are_left_out(void **state)
{
	XML_Parser expat = parser_new();
	char *most = element_with(SG_BOUNDS_ATTRS_MAX);
	char *more = element_with(SG_BOUNDS_ATTRS_MAX + 1);

	parse(expat, STREAM, 1);
	parse(expat, most, 1);
	assert_int_equal(seen.attributes, SG_BOUNDS_ATTRS_MAX);
	assert_false(seen.cut);
	parse(expat, more, 1);
	assert_int_equal(seen.attributes, 2 * SG_BOUNDS_ATTRS_MAX);
	assert_true(seen.cut);
	seen.attributes = 0;
	parse(expat, "<a>", 1);
	parse(expat, most, SG_BOUNDS_STANZA_ATTRS_MAX / SG_BOUNDS_ATTRS_MAX);
	assert_int_equal(seen.attributes, SG_BOUNDS_STANZA_ATTRS_MAX);
	assert_false(sg_bounds_cut());
	parse(expat, most, 1);
	assert_int_equal(seen.attributes, SG_BOUNDS_STANZA_ATTRS_MAX);
	parse(expat, "</a>", 1);
	assert_true(seen.cut);
	parse(expat, most, 1); /* the next stanza has as many again */
	assert_int_equal(seen.attributes, SG_BOUNDS_STANZA_ATTRS_MAX + SG_BOUNDS_ATTRS_MAX);
	assert_false(seen.cut);
	free(most);
	free(more);
	XML_ParserFree(expat);
}

/* libstrophe is told of no failure, and of nothing after it. */
/* A server may pass it on from anybody. */
static void a_prefix_that_is_not_declared_costs_its_stanza_only(void **state)
{
	static const char *const wrong[] = { "<q:a/>", "<a q:b='1'/>", "<a><b><q:c/></b></a>" };
	XML_Parser expat = parser_new();

	parse(expat, STREAM, 1);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		parse(expat, wrong[i], 1);
		assert_true(seen.cut);
		parse(expat, "<a xmlns:q='urn:q' q:b='1'><q:c/></a>", 1);
		assert_false(seen.cut);
		assert_int_equal(seen.depth, 1);
	}
	assert_false(sg_bounds_failed());
	XML_ParserFree(expat);
}

static void what_is_no_stream_ends_it(void **state)
{
	static const char *const wrong[] = { (STREAM "<a></b>"), ("<!DOCTYPE a>" STREAM), "<a>",
		"<s xmlns='http://etherx.jabber.org/streams'>" };

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		XML_Parser expat = parser_new();
		unsigned starts;

		assert_false(sg_bounds_failed());
		parse(expat, wrong[i], 1);
		assert_true(sg_bounds_failed());
		starts = seen.starts;
		parse(expat, STREAM "<a/>", 2);
		assert_int_equal(seen.starts, starts);
		XML_ParserReset(expat, NULL);
		starts = seen.starts;
		XML_SetElementHandler(expat, on_start, on_end);
		XML_SetCharacterDataHandler(expat, on_text);
		assert_false(sg_bounds_failed());
		parse(expat, STREAM "<a/>", 1);
		assert_int_equal(seen.starts, starts + 2);
		XML_ParserFree(expat);
	}
}

static void a_stream_error_has_a_child(void **state)
{
	XML_Parser expat = parser_new();

	parse(expat, STREAM "<s:error/>", 1);
	assert_int_equal(seen.starts, 3);
	parse(expat, "<s:error><a/></s:error>", 1);
	assert_int_equal(seen.starts, 5);
	parse(expat, "<error/>", 1);
	assert_int_equal(seen.starts, 6);
	assert_int_equal(seen.depth, 1);
	XML_ParserFree(expat);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_too_deep_is_left_out),
		cmocka_unit_test(children_beyond_the_bound_are_left_out),
		cmocka_unit_test(attributes_beyond_the_bounds_are_left_out),
		cmocka_unit_test(a_prefix_that_is_not_declared_costs_its_stanza_only),
		cmocka_unit_test(what_is_no_stream_ends_it),
		cmocka_unit_test(a_stream_error_has_a_child),
	};

	return cmocka_run_group_tests_name("authority_bounds", tests, NULL, NULL);
}
