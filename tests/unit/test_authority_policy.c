#include "authority/policy.h"

#include <unistd.h>

#include "authority/profile.h"
#include "capture.h"
#include "codecs.h"

#define HOUR 3600

struct world {
	struct sg_authority_config config;
	char path[40];
	char *list[3];
};

static int setup(void **state)
{
	struct world *world = calloc(1, sizeof(*world));
	int fd;

	strcpy(world->path, "/tmp/signet-accounts-XXXXXX");
	fd = mkstemp(world->path);
	assert_true(fd >= 0);
	close(fd);
	world->config.requests_per_minute = 2;
	world->config.lifetime_hours = 24;
	world->config.subject_keys = SG_SUBJECT_KEY_P256 | SG_SUBJECT_KEY_RSA3072;
	*state = world;
	return 0;
}

static int teardown(void **state)
{
	struct world *world = *state;

	unlink(world->path);
	free(world);
	return 0;
}

static void write_file(const struct world *world, const char *text, size_t len)
{
	FILE *file = fopen(world->path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, len, file), len);
	assert_int_equal(fclose(file), 0);
}

static struct sg_policy *policy_of(const struct world *world)
{
	struct sg_policy *policy;

	assert_int_equal(sg_policy_new(&world->config, &policy), 0);
	return policy;
}

static int is_allowed(const struct sg_policy *policy, const char *account)
{
	const char *why = sg_policy_refusal(policy, account);

	if (why != NULL)
		assert_non_null(strstr(why, "Ask the operator"));
	return why == NULL;
}

static void accounts_that_are_named(void **state)
{
	struct world *world = *state;
	struct sg_policy *policy = policy_of(world);

	assert_true(is_allowed(policy, "anybody@xmpp.test"));
	sg_policy_free(policy);
	world->list[0] = (char[]){ "romeo@xmpp.test" };
	world->list[1] = (char[]){ "juliet@xmpp.test" };
	world->config.accounts = world->list;
	policy = policy_of(world);
	assert_true(is_allowed(policy, "juliet@xmpp.test"));
	assert_true(is_allowed(policy, "romeo@xmpp.test"));
	assert_false(is_allowed(policy, "romeo@xmpp.tes"));
	assert_false(is_allowed(policy, "benvolio@xmpp.test"));
	sg_policy_free(policy);
	/* who is refused stays so, also when allowed */
	world->config.refused_accounts = world->list + 1;
	policy = policy_of(world);
	assert_false(is_allowed(policy, "juliet@xmpp.test"));
	assert_true(is_allowed(policy, "romeo@xmpp.test"));
	sg_policy_free(policy);
	world->config.accounts = NULL;
	policy = policy_of(world);
	assert_false(is_allowed(policy, "juliet@xmpp.test"));
	assert_true(is_allowed(policy, "anybody@xmpp.test"));
	sg_policy_free(policy);
}

static void accounts_in_a_file(void **state)
{
	static const char first[] =
	    "# friends\n\n  Romeo@xmpp.test \t# Montague\r\njuliet@xmpp.test";
	struct world *world = *state;
	struct sg_policy *policy;

	world->list[0] = world->path;
	world->config.accounts = world->list;
	write_file(world, "", 0);
	policy = policy_of(world);
	assert_false(is_allowed(policy, "juliet@xmpp.test")); /* nobody is named */
	write_file(world, first, sizeof(first) - 1);
	assert_false(is_allowed(policy, "juliet@xmpp.test"));
	assert_int_equal(sg_policy_reload(policy), 0);
	assert_true(is_allowed(policy, "juliet@xmpp.test"));
	assert_true(is_allowed(policy, "romeo@xmpp.test"));
	assert_false(is_allowed(policy, "benvolio@xmpp.test"));
	write_file(world, "benvolio@xmpp.test\n", 19);
	assert_int_equal(sg_policy_reload(policy), 0);
	assert_false(is_allowed(policy, "juliet@xmpp.test"));
	assert_true(is_allowed(policy, "benvolio@xmpp.test"));
	sg_policy_free(policy);
}

/* Reads it anew: refused, said with file and line, and what was read before counts. */
static void assert_refused(const struct world *world, struct sg_policy *policy, int err,
    const char *text, size_t len, const char *said)
{
	struct capture capture;

	write_file(world, text, len);
	capture_begin(&capture);
	assert_int_equal(sg_policy_reload(policy), err);
	capture_end(&capture);
	if (strstr(capture.text, world->path) == NULL || strstr(capture.text, said) == NULL)
		fail_msg("%s: %s", said, capture.text);
	assert_true(is_allowed(policy, "juliet@xmpp.test"));
}

