/*
 * Inside the store: its statements and how they are run. For store*.c alone.
 */
#ifndef SG_BROKER_STORE_ENGINE_H
#define SG_BROKER_STORE_ENGINE_H

#include <stdint.h>

#include <sqlite3.h>

#include "buf.h"
#include "error.h"

enum sg_statement {
	SG_STMT_BEGIN,
	SG_STMT_COMMIT,
	SG_STMT_ROLLBACK,
	SG_STMT_ACCOUNT_PUT,
	SG_STMT_ACCOUNT_DELETE,
	SG_STMT_ACCOUNT_LIST,
	SG_STMT_CERT_PUT,
	SG_STMT_CERT_GET,
	SG_STMT_CERT_LIST,
	SG_STMT_CERT_REVOKE,
	SG_STMT_CERT_RESTORE,
	SG_STMT_CERT_DELETE,
	SG_STMT_CERT_SIGNATURES_DELETE,
	SG_STMT_ATTESTATION_PUT,
	SG_STMT_ATTESTATION_GET,
	SG_STMT_SIGNATURE_PUT,
	SG_STMT_SIGNATURE_LIST,
	SG_STMT_KEY_GET,
	SG_STMT_PGP_PUT,
	SG_STMT_PGP_GET,
	SG_STMT_PGP_LIST,
	SG_STMT_PGP_DELETE,
	SG_STMT_PGP_SIGNATURES_DELETE,
	SG_STMT_LEDGER_MAKE,
	SG_STMT_LEDGER_GET,
	SG_STMT_LEDGER_TRY,
	SG_STMT_LEDGER_TOLD,
	SG_STMT_LEDGER_GOOD,
	SG_STMT_LEDGER_LOCKED,
	SG_STMT_LEDGER_BACK,
	SG_STMT_WRONG_LIST,
	SG_STMT_WRONG_PUT,
	SG_STMT_UNSURE_PUT,
	SG_STMT_UNSURE_REMOVE,
	SG_STMT_UNSURE_FORGIVE,
	SG_STMT_UNSURE_RESET,
	SG_STMT_WRONG_TRIM,
	SG_STMT_WRONG_REMOVE,
	SG_STMT_WRONG_CLEAR,
	SG_STMT_KEY_USE_GET,
	SG_STMT_KEY_USES_OF,
	SG_STMT_KEY_USE_PUT,
	SG_STMT_OWN_KEY,
	SG_STMT_JID_IS_KNOWN,
	SG_STMT_JID_USE,
	SG_STMT_JID_OLDEST,
	SG_STMT_TOLD_USE,
	SG_STMT_TOLD_OLDEST,
	SG_STMT_TOLD_GREATEST,
	SG_STMT_ALL_USE,
	SG_STMT_NAMED_KEYS,
	SG_STMT_KEY_ADD,
	SG_STMT_KEY_FILL,
	SG_STMT_KEY_SWEEP,
	SG_STMT_COPY_CLAIMS,
	SG_STMT_SENDER_IS_KNOWN,
	SG_STMT_COPY_OLD,
	SG_STMT_KEY_FORGET,
	SG_STMT_KEY_DECIDE,
	SG_STMT_KEY_READ,
	SG_STMT_SIGHT_FIND,
	SG_STMT_SIGHT_OF_JID,
	SG_STMT_SIGHT_ANY,
	SG_STMT_SIGHT_ADD,
	SG_STMT_SIGHT_STAMP,
	SG_STMT_SIGHT_RENEW,
	SG_STMT_SIGHT_SHOWN,
	SG_STMT_SIGHT_REMOVE,
	SG_STMT_SHOWN_LIST,
	SG_STMT_SIGHT_RETRACT,
	SG_STMT_SIGNER_ADD,
	SG_STMT_SIGNERS_REMOVE,
	SG_STMT_SIGHTS_READ,
	SG_STMT_SIGHTS_SUM,
	SG_STMT_KEYINFOS_READ,
	SG_STMT_IDS_NAMED,
	SG_STMT_IDS_ALL,
	SG_STMT_IDS_OF_JID,
	SG_STMT_IDS_BEGIN,
	SG_STMT_IDS_FOUND,
	SG_STMT_IDS_LAST,
	SG_STMT_CHANGE_ADD,
	SG_STMT_CHANGES_LIST,
	SG_STMT_CHANGES_COUNT,
	SG_STMT_CHANGES_DROP,
	SG_STMT_TRUSTED_ISSUERS,
	SG_STMT_SHOWN_SIZE,
	SG_STMT_WEB_NEAR,
	SG_STMT_WEB_SIGNED,
	SG_STMT_WEB_FAR,
	SG_STMT_PUBLISHING_GET,
	SG_STMT_PUBLISHING_PUT,
	SG_STMT_WATCHED_PUT,
	SG_STMT_WATCHED_TRIM,
	SG_STMT_WATCHED_OLDEST,
	SG_STMT_CSR_PUT,
	SG_STMT_CSR_GET,
	SG_STMT_JOB_PUT,
	SG_STMT_JOB_DELETE,
	SG_STMT_JOB_LIST,
	SG_STMT_COUNT,
};

/* What copies of OpenPGP keys have cost that a sender told: of each who is known, and of all strangers (the first). */
#define SG_PURSES 64
struct sg_purse {
	unsigned char sender[32]; /* SHA-256 of his JID */
	int64_t since;
	size_t spent;
};

struct sg_store {
	sqlite3 *db;
	struct sg_purse purses[SG_PURSES];
	sqlite3_stmt *statements[SG_STMT_COUNT];
	int failure; /* SQLite's code of the last one */
};

/* A bound value; a list of them ends with the one of kind 0. */
struct sg_value {
	enum { SG_VALUE_END, SG_VALUE_TEXT, SG_VALUE_INT, SG_VALUE_BLOB } kind;
	const char *text;
	int64_t number;
	const struct sg_blob *blob;
};
#define SG_TEXT(t)                                                                                 \
	{                                                                                          \
		.kind = SG_VALUE_TEXT, .text = (t)                                                 \
	}
#define SG_INT(n)                                                                                  \
	{                                                                                          \
		.kind = SG_VALUE_INT, .number = (n)                                                \
	}
#define SG_BLOB(b)                                                                                 \
	{                                                                                          \
		.kind = SG_VALUE_BLOB, .blob = (b)                                                 \
	}
#define SG_END                                                                                     \
	{                                                                                          \
		.kind = SG_VALUE_END                                                               \
	}

extern const struct sg_value sg_no_values[];

/*
 * Binds the values, which must stay until the statement is reset, and takes the first step. Gives
 * SQLite's code, for sg_store_done(); a value that cannot be bound is not left out.
 */
int sg_store_step(struct sg_store *store, enum sg_statement which, const struct sg_value *values,
    sqlite3_stmt **stepped);

/* Ends a statement whose last step gave rc. Gives err, what came of its rows; SG_ERR_IO when SQLite
 * failed. */
int sg_store_done(struct sg_store *store, sqlite3_stmt *statement, int rc, int err);

/* Both, for a statement without rows. */
int sg_store_run(struct sg_store *store, enum sg_statement which, const struct sg_value *values);

int sg_store_begin(struct sg_store *store);

/* Commits when err is 0, else rolls back; gives err or what the commit said. */
int sg_store_finish(struct sg_store *store, int err);

/* A column of the row: a new string, NULL for NULL and without memory. */
char *sg_column_text(sqlite3_stmt *statement, int column);
SG_MUST_USE int sg_column_blob(sqlite3_stmt *statement, int column, struct sg_blob *blob);

#endif
