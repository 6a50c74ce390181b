#include "convert.h"

#include <stdlib.h>
#include <string.h>

static int copy_attributes(xmpp_stanza_t *stanza, struct sg_xml *element)
{
	/* names and values in turn; libstrophe keeps the namespace among them */
	const char *attributes[2 * (SG_XML_ATTRS_MAX + 1)];
	int count = xmpp_stanza_get_attribute_count(stanza), rc = 0;

	if (count > SG_XML_ATTRS_MAX + 1)
		return SG_ERR_LIMIT;
	if (count <= 0)
		return 0;
	count = xmpp_stanza_get_attributes(stanza, attributes, 2 * count);
	for (int i = 0; !rc && i + 1 < count; i += 2)
		if (strcmp(attributes[i], "xmlns") != 0)
			rc = sg_xml_set_attr(element, attributes[i], attributes[i + 1]);
	return rc;
}

int sg_convert_head(xmpp_stanza_t *stanza, struct sg_xml **tree)
{
	const char *name = xmpp_stanza_get_name(stanza);
	int rc;

	*tree = name ? sg_xml_new(name, xmpp_stanza_get_ns(stanza)) : NULL;
	if (!*tree)
		return name ? SG_ERR_NOMEM : SG_ERR_FORMAT;
	rc = copy_attributes(stanza, *tree);
	if (rc) {
		sg_xml_free(*tree);
		*tree = NULL;
	}
	return rc;
}

/* Recursion ends at the depth, whatever the stanza's. */
static int convert(xmpp_stanza_t *stanza, unsigned int depth, struct sg_xml **tree)
{
	xmpp_stanza_t *child;
	struct sg_xml *element;
	int rc;

	*tree = NULL;
	if (depth == SG_XML_DEPTH_MAX)
		return SG_ERR_LIMIT;
	rc = sg_convert_head(stanza, tree);
	for (child = xmpp_stanza_get_children(stanza); !rc && child;
	     child = xmpp_stanza_get_next(child)) {
		if (xmpp_stanza_is_text(child)) {
			const char *text = xmpp_stanza_get_text_ptr(child);

			rc = text ? sg_xml_add_text(*tree, text, strlen(text)) : 0;
			continue;
		}
		rc = convert(child, depth + 1, &element);
		if (!rc)
			rc = sg_xml_add(*tree, element);
	}
	if (rc) {
		sg_xml_free(*tree);
		*tree = NULL;
	}
	return rc;
}

int sg_convert_stanza(xmpp_stanza_t *stanza, struct sg_xml **tree)
{
	return convert(stanza, 0, tree);
}
