/*
 * Requests for keys that others send to this very resource (K12, K13): who may ask is decided here, by the
 * policy that the broker has given; which keys there are, the broker knows. Who may not ask takes the
 * road of a question that nobody understands, and so does everybody before there is a policy.
 */
#ifndef SG_XMPP_ASKED_H
#define SG_XMPP_ASKED_H

#include "channel.h"
#include "contacts.h"
#include "error.h"
#include "iq.h"
#include "msg.h"

#define SG_ASKED_MAX	    64	  /* that wait for the broker; more are refused for now */
#define SG_ASKED_EACH_MAX   16	  /* ... of one account */
#define SG_ASKED_TIMEOUT_MS 20000 /* then, too, nobody has understood */

struct sg_asked;

/* All four must outlive it. next_id: where the ids of our own frames are counted. SG_ERR_NOMEM. */
SG_MUST_USE int sg_asked_new(struct sg_asked **asked, struct sg_channel *channel,
    struct sg_iqs *iqs, const struct sg_contacts *contacts, uint32_t *next_id);
void sg_asked_free(struct sg_asked *asked);

/* Takes over what the policy holds, by zeroing it. */
void sg_asked_set_policy(struct sg_asked *asked, struct sg_msg_direct_policy *policy);

/* The policy as it stands; mode SG_DIRECT_NOBODY before there is one. */
const struct sg_msg_direct_policy *sg_asked_policy(const struct sg_asked *asked);

/* Whether from may ask for our keys. */
int sg_asked_may_ask(const struct sg_asked *asked, const char *from);

/* 1 when the question is a request for keys by who may ask, and will be answered. */
int sg_asked_question(struct sg_asked *asked, const struct sg_iq_question *question);

/* A frame of the broker: 1 when it was the answer to one of ours. It stays the caller's. */
int sg_asked_answer(struct sg_asked *asked, const struct sg_frame *frame);

/* The account is offline: nobody waits any more, and there is no policy. */
void sg_asked_end(struct sg_asked *asked);

/* Milliseconds to the next deadline, -1 without one; and ending those that have passed. */
int sg_asked_timeout(const struct sg_asked *asked);
void sg_asked_expire(struct sg_asked *asked);

#endif
