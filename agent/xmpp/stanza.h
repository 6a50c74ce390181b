/*
 * Between libstrophe's stanzas and the element trees that the codecs read and write.
 */
#ifndef SG_XMPP_STANZA_H
#define SG_XMPP_STANZA_H

#include <strophe.h>

#include "error.h"
#include "xml.h"

#define SG_NS_CLIENT  "jabber:client"
#define SG_NS_STANZAS "urn:ietf:params:xml:ns:xmpp-stanzas"
#define SG_NS_PING    "urn:xmpp:ping"

/* Copies an element and all below it. SG_ERR_LIMIT over the limits of proto/xml.h, SG_ERR_NOMEM. */
SG_MUST_USE int sg_stanza_to_xml(xmpp_stanza_t *stanza, struct sg_xml **element);

/* The first child that is an element, or NULL. */
xmpp_stanza_t *sg_stanza_child(xmpp_stanza_t *stanza);

/*
 * An iq around a payload (taken over, also on failure; NULL for none); to may be NULL. NULL without
 * memory or over a limit.
 */
struct sg_xml *sg_stanza_iq(
    const char *type, const char *to, const char *id, struct sg_xml *payload);

/* An <error/> of a type ("cancel", "wait", ...) with a defined condition; NULL without memory. */
struct sg_xml *sg_stanza_error(const char *type, const char *condition);

#endif
