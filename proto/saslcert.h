/*
 * XEP-0257, Client Certificate Management for SASL EXTERNAL, for servers that have no ccm2: stanza
 * payloads of a client (proto/PROTOCOL.xmpp, section 5). The client makes its certificate itself, and
 * the server keeps a list of those that may log in, each under a name of its own.
 *
 * Encoders give the payload element of an iq, new in *payload, or NULL with SG_ERR_FORMAT (empty
 * DER, text that cannot be said), SG_ERR_LIMIT or SG_ERR_NOMEM. The limits are those of ccm2.h.
 */
#ifndef SG_PROTO_SASLCERT_H
#define SG_PROTO_SASLCERT_H

#include "error.h"
#include "msg.h"
#include "xml.h"

#define SG_NS_SASLCERT	     "urn:xmpp:saslcert:1"
#define SG_SASLCERT_NAME_MAX (64u << 10) /* bytes of a name that is listed; we give none as long */

/* The certificate may log in from now on, under this name. */
SG_MUST_USE int sg_saslcert_append_encode(
    const char *name, const struct sg_blob *der, struct sg_xml **payload);

/* The question for all that may log in, and the answer. An item that cannot be read is left out,
 * and counted in certs->unread and in the log: other clients wrote it. *certs is the caller's to clear; it is
 * empty on failure: SG_ERR_FORMAT for another element, SG_ERR_LIMIT, SG_ERR_NOMEM. */
SG_MUST_USE int sg_saslcert_items_request_encode(struct sg_xml **payload);
SG_MUST_USE int sg_saslcert_items_decode(
    const struct sg_xml *payload, struct sg_msg_ccm2_certs *certs);

/* The certificate of this name may log in no more; and, unless it is only disabled, who is logged in
 * with it is thrown out. */
SG_MUST_USE int sg_saslcert_revoke_encode(
    const char *name, int only_disable, struct sg_xml **payload);

/*
 * A name that no certificate of the list has: the text, or "text 2", "text 3", …, where a text that ends
 * so ("text 2") is counted on ("text 3", …): the first of them from that number on (1: the text alone). *number
 * becomes the one that was taken, *name is a new string, of SG_CCM2_NAME_MAX bytes at most: of a longer text the end
 * is left out. SG_ERR_NOMEM.
 */
SG_MUST_USE int sg_saslcert_free_name(
    const char *text, const struct sg_msg_ccm2_certs *certs, unsigned *number, char **name);

#endif
