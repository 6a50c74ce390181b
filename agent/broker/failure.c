#include "failure.h"

#include <stdlib.h>

#include "text.h"

void sg_failure_add_candidate(struct sg_msg_error *error, const struct sg_candidate *candidate)
{
	struct sg_candidate *candidates =
	    reallocarray(error->candidates, error->candidate_count + 1, sizeof(*candidates));

	if (candidates == NULL)
		return;
	error->candidates = candidates;
	candidates[error->candidate_count++] = (struct sg_candidate){
		.uri = sg_text_copy(candidate->uri),
		.label = sg_text_copy(candidate->label),
		.id = sg_text_copy(candidate->id),
		.serial = sg_text_copy(candidate->serial),
		.subject = sg_text_copy(candidate->subject),
	};
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
		sg_failure_add_candidate(copy, &error->candidates[i]);
}

const char *sg_failure_text(const struct sg_msg_error *error)
{
	return error->message != NULL ? error->message : sg_err_text(sg_msg_error_code(error));
}

const char *sg_failure_advice(const struct sg_msg_error *error)
{
	int code = sg_msg_error_code(error);
	int is_of_token = code == SG_ERR_WORKER || code == SG_ERR_NOMEM || code == SG_ERR_DENIED ||
	    code == SG_ERR_LIMIT || code == SG_ERR_UNSUPPORTED || code == SG_ERR_ARG ||
	    (code <= SG_ERR_TOKEN_ABSENT && code > SG_ERR_ACCOUNT_ABSENT);

	return is_of_token && error->condition != NULL ? error->condition : sg_err_advice(code);
}

void sg_failure_clear(struct sg_msg_error *error)
{
	sg_msg_clear(SG_MSG_ERROR, error);
}
