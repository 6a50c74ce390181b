/*
 * Messages that hold keys: notifications of key nodes (K11), and keys that somebody pushes (K14). All
 * others are for the person's clients: sg_iq_message() is for them.
 */
#ifndef SG_XMPP_SEEN_H
#define SG_XMPP_SEEN_H

#include "contacts.h"
#include "msg.h"
#include "xml.h"

/*
 * Reads a message into *seen, owned by the caller: 1, or 0 (and *seen empty) when it holds no keys that
 * are taken. own is the account.
 */
int sg_seen_read(const struct sg_xml *message, const char *own, const struct sg_contacts *contacts,
    struct sg_msg_keys_seen *seen);

#endif
