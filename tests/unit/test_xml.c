#include "proto/xml.h"

#include "codecs.h"

static int parse(const char *text)
{
	struct sg_xml *root;
	int err = sg_xml_parse(text, strlen(text), &root);

	assert_true((err == 0) == (root != NULL));
	sg_xml_free(root);
	return err;
}

/* depth times <a>, then text, then the ends. */
static char *nested(size_t depth)
{
	struct sg_buf text = { 0 };

	for (size_t i = 0; i < depth; i++)
		sg_buf_put_str(&text, "<a>");
	sg_buf_put_str(&text, "x");
	for (size_t i = 0; i < depth; i++)
		sg_buf_put_str(&text, "</a>");
	return sg_buf_steal(&text, NULL);
}

static void a_tree_is_read(void **state)
{
	struct sg_xml *root = xml_of("<a xmlns='urn:a' k='v'>one<b/>two<c:d xmlns:c='urn:c' x='1' "
				     "c:y='2'><e/></c:d><b>three</b></a>");
	const struct sg_xml *b, *d;
	char *text;

	assert_true(sg_xml_is(root, "a", "urn:a"));
	assert_string_equal(sg_xml_name(root), "a");
	assert_string_equal(sg_xml_attr(root, "k"), "v");
	assert_null(sg_xml_attr(root, "xmlns"));
	assert_null(sg_xml_attr(root, "none"));
	text = sg_xml_text(root);
	assert_string_equal(text, "onetwo");
	free(text);
	b = sg_xml_first(root);
	assert_true(sg_xml_is(b, "b", "urn:a"));
	assert_null(sg_xml_first(b));
	text = sg_xml_text(b);
	assert_string_equal(text, "");
	free(text);
	d = sg_xml_next(b);
	assert_true(sg_xml_is(d, "d", "urn:c"));
	assert_false(sg_xml_is(d, "d", "urn:a"));
	assert_string_equal(sg_xml_attr(d, "x"), "1");
	assert_null(sg_xml_attr(d, "y"));
	assert_string_equal(sg_xml_ns(sg_xml_first(d)), "urn:a"); /* a prefix is no default */
	assert_null(sg_xml_next(sg_xml_next(d)));
	assert_ptr_equal(sg_xml_child(root, "b", NULL), b);
	assert_ptr_equal(sg_xml_child(root, "d", "urn:c"), d);
	assert_null(sg_xml_child(root, "d", NULL));
	sg_xml_free(root);
}

