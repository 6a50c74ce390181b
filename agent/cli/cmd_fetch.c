/* keyring fetch, request, send: keys of others, and ours for others. */
#include "cmd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent_call.h"
#include "files.h"
#include "keyinfo.h"
#include "print.h"
#include "show.h"
#include "xml.h"

/* The account to ask with: the one given, or the only one there is. New string. */
static int own_account(struct sg_cli *cli, char **jid)
{
	const char *given = cli->args.value[SG_OPT_ACCOUNT];
	const json_t *accounts;
	json_t *reply = NULL;
	int err = 0;

	*jid = NULL;
	if (given == NULL) {
		err = sg_agent_call(cli, "ListAccounts", json_object(), 0, NULL, &reply);
		if (err != 0)
			return err;
		accounts = json_object_get(reply, "accounts");
		if (json_array_size(accounts) == 0)
			err = sg_cli_fail(
			    cli, SG_ERR_ACCOUNT_ABSENT, NULL, "there is no account to ask with");
		else if (json_array_size(accounts) > 1)
			err = sg_cli_fail(cli, SG_ERR_ARG,
			    "Name one with --account; `signet account list` shows them.",
			    "there is more than one account to ask with");
		else
			given = sg_member(json_array_get(accounts, 0), "jid", "");
	}
	if (err == 0 && (given == NULL || (*jid = strdup(given)) == NULL))
		err = SG_ERR_NOMEM;
	json_decref(reply);
	return err;
}

static int add_keyinfo(struct sg_xml *root, const json_t *key)
{
	const char *text = sg_member(key, "keyinfo", "");
	struct sg_xml *element = NULL;
	int err = sg_xml_parse(text, strlen(text), &element);

	return err == 0 ? sg_xml_add(root, element) : err;
}

/* A keyinfo when there is one key; else a pubkeys element with all (XEP-0189, 'third party'). */
static int write_keys(struct sg_cli *cli, struct sg_file_out *out, const json_t *keys)
{
	const char *alone = sg_member(json_array_get(keys, 0), "keyinfo", "");
	struct sg_xml *root = NULL;
	char *text = NULL;
	const json_t *key;
	size_t i;
	int err = 0;

	if (out->path == NULL)
		return 0;
	if (json_array_size(keys) == 1)
		return sg_file_out_write(cli, out, alone, strlen(alone));
	root = sg_xml_new("pubkeys", SG_NS_PUBKEY);
	if (root == NULL)
		return SG_ERR_NOMEM;
	err = sg_xml_set_attr(root, "jid", cli->args.operands[0]);
	json_array_foreach(keys, i, key) {
		if (err == 0)
			err = add_keyinfo(root, key);
	}
	if (err == 0 && (text = sg_xml_to_string(root)) == NULL)
		err = SG_ERR_NOMEM;
	if (err == 0)
		err = sg_file_out_write(cli, out, text, strlen(text));
	free(text);
	sg_xml_free(root);
	return err;
}

/* A bad signature on one of the keys makes the whole answer one to look at. */
static int judge(struct sg_cli *cli, const json_t *keys)
{
	const json_t *key;
	size_t i;

	json_array_foreach(keys, i, key) {
		if (strcmp(sg_member(key, "grade", ""), "bad") == 0)
			return sg_cli_fail_bad_key(cli, sg_member(key, "name", "-"));
	}
	return 0;
}

/* The names after the account; absent when there are none: all keys. */
static json_t *names_json(const struct sg_args *args)
{
	json_t *names = args->operand_count > 1 ? json_array() : NULL;

	for (int i = 1; i < args->operand_count; i++)
		(void)json_array_append_new(names, json_string(args->operands[i]));
	return names;
}

int sg_keyring_fetch(struct sg_cli *cli, json_t **result)
{
	const struct sg_args *args = &cli->args;
	struct sg_file_out out = { 0 };
	char *own = NULL;
	int err = own_account(cli, &own);

	if (err == 0)
		err = sg_file_out_open(cli, args->value[SG_OPT_OUT], &out);
	if (err == 0)
		err = sg_agent_call(cli, "FetchKeys",
		    json_pack("{s:s, s:s, s:o*, s:s*}", "jid", own, "from", args->operands[0],
			"names", names_json(args), "ask", args->value[SG_OPT_ASK]),
		    SG_CALL_PIN | SG_CALL_PASSWORD | SG_CALL_KEYS, own, result);
	if (err == 0)
		err = write_keys(cli, &out, json_object_get(*result, "keys"));
	if (err == 0)
		err = judge(cli, json_object_get(*result, "keys"));
	sg_file_out_clear(&out);
	free(own);
	return err;
}

