/*
 * The keys of a file: keyinfos wherever they stand in its XML, certificates, or an OpenPGP key.
 */
#ifndef SG_CLI_KEYSET_H
#define SG_CLI_KEYSET_H

#include <stddef.h>

#include "buf.h"
#include "error.h"
#include "msg.h"

#define SG_KEYSET_MAX 20000 /* keys in one file */

/* A keyinfo that is not one, and why (static text). */
struct sg_refusal {
	char *name; /* as it stands there, or NULL */
	const char *reason;
};

/* Zero-initialise it. */
struct sg_keyset {
	struct sg_keyinfo *keys;
	size_t *dropped; /* of each key, the signatures that cannot be read; it lacks them (K6) */
	size_t count;	 /* of both */
	struct sg_refusal *refused;
	size_t refused_count;
};

void sg_keyset_clear(struct sg_keyset *set);

/*
 * Adds every keyinfo of an XML document: the root, or below it in pubkeys, items or whatever else.
 * In an item, the id must be the keyinfo's name (K10). SG_ERR_FORMAT or SG_ERR_LIMIT when the
 * document cannot be read, with *why (static text); bad keyinfos are collected in refused.
 * SG_ERR_NOMEM.
 */
SG_MUST_USE int sg_keyset_add_xml(
    struct sg_keyset *set, const struct sg_blob *text, const char **why);

/* Whether it can be XML, by its first character; there may be a byte order mark. */
int sg_keyset_is_xml(const struct sg_blob *data);

/* Adds an issuer's file of any kind: XML as above, PEM certificates, one DER certificate, or an
 * OpenPGP public key, binary or in armour. Fails as above. */
SG_MUST_USE int sg_keyset_add_issuer(
    struct sg_keyset *set, const struct sg_blob *data, const char **why);

#endif
