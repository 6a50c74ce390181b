/* publish, retract: the account's own node. */
#include "cmd.h"

#include <stdio.h>
#include <stdlib.h>

#include "agent_call.h"
#include "print.h"
#include "show.h"

/* Whoever wanted less to be seen must not take it for done. */
static int judge_node(struct sg_cli *cli, const json_t *node)
{
	if (!json_is_true(json_object_get(node, "more_open")))
		return 0;
	return sg_cli_fail(cli, SG_ERR_FEATURE,
	    "Nothing was published. `signet publish --show` tells who can read the node.",
	    "the node is more open than asked: its access model is %s, not %s",
	    sg_member(node, "access", "not told"), sg_member(node, "asked", "-"));
}

/* The JIDs of every --member; NULL when there is none. */
static json_t *members_json(const struct sg_args *args)
{
	json_t *members = args->repeated_count > 0 ? json_array() : NULL;

	for (size_t i = 0; i < args->repeated_count; i++)
		(void)json_array_append_new(members, json_string(args->repeated[i]));
	return members;
}

int sg_publish(struct sg_cli *cli, json_t **result)
{
	const struct sg_args *args = &cli->args;
	const char *jid = args->operands[0];
	int err;

	if (!sg_args_has(args, SG_OPT_SHOW))
		err = sg_agent_call(cli, "Publish",
		    json_pack("{s:s, s:s*, s:o*, s:s*}", "jid", jid, "access",
			args->value[SG_OPT_ACCESS], "members", members_json(args), "direct",
			args->value[SG_OPT_DIRECT]),
		    SG_CALL_PIN | SG_CALL_PASSWORD, jid, result);
	else if (sg_args_has(args, SG_OPT_ACCESS) || sg_args_has(args, SG_OPT_MEMBER) ||
	    sg_args_has(args, SG_OPT_DIRECT))
		return sg_cli_fail(
		    cli, SG_ERR_ARG, NULL, "--show changes nothing, so nothing else goes with it");
	else
		err = sg_agent_call(cli, "ShowPublished", json_pack("{s:s}", "jid", jid),
		    SG_CALL_PIN | SG_CALL_PASSWORD, jid, result);
	return err == 0 ? judge_node(cli, json_object_get(*result, "node")) : err;
}

/* A list in one line; nothing when it is empty. */
static void print_texts(const char *name, const json_t *texts)
{
	const json_t *text;
	size_t i;

	if (json_array_size(texts) == 0)
		return;
	sg_print_name(name);
	json_array_foreach(texts, i, text) {
		if (i > 0)
			fputs(", ", stdout);
		sg_print_text(stdout, json_string_value(text));
	}
	putchar('\n');
}

void sg_publish_show(const struct sg_cli *cli, const json_t *result)
{
	const json_t *node = json_object_get(result, "node");
	json_int_t refused = json_integer_value(json_object_get(result, "refused"));

	sg_print_member("node", node, "node");
	if (!json_is_true(json_object_get(node, "exists"))) {
		puts("There is no such node: nothing is published.");
		return;
	}
	sg_print_member("access", node, "access");
	print_texts("members", json_object_get(node, "members"));
	print_texts("the server offers", json_object_get(node, "offered"));
	sg_print_member("max items", node, "max_items");
	sg_print_member("send last", node, "send_last");
	sg_print_field(
	    "items are kept", json_is_true(json_object_get(node, "persist_items")) ? "yes" : "no");
	if (json_object_get(result, "direct") != NULL)
		sg_print_member("who is answered", result, "direct");
	putchar('\n');
	sg_show_public_keys(json_object_get(result, "keys"));
	if (refused > 0)
		printf("\n%lld items are no good keyinfo.\n", (long long)refused);
}

int sg_retract(struct sg_cli *cli, json_t **result)
{
	const struct sg_args *args = &cli->args;
	json_t *names = json_array();

	for (int i = 1; i < args->operand_count; i++)
		(void)json_array_append_new(names, json_string(args->operands[i]));
	return sg_agent_call(cli, "Retract",
	    json_pack("{s:s, s:o}", "jid", args->operands[0], "names", names),
	    SG_CALL_PIN | SG_CALL_PASSWORD, args->operands[0], result);
}

void sg_retract_show(const struct sg_cli *cli, const json_t *result)
{
	puts("Retracted.");
}
