/*
 * What the outside sees of revocations: the list of revoked fingerprints for the login module (one
 * lower-case SHA-256 per line) and the CRL (PEM), each replaced as a whole.
 */
#ifndef SG_AUTHORITY_REVOCATION_H
#define SG_AUTHORITY_REVOCATION_H

#include <time.h>

#include "config.h"
#include "error.h"
#include "ledger.h"
#include "signer.h"

/* What was written last, and when; 0: nothing yet. */
struct sg_published {
	time_t list_at;
	time_t crl_at;
	time_t crl_until; /* its nextUpdate */
	uint32_t crl_number;
};

/* Writes the list alone, which needs no token. SG_ERR_IO. */
SG_MUST_USE int sg_revocation_publish_list(const struct sg_authority_config *config,
    struct sg_ledger *ledger, time_t now, struct sg_published *published);

/*
 * Writes both out of the ledger. The list comes first and needs no token: a revoked certificate is
 * kept out even while the CRL cannot be signed. SG_ERR_IO, or what the signer gives;
 * *published tells of each that was written.
 */
SG_MUST_USE int sg_revocation_publish(const struct sg_authority_config *config,
    struct sg_ledger *ledger, struct sg_signer *signer, time_t now, struct sg_published *published);

#endif