static void what_is_written_reads_the_same(void **state)
{
	static const char *const texts[] = {
		"<a/>",
		"<a xmlns='urn:a'><b xmlns=''><c xmlns='urn:a'/></b><d>t</d></a>",
		"<a "
		"k='&lt;&amp;&gt;&quot;&apos;&#10;&#9;&#13;'>&lt;&amp;&gt;&quot;&apos;\n\t&#13;</"
		"a>",
		"<a>\xc3\xa4\xe2\x82\xac\xf0\x9f\x94\x91</a>",
		"<a>one<b/>two<b/>three</a>",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_xml(xml_of(texts[i]), texts[i]);
}

static void forms_of_the_same_are_written_once(void **state)
{
	assert_xml(xml_of("<?xml version='1.0' encoding='UTF-8'?>\n<a><!-- c --></a>\n"), "<a/>");
	assert_xml(xml_of("<a>x<!-- c -->y<![CDATA[<z>]]></a>"), "<a>xy&lt;z&gt;</a>");
	assert_xml(xml_of("<p:a xmlns:p='urn:a' b=\"c\"></p:a>"), "<a xmlns='urn:a' b='c'/>");
	/* the declared encoding does not count: XMPP is UTF-8 */
	assert_xml(xml_of("<?xml version='1.0' encoding='ISO-8859-1'?><a>\xc3\xa4</a>"),
	    "<a>\xc3\xa4</a>");
}

static void a_part_is_written_to_stand_alone(void **state)
{
	struct sg_xml *root = xml_of("<a xmlns='urn:a'><b><c xmlns='urn:c'/></b></a>");
	char *text = sg_xml_to_string(sg_xml_first(root));

	assert_string_equal(text, "<b xmlns='urn:a'><c xmlns='urn:c'/></b>");
	free(text);
	sg_xml_free(root);
}

static void malformed_documents_are_refused(void **state)
{
	static const char *const texts[] = { "", " ", "x", "<a>", "</a>", "<a></b>", "<a/><b/>",
		"<a/>x", "<a k='1' k='2'/>", "<a k=1/>", "<a>&unknown;</a>", "<a>&#0;</a>",
		"<a>&#1;</a>", "<a>\x01</a>", "<a>\xff</a>", "<a>\xc0\x80</a>",
		"<a>\xed\xa0\x80</a>", "<p:a/>", "<xml:a/>", "<a><xml:b/></a>", "<a><</a>",
		"<a>]]></a>", "<1/>" };

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(parse(texts[i]), SG_ERR_FORMAT);
}

static void assert_trimmed(const char *document, const char *expected)
{
	struct sg_xml *root;
	char *text;

	assert_int_equal(sg_xml_parse(document, strlen(document), &root), 0);
	text = sg_xml_trimmed_text(root);
	assert_string_equal(text, expected);
	free(text);
	sg_xml_free(root);
}

static void white_space_is_trimmed(void **state)
{
	assert_trimmed("<a/>", "");
	assert_trimmed("<a> \t\n&#13;</a>", "");
	assert_trimmed("<a>x</a>", "x");
	assert_trimmed("<a> x\ty <b/>\n z\n</a>", "x\ty \n z");
}

static void base64_goes_in_and_comes_out(void **state)
{
	const struct sg_blob data = { (unsigned char[]){ 0, 0xff, 'x', '<' }, 4 };
	struct sg_xml *root = sg_xml_new("a", NULL), *child;
	struct sg_blob out;

	assert_int_equal(sg_xml_put_base64(root, "b", &data, &child), 0);
	assert_int_equal(sg_xml_base64(child, 4, &out), 0);
	assert_true(sg_blob_eq(&out, &data));
	sg_blob_clear(&out);
	assert_int_equal(sg_xml_base64(child, 3, &out), SG_ERR_LIMIT);
	assert_null(out.data);
	assert_int_equal(sg_xml_base64(root, 4, &out), SG_ERR_FORMAT); /* no text of its own */
	sg_xml_free(root);
}

static void only_one_may_stand(void **state)
{
	static const char text[] = "<a xmlns='one'><b/><c/><b xmlns='two'/><c/></a>";
	const struct sg_xml *child;
	struct sg_xml *root;

	assert_int_equal(sg_xml_parse(text, strlen(text), &root), 0);
	assert_int_equal(sg_xml_only(root, "b", NULL, &child), 0);
	assert_ptr_equal(child, sg_xml_first(root));
	assert_int_equal(sg_xml_only(root, "b", "two", &child), 0);
	assert_string_equal(sg_xml_ns(child), "two");
	assert_int_equal(sg_xml_only(root, "d", NULL, &child), 0);
	assert_null(child);
	assert_int_equal(sg_xml_only(root, "c", NULL, &child), SG_ERR_FORMAT);
	assert_null(child);
	sg_xml_free(root);
}

static void a_tree_is_handed_over_or_freed(void **state)
{
	struct sg_xml *root = sg_xml_new("a", NULL), *payload = NULL;

	assert_int_equal(sg_xml_hand_over(0, root, &payload), 0);
	assert_ptr_equal(payload, root);
	assert_int_equal(sg_xml_hand_over(SG_ERR_LIMIT, root, &payload), SG_ERR_LIMIT);
	assert_null(payload);
}

static void other_encodings_are_refused(void **state)
{
	static const struct {
		const char *text;
		size_t len;
	} texts[] = {
		{ "\xfe\xff\0<\0a\0/\0>", 10 },
		{ "\xff\xfe<\0a\0/\0>\0", 10 },
		{ "\xfe\xff\x61\x62", 4 },
		{ "\0<\0a\0/\0>", 8 },
		{ "<\0a\0/\0>\0", 8 },
		{ "<a>\0</a>", 8 },
	};
	struct sg_xml *root;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_int_equal(sg_xml_parse(texts[i].text, texts[i].len, &root), SG_ERR_FORMAT);
		assert_null(root);
	}
	assert_int_equal(parse("\xef\xbb\xbf<a/>"), 0);
}

