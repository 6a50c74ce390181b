/* What a certificate is by what server, tokens and store say of it, and the step that is offered. */
#include "agent/broker/reconcile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/broker/shell_word.h"
#include "ccm2.h"

#define NOW   1000
#define LATER 2000
#define PAST  500

static char *no_places[] = { NULL };

struct row {
	struct sg_held_cert cert;
	enum sg_list_state list;
	enum sg_cert_state state;
	enum sg_cert_step step;
};

#define CERT(...)                                                                                  \
	{                                                                                          \
		.not_after = LATER, .places = no_places, __VA_ARGS__                               \
	}

#define EXPIRED(...)                                                                               \
	{                                                                                          \
		.not_after = PAST, .places = no_places, __VA_ARGS__                                \
	}

static const struct row rows[] = {
	{ CERT(.is_stored = 1, .is_current = 1, .is_listed = 1, .key = SG_KEY_HERE), SG_LIST_WHOLE,
	    SG_CERT_CURRENT, SG_STEP_NONE },
	{ CERT(.is_stored = 1, .is_current = 1, .key = SG_KEY_AWAY), SG_LIST_UNKNOWN,
	    SG_CERT_CURRENT, SG_STEP_NONE },
	{ CERT(.is_stored = 1, .is_current = 1, .key = SG_KEY_HERE), SG_LIST_CUT, SG_CERT_CURRENT,
	    SG_STEP_NONE },
	{ CERT(.is_stored = 1, .is_current = 1, .key = SG_KEY_HERE), SG_LIST_WHOLE,
	    SG_CERT_REVOKED_ELSEWHERE, SG_STEP_ENROL },
	{ CERT(.is_stored = 1, .is_current = 1, .key = SG_KEY_GONE), SG_LIST_WHOLE,
	    SG_CERT_REVOKED_ELSEWHERE, SG_STEP_REMOVE },
	{ CERT(.is_stored = 1, .is_listed = 1, .key = SG_KEY_AWAY), SG_LIST_WHOLE, SG_CERT_SPARE,
	    SG_STEP_NONE },
	{ CERT(.is_stored = 1, .key = SG_KEY_HERE), SG_LIST_WHOLE, SG_CERT_REVOKED_ELSEWHERE,
	    SG_STEP_REMOVE },
	{ CERT(.is_stored = 1, .is_listed = 1, .key = SG_KEY_GONE), SG_LIST_WHOLE, SG_CERT_KEYLESS,
	    SG_STEP_REVOKE },
	{ CERT(.is_stored = 1, .is_listed = 1, .key = SG_KEY_UNKNOWN), SG_LIST_WHOLE,
	    SG_CERT_ORPHAN, SG_STEP_REVOKE },
	{ CERT(.is_stored = 1, .is_revoked = 1, .is_listed = 1, .key = SG_KEY_HERE), SG_LIST_WHOLE,
	    SG_CERT_UNREVOKED, SG_STEP_REVOKE },
	{ CERT(.is_stored = 1, .is_revoked = 1, .key = SG_KEY_HERE), SG_LIST_WHOLE, SG_CERT_REVOKED,
	    SG_STEP_NONE },
	{ CERT(.is_stored = 1, .is_revoked = 1, .is_object = 1, .key = SG_KEY_HERE), SG_LIST_WHOLE,
	    SG_CERT_REVOKED, SG_STEP_REMOVE },
	{ CERT(.is_listed = 1, .key = SG_KEY_HERE), SG_LIST_WHOLE, SG_CERT_UNCLAIMED,
	    SG_STEP_ADOPT },
	{ CERT(.is_listed = 1, .key = SG_KEY_AWAY), SG_LIST_CUT, SG_CERT_UNCLAIMED, SG_STEP_ADOPT },
	{ CERT(.is_listed = 1, .key = SG_KEY_HERE, .unfit = "it is not"), SG_LIST_WHOLE,
	    SG_CERT_UNCLAIMED, SG_STEP_REVOKE },
	{ CERT(.is_stored = 1, .is_listed = 1, .is_leaving = 1, .key = SG_KEY_AWAY), SG_LIST_WHOLE,
	    SG_CERT_SPARE, SG_STEP_REVOKE },
	{ CERT(.is_listed = 1, .key = SG_KEY_GONE), SG_LIST_WHOLE, SG_CERT_ORPHAN, SG_STEP_REVOKE },
	{ CERT(.is_listed = 1, .key = SG_KEY_UNKNOWN), SG_LIST_WHOLE, SG_CERT_UNKNOWN,
	    SG_STEP_REVOKE },
	{ CERT(.is_object = 1, .key = SG_KEY_HERE), SG_LIST_WHOLE, SG_CERT_ORPHAN, SG_STEP_REMOVE },
	{ CERT(.is_object = 1, .key = SG_KEY_HERE), SG_LIST_CUT, SG_CERT_UNSURE, SG_STEP_NONE },
	{ CERT(.is_object = 1, .key = SG_KEY_HERE), SG_LIST_UNKNOWN, SG_CERT_UNSURE, SG_STEP_NONE },
	{ EXPIRED(.is_stored = 1, .is_current = 1, .key = SG_KEY_HERE), SG_LIST_UNKNOWN,
	    SG_CERT_EXPIRED, SG_STEP_ENROL },
	{ EXPIRED(.is_stored = 1, .key = SG_KEY_HERE), SG_LIST_WHOLE, SG_CERT_EXPIRED,
	    SG_STEP_REMOVE },
	{ EXPIRED(.is_listed = 1), SG_LIST_WHOLE, SG_CERT_EXPIRED, SG_STEP_NONE },
	{ EXPIRED(.is_stored = 1, .is_revoked = 1), SG_LIST_WHOLE, SG_CERT_REVOKED, SG_STEP_NONE },
};

