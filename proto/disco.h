/*
 * Service discovery, XEP-0030 disco#info. Encoders give a new element in *payload, or NULL with
 * SG_ERR_FORMAT (what XML cannot carry), SG_ERR_LIMIT or SG_ERR_NOMEM.
 */
#ifndef SG_PROTO_DISCO_H
#define SG_PROTO_DISCO_H

#include "error.h"
#include "msg.h"
#include "xml.h"

#define SG_NS_DISCO_INFO "http://jabber.org/protocol/disco#info"

#define SG_DISCO_FEATURES_MAX 1000 /* in one set */

/* The query of an iq get; node NULL for none. */
SG_MUST_USE int sg_disco_info_encode(const char *node, struct sg_xml **payload);

/* A result's query with these features (an identity when category and type are not NULL). */
SG_MUST_USE int sg_disco_result_encode(const char *node, const char *category, const char *type,
    const char *const *features, size_t feature_count, struct sg_xml **payload);

/* Adds the features of a result's query to the set, each once. SG_ERR_FORMAT, SG_ERR_LIMIT,
 * SG_ERR_NOMEM: those before stay in the set. */
SG_MUST_USE int sg_disco_result_decode(
    const struct sg_xml *payload, struct sg_msg_xmpp_feature_set *features);

/* Whether the set has the feature. */
int sg_disco_has(const struct sg_msg_xmpp_feature_set *features, const char *feature);

/*
 * The verification string (XEP-0115 5.1, SHA-1) of such a result without node: a new string, or NULL
 * without memory. features must be sorted.
 */
char *sg_disco_ver(
    const char *category, const char *type, const char *const *features, size_t feature_count);

#endif