static void dtds_and_instructions_are_refused(void **state)
{
	assert_int_equal(parse("<!DOCTYPE a><a/>"), SG_ERR_FORMAT);
	assert_int_equal(parse("<!DOCTYPE a SYSTEM 'file:///etc/passwd'><a/>"), SG_ERR_FORMAT);
	assert_int_equal(parse("<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>"), SG_ERR_FORMAT);
	assert_int_equal(parse("<!DOCTYPE a [<!ENTITY a0 'x'><!ENTITY a1 '&a0;&a0;'>]><a>&a1;</a>"),
	    SG_ERR_FORMAT);
	assert_int_equal(parse("<?php x?><a/>"), SG_ERR_FORMAT);
	assert_int_equal(parse("<a><?x y?></a>"), SG_ERR_FORMAT);
	assert_int_equal(parse("<a/><?x?>"), SG_ERR_FORMAT);
}

static void bytes_are_limited(void **state)
{
	char *text = many(' ', SG_XML_BYTES_MAX + 1);
	struct sg_xml *root;

	memcpy(text, "<a>", 3);
	memcpy(text + SG_XML_BYTES_MAX - 4, "</a>", 4);
	assert_int_equal(sg_xml_parse(text, SG_XML_BYTES_MAX + 1, &root), SG_ERR_LIMIT);
	assert_null(root);
	assert_int_equal(sg_xml_parse(text, SG_XML_BYTES_MAX, &root), 0);
	sg_xml_free(root);
	free(text);
}

static void depth_is_limited(void **state)
{
	char *fits = nested(SG_XML_DEPTH_MAX), *limit = nested(SG_XML_DEPTH_MAX + 1);
	char *far = nested(100000);

	assert_int_equal(parse(fits), 0);
	assert_int_equal(parse(limit), SG_ERR_LIMIT);
	assert_int_equal(parse(far), SG_ERR_LIMIT);
	free(fits);
	free(limit);
	free(far);
}

static void nodes_are_limited(void **state)
{
	struct sg_buf text = { 0 };
	char *string;

	sg_buf_put_str(&text, "<a>");
	for (size_t i = 1; i < SG_XML_NODES_MAX; i++)
		sg_buf_put_str(&text, "<b/>");
	sg_buf_put_str(&text, "</a>");
	string = sg_buf_steal(&text, NULL);
	assert_int_equal(parse(string), 0);
	memcpy(string + strlen(string) - 4, " </a", 4); /* one run of text more */
	string[strlen(string)] = '\0';
	sg_buf_put_str(&text, string);
	free(string);
	sg_buf_put_str(&text, ">");
	string = sg_buf_steal(&text, NULL);
	assert_int_equal(parse(string), SG_ERR_LIMIT);
	free(string);
}

static char *with_attrs(size_t count)
{
	struct sg_buf text = { 0 };

	sg_buf_put_str(&text, "<a");
	for (size_t i = 0; i < count; i++)
		sg_buf_printf(&text, " k%zu='v'", i);
	sg_buf_put_str(&text, "/>");
	return sg_buf_steal(&text, NULL);
}

static void attributes_are_limited(void **state)
{
	char *fits = with_attrs(SG_XML_ATTRS_MAX), *limit = with_attrs(SG_XML_ATTRS_MAX + 1);
	struct sg_xml *root = xml_of(fits);

	assert_int_equal(parse(limit), SG_ERR_LIMIT);
	assert_int_equal(sg_xml_set_attr(root, "k0", "new"), 0);
	assert_string_equal(sg_xml_attr(root, "k0"), "new");
	assert_int_equal(sg_xml_set_attr(root, "more", "v"), SG_ERR_LIMIT);
	sg_xml_free(root);
	free(fits);
	free(limit);
}

