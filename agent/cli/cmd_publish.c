/* publish, retract: the account's own node. */
#include "cmd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent_call.h"
#include "buf.h"
#include "print.h"
#include "show.h"

#define TOLD_MAX 10

/* By access roster alone groups let anybody in. */
static void who_by_group(struct sg_buf *text, const json_t *node)
{
	const json_t *groups = json_object_get(node, "groups"), *group;
	size_t i;

	if (strcmp(sg_member(node, "access", ""), "roster") != 0)
		return;
	if (json_is_null(groups))
		sg_buf_put_str(text, "; the server does not tell for which groups of the roster");
	json_array_foreach(groups, i, group) {
		if (i == TOLD_MAX)
			break;
		sg_buf_printf(
		    text, "; the group %s of the roster may read", json_string_value(group));
	}
}

/* "; romeo@example.org is publisher", and so on: a new string, or NULL. */
static char *who_has_more(const json_t *node)
{
	const json_t *list = json_object_get(node, "affiliations"), *entry;
	struct sg_buf text = { 0 };
	size_t i;

	json_array_foreach(list, i, entry) {
		if (i == TOLD_MAX)
			break;
		sg_buf_printf(&text, "; %s is %s", sg_member(entry, "jid", "-"),
		    sg_member(entry, "affiliation", "-"));
	}
	list = json_object_get(node, "subscribers");
	json_array_foreach(list, i, entry) {
		if (i == TOLD_MAX)
			break;
		sg_buf_printf(&text, "; %s is subscribed", json_string_value(entry));
	}
	who_by_group(&text, node);
	if (json_is_null(list))
		sg_buf_put_str(&text, "; the server does not tell who is subscribed");
	return sg_buf_steal(&text, NULL);
}

/* Whoever wanted less to be seen must not take it for done. */
static int judge_node(struct sg_cli *cli, const json_t *node, int is_show)
{
	char *text;
	int err;

	if (!json_is_true(json_object_get(node, "more_open")))
		return 0;
	text = who_has_more(node);
	err = sg_cli_fail(cli, SG_ERR_FEATURE,
	    is_show ? "`signet publish` sets it right." : "Nothing was published.",
	    "the node is more open than asked: its access model is %s, and %s was asked; its "
	    "publish "
	    "model is %s%s",
	    sg_member(node, "access", "not told"), sg_member(node, "asked", "-"),
	    sg_member(node, "publish_model", "not told"), text != NULL ? text : "");
	free(text);
	return err;
}

/* The values of every such option; NULL when there is none. */
static json_t *values_json(const struct sg_args *args, enum sg_opt option)
{
	json_t *values = sg_args_has(args, option) ? json_array() : NULL;

	for (size_t i = 0; i < args->repeated_count; i++) {
		if (args->repeated[i].option == option)
			(void)json_array_append_new(values, json_string(args->repeated[i].value));
	}
	return values;
}

int sg_publish(struct sg_cli *cli, json_t **result)
{
	const struct sg_args *args = &cli->args;
	const char *jid = args->operands[0];
	int err;

	if (!sg_args_has(args, SG_OPT_SHOW))
		err = sg_agent_call(cli, "Publish",
		    json_pack("{s:s, s:s*, s:o*, s:o*, s:s*}", "jid", jid, "access",
			args->value[SG_OPT_ACCESS], "groups", values_json(args, SG_OPT_GROUP),
			"members", values_json(args, SG_OPT_MEMBER), "direct",
			args->value[SG_OPT_DIRECT]),
		    SG_CALL_PIN | SG_CALL_PASSWORD, jid, result);
	else if (sg_args_has(args, SG_OPT_ACCESS) || sg_args_has(args, SG_OPT_MEMBER) ||
	    sg_args_has(args, SG_OPT_GROUP) || sg_args_has(args, SG_OPT_DIRECT))
		return sg_cli_fail(
		    cli, SG_ERR_ARG, NULL, "--show changes nothing, so nothing else goes with it");
	else
		err = sg_agent_call(cli, "ShowPublished", json_pack("{s:s}", "jid", jid),
		    SG_CALL_PIN | SG_CALL_PASSWORD | SG_CALL_KEYS, jid, result);
	return err == 0
	    ? judge_node(cli, json_object_get(*result, "node"), sg_args_has(args, SG_OPT_SHOW))
	    : err;
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

static void print_affiliations(const json_t *list)
{
	const json_t *entry;
	size_t i;

	json_array_foreach(list, i, entry)
		sg_print_member(sg_member(entry, "affiliation", "-"), entry, "jid");
}

void sg_publish_show(const struct sg_cli *cli, const json_t *result)
{
	const json_t *node = json_object_get(result, "node");
	json_int_t refused = json_integer_value(json_object_get(result, "refused"));
	const char *unread = sg_member(result, "unread", NULL);

	sg_print_member("node", node, "node");
	if (!json_is_true(json_object_get(node, "exists"))) {
		puts("There is no such node: nothing is published.");
		return;
	}
	sg_print_member("access", node, "access");
	if (strcmp(sg_member(node, "access", ""), "roster") == 0)
		print_texts("groups", json_object_get(node, "groups"));
	print_affiliations(json_object_get(node, "affiliations"));
	print_texts("subscribed, but may not read", json_object_get(node, "subscribers"));
	sg_print_member("writers", node, "publish_model");
	print_texts("offered", json_object_get(node, "offered"));
	sg_print_member("max items", node, "max_items");
	sg_print_member("send last", node, "send_last");
	sg_print_field(
	    "items kept", json_is_true(json_object_get(node, "persist_items")) ? "yes" : "no");
	if (json_object_get(result, "direct") != NULL)
		sg_print_member("answered", result, "direct");
	putchar('\n');
	if (unread != NULL) {
		fputs("What is on it, the server tells others and not you: ", stdout);
		sg_print_text(stdout, unread);
		putchar('\n');
		return;
	}
	sg_show_public_keys(json_object_get(result, "keys"));
	if (json_array_size(json_object_get(result, "others")) > 0)
		putchar('\n');
	print_texts("not of this agent", json_object_get(result, "others"));
	if (json_is_true(json_object_get(node, "made_anew")))
		puts("\nThe node was made anew: what other clients had published is gone from it.");
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
