#include "cmd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent_call.h"
#include "ask.h"
#include "ccm2.h"
#include "files.h"
#include "print.h"
#include "show.h"
#include "text.h"

static int write_certificate(struct sg_cli *cli, struct sg_file_out *out, const json_t *result)
{
	struct sg_blob der = { 0 };
	int err;

	if (out->path == NULL)
		return 0;
	err = sg_base64_decode(
	    sg_member(json_object_get(result, "certificate"), "der", ""), SG_CCM2_DER_MAX, &der);
	if (err != 0)
		err = sg_cli_fail(cli, err, NULL, "the agent's answer holds no certificate");
	else
		err = sg_file_out_write(cli, out, der.data, der.len);
	sg_blob_clear(&der);
	return err;
}

static int enrol_cancel(struct sg_cli *cli, json_t **result)
{
	static const enum sg_opt others[] = { SG_OPT_KEY, SG_OPT_NAME, SG_OPT_OUT, SG_OPT_REPLACE,
		SG_OPT_SPARE };
	const char *jid = cli->args.operands[0];
	int err;

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		if (sg_args_has(&cli->args, others[i]))
			return sg_cli_fail(cli, SG_ERR_ARG,
			    "Undo the enrolment first, then enrol anew.",
			    "--cancel goes with no --%s", sg_opt_info(others[i])->name);
	}
	err = sg_agent_call(cli, "CancelEnrolment", json_pack("{s:s}", "jid", jid),
	    SG_CALL_PIN | SG_CALL_PASSWORD, jid, result);
	if (err == 0 && sg_member(*result, "unrevoked", NULL) != NULL)
		cli->status = SG_STATUS_PROBLEM;
	return err;
}

/* The user key signs it, so that friends know it when it is needed. Where that is not to be had now, it
 * is said what does it later. */
static void sign_spare(struct sg_cli *cli, json_t *result)
{
	const char *jid = cli->args.operands[0];
	const char *name = sg_member(json_object_get(result, "certificate"), "name", "");
	json_t *reply = NULL;
	int err;

	if (sg_member(json_object_get(result, "account"), "user_key", NULL) == NULL)
		return;
	err = sg_agent_call(cli, "Sign", json_pack("{s:s, s:s}", "account", jid, "subject", name),
	    SG_CALL_PIN, NULL, &reply);
	json_object_set_new(result, "signed", json_boolean(err == 0));
	json_decref(reply);
	if (err == 0)
		return;
	fputs("signet: the user key has not signed it (", stderr);
	sg_print_text(stderr, sg_member(cli->error, "message", sg_err_text(err)));
	fprintf(stderr, "); `signet sign %s %s` does it later\n", jid, name);
	sg_cli_forget(cli);
}

int sg_enrol(struct sg_cli *cli, json_t **result)
{
	const struct sg_args *args = &cli->args;
	const char *jid = args->operands[0];
	struct sg_file_out out = { 0 };
	char *key = NULL;
	int err;

	if (sg_args_has(args, SG_OPT_CANCEL))
		return enrol_cancel(cli, result);
	if (!sg_args_has(args, SG_OPT_KEY))
		return sg_cli_fail(cli, SG_ERR_ARG,
		    "`signet key list` shows the keys; name one by --key.",
		    "--key is missing: no certificate without a key");
	err = sg_secret_args_name(cli, args->value[SG_OPT_KEY], &key);
	if (err == 0)
		err = sg_file_out_open(cli, args->value[SG_OPT_OUT], &out);
	if (err == 0)
		err = sg_agent_call(cli, "Enrol",
		    json_pack("{s:s, s:s, s:s*, s:b, s:b}", "jid", jid, "key", key, "name",
			args->value[SG_OPT_NAME], "replace", sg_args_has(args, SG_OPT_REPLACE),
			"spare", sg_args_has(args, SG_OPT_SPARE)),
		    SG_CALL_PIN | SG_CALL_PASSWORD | SG_CALL_MORE, jid, result);
	if (err == 0 && sg_args_has(args, SG_OPT_SPARE))
		sign_spare(cli, *result);
	if (err == 0)
		err = write_certificate(cli, &out, *result);
	sg_file_out_clear(&out);
	free(key);
	return err;
}

static void cancel_show(const char *jid, const json_t *result)
{
	const char *unrevoked = sg_member(result, "unrevoked", NULL);

	if (unrevoked == NULL) {
		puts("It is undone."); /* an enrolment, or a renewal */
		return;
	}
	fputs("It is undone, but what was issued is NOT REVOKED, and may log in: ", stdout);
	sg_print_text(stdout, unrevoked);
	printf("\n`signet cert list %s --diff` shows it.\n", jid);
}

