/*
 * signet-token on real SoftHSM: the tokens, the modules, and how the process begins and ends.
 */
#include "token_world.h"

#include <time.h>

#include "token_memory.h"
#include "worker.h"

/* ---- tokens ---- */

static void test_token_list(void **state)
{
	const struct sg_msg_empty msg = { 0 };
	const struct sg_msg_tokens *tokens;
	struct sg_frame answer;
	size_t i, blank = 0, named = 0;

	ask(&worker, SG_MSG_TOKEN_LIST, &msg, SG_MSG_TOKENS, &answer);
	tokens = answer.msg;
	for (i = 0; i < tokens->token_count; i++) {
		const struct sg_token_info *token = &tokens->tokens[i];

		if (!(token->flags & SG_TOKEN_INITIALIZED)) {
			blank++;
			continue;
		}
		named++;
		assert_true(token->flags & SG_TOKEN_LOGIN_REQUIRED);
		assert_true(token->flags & SG_TOKEN_PIN_SET);
		assert_false(token->flags & SG_TOKEN_UNLOCKED);
		assert_ptr_equal(strstr(token->uri, "pkcs11:"), token->uri);
		assert_non_null(strstr(token->uri, token->serial));
		assert_true(token->mechanism_count > 10);
	}
	assert_int_equal(named, 2);
	assert_int_equal(blank, 1);
	sg_frame_clear(&answer);
}

static void expect_login_error(char *token, int code)
{
	struct sg_msg_token_login msg = { .token = token };
	int fd = pipe_of(WORLD_PIN);

	ask_error(&worker, SG_MSG_TOKEN_LOGIN, &msg, fd, code);
	close(fd);
}

static void test_token_selectors(void **state)
{
	struct sg_msg_token_ref two = { .token = TEXT("pkcs11:manufacturer=SoftHSM%20project") };
	struct sg_msg_token_ref one = { .token = TEXT("pkcs11:token=beta") };
	const struct sg_msg_error *error;
	struct sg_frame answer;

	expect_login_error(TEXT("gamma"), SG_ERR_TOKEN_ABSENT);
	expect_login_error(TEXT("alph"), SG_ERR_TOKEN_ABSENT);
	expect_login_error(TEXT("pkcs11:token=alpha;token=beta"), SG_ERR_ARG);
	expect_login_error(TEXT("pkcs11:token=%zz"), SG_ERR_ARG);
	expect_login_error(TEXT("pkcs11:token=alpha?module-path=/tmp/evil.so"), SG_ERR_ARG);
	expect_login_error(TEXT("pkcs11:token=alpha;x-future=1"), SG_ERR_ARG);
	expect_login_error(
	    TEXT("pkcs11:token=alpha;library-description=Other"), SG_ERR_TOKEN_ABSENT);
	expect_login_error(TEXT("pkcs11:token=alpha?pin-value=1234"), SG_ERR_DENIED);
	error = ask_error(&worker, SG_MSG_TOKEN_LOGOUT, &two, -1, SG_ERR_TOKEN_AMBIGUOUS);
	assert_int_equal(error->candidate_count, 2);
	assert_non_null(strstr(error->candidates[0].uri, "token="));
	ask(&worker, SG_MSG_TOKEN_LOGOUT, &one, SG_MSG_OK, &answer);
	sg_frame_clear(&answer);
	one.token = TEXT(
	    "pkcs11:token=beta;library-manufacturer=SoftHSM;slot-manufacturer=SoftHSM%20project");
	ask(&worker, SG_MSG_TOKEN_LOGOUT, &one, SG_MSG_OK, &answer);
	sg_frame_clear(&answer);
}

/* ---- the process ---- */

static void test_kill_and_start_again(void **state)
{
	struct sg_msg_csr_make msg = { .key = TEXT("survivor"), .jid = TEXT("juliet@example.com") };
	struct sg_frame answer;
	int status;

	generate(&worker, TEXT("alpha"), TEXT("survivor"), TEXT("p256"));
	assert_int_equal(kill(worker.pid, SIGKILL), 0);
	assert_int_equal(waitpid(worker.pid, &status, 0), worker.pid);
	assert_int_equal(sg_channel_recv(worker.channel, &answer), 0);
	sg_channel_free(worker.channel);
	worker_start(&worker, "agent");
	ask_error(&worker, SG_MSG_CSR_MAKE, &msg, -1, SG_ERR_PIN_NEEDED);
	login(&worker, TEXT("alpha"));
	ask_der(&worker, SG_MSG_CSR_MAKE, &msg, "csr");
}

static void expect_module_error(const char *module, const char *dirs, const char *part)
{
	const struct sg_msg_empty msg = { 0 };
	const struct sg_msg_error *error;
	struct worker refused;
	int i;

	worker_start_with(&refused, "agent", module, dirs);
	for (i = 0; i < 2; i++) {
		error = ask_error(&refused, SG_MSG_TOKEN_LIST, &msg, -1, SG_ERR_MODULE);
		if (strstr(error->message, part) == NULL)
			fail_msg("no '%s' in: %s", part, error->message);
	}
	assert_int_equal(worker_stop(&refused), 0);
}

