#include "cli.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "print.h"

void sg_cli_clear(struct sg_cli *cli)
{
	sg_client_free(cli->client);
	free(cli->socket_path);
	sg_secret_args_clear(&cli->secrets);
	sg_args_clear(&cli->args);
	sg_cli_forget(cli);
	memset(cli, 0, sizeof(*cli));
}

int sg_cli_fail(struct sg_cli *cli, int code, const char *advice, const char *format, ...)
{
	char *line = NULL, *clean = NULL;
	va_list args;

	if (cli->error_name != NULL)
		return code;
	va_start(args, format);
	if (vasprintf(&line, format, args) < 0)
		line = NULL;
	va_end(args);
	/* A path or operand in the sentence may be any bytes; JSON takes UTF-8 alone. */
	if (line != NULL)
		clean = sg_text_clean(line, 1);
	if (advice == NULL)
		advice = sg_err_advice(code);
	cli->error_name = strdup(sg_err_name(code));
	cli->error = json_pack(
	    "{s:s, s:s}", "message", clean != NULL ? clean : sg_err_text(code), "advice", advice);
	free(clean);
	free(line);
	return code;
}

int sg_cli_fail_bad_key(struct sg_cli *cli, const char *name)
{
	return sg_cli_fail(cli, SG_ERR_KEYINFO,
	    "Trust none of it, and ask its owner by another way.",
	    "a signature on %s is bad: its issuer did not make it over this key", name);
}

int sg_cli_fail_reply(struct sg_cli *cli, char *name, json_t *parameters)
{
	const char *dot = strrchr(name, '.');
	const char *parameter = sg_member(parameters, "parameter", NULL);
	int known = strncmp(name, "org.varlink.service.", 20) != 0;
	int code = known ? sg_err_from_name(dot != NULL ? dot + 1 : name) : SG_ERR_INTERNAL;

	if (!known) {
		code = sg_cli_fail(cli, code,
		    "The agent and this program may be of different versions: compare `signet "
		    "--version` with `signet status`.",
		    "the agent does not understand this call (%s%s%s)",
		    dot != NULL ? dot + 1 : name, parameter != NULL ? " " : "",
		    parameter != NULL ? parameter : "");
	} else if (cli->error_name == NULL) {
		cli->error_name = strdup(dot != NULL ? dot + 1 : name);
		cli->error = json_incref(parameters);
	}
	free(name);
	json_decref(parameters);
	return code;
}

void sg_cli_forget(struct sg_cli *cli)
{
	free(cli->error_name);
	json_decref(cli->error);
	cli->error_name = NULL;
	cli->error = NULL;
}

static void report_json(const struct sg_cli *cli, int code, json_t *result)
{
	json_t *object = json_object();
	json_t *parameters = json_is_object(cli->error) ? cli->error : NULL;

	if (result != NULL)
		(void)json_object_update(object, result);
	(void)json_object_set_new(object, "error",
	    json_string(cli->error_name != NULL ? cli->error_name : sg_err_name(code)));
	if (parameters != NULL)
		(void)json_object_set(object, "parameters", parameters);
	else
		(void)json_object_set_new(object, "parameters",
		    json_pack(
			"{s:s, s:s}", "message", sg_err_text(code), "advice", sg_err_advice(code)));
	/* Among lines, the failure is a line too. */
	if (cli->command != NULL && cli->command->show == NULL)
		sg_print_json_line(object);
	else
		sg_print_json(object);
	json_decref(object);
}

/* The URI, by which it can be named, and what a person tells it from the others by. */
static void report_candidate(const json_t *candidate)
{
	static const struct {
		const char *member;
		const char *before;
		const char *after;
	} parts[] = {
		{ "label", "\"", "\"" },
		{ "id", "id ", "" },
		{ "serial", "token serial ", "" },
		{ "subject", "certificate of ", "" },
	};
	const char *between = "\n      ";

	fputs("  ", stderr);
	sg_print_text(stderr, sg_member(candidate, "uri", "-"));
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		const char *value = sg_member(candidate, parts[i].member, NULL);

		if (value == NULL || value[0] == '\0')
			continue;
		fprintf(stderr, "%s%s", between, parts[i].before);
		sg_print_text(stderr, value);
		fputs(parts[i].after, stderr);
		between = ", ";
	}
	fputc('\n', stderr);
}

/* What was compared, above what is known: the eye finds where they differ. */
static void report_mismatch(const json_t *error)
{
	const char *given = sg_member(error, "given", NULL);
	const json_t *known = json_object_get(error, "known"), *one;
	size_t i;

	if (given == NULL || given[strspn(given, "0123456789abcdef")] != '\0')
		return;
	sg_print_fingerprint(stderr, "  given  ", given);
	json_array_foreach(known, i, one) {
		const char *name = json_string_value(one);

		if (name != NULL && name[strspn(name, "0123456789abcdef")] == '\0')
			sg_print_fingerprint(stderr, "  known  ", name);
	}
}

static void report_text(const struct sg_cli *cli, int code)
{
	const char *advice = sg_member(cli->error, "advice", sg_err_advice(code));
	const json_t *candidates = json_object_get(cli->error, "candidates"), *candidate;
	const json_t *tries = json_object_get(cli->error, "tries_left");
	size_t i;

	fputs("signet: ", stderr);
	sg_print_text(stderr, sg_member(cli->error, "message", sg_err_text(code)));
	fputc('\n', stderr);
	if (json_is_integer(tries))
		fprintf(stderr, "Tries left: %lld\n", (long long)json_integer_value(tries));
	if (advice[0] != '\0') {
		sg_print_text(stderr, advice);
		fputc('\n', stderr);
	}
	report_mismatch(cli->error);
	json_array_foreach(candidates, i, candidate) {
		report_candidate(candidate);
	}
}

int sg_cli_report(struct sg_cli *cli, int code, json_t *result)
{
	if (sg_args_has(&cli->args, SG_OPT_JSON))
		report_json(cli, code, result);
	else
		report_text(cli, code);
	return sg_err_exit_status(code);
}

int sg_cli_interactive(const struct sg_cli *cli)
{
	return !sg_args_has(&cli->args, SG_OPT_BATCH) &&
	    (isatty(STDIN_FILENO) || isatty(STDERR_FILENO));
}
