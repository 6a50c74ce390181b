#include "element.h"

#include <string.h>

#define CONDITION_MAX 64

static int set_attr(struct sg_xml *element, const char *name, const char *value)
{
	return value != NULL ? sg_xml_set_attr(element, name, value) : 0;
}

int sg_element_iq(const struct sg_iq_head *head, struct sg_xml *payload, struct sg_xml **iq)
{
	struct sg_xml *made = sg_xml_new("iq", head->ns);
	int err = made != NULL ? 0 : SG_ERR_NOMEM;

	*iq = NULL;
	if (err == 0)
		err = set_attr(made, "type", head->type);
	if (err == 0)
		err = set_attr(made, "id", head->id);
	if (err == 0)
		err = set_attr(made, "to", head->to);
	if (err == 0)
		err = set_attr(made, "from", head->from);
	if (err == 0 && payload != NULL) {
		err = sg_xml_add(made, payload);
		payload = NULL; /* the iq's, also when it failed */
	}
	if (err == 0) {
		*iq = made;
		made = NULL;
	}
	sg_xml_free(payload);
	sg_xml_free(made);
	return err;
}

static int add_condition(struct sg_xml *error, const char *condition)
{
	struct sg_xml *child = sg_xml_new(condition, SG_NS_STANZAS);

	return child != NULL ? sg_xml_add(error, child) : SG_ERR_NOMEM;
}

static int add_text(struct sg_xml *error, const char *text)
{
	struct sg_xml *child = sg_xml_new("text", SG_NS_STANZAS);
	int err;

	if (child == NULL)
		return SG_ERR_NOMEM;
	err = sg_xml_set_attr(child, "xml:lang", "en");
	if (err == 0)
		err = sg_xml_add_text(child, text, strlen(text));
	if (err != 0) {
		sg_xml_free(child);
		return err;
	}
	return sg_xml_add(error, child);
}

int sg_element_error(
    const char *type, const char *condition, const char *text, struct sg_xml **error)
{
	struct sg_xml *made = sg_xml_new("error", NULL);
	int err = made != NULL ? sg_xml_set_attr(made, "type", type) : SG_ERR_NOMEM;

	*error = NULL;
	if (err == 0)
		err = add_condition(made, condition);
	if (err == 0 && text != NULL)
		err = add_text(made, text);
	if (err == 0)
		*error = made;
	else
		sg_xml_free(made);
	return err;
}

int sg_condition_is_name(const char *name)
{
	size_t len = strnlen(name, CONDITION_MAX);

	return len > 0 && len < CONDITION_MAX && strspn(name, "abcdefghijklmnopqrstuvwxyz-") == len;
}
