/*
 * From libstrophe's stanzas to our bounded trees, before anything looks at them.
 */
#ifndef SG_AUTHORITY_CONVERT_H
#define SG_AUTHORITY_CONVERT_H

#include <strophe.h>

#include "error.h"
#include "xml.h"

/*
 * The stanza as a tree of its own, owned by the caller. SG_ERR_LIMIT when it is deeper or larger than
 * a tree may be (SG_XML_DEPTH_MAX, SG_XML_NODES_MAX, SG_XML_ATTRS_MAX), SG_ERR_FORMAT, SG_ERR_NOMEM.
 */
SG_MUST_USE int sg_convert_stanza(xmpp_stanza_t *stanza, struct sg_xml **tree);

/* The stanza's own name and attributes without what is inside, to answer one that was too large. */
SG_MUST_USE int sg_convert_head(xmpp_stanza_t *stanza, struct sg_xml **tree);

#endif
