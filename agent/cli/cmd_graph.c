#include "cmd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent_call.h"
#include "clock.h"
#include "dot.h"
#include "files.h"
#include "print.h"
#include "spawn.h"

#define KEYS_MAX       3000	   /* that are asked for */
#define DOT_SECONDS    INT64_C(20) /* until dot is ended */
#define DOT_MEMORY_MAX (UINT64_C(2) << 30)

/* ---- the graph ---- */

/* The pages of Graph; complete: whether there are no more. */
static int fetch(struct sg_cli *cli, json_t *all)
{
	json_t *parameters = json_pack("{s:s*}", "account", cli->args.value[SG_OPT_ACCOUNT]);
	int err;

	do
		err = sg_agent_page(cli, "Graph", parameters, all);
	while (err == 1 && json_array_size(json_object_get(all, "keys")) < KEYS_MAX);
	json_decref(parameters);
	if (err < 0)
		return err;
	return json_object_set_new(all, "complete", json_boolean(err == 0)) == 0 ? 0 : SG_ERR_NOMEM;
}

/* ---- dot, as a child ---- */

#define EXIT_ABSENT 127 /* as of a shell: there is no such program */

/* In the child. Never returns. */
static void run_dot(int sock)
{
	const struct rlimit memory = { DOT_MEMORY_MAX, DOT_MEMORY_MAX };
	const struct rlimit seconds = { DOT_SECONDS, DOT_SECONDS };

	if (dup2(sock, STDIN_FILENO) < 0 || dup2(sock, STDOUT_FILENO) < 0)
		_exit(EXIT_ABSENT);
	closefrom(STDERR_FILENO + 1);
	(void)setrlimit(RLIMIT_AS, &memory);
	(void)setrlimit(RLIMIT_CPU, &seconds);
	execlp("dot", "dot", "-Tsvg", (char *)NULL);
	_exit(EXIT_ABSENT);
}

