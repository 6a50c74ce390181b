/*
 * For tests of signet-token: SoftHSM tokens from nothing, the worker with its channel, other people's
 * tools to judge what comes out of it.
 */
#ifndef SG_TESTS_TOKEN_WORLD_H
#define SG_TESTS_TOKEN_WORLD_H

#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "channel.h"
#include "msg.h"
#include "spawn.h"

/* Long enough that it is nowhere by chance, when memory is searched for it. */
#define WORLD_PIN "tall-Grass-4711-PIN"
#define MAYBE	  __attribute__((unused))

static char world_dir[64];
static char world_module[256];

struct worker {
	pid_t pid;
	struct sg_channel *channel;
	uint32_t next_id;
};

/* Runs a program, its output into a file in world_dir ("out"); gives the exit status. */
static MAYBE int run(const char *const *argv)
{
	union {
		const char *const *in;
		char *const *out;
	} args = { .in = argv };
	char out[128];
	int status, fd;
	pid_t pid;

	snprintf(out, sizeof(out), "%s/out", world_dir);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		fd = open(out, O_WRONLY | O_CREAT | O_TRUNC, 0600);
		if (fd < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0)
			_exit(126);
		/* Here alone: the worker must not have it in its environment. */
		setenv("SIGNET_TEST_PIN", WORLD_PIN, 1);
		execvp(args.out[0], args.out);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#define RUN(...) run((const char *const[]){ __VA_ARGS__, NULL })

static MAYBE char *path_of(const char *name)
{
	static char paths[8][160];
	static int next;
	char *path = paths[next++ % 8];

	snprintf(path, sizeof(paths[0]), "%s/%s", world_dir, name);
	return path;
}

static MAYBE void file_write(const char *name, const void *data, size_t len)
{
	FILE *file = fopen(path_of(name), "w");

	assert_non_null(file);
	assert_int_equal(fwrite(data, 1, len, file), len);
	assert_int_equal(fclose(file), 0);
}

/* The whole file, NUL-terminated; to be freed. */
static MAYBE char *file_read(const char *name)
{
	FILE *file = fopen(path_of(name), "r");
	char *text = calloc(1, 1 << 20);

	assert_non_null(file);
	assert_non_null(text);
	assert_true(fread(text, 1, (1 << 20) - 1, file) < (1 << 20) - 1);
	fclose(file);
	return text;
}

static MAYBE size_t count_of(const char *text, const char *part)
{
	size_t n = 0;

	while ((text = strstr(text, part)) != NULL) {
		n++;
		text += strlen(part);
	}
	return n;
}

/* Whether the last program's output has the text. */
static MAYBE int out_has(const char *part)
{
	char *text = file_read("out");
	int found = strstr(text, part) != NULL;

	if (!found)
		fprintf(stderr, "no '%s' in: %s\n", part, text);
	free(text);
	return found;
}

static MAYBE int world_start(void **state)
{
	static const char *const places[] = { "/usr/lib/softhsm/libsofthsm2.so",
		"/usr/lib/*/softhsm/libsofthsm2.so", "/usr/lib64/*/libsofthsm2.so" };
	glob_t found = { 0 };
	size_t i;

	snprintf(world_dir, sizeof(world_dir), "/tmp/signet-token-XXXXXX");
	assert_non_null(mkdtemp(world_dir));
	for (i = 0; i < 3 && !world_module[0]; i++) {
		if (glob(places[i], 0, NULL, &found) == 0)
			snprintf(world_module, sizeof(world_module), "%s", found.gl_pathv[0]);
		globfree(&found);
	}
	assert_true(world_module[0] != 0);
	file_write("pin", WORLD_PIN "\n", strlen(WORLD_PIN) + 1);
	setenv("SOFTHSM_PIN_FILE", path_of("pin"), 1);
	if (RUN("softhsm-fixtures/softhsm.sh", path_of("hsm"), "alpha", "beta") != 0)
		fail_msg("softhsm.sh: %s", file_read("out"));
	setenv("SOFTHSM2_CONF", path_of("hsm/softhsm2.conf"), 1);
	return 0;
}

static MAYBE int world_stop(void **state)
{
	return RUN("rm", "-rf", world_dir) == 0 ? 0 : -1;
}

static MAYBE char *program(void)
{
	static char path[PATH_MAX];
	const char *own = getenv("SIGNET_TOKEN_BIN"), *bin = getenv("SIGNET_BIN");
	char name[512];

	if (own)
		snprintf(name, sizeof(name), "%s", own);
	else
		snprintf(name, sizeof(name), "%s/signet-token", bin ? bin : "build/bin");
	assert_non_null(realpath(name, path));
	return path;
}

static MAYBE void worker_start_with(
    struct worker *worker, const char *role, const char *module, const char *dirs)
{
	char *path = program();
	char role_arg[16], module_arg[256], dirs_arg[256];
	char a0[] = "signet-token", a1[] = "--role", a3[] = "--module", a5[] = "--module-dirs";
	char *argv[] = { a0, a1, role_arg, a3, module_arg, dirs ? a5 : NULL, dirs_arg, NULL };
	int sock;

	snprintf(role_arg, sizeof(role_arg), "%s", role);
	snprintf(module_arg, sizeof(module_arg), "%s", module);
	snprintf(dirs_arg, sizeof(dirs_arg), "%s", dirs ? dirs : "");
	memset(worker, 0, sizeof(*worker));
	assert_int_equal(sg_spawn_worker(path, argv, &worker->pid, &sock), 0);
	assert_int_equal(sg_channel_new(&worker->channel, sock), 0);
}

static MAYBE void worker_start(struct worker *worker, const char *role)
{
	worker_start_with(worker, role, world_module, NULL);
}

/* Closes the channel; gives the exit status, or minus the signal. */
static MAYBE int worker_stop(struct worker *worker)
{
	int status;

	sg_channel_free(worker->channel);
	worker->channel = NULL;
	assert_int_equal(waitpid(worker->pid, &status, 0), worker->pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* One request, its answer: of this type, or the test fails and says what came. Cleared by the caller. */
static MAYBE void ask_fd(struct worker *worker, uint16_t type, const void *msg, int fd,
    uint16_t wanted, struct sg_frame *answer)
{
	uint32_t id = ++worker->next_id;

	assert_int_equal(sg_channel_send(worker->channel, id, type, msg, fd), 0);
	assert_int_equal(sg_channel_recv(worker->channel, answer), 1);
	assert_int_equal(answer->id, id);
	if (answer->type == SG_MSG_ERROR && wanted != SG_MSG_ERROR) {
		const struct sg_msg_error *error = answer->msg;

		fail_msg(
		    "%s: %s", sg_err_name(-(int)error->code), error->message ? error->message : "");
	}
	assert_int_equal(answer->type, wanted);
}

static MAYBE void ask(
    struct worker *worker, uint16_t type, const void *msg, uint16_t wanted, struct sg_frame *answer)
{
	ask_fd(worker, type, msg, -1, wanted, answer);
}

/* A request that must fail with this code; the error is kept for looking at until the next call. */
static MAYBE const struct sg_msg_error *ask_error(
    struct worker *worker, uint16_t type, const void *msg, int fd, int code)
{
	static struct sg_frame last;
	const struct sg_msg_error *error;

	sg_frame_clear(&last);
	ask_fd(worker, type, msg, fd, SG_MSG_ERROR, &last);
	error = last.msg;
	if (-(int)error->code != code)
		fail_msg("%s instead of %s: %s", sg_err_name(-(int)error->code), sg_err_name(code),
		    error->message ? error->message : "");
	assert_non_null(error->message);
	return error;
}

/* A descriptor to read this from. */
static MAYBE int pipe_of(const char *text)
{
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(write(fds[1], text, strlen(text)), strlen(text));
	close(fds[1]);
	return fds[0];
}

#define TEXT(literal) ((char[]){ literal })

static MAYBE void login(struct worker *worker, char *token)
{
	struct sg_msg_token_login msg = { .token = token };
	struct sg_frame answer;
	int fd = pipe_of(WORLD_PIN "\n");

	ask_fd(worker, SG_MSG_TOKEN_LOGIN, &msg, fd, SG_MSG_OK, &answer);
	sg_frame_clear(&answer);
	close(fd);
}

static MAYBE void logout(struct worker *worker, char *token)
{
	struct sg_msg_token_ref msg = { .token = token };
	struct sg_frame answer;

	ask(worker, SG_MSG_TOKEN_LOGOUT, &msg, SG_MSG_OK, &answer);
	sg_frame_clear(&answer);
}

static MAYBE void generate(struct worker *worker, char *token, char *label, char *algorithm)
{
	struct sg_msg_key_generate msg = { .token = token, .label = label, .algorithm = algorithm };
	struct sg_frame answer;
	const struct sg_msg_objects *objects;

	ask(worker, SG_MSG_KEY_GENERATE, &msg, SG_MSG_OBJECTS, &answer);
	objects = answer.msg;
	assert_int_equal(objects->key_count, 1);
	assert_string_equal(objects->keys[0].label, label);
	assert_string_equal(objects->keys[0].algorithm, algorithm);
	assert_int_equal(objects->keys[0].id.len, 20);
	assert_true(objects->keys[0].spki.len > 0);
	assert_int_equal(
	    objects->keys[0].abilities & (SG_KEY_SENSITIVE | SG_KEY_EXTRACTABLE), SG_KEY_SENSITIVE);
	sg_frame_clear(&answer);
}

/* Asks for bytes, and writes them to a file. */
static MAYBE void ask_der(struct worker *worker, uint16_t type, const void *msg, const char *file)
{
	const struct sg_msg_der *der;
	struct sg_frame answer;

	ask(worker, type, msg, SG_MSG_DER, &answer);
	der = answer.msg;
	file_write(file, der->der.data, der->der.len);
	sg_frame_clear(&answer);
}

/* The public key of the key with this label, as a PEM file. */
static MAYBE void public_key(struct worker *worker, char *label, const char *file)
{
	struct sg_msg_object_list msg = { .selector = label };
	const struct sg_msg_objects *objects;
	struct sg_frame answer;

	ask(worker, SG_MSG_OBJECT_LIST, &msg, SG_MSG_OBJECTS, &answer);
	objects = answer.msg;
	assert_int_equal(objects->key_count, 1);
	file_write("spki.der", objects->keys[0].spki.data, objects->keys[0].spki.len);
	sg_frame_clear(&answer);
	assert_int_equal(RUN("openssl", "pkey", "-pubin", "-inform", "DER", "-in",
			     path_of("spki.der"), "-out", path_of(file)),
	    0);
}

/* A file as a blob; to be freed. */
static MAYBE struct sg_blob blob_read(const char *name)
{
	struct sg_blob blob = { 0 };
	unsigned char room[1 << 16];
	FILE *file = fopen(path_of(name), "r");
	size_t len;

	assert_non_null(file);
	len = fread(room, 1, sizeof(room), file);
	fclose(file);
	assert_int_equal(sg_blob_set(&blob, room, len), 0);
	return blob;
}

/* ---- the worker of a test that needs no other ---- */

static MAYBE struct worker worker;

static MAYBE int start(void **state)
{
	worker_start(&worker, "agent");
	return 0;
}

static MAYBE int start_unlocked(void **state)
{
	worker_start(&worker, "agent");
	login(&worker, TEXT("alpha"));
	return 0;
}

static MAYBE int stop(void **state)
{
	int status = worker_stop(&worker);

	if (status != 0)
		fprintf(stderr, "the worker ended with %d\n", status);
	return status;
}

#endif
