#include "stanza.h"

#include <stdlib.h>
#include <string.h>

/* One tree's account, over all its levels. */
struct account {
	size_t nodes;
	size_t bytes;
};

static int spend(struct account *account, size_t bytes)
{
	account->nodes++;
	if (account->nodes > SG_XML_NODES_MAX || bytes > SG_XML_BYTES_MAX - account->bytes)
		return SG_ERR_LIMIT;
	account->bytes += bytes;
	return 0;
}

static int copy_attributes(xmpp_stanza_t *stanza, struct account *account, struct sg_xml *element)
{
	const char *attrs[2 * SG_XML_ATTRS_MAX + 2];
	int count = xmpp_stanza_get_attribute_count(stanza);
	int rc = 0;

	if (count > SG_XML_ATTRS_MAX + 1) /* xmlns is among them */
		return SG_ERR_LIMIT;
	count = xmpp_stanza_get_attributes(stanza, attrs, 2 * count);
	for (int i = 0; rc == 0 && i + 1 < count; i += 2) {
		if (strcmp(attrs[i], "xmlns") == 0)
			continue;
		rc = spend(account, strlen(attrs[i]) + strlen(attrs[i + 1]));
		if (rc == 0)
			rc = sg_xml_set_attr(element, attrs[i], attrs[i + 1]);
	}
	return rc;
}

/* Recursion is bounded by the depth, and that by SG_XML_DEPTH_MAX. */
static int copy(
    xmpp_stanza_t *stanza, unsigned depth, struct account *account, struct sg_xml **element)
{
	const char *name = xmpp_stanza_get_name(stanza), *ns = xmpp_stanza_get_ns(stanza), *text;
	struct sg_xml *made, *child;
	int rc;

	*element = NULL;
	if (depth > SG_XML_DEPTH_MAX)
		return SG_ERR_LIMIT;
	rc = spend(account, strlen(name));
	if (rc != 0)
		return rc;
	made = sg_xml_new(name, ns != NULL ? ns : "");
	if (made == NULL)
		return SG_ERR_NOMEM;
	rc = copy_attributes(stanza, account, made);
	for (xmpp_stanza_t *s = xmpp_stanza_get_children(stanza); rc == 0 && s != NULL;
	     s = xmpp_stanza_get_next(s)) {
		if (xmpp_stanza_is_tag(s)) {
			rc = copy(s, depth + 1, account, &child);
			if (rc == 0)
				rc = sg_xml_add(made, child);
		} else if ((text = xmpp_stanza_get_text_ptr(s)) != NULL) {
			rc = spend(account, strlen(text));
			if (rc == 0)
				rc = sg_xml_add_text(made, text, strlen(text));
		}
	}
	if (rc != 0) {
		sg_xml_free(made);
		return rc;
	}
	*element = made;
	return 0;
}

int sg_stanza_to_xml(xmpp_stanza_t *stanza, struct sg_xml **element)
{
	struct account account = { 0, 0 };

	return copy(stanza, 1, &account, element);
}

xmpp_stanza_t *sg_stanza_child(xmpp_stanza_t *stanza)
{
	xmpp_stanza_t *child = xmpp_stanza_get_children(stanza);

	while (child != NULL && !xmpp_stanza_is_tag(child))
		child = xmpp_stanza_get_next(child);
	return child;
}

struct sg_xml *sg_stanza_iq(
    const char *type, const char *to, const char *id, struct sg_xml *payload)
{
	struct sg_xml *iq = sg_xml_new("iq", SG_NS_CLIENT);

	if (iq == NULL || sg_xml_set_attr(iq, "type", type) != 0 ||
	    sg_xml_set_attr(iq, "id", id) != 0 ||
	    (to != NULL && sg_xml_set_attr(iq, "to", to) != 0)) {
		sg_xml_free(payload);
		sg_xml_free(iq);
		return NULL;
	}
	if (payload != NULL && sg_xml_add(iq, payload) != 0) {
		sg_xml_free(iq);
		return NULL;
	}
	return iq;
}

struct sg_xml *sg_stanza_error(const char *type, const char *condition)
{
	struct sg_xml *error = sg_xml_new("error", SG_NS_CLIENT);
	struct sg_xml *child = sg_xml_new(condition, SG_NS_STANZAS);

	if (error == NULL || child == NULL || sg_xml_set_attr(error, "type", type) != 0) {
		sg_xml_free(child);
		sg_xml_free(error);
		return NULL;
	}
	if (sg_xml_add(error, child) != 0) {
		sg_xml_free(error);
		return NULL;
	}
	return error;
}
