/*
 * Inside the judging of keyinfos: the keys at hand as possible issuers. For verdict.c alone; what others may
 * do with an index is in verdict.h.
 */
#ifndef SG_PROTO_VERDICT_INDEX_H
#define SG_PROTO_VERDICT_INDEX_H

#include <openssl/x509.h>

#include "pgp.h"
#include "pgp_key.h"
#include "verdict.h"

/* The certificate, if it has the keyinfo's name: who fills the struct is not believed (K2). Owned by the
 * caller; NULL when there is none. */
X509 *sg_verdict_load_cert(const struct sg_keyinfo *keyinfo);

/* Whether its data are a certificate's, if they are any: of this kind and name (K2). */
int sg_verdict_is_x509(const struct sg_keyinfo *keyinfo);

int sg_verdict_index_has_kind(
    const struct sg_verdict_index *index, const char *name, enum sg_key_kind kind);

/* A public key, with what is found out of it once for all its signatures. */
struct sg_issuer_key {
	EVP_PKEY *key; /* borrowed */
	struct sg_blob
	    mark; /* bytes that each encoding of the key has in it; empty: none are known */
	EVP_PKEY_CTX *sha1;   /* ready to take the padding off, or NULL */
	EVP_PKEY_CTX *sha256; /* ready to verify, or NULL */
	unsigned asked,
	    fits; /* methods, as bits: whether it was asked if it fits, and whether it does */
};

/* Of one that began with its key alone, too. */
void sg_issuer_key_clear(struct sg_issuer_key *issuer);

/* The key of the first certificate of this name, or NULL. It is the index's. */
struct sg_issuer_key *sg_verdict_index_x509(struct sg_verdict_index *index, const char *name);

/* Whether there are as many checks left; then they are spent. */
int sg_verdict_index_spend(struct sg_verdict_index *index, size_t count);

/* Whether it is an OpenPGP key that has its name. */
int sg_verdict_is_pgp(const struct sg_keyinfo *keyinfo, struct sg_pgp_form *form);

/* Different copies of one OpenPGP key: no more than can be judged at once, the first. */
struct sg_copies {
	struct sg_blob list[SG_PGP_COPIES_MAX];
	size_t count;
	struct sg_pgp_load load;
	int left_out; /* some are not among them */
};
void sg_copies_add(struct sg_copies *copies, const struct sg_keyinfo *keyinfo);

/* The index's copies of this name, after those that are there. */
void sg_copies_find(
    struct sg_copies *copies, const struct sg_verdict_index *index, const char *name);

/* UNKNOWN_ISSUER when there is none that has its name, else GOOD with the key, which is the index's; UNCHECKED
 * when there are no checks left for it, or with *reason when it cannot be judged. */
enum sg_signature_verdict sg_verdict_index_pgp(struct sg_verdict_index *index, const char *name,
    time_t now, struct sg_pgp_key **key, const char **reason);

#endif
