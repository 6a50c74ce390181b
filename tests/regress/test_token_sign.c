/*
 * What signet-token signs and what it refuses to sign, judged by openssl.
 */
#include "token_world.h"

#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "x509.h"

#define JID "juliet@example.com"

static int start_with_keys(void **state)
{
	world_start(state);
	worker_start(&worker, "authority");
	login(&worker, TEXT("alpha"));
	generate(&worker, TEXT("alpha"), TEXT("rsa"), TEXT("rsa2048"));
	generate(&worker, TEXT("alpha"), TEXT("p256"), TEXT("p256"));
	generate(&worker, TEXT("alpha"), TEXT("p384"), TEXT("p384"));
	public_key(&worker, TEXT("rsa"), "rsa.pem");
	public_key(&worker, TEXT("p256"), "p256.pem");
	public_key(&worker, TEXT("p384"), "p384.pem");
	return 0;
}

static int stop_all(void **state)
{
	int status = stop(state);

	return world_stop(state) == 0 ? status : -1;
}

static char key_names[3][5] = { "rsa", "p256", "p384" };
static char *const keys[] = { key_names[0], key_names[1], key_names[2] };

/* ---- requests and certificates ---- */

static void test_csr(void **state)
{
	size_t i;

	for (i = 0; i < 3; i++) {
		struct sg_msg_csr_make msg = { .key = keys[i], .jid = TEXT(JID) };

		ask_der(&worker, SG_MSG_CSR_MAKE, &msg, "csr");
		assert_int_equal(RUN("openssl", "req", "-inform", "DER", "-in", path_of("csr"),
				     "-verify", "-noout", "-text"),
		    0);
		assert_true(out_has("verify OK"));
		assert_true(out_has("Subject: CN = " JID));
		assert_true(out_has("othername: XmppAddr::" JID));
		assert_true(out_has(i == 0 ? "sha256WithRSAEncryption" : "ecdsa-with-SHA256"));
	}
}

/* The other form of C12: the same key's request for the same JID, and not the same bytes. */
static void test_csr_without_a_name(void **state)
{
	size_t i;

	for (i = 0; i < 3; i++) {
		struct sg_msg_csr_make msg = { .key = keys[i], .jid = TEXT(JID), .nameless = 1 };

		ask_der(&worker, SG_MSG_CSR_MAKE, &msg, "csr");
		assert_int_equal(RUN("openssl", "req", "-inform", "DER", "-in", path_of("csr"),
				     "-verify", "-noout", "-text"),
		    0);
		assert_true(out_has("verify OK"));
		assert_true(out_has("Subject: \n") || out_has("Subject:\n"));
		assert_true(out_has("othername: XmppAddr::" JID));
	}
}

static void test_csr_of_a_long_jid(void **state)
{
	char jid[120] = { 0 };
	struct sg_msg_csr_make msg = { .key = TEXT("p256"), .jid = jid };

	memset(jid, 'j', 80);
	memcpy(jid + 80, "@example.com", 13);
	ask_der(&worker, SG_MSG_CSR_MAKE, &msg, "csr");
	assert_int_equal(RUN("openssl", "req", "-inform", "DER", "-in", path_of("csr"), "-verify",
			     "-noout", "-subject"),
	    0);
	assert_true(out_has("subject=\n"));
}

static void test_csr_of_an_intermediate(void **state)
{
	size_t i;

	for (i = 0; i < 3; i++) {
		struct sg_msg_csr_make msg = {
			.key = keys[i], .jid = TEXT("Ünï CA"), .profile = SG_PROFILE_CA
		};

		ask_der(&worker, SG_MSG_CSR_MAKE, &msg, "csr");
		assert_int_equal(RUN("openssl", "req", "-inform", "DER", "-in", path_of("csr"),
				     "-verify", "-noout", "-text", "-nameopt", "utf8"),
		    0);
		assert_true(out_has("verify OK"));
		assert_true(out_has("Subject: CN=Ünï CA"));
		assert_true(out_has("X509v3 Basic Constraints: critical\n"));
		assert_true(out_has("CA:TRUE, pathlen:0"));
		assert_true(out_has("X509v3 Key Usage: critical\n"));
		assert_true(out_has("Certificate Sign, CRL Sign"));
		assert_false(out_has("Alternative"));
	}
}

