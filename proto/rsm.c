#include "rsm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void sg_rsm_clear(struct sg_rsm *rsm)
{
	free(rsm->last);
	*rsm = (struct sg_rsm){ NULL, 0, 0 };
}

int sg_rsm_ask(struct sg_xml *payload, unsigned max, const char *after)
{
	struct sg_xml *set = sg_xml_new("set", SG_NS_RSM);
	char text[16];
	int err;

	if (set == NULL)
		return SG_ERR_NOMEM;
	err = sg_xml_add(payload, set);
	if (err != 0)
		return err;
	(void)snprintf(text, sizeof(text), "%u", max);
	err = sg_xml_put(set, "max", text, NULL);
	if (err == 0 && after != NULL)
		err = sg_xml_put(set, "after", after, NULL);
	return err;
}

/* A count that is none is as good as no count: it is the server's own word only. */
static int read_count(const struct sg_xml *element, struct sg_rsm *rsm)
{
	char *text = sg_xml_trimmed_text(element);
	unsigned long count;
	char *end;

	if (text == NULL)
		return SG_ERR_NOMEM;
	count = strtoul(text, &end, 10);
	rsm->has_count = text[0] >= '0' && text[0] <= '9' && *end == '\0' && count <= UINT32_MAX;
	rsm->count = rsm->has_count ? (uint32_t)count : 0;
	free(text);
	return 0;
}

static int read_last(const struct sg_xml *element, struct sg_rsm *rsm)
{
	rsm->last = sg_xml_text(element);
	if (rsm->last == NULL)
		return SG_ERR_NOMEM;
	if (strlen(rsm->last) > SG_RSM_LAST_MAX)
		return SG_ERR_LIMIT;
	if (rsm->last[0] == '\0') {
		free(rsm->last);
		rsm->last = NULL;
	}
	return 0;
}

int sg_rsm_read(const struct sg_xml *payload, struct sg_rsm *rsm)
{
	const struct sg_xml *set, *last = NULL, *count = NULL;
	int err;

	*rsm = (struct sg_rsm){ NULL, 0, 0 };
	err = sg_xml_only(payload, "set", SG_NS_RSM, &set);
	if (err != 0 || set == NULL)
		return err;
	err = sg_xml_only(set, "last", NULL, &last);
	if (err == 0)
		err = sg_xml_only(set, "count", NULL, &count);
	if (err == 0 && last != NULL)
		err = read_last(last, rsm);
	if (err == 0 && count != NULL)
		err = read_count(count, rsm);
	if (err == 0)
		return 1;
	sg_rsm_clear(rsm);
	return err;
}
