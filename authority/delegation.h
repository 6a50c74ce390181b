/*
 * What the XMPP server hands to the component, and what goes back: the iq's of namespace delegation
 * (XEP-0355), disco#info and everything else. Trees in, trees out: it knows no connection.
 */
#ifndef SG_AUTHORITY_DELEGATION_H
#define SG_AUTHORITY_DELEGATION_H

#include "decision.h"
#include "error.h"
#include "xml.h"

/*
 * Where a delegated iq is: iq, delegation, forwarded, iq. What is left of a stanza that was too large must
 * reach down to there, for ejabberd hands on no other error than one in the answer to that.
 */
#define SG_DELEGATION_LEVELS 4

/* The answer to one request: a payload or none for a result, or an error. */
struct sg_answer {
	struct sg_xml *payload; /* owned */
	const char *type;	/* RFC 6120 8.3.2, of an error; NULL: a result */
	const char *condition;	/* 8.3.3 */
	const char *text; /* a sentence for a person, English; the policy may own it; or NULL */
	int later;	  /* it is put off: what it will be is not known yet */
};

/* Makes it an error, whatever it was. */
void sg_answer_error(
    struct sg_answer *answer, const char *type, const char *condition, const char *text);

/*
 * Answers a request of a local account in one of the delegated namespaces. account is a bare JID;
 * set tells an iq set from a get. *answer is zero before. With answer->later set it may be kept, and is filled in
 * by sg_flush_fn at the latest.
 */
typedef void sg_request_fn(void *arg, const char *account, int set, const struct sg_xml *payload,
    struct sg_answer *answer);

/* Gives every answer that was put off; none is later any more when it returns. */
typedef void sg_flush_fn(void *arg);

struct sg_delegation {
	const char *jid;	       /* of the component */
	char *const *domains;	       /* whose servers may delegate; NULL-terminated, lower case */
	const char *const *namespaces; /* that we answer for; NULL-terminated */
	sg_request_fn *fn;
	sg_flush_fn *flush;
	void *arg;
	struct sg_decisions *decisions; /* for those that never come to fn; NULL: not counted */
};

/*
 * The iq to send back in *reply, owned; NULL for what gets none (a result, an error, or no id). The
 * same namespace of delegation that came goes back ("urn:xmpp:delegation:1" or ":2"). is_whole is 0 for
 * what is left of a stanza that was too large: that gets an error, whatever it asks for.
 *
 * *answer is the requests' own, zero before. Gives 1 when it is put off: once answer->later is 0,
 * sg_delegation_finish() with the same iq makes the reply of it. SG_ERR_NOMEM, SG_ERR_LIMIT.
 */
SG_MUST_USE int sg_delegation_answer(const struct sg_delegation *delegation,
    const struct sg_xml *iq, int is_whole, struct sg_answer *answer, struct sg_xml **reply);
SG_MUST_USE int sg_delegation_finish(const struct sg_delegation *delegation,
    const struct sg_xml *iq, struct sg_answer *answer, struct sg_xml **reply);

#endif
