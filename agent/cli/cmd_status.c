#include "cmd.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "agent_call.h"
#include "print.h"
#include "show.h"
#include "show_keyring.h"

int sg_status(struct sg_cli *cli, json_t **result)
{
	return sg_agent_call(cli, "Status", json_object(), 0, NULL, result);
}

/* Loud, and only when there is something to look at. */
static void show_changes(const json_t *status)
{
	const json_t *changes = json_object_get(status, "changed");
	json_int_t count = json_integer_value(json_object_get(status, "changed_count"));

	if (count == 0)
		return;
	puts("\nCHANGED KEYS, to be looked at:");
	sg_show_key_changes(changes, "");
	if (count > (json_int_t)json_array_size(changes))
		printf("And %lld more.\n", (long long)count - (long long)json_array_size(changes));
	puts("Ask the owner by another way, then `signet keyring trust` or `signet keyring "
	     "distrust`;\n"
	     "`signet keyring seen` puts them away undecided.");
}

static void show_more_open(const json_t *accounts)
{
	const json_t *account;
	size_t i;

	json_array_foreach(accounts, i, account) {
		if (!json_is_true(json_object_get(account, "more_open")))
			continue;
		fputs("\nMORE OPEN THAN ASKED is the node with the keys of ", stdout);
		sg_print_text(stdout, sg_member(account, "jid", "-"));
		puts("; `signet publish --show` tells how.");
	}
}

static void show_problem(const char *problem)
{
	if (problem == NULL)
		return;
	fputs("  The last renewal came to nothing: ", stdout);
	sg_print_text(stdout, problem);
	putchar('\n');
}

/* Of those that no job renews. The agent's clock is that of this machine. */
static void show_due(const json_t *accounts)
{
	char now[32] = "";
	const time_t seconds = time(NULL);
	const json_t *account;
	struct tm tm;
	size_t i;

	if (gmtime_r(&seconds, &tm) == NULL ||
	    strftime(now, sizeof(now), "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		return;
	json_array_foreach(accounts, i, account) {
		const char *due = sg_member(account, "renew_due", NULL);
		const char *end = sg_member(account, "not_after", "");
		const char *jid = sg_member(account, "jid", "-");
		int is_over = strcmp(end, now) < 0;

		if (due == NULL || strcmp(due, now) > 0 ||
		    json_array_size(json_object_get(account, "jobs")) > 0)
			continue;
		fputs("\nThe certificate of ", stdout);
		sg_print_text(stdout, jid);
		fputs(is_over ? " has expired at " : " is due to be renewed since ", stdout);
		sg_print_text(stdout, is_over ? end : due);
		fputs(": `signet cert renew ", stdout);
		sg_print_text(stdout, jid);
		puts(is_over ? "` with the account's password gets another." : "` renews it.");
		show_problem(sg_member(account, "renew_problem", NULL));
	}
}

void sg_status_show(const struct sg_cli *cli, const json_t *result)
{
	printf("signetd ");
	sg_print_text(stdout, sg_member(result, "version", "-"));
	printf(", process %lld\n\n", (long long)json_integer_value(json_object_get(result, "pid")));
	sg_show_tokens(json_object_get(result, "tokens"));
	putchar('\n');
	sg_show_accounts(json_object_get(result, "accounts"));
	show_more_open(json_object_get(result, "accounts"));
	sg_show_jobs(json_object_get(result, "accounts"));
	show_due(json_object_get(result, "accounts"));
	putchar('\n');
	sg_show_workers(json_object_get(result, "workers"));
	show_changes(result);
}