static void self_cert(char *key, char *jid, uint32_t profile, uint32_t days, const char *file)
{
	struct sg_msg_self_cert_make msg = {
		.key = key, .jid = jid, .profile = profile, .days = days
	};

	ask_der(&worker, SG_MSG_SELF_CERT_MAKE, &msg, file);
	assert_int_equal(RUN("openssl", "x509", "-inform", "DER", "-in", path_of(file), "-out",
			     path_of("cert.pem")),
	    0);
	assert_int_equal(RUN("openssl", "x509", "-in", path_of("cert.pem"), "-noout", "-text"), 0);
}

static void test_self_cert(void **state)
{
	size_t i;

	for (i = 0; i < 3; i++) {
		self_cert(keys[i], TEXT(JID), SG_PROFILE_USER, 365, "cert");
		assert_true(out_has("Version: 3"));
		assert_true(out_has("Subject: CN = " JID));
		assert_true(
		    out_has("X509v3 Basic Constraints: critical\n                CA:FALSE"));
		assert_true(
		    out_has("X509v3 Key Usage: critical\n                Digital Signature\n"));
		assert_true(out_has("Subject Key Identifier"));
		assert_true(out_has("othername: XmppAddr::" JID));
		assert_int_equal(RUN("openssl", "verify", "-check_ss_sig", "-partial_chain",
				     "-CAfile", path_of("cert.pem"), path_of("cert.pem")),
		    0);
	}
}

/* What logs in where a server keeps a list of certificates: as a user's, and with C11's usages. */
static void test_self_cert_of_a_client(void **state)
{
	for (size_t i = 0; i < 3; i++) {
		self_cert(keys[i], TEXT(JID), SG_PROFILE_CLIENT, 365, "cert");
		assert_true(out_has("Subject: CN = " JID));
		assert_true(
		    out_has("X509v3 Basic Constraints: critical\n                CA:FALSE"));
		assert_true(
		    out_has("X509v3 Key Usage: critical\n                Digital Signature\n"));
		assert_true(
		    out_has("TLS Web Client Authentication, TLS Web Server Authentication"));
		assert_true(out_has("othername: XmppAddr::" JID));
		assert_int_equal(
		    RUN("openssl", "verify", "-check_ss_sig", "-partial_chain", "-purpose",
			"sslclient", "-CAfile", path_of("cert.pem"), path_of("cert.pem")),
		    0);
	}
}

static void test_self_cert_of_far_years(void **state)
{
	self_cert(TEXT("p256"), TEXT(JID), SG_PROFILE_USER, 36525, "cert");
	assert_int_equal(RUN("openssl", "asn1parse", "-inform", "DER", "-in", path_of("cert")), 0);
	assert_true(out_has("UTCTIME"));
	assert_true(out_has("GENERALIZEDTIME"));
}

static void expect_error(uint16_t type, const void *msg, int code)
{
	ask_error(&worker, type, msg, -1, code);
}

static void test_csr_refusals(void **state)
{
	char name[66] = { 0 };
	struct sg_msg_csr_make msg = { .key = TEXT("p256"), .jid = TEXT(JID), .profile = 2 };

	expect_error(SG_MSG_CSR_MAKE, &msg, SG_ERR_ARG);
	msg.profile = SG_PROFILE_CA;
	msg.jid = TEXT("");
	expect_error(SG_MSG_CSR_MAKE, &msg, SG_ERR_ARG);
	memset(name, 'n', 65);
	msg.jid = name;
	expect_error(SG_MSG_CSR_MAKE, &msg, SG_ERR_ARG);
	msg.profile = SG_PROFILE_USER;
	msg.jid = TEXT("An authority");
	expect_error(SG_MSG_CSR_MAKE, &msg, SG_ERR_ARG);
}

static void test_self_cert_refusals(void **state)
{
	struct sg_msg_self_cert_make msg = { .key = TEXT("p256"), .jid = TEXT(JID), .days = 0 };
	char jid[90] = { 0 };

	expect_error(SG_MSG_SELF_CERT_MAKE, &msg, SG_ERR_ARG);
	msg.days = 36526;
	expect_error(SG_MSG_SELF_CERT_MAKE, &msg, SG_ERR_ARG);
	msg.days = 1;
	msg.profile = 3;
	expect_error(SG_MSG_SELF_CERT_MAKE, &msg, SG_ERR_ARG);
	msg.profile = SG_PROFILE_USER;
	memset(jid, 'j', 60);
	memcpy(jid + 60, "@example.com", 13);
	msg.jid = jid;
	expect_error(SG_MSG_SELF_CERT_MAKE, &msg, SG_ERR_LIMIT);
}

