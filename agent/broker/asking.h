/*
 * Answering requests for keys that the account's worker has let through (K12, K13): it has decided
 * that who asks may; here is decided what there is to be told.
 */
#ifndef SG_BROKER_ASKING_H
#define SG_BROKER_ASKING_H

#include "accounts.h"
#include "msg.h"

/* Adds the account's own certificates that are not revoked, with their signatures, those with one of
 * these names (none: all). SG_ERR_IO, SG_ERR_NOMEM. */
SG_MUST_USE int sg_asking_own_keys(struct sg_msg_keyinfos *set, const struct sg_account *account,
    char *const *names, uint32_t name_count);

/* Adds what the keyring has as keys of the JID, from the JID itself when by_itself. Errors as above;
 * SG_ERR_LIMIT when it is more than a push or an answer may hold. */
SG_MUST_USE int sg_asking_known_keys(struct sg_msg_keyinfos *set, struct sg_store *store,
    const char *jid, int by_itself, char *const *names, uint32_t name_count);

/* KEYS_WANTED of the account's worker, with this frame's id: it is answered, now or later. What the
 * message holds may be taken over. */
void sg_asking_wanted(struct sg_account *account, uint32_t id, struct sg_msg_keys_wanted *wanted);

#endif
