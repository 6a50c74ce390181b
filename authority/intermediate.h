/*
 * An authority below a root that is kept elsewhere: its request for that root's owner, and the certificate that
 * comes back.
 */
#ifndef SG_AUTHORITY_INTERMEDIATE_H
#define SG_AUTHORITY_INTERMEDIATE_H

#include <time.h>

#include <openssl/x509.h>

#include "buf.h"
#include "config.h"
#include "error.h"
#include "signer.h"

/*
 * The request (DER, owned) for a CA's certificate with this common name, signed by the CA's key, which is there.
 * What sg_signer_call() gives.
 */
SG_MUST_USE int sg_intermediate_request(
    struct sg_signer *signer, const char *name, struct sg_blob *der);

/*
 * Puts the certificate in the file (PEM, also with others around it, or DER) beside its key, whose
 * SubjectPublicKeyInfo is spki. SG_ERR_CERT_MISMATCH when it is for another key, SG_ERR_CERT_REFUSED when it is
 * none that can issue now (sg_intermediate_fault()), or is not signed by the issuer that stands beside it in the file,
 * SG_ERR_FORMAT, SG_ERR_LIMIT, SG_ERR_IO: each is logged; and
 * what sg_signer_call() gives. It warns of a certificate that ends before what it would issue.
 */
SG_MUST_USE int sg_intermediate_take(struct sg_signer *signer,
    const struct sg_authority_config *config, const char *path, const struct sg_blob *spki);

/* NULL when the certificate can be an authority's at this time, else what is missing; static. */
const char *sg_intermediate_fault(X509 *cert, time_t now);

#endif
