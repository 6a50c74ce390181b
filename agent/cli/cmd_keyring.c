#include "cmd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agent_call.h"
#include "ask.h"
#include "buf.h"
#include "print.h"
#include "show.h"
#include "show_keyring.h"
#include "show_path.h"

/* ---- list ---- */

static int list_all(struct sg_cli *cli, const char *jid, const char *search, json_t *all)
{
	json_t *parameters = json_pack("{s:s*, s:s*}", "jid", jid, "search", search);
	int err;

	do
		err = sg_agent_page(cli, "ListKeyring", parameters, all);
	while (err == 1);
	json_decref(parameters);
	return err;
}

/* Whether it can be a JID in full; what cannot is looked for as a part of one. */
static int is_jid(const char *text)
{
	const char *at = strchr(text, '@');

	return at != NULL && at != text && at[1] != '\0';
}

int sg_keyring_list(struct sg_cli *cli, json_t **result)
{
	const char *what = cli->args.operand_count > 0 ? cli->args.operands[0] : NULL;
	json_t *all = json_pack("{s:[]}", "keys");
	int err = 0;

	if (what != NULL && is_jid(what))
		err = list_all(cli, what, NULL, all);
	if (err == 0 && json_array_size(json_object_get(all, "keys")) == 0)
		err = list_all(cli, NULL, what, all);
	if (err == 0)
		*result = json_incref(all);
	json_decref(all);
	return err;
}

void sg_keyring_list_show(const struct sg_cli *cli, const json_t *result)
{
	sg_show_known_keys(json_object_get(result, "keys"),
	    cli->args.operand_count > 0
		? "No key that is known fits that; `signet keyring fetch JID` gets those of a JID."
		: "No key of anybody is known; `signet keyring fetch JID` gets those of a JID.");
}

/* ---- one key ---- */

/* All operands from the one on as one fingerprint: it may be written in groups. New string. */
static char *joined(const struct sg_args *args, int first)
{
	struct sg_buf text = { 0 };

	for (int i = first; i < args->operand_count; i++)
		sg_buf_printf(&text, "%s%s", i > first ? " " : "", args->operands[i]);
	return sg_buf_steal(&text, NULL);
}

static int call_fingerprint(
    struct sg_cli *cli, const char *method, const char *member, json_t **result)
{
	char *fingerprint = joined(&cli->args, 0);
	int err = fingerprint == NULL
	    ? SG_ERR_NOMEM
	    : sg_agent_call(cli, method, json_pack("{s:s}", member, fingerprint), 0, NULL, result);

	free(fingerprint);
	return err;
}

int sg_keyring_show(struct sg_cli *cli, json_t **result)
{
	json_t *why = NULL;
	int err = call_fingerprint(cli, "ShowKeyring", "name", result);

	if (err == 0 && sg_args_has(&cli->args, SG_OPT_WHY))
		err = call_fingerprint(cli, "ExplainKey", "name", &why);
	if (err == 0 && why != NULL)
		err = json_object_set(*result, "path", json_object_get(why, "path")) == 0
		    ? 0
		    : SG_ERR_NOMEM;
	json_decref(why);
	if (err != 0) {
		json_decref(*result);
		*result = NULL;
	}
	return err;
}

void sg_keyring_show_show(const struct sg_cli *cli, const json_t *result)
{
	const json_t *path = json_object_get(result, "path");

	sg_show_known_key(json_object_get(result, "key"));
	sg_show_signatures(result);
	if (path != NULL)
		sg_show_path(path);
}

/* ---- decisions ---- */

int sg_keyring_trust(struct sg_cli *cli, json_t **result)
{
	char *fingerprint = joined(&cli->args, 1);
	int err = fingerprint == NULL
	    ? SG_ERR_NOMEM
	    : sg_agent_call(cli, "TrustKey",
		  json_pack("{s:s, s:s}", "jid", cli->args.operands[0], "fingerprint", fingerprint),
		  0, NULL, result);

	free(fingerprint);
	return err;
}

/* Whether it says of itself that it is somebody else's. */
static int names_others(const json_t *key)
{
	const json_t *jids = json_object_get(key, "jids"), *jid;
	const char *of = sg_member(key, "decided_for", "");
	size_t i;

	json_array_foreach(jids, i, jid) {
		if (json_is_string(jid) && strcasecmp(json_string_value(jid), of) == 0)
			return 0;
	}
	return json_array_size(jids) > 0;
}

/* What a person who trusts the key has to know of it. */
static void warn_of(const json_t *key)
{
	char *jids = sg_member_list(key, "jids");

	if (names_others(key)) {
		fputs("But it says itself that it is a key of ", stdout);
		sg_print_text(stdout, jids != NULL ? jids : "-");
		puts(": ask why.");
	}
	free(jids);
	if (json_is_true(json_object_get(key, "revoked")))
		puts("But its owner has revoked it: it counts for nothing.");
	if (json_is_true(json_object_get(key, "expired")))
		puts("But it is not valid now: it has expired, or is not valid yet.");
	if (json_is_true(json_object_get(key, "retracted")))
		puts("But its owner does not show it any more: ask why.");
}

void sg_keyring_trust_show(const struct sg_cli *cli, const json_t *result)
{
	const json_t *key = json_object_get(result, "key");

	fputs("Trusted from now on, as a key of ", stdout);
	sg_print_text(stdout, sg_member(key, "decided_for", "-"));
	puts(":");
	sg_print_fingerprint(stdout, "  ", sg_member(key, "name", "-"));
	warn_of(key);
}

int sg_keyring_distrust(struct sg_cli *cli, json_t **result)
{
	return call_fingerprint(cli, "DistrustKey", "fingerprint", result);
}

void sg_keyring_distrust_show(const struct sg_cli *cli, const json_t *result)
{
	puts("Not trusted from now on, whoever signs it; what it has signed counts for nothing:");
	sg_print_fingerprint(stdout, "  ", sg_member(json_object_get(result, "key"), "name", "-"));
}

int sg_keyring_forget(struct sg_cli *cli, json_t **result)
{
	char *fingerprint = joined(&cli->args, 0);
	int err = fingerprint != NULL ? 0 : SG_ERR_NOMEM;

	if (err == 0)
		err = sg_ask_yes(cli,
		    "Forget the key %s, who showed it, and what you have decided of it?",
		    fingerprint);
	if (err == 0)
		err = sg_agent_call(cli, "ForgetKey",
		    json_pack("{s:s}", "fingerprint", fingerprint), 0, NULL, result);
	free(fingerprint);
	return err;
}

void sg_keyring_forget_show(const struct sg_cli *cli, const json_t *result)
{
	puts("Forgotten. Who shows it again makes it known again.");
}

/* ---- changes ---- */

int sg_keyring_seen(struct sg_cli *cli, json_t **result)
{
	const char *jid = cli->args.operand_count > 0 ? cli->args.operands[0] : NULL;

	return sg_agent_call(
	    cli, "AcknowledgeKeys", json_pack("{s:s*}", "jid", jid), 0, NULL, result);
}

void sg_keyring_seen_show(const struct sg_cli *cli, const json_t *result)
{
	const json_t *changes = json_object_get(result, "changes");
	size_t shown = json_array_size(changes);
	json_int_t count = json_integer_value(json_object_get(result, "count"));

	sg_show_key_changes(changes, "Nothing waited to be looked at.");
	if (count > (json_int_t)shown)
		printf("And %lld more.\n", (long long)count - (long long)shown);
	if (count > 0)
		puts("This is not shown in `signet status` any more. Nothing is trusted by it.");
}
