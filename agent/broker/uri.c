#include "uri.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

/* Whether the percent-encoded text (not NUL-terminated) stands for the value; NULL counts as "". */
static int encoded_eq(const char *text, size_t len, const char *value)
{
	char *decoded = sg_percent_decode(text, len);
	int is = decoded != NULL && strcmp(decoded, value != NULL ? value : "") == 0;

	free(decoded);
	return is;
}

/* Why this is no list of attributes, each with a value, with every '%' before two digits; or
 * NULL. */
static const char *path_fault(const char *path)
{
	struct sg_uri_attribute attribute;

	for (const char *c = path; *c != '\0'; c++) {
		if (*c == '%' && (!isxdigit((unsigned char)c[1]) || !isxdigit((unsigned char)c[2])))
			return "a '%' in it is not followed by two hexadecimal digits";
	}
	while (sg_uri_next(&path, &attribute)) {
		if (attribute.value == NULL)
			return "an attribute in it has no '='";
		if (attribute.which == SG_URI_UNKNOWN)
			return "it has an attribute that is unknown";
	}
	return NULL;
}

int sg_uri_check(const char *selector, const char **why)
{
	*why = NULL;
	if (selector[0] == '\0')
		*why = "it is empty";
	else if (strlen(selector) > SG_URI_MAX)
		*why = "it is too long";
	else if (!sg_utf8_is_text(selector, SG_URI_MAX))
		*why = "it is not text";
	else if (sg_uri_is_uri(selector) && strchr(selector, '?') != NULL)
		*why = "a URI may not name a PIN or a module here (no '?' part)";
	else if (sg_uri_is_uri(selector))
		*why = path_fault(sg_uri_path(selector));
	return *why != NULL ? SG_ERR_ARG : 0;
}

/* One attribute against the token: 1 it fits, 0 it does not, -1 it says nothing about tokens. */
static int attribute_fits(
    const struct sg_uri_attribute *attribute, const struct sg_token_info *token)
{
	const char *const values[] = {
		[SG_URI_TOKEN] = token->label,
		[SG_URI_SERIAL] = token->serial,
		[SG_URI_MANUFACTURER] = token->manufacturer,
		[SG_URI_MODEL] = token->model,
		[SG_URI_SLOT_ID] = token->slot_id,
		[SG_URI_SLOT_DESCRIPTION] = token->slot,
		[SG_URI_SLOT_MANUFACTURER] = token->slot_manufacturer,
		[SG_URI_LIBRARY_MANUFACTURER] = token->library_manufacturer,
		[SG_URI_LIBRARY_DESCRIPTION] = token->library_description,
		[SG_URI_LIBRARY_VERSION] = token->library_version,
	};

	switch (attribute->which) {
	case SG_URI_OBJECT:
	case SG_URI_ID:
	case SG_URI_TYPE:
		return -1;
	case SG_URI_UNKNOWN:
		return 0;
	default:
		return encoded_eq(attribute->value, attribute->value_len, values[attribute->which]);
	}
}

int sg_uri_matches_token(const char *selector, const struct sg_token_info *token)
{
	struct sg_uri_attribute attribute;
	const char *pos;
	int attributes = 0;
	int named = 0;

	/* What is not initialised has no name of its own. */
	if ((token->flags & SG_TOKEN_INITIALIZED) == 0)
		return token->uri != NULL && strcmp(selector, token->uri) == 0;
	if (!sg_uri_is_uri(selector))
		return token->label != NULL && strcmp(selector, token->label) == 0;
	for (pos = sg_uri_path(selector); sg_uri_next(&pos, &attribute); attributes++) {
		int fits = attribute.value != NULL ? attribute_fits(&attribute, token) : 0;

		if (fits == 0)
			return 0;
		named += fits > 0;
	}
	/* sg_uri_check() lets no query pass. */
	return *pos == '\0' && (named > 0 || attributes == 0);
}

int sg_uri_names_token(const char *selector)
{
	struct sg_uri_attribute attribute;
	const char *pos;

	if (!sg_uri_is_uri(selector))
		return 0;
	for (pos = sg_uri_path(selector); sg_uri_next(&pos, &attribute);) {
		if (attribute.which != SG_URI_OBJECT && attribute.which != SG_URI_ID &&
		    attribute.which != SG_URI_TYPE)
			return 1;
	}
	return 0;
}

char *sg_uri_value(const char *uri, enum sg_uri_name which)
{
	struct sg_uri_attribute attribute;
	const char *pos;

	if (!sg_uri_is_uri(uri))
		return NULL;
	for (pos = sg_uri_path(uri); sg_uri_next(&pos, &attribute);) {
		if (attribute.which == which && attribute.value != NULL)
			return sg_percent_decode(attribute.value, attribute.value_len);
	}
	return NULL;
}