static void test_module_refusals(void **state)
{
	expect_module_error("/usr/lib/nothing.so", NULL, "no such");
	expect_module_error("libsofthsm2.so", NULL, "no such");
	expect_module_error(world_module, world_dir, "none of the folders");
	assert_int_equal(mkdir(path_of("mods"), 0755), 0);
	assert_int_equal(RUN("cp", world_module, path_of("mods/own.so")), 0);
	assert_int_equal(chmod(path_of("mods/own.so"), 0644), 0);
	expect_module_error(path_of("mods/own.so"), NULL, "none of the folders");
	assert_int_equal(chmod(path_of("mods"), 0777), 0);
	expect_module_error(path_of("mods/own.so"), path_of("mods"), "written by others");
	assert_int_equal(chmod(path_of("mods"), 0755), 0);
	assert_int_equal(chmod(path_of("mods/own.so"), 0666), 0);
	expect_module_error(path_of("mods/own.so"), path_of("mods"), "written by others");
	/* A link does not carry a file into an allowed folder, nor out of one. */
	assert_int_equal(symlink("../mods/own.so", path_of("hsm/link.so")), 0);
	expect_module_error(path_of("hsm/link.so"), path_of("hsm"), "none of the folders");
	file_write("mods/text.so", "no module", 9);
	expect_module_error(path_of("mods/text.so"), path_of("mods"), "cannot be loaded");
}

static void test_module_from_another_folder(void **state)
{
	const struct sg_msg_empty msg = { 0 };
	struct sg_frame answer;
	struct worker own;
	char dirs[300];

	assert_int_equal(mkdir(path_of("good"), 0755), 0);
	assert_int_equal(RUN("cp", world_module, path_of("good/own.so")), 0);
	assert_int_equal(chmod(path_of("good/own.so"), 0644), 0);
	snprintf(dirs, sizeof(dirs), "/nowhere:%s", path_of("good"));
	worker_start_with(&own, "agent", path_of("good/own.so"), dirs);
	ask(&own, SG_MSG_TOKEN_LIST, &msg, SG_MSG_TOKENS, &answer);
	assert_int_equal(((const struct sg_msg_tokens *)answer.msg)->token_count, 3);
	sg_frame_clear(&answer);
	assert_int_equal(worker_stop(&own), 0);
}

static void test_system_modules(void **state)
{
	const struct sg_msg_empty msg = { 0 };
	struct sg_frame answer;
	struct worker own;

	worker_start_with(&own, "agent", "system", NULL);
	ask(&own, SG_MSG_TOKEN_LIST, &msg, SG_MSG_TOKENS, &answer);
	sg_frame_clear(&answer);
	assert_int_equal(worker_stop(&own), 0);
}

/* SoftHSM refuses to be told anything as it starts, and so shows that it was. */
static void test_init_text(void **state)
{
	char *argv[] = { TEXT("signet-token"), TEXT("--role"), TEXT("agent"), TEXT("--module"),
		world_module, TEXT("--init"), TEXT("configdir='/nowhere'"), NULL };
	const struct sg_msg_empty msg = { 0 };
	const struct sg_msg_error *error;
	struct worker own = { 0 };
	int sock;

	assert_int_equal(sg_spawn_worker(program(), argv, &own.pid, &sock), 0);
	assert_int_equal(sg_channel_new(&own.channel, sock), 0);
	error = ask_error(&own, SG_MSG_TOKEN_LIST, &msg, -1, SG_ERR_MODULE);
	assert_non_null(strstr(error->message, "CKR_ARGUMENTS_BAD"));
	assert_int_equal(worker_stop(&own), 0);
}

static void test_malformed_frame(void **state)
{
	static const unsigned char junk[] = { 0, 0, 0, 9, 0, 0, 0, 1, 0, SG_MSG_CSR_MAKE, 0, 0xff,
		0xff };
	struct sg_frame answer;
	struct worker own;

	worker_start(&own, "agent");
	assert_int_equal(write(sg_channel_fd(own.channel), junk, sizeof(junk)), sizeof(junk));
	assert_int_equal(sg_channel_recv(own.channel, &answer), 0);
	assert_int_equal(worker_stop(&own), 1);
}

static void test_unknown_request(void **state)
{
	const struct sg_msg_empty msg = { 0 };

	ask_error(&worker, SG_MSG_OK, &msg, -1, SG_ERR_UNSUPPORTED);
}

/* ---- a module that hangs ---- */

