#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "capture.h"
#include "client.h"

static char folder[] = "/tmp/signet-client-XXXXXX";
static char path[64];

/* Listens on the path; the kernel completes a connect before it is accepted, so one process can be
 * both ends. */
static int agent_listen(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	unlink(path);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, 5), 0);
	return fd;
}

/* A connected client, and the agent's end of its connection. */
static void pair_new(struct sg_client **client, int *agent)
{
	int listener = agent_listen();

	assert_int_equal(sg_client_connect(path, client), 0);
	*agent = accept(listener, NULL, NULL);
	assert_true(*agent >= 0);
	close(listener);
}

static int folder_make(void **state)
{
	if (mkdtemp(folder) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/agent.sock", folder);
	return 0;
}

static int folder_remove(void **state)
{
	unlink(path);
	return rmdir(folder);
}

static void where_the_agent_listens(void **state)
{
	char want[64];
	char *got;

	setenv("SIGNET_SOCK", "/tmp/a.sock", 1);
	setenv("XDG_RUNTIME_DIR", "/run/user/7", 1);
	got = sg_client_socket_path();
	assert_string_equal(got, "/tmp/a.sock");
	free(got);
	setenv("SIGNET_SOCK", "", 1);
	got = sg_client_socket_path();
	assert_string_equal(got, "/run/user/7/signet/agent.sock");
	free(got);
	unsetenv("SIGNET_SOCK");
	snprintf(want, sizeof(want), "/run/user/%u/signet/agent.sock", (unsigned)getuid());
	setenv("XDG_RUNTIME_DIR", "relative", 1); /* not an absolute path: ignored, as XDG says */
	got = sg_client_socket_path();
	assert_string_equal(got, want);
	free(got);
	unsetenv("XDG_RUNTIME_DIR");
	got = sg_client_socket_path();
	assert_string_equal(got, want);
	free(got);
}

static void no_agent(void **state)
{
	struct sg_client *client = (void *)1;
	struct capture capture;
	char long_path[300];
	int listener;

	assert_int_equal(sg_client_connect(path, &client), SG_ERR_AGENT_ABSENT);
	assert_null(client);
	assert_int_equal(sg_client_connect("/dev/null/agent.sock", &client), SG_ERR_AGENT_ABSENT);
	listener = agent_listen();
	close(listener); /* its file stays, as after a crash */
	assert_int_equal(sg_client_connect(path, &client), SG_ERR_AGENT_ABSENT);
	memset(long_path, 'a', sizeof(long_path));
	long_path[0] = '/';
	long_path[sizeof(long_path) - 1] = '\0';
	capture_begin(&capture);
	assert_int_equal(sg_client_connect(long_path, &client), SG_ERR_IO);
	capture_end(&capture);
	setenv("SIGNET_SOCK", path, 1);
	assert_int_equal(sg_client_connect(NULL, &client), SG_ERR_AGENT_ABSENT);
	unsetenv("SIGNET_SOCK");
}

/* Only root can be somebody else for a moment. */
static void another_users_socket_is_refused(void **state)
{
	struct sg_client *client;
	struct capture capture;
	int fds[2];
	char byte;
	pid_t pid;

	if (geteuid() != 0)
		skip();
	unlink(path);
	assert_int_equal(chown(folder, 65534, (gid_t)-1), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	pid = fork();
	if (pid == 0) {
		if (setgid(65534) != 0 || setuid(65534) != 0)
			_exit(1);
		agent_listen();
		if (write(fds[1], "r", 1) != 1 || read(fds[1], &byte, 1) != 1)
			_exit(1);
		_exit(0);
	}
	close(fds[1]);
	assert_int_equal(read(fds[0], &byte, 1), 1);
	capture_begin(&capture);
	assert_int_equal(sg_client_connect(path, &client), SG_ERR_DENIED);
	capture_end(&capture);
	assert_null(client);
	assert_non_null(strstr(capture.text, "belongs to uid 65534"));
	assert_int_equal(write(fds[0], "x", 1), 1);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	close(fds[0]);
	assert_int_equal(chown(folder, 0, (gid_t)-1), 0);
}

static void call_is_json_and_a_nul(void **state)
{
	static const char plain[] = "{\"parameters\":{},\"method\":\"org.signet.Agent.Status\"}";
	static const char full[] = "{\"parameters\":{\"jid\":\"a@b\"},\"method\":\"org.signet."
				   "Agent.Enrol\",\"more\":true}";
	struct sg_client *client;
	char bytes[1000];
	int agent;

	pair_new(&client, &agent);
	assert_int_equal(sg_client_call(client, "org.signet.Agent.Status", NULL, NULL, 0, 0), 0);
	assert_int_equal(recv(agent, bytes, sizeof(bytes), 0), sizeof(plain));
	assert_memory_equal(bytes, plain, sizeof(plain));
	assert_int_equal(sg_client_call(client, "org.signet.Agent.Enrol",
			     json_pack("{s:s}", "jid", "a@b"), NULL, 0, 1),
	    0);
	assert_int_equal(recv(agent, bytes, sizeof(bytes), 0), sizeof(full));
	assert_memory_equal(bytes, full, sizeof(full));
	sg_client_free(client);
	close(agent);
	sg_client_free(NULL);
}

static void descriptors_go_with_the_first_byte(void **state)
{
	union {
		char bytes[CMSG_SPACE(8 * sizeof(int))];
		struct cmsghdr align;
	} control;
	char byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr hdr = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes) };
	struct cmsghdr *cmsg;
	struct sg_client *client;
	int fds[SG_API_FDS_MAX + 1], got[SG_API_FDS_MAX];
	int agent;

	for (int i = 0; i <= SG_API_FDS_MAX; i++) {
		fds[i] = memfd_create("n", MFD_CLOEXEC);
		assert_int_equal(ftruncate(fds[i], 100 + i), 0);
	}
	pair_new(&client, &agent);
	assert_int_equal(
	    sg_client_call(client, "a.b.C", NULL, fds, SG_API_FDS_MAX + 1, 0), SG_ERR_LIMIT);
	assert_int_equal(recv(agent, &byte, 1, MSG_DONTWAIT), -1);
	assert_int_equal(sg_client_call(client, "a.b.C", NULL, fds, SG_API_FDS_MAX, 0), 0);
	assert_int_equal(recvmsg(agent, &hdr, MSG_CMSG_CLOEXEC), 1);
	assert_int_equal(byte, '{');
	cmsg = CMSG_FIRSTHDR(&hdr);
	assert_non_null(cmsg);
	assert_int_equal(cmsg->cmsg_len, CMSG_LEN(sizeof(got)));
	memcpy(got, CMSG_DATA(cmsg), sizeof(got));
	for (int i = 0; i < SG_API_FDS_MAX; i++) {
		struct stat st;

		assert_int_equal(fstat(got[i], &st), 0);
		assert_int_equal(st.st_size, 100 + i);
		close(got[i]);
	}
	for (int i = 0; i <= SG_API_FDS_MAX; i++)
		assert_int_equal(close(fds[i]), 0); /* they stayed ours */
	sg_client_free(client);
	close(agent);
}

