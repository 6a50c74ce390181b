#include "cert_protocol.h"

#include <stddef.h>
#include <string.h>

#include "ccm2.h"
#include "disco.h"
#include "saslcert.h"

enum sg_cert_protocol sg_cert_protocol_of(const struct sg_msg_xmpp_feature_set *features)
{
	if (sg_disco_has(features, SG_NS_CCM2_ADD) || sg_disco_has(features, SG_NS_CCM2_LIST) ||
	    sg_disco_has(features, SG_NS_CCM2_REVOKE))
		return SG_CERT_PROTOCOL_CCM2;
	return sg_disco_has(features, SG_NS_SASLCERT) ? SG_CERT_PROTOCOL_SASLCERT
						      : SG_CERT_PROTOCOL_UNKNOWN;
}

int sg_cert_protocol_can(const struct sg_msg_xmpp_feature_set *features, const char *feature)
{
	int is_ccm2 = strcmp(feature, SG_NS_CCM2_ADD) == 0 ||
	    strcmp(feature, SG_NS_CCM2_LIST) == 0 || strcmp(feature, SG_NS_CCM2_REVOKE) == 0;

	return sg_disco_has(features, feature) ||
	    (is_ccm2 && sg_cert_protocol_of(features) == SG_CERT_PROTOCOL_SASLCERT);
}

const char *sg_cert_protocol_name(uint32_t protocol)
{
	static const char *const names[] = {
		[SG_CERT_PROTOCOL_CCM2] = "ccm2",
		[SG_CERT_PROTOCOL_SASLCERT] = "saslcert",
	};

	return protocol < sizeof(names) / sizeof(names[0]) ? names[protocol] : NULL;
}
