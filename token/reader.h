/*
 * Cards by way of pcscd, past the PKCS#11 module: what it knows of them and no module tells, making
 * one answer again, and speaking to one. Only where the module itself speaks to pcscd: by the
 * library that it has loaded, for this program needs none of its own.
 *
 * Readers are meant by slotDescription: cut off at 64 bytes, without its padding. pcscd is waited
 * for as long as it takes, and with who waits everybody who needs a lock that he holds.
 */
#ifndef SG_TOKEN_READER_H
#define SG_TOKEN_READER_H

#include <stddef.h>

#include "error.h"

/* The first reader whose card another program has for itself alone, to be freed; NULL when there is
 * none, or when nobody knows. */
char *sg_reader_taken(void);

enum sg_reader_state {
	SG_READER_UNKNOWN, /* there is nobody to ask */
	SG_READER_NONE, /* no such reader: also a card that is its own reader, when it is pulled */
	SG_READER_EMPTY,
	SG_READER_CARD,
};

/* *changes grows when a card is pulled or put in. */
enum sg_reader_state sg_reader_state(const char *reader, unsigned long *changes);

/*
 * What tells one stay of a card in a reader from the next. All zero when nobody can tell: pcscd is
 * not there, is not what the module speaks to, or knows no such reader.
 */
struct sg_reader_stay {
	unsigned long service; /* sg_reader_service() */
	unsigned long changes; /* other whenever a card was pulled or put in */
};

/*
 * The number of the pcscd that answers now, which grows when it was started anew; 0 when none does.
 * Known by a connection of our own, which is there from the first call on, and ends with pcscd.
 */
unsigned long sg_reader_service(void);
void sg_reader_stay(const char *reader, struct sg_reader_stay *stay);
int sg_reader_stay_is_same(const struct sg_reader_stay *a, const struct sg_reader_stay *b);

/*
 * Sees to it that handles to the card in this reader work. A card that a client connects to before
 * pcscd itself has noticed that it was put in loses its protocol when pcscd does notice: from then
 * on every command over that handle fails, and the module does not know why. Such a card is reset,
 * which tells the module to connect anew; any other is left alone. Whether it was reset.
 */
int sg_reader_wake(const char *reader);

/* Resets the card in it: every program has to begin anew with it, and a module reads it anew.
 * SG_ERR_TOKEN_ABSENT when it turns out that there is none, whatever the module says; else 0, also
 * when nobody knows. */
int sg_reader_reset(const char *reader);

/* A card that no other program has meanwhile. */
struct sg_card;

/* Works with the card: 0 or a negative SG_ERR_*. */
typedef int sg_card_fn(void *arg, const struct sg_card *card);

/*
 * Calls fn with the card in the reader, and with one after the other where a name that was cut off
 * fits several, until one fails: gives its error. Waits for who has the card just now, as long as
 * that takes. SG_ERR_UNSUPPORTED: there is nobody to ask; SG_ERR_IO: there is no such reader, or
 * its card cannot be had.
 */
SG_MUST_USE int sg_reader_transact(const char *reader, sg_card_fn *fn, void *arg);

/* Sends a command (ISO 7816-4), and gives the status word, or SG_ERR_IO when the card does not
 * answer. What it answers beside that is dropped. */
SG_MUST_USE int sg_card_command(
    const struct sg_card *card, const unsigned char *command, size_t len);

#endif
