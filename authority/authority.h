/*
 * The two commands of signet-authority that use the CA's key to issue, run and init; operator.h has the others.
 */
#ifndef SG_AUTHORITY_AUTHORITY_H
#define SG_AUTHORITY_AUTHORITY_H

#include "config.h"
#include "error.h"

/* Serves until SIGTERM or SIGINT: 0 then. Fails at its start, or when it cannot wait. SIGHUP reads the files with
 * accounts anew, looks at the PIN file again, and writes list and CRL. */
SG_MUST_USE int sg_authority_run(const struct sg_authority_config *config);

struct sg_authority_init {
	const char *name;      /* common name of the CA */
	const char *algorithm; /* as sg_msg_key_generate has it, or NULL for rsa3072 */
	const char *out;       /* file for the certificate (PEM), or NULL for standard output */
	/* an intermediate, below a root that is kept elsewhere; one of the two, or neither */
	const char *request;	 /* file for its request (PEM) */
	const char *certificate; /* file with what came back for that */
};

/*
 * Makes the CA's key and its self-signed certificate on the token and writes the certificate. When both
 * are there it only writes; a key without a certificate is refused (SG_ERR_CERT_MISMATCH), for it is
 * not this authority's. For an intermediate: makes the key, if it is not there, and writes a request for it; or
 * puts the certificate on the token, and writes it.
 */
SG_MUST_USE int sg_authority_init(
    const struct sg_authority_config *config, const struct sg_authority_init *init);

#endif
