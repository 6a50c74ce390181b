/*
 * What pcscd knows of a card and no PKCS#11 module tells. Asked only where the module itself speaks to
 * pcscd: by the library that it has loaded, for this program needs none of its own.
 */
#ifndef SG_TOKEN_READER_H
#define SG_TOKEN_READER_H

#include "error.h"

/* The first reader whose card another program has for itself alone, to be freed; NULL when there is none,
 * or when nobody knows. */
char *sg_reader_taken(void);

enum sg_reader_state {
	SG_READER_UNKNOWN, /* there is nobody to ask */
	SG_READER_NONE, /* no such reader: also a card that is its own reader, when it is pulled */
	SG_READER_EMPTY,
	SG_READER_CARD,
};

/* Of this reader (slotDescription, see below). *changes grows when a card is pulled or put in. */
enum sg_reader_state sg_reader_state(const char *name, unsigned long *changes);

/*
 * Sees to it that handles to the card in this reader work (slotDescription: cut off at 64 bytes, without
 * its padding). A card that a client connects to before pcscd itself has noticed that it was put in loses
 * its protocol when pcscd does notice: from then on every command over that handle fails, and the module
 * does not know why. Such a card is reset, which tells the module to connect anew; any other is left alone.
 * Whether it was reset.
 */
int sg_reader_wake(const char *name);

/* Resets the card in it: every program has to begin anew with it, and a module reads it anew.
 * SG_ERR_TOKEN_ABSENT when it turns out that there is none, whatever the module says; 0 also when nobody
 * knows. */
int sg_reader_reset(const char *name);

#define SG_READER_VERIFIED 16 /* more than a PIV card can tell of */

/*
 * Asks a PIV card itself for the tries that its PIN has left, for modules tell what they once saw, whatever other
 * programs have done since; SG_READER_VERIFIED: the PIN was right last time. It costs no try, and waits for who
 * has the card just now. SG_ERR_UNSUPPORTED: nobody can tell; SG_ERR_IO: not now.
 */
SG_MUST_USE int sg_reader_piv_tries(const char *reader, int *tries);

#endif
