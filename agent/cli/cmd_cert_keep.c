/* cert adopt, cert remove, and cert revoke --token. */
#include "cmd.h"

#include <stdio.h>
#include <string.h>

#include "agent_call.h"
#include "ask.h"
#include "print.h"
#include "show.h"

static int call_fingerprint(struct sg_cli *cli, const char *method, json_t **result)
{
	char **operands = cli->args.operands;

	return sg_agent_call(cli, method,
	    json_pack("{s:s, s:s}", "jid", operands[0], "fingerprint", operands[1]),
	    SG_CALL_PIN | SG_CALL_PASSWORD, operands[0], result);
}

int sg_cert_adopt(struct sg_cli *cli, json_t **result)
{
	return call_fingerprint(cli, "AdoptCertificate", result);
}

void sg_cert_adopt_show(const struct sg_cli *cli, const json_t *result)
{
	sg_show_certificate(json_object_get(result, "certificate"));
}

int sg_cert_remove(struct sg_cli *cli, json_t **result)
{
	return call_fingerprint(cli, "RemoveCertificate", result);
}

void sg_cert_remove_show(const struct sg_cli *cli, const json_t *result)
{
	puts("Removed.");
}

/* ---- cert revoke --token ---- */

/* Whether all that was to be revoked can log in no more. */
static int is_done(const json_t *certificates)
{
	const json_t *row;
	size_t i;

	json_array_foreach(certificates, i, row) {
		const char *outcome = sg_member(row, "outcome", "");

		if (strcmp(outcome, "revoked") != 0 && strcmp(outcome, "absent") != 0)
			return 0;
	}
	return 1;
}

int sg_cert_revoke_token(struct sg_cli *cli, json_t **result)
{
	const char *jid = cli->args.operands[0], *token = cli->args.value[SG_OPT_TOKEN];
	int err;

	if (cli->args.operands[1] != NULL)
		return sg_cli_fail(cli, SG_ERR_ARG, "Name one certificate, or a token.",
		    "--token goes with no fingerprint");
	if (sg_args_has(&cli->args, SG_OPT_DISABLE))
		return sg_cli_fail(cli, SG_ERR_ARG,
		    "A lost token's certificates are revoked; disable one by its fingerprint.",
		    "--token goes with no --disable");
	err = sg_ask_yes(cli,
	    "Revoke all certificates of %s that belong to the token %s? Whoever uses one is logged "
	    "out, for good.",
	    jid, token);
	if (err == 0)
		err = sg_agent_call(cli, "RevokeToken",
		    json_pack("{s:s, s:s}", "jid", jid, "token", token),
		    SG_CALL_PIN | SG_CALL_PASSWORD | SG_CALL_MORE, jid, result);
	if (err == 0 &&
	    (!is_done(json_object_get(*result, "certificates")) ||
		json_array_size(json_object_get(*result, "problems")) > 0 ||
		sg_member(*result, "unretracted", NULL) != NULL))
		cli->status = SG_STATUS_PROBLEM;
	return err;
}

static const char *outcome_text(const char *outcome)
{
	static const struct sg_word words[] = {
		{ "absent", "not known to the server" },
		{ "pending", "NOT YET, the agent tries it again" },
		{ "refused", "REFUSED by the server" },
	};

	return SG_WORD_TEXT(outcome, words);
}

void sg_cert_revoke_token_show(const struct sg_cli *cli, const json_t *result)
{
	const json_t *account = json_object_get(result, "account"), *row;
	const json_t *problems = json_object_get(result, "problems"), *problem;
	const char *unretracted = sg_member(result, "unretracted", NULL);
	size_t i;

	json_array_foreach(json_object_get(result, "certificates"), i, row) {
		sg_print_text(stdout, sg_member(row, "sha256", "-"));
		printf(": %s", outcome_text(sg_member(row, "outcome", "-")));
		if (sg_member(row, "text", NULL) != NULL) {
			fputs(": ", stdout);
			sg_print_text(stdout, sg_member(row, "text", ""));
		}
		putchar('\n');
	}
	json_array_foreach(problems, i, problem) {
		fputs("Not known, so there may be others that log in: ", stdout);
		sg_print_text(stdout, json_string_value(problem));
		putchar('\n');
	}
	if (json_array_size(problems) > 0)
		puts("The same command again is fine, once that is mended.");
	if (unretracted != NULL) {
		fputs("Their keyinfos are still published: ", stdout);
		sg_print_text(stdout, unretracted);
		putchar('\n');
	}
	if (json_is_true(json_object_get(result, "switched")))
		sg_print_member("goes on with", account, "certificate");
	if (json_is_true(json_object_get(result, "user_key_lost")))
		puts("The account's user key was on it, too, and signs keys that your friends "
		     "trust: make\nanother one (`signet key new --user`), sign and publish, and "
		     "retract the lost one\n(`signet publish --show` has its name, `signet "
		     "retract` takes it off); tell your friends.");
}
