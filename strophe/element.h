/*
 * The elements that whoever speaks XMPP makes: an iq, and the error inside one. Trees only; what goes
 * into an iq are the codecs of proto/.
 */
#ifndef SG_STROPHE_ELEMENT_H
#define SG_STROPHE_ELEMENT_H

#include "error.h"
#include "xml.h"

#define SG_NS_CLIENT  "jabber:client"
#define SG_NS_STANZAS "urn:ietf:params:xml:ns:xmpp-stanzas"

/* The iq's own; all are borrowed, and what is NULL is left out. */
struct sg_iq_head {
	const char *ns; /* NULL: that of the stream, or of the element it will be added to */
	const char *type;
	const char *id;
	const char *to;
	const char *from;
};

/*
 * An iq around a payload (taken over, also on failure; NULL for none), owned by the caller.
 * SG_ERR_NOMEM, SG_ERR_LIMIT (the payload is too deep), SG_ERR_FORMAT (a value that XML cannot carry).
 */
SG_MUST_USE int sg_element_iq(
    const struct sg_iq_head *head, struct sg_xml *payload, struct sg_xml **iq);

/*
 * The <error/> of an iq (RFC 6120 8.3): its type ("cancel", "wait", ...), a defined condition, and a
 * sentence in English or NULL. Owned by the caller. SG_ERR_NOMEM, SG_ERR_FORMAT.
 */
SG_MUST_USE int sg_element_error(
    const char *type, const char *condition, const char *text, struct sg_xml **error);

/* Whether an element's name can be a defined condition: small letters and hyphens, under 64 bytes. */
int sg_condition_is_name(const char *name);

#endif
