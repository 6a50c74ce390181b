#include "cmd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/pem.h>

#include "agent_call.h"
#include "ccm2.h"
#include "files.h"
#include "fingerprint.h"
#include "print.h"
#include "show.h"
#include "text.h"
#include "x509.h"

static int user_check(struct sg_cli *cli)
{
	if (sg_args_has(&cli->args, SG_OPT_USER) != sg_args_has(&cli->args, SG_OPT_ACCOUNT))
		return sg_cli_fail(cli, SG_ERR_ARG,
		    "Give both for a user key, and none for another key.",
		    "--user and --account belong together");
	return 0;
}

int sg_key_new(struct sg_cli *cli, json_t **result)
{
	const struct sg_args *args = &cli->args;
	char *token = NULL;
	int err = user_check(cli);

	if (err == 0)
		err = sg_secret_args_name(cli, args->value[SG_OPT_TOKEN], &token);
	if (err == 0)
		err = sg_agent_call(cli, "NewKey",
		    json_pack("{s:s, s:s, s:s*, s:s*, s:o*}", "token", token, "label",
			args->value[SG_OPT_LABEL], "algorithm", args->value[SG_OPT_ALGORITHM],
			"account", args->value[SG_OPT_ACCOUNT], "user",
			sg_args_has(args, SG_OPT_USER) ? json_true() : NULL),
		    SG_CALL_PIN, NULL, result);
	free(token);
	return err;
}

/* Of a key and the certificate that was made for it, if one was. */
void sg_key_new_show(const struct sg_cli *cli, const json_t *result)
{
	const json_t *certificate = json_object_get(result, "certificate");

	sg_show_key(json_object_get(result, "key"));
	if (json_is_object(certificate)) {
		putchar('\n');
		sg_show_certificate(certificate);
	}
}

int sg_key_list(struct sg_cli *cli, json_t **result)
{
	if (cli->args.operand_count == 0)
		return sg_agent_call(cli, "ListKeys", json_object(), 0, NULL, result);
	return sg_agent_call_named(cli, "ListKeys", "selector", cli->args.operands[0], 0, result);
}

void sg_key_list_show(const struct sg_cli *cli, const json_t *result)
{
	sg_show_keys(json_object_get(result, "keys"));
}

static const char *first_jid(const json_t *certificate)
{
	return json_string_value(json_array_get(json_object_get(certificate, "jids"), 0));
}

/* The URI of each certificate, beside it; null where it has no JID. */
static int add_uris(struct sg_cli *cli, json_t *result)
{
	json_t *certificates = json_object_get(result, "certificates"), *certificate;
	size_t i, count = 0;

	json_array_foreach(certificates, i, certificate) {
		const char *jid = first_jid(certificate);
		char *uri = jid != NULL
		    ? sg_fingerprint_uri(jid, sg_member(certificate, "name", ""),
			  sg_member(certificate, "sha256", ""))
		    : NULL;

		count += uri != NULL;
		if (json_object_set_new(
			certificate, "xmpp_uri", uri != NULL ? json_string(uri) : json_null()) != 0)
			count = 0;
		free(uri);
	}
	if (json_array_size(certificates) == 0)
		return sg_cli_fail(cli, SG_ERR_KEY_ABSENT,
		    "What is compared is the certificate: `signet enrol` gets one, and `signet key "
		    "use --user` makes one.",
		    "the key '%s' has no certificate", cli->args.operands[0]);
	if (count == 0 && sg_args_has(&cli->args, SG_OPT_QR))
		return sg_cli_fail(cli, SG_ERR_UNSUPPORTED, "Compare what --fingerprint prints.",
		    "no certificate of the key '%s' names a JID, which a QR code is for",
		    cli->args.operands[0]);
	return 0;
}

static int is_compared(const struct sg_cli *cli)
{
	return sg_args_has(&cli->args, SG_OPT_FINGERPRINT) || sg_args_has(&cli->args, SG_OPT_QR);
}

int sg_key_show(struct sg_cli *cli, json_t **result)
{
	char *key = NULL;
	int err = sg_secret_args_name(cli, cli->args.operands[0], &key);

	*result = NULL;
	if (err == 0)
		err = sg_agent_call(cli, "ShowKey",
		    json_pack("{s:s, s:o*}", "key", key, "attestation",
			sg_args_has(&cli->args, SG_OPT_ATTESTATION) ? json_true() : NULL),
		    0, NULL, result);
	if (err == 0 && is_compared(cli))
		err = add_uris(cli, *result);
	if (err != 0) {
		json_decref(*result);
		*result = NULL;
	}
	free(key);
	return err;
}

static void compare_show(const struct sg_cli *cli, const json_t *certificate)
{
	const char *uri = sg_member(certificate, "xmpp_uri", NULL);

	sg_print_field("JID", first_jid(certificate));
	sg_print_groups("name", sg_member(certificate, "name", ""));
	sg_print_groups("SHA-256", sg_member(certificate, "sha256", ""));
	if (!sg_args_has(&cli->args, SG_OPT_QR) || uri == NULL)
		return;
	sg_print_field("URI", uri);
	putchar('\n');
	if (sg_print_qr(stdout, uri) != 0)
		fprintf(stderr, "signet: the URI is too long for a QR code\n");
}

static void pem_show(const json_t *certificate)
{
	struct sg_blob der = { 0 };
	char *pem = NULL;

	if (sg_base64_decode(sg_member(certificate, "der", ""), SG_CCM2_DER_MAX, &der) == 0)
		pem = sg_x509_pem(PEM_STRING_X509, &der);
	if (pem != NULL)
		fputs(pem, stdout);
	free(pem);
	sg_blob_clear(&der);
}

