#include "issue.h"

#include <stdint.h>
#include <string.h>
#include <time.h>

#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "key_find.h"
#include "sign.h"
#include "text.h"
#include "x509.h"

#define CN_MAX	    64	/* ub-common-name, RFC 5280 A.1 */
#define BACKDATE_S  300 /* clocks differ */
#define SERIAL_SIZE 20
#define SKI_SIZE    20

int sg_issue_sign(
    struct sg_key *key, const struct sg_blob *tbs, struct sg_blob *der, struct sg_msg_error *error)
{
	struct sg_blob algorithm = { 0 }, signature = { 0 };
	struct sg_sign_how how;
	int err;

	memset(der, 0, sizeof(*der));
	err = sg_sign_how_sha256(key, &how, error);
	if (err == 0)
		err = sg_x509_algorithm_sha256(
		    key->type == CKK_RSA ? EVP_PKEY_RSA : EVP_PKEY_EC, &algorithm);
	if (err == 0)
		err = sg_sign(key, &how, tbs, &signature, error);
	if (err == 0)
		err = sg_x509_assemble(tbs, &algorithm, &signature, der);
	sg_blob_clear(&algorithm);
	sg_blob_clear(&signature);
	return err;
}

static int account_check(const char *jid, struct sg_msg_error *error)
{
	if (jid != NULL && sg_jid_is_account(jid))
		return 0;
	sg_msg_error_set(error, SG_ERR_ARG, jid, "'%s' is no bare JID", jid != NULL ? jid : "");
	return SG_ERR_ARG;
}

/* The key with a public half, which goes into what is made. */
static int key_get(struct sg_module *module, const char *name, const struct sg_blob *spki_sha256,
    struct sg_key **key, struct sg_msg_error *error)
{
	int err = sg_key_find(module, name, spki_sha256, key, error);

	if (err != 0 || (*key)->public != NULL)
		return err;
	sg_msg_error_set(error, SG_ERR_UNSUPPORTED, (*key)->info.uri,
	    "token '%s' does not show the key's public half", (*key)->token->label);
	sg_key_unref(*key);
	*key = NULL;
	return SG_ERR_UNSUPPORTED;
}

static int name_set(X509_NAME *name, const char *cn)
{
	size_t len = strlen(cn);

	if (len > CN_MAX)
		return 0;
	return X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
		   (const unsigned char *)cn, (int)len, -1, 0) == 1
	    ? 0
	    : SG_ERR_INTERNAL;
}

static int wrong_signature(struct sg_key *key, struct sg_blob *der, struct sg_msg_error *error)
{
	sg_blob_clear(der);
	return sg_sign_unverified(key, error);
}

/* ---- what an authority's certificate is ---- */

static BASIC_CONSTRAINTS *basic_constraints_new(int is_ca)
{
	BASIC_CONSTRAINTS *bc = BASIC_CONSTRAINTS_new();

	if (bc == NULL || !is_ca)
		return bc;
	bc->ca = 0xff;
	bc->pathlen = ASN1_INTEGER_new();
	if (bc->pathlen != NULL && ASN1_INTEGER_set(bc->pathlen, 0))
		return bc;
	BASIC_CONSTRAINTS_free(bc);
	return NULL;
}

/* Bits of RFC 5280 4.2.1.3: digitalSignature; keyCertSign and cRLSign. */
static ASN1_BIT_STRING *key_usage_new(int is_ca)
{
	ASN1_BIT_STRING *usage = ASN1_BIT_STRING_new();
	int ok = usage != NULL;

	if (ok && is_ca)
		ok = ASN1_BIT_STRING_set_bit(usage, 5, 1) && ASN1_BIT_STRING_set_bit(usage, 6, 1);
	else if (ok)
		ok = ASN1_BIT_STRING_set_bit(usage, 0, 1);
	if (ok)
		return usage;
	ASN1_BIT_STRING_free(usage);
	return NULL;
}

