/*
 * The keyring as the objects of the interface. Each gives a new reference, or NULL without memory.
 */
#ifndef SG_BROKER_KEYRING_JSON_H
#define SG_BROKER_KEYRING_JSON_H

#include <jansson.h>

#include "agent.h"
#include "keyring_store.h"

#define SG_SHOWN_SIGNATURES_MAX 1000	     /* of one key, judged and shown */
#define SG_SHOWN_KEYINFO_MAX	(512u << 10) /* bytes of a keyinfo in a reply */
#define SG_SHOWN_CHANGES_MAX	100	     /* that Status tells */

/* A KnownKey. */
json_t *sg_json_known_key(const struct sg_known_key *key);

/*
 * The reply of ShowKeyring: the key (with its signatures) judged by the keys of the keyring and the
 * certificates of our accounts. A signature that is bad and that the JID itself did not show makes
 * no key bad: anybody could have told it.
 */
json_t *sg_json_judged_known_key(struct sg_agent *agent, struct sg_known_key *key);

/* What waits to be looked at, of a JID or (NULL) all: an array of KeyChange; and how many there are
 * altogether. */
json_t *sg_json_key_changes(struct sg_agent *agent, const char *jid);
json_t *sg_json_key_changes_count(struct sg_agent *agent);

#endif
