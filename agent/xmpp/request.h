/*
 * Inside the requests: one request of the broker, from its frame to its answer. For *requests.c alone.
 */
#ifndef SG_XMPP_REQUEST_H
#define SG_XMPP_REQUEST_H

#include "requests.h"

struct sg_request;

/* start asks, or gives an error; done has an answer, and asks again or ends the request. */
struct sg_request_kind {
	uint16_t type;
	int (*start)(struct sg_request *request);
	sg_iq_fn *done;
};

struct sg_request {
	const struct sg_requests *on;
	const struct sg_request_kind *kind;
	uint32_t id;
	void *msg; /* of the kind's type, owned */

	unsigned open;		   /* questions without an answer */
	unsigned answers;	   /* good ones */
	char *to;		   /* who is asked, or NULL: the own server */
	struct sg_msg_error error; /* the first that came, while others may yet do */
	void *state;		   /* what the kind keeps, and how it is freed */
	void (*state_free)(void *state);
};

/* Each of these ends the request. An answer that no frame can hold is an error. */
void sg_request_answer(struct sg_request *request, uint16_t type, const void *msg);
void sg_request_ok(struct sg_request *request);
void sg_request_refuse(struct sg_request *request, const struct sg_msg_error *error);
void sg_request_fail(struct sg_request *request, int code, const char *message);

/* Asks for the request, when the encoder gave a payload (err 0); the answer goes to the kind's done. */
SG_MUST_USE int sg_request_ask(
    struct sg_request *request, const char *type, const char *to, int err, struct sg_xml *payload);

/* Zeroed memory of this size as the request's state; NULL without memory. */
void *sg_request_state(struct sg_request *request, size_t size, void (*state_free)(void *state));

/* The kinds of the other files, each list ended by one of type 0. */
extern const struct sg_request_kind sg_cert_requests[];	 /* cert_requests.c */
extern const struct sg_request_kind sg_pep_requests[];	 /* pep_requests.c */
extern const struct sg_request_kind sg_fetch_requests[]; /* fetch_requests.c */
extern const struct sg_request_kind sg_key_requests[];	 /* key_requests.c */

#endif
