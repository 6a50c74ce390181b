#include "token_answers.h"

#include <stdlib.h>

int sg_token_answers_take(
    struct sg_token_answers *taken, struct sg_module_answer *answers, size_t count)
{
	taken->count = 0;
	taken->answers = calloc(count + 1, sizeof(*taken->answers));
	if (taken->answers == NULL)
		return SG_ERR_NOMEM;
	for (; taken->count < count; taken->count++) {
		struct sg_module_answer *from = &answers[taken->count];
		struct sg_module_answer *to = &taken->answers[taken->count];

		to->module = from->module;
		to->error.code = from->error.code;
		to->remembered = from->remembered;
		from->remembered = (struct sg_msg_tokens){ NULL, 0 };
		if (from->error.code != 0)
			continue;
		to->u.tokens = from->u.tokens;
		from->u.tokens = (struct sg_msg_tokens){ NULL, 0 };
	}
	return 0;
}

void sg_token_answers_clear(struct sg_token_answers *taken)
{
	for (size_t i = 0; i < taken->count; i++) {
		sg_msg_clear(SG_MSG_TOKENS, &taken->answers[i].remembered);
		if (taken->answers[i].error.code == 0)
			sg_msg_clear(SG_MSG_TOKENS, &taken->answers[i].u.tokens);
	}
	free(taken->answers);
	*taken = (struct sg_token_answers){ NULL, 0 };
}
