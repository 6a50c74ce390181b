/*
 * At the door of the keyring: what others tell of a key may claim signatures that nobody made, as many as they
 * like. Those that are said to be by a certificate that is known here, and are not, are left out, as far as there is
 * time to find that out. The others are kept as they came (K15): an issuer may become known later, and who tells what
 * uses up nothing of what is worth more when the key is judged (enum sg_known_rank).
 */
#ifndef SG_BROKER_FORGED_H
#define SG_BROKER_FORGED_H

#include "error.h"
#include "store.h"

#define SG_FORGED_CHECKS_MAX 64 /* for one slice of what came */

/* Drops them from the keyinfo and its XML, which is written anew then; each check takes one of *checks_left. By
 * OpenPGP keys none is looked at. SG_ERR_IO, SG_ERR_NOMEM. */
SG_MUST_USE int sg_forged_drop(
    struct sg_store *store, struct sg_keyinfo *keyinfo, unsigned *checks_left);

#endif
