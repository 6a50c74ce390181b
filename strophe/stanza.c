#include "stanza.h"

#include <string.h>

#include "buf.h"

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
	/* names and values in turn; libstrophe keeps the namespace among them */
	const char *attrs[2 * (SG_XML_ATTRS_MAX + 1)];
	int count = xmpp_stanza_get_attribute_count(stanza), err = 0;

	if (count > SG_XML_ATTRS_MAX + 1)
		return SG_ERR_LIMIT;
	if (count <= 0)
		return 0;
	count = xmpp_stanza_get_attributes(stanza, attrs, 2 * count);
	for (int i = 0; err == 0 && i + 1 < count; i += 2) {
		if (strcmp(attrs[i], "xmlns") == 0)
			continue;
		err = spend(account, strlen(attrs[i]) + strlen(attrs[i + 1]));
		if (err == 0)
			err = sg_xml_set_attr(element, attrs[i], attrs[i + 1]);
	}
	return err;
}

static int copy_head(xmpp_stanza_t *stanza, struct account *account, struct sg_xml **tree)
{
	const char *name = xmpp_stanza_get_name(stanza), *ns = xmpp_stanza_get_ns(stanza);
	struct sg_xml *made;
	int err;

	*tree = NULL;
	if (name == NULL)
		return SG_ERR_FORMAT;
	err = spend(account, strlen(name));
	if (err != 0)
		return err;
	/* libstrophe gives every element its namespace: one without is in none, not in its parent's */
	made = sg_xml_new(name, ns != NULL ? ns : "");
	if (made == NULL)
		return SG_ERR_NOMEM;
	err = copy_attributes(stanza, account, made);
	if (err == 0)
		*tree = made;
	else
		sg_xml_free(made);
	return err;
}

static int copy_text(xmpp_stanza_t *stanza, struct account *account, struct sg_xml *parent)
{
	const char *text = xmpp_stanza_get_text_ptr(stanza);
	int err;

	if (text == NULL)
		return 0;
	err = spend(account, strlen(text));
	return err == 0 ? sg_xml_add_text(parent, text, strlen(text)) : err;
}

/* Recursion is bounded by the depth, whatever the stanza's. */
static int copy(
    xmpp_stanza_t *stanza, unsigned depth, struct account *account, struct sg_xml **tree)
{
	struct sg_xml *made, *child;
	int err;

	*tree = NULL;
	if (depth > SG_XML_DEPTH_MAX)
		return SG_ERR_LIMIT;
	err = copy_head(stanza, account, &made);
	for (xmpp_stanza_t *at = xmpp_stanza_get_children(stanza); err == 0 && at != NULL;
	     at = xmpp_stanza_get_next(at)) {
		if (!xmpp_stanza_is_tag(at)) {
			err = copy_text(at, account, made);
			continue;
		}
		err = copy(at, depth + 1, account, &child);
		if (err == 0)
			err = sg_xml_add(made, child);
	}
	if (err == 0)
		*tree = made;
	else
		sg_xml_free(made);
	return err;
}

int sg_stanza_to_xml(xmpp_stanza_t *stanza, struct sg_xml **tree)
{
	struct account account = { 0, 0 };

	return copy(stanza, 1, &account, tree);
}

/* The first element in the stanza, or NULL. */
static xmpp_stanza_t *first_element(xmpp_stanza_t *stanza)
{
	xmpp_stanza_t *at = xmpp_stanza_get_children(stanza);

	while (at != NULL && !xmpp_stanza_is_tag(at))
		at = xmpp_stanza_get_next(at);
	return at;
}

int sg_stanza_head(xmpp_stanza_t *stanza, unsigned levels, struct sg_xml **tree)
{
	struct account account = { 0, 0 };
	struct sg_xml *parent, *child;
	int err = copy_head(stanza, &account, tree);

	parent = *tree;
	while (err == 0 && --levels > 0 && (stanza = first_element(stanza)) != NULL) {
		if (copy_head(stanza, &account, &child) != 0)
			break;
		err = sg_xml_add(parent, child);
		parent = child;
	}
	if (err != 0) {
		sg_xml_free(*tree);
		*tree = NULL;
	}
	return err;
}

void sg_stanza_send_text(xmpp_conn_t *conn, const char *text)
{
	xmpp_send_raw(conn, text, strlen(text));
	/*
	 * The queue's length leaves out a stanza that is written in part (over TLS, libstrophe
	 * writes one record a round). With white space behind it, it is right whenever it
	 * matters: what it hides at the end is this blank.
	 */
	xmpp_send_raw(conn, " ", 1);
}

int sg_stanza_send(xmpp_conn_t *conn, const struct sg_xml *tree)
{
	struct sg_buf text = { 0 };
	int err;

	sg_xml_write(tree, &text);
	sg_buf_put_u8(&text, 0); /* libstrophe's log line takes it for a string */
	err = text.err;
	if (err == 0)
		sg_stanza_send_text(conn, (const char *)text.data);
	sg_buf_clear(&text);
	return err;
}
