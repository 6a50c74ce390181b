/*
 * The tokens: one signet-token for each module of the configuration. Finds the module that has a
 * token or a key.
 */
#ifndef SG_BROKER_TOKENS_H
#define SG_BROKER_TOKENS_H

#include "agent.h"
#include "failure.h"
#include "msg.h"
#include "worker.h"

#define SG_TOKEN_SECONDS    60
#define SG_GENERATE_SECONDS 180
#define SG_PATIENCE_SECONDS 5  /* for modules that are not needed */
#define SG_HANGING_SECONDS  60 /* in which a module that hangs is not asked again */

#define SG_KEY_PIN_SIZE	   32

struct sg_tokens;

struct sg_module {
	const char *name;
	struct sg_worker *worker;
	unsigned answered_by; /* the last process of the worker that answered; 0: none did */
	int64_t hangs_until;  /* of sg_clock_ms; 0: it does not hang */
	char **unlocked;      /* unlocked.h: URIs of tokens, ... */
	size_t unlocked_count;
	unsigned unlocked_in; /* in this process of the worker */
};

SG_MUST_USE int sg_tokens_new(struct sg_agent *agent, struct sg_tokens **tokens);
void sg_tokens_free(struct sg_tokens *tokens);

size_t sg_tokens_module_count(const struct sg_tokens *tokens);
struct sg_module *sg_tokens_module(struct sg_tokens *tokens, size_t i);

/* One module's answer: error.code 0 and the answer, or an error. */
struct sg_module_answer {
	struct sg_module *module;
	struct sg_msg_error error;
	union {
		struct sg_msg_tokens tokens;
		struct sg_msg_objects objects;
	} u;
};

/* The answers are freed after the call; what they own may be taken over by zeroing it. */
typedef void sg_all_fn(void *arg, struct sg_module_answer *answers, size_t count);

/*
 * Asks every module: SG_MSG_TOKEN_LIST or SG_MSG_OBJECT_LIST. After SG_PATIENCE_SECONDS the modules that
 * have not answered count as SG_ERR_TIMEOUT, without harm to their workers: at once when impatient, else
 * as soon as one module has given a good answer. A module whose process did not even answer its first
 * question by then is not asked again for SG_HANGING_SECONDS, unless there is no other.
 */
void sg_tokens_ask_all(struct sg_tokens *tokens, uint16_t type, const void *msg, int impatient,
    sg_all_fn *fn, void *arg);

/*
 * The error to show for answers of which none is good; NULL when one is. With several, the first.
 */
const struct sg_msg_error *sg_tokens_all_failed(
    const struct sg_module_answer *answers, size_t count);

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