/* Sends what the socket takes; closes our direction at the end. */
static int feed(int sock, const struct sg_buf *text, size_t *sent)
{
	ssize_t got = send(sock, text->data + *sent, text->len - *sent, MSG_NOSIGNAL);

	if (got < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : SG_ERR_IO;
	*sent += (size_t)got;
	if (*sent == text->len)
		(void)shutdown(sock, SHUT_WR);
	return 0;
}

/* Takes what is there; *ended at the end of it. */
static int take(int sock, struct sg_buf *svg, int *ended)
{
	static char bytes[65536];
	ssize_t got = read(sock, bytes, sizeof(bytes));

	if (got < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : SG_ERR_IO;
	*ended = got == 0;
	sg_buf_put(svg, bytes, (size_t)got);
	return svg->err == 0 ? 0 : SG_ERR_LIMIT;
}

/* Feeds the text and reads what comes, until the child has closed its end. SG_ERR_TIMEOUT,
 * SG_ERR_IO, SG_ERR_LIMIT. */
static int exchange(int sock, const struct sg_buf *text, struct sg_buf *svg)
{
	int64_t deadline = sg_clock_ms() + DOT_SECONDS * 1000;
	size_t sent = 0;
	int err = 0, ended = 0;

	while (err == 0 && !ended) {
		struct pollfd polled = { .fd = sock, .events = POLLIN };
		int64_t left = deadline - sg_clock_ms();

		if (sent < text->len)
			polled.events |= POLLOUT;
		if (left <= 0)
			return SG_ERR_TIMEOUT;
		if (poll(&polled, 1, (int)left) < 0) {
			err = errno == EINTR ? 0 : SG_ERR_IO;
			continue;
		}
		if (polled.revents & POLLOUT)
			err = feed(sock, text, &sent);
		if (err == 0 && (polled.revents & (POLLIN | POLLHUP | POLLERR)))
			err = take(sock, svg, &ended);
	}
	return err;
}

/* Its exit status; one that a signal ended, or that we end here, has none: -1. */
static int reap(pid_t child, int kill_it)
{
	int status;

	if (kill_it)
		(void)kill(child, SIGKILL);
	while (waitpid(child, &status, 0) < 0) {
		if (errno != EINTR)
			return -1;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int svg_fail(struct sg_cli *cli, int err, int status)
{
	static const char advice[] =
	    "Write the graph to a file that ends in .dot, and look at what dot makes of it.";

	if (status == EXIT_ABSENT)
		return sg_cli_fail(cli, SG_ERR_UNSUPPORTED,
		    "Install Graphviz, or write the graph to a file that ends in .dot.",
		    "there is no SVG without the program 'dot' of Graphviz");
	if (err == SG_ERR_TIMEOUT)
		return sg_cli_fail(
		    cli, err, advice, "dot did not draw it within %d seconds", (int)DOT_SECONDS);
	return sg_cli_fail(cli, SG_ERR_IO, advice, "dot could not draw it");
}

/* The DOT as SVG. */
static int draw(struct sg_cli *cli, const struct sg_buf *dot, struct sg_buf *svg)
{
	int socks[2], err, status;
	pid_t child;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, socks) != 0)
		return SG_ERR_IO;
	child = sg_spawn_fork();
	if (child == 0)
		run_dot(socks[1]);
	close(socks[1]);
	err = child < 0 || fcntl(socks[0], F_SETFL, O_NONBLOCK) != 0 ? SG_ERR_IO : 0;
	if (err == 0)
		err = exchange(socks[0], dot, svg);
	close(socks[0]);
	status = child > 0 ? reap(child, err != 0 && err != SG_ERR_IO) : -1;
	if (err == 0 && status == 0 && svg->len > 0)
		return 0;
	return svg_fail(cli, err, status);
}

/* ---- the command ---- */

static int ends_in(const char *text, const char *end)
{
	size_t len = strlen(text), end_len = strlen(end);

	return len > end_len && strcmp(text + len - end_len, end) == 0;
}

static int write_picture(struct sg_cli *cli, struct sg_file_out *out, const json_t *graph)
{
	struct sg_buf dot = { 0 }, svg = { 0 };
	int is_svg = out->path != NULL && ends_in(out->path, ".svg");
	int err;

	sg_dot_write(&dot, json_object_get(graph, "keys"), json_object_get(graph, "edges"));
	err = dot.err;
	if (err == 0 && is_svg)
		err = draw(cli, &dot, &svg);
	if (err == 0 && out->path != NULL)
		err = is_svg ? sg_file_out_write(cli, out, svg.data, svg.len)
			     : sg_file_out_write(cli, out, dot.data, dot.len);
	else if (err == 0 && !sg_args_has(&cli->args, SG_OPT_JSON))
		(void)fwrite(dot.data, 1, dot.len, stdout);
	sg_buf_clear(&dot);
	sg_buf_clear(&svg);
	return err;
}

int sg_graph(struct sg_cli *cli, json_t **result)
{
	const char *path = cli->args.value[SG_OPT_OUTPUT];
	json_t *graph = json_pack("{s:[], s:[]}", "keys", "edges");
	struct sg_file_out out = { 0 };
	int err = graph != NULL ? 0 : SG_ERR_NOMEM;

	if (err == 0 && path != NULL && !ends_in(path, ".dot") && !ends_in(path, ".svg"))
		err = sg_cli_fail(cli, SG_ERR_ARG, "Name a file that ends in .dot or .svg.",
		    "'%s' is neither DOT nor SVG", path);
	if (err == 0)
		err = sg_file_out_open(cli, path, &out);
	if (err == 0)
		err = fetch(cli, graph);
	if (err == 0)
		err = write_picture(cli, &out, graph);
	sg_file_out_clear(&out);
	if (err == 0)
		*result = json_incref(graph);
	json_decref(graph);
	return err;
}

void sg_graph_show(const struct sg_cli *cli, const json_t *result)
{
	const char *path = cli->args.value[SG_OPT_OUTPUT];

	if (path != NULL) {
		sg_print_field("written", path);
		printf("%-*s%zu\n", SG_FIELD_COLUMN,
		    "keys:", json_array_size(json_object_get(result, "keys")));
	}
	if (!json_is_true(json_object_get(result, "complete")))
		fprintf(stderr, "signet: only the first %d keys are drawn\n", KEYS_MAX);
}