/* Of any certificate that is made here, or asked for. */
static int basics_add(STACK_OF(X509_EXTENSION) * *extensions, int is_ca)
{
	BASIC_CONSTRAINTS *bc = basic_constraints_new(is_ca);
	ASN1_BIT_STRING *usage = key_usage_new(is_ca);
	int ok = bc != NULL && usage != NULL &&
	    X509V3_add1_i2d(extensions, NID_basic_constraints, bc, 1, X509V3_ADD_DEFAULT) == 1 &&
	    X509V3_add1_i2d(extensions, NID_key_usage, usage, 1, X509V3_ADD_DEFAULT) == 1;

	BASIC_CONSTRAINTS_free(bc);
	ASN1_BIT_STRING_free(usage);
	return ok ? 0 : SG_ERR_NOMEM;
}

/* An authority's name, which only an authority gives itself. */
static int authority_check(
    const struct sg_module *module, const char *name, struct sg_msg_error *error)
{
	if (!module->authority) {
		sg_msg_error_set(
		    error, SG_ERR_DENIED, NULL, "only an authority makes a CA certificate");
		return SG_ERR_DENIED;
	}
	if (name != NULL && *name && sg_utf8_is_text(name, CN_MAX))
		return 0;
	sg_msg_error_set(error, SG_ERR_ARG, NULL, "a CA's name is a text of 1 to 64 bytes");
	return SG_ERR_ARG;
}

static int no_profile(struct sg_msg_error *error)
{
	sg_msg_error_set(error, SG_ERR_ARG, NULL, "there is no such profile");
	return SG_ERR_ARG;
}

/* ---- PKCS#10 ---- */

static int csr_tbs(
    const struct sg_key *key, const struct sg_msg_csr_make *request, struct sg_blob *tbs)
{
	STACK_OF(X509_EXTENSION) *extensions = NULL;
	X509_REQ *csr = X509_REQ_new();
	unsigned char *bytes = NULL;
	int err = SG_ERR_NOMEM;

	if (csr == NULL || X509_REQ_set_version(csr, X509_REQ_VERSION_1) != 1 ||
	    X509_REQ_set_pubkey(csr, key->public) != 1)
		goto out;
	err = request->nameless ? 0 : name_set(X509_REQ_get_subject_name(csr), request->jid);
	if (err == 0)
		err = request->profile == SG_PROFILE_CA
		    ? basics_add(&extensions, 1)
		    : sg_x509_add_jid(&extensions, request->jid);
	if (err == 0 && X509_REQ_add_extensions(csr, extensions) != 1)
		err = SG_ERR_INTERNAL;
	if (err == 0)
		err = sg_x509_take_der(i2d_re_X509_REQ_tbs(csr, &bytes), &bytes, tbs);
out:
	sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
	X509_REQ_free(csr);
	return err;
}

static int csr_verify(struct sg_key *key, struct sg_blob *der, struct sg_msg_error *error)
{
	X509_REQ *csr = NULL;
	int err;

	err = sg_x509_csr_parse(der, &csr);
	if (err == 0 && X509_REQ_verify(csr, key->public) != 1)
		err = wrong_signature(key, der, error);
	X509_REQ_free(csr);
	return err;
}

int sg_csr_make(struct sg_module *module, const struct sg_msg_csr_make *request,
    struct sg_blob *der, struct sg_msg_error *error)
{
	struct sg_blob tbs = { 0 };
	struct sg_key *key = NULL;
	int err;

	memset(der, 0, sizeof(*der));
	err = request->profile == SG_PROFILE_USER ? account_check(request->jid, error)
	    : request->profile == SG_PROFILE_CA	  ? authority_check(module, request->jid, error)
						  : no_profile(error);
	if (err == 0)
		err = key_get(module, request->key, &request->spki_sha256, &key, error);
	if (err == 0)
		err = csr_tbs(key, request, &tbs);
	if (err == 0)
		err = sg_issue_sign(key, &tbs, der, error);
	if (err == 0)
		err = csr_verify(key, der, error);
	sg_blob_clear(&tbs);
	sg_key_unref(key);
	return err;
}