static int interrupted; /* the end of a pipe that is told */

static void tell(int sig)
{
	if (write(interrupted, "i", 1) != 1)
		abort();
}

/* The agent's end in a process of its own: reads once the writer has been interrupted; its status is
 * the number of descriptors that came with the whole call. */
static void agent_count(int agent, int wait_for)
{
	size_t fds = 0;
	ssize_t n;

	if (read(wait_for, &n, 1) != 1)
		_exit(100);
	do {
		union {
			char bytes[CMSG_SPACE(8 * sizeof(int))];
			struct cmsghdr align;
		} control;
		static char text[65536];
		struct iovec iov = { text, sizeof(text) };
		struct msghdr hdr = { .msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = control.bytes,
			.msg_controllen = sizeof(control.bytes) };
		struct cmsghdr *cmsg;

		n = recvmsg(agent, &hdr, 0);
		cmsg = n > 0 ? CMSG_FIRSTHDR(&hdr) : NULL;
		if (cmsg != NULL)
			fds += (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		if (n > 0 && memchr(text, '\0', (size_t)n) != NULL)
			break;
	} while (n > 0);
	_exit((int)fds);
}

/* A call that is written in two parts, since a signal came between, passes its descriptors once. */
static void descriptors_go_only_once(void **state)
{
	const struct itimerval soon = { .it_value = { 0, 20000 } };
	struct sigaction action = { .sa_handler = tell }, old;
	char *text = malloc(900001);
	struct sg_client *client;
	int agent, status, fds[2];
	pid_t pid;

	memset(text, 'x', 900000);
	text[900000] = '\0';
	pair_new(&client, &agent);
	assert_int_equal(pipe(fds), 0);
	interrupted = fds[1];
	pid = fork();
	if (pid == 0)
		agent_count(agent, fds[0]);
	close(agent);
	assert_int_equal(sigaction(SIGALRM, &action, &old), 0);
	assert_int_equal(setitimer(ITIMER_REAL, &soon, NULL), 0);
	assert_int_equal(
	    sg_client_call(client, "a.b.C", json_pack("{s:s}", "t", text), fds, 2, 0), 0);
	assert_int_equal(sigaction(SIGALRM, &old, NULL), 0);
	sg_client_free(client);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 2);
	close(fds[0]);
	close(fds[1]);
	free(text);
}

