#include "seen.h"

#include <stdlib.h>
#include <string.h>

#include "keyinfo.h"
#include "log.h"
#include "pep.h"
#include "pubkeys.h"
#include "text.h"

/* The node's owner is who sends the event, by the bare JID (K11); of others than the account and those
 * in its roster nobody wants any. */
static int read_event(const struct sg_xml *event, const char *from,
    const struct sg_contacts *contacts, struct sg_msg_keys_seen *seen)
{
	if (!sg_jid_is_account(from) ||
	    (!sg_contacts_is_own(contacts, from) && !sg_contacts_has(contacts, from))) {
		sg_log(SG_LOG_DEBUG, "an event that is not from a contact's account is ignored");
		return 0;
	}
	if (sg_pep_event_decode(event, SG_NS_PUBKEY, seen) != 0)
		return 0;
	seen->from = strdup(from);
	return seen->from != NULL;
}

static int read_push(const struct sg_xml *pubkeys, const char *from, struct sg_msg_keys_seen *seen)
{
	struct sg_msg_keyinfos keyinfos;
	char *bare = sg_jid_bare(from), *about = NULL;

	if (bare == NULL || !sg_jid_is_account(bare) ||
	    sg_pubkeys_decode(pubkeys, &about, &keyinfos) != 0) {
		sg_log(SG_LOG_INFO, "keys that were pushed are ignored: they are malformed");
		free(bare);
		return 0;
	}
	/* Without a jid, or with their own, they are the sender's. */
	if (about != NULL && strcmp(about, bare) == 0) {
		free(about);
		about = NULL;
	}
	*seen = (struct sg_msg_keys_seen){
		.from = bare,
		.about = about,
		.source = SG_SEEN_PUSH,
		.keyinfos = keyinfos.keyinfos,
		.keyinfo_count = keyinfos.keyinfo_count,
		.refused = keyinfos.refused,
	};
	return 1;
}

int sg_seen_read(const struct sg_xml *message, const char *own, const struct sg_contacts *contacts,
    struct sg_msg_keys_seen *seen)
{
	const char *type = sg_xml_attr(message, "type");
	const char *from = sg_xml_attr(message, "from");
	const struct sg_xml *event, *pubkeys;
	int taken = 0;

	*seen = (struct sg_msg_keys_seen){ 0 };
	if (type != NULL && strcmp(type, "error") == 0)
		return 0;
	if (sg_xml_child(message, "body", NULL) != NULL)
		return 0;
	if (from == NULL)
		from = own;
	if (sg_xml_only(message, "event", SG_NS_PUBSUB_EVENT, &event) != 0 ||
	    sg_xml_only(message, "pubkeys", SG_NS_PUBKEY, &pubkeys) != 0 ||
	    (event != NULL) == (pubkeys != NULL))
		return 0;
	if (event != NULL)
		taken = read_event(event, from, contacts, seen);
	else
		taken = read_push(pubkeys, from, seen);
	if (!taken)
		sg_msg_clear(SG_MSG_KEYS_SEEN, seen);
	return taken;
}
