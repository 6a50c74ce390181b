/*
 * Which tokens are known to be unlocked in the worker process that runs, so that not each call has
 * to ask. It is a memory and no promise: a login that the token has lost shows as SG_ERR_PIN_NEEDED
 * from the worker, and whoever gets that forgets the token here, logs in and asks once more.
 */
#ifndef SG_BROKER_UNLOCKED_H
#define SG_BROKER_UNLOCKED_H

#include "tokens.h"

/* Notes that the worker said so, or that a login succeeded. Without memory nothing is noted. */
void sg_unlocked_note(struct sg_module *module, const char *token_uri);

/* It was locked, or is gone; NULL: all of the module. What was found there is forgotten, too. */
void sg_unlocked_forget(struct sg_agent *agent, struct sg_module *module, const char *token_uri);

/* Whether the token is known to be unlocked in the process that runs. */
int sg_unlocked_has(struct sg_module *module, const char *token_uri);

/* Frees the list of a module that goes away. */
void sg_unlocked_clear(struct sg_module *module);

#endif
