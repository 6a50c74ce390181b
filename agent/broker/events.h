/*
 * What programs that monitor the agent are told (Monitor). Tokens that come and go are looked for
 * only while somebody monitors.
 */
#ifndef SG_BROKER_EVENTS_H
#define SG_BROKER_EVENTS_H

#include "agent.h"
#include "channel.h"
#include "msg.h"

struct sg_call;
struct sg_events;
struct sg_module;

enum sg_news {
	SG_NEWS_TOKEN_IN,
	SG_NEWS_TOKEN_OUT,
	SG_NEWS_TOUCH_WANTED,
	SG_NEWS_TOUCH_OVER,
	SG_NEWS_UNLOCKED,
	SG_NEWS_LOCKED,
	SG_NEWS_KEY_CHANGED,
	SG_NEWS_KEY_SEEN,
	SG_NEWS_KEY_NEW,
	SG_NEWS_KEY_RETRACTED,
	SG_NEWS_KEY_REVOKED,
	SG_NEWS_CERTIFICATE_DUE,
	SG_NEWS_JOB_WAITS,
	SG_NEWS_JOB_DONE,
	SG_NEWS_JOB_FAILED,
	SG_NEWS_COUNT,
};

/* SG_ERR_NOMEM. */
SG_MUST_USE int sg_events_new(struct sg_agent *agent, struct sg_events **events);
void sg_events_free(struct sg_events *events);

/* Tells everybody who monitors; all but the kind may be NULL. text is a sentence for people. */
void sg_events_tell(struct sg_agent *agent, enum sg_news news, const char *token, const char *label,
    const struct sg_caller *caller, const char *text);

/* The same of the public key of somebody, or of the job of an account; name may be NULL. */
void sg_events_tell_key(
    struct sg_agent *agent, enum sg_news news, const char *jid, const char *name, const char *text);

/* Whether somebody wants to know of tokens that come and go. */
int sg_events_are_watched(const struct sg_agent *agent);

/* The call is told from now on, until its client goes. */
void sg_events_monitor(struct sg_call *call);

/* What a worker of tokens says unasked, and that its process ended: for struct sg_worker_spec, the
 * argument is the struct sg_module. */
void sg_events_frame(void *module, const struct sg_frame *frame);
void sg_events_ended(void *module);

#endif
