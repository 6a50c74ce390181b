#include "profile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/asn1.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "log.h"
#include "shell.h"
#include "text.h"
#include "x509.h"

static const struct {
	const char *name;
	unsigned int kind;
} subject_keys_table[] = {
	{ "rsa", SG_SUBJECT_KEY_RSA },
	{ "rsa2048", SG_SUBJECT_KEY_RSA2048 },
	{ "rsa3072", SG_SUBJECT_KEY_RSA3072 },
	{ "rsa4096", SG_SUBJECT_KEY_RSA4096 },
	{ "p256", SG_SUBJECT_KEY_P256 },
	{ "p384", SG_SUBJECT_KEY_P384 },
	{ "p521", SG_SUBJECT_KEY_P521 },
	{ "ed25519", SG_SUBJECT_KEY_ED25519 },
};

unsigned int sg_subject_key_from_name(const char *name)
{
	for (size_t i = 0; i < sizeof(subject_keys_table) / sizeof(subject_keys_table[0]); i++)
		if (strcmp(name, subject_keys_table[i].name) == 0)
			return subject_keys_table[i].kind;
	return 0;
}

void sg_subject_keys_text(unsigned int kinds, char *text, size_t size)
{
	size_t len = 0;

	*text = '\0';
	for (size_t i = 0; i < sizeof(subject_keys_table) / sizeof(subject_keys_table[0]); i++) {
		if (kinds & subject_keys_table[i].kind && len < size)
			len += (size_t)snprintf(text + len, size - len, "%s%s", len ? ", " : "",
			    subject_keys_table[i].name);
	}
}

/* An exponent of 1 makes every signature good; a huge one makes every check slow. */
static int rsa_exponent_is_sound(EVP_PKEY *key)
{
	BIGNUM *e = NULL;
	int sound;

	sound = EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &e) && BN_is_odd(e) &&
	    !BN_is_one(e) && BN_num_bits(e) <= 64;
	BN_free(e);
	return sound;
}

/*
 * The kinds that the key is of, 0 for one that is never certified. Then *why says what is wrong, or is NULL when the
 * kinds that are allowed say it.
 */
static unsigned int subject_key(EVP_PKEY *key, unsigned int allowed, const char **why)
{
	char room[16];
	const char *name = sg_x509_key_algorithm(key, room);
	int explicit_curve = 0;

	*why = NULL;
	if (EVP_PKEY_is_a(key, "RSA")) {
		int bits = EVP_PKEY_get_bits(key);

		if (bits >= SG_RSA_BITS_MIN && bits <= SG_RSA_BITS_MAX &&
		    rsa_exponent_is_sound(key))
			return SG_SUBJECT_KEY_RSA | sg_subject_key_from_name(name);
		if (allowed & SG_SUBJECT_KEY_RSA)
			*why = "The RSA key must have 2048 to 8192 bits and an ordinary exponent.";
		return 0;
	}
	/* a curve that is spelled out is refused by TLS stacks even if it is a known one */
	if (EVP_PKEY_is_a(key, "EC") &&
	    EVP_PKEY_get_int_param(
		key, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS, &explicit_curve) &&
	    explicit_curve) {
		*why = "The key's curve is spelled out. Make a key on a curve that is named.";
		return 0;
	}
	return sg_subject_key_from_name(name);
}

/* Whether what looks like a JID is the account's bare JID; a resource makes it another. */
static int is_account(const char *jid, const char *account)
{
	char *bare = sg_jid_bare(jid);
	int same = bare != NULL && strchr(jid, '/') == NULL && strcmp(bare, account) == 0;

	free(bare);
	return same;
}

/* Whether a part of the name (a common name, an e-mail address, a user id) asks for a JID that is not the
 * account's. */
static int name_asks_for_other(const X509_NAME *name, const char *account)
{
	int other = 0;

	for (int i = 0; !other && i < X509_NAME_entry_count(name); i++) {
		const ASN1_STRING *value = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, i));
		unsigned char *utf8 = NULL;
		int len = ASN1_STRING_to_UTF8(&utf8, value);

		if (len < 0 || memchr(utf8, '\0', (size_t)len) != NULL)
			other = 1; /* what cannot be read is not the account's */
		else if (memchr(utf8, '@', (size_t)len) != NULL)
			other = !is_account((const char *)utf8, account);
		OPENSSL_free(utf8);
	}
	return other;
}

