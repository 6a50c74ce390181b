/*
 * The certificate revocation list (RFC 5280 section 5), before it is signed.
 */
#ifndef SG_AUTHORITY_CRL_H
#define SG_AUTHORITY_CRL_H

#include <stdint.h>
#include <time.h>

#include <openssl/x509.h>

#include "buf.h"
#include "error.h"
#include "ledger.h"

#define SG_CRL_DAYS 7

/*
 * The TBSCertList of everything revoked that has not been expired for longer than SG_CRL_DAYS: such
 * an entry has been on a list after its end, and may go (RFC 5280 3.3). SG_ERR_IO, SG_ERR_INTERNAL.
 */
SG_MUST_USE int sg_crl_tbs(
    struct sg_ledger *ledger, X509 *ca, uint32_t number, time_t now, struct sg_blob *tbs);

/* The number of the CRL in this file (PEM); 0 when there is none, or it has none. */
uint32_t sg_crl_number(const char *path);

#endif
