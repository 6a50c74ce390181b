#include "cmd.h"

#include <stdio.h>

#include "agent_call.h"
#include "print.h"
#include "show.h"

int sg_token_list(struct sg_cli *cli, json_t **result)
{
	return sg_agent_call(cli, "ListTokens", json_object(), 0, NULL, result);
}

void sg_token_list_show(const struct sg_cli *cli, const json_t *result)
{
	sg_show_tokens(json_object_get(result, "tokens"));
}

int sg_token_show(struct sg_cli *cli, json_t **result)
{
	return sg_agent_call_named(cli, "ShowToken", "token", cli->args.operands[0], 0, result);
}

void sg_token_show_show(const struct sg_cli *cli, const json_t *result)
{
	const json_t *mechanisms = json_object_get(result, "mechanisms"), *mechanism;
	size_t i;

	sg_show_token(json_object_get(result, "token"));
	puts("mechanisms:");
	json_array_foreach(mechanisms, i, mechanism) {
		fputs("  ", stdout);
		sg_print_text(
		    stdout, json_is_string(mechanism) ? json_string_value(mechanism) : "-");
		putchar('\n');
	}
}

int sg_token_unlock(struct sg_cli *cli, json_t **result)
{
	return sg_agent_call_named(
	    cli, "Unlock", "token", cli->args.operands[0], SG_CALL_PIN, result);
}

int sg_token_lock(struct sg_cli *cli, json_t **result)
{
	return sg_agent_call_named(cli, "Lock", "token", cli->args.operands[0], 0, result);
}

/* "Token 'label'", at the start of a sentence. */
static void print_token(const json_t *token)
{
	fputs("Token '", stdout);
	sg_print_text(stdout, sg_member(token, "label", ""));
	fputs("'", stdout);
}

void sg_token_lock_show(const struct sg_cli *cli, const json_t *result)
{
	const json_t *token = json_object_get(result, "token");

	print_token(token);
	printf(
	    " is %s.\n", json_is_true(json_object_get(token, "unlocked")) ? "unlocked" : "locked");
}

int sg_token_release(struct sg_cli *cli, json_t **result)
{
	if (cli->args.operand_count == 0)
		return sg_agent_call(cli, "ReleaseToken", json_object(), 0, NULL, result);
	return sg_agent_call_named(cli, "ReleaseToken", "token", cli->args.operands[0], 0, result);
}

void sg_token_release_show(const struct sg_cli *cli, const json_t *result)
{
	const char *note = sg_member(result, "note", NULL);

	if (note != NULL) {
		sg_print_text(stdout, note);
		putchar('\n');
	} else {
		puts(cli->args.operand_count == 0
			? "Released: no token is held by the agent."
			: "Released: the agent does not hold this token.");
	}
}

/* What is left to be done. */
static void print_note(const json_t *result)
{
	const char *note = sg_member(result, "note", NULL);

	if (note == NULL)
		return;
	sg_print_text(stdout, note);
	putchar('\n');
}

int sg_token_pin_change(struct sg_cli *cli, json_t **result)
{
	return sg_agent_call_named(
	    cli, "ChangePin", "token", cli->args.operands[0], SG_CALL_PIN, result);
}

void sg_token_pin_change_show(const struct sg_cli *cli, const json_t *result)
{
	print_token(json_object_get(result, "token"));
	puts(" has its new PIN.");
	print_note(result);
}

int sg_token_pin_unblock(struct sg_cli *cli, json_t **result)
{
	return sg_agent_call_named(
	    cli, "UnblockPin", "token", cli->args.operands[0], SG_CALL_PIN, result);
}

void sg_token_pin_unblock_show(const struct sg_cli *cli, const json_t *result)
{
	print_token(json_object_get(result, "token"));
	puts(" is unblocked and has its new PIN.");
	print_note(result);
}
