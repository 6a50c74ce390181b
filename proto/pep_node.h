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
#define SG_PEP_GROUPS_MAX                                                                          \
	1000 /* groups of the roster that may read; together they fit into SG_PEP_CONFIG_MAX */
#define SG_PEP_GROUP_MAX 1023 /* bytes of the name of one */

/* Payloads of iq type get, no 'to': the node's configuration; the affiliations to it; who is
 * subscribed to it. */
SG_MUST_USE int sg_pep_config_ask_encode(const char *node, struct sg_xml **payload);
SG_MUST_USE int sg_pep_members_ask_encode(const char *node, struct sg_xml **payload);
SG_MUST_USE int sg_pep_subscribers_ask_encode(const char *node, struct sg_xml **payload);

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
 * Reads the affiliations into shown->affiliations, but none, and into shown->members: whoever may read
 * by one, each once, sorted; the owner left out. Errors as above; there are none then.
 */
SG_MUST_USE int sg_pep_members_decode(const struct sg_xml *payload, const char *node,
    const char *owner, struct sg_msg_pep_node *shown);

/* Whether who is subscribed may read by the access model; jid is as the server has it. */
typedef int sg_pep_may_read_fn(void *arg, const char *jid);

/*
 * Reads the subscriptions into shown->subscribers: those alone that may not read. An access model says who
 * may subscribe, and servers send on to who once could. Errors as above.
 */
SG_MUST_USE int sg_pep_subscribers_decode(const struct sg_xml *payload, const char *node,
    sg_pep_may_read_fn *may_read, void *arg, struct sg_msg_pep_node *shown);

/* The change (iq type set) that ends these subscriptions. */
SG_MUST_USE int sg_pep_unsubscribe_encode(
    const char *node, const struct sg_msg_pep_node *shown, struct sg_xml **payload);

/*
 * The change (iq type set) that makes these bare JIDs members, and leaves no affiliation to anybody else
 * but to who is shut out (outcast); NULL in *payload when nothing is to be changed. SG_ERR_ARG for one
 * that is no bare JID, or the owner's own.
 */
SG_MUST_USE int sg_pep_members_encode(const char *node, const char *owner,
    const struct sg_msg_pep_node *shown, char *const *members, uint32_t member_count,
    struct sg_xml **payload);

/*
 * The change (iq type set) that shuts out whom the owner had shut out of the node as it was before it was made anew,
 * but for those who are to be members; NULL in *payload when all are.
 */
SG_MUST_USE int sg_pep_outcasts_encode(const char *node, const struct sg_msg_pep_node *before,
    const struct sg_msg_pep_node *shown, char *const *members, uint32_t member_count,
    struct sg_xml **payload);

/* Whether somebody has an affiliation that is not asked for. */
int sg_pep_has_others(
    const struct sg_msg_pep_node *shown, const struct sg_msg_pep_configure *asked);

/* Whether groups of the roster may read that are not asked for, or nobody knows which may. */
int sg_pep_has_other_groups(
    const struct sg_msg_pep_node *shown, const struct sg_msg_pep_configure *asked);

/* Whether the access model may let in somebody, other than by an affiliation, whom the other does not; one
 * that is NULL, or not known, lets in all. */
int sg_pep_lets_in_others(const char *model, const char *than);

/*
 * Whether somebody can read or write the node who could not if it were as asked: a wider access model, or
 * one that the server does not tell; by roster a group that was not asked for; another publish model
 * than publishers; an affiliation that was not asked for; a subscriber who may not read.
 */
int sg_pep_is_more_open(
    const struct sg_msg_pep_node *shown, const struct sg_msg_pep_configure *asked);

#endif
