#include "reason.h"

#include <errno.h>
#include <string.h>

#include <openssl/ssl.h>

#include "filter.h"
#include "tls.h"

/* Of the numbers a failed connection leaves, those that say something to a person. */
void sg_reason_connect(int error_number, const char *host, struct sg_msg_error *why)
{
	switch (error_number) {
	case ECONNREFUSED:
	case ENETUNREACH:
	case EHOSTUNREACH:
	case ENETDOWN:
	case ETIMEDOUT:
	case EACCES:
	case EPERM:
		sg_msg_error_set(why, SG_ERR_CONNECT, host, "no connection to %s: %s", host,
		    strerror(error_number));
		break;
	default:
		sg_msg_error_set(why, SG_ERR_CONNECT, host, "%s cannot be found or reached", host);
	}
}

static void with_condition(struct sg_msg_error *why, const char *condition)
{
	why->condition = strdup(condition);
}

/* The alerts by which a server refuses a client's certificate. */
static int alert_is_about_certificate(int alert)
{
	switch (alert) {
	case SSL_AD_BAD_CERTIFICATE:
	case SSL_AD_UNSUPPORTED_CERTIFICATE:
	case SSL_AD_CERTIFICATE_REVOKED:
	case SSL_AD_CERTIFICATE_EXPIRED:
	case SSL_AD_CERTIFICATE_UNKNOWN:
	case SSL_AD_UNKNOWN_CA:
	case SSL_AD_ACCESS_DENIED:
	case SSL_AD_DECRYPT_ERROR:
	case TLS13_AD_CERTIFICATE_REQUIRED:
		return 1;
	default:
		return 0;
	}
}

/* TLS failed, or the client's certificate was refused on its level. 1 when that was it. */
static int why_tls(const struct sg_reason *reason, struct sg_msg_error *why)
{
	const struct sg_tls_report *tls = sg_tls_report();
	const struct sg_filter_report *seen = sg_filter_report();

	if (tls->unusable)
		sg_msg_error_set(
		    why, SG_ERR_TLS, reason->jid, "TLS does not take the own certificate");
	else if (tls->refused[0] != '\0')
		sg_msg_error_set(why, SG_ERR_TLS, reason->domain,
		    "the certificate of %s is not trusted: %s", reason->domain, tls->refused);
	else if (tls->asked && alert_is_about_certificate(tls->alert_number))
		sg_msg_error_set(why, SG_ERR_AUTH, reason->jid,
		    "the server refused the certificate: %s", tls->alert);
	else if (tls->alert[0] != '\0')
		sg_msg_error_set(why, SG_ERR_TLS, reason->domain, "%s ended TLS: %s",
		    reason->domain, tls->alert);
	else if (tls->started && !tls->done)
		sg_msg_error_set(why, SG_ERR_TLS, reason->domain, "TLS with %s could not be set up",
		    reason->domain);
	else if (seen->features && !tls->started && !seen->starttls)
		sg_msg_error_set(
		    why, SG_ERR_TLS, reason->domain, "%s offers no TLS", reason->domain);
	else
		return 0;
	return 1;
}

static int why_sasl(const struct sg_reason *reason, struct sg_msg_error *why)
{
	const struct sg_filter_report *seen = sg_filter_report();

	if (seen->sasl_condition[0] != '\0') {
		sg_msg_error_set(why, SG_ERR_AUTH, reason->jid, "%s refused the login (%s%s%s)",
		    reason->domain, seen->sasl_condition, seen->sasl_text[0] != '\0' ? ": " : "",
		    seen->sasl_text);
		with_condition(why, seen->sasl_condition);
		return 1;
	}
	if (seen->mechanisms && seen->mechanism == NULL && reason->certificate) {
		sg_msg_error_set(why, SG_ERR_AUTH, reason->jid,
		    "%s takes no login by this certificate; it offers: %s", reason->domain,
		    seen->offered[0] != '\0' ? seen->offered : "nothing");
		return 1;
	}
	if (seen->mechanisms && seen->mechanism == NULL) {
		sg_msg_error_set(why, SG_ERR_AUTH, reason->jid,
		    "%s offers no way to log in that is allowed here; it offers: %s",
		    reason->domain, seen->offered[0] != '\0' ? seen->offered : "nothing");
		return 1;
	}
	return 0;
}

static void why_login(const struct sg_reason *reason, struct sg_msg_error *why)
{
	const struct sg_filter_report *seen = sg_filter_report();
	const struct sg_tls_report *tls = sg_tls_report();

	if (reason->expired)
		sg_msg_error_set(why, SG_ERR_TIMEOUT, reason->host,
		    "%s did not let us log in in time", reason->host);
	else if (why_sasl(reason, why) || why_tls(reason, why))
		return;
	else if (seen->authenticated)
		sg_msg_error_set(why, SG_ERR_AUTH, reason->jid,
		    "%s logged us in and then bound no resource", reason->domain);
	else if (reason->certificate && tls->done && tls->asked && !seen->mechanisms)
		/* TLS 1.3 refuses a certificate after the handshake, and the alert is often lost. */
		sg_msg_error_set(why, SG_ERR_AUTH, reason->jid,
		    "%s closed the connection when it had seen the certificate", reason->domain);
	else if (seen->fed > 0)
		sg_msg_error_set(why, SG_ERR_CONNECT, reason->host,
		    "%s closed the connection during the login", reason->host);
	else
		sg_reason_connect(reason->connect_errno, reason->host, why);
}

void sg_reason_offline(const struct sg_reason *reason, struct sg_msg_error *why)
{
	const struct sg_filter_report *seen = sg_filter_report();
	const struct sg_tls_report *tls = sg_tls_report();

	*why = (struct sg_msg_error){ 0 };
	if (reason->closed)
		return;
	if (seen->stopped != 0) {
		sg_msg_error_set(why, seen->stopped, reason->domain, "%s sent %s", reason->domain,
		    seen->stopped_why);
	} else if (seen->stream_condition[0] != '\0') {
		sg_msg_error_set(why, reason->was_online ? SG_ERR_OFFLINE : SG_ERR_CONNECT,
		    reason->domain, "%s ended the stream (%s%s%s)", reason->domain,
		    seen->stream_condition, seen->stream_text[0] != '\0' ? ": " : "",
		    seen->stream_text);
		with_condition(why, seen->stream_condition);
	} else if (!reason->was_online) {
		why_login(reason, why);
	} else if (tls->alert[0] != '\0') {
		sg_msg_error_set(why, SG_ERR_OFFLINE, reason->domain, "%s ended TLS: %s",
		    reason->domain, tls->alert);
	} else {
		sg_msg_error_set(why, SG_ERR_OFFLINE, reason->domain, "%s closed the connection",
		    reason->domain);
	}
}
