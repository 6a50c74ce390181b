/*
 * What the store keeps of a job (jobs.h): all that it needs to go on after the agent was killed.
 */
#ifndef SG_BROKER_JOBS_STORE_H
#define SG_BROKER_JOBS_STORE_H

#include <stdint.h>

#include "buf.h"
#include "store.h"

/* Numbers of the store: they stay. */
enum sg_job_kind {
	SG_JOB_ENROL = 0,   /* a certificate for a key, beside what else the account has */
	SG_JOB_REPLACE = 1, /* ... in the place of its former one, which is revoked */
	SG_JOB_RENEW = 2,   /* the same, before that one expires */
	SG_JOB_REVOKE = 3,
	SG_JOB_SPARE = 4, /* a certificate for a key, and the account goes on with its former one */
	SG_JOB_KINDS,
};

enum sg_job_state {
	SG_JOB_NEW = 0,	      /* nothing of it is stored, sent or changed */
	SG_JOB_ADD = 1,	      /* the CSR is made, and sent until there is a certificate (C3, C5) */
	SG_JOB_STORE = 2,     /* the certificate has been judged (C4): onto the token */
	SG_JOB_PROVE = 3,     /* a login by EXTERNAL makes it the account's */
	SG_JOB_RETIRE = 4,    /* it is proven: the former one is revoked, ... */
	SG_JOB_RETRACT = 5,   /* ... its keyinfo leaves the node (of kind revoke, too), ... */
	SG_JOB_SWEEP = 6,     /* ... and it leaves its token */
	SG_JOB_REVOKE_IT = 7, /* of kind revoke: sent until the server has answered (C10) */
	SG_JOB_UNDO = 8,      /* a certificate that is not to be used is revoked, ... */
	SG_JOB_DISCARD = 9,   /* ... and leaves the token */
	SG_JOB_END = 10,      /* nothing of it is stored any more */
	/* of kinds that came later: */
	SG_JOB_GENERATE =
	    11, /* of a renewal: the new key is made, under a name that none had before */
	SG_JOB_REQUEST = 12, /* of a renewal: the key is there: the CSR is to be made */
	SG_JOB_SIGN = 13,    /* of a renewal: it is proven: the user key signs it, ... */
	SG_JOB_PUBLISH = 14, /* ... and it goes to the node */
	SG_JOB_RETURN = 15,  /* of a spare, which is proven: the account gets back what it had */
	SG_JOB_STATES,
};

struct sg_job_row {
	int64_t id; /* 0: it is not in the store yet */
	char *jid;
	uint32_t kind;	/* enum sg_job_kind */
	uint32_t state; /* enum sg_job_state */
	char *key;	/* URI */
	char *name;	/* of the certificate at the server; of kind revoke: of the keyinfo that is
			 * to go with it, or NULL */
	struct sg_blob csr;
	struct sg_blob cert; /* empty: not received yet */
	char *cert_uri;	     /* on the token, or NULL */
	char *sha256;	     /* of cert; of kind revoke: of what is to be revoked; or NULL */
	char *old_key;	     /* what the account had before: URI and SHA-256, or NULL */
	char *old_certificate;
	int64_t begun;	  /* seconds since 1970 */
	uint32_t tries;	  /* how often it was left waiting */
	uint32_t waits;	  /* minus the SG_ERR_* of what it waits for; 0: it does not */
	char *waits_text; /* the sentence of that, or NULL */
};
void sg_job_row_clear(struct sg_job_row *row);

/*
 * Inserts, and sets the id; or changes what is there. SG_ERR_IO, also where the account has such a job already:
 * one that gets a certificate, or one that revokes this certificate.
 */
SG_MUST_USE int sg_store_job_put(struct sg_store *store, struct sg_job_row *row);

/* SG_ERR_IO. */
SG_MUST_USE int sg_store_job_delete(struct sg_store *store, int64_t id);

/* Keeps the CSR for which one of the account's certificates (SHA-256) was issued. SG_ERR_IO. */
SG_MUST_USE int sg_store_csr_put(
    struct sg_store *store, const char *jid, const char *sha256, const struct sg_blob *csr);

/* SG_ERR_KEY_ABSENT when none is kept. */
SG_MUST_USE int sg_store_csr_get(
    struct sg_store *store, const char *jid, const char *sha256, struct sg_blob *csr);

/* Calls fn for each job of the account in the order of their beginning; the row is cleared after each, what fn
 * takes over it zeroes. fn's first error ends it and is given. A row that makes no sense is left out, logged. */
typedef int sg_job_row_fn(void *arg, struct sg_job_row *row);
SG_MUST_USE int sg_store_jobs(
    struct sg_store *store, const char *jid, sg_job_row_fn *fn, void *arg);

#endif
