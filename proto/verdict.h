/*
 * Judging keyinfos offline: which signatures on a key are good, and what that is worth (K3 to K7).
 */
#ifndef SG_PROTO_VERDICT_H
#define SG_PROTO_VERDICT_H

#include <stddef.h>
#include <time.h>

#include <openssl/types.h>

#include "error.h"
#include "msg.h"

enum sg_signature_verdict {
	SG_SIG_GOOD,
	SG_SIG_BAD,	       /* the issuer's key is known, and did not make it */
	SG_SIG_UNKNOWN_METHOD, /* kept, shown, counts for nothing (K6) */
	SG_SIG_UNKNOWN_ISSUER, /* no key with the issuer's name is at hand */
	SG_SIG_SELF,	       /* the key's own: counts for nothing */
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
	int expired; /* the certificate is not valid at the time */
};

/*
 * Judges one keyinfo with the keys at hand as possible issuers (X.509 ones; the subject itself may be
 * among them). RSA-SHA1 is checked by our own DigestInfo, so a policy against SHA-1 in OpenSSL does
 * not break it (K5). Verdict owned by the caller, freed by sg_verdict_clear(). SG_ERR_NOMEM only.
 */
SG_MUST_USE int sg_verdict_judge(const struct sg_keyinfo *subject, const struct sg_keyinfo *issuers,
    size_t issuer_count, time_t now, struct sg_verdict *verdict);
void sg_verdict_clear(struct sg_verdict *verdict);

/*
 * Whether the value is a signature by the issuer's public key over the bytes, by this method. Gives
 * SG_SIG_GOOD, SG_SIG_BAD or SG_SIG_UNKNOWN_METHOD (also a method that does not fit the key's type).
 */
enum sg_signature_verdict sg_verdict_check(EVP_PKEY *issuer, const char *method,
    const struct sg_blob *subject, const struct sg_blob *value);

const char *sg_signature_verdict_name(enum sg_signature_verdict
	verdict); /* "good", "bad", "unknown method", "unknown issuer", "self" */
const char *sg_grade_name(enum sg_grade grade); /* "none", "sha-1 only", "sha-256", "bad" */

#endif
