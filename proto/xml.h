/*
 * A small XML element tree: parsed by expat within limits, built by hand, written out again.
 * It knows no transport: XMPP stanzas and files pass through the same tree.
 */
#ifndef SG_PROTO_XML_H
#define SG_PROTO_XML_H

#include <stddef.h>

#include "buf.h"
#include "error.h"

#define SG_XML_DEPTH_MAX 32
#define SG_XML_NODES_MAX 200000	     /* elements and runs of text in one tree */
#define SG_XML_ATTRS_MAX 64	     /* of one element */
#define SG_XML_BYTES_MAX (12u << 20) /* of one document */
#define SG_XML_NS_MAX	 256	     /* bytes of a namespace name: every element may repeat it */

struct sg_xml;

/* Parses one document in UTF-8. SG_ERR_FORMAT (also for another encoding, any DTD or processing
 * instruction), SG_ERR_LIMIT, SG_ERR_NOMEM. Owned by the caller. */
SG_MUST_USE int sg_xml_parse(const char *text, size_t len, struct sg_xml **root);

/* A new element, or NULL without memory. ns NULL: that of the parent it will be added to. */
struct sg_xml *sg_xml_new(const char *name, const char *ns);

/* Frees the element and all below it. Not for an element that is a child. NULL is fine. */
void sg_xml_free(struct sg_xml *element);

/* Adds a child and owns it from then on, also on failure (SG_ERR_LIMIT too deep or too many,
 * NOMEM). Text and values that XML cannot carry (not UTF-8, NUL, the control characters that XML
 * 1.0 lacks) are SG_ERR_FORMAT. */
SG_MUST_USE int sg_xml_add(struct sg_xml *parent, struct sg_xml *child);
SG_MUST_USE int sg_xml_add_text(struct sg_xml *parent, const char *text, size_t len);
SG_MUST_USE int sg_xml_set_attr(struct sg_xml *element, const char *name, const char *value);

/* Makes a child element with this text (NULL: empty), in the parent's namespace. The child stays
 * the parent's; child may be NULL. SG_ERR_FORMAT, SG_ERR_LIMIT, SG_ERR_NOMEM, with no child
 * made. */
SG_MUST_USE int sg_xml_put(
    struct sg_xml *parent, const char *name, const char *text, struct sg_xml **child);

/* The same with Base64 of the data as the text. */
SG_MUST_USE int sg_xml_put_base64(
    struct sg_xml *parent, const char *name, const struct sg_blob *data, struct sg_xml **child);

/* The end of an encoder: hands its tree over in *payload, or frees it when err is not 0. Gives err. */
SG_MUST_USE int sg_xml_hand_over(int err, struct sg_xml *root, struct sg_xml **payload);

const char *sg_xml_name(const struct sg_xml *element);
const char *sg_xml_ns(const struct sg_xml *element); /* inherited where not set; "" for none */
const char *sg_xml_attr(
    const struct sg_xml *element, const char *name); /* or NULL; no namespaced ones */
int sg_xml_is(const struct sg_xml *element, const char *name, const char *ns);

/* Child elements, in order; NULL at the end. */
const struct sg_xml *sg_xml_first(const struct sg_xml *element);
const struct sg_xml *sg_xml_next(const struct sg_xml *element);

/* The first child element with this name and namespace (ns NULL: the element's own), or NULL. */
const struct sg_xml *sg_xml_child(const struct sg_xml *element, const char *name, const char *ns);

/* The same for an element that may stand once: NULL in *child when there is none, SG_ERR_FORMAT
 * when there are more. */
SG_MUST_USE int sg_xml_only(
    const struct sg_xml *element, const char *name, const char *ns, const struct sg_xml **child);

/* The direct text of the element, all runs joined; a new string, or NULL without memory. */
char *sg_xml_text(const struct sg_xml *element);

/* The same without white space at both ends. */
char *sg_xml_trimmed_text(const struct sg_xml *element);

/* The bytes of which that text is the Base64, as sg_base64_decode() gives them; SG_ERR_NOMEM. */
SG_MUST_USE int sg_xml_base64(const struct sg_xml *element, size_t max, struct sg_blob *data);

/* Appends the element as text, xmlns where it differs from the parent's. */
void sg_xml_write(const struct sg_xml *element, struct sg_buf *out);

/* The same as a new string; NULL without memory. */
char *sg_xml_to_string(const struct sg_xml *element);

/* SG_ERR_LIMIT when its text is longer than max bytes; SG_ERR_NOMEM. */
SG_MUST_USE int sg_xml_check_length(const struct sg_xml *element, size_t max);

#endif
