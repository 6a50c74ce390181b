#include "uri.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "text.h"

#define SCHEME	   "pkcs11:"
#define SCHEME_LEN (sizeof(SCHEME) - 1)

/* Whether the percent-encoded text (not NUL-terminated) stands for the value; NULL counts as "". */
static int encoded_eq(const char *text, size_t len, const char *value)
{
	char *decoded = sg_percent_decode(text, len);
	int is = decoded != NULL && strcmp(decoded, value != NULL ? value : "") == 0;

	free(decoded);
	return is;
}

int sg_uri_is_uri(const char *selector)
{
	return strncasecmp(selector, SCHEME, SCHEME_LEN) == 0;
}

/* The attributes of RFC 7512 2.3. A URI with another one is refused, as signet-token does (2.4). */
static int is_attribute(const char *name, size_t len)
{
	static const char *const names[] = { "token", "serial", "manufacturer", "model", "object",
		"id", "type", "slot-id", "slot-description", "slot-manufacturer",
		"library-manufacturer", "library-description", "library-version" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strlen(names[i]) == len && memcmp(names[i], name, len) == 0)
			return 1;
	}
	return 0;
}

/* Why this is no list of attributes, each with a value, with every '%' before two digits; or NULL. */
static const char *path_fault(const char *path)
{
	for (const char *c = path; *c != '\0'; c++) {
		if (*c == '%' && (!isxdigit((unsigned char)c[1]) || !isxdigit((unsigned char)c[2])))
			return "a '%' in it is not followed by two hexadecimal digits";
	}
	while (*path != '\0') {
		size_t len = strcspn(path, ";");
		const char *equals = memchr(path, '=', len);

		if (equals == NULL)
			return "an attribute in it has no '='";
		if (!is_attribute(path, (size_t)(equals - path)))
			return "it has an attribute that is unknown";
		path += len + (path[len] == ';');
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
		*why = path_fault(selector + SCHEME_LEN);
	return *why != NULL ? SG_ERR_ARG : 0;
}

/* One attribute against the token: 1 it fits, 0 it does not, -1 it says nothing about tokens. */
static int attribute_fits(const char *name, size_t name_len, const char *value, size_t value_len,
    const struct sg_token_info *token)
{
	static const char *const of_objects[] = { "object", "id", "type" };
	const struct {
		const char *name;
		const char *value;
	} of_tokens[] = {
		{ "token", token->label },
		{ "serial", token->serial },
		{ "manufacturer", token->manufacturer },
		{ "model", token->model },
		{ "slot-description", token->slot },
		{ "slot-manufacturer", token->slot_manufacturer },
		{ "slot-id", token->slot_id },
		{ "library-manufacturer", token->library_manufacturer },
		{ "library-description", token->library_description },
		{ "library-version", token->library_version },
	};

	for (size_t i = 0; i < sizeof(of_objects) / sizeof(of_objects[0]); i++) {
		if (strlen(of_objects[i]) == name_len && memcmp(of_objects[i], name, name_len) == 0)
			return -1;
	}
	for (size_t i = 0; i < sizeof(of_tokens) / sizeof(of_tokens[0]); i++) {
		if (strlen(of_tokens[i].name) == name_len &&
		    memcmp(of_tokens[i].name, name, name_len) == 0)
			return encoded_eq(value, value_len, of_tokens[i].value);
	}
	return 0;
}

int sg_uri_matches_token(const char *selector, const struct sg_token_info *token)
{
	const char *pos = selector + SCHEME_LEN;
	int attributes = 0;
	int named = 0;

	/* What is not initialised has no name of its own. */
	if ((token->flags & SG_TOKEN_INITIALIZED) == 0)
		return token->uri != NULL && strcmp(selector, token->uri) == 0;
	if (!sg_uri_is_uri(selector))
		return token->label != NULL && strcmp(selector, token->label) == 0;
	while (*pos != '\0') {
		size_t len = strcspn(pos, ";");
		const char *equals = memchr(pos, '=', len);
		int fits;

		if (equals == NULL)
			return 0;
		fits = attribute_fits(pos, (size_t)(equals - pos), equals + 1,
		    len - (size_t)(equals + 1 - pos), token);
		if (fits == 0)
			return 0;
		attributes++;
		named += fits > 0;
		pos += len + (pos[len] == ';');
	}
	return named > 0 || attributes == 0;
}
