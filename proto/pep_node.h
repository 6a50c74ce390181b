/*
 * The own PEP node from its owner's side: what the server holds, and who may read it (XEP-0060 8,
 * K9). Encoders and limits are as in pep.h.
 */
#ifndef SG_PROTO_PEP_NODE_H
#define SG_PROTO_PEP_NODE_H

#include "error.h"
#include "msg.h"
#include "xml.h"

#define SG_PEP_MEMBERS_MAX 10000 /* with an affiliation to one node */
#define SG_PEP_OFFERED_MAX 16	 /* access models of one form */

/* Payloads of iq type get, no 'to': the node's configuration; the affiliations to it. */
SG_MUST_USE int sg_pep_config_ask_encode(const char *node, struct sg_xml **payload);
SG_MUST_USE int sg_pep_members_ask_encode(const char *node, struct sg_xml **payload);

/* Of type get, to the node's owner: what it tells everybody of the node (XEP-0060 5.4). */
SG_MUST_USE int sg_pep_look_encode(const char *node, struct sg_xml **payload);

/* Reads that into *shown, which must be zero or cleared: exists, node, and the access model where it is
 * told. Errors as of sg_pep_config_decode(). */
SG_MUST_USE int sg_pep_look_decode(
    const struct sg_xml *payload, const char *node, struct sg_msg_pep_node *shown);

/* Of type set: takes one item off the node, and tells subscribers; removes the node. */
SG_MUST_USE int sg_pep_retract_encode(const char *node, const char *id, struct sg_xml **payload);
SG_MUST_USE int sg_pep_delete_encode(const char *node, struct sg_xml **payload);

/*
 * Reads the configuration form into *shown, which must be zero or cleared: all but members and
 * published. What the form does not have stays empty. SG_ERR_FORMAT when it is no form of this
 * node, SG_ERR_LIMIT, SG_ERR_NOMEM: *shown is empty then.
 */
SG_MUST_USE int sg_pep_config_decode(
    const struct sg_xml *payload, const char *node, struct sg_msg_pep_node *shown);

/*
 * Reads the affiliations into shown->members: whoever may read by one, each once, sorted; the owner
 * left out. Errors as above; there are no members then.
 */
SG_MUST_USE int sg_pep_members_decode(const struct sg_xml *payload, const char *node,
    const char *owner, struct sg_msg_pep_node *shown);

/*
 * The change (iq type set) that makes these bare JIDs the members, and nobody else; NULL in
 * *payload when nothing is to be changed. SG_ERR_ARG for one that is no bare JID, or the owner's
 * own.
 */
SG_MUST_USE int sg_pep_members_encode(const char *node, const char *owner,
    const struct sg_msg_pep_node *shown, char *const *members, uint32_t member_count,
    struct sg_xml **payload);

/*
 * Whether somebody can read the node who could not if it were as asked: a wider access model, one
 * that the server does not tell, or (with set_members, for a whitelist) a member that was not asked
 * for.
 */
int sg_pep_is_more_open(
    const struct sg_msg_pep_node *shown, const struct sg_msg_pep_configure *asked);

#endif
