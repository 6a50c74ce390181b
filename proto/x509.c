#include "x509.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "hash.h"
#include "text.h"

#define SKEW_S	      300  /* clock skew allowed when judging a certificate from the server, C4 */
#define XMPP_ADDR_MAX 3071 /* bytes of a JID, RFC 7622 3.1 */

int sg_x509_take_der(int len, unsigned char **bytes, struct sg_blob *der)
{
	int err;

	*der = (struct sg_blob){ 0 };
	err = len > 0 ? sg_blob_set(der, *bytes, (size_t)len) : SG_ERR_INTERNAL;
	OPENSSL_free(*bytes);
	*bytes = NULL;
	return err;
}

int sg_x509_is_der(int len, unsigned char **bytes, const struct sg_blob *der)
{
	int is = len > 0 && (size_t)len == der->len && memcmp(*bytes, der->data, der->len) == 0;

	OPENSSL_free(*bytes);
	*bytes = NULL;
	return is;
}

static int check_size(const struct sg_blob *der)
{
	if (der->len > SG_X509_DER_MAX)
		return SG_ERR_LIMIT;
	return der->len > 0 ? 0 : SG_ERR_FORMAT;
}

/* What is parsed must be encoded to the very bytes that came: no other encoding, nothing behind it. */
int sg_x509_cert_parse(const struct sg_blob *der, X509 **cert)
{
	const unsigned char *pos = der->data;
	unsigned char *again = NULL;
	int len, err;

	*cert = NULL;
	err = check_size(der);
	if (err != 0)
		return err;
	ERR_set_mark();
	*cert = d2i_X509(NULL, &pos, (long)der->len);
	/* OpenSSL keeps the signed part as it came, and would give BER in it back as BER. (Names and the
	 * insides of extensions are still as they came.) */
	len = *cert != NULL && i2d_re_X509_tbs(*cert, NULL) > 0 ? i2d_X509(*cert, &again) : -1;
	ERR_pop_to_mark();
	if (sg_x509_is_der(len, &again, der))
		return 0;
	X509_free(*cert);
	*cert = NULL;
	return SG_ERR_FORMAT;
}

int sg_x509_csr_parse(const struct sg_blob *der, X509_REQ **csr)
{
	const unsigned char *pos = der->data;
	unsigned char *again = NULL;
	int len, err;

	*csr = NULL;
	err = check_size(der);
	if (err != 0)
		return err;
	ERR_set_mark();
	*csr = d2i_X509_REQ(NULL, &pos, (long)der->len);
	/* what is signed is kept as it came, in BER as well: have it written anew, by DER */
	if (*csr != NULL && i2d_re_X509_REQ_tbs(*csr, &again) > 0) {
		OPENSSL_free(again);
		again = NULL;
	}
	len = *csr != NULL ? i2d_X509_REQ(*csr, &again) : -1;
	ERR_pop_to_mark();
	if (sg_x509_is_der(len, &again, der))
		return 0;
	X509_REQ_free(*csr);
	*csr = NULL;
	return SG_ERR_FORMAT;
}

int sg_x509_cert_der(X509 *cert, struct sg_blob *der)
{
	unsigned char *bytes = NULL;

	return sg_x509_take_der(i2d_X509(cert, &bytes), &bytes, der);
}

char *sg_x509_fingerprint(const struct sg_blob *der, const char *hash)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned int len = 0;
	const EVP_MD *md;

	if (strcmp(hash, "sha1") == 0)
		md = sg_hash_sha1();
	else if (strcmp(hash, "sha256") == 0)
		md = sg_hash_sha256();
	else if (strcmp(hash, "sha512") == 0)
		md = EVP_sha512();
	else
		return NULL;
	if (EVP_Digest(der->data, der->len, digest, &len, md, NULL) != 1)
		return NULL;
	return sg_hex_encode(digest, len);
}

void sg_strv_free(char **strings)
{
	if (strings == NULL)
		return;
	for (size_t i = 0; strings[i] != NULL; i++)
		free(strings[i]);
	free(strings);
}

size_t sg_strv_count(char *const *strings)
{
	size_t count = 0;

	while (strings[count] != NULL)
		count++;
	return count;
}

char **sg_strv_copy(char *const *strings, size_t count)
{
	char **copy = calloc(count + 1, sizeof(*copy));

	for (size_t i = 0; copy != NULL && i < count; i++) {
		copy[i] = strdup(strings[i]);
		if (copy[i] == NULL) {
			sg_strv_free(copy);
			return NULL;
		}
	}
	return copy;
}

