/*
 * The PINs that the token has refused, in a file: tokens lock themselves after a few, so none of these is tried
 * again, by this process or another with the same file, however often the authority is started, told to read its
 * files or run for a command. It is of the token that is configured: what another one refused is lost as soon as
 * this one refuses or takes a PIN. signet-token tells keyed hashes (struct sg_pin_ledger); the PINs themselves are
 * nowhere here.
 */
#ifndef SG_AUTHORITY_PIN_BOOK_H
#define SG_AUTHORITY_PIN_BOOK_H

#include "error.h"
#include "msg.h"

#define SG_PIN_BOOK_MAX 8 /* of the refused, the newest ones */

struct sg_pin_book;

/* token: as it is configured; what another one refused does not count. The file need not be there.
 * SG_ERR_NOMEM, SG_ERR_INTERNAL. */
SG_MUST_USE int sg_pin_book_new(const char *path, const char *token, struct sg_pin_book **book);
void sg_pin_book_free(struct sg_pin_book *book); /* NULL is fine */

/* Borrowed, to tell a person. */
const char *sg_pin_book_path(const struct sg_pin_book *book);

/* What is in the file now, for a login; borrowed until the next call. A file that cannot be read or is none of ours
 * counts as none, and is logged. SG_ERR_NOMEM. */
SG_MUST_USE int sg_pin_book_read(struct sg_pin_book *book, struct sg_pin_ledger *ledger);

/* Before a try: whether a refusal could go into the file. SG_ERR_IO, logged, or SG_ERR_NOMEM: nothing may be tried. */
SG_MUST_USE int sg_pin_book_prepare(struct sg_pin_book *book);

/* How a try ended: a PIN that was refused goes into the file, and once one is taken the file is gone. A failure
 * is logged. */
void sg_pin_book_outcome(struct sg_pin_book *book, const struct sg_msg_pin_outcome *outcome);

#endif
