/*
 * Questions to the server and to contacts (iq of type get or set), and their answers. An answer
 * counts only with the id of a question and from the one who was asked. Questions that come to us
 * are answered as RFC 6120 wants, and nothing more.
 */
#ifndef SG_XMPP_IQ_H
#define SG_XMPP_IQ_H

#include <strophe.h>

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

/* The stream must outlive it. */
SG_MUST_USE int sg_iqs_new(struct sg_iqs **iqs, struct sg_stream *stream);
void sg_iqs_free(struct sg_iqs *iqs);

/*
 * Asks. to NULL: the own server. The payload is taken over, also on failure; then the callback is
 * not called. SG_ERR_OFFLINE, SG_ERR_NOMEM, SG_ERR_LIMIT, SG_ERR_FORMAT.
 */
SG_MUST_USE int sg_iq_ask(struct sg_iqs *iqs, const char *type, const char *to,
    struct sg_xml *payload, sg_iq_fn *fn, void *arg);

/* An iq that came: an answer goes to who asked, a question is answered. The stanza stays libstrophe's. */
void sg_iq_receive(struct sg_iqs *iqs, xmpp_stanza_t *iq);

/* Every open question fails with this. */
void sg_iqs_fail(struct sg_iqs *iqs, const struct sg_msg_error *why);

/* Milliseconds to the next deadline, -1 without one; and failing those that have passed. */
int sg_iqs_timeout(const struct sg_iqs *iqs);
void sg_iqs_expire(struct sg_iqs *iqs);

#endif
