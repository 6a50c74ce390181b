#include "strophe/stanza.h"

#include "codecs.h"

static xmpp_ctx_t *ctx;

static int setup(void **state)
{
	xmpp_initialize();
	ctx = xmpp_ctx_new(NULL, NULL);
	return ctx != NULL ? 0 : -1;
}

static int teardown(void **state)
{
	xmpp_ctx_free(ctx);
	xmpp_shutdown();
	return 0;
}

static int convert(const char *text, struct sg_xml **tree)
{
	xmpp_stanza_t *stanza = xmpp_stanza_new_from_string(ctx, text);
	int err;

	assert_non_null(stanza);
	err = sg_stanza_to_xml(stanza, tree);
	assert_true((err == 0) == (*tree != NULL));
	xmpp_stanza_release(stanza);
	return err;
}

static void trees_are_the_same(void **state)
{
	struct sg_xml *tree;

	assert_int_equal(convert("<iq xmlns='urn:a' id='&lt;&apos;1'>one &amp; <b x='y'>two</b>"
				 "<p:c xmlns:p='urn:c'><d/></p:c>three</iq>",
			     &tree),
	    0);
	assert_xml(tree,
	    "<iq xmlns='urn:a' id='&lt;&apos;1'>one &amp; <b x='y'>two</b>"
	    "<c xmlns='urn:c'><d xmlns='urn:a'/></c>three</iq>");
}

static char *nested(unsigned int depth)
{
	struct sg_buf text = { 0 };

	for (unsigned int i = 0; i < depth; i++)
		sg_buf_put_str(&text, "<a>");
	for (unsigned int i = 0; i < depth; i++)
		sg_buf_put_str(&text, "</a>");
	return sg_buf_steal(&text, NULL);
}

static void depth_is_bounded(void **state)
{
	char *deepest = nested(SG_XML_DEPTH_MAX), *deeper = nested(SG_XML_DEPTH_MAX + 1);
	char *abyss = nested(20000);
	struct sg_xml *tree;

	assert_int_equal(convert(deepest, &tree), 0);
	sg_xml_free(tree);
	assert_int_equal(convert(deeper, &tree), SG_ERR_LIMIT);
	assert_int_equal(convert(abyss, &tree), SG_ERR_LIMIT);
	free(deepest);
	free(deeper);
	free(abyss);
}

static char *with_attributes(int count)
{
	struct sg_buf text = { 0 };

	sg_buf_put_str(&text, "<iq xmlns='urn:a'");
	for (int i = 0; i < count; i++)
		sg_buf_printf(&text, " a%d='%d'", i, i);
	sg_buf_put_str(&text, "><b/></iq>");
	return sg_buf_steal(&text, NULL);
}

static void attributes_are_bounded(void **state)
{
	char *most = with_attributes(SG_XML_ATTRS_MAX),
	     *more = with_attributes(SG_XML_ATTRS_MAX + 1);
	char *many_more = with_attributes(10000);
	struct sg_xml *tree;

	assert_int_equal(convert(most, &tree), 0);
	assert_string_equal(sg_xml_attr(tree, "a63"), "63");
	sg_xml_free(tree);
	assert_int_equal(convert(more, &tree), SG_ERR_LIMIT);
	assert_int_equal(convert(many_more, &tree), SG_ERR_LIMIT);
	free(most);
	free(more);
	free(many_more);
}

/* In rows, as libstrophe walks over all children to add one. The root and the rows count, too. */
static char *with_nodes(unsigned int rows, unsigned int columns)
{
	struct sg_buf text = { 0 };

	sg_buf_put_str(&text, "<iq>");
	for (unsigned int i = 0; i < rows; i++) {
		sg_buf_put_str(&text, "<r>");
		for (unsigned int j = 0; j < columns; j++)
			sg_buf_put_str(&text, "<c/>");
		sg_buf_put_str(&text, "</r>");
	}
	sg_buf_put_str(&text, "</iq>");
	return sg_buf_steal(&text, NULL);
}

static void nodes_are_bounded(void **state)
{
	char *fits = with_nodes(199, 1000), *over = with_nodes(200, 1000);
	struct sg_xml *tree;

	assert_int_equal(convert(fits, &tree), 0);
	sg_xml_free(tree);
	assert_int_equal(convert(over, &tree), SG_ERR_LIMIT);
	free(fits);
	free(over);
}