/* How the keys were got, when it was not the usual way. */
static void show_way(const struct sg_cli *cli, const json_t *result)
{
	const char *way = sg_member(result, "way", "node");

	if (strcmp(way, "node") == 0)
		return;
	fputs("From ", stdout);
	sg_print_text(stdout,
	    strcmp(way, "third") == 0 && cli->args.value[SG_OPT_ASK] != NULL
		? cli->args.value[SG_OPT_ASK]
		: cli->args.operands[0]);
	puts(strcmp(way, "third") == 0 ? ", a third party:\n" : ", by direct request:\n");
}

/* "; 4 of its clients were asked, and 2 did not answer": of clients, its own or a third party's. */
static void show_asked(const json_t *tried, const char *whose)
{
	long long asked = json_integer_value(json_object_get(tried, "asked"));
	long long silent = json_integer_value(json_object_get(tried, "silent"));
	const char *said = sg_member(tried, "said", NULL);

	if (asked == 0 && said == NULL)
		printf("none of %s clients is there", whose);
	else
		printf("%lld of %s clients %s asked", asked, whose, asked == 1 ? "was" : "were");
	if (asked > 0 && silent == asked) {
		fputs(" and did not answer", stdout);
		return;
	}
	if (silent > 0)
		printf(", and %lld did not answer", silent);
	if (said != NULL) {
		fputs(": ", stdout);
		sg_print_text(stdout, said);
	}
}

/* "No key was found: ", and by which ways. */
static void show_nothing(const json_t *result)
{
	const json_t *list = json_object_get(result, "tried"), *tried;
	size_t i;

	fputs("No key was found", stdout);
	json_array_foreach(list, i, tried) {
		const char *way = sg_member(tried, "way", "");
		const char *said = sg_member(tried, "said", NULL);

		fputs(i == 0 ? ": " : "; ", stdout);
		if (strcmp(way, "node") != 0)
			show_asked(tried, strcmp(way, "third") == 0 ? "the third party's" : "its");
		else if (said == NULL)
			fputs("nothing is on its node", stdout);
		else
			sg_print_text(stdout, said);
	}
	puts(".");
}

void sg_keyring_fetch_show(const struct sg_cli *cli, const json_t *result)
{
	const json_t *keys = json_object_get(result, "keys");
	json_int_t refused = json_integer_value(json_object_get(result, "refused"));
	json_int_t missing = json_integer_value(json_object_get(result, "count")) -
	    (json_int_t)json_array_size(keys);

	show_way(cli, result);
	if (json_array_size(keys) == 0 && missing <= 0)
		show_nothing(result);
	sg_show_public_keys(keys);
	if (missing > 0)
		printf(
		    "\n%lld keys are too long to be shown here; `signet keyring show` has them.\n",
		    (long long)missing);
	if (refused > 0)
		printf("\n%lld items were no good keyinfo and are left out.\n", (long long)refused);
}

/* ---- keyring request, keyring send ---- */

static int client_call(struct sg_cli *cli, const char *method, unsigned flags, json_t **result)
{
	const struct sg_args *args = &cli->args;
	char *own = NULL;
	int err = own_account(cli, &own);

	if (err == 0)
		err = sg_agent_call(cli, method,
		    json_pack("{s:s, s:s, s:s*, s:o*}", "jid", own, "to", args->operands[0],
			"about", args->value[SG_OPT_ABOUT], "names", names_json(args)),
		    SG_CALL_PIN | SG_CALL_PASSWORD | flags, own, result);
	free(own);
	return err;
}

int sg_keyring_request(struct sg_cli *cli, json_t **result)
{
	int err = client_call(cli, "AskKeys", SG_CALL_KEYS, result);

	return err == 0 ? judge(cli, json_object_get(*result, "keys")) : err;
}

int sg_keyring_send(struct sg_cli *cli, json_t **result)
{
	return client_call(cli, "SendKeys", 0, result);
}

void sg_keyring_send_show(const struct sg_cli *cli, const json_t *result)
{
	printf("%lld keys were sent.\n",
	    (long long)json_integer_value(json_object_get(result, "sent")));
	if (json_is_true(json_object_get(result, "revealed")))
		puts("Who gets them does not see your presence, and knows now at which address "
		     "this agent "
		     "is\nuntil it logs in again.");
}
