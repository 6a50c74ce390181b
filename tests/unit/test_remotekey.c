/*
 * The remote key against the real libssl and libcrypto: handshakes in memory, both versions, both
 * types of key; nothing private comes out; only whole contents are signed.
 */
#include "agent/xmpp/remotekey.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

struct owner {
	EVP_PKEY *key;
	X509 *cert;
	EVP_PKEY *remote;
	int refuse;
	unsigned calls;
	uint16_t scheme;
	unsigned char tbs[SG_REMOTEKEY_TBS_MAX];
	size_t tbs_len;
};

static struct owner rsa, ec;

static X509 *make_cert(EVP_PKEY *key)
{
	X509 *cert = X509_new();

	assert_non_null(cert);
	assert_true(X509_set_version(cert, X509_VERSION_3));
	assert_true(ASN1_INTEGER_set(X509_get_serialNumber(cert), 1));
	assert_non_null(X509_gmtime_adj(X509_getm_notBefore(cert), -60));
	assert_non_null(X509_gmtime_adj(X509_getm_notAfter(cert), 3600));
	assert_true(X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_UTF8,
	    (const unsigned char *)"key", -1, -1, 0));
	assert_true(X509_set_issuer_name(cert, X509_get_subject_name(cert)));
	assert_true(X509_set_pubkey(cert, key));
	assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
	return cert;
}

/* The owner's side: signs by the local key what the scheme says. */
static int owner_sign(void *arg, uint16_t scheme, const unsigned char *tbs, size_t tbs_len,
    unsigned char *sig, size_t *sig_len)
{
	static const char *const digests[] = { "SHA256", "SHA384", "SHA512" };
	struct owner *owner = arg;
	int pss = (scheme >> 8) == 0x08;
	unsigned number = pss ? scheme & 0xff : scheme >> 8;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *params;
	int ok;

	owner->calls++;
	owner->scheme = scheme;
	owner->tbs_len = tbs_len;
	memcpy(owner->tbs, tbs, tbs_len);
	if (owner->refuse) {
		EVP_MD_CTX_free(ctx);
		return SG_ERR_DENIED;
	}
	assert_in_range(number, 4, 6);
	ok = EVP_DigestSignInit_ex(
		 ctx, &params, digests[number - 4], NULL, NULL, owner->key, NULL) > 0 &&
	    (!pss ||
		(EVP_PKEY_CTX_set_rsa_padding(params, RSA_PKCS1_PSS_PADDING) > 0 &&
		    EVP_PKEY_CTX_set_rsa_pss_saltlen(params, RSA_PSS_SALTLEN_DIGEST) > 0)) &&
	    EVP_DigestSign(ctx, sig, sig_len, tbs, tbs_len) > 0;
	EVP_MD_CTX_free(ctx);
	return ok ? 0 : SG_ERR_INTERNAL;
}

static int setup(void **state)
{
	assert_int_equal(sg_remotekey_init(), 0);
	rsa.key = EVP_RSA_gen(2048);
	ec.key = EVP_EC_gen("P-256");
	assert_non_null(rsa.key);
	assert_non_null(ec.key);
	rsa.cert = make_cert(rsa.key);
	ec.cert = make_cert(ec.key);
	assert_int_equal(sg_remotekey_new(rsa.cert, owner_sign, &rsa, &rsa.remote), 0);
	assert_int_equal(sg_remotekey_new(ec.cert, owner_sign, &ec, &ec.remote), 0);
	return 0;
}

static int teardown(void **state)
{
	assert_int_equal(sg_remotekey_fini(), SG_ERR_INTERNAL); /* keys still live */
	EVP_PKEY_free(rsa.remote);
	EVP_PKEY_free(ec.remote);
	X509_free(rsa.cert);
	X509_free(ec.cert);
	EVP_PKEY_free(rsa.key);
	EVP_PKEY_free(ec.key); /* libcrypto keeps copies of keys it compared in the other key */
	assert_int_equal(sg_remotekey_fini(), 0);
	return 0;
}

struct client {
	X509 *cert;
	EVP_PKEY *key;
	int refused;
};

