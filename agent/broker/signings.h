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
 * A new reference to what is known of the account's certificate or OpenPGP key with this fingerprint
 * (lower-case hex), or of a certificate of the keyring that the person trusts, and of the account's
 * user certificate; out of the store when that has changed since. SG_ERR_KEY_ABSENT when there is none,
 * SG_ERR_IO, SG_ERR_NOMEM.
 */
SG_MUST_USE int sg_signing_get(struct sg_signings *signings, const struct sg_account *account,
    const char *fingerprint, struct sg_signing **signing);
void sg_signing_unref(struct sg_signing *signing); /* NULL is fine */

/* The certificate or OpenPGP key with the signatures that are kept for it, the certificate of the
 * issuer, and the fingerprint that the first was asked for by. All are the signing's. */
const struct sg_keyinfo *sg_signing_subject(const struct sg_signing *signing);
const struct sg_keyinfo *sg_signing_issuer(const struct sg_signing *signing);
const char *sg_signing_fingerprint(const struct sg_signing *signing);

/* How the subject is not valid now: "has expired", "is not valid yet"; NULL: it is. */
const char *sg_signing_invalid(const struct sg_signing *signing);

/* What is signed of the subject: its DER (K3), or the fingerprint (K4). It is the signing's. */
struct sg_blob sg_signing_bytes(const struct sg_signing *signing);

/* Whether the issuer's key is one of RSA. */
int sg_signing_is_rsa(const struct sg_signing *signing);

/*
 * What of the subject may hide a collision of SHA-1 (K7): its DER, or what the fingerprint is the
 * SHA-1 of; with its SHA-256. NULL for a certificate that this agent had made on its own token:
 * nobody else has chosen bytes of it.
 */
const struct sg_blob *sg_signing_foreign(
    const struct sg_signing *signing, const unsigned char **sha256);

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
 * methods. all: see sg_signing_check(); without it their verdict is "unchecked". note: or NULL. */
void sg_signing_reply(const struct sg_signing *signing, const struct sg_msg_signatures *fresh,
    int all, const char *note, struct sg_buf *text);

#endif
