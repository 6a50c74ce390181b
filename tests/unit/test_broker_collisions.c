/* Looking for SHA-1 collisions: the published ones, by the real sha1cdsum; and programs that are
 * none, fail, hang or lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/sha.h>

#include "agent/broker/collisions.h"
#include "agent/broker/reaper.h"
#include "clock.h"
#include "text.h"

#define SHA1CDSUM "/usr/bin/sha1cdsum"
#define MANY	  (2 * SG_COLLISIONS_RUNNING_MAX)

struct world {
	char dir[64];
	char program[96];
	struct event_base *base;
	struct sg_reaper *reaper;
	struct sg_collisions *collisions;
};

struct outcome {
	int calls;
	enum sg_collision collision;
	char why[256];
};

static int set_up(void **state)
{
	struct world *world = calloc(1, sizeof(*world));

	snprintf(world->dir, sizeof(world->dir), "/tmp/signet-collisions-XXXXXX");
	if (mkdtemp(world->dir) == NULL)
		return -1;
	snprintf(world->program, sizeof(world->program), "%s/program", world->dir);
	world->base = event_base_new();
	*state = world;
	return sg_reaper_new(world->base, &world->reaper);
}

static int tear_down(void **state)
{
	struct world *world = *state;

	sg_collisions_free(world->collisions);
	sg_reaper_drain(world->reaper);
	sg_reaper_free(world->reaper);
	event_base_free(world->base);
	unlink(world->program);
	rmdir(world->dir);
	free(world);
	return 0;
}

static void use(struct world *world, const char *program)
{
	sg_collisions_free(world->collisions);
	assert_int_equal(
	    sg_collisions_new(world->base, world->reaper, program, &world->collisions), 0);
}

/* A shell script in the place of sha1cdsum. */
static void use_script(struct world *world, const char *script)
{
	FILE *file = fopen(world->program, "w");

	assert_non_null(file);
	assert_true(fprintf(file, "#!/bin/sh\n%s\n", script) > 0);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(world->program, 0700), 0);
	use(world, world->program);
}

static struct sg_blob vector(const char *name)
{
	struct sg_blob blob = { malloc(1024), 0 };
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "tests/unit/vectors/%s", name);
	file = fopen(path, "r");
	assert_non_null(file);
	blob.len = fread(blob.data, 1, 1024, file);
	assert_int_equal(fclose(file), 0);
	return blob;
}

static void on_outcome(void *arg, enum sg_collision collision, const char *why)
{
	struct outcome *outcome = arg;

	outcome->calls++;
	outcome->collision = collision;
	snprintf(outcome->why, sizeof(outcome->why), "%s", why != NULL ? why : "");
}

static void ask(struct world *world, const void *data, size_t len, struct outcome *outcome)
{
	struct sg_blob bytes = { malloc(len + 1), len };
	unsigned char sha256[SHA256_DIGEST_LENGTH];

	memcpy(bytes.data, data, len);
	SHA256(bytes.data, len, sha256);
	*outcome = (struct outcome){ .calls = 0 };
	sg_collisions_look(world->collisions, &bytes, sha256, on_outcome, outcome);
	sg_blob_clear(&bytes); /* they are not needed any more */
}

static void wait_for(struct world *world, const struct outcome *outcome)
{
	while (outcome->calls == 0)
		assert_int_equal(event_base_loop(world->base, EVLOOP_ONCE), 0);
	assert_int_equal(outcome->calls, 1);
}

static struct outcome look(struct world *world, const void *data, size_t len)
{
	struct outcome outcome;

	ask(world, data, len, &outcome);
	wait_for(world, &outcome);
	return outcome;
}

/* ---- the real program ---- */

static void the_published_collisions_are_found(void **state)
{
	static const struct {
		const char *name;
		size_t len;
		const char *sha1;
	} vectors[] = {
		{ "shattered-1.bin", 320, "f92d74e3874587aaf443d1db961d4e26dde13e9c" },
		{ "shattered-2.bin", 320, "f92d74e3874587aaf443d1db961d4e26dde13e9c" },
		{ "shambles-1.bin", 640, "8ac60ba76f1999a1ab70223f225aefdc78d4ddc0" },
		{ "shambles-2.bin", 640, "8ac60ba76f1999a1ab70223f225aefdc78d4ddc0" },
	};
	struct world *world = *state;

	use(world, SHA1CDSUM);
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		struct sg_blob bytes = vector(vectors[i].name);
		unsigned char hash[SHA_DIGEST_LENGTH];
		char *hex;

		assert_int_equal(bytes.len, vectors[i].len);
		SHA1(bytes.data, bytes.len, hash);
		hex = sg_hex_encode(hash, sizeof(hash));
		assert_string_equal(hex, vectors[i].sha1);
		free(hex);
		assert_int_equal(look(world, bytes.data, bytes.len).collision, SG_COLLISION_FOUND);
		/* whatever follows; and one bit less is none */
		bytes.data = realloc(bytes.data, 1024);
		memset(bytes.data + bytes.len, 0x55, 1024 - bytes.len);
		assert_int_equal(look(world, bytes.data, 1024).collision, SG_COLLISION_FOUND);
		bytes.data[bytes.len - 1] ^= 1;
		assert_int_equal(look(world, bytes.data, 1024).collision, SG_COLLISION_NONE);
		sg_blob_clear(&bytes);
	}
}

