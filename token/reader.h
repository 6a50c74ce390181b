/*
 * What pcscd knows of a card and no PKCS#11 module tells. Asked only where the module itself speaks to
 * pcscd: by the library that it has loaded, for this program needs none of its own.
 */
#ifndef SG_TOKEN_READER_H
#define SG_TOKEN_READER_H

#include "error.h"

/* The first reader whose card another program has for itself alone, to be freed; NULL when there is none,
 * or when nobody knows. */
char *sg_reader_held(void);

/*
 * Sees to it that handles to the card in this reader work (slotDescription: cut off at 64 bytes, without
 * its padding). A card that a client connects to before pcscd itself has noticed that it was put in loses
 * its protocol when pcscd does notice: from then on every command over that handle fails, and the module
 * does not know why. Such a card is reset, which tells the module to connect anew; any other is left alone.
 * Whether it was reset.
 */
int sg_reader_wake(const char *name);

/* Resets the card in it: every program has to begin anew with it, and a module reads it anew. */
void sg_reader_reset(const char *name);

#endif
