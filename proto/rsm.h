/*
 * Result sets in pages (XEP-0059), forward only.
 */
#ifndef SG_PROTO_RSM_H
#define SG_PROTO_RSM_H

#include "error.h"
#include "xml.h"

#define SG_NS_RSM	"http://jabber.org/protocol/rsm"
#define SG_RSM_LAST_MAX 1024 /* bytes of the mark that a page ends with */

/* What a page tells of the whole. */
struct sg_rsm {
	char *
	    last; /* the mark that the next page begins after; NULL: nothing follows that can be asked for */
	int has_count;
	uint32_t count; /* of the whole, as far as the server is right */
};
void sg_rsm_clear(struct sg_rsm *rsm);

/* Asks in the payload for a page of at most max, after this mark (NULL: the first). SG_ERR_FORMAT (a mark that
 * XML cannot carry), SG_ERR_NOMEM. */
SG_MUST_USE int sg_rsm_ask(struct sg_xml *payload, unsigned max, const char *after);

/* Reads it from a result. 1; 0: it has none, so that it is no page but the whole; SG_ERR_FORMAT,
 * SG_ERR_LIMIT, SG_ERR_NOMEM. *rsm is empty but for 1. */
SG_MUST_USE int sg_rsm_read(const struct sg_xml *payload, struct sg_rsm *rsm);

#endif
