/*
 * A TLS client key that lives elsewhere: an EVP_PKEY whose public half comes from a certificate and
 * whose signatures are made by a callback. An OpenSSL provider inside this process, loaded in a
 * library context of its own, so that no ordinary fetch of "RSA" or "EC" lands on it.
 */
#ifndef SG_XMPP_REMOTEKEY_H
#define SG_XMPP_REMOTEKEY_H

#include <stddef.h>
#include <stdint.h>

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "error.h"

#define SG_REMOTEKEY_TBS_MAX (256u << 10) /* bytes of one content to be signed */

/*
 * Signs the whole content (never a ready digest: who holds the key checks what the content is).
 * scheme is the TLS SignatureScheme (RFC 8446 4.2.3) that padding, digest and key type amount to.
 * *sig_len holds the room on entry, the length on return; RSA: exactly the modulus length; ECDSA:
 * DER ECDSA-Sig-Value. Gives 0 or SG_ERR_*. It runs in the thread that signs and may block.
 */
typedef int sg_remotekey_sign_fn(void *arg, uint16_t scheme, const unsigned char *tbs,
    size_t tbs_len, unsigned char *sig, size_t *sig_len);

/* Once, before the first key. SG_ERR_INTERNAL. */
SG_MUST_USE int sg_remotekey_init(void);

/* Undoes init. SG_ERR_INTERNAL, and nothing done, while a key or a context of one lives. */
SG_MUST_USE int sg_remotekey_fini(void);

/*
 * Gives a key for this certificate's public key (RSA or EC), freed by EVP_PKEY_free(). arg must
 * outlive it. SG_ERR_UNSUPPORTED for another type of key, SG_ERR_INTERNAL.
 */
SG_MUST_USE int sg_remotekey_new(X509 *cert, sg_remotekey_sign_fn *sign, void *arg, EVP_PKEY **key);

#endif