static void namespace_names_are_limited(void **state)
{
	char *name = many('n', SG_XML_NS_MAX + 1);
	char *limit = text_of("<a xmlns='%s'/>", name);
	char *prefixed = text_of("<a xmlns:p='%s'/>", name);
	char *fits = text_of("<a xmlns='%s'/>", name + 1);

	assert_int_equal(parse(limit), SG_ERR_LIMIT);
	assert_int_equal(parse(prefixed), SG_ERR_LIMIT);
	assert_int_equal(parse(fits), 0);
	free(name);
	free(limit);
	free(prefixed);
	free(fits);
}

static void ten_thousand_children_and_runs_are_kept(void **state)
{
	struct sg_buf text = { 0 };
	struct sg_xml *root;
	size_t count = 0;
	char *string;

	sg_buf_put_str(&text, "<a>");
	for (int i = 0; i < 10000; i++)
		sg_buf_put_str(&text, "line\n<b/>&amp;");
	sg_buf_put_str(&text, "</a>");
	string = sg_buf_steal(&text, NULL);
	root = xml_of(string);
	for (const struct sg_xml *b = sg_xml_first(root); b != NULL; b = sg_xml_next(b))
		count++;
	assert_int_equal(count, 10000);
	assert_xml(root, string);
	free(string);
}

static void a_tree_is_built(void **state)
{
	struct sg_xml *root = sg_xml_new("a", "urn:a"), *child;

	assert_int_equal(sg_xml_put(root, "b", "text & more", &child), 0);
	assert_int_equal(sg_xml_set_attr(child, "k", "'"), 0);
	assert_int_equal(sg_xml_put(root, "c", NULL, NULL), 0);
	assert_int_equal(sg_xml_add(root, sg_xml_new("d", "urn:d")), 0);
	assert_int_equal(sg_xml_add(root, sg_xml_new("e", "")), 0);
	assert_int_equal(sg_xml_add_text(root, "x", 1), 0);
	assert_int_equal(sg_xml_add_text(root, "yz", 1), 0);
	assert_int_equal(sg_xml_add_text(root, "", 0), 0);
	assert_xml(root,
	    "<a xmlns='urn:a'><b k='&apos;'>text &amp; more</b><c/><d xmlns='urn:d'/>"
	    "<e xmlns=''/>xy</a>");
}

static void what_xml_cannot_carry_is_refused(void **state)
{
	static const char *const bad[] = { "\x01", "a\x1f", "\x0b", "\xff", "\xc3", "\xc0\x80",
		"\xed\xa0\x80", "\xef\xbf\xbe", "\xef\xbf\xbf", "\xf4\x90\x80\x80",
		"\xf8\x88\x80\x80" };
	static const char good[] =
	    "\t\n\r \x7f\xc2\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbd\xf4\x8f\xbf\xbf";
	struct sg_xml *root = sg_xml_new("a", NULL), *child;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(sg_xml_add_text(root, bad[i], strlen(bad[i])), SG_ERR_FORMAT);
		assert_int_equal(sg_xml_set_attr(root, "k", bad[i]), SG_ERR_FORMAT);
		assert_int_equal(sg_xml_put(root, "b", bad[i], &child), SG_ERR_FORMAT);
		assert_null(child);
	}
	assert_int_equal(sg_xml_add_text(root, "a\0b", 3), SG_ERR_FORMAT);
	assert_int_equal(sg_xml_add_text(root, "a\xc3\xa4", 2), SG_ERR_FORMAT);
	assert_int_equal(sg_xml_set_attr(root, "k", good), 0);
	assert_int_equal(sg_xml_add_text(root, good, sizeof(good) - 1), 0);
	char *text = sg_xml_to_string(root), *again;
	sg_xml_free(root);
	root = xml_of(text);
	free(text);
	assert_string_equal(sg_xml_attr(root, "k"), good);
	again = sg_xml_text(root);
	assert_string_equal(again, good);
	free(again);
	sg_xml_free(root);
}