static void files_that_are_wrong(void **state)
{
	static const char *const wrong[] = { "a@b\nxmpp.test\n", "\na@b/c\n", "\na@b c@d\n",
		"\n@b\n", "\na@\n", "\n/etc/passwd\n" };
	struct world *world = *state;
	struct sg_policy *policy;
	struct sg_buf many = { 0 };
	struct capture capture;

	world->list[0] = world->path;
	world->config.accounts = world->list;
	write_file(world, "juliet@xmpp.test\n", 17);
	policy = policy_of(world);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_refused(
		    world, policy, SG_ERR_CONFIG, wrong[i], strlen(wrong[i]), ":2: not an account");
	assert_refused(world, policy, SG_ERR_CONFIG, "a@b\0c\n", 6, ":1: not an account");
	for (int i = 0; i <= SG_POLICY_ACCOUNTS_MAX; i++)
		sg_buf_printf(&many, "user%d@xmpp.test\n", i);
	assert_refused(
	    world, policy, SG_ERR_CONFIG, (char *)many.data, many.len, ":100001: more than");
	many.len = (size_t)(strrchr((char *)many.data, 'u') - (char *)many.data);
	write_file(world, (char *)many.data, many.len);
	assert_int_equal(sg_policy_reload(policy), 0);
	assert_true(is_allowed(policy, "user99999@xmpp.test"));
	sg_buf_clear(&many);
	unlink(world->path);
	capture_begin(&capture);
	assert_int_equal(sg_policy_reload(policy), SG_ERR_IO);
	assert_non_null(strstr(capture_end(&capture), world->path));
	assert_true(is_allowed(policy, "user99999@xmpp.test"));
	sg_policy_free(policy);
	capture_begin(&capture);
	assert_int_equal(sg_policy_new(&world->config, &policy), SG_ERR_IO);
	capture_end(&capture);
	assert_null(policy);
}

static void asking_too_often(void **state)
{
	struct world *world = *state;
	struct sg_policy *policy = policy_of(world);

	assert_null(sg_policy_hold(policy, "juliet@xmpp.test"));
	assert_null(sg_policy_hold(policy, "juliet@xmpp.test"));
	assert_non_null(strstr(sg_policy_hold(policy, "juliet@xmpp.test"), "Wait a minute"));
	assert_null(sg_policy_hold(policy, "romeo@xmpp.test"));
	sg_policy_free(policy);
}

static void the_kinds_are_named(void **state)
{
	struct world *world = *state;
	struct sg_policy *policy = policy_of(world);

	assert_non_null(strstr(sg_policy_kinds(policy), "one of these kinds: rsa3072, p256."));
	sg_policy_free(policy);
	world->config.subject_keys = ~0u;
	policy = policy_of(world);
	assert_non_null(strstr(sg_policy_kinds(policy), "p521, ed25519."));
	sg_policy_free(policy);
}

/* The end of what is issued now under a CA that ends then; what is said of it in *capture. */
static time_t end_under(
    struct sg_policy *policy, time_t now, time_t ca_end, int err, struct capture *capture)
{
	X509 *ca = X509_new();
	time_t end = 0;

	assert_non_null(ASN1_TIME_set(X509_getm_notAfter(ca), ca_end));
	capture_begin(capture);
	assert_int_equal(sg_policy_not_after(policy, ca, now, &end), err);
	capture_end(capture);
	X509_free(ca);
	return end;
}

static void nothing_outlives_its_ca(void **state)
{
	const time_t now = 1800000000;
	struct world *world = *state;
	struct sg_policy *policy = policy_of(world);
	struct capture capture;

	assert_int_equal(end_under(policy, now, now + 25 * HOUR, 0, &capture), now + 24 * HOUR);
	assert_int_equal(end_under(policy, now, now + 24 * HOUR, 0, &capture), now + 24 * HOUR);
	assert_string_equal(capture.text, "");
	assert_int_equal(end_under(policy, now, now + 23 * HOUR, 0, &capture), now + 23 * HOUR);
	assert_non_null(strstr(capture.text, "they end with it"));
	assert_int_equal(end_under(policy, now, now + 1, 0, &capture), now + 1);
	assert_string_equal(capture.text, ""); /* once */
	end_under(policy, now, now, SG_ERR_KEY_ABSENT, &capture);
	assert_non_null(strstr(capture.text, "has expired"));
	/* another certificate was put in its place, and ended in its turn */
	end_under(policy, now, now + 25 * HOUR, 0, &capture);
	end_under(policy, now, now + HOUR, 0, &capture);
	assert_non_null(strstr(capture.text, "they end with it"));
	sg_policy_free(policy);
	sg_policy_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(accounts_that_are_named, setup, teardown),
		cmocka_unit_test_setup_teardown(accounts_in_a_file, setup, teardown),
		cmocka_unit_test_setup_teardown(files_that_are_wrong, setup, teardown),
		cmocka_unit_test_setup_teardown(asking_too_often, setup, teardown),
		cmocka_unit_test_setup_teardown(the_kinds_are_named, setup, teardown),
		cmocka_unit_test_setup_teardown(nothing_outlives_its_ca, setup, teardown),
	};

	return cmocka_run_group_tests_name("authority_policy", tests, NULL, NULL);
}
