/*
 * Tags as they come in pieces, in front of an XML parser, which tells of none before it is whole and keeps it until then.
 * A stranger can have a server send one of any length: Prosody 0.12 writes a namespace out again for each
 * attribute that is in it, so that 30 kilobytes become megabytes. Of such a tag the parser is given as much as
 * makes it well-formed: the attributes that begin after SG_TAGS_MAX bytes are left out, and a value ends
 * early that goes on after twice as many.
 *
 * It knows of XML no more than where tags and their values end; what is none of it, the parser refuses. What is
 * skipped costs no memory.
 */
#ifndef SG_STROPHE_TAGS_H
#define SG_STROPHE_TAGS_H

#include <stddef.h>

#define SG_TAGS_MAX ((size_t)1 << 20) /* bytes of a tag: far more than any that means something */

enum sg_tags_state {
	SG_TAGS_TEXT,
	SG_TAGS_OPENED, /* by '<' */
	SG_TAGS_MARKED, /* by '<!' */
	SG_TAGS_TAG,
	SG_TAGS_VALUE,
	SG_TAGS_END,   /* </a>, or a declaration */
	SG_TAGS_ASIDE, /* a comment, CDATA or a processing instruction */
};

/* Zero where a document begins. Its members are no caller's but is_short, which may be read. */
struct sg_tags {
	enum sg_tags_state state;
	size_t len;		  /* of the tag so far */
	char quote;		  /* of the value */
	char closer;		  /* what comes before the '>' that ends an aside ... */
	unsigned closers, needed; /* ... so many times, and so many are needed */
	char last;		  /* in the tag, outside of values */
	int in_reference;
	int is_skipping; /* what is left of the tag */
	int is_short; /* the piece that was given last ends a tag of which something is missing */
	char ending[3];
};

/*
 * The next piece that the parser is to be given, and its length, 0 when there is none; *data and *len, which is
 * what has come, move past what it was made of. A piece is part of what has come, or stands in *tags until
 * the next call.
 */
size_t sg_tags_next(struct sg_tags *tags, const char **data, size_t *len, const char **piece);

#endif
