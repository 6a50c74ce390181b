#include "uri.h"

#include <stdlib.h>
#include <string.h>

#include <p11-kit/p11-kit.h>
#include <p11-kit/uri.h>

#include "text.h"

struct sg_selector {
	char *label; /* NULL for a URI and for everything */
	P11KitUri *uri;
};

static int name_is(const char *name, size_t len, const char *wanted)
{
	return strlen(wanted) == len && memcmp(name, wanted, len) == 0;
}

static int path_check(const char *path, const char *text, struct sg_msg_error *error)
{
	struct sg_uri_attribute attribute;
	unsigned seen = 0;

	while (sg_uri_next(&path, &attribute)) {
		unsigned bit = 1u << attribute.which;

		if (attribute.which == SG_URI_UNKNOWN || (seen & bit) != 0) {
			sg_msg_error_set(error, SG_ERR_ARG, text,
			    "the URI's attribute '%.*s' is unknown or repeated",
			    (int)(attribute.name_len < 64 ? attribute.name_len : 64),
			    attribute.name);
			return SG_ERR_ARG;
		}
		seen |= bit;
	}
	return 0;
}

static int query_check(const char *query, const char *text, struct sg_msg_error *error)
{
	while (*query != '\0') {
		size_t part = strcspn(query, "&");
		size_t name = strcspn(query, "=&");

		if (name_is(query, name, "pin-value")) {
			/* The text is not repeated: there is a PIN in it. */
			sg_msg_error_set(error, SG_ERR_DENIED, NULL,
			    "a PIN is not taken from a URI (pin-value): it would be seen");
			return SG_ERR_DENIED;
		}
		if (!name_is(query, name, "pin-source")) {
			sg_msg_error_set(error, SG_ERR_ARG, text,
			    "the URI's attribute '%.*s' is not taken", (int)(name < 64 ? name : 64),
			    query);
			return SG_ERR_ARG;
		}
		query += part;
		if (*query != '\0')
			query++;
	}
	return 0;
}

static int uri_parse(const char *text, P11KitUri **uri, struct sg_msg_error *error)
{
	const char *path = sg_uri_path(text);
	const char *query = strchr(path, '?');
	int err, rc;

	err = query != NULL ? query_check(query + 1, text, error) : 0;
	if (err == 0)
		err = path_check(path, text, error);
	if (err != 0)
		return err;
	*uri = p11_kit_uri_new();
	if (*uri == NULL)
		return SG_ERR_NOMEM;
	rc = p11_kit_uri_parse(text, P11_KIT_URI_FOR_ANY, *uri);
	if (rc != P11_KIT_URI_OK || p11_kit_uri_any_unrecognized(*uri)) {
		sg_msg_error_set(error, SG_ERR_ARG, text, "this is no PKCS#11 URI: %s",
		    p11_kit_uri_message(rc) != NULL ? p11_kit_uri_message(rc) : "unknown value");
		return SG_ERR_ARG;
	}
	return 0;
}

int sg_selector_parse(const char *text, struct sg_selector **selector, struct sg_msg_error *error)
{
	struct sg_selector *sel;
	int err = 0;

	*selector = NULL;
	if (text == NULL)
		text = "";
	if (strlen(text) > SG_URI_MAX) {
		sg_msg_error_set(
		    error, SG_ERR_LIMIT, NULL, "the name of a token or key is too long");
		return SG_ERR_LIMIT;
	}
	sel = calloc(1, sizeof(*sel));
	if (sel == NULL)
		return SG_ERR_NOMEM;
	if (sg_uri_is_uri(text)) {
		err = uri_parse(text, &sel->uri, error);
	} else if (*text) {
		sel->label = strdup(text);
		if (sel->label == NULL)
			err = SG_ERR_NOMEM;
	}
	if (err != 0) {
		sg_selector_free(sel);
		return err;
	}
	*selector = sel;
	return 0;
}

void sg_selector_free(struct sg_selector *selector)
{
	if (selector == NULL)
		return;
	free(selector->label);
	p11_kit_uri_free(selector->uri);
	free(selector);
}

int sg_selector_match_token(const struct sg_selector *selector, const CK_INFO *library,
    CK_SLOT_ID slot, const CK_SLOT_INFO *slot_info, const CK_TOKEN_INFO *token_info)
{
	CK_SLOT_ID wanted;

	if (selector->uri == NULL)
		return 1;
	wanted = p11_kit_uri_get_slot_id(selector->uri);
	if (wanted != (CK_SLOT_ID)-1 && wanted != slot)
		return 0;
	return p11_kit_uri_match_module_info(selector->uri, library) &&
	    p11_kit_uri_match_slot_info(selector->uri, slot_info) &&
	    p11_kit_uri_match_token_info(selector->uri, token_info);
}

