#include "decision.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "error.h"
#include "log.h"

static void put(struct sg_buf *line, const char *name, const char *value)
{
	if (value == NULL)
		return;
	sg_buf_printf(line, " %s=", name);
	if (*value && strpbrk(value, " \t\"\\=") == NULL) {
		sg_buf_put_str(line, value);
		return;
	}
	sg_buf_put_str(line, "\"");
	for (; *value; value++) {
		if (*value == '"' || *value == '\\')
			sg_buf_put_str(line, "\\");
		sg_buf_put(line, value, 1);
	}
	sg_buf_put_str(line, "\"");
}

/* Its index, or the count of all when there is none. */
static unsigned int find(
    const struct sg_decisions *decisions, const char *verb, const char *outcome)
{
	unsigned int i = 0;

	while (i < decisions->kind_count &&
	    (strcmp(decisions->kinds[i].verb, verb) != 0 ||
		strcmp(decisions->kinds[i].outcome, outcome) != 0))
		i++;
	return i;
}

int sg_decisions_has(const struct sg_decisions *decisions, const char *verb, const char *outcome)
{
	return find(decisions, verb, outcome) < decisions->kind_count;
}

/* Verbs and outcomes are ours and few: a kind that finds no room would be a defect, and is not counted. */
static void count(struct sg_decisions *decisions, const struct sg_decision *decision)
{
	unsigned int i = find(decisions, decision->verb, decision->outcome);

	if (i == SG_DECISION_KINDS_MAX)
		return;
	if (i == decisions->kind_count) {
		decisions->kinds[i].verb = decision->verb;
		decisions->kinds[i].outcome = decision->outcome;
		decisions->kind_count++;
	}
	decisions->kinds[i].count++;
}

void sg_decision_tell(struct sg_decisions *decisions, const struct sg_decision *decision)
{
	struct sg_buf line = { 0 };
	char *text;

	if (decisions != NULL)
		count(decisions, decision);
	sg_buf_put_str(&line, decision->verb);
	put(&line, "outcome", decision->outcome);
	if (decision->count != NULL)
		sg_buf_printf(&line, " count=%" PRId64, *decision->count);
	put(&line, "sha256", decision->sha256);
	put(&line, "account", decision->account);
	put(&line, "who", decision->who);
	put(&line, "reason", decision->reason);
	put(&line, "why", decision->why);
	if (decision->err != 0)
		put(&line, "failed", sg_err_text(decision->err));
	text = sg_buf_steal(&line, NULL);
	sg_log(decision->err != 0 ? SG_LOG_ERROR : SG_LOG_INFO, "%s",
	    text != NULL ? text : decision->verb);
	free(text);
}