/* One attribute of the most bytes, so that name and value together are one too many. */
static void bytes_are_bounded(void **state)
{
	xmpp_stanza_t *stanza = xmpp_stanza_new(ctx);
	char *value = calloc(1, SG_XML_BYTES_MAX + 1);
	struct sg_xml *tree;

	assert_int_equal(xmpp_stanza_set_name(stanza, "iq"), 0);
	memset(value, 'v', SG_XML_BYTES_MAX - 3);
	assert_int_equal(xmpp_stanza_set_attribute(stanza, "a", value), 0);
	assert_int_equal(sg_stanza_to_xml(stanza, &tree), 0);
	sg_xml_free(tree);
	value[SG_XML_BYTES_MAX - 3] = 'v';
	assert_int_equal(xmpp_stanza_set_attribute(stanza, "a", value), 0);
	assert_int_equal(sg_stanza_to_xml(stanza, &tree), SG_ERR_LIMIT);
	assert_null(tree);
	assert_int_equal(sg_stanza_head(stanza, 1, &tree), SG_ERR_LIMIT);
	assert_null(tree);
	xmpp_stanza_release(stanza);
	free(value);
}

static void the_head_is_what_is_left_of_a_large_one(void **state)
{
	char *deep = nested(100);
	char *text = text_of("<iq type='set' id='x' from='xmpp.test'>%s</iq>", deep);
	xmpp_stanza_t *stanza = xmpp_stanza_new_from_string(ctx, text);
	struct sg_xml *tree;

	assert_int_equal(sg_stanza_to_xml(stanza, &tree), SG_ERR_LIMIT);
	assert_int_equal(sg_stanza_head(stanza, 1, &tree), 0);
	assert_null(sg_xml_first(tree));
	assert_string_equal(sg_xml_attr(tree, "id"), "x");
	assert_string_equal(sg_xml_attr(tree, "from"), "xmpp.test");
	sg_xml_free(tree);
	xmpp_stanza_release(stanza);
	free(text);
	free(deep);
}

static void the_heads_reach_down_by_the_first_elements(void **state)
{
	xmpp_stanza_t *stanza = xmpp_stanza_new_from_string(
	    ctx, "<iq id='1'>text<a xmlns='urn:a' b='c'>more<d e='f'><g/></d><h/></a><i/></iq>");
	struct sg_xml *tree;
	const struct sg_xml *a, *d;

	assert_int_equal(sg_stanza_head(stanza, 3, &tree), 0);
	a = sg_xml_first(tree);
	assert_true(sg_xml_is(a, "a", "urn:a"));
	assert_string_equal(sg_xml_attr(a, "b"), "c");
	assert_null(sg_xml_next(a));
	d = sg_xml_first(a);
	assert_string_equal(sg_xml_attr(d, "e"), "f");
	assert_null(sg_xml_next(d));
	assert_null(sg_xml_first(d));
	sg_xml_free(tree);
	assert_int_equal(sg_stanza_head(stanza, 9, &tree), 0);
	assert_null(sg_xml_first(sg_xml_first(sg_xml_first(sg_xml_first(tree)))));
	sg_xml_free(tree);
	xmpp_stanza_release(stanza);
}

/* An element of too many attributes and what is in it are left out; the stanza's own head is there. */
static void the_heads_end_before_one_that_is_too_large(void **state)
{
	char *many = with_attributes(SG_XML_ATTRS_MAX + 1);
	char *text = text_of("<iq id='1'>%s</iq>", many);
	xmpp_stanza_t *stanza = xmpp_stanza_new_from_string(ctx, text);
	struct sg_xml *tree;

	assert_int_equal(sg_stanza_head(stanza, 4, &tree), 0);
	assert_string_equal(sg_xml_attr(tree, "id"), "1");
	assert_null(sg_xml_first(tree));
	sg_xml_free(tree);
	xmpp_stanza_release(stanza);
	free(text);
	free(many);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(trees_are_the_same),
		cmocka_unit_test(depth_is_bounded),
		cmocka_unit_test(attributes_are_bounded),
		cmocka_unit_test(nodes_are_bounded),
		cmocka_unit_test(bytes_are_bounded),
		cmocka_unit_test(the_head_is_what_is_left_of_a_large_one),
		cmocka_unit_test(the_heads_reach_down_by_the_first_elements),
		cmocka_unit_test(the_heads_end_before_one_that_is_too_large),
	};

	return cmocka_run_group_tests_name("strophe_stanza", tests, setup, teardown);
}
