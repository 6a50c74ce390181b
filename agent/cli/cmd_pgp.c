#include "cmd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent_call.h"
#include "files.h"
#include "gpg.h"
#include "keyset.h"
#include "pgp.h"
#include "print.h"
#include "show.h"
#include "text.h"
#include "x509.h"

/* ---- key pgp ---- */

int sg_key_pgp_add(struct sg_cli *cli, json_t **result)
{
	struct sg_blob file = { 0 }, key = { 0 };
	const char *why = NULL;
	char *text = NULL;
	int err = sg_file_read(cli, cli->args.operands[0], SG_PGP_FILE_MAX, &file);

	if (err != 0)
		return err;
	/* Here, too, so that a secret key given by mistake goes nowhere. */
	err = sg_pgp_key_read(&file, &key, &why);
	if (err != 0 && err != SG_ERR_NOMEM)
		err = sg_cli_fail(cli, err == SG_ERR_DENIED ? SG_ERR_ARG : SG_ERR_KEYINFO,
		    "`gpg --export FINGERPRINT` writes a public key.", "'%s' cannot be used: %s",
		    cli->args.operands[0], why);
	if (err == 0 && (text = sg_base64_encode(key.data, key.len)) == NULL)
		err = SG_ERR_NOMEM;
	if (err == 0)
		err = sg_agent_call(cli, "AddPgpKey",
		    json_pack(
			"{s:s, s:s}", "account", cli->args.value[SG_OPT_ACCOUNT], "key", text),
		    0, NULL, result);
	explicit_bzero(file.data, file.len);
	sg_blob_clear(&file);
	sg_blob_clear(&key);
	free(text);
	return err;
}

void sg_key_pgp_add_show(const struct sg_cli *cli, const json_t *result)
{
	sg_sign_show(cli, result);
}

static int list_own(struct sg_cli *cli, const char *account, json_t **reply)
{
	return sg_agent_call(
	    cli, "ListOwnKeys", json_pack("{s:s}", "account", account), 0, NULL, reply);
}

int sg_key_pgp_list(struct sg_cli *cli, json_t **result)
{
	json_t *reply = NULL, *keys = json_array();
	const json_t *key;
	size_t i;
	int err = list_own(cli, cli->args.value[SG_OPT_ACCOUNT], &reply);

	json_array_foreach(json_object_get(reply, "keys"), i, key) {
		if (strcmp(sg_member(key, "kind", ""), "pgp") == 0)
			(void)json_array_append(
			    keys, json_array_get(json_object_get(reply, "keys"), i));
	}
	if (err == 0)
		*result = json_pack("{s:O}", "keys", keys);
	json_decref(keys);
	json_decref(reply);
	return err;
}

void sg_key_pgp_list_show(const struct sg_cli *cli, const json_t *result)
{
	const json_t *keys = json_object_get(result, "keys");

	if (json_array_size(keys) == 0)
		puts("The account has no OpenPGP key; `signet key pgp add` adds one.");
	sg_show_public_keys(keys);
}

int sg_key_pgp_remove(struct sg_cli *cli, json_t **result)
{
	return sg_agent_call(cli, "RemovePgpKey",
	    json_pack("{s:s, s:s}", "account", cli->args.value[SG_OPT_ACCOUNT], "name",
		cli->args.operands[0]),
	    0, NULL, result);
}

void sg_key_pgp_remove_show(const struct sg_cli *cli, const json_t *result)
{
	printf("%s is forgotten; if it was published, it still is.\n", cli->args.operands[0]);
}

/* ---- sign --pgp ---- */

/* The account's own keys, as the agent has them. */
static int own_keys(struct sg_cli *cli, const char *account, struct sg_keyset *set)
{
	json_t *reply = NULL;
	const json_t *key;
	const char *why = NULL;
	size_t i;
	int err = list_own(cli, account, &reply);

	json_array_foreach(json_object_get(reply, "keys"), i, key) {
		const char *keyinfo = sg_member(key, "keyinfo", "");
		struct sg_blob text = { 0 };

		if (err == 0)
			err = sg_blob_set(&text, keyinfo, strlen(keyinfo));
		if (err == 0)
			err = sg_keyset_add_xml(set, &text, &why);
		sg_blob_clear(&text);
	}
	json_decref(reply);
	return err;
}

/* The fingerprint as a key's name (K2), or SHA-256: a new string; NULL, told, for what is none. */
static char *take_name(struct sg_cli *cli, const char *text, size_t max)
{
	struct sg_blob bytes = { 0 };
	char *name = NULL;

	if (sg_hex_decode(text, max, &bytes) == 0)
		name = sg_hex_encode(bytes.data, bytes.len);
	else
		sg_cli_fail(cli, SG_ERR_ARG, "Write it in hex.", "'%s' is no fingerprint", text);
	sg_blob_clear(&bytes);
	return name;
}

