/* cert list --diff: server, tokens and agent side by side. */
#include "cmd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent_call.h"
#include "print.h"
#include "text.h"

#define SHORT_SHA256 16 /* digits that tell one certificate from another */
#define NAME_WIDTH   40 /* characters of a name */

int sg_cert_diff(struct sg_cli *cli, json_t **result)
{
	const unsigned flags = SG_CALL_PIN | SG_CALL_PASSWORD | SG_CALL_CERTS;
	const char *jid = cli->args.operands[0];
	int err =
	    sg_agent_call(cli, "Reconcile", json_pack("{s:s}", "jid", jid), flags, jid, result);

	if (err != SG_ERR_PASSWORD_NEEDED)
		return err;
	/* Nobody gave a password: without the server, then. */
	sg_cli_forget(cli);
	return sg_agent_call(cli, "Reconcile", json_pack("{s:s, s:b}", "jid", jid, "offline", 1),
	    SG_CALL_CERTS, jid, result);
}

/* The label and the serial of its token, "-" where no token is known. */
static char *token_text(const json_t *row)
{
	const char *label = sg_member(row, "token", NULL), *serial = sg_member(row, "serial", "");
	char *text = NULL;

	if (label == NULL)
		return NULL;
	return asprintf(&text, "%s %s", label, serial) < 0 ? NULL : text;
}

static const char *key_text(const json_t *row)
{
	static const struct sg_word words[] = {
		{ "here", "there" },
		{ "hidden", "token locked" },
		{ "away", "token absent" },
		{ "gone", "GONE" },
		{ "unknown", "-" },
	};

	return SG_WORD_TEXT(sg_member(row, "key", "unknown"), words);
}

/* The beginning of a name that somebody may have made long to spoil the table; the JSON has all of it. */
static char *short_name(const char *name)
{
	size_t end = 0, count = 0, len = strlen(name);
	uint32_t code;
	char *text = NULL;

	while (end < len && count < NAME_WIDTH) {
		end += sg_utf8_char(name + end, len - end, &code);
		count++;
	}
	if (asprintf(&text, "%.*s%s", (int)end, name, end < len ? "..." : "") < 0)
		return NULL;
	return text;
}

static void add_row(struct sg_table *table, const json_t *row)
{
	char *name = short_name(sg_member(row, "label", ""));
	char *token = token_text(row),
	     *sha256 = strndup(sg_member(row, "sha256", ""), SHORT_SHA256);
	const char *cells[] = { sha256, sg_member(row, "state", "-"), name,
		sg_member(row, "server", "-"),
		json_is_true(json_object_get(row, "stored")) ? "yes" : "no", token, key_text(row),
		sg_member(row, "not_after", NULL) };

	sg_table_row(table, cells);
	free(name);
	free(token);
	free(sha256);
}

/* What is not in order, and the command for it. */
static size_t show_step(const json_t *row)
{
	const char *step = sg_member(row, "step", NULL);
	char *sha256 = strndup(sg_member(row, "sha256", ""), SHORT_SHA256);

	if (step != NULL && sha256 != NULL) {
		putchar('\n');
		sg_print_text(stdout, sha256);
		fputs(": ", stdout);
		sg_print_text(stdout, sg_member(row, "text", ""));
		fputs("\n    ", stdout);
		sg_print_text(stdout, step);
		putchar('\n');
	}
	free(sha256);
	return step != NULL;
}

void sg_cert_diff_show(const struct sg_cli *cli, const json_t *result)
{
	static const char *const headers[] = { "SHA-256", "STATE", "NAME", "SERVER", "KEPT",
		"TOKEN", "KEY", "VALID UNTIL" };
	const json_t *rows = json_object_get(result, "certificates"), *row;
	const json_t *problems = json_object_get(result, "problems"), *problem;
	struct sg_table table;
	size_t i, steps = 0;

	sg_table_start(&table, sizeof(headers) / sizeof(headers[0]), headers);
	json_array_foreach(rows, i, row) {
		add_row(&table, row);
	}
	sg_table_print(&table, "No certificate is known.");
	json_array_foreach(rows, i, row) {
		steps += show_step(row);
	}
	if (json_array_size(problems) > 0)
		putchar('\n');
	json_array_foreach(problems, i, problem) {
		fputs("Not known: ", stdout);
		sg_print_text(stdout, json_string_value(problem));
		putchar('\n');
	}
	if (steps == 0 && json_array_size(problems) == 0)
		puts("\nAll is in order.");
}
