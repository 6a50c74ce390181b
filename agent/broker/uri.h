/*
 * Whether a selector names a token: an RFC 7512 URI, or the token's label.
 */
#ifndef SG_BROKER_URI_H
#define SG_BROKER_URI_H

#include "error.h"
#include "msg.h"
#include "pkcs11_uri.h"

/*
 * Whether a selector is fit to be used at all: a label that is text, or a well-formed URI with path
 * attributes of RFC 7512 alone. A query ("?pin-source=", "?module-path=") is refused: what it asks
 * for is not a client's to say. SG_ERR_ARG with *why (static text).
 */
SG_MUST_USE int sg_uri_check(const char *selector, const char **why);

/*
 * Whether the token is meant. The attributes of objects (object, id, type) say nothing about a
 * token and are passed over; an attribute that a token has and we do not know of matches none. An
 * object's URI without any attribute of a token names no token. A token that is not initialised is
 * meant by exactly its URI alone.
 */
int sg_uri_matches_token(const char *selector, const struct sg_token_info *token);

/* Whether it is a URI with an attribute of a token. */
int sg_uri_names_token(const char *selector);

/* The value of a URI's first attribute of this kind, decoded: a new string, or NULL. */
char *sg_uri_value(const char *uri, enum sg_uri_name which);

#endif
