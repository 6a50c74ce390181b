/*
 * What the outside sees of revocations: the list of revoked fingerprints for the login module (one
 * lower-case SHA-256 per line) and the CRL (PEM), each replaced as a whole.
 */
#ifndef SG_AUTHORITY_REVOCATION_H
#define SG_AUTHORITY_REVOCATION_H

#include <time.h>

#include "config.h"
#include "crl.h"
#include "error.h"
#include "ledger.h"
#include "signer.h"

/* What was written last, and when; 0: nothing yet. */
struct sg_published {
	time_t list_at;
	struct sg_crl_facts crl; /* that is there: ours, or another process's of a higher number */
	struct sg_buf kept;	 /* lines of the list that the ledger does not know; owned */
	int is_kept_read;	 /* kept has been looked for, in the ledger as it is */
};
void sg_published_clear(struct sg_published *published);

/*
 * Writes the list alone, which needs no token. Nothing ever leaves it: unless published->is_kept_read, sg_kept_read()
 * looks first what is there. SG_ERR_IO, SG_ERR_BUSY, SG_ERR_NOMEM, SG_ERR_LIMIT, and what the ledger gives.
 */
SG_MUST_USE int sg_revocation_publish_list(const struct sg_authority_config *config,
    struct sg_ledger *ledger, time_t now, struct sg_published *published);

/*
 * Writes both out of the ledger. The list comes first and needs no token: a revoked certificate is
 * kept out even while the CRL cannot be signed. Fails as the list alone, or with
 * what the signer gives; *published tells of each that was written.
 */
SG_MUST_USE int sg_revocation_publish(const struct sg_authority_config *config,
    struct sg_ledger *ledger, struct sg_signer *signer, time_t now, struct sg_published *published);

#endif
