#include "agent_call.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "command.h"
#include "print.h"

/* What a person is told when a call takes longer than so many seconds, each once: the first only on
 * a terminal, the second in any case. */
static struct {
	unsigned seconds;
	char text[200];
	size_t len;
} waiting[] = { { .seconds = 1 }, { .seconds = 10 } };
#define WAITING_COUNT (sizeof(waiting) / sizeof(waiting[0]))

static volatile sig_atomic_t waiting_next;

/* Whether somebody reads from the terminal without echo: a pinentry. */
static int terminal_is_taken(void)
{
	struct termios state;

	return tcgetattr(STDERR_FILENO, &state) == 0 &&
	    (state.c_lflag & (ECHO | ICANON)) != (ECHO | ICANON);
}

/* The client library waits in the kernel: only a signal comes through. Nothing is written into the
 * screen of a pinentry. */
static void tell_waiting(int number)
{
	int saved = errno;
	sig_atomic_t at = waiting_next;

	if (terminal_is_taken()) {
		alarm(waiting[0].seconds);
	} else if (write(STDERR_FILENO, waiting[at].text, waiting[at].len) >= 0 &&
	    at + 1 < (sig_atomic_t)WAITING_COUNT) {
		waiting_next = at + 1;
		alarm(waiting[at + 1].seconds - waiting[at].seconds);
	}
	errno = saved;
}

static void waiting_set(size_t at, const char *before, const char *waits, const char *after)
{
	int n = snprintf(
	    waiting[at].text, sizeof(waiting[at].text), "signet: %s%s%s\n", before, waits, after);

	waiting[at].len = n > 0 && n < (int)sizeof(waiting[at].text) ? (size_t)n : 0;
}

static void start_waiting(const struct sg_cli *cli)
{
	struct sigaction action = { .sa_handler = tell_waiting, .sa_flags = SA_RESTART };
	const char *waits = cli->command->waits != NULL ? cli->command->waits : "the agent";

	if (sg_args_has(&cli->args, SG_OPT_JSON))
		return;
	waiting_set(0, "waiting for ", waits, "...");
	waiting_set(1, "the agent has not answered yet; still waiting for ", waits, "");
	waiting_next = isatty(STDERR_FILENO) ? 0 : 1;
	sigaction(SIGALRM, &action, NULL);
	alarm(waiting[waiting_next].seconds);
}

static int connect_agent(struct sg_cli *cli)
{
	const char *path = cli->args.value[SG_OPT_SOCKET];
	char *own = NULL;
	int err = 0;

	if (cli->client != NULL)
		return 0;
	if (path == NULL)
		path = own = sg_client_socket_path();
	err = path != NULL ? sg_client_connect(path, &cli->client) : SG_ERR_NOMEM;
	if (err == SG_ERR_AGENT_ABSENT)
		err = sg_cli_fail(cli, err, NULL, "no agent listens on %s", path);
	else if (err == SG_ERR_DENIED)
		err = sg_cli_fail(cli, err,
		    "Use the socket of your own agent; SIGNET_SOCK names another.",
		    "the socket %s belongs to another user", path);
	else if (err != 0)
		err = sg_cli_fail(cli, err,
		    err == SG_ERR_IO ? "Check the path of the socket (--socket, SIGNET_SOCK)."
				     : NULL,
		    "the agent's socket %s cannot be used%s%s", path != NULL ? path : "",
		    err == SG_ERR_IO ? ": " : "", err == SG_ERR_IO ? strerror(errno) : "");
	free(own);
	return err;
}

/* What went wrong between us and the agent, as opposed to what it answered. */
static int fail_transport(struct sg_cli *cli, int err, const char *message)
{
	if (err == SG_ERR_IO)
		return sg_cli_fail(cli, SG_ERR_AGENT_ABSENT,
		    "See its log for the cause, start it again if it has ended, then try again.",
		    "the agent went away during the call");
	if (err == SG_ERR_LIMIT)
		return sg_cli_fail(
		    cli, err, NULL, "the %s is larger than a message may be", message);
	return sg_cli_fail(cli, err, NULL, "the %s cannot be understood", message);
}

static void show_progress(const struct sg_cli *cli, const json_t *progress)
{
	const char *text = sg_member(progress, "text", NULL);

	if (text == NULL || sg_args_has(&cli->args, SG_OPT_JSON))
		return;
	fputs("signet: ", stderr);
	sg_print_text(stderr, text);
	fputc('\n', stderr);
}

/* Replies up to the last one. */
static int wait_reply(struct sg_cli *cli, json_t **reply)
{
	char *error = NULL;
	int continues = 0, err;

	do {
		json_decref(*reply);
		*reply = NULL;
		err = sg_client_reply(cli->client, reply, &error, &continues);
		alarm(0);
		if (err != 0)
			return fail_transport(cli, err, "agent's answer");
		if (error != NULL) {
			err = sg_cli_fail_reply(cli, error, *reply);
			*reply = NULL;
			return err;
		}
		if (continues)
			show_progress(cli, *reply);
	} while (continues);
	return 0;
}

static int call_once(struct sg_cli *cli, const char *method, const json_t *parameters,
    unsigned flags, json_t **reply)
{
	struct sg_call_fds fds = { .count = 0 };
	json_t *copy = json_deep_copy(parameters);
	char full[64];
	int err = copy != NULL ? 0 : SG_ERR_NOMEM;

	*reply = NULL;
	(void)snprintf(full, sizeof(full), "org.signet.Agent.%s", method);
	if (err == 0 && (flags & SG_CALL_PIN) != 0)
		err = sg_secret_args_pin(cli, copy, &fds);
	if (err == 0 && (flags & SG_CALL_PASSWORD) != 0)
		err = sg_secret_args_password(cli, copy, &fds);
	if (err == 0) {
		start_waiting(cli);
		err = connect_agent(cli);
	}
	if (err == 0) {
		err = sg_client_call(
		    cli->client, full, copy, fds.fds, fds.count, (flags & SG_CALL_MORE) != 0);
		copy = NULL;
		if (err != 0)
			err = fail_transport(cli, err, "call");
		else
			err = wait_reply(cli, reply);
	}
	alarm(0);
	json_decref(copy);
	sg_call_fds_close(&fds);
	return err;
}

int sg_agent_call(struct sg_cli *cli, const char *method, json_t *parameters, unsigned flags,
    const char *account, json_t **reply)
{
	int err;

	*reply = NULL;
	if (parameters == NULL)
		return sg_cli_fail(
		    cli, SG_ERR_ARG, "Write it in UTF-8.", "an argument is not valid UTF-8");
	err = call_once(cli, method, parameters, flags, reply);
	if (err == SG_ERR_PASSWORD_NEEDED && (flags & SG_CALL_PASSWORD) != 0 && account != NULL) {
		int asked = sg_secret_args_ask(cli, account);

		if (asked == 1) {
			sg_cli_forget(cli);
			err = call_once(cli, method, parameters, flags, reply);
		}
	}
	json_decref(parameters);
	return err;
}

int sg_agent_call_named(struct sg_cli *cli, const char *method, const char *member,
    const char *text, unsigned flags, json_t **reply)
{
	char *name = NULL;
	int err;

	*reply = NULL;
	err = sg_secret_args_name(cli, text, &name);
	if (err == 0)
		err = sg_agent_call(
		    cli, method, json_pack("{s:s}", member, name), flags, NULL, reply);
	free(name);
	return err;
}
