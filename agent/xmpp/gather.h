/*
 * The stanza that is coming in, gathered by the filter while expat reads it. Whoever sends it pays for its
 * bytes and no more: libstrophe, which walks all siblings for each element it adds, is shown the head of it
 * alone. There is one stanza at a time.
 */
#ifndef SG_XMPP_GATHER_H
#define SG_XMPP_GATHER_H

#include <stddef.h>

#include "xml.h"

/* Bytes of what is shown again to who sent it; why, see PROTOCOL.xmpp 0. */
#define SG_GATHER_WRITTEN_MAX 60000

/* What came, for who acts on it; valid until the stanza is done with. */
struct sg_arrival {
	const char *type, *id, *from, *to; /* or NULL */
	/*
	 * All of it but the groups of contacts. An item of a node, or a keyinfo, that is over the limits of struct sg_xml is there without
	 * anything in it. NULL: the rest is over them, or the stanza over those of the filter.
	 */
	const struct sg_xml *tree;
	/*
	 * The elements in it as the server wrote them, one after the other; also those that the tree has no room
	 * for. NULL: they are longer than SG_GATHER_WRITTEN_MAX, or make no sense without what is around them.
	 */
	const char *as_written;
};

/* Forgets everything, and begins with a stanza. */
void sg_gather_clear(void);

/* An element, with its tag as it was written (of <a/>, the end has none), and text. name is as expat joins it
 * with SG_PARSER_SEPARATOR. */
void sg_gather_start(const char *name, const char **attrs, const char *tag, size_t tag_len);
void sg_gather_end(const char *tag, size_t tag_len);
void sg_gather_text(const char *text, size_t len, const char *written, size_t written_len);

/* What is open is over a limit: it counts as over those of struct sg_xml. */
void sg_gather_refuse(void);

/* The tree, and the stanza as it was written, once it has ended. */
void sg_gather_take(struct sg_arrival *arrival);

#endif
