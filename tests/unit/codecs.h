/*
 * What the tests of the codecs share: the documents' vectors, XML from text, and certificates of
 * every kind, made on the spot.
 */
#ifndef SG_TESTS_CODECS_H
#define SG_TESTS_CODECS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/x509v3.h>

#include "proto/buf.h"
#include "proto/text.h"
#include "proto/x509.h"
#include "proto/xml.h"

#define VECTOR_ISSUER	 "xep0189-example1-issuer.der"
#define VECTOR_SUBJECT	 "xep0189-example3-subject.der"
#define VECTOR_SIGNATURE "xep0189-example3-rsa-sha1.sig"
#define ISSUER_NAME	 "428b1358a286430f628da23fb33ddaf6e474f5c5"
#define SUBJECT_NAME	 "571b23d99892f4566017426e92c377288ed6c983"

#define NOW ((time_t)1700000000)
#define DAY ((time_t)86400)

static inline struct sg_blob blob_of(const void *data, size_t len)
{
	struct sg_blob blob = { 0 };

	assert_int_equal(sg_blob_set(&blob, data, len), 0);
	return blob;
}

/* The tests run from the top folder. */
static inline struct sg_blob read_vector(const char *name)
{
	unsigned char bytes[4096];
	char path[256];
	size_t len;
	FILE *file;

	snprintf(path, sizeof(path), "tests/unit/vectors/%s", name);
	file = fopen(path, "rb");
	if (!file)
		fail_msg("%s cannot be read; run the test from the top folder", path);
	len = fread(bytes, 1, sizeof(bytes), file);
	fclose(file);
	return blob_of(bytes, len);
}

static inline struct sg_xml *xml_of(const char *text)
{
	struct sg_xml *root;

	if (sg_xml_parse(text, strlen(text), &root))
		fail_msg("no XML: %s", text);
	return root;
}

/* Frees the element and compares what it was. */
static inline void assert_xml(struct sg_xml *element, const char *expected)
{
	char *text = sg_xml_to_string(element);

	sg_xml_free(element);
	assert_non_null(text);
	assert_string_equal(text, expected);
	free(text);
}

/* The pieces of a text with every %s replaced; a new string. */
__attribute__((format(printf, 1, 2))) static inline char *text_of(const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	assert_true(vasprintf(&text, format, args) >= 0);
	va_end(args);
	return text;
}

/* A string of len times the same character. */
static inline char *many(char c, size_t len)
{
	char *text = malloc(len + 1);

	assert_non_null(text);
	memset(text, c, len);
	text[len] = '\0';
	return text;
}

/* The signature of a key over the data. */
static inline struct sg_blob sign(EVP_PKEY *key, const EVP_MD *md, const struct sg_blob *data)
{
	struct sg_blob value = { malloc(2048), 2048 };
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	assert_int_equal(EVP_DigestSignInit(ctx, NULL, md, NULL, key), 1);
	assert_int_equal(EVP_DigestSign(ctx, value.data, &value.len, data->data, data->len), 1);
	EVP_MD_CTX_free(ctx);
	return value;
}

/* What goes into a certificate or request. */
struct recipe {
	const char *cn;
	const char *jids[3];
	const char *dns, *uri, *email;
	time_t from, to; /* 0: a day before and after NOW */
	long serial;
	int string_type; /* of the xmppAddrs; 0: UTF8String */
	size_t jid_len;	 /* of the first one, when it holds a NUL */
};

static inline void add_name(GENERAL_NAMES *names, const struct recipe *recipe, size_t at)
{
	GENERAL_NAME *name = GENERAL_NAME_new();
	ASN1_TYPE *value = ASN1_TYPE_new();
	int type = recipe->string_type ? recipe->string_type : V_ASN1_UTF8STRING;
	ASN1_STRING *text = ASN1_STRING_type_new(type);
	size_t len = at == 0 && recipe->jid_len ? recipe->jid_len : strlen(recipe->jids[at]);

	assert_int_equal(ASN1_STRING_set(text, recipe->jids[at], (int)len), 1);
	ASN1_TYPE_set(value, type, text);
	assert_int_equal(
	    GENERAL_NAME_set0_othername(name, OBJ_txt2obj(SG_OID_XMPP_ADDR, 1), value), 1);
	assert_true(sk_GENERAL_NAME_push(names, name) > 0);
}

