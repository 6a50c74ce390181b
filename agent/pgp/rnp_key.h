/*
 * OpenPGP public keys by librnp, in memory alone: no keyring is opened, nothing asks for a
 * passphrase, and no secret key is taken.
 */
#ifndef SG_PGP_RNP_KEY_H
#define SG_PGP_RNP_KEY_H

#include "error.h"
#include "msg.h"
#include "pgp_key.h"

/* Has librnp open what it keeps open (its source of random numbers), so that nothing need be opened
 * later. SG_ERR_INTERNAL. */
SG_MUST_USE int sg_rnp_begin(void);

struct sg_rnp_key;

/* Loads the copies of a key and judges it. SG_ERR_FORMAT when it has no good form or librnp does
 * not take it, SG_ERR_NOMEM. */
SG_MUST_USE int sg_rnp_key_load(const struct sg_msg_pgp_key *copies, struct sg_rnp_key **key);
void sg_rnp_key_free(struct sg_rnp_key *key); /* NULL is fine */

/* They are the key's. */
struct sg_msg_pgp_facts *sg_rnp_key_facts(struct sg_rnp_key *key);

/* Whether the value, a signature packet of version 4, is one over the bytes by the key. */
void sg_rnp_key_verify(struct sg_rnp_key *key, const struct sg_blob *subject,
    const struct sg_blob *value, struct sg_msg_pgp_verdict *verdict);

#endif
