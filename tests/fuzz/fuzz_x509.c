/*
 * Any bytes as a certificate and as a request: what parses gives its bytes again, its names, its
 * key, and an answer to C4.
 */
#include "x509.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_key(EVP_PKEY *key)
{
	struct sg_blob spki;
	char name[16];

	if (!key)
		return;
	if (strlen(sg_x509_key_algorithm(key, name)) >= sizeof(name))
		abort();
	if (sg_x509_spki(key, &spki) == 0)
		sg_blob_clear(&spki);
}

static void check_cert(const struct sg_blob *der)
{
	struct sg_blob again;
	char **jids;
	size_t others;
	X509 *cert;

	if (sg_x509_cert_parse(der, &cert))
		return;
	if (sg_x509_cert_der(cert, &again) || !sg_blob_eq(der, &again))
		abort();
	if (sg_x509_cert_jids(cert, &jids, &others) == 0)
		sg_strv_free(jids);
	else if (jids)
		abort();
	check_key(X509_get0_pubkey(cert));
	sg_blob_clear(&again);
	X509_free(cert);
}

static void check_csr(const struct sg_blob *der)
{
	struct sg_blob again = { 0 };
	X509_REQ *csr;
	char **jids;
	int len;

	if (sg_x509_csr_parse(der, &csr))
		return;
	len = i2d_X509_REQ(csr, &again.data);
	again.len = len > 0 ? (size_t)len : 0;
	if (!sg_blob_eq(der, &again))
		abort();
	if (sg_x509_csr_jids(csr, &jids, NULL) == 0)
		sg_strv_free(jids);
	check_key(X509_REQ_get0_pubkey(csr));
	sg_blob_clear(&again);
	X509_REQ_free(csr);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sg_blob der = { 0 };
	const char *why = NULL;

	if (sg_blob_set(&der, data, size))
		return 0;
	check_cert(&der);
	check_csr(&der);
	if (sg_x509_check_issued(&der, &der, "juliet@capulet.example", 1700000000, &why) == 0 ||
	    !why)
		abort(); /* one object is not both */
	sg_blob_clear(&der);
	return 0;
}
