/*
 * What both protocols ask of X.509 certificates and requests: names, fingerprints, xmppAddr.
 */
#ifndef SG_PROTO_X509_H
#define SG_PROTO_X509_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <openssl/x509.h>

#include "buf.h"
#include "error.h"

#define SG_X509_DER_MAX	 (256u << 10)	     /* bytes of one certificate or request */
#define SG_OID_XMPP_ADDR "1.3.6.1.5.5.7.8.5" /* id-on-xmppAddr, RFC 6120 13.7.1.4 */

/* Parse a whole DER object, nothing trailing; what they give is new, or NULL. SG_ERR_FORMAT,
 * SG_ERR_LIMIT over SG_X509_DER_MAX. */
SG_MUST_USE int sg_x509_cert_parse(const struct sg_blob *der, X509 **cert);
SG_MUST_USE int sg_x509_csr_parse(const struct sg_blob *der, X509_REQ **csr);

/*
 * Takes what an i2d function of OpenSSL gave, sg_x509_take_der(i2d_X509(cert, &bytes), &bytes,
 * &der): its length and the bytes that it allocated, which are freed and set to NULL.
 * SG_ERR_INTERNAL when it gave none, SG_ERR_NOMEM; *der is empty then.
 */
SG_MUST_USE int sg_x509_take_der(int len, unsigned char **bytes, struct sg_blob *der);

/* Takes them likewise, and says whether they are these very bytes. */
int sg_x509_is_der(int len, unsigned char **bytes, const struct sg_blob *der);

/* DER out. SG_ERR_NOMEM, SG_ERR_INTERNAL. */
SG_MUST_USE int sg_x509_cert_der(X509 *cert, struct sg_blob *der);

/* Hash over the DER as lower-case hex; hash is "sha1", "sha256" or "sha512". New string or NULL. */
char *sg_x509_fingerprint(const struct sg_blob *der, const char *hash);

/*
 * The xmppAddrs of a certificate or request, as they stand (a new array of new strings,
 * NULL-terminated, also when there are none; free with sg_strv_free()), and how many other names
 * stand beside them in the SAN (NULL: not asked). SG_ERR_FORMAT when there is more than one SAN
 * extension or one that does not parse, or an xmppAddr that is not a UTF8String, or no text of 1
 * to 3071 bytes (RFC 7622 3.1). SG_ERR_NOMEM. *jids is NULL then.
 */
SG_MUST_USE int sg_x509_cert_jids(X509 *cert, char ***jids, size_t *others);
SG_MUST_USE int sg_x509_csr_jids(X509_REQ *csr, char ***jids, size_t *others);
void sg_strv_free(char **strings); /* NULL is fine */

/* The strings as a new NULL-terminated array of new ones; NULL without memory. */
char **sg_strv_copy(char *const *strings, size_t count);
size_t sg_strv_count(char *const *strings);

/* Sets the SAN extension, in place of any other: one otherName xmppAddr with this JID as
 * UTF8String. A NULL *extensions becomes a new stack, the caller's to free. SG_ERR_NOMEM. */
SG_MUST_USE int sg_x509_add_jid(STACK_OF(X509_EXTENSION) * *extensions, const char *jid);

/* Seconds since 1970; 0 for NULL and for what is no time. */
int64_t sg_x509_seconds(const ASN1_TIME *time);

/* DER as PEM of this kind (PEM_STRING_X509, ...): a new string, or NULL. */
char *sg_x509_pem(const char *kind, const struct sg_blob *der);

/* The name on one line, as RFC 4514 has it: a new string, or NULL. */
char *sg_x509_name_text(const X509_NAME *name);

/* "rsa2048", "rsa3072", "rsa4096", "rsaN", "p256", "p384", "p521", "ed25519" or "other". Static
 * or in the caller's buffer of at least 16 bytes. */
const char *sg_x509_key_algorithm(EVP_PKEY *key, char name[16]);

/* DER SubjectPublicKeyInfo. SG_ERR_NOMEM, SG_ERR_INTERNAL. */
SG_MUST_USE int sg_x509_spki(EVP_PKEY *key, struct sg_blob *spki);

/* Whether the certificate holds the public key of this SubjectPublicKeyInfo; an empty one is nobody's. */
int sg_x509_holds(X509 *cert, const struct sg_blob *spki);

/* Whether the certificate's public key is that of the request; not where one of them cannot be read. */
int sg_x509_is_for(const struct sg_blob *cert_der, const struct sg_blob *csr_der);

/*
 * C4: whether the certificate from the server may be kept: public key that of the request, exactly
 * this bare JID as xmppAddr (any others or another name: refused), valid at the time now with 5
 * minutes of skew. SG_ERR_CERT_REFUSED; SG_ERR_FORMAT or SG_ERR_LIMIT when one of the two cannot be
 * read; SG_ERR_NOMEM. *why is static text that says which, NULL on success.
 */
SG_MUST_USE int sg_x509_check_issued(const struct sg_blob *cert_der, const struct sg_blob *csr_der,
    const char *jid, time_t now, const char **why);

/* The same of a certificate without its request, but for whose public key it holds. */
SG_MUST_USE int sg_x509_check_account(
    const struct sg_blob *cert_der, const char *jid, time_t now, const char **why);

/*
 * DER SEQUENCE { tbs, algorithm, BIT STRING signature }: a certificate, request or CRL out of
 * its parts. algorithm is the AlgorithmIdentifier's DER. SG_ERR_FORMAT when tbs or algorithm is
 * not one whole SEQUENCE or the signature is empty; SG_ERR_LIMIT, SG_ERR_NOMEM.
 */
SG_MUST_USE int sg_x509_assemble(const struct sg_blob *tbs, const struct sg_blob *algorithm,
    const struct sg_blob *signature, struct sg_blob *der);

/* The AlgorithmIdentifier's DER for SHA-256 with this type of key (EVP_PKEY_RSA or EVP_PKEY_EC).
 * SG_ERR_UNSUPPORTED for another, SG_ERR_NOMEM. */
SG_MUST_USE int sg_x509_algorithm_sha256(int key_type, struct sg_blob *algorithm);

#endif