/* ---- cross-signatures ---- */

static void verify(const char *hash, const char *key, const char *data)
{
	if (RUN("openssl", "dgst", hash, "-verify", path_of(key), "-signature", path_of("sig"),
		path_of(data)) != 0)
		fail_msg("%s with %s does not verify", hash, key);
}

static void cross_with(uint32_t sha1, char *key, uint32_t kind, const char *subject,
    const char *const *methods, const char *pem)
{
	struct sg_msg_cross_sign msg = { .key = key, .kind = kind, .sha1 = sha1 };
	const struct sg_msg_signatures *signatures;
	struct sg_frame answer;
	uint32_t i;

	msg.subject = blob_read(subject);
	ask(&worker, SG_MSG_CROSS_SIGN, &msg, SG_MSG_SIGNATURES, &answer);
	signatures = answer.msg;
	for (i = 0; i < signatures->signature_count; i++) {
		assert_non_null(methods[i]);
		assert_string_equal(signatures->signatures[i].method, methods[i]);
		file_write("sig", signatures->signatures[i].value.data,
		    signatures->signatures[i].value.len);
		verify(strstr(methods[i], "SHA1") != NULL ? "-sha1" : "-sha256", pem, subject);
	}
	assert_null(methods[i]);
	sg_frame_clear(&answer);
	sg_blob_clear(&msg.subject);
}

static void cross(
    char *key, uint32_t kind, const char *subject, const char *const *methods, const char *pem)
{
	cross_with(1, key, kind, subject, methods, pem);
}

static void test_cross_sign(void **state)
{
	static const char *const rsa[] = { "RSA-SHA1", "RSA-SHA256", NULL };
	static const char *const rsa_sha256[] = { "RSA-SHA256", NULL };
	static const char *const ec[] = { "ECDSA-SHA256", NULL };

	self_cert(TEXT("p256"), TEXT(JID), SG_PROFILE_USER, 30, "subject");
	file_write("fingerprint", "01234567890123456789", 20);
	cross(TEXT("rsa"), SG_SUBJECT_X509, "subject", rsa, "rsa.pem");
	cross(TEXT("rsa"), SG_SUBJECT_PGP, "fingerprint", rsa, "rsa.pem");
	cross_with(0, TEXT("rsa"), SG_SUBJECT_X509, "subject", rsa_sha256, "rsa.pem");
	cross_with(0, TEXT("rsa"), SG_SUBJECT_PGP, "fingerprint", rsa_sha256, "rsa.pem");
	cross(TEXT("p256"), SG_SUBJECT_X509, "subject", ec, "p256.pem");
	cross(TEXT("p384"), SG_SUBJECT_PGP, "fingerprint", ec, "p384.pem");
}

static void test_cross_sign_refusals(void **state)
{
	struct sg_msg_cross_sign msg = { .key = TEXT("rsa"), .kind = SG_SUBJECT_PGP };
	unsigned char bytes[64] = { 0x30, 0x3e };
	struct sg_blob cert;

	/* No digest, DigestInfo or other bytes of a caller's choice. */
	msg.subject = (struct sg_blob){ bytes, 32 };
	expect_error(SG_MSG_CROSS_SIGN, &msg, SG_ERR_FORMAT);
	msg.subject.len = 0;
	expect_error(SG_MSG_CROSS_SIGN, &msg, SG_ERR_FORMAT);
	msg.kind = SG_SUBJECT_X509;
	msg.subject.len = sizeof(bytes);
	expect_error(SG_MSG_CROSS_SIGN, &msg, SG_ERR_FORMAT);
	msg.kind = 7;
	msg.subject.len = 20;
	expect_error(SG_MSG_CROSS_SIGN, &msg, SG_ERR_FORMAT);
	self_cert(TEXT("p256"), TEXT(JID), SG_PROFILE_USER, 30, "subject");
	cert = blob_read("subject");
	msg.kind = SG_SUBJECT_X509;
	msg.subject = (struct sg_blob){ calloc(1, cert.len + 1), cert.len + 1 };
	memcpy(msg.subject.data, cert.data, cert.len);
	expect_error(SG_MSG_CROSS_SIGN, &msg, SG_ERR_FORMAT); /* one byte trails */
	sg_blob_clear(&msg.subject);
	sg_blob_clear(&cert);
}

