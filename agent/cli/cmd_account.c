#include "cmd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include "agent_call.h"
#include "ask.h"
#include "print.h"
#include "show.h"

/* The file must hold at least one certificate, and nothing in it that looks like one and is none. */
static int cafile_check(struct sg_cli *cli, const char *path)
{
	BIO *file = BIO_new_file(path, "r");
	size_t count = 0;
	X509 *cert;
	int err = 0;

	if (file == NULL) {
		err = sg_cli_fail(cli, SG_ERR_ARG, "Check the path of the file.",
		    "the CA file '%s' cannot be read", path);
		goto out;
	}
	while ((cert = PEM_read_bio_X509(file, NULL, NULL, NULL)) != NULL) {
		X509_free(cert);
		count++;
	}
	if (count == 0 || ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
		err = sg_cli_fail(cli, SG_ERR_ARG,
		    "Give a file of certificates in PEM: '-----BEGIN CERTIFICATE-----' and so on.",
		    "the CA file '%s' holds %s", path,
		    count == 0 ? "no certificate in PEM" : "a certificate that cannot be read");
out:
	ERR_clear_error();
	BIO_free(file);
	return err;
}

static int cafile_take(struct sg_cli *cli, char **path)
{
	const char *given = cli->args.value[SG_OPT_CAFILE];

	*path = NULL;
	if (given == NULL)
		return 0;
	*path = realpath(given, NULL);
	if (*path == NULL)
		return sg_cli_fail(cli, SG_ERR_ARG, "Check the path of the file.",
		    "the CA file '%s' cannot be found: %s", given, strerror(errno));
	return cafile_check(cli, *path);
}

int sg_account_add(struct sg_cli *cli, json_t **result)
{
	const struct sg_args *args = &cli->args;
	const char *tls = args->value[SG_OPT_TLS], *port_text = args->value[SG_OPT_PORT];
	char *cafile = NULL;
	long port = 0;
	int err;

	if (tls != NULL && strcmp(tls, "starttls") != 0 && strcmp(tls, "direct") != 0)
		return sg_cli_fail(cli, SG_ERR_ARG, "Write --tls starttls or --tls direct.",
		    "there is no TLS mode '%s'", tls);
	if (port_text != NULL && sg_number_parse(port_text, 1, 65535, &port) != 0)
		return sg_cli_fail(cli, SG_ERR_ARG, "A port is a number from 1 to 65535.",
		    "'%s' is no port", port_text);
	err = cafile_take(cli, &cafile);
	if (err == 0)
		err = sg_agent_call(cli, "AddAccount",
		    json_pack("{s:s, s:s*, s:o*, s:s*, s:s*}", "jid", args->operands[0], "host",
			args->value[SG_OPT_HOST], "port",
			port_text != NULL ? json_integer(port) : NULL, "tls", tls, "cafile",
			cafile),
		    0, NULL, result);
	free(cafile);
	return err;
}

int sg_account_list(struct sg_cli *cli, json_t **result)
{
	return sg_agent_call(cli, "ListAccounts", json_object(), 0, NULL, result);
}

void sg_account_list_show(const struct sg_cli *cli, const json_t *result)
{
	sg_show_accounts(json_object_get(result, "accounts"));
}

static int call_jid(struct sg_cli *cli, const char *method, unsigned flags, json_t **result)
{
	const char *jid = cli->args.operands[0];

	return sg_agent_call(cli, method, json_pack("{s:s}", "jid", jid), flags, jid, result);
}

int sg_account_show(struct sg_cli *cli, json_t **result)
{
	return call_jid(cli, "ShowAccount", 0, result);
}

void sg_account_show_show(const struct sg_cli *cli, const json_t *result)
{
	json_t *accounts = json_pack("[O]", json_object_get(result, "account"));

	sg_show_account(json_object_get(result, "account"));
	sg_show_jobs(accounts);
	json_decref(accounts);
}

int sg_account_remove(struct sg_cli *cli, json_t **result)
{
	int err =
	    sg_ask_yes(cli, "Remove the account %s from the agent? Its keys stay on their token.",
		cli->args.operands[0]);

	return err == 0 ? call_jid(cli, "RemoveAccount", 0, result) : err;
}

void sg_account_remove_show(const struct sg_cli *cli, const json_t *result)
{
	fputs("Removed ", stdout);
	sg_print_text(stdout, cli->args.operands[0]);
	puts(".");
}

int sg_account_connect(struct sg_cli *cli, json_t **result)
{
	const char *jid = cli->args.operands[0];
	char *key = NULL;
	int err = 0;

	if (sg_args_has(&cli->args, SG_OPT_KEY))
		err = sg_secret_args_name(cli, cli->args.value[SG_OPT_KEY], &key);
	if (err == 0)
		err =
		    sg_agent_call(cli, "Connect", json_pack("{s:s, s:s*}", "jid", jid, "key", key),
			SG_CALL_PIN | SG_CALL_PASSWORD, jid, result);
	free(key);
	return err;
}

int sg_account_disconnect(struct sg_cli *cli, json_t **result)
{
	return call_jid(cli, "Disconnect", 0, result);
}
