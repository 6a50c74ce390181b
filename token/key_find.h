/*
 * The one key that a selector means, remembered so that naming it again costs no search.
 */
#ifndef SG_TOKEN_KEY_FIND_H
#define SG_TOKEN_KEY_FIND_H

#include "error.h"
#include "key.h"
#include "module.h"
#include "msg.h"

/*
 * The one key that the selector means, with a private key that can be used; a reference for the
 * caller. SG_ERR_KEY_ABSENT; SG_ERR_KEY_AMBIGUOUS with the candidates; SG_ERR_PIN_NEEDED with
 * the token's URI as subject when its token is locked; SG_ERR_ARG for no selector; what
 * sg_selector_parse() and sg_token_scan() say, SG_ERR_TOKEN_FAILED when a token could not be
 * searched, SG_ERR_NOMEM. *key is NULL then.
 *
 * spki_sha256 (NULL or empty: any key will do) is the hash of the SubjectPublicKeyInfo that the key
 * must have; SG_ERR_KEY_CHANGED when it has another, or shows none any more.
 *
 * Answers from memory as long as the token's sessions stand. A second key that another program
 * gives the same label meanwhile is seen after the next search.
 */
SG_MUST_USE int sg_key_find(struct sg_module *module, const char *text,
    const struct sg_blob *spki_sha256, struct sg_key **key, struct sg_msg_error *error);

/* Forgets what is remembered of this key, or of all; SG_KEY_CACHE_MAX (module.h) are. */
void sg_key_cache_drop(struct sg_key *key);
void sg_key_cache_flush(struct sg_module *module);

#endif
