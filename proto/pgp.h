/*
 * The form of OpenPGP public keys and detached signatures (RFC 4880): packets, limits, the version
 * 4 fingerprint. Nothing cryptographic is believed here: proto/pgp_key.h checks signatures.
 */
#ifndef SG_PROTO_PGP_H
#define SG_PROTO_PGP_H

#include <stddef.h>

#include "buf.h"
#include "error.h"

#define SG_PGP_KEY_MAX		 (256u << 10) /* bytes of one key, binary */
#define SG_PGP_FILE_MAX		 (512u << 10) /* bytes of one in armour */
#define SG_PGP_SIGNATURE_MAX	 (64u << 10)
#define SG_PGP_PACKETS_MAX	 2000
#define SG_PGP_USER_IDS_MAX	 100
#define SG_PGP_USER_ID_MAX	 2048 /* bytes of one, as GnuPG has it */
#define SG_PGP_SUBKEYS_MAX	 32
#define SG_PGP_MATERIAL_MAX	 8192 /* bytes of a key packet */
#define SG_PGP_SUBPACKETS_MAX	 100  /* of one signature */
#define SG_PGP_KEY_CHECKS_MAX	 250  /* signatures that librnp checks when it loads the key (K6) */
#define SG_PGP_BITS_MAX		 8192 /* of any number in a key; of DSA half of it is slow enough */
#define SG_PGP_DSA_BITS_MAX	 4096
#define SG_PGP_DSA_ORDER_MAX	 256 /* bits of the group's order */
#define SG_PGP_EXPONENT_BITS_MAX 33
/* What those are worth in checks by RSA with 2048 bits, 0.3 ms each; and what several copies of one key take that
 * are put together. */
#define SG_PGP_WORK_MAX	       500
#define SG_PGP_COPIES_WORK_MAX 1000
#define SG_PGP_CARRIED_MAX     16

#define SG_PGP_FINGERPRINT_SIZE 20
#define SG_PGP_NAME_SIZE	(2 * SG_PGP_FINGERPRINT_SIZE + 1)

/* What the packets of a key are. */
struct sg_pgp_form {
	unsigned char fingerprint[SG_PGP_FINGERPRINT_SIZE]; /* of the primary key */
	char name[SG_PGP_NAME_SIZE];			    /* the same as K2 has it */
	size_t checks; /* signatures that librnp checks to load it; embedded ones count, too */
	size_t work;   /* what those checks are worth in checks by RSA with 2048 bits */
	unsigned revocations; /* enum sg_pgp_revocation */
};

/* Revocations that a key claims, unchecked: those that librnp does not look at need care. */
enum sg_pgp_revocation {
	SG_PGP_REVOKES = 1,	 /* of the key, by itself */
	SG_PGP_REVOKES_WEAK = 2, /* of it or a subkey, with MD5, SHA-1 or RIPEMD-160 */
	/* Nobody here can check it: a critical part that is not known, ... */
	SG_PGP_REVOKES_CRITICAL = 4,
	SG_PGP_REVOKES_SUBKEY_CRITICAL = 8, /* (that of a subkey) */
	SG_PGP_REVOKES_DESIGNATED = 16,	    /* ... or by another key that the key lets do so */
};

/*
 * Looks at one binary public key: a version 4 primary key first, then its subkeys, user ids and
 * signatures, and nothing else. SG_ERR_FORMAT, SG_ERR_UNSUPPORTED (another version), SG_ERR_DENIED
 * (it holds a secret key), SG_ERR_LIMIT; *why says which, static text, NULL on success.
 */
SG_MUST_USE int sg_pgp_key_check(
    const struct sg_blob *key, struct sg_pgp_form *form, const char **why);

/* What it costs to load copies of one key that are put together. */
struct sg_pgp_load {
	size_t copies;
	size_t together;      /* the work of each, once */
	size_t work;	      /* that librnp has with them, ... */
	unsigned revocations; /* ... and again, where one of these is weak (SG_PGP_REVOKES_WEAK) */
	size_t checks;	      /* of all */
};

/* One more of this form. SG_ERR_LIMIT: it would take too long with those that are there; they stay. */
SG_MUST_USE int sg_pgp_load_add(struct sg_pgp_load *load, const struct sg_pgp_form *form);

/* The same as a number of checks of signatures, as verdict.h and path.h count them: of what anybody may send, each has
 * its time bounded by it (5 ms). */
size_t sg_pgp_load_cost(const struct sg_pgp_load *load);

/*
 * The key with those revocations of it, its subkeys and user ids that another copy of it has and it lacks: those that
 * say to be the key's own; nothing is checked. Owned bytes of a key by its form; empty when there are none.
 * SG_ERR_LIMIT: more than SG_PGP_CARRIED_MAX, or the key would be over a limit; else as sg_pgp_key_check() of
 * either, SG_ERR_FORMAT of different keys, SG_ERR_NOMEM.
 */
SG_MUST_USE int sg_pgp_carry_revocations(
    const struct sg_blob *key, const struct sg_blob *other, struct sg_blob *united);

/* What the fingerprint is the SHA-1 of (RFC 4880 12.2), of a key that was checked: owned bytes.
 * SG_ERR_FORMAT, SG_ERR_NOMEM. */
SG_MUST_USE int sg_pgp_fingerprint_input(const struct sg_blob *key, struct sg_blob *input);

/* A file with one public key, binary or in ASCII armour (RFC 4880 6.2): owned, checked bytes. Fails
 * as above, and with SG_ERR_NOMEM. */
SG_MUST_USE int sg_pgp_key_read(const struct sg_blob *file, struct sg_blob *key, const char **why);

/* Whether the file looks like OpenPGP: a packet's first byte, or armour. */
int sg_pgp_is_likely(const struct sg_blob *file);

#define SG_PGP_SIGNATURE_BINARY 0x00 /* over a binary document, RFC 4880 5.2.1 */

/* RFC 4880 9.4 */
enum sg_pgp_hash {
	SG_PGP_MD5 = 1,
	SG_PGP_SHA1 = 2,
	SG_PGP_RIPEMD160 = 3,
	SG_PGP_SHA256 = 8,
	SG_PGP_SHA384 = 9,
	SG_PGP_SHA512 = 10,
	SG_PGP_SHA224 = 11,
	SG_PGP_SHA3_256 = 12,
	SG_PGP_SHA3_512 = 14,
};

struct sg_pgp_signature {
	unsigned type;
	unsigned hash; /* enum sg_pgp_hash, or another that is unknown */
	int critical;  /* it has a critical part that is not known (RFC 4880 5.2.3.1) */
};

/* Looks at one binary signature packet of version 4 and nothing else (K6). Fails as above. */
SG_MUST_USE int sg_pgp_signature_check(
    const struct sg_blob *value, struct sg_pgp_signature *signature, const char **why);

/* The same of a file, binary or in armour. */
SG_MUST_USE int sg_pgp_signature_read(
    const struct sg_blob *file, struct sg_blob *value, const char **why);

#endif
