/*
 * Certificates and CRLs that are to be signed elsewhere.
 *
 * OpenSSL sets the AlgorithmIdentifier inside the signed part only while it signs itself; but it
 * takes it from what it parses. So we parse a skeleton that names the algorithm, fill it in by the
 * ordinary functions, and take its encoding.
 */
#ifndef SG_AUTHORITY_SHELL_H
#define SG_AUTHORITY_SHELL_H

#include <openssl/x509.h>

#include "buf.h"
#include "error.h"

/* A version 3 certificate for this public key, to be signed by the CA's key with SHA-256; its serial,
 * names and times are still empty. SG_ERR_MECHANISM when the CA's key is neither RSA nor EC. */
SG_MUST_USE int sg_shell_certificate(X509 *ca, EVP_PKEY *subject, X509 **cert);

/* A version 2 CRL without issuer, times and entries. */
SG_MUST_USE int sg_shell_crl(X509 *ca, X509_CRL **crl);

/* The DER of the part that is signed. SG_ERR_INTERNAL, SG_ERR_NOMEM; *tbs is empty then. */
SG_MUST_USE int sg_shell_certificate_tbs(X509 *cert, struct sg_blob *tbs);
SG_MUST_USE int sg_shell_crl_tbs(X509_CRL *crl, struct sg_blob *tbs);

#endif
