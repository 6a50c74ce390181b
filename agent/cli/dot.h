/*
 * The web of keys as a picture: Graphviz DOT out of what Graph of the API gives.
 */
#ifndef SG_CLI_DOT_H
#define SG_CLI_DOT_H

#include <jansson.h>

#include "buf.h"
#include "error.h"

#define SG_DOT_STRANGERS_MAX 60 /* accounts that nothing leads to, and that are drawn */
#define SG_DOT_KEYS_MAX	     12 /* of one account, that are drawn */
#define SG_DOT_TEXT_MAX	     44 /* characters of a JID that are drawn */

/*
 * Writes it: a box for each account with a line for each of its keys, what it is to the person and why;
 * an arrow for each signature between accounts. keys and edges are arrays of GraphKey and GraphEdge.
 * No text of a peer stands anywhere but escaped inside a label, whatever it is. Failures are the buffer's.
 */
void sg_dot_write(struct sg_buf *out, const json_t *keys, const json_t *edges);

/* The text as XML has it inside of elements, cut, without what a terminal or a renderer would obey. */
void sg_dot_put_text(struct sg_buf *out, const char *text, size_t max);

#endif