/* ---- TLS ---- */

static void content_13(unsigned char fill, size_t hash_len)
{
	unsigned char tbs[64 + 34 + 64];

	memset(tbs, 0x20, 64);
	memcpy(tbs + 64, "TLS 1.3, client CertificateVerify", 34);
	memset(tbs + 98, fill, hash_len);
	file_write("tbs", tbs, 98 + hash_len);
}

/* The messages up to CertificateVerify, each with a small body. */
static void content_12(void)
{
	static const unsigned char types[] = { 1, 2, 11, 12, 13, 14, 11, 16 };
	unsigned char tbs[sizeof(types) * 54] = { 0 };
	size_t i;

	for (i = 0; i < sizeof(types); i++) {
		tbs[i * 54] = types[i];
		tbs[i * 54 + 3] = 50;
	}
	tbs[4] = tbs[5] = 3;
	file_write("tbs", tbs, sizeof(tbs));
}

static void tls_good(
    char *key, uint32_t scheme, const char *hash, const char *salt, const char *pem)
{
	struct sg_msg_tls_sign msg = { .key = key, .scheme = scheme, .tbs = blob_read("tbs") };
	char salt_option[40];
	int status;

	ask_der(&worker, SG_MSG_TLS_SIGN, &msg, "sig");
	sg_blob_clear(&msg.tbs);
	if (salt == NULL) {
		verify(hash, pem, "tbs");
		return;
	}
	snprintf(salt_option, sizeof(salt_option), "rsa_pss_saltlen:%s", salt);
	status = RUN("openssl", "dgst", hash, "-sigopt", "rsa_padding_mode:pss", "-sigopt",
	    salt_option, "-verify", path_of(pem), "-signature", path_of("sig"), path_of("tbs"));
	assert_int_equal(status, 0);
}

static void tls_bad(char *key, uint32_t scheme, int code)
{
	struct sg_msg_tls_sign msg = { .key = key, .scheme = scheme, .tbs = blob_read("tbs") };

	expect_error(SG_MSG_TLS_SIGN, &msg, code);
	sg_blob_clear(&msg.tbs);
}

static void test_tls_13(void **state)
{
	content_13('h', 32);
	tls_good(TEXT("rsa"), 0x0804, "-sha256", "32", "rsa.pem");
	tls_good(TEXT("rsa"), 0x0805, "-sha384", "48", "rsa.pem");
	tls_good(TEXT("rsa"), 0x0806, "-sha512", "64", "rsa.pem");
	tls_good(TEXT("p256"), 0x0403, "-sha256", NULL, "p256.pem");
	content_13('h', 48);
	tls_good(TEXT("p384"), 0x0503, "-sha384", NULL, "p384.pem");
	tls_bad(TEXT("rsa"), 0x0401, SG_ERR_UNSUPPORTED); /* PKCS#1 has gone from TLS 1.3 */
	tls_bad(TEXT("p256"), 0x0503, SG_ERR_MECHANISM);
	tls_bad(TEXT("p384"), 0x0403, SG_ERR_MECHANISM);
	tls_bad(TEXT("rsa"), 0x0403, SG_ERR_MECHANISM);
	tls_bad(TEXT("p256"), 0x0804, SG_ERR_MECHANISM);
}

static void test_tls_12(void **state)
{
	content_12();
	tls_good(TEXT("rsa"), 0x0401, "-sha256", NULL, "rsa.pem");
	tls_good(TEXT("rsa"), 0x0501, "-sha384", NULL, "rsa.pem");
	tls_good(TEXT("rsa"), 0x0601, "-sha512", NULL, "rsa.pem");
	tls_good(TEXT("rsa"), 0x0804, "-sha256", "32", "rsa.pem");
	tls_good(TEXT("p256"), 0x0403, "-sha256", NULL, "p256.pem");
	tls_good(TEXT("p256"), 0x0503, "-sha384", NULL, "p256.pem"); /* cut to the order */
	tls_good(TEXT("p256"), 0x0603, "-sha512", NULL, "p256.pem");
	tls_good(TEXT("p384"), 0x0403, "-sha256", NULL, "p384.pem");
	tls_bad(TEXT("rsa"), 0x0201, SG_ERR_UNSUPPORTED); /* rsa_pkcs1_sha1 */
	tls_bad(TEXT("p256"), 0x0203, SG_ERR_UNSUPPORTED);
	tls_bad(TEXT("rsa"), 0, SG_ERR_UNSUPPORTED);
}

