#include "ca.h"

#include <string.h>

#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "issue.h"
#include "key_find.h"
#include "x509.h"

static int is_algorithm(const X509_ALGOR *got, const struct sg_blob *wanted)
{
	unsigned char *bytes = NULL;

	return sg_x509_is_der(i2d_X509_ALGOR(got, &bytes), &bytes, wanted);
}

/* Gives NULL when it may be signed, or why not. */
static const char *cert_fault(
    X509 *cert, const struct sg_blob *tbs, const struct sg_blob *algorithm)
{
	unsigned char *bytes = NULL;
	char **jids = NULL;
	size_t others = 0;
	int one;

	if (!sg_x509_is_der(i2d_re_X509_tbs(cert, &bytes), &bytes, tbs))
		return "it is not in DER";
	if (!is_algorithm(X509_get0_tbs_sigalg(cert), algorithm))
		return "its algorithm is not SHA-256 with the key's type";
	if (X509_get_version(cert) != X509_VERSION_3)
		return "it is not of version 3";
	if (X509_get_ext_by_NID(cert, NID_basic_constraints, -1) < 0 ||
	    !X509_EXTENSION_get_critical(
		X509_get_ext(cert, X509_get_ext_by_NID(cert, NID_basic_constraints, -1))) ||
	    (X509_get_extension_flags(cert) & (EXFLAG_CA | EXFLAG_INVALID)) != 0)
		return "its basicConstraints are not critical with CA:FALSE";
	if (!(X509_get_extension_flags(cert) & EXFLAG_KUSAGE) ||
	    (X509_get_key_usage(cert) & (X509v3_KU_KEY_CERT_SIGN | X509v3_KU_CRL_SIGN)) != 0)
		return "its keyUsage is absent or that of a CA";
	if (sg_x509_cert_jids(cert, &jids, &others) != 0)
		return "its subjectAltName cannot be read";
	one = jids != NULL && jids[0] != NULL && jids[1] == NULL && others == 0;
	sg_strv_free(jids);
	return one ? NULL : "it does not hold exactly one xmppAddr";
}

/* OpenSSL shows a list's outer algorithm alone: the inner one stands after the version (RFC 5280
 * 5.1). */
static int is_crl_algorithm(const struct sg_blob *tbs, const struct sg_blob *algorithm)
{
	static const unsigned char version_2[] = { V_ASN1_INTEGER, 1, 1 };
	const unsigned char *pos = tbs->data;
	size_t left;
	int tag, class;
	long len;

	if (ASN1_get_object(&pos, &len, &tag, &class, (long)tbs->len) & 0x80)
		return 0;
	left = tbs->len - (size_t)(pos - tbs->data);
	return left > sizeof(version_2) + algorithm->len &&
	    memcmp(pos, version_2, sizeof(version_2)) == 0 &&
	    memcmp(pos + sizeof(version_2), algorithm->data, algorithm->len) == 0;
}

static const char *crl_fault(
    const struct sg_blob *whole, const struct sg_blob *tbs, const struct sg_blob *algorithm)
{
	const unsigned char *pos = whole->data;
	X509_CRL *crl = d2i_X509_CRL(NULL, &pos, (long)whole->len);
	unsigned char *bytes = NULL;
	const char *fault = NULL;

	if (crl == NULL || pos != whole->data + whole->len) {
		X509_CRL_free(crl);
		return "it is no revocation list";
	}
	if (!sg_x509_is_der(i2d_re_X509_CRL_tbs(crl, &bytes), &bytes, tbs))
		fault = "it is not in DER";
	else if (!is_crl_algorithm(tbs, algorithm))
		fault = "it is not of version 2 with SHA-256 and the key's type";
	X509_CRL_free(crl);
	return fault;
}

static int tbs_check(
    const struct sg_msg_ca_sign *request, const struct sg_key *key, struct sg_msg_error *error)
{
	static unsigned char nothing[1];
	const struct sg_blob signature = { nothing, sizeof(nothing) };
	struct sg_blob algorithm = { 0 }, whole = { 0 };
	const char *fault = "it is no certificate";
	X509 *cert = NULL;
	int err;

	err =
	    sg_x509_algorithm_sha256(key->type == CKK_RSA ? EVP_PKEY_RSA : EVP_PKEY_EC, &algorithm);
	if (err != 0)
		goto out;
	/* OpenSSL parses whole objects: put one together with a signature that is none. */
	err = sg_x509_assemble(&request->tbs, &algorithm, &signature, &whole);
	if (err == SG_ERR_NOMEM || err == SG_ERR_INTERNAL)
		goto out;
	if (err != 0)
		fault = "it is cut short, or too long";
	else if (request->kind == SG_CA_CRL)
		fault = crl_fault(&whole, &request->tbs, &algorithm);
	else if (request->kind == SG_CA_CERT && sg_x509_cert_parse(&whole, &cert) == 0)
		fault = cert_fault(cert, &request->tbs, &algorithm);
	if (fault != NULL) {
		err = SG_ERR_FORMAT;
		sg_msg_error_set(error, err, NULL, "an authority does not sign this: %s", fault);
	}
out:
	X509_free(cert);
	sg_blob_clear(&algorithm);
	sg_blob_clear(&whole);
	return err;
}

int sg_ca_sign(struct sg_module *module, const struct sg_msg_ca_sign *request, struct sg_blob *der,
    struct sg_msg_error *error)
{
	struct sg_key *key = NULL;
	int err;

	memset(der, 0, sizeof(*der));
	if (!module->authority) {
		sg_msg_error_set(error, SG_ERR_DENIED, NULL,
		    "only an authority signs certificates and revocation lists");
		return SG_ERR_DENIED;
	}
	err = sg_key_find(module, request->key, NULL, &key, error);
	if (err == 0)
		err = tbs_check(request, key, error);
	if (err == 0)
		err = sg_issue_sign(key, &request->tbs, der, error);
	sg_key_unref(key);
	return err;
}
