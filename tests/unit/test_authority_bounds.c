#include "authority/bounds.h"

#include "codecs.h"

#include <expat.h>

static const XML_Memory_Handling_Suite memory = { malloc, realloc, free };

/* What libstrophe would see. */
static struct {
	unsigned depth, deepest, starts;
	size_t text;
} seen;

static void on_start(void *userdata, const XML_Char *name, const XML_Char **attrs)
{
	seen.starts++;
	if (++seen.depth > seen.deepest)
		seen.deepest = seen.depth;
}

static void on_end(void *userdata, const XML_Char *name)
{
	assert_true(seen.depth > 0);
	seen.depth--;
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

	parse(expat, "<s>", 1);
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
	XML_ParserFree(expat);
}

/* Of one element; the next has as many again, and a stream any number of stanzas. */
static void children_beyond_the_bound_are_left_out(void **state)
{
	XML_Parser expat = parser_new();

	parse(expat, "<s><a>", 1);
	parse(expat, "<b>t</b>", SG_BOUNDS_CHILDREN_MAX);
	assert_int_equal(seen.text, SG_BOUNDS_CHILDREN_MAX);
	parse(expat, "<b>t</b>", 10);
	assert_int_equal(seen.starts, 2 + SG_BOUNDS_CHILDREN_MAX);
	assert_int_equal(seen.text, SG_BOUNDS_CHILDREN_MAX);
	parse(expat, "</a><a>", 1);
	parse(expat, "<b/>", SG_BOUNDS_CHILDREN_MAX + 1);
	assert_int_equal(seen.starts, 3 + 2 * SG_BOUNDS_CHILDREN_MAX);
	parse(expat, "</a>", 1);
	parse(expat, "<a/>", 1000);
	assert_int_equal(seen.starts, 1003 + 2 * SG_BOUNDS_CHILDREN_MAX);
	assert_int_equal(seen.depth, 1);
	XML_ParserFree(expat);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_too_deep_is_left_out),
		cmocka_unit_test(children_beyond_the_bound_are_left_out),
	};

	return cmocka_run_group_tests_name("authority_bounds", tests, NULL, NULL);
}