static void test_tls_signs_nothing_else(void **state)
{
	content_13('h', 20);
	tls_bad(TEXT("rsa"), 0x0804, SG_ERR_FORMAT);
	file_write("tbs", "", 0);
	tls_bad(TEXT("rsa"), 0x0804, SG_ERR_FORMAT);
	self_cert(TEXT("p256"), TEXT(JID), SG_PROFILE_USER, 30, "tbs");
	tls_bad(TEXT("rsa"), 0x0401, SG_ERR_FORMAT);
}

/* ---- many at once ---- */

static void test_signatures_at_once(void **state)
{
	enum { COUNT = 64, IN_FLIGHT = 8 };
	struct sg_msg_tls_sign msg = { .key = TEXT("rsa"), .scheme = 0x0401 };
	char seen[COUNT + 1] = { 0 };
	struct sg_frame answer;
	uint32_t sent = 0, got = 0;

	content_12();
	msg.tbs = blob_read("tbs");
	while (got < COUNT) {
		const struct sg_msg_der *der;

		for (; sent < COUNT && sent - got < IN_FLIGHT; sent++) {
			msg.key = sent % 2 ? TEXT("rsa") : TEXT("pkcs11:token=alpha;object=rsa");
			assert_int_equal(
			    sg_channel_send(worker.channel, sent, SG_MSG_TLS_SIGN, &msg, -1), 0);
		}
		assert_int_equal(sg_channel_recv(worker.channel, &answer), 1);
		assert_int_equal(answer.type, SG_MSG_DER);
		assert_true(answer.id < COUNT && !seen[answer.id]);
		seen[answer.id] = 1;
		got++;
		der = answer.msg;
		file_write("sig", der->der.data, der->der.len);
		verify("-sha256", "rsa.pem", "tbs");
		sg_frame_clear(&answer);
	}
	sg_blob_clear(&msg.tbs);
}

/* Keys are made while others sign, list and search: nobody fails. */
static void test_writes_among_signatures(void **state)
{
	struct sg_msg_tls_sign sign = { .key = TEXT("p256"), .scheme = 0x0403 };
	struct sg_msg_key_generate make = { .token = TEXT("alpha"), .algorithm = TEXT("p256") };
	struct sg_msg_object_list list = { .selector = TEXT("") };
	struct sg_frame answer;
	uint32_t i, wanted = 0;
	char label[20];

	content_13('h', 32);
	sign.tbs = blob_read("tbs");
	for (i = 0; i < 10; i++) {
		snprintf(label, sizeof(label), "among-%u", i);
		make.label = label;
		assert_int_equal(
		    sg_channel_send(worker.channel, wanted++, SG_MSG_KEY_GENERATE, &make, -1), 0);
		assert_int_equal(
		    sg_channel_send(worker.channel, wanted++, SG_MSG_OBJECT_LIST, &list, -1), 0);
		assert_int_equal(
		    sg_channel_send(worker.channel, wanted++, SG_MSG_TLS_SIGN, &sign, -1), 0);
	}
	for (; wanted > 0; wanted--) {
		assert_int_equal(sg_channel_recv(worker.channel, &answer), 1);
		if (answer.type == SG_MSG_ERROR)
			fail_msg("%s", ((const struct sg_msg_error *)answer.msg)->message);
		sg_frame_clear(&answer);
	}
	sg_blob_clear(&sign.tbs);
}

/* ---- authority ---- */

