/*
 * What this authority issues (C11) and what it takes as a request (C3, C6). Signs nothing.
 */
#ifndef SG_AUTHORITY_PROFILE_H
#define SG_AUTHORITY_PROFILE_H

#include <time.h>

#include <openssl/x509.h>

#include "buf.h"
#include "error.h"
#include "ledger.h"

#define SG_RSA_BITS_MIN 2048
#define SG_RSA_BITS_MAX 8192

/* Kinds of subject keys that may be certified; the configuration chooses among them. */
enum sg_subject_key {
	SG_SUBJECT_KEY_RSA = 1, /* of any size between the two */
	SG_SUBJECT_KEY_P256 = 2,
	SG_SUBJECT_KEY_P384 = 4,
	SG_SUBJECT_KEY_P521 = 8,
	SG_SUBJECT_KEY_ED25519 = 16,
	SG_SUBJECT_KEY_RSA2048 = 32, /* and of no other size */
	SG_SUBJECT_KEY_RSA3072 = 64,
	SG_SUBJECT_KEY_RSA4096 = 128,
};
#define SG_SUBJECT_KEYS_DEFAULT                                                                    \
	(SG_SUBJECT_KEY_RSA | SG_SUBJECT_KEY_P256 | SG_SUBJECT_KEY_P384 | SG_SUBJECT_KEY_P521)

/* The kind for a name of the configuration ("rsa", "p256", ...); 0 when there is none such. */
unsigned int sg_subject_key_from_name(const char *name);

/* Their names, with commas between them, cut to the room of size bytes. */
void sg_subject_keys_text(unsigned int kinds, char *text, size_t size);

/* How a request ends that is not granted; the conditions are those of C6. */
enum sg_csr_verdict {
	SG_CSR_GOOD = 0,
	SG_CSR_BAD_REQUEST,
	SG_CSR_NOT_ACCEPTABLE,
	SG_CSR_OTHER_KIND, /* not-acceptable, for a key that is of none of the configured kinds; no *why */
	SG_CSR_FORBIDDEN,
	SG_CSR_FAILED, /* our own failure (memory) */
};

/*
 * Judges the bytes of a request of the account (a bare JID): that it is a PKCS#10 request, its key,
 * its signature, and that it asks for no other JID. Gives the owned *csr when it is good; otherwise
 * *why, a sentence for the person (static), but for SG_CSR_OTHER_KIND.
 */
enum sg_csr_verdict sg_profile_judge(const struct sg_blob *der, const char *account,
    unsigned int subject_keys, X509_REQ **csr, const char **why);

/* A new random serial number: positive, of exactly SG_SERIAL_LEN bytes. SG_ERR_INTERNAL. */
SG_MUST_USE int sg_profile_serial(unsigned char serial[SG_SERIAL_LEN]);

struct sg_cert_wish {
	X509 *ca;
	X509_REQ *csr; /* only its public key is taken */
	const char *account;
	const unsigned char *serial; /* SG_SERIAL_LEN bytes */
	time_t not_before;
	time_t not_after;
};

/* The TBSCertificate's DER (C11). SG_ERR_INTERNAL, SG_ERR_NOMEM, SG_ERR_MECHANISM (the CA's key). */
SG_MUST_USE int sg_profile_certificate(const struct sg_cert_wish *wish, struct sg_blob *tbs);

#endif
