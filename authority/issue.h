/*
 * Certificates on their way: many are signed side by side on the token, and added to the ledger with one
 * commit.
 */
#ifndef SG_AUTHORITY_ISSUE_H
#define SG_AUTHORITY_ISSUE_H

#include <time.h>

#include <openssl/x509.h>

#include "buf.h"
#include "error.h"
#include "ledger.h"
#include "policy.h"
#include "signer.h"

struct sg_issue {
	/* what is asked for; borrowed, set by the caller */
	const char *account;
	const char *name;
	unsigned char csr_sha256[32];
	/* what became of it, after sg_issue_finish(): an error, or an outcome; der is the certificate that the
	 * account has now, for SG_LEDGER_ADDED and SG_LEDGER_REPEATED */
	int err;
	enum sg_ledger_outcome outcome;
	struct sg_blob der;
	/* its own */
	unsigned char serial[SG_SERIAL_LEN];
	time_t issued_at;
	time_t not_after;
	struct sg_blob tbs;
	uint32_t ticket;
};

/*
 * Makes a certificate for the public key of the request (C11), which was judged to be good, and hands it to the
 * token. What sg_signer_begin() and sg_policy_not_after() give, SG_ERR_INTERNAL, SG_ERR_NOMEM.
 */
SG_MUST_USE int sg_issue_start(
    struct sg_issue *issue, struct sg_signer *signer, struct sg_policy *policy, X509_REQ *csr);

/*
 * Takes the signatures, adds to the ledger what was signed, at most SG_LEDGER_ADD_MAX, and says in each what
 * became of it.
 *
 * The signature comes first, then the row, then the answer. A crash between the first two loses a certificate
 * that nobody ever received and whose serial nobody will see: no harm in that, and the client's repeated request
 * (C5) gets another. The row before the signature would leave entries without certificates.
 */
void sg_issue_finish(struct sg_issue *const *issues, size_t count, struct sg_signer *signer,
    struct sg_ledger *ledger, uint32_t limit);

/* Frees what is its own, not what it borrowed. */
void sg_issue_clear(struct sg_issue *issue);

#endif
