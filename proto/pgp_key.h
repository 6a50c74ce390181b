/*
 * OpenPGP public keys as librnp judges them: validity, user ids, detached signatures (K4, K6).
 *
 * librnp runs in a process of its own, signet-pgp: its Debian build keeps its assertions and tells
 * standard error of each oddity, it is some 6 MB of a process, and what it reads comes from
 * anybody. The process is started when the first OpenPGP key is met, ends when nothing was asked
 * of it for a while, and is killed when it does not answer. There is one for each process of ours,
 * and the functions here wait for it; they are for one thread alone.
 */
#ifndef SG_PROTO_PGP_KEY_H
#define SG_PROTO_PGP_KEY_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "buf.h"
#include "error.h"
#include "msg.h"
#include "pgp.h"
#include "verdict.h"

#define SG_PGP_COPIES_MAX 8	/* of one key, that are put together */
#define SG_PGP_IDLE_MS	  30000 /* without a request, it ends by itself */

/*
 * Without an answer for so long, it hangs. But where the machine has much to do, it is waited for longer, up to
 * SG_PGP_LATE_MS, as long as it gets a processor at all meanwhile, and has had one for less than SG_PGP_WORK_MS.
 */
#define SG_PGP_ANSWER_MS 2000
#define SG_PGP_WORK_MS	 1500
#define SG_PGP_LATE_MS	 10000

/* How much trouble it may make in what time: a key that it dies of (twice) counts as 1. */
#define SG_PGP_TROUBLE_MS   60000
#define SG_PGP_TROUBLE_MAX  8
#define SG_PGP_TROUBLE_HANG 4

/* Why a signature does not count; the text of each is in pgp_key.c. */
enum sg_pgp_reason {
	SG_PGP_NO_REASON,
	SG_PGP_KEY_REVOKED,
	SG_PGP_KEY_REVOKED_UNCHECKED,
	SG_PGP_KEY_NOT_VALID,
	SG_PGP_KEY_MAY_NOT_SIGN,
	SG_PGP_KEY_SIZE,
	SG_PGP_HASH_REFUSED,
	SG_PGP_HASH_REFUSED_SHA1,
	SG_PGP_HASH_REFUSED_MD5,
	SG_PGP_HASH_UNKNOWN,
	SG_PGP_SIGNATURE_EXPIRED,
	SG_PGP_SIGNATURE_TYPE,
	SG_PGP_SIGNATURE_CRITICAL,
	SG_PGP_UNREADABLE,
	SG_PGP_NO_JUDGE, /* signet-pgp is missing, has died or hangs */
	SG_PGP_REASON_COUNT,
};

/*
 * Whether a key is revoked. Where nobody can check what says so, it counts as revoked, for what is not
 * believed then would be what its owner wants least: one with a critical part that is not known, or by
 * another key that this one lets revoke it (RFC 4880 5.2.3.15).
 */
enum sg_pgp_revoked {
	SG_PGP_NOT_REVOKED,
	SG_PGP_REVOKED, /* by itself; also with MD5, SHA-1 or RIPEMD-160 */
	SG_PGP_REVOKED_UNCHECKED,
};

struct sg_pgp_key;

struct sg_pgp_facts {
	char name[SG_PGP_NAME_SIZE];
	int valid;   /* it has a good signature of its own, and is neither expired nor revoked */
	int expired; /* or not valid yet */
	int revoked; /* enum sg_pgp_revoked */
	int64_t created; /* seconds since 1970 */
	int64_t expires; /* 0: never */
	char **user_ids; /* that it has signed and not revoked, as text that can be shown */
	char **jids;	 /* bare JIDs among them ("xmpp:juliet@example.org", XEP-0373 4.1) */
	size_t subkeys;	 /* valid ones */
};

/*
 * Has a key judged as of the time at. Several copies of one key are put together, as a keyring does,
 * so that one that lacks a revocation does not hide it; of several, one that librnp cannot read is
 * passed over; SG_ERR_LIMIT when they would take too long together (sg_pgp_load_add()). The bytes are
 * borrowed until the key is freed. SG_ERR_FORMAT, SG_ERR_LIMIT, SG_ERR_DENIED or SG_ERR_UNSUPPORTED, as
 * of sg_pgp_key_check(), also for copies of different keys and when librnp does not take it;
 * SG_ERR_WORKER when there is nobody to judge it, SG_ERR_NOMEM. *why is static text then, NULL on
 * success.
 */
SG_MUST_USE int sg_pgp_key_load(const struct sg_blob *copies, size_t count, time_t at,
    struct sg_pgp_key **key, const char **why);
void sg_pgp_key_free(struct sg_pgp_key *key); /* NULL is fine */

/* They are the key's. */
const struct sg_pgp_facts *sg_pgp_key_facts(const struct sg_pgp_key *key);

/*
 * Whether the value is a signature packet over the bytes by the key or one of its subkeys that may
 * sign (K6). GOOD; BAD; REFUSED when librnp or we do not let it count; UNKNOWN_METHOD; UNCHECKED
 * when there is nobody to judge it. *reason is what there is to say of it, or NULL.
 */
enum sg_signature_verdict sg_pgp_key_verify(struct sg_pgp_key *key, const struct sg_blob *subject,
    const struct sg_blob *value, const char **reason);

/* What a good signature with this hash (enum sg_pgp_hash) is worth; NONE: it cannot count. */
enum sg_grade sg_pgp_hash_grade(unsigned hash);

/* A child has ended: takes its status if it was signet-pgp. */
void sg_pgp_reap(void);

/* The program to start in place of the one that is installed with us; borrowed. For tests. */
void sg_pgp_set_program(const char *path);

#endif
