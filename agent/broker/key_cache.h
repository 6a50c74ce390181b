/*
 * Keys that were found: what they are, by the selector that found them, so that a call which names
 * a key again costs no search of its token. An entry stands as long as the worker process that
 * found it, and until something is known to have changed there.
 *
 * A second key that another program gives the same label is seen after the next search.
 */
#ifndef SG_BROKER_KEY_CACHE_H
#define SG_BROKER_KEY_CACHE_H

#include "find.h"

#define SG_KEY_CACHE_MAX 1024 /* selectors */

struct sg_key_cache;

/* SG_ERR_NOMEM. */
SG_MUST_USE int sg_key_cache_new(struct sg_key_cache **cache);
void sg_key_cache_free(struct sg_key_cache *cache);

/*
 * Remembers the key by the selector and by its URI. Not when its token was locked and showed the
 * public half alone: there is more to know of it. Without memory nothing is remembered, and it is
 * searched for again.
 */
void sg_key_cache_put(
    struct sg_key_cache *cache, const char *selector, const struct sg_key_ref *key);

/* Gives a copy of what is remembered: 1, or 0 when there is nothing that still stands. */
int sg_key_cache_get(struct sg_key_cache *cache, const char *selector, struct sg_key_ref *key);

/* Forgets what was found in a module; NULL: in all. */
void sg_key_cache_flush(struct sg_key_cache *cache, const struct sg_module *module);

#endif
