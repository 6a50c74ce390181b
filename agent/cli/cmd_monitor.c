#include "cmd.h"

#include <errno.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <string.h>
#include <unistd.h>

#include "agent_call.h"
#include "print.h"

/* The kind of an event as the end of a sentence about its token, or about whose key it is. */
static const char *kind_text(const char *kind)
{
	static const struct sg_word kinds[] = {
		{ "token_in", "is there" },
		{ "token_out", "is gone" },
		{ "touch_wanted", "waits to be touched" },
		{ "touch_over", "waits for no touch any more" },
		{ "unlocked", "is unlocked" },
		{ "locked", "is locked" },
		{ "key_changed", "has another key where one was used before" },
		{ "key_seen", "has a key that was not known before" },
		{ "key_new", "shows ANOTHER KEY than before" },
		{ "key_retracted", "does not show this key any more" },
		{ "key_revoked", "has a key that is REVOKED now" },
		{ "certificate_due", "has a certificate that is due to be renewed" },
		{ "job_waits", "has a job that waits" },
		{ "job_done", "has a job that is done" },
		{ "job_failed", "has a job that FAILED" },
	};

	return SG_WORD_TEXT(kind, kinds);
}

static void print_event(const json_t *event)
{
	const json_t *pid = json_object_get(event, "pid");
	const char *exe = sg_member(event, "exe", NULL);
	const char *purpose = sg_member(event, "purpose", NULL);
	const char *text = sg_member(event, "text", NULL);
	const char *jid = sg_member(event, "jid", NULL);
	const char *name = sg_member(event, "name", NULL);

	sg_print_text(stdout, sg_member(event, "time", "-"));
	if (jid != NULL) {
		fputs("  ", stdout);
		sg_print_text(stdout, jid);
		putchar(' ');
	} else {
		fputs("  token '", stdout);
		sg_print_text(stdout, sg_member(event, "label", ""));
		fputs("' ", stdout);
	}
	sg_print_text(stdout, kind_text(sg_member(event, "kind", "-")));
	if (json_is_integer(pid)) {
		fputs(" for ", stdout);
		sg_print_text(stdout, exe != NULL ? exe : "a program");
		printf(" (process %lld", (long long)json_integer_value(pid));
		fputs(purpose != NULL ? ", " : "", stdout);
		sg_print_text(stdout, purpose != NULL ? purpose : "");
		putchar(')');
	}
	if (name != NULL) {
		fputs(": ", stdout);
		sg_print_text(stdout, name);
	}
	fputs(text != NULL ? ": " : "", stdout);
	sg_print_text(stdout, text != NULL ? text : "");
	putchar('\n');
}

/* Each event is there for its reader when it happens, not when a buffer is full. */
static int on_event(struct sg_cli *cli, const json_t *reply)
{
	const json_t *event = json_object_get(reply, "event");

	if (!json_is_object(event))
		return sg_cli_fail(cli, SG_ERR_FORMAT, NULL, "the agent's answer holds no event");
	if (sg_args_has(&cli->args, SG_OPT_JSON))
		sg_print_json_line(event);
	else
		print_event(event);
	if (fflush(stdout) == 0)
		return 0;
	if (errno != EPIPE)
		return sg_cli_fail(
		    cli, SG_ERR_IO, NULL, "the event cannot be written: %s", strerror(errno));
	/* Who read has enough. */
	__fpurge(stdout);
	clearerr(stdout);
	return SG_ERR_DENIED;
}

int sg_monitor(struct sg_cli *cli, json_t **result)
{
	*result = NULL;
	if (isatty(STDERR_FILENO) && !sg_args_has(&cli->args, SG_OPT_JSON))
		fputs("signet: waiting for events; Ctrl-C ends this\n", stderr);
	return sg_agent_events(cli, "Monitor", on_event);
}
