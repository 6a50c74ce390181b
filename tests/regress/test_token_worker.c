/*
 * signet-token on real SoftHSM: tokens, PINs, keys, certificates, and how the process begins and ends.
 */
#include "token_world.h"

#include <pty.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static struct worker worker;

static int start(void **state)
{
	worker_start(&worker, "agent");
	return 0;
}

static int start_unlocked(void **state)
{
	worker_start(&worker, "agent");
	login(&worker, TEXT("alpha"));
	return 0;
}

static int stop(void **state)
{
	int status = worker_stop(&worker);

	if (status != 0)
		fprintf(stderr, "the worker ended with %d\n", status);
	return status;
}

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
	expect_login_error(TEXT("pkcs11:token=alpha?pin-value=1234"), SG_ERR_DENIED);
	error = ask_error(&worker, SG_MSG_TOKEN_LOGOUT, &two, -1, SG_ERR_TOKEN_AMBIGUOUS);
	assert_int_equal(error->candidate_count, 2);
	assert_non_null(strstr(error->candidates[0], "token="));
	ask(&worker, SG_MSG_TOKEN_LOGOUT, &one, SG_MSG_OK, &answer);
	sg_frame_clear(&answer);
}

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

/* How often the PIN stands in the worker's memory; -1 when it cannot be read, which is right too. */
static int pin_copies(pid_t pid)
{
	char name[64], line[512], *room;
	FILE *maps;
	int mem, copies = 0;

	snprintf(name, sizeof(name), "/proc/%d/mem", pid);
	mem = open(name, O_RDONLY);
	if (mem < 0)
		return -1;
	snprintf(name, sizeof(name), "/proc/%d/maps", pid);
	maps = fopen(name, "r");
	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps)) {
		unsigned long from, to;
		ssize_t len;

		if (sscanf(line, "%lx-%lx rw", &from, &to) != 2 || !strstr(line, " rw") ||
		    to - from > (1ul << 30)) /* a sanitizer's shadow */
			continue;
		room = malloc(to - from);
		assert_non_null(room);
		len = pread(mem, room, to - from, (off_t)from);
		for (char *at = room; len > 0 && at; copies += at != NULL) {
			at = memmem(at, (size_t)(room + len - at), WORLD_PIN, strlen(WORLD_PIN));
			if (!at)
				break;
			at++;
		}
		free(room);
	}
	fclose(maps);
	close(mem);
	return copies;
}

