#include "agent_call.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "print.h"
#include "waiting.h"

const char *sg_agent_path(struct sg_cli *cli)
{
	const char *given = cli->args.value[SG_OPT_SOCKET];

	if (cli->socket_path == NULL)
		cli->socket_path = given != NULL ? strdup(given) : sg_client_socket_path();
	return cli->socket_path;
}

static int connect_agent(struct sg_cli *cli)
{
	const char *path = sg_agent_path(cli);
	int err;

	if (cli->client != NULL)
		return 0;
	err = path != NULL ? sg_client_connect(path, &cli->client) : SG_ERR_NOMEM;
	if (err == SG_ERR_AGENT_ABSENT)
		err = sg_cli_fail(cli, err,
		    "Start signetd, or set SIGNET_SOCK to the socket where it listens; `signet "
		    "doctor` looks for the cause.",
		    "no agent listens on %s", path);
	else if (err == SG_ERR_DENIED)
		err = sg_cli_fail(cli, err,
		    "Use the socket of your own agent; SIGNET_SOCK names another.",
		    "the socket %s belongs to another user, or may not be used", path);
	else if (err != 0)
		err = sg_cli_fail(cli, err,
		    err == SG_ERR_IO ? "Check the path of the socket (--socket, SIGNET_SOCK)."
				     : NULL,
		    "the agent's socket %s cannot be used%s%s", path != NULL ? path : "",
		    err == SG_ERR_IO ? ": " : "", err == SG_ERR_IO ? strerror(errno) : "");
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

static int show_progress(struct sg_cli *cli, const json_t *progress)
{
	const char *text = sg_member(progress, "text", NULL);

	if (text == NULL || sg_args_has(&cli->args, SG_OPT_JSON))
		return 0;
	fputs("signet: ", stderr);
	sg_print_text(stderr, text);
	fputc('\n', stderr);
	return 0;
}

/* Keeps what a reply has that is not the last one. */
static int gather(struct sg_cli *cli, const json_t *reply)
{
	return json_array_extend(cli->gathered, json_object_get(reply, cli->gathers)) == 0
	    ? 0
	    : SG_ERR_FORMAT;
}

/* The last reply gets what was kept before its own. Null: the keys cannot be told, and there was no other reply. */
static int put_gathered(struct sg_cli *cli, json_t *reply)
{
	json_t *last = json_object_get(reply, cli->gathers);

	if (json_is_null(last) && json_array_size(cli->gathered) == 0)
		return 0;
	return json_array_extend(cli->gathered, last) == 0 &&
		json_object_set(reply, cli->gathers, cli->gathered) == 0
	    ? 0
	    : SG_ERR_FORMAT;
}

/* Replies up to the last one; those before it are shown. What the waiting itself has told or noted
 * is left as it is. */
static int read_replies(
    struct sg_cli *cli, struct sg_waiting *waiting, sg_reply_fn *show, json_t **reply)
{
	char *error = NULL;
	int continues = 0, err;

	do {
		json_decref(*reply);
		*reply = NULL;
		err = sg_waiting_reply(waiting, reply, &error, &continues);
		if (err != 0 && (cli->signal != 0 || err == SG_ERR_DENIED))
			return err;
		if (err != 0)
			return fail_transport(cli, err, "agent's answer");
		if (error != NULL) {
			err = sg_cli_fail_reply(cli, error, *reply);
			*reply = NULL;
			return err;
		}
		if (continues && (err = show(cli, *reply)) != 0)
			return err;
	} while (continues);
	return 0;
}

static int wait_replies(struct sg_cli *cli, unsigned flags, sg_reply_fn *show, json_t **reply)
{
	struct sg_waiting waiting;
	int err = sg_waiting_start(&waiting, cli, flags);

	if (err == 0)
		err = read_replies(cli, &waiting, show, reply);
	sg_waiting_end(&waiting);
	if (err != 0) {
		json_decref(*reply);
		*reply = NULL;
	}
	return err;
}

/* What wants no PIN uses no key, so nothing is to be touched. */
static int wait_call(struct sg_cli *cli, unsigned flags, json_t **reply)
{
	unsigned waiting = (flags & SG_CALL_PIN) != 0 ? SG_WAITING_TOUCH : 0;
	int err;

	if ((flags & (SG_CALL_KEYS | SG_CALL_CERTS)) == 0)
		return wait_replies(cli, waiting, show_progress, reply);
	cli->gathered = json_array();
	cli->gathers = (flags & SG_CALL_KEYS) != 0 ? "keys" : "certificates";
	err = wait_replies(cli, waiting, gather, reply);
	if (err == 0 && put_gathered(cli, *reply) != 0)
		err = fail_transport(cli, SG_ERR_FORMAT, "agent's answer");
	json_decref(cli->gathered);
	cli->gathered = NULL;
	if (err != 0) {
		json_decref(*reply);
		*reply = NULL;
	}
	return err;
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
	if (err == 0)
		err = connect_agent(cli);
	if (err == 0) {
		err = sg_client_call(cli->client, full, copy, fds.fds, fds.count,
		    (flags & (SG_CALL_MORE | SG_CALL_KEYS | SG_CALL_CERTS)) != 0);
		copy = NULL;
		if (err != 0)
			err = fail_transport(cli, err, "call");
		else
			err = wait_call(cli, flags, reply);
	}
	json_decref(copy);
	sg_call_fds_close(&fds);
	return err;
}

int sg_agent_events(struct sg_cli *cli, const char *method, sg_reply_fn *each)
{
	json_t *last = NULL;
	char full[64];
	int err = connect_agent(cli);

	(void)snprintf(full, sizeof(full), "org.signet.Agent.%s", method);
	if (err != 0)
		return err;
	err = sg_client_call(cli->client, full, NULL, NULL, 0, 1);
	if (err != 0)
		return fail_transport(cli, err, "call");
	err = wait_replies(cli, SG_WAITING_EVENTS, each, &last);
	json_decref(last);
	/* Denied by the agent would have been noted. */
	if (cli->signal != 0 || (err == SG_ERR_DENIED && cli->error_name == NULL)) {
		cli->signal = 0;
		sg_cli_forget(cli);
		return 0;
	}
	if (err == 0)
		err = sg_cli_fail(cli, SG_ERR_AGENT_ABSENT,
		    "See its log for the cause, then try again.", "the agent tells no more events");
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

int sg_agent_page(struct sg_cli *cli, const char *method, json_t *parameters, json_t *all)
{
	json_t *reply, *array, *next;
	const char *name;
	int err = sg_agent_call(cli, method, json_copy(parameters), 0, NULL, &reply);

	json_object_foreach(all, name, array) {
		if (err == 0 && json_array_extend(array, json_object_get(reply, name)) != 0)
			err = SG_ERR_NOMEM;
	}
	next = json_object_get(reply, "next");
	if (err == 0 && json_is_string(next))
		err = json_object_set(parameters, "after", next) == 0 ? 1 : SG_ERR_NOMEM;
	json_decref(reply);
	return err;
}
