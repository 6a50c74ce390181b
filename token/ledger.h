/*
 * PINs known again without being known: the hash that stands for one, and the count of tries.
 *
 * The book itself is the broker's (struct sg_pin_ledger comes with each request). Without a key in
 * it there is no book: nothing is hashed, nobody is asked, and the token's flags alone decide.
 */
#ifndef SG_TOKEN_LEDGER_H
#define SG_TOKEN_LEDGER_H

#include "error.h"
#include "msg.h"
#include "secret.h"
#include "token.h"

#define SG_LEDGER_KEY_MIN 16 /* bytes of the key and of the salt */
#define SG_LEDGER_KEY_MAX 64

/* Fills what the PIN is known by; empty without a book. SG_ERR_ARG for a book that is none,
 * SG_ERR_NOMEM. */
SG_MUST_USE int sg_ledger_mark(const struct sg_pin_ledger *ledger, const struct sg_secret *pin,
    struct sg_pin_mark *mark, struct sg_msg_error *error);

enum sg_pin_known {
	SG_PIN_IS_NEW,	  /* or was right */
	SG_PIN_IS_WRONG,  /* the token refused it before */
	SG_PIN_IS_UNSURE, /* it was tried before, and what came of it nobody knows */
};

/*
 * What the book has on this PIN. left: the tries that the card itself tells now, or
 * SG_TRIES_UNKNOWN: as many as before the try that nobody knows about say that it did not count as a
 * wrong one, and the PIN is as new.
 */
enum sg_pin_known sg_ledger_known(
    const struct sg_pin_ledger *ledger, const struct sg_pin_mark *mark, uint32_t left);

/* The token's flags with those of this PIN in the place of the user's. */
CK_FLAGS sg_ledger_flags(CK_FLAGS flags, uint32_t by);

/* Whether the next try may lock the token: by its flags (sg_ledger_flags()), or as counted. */
int sg_ledger_is_last(CK_FLAGS flags, uint32_t tries, uint32_t tries_max);

/* Tries left, or SG_TRIES_UNKNOWN. */
uint32_t sg_ledger_left(CK_FLAGS flags, uint32_t tries, uint32_t tries_max);

/*
 * Has the try written down before it is made, and looks, right before it, whether the card is still
 * the one that was found: SG_ERR_TOKEN_ABSENT when not. On any failure nothing may be tried: what the
 * broker says, SG_ERR_TIMEOUT when it says nothing; the error is filled.
 */
SG_MUST_USE int sg_ledger_try(
    struct sg_token *token, uint32_t by, struct sg_pin_mark *mark, struct sg_msg_error *error);

/* Tells that the user's PIN was taken, without a look at the token: right before a signature that
 * wants it, nothing else may be asked of a card. */
void sg_ledger_taken(struct sg_token *token, const struct sg_pin_mark *mark);

/* Tells that it came to no try: the token said so of something else. */
void sg_ledger_untried(struct sg_token *token, uint32_t by, const struct sg_pin_mark *mark);

/* Tells how the try ended, also when that says nothing of the PIN: the module has answered. */
void sg_ledger_outcome(
    struct sg_token *token, uint32_t by, const struct sg_pin_mark *mark, CK_RV rv);

#endif
