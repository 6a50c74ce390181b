/*
 * RFC 7512 URIs, by which tokens and objects are named: which attributes there are, and where
 * each stands in a text. What a value means is judged where it is used, with a token at hand.
 */
#ifndef SG_PROTO_PKCS11_URI_H
#define SG_PROTO_PKCS11_URI_H

#include <stddef.h>

#define SG_URI_MAX 4096 /* bytes of a selector: a URI, or a label */

/* The attributes of a path (2.3). */
enum sg_uri_name {
	SG_URI_TOKEN,
	SG_URI_SERIAL,
	SG_URI_MANUFACTURER,
	SG_URI_MODEL,
	SG_URI_SLOT_ID,
	SG_URI_SLOT_DESCRIPTION,
	SG_URI_SLOT_MANUFACTURER,
	SG_URI_LIBRARY_MANUFACTURER,
	SG_URI_LIBRARY_DESCRIPTION,
	SG_URI_LIBRARY_VERSION,
	SG_URI_OBJECT,
	SG_URI_ID,
	SG_URI_TYPE,
	SG_URI_UNKNOWN, /* a URI with such a one is refused: passed over, it could match too much (2.4) */
};

/* Parts of the text that is walked through, not NUL-terminated. */
struct sg_uri_attribute {
	enum sg_uri_name which;
	const char *name;
	size_t name_len;
	const char *value; /* percent-encoded; NULL when there is no '=' */
	size_t value_len;
};

/* Whether the selector is a URI, by its scheme. */
int sg_uri_is_uri(const char *selector);

/* Where the path of such a selector begins. */
const char *sg_uri_path(const char *selector);

/*
 * Takes the attribute at *pos and moves *pos behind it: 1, or 0 at the path's end, which is that
 * of the text or a '?'. Of an empty attribute (";;") the name is empty and unknown.
 */
int sg_uri_next(const char **pos, struct sg_uri_attribute *attribute);

#endif
