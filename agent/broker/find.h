/*
 * Finding the one token or key that a selector means, and the module that has it.
 */
#ifndef SG_BROKER_FIND_H
#define SG_BROKER_FIND_H

#include "tokens.h"

#define SG_KEY_PIN_SIZE 32

/* A token, and the module that has it. The callee of the callback may take it over by zeroing it. */
struct sg_token_ref {
	struct sg_module *module;
	struct sg_msg_tokens tokens; /* exactly one */
};
typedef void sg_token_fn(void *arg, const struct sg_msg_error *error, struct sg_token_ref *token);
void sg_token_ref_clear(struct sg_token_ref *token);
const struct sg_token_info *sg_token_ref_info(const struct sg_token_ref *token);

/* Finds the one token that a selector, fit by sg_uri_check(), means. SG_ERR_TOKEN_ABSENT,
 * SG_ERR_TOKEN_AMBIGUOUS with candidates, or a worker's error. Found on one module, it is not waited long
 * for others that do not answer; so with keys. */
void sg_tokens_find(struct sg_tokens *tokens, const char *selector, sg_token_fn *fn, void *arg);

/* A key with the certificates that hold its public key, and the module that has it. The callee of the
 * callback may take it over by zeroing it. */
struct sg_key_ref {
	struct sg_module *module;
	struct sg_msg_objects objects; /* exactly one key */
	/* key_pin.h: the SHA-256 of the public key that it must have; none when nobody knows it */
	unsigned char pin[SG_KEY_PIN_SIZE];
	size_t pin_len;
};
typedef void sg_key_fn(void *arg, const struct sg_msg_error *error, struct sg_key_ref *key);
void sg_key_ref_clear(struct sg_key_ref *key);
const struct sg_key_info *sg_key_ref_info(const struct sg_key_ref *key);

/* Finds the one key that is meant. SG_ERR_KEY_ABSENT, SG_ERR_KEY_AMBIGUOUS with candidates, ... */
void sg_tokens_find_key(struct sg_tokens *tokens, const struct sg_caller *caller,
    const char *selector, sg_key_fn *fn, void *arg);

#endif
