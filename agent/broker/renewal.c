#include "renewal.h"

#include <stdlib.h>
#include <string.h>

#include "x509.h"

#define PARTS 100000 /* that the lifetime is divided in */

/* 0 to PARTS - 1: the first 16 bits of the hash, whose values are spread evenly. */
static int64_t spread(const char *sha256)
{
	char head[5] = "";

	memcpy(head, sha256, strnlen(sha256, sizeof(head) - 1));
	return (int64_t)(strtoul(head, NULL, 16) * PARTS >> 16);
}

void sg_renewal_set(struct sg_renewal *renewal, unsigned at, const char *sha256)
{
	const int64_t lifetime = renewal->not_after - renewal->not_before;
	const int64_t share = (int64_t)at * PARTS / 100;
	const int64_t most = (int64_t)SG_RENEWAL_JITTER * PARTS / 100;
	const int64_t jitter = (share / 2 < most ? share / 2 : most) * spread(sha256) / PARTS;

	renewal->due = renewal->not_before;
	if (lifetime > 0)
		renewal->due += lifetime * (share - jitter) / PARTS;
}

int sg_renewal_of(const struct sg_blob *certificate, unsigned at, struct sg_renewal *renewal)
{
	char *sha256 = NULL;
	X509 *cert = NULL;
	int err;

	*renewal = (struct sg_renewal){ 0 };
	err = sg_x509_cert_parse(certificate, &cert);
	if (err == 0) {
		renewal->not_before = sg_x509_seconds(X509_get0_notBefore(cert));
		renewal->not_after = sg_x509_seconds(X509_get0_notAfter(cert));
		if (renewal->not_before == 0 || renewal->not_after == 0)
			err = SG_ERR_FORMAT;
	}
	if (err == 0 && (sha256 = sg_x509_fingerprint(certificate, "sha256")) == NULL)
		err = SG_ERR_NOMEM;
	if (err == 0)
		sg_renewal_set(renewal, at, sha256);
	else
		*renewal = (struct sg_renewal){ 0 };
	free(sha256);
	X509_free(cert);
	return err;
}

int sg_renewal_is_due(const struct sg_renewal *renewal, int64_t now)
{
	return now >= renewal->due;
}

int sg_renewal_is_over(const struct sg_renewal *renewal, int64_t now)
{
	return now > renewal->not_after;
}
