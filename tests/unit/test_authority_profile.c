#include "authority/profile.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/rsa.h>

#include "authority/crl.h"
#include "authority/shell.h"
#include "codecs.h"

#define JULIET "juliet@xmpp.test"
#define ANY_KEY                                                                                    \
	(SG_SUBJECT_KEY_RSA | SG_SUBJECT_KEY_P256 | SG_SUBJECT_KEY_P384 | SG_SUBJECT_KEY_P521 |    \
	    SG_SUBJECT_KEY_ED25519)

static enum sg_csr_verdict judge_as(
    const struct sg_blob *der, const char *account, unsigned int kinds, const char *part_of_why)
{
	X509_REQ *csr;
	const char *why;
	enum sg_csr_verdict verdict = sg_profile_judge(der, account, kinds, &csr, &why);

	assert_true((verdict == SG_CSR_GOOD) == (csr != NULL));
	assert_true((verdict == SG_CSR_GOOD || verdict == SG_CSR_OTHER_KIND) == (why == NULL));
	if (part_of_why != NULL && strstr(why, part_of_why) == NULL)
		fail_msg("'%s' is not in '%s'", part_of_why, why);
	X509_REQ_free(csr);
	return verdict;
}

static enum sg_csr_verdict judge(const struct recipe *recipe, EVP_PKEY *key, const char *why)
{
	struct sg_blob der = make_csr(recipe, key);
	enum sg_csr_verdict verdict = judge_as(&der, JULIET, SG_SUBJECT_KEYS_DEFAULT, why);

	sg_blob_clear(&der);
	return verdict;
}

static const struct recipe plain = { .jids = { JULIET } };

static void names_that_are_the_senders(void **state)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	static const struct recipe good[] = {
		{ .jids = { JULIET } },
		{ .cn = JULIET },
		{ .cn = "Juliet@XMPP.test", .jids = { "JULIET@xmpp.test", JULIET } },
		{ .cn = "My phone" },
		{ .dns = "xmpp.test" },
		{ .uri = "xmpp:Juliet@xmpp.test", .email = JULIET },
		{ .uri = "xmpp:juliet%40xmpp.test?message" },
		{ .uri = "https://romeo@xmpp.test/", .email = "no address" },
		{ .cn = NULL },
	};
	static const struct recipe others[] = {
		{ .jids = { "romeo@xmpp.test" } },
		{ .jids = { JULIET, "romeo@xmpp.test" } },
		{ .jids = { "romeo@xmpp.test", JULIET } },
		{ .jids = { "juliet@xmpp.test/phone" } },
		{ .jids = { "xmpp.test" } },
		{ .cn = "romeo@xmpp.test" },
		{ .cn = "juliet@xmpp.test/phone" },
		{ .cn = "juliet@xmpp.test.evil" },
		{ .cn = "@", .jids = { JULIET } },
		{ .jids = { JULIET }, .uri = "xmpp:romeo@xmpp.test" },
		{ .jids = { JULIET }, .uri = "XMPP:romeo%40xmpp.test?subscribe" },
		{ .uri = "xmpp://juliet@xmpp.test/romeo@xmpp.test" },
		{ .uri = "xmpp:xmpp.test" },
		{ .uri = "xmpp:juliet@xmpp.test/phone" },
		{ .uri = "xmpp:" },
		{ .uri = "mailto:romeo@xmpp.test" },
		{ .jids = { JULIET }, .email = "romeo@xmpp.test" },
		{ .jids = { JULIET }, .email = "@" },
	};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_int_equal(judge(&good[i], key, NULL), SG_CSR_GOOD);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		assert_int_equal(judge(&others[i], key, "bare JID"), SG_CSR_FORBIDDEN);
	EVP_PKEY_free(key);
}

static void a_name_that_cannot_be_read(void **state)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	const struct recipe nul = { .jids = { "juliet@xmpp.test\0x" }, .jid_len = 18 };
	const struct recipe type = { .jids = { JULIET }, .string_type = V_ASN1_IA5STRING };
	const struct recipe empty = { .jids = { "" } };

	assert_int_equal(judge(&nul, key, "alternative name"), SG_CSR_BAD_REQUEST);
	assert_int_equal(judge(&type, key, "alternative name"), SG_CSR_BAD_REQUEST);
	assert_int_equal(judge(&empty, key, "alternative name"), SG_CSR_BAD_REQUEST);
	EVP_PKEY_free(key);
}

