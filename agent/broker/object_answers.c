#include "object_answers.h"

#include <stdlib.h>
#include <string.h>

int sg_object_answers_take(
    struct sg_object_answers *taken, struct sg_module_answer *answers, size_t count)
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
		if (from->error.code != 0)
			continue;
		to->u.objects = from->u.objects;
		memset(&from->u.objects, 0, sizeof(from->u.objects));
	}
	return 0;
}

void sg_object_answers_clear(struct sg_object_answers *taken)
{
	for (size_t i = 0; i < taken->count; i++) {
		if (taken->answers[i].error.code == 0)
			sg_msg_clear(SG_MSG_OBJECTS, &taken->answers[i].u);
	}
	free(taken->answers);
	*taken = (struct sg_object_answers){ NULL, 0 };
}
