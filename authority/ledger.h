/*
 * The ledger: every certificate that was ever issued, in an SQLite file or in a PostgreSQL database
 * that several instances share.
 *
 * What a call writes is on the disk before it returns. Hashes are raw bytes, and lower-case hex where
 * they are text; times are seconds since 1970. SG_ERR_IO is a database that cannot be reached, or does
 * not do what it is asked: it is logged, nothing was written, and a later call may go well.
 */
#ifndef SG_AUTHORITY_LEDGER_H
#define SG_AUTHORITY_LEDGER_H

#include <poll.h>
#include <stdint.h>
#include <time.h>

#include "buf.h"
#include "error.h"

#define SG_SERIAL_LEN	     20 /* bytes; the first is 0x01 to 0x7f, so that the number is positive */
#define SG_LEDGER_ADD_MAX    256 /* entries of one sg_ledger_add() */
#define SG_LEDGER_REASON_MAX 200 /* bytes */
#define SG_LEDGER_PREFIX_MIN 8 /* digits of a fingerprint or a serial that sg_ledger_find() takes */
#define SG_LEDGER_FOUND_MAX  20 /* rows that it gives */

struct sg_ledger;

/* Whether the configuration names a PostgreSQL database ("postgresql://..." or "host=... dbname=...")
 * and not a file. */
int sg_ledger_is_database(const char *where);

/*
 * Opens the ledger of the configuration: a file's path, or a connection to PostgreSQL.
 *
 * The file is made (0600) when it is not there. Its folder is made (0700) too, and must not be open to
 * others. SG_ERR_CONFIG when the folder is, SG_ERR_UNSUPPORTED for a ledger of a newer version, SG_ERR_IO.
 *
 * PostgreSQL is not waited for: sg_ledger_step() connects, again and again while it is away. SG_ERR_CONFIG
 * for a connection that cannot be read or has a password in it. Each failure is logged.
 */
SG_MUST_USE int sg_ledger_open(const char *where, struct sg_ledger **ledger);

/* NULL is fine. */
void sg_ledger_close(struct sg_ledger *ledger);

/*
 * For a poll loop: fills pfd (fd -1: nothing to wait for) and gives the longest time to wait in
 * milliseconds, -1 for any time. A ledger that nobody uses wakes nobody.
 */
int sg_ledger_prepare(struct sg_ledger *ledger, struct pollfd *pfd);

/* After the wait. 1 when somebody else (another instance, or an operator's command) may have revoked
 * something since the last call: lists must be made again. 2 when the database was also connected to anew, and may be
 * a copy that knows less than the lists. 0 otherwise. */
int sg_ledger_step(struct sg_ledger *ledger);

/* For whoever has no loop: until the database can be used. 0, SG_ERR_IO when that takes longer,
 * SG_ERR_UNSUPPORTED for one of a newer version, SG_ERR_CONFIG for one of another encoding than UTF-8. */
SG_MUST_USE int sg_ledger_wait(struct sg_ledger *ledger, int timeout_ms);

/* How many calls the database failed since it was opened. */
uint64_t sg_ledger_errors(const struct sg_ledger *ledger);

/* ---- adding */

enum sg_ledger_outcome {
	SG_LEDGER_ADDED = 1,
	SG_LEDGER_REPEATED, /* C5: the account has a usable certificate for this very request: in *der_before */
	SG_LEDGER_FULL,	       /* it has as many usable ones as an account may have */
	SG_LEDGER_SERIAL_USED, /* another certificate has this number, or is this very one */
};

/* A certificate as it goes in; everything is borrowed. */
struct sg_ledger_entry {
	const unsigned char *serial; /* SG_SERIAL_LEN bytes */
	const char *account;
	const char *name;
	const struct sg_blob *der;
	const unsigned char *csr_sha256; /* 32 bytes */
	time_t issued_at;		 /* now: 'usable' is meant at this time */
	time_t not_after;
	/* what became of it */
	enum sg_ledger_outcome outcome;
	struct sg_blob der_before; /* of SG_LEDGER_REPEATED: owned by the caller */
};

/*
 * Adds up to SG_LEDGER_ADD_MAX entries with one commit, in this order, each where that leaves its account
 * with no more than limit usable certificates and one for each request. That holds however many
 * instances add at the same time. SG_ERR_IO, SG_ERR_NOMEM, SG_ERR_ARG, SG_ERR_INTERNAL: then none was added.
 */
SG_MUST_USE int sg_ledger_add(
    struct sg_ledger *ledger, struct sg_ledger_entry *entries, size_t count, uint32_t limit);

/*
 * What sg_ledger_add() would do for a request, without it: 1 and the owned *der of the usable certificate
 * that the account has for it, 0 and how many usable ones there are. SG_ERR_IO, SG_ERR_NOMEM.
 */
SG_MUST_USE int sg_ledger_look(struct sg_ledger *ledger, const char *account,
    const unsigned char csr_sha256[32], time_t now, struct sg_blob *der, uint32_t *count);