/* The JID of an otherName xmppAddr, checked; 0 and NULL for any other kind of name. */
static int general_name_jid(const GENERAL_NAME *name, char **jid)
{
	const ASN1_TYPE *value;
	const unsigned char *text;
	size_t len;

	*jid = NULL;
	if (name->type != GEN_OTHERNAME)
		return 0;
	if (OBJ_obj2nid(name->d.otherName->type_id) != NID_XmppAddr)
		return 0;
	value = name->d.otherName->value;
	if (value == NULL || value->type != V_ASN1_UTF8STRING)
		return SG_ERR_FORMAT;
	text = ASN1_STRING_get0_data(value->value.utf8string);
	len = (size_t)ASN1_STRING_length(value->value.utf8string);
	if (len == 0 || memchr(text, 0, len) != NULL)
		return SG_ERR_FORMAT;
	*jid = strndup((const char *)text, len);
	if (*jid == NULL)
		return SG_ERR_NOMEM;
	if (!sg_utf8_is_text(*jid, XMPP_ADDR_MAX)) {
		free(*jid);
		*jid = NULL;
		return SG_ERR_FORMAT;
	}
	return 0;
}

static int general_names_jids(const GENERAL_NAMES *names, char ***jids, size_t *others)
{
	int count = sk_GENERAL_NAME_num(names);
	size_t found = 0, other = 0;
	char **list;
	int err;

	list = calloc((size_t)(count > 0 ? count : 0) + 1, sizeof(*list));
	if (list == NULL)
		return SG_ERR_NOMEM;
	for (int i = 0; i < count; i++) {
		err = general_name_jid(sk_GENERAL_NAME_value(names, i), &list[found]);
		if (err != 0) {
			sg_strv_free(list);
			return err;
		}
		if (list[found] != NULL)
			found++;
		else
			other++;
	}
	*jids = list;
	if (others != NULL)
		*others = other;
	return 0;
}

/* Reads the SAN by its ASN.1 structure; a search for bytes would also find a name in the subject. */
static int extensions_jids(
    const STACK_OF(X509_EXTENSION) * extensions, char ***jids, size_t *others)
{
	const ASN1_OCTET_STRING *octets;
	const unsigned char *pos, *end;
	GENERAL_NAMES *names = NULL;
	int at, err = SG_ERR_FORMAT;

	at = X509v3_get_ext_by_NID(extensions, NID_subject_alt_name, -1);
	if (at >= 0) {
		if (X509v3_get_ext_by_NID(extensions, NID_subject_alt_name, at) >= 0)
			return SG_ERR_FORMAT;
		octets = X509_EXTENSION_get_data(X509v3_get_ext(extensions, at));
		pos = ASN1_STRING_get0_data(octets);
		end = pos + ASN1_STRING_length(octets);
		ERR_set_mark();
		names = d2i_GENERAL_NAMES(NULL, &pos, end - pos);
		ERR_pop_to_mark();
		if (names == NULL || pos != end)
			goto out;
	}
	err = general_names_jids(names, jids, others);
out:
	GENERAL_NAMES_free(names);
	return err;
}

int sg_x509_cert_jids(X509 *cert, char ***jids, size_t *others)
{
	*jids = NULL;
	if (others != NULL)
		*others = 0;
	return extensions_jids(X509_get0_extensions(cert), jids, others);
}

/*
 * The extensions that a request asks for. X509_REQ_get_extensions() looks at the first
 * extensionRequest only; a second one, that another reader might take, is refused here.
 */
