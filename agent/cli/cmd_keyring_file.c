#include "cmd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/pem.h>

#include "agent_call.h"
#include "files.h"
#include "keyinfo.h"
#include "keyset.h"
#include "print.h"
#include "x509.h"
#include "xml.h"

#define NS_KEYRING "urn:signet:keyring" /* pubkeys elements of several JIDs in one document */

#define CALL_BYTES_MAX	  (400u << 10) /* of keyinfos in one call, about */
#define CALL_KEYS_MAX	  100
#define KEYINFO_BYTES_MAX (900u << 10) /* what fits into a message at all */

/* ---- export ---- */

static int export_pages(struct sg_cli *cli, const char *jid, const char *name, json_t *all)
{
	json_t *parameters = json_pack(
	    "{s:s*, s:o*}", "jid", jid, "names", name != NULL ? json_pack("[s]", name) : NULL);
	int err;

	do
		err = sg_agent_page(cli, "ExportKeyring", parameters, all);
	while (err == 1);
	json_decref(parameters);
	return err;
}

/* One pubkeys element as it is, several in an element of ours. */
static char *export_xml(const json_t *pubkeys)
{
	struct sg_buf text = { 0 };
	int alone = json_array_size(pubkeys) == 1;
	const json_t *one;
	size_t i;

	if (!alone)
		sg_buf_put_str(&text, "<keyring xmlns='" NS_KEYRING "'>\n");
	json_array_foreach(pubkeys, i, one) {
		sg_buf_put_str(&text, json_string_value(one));
		sg_buf_put_str(&text, "\n");
	}
	if (!alone)
		sg_buf_put_str(&text, "</keyring>\n");
	return sg_buf_steal(&text, NULL);
}

static int put_pem(struct sg_buf *text, const struct sg_blob *der)
{
	X509 *cert = NULL;
	char *pem = NULL;
	int err = sg_x509_cert_parse(der, &cert);

	if (err == 0 && (pem = sg_x509_pem(PEM_STRING_X509, der)) == NULL)
		err = SG_ERR_NOMEM;
	if (err == 0)
		sg_buf_put_str(text, pem);
	X509_free(cert);
	free(pem);
	return err;
}

static int is_twin(const struct sg_keyset *set, size_t at)
{
	for (size_t i = 0; i < at; i++) {
		if (sg_blob_eq(&set->keys[i].data, &set->keys[at].data))
			return 1;
	}
	return 0;
}

/* Every certificate once, however many JIDs it is known of; *others counts keys that are none. */
static char *export_pem(const json_t *pubkeys, size_t *others)
{
	struct sg_keyset set = { 0 };
	struct sg_buf text = { 0 };
	const json_t *one;
	const char *why;
	size_t i;

	*others = 0;
	json_array_foreach(pubkeys, i, one) {
		const struct sg_blob xml = { (unsigned char *)(uintptr_t)json_string_value(one),
			json_string_length(one) };

		if (sg_keyset_add_xml(&set, &xml, &why) != 0)
			text.err = SG_ERR_NOMEM;
	}
	for (i = 0; i < set.count; i++) {
		if (is_twin(&set, i))
			continue;
		if (set.keys[i].kind != SG_KEYINFO_X509 || put_pem(&text, &set.keys[i].data) != 0)
			++*others;
	}
	sg_keyset_clear(&set);
	return sg_buf_steal(&text, NULL);
}

static char *export_text(const struct sg_cli *cli, const json_t *pubkeys, size_t *others)
{
	*others = 0;
	return sg_args_has(&cli->args, SG_OPT_PEM) ? export_pem(pubkeys, others)
						   : export_xml(pubkeys);
}

static int export_ask(struct sg_cli *cli, json_t *all)
{
	const struct sg_args *args = &cli->args;
	int err = 0;

	if (args->operand_count == 0)
		err = export_pages(cli, NULL, NULL, all);
	for (int i = 0; err == 0 && i < args->operand_count; i++) {
		const char *what = args->operands[i];
		int of_jid = strchr(what, '@') != NULL;

		err = export_pages(cli, of_jid ? what : NULL, of_jid ? NULL : what, all);
	}
	if (err == 0 && json_array_size(json_object_get(all, "pubkeys")) == 0)
		err = sg_cli_fail(cli, SG_ERR_KEY_ABSENT,
		    "`signet keyring list` shows the keys that are known.",
		    "there is no key to export");
	return err;
}