static X509 *leaf_new(int with_jid, int is_ca)
{
	STACK_OF(X509_EXTENSION) *san = NULL;
	X509 *cert = X509_new();
	BASIC_CONSTRAINTS *bc = BASIC_CONSTRAINTS_new();
	ASN1_BIT_STRING *usage = ASN1_BIT_STRING_new();
	union {
		const X509_ALGOR *got;
		X509_ALGOR *set;
	} algorithm = { .got = X509_get0_tbs_sigalg(cert) };
	FILE *pem = fopen(path_of("p256.pem"), "r");
	EVP_PKEY *key = PEM_read_PUBKEY(pem, NULL, NULL, NULL);

	fclose(pem);
	bc->ca = is_ca ? 0xff : 0;
	ASN1_BIT_STRING_set_bit(usage, 0, 1);
	assert_int_equal(X509_set_version(cert, X509_VERSION_3), 1);
	assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(cert), 4711), 1);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_UTF8,
	    (const unsigned char *)JID, -1, -1, 0);
	X509_NAME_add_entry_by_txt(X509_get_issuer_name(cert), "CN", MBSTRING_UTF8,
	    (const unsigned char *)"Test CA", -1, -1, 0);
	X509_gmtime_adj(X509_getm_notBefore(cert), -60);
	X509_gmtime_adj(X509_getm_notAfter(cert), 86400);
	assert_int_equal(X509_set_pubkey(cert, key), 1);
	assert_int_equal(X509_add1_ext_i2d(cert, NID_basic_constraints, bc, 1, 0), 1);
	assert_int_equal(X509_add1_ext_i2d(cert, NID_key_usage, usage, 1, 0), 1);
	if (with_jid) {
		assert_int_equal(sg_x509_add_jid(&san, JID), 0);
		assert_int_equal(X509_add_ext(cert, sk_X509_EXTENSION_value(san, 0), -1), 1);
	}
	X509_ALGOR_set0(algorithm.set, OBJ_nid2obj(NID_sha256WithRSAEncryption), V_ASN1_NULL, NULL);
	sk_X509_EXTENSION_pop_free(san, X509_EXTENSION_free);
	EVP_PKEY_free(key);
	BASIC_CONSTRAINTS_free(bc);
	ASN1_BIT_STRING_free(usage);
	return cert;
}

static struct sg_blob tbs_of(X509 *cert)
{
	struct sg_blob tbs = { 0 };
	int len = i2d_re_X509_tbs(cert, &tbs.data);

	assert_true(len > 0);
	tbs.len = (size_t)len;
	X509_free(cert);
	return tbs;
}

static void test_ca(void **state)
{
	struct sg_msg_ca_sign msg = { .key = TEXT("rsa"), .kind = SG_CA_CERT };

	self_cert(TEXT("rsa"), TEXT("Test CA"), SG_PROFILE_CA, 3650, "ca");
	assert_true(out_has("CA:TRUE, pathlen:0"));
	assert_true(out_has("Certificate Sign, CRL Sign"));
	assert_int_equal(rename(path_of("cert.pem"), path_of("ca.pem")), 0);
	msg.tbs = tbs_of(leaf_new(1, 0));
	ask_der(&worker, SG_MSG_CA_SIGN, &msg, "leaf");
	assert_int_equal(RUN("openssl", "x509", "-inform", "DER", "-in", path_of("leaf"), "-out",
			     path_of("leaf.pem")),
	    0);
	assert_int_equal(
	    RUN("openssl", "verify", "-CAfile", path_of("ca.pem"), path_of("leaf.pem")), 0);
	/* The same, said to be signed by another type of key. */
	msg.key = TEXT("p256");
	expect_error(SG_MSG_CA_SIGN, &msg, SG_ERR_FORMAT);
	msg.key = TEXT("rsa");
	msg.kind = SG_CA_CRL;
	expect_error(SG_MSG_CA_SIGN, &msg, SG_ERR_FORMAT);
	msg.kind = 9;
	expect_error(SG_MSG_CA_SIGN, &msg, SG_ERR_FORMAT);
	msg.kind = SG_CA_CERT;
	msg.tbs.len--;
	expect_error(SG_MSG_CA_SIGN, &msg, SG_ERR_FORMAT);
	sg_blob_clear(&msg.tbs);
	msg.tbs = tbs_of(leaf_new(0, 0));
	expect_error(SG_MSG_CA_SIGN, &msg, SG_ERR_FORMAT);
	sg_blob_clear(&msg.tbs);
	msg.tbs = tbs_of(leaf_new(1, 1));
	expect_error(SG_MSG_CA_SIGN, &msg, SG_ERR_FORMAT);
	sg_blob_clear(&msg.tbs);
}

