/* Result sets in pages. */
#include "rsm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int read_set(const char *set, struct sg_rsm *rsm)
{
	char text[8192];
	struct sg_xml *payload;
	int got;

	snprintf(text, sizeof(text), "<query xmlns='a:b'>%s</query>", set);
	assert_int_equal(sg_xml_parse(text, strlen(text), &payload), 0);
	got = sg_rsm_read(payload, rsm);
	sg_xml_free(payload);
	return got;
}

#define SET(inside) "<set xmlns='" SG_NS_RSM "'>" inside "</set>"

static void pages_are_read(void **state)
{
	struct sg_rsm rsm;

	assert_int_equal(read_set("<items/>", &rsm), 0);
	assert_null(rsm.last);
	assert_int_equal(
	    read_set(SET("<first index='0'>a</first><last>b c</last><count>7</count>"), &rsm), 1);
	assert_string_equal(rsm.last, "b c");
	assert_int_equal(rsm.has_count, 1);
	assert_int_equal(rsm.count, 7);
	sg_rsm_clear(&rsm);
	assert_int_equal(read_set(SET("<count>0</count>"), &rsm), 1);
	assert_null(rsm.last);
	assert_int_equal(rsm.has_count, 1);
	assert_int_equal(read_set(SET("<last/>"), &rsm), 1);
	assert_null(rsm.last);
	assert_int_equal(rsm.has_count, 0);
}

static void counts_that_are_none_are_no_error(void **state)
{
	static const char *const counts[] = { "", "-1", "+1", "junk", "1x", "4294967296",
		"99999999999999999999999999" };

	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		char set[256];
		struct sg_rsm rsm;

		snprintf(set, sizeof(set), SET("<count>%s</count>"), counts[i]);
		assert_int_equal(read_set(set, &rsm), 1);
		assert_int_equal(rsm.has_count, 0);
		assert_int_equal(rsm.count, 0);
	}
}

static void bad_pages_are_refused(void **state)
{
	char set[4096], last[SG_RSM_LAST_MAX + 2];
	struct sg_rsm rsm;

	assert_int_equal(read_set(SET("") SET(""), &rsm), SG_ERR_FORMAT);
	assert_int_equal(read_set(SET("<last>a</last><last>b</last>"), &rsm), SG_ERR_FORMAT);
	assert_int_equal(
	    read_set(SET("<last>a</last><count>1</count><count>1</count>"), &rsm), SG_ERR_FORMAT);
	memset(last, 'x', sizeof(last));
	last[SG_RSM_LAST_MAX + 1] = '\0';
	snprintf(set, sizeof(set), SET("<last>%s</last>"), last);
	assert_int_equal(read_set(set, &rsm), SG_ERR_LIMIT);
	assert_null(rsm.last);
	last[SG_RSM_LAST_MAX] = '\0';
	snprintf(set, sizeof(set), SET("<last>%s</last>"), last);
	assert_int_equal(read_set(set, &rsm), 1);
	sg_rsm_clear(&rsm);
}

static void pages_are_asked_for(void **state)
{
	struct sg_xml *payload = sg_xml_new("query", "a:b");
	char *text;

	assert_int_equal(sg_rsm_ask(payload, 250, "<b>"), 0);
	text = sg_xml_to_string(payload);
	assert_string_equal(text,
	    "<query xmlns='a:b'><set xmlns='" SG_NS_RSM
	    "'><max>250</max><after>&lt;b&gt;</after></set></query>");
	free(text);
	sg_xml_free(payload);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_are_read),
		cmocka_unit_test(counts_that_are_none_are_no_error),
		cmocka_unit_test(bad_pages_are_refused),
		cmocka_unit_test(pages_are_asked_for),
	};

	return cmocka_run_group_tests_name("rsm", tests, NULL, NULL);
}
