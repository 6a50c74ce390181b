/* Doctor. */
#include "verbs.h"

#include "call.h"
#include "doctor.h"

static json_t *findings_of(const struct sg_call *call)
{
	return json_object_get(call->parameters, "findings");
}

static void finish(struct sg_call *call)
{
	json_t *findings = findings_of(call);

	sg_doctor_accounts(call->agent, findings);
	sg_call_reply(call, json_pack("{s:O}", "findings", findings));
}

static void on_keys(void *arg, struct sg_module_answer *answers, size_t count)
{
	struct sg_call *call = arg;

	sg_doctor_keys(call->agent, answers, count, findings_of(call));
	finish(call);
}

static void on_tokens(void *arg, struct sg_module_answer *answers, size_t count)
{
	struct sg_call *call = arg;
	char all[] = "";
	const struct sg_msg_object_list msg = { .caller = call->caller, .selector = all };
	size_t tokens = sg_module_answers_token_count(answers, count);

	sg_doctor_system(answers, count, findings_of(call));
	sg_doctor_config(call->agent, findings_of(call));
	sg_doctor_tokens(call->agent, answers, count, findings_of(call));
	if (tokens > 0)
		sg_ask_objects(call->agent->tokens, &msg, on_keys, call);
	else
		finish(call);
}

/* It takes no parameters, so that what it finds can be kept among them. */
void sg_verb_doctor(struct sg_call *call)
{
	if (json_object_set_new(call->parameters, "findings", json_array()) != 0)
		sg_call_fail_code(call, SG_ERR_NOMEM, NULL);
	else
		sg_ask_tokens(call->agent->tokens, SG_IMPATIENT, on_tokens, call);
}
