/*
 * What is learned of the keys of others: kept in slices, so that a node with thousands of keys
 * keeps no other caller waiting, and told to those who monitor (K11, K14, K15).
 */
#ifndef SG_BROKER_KEYRING_H
#define SG_BROKER_KEYRING_H

#include "agent.h"
#include "keyring_store.h"
#include "msg.h"

struct sg_keyring;

/* SG_ERR_NOMEM. */
SG_MUST_USE int sg_keyring_new(struct sg_agent *agent, struct sg_keyring **keyring);

/* What is still to be kept is lost: it comes again with the next fetch. Who waits for it is told
 * SG_ERR_WORKER. NULL is fine. */
void sg_keyring_free(struct sg_keyring *keyring);

/* The keys that somebody showed or told. The strings are copied. */
struct sg_lesson {
	const char *jid; /* bare: whose keys they are said to be */
	enum sg_sight source;
	const char *told_by; /* SG_SIGHT_THIRD, SG_SIGHT_PUSH: who said so, bare; else NULL */
	int borrows; /* the keyinfos, until done is called; not of SG_SIGHT_THIRD and SG_SIGHT_PUSH */
	int whole;   /* the node shows just these: others that it has shown are retracted */
	char *const *retracted; /* names that the node does not show any more */
	uint32_t retracted_count;
};

/* What came of it. */
struct sg_lesson_sum {
	uint32_t added;	  /* keys that nobody had told of this JID */
	uint32_t known;	  /* known before */
	uint32_t own;	  /* own certificates, which are no part of the keyring */
	uint32_t refused; /* over a limit, or not of their name */
};

/* err: 0; SG_ERR_IO, SG_ERR_NOMEM: what was kept before stays. Called once. */
typedef void sg_lesson_fn(void *arg, int err, const struct sg_lesson_sum *sum);

/*
 * Learns it, after what came before; unless they are borrowed, the keyinfos are taken over, and *keyinfos
 * is empty then. done (or NULL) is called at the end: for a few keys maybe before this returns, else from
 * the loop.
 */
void sg_keyring_learn(struct sg_agent *agent, const struct sg_lesson *lesson,
    struct sg_msg_keyinfos *keyinfos, sg_lesson_fn *done, void *arg);

/* The words of the API. */
const char *sg_sight_name(uint32_t source);
const char *sg_decision_name(uint32_t decision);

#endif