int sg_keyring_export(struct sg_cli *cli, json_t **result)
{
	struct sg_file_out out = { 0 };
	json_t *all = json_pack("{s:[], s:[]}", "pubkeys", "left_out");
	char *text = NULL;
	size_t others;
	int err = sg_file_out_open(cli, cli->args.value[SG_OPT_OUT], &out);

	if (err == 0)
		err = export_ask(cli, all);
	if (err == 0)
		text = export_text(cli, json_object_get(all, "pubkeys"), &others);
	if (err == 0 && text == NULL)
		err = SG_ERR_NOMEM;
	if (err == 0 && strlen(text) > SG_XML_BYTES_MAX)
		err = sg_cli_fail(cli, SG_ERR_LIMIT, "Export the keys of some JIDs at a time.",
		    "the keys are longer than the %u MiB that one file may have",
		    SG_XML_BYTES_MAX >> 20);
	if (err == 0)
		err = sg_file_out_write(cli, &out, text, strlen(text));
	if (err == 0)
		*result = json_incref(all);
	sg_file_out_clear(&out);
	json_decref(all);
	free(text);
	return err;
}

void sg_keyring_export_show(const struct sg_cli *cli, const json_t *result)
{
	size_t others = 0, left_out = json_array_size(json_object_get(result, "left_out"));
	char *text = export_text(cli, json_object_get(result, "pubkeys"), &others);

	if (!sg_args_has(&cli->args, SG_OPT_OUT))
		fputs(text != NULL ? text : "", stdout);
	if (others > 0)
		fprintf(stderr, "signet: %zu keys are no X.509 certificates and are left out\n",
		    others);
	if (left_out > 0)
		fprintf(stderr, "signet: %zu keys are too long for a message and are left out\n",
		    left_out);
	free(text);
}

/* ---- import ---- */

struct import {
	struct sg_cli *cli;
	struct sg_buf call; /* the keyinfos of the next call */
	size_t call_keys;
	size_t keys;
	json_int_t added, known, own;
	json_t *refused;
	json_int_t refused_count;
};

static int refuse(struct import *import, const char *name, const char *reason)
{
	import->refused_count++;
	return json_array_append_new(
		   import->refused, json_pack("{s:s?, s:s}", "name", name, "reason", reason)) == 0
	    ? 0
	    : SG_ERR_NOMEM;
}

static json_int_t member(const json_t *reply, const char *name)
{
	return json_integer_value(json_object_get(reply, name));
}

/* Sends what has gathered. */
static int flush(struct import *import)
{
	char *text;
	json_t *reply = NULL;
	int err;

	if (import->call_keys == 0)
		return 0;
	sg_buf_put_str(&import->call, "</keyring>");
	import->call_keys = 0;
	text = sg_buf_steal(&import->call, NULL);
	if (text == NULL)
		return SG_ERR_NOMEM;
	err = sg_agent_call(import->cli, "ImportKeyring",
	    json_pack("{s:s, s:s*}", "keyinfos", text, "jid", import->cli->args.value[SG_OPT_JID]),
	    0, NULL, &reply);
	if (err == 0) {
		import->added += member(reply, "added");
		import->known += member(reply, "known");
		import->own += member(reply, "own");
		import->refused_count += member(reply, "refused_count");
		if (json_array_extend(import->refused, json_object_get(reply, "refused")) != 0)
			err = SG_ERR_NOMEM;
	}
	json_decref(reply);
	free(text);
	return err;
}

/* Adds a keyinfo to the next call, in a pubkeys element that says whose it is, or (NULL) not. */
static int gather(struct import *import, const char *keyinfo, const char *name, const char *jid)
{
	struct sg_xml *pubkeys = NULL, *element = NULL;
	char *text = NULL;
	int err = 0;

	import->keys++;
	if (strlen(keyinfo) > KEYINFO_BYTES_MAX)
		return refuse(import, name, "it is longer than a message may be");
	if (import->call_keys == CALL_KEYS_MAX ||
	    import->call.len + strlen(keyinfo) > CALL_BYTES_MAX)
		err = flush(import);
	if (err != 0)
		return err;
	if (jid != NULL) {
		pubkeys = sg_xml_new("pubkeys", SG_NS_PUBKEY);
		err = pubkeys != NULL ? sg_xml_set_attr(pubkeys, "jid", jid) : SG_ERR_NOMEM;
		if (err == 0)
			err = sg_xml_parse(keyinfo, strlen(keyinfo), &element);
		if (err == 0)
			err = sg_xml_add(pubkeys, element);
		if (err == 0 && (text = sg_xml_to_string(pubkeys)) == NULL)
			err = SG_ERR_NOMEM;
		sg_xml_free(pubkeys);
	}
	if (err == 0) {
		if (import->call_keys++ == 0)
			sg_buf_put_str(&import->call, "<keyring xmlns='" NS_KEYRING "'>");
		sg_buf_put_str(&import->call, text != NULL ? text : keyinfo);
	}
	free(text);
	return err;
}

