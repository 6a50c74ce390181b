/*
 * What the modules said of their tokens, kept beyond the call of sg_all_fn.
 */
#ifndef SG_BROKER_TOKEN_ANSWERS_H
#define SG_BROKER_TOKEN_ANSWERS_H

#include "ask_all.h"

struct sg_token_answers {
	struct sg_module_answer *answers; /* without the words of an error */
	size_t count;
};

/* Takes the tokens out of answers to SG_MSG_TOKEN_LIST. SG_ERR_NOMEM: nothing is taken. */
SG_MUST_USE int sg_token_answers_take(
    struct sg_token_answers *taken, struct sg_module_answer *answers, size_t count);
void sg_token_answers_clear(struct sg_token_answers *taken);

#endif