/* A name of a type that is a string; NULL is none. */
static inline void add_plain_name(GENERAL_NAMES *names, int type, const char *value)
{
	GENERAL_NAME *name;
	ASN1_IA5STRING *text;

	if (!value)
		return;
	name = GENERAL_NAME_new();
	text = ASN1_IA5STRING_new();
	assert_int_equal(ASN1_STRING_set(text, value, -1), 1);
	GENERAL_NAME_set0_value(name, type, text);
	assert_true(sk_GENERAL_NAME_push(names, name) > 0);
}

/* The SAN of a recipe, or NULL. */
static inline X509_EXTENSION *make_san(const struct recipe *recipe)
{
	GENERAL_NAMES *names = GENERAL_NAMES_new();
	X509_EXTENSION *extension = NULL;

	for (size_t i = 0; i < 3 && recipe->jids[i]; i++)
		add_name(names, recipe, i);
	add_plain_name(names, GEN_DNS, recipe->dns);
	add_plain_name(names, GEN_URI, recipe->uri);
	add_plain_name(names, GEN_EMAIL, recipe->email);
	if (sk_GENERAL_NAME_num(names) > 0)
		extension = X509V3_EXT_i2d(NID_subject_alt_name, 0, names);
	GENERAL_NAMES_free(names);
	return extension;
}

static inline void set_cn(X509_NAME *name, const char *cn)
{
	if (cn)
		assert_int_equal(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
				     (const unsigned char *)cn, -1, -1, 0),
		    1);
}

/* A certificate for the key, not signed yet; more extensions can be added. */
static inline X509 *new_cert(const struct recipe *recipe, EVP_PKEY *key)
{
	X509 *cert = X509_new();
	X509_EXTENSION *san = make_san(recipe);

	assert_int_equal(X509_set_version(cert, X509_VERSION_3), 1);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), recipe->serial ? recipe->serial : 1);
	ASN1_TIME_set(X509_getm_notBefore(cert), recipe->from ? recipe->from : NOW - DAY);
	ASN1_TIME_set(X509_getm_notAfter(cert), recipe->to ? recipe->to : NOW + DAY);
	set_cn(X509_get_subject_name(cert), recipe->cn);
	set_cn(X509_get_issuer_name(cert), recipe->cn);
	assert_int_equal(X509_set_pubkey(cert, key), 1);
	if (san)
		assert_int_equal(X509_add_ext(cert, san, -1), 1);
	X509_EXTENSION_free(san);
	return cert;
}

static inline struct sg_blob sign_cert(X509 *cert, EVP_PKEY *key)
{
	struct sg_blob der;

	assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
	assert_int_equal(sg_x509_cert_der(cert, &der), 0);
	X509_free(cert);
	return der;
}

static inline struct sg_blob make_cert(const struct recipe *recipe, EVP_PKEY *key)
{
	return sign_cert(new_cert(recipe, key), key);
}

/* A request signed by the digest. */
static inline struct sg_blob request_der(X509_REQ *csr)
{
	struct sg_blob der = { 0 };
	int len = i2d_X509_REQ(csr, &der.data);

	assert_true(len > 0);
	der.len = (size_t)len;
	return der;
}

static inline struct sg_blob make_csr_by(
    const struct recipe *recipe, EVP_PKEY *key, const EVP_MD *md)
{
	STACK_OF(X509_EXTENSION) *extensions = sk_X509_EXTENSION_new_null();
	X509_EXTENSION *san = make_san(recipe);
	X509_REQ *csr = X509_REQ_new();
	struct sg_blob der;

	set_cn(X509_REQ_get_subject_name(csr), recipe->cn);
	assert_int_equal(X509_REQ_set_pubkey(csr, key), 1);
	if (san) {
		sk_X509_EXTENSION_push(extensions, san);
		assert_int_equal(X509_REQ_add_extensions(csr, extensions), 1);
	}
	sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
	assert_true(X509_REQ_sign(csr, key, md) > 0);
	der = request_der(csr);
	X509_REQ_free(csr);
	return der;
}

static inline struct sg_blob make_csr(const struct recipe *recipe, EVP_PKEY *key)
{
	return make_csr_by(recipe, key, EVP_sha256());
}

#endif
