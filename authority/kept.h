/*
 * What is kept on the list of the revoked although the ledger, which was restored from an older copy, does not have
 * it. Nobody who was revoked may come back by that.
 */
#ifndef SG_AUTHORITY_KEPT_H
#define SG_AUTHORITY_KEPT_H

#include <time.h>

#include "buf.h"
#include "error.h"
#include "ledger.h"

/*
 * Compares the list in this file with the ledger. What the ledger has as not revoked is revoked in it; what it does
 * not have at all, as it was issued after the copy was made, is left in *kept, a line each: to be on every list to
 * come. Both are logged. A line can be one that a person wrote: of digits of either case, with colons or blanks, or as
 * openssl prints it; what follows a '#' counts for nothing; how many are no fingerprints is logged. No file is an
 * empty one. SG_ERR_IO, SG_ERR_NOMEM, SG_ERR_LIMIT where *kept would have more than SG_BUF_MAX bytes.
 */
SG_MUST_USE int sg_kept_read(
    const char *path, struct sg_ledger *ledger, time_t now, struct sg_buf *kept);

#endif
