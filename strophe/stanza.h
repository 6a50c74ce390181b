/*
 * Between libstrophe's stanzas and our bounded trees: what came is copied before anything looks at
 * it, and what goes out is written by us.
 */
#ifndef SG_STROPHE_STANZA_H
#define SG_STROPHE_STANZA_H

#include <strophe.h>

#include "error.h"
#include "xml.h"

/*
 * The stanza and all below it as a tree of its own, owned by the caller; namespaced attributes are kept
 * as libstrophe names them. SG_ERR_LIMIT when it is deeper or larger than a tree may be
 * (SG_XML_DEPTH_MAX, SG_XML_NODES_MAX, SG_XML_ATTRS_MAX, SG_XML_BYTES_MAX), SG_ERR_FORMAT, SG_ERR_NOMEM.
 */
SG_MUST_USE int sg_stanza_to_xml(xmpp_stanza_t *stanza, struct sg_xml **tree);

/*
 * To answer a stanza that was too large: its own name and attributes, and those of the first element inside,
 * and of the first in that, down to so many levels (1: the stanza alone), as far as they fit. Owned by the
 * caller; fails as sg_stanza_to_xml() when the stanza's own do not.
 */
SG_MUST_USE int sg_stanza_head(xmpp_stanza_t *stanza, unsigned levels, struct sg_xml **tree);

/*
 * Queues a tree on the connection, which must be up. xmpp_conn_send_queue_len() is above 0 from then on
 * until all of it is written. SG_ERR_NOMEM, SG_ERR_LIMIT, and nothing is sent.
 */
SG_MUST_USE int sg_stanza_send(xmpp_conn_t *conn, const struct sg_xml *tree);

/* The same with a stanza that is text already, and whole; it cannot fail. */
void sg_stanza_send_text(xmpp_conn_t *conn, const char *text);

#endif