static void each_is_judged(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sg_reconciled is = sg_reconcile(&rows[i].cert, rows[i].list, NOW, NULL);

		assert_string_equal(
		    sg_cert_state_name(is.state), sg_cert_state_name(rows[i].state));
		assert_int_equal(is.step, rows[i].step);
	}
}

static void a_spare_goes_before_an_enrolment(void **state)
{
	struct sg_held_cert current = CERT(.is_stored = 1, .is_current = 1, .key = SG_KEY_HERE);
	struct sg_held_cert soon = CERT(.is_stored = 1, .is_listed = 1, .key = SG_KEY_HERE);
	struct sg_held_cert late = CERT(.is_stored = 1, .is_listed = 1, .key = SG_KEY_HERE);
	struct sg_held_cert away = CERT(.is_stored = 1, .is_listed = 1, .key = SG_KEY_AWAY);
	struct sg_held_cert *all[] = { &current, &soon, &late, &away };
	const struct sg_held_certs held = { all, 4, 4 };

	late.not_after = LATER + 1;
	away.not_after = LATER + 2;
	assert_ptr_equal(sg_reconcile_spare(&held, SG_LIST_WHOLE, NOW), &late);
	assert_int_equal(sg_reconcile(&current, SG_LIST_WHOLE, NOW, &late).step, SG_STEP_USE);
	current.is_listed = 1;
	assert_int_equal(sg_reconcile(&current, SG_LIST_WHOLE, NOW, &late).step, SG_STEP_NONE);
	late.key = SG_KEY_HIDDEN;
	assert_ptr_equal(sg_reconcile_spare(&held, SG_LIST_WHOLE, NOW), &soon);
	soon.key = SG_KEY_HIDDEN;
	assert_ptr_equal(sg_reconcile_spare(&held, SG_LIST_WHOLE, NOW), &late);
	late.is_leaving = 1;
	assert_ptr_equal(sg_reconcile_spare(&held, SG_LIST_WHOLE, NOW), &soon);
	late.key = soon.key = SG_KEY_GONE;
	assert_null(sg_reconcile_spare(&held, SG_LIST_WHOLE, NOW));
}

static void a_long_list_may_be_cut(void **state)
{
	struct sg_ccm2_cert *certs = calloc(SG_CCM2_LIST_MAX, sizeof(*certs));
	struct sg_msg_ccm2_certs list = { .certs = certs, .cert_count = 300 };

	assert_non_null(certs);
	assert_false(sg_reconcile_is_cut(&list));
	for (uint32_t i = 0; i < list.cert_count; i++)
		certs[i].der.len = 1000;
	assert_true(sg_reconcile_is_cut(&list));
	list.cert_count = 150;
	assert_false(sg_reconcile_is_cut(&list));
	memset(certs, 0, 300 * sizeof(*certs));
	list.cert_count = SG_CCM2_LIST_MAX;
	assert_true(sg_reconcile_is_cut(&list));
	free(certs);
}

static void words_survive_a_shell(void **state)
{
	static const char *const words[][2] = {
		{ "juliet@capulet.lit", "juliet@capulet.lit" },
		{ "pkcs11:serial=1;token=a", "'pkcs11:serial=1;token=a'" },
		{ "it's", "'it'\\''s'" },
		{ "", "''" },
		{ "$(x)`y`", "'$(x)`y`'" },
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		struct sg_buf buf = { 0 };
		char *text;

		sg_shell_word_put(&buf, words[i][0]);
		text = sg_buf_steal(&buf, NULL);
		assert_string_equal(text, words[i][1]);
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_is_judged),
		cmocka_unit_test(a_spare_goes_before_an_enrolment),
		cmocka_unit_test(a_long_list_may_be_cut),
		cmocka_unit_test(words_survive_a_shell),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