static void keys_that_are_accepted(void **state)
{
	static const char *const curves[] = { "P-256", "P-384", "P-521" };
	EVP_PKEY *key = EVP_RSA_gen(2048);

	assert_int_equal(judge(&plain, key, NULL), SG_CSR_GOOD);
	EVP_PKEY_free(key);
	for (size_t i = 0; i < 3; i++) {
		key = EVP_EC_gen(curves[i]);
		assert_int_equal(judge(&plain, key, NULL), SG_CSR_GOOD);
		EVP_PKEY_free(key);
	}
}

static void keys_that_are_not(void **state)
{
	static const char *const curves[] = { "secp256k1", "P-224", "brainpoolP256r1" };
	EVP_PKEY *key = EVP_RSA_gen(1024);

	assert_int_equal(judge(&plain, key, "2048"), SG_CSR_NOT_ACCEPTABLE);
	EVP_PKEY_free(key);
	key = EVP_RSA_gen(2047);
	assert_int_equal(judge(&plain, key, "2048"), SG_CSR_NOT_ACCEPTABLE);
	EVP_PKEY_free(key);
	for (size_t i = 0; i < 3; i++) {
		key = EVP_EC_gen(curves[i]);
		assert_int_equal(judge(&plain, key, NULL), SG_CSR_OTHER_KIND);
		EVP_PKEY_free(key);
	}
}

static struct sg_blob csr_pss(EVP_PKEY *key, const EVP_MD *md)
{
	X509_REQ *csr = X509_REQ_new();
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *pctx;
	struct sg_blob der;

	assert_int_equal(X509_REQ_set_pubkey(csr, key), 1);
	assert_int_equal(EVP_DigestSignInit(ctx, &pctx, md, NULL, key), 1);
	assert_true(EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING) > 0);
	assert_true(X509_REQ_sign_ctx(csr, ctx) > 0);
	der = request_der(csr);
	EVP_MD_CTX_free(ctx);
	X509_REQ_free(csr);
	return der;
}

/* C12: SHA-256, SHA-384 or SHA-512. */
static void digests_of_the_signature(void **state)
{
	EVP_PKEY *keys[] = { EVP_RSA_gen(2048), EVP_EC_gen("P-256") };
	const EVP_MD *good[] = { EVP_sha256(), EVP_sha384(), EVP_sha512() };
	const EVP_MD *other[] = { EVP_sha1(), EVP_sha224(), EVP_sha3_256(), EVP_sha512_256(),
		EVP_md5() };
	struct sg_blob der;

	for (size_t i = 0; i < 16; i++) {
		EVP_PKEY *key = keys[i % 2];

		if (i < 6)
			der = make_csr_by(&plain, key, good[i / 2]);
		else if (i > 10 && i % 2)
			continue; /* ECDSA has no name for the last two */
		else
			der = make_csr_by(&plain, key, other[i / 2 - 3]);
		assert_int_equal(judge_as(&der, JULIET, ANY_KEY, i < 6 ? NULL : "SHA-256"),
		    i < 6 ? SG_CSR_GOOD : SG_CSR_NOT_ACCEPTABLE);
		sg_blob_clear(&der);
	}
	for (size_t i = 0; i < 2; i++) {
		der = csr_pss(keys[0], i ? other[0] : good[0]);
		assert_int_equal(judge_as(&der, JULIET, ANY_KEY, i ? "SHA-256" : NULL),
		    i ? SG_CSR_NOT_ACCEPTABLE : SG_CSR_GOOD);
		sg_blob_clear(&der);
	}
	EVP_PKEY_free(keys[0]);
	EVP_PKEY_free(keys[1]);
}

