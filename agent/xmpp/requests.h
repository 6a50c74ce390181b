/*
 * What a broker asks of an account that is online: features, certificates, PEP, keys of others. Each request
 * ends in one answer on the channel.
 */
#ifndef SG_XMPP_REQUESTS_H
#define SG_XMPP_REQUESTS_H

#include "cert_protocol.h"
#include "channel.h"
#include "contacts.h"
#include "error.h"
#include "iq.h"
#include "stream.h"

/* All outlive every request. */
struct sg_requests {
	struct sg_channel *channel;
	struct sg_stream *stream;
	struct sg_iqs *iqs;
	struct sg_contacts *contacts;
	enum sg_cert_protocol *protocol; /* the server's, as its features told the last time */
};

/*
 * Starts the frame's request; takes the frame's message over. With nothing taken and nothing answered:
 * SG_ERR_UNSUPPORTED for a type that is not handled here, SG_ERR_NOMEM.
 */
SG_MUST_USE int sg_request_start(const struct sg_requests *requests, struct sg_frame *frame);

#endif
