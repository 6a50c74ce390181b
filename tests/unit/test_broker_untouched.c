/* Signatures that wait for a touch are kept as long as they do, and no more than can be true. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agent/broker/untouched.h"

static char token[] = "pkcs11:serial=1";
static char other_token[] = "pkcs11:serial=2";
static char label[] = "one";
static char exe[] = "/usr/bin/x";
static char purpose[] = "MakeCsr";

static struct sg_msg_token_event wanted(char *uri, uint32_t pid)
{
	return (struct sg_msg_token_event){ .kind = SG_EVENT_TOUCH_WANTED,
		.token = uri,
		.label = label,
		.caller = { .uid = 7, .pid = pid, .exe = exe, .purpose = purpose } };
}

static void keeps_a_copy(void **state)
{
	struct sg_module module = { 0 };
	struct sg_msg_token_event event = wanted(token, 1), bare = { 0 };
	const struct sg_msg_token_event *kept;

	sg_untouched_note(&module, &event);
	sg_untouched_note(&module, &bare);
	assert_int_equal(module.untouched_count, 2);
	assert_true(module.untouched[0].since > 0);
	kept = &module.untouched[0].event;
	assert_ptr_not_equal(kept->token, token);
	assert_string_equal(kept->token, token);
	assert_string_equal(kept->label, label);
	assert_null(kept->serial);
	assert_int_equal(kept->caller.uid, 7);
	assert_int_equal(kept->caller.pid, 1);
	assert_string_equal(kept->caller.exe, exe);
	assert_string_equal(kept->caller.purpose, purpose);
	assert_null(module.untouched[1].event.token);
	sg_untouched_over(&module, &bare);
	assert_int_equal(module.untouched_count, 1);
	sg_untouched_clear(&module);
	assert_int_equal(module.untouched_count, 0);
	sg_untouched_clear(&module);
}

static void one_less(void **state)
{
	struct sg_module module = { 0 };
	struct sg_msg_token_event first = wanted(token, 1), second = wanted(token, 2),
				  third = wanted(other_token, 1);

	sg_untouched_note(&module, &first);
	sg_untouched_note(&module, &second);
	sg_untouched_note(&module, &first);
	sg_untouched_over(&module, &third);
	assert_int_equal(module.untouched_count, 3);
	sg_untouched_over(&module, &first);
	assert_int_equal(module.untouched_count, 2);
	assert_int_equal(module.untouched[0].event.caller.pid, 2);
	assert_int_equal(module.untouched[1].event.caller.pid, 1);
	sg_untouched_over(&module, &second);
	sg_untouched_over(&module, &second);
	assert_int_equal(module.untouched_count, 1);
	sg_untouched_clear(&module);
}

static void no_more_than_can_be(void **state)
{
	struct sg_module module = { 0 };

	for (uint32_t pid = 1; pid <= SG_UNTOUCHED_MAX + 2; pid++) {
		struct sg_msg_token_event event = wanted(token, pid);

		sg_untouched_note(&module, &event);
	}
	assert_int_equal(module.untouched_count, SG_UNTOUCHED_MAX);
	assert_int_equal(module.untouched[SG_UNTOUCHED_MAX - 1].event.caller.pid, SG_UNTOUCHED_MAX);
	sg_untouched_clear(&module);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_a_copy),
		cmocka_unit_test(one_less),
		cmocka_unit_test(no_more_than_can_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
