/*
 * TLS as this worker wants it, put under libstrophe, which sets nothing of it and takes client keys
 * from files only. libstrophe is not patched:
 *
 *  - A "new" function of an SSL_CTX ex_data index runs inside every SSL_CTX_new(); it sets an info
 *    callback, and that sets up each SSL as its handshake starts: TLS 1.2 or better, ALPN
 *    xmpp-client, records of 4096 bytes (they fit the buffer libstrophe reads into, so nothing
 *    waits decrypted inside the SSL while the loop sleeps), the certificate callback.
 *  - The certificate callback installs certificate and remote key when the server asks for them, and
 *    only then tells libstrophe that there is a client certificate, so that it will take SASL
 *    EXTERNAL: told earlier, it would try to open the key as a file.
 *
 * libstrophe promises neither that SSL_get_app_data() is its connection nor that a certificate set
 * that late counts; tests/regress pins both.
 */
#ifndef SG_XMPP_TLS_H
#define SG_XMPP_TLS_H

#include <strophe.h>

#include "buf.h"
#include "error.h"
#include "remotekey.h"

struct sg_tls_report {
	int started;
	int done;	   /* handshake finished, all as wanted, certificate verified */
	int asked;	   /* the server asked for a client certificate */
	int unusable;	   /* OpenSSL does not take the certificate or the key */
	char refused[160]; /* why the server's certificate is not trusted, or "" */
	char alert[80];	   /* the server's fatal alert, or "" */
	int alert_number;
	char version[16];
	char cipher[64];
};

/* Before any SSL_CTX is made; a second call does nothing. SG_ERR_INTERNAL. */
SG_MUST_USE int sg_tls_init(void);

struct sg_tls_identity;

/*
 * The certificate (DER) and a key that signs by the callback. abilities are enum sg_key_ability: an
 * RSA key without PSS stays at TLS 1.2 with PKCS #1 signatures. SG_ERR_FORMAT, SG_ERR_UNSUPPORTED,
 * SG_ERR_NOMEM, SG_ERR_IO.
 */
SG_MUST_USE int sg_tls_identity_new(struct sg_tls_identity **identity, const struct sg_blob *der,
    uint32_t abilities, sg_remotekey_sign_fn *sign, void *arg);
void sg_tls_identity_free(struct sg_tls_identity *identity);

/*
 * For the next connection: forgets the last. The identity (or NULL) must stay until sg_tls_end().
 * With a cafile, only what it holds is trusted.
 */
void sg_tls_begin(xmpp_conn_t *conn, struct sg_tls_identity *identity, const char *cafile);
void sg_tls_end(void);

const struct sg_tls_report *sg_tls_report(void);

#endif
