/*
 * The ledger: every certificate that was ever issued, in one SQLite file.
 *
 * A row is committed (WAL, synchronous=FULL) before the call that writes it returns. Hashes are
 * raw bytes; times are seconds since 1970.
 */
#ifndef SG_AUTHORITY_LEDGER_H
#define SG_AUTHORITY_LEDGER_H

#include <stdint.h>
#include <time.h>

#include "buf.h"
#include "error.h"

#define SG_SERIAL_LEN 20 /* bytes; the first is 0x01 to 0x7f, so that the number is positive */

struct sg_ledger;

/*
 * Opens or makes the file (0600). Its folder is made (0700) when it is not there, and must not be
 * open to others. SG_ERR_CONFIG when the folder is, SG_ERR_UNSUPPORTED for a ledger of a newer
 * version, SG_ERR_IO; each is logged.
 */
SG_MUST_USE int sg_ledger_open(const char *path, struct sg_ledger **ledger);

/* NULL is fine. */
void sg_ledger_close(struct sg_ledger *ledger);

/* A certificate as it goes in; everything is borrowed. */
struct sg_ledger_entry {
	const unsigned char *serial; /* SG_SERIAL_LEN bytes */
	const char *account;
	const char *name;
	const struct sg_blob *der;
	const unsigned char *csr_sha256; /* 32 bytes */
	time_t issued_at;
	time_t not_after;
};

/* SG_ERR_IO, SG_ERR_NOMEM; then there is no row. */
SG_MUST_USE int sg_ledger_add(struct sg_ledger *ledger, const struct sg_ledger_entry *entry);

/* Whether a serial number was used before: 1, 0, or SG_ERR_IO. */
SG_MUST_USE int sg_ledger_has_serial(struct sg_ledger *ledger, const unsigned char *serial);

/* How many certificates of the account could be used at this time: unrevoked and not expired. */
SG_MUST_USE int sg_ledger_count(
    struct sg_ledger *ledger, const char *account, time_t now, uint32_t *count);

/*
 * C5: the usable certificate that was issued to the account for this very request. 1 and the owned
 * *der, 0 when there is none, SG_ERR_IO, SG_ERR_NOMEM.
 */
SG_MUST_USE int sg_ledger_find_csr(struct sg_ledger *ledger, const char *account,
    const unsigned char csr_sha256[32], time_t now, struct sg_blob *der);

/* A row as it comes out, valid during the callback only. */
struct sg_ledger_row {
	const unsigned char *serial;
	const char *sha256; /* lower-case hex */
	const char *name;
	const char *last_used; /* DateTime or NULL */
	struct sg_blob der;    /* borrowed */
	time_t not_after;
	time_t revoked_at; /* 0: not revoked */
};

/* Gives 0 to go on; anything else ends the walk and is returned by it. */
typedef int sg_ledger_fn(void *arg, const struct sg_ledger_row *row);

/* The unrevoked certificates of the account: the usable ones first, newest first, then the expired. */
SG_MUST_USE int sg_ledger_each_valid(
    struct sg_ledger *ledger, const char *account, time_t now, sg_ledger_fn *fn, void *arg);

/* Everything that is revoked and expires at or after this time, by order of revocation. */
SG_MUST_USE int sg_ledger_each_revoked(
    struct sg_ledger *ledger, time_t expires_from, sg_ledger_fn *fn, void *arg);

/*
 * C9, C10: revokes the account's certificate with this fingerprint; hash is "sha-1", "sha-256" or
 * "sha-512". 1 and its SHA-256 in hex when it is revoked now or was before (*changed tells which), 0
 * when the account has none such, SG_ERR_IO. Commits before it returns.
 */
SG_MUST_USE int sg_ledger_revoke(struct sg_ledger *ledger, const char *account, const char *hash,
    const unsigned char *value, size_t len, time_t now, char sha256[65], int *changed);

/* Remembers when a certificate was last used, if that is later than what is known. SG_ERR_IO. */
SG_MUST_USE int sg_ledger_touch(
    struct sg_ledger *ledger, const char *sha256, const char *last_used);

/* The next CRL number (RFC 5280 5.2.3), never given twice. SG_ERR_IO. */
SG_MUST_USE int sg_ledger_next_crl(struct sg_ledger *ledger, uint32_t *number);

#endif
