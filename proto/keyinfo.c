#include "keyinfo.h"

#include <stdlib.h>
#include <string.h>

#include "cert_form.h"
#include "log.h"
#include "pgp.h"
#include "text.h"
#include "x509.h"

#define NAME_LEN   40 /* hex of SHA-1, or of an OpenPGP v4 fingerprint; K2 */
#define METHOD_MAX 64 /* bytes of a signature method's name */

char *sg_keyinfo_name_x509(const struct sg_blob *der)
{
	return sg_x509_fingerprint(der, "sha1");
}

/* ---- encoding ---- */

static int is_name(const char *text)
{
	return text != NULL && strlen(text) == NAME_LEN &&
	    strspn(text, "0123456789abcdef") == NAME_LEN;
}

static int encode_signature(const struct sg_signature *signature, struct sg_xml *keyinfo)
{
	struct sg_xml *element, *issuer, *value;
	int err;

	if (!is_name(signature->issuer) || signature->value.len == 0)
		return SG_ERR_KEYINFO;
	if (signature->value.len > SG_KEYINFO_VALUE_MAX)
		return SG_ERR_LIMIT;
	err = sg_xml_put(keyinfo, "signature", NULL, &element);
	if (err == 0)
		err = sg_xml_put(element, "issuer", signature->issuer, &issuer);
	if (err == 0 && signature->issuer_jid != NULL)
		err = sg_xml_set_attr(issuer, "jid", signature->issuer_jid);
	if (err == 0)
		err = sg_xml_put_base64(element, "value", &signature->value, &value);
	if (err == 0 && signature->method != NULL)
		err = sg_xml_set_attr(value, "method", signature->method);
	return err;
}

static int encode_data(const struct sg_keyinfo *keyinfo, struct sg_xml *root)
{
	if (keyinfo->kind == SG_KEYINFO_REFERENCE)
		return 0;
	if (keyinfo->data.len == 0)
		return SG_ERR_KEYINFO;
	if (keyinfo->data.len > SG_KEYINFO_DATA_MAX)
		return SG_ERR_LIMIT;
	if (keyinfo->kind == SG_KEYINFO_X509)
		return sg_xml_put_base64(root, "x509cert", &keyinfo->data, NULL);
	if (keyinfo->kind == SG_KEYINFO_PGP)
		return sg_xml_put_base64(root, "pgpdata", &keyinfo->data, NULL);
	return SG_ERR_KEYINFO;
}

int sg_keyinfo_encode(const struct sg_keyinfo *keyinfo, struct sg_xml **element)
{
	struct sg_xml *root;
	int err;

	*element = NULL;
	if (!is_name(keyinfo->name))
		return SG_ERR_KEYINFO;
	if (keyinfo->signature_count > SG_KEYINFO_SIGNATURES_MAX)
		return SG_ERR_LIMIT;
	root = sg_xml_new("keyinfo", SG_NS_PUBKEY);
	if (root == NULL)
		return SG_ERR_NOMEM;
	err = sg_xml_put(root, "name", keyinfo->name, NULL);
	if (err == 0)
		err = encode_data(keyinfo, root);
	for (uint32_t i = 0; err == 0 && i < keyinfo->signature_count; i++)
		err = encode_signature(&keyinfo->signatures[i], root);
	return sg_xml_hand_over(err, root, element);
}

/* ---- decoding ---- */

int sg_keyinfo_name_take(const char *text, char **name)
{
	char *copy = strdup(text);

	*name = NULL;
	if (copy == NULL)
		return SG_ERR_NOMEM;
	for (char *c = copy; *c != '\0'; c++) {
		if (*c >= 'A' && *c <= 'F')
			*c = (char)(*c - 'A' + 'a');
	}
	if (!is_name(copy)) {
		free(copy);
		return SG_ERR_FORMAT;
	}
	*name = copy;
	return 0;
}

/* The element's text as a name, white space around it dropped. */
static int take_name(const struct sg_xml *element, char **name)
{
	char *text = sg_xml_trimmed_text(element);
	int err;

	*name = NULL;
	if (text == NULL)
		return SG_ERR_NOMEM;
	err = sg_keyinfo_name_take(text, name);
	free(text);
	return err;
}

/* ---- sets ---- */

size_t sg_keyinfo_weight(const struct sg_keyinfo *keyinfo)
{
	size_t bytes = sizeof(*keyinfo) + keyinfo->data.len;

	if (keyinfo->xml != NULL)
		bytes += strlen(keyinfo->xml);
	for (uint32_t i = 0; i < keyinfo->signature_count; i++)
		bytes += sizeof(*keyinfo->signatures) + keyinfo->signatures[i].value.len;
	return bytes;
}

