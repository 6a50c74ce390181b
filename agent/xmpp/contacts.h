/*
 * Who the account knows, and who of them is there: its roster (RFC 6121 2) and the presences that came
 * (RFC 6121 4), as long as the account is online. Nobody is ever added, and no request is answered.
 */
#ifndef SG_XMPP_CONTACTS_H
#define SG_XMPP_CONTACTS_H

#include "error.h"
#include "xml.h"

#define SG_NS_ROSTER "jabber:iq:roster"

#define SG_CONTACTS_MAX		 20000 /* a longer roster is cut, with a line in the log */
#define SG_CONTACT_RESOURCES_MAX 16    /* of one JID; more are not kept */

struct sg_contacts;

/* SG_ERR_NOMEM. */
SG_MUST_USE int sg_contacts_new(struct sg_contacts **contacts);
void sg_contacts_free(struct sg_contacts *contacts);

/* Forgets all, and begins with the account itself: it is always subscribed to its own presence.
 * SG_ERR_NOMEM. */
SG_MUST_USE int sg_contacts_begin(struct sg_contacts *contacts, const char *own);
void sg_contacts_end(struct sg_contacts *contacts);

/* The payload of an iq get. SG_ERR_NOMEM. */
SG_MUST_USE int sg_contacts_ask_encode(struct sg_xml **payload);

/* A roster query: the whole roster, or a push. What is no roster item in it is left out. SG_ERR_FORMAT
 * when it is no query, SG_ERR_NOMEM. */
SG_MUST_USE int sg_contacts_read(struct sg_contacts *contacts, const struct sg_xml *query);

/* A presence of somebody in the roster, or of the own account; of others it is left out. type NULL:
 * available. */
void sg_contacts_presence(struct sg_contacts *contacts, const char *from, const char *type);

/* Of a JID, full or bare: whether it is the account itself; is in the roster; gets our presence; or is
 * the server of one who does. */
int sg_contacts_is_own(const struct sg_contacts *contacts, const char *jid);
int sg_contacts_has(const struct sg_contacts *contacts, const char *jid);
int sg_contacts_sees_us(const struct sg_contacts *contacts, const char *jid);
int sg_contacts_serves_one(const struct sg_contacts *contacts, const char *jid);

/* The full JIDs of a bare one that are there, *count of them; valid until the next presence. */
char *const *sg_contacts_resources(
    const struct sg_contacts *contacts, const char *bare, size_t *count);

#endif
