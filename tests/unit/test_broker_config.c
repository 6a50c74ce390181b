/* signet.conf: what it may say, what holds where it says nothing, and the folders of the agent. */
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

#include "agent/broker/config.h"
#include "buf.h"
#include "capture.h"

struct world {
	char dir[64];
	char path[96];
	struct sg_config config;
};

static int set_up(void **state)
{
	struct world *world = calloc(1, sizeof(*world));

	snprintf(world->dir, sizeof(world->dir), "/tmp/signet-config-XXXXXX");
	if (mkdtemp(world->dir) == NULL)
		return -1;
	snprintf(world->path, sizeof(world->path), "%s/signet.conf", world->dir);
	*state = world;
	return 0;
}

static int tear_down(void **state)
{
	struct world *world = *state;

	sg_config_clear(&world->config);
	unlink(world->path);
	rmdir(world->dir);
	free(world);
	return 0;
}

/* Gives what sg_config_read() gives for a file of this text; what it logs is not shown. */
static int read_text(struct world *world, const char *text)
{
	FILE *file = fopen(world->path, "w");
	struct capture capture;
	int err;

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
	sg_config_clear(&world->config);
	capture_begin(&capture);
	err = sg_config_read(&world->config, world->path);
	(void)capture_end(&capture);
	return err;
}

static void defaults(void **state)
{
	struct world *world = *state;

	assert_int_equal(read_text(world, ""), 0);
	assert_string_equal(world->config.pinentry, "/usr/bin/pinentry");
	assert_null(world->config.module_dirs);
	assert_int_equal(world->config.module_count, 1);
	assert_string_equal(world->config.modules[0].name, "system");
	assert_null(world->config.modules[0].path);
	assert_null(sg_config_pin_file(&world->config, "any", "any"));
}

static void settings(void **state)
{
	struct world *world = *state;
	const struct sg_config *config = &world->config;

	assert_int_equal(
	    read_text(world,
		"[agent]\npinentry = /usr/bin/other\nmodule-dirs = /a:/b\n"
		"[module card]\npath = /usr/lib/card.so\n[module all]\npath = system\n"),
	    0);
	assert_string_equal(config->pinentry, "/usr/bin/other");
	assert_string_equal(config->module_dirs, "/a:/b");
	assert_int_equal(config->module_count, 2);
	assert_string_equal(config->modules[0].name, "card");
	assert_string_equal(config->modules[0].path, "/usr/lib/card.so");
	assert_string_equal(config->modules[1].name, "all");
	assert_null(config->modules[1].path);
}

static void watching_is_a_switch(void **state)
{
	struct world *world = *state;

	assert_int_equal(read_text(world, ""), 0);
	assert_int_equal(world->config.no_watch, 0);
	assert_int_equal(read_text(world, "[agent]\nwatch = no\n"), 0);
	assert_int_equal(world->config.no_watch, 1);
	assert_int_equal(read_text(world, "[agent]\nwatch = no\nwatch = yes\n"), 0);
	assert_int_equal(world->config.no_watch, 0);
	assert_int_equal(read_text(world, "[agent]\nwatch = never\n"), SG_ERR_CONFIG);
}

static void renewal_is_a_switch_and_a_share(void **state)
{
	static const char *const bad[] = { "renew = never", "renew-at =", "renew-at = 0 %",
		"renew-at = 100 %", "renew-at = -1", "renew-at = 66 days", "renew-at = 6 6",
		"renew-at = % 66", "renew-at = 66 % %", "renew-at = 1000", "renew-at = two" };
	struct world *world = *state;
	char text[64];

	assert_int_equal(read_text(world, ""), 0);
	assert_int_equal(world->config.no_renew, 0);
	assert_int_equal(world->config.renew_at, 66);
	assert_int_equal(read_text(world, "[agent]\nrenew = no\nrenew-at = 50 %\n"), 0);
	assert_int_equal(world->config.no_renew, 1);
	assert_int_equal(world->config.renew_at, 50);
	assert_int_equal(read_text(world, "[agent]\nrenew-at = 1%\n"), 0);
	assert_int_equal(world->config.renew_at, 1);
	assert_int_equal(read_text(world, "[agent]\nrenew-at = 99\n"), 0);
	assert_int_equal(world->config.renew_at, 99);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(text, sizeof(text), "[agent]\n%s\n", bad[i]);
		assert_int_equal(read_text(world, text), SG_ERR_CONFIG);
	}
}

