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

/* What a CRL says of itself. */
struct sg_crl_facts {
	uint32_t number; /* 0: there is no CRL, or it has none */
	time_t at;	 /* thisUpdate; 0 likewise */
	time_t until;	 /* nextUpdate; 0 likewise */
};

/* Of the CRL in this file (PEM). */
struct sg_crl_facts sg_crl_look(const char *path);

#endif
