/*
 * What the modules said of their objects, kept beyond the call of sg_all_fn.
 */
#ifndef SG_BROKER_OBJECT_ANSWERS_H
#define SG_BROKER_OBJECT_ANSWERS_H

#include "ask_all.h"

struct sg_object_answers {
	struct sg_module_answer
	    *answers; /* without the words of an error, and what is remembered */
	size_t count;
};

/* Takes the objects out of answers to SG_MSG_OBJECT_LIST. SG_ERR_NOMEM: nothing is taken. */
SG_MUST_USE int sg_object_answers_take(
    struct sg_object_answers *taken, struct sg_module_answer *answers, size_t count);
void sg_object_answers_clear(struct sg_object_answers *taken);

#endif
