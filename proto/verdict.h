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
	SG_SIG_REFUSED, /* one that may not count, whoever made it (OpenPGP; SHA-1 that is off); a reason is told */
};

/* What the good signatures of other keys on this key are worth together. */
enum sg_grade {
	SG_GRADE_NONE,
	SG_GRADE_SHA1, /* only RSA-SHA1, or an OpenPGP packet with a hash as short, carried it */
	SG_GRADE_SHA256,
	SG_GRADE_BAD, /* one signature by a known issuer is bad: whatever else is good, say so */
};

/* What is done with SHA-1 (K7); the words of signet.conf and of `signet verify`. */
enum sg_sha1 {
	SG_SHA1_ON,	/* signatures with it are made and counted */
	SG_SHA1_VERIFY, /* counted, not made */
	SG_SHA1_OFF,	/* neither */
};

/* "on", "verify" or "off". SG_ERR_ARG. */
SG_MUST_USE int sg_sha1_parse(const char *text, enum sg_sha1 *sha1);

/*
 * For all judging in this process, once before the first: at first ON. With OFF, what would be of
 * the grade SHA1 is REFUSED, good or bad, and no check is spent on it.
 */
void sg_verdict_set_sha1(enum sg_sha1 sha1);

/* Whether a signature may count by that. *reason, which may be NULL, says why not. */
int sg_signature_counts(const struct sg_signature *signature, const char **reason);

struct sg_verdict {
	enum sg_signature_verdict *signatures; /* one for each of the keyinfo's, owned */
	const char **reasons; /* as many: what there is to say of it, static text, or NULL */
	size_t signature_count;
	enum sg_grade grade;
	int expired; /* the key is not valid at the time: no longer, or not yet */
	int revoked; /* an OpenPGP key that says so itself */
	int untold;  /* an OpenPGP key that could not be judged now: neither of the two is known */
	/* Of an OpenPGP key that was judged, what it says of its owner by signatures of its own: user
	 * ids, and the bare JIDs among them; NULL-terminated, owned. NULL for another key. */
	char **user_ids;
	char **jids;
};

/*
 * The keys at hand as possible issuers, made once for all the keys that are judged by them. It
 * makes at most checks_max checks of signatures in its life, so that the work for what a peer
 * sends is bounded; signatures that need none (SELF, UNKNOWN_ISSUER, UNKNOWN_METHOD by its name)
 * do not count. To load an OpenPGP key counts as sg_pgp_load_cost() says.
 */
struct sg_verdict_index;

#define SG_VERDICT_CHECKS_MAX 1000 /* for a set that is judged at once: at worst about a second */

/* SG_ERR_NOMEM. */
SG_MUST_USE int sg_verdict_index_new(struct sg_verdict_index **index, size_t checks_max);
void sg_verdict_index_free(struct sg_verdict_index *index); /* NULL is fine */

/* Adds the keys among these, not the references. They are borrowed until the index is freed.
 * Copies of one OpenPGP key are put together. SG_ERR_NOMEM. */
SG_MUST_USE int sg_verdict_index_add(
    struct sg_verdict_index *index, const struct sg_keyinfo *keys, size_t count);

/* Whether a key of this name was added. */
int sg_verdict_index_has(struct sg_verdict_index *index, const char *name);

/* Whether a key of this name is worth looking for elsewhere: there is no certificate of that name, and it was
 * not asked before. (An OpenPGP key that is there is looked for all the same, for another copy may tell of a
 * revocation.) name is borrowed like the keys. Gives 1 or 0; SG_ERR_NOMEM. */
SG_MUST_USE int sg_verdict_index_wants(struct sg_verdict_index *index, const char *name);

/*
 * Judges one keyinfo with the index's keys as possible issuers; the subject itself may be among
 * them. RSA-SHA1 is checked by our own DigestInfo, so a policy against SHA-1 in OpenSSL does not
 * break it (K5). An X.509 key signs of an OpenPGP key its fingerprint or its whole data (K4); a
 * signature without method is an OpenPGP packet (K6). All keys of one index are judged as of one
 * time. Verdict owned by the caller, freed by sg_verdict_clear(). SG_ERR_NOMEM only.
 */
SG_MUST_USE int sg_verdict_judge(const struct sg_keyinfo *subject, struct sg_verdict_index *index,
    time_t now, struct sg_verdict *verdict);
void sg_verdict_clear(struct sg_verdict *verdict);

/*
 * The same step by step, for those who have others to serve meanwhile. Each step judges one signature, or an OpenPGP
 * key itself: 1 when more are left, 0 when the verdict is whole, SG_ERR_NOMEM. The subject and the index are
 * borrowed until the judgement is freed; the verdict is the judgement's.
 */
struct sg_judgement;
SG_MUST_USE int sg_judgement_new(const struct sg_keyinfo *subject, struct sg_verdict_index *index,
    time_t now, struct sg_judgement **judgement);
SG_MUST_USE int sg_judgement_go_on(struct sg_judgement *judgement);
const struct sg_verdict *sg_judgement_verdict(const struct sg_judgement *judgement);
void sg_judgement_free(struct sg_judgement *judgement); /* NULL is fine */

/*
 * Whether the value is a signature by the issuer's public key over the bytes, by this method.
 * Gives SG_SIG_GOOD, SG_SIG_BAD or SG_SIG_UNKNOWN_METHOD (also a method that does not fit the
 * key's type).
 */
enum sg_signature_verdict sg_verdict_check(EVP_PKEY *issuer, const char *method,
    const struct sg_blob *subject, const struct sg_blob *value);

/* What a good signature by this method is worth; SG_GRADE_NONE for an unknown method, and NULL. */
enum sg_grade sg_method_grade(const char *method);

/* The same of a signature; without method, by the hash of its OpenPGP packet. */
enum sg_grade sg_signature_grade(const struct sg_signature *signature);

/*
 * The check of one signature by one key on another as of the time now, whatever kinds they are and
 * without an index; what SELF is, is not looked at. UNKNOWN_ISSUER when the issuer's data does not
 * have its name or is of another kind than the signature's. *reason may be NULL: not asked.
 */
enum sg_signature_verdict sg_verdict_check_keys(const struct sg_keyinfo *issuer,
    const struct sg_keyinfo *subject, const struct sg_signature *signature, time_t now,
    const char **reason);

/* The words of the API's Signature.verdict, PublicKey.grade and PublicKey.kind (NULL: no such
 * kind). */
const char *sg_signature_verdict_name(enum sg_signature_verdict verdict);
const char *sg_grade_name(enum sg_grade grade);
const char *sg_key_kind_name(uint32_t kind); /* enum sg_key_kind */

#endif
