/*
 * Client Certificate Management 2.0: stanza payloads both ways (rulings C3 to C10 in
 * proto/PROTOCOL.xmpp).
 *
 * Encoders give the payload element of an iq, new in *payload, or NULL with SG_ERR_FORMAT (empty
 * DER, a time or text that cannot be said), SG_ERR_LIMIT or SG_ERR_NOMEM. Decoders take it, and
 * fill a struct that the caller clears; it is empty when they fail, with SG_ERR_FORMAT for
 * anything else than the element named, SG_ERR_LIMIT or SG_ERR_NOMEM.
 */
#ifndef SG_PROTO_CCM2_H
#define SG_PROTO_CCM2_H

#include "error.h"
#include "msg.h"
#include "xml.h"

#define SG_NS_CCM2_ADD	  "urn:xmpp:ccm2:add-cert:0"
#define SG_NS_CCM2_LIST	  "urn:xmpp:ccm2:list-certs:0"
#define SG_NS_CCM2_REVOKE "urn:xmpp:ccm2:revoke-cert:0"

#define SG_CCM2_DER_MAX	     (64u << 10) /* of one CSR or certificate */
#define SG_CCM2_NAME_MAX     1024	 /* bytes of a certificate's name */
#define SG_CCM2_LIST_MAX     10000	 /* certificates in one list */
#define SG_CCM2_USERS_MAX    1000	 /* resources that use one certificate */
#define SG_CCM2_RESOURCE_MAX 1023	 /* bytes of a resource, RFC 7622 3.4 */

/* C3. The request for a certificate. */
SG_MUST_USE int sg_ccm2_add_encode(const struct sg_msg_ccm2_add *add, struct sg_xml **payload);
SG_MUST_USE int sg_ccm2_add_decode(const struct sg_xml *payload, struct sg_msg_ccm2_add *add);

/* C4. The result's certificate. */
SG_MUST_USE int sg_ccm2_added_encode(const struct sg_blob *der, struct sg_xml **payload);
SG_MUST_USE int sg_ccm2_added_decode(const struct sg_xml *payload, struct sg_blob *der);

/* C7, C8. The list of an account's certificates; a last use that came and is no time is one at an
 * unknown time. */
SG_MUST_USE int sg_ccm2_list_request_encode(struct sg_xml **payload);
SG_MUST_USE int sg_ccm2_list_encode(const struct sg_msg_ccm2_certs *certs, struct sg_xml **payload);
SG_MUST_USE int sg_ccm2_list_decode(const struct sg_xml *payload, struct sg_msg_ccm2_certs *certs);

/* C9: a fingerprint as it came: which hash, and the bytes of it. */
struct sg_ccm2_fingerprint {
	const char *hash; /* "sha-1", "sha-256" or "sha-512" */
	unsigned char value[64];
	size_t len;
};
/* A fingerprint over a limit is SG_ERR_FORMAT as well. */
SG_MUST_USE int sg_ccm2_revoke_encode(const char *sha256_hex, struct sg_xml **payload);
SG_MUST_USE int sg_ccm2_revoke_decode(
    const struct sg_xml *payload, struct sg_ccm2_fingerprint *fingerprint);

#endif
