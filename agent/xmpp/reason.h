/*
 * Why a connection was not made, or ended: one error out of what libstrophe, the filter, OpenSSL and
 * the socket left behind.
 */
#ifndef SG_XMPP_REASON_H
#define SG_XMPP_REASON_H

#include "error.h"
#include "msg.h"

struct sg_reason {
	int closed;	 /* by us, as asked */
	int was_online;	 /* it had been logged in */
	int certificate; /* the login was by certificate */
	int expired;	 /* the time for the login was over */
	int connect_errno;
	const char *domain;
	const char *host;
	const char *jid;
};

/* No connection could be started. */
void sg_reason_connect(int error_number, const char *host, struct sg_msg_error *why);

/* The connection ended; looks at the reports of filter and TLS. code 0 when it was asked for. */
void sg_reason_offline(const struct sg_reason *reason, struct sg_msg_error *why);

#endif