/* ---- self-signed certificates ---- */

static int serial_set(X509 *cert)
{
	unsigned char bytes[SERIAL_SIZE];
	BIGNUM *number;
	int ok;

	if (RAND_bytes(bytes, sizeof(bytes)) != 1)
		return SG_ERR_INTERNAL;
	/* Positive, and of full length (RFC 5280 4.1.2.2). */
	bytes[0] = (unsigned char)((bytes[0] & 0x7f) | 0x40);
	number = BN_bin2bn(bytes, sizeof(bytes), NULL);
	ok = number != NULL && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert)) != NULL;
	BN_free(number);
	return ok ? 0 : SG_ERR_NOMEM;
}

static int times_set(X509 *cert, uint32_t days)
{
	time_t now = time(NULL);

	/* UTCTime or GeneralizedTime by the year, as RFC 5280 4.1.2.5 has it. */
	if (X509_time_adj_ex(X509_getm_notBefore(cert), 0, -BACKDATE_S, &now) == NULL ||
	    X509_time_adj_ex(X509_getm_notAfter(cert), (int)days, 0, &now) == NULL)
		return SG_ERR_INTERNAL;
	return 0;
}

static int basics_set(X509 *cert, int is_ca)
{
	STACK_OF(X509_EXTENSION) *extensions = NULL;
	int err = basics_add(&extensions, is_ca);

	for (int i = 0; err == 0 && i < sk_X509_EXTENSION_num(extensions); i++)
		if (X509_add_ext(cert, sk_X509_EXTENSION_value(extensions, i), -1) != 1)
			err = SG_ERR_NOMEM;
	sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
	return err;
}

/* RFC 7093 2 (1): SHA-256 cut to 160 bits, so that no policy against SHA-1 is in the way. */
static int key_identifier_set(X509 *cert)
{
	unsigned char hash[EVP_MAX_MD_SIZE];
	ASN1_OCTET_STRING *ski = ASN1_OCTET_STRING_new();
	unsigned len = 0;
	int ok;

	ok = ski != NULL && X509_pubkey_digest(cert, EVP_sha256(), hash, &len) == 1 &&
	    len > SKI_SIZE && ASN1_OCTET_STRING_set(ski, hash, SKI_SIZE) == 1 &&
	    X509_add1_ext_i2d(cert, NID_subject_key_identifier, ski, 0, X509V3_ADD_DEFAULT) == 1;
	ASN1_OCTET_STRING_free(ski);
	return ok ? 0 : SG_ERR_NOMEM;
}

static int jid_set(X509 *cert, const char *jid)
{
	STACK_OF(X509_EXTENSION) *extensions = NULL;
	int err;

	err = sg_x509_add_jid(&extensions, jid);
	if (err == 0 && X509_add_ext(cert, sk_X509_EXTENSION_value(extensions, 0), -1) != 1)
		err = SG_ERR_NOMEM;
	sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
	return err;
}

/*
 * The algorithm stands inside the signed part, where OpenSSL writes it only when it signs by
 * itself; it has no setter, so what its getter gives is written to.
 */
static int algorithm_set(X509 *cert, const struct sg_key *key)
{
	union {
		const X509_ALGOR *got;
		X509_ALGOR *set;
	} algorithm = { .got = X509_get0_tbs_sigalg(cert) };
	int is_rsa = key->type == CKK_RSA;

	return X509_ALGOR_set0(algorithm.set,
		   OBJ_nid2obj(is_rsa ? NID_sha256WithRSAEncryption : NID_ecdsa_with_SHA256),
		   is_rsa ? V_ASN1_NULL : V_ASN1_UNDEF, NULL) == 1
	    ? 0
	    : SG_ERR_NOMEM;
}