static void sha1_has_three_states(void **state)
{
	struct world *world = *state;

	assert_int_equal(read_text(world, ""), 0);
	assert_int_equal(world->config.sha1, SG_SHA1_ON);
	assert_string_equal(world->config.sha1cdsum, "/usr/bin/sha1cdsum");
	assert_int_equal(read_text(world, "[agent]\nsha1 = off\nsha1cdsum = /a/b\n"), 0);
	assert_int_equal(world->config.sha1, SG_SHA1_OFF);
	assert_string_equal(world->config.sha1cdsum, "/a/b");
	assert_int_equal(read_text(world, "[agent]\nsha1 = off\nsha1 = verify\n"), 0);
	assert_int_equal(world->config.sha1, SG_SHA1_VERIFY);
	assert_int_equal(read_text(world, "[agent]\nsha1 = on\n"), 0);
	assert_int_equal(world->config.sha1, SG_SHA1_ON);
	assert_int_equal(read_text(world, "[agent]\nsha1 = no\n"), SG_ERR_CONFIG);
	assert_int_equal(read_text(world, "[agent]\nsha1 =\n"), SG_ERR_CONFIG);
	assert_int_equal(read_text(world, "[agent]\nsha1cdsum = sha1cdsum\n"), SG_ERR_CONFIG);
}

static void the_last_of_two_counts(void **state)
{
	struct world *world = *state;
	const struct sg_config *config = &world->config;

	assert_int_equal(
	    read_text(world,
		"[agent]\npinentry = /first\n[module m]\npath = /first\n"
		"[token t]\npin-source = file:/first\n[token serial:1]\npin-source = file:/first\n"
		"[agent]\npinentry = /last\n[module m]\npath = /last\n"
		"[token t]\npin-source = file:/last\n[token serial:1]\npin-source = file:/last\n"),
	    0);
	assert_string_equal(config->pinentry, "/last");
	assert_int_equal(config->module_count, 1);
	assert_string_equal(config->modules[0].path, "/last");
	assert_string_equal(sg_config_pin_file(config, "t", NULL), "/last");
	assert_string_equal(sg_config_pin_file(config, NULL, "1"), "/last");
	assert_int_equal(config->token_count, 2);
	assert_int_equal(
	    read_text(world, "[module m]\npath = /first\n[module m]\npath = system\n"), 0);
	assert_null(config->modules[0].path);
}

static void pin_files(void **state)
{
	struct world *world = *state;
	const struct sg_config *config = &world->config;

	assert_int_equal(read_text(world,
			     "[token home]\npin-source = file:/by/label\n"
			     "[token serial:00ff]\npin-source = file:/by/serial\n"),
	    0);
	assert_string_equal(sg_config_pin_file(config, "home", "1"), "/by/label");
	assert_string_equal(sg_config_pin_file(config, "home", "00ff"), "/by/serial");
	assert_string_equal(sg_config_pin_file(config, NULL, "00ff"), "/by/serial");
	/* A label that looks like the name of a serial number is none. */
	assert_null(sg_config_pin_file(config, "serial:00ff", NULL));
	assert_null(sg_config_pin_file(config, "00ff", "home"));
}

static void modules(void **state)
{
	struct world *world = *state;
	const struct sg_config *config = &world->config;

	assert_int_equal(read_text(world,
			     "[agent]\ntouch-command = /usr/bin/tell\n"
			     "[module nss]\npath = /usr/lib/nss.so\ninit = configdir='sql:/x y'\n"
			     "timeout = 3600\n[module plain]\ntimeout = 1\n"),
	    0);
	assert_string_equal(config->touch_command, "/usr/bin/tell");
	assert_string_equal(config->modules[0].init, "configdir='sql:/x y'");
	assert_int_equal(config->modules[0].timeout, SG_CONFIG_TIMEOUT_MAX);
	assert_null(config->modules[1].path);
	assert_null(config->modules[1].init);
	assert_int_equal(config->modules[1].timeout, 1);
	assert_int_equal(read_text(world, ""), 0);
	assert_null(config->touch_command);
	assert_int_equal(config->modules[0].timeout, 60);
}

static void is_policy(const struct sg_config *config, const char *label, const char *serial,
    enum sg_remember remember, int minutes, uint32_t pin_tries)
{
	struct sg_pin_policy policy = sg_config_pin_policy(config, label, serial);

	assert_int_equal(policy.remember, remember);
	assert_int_equal(policy.minutes, minutes);
	assert_int_equal(policy.pin_tries, pin_tries);
}

static void policies(void **state)
{
	struct world *world = *state;
	const struct sg_config *config = &world->config;

	assert_int_equal(
	    read_text(world,
		"[token a]\nremember = always\n[token b]\nremember = minutes 10080\n"
		"[token c]\nremember = idle  1\n[token d]\nremember = lock\n"
		"[token e]\nremember = removal\npin-tries = 0\n"
		"[token serial:1]\npin-tries = 255\n[token serial:2]\nremember = idle 5\n"
		"[token serial:3]\npin-source = file:/pin\n[token f]\npin-tries = 8\n"),
	    0);
	is_policy(config, "a", "0", SG_REMEMBER_ALWAYS, 0, 3);
	is_policy(config, "b", NULL, SG_REMEMBER_MINUTES, 10080, 3);
	is_policy(config, "c", "0", SG_REMEMBER_IDLE, 1, 3);
	is_policy(config, "d", "0", SG_REMEMBER_LOCK, 0, 3);
	is_policy(config, "e", "0", SG_REMEMBER_REMOVAL, 0, 0);
	is_policy(config, "none", "0", SG_REMEMBER_REMOVAL, 0, 3);
	/* Each setting for itself: of the serial number, or else of the label. */
	is_policy(config, "b", "1", SG_REMEMBER_MINUTES, 10080, 255);
	is_policy(config, "f", "2", SG_REMEMBER_IDLE, 5, 8);
	assert_string_equal(sg_config_pin_file(config, "f", "3"), "/pin");
	is_policy(config, "f", "3", SG_REMEMBER_REMOVAL, 0, 8);
}

