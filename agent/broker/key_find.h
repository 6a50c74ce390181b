/*
 * Finding a key to work with, from memory or by a search (find.h), and unlocking its token: it may
 * hide on a locked one, and is of use on an unlocked one only.
 */
#ifndef SG_BROKER_KEY_FIND_H
#define SG_BROKER_KEY_FIND_H

#include "find.h"
#include "login.h"

/*
 * The one key that the selector means, with its token unlocked: from memory (key_cache.h) when it
 * was found before, else by a search. A locked token that a URI names is unlocked before it is
 * searched. Its public key is the one that it had at its first use, else SG_ERR_KEY_CHANGED. Else
 * as sg_tokens_find_key() and sg_login_unlock() say. fn may be called before this returns; caller
 * and pin must stay valid until then.
 */
void sg_key_find_unlocked(struct sg_agent *agent, const struct sg_caller *caller,
    const char *selector, struct sg_pin *pin, sg_key_fn *fn, void *arg);

/* The same by a search in any case, and whatever public key was there before. */
void sg_key_find_any(struct sg_agent *agent, const struct sg_caller *caller, const char *selector,
    struct sg_pin *pin, sg_key_fn *fn, void *arg);

#endif