/* A chain of elements, the innermost in *last. */
static struct sg_xml *chain(size_t depth, struct sg_xml **last)
{
	struct sg_xml *root = sg_xml_new("a", NULL);

	*last = root;
	for (size_t i = 1; i < depth; i++) {
		assert_int_equal(sg_xml_put(*last, "a", NULL, last), 0);
	}
	return root;
}

static void the_depth_of_built_trees_is_limited(void **state)
{
	struct sg_xml *last, *other, *root = chain(SG_XML_DEPTH_MAX, &last);

	assert_int_equal(sg_xml_put(last, "a", NULL, NULL), SG_ERR_LIMIT);
	sg_xml_free(root);
	root = chain(SG_XML_DEPTH_MAX / 2, &last);
	assert_int_equal(sg_xml_add(last, chain(SG_XML_DEPTH_MAX / 2 + 1, &other)), SG_ERR_LIMIT);
	assert_int_equal(sg_xml_add(last, chain(SG_XML_DEPTH_MAX / 2, &other)), 0);
	assert_int_equal(sg_xml_put(other, "a", NULL, NULL), SG_ERR_LIMIT);
	sg_xml_free(root);
	/* a child that grew after it was added still counts */
	root = chain(2, &last);
	assert_int_equal(sg_xml_add(last, chain(SG_XML_DEPTH_MAX - 4, &other)), 0);
	assert_int_equal(sg_xml_put(other, "a", NULL, &other), 0);
	assert_int_equal(sg_xml_add(chain(1, &last), root), 0);
	assert_int_equal(sg_xml_put(other, "a", NULL, &other), SG_ERR_LIMIT);
	sg_xml_free(last);
}

static void the_nodes_of_built_trees_are_limited(void **state)
{
	struct sg_xml *root = sg_xml_new("a", NULL), *half = sg_xml_new("a", NULL);

	for (size_t i = 1; i < SG_XML_NODES_MAX / 2; i++) {
		assert_int_equal(sg_xml_put(root, "b", NULL, NULL), 0);
		assert_int_equal(sg_xml_put(half, "b", NULL, NULL), 0);
	}
	assert_int_equal(sg_xml_add(root, half), 0);
	assert_int_equal(sg_xml_put(half, "b", NULL, NULL), SG_ERR_LIMIT);
	assert_int_equal(sg_xml_add_text(root, "x", 1), SG_ERR_LIMIT);
	sg_xml_free(root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_tree_is_read),
		cmocka_unit_test(what_is_written_reads_the_same),
		cmocka_unit_test(forms_of_the_same_are_written_once),
		cmocka_unit_test(a_part_is_written_to_stand_alone),
		cmocka_unit_test(malformed_documents_are_refused),
		cmocka_unit_test(white_space_is_trimmed),
		cmocka_unit_test(base64_goes_in_and_comes_out),
		cmocka_unit_test(only_one_may_stand),
		cmocka_unit_test(a_tree_is_handed_over_or_freed),
		cmocka_unit_test(other_encodings_are_refused),
		cmocka_unit_test(dtds_and_instructions_are_refused),
		cmocka_unit_test(bytes_are_limited),
		cmocka_unit_test(depth_is_limited),
		cmocka_unit_test(nodes_are_limited),
		cmocka_unit_test(attributes_are_limited),
		cmocka_unit_test(namespace_names_are_limited),
		cmocka_unit_test(ten_thousand_children_and_runs_are_kept),
		cmocka_unit_test(a_tree_is_built),
		cmocka_unit_test(what_xml_cannot_carry_is_refused),
		cmocka_unit_test(the_depth_of_built_trees_is_limited),
		cmocka_unit_test(the_nodes_of_built_trees_are_limited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
