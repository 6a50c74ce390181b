#include "path_json.h"

#include "api_json.h"
#include "verdict.h"

static json_t *claims_json(struct sg_path_graph *graph, const char *name)
{
	const char *const *claims = sg_path_claims(graph, name);
	json_t *array = json_array();

	for (; claims != NULL && *claims != NULL; claims++)
		(void)json_array_append_new(array, sg_json_text(*claims));
	return array;
}

static json_t *step_json(struct sg_path_graph *graph, const struct sg_path_step *step)
{
	return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:s, s:o, s:o, s:o, s:o}", "way",
	    sg_path_way_name(step->way), "issuer", sg_json_text(step->issuer), "issuer_jid",
	    sg_json_text(step->issuer_jid), "subject", sg_json_text_or_empty(step->subject), "jids",
	    claims_json(graph, step->subject), "method", sg_json_text(step->method), "grade",
	    sg_grade_name(step->grade), "since", sg_json_when(step->since), "not_before",
	    sg_json_when(step->not_before), "not_after", sg_json_when(step->not_after), "breaks",
	    sg_json_text(sg_path_break_name(step->breaks)));
}

json_t *sg_json_path(struct sg_path_graph *graph, const char *name, const struct sg_path *path)
{
	json_t *steps = json_array();

	for (size_t i = 0; i < path->step_count; i++)
		(void)json_array_append_new(steps, step_json(graph, &path->steps[i]));
	if (json_array_size(steps) != path->step_count) {
		json_decref(steps);
		return NULL;
	}
	return json_pack("{s:o, s:s, s:o, s:s, s:o, s:o}", "name", sg_json_text_or_empty(name),
	    "verdict", sg_path_verdict_name(path->verdict), "jid", sg_json_text(path->jid), "grade",
	    sg_grade_name(path->grade), "claims", claims_json(graph, name), "steps", steps);
}
