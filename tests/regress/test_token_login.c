/*
 * signet-token on real SoftHSM: PINs, where they come from, and where they do not stay.
 */
#include "token_world.h"

#include <linux/capability.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "pinentry.h"
#include "token_memory.h"
#include "worker.h"

/* ---- PINs; the spy between the worker and SoftHSM writes every call down ---- */

static int start_spied(void **state)
{
	char spy[256], options[256];
	glob_t found = { 0 };

	assert_int_equal(glob("/usr/lib/*/pkcs11/pkcs11-spy.so", 0, NULL, &found), 0);
	snprintf(spy, sizeof(spy), "%s", found.gl_pathv[0]);
	globfree(&found);
	setenv("PKCS11SPY", world_module, 1);
	setenv("PKCS11SPY_OUTPUT", path_of("spy"), 1);
	unlink(path_of("spy"));
	/* The spy keeps what it allocates: not ours to mend. */
	file_write("lsan", "leak:pkcs11-spy.so\n", 19);
	snprintf(options, sizeof(options), "suppressions=%s:print_suppressions=0", path_of("lsan"));
	setenv("LSAN_OPTIONS", options, 1);
	setenv("ASAN_OPTIONS", "fast_unwind_on_malloc=0", 0);
	worker_start_with(&worker, "agent", spy, NULL);
	return 0;
}

static size_t spied(const char *call)
{
	char *text = file_read("spy");
	size_t n = count_of(text, call);

	free(text);
	return n;
}

static void test_pin_wrong_is_tried_once(void **state)
{
	struct sg_msg_token_login msg = { .token = TEXT("alpha") };
	const struct sg_msg_error *error;
	int fd = pipe_of("not the PIN");

	error = ask_error(&worker, SG_MSG_TOKEN_LOGIN, &msg, fd, SG_ERR_PIN_WRONG);
	assert_non_null(strstr(error->subject, "token=alpha"));
	assert_true(error->tries_left == SG_TRIES_UNKNOWN); /* SoftHSM does not count down */
	close(fd);
	assert_int_equal(spied("C_Login\n"), 1);
	/* The next one is a try of its own, and takes. */
	login(&worker, TEXT("alpha"));
	assert_int_equal(spied("C_Login\n"), 2);
	/* Unlocked already: the PIN is not even read. */
	fd = pipe_of("not the PIN either");
	{
		struct sg_frame answer;
		int left = 0;

		ask_fd(&worker, SG_MSG_TOKEN_LOGIN, &msg, fd, SG_MSG_OK, &answer);
		sg_frame_clear(&answer);
		assert_int_equal(ioctl(fd, FIONREAD, &left), 0);
		assert_int_equal(left, strlen("not the PIN either"));
	}
	close(fd);
	assert_int_equal(spied("C_Login\n"), 2);
}

static void test_key_named_again_costs_no_search(void **state)
{
	struct sg_msg_csr_make msg = { .key = TEXT("spied"), .jid = TEXT("juliet@example.com") };
	size_t before;

	login(&worker, TEXT("alpha"));
	generate(&worker, TEXT("alpha"), TEXT("spied"), TEXT("p256"));
	ask_der(&worker, SG_MSG_CSR_MAKE, &msg, "csr");
	before = spied("C_FindObjectsInit\n");
	ask_der(&worker, SG_MSG_CSR_MAKE, &msg, "csr");
	ask_der(&worker, SG_MSG_CSR_MAKE, &msg, "csr");
	assert_true(before > 0);
	assert_int_equal(spied("C_FindObjectsInit\n"), before);
}

static void test_pin_sources(void **state)
{
	struct sg_msg_token_login msg = { .token = TEXT("alpha") };
	char longer[400];
	int fd;

	ask_error(&worker, SG_MSG_TOKEN_LOGIN, &msg, -1, SG_ERR_PIN_NEEDED);
	fd = pipe_of("");
	ask_error(&worker, SG_MSG_TOKEN_LOGIN, &msg, fd, SG_ERR_FORMAT);
	close(fd);
	memset(longer, 'x', sizeof(longer));
	longer[sizeof(longer) - 1] = 0;
	fd = pipe_of(longer);
	ask_error(&worker, SG_MSG_TOKEN_LOGIN, &msg, fd, SG_ERR_LIMIT);
	close(fd);
	msg.source = 7;
	fd = pipe_of(WORLD_PIN);
	ask_error(&worker, SG_MSG_TOKEN_LOGIN, &msg, fd, SG_ERR_ARG);
	close(fd);
}