static int give_certificate(SSL *ssl, void *arg)
{
	struct client *client = arg;

	if (SSL_use_certificate(ssl, client->cert) == 1 &&
	    SSL_use_PrivateKey(ssl, client->key) == 1 && SSL_check_private_key(ssl) == 1)
		return 1;
	client->refused = 1;
	return 0;
}

static int accept_any(int ok, X509_STORE_CTX *ctx)
{
	return 1;
}

static int step(SSL *ssl, int *done)
{
	int rc, why;

	if (*done)
		return 1;
	rc = SSL_do_handshake(ssl);
	why = SSL_get_error(ssl, rc);
	*done = rc == 1;
	ERR_clear_error();
	return rc == 1 || why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE;
}

/* A whole handshake in memory. 1 when both sides are content and the server has the certificate. */
static int handshake(struct client *client, int version, const char *sigalgs)
{
	SSL_CTX *client_ctx = SSL_CTX_new(TLS_client_method());
	SSL_CTX *server_ctx = SSL_CTX_new(TLS_server_method());
	BIO *client_bio, *server_bio;
	int client_done = 0, server_done = 0, alive = 1, good;
	SSL *c, *s;
	char *copy;

	assert_true(SSL_CTX_use_certificate(server_ctx, ec.cert) == 1);
	assert_true(SSL_CTX_use_PrivateKey(server_ctx, ec.key) == 1);
	SSL_CTX_set_verify(
	    server_ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, accept_any);
	assert_true(SSL_CTX_set_min_proto_version(client_ctx, version));
	assert_true(SSL_CTX_set_max_proto_version(client_ctx, version));
	if (sigalgs != NULL) {
		copy = strdup(sigalgs); /* not constant: OpenSSL's macro casts that away */
		assert_true(SSL_CTX_set1_sigalgs_list(client_ctx, copy));
		free(copy);
	}
	SSL_CTX_set_cert_cb(client_ctx, give_certificate, client);
	c = SSL_new(client_ctx);
	s = SSL_new(server_ctx);
	assert_true(BIO_new_bio_pair(&client_bio, 0, &server_bio, 0));
	SSL_set_bio(c, client_bio, client_bio);
	SSL_set_bio(s, server_bio, server_bio);
	SSL_set_connect_state(c);
	SSL_set_accept_state(s);
	for (int i = 0; i < 20 && alive && !(client_done && server_done); i++) {
		alive = step(c, &client_done);
		alive = step(s, &server_done) && alive;
	}
	good = client_done && server_done && SSL_get0_peer_certificate(s) != NULL &&
	    X509_cmp(SSL_get0_peer_certificate(s), client->cert) == 0;
	SSL_free(c);
	SSL_free(s);
	SSL_CTX_free(client_ctx);
	SSL_CTX_free(server_ctx);
	return good;
}

static void check_tls13(struct owner *owner, uint16_t scheme)
{
	struct client client = { owner->cert, owner->remote, 0 };
	unsigned before = owner->calls;

	assert_true(handshake(&client, TLS1_3_VERSION, NULL));
	assert_int_equal(owner->calls, before + 1);
	assert_int_equal(owner->scheme, scheme);
	/* RFC 8446 4.4.3: 64 spaces, the context string, a zero, the transcript's hash. */
	assert_true(owner->tbs_len == 64 + 33 + 1 + 32 || owner->tbs_len == 64 + 33 + 1 + 48);
	for (int i = 0; i < 64; i++)
		assert_int_equal(owner->tbs[i], 0x20);
	assert_memory_equal(owner->tbs + 64, "TLS 1.3, client CertificateVerify", 34);
}

static void check_tls12(struct owner *owner, const char *sigalgs, uint16_t scheme)
{
	struct client client = { owner->cert, owner->remote, 0 };
	unsigned before = owner->calls;

	assert_true(handshake(&client, TLS1_2_VERSION, sigalgs));
	assert_int_equal(owner->calls, before + 1);
	assert_int_equal(owner->scheme, scheme);
	/* RFC 5246 7.4.8: all handshake messages, the first a ClientHello of the length it says. */
	assert_true(owner->tbs_len > 500);
	assert_int_equal(owner->tbs[0], 1);
	assert_int_equal(owner->tbs[4], 3);
	assert_int_equal(owner->tbs[5], 3);
}

