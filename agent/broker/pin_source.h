/*
 * The file with a token's PIN that the configuration names (signet.conf(5), "pin-source"): whether
 * it may be used where no person decides, and what to say when not. The PIN in it is read by
 * signet-token.
 *
 * What is said ends where the file's path is to follow, and is static.
 */
#ifndef SG_BROKER_PIN_SOURCE_H
#define SG_BROKER_PIN_SOURCE_H

#include <time.h>

#include "msg.h"

/* Why no file may be used for the token as it is now, or NULL. */
const char *sg_pin_source_refusal(
    const struct sg_token_info *token, const struct sg_pin_ledger *ledger);

/* Opens the file, and tells when it was last written: its descriptor, the caller's to close; or -1,
 * logged, for what cannot be opened, is open to others or is not a regular file. */
int sg_pin_source_open(const char *path, struct timespec *mtime);

/* What is wrong with the file for which signet-token gave this SG_ERR_* without trying the PIN;
 * NULL for a code that says nothing of the file. */
const char *sg_pin_source_no_use(int code);

#endif
