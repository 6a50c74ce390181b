/*
 * What libstrophe's XML parser sees of the server's stream: a filter for strophe/parser.h.
 *
 * libstrophe walks all siblings for each child it adds, and many of the attributes for each of those;
 * what it has built is copied and freed by recursion. So what is below SG_BOUNDS_DEPTH_MAX in a stanza,
 * what comes in one element after SG_BOUNDS_CHILDREN_MAX others, the attributes beyond
 * SG_BOUNDS_ATTRS_MAX of an element and SG_BOUNDS_STANZA_ATTRS_MAX of a stanza, and elements after
 * SG_BOUNDS_BYTES_MAX of names and attributes in a stanza (each carries its namespace) are left out: an account
 * that sends more costs the others nothing. All are far beyond any request, and a stanza of which
 * something was left out must be answered with no more than an error (sg_bounds_cut()). The server itself
 * is trusted with the size of its stanzas.
 *
 * An element with a prefix that is not declared counts as if something of its stanza was left out. A stanza whose own
 * tag is so long that it did not come whole (tags.h) is left out itself.
 *
 * What is no XML, a document type declaration and what opens no stream end the stream: nothing more of it
 * is parsed, and the connection's owner closes it (sg_bounds_failed()).
 */
#ifndef SG_AUTHORITY_BOUNDS_H
#define SG_AUTHORITY_BOUNDS_H

#include "parser.h"

#define SG_BOUNDS_DEPTH_MAX                                                                        \
	64 /* the stream's element is 1, a stanza 2; more than a tree may have */
#define SG_BOUNDS_CHILDREN_MAX	   256
#define SG_BOUNDS_ATTRS_MAX	   64
#define SG_BOUNDS_STANZA_ATTRS_MAX 4096
#define SG_BOUNDS_BYTES_MAX	   (1u << 20)

/* For sg_parser_expect(). */
extern const struct sg_parser_filter sg_bounds;

/* Whether the stream that began last was stopped. */
int sg_bounds_failed(void);

/* Whether something of the stanza at hand was left out; for libstrophe's handlers. */
int sg_bounds_cut(void);

#endif
