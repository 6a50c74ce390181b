#include "cmd.h"

#include <errno.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <string.h>
#include <unistd.h>

#include "agent_call.h"
#include "print.h"

static void print_event(const json_t *event)
{
	const char *text = sg_member(event, "text", NULL);
	const char *label = sg_member(event, "label", NULL);

	sg_print_text(stdout, sg_member(event, "time", "-"));
	fputs("  ", stdout);
	if (text != NULL) {
		sg_print_text(stdout, text);
	} else {
		sg_print_text(stdout, sg_member(event, "kind", "-"));
		fputs(label != NULL ? " " : "", stdout);
		sg_print_text(stdout, label != NULL ? label : "");
	}
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
