#include "authority/rate.h"

#include "codecs.h"

#define MINUTE 60000

/* How many of a thousand requests at this time go through. */
static unsigned int burst(struct sg_rate *rate, const char *account, int64_t now)
{
	unsigned int passed = 0;

	for (int i = 0; i < 1000; i++)
		passed += sg_rate_take(rate, account, now) != 0;
	return passed;
}

static struct sg_rate *rate_of(unsigned int per_minute)
{
	struct sg_rate *rate;

	assert_int_equal(sg_rate_new(per_minute, &rate), 0);
	return rate;
}

static void a_minutes_worth_at_once_and_then_as_they_come_in(void **state)
{
	struct sg_rate *rate = rate_of(30);

	assert_int_equal(burst(rate, "a@b", 1000), 30);
	assert_int_equal(burst(rate, "a@b", 1000 + 1999), 0);
	assert_int_equal(burst(rate, "a@b", 1000 + 2000), 1);
	assert_int_equal(burst(rate, "a@b", 1000 + MINUTE), 29);
	/* what was refused did not count, and nothing is saved up beyond a minute's worth */
	assert_int_equal(burst(rate, "a@b", 1000 + 100 * MINUTE), 30);
	sg_rate_free(rate);
}

static void each_account_has_its_own(void **state)
{
	struct sg_rate *rate = rate_of(30);

	assert_int_equal(burst(rate, "a@b", 5), 30);
	assert_int_equal(burst(rate, "c@b", 5), 30);
	assert_int_equal(burst(rate, "", 5), 30);
	assert_int_equal(burst(rate, "a@b", 5), 0);
	sg_rate_free(rate);
}

static void the_least_and_the_most(void **state)
{
	struct sg_rate *rate = rate_of(1);

	assert_int_equal(burst(rate, "a@b", 7), 1);
	assert_int_equal(burst(rate, "a@b", 7 + MINUTE - 1), 0);
	assert_int_equal(burst(rate, "a@b", 7 + MINUTE), 1);
	sg_rate_free(rate);
	rate = rate_of(60000);
	assert_int_equal(burst(rate, "a@b", 7), 1000);
	sg_rate_free(rate);
	sg_rate_free(NULL);
}

/* Each asks twice, the others between. When there are more than places, some are forgotten: never is one held
 * back that did not ask too often. */
static void many_accounts_hold_nobody_back(void **state)
{
	static const int count[] = { 2000, 3 * SG_RATE_ACCOUNTS };
	char account[32];

	for (size_t i = 0; i < 2; i++) {
		struct sg_rate *rate = rate_of(1);
		int again = 0;

		for (int j = 0; j < count[i]; j++) {
			snprintf(account, sizeof(account), "user%d@xmpp.test", j);
			assert_true(sg_rate_take(rate, account, j % 7));
		}
		for (int j = 0; j < count[i]; j++) {
			snprintf(account, sizeof(account), "user%d@xmpp.test", j);
			again += sg_rate_take(rate, account, 7);
		}
		/* a few thousand all have a place of their own (but for what hashes as one) */
		assert_true(i ? again >= SG_RATE_ACCOUNTS : again < 20);
		sg_rate_free(rate);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_minutes_worth_at_once_and_then_as_they_come_in),
		cmocka_unit_test(each_account_has_its_own),
		cmocka_unit_test(the_least_and_the_most),
		cmocka_unit_test(many_accounts_hold_nobody_back),
	};

	return cmocka_run_group_tests_name("authority_rate", tests, NULL, NULL);
}
