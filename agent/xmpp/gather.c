#include "gather.h"

#include <string.h>

#include "contacts.h"
#include "filter.h"
#include "keyinfo.h"
#include "log.h"
#include "parser.h"
#include "pep.h"

#define NS_XML "http://www.w3.org/XML/1998/namespace"

static struct {
	/*
	 * The open elements, as far as a tree can have them; the first is the stanza. A part is a tree of its own
	 * until it ends, so that it can be left out alone; part is its depth, 0 outside of any.
	 */
	struct sg_xml *open[SG_XML_DEPTH_MAX];
	size_t depth, part;
	struct sg_xml *root;
	size_t needless; /* depth of the element of which nothing is kept, 0 outside of any */
	int is_refused, is_part_refused;
	struct sg_buf written; /* what is in the stanza */
} gather;

void sg_gather_clear(void)
{
	if (gather.part > 0 && gather.part <= SG_XML_DEPTH_MAX)
		sg_xml_free(gather.open[gather.part - 1]);
	sg_xml_free(gather.root);
	sg_buf_clear(&gather.written);
	memset(&gather, 0, sizeof(gather));
}

void sg_gather_refuse(void)
{
	if (gather.part > 0)
		gather.is_part_refused = 1;
	else
		gather.is_refused = 1;
}

/* ---- as it was written ---- */

static void write_down(const char *written, size_t len)
{
	if (gather.written.err == 0 && len > SG_GATHER_WRITTEN_MAX - gather.written.len)
		gather.written.err = SG_ERR_LIMIT;
	sg_buf_put(&gather.written, written, len);
}

/* ---- as a tree ---- */

/* Splits "namespace SEPARATOR name"; the name, and the namespace in ns. NULL when that is over the limit. */
static const char *split(const char *joined, char ns[SG_XML_NS_MAX + 1])
{
	const char *separator = strchr(joined, SG_PARSER_SEPARATOR[0]);
	size_t len = separator != NULL ? (size_t)(separator - joined) : 0;

	if (len > SG_XML_NS_MAX)
		return NULL;
	memcpy(ns, joined, len);
	ns[len] = '\0';
	return separator != NULL ? separator + 1 : joined;
}

/* What an attribute is called in a tree, or NULL: of those in a namespace, only xml:lang is ever looked at. */
static const char *attr_name(const char *joined)
{
	if (strcmp(joined, NS_XML SG_PARSER_SEPARATOR "lang") == 0)
		return "xml:lang";
	return strchr(joined, SG_PARSER_SEPARATOR[0]) == NULL ? joined : NULL;
}

static int set_attrs(struct sg_xml *element, const char **attrs)
{
	int err = 0;

	for (; err == 0 && attrs[0] != NULL; attrs += 2) {
		const char *name = attr_name(attrs[0]);

		if (name != NULL)
			err = sg_xml_set_attr(element, name, attrs[1]);
	}
	return err;
}

static struct sg_xml *element_new(const char *name, const char **attrs)
{
	char ns[SG_XML_NS_MAX + 1];
	const char *local = split(name, ns);
	size_t count = 0, bytes = 0;
	struct sg_xml *made;

	for (const char **attr = attrs; attr[0] != NULL && count <= SG_XML_ATTRS_MAX; attr += 2) {
		count += attr_name(attr[0]) != NULL;
		bytes += strlen(attr[0]) + strlen(attr[1]);
	}
	if (local == NULL || count > SG_XML_ATTRS_MAX || bytes > SG_FILTER_ATTR_BYTES_MAX)
		return NULL;
	made = sg_xml_new(local, ns);
	if (made != NULL && set_attrs(made, attrs) != 0) {
		sg_xml_free(made);
		return NULL;
	}
	return made;
}

/* What may be left out alone (K10): an item of a node, or one key. */
static int is_part(const char *name)
{
	static const char *const parts[] = {
		SG_NS_PUBSUB SG_PARSER_SEPARATOR "item",
		SG_NS_PUBSUB_EVENT SG_PARSER_SEPARATOR "item",
		SG_NS_PUBKEY SG_PARSER_SEPARATOR "keyinfo",
	};

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (strcmp(name, parts[i]) == 0)
			return 1;
	return 0;
}