static void test_pin_leaves_no_trace(void **state)
{
	int copies;

	login(&worker, TEXT("alpha"));
	logout(&worker, TEXT("alpha"));
	copies = memory_copies(worker.pid, WORLD_PIN);
	if (geteuid() == 0)
		assert_int_equal(copies, 0);
	else
		assert_int_equal(copies, -1); /* nobody but root looks into it */
}

/* ---- a real pinentry on a terminal of its own ---- */

struct terminal {
	int master;
	pid_t pinentry;
	int sock; /* the other end of the pinentry's standard input and output */
	char option[80];
};

static void pinentry_start(struct terminal *terminal)
{
	int pair[2], slave;
	char name[64];

	if (openpty(&terminal->master, &slave, name, NULL, NULL) != 0)
		skip(); /* /dev/pts is not mounted */
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	terminal->pinentry = fork();
	assert_true(terminal->pinentry >= 0);
	if (terminal->pinentry == 0) {
		if (dup2(pair[1], 0) < 0 || dup2(pair[1], 1) < 0)
			_exit(126);
		execlp("pinentry-tty", "pinentry-tty", (char *)NULL);
		_exit(127);
	}
	close(pair[1]);
	close(slave);
	terminal->sock = pair[0];
	snprintf(terminal->option, sizeof(terminal->option), "ttyname=%s", name);
}

/* Reads the terminal until the text has come. */
static void terminal_expect(
    const struct terminal *terminal, const char *text, char *seen, size_t room)
{
	size_t len = 0;

	seen[0] = 0;
	while (strstr(seen, text) == NULL) {
		ssize_t n = read(terminal->master, seen + len, room - 1 - len);

		if (n <= 0)
			fail_msg("no '%s' on the terminal, but: %s", text, seen);
		len += (size_t)n;
		seen[len] = 0;
	}
}

static void pinentry_end(struct terminal *terminal)
{
	int status;

	close(terminal->sock);
	assert_int_equal(waitpid(terminal->pinentry, &status, 0), terminal->pinentry);
	close(terminal->master);
}

static struct sg_frame pinentry_login(
    struct terminal *terminal, const char *typed, char *seen, size_t room)
{
	struct sg_caller caller = { .uid = 1,
		.pid = 4242,
		.exe = TEXT("/usr/bin/psi\nfake: line"),
		.purpose = TEXT("Enrol") };
	char *options[] = { terminal->option, TEXT("ttytype=dumb"), TEXT("no-such-option=1") };
	struct sg_msg_token_login msg = { .caller = caller,
		.token = TEXT("alpha"),
		.source = SG_PIN_PINENTRY,
		.options = options,
		.option_count = 3 };
	struct sg_frame answer;

	assert_int_equal(
	    sg_channel_send(worker.channel, 77, SG_MSG_TOKEN_LOGIN, &msg, terminal->sock), 0);
	terminal_expect(terminal, "PIN:", seen, room);
	assert_int_equal(write(terminal->master, typed, strlen(typed)), strlen(typed));
	assert_int_equal(sg_channel_recv(worker.channel, &answer), 1);
	return answer;
}

static void test_pinentry(void **state)
{
	struct terminal terminal;
	struct sg_frame answer;
	char seen[8192];

	pinentry_start(&terminal);
	answer = pinentry_login(&terminal, WORLD_PIN "\n", seen, sizeof(seen));
	assert_int_equal(answer.type, SG_MSG_OK);
	sg_frame_clear(&answer);
	pinentry_end(&terminal);
	assert_non_null(strstr(seen, "alpha"));
	assert_non_null(strstr(seen, "serial number"));
	assert_non_null(strstr(seen, "/usr/bin/psi?fake: line"));
	assert_non_null(strstr(seen, "4242"));
	assert_non_null(strstr(seen, "Enrol"));
	logout(&worker, TEXT("alpha"));
	if (geteuid() == 0)
		assert_int_equal(memory_copies(worker.pid, WORLD_PIN), 0);
}

static void test_pinentry_cancelled(void **state)
{
	struct terminal terminal;
	struct sg_frame answer;
	char seen[8192];

	pinentry_start(&terminal);
	/* An end of the terminal's input: pinentry-tty calls it a cancel. */
	answer = pinentry_login(&terminal, "\004", seen, sizeof(seen));
	assert_int_equal(answer.type, SG_MSG_ERROR);
	assert_int_equal(
	    -(int)((const struct sg_msg_error *)answer.msg)->code, SG_ERR_PIN_CANCELLED);
	sg_frame_clear(&answer);
	pinentry_end(&terminal);
}