static void what_is_clean_is_clean_at_any_length(void **state)
{
	struct world *world = *state;
	unsigned char *bytes = calloc(1, 200000);
	static const size_t lengths[] = { 0, 1, 20, 55, 56, 64, 1000, 65536, 200000 };

	use(world, SHA1CDSUM);
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
		assert_int_equal(look(world, bytes, lengths[i]).collision, SG_COLLISION_NONE);
	free(bytes);
}

static void the_same_bytes_are_looked_at_once(void **state)
{
	struct world *world = *state;
	struct sg_blob hit = vector("shattered-1.bin");
	struct outcome many[5];

	use(world, SHA1CDSUM);
	for (size_t i = 0; i < 5; i++)
		ask(world, "a", 1, &many[i]);
	for (size_t i = 0; i < 5; i++) {
		wait_for(world, &many[i]);
		assert_int_equal(many[i].collision, SG_COLLISION_NONE);
	}
	assert_int_equal(sg_collisions_runs(world->collisions), 1);
	assert_int_equal(look(world, hit.data, hit.len).collision, SG_COLLISION_FOUND);
	assert_int_equal(sg_collisions_runs(world->collisions), 2);
	for (size_t i = 0; i < 5; i++) {
		ask(world, i % 2 ? (const void *)"a" : hit.data, i % 2 ? 1 : hit.len, &many[i]);
		assert_int_equal(many[i].calls, 1); /* at once */
		assert_int_equal(many[i].collision, i % 2 ? SG_COLLISION_NONE : SG_COLLISION_FOUND);
	}
	assert_int_equal(sg_collisions_runs(world->collisions), 2);
	sg_blob_clear(&hit);
}

static void only_so_many_outcomes_are_remembered(void **state)
{
	struct world *world = *state;

	use(world, SHA1CDSUM);
	for (unsigned char i = 0; i < SG_COLLISIONS_KNOWN_MAX; i++)
		assert_int_equal(look(world, &i, 1).collision, SG_COLLISION_NONE);
	assert_int_equal(look(world, "\0", 1).collision, SG_COLLISION_NONE);
	assert_int_equal(sg_collisions_runs(world->collisions), SG_COLLISIONS_KNOWN_MAX);
	assert_int_equal(look(world, "\xff", 1).collision, SG_COLLISION_NONE);
	assert_int_equal(look(world, "\0", 1).collision, SG_COLLISION_NONE);
	assert_int_equal(sg_collisions_runs(world->collisions), SG_COLLISIONS_KNOWN_MAX + 2);
	assert_int_equal(look(world, "\x02", 1).collision, SG_COLLISION_NONE);
	assert_int_equal(sg_collisions_runs(world->collisions), SG_COLLISIONS_KNOWN_MAX + 2);
}

/* ---- others in its place ---- */

static void any_doubt_is_none_the_less_said(void **state)
{
	static const struct {
		const char *script, *why;
	} scripts[] = {
		/* the SHA-1 of "abc" */
		{ "exit 0", "does not answer" },
		{ "echo a9993e364706816aba3e25717850c26c9cd0d89d", "does not answer" },
		{ "echo 'a9993e364706816aba3e25717850c26c9cd0d89d -'", "does not answer" },
		{ "printf 'a9993e364706816aba3e25717850c26c9cd0d89d  -'", "does not answer" },
		{ "echo 'A9993E364706816ABA3E25717850C26C9CD0D89D  -'", "does not answer" },
		{ "echo 'a9993e364706816aba3e25717850c26c9cd0d89e  -'", "does not answer" },
		{ "echo 'a9993e364706816aba3e25717850c26c9cd0d89d  -'; echo x", "does not answer" },
		{ "echo 'a9993e364706816aba3e25717850c26c9cd0d89d *-'", "does not answer" },
		{ "echo 'a9993e364706816aba3e25717850c26c9cd0d89d *coll* x'", "does not answer" },
		{ "echo '*coll*'", "does not answer" },
		{ "printf 'a9993e364706816aba3e25717850c26c9cd0d89d  -\\n\\000'",
		    "does not answer" },
		{ "head -c 1000 /dev/zero", "does not answer" },
		{ "printf x | sha1sum", "does not answer" }, /* of other bytes */
		{ "echo 'a9993e364706816aba3e25717850c26c9cd0d89d  -'; exit 1",
		    "failed with status 1" },
		{ "echo 'a9993e364706816aba3e25717850c26c9cd0d89d  -'; kill -9 $$",
		    "was ended by signal 9" },
		{ "kill -SEGV $$", "was ended by signal 11" },
		{ "exec /nonexistent", "failed with status 127" },
	};
	struct world *world = *state;
	struct outcome outcome;

	for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) {
		use_script(world, scripts[i].script);
		for (int again = 0; again < 2; again++) { /* it is not remembered */
			outcome = look(world, "abc", 3);
			if (outcome.collision != SG_COLLISION_UNCHECKED ||
			    strstr(outcome.why, scripts[i].why) == NULL ||
			    strstr(outcome.why, world->program) == NULL)
				fail_msg("%s: %d, %s", scripts[i].script, outcome.collision,
				    outcome.why);
		}
		assert_int_equal(sg_collisions_runs(world->collisions), 2);
	}
	/* ... and these are good */
	use_script(world, "sha1sum");
	assert_int_equal(look(world, "abc", 3).collision, SG_COLLISION_NONE);
	use_script(world, "echo '0000000000000000000000000000000000000000 *coll* -'");
	assert_int_equal(look(world, "abc", 3).collision, SG_COLLISION_FOUND);
}