static void what_is_refused(void **state)
{
	static const char *const texts[] = {
		"pinentry = /usr/bin/pinentry\n",
		"[agent]\nunknown = 1\n",
		"[agent]\npinentry = pinentry\n",
		"[agent]\nmodule-dirs = lib\n",
		"[other]\npinentry = /usr/bin/pinentry\n",
		"[module]\npath = /usr/lib/card.so\n",
		"[module card]\npath = card.so\n",
		"[module card]\nname = card\n",
		"[modulecard]\npath = /usr/lib/card.so\n",
		"[token]\npin-source = file:/pin\n",
		"[token home]\npin-source = /pin\n",
		"[token home]\npin-source = file:pin\n",
		"[token home]\npin-source = |program\n",
		"[token home]\npin = 1234\n",
		"[agent]\ntouch-command = notify-send\n",
		"[module card]\ntimeout = 0\n",
		"[module card]\ntimeout = 3601\n",
		"[module card]\ntimeout = 1s\n",
		"[module card]\ntimeout = 99999999999999999999\n",
		"[module card]\ninit =\n",
		"[token home]\nremember = for ever\n",
		"[token home]\nremember = minutes\n",
		"[token home]\nremember = minutes 0\n",
		"[token home]\nremember = idle 10081\n",
		"[token home]\nremember = lock 5\n",
		"[token home]\nremember =\n",
		"[token home]\npin-tries = -1\n",
		"[token home]\npin-tries = 256\n",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(read_text(*state, texts[i]), SG_ERR_CONFIG);
}

/* So many sections of a kind, each with its own name and this one setting. */
static int read_many(struct world *world, const char *kind, const char *setting, int count)
{
	struct sg_buf text = { 0 };
	char *whole;
	int err;

	for (int i = 0; i < count; i++)
		sg_buf_printf(&text, "[%s%d]\n%s\n", kind, i, setting);
	whole = sg_buf_steal(&text, NULL);
	assert_non_null(whole);
	err = read_text(world, whole);
	free(whole);
	return err;
}

static void so_many_and_no_more(void **state)
{
	static const char *const kinds[][2] = {
		{ "module m", "path = /m" },
		{ "token t", "pin-source = file:/pin" },
		{ "token serial:", "pin-source = file:/pin" },
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		const char *const *kind = kinds[i];

		assert_int_equal(read_many(*state, kind[0], kind[1], SG_CONFIG_ITEMS_MAX), 0);
		assert_int_equal(
		    read_many(*state, kind[0], kind[1], SG_CONFIG_ITEMS_MAX + 1), SG_ERR_CONFIG);
	}
}

static void a_folder_of_our_own(void **state)
{
	struct world *world = *state;
	struct capture capture;
	struct stat st;
	char parent[80];
	char folder[96];

	snprintf(parent, sizeof(parent), "%s/new", world->dir);
	snprintf(folder, sizeof(folder), "%s/folder", parent);
	assert_int_equal(sg_config_private_folder(folder), 0);
	assert_int_equal(sg_config_private_folder(folder), 0);
	assert_int_equal(stat(folder, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(chmod(folder, 0750), 0);
	capture_begin(&capture);
	assert_int_equal(sg_config_private_folder(folder), SG_ERR_DENIED);
	assert_int_equal(rmdir(folder), 0);
	assert_int_equal(symlink(world->dir, folder), 0);
	assert_int_equal(sg_config_private_folder(folder), SG_ERR_DENIED);
	(void)capture_end(&capture);
	assert_int_equal(unlink(folder), 0);
	assert_int_equal(rmdir(parent), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(defaults, set_up, tear_down),
		cmocka_unit_test_setup_teardown(settings, set_up, tear_down),
		cmocka_unit_test_setup_teardown(watching_is_a_switch, set_up, tear_down),
		cmocka_unit_test_setup_teardown(renewal_is_a_switch_and_a_share, set_up, tear_down),
		cmocka_unit_test_setup_teardown(sha1_has_three_states, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_last_of_two_counts, set_up, tear_down),
		cmocka_unit_test_setup_teardown(pin_files, set_up, tear_down),
		cmocka_unit_test_setup_teardown(modules, set_up, tear_down),
		cmocka_unit_test_setup_teardown(policies, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(so_many_and_no_more, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_folder_of_our_own, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
