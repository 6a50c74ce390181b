#include "pkcs11_uri.h"

#include <string.h>
#include <strings.h>

#define SCHEME "pkcs11:"

static const char *const names[] = {
	[SG_URI_TOKEN] = "token",
	[SG_URI_SERIAL] = "serial",
	[SG_URI_MANUFACTURER] = "manufacturer",
	[SG_URI_MODEL] = "model",
	[SG_URI_SLOT_ID] = "slot-id",
	[SG_URI_SLOT_DESCRIPTION] = "slot-description",
	[SG_URI_SLOT_MANUFACTURER] = "slot-manufacturer",
	[SG_URI_LIBRARY_MANUFACTURER] = "library-manufacturer",
	[SG_URI_LIBRARY_DESCRIPTION] = "library-description",
	[SG_URI_LIBRARY_VERSION] = "library-version",
	[SG_URI_OBJECT] = "object",
	[SG_URI_ID] = "id",
	[SG_URI_TYPE] = "type",
};

int sg_uri_is_uri(const char *selector)
{
	return strncasecmp(selector, SCHEME, strlen(SCHEME)) == 0;
}

const char *sg_uri_path(const char *selector)
{
	return selector + strlen(SCHEME);
}

static enum sg_uri_name name_find(const char *name, size_t len)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strlen(names[i]) == len && memcmp(names[i], name, len) == 0)
			return (enum sg_uri_name)i;
	}
	return SG_URI_UNKNOWN;
}

int sg_uri_next(const char **pos, struct sg_uri_attribute *attribute)
{
	size_t len = strcspn(*pos, ";?");
	const char *equals = memchr(*pos, '=', len);

	*attribute = (struct sg_uri_attribute){ .which = SG_URI_UNKNOWN, .name = *pos };
	if (len == 0 && **pos != ';')
		return 0;
	attribute->name_len = equals != NULL ? (size_t)(equals - *pos) : len;
	attribute->which = name_find(*pos, attribute->name_len);
	if (equals != NULL) {
		attribute->value = equals + 1;
		attribute->value_len = len - attribute->name_len - 1;
	}
	*pos += len + ((*pos)[len] == ';');
	return 1;
}