static void an_rsa_key_that_is_too_large(void **state)
{
	/* OpenSSL takes minutes to make one: a modulus of any odd bits will do, the signature is not
	 * looked at before the size is */
	unsigned char n[1025], e[] = { 1, 0, 1 };
	struct sg_blob der, half;
	X509_REQ *csr = X509_REQ_new();
	EVP_PKEY *small = EVP_RSA_gen(2048), *large = NULL;
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
	OSSL_PARAM params[3];
	BIGNUM *modulus, *exponent = BN_bin2bn(e, sizeof(e), NULL);
	unsigned char *le_n = malloc(sizeof(n)), le_e[3];

	memset(n, 0xff, sizeof(n));
	modulus = BN_bin2bn(n, sizeof(n), NULL);
	BN_bn2nativepad(modulus, le_n, sizeof(n));
	BN_bn2nativepad(exponent, le_e, sizeof(le_e));
	params[0] = OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_RSA_N, le_n, sizeof(n));
	params[1] = OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_RSA_E, le_e, sizeof(le_e));
	params[2] = OSSL_PARAM_construct_end();
	assert_int_equal(EVP_PKEY_fromdata_init(ctx), 1);
	assert_int_equal(EVP_PKEY_fromdata(ctx, &large, EVP_PKEY_PUBLIC_KEY, params), 1);
	assert_int_equal(X509_REQ_set_pubkey(csr, small), 1);
	assert_true(X509_REQ_sign(csr, small, EVP_sha256()) > 0);
	assert_int_equal(X509_REQ_set_pubkey(csr, large), 1);
	assert_true(i2d_re_X509_REQ_tbs(csr, NULL) > 0); /* encodes anew */
	der = request_der(csr);
	assert_int_equal(judge_as(&der, JULIET, ANY_KEY, "8192"), SG_CSR_NOT_ACCEPTABLE);
	half = (struct sg_blob){ der.data, der.len / 2 };
	assert_int_equal(judge_as(&half, JULIET, ANY_KEY, NULL), SG_CSR_BAD_REQUEST);
	sg_blob_clear(&der);
	free(le_n);
	BN_free(modulus);
	BN_free(exponent);
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(small);
	EVP_PKEY_free(large);
	X509_REQ_free(csr);
}

/* The same curve, but spelled out in the key: TLS stacks refuse such a certificate. */
static void a_curve_that_is_spelled_out(void **state)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	char group[] = "P-256", encoding[] = "explicit";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
		OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_EC_ENCODING, encoding, 0),
		OSSL_PARAM_construct_end(),
	};
	EVP_PKEY *key = NULL;

	assert_int_equal(EVP_PKEY_keygen_init(ctx), 1);
	assert_int_equal(EVP_PKEY_CTX_set_params(ctx, params), 1);
	assert_int_equal(EVP_PKEY_keygen(ctx, &key), 1);
	assert_int_equal(judge(&plain, key, "named"), SG_CSR_NOT_ACCEPTABLE);
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(key);
}

static struct sg_blob csr_ed25519(EVP_PKEY *key)
{
	X509_REQ *csr = X509_REQ_new();
	struct sg_blob der;

	assert_int_equal(X509_REQ_set_pubkey(csr, key), 1);
	assert_true(X509_REQ_sign(csr, key, NULL) > 0);
	der = request_der(csr);
	X509_REQ_free(csr);
	return der;
}

static void the_configuration_chooses_kinds(void **state)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	struct sg_blob der = csr_ed25519(key);

	assert_int_equal(judge_as(&der, JULIET, SG_SUBJECT_KEYS_DEFAULT, NULL), SG_CSR_OTHER_KIND);
	assert_int_equal(judge_as(&der, JULIET, ANY_KEY, NULL), SG_CSR_GOOD);
	sg_blob_clear(&der);
	EVP_PKEY_free(key);
	key = EVP_EC_gen("P-256");
	der = make_csr(&plain, key);
	assert_int_equal(judge_as(&der, JULIET, SG_SUBJECT_KEY_RSA, NULL), SG_CSR_OTHER_KIND);
	sg_blob_clear(&der);
	EVP_PKEY_free(key);
	assert_int_equal(sg_subject_key_from_name("p384"), SG_SUBJECT_KEY_P384);
	assert_int_equal(sg_subject_key_from_name("rsa2560"), 0);
	assert_int_equal(sg_subject_key_from_name(""), 0);
}