/* TBSCertList out of a list that openssl makes with a key of its own. */
static void test_ca_crl(void **state)
{
	struct sg_msg_ca_sign msg = { .key = TEXT("rsa"), .kind = SG_CA_CRL };
	static const char conf[] =
	    "[ca]\ndefault_ca = c\n[c]\ndatabase = index\ncrlnumber = number\n";
	const unsigned char *pos;
	struct sg_blob whole;
	X509_CRL *crl;
	char *old = getcwd(NULL, 0);
	int len;

	self_cert(TEXT("rsa"), TEXT("Test CA"), SG_PROFILE_CA, 3650, "ca");
	assert_int_equal(rename(path_of("cert.pem"), path_of("ca.pem")), 0);
	assert_int_equal(chdir(world_dir), 0);
	file_write("conf", conf, sizeof(conf) - 1);
	file_write("index", "", 0);
	file_write("number", "01\n", 3);
	assert_int_equal(RUN("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj",
			     "/CN=Test CA", "-keyout", "own.key", "-out", "own.pem"),
	    0);
	assert_int_equal(
	    RUN("openssl", "ca", "-config", "conf", "-gencrl", "-crldays", "7", "-md", "sha256",
		"-keyfile", "own.key", "-cert", "own.pem", "-out", "own.crl"),
	    0);
	assert_int_equal(
	    RUN("openssl", "crl", "-in", "own.crl", "-outform", "DER", "-out", "own.der"), 0);
	assert_int_equal(chdir(old), 0);
	free(old);
	whole = blob_read("own.der");
	pos = whole.data;
	crl = d2i_X509_CRL(NULL, &pos, (long)whole.len);
	assert_non_null(crl);
	len = i2d_re_X509_CRL_tbs(crl, &msg.tbs.data);
	msg.tbs.len = (size_t)len;
	ask_der(&worker, SG_MSG_CA_SIGN, &msg, "crl");
	assert_int_equal(RUN("openssl", "crl", "-inform", "DER", "-in", path_of("crl"), "-CAfile",
			     path_of("ca.pem"), "-noout"),
	    0);
	assert_true(out_has("verify OK"));
	msg.kind = SG_CA_CERT;
	expect_error(SG_MSG_CA_SIGN, &msg, SG_ERR_FORMAT);
	msg.kind = SG_CA_CRL;
	msg.key = TEXT("p256");
	expect_error(SG_MSG_CA_SIGN, &msg, SG_ERR_FORMAT);
	X509_CRL_free(crl);
	sg_blob_clear(&whole);
	sg_blob_clear(&msg.tbs);
}

static void test_agent_is_no_authority(void **state)
{
	struct sg_msg_self_cert_make root = {
		.key = TEXT("rsa"), .jid = TEXT("CA"), .profile = SG_PROFILE_CA, .days = 30
	};
	struct sg_msg_csr_make below = {
		.key = TEXT("rsa"), .jid = TEXT("CA"), .profile = SG_PROFILE_CA
	};
	struct sg_msg_ca_sign sign = { .key = TEXT("rsa") };
	struct worker agent;

	worker_start(&agent, "agent");
	login(&agent, TEXT("alpha"));
	sign.tbs = tbs_of(leaf_new(1, 0));
	ask_error(&agent, SG_MSG_CA_SIGN, &sign, -1, SG_ERR_DENIED);
	ask_error(&agent, SG_MSG_SELF_CERT_MAKE, &root, -1, SG_ERR_DENIED);
	ask_error(&agent, SG_MSG_CSR_MAKE, &below, -1, SG_ERR_DENIED);
	sg_blob_clear(&sign.tbs);
	assert_int_equal(worker_stop(&agent), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_csr),
		cmocka_unit_test(test_csr_without_a_name),
		cmocka_unit_test(test_csr_of_a_long_jid),
		cmocka_unit_test(test_csr_of_an_intermediate),
		cmocka_unit_test(test_csr_refusals),
		cmocka_unit_test(test_self_cert),
		cmocka_unit_test(test_self_cert_of_a_client),
		cmocka_unit_test(test_self_cert_of_far_years),
		cmocka_unit_test(test_self_cert_refusals),
		cmocka_unit_test(test_cross_sign),
		cmocka_unit_test(test_cross_sign_refusals),
		cmocka_unit_test(test_tls_13),
		cmocka_unit_test(test_tls_12),
		cmocka_unit_test(test_tls_signs_nothing_else),
		cmocka_unit_test(test_signatures_at_once),
		cmocka_unit_test(test_writes_among_signatures),
		cmocka_unit_test(test_ca),
		cmocka_unit_test(test_ca_crl),
		cmocka_unit_test(test_agent_is_no_authority),
	};

	return cmocka_run_group_tests_name("token signatures", tests, start_with_keys, stop_all);
}
