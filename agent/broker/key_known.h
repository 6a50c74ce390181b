/*
 * Which public key stood under a key's name when it was first used (the store's key_uses): another
 * one that stands there later is not used until a person says so.
 */
#ifndef SG_BROKER_KEY_KNOWN_H
#define SG_BROKER_KEY_KNOWN_H

#include "agent.h"
#include "find.h"

/*
 * Holds the key that was found to what is noted of its name, or notes it now. Sets
 * key->spki_sha256, and of an adopted key the abilities that its probe has shown.
 * SG_ERR_KEY_CHANGED, or why the store failed, with *error set.
 */
SG_MUST_USE int sg_key_known_check(
    struct sg_agent *agent, struct sg_key_ref *key, struct sg_msg_error *error);

/* Notes the key in place of what was noted of its name, and forgets who was found under it;
 * adopted: its abilities are those of a probe. Sets key->spki_sha256. The store's errors. */
SG_MUST_USE int sg_key_known_put(struct sg_agent *agent, struct sg_key_ref *key, int adopted);

/* Whether a certificate (DER) holds this key, as far as the token shows its public key. */
int sg_key_known_fits(const struct sg_key_ref *key, const struct sg_blob *certificate);

/* Says that the key of this URI is not the one that it was. */
void sg_key_known_set_changed(
    struct sg_agent *agent, const struct sg_key_ref *key, struct sg_msg_error *error);

#endif