static int csr_extensions(X509_REQ *csr, STACK_OF(X509_EXTENSION) * *extensions)
{
	const unsigned char *pos, *end;
	X509_ATTRIBUTE *found = NULL, *attribute;
	const ASN1_TYPE *value;
	int nid;

	*extensions = NULL;
	for (int i = 0; i < X509_REQ_get_attr_count(csr); i++) {
		attribute = X509_REQ_get_attr(csr, i);
		nid = OBJ_obj2nid(X509_ATTRIBUTE_get0_object(attribute));
		if (nid != NID_ext_req && nid != NID_ms_ext_req)
			continue;
		if (found != NULL)
			return SG_ERR_FORMAT;
		found = attribute;
	}
	if (found == NULL)
		return 0;
	if (X509_ATTRIBUTE_count(found) != 1)
		return SG_ERR_FORMAT;
	value = X509_ATTRIBUTE_get0_type(found, 0);
	if (value == NULL || value->type != V_ASN1_SEQUENCE)
		return SG_ERR_FORMAT;
	pos = value->value.sequence->data;
	end = pos + value->value.sequence->length;
	ERR_set_mark();
	*extensions = d2i_X509_EXTENSIONS(NULL, &pos, end - pos);
	ERR_pop_to_mark();
	if (*extensions != NULL && pos == end)
		return 0;
	sk_X509_EXTENSION_pop_free(*extensions, X509_EXTENSION_free);
	*extensions = NULL;
	return SG_ERR_FORMAT;
}

int sg_x509_csr_jids(X509_REQ *csr, char ***jids, size_t *others)
{
	STACK_OF(X509_EXTENSION) * extensions;
	int err;

	*jids = NULL;
	if (others != NULL)
		*others = 0;
	err = csr_extensions(csr, &extensions);
	if (err == 0)
		err = extensions_jids(extensions, jids, others);
	sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
	return err;
}

int sg_x509_add_jid(STACK_OF(X509_EXTENSION) * *extensions, const char *jid)
{
	GENERAL_NAMES *names = GENERAL_NAMES_new();
	GENERAL_NAME *name = GENERAL_NAME_new();
	ASN1_TYPE *value = ASN1_TYPE_new();
	ASN1_UTF8STRING *text = ASN1_UTF8STRING_new();
	ASN1_OBJECT *type = OBJ_txt2obj(SG_OID_XMPP_ADDR, 1);
	int err = SG_ERR_NOMEM;

	if (names == NULL || name == NULL || value == NULL || text == NULL || type == NULL)
		goto out;
	if (ASN1_STRING_set(text, jid, -1) != 1)
		goto out;
	ASN1_TYPE_set(value, V_ASN1_UTF8STRING, text);
	text = NULL;
	if (GENERAL_NAME_set0_othername(name, type, value) != 1)
		goto out;
	type = NULL;
	value = NULL;
	if (sk_GENERAL_NAME_push(names, name) <= 0)
		goto out;
	name = NULL;
	if (X509V3_add1_i2d(extensions, NID_subject_alt_name, names, 0, X509V3_ADD_REPLACE) != 1)
		goto out;
	err = 0;
out:
	ASN1_OBJECT_free(type);
	ASN1_UTF8STRING_free(text);
	ASN1_TYPE_free(value);
	GENERAL_NAME_free(name);
	GENERAL_NAMES_free(names);
	return err;
}

static const char *ec_algorithm(EVP_PKEY *key)
{
	char group[64];
	size_t len = 0;
	int nid;

	if (EVP_PKEY_get_group_name(key, group, sizeof(group), &len) != 1)
		return "other";
	nid = EC_curve_nist2nid(group); /* a provider may say "P-256" for prime256v1 */
	switch (nid != NID_undef ? nid : OBJ_sn2nid(group)) {
	case NID_X9_62_prime256v1:
		return "p256";
	case NID_secp384r1:
		return "p384";
	case NID_secp521r1:
		return "p521";
	default:
		return "other";
	}
}

int64_t sg_x509_seconds(const ASN1_TIME *time)
{
	struct tm tm = { 0 };

	return time != NULL && ASN1_TIME_to_tm(time, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

char *sg_x509_pem(const char *kind, const struct sg_blob *der)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *data, *pem = NULL;
	long len;

	if (bio != NULL && PEM_write_bio(bio, kind, "", der->data, (long)der->len) > 0 &&
	    (len = BIO_get_mem_data(bio, &data)) > 0)
		pem = strndup(data, (size_t)len);
	BIO_free(bio);
	return pem;
}

char *sg_x509_name_text(const X509_NAME *name)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *data = NULL;
	char *copy = NULL;
	long len;

	if (bio != NULL &&
	    X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) >= 0) {
		len = BIO_get_mem_data(bio, &data);
		copy = strndup(len > 0 ? data : "", len > 0 ? (size_t)len : 0);
	}
	BIO_free(bio);
	return copy;
}

