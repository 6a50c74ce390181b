#include "failure.h"

#include <stdlib.h>
#include <string.h>

#include "text.h"

void sg_failure_add_candidate(struct sg_msg_error *error, const char *candidate)
{
	char **candidates =
	    reallocarray(error->candidates, error->candidate_count + 1, sizeof(*candidates));

	if (candidates == NULL)
		return;
	error->candidates = candidates;
	candidates[error->candidate_count] = strdup(candidate != NULL ? candidate : "");
	if (candidates[error->candidate_count] != NULL)
		error->candidate_count++;
}

void sg_failure_copy(struct sg_msg_error *copy, const struct sg_msg_error *error)
{
	*copy = (struct sg_msg_error){
		.code = error->code,
		.message = sg_text_copy(error->message),
		.subject = sg_text_copy(error->subject),
		.condition = sg_text_copy(error->condition),
		.tries_left = error->tries_left,
	};
	for (uint32_t i = 0; i < error->candidate_count; i++)
		sg_failure_add_candidate(copy, error->candidates[i]);
}

void sg_failure_clear(struct sg_msg_error *error)
{
	sg_msg_clear(SG_MSG_ERROR, error);
}
