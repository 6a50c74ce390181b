/*
 * What stood on the list of the revoked before it is written anew: an entry never leaves it. A ledger that was
 * restored from a copy may not know of a revocation that was answered; then the list does.
 */
#ifndef SG_AUTHORITY_KEPT_H
#define SG_AUTHORITY_KEPT_H

#include <time.h>

#include "buf.h"
#include "error.h"
#include "ledger.h"

struct sg_kept;

/* Reads the list; one that is missing is empty, and lines of another form are passed over. SG_ERR_IO, SG_ERR_NOMEM. */
SG_MUST_USE int sg_kept_read(const char *path, struct sg_kept **kept);
void sg_kept_free(struct sg_kept *kept); /* NULL is fine */

/* The ledger knows that this one is revoked. */
void sg_kept_known(struct sg_kept *kept, const char *sha256);

/* Appends what the ledger does not know, a line each, and has the ledger revoke what of it has a row there. A
 * warning tells how many there are. SG_ERR_IO, SG_ERR_NOMEM. */
SG_MUST_USE int sg_kept_take(
    struct sg_kept *kept, struct sg_ledger *ledger, time_t now, struct sg_buf *out);

#endif