static void test_pin_leaves_no_trace(void **state)
{
	int copies;

	login(&worker, TEXT("alpha"));
	logout(&worker, TEXT("alpha"));
	copies = pin_copies(worker.pid);
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

	assert_int_equal(openpty(&terminal->master, &slave, name, NULL, NULL), 0);
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
	while (!strstr(seen, text)) {
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
		assert_int_equal(pin_copies(worker.pid), 0);
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

/* ---- keys ---- */

static void test_keys_have_the_whole_template(void **state)
{
	static const char *const algorithms[] = { "rsa2048", "p256", "p384" };
	size_t i;

	for (i = 0; i < 3; i++) {
		char label[16], algorithm[16];

		snprintf(label, sizeof(label), "t-%s", algorithms[i]);
		snprintf(algorithm, sizeof(algorithm), "%s", algorithms[i]);
		generate(&worker, TEXT("alpha"), label, algorithm);
		assert_int_equal(RUN("pkcs11-tool", "--module", world_module, "--token-label",
				     "alpha", "--login", "--pin", "env:SIGNET_TEST_PIN",
				     "--list-objects", "--type", "privkey", "--label", label),
		    0);
		assert_true(out_has("sensitive, always sensitive, never extractable, local"));
		assert_true(out_has("Usage:      sign\n"));
	}
}

static void expect_generate_error(char *token, char *label, char *algorithm, int code)
{
	struct sg_msg_key_generate msg = { .token = token, .label = label, .algorithm = algorithm };

	ask_error(&worker, SG_MSG_KEY_GENERATE, &msg, -1, code);
}

static void test_key_generation_refusals(void **state)
{
	struct sg_msg_key_generate long_id = {
		.token = TEXT("alpha"), .label = TEXT("long id"), .algorithm = TEXT("p256")
	};
	unsigned char id[300] = { 1 };
	char label[300];

	generate(&worker, TEXT("alpha"), TEXT("once"), TEXT("p256"));
	expect_generate_error(TEXT("alpha"), TEXT("once"), TEXT("p256"), SG_ERR_ARG);
	expect_generate_error(TEXT("alpha"), TEXT("twice"), TEXT("rsa1024"), SG_ERR_UNSUPPORTED);
	expect_generate_error(TEXT("alpha"), TEXT(""), TEXT("p256"), SG_ERR_ARG);
	expect_generate_error(TEXT("alpha"), TEXT("pkcs11:object=x"), TEXT("p256"), SG_ERR_ARG);
	expect_generate_error(TEXT("alpha"), TEXT("two\nlines"), TEXT("p256"), SG_ERR_ARG);
	expect_generate_error(TEXT("beta"), TEXT("locked"), TEXT("p256"), SG_ERR_PIN_NEEDED);
	memset(label, 'l', sizeof(label));
	label[256] = 0;
	expect_generate_error(TEXT("alpha"), label, TEXT("p256"), SG_ERR_ARG);
	label[255] = 0;
	generate(&worker, TEXT("alpha"), label, TEXT("p256"));
	long_id.id = (struct sg_blob){ id, sizeof(id) };
	ask_error(&worker, SG_MSG_KEY_GENERATE, &long_id, -1, SG_ERR_ARG);
}

static void expect_csr_error(char *key, char *jid, int code)
{
	struct sg_msg_csr_make msg = { .key = key, .jid = jid };

	ask_error(&worker, SG_MSG_CSR_MAKE, &msg, -1, code);
}

static void test_key_selectors(void **state)
{
	struct sg_msg_csr_make named = { .key = TEXT("pkcs11:token=alpha;object=double"),
		.jid = TEXT("juliet@example.com") };
	const struct sg_msg_error *error;
	struct sg_msg_csr_make msg = { .key = TEXT("double"), .jid = TEXT("juliet@example.com") };

	login(&worker, TEXT("beta"));
	generate(&worker, TEXT("alpha"), TEXT("double"), TEXT("p256"));
	ask_der(&worker, SG_MSG_CSR_MAKE, &msg, "csr");
	generate(&worker, TEXT("beta"), TEXT("double"), TEXT("p256"));
	error = ask_error(&worker, SG_MSG_CSR_MAKE, &msg, -1, SG_ERR_KEY_AMBIGUOUS);
	assert_int_equal(error->candidate_count, 2);
	assert_non_null(strstr(error->candidates[0], "type=private"));
	assert_string_not_equal(error->candidates[0], error->candidates[1]);
	ask_der(&worker, SG_MSG_CSR_MAKE, &named, "csr");
	named.key = TEXT("pkcs11:token=alpha;object=double;type=public");
	ask_der(&worker, SG_MSG_CSR_MAKE, &named, "csr");
	expect_csr_error(TEXT("pkcs11:token=alpha;object=double;type=cert"),
	    TEXT("juliet@example.com"), SG_ERR_KEY_ABSENT);
	expect_csr_error(TEXT("nobody"), TEXT("juliet@example.com"), SG_ERR_KEY_ABSENT);
	expect_csr_error(TEXT(""), TEXT("juliet@example.com"), SG_ERR_ARG);
	expect_csr_error(TEXT("double"), TEXT("not a jid"), SG_ERR_ARG);
	expect_csr_error(TEXT("double"), TEXT("juliet@example.com/balcony"), SG_ERR_ARG);
}

static void test_locked_keys_are_seen(void **state)
{
	struct sg_msg_object_list list = { .selector = TEXT("seen") };
	struct sg_msg_csr_make msg = { .key = TEXT("seen"), .jid = TEXT("juliet@example.com") };
	const struct sg_msg_objects *objects;
	const struct sg_msg_error *error;
	struct sg_frame unlocked, locked;

	generate(&worker, TEXT("alpha"), TEXT("seen"), TEXT("rsa2048"));
	ask(&worker, SG_MSG_OBJECT_LIST, &list, SG_MSG_OBJECTS, &unlocked);
	ask_der(&worker, SG_MSG_CSR_MAKE, &msg, "csr");
	logout(&worker, TEXT("alpha"));
	ask(&worker, SG_MSG_OBJECT_LIST, &list, SG_MSG_OBJECTS, &locked);
	objects = locked.msg;
	assert_int_equal(objects->key_count, 1);
	assert_string_equal(
	    objects->keys[0].uri, ((const struct sg_msg_objects *)unlocked.msg)->keys[0].uri);
	assert_true(sg_blob_eq(
	    &objects->keys[0].spki, &((const struct sg_msg_objects *)unlocked.msg)->keys[0].spki));
	error = ask_error(&worker, SG_MSG_CSR_MAKE, &msg, -1, SG_ERR_PIN_NEEDED);
	assert_non_null(strstr(error->subject, "token=alpha"));
	login(&worker, TEXT("alpha"));
	ask_der(&worker, SG_MSG_CSR_MAKE, &msg, "csr");
	sg_frame_clear(&unlocked);
	sg_frame_clear(&locked);
}

/* Another program removes a key and makes one of the same name: ours follows. */
static void test_key_replaced_by_another_program(void **state)
{
	struct sg_msg_csr_make msg = { .key = TEXT("shared"), .jid = TEXT("juliet@example.com") };
	static const char *const kinds[] = { "privkey", "pubkey" };
	size_t i;

	generate(&worker, TEXT("alpha"), TEXT("shared"), TEXT("p256"));
	ask_der(&worker, SG_MSG_CSR_MAKE, &msg, "csr");
	for (i = 0; i < 2; i++)
		assert_int_equal(RUN("pkcs11-tool", "--module", world_module, "--token-label",
				     "alpha", "--login", "--pin", "env:SIGNET_TEST_PIN",
				     "--delete-object", "--type", kinds[i], "--label", "shared"),
		    0);
	ask_error(&worker, SG_MSG_CSR_MAKE, &msg, -1, SG_ERR_KEY_ABSENT);
	assert_int_equal(RUN("pkcs11-tool", "--module", world_module, "--token-label", "alpha",
			     "--login", "--pin", "env:SIGNET_TEST_PIN", "--keypairgen",
			     "--key-type", "rsa:2048", "--label", "shared", "--id", "77"),
	    0);
	ask_der(&worker, SG_MSG_CSR_MAKE, &msg, "csr");
	assert_int_equal(RUN("openssl", "req", "-inform", "DER", "-in", path_of("csr"), "-verify",
			     "-noout", "-text"),
	    0);
	assert_true(out_has("(2048 bit)"));
}

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
		assert_int_equal(pin_copies(worker.pid), 1);
	logout(&worker, TEXT("alpha"));
	if (geteuid() == 0)
		assert_int_equal(pin_copies(worker.pid), 0);
	error = ask_error(&worker, SG_MSG_CSR_MAKE, &msg, -1, SG_ERR_PIN_NEEDED);
	assert_non_null(strstr(error->subject, "token=alpha"));
}

/* ---- certificates ---- */

static void test_certificate_store(void **state)
{
	struct sg_msg_self_cert_make make = {
		.key = TEXT("holder"), .jid = TEXT("juliet@example.com"), .days = 30
	};
	struct sg_msg_cert_store store = { .key = TEXT("holder"), .label = TEXT("a certificate") };
	struct sg_msg_object_list list = { .selector = TEXT("holder") };
	const struct sg_msg_objects *objects;
	struct sg_frame answer;
	int i;

	generate(&worker, TEXT("alpha"), TEXT("holder"), TEXT("p256"));
	generate(&worker, TEXT("alpha"), TEXT("other"), TEXT("p256"));
	ask_der(&worker, SG_MSG_SELF_CERT_MAKE, &make, "cert");
	store.der = blob_read("cert");
	for (i = 0; i < 2; i++) {
		ask(&worker, SG_MSG_CERT_STORE, &store, SG_MSG_OBJECTS, &answer);
		objects = answer.msg;
		assert_int_equal(objects->cert_count, 1);
		assert_true(sg_blob_eq(&objects->certs[0].der, &store.der));
		assert_non_null(strstr(objects->certs[0].uri, "type=cert"));
		sg_frame_clear(&answer);
	}
	ask(&worker, SG_MSG_OBJECT_LIST, &list, SG_MSG_OBJECTS, &answer);
	objects = answer.msg;
	assert_int_equal(objects->cert_count, 1);
	assert_true(sg_blob_eq(&objects->certs[0].id, &objects->keys[0].id));
	sg_frame_clear(&answer);
	list.selector = TEXT("pkcs11:type=cert;object=a%20certificate");
	ask(&worker, SG_MSG_OBJECT_LIST, &list, SG_MSG_OBJECTS, &answer);
	assert_int_equal(((const struct sg_msg_objects *)answer.msg)->cert_count, 0);
	sg_frame_clear(&answer);
	list.all_certs = 1;
	ask(&worker, SG_MSG_OBJECT_LIST, &list, SG_MSG_OBJECTS, &answer);
	assert_int_equal(((const struct sg_msg_objects *)answer.msg)->cert_count, 1);
	sg_frame_clear(&answer);
	store.key = TEXT("other");
	ask_error(&worker, SG_MSG_CERT_STORE, &store, -1, SG_ERR_CERT_MISMATCH);
	store.der.len--;
	ask_error(&worker, SG_MSG_CERT_STORE, &store, -1, SG_ERR_FORMAT);
	sg_blob_clear(&store.der);
	assert_int_equal(RUN("pkcs11-tool", "--module", world_module, "--token-label", "alpha",
			     "--list-objects", "--type", "cert"),
	    0);
	assert_true(out_has("subject:    DN: CN=juliet@example.com"));
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
	expect_csr_error(TEXT("survivor"), TEXT("juliet@example.com"), SG_ERR_PIN_NEEDED);
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
		if (!strstr(error->message, part))
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_token_list, start, stop),
		cmocka_unit_test_setup_teardown(test_token_selectors, start, stop),
		cmocka_unit_test_setup_teardown(test_pin_wrong_is_tried_once, start_spied, stop),
		cmocka_unit_test_setup_teardown(
		    test_key_named_again_costs_no_search, start_spied, stop),
		cmocka_unit_test_setup_teardown(test_pin_sources, start, stop),
		cmocka_unit_test_setup_teardown(test_pin_leaves_no_trace, start, stop),
		cmocka_unit_test_setup_teardown(
		    test_keys_have_the_whole_template, start_unlocked, stop),
		cmocka_unit_test_setup_teardown(test_key_generation_refusals, start_unlocked, stop),
		cmocka_unit_test_setup_teardown(test_key_selectors, start_unlocked, stop),
		cmocka_unit_test_setup_teardown(test_locked_keys_are_seen, start_unlocked, stop),
		cmocka_unit_test_setup_teardown(
		    test_key_replaced_by_another_program, start_unlocked, stop),
		cmocka_unit_test_setup_teardown(test_always_authenticate, start_unlocked, stop),
		cmocka_unit_test_setup_teardown(test_certificate_store, start_unlocked, stop),
		cmocka_unit_test_setup_teardown(test_kill_and_start_again, start_unlocked, stop),
		cmocka_unit_test(test_module_refusals),
		cmocka_unit_test(test_module_from_another_folder),
		cmocka_unit_test(test_system_modules),
		cmocka_unit_test(test_malformed_frame),
		cmocka_unit_test_setup_teardown(test_pinentry, start, stop),
		cmocka_unit_test_setup_teardown(test_pinentry_cancelled, start, stop),
		cmocka_unit_test(test_channel_closes_during_pinentry),
		cmocka_unit_test_setup_teardown(test_unknown_request, start, stop),
	};

	return cmocka_run_group_tests_name("token worker", tests, world_start, world_stop);
}