int sg_keyinfos_append(struct sg_msg_keyinfos *set, struct sg_msg_keyinfos *part, size_t *bytes)
{
	size_t count = (size_t)set->keyinfo_count + part->keyinfo_count, room = 1, had = 1;
	size_t weight = *bytes;
	uint32_t more;
	struct sg_keyinfo *grown = set->keyinfos;

	for (uint32_t i = 0; i < part->keyinfo_count; i++)
		weight += sg_keyinfo_weight(&part->keyinfos[i]);
	if (count > SG_KEYINFOS_MAX || weight > SG_KEYINFOS_BYTES_MAX ||
	    part->refused > SG_KEYINFOS_MAX - set->refused)
		return SG_ERR_LIMIT;
	/* It grows by powers of 2, of which the count alone tells which it has. */
	while (room < count)
		room *= 2;
	while (had < set->keyinfo_count)
		had *= 2;
	if (count > 0 && (grown == NULL || room > had)) {
		grown = reallocarray(set->keyinfos, room, sizeof(*grown));
		if (grown == NULL)
			return SG_ERR_NOMEM;
	}
	set->keyinfos = grown;
	for (uint32_t i = 0; i < part->keyinfo_count; i++)
		set->keyinfos[set->keyinfo_count + i] = part->keyinfos[i];
	set->keyinfo_count = (uint32_t)count;
	set->refused += part->refused;
	*bytes = weight;
	part->keyinfo_count = 0;
	more = part->more;
	sg_msg_clear(SG_MSG_KEYINFOS, part);
	part->more = more;
	return 0;
}

/* ---- decoding ---- */

static const struct {
	const char *element;
	enum sg_key_kind kind;
} key_elements[] = {
	/* K1: the names of the examples, which we emit, and those of the schema */
	{ "x509cert", SG_KEYINFO_X509 },
	{ "x509", SG_KEYINFO_X509 },
	{ "pgpdata", SG_KEYINFO_PGP },
	{ "openpgp", SG_KEYINFO_PGP },
};

static enum sg_key_kind key_kind(const struct sg_xml *element)
{
	for (size_t i = 0; i < sizeof(key_elements) / sizeof(key_elements[0]); i++) {
		if (sg_xml_is(element, key_elements[i].element, SG_NS_PUBKEY))
			return key_elements[i].kind;
	}
	return SG_KEYINFO_REFERENCE;
}

/* The parts of a keyinfo, found in one walk. */
struct parts {
	const struct sg_xml *name;
	const struct sg_xml *key;
	enum sg_key_kind kind;
	uint32_t signature_count;
};

static int find_parts(const struct sg_xml *element, struct parts *parts, const char **why)
{
	const struct sg_xml *child;
	enum sg_key_kind kind;

	*parts = (struct parts){ 0 };
	for (child = sg_xml_first(element); child != NULL; child = sg_xml_next(child)) {
		kind = key_kind(child);
		if (kind != SG_KEYINFO_REFERENCE) {
			*why = "more than one key element";
			if (parts->key != NULL)
				return SG_ERR_KEYINFO;
			parts->key = child;
			parts->kind = kind;
		} else if (sg_xml_is(child, "name", SG_NS_PUBKEY)) {
			*why = "more than one name";
			if (parts->name != NULL)
				return SG_ERR_KEYINFO;
			parts->name = child;
		} else if (sg_xml_is(child, "signature", SG_NS_PUBKEY)) {
			*why = "more than 10000 signatures";
			if (parts->signature_count == SG_KEYINFO_SIGNATURES_MAX)
				return SG_ERR_LIMIT;
			parts->signature_count++;
		}
	}
	*why = "no name";
	return parts->name != NULL ? 0 : SG_ERR_KEYINFO;
}

/* The certificate parses and has the keyinfo's name. */
static int check_x509(const struct sg_keyinfo *keyinfo, const char **why)
{
	struct sg_cert_form form;
	X509 *cert = NULL;
	char *name;
	int same, err = 0;

	*why = "no X.509 certificate in DER";
	if (!sg_cert_form_read(&keyinfo->data, &form))
		err = sg_x509_cert_parse(&keyinfo->data, &cert);
	X509_free(cert);
	if (err != 0)
		return err;
	name = sg_keyinfo_name_x509(&keyinfo->data);
	if (name == NULL)
		return SG_ERR_NOMEM;
	same = strcmp(name, keyinfo->name) == 0;
	free(name);
	*why = "the name is not the certificate's fingerprint";
	return same ? 0 : SG_ERR_KEYINFO;
}

/* The packets are those of one public key, of the keyinfo's name. */
static int check_pgp(const struct sg_keyinfo *keyinfo, const char **why)
{
	struct sg_pgp_form form;
	int err = sg_pgp_key_check(&keyinfo->data, &form, why);

	if (err != 0)
		return err == SG_ERR_LIMIT || err == SG_ERR_NOMEM ? err : SG_ERR_KEYINFO;
	*why = "the name is not the OpenPGP key's fingerprint";
	return strcmp(form.name, keyinfo->name) == 0 ? 0 : SG_ERR_KEYINFO;
}