static void test_tls13(void **state)
{
	check_tls13(&rsa, 0x0804);
	check_tls13(&ec, 0x0403);
}

static void test_tls12(void **state)
{
	check_tls12(&rsa, NULL, 0x0804);
	check_tls12(&ec, NULL, 0x0403);
}

/* A token without PSS. */
static void test_tls12_pkcs1(void **state)
{
	check_tls12(&rsa, "ECDSA+SHA256:RSA+SHA256:RSA+SHA384:RSA+SHA512", 0x0401);
}

static void test_owner_refuses(void **state)
{
	struct client client = { rsa.cert, rsa.remote, 0 };

	rsa.refuse = ec.refuse = 1;
	assert_false(handshake(&client, TLS1_3_VERSION, NULL));
	assert_false(handshake(&client, TLS1_2_VERSION, NULL));
	client = (struct client){ ec.cert, ec.remote, 0 };
	assert_false(handshake(&client, TLS1_3_VERSION, NULL));
	rsa.refuse = ec.refuse = 0;
	assert_true(handshake(&client, TLS1_3_VERSION, NULL));
}

static void test_wrong_certificate(void **state)
{
	EVP_PKEY *stranger = EVP_RSA_gen(2048);
	X509 *cert = make_cert(stranger);
	struct client client = { cert, rsa.remote, 0 };
	unsigned before = rsa.calls + ec.calls;

	assert_false(handshake(&client, TLS1_3_VERSION, NULL)); /* same type, other key */
	assert_true(client.refused);
	client = (struct client){ rsa.cert, ec.remote, 0 }; /* other type */
	assert_false(handshake(&client, TLS1_3_VERSION, NULL));
	assert_true(client.refused);
	assert_int_equal(rsa.calls + ec.calls, before);
	X509_free(cert);
	EVP_PKEY_free(stranger);
}

static int no_export(const OSSL_PARAM params[], void *arg)
{
	fail_msg("exported");
	return 1;
}

static void check_nothing_private(struct owner *owner, const char *private_number)
{
	BIO *bio = BIO_new(BIO_s_mem());
	unsigned char *der = NULL;
	OSSL_PARAM *params = NULL;
	BIGNUM *number = NULL;

	assert_true(i2d_PrivateKey(owner->remote, &der) <= 0);
	assert_int_not_equal(
	    PEM_write_bio_PrivateKey(bio, owner->remote, NULL, NULL, 0, NULL, NULL), 1);
	assert_int_not_equal(
	    PEM_write_bio_PrivateKey_traditional(bio, owner->remote, NULL, NULL, 0, NULL, NULL), 1);
	assert_int_equal(BIO_pending(bio), 0);
	assert_null(EVP_PKEY2PKCS8(owner->remote));
	assert_int_not_equal(EVP_PKEY_export(owner->remote, EVP_PKEY_KEYPAIR, no_export, NULL), 1);
	assert_int_not_equal(EVP_PKEY_todata(owner->remote, EVP_PKEY_KEYPAIR, &params), 1);
	assert_int_not_equal(EVP_PKEY_get_bn_param(owner->remote, private_number, &number), 1);
	assert_int_equal(PEM_write_bio_PUBKEY(bio, owner->remote), 1);
	assert_int_equal(EVP_PKEY_eq(owner->remote, owner->key), 1);
	assert_int_equal(X509_check_private_key(owner->cert, owner->remote), 1);
	BIO_free(bio);
	ERR_clear_error();
}

static void test_nothing_private(void **state)
{
	check_nothing_private(&rsa, OSSL_PKEY_PARAM_RSA_D);
	check_nothing_private(&ec, OSSL_PKEY_PARAM_PRIV_KEY);
}

static void check_no_digest(struct owner *owner)
{
	unsigned char digest[32] = { 1 }, sig[512];
	size_t len = sizeof(sig);
	unsigned before = owner->calls;
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, owner->remote, NULL);

	assert_non_null(ctx);
	assert_true(EVP_PKEY_sign_init(ctx) <= 0);
	assert_true(EVP_PKEY_sign(ctx, sig, &len, digest, sizeof(digest)) <= 0);
	EVP_PKEY_CTX_free(ctx);
	assert_int_equal(owner->calls, before);
	ERR_clear_error();
}

