/*
 * What the store keeps of an account's publishing, and whose key nodes it watches.
 */
#ifndef SG_BROKER_PUBLISHING_STORE_H
#define SG_BROKER_PUBLISHING_STORE_H

#include <stdint.h>

#include "store.h"

#define SG_WATCHED_MAX 5000 /* JIDs of one account; above, what was fetched longest ago goes */

/* As it was last asked for; zero before anything was published. */
struct sg_publishing_row {
	char *access;	    /* the access model, or NULL */
	char *members;	    /* bare JIDs with a line end behind each; NULL: nobody has said */
	char *direct;	    /* "own", "contacts", "nobody", or JIDs as members; NULL: the default */
	uint32_t more_open; /* the node was last found more open than that */
	char *groups;	    /* of the roster, with a line end behind each; NULL: nobody has said */
};
void sg_publishing_row_clear(struct sg_publishing_row *row);

/* An account without any has an empty row. SG_ERR_IO, SG_ERR_NOMEM. */
SG_MUST_USE int sg_store_publishing_get(
    struct sg_store *store, const char *account, struct sg_publishing_row *row);

/* Inserts or replaces. SG_ERR_IO. */
SG_MUST_USE int sg_store_publishing_put(
    struct sg_store *store, const char *account, const struct sg_publishing_row *row);

/* The account watches the node of this JID; it was (or is now being) fetched at this time; 0: nothing is
 * said of that, and a new one was never fetched. SG_ERR_IO. */
SG_MUST_USE int sg_store_watched_put(
    struct sg_store *store, const char *account, const char *jid, int64_t fetched);

/* The one that was fetched longest ago: a new string. SG_ERR_KEY_ABSENT when none is watched. */
SG_MUST_USE int sg_store_watched_oldest(
    struct sg_store *store, const char *account, char **jid, int64_t *fetched);

#endif