/* The chain as a file that openssl verify takes. */
static void attestation_show(const json_t *attestation)
{
	const json_t *certificate = json_object_get(attestation, "certificate");
	const json_t *issuer = json_object_get(attestation, "issuer");

	putchar('\n');
	if (!json_is_object(attestation)) {
		puts("Its token does not attest that it has made the key.");
		return;
	}
	sg_print_member("attested as", certificate, "subject");
	sg_print_member("by", certificate, "issuer");
	if (json_is_object(issuer))
		sg_print_member("whose issuer", issuer, "issuer");
	else
		sg_print_field("whose issuer", "the token does not show it");
	sg_print_field("kept",
	    json_is_true(json_object_get(attestation, "kept"))
		? "with the request of its certificate"
		: "no, the token says so now");
	pem_show(certificate);
	if (json_is_object(issuer))
		pem_show(issuer);
}

void sg_key_show_show(const struct sg_cli *cli, const json_t *result)
{
	const json_t *certificates = json_object_get(result, "certificates"), *certificate;
	size_t i;

	if (!is_compared(cli))
		sg_show_key(json_object_get(result, "key"));
	json_array_foreach(certificates, i, certificate) {
		if (i > 0 || !is_compared(cli))
			putchar('\n');
		if (is_compared(cli))
			compare_show(cli, certificate);
		else
			sg_show_certificate(certificate);
	}
	if (sg_args_has(&cli->args, SG_OPT_ATTESTATION))
		attestation_show(json_object_get(result, "attestation"));
}

int sg_key_use(struct sg_cli *cli, json_t **result)
{
	const struct sg_args *args = &cli->args;
	char *key = NULL;
	int err = user_check(cli);

	if (err == 0)
		err = sg_secret_args_name(cli, args->operands[0], &key);
	if (err == 0)
		err = sg_agent_call(cli, "UseKey",
		    json_pack("{s:s, s:s*, s:o*}", "key", key, "account",
			args->value[SG_OPT_ACCOUNT], "user",
			sg_args_has(args, SG_OPT_USER) ? json_true() : NULL),
		    SG_CALL_PIN, NULL, result);
	free(key);
	return err;
}

void sg_key_use_show(const struct sg_cli *cli, const json_t *result)
{
	sg_key_new_show(cli, result);
}

/* The request as bytes; SG_ERR_FORMAT, told, when the agent's answer is none. */
static int csr_der(struct sg_cli *cli, const json_t *result, struct sg_blob *der)
{
	int err = sg_base64_decode(sg_member(result, "csr", ""), SG_CCM2_DER_MAX, der);

	if (err != 0)
		err = sg_cli_fail(cli, err, NULL, "the agent's answer holds no request");
	return err;
}

int sg_csr(struct sg_cli *cli, json_t **result)
{
	const struct sg_args *args = &cli->args;
	struct sg_file_out out = { 0 };
	struct sg_blob der = { 0 };
	char *key = NULL, *pem = NULL;
	int err = sg_secret_args_name(cli, args->operands[0], &key);

	if (err == 0)
		err = sg_file_out_open(cli, args->value[SG_OPT_OUT], &out);
	if (err == 0)
		err = sg_agent_call(cli, "MakeCsr",
		    json_pack("{s:s, s:s}", "key", key, "jid", args->operands[1]), SG_CALL_PIN,
		    NULL, result);
	if (err == 0)
		err = csr_der(cli, *result, &der);
	if (err == 0 && sg_args_has(args, SG_OPT_PEM)) {
		pem = sg_x509_pem(PEM_STRING_X509_REQ, &der);
		err = pem != NULL ? sg_file_out_write(cli, &out, pem, strlen(pem)) : SG_ERR_NOMEM;
	} else if (err == 0) {
		err = sg_file_out_write(cli, &out, der.data, der.len);
	}
	sg_file_out_clear(&out);
	sg_blob_clear(&der);
	free(pem);
	free(key);
	return err;
}

void sg_csr_show(const struct sg_cli *cli, const json_t *result)
{
	struct sg_blob der = { 0 };
	char *pem = NULL;

	if (sg_args_has(&cli->args, SG_OPT_OUT))
		return;
	if (sg_base64_decode(sg_member(result, "csr", ""), SG_CCM2_DER_MAX, &der) == 0)
		pem = sg_x509_pem(PEM_STRING_X509_REQ, &der);
	if (pem != NULL)
		fputs(pem, stdout);
	free(pem);
	sg_blob_clear(&der);
}

int sg_sign(struct sg_cli *cli, json_t **result)
{
	const struct sg_args *args = &cli->args;
	const char *subject = args->operand_count > 1 ? args->operands[1] : NULL;
	struct sg_file_out out = { 0 };
	const char *keyinfo;
	int err;

	if (sg_args_has(args, SG_OPT_PGP))
		return sg_sign_pgp(cli, result);
	err = sg_file_out_open(cli, args->value[SG_OPT_OUT], &out);

	if (err == 0)
		err = sg_agent_call(cli, "Sign",
		    json_pack("{s:s, s:s*}", "account", args->operands[0], "subject", subject),
		    SG_CALL_PIN, NULL, result);
	if (err == 0) {
		keyinfo = sg_member(json_object_get(*result, "key"), "keyinfo", "");
		err = sg_file_out_write(cli, &out, keyinfo, strlen(keyinfo));
	}
	sg_file_out_clear(&out);
	return err;
}

void sg_sign_show(const struct sg_cli *cli, const json_t *result)
{
	json_t *keys = json_pack("[O]", json_object_get(result, "key"));
	const char *note = sg_member(result, "note", NULL);

	sg_show_public_keys(keys);
	json_decref(keys);
	if (note != NULL) {
		putchar('\n');
		sg_print_text(stdout, note);
		putchar('\n');
	}
}