/* The certificate stays as it is, but is not what its request gets any more: that may have another. SG_ERR_IO, SG_ERR_NOMEM,
 * SG_ERR_INTERNAL. */
SG_MUST_USE int sg_ledger_forget_request(struct sg_ledger *ledger, const struct sg_blob *der);

/* ---- reading */

/* The statements of ledger.c know them by their numbers. */
enum sg_ledger_state {
	SG_LEDGER_ANY = 0,
	SG_LEDGER_USABLE, /* neither revoked nor expired */
	SG_LEDGER_EXPIRED,
	SG_LEDGER_REVOKED, /* expired or not */
};

/* A row as it comes out, valid during the callback only. */
struct sg_ledger_row {
	int64_t id; /* grows with every certificate */
	const unsigned char *serial;
	const char *sha256; /* lower-case hex */
	const char *account;
	const char *name;
	const char *last_used; /* DateTime or NULL */
	const char *reason;    /* of the revocation; NULL: none was given */
	struct sg_blob der;    /* borrowed */
	time_t issued_at;
	time_t not_after;
	time_t revoked_at; /* 0: not revoked */
};

/* Gives 0 to go on; anything else ends the walk and is returned by it. It may call the ledger. */
typedef int sg_ledger_fn(void *arg, const struct sg_ledger_row *row);

/* The unrevoked certificates of the account: the usable ones first, newest first, then the expired. */
SG_MUST_USE int sg_ledger_each_unrevoked(
    struct sg_ledger *ledger, const char *account, time_t now, sg_ledger_fn *fn, void *arg);

/* Everything that is revoked and expires at or after this time, by order of revocation; without der. */
SG_MUST_USE int sg_ledger_each_revoked(
    struct sg_ledger *ledger, time_t expires_from, sg_ledger_fn *fn, void *arg);

struct sg_ledger_filter {
	const char *account; /* NULL: all */
	enum sg_ledger_state state;
	time_t now;	  /* what state means */
	int64_t after_id; /* 0: from the first on */
	uint32_t limit;	  /* rows at most */
};

/* A page of the ledger, by id: the next one begins after the last row's id. */
SG_MUST_USE int sg_ledger_each(
    struct sg_ledger *ledger, const struct sg_ledger_filter *filter, sg_ledger_fn *fn, void *arg);

/*
 * The certificates whose SHA-256 or serial number begins with these digits: lower-case hex, at least
 * SG_LEDGER_PREFIX_MIN. SG_LEDGER_FOUND_MAX rows of each at most. SG_ERR_ARG for other digits.
 */
SG_MUST_USE int sg_ledger_find(
    struct sg_ledger *ledger, const char *prefix, sg_ledger_fn *fn, void *arg);

struct sg_ledger_stats {
	int64_t issued; /* rows: the sum of the next three */
	int64_t usable;
	int64_t expired;
	int64_t revoked;
	int64_t accounts;   /* that were ever issued a certificate */
	int64_t crl_number; /* the last one that was given */
};

/* Reads the whole ledger: some tenths of a second for a million rows. */
SG_MUST_USE int sg_ledger_stats(
    struct sg_ledger *ledger, time_t now, struct sg_ledger_stats *stats);

/* ---- changing */

/*
 * C9, C10: revokes the account's certificate with this fingerprint; hash is "sha-1", "sha-256" or
 * "sha-512". 1 and its SHA-256 in hex when it is revoked now or was before (*changed tells which), 0
 * when the account has none such. SG_ERR_IO, SG_ERR_NOMEM, SG_ERR_ARG for another hash.
 */
SG_MUST_USE int sg_ledger_revoke(struct sg_ledger *ledger, const char *account, const char *hash,
    const unsigned char *value, size_t len, time_t now, char sha256[65], int *changed);

/*
 * The operator's: revokes the certificate of this id, whosever it is. reason may be NULL, and has
 * SG_LEDGER_REASON_MAX bytes at most. *changed is 0 when it was revoked before; that keeps its time and
 * reason. SG_ERR_ARG, SG_ERR_IO.
 */
SG_MUST_USE int sg_ledger_revoke_id(
    struct sg_ledger *ledger, int64_t id, const char *reason, time_t now, int *changed);

struct sg_ledger_use {
	const char *sha256;
	const char *last_used; /* DateTime */
};

/* Remembers when certificates were last used, where that is later than what is known; one commit for
 * all. SG_ERR_IO. */
SG_MUST_USE int sg_ledger_touch(
    struct sg_ledger *ledger, const struct sg_ledger_use *uses, size_t count);

/* The next CRL number (RFC 5280 5.2.3): never given twice, and above this one. SG_ERR_IO. */
SG_MUST_USE int sg_ledger_next_crl(struct sg_ledger *ledger, uint32_t above, uint32_t *number);

#endif
