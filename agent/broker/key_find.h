/*
 * Finding a key to work with: it may hide on a locked token, and is of use on an unlocked one only.
 */
#ifndef SG_BROKER_KEY_FIND_H
#define SG_BROKER_KEY_FIND_H

#include "login.h"

/*
 * sg_tokens_find_key(), with its token unlocked. When no key is found, and the selector names one
 * token that is locked and may hide its keys, that is unlocked first. caller and pin must stay valid
 * until fn is called.
 */
void sg_key_find_unlocked(struct sg_agent *agent, const struct sg_caller *caller,
    const char *selector, struct sg_pin *pin, sg_key_fn *fn, void *arg);

#endif
