/*
 * What the agent remembers: accounts, their certificates and signatures, tries of PINs, keys that
 * were used, and the keyring (keyring_store.h). One SQLite file, WAL, synchronous=FULL: what a
 * function stored is on disk when it returns 0. No secret is ever in it.
 *
 * What gives an int fails with SG_ERR_IO, logged, or SG_ERR_NOMEM, beside what is said of it.
 */
#ifndef SG_BROKER_STORE_H
#define SG_BROKER_STORE_H

#include <stdint.h>

#include "buf.h"
#include "error.h"
#include "msg.h"

#define SG_STORE_VERSION 6

struct sg_store;

/*
 * Opens the file, and makes it (mode 0600) when it is not there. One of an older version is made
 * one of this version, in one transaction. Refuses, with a logged sentence and without touching it,
 * a file that is no database of ours, is damaged, or was written by a newer version: SG_ERR_IO.
 */
SG_MUST_USE int sg_store_open(const char *path, struct sg_store **store);

/* What to say when the last call of the store gave err: a sentence without a full stop, static. */
const char *sg_store_failure(const struct sg_store *store, int err);

/* A number that grows whenever anything in it has changed. */
int64_t sg_store_rows_changed(const struct sg_store *store);

/* Whether something can be stored now: 0, or SG_ERR_IO. Changes nothing. */
SG_MUST_USE int sg_store_is_writable(struct sg_store *store);

void sg_store_close(struct sg_store *store);

/* ---- accounts ---- */

struct sg_account_row {
	char *jid;
	char *host;
	uint32_t port;
	uint32_t tls_mode; /* enum sg_tls_mode */
	char *cafile;
	char *key;	   /* URI of the client key, or NULL */
	char *certificate; /* SHA-256 of its certificate, or NULL */
	char *user_key;
	char *user_certificate;
	uint32_t protocol; /* enum sg_cert_protocol: the server's, when it was last asked */
};
void sg_account_row_clear(struct sg_account_row *row);

/* Inserts or replaces. */
SG_MUST_USE int sg_store_account_put(struct sg_store *store, const struct sg_account_row *row);

/* Removes the account, its certificates and their signatures. */
SG_MUST_USE int sg_store_account_delete(struct sg_store *store, const char *jid);

/* Calls fn for each account in the order of their JIDs; the row is cleared after each, what fn
 * takes over it zeroes. fn's first error ends it and is given. */
typedef int sg_account_row_fn(void *arg, struct sg_account_row *row);
SG_MUST_USE int sg_store_accounts(struct sg_store *store, sg_account_row_fn *fn, void *arg);

/* ---- certificates of the accounts ---- */

enum sg_cert_role {
	SG_CERT_CLIENT = 0,
	SG_CERT_USER = 1,
};

struct sg_cert_row {
	char *jid;
	char *sha256;
	char *name; /* SHA-1, the keyinfo name */
	struct sg_blob der;
	char *uri; /* on its token, or NULL */
	uint32_t role;
	uint32_t revoked;
};
void sg_cert_row_clear(struct sg_cert_row *row);

/* Inserts or replaces; fingerprints are computed from the DER. */
SG_MUST_USE int sg_store_cert_put(struct sg_store *store, const char *jid, uint32_t role,
    const struct sg_blob *der, const char *uri);

/* The account's certificate with this SHA-256 or SHA-1 (lower-case hex). SG_ERR_KEY_ABSENT when it
 * has none. */
SG_MUST_USE int sg_store_cert_get(
    struct sg_store *store, const char *jid, const char *fingerprint, struct sg_cert_row *row);

/* Notes whether the server has revoked it, as it was last seen to. */
SG_MUST_USE int sg_store_cert_set_revoked(
    struct sg_store *store, const char *jid, const char *sha256, int revoked);

/* Removes it, with the signatures that are kept on it and by it. */
SG_MUST_USE int sg_store_cert_delete(struct sg_store *store, const char *jid, const char *sha256);

/* Certificate and account in one transaction: the certificate becomes the account's. */
SG_MUST_USE int sg_store_account_certify(struct sg_store *store, const struct sg_account_row *row,
    uint32_t role, const struct sg_blob *der, const char *uri);

/* ---- attestations ---- */

/* By what a token attests a key that the account had certified. */
struct sg_attestation {
	struct sg_blob der;    /* empty: there is none */
	struct sg_blob issuer; /* the certificate that signed it, or empty */
};
void sg_attestation_clear(struct sg_attestation *attestation);

/* Inserts or replaces the one of the account's key, which is named by the SHA-256 of its SubjectPublicKeyInfo. */
SG_MUST_USE int sg_store_attestation_put(struct sg_store *store, const char *jid,
    const char *spki_sha256, const struct sg_attestation *attestation);

/* The one that any account keeps of the key. SG_ERR_KEY_ABSENT when none does. */
SG_MUST_USE int sg_store_attestation_get(
    struct sg_store *store, const char *spki_sha256, struct sg_attestation *attestation);

/* ---- signatures ---- */

/* Keeps signatures of one issuer on a subject (keyinfo names); each replaces the one of the same
 * issuer and method, or without method. */
SG_MUST_USE int sg_store_signatures_put(struct sg_store *store, const char *jid,
    const char *subject, const struct sg_msg_signatures *signatures);

/* All that is kept for the subject; owned by the caller. */
SG_MUST_USE int sg_store_signatures_get(struct sg_store *store, const char *jid,
    const char *subject, struct sg_msg_signatures *signatures);

/* ---- own OpenPGP keys of the accounts ---- */