static void the_configuration_chooses_sizes(void **state)
{
	static const struct {
		unsigned int bits, kind;
	} sizes[] = {
		{ 2048, SG_SUBJECT_KEY_RSA2048 },
		{ 2560, 0 },
		{ 3072, SG_SUBJECT_KEY_RSA3072 },
	};
	const unsigned int all =
	    SG_SUBJECT_KEY_RSA2048 | SG_SUBJECT_KEY_RSA3072 | SG_SUBJECT_KEY_RSA4096;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		EVP_PKEY *key = EVP_RSA_gen(sizes[i].bits);
		struct sg_blob der = make_csr(&plain, key);

		assert_int_equal(judge_as(&der, JULIET, SG_SUBJECT_KEY_RSA, NULL), SG_CSR_GOOD);
		assert_int_equal(judge_as(&der, JULIET, all, NULL),
		    sizes[i].kind ? SG_CSR_GOOD : SG_CSR_OTHER_KIND);
		assert_int_equal(
		    judge_as(&der, JULIET, all & ~sizes[i].kind, NULL), SG_CSR_OTHER_KIND);
		sg_blob_clear(&der);
		EVP_PKEY_free(key);
	}
}

static void kinds_as_text(void **state)
{
	char text[128];

	sg_subject_keys_text(SG_SUBJECT_KEY_P256, text, sizeof(text));
	assert_string_equal(text, "p256");
	sg_subject_keys_text(~0u, text, sizeof(text));
	assert_string_equal(text, "rsa, rsa2048, rsa3072, rsa4096, p256, p384, p521, ed25519");
	sg_subject_keys_text(~0u, text, 7);
	assert_string_equal(text, "rsa, r");
	sg_subject_keys_text(0, text, sizeof(text));
	assert_string_equal(text, "");
}

static void bytes_that_are_no_request(void **state)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	struct sg_blob cert = make_cert(&plain, key), csr = make_csr(&plain, key);
	struct sg_blob text = blob_of("hello", 5), empty = { 0 };
	struct sg_blob more = { 0 };

	assert_int_equal(
	    judge_as(&cert, JULIET, ANY_KEY, "That is a certificate"), SG_CSR_BAD_REQUEST);
	assert_int_equal(judge_as(&text, JULIET, ANY_KEY, "PKCS#10"), SG_CSR_BAD_REQUEST);
	assert_int_equal(judge_as(&empty, JULIET, ANY_KEY, "PKCS#10"), SG_CSR_BAD_REQUEST);
	more.data = malloc(csr.len + 1);
	memcpy(more.data, csr.data, csr.len);
	more.data[csr.len] = 0;
	more.len = csr.len + 1;
	assert_int_equal(judge_as(&more, JULIET, ANY_KEY, "PKCS#10"), SG_CSR_BAD_REQUEST);
	sg_blob_clear(&more);
	sg_blob_clear(&cert);
	sg_blob_clear(&text);
	/* one flipped bit in the signature, which ends the request */
	csr.data[csr.len - 1] ^= 1;
	assert_int_equal(judge_as(&csr, JULIET, ANY_KEY, "signature"), SG_CSR_NOT_ACCEPTABLE);
	sg_blob_clear(&csr);
	EVP_PKEY_free(key);
	assert_int_equal(ERR_peek_error(), 0);
}

static void serials_are_positive_and_whole(void **state)
{
	unsigned char serial[SG_SERIAL_LEN], before[SG_SERIAL_LEN] = { 0 };

	for (int i = 0; i < 2000; i++) {
		assert_int_equal(sg_profile_serial(serial), 0);
		assert_in_range(serial[0], 1, 0x7f);
		assert_memory_not_equal(serial, before, sizeof(serial));
		memcpy(before, serial, sizeof(serial));
	}
}

/* A CA as the token makes it: CN, CA:TRUE, key identifier. */
static X509 *make_ca(EVP_PKEY *key)
{
	const struct recipe recipe = { .cn = "Test CA" };
	X509 *ca = new_cert(&recipe, key);
	static const struct {
		int nid;
		const char *value;
	} extensions[] = {
		{ NID_basic_constraints, "critical,CA:TRUE,pathlen:0" },
		{ NID_key_usage, "critical,keyCertSign,cRLSign" },
		{ NID_subject_key_identifier, "hash" },
	};

	for (size_t i = 0; i < 3; i++) {
		X509V3_CTX ctx;
		X509_EXTENSION *extension;

		X509V3_set_ctx(&ctx, ca, ca, NULL, NULL, 0);
		extension = X509V3_EXT_conf_nid(NULL, &ctx, extensions[i].nid, extensions[i].value);
		assert_non_null(extension);
		assert_int_equal(X509_add_ext(ca, extension, -1), 1);
		X509_EXTENSION_free(extension);
	}
	assert_true(X509_sign(ca, key, EVP_sha256()) > 0);
	return ca;
}