static int decode_data(const struct parts *parts, struct sg_keyinfo *keyinfo, const char **why)
{
	int err;

	keyinfo->kind = parts->kind;
	if (parts->kind == SG_KEYINFO_REFERENCE)
		return 0;
	*why = "key data of more than 256 KiB";
	err = sg_xml_base64(parts->key, SG_KEYINFO_DATA_MAX, &keyinfo->data);
	if (err == SG_ERR_FORMAT)
		*why = "key data that is not Base64";
	if (err == 0 && parts->kind == SG_KEYINFO_X509)
		err = check_x509(keyinfo, why);
	if (err == 0 && parts->kind == SG_KEYINFO_PGP)
		err = check_pgp(keyinfo, why);
	return err;
}

static int decode_issuer(const struct sg_xml *element, struct sg_signature *signature)
{
	const char *jid = sg_xml_attr(element, "jid");
	int err = take_name(element, &signature->issuer);

	if (err != 0 || jid == NULL)
		return err;
	signature->issuer_jid = sg_jid_bare(jid);
	return signature->issuer_jid != NULL ? 0 : SG_ERR_FORMAT;
}

static int decode_value(const struct sg_xml *element, struct sg_signature *signature)
{
	const char *method = sg_xml_attr(element, "method");

	if (method != NULL && strlen(method) > METHOD_MAX)
		return SG_ERR_FORMAT;
	if (method != NULL && (signature->method = strdup(method)) == NULL)
		return SG_ERR_NOMEM;
	return sg_xml_base64(element, SG_KEYINFO_VALUE_MAX, &signature->value);
}

static int decode_signature(const struct sg_xml *element, struct sg_signature *signature)
{
	const struct sg_xml *issuer, *value = NULL;
	int err = sg_xml_only(element, "issuer", NULL, &issuer);

	if (err == 0)
		err = sg_xml_only(element, "value", NULL, &value);
	if (err == 0 && (issuer == NULL || value == NULL))
		err = SG_ERR_FORMAT;
	if (err == 0)
		err = decode_issuer(issuer, signature);
	if (err == 0)
		err = decode_value(value, signature);
	if (err != 0)
		sg_layout_clear(&sg_layout_signature, signature);
	return err;
}

/* An ill-formed signature is dropped, the key and the other signatures are kept. */
static int decode_signatures(
    const struct sg_xml *element, uint32_t count, struct sg_keyinfo *keyinfo)
{
	const struct sg_xml *child;
	uint32_t dropped = 0;
	int err;

	if (count == 0)
		return 0;
	keyinfo->signatures = calloc(count, sizeof(*keyinfo->signatures));
	if (keyinfo->signatures == NULL)
		return SG_ERR_NOMEM;
	for (child = sg_xml_first(element); child != NULL; child = sg_xml_next(child)) {
		if (!sg_xml_is(child, "signature", SG_NS_PUBKEY))
			continue;
		err = decode_signature(child, &keyinfo->signatures[keyinfo->signature_count]);
		if (err == SG_ERR_NOMEM)
			return err;
		if (err != 0)
			dropped++;
		else
			keyinfo->signature_count++;
	}
	if (keyinfo->signature_count == 0) {
		free(keyinfo->signatures);
		keyinfo->signatures = NULL;
	}
	if (dropped > 0)
		sg_log(SG_LOG_WARN, "keyinfo %s: dropped %u ill-formed signatures", keyinfo->name,
		    (unsigned)dropped);
	return 0;
}

int sg_keyinfo_decode(const struct sg_xml *element, struct sg_keyinfo *keyinfo, const char **why)
{
	struct parts parts;
	int err = SG_ERR_KEYINFO;

	*keyinfo = (struct sg_keyinfo){ 0 };
	*why = "no keyinfo element";
	if (!sg_xml_is(element, "keyinfo", SG_NS_PUBKEY))
		goto out;
	err = find_parts(element, &parts, why);
	if (err != 0)
		goto out;
	*why = "the name is not 40 hex digits";
	err = take_name(parts.name, &keyinfo->name);
	if (err != 0)
		goto out;
	err = decode_data(&parts, keyinfo, why);
	if (err != 0)
		goto out;
	err = decode_signatures(element, parts.signature_count, keyinfo);
	if (err != 0)
		goto out;
	keyinfo->xml = sg_xml_to_string(element);
	if (keyinfo->xml == NULL)
		err = SG_ERR_NOMEM;
out:
	if (err == 0) {
		*why = NULL;
		return 0;
	}
	sg_layout_clear(&sg_layout_keyinfo, keyinfo);
	if (err == SG_ERR_NOMEM)
		*why = "out of memory";
	return err == SG_ERR_FORMAT ? SG_ERR_KEYINFO : err;
}
