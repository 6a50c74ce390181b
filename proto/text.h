/*
 * Base64, hex and percent-encoding; JIDs and UTF-8.
 */
#ifndef SG_PROTO_TEXT_H
#define SG_PROTO_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "error.h"

/* A copy: a new string; NULL for NULL, and without memory. */
char *sg_text_copy(const char *text);

/* The order of two places that hold a text each, for qsort() and bsearch(). */
int sg_text_compare(const void *a, const void *b);

/* Base64 without line breaks; a new string, or NULL without memory. */
char *sg_base64_encode(const void *data, size_t len);

/*
 * Base64 (RFC 4648 section 4) with any ASCII white space between its characters (C3). Anything
 * else (wrong padding, foreign characters, nothing at all, bits set past the end) is
 * SG_ERR_FORMAT; more than max bytes is SG_ERR_LIMIT, found before they are decoded;
 * SG_ERR_NOMEM. Gives owned bytes in *out, none on failure.
 */
SG_MUST_USE int sg_base64_decode(const char *text, size_t max, struct sg_blob *out);

/* Lower-case hex; a new string, or NULL without memory. */
char *sg_hex_encode(const void *data, size_t len);

/* Hex of either case, ':' between bytes allowed (C9). Gives owned bytes. SG_ERR_FORMAT, also for
 * nothing; SG_ERR_LIMIT over max bytes, SG_ERR_NOMEM. */
SG_MUST_USE int sg_hex_decode(const char *text, size_t max, struct sg_blob *out);

/*
 * Percent-decoded (RFC 3986 2.1) text of len bytes: a new string; NULL for an escape that is
 * broken or of a NUL, and without memory. All bytes but '%' stay as they are.
 */
char *sg_percent_decode(const char *text, size_t len);

/* Appends the text percent-encoded: letters, digits and "-._~" (RFC 3986 2.3) stay as they are, and what more says. */
void sg_percent_put(struct sg_buf *buf, const char *text, const char *more);

/*
 * The bare JID of a JID as a new string, its localpart and domain lower-cased (ASCII only: a JID
 * with other characters is compared as it stands); NULL when it is no JID (RFC 7622: no or empty
 * domain, a part over 1023 bytes, control characters, white space or "&'/:<>@ in the localpart)
 * or no memory.
 */
char *sg_jid_bare(const char *jid);

/* Whether the text is a bare JID with a localpart, in the form sg_jid_bare() gives. */
int sg_jid_is_account(const char *jid);

/* Whether the text is valid UTF-8 of at most max bytes without control characters but \t \n \r. */
int sg_utf8_is_text(const char *text, size_t max);

/* The bytes of the first character of text (RFC 3629) and its code; 0 when it is malformed or cut. */
size_t sg_utf8_char(const char *text, size_t len, uint32_t *code);

/* Whether nothing, or no more than a blank, is to be seen of it, or it turns the text around it: a control
 * character, and what Unicode 15 calls format characters, default ignorable or a separator, but for the space. */
int sg_utf8_is_hidden(uint32_t code);

/* Whether the len bytes are valid UTF-8 without NUL. */
int sg_utf8_is_valid(const char *text, size_t len);

/* Puts '?' in place of what is not valid UTF-8 or a control character, so that any peer's or
 * token's text can be shown and put into a message. */
void sg_utf8_clean(char *text);

#endif
