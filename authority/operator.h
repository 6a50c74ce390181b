/*
 * What the operator asks the ledger, and has revoked: list, show, revoke, crl, stats. They work beside a running
 * authority, which learns of it by the ledger, and without one.
 */
#ifndef SG_AUTHORITY_OPERATOR_H
#define SG_AUTHORITY_OPERATOR_H

#include "config.h"

/* What does not belong to the verb is NULL. */
struct sg_operator {
	/* show, revoke: the beginning of a SHA-256 fingerprint or serial number, in hex */
	const char *which;
	const char *account; /* list, revoke */
	const char *state;   /* list: "valid", "expired" or "revoked" */
	const char *reason;  /* revoke */
	int json;
};

/* Whether there is such a verb. */
int sg_operator_has(const char *verb);

/* Does it, and tells all on standard output and standard error; gives the exit status. Only crl uses the token. */
int sg_operator_do(
    const struct sg_authority_config *config, const char *verb, const struct sg_operator *asked);

#endif