const char *sg_x509_key_algorithm(EVP_PKEY *key, char name[16])
{
	const char *algorithm = "other";

	ERR_set_mark();
	switch (EVP_PKEY_get_base_id(key)) {
	case EVP_PKEY_RSA:
		snprintf(name, 16, "rsa%d", EVP_PKEY_get_bits(key));
		algorithm = name;
		break;
	case EVP_PKEY_EC:
		algorithm = ec_algorithm(key);
		break;
	case EVP_PKEY_ED25519:
		algorithm = "ed25519";
		break;
	default:
		break;
	}
	ERR_pop_to_mark();
	return algorithm;
}

int sg_x509_spki(EVP_PKEY *key, struct sg_blob *spki)
{
	unsigned char *bytes = NULL;

	return sg_x509_take_der(i2d_PUBKEY(key, &bytes), &bytes, spki);
}

int sg_x509_holds(X509 *cert, const struct sg_blob *spki)
{
	EVP_PKEY *key = X509_get0_pubkey(cert);
	struct sg_blob own = { NULL, 0 };
	int holds =
	    spki->len > 0 && key != NULL && sg_x509_spki(key, &own) == 0 && sg_blob_eq(&own, spki);

	sg_blob_clear(&own);
	return holds;
}

/* Whether the certificate names exactly this account and nothing else. */
static int check_jid(X509 *cert, const char *jid, const char **why)
{
	char **jids = NULL, *ours = NULL, *theirs = NULL;
	size_t others;
	int err = sg_x509_cert_jids(cert, &jids, &others);

	if (err == SG_ERR_NOMEM)
		return err;
	if (err != 0) {
		*why = "its subjectAltName is malformed";
		return SG_ERR_CERT_REFUSED;
	}
	err = SG_ERR_CERT_REFUSED;
	if (jids[0] == NULL) {
		*why = "it holds no xmppAddr";
		goto out;
	}
	if (jids[1] != NULL || others > 0) {
		*why = "it holds other names beside the account's JID";
		goto out;
	}
	ours = sg_jid_bare(jid);
	/* A resource would be cut off by the normal form; here it is another name. */
	theirs = strchr(jids[0], '/') != NULL ? NULL : sg_jid_bare(jids[0]);
	if (ours == NULL || theirs == NULL || strcmp(ours, theirs) != 0) {
		*why = "its xmppAddr is not the account's JID";
		goto out;
	}
	err = 0;
out:
	free(ours);
	free(theirs);
	sg_strv_free(jids);
	return err;
}

static int check_time(X509 *cert, time_t now, const char **why)
{
	time_t latest = now + SKEW_S;
	time_t earliest = now - SKEW_S - 1; /* X509_cmp_time() counts equal as before */

	*why = NULL;
	ERR_set_mark();
	if (X509_cmp_time(X509_get0_notBefore(cert), &latest) != -1)
		*why = "it is not valid yet by the clock of this machine";
	else if (X509_cmp_time(X509_get0_notAfter(cert), &earliest) != 1)
		*why = "it has expired by the clock of this machine";
	ERR_pop_to_mark();
	return *why != NULL ? SG_ERR_CERT_REFUSED : 0;
}

int sg_x509_check_account(
    const struct sg_blob *cert_der, const char *jid, time_t now, const char **why)
{
	X509 *cert = NULL;
	int err;

	*why = "it is no certificate";
	err = sg_x509_cert_parse(cert_der, &cert);
	if (err == 0)
		err = check_jid(cert, jid, why);
	if (err == 0)
		err = check_time(cert, now, why);
	X509_free(cert);
	return err;
}

static int is_key_of(X509 *cert, X509_REQ *csr)
{
	EVP_PKEY *asked, *given;
	int same;

	ERR_set_mark();
	asked = X509_REQ_get0_pubkey(csr);
	given = X509_get0_pubkey(cert);
	same = asked != NULL && given != NULL && EVP_PKEY_eq(asked, given) == 1;
	ERR_pop_to_mark();
	return same;
}

int sg_x509_is_for(const struct sg_blob *cert_der, const struct sg_blob *csr_der)
{
	X509 *cert = NULL;
	X509_REQ *csr = NULL;
	int same = sg_x509_cert_parse(cert_der, &cert) == 0 &&
	    sg_x509_csr_parse(csr_der, &csr) == 0 && is_key_of(cert, csr);

	X509_free(cert);
	X509_REQ_free(csr);
	return same;
}

