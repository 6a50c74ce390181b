#include "tls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "filter.h"
#include "msg.h"
#include "x509.h"

/* Not constant: OpenSSL's macro casts that away. */
static char sigalgs_pkcs1[] =
    "ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512:RSA+SHA256:RSA+SHA384:RSA+SHA512";

struct sg_tls_identity {
	X509 *cert;
	EVP_PKEY *key;
	int pkcs1_only;
	int fd;	       /* a memfd with the public certificate: libstrophe reads names from it */
	char path[40]; /* of the same */
};

/* There is one connection in a process; libstrophe's certfail handler gets no argument. */
static struct {
	xmpp_conn_t *conn;
	struct sg_tls_identity *identity;
	int broken; /* a setting was not taken */
	struct sg_tls_report report;
} tls;

/* ---- the client's certificate ---- */

static int memfd_with_pem(X509 *cert)
{
	int fd = memfd_create("client-certificate", MFD_CLOEXEC);
	BIO *bio = fd >= 0 ? BIO_new_fd(fd, BIO_NOCLOSE) : NULL;
	int ok = bio != NULL && PEM_write_bio_X509(bio, cert);

	BIO_free(bio);
	if (!ok && fd >= 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

int sg_tls_identity_new(struct sg_tls_identity **identity, const struct sg_blob *der,
    uint32_t abilities, sg_remotekey_sign_fn *sign, void *arg)
{
	struct sg_tls_identity *made = calloc(1, sizeof(*made));
	int err = SG_ERR_NOMEM;

	*identity = NULL;
	if (made == NULL)
		return err;
	made->fd = -1;
	err = sg_x509_cert_parse(der, &made->cert);
	if (err == 0)
		err = sg_remotekey_new(made->cert, sign, arg, &made->key);
	if (err != 0)
		goto out;
	made->pkcs1_only = EVP_PKEY_is_a(made->key, "RSA") &&
	    !(abilities & (SG_KEY_RSA_PSS | SG_KEY_RSA_PSS_HASHED));
	made->fd = memfd_with_pem(made->cert);
	if (made->fd < 0) {
		err = SG_ERR_IO;
		goto out;
	}
	snprintf(made->path, sizeof(made->path), "/proc/self/fd/%d", made->fd);
	*identity = made;
	made = NULL;
out:
	sg_tls_identity_free(made);
	ERR_clear_error();
	return err;
}

void sg_tls_identity_free(struct sg_tls_identity *identity)
{
	if (identity == NULL)
		return;
	if (identity->fd >= 0)
		close(identity->fd);
	EVP_PKEY_free(identity->key);
	X509_free(identity->cert);
	free(identity);
}

/* The server asks for a certificate. 0 ends the handshake: never go on without. */
static int on_certificate_wanted(SSL *ssl, void *arg)
{
	struct sg_tls_identity *identity = tls.identity;

	tls.report.asked = 1;
	if (identity == NULL)
		return 1;
	if (SSL_use_certificate(ssl, identity->cert) != 1 ||
	    SSL_use_PrivateKey(ssl, identity->key) != 1 || SSL_check_private_key(ssl) != 1) {
		tls.report.unusable = 1;
		return 0;
	}
	/* The key's name is never opened: this SSL has its key already. */
	xmpp_conn_set_client_cert(tls.conn, identity->path, "pkcs11");
	return 1;
}

/* ---- handshakes ---- */

static void handshake_start(SSL *ssl)
{
	static const unsigned char alpn[] = "\x0bxmpp-client";
	int ok;

	tls.report.started = 1;
	ok = SSL_set_min_proto_version(ssl, TLS1_2_VERSION) == 1 &&
	    SSL_set_alpn_protos(ssl, alpn, sizeof(alpn) - 1) == 0 &&
	    SSL_set_tlsext_max_fragment_length(ssl, TLSEXT_max_fragment_length_4096) == 1;
	if (tls.identity != NULL && tls.identity->pkcs1_only) {
		ok = ok && SSL_set1_sigalgs_list(ssl, sigalgs_pkcs1) == 1 &&
		    SSL_set_max_proto_version(ssl, TLS1_2_VERSION) == 1;
	}
	SSL_set_cert_cb(ssl, on_certificate_wanted, NULL);
	if (!ok)
		tls.broken = 1;
}

/* Only now may libstrophe see how it could log in. */
static void handshake_done(SSL *ssl)
{
	snprintf(tls.report.version, sizeof(tls.report.version), "%s", SSL_get_version(ssl));
	snprintf(tls.report.cipher, sizeof(tls.report.cipher), "%s", SSL_get_cipher_name(ssl));
	if (tls.broken || SSL_version(ssl) < TLS1_2_VERSION ||
	    SSL_get_verify_mode(ssl) != SSL_VERIFY_PEER ||
	    SSL_get_verify_result(ssl) != X509_V_OK || SSL_get0_peer_certificate(ssl) == NULL)
		return;
	tls.report.done = 1;
	sg_filter_secured();
}

static void on_info(const SSL *ssl, int where, int value)
{
	SSL *own;

	if (tls.conn == NULL || SSL_get_app_data(ssl) != tls.conn)
		return;
	/* The object is not constant, only the callback's type is. */
	memcpy(&own, &ssl, sizeof(SSL *)); // NOLINT(bugprone-sizeof-expression)
	if ((where & SSL_CB_HANDSHAKE_START) != 0 && !tls.report.started)
		handshake_start(own);
	if ((where & SSL_CB_HANDSHAKE_DONE) != 0 && !tls.report.done)
		handshake_done(own);
	if ((where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT && (value >> 8) == SSL3_AL_FATAL) {
		tls.report.alert_number = value & 0xff;
		snprintf(tls.report.alert, sizeof(tls.report.alert), "%s",
		    SSL_alert_desc_string_long(value));
	}
}

/* Called inside SSL_CTX_new(), with the SSL_CTX as parent. */
static void on_ctx_new(
    void *parent, void *ptr, CRYPTO_EX_DATA *data, int index, long argl, void *argp)
{
	SSL_CTX_set_info_callback(parent, on_info);
}

int sg_tls_init(void)
{
	static int ready;
	int err;

	if (ready)
		return 0;
	if (SSL_CTX_get_ex_new_index(0, NULL, on_ctx_new, NULL, NULL) < 0)
		return SG_ERR_INTERNAL;
	err = sg_remotekey_init();
	ready = err == 0;
	return err;
}

/* Always 0: a certificate that does not verify ends the handshake, and this says why. */
static int on_certificate_failed(const xmpp_tlscert_t *cert, const char *const why)
{
	const char *subject = xmpp_tlscert_get_string(cert, XMPP_CERT_SUBJECT);

	if (tls.report.refused[0] == '\0')
		snprintf(tls.report.refused, sizeof(tls.report.refused), "%s (%.80s)", why,
		    subject != NULL ? subject : "no subject");
	return 0;
}

/* ---- connections ---- */

/*
 * libstrophe always trusts OpenSSL's default roots and adds the cafile to them. OpenSSL looks for the
 * defaults where these variables say; with a cafile, they say nowhere.
 */
static void trust_only(const char *cafile)
{
	static const char *const names[] = { "SSL_CERT_FILE", "SSL_CERT_DIR" };
	static char *originals[2];
	static int kept;

	for (int i = 0; i < 2; i++) {
		const char *value = getenv(names[i]);

		if (!kept)
			originals[i] = value != NULL ? strdup(value) : NULL;
		if (cafile != NULL)
			setenv(names[i], "/dev/null", 1);
		else if (originals[i] != NULL)
			setenv(names[i], originals[i], 1);
		else
			unsetenv(names[i]);
	}
	kept = 1;
}

void sg_tls_begin(xmpp_conn_t *conn, struct sg_tls_identity *identity, const char *cafile)
{
	tls.conn = conn;
	tls.identity = identity;
	tls.broken = 0;
	tls.report = (struct sg_tls_report){ 0 };
	trust_only(cafile);
	if (cafile != NULL)
		xmpp_conn_set_cafile(conn, cafile);
	xmpp_conn_set_client_cert(conn, NULL, NULL);
	xmpp_conn_set_certfail_handler(conn, on_certificate_failed);
	ERR_clear_error();
}

void sg_tls_end(void)
{
	tls.conn = NULL;
	tls.identity = NULL;
}

const struct sg_tls_report *sg_tls_report(void)
{
	return &tls.report;
}
