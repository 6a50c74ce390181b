#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"

static int start(void **state)
{
	struct sg_cli *cli = calloc(1, sizeof(*cli));

	sg_secret_args_init(&cli->secrets);
	cli->args.value[SG_OPT_BATCH] = "";
	*state = cli;
	return 0;
}

static int end(void **state)
{
	sg_cli_clear(*state);
	free(*state);
	return 0;
}

static void names_lose_their_query(void **state)
{
	struct sg_cli *cli = *state;
	char *name;

	assert_int_equal(sg_secret_args_name(cli, "client", &name), 0);
	assert_string_equal(name, "client");
	free(name);
	/* A label is no URI, whatever stands in it. */
	assert_int_equal(sg_secret_args_name(cli, "what?pin-value=1234", &name), 0);
	assert_string_equal(name, "what?pin-value=1234");
	free(name);
	assert_int_equal(sg_secret_args_name(cli, "pkcs11:token=a;object=b", &name), 0);
	assert_string_equal(name, "pkcs11:token=a;object=b");
	free(name);
	assert_int_equal(
	    sg_secret_args_name(cli, "pkcs11:token=a?module-path=/tmp/evil.so", &name), 0);
	assert_string_equal(name, "pkcs11:token=a");
	free(name);
	assert_null(cli->secrets.pin.path);
}

static void pin_source_is_taken(void **state)
{
	struct sg_cli *cli = *state;
	char *name;

	assert_int_equal(sg_secret_args_name(cli,
			     "PKCS11:token=a?module-name=x&pin-source=file:/run/my%20pin", &name),
	    0);
	assert_string_equal(name, "PKCS11:token=a");
	assert_string_equal(cli->secrets.pin.path, "/run/my pin");
	free(name);
	/* There is one PIN, and so one source. */
	assert_int_equal(
	    sg_secret_args_name(cli, "pkcs11:token=a?pin-source=file:/other", &name), SG_ERR_ARG);
	assert_null(name);
}

static void pin_source_has_two_forms(void **state)
{
	struct sg_cli *cli = *state;
	char *name;

	assert_int_equal(sg_secret_args_name(cli, "pkcs11:?pin-source=file:///etc/pin", &name), 0);
	assert_string_equal(cli->secrets.pin.path, "/etc/pin");
	free(name);
}

static void pins_and_programs_in_a_uri_are_refused(void **state)
{
	static const char *const wrong[] = {
		"pkcs11:token=a?pin-value=1234",
		"pkcs11:token=a?pin-value",
		"pkcs11:token=a?module-name=x&pin-value=1234",
		"pkcs11:token=a?pin-source=|/bin/sh",
		"pkcs11:token=a?pin-source=%7c/bin/sh",
		"pkcs11:token=a?pin-source=/etc/pin",
		"pkcs11:token=a?pin-source=file:relative",
		"pkcs11:token=a?pin-source=file://elsewhere/etc/pin",
		"pkcs11:token=a?pin-source=file:/a%00b",
		"pkcs11:token=a?pin-source=file:/a%zz",
		"pkcs11:token=a?pin-source=file:/a%4",
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct sg_cli *cli = *state;
		char *name;

		assert_int_equal(sg_secret_args_name(cli, wrong[i], &name), SG_ERR_ARG);
		assert_null(name);
		assert_null(cli->secrets.pin.path);
		/* The PIN must not come back in the message. */
		assert_null(
		    strstr(json_string_value(json_object_get(cli->error, "message")), "1234"));
		sg_cli_forget(cli);
	}
}

/* Gives the outcome of passing on this file as the PIN's. */
static int pass_file(struct sg_cli *cli, const char *path, struct sg_call_fds *fds)
{
	json_t *parameters = json_object();
	int err;

	fds->count = 0;
	sg_cli_forget(cli);
	free(cli->secrets.pin.path);
	cli->secrets.pin.path = strdup(path);
	err = sg_secret_args_pin(cli, parameters, fds);
	if (err == 0) {
		json_t *fd = json_object_get(json_object_get(parameters, "pin"), "fd");

		assert_int_equal(json_integer_value(fd), 0);
		assert_int_equal(fds->count, 1);
	}
	json_decref(parameters);
	return err;
}

