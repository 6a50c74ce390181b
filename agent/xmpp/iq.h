/*
 * Questions to the server and to contacts (iq of type get or set), and their answers. An answer
 * counts only with the id of a question and from the one who was asked. Questions that come to us
 * are answered as RFC 6120 wants, and nothing more.
 */
#ifndef SG_XMPP_IQ_H
#define SG_XMPP_IQ_H

#include "error.h"
#include "msg.h"
#include "stream.h"
#include "xml.h"

#define SG_IQ_TIMEOUT_MS 30000

/*
 * The answer, called once: error is NULL and payload the result's first element (or NULL), or error
 * says what went wrong (strings may be taken out of it by zeroing them): SG_ERR_STANZA with the
 * condition, SG_ERR_LIMIT, SG_ERR_FORMAT, SG_ERR_NOMEM, SG_ERR_TIMEOUT, SG_ERR_OFFLINE.
 */
typedef void sg_iq_fn(void *arg, struct sg_msg_error *error, const struct sg_xml *payload);

struct sg_iqs;

/* A question to us. */
struct sg_iq_question {
	const char *id;
	const char *from; /* NULL: the own server */
	int is_get;
	const struct sg_xml *payload; /* or NULL: none, or one over our limits */
	const char *as_written; /* all of what was in it, as it came, for a refusal; or NULL */
};

/* Those that are not answered here. */
struct sg_iq_events {
	/* Whether from (NULL: the own server) may know that there is anybody at all. */
	int (*is_known)(void *arg, const char *from);
	/* By one who is known: 1 when it is answered now or later, 0 when nobody understands it. */
	int (*asked)(void *arg, const struct sg_iq_question *question);
};

/* The stream and the events must outlive it. SG_ERR_NOMEM. */
SG_MUST_USE int sg_iqs_new(
    struct sg_iqs **iqs, struct sg_stream *stream, const struct sg_iq_events *events, void *arg);
void sg_iqs_free(struct sg_iqs *iqs);

/*
 * Asks. to NULL: the own server. The payload is taken over, also on failure; then the callback is
 * not called. SG_ERR_OFFLINE, SG_ERR_NOMEM, SG_ERR_LIMIT, SG_ERR_FORMAT.
 */
SG_MUST_USE int sg_iq_ask(struct sg_iqs *iqs, const char *type, const char *to,
    struct sg_xml *payload, sg_iq_fn *fn, void *arg);

/* Answers a question: with a result (its payload is taken over), or with an error that shows the
 * question again. What cannot be sent is left unanswered. */
void sg_iq_reply(struct sg_iqs *iqs, const struct sg_iq_question *question, struct sg_xml *payload);
void sg_iq_refuse(struct sg_iqs *iqs, const struct sg_iq_question *question, const char *type,
    const char *condition);

/*
 * Answers as the own server does for a client that is not there, whatever the question and whoever
 * asks: so nobody learns from it that we are here. sg_iqs_learn() finds out how the server does that,
 * by asking an address of our own that nobody has; before, and when it does not tell, it is
 * service-unavailable and nothing else.
 */
void sg_iq_unknown(struct sg_iqs *iqs, const struct sg_iq_question *question);
void sg_iqs_learn(struct sg_iqs *iqs);

/*
 * An iq that came: an answer goes to who asked, a question is answered. Without its tree, the answer fails with
 * SG_ERR_LIMIT, and nobody understands the question.
 */
void sg_iq_receive(struct sg_iqs *iqs, const struct sg_arrival *iq);

/*
 * A message that came and that is not for us: nobody reads here what is for a person, and no client can hand it on
 * to another, so it comes back to the sender the way it does from a client that is not there and whose account has
 * no other, when it was sent to this very resource. Servers deliver no other here, or not here only. Of those that
 * RFC 6121 8.5.3.2 has ignored for an absent client (errors and headlines), and of events of nodes, none does.
 */
void sg_iq_message(struct sg_iqs *iqs, const struct sg_arrival *message);

/* Every open question fails with this. */
void sg_iqs_fail(struct sg_iqs *iqs, const struct sg_msg_error *why);

/* Milliseconds to the next deadline, -1 without one; and failing those that have passed. */
int sg_iqs_timeout(const struct sg_iqs *iqs);
void sg_iqs_expire(struct sg_iqs *iqs);

#endif
