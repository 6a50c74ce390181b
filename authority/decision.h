/*
 * What was decided: one line in the log for each request, and a count for each kind of decision.
 *
 * The line is "verb outcome=… count=… sha256=… account=… who=… reason=… why=… failed=…", what is known of it,
 * in this order, so that what a long name cuts off is the end. A value that is empty, or has a blank, a
 * quotation mark, a backslash or '=' in it, stands in quotation marks, with a backslash before each quotation
 * mark and backslash.
 */
#ifndef SG_AUTHORITY_DECISION_H
#define SG_AUTHORITY_DECISION_H

#include <stdint.h>

#define SG_DECISION_KINDS_MAX 64

/* All but the verb and the outcome may be NULL, or 0. */
struct sg_decision {
	const char *verb;    /* static: "add", "list", "revoke", "request" */
	const char *outcome; /* static: "issued", …, or the condition of the error */
	const char *sha256;
	const char *account;
	const char *who;      /* when it is not the account */
	const char *reason;   /* of a revocation */
	const char *why;      /* the text of a refusal */
	int err;	      /* SG_ERR_*: what failed; then it is logged as an error */
	const int64_t *count; /* how many */
};

/* Zero-initialise it. */
struct sg_decisions {
	struct {
		const char *verb, *outcome;
		uint64_t count;
	} kinds[SG_DECISION_KINDS_MAX];
	unsigned int kind_count;
};

/* Whether one of this kind was counted. */
int sg_decisions_has(const struct sg_decisions *decisions, const char *verb, const char *outcome);

/* Logs it, and counts it unless decisions is NULL. */
void sg_decision_tell(struct sg_decisions *decisions, const struct sg_decision *decision);

#endif