int sg_x509_check_issued(const struct sg_blob *cert_der, const struct sg_blob *csr_der,
    const char *jid, time_t now, const char **why)
{
	X509 *cert = NULL;
	X509_REQ *csr = NULL;
	int err;

	*why = "it is no certificate";
	err = sg_x509_cert_parse(cert_der, &cert);
	if (err != 0)
		goto out;
	*why = "the request is no certificate request";
	err = sg_x509_csr_parse(csr_der, &csr);
	if (err != 0)
		goto out;
	*why = "its public key is not the request's";
	err = is_key_of(cert, csr) ? 0 : SG_ERR_CERT_REFUSED;
	if (err != 0)
		goto out;
	err = check_jid(cert, jid, why);
	if (err != 0)
		goto out;
	err = check_time(cert, now, why);
out:
	X509_free(cert);
	X509_REQ_free(csr);
	return err;
}

/* A DER header with definite length; tag below 31. */
static void put_header(struct sg_buf *out, uint8_t tag, size_t len)
{
	int shift = 0;

	sg_buf_put_u8(out, tag);
	if (len < 0x80) {
		sg_buf_put_u8(out, (uint8_t)len);
		return;
	}
	while (shift < (int)sizeof(len) * 8 - 8 && len >> (shift + 8) != 0)
		shift += 8;
	sg_buf_put_u8(out, (uint8_t)(0x80 | (shift / 8 + 1)));
	for (; shift >= 0; shift -= 8)
		sg_buf_put_u8(out, (uint8_t)(len >> shift));
}

/* Whether the bytes are one whole DER SEQUENCE by their outer header. */
static int is_sequence(const struct sg_blob *der)
{
	const unsigned char *pos = der->data;
	long len;
	int tag, class, flags;

	if (der->len == 0 || der->len > SG_BUF_MAX)
		return 0;
	ERR_set_mark();
	flags = ASN1_get_object(&pos, &len, &tag, &class, (long)der->len);
	ERR_pop_to_mark();
	return flags == V_ASN1_CONSTRUCTED && tag == V_ASN1_SEQUENCE && class == V_ASN1_UNIVERSAL &&
	    pos + len == der->data + der->len;
}

int sg_x509_assemble(const struct sg_blob *tbs, const struct sg_blob *algorithm,
    const struct sg_blob *signature, struct sg_blob *der)
{
	struct sg_buf bits = { 0 }, whole = { 0 };
	int err;

	*der = (struct sg_blob){ 0 };
	if (!is_sequence(tbs) || !is_sequence(algorithm) || signature->len == 0)
		return SG_ERR_FORMAT;
	put_header(&bits, V_ASN1_BIT_STRING, signature->len + 1);
	sg_buf_put_u8(&bits, 0); /* no unused bits */
	sg_buf_put(&bits, signature->data, signature->len);
	put_header(
	    &whole, V_ASN1_SEQUENCE | V_ASN1_CONSTRUCTED, tbs->len + algorithm->len + bits.len);
	sg_buf_put(&whole, tbs->data, tbs->len);
	sg_buf_put(&whole, algorithm->data, algorithm->len);
	sg_buf_put(&whole, bits.data, bits.len);
	err = bits.err != 0 ? bits.err : whole.err;
	if (err == 0)
		err = sg_blob_set(der, whole.data, whole.len);
	sg_buf_clear(&bits);
	sg_buf_clear(&whole);
	return err;
}

int sg_x509_algorithm_sha256(int key_type, struct sg_blob *algorithm)
{
	X509_ALGOR *algor;
	unsigned char *bytes = NULL;
	int nid, parameters, len = -1;

	*algorithm = (struct sg_blob){ 0 };
	if (key_type == EVP_PKEY_RSA) {
		nid = NID_sha256WithRSAEncryption;
		parameters = V_ASN1_NULL; /* RFC 4055 5: present and NULL */
	} else if (key_type == EVP_PKEY_EC) {
		nid = NID_ecdsa_with_SHA256;
		parameters = V_ASN1_UNDEF; /* RFC 5758 3.2: absent */
	} else {
		return SG_ERR_UNSUPPORTED;
	}
	algor = X509_ALGOR_new();
	if (algor == NULL)
		return SG_ERR_NOMEM;
	if (X509_ALGOR_set0(algor, OBJ_nid2obj(nid), parameters, NULL) == 1)
		len = i2d_X509_ALGOR(algor, &bytes);
	X509_ALGOR_free(algor);
	return sg_x509_take_der(len, &bytes, algorithm);
}
