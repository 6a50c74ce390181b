/*
 * What libstrophe's XML parser sees of the server's stream: a filter for strophe/parser.h.
 *
 * libstrophe walks all siblings for each child it adds, and what it has built is copied and freed by
 * recursion. So what is below SG_BOUNDS_DEPTH_MAX in a stanza, and what comes in one element after
 * SG_BOUNDS_CHILDREN_MAX others, is left out. Both are far beyond any request that is answered with more
 * than an error, so an account that sends more costs the others nothing. The server itself is trusted
 * with the size of its stanzas.
 */
#ifndef SG_AUTHORITY_BOUNDS_H
#define SG_AUTHORITY_BOUNDS_H

#include "parser.h"

#define SG_BOUNDS_DEPTH_MAX                                                                        \
	64 /* the stream's element is 1, a stanza 2; more than a tree may have */
#define SG_BOUNDS_CHILDREN_MAX 256

/* For sg_parser_expect(). */
extern const struct sg_parser_filter sg_bounds;

#endif
