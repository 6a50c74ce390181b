#include "cmd.h"

#include <stdio.h>
#include <string.h>

#include "agent_call.h"
#include "diagnosis.h"
#include "print.h"

#define LEVEL_COLUMN 9

static size_t count_problems(const json_t *findings)
{
	const json_t *finding;
	size_t count = 0, i;

	json_array_foreach(findings, i, finding) {
		if (strcmp(sg_member(finding, "level", ""), "problem") == 0)
			count++;
	}
	return count;
}

int sg_doctor(struct sg_cli *cli, json_t **result)
{
	const char *path = sg_agent_path(cli);
	int err;

	*result = NULL;
	if (path == NULL)
		return SG_ERR_NOMEM;
	err = sg_client_connect(path, &cli->client);
	if (err == SG_ERR_NOMEM)
		return err;
	if (err == 0) {
		err = sg_agent_call(cli, "Doctor", json_object(), 0, NULL, result);
	} else {
		*result = json_pack(
		    "{s:o}", "findings", sg_diagnose(path, cli->args.value[SG_OPT_SOCKET], err));
		err = *result != NULL ? 0 : SG_ERR_NOMEM;
	}
	if (err == 0)
		sg_diagnose_programs(json_object_get(*result, "findings"));
	if (err == 0 && count_problems(json_object_get(*result, "findings")) > 0)
		cli->status = SG_STATUS_PROBLEM;
	return err;
}

/* "good     subject: message", and the advice below the message. */
static void show_finding(const json_t *finding)
{
	const char *level = sg_member(finding, "level", "-");
	const char *advice = sg_member(finding, "advice", NULL);
	int problem = strcmp(level, "problem") == 0, used = 0;

	sg_print_text(stdout, problem ? "PROBLEM" : level);
	used = (int)strnlen(problem ? "PROBLEM" : level, LEVEL_COLUMN - 1);
	printf("%*s", LEVEL_COLUMN - used, "");
	sg_print_text(stdout, sg_member(finding, "subject", "-"));
	fputs(": ", stdout);
	sg_print_text(stdout, sg_member(finding, "message", "-"));
	putchar('\n');
	if (advice == NULL)
		return;
	printf("%*s", LEVEL_COLUMN, "");
	sg_print_text(stdout, advice);
	putchar('\n');
}

void sg_doctor_show(const struct sg_cli *cli, const json_t *result)
{
	const json_t *findings = json_object_get(result, "findings"), *finding;
	size_t problems = count_problems(findings), i;

	json_array_foreach(findings, i, finding) {
		show_finding(finding);
	}
	if (problems == 0)
		puts("No problem was found.");
	else
		printf("%zu problem%s found.\n", problems, problems == 1 ? " was" : "s were");
}