/* The account's OpenPGP key of this name becomes these bytes, which were checked to have it. */
SG_MUST_USE int sg_store_pgp_put(
    struct sg_store *store, const char *jid, const char *name, const struct sg_blob *data);

/* SG_ERR_KEY_ABSENT when the account has none of this name. */
SG_MUST_USE int sg_store_pgp_get(
    struct sg_store *store, const char *jid, const char *name, struct sg_blob *data);

/* The names of all that the account has: a new NULL-terminated array, free with sg_strv_free(). */
SG_MUST_USE int sg_store_pgp_names(struct sg_store *store, const char *jid, char ***names);

/* Removes it, with the signatures that are kept on it and by it. */
SG_MUST_USE int sg_store_pgp_delete(struct sg_store *store, const char *jid, const char *name);

/* ---- tries of PINs ---- */

#define SG_LEDGER_WRONG_MAX 16 /* the newest wrong PINs that are kept of a token */

/*
 * Of one token and one PIN of it; token is sg_ledger_name() everywhere here. A hash is unsure from
 * when its PIN is going to be tried until the outcome is told: it stands among the wrong ones,
 * marked so.
 */
struct sg_ledger_row {
	struct sg_blob salt;
	struct sg_pin_hash *wrong; /* the newest first */
	uint32_t wrong_count;
	uint32_t tries;	 /* since the last success */
	uint32_t told;	 /* not 0: the token's flags have told of failures */
	uint32_t locked; /* not 0: the token said that it takes no PIN any more; none since */
};
void sg_ledger_row_clear(struct sg_ledger_row *row);

/* by is an enum sg_pin_user. Makes a ledger with this salt unless there is one. */
SG_MUST_USE int sg_store_ledger_make(
    struct sg_store *store, const char *token, uint32_t by, const struct sg_blob *salt);

/* SG_ERR_KEY_ABSENT when none was made. */
SG_MUST_USE int sg_store_ledger_get(
    struct sg_store *store, const char *token, uint32_t by, struct sg_ledger_row *row);

/* The PIN of this hash is going to be tried: counts it, keeps the hash as unsure (struct
 * sg_pin_hash) unless it is known to be wrong, and that the flags told. SG_ERR_KEY_ABSENT: no
 * ledger. */
SG_MUST_USE int sg_store_ledger_try(struct sg_store *store, const char *token, uint32_t by,
    const struct sg_blob *hash, uint32_t unsure, uint32_t told);

/* The flags told of failures. */
SG_MUST_USE int sg_store_ledger_told(struct sg_store *store, const char *token, uint32_t by);

/* The PIN of this hash was good. No tries, if starts_anew or when the flags told; else this one was
 * none. What else was wrong stays wrong, and what was unsure says nothing by the card's count any
 * more, which begins anew. */
SG_MUST_USE int sg_store_ledger_good(struct sg_store *store, const char *token, uint32_t by,
    const struct sg_blob *hash, int starts_anew);

/* The PIN of this hash was refused. */
SG_MUST_USE int sg_store_ledger_wrong(
    struct sg_store *store, const char *token, uint32_t by, const struct sg_blob *hash);

/* The PIN of this hash is not unsure after all: it was not tried. */
SG_MUST_USE int sg_store_ledger_untried(
    struct sg_store *store, const char *token, uint32_t by, const struct sg_blob *hash);

/* Nothing is known of the PIN of this hash, but it is not unsure: the try counts. It stays unsure
 * where the card told its tries: that says more. */
SG_MUST_USE int sg_store_ledger_forgive(
    struct sg_store *store, const char *token, uint32_t by, const struct sg_blob *hash);

/* No PIN is taken any more, whatever it is: it was no try. */
SG_MUST_USE int sg_store_ledger_locked(
    struct sg_store *store, const char *token, uint32_t by, const struct sg_blob *hash);

/* There is a new PIN: no tries, and nothing is known to be wrong. */
SG_MUST_USE int sg_store_ledger_clear(struct sg_store *store, const char *token, uint32_t by);

/* ---- keys that were used ---- */

struct sg_key_use {
	char *uri;
	char *spki_sha256; /* lower-case hex */
	uint32_t abilities;
	uint32_t adopted; /* 1: a person said that it is to be used, and it was tried */
};
void sg_key_use_clear(struct sg_key_use *use);

/* SG_ERR_KEY_ABSENT when no key was used under this URI. */
SG_MUST_USE int sg_store_key_use_get(
    struct sg_store *store, const char *uri, struct sg_key_use *use);

/* Calls fn with the URI of each key that had this public key when it was first used, in their order. fn's
 * first error ends it and is given; SG_ERR_IO. */
typedef int sg_key_uri_fn(void *arg, const char *uri);
SG_MUST_USE int sg_store_key_uses_of(
    struct sg_store *store, const char *spki_sha256, sg_key_uri_fn *fn, void *arg);

/* Inserts or replaces. */
SG_MUST_USE int sg_store_key_use_put(struct sg_store *store, const struct sg_key_use *use);

/* ---- keys of issuers ---- */

/*
 * The key of this name, and its kind (enum sg_key_kind): a certificate of the account (jid; NULL: of
 * none in particular), or of another of ours, else a key of the keyring (keyring_store.h). Whether the
 * bytes have that name is for the caller to check. SG_ERR_KEY_ABSENT.
 */
SG_MUST_USE int sg_store_key_get(struct sg_store *store, const char *jid, const char *name,
    uint32_t *kind, struct sg_blob *data);

#endif