static void test_pinentry_arguments_have_limits(void **state)
{
	static char text[SG_PINENTRY_LINE_MAX], unknown[] = "no-such-option=1";
	char *options[SG_PINENTRY_OPTIONS_MAX + 1];
	struct sg_msg_token_login msg = {
		.token = TEXT("alpha"), .source = SG_PIN_PINENTRY, .options = options
	};
	struct terminal terminal;
	size_t i;

	for (i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		options[i] = unknown;
	pinentry_start(&terminal);
	msg.option_count = SG_PINENTRY_OPTIONS_MAX + 1;
	ask_error(&worker, SG_MSG_TOKEN_LOGIN, &msg, terminal.sock, SG_ERR_LIMIT);
	options[0] = TEXT("two\nlines");
	msg.option_count = 1;
	ask_error(&worker, SG_MSG_TOKEN_LOGIN, &msg, terminal.sock, SG_ERR_ARG);
	memset(text, 'x', sizeof(text) - 1); /* with "OPTION " before it, too long */
	options[0] = text;
	ask_error(&worker, SG_MSG_TOKEN_LOGIN, &msg, terminal.sock, SG_ERR_LIMIT);
	pinentry_end(&terminal);
}

/* A request that never ends does not keep the process. */
static void test_channel_closes_during_pinentry(void **state)
{
	struct sg_msg_token_login msg = { .token = TEXT("alpha"), .source = SG_PIN_PINENTRY };
	char *options[1];
	struct terminal terminal;
	struct worker own;
	char seen[8192];

	worker_start(&own, "agent");
	pinentry_start(&terminal);
	options[0] = terminal.option;
	msg.options = options;
	msg.option_count = 1;
	assert_int_equal(
	    sg_channel_send(own.channel, 1, SG_MSG_TOKEN_LOGIN, &msg, terminal.sock), 0);
	terminal_expect(&terminal, "PIN:", seen, sizeof(seen));
	alarm(10);
	assert_int_equal(worker_stop(&own), 0);
	alarm(0);
	kill(terminal.pinentry, SIGTERM);
	pinentry_end(&terminal);
}

/* ---- more than one login ---- */

static int start_with_gamma(void **state)
{
	assert_int_equal(RUN("softhsm2-util", "--init-token", "--free", "--label", "gamma",
			     "--so-pin", "12345678", "--pin", WORLD_PIN),
	    0);
	return start(state);
}

static void login_begin(uint32_t id, char *token, int fd)
{
	struct sg_msg_token_login msg = { .token = token };

	assert_int_equal(sg_channel_send(worker.channel, id, SG_MSG_TOKEN_LOGIN, &msg, fd), 0);
}

static void test_logins_that_wait_hold_up_nobody(void **state)
{
	struct sg_msg_token_login more = { .token = TEXT("gamma") };
	const struct sg_msg_empty nothing = { 0 };
	struct sg_frame answer;
	int i, fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	/* On two tokens somebody is about to give the PIN, and on each others wait behind that. */
	for (i = 0; i < SG_WORKER_LOGIN_THREADS - 1; i++)
		login_begin(1000 + (uint32_t)i, i % 2 ? TEXT("beta") : TEXT("alpha"), fds[0]);
	login(&worker, TEXT("gamma"));
	logout(&worker, TEXT("gamma"));
	ask(&worker, SG_MSG_TOKEN_LIST, &nothing, SG_MSG_TOKENS, &answer);
	sg_frame_clear(&answer);
	/* One more than may wait is told at once. */
	login_begin(1000 + (uint32_t)i, TEXT("alpha"), fds[0]);
	ask_error(&worker, SG_MSG_TOKEN_LOGIN, &more, fds[0], SG_ERR_LIMIT);
	ask(&worker, SG_MSG_TOKEN_LIST, &nothing, SG_MSG_TOKENS, &answer);
	sg_frame_clear(&answer);
	close(fds[1]);
	for (i = 0; i < SG_WORKER_LOGIN_THREADS; i++) {
		assert_int_equal(sg_channel_recv(worker.channel, &answer), 1);
		assert_in_range(answer.id, 1000, 1000 + SG_WORKER_LOGIN_THREADS - 1);
		assert_int_equal(answer.type, SG_MSG_ERROR);
		assert_int_equal(
		    -(int)((const struct sg_msg_error *)answer.msg)->code, SG_ERR_FORMAT);
		sg_frame_clear(&answer);
	}
	close(fds[0]);
	login(&worker, TEXT("gamma"));
	login(&worker, TEXT("alpha"));
}

/* ---- memory ---- */

/* The sanitizer's mlock does nothing, and never fails. */
#ifdef __SANITIZE_ADDRESS__
#define MLOCK_IS_REAL 0
#else
#define MLOCK_IS_REAL 1
#endif

static void test_no_memory_can_be_locked(void **state)
{
	struct sg_msg_token_login msg = { .token = TEXT("alpha") };
	const struct sg_msg_error *error;
	struct rlimit before, none;
	struct worker own;
	int fd;

	if (!MLOCK_IS_REAL)
		skip();
	/* Root is above the limit by this capability; the worker starts without it. */
	if (geteuid() == 0)
		assert_int_equal(prctl(PR_CAPBSET_DROP, CAP_IPC_LOCK, 0, 0, 0), 0);
	assert_int_equal(getrlimit(RLIMIT_MEMLOCK, &before), 0);
	none = (struct rlimit){ 0, before.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &none), 0);
	worker_start(&own, "agent");
	assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &before), 0);
	fd = pipe_of(WORLD_PIN);
	error = ask_error(&own, SG_MSG_TOKEN_LOGIN, &msg, fd, SG_ERR_NOMEM);
	assert_non_null(strstr(error->message, "ulimit -l"));
	assert_non_null(strstr(error->message, "LimitMEMLOCK"));
	close(fd);
	assert_int_equal(worker_stop(&own), 0);
}

