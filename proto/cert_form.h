/*
 * Certificates of the usual form, read without OpenSSL, which takes a tenth of a millisecond for each (it sets up a
 * decoder for the public key, whether or not anybody wants that). What is not of this form may be a good certificate
 * all the same: then x509.h must say so.
 */
#ifndef SG_PROTO_CERT_FORM_H
#define SG_PROTO_CERT_FORM_H

#include <time.h>

#include "buf.h"

/* All borrowed of the DER. */
struct sg_cert_form {
	struct sg_blob spki;		      /* the whole SubjectPublicKeyInfo */
	struct sg_blob not_before, not_after; /* the whole Time */
};

/*
 * Whether the DER is, from its first byte to its last, a certificate that sg_x509_cert_parse() takes, for sure: the
 * strict encoding of RFC 5280's structure, with names in ASCII and short tags only.
 */
int sg_cert_form_read(const struct sg_blob *der, struct sg_cert_form *form);

/* Whether the time is outside of the validity; both ends belong to it. */
int sg_cert_form_expired(const struct sg_cert_form *form, time_t now);

#endif