static int gather_element(struct import *import, const struct sg_xml *element, const char *jid)
{
	const struct sg_xml *named = sg_xml_child(element, "name", NULL);
	char *name = named != NULL ? sg_xml_trimmed_text(named) : NULL;
	char *text = sg_xml_to_string(element);
	int err = text != NULL ? gather(import, text, name, jid) : SG_ERR_NOMEM;

	free(text);
	free(name);
	return err;
}

/* The depth is bounded by the parser. */
static int walk(struct import *import, const struct sg_xml *element, const char *jid)
{
	int err = 0;

	if (sg_xml_is(element, "keyinfo", SG_NS_PUBKEY))
		return gather_element(import, element, jid);
	if (sg_xml_is(element, "pubkeys", SG_NS_PUBKEY) && sg_xml_attr(element, "jid") != NULL)
		jid = sg_xml_attr(element, "jid");
	for (const struct sg_xml *child = sg_xml_first(element); err == 0 && child != NULL;
	     child = sg_xml_next(child))
		err = walk(import, child, jid);
	return err;
}

static int import_xml(struct import *import, const struct sg_blob *data, const char **why)
{
	struct sg_xml *root = NULL;
	int err = sg_xml_parse((const char *)data->data, data->len, &root);

	*why = err == SG_ERR_LIMIT ? "it is too large or too deep" : "it is not well-formed XML";
	if (err == 0) {
		*why = NULL;
		err = walk(import, root, NULL);
	}
	sg_xml_free(root);
	return err;
}

static int gather_key(struct import *import, const struct sg_keyinfo *keyinfo)
{
	struct sg_xml *element = NULL;
	int err = sg_keyinfo_encode(keyinfo, &element);

	if (err == 0)
		err = gather_element(import, element, NULL);
	sg_xml_free(element);
	return err;
}

/* Certificates, in PEM as many as there are, or one in DER; or an OpenPGP key. */
static int import_keys(struct import *import, const struct sg_blob *data, const char **why)
{
	struct sg_keyset set = { 0 };
	int err = sg_keyset_add_issuer(&set, data, why);

	if (err == 0)
		*why = NULL;
	for (size_t i = 0; err == 0 && i < set.count; i++)
		err = gather_key(import, &set.keys[i]);
	sg_keyset_clear(&set);
	return err;
}

static int import_data(struct import *import, const struct sg_blob *data, const char **why)
{
	return sg_keyset_is_xml(data) ? import_xml(import, data, why)
				      : import_keys(import, data, why);
}

/* That a part was refused is a failure beside the result. */
static int conclude(struct import *import)
{
	const json_t *first = json_array_get(import->refused, 0);

	if (import->keys == 0)
		return sg_cli_fail(import->cli, SG_ERR_KEYINFO,
		    "Give keyinfos in XML, certificates, or an OpenPGP key.",
		    "there is no key in '%s'", import->cli->args.operands[0]);
	if (import->refused_count > 0)
		return sg_cli_fail(import->cli, SG_ERR_KEYINFO,
		    "What was not refused is in the keyring.",
		    "%lld of %zu keys refused; the first, '%s': %s",
		    (long long)import->refused_count, import->keys,
		    sg_member(first, "name", "without a name"), sg_member(first, "reason", "-"));
	return 0;
}

int sg_keyring_import(struct sg_cli *cli, json_t **result)
{
	const char *path = cli->args.operands[0], *why = NULL;
	struct import import = { .cli = cli, .refused = json_array() };
	struct sg_blob data = { 0 };
	int err = sg_file_read(cli, path, SG_XML_BYTES_MAX, &data);

	if (err == 0) {
		err = import_data(&import, &data, &why);
		if (err != 0 && err != SG_ERR_NOMEM && why != NULL)
			err = sg_cli_fail(
			    cli, SG_ERR_KEYINFO, NULL, "'%s' cannot be imported: %s", path, why);
	}
	if (err == 0)
		err = flush(&import);
	if (err == 0) {
		*result = json_pack("{s:I, s:I, s:I, s:O, s:I}", "added", import.added, "known",
		    import.known, "own", import.own, "refused", import.refused, "refused_count",
		    import.refused_count);
		err = *result != NULL ? conclude(&import) : SG_ERR_NOMEM;
	}
	sg_buf_clear(&import.call);
	json_decref(import.refused);
	sg_blob_clear(&data);
	return err;
}

void sg_keyring_import_show(const struct sg_cli *cli, const json_t *result)
{
	printf("%lld new, %lld known before", (long long)member(result, "added"),
	    (long long)member(result, "known"));
	if (member(result, "own") > 0)
		printf(", %lld of your own left out", (long long)member(result, "own"));
	if (member(result, "refused_count") > 0)
		printf(", %lld refused", (long long)member(result, "refused_count"));
	puts(".");
	if (member(result, "added") > 0)
		puts("None is trusted by that: compare each with its owner, then `signet keyring "
		     "trust`.");
}
