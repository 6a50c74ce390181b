#include "shell.h"

#include <string.h>

#include "x509.h"

/* DER tags */
#define TAG_SEQUENCE 0x30
#define TAG_EXPLICIT 0xa0

static void put_tlv(struct sg_buf *out, uint8_t tag, const void *data, size_t len)
{
	unsigned char length[5];
	size_t i, n = 0;

	while (n < 4 && len >> (8 * n))
		n++;
	sg_buf_put_u8(out, tag);
	if (len < 128) {
		sg_buf_put_u8(out, (uint8_t)len);
	} else {
		length[0] = (unsigned char)(0x80 | n);
		for (i = 0; i < n; i++)
			length[1 + i] = (unsigned char)(len >> (8 * (n - 1 - i)));
		sg_buf_put(out, length, n + 1);
	}
	sg_buf_put(out, data, len);
}

static const char some_time[] = "\x17\x0d"
				"700101000000Z"; /* UTCTime, replaced before anything is signed */
static const char empty_name[] = { TAG_SEQUENCE, 0 };

static int algorithm_of(X509 *ca, struct sg_blob *algorithm)
{
	EVP_PKEY *key = X509_get0_pubkey(ca);
	int type = key != NULL ? EVP_PKEY_get_base_id(key) : 0;

	memset(algorithm, 0, sizeof(*algorithm));
	if (type != EVP_PKEY_RSA && type != EVP_PKEY_EC)
		return SG_ERR_MECHANISM;
	return sg_x509_algorithm_sha256(type, algorithm);
}

/* The whole object around the fields: an empty signature by the algorithm. */
static int assemble(
    const struct sg_buf *fields, const struct sg_blob *algorithm, struct sg_blob *der)
{
	unsigned char zero = 0;
	struct sg_blob tbs = { 0 }, signature = { &zero, 1 };
	struct sg_buf buf = { 0 };
	int err;

	memset(der, 0, sizeof(*der));
	if (fields->err != 0)
		return fields->err;
	put_tlv(&buf, TAG_SEQUENCE, fields->data, fields->len);
	err = buf.err;
	if (err == 0) {
		tbs.data = buf.data;
		tbs.len = buf.len;
		err = sg_x509_assemble(&tbs, algorithm, &signature, der);
	}
	sg_buf_clear(&buf);
	return err;
}

int sg_shell_certificate(X509 *ca, EVP_PKEY *subject, X509 **cert)
{
	static const char version3[] = "\x02\x01\x02", serial[] = "\x02\x01\x01";
	struct sg_blob algorithm = { 0 }, spki = { 0 }, der = { 0 };
	struct sg_buf fields = { 0 }, times = { 0 };
	const unsigned char *p;
	int err;

	*cert = NULL;
	err = algorithm_of(ca, &algorithm);
	if (err == 0)
		err = sg_x509_spki(subject, &spki);
	if (err != 0)
		goto out;
	sg_buf_put(&times, some_time, sizeof(some_time) - 1);
	sg_buf_put(&times, some_time, sizeof(some_time) - 1);
	put_tlv(&fields, TAG_EXPLICIT, version3, sizeof(version3) - 1);
	sg_buf_put(&fields, serial, sizeof(serial) - 1);
	sg_buf_put(&fields, algorithm.data, algorithm.len);
	sg_buf_put(&fields, empty_name, sizeof(empty_name));
	put_tlv(&fields, TAG_SEQUENCE, times.data, times.len);
	sg_buf_put(&fields, empty_name, sizeof(empty_name));
	sg_buf_put(&fields, spki.data, spki.len);
	err = times.err != 0 ? times.err : assemble(&fields, &algorithm, &der);
	if (err != 0)
		goto out;
	p = der.data;
	*cert = d2i_X509(NULL, &p, (long)der.len);
	err = *cert != NULL ? 0 : SG_ERR_INTERNAL;
out:
	sg_buf_clear(&fields);
	sg_buf_clear(&times);
	sg_blob_clear(&algorithm);
	sg_blob_clear(&spki);
	sg_blob_clear(&der);
	return err;
}

int sg_shell_crl(X509 *ca, X509_CRL **crl)
{
	static const char version2[] = "\x02\x01\x01";
	struct sg_blob algorithm = { 0 }, der = { 0 };
	struct sg_buf fields = { 0 };
	const unsigned char *p;
	int err;

	*crl = NULL;
	err = algorithm_of(ca, &algorithm);
	if (err != 0)
		return err;
	sg_buf_put(&fields, version2, sizeof(version2) - 1);
	sg_buf_put(&fields, algorithm.data, algorithm.len);
	sg_buf_put(&fields, empty_name, sizeof(empty_name));
	sg_buf_put(&fields, some_time, sizeof(some_time) - 1);
	err = assemble(&fields, &algorithm, &der);
	if (err == 0) {
		p = der.data;
		*crl = d2i_X509_CRL(NULL, &p, (long)der.len);
		err = *crl != NULL ? 0 : SG_ERR_INTERNAL;
	}
	sg_buf_clear(&fields);
	sg_blob_clear(&algorithm);
	sg_blob_clear(&der);
	return err;
}

int sg_shell_certificate_tbs(X509 *cert, struct sg_blob *tbs)
{
	unsigned char *der = NULL;

	return sg_x509_take_der(i2d_re_X509_tbs(cert, &der), &der, tbs);
}

int sg_shell_crl_tbs(X509_CRL *crl, struct sg_blob *tbs)
{
	unsigned char *der = NULL;

	return sg_x509_take_der(i2d_re_X509_CRL_tbs(crl, &der), &der, tbs);
}
