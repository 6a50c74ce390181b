/*
 * The flags of a token's PINs as they are now: by the module, and by the card itself where those
 * grow old.
 *
 * ykcs11 and OpenSC give flags that were true when they last saw the PIN tried. Another program may
 * have used up all tries but one since: a PIN that is held, or comes from a file, would lock the
 * card with nobody there.
 */
#ifndef SG_TOKEN_TRIES_H
#define SG_TOKEN_TRIES_H

#include "token.h"

/*
 * As sg_token_info_read(), with the flags of the user's PIN as the card tells them now.
 * CKR_DEVICE_ERROR when the card could tell, and does not: then nothing may be tried. None of the
 * token's locks is held but login_lock and secret_lock.
 */
CK_RV sg_tries_read(struct sg_token *token, CK_TOKEN_INFO *info);

/* How many tries of the user's PIN the card itself told when that was last read, SG_PIV_VERIFIED or
 * SG_TRIES_UNKNOWN: only modules tell of it. */
uint32_t sg_tries_left(struct sg_token *token);

#endif
