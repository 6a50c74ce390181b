/*
 * The pubkeys element of XEP-0189 (K12, K13, K14): a request, an answer or a push of keys from client
 * to client. Encoders give a new element in *payload, or NULL with SG_ERR_FORMAT (what XML cannot
 * carry, or keyinfo.h refuses with SG_ERR_KEYINFO), SG_ERR_LIMIT or SG_ERR_NOMEM.
 */
#ifndef SG_PROTO_PUBKEYS_H
#define SG_PROTO_PUBKEYS_H

#include "error.h"
#include "msg.h"
#include "xml.h"

#define SG_PUBKEYS_NAMES_MAX 1000 /* fprint elements in a request */
#define SG_PUBKEYS_KEYS_MAX  1000 /* keyinfo elements in an answer or a push */
#define SG_PUBKEYS_BYTES_MAX                                                                       \
	(200u << 10) /* of one that we write: servers end streams over 256 KiB */

/* A request: about NULL for the own keys of who is asked; no names: all. */
SG_MUST_USE int sg_pubkeys_ask_encode(
    const char *about, char *const *names, uint32_t name_count, struct sg_xml **payload);

/*
 * Reads a request into about and names (bare, lower-case, each name once; K2) of *wanted, whose from
 * stays NULL. SG_ERR_FORMAT: no pubkeys, a jid that is no account, a name that is none, keys in a
 * request; SG_ERR_LIMIT, SG_ERR_NOMEM. *wanted is empty then.
 */
SG_MUST_USE int sg_pubkeys_ask_decode(
    const struct sg_xml *element, struct sg_msg_keys_wanted *wanted);

/* SG_ERR_LIMIT also when it would be longer than any server must take. */
SG_MUST_USE int sg_pubkeys_encode(const char *about, const struct sg_keyinfo *keyinfos,
    uint32_t keyinfo_count, struct sg_xml **payload);

/*
 * Reads an answer or a push; *about (bare, owned by the caller) NULL when there is no jid. A keyinfo
 * that is no good is counted in refused and logged, and the rest is kept; of two with one name the
 * first. SG_ERR_FORMAT: no pubkeys, or a jid that is no account; SG_ERR_LIMIT, SG_ERR_NOMEM. Both
 * are empty then.
 */
SG_MUST_USE int sg_pubkeys_decode(
    const struct sg_xml *element, char **about, struct sg_msg_keyinfos *keyinfos);

#endif
