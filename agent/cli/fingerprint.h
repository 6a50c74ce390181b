/*
 * Fingerprints for two people who compare them: in groups to be read aloud, and as a QR code.
 */
#ifndef SG_CLI_FINGERPRINT_H
#define SG_CLI_FINGERPRINT_H

#include <stdio.h>

#include "error.h"

/* "name:  428b 1358 ..." as a field: four digits a group, in lines of equal length. */
void sg_print_groups(const char *name, const char *hex);

/*
 * "xmpp:juliet@capulet.example?pubkey;name=...;sha-256=..." (RFC 5122, proto/PROTOCOL.xmpp section 3): a new
 * string, NULL without memory.
 */
char *sg_fingerprint_uri(const char *jid, const char *name, const char *sha256);

/*
 * Draws the text as a QR code: two modules a character cell where the locale has UTF-8, else each as two
 * characters; in black on white on a terminal. SG_ERR_LIMIT when it is too long for one, SG_ERR_NOMEM.
 */
SG_MUST_USE int sg_print_qr(FILE *out, const char *text);

#endif