/* The text of a name that is no xmppAddr, NULL for one of another kind: of an e-mail address or a URI, or
 * of an otherName that is a string. Borrowed. */
static const ASN1_STRING *text_of_name(const GENERAL_NAME *name)
{
	const ASN1_TYPE *value;

	if (name->type == GEN_EMAIL)
		return name->d.rfc822Name;
	if (name->type == GEN_URI)
		return name->d.uniformResourceIdentifier;
	if (name->type != GEN_OTHERNAME)
		return NULL;
	value = name->d.otherName->value;
	if (value->type != V_ASN1_UTF8STRING && value->type != V_ASN1_IA5STRING &&
	    value->type != V_ASN1_PRINTABLESTRING && value->type != V_ASN1_BMPSTRING)
		return NULL;
	return value->value.asn1_string;
}

/* Whether the text of such a name is somebody's who is not the account: user@domain as it stands, or
 * anything in a URI of these two schemes (RFC 5122, RFC 6068). */
static int text_asks_for_other(int type, const char *text, const char *account)
{
	static const char *const schemes[] = { "xmpp:", "mailto:" };
	char *jid;
	int other;

	if (type != GEN_URI)
		return strchr(text, '@') != NULL && !is_account(text, account);
	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		size_t len = strlen(schemes[i]);

		if (strncasecmp(text, schemes[i], len) != 0)
			continue;
		jid = sg_percent_decode(text + len, strcspn(text + len, "?#"));
		other = jid == NULL || !is_account(jid, account);
		free(jid);
		return other;
	}
	return 0;
}

/* Whether another kind of alternative name, which would be left out of the certificate, names somebody else:
 * who asked for that must not take the certificate for it. */
static int other_name_asks_for_other(X509_REQ *csr, const char *account)
{
	STACK_OF(X509_EXTENSION) *extensions = X509_REQ_get_extensions(csr);
	GENERAL_NAMES *names = X509V3_get_d2i(extensions, NID_subject_alt_name, NULL, NULL);
	int other = 0;

	for (int i = 0; !other && i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
		const ASN1_STRING *value = text_of_name(name);
		unsigned char *utf8 = NULL;
		int len = value != NULL ? ASN1_STRING_to_UTF8(&utf8, value) : 0;

		if (name->type == GEN_DIRNAME)
			other = name_asks_for_other(name->d.directoryName, account);
		else if (len < 0 || (len > 0 && memchr(utf8, '\0', (size_t)len) != NULL))
			other = 1; /* what cannot be read is not the account's */
		else if (len > 0)
			other = text_asks_for_other(name->type, (const char *)utf8, account);
		OPENSSL_free(utf8);
	}
	GENERAL_NAMES_free(names);
	sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
	return other;
}

static enum sg_csr_verdict judge_names(X509_REQ *csr, const char *account, const char **why)
{
	char **jids = NULL;
	enum sg_csr_verdict verdict = SG_CSR_GOOD;
	int err = sg_x509_csr_jids(csr, &jids, NULL);

	if (err != 0) {
		*why = "The subject alternative name of the request cannot be read. Ask for one "
		       "xmppAddr, as "
		       "UTF8String.";
		return err == SG_ERR_NOMEM ? SG_CSR_FAILED : SG_CSR_BAD_REQUEST;
	}
	for (size_t i = 0; jids != NULL && jids[i] != NULL; i++)
		if (!is_account(jids[i], account))
			verdict = SG_CSR_FORBIDDEN;
	if (name_asks_for_other(X509_REQ_get_subject_name(csr), account) ||
	    other_name_asks_for_other(csr, account))
		verdict = SG_CSR_FORBIDDEN;
	if (verdict)
		*why = "The request asks for a JID that is not your own bare JID. Ask for that "
		       "one, or for "
		       "none.";
	sg_strv_free(jids);
	return verdict;
}

