/*
 * Keeping up with the keys of others while an account is online: what its worker hears (K11, K14), and
 * fetching their nodes again, after each login and daily, since not every change is told.
 */
#ifndef SG_BROKER_WATCHING_H
#define SG_BROKER_WATCHING_H

#include "accounts.h"
#include "msg.h"

#define SG_WATCH_PERIOD_S 86400 /* a node is fetched again after so long, ... */
#define SG_WATCH_AGE_S	  600	/* ... and after a login, but not within so long after it was */

struct sg_watch;

/* When a node is due that was fetched then, for an account that is online since then; all in seconds
 * of the clock. */
int64_t sg_watch_due(int64_t fetched, int64_t online_since);

/* The account is online; and it is not any more. The first again: as if it had just logged in. */
void sg_watching_begin(struct sg_account *account);
void sg_watching_end(struct sg_account *account);

/* From now on this node is watched. fetched: the account has just read all of it; otherwise that is done
 * soon, unless it was watched before. */
void sg_watching_add(struct sg_account *account, const char *jid, int fetched);

/* KEYS_SEEN of the account's worker; what it holds may be taken over. */
void sg_watching_seen(struct sg_account *account, struct sg_msg_keys_seen *seen);

#endif
