#include "cmd.h"

#include <stdio.h>

#include "agent_call.h"
#include "print.h"
#include "show.h"

int sg_status(struct sg_cli *cli, json_t **result)
{
	return sg_agent_call(cli, "Status", json_object(), 0, NULL, result);
}

void sg_status_show(const struct sg_cli *cli, const json_t *result)
{
	printf("signetd ");
	sg_print_text(stdout, sg_member(result, "version", "-"));
	printf(", process %lld\n\n", (long long)json_integer_value(json_object_get(result, "pid")));
	sg_show_tokens(json_object_get(result, "tokens"));
	putchar('\n');
	sg_show_accounts(json_object_get(result, "accounts"));
	putchar('\n');
	sg_show_workers(json_object_get(result, "workers"));
}