/* The digest of RSA-PSS stands in the parameters, SHA-1 when it does not (RFC 4055 3.1). */
static int pss_digest(const X509_ALGOR *algorithm)
{
	const ASN1_OBJECT *hash;
	RSA_PSS_PARAMS *pss;
	const void *value;
	int type, nid = NID_sha1;

	X509_ALGOR_get0(NULL, &type, &value, algorithm);
	pss = type == V_ASN1_SEQUENCE ? ASN1_item_unpack(value, ASN1_ITEM_rptr(RSA_PSS_PARAMS))
				      : NULL;
	if (pss != NULL && pss->hashAlgorithm != NULL) {
		X509_ALGOR_get0(&hash, NULL, NULL, pss->hashAlgorithm);
		nid = OBJ_obj2nid(hash);
	}
	RSA_PSS_PARAMS_free(pss);
	return nid;
}

/* C12: SHA-256 or its longer kin. An algorithm that has its digest within (Ed25519) is as good. */
static int is_signed_soundly(const X509_REQ *csr)
{
	const X509_ALGOR *algorithm;
	int nid = X509_REQ_get_signature_nid(csr), digest;

	X509_REQ_get0_signature(csr, NULL, &algorithm);
	if (nid == NID_rsassaPss)
		digest = pss_digest(algorithm);
	else if (!OBJ_find_sigid_algs(nid, &digest, NULL))
		return 0;
	if (digest == NID_undef)
		return nid == NID_ED25519;
	return digest == NID_sha256 || digest == NID_sha384 || digest == NID_sha512;
}

static enum sg_csr_verdict judge_key(X509_REQ *csr, unsigned int subject_keys, const char **why)
{
	EVP_PKEY *key = X509_REQ_get0_pubkey(csr);
	unsigned int kind;

	*why = NULL;
	kind = key != NULL ? subject_key(key, subject_keys, why) : 0;
	if (*why != NULL)
		return SG_CSR_NOT_ACCEPTABLE;
	if (!(kind & subject_keys))
		return SG_CSR_OTHER_KIND;
	if (!is_signed_soundly(csr)) {
		*why = "The request must be signed with SHA-256 or better: SHA-384, SHA-512.";
		return SG_CSR_NOT_ACCEPTABLE;
	}
	/* only now: the size of the key bounds what the check costs */
	if (X509_REQ_verify(csr, key) != 1) {
		*why = "The request's own signature is wrong. Make a new request with your key.";
		return SG_CSR_NOT_ACCEPTABLE;
	}
	*why = NULL;
	return SG_CSR_GOOD;
}

static enum sg_csr_verdict judge_bytes(const struct sg_blob *der, X509_REQ **csr, const char **why)
{
	X509 *cert = NULL;
	int err = sg_x509_csr_parse(der, csr);

	if (err == 0 && X509_REQ_get_version(*csr) != X509_REQ_VERSION_1)
		err = SG_ERR_FORMAT; /* RFC 2986 4.1 knows no other */
	if (err == 0)
		return SG_CSR_GOOD;
	*why = "That is not a certificate signing request (PKCS#10, DER).";
	/* the draft's own example has this slip (C3), so it is worth a word of its own */
	if (err == SG_ERR_FORMAT && sg_x509_cert_parse(der, &cert) == 0)
		*why = "That is a certificate; a certificate signing request is wanted.";
	X509_free(cert);
	return err == SG_ERR_NOMEM ? SG_CSR_FAILED : SG_CSR_BAD_REQUEST;
}

enum sg_csr_verdict sg_profile_judge(const struct sg_blob *der, const char *account,
    unsigned int subject_keys, X509_REQ **csr, const char **why)
{
	enum sg_csr_verdict verdict;

	*csr = NULL;
	*why = NULL;
	verdict = judge_bytes(der, csr, why);
	if (!verdict)
		verdict = judge_key(*csr, subject_keys, why);
	if (!verdict)
		verdict = judge_names(*csr, account, why);
	if (verdict) {
		X509_REQ_free(*csr);
		*csr = NULL;
	}
	ERR_clear_error();
	return verdict;
}

