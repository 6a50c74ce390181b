/*
 * What Sign needs to know of a certificate and of the key that signs it, for as long as nothing of
 * it changes: a client that has one certificate signed again and again costs the token's signatures
 * and little more. Nothing here is a substitute for a signature: each call has its own made.
 */
#ifndef SG_BROKER_SIGNINGS_H
#define SG_BROKER_SIGNINGS_H

#include "accounts.h"
#include "msg.h"

#define SG_SIGNINGS_MAX	    64 /* remembered; the one that was not used for longest makes room */
#define SG_SIGNING_CHECK_MS 20 /* from one that is verified to the next that must be */

struct sg_signings;
struct sg_signing;

/* SG_ERR_NOMEM. */
SG_MUST_USE int sg_signings_new(struct sg_signings **signings);
void sg_signings_free(struct sg_signings *signings);

/*
 * A new reference to what is known of the account's certificate with this fingerprint (SHA-256
 * or SHA-1, lower-case hex) and its user certificate, out of the store when that has changed since.
 * SG_ERR_KEY_ABSENT when the account has none such, SG_ERR_IO, SG_ERR_NOMEM.
 */
SG_MUST_USE int sg_signing_get(struct sg_signings *signings, const struct sg_account *account,
    const char *fingerprint, struct sg_signing **signing);
void sg_signing_unref(struct sg_signing *signing); /* NULL is fine */

/* The certificate with the signatures that are kept for it, the one of the issuer, and the
 * fingerprint that the first was asked for by. All are the signing's. */
const struct sg_keyinfo *sg_signing_subject(const struct sg_signing *signing);
const struct sg_keyinfo *sg_signing_issuer(const struct sg_signing *signing);
const char *sg_signing_fingerprint(const struct sg_signing *signing);

/*
 * Whether signatures that were just made are good. Beside a kept one of the same method that is
 * good, those of a deterministic method are compared with it, and the others are not verified again
 * within SG_SIGNING_CHECK_MS, for that costs more than a fast token's signature: *all tells whether
 * each was checked. SG_ERR_TOKEN_FAILED when one is not good.
 */
SG_MUST_USE int sg_signing_check(
    struct sg_signing *signing, const struct sg_msg_signatures *fresh, int *all);

/* Whether a good one of the same issuer and method is kept for each; else they are to be stored. */
int sg_signing_has_kept(const struct sg_signing *signing, const struct sg_msg_signatures *fresh);

/* Appends the reply's message, with its NUL, that has fresh in place of the kept ones of the same
 * methods. all: see sg_signing_check(); without it their verdict is "unchecked". */
void sg_signing_reply(const struct sg_signing *signing, const struct sg_msg_signatures *fresh,
    int all, struct sg_buf *text);

#endif
