/*
 * Keyinfos as a reply shows them.
 */
#ifndef SG_BROKER_PUBLIC_KEYS_H
#define SG_BROKER_PUBLIC_KEYS_H

#include <jansson.h>

#include "accounts.h"
#include "msg.h"

/* The set as PublicKeys, judged by its own keys and by those that the issuers of its signatures are
 * known by. A keyinfo without key data is shown as the key of its name, when that is known (K2). A new
 * reference, or NULL. */
json_t *sg_public_keys(const struct sg_account *account, const struct sg_msg_keyinfos *set);

#endif