int sg_selector_is_token(const struct sg_selector *selector, const CK_INFO *library,
    CK_SLOT_ID slot, const CK_SLOT_INFO *slot_info, const CK_TOKEN_INFO *token_info)
{
	size_t len = p11_kit_space_strlen(token_info->label, sizeof(token_info->label));

	if (!(token_info->flags & CKF_TOKEN_INITIALIZED))
		return 0;
	if (selector->label != NULL)
		return strlen(selector->label) == len &&
		    memcmp(selector->label, token_info->label, len) == 0;
	return sg_selector_match_token(selector, library, slot, slot_info, token_info);
}

int sg_selector_names_token(const struct sg_selector *selector)
{
	const CK_TOKEN_INFO *info =
	    selector->uri != NULL ? p11_kit_uri_get_token_info(selector->uri) : NULL;

	return info != NULL && (info->label[0] != 0 || info->serialNumber[0] != 0);
}

int sg_selector_means_keys(const struct sg_selector *selector)
{
	CK_ATTRIBUTE *attribute;
	CK_OBJECT_CLASS wanted;

	attribute =
	    selector->uri != NULL ? p11_kit_uri_get_attribute(selector->uri, CKA_CLASS) : NULL;
	if (attribute == NULL || attribute->ulValueLen != sizeof(wanted))
		return 1;
	memcpy(&wanted, attribute->pValue, sizeof(wanted));
	return wanted == CKO_PRIVATE_KEY || wanted == CKO_PUBLIC_KEY;
}

size_t sg_selector_template(const struct sg_selector *selector, CK_ATTRIBUTE attributes[2])
{
	static const CK_ATTRIBUTE_TYPE types[] = { CKA_ID, CKA_LABEL };
	size_t i, count = 0;

	if (selector->label != NULL) {
		attributes[0].type = CKA_LABEL;
		attributes[0].pValue = selector->label;
		attributes[0].ulValueLen = strlen(selector->label);
		return 1;
	}
	for (i = 0; selector->uri != NULL && i < sizeof(types) / sizeof(types[0]); i++) {
		CK_ATTRIBUTE *attribute = p11_kit_uri_get_attribute(selector->uri, types[i]);

		if (attribute != NULL)
			attributes[count++] = *attribute;
	}
	return count;
}

static char *uri_format(P11KitUri *uri, P11KitUriType type)
{
	char *text = NULL;

	if (p11_kit_uri_format(uri, type, &text) != P11_KIT_URI_OK)
		return NULL;
	return text;
}

char *sg_uri_token(const CK_TOKEN_INFO *info)
{
	P11KitUri *uri = p11_kit_uri_new();
	CK_TOKEN_INFO *token = uri != NULL ? p11_kit_uri_get_token_info(uri) : NULL;
	char *text = NULL;

	if (token != NULL) {
		memcpy(token->label, info->label, sizeof(token->label));
		memcpy(token->serialNumber, info->serialNumber, sizeof(token->serialNumber));
		memcpy(token->manufacturerID, info->manufacturerID, sizeof(token->manufacturerID));
		memcpy(token->model, info->model, sizeof(token->model));
		text = uri_format(uri, P11_KIT_URI_FOR_TOKEN);
	}
	p11_kit_uri_free(uri);
	return text;
}

char *sg_uri_object(const CK_TOKEN_INFO *info, CK_OBJECT_CLASS class, const struct sg_blob *id,
    const struct sg_blob *label)
{
	P11KitUri *uri = p11_kit_uri_new();
	CK_TOKEN_INFO *token = uri != NULL ? p11_kit_uri_get_token_info(uri) : NULL;
	CK_ATTRIBUTE attributes[3];
	size_t i, count = 0;
	char *text = NULL;

	if (token == NULL)
		return NULL;
	attributes[count++] = (CK_ATTRIBUTE){ CKA_CLASS, &class, sizeof(class) };
	if (id->len > 0)
		attributes[count++] = (CK_ATTRIBUTE){ CKA_ID, id->data, id->len };
	if (label->len > 0)
		attributes[count++] = (CK_ATTRIBUTE){ CKA_LABEL, label->data, label->len };
	memcpy(token->label, info->label, sizeof(token->label));
	memcpy(token->serialNumber, info->serialNumber, sizeof(token->serialNumber));
	for (i = 0; i < count; i++) {
		if (p11_kit_uri_set_attribute(uri, &attributes[i]) != P11_KIT_URI_OK)
			break;
	}
	if (i == count)
		text = uri_format(uri, P11_KIT_URI_FOR_OBJECT_ON_TOKEN);
	p11_kit_uri_free(uri);
	return text;
}

char *sg_text_padded(const unsigned char *field, size_t len)
{
	char *text = malloc(len + 1);
	size_t i;

	if (text == NULL)
		return NULL;
	memcpy(text, field, len);
	while (len > 0 && (text[len - 1] == ' ' || text[len - 1] == 0))
		len--;
	text[len] = 0;
	if (strlen(text) == len && sg_utf8_is_text(text, len))
		return text;
	for (i = 0; i < len; i++) {
		if (text[i] < ' ' || text[i] > '~')
			text[i] = '?';
	}
	return text;
}
