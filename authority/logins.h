/*
 * The logins file, which the login module of the XMPP server writes: who uses which certificate.
 *
 * One line per certificate that was ever used: its SHA-256 in lower-case hex, the time of its last
 * use (XEP-0082, "2026-01-31T23:59:59Z") and the resources that use it now, with a tab before each.
 * A line of any other form is passed over.
 */
#ifndef SG_AUTHORITY_LOGINS_H
#define SG_AUTHORITY_LOGINS_H

#include <stdint.h>

#include "error.h"

#define SG_LOGINS_BYTES_MAX	(8u << 20) /* some 95,000 certificates */
#define SG_LOGINS_RESOURCES_MAX 100	   /* of one certificate; more are left out */
#define SG_LOGINS_RESOURCE_MAX	1023	   /* bytes (RFC 7622 3.4) */

struct sg_logins;

/* Reads the file. A missing one is an empty one. SG_ERR_IO, SG_ERR_LIMIT, SG_ERR_NOMEM. */
SG_MUST_USE int sg_logins_read(const char *path, struct sg_logins **logins);
void sg_logins_free(struct sg_logins *logins);

struct sg_login {
	const char *sha256;
	const char *last_used;
	char **resources;
	uint32_t resource_count;
};

/* The line of this certificate, valid as long as the logins; NULL when it was never used, or there are no logins. */
const struct sg_login *sg_logins_find(const struct sg_logins *logins, const char *sha256);

#endif