/* The fault module around SoftHSM, and its script. */
static void fault_worker_start(struct worker *own, char dirs[PATH_MAX])
{
	const char *bin = getenv("SIGNET_BIN");
	char name[512], path[PATH_MAX];

	snprintf(name, sizeof(name), "%s/../lib/libsignet-fault.so", bin ? bin : "build/bin");
	assert_non_null(realpath(name, path));
	alarm(120); /* a failure is an answer that never comes */
	file_write("script", "", 0);
	setenv("SIGNET_FAULT_MODULE", world_module, 1);
	setenv("SIGNET_FAULT_SCRIPT", path_of("script"), 1);
	setenv("SIGNET_FAULT_STATE", path_of("fault-state"), 1);
	snprintf(dirs, PATH_MAX, "%.*s", (int)(strrchr(path, '/') - path), path);
	worker_start_with(own, "agent", path, dirs);
}

/* The answer to this request, past all that is told or answered besides. */
static uint16_t answer_of(struct worker *own, uint32_t id)
{
	struct sg_frame frame;
	uint16_t type;

	do {
		assert_int_equal(sg_channel_recv(own->channel, &frame), 1);
		type = frame.id == id ? frame.type : 0;
		sg_frame_clear(&frame);
	} while (type == 0);
	return type;
}

/* However many requests hang and wait: the PIN is wiped and the token logged out at once. */
static void test_a_lock_waits_behind_nobody(void **state)
{
	static const char hang[] = "on C_Sign hang\n";
	struct sg_msg_csr_make csr = { .key = TEXT("hangs"), .jid = TEXT("juliet@example.com") };
	struct sg_msg_token_ref ref = { .token = TEXT("alpha") };
	struct worker own;
	char dirs[PATH_MAX];
	int i;

	fault_worker_start(&own, dirs);
	login(&own, TEXT("alpha"));
	generate(&own, TEXT("alpha"), TEXT("hangs"), TEXT("p256"));
	file_write("script", hang, strlen(hang));
	for (i = 0; i < 2 * SG_WORKER_THREADS; i++)
		assert_int_equal(
		    sg_channel_send(own.channel, ++own.next_id, SG_MSG_CSR_MAKE, &csr, -1), 0);
	if (geteuid() == 0)
		assert_int_equal(memory_copies(own.pid, WORLD_PIN), 1);
	assert_int_equal(
	    sg_channel_send(own.channel, ++own.next_id, SG_MSG_TOKEN_RELEASE, &ref, -1), 0);
	assert_int_equal(answer_of(&own, own.next_id), SG_MSG_OK);
	assert_int_equal(
	    sg_channel_send(own.channel, ++own.next_id, SG_MSG_TOKEN_LOGOUT, &ref, -1), 0);
	assert_int_equal(answer_of(&own, own.next_id), SG_MSG_OK);
	if (geteuid() == 0)
		assert_int_equal(memory_copies(own.pid, WORLD_PIN), 0);
	assert_int_equal(worker_stop(&own), 0);
	alarm(0);
}

/* The module hangs in all that it is asked: the answer waits for it, and the PIN is gone without it. */
static void test_a_lock_wipes_before_it_asks_the_module(void **state)
{
	static const char hang[] = "on any hang\n";
	const struct timespec moment = { 0, 10000000 };
	struct sg_msg_token_ref ref = { .token = TEXT("alpha") };
	const struct sg_msg_empty empty = { 0 };
	struct worker own;
	char dirs[PATH_MAX];
	int i;

	fault_worker_start(&own, dirs);
	login(&own, TEXT("alpha"));
	if (geteuid() == 0)
		assert_int_equal(memory_copies(own.pid, WORLD_PIN), 1);
	file_write("script", hang, strlen(hang));
	for (i = 0; i < 2 * SG_WORKER_THREADS; i++)
		assert_int_equal(
		    sg_channel_send(own.channel, ++own.next_id, SG_MSG_TOKEN_LIST, &empty, -1), 0);
	assert_int_equal(
	    sg_channel_send(own.channel, ++own.next_id, SG_MSG_TOKEN_LOGOUT, &ref, -1), 0);
	for (i = 0; i < 1000 && memory_copies(own.pid, WORLD_PIN) > 0; i++)
		nanosleep(&moment, NULL);
	if (geteuid() == 0)
		assert_int_equal(memory_copies(own.pid, WORLD_PIN), 0);
	assert_int_equal(worker_stop(&own), 0);
	alarm(0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_token_list, start, stop),
		cmocka_unit_test_setup_teardown(test_token_selectors, start, stop),
		cmocka_unit_test_setup_teardown(test_kill_and_start_again, start_unlocked, stop),
		cmocka_unit_test(test_module_refusals),
		cmocka_unit_test(test_module_from_another_folder),
		cmocka_unit_test(test_system_modules),
		cmocka_unit_test(test_init_text),
		cmocka_unit_test(test_malformed_frame),
		cmocka_unit_test(test_a_lock_waits_behind_nobody),
		cmocka_unit_test(test_a_lock_wipes_before_it_asks_the_module),
		cmocka_unit_test_setup_teardown(test_unknown_request, start, stop),
	};

	return cmocka_run_group_tests_name("token worker", tests, world_start, world_stop);
}
