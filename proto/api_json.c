#include "api_json.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client.h"
#include "keyinfo.h"
#include "x509.h"
#include "xml.h"

int sg_json_depth_is_good(const char *text, size_t len)
{
	size_t depth = 0;
	int in_string = 0;

	for (size_t i = 0; i < len; i++) {
		if (in_string && text[i] == '\\')
			i++;
		else if (text[i] == '"')
			in_string = !in_string;
		else if (!in_string && (text[i] == '{' || text[i] == '['))
			depth++;
		else if (!in_string && (text[i] == '}' || text[i] == ']') && depth > 0)
			depth--;
		if (depth > SG_API_DEPTH_MAX)
			return 0;
	}
	return 1;
}

json_t *sg_json_text(const char *text)
{
	json_t *string;
	char *clean;

	if (text == NULL)
		return json_null();
	string = json_string(text);
	if (string != NULL)
		return string;
	clean = strdup(text);
	for (char *p = clean; p != NULL && *p != '\0'; p++) {
		if ((unsigned char)*p >= 0x80)
			*p = '?';
	}
	string = clean != NULL ? json_string(clean) : NULL;
	free(clean);
	return string;
}

json_t *sg_json_text_or_empty(const char *text)
{
	return sg_json_text(text != NULL ? text : "");
}

/* The strings of a NULL-terminated array; none for NULL. */
static json_t *texts_json(char *const *texts)
{
	json_t *array = json_array();

	for (size_t i = 0; texts != NULL && texts[i] != NULL; i++)
		json_array_append_new(array, sg_json_text(texts[i]));
	return array;
}

json_t *sg_json_when(int64_t when)
{
	time_t seconds = (time_t)when;
	char text[32];
	struct tm tm;

	if (when == 0 || gmtime_r(&seconds, &tm) == NULL ||
	    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		return json_null();
	return json_string(text);
}

json_t *sg_json_jids(X509 *cert)
{
	char **jids = NULL;
	json_t *array;

	if (cert != NULL && sg_x509_cert_jids(cert, &jids, NULL) != 0)
		jids = NULL;
	array = texts_json(jids);
	sg_strv_free(jids);
	return array;
}

static json_t *signatures(const struct sg_keyinfo *keyinfo, const struct sg_verdict *verdict)
{
	json_t *array = json_array();

	for (uint32_t i = 0; i < keyinfo->signature_count; i++) {
		const struct sg_signature *signature = &keyinfo->signatures[i];

		json_array_append_new(array,
		    json_pack("{s:o, s:o, s:o, s:s, s:o}", "issuer",
			sg_json_text_or_empty(signature->issuer), "issuer_jid",
			sg_json_text(signature->issuer_jid), "method",
			sg_json_text(signature->method), "verdict",
			sg_signature_verdict_name(verdict->signatures[i]), "reason",
			sg_json_text(verdict->reasons[i])));
	}
	return array;
}

/* The keyinfo as text: as it came, or as we make it. */
static json_t *keyinfo_text(const struct sg_keyinfo *keyinfo)
{
	struct sg_xml *element = NULL;
	char *made = NULL;
	json_t *text;

	if (keyinfo->xml != NULL)
		return sg_json_text(keyinfo->xml);
	if (sg_keyinfo_encode(keyinfo, &element) == 0)
		made = sg_xml_to_string(element);
	text = made != NULL ? sg_json_text(made) : NULL;
	free(made);
	sg_xml_free(element);
	return text;
}

/* null: that cannot be told. */
static json_t *yes_or_no(const struct sg_verdict *verdict, int yes)
{
	return verdict->untold ? json_null() : json_boolean(yes);
}

json_t *sg_json_public_key(const struct sg_keyinfo *keyinfo, const struct sg_verdict *verdict)
{
	const char *kind = sg_key_kind_name(keyinfo->kind);
	X509 *cert = NULL;
	json_t *object;

	if (kind == NULL)
		return NULL;
	if (keyinfo->kind == SG_KEYINFO_X509 && sg_x509_cert_parse(&keyinfo->data, &cert) != 0)
		cert = NULL;
	object = json_pack("{s:o, s:s, s:o, s:o, s:o, s:s, s:o, s:o, s:o}", "name",
	    sg_json_text_or_empty(keyinfo->name), "kind", kind, "jids",
	    keyinfo->kind == SG_KEYINFO_PGP ? texts_json(verdict->jids) : sg_json_jids(cert),
	    "user_ids", texts_json(verdict->user_ids), "keyinfo", keyinfo_text(keyinfo), "grade",
	    sg_grade_name(verdict->grade), "expired", yes_or_no(verdict, verdict->expired),
	    "revoked", yes_or_no(verdict, verdict->revoked), "signatures",
	    signatures(keyinfo, verdict));
	X509_free(cert);
	return object;
}
