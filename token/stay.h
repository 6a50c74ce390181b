/*
 * One stay of one card in its reader, under one pcscd. What a module tells of a card, a login, and
 * the PIN that is held hold good for one stay alone: modules answer from what they once read, and
 * after pcscd was started anew they go on so for whatever card is in the reader then.
 */
#ifndef SG_TOKEN_STAY_H
#define SG_TOKEN_STAY_H

#include "token.h"

/* Whether the card has been out since it was found, was seen to go, or pcscd has ended: then the
 * token gets no PIN, and nothing of it is used. 0 for what is in no reader of pcscd's. It costs two
 * questions to pcscd. */
int sg_stay_is_over(struct sg_token *token);

/* The module knows, or will know, no more of this stay: it is over until the token is found
 * again. */
void sg_stay_forget(struct sg_token *token);

/* Whether the module may still know a card whose stay is over. */
int sg_stay_any_over(struct sg_module *module);

/*
 * Tokens whose stay is over lose sessions and login, and the PIN that is not to wait for their
 * return; and the module is started anew, so that it reads all cards again. While other threads are
 * in the module, or pcscd is away, that is left to the next time. No lock is held but login_lock
 * and cure_lock. A module that cannot be started again ends the process.
 */
void sg_stay_renew(struct sg_module *module);

#endif
