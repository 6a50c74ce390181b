/*
 * Names of tokens and objects: RFC 7512 URIs, or labels.
 */
#ifndef SG_TOKEN_URI_H
#define SG_TOKEN_URI_H

#include <stddef.h>

#include <p11-kit/pkcs11.h>

#include "buf.h"
#include "error.h"
#include "msg.h"
#include "pkcs11_uri.h"

struct sg_selector;

/*
 * Reads a selector: a text that begins with "pkcs11:" is a URI, "" matches everything, anything
 * else is a label. Refused, with the error filled: a URI that does not parse, repeats an
 * attribute, or holds one that we do not go by (RFC 7512 2.4: it could match too much) with
 * SG_ERR_ARG; one with a PIN in it (pin-value) with SG_ERR_DENIED; a text over SG_URI_MAX with
 * SG_ERR_LIMIT. pin-source says nothing of what is meant, and is passed over: nothing is read
 * from it here.
 */
SG_MUST_USE int sg_selector_parse(
    const char *text, struct sg_selector **selector, struct sg_msg_error *error);
void sg_selector_free(struct sg_selector *selector);

/* Whether this token may hold the object that is meant; a bare label says nothing of tokens. */
int sg_selector_match_token(const struct sg_selector *selector, const CK_INFO *library,
    CK_SLOT_ID slot, const CK_SLOT_INFO *slot_info, const CK_TOKEN_INFO *token_info);

/* For selectors that name a token: a URI's token attributes, or a label, which is the token's
 * then. */
int sg_selector_is_token(const struct sg_selector *selector, const CK_INFO *library,
    CK_SLOT_ID slot, const CK_SLOT_INFO *slot_info, const CK_TOKEN_INFO *token_info);

/* Whether it is a URI with a token's label or serial number in it. */
int sg_selector_names_token(const struct sg_selector *selector);

/* Whether keys can be meant: private and public ones stand for each other. */
int sg_selector_means_keys(const struct sg_selector *selector);

/*
 * The attributes that an object must have, beside its class: at most 2 (CKA_ID, CKA_LABEL),
 * which point into the selector. Gives their number.
 */
size_t sg_selector_template(const struct sg_selector *selector, CK_ATTRIBUTE attributes[2]);

/* The URI of a token, and of an object on one: new strings, or NULL without memory. Identifier
 * and label may be empty, and are left out then. */
char *sg_uri_token(const CK_TOKEN_INFO *info);
char *sg_uri_object(const CK_TOKEN_INFO *info, CK_OBJECT_CLASS class, const struct sg_blob *id,
    const struct sg_blob *label);

/* A blank-padded field, or an object's label, as a new text for people, without what it ends in
 * of blanks and NULs; one that is not UTF-8 text keeps its printable ASCII, and has '?' for all
 * else. NULL without memory. */
char *sg_text_padded(const unsigned char *field, size_t len);

#endif