/* Stock Prosody refuses a client that has clientAuth alone (C11). */
static int extended_usage_set(X509 *cert)
{
	EXTENDED_KEY_USAGE *usage = sk_ASN1_OBJECT_new_null();
	int ok = usage != NULL && sk_ASN1_OBJECT_push(usage, OBJ_nid2obj(NID_client_auth)) > 0 &&
	    sk_ASN1_OBJECT_push(usage, OBJ_nid2obj(NID_server_auth)) > 0 &&
	    X509_add1_ext_i2d(cert, NID_ext_key_usage, usage, 0, X509V3_ADD_DEFAULT) == 1;

	EXTENDED_KEY_USAGE_free(usage);
	return ok ? 0 : SG_ERR_NOMEM;
}

static int extensions_set(X509 *cert, const struct sg_msg_self_cert_make *request)
{
	int is_ca = request->profile == SG_PROFILE_CA;
	int err;

	err = basics_set(cert, is_ca);
	if (err == 0 && request->profile == SG_PROFILE_CLIENT)
		err = extended_usage_set(cert);
	if (err == 0)
		err = key_identifier_set(cert);
	if (err == 0 && !is_ca)
		err = jid_set(cert, request->jid);
	return err;
}

static int cert_tbs(
    const struct sg_key *key, const struct sg_msg_self_cert_make *request, struct sg_blob *tbs)
{
	X509 *cert = X509_new();
	unsigned char *bytes = NULL;
	int err = SG_ERR_NOMEM;

	if (cert == NULL || X509_set_version(cert, X509_VERSION_3) != 1 ||
	    X509_set_pubkey(cert, key->public) != 1)
		goto out;
	err = name_set(X509_get_subject_name(cert), request->jid);
	if (err == 0)
		err = name_set(X509_get_issuer_name(cert), request->jid);
	if (err == 0)
		err = serial_set(cert);
	if (err == 0)
		err = times_set(cert, request->days);
	if (err == 0)
		err = extensions_set(cert, request);
	if (err == 0)
		err = algorithm_set(cert, key);
	if (err == 0)
		err = sg_x509_take_der(i2d_re_X509_tbs(cert, &bytes), &bytes, tbs);
out:
	X509_free(cert);
	return err;
}

static int cert_verify(struct sg_key *key, struct sg_blob *der, struct sg_msg_error *error)
{
	X509 *cert = NULL;
	int err;

	err = sg_x509_cert_parse(der, &cert);
	if (err == 0 && X509_verify(cert, key->public) != 1)
		err = wrong_signature(key, der, error);
	X509_free(cert);
	return err;
}

static int self_cert_check(const struct sg_module *module,
    const struct sg_msg_self_cert_make *request, struct sg_msg_error *error)
{
	const char *name = request->jid != NULL ? request->jid : "";

	if (request->days == 0 || request->days > SG_DAYS_MAX) {
		sg_msg_error_set(error, SG_ERR_ARG, NULL, "a certificate is valid for 1 to %d days",
		    SG_DAYS_MAX);
		return SG_ERR_ARG;
	}
	if (request->profile == SG_PROFILE_USER || request->profile == SG_PROFILE_CLIENT) {
		/* Subject and issuer must not both be empty. */
		if (strlen(name) <= CN_MAX)
			return account_check(name, error);
		sg_msg_error_set(error, SG_ERR_LIMIT, name,
		    "the JID is longer than the 64 bytes that a certificate's name holds");
		return SG_ERR_LIMIT;
	}
	return request->profile == SG_PROFILE_CA ? authority_check(module, name, error)
						 : no_profile(error);
}

int sg_self_cert_make(struct sg_module *module, const struct sg_msg_self_cert_make *request,
    struct sg_blob *der, struct sg_msg_error *error)
{
	struct sg_blob tbs = { 0 };
	struct sg_key *key = NULL;
	int err;

	memset(der, 0, sizeof(*der));
	err = self_cert_check(module, request, error);
	if (err == 0)
		err = key_get(module, request->key, &request->spki_sha256, &key, error);
	if (err == 0)
		err = cert_tbs(key, request, &tbs);
	if (err == 0)
		err = sg_issue_sign(key, &tbs, der, error);
	if (err == 0)
		err = cert_verify(key, der, error);
	sg_blob_clear(&tbs);
	sg_key_unref(key);
	return err;
}