/* Whether more of the tree at hand is wanted at all. */
static int is_built(void)
{
	return gather.needless == 0 && !gather.is_refused &&
	    !(gather.part > 0 && gather.is_part_refused);
}

/* The groups of contacts, which a person may have more of than contacts, would use up what a tree may have. */
static int is_needless(const char *name)
{
	return strcmp(name, SG_NS_ROSTER SG_PARSER_SEPARATOR "group") == 0;
}

/* Opens the element at the depth that was just entered. */
static void open_element(const char *name, const char **attrs)
{
	size_t at = gather.depth - 1;
	struct sg_xml *made = at < SG_XML_DEPTH_MAX ? element_new(name, attrs) : NULL;

	if (made == NULL) {
		sg_gather_refuse();
		return;
	}
	gather.open[at] = made;
	if (at == 0)
		gather.root = made;
	else if (gather.part == 0 && is_part(name))
		gather.part = gather.depth;
	else if (sg_xml_add(gather.open[at - 1], made) != 0)
		sg_gather_refuse();
}

void sg_gather_start(const char *name, const char **attrs, const char *tag, size_t tag_len)
{
	gather.depth++;
	if (gather.depth > 1)
		write_down(tag, tag_len);
	if (!is_built())
		return;
	if (is_needless(name))
		gather.needless = gather.depth;
	else
		open_element(name, attrs);
}

/* An element that stands for a part that is left out: its name and id. NULL without memory. */
static struct sg_xml *empty_part(const struct sg_xml *part)
{
	struct sg_xml *made = sg_xml_new(sg_xml_name(part), sg_xml_ns(part));
	const char *id = sg_xml_attr(part, "id");

	if (made != NULL && id != NULL && sg_xml_set_attr(made, "id", id) != 0) {
		sg_xml_free(made);
		return NULL;
	}
	return made;
}

/* A part has ended: it joins the tree, or, when it is over the limits, an empty one in its place. */
static void part_end(void)
{
	struct sg_xml *part = gather.open[gather.part - 1], *empty = empty_part(part);
	struct sg_xml *parent = gather.open[gather.part - 2];
	int err = gather.is_part_refused ? SG_ERR_LIMIT : 0;

	if (err == 0)
		err = sg_xml_add(parent, part);
	else
		sg_xml_free(part);
	gather.part = 0;
	gather.is_part_refused = 0;
	if (err == 0) {
		sg_xml_free(empty);
		return;
	}
	sg_log(SG_LOG_WARN, "an item or a key is left out: over our limits");
	if (empty == NULL || sg_xml_add(parent, empty) != 0)
		sg_gather_refuse();
}

void sg_gather_end(const char *tag, size_t tag_len)
{
	if (gather.depth > 1)
		write_down(tag, tag_len);
	if (gather.depth == gather.part)
		part_end();
	if (gather.depth == gather.needless)
		gather.needless = 0;
	gather.depth--;
}

void sg_gather_text(const char *text, size_t len, const char *written, size_t written_len)
{
	if (gather.depth > 1) {
		write_down(written, written_len);
		/* No reference, and yet what needs one: a CDATA section. No server writes any. */
		if (written_len == len && memcmp(text, written, len) == 0 &&
		    (memchr(text, '<', len) != NULL || memchr(text, '&', len) != NULL))
			gather.written.err = SG_ERR_FORMAT;
	}
	if (is_built() && sg_xml_add_text(gather.open[gather.depth - 1], text, len) != 0)
		sg_gather_refuse();
}

void sg_gather_take(struct sg_arrival *arrival)
{
	arrival->tree = gather.is_refused ? NULL : gather.root;
	arrival->as_written = NULL;
	if (gather.written.err == 0 &&
	    sg_parser_is_whole((const char *)gather.written.data, gather.written.len)) {
		sg_buf_put_u8(&gather.written, 0);
		arrival->as_written =
		    gather.written.err == 0 ? (const char *)gather.written.data : NULL;
	}
}