static void call_has_a_limit(void **state)
{
	char *text = malloc(SG_API_MESSAGE_MAX + 1);
	struct sg_client *client;
	char byte;
	int agent;

	memset(text, 'x', SG_API_MESSAGE_MAX);
	text[SG_API_MESSAGE_MAX] = '\0';
	pair_new(&client, &agent);
	assert_int_equal(sg_client_call(client, "a.b.C", json_pack("{s:s}", "t", text), NULL, 0, 0),
	    SG_ERR_LIMIT);
	assert_int_equal(recv(agent, &byte, 1, MSG_DONTWAIT), -1); /* nothing was sent */
	free(text);
	sg_client_free(client);
	close(agent);
}

static void replies_in_order(void **state)
{
	static const char replies[] =
	    "{\"parameters\":{\"step\":\"one\"},\"continues\":true}\0"
	    "{}\0"
	    "{\"error\":\"org.signet.Agent.PinWrong\",\"parameters\":{\"n\":1}}";
	struct sg_client *client;
	json_t *parameters;
	char *error;
	int agent, continues;

	pair_new(&client, &agent);
	assert_int_equal(send(agent, replies, sizeof(replies), 0), sizeof(replies));
	assert_int_equal(sg_client_reply(client, &parameters, &error, &continues), 0);
	assert_string_equal(json_string_value(json_object_get(parameters, "step")), "one");
	assert_null(error);
	assert_int_equal(continues, 1);
	json_decref(parameters);
	assert_int_equal(sg_client_reply(client, &parameters, &error, &continues), 0);
	assert_int_equal(json_object_size(parameters), 0);
	assert_int_equal(continues, 0);
	json_decref(parameters);
	assert_int_equal(sg_client_reply(client, &parameters, &error, &continues), 0);
	assert_string_equal(error, "org.signet.Agent.PinWrong");
	assert_int_equal(json_integer_value(json_object_get(parameters, "n")), 1);
	json_decref(parameters);
	free(error);
	close(agent);
	assert_int_equal(sg_client_reply(client, &parameters, &error, &continues), SG_ERR_IO);
	assert_null(parameters);
	assert_int_equal(sg_client_call(client, "a.b.C", NULL, NULL, 0, 0), SG_ERR_IO);
	sg_client_free(client);
}

/* Writes the bytes from another process, as they may be more than the socket holds, in pieces of this
 * size, then closes; gives what the client makes of them. */
static int reply_to(const char *bytes, size_t len, size_t piece, json_t **parameters)
{
	struct sg_client *client;
	char *error = NULL;
	int agent, continues, err;
	pid_t pid;

	pair_new(&client, &agent);
	pid = fork();
	if (pid == 0) {
		for (size_t at = 0; at < len; at += piece) {
			if (send(agent, bytes + at, len - at < piece ? len - at : piece,
				MSG_NOSIGNAL) < 0)
				_exit(0); /* the client has had enough */
		}
		_exit(0);
	}
	close(agent);
	err = sg_client_reply(client, parameters, &error, &continues);
	free(error);
	sg_client_free(client);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_true(err == 0 || *parameters == NULL);
	return err;
}

static void reply_in_pieces(void **state)
{
	static const char reply[] = "{\"parameters\":{\"a\":\"b\"}}";
	json_t *parameters;

	assert_int_equal(reply_to(reply, sizeof(reply), 1, &parameters), 0);
	assert_int_equal(json_object_size(parameters), 1);
	json_decref(parameters);
	assert_int_equal(reply_to(reply, sizeof(reply) - 1, 1, &parameters), SG_ERR_IO);
}

/* A reply longer than one read, and a short one at once behind it. */
/* What is there already is given at once, and nothing is waited for. */
static void replies_without_waiting(void **state)
{
	static const char two[] =
	    "{\"parameters\":{\"n\":1},\"continues\":true}\0{\"parameters\":{}}";
	struct sg_client *client;
	json_t *parameters;
	char *error;
	int agent, continues;

	pair_new(&client, &agent);
	assert_int_equal(sg_client_reply_now(client, &parameters, &error, &continues), SG_ERR_BUSY);
	assert_null(parameters);
	assert_null(error);
	assert_int_equal(write(agent, two, 10), 10);
	assert_int_equal(sg_client_reply_now(client, &parameters, &error, &continues), SG_ERR_BUSY);
	assert_int_equal(write(agent, two + 10, sizeof(two) - 10), (ssize_t)sizeof(two) - 10);
	assert_int_equal(sg_client_reply_now(client, &parameters, &error, &continues), 0);
	assert_int_equal(json_integer_value(json_object_get(parameters, "n")), 1);
	assert_int_equal(continues, 1);
	json_decref(parameters);
	assert_int_equal(sg_client_reply_now(client, &parameters, &error, &continues), 0);
	assert_int_equal(continues, 0);
	json_decref(parameters);
	assert_int_equal(sg_client_reply_now(client, &parameters, &error, &continues), SG_ERR_BUSY);
	close(agent);
	assert_int_equal(sg_client_reply_now(client, &parameters, &error, &continues), SG_ERR_IO);
	assert_true(sg_client_fd(client) >= 0);
	sg_client_free(client);
}