/* By its name or the SHA-256 of its data. */
static const struct sg_keyinfo *find_key(const struct sg_keyset *set, const char *fingerprint)
{
	for (size_t i = 0; i < set->count; i++) {
		char *sha256 = sg_x509_fingerprint(&set->keys[i].data, "sha256");
		int same = strcmp(set->keys[i].name, fingerprint) == 0 ||
		    (sha256 != NULL && strcmp(sha256, fingerprint) == 0);

		free(sha256);
		if (same)
			return &set->keys[i];
	}
	return NULL;
}

/* What is to be signed: what the person named, or the account's certificate. New string. */
static int subject_name(struct sg_cli *cli, char **name)
{
	const struct sg_args *args = &cli->args;
	const char *certificate;
	json_t *reply = NULL;
	int err;

	*name = NULL;
	if (args->operand_count > 1) {
		*name = take_name(cli, args->operands[1], 32);
		return *name != NULL ? 0 : SG_ERR_ARG;
	}
	err = sg_agent_call(
	    cli, "ShowAccount", json_pack("{s:s}", "jid", args->operands[0]), 0, NULL, &reply);
	if (err != 0)
		return err;
	certificate = sg_member(json_object_get(reply, "account"), "certificate", NULL);
	if (certificate == NULL)
		err = sg_cli_fail(cli, SG_ERR_KEY_ABSENT,
		    "Get one with `signet enrol JID --key KEY`, or name what to sign.",
		    "%s has no certificate to sign", args->operands[0]);
	else if ((*name = strdup(certificate)) == NULL)
		err = SG_ERR_NOMEM;
	json_decref(reply);
	return err;
}

/* The signature over the subject, handed over to the agent. */
static int sign_subject(struct sg_cli *cli, const struct sg_keyinfo *issuer,
    const struct sg_keyinfo *subject, json_t **result)
{
	struct sg_blob bytes = { 0 }, value = { 0 };
	char *text = NULL;
	int err = subject->kind == SG_KEYINFO_PGP /* K4, or K3 */
	    ? sg_hex_decode(subject->name, SG_PGP_FINGERPRINT_SIZE, &bytes)
	    : sg_blob_set(&bytes, subject->data.data, subject->data.len);

	if (err == 0)
		err = sg_gpg_sign(cli, issuer->name, &bytes, &value);
	if (err == 0 && (text = sg_base64_encode(value.data, value.len)) == NULL)
		err = SG_ERR_NOMEM;
	if (err == 0)
		err = sg_agent_call(cli, "AddSignature",
		    json_pack("{s:s, s:s, s:s, s:s}", "account", cli->args.operands[0], "subject",
			subject->name, "issuer", issuer->name, "value", text),
		    0, NULL, result);
	free(text);
	sg_blob_clear(&bytes);
	sg_blob_clear(&value);
	return err;
}

static int find_both(struct sg_cli *cli, const struct sg_keyset *set, const char *issuer_name,
    const char *subject, json_t **result)
{
	const struct sg_keyinfo *issuer = find_key(set, issuer_name),
				*found = find_key(set, subject);

	if (issuer == NULL || issuer->kind != SG_KEYINFO_PGP)
		return sg_cli_fail(cli, SG_ERR_KEY_ABSENT,
		    "Add it with `signet key pgp add FILE --account JID`.",
		    "%s is no OpenPGP key of %s", issuer_name, cli->args.operands[0]);
	if (found == NULL)
		return sg_cli_fail(cli, SG_ERR_KEY_ABSENT, NULL,
		    "%s holds no certificate or OpenPGP key %s", cli->args.operands[0], subject);
	if (found == issuer)
		return sg_cli_fail(
		    cli, SG_ERR_ARG, NULL, "a key's own signature would count for nothing");
	return sign_subject(cli, issuer, found, result);
}

int sg_sign_pgp(struct sg_cli *cli, json_t **result)
{
	const struct sg_args *args = &cli->args;
	struct sg_file_out out = { 0 };
	struct sg_keyset set = { 0 };
	char *subject = NULL;
	char *issuer = take_name(cli, args->value[SG_OPT_PGP], SG_PGP_FINGERPRINT_SIZE);
	const char *keyinfo;
	int err = issuer != NULL ? 0 : SG_ERR_ARG;

	if (err == 0)
		err = sg_file_out_open(cli, args->value[SG_OPT_OUT], &out);
	if (err == 0)
		err = subject_name(cli, &subject);
	if (err == 0)
		err = own_keys(cli, args->operands[0], &set);
	if (err == 0)
		err = find_both(cli, &set, issuer, subject, result);
	if (err == 0) {
		keyinfo = sg_member(json_object_get(*result, "key"), "keyinfo", "");
		err = sg_file_out_write(cli, &out, keyinfo, strlen(keyinfo));
	}
	sg_file_out_clear(&out);
	sg_keyset_clear(&set);
	free(subject);
	free(issuer);
	return err;
}
