/*
 * The key pairs that this process has made, as long as nobody else has used them: what is made
 * after a key may fail, and then the key is to go as well.
 */
#ifndef SG_TOKEN_MADE_H
#define SG_TOKEN_MADE_H

#include "key.h"
#include "msg.h"

#define SG_MADE_MAX 16 /* that are remembered, the last ones */

/* A pair that the caller's request has made, and whose label and identifier were new. Without
 * memory it is not remembered. */
void sg_made_note(struct sg_token *token, const char *uri, const struct sg_blob *id,
    const struct sg_blob *label, const struct sg_caller *caller);

/* It signs: for another process or purpose than it was made for, it is forgotten. */
void sg_made_use(const struct sg_key *key, const struct sg_caller *caller);

/* Takes the pair with this URI out for its maker: 1, or 0 when there is none. id and label are the
 * caller's to clear. */
int sg_made_take(const char *uri, const struct sg_caller *caller, struct sg_token **token,
    struct sg_blob *id, struct sg_blob *label);

#endif
