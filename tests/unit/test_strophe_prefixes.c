/*
 * Names as a parser with namespaces would tell them, and elements that have no meaning.
 */
#include "strophe/prefixes.h"

#include "codecs.h"
#include "strophe/parser.h"

#define SEP SG_PARSER_SEPARATOR
#define XML "http://www.w3.org/XML/1998/namespace"

static struct sg_prefixes *prefixes;

/* Begins an element with the attributes, up to a NULL; gives whether it has a meaning. */
static int begin(const char **name, const char ***attrs, ...)
{
	static const char *list[2 * SG_PREFIXES_MAX + 8];
	size_t count = 0;
	va_list args;

	va_start(args, attrs);
	while ((list[count] = va_arg(args, const char *)) != NULL)
		count++;
	va_end(args);
	*attrs = list;
	return sg_prefixes_start(prefixes, name, attrs);
}

static void end(const char *name, const char *told)
{
	assert_string_equal(sg_prefixes_end(prefixes, name), told);
}

static void names_are_joined_with_their_namespaces(void **state)
{
	const char *name = "s:a", **attrs;

	assert_true(begin(&name, &attrs, "x", "1", "xmlns:s", "urn:s", "s:y", "2", "xmlns", "urn:d",
	    "xml:lang", "fr", "xmlnsx", "3", NULL));
	assert_string_equal(name, "urn:s" SEP "a");
	assert_string_equal(attrs[0], "x");
	assert_string_equal(attrs[1], "1");
	assert_string_equal(attrs[2], "urn:s" SEP "y");
	assert_string_equal(attrs[3], "2");
	assert_string_equal(attrs[4], XML SEP "lang");
	assert_string_equal(attrs[6], "xmlnsx");
	assert_null(attrs[8]);
	name = "a-name-that-is-longer-than-the-room-that-a-declaration-has-for-any-name-at-first";
	assert_true(begin(&name, &attrs, NULL));
	assert_string_equal(name,
	    "urn:d" SEP
	    "a-name-that-is-longer-than-the-room-that-a-declaration-has-for-any-name-at-first");
	name = "b";
	assert_true(begin(&name, &attrs, "xmlns", "", NULL));
	assert_string_equal(name, "b");
	end("b", "b");
	name = "c";
	assert_true(begin(&name, &attrs, "xmlns", "urn:c", "xmlns:s", "urn:t", NULL));
	assert_string_equal(name, "urn:c" SEP "c");
	end("c", "urn:c" SEP "c");
	end("a-name-that-is-longer-than-the-room-that-a-declaration-has-for-any-name-at-first",
	    "urn:d" SEP
	    "a-name-that-is-longer-than-the-room-that-a-declaration-has-for-any-name-at-first");
	end("s:a", "urn:s" SEP "a");
	name = "a";
	assert_true(begin(&name, &attrs, NULL));
	assert_string_equal(name, "a");
}

static void what_has_no_meaning_is_told(void **state)
{
	static const char *const none[] = { "q:a", ":a", "q:", "s:a:b", "xml:a", "::" };
	const char *name = "a", **attrs;

	assert_true(begin(&name, &attrs, "xmlns:s", "urn:s", NULL));
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		name = none[i];
		assert_false(begin(&name, &attrs, "x", "1", NULL));
		assert_string_equal(name, none[i]);
		assert_string_equal(attrs[0], "x");
		end(none[i], none[i]);
	}
	name = "b";
	assert_false(begin(&name, &attrs, "q:x", "1", "s:y", "2", "z", "3", NULL));
	assert_string_equal(name, "b");
	assert_string_equal(attrs[0], "urn:s" SEP "y");
	assert_string_equal(attrs[2], "z");
	assert_null(attrs[4]);
	name = "s:b"; /* taken back */
	assert_false(begin(&name, &attrs, "xmlns:s", "", NULL));
	end("s:b", "s:b");
	name = "c"; /* a prefix without a name is not the default one */
	assert_false(begin(&name, &attrs, "xmlns:", "urn:c", NULL));
	assert_string_equal(name, "c");
	end("c", "c");
	name = "s:d";
	assert_true(begin(&name, &attrs, "xmlns:xml", "urn:not-xml", "xml:lang", "en", NULL));
	assert_string_equal(name, "urn:s" SEP "d");
	assert_string_equal(attrs[0], XML SEP "lang");
}

static void declarations_have_a_limit(void **state)
{
	const char *name = "a", **attrs;

	for (unsigned i = 0; i < SG_PREFIXES_MAX; i++) {
		name = "s:a";
		assert_true(begin(&name, &attrs, "xmlns:s", "urn:s", NULL));
	}
	name = "a";
	assert_false(begin(&name, &attrs, "xmlns", "urn:s", NULL));
	assert_string_equal(name, "a");
	end("a", "a");
	for (unsigned i = 0; i < SG_PREFIXES_MAX; i++)
		end("s:a", "urn:s" SEP "a");
	name = "a";
	assert_true(begin(&name, &attrs, "xmlns", "urn:s", NULL));
	assert_string_equal(name, "urn:s" SEP "a");
	sg_prefixes_clear(prefixes);
	name = "a";
	assert_true(begin(&name, &attrs, NULL));
	assert_string_equal(name, "a");
}

static void a_long_namespace_is_no_attributes(void **state)
{
	char ns[SG_PREFIXES_NS_MAX + 2] = { 0 };
	const char *name = "a", **attrs;

	memset(ns, 'n', SG_PREFIXES_NS_MAX);
	assert_true(begin(&name, &attrs, "xmlns:s", ns, "s:x", "1", NULL));
	assert_memory_equal(attrs[0], ns, SG_PREFIXES_NS_MAX);
	ns[SG_PREFIXES_NS_MAX] = 'n';
	name = "s:a";
	assert_true(begin(&name, &attrs, "xmlns:s", ns, "s:x", "1", NULL));
	assert_string_equal(attrs[0], SEP "x");
	assert_memory_equal(name, ns, SG_PREFIXES_NS_MAX + 1);
}

static int prefixes_make(void **state)
{
	prefixes = sg_prefixes_new();
	return prefixes == NULL;
}

static int prefixes_end(void **state)
{
	sg_prefixes_free(prefixes);
	return 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, prefixes_make, prefixes_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(names_are_joined_with_their_namespaces),
		TEST(what_has_no_meaning_is_told),
		TEST(declarations_have_a_limit),
		TEST(a_long_namespace_is_no_attributes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