static void a_program_that_is_missing_is_said(void **state)
{
	struct world *world = *state;
	struct outcome outcome;

	use(world, "/nonexistent/sha1cdsum");
	ask(world, "abc", 3, &outcome);
	assert_int_equal(outcome.calls, 1);
	assert_int_equal(outcome.collision, SG_COLLISION_UNCHECKED);
	assert_string_equal(
	    outcome.why, "/nonexistent/sha1cdsum cannot be run: No such file or directory");
	assert_int_equal(sg_collisions_runs(world->collisions), 0);
	use_script(world, "exit 0");
	assert_int_equal(chmod(world->program, 0600), 0);
	ask(world, "abc", 3, &outcome);
	assert_int_equal(outcome.collision, SG_COLLISION_UNCHECKED);
	assert_non_null(strstr(outcome.why, "cannot be run: Permission denied"));
}

/* It reads nothing, says too much for a pipe, and nobody waits for it but its callers. */
static void one_that_hangs_is_killed(void **state)
{
	struct world *world = *state;
	struct outcome first, second;
	int64_t begin = sg_clock_ms();

	use_script(world, "exec cat /dev/zero");
	ask(world, "abc", 3, &first);
	ask(world, "abc", 3, &second);
	assert_true(sg_clock_ms() - begin < SG_COLLISIONS_MS); /* neither has waited for it */
	assert_int_equal(first.calls, 0);
	wait_for(world, &first);
	wait_for(world, &second);
	assert_int_equal(first.collision, SG_COLLISION_UNCHECKED);
	assert_non_null(strstr(first.why, "gave no answer within 5 s"));
	assert_int_equal(second.collision, SG_COLLISION_UNCHECKED);
	assert_true(sg_clock_ms() - begin >= SG_COLLISIONS_MS - 100);
	assert_int_equal(sg_collisions_runs(world->collisions), 1);
	sg_reaper_drain(world->reaper);
}

static void only_so_many_run_and_a_stop_ends_them(void **state)
{
	struct world *world = *state;
	struct outcome outcomes[MANY], late;
	int refused = 0;

	use_script(world, "exec sleep 600");
	for (unsigned char i = 0; i < MANY; i++)
		ask(world, &i, 1, &outcomes[i]);
	assert_int_equal(sg_collisions_runs(world->collisions), SG_COLLISIONS_RUNNING_MAX);
	for (size_t i = 0; i < MANY; i++)
		refused += outcomes[i].calls;
	assert_int_equal(refused, MANY - SG_COLLISIONS_RUNNING_MAX);
	sg_collisions_stop(world->collisions);
	for (size_t i = 0; i < MANY; i++) {
		assert_int_equal(outcomes[i].calls, 1);
		assert_int_equal(outcomes[i].collision, SG_COLLISION_UNCHECKED);
	}
	ask(world, "abc", 3, &late);
	assert_int_equal(late.calls, 1);
	assert_string_equal(late.why, "signetd ends");
	sg_reaper_drain(world->reaper); /* they are dead */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_published_collisions_are_found),
		TEST(what_is_clean_is_clean_at_any_length),
		TEST(the_same_bytes_are_looked_at_once),
		TEST(only_so_many_outcomes_are_remembered),
		TEST(any_doubt_is_none_the_less_said),
		TEST(a_program_that_is_missing_is_said),
		TEST(one_that_hangs_is_killed),
		TEST(only_so_many_run_and_a_stop_ends_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