/* ---- the PIN again for each signature ---- */

/* A key that wants the PIN for each signature has it, as long as the token is unlocked. */
static void test_always_authenticate(void **state)
{
	struct sg_msg_csr_make msg = { .key = TEXT("careful"), .jid = TEXT("juliet@example.com") };
	const struct sg_msg_error *error;

	logout(&worker, TEXT("alpha"));
	assert_int_equal(
	    RUN("pkcs11-tool", "--module", world_module, "--token-label", "alpha", "--login",
		"--pin", "env:SIGNET_TEST_PIN", "--keypairgen", "--key-type", "EC:prime256v1",
		"--label", "careful", "--id", "99", "--always-auth"),
	    0);
	login(&worker, TEXT("alpha"));
	ask_der(&worker, SG_MSG_CSR_MAKE, &msg, "csr");
	ask_der(&worker, SG_MSG_CSR_MAKE, &msg, "csr");
	assert_int_equal(
	    RUN("openssl", "req", "-inform", "DER", "-in", path_of("csr"), "-verify", "-noout"), 0);
	/* It is held for such a key, once, and this shows that the search finds what there is. */
	if (geteuid() == 0)
		assert_int_equal(memory_copies(worker.pid, WORLD_PIN), 1);
	logout(&worker, TEXT("alpha"));
	if (geteuid() == 0)
		assert_int_equal(memory_copies(worker.pid, WORLD_PIN), 0);
	error = ask_error(&worker, SG_MSG_CSR_MAKE, &msg, -1, SG_ERR_PIN_NEEDED);
	assert_non_null(strstr(error->subject, "token=alpha"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_pin_wrong_is_tried_once, start_spied, stop),
		cmocka_unit_test_setup_teardown(
		    test_key_named_again_costs_no_search, start_spied, stop),
		cmocka_unit_test_setup_teardown(test_pin_sources, start, stop),
		cmocka_unit_test_setup_teardown(test_pin_leaves_no_trace, start, stop),
		cmocka_unit_test_setup_teardown(test_always_authenticate, start_unlocked, stop),
		cmocka_unit_test_setup_teardown(test_pinentry, start, stop),
		cmocka_unit_test_setup_teardown(test_pinentry_cancelled, start, stop),
		cmocka_unit_test_setup_teardown(test_pinentry_arguments_have_limits, start, stop),
		cmocka_unit_test(test_channel_closes_during_pinentry),
		cmocka_unit_test_setup_teardown(
		    test_logins_that_wait_hold_up_nobody, start_with_gamma, stop),
		cmocka_unit_test(test_no_memory_can_be_locked),
	};

	return cmocka_run_group_tests_name("token login", tests, world_start, world_stop);
}
