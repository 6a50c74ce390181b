/*
 * The three requests of ccm2 (C3 to C10), answered out of the ledger and with the CA's key.
 */
#ifndef SG_AUTHORITY_SERVICE_H
#define SG_AUTHORITY_SERVICE_H

#include "config.h"
#include "decision.h"
#include "delegation.h"
#include "error.h"
#include "issue.h"
#include "latency.h"
#include "ledger.h"
#include "policy.h"
#include "revocation.h"
#include "signer.h"

/* A request whose answer is put off, so that several share a commit, or a list of the revoked. */
struct sg_pending {
	struct sg_answer *answer; /* borrowed, until it is given */
	char *account;
	char *name; /* of a certificate that is added; NULL: one is revoked */
	struct sg_issue issue;
	double begin;
	char sha256[65]; /* of what is revoked */
	int changed;
};

struct sg_service {
	const struct sg_authority_config *config;
	struct sg_ledger *ledger;
	struct sg_signer *signer;
	struct sg_policy *policy;
	struct sg_decisions decisions;
	struct sg_latency issue;
	struct sg_published published;
	time_t publish_at; /* when list and CRL are to be written again */
	int stale;	   /* the ledger may know a revocation that list or CRL do not */
	int publish_error; /* how writing them ended last, logged when it changes */
	struct sg_pending pending[SG_SIGNER_TICKETS];
	size_t pending_count;
};

/* The namespaces answered for, NULL-terminated. */
extern const char *const sg_service_namespaces[];

/* A sg_request_fn; arg is the service. One log line tells each decision. */
void sg_service_request(void *arg, const char *account, int set, const struct sg_xml *payload,
    struct sg_answer *answer);

/* The sg_flush_fn for it. */
void sg_service_flush(void *arg);

/* Writes list and CRL, and sets when they are due again: in a day, or soon when it failed. */
SG_MUST_USE int sg_service_publish(struct sg_service *service, time_t now);

#endif
