/*
 * The account's own public keys as keyinfos: certificates of the store with their signatures.
 */
#ifndef SG_BROKER_KEYSET_H
#define SG_BROKER_KEYSET_H

#include "accounts.h"
#include "msg.h"

/* Adds the account's certificate with this fingerprint; none is added for NULL. SG_ERR_KEY_ABSENT
 * when the account has none such, SG_ERR_IO, SG_ERR_NOMEM. */
SG_MUST_USE int sg_keyset_add(
    struct sg_msg_keyinfos *set, const struct sg_account *account, const char *fingerprint);

#endif
