/*
 * Finding the one token or key that a selector means, and the module that has it, by asking the
 * modules.
 */
#ifndef SG_BROKER_FIND_H
#define SG_BROKER_FIND_H

#include "tokens.h"

#define SG_SPKI_SHA256_SIZE 32 /* bytes of a SubjectPublicKeyInfo's hash */

/* A token, and the module that has it. The callee of the callback may take it over by zeroing
 * it. */
struct sg_token_ref {
	struct sg_module *module;
	struct sg_msg_tokens tokens; /* exactly one */
};
typedef void sg_token_fn(void *arg, const struct sg_msg_error *error, struct sg_token_ref *token);
void sg_token_ref_clear(struct sg_token_ref *token);
const struct sg_token_info *sg_token_ref_info(const struct sg_token_ref *token);

/* Finds the one token that a selector, fit by sg_uri_check(), means. SG_ERR_TOKEN_ABSENT,
 * SG_ERR_TOKEN_AMBIGUOUS with candidates, or a worker's error. Found on one module, it is not
 * waited long for others that do not answer; so with keys. */
void sg_tokens_find(struct sg_tokens *tokens, const char *selector, sg_token_fn *fn, void *arg);

/* Whether exactly one of the tokens that modules had when they last told is meant, without asking
 * any: a copy of what it was then. */
int sg_tokens_find_known(
    struct sg_tokens *tokens, const char *selector, struct sg_token_ref *found);

/* A key with the certificates that hold its public key, and the module that has it. The callee of
 * the callback may take it over by zeroing it. */
struct sg_key_ref {
	struct sg_module *module;
	struct sg_msg_objects objects; /* exactly one key */
	/* key_known.h: of the public key that it must have; none when nobody knows it */
	unsigned char spki_sha256[SG_SPKI_SHA256_SIZE];
	size_t spki_sha256_len;
};
typedef void sg_key_fn(void *arg, const struct sg_msg_error *error, struct sg_key_ref *key);
void sg_key_ref_clear(struct sg_key_ref *key);
const struct sg_key_info *sg_key_ref_info(const struct sg_key_ref *key);

/* Finds the one key that is meant. SG_ERR_KEY_ABSENT, SG_ERR_KEY_AMBIGUOUS with candidates, ... */
void sg_tokens_find_key(struct sg_tokens *tokens, const struct sg_caller *caller,
    const char *selector, sg_key_fn *fn, void *arg);

#endif
