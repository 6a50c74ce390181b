/*
 * Judging keyinfos offline: which signatures on a key are good, and what that is worth (K3 to K7).
 */
#ifndef SG_PROTO_VERDICT_H
#define SG_PROTO_VERDICT_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <openssl/types.h>

#include "error.h"
#include "msg.h"

enum sg_signature_verdict {
	SG_SIG_GOOD,
	SG_SIG_BAD,	       /* the issuer's key is known, and did not make it */
	SG_SIG_UNKNOWN_METHOD, /* kept, shown, counts for nothing (K6) */
	SG_SIG_UNKNOWN_ISSUER, /* no key with the issuer's name is at hand */
	SG_SIG_SELF,	  /* the key's own, or by it in another certificate: counts for nothing */
	SG_SIG_UNCHECKED, /* the index has made all the checks that it may: counts for nothing */
};

/* What the good signatures of other keys on this key are worth together. */
enum sg_grade {
	SG_GRADE_NONE,
	SG_GRADE_SHA1, /* only RSA-SHA1 carried it */
	SG_GRADE_SHA256,
	SG_GRADE_BAD, /* one signature by a known issuer is bad: whatever else is good, say so */
};

struct sg_verdict {
	enum sg_signature_verdict *signatures; /* one for each of the keyinfo's, owned */
	size_t signature_count;
	enum sg_grade grade;
	int expired; /* the certificate is not valid at the time: no longer, or not yet */
};

/*
 * The keys at hand as possible issuers, made once for all the keys that are judged by them. It
 * makes at most checks_max checks of signatures in its life, so that the work for what a peer
 * sends is bounded; signatures that need none (SELF, UNKNOWN_ISSUER, UNKNOWN_METHOD by its name)
 * do not count.
 */
struct sg_verdict_index;

#define SG_VERDICT_CHECKS_MAX 1000 /* for one set from a peer: at worst about a second */

/* SG_ERR_NOMEM. */
SG_MUST_USE int sg_verdict_index_new(struct sg_verdict_index **index, size_t checks_max);
void sg_verdict_index_free(struct sg_verdict_index *index); /* NULL is fine */

/* Adds the X.509 keys among these. They are borrowed until the index is freed. SG_ERR_NOMEM. */
SG_MUST_USE int sg_verdict_index_add(
    struct sg_verdict_index *index, const struct sg_keyinfo *keys, size_t count);

/* Whether a key of this name was added. */
int sg_verdict_index_has(struct sg_verdict_index *index, const char *name);

/*
 * Judges one keyinfo with the index's keys as possible issuers; the subject itself may be among
 * them. RSA-SHA1 is checked by our own DigestInfo, so a policy against SHA-1 in OpenSSL does not
 * break it (K5). Verdict owned by the caller, freed by sg_verdict_clear(). SG_ERR_NOMEM only.
 */
SG_MUST_USE int sg_verdict_judge(const struct sg_keyinfo *subject, struct sg_verdict_index *index,
    time_t now, struct sg_verdict *verdict);
void sg_verdict_clear(struct sg_verdict *verdict);

/*
 * Whether the value is a signature by the issuer's public key over the bytes, by this method.
 * Gives SG_SIG_GOOD, SG_SIG_BAD or SG_SIG_UNKNOWN_METHOD (also a method that does not fit the
 * key's type).
 */
enum sg_signature_verdict sg_verdict_check(EVP_PKEY *issuer, const char *method,
    const struct sg_blob *subject, const struct sg_blob *value);

/* The words of the API's Signature.verdict, PublicKey.grade and PublicKey.kind (NULL: no such
 * kind). */
const char *sg_signature_verdict_name(enum sg_signature_verdict verdict);
const char *sg_grade_name(enum sg_grade grade);
const char *sg_key_kind_name(uint32_t kind); /* enum sg_key_kind */

#endif
