/*
 * Inside the form of OpenPGP: packets, and what a signature packet says of itself (RFC 4880). For pgp*.c alone.
 */
#ifndef SG_PROTO_PGP_PACKET_H
#define SG_PROTO_PGP_PACKET_H

#include "buf.h"
#include "error.h"

/* RFC 4880 4.3 */
enum sg_pgp_tag {
	SG_PGP_TAG_SIGNATURE = 2,
	SG_PGP_TAG_SECRET_KEY = 5,
	SG_PGP_TAG_PUBLIC_KEY = 6,
	SG_PGP_TAG_SECRET_SUBKEY = 7,
	SG_PGP_TAG_USER_ID = 13,
	SG_PGP_TAG_PUBLIC_SUBKEY = 14,
	SG_PGP_TAG_USER_ATTRIBUTE = 17,
};

/* RFC 4880 5.2.1 */
enum sg_pgp_type {
	SG_PGP_KEY_REVOCATION = 0x20,
	SG_PGP_SUBKEY_REVOCATION = 0x28,
	SG_PGP_CERTIFICATION_REVOCATION = 0x30,
};

#define SG_PGP_VERSION	   4
#define SG_PGP_KEY_ID_SIZE 8
/* Keys that may revoke this one; others of one key are not looked at. */
#define SG_PGP_REVOKERS_MAX 4

/* Gives err; *why is the text. */
int sg_pgp_fail(int err, const char *text, const char **why);

struct sg_pgp_packet {
	unsigned tag;
	struct sg_cursor body;
};

/* A length that only the end of the data tells has no place in a key. SG_ERR_FORMAT. */
SG_MUST_USE int sg_pgp_packet_get(struct sg_cursor *cur, struct sg_pgp_packet *packet);

/* n bytes, big-endian. SG_ERR_FORMAT. */
SG_MUST_USE int sg_pgp_number_get(struct sg_cursor *cur, size_t n, size_t *number);

/* What a signature packet says of itself. */
struct sg_pgp_claims {
	unsigned version;
	unsigned type;
	unsigned hash;
	size_t subpackets;
	size_t embedded;
	int own; /* it names the key as its issuer */
	int critical;
	const unsigned char *revokers[SG_PGP_REVOKERS_MAX]; /* fingerprints */
	size_t revoker_count;
	const unsigned char *issuer_id; /* the last that it names: 8 bytes */
};

/*
 * Those of a signature packet's body; the fingerprint is that of the key that it stands in, or NULL. Of versions that
 * we do not know, nothing is said: they count for nothing. SG_ERR_FORMAT, SG_ERR_LIMIT (SG_PGP_SUBPACKETS_MAX).
 */
SG_MUST_USE int sg_pgp_claims_get(
    struct sg_cursor body, const unsigned char *fingerprint, struct sg_pgp_claims *claims);

#endif