/* What the token does with a TBS: signs it as it is. */
static struct sg_blob sign_tbs(const struct sg_blob *tbs, EVP_PKEY *key)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	struct sg_blob algorithm, signature, der;
	unsigned char room[1024];
	size_t len = sizeof(room);

	assert_int_equal(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key), 1);
	assert_int_equal(EVP_DigestSign(ctx, room, &len, tbs->data, tbs->len), 1);
	EVP_MD_CTX_free(ctx);
	signature = blob_of(room, len);
	assert_int_equal(sg_x509_algorithm_sha256(EVP_PKEY_get_base_id(key), &algorithm), 0);
	assert_int_equal(sg_x509_assemble(tbs, &algorithm, &signature, &der), 0);
	sg_blob_clear(&signature);
	sg_blob_clear(&algorithm);
	return der;
}

static void assert_extension(X509 *cert, int nid, int critical, const char *text)
{
	int at = X509_get_ext_by_NID(cert, nid, -1);
	BIO *bio = BIO_new(BIO_s_mem());
	X509_EXTENSION *extension;
	char *data;
	long len;

	assert_true(at >= 0);
	assert_int_equal(X509_get_ext_by_NID(cert, nid, at), -1);
	extension = X509_get_ext(cert, at);
	assert_int_equal(X509_EXTENSION_get_critical(extension), critical);
	assert_int_equal(X509V3_EXT_print(bio, extension, 0, 0), 1);
	len = BIO_get_mem_data(bio, &data);
	assert_int_equal(len, strlen(text));
	assert_memory_equal(data, text, (size_t)len);
	BIO_free(bio);
}

static void check_issued(X509 *cert, X509 *ca, EVP_PKEY *ca_key, const unsigned char *serial)
{
	const ASN1_OCTET_STRING *ski = X509_get0_subject_key_id(cert);
	const ASN1_INTEGER *number = X509_get0_serialNumber(cert);
	char **jids, name[64];
	size_t others;

	assert_int_equal(X509_verify(cert, ca_key), 1);
	assert_int_equal(X509_check_issued(ca, cert), X509_V_OK);
	assert_int_equal(X509_get_version(cert), X509_VERSION_3);
	assert_int_equal(X509_NAME_entry_count(X509_get_subject_name(cert)), 1);
	X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, name, sizeof(name));
	assert_string_equal(name, JULIET);
	assert_int_equal(sg_x509_cert_jids(cert, &jids, &others), 0);
	assert_string_equal(jids[0], JULIET);
	assert_null(jids[1]);
	assert_int_equal(others, 0);
	sg_strv_free(jids);
	assert_int_equal(number->length, SG_SERIAL_LEN);
	assert_memory_equal(number->data, serial, SG_SERIAL_LEN);
	assert_int_equal(X509_get_ext_count(cert), 6);
	assert_extension(cert, NID_basic_constraints, 1, "CA:FALSE");
	assert_extension(cert, NID_key_usage, 1, "Digital Signature");
	assert_extension(cert, NID_ext_key_usage, 0,
	    "TLS Web Client Authentication, TLS Web Server Authentication");
	assert_non_null(ski);
	assert_int_equal(
	    ASN1_OCTET_STRING_cmp(X509_get0_authority_key_id(cert), X509_get0_subject_key_id(ca)),
	    0);
	assert_int_equal(X509_get_signature_nid(cert),
	    EVP_PKEY_is_a(ca_key, "RSA") ? NID_sha256WithRSAEncryption : NID_ecdsa_with_SHA256);
}