static void short_reply_after_a_long_one(void **state)
{
	static const char head[] = "{\"parameters\":{\"a\":\"", tail[] = "\"}}\0{}";
	static char text[40000];
	struct sg_client *client;
	json_t *parameters;
	char *error;
	int agent, continues;

	memset(text, 'x', sizeof(text));
	memcpy(text, head, sizeof(head) - 1);
	memcpy(text + sizeof(text) - sizeof(tail), tail, sizeof(tail));
	pair_new(&client, &agent);
	assert_int_equal(send(agent, text, sizeof(text), 0), sizeof(text));
	assert_int_equal(sg_client_reply(client, &parameters, &error, &continues), 0);
	assert_int_equal(json_object_size(parameters), 1);
	json_decref(parameters);
	assert_int_equal(sg_client_reply(client, &parameters, &error, &continues), 0);
	assert_int_equal(json_object_size(parameters), 0);
	json_decref(parameters);
	sg_client_free(client);
	close(agent);
}

static void reply_has_a_limit(void **state)
{
	static const char head[] = "{\"parameters\":{\"a\":\"", tail[] = "\"}}";
	size_t room = SG_API_MESSAGE_MAX + 1000;
	char *text = malloc(room);
	json_t *parameters;

	/* the largest message: 1 MiB with its NUL */
	memset(text, 'x', room);
	memcpy(text, head, sizeof(head) - 1);
	memcpy(text + SG_API_MESSAGE_MAX - sizeof(tail), tail, sizeof(tail));
	assert_int_equal(reply_to(text, SG_API_MESSAGE_MAX, 4096, &parameters), 0);
	json_decref(parameters);
	/* one byte more */
	memset(text + SG_API_MESSAGE_MAX - sizeof(tail), 'x', sizeof(tail));
	memcpy(text + SG_API_MESSAGE_MAX - sizeof(tail) + 1, tail, sizeof(tail));
	assert_int_equal(reply_to(text, SG_API_MESSAGE_MAX + 1, 65536, &parameters), SG_ERR_LIMIT);
	/* no end at all */
	memset(text, 'x', room);
	assert_int_equal(reply_to(text, room, 65536, &parameters), SG_ERR_LIMIT);
	free(text);
}

static int reply_of_depth(size_t depth)
{
	char text[256] =
	    "{\"parameters\":{\"s\":\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[[\",\"a\":";
	json_t *parameters;
	int err;

	for (size_t i = 2; i < depth; i++)
		strncat(text, "[", 2);
	for (size_t i = 2; i < depth; i++)
		strncat(text, "]", 2);
	strncat(text, "}}", 3);
	err = reply_to(text, strlen(text) + 1, 1000, &parameters);
	json_decref(parameters);
	return err;
}

static void reply_has_a_depth(void **state)
{
	assert_int_equal(reply_of_depth(3), 0);
	assert_int_equal(reply_of_depth(SG_API_DEPTH_MAX), 0);
	assert_int_equal(reply_of_depth(SG_API_DEPTH_MAX + 1), SG_ERR_LIMIT);
}

static void malformed_replies(void **state)
{
	static const char *const bad[] = { "", "{", "[]", "1", "\"a\"", "null", "{} {}",
		"{\"parameters\":[]}", "{\"parameters\":null}", "{\"error\":1}",
		"{\"continues\":1}", "{\"error\":\"a\",\"continues\":true}",
		"{\"error\":\"a\",\"error\":\"b\"}", "{\"parameters\":{\"a\":\"\xff\"}}", "}]",
		"\"\\" };
	json_t *parameters;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(
		    reply_to(bad[i], strlen(bad[i]) + 1, 1000, &parameters), SG_ERR_FORMAT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(where_the_agent_listens),
		cmocka_unit_test(no_agent),
		cmocka_unit_test(another_users_socket_is_refused),
		cmocka_unit_test(call_is_json_and_a_nul),
		cmocka_unit_test(descriptors_go_with_the_first_byte),
		cmocka_unit_test(descriptors_go_only_once),
		cmocka_unit_test(call_has_a_limit),
		cmocka_unit_test(replies_in_order),
		cmocka_unit_test(reply_in_pieces),
		cmocka_unit_test(replies_without_waiting),
		cmocka_unit_test(short_reply_after_a_long_one),
		cmocka_unit_test(reply_has_a_limit),
		cmocka_unit_test(reply_has_a_depth),
		cmocka_unit_test(malformed_replies),
	};

	return cmocka_run_group_tests_name("client", tests, folder_make, folder_remove);
}
