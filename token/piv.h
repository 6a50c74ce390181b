/*
 * What a PIV card tells of its PIN, past the module (SP 800-73).
 */
#ifndef SG_TOKEN_PIV_H
#define SG_TOKEN_PIV_H

#include "error.h"

#define SG_PIV_VERIFIED 16 /* more tries than a card can tell of */

/*
 * The tries that the PIN of the card in this reader (reader.h) has left: modules tell what they
 * once saw, whatever other programs have done since. SG_PIV_VERIFIED: the PIN was right last time.
 * It costs no try, and waits for who has the card just now. SG_ERR_UNSUPPORTED: nobody can tell;
 * SG_ERR_IO: not now.
 */
SG_MUST_USE int sg_piv_tries(const char *reader, int *tries);

#endif
