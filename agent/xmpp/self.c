#include "self.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "disco.h"
#include "element.h"
#include "keyinfo.h"

#define NS_CAPS	 "http://jabber.org/protocol/caps"
#define NS_PING	 "urn:xmpp:ping"
#define PROGRAM	 "signet" /* the node of XEP-0115 4 */
#define CATEGORY "client"
#define TYPE	 "bot"
#define PRIORITY "-1"

/* In the order of XEP-0115 5.1. */
static const char *const features[] = { NS_CAPS, SG_NS_DISCO_INFO, NS_PING,
	SG_NS_PUBKEY "+notify" };
#define FEATURE_COUNT (sizeof(features) / sizeof(features[0]))

int sg_self_disco(const char *node, struct sg_xml **payload)
{
	char *ver, own[128] = "";

	*payload = NULL;
	if (node != NULL) {
		ver = sg_disco_ver(CATEGORY, TYPE, features, FEATURE_COUNT);
		if (ver == NULL)
			return SG_ERR_NOMEM;
		snprintf(own, sizeof(own), "%s#%s", PROGRAM, ver);
		free(ver);
		if (strcmp(node, own) != 0)
			return 0;
	}
	return sg_disco_result_encode(node, CATEGORY, TYPE, features, FEATURE_COUNT, payload);
}

static int put_caps(struct sg_xml *presence)
{
	char *ver = sg_disco_ver(CATEGORY, TYPE, features, FEATURE_COUNT);
	struct sg_xml *caps = ver != NULL ? sg_xml_new("c", NS_CAPS) : NULL;
	int err = caps != NULL ? sg_xml_add(presence, caps) : SG_ERR_NOMEM;

	if (err == 0)
		err = sg_xml_set_attr(caps, "hash", "sha-1");
	if (err == 0)
		err = sg_xml_set_attr(caps, "node", PROGRAM);
	if (err == 0)
		err = sg_xml_set_attr(caps, "ver", ver);
	free(ver);
	return err;
}

int sg_self_presence(int available, struct sg_xml **presence)
{
	struct sg_xml *made = sg_xml_new("presence", SG_NS_CLIENT);
	int err = made != NULL ? 0 : SG_ERR_NOMEM;

	if (err == 0 && !available)
		err = sg_xml_set_attr(made, "type", "unavailable");
	if (err == 0 && available)
		err = sg_xml_put(made, "priority", PRIORITY, NULL);
	if (err == 0 && available)
		err = put_caps(made);
	return sg_xml_hand_over(err, made, presence);
}