static void only_private_files_are_passed_on(void **state)
{
	struct sg_cli *cli = *state;
	char folder[] = "/tmp/signet-test-XXXXXX", path[64], text[8] = "";
	static const mode_t open_modes[] = { 0644, 0640, 0604, 0660, 0620 };
	struct sg_call_fds fds = { .count = 0 };
	int fd;

	assert_non_null(mkdtemp(folder));
	(void)snprintf(path, sizeof(path), "%s/pin", folder);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, "1234", 4), 4);
	assert_int_equal(pass_file(cli, path, &fds), 0);
	assert_int_equal(read(fds.fds[0], text, sizeof(text)), 4);
	assert_string_equal(text, "1234");
	sg_call_fds_close(&fds);
	assert_int_equal(fchmod(fd, 0400), 0);
	assert_int_equal(pass_file(cli, path, &fds), 0);
	sg_call_fds_close(&fds);
	for (size_t i = 0; i < sizeof(open_modes) / sizeof(open_modes[0]); i++) {
		assert_int_equal(fchmod(fd, open_modes[i]), 0);
		assert_int_equal(pass_file(cli, path, &fds), SG_ERR_DENIED);
		assert_int_equal(fds.count, 0);
	}
	assert_int_equal(pass_file(cli, folder, &fds), SG_ERR_ARG);
	assert_int_equal(pass_file(cli, "/dev/null", &fds), SG_ERR_ARG);
	close(fd);
	unlink(path);
	assert_int_equal(pass_file(cli, path, &fds), SG_ERR_ARG);
	rmdir(folder);
}

static void descriptors_are_checked_and_read_again(void **state)
{
	struct sg_cli *cli = *state;
	json_t *parameters = json_object();
	struct sg_call_fds fds = { .count = 0 };
	char number[16], text[8];
	int fd = memfd_create("pin", MFD_CLOEXEC);

	assert_int_equal(write(fd, "xx1234", 6), 6);
	assert_int_equal(lseek(fd, 2, SEEK_SET), 2);
	(void)snprintf(number, sizeof(number), "%d", fd);
	cli->args.value[SG_OPT_PIN_FD] = number;
	assert_int_equal(sg_secret_args_take(cli), 0);
	for (int i = 0; i < 2; i++) {
		memset(text, 0, sizeof(text));
		assert_int_equal(sg_secret_args_pin(cli, parameters, &fds), 0);
		assert_int_equal(read(fds.fds[0], text, sizeof(text)), 4);
		assert_string_equal(text, "1234");
		sg_call_fds_close(&fds);
	}
	json_decref(parameters);

	/* The PIN and the password would steal each other's bytes. */
	cli->args.value[SG_OPT_PASSWORD_FD] = number;
	assert_int_equal(sg_secret_args_take(cli), SG_ERR_ARG);
	close(fd);
	sg_cli_forget(cli);
	cli->args.value[SG_OPT_PASSWORD_FD] = NULL;
	assert_int_equal(sg_secret_args_take(cli), SG_ERR_ARG);
	sg_cli_forget(cli);
	cli->args.value[SG_OPT_PIN_FD] = "one";
	assert_int_equal(sg_secret_args_take(cli), SG_ERR_ARG);
}

static void two_sources_are_refused(void **state)
{
	struct sg_cli *cli = *state;

	cli->args.value[SG_OPT_PIN_FD] = "0";
	cli->args.value[SG_OPT_PIN_FILE] = "/some/file";
	assert_int_equal(sg_secret_args_take(cli), SG_ERR_ARG);
}

static void pinentry_only_where_a_person_may_be(void **state)
{
	struct sg_cli *cli = *state;
	struct sg_call_fds fds = { .count = 0 };
	json_t *parameters = json_object(), *pinentry;

	setenv("GPG_TTY", "/dev/pts/77", 1);
	setenv("TERM", "xterm", 1);
	setenv("LC_ALL", "", 1);
	setenv("LC_CTYPE", "C.UTF-8", 1);
	setenv("DISPLAY", ":7", 1);
	assert_int_equal(sg_secret_args_pin(cli, parameters, &fds), 0);
	assert_null(json_object_get(parameters, "pin"));
	cli->args.value[SG_OPT_BATCH] = NULL;
	assert_int_equal(sg_secret_args_pin(cli, parameters, &fds), 0);
	assert_int_equal(fds.count, 0);
	pinentry = json_object_get(json_object_get(parameters, "pin"), "pinentry");
	assert_string_equal(json_string_value(json_object_get(pinentry, "ttyname")), "/dev/pts/77");
	assert_string_equal(json_string_value(json_object_get(pinentry, "ttytype")), "xterm");
	assert_string_equal(json_string_value(json_object_get(pinentry, "display")), ":7");
	assert_string_equal(json_string_value(json_object_get(pinentry, "lc_ctype")), "C.UTF-8");
	json_decref(parameters);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(names_lose_their_query, start, end),
		cmocka_unit_test_setup_teardown(pin_source_is_taken, start, end),
		cmocka_unit_test_setup_teardown(pin_source_has_two_forms, start, end),
		cmocka_unit_test_setup_teardown(pins_and_programs_in_a_uri_are_refused, start, end),
		cmocka_unit_test_setup_teardown(only_private_files_are_passed_on, start, end),
		cmocka_unit_test_setup_teardown(descriptors_are_checked_and_read_again, start, end),
		cmocka_unit_test_setup_teardown(two_sources_are_refused, start, end),
		cmocka_unit_test_setup_teardown(pinentry_only_where_a_person_may_be, start, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
