/*
 * By which protocol a server lets an account manage its certificates: ccm2, or XEP-0257 where there
 * is no part of ccm2.
 */
#ifndef SG_PROTO_CERT_PROTOCOL_H
#define SG_PROTO_CERT_PROTOCOL_H

#include "msg.h"

enum sg_cert_protocol {
	SG_CERT_PROTOCOL_UNKNOWN = 0, /* the server was not asked, or has neither */
	SG_CERT_PROTOCOL_CCM2 = 1,
	SG_CERT_PROTOCOL_SASLCERT = 2,
};

/* What a server that announces these features has (C1). */
enum sg_cert_protocol sg_cert_protocol_of(const struct sg_msg_xmpp_feature_set *features);

/* Whether such a server can do what this feature of ccm2 stands for: it has that, or XEP-0257 does it
 * in its place. Any other feature: whether it has it. */
int sg_cert_protocol_can(const struct sg_msg_xmpp_feature_set *features, const char *feature);

/* "ccm2", "saslcert"; NULL when it is unknown. */
const char *sg_cert_protocol_name(uint32_t protocol);

#endif