int sg_profile_serial(unsigned char serial[SG_SERIAL_LEN])
{
	do {
		if (RAND_bytes(serial, SG_SERIAL_LEN) != 1)
			return SG_ERR_INTERNAL;
		serial[0] &= 0x7f;
	} while (serial[0] == 0); /* DER would drop a leading zero, and the length with it */
	return 0;
}

/* Adds the extension that a configuration file would give so. */
static int add_text(X509 *cert, X509 *ca, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *extension;
	int ok;

	X509V3_set_ctx(&ctx, ca, cert, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	ok = extension != NULL && X509_add_ext(cert, extension, -1);
	X509_EXTENSION_free(extension);
	return ok ? 0 : SG_ERR_INTERNAL;
}

static int add_jid(X509 *cert, const char *jid)
{
	STACK_OF(X509_EXTENSION) *extensions = NULL;
	int err = sg_x509_add_jid(&extensions, jid);

	for (int i = 0; err == 0 && i < sk_X509_EXTENSION_num(extensions); i++)
		if (!X509_add_ext(cert, sk_X509_EXTENSION_value(extensions, i), -1))
			err = SG_ERR_NOMEM;
	sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
	return err;
}

static int add_extensions(X509 *cert, X509 *ca, const char *jid)
{
	static const struct {
		int nid;
		const char *value;
	} table[] = {
		{ NID_basic_constraints, "critical,CA:FALSE" },
		{ NID_key_usage, "critical,digitalSignature" },
		{ NID_ext_key_usage, "clientAuth,serverAuth" },
		{ NID_subject_key_identifier, "hash" },
		{ NID_authority_key_identifier, "keyid:always" },
	};
	int err = add_jid(cert, jid);

	for (size_t i = 0; err == 0 && i < sizeof(table) / sizeof(table[0]); i++)
		err = add_text(cert, ca, table[i].nid, table[i].value);
	return err;
}

static int set_serial(X509 *cert, const unsigned char *serial)
{
	BIGNUM *number = BN_bin2bn(serial, SG_SERIAL_LEN, NULL);
	int ok = number != NULL && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert)) != NULL;

	BN_free(number);
	return ok ? 0 : SG_ERR_NOMEM;
}

static int set_subject(X509 *cert, const char *account)
{
	X509_NAME *name = X509_NAME_new();
	int ok;

	/* longer than RFC 5280's 64 characters for a long JID, which C11 wants all the same */
	ok = name != NULL &&
	    X509_NAME_add_entry_by_NID(name, NID_commonName, V_ASN1_UTF8STRING,
		(const unsigned char *)account, -1, -1, 0) &&
	    X509_set_subject_name(cert, name);
	X509_NAME_free(name);
	return ok ? 0 : SG_ERR_INTERNAL;
}

int sg_profile_certificate(const struct sg_cert_wish *wish, struct sg_blob *tbs)
{
	X509 *cert = NULL;
	int err;

	memset(tbs, 0, sizeof(*tbs));
	err = sg_shell_certificate(wish->ca, X509_REQ_get0_pubkey(wish->csr), &cert);
	if (err == 0)
		err = set_serial(cert, wish->serial);
	if (err == 0)
		err = set_subject(cert, wish->account);
	if (err == 0 &&
	    (!X509_set_issuer_name(cert, X509_get_subject_name(wish->ca)) ||
		ASN1_TIME_adj(X509_getm_notBefore(cert), wish->not_before, 0, 0) == NULL ||
		ASN1_TIME_adj(X509_getm_notAfter(cert), wish->not_after, 0, 0) == NULL))
		err = SG_ERR_INTERNAL;
	if (err == 0)
		err = add_extensions(cert, wish->ca, wish->account);
	if (err == 0)
		err = sg_shell_certificate_tbs(cert, tbs);
	if (err != 0)
		sg_log(SG_LOG_ERROR, "profile: the certificate could not be made: %s",
		    sg_err_text(err));
	X509_free(cert);
	ERR_clear_error();
	return err;
}
