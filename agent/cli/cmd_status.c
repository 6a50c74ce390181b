#include "cmd.h"

#include <stdio.h>

#include "agent_call.h"
#include "print.h"
#include "show.h"

int sg_status(struct sg_cli *cli, json_t **result)
{
	return sg_agent_call(cli, "Status", json_object(), 0, NULL, result);
}

static void show_workers(const json_t *workers)
{
	static const char *const headers[] = { "WORKER", "FOR", "STATE", "PID", "RESTARTS" };
	struct sg_table table;
	const json_t *worker;
	size_t i;

	sg_table_start(&table, 5, headers);
	json_array_foreach(workers, i, worker)
	{
		const json_t *pid = json_object_get(worker, "pid");
		char pid_text[24] = "-", restarts[24];
		const char *const cells[] = { sg_member(worker, "kind", NULL),
			sg_member(worker, "subject", NULL), sg_member(worker, "state", NULL),
			pid_text, restarts };

		if (json_is_integer(pid))
			(void)snprintf(
			    pid_text, sizeof(pid_text), "%lld", (long long)json_integer_value(pid));
		(void)snprintf(restarts, sizeof(restarts), "%lld",
		    (long long)json_integer_value(json_object_get(worker, "restarts")));
		sg_table_row(&table, cells);
	}
	sg_table_print(&table, "No worker runs.");
	json_array_foreach(workers, i, worker)
	{
		const char *problem = sg_member(worker, "problem", NULL);

		if (problem == NULL)
			continue;
		printf("Without the tokens of ");
		sg_print_text(stdout, sg_member(worker, "subject", "-"));
		printf(": ");
		sg_print_text(stdout, problem);
		putchar('\n');
	}
}

void sg_status_show(const struct sg_cli *cli, const json_t *result)
{
	(void)cli;
	printf("signetd ");
	sg_print_text(stdout, sg_member(result, "version", "-"));
	printf(", process %lld\n\n", (long long)json_integer_value(json_object_get(result, "pid")));
	sg_show_tokens(json_object_get(result, "tokens"));
	putchar('\n');
	sg_show_accounts(json_object_get(result, "accounts"));
	putchar('\n');
	show_workers(json_object_get(result, "workers"));
}