static void test_no_ready_digests(void **state)
{
	check_no_digest(&rsa);
	check_no_digest(&ec);
}

static int sign_pieces(struct owner *owner, const char *digest, size_t piece, size_t count,
    unsigned char *sig, size_t *len)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	unsigned char *data = calloc(1, piece);
	int ok;

	ok = EVP_DigestSignInit_ex(ctx, NULL, digest, NULL, NULL, owner->remote, NULL) > 0;
	for (size_t i = 0; ok && i < count; i++)
		ok = EVP_DigestSignUpdate(ctx, data, piece) > 0;
	ok = ok && EVP_DigestSignFinal(ctx, sig, len) > 0;
	free(data);
	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	return ok;
}

static void test_pieces_and_limits(void **state)
{
	unsigned char sig[512];
	size_t len = sizeof(sig);

	assert_true(sign_pieces(&rsa, "SHA256", 1000, 3, sig, &len));
	assert_int_equal(rsa.tbs_len, 3000);
	assert_int_equal(rsa.scheme, 0x0401);
	len = sizeof(sig);
	assert_true(sign_pieces(&ec, "SHA384", SG_REMOTEKEY_TBS_MAX, 1, sig, &len));
	assert_int_equal(ec.scheme, 0x0503);
	len = sizeof(sig);
	assert_false(sign_pieces(&ec, "SHA256", SG_REMOTEKEY_TBS_MAX / 2 + 1, 2, sig, &len));
	len = 8; /* a room that is too small */
	assert_false(sign_pieces(&rsa, "SHA256", 10, 1, sig, &len));
	len = sizeof(sig);
	assert_false(sign_pieces(&rsa, "SHA1", 10, 1, sig, &len)); /* no TLS scheme of ours */
	assert_false(sign_pieces(&rsa, "MD5", 10, 1, sig, &len));
}

static void test_pss_only_as_tls_has_it(void **state)
{
	unsigned char sig[512];
	size_t len = sizeof(sig);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *params;

	assert_true(
	    EVP_DigestSignInit_ex(ctx, &params, "SHA256", NULL, NULL, rsa.remote, NULL) > 0);
	assert_true(EVP_PKEY_CTX_set_rsa_padding(params, RSA_PKCS1_PSS_PADDING) > 0);
	assert_true(EVP_PKEY_CTX_set_rsa_pss_saltlen(params, 20) > 0);
	assert_true(EVP_DigestSign(ctx, sig, &len, (const unsigned char *)"x", 1) <= 0);
	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
}

static void test_other_types(void **state)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), *remote = NULL;
	X509 *cert = X509_new();

	assert_true(X509_set_pubkey(cert, key));
	assert_int_equal(sg_remotekey_new(cert, owner_sign, NULL, &remote), SG_ERR_UNSUPPORTED);
	assert_null(remote);
	X509_free(cert);
	EVP_PKEY_free(key);
}

/* An ordinary key must not land on the provider. */
static void test_ordinary_keys_stay_ordinary(void **state)
{
	unsigned char sig[512];
	size_t len = sizeof(sig);
	unsigned before = rsa.calls;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	assert_true(EVP_DigestSignInit_ex(ctx, NULL, "SHA256", NULL, NULL, rsa.key, NULL) > 0);
	assert_true(EVP_DigestSign(ctx, sig, &len, (const unsigned char *)"x", 1) > 0);
	EVP_MD_CTX_free(ctx);
	assert_int_equal(rsa.calls, before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tls13),
		cmocka_unit_test(test_tls12),
		cmocka_unit_test(test_tls12_pkcs1),
		cmocka_unit_test(test_owner_refuses),
		cmocka_unit_test(test_wrong_certificate),
		cmocka_unit_test(test_nothing_private),
		cmocka_unit_test(test_no_ready_digests),
		cmocka_unit_test(test_pieces_and_limits),
		cmocka_unit_test(test_pss_only_as_tls_has_it),
		cmocka_unit_test(test_other_types),
		cmocka_unit_test(test_ordinary_keys_stay_ordinary),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
