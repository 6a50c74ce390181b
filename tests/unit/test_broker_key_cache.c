/* What is remembered of keys, and for how long; the worker is played here. */
#include "key_cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* In place of worker.c and find.c: a process that a test ends and starts. */
struct sg_worker {
	pid_t pid;
	unsigned starts;
};

void sg_worker_look(struct sg_worker *worker)
{
}

pid_t sg_worker_pid(const struct sg_worker *worker)
{
	return worker->pid;
}

unsigned sg_worker_starts(const struct sg_worker *worker)
{
	return worker->starts;
}

const struct sg_key_info *sg_key_ref_info(const struct sg_key_ref *key)
{
	return &key->objects.keys[0];
}

static struct sg_worker workers[2];
static struct sg_module modules[2] = { { .name = "one", .worker = &workers[0] },
	{ .name = "two", .worker = &workers[1] } };

static int set_up(void **state)
{
	struct sg_key_cache *cache;

	for (size_t i = 0; i < 2; i++)
		workers[i] = (struct sg_worker){ .pid = 1, .starts = 1 };
	if (sg_key_cache_new(&cache) != 0)
		return -1;
	*state = cache;
	return 0;
}

static int tear_down(void **state)
{
	sg_key_cache_free(*state);
	return 0;
}

static void put(struct sg_key_cache *cache, struct sg_module *module, const char *selector,
    const char *uri, uint32_t abilities)
{
	char *own = strdup(uri);
	struct sg_key_info info = { .uri = own, .abilities = abilities };
	struct sg_key_ref key = { .module = module,
		.objects = { .keys = &info, .key_count = 1 },
		.spki_sha256 = "key",
		.spki_sha256_len = 3 };

	assert_non_null(own);
	sg_key_cache_put(cache, selector, &key);
	free(own);
}

/* Whether the selector is remembered, as this URI. */
static int has(struct sg_key_cache *cache, const char *selector, const char *uri)
{
	struct sg_key_ref key;
	int got = sg_key_cache_get(cache, selector, &key);

	if (got) {
		assert_string_equal(sg_key_ref_info(&key)->uri, uri);
		assert_int_equal(key.spki_sha256_len, 3);
		assert_memory_equal(key.spki_sha256, "key", 3);
	} else {
		assert_null(key.objects.keys);
	}
	sg_msg_clear(SG_MSG_OBJECTS, &key.objects);
	return got;
}

static void by_selector_and_uri(void **state)
{
	assert_false(has(*state, "label", ""));
	put(*state, &modules[0], "label", "pkcs11:object=label", SG_KEY_PRIVATE_SEEN);
	assert_true(has(*state, "label", "pkcs11:object=label"));
	assert_true(has(*state, "pkcs11:object=label", "pkcs11:object=label"));
	assert_false(has(*state, "labe", ""));
	put(*state, &modules[0], "label", "pkcs11:object=other", SG_KEY_PRIVATE_SEEN);
	assert_true(has(*state, "label", "pkcs11:object=other"));
}

static void not_of_a_locked_token(void **state)
{
	put(*state, &modules[0], "label", "pkcs11:object=label", SG_KEY_ECDSA);
	assert_false(has(*state, "label", ""));
	assert_false(has(*state, "pkcs11:object=label", ""));
}

static void as_long_as_the_process(void **state)
{
	put(*state, &modules[0], "one", "pkcs11:object=one", SG_KEY_PRIVATE_SEEN);
	put(*state, &modules[1], "two", "pkcs11:object=two", SG_KEY_PRIVATE_SEEN);
	workers[0].starts++;
	assert_false(has(*state, "one", ""));
	assert_true(has(*state, "two", "pkcs11:object=two"));
	workers[1].pid = 0;
	assert_false(has(*state, "two", ""));
}

static void forgotten_by_module(void **state)
{
	put(*state, &modules[0], "one", "pkcs11:object=one", SG_KEY_PRIVATE_SEEN);
	put(*state, &modules[1], "two", "pkcs11:object=two", SG_KEY_PRIVATE_SEEN);
	sg_key_cache_flush(*state, &modules[0]);
	assert_false(has(*state, "one", ""));
	assert_true(has(*state, "two", "pkcs11:object=two"));
	sg_key_cache_flush(*state, NULL);
	assert_false(has(*state, "two", ""));
}

/* A client that names more keys than that costs searches, and no more memory. */
static void the_oldest_goes(void **state)
{
	char uri[64];

	for (unsigned i = 0; i <= SG_KEY_CACHE_MAX; i++) {
		snprintf(uri, sizeof(uri), "pkcs11:object=%u", i);
		put(*state, &modules[0], uri, uri, SG_KEY_PRIVATE_SEEN);
	}
	assert_false(has(*state, "pkcs11:object=0", ""));
	for (unsigned i = 1; i <= SG_KEY_CACHE_MAX; i++) {
		snprintf(uri, sizeof(uri), "pkcs11:object=%u", i);
		assert_true(has(*state, uri, uri));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(by_selector_and_uri, set_up, tear_down),
		cmocka_unit_test_setup_teardown(not_of_a_locked_token, set_up, tear_down),
		cmocka_unit_test_setup_teardown(as_long_as_the_process, set_up, tear_down),
		cmocka_unit_test_setup_teardown(forgotten_by_module, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_oldest_goes, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