static void issue_with(EVP_PKEY *ca_key)
{
	/* asks for what it must not get */
	const struct recipe greedy = {
		.cn = "CN of my own", .jids = { JULIET }, .dns = "xmpp.test"
	};
	EVP_PKEY *key = EVP_EC_gen("P-256");
	unsigned char serial[SG_SERIAL_LEN];
	struct sg_blob csr_der = make_csr(&greedy, key), tbs, der;
	X509 *ca = make_ca(ca_key), *cert;
	struct sg_cert_wish wish = { .ca = ca, .account = JULIET, .serial = serial };
	const char *why;

	wish.not_before = NOW - 300;
	wish.not_after = NOW + 365 * DAY;
	assert_int_equal(sg_profile_serial(serial), 0);
	assert_int_equal(sg_x509_csr_parse(&csr_der, &wish.csr), 0);
	assert_int_equal(sg_profile_certificate(&wish, &tbs), 0);
	der = sign_tbs(&tbs, ca_key);
	assert_int_equal(sg_x509_cert_parse(&der, &cert), 0);
	check_issued(cert, ca, ca_key, serial);
	assert_int_equal(sg_x509_check_issued(&der, &csr_der, JULIET, NOW, &why), 0);
	assert_int_equal(X509_cmp_time(X509_get0_notBefore(cert), &wish.not_before), -1);
	wish.not_before--;
	assert_int_equal(X509_cmp_time(X509_get0_notBefore(cert), &wish.not_before), 1);
	assert_int_equal(X509_cmp_time(X509_get0_notAfter(cert), &wish.not_after), -1);
	X509_free(cert);
	X509_free(ca);
	X509_REQ_free(wish.csr);
	sg_blob_clear(&csr_der);
	sg_blob_clear(&tbs);
	sg_blob_clear(&der);
	EVP_PKEY_free(key);
}

static void what_is_issued(void **state)
{
	EVP_PKEY *rsa = EVP_RSA_gen(2048), *ec = EVP_EC_gen("P-384");

	issue_with(rsa);
	issue_with(ec);
	EVP_PKEY_free(rsa);
	EVP_PKEY_free(ec);
}

static void a_long_jid_and_a_far_end(void **state)
{
	EVP_PKEY *ca_key = EVP_EC_gen("P-256");
	char *local = many('x', 1000), *account = text_of("%s@xmpp.test", local);
	unsigned char serial[SG_SERIAL_LEN];
	struct sg_blob csr_der = make_csr(&plain, ca_key), tbs, der;
	X509 *ca = make_ca(ca_key), *cert;
	struct sg_cert_wish wish = { .ca = ca, .account = account, .serial = serial };
	char **jids;

	wish.not_before = NOW;
	wish.not_after = (time_t)2600000000; /* after 2050: GeneralizedTime */
	assert_int_equal(sg_profile_serial(serial), 0);
	assert_int_equal(sg_x509_csr_parse(&csr_der, &wish.csr), 0);
	assert_int_equal(sg_profile_certificate(&wish, &tbs), 0);
	der = sign_tbs(&tbs, ca_key);
	assert_int_equal(sg_x509_cert_parse(&der, &cert), 0);
	assert_int_equal(X509_get0_notAfter(cert)->type, V_ASN1_GENERALIZEDTIME);
	assert_int_equal(sg_x509_cert_jids(cert, &jids, NULL), 0);
	assert_string_equal(jids[0], account);
	sg_strv_free(jids);
	X509_free(cert);
	X509_free(ca);
	X509_REQ_free(wish.csr);
	sg_blob_clear(&csr_der);
	sg_blob_clear(&tbs);
	sg_blob_clear(&der);
	free(local);
	free(account);
	EVP_PKEY_free(ca_key);
}

static void a_ca_key_that_cannot_sign(void **state)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	X509 *ca = X509_new(), *cert;
	X509_CRL *crl;

	assert_int_equal(X509_set_pubkey(ca, key), 1);
	assert_int_equal(sg_shell_certificate(ca, key, &cert), SG_ERR_MECHANISM);
	assert_null(cert);
	assert_int_equal(sg_shell_crl(ca, &crl), SG_ERR_MECHANISM);
	assert_null(crl);
	X509_free(ca);
	EVP_PKEY_free(key);
}

static void revoke_one(struct sg_ledger *ledger, unsigned char number, time_t not_after)
{
	unsigned char serial[SG_SERIAL_LEN] = { 1, number }, csr[32] = { 0 }, hash[32];
	struct sg_blob der = { &number, 1 };
	struct sg_ledger_entry entry = {
		.serial = serial,
		.account = JULIET,
		.name = "",
		.der = &der,
		.csr_sha256 = csr,
		.issued_at = NOW,
		.not_after = not_after,
	};
	char sha256[65];
	int changed;

	assert_int_equal(sg_ledger_add(ledger, &entry, 1, 1000), 0);
	EVP_Digest(&number, 1, hash, NULL, EVP_sha256(), NULL);
	assert_int_equal(
	    sg_ledger_revoke(ledger, JULIET, "sha-256", hash, 32, NOW - 60, sha256, &changed), 1);
}

