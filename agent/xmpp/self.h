/*
 * What we say of ourselves to who may know that we are here: service discovery (XEP-0030), and presence
 * with entity capabilities (XEP-0115), by which a server knows that events of key nodes are wanted
 * (XEP-0163 4, K11). It is nothing that the person's other clients would be mistaken for.
 */
#ifndef SG_XMPP_SELF_H
#define SG_XMPP_SELF_H

#include "error.h"
#include "xml.h"

/* The result's payload for this query; NULL in *payload when the query is for a node that we do not have.
 * SG_ERR_NOMEM. */
SG_MUST_USE int sg_self_disco(const char *node, struct sg_xml **payload);

/* Available, with a priority below that of any client that chats; or unavailable. SG_ERR_NOMEM. */
SG_MUST_USE int sg_self_presence(int available, struct sg_xml **presence);

#endif
