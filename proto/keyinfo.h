/*
 * XEP-0189 0.8 keyinfo (rulings K1, K2, K6, K8 in proto/PROTOCOL.xmpp).
 */
#ifndef SG_PROTO_KEYINFO_H
#define SG_PROTO_KEYINFO_H

#include "error.h"
#include "msg.h"
#include "xml.h"

#define SG_NS_PUBKEY "urn:xmpp:tmp:pubkey" /* the PEP node as well */

#define SG_KEYINFO_DATA_MAX	  (256u << 10) /* bytes of one key, decoded */
#define SG_KEYINFO_VALUE_MAX	  (64u << 10)  /* bytes of one signature, decoded */
#define SG_KEYINFO_SIGNATURES_MAX 10000	       /* of one key */

/* Of one set, e.g. all of a node. */
#define SG_KEYINFOS_MAX	      20000
#define SG_KEYINFOS_BYTES_MAX (64u << 20) /* by sg_keyinfo_weight() */

/* About how many bytes the keyinfo takes. */
size_t sg_keyinfo_weight(const struct sg_keyinfo *keyinfo);

/* Moves the keyinfos of part to the end of set, adds refused, and to *bytes what they weigh. SG_ERR_LIMIT
 * when the set would be over the limits, SG_ERR_NOMEM: part is as it was. */
SG_MUST_USE int sg_keyinfos_append(
    struct sg_msg_keyinfos *set, struct sg_msg_keyinfos *part, size_t *bytes);

/* A new element. SG_ERR_KEYINFO for a name or signature that is none (an issuer and a value are
 * needed), SG_ERR_LIMIT, SG_ERR_NOMEM. xml is not looked at. */
SG_MUST_USE int sg_keyinfo_encode(const struct sg_keyinfo *keyinfo, struct sg_xml **element);

/*
 * Decodes and judges the form: one key element at most (K1), the name is that of the key data
 * (K2; upper case is taken and lowered), well-formed Base64, an X.509 certificate or the
 * packets of one OpenPGP public key that parse.
 * Anything else is SG_ERR_KEYINFO, SG_ERR_LIMIT or SG_ERR_NOMEM, with *why (static text; NULL on
 * success) saying which. An ill-formed signature is dropped, with one line in the log for all of
 * them (K6); the others are not judged here. xml is the whole element, what was dropped included.
 */
SG_MUST_USE int sg_keyinfo_decode(
    const struct sg_xml *element, struct sg_keyinfo *keyinfo, const char **why);

/* The name of an X.509 key: lower-case hex of the SHA-1 over the DER (K2). New string or NULL. */
char *sg_keyinfo_name_x509(const struct sg_blob *der);

/* The text as a key's name, a new string: 40 hex digits, upper case is lowered (K2). SG_ERR_FORMAT,
 * SG_ERR_NOMEM. */
SG_MUST_USE int sg_keyinfo_name_take(const char *text, char **name);

#endif