static void check_crl(X509_CRL *crl, X509 *ca, EVP_PKEY *key)
{
	ASN1_INTEGER *number = X509_CRL_get_ext_d2i(crl, NID_crl_number, NULL, NULL);
	STACK_OF(X509_REVOKED) *revoked = X509_CRL_get_REVOKED(crl);
	const X509_REVOKED *first = sk_X509_REVOKED_value(revoked, 0);
	time_t week = NOW + SG_CRL_DAYS * DAY;

	assert_int_equal(X509_CRL_verify(crl, key), 1);
	assert_int_equal(X509_CRL_get_version(crl), 1);
	assert_int_equal(X509_NAME_cmp(X509_CRL_get_issuer(crl), X509_get_subject_name(ca)), 0);
	assert_int_equal(ASN1_INTEGER_get(number), 4711);
	ASN1_INTEGER_free(number);
	assert_true(X509_CRL_get_ext_by_NID(crl, NID_authority_key_identifier, -1) >= 0);
	assert_int_equal(X509_cmp_time(X509_CRL_get0_nextUpdate(crl), &week), -1);
	assert_int_equal(sk_X509_REVOKED_num(revoked), 2);
	assert_int_equal(X509_REVOKED_get0_serialNumber(first)->data[1], 1);
	assert_int_equal(X509_REVOKED_get_ext_count(first), 0);
}

static void the_list_of_the_revoked(void **state)
{
	char folder[] = "/tmp/signet-crl-XXXXXX", path[64];
	EVP_PKEY *key = EVP_RSA_gen(2048);
	X509 *ca = make_ca(key);
	struct sg_ledger *ledger;
	struct sg_blob tbs, der;
	const unsigned char *p;
	X509_CRL *crl;

	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/ledger.db", folder);
	assert_int_equal(sg_ledger_open(path, &ledger), 0);
	assert_int_equal(sg_crl_tbs(ledger, ca, 1, NOW, &tbs), 0); /* nothing revoked */
	der = sign_tbs(&tbs, key);
	p = der.data;
	crl = d2i_X509_CRL(NULL, &p, (long)der.len);
	assert_non_null(crl);
	assert_null(X509_CRL_get_REVOKED(crl));
	X509_CRL_free(crl);
	sg_blob_clear(&tbs);
	sg_blob_clear(&der);

	revoke_one(ledger, 1, NOW + DAY);
	revoke_one(ledger, 2, NOW - DAY);
	revoke_one(ledger, 3, NOW - 8 * DAY); /* has been on a list after its end */
	assert_int_equal(sg_crl_tbs(ledger, ca, 4711, NOW, &tbs), 0);
	der = sign_tbs(&tbs, key);
	p = der.data;
	crl = d2i_X509_CRL(NULL, &p, (long)der.len);
	assert_non_null(crl);
	check_crl(crl, ca, key);
	X509_CRL_free(crl);
	sg_blob_clear(&tbs);
	sg_blob_clear(&der);
	sg_ledger_close(ledger);
	X509_free(ca);
	EVP_PKEY_free(key);
	assert_int_equal(remove(path), 0);
	assert_int_equal(remove(folder), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_that_are_the_senders),
		cmocka_unit_test(a_name_that_cannot_be_read),
		cmocka_unit_test(keys_that_are_accepted),
		cmocka_unit_test(keys_that_are_not),
		cmocka_unit_test(digests_of_the_signature),
		cmocka_unit_test(an_rsa_key_that_is_too_large),
		cmocka_unit_test(a_curve_that_is_spelled_out),
		cmocka_unit_test(the_configuration_chooses_kinds),
		cmocka_unit_test(the_configuration_chooses_sizes),
		cmocka_unit_test(kinds_as_text),
		cmocka_unit_test(bytes_that_are_no_request),
		cmocka_unit_test(serials_are_positive_and_whole),
		cmocka_unit_test(what_is_issued),
		cmocka_unit_test(a_long_jid_and_a_far_end),
		cmocka_unit_test(a_ca_key_that_cannot_sign),
		cmocka_unit_test(the_list_of_the_revoked),
	};

	return cmocka_run_group_tests_name("authority_profile", tests, NULL, NULL);
}