void sg_enrol_show(const struct sg_cli *cli, const json_t *result)
{
	const json_t *certificate = json_object_get(result, "certificate");
	const json_t *account = json_object_get(result, "account");

	if (sg_args_has(&cli->args, SG_OPT_CANCEL)) {
		cancel_show(cli->args.operands[0], result);
		return;
	}
	if (json_is_object(certificate))
		sg_show_certificate(certificate);
	sg_print_member("account", account, "jid");
	sg_print_member("login", account, "mechanism");
}

int sg_cert_list(struct sg_cli *cli, json_t **result)
{
	const char *jid = cli->args.operands[0];

	if (sg_args_has(&cli->args, SG_OPT_DIFF))
		return sg_cert_diff(cli, result);
	return sg_agent_call(cli, "ListCertificates", json_pack("{s:s}", "jid", jid),
	    SG_CALL_PIN | SG_CALL_PASSWORD, jid, result);
}

static void show_issued(const json_t *issued)
{
	const json_t *certificate = json_object_get(issued, "certificate");
	const char *used = sg_member(issued, "used", "unknown");
	char *users = sg_member_list(issued, "users");

	sg_print_member("name", issued, "name");
	sg_print_member("sha256", certificate, "sha256");
	sg_print_member("valid until", certificate, "not_after");
	if (strcmp(used, "at") == 0)
		used = sg_member(issued, "last_used", "at an unknown time");
	else if (strcmp(used, "unknown") == 0)
		used = "at an unknown time";
	else if (strcmp(used, "untold") == 0)
		used = "the server does not tell";
	sg_print_field("last used", used);
	if (json_array_size(json_object_get(issued, "users")) > 0)
		sg_print_field("in use by", users);
	if (json_is_true(json_object_get(issued, "own")))
		sg_print_field("ours", "yes, this agent logs in with it");
	free(users);
}

void sg_cert_list_show(const struct sg_cli *cli, const json_t *result)
{
	const json_t *certificates = json_object_get(result, "certificates"), *issued;
	const json_int_t unread = json_integer_value(json_object_get(result, "unread"));
	size_t i;

	if (sg_args_has(&cli->args, SG_OPT_DIFF)) {
		sg_cert_diff_show(cli, result);
		return;
	}
	if (json_array_size(certificates) == 0 && unread == 0)
		puts("The server lists no certificate.");
	json_array_foreach(certificates, i, issued) {
		if (i > 0)
			putchar('\n');
		show_issued(issued);
	}
	if (unread > 0)
		printf("%s%" JSON_INTEGER_FORMAT
		       " %s of the server's list cannot be read, and may log in all the same.\n",
		    i > 0 ? "\n" : "", unread, unread == 1 ? "entry" : "entries");
}

int sg_cert_renew(struct sg_cli *cli, json_t **result)
{
	const struct sg_args *args = &cli->args;
	const char *jid = args->operands[0];
	const char *selector = args->value[SG_OPT_KEY];
	char *key = NULL;
	int err = selector != NULL ? sg_secret_args_name(cli, selector, &key) : 0;

	if (err == 0)
		err = sg_agent_call(cli, "Renew",
		    json_pack("{s:s, s:b, s:s*, s:s*}", "jid", jid, "rekey",
			sg_args_has(args, SG_OPT_REKEY), "key", key, "name",
			args->value[SG_OPT_NAME]),
		    SG_CALL_PIN | SG_CALL_PASSWORD | SG_CALL_MORE, jid, result);
	free(key);
	return err;
}

int sg_cert_revoke(struct sg_cli *cli, json_t **result)
{
	const char *jid = cli->args.operands[0], *fingerprint = cli->args.operands[1];
	int disable = sg_args_has(&cli->args, SG_OPT_DISABLE);
	int current, err;

	if (sg_args_has(&cli->args, SG_OPT_TOKEN))
		return sg_cert_revoke_token(cli, result);
	if (fingerprint == NULL)
		return sg_cli_fail(cli, SG_ERR_ARG, "`signet cert list` shows the certificates.",
		    "what is to be revoked is missing: FINGERPRINT, current, or --token TOKEN");
	current = strcmp(fingerprint, "current") == 0;
	err = sg_ask_yes(cli,
	    disable ? "Disable %s%s of %s? It can log in no more; whoever uses it now stays so."
		    : "Revoke %s%s of %s? Whoever uses it is logged out, for good.",
	    current ? "the current certificate" : "the certificate ", current ? "" : fingerprint,
	    jid);

	if (err == 0)
		err = sg_agent_call(cli, "RevokeCertificate",
		    json_pack("{s:s, s:s, s:o*}", "jid", jid, "fingerprint", fingerprint, "disable",
			disable ? json_true() : NULL),
		    SG_CALL_PIN | SG_CALL_PASSWORD, jid, result);
	return err;
}

void sg_cert_revoke_show(const struct sg_cli *cli, const json_t *result)
{
	if (sg_args_has(&cli->args, SG_OPT_TOKEN))
		sg_cert_revoke_token_show(cli, result);
	else
		puts(sg_args_has(&cli->args, SG_OPT_DISABLE) ? "Disabled." : "Revoked.");
}
