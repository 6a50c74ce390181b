#include "authority/intermediate.h"

#include <openssl/x509v3.h>

#include "codecs.h"

struct extension {
	int nid;
	const char *value;
};

#define BASIC                                                                                      \
	{                                                                                          \
		NID_basic_constraints, "critical,CA:TRUE,pathlen:0"                                \
	}
#define USAGE                                                                                      \
	{                                                                                          \
		NID_key_usage, "critical,keyCertSign,cRLSign"                                      \
	}
#define KEY_ID                                                                                     \
	{                                                                                          \
		NID_subject_key_identifier, "hash"                                                 \
	}

/* A certificate that is valid from NOW - 10 to NOW + 10, signed by this digest. */
static X509 *cert_of(const struct extension *extensions, const char *name, const EVP_MD *digest)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();
	X509V3_CTX ctx;

	assert_int_equal(X509_set_version(cert, X509_VERSION_3), 1);
	assert_int_equal(X509_set_pubkey(cert, key), 1);
	if (name != NULL)
		assert_int_equal(X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN",
				     MBSTRING_UTF8, (const unsigned char *)name, -1, -1, 0),
		    1);
	assert_non_null(ASN1_TIME_set(X509_getm_notBefore(cert), NOW - 10));
	assert_non_null(ASN1_TIME_set(X509_getm_notAfter(cert), NOW + 10));
	X509V3_set_ctx(&ctx, cert, cert, NULL, NULL, 0);
	for (; extensions->nid; extensions++) {
		X509_EXTENSION *extension =
		    X509V3_EXT_conf_nid(NULL, &ctx, extensions->nid, extensions->value);

		assert_non_null(extension);
		assert_int_equal(X509_add_ext(cert, extension, -1), 1);
		X509_EXTENSION_free(extension);
	}
	assert_true(X509_sign(cert, key, digest) > 0);
	EVP_PKEY_free(key);
	return cert;
}

static void assert_fault(X509 *cert, time_t now, const char *part)
{
	const char *fault = sg_intermediate_fault(cert, now);

	if ((fault == NULL) != (part == NULL) || (part != NULL && strstr(fault, part) == NULL))
		fail_msg("'%s' is not '%s'", fault != NULL ? fault : "", part != NULL ? part : "");
}

static void what_can_issue(void **state)
{
	static const struct extension good[][6] = {
		{ BASIC, USAGE, KEY_ID },
		{ { NID_basic_constraints, "CA:TRUE" }, USAGE, KEY_ID },
		{ BASIC, { NID_key_usage, "digitalSignature,keyCertSign,cRLSign" }, KEY_ID },
		{ BASIC, USAGE, KEY_ID,
		    { NID_ext_key_usage, "clientAuth,serverAuth,emailProtection" } },
		{ BASIC, USAGE, KEY_ID, { NID_ext_key_usage, "anyExtendedKeyUsage" } },
	};
	const EVP_MD *digests[] = { EVP_sha256(), EVP_sha384(), EVP_sha512() };
	X509 *cert;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		cert = cert_of(good[i], "CA", digests[i % 3]);
		assert_fault(cert, NOW, NULL);
		X509_free(cert);
	}
}

static void what_cannot(void **state)
{
	static const struct {
		struct extension extensions[6];
		const char *why;
	} bad[] = {
		{ { USAGE, KEY_ID }, "CA:TRUE" },
		{ { { NID_basic_constraints, "CA:FALSE" }, USAGE, KEY_ID }, "CA:TRUE" },
		{ { BASIC, KEY_ID }, "keyUsage" },
		{ { BASIC, { NID_key_usage, "keyCertSign" }, KEY_ID }, "keyUsage" },
		{ { BASIC, { NID_key_usage, "cRLSign" }, KEY_ID }, "keyUsage" },
		{ { BASIC, USAGE }, "subjectKeyIdentifier" },
		{ { BASIC, USAGE, KEY_ID, { NID_ext_key_usage, "serverAuth" } }, "clientAuth" },
		{ { BASIC, USAGE, KEY_ID, { NID_ext_key_usage, "clientAuth" } }, "clientAuth" },
		{ { BASIC, USAGE, KEY_ID, BASIC }, "malformed" },
		{ { BASIC, USAGE, KEY_ID, { NID_netscape_comment, "critical,x" } }, "malformed" },
	};
	X509 *cert;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		cert = cert_of(bad[i].extensions, "CA", EVP_sha256());
		assert_fault(cert, NOW, bad[i].why);
		X509_free(cert);
	}
}

static void name_digest_and_time(void **state)
{
	static const struct extension good[] = { BASIC, USAGE, KEY_ID, { 0, NULL } };
	X509 *cert = cert_of(good, NULL, EVP_sha256());

	assert_fault(cert, NOW, "subject is empty");
	X509_free(cert);
	cert = cert_of(good, "CA", EVP_sha1());
	assert_fault(cert, NOW, "SHA-256 or better");
	X509_free(cert);
	cert = cert_of(good, "CA", EVP_sha256());
	assert_fault(cert, NOW - 9, NULL);
	assert_fault(cert, NOW - 11, "not valid yet");
	assert_fault(cert, NOW + 9, NULL);
	assert_fault(cert, NOW + 11, "expired");
	X509_free(cert);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_can_issue),
		cmocka_unit_test(what_cannot),
		cmocka_unit_test(name_digest_and_time),
	};

	return cmocka_run_group_tests_name("authority_intermediate", tests, NULL, NULL);
}
