#include "authority/decision.h"

#include <string.h>

#include "capture.h"
#include "codecs.h"
#include "error.h"

static char *told(const struct sg_decision *decision)
{
	struct capture capture;

	capture_begin(&capture);
	sg_decision_tell(NULL, decision);
	return strdup(capture_end(&capture));
}

static void assert_told(const struct sg_decision *decision, const char *expected)
{
	char *text = told(decision);

	assert_non_null(strstr(text, expected));
	assert_non_null(strchr(text, '\n'));
	assert_null(strchr(text, '\n')[1] ? text : NULL); /* one line */
	free(text);
}

static void what_is_known_stands_in_its_place(void **state)
{
	const int64_t none = 0;

	assert_told(&(struct sg_decision){ .verb = "list",
			.outcome = "listed",
			.count = &none,
			.account = "juliet@xmpp.test" },
	    "info: list outcome=listed count=0 account=juliet@xmpp.test\n");
	assert_told(&(struct sg_decision){ .verb = "revoke",
			.outcome = "revoked",
			.sha256 = "ab",
			.account = "juliet@xmpp.test",
			.who = "operator",
			.reason = "lost" },
	    "info: revoke outcome=revoked sha256=ab account=juliet@xmpp.test who=operator "
	    "reason=lost\n");
	assert_told(
	    &(struct sg_decision){ .verb = "add", .outcome = "forbidden", .why = "No JID." },
	    "info: add outcome=forbidden why=\"No JID.\"\n");
	assert_told(&(struct sg_decision){ .verb = "add", .outcome = "x", .err = SG_ERR_TIMEOUT },
	    "error: add outcome=x failed=\"");
}

static void a_value_cannot_pass_for_another_field(void **state)
{
	assert_told(&(struct sg_decision){ .verb = "add", .outcome = "x", .account = "a b" },
	    " account=\"a b\"\n");
	assert_told(&(struct sg_decision){ .verb = "add", .outcome = "x", .account = "a=b@c" },
	    " account=\"a=b@c\"\n");
	assert_told(
	    &(struct sg_decision){ .verb = "add", .outcome = "x", .reason = "\" outcome=\"y\\" },
	    " reason=\"\\\" outcome=\\\"y\\\\\"\n");
	assert_told(
	    &(struct sg_decision){ .verb = "add", .outcome = "x", .reason = "" }, " reason=\"\"\n");
	assert_told(&(struct sg_decision){ .verb = "add", .outcome = "x", .reason = "a\nb" },
	    " reason=a\\x0ab\n");
}

static void a_long_name_cuts_off_no_outcome(void **state)
{
	char *account = many('j', 3000), *text;

	text =
	    told(&(struct sg_decision){ .verb = "add", .outcome = "issued", .account = account });
	assert_non_null(strstr(text, "add outcome=issued account=jjj"));
	assert_non_null(strstr(text, "j...\n"));
	free(text);
	free(account);
}

static void each_kind_is_counted(void **state)
{
	const struct sg_decision kinds[] = { { .verb = "add", .outcome = "issued" },
		{ .verb = "add", .outcome = "forbidden" },
		{ .verb = "list", .outcome = "issued" } };
	struct sg_decisions decisions = { 0 };
	struct capture capture;

	capture_begin(&capture);
	for (int i = 0; i < 6; i++)
		sg_decision_tell(&decisions, &kinds[i % 3]);
	capture_end(&capture);
	assert_int_equal(decisions.kind_count, 3);
	for (int i = 0; i < 3; i++) {
		assert_string_equal(decisions.kinds[i].verb, kinds[i].verb);
		assert_string_equal(decisions.kinds[i].outcome, kinds[i].outcome);
		assert_int_equal(decisions.kinds[i].count, 2);
	}
}

static void no_more_kinds_than_there_is_room_for(void **state)
{
	struct sg_decisions decisions = { 0 };
	char outcomes[SG_DECISION_KINDS_MAX + 1][16];
	struct capture capture;

	capture_begin(&capture);
	for (int i = 0; i <= SG_DECISION_KINDS_MAX; i++) {
		snprintf(outcomes[i], sizeof(outcomes[i]), "o%d", i);
		sg_decision_tell(
		    &decisions, &(struct sg_decision){ .verb = "add", .outcome = outcomes[i] });
	}
	capture_end(&capture);
	assert_int_equal(decisions.kind_count, SG_DECISION_KINDS_MAX);
	assert_int_equal(decisions.kinds[SG_DECISION_KINDS_MAX - 1].count, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_known_stands_in_its_place),
		cmocka_unit_test(a_value_cannot_pass_for_another_field),
		cmocka_unit_test(a_long_name_cuts_off_no_outcome),
		cmocka_unit_test(each_kind_is_counted),
		cmocka_unit_test(no_more_kinds_than_there_is_room_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
