/*
 * Keyinfos out of the store: the account's own certificates and OpenPGP keys with their signatures,
 * and the keys of issuers.
 */
#ifndef SG_BROKER_STORED_KEYS_H
#define SG_BROKER_STORED_KEYS_H

#include "accounts.h"
#include "msg.h"

/*
 * Adds the account's certificate with this fingerprint (SHA-256 or SHA-1, lower-case hex), or its
 * OpenPGP key of this name, with the signatures that are kept for it; nothing for NULL. Without
 * sha1 = on, those by RSA-SHA1 are left out. SG_ERR_KEY_ABSENT when the account has none such,
 * SG_ERR_IO, SG_ERR_NOMEM: then the set is as it was.
 */
SG_MUST_USE int sg_stored_keys_add(
    struct sg_msg_keyinfos *set, const struct sg_account *account, const char *fingerprint);

/*
 * The same, and else adds the certificate of the keyring that has this fingerprint, if the person
 * trusts it.
 */
SG_MUST_USE int sg_stored_keys_add_trusted(
    struct sg_msg_keyinfos *set, const struct sg_account *account, const char *fingerprint);

/* Adds all OpenPGP keys of the account. SG_ERR_IO, SG_ERR_NOMEM. */
SG_MUST_USE int sg_stored_keys_add_pgp(
    struct sg_msg_keyinfos *set, const struct sg_account *account);

/*
 * The keys that made signatures on these and are not among them, and the copies of OpenPGP keys
 * among them, as far as we know them: *issuers is owned by the caller. SG_ERR_IO, SG_ERR_NOMEM.
 */
SG_MUST_USE int sg_stored_keys_issuers(struct sg_msg_keyinfos *issuers,
    const struct sg_account *account, const struct sg_msg_keyinfos *keys);

/* The same with the certificates of all accounts, those of jid (or NULL) first, and the keyring. */
SG_MUST_USE int sg_stored_keys_known_issuers(struct sg_msg_keyinfos *issuers,
    struct sg_store *store, const char *jid, const struct sg_msg_keyinfos *keys);

#endif
