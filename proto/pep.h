/*
 * The pubsub payloads for the own PEP node and for reading another's (XEP-0060, XEP-0163; K9, K10).
 *
 * Encoders give a new element in *payload, or NULL with SG_ERR_ARG for an access model that
 * XEP-0060 4.5 does not know, SG_ERR_FORMAT (what XML cannot carry), SG_ERR_LIMIT or
 * SG_ERR_NOMEM.
 */
#ifndef SG_PROTO_PEP_H
#define SG_PROTO_PEP_H

#include "error.h"
#include "msg.h"
#include "xml.h"

#define SG_NS_PUBSUB	   "http://jabber.org/protocol/pubsub"
#define SG_NS_PUBSUB_OWNER "http://jabber.org/protocol/pubsub#owner"
#define SG_NS_PUBSUB_EVENT "http://jabber.org/protocol/pubsub#event"
#define SG_NS_DATA_FORM	   "jabber:x:data"

#define SG_PEP_ITEMS_MAX   20000	/* in one request or result */
#define SG_PEP_PUBLISH_MAX (200u << 10) /* bytes of one; why, see PROTOCOL.xmpp 0 */
#define SG_PEP_CONFIG_MAX  (60u << 10)	/* bytes of a configuration */

/* The beginning of each payload, <pubsub><name node='node'/></pubsub>: the child stays the root's; *root, the
 * caller's, may be there after a failure, too. */
SG_MUST_USE int sg_pep_new(const char *ns, const char *name, const char *node, struct sg_xml **root,
    struct sg_xml **child);

/* Whether it is an access model of XEP-0060 4.5. */
int sg_pep_is_access_model(const char *text);

/* Payloads of iq type set, no 'to': create with configuration; configure an existing node. The groups are those of
 * the roster that may read by access model roster; of another none is said. SG_ERR_LIMIT over SG_PEP_CONFIG_MAX. */
SG_MUST_USE int sg_pep_create_encode(const char *node, const char *access_model,
    char *const *groups, uint32_t group_count, struct sg_xml **payload);
SG_MUST_USE int sg_pep_configure_encode(const char *node, const char *access_model,
    char *const *groups, uint32_t group_count, struct sg_xml **payload);

/* Publishes one item (taken over, also on failure) with publish-options as a guard (K9). SG_ERR_LIMIT
 * also over SG_PEP_PUBLISH_MAX. */
SG_MUST_USE int sg_pep_publish_encode(const char *node, const char *id, const char *access_model,
    struct sg_xml *item, struct sg_xml **payload);

/* Payload of iq type get: all items, or those of these names (at most SG_PEP_ITEMS_MAX), each also in capitals (K2). */
SG_MUST_USE int sg_pep_items_encode(
    const char *node, char *const *names, size_t name_count, struct sg_xml **payload);

/*
 * Reads the items of a result into keyinfos; an item whose id is not the keyinfo's name, or that
 * is no good keyinfo, is counted in refused and logged once, and the rest is kept. SG_ERR_FORMAT
 * when it is no items result for this node; SG_ERR_LIMIT over SG_PEP_ITEMS_MAX; SG_ERR_NOMEM.
 * *keyinfos is empty then.
 */
SG_MUST_USE int sg_pep_items_decode(
    const struct sg_xml *payload, const char *node, struct sg_msg_keyinfos *keyinfos);

/*
 * Reads a notification (the event element of a message) of this node: keyinfos and refused as above,
 * and the names that were retracted; from stays NULL. Nothing at all in it: the node was purged or
 * deleted. SG_ERR_FORMAT when it is no event of this node; SG_ERR_LIMIT, SG_ERR_NOMEM. *seen is
 * empty then.
 */
SG_MUST_USE int sg_pep_event_decode(
    const struct sg_xml *event, const char *node, struct sg_msg_keys_seen *seen);

#endif
