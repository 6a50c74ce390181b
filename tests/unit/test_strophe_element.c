#include "strophe/element.h"

#include "codecs.h"

static void assert_iq(const struct sg_iq_head *head, struct sg_xml *payload, const char *expected)
{
	struct sg_xml *iq;

	assert_int_equal(sg_element_iq(head, payload, &iq), 0);
	assert_xml(iq, expected);
}

static void an_iq_says_what_its_head_has(void **state)
{
	const struct sg_iq_head all = { SG_NS_CLIENT, "set", "1'<", "a@b/c", "d" };
	const struct sg_iq_head none = { 0 };

	assert_iq(&all, sg_xml_new("x", "urn:x"),
	    "<iq xmlns='jabber:client' type='set' id='1&apos;&lt;' to='a@b/c' from='d'>"
	    "<x xmlns='urn:x'/></iq>");
	assert_iq(&none, NULL, "<iq/>");
}

static struct sg_xml *nested(unsigned depth)
{
	struct sg_xml *tree = NULL, *outer;

	for (unsigned i = 0; i < depth; i++) {
		outer = sg_xml_new("a", "urn:a");
		if (tree != NULL)
			assert_int_equal(sg_xml_add(outer, tree), 0);
		tree = outer;
	}
	return tree;
}

/* The payload is the iq's in every case: a sanitizer tells if it were lost. */
static void an_iq_fails_whole(void **state)
{
	const struct sg_iq_head good = { .type = "get" }, bad = { .type = "get", .id = "\x01" };
	struct sg_xml *iq;

	assert_int_equal(sg_element_iq(&bad, sg_xml_new("x", "urn:x"), &iq), SG_ERR_FORMAT);
	assert_null(iq);
	assert_int_equal(sg_element_iq(&good, nested(SG_XML_DEPTH_MAX - 1), &iq), 0);
	sg_xml_free(iq);
	assert_int_equal(sg_element_iq(&good, nested(SG_XML_DEPTH_MAX), &iq), SG_ERR_LIMIT);
	assert_null(iq);
}

static void an_error_has_a_condition_and_perhaps_a_text(void **state)
{
	struct sg_xml *error;

	assert_int_equal(sg_element_error("wait", "resource-constraint", "No <more>.", &error), 0);
	assert_xml(error,
	    "<error type='wait'><resource-constraint xmlns='" SG_NS_STANZAS "'/>"
	    "<text xmlns='" SG_NS_STANZAS "' xml:lang='en'>No &lt;more&gt;.</text></error>");
	assert_int_equal(sg_element_error("cancel", "item-not-found", NULL, &error), 0);
	assert_xml(
	    error, "<error type='cancel'><item-not-found xmlns='" SG_NS_STANZAS "'/></error>");
	assert_int_equal(sg_element_error("cancel", "gone", "\x01", &error), SG_ERR_FORMAT);
	assert_null(error);
}

/* In no namespace of its own, so that it is in that of whatever iq it is put into. */
static void an_error_is_in_the_namespace_of_its_iq(void **state)
{
	const struct sg_iq_head head = { .ns = SG_NS_CLIENT, .type = "error" };
	struct sg_xml *error;

	assert_int_equal(sg_element_error("cancel", "gone", NULL, &error), 0);
	assert_iq(&head, error,
	    "<iq xmlns='jabber:client' type='error'><error type='cancel'>"
	    "<gone xmlns='" SG_NS_STANZAS "'/></error></iq>");
}

static void conditions_are_small_names(void **state)
{
	char name[65];

	memset(name, 'a', sizeof(name));
	name[64] = '\0';
	assert_false(sg_condition_is_name(name));
	name[63] = '\0';
	assert_true(sg_condition_is_name(name));
	assert_true(sg_condition_is_name("item-not-found"));
	assert_false(sg_condition_is_name(""));
	assert_false(sg_condition_is_name("Gone"));
	assert_false(sg_condition_is_name("gone\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_iq_says_what_its_head_has),
		cmocka_unit_test(an_iq_fails_whole),
		cmocka_unit_test(an_error_has_a_condition_and_perhaps_a_text),
		cmocka_unit_test(an_error_is_in_the_namespace_of_its_iq),
		cmocka_unit_test(conditions_are_small_names),
	};

	return cmocka_run_group_tests_name("strophe_element", tests, NULL, NULL);
}
